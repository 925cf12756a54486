//! The index of a table: one crit-bit tree over 96-bit keys, whose inner nodes hold commutative summaries.
//!
//! Knows: which slot a key is in, the order of the keys, and for every prefix the count and the sum of the items under
//! it. Does not know: what a key or an item was hashed from, nor anything else that is in the slots.
//! When full: it is never full, since slot i brings cell i, with room for leaf i and for one inner node.
//!
//! n leaves need n - 1 inner nodes. Two rules make one small cell do, without parent links and without tags:
//!
//! - **An inner node lives in the cell of a leaf below it.** The insertion of leaf i forks the tree just above leaf i,
//!   and that fork lives in cell i. A removal that takes leaf i away and frees the fork of another cell moves the fork
//!   of cell i there: it was above the freed one. So the key in a fork's own cell is a sample of the keys below it.
//! - **Forks grow on the way down.** A link to cell i is to its inner node if that one forks at a later bit than where
//!   we come from, else to its leaf: an inner node above us forked earlier. So every descent ends within 96 steps.

mod key;

pub(crate) use key::{Item, Key, Prefix, Sum};

use super::{Ix, NARROW, Slice};

/// The cells of a table: a leaf and a fork for each slot. They lie apart, since a search reads forks alone, each in
/// another place: those of 100,000 slots fit in a processor's second cache, with the leaves they would not.
#[derive(Debug)]
pub(crate) struct Cells<'a> {
    leaves: Slice<'a, Leaf>,
    forks: Slice<'a, Fork>,
}

/// A leaf, and what the inner node above it adds up; all-zero is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    key: Key,
    /// Zero while it does not count.
    item: Item,
    below: Below,
}

/// At most one inner node, and what is known of the leaf; all-zero is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fork {
    /// The cells on the zero side and on the one side of the inner node.
    children: [Ix; 2],
    /// One more than the bit at which the inner node forks; zero when none lives here.
    fork: u8,
    state: State,
    tree: Number,
}

impl Leaf {
    pub(crate) const EMPTY: Self = Self { key: Key::new(0, 0), item: Item::ZERO, below: Below::EMPTY };
}

impl Fork {
    pub(crate) const EMPTY: Self = Self { children: [0; 2], fork: 0, state: State::Absent, tree: Number::of(0) };

    fn child(&self, side: usize) -> usize {
        if NARROW {
            return self.children[side & 1] as usize;
        }
        // Both are fetched while the key is looked at, and no branch is guessed: 7 % of a `put` among 100,000 entries.
        let [zero, one] = self.children;
        (zero ^ (zero ^ one) & (side as Ix & 1).wrapping_neg()) as usize
    }
}

impl<'a> Cells<'a> {
    /// Both for each slot, all of them empty.
    pub(crate) fn new(leaves: Slice<'a, Leaf>, forks: Slice<'a, Fork>) -> Self {
        Self { leaves, forks }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.leaves.len().min(self.forks.len())
    }

    #[cfg_attr(target_os = "none", inline(never))]
    fn key(&self, ix: usize) -> Key {
        self.leaves.get(ix).map_or(Key::default(), |leaf| leaf.key)
    }

    fn state(&self, ix: usize) -> State {
        self.forks.get(ix).map_or(State::Absent, |fork| fork.state)
    }

    /// What a leaf alone adds.
    fn weight(&self, ix: usize) -> Sum {
        let item = self.leaves.get(ix).map_or(Item::ZERO, |leaf| leaf.item);
        Sum { count: u32::from(self.state(ix) == State::Counted), sum: item }
    }

    fn set(&mut self, ix: usize, leaf: Leaf, fork: Fork) {
        if let (Some(to_leaf), Some(to_fork)) = (self.leaves.get_mut(ix), self.forks.get_mut(ix)) {
            (*to_leaf, *to_fork) = (leaf, fork);
        }
    }

