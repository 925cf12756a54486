//! Dropping the future of `run` loses nothing.

use std::time::Duration;

use gossip_tokio::proto::Node;
use gossip_tokio::{Handle, Runner};
use tokio::time::{Instant, sleep, timeout};

use crate::net::{Agent, FOREVER, LOCALHOST, Swarm, get, meet, put, soon, until};

/// A UDP socket on loopback is never full. A stream that nobody reads is, and takes the same calls on Linux.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_datagram_that_waits_for_the_socket_survives() {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
    use std::os::fd::OwnedFd;

    let swarm = Swarm::quick();
    let listener = TcpListener::bind(SocketAddr::from((LOCALHOST, 0))).unwrap();
    let mut writer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut reader, addr) = listener.accept().unwrap();
    writer.set_nonblocking(true).unwrap();
    let (mut filled, mut before) = (0, None);
    while before.replace(filled) != Some(filled) {
        while let Ok(len) = writer.write(&[0; 4096]).or_else(|_| writer.write(&[0])) {
            filled += len;
        }
        // The two ends may yet agree to hold more.
        sleep(Duration::from_millis(50)).await;
    }

    let full = tokio::net::UdpSocket::from_std(UdpSocket::from(OwnedFd::from(writer))).unwrap();
    let (handle, mut runner) = gossip_tokio::new(full, swarm.node(addr));
    let mut contact = swarm.node(SocketAddr::from((LOCALHOST, 9)));
    handle.with(|node, now| node.join(now, SocketAddr::from((LOCALHOST, 9)).into())).unwrap();
    for _ in 0..10 {
        timeout(Duration::from_millis(1), runner.run()).await.unwrap_err();
    }
    assert!(handle.socket_stats().send_waits >= 10);
    assert_eq!((handle.socket_stats().sent, lost(&handle)), (0, 1));

    // A node that has nothing but farewells to say has no timers in the end: room alone wakes the runner, which sends
    // whole and once, and ends.
    handle.with(|node, now| node.leave(now));
    let running = tokio::spawn(async move { runner.run().await });
    until("no timers", || handle.read(Node::poll_timeout).is_none()).await;
    sleep(Duration::from_millis(20)).await;
    assert!(!running.is_finished());
    reader.read_exact(&mut vec![0; filled]).unwrap();
    soon("the runner ends", running).await.unwrap().unwrap();
    assert_eq!((handle.socket_stats().sent, lost(&handle)), (1, 0));
    let mut datagram = vec![];
    let len = reader.read_to_end(&mut datagram).unwrap();
    contact.handle_datagram(gossip_tokio::proto::Instant::ZERO, addr.into(), &mut datagram[..len]).unwrap();
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
