//! Whom to probe, and whether it answered.
//!
//! Knows: the probe under way, the pass over the peers, and the probes relayed for others. Does not know: time limits,
//! nor what follows from a failed probe.
//! When full: a ping-req that finds no free relay row takes the oldest; its asker hears nothing and asks others next time.

use super::slot::MemberSlot;
use super::table::{Members, OWN};
use crate::addr::NodeId;
use crate::divide::quotient;
use crate::rng::Rng;
use crate::slab::queue::Queue;
use crate::slab::{Ix, SCARCE};
use crate::time::Instant;

/// The probe room.
#[derive(Debug, Default)]
pub(crate) struct Prober {
    /// Whom to probe before going on with the pass.
    first: Option<u32>,
    /// Whether the neighbor is next, who has every other turn.
    near: bool,
    current: Option<Probe>,
    relays: Queue<Relay, RELAYS>,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    target: NodeId,
    number: u32,
    sent: Instant,
    /// How long to wait between pings, and in all before relays are asked, in µs; fixed at the start, as the interval is.
    step: u64,
    timeout: u64,
    /// How many times the target was pinged directly.
    pings: u8,
    /// How many relays were asked, and how many of them said that they got no answer either.
    asked: u8,
    nacks: u8,
}

/// A probe on behalf of another node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relay {
    /// The slot of the asker, or its number as a guest; and the low bits of its id, as of an errand.
    pub(crate) asker: Ix,
    pub(crate) check: u16,
    /// The number that the asker waits for.
    pub(crate) asked: u32,
    /// The number that the target was sent.
    pub(crate) number: u32,
    /// When the asker is told that there was no answer.
    pub(crate) nack_at: Instant,
}

/// What to do for a probe that is not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Ping the target once more, with this number.
    Ping(NodeId, u32),
    /// Ask relays to ping it, with this number.
    Relays(NodeId, u32),
    /// Nobody answered.
    Fail,
}

impl Prober {
    /// By `turns` the neighbor and the next peer of a random permutation, of which each pass over the peers is another one
    /// (SWIM §4.3). Of random probes alone one crash in seven goes unnoticed for two intervals, one in a thousand for seven;
    /// of neighbors alone the links would hardly be tried.
    pub(crate) fn next_target(&mut self, members: &mut Members<'_>, rng: &mut Rng, turns: bool) -> Option<usize> {
        if let Some(ix) = self.first.take().map(|ix| ix as usize) {
            if ix != OWN && members.get(ix).is_some_and(MemberSlot::is_live) {
                return Some(ix);
            }
        }
        self.near = turns && !self.near;
        let neighbor = if self.near { members.neighbor() } else { None };
        if neighbor.is_some() {
            return neighbor;
        }
        let (peers, passed) = members.pass();
        if peers == 0 {
            return None;
        }
        let other = passed + rng.below((peers - passed) as u32) as usize;
        members.swap_peers(passed, other);
        members.pass_one();
        members.peer(passed)
    }

    /// Puts a member at the front.
    pub(crate) fn next_is(&mut self, ix: usize) {
        self.first = Some(ix as u32);
    }

    /// Begins a probe; the one before counts no more.
    pub(crate) fn begin(&mut self, target: NodeId, number: u32, now: Instant, step: u64, timeout: u64) {
        self.current = Some(Probe { target, number, sent: now, step, timeout, pings: 1, asked: 0, nacks: 0 });
    }

    /// What to do now for the probe that is under way, if it is, and how many µs to wait after that.
    pub(crate) fn retry(&mut self, now: Instant) -> Option<(Retry, u64)> {
        let probe = self.current.as_mut()?;
        let waited = now.since(probe.sent);
        probe.pings = probe.pings.saturating_add(1);
        // Relays have half as long: a round trip more than a ping, and they ping once. Meanwhile the target is pinged on, at
        // half that step: on a lossy link a suspicion for nothing costs a rumor and a refutation to everybody.
        let step = if probe.step < probe.timeout { probe.timeout / 4 } else { probe.timeout / 2 };
        if waited >= probe.timeout + probe.timeout / 2 && probe.asked > 0 {
            return Some((Retry::Fail, 0));
        }
        let late = waited >= probe.timeout;
        let wait = if late { step } else { probe.step.min(probe.timeout - waited) };
        let relays = late && probe.asked == 0;
        let (target, number) = (probe.target, probe.number);
        Some((if relays { Retry::Relays(target, number) } else { Retry::Ping(target, number) }, wait))
    }

