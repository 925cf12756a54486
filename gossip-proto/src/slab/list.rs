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
/// "is it listed?" needs no bit of its own. With narrow links there is no `prev`: a list is short, and what leaves it is
/// mostly its head, so the one before any other is looked for from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hook {
    #[cfg(not(any(target_os = "none", gossip_ix16)))]
    prev: Link,
    next: Link,
}

impl Hook {
    /// In no list.
    pub(crate) const EMPTY: Self = Self::of(Link::NONE, Link::NONE);

    const fn of(_prev: Link, next: Link) -> Self {
        Self {
            #[cfg(not(any(target_os = "none", gossip_ix16)))]
            prev: _prev,
            next,
        }
    }

    fn set_prev(&mut self, _prev: Link) {
        #[cfg(not(any(target_os = "none", gossip_ix16)))]
        {
            self.prev = _prev;
        }
    }
}

/// A slot with a hook for the lists of `Tag`.
pub(crate) trait Hooked<Tag> {
    fn hook(&self) -> &Hook;
    fn hook_mut(&mut self) -> &mut Hook;
}

/// The two ends of a list; all-zero is empty.
pub(crate) struct List<Tag> {
    ends: Ends,
    tag: PhantomData<Tag>,
}

impl<Tag> List<Tag> {
    pub(crate) const fn new() -> Self {
        Self { ends: Ends { head: Link::NONE, tail: Link::NONE, len: 0 }, tag: PhantomData }
    }

    /// Puts slot `ix` first. A slot that is in this list already moves; it must not be in another one of the same tag.
    pub(crate) fn push_front<S: Hooked<Tag>>(&mut self, slots: &mut [S], ix: usize) {
        self.ends.push_front(&mut Hooks(slots, self.tag), Link::to(ix));
    }

    /// Puts slot `ix` last. A slot that is in this list already moves; it must not be in another one of the same tag.
    pub(crate) fn push_back<S: Hooked<Tag>>(&mut self, slots: &mut [S], ix: usize) {
        self.ends.push_back(&mut Hooks(slots, self.tag), Link::to(ix));
    }

    /// Takes slot `ix` out; does nothing if it is not in a list.
    pub(crate) fn remove<S: Hooked<Tag>>(&mut self, slots: &mut [S], ix: usize) {
        self.ends.remove(&mut Hooks(slots, self.tag), Link::to(ix));
    }

    /// Puts slot `ix` last, whether it was listed or not.
    pub(crate) fn move_to_back<S: Hooked<Tag>>(&mut self, slots: &mut [S], ix: usize) {
        if self.ends.tail != Link::to(ix) {
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
        self.ends.head.get()
    }

    #[cfg(test)]
    pub(crate) fn last(&self) -> Option<usize> {
        self.ends.tail.get()
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
        self.ends.len as usize
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.head == Link::NONE
    }
}

/// Where the hooks are: behind a table of functions, so that the code of a list is there once, not for each kind of slot.
trait At {
    fn at(&mut self, link: Link) -> Option<&mut Hook>;
}

struct Hooks<'s, S, Tag>(&'s mut [S], PhantomData<Tag>);

impl<S: Hooked<Tag>, Tag> At for Hooks<'_, S, Tag> {
    fn at(&mut self, link: Link) -> Option<&mut Hook> {
        self.0.get_mut(link.get()?).map(S::hook_mut)
    }
}

struct Ends {
    head: Link,
    tail: Link,
    len: Ix,
}

impl Ends {
    fn push_front(&mut self, hooks: &mut dyn At, me: Link) {
        self.remove(hooks, me);
        let Some(hook) = hooks.at(me) else { return };
        *hook = Hook::of(me, if self.head == Link::NONE { me } else { self.head });
        match hooks.at(self.head) {
            Some(old) => old.set_prev(me),
            None => self.tail = me,
        }
        self.head = me;
        self.len = self.len.saturating_add(1);
    }

    fn push_back(&mut self, hooks: &mut dyn At, me: Link) {
        self.remove(hooks, me);
        let Some(hook) = hooks.at(me) else { return };
        *hook = Hook::of(if self.tail == Link::NONE { me } else { self.tail }, me);
        match hooks.at(self.tail) {
            Some(old) => old.next = me,
            None => self.head = me,
        }
        self.tail = me;
        self.len = self.len.saturating_add(1);
    }

    fn remove(&mut self, hooks: &mut dyn At, me: Link) {
        let Some(hook) = hooks.at(me).filter(|hook| hook.next != Link::NONE).copied() else { return };
        let (prev, next) = (self.before(hooks, me, hook), hook.next);
        if let Some(hook) = hooks.at(me) {
            *hook = Hook::EMPTY;
        }
        let (first, last) = (prev == me, next == me);
        // A neighbour that becomes an end points at itself; the last slot of all has no neighbour.
        match hooks.at(if first { Link::NONE } else { prev }) {
            Some(before) => before.next = if last { prev } else { next },
            None => self.head = if last { Link::NONE } else { next },
        }
        match hooks.at(if last { Link::NONE } else { next }) {
            Some(after) => after.set_prev(if first { next } else { prev }),
            None => self.tail = if first { Link::NONE } else { prev },
        }
        self.len = self.len.saturating_sub(1);
    }

    /// The one before a listed slot; that slot itself, if it is the first.
    #[cfg(not(any(target_os = "none", gossip_ix16)))]
    fn before(&self, _hooks: &mut dyn At, _me: Link, hook: Hook) -> Link {
        hook.prev
    }

    #[cfg(any(target_os = "none", gossip_ix16))]
    fn before(&self, hooks: &mut dyn At, me: Link, _hook: Hook) -> Link {
        let mut at = self.head;
        for _ in 0..self.len {
            match hooks.at(at).map(|hook| hook.next) {
                Some(next) if at != me && next != me => at = next,
                _ => break,
            }
        }
        at
    }
}

impl<Tag> Default for List<Tag> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Tag> fmt::Debug for List<Tag> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "List({:?}..{:?}, {})", self.ends.head.get(), self.ends.tail.get(), self.ends.len)
    }
}

#[cfg(test)]
mod tests;