    /// Adds to what an inner node adds up.
    fn add(&mut self, ix: usize, gain: Sum) {
        if let Some(leaf) = self.leaves.get_mut(ix).filter(|_| !NARROW) {
            leaf.below = Below::of(leaf.below.sum() + gain);
        }
    }
}

/// Which of the trees over the same cells it is: there are several where there are messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Number(#[cfg(feature = "messages")] u8);

impl Number {
    const fn of(_nth: u8) -> Self {
        Self(
            #[cfg(feature = "messages")]
            _nth,
        )
    }
}

/// What an inner node's leaves add up to, and how many count: apart, so that the number is as short as a link.
///
/// With narrow links it is nothing: a small table is added up anew where the sum is asked for, for 12 bytes less per slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Below {
    #[cfg(not(any(target_os = "none", gossip_ix16)))]
    sum: Item,
    #[cfg(not(any(target_os = "none", gossip_ix16)))]
    count: Ix,
}

#[cfg(not(any(target_os = "none", gossip_ix16)))]
impl Below {
    const EMPTY: Self = Self { sum: Item::ZERO, count: 0 };

    fn of(Sum { sum, count }: Sum) -> Self {
        Self { sum, count }
    }

    fn sum(self) -> Sum {
        Sum { count: self.count, sum: self.sum }
    }
}

#[cfg(any(target_os = "none", gossip_ix16))]
impl Below {
    const EMPTY: Self = Self {};

    fn of(_: Sum) -> Self {
        Self {}
    }

    fn sum(self) -> Sum {
        Sum::default()
    }
}

/// What is known of a leaf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Absent,
    /// Found by its key, but not in the sums.
    Silent,
    Counted,
}

/// The head of the tree; the cells, as many as there are slots, are handed in.
#[derive(Debug, Default)]
pub(crate) struct Index {
    root: Ix,
    len: Ix,
    /// Whether anything is other than when that was last asked.
    changed: bool,
    tree: Number,
    /// What all counted items add up to, and how many they are: most comparisons are of that.
    total: Item,
    counted: Ix,
}

impl Index {
    pub(crate) const fn new() -> Self {
        Self::nth(0)
    }

    /// One of several trees over the same cells, each with its own number.
    pub(crate) const fn nth(tree: u8) -> Self {
        Self { root: 0, len: 0, changed: false, tree: Number::of(tree), total: Item::ZERO, counted: 0 }
    }

    /// Enters slot `ix` under `key`; without an item it is found but does not count.
    ///
    /// False, and nothing has changed, if the key is there already, or the slot under any key.
    pub(crate) fn insert(&mut self, cells: &mut Cells<'_>, ix: usize, key: Key, item: Option<Item>) -> bool {
        let gain = Sum::of(item);
        if cells.forks.get(ix).is_none_or(|fork| fork.state != State::Absent) {
            return false;
        }
        let leaf = Leaf { key, item: gain.sum, ..Leaf::EMPTY };
        let own = Fork { state: State::of(item), tree: self.tree, ..Fork::EMPTY };
        let Some(near) = self.nearest(cells, key) else {
            cells.set(ix, leaf, own);
            (self.root, self.len) = (ix as Ix, 1);
            self.changed(gain);
            return true;
        };
        let Some(bit) = key.differs(cells.key(near)) else { return false };
        let fork = bit + 1;

        // Down to where the new fork belongs, adding on the way what the leaf brings.
        let (mut at, mut above, mut link) = (self.root as usize, 0, None);
        while let Some(inner) = inner(cells, at, above).filter(|inner| inner.fork < fork) {
            let (here, side) = (at, key.bit(inner.fork - 1));
            link = Some((at, side));
            (at, above) = (inner.child(side), inner.fork);
            cells.add(here, gain);
        }
        let below = Below::of(weight(cells, at, above) + gain);
        let mut children = [ix as Ix; 2];
        children[1 - key.bit(bit)] = at as Ix;
        cells.set(ix, Leaf { below, ..leaf }, Fork { children, fork, ..own });
        self.relink(cells, link, ix);
        self.len = self.len.saturating_add(1);
        self.changed(gain);
        true
    }

