//! Values larger than a datagram: they come whole or not at all, from whoever has them, whatever the network does.

use std::time::Duration;

use gossip_proto::sim::{Faults, Latency, Network, Setup};
use gossip_proto::{Config, ConfigError, Event, Kind, Memory, Node, PutError, PutOptions, Saved, Seed, Stats, Storage};

const SECOND: Duration = Duration::from_secs(1);
const MIB: usize = 1 << 20;

fn config(value_len_max: usize) -> Config {
    Config { value_len_max: value_len_max as u32, ..Config::lan("large") }
}

/// A swarm at rest, of nodes that take values of this length and have room for some of them.
fn swarm(seed: u64, nodes: usize, value_len_max: usize, mtu: u16) -> Network {
    let mut net = Network::new(seed);
    net.set_replay(format!("cargo test -p gossip-proto --features sim --test it large # seed {seed}"));
    for node in 0..nodes {
        let mut setup = Setup::new(Config { datagram_len_max: mtu, ..config(value_len_max) });
        setup.mtu = mtu;
        net.add(setup.capacity(nodes + 2, 64, value_len_max * 12 + (1 << 16)));
        if node > 0 {
            net.join(node, 0);
        }
    }
    assert!(net.run_to(120 * SECOND, |net| net.all_know_all() && net.roots_agree()), "seed {seed}");
    net.run_for(5 * SECOND);
    net.reset_figures();
    net
}

/// Bytes that are the same nowhere.
fn value(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn put(net: &mut Network, node: usize, key: &[u8], value: &[u8]) {
    net.with(node, |node, now| node.put(now, key, value, PutOptions::new())).unwrap();
}

fn held<'n>(net: &'n Network, node: usize, key: &[u8]) -> Option<&'n [u8]> {
    net.node(node)?.get(key).map(|entry| entry.value())
}

fn stats(net: &Network, node: usize) -> Stats {
    *net.node(node).unwrap().stats()
}

/// Runs until all hold the value; whoever reads meanwhile sees one of `before`, or that.
fn run_to_whole(net: &mut Network, limit: Duration, key: &[u8], before: &[Option<&[u8]>], value: &[u8]) -> Duration {
    let begun = net.now();
    let done = net.run_to(limit, |net| {
        let mut whole = true;
        for node in net.running() {
            let seen = held(net, node, key);
            if seen != Some(value) {
                whole = false;
                assert!(before.contains(&seen), "node {node} shows half a value: {:?} bytes", seen.map(<[u8]>::len));
            }
        }
        whole
    });
    let whole: Vec<usize> = net.running().filter(|&node| held(net, node, key) == Some(value)).collect();
    assert!(done, "only {whole:?} hold it after {limit:?}");
    net.now() - begun
}

/// What all nodes have sent, over what they had to.
fn cost(net: &Network, value_len: usize) -> f64 {
    net.counts().sent_bytes as f64 / (value_len * (net.up() - 1)) as f64
}

#[test]
fn a_mebibyte_comes_to_sixteen_at_link_speed() {
    let mut net = swarm(1, 16, MIB, 1400);
    let value = value(1, MIB);
    put(&mut net, 3, b"large", &value);
    let took = run_to_whole(&mut net, 60 * SECOND, b"large", &[None], &value);
    let cost = cost(&net, MIB);
    eprintln!("1 MiB to 16 at 10 Mb/s: {took:?}, {cost:.3} of the value per node");
    assert!(net.run_to(10 * SECOND, |net| net.roots_agree()));
    // One after the other, the writer would take 12.6 s; by doubling at full speed it takes 3.4 s.
    assert!(took < 6 * SECOND, "{took:?}");
    assert!(cost < 1.1, "{cost}");
    assert!(net.counts().len_max <= 1400);
    let known: u64 = (0..16).map(|node| stats(&net, node).chunks_known).sum();
    assert!(known < 100, "{known} chunks came twice");
}

#[test]
fn loss_reordering_and_duplicates_change_nothing() {
    for (seed, nodes, mtu, len) in
        [(1, 8, 1400, MIB), (2, 32, 1400, 300_000), (3, 8, 128, 40_000), (4, 8, 512, 100_000)]
    {
        let mut net = swarm(seed, nodes, len, mtu);
        net.set_faults(Faults { loss_ppm: 300_000, ..Faults::rough() });
        let value = value(seed, len);
        put(&mut net, 1, b"rough", &value);
        let took = run_to_whole(&mut net, 300 * SECOND, b"rough", &[None], &value);
        eprintln!("{len} B to {nodes}, MTU {mtu}, 30 % loss: {took:?}, {:.2} per node", cost(&net, len));
        assert!(cost(&net, len) < 3.0, "seed {seed}: {}", cost(&net, len));
        assert!(usize::from(mtu) >= net.counts().len_max);
        assert!(took < 60 * SECOND, "seed {seed}: {took:?}");
    }
}

