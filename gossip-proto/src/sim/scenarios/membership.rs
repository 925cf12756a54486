//! Who is there: joining, crashing, splitting, and doing nothing.
//!
//! Knows: what is done to the swarm and when to stop. Does not know: how it is counted; the record does.

use core::time::Duration;

use std::vec::Vec;

use crate::MemberState;
use crate::sim::lab::{Lab, median, seconds};
use crate::sim::network::Network;
use crate::sim::report::Figures;
use crate::sim::scenario::Victims;
use crate::time::Instant;

/// All nodes at once through one contact, until all know all.
pub(crate) fn cold_start(lab: &mut Lab<'_>) -> Figures {
    lab.begin();
    let known = lab.assemble(lab.spec.nodes);
    let all_know_s = known.then(|| lab.seconds_since(lab.since));
    let converged = known && lab.run_to_sampled(CONVERGE_MAX, |net| net.all_know_all() && net.roots_agree());
    let converged_s = converged.then(|| lab.seconds_since(lab.since));
    if let Some(time) = lab.spec.seconds {
        lab.run_until(lab.since + Duration::from_secs(time));
    }
    agreed(lab, Figures { all_know_s, converged_s, converged, ..Figures::default() })
}

/// One node more for a settled swarm: until it knows all, and then until all know it.
pub(crate) fn newcomer(lab: &mut Lab<'_>) -> Figures {
    let swarm = lab.spec.nodes + 1;
    lab.settle(swarm, REST);
    let contact = lab.any_node();
    let newcomer = lab.add(swarm);
    lab.net.join(newcomer, contact);
    let limit = lab.spec.window(600);
    let goal = swarm.min(lab.spec.members.unwrap_or(swarm));
    let known = lab.run_to(limit, |net| net.node(newcomer).is_some_and(|node| node.live() >= goal));
    let all_know_s = known.then(|| lab.seconds_since(lab.since));
    let traffic = lab.net.traffic(newcomer);
    let ratio = (traffic.sent_bytes + traffic.received_bytes) as f64 / (lab.spec.nodes * RAW_MEMBER_LEN) as f64;
    let converged = lab.run_to(limit, Network::all_know_all);
    let known_by_all_s = converged.then(|| lab.seconds_since(lab.since));
    let raw_list_ratio = known.then_some(ratio);
    agreed(lab, Figures { all_know_s, known_by_all_s, raw_list_ratio, converged, ..Figures::default() })
}

/// Nothing happens.
pub(crate) fn idle(lab: &mut Lab<'_>) -> Figures {
    lab.settle(lab.spec.nodes, REST_LONG);
    lab.run_for(lab.spec.window(60));
    let converged = lab.net.all_know_all() && lab.net.roots_agree();
    agreed(lab, Figures { converged, ..Figures::default() })
}

/// Some nodes, any but the contact, lose power at once: until all others know.
pub(crate) fn crash(lab: &mut Lab<'_>) -> Figures {
    lab.settle(lab.spec.nodes, REST);
    let victims = lab.victims(Victims::Count(1));
    for &victim in &victims {
        lab.net.crash(victim);
    }
    let crashed_at = lab.net.now();
    // Everybody is asked only when somebody has told of a death: that is exact, and costs little.
    let (mut asked, mut ignorant) = (0, Ignorant::default());
    let known = lab.run_to(lab.spec.window(600), |net| {
        let deaths = net.record().members().deaths;
        deaths != std::mem::replace(&mut asked, deaths) && ignorant.none(net, &victims)
    });
    let deaths = victims.iter().map(|&victim| lab.net.record().deaths_of(victim));
    let after = |at: Instant| seconds(at - crashed_at);
    let mut first: Vec<f64> = deaths.clone().filter_map(|deaths| deaths.first.map(after)).collect();
    let last = deaths.filter_map(|deaths| deaths.last).max();
    Figures {
        first_detect_s: median(&mut first),
        last_detect_s: last.filter(|_| known).map(after),
        converged: known,
        ..Figures::default()
    }
}

/// Random halves do not reach each other for a while: until all know all again, and 30 s more to see that it stays so.
pub(crate) fn split(lab: &mut Lab<'_>) -> Figures {
    lab.settle(lab.spec.nodes, REST);
    let mut nodes: Vec<usize> = (0..lab.spec.nodes).collect();
    lab.dice.shuffle(&mut nodes);
    let (one, other) = nodes.split_at(nodes.len() / 2);
    let cut = lab.net.split(one.iter().copied(), other.iter().copied());
    lab.phase("split");
    lab.run_for(lab.spec.window(60));
    lab.net.heal(cut);
    lab.phase("healing");
    let healing_since = lab.net.now();
    let healed = lab.run_to(HEAL_MAX, Network::all_know_all);
    let healed_s = healed.then(|| lab.seconds_since(healing_since));
    lab.run_for(REST);
    let converged = healed && lab.net.all_know_all() && lab.net.roots_agree();
    agreed(lab, Figures { healed_s, converged, returns_planned: true, ..Figures::default() })
}

/// A long run on lossy links, and then up to a minute, with no more loss, until all know all.
pub(crate) fn loss(lab: &mut Lab<'_>) -> Figures {
    lab.settle(lab.spec.nodes, REST);
    lab.run_for(lab.spec.window(600));
    lab.net.set_loss(0);
    lab.phase("healing");
    let since = lab.net.now();
    let converged = lab.run_to(CONVERGE_MAX, Network::all_know_all);
    let healed_s = converged.then(|| lab.seconds_since(since));
    Figures { converged, healed_s, ..Figures::default() }
}

/// The node that was last found to take a victim for alive or suspect: whoever asks again asks it first.
#[derive(Default)]
pub(crate) struct Ignorant {
    node: usize,
    victim: usize,
}

impl Ignorant {
    /// Whether no running node takes any of these for alive or suspect.
    pub(crate) fn none(&mut self, net: &Network, victims: &[usize]) -> bool {
        let Some(&last) = victims.get(self.victim) else { return true };
        if knows(net, self.node, last) {
            return false;
        }
        for (which, &victim) in victims.iter().enumerate() {
            if let Some(node) = net.running().find(|&node| knows(net, node, victim)) {
                *self = Self { node, victim: which };
                return false;
            }
        }
        true
    }
}

fn knows(net: &Network, node: usize, victim: usize) -> bool {
    let member = net.node(node).and_then(|node| node.member(net.id_of(victim)));
    member.is_some_and(|member| matches!(member.state, MemberState::Alive | MemberState::Suspect))
}

/// Checks what must be true of a swarm that says it has converged.
pub(crate) fn agreed(lab: &Lab<'_>, figures: Figures) -> Figures {
    if figures.converged && lab.net.roots_agree() {
        lab.net.assert_agreement();
    }
    figures
}

/// The bare list of members: id 8, IPv4 address and port 6, state 1, incarnation 1.
const RAW_MEMBER_LEN: usize = 16;
/// A swarm that knows itself comes to rest in this time.
pub(crate) const REST: Duration = Duration::from_secs(30);
/// After this, all intervals have grown to their longest.
const REST_LONG: Duration = Duration::from_secs(120);
const HEAL_MAX: Duration = Duration::from_secs(600);
pub(crate) const CONVERGE_MAX: Duration = Duration::from_secs(60);
