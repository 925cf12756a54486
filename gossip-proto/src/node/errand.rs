//! What is said to single addresses, and what was asked for lately.
//!
//! Knows: small values. Does not know: what becomes of them.

use crate::slab::Ix;
use crate::slab::index::Key;
use crate::time::{Instant, Tick};

/// Something to say to one address, be it a member's or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Direct {
    /// The slot of the member who is there, or the number of the guest.
    pub(super) to: Ix,
    /// The low bits of the member's id: the slot may pass to somebody else.
    pub(super) check: u16,
    pub(super) what: Errand,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Errand {
    Ping(u32),
    Ack(u32),
    Nack(u32),
    /// Of the target of the probe with this number.
    PingReq(u32),
    Join,
    /// What we know of the one who is there, and where we see it.
    Tell,
    Seen,
    /// Who we are and whom we know, for a newcomer who has no slot here.
    Welcome,
    /// Some of a sample, for somebody who asked, with a slot or without.
    Show,
}

/// The entries that were asked for lately, so that two offers of one entry do not fetch it twice.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    asked: [(u32, Tick); WANTED_MAX],
    next: usize,
}

impl Wanted {
    /// Whether to ask for this key, which is then noted.
    pub(super) fn ask(&mut self, key: Key, now: Instant) -> bool {
        let (short, now) = (key.key() as u32, Tick::at(now));
        if self.asked.iter().any(|(asked, at)| *asked == short && now.0.saturating_sub(at.0) < WANTED_TICKS) {
            return false;
        }
        if let Some(place) = self.asked.get_mut(self.next) {
            *place = (short, now);
        }
        self.next = (self.next + 1) % WANTED_MAX;
        true
    }
}

/// How many questions for entries are remembered, and for how long, in ticks: two of them are 65 to 131 ms.
const WANTED_MAX: usize = 8;
const WANTED_TICKS: u32 = 2;
