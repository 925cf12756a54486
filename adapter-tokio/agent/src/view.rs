//! What a node holds, in the words of the schema. Decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use gossip_proto as proto;
use gossip_proto::{Instant, Node, NodeId};
use gossip_tokio::{EntryEvent, Event, Handle};
use serde_json::Value;

use crate::api;
use crate::cli::Kind;
use crate::document::value_of;

/// What does not change in an agent's life.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) swarm: String,
    pub(crate) name: Option<String>,
    pub(crate) bind: SocketAddr,
    pub(crate) control: SocketAddr,
    pub(crate) limits: api::Limits,
}

pub(crate) fn members(handle: &Handle) -> Vec<api::Member> {
    let now = handle.now();
    let mut members = handle.read(|node| all_members(node, now));
    sort(&mut members);
    members
}

pub(crate) fn topology(handle: &Handle) -> api::Topology {
    let now = handle.now();
    let mut topology = handle.read(|node| api::Topology {
        id: node.id().to_string(),
        convergence: convergence_of(node, now),
        members: all_members(node, now),
        disagreeing: node
            .disagreeing()
            .map(|(id, agreed)| api::Disagreeing {
                id: id.to_string(),
                name: name(node, id),
                agreed_ms_ago: agreed.map(|at| ms_since(now, at)),
            })
            .collect(),
    });
    sort(&mut topology.members);
    topology.disagreeing.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    topology
}

pub(crate) fn convergence(handle: &Handle) -> api::Convergence {
    let now = handle.now();
    handle.read(|node| convergence_of(node, now))
}

pub(crate) fn info(handle: &Handle, about: &About, wanted: Option<&[String]>) -> api::Info {
    let (now, socket) = (handle.now(), handle.socket_stats());
    let socket = [
        ("sent", socket.sent),
        ("received", socket.received),
        ("send_waits", socket.send_waits),
        ("send_errors", socket.send_errors),
        ("receive_errors", socket.receive_errors),
    ];
    let used = |(used, max)| api::Used { used, max };
    handle.read(|node| api::Info {
        id: node.id().to_string(),
        name: about.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        swarm: about.swarm.clone(),
        bind: about.bind.to_string(),
        advertise: node.addr().to_string(),
        control: about.control.to_string(),
        lifecycle: match node.lifecycle() {
            proto::Lifecycle::Alone => api::Lifecycle::Alone,
            proto::Lifecycle::Joining => api::Lifecycle::Joining,
            proto::Lifecycle::Member => api::Lifecycle::Member,
            proto::Lifecycle::Leaving => api::Lifecycle::Leaving,
            proto::Lifecycle::Left => api::Lifecycle::Left,
        },
        incarnation: node.incarnation(),
        uptime_ms: ms_since(now, Instant::ZERO),
        convergence: convergence_of(node, now),
        tables: api::Tables {
            members: used(node.members_used()),
            entries: used(node.entries_used()),
            bytes: used(node.bytes_used()),
        },
        limits: about.limits,
        topics: topics(node, wanted),
        stats: node.stats().iter().map(|(name, count)| (name.to_owned(), count)).collect(),
        socket: socket.map(|(name, count)| (name.to_owned(), count)).into(),
    })
}

/// What is subscribed to, and how much of it there is room for.
pub(crate) fn topics(node: &Node<'_>, wanted: Option<&[String]>) -> Option<Vec<api::Topic>> {
    let topic = |name: &String| api::Topic { topic: name.clone(), ceiling: node.ceiling(name.as_bytes()) };
    Some(wanted?.iter().map(topic).collect())
}

/// Whether it is an entry of its own, and neither a part of a counter nor an element of a set.
pub(crate) fn is_whole(entry: &proto::Entry<'_>) -> bool {
    !matches!(entry.kind(), proto::Kind::Counter | proto::Kind::Set)
}

