//! Golden bytes: what every message and the envelope look like on the wire, for good. A change here is another version.

use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use super::codec;
use super::datagram::{Envelope, FORWARD_LEN_MAX, Header, Writer, close, open, open_inner, wrap};
use super::message::{
    Accusation, Bits, CatchUp, Digests, EntryItem, Items, Large, Many, MemberItem, Message, Missing, Publication, Seen,
    Sketch, Table, VersionId, WindowItem,
};
use crate::slab::index::{Key, Prefix};
use crate::{Addr, Config, Instant, Memory, Node, NodeId, Rejected, Seed, SwarmKey};

const ALICE: NodeId = NodeId(0x8877_6655_4433_2211);
const BOB: NodeId = NodeId(0x0b);
const ALICE_HEX: &str = "1122334455667788";
const BOB_HEX: &str = "0b00000000000000";

/// Every message, and its bytes. An id, a key and a salt are fixed bytes, ids and numbers least significant first, keys
/// most significant first; incarnations and lengths are varints.
fn golden() -> Vec<(Message<'static>, String)> {
    let v4 = Addr::new(&[0x1c, 0x68, 127, 0, 0, 1]).unwrap();
    let radio = Addr::new(&[0xab, 0xcd]).unwrap();
    let key = Key::new(0x0102_0304, 0x0506_0708_090a_0b0c);
    let member = |asleep, tags| MemberItem { id: ALICE, incarnation: 300, addr: v4, tags_version: 1, asleep, tags };
    let accusation = Accusation { id: ALICE, incarnation: 2, by: BOB };
    let version =
        |context: &[Seen]| VersionId { stamp: 0x1122, writer: 0x33, context: context.iter().copied().collect() };
    let seen = |writer| Seen { writer, stamp: 5 };
    let timed =
        |kind, context: &[Seen], ttl, value| EntryItem { kind, key: b"a/k", version: version(context), ttl, value };
    let entry = |kind, context: &[Seen], value| timed(kind, context, 0, value);
    let digests = |from, prefix, present: u16, digests| {
        Message::Digests(Digests { table: Table::Entries, from, prefix, salt: 0xd4, absent: !present, digests })
    };
    let items =
        |prefix, answer, digests| Message::Items(Items { table: Table::Members, prefix, salt: 0xd4, answer, digests });
    let number = 0x0102_0304;
    let three = |n: u64| format!("{:02x}00000000000000 0500000000000000", n);
    vec![
        (Message::Ping(number), "00 04030201".into()),
        (Message::Ack(number), "01 04030201".into()),
        (Message::PingReq { number, target: ALICE, addr: v4 }, format!("02 04030201 {ALICE_HEX} 06 1c687f000001")),
        (Message::Join(member(0, b"")), format!("03 {ALICE_HEX} ac02 06 1c687f000001 01 00 00")),
        (Message::Alive(member(0, b"\x01k\x01v")), format!("04 {ALICE_HEX} ac02 06 1c687f000001 01 00 04 016b0176")),
        // Asleep for about a minute more: 915 ticks of 65,536 µs.
        (Message::Alive(member(915, b"")), format!("04 {ALICE_HEX} ac02 06 1c687f000001 01 9307 00")),
        (Message::Suspect(accusation), format!("05 {ALICE_HEX} 02 {BOB_HEX}")),
        (Message::Dead(accusation), format!("06 {ALICE_HEX} 02 {BOB_HEX}")),
        (Message::Left { id: ALICE, incarnation: u32::MAX }, format!("07 {ALICE_HEX} ffffffff0f")),
        (
            Message::Entry(entry(0, &[], Some(b"v"))),
            "08 00 03 612f6b 2211000000000000 3300000000000000 00 00 01 01 76".into(),
        ),
        (
            Message::Entry(entry(1, &[seen(1), seen(2), seen(3)], Some(b""))),
            format!(
                "08 01 03 612f6b 2211000000000000 3300000000000000 03 {}{}{} 00 01 00",
                three(1),
                three(2),
                three(3)
            ),
        ),
        (Message::Entry(entry(0, &[], None)), "08 00 03 612f6b 2211000000000000 3300000000000000 00 00 00".into()),
        // For a minute; then a tombstone stays.
        (
            Message::Entry(timed(0, &[], 121, Some(b"v"))),
            "08 00 03 612f6b 2211000000000000 3300000000000000 00 79 01 01 76".into(),
        ),
        // Every kind; where values join, the writer is the epoch, and a context says what a delete ended.
        (
            Message::Entry(entry(2, &[seen(9)], Some(b"m"))),
            format!("08 02 03 612f6b 2211000000000000 3300000000000000 01 {} 00 01 01 6d", three(9)),
        ),
        (
            Message::Entry(entry(3, &[], Some(b"m"))),
            "08 03 03 612f6b 2211000000000000 3300000000000000 00 00 01 01 6d".into(),
        ),
        (
            // 300 added, 1 taken away, of which 2 and nothing are deleted.
            Message::Entry(entry(4, &[], Some(b"\x02\0\xaa\x02\x01"))),
            "08 04 03 612f6b 2211000000000000 3300000000000000 00 00 01 05 0200aa0201".into(),
        ),
        (
            // Element "/k" of set "a" would end in its length; the wire does not look at it.
            Message::Entry(entry(5, &[], Some(b""))),
            "08 05 03 612f6b 2211000000000000 3300000000000000 00 00 01 00".into(),
        ),
        (
            Message::Entry(entry(15, &[], Some(b"7"))),
            "08 0f 03 612f6b 2211000000000000 3300000000000000 00 00 01 01 37".into(),
        ),
        (Message::Offer { key, digest: number }, "09 0102030405060708090a0b0c 04030201".into()),
        (Message::Want(key), "0a 0102030405060708090a0b0c".into()),
        (Message::Root { table: Table::Members, digest: 0x0102 }, "0b 00 02010000".into()),
        (Message::Root { table: Table::Entries, digest: u32::MAX }, "0b 01 ffffffff".into()),
        (digests(0, Prefix::ROOT, 0x8001, b"\x01\x02\x03\x04"), "0c 01 00 00 00 d4 feff01 04 01020304".into()),
        // Twelve bits take two bytes, of which the last half is zero.
        (digests(4, Prefix::of(key, 12), 0, b""), "0c 01 04 0c 02 0100 d4 ffff03 00".into()),
        (items(Prefix::ROOT, 0, b""), "0d 00 00 00 d4 00 00".into()),
        (items(Prefix::ROOT, 0, b"\x01\x02\x03\x04"), "0d 00 00 00 d4 00 04 01020304".into()),
        (items(Prefix::of(key, 96), 2, b"\x01\x02"), "0d 00 60 0c 0102030405060708090a0b0c d4 02 02 0102".into()),
        (Message::Copies, "0e".into()),
        (Message::Nack(number), "0f 04030201".into()),
        (Message::Seen(radio), "10 02 abcd".into()),
        (Message::Forward { to: BOB, payload: b"\x11inner" }, format!("11 {BOB_HEX} 06 11696e6e6572")),
        (
            Message::Ask { key, stamp: 0x1122, writer: 0x33, number },
            "12 0102030405060708090a0b0c 2211000000000000 3300000000000000 04030201".into(),
        ),
        (Message::Held(number), "13 04030201".into()),
        (Message::Floor { clock: 0x0102, floor: number, level: true }, "14 0201000000000000 04030201 01".into()),
        (
            Message::Publication(Publication {
                origin: 0x44,
                sequence: 300,
                stamp: 0x1122,
                ttl: 60_000,
                urgent: true,
                topic: b"t",
                bytes: b"hi",
            }),
            "15 4400000000000000 ac02 2211000000000000 e0d403 01 01 74 02 6869".into(),
        ),
        (
            Message::Window(WindowItem {
                topic: 0x0506_0708,
                origin: 0x44,
                base: 64,
                seen: Bits::of(2 << 32 | 0x87),
                gone: Bits::of(5),
                until: 0x0102_0304,
                settled: true,
            }),
            "16 08070605 4400000000000000 40 8701 02 05 00 04030201 01".into(),
        ),
        (
            Message::Missing(Missing { origin: 0x44, base: 32, wanted: 0x8000_0001 }),
            "17 4400000000000000 20 01000080".into(),
        ),
        (Message::Ahead { key, now: 0x0102 }, "18 0102030405060708090a0b0c 0201000000000000".into()),
        (
            Message::Large(Large { key, stamp: 0x1122, writer: 0x33, len: 1_000_000, digest: [0xdd; 12] }),
            "19 0102030405060708090a0b0c 2211000000000000 3300000000000000 c0843d dddddddddddddddddddddddd".into(),
        ),
        (
            Message::Pull { key, digest: number, from: 300, end: 556 },
            "1a 0102030405060708090a0b0c 04030201 ac02 ac04".into(),
        ),
        (Message::Chunk { digest: number, from: 5, bytes: b"abc" }, "1b 04030201 05 03 616263".into()),
        (
            Message::Sketch(Sketch::Ask { count: 300, cell: [7; 8], estimate: [8; 48] }),
            format!("1c 00 ac02 {} {}", "07".repeat(8), "08".repeat(48)),
        ),
        (
            Message::Sketch(Sketch::Cells { first: 1, end: 200, cells: Many::Wire(&[9; 16]) }),
            format!("1c 01 01 c801 10 {}", "09".repeat(16)),
        ),
        (Message::Sketch(Sketch::More { first: 1, end: 200 }), "1c 02 01 c801".into()),
        (
            Message::Sketch(Sketch::Want { topic: 0x0201, keys: Many::Wire(&[5; 6]) }),
            "1c 03 0102 06 050505050505".into(),
        ),
        (
            Message::Sketch(Sketch::Have { topic: 0x0201, keys: Many::Wire(&[5; 10]) }),
            "1c 04 0102 0a 05050505050505050505".into(),
        ),
        (
            Message::Sketch(Sketch::Differ { topic: 0x0201, first: 5, last: 300, keys: Many::Wire(&[5; 3]) }),
            "1c 05 0102 05 ac02 03 050505".into(),
        ),
        (Message::Sketch(Sketch::AskTotal), "1c 06".into()),
        (
            Message::Sketch(Sketch::Total { weight: 0x1122, product: 0x33 }),
            "1c 07 2211000000000000 3300000000000000".into(),
        ),
        (Message::CatchUp(CatchUp::Begin { datagrams: 4, tag: 1, skip: number }), "1d 00 04 01 04030201".into()),
        (
            Message::CatchUp(CatchUp::Parts { count: 300, parts: &[8, 7, 12, 7, 0x10] }),
            "1d 01 ac02 05 08070c0710".into(),
        ),
        (
            Message::CatchUp(CatchUp::Fetch { at: key, depth: 36, tag: 300, datagrams: 32, skip: number }),
            "1d 02 0102030405060708090a0b0c 24 ac02 20 04030201".into(),
        ),
        (
            Message::CatchUp(CatchUp::Run { tag: 300, left: 31, next: Some(key) }),
            "1d 03 ac02 1f 01 0102030405060708090a0b0c".into(),
        ),
        (Message::CatchUp(CatchUp::Run { tag: 300, left: 0, next: None }), "1d 03 ac02 00 00".into()),
    ]
}

