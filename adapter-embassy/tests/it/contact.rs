//! Sending to many, to the dead and to nowhere; and what the same costs on a bare stack, which is why the wrapper exists.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use embassy_net::IpEndpoint;
use embassy_net::udp::UdpSocket;
use embassy_time::{Duration, Instant, Timer};
use gossip_embassy::Unreachable;

use crate::net::{Host, World, at};

type Arrivals = Rc<RefCell<BTreeMap<Vec<u8>, Duration>>>;

/// One datagram, with the cure or without.
async fn send(cured: bool, host: &Host, socket: &UdpSocket<'_>, datagram: &[u8], to: u8) -> Result<(), Unreachable> {
    if cured {
        return host.network.send_to(socket, datagram, at(to)).await;
    }
    socket.send_to(datagram, IpEndpoint::from((*at(to).ip(), at(to).port()))).await.map_err(|_| Unreachable::NoRoute)
}

fn listeners(world: &World, count: u8) -> Vec<Arrivals> {
    (2..2 + count).map(|number| world.listener(number)).collect()
}

/// One datagram to each of 20 peers that were never heard of; how long until all have theirs.
fn first_contact(cured: bool) -> (Duration, usize) {
    let world = World::new();
    let peers = listeners(&world, 20);
    let host = world.host(1, cured);
    let (start, socket) = (Instant::now(), host.socket());
    world.run("all are sent", async {
        for to in 2..22 {
            send(cured, &host, &socket, b"hello", to).await.unwrap();
        }
    });
    world.until("all have arrived", || peers.iter().all(|peer| peer.borrow().len() == 1));
    (start.elapsed(), world.segment().arp_requests.get())
}

#[test]
fn first_contact_with_20_live_peers() {
    let (took, asked) = first_contact(true);
    println!("20 first contacts: {took}, {asked} questions");
    assert!(took < Duration::from_secs(1), "{took}");
    assert_eq!(asked, 20);
}

#[test]
fn first_contact_without_the_wrapper_takes_a_second_each() {
    let (took, _) = first_contact(false);
    println!("20 first contacts, bare: {took}");
    assert!(took >= Duration::from_secs(15), "embassy-net has improved: {took}");
}

/// A datagram to each of 32 peers in each of 10 rounds, a second apart; how many arrived within their second.
fn rounds(cured: bool) -> usize {
    let world = World::new();
    let peers = listeners(&world, 32);
    let host = world.host(1, cured);
    let socket = host.socket();
    world.spawn(async move {
        for round in 0..10 {
            for to in 2..34 {
                let _ = send(cured, &host, &socket, &[round], to).await;
            }
            Timer::at(Instant::from_secs(u64::from(round) + 1)).await;
        }
    });
    world.pass(Duration::from_secs(12));
    let on_time = |(round, at): (&Vec<u8>, &Duration)| at.as_secs() == u64::from(round[0]);
    peers.iter().map(|peer| peer.borrow().iter().filter(|arrival| on_time(*arrival)).count()).sum()
}

#[test]
fn thirty_two_peers_in_steady_rounds_lose_no_interval() {
    assert_eq!(rounds(true), 320);
}

#[test]
fn thirty_two_peers_without_the_wrapper_lose_nearly_all() {
    let on_time = rounds(false);
    println!("bare: {on_time} of 320 on time");
    assert!(on_time < 160, "embassy-net has improved: {on_time} of 320");
}

/// Ten rounds to eight peers, one of which is not there; the longest that any other had to wait, if all were served.
fn dead_among_eight(cured: bool) -> Option<Duration> {
    const DEAD: u8 = 5;
    let world = World::new();
    let peers: Vec<Arrivals> = (2..10).filter(|peer| *peer != DEAD).map(|number| world.listener(number)).collect();
    let host = world.host(1, cured);
    let socket = host.socket();
    let start = Duration::from_millis(Instant::now().as_millis());
    world.spawn(async move {
        for round in 0..10 {
            for to in 2..10 {
                let _ = send(cured, &host, &socket, &[round], to).await;
            }
            Timer::after_secs(1).await;
        }
    });
    world.pass(Duration::from_secs(11));
    let arrivals = peers.iter().map(|peer| peer.borrow().len()).sum::<usize>();
    let late = |(round, at): (&Vec<u8>, &Duration)| *at - start - Duration::from_secs(round[0].into());
    let latest = peers.iter().flat_map(|peer| peer.borrow().iter().map(late).collect::<Vec<_>>()).max();
    latest.filter(|_| arrivals == 70)
}

