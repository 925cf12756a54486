//! A few nodes on a network that the bytes make bad; then it turns good, and all must agree.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::vec;
use std::vec::Vec;

use super::Choices;
use crate::{
    Addr, Config, Event, Instant, Kind, Lifecycle, MemberState, Node, NodeId, PutOptions, Seed, Spread, Storage,
};

/// A story of a swarm: verbs, and what becomes of each datagram; at its end all live nodes agree on everything.
pub fn swarm(data: &[u8]) {
    let mut choices = Choices(data);
    let mut swarm = Swarm::new(&mut choices);
    for _ in 0..STEPS_MAX {
        if choices.is_empty() {
            break;
        }
        swarm.step(&mut choices);
    }
    swarm.heal();
}

struct Swarm {
    spread: Spread,
    now: Instant,
    nodes: Vec<Node<'static>>,
    /// How many nodes were made: no two lives share a seed.
    lives: u8,
    /// On their way, oldest first.
    datagrams: Vec<Datagram>,
    /// Links that carry nothing: bit `from × 5 + to`.
    cut: u32,
    /// Every value that was ever written, by key: no other may ever be read.
    written: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>,
    buf: Vec<u8>,
}

#[derive(Clone)]
struct Datagram {
    from: usize,
    to: usize,
    due: Instant,
    bytes: Vec<u8>,
}

impl Swarm {
    fn new(choices: &mut Choices<'_>) -> Self {
        let spread = [Spread::PushPull, Spread::Push, Spread::Pull][choices.below(3)];
        let now = Instant::from_millis(1_000);
        let (nodes, datagrams, written) = (Vec::new(), Vec::new(), BTreeMap::new());
        let mut swarm = Self { spread, now, nodes, lives: 0, datagrams, cut: 0, written, buf: vec![0; LEN_MAX] };
        let size = 3 + choices.below(3);
        for ix in 0..size {
            let node = swarm.life(ix, choices.byte());
            swarm.nodes.push(node);
        }
        (0..size).for_each(|ix| swarm.join(ix));
        swarm
    }

