//! What befalls nodes and links: starts, crashes, pauses, moves, clocks that go wrong, cuts; and the script.
//!
//! Knows: conditions. Does not know: what a node makes of them.

use core::time::Duration;

use std::boxed::Box;
use std::vec;
use std::vec::Vec;

use super::dice;
use super::faults::{ALL, CutId, Faults};
use super::network::{Network, STREAM_CLOCKS, STREAM_LIVES, WALL_AT_START};
use super::queue::Due;
use super::slot::{Clock, Condition, addr_of};
use crate::Node;
use crate::Storage;
use crate::time::{Instant, micros};

impl Network {
    /// Makes a new life of a node that does not run.
    pub(crate) fn start(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        slot.life += 1;
        let life = u64::from(slot.life);
        let seed = dice::seed_of(self.seed, STREAM_LIVES, (index as u64) << 16 | life);
        // Each clock starts somewhere else within an hour, so that no instant of one node means anything to another.
        let origin = dice::mix(self.seed, STREAM_CLOCKS, (index as u64) << 16 | life) % 3_600_000_000;
        let setup = &slot.setup;
        let storage = Storage::with_capacity(setup.members, setup.entries, setup.bytes);
        let node = match Node::new(slot.id, slot.addr, setup.config.clone(), storage, seed) {
            Ok(node) => node,
            Err(why) => panic!("node {index} cannot be made: {why}"),
        };
        slot.clock = Clock::new(self.now, origin, setup.drift_ppm);
        slot.node = Some(node);
        self.set_condition(index, Condition::Up);
        self.tell_wall_clock(index);
        self.touch(index);
    }

    /// Tells a node the wall clock, if it has one.
    pub(crate) fn tell_wall_clock(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        if let (Some(node), Some(offset)) = (&mut slot.node, slot.setup.wall_offset_micros) {
            let unix = (WALL_AT_START + self.now).saturating_add_signed(offset);
            node.handle_wall_clock(slot.clock.local(self.now), unix);
        }
    }

    // ---- nodes

    /// A crash without memory: power is lost, the state with it.
    pub fn crash(&mut self, node: usize) {
        let slot = &mut self.slots[node];
        slot.node = None;
        (slot.backlog, slot.blocked) = (0, (0, 0));
        slot.timer.at = u64::MAX;
        slot.timer.generation = slot.timer.generation.wrapping_add(1);
        self.set_condition(node, Condition::Gone);
        self.trace.note(self.now, self.slots[node].addr, format_args!("crashes"));
    }

    /// A new life of the same node, with the same id and address, a new seed and empty tables. It knows nobody: let it
    /// [`join`](Network::join). A node that runs is crashed first.
    pub fn restart(&mut self, node: usize) {
        self.crash(node);
        self.trace.note(self.now, self.slots[node].addr, format_args!("starts again, with no memory"));
        self.start(node);
    }

    /// A crash with memory: the node falls silent, and can be continued.
    pub fn switch_off(&mut self, node: usize) {
        assert!(self.slots[node].node.is_some(), "node {node} is gone");
        self.slots[node].backlog = 0;
        self.set_condition(node, Condition::Off);
        self.trace.note(self.now, self.slots[node].addr, format_args!("is switched off"));
    }

    /// Continues a node that was switched off, with the state that it had; its clock has gone on.
    pub fn resume(&mut self, node: usize) {
        if self.slots[node].condition == Condition::Off {
            self.set_condition(node, Condition::Up);
            self.trace.note(self.now, self.slots[node].addr, format_args!("continues where it was"));
            self.catch_up(node);
        }
    }

    /// Stops a node's machine for a while: nothing is processed, the clock goes on, datagrams wait in the receive buffer
    /// and then come all at once.
    pub fn pause(&mut self, node: usize, time: Duration) {
        let until = self.now.saturating_add(micros(time));
        let slot = &mut self.slots[node];
        if slot.is_up() {
            slot.pauses = slot.pauses.wrapping_add(1);
            self.queue.push(until, Due::Wake(node as u32, slot.pauses));
            self.set_condition(node, Condition::Paused(Instant::from_micros(until)));
            self.trace.note(self.now, self.slots[node].addr, format_args!("pauses for {time:?}"));
        }
    }

    /// Blocks a node's sockets for a while: its timers run on, but what it sends leaves afterwards, and what reaches it
    /// waits in the receive buffer till then; as when the threads that do the work of the network starve.
    pub fn block(&mut self, node: usize, time: Duration) {
        let until = self.now.saturating_add(micros(time));
        let slot = &mut self.slots[node];
        if slot.is_up() {
            slot.blocked = (until.max(slot.blocked.0), 0);
            slot.was_down = true;
            self.trace.note(self.now, self.slots[node].addr, format_args!("is blocked for {time:?}"));
        }
    }

    pub(crate) fn wake(&mut self, node: usize, pauses: u32) {
        let slot = &self.slots[node];
        if slot.pauses == pauses && matches!(slot.condition, Condition::Paused(_)) {
            self.set_condition(node, Condition::Up);
            self.trace.note(self.now, self.slots[node].addr, format_args!("wakes"));
            self.catch_up(node);
        }
    }

