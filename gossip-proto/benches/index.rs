//! What one call of a mechanism costs, in tables of 1,000, 100,000 and 1,000,000 slots visited in random order.
//!
//! The mechanisms are private to the core, so their sources are compiled into the benchmark.

#![allow(dead_code, missing_docs, unreachable_pub, unused_imports)]

#[cfg(feature = "alloc")]
extern crate alloc;

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

use std::time::Duration;

use criterion::measurement::{Measurement, WallTime};
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};

use rng::{Rng, Seed};
use slab::Slice;
use slab::deadline::{Deadlines, Place, Row, Timed};
use slab::index::{Cells, Fork, Index, Item, Key, Leaf, Prefix};
use slab::list::{Hook, Hooked, List};
use time::Tick;

criterion_group!(benches, index, deadlines, list);
criterion_main!(benches);

const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];

/// Calls whose effect must be undone are timed by the batch, and undone between batches.
const BATCH: usize = 256;

fn index(c: &mut Criterion) {
    let mut group = group(c, "index");
    for size in SIZES {
        let mut rng = seeded();
        let (mut leaves, mut forks) = (vec![Leaf::EMPTY; size], vec![Fork::EMPTY; size]);
        let mut cells = Cells::new(Slice::Lent(&mut leaves), Slice::Lent(&mut forks));
        let mut index = Index::new();
        let mut slots: Vec<usize> = (0..size).collect();
        shuffle(&mut rng, &mut slots);
        for &ix in &slots {
            assert!(index.insert(&mut cells, ix, any_key(&mut rng), Some(any_item(&mut rng))));
        }
        shuffle(&mut rng, &mut slots);
        let keys: Vec<Key> = slots.iter().map(|&ix| index.key(&cells, ix)).collect();

        let mut turn = (0..size).cycle();
        let mut next = || turn.next().unwrap_or_default();
        group.bench_function(BenchmarkId::new("get", size), |b| b.iter(|| index.get(&cells, keys[next()])));
        group
            .bench_function(BenchmarkId::new("ceiling", size), |b| b.iter(|| index.ceiling(&cells, any_key(&mut rng))));
        group.bench_function(BenchmarkId::new("next", size), |b| {
            let mut at = index.ceiling(&cells, Key::default());
            b.iter(|| at = at.and_then(|ix| index.next(&cells, ix)).or_else(|| index.ceiling(&cells, Key::default())));
        });
        for len in [0, 32] {
            group.bench_function(BenchmarkId::new(format!("children-{len}"), size), |b| {
                b.iter(|| index.children(&cells, Prefix::of(any_key(&mut rng), len)));
            });
        }
        group.bench_function(BenchmarkId::new("update", size), |b| {
            b.iter(|| index.update(&mut cells, slots[next()], Some(any_item(&mut rng))));
        });
        // The leaves that are out are put back under new keys, so that neither path is still in the cache.
        for timed in ["insert", "remove"] {
            group.bench_function(BenchmarkId::new(timed, size), |b| {
                b.iter_custom(|calls| {
                    let mut spent = [Duration::ZERO; 2];
                    for _ in 0..calls.div_ceil(BATCH as u64) {
                        let batch: Vec<(usize, Key)> = (0..BATCH).map(|_| (slots[next()], any_key(&mut rng))).collect();
                        let item = any_item(&mut rng);
                        spent[1] += clock(|| batch.iter().for_each(|&(ix, _)| assert!(index.remove(&mut cells, ix))));
                        spent[0] += clock(|| {
                            for &(ix, key) in &batch {
                                assert!(index.insert(&mut cells, ix, key, Some(item)));
                            }
                        });
                    }
                    per_call(spent[usize::from(timed == "remove")], calls)
                });
            });
        }
    }
}

fn deadlines(c: &mut Criterion) {
    let mut group = group(c, "deadlines");
    for size in SIZES {
        let mut rng = seeded();
        let mut heap = Deadlines::new();
        let (mut rows, mut slots) = (vec![Row::default(); size], vec![Slot::default(); size]);
        // The ticks to come are spread over as many ticks as there are slots.
        let mut now = 0;
        for ix in 0..size {
            heap.set(&mut rows, &mut slots, ix, Tick(below(&mut rng, size) as u32));
        }
        group.bench_function(BenchmarkId::new("move", size), |b| {
            b.iter(|| heap.set(&mut rows, &mut slots, below(&mut rng, size), Tick(below(&mut rng, size) as u32)));
        });
        group.bench_function(BenchmarkId::new("pop", size), |b| {
            b.iter_custom(|calls| {
                let mut spent = Duration::ZERO;
                for _ in 0..calls.div_ceil(BATCH as u64) {
                    let mut popped = Vec::with_capacity(BATCH);
                    spent += clock(|| {
                        popped.extend((0..BATCH).filter_map(|_| heap.pop_due(&mut rows, &mut slots, Tick(u32::MAX))));
                    });
                    now += BATCH;
                    for ix in popped {
                        heap.set(&mut rows, &mut slots, ix, Tick((now + below(&mut rng, size)) as u32));
                    }
                }
                per_call(spent, calls)
            });
        });
    }
}

fn list(c: &mut Criterion) {
    let mut group = group(c, "list");
    for size in SIZES {
        let mut rng = seeded();
        let (mut list, mut slots) = (List::<()>::new(), vec![Slot::default(); size]);
        for _ in 0..size {
            list.push_back(&mut slots, below(&mut rng, size));
        }
        group.bench_function(BenchmarkId::new("move_to_back", size), |b| {
            b.iter(|| list.move_to_back(&mut slots, below(&mut rng, size)));
        });
    }
}

/// As large as a slot of a real table, so that neighbours do not share a cache line.
#[derive(Clone, Default)]
struct Slot {
    place: Place,
    hook: Hook,
    rest: [u64; 7],
}

impl Timed for Slot {
    fn place(&self) -> Place {
        self.place
    }

    fn place_mut(&mut self) -> &mut Place {
        &mut self.place
    }
}

impl Hooked<()> for Slot {
    fn hook(&self) -> &Hook {
        &self.hook
    }

    fn hook_mut(&mut self) -> &mut Hook {
        &mut self.hook
    }
}

fn group<'a>(c: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    group
}

fn clock(body: impl FnOnce()) -> Duration {
    let start = WallTime.start();
    body();
    WallTime.end(start)
}

/// The time of `calls` calls, from the time of as many whole batches as hold them.
fn per_call(spent: Duration, calls: u64) -> Duration {
    spent.mul_f64(calls as f64 / (calls.div_ceil(BATCH as u64) * BATCH as u64) as f64)
}

fn seeded() -> Rng {
    Rng::new(&Seed::new([7; 32]))
}

fn below(rng: &mut Rng, bound: usize) -> usize {
    rng.below(bound as u32) as usize
}

/// A key of one of sixteen topics.
fn any_key(rng: &mut Rng) -> Key {
    let topic = rng.below(16).wrapping_mul(0x9e37_79b9);
    Key::new(topic, u64::from(rng.next()) << 32 | u64::from(rng.next()))
}

fn any_item(rng: &mut Rng) -> Item {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&rng.next().to_le_bytes());
    Item::from_bytes(bytes)
}

fn shuffle(rng: &mut Rng, slots: &mut [usize]) {
    for n in (1..slots.len()).rev() {
        slots.swap(n, below(rng, n + 1));
    }
}
