//! Every message, as it is decoded and as it is encoded. Variants are only appended; a changed field is a new version.

use core::fmt;

use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::fixed;
use crate::addr::{Addr, NodeId};
use crate::slab::index::{Key, Prefix};
use crate::slab::sketch::{self, CELL_LEN, ESTIMATE_LEN};

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
        key: Key,
        #[serde(with = "postcard::fixint::le")]
        digest: u32,
    },
    /// Asks for an entry.
    Want(Key),
    /// A digest of a whole table, to be compared.
    Root {
        table: Table,
        #[serde(with = "postcard::fixint::le")]
        digest: u32,
    },
    /// Digests of the sixteen parts of one part of a table.
    Digests(#[serde(borrow)] Digests<'a>),
    /// Digests of every item in one part of a table.
    Items(#[serde(borrow)] Items<'a>),
    /// What follows in this datagram are copies that a comparison showed to be missing, not news to pass on.
    Copies,
    /// Answers a ping-req: the target has not answered the relay so far.
    Nack(#[serde(with = "postcard::fixint::le")] u32),
    /// The receiver, whom the sender cannot reach where it said it is, sends from this address.
    Seen(Addr),
    /// A whole datagram for `to`, closed by its own sender and bound to `to`: who is not `to` passes it on, once.
    Forward { to: NodeId, payload: &'a [u8] },
    /// Whether the receiver holds this version or something newer: who does not asks for it with `Want`.
    Ask {
        key: Key,
        #[serde(with = "postcard::fixint::le")]
        stamp: u64,
        #[serde(with = "postcard::fixint::le")]
        writer: u64,
        #[serde(with = "postcard::fixint::le")]
        number: u32,
    },
    /// The answer of one who does.
    Held(#[serde(with = "postcard::fixint::le")] u32),
    /// What the sender takes the time to be, in µs since 1970, and up to which second tombstones are collected (rule R3);
    /// and whether the sender has been level with most others since then.
    Floor {
        #[serde(with = "postcard::fixint::le")]
        clock: u64,
        #[serde(with = "postcard::fixint::le")]
        floor: u32,
        level: bool,
    },
    /// A message of the application, whole.
    Publication(#[serde(borrow)] Publication<'a>),
    /// What the sender has seen of 64 messages, and which of them it holds.
    Window(WindowItem),
    /// Asks for some of 32 messages.
    Missing(Missing),
    /// The entry at this place has a stamp too far ahead of the sender's clock, which shows this.
    Ahead {
        key: Key,
        #[serde(with = "postcard::fixint::le")]
        now: u64,
    },
    /// The sender holds all of a version that does not fit in a datagram; who lacks it asks with `Pull`.
    Large(Large),
    /// Asks for some units of the large version with this short digest.
    Pull {
        key: Key,
        #[serde(with = "postcard::fixint::le")]
        digest: u32,
        from: u16,
        end: u16,
    },
    /// Bytes of the large version with this short digest, from a unit on.
    Chunk {
        #[serde(with = "postcard::fixint::le")]
        digest: u32,
        from: u16,
        bytes: &'a [u8],
    },
    /// A step of comparing the tables of entries by sketches.
    Sketch(#[serde(borrow)] Sketch<'a>),
    /// A step of catching up.
    CatchUp(#[serde(borrow)] CatchUp<'a>),
    /// What a part says that this build lacks, read past; never written.
    #[serde(skip)]
    Lacking,
}

/// A step of comparing by sketches. Of a key, these speak of the first 38 bits: 14 of its topic, 24 of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Sketch<'a> {
    /// How many entries the sender has, the first cell of its sketch, and bits of others to tell how many differ.
    Ask {
        count: u32,
        #[serde(with = "fixed")]
        cell: [u8; CELL_LEN],
        #[serde(with = "fixed")]
        estimate: [u8; ESTIMATE_LEN],
    },
    /// Cells of the sender's sketch, from the first of these on; `end` is where it will stop.
    Cells {
        first: u16,
        end: u16,
        #[serde(borrow)]
        cells: Many<'a, CELL_LEN>,
    },
    /// Asks for cells; for none, to hear whether the roots are equal by now: if they are not, there is no answer.
    More { first: u16, end: u16 },
    /// Asks for all entries with these keys, three bytes each besides those of the topic.
    Want {
        #[serde(with = "postcard::fixint::le")]
        topic: u16,
        #[serde(borrow)]
        keys: Many<'a, KEY_LEN>,
    },
    /// What the sender has of these keys, found to differ before: three bytes of each, and two of a mark of its items, 0 for none.
    /// Who has others sends them or asks, and says first which they are.
    Have {
        #[serde(with = "postcard::fixint::le")]
        topic: u16,
        #[serde(borrow)]
        keys: Many<'a, MARKED_LEN>,
    },
    /// Answers that: from the first to the last of its keys, these still differ, and no other.
    Differ {
        #[serde(with = "postcard::fixint::le")]
        topic: u16,
        first: u32,
        last: u32,
        #[serde(borrow)]
        keys: Many<'a, KEY_LEN>,
    },
    /// Asks for the total, once all else was told.
    AskTotal,
    /// The sums over all entries of a wide weight and of that × key.
    Total {
        #[serde(with = "postcard::fixint::le")]
        weight: u64,
        #[serde(with = "postcard::fixint::le")]
        product: u64,
    },
}

/// A step of catching up: who holds next to nothing fetches all, part by part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CatchUp<'a> {
    /// Asks which parts there are, and for so many datagrams of each of the first sixteen, with tags from `tag` on; but not
    /// for the topic `skip`, unless that is 0.
    Begin {
        datagrams: u8,
        tag: u8,
        #[serde(with = "postcard::fixint::le")]
        skip: u32,
    },
    /// How many entries the sender has, and parts that hold about as many each: for each its length in bits, and as many
    /// bytes as hold them.
    Parts { count: u32, parts: &'a [u8] },
    /// Asks for all entries from `at` on that share its first `depth` bits, in at most so many datagrams; but not for those
    /// of the topic `skip`, unless that is 0.
    Fetch {
        at: Key,
        depth: u8,
        tag: u16,
        datagrams: u8,
        #[serde(with = "postcard::fixint::le")]
        skip: u32,
    },
    /// The entries of this datagram answer the question with this tag; so many more datagrams of the answer follow, from
    /// `next` on, or from there on there is nothing.
    Run { tag: u16, left: u8, next: Option<Key> },
}

/// Numbers of so many bytes each, least significant first: as they came, or as they are held, so that they need no room of
/// their own on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Many<'a, const LEN: usize> {
    Wire(&'a [u8]),
    Held(&'a [u64]),
}

impl<'a> Many<'a, CELL_LEN> {
    pub(crate) fn iter(self) -> impl Iterator<Item = sketch::Cell> + use<'a> {
        let (wire, held): (&[u8], &[_]) = match self {
            Self::Wire(bytes) => (bytes, &[]),
            Self::Held(cells) => (&[], cells),
        };
        let wire = wire.chunks_exact(CELL_LEN).filter_map(|chunk| chunk.try_into().ok());
        wire.map(sketch::Cell::from_le_bytes).chain(held.iter().copied())
    }
}

impl<const LEN: usize> Serialize for Many<'_, LEN> {
    /// What postcard writes of a slice of bytes: its length, and each.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let held = match self {
            Self::Wire(bytes) => return bytes.serialize(serializer),
            Self::Held(held) => held,
        };
        let mut seq = serializer.serialize_seq(Some(held.len() * LEN))?;
        for number in *held {
            for byte in number.to_le_bytes().iter().take(LEN) {
                seq.serialize_element(byte)?;
            }
        }
        seq.end()
    }
}

impl<'de: 'a, 'a, const LEN: usize> Deserialize<'de> for Many<'a, LEN> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'de [u8]>::deserialize(deserializer).map(Self::Wire)
    }
}

/// The bytes of a key's own in [`Sketch::Want`].
pub(crate) const KEY_LEN: usize = 3;
/// The same with a mark, in [`Sketch::Have`].
pub(crate) const MARKED_LEN: usize = 5;

/// What a node says of a member: all there is to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberItem<'a> {
    pub(crate) id: NodeId,
    pub(crate) incarnation: u32,
    pub(crate) addr: Addr,
    pub(crate) tags_version: u32,
    /// For how many more ticks of 2^16 µs it sleeps; 0 while it is awake. What is left, and not when it ends, since
    /// clocks differ; `tags_version` counts its announcements too.
    pub(crate) asleep: u32,
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
    Messages,
}

