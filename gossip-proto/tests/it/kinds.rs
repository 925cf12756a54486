//! Counters, sets, maxima and an application's own kind in whole swarms: on rough networks, through restarts.

use core::time::Duration;
use std::collections::BTreeSet;

use gossip_proto::sim::{Faults, Network, Setup};
use gossip_proto::{
    Addr, Config, Entry, Event, Instant, Kind, Merge, Node, NodeId, PutError, PutOptions, Seed, Storage,
};

/// The greater of each byte.
fn greater(_: u8, a: &[u8], b: &[u8], join: &mut [u8]) -> usize {
    let len = a.len().max(b.len());
    for (n, to) in join.iter_mut().enumerate().take(len) {
        *to = a.get(n).copied().unwrap_or(0).max(b.get(n).copied().unwrap_or(0));
    }
    len
}

fn config() -> Config {
    Config { merge: Some(Merge(greater)), ..Config::lan("kinds") }
}

fn swarm(seed: u64, size: usize) -> Network {
    let mut net = Network::new(seed);
    net.set_faults(Faults { duplicate_ppm: 50_000, ..Faults::loss(100_000) });
    for node in 0..size {
        net.add(Setup::new(config()).capacity(16, 256, 1 << 16));
        if node > 0 {
            net.join(node, 0);
        }
    }
    assert!(net.run_to(Duration::from_secs(120), Network::all_know_all));
    net
}

fn settle(net: &mut Network) {
    assert!(net.run_to(Duration::from_secs(600), |net| net.all_know_all() && net.roots_agree()));
    net.assert_agreement();
}

/// All add for a while, in two halves that do not hear each other; some lose their memory; nothing is counted twice, and
/// nothing that somebody else has heard is lost.
#[test]
fn counters_survive_splits_and_amnesia() {
    for seed in 1..4 {
        let mut net = swarm(seed, 8);
        let mut sum = 0;
        for round in 0..4_i64 {
            let cut = net.split(0..4, 4..8);
            for step in 0..20 {
                for node in 0..8 {
                    let delta = (step * 7 + node as i64 * 3 + round) % 11 - 4;
                    net.with(node, |node, now| node.counter_add(now, b"hits", delta)).unwrap();
                    sum += delta;
                }
                net.run_for(Duration::from_millis(150));
            }
            net.heal(cut);
            settle(&mut net);
            for node in 0..8 {
                assert_eq!(net.node(node).unwrap().counter(b"hits"), Some(sum), "seed {seed} node {node}");
            }
            net.restart(round as usize);
            net.restart(7);
            assert_eq!(net.node(7).unwrap().counter(b"hits"), None, "it has forgotten");
        }
        settle(&mut net);
        // Deleted on one side, added to on the other: what the delete had not seen is what is left.
        let cut = net.split(0..4, 4..8);
        assert_eq!(net.with(0, |node, now| node.counter_delete(now, b"hits")), Ok(true));
        assert_eq!(net.with(0, |node, now| node.counter_delete(now, b"hits")), Ok(false));
        net.with(5, |node, now| node.counter_add(now, b"hits", 5)).unwrap();
        net.with(6, |node, now| node.counter_add(now, b"hits", -2)).unwrap();
        net.run_for(Duration::from_secs(5));
        assert_eq!(net.node(3).unwrap().counter(b"hits"), None);
        net.heal(cut);
        settle(&mut net);
        assert!((0..8).all(|node| net.node(node).unwrap().counter(b"hits") == Some(3)), "seed {seed}");
    }
}

#[test]
fn sets_maxima_and_own_kinds_end_alike() {
    for seed in 1..4 {
        let mut net = swarm(seed, 6);
        let cut = net.split(0..3, 3..6);
        for node in 0..6_u8 {
            net.with(node.into(), |it, now| {
                it.set_add(now, b"team", &[node])?;
                it.set_add(now, b"team", b"all")?;
                it.put(now, b"high", &[node * 7 % 6], PutOptions::new().kind(Kind::Max))?;
                it.put(now, b"low", &[node + 1], PutOptions::new().kind(Kind::Min))?;
                it.put(now, b"own", &[0, node, 6 - node], PutOptions::new().kind(Kind::App(2)))
            })
            .unwrap();
        }
        net.run_for(Duration::from_secs(10));
        assert_eq!(net.with(1, |node, now| node.set_remove(now, b"team", b"all")), Ok(true));
        assert_eq!(net.with(1, |node, now| node.set_remove(now, b"team", &[0])), Ok(true));
        assert_eq!(net.with(1, |node, now| node.set_remove(now, b"team", &[5])), Ok(false), "not seen here");
        net.heal(cut);
        settle(&mut net);
        for node in 0..6 {
            let node = net.node(node).unwrap();
            let members: BTreeSet<&[u8]> = node.set_members(b"team").collect();
            let expected: BTreeSet<&[u8]> = [&b"all"[..], &[1], &[2], &[3], &[4], &[5]].into();
            assert_eq!(members, expected, "seed {seed}: an add that a remove had not seen wins");
            assert!(node.set_contains(b"team", b"all") && !node.set_contains(b"team", &[0]));
            let value = |key| node.get(key).map(|entry| (entry.kind(), entry.value().to_vec()));
            assert_eq!(value(b"high"), Some((Kind::Max, [5].into())));
            assert_eq!(value(b"low"), Some((Kind::Min, [1].into())));
            assert_eq!(value(b"own"), Some((Kind::App(2), [0, 5, 6].into())));
        }
    }
}

fn alone() -> Node<'static> {
    let storage = Storage::with_capacity(4, 64, 1 << 14);
    Node::new(NodeId(1), Addr::new(b"a").unwrap(), config(), storage, Seed::new([1; 32])).unwrap()
}