/// The entries, counters and sets whose keys begin with a prefix, by key.
pub(crate) fn list(node: &Node<'_>, prefix: &[u8]) -> Vec<api::Entry> {
    let (mut entries, mut sets, mut counters) = (Vec::new(), BTreeMap::<&[u8], Vec<_>>::new(), BTreeSet::new());
    for held in node.scan(prefix) {
        match held.kind() {
            proto::Kind::Counter => _ = counters.insert(held.key()),
            proto::Kind::Set => sets.entry(held.key()).or_default().push(value_of(held.part())),
            _ => entries.push(entry(held)),
        }
    }
    let many = |key: &[u8], kind, value| api::Entry {
        key: String::from_utf8_lossy(key).into_owned(),
        value,
        kind,
        values: Vec::new(),
    };
    entries.extend(counters.into_iter().filter_map(|key| Some(many(key, Kind::Counter, node.counter(key)?.into()))));
    entries.extend(sets.into_iter().map(|(key, elements)| many(key, Kind::Set, sorted(elements).into())));
    entries.sort_by(|a, b| (&a.key, a.kind as u8).cmp(&(&b.key, b.kind as u8)));
    entries
}

/// The elements of a set, in an order that is the same everywhere.
pub(crate) fn elements(node: &Node<'_>, key: &[u8]) -> Vec<Value> {
    sorted(node.set_members(key).map(value_of).collect())
}

fn sorted(mut elements: Vec<Value>) -> Vec<Value> {
    elements.sort_by_cached_key(Value::to_string);
    elements
}

pub(crate) fn entry(entry: proto::Entry<'_>) -> api::Entry {
    let values = versions(&entry);
    api::Entry {
        key: String::from_utf8_lossy(entry.key()).into_owned(),
        value: value_of(entry.value()),
        kind: kind_out(entry.kind()),
        values,
    }
}

pub(crate) fn entry_at(node: &Node<'_>, key: &str) -> Option<api::Entry> {
    node.get(key.as_bytes()).map(entry)
}

/// An event with the state that the entry has now, which may be newer than the event.
pub(crate) fn entry_event(handle: &Handle, event: &EntryEvent) -> api::Event {
    let (values, value, element) = handle.read(|node| match event.kind {
        proto::Kind::Counter => (Vec::new(), node.counter(&event.key).map(Value::from), None),
        proto::Kind::Set => {
            let element = value_of(&event.part);
            let held = node.set_contains(&event.key, &event.part);
            (Vec::new(), held.then(|| element.clone()), Some(element))
        }
        _ => {
            let values = node.get(&event.key).map_or_else(Vec::new, |entry| versions(&entry));
            let value = values.first().map(|newest| newest.value.clone());
            (values, value, None)
        }
    });
    api::Event::Entry {
        key: String::from_utf8_lossy(&event.key).into_owned(),
        kind: kind_out(event.kind),
        element,
        change: match (&value, event.change) {
            (Some(_), _) => api::EntryChange::Put,
            (None, proto::EntryChange::Expired) => api::EntryChange::Expired,
            (None, _) => api::EntryChange::Deleted,
        },
        value,
        values,
        conflict: event.conflict,
    }
}

/// The life of an agent, as the schema has it.
pub(crate) fn life(life: u64) -> String {
    format!("{life:016x}")
}

/// `None` for an event that the schema does not know; none of today's is.
pub(crate) fn event(handle: &Handle, event: &Event) -> Option<api::Event> {
    Some(match event {
        Event::Joined => api::Event::Joined,
        Event::Left => api::Event::Left,
        Event::Converged => api::Event::Converged,
        Event::Diverged => api::Event::Diverged,
        Event::Isolated => api::Event::Isolated,
        Event::Reconnected => api::Event::Reconnected,
        Event::QuorumLost => api::Event::QuorumLost,
        Event::QuorumRegained => api::Event::QuorumRegained,
        Event::Asleep => api::Event::Asleep,
        Event::Shed => api::Event::Shed,
        Event::Lagged => api::Event::Lagged { missed: 0 },
        Event::HorizonPassed => api::Event::HorizonPassed,
        Event::Message { topic, origin, sequence, bytes } => api::Event::Message {
            topic: String::from_utf8_lossy(topic).into_owned(),
            origin: life(*origin),
            sequence: *sequence,
            value: value_of(bytes),
        },
        Event::Missed { origin, count } => api::Event::Missed { origin: life(*origin), count: *count },
        Event::ClockDiffers { ahead, by } => api::Event::ClockDiffers { ahead: *ahead, by_ms: by.as_millis() as u64 },
        Event::Entry { key, kind, part, change, conflict } => {
            let (kind, change, conflict) = (*kind, *change, *conflict);
            entry_event(handle, &EntryEvent { key: key.clone(), kind, part: part.clone(), change, conflict })
        }
        Event::Member { id, change: what } => handle.read(|node| api::Event::Member {
            id: id.to_string(),
            name: name(node, *id),
            addr: node.member(*id).map(|member| member.addr.to_string()),
            change: change(*what),
        }),
        _ => return None,
    })
}