impl Table {
    pub(crate) const ALL: [Self; 3] = [Self::Members, Self::Entries, Self::Messages];
}

/// The sixteen parts of one part of a table: which exist, and two bytes of salted digest for each that does.
///
/// The sender holds nothing under the first `from` bits of `prefix` that is not under all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Digests<'a> {
    pub(crate) table: Table,
    pub(crate) from: u8,
    pub(crate) prefix: Prefix,
    pub(crate) salt: u8,
    /// A bit for each of the sixteen parts that holds nothing: of a large table none does.
    pub(crate) absent: u16,
    pub(crate) digests: &'a [u8],
}

/// Every item under a prefix: two bytes of salted digest for each, in the order of their keys. Or the answer to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Items<'a> {
    pub(crate) table: Table,
    pub(crate) prefix: Prefix,
    pub(crate) salt: u8,
    /// Zero with a list. Else it is the answer to one, and has the digests of those that are lacking: 1, or 2 where there
    /// are others, so that what is lacking may be there, but older.
    pub(crate) answer: u8,
    pub(crate) digests: &'a [u8],
}

/// The bytes of an item in a list.
pub(crate) const ITEM_LEN: usize = 2;

/// A message of the application, with its name: who published it, and its number there (rule R5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Publication<'a> {
    #[serde(with = "postcard::fixint::le")]
    pub(crate) origin: u64,
    pub(crate) sequence: u32,
    /// When it was published.
    #[serde(with = "postcard::fixint::le")]
    pub(crate) stamp: u64,
    /// For how many milliseconds it lives.
    pub(crate) ttl: u32,
    /// Whether it goes out at once everywhere.
    pub(crate) urgent: bool,
    pub(crate) topic: &'a [u8],
    pub(crate) bytes: &'a [u8],
}

