//! The control port against web pages and strangers, in raw HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::agents::{Agent, PATIENCE, run};

/// Sends a request head and body, and gives the status and the code of the error.
fn ask(agent: &Agent, head: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(&agent.control).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let len = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    stream.write_all(format!("{}\r\n{len}connection: close\r\n\r\n{body}", head.trim_end()).as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer}"));
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    let code = serde_json::from_str::<Value>(body).ok().and_then(|error| Some(error["code"].as_str()?.to_owned()));
    (status, code.unwrap_or_default())
}

fn get(agent: &Agent, headers: &str) -> (u16, String) {
    ask(agent, &format!("GET /v1/info HTTP/1.1\r\n{headers}"), "")
}

fn set(agent: &Agent, headers: &str) -> (u16, String) {
    ask(agent, &format!("POST /v1/set HTTP/1.1\r\nhost: localhost\r\n{headers}"), r#"{"key":"k","value":1}"#)
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.into())
}

#[test]
fn a_foreign_page_cannot_forge_a_request() {
    let agent = Agent::start(&[]);
    let host = format!("host: {}\r\n", agent.control);
    assert_eq!(get(&agent, &host), is(200, ""));
    assert_eq!(get(&agent, "host: localhost"), is(200, ""));
    assert_eq!(get(&agent, "host: rebound.example:80"), is(403, "forbidden"), "DNS rebinding");
    assert_eq!(get(&agent, &format!("{host}origin: http://evil.example")), is(403, "forbidden"));
    assert_eq!(get(&agent, &format!("{host}origin: null")), is(403, "forbidden"));
    assert_eq!(get(&agent, &format!("{host}origin: http://{}", agent.control)), is(200, ""));
    assert_eq!(get(&agent, &format!("{host}sec-fetch-site: cross-site")), is(403, "forbidden"));
    assert_eq!(get(&agent, &format!("{host}sec-fetch-site: same-site")), is(403, "forbidden"));
    assert_eq!(get(&agent, &format!("{host}sec-fetch-site: same-origin")), is(200, ""));
    assert_eq!(set(&agent, "content-type: text/plain"), is(403, "forbidden"), "what a form can send");
    assert_eq!(set(&agent, ""), is(403, "forbidden"));
    assert_eq!(agent.run(&["get", "k"]).exit, 3, "none of these wrote");
    assert_eq!(set(&agent, "content-type: application/json"), is(200, ""));
    assert_eq!(agent.run(&["get", "k"]).exit, 0);
    let preflight = ask(&agent, &format!("OPTIONS /v1/set HTTP/1.1\r\n{host}origin: http://evil.example"), "");
    assert_eq!(preflight, is(403, "forbidden"));
    for change in ["delete", "merge", "leave"] {
        let head = format!("POST /v1/{change} HTTP/1.1\r\n{host}content-type: text/plain");
        assert_eq!(ask(&agent, &head, "{}"), is(403, "forbidden"), "{change}");
        let head = format!("GET /v1/{change} HTTP/1.1\r\n{host}");
        assert_eq!(ask(&agent, &head, ""), is(404, "usage"), "{change} is nothing to be had by a link");
    }
    assert_eq!(agent.run(&["info"]).exit, 0);
}

#[test]
fn a_token_is_asked_for_where_one_is_set() {
    let agent = Agent::start(&["--token", "open-sesame"]);
    for (args, exit) in
        [(&["info"][..], 7), (&["info", "--token", "wrong"], 7), (&["info", "--token", "open-sesame"], 0)]
    {
        assert_eq!(agent.run(args).exit, exit, "{args:?}");
    }
    let (exit, error) = agent.error(&["set", "k", "1"]);
    assert_eq!((exit, &error["code"]), (7, &Value::from("unauthorized")));
    assert_eq!(agent.error(&["watch"]).0, 7);
    assert_eq!(get(&agent, "host: localhost"), is(401, "unauthorized"));
    assert_eq!(get(&agent, "host: localhost\r\nauthorization: Bearer open-sesame"), is(200, ""));
    assert_eq!(get(&agent, "host: rebound.example\r\nauthorization: Bearer open-sesame"), is(403, "forbidden"));
}

#[test]
fn other_machines_need_a_token() {
    let said = run(&["agent", "--swarm", "s", "--bind", "127.0.0.1:0", "--control", "0.0.0.0:0", "--json"]);
    assert!(said.exit == 2 && said.err.contains("token_required"), "{said:?}");
    let agent = Agent::start(&["--control", "0.0.0.0:0", "--token", "t"]);
    let control = agent.control.replace("0.0.0.0", "127.0.0.1");
    assert_eq!(run(&["info", "--control", &control, "--token", "t"]).exit, 0);
    assert_eq!(run(&["info", "--control", &control]).exit, 7);
}

#[test]
fn requests_and_streams_are_bounded() {
    let agent = Agent::start(&[]);
    let head = "POST /v1/merge HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json";
    let too_long = format!(r#"{{"document":{{"a":"{}"}}}}"#, "x".repeat(4 << 20));
    let declared = format!("{head}\r\ncontent-length: {}", too_long.len());
    assert_eq!(ask(&agent, &declared, "").0, 413);
    assert_eq!(ask(&agent, head, r#"{"document":{"a":"#), is(400, "bad_json"));
    assert_eq!(ask(&agent, head, r#"{"document":{},"more":1}"#), is(400, "usage"));
    let max = agent.json(&["info"])["limits"]["watchers_max"].as_u64().unwrap();
    let streams: Vec<_> = (0..max)
        .map(|_| {
            let mut stream = TcpStream::connect(&agent.control).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(b"GET /v1/watch HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
            let mut first = [0; 12];
            stream.read_exact(&mut first).unwrap();
            assert_eq!(&first, b"HTTP/1.1 200");
            stream
        })
        .collect();
    let (exit, error) = agent.error(&["watch"]);
    assert_eq!((exit, &error["code"]), (5, &Value::from("too_many_watchers")));
    assert_eq!(agent.run(&["info"]).exit, 0, "questions are still answered");
    drop(streams);
    crate::agents::until("room", || {
        std::thread::sleep(Duration::from_millis(50));
        ask(&agent, "GET /v1/converged?wait_ms=1 HTTP/1.1\r\nhost: localhost", "").0 == 200
    });
}

#[test]
fn connections_are_bounded() {
    let agent = Agent::start(&[]);
    let max = agent.json(&["info"])["limits"]["connections_max"].as_u64().unwrap();
    let mut idle: Vec<_> = (0..max).map(|_| TcpStream::connect(&agent.control).unwrap()).collect();
    let mut more = TcpStream::connect(&agent.control).unwrap();
    more.write_all(b"GET /v1/info HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    more.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut first = [0; 12];
    assert!(more.read_exact(&mut first).is_err(), "it waits");
    #[cfg(target_os = "linux")]
    {
        let open = std::fs::read_dir(format!("/proc/{}/fd", agent.child.id())).unwrap().count() as u64;
        assert!((max..max + 32).contains(&open), "{open} files are open");
    }
    idle.pop();
    more.set_read_timeout(Some(PATIENCE)).unwrap();
    more.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
}
