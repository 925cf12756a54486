//! Interfaces come and go, and addresses with them; the node stays.

use embassy_time::Duration;
use gossip_embassy::proto::{Addr, Node, NodeId};
use std::net::SocketAddr;

use crate::net::{World, address, at};
use crate::sharing::meet;

#[test]
fn a_link_that_goes_down_comes_back() {
    let world = World::new();
    let (a, b) = (world.agent(1), world.agent(2));
    b.join(1);
    meet(&world, &[&a, &b]);
    b.host.set_link(false);
    world.until("both find the other dead", || a.live() == 1 && b.live() == 1);
    b.put("offline", "yes");
    assert!(b.handle.socket_stats().send_errors > 0, "what could not go is counted");
    b.host.set_link(true);
    let took = meet(&world, &[&a, &b]);
    println!("together again {took} after the link");
    world.until("a has what b wrote", || a.get("offline").is_some());
    assert!(!b.ended.get());
}

#[test]
fn contacts_that_the_socket_cannot_reach_are_counted() {
    let world = World::new();
    let (a, b) = (world.agent(1), world.agent(2));
    for contact in [SocketAddr::from(([192, 0, 2, 1], 9)).into(), "[::1]:9".parse::<SocketAddr>().unwrap().into()] {
        a.handle.with(|node, now| node.join(now, contact)).unwrap();
    }
    a.handle.with(|node, now| node.join(now, Addr::new(b"radio").unwrap())).unwrap();
    world.until("all are counted", || a.handle.socket_stats().send_errors >= 3);
    a.join(2);
    meet(&world, &[&a, &b]);
    assert!(!a.ended.get());
}

#[test]
fn an_address_is_lost_and_regained() {
    let world = World::new();
    let (a, b) = (world.agent(1), world.agent(2));
    b.join(1);
    meet(&world, &[&a, &b]);
    b.host.set_config(None);
    world.until("both find the other dead", || a.live() == 1 && b.live() == 1);
    a.put("meanwhile", "yes");
    b.host.set_config(Some(address(2)));
    meet(&world, &[&a, &b]);
    world.until("b has what a wrote", || b.get("meanwhile").is_some());
    assert!(b.handle.socket_stats().rebound >= 1);
}

/// Another lease: the application tells the node, which tells the others.
#[test]
fn an_address_that_changes_is_announced() {
    let world = World::new();
    let (a, b) = (world.agent(1), world.agent(2));
    b.join(1);
    meet(&world, &[&a, &b]);
    let (stack, handle) = (b.host.stack, b.handle);
    world.spawn(async move {
        stack.wait_config_down().await;
        stack.wait_config_up().await;
        let ip = stack.config_v4().unwrap().address.address();
        handle.with(|node, now| node.set_addr(now, SocketAddr::from((ip, 7946)).into()));
    });
    b.host.set_config(None);
    world.pass(Duration::from_millis(100));
    b.host.set_config(Some(address(77)));
    let new: Addr = SocketAddr::from(at(77)).into();
    world.until("a knows", || a.handle.read(|node| node.member(NodeId(2)).unwrap().addr) == new);
    a.put("key", "value");
    world.until("b is reached there", || b.get("key").is_some());
    assert_eq!((a.handle.read(Node::live), b.handle.read(Node::live)), (2, 2));
}
