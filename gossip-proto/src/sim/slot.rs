//! One node as the simulator holds it: the machine, its clock, and what it has sent.
//!
//! Knows: how a node's clock goes, and when its timer is set. Does not know: the network.

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use crate::Node;
use crate::addr::{Addr, NodeId};
use crate::config::Config;
use crate::time::Instant;

/// How to make a node of a simulated swarm. Start from [`Setup::new`] and change single fields.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The node's configuration.
    pub config: Config,
    /// How many members its table holds. Default 256.
    pub members: usize,
    /// How many entries its table holds. Default 64.
    pub entries: usize,
    /// How many bytes of keys, values and tags it holds. Default 65,536.
    pub bytes: usize,
    /// The buffer that `poll_transmit` is handed, in bytes. Default: the configuration's `datagram_len_max`.
    pub mtu: u16,
    /// How far its wall clock is ahead (or, negative, behind), in µs; `None`: it has no wall clock. Default 0.
    pub wall_offset_micros: Option<i64>,
    /// How much faster (or, negative, slower) its monotonic clock runs than the time, in ppm. Default 0.
    pub drift_ppm: i32,
}

impl Setup {
    /// A node with this configuration, right clocks, and small tables.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let mtu = config.datagram_len_max;
        Self { config, members: 256, entries: 64, bytes: 65_536, mtu, wall_offset_micros: Some(0), drift_ppm: 0 }
    }

    /// With tables of these sizes.
    #[must_use]
    pub fn capacity(mut self, members: usize, entries: usize, bytes: usize) -> Self {
        (self.members, self.entries, self.bytes) = (members, entries, bytes);
        self
    }
}

/// What a node sent and took in since [`Network::reset_figures`](super::Network::reset_figures). Bytes are payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams that it sent, whatever became of them.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Datagrams that it was handed, refused ones among them.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// The most datagrams that were under way to it, or waited in its receive buffer, at once.
    pub inbound_max: u32,
}

/// Whether a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It runs.
    Up,
    /// It runs, and its machine does nothing until this virtual time: a stop of the garbage collector, a laptop's lid.
    Paused(Instant),
    /// It is off, and its memory is kept: [`Network::resume`](super::Network::resume) continues it.
    Off,
    /// It is off, and has lost its memory: [`Network::restart`](super::Network::restart) makes a new life of it.
    Gone,
    /// It has said farewell, and does nothing any more.
    Left,
}

#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) setup: Setup,
    pub(crate) id: NodeId,
    pub(crate) addr: Addr,
    /// How often it has moved: the offset of its port.
    pub(crate) moves: u16,
    /// How often it was started.
    pub(crate) life: u32,
    pub(crate) node: Option<Node<'static>>,
    pub(crate) condition: Condition,
    pub(crate) clock: Clock,
    pub(crate) timer: Timer,
    pub(crate) pauses: u32,
    /// What the receive buffer is charged for what waits in it during a pause.
    pub(crate) backlog: usize,
    /// Until when its sockets are blocked, and how many of its datagrams wait to be sent then.
    pub(crate) blocked: (u64, u32),
    /// Datagrams that are under way to it, or wait.
    pub(crate) inbound: u32,
    pub(crate) traffic: Traffic,
    /// It was off, paused or restarted since the figures were reset.
    pub(crate) was_down: bool,
    /// It knows all that run.
    pub(crate) knows_all: bool,
}

impl Slot {
    /// Whether it takes part: paused ones do.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.condition, Condition::Up | Condition::Paused(_))
    }

    /// Counts datagrams that are now under way to it.
    pub(crate) fn inbound(&mut self, more: u32) {
        self.inbound += more;
        self.traffic.inbound_max = self.traffic.inbound_max.max(self.inbound);
    }

    /// Whether it knows as many live members as there are nodes up, or as its table holds.
    pub(crate) fn knows(&self, up: usize) -> bool {
        let live = self.node.as_ref().map_or(0, Node::live);
        if self.setup.members >= up { live == up } else { live >= self.setup.members }
    }
}

