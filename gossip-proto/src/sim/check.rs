//! What must be true after every step, whatever the network does.
//!
//! Knows: the promises of the doors. Does not know: what the swarm should agree on; scenarios say that.

use core::fmt;

use std::format;
use std::string::String;

use crate::stats::Stats;
use crate::time::Instant;
use crate::{Lifecycle, MemberState, Node};

/// How a failed run is told, and how often the dearer checks run.
#[derive(Debug)]
pub(crate) struct Checks {
    pub(crate) enabled: bool,
    seed: u64,
    replay: String,
    steps: u64,
}

impl Checks {
    pub(crate) fn new(seed: u64) -> Self {
        Self { enabled: true, seed, replay: String::new(), steps: 0 }
    }

    pub(crate) fn set_replay(&mut self, command: String) {
        self.replay = command;
    }

    /// True for one step in 64: the dearer checks.
    pub(crate) fn sampled(&mut self) -> bool {
        self.steps += 1;
        self.enabled && self.steps.is_multiple_of(SAMPLE)
    }

    /// How to see this run again.
    pub(crate) fn replay(&self) -> String {
        if self.replay.is_empty() {
            format!("SEED={:#x}", self.seed)
        } else {
            format!("SEED={:#x} replay: {}", self.seed, self.replay)
        }
    }

    #[cold]
    pub(crate) fn violated(&self, now: u64, node: usize, what: fmt::Arguments<'_>) -> ! {
        panic!("node {node} at {}.{:06} s: {what}; {}", now / 1_000_000, now % 1_000_000, self.replay())
    }
}

/// What a node showed before a call that may refuse its input.
#[derive(Debug)]
pub(crate) struct Before {
    lifecycle: Lifecycle,
    live: usize,
    root: u32,
    deadline: Option<Instant>,
    stats: Stats,
}

impl Before {
    pub(crate) fn of(node: &Node<'_>) -> Self {
        Self {
            lifecycle: node.lifecycle(),
            live: node.live(),
            root: node.convergence().root,
            deadline: node.poll_timeout(),
            stats: *node.stats(),
        }
    }

    /// A refusal changes nothing but counters of refusals.
    pub(crate) fn unchanged(&self, node: &Node<'_>) -> Result<(), &'static str> {
        if node.lifecycle() != self.lifecycle {
            return Err("a refused datagram changed the lifecycle");
        }
        if node.live() != self.live {
            return Err("a refused datagram changed the live members");
        }
        if node.convergence().root != self.root {
            return Err("a refused datagram changed the summary root");
        }
        if node.poll_timeout() != self.deadline {
            return Err("a refused datagram moved the deadline");
        }
        for ((name, before), (_, after)) in self.stats.iter().zip(node.stats().iter()) {
            if before != after && !name.starts_with("refused_") {
                return Err("a refused datagram changed a counter that counts no refusals");
            }
        }
        Ok(())
    }
}

/// A call before the deadline does nothing; with no deadline, none ever does.
pub(crate) fn still(node: &mut Node<'_>, now: Instant, buf: &mut [u8]) -> Result<(), &'static str> {
    let deadline = node.poll_timeout();
    if deadline.is_some_and(|deadline| deadline <= now) {
        return Ok(());
    }
    node.handle_timeout(now);
    if node.poll_timeout() != deadline {
        return Err("an early handle_timeout moved the deadline");
    }
    if node.poll_transmit(now, buf).is_some() {
        return Err("an early handle_timeout made something to send");
    }
    Ok(())
}

/// What a node says of itself fits together.
pub(crate) fn consistent(node: &Node<'_>) -> Result<(), &'static str> {
    let convergence = node.convergence();
    if convergence.agreeing > convergence.live {
        return Err("more members agree than live");
    }
    if convergence.live != node.live() {
        return Err("convergence() and live() count different members");
    }
    if node.lifecycle() == Lifecycle::Left {
        return if node.poll_timeout().is_some() { Err("a node that has left has a deadline") } else { Ok(()) };
    }
    match node.member(node.id()) {
        None => Err("the node is no member of its own table"),
        Some(me) if matches!(me.state, MemberState::Dead | MemberState::Suspect) => {
            Err("the node takes itself for dead or suspect")
        }
        Some(_) => Ok(()),
    }
}

/// How many steps go by between two dearer checks.
const SAMPLE: u64 = 64;
/// How many calls of `handle_timeout` in a row may leave the deadline in the past: each does at least one thing, and the
/// largest tables that are simulated have tens of thousands.
pub(crate) const STUCK_MAX: u32 = 10_000;
/// How many timeouts of one node in a virtual second are not a loop that creeps forward.
pub(crate) const BURST_MAX: u32 = 100_000;
/// How many datagrams one input may cause.
pub(crate) const DATAGRAMS_MAX: u32 = 100_000;
