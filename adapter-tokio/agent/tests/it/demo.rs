//! `gossip demo`: real processes, real datagrams, and nothing left behind.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

const STEPS: [&str; 7] = ["join", "writers", "merge", "kill", "partition", "heal", "leave"];

fn demo(options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gossip"));
    command.arg("demo").args(options);
    command
}

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn every_step_holds() {
    let output = demo(&["--json"]).output().expect("the program runs");
    let (stdout, stderr) = text(&output);
    assert!(output.status.success(), "{}: {stderr}\n{stdout}", output.status);
    let report: Value = serde_json::from_str(&stdout).expect("one JSON object");
    assert_eq!(report["held"], true);
    assert_eq!(report["agents"], 5);
    assert!(report["took_s"].as_f64().is_some_and(|took| took < 30.0), "{report}");
    let steps = report["steps"].as_array().expect("steps");
    assert_eq!(steps.iter().filter_map(|step| step["step"].as_str()).collect::<Vec<_>>(), STEPS);
    for step in steps {
        assert_eq!(step["held"], true, "{step}");
        assert!(step["why"].is_null(), "{step}");
        assert!(step["took_s"].is_f64() && step["converged_s"].is_f64(), "{step}");
        assert!(step["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{step}");
    }
    assert_eq!(steps[3]["figures"]["detected_s"].as_object().map(|seen| seen.len()), Some(4), "{}", steps[3]);
    assert!(steps[4]["figures"]["cut_datagrams"].as_u64().is_some_and(|cut| cut > 0), "{}", steps[4]);
    assert!(!stderr.contains('\x1b'), "colour is for terminals");
    assert!(report["switch"]["forwarded"].as_u64().is_some_and(|count| count > 100), "{report}");
    assert_eq!(pids(&stderr).len(), 5);
    for pid in pids(&stderr) {
        assert!(!runs(pid), "process {pid} is left behind");
    }
}

/// A signal ends the demo, and the demo its agents.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_leaves_nothing_behind() {
    assert_eq!(ended_by("-TERM", 100), Some(1));
}

/// Nobody is left to end the agents: they notice by themselves, say farewell, and end.
#[cfg(target_os = "linux")]
#[test]
fn a_kill_leaves_nothing_behind() {
    assert_eq!(ended_by("-KILL", 600), None);
}

/// Ends a demo in its midst, and waits so many steps of 20 ms for its agents to be gone.
#[cfg(target_os = "linux")]
fn ended_by(signal: &str, patience: u32) -> Option<i32> {
    let mut child = demo(&[]).stdout(Stdio::piped()).spawn().expect("the program runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut agents = Vec::new();
    while agents.len() < 5 {
        agents.extend(pids(&lines.next().expect("it goes on").expect("UTF-8")));
    }
    assert!(agents.iter().all(|&pid| runs(pid)));
    let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill");
    assert!(killed.success());
    lines.for_each(drop);
    let code = child.wait().expect("it ends").code();
    for pid in agents {
        for _ in 0..patience {
            if runs(pid) {
                thread::sleep(Duration::from_millis(20));
            }
        }
        assert!(!runs(pid), "process {pid} is left behind");
    }
    code
}

/// The processes that the narration names.
fn pids(narration: &str) -> Vec<u32> {
    let pid = |line: &str| line.split_once("process ")?.1.split_whitespace().next()?.parse().ok();
    narration.lines().filter(|line| line.contains(" is up: ")).filter_map(pid).collect()
}

fn runs(pid: u32) -> bool {
    // A process that has ended and that nobody has waited for yet still has an entry; it runs no more.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}
