//! What forged messages, windows and questions can do, and what not.

use std::vec;
use std::vec::Vec;

use crate::wire::{Bits, Envelope, Header, Message, Missing, Publication, WindowItem, Writer, close, open};
use crate::{Addr, Config, Event, Instant, Node, NodeId, PublishOptions, Seed, Storage};

const LIAR: NodeId = NodeId(9);
const WALL: u64 = 1_790_000_000_000_000;
const TRUE_ORIGIN: u64 = 0x1234_5678_9abc_def0;

fn config() -> Config {
    Config::lan("forged")
}

fn addr(id: NodeId) -> Addr {
    Addr::new(&[id.0 as u8; 6]).unwrap()
}

/// A node that knows the liar, and has nothing to send.
fn node(entries: usize) -> Node<'static> {
    let storage = Storage::with_capacity(8, entries, 65_536);
    let mut node = Node::new(NodeId(1), addr(NodeId(1)), config(), storage, Seed::new([7; 32])).unwrap();
    node.handle_wall_clock(Instant::ZERO, WALL);
    hear(&mut node, Instant::ZERO, &[]);
    sent(&mut node, Instant::ZERO);
    node
}

fn hear(node: &mut Node<'_>, now: Instant, messages: &[Message<'_>]) {
    let mut buf = vec![0; 60_000];
    let mut writer = Writer::new(&mut buf, &Header { id: LIAR, incarnation: 0, root: 0, load: 0 }).unwrap();
    for message in messages {
        writer.push(message, usize::MAX).unwrap();
    }
    let len = writer.len();
    let datagram = close(&mut buf, len, &Envelope { key: config().swarm, own: LIAR }, Some(NodeId(1)));
    node.handle_datagram(now, addr(LIAR), &mut datagram.to_vec()).unwrap();
}

/// The datagrams that a node sends to the liar.
fn sent(node: &mut Node<'_>, now: Instant) -> Vec<Vec<u8>> {
    let (mut all, mut buf) = (Vec::new(), [0; 1_400]);
    while let Some(transmit) = node.poll_transmit(now, &mut buf) {
        all.push(transmit.payload.to_vec());
    }
    all
}

/// How many messages a node asks for in what it sends.
fn asked(all: &[Vec<u8>]) -> u32 {
    let mut asked = 0;
    for datagram in all {
        let (_, messages) = open(&mut datagram.clone(), &Envelope { key: config().swarm, own: LIAR })
            .map(|(header, messages)| {
                (
                    header,
                    messages
                        .flatten()
                        .map(
                            |message| {
                                if let Message::Missing(missing) = message { missing.wanted.count_ones() } else { 0 }
                            },
                        )
                        .sum::<u32>(),
                )
            })
            .unwrap();
        asked += messages;
    }
    asked
}

fn publication(origin: u64, sequence: u32, stamp: u64) -> Message<'static> {
    Message::Publication(Publication { origin, sequence, stamp, ttl: 60_000, urgent: false, topic: b"t", bytes: b"b" })
}

fn told(node: &mut Node<'_>) -> Vec<(u64, u32)> {
    let mut all = Vec::new();
    while let Some(event) = node.poll_event() {
        if let Event::Message { origin, sequence, .. } = event {
            all.push((origin, sequence));
        }
    }
    all
}

#[test]
fn no_number_hides_the_messages_of_the_true_origin() {
    let mut node = node(64);
    let now = Instant::ZERO;
    hear(&mut node, now, &[publication(TRUE_ORIGIN, 0, WALL)]);
    for far in [u32::MAX, 1 << 31, 64, 1_000_000] {
        hear(&mut node, now, &[publication(TRUE_ORIGIN, far, WALL)]);
    }
    assert_eq!(told(&mut node).len(), 5);
    for sequence in 1..64 {
        hear(&mut node, now, &[publication(TRUE_ORIGIN, sequence, WALL + u64::from(sequence))]);
        assert_eq!(told(&mut node), [(TRUE_ORIGIN, sequence)]);
    }
    assert_eq!(asked(&sent(&mut node, now)), 0, "a jump asks for nothing: windows do");
}

