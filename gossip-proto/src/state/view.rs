//! What the store tells of what it holds.
//!
//! Knows: how to find an entry, walk over them in order, and say how much there is. Changes nothing. Does not know: how
//! any of it came about.

use super::entry::{Entry, Kind};
use super::hash::topic;
use super::record::Record;
use super::slot::Flag;
use super::store::Store;
use super::version::Version;
#[cfg(test)]
use crate::slab::index::Sum;
use crate::slab::index::{Cells, Index, Key, Prefix};
use crate::slab::scope::Scope;
use crate::slab::sketch::{self, Short};
use crate::slab::word;
use crate::wire::EntryItem;

impl<'a> Store<'a> {
    /// The least stamp that a new version of this key may have.
    #[cfg(test)]
    pub(crate) fn next_stamp_floor(&self, key: &[u8]) -> u64 {
        floor(self.record(self.find(key)))
    }

    /// The hash of a topic's name.
    pub(crate) fn topic_hash(&self, topic: &[u8]) -> u32 {
        self.hash.topic(topic).topic()
    }

    /// The hash of the topic of a message, which ends before the first `/` like that of a key.
    pub(super) fn message_topic(&self, name: &[u8]) -> u32 {
        self.topic_hash(topic(name).unwrap_or(name))
    }

    /// Whether the entry or the message in a slot is for somebody who wants this.
    pub(crate) fn is_for(&self, slot: usize, scope: &Scope) -> bool {
        if self.is_message(slot) {
            return scope.is_all() || scope.wants_topic(self.message_topic(self.publication(slot).topic));
        }
        scope.wants(self.key_hash(slot))
    }

    /// Whether an entry with this key is wanted.
    pub(crate) fn wants(&self, key: &[u8]) -> bool {
        self.scope.wants(self.hash.key(key))
    }

    /// The slot of the entry with this key, deleted or not.
    pub(crate) fn find(&self, key: &[u8]) -> Option<usize> {
        self.locate(self.hash.key(key), key).unwrap_or_default()
    }

    /// What is asked about an entry of which a version of this stamp is watched. Of values that join, no stamp says that
    /// they hold another one: the digest of all that is held does, now, since that holds what was watched.
    pub(crate) fn question(&self, slot: usize, stamp: u64) -> u64 {
        if self.record(Some(slot)).kind().joins() {
            word(&self.index.item(&self.cells, slot).to_bytes())
        } else {
            stamp
        }
    }