#[test]
fn the_holder_crashes_midway_and_another_one_goes_on() {
    let mut net = swarm(5, 8, MIB, 1400);
    let value = value(5, MIB);
    put(&mut net, 0, b"k", &value);
    assert!(net.run_to(60 * SECOND, |net| net.running().filter(|&node| held(net, node, b"k").is_some()).count() >= 3));
    net.crash(0);
    let left = net.now();
    run_to_whole(&mut net, 60 * SECOND, b"k", &[None], &value);
    assert!(net.now() - left < 20 * SECOND, "{:?}", net.now() - left);
    // Nobody began anew: all that had come before stayed.
    let pulls: u64 = net.running().map(|node| stats(&net, node).pulls).sum();
    assert_eq!(pulls, 7);
}

#[test]
fn a_partition_midway_is_resumed() {
    let mut net = swarm(6, 8, MIB, 1400);
    let value = value(6, MIB);
    put(&mut net, 0, b"k", &value);
    net.run_for(SECOND / 2);
    let cut = net.split(0..4, 4..8);
    let received: Vec<u64> = (4..8).map(|node| stats(&net, node).bytes_in).collect();
    net.run_for(20 * SECOND);
    assert!((0..4).all(|node| held(&net, node, b"k") == Some(&value)));
    net.heal(cut);
    run_to_whole(&mut net, 60 * SECOND, b"k", &[None], &value);
    let _ = received;
    for node in 4..8 {
        let stats = stats(&net, node);
        assert!(stats.bytes_in < MIB as u64 * 5 / 4, "node {node} got {} bytes", stats.bytes_in);
    }
}

#[test]
fn small_large_small_and_deleted() {
    let mut net = swarm(7, 8, 200_000, 1400);
    let (first, large, last) = (b"small".to_vec(), value(7, 200_000), b"small again".to_vec());
    put(&mut net, 0, b"k", &first);
    run_to_whole(&mut net, 10 * SECOND, b"k", &[None], &first);
    put(&mut net, 1, b"k", &large);
    run_to_whole(&mut net, 30 * SECOND, b"k", &[Some(&first)], &large);
    put(&mut net, 2, b"k", &last);
    run_to_whole(&mut net, 10 * SECOND, b"k", &[Some(&large)], &last);
    let larger = value(8, 190_000);
    put(&mut net, 3, b"k", &larger);
    // A newer one while that is still coming in.
    net.run_for(SECOND / 20);
    put(&mut net, 4, b"k", &last);
    net.run_for(5 * SECOND);
    assert!(net.run_to(60 * SECOND, |net| net.roots_agree()));
    net.assert_agreement();
    net.with(5, |node, now| node.delete(now, b"k")).unwrap();
    assert!(
        net.run_to(30 * SECOND, |net| net.roots_agree() && net.running().all(|node| held(net, node, b"k").is_none()))
    );
    for node in 0..8 {
        let (_, bytes) = (node, net.node(node).unwrap().bytes_used().0);
        assert!(bytes < 1000, "node {node} still uses {bytes} bytes");
        assert_eq!(net.node(node).unwrap().entries_used().0, 1);
    }
}

#[test]
fn two_writers_overwrite_each_other() {
    for seed in [8, 9, 10] {
        let mut net = swarm(seed, 8, 150_000, 1400);
        net.set_faults(Faults { loss_ppm: 100_000, ..Faults::default() });
        let mut written = Vec::new();
        for round in 0..6 {
            for writer in [1, 6] {
                let value = value(seed * 100 + round * 2 + writer as u64, 100_000 + 5_000 * writer);
                put(&mut net, writer, b"contended", &value);
                written.push(value);
            }
            net.run_for(Duration::from_millis(300));
            for node in 0..8 {
                let seen = held(&net, node, b"contended");
                assert!(seen.is_none_or(|seen| written.iter().any(|value| value == seen)), "seed {seed}, node {node}");
            }
        }
        assert!(net.run_to(120 * SECOND, |net| net.roots_agree()), "seed {seed}");
        net.assert_agreement();
        assert!(held(&net, 0, b"contended").is_some_and(|value| value.len() >= 100_000));
        // Every write that was lost unseen was reported to somebody.
        assert!(net.record().conflicts() > 0, "seed {seed}");
    }
}

