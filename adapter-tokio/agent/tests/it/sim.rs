//! `gossip sim`: its JSON, its exit codes, and that a seed is a run.

use std::process::{Command, Output};

use serde_json::Value;

/// What the schema promises, in order; more may follow.
const KEYS: &[&str] = &[
    "scenario",
    "nodes",
    "loss",
    "seed",
    "virtual_s",
    "wall_s",
    "events",
    "datagrams_per_node_s",
    "bytes_per_node_s",
    "bytes_per_node",
    "datagram_len_max",
    "all_know_s",
    "first_detect_s",
    "last_detect_s",
    "false_deaths",
    "needless_rejoins",
    "healed_s",
    "converged_s",
    "payloads_per_node",
    "converged",
    "trace_hash",
];

/// The figures that must not be null, per scenario.
const FIGURES: &[(&str, &[&str])] = &[
    ("cold-start", &["all_know_s", "converged_s"]),
    ("newcomer", &["all_know_s", "raw_list_ratio", "known_by_all_s"]),
    ("idle", &[]),
    ("crash", &["first_detect_s", "last_detect_s"]),
    ("split", &["healed_s"]),
    ("spread", &["converged_s", "payloads_per_node"]),
    ("writers", &["converged_s", "writes"]),
    ("loss", &[]),
    ("stall", &["fp", "fp_healthy"]),
    ("oneway", &["deaths_of_others"]),
    ("flap", &["deaths_of_others", "transitions_per_minute"]),
    ("storm", &["all_know_s", "contact_bytes"]),
    ("poison", &["poison_s"]),
    ("view", &["in_degree_mean", "dead_out_s"]),
    (
        "repair",
        &["repair_bytes", "repair_bytes_with_versions", "repair_messages", "repair_datagrams", "repair_entries"],
    ),
    ("churn", &["converged_s", "writes", "conflicts", "removed"]),
    ("publish", &["messages", "deliveries", "duplicates", "missed", "gaps_told", "delivered_max_s", "joiner_s"]),
    ("skew", &["converged_s", "healed_s", "refused_stamps"]),
    (
        "catch-up",
        &[
            "converged_s",
            "critical_s",
            "caught_up_s",
            "link_s",
            "received_bytes",
            "raw_bytes",
            "content_bytes",
            "received_again",
            "suspected",
        ],
    ),
];

fn sim(options: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gossip"));
    command.arg("sim").args(options.split_whitespace()).output().expect("the program runs")
}

