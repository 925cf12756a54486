//! What the arena costs at its worst: nearly all that admission allows is used, and owners come in random order.

// A bench is not all of their users.
#![allow(dead_code, missing_docs, unreachable_pub, unused_imports)]

#[cfg(feature = "alloc")]
extern crate alloc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::time::{Duration, Instant};

#[path = "../src/divide.rs"]
mod divide;
#[path = "../src/hash.rs"]
mod hash;
#[path = "../src/rng.rs"]
mod rng;
#[path = "../src/slab/mod.rs"]
mod slab;
#[path = "../src/time.rs"]
mod time;

use rng::Seed;
use slab::arena::{Arena, Loc};

/// As large as a real slot, so that following a move costs the cache what it will cost.
#[derive(Clone, Copy, Default)]
struct Slot {
    loc: Option<Loc>,
    _rest: [u64; 7],
}

struct Table {
    arena: Arena,
    area: Vec<u8>,
    slots: Vec<Slot>,
    /// A permutation of all slots.
    order: Vec<u32>,
    random: u64,
}

impl Table {
    fn new(entries: usize) -> Self {
        let used = entries * ((LEN_MIN + LEN_MAX) / 2 + 10);
        let area = vec![0; used / 7 * 8 / 100 * 102 + 4096];
        let arena = Arena::new(area.len(), 1400, 1400);
        let order = (0..entries as u32).collect();
        let mut table = Self { arena, area, slots: vec![Slot::default(); entries], order, random: 1 };
        for ix in 0..entries {
            let other = table.random(entries);
            table.order.swap(ix, other);
            table.put(ix);
        }
        // Age it: a table that was just filled has no holes.
        (0..entries * 4).for_each(|_| table.replace());
        table
    }

    /// Xorshift: a few cycles, which are part of what is measured below.
    fn random(&mut self, end: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (((self.random >> 32) * end as u64) >> 32) as usize
    }

    fn put(&mut self, ix: usize) {
        let len = LEN_MIN + self.random(LEN_MAX - LEN_MIN + 1);
        let Self { arena, area, slots, .. } = self;
        let loc = arena.alloc(area, ix as u32, len, &mut |owner, loc| slots[owner as usize].loc = Some(loc));
        slots[ix].loc = loc;
        arena.get_mut(area, loc.expect("admitted")).fill(len as u8);
    }

    fn delete(&mut self, ix: usize) {
        if let Some(loc) = self.slots[ix].loc.take() {
            self.arena.free(&mut self.area, loc);
        }
    }

    fn replace(&mut self) {
        let ix = self.random(self.slots.len());
        let len = LEN_MIN + self.random(LEN_MAX - LEN_MIN + 1);
        let Some(loc) = self.slots[ix].loc else { return };
        if self.arena.resize(&mut self.area, loc, len) {
            self.arena.get_mut(&mut self.area, loc).fill(len as u8);
        } else {
            self.delete(ix);
            self.put(ix);
        }
    }

    fn get(&mut self) -> u32 {
        let ix = self.random(self.slots.len());
        let value = self.slots[ix].loc.map_or(&[][..], |loc| self.arena.get(&self.area, loc));
        value.iter().map(|byte| u32::from(*byte)).sum()
    }

    /// Deletes and puts anybody's records, a 64th of the table at a time: what each of the two took.
    fn delete_and_put(&mut self, operations: u64) -> (Duration, Duration) {
        let (mut left, mut deleted, mut put) = (operations as usize, Duration::ZERO, Duration::ZERO);
        while left > 0 {
            let batch = (self.order.len() / 64).min(left);
            // Draw anew each time: who is put together and deleted together leaves whole pages empty.
            for ix in 0..batch {
                let other = self.random(self.order.len());
                self.order.swap(ix, other);
            }
            deleted += self.each(batch, Self::delete);
            put += self.each(batch, Self::put);
            left -= batch;
        }
        (deleted, put)
    }

    #[allow(clippy::disallowed_methods, reason = "a bench measures time")]
    fn each(&mut self, count: usize, operation: fn(&mut Self, usize)) -> Duration {
        let start = Instant::now();
        for at in 0..count {
            operation(self, self.order[at] as usize);
        }
        start.elapsed()
    }
}

fn arena(c: &mut Criterion) {
    let mut group = c.benchmark_group("arena");
    for entries in [1_000, 100_000, 1_000_000] {
        let mut table = Table::new(entries);
        let name = |operation| BenchmarkId::new(operation, entries);
        group.bench_function(name("put"), |b| b.iter_custom(|operations| table.delete_and_put(operations).1));
        group.bench_function(name("replace"), |b| b.iter(|| table.replace()));
        group.bench_function(name("delete"), |b| b.iter_custom(|operations| table.delete_and_put(operations).0));
        group.bench_function(name("get"), |b| b.iter(|| table.get()));
    }
}

criterion_group!(benches, arena);
criterion_main!(benches);

/// Payloads as of a swarm's shared facts: versions, a key and a short value.
const LEN_MIN: usize = 40;
const LEN_MAX: usize = 100;
