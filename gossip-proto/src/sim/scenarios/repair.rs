//! Two nodes that hold nearly the same: what it costs to find what one of them lacks, and to send it.
//!
//! Knows: two nodes and the datagrams between them, without a network: nothing else is to be counted. Does not know: how
//! they compare.

use core::cmp::Reverse;
use core::time::Duration;

use std::collections::BinaryHeap;
use std::format;
use std::vec;
use std::vec::Vec;

use crate::sim::dice::Dice;
use crate::sim::lab::Lab;
use crate::sim::report::{Figures, Repaired};
use crate::wire::{Envelope, Message, open};
use crate::{Addr, Config, Instant, Node, NodeId, Seed, Storage, SwarmKey};

/// They join while they hold nothing; then each is given its entries, as if from earlier days; then one of them compares.
pub(crate) fn repair(lab: &mut Lab<'_>) -> Figures {
    let mut pair = Pair::new(lab);
    lab.phase("filling");
    pair.fill(lab);
    lab.phase("comparing");
    let start = pair.now;
    let limit = start + lab.spec.window(60);
    pair.nodes[0].compare_entries(start, NodeId(2));
    pair.measuring = true;
    let mut agreed = None;
    while pair.step(limit) {
        if agreed.is_none() && pair.agree() {
            agreed = Some(pair.now);
            pair.figures.messages = pair.depth.into_iter().max().unwrap_or(0);
        }
    }
    let converged_s = agreed.map(|at| (at - start).as_micros() as f64 / 1e6);
    if agreed.is_some() {
        let [a, b] = &pair.nodes;
        let hold_alike = a.scan(b"").zip(b.scan(b"")).all(|(a, b)| (a.key(), a.value()) == (b.key(), b.value()));
        assert!(hold_alike && pair.agree(), "equal roots, but not equal entries; {}", lab.spec.command());
    }
    Figures { converged_s, converged: agreed.is_some(), repaired: Some(pair.figures), ..Figures::default() }
}

type Flying = (Instant, u64, usize, u32, Vec<u8>);

struct Pair {
    nodes: [Node<'static>; 2],
    addrs: [Addr; 2],
    now: Instant,
    buf: Vec<u8>,
    dice: Dice,
    loss_ppm: u32,
    /// Datagrams under way: when they arrive, in the order of sending, at whom, how long their chain is.
    flying: BinaryHeap<Reverse<Flying>>,
    sent: u64,
    /// The longest chain of datagrams, each sent after the one before it arrived, that has reached each node.
    depth: [u32; 2],
    measuring: bool,
    figures: Repaired,
}

impl Pair {
    fn new(lab: &Lab<'_>) -> Self {
        let spec = lab.spec;
        // Nothing but the comparison speaks.
        let quiet = Duration::from_secs(3600);
        let config = Config {
            probe_interval: quiet,
            probe_timeout: quiet,
            gossip_interval_max: 24 * quiet,
            // Other hashes for each seed.
            swarm: SwarmKey::from_name(&format!("repair {}", spec.seed)),
            datagram_len_max: spec.mtu.unwrap_or(spec.config.datagram_len_max),
            ..spec.config.clone()
        };
        let addrs = [1, 2].map(|n| Addr::from(core::net::SocketAddr::from(([10, 0, 0, n], 7000))));
        let entries = spec.keys + spec.differences + 16;
        let node = |n: u64, addr| {
            let mut seed = [spec.seed as u8; 32];
            seed[..8].copy_from_slice(&spec.seed.wrapping_mul(2).wrapping_add(n).to_le_bytes());
            let storage = Storage::with_capacity(4, entries, entries * RECORD_LEN + 65_536);
            Node::new(NodeId(n), addr, config.clone(), storage, Seed::new(seed)).expect("the configuration is valid")
        };
        let mut pair = Self {
            nodes: [node(1, addrs[0]), node(2, addrs[1])],
            addrs,
            now: Instant::ZERO,
            buf: vec![0; config.datagram_len_max.into()],
            dice: Dice::new(spec.seed, STREAM),
            loss_ppm: 0,
            flying: BinaryHeap::new(),
            sent: 0,
            depth: [0; 2],
            measuring: false,
            figures: Repaired::default(),
        };
        pair.nodes[1].join(pair.now, addrs[0]).expect("room for a contact");
        while pair.step(Instant::ZERO + 2 * quiet) {}
        pair.loss_ppm = spec.loss_ppm;
        pair.depth = [0; 2];
        pair
    }

