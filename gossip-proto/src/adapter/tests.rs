//! What adapters rely on: addresses of both families, ends that hold, errors that kill a socket, events that all arrive.

use core::mem::MaybeUninit;
use core::net::SocketAddr;
use core::time::Duration;

use super::{Closed, Life, SocketStats, WaitError};
use crate::{Addr, Config, ConfigError, Instant, Memory, Node, NodeId, Seed};

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn one_member_has_one_address_whatever_socket_hears_it() {
    let (four, six) = (at("192.0.2.7:7946"), at("[2001:db8::7]:7946"));
    assert_eq!(Addr::from(at("[::ffff:192.0.2.7]:7946")), Addr::from(four));
    assert_eq!(Addr::from(at("[::ffff:192.0.2.7]:7946")).socket(), Some(four));
    assert_eq!(Addr::from(six).socket(), Some(six));
    // From a socket of either family.
    assert_eq!(Addr::from(four).socket_from(at("0.0.0.0:1")), Some(four));
    assert_eq!(Addr::from(four).socket_from(at("[::]:1")), Some(at("[::ffff:192.0.2.7]:7946")));
    assert_eq!(Addr::from(six).socket_from(at("[::]:1")), Some(six));
    assert_eq!(Addr::from(six).socket_from(at("0.0.0.0:1")), None);
    assert_eq!(Addr::new(b"radio").unwrap().socket_from(at("[::]:1")), None);
}

#[test]
fn waits_are_answered_by_the_node_and_ended_by_its_runner() {
    let mut memory = Memory::<4, 4, 256>::new();
    let mut node =
        Node::new(NodeId(1), Addr::from(at("192.0.2.1:1")), Config::lan("waits"), &mut memory, Seed::new([1; 32]))
            .unwrap();
    let mut life = Life::default();
    assert_eq!((life.joined(&node), life.left()), (None, None));
    assert_eq!(life.converged(&node).unwrap().unwrap().live, 1);
    node.join(Instant::ZERO, Addr::from(at("192.0.2.2:1"))).unwrap();
    assert_eq!((life.joined(&node), life.converged(&node)), (None, None));
    assert_eq!(life.converged_in_time(&node), Err(WaitError::Timeout(node.convergence())));
    node.leave(Instant::ZERO);
    assert_eq!(life.joined(&node), Some(Err(Closed)), "who is leaving joins nobody");
    life.end(Life::Left);
    life.end(Life::Closed);
    assert_eq!(life.left(), Some(Ok(())), "the first end holds");
    assert_eq!(life.converged_in_time(&node), Err(WaitError::Closed));
}

#[test]
fn a_socket_is_dead_when_nothing_but_errors_comes() {
    let mut stats = SocketStats::default();
    assert!((1..1000).all(|_| !stats.count_error(true)));
    stats.count_sent();
    assert!((1..1000).all(|_| !stats.count_error(true) && !stats.count_error(false)));
    assert!(stats.count_error(true));
    assert_eq!((stats.receive_errors, stats.send_errors, stats.sent), (1999, 999, 1));
}

#[test]
fn a_node_made_in_its_place_is_the_same() {
    let (mut first, mut second) = (Memory::<4, 4, 256>::new(), Memory::<4, 4, 256>::new());
    let make = |config| (NodeId(1), Addr::from(at("192.0.2.1:1")), config, Seed::new([1; 32]));
    let (id, addr, config, seed) = make(Config::lan("place"));
    let mut moved = Node::new(id, addr, config, &mut first, seed).unwrap();
    let mut place = MaybeUninit::uninit();
    let (id, addr, config, seed) = make(Config::lan("place"));
    let placed = Node::new_in(&mut place, id, addr, config, &mut second, seed).unwrap();
    let mut bufs = [[0; 1400]; 2];
    for node in [&mut moved, &mut *placed] {
        node.join(Instant::ZERO, Addr::from(at("192.0.2.2:1"))).unwrap();
    }
    let sent = |transmit: Option<crate::Transmit<'_>>| transmit.map(|transmit| transmit.payload.to_vec()).unwrap();
    let [one, two] = &mut bufs;
    assert_eq!(sent(moved.poll_transmit(Instant::ZERO, one)), sent(placed.poll_transmit(Instant::ZERO, two)));
    assert_eq!(moved.convergence(), placed.convergence());

    let mut place = MaybeUninit::uninit();
    let (id, addr, config, seed) = make(Config { probe_interval: Duration::ZERO, ..Config::lan("place") });
    let refused: Result<_, ConfigError> = Node::new_in(&mut place, id, addr, config, &mut first, seed);
    assert!(refused.is_err());
}