    /// As an adapter does: first what is due by the clock, then what waits in the receive buffer.
    fn catch_up(&mut self, node: usize) {
        let slot = &self.slots[node];
        let now = slot.clock.local(self.now);
        let due = slot.node.as_ref().and_then(Node::poll_timeout).is_some_and(|deadline| deadline <= now);
        if due { self.fire(node) } else { self.touch(node) }
    }

    /// Moves a node to a new port; what is under way to the old one still arrives, what is sent there later does not.
    /// With `tell` the node is told, as after DHCP; else only the others can notice, as behind a NAT.
    pub fn readdress(&mut self, node: usize, tell: bool) {
        let slot = &mut self.slots[node];
        slot.moves += 1;
        slot.addr = addr_of(node as u32, slot.moves);
        let addr = slot.addr;
        self.trace.note(self.now, addr, format_args!("has moved here"));
        if tell {
            self.with(node, |machine, now| machine.set_addr(now, addr));
        }
    }

    /// Changes the buffer that a node's `poll_transmit` is handed.
    pub fn set_mtu(&mut self, node: usize, len: u16) {
        self.slots[node].setup.mtu = len;
    }

    /// Steps a node's wall clock: that far ahead of the time, in µs; `None` takes it away from the node's next life.
    pub fn set_wall_offset(&mut self, node: usize, micros: Option<i64>) {
        self.slots[node].setup.wall_offset_micros = micros;
        self.tell_wall_clock(node);
        if self.slots[node].condition == Condition::Up {
            self.touch(node);
        }
    }

    /// Changes how much faster a node's monotonic clock runs than the time, in ppm.
    pub fn set_drift(&mut self, node: usize, ppm: i32) {
        let slot = &mut self.slots[node];
        slot.setup.drift_ppm = ppm;
        slot.clock.drift(self.now, ppm);
        // The pending timer was set by the old rate.
        slot.timer.at = u64::MAX;
        slot.timer.generation = slot.timer.generation.wrapping_add(1);
        if slot.condition == Condition::Up {
            self.touch(node);
        }
    }

    // ---- links

    /// Sets what happens on all links that have no faults of their own.
    pub fn set_faults(&mut self, faults: Faults) {
        self.links.set_common(faults);
    }

    /// Sets the loss of all links that have no faults of their own.
    pub fn set_loss(&mut self, ppm: u32) {
        let faults = Faults { loss_ppm: ppm, ..self.links.common().clone() };
        self.links.set_common(faults);
    }

    /// Gives one direction of a link faults of its own; `None` takes them away.
    ///
    /// For a datagram the first of these counts: the faults of its link, all that its sender sends, all that its
    /// receiver gets, the common ones. A byte budget is shared by all links that the faults were set for, except that
    /// the common ones give each link a budget of its own.
    pub fn set_link(&mut self, from: usize, to: usize, faults: Option<Faults>) {
        self.links.set_own((from as u32, to as u32), faults);
    }

    /// Gives all that a node sends faults of its own, and one byte budget: its uplink.
    pub fn set_outgoing(&mut self, from: usize, faults: Option<Faults>) {
        self.links.set_own((from as u32, ALL), faults);
    }

    /// Gives all that a node gets faults of its own, and one byte budget: its downlink.
    pub fn set_incoming(&mut self, to: usize, faults: Option<Faults>) {
        self.links.set_own((ALL, to as u32), faults);
    }

    /// Cuts one direction: what `from` sends does not reach `to`. What is under way still arrives.
    pub fn cut(&mut self, from: impl IntoIterator<Item = usize>, to: impl IntoIterator<Item = usize>) -> CutId {
        let (from, to) = (self.side(from), self.side(to));
        self.links.cut(from, to, None)
    }

    /// Cuts both directions between two groups of nodes.
    pub fn split(&mut self, one: impl IntoIterator<Item = usize>, other: impl IntoIterator<Item = usize>) -> CutId {
        let id = self.cut(one, other);
        self.links.cut_back(id);
        id
    }

    /// Cuts both directions between two groups for `cuts`, lets pass for `passes`, and so on.
    pub fn flap(
        &mut self,
        one: impl IntoIterator<Item = usize>,
        other: impl IntoIterator<Item = usize>,
        cuts: Duration,
        passes: Duration,
    ) -> CutId {
        let (one, other) = (self.side(one), self.side(other));
        let id = self.links.cut(one, other, Some((self.now, micros(cuts), micros(passes))));
        self.links.cut_back(id);
        id
    }

    /// Ends a cut.
    pub fn heal(&mut self, cut: CutId) {
        self.links.heal(cut);
    }

    /// Ends all cuts.
    pub fn heal_all(&mut self) {
        self.links.heal_all();
    }

    fn side(&self, nodes: impl IntoIterator<Item = usize>) -> Vec<bool> {
        let mut side = vec![false; self.slots.len()];
        for node in nodes {
            side[node] = true;
        }
        side
    }

    // ---- script

    /// Does something to the network at a virtual time, or now if that has passed.
    pub fn at(&mut self, time: Instant, action: impl FnOnce(&mut Network) + 'static) {
        let number = self.actions.len() as u32;
        self.actions.push(Some(Box::new(action)));
        self.queue.push(time.as_micros().max(self.now), Due::Action(number));
    }
}
