//! Waits until others hold a write.
//!
//! Knows: receipts, and that members that agree hold all that this agent holds. Does not know: what was written.
//! Full: at most [`WATCHERS_MAX`](crate::api::WATCHERS_MAX) waits and streams; when all receipts of the node are open, and
//! for the deletion of a counter, which writes upon many parts, agreement is waited for, which implies it.

use std::time::Duration;

use gossip_proto::{Instant, Kind, Node, Receipt};
use gossip_tokio::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time;

use super::{Control, LIVE_INTERVAL, WAIT_MAX_MS};
use crate::api::{Holders, Wait};
use crate::error::{Code, Failure, Result};

/// A wait that may be wanted, with its place among all waits.
#[derive(Debug)]
pub(super) struct Waiting(Option<(Wait, Handle, OwnedSemaphorePermit)>);

/// A receipt that is closed when nobody waits any more.
#[derive(Debug)]
pub(super) struct Watched {
    handle: Handle,
    receipt: Option<Receipt>,
}

impl Control {
    /// Takes a place for a wait, if one is asked for: before anything is written.
    pub(super) fn waiting(&self, wait: Option<Wait>) -> Result<Waiting> {
        let waiting = wait.map(|wait| Ok::<_, Failure>((wait, self.handle.clone(), self.watcher()?)));
        waiting.transpose().map(Waiting)
    }

    pub(super) fn receipt(&self, receipt: Option<Receipt>) -> Watched {
        Watched { handle: self.handle.clone(), receipt }
    }
}

impl Waiting {
    /// Watches what was just written, if it is waited for and can be watched.
    pub(super) fn watch(&self, node: &mut Node<'_>, now: Instant, key: &[u8]) -> Option<Receipt> {
        self.0.as_ref().and_then(|_| node.open_receipt(now, key).ok())
    }

    /// The same of an element of a set, or, with an empty part, of what was added to a counter.
    pub(super) fn watch_part(
        &self,
        node: &mut Node<'_>,
        now: Instant,
        (kind, key, part): (Kind, &[u8], &[u8]),
    ) -> Option<Receipt> {
        self.0.as_ref().and_then(|_| node.open_part_receipt(now, key, kind, part).ok())
    }

    /// Waits until enough members hold what is watched.
    pub(super) async fn held(self, watched: &Watched) -> Result<Option<Holders>> {
        let Some((Wait { members, timeout_ms }, handle, _permit)) = self.0 else { return Ok(None) };
        let deadline = time::Instant::now() + Duration::from_millis(timeout_ms.min(WAIT_MAX_MS));
        loop {
            let Holders { confirmed, live } = handle.read(|node| {
                let held = watched.receipt.and_then(|receipt| node.receipt(receipt));
                let agreed = node.convergence();
                held.map_or(Holders { confirmed: agreed.agreeing, live: agreed.live }, |held| Holders {
                    confirmed: held.confirmed,
                    live: held.live,
                })
            });
            if confirmed >= members.unwrap_or(live) {
                return Ok(Some(Holders { confirmed, live }));
            }
            if time::Instant::now() >= deadline {
                let wanted = members.map_or("all".into(), |members| members.to_string());
                let message = format!(
                    "it is written, and {confirmed} of {live} live members are known to hold it after {timeout_ms} ms; \
                     {wanted} were waited for"
                );
                let hint = "it spreads on; `gossip topology` shows who lags";
                return Err(Failure::new(Code::NotHeld, message, hint));
            }
            time::sleep(LIVE_INTERVAL).await;
        }
    }

    /// Waits until enough members agree with all that this agent holds.
    pub(super) async fn agreed(self) -> Result<Option<Holders>> {
        let Some((_, handle, _)) = &self.0 else { return Ok(None) };
        let nothing = Watched { handle: handle.clone(), receipt: None };
        self.held(&nothing).await
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(receipt) = self.receipt.take() {
            self.handle.with(|node, _| node.close_receipt(receipt));
        }
    }
}
