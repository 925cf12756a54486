//! Interest: an agent holds what it has subscribed to.

use serde_json::json;

use crate::agents::{Agent, until};

#[test]
fn an_agent_holds_its_topics_alone() {
    let all = Agent::start(&[]);
    for key in ["a/x", "b/x", "c/x"] {
        all.json(&["set", key, "1"]);
    }
    let some = Agent::start(&["--join", &all.bind, "--topic", "a", "--topic", "b"]);
    let keys = || -> Vec<String> {
        let list = some.json(&["list"]);
        list["entries"].as_array().unwrap().iter().map(|entry| entry["key"].as_str().unwrap().into()).collect()
    };
    until("what it wants", || keys() == ["a/x", "b/x"]);
    [&all, &some].iter().for_each(|agent| agent.converged("2"));
    let topics =
        |names: &[&str]| json!(names.iter().map(|name| json!({"topic": name, "ceiling": 32})).collect::<Vec<_>>());
    assert_eq!(some.json(&["info"])["topics"], topics(&["a", "b"]));
    assert!(all.json(&["info"])["topics"].is_null());
    assert_eq!(some.error(&["set", "c/y", "1"]).1["code"], "unwanted");
    assert_eq!(some.json(&["subscribe", "c", "b"]), json!({"topics": topics(&["c", "b"])}));
    until("one goes and one comes", || keys() == ["b/x", "c/x"]);
    some.json(&["set", "c/y", "1"]);
    assert_eq!(some.json(&["subscribe", "--all"]), json!({"topics": null}));
    until("all", || keys() == ["a/x", "b/x", "c/x", "c/y"]);
    until("what it wrote", || all.run(&["get", "c/y"]).exit == 0);
    for wrong in [&["subscribe"][..], &["subscribe", "a", "--all"], &["subscribe", "a/b"]] {
        assert_eq!(some.error(wrong).0, 2, "{wrong:?}");
    }
    let many: Vec<_> = (0..100).map(|n| n.to_string()).collect();
    let many: Vec<&str> = ["subscribe"].into_iter().chain(many.iter().map(String::as_str)).collect();
    assert_eq!(some.error(&many).0, 5);
    assert!(some.json(&["info"])["topics"].is_null(), "what is refused changes nothing");
    let said = Agent::try_start(&many.iter().skip(1).flat_map(|topic| ["--topic", topic]).collect::<Vec<_>>());
    assert_eq!(said.err().map(|said| said.exit), Some(5));
}
