//! Nodes that lack a part of the protocol, as on a microcontroller, among nodes that have it: each does what it can, and
//! all come to rest.

use std::collections::BTreeSet;
use std::time::Duration;

use gossip_proto::sim::{Faults, Happening, Latency, Network, Setup};
use gossip_proto::{Config, PublishOptions, PutOptions, Stats, Without};

const SECOND: Duration = Duration::from_secs(1);
const LARGE: Without = Without { large: true, catchup: false, messages: false };
const CATCHUP: Without = Without { large: false, catchup: true, messages: false };
const MESSAGES: Without = Without { large: false, catchup: false, messages: true };
const ALL: Without = Without { large: true, catchup: true, messages: true };

/// A swarm of nodes of which the first `bare` lack something, and the others nothing.
fn swarm(seed: u64, nodes: usize, bare: usize, without: Without) -> Network {
    let mut net = Network::new(seed);
    net.set_replay(format!("cargo test -p gossip-proto --features sim --test it parts # seed {seed}"));
    net.set_faults(Faults { latency: Latency::Fixed(Duration::from_millis(25)), ..Faults::default() });
    for node in 0..nodes {
        add(&mut net, if node < bare { without } else { Without::default() });
        if node > 0 {
            net.join(node, 0);
        }
    }
    assert!(net.run_to(60 * SECOND, |net| net.all_know_all() && net.roots_agree()), "seed {seed}");
    net.log_events(true);
    net.run_for(60 * SECOND);
    net
}

fn add(net: &mut Network, without: Without) -> usize {
    let value_len_max = if without.large { 0 } else { 20_000 };
    let config = Config { value_len_max, without, ..Config::lan("parts") };
    net.add(Setup::new(config).capacity(16, 4_096, 1 << 20))
}

fn put(net: &mut Network, node: usize, key: &str, value: &[u8]) {
    net.with(node, |node, now| node.put(now, key.as_bytes(), value, PutOptions::new())).unwrap();
}

fn holds(net: &Network, node: usize, key: &str) -> bool {
    net.node(node).is_some_and(|node| node.get(key.as_bytes()).is_some())
}

fn stats(net: &Network, node: usize) -> Stats {
    *net.node(node).unwrap().stats()
}

/// Bytes that all send, and questions that they ask, in so long.
fn spent(net: &mut Network, time: Duration) -> (u64, u64) {
    let asked = |net: &Network| net.running().map(|node| stats(net, node).sessions).sum::<u64>();
    let before = asked(net);
    net.reset_figures();
    net.run_for(time);
    (net.counts().sent_bytes, asked(net) - before)
}

/// Which nodes were told of a message.
fn told(net: &Network) -> BTreeSet<usize> {
    let log = net.record().log().iter().filter(|seen| matches!(seen.what, Happening::Message { .. }));
    log.map(|seen| seen.observer).collect()
}

#[test]
fn messages_reach_those_who_take_them_and_trouble_no_others() {
    for (seed, bare) in [(1, 2), (2, 4), (3, 6)] {
        let mut net = swarm(seed, 8, bare, MESSAGES);
        let (idle, asked) = spent(&mut net, 300 * SECOND);
        for n in 0..24u8 {
            let options = PublishOptions::new().ttl(Duration::from_secs(3_600));
            // Small ones go whole, and of large ones a window.
            let bytes = vec![n; if n % 2 == 0 { 8 } else { 200 }];
            net.with(bare + usize::from(n) % (8 - bare), |node, now| node.publish(now, b"t", &bytes, options)).unwrap();
            net.run_for(SECOND);
        }
        let late = add(&mut net, Without::default());
        net.join(late, 0);
        // Few take messages, and digests of what was missed go in quiet rounds alone, to one member each.
        let all = |net: &mut Network| (bare..=late).all(|node| net.node(node).unwrap().messages_used().0 == 24);
        assert!(net.run_to(600 * SECOND, all), "seed {seed}");
        assert_eq!(told(&net), (bare..=late).collect(), "seed {seed}");
        for node in 0..bare {
            let (stats, held) = (stats(&net, node), net.node(node).unwrap());
            assert_eq!((held.messages_used().0, held.entries_used().0, stats.messages_new), (0, 0, 0), "node {node}");
            assert!(stats.refused_message > 0, "seed {seed}: node {node}");
        }
        let (live, asking) = spent(&mut net, 300 * SECOND);
        eprintln!(
            "{bare} of 8 without messages: {idle} B and {asked} questions idle, {live} B and {asking} with messages"
        );
        // One node more; and a digest more in each quiet round, of those who have messages.
        assert!(live < idle * 3 / 2, "seed {seed}: {live} bytes against {idle}");
        assert!(asking <= asked + 8, "seed {seed}: {asking} questions against {asked}");
        assert!(net.all_know_all() && net.roots_agree(), "seed {seed}");
    }
}

