//! Catching up: a node that joins with next to nothing asks a member which parts there are, and fetches them in lanes from
//! several members at once; what it wants first comes before all else. What is lost in the end is found by a comparison.
//!
//! While it fetches, it takes part in no comparison of entries: it would be sent again what is under way.

use super::Node;
use super::input::Context;
use super::output::Filling;
use super::rows::Rest;
use super::timeout::retry;
use crate::repair::{LANES_OPEN, LANES_POSSIBLE, Phase, Question, RUN_MAX, Row, SOURCES_MAX, Seen, Task, UNASKED};
use crate::slab::SCARCE;
use crate::slab::index::{Key, Prefix};
use crate::time::Instant;
use crate::wire::{CatchUp, Message, Table};

impl Node<'_> {
    /// Wants the entries of these topics before all others when it catches up: when it joins with hardly any entry, and has
    /// room for 512 or more on the heap. Less than that comes in one go. In place of those named before. Needs features
    /// `catchup` and `alloc`.
    ///
    /// # Errors
    /// More than four topics; nothing is changed.
    #[cfg(all(feature = "catchup", feature = "alloc"))]
    pub fn catch_up_first<'t>(
        &mut self,
        topics: impl IntoIterator<Item = &'t [u8]>,
    ) -> Result<(), crate::error::InterestError> {
        use crate::error::InterestError;
        use crate::repair::FIRST_MAX;

        let mut first = heapless::Vec::new();
        for topic in topics {
            let hash = self.store.topic_hash(topic);
            first.push(hash).map_err(|_| InterestError::TooManyTopics { max: FIRST_MAX })?;
        }
        self.first = first;
        Ok(())
    }

    /// Whether this node has held, at some time since it joined, all that another member held and it wants.
    #[must_use]
    pub fn has_caught_up(&self) -> bool {
        self.told.caught_up.is_some()
    }

    pub(super) fn is_catching_up(&self) -> bool {
        self.lanes.phase() != Phase::Off
    }

    /// The first member has answered: false if comparing will do.
    pub(super) fn catch_up(&mut self, now: Instant, ix: usize) -> bool {
        let held = self.store.index().root().count;
        if !self.config.has_catchup() || !self.lanes.is_possible() || held > FRESH_MAX || self.has_caught_up() {
            return false;
        }
        let scope = &self.store.scope;
        let wanted = self.first.iter().map(|topic| Key::new(*topic, 0)).filter(|key| scope.wants(*key));
        let retry = retry(&self.members, ix);
        let tag = self.lanes.begin(ix, retry, wanted.map(|key| Prefix::of(key, TOPIC_BITS)));
        let datagrams = self.unasked();
        self.owe(Some(ix), Table::Entries, Task::Begin { datagrams, tag }, Prefix::ROOT, 0);
        self.lanes.heard(now, retry);
        self.ask_for_runs(now);
        true
    }

    /// How much of each part may come before it is asked for: nothing if more than one topic had to be left out, or if it may
    /// have come already, and only the list of parts was lost.
    fn unasked(&self) -> u8 {
        if self.first.len() > 1 || self.lanes.is_again() { 0 } else { UNASKED }
    }

    fn ask_for_runs(&mut self, now: Instant) {
        while let Some(Question { to, at, depth, tag, datagrams }) = self.lanes.ask(now) {
            let row = Row::new(to, Table::Entries, Task::Fetch { tag, datagrams }, Prefix::of(at, depth), 0);
            self.push_row(row.at(at));
        }
    }

    /// Nothing came for a while.
    pub(super) fn catch_up_due(&mut self, now: Instant) {
        if !self.lanes.silent() {
            return self.end_catch_up(now);
        }
        if self.lanes.phase() == Phase::Looking {
            let position = self.rng.below(self.members.peers().max(1) as u32) as usize;
            let (datagrams, tag) = (self.unasked(), self.lanes.first());
            self.owe(self.members.peer(position), Table::Entries, Task::Begin { datagrams, tag }, Prefix::ROOT, 0);
        }
        self.ask_for_runs(now);
        let retry = self.members.peer(0).map_or(self.config.probe_timeout(), |ix| self.retry(ix));
        self.lanes.heard(now, retry);
    }

    fn end_catch_up(&mut self, now: Instant) {
        let with = self.lanes.end().or_else(|| self.members.peer(0));
        if let Some(ix) = with {
            let retry = self.retry(ix);
            // What was asked for again is on its way.
            self.session(Table::Entries).begin(now, ix, retry / 2);
        }
    }

    /// Notes that this node holds what a member holds.
    pub(super) fn note_caught_up(&mut self) {
        if self.is_catching_up() {
            self.lanes.end();
        }
        self.told.caught_up.get_or_insert(true);
    }

    pub(super) fn take_catch_up(&mut self, context: &Context, message: &CatchUp<'_>) {
        let Some(peer) = context.peer else { return };
        match *message {
            CatchUp::Begin { .. } if context.root == self.root => {
                self.owe(Some(peer), Table::Entries, Task::Equal, Prefix::ROOT, 0);
            }
            CatchUp::Begin { datagrams, tag, skip } => {
                // Where this part is missing the list is empty.
                let task = Task::Parts { skip, datagrams: datagrams.min(UNASKED), tag };
                self.owe(Some(peer), Table::Entries, task, Prefix::ROOT, 0);
            }
            CatchUp::Fetch { .. } if !self.config.has_catchup() => {}
            CatchUp::Fetch { at, depth, tag, datagrams, skip } => {
                let datagrams = datagrams.min(RUN_MAX);
                let task = Task::Run { skip, tag, datagrams };
                let row = Row::new(peer, Table::Entries, task, Prefix::of(at, depth), 0).at(at);
                if datagrams > 0 {
                    self.push_row(row);
                }
            }
            CatchUp::Parts { parts: [], .. } if self.lanes.phase() == Phase::Looking => self.turned_away(context, peer),
            CatchUp::Parts { count, parts } if self.is_catching_up() => self.take_parts(context, peer, count, parts),
            CatchUp::Run { tag, left, next } if self.is_catching_up() => {
                let seen = Seen { tag, left, next };
                let retry = self.retry(peer);
                self.lanes.take(context.now, retry, peer, seen);
                self.lanes.heard(context.now, retry);
                if self.lanes.is_done() {
                    return self.end_catch_up(context.now);
                }
                self.ask_for_runs(context.now);
            }
            CatchUp::Parts { .. } | CatchUp::Run { .. } => {}
        }
    }

    /// A member has nothing, or serves nobody: another one may.
    fn turned_away(&mut self, context: &Context, peer: usize) {
        self.lanes.forget(peer);
        if self.members.peers() > 1 { self.catch_up_due(context.now) } else { self.end_catch_up(context.now) }
    }

    fn take_parts(&mut self, context: &Context, peer: usize, count: u32, parts: &[u8]) {
        let looking = self.lanes.phase() == Phase::Looking;
        let first = &self.first;
        // What comes first has lanes of its own.
        let wanted = |part: &Prefix| part.len() < TOPIC_BITS || !first.contains(&part.first().topic());
        let unasked = self.unasked();
        self.lanes.take_parts(context.now, peer, count, Parts(parts), wanted, unasked);
        self.lanes.heard(context.now, self.retry(peer));
        if looking {
            // The others may have it too.
            for _ in (0..SOURCES_MAX).skip(1) {
                let position = self.rng.below(self.members.peers().max(1) as u32) as usize;
                let other = self.members.peer(position).filter(|ix| *ix != peer);
                self.owe(other, Table::Entries, Task::Begin { datagrams: 0, tag: 0 }, Prefix::ROOT, 0);
            }
        }
        if self.lanes.is_done() {
            return self.end_catch_up(context.now);
        }
        self.ask_for_runs(context.now);
    }

    /// Writes as much of a row as fits.
    #[cfg_attr(feature = "catchup", inline(never))]
    pub(super) fn fill_catch_up(&mut self, filling: &mut Filling<'_>, row: Row, limit: usize) -> Rest {
        let pushed = match row.task {
            Task::Begin { .. } | Task::Fetch { .. } if !LANES_POSSIBLE => Some(0),
            Task::Parts { .. } if !self.config.has_catchup() => {
                filling.push(&Message::CatchUp(CatchUp::Parts { count: 0, parts: &[] }), false, limit)
            }
            Task::Run { .. } if !self.config.has_catchup() => Some(0),
            Task::Begin { datagrams, tag } => {
                let skip = self.first.first().copied().filter(|_| datagrams > 0).unwrap_or(0);
                filling.push(&Message::CatchUp(CatchUp::Begin { datagrams, tag, skip }), false, limit)
            }
            Task::Fetch { tag, datagrams } => {
                let (at, prefix) = (row.key(), row.prefix());
                let later = |topic: &u32| *topic >= at.topic() && *topic > 0 && prefix.contains(Key::new(*topic, 0));
                let own = prefix.len() >= TOPIC_BITS;
                let skip = self.first.iter().copied().filter(|topic| !own && later(topic)).min().unwrap_or(0);
                let fetch = CatchUp::Fetch { at, depth: prefix.len(), tag, datagrams, skip };
                filling.push(&Message::CatchUp(fetch), false, limit)
            }
            // A run may take all the room there is, but nobody's share.
            Task::Run { .. } | Task::Parts { .. } if limit < usize::MAX => None,
            Task::Parts { skip, datagrams, tag } => self.fill_parts(filling, row, skip, datagrams, tag),
            Task::Run { skip, tag, datagrams } => return self.fill_run(filling, row, skip, tag, datagrams),
            _ => Some(0),
        };
        if pushed.is_some() { Rest::Done } else { Rest::More(row) }
    }

    #[inline(never)]
    fn fill_run(&mut self, filling: &mut Filling<'_>, mut row: Row, skip: u32, tag: u16, datagrams: u8) -> Rest {
        let (prefix, mut pushed, mut next) = (row.prefix(), core::mem::take(&mut filling.run), None);
        for passed in 0..PASSED_MAX {
            let found = self.seek(Table::Entries, Some(row.to()), prefix, u16::MAX, row.key());
            let Some((slot, key)) = found else { break };
            let skipped = skip != 0 && key.topic() == skip;
            let after = if skipped { skip.checked_add(1).map(|topic| Key::new(topic, 0)) } else { key.successor() };
            if !skipped && self.is_zombie(row.to(), slot) {
                filling.zombie = Some(slot);
            } else if !skipped {
                let limit = filling.room().saturating_sub(RUN_LEN_MAX);
                let empty = filling.is_blank();
                if self.push_slot(filling, Table::Entries, slot, true, limit).is_some() {
                    pushed = true;
                } else if empty {
                    self.stats.items_too_large += 1;
                } else if pushed {
                    next = Some(key);
                    break;
                } else {
                    // Others have taken the room.
                    return Rest::More(row);
                }
            }
            let Some(after) = after.filter(|after| prefix.contains(*after)) else { break };
            row = row.at(after);
            if filling.zombie.is_some() {
                filling.run = pushed;
                return Rest::More(row);
            }
            if passed + 1 == PASSED_MAX {
                next = Some(after);
            }
        }
        let left = datagrams - 1;
        if filling.push(&Message::CatchUp(CatchUp::Run { tag, left, next }), true, usize::MAX).is_none() && !pushed {
            // It is found again when there is room.
            filling.zombie = None;
            return Rest::More(row);
        }
        match next {
            Some(next) if left > 0 => Rest::More(row.at(next).to_do(Task::Run { skip, tag, datagrams: left })),
            _ => Rest::Done,
        }
    }

    /// Writes which parts there are, each with no more than a sixth of all; and then owes the first of them.
    #[inline(never)]
    fn fill_parts(&mut self, filling: &mut Filling<'_>, row: Row, skip: u32, datagrams: u8, tag: u8) -> Option<usize> {
        let mut bytes = heapless::Vec::<u8, PARTS_LEN_MAX>::new();
        let room = filling.room().saturating_sub(PARTS_HEAD_MAX).min(PARTS_LEN_MAX);
        let count = self.list_parts(row.to(), room, &mut bytes);
        let used = push_parts(filling, count, &bytes)?;
        if datagrams > 0 {
            self.owe_runs(&row, Parts(&bytes), Task::Run { skip, tag: tag.into(), datagrams });
        }
        Some(used)
    }

    #[inline(never)]
    fn owe_runs(&mut self, row: &Row, parts: Parts<'_>, task: Task) {
        let Task::Run { skip, tag, datagrams } = task else { return };
        for (nth, part) in parts.take(LANES_OPEN).enumerate() {
            let tag = tag.saturating_add(nth as u16) << 8;
            self.owe(Some(row.to()), Table::Entries, Task::Run { skip, tag, datagrams }, part, 0);
        }
    }

    /// Lists the parts, and says how much they hold together.
    #[inline(never)]
    fn list_parts(&self, peer: usize, room: usize, bytes: &mut heapless::Vec<u8, PARTS_LEN_MAX>) -> usize {
        let count = self.count_with(peer);
        let most = (count / PART_OF).max(DIVIDE_MIN);
        let mut from = Some(Key::default());
        while let Some(start) = from {
            // Nothing is divided when there is no room.
            let most = if bytes.len() + COARSE_LEN < room { most } else { usize::MAX };
            let Some(part) = self.next_part(peer, start, most) else { break };
            let used = usize::from(part.len().div_ceil(8));
            if bytes.len() + 1 + used > room {
                break;
            }
            let _ = bytes.push(part.len());
            let _ = bytes.extend_from_slice(part.first().to_bytes().get(..used).unwrap_or_default());
            from = part.last().successor();
        }
        if from.is_some_and(|from| self.next_part(peer, from, usize::MAX).is_some()) {
            // No list is that long: all is one part.
            bytes.clear();
            let _ = bytes.push(0);
        }
        count
    }

    #[inline(never)]
    fn count_with(&self, peer: usize) -> usize {
        self.tree(Table::Entries, Some(peer)).count(Prefix::ROOT)
    }

    /// The widest part that begins at `start` or later, holds something, and at most so much.
    #[inline(never)]
    fn next_part(&self, peer: usize, start: Key, most: usize) -> Option<Prefix> {
        let tree = self.tree(Table::Entries, Some(peer));
        let (_, at) = tree.seek(Prefix::ROOT, u16::MAX, start)?;
        let mut parts = (0..=Key::BITS / 4).map(|nibbles| Prefix::of(at, nibbles * 4));
        parts.find(|part| part.first() >= start && (most == usize::MAX || tree.count(*part) <= most))
    }
}

