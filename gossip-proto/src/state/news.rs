//! What the store has to say: to other nodes, while an entry is hot; to the application, once it has changed (rule R7).
//!
//! Knows: two lists through the slots. Does not know: who is told, or in what words.
//! When full: neither list can be, since every slot brings its links.
//!
//! An entry is in the list of changed ones only if there is something to tell: it has a value, or the application knows
//! it with one, or a write was lost. An entry that came and went between two polls leaves the list, so a poll never has
//! to search.

use super::slot::{EntrySlot, Flag};
use super::store::Store;
use crate::event::EntryChange;

impl Store<'_> {
    /// Makes an entry the first to be passed on, `left` times.
    pub(crate) fn heat(&mut self, slot: usize, left: u8, urgent: bool) {
        if self.record(Some(slot)).key().is_empty() && !self.is_message(slot) {
            return;
        }
        if left == 0 {
            self.hot.remove(&mut self.slots, slot);
        } else {
            self.hot.push_front(&mut self.slots, slot);
        }
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.left = left;
            slot.set(Flag::Urgent, urgent && left > 0);
        }
    }

    /// Counts that an entry was passed on: to the back, or out of the list.
    pub(crate) fn hot_sent(&mut self, slot: usize) {
        let Some(it) = self.slots.get_mut(slot).filter(|it| it.left > 0) else { return };
        it.left -= 1;
        if it.left > 0 {
            self.hot.move_to_back(&mut self.slots, slot);
        } else {
            it.set(Flag::Urgent, false);
            self.hot.remove(&mut self.slots, slot);
        }
    }

    pub(crate) fn hot_first(&self) -> Option<usize> {
        self.hot.first()
    }

    pub(crate) fn hot_next(&self, slot: usize) -> Option<usize> {
        self.slots.get(slot).filter(|slot| slot.left > 0).and_then(|_| self.hot.next(&self.slots, slot))
    }

    pub(crate) fn hot_len(&self) -> usize {
        self.hot.len()
    }

    /// How many times an entry is still to be passed on.
    pub(crate) fn left(&self, slot: usize) -> u8 {
        self.slots.get(slot).map_or(0, |slot| slot.left)
    }

    pub(crate) fn urgent(&self, slot: usize) -> bool {
        self.has(slot, Flag::Urgent)
    }

    /// The next entry that is not what the application was last told, what to tell, and whether a write was lost.
    pub(crate) fn poll_change(&mut self) -> Option<(usize, EntryChange, bool)> {
        loop {
            let ix = self.changed.pop_front(&mut self.slots)?;
            // A value may have ended since it was noted.
            let alive = self.entry(ix).is_some();
            let slot = self.slots.get_mut(ix)?;
            let (told, conflict) = (slot.has(Flag::Told), slot.has(Flag::Conflict));
            slot.set(Flag::Told, alive);
            slot.set(Flag::Conflict, false);
            let change = match alive {
                true => EntryChange::Put,
                false if Self::has_ended(self.record(Some(ix))) => EntryChange::Expired,
                false => EntryChange::Deleted,
            };
            if alive || told || conflict {
                return Some((ix, change, conflict));
            }
        }
    }

    /// Whether [`Store::poll_change`] has something to say.
    #[cfg(test)]
    pub(crate) fn has_change(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Keeps the bits and the list of changed entries in step with the record.
    pub(super) fn note(&mut self, ix: usize, changed: bool, lost: bool) {
        if !changed && !lost {
            return;
        }
        let alive = self.entry(ix).is_some();
        let Some(slot) = self.slots.get_mut(ix) else { return };
        slot.set(Flag::Alive, alive);
        if lost {
            slot.set(Flag::Conflict, true);
        }
        if !tellable(slot) {
            self.changed.remove(&mut self.slots, ix);
        } else if !self.changed.is_linked(&self.slots, ix) {
            self.changed.push_back(&mut self.slots, ix);
        }
    }
}

/// Whether there is anything to tell about a slot. A write that was lost is told even of an entry that is deleted.
fn tellable(slot: &EntrySlot) -> bool {
    slot.has(Flag::Alive) || slot.has(Flag::Told) || slot.has(Flag::Conflict)
}
