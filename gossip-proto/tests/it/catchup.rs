//! A fresh node catches up: with everything, from several members, nothing twice, and what it wants first before the rest.

use std::time::Duration;

use gossip_proto::sim::{Faults, Happening, Latency, Network, Report, Scenario, Setup, Spec, run};
use gossip_proto::{Config, PutOptions};

const SECOND: Duration = Duration::from_secs(1);

fn report(seed: u64, keys: usize, loss_ppm: u32) -> Report {
    let mut spec = Spec::new(Scenario::CatchUp).seed(seed).loss_ppm(loss_ppm);
    spec.keys = keys;
    let report = run(&spec, &mut |_| ());
    assert!(report.converged && report.caught_up_s.is_some(), "{}", spec.command());
    report
}

#[test]
fn a_fresh_node_catches_up_at_the_speed_of_its_link() {
    for seed in 1..=5 {
        let report = report(seed, 10_000, 0);
        let (time, link) = (report.converged_s.unwrap(), report.link_s.unwrap());
        assert!(time <= 1.3 * link, "seed {seed}: {time} s, where the link takes {link} s");
        let (received, raw) = (report.received_bytes.unwrap(), report.raw_bytes.unwrap());
        assert!(received * 100 <= raw * 125, "seed {seed}: {received} B for {raw} B");
        assert!(report.critical_s.unwrap() <= 0.15, "seed {seed}: {:?} s to what comes first", report.critical_s);
        assert_eq!((report.received_again, report.suspected), (Some(0), Some(0)), "seed {seed}");
    }
}

#[test]
fn what_is_lost_is_fetched_again_and_nobody_is_suspected() {
    for (loss_ppm, limit) in [(50_000, 2.0), (200_000, 5.0)] {
        for seed in 1..=3 {
            let report = report(seed, 10_000, loss_ppm);
            let time = report.converged_s.unwrap();
            assert!(time <= limit, "seed {seed}, {loss_ppm} ppm lost: {time} s");
            let again = report.received_again.unwrap();
            // When the list of parts is lost, what came with it comes again: 64 datagrams.
            assert!(again <= 64 * 17, "seed {seed}, {loss_ppm} ppm lost: {again} entries twice");
            assert_eq!(report.false_deaths, Some(0), "seed {seed}");
        }
    }
}

fn swarm(seed: u64, nodes: usize, keys: usize) -> Network {
    let mut net = Network::new(seed);
    net.set_replay(format!("cargo test -p gossip-proto --features sim --test it catchup # seed {seed}"));
    for node in 0..nodes {
        net.add(Setup::new(Config::lan("catch up")).capacity(nodes + 4, 4_096, 1 << 20));
        if node > 0 {
            net.join(node, 0);
        }
    }
    net.run_for(10 * SECOND);
    for key in 0..keys {
        let topic = ["a", "b", "c", "d", "e"][key % 5];
        net.with(0, |node, now| node.put(now, format!("{topic}/{key}").as_bytes(), b"value", PutOptions::new()))
            .unwrap();
    }
    assert!(net.run_to(120 * SECOND, |net| net.roots_agree()), "seed {seed}");
    net.run_for(5 * SECOND);
    net
}

fn held(net: &Network, node: usize) -> usize {
    net.node(node).unwrap().scan(b"").count()
}

#[test]
fn the_event_comes_when_all_is_there_and_once() {
    let mut net = swarm(1, 4, 2_000);
    net.log_events(true);
    let fresh = net.add(Setup::new(Config::lan("catch up")).capacity(8, 4_096, 1 << 20));
    net.join(fresh, 0);
    let told = |net: &Network| {
        let log = net.record().log().iter();
        log.filter(|event| event.observer == fresh && event.what == Happening::CaughtUp).count()
    };
    assert!(net.run_to(60 * SECOND, |net| told(net) > 0));
    assert_eq!(held(&net, fresh), 2_000);
    net.with(0, |node, now| node.put(now, b"a/new", b"value", PutOptions::new())).unwrap();
    net.run_for(60 * SECOND);
    assert_eq!((told(&net), held(&net, fresh)), (1, 2_001));
}

#[test]
fn several_members_send_and_one_that_dies_is_replaced() {
    for seed in 1..=4 {
        let mut net = swarm(seed, 5, 2_000);
        net.set_faults(Faults { latency: Latency::Fixed(Duration::from_millis(25)), ..Faults::default() });
        net.reset_figures();
        let fresh = net.add(Setup::new(Config::lan("catch up")).capacity(8, 4_096, 1 << 20));
        let slow = Faults { bytes_per_second: Some(200_000), queue_len_max: 1 << 20, ..Faults::default() };
        net.set_incoming(fresh, Some(slow));
        net.join(fresh, 0);
        net.run_for(Duration::from_millis(500));
        let busy = (0..5).filter(|node| net.traffic(*node).sent_bytes > 10_000).count();
        assert!(busy >= 2, "seed {seed}: {busy} members send");
        net.crash(0);
        assert!(net.run_to(30 * SECOND, |net| held(net, fresh) == 2_000), "seed {seed}: {} held", held(&net, fresh));
    }
}

#[test]
fn what_is_not_wanted_is_not_fetched() {
    let mut net = swarm(1, 3, 2_000);
    let fresh = net.add(Setup::new(Config::lan("catch up")).capacity(8, 4_096, 1 << 20));
    net.with(fresh, |node, now| {
        node.subscribe(now, [&b"b"[..], b"d"]).unwrap();
        node.catch_up_first([&b"d"[..], b"a"]).unwrap();
    });
    net.join(fresh, 0);
    assert!(net.run_to(60 * SECOND, |net| net.node(fresh).unwrap().has_caught_up()));
    assert_eq!(held(&net, fresh), 800);
}

#[test]
fn writes_go_on_meanwhile() {
    let mut net = swarm(3, 4, 2_000);
    let fresh = net.add(Setup::new(Config::lan("catch up")).capacity(8, 4_096, 1 << 20));
    net.join(fresh, 0);
    for n in 0..100 {
        net.with(n % 4, |node, now| node.put(now, format!("a/more{n}").as_bytes(), b"value", PutOptions::new()))
            .unwrap();
        net.run_for(Duration::from_millis(10));
    }
    assert!(net.run_to(60 * SECOND, |net| net.roots_agree()));
    assert_eq!(held(&net, fresh), 2_100);
}

/// A few entries come with the first comparison, at once: no other wait stands before it.
#[test]
fn a_newcomer_holds_a_small_state_within_100_ms() {
    for (nodes, keys) in [(1, 1), (2, 5), (5, 30)] {
        for seed in 1..=20 {
            let mut net = Network::new(seed);
            for node in 0..nodes {
                net.add_node(Config::lan("newcomer"));
                net.join(node, 0);
            }
            net.run_for(5 * SECOND);
            for key in 0..keys {
                net.with(0, |node, now| node.put(now, &[key], b"value", PutOptions::new())).unwrap();
            }
            net.run_for(10 * SECOND);
            let newcomer = net.add_node(Config::lan("newcomer"));
            net.join(newcomer, 0);
            assert!(net.run_to(SECOND / 10, |net| net.roots_agree()), "{nodes} nodes, seed {seed}");
        }
    }
}