/// The tag of a message; a variant that is not here does not compile.
fn tag(message: &Message<'_>) -> u8 {
    match message {
        Message::Ping(_) => 0,
        Message::Ack(_) => 1,
        Message::PingReq { .. } => 2,
        Message::Join(_) => 3,
        Message::Alive(_) => 4,
        Message::Suspect(_) => 5,
        Message::Dead(_) => 6,
        Message::Left { .. } => 7,
        Message::Entry(_) => 8,
        Message::Offer { .. } => 9,
        Message::Want(_) => 10,
        Message::Root { .. } => 11,
        Message::Digests(_) => 12,
        Message::Items(_) => 13,
        Message::Copies => 14,
        Message::Nack(_) => 15,
        Message::Seen(_) => 16,
        Message::Forward { .. } => 17,
        Message::Ask { .. } => 18,
        Message::Held(_) => 19,
        Message::Floor { .. } => 20,
        Message::Publication(_) => 21,
        Message::Window(_) => 22,
        Message::Missing(_) => 23,
        Message::Ahead { .. } => 24,
        Message::Large(_) => 25,
        Message::Pull { .. } => 26,
        Message::Chunk { .. } => 27,
        Message::Sketch(_) => 28,
        Message::CatchUp(_) => 29,
        Message::Lacking => panic!("it is never written"),
    }
}
const TAGS: u8 = 30;

