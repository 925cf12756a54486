//! What ARCHITECTURE.md lists as always true, where no other test says it.

use core::time::Duration;

use gossip_proto::sim::Network;
use gossip_proto::{
    Addr, Config, Event, Instant, Kind, Lifecycle, Memory, Node, NodeId, PutOptions, Rejected, Seed, Stats, Storage,
};

const SECOND: Duration = Duration::from_secs(1);
/// The longest payload of a UDP datagram over IPv4.
const LEN_MAX: usize = 65_507;

/// A node with much to say to one other, which it knows but never hears.
fn talkative(datagram_len_max: u16) -> Node<'static> {
    let config = Config { datagram_len_max, bytes_per_second: u32::MAX, ..Config::lan("invariants") };
    let storage = Storage::with_capacity(64, 512, 4 << 20);
    let mut node = Node::new(NodeId(1), addr(1), config, storage, Seed::new([1; 32])).unwrap();
    let mut peer = peer(2);
    peer.join(Instant::ZERO, addr(1)).unwrap();
    hand_over(&mut peer, &mut node, Instant::ZERO);
    for index in 0..400u16 {
        let value = vec![b'v'; usize::from(index)];
        // What is too long for the smallest datagrams is refused, and not missed.
        _ = node.put(Instant::ZERO, &index.to_be_bytes(), &value, PutOptions::new().kind(Kind::Register));
    }
    node
}

fn peer(id: u8) -> Node<'static> {
    let storage = Storage::with_capacity(16, 16, 1 << 16);
    Node::new(NodeId(id.into()), addr(id), Config::lan("invariants"), storage, Seed::new([id; 32])).unwrap()
}

fn hand_over(from: &mut Node<'_>, to: &mut Node<'_>, now: Instant) {
    let mut buf = [0; 1400];
    while let Some(sent) = from.poll_transmit(now, &mut buf) {
        if sent.to == to.addr() {
            let mut datagram = sent.payload.to_vec();
            to.handle_datagram(now, from.addr(), &mut datagram).unwrap();
        }
    }
}

fn addr(last: u8) -> Addr {
    Addr::from(std::net::SocketAddr::from(([127, 0, 0, last], 7000)))
}

/// A buffer of every length, or nearly: each is handed in with something behind its end, which must stay.
#[test]
fn a_payload_is_never_longer_than_the_buffer() {
    let lengths = (0..2_000).chain((2_000..LEN_MAX).step_by(499)).chain([LEN_MAX - 1, LEN_MAX]);
    let (mut node, mut longest) = (talkative(LEN_MAX as u16), 0);
    let mut buf = vec![0xee; LEN_MAX + 64];
    let mut now = Instant::ZERO;
    for len in lengths {
        now = node.poll_timeout().map_or(now, |due| due.max(now));
        node.handle_timeout(now);
        let sent = node.poll_transmit(now, &mut buf[..len]).map_or(0, |sent| sent.payload.len());
        assert!(sent <= len, "{sent} bytes in a buffer of {len}");
        assert!(buf[len..].iter().all(|byte| *byte == 0xee), "bytes behind a buffer of {len}");
        longest = longest.max(sent);
        buf.fill(0xee);
        if node.live() == 1 {
            // The silent one was taken for dead: it joins once more.
            node = talkative(LEN_MAX as u16);
            now = Instant::ZERO;
        }
    }
    assert!(longest > 20_000, "there was much to say, and {longest} bytes were the most");
}

#[test]
fn the_smallest_datagrams_do() {
    let mut node = talkative(128);
    let mut buf = [0; 128];
    let mut sent = 0;
    while let Some(transmit) = node.poll_transmit(Instant::ZERO, &mut buf) {
        sent += transmit.payload.len();
    }
    assert!(sent > 0);
    assert_eq!(node.stats().items_too_large, 0);
}

