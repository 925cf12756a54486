//! The memory of a node: sized once, fixed for life.
//!
//! Knows: which slices a node needs for given capacities. Does not know: what is in them.

use crate::config::ConfigError;
use crate::membership::MemberSlot;
use crate::repair::Lane;
#[cfg(feature = "alloc")]
use crate::repair::{LANES, LANES_POSSIBLE};
use crate::slab::deadline::Row;
use crate::slab::index::{Cells, Fork, Leaf};
use crate::slab::sketch;
use crate::slab::{SLOTS_MAX, Slice};
use crate::state::EntrySlot;

/// Room for the tables of a node: `MEMBERS` members (the node itself is one), `ENTRIES` entries (deleted ones and tags
/// count) and `BYTES` bytes of keys, values and tags.
///
/// It sits in a `static` on a microcontroller; an empty one is all zero bytes, so it adds nothing to `.data`. What happens
/// when a table is full is written at its room; in short, the new is refused and counted, and what is held stays.
#[derive(Debug)]
pub struct Memory<const MEMBERS: usize, const ENTRIES: usize, const BYTES: usize> {
    members: [MemberSlot; MEMBERS],
    member_leaves: [Leaf; MEMBERS],
    member_forks: [Fork; MEMBERS],
    member_rows: [Row; MEMBERS],
    entries: [EntrySlot; ENTRIES],
    entry_leaves: [Leaf; ENTRIES],
    entry_forks: [Fork; ENTRIES],
    entry_rows: [Row; ENTRIES],
    bytes: [u8; BYTES],
}

impl<const MEMBERS: usize, const ENTRIES: usize, const BYTES: usize> Memory<MEMBERS, ENTRIES, BYTES> {
    /// Empty tables.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            members: [MemberSlot::EMPTY; MEMBERS],
            member_leaves: [Leaf::EMPTY; MEMBERS],
            member_forks: [Fork::EMPTY; MEMBERS],
            member_rows: [Row::EMPTY; MEMBERS],
            entries: [EntrySlot::EMPTY; ENTRIES],
            entry_leaves: [Leaf::EMPTY; ENTRIES],
            entry_forks: [Fork::EMPTY; ENTRIES],
            entry_rows: [Row::EMPTY; ENTRIES],
            bytes: [0; BYTES],
        }
    }
}

impl<const M: usize, const E: usize, const B: usize> Default for Memory<M, E, B> {
    fn default() -> Self {
        Self::new()
    }
}

/// The tables of a node: lent by the caller or, with feature `alloc`, owned.
#[derive(Debug)]
pub struct Storage<'a> {
    pub(crate) members: Slice<'a, MemberSlot>,
    pub(crate) member_cells: Cells<'a>,
    pub(crate) member_rows: Slice<'a, Row>,
    pub(crate) entries: Slice<'a, EntrySlot>,
    pub(crate) entry_cells: Cells<'a>,
    pub(crate) entry_rows: Slice<'a, Row>,
    pub(crate) bytes: Slice<'a, u8>,
    /// A sketch, another's, room to compare them, and what to do about the differences; or nothing.
    pub(crate) sketch: Slice<'a, sketch::Cell>,
    pub(crate) theirs: Slice<'a, sketch::Cell>,
    pub(crate) work: Slice<'a, sketch::Cell>,
    pub(crate) found: Slice<'a, u64>,
    /// Where a comparison by digests has come to, or nothing.
    pub(crate) open: Slice<'a, u64>,
    /// Room to catch up in, or nothing.
    pub(crate) lanes: Slice<'a, Lane>,
}

impl Storage<'_> {
    /// Checks the sizes: the same limits on every target.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let checks = [
            ("members", self.members.len(), MEMBERS_MIN, SLOTS_MAX),
            ("entries", self.entries.len(), 0, SLOTS_MAX),
            ("bytes", self.bytes.len(), 0, u32::MAX as usize / 2),
        ];
        checks
            .iter()
            .find(|(_, given, min, max)| given < min || given > max)
            .map_or(Ok(()), |&(table, given, min, max)| Err(ConfigError::Capacity { table, given, min, max }))
    }
}