    /// Whether a version of this dot is held, or was: something newer has taken its place. Of values that join: whether
    /// just what the asker holds is held.
    pub(crate) fn holds(&self, key: Key, stamp: u64, writer: u64) -> bool {
        let slot = self.find_hash(key);
        let record = self.record(slot);
        if record.kind().joins() {
            return slot.is_some_and(|slot| self.question(slot, 0) == stamp);
        }
        let asked = Version { kind: Kind::Register, stamp, writer, context: &[], ttl: 0, value: None };
        let newer = |held: Version<'_>| {
            asked.covered_by(&held) || held.kind == Kind::Register && (held.stamp, held.writer) > (stamp, writer)
        };
        record.versions().any(newer)
    }

    /// Where an entry of this kind and key is in the index, if it is held.
    pub(crate) fn place(&self, kind: Kind, key: &[u8]) -> Key {
        self.hash.place(kind, key)
    }

    /// The stamp of the newest version in a slot; 0 if there is none.
    pub(crate) fn newest_stamp(&self, slot: usize) -> u64 {
        self.record(Some(slot)).versions().next().map_or(0, |newest| newest.stamp)
    }

    /// The slot of the entry with this place in the index.
    pub(crate) fn find_hash(&self, name: Key) -> Option<usize> {
        self.index.get(&self.cells, name)
    }

    /// The entry in a slot; `None` if it is deleted.
    pub(crate) fn entry(&self, slot: usize) -> Option<Entry<'_>> {
        Entry::of(self.record(Some(slot)), self.ages.now)
    }

    pub(crate) fn key(&self, slot: usize) -> &[u8] {
        self.record(Some(slot)).key()
    }

    /// How many versions are held in a slot, tombstones among them.
    pub(crate) fn versions(&self, slot: usize) -> usize {
        self.record(Some(slot)).versions().count()
    }

    /// Whether the n-th newest version is one to send: what has ended is not.
    pub(crate) fn is_sent(&self, slot: usize, n: usize) -> bool {
        let version = self.record(Some(slot)).versions().nth(n);
        version.is_some_and(|version| version.value.is_none() || version.lives(self.ages.now))
    }

    /// The n-th newest version that is held in a slot, as the wire has it.
    pub(crate) fn item(&self, slot: usize, n: usize) -> Option<EntryItem<'_>> {
        let record = self.record(Some(slot));
        let version = record.versions().nth(n)?;
        let kind = version.kind.to_wire();
        Some(EntryItem { kind, key: record.key(), version: version.id(), ttl: version.ttl, value: version.value })
    }

    /// All entries that have a value, in the order of the index.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        self.range(Prefix::ROOT).filter_map(|slot| self.entry(slot))
    }

    /// All entries that have a value and whose keys begin with `prefix`, in the order of the index.
    pub(crate) fn scan<'s>(&'s self, prefix: &'s [u8]) -> impl Iterator<Item = Entry<'s>> + use<'s, 'a> {
        let range = topic(prefix).map_or(Prefix::ROOT, |topic| Prefix::of(self.hash.topic(topic), TOPIC_BITS));
        self.range(range).filter_map(|slot| self.entry(slot)).filter(move |entry| entry.key().starts_with(prefix))
    }

    /// The name by which other nodes ask for an entry.
    pub(crate) fn key_hash(&self, slot: usize) -> Key {
        self.index.key(&self.cells, slot)
    }

    /// 32 bits of what an entry holds: the same on two nodes that hold the same.
    pub(crate) fn digest(&self, slot: usize) -> u32 {
        let [a, b, c, d, ..] = self.index.item(&self.cells, slot).to_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    /// Whether the index has changed since this was last asked.
    pub(crate) fn take_changed(&mut self) -> bool {
        self.index.take_changed()
    }

    pub(crate) fn cells(&self) -> &Cells<'a> {
        &self.cells
    }

    /// The sketch of all that is held; empty if there is none.
    pub(crate) fn sketch(&self) -> &[sketch::Cell] {
        if sketch::POSSIBLE { &self.sketch } else { &[] }
    }

    pub(crate) fn total(&self) -> sketch::Total {
        self.total.first().copied().unwrap_or_default()
    }

    /// What the entries with a key that begins so count in the sketch.
    pub(crate) fn weigh(&self, key: Short) -> i32 {
        let counted = self.alike(key).filter(|slot| self.is_counted(*slot)).take(ALIKE_MAX);
        counted.map(|slot| sketch::weight(self.index.item(&self.cells, slot))).sum()
    }

    /// Whether summary and sketch hold an entry.
    pub(crate) fn is_counted(&self, slot: usize) -> bool {
        self.index.counted(&self.cells, slot)
    }

    /// The slots in the index whose keys begin so, in all topics that begin so, in order.
    pub(crate) fn alike(&self, key: Short) -> impl Iterator<Item = usize> + use<'_, 'a> {
        let (mut from, mut steps) = (Some(key.first()), 0..SEEK_MAX);
        core::iter::from_fn(move || {
            loop {
                steps.next()?;
                let slot = self.index.ceiling(&self.cells, from?)?;
                let at = self.index.key(&self.cells, slot);
                from = key.next(at);
                if from == Some(at) {
                    from = at.successor();
                    return Some(slot);
                }
            }
        })
    }

    /// The summary of all that is held.
    #[cfg(test)]
    pub(crate) fn root(&self) -> Sum {
        self.index.root()
    }

    /// Slots in use, by entries, deleted entries, blobs and messages, and how many there are.
    pub(crate) fn used(&self) -> (usize, usize) {
        (self.index.len() + self.blobs as usize + self.messages.slots(), self.capacity())
    }

    /// Bytes in use, and the most that may be.
    pub(crate) fn bytes_used(&self) -> (usize, usize) {
        (self.arena.used(), self.arena.capacity())
    }

    /// The most that key and value may take together.
    #[cfg(test)]
    pub(crate) fn content_len_max(&self) -> usize {
        self.content_len_max
    }

    /// The record of an entry; an empty one for a slot that has none.
    pub(super) fn record(&self, slot: Option<usize>) -> Record<'_> {
        let slot = slot.and_then(|slot| self.slots.get(slot)).filter(|slot| !slot.has(Flag::Blob));
        Record(slot.and_then(|slot| slot.loc).map_or(&[], |loc| self.arena.get(&self.bytes, loc)))
    }

    /// The slots in the index under a prefix, in order.
    pub(super) fn range(&self, prefix: Prefix) -> impl Iterator<Item = usize> + use<'_, 'a> {
        self.range_after(prefix, None)
    }

    /// The slots in the index under a prefix that follow one of them, in order.
    pub(super) fn range_after(
        &self,
        prefix: Prefix,
        after: Option<usize>,
    ) -> impl Iterator<Item = usize> + use<'_, 'a> {
        let first = match after {
            Some(slot) => self.index.next(&self.cells, slot),
            None => self.index.ceiling(&self.cells, prefix.first()),
        };
        core::iter::successors(first, |&slot| self.index.next(&self.cells, slot))
            .take_while(move |&slot| prefix.contains(self.index.key(&self.cells, slot)))
    }
}

/// One more than the newest stamp that is held.
pub(super) fn floor(record: Record<'_>) -> u64 {
    record.versions().next().map_or(1, |newest| newest.stamp.saturating_add(1))
}

/// How many entries that are alike in the first 38 bits are told apart; two are in 1 of 16 million pairs of one topic.
const ALIKE_MAX: usize = 4;
/// How much of a place in the index is the topic's.
const TOPIC_BITS: u8 = 32;
/// How many steps a search for a key may take: two for each topic that begins alike, of which there are 61 in a table of a
/// million topics.
const SEEK_MAX: usize = 256;