/// The objects that a run which must succeed prints, a line each.
fn reports(options: &str) -> Vec<Value> {
    let output = sim(options);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{options}: {}: {errors}", output.status);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

/// The error that a command prints as the last line of standard error.
fn failure(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = errors.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{errors}: {error}"))
}

#[test]
fn json_has_the_documented_keys() {
    for &(scenario, figures) in FIGURES {
        let output = sim(&format!("--scenario {scenario} --nodes 8 --seconds 60 --json"));
        assert!(output.status.success(), "{scenario}: {}", output.status);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        // As text, since parsed objects forget their order.
        let places: Vec<_> = KEYS.iter().map(|key| text.find(&format!("\"{key}\":"))).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{scenario}: {text}");
        let report: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(report["scenario"], *scenario);
        assert_eq!(report["nodes"], 8);
        assert_eq!(report["converged"], true);
        assert!(report["wall_s"].as_f64().is_some_and(|wall| wall > 0.0), "{text}");
        assert!(report["trace_hash"].as_str().is_some_and(|hash| hash.len() == 16), "{text}");
        for figure in figures {
            assert!(!report[figure].is_null(), "{scenario} has no {figure}: {text}");
        }
    }
}

#[test]
fn a_seed_is_a_run() {
    let hash = |options: &str| reports(options)[0]["trace_hash"].clone();
    let one = hash("--scenario writers --nodes 6 --loss 0.05 --seed 7 --json");
    assert_eq!(one, hash("--scenario writers --nodes 6 --loss 5% --seed 0x7 --no-checks --json"));
    assert_ne!(one, hash("--scenario writers --nodes 6 --loss 0.05 --seed 8 --json"));
}

#[test]
fn many_runs_are_a_line_each_or_a_table() {
    let lines = reports("--scenario spread --nodes 5 --seed 3 --runs 4 --json");
    let seeds: Vec<_> = lines.iter().map(|report| report["seed"].as_u64()).collect();
    assert_eq!(seeds, [Some(3), Some(4), Some(5), Some(6)]);
    assert_eq!(lines[1]["trace_hash"], reports("--scenario spread --nodes 5 --seed 4 --json")[0]["trace_hash"]);

    let table = String::from_utf8(sim("--scenario spread --nodes 5 --seed 3 --runs 4").stdout).expect("UTF-8");
    for says in ["seeds 3 to 6", "median", "worst", "converged_s", "4 of 4 runs reached their end"] {
        assert!(table.contains(says), "no {says:?} in {table}");
    }
}

#[test]
fn options_reach_the_nodes() {
    let usual = &reports("--scenario idle --nodes 6 --json")[0];
    let quick = &reports("--scenario idle --nodes 6 --probe-interval 200ms --json")[0];
    let rate = |report: &Value| report["datagrams_per_node_s"].as_f64().expect("a figure");
    assert!(rate(quick) > 3.0 * rate(usual), "{usual} {quick}");
    let small = &reports("--scenario cold-start --nodes 40 --mtu 300 --json")[0];
    assert!(small["datagram_len_max"].as_u64().is_some_and(|len| len <= 300), "{small}");
    let modes = ["push", "pull", "push-pull"].map(|mode| {
        let options = format!("--scenario spread --nodes 16 --value-len 900 --mode {mode} --json");
        reports(&options)[0]["payloads_per_node"].as_f64().expect("a figure")
    });
    assert!(modes[0] > modes[1], "push sends more copies than pull: {modes:?}");
}

#[test]
fn scenarios_are_listed() {
    let list = reports("--list --json");
    let names: Vec<_> = list.iter().filter_map(|line| line["scenario"].as_str()).collect();
    assert_eq!(names, FIGURES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    assert!(list.iter().all(|line| line["what"].as_str().is_some_and(|what| what.len() > 10)));
}

#[test]
fn what_makes_no_sense_is_refused_with_a_hint() {
    let wrong = [
        "--scenario nowhere",
        "",
        "--scenario idle --nodes 1",
        "--scenario idle --nodes 65536",
        "--scenario idle --loss 2",
        "--scenario idle --fanout 0",
        "--scenario idle --interval 5",
        "--scenario idle --runs 0",
        "--scenario idle --trace /nowhere/at/all",
    ];
    for options in wrong {
        let output = sim(&format!("{options} --json"));
        assert_eq!(output.status.code(), Some(2), "{options}: {output:?}");
        assert!(output.stdout.is_empty(), "{options}: {output:?}");
        let failure = failure(&output);
        assert_eq!(failure["code"], "usage", "{options}");
        for field in ["message", "hint"] {
            assert!(failure[field].as_str().is_some_and(|text| !text.is_empty()), "{options}: {failure}");
        }
    }
    let people = sim("--scenario cold-stat");
    assert_eq!(people.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&people.stderr).contains("'cold-start'"), "{people:?}");
}

#[test]
fn a_run_that_does_not_end_is_no_success() {
    let output = sim("--scenario spread --nodes 6 --seconds 0 --json");
    let report: Value = serde_json::from_slice(&output.stdout).expect("the report is printed all the same");
    assert_eq!(report["converged"], false);
    assert_eq!(output.status.code(), Some(6));
    assert_eq!(failure(&output)["code"], "not_converged");
    assert!(failure(&output)["hint"].as_str().is_some_and(|hint| hint.contains("gossip sim --scenario spread")));
}

#[test]
fn a_broken_check_says_how_to_see_it_again() {
    // Tables that are too small for what the writers write.
    let output = sim("--scenario writers --nodes 6 --entries 4 --runs 2 --json");
    assert_eq!(output.status.code(), Some(1));
    let failure = failure(&output);
    let replay = "gossip sim --scenario writers --nodes 6 --loss 0 --seed 1 --entries 4";
    assert!(failure["hint"].as_str().is_some_and(|hint| hint.ends_with(replay)), "{failure}");
    assert!(failure["message"].as_str().is_some_and(|what| what.starts_with("2 of 2 runs")), "{failure}");
}

#[test]
fn the_trace_can_be_read() {
    let path = std::env::temp_dir().join(format!("gossip-trace-{}", std::process::id()));
    let trace = format!("--scenario cold-start --nodes 3 --trace {} --trace-node 1 --json", path.display());
    let report = &reports(&trace)[0];
    let text = std::fs::read_to_string(&path).expect("a trace");
    std::fs::remove_file(&path).expect("it was written");
    assert!(text.lines().count() > 3 && text.ends_with('\n'), "{text}");
    assert!(text.contains("10.0.0.1:7000 -> 10.0.0.0:7000"), "{text}");
    assert_eq!(report["trace_hash"], reports("--scenario cold-start --nodes 3 --json")[0]["trace_hash"]);
}
