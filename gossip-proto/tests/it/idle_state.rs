//! What a swarm that agrees spends on its state: nothing that grows with the number of keys or of nodes.

use std::net::SocketAddr;
use std::time::Duration;

use gossip_proto::sim::{Network, Setup};
use gossip_proto::{Addr, Config, Instant, Node, NodeId, PublishOptions, PutOptions, Seed, Storage};

const SECOND: Duration = Duration::from_secs(1);

/// Bytes that a node sends per second, in a swarm of so many that hold so many keys and have agreed for a minute.
fn idle_bytes(nodes: usize, keys: usize) -> u64 {
    let mut net = Network::new(1);
    for node in 0..nodes {
        let mut setup = Setup::new(Config::lan("idle"));
        (setup.entries, setup.bytes) = (keys + 1, (keys + 16) * 160);
        net.add(setup);
        if node > 0 {
            net.join(node, 0);
        }
    }
    for key in 0..keys {
        let key = format!("topic {}/{key}", key % 7);
        net.with(0, |node, now| node.put(now, key.as_bytes(), &[7; 44], PutOptions::new())).unwrap();
    }
    assert!(net.run_to(600 * SECOND, |net| net.all_know_all() && net.roots_agree()), "{nodes} nodes, {keys} keys");
    net.run_for(120 * SECOND);
    let sent = |net: &Network| (0..nodes).map(|node| net.traffic(node).sent_bytes).sum::<u64>();
    let before = sent(&net);
    net.run_for(60 * SECOND);
    (sent(&net) - before) / 60 / nodes as u64
}

#[test]
fn idle_traffic_grows_neither_with_keys_nor_with_nodes() {
    let one = idle_bytes(8, 0);
    for (nodes, keys) in [(8, 100), (8, 2000), (64, 100)] {
        let bytes = idle_bytes(nodes, keys);
        assert!(
            bytes.abs_diff(one) <= 2,
            "{bytes} B per node-second with {nodes} nodes and {keys} keys, {one} without"
        );
    }
}

/// Two nodes that agree on members, entries and messages: one datagram says so.
#[test]
fn that_all_is_equal_takes_one_datagram_of_32_bytes() {
    let config = Config { probe_interval: 3600 * SECOND, probe_timeout: 3600 * SECOND, ..Config::lan("equal") };
    let addrs = [1, 2].map(|n| Addr::from(SocketAddr::from(([10, 0, 0, n], 7000))));
    let mut nodes = [1, 2].map(|n: u8| {
        let storage = Storage::with_capacity(8, 64, 65_536);
        Node::new(NodeId(n.into()), addrs[usize::from(n) - 1], config.clone(), storage, Seed::new([n; 32])).unwrap()
    });
    nodes[1].join(Instant::ZERO, addrs[0]).unwrap();
    let (mut now, mut quiet) = (Instant::ZERO, Vec::new());
    let (written, settled) = (Instant::from_millis(10_000), Instant::from_millis(120_000));
    while quiet.len() < 1_000 {
        if now < written && nodes.iter().filter_map(Node::poll_timeout).all(|due| due > written) {
            now = written;
            nodes.iter_mut().for_each(|node| node.handle_wall_clock(now, 1_800_000_000_000_000));
            nodes[0].put(now, b"a/b", b"c", PutOptions::new()).unwrap();
            let options = PublishOptions::new().ttl(24 * 3600 * SECOND);
            nodes[1].publish(now, b"a", b"hello", options).unwrap();
        }
        let mut busy = false;
        for from in 0..2 {
            let mut buf = [0; 1_400];
            let Some(sent) = nodes[from].poll_transmit(now, &mut buf) else { continue };
            busy = true;
            quiet.extend((now >= settled).then_some((now, sent.payload.len())));
            let mut bytes = sent.payload.to_vec();
            nodes[1 - from].handle_datagram(now, addrs[from], &mut bytes).unwrap();
        }
        for node in &mut nodes {
            while node.poll_event().is_some() {}
            node.handle_timeout(now);
        }
        if !busy {
            now = nodes.iter().filter_map(Node::poll_timeout).min().unwrap().max(now);
        }
    }
    // Nobody answers: there is nothing to say. Pings are answered, and not counted, nor what goes with their acks.
    let pinged = |at: &Instant| quiet.iter().any(|(other, len)| other == at && *len == 24);
    let lens: Vec<usize> = quiet.iter().filter(|(at, _)| !pinged(at)).map(|(_, len)| *len).collect();
    assert!(lens.iter().all(|len| (25..=32).contains(len)) && lens.len() > 950, "{lens:?}");
    assert!(now.as_micros() > 400 * 30_000_000, "a thousand datagrams in {now:?}");
}
