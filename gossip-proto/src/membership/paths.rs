//! Members that relays reach and this node does not: who is to be pinged directly once in a while, to see whether they
//! need a path through a relay, and whether they still do.
//!
//! Knows: a few targets, each with the relay that reached it and how many direct pings in a row it did not answer. Does
//! not know: the path itself, which is in the member's slot, nor when to ping.
//! When full: the target that was put in first gives way. If it has a path it keeps it; only the probes in their turn
//! find out whether it needs it, which takes longer.

use crate::addr::NodeId;
use crate::slab::Ix;
use crate::slab::queue::Queue;

/// Whether a node can have paths at all: what only they need is left out where it cannot.
pub(crate) const POSSIBLE: bool = cfg!(feature = "relay");

/// The targets that are looked after.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    rows: Queue<Doubt, DOUBTS_MAX>,
    skip: bool,
}

/// A member that may need a path.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    target: NodeId,
    /// The slot of the relay that last reached it.
    relay: Ix,
    /// The number of the last direct ping to it, and whether it is still unanswered.
    number: u32,
    pending: bool,
    /// Direct pings in a row without an answer, the probe that began it counted as one.
    misses: u8,
    turns: u8,
}

/// A target whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) target: NodeId,
    /// The relay to take as its path, if it is certain that it needs one.
    pub(crate) relay: Option<usize>,
    /// Whether to let it hear, through its path, what our state is.
    pub(crate) greet: bool,
}

impl Paths {
    /// A relay reached a member whom direct pings with this number did not. An answer to them may still come.
    /// Says whether it is certain that it needs a path.
    pub(crate) fn doubt(&mut self, target: NodeId, relay: usize, number: u32) -> bool {
        let relay = relay as Ix;
        if let Some(row) = self.rows.iter_mut().find(|row| row.target == target) {
            row.relay = relay;
            return row.misses >= MISSES_MAX;
        }
        if self.rows.is_full() {
            self.rows.pop_front();
        }
        let row = Doubt { target, relay, number, pending: false, misses: 1, turns: 0 };
        // There is room now.
        let _ = self.rows.push_back(row);
        false
    }

    /// The relay that last reached a member that is looked after.
    pub(crate) fn relay_of(&self, target: NodeId) -> Option<usize> {
        self.rows.iter().find(|row| row.target == target).map(|row| row.relay as usize)
    }

    /// A direct ping was answered: the member needs no path.
    pub(crate) fn settle(&mut self, target: NodeId) {
        for _ in 0..self.rows.len() {
            let Some(row) = self.rows.pop_front() else { return };
            if row.target != target {
                let _ = self.rows.push_back(row);
            }
        }
    }

    /// Whether this ack of a member answers a direct ping of ours.
    pub(crate) fn is_answer(&self, number: u32, from: NodeId) -> bool {
        self.rows.iter().any(|row| row.target == from && row.number == number)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whose turn it is to be pinged with `number`; nobody's every other time, so that it costs less than the probes.
    pub(crate) fn turn(&mut self, number: u32) -> Option<Turn> {
        self.skip = !self.skip;
        if !self.skip {
            return None;
        }
        let mut row = self.rows.pop_front()?;
        row.misses = row.misses.saturating_add(u8::from(row.pending)).min(MISSES_MAX);
        row.turns = row.turns.wrapping_add(1);
        (row.number, row.pending) = (number, true);
        let _ = self.rows.push_back(row);
        let relay = (row.misses >= MISSES_MAX).then_some(row.relay as usize);
        Some(Turn { target: row.target, relay, greet: relay.is_some() && row.turns % GREET_TURNS == 0 })
    }
}

/// How many members are looked after at once: a guess; who cannot reach more needs another network.
const DOUBTS_MAX: usize = if POSSIBLE { 8 } else { 0 };
/// How many direct pings in a row stay unanswered before a path is taken. The first is a probe, which is four of them: at
/// 20 % loss each way 2 of 1,000 probes lead to a path that is not needed, which the next answer ends.
const MISSES_MAX: u8 = 3;
/// A member behind a path hears of our state in every so many turns: its pings, which do that otherwise, do not arrive.
const GREET_TURNS: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_takes_three_misses_and_one_answer_ends_it() {
        let mut paths = Paths::default();
        let target = NodeId(7);
        assert!(!paths.doubt(target, 3, 100));
        assert!(paths.is_answer(100, target) && !paths.is_answer(100, NodeId(8)));
        let turns: [_; 6] = core::array::from_fn(|number| paths.turn(number as u32).map(|turn| turn.relay));
        assert_eq!(turns, [Some(None), None, Some(None), None, Some(Some(3)), None]);
        assert!(paths.doubt(target, 4, 200));
        assert_eq!(paths.turn(9).and_then(|turn| turn.relay), Some(4));
        paths.settle(target);
        assert_eq!((paths.turn(10), paths.turn(11)), (None, None));
    }

    #[test]
    fn when_full_the_first_gives_way() {
        let mut paths = Paths::default();
        for target in 0..=DOUBTS_MAX as u64 {
            paths.doubt(NodeId(target), 1, target as u32);
        }
        assert!(!paths.is_answer(0, NodeId(0)));
        assert!((1..=DOUBTS_MAX as u64).all(|target| paths.is_answer(target as u32, NodeId(target))));
    }
}
