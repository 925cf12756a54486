//! Messages: to each node at most once, and at least once while there is room and time.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use gossip_proto::sim::{Faults, Happening, Network, Setup};
use gossip_proto::{Config, Event, Instant, Node, NodeId, PublishError, PublishOptions, Seed, Storage};

const SECOND: Duration = Duration::from_secs(1);
const WALL: u64 = 1_790_000_000_000_000;

fn config() -> Config {
    Config::lan("messages")
}

/// A swarm that knows itself, with room for `slots` messages in each node.
fn swarm(seed: u64, nodes: usize, slots: usize) -> Network {
    let mut net = Network::new(seed);
    for _ in 0..nodes {
        let node = net.add(Setup::new(config()).capacity(nodes + 4, 4 * slots, 1 << 16));
        if node > 0 {
            net.join(node, 0);
        }
    }
    assert!(net.run_to(60 * SECOND, |net| net.all_know_all()), "{net:?}");
    net.log_events(true);
    net
}

fn publish(net: &mut Network, node: usize, bytes: &[u8], options: PublishOptions) -> (u64, u32) {
    net.with(node, |node, now| (node.life(), node.publish(now, b"t", bytes, options).unwrap()))
}

fn ttl(seconds: u64) -> PublishOptions {
    PublishOptions::new().ttl(Duration::from_secs(seconds))
}

/// How many times each life of each node was told of each message.
fn told(net: &Network) -> BTreeMap<(usize, u32, (u64, u32)), u32> {
    let mut told = BTreeMap::new();
    for seen in net.record().log() {
        if let Happening::Message { life, origin, sequence, .. } = seen.what {
            *told.entry((seen.observer, life, (origin, sequence))).or_default() += 1;
        }
    }
    told
}

fn told_to(net: &Network, node: usize) -> BTreeSet<(u64, u32)> {
    told(net).into_keys().filter(|(observer, ..)| *observer == node).map(|(.., name)| name).collect()
}

fn gaps(net: &Network, node: usize) -> u32 {
    let log = net.record().log().iter().filter(|seen| seen.observer == node);
    log.map(|seen| if let Happening::Missed { count, .. } = seen.what { count } else { 0 }).sum()
}

#[track_caller]
fn no_duplicates(net: &Network, seed: u64) {
    let twice: Vec<_> = told(net).into_iter().filter(|(_, count)| *count > 1).collect();
    assert!(twice.is_empty(), "seed {seed}: {twice:?}");
}

/// Loss, duplicates, reordering, replays up to a minute later, a partition, a node that is off for a while, one that
/// crashes and starts again, clocks that are stepped: nobody is told twice, and who was there is told of all.
#[test]
fn at_most_once_and_at_least_once_whatever_the_network_does() {
    for seed in 0..12 {
        let mut net = swarm(seed, 8, 32);
        net.set_faults(Faults { replay_ppm: 100_000, duplicate_ppm: 100_000, loss_ppm: 150_000, ..Faults::rough() });
        let mut published = BTreeSet::new();
        let mut cut = None;
        for turn in 0..60usize {
            match turn {
                10 => cut = Some(net.split(0..3, 3..8)),
                20 => net.heal(cut.take().unwrap()),
                25 => net.switch_off(6),
                35 => net.resume(6),
                // An own life that ends takes what it alone holds with it.
                40 => net.crash(7),
                42 => {
                    net.restart(7);
                    net.join(7, 2);
                }
                45 => net.set_wall_offset(1, Some(5_000_000)),
                50 => net.set_wall_offset(1, Some(-5_000_000)),
                _ => {}
            }
            let writer = (turn * 5 + seed as usize) % 6;
            published.insert(publish(&mut net, writer, &[turn as u8; 80], ttl(120)));
            net.run_for(SECOND);
        }
        net.set_faults(Faults::loss(100_000));
        net.run_for(60 * SECOND);
        for node in 0..7 {
            let own = net.node(node).unwrap().life();
            let wanted: BTreeSet<_> = published.iter().copied().filter(|(origin, _)| *origin != own).collect();
            let lacking: Vec<_> = wanted.difference(&told_to(&net, node)).copied().collect();
            // Sixty messages, and 32 slots: who was away may find some dropped. That is told in the end.
            let away = matches!(node, 0..3 | 6);
            assert!(lacking.is_empty() || away, "seed {seed}: node {node} lacks {lacking:?}");
        }
        net.run_for(150 * SECOND);
        no_duplicates(&net, seed);
        for node in 0..7 {
            let own = net.node(node).unwrap().life();
            let lacking = published.iter().filter(|name| name.0 != own && !told_to(&net, node).contains(name)).count();
            assert_eq!(gaps(&net, node) as usize, lacking, "seed {seed}: node {node}: gaps are told, and nothing else");
        }
        let left: Vec<_> = net.running().map(|node| net.node(node).unwrap().messages_used().0).collect();
        assert_eq!(left, [0; 8], "seed {seed}: all are over");
    }
}

