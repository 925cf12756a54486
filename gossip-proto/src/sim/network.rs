//! The virtual network: nodes, and the datagrams between them, one happening at a time.
//!
//! Knows: when what happens to whom. Does not know: what a datagram says. See the [module docs](super).

use core::time::Duration;

use std::boxed::Box;
use std::vec::Vec;
use std::{fmt, mem, vec};

use super::check::Checks;
use super::dice::{self, Dice};
use super::faults::Links;
use super::queue::{Due, Marks, Pool, Queue};
use super::record::{Deaths, Record};
use super::slot::{Clock, Condition, Setup, Slot, Timer, Traffic, addr_of};
use super::trace::Trace;
use crate::Node;
use crate::addr::{Addr, NodeId};
use crate::config::Config;
use crate::time::{Instant, micros};

/// A swarm of nodes on a virtual network, in virtual time.
///
/// Methods are of four kinds: those that *build* (`add`, `set_…`), those that *befall* (`cut`, `crash`, `pause`, …),
/// those that *run* (`step`, `run_…`), and those that *look* (`node`, `record`, `traffic`, …). Nodes are named by their
/// index, in the order in which they were added; a method panics when there is no such node.
pub struct Network {
    pub(crate) now: u64,
    pub(crate) queue: Queue,
    pub(crate) pool: Pool,
    pub(crate) slots: Vec<Slot>,
    pub(crate) links: Links,
    pub(crate) dice: Dice,
    pub(crate) checks: Checks,
    pub(crate) trace: Trace,
    pub(crate) record: Record,
    pub(crate) actions: Vec<Option<Action>>,
    pub(crate) counts: Counts,
    pub(crate) seed: u64,
    id_salt: u64,
    pub(crate) buf: Vec<u8>,
    pub(crate) up: usize,
    pub(crate) knowing: usize,
    /// The number of nodes that are up has changed: who knows all must be counted anew.
    pub(crate) recount: bool,
}

/// What a script does at its time.
pub(crate) type Action = Box<dyn FnOnce(&mut Network)>;

/// What happened on the network since [`Network::reset_figures`], but for `events`, which counts from the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Datagrams handed to nodes, and timeouts handled.
    pub events: u64,
    /// Datagrams that nodes sent.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// The longest of them.
    pub len_max: usize,
    /// Datagrams that nodes took in.
    pub delivered: u64,
    /// Datagrams that nodes refused.
    pub rejected: u64,
    /// Datagrams that were damaged on the way, and that a node took in all the same.
    pub damaged_accepted: u64,
    /// Datagrams that links or full buffers lost.
    pub lost: u64,
}

