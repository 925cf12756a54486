//! Whom to probe, and whether it answered.
//!
//! Knows: the probe under way, the pass over the peers, and the probes relayed for others. Does not know: time limits,
//! nor what follows from a failed probe.
//! When full: a ping-req that finds no free relay row takes the oldest; its asker hears nothing and asks others next time.

use core::time::Duration;

use super::table::Members;
use crate::addr::{Addr, NodeId};
use crate::rng::Rng;
use crate::time::{Instant, micros};

/// The probe room.
#[derive(Debug, Default)]
pub(crate) struct Prober {
    position: usize,
    current: Option<Probe>,
    relays: heapless::Deque<Relay, RELAYS>,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    target: NodeId,
    number: u32,
    sent: Instant,
    relayed: bool,
}

/// A probe on behalf of another node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relay {
    pub(crate) asker: Addr,
    pub(crate) asker_id: NodeId,
    /// The number that the asker waits for.
    pub(crate) asked: u32,
    /// The number that the target was sent.
    pub(crate) number: u32,
}

impl Prober {
    /// The next peer of a random permutation; each pass over the peers is another one (SWIM §4.3).
    pub(crate) fn next_target(&mut self, members: &mut Members<'_>, rng: &mut Rng) -> Option<usize> {
        let peers = members.peers();
        if self.position >= peers {
            self.position = 0;
        }
        if peers == 0 {
            return None;
        }
        let other = self.position + rng.below((peers - self.position) as u32) as usize;
        members.swap_peers(self.position, other);
        self.position += 1;
        members.peer(self.position - 1)
    }

    /// Begins a probe; the one before counts no more.
    pub(crate) fn begin(&mut self, target: NodeId, number: u32, now: Instant) {
        self.current = Some(Probe { target, number, sent: now, relayed: false });
    }

    /// The probe that still waits for relays to be asked: its target and number.
    pub(crate) fn ask_relays(&mut self) -> Option<(NodeId, u32)> {
        let probe = self.current.as_mut().filter(|probe| !probe.relayed)?;
        probe.relayed = true;
        Some((probe.target, probe.number))
    }

    /// Takes in an ack: who answered, and after how long if it did so itself.
    pub(crate) fn ack(&mut self, number: u32, from: NodeId, now: Instant) -> Option<(NodeId, Option<Duration>)> {
        let probe = self.current.filter(|probe| probe.number == number)?;
        self.current = None;
        Some((probe.target, (from == probe.target).then(|| now - probe.sent)))
    }

    /// Ends the probe under way, and says whom it did not reach.
    pub(crate) fn fail(&mut self) -> Option<NodeId> {
        self.current.take().map(|probe| probe.target)
    }

    /// Notes a probe on behalf of another.
    pub(crate) fn relay(&mut self, relay: Relay) {
        if self.relays.is_full() {
            self.relays.pop_front();
        }
        // There is room now.
        let _ = self.relays.push_back(relay);
    }

    /// Takes in an ack to a probe on behalf of another: whom to pass it to.
    pub(crate) fn relayed(&mut self, number: u32) -> Option<Relay> {
        self.relays.iter().find(|relay| relay.number == number).copied()
    }
}

/// A round trip for a member's slot: in 100 µs, at least 1.
pub(crate) fn rtt_units(rtt: Duration) -> u16 {
    (micros(rtt) / 100).clamp(1, u64::from(u16::MAX)) as u16
}

/// How many probes on behalf of others are remembered: with three askers per failing probe, more than any node meets
/// within a probe's time unless most of the swarm fails at once.
const RELAYS: usize = 8;
