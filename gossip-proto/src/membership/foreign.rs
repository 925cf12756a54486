//! Rumors about members that this node does not hold, since its table is smaller than the swarm: passed on all the same.
//!
//! Knows: the last few of them. Does not know: the members. Without it a death would be known only where somebody who holds
//! the dead one tells somebody else who does, and in a large swarm these hardly ever meet.
//! When full: the oldest gives way. A filter remembers what was passed on, so that what gave way is not taken for new when
//! it comes round again; if very much is said at once the filter fills, and less is passed on, which ends the storm.

use super::rules::{Report, newer};
use super::slot::MemberState;
use crate::addr::{Addr, NodeId};
use crate::slab::SCARCE;
use crate::slab::queue::Queue;
use crate::time::{Instant, Tick};
use crate::wire::{Accusation, MemberItem, Message};

/// Whether rumors about strangers are passed on at all: what only that needs is left out where they are not.
pub(crate) const POSSIBLE: bool = cfg!(feature = "sample");

/// One rumor about a stranger.
#[derive(Clone, Copy, Debug)]
struct Rumor {
    id: NodeId,
    incarnation: u32,
    state: MemberState,
    /// Where it is, if it is said to be alive; else who accuses it: its id, in the place of an address.
    of: Addr,
    left: u8,
}

/// The rumors, newest last.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    rumors: Queue<Rumor, RUMORS_MAX>,
    /// Two Bloom filters of 512 bits: this period's and the last one's.
    seen: [[u32; WORDS]; 2],
    period: u32,
    dropped: u32,
}

impl Foreign {
    /// Takes in what was said of a stranger, to be passed on so many times.
    pub(crate) fn report(&mut self, now: Instant, report: &Report, left: u8) -> bool {
        let Report { id, incarnation, state, by } = *report;
        if !POSSIBLE {
            return false;
        }
        let of = Addr::new(&by.0.to_le_bytes()).unwrap_or_default();
        // Who else suspects it makes the suspicion shorter: four of them are passed on, as many as can be of use.
        let voice = if state == MemberState::Suspect { by.0 as u8 & 3 } else { 0 };
        if !self.is_new(now, id, incarnation, state, voice) {
            return false;
        }
        match self.rumors.iter_mut().find(|rumor| rumor.id == id) {
            Some(rumor) => {
                let same = incarnation == rumor.incarnation;
                if newer(incarnation, rumor.incarnation) || same && state >= rumor.state {
                    *rumor = Rumor { id, incarnation, state, of, left };
                }
            }
            None => self.push(Rumor { id, incarnation, state, of, left }),
        }
        true
    }

    /// Whether this was not said within the last period or two; it is noted.
    fn is_new(&mut self, now: Instant, id: NodeId, incarnation: u32, state: MemberState, voice: u8) -> bool {
        let period = Tick::at(now).0 / PERIOD;
        if period != self.period {
            self.seen = [[0; WORDS], if period == self.period.wrapping_add(1) { self.seen[0] } else { [0; WORDS] }];
            self.period = period;
        }
        // Fibonacci hashing: ids are random, and an attacker gains nothing by a collision that silence would not give.
        let mixed = id.0 ^ u64::from(incarnation).rotate_left(32) ^ ((state as u64) << 17) ^ (u64::from(voice) << 23);
        let hash = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bits = [hash >> 55, hash >> 46 & 511];
        let held =
            |filter: &[u32; WORDS]| bits.iter().all(|bit| filter[(bit >> 5) as usize & 15] >> (bit & 31) & 1 == 1);
        if self.seen.iter().any(held) {
            return false;
        }
        for bit in bits {
            self.seen[0][(bit >> 5) as usize & 15] |= 1 << (bit & 31);
        }
        true
    }

    /// Takes in that a stranger is alive: it has joined, or refutes what is said of it. No `news` is what somebody merely
    /// holds: of interest only if something older is being said.
    pub(crate) fn alive(&mut self, now: Instant, item: &MemberItem<'_>, news: bool, left: u8) -> bool {
        let MemberItem { id, incarnation, addr, .. } = *item;
        let state = MemberState::Alive;
        if !POSSIBLE {
            return false;
        }
        let rumor = Rumor { id, incarnation, state, of: addr, left };
        let newest = match self.rumors.iter_mut().find(|rumor| rumor.id == id) {
            Some(said) => {
                let newer = newer(incarnation, said.incarnation);
                if newer {
                    *said = rumor;
                }
                return newer;
            }
            None => news && self.is_new(now, id, incarnation, state, 0),
        };
        if newest {
            self.push(rumor);
        }
        newest
    }

    /// How many rumors gave way too early since the last call.
    pub(crate) fn take_dropped(&mut self) -> u32 {
        core::mem::take(&mut self.dropped)
    }

    /// The next rumor to pass on.
    pub(crate) fn message(&self) -> Option<Message<'static>> {
        if !POSSIBLE {
            return None;
        }
        let rumor = self.rumors.iter().find(|rumor| rumor.left > 0)?;
        let Rumor { id, incarnation, of: addr, .. } = *rumor;
        let by = NodeId(u64::from_le_bytes(addr.as_bytes().first_chunk().copied().unwrap_or_default()));
        let accusation = Accusation { id, incarnation, by };
        Some(match rumor.state {
            // Without its tags: who holds it has them, or finds that they are missing.
            MemberState::Alive => {
                Message::Alive(MemberItem { id, incarnation, addr, tags_version: 0, asleep: 0, tags: &[] })
            }
            MemberState::Suspect => Message::Suspect(accusation),
            MemberState::Dead => Message::Dead(accusation),
            MemberState::Left => Message::Left { id, incarnation },
        })
    }

    /// Notes that it was passed on: it goes to the back.
    pub(crate) fn passed_on(&mut self) {
        for _ in 0..self.rumors.len() {
            let Some(mut rumor) = self.rumors.pop_front() else { return };
            let this = rumor.left > 0;
            rumor.left = rumor.left.saturating_sub(1);
            self.push(rumor);
            if this {
                return;
            }
        }
    }

    /// How many are to be passed on.
    pub(crate) fn len(&self) -> usize {
        if POSSIBLE { self.rumors.iter().filter(|rumor| rumor.left > 0).count() } else { 0 }
    }

    fn push(&mut self, rumor: Rumor) {
        if self.rumors.is_full() {
            let dropped = self.rumors.pop_front().is_some_and(|rumor| rumor.left > 0);
            self.dropped = self.dropped.saturating_add(u32::from(dropped));
        }
        // There is room now.
        let _ = self.rumors.push_back(rumor);
    }
}

/// How long one filter is in use, in ticks: 30 s, longer than any rumor lives.
const PERIOD: u32 = 458;
/// How many rumors about strangers are kept: in a swarm that large few die at once, and each is told for some seconds.
const RUMORS_MAX: usize = match (POSSIBLE, SCARCE) {
    (false, _) => 0,
    (true, true) => 6,
    (true, false) => 8,
};
/// The words of one filter.
const WORDS: usize = if POSSIBLE { 16 } else { 0 };
