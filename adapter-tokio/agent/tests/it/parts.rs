//! Counters, sets, and the greatest and the least: what many write and nobody overwrites.

use serde_json::{Value, json};

use crate::agents::{Agent, until};
use crate::data::Dir;

#[test]
fn all_count_together() {
    let agents = Agent::swarm(2);
    assert_eq!(agents[0].json(&["counter", "add", "hits", "5"]), json!({"key": "hits", "value": 5}));
    agents[1].json(&["counter", "add", "hits", "-2"]);
    agents.iter().for_each(|agent| agent.converged("2"));
    for agent in &agents {
        until("both parts", || agent.json(&["counter", "get", "hits"])["value"] == 3);
        let listed = json!([{"key": "hits", "value": 3, "kind": "counter", "values": []}]);
        assert_eq!(agent.json(&["list"])["entries"], listed);
    }
    assert_eq!(agents[0].run(&["get", "hits"]).exit, 3, "an entry with the key of a counter is another thing");
    agents[0].json(&["set", "hits", "true"]);
    assert_eq!(agents[0].json(&["get", ""])["value"], json!({"hits": true}));
    assert_eq!(agents[1].json(&["counter", "delete", "hits"]), json!({"key": "hits"}));
    until("the delete", || agents[0].run(&["counter", "get", "hits"]).exit == 3);
    assert_eq!(agents[0].json(&["counter", "add", "hits", "1"])["value"], 1);
    assert_eq!(agents[0].error(&["counter", "delete", "none"]).1["code"], "not_found");
    assert_eq!(agents[0].error(&["counter", "add", "hits", "x"]).0, 2);
}

#[test]
fn elements_are_added_and_removed() {
    let agents = Agent::swarm(2);
    let added = agents[0].json(&["set", "add", "colours", "\"red\""]);
    assert_eq!(added, json!({"key": "colours", "element": "red"}));
    agents[1].json(&["set", "add", "colours", r#"{"b": 1,"a" : 2}"#]);
    agents[1].json(&["set", "add", "colours", "-5"]);
    let all = json!({"key": "colours", "elements": ["red", -5, {"a": 2, "b": 1}]});
    for agent in &agents {
        until("all three", || {
            let said = agent.run(&["elements", "colours", "--json"]);
            said.exit == 0 && serde_json::from_str::<Value>(&said.out).unwrap() == all
        });
    }
    // The same element, however it is written.
    agents[0].json(&["set", "remove", "colours", r#"{"a":2, "b":1}"#]);
    agents[0].json(&["set", "remove", "colours", "-5"]);
    until("one is left", || agents[1].json(&["elements", "colours"])["elements"] == json!(["red"]));
    assert_eq!(agents[1].run(&["elements", "colours"]).out, "\"red\"\n");
    let fails = |args: &[&str], exit: i32, code: &str| {
        let (got, error) = agents[1].error(args);
        assert_eq!((got, &error["code"]), (exit, &json!(code)), "{args:?}: {error}");
    };
    fails(&["set", "remove", "colours", "-5"], 3, "not_found");
    fails(&["elements", "none"], 3, "not_found");
    fails(&["set", "frob", "colours", "1"], 2, "usage");
    fails(&["set", "add", "colours", "red"], 2, "bad_json");
    fails(&["set", "add", "colours", &format!("{:?}", "x".repeat(300))], 5, "key_too_long");
    // Keys are free: two words are an entry.
    agents[0].json(&["set", "add", "1"]);
    assert_eq!(agents[0].json(&["get", "add"])["value"], 1);
}

#[test]
fn the_greatest_and_the_least_are_kept() {
    let agent = Agent::start(&[]);
    for (value, greatest) in [("9", 9), ("10", 10), ("2", 10)] {
        agent.json(&["set", "top", value, "--kind", "max"]);
        assert_eq!(agent.json(&["get", "top"])["value"], greatest);
    }
    for (value, least) in [("10", 10), ("9", 9), ("18446744073709551615", 9)] {
        agent.json(&["set", "low", value, "--kind", "min"]);
        assert_eq!(agent.json(&["get", "low"])["value"], least);
    }
    agent.json(&["merge", r#"{"top": 3}"#]);
    assert_eq!(agent.json(&["get", "top"])["entry"]["kind"], "max");
    assert_eq!(agent.json(&["get", "top"])["value"], 10);
    for wrong in ["-1", "1.5"] {
        let (exit, error) = agent.error(&["set", "top", wrong]);
        assert!(exit == 2 && error["message"].as_str().unwrap().contains("`top`"), "{error}");
    }
    assert_eq!(agent.error(&["set", "new", "1", "--kind", "counter"]).0, 2);
}

#[test]
fn counters_and_sets_survive_a_kill() {
    let dir = Dir::new("parts");
    let other = Agent::start(&[]);
    let kept = Agent::start(&["--data", dir.path(), "--join", &other.bind]);
    kept.converged("2");
    other.json(&["counter", "add", "hits", "4"]);
    other.json(&["set", "add", "colours", "1"]);
    until("what the other wrote", || {
        kept.run(&["counter", "get", "hits"]).exit == 0 && kept.run(&["elements", "colours"]).exit == 0
    });
    kept.json(&["counter", "add", "hits", "3"]);
    kept.json(&["counter", "add", "gone", "3"]);
    kept.json(&["counter", "delete", "gone"]);
    kept.json(&["set", "add", "colours", "2"]);
    kept.json(&["set", "add", "colours", "3"]);
    kept.json(&["set", "remove", "colours", "3"]);
    kept.converged("2");
    let root = kept.json(&["converged"])["root"].clone();
    drop((other, kept)); // SIGKILL
    for life in 0..2 {
        let again = Agent::start(&["--data", dir.path()]);
        assert_eq!(again.json(&["converged"])["root"], root, "life {life}");
        assert_eq!(again.json(&["counter", "get", "hits"])["value"], 7);
        assert_eq!(again.run(&["counter", "get", "gone"]).exit, 3);
        assert_eq!(again.json(&["elements", "colours"])["elements"], json!([1, 2]));
    }
}
