use std::vec;
use std::vec::Vec;

use crate::repair::{Chore, Task};
use crate::rng::Rng;
use crate::slab::index::Prefix;
use crate::slab::sketch::{CELLS, ESTIMATE_LEN, Short, Total};
use crate::wire::{Digests, Envelope, Header, Items, Many, MemberItem, Message, Sketch, Table, Writer, close};
use crate::{Addr, Config, Instant, Node, NodeId, Seed, Storage};

const LIAR: NodeId = NodeId(99);

fn addr(id: NodeId) -> Addr {
    Addr::new(&[id.0 as u8; 6]).unwrap()
}

fn node(id: u64) -> Node<'static> {
    let storage = Storage::with_capacity(8, 2_000, 200_000);
    Node::new(NodeId(id), addr(NodeId(id)), Config::lan("liar"), storage, Seed::new([id as u8; 32])).unwrap()
}

/// What the liar says next: cells that are noise, absent, or never come out; sketches of nothing; digests of nowhere; that it
/// has others of all `keys`, and that none of what was told it differs; a total that differs from `total` by one of them, and
/// one that makes no sense.
fn lie(rng: &mut Rng, nth: u32, to: NodeId, keys: &[Short], total: Total) -> Vec<u8> {
    let mut buf = vec![0; 1_400];
    // Cells of one root, all of them in the end; else another root each time, so that there always seems to be
    // something to find.
    let root = if matches!(nth % LIES, 2..=4) { 7 } else { rng.next() };
    let mut writer = Writer::new(&mut buf, &Header { id: LIAR, incarnation: nth, root, load: 0 }).unwrap();
    let first = nth / LIES % 14 * 150;
    let cells: Vec<u64> = (first..CELLS as u32).take(150).map(|_| rng.secret()).collect();
    let first = first as u16;
    let noise = rng.secret().to_le_bytes();
    let prefix = Prefix::ROOT;
    let marks: Vec<u64> = keys.iter().map(|key| key.0 & 0xff_ffff | u64::from(rng.next() as u16) << 24).collect();
    let topic = keys[0].topic();
    let message = match nth % LIES {
        0 => Message::Sketch(Sketch::Ask { count: 1_000, cell: noise, estimate: [noise[0]; ESTIMATE_LEN] }),
        1 => Message::Sketch(Sketch::Ask { count: 1_000, cell: [0; 8], estimate: [0; ESTIMATE_LEN] }),
        2 | 3 => Message::Sketch(Sketch::Cells { first, end: CELLS as u16, cells: Many::Held(&cells) }),
        4 => Message::Sketch(Sketch::Cells { first: 0, end: u16::MAX, cells: Many::Held(&[u64::MAX; 100]) }),
        5 => Message::Sketch(Sketch::More { first: 0, end: CELLS as u16 }),
        6 => Message::Sketch(Sketch::Want { topic: rng.next() as u16, keys: Many::Wire(&noise[2..5]) }),
        7 => Message::Digests(Digests {
            table: Table::Entries,
            prefix,
            from: 0,
            salt: rng.next() as u8,
            absent: !0b111,
            digests: &noise[..6],
        }),
        8 => Message::Sketch(Sketch::Have { topic, keys: Many::Held(&marks) }),
        9 => Message::Sketch(Sketch::Differ { topic, first: 0, last: u32::MAX, keys: Many::Wire(&[]) }),
        // A total that names a key of these, and one that names none.
        10 => {
            let key = keys[nth as usize % keys.len()].0;
            Message::Sketch(Sketch::Total {
                weight: total.weight.wrapping_sub(1),
                product: total.product.wrapping_sub(key),
            })
        }
        11 => Message::Sketch(Sketch::Total { weight: rng.secret(), product: rng.secret() }),
        12 => Message::Sketch(Sketch::AskTotal),
        _ => Message::Items(Items {
            table: Table::Entries,
            prefix,
            salt: 1,
            answer: nth as u8 % 3,
            digests: &noise[..6],
        }),
    };
    // It is called dead, since it does not answer pings, and says that it is not.
    let item = MemberItem { id: LIAR, incarnation: nth, addr: addr(LIAR), tags_version: 0, asleep: 0, tags: b"" };
    if nth % LIES == 1 {
        writer.push(&Message::Join(item), usize::MAX).unwrap();
    }
    writer.push(&message, usize::MAX).unwrap();
    let len = writer.len();
    let key = Config::lan("liar").swarm;
    close(&mut buf, len, &Envelope { key, own: LIAR }, Some(to)).to_vec()
}

