//! Values that end, deletes that are collected, and who comes back late: what is promised, and what is beyond it.

use std::time::Duration;

use gossip_proto::sim::{Faults, Happening, Network, Scenario, Setup, Spec, run};
use gossip_proto::{
    Config, ConfigError, EntryChange, Event, Instant, Kind, Memory, Node, NodeId, PutError, PutOptions, Seed,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Random schedules, each against a model; a failure prints the command that replays it.
#[test]
fn churn_loses_nothing_and_brings_nothing_back() {
    let (mut removed, mut writes) = (0, 0);
    for seed in 1..=1000 {
        let report = run(&Spec::new(Scenario::Churn).seed(seed), &mut |_| ());
        assert!(report.converged, "gossip sim --scenario churn --seed {seed}");
        removed += report.removed.unwrap_or(0);
        writes += report.writes.unwrap_or(0);
    }
    // It is no test if nothing was ever collected.
    assert!(removed > 10_000 && writes > 30_000, "{removed} removed, {writes} writes");
}

/// A settled swarm of nodes whose clocks are up to `skew` µs off, either way.
fn swarm(seed: u64, nodes: usize, config: &Config, skew: i64) -> Network {
    let mut net = Network::new(seed);
    for node in 0..nodes {
        let mut setup = Setup::new(config.clone()).capacity(nodes + 1, 2048, 1 << 18);
        setup.wall_offset_micros = Some(skew * (node as i64 % 3 - 1));
        net.add(setup);
        if node > 0 {
            net.join(node, 0);
        }
    }
    assert!(net.run_to(60 * SECOND, Network::all_know_all));
    net
}

fn agree(net: &mut Network) {
    assert!(net.run_to(600 * SECOND, |net| net.all_know_all() && net.roots_agree()), "{:?}", net.disagreement());
}

fn put(net: &mut Network, node: usize, key: &str, ttl: Option<Duration>) {
    let options = ttl.map_or(PutOptions::new(), |ttl| PutOptions::new().ttl(ttl));
    net.with(node, |node, now| node.put(now, key.as_bytes(), b"value", options)).unwrap();
}

fn delete(net: &mut Network, node: usize, key: &str) {
    assert!(net.with(node, |node, now| node.delete(now, key.as_bytes())).unwrap(), "{key} was there");
}

fn holds(net: &Network, node: usize, key: &str) -> bool {
    net.node(node).unwrap().get(key.as_bytes()).is_some()
}

/// Bytes that all nodes send in the minutes after they have agreed on this many entries that end in the midst of them.
fn bytes_across(entries: usize, skew: i64, seed: u64) -> u64 {
    let mut net = swarm(seed, 6, &Config::lan("ttl"), skew);
    for entry in 0..entries {
        put(&mut net, entry % 6, &format!("lease/{entry}"), Some(300 * SECOND));
    }
    agree(&mut net);
    net.run_for(150 * SECOND);
    net.log_events(true);
    net.reset_figures();
    net.run_for(300 * SECOND);
    for node in 0..6 {
        let node = net.node(node).unwrap();
        assert_eq!(
            (node.scan(b"").count(), node.entries_used().0, node.stats().entries_removed),
            (0, 0, entries as u64)
        );
        assert!(node.convergence().is_converged());
    }
    let flaps = |what: &Happening| matches!(what, Happening::Diverged | Happening::Lagged);
    assert!(!net.record().log().iter().any(|seen| flaps(&seen.what)), "skew {skew}: what ends is no difference");
    net.counts().sent_bytes
}

#[test]
fn what_ends_makes_no_traffic_and_flaps_nothing() {
    for (seed, skew) in [(1, 0), (2, 500_000), (3, 900_000)] {
        let (idle, across) = (bytes_across(0, skew, seed), bytes_across(1000, skew, seed));
        // The phases of the timers differ a little between the two runs; the entries take more than 40,000 bytes.
        assert!(across.abs_diff(idle) * 100 <= idle, "{across} B with 1,000 entries that end, {idle} B without");
    }
}

/// To the second: read, listed and told until then, and not after.
#[test]
fn a_value_lives_as_long_as_it_was_given() -> Result<(), ConfigError> {
    let mut room = Memory::<4, 8, 4096>::new();
    let addr = gossip_proto::Addr::new(b"a").unwrap();
    let mut node = Node::new(NodeId(1), addr, Config::lan("ttl"), &mut room, Seed::new([1; 32]))?;
    let start = Instant::from_millis(7);
    let options = PutOptions::new().ttl(10 * SECOND);
    assert_eq!(node.put(start, b"a/k", b"v", options), Err(PutError::NoTime));
    node.handle_wall_clock(start, 1_800_000_000_000_000);
    for ttl in [Duration::ZERO, Node::TTL_MAX + SECOND] {
        let max = Node::TTL_MAX.as_secs() as u32;
        assert_eq!(node.put(start, b"a/k", b"v", options.ttl(ttl)), Err(PutError::Ttl { max }));
    }
    node.put(start, b"a/k", b"v", options).unwrap();
    assert_eq!(
        node.get(b"a/k").and_then(|entry| entry.values().next()).and_then(|value| value.ends),
        Some(1_800_000_010)
    );
    let put = Event::Entry { key: b"a/k", kind: Kind::Register, part: b"", change: EntryChange::Put, conflict: false };
    assert_eq!(node.poll_event(), Some(put));
    node.handle_timeout(start + Duration::from_micros(9_999_999));
    assert!(node.get(b"a/k").is_some() && node.scan(b"a/").count() == 1 && node.poll_event().is_none());
    let end = start + 10 * SECOND;
    assert_eq!(node.poll_timeout(), Some(end));
    node.handle_timeout(end);
    assert!(node.get(b"a/k").is_none() && node.scan(b"a/").count() == 0);
    assert_eq!(
        node.poll_event(),
        Some(Event::Entry {
            key: b"a/k",
            kind: Kind::Register,
            part: b"",
            change: EntryChange::Expired,
            conflict: false
        })
    );
    assert_eq!(node.delete(end, b"a/k"), Ok(false));
    // 1,800,000,000 is a multiple of 16.
    assert_eq!((node.entries_used().0, node.poll_timeout()), (1, Some(start + 16 * SECOND)));
    node.handle_timeout(start + 16 * SECOND);
    assert_eq!((node.entries_used().0, node.bytes_used().0, node.poll_timeout()), (0, 0, None));
    Ok(())
}

/// Without the tombstone that stays, the second node would bring back what it had not seen replaced.
#[test]
fn what_a_short_life_replaced_stays_replaced() {
    let mut net = swarm(5, 2, &Config::lan("ttl"), 0);
    put(&mut net, 0, "leader", None);
    agree(&mut net);
    let cut = net.split([0], [1]);
    put(&mut net, 0, "leader", Some(30 * SECOND));
    net.run_for(120 * SECOND);
    assert!(!holds(&net, 0, "leader") && holds(&net, 1, "leader"));
    net.heal(cut);
    agree(&mut net);
    assert!(!holds(&net, 0, "leader") && !holds(&net, 1, "leader"));
}

/// A device that was never told the time follows the others, and forgets when they do.
#[test]
fn a_node_without_a_clock_forgets_with_the_others() {
    let mut net = swarm(6, 3, &Config::lan("ttl"), 0);
    put(&mut net, 0, "lease/a", Some(400 * SECOND));
    agree(&mut net);
    net.run_for(350 * SECOND);
    // What it hears is written six minutes ago: that is not what time it is.
    let mut setup = Setup::new(Config::lan("ttl"));
    setup.wall_offset_micros = None;
    let late = net.add(setup);
    net.join(late, 0);
    agree(&mut net);
    assert!(holds(&net, late, "lease/a"));
    net.run_for(150 * SECOND);
    agree(&mut net);
    assert!((0..4).all(|node| !holds(&net, node, "lease/a") && net.node(node).unwrap().entries_used().0 == 0));
}

/// Deletes go when all have heard of them, and no sooner.
#[test]
fn a_delete_waits_for_whoever_is_away() {
    let mut config = Config::lan("floor");
    config.forget_after = 3 * HOUR;
    let mut net = swarm(7, 5, &config, 500_000);
    for key in 0..100 {
        put(&mut net, key % 5, &format!("k/{key}"), None);
    }
    agree(&mut net);
    net.run_for(3 * HOUR);
    net.switch_off(4);
    for key in 0..100 {
        delete(&mut net, key % 4, &format!("k/{key}"));
    }
    net.run_for(2 * HOUR);
    let used = |net: &Network, node| net.node(node).unwrap().entries_used().0;
    assert!((0..4).all(|node| used(&net, node) == 100), "kept for the one that is away");
    net.resume(4);
    agree(&mut net);
    net.run_for(HOUR);
    assert!((0..5).all(|node| used(&net, node) == 0 && !holds(&net, node, "k/7")), "collected");
    assert_eq!(net.node(0).unwrap().stats().zombies, 0);
}

/// Beyond the horizon: an event says so; who was away deletes what the others lack, and keeps what it has written since.
#[test]
fn beyond_the_horizon_no_write_since_the_split_is_lost() {
    let mut config = Config::lan("horizon");
    (config.horizon, config.forget_after) = (HOUR, 5 * HOUR);
    let mut net = swarm(8, 5, &config, 500_000);
    for key in 0..40 {
        put(&mut net, key % 5, &format!("k/{key}"), None);
    }
    agree(&mut net);
    net.run_for(5 * HOUR);
    let cut = net.split([4], 0..4);
    net.log_events(true);
    for key in 0..20 {
        delete(&mut net, key % 4, &format!("k/{key}"));
    }
    for key in 0..10 {
        put(&mut net, 4, &format!("since/{key}"), None);
        put(&mut net, key % 4, &format!("there/{key}"), None);
    }
    // Written where it was deleted meanwhile: a write, and it stands.
    put(&mut net, 4, "k/0", None);
    net.run_for(4 * HOUR);
    assert!(net.record().log().iter().any(|seen| seen.what == Happening::HorizonPassed && seen.observer < 4));
    assert!((0..4).all(|node| net.node(node).unwrap().entries_used().0 == 30), "collected");
    net.heal(cut);
    agree(&mut net);
    net.run_for(600 * SECOND);
    agree(&mut net);
    for node in 0..5 {
        assert!((1..20).all(|key| !holds(&net, node, &format!("k/{key}"))), "deleted, and not back");
        assert!(holds(&net, node, "k/0") && (20..40).all(|key| holds(&net, node, &format!("k/{key}"))));
        assert!(
            (0..10).all(|key| holds(&net, node, &format!("since/{key}")) && holds(&net, node, &format!("there/{key}")))
        );
    }
    assert_eq!(net.node(4).unwrap().stats().zombies, 19);
}

/// A member that was forgotten may bring back what was deleted, and what it wrote is not lost.
#[test]
fn who_was_forgotten_loses_no_write() {
    let mut config = Config::lan("forgotten");
    config.forget_after = HOUR;
    let mut net = swarm(9, 4, &config, 0);
    put(&mut net, 0, "old", None);
    agree(&mut net);
    net.run_for(2 * HOUR);
    let cut = net.split([3], 0..3);
    delete(&mut net, 0, "old");
    put(&mut net, 3, "mine", None);
    put(&mut net, 1, "ours", None);
    net.run_for(4 * HOUR);
    assert_eq!(net.node(0).unwrap().entries_used().0, 1, "the delete is collected");
    net.heal(cut);
    net.join(3, 0);
    agree(&mut net);
    assert!((0..4).all(|node| holds(&net, node, "mine") && holds(&net, node, "ours")));
}

/// A delete that hid in one half for longer than the margin still ends the value in the other, and is kept for whoever
/// comes later; a write that it had not seen stands.
#[test]
fn a_delete_that_comes_late_counts_from_then_on() {
    let mut config = Config::lan("late");
    config.forget_after = 3 * HOUR;
    let mut net = swarm(10, 4, &config, 0);
    put(&mut net, 0, "gone", None);
    put(&mut net, 0, "kept", None);
    agree(&mut net);
    net.run_for(3 * HOUR);
    let cut = net.split([0], 1..4);
    delete(&mut net, 0, "gone");
    delete(&mut net, 0, "kept");
    net.run_for(60 * SECOND);
    put(&mut net, 1, "kept", None);
    net.run_for(HOUR);
    // This one leaves with the value, before it can hear of the delete.
    net.switch_off(3);
    net.heal(cut);
    assert!(net.run_to(600 * SECOND, |net| net.roots_agree()));
    net.run_for(HOUR);
    assert!((0..3).any(|node| net.node(node).unwrap().stats().tombstones_reissued > 0));
    net.resume(3);
    agree(&mut net);
    assert!((0..4).all(|node| !holds(&net, node, "gone") && holds(&net, node, "kept")));
}

#[test]
fn loss_delays_no_floor_for_good() {
    let mut config = Config::lan("loss");
    config.forget_after = HOUR;
    let mut net = swarm(11, 6, &config, 0);
    net.set_faults(Faults::loss(300_000));
    put(&mut net, 0, "k", None);
    agree(&mut net);
    delete(&mut net, 5, "k");
    net.run_for(2 * HOUR);
    assert!((0..6).all(|node| net.node(node).unwrap().entries_used().0 == 0));
}

#[test]
fn elements_of_a_set_live_as_long_as_they_were_last_added_for() {
    for seed in 1..4 {
        let mut net = swarm(seed, 8, &Config::lan("sets"), 200_000);
        net.set_faults(Faults { loss_ppm: 200_000, ..Faults::default() });
        let add = |net: &mut Network, node: usize, element: &[u8], ttl: Option<Duration>| {
            net.with(node, |node, now| match ttl {
                Some(ttl) => node.set_add_for(now, b"set", element, ttl),
                None => node.set_add(now, b"set", element),
            })
            .unwrap();
        };
        add(&mut net, 0, b"short", Some(5 * SECOND));
        add(&mut net, 1, b"renewed", Some(5 * SECOND));
        add(&mut net, 2, b"ever", None);
        let held = |net: &Network, node: usize| {
            let mut held: Vec<_> = net.node(node).unwrap().set_members(b"set").map(<[u8]>::to_vec).collect();
            held.sort();
            held
        };
        let all = |net: &Network, expected: &[&[u8]]| (0..8).all(|node| held(net, node) == expected);
        assert!(net.run_to(4 * SECOND, |net| all(net, &[b"ever", b"renewed", b"short"])), "seed {seed}");
        add(&mut net, 3, b"renewed", Some(3_600 * SECOND));
        net.run_for(8 * SECOND);
        assert!(all(&net, &[b"ever", b"renewed"]), "seed {seed}");
        net.run_for(60 * SECOND);
        assert!(all(&net, &[b"ever", b"renewed"]) && net.roots_agree(), "seed {seed}");
    }
    let mut net = swarm(1, 2, &Config::lan("sets"), 0);
    let zero = net.with(0, |node, now| node.set_add_for(now, b"set", b"x", Duration::ZERO));
    assert!(matches!(zero, Err(PutError::Ttl { .. })), "{zero:?}");
}
