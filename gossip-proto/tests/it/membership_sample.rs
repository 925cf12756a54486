//! A table that is smaller than the swarm: what the application is told of it, and what is left when half of the swarm
//! crashes.

use core::time::Duration;
use std::collections::BTreeSet;

use gossip_proto::sim::{Faults, Happening, Network, Setup};
use gossip_proto::{Addr, Config, Event, Instant, MemberChange, Memory, Node, NodeId, PutOptions, Seed};

const SECOND: Duration = Duration::from_secs(1);

/// Nodes with room for `view` members each, themselves among them.
fn swarm(seed: u64, nodes: usize, view: usize) -> Network {
    let mut net = Network::new(seed);
    net.log_events(true);
    for _ in 0..nodes {
        let node = net.add(Setup::new(Config::lan("sample")).capacity(view, 16, 4096));
        if node > 0 {
            net.join(node, 0);
        }
    }
    net.run_for(40 * SECOND);
    net
}

/// Whom a node has in its table, alive or suspect, without itself.
fn view(net: &Network, node: usize) -> BTreeSet<usize> {
    let members = net.node(node).unwrap().members().filter(|member| member.state.is_live());
    members.filter_map(|member| net.index_of(member.id)).filter(|&other| other != node).collect()
}

/// Whom a node's application takes for live, after all that it was told; panics where that makes no sense.
fn told(net: &Network, node: usize) -> BTreeSet<usize> {
    let (mut live, mut gone) = (BTreeSet::new(), BTreeSet::new());
    for seen in net.record().log().iter().filter(|seen| seen.observer == node) {
        let Happening::Member { subject, change } = seen.what else { continue };
        let sound = match change {
            MemberChange::Joined => live.insert(subject),
            MemberChange::Returned => gone.contains(&subject) && live.insert(subject),
            MemberChange::Died | MemberChange::Left => live.remove(&subject) && gone.insert(subject),
            MemberChange::Evicted => live.remove(&subject),
            _ => live.contains(&subject),
        };
        assert!(sound, "node {node} was told of {subject}: {change:?}");
    }
    live
}

#[test]
fn the_application_is_told_who_gave_way_and_it_is_counted() {
    let net = swarm(1, 48, 12);
    let mut evicted = 0;
    for node in 0..48 {
        assert_eq!(told(&net, node), view(&net, node), "node {node}");
        let gave_way = |seen: &&gossip_proto::sim::Seen| {
            seen.observer == node && matches!(seen.what, Happening::Member { change: MemberChange::Evicted, .. })
        };
        let events = net.record().log().iter().filter(gave_way).count();
        assert!(net.node(node).unwrap().stats().members_evicted >= events as u64, "node {node}");
        evicted += events;
    }
    assert!(evicted > 48 && net.record().lagged() == 0, "{evicted} evictions, {} lagged", net.record().lagged());
}

#[test]
fn half_a_swarm_that_crashes_leaves_all_samples_and_does_not_return() {
    for seed in 1..4 {
        let mut net = swarm(seed, 64, 16);
        let victims: BTreeSet<usize> = (1..64).step_by(2).collect();
        for &victim in &victims {
            net.crash(victim);
        }
        let out = |net: &mut Network| (0..64).step_by(2).all(|node| view(net, node).is_disjoint(&victims));
        assert!(net.run_to(90 * SECOND, out), "seed {seed}");
        net.run_for(30 * SECOND);
        assert!(out(&mut net), "seed {seed}: somebody brought back the dead");
        for node in (0..64).step_by(2) {
            assert_eq!(told(&net, node), view(&net, node), "seed {seed} node {node}");
            assert!(view(&net, node).len() >= 12, "seed {seed} node {node}: {:?}", view(&net, node));
        }
        // Nobody is out of reach: from node 0 on, everybody is in the view of somebody who is.
        let (mut reached, mut next) = (BTreeSet::from([0]), vec![0]);
        while let Some(node) = next.pop() {
            next.extend(view(&net, node).into_iter().filter(|&other| reached.insert(other)));
        }
        assert_eq!(reached.len(), 32, "seed {seed}");
    }
}