/// How many kinds of lies there are, and of how many keys it says that it has others.
const LIES: u32 = 14;
const HAVES: usize = 60;

/// Two nodes repair what they lack while a third lies to both without end: what that makes them send is bounded by what it
/// says, what leads to nothing is counted, and they end alike.
#[test]
fn a_liar_costs_little_and_stops_nobody() {
    let mut rng = Rng::new(&Seed::new([5; 32]));
    let mut nodes = [node(1), node(2)];
    let plant = |nodes: &mut [Node<'static>; 2], keys: core::ops::Range<u64>, common: bool| {
        for n in keys {
            for (_, node) in nodes.iter_mut().enumerate().filter(|(ix, _)| common || n % 2 == *ix as u64) {
                node.plant(std::format!("t/{n}").as_bytes(), b"value", 2, 7);
            }
        }
        nodes.iter_mut().for_each(Node::planted);
    };
    plant(&mut nodes, 0..1_000, true);
    let mut keys: Vec<Short> = (0..HAVES).map(|slot| Short::of(nodes[0].store.key_hash(slot))).collect();
    keys.sort_unstable();
    nodes[1].join(Instant::ZERO, addr(NodeId(1))).unwrap();
    let (mut lies, mut to_liar, mut agreed) = (0, 0, vec![]);
    let mut since = None;
    let mut buf = vec![0; 1_400];
    for ms in 1..100_000_u64 {
        let now = Instant::from_millis(ms);
        if ms % 20_000 == 0 {
            plant(&mut nodes, 1_000 + ms / 1_000..1_020 + ms / 1_000, false);
            since = Some(ms);
        }
        for ix in [0, 1] {
            nodes[ix].handle_timeout(now);
            if ms % 10 == 0 {
                lies += 1;
                let to = nodes[ix].id();
                let mut datagram = lie(&mut rng, lies, to, &keys, nodes[ix].store.total());
                _ = nodes[ix].handle_datagram(now, addr(LIAR), &mut datagram);
            }
            while let Some(sent) = nodes[ix].poll_transmit(now, &mut buf) {
                let (to, mut datagram) = (sent.to, sent.payload.to_vec());
                if to == addr(LIAR) {
                    to_liar += 1;
                } else {
                    nodes[1 - ix].handle_datagram(now, addr(nodes[ix].id()), &mut datagram).unwrap();
                }
            }
            while nodes[ix].poll_event().is_some() {}
        }
        if nodes[0].convergence().root == nodes[1].convergence().root {
            agreed.extend(since.take().map(|since| ms - since));
        }
    }
    let failed: u64 = nodes.iter().map(|node| node.stats().sketches_failed).sum();
    assert!(agreed.len() == 4 && agreed.iter().all(|ms| *ms < 5_000), "agreed after {agreed:?} ms");
    assert!(failed > 0, "what led to nothing is counted");
    // A whole sketch is in 12 datagrams, a stream in 8.
    assert!(to_liar <= 12 * lies, "{to_liar} datagrams for {lies} lies");
}

/// What is owed to one whose row found no place, or was dropped, is in nobody's way.
#[test]
fn a_list_that_nobody_waits_for_gives_way() {
    let mut a = node(1);
    a.plant(b"t/1", b"value", 2, 7);
    a.planted();
    let now = Instant::from_micros(1);
    let [lost, waiting] = [2, 3].map(|id| a.members.insert(NodeId(id), addr(NodeId(id)), 0).unwrap().0);
    let key = Short::of(a.store.key_hash(0));
    assert!(a.exchange.add(lost, Chore::Send(key), false), "as if its row had been dropped");

    let topic = key.topic();
    let keys = key.0.to_le_bytes();
    let want = Sketch::Want { topic, keys: Many::Wire(&keys[..3]) };
    let header = Header { id: NodeId(3), incarnation: 0, root: 0, load: 0 };
    let mut buf = vec![0; 256];
    let mut writer = Writer::new(&mut buf, &header).unwrap();
    writer.push(&Message::Sketch(want), usize::MAX).unwrap();
    let len = writer.len();
    let envelope = Envelope { key: Config::lan("liar").swarm, own: NodeId(3) };
    let mut datagram = close(&mut buf, len, &envelope, Some(NodeId(1))).to_vec();
    a.handle_datagram(now, addr(NodeId(3)), &mut datagram).unwrap();
    assert_eq!(a.exchange.next(waiting), Some(Chore::Send(key)));
    assert_eq!(a.stats().replies_dropped, 0);
}