/// A window that says of everything that it is seen and over: what comes all the same is told.
#[test]
fn what_is_called_over_is_taken_when_it_comes() {
    let mut node = node(64);
    let now = Instant::ZERO;
    let until = ((WALL + 60_000_000) / 16_000_000) as u32;
    let lie = WindowItem {
        topic: node.store.topic_hash(b"t"),
        origin: TRUE_ORIGIN,
        base: 0,
        seen: Bits::of(u64::MAX),
        gone: Bits::of(u64::MAX),
        until,
        settled: true,
    };
    hear(&mut node, now, &[Message::Window(lie)]);
    hear(&mut node, now, &[publication(TRUE_ORIGIN, 3, WALL)]);
    assert_eq!(told(&mut node), [(TRUE_ORIGIN, 3)]);
    // And what it says is there is asked for once, not for ever.
    let lie = WindowItem { gone: Bits::of(0), ..lie };
    hear(&mut node, now, &[Message::Copies, Message::Window(lie)]);
    assert_eq!(asked(&sent(&mut node, now)), 63);
    let mut later = now;
    for _ in 0..200 {
        later = node.poll_timeout().unwrap().max(later);
        node.handle_timeout(later);
        assert_eq!(asked(&sent(&mut node, later)), 0);
    }
}

#[test]
fn windows_and_stamps_out_of_all_bounds_are_refused() {
    let mut node = node(64);
    let now = Instant::ZERO;
    for stamp in [0, 1, WALL - 60_000_000, WALL + 3_600_000_000, u64::MAX] {
        hear(&mut node, now, &[publication(TRUE_ORIGIN, 0, stamp)]);
    }
    let long = Publication { origin: 1, sequence: 0, stamp: WALL, ttl: u32::MAX, urgent: true, topic: b"", bytes: b"" };
    hear(&mut node, now, &[Message::Publication(long)]);
    for until in [0, 1, u32::MAX, ((WALL + 30 * 3_600_000_000) / 16_000_000) as u32] {
        let item =
            WindowItem { topic: 1, origin: 5, base: 0, seen: Bits::of(7), gone: Bits::of(0), until, settled: true };
        hear(&mut node, now, &[Message::Window(item)]);
    }
    assert_eq!((told(&mut node).len(), node.entries_used().0), (0, 0), "{:?}", node.stats());
    let stats = node.stats();
    assert_eq!((stats.messages_over, stats.refused_stamp, stats.refused_message, stats.messages_full), (3, 2, 1, 2));
}

/// Questions are answered with a bounded number of datagrams, whatever they ask for.
#[test]
fn a_question_is_answered_with_few_datagrams() {
    let mut node = node(1_024);
    let now = Instant::ZERO;
    for _ in 0..64 {
        node.publish(now, b"t", &[7; 300], PublishOptions::new()).unwrap();
    }
    // Until they are no news any more.
    let mut later = now;
    while later < Instant::from_millis(20_000) {
        sent(&mut node, later);
        later = node.poll_timeout().unwrap().max(later);
        node.handle_timeout(later);
    }
    sent(&mut node, later);
    let ask = |base| Message::Missing(Missing { origin: 0, base, wanted: u32::MAX });
    hear(&mut node, later, &[ask(0), ask(32), ask(64)]);
    assert!(sent(&mut node, later).iter().all(|datagram| datagram.len() < 300), "nothing of an origin that nobody has");
    let origin = node.life();
    let ask = Message::Missing(Missing { origin, base: 0, wanted: u32::MAX });
    hear(&mut node, later, &[ask.clone(), ask.clone(), ask]);
    let all = sent(&mut node, later);
    assert!(all.iter().any(|datagram| datagram.len() > 300), "but the answer");
    assert!((1..=9).contains(&all.len()), "{} datagrams", all.len());
}

/// An origin is forgotten only when its last message is over; forged ones fill no more than their quarter.
#[test]
fn forged_origins_leave_room_for_entries() {
    let mut node = node(64);
    let now = Instant::ZERO;
    for origin in 1..200 {
        hear(&mut node, now, &[publication(origin << 30, (origin * 7) as u32, WALL)]);
        told(&mut node);
    }
    assert_eq!((node.messages_used(), node.entries_used().0), ((16, 16), 32));
    assert!(node.stats().messages_full >= 180);
    for key in 0..32u8 {
        node.put(now, &[key], b"v", crate::PutOptions::new()).unwrap();
    }
    let mut later = now;
    while later < Instant::from_millis(120_000) {
        later = node.poll_timeout().unwrap().max(later);
        node.handle_timeout(later);
        sent(&mut node, later);
    }
    assert_eq!((node.messages_used().0, node.entries_used().0), (0, 32));
}

/// Lets time pass until then, and hears what was missed.
fn missed(node: &mut Node<'_>, seconds: u64) -> u32 {
    let (mut later, mut missed) = (Instant::ZERO, 0);
    while later < Instant::from_millis(seconds * 1_000) {
        later = node.poll_timeout().unwrap().max(later);
        node.handle_timeout(later);
        sent(node, later);
        while let Some(event) = node.poll_event() {
            missed += if let Event::Missed { count, .. } = event { count } else { 0 };
        }
    }
    missed
}

