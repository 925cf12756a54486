//! What a relay passes on and what a destination takes, datagram by datagram.

use std::vec;
use std::vec::Vec;

use super::FORWARDS_MAX;
use crate::membership::MemberState;
use crate::slab::Link;
use crate::wire::{Envelope, Header, Message, Writer, close, open};
use crate::{Addr, Config, Instant, Node, NodeId, Seed, Storage};

const ALICE: NodeId = NodeId(1);
const RELAY: NodeId = NodeId(2);
const BOB: NodeId = NodeId(3);
const STRANGER: NodeId = NodeId(9);

fn addr(id: NodeId) -> Addr {
    Addr::new(&[id.0 as u8; 6]).unwrap()
}

fn config() -> Config {
    Config::lan("forward")
}

/// A datagram of these messages, from one to another.
fn datagram(from: NodeId, to: NodeId, messages: &[Message<'_>]) -> Vec<u8> {
    let mut buf = vec![0; 2_000];
    let mut writer = Writer::new(&mut buf, &Header { id: from, incarnation: 0, root: 0, load: 0 }).unwrap();
    for message in messages {
        writer.push(message, usize::MAX).unwrap();
    }
    let len = writer.len();
    close(&mut buf, len, &Envelope { key: config().swarm, own: from }, Some(to)).to_vec()
}

/// A node with this id that knows the two others, and has nothing to send.
fn node(id: NodeId, config: Config) -> Node<'static> {
    let mut node = Node::new(id, addr(id), config, Storage::with_capacity(8, 64, 65_536), Seed::new([7; 32])).unwrap();
    for other in [ALICE, RELAY, BOB].into_iter().filter(|other| *other != id) {
        hear(&mut node, other, &datagram(other, id, &[]));
    }
    quiet(&mut node);
    node
}

fn hear(node: &mut Node<'_>, from: NodeId, datagram: &[u8]) {
    node.handle_datagram(Instant::ZERO, addr(from), &mut datagram.to_vec()).unwrap();
}

fn quiet(node: &mut Node<'_>) {
    while node.poll_transmit(Instant::ZERO, &mut [0; 1_400]).is_some() {}
}

/// The datagrams to be passed on in what a node sends, each with the address to which it goes.
fn passed_on(node: &mut Node<'_>, own: NodeId, to: NodeId) -> Vec<(Addr, Vec<u8>)> {
    let mut all = Vec::new();
    let mut buf = [0; 1_400];
    while let Some(sent) = node.poll_transmit(Instant::ZERO, &mut buf) {
        let (at, mut bytes) = (sent.to, sent.payload.to_vec());
        let Ok((header, messages)) = open(&mut bytes, &Envelope { key: config().swarm, own: to }) else { continue };
        assert_eq!(header.id, own);
        for message in messages {
            if let Ok(Message::Forward { payload, .. }) = message {
                all.push((at, payload.to_vec()));
            }
        }
    }
    all
}

fn counts(node: &Node<'_>) -> (u64, u64) {
    (node.stats().forwarded, node.stats().forward_refused)
}

#[test]
fn a_relay_passes_on_what_it_is_given_and_nothing_else() {
    let mut relay = node(RELAY, config());
    let used = (relay.entries_used(), relay.bytes_used());
    let inner = datagram(ALICE, BOB, &[Message::Ping(5)]);
    hear(&mut relay, ALICE, &datagram(ALICE, RELAY, &[Message::Forward { to: BOB, payload: &inner }]));
    assert_eq!(passed_on(&mut relay, RELAY, BOB), [(addr(BOB), inner)]);
    assert_eq!(counts(&relay), (1, 0));
    assert_eq!((relay.entries_used(), relay.bytes_used()), used, "its bytes are free again");
}

#[test]
fn a_relay_refuses_and_counts() {
    let inner = datagram(ALICE, BOB, &[]);
    let forward = |to| datagram(ALICE, RELAY, &[Message::Forward { to, payload: &inner }]);
    // Nobody of that name; somebody who is dead; somebody whom it does not reach itself; somebody who sleeps.
    let mut relay = node(RELAY, config());
    hear(&mut relay, ALICE, &forward(STRANGER));
    assert_eq!(counts(&relay), (0, 1));
    let bob = relay.members.find(BOB).unwrap();
    let alice = relay.members.find(ALICE).unwrap();
    relay.members.get_mut(bob).unwrap().via = Link::to(alice);
    hear(&mut relay, ALICE, &forward(BOB));
    assert_eq!(counts(&relay), (0, 2));
    relay.members.get_mut(bob).unwrap().via = Link::NONE;
    relay.members.get_mut(bob).unwrap().asleep = crate::time::Tick(99);
    hear(&mut relay, ALICE, &forward(BOB));
    assert_eq!(counts(&relay), (0, 3));
    relay.members.get_mut(bob).unwrap().asleep = crate::time::Tick(0);
    relay.members.update(bob, |slot| slot.state = MemberState::Dead);
    hear(&mut relay, ALICE, &forward(BOB));
    assert_eq!(counts(&relay), (0, 4));
    assert_eq!(passed_on(&mut relay, RELAY, BOB), []);
}

