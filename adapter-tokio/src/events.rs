//! Events as streams: what the node tells, copied so that it outlives the lock, for any number of readers.

use std::fmt;
use std::sync::Arc;

use gossip_proto::{EntryChange, Event as Told, MemberChange, NodeId};
use tokio::sync::broadcast::{self, Receiver, Sender, error::RecvError};

/// Something that changed: [`proto::Event`](gossip_proto::Event), owned. Its `Lagged` comes as the error [`Lagged`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// This node has been answered by a member: it belongs to a swarm.
    Joined,
    /// The farewell has gone out: this node will not act again.
    Left,
    /// A member is not what it was.
    Member(MemberEvent),
    /// An entry is not what it was.
    Entry(EntryEvent),
    /// A message of another node, or that some were missed.
    Message(MessageEvent),
    /// Every live member that we know has told us our own summary root.
    Converged,
    /// Some live member differs from us, after we had converged.
    Diverged,
}

/// A member is not what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberEvent {
    /// Who.
    pub id: NodeId,
    /// What happened to it.
    pub change: MemberChange,
}

/// An entry is not what it was. Read it with [`Node::get`](gossip_proto::Node::get).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryEvent {
    /// The entry's key, shared by all readers.
    pub key: Arc<[u8]>,
    /// What happened to it.
    pub change: EntryChange,
    /// Whether a value was lost, or a sibling dropped, since this entry was last told.
    pub conflict: bool,
}

/// A message of another node, or a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageEvent {
    /// A message: told once in the life of this node, in no order.
    Message {
        /// The topic that it was published with, shared by all readers.
        topic: Arc<[u8]>,
        /// The life of the node that published it.
        origin: u64,
        /// Its number there: 0, 1, 2, …
        sequence: u32,
        /// The message, shared by all readers.
        bytes: Arc<[u8]>,
    },
    /// Messages were missed for good.
    Missed {
        /// The life of the node that published them.
        origin: u64,
        /// How many.
        count: u32,
    },
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

impl std::error::Error for Lagged {}

/// A bounded stream of events, from the moment of subscribing on. Subscribe first and read the state afterwards: then
/// nothing falls between the two.
///
/// It holds [`Events::LEN_MAX`] events. When it is full the oldest are dropped, and the reader gets [`Lagged`] before the
/// rest; nobody else waits for a slow reader. Each of the four streams has its own room: a storm of entries drops no
/// death.
#[derive(Debug)]
pub struct Events<T>(Receiver<Result<T, Lagged>>);

impl<T: Clone> Events<T> {
    /// How many events wait for a slow reader.
    pub const LEN_MAX: usize = LEN_MAX;

    /// The next event; `None` once the node has left, or its runner is gone, and all is read. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<T, Lagged>> {
        match self.0.recv().await {
            Ok(item) => Some(item),
            Err(RecvError::Lagged(missed)) => Some(Err(Lagged(missed))),
            Err(RecvError::Closed) => None,
        }
    }

    /// A stream of what `sender` sends; one that has ended when there is none.
    pub(crate) fn of(sender: Option<&Sender<Result<T, Lagged>>>) -> Self {
        Self(sender.map_or_else(|| broadcast::channel(1).1, Sender::subscribe))
    }
}

#[derive(Debug)]
pub(crate) struct Channels {
    pub(crate) all: Sender<Result<Event, Lagged>>,
    pub(crate) members: Sender<Result<MemberEvent, Lagged>>,
    pub(crate) entries: Sender<Result<EntryEvent, Lagged>>,
    pub(crate) messages: Sender<Result<MessageEvent, Lagged>>,
}

impl Channels {
    pub(crate) fn new() -> Self {
        Self {
            all: Sender::new(LEN_MAX),
            members: Sender::new(LEN_MAX),
            entries: Sender::new(LEN_MAX),
            messages: Sender::new(LEN_MAX),
        }
    }

    /// Passes an event on to whoever reads; `send` only fails when nobody does.
    pub(crate) fn tell(&self, event: Told<'_>) {
        let event = match event {
            Told::Joined => Ok(Event::Joined),
            Told::Left => Ok(Event::Left),
            Told::Converged => Ok(Event::Converged),
            Told::Diverged => Ok(Event::Diverged),
            Told::Member { id, change } => Ok(Event::Member(MemberEvent { id, change })),
            Told::Entry { key, change, conflict } => Ok(Event::Entry(EntryEvent { key: key.into(), change, conflict })),
            Told::Message { topic, origin, sequence, bytes } => {
                Ok(Event::Message(MessageEvent::Message { topic: topic.into(), origin, sequence, bytes: bytes.into() }))
            }
            Told::Missed { origin, count } => Ok(Event::Message(MessageEvent::Missed { origin, count })),
            Told::Lagged => Err(Lagged(0)),
            _ => return,
        };
        let _ = match &event {
            Ok(Event::Member(member)) => self.members.send(Ok(*member)).is_ok(),
            Ok(Event::Entry(entry)) => self.entries.send(Ok(entry.clone())).is_ok(),
            Ok(Event::Message(message)) => self.messages.send(Ok(message.clone())).is_ok(),
            Ok(_) => true,
            Err(lagged) => {
                self.members.send(Err(*lagged)).is_ok()
                    | self.entries.send(Err(*lagged)).is_ok()
                    | self.messages.send(Err(*lagged)).is_ok()
            }
        };
        let _ = self.all.send(event);
    }
}

/// A guess: more than a reader misses in a turn of the runner, and about 60 kB for each stream.
const LEN_MAX: usize = 1024;
