//! Forged datagrams from somebody who knows the swarm's key: can a number kill a node that lives?
//!
//! Knows: every message about members, and how to put it in an envelope. Does not know: what a node makes of it.

use core::time::Duration;

use std::vec;
use std::vec::Vec;

use super::membership::REST;
use crate::addr::NodeId;
use crate::sim::lab::{Lab, seconds};
use crate::sim::network::Network;
use crate::sim::report::{Figures, Poisoning};
use crate::time::Instant;
use crate::wire::{Accusation, Envelope, Header, MemberItem, Message, Writer, close};
use crate::{MemberState, SwarmKey};

/// Each attack in turn on victims of its own; each is watched for a while.
pub(crate) fn poison(lab: &mut Lab<'_>) -> Figures {
    let nodes = lab.spec.nodes;
    // One more, which nobody has met: the rogue from outside. It never runs.
    lab.settle(nodes + 1, REST);
    let outsider = lab.add(nodes + 1);
    lab.net.crash(outsider);
    lab.begin();
    let mut order: Vec<usize> = (1..nodes).collect();
    lab.dice.shuffle(&mut order);
    let rogue = order[0];
    let mut next = 1;
    let mut all = Vec::new();
    for attack in ATTACKS {
        let count = if attack.many { nodes / 2 } else { 1 };
        let victims: Vec<usize> = (0..count).map(|at| order[1 + (next + at) % (order.len() - 1).max(1)]).collect();
        next += if attack.many { 0 } else { 1 };
        let from = if attack.outside { outsider } else { rogue };
        all.push(watch(lab, attack, from, &victims));
    }
    let converged = all.iter().all(|one| one.alive_again_s.is_some());
    Figures { converged, poison: Some(all), returns_planned: true, ..Figures::default() }
}

/// One attack: in rounds of forged datagrams to all others, a round every 200 ms.
fn watch(lab: &mut Lab<'_>, attack: &Attack, rogue: usize, victims: &[usize]) -> Poisoning {
    lab.phase(attack.name);
    // Whoever an earlier attack has killed for good is no victim of this one.
    let whole = |&victim: &usize| victim != rogue && lost(&lab.net, &[victim]) == 0;
    let victims: Vec<usize> = victims.iter().copied().filter(whole).collect();
    for &victim in &victims {
        lab.net.record.forget_deaths(victim);
    }
    let (begin, sent_before) = (lab.net.now(), lab.net.counts().sent_bytes);
    let mut views_max = 0;
    for round in 0..attack.rounds {
        if round > 0 {
            sample(lab, BETWEEN_ROUNDS, &victims, &mut views_max);
        }
        for &victim in &victims {
            send(lab, attack, rogue, victim);
        }
    }
    let since = lab.net.now();
    let last = sample(lab, lab.spec.window(60), &victims, &mut views_max);
    let deaths = victims.iter().map(|&victim| lab.net.record().deaths_of(victim).count).sum();
    let alive_again = !victims.is_empty() && lost(&lab.net, &victims) == 0;
    let alive_again_s = alive_again.then(|| last.map_or(0.0, |at| seconds(at - since)));
    let sent = (lab.net.counts().sent_bytes - sent_before) as f64;
    let bytes_per_node_s = sent / lab.net.up() as f64 / lab.seconds_since(begin);
    Poisoning { attack: attack.name, alive_again_s, deaths, views_max, bytes_per_node_s }
}

/// Runs for a while; returns when a view last had a victim that was not alive, and notes the most such views.
fn sample(lab: &mut Lab<'_>, time: Duration, victims: &[usize], views_max: &mut u64) -> Option<Instant> {
    let until = lab.net.now() + time;
    let mut last = None;
    while lab.net.now() < until {
        lab.run_until(until.min(lab.net.now() + SAMPLE));
        let lost = lost(&lab.net, victims);
        *views_max = (*views_max).max(lost);
        if lost > 0 {
            last = Some(lab.net.now());
        }
    }
    last
}

/// How many running nodes have a victim in their view that is not alive, or not where it is.
fn lost(net: &Network, victims: &[usize]) -> u64 {
    let whole = |index: usize, victim: usize| {
        let member = net.node(index).and_then(|node| node.member(net.id_of(victim)));
        member.is_some_and(|member| member.state == MemberState::Alive && member.addr == net.addr(victim))
    };
    net.running().filter(|&index| !victims.iter().all(|&victim| whole(index, victim))).count() as u64
}

