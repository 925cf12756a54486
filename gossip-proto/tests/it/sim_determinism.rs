//! One seed, one run.

use core::time::Duration;

use gossip_proto::sim::{Counts, Faults, Network, Scenario, Setup, Spec, TraceFilter, run};
use gossip_proto::{Config, Instant, PutOptions};

/// A run with a bit of everything that the network can do.
fn eventful(seed: u64, prepare: impl FnOnce(&mut Network)) -> (u64, Counts) {
    let mut net = Network::new(seed);
    net.set_faults(Faults::rough());
    prepare(&mut net);
    for index in 0..12 {
        let mut setup = Setup::new(Config::lan("determinism"));
        setup.drift_ppm = index * 10;
        let node = net.add(setup);
        if node > 0 {
            net.join(node, 0);
        }
    }
    net.at(Instant::from_millis(5_000), |net| net.pause(3, Duration::from_secs(4)));
    net.at(Instant::from_millis(6_000), |net| net.crash(4));
    net.at(Instant::from_millis(7_000), |net| {
        net.with(5, |node, now| node.put(now, b"a/key", b"value", PutOptions::new())).unwrap();
    });
    net.at(Instant::from_millis(9_000), |net| {
        net.restart(4);
        net.join(4, 1);
    });
    net.run_for(Duration::from_secs(30));
    (net.trace_hash(), *net.counts())
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let first = eventful(1, |_| ());
    // `.ci/run widths` compares it between targets.
    println!("trace of eventful: {:016x}", first.0);
    assert_eq!(first, eventful(1, |_| ()));
    assert_ne!(first.0, eventful(2, |_| ()).0);
}

#[test]
fn looking_changes_nothing() {
    let unseen = eventful(3, |net| net.set_checks(false));
    let seen = eventful(3, |net| {
        net.log_events(true);
        net.set_trace(Some(TraceFilter::default()));
    });
    assert_eq!(unseen, seen);
}

#[test]
fn scenarios_replay_too() {
    let report = |scenario, seed| run(&Spec::new(scenario).nodes(12).loss_ppm(50_000).seed(seed), &mut |_| ());
    for scenario in [Scenario::Spread, Scenario::Writers] {
        let first = report(scenario, 1);
        println!("trace of {scenario:?}: {:?}", first.trace_hash);
        assert_eq!(first, report(scenario, 1));
        assert_ne!(first.trace_hash, report(scenario, 2).trace_hash);
    }
}