impl Network {
    /// An empty network. Everything that happens in it follows from this seed and from what is asked of it.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            now: 0,
            queue: Queue::default(),
            pool: Pool::default(),
            slots: Vec::new(),
            links: Links::default(),
            dice: Dice::new(seed, STREAM_FAULTS),
            checks: Checks::new(seed),
            trace: Trace::default(),
            record: Record::default(),
            actions: Vec::new(),
            counts: Counts::default(),
            seed,
            id_salt: dice::mix(seed, STREAM_IDS, 0) << 24,
            buf: vec![0; usize::from(u16::MAX)],
            up: 0,
            knowing: 0,
            recount: false,
        }
    }

    /// Adds a node with this configuration and small tables, which runs from now on and knows nobody.
    pub fn add_node(&mut self, config: Config) -> usize {
        self.add(Setup::new(config))
    }

    /// Adds a node that runs from now on and knows nobody.
    ///
    /// # Panics
    /// When the configuration or a table size is out of its range.
    pub fn add(&mut self, setup: Setup) -> usize {
        let index = self.slots.len();
        assert!(index < 1 << 24, "the addresses 10.x.y.z are used up");
        self.slots.push(Slot {
            id: self.id_of(index),
            addr: addr_of(index as u32, 0),
            moves: 0,
            life: 0,
            node: None,
            condition: Condition::Gone,
            clock: Clock::new(0, 0, 0),
            timer: Timer::default(),
            pauses: 0,
            backlog: 0,
            blocked: (0, 0),
            inbound: 0,
            traffic: Traffic::default(),
            was_down: false,
            knows_all: false,
            setup,
        });
        self.record.deaths.push(Deaths::default());
        self.start(index);
        index
    }

    // ---- running

    /// Does the next thing that is due, and says whether there was any.
    pub fn step(&mut self) -> bool {
        let Some((at, due)) = self.queue.pop() else { return false };
        self.now = at;
        match due {
            Due::Arrival(flight) => self.arrive(flight),
            Due::Timer(node, generation) => self.timer(node as usize, generation),
            Due::Wake(node, pauses) => self.wake(node as usize, pauses),
            Due::Action(number) => {
                if let Some(action) = self.actions[number as usize].take() {
                    action(self);
                }
            }
        }
        true
    }

    /// Runs for this long.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now() + time);
    }

    /// Runs until this virtual time.
    pub fn run_until(&mut self, until: Instant) {
        while self.queue.next_at().is_some_and(|at| at <= until.as_micros()) {
            self.step();
        }
        self.now = self.now.max(until.as_micros());
    }

    /// Runs until `done` says so, asking after every step, for `limit` at most; returns whether it said so.
    pub fn run_to(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let end = (self.now() + limit).as_micros();
        while !done(self) {
            if self.queue.next_at().is_none_or(|at| at > end) {
                self.now = self.now.max(end);
                return false;
            }
            self.step();
        }
        true
    }

    /// Lets the application of a node act: hands the node and its own time to `act`, and then sends what comes of it.
    ///
    /// # Panics
    /// When the node is gone: it was crashed and not restarted.
    pub fn with<R>(&mut self, node: usize, act: impl FnOnce(&mut Node<'static>, Instant) -> R) -> R {
        let slot = &mut self.slots[node];
        let now = slot.clock.local(self.now);
        let Some(machine) = slot.node.as_mut() else { panic!("node {node} is gone; {}", self.checks.replay()) };
        let result = act(machine, now);
        if slot.condition == Condition::Up {
            self.touch(node);
        }
        result
    }

    /// Lets a node join through another's address.
    ///
    /// # Panics
    /// When the node is gone or refuses.
    pub fn join(&mut self, node: usize, contact: usize) {
        let addr = self.slots[contact].addr;
        let joined = self.with(node, |machine, now| machine.join(now, addr));
        if let Err(why) = joined {
            panic!("node {node} cannot join: {why}; {}", self.checks.replay());
        }
    }

    /// Hands a datagram from anywhere to a node after `delay`: an attacker's, or one that was kept from before.
    pub fn inject(&mut self, from: Addr, to: usize, datagram: &[u8], delay: Duration) {
        self.trace.sent(self.now, from, self.slots[to].addr, datagram);
        let (at, flight) = self.pool.take();
        (flight.from, flight.to, flight.sent_at, flight.marks) = (from, to as u32, self.now, Marks(Marks::FORGED));
        flight.bytes.extend_from_slice(datagram);
        self.slots[to].inbound(1);
        self.queue.push(self.now.saturating_add(micros(delay)), Due::Arrival(at));
    }

    // ---- looking

    /// The virtual time since the start.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::from_micros(self.now)
    }

    /// When the next thing is due.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        self.queue.next_at().map(Instant::from_micros)
    }

    /// How many nodes were added.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no node was added yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many nodes run, paused ones among them.
    #[must_use]
    pub fn up(&self) -> usize {
        self.up
    }

    /// The indexes of the nodes that run, paused ones among them.
    pub fn running(&self) -> impl Iterator<Item = usize> + '_ {
        self.slots.iter().enumerate().filter(|(_, slot)| slot.is_up()).map(|(index, _)| index)
    }

    /// A node, unless it is gone.
    #[must_use]
    pub fn node(&self, index: usize) -> Option<&Node<'static>> {
        self.slots[index].node.as_ref()
    }

    /// Whether a node runs.
    #[must_use]
    pub fn condition(&self, index: usize) -> Condition {
        self.slots[index].condition
    }

    /// A node's address.
    #[must_use]
    pub fn addr(&self, index: usize) -> Addr {
        self.slots[index].addr
    }

    /// What a node's own clock shows.
    #[must_use]
    pub fn local_time(&self, index: usize) -> Instant {
        self.slots[index].clock.local(self.now)
    }

    /// The id of the node with this index: all bits differ from node to node and from seed to seed.
    #[must_use]
    pub fn id_of(&self, index: usize) -> NodeId {
        let id = (index as u64 ^ self.id_salt).wrapping_mul(ID_FACTOR);
        NodeId(id ^ id >> 32)
    }

    /// The index of the node with this id.
    #[must_use]
    pub fn index_of(&self, id: NodeId) -> Option<usize> {
        let index = (id.0 ^ id.0 >> 32).wrapping_mul(ID_INVERSE) ^ self.id_salt;
        usize::try_from(index).ok().filter(|&index| index < self.slots.len())
    }

    /// What a node sent and took in.
    #[must_use]
    pub fn traffic(&self, index: usize) -> Traffic {
        self.slots[index].traffic
    }

    /// What happened on the network.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What the nodes told their applications.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// How many datagrams are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.pool.in_use()
    }

    /// The hash of all datagrams so far: when, from whom, to whom, which bytes, what became of them.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.trace.hash()
    }

    /// How many nodes know all that run: as many live members as there are nodes up, or as their tables hold.
    pub fn knowing_all(&mut self) -> usize {
        if mem::take(&mut self.recount) {
            self.knowing = 0;
            for slot in &mut self.slots {
                slot.knows_all = slot.is_up() && slot.knows(self.up);
                self.knowing += usize::from(slot.knows_all);
            }
        }
        self.knowing
    }

    /// Whether every node that runs knows all that run. Costs nothing.
    pub fn all_know_all(&mut self) -> bool {
        self.knowing_all() == self.up
    }

    /// Whether all nodes that run have the same summary root.
    #[must_use]
    pub fn roots_agree(&self) -> bool {
        let mut roots = self.slots.iter().filter(|slot| slot.is_up()).filter_map(|slot| slot.node.as_ref());
        let Some(first) = roots.next().map(|node| node.convergence().root) else { return true };
        roots.all(|node| node.convergence().root == first)
    }

    /// Sets all figures to zero: what happened before was the preparation.
    pub fn reset_figures(&mut self) {
        self.counts = Counts { events: self.counts.events, ..Counts::default() };
        self.record.reset();
        for slot in &mut self.slots {
            slot.traffic = Traffic::default();
            slot.was_down = !matches!(slot.condition, Condition::Up);
        }
    }
}

