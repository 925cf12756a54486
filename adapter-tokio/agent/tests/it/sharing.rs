//! What one agent is told, all know.

use std::io::Write;
use std::process::Stdio;
use std::thread;

use serde_json::{Value, json};

use crate::agents::{Agent, program, until};

#[test]
fn what_is_set_on_one_is_read_on_another() {
    let agents = Agent::swarm(3);
    assert_eq!(agents[0].run(&["set", "config/color", r#""blue""#]).exit, 0);
    agents[0].converged("3");
    for agent in &agents {
        until("the value", || agent.run(&["get", "config/color"]).out == "\"blue\"\n");
    }
    assert_eq!(agents[1].run(&["set", "config/color", "-1.5", "--urgent"]).exit, 0);
    until("the newer value", || agents[2].json(&["get", "config/color"])["value"] == json!(-1.5));
    assert_eq!(agents[2].run(&["delete", "config/color"]).exit, 0);
    until("the deletion", || agents[0].run(&["get", "config/color"]).exit == 3);
}

#[test]
fn concurrent_merges_of_different_leaves_all_survive() {
    let agents = Agent::swarm(3);
    thread::scope(|scope| {
        for (nth, agent) in agents.iter().enumerate() {
            scope.spawn(move || {
                for round in 0..5 {
                    let patch = json!({"doc": {"by": {nth.to_string(): {round.to_string(): nth}}, "list": {}}});
                    let said = agent.run(&["merge", &patch.to_string()]);
                    assert_eq!(said.exit, 0, "{said:?}");
                }
            });
        }
    });
    let rounds = |nth: i32| json!({"0": nth, "1": nth, "2": nth, "3": nth, "4": nth});
    let all = json!({"by": {"0": rounds(0), "1": rounds(1), "2": rounds(2)}, "list": {}});
    for agent in &agents {
        until("all leaves", || agent.run(&["get", "doc", "--json"]).out.contains(&all.to_string()));
        agent.converged("3");
        assert_eq!(agent.json(&["get", "doc"])["hidden"], json!([]));
    }
}

#[test]
fn a_merge_deletes_replaces_and_opens() {
    let agent = Agent::start(&[]);
    let merge = |patch: &str| agent.json(&["merge", patch]);
    assert_eq!(merge(r#"{"a":{"b":1,"c/d":[1],"":{"~":true}}}"#)["written"], json!(["a//~0", "a/b", "a/c~1d"]));
    assert_eq!(agent.json(&["get", "a"])["value"], json!({"": {"~": true}, "b": 1, "c/d": [1]}));
    assert_eq!(agent.json(&["get", "a/c~1d"])["value"], json!([1]));
    let merged = merge(r#"{"a":{"b":null,"":5},"x":{"y":null}}"#);
    assert_eq!(merged, json!({"written": ["a/"], "deleted": ["a//~0", "a/b"]}));
    assert_eq!(agent.json(&["get", ""])["value"], json!({"a": {"": 5, "c/d": [1]}}));
    assert_eq!(merge(r#"{"a":7}"#), json!({"written": ["a"], "deleted": ["a/", "a/c~1d"]}));
    agent.json(&["set", "a", r#"{"whole":{"value":1}}"#]);
    let merged = merge(r#"{"a":{"whole":{"more":2}}}"#);
    assert_eq!(merged, json!({"written": ["a/whole/more", "a/whole/value"], "deleted": ["a"]}));
    assert_eq!(merge(r#"{"a":null}"#)["deleted"], json!(["a/whole/more", "a/whole/value"]));
    assert_eq!(agent.run(&["get", "a"]).exit, 3);
    assert_eq!(agent.json(&["get", ""])["value"], json!({}));
    assert_eq!(agent.json(&["list"])["entries"], json!([]));
}

#[test]
fn a_document_may_come_from_standard_input() {
    let agent = Agent::start(&[]);
    let mut child = program().args(["merge", "-", "--control", &agent.control]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(br#"{"from": "stdin"}"#).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(agent.json(&["get", "from"])["value"], json!("stdin"));
}

#[test]
fn an_entry_keeps_its_kind() {
    let agent = Agent::start(&[]);
    assert_eq!(agent.json(&["set", "k", "1", "--kind", "siblings"]), json!({"key": "k", "kind": "siblings"}));
    assert_eq!(agent.json(&["set", "k", "2"])["kind"], json!("siblings"));
    agent.json(&["merge", r#"{"k":3}"#]);
    let entry = &agent.json(&["get", "k"])["entry"];
    assert_eq!((&entry["kind"], &entry["value"]), (&json!("siblings"), &json!(3)));
    let (exit, error) = agent.error(&["set", "k", "4", "--kind", "register"]);
    assert_eq!((exit, &error["code"]), (5, &json!("kind_mismatch")));
}

#[test]
fn a_list_is_what_begins_with_the_prefix() {
    let agent = Agent::start(&[]);
    for key in ["b", "a/2", "a/10", "ab"] {
        agent.json(&["set", key, "null"]);
    }
    let keys = |prefix: &str| -> Vec<Value> {
        let list = agent.json(&["list", prefix]);
        list["entries"].as_array().unwrap().iter().map(|entry| entry["key"].clone()).collect()
    };
    assert_eq!(keys(""), ["a/10", "a/2", "ab", "b"]);
    assert_eq!(keys("a"), ["a/10", "a/2", "ab"]);
    assert_eq!(keys("a/"), ["a/10", "a/2"]);
    assert_eq!(agent.run(&["list", "a/"]).out, "a/10 = null\na/2 = null\n");
    assert_eq!(keys("c"), [""; 0]);
}
