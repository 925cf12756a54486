//! Who is there: tags, names, swarms, contacts.

use serde_json::json;

use crate::agents::{Agent, until};

#[test]
fn members_are_found_by_tag() {
    let agents = Agent::swarm(3);
    for agent in &agents {
        assert_eq!(agent.json(&["members"])["members"].as_array().unwrap().len(), 3);
        let found = agent.json(&["members", "--tag", "nth=1", "--tag", "name=n1"]);
        assert_eq!(found["members"][0]["id"], agents[1].id.as_str());
        assert_eq!(found["members"].as_array().unwrap().len(), 1);
        assert_eq!(agent.json(&["members", "--tag", "nth=1", "--tag", "name=n2"])["members"], json!([]));
    }
    let table = agents[0].run(&["members"]).out;
    assert!(table.starts_with("NAME") && table.contains("n0 *") && table.contains("nth=2"), "{table}");
}

#[test]
fn a_name_gives_the_same_id_in_each_life() {
    let first = Agent::start(&["--name", "same"]);
    let id = first.id.clone();
    drop(first);
    assert_eq!(Agent::start(&["--name", "same"]).id, id);
    assert_ne!(Agent::start(&["--name", "other"]).id, id);
    assert_ne!(Agent::start(&[]).id, Agent::start(&[]).id);
}

#[test]
fn an_agent_that_returns_is_taken_back() {
    let agents = Agent::swarm(2);
    let [first, mut second]: [Agent; 2] = agents.try_into().ok().unwrap();
    let id = second.id.clone();
    assert_eq!(second.run(&["leave"]).exit, 0);
    second.exit();
    until("the farewell", || first.state_of(&id).as_deref() == Some("left"));
    first.json(&["set", "news", "1"]);
    let again = Agent::start(&["--name", "n1", "--join", &first.bind]);
    assert_eq!(again.id, id);
    until("the return", || first.state_of(&id).as_deref() == Some("alive"));
    until("the news", || again.run(&["get", "news"]).exit == 0);
}

#[test]
fn swarms_of_other_names_do_not_meet() {
    let ours = Agent::start(&["--swarm", "ours"]);
    let theirs = Agent::start(&["--swarm", "theirs", "--join", &ours.bind]);
    ours.json(&["set", "secret", "1"]);
    until("refusals", || ours.json(&["info"])["stats"]["refused_check"].as_u64() > Some(0));
    until("a warning", || theirs.log.lock().unwrap().contains(&format!("contact {}", ours.bind)));
    assert_eq!(ours.json(&["members"])["members"].as_array().unwrap().len(), 1);
    assert_eq!(theirs.json(&["members"])["members"].as_array().unwrap().len(), 1);
    assert_eq!(theirs.run(&["get", "secret"]).exit, 3);
}

#[test]
fn a_contact_that_never_answers_is_named_and_the_agent_goes_on() {
    // A port that is taken and read by nobody.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let contact = silent.local_addr().unwrap().to_string();
    let agent = Agent::start(&["--join", &contact]);
    until("a warning", || agent.log.lock().unwrap().contains(&format!("warning: contact {contact}")));
    assert_eq!(agent.json(&["info"])["lifecycle"], "joining");
    assert_eq!(agent.run(&["set", "a", "1"]).exit, 0);
    assert_eq!(agent.run(&["get", "a"]).out, "1\n");
    let (exit, error) = agent.error(&["converged", "--wait", "--timeout", "100ms", "--live", "2"]);
    assert_eq!((exit, &error["code"]), (6, &json!("not_converged")));
}

#[test]
fn contacts_may_be_names() {
    let first = Agent::start(&[]);
    let port = first.bind.rsplit(':').next().unwrap();
    let second = Agent::start(&["--join", &format!("localhost:{port}")]);
    second.converged("2");
}

#[test]
fn an_unspecified_address_is_advertised_as_the_one_towards_the_contact() {
    let first = Agent::start(&[]);
    let second = Agent::start(&["--bind", "0.0.0.0:0", "--join", &first.bind]);
    let port = second.bind.rsplit(':').next().unwrap();
    assert_eq!(second.json(&["info"])["advertise"], format!("127.0.0.1:{port}"));
    first.converged("2");
    let third = Agent::start(&["--bind", "0.0.0.0:0", "--advertise", "127.0.0.1:0"]);
    let port = third.bind.rsplit(':').next().unwrap();
    assert_eq!(third.json(&["info"])["advertise"], format!("127.0.0.1:{port}"));
}