#[test]
fn who_went_before_it_was_told_of_joins_when_it_comes_back() {
    let (mut at_a, mut at_b) = (Memory::<4, 8, 1024>::new(), Memory::<4, 8, 1024>::new());
    let mut again = Memory::<4, 8, 1024>::new();
    let addrs = [Addr::new(b"a").unwrap(), Addr::new(b"b").unwrap()];
    let config = || Config::lan("told");
    let mut a = Node::new(NodeId(1), addrs[0], config(), &mut at_a, Seed::new([1; 32])).unwrap();
    let mut b = Node::new(NodeId(2), addrs[1], config(), &mut at_b, Seed::new([2; 32])).unwrap();
    let talk = |a: &mut Node<'_>, b: &mut Node<'_>, now: Instant| {
        let mut buf = [0; 1400];
        let mut told = Vec::new();
        for step in 0..20 {
            let now = now + SECOND / 10 * step;
            a.handle_timeout(now);
            b.handle_timeout(now);
            while let Some(len) = b.poll_transmit(now, &mut buf).map(|transmit| transmit.payload.len()) {
                a.handle_datagram(now, addrs[1], &mut buf[..len]).unwrap();
            }
            while let Some(len) = a.poll_transmit(now, &mut buf).map(|transmit| transmit.payload.len()) {
                let _ = b.handle_datagram(now, addrs[0], &mut buf[..len]);
            }
        }
        while let Some(event) = a.poll_event() {
            if let Event::Member { id: NodeId(2), change } = event {
                told.push(change);
            }
        }
        told
    };
    b.join(Instant::ZERO, addrs[0]).unwrap();
    b.leave(Instant::ZERO);
    assert_eq!(talk(&mut a, &mut b, Instant::ZERO), [], "it came and went between two polls");
    let mut b = Node::new(NodeId(2), addrs[1], config(), &mut again, Seed::new([3; 32])).unwrap();
    let later = Instant::ZERO + 5 * SECOND;
    b.join(later, addrs[0]).unwrap();
    assert_eq!(talk(&mut a, &mut b, later), [MemberChange::Joined]);
}

#[test]
fn who_has_no_slot_is_answered_all_the_same() {
    let addrs = [Addr::new(b"a").unwrap(), Addr::new(b"b").unwrap(), Addr::new(b"c").unwrap()];
    let config = || Config::lan("stranger");
    let mut strangers = 0;
    for id in 3..13 {
        let (mut small, mut at_b, mut at_c) =
            (Memory::<2, 8, 1024>::new(), Memory::<4, 8, 1024>::new(), Memory::<4, 8, 1024>::new());
        let mut nodes = [
            Node::new(NodeId(1), addrs[0], config(), &mut small, Seed::new([1; 32])).unwrap(),
            Node::new(NodeId(2), addrs[1], config(), &mut at_b, Seed::new([2; 32])).unwrap(),
            Node::new(NodeId(id), addrs[2], config(), &mut at_c, Seed::new([3; 32])).unwrap(),
        ];
        let mut now = Instant::ZERO;
        // The second never hears the third: only the first can give it what was written before it came.
        let mut run = |nodes: &mut [Node<'_>; 3], time: Duration| {
            let (end, mut buf) = (now + time, [0; 1400]);
            while now < end {
                now = now + SECOND / 100;
                for from in 0..3 {
                    nodes[from].handle_timeout(now);
                    while let Some((to, len)) =
                        nodes[from].poll_transmit(now, &mut buf).map(|out| (out.to, out.payload.len()))
                    {
                        let to = addrs.iter().position(|addr| *addr == to).unwrap();
                        if from + to != 3 {
                            let _ = nodes[to].handle_datagram(now, addrs[from], &mut buf[..len]);
                        }
                    }
                    while nodes[from].poll_event().is_some() {}
                }
            }
            now
        };
        nodes[1].join(Instant::ZERO, addrs[0]).unwrap();
        let at = run(&mut nodes, 2 * SECOND);
        nodes[0].put(at, b"key", b"written before", PutOptions::new()).unwrap();
        let at = run(&mut nodes, 60 * SECOND);
        nodes[2].join(at, addrs[0]).unwrap();
        run(&mut nodes, SECOND / 2);
        strangers += u32::from(nodes[0].members().all(|member| member.id != NodeId(id)));
        run(&mut nodes, 5 * SECOND);
        assert!(nodes[2].get(b"key").is_some(), "{id} was not answered");
    }
    assert!(strangers > 0, "all had a slot");
}

