//! Who agrees: which members hold what this node holds, and up to which second.
//!
//! Knows: roots, levels, and the epoch of this node's own root. Does not know: what is compared, nor when.

use super::{Members, OWN};
use crate::membership::slot::{MemberSlot, MemberState};
use crate::time::{Instant, Tick};

impl Members<'_> {
    /// Notes that a member's entries are ours, at this second.
    pub(crate) fn level(&mut self, ix: usize, second: u32) {
        if let Some(slot) = self.slots.get_mut(ix) {
            slot.level = slot.level.max(second);
        }
    }

    /// The least level of all others who are remembered and have not left, the middle one (the lower of two), and the
    /// middle one when `own` is among them. With no others all are `own`. Costs 97 looks at each member.
    pub(crate) fn levels(&self, own: u32) -> (u32, u32, u32) {
        match self.reaching(0) {
            0 => (own, own, own),
            count => (
                self.reached_by(count, 0),
                self.reached_by(count - (count - 1) / 2, 0),
                self.reached_by(count + 1 - count / 2, own),
            ),
        }
    }

    /// The greatest level that so many reach, bit by bit; `own` is one more of them.
    #[inline(never)]
    fn reached_by(&self, needed: usize, own: u32) -> u32 {
        (0..u32::BITS).rev().fold(0, |found, bit| {
            let next = found | 1 << bit;
            if self.reaching(next) + usize::from(own >= next) >= needed { next } else { found }
        })
    }

    #[inline(never)]
    fn reaching(&self, level: u32) -> usize {
        let counts = |slot: &MemberSlot| slot.state != MemberState::Left && slot.level >= level;
        self.iter().filter(|(ix, slot)| *ix != OWN && counts(slot)).count()
    }

    /// Our root has become another by time alone: who agreed still does, without a word.
    pub(crate) fn age_root(&mut self, old: u32, new: u32) {
        for slot in self.slots.iter_mut().take(self.fresh).filter(|slot| slot.in_use && slot.root == old) {
            slot.root = new;
        }
    }

    /// Notes a datagram of the member's own whose root says nothing.
    pub(crate) fn hear_only(&mut self, ix: usize, now: Instant) {
        if let Some(slot) = self.slots.get_mut(ix) {
            slot.heard = Tick::at(now).max(Tick(1));
        }
    }

    /// A member that has another root than before is not known to agree, whatever was compared.
    pub(crate) fn hear_root(&mut self, ix: usize, root: u32) {
        if self.slots.get(ix).is_some_and(|slot| slot.root != root) {
            self.disagree(ix);
        }
        if let Some(slot) = self.slots.get_mut(ix) {
            slot.root = root;
        }
    }

    /// What this node and a member both want is equal.
    pub(crate) fn agree(&mut self, ix: usize, now: Instant) {
        let epoch = self.epoch;
        let Some(slot) = self.slots.get_mut(ix).filter(|slot| slot.is_live()) else { return };
        slot.agreed = Tick::at(now).max(Tick(1));
        if slot.agreed_epoch != epoch {
            slot.agreed_epoch = epoch;
            self.agreeing += 1;
        }
    }

    /// Notes a datagram of the member's own. `scoped`: not all entries are compared with it, so that different roots say
    /// nothing.
    pub(crate) fn hear(&mut self, ix: usize, now: Instant, own_root: u32, scoped: bool) {
        let Some(slot) = self.slots.get_mut(ix) else { return };
        // Zero is never.
        slot.heard = Tick::at(now).max(Tick(1));
        if slot.root == own_root {
            self.agree(ix, now);
        } else if !scoped {
            self.disagree(ix);
        }
    }

    /// Begins a new epoch of our own root: nobody is known to agree with it yet.
    pub(crate) fn new_epoch(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            // The numbers begin anew: nobody may seem to agree since the last time.
            self.slots.iter_mut().for_each(|slot| slot.agreed_epoch = 0);
            self.epoch = 1;
        }
        self.agreeing = 0;
        self.uncounted = true;
    }

    /// Counts who told `own_root` before we had it. Costs one look at each peer, once in each epoch.
    pub(crate) fn recount(&mut self, own_root: u32, now: Instant) {
        if !core::mem::take(&mut self.uncounted) {
            return;
        }
        for position in 0..self.peers {
            let Some(ix) = self.peer(position) else { continue };
            let epoch = self.epoch;
            let Some(slot) = self.slots.get_mut(ix) else { continue };
            if slot.heard != Tick::default() && slot.root == own_root && slot.agreed_epoch != epoch {
                (slot.agreed_epoch, slot.agreed) = (epoch, Tick::at(now));
                self.agreeing += 1;
            }
        }
    }

    /// How many peers told our present root.
    pub(crate) fn agreeing(&self) -> usize {
        self.agreeing
    }

    /// Whether this peer told our present root.
    pub(crate) fn agrees(&self, ix: usize) -> bool {
        self.slots.get(ix).is_some_and(|slot| slot.agreed_epoch == self.epoch)
    }

    #[inline(never)]
    pub(super) fn disagree(&mut self, ix: usize) {
        let epoch = self.epoch;
        if let Some(slot) = self.slots.get_mut(ix).filter(|slot| slot.agreed_epoch == epoch) {
            slot.agreed_epoch = 0;
            self.agreeing = self.agreeing.saturating_sub(1);
        }
    }
}