#[test]
fn a_relay_keeps_a_few_and_those_of_the_dying_are_dropped() {
    let mut relay = node(RELAY, config());
    let inner = datagram(ALICE, BOB, &[]);
    let forward = Message::Forward { to: BOB, payload: &inner };
    hear(&mut relay, ALICE, &datagram(ALICE, RELAY, &vec![forward.clone(); FORWARDS_MAX + 3]));
    assert_eq!(counts(&relay), (0, 3));
    assert_eq!(passed_on(&mut relay, RELAY, BOB).len(), FORWARDS_MAX);
    assert_eq!(counts(&relay), (FORWARDS_MAX as u64, 3));

    hear(&mut relay, ALICE, &datagram(ALICE, RELAY, &[forward]));
    let bob = relay.members.find(BOB).unwrap();
    relay.members.update(bob, |slot| slot.state = MemberState::Dead);
    assert_eq!(passed_on(&mut relay, RELAY, BOB), []);
    assert_eq!(counts(&relay), (FORWARDS_MAX as u64, 4));
    assert_eq!(relay.entries_used().0, 0);
}

#[test]
fn what_is_passed_on_waits_for_the_byte_budget() {
    let mut relay = node(RELAY, Config { bytes_per_second: 1_000, datagram_len_max: 1_400, ..config() });
    let inner = vec![0x11; 1_200];
    let forward = Message::Forward { to: BOB, payload: &inner };
    for _ in 0..4 {
        hear(&mut relay, ALICE, &datagram(ALICE, RELAY, std::slice::from_ref(&forward)));
    }
    // The bucket holds two of the longest datagrams; only a probe overdraws it.
    assert_eq!(passed_on(&mut relay, RELAY, BOB).len(), 2);
    assert!(relay.stats().budget_waits > 0 && relay.poll_timeout().is_some());
    let later = Instant::from_millis(5_000);
    assert!(relay.poll_transmit(later, &mut [0; 1_400]).is_some());
    assert!(relay.poll_transmit(later, &mut [0; 1_400]).is_some());
    assert_eq!(counts(&relay), (4, 0));
}

#[test]
fn what_does_not_fit_in_the_buffer_is_dropped() {
    let mut relay = node(RELAY, config());
    let inner = datagram(
        ALICE,
        BOB,
        &[Message::Entry(crate::wire::EntryItem {
            ttl: 0,
            kind: 0,
            key: b"k",
            version: crate::wire::VersionId::default(),
            value: Some(&[7; 600]),
        })],
    );
    hear(&mut relay, ALICE, &datagram(ALICE, RELAY, &[Message::Forward { to: BOB, payload: &inner }]));
    while let Some(sent) = relay.poll_transmit(Instant::ZERO, &mut [0; 512]) {
        assert!(sent.payload.len() <= 512);
    }
    assert_eq!(counts(&relay), (0, 1));
}

#[test]
fn the_destination_takes_it_as_its_senders_own() {
    let mut bob = node(BOB, config());
    let wrapped = |inner: &[u8]| datagram(RELAY, BOB, &[Message::Forward { to: BOB, payload: inner }]);
    let before = bob.member(ALICE).unwrap().addr;
    hear(&mut bob, RELAY, &wrapped(&datagram(ALICE, BOB, &[Message::Ping(5)])));
    assert_eq!(counts(&bob), (0, 0));
    assert_eq!(bob.member(ALICE).unwrap().addr, before, "the relay's address is not the sender's");
    // The answer goes to the sender, where it was before.
    let mut buf = [0; 1_400];
    let sent = bob.poll_transmit(Instant::ZERO, &mut buf).unwrap();
    assert_eq!(sent.to, before);
    let mut bytes = sent.payload.to_vec();
    let (_, mut messages) = open(&mut bytes, &Envelope { key: config().swarm, own: ALICE }).unwrap();
    assert!(messages.any(|message| message == Ok(Message::Ack(5))));
}

#[test]
fn the_destination_refuses_and_counts() {
    let inner = |from, to| datagram(from, to, &[]);
    let mut damaged = inner(ALICE, BOB);
    *damaged.last_mut().unwrap() ^= 1;
    let nested = datagram(ALICE, BOB, &[Message::Forward { to: BOB, payload: &inner(RELAY, BOB) }]);
    let again = datagram(ALICE, BOB, &[Message::Forward { to: RELAY, payload: &inner(ALICE, RELAY) }]);
    let cases = [
        ("of a stranger", inner(STRANGER, BOB)),
        ("bound to another", inner(ALICE, STRANGER)),
        ("its own", inner(BOB, BOB)),
        ("damaged", damaged),
        ("empty", vec![]),
        ("one in one in one", nested),
        ("to be passed on again", again),
    ];
    for (what, payload) in cases {
        let mut bob = node(BOB, config());
        let live = bob.live();
        hear(&mut bob, RELAY, &datagram(RELAY, BOB, &[Message::Forward { to: BOB, payload: &payload }]));
        assert_eq!(counts(&bob), (0, 1), "{what}");
        assert_eq!((bob.live(), bob.member(STRANGER).is_none()), (live, true), "{what}");
        assert_eq!(passed_on(&mut bob, BOB, RELAY), [], "{what}");
    }
}

#[test]
fn who_leaves_passes_nothing_on() {
    let mut relay = node(RELAY, config());
    let inner = datagram(ALICE, BOB, &[]);
    hear(&mut relay, ALICE, &datagram(ALICE, RELAY, &[Message::Forward { to: BOB, payload: &inner }]));
    relay.leave(Instant::ZERO);
    assert_eq!(passed_on(&mut relay, RELAY, BOB), []);
    assert_eq!((counts(&relay), relay.entries_used().0), ((0, 1), 0));
}
