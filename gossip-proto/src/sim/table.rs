//! Tables of figures in Markdown: what a reviewer of a change to the protocol reads, as a difference.
//!
//! Knows: which scenarios make up a row. Does not know: what any of the figures should be.

use core::fmt::Write;
use core::ops::RangeInclusive;

use std::format;
use std::string::String;
use std::vec::Vec;

use super::lab::median;
use super::report::Report;
use super::scenario::{Scenario, Spec, run};
use crate::config::Config;

/// A configuration to be measured beside others.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// Its name in the table.
    pub name: &'static str,
    /// What is different in it.
    pub change: fn(&mut Config),
}

/// What membership does on lossy links, a row for each size and loss: false deaths and bytes of `seconds` in which
/// nothing happens, and how long one crash takes to be seen. Of several seeds, false deaths and rejoins are the most,
/// bytes the median, times the median and the most.
///
/// # Panics
/// When a check of the simulator fails.
#[must_use]
pub fn membership_table(
    nodes: &[usize],
    losses_ppm: &[u32],
    seconds: u64,
    seeds: RangeInclusive<u64>,
    change: fn(&mut Config),
) -> String {
    let mut table = String::from(
        "| nodes | loss | false deaths | needless rejoins | bytes per node-second | crash: first knows, s | crash: all know, s |\n\
         |--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for &nodes in nodes {
        for &loss in losses_ppm {
            let spec = |scenario| {
                let mut spec = Spec::new(scenario).nodes(nodes).loss_ppm(loss);
                change(&mut spec.config);
                spec
            };
            let mut quiet = spec(Scenario::Loss);
            quiet.seconds = Some(seconds);
            let quiet = all(&quiet, seeds.clone());
            let crash = all(&spec(Scenario::Crash), seeds.clone());
            let most = |figure: fn(&Report) -> Option<u64>| quiet.iter().filter_map(figure).max().unwrap_or(0);
            let bytes = median(&mut quiet.iter().map(|report| report.bytes_per_node_s).collect::<Vec<_>>());
            // Writing to a string does not fail.
            let _ = writeln!(
                table,
                "| {nodes} | {} % | {} | {} | {:.1} | {} | {} |",
                loss / 10_000,
                most(|report| report.false_deaths),
                most(|report| report.needless_rejoins),
                bytes.unwrap_or(0.0),
                spread_of(&crash, |report| report.first_detect_s),
                spread_of(&crash, |report| report.last_detect_s),
            );
        }
    }
    table
}

/// The experiment of the Lifeguard paper, a row for each variant: every [`Scenario::Stall`] of `stalls` for false deaths
/// and bytes, and `crash` for the time of the first detection in a swarm that is otherwise well.
///
/// Sums over all stalls and seeds, and the median of all crashes; FP are deaths of nodes that were not blocked, FP- those
/// of them told by nodes that were not blocked either. Percentages are of the first variant.
///
/// # Panics
/// When a check of the simulator fails.
#[must_use]
pub fn lifeguard_table(
    stalls: &[Spec],
    seeds: RangeInclusive<u64>,
    crash: &Spec,
    crash_seeds: RangeInclusive<u64>,
    variants: &[Variant],
) -> String {
    let mut table = String::from(
        "| variant | FP | % | FP- | % | first detection, median s | % | bytes per node-second | % |\n\
         |:--|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    let mut base = None;
    for variant in variants {
        let varied = |spec: &Spec, seeds: RangeInclusive<u64>| {
            let mut spec = spec.clone();
            (variant.change)(&mut spec.config);
            all(&spec, seeds)
        };
        let stalls: Vec<Report> = stalls.iter().flat_map(|stall| varied(stall, seeds.clone())).collect();
        let crashes = varied(crash, crash_seeds.clone());
        let sum = |figure: fn(&Report) -> Option<u64>| stalls.iter().filter_map(figure).sum::<u64>() as f64;
        let mut first: Vec<f64> = crashes.iter().filter_map(|report| report.first_detect_s).collect();
        let bytes = stalls.iter().map(|report| report.bytes_per_node_s).sum::<f64>() / stalls.len().max(1) as f64;
        let figures = [
            sum(|report| report.fp),
            sum(|report| report.fp_healthy),
            median(&mut first).unwrap_or(f64::INFINITY),
            bytes,
        ];
        let base = *base.get_or_insert(figures);
        let mut row = format!("| {} |", variant.name);
        for (at, (figure, base)) in figures.into_iter().zip(base).enumerate() {
            let digits = [0, 0, 2, 1][at];
            let percent = if base > 0.0 { format!("{:.1}", figure / base * 100.0) } else { String::from("–") };
            let _ = write!(row, " {figure:.digits$} | {percent} |");
        }
        let _ = writeln!(table, "{row}");
    }
    table
}

fn all(spec: &Spec, seeds: RangeInclusive<u64>) -> Vec<Report> {
    seeds.map(|seed| run(&spec.clone().seed(seed), &mut |_| ())).collect()
}

/// Median and most of a time, or how many runs did not get there.
fn spread_of(reports: &[Report], figure: fn(&Report) -> Option<f64>) -> String {
    let mut times: Vec<f64> = reports.iter().filter_map(figure).collect();
    let never = reports.len() - times.len();
    let Some(middle) = median(&mut times) else { return String::from("never") };
    let most = times.last().copied().unwrap_or(middle);
    let never = if never > 0 { format!(", {never} never") } else { String::new() };
    format!("{middle:.1} / {most:.1}{never}")
}
