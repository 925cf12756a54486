//! Agents find each other, over any kind of socket, and notice who is gone.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use gossip_tokio::Event;
use gossip_tokio::proto::{Lifecycle, MemberChange, MemberState, Node};
use tokio::net::UdpSocket;

use crate::net::{Agent, LOCALHOST, Swarm, meet, soon, state, until};

async fn see_each_other(ip: IpAddr) {
    let swarm = Swarm::quick();
    let (a, b, c) = (swarm.agent(ip).await, swarm.agent(ip).await, swarm.agent(ip).await);
    let (mut news, mut members) = (b.handle.events(), a.handle.member_events());
    b.join(a.addr);
    soon("b is taken in", b.handle.joined()).await.unwrap();
    c.join(b.addr);
    meet(&[&a.handle, &b.handle, &c.handle]).await;
    a.handle.read(|node| assert_eq!(node.member(c.id()).unwrap().addr, c.addr.into()));
    assert_eq!(b.handle.read(Node::lifecycle), Lifecycle::Member);
    soon("b is told that it has joined", async { while news.next().await != Some(Ok(Event::Joined)) {} }).await;
    let mut met = [members.next().await, members.next().await].map(|event| event.unwrap().unwrap());
    met.sort_by_key(|event| event.id);
    assert_eq!(met.map(|event| (event.id, event.change)), [b.id(), c.id()].map(|id| (id, MemberChange::Joined)));
}

#[tokio::test]
async fn over_ipv4() {
    see_each_other(LOCALHOST.into()).await;
}

#[tokio::test]
async fn over_ipv6() {
    see_each_other(Ipv6Addr::LOCALHOST.into()).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_socket_of_both_families_meets_an_ipv4_one() {
    let swarm = Swarm::quick();
    let both = UdpSocket::bind("[::]:0").await.unwrap();
    let addr = SocketAddr::from((LOCALHOST, both.local_addr().unwrap().port()));
    let (handle, runner) = gossip_tokio::new(both, swarm.node(addr));
    let (a, b) = (Agent::spawn(handle, runner, addr), swarm.agent(LOCALHOST).await);
    a.join(b.addr);
    meet(&[&a.handle, &b.handle]).await;
    b.put("color", "blue");
    until("a has it", || a.get("color").is_some()).await;
    assert_eq!(a.handle.read(|node| node.member(b.id()).unwrap().addr), b.addr.into());
    assert_eq!(a.handle.socket_stats().send_errors, 0);
}

#[tokio::test]
async fn a_contact_that_comes_up_later_is_still_joined() {
    let swarm = Swarm::quick();
    let (late, runner, addr) = swarm.still(LOCALHOST).await;
    let early = swarm.agent(LOCALHOST).await;
    early.join(addr);
    let joined = tokio::spawn({
        let handle = early.handle.clone();
        async move { handle.joined().await }
    });
    until("it was asked", || early.handle.socket_stats().sent > 0).await;
    assert!(!joined.is_finished());
    let late = Agent::spawn(late, runner, addr);
    soon("joined", joined).await.unwrap().unwrap();
    meet(&[&early.handle, &late.handle]).await;
}

#[tokio::test]
async fn being_cut_off_and_asleep_are_told() {
    let swarm = Swarm::quick();
    let (a, b) = swarm.pair().await;
    let mut news = a.handle.events();
    b.crash().await;
    let (mut told, mut helped, c) = (Vec::new(), false, swarm.agent(LOCALHOST).await);
    let wanted = [Event::QuorumLost, Event::Isolated, Event::Reconnected, Event::QuorumRegained, Event::Asleep];
    while !wanted.iter().all(|event| told.contains(event)) {
        let event = soon("all is told", news.next()).await.unwrap().unwrap();
        let regained = event == Event::QuorumRegained;
        told.push(event);
        // Not before it has lost its quorum, too: with a third member it would not.
        if !helped && wanted[..2].iter().all(|event| told.contains(event)) {
            helped = true;
            c.join(a.addr);
        }
        if regained {
            a.handle.with(|node, now| node.sleep(now, std::time::Duration::from_secs(60))).unwrap();
        }
    }
}

#[tokio::test]
async fn a_crashed_member_dies() {
    let swarm = Swarm::quick();
    let (a, b) = swarm.pair().await;
    let mut members = a.handle.member_events();
    let id = b.id();
    b.crash().await;
    soon("told that b died", async { while members.next().await.unwrap().unwrap().change != MemberChange::Died {} })
        .await;
    assert_eq!(state(&a.handle, id), Some(MemberState::Dead));
    assert_eq!(a.handle.read(Node::live), 1);
}
