//! What the application is told: differences between what is and what it was last told.

use core::time::Duration;

use crate::addr::NodeId;
use crate::state::Kind;

/// Something that changed since the application last asked. A key is borrowed from the node: copy it before acting on it.
pub type Event<'a> = EventWith<&'a [u8]>;

/// An [`Event`] that outlives the node's next call; all copies share its key.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub type OwnedEvent = EventWith<alloc::sync::Arc<[u8]>>;

/// Something that changed, with what it names borrowed ([`Event`]) or owned.
///
/// Events are differences, not a log: what changed twice between two polls is told once, with its last state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum EventWith<Bytes> {
    /// This node has been answered by a member: it belongs to a swarm.
    Joined,
    /// The farewell has gone out: this node will not act again.
    Left,
    /// A member is not what it was.
    Member {
        /// Who.
        id: NodeId,
        /// What happened to it.
        change: MemberChange,
    },
    /// An entry is not what it was. Read it with [`Node::get`](crate::Node::get).
    Entry {
        /// The entry's key; of counters and sets, theirs.
        key: Bytes,
        /// How it merges: a counter and a set are read with verbs of their own.
        kind: Kind,
        /// Of a set, the element that this is about; of a counter, which part of it; else empty.
        part: Bytes,
        /// What happened to it.
        change: EntryChange,
        /// Whether a value was lost, or a sibling dropped, since this entry was last told.
        conflict: bool,
    },
    /// A message of another node, in a topic that is wanted: told once in the life of this node, in no order. It is kept
    /// until it is told or over.
    Message {
        /// The topic that it was published with.
        topic: Bytes,
        /// The life of the node that published it: new with each start of a node.
        origin: u64,
        /// Its number there. Each topic has numbers by the 64; between those of one topic may be those of others.
        sequence: u32,
        /// The message.
        bytes: Bytes,
    },
    /// Messages of an origin were missed for good: the last message that they came with is over. What was over before this
    /// node first heard of the origin in that topic, or came to want it, does not count.
    Missed {
        /// The life of the node that published them.
        origin: u64,
        /// How many.
        count: u32,
    },
    /// Every live member that we know has told us our own summary root.
    Converged,
    /// Some live member differs from us, after we had converged.
    Diverged,
    /// No datagram of any member has come for eight probe intervals, though some are known and awake: told once, until
    /// [`Event::Reconnected`].
    Isolated,
    /// After [`Event::Isolated`], somebody was heard again.
    Reconnected,
    /// Half or less of the remembered members live: see [`Node::quorum`](crate::Node::quorum).
    QuorumLost,
    /// Deletes are no longer kept for members that have been away for longer than
    /// [`Config::horizon`](crate::Config::horizon): what was deleted since may return with them.
    HorizonPassed,
    /// More than half of the remembered members live again.
    QuorumRegained,
    /// Two members at least take the time to be another: stamps of this node are refused (it is `ahead`), or it refuses
    /// theirs. Told once, until its wall clock is set ([`Node::handle_wall_clock`](crate::Node::handle_wall_clock)); what it
    /// wrote while it was ahead is then corrected.
    ClockDiffers {
        /// Whether it is this node's clock that is ahead of the other.
        ahead: bool,
        /// How far they are apart.
        by: Duration,
    },
    /// This node holds all that another member holds and this one wants: told once, after it has joined. What is written from
    /// now on comes as news.
    CaughtUp,
    /// The announcement of [`Node::sleep`](crate::Node::sleep) has gone out: the device may switch off.
    Asleep,
    /// There was no room for all entries: this node holds less of its heaviest topic from now on, and dropped what is
    /// beyond. See [`Node::wants`](crate::Node::wants) and [`Node::ceiling`](crate::Node::ceiling).
    Shed,
    /// The tables were too full to keep what happened: read members and entries anew.
    Lagged,
}

impl<Bytes> EventWith<Bytes> {
    /// The same event with another kind of bytes.
    pub fn map_key<Other>(self, map: impl Fn(Bytes) -> Other) -> EventWith<Other> {
        match self {
            Self::Joined => EventWith::Joined,
            Self::Left => EventWith::Left,
            Self::Member { id, change } => EventWith::Member { id, change },
            Self::Entry { key, kind, part, change, conflict } => {
                EventWith::Entry { key: map(key), kind, part: map(part), change, conflict }
            }
            Self::Message { topic, origin, sequence, bytes } => {
                EventWith::Message { topic: map(topic), origin, sequence, bytes: map(bytes) }
            }
            Self::Missed { origin, count } => EventWith::Missed { origin, count },
            Self::HorizonPassed => EventWith::HorizonPassed,
            Self::ClockDiffers { ahead, by } => EventWith::ClockDiffers { ahead, by },
            Self::Converged => EventWith::Converged,
            Self::Diverged => EventWith::Diverged,
            Self::Isolated => EventWith::Isolated,
            Self::Reconnected => EventWith::Reconnected,
            Self::QuorumLost => EventWith::QuorumLost,
            Self::QuorumRegained => EventWith::QuorumRegained,
            Self::CaughtUp => EventWith::CaughtUp,
            Self::Asleep => EventWith::Asleep,
            Self::Shed => EventWith::Shed,
            Self::Lagged => EventWith::Lagged,
        }
    }
}

/// What happened to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MemberChange {
    /// Seen for the first time, or again after it was forgotten.
    Joined,
    /// It answers no probe; it is dead unless it refutes.
    Suspected,
    /// It was suspected and has shown that it is alive.
    Refuted,
    /// It was suspected, and did not refute in time.
    Died,
    /// It said farewell.
    Left,
    /// It was dead or had left, and is alive again.
    Returned,
    /// Its address or tags are new, or it has gone to sleep or woken.
    Updated,
    /// It is not in the table any more, whose room another member needed: this node's sample of the swarm is not a list of
    /// all. It may well be alive; nothing more is told of it unless it [`Joined`](Self::Joined) the table again.
    Evicted,
}

/// What happened to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum EntryChange {
    /// It has a value, new or changed.
    Put,
    /// It was deleted.
    Deleted,
    /// The time that it had to live is over.
    Expired,
}
