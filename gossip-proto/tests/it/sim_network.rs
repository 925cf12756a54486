//! What the virtual network does to nodes, and that they bear it.

use core::time::Duration;

use gossip_proto::sim::{Condition, Faults, Happening, Latency, Network, Setup, TraceFilter};
use gossip_proto::{Addr, Config, Event, MemberChange, MemberState, PutOptions};

const SECOND: Duration = Duration::from_secs(1);

/// A swarm of this many that knows itself.
fn swarm(seed: u64, nodes: usize) -> Network {
    let mut net = Network::new(seed);
    for _ in 0..nodes {
        let node = net.add_node(Config::lan("network"));
        if node > 0 {
            net.join(node, 0);
        }
    }
    assert!(net.run_to(30 * SECOND, |net| net.all_know_all()), "{net:?}");
    net.run_for(5 * SECOND);
    net.reset_figures();
    net
}

fn state_of(net: &Network, observer: usize, subject: usize) -> Option<MemberState> {
    net.node(observer)?.member(net.id_of(subject)).map(|member| member.state)
}

fn put(net: &mut Network, node: usize, key: &[u8], value: &[u8]) {
    net.with(node, |node, now| node.put(now, key, value, PutOptions::new())).unwrap();
}

fn holds(net: &Network, node: usize, key: &[u8], value: &[u8]) -> bool {
    net.node(node).and_then(|node| node.get(key)).is_some_and(|entry| entry.value() == value)
}

#[test]
fn a_crash_is_seen_and_a_restart_too() {
    let mut net = swarm(1, 8);
    net.crash(5);
    assert_eq!(net.condition(5), Condition::Gone);
    assert!(net.run_to(60 * SECOND, |net| (0..8).all(|i| i == 5 || state_of(net, i, 5) == Some(MemberState::Dead))));
    assert_eq!(net.record().deaths_of(5).count, 7);
    assert_eq!(net.record().members().false_deaths, 0);
    net.restart(5);
    net.join(5, 2);
    assert!(net.run_to(60 * SECOND, |net| net.all_know_all()));
    assert_eq!(net.record().members().needless_rejoins, 0);
}

#[test]
fn a_node_that_was_off_comes_back_with_its_state() {
    let mut net = swarm(2, 6);
    put(&mut net, 4, b"k", b"v");
    net.run_for(5 * SECOND);
    net.switch_off(4);
    net.run_for(60 * SECOND);
    assert_eq!(state_of(&net, 0, 4), Some(MemberState::Dead));
    put(&mut net, 0, b"k", b"w");
    net.resume(4);
    assert!(holds(&net, 4, b"k", b"v"));
    assert!(net.run_to(60 * SECOND, |net| net.all_know_all() && net.roots_agree()));
    assert!(holds(&net, 4, b"k", b"w"));
    net.assert_agreement();
}

#[test]
fn what_waits_during_a_pause_comes_after_it() {
    let mut net = swarm(3, 4);
    net.set_trace(Some(TraceFilter { node: Some(2), ..TraceFilter::default() }));
    net.pause(2, 2 * SECOND);
    let before = net.traffic(2);
    net.run_for(Duration::from_millis(1_990));
    let waiting = net.traffic(2);
    assert_eq!((waiting.sent, waiting.received), (before.sent, before.received));
    assert!(waiting.inbound_max > before.inbound_max);
    net.run_for(5 * SECOND);
    assert!(net.traffic(2).received > before.received);
    assert!(net.trace().contains("waited"), "{}", net.trace());
    assert!(net.run_to(30 * SECOND, |net| net.all_know_all()));
    assert_eq!(net.record().members().false_deaths, 0);
}

#[test]
fn a_farewell_is_no_death() {
    let mut net = swarm(4, 6);
    net.log_events(true);
    net.with(3, |node, now| node.leave(now));
    assert!(net.run_to(10 * SECOND, |net| net.condition(3) == Condition::Left));
    assert!(net.run_to(30 * SECOND, |net| net.all_know_all()));
    assert_eq!(state_of(&net, 0, 3), Some(MemberState::Left));
    let left = Happening::Member { subject: 3, change: MemberChange::Left };
    assert_eq!(net.record().log().iter().filter(|seen| seen.observer != 3 && seen.what == left).count(), 5);
}

#[test]
fn a_move_is_believed_told_or_not() {
    for tell in [true, false] {
        let mut net = swarm(5, 6);
        net.readdress(3, tell);
        assert!(
            net.run_to(60 * SECOND, |net| (0..6).all(|i| {
                net.node(i).unwrap().member(net.id_of(3)).is_some_and(|member| i == 3 || member.addr == net.addr(3))
            })),
            "told: {tell}"
        );
        assert_eq!(net.record().members().false_deaths, 0, "told: {tell}");
    }
}

#[test]
fn a_split_heals_by_itself() {
    let mut net = swarm(6, 8);
    let cut = net.split(0..3, 3..8);
    net.run_for(60 * SECOND);
    assert_eq!(net.knowing_all(), 0);
    assert!(net.record().members().excused_deaths > 0);
    assert_eq!(net.record().members().false_deaths, 0);
    put(&mut net, 0, b"side", b"left");
    put(&mut net, 7, b"side", b"right");
    net.heal(cut);
    assert!(net.run_to(120 * SECOND, |net| net.all_know_all() && net.roots_agree()));
    net.assert_agreement();
}

