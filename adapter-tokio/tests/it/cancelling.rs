//! Dropping the future of `run` loses nothing.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use gossip_tokio::proto::Node;
use gossip_tokio::{Handle, Runner};
use tokio::time::{Instant, timeout};

use crate::net::{Agent, FOREVER, LOCALHOST, Swarm, get, meet, put, soon, until};

#[tokio::test]
async fn a_datagram_that_waits_for_the_socket_survives() {
    let swarm = Swarm::quick();
    let b = swarm.agent(LOCALHOST).await;
    let (handle, mut runner, _) = swarm.still(LOCALHOST).await;
    handle.with(|node, now| node.join(now, b.addr.into())).unwrap();
    // tokio has not asked yet whether a new socket is writable: the first send always waits.
    let mut run = Box::pin(runner.run());
    assert!(poll_fn(|context| Poll::Ready(run.as_mut().poll(context).is_pending())).await);
    drop(run);
    assert!(handle.socket_stats().send_waits > 0);
    assert_eq!((handle.socket_stats().sent, handle.read(|node| node.stats().datagrams_out)), (0, 1));
    until_run(&mut runner, || handle.read(Node::live) == 2).await;
    until_run(&mut runner, || lost(&handle) == 0).await;
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
    until_run(&mut runner, || handle.read(|node| node.scan(b"").count()) == 400).await;
    until_run(&mut runner, || lost(&handle) == 0).await;
    let a = Agent::spawn(handle, runner, addr);
    meet(&[&a.handle, &b.handle]).await;
    until("b has all", || b.handle.read(|node| node.scan(b"").count()) == 400).await;
    assert!(get(&b.handle, "a/199").is_some());
    soon("a leaves", a.handle.leave()).await.unwrap();
}

/// Runs a millisecond at a time.
async fn until_run(runner: &mut Runner, holds: impl Fn() -> bool) {
    let end = Instant::now() + FOREVER;
    while !holds() {
        assert!(Instant::now() < end, "never");
        timeout(Duration::from_millis(1), runner.run()).await.unwrap_err();
    }
}

/// What the node has given to send and the socket has not: lost for ever, or waiting for a moment.
fn lost(handle: &Handle) -> u64 {
    let socket = handle.socket_stats();
    handle.read(|node| node.stats().datagrams_out) - socket.sent - socket.send_errors
}
