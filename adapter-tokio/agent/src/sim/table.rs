//! Reports as tables for people: one run as a list of figures, many as median and worst.
//!
//! Knows: which figures there are, and their units. Does not know: what they should be.

use std::fmt::Write;

use gossip_proto::sim::Report;

/// A single run.
pub(super) fn one(report: &Report) -> String {
    let mut text = heading(report, &format!("seed {}", report.seed));
    let figures = FIGURES.iter().filter_map(|&(name, unit, get)| Some((name, unit, get(report)?)));
    for (name, unit, value) in figures {
        let line = format!("  {name:<24} {:>14} {unit}", number(value));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = writeln!(text, "  {:<24} {:>14}", "trace_hash", report.trace_hash);
    let _ = writeln!(text, "{}", if report.converged { "reached its end" } else { "did NOT reach its end in time" });
    text
}

/// All runs: what half of them stayed below, the worst, and the seed that shows it again.
pub(super) fn many(reports: &[Report], runs: u64) -> String {
    let (Some(first), Some(last)) = (reports.first(), reports.last()) else { return String::new() };
    let mut text = heading(first, &format!("seeds {} to {}", first.seed, last.seed));
    let _ = writeln!(text, "  {:<24} {:>14} {:>14}  {:<17} worst seed", "figure", "median", "worst", "unit");
    for &(name, unit, get) in FIGURES {
        let mut values: Vec<(f64, u64)> = reports.iter().filter_map(|r| Some((get(r)?, r.seed))).collect();
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let Some(&(worst, seed)) = values.last() else { continue };
        let median = number(values[values.len() / 2].0);
        let missing = match reports.len() - values.len() {
            0 => String::new(),
            without => format!("  ({without} without)"),
        };
        let _ = writeln!(text, "  {name:<24} {median:>14} {:>14}  {unit:<17} {seed}{missing}", number(worst));
    }
    let reached = reports.iter().filter(|report| report.converged).count();
    let _ = writeln!(text, "{reached} of {runs} runs reached their end");
    for report in reports.iter().filter(|report| !report.converged) {
        let _ = writeln!(text, "  seed {} did NOT", report.seed);
    }
    text
}

fn heading(report: &Report, seeds: &str) -> String {
    format!("{} · {} nodes · loss {} · {seeds}\n", report.scenario, report.nodes, report.loss)
}

/// As many decimals as a figure of this size deserves.
fn number(value: f64) -> String {
    match value {
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        ..1.0 => format!("{value:.4}"),
        ..100.0 => format!("{value:.3}"),
        _ => format!("{value:.1}"),
    }
}

type Figure = (&'static str, &'static str, fn(&Report) -> Option<f64>);

const FIGURES: &[Figure] = &[
    ("all_know_s", "s", |r| r.all_know_s),
    ("known_by_all_s", "s", |r| r.known_by_all_s),
    ("first_detect_s", "s", |r| r.first_detect_s),
    ("last_detect_s", "s", |r| r.last_detect_s),
    ("healed_s", "s", |r| r.healed_s),
    ("converged_s", "s", |r| r.converged_s),
    ("bytes_per_node_s", "B per node-second", |r| Some(r.bytes_per_node_s)),
    ("datagrams_per_node_s", "per node-second", |r| Some(r.datagrams_per_node_s)),
    ("bytes_per_node", "B per node", |r| Some(r.bytes_per_node)),
    ("raw_list_ratio", "x", |r| r.raw_list_ratio),
    ("messages", "", |r| r.messages.map(|n| n as f64)),
    ("deliveries", "", |r| r.deliveries.map(|n| n as f64)),
    ("duplicates", "", |r| r.duplicates.map(|n| n as f64)),
    ("missed", "", |r| r.missed.map(|n| n as f64)),
    ("gaps_told", "", |r| r.gaps_told.map(|n| n as f64)),
    ("delivered_median_s", "s", |r| r.delivered_median_s),
    ("delivered_p99_s", "s", |r| r.delivered_p99_s),
    ("delivered_max_s", "s", |r| r.delivered_max_s),
    ("joiner_s", "s", |r| r.joiner_s),
    ("payloads_per_node", "per node", |r| r.payloads_per_node),
    ("datagram_len_max", "B", |r| Some(r.datagram_len_max as f64)),
    ("repair_bytes", "B without entries", |r| r.repair_bytes.map(|n| n as f64)),
    ("repair_bytes_with_versions", "B", |r| r.repair_bytes_with_versions.map(|n| n as f64)),
    ("repair_messages", "one way", |r| r.repair_messages.map(f64::from)),
    ("repair_datagrams", "", |r| r.repair_datagrams.map(|n| n as f64)),
    ("repair_entries", "", |r| r.repair_entries.map(|n| n as f64)),
    ("false_deaths", "", |r| r.false_deaths.map(|n| n as f64)),
    ("healthy_false_deaths", "", |r| r.healthy_false_deaths.map(|n| n as f64)),
    ("needless_rejoins", "", |r| r.needless_rejoins.map(|n| n as f64)),
    ("refutations", "", |r| Some(r.refutations as f64)),
    ("rejected", "datagrams", |r| Some(r.rejected as f64)),
    ("writes", "", |r| r.writes.map(|n| n as f64)),
    ("removed", "", |r| r.removed.map(|n| n as f64)),
    ("conflicts", "", |r| r.conflicts.map(|n| n as f64)),
    ("window_s", "s", |r| Some(r.window_s)),
    ("virtual_s", "s", |r| Some(r.virtual_s)),
    ("events", "", |r| Some(r.events as f64)),
    ("wall_s", "s", |r| Some(r.wall_s)),
];
