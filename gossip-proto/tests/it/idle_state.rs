//! What a swarm that agrees spends on its state: nothing that grows with the number of keys or of nodes.

use std::time::Duration;

use gossip_proto::sim::{Network, Setup};
use gossip_proto::{Config, PutOptions};

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
