//! What the application sees of an entry.
//!
//! Knows: kinds, and how to read a record. Does not know: the table, nor who else has the entry.

use super::record::{Record, Versions};
use super::version::Version;

/// How concurrent writes of an entry are merged.
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
}

impl Kind {
    pub(super) const fn to_wire(self) -> u8 {
        match self {
            Self::Register => 0,
            Self::Siblings => 1,
        }
    }

    pub(super) const fn from_wire(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Register),
            1 => Some(Self::Siblings),
            _ => None,
        }
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
}

impl PutOptions {
    /// The default: a register, not urgent.
    #[must_use]
    pub const fn new() -> Self {
        Self { kind: Kind::Register, urgent: false }
    }

    /// With this kind.
    #[must_use]
    pub const fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Sent whole and at once.
    #[must_use]
    pub const fn urgent(mut self) -> Self {
        self.urgent = true;
        self
    }
}

/// An entry that has at least one value, as this node holds it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a>(Record<'a>);

/// One value of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Value<'a> {
    /// The value itself.
    pub bytes: &'a [u8],
    /// When it was written, on the swarm's hybrid clock: µs since 1970 where some node knows the time.
    pub stamp: u64,
    /// The life of the node that wrote it: new with each start of a node.
    pub writer: u64,
}

impl<'a> Entry<'a> {
    /// The entry of a record; `None` when it has no value: it is deleted.
    pub(super) fn of(record: Record<'a>) -> Option<Self> {
        let entry = Self(record);
        entry.values().next().map(|_| entry)
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &'a [u8] {
        self.0.key()
    }

    /// How concurrent writes merge.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind()
    }

    /// The newest value.
    #[must_use]
    pub fn value(&self) -> &'a [u8] {
        self.values().next().map_or(&[], |value| value.bytes)
    }

    /// All values, newest first: one, or up to four siblings.
    pub fn values(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        Values { kind: self.0.kind(), versions: self.0.versions() }
    }
}

/// The values among the versions. A version of another kind than the newest has lost, and is held for merging alone.
struct Values<'a> {
    kind: Kind,
    versions: Versions<'a>,
}

impl<'a> Iterator for Values<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let kind = self.kind;
        self.versions.find_map(|version| match version {
            Version { value: Some(bytes), stamp, writer, .. } if version.kind == kind => {
                Some(Value { bytes, stamp, writer })
            }
            _ => None,
        })
    }
}
