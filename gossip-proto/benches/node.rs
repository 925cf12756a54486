//! What the doors of a node cost: an idle datagram in swarms of two sizes, and writes into a full table.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use gossip_proto::{Addr, Config, Instant, Node, NodeId, PutOptions, Seed, Storage};

fn addr(n: u64) -> Addr {
    Addr::from(std::net::SocketAddr::from(([10, (n >> 16) as u8, (n >> 8) as u8, n as u8], 7000)))
}

fn node(n: u64, members: usize, entries: usize, bytes: usize) -> Node<'static> {
    // Probes so rare that only those that the benchmark wants are sent.
    let mut config = Config::lan("bench");
    config.probe_interval = Duration::from_secs(3600);
    // A budget that a loop does not exhaust, in which each turn takes a microsecond.
    config.bytes_per_second = u32::MAX;
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&n.to_le_bytes());
    let storage = Storage::with_capacity(members, entries, bytes);
    Node::new(NodeId(n), addr(n), config, storage, Seed::new(seed)).expect("the configuration is valid")
}

/// Everything that a node has to send now.
fn drain(node: &mut Node<'_>, now: Instant) -> Vec<(Addr, Vec<u8>)> {
    let (mut buf, mut sent) = ([0; 1400], Vec::new());
    while let Some(transmit) = node.poll_transmit(now, &mut buf) {
        sent.push((transmit.to, transmit.payload.to_vec()));
    }
    sent
}

/// A node that knows `size` others, and a ping of each of them.
fn swarm(size: u64) -> (Node<'static>, Instant, Vec<(Addr, Vec<u8>)>) {
    let mut hub = node(0, size as usize + 1, 16, 4096);
    let mut now = Instant::from_millis(1);
    let mut pings = Vec::new();
    for n in 1..=size {
        let mut other = node(n, 2, 16, 4096);
        other.join(now, addr(0)).expect("there is room for a contact");
        for (_, mut datagram) in drain(&mut other, now) {
            hub.handle_datagram(now, addr(n), &mut datagram).expect("a join is accepted");
        }
        for (to, mut datagram) in drain(&mut hub, now) {
            if to == addr(n) {
                let _ = other.handle_datagram(now, addr(0), &mut datagram);
            }
        }
        while let Some(event) = hub.poll_event() {
            black_box(event);
        }
        // The first probe of the other comes after hours of silence, so it carries nothing else; a node whose first phase
        // is too short for that is left out.
        let ping = (0..100).find_map(|_| {
            let at = other.poll_timeout()?;
            other.handle_timeout(at);
            drain(&mut other, at).into_iter().find(|(to, datagram)| *to == addr(0) && datagram.len() == 24)
        });
        let Some((_, ping)) = ping else { continue };
        pings.push((addr(n), ping));
    }
    // Rumors about the others die down.
    for _ in 0..10_000 {
        let Some(at) = hub.poll_timeout().filter(|at| *at < Instant::from_millis(600_000)) else { break };
        now = at;
        hub.handle_timeout(now);
        black_box(drain(&mut hub, now));
    }
    (hub, now, pings)
}

fn idle(c: &mut Criterion) {
    let mut group = c.benchmark_group("idle datagram: ping in, ack out");
    for size in [64, 1024] {
        let (mut hub, mut now, pings) = swarm(size);
        let mut buf = [0; 1400];
        let (mut turn, mut datagram) = (0, [0; 24]);
        group.bench_function(format!("N={size}"), |b| {
            b.iter(|| {
                // Members speak in an order that no cache foresees.
                turn = (turn + 509) % pings.len();
                now = now + Duration::from_micros(1);
                let (from, ping) = &pings[turn];
                datagram.copy_from_slice(ping);
                hub.handle_datagram(now, *from, &mut datagram).expect("a ping is accepted");
                let ack = hub.poll_transmit(now, &mut buf).expect("a ping is answered");
                assert_eq!((ack.to, ack.payload.len()), (*from, 24));
            });
        });
    }
    group.finish();
}

fn put(c: &mut Criterion) {
    let mut group = c.benchmark_group("put");
    for size in [1_000_u32, 100_000] {
        let now = Instant::from_millis(1);
        let mut store = node(0, 2, size as usize + 1, size as usize * 160);
        for n in 0..size {
            store.put(now, format!("topic/{n}").as_bytes(), &[0; 44], PutOptions::new()).expect("there is room");
        }
        let mut n = 0;
        group.bench_function(format!("replace one of {size}"), |b| {
            b.iter_batched(
                || {
                    n = (n + 50_021) % size;
                    format!("topic/{n}")
                },
                |key| store.put(now, key.as_bytes(), &[7; 44], PutOptions::new()).expect("there is room"),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, idle, put);
criterion_main!(benches);
