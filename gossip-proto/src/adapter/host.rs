//! What adapters with a heap share beside: a node under a lock, its events as streams of owned values, and the datagram
//! that its socket has not taken yet.
//!
//! Knows: the node's doors. Does not know: sockets, runtimes, locks, tasks.

use core::fmt;
use core::net::SocketAddr;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;

use super::{EVENTS_MAX, Life, SocketStats, WALL_CLOCK_INTERVAL};
use crate::{EntryChange, Event, Instant, Kind, Lifecycle, MemberChange, Node, NodeId, OwnedEvent};

/// A member is not what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberEvent {
    /// Who.
    pub id: NodeId,
    /// What happened to it.
    pub change: MemberChange,
}

/// An entry is not what it was. Read it with [`Node::get`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryEvent {
    /// The entry's key, shared by all readers.
    pub key: Arc<[u8]>,
    /// How it merges: counters and sets are read with verbs of their own.
    pub kind: Kind,
    /// Of a set, the element that this is about; of a counter, which part of it; else empty.
    pub part: Arc<[u8]>,
    /// What happened to it.
    pub change: EntryChange,
    /// Whether a value was lost, or a sibling dropped, since this entry was last told.
    pub conflict: bool,
}

/// Events were lost: read members and entries anew. The number is how many this reader was too slow for; 0 when it was
/// the node's own tables that were too full to keep them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lagged(pub u64);

impl fmt::Display for Lagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "events were lost ({} of them by a slow reader): read members and entries anew", self.0)
    }
}

impl core::error::Error for Lagged {}

/// Which streams an event is for, beside the one of all events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// The stream of members.
    Member(MemberEvent),
    /// The stream of entries.
    Entry(EntryEvent),
    /// The stream of messages.
    Message,
    /// All three: each may have lost something.
    All(Lagged),
    /// No other stream.
    None,
}

impl Topic {
    /// Where this event goes.
    #[must_use]
    pub fn of(event: &Result<OwnedEvent, Lagged>) -> Self {
        match event {
            &Ok(OwnedEvent::Member { id, change }) => Self::Member(MemberEvent { id, change }),
            Ok(OwnedEvent::Entry { key, kind, part, change, conflict }) => Self::Entry(EntryEvent {
                key: key.clone(),
                kind: *kind,
                part: part.clone(),
                change: *change,
                conflict: *conflict,
            }),
            Ok(OwnedEvent::Message { .. } | OwnedEvent::Missed { .. }) => Self::Message,
            Err(lagged) => Self::All(*lagged),
            Ok(_) => Self::None,
        }
    }
}

/// A node and what its handles and its runner share of it; an adapter keeps it under a lock.
#[derive(Debug)]
pub struct Hosted {
    /// The node.
    pub node: Node<'static>,
    /// Whether anything can still happen to it.
    pub life: Life,
    /// What its socket did, at most one turn of the runner old.
    pub stats: SocketStats,
    clock_at: Instant,
}

impl Hosted {
    /// A node that nothing has happened to.
    #[must_use]
    pub fn new(node: Node<'static>) -> Self {
        Self { node, life: Life::Running, stats: SocketStats::default(), clock_at: Instant::ZERO }
    }

    /// Does what is due by the clock; what is not yet, the node does not do. `wall_clock` reads µs since 1970.
    pub fn keep_time(&mut self, now: Instant, wall_clock: impl FnOnce() -> Option<u64>) {
        if now >= self.clock_at {
            if let Some(unix_micros) = wall_clock() {
                self.node.handle_wall_clock(now, unix_micros);
            }
            self.clock_at = now + WALL_CLOCK_INTERVAL;
        }
        self.node.handle_timeout(now);
    }

    /// Passes on what there is to tell; whether there may be more.
    pub fn tell(&mut self, mut tell: impl FnMut(Result<OwnedEvent, Lagged>)) -> bool {
        let mut next = || {
            self.node.poll_event().map(|event| match event {
                Event::Lagged => Err(Lagged(0)),
                event => Ok(event.map_key(Arc::from)),
            })
        };
        (0..EVENTS_MAX).all(|_| next().map(&mut tell).is_some())
    }

    /// When there is something to do by the clock; `None` when the node has left and nothing `remains` to be done.
    #[must_use]
    pub fn deadline(&self, remains: bool) -> Option<Instant> {
        let ended = self.node.lifecycle() == Lifecycle::Left && !remains;
        (!ended).then(|| self.node.poll_timeout().map_or(self.clock_at, |at| at.min(self.clock_at)))
    }
}

/// Room for a datagram on its way from a node to a socket.
#[derive(Debug)]
pub struct Outgoing {
    local: SocketAddr,
    encoded: Box<[u8]>,
    /// What the socket has not taken yet is at the front of `encoded`: where to, and its length.
    waiting: Option<(Option<SocketAddr>, usize)>,
}

impl Outgoing {
    /// Nothing yet, for a socket that is bound to `local`.
    #[must_use]
    pub fn new(node: &Node<'_>, local: SocketAddr) -> Self {
        Self { local, encoded: vec![0; node.config().datagram_len_max.into()].into(), waiting: None }
    }

    /// Whether there is a datagram to send: the one that waits, or else the node's next one.
    pub fn fill(&mut self, node: &mut Node<'_>, now: Instant) -> bool {
        if self.waiting.is_none() {
            let transmit = node.poll_transmit(now, &mut self.encoded);
            self.waiting = transmit.map(|transmit| (transmit.to.socket_from(self.local), transmit.payload.len()));
        }
        self.waiting.is_some()
    }

    /// The datagram that waits, and where to; nowhere, if its address is none of the socket's kind.
    #[must_use]
    pub fn waiting(&self) -> Option<(Option<SocketAddr>, &[u8])> {
        self.waiting.map(|(to, len)| (to, self.encoded.get(..len).unwrap_or_default()))
    }

    /// It has gone, or is lost.
    pub fn done(&mut self) {
        self.waiting = None;
    }
}
