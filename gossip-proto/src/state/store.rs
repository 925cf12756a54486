//! The store: the table of entries, over slices that it is handed once.
//!
//! Knows: which keys are held, and keeps record, summary and lists in step. Does not know: how versions merge
//! (`merge`), or who is to be told.
//! When full: an entry that needs a slot or bytes that are not there is refused, and nothing changed. Replacing a version
//! needs only what the new one takes beyond the old; adding a sibling to others needs room for the old record and the new
//! one side by side, unless it fits into the slack of the old one.

use super::entry::Kind;
use super::hash::StateHash;
use super::large::record_len_max;
use super::lifetimes::{Ages, TTL_MAX};
use super::merge::{Plan, Verdict, plan};
use super::messages::Messages;
use super::record;
use super::slot::{Changed, EntrySlot, Flag, Free, Hot};
use super::version::{ContextBytes, Version, context};
use super::view::floor;
use super::{join, merge, parts};
use crate::config::{Config, Merge};
use crate::error::PutError;
use crate::node::Node;
use crate::slab::arena::Arena;
use crate::slab::deadline::{Deadlines, Row};
use crate::slab::index::{Cells, Index, Item, Key};
use crate::slab::list::List;
use crate::slab::scope::OwnScope;
use crate::slab::sketch;
use crate::slab::{Ix, Slice};
use crate::time::Tick;
use crate::wire::EntryItem;

#[derive(Debug)]
// The order of the fields: one instruction of a Cortex-M0 reaches the first 124 bytes, and adds at most 255.
#[cfg_attr(target_os = "none", repr(C))]
pub(crate) struct Store<'a> {
    pub(super) slots: Slice<'a, EntrySlot>,
    pub(super) cells: Cells<'a>,
    pub(super) rows: Slice<'a, Row>,
    pub(super) bytes: Slice<'a, u8>,
    pub(super) arena: Arena,
    pub(super) index: Index,
    /// Of all that is in the summary; empty if there is no room for one.
    pub(super) sketch: Slice<'a, sketch::Cell>,
    /// The same in one wide cell, where there are sketches.
    pub(super) total: [sketch::Total; sketch::POSSIBLE as usize],
    pub(super) deadlines: Deadlines,
    pub(super) ages: Ages,
    pub(super) hot: List<Hot>,
    pub(super) changed: List<Changed>,
    pub(super) free: List<Free>,
    /// Slots from here on were never used.
    pub(super) fresh: Ix,
    /// Slots in use by blobs, and what these cost in the arena.
    pub(super) blobs: Ix,
    pub(super) blob_bytes: u32,
    pub(super) messages: Messages,
    /// Messages dropped before they were over, for newer ones.
    pub(crate) messages_evicted: crate::stats::Count,
    pub(super) hash: StateHash,
    pub(super) content_len_max: usize,
    /// What of the entries this node wants.
    pub(crate) scope: OwnScope,
    /// What of the kinds is left out, as if it were built so.
    #[cfg(feature = "sim")]
    pub(super) without: crate::config::Without,
    /// How values of an application's kinds join.
    pub(super) merge_app: Option<Merge>,
    pub(super) value_len_max: usize,
}

/// What became of a version that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Merged {
    pub(crate) slot: usize,
    pub(crate) outcome: Outcome,
    /// A write was lost that the winner's writer had not seen.
    pub(crate) conflict: bool,
    /// A sibling was lost because four are newer.
    pub(crate) dropped_sibling: bool,
    /// It is a tombstone that came late, ended a value all the same, and counts from now on.
    pub(crate) reissued: bool,
    /// It was joined with what is held, which the sender lacks.
    pub(crate) lacks: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was taken: what is held has changed.
    New,
    /// It is held already.
    Known,
    /// It is not taken, since something newer is held that the sender seems to lack.
    Stale,
}

/// Why a version that came in was not merged; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No free slot.
    EntriesFull,
    /// No free bytes.
    BytesFull,
    /// A kind that this build does not know or hold.
    Kind,
    /// A key that is empty or too long.
    KeyLen,
    /// Longer than this node could pass on.
    ValueLen,
    /// A context that no writer can have had.
    Context,
    /// The key's hash is that of another key.
    Collision,
    /// This node does not want it.
    Unwanted,
    /// A lifetime longer than any.
    Ttl,
    /// A value whose time is over.
    Ended,
    /// A tombstone below the floor that has nothing to end here.
    Collected,
    /// No value of its kind, or one that did not join.
    Value,
}