#[test]
fn large_values_are_refused_where_they_cannot_be_held() {
    for (seed, bare) in [(1, 1), (2, 3)] {
        let mut net = swarm(seed, 6, bare, LARGE);
        put(&mut net, 5, "large", &[7; 20_000]);
        put(&mut net, 5, "small", b"v");
        let had = |net: &mut Network| (bare..6).all(|node| holds(net, node, "large"));
        assert!(net.run_to(60 * SECOND, had), "seed {seed}");
        assert!(net.run_to(60 * SECOND, |net| (0..6).all(|node| holds(net, node, "small"))), "seed {seed}");
        let refused = |net: &mut Network| (0..bare).all(|node| stats(net, node).pulls_refused > 0);
        assert!(net.run_to(60 * SECOND, refused), "seed {seed}");
        for node in 0..bare {
            let stats = stats(&net, node);
            assert!(stats.pulls == 0 && stats.bytes_in < 40_000, "seed {seed}: {stats:?}");
        }
        net.run_for(1200 * SECOND);
        let (bytes, asked) = spent(&mut net, 3600 * SECOND);
        eprintln!("{bare} of 6 without large values: {asked} questions in an hour, {} B/s", bytes / 3600);
        // Six sessions in an hour at each node, of some 13 questions.
        assert!(asked < 6 * 120, "seed {seed}: {asked} questions");
        put(&mut net, 0, "small", b"w");
        let news = |net: &mut Network| {
            (0..6).all(|node| net.node(node).unwrap().get(b"small").is_some_and(|entry| entry.value() == b"w"))
        };
        assert!(net.run_to(5 * SECOND, news), "seed {seed}");
    }
}

/// A fresh node asks whoever took it in; where that one serves nobody, another one does, or else they compare.
#[test]
fn who_is_turned_away_fetches_elsewhere_or_compares() {
    for (seed, nodes, bare) in [(1, 1, 1), (2, 4, 4), (3, 4, 2), (4, 4, 1), (5, 4, 0)] {
        let mut net = swarm(seed, nodes, bare, CATCHUP);
        for key in 0..2_000 {
            put(&mut net, 0, &format!("{}/{key}", key % 5), b"value");
        }
        assert!(net.run_to(120 * SECOND, |net| net.roots_agree()), "seed {seed}");
        net.run_for(5 * SECOND);
        net.reset_figures();
        let fresh = add(&mut net, Without::default());
        let begun = net.now();
        net.join(fresh, 0);
        let all = |net: &mut Network| net.node(fresh).unwrap().scan(b"").count() == 2_000;
        assert!(net.run_to(60 * SECOND, all), "seed {seed}");
        let took = net.now() - begun;
        assert!(net.run_to(10 * SECOND, |net| net.node(fresh).unwrap().has_caught_up()), "seed {seed}");
        eprintln!("{bare} of {nodes} serve nobody: {took:?}, {} B", net.counts().sent_bytes);
        // Some round trips of 50 ms each.
        assert!(took < SECOND, "seed {seed}: {took:?}");
    }
}

/// One that lacks everything joins a swarm that uses everything, and has what it can have.
#[test]
fn a_bare_node_joins_a_full_swarm() {
    let mut net = swarm(1, 5, 0, ALL);
    for key in 0..200 {
        put(&mut net, 1, &format!("a/{key}"), b"value");
    }
    put(&mut net, 2, "large", &[7; 20_000]);
    net.with(3, |node, now| node.publish(now, b"t", b"message", PublishOptions::new())).unwrap();
    assert!(net.run_to(60 * SECOND, |net| net.roots_agree()));
    let bare = add(&mut net, ALL);
    net.join(bare, 0);
    assert!(net.run_to(20 * SECOND, |net| net.node(bare).unwrap().scan(b"a/").count() == 200));
    net.run_for(60 * SECOND);
    assert!(!holds(&net, bare, "large") && !told(&net).contains(&bare));
    let refused = net.with(bare, |node, now| node.publish(now, b"t", b"message", PublishOptions::new()));
    assert!(refused.is_err());
    // What it writes itself is everybody's.
    put(&mut net, bare, "a/own", b"value");
    assert!(net.run_to(5 * SECOND, |net| (0..5).all(|node| holds(net, node, "a/own"))));
}