/// A node's one pending deadline in the queue. What is in the queue may be earlier than the node's deadline, never
/// later: an early one is put back, which is cheaper than taking events out of the queue.
#[derive(Debug)]
pub(crate) struct Timer {
    /// When the valid event is due; `u64::MAX` when there is none.
    pub(crate) at: u64,
    pub(crate) generation: u32,
    /// Calls of `handle_timeout` after which the deadline still lay in the past, in a row.
    pub(crate) stuck: u32,
    /// Timeouts handled in the current virtual second.
    pub(crate) burst: u32,
    pub(crate) second: u64,
}

impl Default for Timer {
    fn default() -> Self {
        Self { at: u64::MAX, generation: 0, stuck: 0, burst: 0, second: 0 }
    }
}

/// A monotonic clock with a start and a drift of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    virtual_base: u64,
    local_base: u64,
    drift_ppm: i32,
}

impl Clock {
    pub(crate) fn new(now: u64, local: u64, drift_ppm: i32) -> Self {
        Self { virtual_base: now, local_base: local, drift_ppm }
    }

    /// What the clock shows at a virtual time.
    pub(crate) fn local(&self, now: u64) -> Instant {
        let passed = now.saturating_sub(self.virtual_base);
        if self.drift_ppm == 0 {
            return Instant::from_micros(self.local_base + passed);
        }
        let passed = u128::from(passed) * u128::from(self.rate()) / 1_000_000;
        Instant::from_micros(self.local_base.saturating_add(passed as u64))
    }

    /// The first virtual time at which the clock shows at least this; the distant future for what it never shows.
    pub(crate) fn virtual_at(&self, local: Instant) -> u64 {
        let ahead = local.as_micros().saturating_sub(self.local_base);
        if self.drift_ppm == 0 {
            return self.virtual_base.saturating_add(ahead);
        }
        let ahead = (u128::from(ahead) * 1_000_000).div_ceil(u128::from(self.rate()));
        self.virtual_base.saturating_add(u64::try_from(ahead).unwrap_or(u64::MAX))
    }

    /// The same clock, going at another rate from `now` on.
    pub(crate) fn drift(&mut self, now: u64, drift_ppm: i32) {
        *self = Self::new(now, self.local(now).as_micros(), drift_ppm);
    }

    fn rate(&self) -> u32 {
        1_000_000u32.saturating_add_signed(self.drift_ppm).max(1)
    }
}

/// The address of a node: 10.x.y.z from its index, port 7000 and one more for every move.
pub(crate) fn addr_of(index: u32, moves: u16) -> Addr {
    let [_, x, y, z] = index.to_be_bytes();
    Addr::from(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(10, x, y, z), PORT + moves)))
}

/// The index and the moves of an address that [`addr_of`] made.
pub(crate) fn index_of(addr: Addr) -> Option<(u32, u16)> {
    match *addr.as_bytes() {
        [p, q, 10, x, y, z] => {
            let moves = u16::from_be_bytes([p, q]).checked_sub(PORT)?;
            Some((u32::from_be_bytes([0, x, y, z]), moves))
        }
        _ => None,
    }
}

const PORT: u16 = 7000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn addresses_read_well_and_lead_back() {
        assert_eq!(addr_of(258, 0).to_string(), "10.0.1.2:7000");
        assert_eq!(index_of(addr_of(70_000, 3)), Some((70_000, 3)));
        assert_eq!(index_of(Addr::NONE), None);
    }

    #[test]
    fn a_deadline_is_never_early_on_any_clock() {
        for drift in [-500_000, -100, 0, 1, 100, 3_000_000] {
            let mut clock = Clock::new(1_000, 77, drift);
            for step in 0..1000u64 {
                let local = Instant::from_micros(77 + step * step * 7919);
                let at = clock.virtual_at(local);
                assert!(clock.local(at) >= local, "{drift} {step}");
                assert!(at == 1_000 || clock.local(at - 1) < local, "{drift} {step}");
            }
            let before = clock.local(5_000_000);
            clock.drift(5_000_000, 50);
            assert_eq!(clock.local(5_000_000), before);
        }
    }
}
