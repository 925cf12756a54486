//! What the application sees of an entry.
//!
//! Knows: kinds, and how to read a record. Does not know: the table, nor who else has the entry.

use core::time::Duration;

use super::record::{Record, Versions};
use super::version::Version;
use super::{counter, join, parts};

/// How concurrent writes of an entry are merged.
///
/// Counters, `Max`, `Min` and `App` are of feature `kinds`, siblings and sets of feature `siblings`: a node without them
/// refuses such entries, written or heard, counted, and never agrees with those that hold some.
///
/// A key keeps its kind. A register and siblings may follow each other once the entry is deleted; between them and the
/// kinds that join, the key has to be forgotten first. Where writers disagree, the kind further down this list wins
/// everywhere, and the loss of the other is a conflict. Counters and sets have names of their own: an entry, a counter
/// and a set may have the same key, and know nothing of each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Kind {
    /// One value: the newest wins everywhere; a value that is lost unseen is reported as a conflict.
    #[default]
    Register,
    /// Up to four concurrent values, all readable until a later write resolves them.
    ///
    /// A write resolves the three newest values of other writers at least. When four are held it takes a second write to
    /// resolve the fourth, since a version says of three writers only what its own writer had seen.
    Siblings,
    /// The greatest value that was written, compared byte by byte: write numbers with their most significant byte first,
    /// all of one length. A delete wins over what was written meanwhile, which is a conflict; what is written upon the
    /// delete begins anew.
    Max,
    /// The least value that was written; else as [`Kind::Max`].
    Min,
    /// A sum of what all lives of all nodes added: [`Node::counter_add`](crate::Node::counter_add).
    Counter,
    /// A set of byte strings, of which an add wins over a concurrent remove: [`Node::set_add`](crate::Node::set_add).
    Set,
    /// What [`Config::merge`](crate::Config::merge) makes of two values, for a number of 0 to [`Kind::APP_MAX`]. Deletes
    /// as of [`Kind::Max`].
    App(u8),
}

impl Kind {
    /// The greatest number of an application's kind.
    pub const APP_MAX: u8 = 7;

    pub(super) const fn to_wire(self) -> u8 {
        match self {
            Self::Register => 0,
            Self::Siblings => 1,
            Self::Max => 2,
            Self::Min => 3,
            Self::Counter => 4,
            Self::Set => 5,
            Self::App(n) => APP + if n < Self::APP_MAX { n } else { Self::APP_MAX },
        }
    }

    pub(crate) const fn from_wire(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Register),
            1 => Some(Self::Siblings),
            2 => Some(Self::Max),
            3 => Some(Self::Min),
            4 => Some(Self::Counter),
            5 => Some(Self::Set),
            APP..=15 => Some(Self::App(byte - APP)),
            _ => None,
        }
    }

    /// Which of two kinds that do not merge wins: the greater. Register and siblings merge.
    pub(super) const fn rank(self) -> u8 {
        match self {
            Self::Register => Self::Siblings.to_wire(),
            other => other.to_wire(),
        }
    }

    /// Whether two values make one, so that one version is all there is to hold.
    pub(super) const fn is_joining(self) -> bool {
        matches!(self, Self::Max | Self::Min | Self::Counter | Self::App(_))
    }

    /// The same of entries that may be held: of none where such kinds are left out.
    pub(super) const fn joins(self) -> bool {
        join::POSSIBLE && self.is_joining()
    }

    /// Whether its values are parts of a counter.
    pub(super) const fn counts(self) -> bool {
        self.joins() && matches!(self, Self::Counter)
    }

    /// Whether an entry of this kind is one of many under one name.
    pub(crate) const fn is_part(self) -> bool {
        matches!(self, Self::Counter | Self::Set)
    }
}

/// How to write an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct PutOptions {
    /// How concurrent writes merge. An entry keeps its kind until it is deleted.
    pub kind: Kind,
    /// Whether to send the news whole, at once and to more members than usual.
    pub urgent: bool,
    /// For how long the value lives, in whole seconds, rounded up: 1 s to [`Node::TTL_MAX`](crate::Node::TTL_MAX). `None`:
    /// until it is deleted. Every node forgets it at the same time, by its own clock and without a word. Values that join
    /// have none: a join of two would have the end of neither.
    pub ttl: Option<Duration>,
}

