//! Members that say that they sleep, and what happens while they do.

use core::time::Duration;

use gossip_proto::sim::{Condition, Happening, Network};
use gossip_proto::{Config, MemberChange, MemberState, Node, PutOptions, SleepError};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn swarm(seed: u64, nodes: usize) -> Network {
    let mut net = Network::new(seed);
    for _ in 0..nodes {
        let node = net.add_node(Config::lan("sleep"));
        if node > 0 {
            net.join(node, 0);
        }
    }
    assert!(net.run_to(30 * SECOND, |net| net.all_know_all()), "{net:?}");
    net.run_for(5 * SECOND);
    net.reset_figures();
    net.log_events(true);
    net
}

fn put(net: &mut Network, node: usize, key: &[u8], value: &[u8]) {
    net.with(node, |node, now| node.put(now, key, value, PutOptions::new())).unwrap();
}

/// Puts a node to sleep and switches its device off as soon as the announcement has gone out.
fn lull(net: &mut Network, node: usize, time: Duration) {
    net.with(node, |node, now| node.sleep(now, time)).unwrap();
    let asleep = |net: &mut Network| {
        net.record().log().iter().any(|seen| seen.observer == node && seen.what == Happening::Asleep)
    };
    assert!(net.run_to(SECOND, asleep), "the announcement takes less than a second");
    net.switch_off(node);
}

/// Switches the device on; the application says at once that it is awake.
fn rouse(net: &mut Network, node: usize) {
    net.resume(node);
    net.with(node, |node, now| node.wake(now));
}

fn asleep_at(net: &Network, observer: usize, subject: usize) -> bool {
    net.node(observer).unwrap().member(net.id_of(subject)).is_some_and(|member| member.asleep.is_some())
}

fn accused(net: &Network, subject: usize) -> usize {
    let accusations = [MemberChange::Suspected, MemberChange::Died].map(|change| Happening::Member { subject, change });
    net.record().log().iter().filter(|seen| accusations.contains(&seen.what)).count()
}

#[test]
fn a_sleeper_is_neither_probed_nor_suspected_and_misses_nothing() {
    for (seed, loss) in [(1, 0), (2, 0), (3, 100_000), (4, 200_000)] {
        let mut net = swarm(seed, 8);
        net.set_loss(loss);
        lull(&mut net, 5, 10 * MINUTE);
        net.run_for(5 * SECOND);
        assert!((0..8).all(|node| node == 5 || asleep_at(&net, node, 5)), "seed {seed}: all know that it sleeps");
        let before = net.counts().sent;
        for index in 0..20u8 {
            put(&mut net, usize::from(index) % 4, &[b'k', index], &[index]);
        }
        net.with(6, |node, now| node.leave(now));
        net.crash(7);
        let newcomer = net.add_node(Config::lan("sleep"));
        net.join(newcomer, 0);
        net.run_for(9 * MINUTE);
        assert!(net.counts().sent > before);
        assert_eq!(accused(&net, 5), 0, "seed {seed}");

        rouse(&mut net, 5);
        let start = net.now();
        let knows = |net: &mut Network| {
            let node = net.node(5).unwrap();
            let state = |index| node.member(net.id_of(index)).map(|member| member.state);
            (0..20u8).all(|index| node.get(&[b'k', index]).is_some_and(|entry| entry.value() == [index]))
                && state(newcomer) == Some(MemberState::Alive)
                // What is said of others at second hand is a suspicion first.
                && [6, 7].into_iter().all(|gone| state(gone) != Some(MemberState::Alive))
        };
        assert!(net.run_to(5 * SECOND, knows), "seed {seed}: {:?}", net.node(5).unwrap().members().collect::<Vec<_>>());
        let after = net.now().saturating_since(start);
        let limit = if loss == 0 { SECOND / 5 } else { 5 * SECOND };
        assert!(after < limit, "seed {seed}: what was missed came after {after:?}");
        assert!(net.run_to(30 * SECOND, |net| (0..5).all(|node| !asleep_at(net, node, 5))), "seed {seed}");
        assert!(net.run_to(30 * SECOND, |net| net.all_know_all() && net.roots_agree()), "seed {seed}");
        assert_eq!(accused(&net, 5), 0, "seed {seed}");
        assert_eq!(net.record().members().false_deaths, 0);
    }
}

#[test]
fn nothing_is_sent_to_who_sleeps() {
    let mut net = swarm(5, 6);
    net.with(3, |node, now| node.sleep(now, 10 * MINUTE)).unwrap();
    net.run_for(5 * SECOND);
    let before = net.traffic(3);
    for index in 0..10u8 {
        put(&mut net, 0, &[index], b"value");
        net.run_for(30 * SECOND);
    }
    assert_eq!(net.traffic(3), before);
}

