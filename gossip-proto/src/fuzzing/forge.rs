//! Datagrams that pass the envelope's check and may say anything.
//!
//! Knows: the envelope, written here a second time, and every message. Does not know: what a node makes of them.

use core::hash::Hasher;
use std::vec;
use std::vec::Vec;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::Choices;
use crate::slab::index::{Key, Prefix};
use crate::slab::sketch::{CELL_LEN, ESTIMATE_LEN};
use crate::state::StateHash;
use crate::wire::{
    Accusation, Bits, CatchUp, Context, Digests, EntryItem, Envelope, Header, ITEM_LEN, Items, KEY_LEN, Large,
    MARKED_LEN, Many, MemberItem, Message, Missing, Publication, Seen, Sketch, Table, VersionId, WindowItem, Writer,
    close,
};
use crate::{Addr, NodeId, SwarmKey};

/// A datagram to node 1 with this swarm key whose messages are `body`, whatever that is.
pub(super) fn raw(key: SwarmKey, from: NodeId, body: &[u8]) -> Vec<u8> {
    let header = Header { id: from, incarnation: 0, root: 0, load: 0 };
    let mut datagram = vec![0; 64];
    let len = Writer::new(&mut datagram, &header).expect("room for a header").len();
    datagram.truncate(len);
    datagram[0] = 0x10;
    datagram.extend(body);
    let mut hasher = SipHasher13::new_with_key(key.as_bytes());
    hasher.write(&datagram[5..]);
    hasher.write_u64(0);
    hasher.write_u8(datagram[0]);
    let check = hasher.finish128().h1 as u32;
    datagram[1..5].copy_from_slice(&check.to_le_bytes());
    datagram
}

/// A datagram of up to eight messages, each well formed and probably false; none that the application is told unless `told`.
pub(super) fn datagram(key: SwarmKey, choices: &mut Choices<'_>, told: bool) -> Vec<u8> {
    let mut buf = vec![0; 4096];
    let header = Header { id: id(choices), incarnation: number(choices), root: number(choices), load: choices.byte() };
    let mut writer = Writer::new(&mut buf, &header).expect("room for a header");
    for _ in 0..=choices.below(8) {
        push(&mut writer, key, choices, told);
    }
    let destination = [None, Some(NodeId(1))][choices.below(2)];
    let len = writer.len();
    close(&mut buf, len, &Envelope { key, own: header.id }, destination).to_vec()
}

