//! Aiming a round: at those who want what there is to say, where these are few.
//!
//! Knows: all rooms, as the doors do; of each member, what it wants. Does not know: what a round says.
//!
//! A round goes to random members. Where the first news is not for all of them, others are looked for that it is for, and
//! take their places, unless there is news for everybody, too. In a quiet round one member is looked for that shares
//! messages, since no header says that these differ, or some entries: most others share none.

use super::Node;
use crate::divide::remainder;
use crate::slab::Ix;
use crate::slab::index::Prefix;
use crate::time::Instant;
use crate::wire::Table;

/// Whether it is worth the code: a node with neither wants all, and what it writes spreads by comparing.
pub(super) const POSSIBLE: bool = cfg!(any(feature = "interest", feature = "messages"));

impl Node<'_> {
    /// Looks for better targets of the round that has just begun.
    #[inline(never)]
    pub(super) fn aim(&mut self, now: Instant) {
        let hot = self.store.hot_first();
        if hot.is_none() && !self.store.has_windows() && self.store.scope.is_all() {
            return;
        }
        let drawn = self.rounds.targets_mut().clone();
        // Those whom it is for stay; where there is news for everybody, or none at all, the others do, too.
        let all = hot.is_none() || self.members.hot().1 + self.foreign.len() > 0 || self.floor.left > 0;
        let (mut targets, mut met) = (drawn.clone(), 0);
        targets.clear();
        for ix in &drawn {
            let wants = self.has_for(*ix as usize, hot);
            met += usize::from(wants);
            if wants || all {
                let _ = targets.push(*ix);
            }
        }
        let lacking = if hot.is_some() { drawn.len() - met } else { usize::from(met == 0) };
        let (kept, peers) = (targets.len(), self.members.peers());
        if lacking == 0 || peers == 0 {
            return;
        }
        let start = match hot {
            // In a large swarm the looks for one piece of news follow upon one another.
            Some(slot) => u32::from(self.store.left(slot)) * LOOK_MAX as u32 + self.rng.below(LOOK_MAX as u32),
            None => self.rng.next(),
        };
        let start = remainder(start, peers as u32) as usize;
        for nth in 0..peers.min(LOOK_MAX) {
            let position = if start + nth < peers { start + nth } else { start + nth - peers };
            let Some(ix) = self.members.peer(position).filter(|_| targets.len() < kept + lacking) else { break };
            let awake = self.members.get(ix).is_some_and(|slot| !slot.sleeps(now));
            if awake && !targets.iter().any(|target| *target as usize == ix) && self.has_for(ix, hot) {
                let _ = targets.push(ix as Ix);
            }
        }
        if let Some(slot) = hot.filter(|_| met == 0 && targets.len() == kept) {
            // It is for nobody, as far as one can see: the others' turn.
            return if peers <= LOOK_MAX { self.store.heat(slot, 0, false) } else { self.store.hot_sent(slot) };
        }
        *self.rounds.targets_mut() = targets;
    }

    /// Whether this news is for a member; if there is none, whether messages are, or entries of some topics, which it may
    /// lack.
    fn has_for(&self, ix: usize, hot: Option<usize>) -> bool {
        match hot {
            Some(slot) => self.store.is_for(slot, &self.scope_of(ix)),
            None => {
                self.shares_messages(Some(ix)) || self.own_apart(ix, Default::default()).is_some() || self.may_lack(ix)
            }
        }
    }

    /// Whether entries of some topics are for a member that is not known to have them all.
    fn may_lack(&self, ix: usize) -> bool {
        if self.members.agrees(ix) {
            return false;
        }
        let tree = self.tree(Table::Entries, Some(ix));
        !tree.scope.is_all() && tree.count(Prefix::ROOT) > 0
    }
}

/// How many members are looked at for one round.
const LOOK_MAX: usize = 1024;
