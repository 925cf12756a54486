//! What a node makes of datagrams that somebody made up, one by one.

mod speed;

use core::time::Duration;

use std::println;
use std::vec;
use std::vec::Vec;

use crate::wire::{Accusation, Envelope, Header, MemberItem, Message, Writer, close, open};
use crate::{Addr, Config, Instant, MemberState, Node, NodeId, Seed, Storage};

const OWN: NodeId = NodeId(1);
const STRANGER: NodeId = NodeId(99);

fn addr(id: NodeId) -> Addr {
    Addr::new(&[id.0 as u8; 6]).unwrap()
}

fn config() -> Config {
    Config::lan("forged")
}

fn datagram(from: NodeId, incarnation: u32, messages: &[Message<'_>]) -> Vec<u8> {
    let mut buf = vec![0; 2_000];
    let mut writer = Writer::new(&mut buf, &Header { id: from, incarnation, root: 0, load: 0 }).unwrap();
    for message in messages {
        writer.push(message, usize::MAX).unwrap();
    }
    let len = writer.len();
    close(&mut buf, len, &Envelope { key: config().swarm, own: from }, Some(OWN)).to_vec()
}

fn record(id: NodeId, incarnation: u32, tags_version: u32, tags: &[u8]) -> MemberItem<'_> {
    MemberItem { id, incarnation, addr: addr(id), tags_version, asleep: 0, tags }
}

fn hear(node: &mut Node<'_>, now: Instant, from: NodeId, messages: &[Message<'_>]) {
    node.handle_datagram(now, addr(from), &mut datagram(from, 0, messages)).unwrap();
}

/// A node that knows these others, at the addresses where they are.
fn node(config: Config, others: &[NodeId]) -> Node<'static> {
    let mut node =
        Node::new(OWN, addr(OWN), config, Storage::with_capacity(64, 64, 65_536), Seed::new([7; 32])).unwrap();
    for &other in others {
        let told: Vec<_> = others.iter().map(|&id| Message::Alive(record(id, 0, 0, &[]))).collect();
        node.join(Instant::ZERO, addr(others[0])).unwrap();
        hear(&mut node, Instant::ZERO, others[0], &told);
        hear(&mut node, Instant::ZERO, other, &[]);
    }
    node
}

/// Everything that a node sends now: where to, how long, and the numbers of its pings.
fn sent(node: &mut Node<'_>, now: Instant) -> Vec<(Addr, usize, Vec<u32>)> {
    let datagrams = all_sent(node, now).into_iter();
    datagrams.map(|(to, len, pings, _)| (to, len, pings)).collect()
}

/// The same, and how many acks there are in each datagram.
fn all_sent(node: &mut Node<'_>, now: Instant) -> Vec<(Addr, usize, Vec<u32>, usize)> {
    let (mut buf, mut all) = (vec![0; usize::from(node.config().datagram_len_max)], Vec::new());
    while let Some(sent) = node.poll_transmit(now, &mut buf) {
        let (to, len) = (sent.to, sent.payload.len());
        let id = NodeId(u64::from(to.as_bytes()[0]));
        let mut bytes = sent.payload.to_vec();
        let opened = open(&mut bytes, &Envelope { key: config().swarm, own: id });
        let messages: Vec<_> = opened.into_iter().flat_map(|(_, messages)| messages.flatten()).collect();
        let number = |message: &Message<'_>| if let Message::Ping(number) = *message { Some(number) } else { None };
        let acks = messages.iter().filter(|message| matches!(message, Message::Ack(_))).count();
        all.push((to, len, messages.iter().filter_map(number).collect(), acks));
    }
    all
}

