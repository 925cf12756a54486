//! One node against everything that can come through its doors.
//!
//! A twin hears the same story without the calls that were refused. Both must look and act alike to the end: so a
//! refusal changes nothing, and what a node does depends on its inputs alone.

use core::fmt::Debug;
use core::time::Duration;
use std::vec;
use std::vec::Vec;

use super::{Choices, forge};
use crate::{
    Addr, Config, Convergence, EntryChange, Event, Instant, JoinError, Kind, Lifecycle, MemberState, Merge, Node,
    NodeId, PublishOptions, PutOptions, Seed, Spread, Storage,
};

/// Arbitrary bytes as a datagram: refused, or taken in; never a panic.
pub fn decode(data: &[u8]) {
    let mut twins = Twins::new(&mut Choices(&[]), &lan());
    twins.hear(Twins::PEER, data);
    twins.hear(Twins::PEER, &forge::raw(twins.node.config().swarm, NodeId(Twins::PEER.into()), data));
    // The same bytes as changes to a datagram that was good.
    twins.peer_verb(&mut Choices(data));
    let mut choices = Choices(data);
    while !choices.is_empty() {
        let Some(mut datagram) = twins.peer_speaks() else { break };
        choices.damage(&mut datagram);
        twins.hear(Twins::PEER, &datagram);
    }
    twins.settle();
}

/// A story of inputs: verbs, datagrams good and bad, buffers of every size, and time that jumps.
pub fn node(data: &[u8]) {
    let mut choices = Choices(data);
    let config = config(&mut choices);
    let mut twins = Twins::new(&mut choices, &config);
    while !choices.is_empty() {
        twins.step(&mut choices);
    }
    twins.settle();
}

fn config(choices: &mut Choices<'_>) -> Config {
    let mut config = lan();
    config.spread = [Spread::Push, Spread::Pull, Spread::PushPull][choices.below(3)];
    config.datagram_len_max = choices.word().clamp(128, 65_507);
    config.bytes_per_second = [1_000, 10_000, 1_250_000, u32::MAX][choices.below(4)];
    config.value_len_max = [0, 0, 300, 2_000][choices.below(4)];
    config.fanout = 1 + choices.below(16) as u8;
    config.indirect_probes = choices.below(9) as u8;
    config.gossip_interval = Duration::from_millis(1 + u64::from(choices.byte()) * 20);
    config
}

struct Twins {
    node: Node<'static>,
    /// Hears the same, but for what `node` refused.
    twin: Node<'static>,
    /// Whether the twin polls events as the node does, or never: what is sent must not depend on it. In the latter case no
    /// message of another is told: what was told may make room for what is new.
    twin_polls_events: bool,
    /// Makes datagrams that are good.
    peer: Node<'static>,
    now: Instant,
    members_max: usize,
    /// The last datagrams that the peer made, to be replayed.
    heard: Vec<Vec<u8>>,
    buf: Vec<u8>,
    twin_buf: Vec<u8>,
}

impl Twins {
    const PEER: u8 = 2;

    fn new(choices: &mut Choices<'_>, config: &Config) -> Self {
        let members_max = 8 + choices.below(9);
        let (entries_max, bytes_max) = (8 + choices.below(57), 4096 + 4 * usize::from(choices.word()));
        let twin_polls_events = choices.byte().is_multiple_of(2);
        let make = |id: u8, config: &Config, members, entries, bytes| {
            let storage = Storage::with_capacity(members, entries, bytes).sketched();
            Node::new(NodeId(id.into()), addr(id), config.clone(), storage, Seed::new([id; 32]))
        };
        // A table may be too small for the datagram length that was chosen: then the smallest datagrams do.
        let small = Config { datagram_len_max: 128, value_len_max: 0, ..config.clone() };
        let both = |config| make(1, config, members_max, entries_max, bytes_max);
        let [node, twin] = [(); 2].map(|()| both(config).or_else(|_| both(&small)).expect("tables of this size"));
        let peer = make(Self::PEER, &lan(), 16, 64, 1 << 16).expect("tables of this size");
        let now = Instant::from_millis(choices.word().into());
        let (buf, twin_buf) = (vec![0; LEN_MAX], vec![0; LEN_MAX]);
        Self { node, twin, twin_polls_events, peer, now, members_max, heard: Vec::new(), buf, twin_buf }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(27) {
            24 => self.publish(choices),
            25 => {
                let (now, wall) = (self.now, WALL + self.now.as_micros() + (u64::from(choices.word()) << 8));
                self.always(|node| node.handle_wall_clock(now, wall));
            }
            0 | 1 => self.put(choices),
            2 => self.delete(&choices.key()),
            3 => self.join(choices),
            4 => self.leave(choices),
            5 => self.describe(choices),
            6 => self.timeout(),
            7 => self.now = self.now + Duration::from_millis(choices.word().into()),
            8 => self.do_all_due(),
            9 => self.now = self.now + Duration::from_secs(u64::from(choices.word()) << choices.below(8)),
            10 => self.back_in_time(choices),
            11 => self.hear(choices.byte(), &choices.some_bytes(255)),
            12 | 13 => self.talk(choices, true),
            14 => self.talk(choices, false),
            15 => self.replay(choices),
            16 | 17 => _ = self.speak(choices.word().min(LEN_MAX as u16).into()),
            18 => self.peer_verb(choices),
            19..=22 => self.hear_forged(choices),
            _ => self.poll_events(),
        }
    }