#[test]
fn every_message_has_its_bytes() {
    let mut tags = Vec::new();
    for (message, bytes) in golden() {
        let bytes = hex(&bytes);
        assert_eq!(show(&encode(&message)), show(&bytes), "{message:?}");
        assert_eq!(bytes[0], tag(&message), "{message:?}");
        assert_eq!(decode(&bytes), [Ok(message)]);
        tags.push(bytes[0]);
    }
    tags.dedup();
    assert!(tags.into_iter().eq(0..TAGS), "every message once at least, and in order");
}

/// What is written from a table is what is read as bytes.
#[test]
fn held_things_are_written_as_their_bytes() {
    let cells: [u64; 2] = [0x1122_3344_5566_7788, 7];
    let held = Message::Sketch(Sketch::Cells { first: 0, end: 2, cells: Many::Held(&cells) });
    let bytes = encode(&held);
    assert_eq!(show(&bytes), show(&hex("1c 01 00 02 10 8877665544332211 0700000000000000")));
    let [Ok(Message::Sketch(Sketch::Cells { cells: wire, .. }))] = decode(&bytes)[..] else { panic!("no cells") };
    assert!(wire.iter().eq(cells));
    let held = Message::Sketch(Sketch::Want { topic: 0, keys: Many::Held(&[0xff_0001_0203, 4]) });
    assert_eq!(show(&encode(&held)), show(&hex("1c 03 0000 06 030201 040000")));
}

