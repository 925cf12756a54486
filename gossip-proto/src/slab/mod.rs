//! Mechanisms over fixed slices: what a room composes its table of.
//!
//! Each mechanism owns its heads alone and is handed the slices that it works on; links live in the slots. An empty slot
//! is all-zero bytes. Nothing here knows what it stores.

pub(crate) mod arena;
#[cfg_attr(any(target_os = "none", gossip_ix16), path = "ticks.rs")]
pub(crate) mod deadline;
pub(crate) mod index;
pub(crate) mod list;
pub(crate) mod queue;
pub(crate) mod scope;
pub(crate) mod sketch;

#[cfg(feature = "alloc")]
use alloc::boxed::Box;
use core::num::NonZero;
use core::ops::{Deref, DerefMut};

/// The width of a link: what a slot spends on pointing at another.
#[cfg(any(target_os = "none", gossip_ix16))]
pub(crate) type Ix = u16;
/// The width of a link: what a slot spends on pointing at another.
#[cfg(not(any(target_os = "none", gossip_ix16)))]
pub(crate) type Ix = u32;

/// Whether links are narrow, and memory scarce: what large tables keep at hand is worked out when it is needed.
pub(crate) const NARROW: bool = size_of::<Ix>() == 2;

/// Whether there is no heap, so that memory is scarce: then queues are shorter, by the same rules for when they are full.
pub(crate) const SCARCE: bool = !cfg!(feature = "alloc");

/// The most slots that a table may have: the numbers behind them are those of guests.
pub(crate) const SLOTS_MAX: usize = if (Ix::MAX as usize) < (1 << 24) { Ix::MAX as usize - 8 } else { 1 << 24 };

/// A link to a slot, or none: all-zero bytes are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link(Option<NonZero<Ix>>);

impl Link {
    pub(crate) const NONE: Self = Self(None);

    /// A link to slot `ix`, which is below [`SLOTS_MAX`].
    pub(crate) const fn to(ix: usize) -> Self {
        Self(NonZero::new((ix + 1) as Ix))
    }

    pub(crate) const fn get(self) -> Option<usize> {
        match self.0 {
            Some(ix) => Some(ix.get() as usize - 1),
            None => None,
        }
    }
}

/// The number in the first eight bytes; zero if there are fewer.
#[cfg_attr(target_os = "none", inline(never))]
pub(crate) fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
}

/// Moves bytes within a slice, if they are there and have a place to go. Byte by byte where flash is scarce: the compiler's
/// way takes more than a kilobyte of it.
#[cfg_attr(target_os = "none", inline(never))]
pub(crate) fn shift(bytes: &mut [u8], from: usize, len: usize, to: usize) {
    if from.max(to) + len > bytes.len() {
        return;
    }
    if !NARROW {
        return bytes.copy_within(from..from + len, to);
    }
    let cells = core::cell::Cell::from_mut(bytes).as_slice_of_cells();
    for nth in 0..len {
        let nth = if to <= from { nth } else { len - 1 - nth };
        if let (Some(to), Some(from)) = (cells.get(to + nth), cells.get(from + nth)) {
            to.set(from.get());
        }
    }
}

/// A slice that is lent by the caller or, with feature `alloc`, owned in one box: fixed for life either way.
#[derive(Debug)]
pub(crate) enum Slice<'a, T> {
    Lent(&'a mut [T]),
    #[cfg(feature = "alloc")]
    Owned(Box<[T]>),
}

impl<T> Deref for Slice<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Lent(slice) => slice,
            #[cfg(feature = "alloc")]
            Self::Owned(slice) => slice,
        }
    }
}

impl<T> DerefMut for Slice<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::Lent(slice) => slice,
            #[cfg(feature = "alloc")]
            Self::Owned(slice) => slice,
        }
    }
}