#[test]
fn a_partition_ends_with_everybody_told() {
    for seed in 0..8 {
        let mut net = swarm(seed, 8, 64);
        let cut = net.split(0..4, 4..8);
        let published: BTreeSet<_> = (0..40)
            .map(|n| {
                net.run_for(SECOND / 2);
                publish(&mut net, n % 8, &[n as u8; 100], ttl(600))
            })
            .collect();
        net.heal(cut);
        let all = |net: &Network| (0..8).all(|node| told_to(net, node).len() == 35);
        assert!(net.run_to(90 * SECOND, |net| all(net)), "seed {seed}");
        assert_eq!(published.len(), 40);
        no_duplicates(&net, seed);
    }
}

#[test]
fn who_joins_late_is_told_of_what_lives() {
    for seed in 0..8 {
        let mut net = swarm(seed, 6, 32);
        let short: Vec<_> = (0..6).map(|node| publish(&mut net, node, b"short", ttl(5))).collect();
        let long: BTreeSet<_> = (0..12).map(|n| publish(&mut net, n % 6, &[7; 300], ttl(300))).collect();
        net.run_for(40 * SECOND);
        let late = net.add(Setup::new(config()).capacity(10, 128, 1 << 16));
        net.join(late, 3);
        assert!(net.run_to(10 * SECOND, |net| told_to(net, late) == long), "seed {seed}: {:?}", told_to(&net, late));
        net.run_for(400 * SECOND);
        assert!(short.iter().all(|name| !told_to(&net, late).contains(name)));
        assert_eq!(gaps(&net, late), 0, "seed {seed}: what was over before is history");
        no_duplicates(&net, seed);
    }
}

/// All summaries become equal, so that a swarm with live messages is quiet.
#[test]
fn live_messages_cost_nothing_once_all_have_them() {
    let mut net = swarm(3, 8, 32);
    net.run_for(60 * SECOND);
    net.reset_figures();
    net.run_for(120 * SECOND);
    let idle = net.counts().sent_bytes;
    (0..24).for_each(|n| _ = publish(&mut net, n % 8, &[1; 200], ttl(3_600)));
    let late = net.add(Setup::new(config()).capacity(10, 128, 1 << 16));
    net.join(late, 0);
    net.run_for(90 * SECOND);
    net.reset_figures();
    net.run_for(120 * SECOND);
    let live = net.counts().sent_bytes;
    assert!(live < idle * 3 / 2, "{live} bytes against {idle}");
}

#[test]
fn urgent_ones_do_not_wait_for_rounds() {
    // How many of 15 in 8 swarms are told within five hops of at most 10 ms.
    let soon = |options: PublishOptions| -> usize {
        let told = |seed| {
            let mut net = swarm(seed, 16, 32);
            net.run_for(40 * SECOND);
            // All have just had a round: what is not urgent waits for the next.
            publish(&mut net, 0, &[9; 200], ttl(60));
            net.run_for(Duration::from_millis(60));
            let name = publish(&mut net, 0, &[9; 200], options);
            net.run_for(Duration::from_millis(50));
            told(&net).into_keys().filter(|(.., told)| *told == name).count()
        };
        (0..8).map(told).sum()
    };
    let (normal, urgent) = (soon(ttl(60)), soon(ttl(60).urgent()));
    assert!(urgent >= 100 && normal <= 40, "{urgent} against {normal} of 120");
}

fn node(id: u8, entries: usize) -> Node<'static> {
    let storage = Storage::with_capacity(8, entries, 1 << 16);
    let addr = gossip_proto::Addr::new(&[id; 4]).unwrap();
    let mut node = Node::new(NodeId(id.into()), addr, config(), storage, Seed::new([id; 32])).unwrap();
    node.handle_wall_clock(Instant::ZERO, WALL);
    node
}