    fn fill(&mut self, lab: &Lab<'_>) {
        let (keys, differences) = (lab.spec.keys, lab.spec.differences);
        // 44 bytes with the key, but for the shortest datagrams.
        let value_len = if self.buf.len() < 200 { 0 } else { VALUE_LEN };
        for n in 0..keys + differences {
            let [_, a, b, c] = (n as u32).to_be_bytes();
            let key = [b'r', b'/', a, b, c];
            // Of those that differ, each has a third alone, and of a third one has an older version.
            let kind = if n < keys { 3 } else { n % 3 };
            let value = &[n as u8; VALUE_LEN][..value_len];
            let [a, b] = &mut self.nodes;
            let (older, newer) = if self.dice.chance(500_000) { (a, b) } else { (b, a) };
            let write = |node: &mut Node<'_>, stamp| node.plant(&key, value, stamp, 7);
            match kind {
                0 => write(older, 2),
                1 => write(newer, 2),
                2 => {
                    write(older, 1);
                    write(newer, 2);
                }
                _ => {
                    write(older, 2);
                    write(newer, 2);
                }
            }
        }
        for node in &mut self.nodes {
            node.planted();
        }
    }

    fn agree(&self) -> bool {
        let [a, b] = &self.nodes;
        a.convergence().root == b.convergence().root
    }

    /// Does what comes next, unless that is later than `limit`.
    fn step(&mut self, limit: Instant) -> bool {
        for from in [0, 1] {
            self.send(from);
        }
        let arrival = self.flying.peek().map(|Reverse(next)| next.0);
        let deadline = self.nodes.iter().filter_map(Node::poll_timeout).min();
        let Some(next) = arrival.into_iter().chain(deadline).min().filter(|next| *next <= limit) else { return false };
        self.now = self.now.max(next);
        if arrival == Some(next) {
            let Some(Reverse((_, _, to, depth, mut bytes))) = self.flying.pop() else { return false };
            self.depth[to] = self.depth[to].max(depth);
            let taken = self.nodes[to].handle_datagram(self.now, self.addrs[1 - to], &mut bytes);
            assert_eq!(taken, Ok(()), "a datagram is refused");
        } else {
            for node in &mut self.nodes {
                node.handle_timeout(self.now);
            }
        }
        for node in &mut self.nodes {
            while node.poll_event().is_some() {}
        }
        true
    }

    fn send(&mut self, from: usize) {
        while let Some(transmit) = self.nodes[from].poll_transmit(self.now, &mut self.buf) {
            let bytes = transmit.payload.to_vec();
            let depth = self.depth[from] + 1;
            if self.measuring {
                self.count(from, &bytes);
            }
            if self.dice.chance(self.loss_ppm) {
                continue;
            }
            let latency = Duration::from_micros(self.dice.between(1_000, 10_000));
            // Links keep the order: what a datagram is answered with depends on those before it.
            let last =
                self.flying.iter().filter(|Reverse(other)| other.2 == 1 - from).map(|Reverse(other)| other.0).max();
            let at = (self.now + latency).max(last.unwrap_or(self.now));
            self.sent += 1;
            self.flying.push(Reverse((at, self.sent, 1 - from, depth, bytes)));
        }
    }

    fn count(&mut self, from: usize, bytes: &[u8]) {
        let figures = &mut self.figures;
        figures.datagrams += 1;
        figures.len_max = figures.len_max.max(bytes.len());
        for (hash, byte) in bytes.iter().map(|byte| (0x0100_0000_01b3_u64, u64::from(*byte))) {
            figures.hash = (figures.hash ^ byte).wrapping_mul(hash);
        }
        let mut copy = bytes.to_vec();
        let to = &self.nodes[1 - from];
        let envelope = Envelope { key: to.config().swarm, own: to.id() };
        let Ok((_, messages)) = open(&mut copy, &envelope) else { return };
        let (mut content, mut entries) = (0, 0);
        for message in messages.flatten() {
            if let Message::Entry(item) = &message {
                content += item.key.len() + item.value.map_or(0, <[u8]>::len);
                entries += postcard::to_slice(&message, &mut [0; 65_536]).map_or(0, |bytes| bytes.len());
                figures.entries += 1;
            }
        }
        figures.bytes += (bytes.len() - entries) as u64;
        figures.bytes_with_versions += (bytes.len() - content) as u64;
    }
}

const VALUE_LEN: usize = 39;
/// What an entry takes of a node's bytes.
const RECORD_LEN: usize = 100;
const STREAM: u64 = 17;
