//! The windows of the store: made when an origin is heard of, compared with those of others, dropped when all is over.
//!
//! Knows: the tree of windows, and what another's window says. Does not know: what is in a window (`window`), nor how
//! messages are held (`messages`).
//! When full: at most a quarter of the slots are windows, gaps that are still to be told among them; no more are made, and
//! what they would be for is refused.

use super::messages::{POSSIBLE, name_of, origin_of, second};
use super::slot::Flag;
use super::store::Store;
use super::window::{SPAN, Window, span_start};
use crate::slab::index::{Index, Prefix};
use crate::wire::WindowItem;

impl Store<'_> {
    /// Takes in what another has seen, and says which of those messages are to be asked for; `None` if there is no room
    /// for a window, or its time cannot be right.
    pub(crate) fn window_take(&mut self, at: u64, item: &WindowItem) -> Option<u64> {
        let until = item.until;
        if self.is_over(at, span_start(until)) || item.seen == 0 {
            return Some(0);
        }
        if span_start(until) > at.saturating_add(UNTIL_AHEAD_MAX) {
            return None;
        }
        // What nobody has any more is history, if this is the first that we hear of the origin.
        let news = if item.held > 0 { item.held.trailing_zeros() } else { 64 - item.seen.leading_zeros() };
        let slot = self.window_for(item.origin, item.base, news as u8)?;
        let lacking = item.seen & !self.window(slot).seen;
        let over = if item.settled { lacking & !item.held } else { 0 };
        self.window_update(slot, |window| {
            window.over |= over;
            window.until = window.until.max(until);
        });
        Some(lacking & item.held)
    }

    /// What a window says to others.
    pub(crate) fn window_item(&self, at: u64, slot: usize) -> Option<WindowItem> {
        let window = self.slots.get(slot).filter(|slot| slot.has(Flag::Alive)).map(|_| self.window(slot))?;
        let name = self.messages.windows.key(&self.cells, slot);
        let (origin, base) = origin_of(name);
        let stretch = Prefix::of(name, WINDOW_BITS);
        let first = self.messages.held.ceiling(&self.cells, name);
        let held = core::iter::successors(first, |ix| self.messages.held.next(&self.cells, *ix))
            .take_while(|ix| stretch.contains(self.messages.held.key(&self.cells, *ix)))
            .filter(|ix| !self.is_over(at, self.over(*ix)))
            .fold(0, |held, ix| held | 1 << (self.messages.held.key(&self.cells, ix).key() % 64));
        let settled = at >= span_start(window.evicted);
        Some(WindowItem { origin, base, seen: window.known(), held, until: window.until, settled })
    }

    /// The slot of the window that a message belongs to.
    pub(crate) fn window_slot(&self, origin: u64, sequence: u32) -> Option<usize> {
        if !POSSIBLE {
            return None;
        }
        self.messages.windows.get(&self.cells, name_of(origin, sequence & !63))
    }

    /// Which of the 32 messages from `base` on were seen here.
    pub(crate) fn seen(&self, origin: u64, base: u32) -> u32 {
        let seen = self.window_slot(origin, base).map_or(0, |slot| self.window(slot).seen);
        (seen >> (base & 32)) as u32
    }

    /// Whether windows were dropped here that others may still hold: such a difference is no news (rule R4).
    pub(crate) fn is_sweeping(&self, at: u64) -> bool {
        at < self.messages.passed.saturating_add(SWEEP)
    }

    pub(crate) fn has_windows(&self) -> bool {
        POSSIBLE && self.messages.windows.ceiling(&self.cells, Prefix::ROOT.first()).is_some()
    }

    /// The tree of windows.
    pub(crate) fn windows(&self) -> &Index {
        &self.messages.windows
    }

    pub(super) fn window(&self, slot: usize) -> Window {
        Window::read(self.blob(slot))
    }

    /// The window of a message, made if there is none; `news`: the place of the first message that is no history.
    pub(super) fn window_for(&mut self, origin: u64, sequence: u32, news: u8) -> Option<usize> {
        if let Some(slot) = self.window_slot(origin, sequence) {
            return Some(slot);
        }
        let name = name_of(origin, sequence & !63);
        if (self.messages.windows.len() + self.messages.gaps as usize + 1) * 4 > self.capacity() {
            return None;
        }
        let slot = self.take_slot()?;
        if !self.reserve(slot, Window::LEN) {
            self.give_slot(slot);
            return None;
        }
        let known = self.messages.windows.sum(&self.cells, Prefix::of(name, ORIGIN_BITS)).count > 0;
        let first = if known { 0 } else { news };
        Window { first, ..Window::default() }.write(self.record_mut(slot));
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.set(Flag::Blob, true);
            slot.set(Flag::Alive, true);
        }
        let item = self.hash.window(name, 0);
        self.messages.windows.insert(&mut self.cells, slot, name, Some(item));
        Some(slot)
    }

    /// Changes a window, and keeps summary and deadline in step.
    pub(super) fn window_update(&mut self, slot: usize, change: impl FnOnce(&mut Window)) {
        let mut window = self.window(slot);
        change(&mut window);
        window.write(self.record_mut(slot));
        let name = self.messages.windows.key(&self.cells, slot);
        self.messages.windows.update(&mut self.cells, slot, Some(self.hash.window(name, window.known())));
        self.set_deadline(slot, second(span_start(window.until)));
    }

    /// All messages of a window are over.
    pub(super) fn window_due(&mut self, at: u64, life: u64, slot: usize) -> u32 {
        let window = self.window(slot);
        let end = span_start(window.until);
        if !self.is_over(at, end) {
            self.set_deadline(slot, second(end));
            return 0;
        }
        self.messages.passed = self.messages.passed.max(end);
        let name = self.messages.windows.key(&self.cells, slot);
        let after =
            self.messages.windows.next(&self.cells, slot).map(|next| self.messages.windows.key(&self.cells, next));
        let later = after.is_some_and(|after| Prefix::of(name, ORIGIN_BITS).contains(after));
        let (origin, _) = origin_of(name);
        let missed = if origin == life { 0 } else { window.missed(later) };
        if missed == 0 {
            self.window_free(slot);
            return 0;
        }
        // Until it is told, or too late to be, the slot keeps whose messages were missed, and how many.
        self.messages.windows.remove(&mut self.cells, slot);
        Window { seen: origin, over: missed.into(), ..window }.write(self.record_mut(slot));
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.set(Flag::Alive, false);
        }
        self.messages.gaps += 1;
        self.messages.inbox.push_back(&mut self.slots, slot);
        self.set_deadline(slot, second(at.saturating_add(GAP_KEPT)));
        missed
    }

    pub(super) fn window_free(&mut self, slot: usize) {
        self.messages.windows.remove(&mut self.cells, slot);
        self.free_bytes(slot);
        self.give_slot(slot);
    }

    pub(super) fn gap_free(&mut self, slot: usize) {
        self.messages.inbox.remove(&mut self.slots, slot);
        self.messages.gaps = self.messages.gaps.saturating_sub(1);
        self.free_bytes(slot);
        self.give_slot(slot);
    }
}

/// How much of a name is the origin's, and how much is alike in a window.
const ORIGIN_BITS: u8 = 64;
const WINDOW_BITS: u8 = 90;
/// How far ahead a window's end may lie, in µs: the longest life, a clock that is an hour ahead, and the rounding.
const UNTIL_AHEAD_MAX: u64 = (24 + 1) * 3_600_000_000 + 2 * SPAN;
/// How long a gap waits to be told, in µs.
const GAP_KEPT: u64 = 64_000_000;
/// For how long after windows were dropped differences are expected, in µs (rule R4).
const SWEEP: u64 = 2_000_000;
