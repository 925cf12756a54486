//! Members that go, with and without a word.

use crate::agents::{Agent, until};

#[test]
fn a_member_that_is_killed_is_found_dead() {
    let quick = ["--probe-interval", "100ms"];
    let first = Agent::start(&quick);
    let second = Agent::start(&[&quick[..], &["--join", &first.bind]].concat());
    let mut third = Agent::start(&[&quick[..], &["--join", &first.bind]].concat());
    [&first, &second, &third].iter().for_each(|agent| agent.converged("3"));
    third.child.kill().unwrap();
    for agent in [&first, &second] {
        until("the death", || agent.state_of(&third.id).as_deref() == Some("dead"));
        until("the log", || {
            agent.log.lock().unwrap().contains(&format!("member {} (-) at {}: dead", third.id, third.bind))
        });
        agent.converged("2");
    }
    assert_eq!(first.run(&["set", "after", "1"]).exit, 0);
    until("life to go on", || second.run(&["get", "after"]).exit == 0);
}

#[test]
fn a_member_that_leaves_has_left() {
    let mut agents = Agent::swarm(3);
    let mut gone = agents.pop().unwrap();
    let said = gone.run(&["leave", "--json"]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert_eq!(said.out, format!("{{\"left\":true,\"id\":\"{}\"}}\n", gone.id));
    assert!(gone.exit().success());
    for agent in &agents {
        until("the farewell", || agent.state_of(&gone.id).as_deref() == Some("left"));
        agent.converged("2");
    }
    assert_eq!(gone.run(&["info"]).exit, 4);
}

#[cfg(unix)]
#[test]
fn a_signal_makes_an_agent_say_farewell() {
    for signal in ["-TERM", "-INT"] {
        let mut agents = Agent::swarm(2);
        let mut gone = agents.pop().unwrap();
        let pid = gone.child.id().to_string();
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
        assert!(gone.exit().success());
        until("the farewell", || agents[0].state_of(&gone.id).as_deref() == Some("left"));
    }
}
