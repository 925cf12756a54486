use core::ops::Add;
use std::collections::BTreeMap;
use std::vec::Vec;
use std::{env, eprintln, thread};

use super::*;
use crate::Seed;
use crate::rng::Rng;

/// Runs `body` with `runs` fixed seeds, or with the one in the environment: `SEED=0x2a cargo test` replays a failure.
pub(in crate::slab) fn each_seed(runs: u64, body: impl Fn(&mut Rng)) {
    struct Seeded(u64);
    impl Drop for Seeded {
        fn drop(&mut self) {
            if thread::panicking() {
                eprintln!("SEED={:#x} replays this", self.0);
            }
        }
    }
    let given = env::var("SEED").ok().and_then(|seed| u64::from_str_radix(seed.trim_start_matches("0x"), 16).ok());
    for seed in given.map_or(0..runs, |seed| seed..seed + 1) {
        let _seeded = Seeded(seed);
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        body(&mut Rng::new(&Seed::new(bytes)));
    }
}

/// The reference: slot and item by key.
type Model = BTreeMap<Key, (usize, Option<Item>)>;

impl Cells<'_> {
    /// So many empty ones.
    pub(crate) fn with_len(len: usize) -> Cells<'static> {
        let (leaves, forks) = (std::vec![Leaf::EMPTY; len], std::vec![Fork::EMPTY; len]);
        Cells::new(Slice::Lent(leaves.leak()), Slice::Lent(forks.leak()))
    }

    fn copied(&self) -> Vec<(Leaf, Fork)> {
        self.leaves.iter().copied().zip(self.forks.iter().copied()).collect()
    }
}

struct Bed {
    index: Index,
    cells: Cells<'static>,
    model: Model,
}

impl Bed {
    fn new(cells: usize) -> Self {
        Self { index: Index::new(), cells: Cells::with_len(cells), model: Model::new() }
    }

    /// One random call, made of the index and of the model alike.
    fn step(&mut self, rng: &mut Rng) {
        let ix = rng.below(self.cells.len() as u32) as usize;
        let held = self.model.iter().find(|(_, (slot, _))| *slot == ix).map(|(key, _)| *key);
        match (held, rng.below(3)) {
            (None, 0) => {
                let before = self.cells.copied();
                assert!(!self.index.remove(&mut self.cells, ix), "an empty cell is not in the index");
                self.index.update(&mut self.cells, ix, any_item(rng));
                assert_eq!(self.index.next(&self.cells, ix), None);
                assert_eq!(self.cells.copied(), before);
            }
            (None, _) => {
                let (key, item) = (any_key(rng), any_item(rng));
                let fresh = !self.model.contains_key(&key);
                let before = self.cells.copied();
                assert_eq!(self.index.insert(&mut self.cells, ix, key, item), fresh);
                if fresh {
                    self.model.insert(key, (ix, item));
                } else {
                    assert_eq!(self.cells.copied(), before, "a refused insert changes nothing");
                }
            }
            (Some(key), 0 | 1) => {
                let item = any_item(rng);
                let before = self.cells.copied();
                assert!(!self.index.insert(&mut self.cells, ix, any_key(rng), item), "the slot is in already");
                assert_eq!(self.cells.copied(), before);
                self.index.update(&mut self.cells, ix, item);
                self.model.insert(key, (ix, item));
            }
            (Some(key), _) => {
                assert!(self.index.remove(&mut self.cells, ix));
                self.model.remove(&key);
            }
        }
    }

    fn check(&self, rng: &mut Rng) {
        self.check_shape();
        self.check_order();
        for _ in 0..4 {
            self.check_near(any_key(rng));
            let some = self.model.keys().nth(rng.below(self.model.len().max(1) as u32) as usize);
            let key = some.copied().unwrap_or_default();
            self.check_near(key);
            self.check_prefix(Prefix::of(key, rng.below(25) as u8 * 4));
            self.check_prefix(Prefix::of(key, rng.below(97) as u8));
            self.check_prefix(Prefix::of(any_key(rng), rng.below(97) as u8));
        }
        self.check_prefix(Prefix::ROOT);
    }

    /// Every cell is what the two rules in the module's header say, and every fork holds the sum below it.
    fn check_shape(&self) {
        let (index, cells) = (&self.index, &self.cells);
        assert_eq!(index.len(), self.model.len());
        assert_eq!(index.is_empty(), self.model.is_empty());
        let mut forks = Vec::new();
        let leaves = if index.len > 0 { self.walk((index.root as usize, 0), &mut forks) } else { Vec::new() };
        assert_eq!(forks.len(), leaves.len().saturating_sub(1));
        forks.sort_unstable();
        forks.windows(2).for_each(|two| assert_ne!(two[0], two[1], "a cell hosts two forks"));
        for (ix, (leaf, fork)) in cells.copied().into_iter().enumerate() {
            if !leaves.contains(&ix) {
                assert_eq!((leaf, fork), (Leaf::EMPTY, Fork::EMPTY), "an empty cell is all-zero");
            } else if !forks.contains(&ix) {
                assert_eq!((fork.fork, fork.children, leaf.below), (0, [0; 2], Below::EMPTY), "a fork nobody links to");
            }
        }
    }