/// Without a deadline and with nothing to send, a node is silent for ever: alone at first, and after its farewell.
#[test]
fn no_deadline_and_nothing_to_send_mean_silence() {
    let mut alone = peer(1);
    alone.put(Instant::ZERO, b"key", b"value", PutOptions::new()).unwrap();
    assert_eq!(alone.lifecycle(), Lifecycle::Alone);
    assert_silent(&mut alone, Instant::ZERO);

    let mut left = talkative(1400);
    let (mut now, mut buf) = (Instant::ZERO, [0; 1400]);
    left.leave(now);
    let mut farewells = 0;
    loop {
        while left.poll_transmit(now, &mut buf).is_some() {
            farewells += 1;
        }
        let Some(due) = left.poll_timeout() else { break };
        now = due;
        left.handle_timeout(now);
    }
    assert_eq!((left.lifecycle(), farewells), (Lifecycle::Left, 3));
    assert_silent(&mut left, now);
    assert_eq!(left.handle_datagram(now, addr(2), &mut [0; 24]), Err(Rejected::Left));
    assert_silent(&mut left, now);
}

fn assert_silent(node: &mut Node<'_>, now: Instant) {
    let mut buf = [0; 1400];
    assert_eq!((node.poll_timeout(), node.poll_transmit(now, &mut buf)), (None, None));
    // Events are no actions: they may be told once.
    while node.poll_event().is_some() {}
    for day in 0..1_000 {
        let later = now + Duration::from_secs(day * 24 * 3600);
        node.handle_timeout(later);
        assert_eq!((node.poll_timeout(), node.poll_transmit(later, &mut buf), node.poll_event()), (None, None, None));
    }
}

/// Lent memory and boxed memory of the same size are one code path: same inputs, same datagrams.
#[test]
fn lent_and_owned_memory_act_alike() {
    let mut memory = Memory::<16, 64, 16_384>::new();
    let config = || Config::lan("invariants");
    let mut lent = Node::new(NodeId(1), addr(1), config(), &mut memory, Seed::new([1; 32])).unwrap();
    let storage = Storage::with_capacity(16, 64, 16_384);
    let mut owned = Node::new(NodeId(1), addr(1), config(), storage, Seed::new([1; 32])).unwrap();
    let (mut now, mut sent) = (Instant::ZERO, 0);
    let (mut buf, mut other) = ([0; 700], [0; 700]);
    for node in [&mut lent, &mut owned] {
        node.join(now, addr(2)).unwrap();
        let mut peer = peer(2);
        peer.join(now, addr(1)).unwrap();
        hand_over(&mut peer, node, now);
    }
    for round in 0..300u16 {
        // More than there is room for: both are full at the same moment, and in the same words.
        let (key, value) = ((round % 90).to_be_bytes(), vec![1; usize::from(round % 300)]);
        let put = |node: &mut Node<'_>| node.put(now, &key, &value, PutOptions::new());
        assert_eq!(put(&mut lent), put(&mut owned));
        assert_eq!(lent.poll_event(), owned.poll_event());
        while let Some(transmit) = lent.poll_transmit(now, &mut buf) {
            assert_eq!(Some(transmit), owned.poll_transmit(now, &mut other));
            sent += 1;
        }
        assert_eq!(owned.poll_transmit(now, &mut other), None);
        assert_eq!(lent.poll_timeout(), owned.poll_timeout());
        now = now.max(lent.poll_timeout().unwrap_or(now));
        lent.handle_timeout(now);
        owned.handle_timeout(now);
    }
    assert_eq!(lent.stats(), owned.stats());
    assert!(sent > 100, "{sent} datagrams");
}

