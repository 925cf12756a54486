//! What holds of all adapters alike: they are small, and each is tested for each behaviour of their contract.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of code of an adapter, and of its loop: what `run` goes round in.
const ADAPTER_LINES: usize = 300;
const LOOP_LINES: usize = 70;
/// Files of gossip-embassy that are no adapter but a cure of embassy-net, for any socket of a stack, and their lines.
const CURE: (&[&str], usize) = (&["neighbors.rs", "network.rs"], 350);

/// Behaviours, and the test of each; where the transport has no such thing, its adapter is named.
const CONTRACT: &[(&str, &str, &[&str])] = &[
    ("leaving completes", "the_others_see_a_farewell_and_no_death", &[]),
    ("a flood starves nothing", "garbage_starves_nothing", &[]),
    ("dropping the runner wakes who waits", "dropping_the_runner_wakes_who_waits", &[]),
    ("IPv4", "over_ipv4", &[]),
    ("IPv6", "over_ipv6", &["embassy"]),
    ("cancel-safe", "two_hundred_cancellations_lose_nothing", &[]),
    ("a clock that stands still", "a_clock_that_stands_still_stops_nothing_and_spins_nothing", &[]),
    ("a full socket", "a_datagram_that_waits_for_the_socket_survives", &[]),
    ("empty and oversized datagrams", "datagrams_of_any_length_are_taken", &[]),
    ("socket errors", "contacts_that_the_socket_cannot_reach_are_counted", &[]),
    ("a dead socket ends the loop", "a_dead_socket_ends_the_runner", &["embassy"]),
    ("no event is dropped", "being_cut_off_and_asleep_are_told", &[]),
    ("a wait says how far it came", "a_swarm_that_does_not_converge_in_time_says_how_far_it_came", &[]),
];

#[test]
fn each_adapter_is_small() {
    for name in ["tokio", "smol", "embassy"] {
        let is_cure = |path: &Path| CURE.0.iter().any(|file| path.ends_with(file));
        let (cure, own): (Vec<_>, Vec<_>) =
            sources(&adapter(name).join("src")).into_iter().partition(|(path, _)| is_cure(path));
        let lines = |files: &[(PathBuf, String)]| files.iter().map(|(_, text)| code(text)).sum::<usize>();
        let runner = &own.iter().find(|(path, _)| path.ends_with("runner.rs")).unwrap().1;
        let start = runner.find("    pub async fn run(").unwrap();
        let body = &runner[start..];
        // `run` of the adapters on hosts ends what `turns` goes round in.
        let after = body.find("    async fn turns(").unwrap_or(0);
        let turns = code(&body[..after + body[after..].find("\n    }\n").unwrap()]);
        println!("gossip-{name}: {} lines of code, {turns} of them the loop; {} of a cure", lines(&own), lines(&cure));
        assert!(lines(&own) <= ADAPTER_LINES && turns < LOOP_LINES && lines(&cure) <= CURE.1, "gossip-{name}");
    }
}

#[test]
fn each_adapter_is_tested_for_each_behaviour() {
    for name in ["tokio", "smol", "embassy"] {
        let mut files = sources(&adapter(name).join("tests/it"));
        files.extend(fs::read_to_string(adapter(name).join("src/tests.rs")).map(|text| (PathBuf::new(), text)));
        for (behaviour, test, without) in CONTRACT.iter().filter(|(_, _, without)| !without.contains(&name)) {
            let found = files.iter().any(|(_, text)| text.contains(&format!("fn {test}()")));
            assert!(found, "gossip-{name} is not tested for this: {behaviour} ({test}); {without:?} need not be");
        }
    }
}

fn adapter(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(format!("adapter-{name}"))
}

/// The files in a folder, without tests.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths
        .filter(|path| !path.ends_with("tests.rs"))
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect()
}

/// Lines that are neither empty nor comments.
fn code(text: &str) -> usize {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}
