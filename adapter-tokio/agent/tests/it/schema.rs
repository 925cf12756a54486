//! The documented schema, to the letter; what differs from run to run is masked by its type.

use serde_json::{Value, json};

use crate::agents::{Agent, until};

/// Replaces what no two runs have in common.
fn masked(mut value: Value) -> Value {
    mask(&mut value);
    value
}

fn mask(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Object(members) => {
            for (name, value) in members {
                match name.as_str() {
                    "id" | "writer" | "root" | "addr" | "bind" | "advertise" | "control" if value.is_string() => {
                        *value = "…".into();
                    }
                    "stamp_us" | "uptime_ms" | "since_ms_ago" | "rtt_us" | "heard_ms_ago" | "agreed_ms_ago"
                    | "content_len_max" => {
                        assert!(value.is_u64() || value.is_null(), "{name}: {value}");
                        *value = "#".into();
                    }
                    "stats" | "socket" => {
                        assert!(value.as_object().unwrap().values().all(Value::is_u64));
                        *value = "{#}".into();
                    }
                    _ => mask(value),
                }
            }
        }
        _ => {}
    }
}

#[test]
fn members_and_topology() {
    let agents = Agent::swarm(2);
    let member = |name: &str, nth: &str, own: bool| {
        json!({
            "id": "…", "name": name, "addr": "…", "state": "alive", "own": own, "incarnation": 0,
            "tags": {"name": name, "nth": nth}, "rtt_us": "#", "heard_ms_ago": "#", "via": null, "agrees": true, "lag_ms": 0
        })
    };
    let members = json!([member("n0", "0", true), member("n1", "1", false)]);
    assert_eq!(masked(agents[0].json(&["members"])), json!({"members": members}));
    let topology = json!({
        "id": "…", "members": members, "disagreeing": [],
        "convergence": {"converged": true, "live": 2, "agreeing": 2, "permille": 1000, "root": "…", "since_ms_ago": "#"}
    });
    assert_eq!(masked(agents[0].json(&["topology"])), topology);
    let graph = agents[0].run(&["topology", "--dot"]).out;
    let edge = format!("  \"{}\" -> \"{}\" [label=\"", agents[0].id, agents[1].id);
    assert!(graph.starts_with("digraph gossip {\n") && graph.contains(&edge) && graph.ends_with("}\n"), "{graph}");
    let text = agents[0].run(&["topology", "--json"]).out;
    assert!(text.starts_with(r#"{"id":""#) && text.ends_with("}\n") && text.lines().count() == 1, "{text}");
}

#[test]
fn info() {
    let agent = Agent::start(&["--name", "golden", "--members", "8", "--entries", "64", "--bytes", "65536"]);
    let mut info = masked(agent.json(&["info"]));
    let bytes = info["tables"]["bytes"].take();
    assert!(bytes["used"].as_u64() < bytes["max"].as_u64() && bytes["max"].as_u64() <= Some(65536));
    let expected = json!({
        "id": "…", "name": "golden", "version": env!("CARGO_PKG_VERSION"), "swarm": "test",
        "bind": "…", "advertise": "…", "control": "…", "lifecycle": "alone", "incarnation": 0, "uptime_ms": "#",
        "convergence": {"converged": true, "live": 1, "agreeing": 1, "permille": 1000, "root": "…", "since_ms_ago": "#"},
        "tables": {"members": {"used": 1, "max": 8}, "entries": {"used": 1, "max": 64}, "bytes": null},
        "limits": {
            "key_len_max": 255, "content_len_max": "#", "depth_max": 60, "tags_len_max": 255, "contacts_max": 8,
            "body_len_max": 4_194_304, "watchers_max": 64, "connections_max": 256, "value_len_max": 8_192
        },
        "topics": null, "stats": "{#}", "socket": "{#}"
    });
    assert_eq!(info, expected);
}

#[test]
fn entries() {
    let agent = Agent::start(&[]);
    assert_eq!(agent.run(&["set", "a/b", "[1, 2]", "--json"]).out, "{\"key\":\"a/b\",\"kind\":\"register\"}\n");
    let entry = json!({
        "key": "a/b", "value": [1, 2], "kind": "register",
        "values": [{"value": [1, 2], "stamp_us": "#", "writer": "…", "ends_unix_s": null}]
    });
    let got = json!({"key": "a/b", "value": [1, 2], "entry": entry, "hidden": []});
    assert_eq!(masked(agent.json(&["get", "a/b"])), got);
    let got = json!({"key": "a", "value": {"b": [1, 2]}, "entry": null, "hidden": []});
    assert_eq!(agent.json(&["get", "a"]), got);
    assert_eq!(masked(agent.json(&["list"])), json!({"entries": [entry]}));
    agent.json(&["set", "a", "5"]);
    let got = json!({"key": "a", "value": {"b": [1, 2]}, "entry": null, "hidden": ["a"]});
    assert_eq!(agent.json(&["get", "a"]), got);
    let merged = agent.run(&["merge", r#"{"a":{"c":1,"b":null}}"#, "--json"]).out;
    assert_eq!(merged, "{\"written\":[\"a/c\"],\"deleted\":[\"a\",\"a/b\"]}\n");
    assert_eq!(agent.run(&["delete", "a/c", "--json"]).out, "{\"key\":\"a/c\"}\n");
    let error = r#"{"code":"not_found","message":"there is no entry `a/c`, and none beneath it","hint":"#;
    assert!(agent.run(&["get", "a/c", "--json"]).err.starts_with(error));
}

#[test]
fn convergence() {
    let agent = Agent::start(&[]);
    let converged =
        json!({"converged": true, "live": 1, "agreeing": 1, "permille": 1000, "root": "…", "since_ms_ago": "#"});
    assert_eq!(masked(agent.json(&["converged"])), converged);
    let said = agent.run(&["converged", "--live", "2", "--json"]);
    assert_eq!(said.exit, 6);
    let answer: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&answer["converged"], &answer["live"]), (&json!(false), &json!(1)));
    let error: Value = serde_json::from_str(&said.err).unwrap();
    assert_eq!(error["code"], "not_converged");
}

#[test]
fn siblings_are_told_newest_first() {
    let agents = Agent::swarm(2);
    // Neither can know of the other: both write before any datagram between them is read.
    std::thread::scope(|scope| {
        for (nth, agent) in agents.iter().enumerate() {
            scope.spawn(move || agent.json(&["set", "s", &nth.to_string(), "--kind", "siblings"]));
        }
    });
    agents.iter().for_each(|agent| agent.converged("2"));
    until("one order at both", || agents[0].json(&["get", "s"]) == agents[1].json(&["get", "s"]));
    let entry = agents[0].json(&["get", "s"])["entry"].clone();
    let values = entry["values"].as_array().unwrap();
    assert!(matches!(values.len(), 1 | 2), "two if they were concurrent, one if the second had heard: {entry}");
    assert_eq!(entry["value"], values[0]["value"]);
    assert!(values.windows(2).all(|pair| pair[0]["stamp_us"].as_u64() >= pair[1]["stamp_us"].as_u64()));
}
