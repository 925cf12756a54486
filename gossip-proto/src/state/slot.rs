//! The slot of an entry: what the lists and the heap need, and where its bytes are.
//!
//! Knows: links, bits and a place. Does not know: what is in the bytes. All-zero is an empty slot that was never used.

use crate::slab::arena::Loc;
use crate::slab::deadline::{Place, Timed};
use crate::slab::list::{Hook, Hooked};

/// One slot of the table; 28 bytes, or 10 with narrow links.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EntrySlot {
    /// The record, or the blob; none while the slot is free.
    pub(super) loc: Option<Loc>,
    /// In the list of what is to be passed on; in the list of free slots while the slot is free.
    rumor: Hook,
    /// In the list of what the application is to be told.
    changed: Hook,
    /// In the heap of deadlines.
    place: Place,
    /// How many times it is still to be passed on.
    pub(super) left: u8,
    flags: u8,
}

/// What is to be passed on.
#[derive(Debug)]
pub(super) enum Hot {}
/// What the application is to be told.
#[derive(Debug)]
pub(super) enum Changed {}
/// Slots that were used and are free again.
#[derive(Debug)]
pub(super) enum Free {}

/// One of the bits of a slot.
#[derive(Clone, Copy, Debug)]
pub(super) enum Flag {
    /// The entry has a value.
    Alive = 1,
    /// The application was last told that the entry has a value.
    Told = 2,
    /// A value was lost since the application was last told of this entry.
    Conflict = 4,
    /// To be passed on at once.
    Urgent = 8,
    /// Not an entry: bytes that another room keeps here.
    Blob = 16,
    /// A blob that is a message of the application.
    Message = 32,
}

impl EntrySlot {
    /// An empty slot that was never used.
    pub(crate) const EMPTY: Self =
        Self { loc: None, rumor: Hook::EMPTY, changed: Hook::EMPTY, place: Place::EMPTY, left: 0, flags: 0 };

    pub(super) const fn has(&self, flag: Flag) -> bool {
        self.flags & flag as u8 != 0
    }

    pub(super) const fn set(&mut self, flag: Flag, on: bool) {
        if on {
            self.flags |= flag as u8;
        } else {
            self.flags &= !(flag as u8);
        }
    }
}

impl Hooked<Hot> for EntrySlot {
    fn hook(&self) -> &Hook {
        &self.rumor
    }

    fn hook_mut(&mut self) -> &mut Hook {
        &mut self.rumor
    }
}

impl Hooked<Free> for EntrySlot {
    fn hook(&self) -> &Hook {
        &self.rumor
    }

    fn hook_mut(&mut self) -> &mut Hook {
        &mut self.rumor
    }
}

impl Hooked<Changed> for EntrySlot {
    fn hook(&self) -> &Hook {
        &self.changed
    }

    fn hook_mut(&mut self) -> &mut Hook {
        &mut self.changed
    }
}

impl Timed for EntrySlot {
    fn place(&self) -> Place {
        self.place
    }

    fn place_mut(&mut self) -> &mut Place {
        &mut self.place
    }
}
