//! `gossip demo`.

use crate::error::Result;

/// Options of `gossip demo`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {}

pub(crate) async fn run(_options: &Options, _json: bool) -> Result<()> {
    Ok(())
}