#[test]
fn a_flood_stays_within_the_budget_and_stops_no_probe() {
    let members = [NodeId(2), NodeId(3), NodeId(4)];
    let config = Config { bytes_per_second: 1_000, datagram_len_max: 128, ..config() };
    let mut node = node(config, &members);
    let (mut bytes, mut acks, mut most_late) = (0, 0, 0);
    let mut probes = Vec::new();
    for ms in 1..=20_000 {
        let now = Instant::from_millis(ms);
        if node.poll_timeout().is_some_and(|due| due <= now) {
            node.handle_timeout(now);
        }
        // A hundred times what may be answered, from members and from strangers.
        for flooder in [members[ms as usize % 3], STRANGER] {
            hear(&mut node, now, flooder, &[Message::Ping(7), Message::Join(record(flooder, 0, 0, &[]))]);
        }
        for (to, len, pings, acked) in all_sent(&mut node, now) {
            bytes += len;
            acks += acked;
            if !pings.is_empty() {
                // All answer, or they would die.
                most_late = most_late.max(ms - probes.last().copied().unwrap_or(0));
                probes.push(ms);
                let from = NodeId(u64::from(to.as_bytes()[0]));
                let answers: Vec<_> = pings.into_iter().map(Message::Ack).collect();
                hear(&mut node, now, from, &answers);
            }
        }
        // The bucket's depth at the start, what has flowed in since, and one datagram more.
        assert!(bytes <= 256 + ms as usize + 128, "{bytes} bytes in {ms} ms");
    }
    // An ack alone takes 24 bytes, and others want their share.
    assert!(acks > 20_000 / 24 / 4, "{acks} acks");
    assert!(probes.len() >= 15 && most_late <= 3_000, "{} probes, {most_late} ms between two", probes.len());
    assert!(node.stats().replies_dropped > 1_000);
    assert!(members.iter().all(|&id| node.member(id).unwrap().state == MemberState::Alive));
}

/// One who is pinged and answers with another address for us, again and again, moves nobody; two do.
#[test]
fn two_who_answer_move_a_node_and_one_does_not() {
    let members = [NodeId(2), NodeId(3), NodeId(4)];
    let (liars, elsewhere) = ([NodeId(2), NodeId(3)], addr(NodeId(77)));
    for count in [1, 2] {
        let mut node = node(config(), &members);
        for ms in (0..60_000).step_by(10) {
            let now = Instant::from_millis(ms);
            node.handle_timeout(now);
            // Whatever is only said, whoever says it.
            if ms % 500 == 0 {
                members.iter().for_each(|&id| hear(&mut node, now, id, &[Message::Ack(5), Message::Seen(elsewhere)]));
            }
            for (to, _, pings) in sent(&mut node, now) {
                let from = NodeId(u64::from(to.as_bytes()[0]));
                let lies = liars[..count].contains(&from);
                for number in pings {
                    // In either order.
                    let (ack, seen) = (Message::Ack(number), Message::Seen(elsewhere));
                    let order = if ms % 20 == 0 { [ack, seen] } else { [seen, ack] };
                    hear(&mut node, now, from, if lies { &order } else { std::slice::from_ref(&order[0]) });
                }
            }
        }
        assert_eq!(node.addr() == elsewhere, count == 2, "{count} say so");
    }
}

/// What an older life or a liar made of our tags is answered with a record that replaces it, whatever its counter.
#[test]
fn no_counter_of_tags_is_the_last() {
    for (version, tags) in [(u32::MAX, &b"\x01a\x01b"[..]), (1, b"\x01a\x01b"), (1, b"\x01x\x01y")] {
        let mut owner = node(config(), &[NodeId(2)]);
        owner.set_tags(Instant::ZERO, [("x", "y")]).unwrap();
        hear(&mut owner, Instant::ZERO, NodeId(2), &[Message::Alive(record(OWN, 0, version, tags))]);
        let same = version == 1 && tags == b"\x01x\x01y";
        assert_eq!(owner.incarnation(), u32::from(!same), "{version} {tags:?}");
        // Another node that believed it takes the owner's answer.
        let third = NodeId(3);
        let mut other = node(config(), &[NodeId(2), third]);
        hear(&mut other, Instant::ZERO, NodeId(2), &[Message::Alive(record(third, 0, version, tags))]);
        assert_eq!(other.member(third).unwrap().tags().count(), 1);
        // The new incarnation was heard of before its record was.
        let accusation = Accusation { id: third, incarnation: 1, by: NodeId(2) };
        hear(&mut other, Instant::ZERO, NodeId(2), &[Message::Suspect(accusation)]);
        hear(&mut other, Instant::ZERO, NodeId(2), &[Message::Alive(record(third, 2, 1, b""))]);
        assert_eq!(other.member(third).unwrap().tags().count(), 0, "{version}");
    }
}