impl Refused {
    /// Whether it was for want of room, and not because no rule allows it.
    pub(crate) const fn is_full(self) -> bool {
        matches!(self, Self::EntriesFull | Self::BytesFull)
    }
}

/// What an application may write: the most that key and value may take together, so that a version with a full context
/// fits in a datagram of this length.
///
/// Of the datagram, the sealed envelope takes 30 bytes and the header at most 18; the version takes, besides key and
/// value: mark of a copy 1, message tag 1, kind 1, length of the key 2, stamp 8, writer 8, count of pairs 1, three pairs
/// 48, ttl 4, option tag 1, length of the value 3; two bytes less where both lengths take one. Of 128 bytes that leaves 5.
pub(crate) const fn content_len_max(datagram_len_max: u16) -> usize {
    let least = (datagram_len_max as usize).saturating_sub(48 + 78);
    if least + 3 < 128 { least + 3 } else { least }
}

impl<'a> Store<'a> {
    /// An empty store over all-zero slices, of which it touches none yet.
    #[inline(never)]
    pub(crate) fn new(
        slots: Slice<'a, EntrySlot>,
        cells: Cells<'a>,
        rows: Slice<'a, Row>,
        bytes: Slice<'a, u8>,
        sketch: Slice<'a, sketch::Cell>,
        hash: StateHash,
        config: &Config,
    ) -> Self {
        let content_len_max = content_len_max(config.datagram_len_max);
        let (usual, largest) = (record::len_max(content_len_max), record_len_max(config));
        Self {
            arena: Arena::new(bytes.len(), usual, largest),
            slots,
            cells,
            rows,
            bytes,
            index: Index::new(),
            sketch,
            total: Default::default(),
            deadlines: Deadlines::new(),
            ages: Ages::new(config),
            hot: List::new(),
            changed: List::new(),
            free: List::new(),
            fresh: 0,
            blobs: 0,
            blob_bytes: 0,
            messages: Messages::new(),
            messages_evicted: 0,
            hash,
            content_len_max,
            scope: OwnScope::ALL,
            #[cfg(feature = "sim")]
            without: config.without,
            merge_app: config.merge,
            value_len_max: config.value_len_max as usize,
        }
    }

    /// As [`Store::put_for`], without an end.
    #[cfg(test)]
    pub(crate) fn put(
        &mut self,
        writer: u64,
        stamp: u64,
        key: &[u8],
        value: Option<&[u8]>,
        kind: Kind,
    ) -> Result<(usize, u64), PutError> {
        self.put_for(writer, stamp, key, value, kind, 0)
    }

    /// Writes a version of our own, on top of what is held, that lives for `ttl` seconds, or without end if that is 0; no
    /// value is a tombstone. Returns its slot, and its stamp: `stamp`, or one more than that of the newest version held.
    pub(crate) fn put_for(
        &mut self,
        writer: u64,
        stamp: u64,
        key: &[u8],
        value: Option<&[u8]>,
        kind: Kind,
        ttl: u32,
    ) -> Result<(usize, u64), PutError> {
        if key.is_empty() || key.len() > Node::KEY_LEN_MAX {
            return Err(PutError::KeyLen { max: Node::KEY_LEN_MAX });
        }
        if !self.fits(key, value, kind) {
            let max = if kind == Kind::Register { self.value_len_max } else { 0 };
            return Err(PutError::ValueLen { max: self.content_len_max.max(max) });
        }
        if matches!(kind, Kind::App(n) if n > Kind::APP_MAX) || !self.takes(kind) {
            return Err(PutError::Kind);
        }
        if kind.joins() && ttl > 0 {
            return Err(PutError::Ttl { max: 0 });
        }
        let name = self.hash.place(kind, key);
        if !self.scope.wants(name) {
            return Err(PutError::Unwanted);
        }
        let held = self.locate(name, key).map_err(|Collision| PutError::Collision)?;
        let record = self.record(held);
        let (alive, other) = (held.is_some_and(|slot| self.entry(slot).is_some()), record.kind());
        if held.is_some() && (other != kind && alive || other.rank() != kind.rank()) {
            return Err(PutError::Kind);
        }
        let stamp = stamp.max(floor(record));
        if kind.joins() {
            let top = record.versions().next();
            let context = match value {
                Some(_) => ContextBytes::copy(top.map_or(&[], |top| top.context)),
                None => join::bury(top),
            };
            let epoch = value.map_or(stamp, |_| top.map_or(0, |top| top.writer));
            let new = Version { kind, stamp, writer: epoch, context: context.as_bytes(), ttl: 0, value };
            let merged = self.take(name, key, held, new).map_err(|refused| self.put_error(refused))?;
            return Ok((merged.slot, stamp));
        }
        let context = context(record.versions(), writer);
        let mut new = Version { kind, stamp, writer, context: context.as_bytes(), ttl: ttl << 1, value };
        new.ttl |= u32::from(record.versions().any(|held| new.must_bury(&held)));
        let plan = plan(record.versions(), &new);
        let slot = self.apply(held, name, key, &plan, &new).map_err(|full| self.put_error(full))?;
        // What our own write replaces was seen by the application: a context cut short makes it no conflict.
        self.note(slot, true, false);
        Ok((slot, stamp))
    }

