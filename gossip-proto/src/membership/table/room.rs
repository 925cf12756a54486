//! Room for one more: a free slot, a dead member's, or, if all are live, that of a peer whom the newcomer outranks.
//!
//! Knows: free slots, ranks, and whether the table is a sample. Does not know: why somebody is to be in it.
//! When full: as the table says.

use super::{Members, OWN};
use crate::addr::NodeId;
use crate::hash::hash;
use crate::membership::foreign::POSSIBLE as SAMPLES_POSSIBLE;
use crate::membership::slot::MemberState;
use crate::slab::{Ix, Link};

impl Members<'_> {
    /// A slot that is free, or freed by forgetting the dead member that is nearest to it.
    pub(super) fn vacate(&mut self, newcomer: NodeId) -> Option<(usize, Link)> {
        if let Some(ix) = self.free.get() {
            self.free = self.slots.get(ix)?.tags;
            return Some((ix, Link::NONE));
        }
        if self.fresh < self.slots.len() {
            self.fresh += 1;
            return Some((self.fresh - 1, Link::NONE));
        }
        let ix = match self.spare_dead() {
            Some(ix) => ix,
            None => self.outranked(newcomer)?,
        };
        self.evictions = self.evictions.saturating_add(1);
        let sample = self.sample;
        let orphan = self.remove(ix);
        // Who gives way makes room for one, not for everybody.
        self.sample = sample;
        self.free = self.slots.get(ix)?.tags;
        Some((ix, orphan))
    }

    /// Whether a slot is free, or a dead member's that need not be kept.
    pub(crate) fn has_room(&self) -> bool {
        self.free.get().is_some() || self.fresh < self.slots.len() || self.spare_dead().is_some()
    }

    /// Whether somebody is suspect: that one's deadline comes before those of the dead.
    pub(crate) fn has_suspects(&self) -> bool {
        let first = self.deadlines.first_of(&self.rows, &|_| true).and_then(|ix| self.slots.get(ix));
        first.is_some_and(|slot| slot.state == MemberState::Suspect)
    }

    /// Whether a slot is free, or would be freed for this one.
    pub(crate) fn admits(&mut self, id: NodeId) -> bool {
        self.has_room() || self.outranked(id).is_some()
    }

    /// The dead member that is nearest to being forgotten, if there are more of them than a sample keeps.
    fn spare_dead(&self) -> Option<usize> {
        let dead = self.index.len().saturating_sub(self.peers + 1);
        let kept = if self.sample { self.slots.len() / DEAD_KEPT_PART } else { 0 };
        // Deadlines are of suspects and of those to be forgotten.
        let gone = |ix: usize| self.slots.get(ix).is_some_and(|slot| !slot.is_live());
        if dead > kept { self.deadlines.first_of(&self.rows, &gone) } else { None }
    }

    /// How many members gave way since the last call.
    pub(crate) fn take_evictions(&mut self) -> u32 {
        core::mem::take(&mut self.evictions)
    }

    /// As one that was built with samples, or without.
    #[cfg(feature = "sim")]
    pub(crate) fn with_samples(self, samples: bool) -> Self {
        Self { samples, ..self }
    }

    /// The peer with the greatest rank of those that were looked at since the last one gave way, if the newcomer's is
    /// lower. Each candidate sets off a few looks, which go round: what strangers send costs the same in a table of any size.
    fn outranked(&mut self, newcomer: NodeId) -> Option<usize> {
        #[cfg(feature = "sim")]
        let samples = self.samples;
        #[cfg(not(feature = "sim"))]
        let samples = SAMPLES_POSSIBLE;
        if !samples {
            self.sample = true;
            return None;
        }
        if !core::mem::replace(&mut self.sample, true) {
            // Whom a sample holds is no news for the others.
            for ix in OWN + 1..self.fresh {
                if self.slots.get(ix).is_some_and(|slot| slot.state == MemberState::Alive) {
                    self.heat(ix, 0);
                }
            }
        }
        let era = self.era();
        self.candidates = self.candidates.wrapping_add(1);
        if self.era() != era {
            self.greatest = None;
        }
        for look in 0..RANK_LOOKS {
            let position = self.candidates.wrapping_mul(RANK_LOOKS).wrapping_add(look) as usize % self.peers.max(1);
            let ix = self.peer(position)?;
            let rank = (self.rank(self.slots.get(ix)?.id), ix as Ix);
            self.greatest = self.greatest.max(Some(rank));
        }
        self.greatest.filter(|greatest| self.rank(newcomer) < greatest.0).map(|greatest| greatest.1 as usize)
    }

    pub(super) fn greatest(&self) -> Option<(u32, Ix)> {
        self.greatest.filter(|_| SAMPLES_POSSIBLE)
    }

    /// How often the ranks were drawn anew: each time after as many candidates as there are slots.
    fn era(&self) -> u32 {
        self.candidates / self.slots.len().max(ERA_MIN) as u32
    }

    pub(super) fn rank(&self, id: NodeId) -> u32 {
        hash(&self.rank_key, &[&(id.0 ^ u64::from(self.era()) << 32).to_le_bytes()]).h1 as u32
    }

    /// Whether the table is a sample of a swarm that is larger than it.
    pub(crate) fn is_sample(&self) -> bool {
        self.sample
    }

    pub(super) fn release(&mut self, ix: usize) {
        if let Some(slot) = self.slots.get_mut(ix) {
            slot.clear();
            slot.tags = self.free;
            self.free = Link::to(ix);
        }
    }
}

/// For how many candidates ranks hold at least, so that few slots do not change hands all the time: a guess.
const ERA_MIN: usize = 32;
/// How many ranks are looked at for each candidate: eight times all of them in an era.
const RANK_LOOKS: u32 = 8;
/// The part of a sample that dead members keep: enough to find a lost half by, too few to make the sample smaller.
const DEAD_KEPT_PART: usize = 16;