    /// Collects the leaves below a spot, in order, and the forks; checks each fork on the way.
    fn walk(&self, (at, above): Spot, forks: &mut Vec<usize>) -> Vec<usize> {
        let Some(fork) = inner(&self.cells, at, above) else { return std::vec![at] };
        forks.push(at);
        let bit = fork.fork - 1;
        let mut leaves = Vec::new();
        for side in [0, 1] {
            let below = self.walk((fork.child(side), fork.fork), forks);
            assert!(below.iter().all(|&leaf| self.cells.key(leaf).bit(bit) == side), "a leaf on the wrong side");
            leaves.extend(below);
        }
        let prefix = Prefix::of(self.cells.key(at), bit);
        assert!(leaves.contains(&at), "a fork lives in the cell of a leaf below it");
        assert!(leaves.iter().all(|&leaf| prefix.contains(self.cells.key(leaf))), "a leaf under the wrong prefix");
        let sum = leaves.iter().fold(Sum::default(), |sum, &leaf| sum + self.cells.weight(leaf));
        assert_eq!(self.cells.leaves[at].below, Below::of(sum));
        leaves
    }

    fn check_order(&self) {
        let (index, cells) = (&self.index, &self.cells);
        let mut at = index.ceiling(cells, Key::default());
        for (&key, &(ix, item)) in &self.model {
            assert_eq!(at, Some(ix));
            assert_eq!(index.get(cells, key), Some(ix));
            assert_eq!(index.key(cells, ix), key);
            assert_eq!(index.item(cells, ix), item.unwrap_or_default());
            assert_eq!((index.contains(cells, ix), index.counted(cells, ix)), (true, item.is_some()));
            at = index.next(cells, ix);
        }
        assert_eq!(at, None);
        assert_eq!(index.last(cells), self.model.last_key_value().map(|(_, (ix, _))| *ix));
        assert_eq!(index.root(), self.sum(Prefix::ROOT));
    }

    fn check_near(&self, key: Key) {
        assert_eq!(self.index.get(&self.cells, key), self.model.get(&key).map(|(ix, _)| *ix));
        let ceiling = self.model.range(key..).next().map(|(_, (ix, _))| *ix);
        assert_eq!(self.index.ceiling(&self.cells, key), ceiling);
    }

    fn check_prefix(&self, prefix: Prefix) {
        assert_eq!(self.index.sum(&self.cells, prefix), self.sum(prefix), "{prefix:?}");
        let sums = self.index.children(&self.cells, prefix);
        assert_eq!(sums.into_iter().fold(Sum::default(), Sum::add), self.sum(prefix), "{prefix:?}");
        for nibble in (0..16).filter(|_| prefix.len() <= Key::BITS - 4) {
            assert_eq!(sums[usize::from(nibble)], self.sum(prefix.child(nibble)), "{prefix:?} {nibble}");
        }
    }

    fn sum(&self, prefix: Prefix) -> Sum {
        self.model
            .range(prefix.first()..=prefix.last())
            .inspect(|(key, _)| assert!(prefix.contains(**key)))
            .fold(Sum::default(), |sum, (_, (_, item))| sum + Sum::of(*item))
    }
}

/// Keys that collide often, share long prefixes, differ in one bit, or are the extremes.
fn any_key(rng: &mut Rng) -> Key {
    let base = Key([0x5eed_5eed, 0xffff_ffff, 0]);
    match rng.below(8) {
        0 => Key([rng.next(), rng.next(), rng.next()]),
        1 => Key::new(base.topic(), u64::from(rng.below(16))),
        2 => Key::new(rng.below(3), u64::from(rng.below(4)) << 62),
        3 => Key::new(base.topic(), u64::from(rng.next())),
        4 => [Key::default(), Key([u32::MAX; 3]), base][rng.below(3) as usize],
        _ => {
            let mut key = base;
            let bit = rng.below(96);
            key.0[bit as usize / 32] ^= 1 << (31 - bit % 32);
            key
        }
    }
}

fn any_item(rng: &mut Rng) -> Option<Item> {
    match rng.below(5) {
        0 => None,
        1 => Some(Item::default()),
        _ => Some(Item([rng.next(), rng.next(), rng.next()])),
    }
}

#[test]
fn agrees_with_a_btree_map() {
    each_seed(60, |rng| {
        let mut bed = Bed::new(1 + rng.below(48) as usize);
        for _ in 0..400 {
            bed.step(rng);
            bed.check(rng);
        }
    });
}

#[test]
fn agrees_with_a_btree_map_when_large() {
    each_seed(2, |rng| {
        let mut bed = Bed::new(1500);
        for nth in 0..12_000 {
            bed.step(rng);
            if nth % 600 == 0 {
                bed.check(rng);
            }
        }
    });
}