#[test]
fn events_and_scans_name_what_they_are_about() {
    let (mut node, now) = (alone(), Instant::from_millis(1));
    node.counter_add(now, b"site/hits", 3).unwrap();
    node.set_add(now, b"site/tags", b"new").unwrap();
    node.put(now, b"site/hits", b"another thing", PutOptions::new()).unwrap();
    let mut told = Vec::new();
    while let Some(event) = node.poll_event() {
        if let Event::Entry { key, kind, part, .. } = event {
            told.push((key.to_vec(), kind, part.to_vec()));
        }
    }
    told.sort_by_key(|(key, kind, _)| (key.clone(), *kind != Kind::Counter));
    let [(hits, Kind::Counter, life), (plain, Kind::Register, none), (tags, Kind::Set, element)] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!((&hits[..], life.len(), &plain[..], &none[..]), (&b"site/hits"[..], 8, &b"site/hits"[..], &b""[..]));
    assert_eq!((&tags[..], &element[..]), (&b"site/tags"[..], &b"new"[..]));
    let parts: Vec<Entry<'_>> = node.scan(b"site/").collect();
    assert_eq!(parts.len(), 3);
    assert_eq!(parts.iter().map(Entry::count).sum::<i128>(), 3);
    // What is kept for the next life is found by what the event said, and counts there.
    let mut next = alone();
    for (key, kind, part) in &told {
        let saved = if part.is_empty() { node.saved_entry(key) } else { node.saved_part(key, *kind, part) };
        let saved = saved.unwrap();
        assert_eq!((saved.key(), saved.kind(), saved.part()), (&key[..], *kind, &part[..]));
        next.restore(now, saved).unwrap();
    }
    assert_eq!((next.counter(b"site/hits"), next.set_contains(b"site/tags", b"new")), (Some(3), true));
    assert_eq!(next.convergence().root, node.convergence().root);
}

#[test]
fn a_kind_has_its_own_verbs() {
    let (mut node, now) = (alone(), Instant::from_millis(1));
    for kind in [Kind::Counter, Kind::Set, Kind::App(8)] {
        assert_eq!(node.put(now, b"k", b"v", PutOptions::new().kind(kind)), Err(PutError::Kind));
    }
    let max = PutOptions::new().kind(Kind::Max);
    node.put(now, b"k", &[5], max).unwrap();
    let before = node.convergence().root;
    node.put(now, b"k", &[4], max).unwrap();
    assert_eq!((node.get(b"k").unwrap().value(), node.convergence().root), (&[5][..], before), "no news");
    assert_eq!(node.delete(now, b"k"), Ok(true));
    assert!(node.get(b"k").is_none());
    node.put(now, b"k", &[2], max).unwrap();
    assert_eq!(node.get(b"k").unwrap().value(), [2], "a delete begins anew");
    assert_eq!(node.counter(b"k"), None);
    node.counter_add(now, b"k", i64::MIN).unwrap();
    node.counter_add(now, b"k", -1).unwrap();
    assert_eq!(node.counter(b"k"), Some(i64::MIN), "it stands still");
    node.leave(now);
    assert_eq!(node.counter_add(now, b"k", 1), Err(PutError::Left));
    assert_eq!(node.set_add(now, b"k", b"x"), Err(PutError::Left));
}

/// A clock that was years ahead and is set right: what was written meanwhile takes its place among what the others wrote,
/// and no key stays frozen.
#[test]
fn a_clock_that_is_set_right_frees_what_it_froze() {
    const YEAR: i64 = 365 * 24 * 3600 * 1_000_000;
    for seed in 1..6 {
        let mut net = swarm(seed, 5);
        net.set_wall_offset(4, Some(3 * YEAR));
        let write = |net: &mut Network, node: usize, value: &[u8]| {
            net.with(node, |node, now| node.put(now, b"shared", value, PutOptions::new())).unwrap();
            net.run_for(Duration::from_secs(2));
        };
        write(&mut net, 4, b"from the future");
        net.with(4, |node, now| {
            node.put(now, b"own", b"mine", PutOptions::new())?;
            node.counter_add(now, b"count", 7)?;
            node.set_add(now, b"set", b"x")?;
            node.put(now, b"max", &[9], PutOptions::new().kind(Kind::Max))
        })
        .unwrap();
        write(&mut net, 1, b"from now");
        net.run_for(Duration::from_secs(20));
        assert!((0..4).all(|node| net.node(node).unwrap().get(b"shared").unwrap().value() == b"from now"));
        assert!(net.node(0).unwrap().get(b"own").is_none(), "its stamps are refused");
        assert!(net.node(4).unwrap().stats().stamps_refused > 0 && net.record().clocks_told(4) == 1, "and it is told");
        net.set_wall_offset(4, Some(0));
        settle(&mut net);
        for node in 0..5 {
            let node = net.node(node).unwrap();
            let value = |key: &[u8]| node.get(key).map(|entry| entry.value().to_vec());
            assert_eq!(value(b"shared").as_deref(), Some(&b"from now"[..]), "seed {seed}: the later write wins");
            assert_eq!((value(b"own").as_deref(), value(b"max").as_deref()), (Some(&b"mine"[..]), Some(&[9][..])));
            assert_eq!((node.counter(b"count"), node.set_contains(b"set", b"x")), (Some(7), true));
        }
        net.with(4, |node, now| node.counter_add(now, b"count", 1)).unwrap();
        write(&mut net, 4, b"back");
        settle(&mut net);
        assert!((0..5).all(|node| net.node(node).unwrap().get(b"shared").unwrap().value() == b"back"));
        assert!((0..5).all(|node| net.node(node).unwrap().counter(b"count") == Some(8)));
    }
}
