//! Lives that follow one another, and the one that is left: what remains of the members before.

use core::time::Duration;

use gossip_proto::sim::{Happening, Network, Scenario, Spec, run};
use gossip_proto::{Config, MemberChange};

const SECOND: Duration = Duration::from_secs(1);

fn swarm(seed: u64, nodes: usize) -> Network {
    let mut net = Network::new(seed);
    for _ in 0..nodes {
        let node = net.add_node(Config::lan("lives"));
        if node > 0 {
            net.join(node, 0);
        }
    }
    assert!(net.run_to(30 * SECOND, |net| net.all_know_all()), "{net:?}");
    net.run_for(5 * SECOND);
    net
}

fn tags(net: &Network, observer: usize, subject: usize) -> Option<Vec<(String, String)>> {
    let member = net.node(observer)?.member(net.id_of(subject))?;
    Some(member.tags().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Neither fewer tags nor other tags with the same counter are hidden by those of the life before.
#[test]
fn tags_are_those_of_the_present_life() {
    for seed in 1..=4 {
        for after in [&[][..], &[("role", "db")], &[("a", "1"), ("b", "2")]] {
            let mut net = swarm(seed, 8);
            net.with(3, |node, now| node.set_tags(now, [("role", "web")])).unwrap();
            assert!(net.run_to(30 * SECOND, |net| (0..8).all(|i| tags(net, i, 3).unwrap().len() == 1)));
            net.restart(3);
            if !after.is_empty() {
                net.with(3, |node, now| node.set_tags(now, after.iter().copied())).unwrap();
            }
            net.join(3, 5);
            net.run_for(30 * SECOND);
            for observer in 0..8 {
                let held = tags(&net, observer, 3).unwrap();
                let held: Vec<_> = held.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                assert_eq!(held, after, "seed {seed} node {observer}");
            }
        }
    }
}

/// Whoever is left alone finds out that the others are gone, though nobody confirms it and its own health is in doubt.
#[test]
fn a_lone_survivor_counts_nobody_after_two_minutes() {
    for seed in [1, 2] {
        let mut net = swarm(seed, 200);
        (1..200).for_each(|node| net.crash(node));
        let since = net.now();
        assert!(net.run_to(120 * SECOND, |net| net.node(0).unwrap().live() == 1), "seed {seed}: {:?}", net.node(0));
        println!("seed {seed}: {:?}", net.now() - since);
    }
}

/// Every member is probed once in two intervals at least, by whoever comes before it in the order of the keys: nobody who
/// crashes goes unnoticed by chance, as one in seven would if all were probed at random. Relays have had their time 0.75 s
/// later, and a probe of the neighbor is at most two intervals away.
#[test]
fn no_crash_goes_unnoticed_for_long() {
    let mut net = swarm(5, 64);
    net.log_events(true);
    for victim in (1..64).step_by(2) {
        let (from, since) = (net.record().log().len(), net.now());
        net.crash(victim);
        let suspected = |net: &mut Network| {
            let what = Happening::Member { subject: victim, change: MemberChange::Suspected };
            net.record().log().iter().skip(from).any(|seen| seen.what == what)
        };
        assert!(net.run_to(10 * SECOND, suspected), "{victim} is not missed");
        let took = net.now() - since;
        assert!(took <= Duration::from_millis(2_800), "{victim} was first missed after {took:?}");
        net.run_for(20 * SECOND);
    }
}

/// What one member forges, once or for 10 s, in its own name or another's, makes nobody tell of a death, and everybody sees
/// everybody alive within two probe intervals.
#[test]
fn no_forged_number_kills() {
    for (nodes, seeds) in [(32, 1..=3), (64, 1..=1), (64, 7..=8)] {
        for seed in seeds {
            let mut spec = Spec::new(Scenario::Poison).nodes(nodes).seed(seed);
            spec.seconds = Some(6);
            let report = run(&spec, &mut |_| ());
            for one in report.poison.as_ref().unwrap() {
                let again = one.alive_again_s.unwrap_or(f64::INFINITY);
                assert!(one.deaths == 0 && again <= 2.0, "{one:?}: {}", spec.command());
            }
        }
    }
}

/// All but one restart at once, without memory and without a contact: the one that remembers them brings them together.
#[test]
fn whoever_remembers_brings_back_all_who_restarted() {
    for seed in 1..=6 {
        let mut net = swarm(seed, 32);
        let loss = if seed % 2 == 0 { 100_000 } else { 0 };
        net.set_loss(loss);
        (1..32).for_each(|node| net.crash(node));
        net.run_for((seed as u32 % 3) * 60 * SECOND);
        (1..32).for_each(|node| net.restart(node));
        let since = net.now();
        assert!(net.run_to(60 * SECOND, |net| net.all_know_all()), "seed {seed}: {net:?}");
        println!("seed {seed}: {:?}", net.now() - since);
    }
}
