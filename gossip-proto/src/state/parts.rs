//! Counters and sets: many entries under one name.
//!
//! The key of a part is the name, then what tells it from the others: of a counter the eight bytes of the life that adds
//! to it, of a set the element and a byte with its length. The kind says how to read it, so no byte is reserved, and a
//! name may be any key.
//!
//! In the tree, parts of one name lie together: under their topic, 16 bits are the name's and 48 the part's. Reading a
//! set of ten in a topic of 60,000 entries visits these ten, and one or two others that share the 16 bits.
//!
//! Knows: names, and the verbs of counters and sets upon the store. Does not know: what a node does after a write.
//! When full: as the store is. Deleting a counter always fits.

use super::counter::Part;
use super::entry::{Entry, Kind};
use super::store::{Collision, Refused, Store};
use super::version::Version;
use super::view::floor;
use crate::error::PutError;
use crate::node::Node;
use crate::slab::index::Prefix;

/// Room for the key of a part, which is made in its place: it is large for a small stack.
#[derive(Clone, Debug)]
pub(crate) struct PartKey([u8; Node::KEY_LEN_MAX]);

impl PartKey {
    pub(crate) const fn new() -> Self {
        Self([0; Node::KEY_LEN_MAX])
    }

    /// The key of this part; the error says how long a name may be beside it.
    pub(crate) fn of(&mut self, kind: Kind, name: &[u8], part: &[u8]) -> Result<&[u8], PutError> {
        let end: &[u8] = if kind == Kind::Set { &[part.len().min(255) as u8] } else { &[] };
        let max = Node::KEY_LEN_MAX.saturating_sub(part.len() + end.len());
        if name.is_empty() || name.len() > max {
            return Err(PutError::KeyLen { max });
        }
        self.0.iter_mut().zip(name.iter().chain(part).chain(end)).for_each(|(to, from)| *to = *from);
        Ok(self.0.get(..name.len() + part.len() + end.len()).unwrap_or_default())
    }
}

/// Name and part of a key; `None` if no key of this kind is like that. The key of other kinds is all name.
pub(super) fn split(kind: Kind, key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (part, end) = match kind {
        Kind::Counter => (LIFE_LEN, 0),
        Kind::Set => (usize::from(*key.last()?), 1),
        _ => (0, 0),
    };
    let len = key.len().checked_sub(part + end).filter(|len| *len > 0)?;
    Some((key.get(..len)?, key.get(len..len + part)?))
}

impl<'a> Store<'a> {
    /// Adds to this life's part of a counter; returns its slot and stamp.
    pub(crate) fn count(&mut self, life: u64, stamp: u64, name: &[u8], delta: i64) -> Result<(usize, u64), PutError> {
        if !self.takes(Kind::Counter) {
            return Err(PutError::Kind);
        }
        let mut key = PartKey::new();
        let key = key.of(Kind::Counter, name, &life.to_le_bytes())?;
        let held = self.find_part(Kind::Counter, key);
        let record = self.record(held);
        let stamp = stamp.max(floor(record));
        let (part, epoch) = match record.versions().next() {
            Some(Version { value: Some(bytes), writer, .. }) => (Part::from_bytes(bytes).unwrap_or_default(), writer),
            // Begun later than any part of this name that this life had before, and that somebody may still hold.
            _ => (Part::default(), stamp),
        };
        let (part, goes_on) = part.add(delta);
        let writer = if goes_on { epoch } else { stamp };
        let bytes = part.to_bytes();
        let value = Some(bytes.as_bytes());
        let new = Version { kind: Kind::Counter, stamp, writer, context: &[], ttl: 0, value };
        self.write(key, &new)
    }