/// A report of death about a newer incarnation than the one that is suspect here does not inherit that one's age.
#[test]
fn each_incarnation_has_time_to_refute() {
    let (victim, liar) = (NodeId(2), NodeId(3));
    let mut node = node(config(), &[liar, victim, NodeId(4)]);
    let mut now = Instant::from_millis(10_000);
    for incarnation in 0..50 {
        let accusation = Accusation { id: victim, incarnation, by: liar };
        hear(&mut node, now, liar, &[Message::Dead(accusation), Message::Dead(accusation)]);
        assert_eq!(node.member(victim).unwrap().state, MemberState::Suspect, "{incarnation}");
        now = now + Duration::from_millis(1_500);
        while node.poll_timeout().is_some_and(|due| due <= now) {
            node.handle_timeout(now);
            sent(&mut node, now);
        }
    }
}

/// What a member takes of the table's memory; entries and tags aside.
#[test]
fn bytes_per_member() {
    use crate::slab::{
        Ix,
        deadline::Row,
        index::{Fork, Leaf},
    };
    let sizes = [size_of::<crate::membership::MemberSlot>(), size_of::<Leaf>() + size_of::<Fork>(), size_of::<Row>()];
    let (bits, sum) = (Ix::BITS, sizes.iter().sum::<usize>());
    println!("{sum} bytes per member with links of {bits} bits: slot, index and deadline {sizes:?}");
    assert!(sum <= if bits == 16 { 140 } else { 188 }, "{sum}");
}

/// What an entry takes besides its record in the arena: that has 8 bytes, 16 for each writer, key and value.
#[test]
fn bytes_per_entry() {
    use crate::slab::{
        Ix,
        deadline::Row,
        index::{Fork, Leaf},
    };
    let sizes = [size_of::<crate::state::EntrySlot>(), size_of::<Leaf>() + size_of::<Fork>(), size_of::<Row>()];
    let (bits, sum) = (Ix::BITS, sizes.iter().sum::<usize>());
    println!("{sum} bytes per entry with links of {bits} bits: slot, index and deadline {sizes:?}");
    assert!(sum <= if bits == 16 { 46 } else { 88 }, "{sum}");
}

/// Whoever spoke a moment ago is looked after, not called anything.
#[test]
fn fresh_contact_outweighs_a_report_of_death() {
    let (victim, liar) = (NodeId(2), NodeId(3));
    let mut node = node(config(), &[liar, victim, NodeId(4)]);
    let now = Instant::from_millis(10_000);
    node.handle_timeout(now);
    sent(&mut node, now);
    hear(&mut node, now, victim, &[]);
    hear(&mut node, now, liar, &[Message::Dead(Accusation { id: victim, incarnation: 0, by: liar })]);
    assert_eq!(node.member(victim).unwrap().state, MemberState::Alive);
    let mut pinged = false;
    let until = now + Duration::from_millis(2_100);
    while let Some(due) = node.poll_timeout().filter(|due| *due <= until) {
        node.handle_timeout(due);
        pinged |= sent(&mut node, due).iter().any(|(to, _, pings)| *to == addr(victim) && !pings.is_empty());
    }
    assert!(pinged);
}
