//! The arena against a model that holds each payload in its own `Vec`.

use super::*;
use std::vec::Vec;
use std::{eprintln, vec};

/// Replays one seed: `SEED=0x… cargo test -p gossip-proto --features sim --lib arena`.
fn for_each_seed(count: u64, test: impl Fn(&mut Dice)) {
    struct Guard(u64);
    impl Drop for Guard {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("SEED={:#x} cargo test -p gossip-proto --features sim --lib arena", self.0);
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

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.word() as u8).collect()
    }
}

struct Model {
    arena: Arena,
    area: Vec<u8>,
    records: Vec<Option<(Loc, Vec<u8>)>>,
    used: usize,
    puts: usize,
}

impl Model {
    fn new(area: Vec<u8>, record_max: usize) -> Self {
        Self::of(Arena::new(area.len(), record_max, record_max), area)
    }

    fn of(arena: Arena, area: Vec<u8>) -> Self {
        let owners = 1 + arena.capacity() / 16;
        Self { arena, area, records: vec![None; owners], used: 0, puts: 0 }
    }

    /// Puts if admitted, and says whether it was; what is admitted must find its place.
    fn put(&mut self, owner: usize, payload: Vec<u8>) -> bool {
        let Self { arena, area, records, .. } = self;
        let cost = Arena::cost(payload.len());
        let mean = self.used.div_ceil(arena.page_count.into());
        let large = arena.page_count > 1 && cost > arena.page_len as usize / 16;
        let admitted = arena.admits(cost)
            && payload.len() <= arena.record_max()
            && (!large || cost + mean <= arena.page_len as usize - arena.page_len as usize / 16);
        let mut told = Vec::new();
        let loc = arena.alloc(area, owner as u32, payload.len(), &mut |owner, loc| {
            let (held, _) = records[owner as usize].as_mut().expect("a dead record moved");
            assert_ne!(*held, loc, "moved to where it was");
            *held = loc;
            told.push(owner);
        });
        assert_eq!(loc.is_some(), admitted, "cost {cost}, used {} of {}", self.used, arena.capacity());
        told.sort_unstable();
        assert!(told.windows(2).all(|pair| pair[0] != pair[1]), "told twice of one move");
        if let Some(loc) = loc {
            arena.get_mut(area, loc).copy_from_slice(&payload);
            records[owner] = Some((loc, payload));
            self.used += cost;
            self.puts += 1;
        }
        admitted
    }

    fn free(&mut self, owner: usize) {
        let Some((loc, payload)) = self.records[owner].take() else { return };
        self.arena.free(&mut self.area, loc);
        self.used -= Arena::cost(payload.len());
        assert_eq!(self.arena.owner(&self.area, loc), None);
        self.arena.free(&mut self.area, loc); // Nothing happens.
    }

    /// Resizes in place, or says that it could not. A shorter value always can.
    fn resize(&mut self, owner: usize, fill: u8, len: usize) -> bool {
        let Some((loc, payload)) = &mut self.records[owner] else { return true };
        let done = self.arena.resize(&mut self.area, *loc, len);
        if done {
            self.used = self.used + Arena::cost(len) - Arena::cost(payload.len());
            let common = len.min(payload.len());
            payload.resize(len, fill);
            self.arena.get_mut(&mut self.area, *loc)[common..].fill(fill);
        }
        assert!(done || len > payload.len(), "{} bytes did not shrink to {len}", payload.len());
        done
    }

    fn replace(&mut self, owner: usize, payload: Vec<u8>) -> bool {
        if self.resize(owner, 0, payload.len()) {
            let Some((loc, held)) = &mut self.records[owner] else { return true };
            self.arena.get_mut(&mut self.area, *loc).copy_from_slice(&payload);
            *held = payload;
            return true;
        }
        self.free(owner);
        self.put(owner, payload)
    }

    fn check_one(&self, owner: usize) {
        let Some((loc, payload)) = &self.records[owner] else { return };
        assert_eq!(self.arena.owner(&self.area, *loc), Some(owner as u32));
        assert_eq!(self.arena.get(&self.area, *loc), payload);
    }