#[test]
fn messages_follow_one_another_without_a_gap() {
    let all: Vec<u8> = golden().iter().flat_map(|(_, bytes)| hex(bytes)).collect();
    assert!(decode(&all).into_iter().eq(golden().into_iter().map(|(message, _)| Ok(message))));
}

#[test]
fn every_truncation_is_refused() {
    for (message, bytes) in golden() {
        let bytes = hex(&bytes);
        for len in 1..bytes.len() {
            assert_eq!(decode(&bytes[..len]), [Err(Rejected::Malformed)], "{message:?} cut to {len} bytes");
        }
    }
}

#[test]
fn what_postcard_would_take_and_the_wire_does_not() {
    let cases = [
        ("a tag that nobody has", "1d".into()),
        ("half a cell", "1c 01 00 02 01 00".into()),
        ("more cells than announced", format!("1c 01 01 01 08 {}", "00".repeat(8))),
        ("a range that ends before it begins", "1c 02 02 01".into()),
        ("half a key", "1c 03 0102 02 0102".into()),
        ("no address to be reached at", format!("03 {ALICE_HEX} 01 00 01 00 00")),
        ("no address of a member", format!("04 {ALICE_HEX} 01 00 01 00 00")),
        ("no address to ping", format!("02 04030201 {ALICE_HEX} 00")),
        ("seen at no address", "10 00".into()),
        ("an address of 24 bytes", format!("10 18 {}", "00".repeat(24))),
        ("a table that nobody has", "0b 03 0201000000000000".into()),
        ("a context of four pairs", format!("08 00 01 61 {} 04 {} 00", "00".repeat(16), "00".repeat(64))),
        ("an incarnation of 33 bits", format!("07 {ALICE_HEX} ffffffff1f")),
        ("a prefix of 97 bits", format!("0c 01 00 61 0d {} d4 ffff03 00", "00".repeat(13))),
        ("a prefix of no whole digits", "0c 01 00 02 01 00 d4 ffff03 00".into()),
        ("a prefix with a byte too many", "0c 01 00 04 02 1000 d4 ffff03 00".into()),
        ("digests of fewer parts than there are", "0c 01 00 00 00 d4 fcff03 02 0102".into()),
        ("digests of more parts than there are", "0c 01 00 00 00 d4 ffff03 04 01020304".into()),
        ("digests from beyond their prefix", "0c 01 04 00 00 d4 ffff03 00".into()),
        (
            "a window that does not begin at a multiple of 64",
            format!("16 08070605 {BOB_HEX} 01 07 00 00 00 04030201 00"),
        ),
        ("a message that is gone and was not seen", format!("16 08070605 {BOB_HEX} 00 07 00 08 00 04030201 00")),
        ("a question that begins nowhere", format!("17 {BOB_HEX} 21 01000000")),
        ("items with half a digest", "0d 00 00 00 d4 00 03 010203".into()),
        ("an answer of no kind", "0d 00 00 00 d4 03 02 0102".into()),
        ("a bool that is neither", format!("16 08070605 {BOB_HEX} 00 07 00 00 00 04030201 02")),
        ("an option that is neither", "08 00 01 61 00000000000000000000000000000000 00 02".into()),
    ];
    for (what, bytes) in cases {
        assert_eq!(decode(&hex(&bytes)), [Err(Rejected::Malformed)], "{what}");
    }
}