    /// Deletes what is held in a slot, with no newer stamp than that takes; `None` if there is no room.
    pub(crate) fn bury(&mut self, writer: u64, slot: usize) -> Option<(usize, u64)> {
        let record = self.record(Some(slot));
        let (kind, stamp, name) = (record.kind(), floor(record), self.key_hash(slot));
        let context = context(record.versions(), writer);
        let ttl = self.ages.ttl_from_now(stamp);
        let new = Version { kind, stamp, writer, context: context.as_bytes(), ttl, value: None };
        let plan = plan(record.versions(), &new);
        // The key is in the record that is replaced.
        let mut key = [0; Node::KEY_LEN_MAX];
        let key = key.get_mut(..record.key().len())?;
        key.copy_from_slice(record.key());
        let slot = self.apply(Some(slot), name, key, &plan, &new).ok()?;
        self.note(slot, true, false);
        Some((slot, stamp))
    }

    /// Whether this node may hold entries of a kind. It passes on none that it could not merge: what it kept in place of
    /// the others would be lost to whoever asks it.
    pub(super) fn takes(&self, kind: Kind) -> bool {
        let (siblings, joins) = (merge::POSSIBLE, join::POSSIBLE);
        #[cfg(feature = "sim")]
        let (siblings, joins) = (siblings && !self.without.siblings, joins && !self.without.kinds);
        match kind {
            Kind::Register => true,
            Kind::Siblings | Kind::Set => siblings,
            Kind::App(_) => joins && self.merge_app.is_some(),
            Kind::Max | Kind::Min | Kind::Counter => joins,
        }
    }

    /// Merges one version that came in.
    pub(crate) fn merge(&mut self, item: &EntryItem<'_>) -> Result<Merged, Refused> {
        let kind = Kind::from_wire(item.kind).filter(|kind| self.takes(*kind)).ok_or(Refused::Kind)?;
        if item.key.is_empty() || item.key.len() > Node::KEY_LEN_MAX {
            return Err(Refused::KeyLen);
        }
        if !self.fits(item.key, item.value, kind) {
            return Err(Refused::ValueLen);
        }
        let context = ContextBytes::of(&item.version.context);
        let (stamp, writer) = (item.version.stamp, item.version.writer);
        let new = Version { kind, stamp, writer, context: context.as_bytes(), ttl: item.ttl, value: item.value };
        if !new.is_sound() {
            return Err(Refused::Context);
        }
        parts::check(item.key, &new)?;
        if new.ttl >> 1 > TTL_MAX || kind.joins() && new.value.is_some() && new.ttl > 0 {
            return Err(Refused::Ttl);
        }
        if new.value.is_some() && !new.lives(self.ages.now) {
            return Err(Refused::Ended);
        }
        let name = self.hash.place(kind, item.key);
        if !self.scope.wants(name) {
            return Err(Refused::Unwanted);
        }
        let held = self.locate(name, item.key).map_err(|Collision| Refused::Collision)?;
        self.take(name, item.key, held, new)
    }