fn push(writer: &mut Writer<'_>, swarm: SwarmKey, choices: &mut Choices<'_>, told: bool) {
    if choices.below(16) == 0 {
        writer.push(&Message::Copies, usize::MAX);
    }
    let (bytes, digests);
    let message = match choices.below(31) {
        0 => Message::Ping(number(choices)),
        1 => Message::Ack(number(choices)),
        2 => Message::PingReq { number: number(choices), target: id(choices), addr: addr(choices) },
        3 | 4 => {
            let (id, incarnation, addr, tags_version) = (id(choices), number(choices), addr(choices), number(choices));
            bytes = choices.some_bytes(12);
            let asleep = [0, number(choices)][choices.below(2)];
            let item = MemberItem { id, incarnation, addr, tags_version, asleep, tags: &bytes };
            if choices.below(2) == 0 { Message::Join(item) } else { Message::Alive(item) }
        }
        5 => Message::Suspect(accusation(choices)),
        6 => Message::Dead(accusation(choices)),
        7 => Message::Left { id: id(choices), incarnation: number(choices) },
        8..=10 => {
            let (kind, mut key, mut version) = (choices.byte() % 16, choices.key(), version(choices));
            let mut value = choices.some_bytes(12);
            if matches!(kind, 2..=4 | 8..) && choices.below(8) != 0 {
                // Where values join, the writer is an epoch, and the context is of earlier ones.
                version.writer = [0, version.stamp / 2, version.stamp][choices.below(3)];
                version.context.retain(|seen| seen.stamp < version.writer);
            }
            if kind == 4 && choices.below(8) != 0 {
                key.extend(id(choices).0.to_le_bytes());
                value.truncate(4);
                value.iter_mut().for_each(|number| *number = *number % 100 + 1);
            }
            if kind == 5 && choices.below(8) != 0 {
                key.push((key.len() / 2) as u8);
            }
            // None, one that a test lives through, one of any length.
            let ttl = [0, choices.byte().into(), number(choices)][choices.below(3)];
            let value = (choices.below(4) != 0).then_some(&*value);
            // Full is no matter: the datagram is long enough for most.
            _ = writer.push(&Message::Entry(EntryItem { kind, key: &key, version, ttl, value }), usize::MAX);
            return;
        }
        11 => Message::Offer { key: hash(choices), digest: number(choices) },
        12 => Message::Want(hash(choices)),
        13 => Message::Root { table: table(choices), digest: choices.byte().into() },
        14 => {
            let (table, prefix, salt) = (table(choices), prefix(choices), number(choices) as u8);
            digests = some_digests(choices).into_iter().take(32).collect::<Vec<u8>>();
            // One bit for each digest, as the message must be.
            let present = ((1u32 << (digests.len() / 2).min(16)) - 1) as u16;
            Message::Digests(Digests {
                table,
                from: prefix.len() / 8 * 4,
                prefix,
                salt,
                absent: !present,
                digests: &digests,
            })
        }
        16 => {
            let (key, version, number) = (hash(choices), version(choices), number(choices));
            Message::Ask { key, stamp: version.stamp, writer: version.writer, number }
        }
        17 => Message::Held(number(choices)),
        21 => {
            let (clock, floor) = (stamp(choices), (stamp(choices) / 1_000_000) as u32);
            Message::Floor { clock, floor, level: choices.below(2) == 0 }
        }
        22 => Message::Ahead { key: hash(choices), now: stamp(choices) },
        23 => {
            let (key, version, len) = (hash(choices), version(choices), [200, number(choices)][choices.below(2)]);
            // Few digests, so that chunks and questions meet an announcement.
            Message::Large(Large {
                key,
                stamp: version.stamp,
                writer: version.writer,
                len,
                digest: [choices.byte() % 4; 12],
            })
        }
        24 => {
            let (key, from) = (hash(choices), number(choices) as u16 % 0xfff0);
            Message::Pull { key, digest: short(choices), from, end: from + 1 + u16::from(choices.byte()) % 15 }
        }
        25 => {
            bytes = choices.some_bytes(200);
            let digest = short(choices);
            Message::Chunk { digest, from: choices.byte().into(), bytes: &bytes[..bytes.len().min(200)] }
        }
        15 => {
            bytes = if choices.below(4) == 0 { choices.some_bytes(60) } else { inner(writer, choices, told) };
            Message::Forward { to: id(choices), payload: &bytes }
        }
        18 if !told => Message::Copies,
        18 => {
            let (origin, sequence, ttl, urgent) =
                (origin(choices), number(choices), lifetime(choices), choices.below(4) == 0);
            let (stamp, topic, bytes) = (stamp(choices), topic(&choices.some_bytes(6)), choices.some_bytes(12));
            let item = Publication { origin, sequence, stamp, ttl, urgent, topic, bytes: &bytes };
            _ = writer.push(&Message::Publication(item), usize::MAX);
            return;
        }
        19 => {
            let (origin, base, seen, gone) = (origin(choices), number(choices) & !63, wide(choices), wide(choices));
            let (until, settled) = ((stamp(choices) / 16_000_000) as u32, choices.below(2) == 0);
            let topic = StateHash::new(swarm.as_bytes()).topic(topic(&seen.to_le_bytes())).topic();
            Message::Window(WindowItem {
                topic,
                origin,
                base,
                seen: Bits::of(seen),
                gone: Bits::of(gone & seen),
                until,
                settled,
            })
        }
        20 => Message::Missing(Missing {
            origin: origin(choices),
            base: number(choices) & !31,
            wanted: wide(choices) as u32,
        }),
        26 => {
            bytes = some_cells(choices);
            Message::Sketch(sketch(choices, &bytes))
        }
        27 => Message::Nack(number(choices)),
        28 => Message::Seen(addr(choices)),
        30 => {
            bytes = choices.some_bytes(24);
            Message::CatchUp(catch_up(choices, &bytes))
        }
        _ => {
            let (table, prefix, salt, answer) =
                (table(choices), prefix(choices), number(choices) as u8, choices.below(3) as u8);
            let mut bytes = some_digests(choices);
            bytes.truncate(bytes.len() / ITEM_LEN * ITEM_LEN);
            digests = bytes;
            Message::Items(Items { table, prefix, salt, answer, digests: &digests })
        }
    };
    _ = writer.push(&message, usize::MAX);
}