    fn put(&mut self, choices: &mut Choices<'_>) {
        let (key, mut value, options) = (choices.key(), choices.some_bytes(40), options(choices));
        if choices.byte() == 255 {
            value.resize(choices.word().into(), b'v');
        }
        let now = self.now;
        match choices.below(8) {
            5 => {
                let delta = i64::from(choices.word()) - 0x8000;
                if self.both(|node| node.counter_add(now, &key, delta)).is_ok() && delta != 0 {
                    self.node.counter(&key).expect("it was added to");
                }
                return;
            }
            6 => {
                if self.both(|node| node.set_add(now, &key, &value)).is_ok() {
                    assert!(self.node.set_contains(&key, &value));
                    assert!(self.node.set_members(&key).any(|element| element == value));
                }
                return;
            }
            7 => {
                if let Ok(true) = self.both(|node| node.set_remove(now, &key, &value)) {
                    assert!(!self.node.set_contains(&key, &value));
                }
                if self.both(|node| node.counter_delete(now, &key)).is_ok() {
                    assert_eq!(self.node.counter(&key), None);
                }
                return;
            }
            _ => {}
        }
        if self.both(|node| node.put(now, &key, &value, options)).is_ok() {
            let entry = self.node.get(&key).expect("what was put is held");
            let all = || entry.values().map(|held| held.bytes);
            assert!(match entry.kind() {
                Kind::Max => entry.value() >= &value[..],
                Kind::Min => entry.value() <= &value[..],
                Kind::App(_) => value.iter().all(|byte| entry.value().contains(byte)),
                _ => all().any(|held| held == value),
            });
        }
    }

    fn publish(&mut self, choices: &mut Choices<'_>) {
        let (now, bytes, ttl) = (self.now, choices.some_bytes(120), Duration::from_millis(choices.word().into()));
        let options = PublishOptions::new().ttl(ttl);
        let options = if choices.below(4) == 0 { options.urgent() } else { options };
        let topic = forge::topic(&bytes);
        _ = self.both(|node| node.publish(now, topic, &bytes, options));
        let (used, max) = self.node.messages_used();
        assert!(used <= max, "{used} messages of {max}");
    }

    fn delete(&mut self, key: &[u8]) {
        let (now, held) = (self.now, self.node.get(key).is_some());
        if let Ok(deleted) = self.both(|node| node.delete(now, key)) {
            assert_eq!(deleted, held, "true exactly when there was something to delete");
            assert!(self.node.get(key).is_none(), "what was deleted is not held");
        }
    }

    fn join(&mut self, choices: &mut Choices<'_>) {
        let contact = match choices.byte() {
            0..=191 => addr(Self::PEER),
            192 => Addr::NONE,
            other => addr(other),
        };
        let (now, left) = (self.now, matches!(self.node.lifecycle(), Lifecycle::Left | Lifecycle::Leaving));
        let refused = self.both(|node| node.join(now, contact)).err();
        assert_eq!(refused == Some(JoinError::Left), left);
    }

    fn leave(&mut self, choices: &mut Choices<'_>) {
        // Rarely: nothing more happens afterwards.
        if choices.byte() > 200 {
            let now = self.now;
            self.always(|node| node.leave(now));
        }
    }