    /// Gives slot `ix` another item, or none so that it is found but does not count; does nothing if it is not in.
    pub(crate) fn update(&mut self, cells: &mut Cells<'_>, ix: usize, item: Option<Item>) {
        let (old, new) = (cells.weight(ix), Sum::of(item));
        if cells.state(ix) == State::Absent || old == new {
            return;
        }
        let (Some(leaf), Some(fork)) = (cells.leaves.get_mut(ix), cells.forks.get_mut(ix)) else { return };
        (leaf.item, fork.state) = (new.sum, State::of(item));
        let (key, gain) = (leaf.key, new - old);
        self.changed(gain);
        if NARROW {
            return;
        }
        let (mut at, mut above) = (self.root as usize, 0);
        while let Some(inner) = inner(cells, at, above) {
            let here = at;
            (at, above) = (inner.child(key.bit(inner.fork - 1)), inner.fork);
            cells.add(here, gain);
        }
    }

    /// Takes slot `ix` out and leaves its cell all-zero; false if it was not in the index.
    pub(crate) fn remove(&mut self, cells: &mut Cells<'_>, ix: usize) -> bool {
        if cells.state(ix) == State::Absent {
            return false;
        }
        let (key, loss) = (cells.key(ix), Sum::default() - cells.weight(ix));
        let (mut at, mut above) = (self.root as usize, 0);
        // The links that lead to the leaf, to the fork just above it, and to the fork that lives in the leaf's cell.
        let (mut to_leaf, mut to_parent, mut to_guest) = (None, None, None);
        while let Some(inner) = inner(cells, at, above) {
            if at == ix {
                to_guest = to_leaf;
            }
            let (here, side) = (at, key.bit(inner.fork - 1));
            to_parent = to_leaf.replace((at, side));
            (at, above) = (inner.child(side), inner.fork);
            cells.add(here, loss);
        }
        if let Some((parent, side)) = to_leaf {
            let sibling = cells.forks.get(parent).map_or(0, |fork| fork.child(1 - side));
            self.relink(cells, to_parent, sibling);
            if parent != ix {
                // The parent's cell takes over the fork that lives with the leaf, if there is one; else it is empty.
                let guest = cells.forks.get(ix).copied().unwrap_or(Fork::EMPTY);
                if let Some(host) = cells.forks.get_mut(parent) {
                    (host.children, host.fork) = (guest.children, guest.fork);
                }
                let below = cells.leaves.get(ix).map_or(Below::EMPTY, |leaf| leaf.below);
                if let Some(host) = cells.leaves.get_mut(parent) {
                    host.below = below;
                }
                if guest.fork > 0 {
                    self.relink(cells, to_guest, parent);
                }
            }
        }
        cells.set(ix, Leaf::EMPTY, Fork::EMPTY);
        self.len = self.len.saturating_sub(1);
        self.changed(loss);
        true
    }

    fn changed(&mut self, gain: Sum) {
        let total = self.root() + gain;
        (self.total, self.counted, self.changed) = (total.sum, total.count as Ix, true);
    }

    /// Whether anything has changed since this was last asked.
    pub(crate) fn take_changed(&mut self) -> bool {
        core::mem::take(&mut self.changed)
    }

    /// The slot of `key`.
    pub(crate) fn get(&self, cells: &Cells<'_>, key: Key) -> Option<usize> {
        self.nearest(cells, key).filter(|&near| self.key(cells, near) == key)
    }

    /// The slot with the least key that is `key` or greater.
    pub(crate) fn ceiling(&self, cells: &Cells<'_>, key: Key) -> Option<usize> {
        let near = self.nearest(cells, key)?;
        let Some(bit) = key.differs(self.key(cells, near)) else { return Some(near) };
        // The tree that hangs where `key` would fork off lies wholly after it, or wholly before it.
        let (here, after) = self.descend(cells, key, bit);
        let (at, above) = if key.bit(bit) == 0 { here } else { after? };
        Some(edge(cells, at, above, 0))
    }