/// What one node knows of 64 messages of one origin and topic; the bit of a message is the low six bits of its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WindowItem {
    /// The hash of their topic, as far as the first `/`.
    #[serde(with = "postcard::fixint::le")]
    pub(crate) topic: u32,
    #[serde(with = "postcard::fixint::le")]
    pub(crate) origin: u64,
    /// The number of the first of the 64.
    pub(crate) base: u32,
    /// Which were seen by the sender, or are over.
    pub(crate) seen: Bits,
    /// Which of these the sender cannot send.
    pub(crate) gone: Bits,
    /// When all of them are over and the window is dropped: in 16 s since 1970.
    #[serde(with = "postcard::fixint::le")]
    pub(crate) until: u32,
    /// Whether those that were seen and are not held have outlived their time: nobody has them.
    pub(crate) settled: bool,
}

/// 64 bits, of which the first are more often set than the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bits {
    pub(super) low: u32,
    pub(super) high: u32,
}

/// The question for messages of one origin: those of the 32 from `base` on whose bits are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Missing {
    #[serde(with = "postcard::fixint::le")]
    pub(crate) origin: u64,
    pub(crate) base: u32,
    #[serde(with = "postcard::fixint::le")]
    pub(crate) wanted: u32,
}

impl MemberItem<'_> {
    /// Nobody.
    pub(crate) const EMPTY: Self =
        Self { id: NodeId(0), incarnation: 0, addr: Addr::NONE, tags_version: 0, asleep: 0, tags: &[] };
}

impl Bits {
    pub(crate) const fn of(bits: u64) -> Self {
        Self { low: bits as u32, high: (bits >> 32) as u32 }
    }

    pub(crate) fn get(self) -> u64 {
        u64::from(self.low) | u64::from(self.high) << 32
    }
}

impl WindowItem {
    /// Which the sender can send.
    pub(crate) fn held(&self) -> u64 {
        self.seen.get() & !self.gone.get()
    }
}