#[test]
fn who_does_not_wake_is_found_dead_after_its_time() {
    for seed in 10..14 {
        let mut net = swarm(seed, 8);
        let start = net.now();
        lull(&mut net, 2, 5 * MINUTE);
        net.crash(2);
        net.run_for(5 * MINUTE);
        assert_eq!(accused(&net, 2), 0, "seed {seed}");
        assert!(net.run_to(2 * MINUTE, |net| net.record().deaths_of(2).count == 7), "seed {seed}");
        let last = net.record().deaths_of(2).last.unwrap().saturating_since(start);
        assert!(last < 6 * MINUTE, "seed {seed}: {last:?}");
    }
}

#[test]
fn a_node_wakes_by_itself_when_its_time_is_over() {
    let mut net = swarm(20, 4);
    net.with(1, |node, now| node.sleep(now, 30 * SECOND)).unwrap();
    net.run_for(29 * SECOND);
    assert!(net.node(1).unwrap().asleep().is_some() && asleep_at(&net, 0, 1));
    net.run_for(3 * SECOND);
    assert!(net.node(1).unwrap().asleep().is_none());
    assert!((0..4).all(|node| !asleep_at(&net, node, 1)));
    assert_eq!(accused(&net, 1), 0);
}

#[test]
fn a_slow_clock_oversleeps_and_is_not_suspected() {
    for seed in 24..27 {
        let mut net = swarm(seed, 6);
        net.set_drift(2, -20_000);
        lull(&mut net, 2, 10 * MINUTE);
        net.run_for(10 * MINUTE);
        net.resume(2);
        net.run_for(30 * SECOND);
        assert!(net.node(2).unwrap().asleep().is_none(), "seed {seed}: it woke by itself, 12 s late");
        assert_eq!(accused(&net, 2), 0, "seed {seed}");
    }
}

#[test]
fn writes_of_a_sleeper_wait_and_are_not_lost() {
    let mut net = swarm(21, 5);
    lull(&mut net, 4, MINUTE);
    net.run_for(10 * SECOND);
    net.resume(4);
    put(&mut net, 4, b"measured", b"42");
    net.run_for(10 * SECOND);
    assert!(net.node(0).unwrap().get(b"measured").is_none());
    net.with(4, |node, now| node.wake(now));
    assert!(net.run_to(2 * SECOND, |net| (0..5).all(|node| net.node(node).unwrap().get(b"measured").is_some())));
}

#[test]
fn most_of_a_swarm_may_sleep() {
    let mut net = swarm(22, 10);
    for node in 2..10 {
        lull(&mut net, node, 20 * MINUTE);
    }
    net.run_for(15 * MINUTE);
    assert_eq!((2..10).map(|node| accused(&net, node)).sum::<usize>(), 0);
    assert!(net.node(0).unwrap().quorum().held);
    put(&mut net, 0, b"news", b"for all");
    for node in 2..10 {
        rouse(&mut net, node);
    }
    assert!(net.run_to(10 * SECOND, |net| net.all_know_all() && net.roots_agree()));
    assert_eq!(net.record().members().false_deaths, 0);
}

#[test]
fn the_only_other_member_asleep_is_no_isolation() {
    let mut net = swarm(23, 2);
    lull(&mut net, 1, 20 * MINUTE);
    net.run_for(15 * MINUTE);
    assert_eq!(accused(&net, 1), 0);
    assert!(!net.record().log().iter().any(|seen| seen.what == Happening::Isolated));
    rouse(&mut net, 1);
    assert!(net.run_to(5 * SECOND, |net| !asleep_at(net, 0, 1)));
}

#[test]
fn a_sleeper_that_was_suspected_is_excused() {
    // Nobody but node 1 hears the announcement, and node 1 not from whom.
    for seed in 30..34 {
        let mut net = swarm(seed, 6);
        let cut = net.cut([0], 2..6);
        net.with(0, |node, now| node.sleep(now, 10 * MINUTE)).unwrap();
        let other = net.cut([1], 2..6);
        net.run_for(SECOND);
        net.switch_off(0);
        net.run_for(2 * SECOND);
        net.heal(cut);
        net.heal(other);
        net.run_for(9 * MINUTE);
        for node in 1..6 {
            let member = net.node(node).unwrap().member(net.id_of(0)).unwrap();
            assert_eq!(member.state, MemberState::Alive, "seed {seed}");
            assert!(member.asleep.is_some());
        }
        assert_eq!(net.record().deaths_of(0).count, 0, "seed {seed}");
    }
}

#[test]
fn a_sleep_has_a_limit() {
    let mut net = swarm(40, 2);
    let refused = net.with(0, |node, now| node.sleep(now, Node::SLEEP_MAX + SECOND));
    assert_eq!(refused, Err(SleepError::TooLong { max: Node::SLEEP_MAX }));
    assert_eq!(refused.unwrap_err().to_string(), "a node sleeps for at most 86400 s");
    net.with(0, |node, now| node.leave(now));
    assert!(net.run_to(5 * SECOND, |net| net.condition(0) == Condition::Left));
    assert_eq!(net.with(0, |node, now| node.sleep(now, SECOND)), Err(SleepError::Left));
}