    /// The slot with the next greater key than that of slot `ix`; none if that is not in the index.
    pub(crate) fn next(&self, cells: &Cells<'_>, ix: usize) -> Option<usize> {
        if cells.state(ix) == State::Absent {
            return None;
        }
        let (at, above) = self.descend(cells, cells.key(ix), Key::BITS).1?;
        Some(edge(cells, at, above, 0))
    }

    /// The slot with the greatest key.
    #[cfg(test)]
    pub(crate) fn last(&self, cells: &Cells<'_>) -> Option<usize> {
        if self.len > 0 { Some(edge(cells, self.root as usize, 0, 1)) } else { None }
    }

    /// What all counted items add up to.
    #[allow(clippy::unnecessary_cast, reason = "a link is as wide as the count, or narrower")]
    pub(crate) fn root(&self) -> Sum {
        Sum { count: self.counted as u32, sum: self.total }
    }

    /// What the counted items under `prefix` add up to.
    pub(crate) fn sum(&self, cells: &Cells<'_>, prefix: Prefix) -> Sum {
        if prefix.len() == 0 {
            return self.root();
        }
        if NARROW {
            return self.counted_under(cells, prefix).fold(Sum::default(), |sum, (_, item)| sum + item);
        }
        self.locate(cells, prefix).map_or(Sum::default(), |(at, above)| weight(cells, at, above))
    }

    /// The longest prefix, by whole nibbles, that all keys under `prefix` have; `None` if there are none.
    pub(crate) fn span(&self, cells: &Cells<'_>, prefix: Prefix) -> Option<Prefix> {
        let (at, above) = self.locate(cells, prefix)?;
        let len = inner(cells, at, above).map_or(Key::BITS, |cell| cell.fork - 1);
        Some(Prefix::of(self.key(cells, at), len & !3))
    }

    /// What the counted items under `prefix` add up to, apart by their next four bits.
    ///
    /// The sixteen always add up to [`Index::sum`]: bits beyond the end of the key read as zero.
    pub(crate) fn children(&self, cells: &Cells<'_>, prefix: Prefix) -> [Sum; 16] {
        let mut sums = [Sum::default(); 16];
        if NARROW {
            for (key, item) in self.counted_under(cells, prefix) {
                if let Some(sum) = sums.get_mut(usize::from(key.nibble(prefix.len()))) {
                    *sum = *sum + item;
                }
            }
            return sums;
        }
        let Some(top) = self.locate(cells, prefix) else { return sums };
        // A fork takes one place and gives two, four levels deep: five places are enough.
        let (mut todo, mut left) = ([top; 5], 1);
        while left > 0 {
            left -= 1;
            let Some(&(at, above)) = todo.get(left) else { break };
            match inner(cells, at, above) {
                Some(cell) if cell.fork <= prefix.len() + 4 => {
                    for (side, place) in todo.iter_mut().skip(left).take(2).enumerate() {
                        *place = (cell.child(side), cell.fork);
                    }
                    left += 2;
                }
                _ => {
                    let nibble = usize::from(self.key(cells, at).nibble(prefix.len()));
                    sums[nibble] = sums[nibble] + weight(cells, at, above);
                }
            }
        }
        sums
    }

    /// All counted items under `prefix`, in no order, and their keys.
    fn counted_under(&self, cells: &Cells<'_>, prefix: Prefix) -> impl Iterator<Item = (Key, Sum)> {
        let counts = |fork: &Fork| fork.state == State::Counted && fork.tree == self.tree;
        let counted = cells.leaves.iter().zip(cells.forks.iter()).filter(move |(_, fork)| counts(fork));
        let under = counted.filter(move |(leaf, _)| prefix.contains(leaf.key));
        under.map(|(leaf, _)| (leaf.key, Sum::of(Some(leaf.item))))
    }

    /// Whether slot `ix` is in the index, whether it counts or not.
    #[cfg(test)]
    pub(crate) fn contains(&self, cells: &Cells<'_>, ix: usize) -> bool {
        cells.state(ix) != State::Absent
    }

