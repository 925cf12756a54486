//! Comparing two trees of summaries through datagrams, one part at a time.
//!
//! Knows: how to digest a part of a tree with a salt, and what follows from the other's digests. Does not know: whose
//! they are. The salt makes a collision of short digests hide a difference once, not for ever.

use crate::config::SwarmKey;
use crate::hash::hash;
use crate::slab::index::{Cells, Index, Key, Prefix, Sum};
use crate::slab::scope::Scope;
use crate::slab::{NARROW, SCARCE};
use crate::wire::{Digests, ITEM_LEN, Items};

/// A table's index, to be compared.
#[derive(Clone, Debug)]
pub(crate) struct Tree<'t> {
    pub(crate) index: &'t Index,
    pub(crate) cells: &'t Cells<'t>,
    pub(crate) key: &'t SwarmKey,
    /// What is compared: what is beyond it might as well not be there.
    pub(crate) scope: Scope,
}

/// What a comparison found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// No difference.
    Equal,
    /// We hold items beside those that were compared: compare at this prefix, which holds both.
    Widen(Prefix),
    /// Of the sixteen parts, look closer at some, and send the whole of others, which the other lacks.
    Parts { closer: u16, send: u16 },
    /// By position: those of our items under the prefix that the other lacks, and those of its list that we lack.
    Items { send: u32, lack: u32 },
}

impl Tree<'_> {
    /// Digests of the sixteen parts under `prefix`: which there are, and two bytes each.
    pub(crate) fn digests(&self, prefix: Prefix, salt: u8) -> (u16, heapless::Vec<u8, 32>) {
        let (mut present, mut bytes) = (0, heapless::Vec::new());
        for (nibble, sum) in self.children(prefix).enumerate() {
            if sum.count > 0 && bytes.extend_from_slice(&(self.digest(&sum, salt) as u16).to_le_bytes()).is_ok() {
                present |= 1 << nibble;
            }
        }
        (present, bytes)
    }

    /// Digests of all items under `prefix`, in order; of the first [`ITEMS_MAX`] if there are more.
    pub(crate) fn items(&self, prefix: Prefix, salt: u8) -> heapless::Vec<u8, { ITEM_LEN * ITEMS_MAX }> {
        let mut bytes = heapless::Vec::new();
        for ix in self.walk(prefix) {
            if bytes.extend_from_slice(&self.item_digest(ix, salt)).is_err() {
                break;
            }
        }
        bytes
    }

    /// What follows from the other's digests of the parts under a prefix.
    pub(crate) fn compare_digests(&self, theirs: &Digests<'_>) -> Finding {
        let whole = Prefix::of(theirs.prefix.first(), theirs.from);
        let span = self.index.span(self.cells, whole).map_or(theirs.prefix, |span| span.common(theirs.prefix));
        if span.len() < theirs.prefix.len() {
            return Finding::Widen(span);
        }
        let (mut closer, mut send) = (0, 0);
        let mut digests = theirs.digests.chunks_exact(2);
        for (nibble, sum) in self.children(theirs.prefix).enumerate() {
            let part = 1 << nibble;
            match (theirs.absent & part == 0, sum.count > 0) {
                (false, false) => {}
                (false, true) => send |= part,
                (true, mine) => {
                    let same = digests.next() == Some(&(self.digest(&sum, theirs.salt) as u16).to_le_bytes());
                    if !mine || !same {
                        closer |= part;
                    }
                }
            }
        }
        if closer | send == 0 { Finding::Equal } else { Finding::Parts { closer, send } }
    }

    /// What follows from the other's list of all its items under a prefix, or of those that it lacks of ours.
    pub(crate) fn compare_items(&self, theirs: &Items<'_>) -> Finding {
        if self.count(theirs.prefix) > COPIES_MAX {
            return Finding::Widen(theirs.prefix);
        }
        let (mut send, mut met, mut bit, mut next) = (0, 0, 1u32, 0);
        for ix in self.walk(theirs.prefix) {
            // Both lists are in order; and of two bytes each, one of 65,536 is the same by chance.
            let mine = self.item_digest(ix, theirs.salt);
            let found = theirs.digests.chunks_exact(ITEM_LEN).skip(next).take(AHEAD_MAX).position(|item| item == mine);
            if found.is_some() == (theirs.answer > 0) {
                send |= bit;
            }
            if let Some(passed) = found {
                met |= 1u32.wrapping_shl((next + passed) as u32);
                next += passed + 1;
            }
            bit <<= 1;
        }
        let listed = 1u32.checked_shl((theirs.digests.len() / ITEM_LEN) as u32).unwrap_or(0).wrapping_sub(1);
        let lack = if theirs.answer > 0 { 0 } else { listed & !met };
        if send | lack == 0 { Finding::Equal } else { Finding::Items { send, lack } }
    }

    /// How many items there are under `prefix`.
    pub(crate) fn count(&self, prefix: Prefix) -> usize {
        self.sum(prefix).count as usize
    }

    /// What is under `prefix`.
    pub(crate) fn sum(&self, prefix: Prefix) -> Sum {
        if !NARROW && self.scope.is_all() {
            self.index.sum(self.cells, prefix)
        } else {
            self.scope.sum(self.index, self.cells, prefix)
        }
    }

    /// What each of the sixteen parts under `prefix` holds. With narrow links it is added up part by part, as it is asked for:
    /// together the sixteen would be the largest thing on a small stack.
    fn children(&self, prefix: Prefix) -> impl Iterator<Item = Sum> {
        let mut sums = heapless::Vec::<_, { if NARROW { 0 } else { PARTS } }>::new();
        if !NARROW && self.scope.is_all() {
            let _ = sums.extend_from_slice(&self.index.children(self.cells, prefix));
        }
        (0..PARTS).map(move |nth| sums.get(nth).copied().unwrap_or_else(|| self.sum(prefix.child(nth as u8))))
    }

    /// Where the items under `prefix` part: as long a prefix as they all share.
    pub(crate) fn span(&self, prefix: Prefix) -> Prefix {
        self.index.span(self.cells, prefix).unwrap_or(prefix)
    }

    /// Which of the sixteen parts under `prefix` hold anything.
    pub(crate) fn parts(&self, prefix: Prefix) -> u16 {
        self.children(prefix)
            .enumerate()
            .filter(|(_, sum)| sum.count > 0)
            .fold(0, |parts, (nibble, _)| parts | 1 << nibble)
    }

    /// The slots of the items under `prefix`, in the order of their keys.
    pub(crate) fn walk(&self, prefix: Prefix) -> impl Iterator<Item = usize> + '_ {
        let mut from = Some(prefix.first());
        core::iter::from_fn(move || {
            loop {
                let ix = self.reach(from?)?;
                let key = self.index.key(self.cells, ix);
                if !prefix.contains(key) {
                    return None;
                }
                from = key.successor();
                if self.index.counted(self.cells, ix) {
                    return Some(ix);
                }
            }
        })
    }

    /// The first item at or after `from` that is in scope, whether it counts or not.
    fn reach(&self, mut from: Key) -> Option<usize> {
        // What is not wanted is left behind topic by topic.
        for _ in 0..SEEK_MAX {
            let ix = self.index.ceiling(self.cells, self.scope.next(from)?)?;
            let key = self.index.key(self.cells, ix);
            if self.scope.wants(key) {
                return Some(ix);
            }
            from = key;
        }
        None
    }

    /// The first item at or after `from` that is under `prefix`, in one of these parts of it.
    pub(crate) fn seek(&self, prefix: Prefix, parts: u16, mut from: Key) -> Option<(usize, Key)> {
        // Each step finds an item, passes one that does not count, or leaves a part behind.
        for _ in 0..SEEK_MAX {
            let ix = self.reach(from)?;
            let key = self.index.key(self.cells, ix);
            if !prefix.contains(key) {
                return None;
            }
            let nibble = key.nibble(prefix.len());
            if parts & (1 << nibble) == 0 {
                from = prefix.child(nibble).last().successor()?;
            } else if self.index.counted(self.cells, ix) {
                return Some((ix, key));
            } else {
                from = key.successor()?;
            }
        }
        None
    }

    #[cfg_attr(target_os = "none", inline(never))]
    fn digest(&self, sum: &Sum, salt: u8) -> u32 {
        digest(self.key, sum, &[salt]) as u32
    }

    fn item_digest(&self, ix: usize, salt: u8) -> [u8; ITEM_LEN] {
        (self.digest(&Sum::of(Some(self.index.item(self.cells, ix))), salt) as u16).to_le_bytes()
    }
}

