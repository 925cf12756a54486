//! Streams of JSON, one object a line.

use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::agents::{Agent, collect, program, until};

struct Stream(Child, Arc<Mutex<String>>);

impl Stream {
    fn open(agent: &Agent, args: &[&str]) -> Self {
        let mut command = program();
        command.args(args).args(["--control", &agent.control]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let lines = collect(child.stdout.take().unwrap());
        let stream = Self(child, lines);
        until("the first line", || stream.lines().first().is_some_and(|line| line["event"] == "watching"));
        stream
    }

    fn lines(&self) -> Vec<Value> {
        self.1.lock().unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    fn sees(&self, what: &str, holds: impl Fn(&Value) -> bool) {
        until(what, || self.lines().iter().any(&holds));
    }

    fn exit(&mut self) -> i32 {
        let mut status = None;
        until("the stream to end", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.and_then(|status| status.code()).unwrap()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_watch_tells_what_changes_beneath_a_prefix() {
    let agents = Agent::swarm(2);
    let mut watch = Stream::open(&agents[0], &["watch", "a/"]);
    agents[1].json(&["set", "b", "0"]);
    agents[1].json(&["set", "a/x", "1"]);
    watch.sees("the value", |line| line["key"] == "a/x" && line["change"] == "put" && line["value"] == 1);
    agents[1].json(&["delete", "a/x"]);
    watch.sees("the deletion", |line| {
        line["key"] == "a/x" && line["change"] == "deleted" && line["value"] == Value::Null
    });
    assert!(watch.lines().iter().all(|line| line["key"] != "b"));
    assert_eq!(agents[0].run(&["leave"]).exit, 0);
    assert_eq!(watch.exit(), 0, "ends cleanly with the agent");
}

#[test]
fn events_tell_of_members_entries_and_agreement() {
    let first = Agent::start(&["--name", "first"]);
    let mut events = Stream::open(&first, &["events"]);
    let mut second = Agent::start(&["--name", "second", "--join", &first.bind]);
    events.sees("the member", |line| {
        *line == json!({"event": "member", "id": second.id, "name": "second", "addr": second.bind, "change": "joined"})
    });
    second.json(&["set", "k", "[1]"]);
    events.sees("the entry", |line| line["event"] == "entry" && line["value"] == json!([1]));
    second.run(&["leave"]);
    second.exit();
    events.sees("the farewell", |line| line["change"] == "left" && line["id"] == second.id.as_str());
    first.json(&["leave"]);
    assert_eq!(events.exit(), 0);
    assert_eq!(events.lines().last(), Some(&json!({"event": "left"})));
}

#[test]
fn a_stream_of_an_agent_that_is_killed_is_an_error() {
    let mut agent = Agent::start(&[]);
    let mut watch = Stream::open(&agent, &["watch"]);
    agent.child.kill().unwrap();
    assert_eq!(watch.exit(), 4);
}
