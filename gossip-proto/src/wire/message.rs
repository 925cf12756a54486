//! Every message, as it is decoded and as it is encoded. Variants are only appended; a changed field is a new version.

use serde::{Deserialize, Serialize};

use crate::addr::{Addr, NodeId};

/// One of the messages that a datagram carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message<'a> {
    /// Asks the receiver to answer with the same number.
    Ping(#[serde(with = "postcard::fixint::le")] u32),
    /// Answers a ping.
    Ack(#[serde(with = "postcard::fixint::le")] u32),
    /// Asks the receiver to ping a third node and to pass its ack on.
    PingReq {
        #[serde(with = "postcard::fixint::le")]
        number: u32,
        target: NodeId,
        addr: Addr,
    },
    /// Asks to be taken into the swarm.
    Join(#[serde(borrow)] MemberItem<'a>),
    /// A member is alive.
    Alive(#[serde(borrow)] MemberItem<'a>),
    /// `by` could not reach a member.
    Suspect(Accusation),
    /// A suspected member did not refute in time.
    Dead(Accusation),
    /// A member said farewell.
    Left { id: NodeId, incarnation: u32 },
    /// One version of an entry.
    Entry(#[serde(borrow)] EntryItem<'a>),
    /// The sender holds this version of an entry; who lacks it asks with `Want`.
    Offer {
        key: [u8; 12],
        #[serde(with = "postcard::fixint::le")]
        digest: u32,
    },
    /// Asks for an entry.
    Want { key: [u8; 12] },
    /// A digest of a whole table, to be compared.
    Root {
        table: Table,
        #[serde(with = "postcard::fixint::le")]
        digest: u64,
    },
    /// Digests of the sixteen parts of one part of a table.
    Digests(#[serde(borrow)] Digests<'a>),
    /// Digests of every item in one part of a table; `last` when no list is wanted in return.
    Items {
        table: Table,
        prefix: &'a [u8],
        prefix_len: u8,
        #[serde(with = "postcard::fixint::le")]
        salt: u32,
        last: bool,
        digests: &'a [u8],
    },
}

/// What a node says of a member: all there is to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberItem<'a> {
    pub(crate) id: NodeId,
    pub(crate) incarnation: u32,
    pub(crate) addr: Addr,
    pub(crate) tags_version: u32,
    pub(crate) tags: &'a [u8],
}

/// Who is accused, in which incarnation, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Accusation {
    pub(crate) id: NodeId,
    pub(crate) incarnation: u32,
    pub(crate) by: NodeId,
}

/// Which table a summary is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Table {
    Members,
    Entries,
}

/// The sixteen children of one prefix: which exist, and four bytes of salted digest for each that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Digests<'a> {
    pub(crate) table: Table,
    pub(crate) prefix: &'a [u8],
    pub(crate) prefix_len: u8,
    #[serde(with = "postcard::fixint::le")]
    pub(crate) salt: u32,
    #[serde(with = "postcard::fixint::le")]
    pub(crate) present: u16,
    pub(crate) digests: &'a [u8],
}

/// Who wrote a value, when, and what else the writer held then (rule R1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VersionId {
    #[serde(with = "postcard::fixint::le")]
    pub(crate) stamp: u64,
    #[serde(with = "postcard::fixint::le")]
    pub(crate) writer: u64,
    pub(crate) context: Context,
}

/// The newest stamps of at most three other writers that a writer held.
pub(crate) type Context = heapless::Vec<Seen, 3>;

/// A writer, and the newest of its stamps that was held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    #[serde(with = "postcard::fixint::le")]
    pub(crate) writer: u64,
    #[serde(with = "postcard::fixint::le")]
    pub(crate) stamp: u64,
}

/// One version of an entry: siblings travel one by one, since merging is per version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EntryItem<'a> {
    pub(crate) kind: u8,
    pub(crate) key: &'a [u8],
    pub(crate) version: VersionId,
    /// `None` is a tombstone.
    #[serde(borrow)]
    pub(crate) value: Option<&'a [u8]>,
}
