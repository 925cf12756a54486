//! Tables smaller than the swarm: who is in whose, and whether that is enough when half of the swarm crashes.
//!
//! Knows: what a node's application sees of its table. Does not know: how a node chooses whom to keep.

use core::time::Duration;

use std::vec;
use std::vec::Vec;

use super::membership::{Ignorant, REST};
use crate::sim::lab::Lab;
use crate::sim::network::Network;
use crate::sim::report::{Degrees, Figures, View};
use crate::sim::scenario::Victims;
use crate::{Member, MemberState, PutOptions};

/// Measures the views, spreads a key, crashes half of the swarm, measures again.
pub(crate) fn view(lab: &mut Lab<'_>) -> Figures {
    let assembled = lab.assemble_within(lab.spec.nodes, ASSEMBLE_MAX);
    let all_know_s = assembled.then(|| lab.seconds_since(lab.since));
    lab.phase("settling");
    lab.run_for(REST);
    lab.begin();
    let limit = lab.spec.window(600);
    let degrees = degrees(&lab.net);
    let converged_s = spread(lab, b"view/before", limit);
    let victims = lab.victims(Victims::Percent(50));
    for &victim in &victims {
        lab.net.crash(victim);
    }
    let crashed_at = lab.net.now();
    let components = components(&lab.net);
    let spread_after_crash_s = spread(lab, b"view/after", limit);
    let mut ignorant = Ignorant::default();
    let rest = limit.saturating_sub(lab.net.now() - crashed_at);
    let out = lab.run_to_sampled(rest, |net| ignorant.none(net, &victims));
    let dead_out_s = out.then(|| lab.seconds_since(crashed_at));
    let converged = converged_s.is_some() && spread_after_crash_s.is_some() && out;
    let view = Some(View { degrees, components, dead_out_s, spread_after_crash_s });
    Figures { all_know_s, converged_s, converged, view, ..Figures::default() }
}

/// How long it takes until all that run have told of a key that one writes now.
fn spread(lab: &mut Lab<'_>, key: &[u8], limit: Duration) -> Option<f64> {
    let writer = lab.any_node();
    let value: Vec<u8> = (0..lab.spec.value_len).map(|_| lab.dice.bits() as u8).collect();
    lab.net.watch(key);
    if let Err(why) = lab.net.with(writer, |node, now| node.put(now, key, &value, PutOptions::new())) {
        lab.net.fail(writer, format_args!("it refuses a key: {why}"));
    }
    lab.net.watch_seen(writer);
    let since = lab.net.now();
    let all = lab.run_to(limit, |net| net.record().watched() >= net.up());
    all.then(|| lab.seconds_since(since))
}

/// In how many views of others each node is that runs, against what uniform samples of the same size would give.
fn degrees(net: &Network) -> Degrees {
    let mut counts = vec![0u64; net.len()];
    for (_, seen) in links(net) {
        counts[seen] += 1;
    }
    let counts: Vec<u64> = net.running().map(|node| counts[node]).collect();
    let nodes = counts.len().max(2) as f64;
    let mean = counts.iter().sum::<u64>() as f64 / nodes;
    let variance = counts.iter().map(|&count| (count as f64 - mean) * (count as f64 - mean)).sum::<f64>() / nodes;
    // A node is in each of the others' views with this probability, independently.
    let part = mean / (nodes - 1.0);
    let usual = mean * (1.0 - part);
    Degrees {
        mean,
        min: counts.iter().min().copied().unwrap_or(0),
        max: counts.iter().max().copied().unwrap_or(0),
        cv: if mean > 0.0 { variance.sqrt() / mean } else { 0.0 },
        dispersion: if usual > 0.0 { variance / usual } else { 0.0 },
    }
}

/// Into how many parts the running nodes fall when each is tied to those in its view that run.
fn components(net: &Network) -> u64 {
    let mut parents: Vec<usize> = (0..net.len()).collect();
    let root = |parents: &mut Vec<usize>, mut node: usize| {
        while parents[node] != node {
            parents[node] = parents[parents[node]];
            node = parents[node];
        }
        node
    };
    let mut parts = net.up() as u64;
    for (observer, seen) in links(net).filter(|&(_, seen)| net.node(seen).is_some()) {
        let (one, other) = (root(&mut parents, observer), root(&mut parents, seen));
        if one != other {
            parents[one] = other;
            parts -= 1;
        }
    }
    parts
}

/// Who has whom in its view, alive or suspect, itself aside.
fn links(net: &Network) -> impl Iterator<Item = (usize, usize)> + '_ {
    net.running().filter_map(|observer| Some((observer, net.node(observer)?))).flat_map(move |(observer, node)| {
        let live = |member: &Member<'_>| matches!(member.state, MemberState::Alive | MemberState::Suspect);
        let seen = node.members().filter(live).filter_map(|member| net.index_of(member.id));
        seen.filter(move |&seen| seen != observer).map(move |seen| (observer, seen))
    })
}

/// Views that have not filled by then are measured as they are.
const ASSEMBLE_MAX: Duration = Duration::from_secs(60);
