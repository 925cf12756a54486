//! Scenarios in which nodes and links half work: each reaches its end and fills in its figures.
//!
//! Small swarms and short times; the goals themselves are checked by `sim_figures`.

use core::time::Duration;

use gossip_proto::sim::{Network, Report, Scenario, Spec, Victims, run};
use gossip_proto::{Config, MemberState};

fn report(scenario: Scenario, change: impl FnOnce(&mut Spec)) -> Report {
    let mut spec = Spec::new(scenario).nodes(24);
    change(&mut spec);
    let report = run(&spec, &mut |_| ());
    assert!(report.events > 0 && report.bytes_per_node > 0.0 && report.datagram_len_max <= 1400, "{report:?}");
    report
}

#[test]
fn several_crash_at_once() {
    let report = report(Scenario::Crash, |spec| spec.victims = Some(Victims::Percent(20)));
    assert!(report.converged && report.last_detect_s > report.first_detect_s, "{report:?}");
    assert_eq!(report.false_deaths, Some(0));
}

#[test]
fn a_split_lasts_as_long_as_it_is_told() {
    let report = report(Scenario::Split, |spec| spec.seconds = Some(120));
    assert!(report.converged && report.window_s > 150.0, "{report:?}");
}

#[test]
fn stall() {
    let report = report(Scenario::Stall, |spec| {
        (spec.victims, spec.repetitions, spec.seconds) = (Some(Victims::Count(3)), 2, Some(60));
    });
    let (blocks, detected) = report.detections.unwrap();
    // 60 s hold 3.4 turns of 17.4 s.
    assert_eq!(blocks, 2 * 4 * 3);
    assert!(detected > 0 && report.first_detect_s.is_some_and(|s| s > 1.0 && s <= 16.4), "{report:?}");
    assert!(report.fp >= report.fp_healthy && report.fp_healthy.is_some(), "{report:?}");
}

#[test]
fn oneway() {
    let report = report(Scenario::Oneway, |spec| spec.seconds = Some(120));
    assert_eq!(report.deaths_of_others, Some(0), "{report:?}");
    assert!(report.transitions_per_minute.is_some(), "{report:?}");
}

/// Who hears a suspect is itself the one that is not heard.
#[test]
fn whoever_is_not_heard_calls_nobody_dead() {
    for seed in [1, 3] {
        let report = report(Scenario::Oneway, |spec| (spec.seconds, spec.seed, spec.nodes) = (Some(600), seed, 64));
        assert_eq!(report.deaths_of_others, Some(0), "{report:?}");
    }
}

#[test]
fn flap() {
    let report = report(Scenario::Flap, |spec| spec.seconds = Some(120));
    assert!(report.converged && report.deaths_of_others.is_some(), "{report:?}");
}

#[test]
fn storm() {
    let report = report(Scenario::Storm, |spec| spec.joiners = 40);
    assert!(report.converged && report.all_know_s.is_some(), "{report:?}");
    assert!(report.contact_bytes.is_some_and(|n| n > 40 * 100) && report.contact_queue_max >= Some(40), "{report:?}");
}

/// Whoever missed the news of one is found by whom it compares with, at once: not when its turn comes to ask.
#[test]
fn after_a_storm_nobody_is_left_out_for_long() {
    for seed in [3, 5, 10] {
        let mut spec = Spec::new(Scenario::Storm).nodes(64).seed(seed);
        spec.joiners = 100;
        let report = run(&spec, &mut |_| ());
        assert!(report.all_know_s.is_some_and(|time| time <= 2.0), "{:?} s: {}", report.all_know_s, spec.command());
    }
}

#[test]
fn poison() {
    let report = report(Scenario::Poison, |spec| spec.seconds = Some(20));
    let attacks = report.poison.as_ref().unwrap();
    assert!(attacks.len() > 20 && attacks.iter().any(|one| one.views_max > 0), "{report:?}");
    assert!(attacks.iter().all(|one| one.attack != "dead, incarnation 0" || one.deaths == 0), "{report:?}");
}

#[test]
fn view() {
    let report = report(Scenario::View, |spec| {
        (spec.members, spec.seconds) = (Some(12), Some(120));
    });
    // Each of 24 is in 11 views when all tables are full.
    assert!(report.in_degree_mean.is_some_and(|mean| mean > 5.0 && mean < 11.5), "{report:?}");
    assert!(report.in_degree_min <= report.in_degree_max && report.components >= Some(1), "{report:?}");
}

#[test]
fn a_receive_buffer_holds_200_small_datagrams() {
    let mut net = Network::new(1);
    for _ in 0..2 {
        net.add_node(Config::lan("buffer"));
    }
    net.join(1, 0);
    net.run_for(Duration::from_secs(5));
    net.pause(1, Duration::from_secs(10));
    let before = *net.counts();
    let from = net.addr(0);
    for _ in 0..500 {
        net.inject(from, 1, &[0; 50], Duration::from_millis(1));
    }
    net.run_for(Duration::from_secs(11));
    let rejected = net.counts().rejected - before.rejected;
    assert!((195..=205).contains(&rejected), "{rejected}");
    assert!(net.traffic(1).inbound_max >= 500);
    assert_eq!(net.node(0).unwrap().member(net.id_of(1)).unwrap().state, MemberState::Alive);
}