/// 64 bits over a whole table, the same on every node that holds the same. Salted by who says it: of two members, one may
/// tell by chance what differs as if it were equal, the other will not.
pub(crate) fn root_digest(key: &SwarmKey, sum: &Sum, salt: u64) -> u64 {
    digest(key, sum, &salt.to_le_bytes())
}

#[cfg_attr(target_os = "none", inline(never))]
fn digest(key: &SwarmKey, sum: &Sum, salt: &[u8]) -> u64 {
    hash(key.as_bytes(), &[&sum.sum.to_bytes(), &sum.count.to_le_bytes(), salt]).h1
}

/// Into how many parts a prefix is cut, by its next four bits.
const PARTS: usize = 16;
/// Up to how many items are listed one by one, two bytes each: as many as one mask marks; more takes less by the digests of
/// sixteen parts. Where memory is scarce, no more than there are rows to ask for them.
pub(crate) const ITEMS_MAX: usize = if SCARCE { 16 } else { COPIES_MAX };

/// How far ahead an item of ours is looked for in a list. Farther, more would be the same by chance; and who lacks so many
/// in a row sends some that the other has.
const AHEAD_MAX: usize = 8;

/// Up to how many of our items can be marked for sending in one mask.
const COPIES_MAX: usize = 32;

/// How many steps one search may take: the dead members in a row that it passes.
const SEEK_MAX: usize = 64;
