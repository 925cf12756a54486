//! The runner's contract: leaving completes, dropping wakes, cancelling loses nothing, garbage and floods harm nothing.

use std::cell::Cell;
use std::rc::Rc;

use embassy_futures::select::select;
use embassy_net::IpEndpoint;
use embassy_time::{Duration, Timer};
use gossip_embassy::proto::{MemberState, Node, NodeId};
use gossip_embassy::{Closed, WaitError};

use crate::net::{World, at};
use crate::sharing::meet;

#[test]
fn the_others_see_a_farewell_and_no_death() {
    let world = World::new();
    let (a, b) = (world.agent(1), world.agent(2));
    b.join(1);
    meet(&world, &[&a, &b]);
    world.run("a leaves", a.handle.leave()).unwrap();
    world.until("its runner ends", || a.ended.get());
    world.until("b knows", || b.live() == 1);
    assert_eq!(b.handle.read(|node| node.member(NodeId(1)).unwrap().state), MemberState::Left);
    assert_eq!(world.run("again", a.handle.leave()), Ok(()), "who has left has left");
    assert_eq!(world.run("joined", a.handle.joined()), Err(Closed));
    world.run("b, alone, leaves", b.handle.leave()).unwrap();
}

#[test]
fn dropping_the_runner_wakes_who_waits() {
    let world = World::new();
    let (_, handle, runner) = world.still(1);
    let woken = Rc::new(Cell::new(0));
    for _ in 0..12 {
        let woken = woken.clone();
        world.spawn(async move {
            assert_eq!(handle.joined().await, Err(Closed));
            assert_eq!(handle.event(|_| ()).await, None);
            woken.set(woken.get() + 1);
        });
    }
    world.pass(Duration::from_millis(10));
    assert_eq!(woken.get(), 0);
    drop(runner);
    world.until("all are woken, though there are more than places", || woken.get() == 12);
    assert_eq!(world.run("converged", handle.converged(Duration::from_secs(1))), Err(WaitError::Closed));
    assert_eq!(world.run("leave", handle.leave()), Err(Closed));
    assert_eq!(handle.read(Node::live), 1, "the node can still be looked at");
}

#[test]
fn two_hundred_cancellations_lose_nothing() {
    let world = World::new();
    let a = world.agent(1);
    let (_, handle, mut runner) = world.still(2);
    let cancelled = Rc::new(Cell::new(0));
    let count = cancelled.clone();
    world.spawn(async move {
        loop {
            // One of them ends within the wait for an answer of a neighbour, and others anywhere.
            select(runner.run(), Timer::after_millis(1 + count.get() % 5)).await;
            count.set(count.get() + 1);
        }
    });
    handle.with(|node, now| node.join(now, crate::net::addr(1))).unwrap();
    world.until("joined", || a.live() == 2);
    for round in 0..20 {
        a.put("round", &round.to_string());
        let has = || handle.read(|node| node.get(b"round").map(|entry| entry.value().to_vec()));
        world.until("it arrives", || has() == Some(round.to_string().into_bytes()));
    }
    assert!(cancelled.get() > 200);
    assert_eq!(a.handle.read(|node| node.stats().probes_failed), 0);
}

/// The driver takes no frames: its buffers fill, and then the socket's queue of four. What does not fit waits in the
/// runner; when the queue has stood still for half a second it is emptied, and counted.
#[test]
fn a_datagram_that_waits_for_the_socket_survives() {
    let world = World::new();
    let agents: Vec<_> = (1..=6).map(|number| world.agent(number)).collect();
    agents[1..].iter().for_each(|agent| agent.join(1));
    meet(&world, &agents.iter().collect::<Vec<_>>());
    let a = &agents[0];
    let held = || {
        let (stats, given) = (a.handle.socket_stats(), a.handle.read(|node| node.stats().datagrams_out));
        given - stats.sent - stats.send_errors
    };
    world.until("all is sent", || held() == 0);
    a.host.clog(true);
    world.until("the queue is full", || {
        a.put("key", &held().to_string());
        held() == 1
    });
    assert_eq!((a.handle.socket_stats().send_errors, a.handle.socket_stats().rebound), (0, 0));
    // Room in time: it goes.
    a.host.clog(false);
    world.until("it has gone", || held() == 0);
    assert_eq!((a.handle.socket_stats().send_errors, a.handle.socket_stats().rebound), (0, 0));
    // None for long: it is lost, with what the queue held, and the runner goes on.
    a.host.clog(true);
    world.until("the queue is given up", || {
        a.put("key", &held().to_string());
        a.handle.socket_stats().rebound > 0
    });
    assert!(a.handle.socket_stats().send_errors > 0);
    a.host.clog(false);
    a.put("last", "value");
    world.until("all have it", || agents.iter().all(|agent| agent.get("last").is_some()));
}

/// The clock of these tests stands still until all tasks rest: a world in which it never moves.
#[test]
fn a_clock_that_stands_still_stops_nothing_and_spins_nothing() {
    let world = World::new();
    let (a, b) = (world.agent(1), world.agent(2));
    let start = embassy_time::Instant::now();
    b.join(1);
    // Neither retries nor rounds come to help.
    let moves = world.settle();
    assert_eq!(embassy_time::Instant::now(), start);
    assert_eq!((a.live(), b.live()), (2, 2));
    b.put("key", "value");
    let more = world.settle();
    assert_eq!(embassy_time::Instant::now(), start);
    println!("{moves} and {more} turns until all rest");
    assert!(moves + more < 200, "they spin");
    // And what waited for the clock is done when it goes on.
    world.until("it gets there", || a.get("key").is_some());
}

#[test]
fn datagrams_of_any_length_are_taken() {
    let world = World::new();
    let (a, b) = (world.agent(1), world.agent(2));
    b.join(1);
    meet(&world, &[&a, &b]);
    let stranger = world.host(9, true);
    let socket = stranger.socket();
    for len in [0, 1, 2, 30, 511, 512, 513, 1400] {
        let before = a.handle.socket_stats();
        world.run("sent", stranger.network.send_to(&socket, &vec![0xa5; len], at(1))).unwrap();
        let now = || a.handle.socket_stats();
        world.until("it is counted", || {
            now().received + now().receive_errors > before.received + before.receive_errors
                && (now().receive_errors > before.receive_errors) == (len > 512)
        });
    }
    b.put("key", "value");
    world.until("the swarm goes on", || a.get("key").is_some());
}

#[test]
fn garbage_starves_nothing() {
    let world = World::new();
    let (a, b, crashed) = (world.agent(1), world.agent(2), world.agent(3));
    b.join(1);
    crashed.join(1);
    meet(&world, &[&a, &b, &crashed]);
    let stranger = world.host(9, true);
    world.spawn(async move {
        let socket = stranger.socket();
        loop {
            for _ in 0..20 {
                let _ = socket.send_to(&[0x5a; 100], IpEndpoint::from((*at(1).ip(), at(1).port()))).await;
            }
            Timer::after_millis(1).await;
        }
    });
    world.until("the flood has begun", || a.handle.socket_stats().received > 1000);
    crashed.host.cut(true);
    world.until("a finds the dead one", || {
        a.handle.read(|node| node.member(NodeId(3)).unwrap().state) == MemberState::Dead
    });
    assert_eq!(a.handle.read(|node| node.member(NodeId(2)).unwrap().state), MemberState::Alive);
    a.put("key", "value");
    world.until("it gets out", || b.get("key").is_some());
}
