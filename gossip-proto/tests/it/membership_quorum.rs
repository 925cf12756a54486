//! Who hears nobody is told so, and who lost the larger part of the swarm.

use core::time::Duration;

use gossip_proto::sim::{Condition, Happening, Network};
use gossip_proto::{Config, MemberChange, Quorum};

const SECOND: Duration = Duration::from_secs(1);

fn swarm(seed: u64, nodes: usize) -> Network {
    let mut net = Network::new(seed);
    for _ in 0..nodes {
        let node = net.add_node(Config::lan("quorum"));
        if node > 0 {
            net.join(node, 0);
        }
    }
    assert!(net.run_to(30 * SECOND, |net| net.all_know_all()), "{net:?}");
    net.run_for(5 * SECOND);
    net.log_events(true);
    net
}

fn quorum(net: &Network, node: usize) -> Quorum {
    net.node(node).unwrap().quorum()
}

/// What a node told of its own lot, in order.
fn told(net: &Network, node: usize) -> Vec<Happening> {
    let own = [Happening::Isolated, Happening::Reconnected, Happening::QuorumLost, Happening::QuorumRegained];
    let log = net.record().log().iter().filter(|seen| seen.observer == node && own.contains(&seen.what));
    log.map(|seen| seen.what.clone()).collect()
}

#[test]
fn both_halves_of_an_even_split_lose_the_quorum_and_regain_it() {
    for seed in 0..4 {
        let mut net = swarm(seed, 8);
        assert_eq!(quorum(&net, 3), Quorum { live: 8, remembered: 8, held: true });
        let cut = net.split(0..4, 4..8);
        net.run_for(90 * SECOND);
        for node in 0..8 {
            assert_eq!(quorum(&net, node), Quorum { live: 4, remembered: 8, held: false }, "seed {seed} node {node}");
            assert_eq!(told(&net, node), [Happening::QuorumLost], "seed {seed} node {node}");
        }
        net.heal(cut);
        assert!(net.run_to(60 * SECOND, |net| net.all_know_all()), "seed {seed}");
        net.run_for(SECOND);
        for node in 0..8 {
            assert_eq!(told(&net, node), [Happening::QuorumLost, Happening::QuorumRegained], "seed {seed} node {node}");
        }
    }
}

#[test]
fn the_larger_part_keeps_the_quorum() {
    for seed in 10..14 {
        let mut net = swarm(seed, 7);
        net.split(0..4, 4..7);
        net.run_for(90 * SECOND);
        assert_eq!(quorum(&net, 0), Quorum { live: 4, remembered: 7, held: true });
        assert_eq!(quorum(&net, 6), Quorum { live: 3, remembered: 7, held: false });
        assert!((0..4).all(|node| told(&net, node).is_empty()), "seed {seed}");
        assert!((4..7).all(|node| told(&net, node) == [Happening::QuorumLost]), "seed {seed}");
    }
}

#[test]
fn a_farewell_makes_the_swarm_smaller_and_a_death_does_not() {
    let mut net = swarm(20, 8);
    for node in 4..8 {
        net.with(node, |node, now| node.leave(now));
        assert!(net.run_to(10 * SECOND, |net| net.condition(node) == Condition::Left));
    }
    assert!(net.run_to(30 * SECOND, |net| net.all_know_all()));
    assert!((0..4).all(|node| quorum(&net, node) == Quorum { live: 4, remembered: 4, held: true }));
    net.crash(3);
    net.crash(2);
    assert!(net.run_to(60 * SECOND, |net| net.all_know_all()));
    assert_eq!(quorum(&net, 0), Quorum { live: 2, remembered: 4, held: false });
    assert_eq!(told(&net, 0), [Happening::QuorumLost]);
}

#[test]
fn the_dead_count_until_they_are_forgotten() {
    let mut net = Network::new(30);
    for _ in 0..6 {
        let node = net.add_node(Config { forget_after: 120 * SECOND, ..Config::lan("quorum") });
        if node > 0 {
            net.join(node, 0);
        }
    }
    assert!(net.run_to(30 * SECOND, |net| net.all_know_all()));
    net.log_events(true);
    for node in 3..6 {
        net.crash(node);
    }
    net.run_for(90 * SECOND);
    assert_eq!(quorum(&net, 0), Quorum { live: 3, remembered: 6, held: false });
    net.run_for(90 * SECOND);
    assert_eq!(quorum(&net, 0), Quorum { live: 3, remembered: 3, held: true });
    assert_eq!(told(&net, 0), [Happening::QuorumLost, Happening::QuorumRegained]);
}

#[test]
fn who_hears_nobody_is_told_so_once_and_when_it_is_over() {
    for seed in 40..44 {
        let mut net = swarm(seed, 8);
        let start = net.now();
        // It still sends: only what it hears counts.
        let cut = net.cut(0..7, [7]);
        assert!(net.run_to(30 * SECOND, |net| told(net, 7).contains(&Happening::Isolated)), "seed {seed}");
        let after = net.now().saturating_since(start);
        assert!((8 * SECOND..12 * SECOND).contains(&after), "seed {seed}: {after:?}");
        net.run_for(300 * SECOND);
        assert_eq!(told(&net, 7), [Happening::Isolated, Happening::QuorumLost], "seed {seed}");
        net.heal(cut);
        assert!(net.run_to(60 * SECOND, |net| net.all_know_all()), "seed {seed}");
        net.run_for(SECOND);
        let all = [Happening::Isolated, Happening::QuorumLost, Happening::Reconnected, Happening::QuorumRegained];
        assert_eq!(told(&net, 7), all, "seed {seed}");
        assert!((0..7).all(|node| told(&net, node).is_empty()), "seed {seed}");
    }
}

/// A node whose sockets are blocked for longer than a suspicion lasts hears nobody, and so kills nobody; nor is anybody
/// else told so.
#[test]
fn who_hears_nobody_kills_nobody() {
    for seed in 70..76 {
        let mut net = swarm(seed, 64);
        for _ in 0..3 {
            net.block(7, 40 * SECOND);
            net.run_for(40 * SECOND + SECOND / 250);
        }
        net.run_for(60 * SECOND);
        for seen in net.record().log() {
            let Happening::Member { subject, change } = seen.what else { continue };
            let false_death = change == MemberChange::Died && (subject != 7 || seen.observer == 7);
            assert!(!false_death, "seed {seed}: {seen:?}");
        }
        assert!(net.run_to(10 * SECOND, |net| net.all_know_all()), "seed {seed}");
    }
}

#[test]
fn the_last_of_two_is_isolated_too() {
    let mut net = swarm(50, 2);
    net.crash(1);
    net.run_for(60 * SECOND);
    let mut told = told(&net, 0);
    told.sort_by_key(|what| *what == Happening::QuorumLost);
    assert_eq!(told, [Happening::Isolated, Happening::QuorumLost]);
}

#[test]
fn who_is_left_alone_by_farewells_is_not_isolated() {
    let mut net = swarm(51, 2);
    net.with(1, |node, now| node.leave(now));
    net.run_for(300 * SECOND);
    assert_eq!(told(&net, 0), []);
    assert_eq!(quorum(&net, 0), Quorum { live: 1, remembered: 1, held: true });
}

#[test]
fn loss_isolates_nobody() {
    for seed in 60..63 {
        let mut net = swarm(seed, 16);
        net.set_loss(300_000);
        net.run_for(600 * SECOND);
        assert!((0..16).all(|node| told(&net, node).is_empty()), "seed {seed}");
    }
}