    /// All records, and all that the arena believes of its pages.
    fn check(&self) {
        (0..self.records.len()).for_each(|owner| self.check_one(owner));
        assert_eq!(self.arena.used(), self.used);
        let arena = &self.arena;
        let mut live = vec![0; arena.page_count.into()];
        for (loc, payload) in self.records.iter().flatten() {
            let page = (loc.offset() - arena.page_start(0)) / arena.page_len as usize;
            live[page] += Arena::cost(payload.len());
        }
        let mut listed = Vec::new();
        for class in 0..CLASSES {
            let (mut prev, mut link) = (0, arena.heads[class]);
            assert_eq!(arena.classes >> class & 1 == 1, link != 0, "class {class}");
            while link != 0 {
                let page = Page::read(&self.area, link - 1);
                assert_eq!((page.prev, arena.class(page)), (prev, class));
                listed.push(link - 1);
                (prev, link) = (link, page.next);
            }
        }
        listed.extend((arena.fresh > 0).then_some(arena.open));
        listed.sort_unstable();
        assert_eq!(listed, (0..arena.fresh).collect::<Vec<_>>(), "each opened page is in one list, or open");
        for ix in listed {
            let page = Page::read(&self.area, ix);
            assert_eq!(page.live as usize, live[usize::from(ix)]);
            assert!(page.live <= page.end && page.end <= arena.page_len);
        }
    }
}

/// What sizes and frees look like in one run.
#[derive(Debug)]
struct Load {
    len_min: usize,
    len_max: usize,
    /// Lengths are one of the extremes, not between.
    extremes: bool,
    /// Of 16 operations, so many replace.
    replaces: usize,
    /// Frees a run of neighbours in age, not anyone.
    runs: bool,
}

impl Load {
    fn new(dice: &mut Dice, record_max: usize) -> Self {
        let len_min = dice.below(record_max + 1);
        let len_max = len_min + dice.below(record_max - len_min + 1);
        Self { len_min, len_max, extremes: dice.below(2) == 0, replaces: dice.below(12), runs: dice.below(2) == 0 }
    }

    fn payload(&self, dice: &mut Dice) -> Vec<u8> {
        let span = self.len_max - self.len_min;
        let len = self.len_min + if self.extremes { dice.below(2) * span } else { dice.below(span + 1) };
        let byte = dice.word() as u8;
        (0..len).map(|ix| byte.wrapping_add(ix as u8)).collect()
    }
}

/// Fills to the brim again and again under changing loads, and checks all of it every `check_every` operations.
fn churn(model: &mut Model, dice: &mut Dice, operations: usize, check_every: usize) {
    let mut load = Load::new(dice, model.arena.record_max());
    for step in 0..operations {
        if dice.below(2000) == 0 {
            load = Load::new(dice, model.arena.record_max());
        }
        let owner = dice.below(model.records.len());
        let payload = load.payload(dice);
        if model.records[owner].is_none() {
            if !model.put(owner, payload) && model.used > 0 {
                let run = if load.runs { 1 + model.records.len() / 8 } else { 1 };
                let first = dice.below(model.records.len());
                (first..(first + run).min(model.records.len())).for_each(|owner| model.free(owner));
            }
        } else if dice.below(16) < load.replaces {
            let _ = model.replace(owner, payload);
        } else if dice.below(3) == 0 {
            let _ = model.resize(owner, step as u8, payload.len());
        } else {
            model.free(owner);
        }
        model.check_one(owner);
        if step % check_every == 0 {
            model.check();
        }
    }
    model.check();
}

fn empty(model: &mut Model) {
    (0..model.records.len()).for_each(|owner| model.free(owner));
    model.check();
    assert_eq!(model.arena.used(), 0);
}

#[test]
fn follows_the_model_after_every_operation() {
    for_each_seed(300, |dice| {
        let area_len = dice.below(6000);
        let area = if dice.below(2) == 0 { vec![0; area_len] } else { dice.bytes(area_len) };
        let record_max = [1, 20, 60, 300, 5000][dice.below(5)];
        let mut model = Model::new(area, dice.below(record_max + 1));
        churn(&mut model, dice, 3000, 1);
        empty(&mut model);
    });
}

