//! What the tests of this room share: dice with a printed seed, stores, and a model of one entry.

mod clock;
mod join;
mod merge;
mod record;
mod speed;
mod store;

use std::boxed::Box;
use std::vec::Vec;
use std::{eprintln, vec};

use super::entry::Kind;
use super::merge::{Plan, Verdict, plan};
use super::store::Store;
use super::version::{Version, context};
use super::{EntrySlot, StateHash};
use crate::config::Config;
use crate::slab::Slice;
use crate::slab::deadline::Row;
use crate::slab::index::Cells;

/// Runs a test for many seeds; `SEED=0x… cargo test -p gossip-proto --features sim --lib state` replays one.
fn for_each_seed(count: u64, test: impl Fn(&mut Dice)) {
    struct Guard(u64);
    impl Drop for Guard {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("SEED={:#x} cargo test -p gossip-proto --features sim --lib state", self.0);
            }
        }
    }
    let replay =
        std::env::var("SEED").ok().and_then(|seed| u64::from_str_radix(seed.trim_start_matches("0x"), 16).ok());
    for seed in replay.map_or(1..count + 1, |seed| seed..seed + 1) {
        let _guard = Guard(seed);
        test(&mut Dice(seed));
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.word() % end.max(1) as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.word() as u8).collect()
    }

    fn bytes_below(&mut self, end: usize) -> Vec<u8> {
        let len = self.below(end);
        self.bytes(len)
    }

    fn shuffle<T>(&mut self, all: &mut [T]) {
        for end in (2..=all.len()).rev() {
            let other = self.below(end);
            all.swap(end - 1, other);
        }
    }
}

/// A store over its own zeroed slices.
fn store(slots: usize, bytes: usize, config: &Config) -> Store<'static> {
    Store::new(
        Slice::Lent(Box::leak(vec![EntrySlot::default(); slots].into_boxed_slice())),
        Cells::with_len(slots),
        Slice::Lent(Box::leak(vec![Row::default(); slots].into_boxed_slice())),
        Slice::Lent(Box::leak(vec![0; bytes].into_boxed_slice())),
        Slice::Lent(&mut []),
        StateHash::new(&[7; 16]),
        config,
    )
}

/// A version that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owned {
    kind: Kind,
    stamp: u64,
    writer: u64,
    context: Vec<u8>,
    ttl: u32,
    value: Option<Vec<u8>>,
}

impl Owned {
    fn new(kind: Kind, stamp: u64, writer: u64, seen: &[(u64, u64)]) -> Self {
        let context = seen.iter().flat_map(|(writer, stamp)| [writer.to_le_bytes(), stamp.to_le_bytes()]).flatten();
        Self {
            kind,
            stamp,
            writer,
            context: context.collect(),
            ttl: 0,
            value: Some(std::format!("{stamp}-{writer}").into()),
        }
    }

    fn of(version: &Version<'_>) -> Self {
        let Version { kind, stamp, writer, context, ttl, value } = *version;
        Self { kind, stamp, writer, context: context.to_vec(), ttl, value: value.map(<[u8]>::to_vec) }
    }

    fn get(&self) -> Version<'_> {
        let Self { kind, stamp, writer, ref context, ttl, ref value } = *self;
        Version { kind, stamp, writer, context, ttl, value: value.as_deref() }
    }
}

/// The versions of one entry, newest first, by `plan`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model(Vec<Owned>);

impl Model {
    fn held(&self) -> impl Iterator<Item = Version<'_>> + Clone {
        self.0.iter().map(Owned::get)
    }

    fn merge(&mut self, new: &Owned) -> Plan {
        let plan = plan(self.held(), &new.get());
        if plan.verdict == Verdict::Take {
            let mut n = 0;
            let mut next = Vec::new();
            for (at, held) in self.0.drain(..).enumerate() {
                if at == plan.place {
                    next.push(new.clone());
                    n = 1;
                }
                if plan.keep >> at & 1 == 1 {
                    next.push(held);
                }
            }
            if n == 0 {
                next.push(new.clone());
            }
            self.0 = next;
        }
        plan
    }

    /// A write on top of what is held.
    fn write(&mut self, kind: Kind, stamp: u64, writer: u64, value: Option<Vec<u8>>) -> Owned {
        let stamp = stamp.max(self.0.first().map_or(1, |newest| newest.stamp + 1));
        let context = context(self.held(), writer).as_bytes().to_vec();
        let new = Owned { kind, stamp, writer, context, ttl: 0, value };
        self.merge(&new);
        new
    }

    fn kind(&self) -> Kind {
        self.0.first().map_or(Kind::Register, |newest| newest.kind)
    }

    /// What the application sees.
    fn shown(&self) -> Vec<Owned> {
        self.0.iter().filter(|version| version.kind == self.kind()).cloned().collect()
    }

    fn values(&self) -> Vec<Vec<u8>> {
        self.shown().into_iter().filter_map(|version| version.value).collect()
    }
}
