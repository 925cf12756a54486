//! What one life of a node leaves to the next: entries as bytes.
//!
//! Knows: which bytes are a record that some node may have held, and how to merge it into a store again. Does not know:
//! where the bytes are kept meanwhile. Bytes that were damaged there are refused as a whole.
//! When full: as the store is; what did fit stays.

use super::entry::Kind;
use super::parts::split;
use super::record::Record;
use super::slot::Flag;
use super::store::{Refused, Store};
use crate::error::RestoreError;
use crate::slab::index::Prefix;
use crate::wire::EntryItem;

/// An entry as this node holds it, with all its versions, whether it has a value or is deleted: bytes to keep and to give
/// to [`Node::restore`](crate::Node::restore) in a later life.
///
/// The bytes are the same on every target. They say which entry they are, but not of which swarm, nor in which format:
/// keep [`Saved::FORMAT`] beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved<'a>(&'a [u8]);

impl<'a> Saved<'a> {
    /// The format of the bytes: bytes of another one are not to be restored.
    pub const FORMAT: u32 = 2;

    /// Bytes that were saved.
    ///
    /// # Errors
    /// They are not what [`Saved::as_bytes`] gives.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, RestoreError> {
        let record = Record(bytes);
        if record.key().is_empty() || !record.is_whole() { Err(RestoreError::Damaged) } else { Ok(Self(bytes)) }
    }

    /// The bytes to keep.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The key of the entry; of counters and sets, theirs.
    #[must_use]
    pub fn key(&self) -> &'a [u8] {
        self.name().0
    }

    /// How the entry merges.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Record(self.0).kind()
    }

    /// Of a set, the element; of a counter, which part of it; else empty.
    #[must_use]
    pub fn part(&self) -> &'a [u8] {
        self.name().1
    }

    fn name(&self) -> (&'a [u8], &'a [u8]) {
        split(self.kind(), Record(self.0).key()).unwrap_or_default()
    }
}

impl Store<'_> {
    /// Every entry, deleted ones too.
    pub(crate) fn saved(&self) -> impl Iterator<Item = Saved<'_>> {
        self.range(Prefix::ROOT).map(|slot| Saved(self.record(Some(slot)).0))
    }

    /// The entry with this key, deleted or not.
    pub(crate) fn saved_entry(&self, key: &[u8]) -> Option<Saved<'_>> {
        Some(Saved(self.record(Some(self.find(key)?)).0))
    }

    /// The part with this key, deleted or not.
    pub(crate) fn saved_part(&self, kind: Kind, key: &[u8]) -> Option<Saved<'_>> {
        Some(Saved(self.record(Some(self.find_part(kind, key)?)).0))
    }

    /// Merges what was saved; the application knows of it, so it is told nothing. Returns the newest stamp.
    pub(crate) fn restore(&mut self, saved: Saved<'_>) -> Result<u64, RestoreError> {
        let record = Record(saved.0);
        let mut newest = 0;
        // The oldest first: so each is merged upon what its writer had seen.
        for n in (0..record.versions().count()).rev() {
            let Some(version) = record.versions().nth(n) else { break };
            let (key, kind) = (record.key(), version.kind.to_wire());
            let merged =
                self.merge(&EntryItem { kind, key, version: version.id(), ttl: version.ttl, value: version.value });
            let slot = match merged {
                Ok(merged) => merged.slot,
                // Its time was over before it came back.
                Err(Refused::Ended | Refused::Collected) => continue,
                Err(refused) => return Err(self.restore_error(refused)),
            };
            newest = newest.max(version.stamp);
            self.changed.remove(&mut self.slots, slot);
            if let Some(slot) = self.slots.get_mut(slot) {
                slot.set(Flag::Told, slot.has(Flag::Alive));
                slot.set(Flag::Conflict, false);
            }
        }
        Ok(newest)
    }

    fn restore_error(&self, refused: Refused) -> RestoreError {
        match refused {
            Refused::EntriesFull => RestoreError::EntriesFull { max: self.capacity() },
            Refused::BytesFull => RestoreError::BytesFull { max: self.bytes_used().1 },
            Refused::ValueLen => RestoreError::ValueLen { max: self.content_len_max },
            _ => RestoreError::Damaged,
        }
    }
}
