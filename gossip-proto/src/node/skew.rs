//! Clocks that differ by more than anybody believes: who says so, and what becomes of stamps that were given meanwhile.
//!
//! A stamp too far ahead is refused, and whoever offered it is told which entry and what the time is here. It cannot know
//! who is wrong, so it believes two different members. When its own clock has been set back, what it wrote before is
//! corrected by as much, entry by entry, as each is refused or written to or met: so those writes are where they belong
//! among those of the others. No key stays frozen, for it or for anybody, and no call walks through the table.
//!
//! Without feature `skew` a node refuses such stamps, counted, and no more is said of them: what it wrote itself while its
//! clock was ahead is nobody's but its own until that time has come. A node without a clock of its own needs no more.
//!
//! Knows: the clock, the store, who said what. Does not know: which of two clocks is right.
//! When full: at most [`AHEAD_MAX`] answers wait at once; what is not answered is offered again.

use core::time::Duration;

use super::input::Context;
use super::{Lifecycle, Node};
use crate::addr::NodeId;
use crate::event::Event;
use crate::repair::Task;
use crate::slab::index::Key;
use crate::state::Kind;
use crate::time::Instant;
use crate::wire::Table;

/// What the others' stamps say of our clock.
#[derive(Debug, Default)]
pub(super) struct Skew {
    /// Who said first that it is behind, and who that it is ahead.
    first: [Option<NodeId>; 2],
    told: [bool; 2],
    due: Option<(bool, u64)>,
    /// How far the clock was set back last; 0 if it never was.
    back: u64,
}

impl Skew {
    /// A member's time and ours are this far apart, in µs.
    fn hear(&mut self, ahead: bool, by: NodeId, apart: u64) {
        let side = usize::from(ahead);
        let (Some(first), Some(told)) = (self.first.get_mut(side), self.told.get_mut(side)) else { return };
        match first {
            None => *first = Some(by),
            Some(first) if *first != by && !*told => {
                *told = true;
                self.due = Some((ahead, apart));
            }
            Some(_) => {}
        }
    }
}

impl Node<'_> {
    pub(super) fn set_clock(&mut self, now: Instant, unix_micros: u64) {
        // Without a clock of its own it may have followed one that was wrong.
        let before = self.clock.own_estimate(now).unwrap_or(self.clock.newest_given());
        if !self.clock.set_wall(now, unix_micros) || before.abs_diff(unix_micros) <= self.clock.skew_max() {
            return;
        }
        self.skew = Skew { back: self.skew.back, ..Skew::default() };
        if before > unix_micros {
            self.skew.back = before - unix_micros;
            // Stamps of the other time may come again: to no life that gave them.
            self.life = self.rng.secret();
            self.clock.forget_given();
        }
    }

    /// An entry was refused, since its stamp is too far ahead.
    #[inline(never)]
    pub(super) fn refuse_stamp(&mut self, context: &Context, kind: u8, key: &[u8], stamp: u64) {
        self.stats.refused_stamp += 1;
        let Some(estimate) = self.clock.own_estimate(context.now).filter(|_| self.config.has_skew()) else { return };
        self.skew.hear(false, context.sender, stamp.saturating_sub(estimate));
        if let Some(kind) = Kind::from_wire(kind).filter(|_| self.replies.aheads() < AHEAD_MAX) {
            let place = self.store.place(kind, key);
            self.owe_key(context.reply, Table::Entries, Task::Ahead, place);
        }
    }

    /// A member refuses an entry of ours, by what it takes the time to be.
    #[inline(never)]
    pub(super) fn take_ahead(&mut self, context: &Context, place: Key, theirs: u64) {
        if !self.config.has_skew() {
            return;
        }
        let Some(slot) = self.store.find_hash(place).filter(|_| self.lifecycle != Lifecycle::Leaving) else { return };
        let stamp = self.store.newest_stamp(slot);
        if stamp <= theirs {
            return;
        }
        self.stats.stamps_refused += 1;
        if self.correct(context.now, slot) {
            self.refresh_root();
            self.entry_changed(context.now, slot, false);
        } else if let Some(ours) = self.clock.own_estimate(context.now).filter(|ours| *ours > theirs) {
            self.skew.hear(true, context.sender, ours - theirs);
        }
    }

    /// Corrects an entry whose stamp is of the time before the clock was set back; says whether it was one.
    pub(super) fn correct(&mut self, now: Instant, slot: usize) -> bool {
        let (back, limit) = (self.skew.back, self.clock.limit(now));
        self.config.has_skew()
            && back > 0
            && limit.is_some_and(|limit| self.store.correct(slot, limit, back, self.life))
    }

    /// As [`Node::correct`], of the entry that is about to be written or met, if there is one.
    pub(super) fn correct_key(&mut self, now: Instant, kind: Kind, key: &[u8]) {
        if self.config.has_skew() && self.skew.back > 0 {
            if let Some(slot) = self.store.find_part(kind, key) {
                self.correct(now, slot);
            }
        }
    }

    /// A write was made upon a stamp of that time, and so after it: it is of now. Returns its stamp.
    pub(super) fn correct_own(&mut self, now: Instant, slot: usize, stamp: u64) -> u64 {
        if !self.config.has_skew() {
            return stamp;
        }
        let Some(limit) = self.clock.limit(now).filter(|limit| self.skew.back > 0 && stamp > *limit) else {
            return stamp;
        };
        let right = self.clock.stamp(now);
        self.store.correct(slot, limit, stamp.saturating_sub(right), self.life);
        right
    }

    pub(super) fn poll_skew(&mut self) -> Option<Event<'static>> {
        let (ahead, apart) = self.skew.due.take().filter(|_| self.config.has_skew())?;
        Some(Event::ClockDiffers { ahead, by: Duration::from_micros(apart) })
    }
}

/// More of them would leave no room for what else is owed.
const AHEAD_MAX: usize = 4;