#[test]
fn bits_of_a_prefix_beyond_its_length_count_for_nothing() {
    let clean = decode(&hex("0c 01 00 04 01 10 d4 ffff03 00")).len();
    let bytes = hex("0c 01 00 04 01 1f d4 ffff03 00");
    let prefix = Prefix::of(Key::new(0x1000_0000, 0), 4);
    let [Ok(Message::Digests(digests))] = decode(&bytes)[..] else { panic!("{:?}", decode(&bytes)) };
    assert_eq!((digests.prefix, clean), (prefix, 1));
}

/// An idle datagram: envelope, header and one ping are 24 bytes.
#[test]
fn the_envelope_has_its_bytes() {
    // Byte 0, check, id, incarnation, root, load, ping.
    let body = format!("{ALICE_HEX} 01 efbeadde 07 00 04030201");
    let bound = hex(&format!("11 b7abdf89 {body}"));
    let unbound = hex(&format!("10 1832d1a6 {body}"));
    assert_eq!(show(&datagram(Some(BOB))), show(&bound));
    assert_eq!(show(&datagram(None)), show(&unbound));
    assert_eq!(bound.len(), 24);
    for mut bytes in [bound, unbound] {
        let (header, messages) = open(&mut bytes, &envelope(BOB)).unwrap();
        assert_eq!(header, HEADER);
        assert!(messages.eq([Ok(Message::Ping(0x0102_0304))]));
    }
    let mut buf = [0; 64];
    let longest = Header { incarnation: u32::MAX, ..HEADER };
    assert_eq!(Writer::new(&mut buf, &longest).unwrap().len(), 5 + 18, "no header is longer");
    assert!(Writer::new(&mut buf[..22], &longest).is_none());
}