#[test]
fn one_dead_peer_delays_no_other() {
    let latest = dead_among_eight(true).expect("all are served");
    println!("1 dead of 8: others wait at most {latest}");
    assert!(latest <= Duration::from_millis(30), "{latest}");
}

#[test]
fn one_dead_peer_without_the_wrapper_blocks_all() {
    assert_eq!(dead_among_eight(false), None, "embassy-net has improved");
}

#[test]
fn what_cannot_be_reached_is_refused_at_once() {
    let world = World::new();
    let peer = world.listener(2);
    let host = world.host(1, true);
    let socket = host.socket();
    let start = Instant::now();
    world.run("sent", async {
        let elsewhere = "192.0.2.1:7946".parse().unwrap();
        assert_eq!(host.network.send_to(&socket, b"x", elsewhere).await, Err(Unreachable::NoRoute));
        assert_eq!(
            host.network.send_to(&socket, b"x", "0.0.0.0:7946".parse().unwrap()).await,
            Err(Unreachable::NoRoute)
        );
        assert_eq!(host.network.send_to(&socket, &[0; 7000], at(2)).await, Err(Unreachable::Socket));
        host.network.send_to(&socket, b"hello", at(2)).await.unwrap();
    });
    world.until("it has arrived", || peer.borrow().len() == 1);
    assert!(start.elapsed() < Duration::from_millis(10));
}

#[test]
fn an_unroutable_destination_blocks_a_bare_stack() {
    let world = World::new();
    let peer = world.listener(2);
    let host = world.host(1, false);
    let socket = host.socket();
    world.run("sent", async {
        let elsewhere = IpEndpoint::from((core::net::Ipv4Addr::new(192, 0, 2, 1), 7946));
        socket.send_to(b"x", elsewhere).await.unwrap();
        send(false, &host, &socket, b"hello", 2).await.unwrap();
    });
    world.pass(Duration::from_secs(30));
    assert!(peer.borrow().is_empty(), "embassy-net has improved");
}

/// The one whose address nobody answered is reached as soon as it is there.
#[test]
fn a_silent_peer_that_comes_up_is_reached() {
    let world = World::new();
    let host = world.host(1, true);
    let socket = Rc::new(host.socket());
    let sending = socket.clone();
    let sender = host.clone();
    world.spawn(async move {
        loop {
            let _ = sender.network.send_to(&sending, b"hello", at(2)).await;
            Timer::after_millis(100).await;
        }
    });
    world.pass(Duration::from_secs(5));
    assert!((4..=6).contains(&world.segment().arp_requests.get()), "asked once per second");
    let peer = world.listener(2);
    let took = world.until("it has arrived", || peer.borrow().len() == 1);
    assert!(took <= Duration::from_millis(1200), "{took}");
}

/// A second socket of the same stack, used through the same network, is served while the first one talks to the dead.
#[test]
fn another_socket_is_served_too() {
    let world = World::new();
    let peer = world.listener(2);
    let host = world.host(1, true);
    let first = host.socket();
    world.run("sent", async {
        assert_eq!(host.network.send_to(&first, b"x", at(9)).await, Err(Unreachable::Silent));
        let second = host.socket_at(9000);
        host.network.send_to(&second, b"hello", at(2)).await.unwrap();
        // A socket that is dropped takes along what it holds.
        Timer::after_millis(5).await;
    });
    world.until("it has arrived", || peer.borrow().len() == 1);
}