/// Who asks for no cells is told that both are equal, and nothing if they are not: its next question follows.
#[test]
fn a_question_for_no_cells_is_answered_by_equals_alone() {
    let mut a = node(1);
    let ix = a.members.insert(NodeId(3), addr(NodeId(3)), 0).unwrap().0;
    a.plant(b"t/1", b"value", 2, 7);
    a.planted();
    let ask = |a: &mut Node<'_>, root: u32| {
        let mut buf = vec![0; 256];
        let mut writer = Writer::new(&mut buf, &Header { id: NodeId(3), incarnation: 0, root, load: 0 }).unwrap();
        writer.push(&Message::Sketch(Sketch::More { first: 0, end: 0 }), usize::MAX).unwrap();
        let len = writer.len();
        let envelope = Envelope { key: Config::lan("liar").swarm, own: NodeId(3) };
        let mut datagram = close(&mut buf, len, &envelope, Some(NodeId(1))).to_vec();
        a.handle_datagram(Instant::from_micros(1), addr(NodeId(3)), &mut datagram).unwrap();
        a.replies.first_to(ix).map(|(_, row)| row.task)
    };
    let root = a.root;
    assert_eq!(ask(&mut a, root ^ 1), None);
    assert_eq!(ask(&mut a, root), Some(Task::Equal));
}

