//! What a value is beside its bytes: how long it lives, who wrote it, what it stands beside; and who holds it.

use serde_json::{Value, json};

use crate::agents::{Agent, until};
use crate::streams::Stream;

#[test]
fn what_has_a_lifetime_expires_everywhere_and_is_told() {
    let agents = Agent::swarm(2);
    let watch = Stream::open(&agents[1], &["watch", "t/"]);
    agents[0].json(&["set", "t/short", "1", "--ttl", "2s"]);
    agents[0].json(&["set", "t/long", "2", "--ttl", "1h"]);
    agents[0].json(&["set", "t/ever", "3"]);
    watch.sees("the value", |line| line["key"] == "t/short" && line["change"] == "put");
    let ends = |key: &str| agents[0].json(&["get", key])["entry"]["values"][0]["ends_unix_s"].clone();
    let stamp = agents[0].json(&["get", "t/long"])["entry"]["values"][0]["stamp_us"].as_u64().unwrap();
    let left = ends("t/long").as_u64().unwrap() as i64 - (stamp / 1_000_000) as i64;
    assert!((3599..=3602).contains(&left), "{left}");
    assert_eq!(ends("t/ever"), Value::Null);
    watch.sees("the end", |line| {
        line["key"] == "t/short" && line["change"] == "expired" && line["value"] == Value::Null
    });
    agents.iter().for_each(|agent| until("no such entry", || agent.run(&["get", "t/short"]).exit == 3));
    assert_eq!(agents[1].json(&["get", "t/long"])["value"], 2);
    agents[0].json(&["set", "add", "t/set", "1", "--ttl", "2s"]);
    agents[0].json(&["set", "add", "t/set", "2"]);
    let elements = |agent: &Agent| agent.json(&["elements", "t/set"])["elements"].clone();
    agents.iter().for_each(|agent| until("both", || elements(agent) == json!([1, 2])));
    agents.iter().for_each(|agent| until("one is over", || elements(agent) == json!([2])));
    for wrong in [
        &["set", "t/none", "1", "--ttl", "0s"][..],
        &["set", "t/max", "1", "--kind", "max", "--ttl", "5s"],
        &["set", "remove", "t/set", "2", "--ttl", "5s"],
    ] {
        let (exit, error) = agents[0].error(wrong);
        assert_eq!((exit, &error["code"]), (2, &json!("usage")), "{error}");
    }
}

#[test]
fn siblings_are_read_and_resolved() {
    // Two that cannot know of each other, and a third that joins both.
    let (one, two) = (Agent::start(&[]), Agent::start(&[]));
    one.json(&["set", "s", "1", "--kind", "siblings"]);
    two.json(&["set", "s", "2", "--kind", "siblings"]);
    two.json(&["set", "s/beneath", "3"]);
    assert_eq!(one.error(&["resolve", "s", "9"]).1["code"], "nothing_to_resolve");
    assert_eq!(one.error(&["resolve", "none", "9"]).0, 3);
    let third = Agent::start(&["--join", &one.bind, "--join", &two.bind]);
    third.converged("3");
    until("both values", || third.json(&["get", "s", "--meta"])["entry"]["values"].as_array().unwrap().len() == 2);
    let meta = third.json(&["get", "s", "--meta"]);
    assert_eq!(meta["entry"]["kind"], "siblings");
    let values = meta["entry"]["values"].as_array().unwrap();
    assert!(values[0]["writer"] != values[1]["writer"] && values.iter().all(|value| value["stamp_us"].is_u64()));
    assert!(third.json(&["get", "s"])["entry"].is_null(), "without --meta it is the document");
    let words = third.run(&["get", "s", "--meta"]).out;
    assert!(
        words.starts_with("s: siblings, 1 siblings\nVALUE") && words.contains(values[1]["writer"].as_str().unwrap())
    );
    let done = third.json(&["resolve", "s", "12", "--wait", "all", "--timeout", "60s"]);
    assert_eq!(done, json!({"key": "s", "resolved": 2, "holders": {"confirmed": 3, "live": 3}}));
    for agent in [&one, &two, &third] {
        let meta = agent.json(&["get", "s", "--meta"]);
        assert_eq!((&meta["value"], meta["entry"]["values"].as_array().unwrap().len()), (&json!(12), 1), "{meta}");
    }
    assert_eq!(third.error(&["resolve", "s", "9"]).1["code"], "nothing_to_resolve");
}

#[test]
fn a_write_waits_for_its_holders() {
    let mut agents = Agent::swarm(3);
    let all = ["--wait", "all", "--timeout", "60s"];
    let everybody = json!({"confirmed": 3, "live": 3});
    let holders = |args: &[&str]| agents[0].json(&[args, &all].concat())["holders"].clone();
    assert_eq!(holders(&["set", "k", "1"]), everybody);
    for agent in &agents[1..] {
        assert_eq!(agent.json(&["get", "k"])["value"], 1, "who confirmed has it");
    }
    // Parts of a counter and elements of a set are waited for too, and what is deleted of many parts.
    assert_eq!(holders(&["counter", "add", "c", "1"]), everybody);
    assert_eq!(agents[2].json(&["counter", "get", "c"])["value"], 1);
    assert_eq!(holders(&["set", "add", "s", "1"]), everybody);
    assert_eq!(holders(&["set", "remove", "s", "1"]), everybody);
    assert_eq!(holders(&["counter", "add", "gone", "1"]), everybody);
    assert_eq!(holders(&["counter", "delete", "gone"]), everybody);
    assert_eq!(holders(&["set", "top", "1", "--kind", "max"]), everybody);
    assert_eq!(holders(&["delete", "k"]), everybody);
    assert!(agents[1..].iter().all(|agent| agent.run(&["get", "k"]).exit == 3));
    let two = agents[0].json(&["set", "k", "2", "--wait", "2", "--timeout", "60s"]);
    assert!(two["holders"]["confirmed"].as_u64() >= Some(2), "{two}");
    assert_eq!(agents[0].json(&["set", "k", "3"]), json!({"key": "k", "kind": "register"}), "nobody asked");
    // More than there are, and then less than there were.
    for args in [&["set", "k", "4"][..], &["counter", "add", "c", "1"], &["delete", "k"]] {
        let (exit, error) = agents[0].error(&[args, &["--wait", "4", "--timeout", "1s"]].concat());
        assert_eq!((exit, &error["code"]), (6, &json!("not_held")), "{error}");
        assert!(error["message"].as_str().unwrap().contains("of 3 live members"), "{error}");
    }
    assert_eq!(agents[0].json(&["counter", "get", "c"])["value"], 2, "it is written all the same");
    agents[2].child.kill().unwrap();
    agents[2].child.wait().unwrap();
    let (exit, error) = agents[0].error(&["set", "k", "5", "--wait", "3", "--timeout", "1s"]);
    assert!(exit == 6 && error["message"].as_str().unwrap().contains("3 were waited for"), "{error}");
    assert_eq!(agents[0].error(&["set", "k", "5", "--wait", "0"]).0, 2);
    assert_eq!(agents[0].error(&["set", "k", "5", "--timeout", "1s"]).0, 2);
    // Receipts are closed again: there are only a few.
    for n in 0..20 {
        agents[0].json(&["set", "k", &n.to_string(), "--wait", "2", "--timeout", "60s"]);
    }
}
