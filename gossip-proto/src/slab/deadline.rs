//! The deadlines of a table: a 4-ary heap over rows of tick and slot.
//!
//! Knows: which slot is due first, and at which tick. Does not know: what is to be done then, nor any clock. A slot has
//! at most one deadline; it keeps its place in the heap, so that moving or clearing a deadline needs no search.
//! When full: it is never full, since there is a row for every slot.
//!
//! Of equal ticks the one with the lowest slot comes first, whatever the calls were: replays are exact on any target.

use super::{Ix, Link};
use crate::time::Tick;

/// One deadline; all-zero beyond the heap's length. Packed, since rows are many: 6 bytes with narrow links.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, packed(2))]
pub(crate) struct Row {
    tick: u32,
    slot: Ix,
}

/// Where a slot's deadline is in the heap; all-zero is no deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place(Link);

impl Row {
    /// No deadline.
    pub(crate) const EMPTY: Self = Self { tick: 0, slot: 0 };

    /// In which order they come out.
    fn order(&self) -> (u32, Ix) {
        (self.tick, self.slot)
    }
}

impl Place {
    /// No deadline.
    pub(crate) const EMPTY: Self = Self(Link::NONE);
}

/// A slot that may have a deadline.
pub(crate) trait Timed {
    fn place(&self) -> Place;
    fn place_mut(&mut self) -> &mut Place;
}

/// Where the places are: behind a table of functions, so that the code of a heap is there once, not for each kind of slot.
trait Places {
    fn place(&mut self, ix: usize) -> Option<&mut Place>;
}

struct Slots<'s, S>(&'s mut [S]);

impl<S: Timed> Places for Slots<'_, S> {
    fn place(&mut self, ix: usize) -> Option<&mut Place> {
        self.0.get_mut(ix).map(S::place_mut)
    }
}

/// The head of the heap; the rows, as many as there are slots, are handed in.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    len: Ix,
}

impl Deadlines {
    pub(crate) const fn new() -> Self {
        Self { len: 0 }
    }

    /// Gives slot `ix` the deadline `tick`, in place of the one that it may have.
    pub(crate) fn set<S: Timed>(&mut self, rows: &mut [Row], slots: &mut [S], ix: usize, tick: Tick) {
        self.set_in(rows, &mut Slots(slots), ix, tick);
    }

    /// Takes the deadline of slot `ix` away; does nothing if it has none.
    pub(crate) fn clear<S: Timed>(&mut self, rows: &mut [Row], slots: &mut [S], ix: usize) {
        if let Some(at) = slots.get(ix).and_then(|slot| slot.place().0.get()) {
            self.remove(rows, &mut Slots(slots), at);
        }
    }

    /// Takes the first deadline away if it is due, and says whose it was.
    pub(crate) fn pop_due<S: Timed>(&mut self, rows: &mut [Row], slots: &mut [S], now: Tick) -> Option<usize> {
        let first = rows.first().filter(|row| self.len > 0 && row.tick <= now.0)?.slot as usize;
        self.remove(rows, &mut Slots(slots), 0);
        Some(first)
    }

    /// The deadline of slot `ix`.
    #[cfg(test)]
    pub(crate) fn get<S: Timed>(&self, rows: &[Row], slots: &[S], ix: usize) -> Option<Tick> {
        let at = slots.get(ix)?.place().0.get()?;
        rows.get(at).map(|row| Tick(row.tick))
    }

    /// The first deadline of all.
    pub(crate) fn next(&self, rows: &[Row]) -> Option<Tick> {
        rows.first().filter(|_| self.len > 0).map(|row| Tick(row.tick))
    }

    /// The slot with the first deadline of those that are wanted. Costs a look at all that have one.
    pub(crate) fn first_of(&self, rows: &[Row], wanted: &dyn Fn(usize) -> bool) -> Option<usize> {
        let slots = rows.iter().take(self.len()).filter(|row| wanted(row.slot as usize));
        slots.min_by_key(|row| row.order()).map(|row| row.slot as usize)
    }

    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn set_in(&mut self, rows: &mut [Row], slots: &mut dyn Places, ix: usize, tick: Tick) {
        let Some(place) = slots.place(ix) else { return };
        let at = place.0.get().unwrap_or_else(|| self.len());
        if at >= rows.len() {
            return;
        }
        if at == self.len() {
            self.len = self.len.saturating_add(1);
        }
        self.settle(rows, slots, at, Row { tick: tick.0, slot: ix as Ix });
    }

    /// Takes the row at `at` out and fills the hole with the last row.
    fn remove(&mut self, rows: &mut [Row], slots: &mut dyn Places, at: usize) {
        let Some(gone) = rows.get(at).filter(|_| at < self.len()) else { return };
        if let Some(place) = slots.place(gone.slot as usize) {
            *place = Place::default();
        }
        self.len -= 1;
        let Some(last) = rows.get_mut(self.len()).map(core::mem::take) else { return };
        if at < self.len() {
            self.settle(rows, slots, at, last);
        }
    }

    /// Puts `row` where it belongs, starting from a hole at `at`: up past later parents, else down past earlier children.
    fn settle(&self, rows: &mut [Row], slots: &mut dyn Places, hole: usize, row: Row) {
        let mut at = hole;
        while let Some(up) = at.checked_sub(1).map(|below| below / ARITY) {
            match rows.get(up).copied() {
                Some(parent) if parent.order() > row.order() => put(rows, slots, at, parent),
                _ => break,
            }
            at = up;
        }
        while at >= hole {
            let first = at * ARITY + 1;
            let children = rows.get(first..self.len().min(first + ARITY)).unwrap_or_default();
            let Some((nth, &child)) = children.iter().enumerate().min_by_key(|(_, child)| child.order()) else { break };
            if child.order() >= row.order() {
                break;
            }
            put(rows, slots, at, child);
            at = first + nth;
        }
        put(rows, slots, at, row);
    }
}

fn put(rows: &mut [Row], slots: &mut dyn Places, at: usize, row: Row) {
    if let (Some(to), Some(place)) = (rows.get_mut(at), slots.place(row.slot as usize)) {
        *to = row;
        *place = Place(Link::to(at));
    }
}

/// Four children are half a cache line, and halve the depth of a binary heap.
const ARITY: usize = 4;

#[cfg(test)]
mod tests;
