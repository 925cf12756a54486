//! What a door can refuse. An error means that nothing changed but a counter.

use core::fmt;

/// Why a datagram was refused. Nothing changed but a counter in [`Stats`](crate::Stats).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Rejected {
    /// Shorter than an envelope.
    TooShort,
    /// A version or profile that this build does not speak.
    Version,
    /// The check does not match: another swarm, another destination, or bytes damaged on the way.
    Check,
    /// Well addressed, and yet not a sequence of messages.
    Malformed,
    /// Sent by ourselves, or by somebody with our id.
    OwnId,
    /// This node has left the swarm.
    Left,
}

/// Why a contact was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum JoinError {
    /// All [`Node::CONTACTS_MAX`](crate::Node::CONTACTS_MAX) contacts are taken.
    TooManyContacts,
    /// The address is empty.
    NoAddress,
    /// This node has left the swarm; make a new one.
    Left,
}

/// Why an entry was not written. The entry, if there is one, is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PutError {
    /// The key is empty or longer than `max` bytes.
    KeyLen {
        /// The longest key, in bytes.
        max: usize,
    },
    /// Key and value together are longer than `max` bytes, so that a version would not fit in a datagram; or, of a register
    /// where the configuration allows more than that, the value alone.
    ValueLen {
        /// The most that key and value may take together, in bytes.
        max: usize,
    },
    /// Every slot for entries is in use; `max` is their number. A deleted entry keeps its slot for a while.
    EntriesFull {
        /// How many entries the table holds.
        max: usize,
    },
    /// The bytes for entries are in use; `max` is how many there are.
    BytesFull {
        /// How many bytes the table holds.
        max: usize,
    },
    /// The key is held with another kind, deleted or not; or the kind is written by other verbs (counters, sets), or
    /// joins by a function that [`Config::merge`](crate::Config::merge) does not give, or is of a feature that is off.
    Kind,
    /// The key's hash is that of another key (2^-96): choose another key.
    Collision,
    /// This node has not subscribed to the key's topic, or has lowered the topic's ceiling below the key for want of room:
    /// see [`Node::wants`](crate::Node::wants).
    Unwanted,
    /// The lifetime is zero, or longer than `max` seconds; or the values of this kind join, and have none.
    Ttl {
        /// The longest lifetime, in seconds; 0 where values have none.
        max: u32,
    },
    /// A lifetime was asked for, and this node does not know the time yet: nobody told it a wall clock's, and it has heard
    /// of none.
    NoTime,
    /// This node has left the swarm.
    Left,
}

/// Why a message was not published. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PublishError {
    /// The topic is longer than `max` bytes.
    TopicLen {
        /// The longest topic, in bytes.
        max: usize,
    },
    /// Topic and bytes together are longer than `max`, so that the message would not fit in a datagram.
    Len {
        /// The most that topic and bytes may take together.
        max: usize,
    },
    /// The lifetime is shorter than 1 ms or longer than `max`.
    Ttl {
        /// The longest lifetime.
        max: core::time::Duration,
    },
    /// No room: at most `max` messages are held at once, in a quarter of the bytes, and none is held that this
    /// node's application was told of.
    Full {
        /// How many messages are held at most: a quarter of the entries.
        max: usize,
    },
    /// This node has heard of no wall clock, so it cannot say when the message is over:
    /// see [`Node::handle_wall_clock`](crate::Node::handle_wall_clock).
    NoTime,
    /// This node has left the swarm.
    Left,
}

/// Why the tags were not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TagsError {
    /// The tags are longer than `max` bytes, names and values and two bytes for each pair.
    TooLong {
        /// The most that they may take, in bytes.
        max: usize,
    },
    /// No room is left in the tables; entries and tags share it.
    Full,
    /// This node has left the swarm.
    Left,
}

/// Why a node does not go to sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SleepError {
    /// Longer than `max`: so long nobody would know whether it is dead.
    TooLong {
        /// The longest sleep.
        max: core::time::Duration,
    },
    /// This node has left the swarm.
    Left,
}

/// Why a node does not want other topics than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum InterestError {
    /// More than `max` topics: want all, or fewer.
    TooManyTopics {
        /// How many topics a node may subscribe to.
        max: usize,
    },
    /// Topics and tags together take more than `max` bytes.
    TagsTooLong {
        /// The most that they may take, in bytes.
        max: usize,
    },
    /// This node has left the swarm.
    Left,
}

