//! Nodes on embassy-net find each other, agree, and notice who is gone.

use std::cell::RefCell;
use std::rc::Rc;

use embassy_time::{Duration, Instant};
use gossip_embassy::WaitError;
use gossip_embassy::proto::{Event, Lifecycle, MemberChange, MemberState, Node, NodeId};

use crate::net::{Agent, World};

pub(crate) fn meet(world: &World, agents: &[&Agent]) -> Duration {
    world.until("all know each other", || agents.iter().all(|agent| agent.live() == agents.len()))
}

#[test]
fn over_ipv4() {
    let world = World::new();
    let (a, b, c) = (world.agent(1), world.agent(2), world.agent(3));
    b.join(1);
    world.run("joined", b.handle.joined()).unwrap();
    assert_eq!(b.handle.read(Node::lifecycle), Lifecycle::Member);
    c.join(2);
    meet(&world, &[&a, &b, &c]);
    a.put("config/color", "blue");
    world.run("converged", a.handle.converged(Duration::from_secs(10))).unwrap();
    assert_eq!(c.get("config/color").as_deref(), Some("blue"));
    let stats = b.handle.socket_stats();
    assert!(stats.sent > 0 && stats.received > 0);
    assert_eq!((stats.send_errors, stats.receive_errors, stats.rebound), (0, 0, 0));
}

#[test]
fn events_are_told_once() {
    let world = World::new();
    let (a, b) = (world.agent(1), world.agent(2));
    let told = Rc::new(RefCell::new(Vec::new()));
    let (events, handle) = (told.clone(), a.handle);
    world.spawn(async move {
        let keep = |event: Event<'_>| match event {
            Event::Member { id, change } => format!("{id} {change:?}"),
            Event::Entry { key, change, .. } => format!("{} {change:?}", String::from_utf8_lossy(key)),
            other => format!("{other:?}"),
        };
        while let Some(event) = handle.event(keep).await {
            events.borrow_mut().push(event);
        }
        events.borrow_mut().push("end".into());
    });
    b.join(1);
    meet(&world, &[&a, &b]);
    b.put("key", "value");
    world.until("a has it", || a.get("key").is_some());
    world.run("b leaves", b.handle.leave()).unwrap();
    world.until("a was told", || told.borrow().iter().any(|event| event.ends_with("Left")));
    world.run("a leaves", a.handle.leave()).unwrap();
    world.until("the events end", || told.borrow().last().is_some_and(|event| event == "end"));
    let told = told.borrow();
    let count = |wanted: &str| told.iter().filter(|event| *event == wanted).count();
    for wanted in ["0000000000000002 Joined", "key Put", "0000000000000002 Left", "Left"] {
        assert_eq!(count(wanted), 1, "{wanted} in {told:?}");
    }
}

#[test]
fn being_cut_off_and_asleep_are_told() {
    let world = World::new();
    let (a, b) = (world.agent(1), world.agent(2));
    b.join(1);
    meet(&world, &[&a, &b]);
    let told = Rc::new(RefCell::new(Vec::new()));
    let (events, handle) = (told.clone(), a.handle);
    world.spawn(async move {
        while let Some(event) = handle.event(|event| format!("{event:?}")).await {
            events.borrow_mut().push(event);
        }
    });
    let saw = |event: &str| told.borrow().iter().any(|told| told == event);
    a.host.cut(true);
    world.until("it is cut off", || saw("QuorumLost") && saw("Isolated"));
    a.host.cut(false);
    world.until("and back", || saw("Reconnected") && saw("QuorumRegained"));
    a.handle.with(|node, now| node.sleep(now, std::time::Duration::from_secs(60))).unwrap();
    world.until("asleep", || saw("Asleep"));
}

#[test]
fn a_member_that_is_cut_off_dies_and_returns() {
    let world = World::new();
    let (a, b) = (world.agent(1), world.agent(2));
    b.join(1);
    meet(&world, &[&a, &b]);
    b.host.cut(true);
    let state = || a.handle.read(|node| node.member(NodeId(2)).unwrap().state);
    let took = world.until("b is found dead", || state() == MemberState::Dead);
    println!("found dead after {took}");
    a.put("meanwhile", "yes");
    b.host.cut(false);
    meet(&world, &[&a, &b]);
    world.run("converged", b.handle.converged(Duration::from_secs(20))).unwrap();
    assert_eq!(b.get("meanwhile").as_deref(), Some("yes"));
    let mut changes = Vec::new();
    while let Some(change) = a.handle.with(|node, _| match node.poll_event()? {
        Event::Member { change, .. } => Some(Some(change)),
        _ => Some(None),
    }) {
        changes.extend(change);
    }
    assert_eq!(changes, [MemberChange::Joined], "what was not asked for meanwhile is told as one difference");
}

#[test]
fn a_swarm_that_does_not_converge_in_time_says_how_far_it_came() {
    let world = World::new();
    let (a, b) = (world.agent(1), world.agent(2));
    b.join(1);
    meet(&world, &[&a, &b]);
    b.host.cut(true);
    a.put("key", "value");
    let start = Instant::now();
    let Err(WaitError::Timeout(at)) = world.run("timeout", a.handle.converged(Duration::from_millis(500))) else {
        panic!("it converged with nobody");
    };
    assert_eq!((at.agreeing, at.live), (1, 2));
    assert_eq!(start.elapsed().as_millis(), 500);
}

/// The whole of it: 21 nodes on one segment, taken in by one of them, each of which has soon heard every other.
#[test]
fn twenty_one_nodes_meet() {
    let world = World::new();
    let agents: Vec<Agent> = (1..=21).map(|number| world.agent(number)).collect();
    agents[1..].iter().for_each(|agent| agent.join(1));
    let all: Vec<&Agent> = agents.iter().collect();
    let met = meet(&world, &all);
    agents[3].put("key", "value");
    let shared = world.until("all have it", || agents.iter().all(|agent| agent.get("key").is_some()));
    println!("21 nodes: met after {met}, an entry is everywhere after {shared}");
    assert!(met < Duration::from_secs(5) && shared < Duration::from_secs(3));
    world.until("each has heard all", || agents.iter().all(Agent::has_heard_all));
    assert!(agents.iter().all(|agent| agent.handle.socket_stats().send_errors == 0));
}