#[cfg(feature = "alloc")]
#[test]
fn every_event_is_told_and_each_in_its_streams() {
    use super::{Hosted, Lagged, MemberEvent, Outgoing, Topic};
    use crate::{MemberChange, OwnedEvent, PutOptions, Storage};
    use std::vec::Vec;

    let host = |id: u8, addr: &str| {
        let storage = Storage::with_capacity(4, 4, 4096);
        let node =
            Node::new(NodeId(id.into()), at(addr).into(), Config::lan("told"), storage, Seed::new([id; 32])).unwrap();
        let outgoing = Outgoing::new(&node, at(addr));
        (Hosted::new(node), outgoing)
    };
    let ((mut a, mut from_a), (mut b, mut from_b)) = (host(1, "192.0.2.1:1"), host(2, "192.0.2.2:1"));
    let now = Instant::ZERO;
    a.keep_time(now, || Some(1_700_000_000_000_000));
    b.keep_time(now, || None);
    b.node.join(now, at("192.0.2.1:1").into()).unwrap();
    a.node.put(now, b"key", b"value", PutOptions::new()).unwrap();
    for turn in 0..20 {
        let (from, out, to, addr) = match turn % 2 {
            0 => (&mut b, &mut from_b, &mut a, "192.0.2.2:1"),
            _ => (&mut a, &mut from_a, &mut b, "192.0.2.1:1"),
        };
        while out.fill(&mut from.node, now) {
            // It waits as long as it must.
            let mut datagram = out.waiting().unwrap().1.to_vec();
            assert!(out.fill(&mut from.node, now));
            assert_eq!(out.waiting().unwrap().1, datagram);
            to.node.handle_datagram(now, at(addr).into(), &mut datagram).unwrap();
            out.done();
        }
    }
    let mut told = Vec::new();
    for host in [&mut a, &mut b] {
        assert!(!host.tell(|event| told.push(event)));
    }
    let met = |id| Ok(OwnedEvent::Member { id: NodeId(id), change: MemberChange::Joined });
    assert!(told.contains(&met(1)) && told.contains(&met(2)) && told.contains(&Ok(OwnedEvent::Joined)), "{told:?}");
    assert_eq!(Topic::of(&met(1)), Topic::Member(MemberEvent { id: NodeId(1), change: MemberChange::Joined }));
    let entry = told.iter().find(|event| matches!(event, Ok(OwnedEvent::Entry { .. }))).unwrap();
    assert!(matches!(Topic::of(entry), Topic::Entry(entry) if *entry.key == *b"key"));
    assert_eq!(Topic::of(&Err(Lagged(3))), Topic::All(Lagged(3)));
    assert_eq!(Topic::of(&Ok(OwnedEvent::QuorumLost)), Topic::None);
    // Time goes on by the clock alone, and ends with the node.
    assert!(a.deadline(false).is_some());
    a.node.leave(now);
    while from_a.fill(&mut a.node, now) {
        from_a.done();
    }
    let mut at = now;
    while let Some(deadline) = a.deadline(false).filter(|_| at < Instant::from_millis(60_000)) {
        at = deadline.max(at);
        a.keep_time(at, || None);
        while from_a.fill(&mut a.node, at) {
            from_a.done();
        }
    }
    assert_eq!(a.deadline(false), None);
    assert!(a.deadline(true).is_some(), "what remains is still to be done");
}