/// One node hears what is no datagram for it, and says why it does not take it.
#[test]
fn what_is_refused_and_why() {
    let good = datagram(Some(BOB));
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let sealed = |key: &str, from: NodeId, to: NodeId, body: &str| {
        let mut bytes = [&[0; 5], &*hex(body)].concat();
        let len = bytes.len();
        let envelope = Envelope { key: SwarmKey::from_name(key), own: from };
        close(&mut bytes, len, &envelope, Some(to)).to_vec()
    };
    let header = format!("{ALICE_HEX} 01 efbeadde 07");
    let own = "0b00000000000000 01 efbeadde 07";
    let mut cases = vec![
        (vec![], Rejected::TooShort),
        (good[..4].to_vec(), Rejected::TooShort),
        (good[..5].to_vec(), Rejected::Check),
        (good[..23].to_vec(), Rejected::Check),
        ([&*good, &[0]].concat(), Rejected::Check),
        (sealed("other swarm", ALICE, BOB, &header), Rejected::Check),
        (sealed("golden", ALICE, NodeId(0x0c), &header), Rejected::Check),
        (sealed("golden", ALICE, BOB, &header[..header.len() - 2]), Rejected::Malformed),
        (sealed("golden", ALICE, BOB, &format!("{header} 00 04030201 12")), Rejected::Malformed),
        (sealed("golden", ALICE, BOB, own), Rejected::OwnId),
    ];
    // Another version or profile is named before anything else is looked at.
    cases.extend(
        (0..=255).filter(|first| ![0x10, 0x11].contains(first)).map(|first| (with(0, first), Rejected::Version)),
    );
    // Bound or not is covered by the check, as is every other bit.
    cases.push((with(0, 0x10), Rejected::Check));
    cases.extend((8..24 * 8).map(|bit| (with(bit / 8, good[bit / 8] ^ 1 << (bit % 8)), Rejected::Check)));

    let mut memory = Memory::<4, 4, 4096>::new();
    let at = Addr::new(b"alice").unwrap();
    let bob = Addr::new(b"bob").unwrap();
    let mut node = Node::new(BOB, bob, Config::lan("golden"), &mut memory, Seed::new([7; 32])).unwrap();
    let count = cases.len() as u64;
    for (bytes, why) in cases {
        assert_eq!(node.handle_datagram(Instant::ZERO, at, &mut bytes.clone()), Err(why), "{}", show(&bytes));
    }
    let refused: u64 = node.stats().iter().filter(|(name, _)| name.starts_with("refused_")).map(|(_, n)| n).sum();
    assert_eq!((refused, node.stats().refused_version), (count, 254));
    assert_eq!((node.live(), node.stats().datagrams_in, node.poll_timeout()), (1, 0, None));

    // The good one is taken, and answered in 24 bytes; after a farewell it is not.
    assert_eq!(node.handle_datagram(Instant::ZERO, at, &mut good.clone()), Ok(()));
    assert_eq!(node.live(), 2);
    let mut buf = [0; 1400];
    assert_eq!(node.poll_transmit(Instant::ZERO, &mut buf).map(|sent| sent.to), Some(at));
    node.leave(Instant::ZERO);
    let mut now = Instant::ZERO;
    while let Some(due) = node.poll_timeout() {
        now = due;
        node.handle_timeout(now);
        while node.poll_transmit(now, &mut buf).is_some() {}
    }
    assert_eq!(node.handle_datagram(now, at, &mut good.clone()), Err(Rejected::Left));
}

/// A datagram in a datagram: the inner one is that which its sender closed, and what goes around it is counted.
#[test]
fn a_datagram_to_be_passed_on_has_its_bytes() {
    let inner = datagram(Some(BOB));
    let mut buf = [0xee; 128];
    buf[FORWARD_LEN_MAX..FORWARD_LEN_MAX + inner.len()].copy_from_slice(&inner);
    let len = wrap(&mut buf, inner.len(), &HEADER, BOB).unwrap();
    let relay = NodeId(0x0c);
    let mut outer = close(&mut buf, len, &envelope(ALICE), Some(relay)).to_vec();
    assert_eq!(show(&outer[5..]), show(&hex(&format!("{ALICE_HEX} 01 efbeadde 07 11 {BOB_HEX} 18 {}", show(&inner)))));
    let (header, messages) = open(&mut outer, &envelope(relay)).unwrap();
    assert_eq!(header, HEADER);
    let Some(Ok(Message::Forward { to: BOB, payload })) = messages.last() else { panic!("no datagram inside") };
    assert_eq!(payload, inner);
    assert!(open_inner(payload, &envelope(BOB)).unwrap().1.eq([Ok(Message::Ping(0x0102_0304))]));
    // It is bound: nobody else can take it for his, and what is bound to nobody is not taken from a relay at all.
    assert_eq!(open_inner(payload, &envelope(relay)).err(), Some(Rejected::Check));
    assert_eq!(open_inner(&datagram(None), &envelope(BOB)).err(), Some(Rejected::Version));

    // With the longest header, the longest datagram and whatever relay, it still fits in the largest buffer.
    let longest = Header { incarnation: u32::MAX, ..HEADER };
    let mut large = vec![0; 65_507];
    let room = large.len() - FORWARD_LEN_MAX;
    assert_eq!(wrap(&mut large, room, &longest, BOB), Some(65_507));
    assert_eq!(wrap(&mut large, room + 1, &longest, BOB), None);
}