#[test]
fn fills_up_and_empties_to_zero() {
    each_seed(20, |rng| {
        let mut bed = Bed::new(97);
        // One key for each bit that can be the first one set: the deepest tree there is.
        for bit in 0..=96u32 {
            let key = Prefix::of(Key([u32::MAX; 3]), bit as u8).first();
            assert!(bed.index.insert(&mut bed.cells, bit as usize, key, any_item(rng)));
        }
        let mut order: Vec<usize> = (0..97).collect();
        (1..97).rev().for_each(|n| order.swap(n, rng.below(n as u32 + 1) as usize));
        for ix in order {
            assert!(bed.index.remove(&mut bed.cells, ix));
            assert!(!bed.index.remove(&mut bed.cells, ix), "gone already");
        }
        assert_eq!(bed.cells.copied(), Bed::new(97).cells.copied());
        assert_eq!((bed.index.ceiling(&bed.cells, Key::default()), bed.index.last(&bed.cells)), (None, None));
        assert_eq!(bed.index.root(), Sum::default());
    });
}

#[test]
fn sums_do_not_depend_on_order_or_slots() {
    each_seed(20, |rng| {
        let (mut one, mut two) = (Bed::new(40), Bed::new(64));
        let pairs: BTreeMap<Key, Option<Item>> = (0..40).map(|_| (any_key(rng), any_item(rng))).collect();
        for (ix, (&key, &item)) in pairs.iter().enumerate() {
            assert!(one.index.insert(&mut one.cells, ix, key, item));
        }
        for (ix, (&key, &item)) in pairs.iter().rev().enumerate() {
            assert!(two.index.insert(&mut two.cells, 63 - ix, key, None));
            two.index.update(&mut two.cells, 63 - ix, item);
        }
        let prefix = Prefix::of(any_key(rng), rng.below(97) as u8);
        assert_eq!(one.index.sum(&one.cells, prefix), two.index.sum(&two.cells, prefix));
        assert_eq!(one.index.children(&one.cells, prefix), two.index.children(&two.cells, prefix));
    });
}

#[test]
fn survives_corrupted_cells() {
    each_seed(200, |rng| {
        let mut bed = Bed::new(24);
        (0..100).for_each(|_| bed.step(rng));
        for _ in 0..8 {
            let fork = &mut bed.cells.forks[rng.below(24) as usize];
            fork.children = [rng.below(40) as Ix, rng.below(40) as Ix];
            fork.fork = rng.next() as u8;
        }
        bed.index.root = rng.below(40) as Ix;
        for _ in 0..100 {
            let (ix, key, item) = (rng.below(26) as usize, any_key(rng), any_item(rng));
            let (index, cells) = (&mut bed.index, &mut bed.cells);
            match rng.below(4) {
                0 => _ = index.insert(cells, ix, key, item),
                1 => _ = index.remove(cells, ix),
                2 => index.update(cells, ix, item),
                _ => _ = (index.ceiling(cells, key), index.next(cells, ix), index.last(cells), index.root()),
            }
            let prefix = Prefix::of(key, rng.below(97) as u8);
            _ = (index.get(cells, key), index.sum(cells, prefix), index.children(cells, prefix));
        }
    });
}

#[test]
fn items_add_and_subtract_modulo_two_to_the_96() {
    const MASK: u128 = (1 << 96) - 1;
    let wide = |item: Item| {
        let mut bytes = [0; 16];
        bytes[..12].copy_from_slice(&item.to_bytes());
        u128::from_le_bytes(bytes)
    };
    each_seed(500, |rng| {
        let mut draw = || {
            Item([0; 3].map(|_: u32| match rng.below(4) {
                0 => 0,
                1 => 1,
                2 => u32::MAX,
                _ => rng.next(),
            }))
        };
        let (a, b) = (draw(), draw());
        assert_eq!(wide(a + b), (wide(a) + wide(b)) & MASK);
        assert_eq!(wide(a - b), wide(a).wrapping_sub(wide(b)) & MASK);
        assert_eq!(a + b - b, a);
        assert_eq!(Item::from_bytes(a.to_bytes()), a);
    });
}

#[test]
fn keys_are_ordered_by_topic_then_key_then_bit() {
    each_seed(500, |rng| {
        let (a, b) = (any_key(rng), any_key(rng));
        assert_eq!(a.cmp(&b), (a.topic(), a.key()).cmp(&(b.topic(), b.key())));
        assert_eq!(Key::new(a.topic(), a.key()), a);
        match a.differs(b) {
            None => assert_eq!(a, b),
            Some(bit) => {
                assert_eq!(a < b, b.bit(bit) == 1);
                assert!(Prefix::of(a, bit).contains(b) && !Prefix::of(a, bit + 1).contains(b));
            }
        }
        let down = (0..24).fold(Prefix::ROOT, |prefix, level| prefix.child(a.nibble(level * 4)));
        assert_eq!((down, down.first(), down.last()), (Prefix::of(a, 96), a, a));
        assert_eq!(down.child(15), down, "there is nothing below a whole key");
    });
    assert_eq!((Prefix::ROOT, Prefix::ROOT.last()), (Prefix::default(), Key([u32::MAX; 3])));
}