#[test]
fn everybody_is_in_some_sample_and_is_told_of_what_is_written() {
    for seed in 1..4 {
        let mut net = swarm(seed, 300, 16);
        let held: BTreeSet<usize> = (0..300).flat_map(|node| view(&net, node)).collect();
        assert_eq!(held.len(), 300, "seed {seed}");
        net.with(7, |node, now| node.put(now, b"key", b"value", PutOptions::new())).unwrap();
        let all = |net: &mut Network| (0..300).all(|node| net.node(node).unwrap().get(b"key").is_some());
        assert!(net.run_to(5 * SECOND, all), "seed {seed}");
    }
}

/// A table that lacks one slot for the whole swarm is a sample for good: it asks nobody, over and over, for what it has no
/// room for, and nobody asks it.
#[test]
fn a_table_that_lacks_a_slot_comes_to_rest() {
    for (seed, slots) in [(1, [6; 7]), (2, [6, 7, 7, 7, 7, 7, 7]), (3, [7, 6, 2, 7, 3, 6, 7])] {
        let mut net = Network::new(seed);
        for (node, slots) in slots.into_iter().enumerate() {
            net.add(Setup::new(Config::lan("lack")).capacity(slots, 16, 4096));
            if node > 0 {
                net.join(node, 0);
            }
        }
        net.run_for(60 * SECOND);
        // Somebody dies, gives way to the last one, and is forgotten.
        for victim in [None, Some(6)] {
            if let Some(victim) = victim {
                net.crash(victim);
                net.run_for(60 * SECOND);
                net.restart(victim);
                net.join(victim, 1);
                net.run_for(60 * SECOND);
            }
            let sessions = |net: &Network| (0..7).map(|node| net.node(node).unwrap().stats().sessions).sum::<u64>();
            let before = sessions(&net);
            net.reset_figures();
            net.run_for(600 * SECOND);
            let asked = sessions(&net) - before;
            let bytes = net.counts().sent_bytes as f64 / 7.0 / 600.0;
            println!("{slots:?} {victim:?}: {asked} questions, {bytes:.1} B/node-s");
            assert!(asked < 70, "{slots:?}, {victim:?}: {asked} questions in 10 min");
            assert!(bytes < 66.0, "{slots:?}, {victim:?}: {bytes} B per node-second");
        }
    }
}

/// Whom a sample takes in has but answered: its tags are asked for, and few stay unknown at 10 % loss.
#[test]
fn tags_of_those_in_a_sample_are_known() {
    for seed in 0..4 {
        let mut net = Network::new(seed);
        net.set_faults(Faults::loss(100_000));
        for node in 0..64 {
            net.add(Setup::new(Config::lan("sample")).capacity(20, 128, 1 << 14));
            net.with(node, |node, now| node.set_tags(now, [("role", "worker")])).unwrap();
            if node > 0 {
                net.join(node, 0);
            }
        }
        for minute in 1..=6 {
            net.run_for(60 * SECOND);
            let (mut held, mut known) = (0, 0);
            for node in 0..64 {
                let others = net.node(node).unwrap().members().filter(|member| net.index_of(member.id) != Some(node));
                for member in others.filter(|member| member.state.is_live()) {
                    held += 1;
                    known += usize::from(member.tag("role") == Some("worker"));
                }
            }
            assert!(known * 100 >= held * 80, "seed {seed}, minute {minute}: of {held} the tags of {known} are known");
        }
    }
}