const HEADER: Header = Header { id: ALICE, incarnation: 1, root: 0xdead_beef, load: 7 };

fn envelope(own: NodeId) -> Envelope {
    Envelope { key: SwarmKey::from_name("golden"), own }
}

fn datagram(destination: Option<NodeId>) -> Vec<u8> {
    let mut buf = [0; 64];
    let mut writer = Writer::new(&mut buf, &HEADER).unwrap();
    writer.push(&Message::Ping(0x0102_0304), usize::MAX).unwrap();
    let len = writer.len();
    close(&mut buf, len, &envelope(ALICE), destination).to_vec()
}

/// The message alone, and that not a byte less would do.
fn encode(message: &Message<'_>) -> Vec<u8> {
    let mut buf = [0xee; 256];
    let mut writer = Writer::new(&mut buf, &HEADER).unwrap();
    let start = writer.len();
    let used = writer.push(message, usize::MAX).unwrap();
    writer.truncate(start);
    assert_eq!(writer.push(message, used - 1), None);
    assert_eq!(writer.push(message, used), Some(used));
    assert_eq!(buf[start + used..], [0xee; 256][start + used..], "nothing behind the end");
    buf[start..start + used].to_vec()
}

/// The messages of a datagram whose envelope and header are good. Its bytes live as long as the test does.
fn decode(messages: &[u8]) -> Vec<Result<Message<'static>, Rejected>> {
    let mut buf = vec![0; 64];
    let len = Writer::new(&mut buf, &HEADER).unwrap().len();
    buf.truncate(len);
    buf.extend(messages);
    let len = buf.len();
    close(&mut buf, len, &envelope(ALICE), Some(BOB));
    open(buf.leak(), &envelope(BOB)).unwrap().1.collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn show(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The code by hand and what serde and postcard make of the same types: the same bytes, the same messages, and the same is
/// refused, whatever the bytes.
#[test]
fn the_wire_is_postcards() {
    let mut rng = crate::rng::Rng::new(&Seed::new([5; 32]));
    let mut below = |end: usize| rng.below(end as u32) as usize;
    let (mut taken, mut refused) = (0, 0);
    for (message, bytes) in golden() {
        let bytes = hex(&bytes);
        assert_eq!(postcard::to_slice(&message, &mut [0; 256]).unwrap(), &*bytes, "{message:?}");
        for _ in 0..2_000 {
            let mut bytes = [&*bytes, &[0xff; 3]].concat();
            for _ in 0..=below(3) {
                let at = below(bytes.len());
                bytes[at] = [0, 1, 0x7f, 0x80, 0xff, below(256) as u8][below(6)];
            }
            bytes.truncate(bytes.len() - below(8).min(bytes.len()));
            let ours = codec::read::<Message<'_>>(&bytes);
            let theirs = postcard::take_from_bytes::<Message<'_>>(&bytes).ok();
            assert_eq!(ours, theirs, "{}", show(&bytes));
            *if ours.is_some() { &mut taken } else { &mut refused } += 1;
        }
    }
    assert!(taken > 10_000 && refused > 10_000, "{taken} taken, {refused} refused");
}

/// What a build lacks is read past to its last byte, and no further; what is cut short is refused.
#[test]
fn what_a_build_lacks_is_read_past() {
    let lacking = golden().into_iter().filter(|(message, _)| matches!(tag(message), 21..=23 | 26..=29));
    let mut count = 0;
    for (message, bytes) in lacking {
        let mut bytes = hex(&bytes);
        let len = bytes.len();
        assert!((1..len).all(|len| codec::layout::skipped(&bytes[..len]).is_none()), "{message:?}");
        bytes.extend([0xff; 3]);
        assert_eq!(codec::layout::skipped(&bytes), Some(len), "{message:?}");
        count += 1;
    }
    assert!(count >= 16);
    for unknown in ["1e", "1c 08 00", "1c 8002 00", "1d 04 00", "1d 8002 00"] {
        assert_eq!(codec::layout::skipped(&hex(unknown)), None, "{unknown}");
    }
}
