//! Messages of the application: publishing them, taking them in, asking for those that were missed.
//!
//! Knows: all rooms, as the doors do. Does not know: what a window is made of.
//!
//! A message travels as an entry does: whole while hardly anybody can have it, or when it is small or urgent; else as the
//! window that has its bit, and who lacks it asks. Windows are compared like any table, so what rumors miss is found.

use super::Node;
use super::input::Context;
use super::output::Filling;
use super::rows::Rest;
use crate::config::Spread;
use crate::event::Event;
use crate::repair::{Row, Task};
use crate::slab::index::{Key, Prefix};
use crate::state::{Taken, Told, name_of, origin_of};
use crate::stats::Count;
use crate::time::Instant;
use crate::wire::{Message, Missing, Publication, Table, WindowItem};

impl Node<'_> {
    #[cfg(feature = "messages")]
    pub(super) fn publish_message(
        &mut self,
        now: Instant,
        topic: &[u8],
        bytes: &[u8],
        options: crate::state::PublishOptions,
    ) -> Result<u32, crate::error::PublishError> {
        use crate::error::PublishError;
        use crate::state::{MESSAGE_TTL_MAX, TOPIC_LEN_MAX};
        use crate::time::micros;

        let now = self.advance(now);
        if matches!(self.lifecycle, super::Lifecycle::Leaving | super::Lifecycle::Left) {
            return Err(PublishError::Left);
        }
        let max = self.store.message_len_max();
        if topic.len() > TOPIC_LEN_MAX {
            return Err(PublishError::TopicLen { max: TOPIC_LEN_MAX });
        }
        if topic.len() + bytes.len() > max {
            return Err(PublishError::Len { max });
        }
        if options.ttl > MESSAGE_TTL_MAX || micros(options.ttl) < 1_000 {
            return Err(PublishError::Ttl { max: MESSAGE_TTL_MAX });
        }
        if !self.config.has_messages() {
            return Err(PublishError::Full { max: 0 });
        }
        let at = self.moment(now).ok_or(PublishError::NoTime)?;
        let (origin, ttl, urgent) = (self.life, (micros(options.ttl) / 1000) as u32, options.urgent);
        let item = Publication { origin, sequence: 0, stamp: at, ttl, urgent, topic, bytes };
        let published = self.store.publish(at, item);
        self.stats.messages_evicted = self.store.messages_evicted;
        match published {
            (sequence, Taken::New(slot)) => {
                self.message_news(now, slot, urgent);
                Ok(sequence)
            }
            _ => Err(PublishError::Full { max: self.store.messages_max() }),
        }
    }

    /// The time in µs since 1970; `None` while this node has heard of no wall clock.
    pub(super) fn moment(&self, now: Instant) -> Option<u64> {
        self.clock.now_estimate(now)
    }

    /// A message is new here: pass it on, and soon; an urgent one now.
    fn message_news(&mut self, now: Instant, slot: usize, urgent: bool) {
        self.session(Table::Messages).resume();
        if self.members.peers() == 0 {
            return;
        }
        self.store.heat(slot, self.transmissions(), urgent);
        if urgent {
            self.rounds.begin_at(now);
        } else {
            self.rounds.hasten(now);
        }
    }

    #[inline(never)]
    pub(super) fn take_publication(&mut self, context: &Context, item: &Publication<'_>) {
        if !self.config.has_messages() {
            return self.stats.refused_message += 1;
        }
        if item.origin == self.life {
            // We know what we said.
            return self.stats.messages_known += 1;
        }
        if !self.clock.accept(context.now, item.stamp) {
            return self.stats.refused_stamp += 1;
        }
        let Some(at) = self.moment(context.now) else { return self.stats.refused_message += 1 };
        let taken = self.store.message_take(at, item);
        self.stats.messages_evicted = self.store.messages_evicted;
        match taken {
            Taken::New(slot) => {
                self.stats.messages_new += 1;
                if context.copies {
                    self.session(Table::Messages).resume();
                    self.session_heard(context, Table::Messages);
                } else {
                    self.message_news(context.now, slot, item.urgent);
                }
            }
            Taken::Known => self.stats.messages_known += 1,
            Taken::Unwanted => self.stats.entries_unwanted += 1,
            Taken::Over => self.stats.messages_over += 1,
            Taken::Full => self.stats.messages_full += 1,
            Taken::Unfit => self.stats.refused_message += 1,
        }
    }

    /// Another says what it has seen: ask for what we have not.
    #[inline(never)]
    pub(super) fn take_window(&mut self, context: &Context, item: &WindowItem) {
        if !self.config.has_messages() {
            return self.stats.refused_message += 1;
        }
        let Some(at) = self.moment(context.now).filter(|_| item.origin != self.life) else { return };
        if !self.store.scope.wants_topic(item.topic) {
            return self.stats.entries_unwanted += 1;
        }
        let Some(wanted) = self.store.window_take(at, item) else { return self.stats.messages_full += 1 };
        if context.copies {
            self.session_heard(context, Table::Messages);
            if wanted > 0 {
                self.session(Table::Messages).asked();
            }
        }
        for half in [0, 32] {
            let base = item.base.wrapping_add(half);
            let mut ask = 0;
            for place in (0..32).filter(|place| wanted >> (half + place) & 1 == 1) {
                // A session asks for all; of offers the first that comes will do.
                let number = item.origin as u32 ^ base.wrapping_add(place);
                if context.copies || self.wanted.ask(name_of(0, number), context.now) {
                    ask |= 1 << place;
                }
            }
            if ask == 0 {
                continue;
            }
            let key = name_of(item.origin, base);
            if let Some(to) = context.reply {
                self.push_row(Row::of_key(to, Table::Messages, Task::Missing(ask), key).copies(context.copies));
            }
        }
    }

    #[inline(never)]
    pub(super) fn take_missing(&mut self, context: &Context, missing: &Missing) {
        let key = name_of(missing.origin, missing.base);
        if let Some(to) = context.reply.filter(|_| self.config.has_messages()) {
            let task = Task::Give { wanted: missing.wanted, datagrams: GIVE_DATAGRAMS };
            self.push_row(Row::of_key(to, Table::Messages, task, key).copies(context.copies));
        }
    }

    /// What passes a message on: itself, or the window with its bit.
    pub(super) fn push_message_news(&self, filling: &mut Filling<'_>, slot: usize, limit: usize) -> Option<usize> {
        if !self.config.has_messages() {
            return Some(0);
        }
        let item = self.store.publication(slot);
        let sent = self.transmissions().saturating_sub(self.store.left(slot));
        let first = item.origin == self.life && sent < self.config.fanout;
        let small = item.topic.len() + item.bytes.len() <= super::output::WHOLE_LEN;
        if first || small || item.urgent || self.config.spread == Spread::Push {
            return self.push_message(filling, slot, false, limit);
        }
        let window = self.store.window_of(slot)?;
        if filling.offered == Some(window) {
            return Some(0);
        }
        let used = self.push_window(filling, window, false, limit)?;
        filling.offered = Some(window);
        Some(used)
    }

    /// Whether there are messages here that a member wants, too.
    pub(super) fn shares_messages(&self, peer: Option<usize>) -> bool {
        self.store.has_windows() && self.tree(Table::Messages, peer).count(Prefix::ROOT) > 0
    }

    /// The first of our own windows from a place on that is in no summary, since we do not want its topic, and that a
    /// member wants; and where to go on.
    pub(super) fn own_apart(&self, peer: usize, mut from: Key) -> Option<(usize, Option<Key>)> {
        if !self.store.has_windows() || self.store.scope.is_all() {
            return None;
        }
        let scope = self.scope_of(peer);
        loop {
            let (slot, next) = self.store.own_apart(self.life, from)?;
            if scope.wants_topic(self.store.window_topic(slot)) {
                return Some((slot, next));
            }
            from = next?;
        }
    }

    /// Offers a member what we have published and do not want: no comparison would find it.
    pub(super) fn push_apart(&self, filling: &mut Filling<'_>) {
        let (Some(peer), mut from) = (filling.to.slot, Some(Key::default())) else { return };
        while let Some((slot, next)) = from.and_then(|from| self.own_apart(peer, from)) {
            if self.push_window(filling, slot, false, usize::MAX).is_none() {
                break;
            }
            from = next;
        }
    }

    pub(super) fn push_window(
        &self,
        filling: &mut Filling<'_>,
        slot: usize,
        copy: bool,
        limit: usize,
    ) -> Option<usize> {
        if !self.config.has_messages() {
            return Some(0);
        }
        // What is no more is not said any more.
        let Some(item) = self.moment(self.now).and_then(|at| self.store.window_item(at, slot)) else { return Some(0) };
        filling.push(&Message::Window(item), copy, limit)
    }

    fn push_message(&self, filling: &mut Filling<'_>, slot: usize, copy: bool, limit: usize) -> Option<usize> {
        if !self.moment(self.now).is_some_and(|at| self.store.is_current(at, slot)) {
            return Some(0);
        }
        filling.push(&Message::Publication(self.store.publication(slot)), copy, limit)
    }

    /// The question for messages, but for those that have come meanwhile.
    #[cfg_attr(feature = "messages", inline(never))]
    pub(super) fn push_missing(&self, filling: &mut Filling<'_>, row: Row, wanted: u32, limit: usize) -> Option<usize> {
        if !self.config.has_messages() {
            return Some(0);
        }
        let (origin, base) = origin_of(row.key());
        let wanted = wanted & !self.store.held_from(origin, base);
        if wanted == 0 {
            return Some(0);
        }
        filling.push(&Message::Missing(Missing { origin, base, wanted }), row.is_copies(), limit)
    }

    /// Sends messages that were asked for, as many as fit.
    #[cfg_attr(feature = "messages", inline(never))]
    pub(super) fn fill_give(
        &self,
        filling: &mut Filling<'_>,
        mut row: Row,
        mut wanted: u32,
        datagrams: u8,
        mut limit: usize,
    ) -> Rest {
        if !self.config.has_messages() {
            return Rest::Done;
        }
        let (origin, base) = origin_of(row.key());
        while wanted > 0 {
            let sequence = base.wrapping_add(wanted.trailing_zeros());
            if let Some(slot) = self.store.message_find(origin, sequence) {
                let Some(used) = self.push_message(filling, slot, row.is_copies(), limit) else {
                    let Some(datagrams) = datagrams.checked_sub(1) else { return Rest::Done };
                    row.task = Task::Give { wanted, datagrams };
                    return Rest::More(row);
                };
                limit -= used;
            }
            wanted &= wanted - 1;
        }
        Rest::Done
    }

    /// A message or a window has come to its end.
    pub(super) fn message_due(&mut self, now: Instant, slot: usize) {
        if let Some(at) = self.moment(now).filter(|_| self.config.has_messages()) {
            self.stats.messages_missed += Count::from(self.store.message_due(at, self.life, slot));
        }
    }

    pub(super) fn poll_message(&mut self) -> Option<Event<'_>> {
        Some(match self.store.poll_message()? {
            Told::Missed(origin, count) => Event::Missed { origin, count },
            Told::Message(slot) => {
                let Publication { origin, sequence, topic, bytes, .. } = self.store.publication(slot);
                Event::Message { topic, origin, sequence, bytes }
            }
        })
    }
}

/// How many datagrams one question for messages is answered with: bounds what a forged one sets off.
const GIVE_DATAGRAMS: u8 = 8;

#[cfg(all(test, feature = "messages"))]
mod tests;