/// A datagram in a datagram, not too deep: for node 1, with this swarm's name or another one.
fn inner(writer: &Writer<'_>, choices: &mut Choices<'_>, told: bool) -> Vec<u8> {
    let mut buf = vec![0; (writer.room() / 2).min(512)];
    let header = Header { id: id(choices), incarnation: number(choices), root: number(choices), load: choices.byte() };
    let Some(mut inside) = Writer::new(&mut buf, &header) else { return Vec::new() };
    for _ in 0..choices.below(3) {
        push(&mut inside, SwarmKey::from_name("fuzz"), choices, told);
    }
    let len = inside.len();
    let name = ["fuzz", "other"][choices.below(2)];
    close(&mut buf, len, &Envelope { key: SwarmKey::from_name(name), own: header.id }, Some(NodeId(1))).to_vec()
}

/// The short digest of one of the large versions that are announced here.
fn short(choices: &mut Choices<'_>) -> u32 {
    u32::from_le_bytes([choices.byte() % 4; 4])
}

/// Cells that may be anything, in a range that may be any.
fn some_cells(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut cells = choices.some_bytes(120);
    cells.truncate(cells.len() / CELL_LEN * CELL_LEN);
    cells
}

fn catch_up<'b>(choices: &mut Choices<'_>, bytes: &'b [u8]) -> CatchUp<'b> {
    let tag = u16::from(choices.byte() % 8) << 8 | u16::from(choices.byte() % 4);
    match choices.below(4) {
        0 => CatchUp::Begin { datagrams: choices.byte(), tag: choices.byte(), skip: number(choices) },
        1 => CatchUp::Parts { count: number(choices), parts: bytes },
        2 => {
            let (part, datagrams) = (prefix(choices), choices.byte());
            CatchUp::Fetch { at: hash(choices), depth: part.len(), tag, datagrams, skip: number(choices) }
        }
        _ => {
            let next = (choices.below(2) == 0).then(|| hash(choices));
            CatchUp::Run { tag, left: choices.byte(), next }
        }
    }
}

fn sketch<'b>(choices: &mut Choices<'_>, bytes: &'b [u8]) -> Sketch<'b> {
    let first = (number(choices) % 3000) as u16;
    let len = (bytes.len() / CELL_LEN) as u16;
    let end = first + len + (number(choices) % 300) as u16;
    let mut fill = |mut to: Vec<u8>, len| {
        to.resize(len, choices.byte());
        to
    };
    match bytes.first().map_or(first, |byte| u16::from(*byte)) % 8 {
        5 => Sketch::AskTotal,
        6 => Sketch::Total { weight: u64::from(first) << 20, product: u64::from(first) << 20 | u64::from(end) },
        0 => {
            let cell = fill(bytes.iter().copied().take(CELL_LEN).collect(), CELL_LEN);
            let estimate = fill(bytes.iter().copied().skip(CELL_LEN).take(ESTIMATE_LEN).collect(), ESTIMATE_LEN);
            let (cell, estimate) = (cell.try_into().expect("its length"), estimate.try_into().expect("its length"));
            Sketch::Ask { count: first.into(), cell, estimate }
        }
        1 => Sketch::Cells { first: if end & 1 == 0 { 0 } else { first }, end, cells: Many::Wire(bytes) },
        2 => Sketch::More { first, end },
        4 => {
            let keys = Many::Wire(&bytes[..bytes.len() / KEY_LEN * KEY_LEN]);
            Sketch::Differ { topic: first, first: 0, last: end.into(), keys }
        }
        3 => Sketch::Have { topic: first, keys: Many::Wire(&bytes[..bytes.len() / MARKED_LEN * MARKED_LEN]) },
        _ => Sketch::Want { topic: first, keys: Many::Wire(&bytes[..bytes.len() / KEY_LEN * KEY_LEN]) },
    }
}