/// What is refused for want of room, and what makes room for something else, is counted; nobody is told that it was kept.
#[test]
fn whatever_is_full_has_a_counter() {
    let config = || Config { forget_after: Duration::from_secs(600), ..Config::lan("invariants") };
    let storage = Storage::with_capacity(3, 4, 4_096);
    let config = Config { datagram_len_max: 200, ..config() };
    let mut small = Node::new(NodeId(1), addr(1), config, storage, Seed::new([1; 32])).unwrap();
    let mut now = Instant::ZERO;
    let count = |small: &mut Node<'_>, counter: fn(&Stats) -> u64, act: &mut dyn FnMut(&mut Node<'_>)| {
        let before = counter(small.stats());
        act(small);
        assert!(counter(small.stats()) > before, "{:?}", small.stats());
    };
    // Four entries fit; a fifth is refused, from the application and from the wire.
    for key in 0..4u8 {
        small.put(now, &[key], b"v", PutOptions::new()).unwrap();
    }
    assert!(small.put(now, &[4], b"v", PutOptions::new()).is_err());
    count(&mut small, |stats| stats.refused_full, &mut |small| {
        let mut writer = peer(2);
        writer.put(now, b"more", b"v", PutOptions::new()).unwrap();
        writer.join(now, addr(1)).unwrap();
        introduce(&mut writer, small, now);
        hand_over(&mut writer, small, now);
        writer.put(now, b"still more", b"v", PutOptions::new()).unwrap();
        writer.handle_timeout(now + SECOND);
        hand_over(&mut writer, small, now + SECOND);
    });
    // One more member fits. Of all others some are refused while those two live, and some take the place of one.
    meet(&mut small, 3, now);
    count(&mut small, |stats| stats.members_refused, &mut |small| (20..40).for_each(|id| meet(small, id, now)));
    assert_eq!(small.live(), 3);
    // Nobody answers: both die, and one gives way to a newcomer.
    let mut buf = [0; 200];
    while small.live() > 1 {
        now = small.poll_timeout().unwrap();
        small.handle_timeout(now);
        while small.poll_transmit(now, &mut buf).is_some() {}
    }
    assert!(small.stats().probes_failed > 0);
    meet(&mut small, 5, now);
    assert_eq!((small.live(), small.members_used()), (2, (3, 3)));
}

/// A node that nobody has heard of says hello.
fn meet(node: &mut Node<'_>, id: u8, now: Instant) {
    let mut peer = peer(id);
    peer.join(now, addr(1)).unwrap();
    hand_over(&mut peer, node, now);
}

/// The node answers, so that its peer knows it.
fn introduce(peer: &mut Node<'_>, node: &mut Node<'_>, now: Instant) {
    hand_over(peer, node, now);
    hand_over(node, peer, now);
}

/// However much is asked of a node at one moment, one call does a bounded part of it, and the rest is due at once.
#[test]
fn one_call_does_a_bounded_part() {
    let mut net = Network::new(1);
    for _ in 0..200 {
        let node = net.add_node(Config::lan("invariants"));
        if node > 0 {
            net.join(node, 0);
        }
    }
    assert!(net.run_to(60 * SECOND, |net| net.all_know_all()));
    // All others say farewell: they are to be forgotten a day later, nearly at once.
    for node in 1..200 {
        net.with(node, |node, now| node.leave(now));
        net.run_for(Duration::from_millis(50));
    }
    // Some farewells reached only those who left next: these are found dead, one by one.
    assert!(net.run_to(900 * SECOND, |net| net.node(0).is_some_and(|node| node.live() == 1)));
    assert_eq!(net.node(0).unwrap().members_used().0, 200);
    let mut most = 0;
    net.with(0, |node, now| {
        let mut later = now + Duration::from_secs(25 * 3600);
        let mut buf = [0; 1400];
        for _ in 0..10_000 {
            let before = node.members_used().0;
            node.handle_timeout(later);
            while node.poll_transmit(later, &mut buf).is_some() {}
            most = most.max(before - node.members_used().0);
            later = later.max(node.poll_timeout().unwrap_or(later));
            if node.members_used().0 == 1 {
                break;
            }
        }
        assert_eq!(node.members_used().0, 1);
        while let Some(event) = node.poll_event() {
            assert!(!matches!(event, Event::Joined));
        }
    });
    assert_eq!(most, 64, "deadlines in one call");
}
