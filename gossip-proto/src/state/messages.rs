//! Messages (rule R5): at most once to each node, in no order, kept for others until they are over.
//!
//! Knows: which messages were seen, one window for every 64 of an origin and topic; which are held, and which the
//! application was not told of yet. Both live in the store's slots and bytes as blobs; the windows are a tree that nodes compare. Does not
//! know: how messages travel, nor the wall clock: it is handed the time.
//! When full: at most a quarter of the slots are messages and a quarter windows; messages take at most a quarter of the
//! bytes. A message that finds no room drops the oldest ones that the application was told of, until they are over; if
//! there are none it is refused, and not seen: others may offer it again. A window is dropped only when its last message is
//! over; if there is no room for one, the message is refused.
//!
//! A message is taken in when its time is not over, here, and its bit is not set. A window outlives all its messages, and
//! time that has dropped a window never goes back: so nothing is taken in twice, whatever is replayed.

use core::time::Duration;

use super::slot::{Changed, Flag};
use super::store::Store;
use super::window::{SPAN, Window, span_after};
use crate::slab::Ix;
use crate::slab::arena::Arena;
use crate::slab::index::{Index, Key};
use crate::slab::list::List;
use crate::time::{Tick, micros};
use crate::wire::Publication;

/// Whether a node can hold messages at all: what only messages need is left out where it cannot.
pub(super) const POSSIBLE: bool = cfg!(feature = "messages");

/// The heads of what messages need.
#[derive(Debug)]
pub(super) struct Messages {
    /// The windows: what was seen. Shares its cells with the entries and with `held`, slot by slot.
    pub(super) windows: Index,
    /// The messages that are held, by name.
    pub(super) held: Index,
    /// What the application was not told of yet, and messages that it was told of, oldest first.
    pub(super) inbox: List<Changed>,
    told: List<Changed>,
    /// What the messages cost in the arena.
    bytes: u32,
    /// Slots of windows that are dropped, but for a gap to be told.
    pub(super) gaps: Ix,
    /// A gap was dropped untold.
    pub(super) lagged: bool,
    /// The first number of our next window.
    #[cfg(feature = "messages")]
    next: u32,
    /// The latest time at which a window was dropped: what was over by then is over.
    pub(super) passed: u64,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is new, and held in this slot.
    New(usize),
    /// It was seen before.
    Known,
    /// Its topic is not wanted.
    Unwanted,
    /// Its time is over.
    Over,
    /// There is no room, and nothing changed.
    Full,
    /// Longer, or for longer, than a message may be.
    Unfit,
}

/// What the application is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The message in this slot.
    Message(usize),
    /// So many messages of an origin will not come any more.
    Missed(u64, u32),
}

impl Messages {
    pub(super) const fn new() -> Self {
        Self {
            windows: Index::nth(1),
            held: Index::nth(2),
            inbox: List::new(),
            told: List::new(),
            bytes: 0,
            gaps: 0,
            lagged: false,
            #[cfg(feature = "messages")]
            next: 0,
            passed: 0,
        }
    }

    /// Slots in use.
    pub(super) fn slots(&self) -> usize {
        if !POSSIBLE {
            return 0;
        }
        self.windows.len() + self.held.len() + self.gaps as usize
    }
}

/// A time of the clock as the store's deadlines have it: in seconds since 1970, rounded up.
pub(super) fn second(wall: u64) -> Tick {
    Tick(u32::try_from(wall.div_ceil(1_000_000)).unwrap_or(u32::MAX))
}

