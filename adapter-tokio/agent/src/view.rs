//! What a node holds, in the words of the schema. Decides nothing.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use gossip_proto as proto;
use gossip_proto::{Instant, Node, NodeId};
use gossip_tokio::{Event, Handle};

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

pub(crate) fn info(handle: &Handle, about: &About) -> api::Info {
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
        stats: node.stats().iter().map(|(name, count)| (name.to_owned(), count)).collect(),
        socket: socket.map(|(name, count)| (name.to_owned(), count)).into(),
    })
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
pub(crate) fn entry_event(handle: &Handle, key: &[u8], conflict: bool) -> api::Event {
    let values = handle.read(|node| node.get(key).map_or_else(Vec::new, |entry| versions(&entry)));
    api::Event::Entry {
        key: String::from_utf8_lossy(key).into_owned(),
        change: if values.is_empty() { api::EntryChange::Deleted } else { api::EntryChange::Put },
        value: values.first().map(|newest| newest.value.clone()),
        values,
        conflict,
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
        Event::Entry { key, conflict, .. } => entry_event(handle, key, *conflict),
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

pub(crate) fn kind_in(kind: Kind) -> proto::Kind {
    match kind {
        Kind::Register => proto::Kind::Register,
        Kind::Siblings => proto::Kind::Siblings,
    }
}

pub(crate) fn kind_out(kind: proto::Kind) -> Kind {
    match kind {
        proto::Kind::Siblings => Kind::Siblings,
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
        agrees: matches!(state, api::State::Alive | api::State::Suspect).then(|| !disagreeing.contains(&member.id)),
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