/// What follows a window at once in its topic says that it was full, and nothing else does.
#[test]
fn a_window_that_is_followed_at_once_was_full() {
    let in_topic = |topic, sequence| {
        let (stamp, ttl, urgent) = (WALL, 60_000, false);
        Message::Publication(Publication { origin: TRUE_ORIGIN, sequence, stamp, ttl, urgent, topic, bytes: b"b" })
    };
    for (topic, next, expected) in [(b"t", 64, 63), (b"t", 128, 0), (b"u", 64, 0)] {
        let mut node = node(64);
        hear(&mut node, Instant::ZERO, &[in_topic(b"t", 0), in_topic(topic, next)]);
        assert_eq!(told(&mut node).len(), 2);
        assert_eq!(missed(&mut node, 200), expected, "{next} of {topic:?}");
    }
    // As numbers are given out: at once behind a window that is full, else one further on.
    let mut node = node(1_024);
    let mut publish = |now, topic: &[u8], count: u32| {
        let options = PublishOptions::new().ttl(core::time::Duration::from_secs(60));
        (0..count).map(|_| node.publish(now, topic, b"b", options).unwrap()).last().unwrap()
    };
    assert_eq!(publish(Instant::ZERO, b"t", 65), 64);
    assert_eq!(publish(Instant::ZERO, b"u", 1), 192);
    assert_eq!(publish(Instant::ZERO, b"t", 64), 256, "the next that is free");
    assert_eq!(publish(Instant::ZERO, b"u", 63), 255);
    assert_eq!(missed(&mut node, 200), 0);
    let options = PublishOptions::new();
    assert_eq!(node.publish(Instant::from_millis(200_000), b"t", b"b", options), Ok(384));
}

/// A topic is given up with messages in it of which the application was not told: it never is, unless the topic is wanted
/// again; then it is, once, and of those that it was told of it is not.
#[test]
fn what_is_given_up_untold_may_come_again() {
    let mut node = node(64);
    let now = Instant::ZERO;
    let all = [0, 1, 2].map(|sequence| publication(TRUE_ORIGIN, sequence, WALL));
    hear(&mut node, now, &all[..2]);
    assert!(matches!(node.poll_event(), Some(Event::Joined)));
    assert!(matches!(node.poll_event(), Some(Event::Member { .. })));
    assert!(matches!(node.poll_event(), Some(Event::Message { sequence: 0, .. })));
    node.subscribe(now, [&b"u"[..]]).unwrap();
    assert_eq!(told(&mut node), [], "from now on");
    for _ in 0..4 {
        node.handle_timeout(now);
    }
    assert_eq!((node.messages_used().0, told(&mut node)), (0, Vec::new()));
    hear(&mut node, now, &all);
    let until = ((WALL + 60_000_000) / 16_000_000) as u32;
    let topic = node.store.topic_hash(b"t");
    let window =
        WindowItem { topic, origin: TRUE_ORIGIN, base: 0, seen: Bits::of(7), gone: Bits::of(0), until, settled: true };
    hear(&mut node, now, &[Message::Window(window)]);
    assert_eq!((told(&mut node), asked(&sent(&mut node, now))), (Vec::new(), 0));
    assert_eq!(node.stats().entries_unwanted, 4);
    node.subscribe(now, [&b"t"[..]]).unwrap();
    hear(&mut node, now, &[Message::Copies, Message::Window(window)]);
    assert_eq!(asked(&sent(&mut node, now)), 2, "what it was told of is not asked for");
    hear(&mut node, now, &all);
    assert_eq!(told(&mut node), [(TRUE_ORIGIN, 1), (TRUE_ORIGIN, 2)]);
    assert_eq!(missed(&mut node, 200), 0);
}

/// Two origins that begin alike, in one topic: the second is refused and counted, until the window of the first is dropped.
#[test]
fn of_origins_that_begin_alike_one_is_heard() {
    let mut node = node(64);
    let twin = TRUE_ORIGIN ^ 1;
    hear(&mut node, Instant::ZERO, &[publication(TRUE_ORIGIN, 0, WALL), publication(twin, 1, WALL)]);
    assert_eq!((told(&mut node), node.stats().messages_full), (Vec::from([(TRUE_ORIGIN, 0)]), 1));
    assert_eq!(missed(&mut node, 200), 0);
    hear(&mut node, Instant::from_millis(200_000), &[publication(twin, 2, WALL + 200_000_000)]);
    assert_eq!(told(&mut node), [(twin, 2)]);
}
