//! Lifetimes: values that end (rule R4), and tombstones that are collected (rule R3).
//!
//! Knows: the time in seconds since 1970, as it is told, the floor, and when something of an entry is due. Does not know:
//! any clock, who the members are, nor how the floor comes about.
//! When full: never, since every slot has its place among the deadlines.
//!
//! A value that has ended is not shown and not sent from that second on. Its bytes, and its share of the summary, go at
//! the next multiple of [`SWEEP`]: on all nodes at once, so nobody has to tell anybody. Tombstones go at multiples of the
//! store's `step`, by a floor that all have heard of since the multiple before.
//!
//! A value that ends before something that it replaced would have leaves a tombstone: else what it replaced could come
//! back from a node that had not seen it replaced. A tombstone that comes late and still ends a value counts from now on:
//! its `ttl` says so, and its dot stays, so it does not beat a write that its writer had not seen.

use super::record::{self, Fate, Record};
use super::slot::Flag;
use super::store::Store;
use super::version::{Version, seconds};
use crate::config::Config;
use crate::divide::{quotient, remainder};
use crate::time::Tick;

/// The time and the floor, in seconds since 1970; 0 is unknown, and then nothing ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ages {
    pub(super) now: u32,
    pub(super) floor: u32,
    /// How far the floor stays behind the least level.
    pub(super) margin: u32,
    /// The time between two looks at tombstones, and what floors are rounded to.
    pub(super) step: u32,
    /// The multiple at which something last left the summary.
    swept: u32,
    /// A tombstone waits for the floor.
    waits: bool,
    /// An entry left before the application was told the last of it.
    lagged: bool,
}

impl Ages {
    pub(super) fn new(config: &Config) -> Self {
        let margin = config.floor_margin.as_secs().min(1 << 30) as u32;
        let step = ((quotient(margin, 10) + SWEEP - 1) & !(SWEEP - 1)).max(SWEEP);
        Self { now: 0, floor: 0, margin, step, swept: 0, waits: false, lagged: false }
    }

    fn fate(&self, version: &Version<'_>) -> Fate {
        let until = version.until();
        match version.value {
            Some(_) if after(until, SWEEP) > self.now => Fate::Stays,
            Some(_) if version.ttl & 1 == 1 => Fate::Dies,
            None if until > self.floor || self.look(until) > self.now => Fate::Stays,
            _ => Fate::Goes,
        }
    }

    /// When something becomes of a version next.
    fn due(&self, version: &Version<'_>) -> Option<u32> {
        let until = version.until();
        match version.value {
            Some(_) if version.ttl == 0 => None,
            Some(_) if until > self.now => Some(until),
            Some(_) => Some(after(until, SWEEP)),
            None => Some(self.look(until).max(after(self.now, self.step))),
        }
    }

    /// When it can first be that a tombstone is collected.
    fn look(&self, until: u32) -> u32 {
        after(until.saturating_add(self.margin), self.step)
    }

    /// Whether a tombstone is so old that a member may have been level without it.
    pub(super) fn is_late(&self, until: u32) -> bool {
        until <= self.floor || until.saturating_add(self.margin / 2) < self.now
    }

    /// The `ttl` of a tombstone of this stamp that counts from now on; whole steps, so that those who say so at the same
    /// time say the same.
    pub(super) fn ttl_from_now(&self, stamp: u64) -> u32 {
        let age = after(self.now, self.step).saturating_sub(seconds(stamp));
        age.min(TTL_MAX) << 1
    }
}

/// What became of a slot whose time had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// The entry is not what it was.
    Changed,
    /// The entry is gone.
    Removed,
    /// A message or a window, whose room knows what is due.
    Message(usize),
}

