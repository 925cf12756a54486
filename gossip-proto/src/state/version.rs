//! Versions: who wrote what, when, and what else the writer held then (rule R1).
//!
//! Knows: the order of versions, which covers which, and the context of a new one. Pure functions. Does not know: where
//! versions are kept.
//!
//! A context is handled as its bytes: 16 for each pair, writer then stamp, least significant byte first. A version that
//! lies in a record and one that came in are then the same thing, and nothing is copied to compare them.

use core::cmp::Ordering;

use super::entry::Kind;
use crate::divide::divide;
use crate::slab::word;
use crate::time::SECOND;
use crate::wire::{Context, Seen, VersionId};

/// A version that is borrowed from a record or from a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version<'r> {
    pub(super) kind: Kind,
    pub(super) stamp: u64,
    pub(super) writer: u64,
    /// The bytes of at most three pairs.
    pub(super) context: &'r [u8],
    /// As the wire has it.
    pub(super) ttl: u32,
    /// `None` is a tombstone.
    pub(super) value: Option<&'r [u8]>,
}

/// The bytes of a context that is not in a record yet.
#[derive(Clone, Debug)]
pub(super) struct ContextBytes {
    bytes: [u8; CONTEXT_MAX * PAIR_LEN],
    len: u8,
}

impl<'r> Version<'r> {
    /// Which of two versions is newer: what decides is the dot. Equal dots are one write, unless a writer is broken; then
    /// the rest decides, bytes by bytes, so that the order is total and all replicas agree.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(super) fn order(&self, other: &Version<'_>) -> Ordering {
        let dots = (self.stamp, self.writer).cmp(&(other.stamp, other.writer));
        let ends = |version: &Version<'_>| (version.kind.to_wire(), version.ttl);
        let (ours, theirs) = (ends(self), ends(other));
        dots.then_with(|| self.value.cmp(&other.value))
            .then(ours.0.cmp(&theirs.0))
            .then_with(|| self.context.cmp(other.context))
            .then(ours.1.cmp(&theirs.1))
    }

    /// The second, since 1970, at which a value ends; of a tombstone, that up to which the floor must come for it to go.
    pub(super) fn until(&self) -> u32 {
        match (self.value, self.ttl) {
            (Some(_), 0) => u32::MAX,
            _ => seconds(self.stamp).saturating_add(self.ttl >> 1),
        }
    }

    /// Whether a tombstone must stay when this value ends, since it replaces that one: a tombstone, a value that would end
    /// later, or one of which a tombstone would stay.
    pub(super) fn must_bury(&self, other: &Version<'_>) -> bool {
        let lasts = other.value.is_none() || other.ttl & 1 == 1 || other.until() > self.until();
        self.value.is_some() && self.ttl > 0 && self.ttl & 1 == 0 && lasts
    }

    /// Whether it is a value that has not ended.
    pub(super) fn lives(&self, now: u32) -> bool {
        self.value.is_some() && now < self.until()
    }

    /// Whether the writer of `other` had seen this version, or a later one of the same writer.
    pub(super) fn covered_by(&self, other: &Version<'_>) -> bool {
        other.writer == self.writer && other.stamp >= self.stamp
            || pairs(other.context).any(|seen| seen.writer == self.writer && seen.stamp >= self.stamp)
    }

    /// Whether the context is one that a writer can have had: of others, and all of it older than the write.
    ///
    /// A pair from the future would cover writes that nobody has seen, and so hide their loss.
    pub(super) fn is_sound(&self) -> bool {
        if self.kind.joins() {
            // Its pairs are of epochs that its own epoch ended.
            return self.writer <= self.stamp && pairs(self.context).all(|seen| seen.stamp < self.writer);
        }
        pairs(self.context).all(|seen| seen.stamp < self.stamp && seen.writer != self.writer)
    }

    /// The same as the wire has it.
    pub(super) fn id(&self) -> VersionId {
        VersionId { stamp: self.stamp, writer: self.writer, context: gather(self.context) }
    }
}

/// The context of what `writer` writes while it holds these versions.
///
/// Of each writer the newest stamp, its own left out; what is held itself before what that had seen, newest first. Any
/// choice of three would be sound, since a pair that is left out can only report a false conflict. This one makes a
/// write resolve the siblings that it was made upon: were older pairs in the contexts to displace them, a sibling could
/// stay for ever, and a deleted entry would not go.
pub(super) fn context<'r>(held: impl Iterator<Item = Version<'r>> + Clone, writer: u64) -> ContextBytes {
    let mut best = Context::new();
    for version in held.clone() {
        choose(&mut best, 0, writer, Seen { writer: version.writer, stamp: version.stamp });
    }
    let firm = best.len();
    for seen in held.flat_map(|version| pairs(version.context)) {
        choose(&mut best, firm, writer, seen);
    }
    ContextBytes::of(&best)
}

/// Takes a pair in if it is newer than what is held of its writer, or than the oldest pair beyond the first `firm`.
fn choose(best: &mut Context, firm: usize, own: u64, seen: Seen) {
    if seen.writer == own {
        return;
    }
    if let Some(same) = best.iter_mut().find(|pair| pair.writer == seen.writer) {
        same.stamp = same.stamp.max(seen.stamp);
    } else if let Err(seen) = best.push(seen) {
        match best.iter_mut().skip(firm).min_by_key(|pair| pair.stamp) {
            Some(oldest) if oldest.stamp < seen.stamp => *oldest = seen,
            _ => {}
        }
    }
}

impl ContextBytes {
    pub(super) fn of(context: &Context) -> Self {
        let mut all = Self { bytes: [0; CONTEXT_MAX * PAIR_LEN], len: 0 };
        for (to, seen) in all.bytes.chunks_exact_mut(PAIR_LEN).zip(context) {
            let (writer, stamp) = to.split_at_mut(PAIR_LEN / 2);
            writer.copy_from_slice(&seen.writer.to_le_bytes());
            stamp.copy_from_slice(&seen.stamp.to_le_bytes());
            all.len += PAIR_LEN as u8;
        }
        all
    }

    /// The bytes of a context that is in a record already.
    pub(super) fn copy(context: &[u8]) -> Self {
        Self::of(&gather(context))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

/// The pairs of a context.
pub(super) fn pairs(context: &[u8]) -> impl Iterator<Item = Seen> + Clone + use<'_> {
    let second = |pair: &[u8]| pair.get(PAIR_LEN / 2..).map_or(0, word);
    context.chunks_exact(PAIR_LEN).map(move |pair| Seen { writer: word(pair), stamp: second(pair) })
}

fn gather(context: &[u8]) -> Context {
    let mut all = Context::new();
    for seen in pairs(context) {
        // A record has no more pairs than that.
        let _ = all.push(seen);
    }
    all
}

/// A stamp as whole seconds, rounded up.
pub(super) fn seconds(stamp: u64) -> u32 {
    divide(stamp.saturating_add(u64::from(SECOND) - 1), SECOND).min(u32::MAX.into()) as u32
}

/// The most pairs that a context has.
pub(super) const CONTEXT_MAX: usize = 3;
/// The bytes of one pair.
pub(super) const PAIR_LEN: usize = 16;
