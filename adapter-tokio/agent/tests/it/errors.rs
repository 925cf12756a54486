//! What goes wrong is said with a code, a message that names the limit or the address, a hint, and an exit code.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::agents::{Agent, Said, run};

#[track_caller]
fn fails(agent: &Agent, args: &[&str], exit: i32, code: &str, message: &str) {
    let (got, error) = agent.error(args);
    assert_eq!((got, &error["code"]), (exit, &json!(code)), "{args:?}: {error}");
    assert!(error["message"].as_str().unwrap().contains(message), "{args:?}: {error}");
    assert_ne!(error["hint"], "", "{args:?}");
    assert_eq!(error.as_object().unwrap().len(), 3);
    let words = agent.run(args);
    assert!(words.exit == exit && words.err.starts_with("error: ") && words.err.contains("\nhint: "), "{words:?}");
}

#[test]
fn commands_say_what_is_wrong() {
    let agent = Agent::start(&["--value-len-max", "0"]);
    fails(&agent, &["get", "nope"], 3, "not_found", "`nope`");
    fails(&agent, &["delete", "nope"], 3, "not_found", "`nope`");
    fails(&agent, &["set", "k", "{\n \"a\": 1,\n}"], 2, "bad_json", "line 3 column 1");
    fails(&agent, &["merge", "{"], 2, "bad_json", "line 1 column 1");
    fails(&agent, &["merge", "[1]"], 2, "not_an_object", "object");
    fails(&agent, &["set", "", "1"], 2, "bad_key", "empty");
    fails(&agent, &["set", "a~b", "1"], 2, "bad_key", "a~b");
    fails(&agent, &["set", &"a/".repeat(70), "1"], 2, "bad_key", "60 levels");
    fails(&agent, &["set", "k", &("[".repeat(70) + &"]".repeat(70))], 2, "bad_json", "60 levels");
    fails(&agent, &["set", &"k".repeat(300), "1"], 5, "key_too_long", "1 to 255 bytes");
    let max = agent.json(&["info"])["limits"]["content_len_max"].as_u64().unwrap();
    let long = format!("\"{}\"", "x".repeat(max as usize - 3));
    agent.json(&["set", "k", &long]);
    fails(&agent, &["set", "kk", &long], 5, "value_too_long", &format!("at most {max} bytes"));
    let patch = json!({"fine": 1, "long": "x".repeat(2000)}).to_string();
    fails(&agent, &["merge", &patch], 5, "value_too_long", "`long`");
    assert_eq!(agent.run(&["get", "fine"]).exit, 3, "nothing of a refused merge is written");
}

#[test]
fn the_command_line_is_checked_too() {
    let agent = Agent::start(&[]);
    for args in [&["frob"][..], &["set", "k"], &["members", "--tag", "x"], &["converged", "--wait", "--timeout", "5"]] {
        let (exit, error) = agent.error(args);
        assert_eq!((exit, &error["code"]), (2, &json!("usage")), "{args:?}");
    }
    for args in [&["--help"][..], &["set", "--help"], &["--version"]] {
        assert_eq!(run(args).exit, 0, "{args:?}");
    }
}

#[test]
fn a_full_table_names_its_size() {
    let agent = Agent::start(&["--entries", "16", "--bytes", "65536"]);
    let max = agent.json(&["info"])["tables"]["entries"]["max"].as_u64().unwrap();
    let patch = Value::Object((0..=max).map(|n| (format!("k{n}"), json!(n))).collect()).to_string();
    let (exit, error) = agent.error(&["merge", &patch]);
    assert_eq!((exit, &error["code"]), (5, &json!("entries_full")), "{error}");
    assert!(error["message"].as_str().unwrap().starts_with("nothing was written"), "{error}");
    assert_eq!(agent.json(&["list"])["entries"], json!([]));
    for n in 0..max {
        agent.json(&["set", &format!("k{n}"), "1"]);
    }
    fails(&agent, &["set", "more", "1"], 5, "entries_full", &format!("all {max} entries"));
    agent.json(&["set", "k0", "2"]);
}

