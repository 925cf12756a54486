//! Every scenario reaches its end and fills in its figures.

use gossip_proto::sim::{Progress, Report, Scenario, Spec, TraceFilter, run};

fn small(scenario: Scenario) -> Spec {
    let mut spec = Spec::new(scenario).nodes(24);
    // What waits for nothing need not run for ten minutes here.
    spec.seconds = matches!(scenario, Scenario::Idle | Scenario::Loss).then_some(60);
    spec
}

fn report(scenario: Scenario) -> Report {
    let report = run(&small(scenario), &mut |_| ());
    assert!(report.converged, "{report:?}");
    assert!(report.events > 0 && report.bytes_per_node > 0.0 && report.datagram_len_max <= 1400, "{report:?}");
    report
}

#[test]
fn cold_start() {
    let report = report(Scenario::ColdStart);
    assert!(report.all_know_s.is_some_and(|s| s > 0.0) && report.converged_s >= report.all_know_s, "{report:?}");
}

#[test]
fn newcomer() {
    let report = report(Scenario::Newcomer);
    assert!(report.all_know_s.is_some() && report.raw_list_ratio.is_some_and(|ratio| ratio > 1.0), "{report:?}");
    assert!(report.known_by_all_s >= report.all_know_s, "{report:?}");
}

#[test]
fn idle() {
    let report = report(Scenario::Idle);
    assert_eq!((report.false_deaths, report.needless_rejoins), (Some(0), Some(0)));
    assert!(report.bytes_per_node_s > 0.0 && (59.9..60.1).contains(&report.window_s), "{report:?}");
}

#[test]
fn crash() {
    let report = report(Scenario::Crash);
    assert!(
        report.first_detect_s.is_some_and(|s| s > 0.5) && report.last_detect_s >= report.first_detect_s,
        "{report:?}"
    );
    assert_eq!(report.false_deaths, Some(0));
}

#[test]
fn split() {
    let report = report(Scenario::Split);
    assert!(report.healed_s.is_some() && report.needless_rejoins.is_none(), "{report:?}");
}

#[test]
fn publish() {
    let report = report(Scenario::Publish);
    assert_eq!((report.messages, report.deliveries), (Some(120), Some(120 * 23)), "{report:?}");
    assert_eq!((report.duplicates, report.missed, report.gaps_told), (Some(0), Some(0), Some(0)), "{report:?}");
    assert!(report.joiner_s.is_some() && report.delivered_max_s < Some(10.0), "{report:?}");
}

#[test]
fn spread() {
    let report = report(Scenario::Spread);
    assert!(report.converged_s.is_some() && report.payloads_per_node.is_some_and(|n| n >= 1.0), "{report:?}");
}

#[test]
fn writers() {
    let report = report(Scenario::Writers);
    assert!(report.converged_s.is_some() && report.writes.is_some_and(|n| n > 4_000), "{report:?}");
}

#[test]
fn loss() {
    let report = run(&small(Scenario::Loss).loss_ppm(50_000), &mut |_| ());
    assert!(report.converged && report.false_deaths.is_some(), "{report:?}");
}

#[test]
fn progress_gets_phases_and_the_trace() {
    let mut spec = small(Scenario::Spread).nodes(4);
    spec.trace = Some(TraceFilter::default());
    let (mut phases, mut lines) = (Vec::new(), 0);
    let report = run(&spec, &mut |progress| match progress {
        Progress::Step { phase, .. } => phases.push(phase),
        Progress::Trace(text) => lines += text.lines().count(),
        _ => {}
    });
    phases.dedup();
    assert_eq!(phases, ["cold start", "settling", "measuring", "done"]);
    assert!(lines > 100 && report.converged);
}

#[test]
fn skew() {
    for seed in 1..4 {
        let nodes = if seed == 1 { 64 } else { 24 };
        let report = run(&small(Scenario::Skew).nodes(nodes).seed(seed), &mut |_| ());
        assert!(report.converged && report.clocks_told == Some(true), "{report:?}");
        assert!(report.converged_s < Some(10.0) && report.refused_stamps > Some(0), "{report:?}");
    }
}

/// No datagram is longer than the buffer that it is written to, in any scenario; `MTUS=128,129,… NODES=16 cargo test --release -p
/// gossip-proto --features sim --test it no_datagram_is_longer -- --nocapture` sweeps further, and prints.
#[test]
fn no_datagram_is_longer_than_its_buffer() {
    let number = |text: &str| text.parse().expect("a number");
    let mtus: Vec<u16> = std::env::var("MTUS").map_or(vec![128, 333], |mtus| mtus.split(',').map(number).collect());
    let nodes = std::env::var("NODES").map_or(8, |nodes| number(&nodes).into());
    for mtu in mtus {
        for scenario in Scenario::ALL {
            let mut spec = Spec::new(scenario).nodes(nodes).loss_ppm(50_000);
            (spec.mtu, spec.seconds, spec.repetitions, spec.joiners) = (Some(mtu), Some(20), 1, 8);
            (spec.keys, spec.value_len, spec.members) = (500, 0, (scenario == Scenario::View).then_some(6));
            if scenario == Scenario::Repair {
                spec.nodes = 2;
            }
            let report = run(&spec, &mut |_| ());
            assert!((1..=mtu.into()).contains(&report.datagram_len_max), "{}: {report:?}", spec.command());
            println!("{mtu} {scenario}: longest {}, converged {}", report.datagram_len_max, report.converged);
        }
    }
}