impl Store<'_> {
    /// Tells the time, in seconds since 1970.
    pub(crate) fn set_time(&mut self, now: u32) {
        self.ages.now = now;
    }

    pub(crate) fn time(&self) -> u32 {
        self.ages.now
    }

    /// Up to which second tombstones are collected.
    pub(crate) fn floor(&self) -> u32 {
        self.ages.floor
    }

    pub(crate) fn set_floor(&mut self, floor: u32) {
        self.ages.floor = floor;
    }

    /// The floor that follows from a level, and the floor that nobody's may exceed.
    pub(crate) fn floor_of(&self, level: u32) -> u32 {
        let floor = level.saturating_sub(self.ages.margin);
        floor - remainder(floor, self.ages.step)
    }

    /// Whether a tombstone waits for the floor; asked once.
    pub(crate) fn take_waits(&mut self) -> bool {
        core::mem::take(&mut self.ages.waits)
    }

    /// The second at which something is due.
    pub(crate) fn next_deadline(&self) -> Option<u32> {
        self.deadlines.next(&self.rows).map(|tick| tick.0)
    }

    /// Does what is due first; `None` if nothing is.
    pub(crate) fn settle_due(&mut self) -> Option<Settled> {
        let ages = self.ages;
        let slot = self.deadlines.pop_due(&mut self.rows, &mut self.slots, Tick(ages.now))?;
        if self.has(slot, Flag::Blob) {
            return Some(Settled::Message(slot));
        }
        let versions = self.record(Some(slot)).versions();
        let waits = { versions.clone() }.any(|it| it.value.is_none() && ages.look(it.until()) <= ages.now);
        let changes = { versions }.any(|version| ages.fate(&version) != Fate::Stays);
        self.ages.waits |= waits;
        if changes {
            self.ages.swept = ages.now - ages.now % SWEEP;
            let len = record::trim(self.record_mut(slot), |version| ages.fate(version));
            if len == 0 {
                self.remove(slot);
                return Some(Settled::Removed);
            }
            self.reserve(slot, len);
            self.relist(slot);
        }
        self.note(slot, true, false);
        self.schedule(slot);
        Some(Settled::Changed)
    }

    /// Something has lost to what is held: where that is a value that ends sooner, a tombstone is to stay.
    pub(super) fn mark(&mut self, slot: usize, lost: &Version<'_>) {
        let above = |held: &Version<'_>| held.order(lost).is_gt() && held.must_bury(lost);
        if self.record(Some(slot)).versions().any(|held| above(&held)) {
            record::mark(self.record_mut(slot), above);
            self.relist(slot);
        }
    }

    /// Gives an entry the deadline that follows from its versions.
    pub(super) fn schedule(&mut self, slot: usize) {
        let ages = self.ages;
        let mut first = None;
        for version in self.record(Some(slot)).versions() {
            let due = ages.due(&version);
            first = if first.is_none() || due.is_some() && due < first { due } else { first };
        }
        match first {
            Some(due) => self.deadlines.set(&mut self.rows, &mut self.slots, slot, Tick(due)),
            None => self.deadlines.clear(&mut self.rows, &mut self.slots, slot),
        }
    }

    /// Whether something leaves the summary about now, here or, since clocks differ a little, there: other roots then say
    /// nothing.
    pub(crate) fn is_quiet(&self) -> bool {
        let (now, into) = (self.ages.now, self.ages.now % SWEEP);
        let due_by = |second| self.next_deadline().is_some_and(|due| due <= second);
        match into {
            0..QUIET => now > 0 && self.ages.swept == now - into || due_by(now),
            _ if into >= SWEEP - QUIET => due_by(now - into + SWEEP),
            _ => false,
        }
    }

    /// Whether all that is held of an entry was written before this second.
    pub(crate) fn is_older(&self, slot: usize, second: u32) -> bool {
        self.record(Some(slot)).versions().next().is_some_and(|newest| seconds(newest.stamp) < second)
    }

    /// Whether an entry or a gap left before the application was told of it; asked once.
    pub(crate) fn take_lagged(&mut self) -> bool {
        core::mem::take(&mut self.ages.lagged) | core::mem::take(&mut self.messages.lagged)
    }

    /// Whether what an entry is without a value came with time alone.
    pub(super) fn has_ended(record: Record<'_>) -> bool {
        record.versions().next().is_some_and(|newest| newest.value.is_some() || newest.ttl & 1 == 1)
    }

    fn remove(&mut self, slot: usize) {
        self.ages.lagged |= self.has(slot, Flag::Told) || self.has(slot, Flag::Conflict);
        self.unlist(slot);
        self.free_bytes(slot);
        self.give_slot(slot);
    }
}

/// The first multiple after this second.
fn after(second: u32, step: u32) -> u32 {
    (quotient(second, step) + 1).saturating_mul(step)
}

/// The longest lifetime, in seconds: doubled it takes four bytes as a varint.
pub(crate) const TTL_MAX: u32 = (1 << 27) - 1;
/// What ends leaves the summary at multiples of so many seconds (rule R4), and so many around them are quiet.
const SWEEP: u32 = 16;
const QUIET: u32 = 2;
