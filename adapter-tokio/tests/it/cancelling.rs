//! Dropping the future of `run` loses nothing.

use std::time::Duration;

use gossip_tokio::proto::Node;
use tokio::time::{Instant, timeout, timeout_at};

use crate::net::{Agent, FOREVER, LOCALHOST, Swarm, get, meet, put, soon, until};

#[tokio::test]
async fn a_datagram_that_waits_for_the_socket_survives() {
    let swarm = Swarm::quick();
    let b = swarm.agent(LOCALHOST).await;
    let (handle, mut runner, _) = swarm.still(LOCALHOST).await;
    handle.with(|node, now| node.join(now, b.addr.into())).unwrap();
    // tokio has not asked yet whether a new socket is writable: the first send always waits.
    timeout(Duration::ZERO, runner.run()).await.unwrap_err();
    let (sent, waited) = (handle.socket_stats().sent, handle.socket_stats().send_waits);
    assert_eq!((sent, waited, handle.read(|node| node.stats().datagrams_out)), (0, 1, 1));
    until_run(&mut runner, &handle, |node| node.live() == 2).await;
    assert_accounts(&handle);
}

#[tokio::test]
async fn two_hundred_cancellations_lose_nothing() {
    let swarm = Swarm::quick();
    let (handle, mut runner, addr) = swarm.still(LOCALHOST).await;
    let b = swarm.agent(LOCALHOST).await;
    b.join(addr);
    for round in 0..200 {
        put(&handle, &format!("a/{round}"), "value");
        b.put(&format!("b/{round}"), "value");
        timeout(Duration::from_millis(1), runner.run()).await.unwrap_err();
    }
    until_run(&mut runner, &handle, |node| node.scan(b"").count() == 400).await;
    assert_accounts(&handle);
    let a = Agent::spawn(handle, runner, addr);
    meet(&[&a.handle, &b.handle]).await;
    until("b has all", || b.handle.read(|node| node.scan(b"").count()) == 400).await;
    assert!(get(&b.handle, "a/199").is_some());
    soon("a leaves", a.handle.leave()).await.unwrap();
}

/// Runs a millisecond at a time.
async fn until_run(runner: &mut gossip_tokio::Runner, handle: &gossip_tokio::Handle, holds: impl Fn(&Node) -> bool) {
    let end = Instant::now() + FOREVER;
    while !handle.read(&holds) {
        assert!(Instant::now() < end, "never");
        let slice = Instant::now() + Duration::from_millis(1);
        timeout_at(slice, runner.run()).await.unwrap_err();
    }
}

/// What the node has given the socket has, but for one datagram; what the socket has given the node has.
#[track_caller]
fn assert_accounts(handle: &gossip_tokio::Handle) {
    let (socket, node) = (handle.socket_stats(), handle.read(|node| *node.stats()));
    let waiting = node.datagrams_out - socket.sent - socket.send_errors;
    assert!(waiting <= 1, "{waiting} datagrams were lost");
}
