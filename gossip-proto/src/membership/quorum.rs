//! The remembered size of the swarm, against which a quorum is counted.
//!
//! Knows: how many dead members are remembered, and the largest number of live ones seen. Does not know: who they are,
//! nor what anybody does with a quorum. It is an observation, not consensus: both halves of an even split lack it, and
//! no two parts of one swarm that remember the same size hold it at once.
//! When full: it is one number; a table smaller than the swarm counts its sample.

use super::slot::MemberState;

/// How many of the remembered members are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Quorum {
    /// Live members, this node among them; those that sleep count.
    pub live: usize,
    /// The largest number of live members that this node has seen. Only farewells and the forgetting of the dead
    /// ([`Config::forget_after`](crate::Config::forget_after)) make it smaller: who dies still counts until then.
    pub remembered: usize,
    /// Whether more than half of those remembered are live.
    pub held: bool,
}

/// What the table counts for the quorum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally {
    dead: u32,
    remembered: u32,
}

impl Tally {
    /// This node alone.
    pub(crate) const ALONE: Self = Self { dead: 0, remembered: 1 };

    /// A member was one thing and is another; `None` is not in the table.
    pub(crate) fn moved(&mut self, before: Option<MemberState>, after: Option<MemberState>) {
        if before == after {
            return;
        }
        if before == Some(MemberState::Dead) {
            self.dead = self.dead.saturating_sub(1);
        }
        match after {
            Some(MemberState::Dead) => self.dead = self.dead.saturating_add(1),
            Some(MemberState::Left) => self.remembered = self.remembered.saturating_sub(1),
            Some(MemberState::Alive | MemberState::Suspect) | None => {}
        }
    }

    /// Takes in how many live, once a call into the node is over: in the middle of one, a member may have made room for
    /// another that is not in yet. Of those remembered none is neither live nor dead: the rest was forgotten.
    pub(crate) fn settle(&mut self, live: usize) {
        let live = u32::try_from(live).unwrap_or(u32::MAX);
        self.remembered = self.remembered.max(live).min(live.saturating_add(self.dead));
    }

    pub(crate) fn quorum(&self, live: usize) -> Quorum {
        let remembered = (self.remembered as usize).max(live);
        Quorum { live, remembered, held: live * 2 > remembered }
    }

    /// How many dead members are remembered.
    pub(crate) fn dead(&self) -> usize {
        self.dead as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MemberState::{Alive, Dead, Left};

    /// Members that come and go: (before, after), how many times.
    fn play(
        tally: &mut Tally,
        live: &mut usize,
        before: Option<MemberState>,
        after: Option<MemberState>,
        times: usize,
    ) {
        for _ in 0..times {
            tally.moved(before, after);
            *live = *live + usize::from(after == Some(Alive)) - usize::from(before == Some(Alive));
            tally.settle(*live);
        }
    }

    #[test]
    fn who_dies_counts_until_it_is_forgotten_and_who_leaves_does_not() {
        let (mut tally, mut live) = (Tally::ALONE, 1);
        play(&mut tally, &mut live, None, Some(Alive), 9);
        assert_eq!(tally.quorum(live), Quorum { live: 10, remembered: 10, held: true });
        play(&mut tally, &mut live, Some(Alive), Some(Left), 2);
        assert_eq!(tally.quorum(live).remembered, 8);
        play(&mut tally, &mut live, Some(Alive), Some(Dead), 3);
        assert_eq!(tally.quorum(live), Quorum { live: 5, remembered: 8, held: true });
        play(&mut tally, &mut live, Some(Alive), Some(Dead), 1);
        assert_eq!(tally.quorum(live), Quorum { live: 4, remembered: 8, held: false });
        play(&mut tally, &mut live, Some(Dead), None, 1);
        assert_eq!(tally.quorum(live), Quorum { live: 4, remembered: 7, held: true });
        play(&mut tally, &mut live, Some(Dead), Some(Alive), 3);
        assert_eq!(tally.quorum(live), Quorum { live: 7, remembered: 7, held: true });
    }

    #[test]
    fn members_that_are_replaced_one_by_one_lose_no_quorum() {
        let (mut tally, mut live) = (Tally::ALONE, 1);
        play(&mut tally, &mut live, None, Some(Alive), 7);
        for _ in 0..20 {
            play(&mut tally, &mut live, Some(Alive), Some(Dead), 1);
            play(&mut tally, &mut live, None, Some(Alive), 1);
            assert_eq!(tally.quorum(live), Quorum { live: 8, remembered: 8, held: true });
        }
        // Forgetting those who were replaced makes those who died now count no less.
        play(&mut tally, &mut live, Some(Alive), Some(Dead), 4);
        play(&mut tally, &mut live, Some(Dead), None, 20);
        assert_eq!(tally.quorum(live), Quorum { live: 4, remembered: 8, held: false });
    }
}