#[test]
fn a_million_admitted_puts_never_fail() {
    let puts = std::cell::Cell::new(0);
    for_each_seed(8, |dice| {
        for (area_len, record_max) in [(4096, 300), (20_000, 300), (65_536, 1200), (1 << 20, 1400), (3 << 20, 90)] {
            let mut model = Model::new(vec![0; area_len], record_max);
            churn(&mut model, dice, 120_000, 40_000);
            empty(&mut model);
            puts.set(puts.get() + model.puts);
        }
    });
    if std::env::var_os("SEED").is_none() {
        assert!(puts.get() >= 1_000_000, "only {} puts", puts.get());
    }
}

/// Pages of four largest records, among small ones: what is admitted is placed all the same.
#[test]
fn large_records_among_small_ones_never_fail() {
    let large_puts = std::cell::Cell::new(0);
    for_each_seed(8, |dice| {
        for (area_len, usual, largest) in [(20_000, 60, 900), (65_536, 100, 3000), (200_000, 300, 9000)] {
            let mut model = Model::of(Arena::new(area_len, usual, largest), vec![0; area_len]);
            let pages = usize::from(model.arena.page_count);
            assert!((3..=6).contains(&pages), "{pages} pages");
            for step in 0..20_000 {
                let owner = dice.below(model.records.len());
                let large = dice.below(4) == 0;
                let len = if large { usual + dice.below(largest - usual + 1) } else { dice.below(usual + 1) };
                if model.records[owner].is_some() {
                    model.free(owner);
                } else if model.put(owner, vec![step as u8; len]) {
                    large_puts.set(large_puts.get() + usize::from(large));
                } else {
                    // Seven of eight records go, the others keep every page in use.
                    let all = 0..model.records.len();
                    all.filter(|other| other % 8 != step % 8).for_each(|other| model.free(other));
                }
                if step % 500 == 0 {
                    model.check();
                }
            }
            model.check();
            // One of the largest is admitted while 11/16 or less are used.
            empty(&mut model);
            let filled = model.arena.capacity() / 7 * 8 * 11 / 16 - Arena::cost(0) * pages;
            for owner in 0.. {
                if model.used + Arena::cost(usual) > filled {
                    break;
                }
                assert!(model.put(owner, vec![1; usual]));
            }
            let last = model.records.len() - 1;
            assert!(model.put(last, vec![2; largest]), "{} of {}", model.used, model.arena.capacity());
        }
    });
    assert!(std::env::var_os("SEED").is_some() || large_puts.get() > 10_000, "only {}", large_puts.get());
}

/// Small records leave every page equally full of holes that are each too small; then only the largest are put.
#[test]
fn the_largest_fit_between_what_the_smallest_left() {
    for (area_len, record_max) in [(300, 60), (4096, 300), (20_000, 300), (60_000, 300), (1 << 20, 1200)] {
        for keep_every in 2..12 {
            let mut model = Model::new(vec![0; area_len], record_max);
            let owners = model.records.len();
            let filled = (0..owners).take_while(|owner| model.put(*owner, vec![1; 8])).count();
            (0..filled).filter(|owner| owner % keep_every != 0).for_each(|owner| model.free(owner));
            let largest = model.arena.record_max();
            let holes: Vec<usize> = (0..owners).filter(|owner| model.records[*owner].is_none()).collect();
            let put = holes.into_iter().take_while(|owner| model.put(*owner, vec![2; largest])).count();
            assert!(put > 0 && !model.arena.admits(Arena::cost(largest)), "{put} puts in {area_len}");
            model.check();
        }
    }
}

#[test]
fn replaces_where_it_is_and_grows_back_a_quarter() {
    let mut model = Model::new(vec![0; 4096], 300);
    assert!(model.put(1, vec![7; 100]) && model.put(2, vec![9; 100]));
    let place = model.records[1].as_ref().map(|(loc, _)| *loc);
    assert!(model.resize(1, 0, 80) && model.arena.used() == Arena::cost(80) + Arena::cost(100));
    assert!(model.resize(1, 1, 100), "under a quarter was kept");
    assert!(!model.resize(1, 1, 101), "the neighbour begins here");
    assert!(model.resize(1, 1, 70));
    assert!(!model.resize(1, 1, 80), "more than a quarter was cut off");
    assert!(model.resize(1, 1, 0) && model.put(1, vec![3; 300]));
    assert_eq!(model.arena.owner(&model.area, place.unwrap()), Some(1));
}