impl Store<'_> {
    /// Keeps a message of our own, and says which number it has: the next in the last window of its topic.
    #[cfg(feature = "messages")]
    pub(crate) fn publish(&mut self, at: u64, mut item: Publication<'_>) -> (u32, Taken) {
        let next = self.messages.next;
        item.sequence = match self.window_last(self.message_topic(item.topic), item.origin) {
            Some((base, used)) if used < 64 => base + used,
            Some(_) => next,
            // One is passed over: only what follows a full window begins where that ends.
            None => {
                if next == 0 {
                    0
                } else {
                    next.wrapping_add(64)
                }
            }
        };
        let taken = self.message_keep(at, &item, true);
        if item.sequence.is_multiple_of(64) && matches!(taken, Taken::New(_)) {
            self.messages.next = item.sequence.wrapping_add(64);
        }
        (item.sequence, taken)
    }

    /// Takes in a message.
    pub(crate) fn message_take(&mut self, at: u64, item: &Publication<'_>) -> Taken {
        self.message_keep(at, item, false)
    }

    fn message_keep(&mut self, at: u64, item: &Publication<'_>, own: bool) -> Taken {
        if item.topic.len() > TOPIC_LEN_MAX || item.topic.len() + item.bytes.len() > self.message_len_max() {
            return Taken::Unfit;
        }
        if u64::from(item.ttl) > micros(TTL_MAX) / 1000 {
            return Taken::Unfit;
        }
        let over = over_at(item.stamp, item.ttl);
        if self.is_over(at, over) {
            return Taken::Over;
        }
        let (name, bit) = (name_of(item.origin, item.sequence), 1 << (item.sequence % 64));
        let topic = self.message_topic(item.topic);
        if !own && !self.scope.wants_topic(topic) {
            return Taken::Unwanted;
        }
        let place = (topic, item.origin, item.sequence);
        let before = self.window_slot(place).map(|slot| self.window(slot));
        if before.is_some_and(|window| window.seen & bit != 0) || self.messages.held.get(&self.cells, name).is_some() {
            return Taken::Known;
        }
        let Some(window) = self.window_for(place, (item.sequence % 64) as u8) else {
            return Taken::Full;
        };
        let Some(slot) = self.message_slot(HEAD_LEN + item.topic.len() + item.bytes.len()) else {
            if before.is_none() {
                self.window_free(window);
            }
            return Taken::Full;
        };
        let head = [item.urgent.into(), item.topic.len() as u8];
        let parts: [&[u8]; 5] = [&item.stamp.to_le_bytes(), &item.ttl.to_le_bytes(), &head, item.topic, item.bytes];
        self.record_mut(slot).iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
        self.messages.held.insert(&mut self.cells, slot, name, None);
        self.set_deadline(slot, second(over));
        self.list_message(slot, own);
        self.window_update(window, |window| {
            window.seen |= bit;
            window.until = window.until.max(until(over));
        });
        Taken::New(slot)
    }

    /// The slot of a message that is held.
    pub(crate) fn message_find(&self, origin: u64, sequence: u32) -> Option<usize> {
        self.messages.held.get(&self.cells, name_of(origin, sequence))
    }

    pub(crate) fn is_message(&self, slot: usize) -> bool {
        POSSIBLE && self.has(slot, Flag::Message)
    }

    /// The message in a slot; empty if there is none.
    pub(crate) fn publication(&self, slot: usize) -> Publication<'_> {
        let (origin, sequence) = origin_of(self.messages.held.key(&self.cells, slot));
        let record = if self.is_message(slot) { self.blob(slot) } else { &[] };
        let (&head, rest) = record.split_first_chunk::<HEAD_LEN>().unwrap_or((&[0; HEAD_LEN], &[]));
        let [a, b, c, d, e, f, g, h, t0, t1, t2, t3, urgent, topic_len] = head;
        let (topic, bytes) = rest.split_at_checked(topic_len.into()).unwrap_or_default();
        let (stamp, ttl) = (u64::from_le_bytes([a, b, c, d, e, f, g, h]), u32::from_le_bytes([t0, t1, t2, t3]));
        Publication { origin, sequence, stamp, ttl, urgent: urgent != 0, topic, bytes }
    }

    /// Whether the message in a slot may still be passed on.
    pub(crate) fn is_current(&self, at: u64, slot: usize) -> bool {
        !self.is_over(at, self.over(slot))
    }

    /// The deadline of a message or a window has come. Says how many messages were missed for good. Does nothing for
    /// another slot.
    pub(crate) fn message_due(&mut self, at: u64, life: u64, slot: usize) -> u32 {
        if self.is_message(slot) {
            let over = self.over(slot);
            if !self.is_over(at, over) {
                // The clock was set back.
                self.set_deadline(slot, second(over));
                return 0;
            }
            let unread = u8::from(!self.has(slot, Flag::Told));
            let window = self.window_of(slot);
            self.message_free(slot);
            if let Some(window) = window.filter(|_| unread > 0) {
                self.window_update(window, |window| window.unread = window.unread.saturating_add(unread));
            }
            0
        } else if self.has(slot, Flag::Alive) {
            self.window_due(at, life, slot)
        } else {
            self.messages.lagged |= !self.has(slot, Flag::Told);
            self.gap_free(slot);
            0
        }
    }

    /// The next thing to tell the application.
    pub(crate) fn poll_message(&mut self) -> Option<Told> {
        let topic = |slot| self.message_topic(self.publication(slot).topic);
        let first = self.messages.inbox.first()?;
        if !self.scope.is_all() && self.is_message(first) && !self.scope.wants_topic(topic(first)) {
            // It is not wanted any more, and is about to be dropped.
            return None;
        }
        let slot = self.messages.inbox.pop_front(&mut self.slots)?;
        self.slots.get_mut(slot)?.set(Flag::Told, true);
        if self.is_message(slot) {
            self.messages.told.push_back(&mut self.slots, slot);
            return Some(Told::Message(slot));
        }
        let gap = Window::read(self.blob(slot));
        Some(Told::Missed(gap.seen, gap.over as u32))
    }

    /// The most that topic and bytes of a message may take: what a datagram has besides envelope and header (48), mark 1,
    /// tag 1, origin 8, sequence 5, stamp 8, ttl 5, urgency 1 and the two lengths 2 and 3.
    pub(crate) fn message_len_max(&self) -> usize {
        // A version takes 40 bytes more than a message: see `content_len_max`.
        self.content_len_max + 40
    }

    /// How many messages may be held.
    pub(crate) fn messages_max(&self) -> usize {
        self.capacity() / 4
    }

    /// How many messages are held.
    #[cfg(feature = "messages")]
    pub(crate) fn messages_used(&self) -> usize {
        self.messages.held.len()
    }

    /// Whether [`Store::poll_message`] has something to say.
    pub(crate) fn has_message(&self) -> bool {
        POSSIBLE && self.messages.inbox.first().is_some()
    }

    pub(super) fn is_over(&self, at: u64, over: u64) -> bool {
        over <= at.max(self.messages.passed)
    }

    /// When the message in a slot is over.
    pub(super) fn over(&self, slot: usize) -> u64 {
        let item = self.publication(slot);
        over_at(item.stamp, item.ttl)
    }

    /// A slot with room for a message, for which older ones may have to go.
    fn message_slot(&mut self, len: usize) -> Option<usize> {
        let cost = Arena::cost(len);
        if cost > self.arena.capacity() / 4 || len > self.arena.record_max() {
            return None;
        }
        while !self.message_fits(cost) {
            let oldest = self.messages.told.first()?;
            self.evict(oldest);
        }
        let slot = self.take_slot()?;
        if !self.reserve(slot, len) {
            self.give_slot(slot);
            return None;
        }
        self.messages.bytes += cost as u32;
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.set(Flag::Blob, true);
            slot.set(Flag::Message, true);
        }
        Some(slot)
    }

    fn message_fits(&self, cost: usize) -> bool {
        self.messages.held.len() < self.messages_max()
            && (self.messages.bytes as usize + cost) * 4 <= self.arena.capacity()
            && self.arena.admits(cost)
            && self.has_slot()
    }

    /// Puts a message in the list of what is to be told; our own is known.
    fn list_message(&mut self, slot: usize, own: bool) {
        if own {
            self.messages.told.push_back(&mut self.slots, slot);
            if let Some(slot) = self.slots.get_mut(slot) {
                slot.set(Flag::Told, true);
            }
        } else {
            self.messages.inbox.push_back(&mut self.slots, slot);
        }
    }

    /// Drops a message before its time: this node cannot pass it on any more, and has still seen it.
    fn evict(&mut self, slot: usize) {
        if let Some(window) = self.window_of(slot) {
            self.message_shed(slot, window);
        }
        self.messages_evicted += 1;
    }

    /// The same, or since it is not wanted: one that the application was not told of is not seen any more.
    pub(super) fn message_shed(&mut self, slot: usize, window: usize) {
        let (over, told) = (span_after(self.over(slot)), self.has(slot, Flag::Told));
        let bit = 1 << (self.messages.held.key(&self.cells, slot).key() % 64);
        self.message_free(slot);
        let mut it = self.window(window);
        it.evicted = it.evicted.max(over);
        it.seen &= if told { u64::MAX } else { !bit };
        it.write(self.record_mut(window));
    }

    fn message_free(&mut self, slot: usize) {
        if self.has(slot, Flag::Told) {
            self.messages.told.remove(&mut self.slots, slot);
        } else {
            self.messages.inbox.remove(&mut self.slots, slot);
        }
        self.messages.held.remove(&mut self.cells, slot);
        let cost = Arena::cost(self.blob(slot).len());
        self.messages.bytes = self.messages.bytes.saturating_sub(cost as u32);
        self.free_bytes(slot);
        self.give_slot(slot);
    }
}

/// A message by its origin and number: in the order of both, so that a window is a prefix.
pub(crate) fn name_of(origin: u64, sequence: u32) -> Key {
    Key::new((origin >> 32) as u32, origin << 32 | u64::from(sequence))
}

/// The origin and number of a name.
pub(crate) fn origin_of(name: Key) -> (u64, u32) {
    (u64::from(name.topic()) << 32 | name.key() >> 32, name.key() as u32)
}

/// When a message is over, in µs since 1970.
fn over_at(stamp: u64, ttl: u32) -> u64 {
    stamp.saturating_add(u64::from(ttl) * 1000)
}

/// When a window may go whose last message is over then: half a span later at least, in which those that missed the
/// message hear that it is over.
const fn until(over: u64) -> u32 {
    span_after(over.saturating_add(SPAN / 2))
}

/// The longest that a message may live.
pub(crate) const TTL_MAX: Duration = Duration::from_secs(24 * 3600);
/// The longest topic of a message.
pub(crate) const TOPIC_LEN_MAX: usize = 255;
/// Stamp, lifetime, urgency and length of the topic.
const HEAD_LEN: usize = 14;
