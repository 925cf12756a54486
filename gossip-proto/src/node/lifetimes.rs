//! Lifetimes: when entries end, and how the swarm agrees up to when tombstones are collected (rules R3 and R4).
//!
//! The floor is the least moment at which any other member was last level with some node, less a margin. Nodes compute it
//! that know all members, the dead among them: their table is no sample, and they have run for as long as the dead are
//! remembered. The others take the greatest that they hear. It is said when a tombstone
//! waits for it, and takes effect at the next common multiple of some seconds, so that all roots change together.

use core::time::Duration;

use super::input::Context;
use super::output::Filling;
use super::{Lifecycle, Node};
use crate::divide::divide;
use crate::error::PutError;
use crate::repair::{Row, Task};
use crate::slab::index::Prefix;
use crate::state::{PutOptions, Refused, Settled, TTL_MAX};
use crate::stats::Count;
use crate::time::{Instant, SECOND, seconds};
use crate::wire::{Message, Table};

/// What a node knows of the floor beside the floor itself. Seconds are since 1970.
#[derive(Debug, Default)]
pub(super) struct Floor {
    /// How many more datagrams of rounds say it.
    pub(super) left: u8,
    /// When to compute it, since a tombstone waits.
    due: Option<Instant>,
    /// This node was away while the floor passed it: who is level with the others, and the second up to which this node was.
    returning: Option<(usize, u32)>,
    /// When this node first heard anybody, or first had to compute the floor.
    pub(super) since: Option<Instant>,
    /// The application is to be told that the horizon has passed a member.
    pub(super) passed: bool,
}