#[test]
fn a_full_arena_refuses_growth_and_takes_shrinking() {
    let mut model = Model::new(vec![0; 4096], 300);
    assert!(model.put(0, vec![1; 200]) && model.resize(0, 1, 180));
    let filled = (1..model.records.len()).take_while(|owner| model.put(*owner, vec![1; 8])).count();
    assert!(filled > 100 && !model.arena.admits(Arena::cost(8)));
    assert!(!model.resize(0, 1, 200), "there is room, but it is not admitted");
    assert!(model.resize(0, 1, 100) && model.put(filled + 1, vec![1; 8]));
    model.check();
}

#[test]
fn any_area_is_cut_within_its_bounds() {
    for record_max in [0, 1, 13, 300, 1400, RECORD_MAX, usize::MAX] {
        for area_len in (0..400).chain([4096, 10_000, 100_001, 1 << 24, 1 << 30, AREA_MAX, usize::MAX]) {
            let arena = Arena::new(area_len, record_max, 0);
            let context = std::format!("{area_len} bytes, record_max {record_max}: {arena:?}");
            let end = arena.page_start(arena.page_count - 1) + arena.page_len as usize;
            assert!(end <= area_len.max(Page::LEN) && end <= AREA_MAX, "{context}");
            assert!(arena.page_len as usize >> arena.class_shift < CLASSES, "{context}");
            let cost = Arena::cost(arena.record_max());
            assert!(arena.page_count == 1 || PAGE_RECORDS * cost <= arena.page_len as usize, "{context}");
            assert!(arena.page_count == 1 || arena.record_max() == record_max.min(RECORD_MAX), "{context}");
            assert!(cost <= arena.capacity().max(Record::LEN), "{context}");
            assert!(area_len < 4096 || arena.capacity() >= area_len.min(AREA_MAX) / 100 * 79, "{context}");
        }
    }
}

#[test]
fn the_largest_record_there_can_be() {
    let mut model = Model::new(vec![0; 40 << 20], RECORD_MAX);
    assert_eq!(model.arena.record_max(), 2_097_140);
    for owner in 0..8 {
        assert!(model.put(owner, vec![owner as u8; RECORD_MAX - owner]));
    }
    assert!(!model.put(9, vec![0; RECORD_MAX + 1]));
    assert!(model.resize(0, 1, RECORD_MAX - 9_000) && !model.resize(0, 1, RECORD_MAX), "slack has 13 bits");
    assert!(model.resize(1, 1, RECORD_MAX - 8_000) && model.resize(1, 1, RECORD_MAX - 1));
    model.check();
}

#[test]
fn a_damaged_area_or_place_does_no_harm() {
    for_each_seed(200, |dice| {
        let area_len = dice.below(20_000);
        let mut area = dice.bytes(area_len);
        let mut arena = Arena::new(area_len, dice.below(300), dice.below(400));
        let mut locs = vec![Loc::at(0), Loc::at(AREA_MAX - 1), Loc::at(area_len)];
        for _ in 0..2000 {
            let loc = locs[dice.below(locs.len())];
            let len = dice.below(310);
            match dice.below(8) {
                0 => arena.free(&mut area, loc),
                1 => drop(arena.resize(&mut area, loc, len)),
                2 => arena.get_mut(&mut area, loc).fill(dice.word() as u8),
                3 => locs.push(Loc::at(dice.below(area_len + 20))),
                4 => (0..4).for_each(|_| {
                    let at = dice.below(area_len);
                    area.iter_mut().skip(at).take(1).for_each(|byte| *byte = dice.word() as u8);
                }),
                _ => locs.extend(arena.alloc(&mut area, dice.word() as u32, len, &mut |_, _| ())),
            }
        }
    });
}

#[test]
fn sizes() {
    assert_eq!(size_of::<Option<Loc>>(), 4);
    assert!(size_of::<Arena>() <= 100, "{} bytes", size_of::<Arena>());
    assert_eq!([0, 1, 4, 5].map(Arena::cost), [8, 12, 12, 16]);
    assert!(!Arena::new(4096, 300, 300).admits(usize::MAX) && Arena::cost(usize::MAX) >= AREA_MAX - 3);
}