pub(crate) fn change(change: proto::MemberChange) -> api::MemberChange {
    match change {
        proto::MemberChange::Joined => api::MemberChange::Joined,
        proto::MemberChange::Suspected => api::MemberChange::Suspected,
        proto::MemberChange::Refuted => api::MemberChange::Refuted,
        proto::MemberChange::Died => api::MemberChange::Died,
        proto::MemberChange::Left => api::MemberChange::Left,
        proto::MemberChange::Returned => api::MemberChange::Returned,
        proto::MemberChange::Updated => api::MemberChange::Updated,
        proto::MemberChange::Evicted => api::MemberChange::Evicted,
    }
}

/// `None` for kinds that are written by verbs of their own.
pub(crate) fn kind_in(kind: Kind) -> Option<proto::Kind> {
    match kind {
        Kind::Register => Some(proto::Kind::Register),
        Kind::Siblings => Some(proto::Kind::Siblings),
        Kind::Max => Some(proto::Kind::Max),
        Kind::Min => Some(proto::Kind::Min),
        Kind::Counter | Kind::Set | Kind::App => None,
    }
}

pub(crate) fn kind_out(kind: proto::Kind) -> Kind {
    match kind {
        proto::Kind::Siblings => Kind::Siblings,
        proto::Kind::Max => Kind::Max,
        proto::Kind::Min => Kind::Min,
        proto::Kind::Counter => Kind::Counter,
        proto::Kind::Set => Kind::Set,
        proto::Kind::App(_) => Kind::App,
        _ => Kind::Register,
    }
}

fn all_members(node: &Node<'_>, now: Instant) -> Vec<api::Member> {
    let disagreeing: BTreeSet<_> = node.disagreeing().map(|(id, _)| id).collect();
    node.members().map(|member| self::member(&member, node.id(), &disagreeing, now)).collect()
}

fn member(member: &proto::Member<'_>, own: NodeId, disagreeing: &BTreeSet<NodeId>, now: Instant) -> api::Member {
    let state = match member.state {
        proto::MemberState::Alive => api::State::Alive,
        proto::MemberState::Suspect => api::State::Suspect,
        proto::MemberState::Dead => api::State::Dead,
        proto::MemberState::Left => api::State::Left,
    };
    let agrees = matches!(state, api::State::Alive | api::State::Suspect).then(|| !disagreeing.contains(&member.id));
    api::Member {
        id: member.id.to_string(),
        name: member.tag("name").map(Into::into),
        addr: member.addr.to_string(),
        state,
        own: member.id == own,
        incarnation: member.incarnation,
        tags: member.tags().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        rtt_us: member.rtt.map(|rtt| rtt.as_micros() as u64),
        heard_ms_ago: member.heard.map(|at| ms_since(now, at)),
        via: member.via.map(|relay| relay.to_string()),
        agrees,
        lag_ms: agrees.and_then(|agrees| if agrees { Some(0) } else { member.agreed.map(|at| ms_since(now, at)) }),
    }
}

fn convergence_of(node: &Node<'_>, now: Instant) -> api::Convergence {
    let convergence = node.convergence();
    api::Convergence {
        converged: convergence.is_converged(),
        live: convergence.live,
        agreeing: convergence.agreeing,
        permille: convergence.permille(),
        root: format!("{:08x}", convergence.root),
        since_ms_ago: ms_since(now, convergence.since),
    }
}

fn versions(entry: &proto::Entry<'_>) -> Vec<api::Version> {
    let version = |value: proto::Value<'_>| api::Version {
        value: value_of(value.bytes),
        stamp_us: value.stamp,
        writer: life(value.writer),
        ends_unix_s: value.ends,
    };
    entry.values().map(version).collect()
}

fn name(node: &Node<'_>, id: NodeId) -> Option<String> {
    node.member(id)?.tag("name").map(Into::into)
}

/// By name, the nameless last.
fn sort(members: &mut [api::Member]) {
    members.sort_by(|a, b| (a.name.is_none(), &a.name, &a.id).cmp(&(b.name.is_none(), &b.name, &b.id)));
}

fn ms_since(now: Instant, at: Instant) -> u64 {
    now.saturating_since(at).as_millis() as u64
}
