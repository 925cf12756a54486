//! What is shared: one entry's way to all, and many writers at once.
//!
//! Knows: what was written. Does not know: how it travels.

use core::time::Duration;

use std::format;
use std::string::String;
use std::vec::Vec;

use crate::sim::lab::Lab;
use crate::sim::network::Network;
use crate::sim::report::Figures;
use crate::{Node, PutOptions};

/// One entry from one node: until all have it, and 10 s more, so that the copies that come too late are counted.
pub(crate) fn spread(lab: &mut Lab<'_>) -> Figures {
    lab.settle(lab.spec.nodes, REST);
    let writer = lab.any_node();
    let value: Vec<u8> = (0..lab.spec.value_len).map(|_| lab.dice.bits() as u8).collect();
    lab.net.watch(KEY);
    put(&mut lab.net, writer, KEY, &value);
    lab.net.watch_seen(writer);
    let before = received(&lab.net);
    let converged = lab.run_to(lab.spec.window(600), |net| net.record().watched() >= net.up());
    let converged_s = converged.then(|| lab.seconds_since(lab.since));
    lab.run_for(AFTERMATH);
    let payloads = received(&lab.net) - before;
    if converged {
        verify(&lab.net, |node| holds(node, KEY, &value), KEY);
    }
    let payloads_per_node = Some(payloads as f64 / (lab.spec.nodes - 1) as f64);
    Figures { converged_s, converged, payloads_per_node, ..Figures::default() }
}

/// 20 writers, 200 rounds: in each round each thinks for a while, writes its own key, and every other time a key that all
/// write. In the end all hold the same, and every writer's key holds its last value everywhere: no write is lost.
pub(crate) fn writers(lab: &mut Lab<'_>) -> Figures {
    lab.settle(lab.spec.nodes, REST);
    let mut nodes: Vec<usize> = (0..lab.spec.nodes).collect();
    lab.dice.shuffle(&mut nodes);
    nodes.truncate(WRITERS);
    let mut plan = Vec::new();
    for round in 0..ROUNDS {
        for &writer in &nodes {
            let think = Duration::from_micros(lab.dice.between(0, THINK_MICROS));
            plan.push((lab.net.now() + ROUND * round + think, writer, round));
        }
    }
    plan.sort_unstable();
    let mut writes = 0;
    for (at, writer, round) in plan {
        lab.run_until(at);
        put(&mut lab.net, writer, own_key(writer).as_bytes(), &round.to_le_bytes());
        writes += 1;
        if lab.dice.chance(500_000) {
            let key = format!("shared/{}", lab.dice.index(CONTENDED));
            put(&mut lab.net, writer, key.as_bytes(), format!("{writer} in {round}").as_bytes());
            writes += 1;
        }
    }
    lab.phase("converging");
    let written_at = lab.net.now();
    let converged = lab.run_to_sampled(lab.spec.window(600), |net| net.roots_agree());
    let converged_s = converged.then(|| lab.seconds_since(written_at));
    if converged {
        lab.net.assert_agreement();
        for &writer in &nodes {
            let key = own_key(writer);
            verify(&lab.net, |node| holds(node, key.as_bytes(), &(ROUNDS - 1).to_le_bytes()), key.as_bytes());
        }
    }
    Figures { converged_s, converged, writes: Some(writes), ..Figures::default() }
}

fn own_key(writer: usize) -> String {
    format!("own/{writer}")
}

fn put(net: &mut Network, writer: usize, key: &[u8], value: &[u8]) {
    if let Err(why) = net.with(writer, |node, now| node.put(now, key, value, PutOptions::new())) {
        net.fail(writer, format_args!("{} was not written: {why}", key.escape_ascii()));
    }
}

fn holds(node: &Node<'_>, key: &[u8], value: &[u8]) -> bool {
    node.get(key).is_some_and(|entry| entry.value() == value)
}

/// Every running node holds what was written last, or the run has failed.
fn verify(net: &Network, holds: impl Fn(&Node<'_>) -> bool, key: &[u8]) {
    if let Some(index) = net.running().find(|&index| !net.node(index).is_some_and(&holds)) {
        net.fail(index, format_args!("the last write of {} is lost", key.escape_ascii()));
    }
}

/// How many entries all nodes have received.
fn received(net: &Network) -> u64 {
    let count = |node: &Node<'_>| node.stats().entries_new + node.stats().entries_known;
    net.running().filter_map(|index| net.node(index)).map(count).sum()
}

const KEY: &[u8] = b"spread/key";
const WRITERS: usize = 20;
const ROUNDS: u32 = 200;
const ROUND: Duration = Duration::from_millis(200);
/// The longest time between the begin of a round and a write.
const THINK_MICROS: u64 = 200_000;
/// How many keys all write.
const CONTENDED: usize = 5;
const REST: Duration = Duration::from_secs(30);
const AFTERMATH: Duration = Duration::from_secs(10);