#[test]
fn siblings_above_a_large_register_stay_above_it() {
    let mut net = swarm(11, 4, 50_000, 1400);
    let (cut, large) = (net.split(0..2, 2..4), value(11, 50_000));
    put(&mut net, 0, b"mixed", &large);
    let siblings = PutOptions::new().kind(Kind::Siblings);
    net.run_for(2 * SECOND);
    net.with(2, |node, now| node.put(now, b"mixed", b"one", siblings)).unwrap();
    net.run_for(SECOND);
    net.split([2], [3]);
    net.with(3, |node, now| node.put(now, b"mixed", b"two", siblings)).unwrap();
    net.heal(cut);
    net.heal_all();
    assert!(net.run_to(120 * SECOND, |net| net.roots_agree()), "{:?}", net.disagreement());
    net.assert_agreement();
    for node in 0..4 {
        let entry = net.node(node).unwrap().get(b"mixed").unwrap();
        assert!(entry.values().all(|value| value.bytes.len() == 3), "the register lost");
        // And it is still there for merging.
        assert!(net.node(node).unwrap().bytes_used().0 > 50_000, "node {node}");
    }
    // A fifth node gets all of it.
    let fifth = net.add(Setup::new(config(50_000)).capacity(8, 64, 700_000));
    net.join(fifth, 1);
    assert!(net.run_to(120 * SECOND, |net| net.roots_agree()), "{:?}", net.disagreement());
}

/// A node that takes less than the others do: it refuses, counts, and comes to rest.
#[test]
fn a_smaller_node_refuses_and_comes_to_rest() {
    let mut net = swarm(12, 6, 100_000, 1400);
    let small =
        net.add(Setup::new(Config { datagram_len_max: 512, ..Config::embedded("large") }).capacity(16, 64, 8192));
    net.join(small, 0);
    assert!(net.run_to(60 * SECOND, |net| net.all_know_all()));
    let large = value(12, 100_000);
    put(&mut net, 0, b"large", &large);
    put(&mut net, 0, b"small", b"v");
    assert!(net.run_to(60 * SECOND, |net| (0..6).all(|node| held(net, node, b"large") == Some(&large))));
    assert!(net.run_to(60 * SECOND, |net| held(net, small, b"small").is_some()));
    assert!(stats(&net, small).pulls_refused > 0 && stats(&net, small).pulls == 0);
    assert_eq!(held(&net, small, b"large"), None);
    net.run_for(1200 * SECOND);
    let before: Vec<(u64, u64)> =
        (0..7).map(|node| (stats(&net, node).sessions, stats(&net, node).bytes_out)).collect();
    net.run_for(3600 * SECOND);
    for (node, (sessions, bytes)) in before.into_iter().enumerate() {
        let sessions = stats(&net, node).sessions - sessions;
        let rate = (stats(&net, node).bytes_out - bytes) / 3600;
        eprintln!("node {node}: {sessions} questions in an hour, {rate} B/s");
        // Some 13 questions in each of six sessions of entries; and members, which agree.
        assert!(sessions < 120, "node {node} asked {sessions} times in an hour");
    }
    // What is small still comes at once.
    put(&mut net, 5, b"small", b"w");
    assert!(net.run_to(5 * SECOND, |net| held(net, small, b"small") == Some(b"w")));
}

#[test]
fn a_full_arena_refuses_and_takes_it_when_there_is_room() {
    let mut net = swarm(13, 3, 100_000, 1400);
    let tight = net.add(Setup::new(config(100_000)).capacity(8, 64, 260_000));
    net.join(tight, 0);
    assert!(net.run_to(60 * SECOND, |net| net.all_know_all()));
    let (one, two) = (value(1, 90_000), value(2, 90_000));
    put(&mut net, 0, b"a", &one);
    put(&mut net, 0, b"b", &two);
    let both = |net: &Network, node| held(net, node, b"a").is_some() && held(net, node, b"b").is_some();
    assert!(net.run_to(60 * SECOND, |net| (0..4).all(|node| both(net, node))));
    // There is no room for a third, nor for a new one beside the old.
    put(&mut net, 1, b"a", &two);
    net.run_for(30 * SECOND);
    assert_eq!(held(&net, tight, b"a"), Some(&one[..]), "the old one stays readable");
    assert!(stats(&net, tight).pulls_refused > 0);
    let used = net.node(tight).unwrap().bytes_used();
    net.with(2, |node, now| node.delete(now, b"b")).unwrap();
    assert!(net.run_to(700 * SECOND, |net| net.roots_agree()), "{used:?}");
    assert_eq!(held(&net, tight, b"a"), Some(&two[..]));
}

