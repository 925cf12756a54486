//! Scopes: which part of the entries and messages a node wants, and which part two nodes have in common.
//!
//! Knows: topics by their hashes, a ceiling for each (rule R6), and what the tree holds below them. Does not know: names
//! of topics, nor whose scope it is.
//! When full: a scope lists eight topics, what two nodes share sixteen; a further topic is refused where it is asked for.
//!
//! A ceiling cuts a topic by the hash of its keys, in parts of a 32nd: so a node that has no room for all of a topic wants
//! the same part as any other with that ceiling, and two nodes share what lies below the lower one. Messages are wanted
//! wherever the ceiling is not 0.

use crate::slab::index::{Cells, Index, Key, Prefix, Sum};

/// What a node wants: some topics up to a ceiling and, if it says so, whatever is not listed. One that cannot list any
/// wants all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope<const LEN: usize = { if POSSIBLE { 2 * TOPICS_MAX } else { TOPICS_MAX } }> {
    /// Whether topics that are not listed are wanted.
    rest: bool,
    parts: heapless::Vec<Part, LEN>,
}

/// What this node wants: all, where interest is left out.
pub(crate) type OwnScope = Scope<{ if POSSIBLE { TOPICS_MAX } else { 0 } }>;

/// Whether this node can want less than all. What others want it heeds in any case.
pub(crate) const POSSIBLE: bool = cfg!(feature = "interest");

/// One topic, wanted as far as the first five bits of a key's hash are less than its ceiling: 32 is all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    topic: u32,
    ceiling: u8,
}

impl Default for Scope {
    fn default() -> Self {
        Self::ALL
    }
}

impl<const LEN: usize> Scope<LEN> {
    /// Everything.
    pub(crate) const ALL: Self = Self { rest: true, parts: heapless::Vec::new() };

    /// These topics alone; `None` if they are too many.
    pub(crate) fn of_topics(topics: impl IntoIterator<Item = u32>) -> Option<Self> {
        let mut scope = Self { rest: false, parts: heapless::Vec::new() };
        for topic in topics {
            scope.set(topic, CEILING_MAX)?;
        }
        Some(scope)
    }

    pub(crate) fn is_all(&self) -> bool {
        LEN == 0 || self.rest && self.parts.is_empty()
    }

    pub(crate) fn wants(&self, key: Key) -> bool {
        LEN == 0 || key.key() >> CEILING_SHIFT < self.ceiling(key.topic()).into()
    }

    /// How far a topic is wanted, in 32nds.
    pub(crate) fn ceiling(&self, topic: u32) -> u8 {
        let part = self.parts.iter().find(|part| part.topic == topic);
        part.map_or(self.usual(), |part| part.ceiling)
    }

    /// The ceiling of what is not listed.
    fn usual(&self) -> u8 {
        if self.rest { CEILING_MAX } else { 0 }
    }

    /// Lists no topic that is like those not listed.
    fn tidy(&mut self) {
        let usual = self.usual();
        self.parts.retain(|part| part.ceiling != usual);
    }

    /// Whether messages of a topic are wanted: of those there are no parts.
    pub(crate) fn wants_topic(&self, topic: u32) -> bool {
        LEN == 0 || self.ceiling(topic) > 0
    }

    /// Gives a topic another ceiling; `None`, and nothing changed, when no more can be listed.
    pub(crate) fn set(&mut self, topic: u32, ceiling: u8) -> Option<()> {
        if let Some(part) = self.parts.iter_mut().find(|part| part.topic == topic) {
            part.ceiling = ceiling;
            self.tidy();
            return Some(());
        }
        if self.ceiling(topic) == ceiling {
            return Some(());
        }
        if self.parts.len() >= TOPICS_MAX.min(LEN) { None } else { self.parts.push(Part { topic, ceiling }).ok() }
    }

    /// The topic with the lowest ceiling of those that are cut, and its ceiling.
    pub(crate) fn lowest(&self) -> Option<(u32, u8)> {
        let cut = self.parts.iter().filter(|part| part.ceiling < CEILING_MAX);
        cut.min_by_key(|part| part.ceiling).map(|part| (part.topic, part.ceiling))
    }

    /// The same for messages: all of a topic, or nothing of it.
    pub(crate) fn widen(&mut self) {
        if cfg!(feature = "messages") {
            self.parts.iter_mut().filter(|part| part.ceiling > 0).for_each(|part| part.ceiling = CEILING_MAX);
        }
    }

