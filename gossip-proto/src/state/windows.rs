//! The windows of the store: made when an origin is heard of, compared with those of others, dropped when all is over.
//!
//! A window is for 64 messages of one origin and one topic: two nodes compare those of the topics that both want, as they
//! compare entries. So an origin gives out its numbers by the window, each to one topic. A window whose topic is not
//! wanted stays, so that nothing is taken twice if it is wanted again, and is in no summary; so is one that this node has
//! published in: who wants it is told of it (`own_apart`). The window of another comes back when the first tells of it.
//!
//! Knows: the tree of windows, and what another's window says. Does not know: what is in a window (`window`), nor how
//! messages are held (`messages`).
//! When full: at most a quarter of the slots are windows, gaps that are still to be told among them; no more are made, and
//! what they would be for is refused.

use super::messages::{POSSIBLE, name_of, second};
use super::slot::Flag;
use super::store::Store;
use super::window::{SPAN, Window, span_start};
use crate::slab::index::{Index, Item, Key, Prefix};
use crate::wire::{Bits, WindowItem};

impl Store<'_> {
    /// Takes in what another has seen, and says which of those messages are to be asked for; `None` if there is no room
    /// for a window, or its time cannot be right.
    pub(crate) fn window_take(&mut self, at: u64, item: &WindowItem) -> Option<u64> {
        let until = item.until;
        if self.is_over(at, span_start(until)) || item.seen.get() == 0 {
            return Some(0);
        }
        if span_start(until) > at.saturating_add(UNTIL_AHEAD_MAX) {
            return None;
        }
        // What nobody has any more is history, if this is the first that we hear of the origin.
        let (seen, held) = (item.seen.get(), item.held());
        let news = if held > 0 { held.trailing_zeros() } else { 64 - seen.leading_zeros() };
        let slot = self.window_for((item.topic, item.origin, item.base), news as u8)?;
        let lacking = seen & !self.window(slot).seen;
        let over = if item.settled { lacking & !held } else { 0 };
        // It was not wanted for a while: what was over by now is history.
        let again = !self.messages.windows.counted(&self.cells, slot);
        self.messages.windows.update(&mut self.cells, slot, Some(Item::ZERO));
        self.window_update(slot, |window| {
            if again {
                window.history = (over & u64::MAX << (window.first & 63)).count_ones() as u8;
            }
            window.over |= over;
            window.until = window.until.max(until);
        });
        Some(lacking & held)
    }

    /// What a window says to others.
    pub(crate) fn window_item(&self, at: u64, slot: usize) -> Option<WindowItem> {
        let window = self.slots.get(slot).filter(|slot| slot.has(Flag::Alive)).map(|_| self.window(slot))?;
        let name = self.messages.windows.key(&self.cells, slot);
        let (topic, origin, base) = (name.topic(), origin_of(name, &window), base_of(name));
        let held = self.held_in(origin, base).filter(|ix| !self.is_over(at, self.over(*ix)));
        let held = held.fold(0, |held, ix| held | 1 << (self.messages.held.key(&self.cells, ix).key() % 64));
        let settled = at >= span_start(window.evicted);
        let (seen, gone) = (Bits::of(window.known()), Bits::of(window.known() & !held));
        Some(WindowItem { topic, origin, base, seen, gone, until: window.until, settled })
    }

    /// The slots of the messages of a window that are held.
    fn held_in(&self, origin: u64, base: u32) -> impl Iterator<Item = usize> {
        let name = name_of(origin, base);
        let stretch = Prefix::of(name, STRETCH_BITS);
        let first = self.messages.held.ceiling(&self.cells, name);
        core::iter::successors(first, |ix| self.messages.held.next(&self.cells, *ix))
            .take_while(move |ix| stretch.contains(self.messages.held.key(&self.cells, *ix)))
    }

    /// The slot of the window of this name.
    pub(crate) fn window_find(&self, name: Key) -> Option<usize> {
        if POSSIBLE { self.messages.windows.get(&self.cells, name) } else { None }
    }

    /// The slot of the window that a message belongs to.
    pub(crate) fn window_slot(&self, (topic, origin, sequence): Place) -> Option<usize> {
        let slot = self.messages.windows.get(&self.cells, window_name((topic, origin, sequence)))?;
        Some(slot).filter(|slot| self.window(*slot).low == origin as u32)
    }

    /// The slot of the window of the message in a slot.
    pub(crate) fn window_of(&self, slot: usize) -> Option<usize> {
        let item = self.publication(slot);
        self.window_slot((self.message_topic(item.topic), item.origin, item.sequence))
    }

    /// The last window of an origin in a topic: its first number, and how many of its numbers are given out.
    #[cfg(feature = "messages")]
    pub(super) fn window_last(&self, topic: u32, origin: u64) -> Option<(u32, u32)> {
        let first = window_name((topic, origin, 0));
        let all = Prefix::of(first, ORIGIN_BITS);
        let first = self.messages.windows.ceiling(&self.cells, first);
        let last = core::iter::successors(first, |ix| self.messages.windows.next(&self.cells, *ix))
            .take_while(|ix| all.contains(self.messages.windows.key(&self.cells, *ix)))
            .filter(|ix| self.window(*ix).low == origin as u32)
            .last()?;
        Some((base_of(self.messages.windows.key(&self.cells, last)), 64 - self.window(last).seen.leading_zeros()))
    }

    /// The first window at or after a place that an origin published in and that is in no summary, and where to go on.
    pub(crate) fn own_apart(&self, origin: u64, mut from: Key) -> Option<(usize, Option<Key>)> {
        for _ in 0..SEEK_MAX {
            let slot = self.messages.windows.ceiling(&self.cells, from)?;
            let key = self.messages.windows.key(&self.cells, slot);
            let own = window_name((key.topic(), origin, 0));
            if !Prefix::of(own, ORIGIN_BITS).contains(key) {
                from = if key < own { own } else { Key::new(key.topic().checked_add(1)?, 0) };
            } else if self.messages.windows.counted(&self.cells, slot) {
                from = key.successor()?;
            } else {
                return Some((slot, key.successor()));
            }
        }
        None
    }

    /// Looks at this many windows from a place on: of a topic that is not wanted, those of others lose their messages and
    /// leave the summary, our own leave the summary. Says where to go on, and how many messages were dropped.
    pub(crate) fn shed_windows(&mut self, life: u64, from: Key, look: usize) -> (Option<Key>, u32) {
        let (mut from, mut shed) = (Some(from), 0);
        for _ in 0..look {
            let next = from.and_then(|from| self.messages.windows.ceiling(&self.cells, from));
            let Some(slot) = next else { return (None, shed) };
            let name = self.messages.windows.key(&self.cells, slot);
            let (window, wanted) = (self.window(slot), self.scope.wants_topic(name.topic()));
            let origin = origin_of(name, &window);
            if origin == life {
                let item = wanted.then(|| self.hash.window(name, window.known()));
                self.messages.windows.update(&mut self.cells, slot, item);
            } else if !wanted {
                loop {
                    let message = self.held_in(origin, base_of(name)).next();
                    let Some(message) = message else { break };
                    self.message_shed(message, slot);
                    shed += 1;
                }
                self.messages.windows.update(&mut self.cells, slot, None);
            }
            from = name.successor();
        }
        (from, shed)
    }

    /// The topic of a window.
    pub(crate) fn window_topic(&self, slot: usize) -> u32 {
        self.messages.windows.key(&self.cells, slot).topic()
    }

    /// Which of the 32 messages from `base` on are held here.
    pub(crate) fn held_from(&self, origin: u64, base: u32) -> u32 {
        let places = self.held_in(origin, base & !63).map(|ix| self.messages.held.key(&self.cells, ix).key());
        let held: u64 = places.fold(0, |held, place| held | 1 << (place % 64));
        (held >> (base & 32)) as u32
    }

    /// Whether windows were dropped here that others may still hold: such a difference is no news (rule R4).
    pub(crate) fn is_sweeping(&self, at: u64) -> bool {
        at < self.messages.passed.saturating_add(SWEEP)
    }

    pub(crate) fn has_windows(&self) -> bool {
        POSSIBLE && !self.messages.windows.is_empty()
    }

    /// The tree of windows.
    pub(crate) fn windows(&self) -> &Index {
        &self.messages.windows
    }

    pub(super) fn window(&self, slot: usize) -> Window {
        Window::read(self.blob(slot))
    }

    /// The window of a message, made if there is none; `news`: the place of the first message that is no history.
    pub(super) fn window_for(&mut self, place: Place, news: u8) -> Option<usize> {
        let (name, low) = (window_name(place), place.1 as u32);
        if let Some(slot) = self.messages.windows.get(&self.cells, name) {
            // Of two origins that begin alike the second is refused.
            return Some(slot).filter(|slot| self.window(*slot).low == low);
        }
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
        Window { first, low, ..Window::default() }.write(self.record_mut(slot));
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.set(Flag::Blob, true);
            slot.set(Flag::Alive, true);
        }
        let item = self.scope.wants_topic(name.topic()).then(|| self.hash.window(name, 0));
        self.messages.windows.insert(&mut self.cells, slot, name, item);
        Some(slot)
    }

    /// Changes a window, and keeps summary and deadline in step.
    pub(super) fn window_update(&mut self, slot: usize, change: impl FnOnce(&mut Window)) {
        let mut window = self.window(slot);
        change(&mut window);
        window.write(self.record_mut(slot));
        let name = self.messages.windows.key(&self.cells, slot);
        if self.messages.windows.counted(&self.cells, slot) {
            self.messages.windows.update(&mut self.cells, slot, Some(self.hash.window(name, window.known())));
        }
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
        // A window that is full is followed at once, and no other one is.
        let later = after.is_some() && after == name.successor();
        let origin = origin_of(name, &window);
        let wanted = origin != life && self.messages.windows.counted(&self.cells, slot);
        let missed = if wanted { window.missed(later) } else { 0 };
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

/// Where a message belongs: its topic's hash, its origin and its number.
pub(crate) type Place = (u32, u64, u32);

/// A window by its topic, the first 38 bits of its origin, which is a random number, and how many windows come before it.
fn window_name((topic, origin, sequence): Place) -> Key {
    Key::new(topic, origin & !NUMBER | u64::from(sequence / 64))
}

/// The first number of a window.
fn base_of(name: Key) -> u32 {
    (name.key() as u32) << 6
}

/// The origin of a window.
fn origin_of(name: Key, window: &Window) -> u64 {
    name.key() & !NUMBER | u64::from(window.low) & NUMBER
}

/// The part of a window's name that numbers those of an origin in a topic.
const NUMBER: u64 = (1 << 26) - 1;
/// How much of a window's name is the topic's and the origin's, and how much of a message's is alike in a window.
const ORIGIN_BITS: u8 = 70;
const STRETCH_BITS: u8 = 90;
/// How many windows and topics one search passes.
const SEEK_MAX: usize = 64;
/// How far ahead a window's end may lie, in µs: the longest life, a clock that is an hour ahead, and the rounding.
const UNTIL_AHEAD_MAX: u64 = (24 + 1) * 3_600_000_000 + 2 * SPAN;
/// How long a gap waits to be told, in µs.
const GAP_KEPT: u64 = 64_000_000;
/// For how long after windows were dropped differences are expected, in µs (rule R4).
const SWEEP: u64 = 2_000_000;