    fn describe(&mut self, choices: &mut Choices<'_>) {
        let now = self.now;
        match choices.below(8) {
            6 => {
                let topics = (0..choices.below(10)).map(|nth| match (nth % 2, choices.key()) {
                    (0, key) => key,
                    (_, key) => forge::topic(&key).to_vec(),
                });
                let topics: Vec<_> = topics.collect();
                _ = self.both(|node| node.subscribe(now, topics.iter().map(|topic| &topic[..])));
            }
            7 => _ = self.both(|node| node.subscribe_all(now)),
            4 => {
                let time = Duration::from_secs(u64::from(choices.word()) << choices.below(4));
                _ = self.both(|node| node.sleep(now, time));
            }
            5 => self.always(|node| node.wake(now)),
            0 => self.always(|node| node.set_addr(now, addr(1))),
            1 => {
                let unix = u64::from(choices.word()) << (choices.below(49) as u32);
                self.always(|node| node.handle_wall_clock(now, unix));
            }
            2 => {
                let long = "x".repeat(choices.word().into());
                _ = self.both(|node| node.set_tags(now, [("long", &*long)]));
            }
            _ => {
                let tags: Vec<_> = choices.some_bytes(8).iter().map(|byte| std::format!("{byte}")).collect();
                _ = self.both(|node| node.set_tags(now, tags.iter().map(|tag| (&**tag, "value"))));
            }
        }
    }

    fn timeout(&mut self) {
        let now = self.now;
        self.always(|node| node.handle_timeout(now));
    }

    /// Does all that is due: a machine that never comes to rest at one moment would keep its runner busy for ever.
    fn do_all_due(&mut self) {
        self.now = self.now.max(self.node.poll_timeout().unwrap_or(self.now));
        for _ in 0..CALLS_MAX {
            self.timeout();
            // The byte budget ends it, too; long before that a node has said what it has to say.
            assert!((0..SAID_MAX).any(|_| self.speak(LEN_MAX).is_none()), "one moment, {SAID_MAX} datagrams");
            if self.node.poll_timeout().is_none_or(|deadline| deadline > self.now) {
                return;
            }
        }
        panic!("still due at {:?} after {CALLS_MAX} calls: {:?}", self.now, self.node.poll_timeout());
    }

    /// One step with a clock that has stepped back.
    fn back_in_time(&mut self, choices: &mut Choices<'_>) {
        self.timeout();
        let (now, back) = (self.now, Duration::from_micros(u64::from(choices.word()) << choices.below(20)));
        self.now = Instant::ZERO + now.saturating_since(Instant::ZERO + back);
        self.put(choices);
        self.talk(choices, true);
        self.timeout();
        self.now = now;
    }

    /// The peer says something, and it arrives whole or damaged.
    fn talk(&mut self, choices: &mut Choices<'_>, whole: bool) {
        self.peer.handle_timeout(self.now);
        while let Some(mut datagram) = self.peer_speaks() {
            if !whole {
                choices.damage(&mut datagram);
            }
            self.hear(Self::PEER, &datagram);
        }
    }

    fn replay(&mut self, choices: &mut Choices<'_>) {
        if !self.heard.is_empty() {
            let datagram = self.heard[choices.below(self.heard.len())].clone();
            self.hear(choices.byte() % 4, &datagram);
        }
    }

    fn peer_verb(&mut self, choices: &mut Choices<'_>) {
        let now = self.now;
        // What it refuses is its own affair: it only has to have something to say.
        match choices.below(8) {
            6 | 7 if self.twin_polls_events => {
                self.peer.handle_wall_clock(now, WALL + now.as_micros());
                let options = PublishOptions::new().ttl(Duration::from_millis(choices.word().into()));
                let options = if choices.below(4) == 0 { options.urgent() } else { options };
                let bytes = choices.some_bytes(80);
                _ = self.peer.publish(now, forge::topic(&bytes), &bytes, options);
            }
            0 => _ = self.peer.join(now, addr(1)),
            1 => _ = self.peer.delete(now, &choices.key()),
            2 => _ = self.peer.set_tags(now, [("peer", "tag")]),
            4 if choices.byte() > 200 => _ = self.peer.sleep(now, Duration::from_secs(choices.word().into())),
            3 if choices.byte() > 250 => self.peer.leave(now),
            _ => _ = self.peer.put(now, &choices.key(), &choices.some_bytes(40), options(choices)),
        }
        _ = self.peer.join(now, addr(1));
        self.peer.handle_timeout(now);
    }

    /// The peer's next datagram to the node; those to others are lost.
    fn peer_speaks(&mut self) -> Option<Vec<u8>> {
        loop {
            let sent = self.peer.poll_transmit(self.now, &mut self.buf[..1400])?;
            if sent.to == addr(1) {
                let datagram = sent.payload.to_vec();
                self.heard.insert(0, datagram.clone());
                self.heard.truncate(16);
                return Some(datagram);
            }
        }
    }

