//! Nodes and links that half work, and a rush: stalls, one-way and flapping links, a hundred newcomers.
//!
//! Knows: what is done to the swarm and when to stop. Does not know: how it is counted; the record does.

use core::time::Duration;

use std::vec::Vec;

use super::membership::{CONVERGE_MAX, REST, agreed};
use crate::sim::lab::{Lab, median, seconds};
use crate::sim::network::Network;
use crate::sim::report::{BrokenLinks, Figures, Stall};
use crate::sim::scenario::{Block, Victims};

/// Some nodes are blocked and free by turns, all at the same times; again and again, with rests.
///
/// The window covers all repetitions and the rests between them.
pub(crate) fn stall(lab: &mut Lab<'_>) -> Figures {
    lab.settle(lab.spec.nodes, REST);
    let (mut stall, mut detections, mut whole) = (Stall::default(), Vec::new(), true);
    for _ in 0..lab.spec.repetitions {
        let victims = lab.victims(Victims::Count(8));
        lab.net.mark_down(&victims);
        lab.phase("stalling");
        let end = lab.net.now() + lab.spec.window(120);
        while lab.net.now() < end {
            let since = lab.net.now();
            for &victim in &victims {
                lab.net.record.forget_deaths(victim);
                match lab.spec.block {
                    Block::Process => lab.net.pause(victim, lab.spec.blocked),
                    Block::Sockets => lab.net.block(victim, lab.spec.blocked),
                }
            }
            lab.run_until(end.min(since + lab.spec.blocked));
            let first = victims.iter().map(|&victim| lab.net.record().deaths_of(victim).first);
            detections.extend(first.flatten().map(|at| seconds(at - since)));
            stall.blocks += victims.len() as u64;
            lab.run_until(end.min(since + lab.spec.blocked + lab.spec.free));
        }
        lab.phase("resting");
        lab.run_for(REST_BETWEEN);
        whole &= lab.run_to(CONVERGE_MAX, Network::all_know_all);
    }
    let members = lab.net.record().members();
    stall.fp = members.deaths_of_healthy;
    stall.fp_healthy = members.healthy_false_deaths;
    stall.detected = detections.len() as u64;
    let first_detect_s = median(&mut detections);
    Figures { first_detect_s, converged: whole, returns_planned: true, stall: Some(stall), ..Figures::default() }
}

/// What some nodes send does not reach a random half of the others: nobody need die of it, for others can pass it on.
pub(crate) fn oneway(lab: &mut Lab<'_>) -> Figures {
    lab.settle(lab.spec.nodes, REST);
    let victims = lab.victims(Victims::Count(1));
    for &victim in &victims {
        let mut others: Vec<usize> = (0..lab.spec.nodes).filter(|&node| node != victim).collect();
        lab.dice.shuffle(&mut others);
        others.truncate(others.len().div_ceil(2));
        lab.net.cut([victim], others);
    }
    let links = watch_links(lab, &victims, lab.spec.window(600));
    let converged = lab.run_to(CONVERGE_MAX, Network::all_know_all);
    Figures { converged, links: Some(links), ..Figures::default() }
}

/// The links of some nodes fail for half of every second; in the end they are whole, and all shall know all.
pub(crate) fn flap(lab: &mut Lab<'_>) -> Figures {
    lab.settle(lab.spec.nodes, REST);
    let victims = lab.victims(Victims::Count(1));
    let others: Vec<usize> = (0..lab.spec.nodes).filter(|node| !victims.contains(node)).collect();
    lab.net.flap(victims.iter().copied(), others, FLAP / 2, FLAP / 2);
    let links = watch_links(lab, &victims, lab.spec.window(3600));
    lab.net.heal_all();
    let converged = lab.run_to(CONVERGE_MAX, Network::all_know_all);
    Figures { converged, links: Some(links), returns_planned: true, ..Figures::default() }
}

/// Runs for this long, and counts who is declared dead.
fn watch_links(lab: &mut Lab<'_>, victims: &[usize], time: Duration) -> BrokenLinks {
    lab.net.suspect(victims);
    lab.run_for(time);
    let record = lab.net.record();
    let others = (0..lab.spec.nodes).filter(|node| !victims.contains(node));
    let deaths_of_others = others.map(|node| record.deaths_of(node).count).sum();
    let Some(suspects) = &record.suspects else { return BrokenLinks::default() };
    let most = suspects.changes.iter().max().copied().unwrap_or(0);
    let transitions_per_minute = f64::from(most) / (seconds(time) / 60.0);
    BrokenLinks { deaths_of_others, told_by_victims: suspects.told, transitions_per_minute }
}

/// Many nodes join a settled swarm at the same moment through one member: until all know all.
pub(crate) fn storm(lab: &mut Lab<'_>) -> Figures {
    let swarm = lab.spec.nodes + lab.spec.joiners;
    lab.settle(swarm, REST);
    let contact = lab.any_node();
    for _ in 0..lab.spec.joiners {
        let joiner = lab.add(swarm);
        lab.net.join(joiner, contact);
    }
    let converged = lab.run_to(lab.spec.window(600), Network::all_know_all);
    let all_know_s = converged.then(|| lab.seconds_since(lab.since));
    let traffic = lab.net.traffic(contact);
    let contact = Some((traffic.sent_bytes + traffic.received_bytes, traffic.inbound_max));
    agreed(lab, Figures { all_know_s, converged, contact, ..Figures::default() })
}

/// What a repetition leaves behind is over by then: two suspicions in a swarm of a thousand.
const REST_BETWEEN: Duration = Duration::from_secs(60);
/// How often a flapping link fails: faster than a probe can tell, slower than a datagram travels.
const FLAP: Duration = Duration::from_secs(1);