#[test]
fn relays_bridge_a_one_way_cut() {
    let mut net = swarm(7, 8);
    net.cut([1], [2]);
    net.run_for(120 * SECOND);
    assert!(net.all_know_all());
    assert_eq!(net.record().members().excused_deaths + net.record().members().false_deaths, 0);
}

#[test]
fn flapping_links_end_in_agreement() {
    let mut net = swarm(8, 8);
    net.flap(0..4, 4..8, 20 * SECOND, 10 * SECOND);
    for round in 0..6u8 {
        put(&mut net, usize::from(round), b"flap", &[round]);
        net.run_for(17 * SECOND);
    }
    net.heal_all();
    assert!(net.run_to(120 * SECOND, |net| net.all_know_all() && net.roots_agree()));
    net.assert_agreement();
}

#[test]
fn a_rough_network_changes_no_answer() {
    let mut net = Network::new(9);
    net.set_faults(Faults::rough());
    for index in 0..8 {
        let mut setup = Setup::new(Config::lan("network"));
        setup.drift_ppm = (index - 4) * 200;
        setup.wall_offset_micros = (index != 2).then_some(i64::from(index) * 1_000_000);
        setup.mtu = if index == 6 { 256 } else { 1400 };
        let node = net.add(setup);
        if node > 0 {
            net.join(node, 0);
        }
    }
    assert!(net.run_to(60 * SECOND, |net| net.all_know_all()));
    for round in 0..200u32 {
        put(&mut net, (round % 8) as usize, format!("key/{}", round % 20).as_bytes(), &round.to_le_bytes());
        net.run_for(Duration::from_millis(50));
    }
    assert!(net.run_to(120 * SECOND, |net| net.roots_agree()));
    net.assert_agreement();
    assert_eq!(net.counts().damaged_accepted, 0);
    assert!(net.counts().rejected > 0);
}

#[test]
fn a_thin_link_queues_and_drops_and_converges() {
    let mut net = swarm(10, 6);
    let thin = Faults { bytes_per_second: Some(2_000), queue_len_max: 4_000, ..Faults::default() };
    net.set_outgoing(5, Some(thin.clone()));
    net.set_incoming(5, Some(thin));
    for index in 0..30 {
        put(&mut net, 0, format!("bulk/{index}").as_bytes(), &[index; 200]);
    }
    assert!(net.run_to(600 * SECOND, |net| net.roots_agree()));
    net.assert_agreement();
}

#[test]
fn long_latencies_are_no_deaths() {
    let mut net = swarm(11, 8);
    let latency = Latency::LongTail { min: Duration::from_millis(20), max: 2 * SECOND };
    net.set_faults(Faults { latency, ..Faults::default() });
    net.run_for(300 * SECOND);
    assert!(net.run_to(30 * SECOND, |net| net.all_know_all()));
    assert_eq!(net.record().members().false_deaths, 0);
}

#[test]
fn garbage_is_refused_and_changes_nothing() {
    let mut net = swarm(12, 3);
    for len in 0..200u8 {
        let garbage: Vec<u8> = (0..len).map(|at| at.wrapping_mul(len) ^ 0x5a).collect();
        net.inject(Addr::new(&[1, 2]).unwrap(), usize::from(len) % 3, &garbage, Duration::from_millis(len.into()));
    }
    net.run_for(SECOND);
    assert_eq!(net.counts().rejected, 200);
    assert!(net.all_know_all());
}

#[test]
fn a_trace_can_be_read() {
    let mut net = Network::new(13);
    net.set_trace(Some(TraceFilter::default()));
    let (one, other) = (net.add_node(Config::lan("network")), net.add_node(Config::lan("network")));
    net.join(other, one);
    net.run_for(Duration::from_millis(100));
    let first = net.trace().lines().find(|line| line.contains("->")).unwrap();
    assert!(first.contains("10.0.0.1:7000 -> 10.0.0.0:7000") && first.contains(" B  in "), "{}", net.trace());
    assert!(net.trace().contains("sees 10.0.0.1:7000 Joined"), "{}", net.trace());
    let cut = net.split([0], [1]);
    net.clear_trace();
    net.run_for(5 * SECOND);
    assert!(net.trace().contains("partitioned"), "{}", net.trace());
    net.heal(cut);
}

#[test]
fn the_application_can_use_any_door() {
    let mut net = swarm(14, 3);
    let (agreeing, event) = net.with(1, |node, now| {
        assert!(now >= node.convergence().since);
        (node.convergence().agreeing, matches!(node.poll_event(), Some(Event::Lagged)))
    });
    assert_eq!((agreeing, event), (3, false));
}

#[test]
#[should_panic(expected = "node 1 is gone; SEED=0x2a replay: try again")]
fn a_failure_says_how_to_see_it_again() {
    let mut net = swarm(0x2a, 2);
    net.set_replay("try again".into());
    net.crash(1);
    net.with(1, |_, _| ());
}
