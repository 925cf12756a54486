//! An intrusive list: a doubly linked queue whose links live in the slots.
//!
//! Knows: its two ends and its length. Does not know: what a slot is, nor the slice, which it is handed. One hook is in
//! one list at a time; slots that queue in several lists have a hook, and a `Tag`, for each.
//! When full: it is never full, since every slot brings its own links.

use core::fmt;
use core::marker::PhantomData;

use super::{Ix, Link};

/// The links of one slot in one list; all-zero is not in a list.
///
/// The head's `prev` and the tail's `next` point at themselves, so that a listed slot always has two links and
/// "is it listed?" needs no bit of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hook {
    prev: Link,
    next: Link,
}

impl Hook {
    /// In no list.
    pub(crate) const EMPTY: Self = Self { prev: Link::NONE, next: Link::NONE };
}

/// A slot with a hook for the lists of `Tag`.
pub(crate) trait Hooked<Tag> {
    fn hook(&self) -> &Hook;
    fn hook_mut(&mut self) -> &mut Hook;
}

/// The two ends of a list; all-zero is empty.
pub(crate) struct List<Tag> {
    head: Link,
    tail: Link,
    len: Ix,
    tag: PhantomData<Tag>,
}

impl<Tag> List<Tag> {
    pub(crate) const fn new() -> Self {
        Self { head: Link::NONE, tail: Link::NONE, len: 0, tag: PhantomData }
    }

    /// Puts slot `ix` first. A slot that is in this list already moves; it must not be in another one of the same tag.
    pub(crate) fn push_front<S: Hooked<Tag>>(&mut self, slots: &mut [S], ix: usize) {
        self.remove(slots, ix);
        let me = Link::to(ix);
        let hook = Hook { prev: me, next: if self.head == Link::NONE { me } else { self.head } };
        if !set(slots, ix, hook) {
            return;
        }
        match hook_of_mut(slots, self.head) {
            Some(old) => old.prev = me,
            None => self.tail = me,
        }
        self.head = me;
        self.len = self.len.saturating_add(1);
    }

    /// Puts slot `ix` last. A slot that is in this list already moves; it must not be in another one of the same tag.
    pub(crate) fn push_back<S: Hooked<Tag>>(&mut self, slots: &mut [S], ix: usize) {
        self.remove(slots, ix);
        let me = Link::to(ix);
        let hook = Hook { prev: if self.tail == Link::NONE { me } else { self.tail }, next: me };
        if !set(slots, ix, hook) {
            return;
        }
        match hook_of_mut(slots, self.tail) {
            Some(old) => old.next = me,
            None => self.head = me,
        }
        self.tail = me;
        self.len = self.len.saturating_add(1);
    }

    /// Takes slot `ix` out; does nothing if it is not in a list.
    pub(crate) fn remove<S: Hooked<Tag>>(&mut self, slots: &mut [S], ix: usize) {
        if !self.is_linked(slots, ix) {
            return;
        }
        let me = Link::to(ix);
        let Some(hook) = hook_of_mut(slots, me) else { return };
        let Hook { prev, next } = core::mem::take(hook);
        let (first, last) = (prev == me, next == me);
        // A neighbour that becomes an end points at itself; the last slot of all has no neighbour.
        match hook_of_mut(slots, if first { Link::NONE } else { prev }) {
            Some(before) => before.next = if last { prev } else { next },
            None => self.head = if last { Link::NONE } else { next },
        }
        match hook_of_mut(slots, if last { Link::NONE } else { next }) {
            Some(after) => after.prev = if first { next } else { prev },
            None => self.tail = if first { Link::NONE } else { prev },
        }
        self.len = self.len.saturating_sub(1);
    }

    /// Puts slot `ix` last, whether it was listed or not.
    pub(crate) fn move_to_back<S: Hooked<Tag>>(&mut self, slots: &mut [S], ix: usize) {
        if self.tail != Link::to(ix) {
            self.push_back(slots, ix);
        }
    }

    /// Takes the first slot out.
    pub(crate) fn pop_front<S: Hooked<Tag>>(&mut self, slots: &mut [S]) -> Option<usize> {
        let ix = self.first()?;
        self.remove(slots, ix);
        Some(ix)
    }

    pub(crate) fn first(&self) -> Option<usize> {
        self.head.get()
    }

    #[cfg(test)]
    pub(crate) fn last(&self) -> Option<usize> {
        self.tail.get()
    }

    /// The slot after `ix`; none after the last, and none after a slot that is not listed.
    pub(crate) fn next<S: Hooked<Tag>>(&self, slots: &[S], ix: usize) -> Option<usize> {
        let next = slots.get(ix)?.hook().next;
        if next == Link::to(ix) { None } else { next.get() }
    }

    pub(crate) fn is_linked<S: Hooked<Tag>>(&self, slots: &[S], ix: usize) -> bool {
        slots.get(ix).is_some_and(|slot| slot.hook().next != Link::NONE)
    }

    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.head == Link::NONE
    }
}

impl<Tag> Default for List<Tag> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Tag> fmt::Debug for List<Tag> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "List({:?}..{:?}, {})", self.head.get(), self.tail.get(), self.len)
    }
}

fn hook_of_mut<Tag, S: Hooked<Tag>>(slots: &mut [S], link: Link) -> Option<&mut Hook> {
    slots.get_mut(link.get()?).map(S::hook_mut)
}

fn set<Tag, S: Hooked<Tag>>(slots: &mut [S], ix: usize, hook: Hook) -> bool {
    slots.get_mut(ix).map(|slot| *slot.hook_mut() = hook).is_some()
}

#[cfg(test)]
mod tests;