impl Message<'_> {
    /// What postcard cannot check.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(super) fn is_well_formed(&self) -> bool {
        match self {
            Self::Join(item) | Self::Alive(item) => !item.addr.is_none(),
            Self::PingReq { addr, .. } | Self::Seen(addr) => !addr.is_none(),
            Self::Digests(d) => d.from <= d.prefix.len() && d.digests.len() == 2 * d.absent.count_zeros() as usize,
            Self::Items(items) => items.answer <= 2 && items.digests.len() % ITEM_LEN == 0,
            // What is read past says nothing.
            Self::Window(_) | Self::Missing(_) if !cfg!(feature = "messages") => true,
            Self::Window(window) => window.base % 64 == 0 && window.gone.get() & !window.seen.get() == 0,
            Self::Missing(missing) => missing.base % 32 == 0,
            Self::Pull { from, end, .. } => from < end,
            Self::Sketch(_) if !sketch::POSSIBLE => true,
            Self::CatchUp(_) if !cfg!(feature = "catchup") => true,
            Self::Sketch(Sketch::Cells { first, end, cells: Many::Wire(bytes) }) => {
                bytes.len() % CELL_LEN == 0 && usize::from(*first) + bytes.len() / CELL_LEN <= usize::from(*end)
            }
            Self::Sketch(Sketch::More { first, end }) => first <= end,
            Self::CatchUp(CatchUp::Fetch { depth, .. }) => *depth <= Key::BITS && depth % 4 == 0,
            Self::Sketch(Sketch::Want { keys, .. } | Sketch::Differ { keys, .. }) => match keys {
                Many::Wire(bytes) => bytes.len() % KEY_LEN == 0,
                Many::Held(_) => true,
            },
            Self::Sketch(Sketch::Have { keys: Many::Wire(bytes), .. }) => bytes.len() % MARKED_LEN == 0,
            _ => true,
        }
    }
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
    /// Twice the seconds from the stamp to the end: of the value; of a tombstone, to when it began to count for the floor.
    /// The lowest bit says that a tombstone stays in place of a value that ends. 0: it does not end.
    pub(crate) ttl: u32,
    /// `None` is a tombstone.
    #[serde(borrow)]
    pub(crate) value: Option<&'a [u8]>,
}

/// A version that is pulled in chunks: a record of this version alone, key and all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Large {
    /// The place of its entry.
    pub(crate) key: Key,
    #[serde(with = "postcard::fixint::le")]
    pub(crate) stamp: u64,
    #[serde(with = "postcard::fixint::le")]
    pub(crate) writer: u64,
    /// How long the record is.
    pub(crate) len: u32,
    /// The keyed hash of the record: whoever has all bytes can tell whether they are the right ones.
    #[serde(with = "fixed")]
    pub(crate) digest: [u8; 12],
}

impl Large {
    /// The bytes of the digest by which chunks and questions name the version.
    pub(crate) fn short(&self) -> u32 {
        let [a, b, c, d, ..] = self.digest;
        u32::from_le_bytes([a, b, c, d])
    }
}

/// Large versions are pulled in units of so many bytes: in the smallest datagram, of 128 bytes, there is room for one.
pub(crate) const UNIT: usize = 64;

// Fixed bytes, most significant first, so that a prefix is the front of a key.
impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fixed::serialize(&self.to_bytes(), serializer)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fixed::deserialize(deserializer).map(Self::from_bytes)
    }
}

// The length in bits, then as many bytes as hold them.
impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = self.first().to_bytes();
        let used = bytes.get(..usize::from(self.len().div_ceil(8))).unwrap_or(&bytes);
        (self.len(), used).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (len, used) = <(u8, &'de [u8])>::deserialize(deserializer)?;
        if len > Key::BITS || len % 4 != 0 || used.len() != usize::from(len.div_ceil(8)) {
            return Err(serde::de::Error::invalid_length(used.len(), &"a prefix of 0 to 96 bits"));
        }
        let mut bytes = [0; 12];
        bytes.iter_mut().zip(used).for_each(|(to, from)| *to = *from);
        Ok(Self::of(Key::from_bytes(bytes), len))
    }
}

