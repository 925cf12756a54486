//! Receipts: writes of which the application wants to know who holds them.
//!
//! Knows: which writes are watched, by what number they are asked about, and whom to ask next. Does not know: who has
//! confirmed, which is a bit in each member's slot; nor what it takes to ask.
//! When full: another one is refused until one is closed.

use core::num::NonZero;

use crate::slab::index::Key;
use crate::time::Instant;

/// A write that is watched: closed with [`Node::close_receipt`](crate::Node::close_receipt).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Receipt {
    place: u8,
    number: NonZero<u32>,
}

/// What a write is asked about by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watched {
    pub(crate) key: Key,
    pub(crate) stamp: u64,
    /// Its answers carry this: another for each receipt, and not to be foretold by others.
    pub(crate) number: NonZero<u32>,
}

/// The receipts that are open.
#[derive(Debug, Default)]
pub(crate) struct Receipts {
    open: [Option<Watched>; RECEIPTS_MAX],
    /// The position among the peers at which asking goes on.
    pub(crate) cursor: usize,
    /// When to ask again.
    pub(crate) next: Option<Instant>,
}

impl Receipts {
    /// Watches one more; `None` when all places are taken.
    pub(crate) fn open(&mut self, watched: Watched) -> Option<Receipt> {
        let place = self.open.iter().position(Option::is_none)?;
        *self.open.get_mut(place)? = Some(watched);
        Some(Receipt { place: place as u8, number: watched.number })
    }

    /// The bit of an open receipt.
    pub(crate) fn bit(&self, receipt: Receipt) -> Option<u8> {
        self.bit_of(receipt.number.get()).filter(|bit| *bit == 1 << (receipt.place & 7))
    }

    /// The bit of the receipt that is asked about by this number.
    pub(crate) fn bit_of(&self, number: u32) -> Option<u8> {
        let place = self.open.iter().position(|open| open.is_some_and(|open| open.number.get() == number))?;
        Some(1 << place)
    }

    /// The bits of all open receipts.
    pub(crate) fn bits(&self) -> u8 {
        self.open.iter().enumerate().fold(0, |bits, (place, open)| bits | u8::from(open.is_some()) << place)
    }

    /// What is watched under the lowest of these bits.
    pub(crate) fn first(&self, bits: u8) -> Option<Watched> {
        self.open.get(bits.trailing_zeros() as usize).copied().flatten()
    }

    /// The watched write that is asked about by this number.
    pub(crate) fn watched(&self, number: u32) -> Option<Watched> {
        self.open.iter().flatten().find(|open| open.number.get() == number).copied()
    }

    /// Watches it no longer.
    pub(crate) fn close(&mut self, receipt: Receipt) {
        if self.bit(receipt).is_some() {
            if let Some(open) = self.open.get_mut(usize::from(receipt.place)) {
                *open = None;
            }
        }
        if self.bits() == 0 {
            self.next = None;
        }
    }
}

/// How many receipts are open at once: a bit in a member's slot for each. None where they are left out.
pub(crate) const RECEIPTS_MAX: usize = if cfg!(feature = "receipts") { 8 } else { 0 };
