//! A flood starves neither timers nor handles nor members.

use std::future::poll_fn;
use std::net::{SocketAddr, UdpSocket};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;

use gossip_smol::proto::{Instant, MemberChange, MemberState, Node, NodeId};
use gossip_smol::{Events, MemberEvent};
use smol::future::yield_now;

use crate::net::{LOCALHOST, Swarm, meet, put, run, spawn, state, until};

/// Sends datagrams as fast as one thread can, until it is dropped.
struct Flood {
    running: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Flood {
    fn start(to: SocketAddr, datagrams: Vec<Vec<u8>>) -> Self {
        let (running, sent) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
        let socket = UdpSocket::bind(SocketAddr::from((LOCALHOST, 0))).unwrap();
        let thread = std::thread::spawn({
            let (running, sent) = (running.clone(), sent.clone());
            move || {
                for datagram in datagrams.iter().cycle() {
                    if !running.load(Ordering::Relaxed) {
                        return;
                    }
                    sent.fetch_add(u64::from(socket.send_to(datagram, to).is_ok()), Ordering::Relaxed);
                }
            }
        });
        Self { running, sent, thread: Some(thread) }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.running.store(false, Ordering::Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// Garbage of several lengths: empty, short, long, and with the first byte of a real datagram.
fn garbage(real: &[u8]) -> Vec<Vec<u8>> {
    let mut forged = vec![0x5a; 300];
    forged[0] = real[0];
    let mut damaged = real.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    vec![vec![], vec![real[0]], forged, damaged, vec![0xff; 1400]]
}

/// What a stranger of the same swarm sends when it asks to be taken in.
fn join_datagram(swarm: &Swarm, contact: SocketAddr) -> Vec<u8> {
    let mut stranger = swarm.node(SocketAddr::from((LOCALHOST, 9)));
    let mut buf = [0; 1400];
    stranger.join(Instant::ZERO, contact.into()).unwrap();
    stranger.poll_transmit(Instant::ZERO, &mut buf).unwrap().payload.to_vec()
}

/// Floods `a` until it finds out that a crashed member is dead, which takes probes, their timeouts and a suspicion.
async fn flood(swarm: Swarm, datagrams: impl FnOnce(&[u8]) -> Vec<Vec<u8>>) {
    let (a, b) = swarm.pair().await;
    let crashed = swarm.agent(LOCALHOST);
    crashed.join(a.addr);
    meet(&[&a.handle, &b.handle, &crashed.handle]).await;
    let id = crashed.id();
    let told = spawn(all_changes(a.handle.member_events()));

    let flood = Flood::start(a.addr, datagrams(&join_datagram(&swarm, a.addr)));
    until("the flood has begun", || flood.sent.load(Ordering::Relaxed) > 1000).await;
    crashed.crash().await;
    let mut calls = 0;
    until("a finds the dead one", || {
        put(&a.handle, &format!("during/{}", calls % 10), "value");
        calls += 1;
        state(&a.handle, id) == Some(MemberState::Dead)
    })
    .await;
    let (sent, taken) = (flood.sent.load(Ordering::Relaxed), a.handle.socket_stats().received);
    drop(flood);
    println!("flooded with {sent} datagrams, took {taken}, {calls} calls of the handle meanwhile");
    assert!(taken > 1000 && calls > 10);

    until("a is sure of b", || state(&a.handle, b.id()) == Some(MemberState::Alive)).await;
    until("b is sure of a", || state(&b.handle, a.id()) == Some(MemberState::Alive)).await;
    until("what was written meanwhile is everywhere", || b.get("during/9").is_some()).await;
    a.handle.leave().await.unwrap();
    let told = told.await;
    let died = |member: NodeId| told.contains(&MemberEvent { id: member, change: MemberChange::Died });
    assert!(died(id), "the crashed one");
    assert!(!died(b.id()), "the living one");
}

/// All that is told of members until the stream ends; nothing is missed, since the reader is quick.
async fn all_changes(mut members: Events<MemberEvent>) -> Vec<MemberEvent> {
    let mut told = vec![];
    while let Some(event) = members.next().await {
        told.push(event.expect("a quick reader does not lag"));
    }
    told
}

/// Suspicion takes a second: kernel buffers are full, so many a datagram of the living one is lost.
fn suspicious() -> Swarm {
    let mut swarm = Swarm::quick();
    swarm.config.suspicion_mult = 20;
    swarm
}

#[test]
fn garbage_starves_nothing() {
    run(2, async {
        flood(suspicious(), garbage).await;
    });
}

#[test]
fn valid_datagrams_starve_nothing() {
    run(2, async {
        flood(suspicious(), |real| vec![real.to_vec()]).await;
    });
}

#[test]
fn garbage_starves_nothing_on_one_thread() {
    run(1, async {
        flood(suspicious(), garbage).await;
    });
}

/// However much waits in the socket, a poll of `run` takes only its share and lets others run.
#[test]
fn a_poll_takes_no_more_than_its_share() {
    run(1, async {
        let (handle, mut runner, addr) = Swarm::quick().still(LOCALHOST);
        let stranger = UdpSocket::bind(SocketAddr::from((LOCALHOST, 0))).unwrap();
        let sent = (0..200).filter(|_| stranger.send_to(b"garbage", addr).is_ok()).count() as u64;
        let (mut before, mut polls, mut run) = (0, 0, pin!(runner.run()));
        while before < sent {
            assert!(poll_fn(|context| Poll::Ready(run.as_mut().poll(context).is_pending())).await);
            let taken = handle.socket_stats().received;
            assert!(taken - before <= 64, "{} datagrams in one poll", taken - before);
            (before, polls) = (taken, polls + 1);
            assert!(polls < 1_000_000, "never");
            yield_now().await;
        }
    });
}

/// On one thread only the runner's own yielding lets others run: a task counts how often it does.
#[test]
fn other_tasks_of_the_thread_have_their_turns() {
    run(1, async {
        let swarm = Swarm::quick();
        let a = swarm.agent(LOCALHOST);
        let turns = Arc::new(AtomicU64::new(0));
        let other = spawn({
            let turns = turns.clone();
            async move {
                loop {
                    turns.fetch_add(1, Ordering::Relaxed);
                    yield_now().await;
                }
            }
        });
        let _flood = Flood::start(a.addr, vec![vec![0; 64]]);
        until("many were taken", || a.handle.socket_stats().received > 20_000).await;
        let (turns, taken) = (turns.load(Ordering::Relaxed), a.handle.socket_stats().received);
        assert!(turns > taken / 64, "{turns} turns of another task for {taken} datagrams");
        other.cancel().await;
        assert_eq!(a.handle.read(Node::live), 1);
    });
}