#[inline(never)]
fn push_parts(filling: &mut Filling<'_>, count: usize, parts: &[u8]) -> Option<usize> {
    filling.push(&Message::CatchUp(CatchUp::Parts { count: count as u32, parts }), false, usize::MAX)
}

/// Parts as they came.
struct Parts<'p>(&'p [u8]);

impl Iterator for Parts<'_> {
    type Item = Prefix;

    fn next(&mut self) -> Option<Prefix> {
        let (&len, rest) = self.0.split_first()?;
        let (used, rest) = rest.split_at_checked(usize::from(len.div_ceil(8)))?;
        self.0 = rest;
        let mut bytes = [0; 12];
        bytes.iter_mut().zip(used).for_each(|(to, from)| *to = *from);
        (len <= Key::BITS && len % 4 == 0).then(|| Prefix::of(Key::from_bytes(bytes), len))
    }
}

/// Who holds no more than this, tags not counted, fetches all; it may be sent these again.
const FRESH_MAX: u32 = 16;
/// A part is divided that holds more than one of so many parts of all, unless it holds so few that they fit in some datagrams.
const PART_OF: usize = 6;
const DIVIDE_MIN: usize = 64;
/// How long a list of parts is: some 80 of them, or, of a small table, 30; how much of that is left for the end of one that
/// grows too long; and what it takes besides: mark 1, tag 1, count 5, length 2.
const PARTS_LEN_MAX: usize = if SCARCE { 192 } else { 512 };
const COARSE_LEN: usize = 96;
const PARTS_HEAD_MAX: usize = 9;
/// What a run's mark takes at most: tags 2, name 3, left 1, next 13.
const RUN_LEN_MAX: usize = 20;
/// How many entries that are not sent one call passes.
const PASSED_MAX: usize = 4096;
/// How much of a key is the topic's.
const TOPIC_BITS: u8 = 32;