    /// The key of slot `ix`; zero while it is not in the index.
    pub(crate) fn key(&self, cells: &Cells<'_>, ix: usize) -> Key {
        cells.key(ix)
    }

    /// The item of slot `ix`; zero while it does not count.
    pub(crate) fn item(&self, cells: &Cells<'_>, ix: usize) -> Item {
        cells.leaves.get(ix).map_or(Item::ZERO, |leaf| leaf.item)
    }

    /// Whether slot `ix` counts in the sums.
    pub(crate) fn counted(&self, cells: &Cells<'_>, ix: usize) -> bool {
        cells.state(ix) == State::Counted
    }

    /// How many slots are in the index, whether they count or not.
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The one leaf that may have `key`.
    fn nearest(&self, cells: &Cells<'_>, key: Key) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        let (mut at, mut above) = (self.root as usize, 0);
        while let Some(cell) = inner(cells, at, above) {
            (at, above) = (cell.child(key.bit(cell.fork - 1)), cell.fork);
        }
        Some(at)
    }

    /// Follows the first `bits` bits of `key`: the tree below them, and the tree that comes next in order.
    fn descend(&self, cells: &Cells<'_>, key: Key, bits: u8) -> (Spot, Option<Spot>) {
        let (mut at, mut above, mut after) = (self.root as usize, 0, None);
        while let Some(cell) = inner(cells, at, above).filter(|cell| cell.fork <= bits) {
            // Branches, not a select: a walk in order comes down nearly the same path each time, so they are guessed right.
            if key.bit(cell.fork - 1) == 0 {
                after = Some((cell.child(1), cell.fork));
                at = cell.child(0);
            } else {
                at = cell.child(1);
            }
            above = cell.fork;
        }
        ((at, above), after)
    }

    /// The tree of all keys under `prefix`, if there are any.
    fn locate(&self, cells: &Cells<'_>, prefix: Prefix) -> Option<Spot> {
        let (at, above) = self.descend(cells, prefix.first(), prefix.len()).0;
        // The descent looked at some bits alone; the sample in the cell has them all.
        (self.len > 0 && prefix.contains(self.key(cells, at))).then_some((at, above))
    }

    /// Makes the link on a side of an inner node, or the root's, lead to cell `to`.
    fn relink(&mut self, cells: &mut Cells<'_>, link: Option<(usize, usize)>, to: usize) {
        let child = match link {
            None => Some(&mut self.root),
            Some((at, side)) => cells.forks.get_mut(at).and_then(|fork| fork.children.get_mut(side)),
        };
        if let Some(child) = child {
            *child = to as Ix;
        }
    }
}

impl State {
    fn of(item: Option<Item>) -> Self {
        if item.is_some() { Self::Counted } else { Self::Silent }
    }
}

/// A link and the fork that it comes from, which together name an inner node or a leaf.
type Spot = (usize, u8);

/// The inner node that a link to cell `at` means when it comes from the fork `above`; none if it means the leaf.
fn inner<'c>(cells: &'c Cells<'_>, at: usize, above: u8) -> Option<&'c Fork> {
    cells.forks.get(at).filter(|inner| inner.fork > above)
}

/// What the tree at a spot adds up to.
fn weight(cells: &Cells<'_>, at: usize, above: u8) -> Sum {
    match inner(cells, at, above) {
        Some(_) => cells.leaves.get(at).map_or(Sum::default(), |leaf| leaf.below.sum()),
        None => cells.weight(at),
    }
}

/// The outermost leaf on one side of the tree at a spot.
fn edge(cells: &Cells<'_>, mut at: usize, mut above: u8, side: usize) -> usize {
    while let Some(cell) = inner(cells, at, above) {
        (at, above) = (cell.child(side), cell.fork);
    }
    at
}

const _: () = assert!(size_of::<Leaf>() + size_of::<Fork>() <= if NARROW { 32 } else { 52 });

#[cfg(test)]
pub(super) mod tests;
