//! Peers: the live members without this node, in an order that changes from pass to pass.
//!
//! Knows: the permutation, how far the pass over it has come, and who comes next in the order of the keys. Does not know:
//! who is chosen for what.

use super::{Members, OWN};
use crate::membership::slot::MemberState;
use crate::slab::index::Key;
use crate::slab::{Ix, Link};

impl Members<'_> {
    /// How many peers there are: live members without this node.
    pub(crate) fn peers(&self) -> usize {
        self.peers
    }

    /// The peer at a position of the permutation.
    pub(crate) fn peer(&self, position: usize) -> Option<usize> {
        if position < self.peers { self.slots.get(position).map(|slot| slot.order as usize) } else { None }
    }

    /// The peer that comes next after this node in the order of the keys, which is the same in all complete tables: so
    /// everybody is the neighbor of one. Who is suspect is not: it is looked after already. A sample has none.
    pub(crate) fn neighbor(&self) -> Option<usize> {
        let mut at = OWN;
        for _ in 0..if self.sample { 0 } else { NEIGHBOR_LOOK } {
            at = self.index.next(&self.cells, at).or_else(|| self.index.ceiling(&self.cells, Key::default()))?;
            if self.get(at).is_some_and(|slot| slot.state == MemberState::Alive) {
                return Some(at).filter(|at| *at != OWN);
            }
        }
        None
    }

    /// Exchanges two positions of the permutation.
    pub(crate) fn swap_peers(&mut self, a: usize, b: usize) {
        let (Some(at_a), Some(at_b)) = (self.peer(a), self.peer(b)) else { return };
        self.set_peer(a, at_b);
        self.set_peer(b, at_a);
    }

    /// How many peers there are, and how many of them, at the front, the pass has been over: fewer, if there are any.
    pub(crate) fn pass(&mut self) -> (usize, usize) {
        if self.passed >= self.peers {
            self.passed = 0;
        }
        (self.peers, self.passed)
    }

    /// The pass has been over one more.
    pub(crate) fn pass_one(&mut self) {
        self.passed += 1;
    }

    pub(super) fn set_peer(&mut self, position: usize, ix: usize) {
        if let Some(slot) = self.slots.get_mut(position) {
            slot.order = ix as Ix;
        }
        if let Some(slot) = self.slots.get_mut(ix) {
            slot.position = Link::to(position);
        }
    }

    pub(super) fn join_peers(&mut self, ix: usize) {
        if self.slots.get(ix).is_some_and(|slot| slot.position == Link::NONE) {
            let last = self.peers;
            self.peers += 1;
            self.set_peer(last, ix);
            if let (Some(greatest), Some(slot)) = (self.greatest(), self.slots.get(ix)) {
                self.greatest = Some(greatest.max((self.rank(slot.id), ix as Ix)));
            }
            if self.sample {
                // It was heard just now: the pass goes on with those who were here before.
                self.swap_peers(last, self.passed);
                self.passed += 1;
            }
        }
    }

    pub(super) fn leave_peers(&mut self, ix: usize) {
        let Some(mut position) = self.slots.get(ix).and_then(|slot| slot.position.get()) else { return };
        if position < self.passed {
            // The gap closes among those that were passed: whoever comes last is not taken for one of them.
            self.passed -= 1;
            self.swap_peers(position, self.passed);
            position = self.passed;
        }
        if let Some(last) = self.peer(self.peers.saturating_sub(1)) {
            self.set_peer(position, last);
        }
        self.peers = self.peers.saturating_sub(1);
        self.greatest = self.greatest().filter(|greatest| greatest.1 as usize != ix);
        if let Some(slot) = self.slots.get_mut(ix) {
            slot.position = Link::NONE;
        }
    }
}

/// How many members are looked at for one that is alive: a guess that bounds the call.
const NEIGHBOR_LOOK: usize = 16;