#[test]
fn full_bytes_name_their_size_and_what_was_written() {
    let agent = Agent::start(&["--entries", "1024", "--bytes", "65536"]);
    let filler = format!("\"{}\"", "x".repeat(1000));
    let mut refused = None;
    for n in 0..200 {
        let said = agent.run(&["set", &format!("k{n}"), &filler, "--json"]);
        if said.exit != 0 {
            refused = Some(said);
            break;
        }
    }
    let error: Value = serde_json::from_str(&refused.expect("it is full some time").err).unwrap();
    let max = agent.json(&["info"])["tables"]["bytes"]["max"].as_u64().unwrap();
    assert_eq!(error["code"], "bytes_full");
    assert!(error["message"].as_str().unwrap().contains(&format!("all {max} bytes")), "{error}");
    let patch = Value::Object((0..64).map(|n| (format!("m{n:02}"), json!("y".repeat(1000)))).collect()).to_string();
    let (exit, error) = agent.error(&["merge", &patch]);
    assert_eq!((exit, &error["code"]), (5, &json!("bytes_full")));
    let list = agent.json(&["list", "m"]);
    let written: Vec<_> =
        list["entries"].as_array().unwrap().iter().map(|entry| entry["key"].as_str().unwrap()).collect();
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(if written.is_empty() { "nothing was written" } else { "written before that: " }));
    assert!(written.iter().all(|key| message.contains(key)), "{message}\n{written:?}");
}

#[test]
fn a_request_that_is_too_long_is_refused_before_it_is_sent() {
    let agent = Agent::start(&[]);
    let parts: Vec<_> = (0..43).map(|n| format!("\"{n}\":\"{}\"", "x".repeat(100_000))).collect();
    let document = format!("{{{}}}", parts.join(","));
    let mut child = crate::agents::program()
        .args(["merge", "-", "--json", "--control", &agent.control])
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), document.as_bytes());
    let output = child.wait_with_output().unwrap();
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((output.status.code(), &error["code"]), (Some(5), &json!("body_too_long")));
}

#[test]
fn nobody_there_is_said_as_such() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let Said { exit, err, .. } = run(&["info", "--control", &closed, "--json"]);
    let error: Value = serde_json::from_str(&err).unwrap();
    assert_eq!((exit, &error["code"]), (4, &json!("unreachable")));
    assert!(error["message"].as_str().unwrap().contains(&closed));
}

#[test]
fn an_agent_that_cannot_start_says_why() {
    let agent = Agent::start(&[]);
    let cases: &[(&[&str], i32, &str)] = &[
        (&["--bind", &agent.bind], 8, &agent.bind),
        (&["--control", &agent.control], 8, &agent.control),
        (&["--bind", "192.0.2.1:0"], 8, "192.0.2.1:0"),
        (&["--bind", "0.0.0.0:0"], 2, "--advertise"),
        (&["--bind", "nonsense"], 2, "nonsense"),
        (&["--join", "127.0.0.1"], 2, "--join 127.0.0.1"),
        (&["--join", "[::1]:9"], 2, "[::1]:9"),
        (&["--advertise", "0.0.0.0:1"], 2, "--advertise"),
        (&["--control", "0.0.0.0:0"], 2, "--token"),
        (&["--fanout", "99"], 2, "fanout is 99; it must be 1 to 16"),
        (&["--interval", "2h"], 2, "gossip_interval"),
        (&["--members", "0"], 2, "members"),
        (&["--bytes", "10"], 2, "10 bytes"),
        (&["--tag", "name=x", "--name", "y"], 2, "`name`"),
        (&["--tag", &format!("t={}", "x".repeat(300))], 5, "255 bytes"),
    ];
    for (options, exit, message) in cases {
        let said = Agent::try_start(options).err().unwrap_or_else(|| panic!("{options:?} started"));
        assert!(said.exit == *exit && said.err.contains(message), "{options:?}: {said:?}");
        assert!(said.err.contains("hint: "), "{options:?}: {said:?}");
    }
}
