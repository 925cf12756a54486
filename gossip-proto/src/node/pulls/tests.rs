//! What a node makes of announcements and chunks that are not true, datagram by datagram.

use std::vec;
use std::vec::Vec;

use crate::wire::{Envelope, Header, Large, Message, UNIT, Writer, close, open};
use crate::{Addr, Config, Instant, Node, NodeId, PutOptions, Seed, Storage};

const ALICE: NodeId = NodeId(1);
const BOB: NodeId = NodeId(2);
const MALLORY: NodeId = NodeId(3);
const LEN: usize = 10_000;

fn addr(id: NodeId) -> Addr {
    Addr::new(&[id.0 as u8; 6]).unwrap()
}

fn config() -> Config {
    Config { value_len_max: 20_000, ..Config::lan("pulls") }
}

fn node(id: NodeId) -> Node<'static> {
    let storage = Storage::with_capacity(8, 64, 200_000);
    let mut node = Node::new(id, addr(id), config(), storage, Seed::new([id.0 as u8; 32])).unwrap();
    for other in [ALICE, BOB, MALLORY].into_iter().filter(|other| *other != id) {
        say(&mut node, Instant::ZERO, other, &[]);
    }
    node
}

/// A member says this.
fn say(node: &mut Node<'_>, now: Instant, from: NodeId, messages: &[Message<'_>]) {
    let mut buf = vec![0; 2_000];
    let mut writer = Writer::new(&mut buf, &Header { id: from, incarnation: 0, root: 0, load: 0 }).unwrap();
    messages.iter().for_each(|message| assert!(writer.push(message, usize::MAX).is_some()));
    let len = writer.len();
    let mut datagram = close(&mut buf, len, &Envelope { key: config().swarm, own: from }, Some(node.id())).to_vec();
    node.handle_datagram(now, addr(from), &mut datagram).unwrap();
}

/// What a node asks for: of whom, and which units.
fn asks(node: &mut Node<'_>, now: Instant) -> Vec<(NodeId, u32, u16, u16)> {
    let (mut all, mut buf) = (Vec::new(), [0; 1_400]);
    while let Some(sent) = node.poll_transmit(now, &mut buf) {
        let (to, mut bytes) = (sent.to, sent.payload.to_vec());
        let to = [ALICE, BOB, MALLORY].into_iter().find(|id| addr(*id) == to).unwrap();
        let (_, messages) = open(&mut bytes, &Envelope { key: config().swarm, own: to }).unwrap();
        for message in messages.flatten() {
            if let Message::Pull { digest, from, end, .. } = message {
                all.push((to, digest, from, end));
            }
        }
    }
    all
}

/// What a holder of a value of [`LEN`] bytes announces, and the bytes of its record.
fn truth(stamp: u64, fill: u8) -> (Large, Vec<u8>) {
    let mut holder = node(BOB);
    holder.handle_wall_clock(Instant::ZERO, 1_700_000_000_000_000 + stamp);
    holder.put(Instant::ZERO, b"key", &[fill; LEN], PutOptions::new()).unwrap();
    let slot = holder.store.find(b"key").unwrap();
    (holder.store.large(slot).unwrap(), holder.saved_entry(b"key").unwrap().as_bytes().to_vec())
}

fn chunk(large: &Large, record: &[u8], from: u16, end: u16) -> Vec<u8> {
    let bytes = &record[usize::from(from) * UNIT..record.len().min(usize::from(end) * UNIT)];
    assert!(bytes.len() < 1_400 && !bytes.is_empty(), "{large:?}");
    bytes.to_vec()
}

/// Gives all units, from a record.
fn give(node: &mut Node<'_>, now: Instant, from: NodeId, large: &Large, record: &[u8]) {
    let units = record.len().div_ceil(UNIT) as u16;
    for unit in (0..units).step_by(16) {
        let bytes = chunk(large, record, unit, (unit + 16).min(units));
        say(node, now, from, &[Message::Chunk { digest: large.short(), from: unit, bytes: &bytes }]);
    }
}

#[test]
fn a_liar_is_found_out_and_not_asked_again() {
    let (mut alice, now, (large, record)) = (node(ALICE), Instant::ZERO, truth(0, 7));
    say(&mut alice, now, MALLORY, &[Message::Large(large)]);
    assert!(asks(&mut alice, now).iter().all(|ask| ask.0 == MALLORY));
    let mut wrong = record.clone();
    wrong[5_000] ^= 1;
    give(&mut alice, now, MALLORY, &large, &wrong);
    assert_eq!((alice.stats().pulls_wrong, alice.stats().pulls_dropped), (1, 1));
    assert!(alice.get(b"key").is_none() && alice.bytes_used().0 == 0 && alice.entries_used().0 == 0);
    // It may announce what it likes.
    say(&mut alice, now, MALLORY, &[Message::Large(large)]);
    assert!(asks(&mut alice, now).is_empty());
    assert_eq!(alice.stats().pulls_refused, 1);
    // Somebody else is believed.
    say(&mut alice, now, BOB, &[Message::Large(large)]);
    assert!(!asks(&mut alice, now).is_empty());
    give(&mut alice, now, BOB, &large, &record);
    assert_eq!(alice.get(b"key").unwrap().value(), [7; LEN]);
    assert_eq!(alice.entries_used().0, 1);
    // Ten minutes later it is asked again, for something newer.
    let later = Instant::from_millis(601_000);
    let (newer, _) = truth(1_000_000, 8);
    say(&mut alice, later, MALLORY, &[Message::Large(newer)]);
    assert!(asks(&mut alice, later).iter().any(|ask| ask.0 == MALLORY));
}