    fn hear(&mut self, from: u8, datagram: &[u8]) {
        let (now, left) = (self.now, self.node.lifecycle() == Lifecycle::Left);
        let heard = self.both(|node| node.handle_datagram(now, addr(from), &mut datagram.to_vec()));
        assert!(!left || heard.is_err(), "a node that has left hears nothing");
    }

    fn hear_forged(&mut self, choices: &mut Choices<'_>) {
        let datagram = forge::datagram(self.node.config().swarm, choices, self.twin_polls_events);
        self.hear(choices.byte(), &datagram);
    }

    /// The node's next datagram, at most `len` bytes; the peer hears it.
    fn speak(&mut self, len: usize) -> Option<Vec<u8>> {
        let sent = self.node.poll_transmit(self.now, &mut self.buf[..len]);
        let same = self.twin.poll_transmit(self.now, &mut self.twin_buf[..len]);
        assert_eq!(sent, same, "twins speak alike");
        let sent = sent?;
        assert!(!sent.payload.is_empty() && sent.payload.len() <= len, "{} bytes in {len}", sent.payload.len());
        assert!(!sent.to.is_none(), "a datagram goes somewhere");
        let (to, datagram) = (sent.to, sent.payload.to_vec());
        assert!(self.buf.starts_with(&datagram), "the payload is the front of the buffer");
        if to == addr(Self::PEER) {
            // A refusal is the peer's right.
            _ = self.peer.handle_datagram(self.now, addr(1), &mut datagram.clone());
        }
        self.check();
        Some(datagram)
    }

    fn poll_events(&mut self) {
        let before = Shape::of(&self.node);
        let told_max = 4 * (self.members_max + self.node.entries_used().1) + 8;
        for told in 0.. {
            assert!(told <= told_max, "events are differences: they end");
            if self.twin_polls_events {
                let twin = self.twin.poll_event().map(|event| std::format!("{event:?}"));
                assert_eq!(self.node.poll_event().map(|event| std::format!("{event:?}")), twin, "twins tell alike");
                if twin.is_none() {
                    break;
                }
            } else {
                match self.node.poll_event() {
                    None => break,
                    Some(Event::Entry { key, kind, part, change, .. }) => {
                        let (key, part, put) = (key.to_vec(), part.to_vec(), change == EntryChange::Put);
                        let held = match kind {
                            Kind::Counter => !put || self.node.counter(&key).is_some(),
                            Kind::Set => self.node.set_contains(&key, &part) == put,
                            _ => self.node.get(&key).is_some() == put,
                        };
                        assert!(held, "what is told is so");
                    }
                    Some(Event::Member { id, .. }) => _ = self.node.member(id),
                    Some(_) => {}
                }
            }
        }
        assert_eq!(before, Shape::of(&self.node), "being told changes nothing");
        self.check();
    }

    /// Lets all that is owed go out, and checks that a node with nothing to do does nothing.
    fn settle(&mut self) {
        self.poll_events();
        assert!(self.node.sketch_is_true(), "the sketch is that of what is held");
        self.do_all_due();
        self.do_all_due();
        assert!(self.node.sketch_is_true(), "the sketch is that of what is held");
        if self.node.poll_timeout().is_none() {
            assert_eq!(self.speak(LEN_MAX), None);
            self.now = self.now + Duration::from_secs(1 << 20);
            self.timeout();
            assert_eq!(self.speak(LEN_MAX), None, "a node without a deadline acts");
            assert_eq!(self.node.poll_timeout(), None, "a node without a deadline gets one");
        }
    }