/// More values than pulls at once: the others wait for their turn, and all come.
#[test]
fn many_values_come_to_a_newcomer() {
    let mut net = swarm(14, 4, 60_000, 1400);
    let values: Vec<Vec<u8>> = (0..7).map(|nth| value(nth, 60_000 - nth as usize * 1000)).collect();
    for (nth, value) in values.iter().enumerate() {
        put(&mut net, nth % 4, format!("key {nth}").as_bytes(), value);
    }
    assert!(net.run_to(60 * SECOND, |net| net.roots_agree() && held(net, 0, b"key 6").is_some()));
    net.set_faults(Faults { latency: Latency::Fixed(Duration::from_millis(25)), ..Faults::default() });
    let newcomer = net.add(Setup::new(config(60_000)).capacity(8, 64, 1_000_000));
    net.join(newcomer, 0);
    let begun = net.now();
    assert!(net.run_to(60 * SECOND, |net| net.roots_agree() && held(net, newcomer, b"key 6").is_some()));
    eprintln!("7 values of 60 kB to a newcomer, 50 ms RTT: {:?}", net.now() - begun);
    assert!(net.now() - begun < 10 * SECOND, "{:?}", net.now() - begun);
    assert!(stats(&net, newcomer).bytes_in < 500_000, "{}", stats(&net, newcomer).bytes_in);
}

#[test]
fn what_is_put_and_kept() {
    let node = |config: Config, bytes| {
        let addr = gossip_proto::Addr::new(b"a").unwrap();
        Node::new(gossip_proto::NodeId(1), addr, config, Storage::with_capacity(4, 16, bytes), Seed::new([1; 32]))
    };
    let mut large = node(config(MIB), 12 * MIB).unwrap();
    let (now, value) = (gossip_proto::Instant::ZERO, value(3, MIB + 1));
    let options = PutOptions::new();
    assert_eq!(large.put(now, b"k", &value, options), Err(PutError::ValueLen { max: MIB }));
    large.put(now, b"k", &value[..MIB], options).unwrap();
    assert_eq!(large.get(b"k").unwrap().value(), &value[..MIB]);
    // Of siblings only what fits in a datagram.
    let siblings = options.kind(Kind::Siblings);
    assert!(matches!(large.put(now, b"s", &value[..2000], siblings), Err(PutError::ValueLen { max: ..1400 })));
    while let Some(event) = large.poll_event() {
        assert!(!matches!(event, Event::Lagged));
    }
    // What is saved comes back, where there is room for it.
    let saved: Vec<Vec<u8>> = large.saved().map(|saved| saved.as_bytes().to_vec()).collect();
    let mut next = node(config(MIB), 12 * MIB).unwrap();
    next.restore(now, Saved::from_bytes(&saved[0]).unwrap()).unwrap();
    assert_eq!(next.get(b"k").unwrap().value(), &value[..MIB]);
    assert_eq!(next.convergence().root, large.convergence().root);
    let mut small = node(config(0), 12 * MIB).unwrap();
    assert!(small.restore(now, Saved::from_bytes(&saved[0]).unwrap()).is_err());
    // Without room for one such value it is no node.
    let ConfigError::Capacity { table: "bytes", min, .. } = node(config(MIB), MIB).unwrap_err() else { panic!() };
    assert!(node(config(MIB), min - MIB / 100).is_err() && node(config(MIB), min).is_ok());
    assert!(matches!(node(config(MIB + 1), 12 * MIB), Err(ConfigError::Field { field: "value_len_max", .. })));
    let mut memory = Memory::<4, 8, 4096>::new();
    let addr = gossip_proto::Addr::new(b"a").unwrap();
    assert!(Node::new(gossip_proto::NodeId(1), addr, Config::lan("m"), &mut memory, Seed::new([2; 32])).is_ok());
}