    /// Whether the probe under way waits for the answer to this number.
    pub(crate) fn awaits(&self, number: u32) -> bool {
        self.current.is_some_and(|probe| probe.number == number)
    }

    /// Whom the probe with this number is of, while it is under way.
    pub(crate) fn target(&self, number: u32) -> Option<NodeId> {
        self.current.filter(|probe| probe.number == number).map(|probe| probe.target)
    }

    /// Notes that a relay was asked.
    pub(crate) fn asked(&mut self) {
        if let Some(probe) = &mut self.current {
            probe.asked += 1;
        }
    }

    /// Takes in that a relay got no answer.
    pub(crate) fn nack(&mut self, number: u32) {
        if let Some(probe) = self.current.as_mut().filter(|probe| probe.number == number) {
            probe.nacks = probe.nacks.saturating_add(1);
        }
    }

    /// Takes in an ack: who answered, and after how many µs if it answered the first ping itself.
    pub(crate) fn ack(&mut self, number: u32, from: NodeId, now: Instant) -> Option<(NodeId, Option<u64>)> {
        let probe = self.current.filter(|probe| probe.number == number)?;
        self.current = None;
        // Which of several pings was answered is not known (Karn's rule).
        let measured = from == probe.target && probe.pings == 1;
        Some((probe.target, measured.then(|| now.since(probe.sent))))
    }

    /// Whether a relay said that the probe under way got no answer there either.
    pub(crate) fn is_nacked(&self) -> bool {
        self.current.is_some_and(|probe| probe.nacks > 0)
    }

    /// Ends the probe under way, and says whom it did not reach, and how many relays did not even say that.
    pub(crate) fn fail(&mut self) -> Option<(NodeId, u8)> {
        let probe = self.current.take()?;
        // If it was the neighbor, the one behind it has been watched by nobody: it is next.
        self.near = false;
        Some((probe.target, probe.asked.saturating_sub(probe.nacks)))
    }

    /// Notes a probe on behalf of another.
    pub(crate) fn relay(&mut self, relay: Relay) {
        if self.relays.is_full() {
            self.relays.pop_front();
        }
        // There is room now.
        let _ = self.relays.push_back(relay);
    }

    /// Takes in an ack to a probe on behalf of another: whom to pass it to. The asker may ask again, and get it again.
    pub(crate) fn relayed(&mut self, number: u32) -> Option<Relay> {
        let relay = self.relays.iter_mut().find(|relay| relay.number == number)?;
        relay.nack_at = Instant::NEVER;
        Some(*relay)
    }

    /// A probe on behalf of another that was not answered in time.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<Relay> {
        let relay = self.relays.iter_mut().find(|relay| relay.nack_at <= now)?;
        relay.nack_at = Instant::NEVER;
        Some(*relay)
    }

    /// Whether somebody waits for an answer.
    pub(crate) fn relays_for(&self, asker: usize) -> bool {
        self.relays.iter().any(|relay| relay.asker as usize == asker && relay.nack_at < Instant::NEVER)
    }

    /// When the next one is overdue.
    pub(crate) fn next_overdue(&self) -> Option<Instant> {
        let mut next = Instant::NEVER;
        for relay in self.relays.iter() {
            next = next.min(relay.nack_at);
        }
        (next < Instant::NEVER).then_some(next)
    }
}

/// A round trip in µs for a member's slot: in 100 µs, at least 1.
pub(crate) fn rtt_units(rtt: u64) -> u16 {
    quotient(rtt.min(u64::from(u32::MAX)) as u32, 100).clamp(1, u32::from(u16::MAX)) as u16
}

/// How many times a target is pinged directly before relays are asked, if its round trip allows: at 20 % loss each way,
/// four pings all fail in 1.7 % of probes, one fails in 36 %. Two more pings while relays try leave 0.2 %.
pub(crate) const PINGS_MAX: u8 = 4;
/// How many probes on behalf of others are remembered: with three askers per failing probe, more than any node meets
/// within a probe's time unless most of the swarm fails at once; where memory is scarce, those of one and one more.
const RELAYS: usize = if SCARCE { 4 } else { 8 };