fn pass(from: &mut Node<'_>, to: &mut Node<'_>, now: Instant) -> Vec<Vec<u8>> {
    let (mut buf, mut all) = ([0; 1400], Vec::new());
    while let Some(sent) = from.poll_transmit(now, &mut buf) {
        if sent.to == to.addr() {
            all.push(sent.payload.to_vec());
            to.handle_datagram(now, from.addr(), &mut sent.payload.to_vec()).unwrap();
        }
    }
    all
}

/// Both talk until `until`; returns what `a` sent.
fn talk(a: &mut Node<'_>, b: &mut Node<'_>, mut now: Instant, until: Instant) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while now < until {
        all.extend(pass(a, b, now));
        pass(b, a, now);
        now = [a.poll_timeout(), b.poll_timeout()].into_iter().flatten().min().unwrap_or(until).max(now);
        a.handle_timeout(now.min(until));
        b.handle_timeout(now.min(until));
    }
    all
}

fn inbox(node: &mut Node<'_>) -> Vec<u32> {
    let mut all = Vec::new();
    while let Some(event) = node.poll_event() {
        if let Event::Message { sequence, .. } = event {
            all.push(sequence);
        }
    }
    all
}

#[test]
fn a_replay_is_never_told_again() {
    let (mut a, mut b) = (node(1, 64), node(2, 64));
    b.join(Instant::ZERO, a.addr()).unwrap();
    let at = Instant::from_millis;
    talk(&mut a, &mut b, at(0), at(2_000));
    for _ in 0..3 {
        a.publish(at(2_000), b"t", b"once", ttl(20)).unwrap();
    }
    let recorded = talk(&mut a, &mut b, at(2_000), at(5_000));
    assert_eq!(inbox(&mut b).len(), 3);
    // While it lives, when it is over, when the window is gone, and after the wall clock was set back.
    for seconds in [6, 21, 23, 30, 60, 600] {
        let now = at(seconds * 1000);
        talk(&mut a, &mut b, now, now);
        if seconds == 600 {
            b.handle_wall_clock(now, WALL + 3_000_000);
        }
        for _ in 0..4 {
            b.handle_timeout(now);
            recorded.iter().for_each(|datagram| _ = b.handle_datagram(now, a.addr(), &mut datagram.clone()));
        }
        assert_eq!(inbox(&mut b), [], "after {seconds} s");
    }
    assert_eq!(b.messages_used().0, 0);
}

#[test]
fn what_is_not_published_and_why() {
    let mut a = node(1, 16);
    let now = Instant::ZERO;
    let max = a.message_len_max();
    let publish = |node: &mut Node<'_>, topic: &[u8], len, options| node.publish(now, topic, &vec![0; len], options);
    assert_eq!(publish(&mut a, &[b't'; 256], 0, ttl(1)), Err(PublishError::TopicLen { max: 255 }));
    assert_eq!(publish(&mut a, b"t", max, ttl(1)), Err(PublishError::Len { max }));
    for wrong in [ttl(86_401), PublishOptions::new().ttl(Duration::ZERO)] {
        assert_eq!(publish(&mut a, b"t", 1, wrong), Err(PublishError::Ttl { max: Duration::from_secs(86_400) }));
    }
    assert_eq!((0..3).map(|_| publish(&mut a, b"t", 1, ttl(1))).collect::<Vec<_>>(), [Ok(0), Ok(1), Ok(2)]);
    a.leave(now);
    assert_eq!(publish(&mut a, b"t", 1, ttl(1)), Err(PublishError::Left));
    let (storage, addr) = (Storage::with_capacity(8, 16, 1 << 16), gossip_proto::Addr::new(b"c").unwrap());
    let mut timeless = Node::new(NodeId(3), addr, config(), storage, Seed::new([3; 32])).unwrap();
    assert_eq!(publish(&mut timeless, b"t", 1, ttl(1)), Err(PublishError::NoTime));
}