    /// Merges one version whose place is known.
    pub(super) fn take(
        &mut self,
        name: Key,
        key: &[u8],
        held: Option<usize>,
        mut new: Version<'_>,
    ) -> Result<Merged, Refused> {
        let (ages, tombstone) = (self.ages, new.value.is_none());
        let record = self.record(held);
        let top = record.versions().next().filter(|top| top.kind == new.kind && new.kind.joins());
        let plan = if top.is_some() { Plan::default() } else { plan(record.versions(), &new) };
        let dropped = |(n, _): &(usize, Version<'_>)| plan.keep >> n & 1 == 0;
        let mut reissued = false;
        if plan.verdict == Verdict::Take && top.is_none() {
            let held = record.versions().enumerate();
            new.ttl |= u32::from({ held }.filter(dropped).any(|(_, held)| new.must_bury(&held)));
        }
        if tombstone && ages.is_late(new.until()) {
            let held = record.versions().enumerate();
            let ends = { held }.filter(dropped).any(|(_, held)| held.lives(ages.now));
            let takes = top.map_or(plan.verdict == Verdict::Take, |top| top.writer < new.writer);
            reissued = takes && ends;
            if reissued {
                new.ttl = ages.ttl_from_now(new.stamp);
            } else if new.until() <= ages.floor {
                return Err(Refused::Collected);
            }
        }
        if let Some(slot) = held.filter(|_| top.is_some()) {
            return self.join(slot, (name, key), &new).map(|merged| Merged { reissued, ..merged });
        }
        let (slot, outcome) = match (plan.verdict, held) {
            (Verdict::Known, Some(slot)) => (slot, Outcome::Known),
            (Verdict::Lost, Some(slot)) => {
                self.mark(slot, &new);
                (slot, Outcome::Stale)
            }
            _ => (self.apply(held, name, key, &plan, &new)?, Outcome::New),
        };
        self.note(slot, outcome == Outcome::New, plan.conflict || plan.dropped);
        let (conflict, dropped_sibling) = (plan.conflict, plan.dropped);
        Ok(Merged { slot, outcome, conflict, dropped_sibling, lacks: false, reissued })
    }

    /// Gives a message or a window a deadline in place of the one that it may have, in seconds since 1970.
    pub(super) fn set_deadline(&mut self, slot: usize, second: Tick) {
        self.deadlines.set(&mut self.rows, &mut self.slots, slot, second);
    }

    /// Looks at this many entries from a place on, and drops those that are not wanted: where to go on, and how many it dropped.
    pub(crate) fn shed(&mut self, from: Key, look: usize) -> (Option<Key>, u32) {
        let (mut from, mut shed) = (Some(from), 0);
        for _ in 0..look {
            let Some(slot) = from.and_then(|from| self.index.ceiling(&self.cells, from)) else { return (None, shed) };
            let key = self.index.key(&self.cells, slot);
            if !self.scope.wants(key) {
                self.unlist(slot);
                self.free_bytes(slot);
                self.give_slot(slot);
                shed += 1;
            }
            from = key.successor();
        }
        (from, shed)
    }

    /// Takes `back` off the stamp of an entry that is beyond `limit`, whose writer is then `life`; says whether it was.
    pub(crate) fn correct(&mut self, slot: usize, limit: u64, back: u64, life: u64) -> bool {
        let Some(newest) = self.record(Some(slot)).versions().next().filter(|newest| newest.stamp > limit) else {
            return false;
        };
        let right = |stamp: u64| if stamp > limit { stamp.saturating_sub(back).clamp(1, limit) } else { stamp };
        // Where values join, the writer is an epoch.
        let stamp = right(newest.stamp);
        let writer = if newest.kind.joins() { right(newest.writer).min(stamp) } else { life };
        let len = record::redate(self.record_mut(slot), stamp, writer);
        if let Some(loc) = self.slots.get(slot).and_then(|slot| slot.loc) {
            self.arena.resize(&mut self.bytes, loc, len);
        }
        self.relist(slot);
        self.note(slot, true, false);
        self.schedule(slot);
        true
    }

    /// Makes record and summary what the plan says; takes a slot if the entry has none.
    pub(super) fn apply(
        &mut self,
        held: Option<usize>,
        name: Key,
        key: &[u8],
        plan: &Plan,
        new: &Version<'_>,
    ) -> Result<usize, Refused> {
        let slot = held.or_else(|| self.take_slot()).ok_or(Refused::EntriesFull)?;
        let done = if !merge::POSSIBLE || plan.keep == 0 {
            let done = self.reserve(slot, record::len_of_one(key, new));
            if done {
                record::write_one(self.record_mut(slot), key, new);
            }
            done
        } else {
            self.extend(slot, plan, new)
        };
        if !done {
            // The slot is a new one, unless the arena did not keep its promise.
            if self.slots.get(slot).is_some_and(|slot| slot.loc.is_none()) {
                self.unlist(slot);
                self.give_slot(slot);
            }
            return Err(Refused::BytesFull);
        }
        self.list(slot, name, Some(self.hash.item(self.record(Some(slot)))));
        self.schedule(slot);
        Ok(slot)
    }

    /// Makes this what a slot adds to index, summary and sketch: whoever changes one of them goes through here.
    pub(super) fn list(&mut self, slot: usize, name: Key, item: Option<Item>) {
        let old = self.index.counted(&self.cells, slot).then(|| self.index.item(&self.cells, slot));
        self.sketch_change(name, old, item);
        if !self.index.insert(&mut self.cells, slot, name, item) {
            self.index.update(&mut self.cells, slot, item);
        }
    }

    /// The record of a slot was edited.
    pub(super) fn relist(&mut self, slot: usize) {
        let item = self.hash.item(self.record(Some(slot)));
        self.list(slot, self.index.key(&self.cells, slot), Some(item));
    }

    /// Takes a slot out of index, summary and sketch.
    pub(super) fn unlist(&mut self, slot: usize) {
        let old = self.index.counted(&self.cells, slot).then(|| self.index.item(&self.cells, slot));
        self.sketch_change(self.index.key(&self.cells, slot), old, None);
        self.index.remove(&mut self.cells, slot);
    }

    fn sketch_change(&mut self, name: Key, old: Option<Item>, new: Option<Item>) {
        sketch::change(&mut self.sketch, name, old, new);
        if let Some(total) = self.total.first_mut().filter(|_| !self.sketch.is_empty()) {
            total.change(name, old, new);
        }
    }

    /// Edits a record of which some versions stay.
    fn extend(&mut self, slot: usize, plan: &Plan, new: &Version<'_>) -> bool {
        let Some(loc) = self.slots.get(slot).and_then(|slot| slot.loc) else { return false };
        let before = self.record(Some(slot));
        let len = record::len_after(before, plan, new);
        if len > before.0.len() && !self.grow(slot, loc, len) {
            return false;
        }
        record::edit(self.record_mut(slot), plan, new);
        // Shorter always fits.
        if let Some(loc) = self.slots.get(slot).and_then(|slot| slot.loc) {
            self.arena.resize(&mut self.bytes, loc, len);
        }
        true
    }

    /// The slot of a key whose place in the index is known.
    pub(super) fn locate(&self, name: Key, key: &[u8]) -> Result<Option<usize>, Collision> {
        match self.index.get(&self.cells, name) {
            Some(slot) if self.key(slot) != key => Err(Collision),
            found => Ok(found),
        }
    }

    pub(super) fn has(&self, slot: usize, flag: Flag) -> bool {
        self.slots.get(slot).is_some_and(|slot| slot.has(flag))
    }

    pub(super) fn fits(&self, key: &[u8], value: Option<&[u8]>, kind: Kind) -> bool {
        self.fits_len(key, value.map_or(0, <[u8]>::len), kind)
    }

    pub(super) fn put_error(&self, refused: Refused) -> PutError {
        match refused {
            Refused::EntriesFull => PutError::EntriesFull { max: self.capacity() },
            Refused::ValueLen | Refused::Value => PutError::ValueLen { max: self.content_len_max },
            Refused::Collision => PutError::Collision,
            Refused::Kind => PutError::Kind,
            _ => PutError::BytesFull { max: self.arena.capacity() },
        }
    }
}

/// The index has the same place for another key.
#[derive(Debug)]
pub(super) struct Collision;
