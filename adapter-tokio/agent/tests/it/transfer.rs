//! `export` and `import`.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::agents::{Agent, Said, program};
use crate::data::Dir;

fn import(agent: &Agent, text: &str, options: &[&str]) -> Said {
    let mut command = program();
    command.args(["import", "-", "--json", "--control", &agent.control]).args(options);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may end before it has read all.
    let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { exit: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn all_that_is_held_goes_out_and_comes_in_again() {
    let agent = Agent::start(&[]);
    agent.json(&["set", "a/b", "[1]"]);
    agent.json(&["set", "gone", "1"]);
    agent.json(&["delete", "gone"]);
    agent.json(&["set", "s", "1", "--kind", "siblings"]);
    agent.json(&["set", "t", "1", "--ttl", "1h"]);
    agent.json(&["counter", "add", "hits", "-5"]);
    agent.json(&["set", "add", "colours", "\"red\""]);
    // More than one request takes.
    let long = format!("{:?}", "x".repeat(900_000));
    let dir = Dir::new("transfer");
    fs::create_dir_all(dir.path()).unwrap();
    let file = format!("{}/long", dir.path());
    fs::write(&file, &long).unwrap();
    for n in 0..4 {
        assert_eq!(agent.run(&["set", &format!("long/{n}"), "--file", &file]).exit, 0);
    }
    let text = agent.run(&["export"]).out;
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], json!({"export": "gossip", "format": 2, "swarm": "test", "entries": lines.len() - 1}));
    let line = |key: &str| {
        let mut line = lines.iter().find(|line| line["key"] == key).unwrap().clone();
        assert!(!line["saved"].take().as_str().unwrap().is_empty());
        line
    };
    assert_eq!(line("a/b"), json!({"key": "a/b", "kind": "register", "value": [1], "saved": null}));
    assert_eq!(line("gone")["value"], Value::Null);
    assert_eq!((&line("hits")["kind"], &line("hits")["value"]), (&json!("counter"), &json!(-5)));
    let element = json!({"key": "colours", "kind": "set", "element": "red", "value": true, "saved": null});
    assert_eq!(line("colours"), element);

    let data = Dir::new("transfer-data");
    let other = Agent::start(&["--data", data.path()]);
    let said = import(&other, &text, &[]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert_eq!(serde_json::from_str::<Value>(&said.out).unwrap(), json!({"merged": lines.len() - 1, "unwanted": 0}));
    let root = agent.json(&["converged"])["root"].clone();
    assert_eq!(other.json(&["converged"])["root"], root, "every version, deleted ones too");
    assert_eq!(other.json(&["counter", "get", "hits"])["value"], -5);
    assert_eq!(import(&other, &text, &[]).exit, 0, "twice is once");
    drop(other); // SIGKILL
    let again = Agent::start(&["--data", data.path()]);
    assert_eq!(again.json(&["converged"])["root"], root, "what is answered is on disk");
    // It reaches the others, too.
    let empty = Agent::start(&["--join", &again.bind]);
    empty.converged("2");
    assert_eq!(empty.json(&["get", "a/b"])["value"], json!([1]));
}

#[test]
fn what_is_no_export_is_told_by_its_line() {
    let agent = Agent::start(&["--entries", "16", "--bytes", "65536"]);
    let (from, topic) = (Agent::start(&[]), Agent::start(&["--topic", "k0"]));
    for n in 0..4 {
        from.json(&["set", &format!("k{n}"), "1"]);
    }
    let text = from.run(&["export"]).out;
    let lines: Vec<&str> = text.lines().collect();
    let fails = |agent: &Agent, text: &str, exit: i32, code: &str, what: &str| {
        let said = import(agent, text, &[]);
        let error: Value = serde_json::from_str(&said.err).unwrap();
        assert_eq!((said.exit, &error["code"]), (exit, &json!(code)), "{error}");
        assert!(error["message"].as_str().unwrap().contains(what), "{error}");
    };
    fails(&agent, "", 2, "bad_json", "line 1 ");
    fails(&agent, "{}\n", 2, "bad_json", "line 1 ");
    fails(&agent, &format!("{}\n{}\nnonsense\n", lines[0], lines[1]), 2, "bad_json", "line 3 ");
    assert_eq!(agent.json(&["list"])["entries"].as_array().unwrap().len(), 1, "what stood before it is there");
    let damaged = lines[2].replace("\"saved\":\"", "\"saved\":\"ff");
    fails(&agent, &[lines[0], lines[1], &damaged].join("\n"), 9, "bad_data", "line 3, ");
    let damaged = lines[2].replace("\"saved\":\"", "\"saved\":\"x");
    fails(&agent, &[lines[0], lines[1], &damaged].join("\n"), 9, "bad_data", "line 3, ");
    fails(&agent, &lines[..3].join("\n"), 9, "bad_data", "2 of 4 entries");
    fails(&agent, &text.replacen("\"format\":2", "\"format\":1", 1), 9, "bad_data", "format 1");
    let elsewhere = text.replacen("\"test\"", "\"elsewhere\"", 1);
    fails(&agent, &elsewhere, 9, "bad_data", "the swarm `elsewhere`, and this agent's is `test`");
    assert_eq!(import(&agent, &elsewhere, &["--other-swarm"]).exit, 0);
    assert_eq!(agent.json(&["list"])["entries"].as_array().unwrap().len(), 4);
    let some: Value = serde_json::from_str(&import(&topic, &text, &[]).out).unwrap();
    assert_eq!(some, json!({"merged": 1, "unwanted": 3}));
    for n in 4..30 {
        from.json(&["set", &format!("k{n}"), "1"]);
    }
    fails(&agent, &from.run(&["export"]).out, 5, "entries_full", "line ");
    assert_eq!(agent.run(&["import", "/nowhere/at/all"]).exit, 2);
}
