//! `gossip sim`.

use crate::error::Result;

/// Options of `gossip sim`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {}

pub(crate) fn run(_options: &Options, _json: bool) -> Result<()> {
    Ok(())
}
