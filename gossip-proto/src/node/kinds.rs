//! The verbs of counters and sets, which are many entries under one name.

use core::time::Duration;

use super::{Lifecycle, Node};
use crate::error::PutError;
use crate::state::{Kind, PartKey, PutOptions, Saved};
use crate::time::Instant;

impl Node<'_> {
    /// Adds to a counter, which begins with 0. Every life of every node adds to a part of its own, so nothing is counted
    /// twice or forgotten, and a node that restarts without its memory takes nothing back.
    ///
    /// A life counts to 2^64 - 1 in each direction, and stands still there; the parts of lives that ended stay, an entry
    /// each, until the counter is deleted.
    ///
    /// # Errors
    /// What does not fit, with the limit; nothing is changed.
    #[inline(never)]
    pub fn counter_add(&mut self, now: Instant, key: &[u8], delta: i64) -> Result<(), PutError> {
        let now = self.begin_write(now)?;
        let stamp = self.clock.stamp(now);
        let (slot, stamp) = self.store.count(self.life, stamp, key, delta)?;
        self.written(now, slot, stamp, false);
        Ok(())
    }

    /// The sum of a counter, which stands still at the ends of an `i64`; `None` if nobody has added to it, or it is
    /// deleted. Costs as much as the counter has parts.
    #[must_use]
    pub fn counter(&self, key: &[u8]) -> Option<i64> {
        self.store.sum(key)
    }

    /// Deletes a counter as far as it is seen here: what others add meanwhile counts on from 0. `Ok(false)` when there is
    /// none. It always fits.
    ///
    /// # Errors
    /// This node has left.
    pub fn counter_delete(&mut self, now: Instant, key: &[u8]) -> Result<bool, PutError> {
        let now = self.begin_write(now)?;
        let mut last = None;
        loop {
            let stamp = self.clock.stamp(now);
            let Some((slot, stamp)) = self.store.uncount(last, stamp, key)? else { return Ok(last.is_some()) };
            let stamp = self.correct_own(now, slot, stamp);
            self.written(now, slot, stamp, false);
            last = Some(slot);
        }
    }

    /// Adds an element to a set: of at most 255 bytes with the set's key, less one. It wins over whoever removes the
    /// element without having seen this.
    ///
    /// # Errors
    /// What does not fit, with the limit; nothing is changed.
    #[inline(never)]
    pub fn set_add(&mut self, now: Instant, key: &[u8], element: &[u8]) -> Result<(), PutError> {
        let mut part = PartKey::new();
        let part = part.of(Kind::Set, key, element)?;
        self.write(now, part, Some(b""), PutOptions::new().kind(Kind::Set))
    }

    /// The same of an element that lives for `ttl`, in whole seconds, rounded up, as from [`PutOptions::ttl`]: it leaves the
    /// set everywhere at the same time unless it was added again.
    ///
    /// # Errors
    /// As [`Node::set_add`]; a lifetime out of its range, or a node that knows no time.
    #[inline(never)]
    pub fn set_add_for(&mut self, now: Instant, key: &[u8], element: &[u8], ttl: Duration) -> Result<(), PutError> {
        let mut part = PartKey::new();
        let part = part.of(Kind::Set, key, element)?;
        self.write(now, part, Some(b""), PutOptions::new().kind(Kind::Set).ttl(ttl))
    }

    /// Removes an element from a set as far as it is seen here; `Ok(false)` when it is not in it.
    ///
    /// # Errors
    /// What does not fit: that it was removed takes room too.
    #[inline(never)]
    pub fn set_remove(&mut self, now: Instant, key: &[u8], element: &[u8]) -> Result<bool, PutError> {
        let mut part = PartKey::new();
        let part = part.of(Kind::Set, key, element)?;
        let mut removed = false;
        // Of four that added it at once, the first removes three.
        while self.store.has_part(Kind::Set, part) {
            self.write(now, part, None, PutOptions::new().kind(Kind::Set))?;
            removed = true;
        }
        Ok(removed)
    }

    /// Whether an element is in a set.
    #[must_use]
    pub fn set_contains(&self, key: &[u8], element: &[u8]) -> bool {
        PartKey::new().of(Kind::Set, key, element).is_ok_and(|part| self.store.has_part(Kind::Set, part))
    }

    /// The elements of a set, in the order of their hashes. Costs as much as there are.
    pub fn set_members<'s>(&'s self, key: &'s [u8]) -> impl Iterator<Item = &'s [u8]> {
        self.store.parts(Kind::Set, key).map(|(_, entry)| entry.part())
    }

    /// The part of a counter or a set to keep, deleted or not: key, kind and part as [`Event::Entry`](crate::Event::Entry)
    /// tells them.
    #[must_use]
    pub fn saved_part(&self, key: &[u8], kind: Kind, part: &[u8]) -> Option<Saved<'_>> {
        self.store.saved_part(kind, PartKey::new().of(kind, key, part).ok()?)
    }

    pub(super) fn begin_write(&mut self, now: Instant) -> Result<Instant, PutError> {
        let now = self.advance(now);
        if matches!(self.lifecycle, Lifecycle::Leaving | Lifecycle::Left) { Err(PutError::Left) } else { Ok(now) }
    }

    /// An own write was made: it is passed on if it changed anything.
    pub(super) fn written(&mut self, now: Instant, slot: usize, stamp: u64, urgent: bool) {
        self.clock.given(stamp);
        if self.refresh_root() {
            self.entry_changed(now, slot, urgent);
        }
        self.note_convergence(now);
    }
}
