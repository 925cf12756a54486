//! Interest: who wants some topics holds those, repairs those, and agrees about those; and who is too small wants less.

use std::time::Duration;

use gossip_proto::sim::{Faults, Network, Setup};
use gossip_proto::{Config, InterestError, Node, PutError, PutOptions};

const SECOND: Duration = Duration::from_secs(1);

fn swarm(seed: u64, sizes: &[usize]) -> Network {
    let mut net = Network::new(seed);
    for (node, entries) in sizes.iter().enumerate() {
        let mut setup = Setup::new(Config::lan("interest"));
        (setup.entries, setup.bytes) = (*entries, 1 << 20);
        net.add(setup);
        if node > 0 {
            net.join(node, 0);
        }
    }
    assert!(net.run_to(60 * SECOND, |net| net.all_know_all()), "seed {seed}");
    net
}

fn put(net: &mut Network, node: usize, key: &str, value: &[u8]) {
    net.with(node, |node, now| node.put(now, key.as_bytes(), value, PutOptions::new())).unwrap();
}

fn held(net: &mut Network, node: usize, topic: &str) -> usize {
    net.with(node, |node, _| node.scan(topic.as_bytes()).count())
}

fn subscribe(net: &mut Network, node: usize, topics: &[&str]) {
    let topics = topics.iter().map(|topic| topic.as_bytes());
    net.with(node, |node, now| node.subscribe(now, topics)).unwrap();
}

fn agree(net: &mut Network, nodes: usize) -> bool {
    (0..nodes).all(|node| net.with(node, |node, _| node.convergence().is_converged()))
}

#[test]
fn each_holds_what_it_wants_and_all_agree() {
    for seed in 1..6 {
        let mut net = swarm(seed, &[1000; 9]);
        net.set_faults(Faults { loss_ppm: 100_000, duplicate_ppm: 50_000, reorder_ppm: 50_000, ..Faults::default() });
        // Three want a, three want b and c, three want all.
        (0..3).for_each(|node| subscribe(&mut net, node, &["a"]));
        (3..6).for_each(|node| subscribe(&mut net, node, &["b", "c"]));
        for nth in 0..60 {
            for (topic, writer) in [("a", 1), ("b", 4), ("c", 7), ("d", 8)] {
                put(&mut net, writer, &format!("{topic}/{nth}"), b"value");
            }
        }
        let expected = |net: &mut Network| {
            (0..9).all(|node| {
                let wanted = [!(3..6).contains(&node), node > 2, node > 2, node > 5];
                ["a/", "b/", "c/", "d/"]
                    .iter()
                    .zip(wanted)
                    .all(|(topic, wanted)| held(net, node, topic) == if wanted { 60 } else { 0 })
            })
        };
        assert!(net.run_to(120 * SECOND, expected), "seed {seed}");
        assert!(net.run_to(120 * SECOND, |net| agree(net, 9)), "seed {seed}");
        // It stays so, and sessions come to an end.
        net.set_faults(Faults::default());
        net.run_for(60 * SECOND);
        let sessions =
            |net: &mut Network| (0..9).map(|node| net.with(node, |node, _| node.stats().sessions)).sum::<u64>();
        let before = sessions(&mut net);
        net.run_for(120 * SECOND);
        assert!(expected(&mut net) && agree(&mut net, 9), "seed {seed}");
        assert_eq!(sessions(&mut net) - before, 0, "seed {seed}: sessions between nodes that agree");
    }
}

#[test]
fn what_rumors_missed_is_repaired_within_the_shared_topics() {
    let mut net = swarm(11, &[2100; 4]);
    subscribe(&mut net, 0, &["a", "b"]);
    subscribe(&mut net, 1, &["b", "c"]);
    let cut = net.split([0], [1, 2, 3]);
    for nth in 0..500 {
        put(&mut net, 0, &format!("b/left {nth}"), b"1");
        put(&mut net, 1, &format!("b/right {nth}"), b"2");
        put(&mut net, 1, &format!("c/{nth}"), b"3");
        put(&mut net, 2, &format!("d/{nth}"), b"4");
    }
    net.run_for(30 * SECOND);
    net.heal(cut);
    let done = net.run_to(60 * SECOND, |net| held(net, 0, "b/") == 1000 && held(net, 1, "b/") == 1000 && agree(net, 4));
    assert!(done, "{} and {} of 1,000", held(&mut net, 0, "b/"), held(&mut net, 1, "b/"));
    assert_eq!((held(&mut net, 0, "c/"), held(&mut net, 0, "d/"), held(&mut net, 1, "d/")), (0, 0, 0));
    assert_eq!((held(&mut net, 2, ""), held(&mut net, 3, "")), (2000, 2000));
}

