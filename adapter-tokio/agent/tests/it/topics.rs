//! Interest: an agent holds, and is told of, what it has subscribed to.

use serde_json::json;

use crate::agents::{Agent, until};
use crate::streams::Stream;

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

#[test]
fn an_agent_is_told_of_its_topics_alone() {
    let all = Agent::start(&[]);
    let [news, other] = ["news", "other"].map(|topic| Agent::start(&["--join", &all.bind, "--topic", topic]));
    [&all, &news, &other].iter().for_each(|agent| agent.converged("3"));
    let mut events = [&all, &news, &other].map(|agent| Stream::open(agent, &["events"]));
    // Whoever publishes need not want it.
    for (agent, topic) in [(&other, "news/today"), (&all, "other"), (&news, "neither"), (&other, "news/now")] {
        agent.json(&["publish", topic, "1", "--ttl", "60s"]);
    }
    let messages = |stream: &Stream| -> Vec<String> {
        let mut topics: Vec<String> =
            stream.lines().iter().filter_map(|line| line["topic"].as_str().map(Into::into)).collect();
        topics.sort();
        topics
    };
    let told = [&["neither", "news/now", "news/today"][..], &["news/now", "news/today"], &["other"]];
    for (stream, expected) in events.iter_mut().zip(told) {
        until("what it wants", || messages(stream) == expected);
    }
    // Another topic in place of the first: what lives in it comes.
    assert_eq!(other.json(&["subscribe", "neither"])["topics"][0]["topic"], "neither");
    until("what lives", || messages(&events[2]) == ["neither", "other"]);
    let stats = |agent: &Agent, what: &str| agent.json(&["info"])["stats"][what].as_u64();
    assert_eq!([&all, &news, &other].map(|agent| stats(agent, "messages_new")), [Some(3), Some(2), Some(2)]);
}