    /// A node without a past. `clock` says whether it knows the time, and how wrong.
    fn life(&mut self, ix: usize, clock: u8) -> Node<'static> {
        self.lives += 1;
        let config = Config {
            spread: self.spread,
            probe_interval: Duration::from_millis(100),
            probe_timeout: Duration::from_millis(40),
            gossip_interval: Duration::from_millis(20),
            gossip_interval_max: Duration::from_secs(1),
            datagram_len_max: LEN_MAX as u16,
            merge: Some(super::node::MERGE),
            ..Config::lan("fuzz")
        };
        let storage = Storage::with_capacity(8, 64, 1 << 15).sketched();
        let seed = Seed::new([self.lives; 32]);
        let mut node = Node::new(NodeId(ix as u64 + 1), addr(ix), config, storage, seed).expect("a good configuration");
        if !clock.is_multiple_of(4) {
            node.handle_wall_clock(self.now, UNIX_MICROS + self.now.as_micros() + u64::from(clock) * 50_000);
        }
        node
    }

    fn join(&mut self, ix: usize) {
        for contact in (0..self.nodes.len()).filter(|contact| *contact != ix) {
            self.nodes[ix].join(self.now, addr(contact)).expect("fewer contacts than there is room for");
        }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let ix = choices.below(self.nodes.len());
        match choices.below(16) {
            0 | 1 => self.put(ix, choices),
            2 => self.count(ix, choices),
            3 => {
                // Full, or left: its right.
                _ = self.nodes[ix].delete(self.now, &key(choices).0);
            }
            4 => self.cut = u32::from(choices.word()) | u32::from(choices.byte()) << 16,
            5 => self.cut = 0,
            6 => self.restart(ix, choices),
            7 if choices.byte() > 240 => self.nodes[ix].leave(self.now),
            8 => self.change_fate(choices),
            9 => while self.nodes[ix].poll_event().is_some() {},
            10 => self.pass(Duration::from_millis(10 * u64::from(choices.byte()))),
            _ => self.pass(Duration::from_millis(choices.byte().into())),
        }
    }

    fn put(&mut self, ix: usize, choices: &mut Choices<'_>) {
        let ((key, kind), value) = (key(choices), choices.some_bytes(60));
        let options = PutOptions::new().kind(kind);
        let options = if choices.below(8) == 0 { options.urgent() } else { options };
        if self.nodes[ix].put(self.now, &key, &value, options).is_ok() {
            self.written.entry(key).or_default().insert(value);
        }
    }

    /// Counters and sets: adds, and takes back.
    fn count(&mut self, ix: usize, choices: &mut Choices<'_>) {
        let (now, node, pick) = (self.now, &mut self.nodes[ix], choices.byte());
        let (name, element) = ([b'a' + pick % 3], [pick % 8]);
        // Full, or left: its right.
        _ = match choices.below(8) {
            0..=2 => node.counter_add(now, &name, i64::from(choices.word()) - 0x8000),
            3 => node.counter_delete(now, &name).map(|_| ()),
            4..=6 => node.set_add(now, &name, &element),
            _ => node.set_remove(now, &name, &element).map(|_| ()),
        };
    }

    /// The node is gone, and one with its name and nothing else takes its place.
    fn restart(&mut self, ix: usize, choices: &mut Choices<'_>) {
        if self.lives < LIVES_MAX {
            self.nodes[ix] = self.life(ix, choices.byte());
            self.join(ix);
        }
    }

    /// One of the datagrams on their way is lost, doubled, damaged or late.
    fn change_fate(&mut self, choices: &mut Choices<'_>) {
        self.send();
        if self.datagrams.is_empty() {
            return;
        }
        let at = choices.below(self.datagrams.len());
        match choices.below(4) {
            0 => drop(self.datagrams.remove(at)),
            1 => self.datagrams.push(self.datagrams[at].clone()),
            2 => choices.damage(&mut self.datagrams[at].bytes),
            _ => self.datagrams[at].due = self.now + Duration::from_millis(choices.word().into()),
        }
    }

    /// Lets time pass: what is due is done and delivered, in the order of time.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..EVENTS_MAX {
            self.send();
            let timers = self.nodes.iter().filter_map(Node::poll_timeout);
            let next = timers.chain(self.datagrams.iter().map(|datagram| datagram.due)).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            self.deliver();
            for node in &mut self.nodes {
                if node.poll_timeout().is_some_and(|deadline| deadline <= self.now) {
                    node.handle_timeout(self.now);
                }
            }
        }
        panic!("{EVENTS_MAX} events in {time:?}: the swarm does not come to rest");
    }

    fn send(&mut self) {
        let due = self.now + LATENCY;
        for (from, node) in self.nodes.iter_mut().enumerate() {
            while let Some(sent) = node.poll_transmit(self.now, &mut self.buf) {
                let to = (0..SIZE_MAX).find(|ix| addr(*ix) == sent.to).expect("an address of the swarm");
                if self.cut >> (from * SIZE_MAX + to) & 1 == 0 {
                    self.datagrams.push(Datagram { from, to, due, bytes: sent.payload.to_vec() });
                }
            }
        }
    }

    fn deliver(&mut self) {
        let now = self.now;
        let due: Vec<_> = self.datagrams.extract_if(.., |datagram| datagram.due <= now).collect();
        for Datagram { from, to, mut bytes, .. } in due {
            // Damaged ones are refused, as are those for a node that has left.
            _ = self.nodes[to].handle_datagram(now, addr(from), &mut bytes);
        }
    }

    /// Turns the network good, and waits until all agree.
    fn heal(&mut self) {
        self.cut = 0;
        let end = self.now + HEAL_MAX;
        while self.now < end && !self.agrees() {
            self.pass(Duration::from_secs(1));
        }
        assert!(self.agrees(), "no agreement after {HEAL_MAX:?}:\n{}", self.differences());
        let live: Vec<_> = self.live().collect();
        for node in &live {
            for ((kind, key, _), values) in contents(node) {
                // Counters and sets are made of what nobody wrote; so are joins.
                if !matches!(kind, 0..=3) {
                    continue;
                }
                let written = self.written.get(&key).expect("a key that somebody wrote");
                assert!(values.iter().all(|value| written.contains(&value.2)), "a value that nobody wrote");
            }
        }
        for node in &mut self.nodes {
            let told = (0..EVENTS_MAX).take_while(|_| node.poll_event().is_some_and(|event| event != Event::Lagged));
            assert!(told.count() < EVENTS_MAX, "events are differences: they end");
        }
    }

    fn live(&self) -> impl Iterator<Item = &Node<'static>> {
        self.nodes.iter().filter(|node| !matches!(node.lifecycle(), Lifecycle::Left | Lifecycle::Leaving))
    }

    /// Whether all live nodes know each other and hold the same, and know that they do.
    fn agrees(&self) -> bool {
        let live = self.live().count();
        let Some(first) = self.live().next() else { return true };
        // The last one that is left may ask for ever whether somebody is there.
        if live == 1 {
            return true;
        }
        let alive = |node: &Node<'_>| node.members().filter(|member| member.state == MemberState::Alive).count();
        let knows = |node: &Node<'_>| node.convergence().is_converged() && node.live() == live && alive(node) == live;
        let held = contents(first);
        self.live().all(|node| knows(node) && contents(node) == held)
    }

    fn differences(&self) -> std::string::String {
        let show = |node: &Node<'_>| {
            let members: Vec<_> = node.members().map(|member| (member.id, member.state, member.incarnation)).collect();
            std::format!("{}: {:?}\n  {members:?}\n  {:?}\n", node.id(), node.convergence(), contents(node))
        };
        self.nodes.iter().map(show).collect()
    }
}

