//! From one life to the next: what was saved comes back as it was, and damaged bytes come back as nothing.

use std::time::Duration;

use gossip_proto::sim::{Network, Setup};
use gossip_proto::{Addr, Config, Instant, Kind, Node, NodeId, PutOptions, RestoreError, Saved, Seed, Storage};

fn node(seed: u8, entries: usize, bytes: usize) -> Node<'static> {
    let storage = Storage::with_capacity(4, entries, bytes);
    Node::new(NodeId(7), Addr::new(b"a").unwrap(), Config::lan("saved"), storage, Seed::new([seed; 32])).unwrap()
}

/// Keys and values, as the application sees them.
fn shown(node: &Node<'_>) -> Vec<(Vec<u8>, Vec<Vec<u8>>)> {
    let entries = node.scan(b"");
    entries.map(|entry| (entry.key().to_vec(), entry.values().map(|value| value.bytes.to_vec()).collect())).collect()
}

/// A node that holds registers, deleted entries, and siblings of three writers.
fn full() -> Network {
    let mut net = Network::new(5);
    for node in 0..3 {
        net.add(Setup::new(Config::lan("saved")));
        if node > 0 {
            net.join(node, 0);
        }
    }
    net.run_for(Duration::from_secs(5));
    net.split([0], [1, 2]);
    net.split([1], [2]);
    let siblings = PutOptions::new().kind(Kind::Siblings);
    for nth in 0..40 {
        let key = format!("topic/{nth}");
        for node in 0..3 {
            let value = format!("value {nth} of {node}");
            net.with(node, |node, now| node.put(now, b"shared", value.as_bytes(), siblings)).unwrap();
            if nth % 3 == node {
                net.with(node, |node, now| node.put(now, key.as_bytes(), value.as_bytes(), PutOptions::new())).unwrap();
            }
            if nth % 5 == node {
                assert_eq!(net.with(node, |node, now| node.delete(now, key.as_bytes())), Ok(nth % 3 == node));
            }
        }
    }
    net.heal_all();
    assert!(net.run_to(Duration::from_secs(120), |net| net.roots_agree()));
    net
}

#[test]
fn what_was_saved_is_held_again() {
    let mut net = full();
    let (saved, life, root, before) = net.with(0, |node, _| {
        let saved: Vec<_> = node.saved().map(|saved| saved.as_bytes().to_vec()).collect();
        (saved, node.saved_life(), node.convergence().root, shown(node))
    });
    assert_eq!(saved.len(), 41, "deleted ones too");
    assert!(before.iter().any(|(key, values)| key == b"shared" && values.len() == 3), "{before:?}");

    let mut next = node(9, 64, 1 << 16);
    let now = Instant::from_micros(1);
    next.restore_life(life);
    for bytes in &saved {
        let entry = Saved::from_bytes(bytes).unwrap();
        next.restore(now, entry).unwrap();
        // Twice is once.
        next.restore(now, entry).unwrap();
        assert_eq!(next.saved_entry(entry.key()), Some(entry));
    }
    assert_eq!(shown(&next), before);
    assert_eq!((next.convergence().root, next.incarnation()), (root, life.incarnation + 1));
    assert_eq!(next.poll_event(), None, "the application knows what it restored");

    // What is written now is newer than all that the earlier life saw.
    next.put(now, b"new", b"", PutOptions::new()).unwrap();
    assert!(next.get(b"new").unwrap().values().next().unwrap().stamp >= life.stamp);
    // And a later deletion is told.
    let key = before.iter().map(|(key, _)| key).find(|key| *key != b"shared").unwrap();
    while next.poll_event().is_some() {}
    assert_eq!(next.delete(now, key), Ok(true));
    assert!(next.poll_event().is_some());
}

#[test]
fn damaged_bytes_are_refused() {
    let mut net = full();
    let saved: Vec<Vec<u8>> = net.with(0, |node, _| node.saved().map(|saved| saved.as_bytes().to_vec()).collect());
    let mut next = node(1, 4096, 1 << 20);
    let (now, root) = (Instant::from_micros(1), next.convergence().root);
    for bytes in &saved {
        for cut in 0..bytes.len() {
            assert_eq!(Saved::from_bytes(&bytes[..cut]), Err(RestoreError::Damaged));
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(Saved::from_bytes(&longer), Err(RestoreError::Damaged));
    }
    assert_eq!(next.convergence().root, root);
    // Any bit may flip: the result is refused or is some entry, and never a panic.
    for bytes in &saved {
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(saved) = Saved::from_bytes(&bytes) {
                let _ = next.restore(now, saved);
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_with_the_limit() {
    let mut net = full();
    let saved: Vec<Vec<u8>> = net.with(0, |node, _| node.saved().map(|saved| saved.as_bytes().to_vec()).collect());
    let now = Instant::from_micros(1);
    let all = |next: &mut Node<'_>| -> Vec<RestoreError> {
        saved.iter().filter_map(|bytes| next.restore(now, Saved::from_bytes(bytes).unwrap()).err()).collect()
    };
    assert_eq!(all(&mut node(1, 10, 1 << 20))[..], [RestoreError::EntriesFull { max: 10 }; 31]);
    let refused = all(&mut node(1, 64, 1024));
    assert!(matches!(refused[..], [RestoreError::BytesFull { .. }, ..]), "{refused:?}");
}