    /// A call that cannot be refused, on both.
    fn always(&mut self, call: impl Fn(&mut Node<'static>)) {
        call(&mut self.node);
        call(&mut self.twin);
        self.check();
    }

    /// A call that may be refused: then the twin never hears of it.
    fn both<T: Debug + PartialEq, E: Debug + PartialEq>(
        &mut self,
        call: impl Fn(&mut Node<'static>) -> Result<T, E>,
    ) -> Result<T, E> {
        let before = Shape::of(&self.node);
        let done = call(&mut self.node);
        match &done {
            Ok(_) => assert_eq!(done, call(&mut self.twin), "twins answer alike"),
            Err(error) => assert_eq!(before, Shape::of(&self.node), "{error:?} changes nothing"),
        }
        self.check();
        done
    }

    /// What always holds.
    fn check(&self) {
        let shape = Shape::of(&self.node);
        assert_eq!(shape, Shape::of(&self.twin), "twins look alike");
        let own = self.node.member(self.node.id()).expect("a node is its own member");
        assert!(matches!(own.state, MemberState::Alive | MemberState::Left), "{:?} of itself", own.state);
        assert!(shape.members.len() <= self.members_max);
        let living = |state| matches!(state, MemberState::Alive | MemberState::Suspect);
        let others = shape.members.iter().filter(|member| member.id != self.node.id() && living(member.state));
        assert_eq!(self.node.live(), others.count() + 1);
        assert_eq!(self.node.live(), shape.convergence.live);
        assert!(shape.convergence.agreeing <= shape.convergence.live);
        for (used, max) in [self.node.entries_used(), self.node.bytes_used()] {
            assert!(used <= max, "{used} of {max}");
        }
        for (key, kind, values) in &shape.entries {
            if matches!(kind, Kind::Counter | Kind::Set) {
                assert!(self.node.counter(key).is_some() || self.node.set_members(key).next().is_some());
                continue;
            }
            let held = self.node.get(key).expect("what a scan shows is held");
            assert_eq!(held.value(), &*values[0].0);
            assert!(values.is_sorted_by(|newer, older| (newer.1, newer.2) >= (older.1, older.2)), "newest first");
            assert!(values.len() <= if held.kind() == Kind::Siblings { 4 } else { 1 });
        }
    }
}

/// All that a node shows of itself, without its counters and without what depends on who was told what.
#[derive(Debug, PartialEq)]
struct Shape {
    lifecycle: Lifecycle,
    addr: Addr,
    incarnation: u32,
    deadline: Option<Instant>,
    convergence: Convergence,
    members: Vec<MemberShape>,
    entries: Vec<(Vec<u8>, Kind, Vec<ValueShape>)>,
}

/// Bytes, stamp and writer.
type ValueShape = (Vec<u8>, u64, u64);

#[derive(Debug, PartialEq)]
struct MemberShape {
    id: NodeId,
    addr: Addr,
    state: MemberState,
    incarnation: u32,
    heard: Option<Instant>,
    tags: Vec<(std::string::String, std::string::String)>,
}

impl Shape {
    fn of(node: &Node<'_>) -> Self {
        let members = node.members().map(|member| MemberShape {
            id: member.id,
            addr: member.addr,
            state: member.state,
            incarnation: member.incarnation,
            heard: member.heard,
            tags: member.tags().map(|(name, value)| (name.into(), value.into())).collect(),
        });
        let entries = node.scan(b"").map(|entry| {
            let values = entry.values().map(|value| (value.bytes.to_vec(), value.stamp, value.writer));
            (entry.key().to_vec(), entry.kind(), values.collect())
        });
        Self {
            lifecycle: node.lifecycle(),
            addr: node.addr(),
            incarnation: node.incarnation(),
            deadline: node.poll_timeout(),
            convergence: node.convergence(),
            members: members.collect(),
            entries: entries.collect(),
        }
    }
}

pub(super) fn addr(last: u8) -> Addr {
    Addr::from(core::net::SocketAddr::from(([127, 0, 0, last], 7000)))
}

fn options(choices: &mut Choices<'_>) -> PutOptions {
    let options = PutOptions::new().kind(KINDS[choices.below(KINDS.len())]);
    match choices.below(8) {
        0 | 1 => options.urgent(),
        2 => options.ttl(Duration::from_secs(choices.byte().into())),
        _ => options,
    }
}

/// Some time in 2026, in µs since 1970.
const WALL: u64 = 1_790_000_000_000_000;
fn lan() -> Config {
    Config { merge: Some(MERGE), ..Config::lan("fuzz") }
}

/// The union of bytes.
pub(super) const MERGE: Merge = Merge(|_, a, b, join| {
    let all: std::collections::BTreeSet<u8> = a.iter().chain(b).copied().collect();
    join.iter_mut().zip(&all).for_each(|(to, from)| *to = *from);
    all.len()
});

const KINDS: [Kind; 8] =
    [Kind::Register, Kind::Siblings, Kind::Register, Kind::Siblings, Kind::Max, Kind::Min, Kind::App(0), Kind::App(7)];

/// The longest payload of a UDP datagram over IPv4.
const LEN_MAX: usize = 65_507;

/// How many datagrams a node has to say at one moment, at most: a guess far above what any story makes it say.
const SAID_MAX: usize = 2_000;
/// How many calls of `handle_timeout` at one moment are more than enough for tables of this size.
const CALLS_MAX: usize = 200;