impl<'a, const M: usize, const E: usize, const B: usize> From<&'a mut Memory<M, E, B>> for Storage<'a> {
    /// Lends the memory; what an earlier node left in it is wiped.
    fn from(memory: &'a mut Memory<M, E, B>) -> Self {
        let Memory {
            members,
            member_leaves,
            member_forks,
            member_rows,
            entries,
            entry_leaves,
            entry_forks,
            entry_rows,
            bytes,
        } = memory;
        members.fill(MemberSlot::EMPTY);
        member_leaves.fill(Leaf::EMPTY);
        member_forks.fill(Fork::EMPTY);
        member_rows.fill(Row::EMPTY);
        entries.fill(EntrySlot::EMPTY);
        entry_leaves.fill(Leaf::EMPTY);
        entry_forks.fill(Fork::EMPTY);
        entry_rows.fill(Row::EMPTY);
        Self {
            members: Slice::Lent(members),
            member_cells: Cells::new(Slice::Lent(member_leaves), Slice::Lent(member_forks)),
            member_rows: Slice::Lent(member_rows),
            entries: Slice::Lent(entries),
            entry_cells: Cells::new(Slice::Lent(entry_leaves), Slice::Lent(entry_forks)),
            entry_rows: Slice::Lent(entry_rows),
            bytes: Slice::Lent(bytes),
            sketch: Slice::Lent(&mut []),
            theirs: Slice::Lent(&mut []),
            work: Slice::Lent(&mut []),
            found: Slice::Lent(&mut []),
            open: Slice::Lent(&mut []),
            lanes: Slice::Lent(&mut []),
        }
    }
}

#[cfg(feature = "alloc")]
impl Storage<'static> {
    /// Tables on the heap for this many members and entries, and this many bytes of keys, values and tags. They never
    /// grow: the node allocates nothing after this.
    ///
    /// With room for 512 entries or more come 80 KiB to compare in, by sketches
    /// if it is [`Repair::Sketch`](crate::Repair::Sketch), and, with feature `catchup`, 2 KiB to catch up in; fewer entries,
    /// and lent memory, are compared by digests.
    #[must_use]
    pub fn with_capacity(members: usize, entries: usize, bytes: usize) -> Self {
        fn boxed<T: Clone>(empty: T, len: usize) -> Slice<'static, T> {
            Slice::Owned(alloc::vec![empty; len].into_boxed_slice())
        }
        let storage = Self {
            members: boxed(MemberSlot::EMPTY, members),
            member_cells: Cells::new(boxed(Leaf::EMPTY, members), boxed(Fork::EMPTY, members)),
            member_rows: boxed(Row::EMPTY, members),
            entries: boxed(EntrySlot::EMPTY, entries),
            entry_cells: Cells::new(boxed(Leaf::EMPTY, entries), boxed(Fork::EMPTY, entries)),
            entry_rows: boxed(Row::EMPTY, entries),
            bytes: boxed(0, bytes),
            sketch: boxed(0, 0),
            theirs: boxed(0, 0),
            work: boxed(0, 0),
            found: boxed(0, 0),
            open: boxed(0, 0),
            lanes: boxed(Lane::EMPTY, if entries >= SKETCH_ENTRIES_MIN && LANES_POSSIBLE { LANES } else { 0 }),
        };
        if entries >= SKETCH_ENTRIES_MIN { storage.sketched() } else { storage }
    }

    /// With sketches.
    pub(crate) fn sketched(mut self) -> Self {
        for cells in [&mut self.sketch, &mut self.theirs, &mut self.work, &mut self.found, &mut self.open] {
            *cells = Slice::Owned(alloc::vec![0; sketch::CELLS].into_boxed_slice());
        }
        self
    }
}

/// From here on a sketch is small beside the entries.
#[cfg(feature = "alloc")]
const SKETCH_ENTRIES_MIN: usize = 512;
/// A node and one other.
const MEMBERS_MIN: usize = 2;