impl PutOptions {
    /// The default: a register, not urgent.
    #[must_use]
    pub const fn new() -> Self {
        Self { kind: Kind::Register, urgent: false, ttl: None }
    }

    /// With this kind.
    #[must_use]
    pub const fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Living for this long.
    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Sent whole and at once.
    #[must_use]
    pub const fn urgent(mut self) -> Self {
        self.urgent = true;
        self
    }
}

/// How to publish a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct PublishOptions {
    /// How long the message lives: 1 ms to 24 h. Until then it reaches those who were away and those who join; afterwards
    /// nobody. Too short, and what rumors miss is not repaired in time (some seconds at 30 % loss); too long, and it takes
    /// room in every node. Default 60 s: a guess.
    pub ttl: Duration,
    /// Whether every node passes it on at once, and not with its next round; it goes before other news.
    pub urgent: bool,
}

impl PublishOptions {
    /// The default: 60 s, not urgent.
    #[must_use]
    pub const fn new() -> Self {
        Self { ttl: Duration::from_secs(60), urgent: false }
    }

    /// With this lifetime.
    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Sent at once.
    #[must_use]
    pub const fn urgent(mut self) -> Self {
        self.urgent = true;
        self
    }
}

impl Default for PublishOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// An entry that has at least one value, as this node holds it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    record: Record<'a>,
    /// What has ended by this second is not shown.
    now: u32,
}

/// One value of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Value<'a> {
    /// The value itself.
    pub bytes: &'a [u8],
    /// When it was written, on the swarm's hybrid clock: µs since 1970 where some node knows the time.
    pub stamp: u64,
    /// The life of the node that wrote it: new with each start of a node. 0 where values join: it may be many.
    pub writer: u64,
    /// When it ends, in seconds since 1970; `None`: when it is deleted.
    pub ends: Option<u32>,
}

impl<'a> Entry<'a> {
    /// The entry of a record; `None` when it has no value: it is deleted, or has ended.
    pub(super) fn of(record: Record<'a>, now: u32) -> Option<Self> {
        let entry = Self { record, now };
        entry.values().next().map(|_| entry)
    }

    /// The key; of an element of a set or a part of a counter, the key of the set or counter.
    #[must_use]
    pub fn key(&self) -> &'a [u8] {
        self.name().0
    }

    /// The element, of a set; of a counter, eight bytes that tell its parts apart. Else empty.
    #[must_use]
    pub fn part(&self) -> &'a [u8] {
        self.name().1
    }

    /// What this part of a counter adds to it; 0 for other kinds.
    #[must_use]
    pub fn count(&self) -> i128 {
        if self.kind().counts() { counter::sum(self.value()) } else { 0 }
    }

    fn name(&self) -> (&'a [u8], &'a [u8]) {
        parts::split(self.kind(), self.record.key()).unwrap_or_default()
    }

    /// How concurrent writes merge.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.record.kind()
    }

    /// The newest value.
    #[must_use]
    pub fn value(&self) -> &'a [u8] {
        self.values().next().map_or(&[], |value| value.bytes)
    }

    /// How many concurrent values there are beside the newest. Writing upon them resolves them.
    #[must_use]
    pub fn siblings(&self) -> usize {
        self.values().skip(1).count()
    }

    /// All values, newest first: one, or up to four siblings.
    pub fn values(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        Values { kind: self.record.kind(), versions: self.record.versions(), now: self.now }
    }
}

/// The values among the versions. A version of another kind than the newest has lost, and is held for merging alone.
struct Values<'a> {
    kind: Kind,
    versions: Versions<'a>,
    now: u32,
}

impl<'a> Iterator for Values<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let (kind, now) = (self.kind, self.now);
        self.versions.find_map(|version| match version {
            // A part of a counter that is all taken back is as good as deleted.
            Version { value: Some(bytes), .. } if kind.counts() && counter::is_reset(bytes) => None,
            Version { value: Some(bytes), stamp, writer, ttl, .. } if version.kind == kind && version.lives(now) => {
                let writer = if kind.joins() { 0 } else { writer };
                Some(Value { bytes, stamp, writer, ends: (ttl > 0).then(|| version.until()) })
            }
            _ => None,
        })
    }
}

/// The kinds of applications follow those that are built in.
const APP: u8 = 8;
