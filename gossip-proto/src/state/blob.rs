//! Blobs: small byte strings that another room keeps in the store's slots and bytes, such as members' tags.
//!
//! Knows: a slot with bytes, which is not in the index, in no list, and no entry. Does not know: what the bytes mean.
//! When full: at most a quarter of the slots and an eighth of the bytes are blobs, so that they cannot crowd the entries
//! out; what is beyond is refused, and nothing changed.

use super::slot::Flag;
use super::store::Store;
use crate::slab::arena::Arena;

impl Store<'_> {
    /// Keeps these bytes, in place of those in slot `old`, and says where. If it cannot, the old ones are kept.
    pub(crate) fn blob_put(&mut self, old: Option<usize>, bytes: &[u8]) -> Option<usize> {
        let old = old.filter(|&slot| self.has(slot, Flag::Blob));
        if old.is_none() && (self.blobs as usize + 1) * 4 > self.capacity() {
            return None;
        }
        let freed = old.map_or(0, |slot| Arena::cost(self.blob(slot).len()));
        let total = (self.blob_bytes as usize).saturating_sub(freed) + Arena::cost(bytes.len());
        if total * 8 > self.arena.capacity() {
            return None;
        }
        let slot = old.or_else(|| self.take_slot())?;
        if !self.reserve(slot, bytes.len()) {
            if old.is_none() {
                self.give_slot(slot);
            }
            return None;
        }
        for (to, from) in self.record_mut(slot).iter_mut().zip(bytes) {
            *to = *from;
        }
        self.blob_bytes = total as u32;
        if old.is_none() {
            self.blobs += 1;
            if let Some(slot) = self.slots.get_mut(slot) {
                slot.set(Flag::Blob, true);
            }
        }
        Some(slot)
    }

    /// Whether there are any.
    pub(crate) fn keeps_blobs(&self) -> bool {
        self.blobs > 0
    }

    /// The bytes of a blob; empty if there is none in this slot.
    pub(crate) fn blob(&self, slot: usize) -> &[u8] {
        let slot = self.slots.get(slot).filter(|slot| slot.has(Flag::Blob));
        slot.and_then(|slot| slot.loc).map_or(&[], |loc| self.arena.get(&self.bytes, loc))
    }

    /// Gives a blob's slot and bytes back; does nothing if there is none in this slot.
    pub(crate) fn blob_free(&mut self, slot: usize) {
        if !self.has(slot, Flag::Blob) {
            return;
        }
        self.blob_bytes = self.blob_bytes.saturating_sub(Arena::cost(self.blob(slot).len()) as u32);
        self.blobs = self.blobs.saturating_sub(1);
        self.free_bytes(slot);
        self.give_slot(slot);
    }
}