impl fmt::Display for Message<'_> {
    /// Name and subject, for a trace that people read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ping(number) => write!(f, "ping {number:x}"),
            Self::Ack(number) => write!(f, "ack {number:x}"),
            Self::PingReq { target, .. } => write!(f, "ping-req {target}"),
            Self::Join(item) => write!(f, "join {}", item.id),
            Self::Alive(item) => write!(f, "alive {}.{}", item.id, item.incarnation),
            Self::Suspect(a) => write!(f, "suspect {}.{}", a.id, a.incarnation),
            Self::Dead(a) => write!(f, "dead {}.{}", a.id, a.incarnation),
            Self::Left { id, incarnation } => write!(f, "left {id}.{incarnation}"),
            Self::Entry(item) => match core::str::from_utf8(item.key) {
                Ok(key) => write!(f, "entry {key}@{}", item.version.stamp),
                Err(_) => write!(f, "entry of {} bytes", item.key.len()),
            },
            Self::Offer { digest, .. } => write!(f, "offer {digest:08x}"),
            Self::Want(key) => write!(f, "want {:x}", key.key()),
            Self::Root { table, .. } => write!(f, "root {table:?}"),
            Self::Digests(d) => write!(f, "digests {:?}/{} {:04x}", d.table, d.prefix.len(), !d.absent),
            Self::Items(i) if i.answer > 0 => write!(f, "lacks {:?}/{}", i.table, i.prefix.len()),
            Self::Items(i) => write!(f, "items {:?}/{} {}", i.table, i.prefix.len(), i.digests.len() / ITEM_LEN),
            Self::Copies => f.write_str("copies"),
            Self::Sketch(Sketch::AskTotal) => f.write_str("total?"),
            Self::Sketch(Sketch::Total { .. }) => f.write_str("total"),
            Self::Sketch(Sketch::Ask { count, .. }) => write!(f, "sketch of {count}"),
            Self::Sketch(Sketch::Cells { first, end, cells }) => {
                write!(f, "cells {first}..{} of {end}", usize::from(*first) + cells.iter().count())
            }
            Self::Sketch(Sketch::More { first, end }) => write!(f, "more cells {first}..{end}"),
            Self::Sketch(Sketch::Differ { keys, .. }) => match keys {
                Many::Wire(bytes) => write!(f, "differ {}", bytes.len() / KEY_LEN),
                Many::Held(keys) => write!(f, "differ {}", keys.len()),
            },
            Self::Sketch(Sketch::Want { keys, .. }) => match keys {
                Many::Wire(bytes) => write!(f, "wants {}", bytes.len() / KEY_LEN),
                Many::Held(keys) => write!(f, "wants {}", keys.len()),
            },
            Self::Sketch(Sketch::Have { keys, .. }) => match keys {
                Many::Wire(bytes) => write!(f, "has {}", bytes.len() / MARKED_LEN),
                Many::Held(keys) => write!(f, "has {}", keys.len()),
            },
            Self::CatchUp(CatchUp::Begin { .. }) => f.write_str("catch up"),
            Self::CatchUp(CatchUp::Parts { count, .. }) => write!(f, "parts of {count}"),
            Self::CatchUp(CatchUp::Fetch { depth, tag, datagrams, .. }) => {
                write!(f, "fetch {tag:04x}/{depth} in {datagrams}")
            }
            Self::CatchUp(CatchUp::Run { tag, left, .. }) => write!(f, "run {tag:04x}, {left} more"),
            Self::Lacking => f.write_str("lacking"),
            Self::Nack(number) => write!(f, "nack {number:x}"),
            Self::Seen(addr) => write!(f, "seen at {addr}"),
            Self::Ask { key, stamp, .. } => write!(f, "ask {:x}@{stamp}", key.key()),
            Self::Held(number) => write!(f, "held {number:x}"),
            Self::Floor { floor, .. } => write!(f, "floor {floor}"),
            Self::Ahead { key, .. } => write!(f, "ahead {:x}", key.key()),
            Self::Large(l) => write!(f, "large {:x}@{} {} B", l.key.key(), l.stamp, l.len),
            Self::Pull { digest, from, end, .. } => write!(f, "pull {digest:08x} {from}..{end}"),
            Self::Chunk { digest, from, bytes } => write!(f, "chunk {digest:08x} {from}+{} B", bytes.len()),
            Self::Forward { to, payload } => write!(f, "forward {} B to {to}", payload.len()),
            Self::Publication(p) => write!(f, "publication {:x}.{}", p.origin, p.sequence),
            Self::Window(w) => write!(f, "window {:x}.{} {:x}/{:x}", w.origin, w.base, w.held(), w.seen.get()),
            Self::Missing(m) => write!(f, "missing {:x}.{} {:x}", m.origin, m.base, m.wanted),
        }
    }
}