/// The longest message goes through a datagram of any length that is allowed.
#[test]
fn the_longest_message_fits() {
    for len in [128, 200, 512, 1_400, 9_000] {
        let config = Config { datagram_len_max: len, ..config() };
        let make = |id: u8| {
            let addr = gossip_proto::Addr::new(&[id; 4]).unwrap();
            let storage = Storage::with_capacity(8, 64, 1 << 18);
            let mut node = Node::new(NodeId(id.into()), addr, config.clone(), storage, Seed::new([id; 32])).unwrap();
            node.handle_wall_clock(Instant::ZERO, WALL);
            node
        };
        let (mut a, mut b) = (make(1), make(2));
        b.join(Instant::ZERO, a.addr()).unwrap();
        let at = Instant::from_millis;
        let run = |a: &mut Node<'static>, b: &mut Node<'static>, from: u64, to: u64| {
            let mut buf = vec![0; len.into()];
            for ms in from..to {
                for turn in 0..2 {
                    let (one, other) = if turn == 0 { (&mut *a, &mut *b) } else { (&mut *b, &mut *a) };
                    one.handle_timeout(at(ms));
                    while let Some(sent) = one.poll_transmit(at(ms), &mut buf) {
                        if sent.to == other.addr() {
                            other.handle_datagram(at(ms), one.addr(), &mut sent.payload.to_vec()).unwrap();
                        }
                    }
                }
            }
        };
        run(&mut a, &mut b, 0, 3_000);
        let bytes = vec![7; a.message_len_max() - 1];
        a.publish(at(3_000), b"t", &bytes, ttl(60)).unwrap();
        run(&mut a, &mut b, 3_000, 8_000);
        assert_eq!(inbox(&mut b), [0], "{len}");
        assert_eq!(a.stats().items_too_large + b.stats().items_too_large, 0, "{len}");
    }
}

/// An application that does not poll: what it was not told of stays, what is new is refused and counted, and comes when there is
/// room; a message that is over before it was told is missed, and told as such.
#[test]
fn a_full_inbox_refuses_and_loses_nothing() {
    let (mut a, mut b) = (node(1, 64), node(2, 16));
    b.join(Instant::ZERO, a.addr()).unwrap();
    let at = Instant::from_millis;
    talk(&mut a, &mut b, at(0), at(2_000));
    for _ in 0..8 {
        a.publish(at(2_000), b"t", b"message", ttl(60)).unwrap();
    }
    talk(&mut a, &mut b, at(2_000), at(10_000));
    assert_eq!(b.messages_used(), (4, 4));
    assert!(b.stats().messages_full > 0);
    let mut all = inbox(&mut b);
    assert_eq!(all.len(), 4);
    for second in 10..20u64 {
        talk(&mut a, &mut b, at(second * 1_000), at(second * 1_000 + 1_000));
        all.extend(inbox(&mut b));
    }
    all.sort_unstable();
    assert_eq!(all, (0..8).collect::<Vec<_>>());
    assert!(b.stats().messages_evicted >= 4);
    // The same again, and it polls too late.
    for _ in 0..3 {
        a.publish(at(20_000), b"t", b"message", ttl(10)).unwrap();
    }
    talk(&mut a, &mut b, at(20_000), at(90_000));
    let mut missed = 0;
    while let Some(event) = b.poll_event() {
        assert!(!matches!(event, Event::Message { .. }), "{event:?}");
        if let Event::Missed { origin, count } = event {
            assert_eq!(origin, a.life());
            missed += count;
        }
    }
    assert_eq!((missed, b.stats().messages_missed), (3, 3));
}

/// One more origin than there is room for: its messages are refused and counted, until a window is over.
#[test]
fn a_full_table_of_windows_refuses_new_origins() {
    let mut hub = node(1, 16);
    let mut origins: Vec<_> = (2..8u8).map(|id| node(id, 64)).collect();
    let at = Instant::from_millis;
    for origin in &mut origins {
        origin.join(Instant::ZERO, hub.addr()).unwrap();
        talk(origin, &mut hub, at(0), at(1_000));
    }
    let mut told = 0;
    for (nth, origin) in origins.iter_mut().enumerate() {
        let now = at(1_000 + nth as u64 * 1_000);
        origin.publish(now, b"t", b"message", ttl(20)).unwrap();
        talk(origin, &mut hub, now, now + SECOND);
        told += inbox(&mut hub).len();
    }
    assert!(told <= 4 && hub.stats().messages_full > 0, "{told} of 6, {:?}", hub.stats());
    let mut late = node(9, 64);
    late.join(at(8_000), hub.addr()).unwrap();
    talk(&mut late, &mut hub, at(8_000), at(60_000));
    inbox(&mut hub);
    late.publish(at(60_000), b"t", b"message", ttl(20)).unwrap();
    talk(&mut late, &mut hub, at(60_000), at(62_000));
    assert_eq!(inbox(&mut hub), [0], "the others are over");
}