/// Stamp, writer and bytes of every value, by kind, key and part.
type Contents = BTreeMap<(u8, Vec<u8>, Vec<u8>), Vec<(u64, u64, Vec<u8>)>>;

fn contents(node: &Node<'_>) -> Contents {
    let values = |entry: crate::Entry<'_>| entry.values().map(|v| (v.stamp, v.writer, v.bytes.to_vec())).collect();
    let name = |entry: &crate::Entry<'_>| (number(entry.kind()), entry.key().to_vec(), entry.part().to_vec());
    node.scan(b"").map(|entry| (name(&entry), values(entry))).collect()
}

/// One of sixteen keys; the key says its kind.
fn key(choices: &mut Choices<'_>) -> (Vec<u8>, Kind) {
    let pick = choices.byte() % 16;
    let kind = match pick {
        0..=5 => Kind::Register,
        6..=9 => Kind::Siblings,
        10 | 11 => Kind::Max,
        12 | 13 => Kind::Min,
        _ => Kind::App(pick / 15),
    };
    ([b'a' + pick % 3, b'/', b'0' + pick].to_vec(), kind)
}

fn number(kind: Kind) -> u8 {
    match kind {
        Kind::Register => 0,
        Kind::Siblings => 1,
        Kind::Max => 2,
        Kind::Min => 3,
        Kind::Counter => 4,
        Kind::Set => 5,
        Kind::App(n) => 8 + n,
    }
}

fn addr(ix: usize) -> Addr {
    Addr::from(core::net::SocketAddr::from(([127, 0, 0, 1], 7000 + ix as u16)))
}

/// 2026, in µs since 1970.
const UNIX_MICROS: u64 = 1_770_000_000_000_000;
const LATENCY: Duration = Duration::from_millis(2);
const LEN_MAX: usize = 512;
const SIZE_MAX: usize = 5;
/// Each life has a seed of its own.
const LIVES_MAX: u8 = 40;
/// Keeps a story short enough for a fuzzer.
const STEPS_MAX: usize = 200;
/// Far more than five nodes need in the longest time that passes at once.
const EVENTS_MAX: usize = 100_000;
/// Dead members are probed again within this.
const HEAL_MAX: Duration = Duration::from_secs(300);