impl fmt::Display for InterestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyTopics { max } => write!(f, "a node subscribes to at most {max} topics, or to all"),
            Self::TagsTooLong { max } => write!(f, "tags and topics together take at most {max} bytes"),
            Self::Left => f.write_str("this node has left the swarm"),
        }
    }
}

impl core::error::Error for InterestError {}

/// Why a write is not watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ReceiptError {
    /// This node holds no such entry.
    NotFound,
    /// All receipts are open; `max` is their number. Close one.
    Full {
        /// How many may be open at once.
        max: usize,
    },
}

impl fmt::Display for ReceiptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("there is no such entry"),
            Self::Full { max } => write!(f, "all {max} receipts are open"),
        }
    }
}

impl core::error::Error for ReceiptError {}

/// Why what an earlier life kept was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RestoreError {
    /// The bytes are not those of an entry, or hold versions that no rule allows.
    Damaged,
    /// Longer than this node could pass on: `max` is the most that key and value may take together.
    ValueLen {
        /// The most that key and value may take together, in bytes.
        max: usize,
    },
    /// Every slot for entries is in use; `max` is their number.
    EntriesFull {
        /// How many entries the table holds.
        max: usize,
    },
    /// The bytes for entries are in use; `max` is how many there are.
    BytesFull {
        /// How many bytes the table holds.
        max: usize,
    },
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "the datagram is shorter than an envelope",
            Self::Version => "the datagram has an unknown version or profile",
            Self::Check => "the datagram is damaged, or belongs to another swarm or node",
            Self::Malformed => "the datagram is not a sequence of messages",
            Self::OwnId => "the datagram carries this node's own id",
            Self::Left => "this node has left the swarm",
        })
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooManyContacts => "all places for contacts are taken",
            Self::NoAddress => "the contact's address is empty",
            Self::Left => "this node has left the swarm",
        })
    }
}

impl fmt::Display for PutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyLen { max } => write!(f, "a key takes 1 to {max} bytes"),
            Self::ValueLen { max } => write!(f, "key and value together take at most {max} bytes"),
            Self::EntriesFull { max } => write!(f, "all {max} entries are in use"),
            Self::BytesFull { max } => write!(f, "all {max} bytes for entries are in use"),
            Self::Kind => f.write_str("the key has another kind, or the kind cannot be put"),
            Self::Unwanted => {
                f.write_str("this node has not subscribed to the key's topic, or has no room for all of it")
            }
            Self::Collision => f.write_str("the key's hash collides with another key's"),
            Self::Ttl { max: 0 } => f.write_str("values of this kind have no lifetime"),
            Self::Ttl { max } => write!(f, "a lifetime is 1 to {max} seconds"),
            Self::NoTime => f.write_str("a lifetime needs a clock, and this node does not know the time"),
            Self::Left => f.write_str("this node has left the swarm"),
        }
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TopicLen { max } => write!(f, "a topic takes at most {max} bytes"),
            Self::Len { max } => write!(f, "topic and message together take at most {max} bytes"),
            Self::Ttl { max } => write!(f, "a message lives for 1 ms to {} h", max.as_secs() / 3600),
            Self::Full { max } => write!(f, "no room is left for messages: at most {max}, in a quarter of the bytes"),
            Self::NoTime => f.write_str("the time is not known, so the message would have no end"),
            Self::Left => f.write_str("this node has left the swarm"),
        }
    }
}

impl fmt::Display for TagsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { max } => write!(f, "all tags together take at most {max} bytes"),
            Self::Full => f.write_str("no room is left for tags"),
            Self::Left => f.write_str("this node has left the swarm"),
        }
    }
}

impl fmt::Display for SleepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { max } => write!(f, "a node sleeps for at most {} s", max.as_secs()),
            Self::Left => f.write_str("this node has left the swarm"),
        }
    }
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged => f.write_str("the bytes are not those of an entry"),
            Self::ValueLen { max } => PutError::ValueLen { max: *max }.fmt(f),
            Self::EntriesFull { max } => PutError::EntriesFull { max: *max }.fmt(f),
            Self::BytesFull { max } => PutError::BytesFull { max: *max }.fmt(f),
        }
    }
}

impl core::error::Error for Rejected {}
impl core::error::Error for JoinError {}
impl core::error::Error for PublishError {}
impl core::error::Error for PutError {}
impl core::error::Error for RestoreError {}
impl core::error::Error for SleepError {}
impl core::error::Error for TagsError {}
