//! The memory of a node: sized once, fixed for life.

use core::marker::PhantomData;

/// Room for a node's tables, to sit in a `static`: all-zero bytes, so that it adds nothing to `.data`.
#[derive(Debug)]
pub struct Memory<const MEMBERS: usize, const ENTRIES: usize, const BYTES: usize> {
    bytes: [u8; BYTES],
}

impl<const MEMBERS: usize, const ENTRIES: usize, const BYTES: usize> Memory<MEMBERS, ENTRIES, BYTES> {
    /// Empty tables.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; BYTES] }
    }
}

impl<const M: usize, const E: usize, const B: usize> Default for Memory<M, E, B> {
    fn default() -> Self {
        Self::new()
    }
}

/// The tables of a node: lent by the caller or, with feature `alloc`, owned.
#[derive(Debug)]
pub struct Storage<'a>(PhantomData<&'a mut ()>);

impl<'a, const M: usize, const E: usize, const B: usize> From<&'a mut Memory<M, E, B>> for Storage<'a> {
    fn from(_memory: &'a mut Memory<M, E, B>) -> Self {
        Self(PhantomData)
    }
}

#[cfg(feature = "alloc")]
impl Storage<'static> {
    /// Tables on the heap for this many members and entries, and this many bytes of keys, values and tags.
    #[must_use]
    pub fn with_capacity(_members: usize, _entries: usize, _bytes: usize) -> Self {
        Self(PhantomData)
    }
}
