//! The goals of membership, measured: median and worst of some seeds, for a change to be judged by.
//!
//! `cargo test --release -p gossip-proto --features sim --test it sim_figures -- --ignored --nocapture`, with a part of
//! a name in place of `sim_figures` for one of them; `SEEDS=10` for more seeds, `NODES=64,256` for other sizes.

use std::env;
use std::time::{Duration, Instant};

use gossip_proto::sim::{Block, Report, Scenario, Spec, Victims, run};

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

fn sizes(default: &[usize]) -> Vec<usize> {
    env::var("NODES").ok().map_or(default.to_vec(), |text| text.split(',').map(|n| n.parse().unwrap()).collect())
}

/// A figure and its name.
type Column = (&'static str, fn(&Report) -> Option<f64>);

/// Runs some seeds, and prints median and worst of each figure.
#[expect(clippy::disallowed_methods, reason = "how long it takes is told beside the figures")]
fn measure(what: &str, spec: &Spec, figures: &[Column]) -> Vec<Report> {
    let start = Instant::now();
    let seeds = number("SEEDS", 3);
    let reports: Vec<_> = (1..=seeds).map(|seed| run(&spec.clone().seed(seed), &mut |_| ())).collect();
    print!("{what}:");
    for (name, figure) in figures {
        let mut held: Vec<f64> = reports.iter().filter_map(figure).collect();
        held.sort_unstable_by(f64::total_cmp);
        let never = reports.len() - held.len();
        match (held.get(held.len() / 2), held.last()) {
            (Some(middle), Some(worst)) => print!(" {name} {middle:.2} / {worst:.2}"),
            _ => print!(" {name} never"),
        }
        if never > 0 && never < reports.len() {
            print!(" ({never} never)");
        }
        print!(";");
    }
    let ended = reports.iter().filter(|report| report.converged).count();
    println!(" {ended}/{seeds} ended well; {:.1} s\n    {}", start.elapsed().as_secs_f64(), spec.command());
    reports
}

const BYTES: Column = ("B/node-s", |report| Some(report.bytes_per_node_s));
const FALSE: Column = ("false deaths", |report| count(report.false_deaths));
const REJOINS: Column = ("rejoins", |report| count(report.needless_rejoins));
const FIRST: Column = ("first", |report| report.first_detect_s);
const LAST: Column = ("all know", |report| report.last_detect_s);

fn count(figure: Option<u64>) -> Option<f64> {
    figure.map(|figure| figure as f64)
}

#[test]
#[ignore = "takes minutes"]
fn sim_figures_cold() {
    for nodes in sizes(&[64, 256, 1024]) {
        let spec = Spec::new(Scenario::ColdStart).nodes(nodes);
        measure(
            &format!("cold start, N={nodes}"),
            &spec,
            &[("all know", |report| report.all_know_s), ("B/node", |report| Some(report.bytes_per_node))],
        );
    }
}

#[test]
#[ignore = "takes minutes"]
fn sim_figures_loss() {
    for nodes in sizes(&[64, 256]) {
        for ppm in [50_000, 200_000, 400_000] {
            let spec = Spec::new(Scenario::Loss).nodes(nodes).loss_ppm(ppm);
            measure(
                &format!("loss {} %, N={nodes}", ppm / 10_000),
                &spec,
                &[
                    FALSE,
                    ("per node-day", |report| {
                        Some(report.false_deaths? as f64 / report.nodes as f64 / report.window_s * 86_400.0)
                    }),
                    REJOINS,
                    ("healed", |report| report.healed_s),
                    BYTES,
                ],
            );
        }
    }
}

#[test]
#[ignore = "takes minutes"]
fn sim_figures_crash() {
    for nodes in sizes(&[64, 256, 1024]) {
        let mut spec = Spec::new(Scenario::Crash).nodes(nodes);
        measure(&format!("crash, N={nodes}"), &spec, &[FIRST, LAST, FALSE]);
        spec.victims = Some(Victims::Percent(5));
        measure(&format!("crash of 5 %, N={nodes}"), &spec, &[FIRST, LAST, FALSE]);
    }
}

#[test]
#[ignore = "takes minutes"]
fn sim_figures_split() {
    for nodes in sizes(&[32, 64, 256]) {
        for seconds in [60, 600, number("SPLIT", 86_400)] {
            let mut spec = Spec::new(Scenario::Split).nodes(nodes);
            (spec.seconds, spec.checks) = (Some(seconds), seconds < 10_000);
            measure(&format!("split {seconds} s, N={nodes}"), &spec, &[("healed", |report| report.healed_s), BYTES]);
        }
    }
}

#[test]
#[ignore = "takes minutes"]
fn sim_figures_stall() {
    let spec = Spec::new(Scenario::Stall);
    let fp: Column = ("FP", |report| count(report.fp));
    let healthy: Column = ("FP-", |report| count(report.fp_healthy));
    let detected: Column = ("detected", |report| report.detections.map(|(all, seen)| seen as f64 / all as f64));
    measure("stall", &spec, &[fp, healthy, FIRST, detected, BYTES]);
}

#[test]
#[ignore = "takes minutes"]
fn sim_figures_matrix() {
    for block in [Block::Process, Block::Sockets] {
        for (blocked, free) in [
            (2_048, 4),
            (2_048, 64),
            (8_192, 4),
            (8_192, 64),
            (8_192, 1_024),
            (16_384, 4),
            (16_384, 64),
            (16_384, 1_024),
            (16_384, 4_096),
            (32_768, 4),
            (32_768, 1_024),
        ] {
            let mut spec = Spec::new(Scenario::Stall);
            (spec.blocked, spec.free) = (Duration::from_millis(blocked), Duration::from_millis(free));
            (spec.block, spec.repetitions) = (block, 1);
            let reports = measure(
                &format!("{block:?} {blocked} / {free}"),
                &spec,
                &[("FP", |report| count(report.fp)), ("FP-", |report| count(report.fp_healthy)), FIRST, BYTES],
            );
            drop(reports);
        }
    }
}

#[test]
#[ignore = "takes minutes"]
fn sim_figures_idle() {
    for nodes in sizes(&[8, 64, 256, 1024]) {
        measure(&format!("idle, N={nodes}"), &Spec::new(Scenario::Idle).nodes(nodes), &[BYTES, FALSE]);
    }
}

#[test]
#[ignore = "takes minutes"]
fn sim_figures_poison() {
    for nodes in sizes(&[64, 256]) {
        let mut spec = Spec::new(Scenario::Poison).nodes(nodes);
        spec.seconds = Some(number("WATCH", 30));
        let reports = measure(&format!("poison, N={nodes}"), &spec, &[("alive again", |report| report.poison_s)]);
        for (at, one) in reports[0].poison.iter().flatten().enumerate() {
            let all = reports.iter().filter_map(|report| report.poison.as_ref()?.get(at));
            let times: Vec<_> = all.clone().map(|one| one.alive_again_s).collect();
            let deaths = all.clone().map(|one| one.deaths).max().unwrap();
            let views = all.clone().map(|one| one.views_max).max().unwrap();
            let bytes = all.map(|one| one.bytes_per_node_s).fold(0.0, f64::max);
            println!(
                "    {}: alive again {times:?} s, at most {deaths} deaths, {views} views, {bytes:.0} B/node-s",
                one.attack
            );
        }
    }
}

#[test]
#[ignore = "takes minutes"]
fn sim_figures_links() {
    for nodes in sizes(&[64]) {
        for scenario in [Scenario::Oneway, Scenario::Flap] {
            let mut spec = Spec::new(scenario).nodes(nodes);
            spec.seconds = Some(3600);
            measure(
                &format!("{scenario}, N={nodes}"),
                &spec,
                &[
                    ("deaths of others", |report| count(report.deaths_of_others)),
                    ("told by the victim", |report| count(report.deaths_told_by_victims)),
                    ("transitions/min", |report| report.transitions_per_minute),
                    BYTES,
                ],
            );
        }
    }
}

#[test]
#[ignore = "takes minutes"]
fn sim_figures_storm() {
    for nodes in sizes(&[64, 256]) {
        for ppm in [0, 300_000] {
            let spec = Spec::new(Scenario::Storm).nodes(nodes).loss_ppm(ppm);
            measure(
                &format!("storm, N={nodes}, loss {} %", ppm / 10_000),
                &spec,
                &[
                    ("all know", |report| report.all_know_s),
                    ("contact, kB", |report| count(report.contact_bytes).map(|bytes| bytes / 1e3)),
                    ("queue", |report| report.contact_queue_max.map(f64::from)),
                    ("B/node", |report| Some(report.bytes_per_node)),
                ],
            );
        }
        for ppm in [0, 300_000] {
            let spec = Spec::new(Scenario::Newcomer).nodes(nodes).loss_ppm(ppm);
            measure(
                &format!("newcomer, N={nodes}, loss {} %", ppm / 10_000),
                &spec,
                &[("knows all", |report| report.all_know_s), ("known by all", |report| report.known_by_all_s)],
            );
        }
    }
}

#[test]
#[ignore = "takes minutes"]
fn sim_figures_view() {
    let view = number("VIEW", 32) as usize;
    for nodes in sizes(&[256, 1024]) {
        let mut idle = Spec::new(Scenario::Idle).nodes(nodes);
        idle.members = Some(view);
        measure(&format!("idle with a view of {view}, N={nodes}"), &idle, &[BYTES]);
        let mut spec = Spec::new(Scenario::View).nodes(nodes);
        (spec.members, spec.seconds) = (Some(view), Some(300));
        measure(
            &format!("view of {view}, N={nodes}"),
            &spec,
            &[
                ("in-degree", |report| report.in_degree_mean),
                ("min", |report| count(report.in_degree_min)),
                ("max", |report| count(report.in_degree_max)),
                ("cv", |report| report.in_degree_cv),
                ("dispersion", |report| report.in_degree_dispersion),
                ("parts", |report| count(report.components)),
                ("dead out", |report| report.dead_out_s),
                ("spread", |report| report.converged_s),
                ("after the crash", |report| report.spread_after_crash_s),
                BYTES,
            ],
        );
    }
}

#[test]
#[ignore = "takes minutes"]
fn sim_figures_huge() {
    let mut spec = Spec::new(Scenario::View).nodes(number("NODES", 10_000) as usize);
    (spec.members, spec.entries, spec.bytes) = (Some(number("VIEW", 128) as usize), 8, 4_096);
    (spec.seconds, spec.checks, spec.victims) = (Some(30), false, Some(Victims::Count(1)));
    // 30 s to settle and at most 30 s for each of a key and a crash; the wall clock is told at the end.
    measure(
        "huge, one crash",
        &spec,
        &[
            ("parts", |report| count(report.components)),
            ("dead out", |report| report.dead_out_s),
            ("spread", |report| report.converged_s),
            ("dispersion", |report| report.in_degree_dispersion),
            BYTES,
        ],
    );
}
