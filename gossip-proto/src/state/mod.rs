//! State: what the swarm shares.

use core::marker::PhantomData;

/// How concurrent writes of an entry are merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Kind {
    /// One value: the newest wins everywhere; a value that is lost unseen is reported as a conflict.
    #[default]
    Register,
    /// Up to four concurrent values, all readable until a later write resolves them.
    Siblings,
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
pub struct Entry<'a>(PhantomData<&'a ()>);

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
    /// The key.
    #[must_use]
    pub fn key(&self) -> &'a [u8] {
        unimplemented!()
    }

    /// How concurrent writes merge.
    #[must_use]
    pub fn kind(&self) -> Kind {
        unimplemented!()
    }

    /// The newest value.
    #[must_use]
    pub fn value(&self) -> &'a [u8] {
        unimplemented!()
    }

    /// All values, newest first: one, or up to four siblings.
    pub fn values(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        core::iter::empty()
    }
}