#[test]
fn among_several_holders_the_liar_is_told_by_asking_one_alone() {
    let (mut alice, now, (large, record)) = (node(ALICE), Instant::ZERO, truth(0, 7));
    say(&mut alice, now, MALLORY, &[Message::Large(large)]);
    say(&mut alice, now, BOB, &[Message::Large(large)]);
    let mut wrong = record.clone();
    wrong[100] ^= 1;
    let (half, units) = (16, record.len().div_ceil(UNIT) as u16);
    let first = chunk(&large, &wrong, 0, half);
    say(&mut alice, now, MALLORY, &[Message::Chunk { digest: large.short(), from: 0, bytes: &first }]);
    for unit in (half..units).step_by(16) {
        let bytes = chunk(&large, &record, unit, (unit + 16).min(units));
        say(&mut alice, now, BOB, &[Message::Chunk { digest: large.short(), from: unit, bytes: &bytes }]);
    }
    assert_eq!((alice.stats().pulls_wrong, alice.stats().pulls_dropped), (1, 0));
    let asked = asks(&mut alice, now);
    let (of, others) = (asked[0].0, [MALLORY, BOB]);
    assert!(others.contains(&of) && asked.iter().all(|ask| ask.0 == of), "one alone: {asked:?}");
    give(&mut alice, now, of, &large, if of == MALLORY { &wrong } else { &record });
    if of == MALLORY {
        assert!(asks(&mut alice, now).iter().all(|ask| ask.0 == BOB));
        give(&mut alice, now, BOB, &large, &record);
    }
    assert_eq!(alice.get(b"key").unwrap().value(), [7; LEN]);
}

#[test]
fn what_was_not_announced_and_absurd_numbers_change_nothing() {
    let (mut alice, now, (large, record)) = (node(ALICE), Instant::ZERO, truth(0, 7));
    let bytes = chunk(&large, &record, 0, 16);
    say(&mut alice, now, BOB, &[Message::Chunk { digest: large.short(), from: 0, bytes: &bytes }]);
    assert_eq!(alice.stats().chunks_refused, 1);
    for len in [20_000 + 400, u32::MAX, u32::MAX - 8] {
        say(&mut alice, now, BOB, &[Message::Large(Large { len, ..large })]);
    }
    assert_eq!((alice.stats().pulls_refused, alice.bytes_used().0), (3, 0));
    say(&mut alice, now, BOB, &[Message::Large(Large { stamp: u64::MAX, ..large })]);
    assert_eq!(alice.stats().pulls, 0);
    say(&mut alice, now, BOB, &[Message::Large(large)]);
    let used = alice.bytes_used().0;
    let before = alice.stats().chunks_refused;
    let wrong = [(u16::MAX, &bytes[..]), (large.len.div_ceil(UNIT as u32) as u16, &bytes), (0, &bytes[..63]), (0, &[])];
    for (from, bytes) in wrong {
        say(&mut alice, now, BOB, &[Message::Chunk { digest: large.short(), from, bytes }]);
    }
    // And from somebody who was not asked.
    say(&mut alice, now, MALLORY, &[Message::Chunk { digest: large.short(), from: 0, bytes: &bytes }]);
    assert_eq!(alice.stats().chunks_refused - before, 5);
    assert_eq!(alice.bytes_used().0, used);
    // A record that is what was announced, and still no record of that key.
    for (at, name) in [(2, "key"), (0, "length of the key"), (1, "count"), (5, "kind")] {
        let (mut alice, mut damaged) = (node(ALICE), record.clone());
        damaged[at] ^= 0x10;
        let digest = alice.store.digest_of(&damaged);
        let lie = Large { digest, ..large };
        say(&mut alice, now, MALLORY, &[Message::Large(lie)]);
        give(&mut alice, now, MALLORY, &lie, &damaged);
        assert_eq!((alice.stats().pulls_wrong, alice.entries_used().0), (1, 0), "{name}");
    }
}

#[test]
fn more_than_there_is_room_for_wait_and_the_stalled_give_way() {
    let (mut alice, now, (large, _)) = (node(ALICE), Instant::ZERO, truth(0, 7));
    for nth in 0..20 {
        let key = crate::slab::index::Key::new(nth, 5);
        say(&mut alice, now, MALLORY, &[Message::Large(Large { key, digest: [nth as u8; 12], ..large })]);
    }
    let (pulls, refused) = (alice.stats().pulls, alice.stats().pulls_refused);
    assert_eq!((pulls, refused), (2, 18));
    let later = Instant::from_millis(3_000);
    say(&mut alice, later, BOB, &[Message::Large(large)]);
    assert_eq!((alice.stats().pulls, alice.stats().pulls_dropped), (3, 1));
    // In the end all are given up, and nothing is left of them.
    let mut at = later;
    for _ in 0..10_000 {
        let _ = asks(&mut alice, at);
        at = alice.poll_timeout().unwrap().max(at);
        alice.handle_timeout(at);
        if at > Instant::from_millis(70_000) {
            break;
        }
    }
    assert_eq!((alice.bytes_used().0, alice.entries_used().0), (0, 0));
    assert_eq!(alice.stats().pulls_dropped, 3);
}