impl Node<'_> {
    /// The longest lifetime of a value: 4.2 years.
    pub const TTL_MAX: Duration = Duration::from_secs(TTL_MAX as u64);

    /// Up to which second, since 1970, deletes are forgotten: all members are known to have heard of them, or were not
    /// waited for (see [`Config::horizon`](crate::Config::horizon)). 0 before the first.
    #[must_use]
    pub fn floor(&self) -> u32 {
        self.store.floor()
    }

    /// The n-th newest version that is held of an entry.
    #[cfg(feature = "sim")]
    pub(crate) fn held(&self, key: &[u8], n: usize) -> Option<crate::wire::EntryItem<'_>> {
        self.store.item(self.store.find(key)?, n)
    }

    /// The lifetime that a write asks for, in seconds; 0: none.
    pub(super) fn ttl_of(&self, now: Instant, options: &PutOptions) -> Result<u32, PutError> {
        let Some(ttl) = options.ttl else { return Ok(0) };
        let seconds = seconds(ttl);
        if seconds == 0 || seconds > TTL_MAX.into() {
            return Err(PutError::Ttl { max: TTL_MAX });
        }
        if self.clock.now_estimate(now).is_none() { Err(PutError::NoTime) } else { Ok(seconds as u32) }
    }

    /// Brings the store's time in step.
    pub(super) fn tell_time(&mut self, now: Instant) {
        self.store.set_time(self.clock.second(now));
    }

    /// Ends what is due.
    pub(super) fn end_lifetimes(&mut self, now: Instant) {
        let mut any = false;
        for _ in 0..super::timeout::DEADLINES_MAX {
            match self.store.settle_due() {
                Some(Settled::Message(slot)) => self.message_due(now, slot),
                Some(settled) => {
                    self.stats.entries_removed += Count::from(settled == Settled::Removed);
                    any = true;
                }
                None => break,
            }
        }
        if any {
            let (old, new) = (self.root, self.table_digest(Table::Entries) as u32);
            if old != new {
                self.root = new;
                self.members.age_root(old, new);
            }
        }
        if self.store.take_waits() && self.floor.due.is_none() {
            // Not at once, for this is when roots change, and not all at the same time: the first saves the others the word.
            let wait = FLOOR_WAIT + self.rng.jitter(FLOOR_WAIT);
            self.floor.due = Some(now.plus(wait));
        }
        if self.floor.due.take_if(|at| *at <= now).is_some() {
            self.compute_floor(now);
        }
    }

    /// When something ends next, or the floor is to be computed.
    pub(super) fn lifetime_due(&self) -> Option<Instant> {
        let entry = self.store.next_deadline().and_then(|second| self.clock.instant(second));
        entry.into_iter().chain(self.floor.due).min()
    }

    fn compute_floor(&mut self, now: Instant) {
        // Who is new knows of nobody who had died before; after this time the others have forgotten those, too.
        let since = *self.floor.since.get_or_insert(now);
        if self.members.is_sample() || now < since.plus(self.config.forget_after()) {
            return;
        }
        let own = self.store.time();
        let (least, _, middle) = self.members.levels(own);
        let horizon = self.store.floor_of(middle).saturating_sub(self.config.horizon);
        let floor = self.store.floor_of(least);
        if floor.max(horizon) > self.store.floor() {
            self.floor.passed |= horizon > floor;
            self.raise_floor(now, floor.max(horizon));
        }
    }

    fn raise_floor(&mut self, now: Instant, floor: u32) {
        self.store.set_floor(floor);
        if self.members.peers() > 0 {
            self.floor.left = self.transmissions();
            self.rounds.hasten(now);
        }
    }

    /// Another says what time it is and what the floor is.
    #[inline(never)]
    pub(super) fn take_floor(&mut self, context: &Context, clock: u64, floor: u32, level: bool) {
        self.clock.hear(context.now, clock);
        self.tell_time(context.now);
        let time = self.store.time();
        let skew = divide(self.clock.skew_max(), SECOND) as u32;
        if time == 0 {
            return;
        }
        if floor > self.store.floor_of(time.saturating_add(skew)) {
            self.stats.refused_floor += 1;
            return;
        }
        if let Some(peer) = context.peer.filter(|_| level) {
            // The lower middle: after a restart of somebody in between, most of those who are called level were.
            let (_, middle, _) = self.members.levels(time);
            if middle < floor {
                self.floor.returning = Some((peer, middle));
            }
        }
        if floor > self.store.floor() {
            self.raise_floor(context.now, floor);
        }
    }

    /// A member's entries are ours.
    pub(super) fn note_level(&mut self, peer: Option<usize>) {
        let Some(ix) = peer else { return };
        self.floor.returning.take_if(|(to, _)| *to == ix);
        self.members.level(ix, self.store.time());
    }

    /// Whether this node has been away, and what it holds is to be looked at by what that member has.
    pub(super) fn is_returning_to(&self, ix: usize) -> bool {
        self.floor.returning.is_some_and(|(to, _)| to == ix)
    }

    /// Whether roots say nothing just now, since something leaves the summary here or there.
    pub(super) fn is_quiet(&self, table: Table) -> bool {
        table == Table::Entries && self.store.is_quiet()
    }

    /// A version that was refused since its time is over is held elsewhere: there, they shall hear what time it is.
    pub(super) fn note_over(&mut self, peer: Option<usize>, refused: Refused) {
        match refused {
            Refused::Ended => self.stats.refused_ended += 1,
            _ => self.stats.refused_collected += 1,
        }
        if let Some(ix) = peer {
            // Asked again, the same would come: it goes there by itself, soon.
            let now = self.now;
            let session = self.session(Table::Entries);
            if session.with() == peer {
                session.end(now, false);
            }
            self.push_row(Row::new(ix, Table::Entries, Task::Floor, Prefix::ROOT, 0));
        }
    }

    /// Writes what the floor is, if a clock says when that is.
    #[inline(never)]
    pub(super) fn push_floor(&self, filling: &mut Filling<'_>, limit: usize) -> Option<usize> {
        match self.clock.now_estimate(self.now) {
            Some(clock) => {
                let floor = self.store.floor();
                let level = self.floor.returning.is_none() && self.members.levels(self.store.time()).1 >= floor;
                filling.push(&Message::Floor { clock, floor, level }, false, limit)
            }
            None => Some(0),
        }
    }

    /// Says what the floor is to whom may not have heard: members of a round, and who was away when it passed.
    pub(super) fn fill_floor(&mut self, filling: &mut Filling<'_>) {
        if filling.to.round && self.floor.left > 0 && self.push_floor(filling, usize::MAX).is_some() {
            self.floor.left -= 1;
            return;
        }
        let Some(to) = filling.to.slot else { return };
        let away = self.members.get(to).is_some_and(|slot| slot.level < self.store.floor());
        if away && self.replies.first_to(to).is_some_and(|(_, row)| row.table() == Table::Entries) {
            let _ = self.push_floor(filling, usize::MAX);
        }
    }

    /// Whether an entry is not to be sent to a member that knows better, since we were away: it held what we held then. If
    /// it lacks the entry now, that was deleted there, and collected: it is to be buried here.
    pub(super) fn is_zombie(&self, to: usize, slot: usize) -> bool {
        let level = self.floor.returning.filter(|(peer, _)| *peer == to).map_or(0, |(_, level)| level);
        self.store.is_older(slot, level)
    }

    /// Deletes a zombie once more, so that whoever else was away hears of it, too; a write that came after it stays.
    #[inline(never)]
    pub(super) fn bury(&mut self, slot: usize) {
        if self.lifecycle == Lifecycle::Leaving || self.store.entry(slot).is_none() {
            return;
        }
        if let Some((slot, stamp)) = self.store.bury(self.life, slot) {
            self.clock.given(stamp);
            self.stats.zombies += 1;
            self.entry_changed(self.now, slot, false);
        }
    }
}

/// How long after the common moment the floor is computed, in µs, at least, and at most twice that.
const FLOOR_WAIT: u64 = 3_000_000;
