//! Events as streams: what the node tells, copied so that it outlives the lock, for any number of readers.

use std::sync::Arc;

use async_broadcast::{InactiveReceiver, Receiver, RecvError, Sender};
use gossip_proto::{EntryChange, Event as Told, MemberChange, NodeId};

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

/// Events were lost: read members and entries anew. The number is how many this reader was too slow for; 0 when it was
/// the node's own tables that were too full to keep them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("events were lost ({0} of them by a slow reader): read members and entries anew")]
pub struct Lagged(pub u64);

/// A bounded stream of events, from the moment of subscribing on. Subscribe first and read the state afterwards: then
/// nothing falls between the two.
///
/// It holds [`Events::LEN_MAX`] events. When it is full the oldest are dropped, and the reader gets [`Lagged`] before the
/// rest; nobody else waits for a slow reader. Each of the three streams has its own room: a storm of entries drops no
/// death.
#[derive(Debug)]
#[must_use = "it holds events until they are read"]
pub struct Events<T>(Receiver<Result<T, Lagged>>);

impl<T: Clone> Events<T> {
    /// How many events wait for a slow reader: a guess; more than a reader misses in a turn of the runner, and about 60 kB
    /// for each stream.
    pub const LEN_MAX: usize = 1024;

    /// The next event; `None` once the node has left, or its runner is gone, and all is read. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<T, Lagged>> {
        match self.0.recv_direct().await {
            Ok(item) => Some(item),
            Err(RecvError::Overflowed(missed)) => Some(Err(Lagged(missed))),
            Err(RecvError::Closed) => None,
        }
    }
}

/// The sending end of a stream, and what keeps it open while nobody reads.
#[derive(Debug)]
pub(crate) struct Channel<T>(Sender<Result<T, Lagged>>, InactiveReceiver<Result<T, Lagged>>);

impl<T: Clone> Channel<T> {
    fn new() -> Self {
        let (mut sender, receiver) = async_broadcast::broadcast(Events::<T>::LEN_MAX);
        sender.set_overflow(true);
        Self(sender, receiver.deactivate())
    }

    pub(crate) fn events(&self) -> Events<T> {
        Events(self.1.activate_cloned())
    }

    /// Fails only when nobody reads.
    fn send(&self, item: Result<T, Lagged>) {
        let _ = self.0.try_broadcast(item);
    }
}

#[derive(Debug)]
pub(crate) struct Channels {
    pub(crate) all: Channel<Event>,
    pub(crate) members: Channel<MemberEvent>,
    pub(crate) entries: Channel<EntryEvent>,
}

impl Channels {
    pub(crate) fn new() -> Self {
        Self { all: Channel::new(), members: Channel::new(), entries: Channel::new() }
    }

    /// Ends the streams; what is in them can still be read.
    pub(crate) fn close(&self) {
        let _ = (self.all.0.close(), self.members.0.close(), self.entries.0.close());
    }

    /// Passes an event on to whoever reads.
    pub(crate) fn tell(&self, event: Told<'_>) {
        let event = match event {
            Told::Joined => Ok(Event::Joined),
            Told::Left => Ok(Event::Left),
            Told::Converged => Ok(Event::Converged),
            Told::Diverged => Ok(Event::Diverged),
            Told::Member { id, change } => Ok(Event::Member(MemberEvent { id, change })),
            Told::Entry { key, change, conflict } => Ok(Event::Entry(EntryEvent { key: key.into(), change, conflict })),
            Told::Lagged => Err(Lagged(0)),
            // What has no place in these streams is a state that `Handle::read` shows: isolation, quorum, sleep.
            _ => return,
        };
        match &event {
            Ok(Event::Member(member)) => self.members.send(Ok(*member)),
            Ok(Event::Entry(entry)) => self.entries.send(Ok(entry.clone())),
            Ok(_) => {}
            Err(lagged) => (self.members.send(Err(*lagged)), self.entries.send(Err(*lagged))).0,
        }
        self.all.send(event);
    }
}