    /// Leaves of another scope what this one wants, too.
    pub(crate) fn narrow(&self, other: &mut Scope) {
        if LEN == 0 {
            return;
        }
        for part in &mut other.parts {
            part.ceiling = part.ceiling.min(self.ceiling(part.topic));
        }
        let unlisted = other.usual();
        for part in &self.parts {
            if !other.parts.iter().any(|listed| listed.topic == part.topic) {
                // There is room: each lists half as many at most.
                let _ = other.parts.push(Part { ceiling: part.ceiling.min(unlisted), ..*part });
            }
        }
        other.rest &= self.rest;
        other.tidy();
    }

    /// What the counted items that are wanted under `prefix` add up to.
    pub(crate) fn sum(&self, index: &Index, cells: &Cells<'_>, prefix: Prefix) -> Sum {
        let here = |part: &&Part| {
            let whole = Prefix::of(Key::new(part.topic, 0), TOPIC_BITS);
            meet(whole, prefix).is_some()
        };
        let mut total = if self.rest { index.sum(cells, prefix) } else { Sum::default() };
        for part in self.parts.iter().filter(here) {
            if self.rest {
                total = total - part.below(CEILING_MAX, index, cells, prefix);
            }
            total = total + part.below(part.ceiling, index, cells, prefix);
        }
        total
    }

    /// The least key at or after `from` that is wanted.
    pub(crate) fn next(&self, from: Key) -> Option<Key> {
        let mut at = from;
        // Each listed topic is left behind once, and so is the rest.
        for _ in 0..=2 * TOPICS_MAX + 1 {
            if self.wants(at) {
                return Some(at);
            }
            let after = at.topic().checked_add(1)?;
            at = if self.rest {
                Key::new(after, 0)
            } else {
                let next = self.parts.iter().filter(|part| part.topic >= after && part.ceiling > 0);
                Key::new(next.map(|part| part.topic).min()?, 0)
            };
        }
        None
    }

    /// As bytes: whether the rest is wanted, then four bytes of topic and one of ceiling for each.
    pub(crate) fn to_bytes(&self) -> heapless::Vec<u8, SCOPE_LEN_MAX> {
        let mut bytes = heapless::Vec::new();
        let _ = bytes.push(u8::from(self.rest));
        for part in &self.parts {
            let _ = bytes.extend_from_slice(&part.topic.to_le_bytes());
            let _ = bytes.push(part.ceiling);
        }
        bytes
    }

    /// How many bytes that is.
    pub(crate) fn bytes_len(&self) -> usize {
        1 + PART_LEN * self.parts.len()
    }

    /// Makes all into what another node said; more topics than a scope lists are ignored.
    #[inline(never)]
    pub(crate) fn cut(&mut self, said: &[u8]) {
        let Some((&rest, mut parts)) = said.split_first() else { return };
        self.rest = rest != 0;
        for _ in 0..TOPICS_MAX {
            let Some((&[a, b, c, d, ceiling], after)) = parts.split_first_chunk() else { break };
            let _ = self.set(u32::from_le_bytes([a, b, c, d]), ceiling.min(CEILING_MAX));
            parts = after;
        }
    }
}

impl Part {
    /// What the counted items of the topic below a ceiling add up to, as far as they are under `prefix`.
    fn below(&self, ceiling: u8, index: &Index, cells: &Cells<'_>, prefix: Prefix) -> Sum {
        let mut total = Sum::default();
        // A number of 32nds is a sum of powers of two: for each, all keys that begin with certain bits.
        for bits in 0..=CEILING_BITS {
            let size = CEILING_MAX >> bits;
            if ceiling & size != 0 {
                let start = u64::from(ceiling & !(2 * size - 1));
                let key = Key::new(self.topic, start.checked_shl(CEILING_SHIFT).unwrap_or(0));
                if let Some(both) = meet(Prefix::of(key, TOPIC_BITS + bits), prefix) {
                    total = total + index.sum(cells, both);
                }
            }
        }
        total
    }
}

/// What is under both prefixes: one of them, if anything.
fn meet(a: Prefix, b: Prefix) -> Option<Prefix> {
    let (wide, narrow) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    wide.contains(narrow.first()).then_some(narrow)
}

/// How many topics a scope lists.
pub(crate) const TOPICS_MAX: usize = 8;
/// The longest scope as bytes.
pub(crate) const SCOPE_LEN_MAX: usize = 1 + PART_LEN * TOPICS_MAX;
/// Topic and ceiling.
const PART_LEN: usize = 5;
/// All of a topic: rule R6 counts in 32nds.
pub(crate) const CEILING_MAX: u8 = 1 << CEILING_BITS;
const CEILING_BITS: u8 = 5;
/// What of a key's hash is above the bits that ceilings look at.
const CEILING_SHIFT: u32 = 64 - CEILING_BITS as u32;
/// How much of a place in the index is the topic's.
const TOPIC_BITS: u8 = 32;

#[cfg(test)]
mod tests;