#[test]
fn a_change_of_interest_pulls_and_drops() {
    let mut net = swarm(12, &[1000; 3]);
    for nth in 0..200 {
        put(&mut net, 0, &format!("a/{nth}"), b"1");
        put(&mut net, 1, &format!("b/{nth}"), b"2");
    }
    assert!(net.run_to(60 * SECOND, |net| held(net, 2, "") == 400 && agree(net, 3)));
    subscribe(&mut net, 2, &["b"]);
    assert!(net.run_to(5 * SECOND, |net| held(net, 2, "a/") == 0));
    assert_eq!(held(&mut net, 2, "b/"), 200);
    let refused = net.with(2, |node, now| node.put(now, b"a/new", b"", PutOptions::new()));
    assert_eq!(refused, Err(PutError::Unwanted));
    assert!(net.with(2, |node, _| !node.wants(b"a/1") && node.wants(b"b/1") && node.ceiling(b"b") == 32));
    net.with(2, |node, now| node.subscribe_all(now)).unwrap();
    assert!(net.run_to(60 * SECOND, |net| held(net, 2, "") == 400 && agree(net, 3)));
    let many: Vec<_> = (0..9).map(|nth: u8| vec![nth]).collect();
    let refused = net.with(2, |node, now| node.subscribe(now, many.iter().map(|topic| &topic[..])));
    assert_eq!(refused, Err(InterestError::TooManyTopics { max: Node::TOPICS_MAX }));
    // The tags that it had are still there beside the topics.
    net.with(2, |node, now| node.set_tags(now, [("role", "worker")])).unwrap();
    subscribe(&mut net, 2, &["a"]);
    let tag = |net: &mut Network| {
        let id = net.with(2, |node, _| node.id());
        net.with(0, |node, _| node.member(id).and_then(|member| member.tag("role").map(str::to_owned)))
    };
    assert!(net.run_to(10 * SECOND, |net| tag(net).as_deref() == Some("worker")));
    assert_eq!(net.with(2, |node, _| node.members().find(|m| m.id == node.id()).unwrap().tags().count()), 1);
}

#[test]
fn a_node_that_is_too_small_wants_less_and_comes_to_rest() {
    for seed in 21..24 {
        let mut net = swarm(seed, &[2000, 2000, 300]);
        for nth in 0..600 {
            put(&mut net, 0, &format!("big/{nth}"), b"1");
        }
        for nth in 0..50 {
            put(&mut net, 1, &format!("small/{nth}"), b"2");
        }
        net.run_for(120 * SECOND);
        assert!(agree(&mut net, 3), "seed {seed}: not at rest");
        let (ceiling, kept) = (net.with(2, |node, _| node.ceiling(b"big")), held(&mut net, 2, "big/"));
        assert!((5..32).contains(&ceiling) && kept > 100, "seed {seed}: ceiling {ceiling}, {kept} kept");
        // All below the ceiling is there, and nothing above.
        for nth in 0..600 {
            let key = format!("big/{nth}");
            let (wants, holds) =
                net.with(2, |node, _| (node.wants(key.as_bytes()), node.get(key.as_bytes()).is_some()));
            assert_eq!(wants, holds, "seed {seed}: {key}");
        }
        assert_eq!(held(&mut net, 2, "small/"), 50, "seed {seed}: the small topic is whole");
        let count = |net: &mut Network| {
            let sessions = (0..3).map(|node| net.with(node, |node, _| node.stats().sessions)).sum::<u64>();
            (sessions, net.with(2, |node, _| node.stats().refused_full))
        };
        let before = count(&mut net);
        net.run_for(120 * SECOND);
        assert_eq!(count(&mut net), before, "seed {seed}: still repairing");
    }
}
