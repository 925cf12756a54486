//! The deadlines of a small table, in place of a heap: the tick of each slot, and the first of them.
//!
//! Knows: which slot is due first, and at which tick. Does not know: what is to be done then, nor any clock. To
//! change the first costs a look at all; a heap would take as much again for places and rows, and its code, to spare that.
//! When full: it is never full, since there is a tick for every slot.
//!
//! Of equal ticks the one with the lowest slot comes first, as from the heap.

use crate::time::Tick;

/// One more than the tick of a slot; zero while it has no deadline.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Row(u32);

/// Where a slot's deadline is: at its own number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place;

impl Row {
    /// No deadline.
    pub(crate) const EMPTY: Self = Self(0);
}

impl Place {
    /// No deadline.
    pub(crate) const EMPTY: Self = Self;
}

/// A slot that may have a deadline.
#[allow(dead_code, reason = "a heap asks for the place")]
pub(crate) trait Timed {
    fn place(&self) -> Place;
    fn place_mut(&mut self) -> &mut Place;
}

/// The first of all, as in its row.
#[derive(Debug, Default)]
pub(crate) struct Deadlines(u32);

impl Deadlines {
    pub(crate) const fn new() -> Self {
        Self(0)
    }

    /// Gives slot `ix` the deadline `tick`, in place of the one that it may have.
    pub(crate) fn set<S: Timed>(&mut self, rows: &mut [Row], _slots: &mut [S], ix: usize, tick: Tick) {
        self.put(rows, ix, tick.0.saturating_add(1));
    }

    /// Takes the deadline of slot `ix` away; does nothing if it has none.
    pub(crate) fn clear<S: Timed>(&mut self, rows: &mut [Row], _slots: &mut [S], ix: usize) {
        self.put(rows, ix, 0);
    }

    /// Takes the first deadline away if it is due, and says whose it was.
    pub(crate) fn pop_due<S: Timed>(&mut self, rows: &mut [Row], _slots: &mut [S], now: Tick) -> Option<usize> {
        self.next(rows).filter(|first| *first <= now)?;
        let first = rows.iter().position(|row| row.0 == self.0)?;
        self.put(rows, first, 0);
        Some(first)
    }

    /// The deadline of slot `ix`.
    #[cfg(test)]
    pub(crate) fn get<S: Timed>(&self, rows: &[Row], _slots: &[S], ix: usize) -> Option<Tick> {
        rows.get(ix)?.0.checked_sub(1).map(Tick)
    }

    /// The first deadline of all.
    pub(crate) fn next(&self, _rows: &[Row]) -> Option<Tick> {
        self.0.checked_sub(1).map(Tick)
    }

    /// The slot with the first deadline of those that are wanted.
    pub(crate) fn first_of(&self, rows: &[Row], wanted: &dyn Fn(usize) -> bool) -> Option<usize> {
        let (mut first, mut least) = (None, u32::MAX);
        for (ix, row) in rows.iter().enumerate() {
            // Zero is none, and greater than all.
            if row.0.wrapping_sub(1) < least && wanted(ix) {
                (first, least) = (Some(ix), row.0 - 1);
            }
        }
        first
    }

    #[inline(never)]
    fn put(&mut self, rows: &mut [Row], ix: usize, tick: u32) {
        let Some(row) = rows.get_mut(ix) else { return };
        let old = core::mem::replace(&mut row.0, tick);
        // Unless another one is still the first; none comes after all.
        if old != tick && (old == self.0 || tick.wrapping_sub(1) < self.0.wrapping_sub(1)) {
            self.0 = rows.iter().map(|row| row.0).filter(|tick| *tick > 0).min().unwrap_or(0);
        }
    }
}

#[cfg(test)]
#[path = "deadline/tests.rs"]
mod tests;
