//! Where entries lie: slots that are free, and the bytes of those that are not.
//!
//! Knows: the table's slots and the arena. Does not know: what is in a record, nor the index.
//! When full: no slot, or no bytes, and nothing changed.

use super::slot::EntrySlot;
use super::store::Store;
use crate::slab::arena::{Arena, Loc};

impl Store<'_> {
    /// Makes the bytes of a slot longer and keeps what they are; if it cannot, nothing changed.
    pub(super) fn grow(&mut self, slot: usize, loc: Loc, len: usize) -> bool {
        if self.arena.resize(&mut self.bytes, loc, len) {
            return true;
        }
        // The old bytes may move while the new ones are placed, and are found by their slot.
        let Some(to) = self.alloc(slot, len) else { return false };
        let Some(from) = self.slots.get_mut(slot).and_then(|slot| slot.loc.replace(to)) else { return false };
        self.copy(from, 0, to, 0, usize::MAX);
        self.arena.free(&mut self.bytes, from);
        true
    }

    /// Copies up to `len` bytes from one record to another.
    pub(super) fn copy(&mut self, from: Loc, from_at: usize, to: Loc, to_at: usize, len: usize) {
        let len = len.min(self.arena.get(&self.bytes, from).len().saturating_sub(from_at));
        let mut chunk = [0; 64];
        for start in (0..len).step_by(chunk.len()) {
            let chunk = chunk.get_mut(..(len - start).min(64)).unwrap_or_default();
            let old = self.arena.get(&self.bytes, from).get(from_at + start..).unwrap_or(&[]);
            chunk.iter_mut().zip(old).for_each(|(to, from)| *to = *from);
            let new = self.arena.get_mut(&mut self.bytes, to).get_mut(to_at + start..).unwrap_or_default();
            new.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        }
    }

    /// Makes the bytes of a slot `len` long, of unspecified content; if it cannot, nothing changed.
    pub(super) fn reserve(&mut self, slot: usize, len: usize) -> bool {
        if let Some(loc) = self.slots.get(slot).and_then(|slot| slot.loc) {
            if self.arena.resize(&mut self.bytes, loc, len) {
                return true;
            }
            let old = Arena::cost(self.arena.get(&self.bytes, loc).len());
            if !self.arena.takes(len, old) {
                return false;
            }
            self.free_bytes(slot);
        }
        let loc = self.alloc(slot, len);
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.loc = loc;
        }
        loc.is_some()
    }

    pub(super) fn alloc(&mut self, slot: usize, len: usize) -> Option<Loc> {
        let slots = &mut self.slots;
        self.arena.alloc(&mut self.bytes, slot as u32, len, &mut |owner, loc| {
            if let Some(slot) = slots.get_mut(owner as usize) {
                slot.loc = Some(loc);
            }
        })
    }

    pub(super) fn free_bytes(&mut self, slot: usize) {
        if let Some(loc) = self.slots.get_mut(slot).and_then(|slot| slot.loc.take()) {
            self.arena.free(&mut self.bytes, loc);
        }
    }

    /// A free slot: one that was used before, else one that never was.
    pub(super) fn take_slot(&mut self) -> Option<usize> {
        if let Some(slot) = self.free.pop_front(&mut self.slots) {
            return Some(slot);
        }
        let slot = self.fresh as usize;
        (slot < self.capacity()).then(|| {
            self.fresh += 1;
            slot
        })
    }

    pub(super) fn has_slot(&self) -> bool {
        self.free.first().is_some() || (self.fresh as usize) < self.capacity()
    }

    /// Makes a slot free that is not in the index and has no bytes any more.
    pub(super) fn give_slot(&mut self, slot: usize) {
        self.hot.remove(&mut self.slots, slot);
        self.changed.remove(&mut self.slots, slot);
        self.deadlines.clear(&mut self.rows, &mut self.slots, slot);
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = EntrySlot::default();
        }
        self.free.push_front(&mut self.slots, slot);
    }

    pub(super) fn record_mut(&mut self, slot: usize) -> &mut [u8] {
        match self.slots.get(slot).and_then(|slot| slot.loc) {
            Some(loc) => self.arena.get_mut(&mut self.bytes, loc),
            None => &mut [],
        }
    }

    /// How many slots there are: every table brings one row for each.
    pub(super) fn capacity(&self) -> usize {
        self.slots.len().min(self.cells.len()).min(self.rows.len())
    }
}
