//! What is going to happen: a heap of moments, and the datagrams that are under way.
//!
//! Knows: order. Does not know: what a happening does. Both grow to the most that is ever pending, and then allocate
//! nothing more: a datagram's buffer goes back to the pool with its capacity.

use core::cmp::Ordering;

use std::collections::BinaryHeap;
use std::vec::Vec;

use crate::addr::Addr;

/// Something that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// The flight in this slot of the pool arrives.
    Arrival(u32),
    /// A node's deadline, valid while the node's timer has this generation.
    Timer(u32, u32),
    /// A pause ends, valid while the node's pauses have this generation.
    Wake(u32, u32),
    /// The script's action with this number.
    Action(u32),
}

/// Happenings by time and, at the same time, in the order in which they were pushed.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Moment>,
    pushed: u64,
}

#[derive(Clone, Copy, Debug)]
struct Moment {
    at: u64,
    seq: u64,
    due: Due,
}

impl Queue {
    pub(crate) fn push(&mut self, at: u64, due: Due) {
        self.pushed += 1;
        self.heap.push(Moment { at, seq: self.pushed, due });
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, Due)> {
        self.heap.pop().map(|moment| (moment.at, moment.due))
    }

    pub(crate) fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|moment| moment.at)
    }
}

// The heap gives the greatest first: the order is turned round.
impl Ord for Moment {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.seq).cmp(&(self.at, self.seq))
    }
}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Moment {
    fn eq(&self, other: &Self) -> bool {
        self.seq == other.seq
    }
}

impl Eq for Moment {}

/// A datagram under way.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    /// The address that it seems to come from.
    pub(crate) from: Addr,
    /// The index of the node that it goes to.
    pub(crate) to: u32,
    /// When it was sent, in virtual µs.
    pub(crate) sent_at: u64,
    /// What was done to it on the way.
    pub(crate) marks: Marks,
    pub(crate) bytes: Vec<u8>,
}

/// What was done to a datagram on the way, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(pub(crate) u8);

impl Marks {
    pub(crate) const CORRUPTED: u8 = 1;
    pub(crate) const TRUNCATED: u8 = 2;
    pub(crate) const DUPLICATE: u8 = 4;
    pub(crate) const REPLAYED: u8 = 8;
    pub(crate) const FORGED: u8 = 16;
    /// It has waited in the receive buffer of a paused node.
    pub(crate) const WAITED: u8 = 32;

    pub(crate) fn has(self, mark: u8) -> bool {
        self.0 & mark != 0
    }
}

/// The datagrams under way, in slots that are used again.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    flights: Vec<Flight>,
    free: Vec<u32>,
}

impl Pool {
    /// A free slot, with an empty buffer.
    pub(crate) fn take(&mut self) -> (u32, &mut Flight) {
        let at = self.free.pop().unwrap_or_else(|| {
            self.flights.push(Flight::default());
            self.flights.len() as u32 - 1
        });
        let flight = &mut self.flights[at as usize];
        flight.bytes.clear();
        (at, flight)
    }

    pub(crate) fn get(&mut self, at: u32) -> &mut Flight {
        &mut self.flights[at as usize]
    }

    /// Gives a slot back.
    pub(crate) fn release(&mut self, at: u32) {
        self.free.push(at);
    }

    /// How many datagrams are under way.
    pub(crate) fn in_use(&self) -> usize {
        self.flights.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_first_then_the_order_of_pushing() {
        let mut queue = Queue::default();
        for (at, action) in [(5, 1), (3, 2), (5, 3), (3, 4), (0, 5)] {
            queue.push(at, Due::Action(action));
        }
        assert_eq!(queue.next_at(), Some(0));
        let order: Vec<_> = core::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [(0, 5), (3, 2), (3, 4), (5, 1), (5, 3)].map(|(at, action)| (at, Due::Action(action))));
    }

    #[test]
    fn a_released_slot_is_used_again() {
        let mut pool = Pool::default();
        let (first, flight) = pool.take();
        flight.bytes.extend([1; 100]);
        pool.release(first);
        let (second, flight) = pool.take();
        assert!(first == second && flight.bytes.is_empty() && flight.bytes.capacity() >= 100);
        assert_eq!(pool.in_use(), 1);
    }
}