    /// Deletes what is held of the next part of a counter that has something left; returns its slot and stamp.
    pub(crate) fn uncount(
        &mut self,
        after: Option<usize>,
        stamp: u64,
        name: &[u8],
    ) -> Result<Option<(usize, u64)>, PutError> {
        let Some((slot, _)) = self.parts_after(Kind::Counter, name, after).next() else { return Ok(None) };
        let mut key = [0; Node::KEY_LEN_MAX];
        let record = self.record(Some(slot));
        let len = record.key().len();
        key.iter_mut().zip(record.key()).for_each(|(to, from)| *to = *from);
        let Some(Version { value: Some(bytes), writer, .. }) = record.versions().next() else { return Ok(None) };
        let bytes = Part::from_bytes(bytes).unwrap_or_default().delete().to_bytes();
        let (stamp, value) = (stamp.max(floor(record)), Some(bytes.as_bytes()));
        let new = Version { kind: Kind::Counter, stamp, writer, context: &[], ttl: 0, value };
        self.write(key.get(..len).unwrap_or_default(), &new).map(Some)
    }

    /// The parts of a name that have a value, and their slots.
    pub(crate) fn parts<'s>(
        &'s self,
        kind: Kind,
        name: &'s [u8],
    ) -> impl Iterator<Item = (usize, Entry<'s>)> + use<'s, 'a> {
        self.parts_after(kind, name, None)
    }

    fn parts_after<'s>(
        &'s self,
        kind: Kind,
        name: &'s [u8],
        after: Option<usize>,
    ) -> impl Iterator<Item = (usize, Entry<'s>)> + use<'s, 'a> {
        let range = Prefix::of(self.hash.name(name), NAME_BITS);
        self.range_after(range, after)
            .filter_map(|slot| Some((slot, self.entry(slot)?)))
            .filter(move |(_, entry)| entry.kind() == kind && entry.key() == name)
    }

    /// The slot of a part, deleted or not.
    pub(crate) fn find_part(&self, kind: Kind, key: &[u8]) -> Option<usize> {
        self.locate(self.hash.place(kind, key), key).unwrap_or_default()
    }

    /// Whether a part has a value.
    pub(crate) fn has_part(&self, kind: Kind, key: &[u8]) -> bool {
        self.find_part(kind, key).is_some_and(|slot| self.entry(slot).is_some())
    }

    /// Key, kind and part of what is in a slot, deleted or not.
    pub(crate) fn name(&self, slot: usize) -> (&[u8], Kind, &[u8]) {
        let record = self.record(Some(slot));
        let (name, part) = split(record.kind(), record.key()).unwrap_or_default();
        (name, record.kind(), part)
    }

    /// The sum of a counter, as far as it fits; `None` if it has no part, or is deleted.
    pub(crate) fn sum(&self, name: &[u8]) -> Option<i64> {
        let sum = self.parts(Kind::Counter, name).map(|(_, part)| part.count()).reduce(|a, b| a.saturating_add(b))?;
        Some(sum.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
    }

    fn write(&mut self, key: &[u8], new: &Version<'_>) -> Result<(usize, u64), PutError> {
        if !self.fits(key, new.value, new.kind) {
            return Err(PutError::ValueLen { max: self.content_len_max });
        }
        let name = self.hash.place(new.kind, key);
        if !self.scope.wants(name) {
            return Err(PutError::Unwanted);
        }
        let held = self.locate(name, key).map_err(|Collision| PutError::Collision)?;
        let merged = self.take(name, key, held, *new).map_err(|refused| self.put_error(refused))?;
        Ok((merged.slot, new.stamp))
    }
}

/// Whether a version may have this key, and a part of a counter this value.
pub(super) fn check(key: &[u8], version: &Version<'_>) -> Result<(), Refused> {
    split(version.kind, key).ok_or(Refused::KeyLen)?;
    let sound = !version.kind.counts() || version.value.is_some_and(|bytes| Part::from_bytes(bytes).is_some());
    sound.then_some(()).ok_or(Refused::Value)
}

/// The bytes of a life in the key of a counter's part.
const LIFE_LEN: usize = 8;
/// How much of a place in the index is the topic's and the name's.
const NAME_BITS: u8 = 48;
