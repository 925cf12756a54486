//! Streams of JSON, one object a line.

use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::agents::{Agent, collect, program, until};

pub(crate) struct Stream(Child, Arc<Mutex<String>>);

impl Stream {
    pub(crate) fn open(agent: &Agent, args: &[&str]) -> Self {
        let mut command = program();
        command.args(args).args(["--control", &agent.control]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let lines = collect(child.stdout.take().unwrap());
        let stream = Self(child, lines);
        until("the first line", || stream.lines().first().is_some_and(|line| line["event"] == "watching"));
        stream
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        self.1.lock().unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    pub(crate) fn sees(&self, what: &str, holds: impl Fn(&Value) -> bool) {
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
fn events_tell_of_being_cut_off() {
    let mut agents = Agent::swarm(2);
    let events = Stream::open(&agents[0], &["events"]);
    agents[1].child.kill().unwrap();
    for event in ["quorum_lost", "isolated"] {
        events.sees(event, |line| *line == json!({"event": event}));
    }
    let _third = Agent::start(&["--join", &agents[0].bind]);
    for event in ["reconnected", "quorum_regained"] {
        events.sees(event, |line| *line == json!({"event": event}));
    }
}

#[test]
fn a_stream_of_an_agent_that_is_killed_is_an_error() {
    let mut agent = Agent::start(&[]);
    let mut watch = Stream::open(&agent, &["watch"]);
    agent.child.kill().unwrap();
    assert_eq!(watch.exit(), 4);
}

#[test]
fn messages_are_watched_once_and_by_topic() {
    let agents = Agent::swarm(3);
    let mut watches: Vec<_> = agents.iter().map(|agent| Stream::open(agent, &["watch", "news"])).collect();
    let mut events = Stream::open(&agents[2], &["events"]);
    let published = agents[0].json(&["publish", "news/today", r#"{"text":"rain"}"#, "--ttl", "30s"]);
    assert_eq!(published, json!({"topic": "news/today", "origin": published["origin"], "sequence": 0}));
    agents[0].json(&["publish", "other", "1", "--urgent"]);
    agents[1].json(&["publish", "news/now", "[2]", "--urgent"]);
    let message = json!({
        "event": "message", "topic": "news/today", "origin": published["origin"], "sequence": 0, "value": {"text": "rain"}
    });
    watches[1].sees("the message", |line| *line == message);
    watches[2].sees("the message", |line| *line == message);
    watches[2].sees("another agent's", |line| line["topic"] == "news/now" && line["value"] == json!([2]));
    events.sees("what is no news", |line| line["event"] == "message" && line["topic"] == "other");
    assert!(watches[0].lines().iter().all(|line| line["origin"] != published["origin"]), "not to the agent itself");
    let late = Agent::start(&["--join", &agents[1].bind]);
    until("what lives reaches who joins", || late.json(&["info"])["stats"]["messages_new"] == 3);
    agents.iter().for_each(|agent| _ = agent.run(&["leave"]));
    watches.iter_mut().chain([&mut events]).for_each(|stream| assert_eq!(stream.exit(), 0));
    let told = |stream: &Stream| stream.lines().iter().filter(|line| line["event"] == "message").count();
    assert_eq!(watches.iter().map(told).collect::<Vec<_>>(), [1, 1, 2], "each once");
    assert_eq!(told(&events), 3);
}

#[test]
fn a_message_that_cannot_go_out_says_why() {
    let agent = Agent::start(&[]);
    let failed = |args: &[&str], exit: i32, why: &str| {
        let said = agent.run(args);
        assert!(said.exit == exit && said.err.contains(why), "{args:?}: {} {}", said.exit, said.err);
    };
    failed(&["publish", "t", "{"], 2, "no JSON");
    failed(&["publish", "t", "1", "--ttl", "25h"], 2, "24 h");
    failed(&["publish", &"t".repeat(256), "1"], 5, "255 bytes");
    failed(&["publish", "t", &format!("{:?}", "x".repeat(2_000))], 5, "together take at most");
}
