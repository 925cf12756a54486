//! The bench that scenarios work on: a network made by the spec, phases, a window of figures, the report.
//!
//! Knows: what all scenarios have in common. Does not know: any one of them.

use core::time::Duration;

use std::vec::Vec;

use super::dice::Dice;
use super::faults::Faults;
use super::network::Network;
use super::report::{Figures, Report, TraceHash};
use super::scenario::{Progress, Spec, Victims};
use super::slot::Setup;
use crate::time::Instant;

pub(crate) struct Lab<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) net: Network,
    /// The choices of the scenario, apart from those of the network.
    pub(crate) dice: Dice,
    /// When the window began.
    pub(crate) since: Instant,
    progress: &'a mut dyn FnMut(Progress<'_>),
    phase: &'static str,
    told_at: u64,
    refutations: u64,
}

impl<'a> Lab<'a> {
    pub(crate) fn new(spec: &'a Spec, progress: &'a mut dyn FnMut(Progress<'_>)) -> Self {
        let mut net = Network::new(spec.seed);
        net.set_replay(spec.command());
        net.set_faults(Faults { loss_ppm: spec.loss_ppm, ..spec.faults.clone() });
        net.set_trace(spec.trace.clone());
        net.set_checks(spec.checks);
        let dice = Dice::new(spec.seed, STREAM_SCENARIO);
        Self { spec, net, dice, since: Instant::ZERO, progress, phase: "start", told_at: 0, refutations: 0 }
    }

    /// Adds a node as the spec wants them, for a swarm of `swarm` nodes.
    pub(crate) fn add(&mut self, swarm: usize) -> usize {
        let spec = self.spec;
        let mut setup = Setup::new(spec.config.clone());
        setup.mtu = spec.mtu.unwrap_or(setup.mtu);
        self.net.add(setup.capacity(spec.members.unwrap_or(swarm), spec.entries, spec.bytes))
    }

    /// Starts the swarm: all nodes within 100 ms, through node 0, with room for `swarm` members each. Returns whether
    /// all know all in time.
    pub(crate) fn assemble(&mut self, swarm: usize) -> bool {
        self.assemble_within(swarm, ASSEMBLE_MAX)
    }

    /// As [`Lab::assemble`], with a time limit.
    pub(crate) fn assemble_within(&mut self, swarm: usize, limit: Duration) -> bool {
        self.phase("cold start");
        for _ in 0..self.spec.nodes {
            let node = self.add(swarm);
            let start = Duration::from_micros(self.dice.between(0, START_SPREAD_MICROS));
            if node > 0 {
                self.net.at(self.net.now() + start, move |net| net.join(node, 0));
            }
        }
        self.run_to(limit, Network::all_know_all)
    }

    /// Starts the swarm, lets it come to rest for this long, and begins the window.
    pub(crate) fn settle(&mut self, swarm: usize, rest: Duration) {
        self.assemble(swarm);
        self.phase("settling");
        self.run_for(rest);
        self.begin();
    }

    /// Begins the window: what happened before was the preparation.
    pub(crate) fn begin(&mut self) {
        self.net.reset_figures();
        self.since = self.net.now();
        self.refutations = self.all_refutations();
        self.phase("measuring");
    }

    pub(crate) fn phase(&mut self, phase: &'static str) {
        self.phase = phase;
        self.tell();
    }

    /// Seconds since `start`.
    pub(crate) fn seconds_since(&self, start: Instant) -> f64 {
        seconds(self.net.now() - start)
    }

    /// A random node that runs.
    pub(crate) fn any_node(&mut self) -> usize {
        let which = self.dice.index(self.net.up());
        self.net.running().nth(which).unwrap_or(0)
    }

    /// Some different nodes that the spec's victims are, none of them node 0, the contact.
    pub(crate) fn victims(&mut self, default: Victims) -> Vec<usize> {
        let count = self.spec.victims.unwrap_or(default).of(self.spec.nodes);
        let mut nodes: Vec<usize> = (1..self.spec.nodes).collect();
        for at in 0..count {
            let other = at + self.dice.index(nodes.len() - at);
            nodes.swap(at, other);
        }
        nodes.truncate(count);
        nodes
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.net.now() + time;
        self.run_until(until);
    }

    /// Runs until this virtual time.
    pub(crate) fn run_until(&mut self, until: Instant) {
        while self.net.next_at().is_some_and(|at| at <= until) {
            self.step();
        }
        self.net.run_until(until);
    }

    /// Runs until `done` says so, asking after every step; returns whether it said so within `limit`.
    pub(crate) fn run_to(&mut self, limit: Duration, mut done: impl FnMut(&mut Network) -> bool) -> bool {
        let until = self.net.now() + limit;
        while !done(&mut self.net) {
            if self.net.next_at().is_none_or(|at| at > until) {
                self.net.run_until(until);
                return done(&mut self.net);
            }
            self.step();
        }
        true
    }

    /// As [`Lab::run_to`] for what costs more to ask: asks every 10 ms of virtual time.
    pub(crate) fn run_to_sampled(&mut self, limit: Duration, mut done: impl FnMut(&mut Network) -> bool) -> bool {
        let until = self.net.now() + limit;
        while !done(&mut self.net) {
            if self.net.now() >= until {
                return false;
            }
            self.run_until(self.net.now() + SAMPLE);
        }
        true
    }

    fn step(&mut self) {
        self.net.step();
        let lines = self.net.trace();
        if !lines.is_empty() {
            (self.progress)(Progress::Trace(lines));
            self.net.clear_trace();
        }
        if self.net.counts().events >= self.told_at + TELL_EVERY {
            self.tell();
        }
    }

    fn tell(&mut self) {
        self.told_at = self.net.counts().events;
        let now = self.net.now() - Instant::ZERO;
        (self.progress)(Progress::Step { phase: self.phase, now, events: self.told_at });
    }

    fn all_refutations(&self) -> u64 {
        self.net.running().filter_map(|index| self.net.node(index)).map(|node| node.stats().refutations).sum()
    }

    pub(crate) fn report(&mut self, figures: &Figures) -> Report {
        self.phase("done");
        let (spec, counts, record) = (self.spec, self.net.counts(), self.net.record());
        let window_s = self.seconds_since(self.since);
        let nodes = self.net.up().max(1) as f64;
        let rate = |count: u64| if window_s > 0.0 { count as f64 / nodes / window_s } else { 0.0 };
        Report {
            scenario: spec.scenario.name(),
            nodes: spec.nodes,
            loss: f64::from(spec.loss_ppm) / 1e6,
            seed: spec.seed,
            virtual_s: self.seconds_since(Instant::ZERO),
            wall_s: 0.0,
            events: counts.events,
            datagrams_per_node_s: rate(counts.sent),
            bytes_per_node_s: rate(counts.sent_bytes),
            bytes_per_node: counts.sent_bytes as f64 / nodes,
            datagram_len_max: figures.repaired.map_or(counts.len_max, |repaired| repaired.len_max),
            all_know_s: figures.all_know_s,
            first_detect_s: figures.first_detect_s,
            last_detect_s: figures.last_detect_s,
            false_deaths: Some(record.members().false_deaths),
            needless_rejoins: (!figures.returns_planned).then_some(record.members().needless_rejoins),
            healed_s: figures.healed_s,
            converged_s: figures.converged_s,
            payloads_per_node: figures.payloads_per_node,
            converged: figures.converged,
            trace_hash: TraceHash(figures.repaired.map_or(self.net.trace_hash(), |repaired| repaired.hash)),
            window_s,
            raw_list_ratio: figures.raw_list_ratio,
            known_by_all_s: figures.known_by_all_s,
            healthy_false_deaths: Some(record.members().healthy_false_deaths),
            refutations: self.all_refutations().saturating_sub(self.refutations),
            rejected: counts.rejected,
            writes: figures.writes,
            conflicts: figures.writes.map(|_| record.conflicts()),
            removed: figures.removed,
            fp: figures.stall.map(|stall| stall.fp),
            fp_healthy: figures.stall.map(|stall| stall.fp_healthy),
            detections: figures.stall.map(|stall| (stall.blocks, stall.detected)),
            deaths_of_others: figures.links.map(|links| links.deaths_of_others),
            deaths_told_by_victims: figures.links.map(|links| links.told_by_victims),
            transitions_per_minute: figures.links.map(|links| links.transitions_per_minute),
            contact_bytes: figures.contact.map(|(bytes, _)| bytes),
            contact_queue_max: figures.contact.map(|(_, queue)| queue),
            poison_s: figures.poison.as_ref().and_then(|all| worst(all.iter().map(|one| one.alive_again_s))),
            poison: figures.poison.clone(),
            messages: figures.deliveries.map(|d| d.published),
            deliveries: figures.deliveries.map(|d| d.told),
            duplicates: figures.deliveries.map(|d| d.duplicates),
            missed: figures.deliveries.map(|d| d.missed),
            gaps_told: figures.deliveries.map(|d| d.gaps_told),
            delivered_median_s: figures.deliveries.and_then(|d| d.median_s),
            delivered_p99_s: figures.deliveries.and_then(|d| d.p99_s),
            delivered_max_s: figures.deliveries.and_then(|d| d.max_s),
            joiner_s: figures.deliveries.and_then(|d| d.joiner_s),
            in_degree_mean: figures.view.map(|view| view.degrees.mean),
            in_degree_min: figures.view.map(|view| view.degrees.min),
            in_degree_max: figures.view.map(|view| view.degrees.max),
            in_degree_cv: figures.view.map(|view| view.degrees.cv),
            in_degree_dispersion: figures.view.map(|view| view.degrees.dispersion),
            components: figures.view.map(|view| view.components),
            dead_out_s: figures.view.and_then(|view| view.dead_out_s),
            spread_after_crash_s: figures.view.and_then(|view| view.spread_after_crash_s),
            repair_bytes: figures.repaired.map(|repaired| repaired.bytes),
            repair_bytes_with_versions: figures.repaired.map(|repaired| repaired.bytes_with_versions),
            repair_messages: figures.repaired.map(|repaired| repaired.messages),
            repair_datagrams: figures.repaired.map(|repaired| repaired.datagrams),
            repair_entries: figures.repaired.map(|repaired| repaired.entries),
            critical_s: figures.caught_up.and_then(|caught| caught.critical_s),
            caught_up_s: figures.caught_up.and_then(|caught| caught.told_s),
            link_s: figures.caught_up.map(|caught| caught.link_s),
            received_bytes: figures.caught_up.map(|caught| caught.received_bytes),
            raw_bytes: figures.caught_up.map(|caught| caught.raw_bytes),
            content_bytes: figures.caught_up.map(|caught| caught.content_bytes),
            received_again: figures.caught_up.map(|caught| caught.duplicates),
            suspected: figures.caught_up.map(|caught| caught.suspected),
            refused_stamps: figures.skew.map(|skew| skew.refused),
            clocks_told: figures.skew.map(|skew| skew.told),
        }
    }
}

pub(crate) fn seconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e6
}

/// The middle of some figures, the upper one of two.
pub(crate) fn median(figures: &mut [f64]) -> Option<f64> {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

/// The greatest of some figures that are.
pub(crate) fn worst(figures: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    figures.flatten().max_by(f64::total_cmp)
}

const STREAM_SCENARIO: u64 = 16;
/// All nodes start within this time.
const START_SPREAD_MICROS: u64 = 100_000;
/// A swarm that does not know itself by then is measured as it is.
const ASSEMBLE_MAX: Duration = Duration::from_secs(600);
const SAMPLE: Duration = Duration::from_millis(10);
/// Events between two messages of progress: a few per second.
const TELL_EVERY: u64 = 1 << 17;