/// Another member's datagram, with what of these fits in it.
fn from(id: u64, root: u32, messages: &[Message<'_>]) -> Vec<u8> {
    let mut buf = vec![0; 1_400];
    let mut writer = Writer::new(&mut buf, &Header { id: NodeId(id), incarnation: 0, root, load: 0 }).unwrap();
    _ = messages.iter().try_for_each(|message| writer.push(message, usize::MAX).map(drop));
    let len = writer.len();
    close(&mut buf, len, &Envelope { key: Config::lan("liar").swarm, own: NodeId(id) }, Some(NodeId(1))).to_vec()
}

/// A node with entries of 1,200 bytes in one topic, in the order of their keys; it knows members 3 and 4, and may send so many
/// bytes per second.
fn loaded(bytes_per_second: u32) -> (Node<'static>, Vec<Short>) {
    let config = Config { bytes_per_second, ..Config::lan("liar") };
    let storage = Storage::with_capacity(8, 2_400, 4_000_000);
    let mut a = Node::new(NodeId(1), addr(NodeId(1)), config, storage, Seed::new([1; 32])).unwrap();
    (0..2_000).for_each(|n| a.plant(std::format!("t/{n}").as_bytes(), &[7; 1_200], 2, 7));
    a.planted();
    for id in [3, 4] {
        a.members.insert(NodeId(id), addr(NodeId(id)), 0).unwrap();
    }
    let mut keys: Vec<Short> = (0..2_000).map(|slot| Short::of(a.store.key_hash(slot))).collect();
    keys.sort_unstable();
    (a, keys)
}

fn own(key: Short) -> [u8; 3] {
    let [a, b, c, ..] = key.0.to_le_bytes();
    [a, b, c]
}

/// The other has something else of all these keys.
fn have(a: &Node<'_>, id: u64, keys: &[Short]) -> Vec<u8> {
    let marks: Vec<u8> = keys.iter().flat_map(|key| own(*key).into_iter().chain([0, 0])).collect();
    from(id, a.root ^ 1, &[Message::Sketch(Sketch::Have { topic: keys[0].topic(), keys: Many::Wire(&marks) })])
}

fn want(a: &Node<'_>, id: u64, key: Short) -> Vec<u8> {
    from(id, a.root ^ 1, &[Message::Sketch(Sketch::Want { topic: key.topic(), keys: Many::Wire(&own(key)) })])
}

/// How many datagrams and bytes go to a member, until there are no more, or very many.
fn drain(a: &mut Node<'_>, now: Instant, to: u64) -> (usize, usize) {
    let (mut buf, mut sent) = (vec![0; 1_400], (0, 0));
    while let Some(datagram) = a.poll_transmit(now, &mut buf).filter(|_| sent.0 < 10_000) {
        if datagram.to == addr(NodeId(to)) {
            sent = (sent.0 + 1, sent.1 + datagram.payload.len());
        }
    }
    sent
}

const NOW: Instant = Instant::from_micros(1);

/// Two entries whose keys a sketch tells alike, and which do not fit in one datagram together, go one by one.
#[test]
fn alike_keys_that_fill_a_datagram_each_are_sent() {
    let mut a = node(1);
    let mut seen = std::collections::BTreeMap::new();
    let place = |n: u64| Short::of(a.store.place(crate::state::Kind::Register, std::format!("t/{n}").as_bytes()));
    let (x, y) = (0..100_000).find_map(|n| seen.insert(place(n).0, n).map(|other| (other, n))).unwrap();
    for n in [x, y] {
        a.plant(std::format!("t/{n}").as_bytes(), &[7; 800], 2, 7);
    }
    a.planted();
    a.members.insert(NodeId(3), addr(NodeId(3)), 0).unwrap();
    let datagram = want(&a, 3, Short::of(a.store.key_hash(0)));
    let mut buf = vec![0; 1_400];
    let mut gone = std::collections::BTreeSet::new();
    for _ in 0..20 {
        a.handle_datagram(NOW, addr(NodeId(3)), &mut datagram.clone()).unwrap();
        let mut sent = 0;
        while let Some(out) = a.poll_transmit(NOW, &mut buf) {
            let text = out.payload.to_vec();
            gone.extend([x, y].into_iter().filter(|n| {
                let key = std::format!("t/{n}");
                text.windows(key.len()).any(|part| part == key.as_bytes())
            }));
            sent += 1;
            assert!(sent < 10);
        }
    }
    assert_eq!(gone.len(), 2, "each is the first in some datagram");
}

/// What one datagram makes a node send is bounded: cells are no more than two sketches full, and a mark that comes while a list
/// is told again does not make all of it begin anew.
#[test]
fn one_more_question_does_not_begin_all_answers_anew() {
    let (mut a, keys) = loaded(u32::MAX);
    let all: Vec<_> = (0..300).map(|first| Message::Sketch(Sketch::More { first, end: CELLS as u16 })).collect();
    let mut datagram = from(3, a.root ^ 1, &all);
    a.handle_datagram(NOW, addr(NodeId(3)), &mut datagram).unwrap();
    let (_, bytes) = drain(&mut a, NOW, 3);
    assert!(bytes <= 2 * CELLS * 8 * 11 / 10, "{bytes} B of cells");

    a.handle_datagram(NOW, addr(NodeId(3)), &mut have(&a, 3, &keys[..266])).unwrap();
    let (mut buf, mut sent, mut told) = (vec![0; 1_400], 0, 0);
    while let Some(out) = a.poll_transmit(NOW, &mut buf) {
        sent += out.payload.len();
        if sent % 300_000 < 1_400 && told < 20 {
            told += 1;
            let mut more = have(&a, 3, &keys[266 + told..267 + told]);
            a.handle_datagram(NOW, addr(NodeId(3)), &mut more).unwrap();
        }
    }
    assert!(sent <= 4 * 300 * 1_300, "{sent} B of entries");
}

/// Whom the list serves does not keep it: who was turned away has it next. A list takes half a second here, at this rate.
#[test]
fn nobody_keeps_the_list() {
    let (mut a, keys) = loaded(1_250_000);
    let (mut buf, mut wants, mut served) = (vec![0; 1_400], 0, 0);
    for ms in 1..20_000 {
        let now = Instant::from_millis(ms);
        if ms % 200 == 1 {
            a.handle_datagram(now, addr(NodeId(3)), &mut have(&a, 3, &keys[..266])).unwrap();
        }
        if ms % 200 == 100 {
            wants += 1;
            a.handle_datagram(now, addr(NodeId(4)), &mut want(&a, 4, keys[1_000])).unwrap();
        }
        while let Some(sent) = a.poll_transmit(now, &mut buf) {
            served += usize::from(sent.to == addr(NodeId(4)) && sent.payload.len() > 1_200);
        }
    }
    assert!(served >= wants / 4, "{served} of {wants}");
}

/// The parts that are open with one member are its own affair: strangers do not close them, and they are not asked about when it
/// is equal; and when all that was asked about has been answered there is nothing to say again.
#[test]
fn open_parts_are_those_of_the_session() {
    let begin = || {
        let (mut a, _) = loaded(u32::MAX);
        let ix = a.members.find(NodeId(3)).unwrap();
        a.session(Table::Entries).begin(NOW, ix, 0);
        (0..500).for_each(|slot| a.open.differs(Prefix::of(a.store.key_hash(slot), 48), true));
        (a, ix)
    };
    let (mut a, ix) = begin();
    while a.members.insert(NodeId(100 + a.members.len() as u64), addr(NodeId(5)), 0).is_some() {}
    assert!(a.guest(&addr(NodeId(77)), Some(NodeId(77))).is_some());
    let times = a.open.ask_again().unwrap();
    a.owe(Some(ix), Table::Entries, Task::Open { at: 0, said: false, more: times - 1 }, Prefix::ROOT, 0);
    let mut equal = from(3, a.root, &[]);
    a.handle_datagram(NOW, addr(NodeId(3)), &mut equal).unwrap();
    assert_eq!(a.session(Table::Entries).with(), None);
    assert!(drain(&mut a, NOW, 3).0 <= 1);

    let (mut a, ix) = begin();
    a.open.clear();
    let part = Prefix::of(a.store.key_hash(0), 48);
    a.open.differs(part, true);
    a.open.came(part, false);
    let times = a.open.ask_again().unwrap();
    a.owe(Some(ix), Table::Entries, Task::Open { at: 0, said: false, more: times - 1 }, Prefix::ROOT, 0);
    assert!(times > 1 && drain(&mut a, NOW, 3).0 >= 1);
    assert_eq!(a.stats().items_too_large, 0);
}

/// `cargo test --release -p gossip-proto --features sim --lib session_of_one -- --ignored --nocapture`: what both sides of a
/// session take that finds and sends the one entry that differs among a million.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods, reason = "what is measured is time")]
fn session_of_one_difference_among_a_million() {
    let count = std::env::var("KEYS").map_or(1_000_000, |n| n.parse::<u64>().unwrap());
    let mut nodes = [1, 2].map(|id| {
        let storage = Storage::with_capacity(4, count as usize + 4_096, (count as usize + 4_096) * 110);
        let config = Config {
            probe_interval: core::time::Duration::from_secs(3600),
            probe_timeout: core::time::Duration::from_secs(3600),
            gossip_interval_max: core::time::Duration::from_secs(24 * 3600),
            ..Config::lan("cpu")
        };
        Node::new(NodeId(id), addr(NodeId(id)), config, storage, Seed::new([id as u8; 32])).unwrap()
    });
    let mut now = Instant::ZERO;
    nodes[1].join(now, addr(NodeId(1))).unwrap();
    let mut buf = vec![0; 1_400];
    // Until nobody has anything to say, within so many µs.
    let mut talk = |nodes: &mut [Node<'static>; 2], now: &mut Instant, limit: Instant| {
        loop {
            let mut said = false;
            for from in 0..2 {
                while let Some(sent) = nodes[from].poll_transmit(*now, &mut buf) {
                    let len = sent.payload.len();
                    *now = now.plus(1);
                    nodes[1 - from].handle_datagram(*now, addr(NodeId(from as u64 + 1)), &mut buf[..len]).unwrap();
                    said = true;
                }
            }
            for node in nodes.iter_mut() {
                while node.poll_event().is_some() {}
            }
            let due = nodes.iter().filter_map(Node::poll_timeout).min().unwrap();
            if !said && due > limit {
                return;
            }
            *now = (*now).max(due.min(limit));
            nodes.iter_mut().for_each(|node| node.handle_timeout(*now));
        }
    };
    talk(&mut nodes, &mut now, Instant::from_millis(2_000));
    for n in 0..count {
        let key = [b'r', b'/', (n >> 24) as u8, (n >> 16) as u8, (n >> 8) as u8, n as u8];
        nodes.iter_mut().for_each(|node| node.plant(&key, &[n as u8; 38], 2, 7));
    }
    nodes.iter_mut().for_each(Node::planted);
    let mut times = Vec::new();
    for n in 0..1_000u64 {
        // Keys far apart, so that no cache foresees them.
        let key = [b'd', b'/', (n >> 8) as u8, n as u8];
        nodes[n as usize % 2].plant(&key, &[7; 38], 3, 7);
        nodes[n as usize % 2].planted();
        // Who has it asks, or who lacks it.
        let with = NodeId(1 + n / 2 % 2);
        let asker = if with == NodeId(2) { 0 } else { 1 };
        // It has heard that the other's root is another one: else it would not ask.
        let (theirs, slot) = (nodes[1 - asker].root, nodes[asker].members.find(with).unwrap());
        nodes[asker].members.hear_root(slot, theirs);
        let begin = std::time::Instant::now();
        nodes[asker].compare_entries(now, with);
        let limit = now.plus(1);
        talk(&mut nodes, &mut now, limit);
        times.push(begin.elapsed().as_nanos());
        assert_eq!(nodes[0].convergence().root, nodes[1].convergence().root, "{n}");
    }
    times.sort_unstable();
    let at = |part: usize| times[times.len() * part / 100] as f64 / 1_000.0;
    std::println!("{count} entries, 1 differs: median {} µs, 10th {} µs, 90th {} µs", at(50), at(10), at(90));
}