fn accusation(choices: &mut Choices<'_>) -> Accusation {
    Accusation { id: id(choices), incarnation: number(choices), by: id(choices) }
}

/// The node itself, its peer, or somebody it never met.
fn id(choices: &mut Choices<'_>) -> NodeId {
    NodeId(match choices.byte() {
        255 => u64::MAX,
        other => u64::from(other % 24),
    })
}

fn addr(choices: &mut Choices<'_>) -> Addr {
    match choices.byte() {
        255 => Addr::new(&[7; 3]).expect("three bytes"),
        last => super::node::addr(last % 24),
    }
}

/// One of a few lives that nobody has.
fn origin(choices: &mut Choices<'_>) -> u64 {
    // Some begin alike.
    let byte = choices.byte();
    u64::from(byte % 24) << 40 | 1 << (byte / 24 % 2)
}

/// Of a message: one of a few.
pub(super) fn topic(bytes: &[u8]) -> &'static [u8] {
    let names: [&[u8]; 4] = [b"t", b"u", b"", b"topic"];
    names[usize::from(bytes.first().map_or(0, |byte| byte % 4))]
}

/// In ms: short, a day, or out of range.
fn lifetime(choices: &mut Choices<'_>) -> u32 {
    [u32::from(choices.byte()) << 4, u32::from(choices.word()), 86_400_000, number(choices)][choices.below(4)]
}

/// Few bits, or many.
fn wide(choices: &mut Choices<'_>) -> u64 {
    let bits = u64::from(choices.word());
    [bits, bits << 48, !bits, 1 << (bits % 64)][choices.below(4)]
}

/// Small, or at the edge of what 32 bits hold.
fn number(choices: &mut Choices<'_>) -> u32 {
    match choices.byte() {
        small @ 0..=239 => small.into(),
        edge => u32::MAX - u32::from(edge - 240),
    }
}

/// Long past, now, tomorrow, or at the edge of what 64 bits hold.
fn stamp(choices: &mut Choices<'_>) -> u64 {
    let low = u64::from(choices.word());
    match choices.below(4) {
        0 => low,
        1 => low << 20,
        2 => low << 36,
        _ => u64::MAX - low,
    }
}

fn version(choices: &mut Choices<'_>) -> VersionId {
    let (stamp_own, writer) = (stamp(choices), id(choices).0);
    let seen = (0..choices.below(4)).map(|_| Seen { writer: id(choices).0, stamp: stamp(choices) });
    VersionId { stamp: stamp_own, writer, context: seen.collect::<Context>() }
}

fn table(choices: &mut Choices<'_>) -> Table {
    Table::ALL[choices.below(3)]
}

fn hash(choices: &mut Choices<'_>) -> Key {
    let mut bytes = [0; 12];
    bytes.iter_mut().zip(choices.bytes(12)).for_each(|(to, from)| *to = *from);
    Key::from_bytes(bytes)
}

fn prefix(choices: &mut Choices<'_>) -> Prefix {
    match choices.byte() {
        0..=127 => Prefix::ROOT,
        len => Prefix::of(hash(choices), len % 25 * 4),
    }
}

/// Up to sixteen digests of four bytes.
fn some_digests(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut digests = choices.some_bytes(64);
    digests.truncate(digests.len() / 4 * 4);
    digests
}