/// Says how to see the run again when anything panics in it: a node, a check, or the test around it.
impl Drop for Network {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::eprintln!(
                "simulated for {}.{:06} s; {}",
                self.now / 1_000_000,
                self.now % 1_000_000,
                self.checks.replay()
            );
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("now", &self.now())
            .field("nodes", &self.slots.len())
            .field("up", &self.up)
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

/// The names of the streams of randomness.
const STREAM_FAULTS: u64 = 1;
const STREAM_IDS: u64 = 2;
pub(crate) const STREAM_LIVES: u64 = 3;
pub(crate) const STREAM_CLOCKS: u64 = 4;
/// An odd factor (2^64 / φ) and its inverse mod 2^64: they lead from an index to an id and back without a table.
const ID_FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
const ID_INVERSE: u64 = 0xf1de_83e1_9937_733d;
/// The wall clock at virtual time zero: 2025-01-01.
pub(crate) const WALL_AT_START: u64 = 1_735_689_600_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    #[test]
    fn ids_lead_back_to_indexes() {
        assert_eq!(ID_FACTOR.wrapping_mul(ID_INVERSE), 1);
        let network = Network::new(7);
        for index in [0, 1, 4095, (1 << 24) - 1] {
            let id = network.id_of(index).0;
            assert_eq!((id ^ id >> 32).wrapping_mul(ID_INVERSE) ^ network.id_salt, index as u64);
        }
        assert_eq!(network.index_of(NodeId(1)), None);
    }

    #[test]
    fn the_seed_stands_in_the_replay() {
        let mut network = Network::new(0x2a);
        network.checks.set_replay(String::from("gossip sim --seed 42"));
        assert_eq!(network.checks.replay(), "SEED=0x2a replay: gossip sim --seed 42");
    }
}