/// Sends an attack's datagram about one victim to all others, and to the victim if the attack does.
fn send(lab: &mut Lab<'_>, attack: &Attack, rogue: usize, victim: usize) {
    let net = &mut lab.net;
    let Some(node) = net.node(victim) else { return };
    let held = node.incarnation();
    let incarnation = match attack.number {
        Number::Zero => 0,
        Number::Current => held,
        Number::Next => held.saturating_add(1),
        Number::Ahead => held.saturating_add(AHEAD),
        Number::Max => u32::MAX,
    };
    let id = net.id_of(victim);
    let sender = if attack.spoofed { victim } else { rogue };
    let accusation = Accusation { id, incarnation, by: net.id_of(sender) };
    let moved = MemberItem { id, incarnation, addr: net.addr(rogue), tags_version: 0, asleep: 0, tags: &[] };
    let message = match attack.message {
        Forged::Alive => Message::Alive(MemberItem { addr: net.addr(victim), ..moved }),
        Forged::Moved => Message::Alive(moved),
        Forged::Join => Message::Join(moved),
        Forged::Suspect => Message::Suspect(accusation),
        Forged::Dead => Message::Dead(accusation),
        Forged::Left => Message::Left { id, incarnation },
        Forged::Ping => Message::Ping(1),
    };
    let known = net.node(sender).map_or((0, 0), |node| (node.incarnation(), node.convergence().root));
    let header = Header {
        id: net.id_of(sender),
        incarnation: if attack.spoofed { incarnation } else { known.0 },
        root: known.1,
        load: 0,
    };
    let key = lab.spec.config.swarm;
    for to in 0..lab.spec.nodes {
        // A node refuses what seems to come from itself.
        if to != sender {
            let datagram = forge(key, &header, &message, net.id_of(to));
            net.inject(net.addr(rogue), to, &datagram, DELAY);
        }
    }
}

fn forge(key: SwarmKey, header: &Header, message: &Message<'_>, to: NodeId) -> Vec<u8> {
    let mut buf = vec![0; FORGED_LEN];
    let Some(mut writer) = Writer::new(&mut buf, header) else { return Vec::new() };
    writer.push(message, usize::MAX);
    let len = writer.len();
    close(&mut buf, len, &Envelope { key, own: header.id }, Some(to)).to_vec()
}

struct Attack {
    name: &'static str,
    message: Forged,
    number: Number,
    /// It claims to come from the victim itself.
    spoofed: bool,
    /// The rogue is no member.
    outside: bool,
    /// Half of the swarm at once.
    many: bool,
    rounds: u32,
}

#[derive(Clone, Copy)]
enum Forged {
    Alive,
    /// Alive at the rogue's address.
    Moved,
    Join,
    Suspect,
    Dead,
    Left,
    Ping,
}

#[derive(Clone, Copy)]
enum Number {
    Zero,
    Current,
    Next,
    Ahead,
    Max,
}

const fn attack(name: &'static str, message: Forged, number: Number) -> Attack {
    Attack { name, message, number, spoofed: false, outside: false, many: false, rounds: 1 }
}

const ATTACKS: &[Attack] = &[
    attack("dead, incarnation 0", Forged::Dead, Number::Zero),
    attack("dead, current incarnation", Forged::Dead, Number::Current),
    attack("dead, incarnation far ahead", Forged::Dead, Number::Ahead),
    attack("dead, incarnation MAX", Forged::Dead, Number::Max),
    attack("suspect, current incarnation", Forged::Suspect, Number::Current),
    attack("suspect, incarnation far ahead", Forged::Suspect, Number::Ahead),
    attack("suspect, incarnation MAX", Forged::Suspect, Number::Max),
    attack("left, current incarnation", Forged::Left, Number::Current),
    attack("left, incarnation MAX", Forged::Left, Number::Max),
    attack("alive, incarnation 0", Forged::Alive, Number::Zero),
    attack("alive, incarnation far ahead", Forged::Alive, Number::Ahead),
    attack("alive, incarnation MAX", Forged::Alive, Number::Max),
    attack("alive elsewhere, next incarnation", Forged::Moved, Number::Next),
    attack("alive elsewhere, incarnation MAX", Forged::Moved, Number::Max),
    attack("join elsewhere, incarnation MAX", Forged::Join, Number::Max),
    Attack { spoofed: true, ..attack("in the victim's name, incarnation MAX", Forged::Ping, Number::Max) },
    Attack { spoofed: true, ..attack("in the victim's name, alive elsewhere, MAX", Forged::Moved, Number::Max) },
    Attack { spoofed: true, ..attack("in the victim's name, left, current", Forged::Left, Number::Current) },
    Attack { outside: true, ..attack("from outside: dead, current incarnation", Forged::Dead, Number::Current) },
    Attack { outside: true, ..attack("from outside: dead, incarnation MAX", Forged::Dead, Number::Max) },
    Attack { rounds: 50, ..attack("dead, current incarnation, for 10 s", Forged::Dead, Number::Current) },
    Attack { rounds: 50, ..attack("suspect, next incarnation, for 10 s", Forged::Suspect, Number::Next) },
    Attack { many: true, ..attack("half the swarm dead, current incarnation", Forged::Dead, Number::Current) },
    Attack { many: true, ..attack("half the swarm dead, incarnation MAX", Forged::Dead, Number::Max) },
];

/// Far ahead: more than a node refutes in its life.
const AHEAD: u32 = 1_000_000;
const BETWEEN_ROUNDS: Duration = Duration::from_millis(200);
const DELAY: Duration = Duration::from_millis(5);
const SAMPLE: Duration = Duration::from_millis(20);
const FORGED_LEN: usize = 256;
