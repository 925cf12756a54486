//! A short queue, in the order in which its rows came.
//!
//! Knows: rows side by side, so that what looks through them is the loop over a slice; the first that leaves moves the
//! others up, which are few. Does not know: what a row is.
//! When full: a further row is handed back; who has it decides.

use core::ops::{Deref, DerefMut};

use super::NARROW;

#[derive(Debug)]
pub(crate) struct Queue<T, const N: usize>(heapless::Vec<T, N>);

impl<T: Copy, const N: usize> Queue<T, N> {
    pub(crate) const fn new() -> Self {
        Self(heapless::Vec::new())
    }

    pub(crate) fn push_back(&mut self, row: T) -> Result<(), T> {
        self.0.push(row)
    }

    pub(crate) fn pop_front(&mut self) -> Option<T> {
        let first = self.0.first().copied();
        self.remove(0);
        first
    }

    /// Takes out the row at a place where there is one.
    pub(crate) fn remove(&mut self, at: usize) {
        if !NARROW && at < self.0.len() {
            self.0.remove(at);
        } else if at < self.0.len() {
            // Past each of those behind it: nothing else needs memory to be moved.
            let mut rest = self.0.get_mut(at..).unwrap_or_default();
            while let Some((row, after)) = rest.split_first_mut() {
                if let Some(next) = after.first_mut() {
                    core::mem::swap(row, next);
                }
                rest = after;
            }
            self.0.pop();
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.0.is_full()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl<T, const N: usize> Default for Queue<T, N> {
    fn default() -> Self {
        Self(heapless::Vec::new())
    }
}

impl<T, const N: usize> Deref for Queue<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const N: usize> DerefMut for Queue<T, N> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}
