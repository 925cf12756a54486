//! `agent --on EVENT CMD`, with real commands.

use std::fs;

use serde_json::Value;

use crate::agents::{Agent, until};

/// A file of this test, which need not exist yet.
fn file(name: &str) -> String {
    let path = std::env::temp_dir().join(format!("gossip-hooks-{}-{name}", std::process::id()));
    let _ = fs::remove_file(&path);
    path.into_os_string().into_string().unwrap()
}

fn lines(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
}

#[test]
fn a_command_is_run_on_each_event_of_its_kind() {
    let (died, all, bye) = (file("died"), file("all"), file("bye"));
    let (on_died, on_all) = (format!("cat >> {died}"), format!("cat >> {all}"));
    let on_bye = format!("echo $GOSSIP_EVENT > {bye}");
    let mut first = Agent::start(&[
        "--name",
        "first",
        "--probe-interval",
        "100ms",
        "--on",
        "died",
        &on_died,
        "--on",
        "any",
        &on_all,
        "--on",
        "self-left",
        &on_bye,
        "--on",
        "joined",
        "exit 3",
    ]);
    let second = Agent::start(&["--name", "second", "--join", &first.bind]);
    let id = second.id.clone();
    first.converged("2");
    drop(second); // SIGKILL
    until("the death to be told to the command", || !lines(&died).is_empty());
    let told = lines(&died);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["event"], &told[0]["change"], &told[0]["id"]), (&"member".into(), &"died".into(), &id.into()));
    let changes =
        || lines(&all).iter().filter_map(|line| line["change"].as_str().map(str::to_owned)).collect::<Vec<_>>();
    until("all to be told in order", || changes() == ["joined", "suspected", "died"]);
    assert!(first.log.lock().unwrap().contains("`exit 3`: exit status: 3"), "{}", first.log.lock().unwrap());
    // The last event is told too.
    assert_eq!(first.run(&["leave"]).exit, 0);
    assert!(first.exit().success());
    assert_eq!(fs::read_to_string(&bye).unwrap(), "self-left\n");
    [died, all, bye].iter().for_each(|file| drop(fs::remove_file(file)));
}

#[test]
fn a_command_for_no_event_is_refused() {
    let refused = Agent::try_start(&["--on", "dies", "true"]).err().expect("it must not start");
    assert_eq!(refused.exit, 2);
    assert!(refused.err.contains("--on dies: no such event; known are any, joined"), "{}", refused.err);
}

#[test]
fn what_expires_is_told_by_its_own_name_and_as_an_entry() {
    let path = |name: &str| {
        std::env::temp_dir().join(format!("gossip-expired-{}-{name}", std::process::id())).to_str().unwrap().to_owned()
    };
    let (expired, entry) = (path("expired"), path("entry"));
    let (on_expired, on_entry) = (format!("cat >> {expired}"), format!("cat >> {entry}"));
    let agent = Agent::start(&["--on", "expired", &on_expired, "--on", "entry", &on_entry]);
    agent.json(&["set", "k", "1", "--ttl", "1s"]);
    for file in [&expired, &entry] {
        let text = || fs::read_to_string(file).unwrap_or_default();
        until("the end of it", || text().contains(r#""change":"expired""#));
        fs::remove_file(file).unwrap();
    }
}
