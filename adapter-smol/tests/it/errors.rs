//! A socket may fail in many ways; only a dead one ends the runner.

use std::net::{SocketAddr, UdpSocket};

use gossip_smol::proto::{Addr, Node};
use smol::Async;

use crate::net::{Agent, LOCALHOST, Swarm, bind, meet, put, run, soon, until};

/// A contact whose port is closed: the socket is told when it is connected, which a gossip socket need not be but may.
#[cfg(target_os = "linux")]
#[test]
fn a_refused_contact_is_counted() {
    run(1, async {
        let swarm = Swarm::quick();
        let (_, closed) = bind(LOCALHOST);
        let (socket, addr) = bind(LOCALHOST);
        socket.get_ref().connect(closed).unwrap();
        let (handle, runner) = gossip_smol::new(socket, swarm.node(addr));
        let a = Agent::spawn(handle, runner, addr);
        a.join(closed);
        until("several refusals", || a.handle.socket_stats().receive_errors + a.handle.socket_stats().send_errors >= 2)
            .await;
        // The port opens: the runner still asks, and is answered.
        let b = Async::<UdpSocket>::bind(closed).unwrap();
        let (handle, runner) = gossip_smol::new(b, swarm.node(closed));
        let b = Agent::spawn(handle, runner, closed);
        meet(&[&a.handle, &b.handle]).await;
        soon("a leaves", a.handle.leave()).await.unwrap();
        soon("its runner ends", a.task).await.unwrap();
    });
}

#[test]
fn contacts_that_the_socket_cannot_reach_are_counted() {
    run(1, async {
        let swarm = Swarm::quick();
        let (a, b) = (swarm.agent(LOCALHOST), swarm.agent(LOCALHOST));
        a.join("[::1]:9".parse().unwrap());
        a.handle.with(|node, now| node.join(now, Addr::new(b"radio").unwrap())).unwrap();
        until("both are counted", || a.handle.socket_stats().send_errors >= 2).await;
        a.join(b.addr);
        meet(&[&a.handle, &b.handle]).await;
        assert!(!a.task.is_finished());
    });
}

#[test]
fn datagrams_of_any_length_are_taken() {
    run(1, async {
        let swarm = Swarm::quick();
        let (a, b) = swarm.pair().await;
        let stranger = UdpSocket::bind(SocketAddr::from((LOCALHOST, 0))).unwrap();
        let refused = |node: &Node| {
            let stats = node.stats();
            stats.refused_short + stats.refused_version + stats.refused_check + stats.refused_malformed
        };
        for len in [0, 1, 2, 1400, 1401, 9000, 65_507] {
            let before = a.handle.read(refused);
            stranger.send_to(&vec![0xa5; len], a.addr).unwrap();
            until("it was refused", || a.handle.read(refused) == before + 1).await;
        }
        put(&a.handle, "key", "value");
        until("the swarm goes on", || b.get("key").is_some()).await;
        assert_eq!(a.handle.socket_stats().receive_errors, 0);
    });
}

#[test]
fn a_panic_under_the_lock_is_the_callers() {
    run(1, async {
        let (a, b) = Swarm::quick().pair().await;
        let handle = a.handle.clone();
        let panicked = std::thread::spawn(move || handle.with(|_, _| panic!("a bug of the application"))).join();
        assert!(panicked.is_err());
        a.put("key", "value");
        until("the swarm goes on", || b.get("key").is_some()).await;
    });
}

/// Another file takes the place of the socket under its descriptor.
#[cfg(target_os = "linux")]
#[test]
fn a_dead_socket_ends_the_runner() {
    run(1, async {
        use std::os::fd::AsRawFd;

        let swarm = Swarm::quick();
        let (socket, addr) = bind(LOCALHOST);
        let descriptor = socket.as_raw_fd();
        let (handle, runner) = gossip_smol::new(socket, swarm.node(addr));
        let (a, b) = (Agent::spawn(handle, runner, addr), swarm.agent(LOCALHOST));
        a.join(b.addr);
        meet(&[&a.handle, &b.handle]).await;
        let null = std::fs::File::open("/dev/null").unwrap();
        // SAFETY: both descriptors are open, and the socket's owner goes on owning its number.
        assert!(unsafe { libc::dup2(null.as_raw_fd(), descriptor) } >= 0);
        let error = soon("the runner ends", a.task).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTSOCK));
        assert_eq!(a.handle.leave().await, Err(gossip_smol::Closed));
    });
}
