use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

use super::*;
use crate::rng::{Rng, Seed};

fn item(rng: &mut Rng) -> Item {
    Item::from_bytes(core::array::from_fn(|_| rng.next() as u8))
}

fn key(rng: &mut Rng) -> Key {
    Key::new(rng.next() % 3, rng.secret())
}

/// A sketch is what is held, whatever came and went.
#[test]
fn a_sketch_does_not_depend_on_how_it_came_about() {
    let mut rng = Rng::new(&Seed::new([1; 32]));
    let (mut cells, mut held) = (vec![0; CELLS], BTreeMap::new());
    let keys: Vec<Key> = (0..100).map(|_| key(&mut rng)).collect();
    for _ in 0..5_000 {
        let key = keys[rng.below(100) as usize];
        let new = (rng.below(3) > 0).then(|| item(&mut rng));
        change(&mut cells, key, held.get(&key).copied(), new);
        match new {
            Some(new) => held.insert(key, new),
            None => held.remove(&key),
        };
    }
    let mut fresh = vec![0; CELLS];
    held.iter().for_each(|(key, item)| change(&mut fresh, *key, None, Some(*item)));
    assert_eq!(cells, fresh);
    held.iter().for_each(|(key, item)| change(&mut cells, *key, Some(*item), None));
    assert!(cells.iter().all(|cell| *cell == 0));
}

/// Differences of all sorts: only ours, only theirs, two versions. The estimate says how many cells it takes, and nearly
/// always it is right.
#[test]
fn differences_are_found_in_as_many_cells_as_estimated() {
    let mut rng = Rng::new(&Seed::new([2; 32]));
    for (differences, rounds, cells_max, missed_max) in [
        (1, 300, 24, 0),
        (2, 300, 24, 1),
        (10, 300, 38, 6),
        (40, 200, 176, 6),
        (100, 100, 400, 15),
        (1000, 10, 2048, 10),
    ] {
        let mut missed = 0;
        for _ in 0..rounds {
            let (mut ours, mut theirs) = (vec![0; CELLS], vec![0; CELLS]);
            for _ in 0..300 {
                let (key, item) = (key(&mut rng), item(&mut rng));
                change(&mut ours, key, None, Some(item));
                change(&mut theirs, key, None, Some(item));
            }
            let mut expected = Vec::new();
            for n in 0..differences {
                let (key, a, b) = (key(&mut rng), item(&mut rng), item(&mut rng));
                if n % 3 != 1 {
                    change(&mut ours, key, None, Some(a));
                }
                if n % 3 != 0 {
                    change(&mut theirs, key, None, Some(b));
                }
                expected.push(Short::of(key));
            }
            let len = cells_for(estimate(&ours), estimate(&theirs)).min(CELLS);
            assert!(len <= cells_max, "{len} cells for {differences}");
            let mut cells: Vec<Cell> = theirs[..len].to_vec();
            cells.iter_mut().zip(&ours).for_each(|(theirs, ours)| *theirs = ours.wrapping_sub(*theirs));
            let mut all = BTreeMap::new();
            // Of no key has a side several items.
            let is_true = |found: Found, _| found.gain.unsigned_abs() <= WEIGHT_MAX.into();
            if decode(&mut cells, is_true, |found| *all.entry(found.key).or_insert(0) += found.gain) {
                // Nothing vouches for keys here: one that was never there is found out, and taken back.
                all.retain(|_, gain| *gain != 0);
                expected.sort_unstable();
                assert!(all.into_keys().eq(expected));
            } else {
                missed += 1;
            }
        }
        assert!(missed <= missed_max, "{missed} of {rounds} times {differences} differences were not found");
    }
}

/// Keys of which one side has several items are found, too, though these count more than a sum's bits hold, or an even number; and
/// those of which both sides have other ones.
#[test]
fn keys_of_several_items_are_found() {
    let mut rng = Rng::new(&Seed::new([6; 32]));
    for round in 0..200 {
        let mut cells = vec![0; CELLS];
        let mut counted = BTreeMap::new();
        for n in 0..300 {
            let key = key(&mut rng);
            let items: Vec<Item> = (0..if n == 0 { 2 + round % 2 } else { 1 }).map(|_| item(&mut rng)).collect();
            items.iter().for_each(|item| change(&mut cells, key, None, Some(*item)));
            let mut ours = items.iter().map(|item| weight(*item)).sum::<i32>();
            if n == 0 && round % 4 == 3 {
                let other = item(&mut rng);
                change(&mut cells, key, Some(other), None);
                ours -= weight(other);
            }
            counted.insert(Short::of(key), ours);
        }
        let mut found = BTreeMap::new();
        let is_true = |one: Found, _| counted.get(&one.key) == Some(&one.gain);
        assert!(decode(&mut cells, is_true, |one| found.extend([(one.key, one.gain)])), "round {round}");
        assert_eq!(found, counted);
    }
}

/// Too many are told from few.
#[test]
fn what_no_sketch_finds_is_estimated_so() {
    let mut rng = Rng::new(&Seed::new([3; 32]));
    let mut few = 0;
    for _ in 0..50 {
        let mut cells = vec![0; CELLS];
        (0..20_000).for_each(|_| change(&mut cells, key(&mut rng), None, Some(item(&mut rng))));
        few += usize::from(cells_for(estimate(&cells), [0; ESTIMATE_LEN]) < CELLS / 2);
    }
    assert!(few <= 10, "{few} of 50");
}

/// Whatever the cells say, the work is bounded, and no more is found than there are cells.
#[test]
fn any_cells_come_to_an_end() {
    let mut rng = Rng::new(&Seed::new([4; 32]));
    for round in 0..200 {
        let mut cells: Vec<Cell> = (0..256)
            .map(|n| match round % 4 {
                0 => rng.secret(),
                1 => pack(1, Short(n)),
                2 => u64::MAX,
                _ => pack(-1, Short(u64::from(rng.next()))),
            })
            .collect();
        let mut count = 0;
        decode(&mut cells, |_, _| true, |_| count += 1);
        assert!(count <= 256);
    }
}

#[test]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods, reason = "what is measured is time")]
fn cells_it_takes() {
    let mut rng = Rng::new(&Seed::new([7; 32]));
    for d in [1, 2, 5, 10, 20, 30, 40, 60, 100, 200, 500, 1000] {
        let (mut asked, mut failed) = (vec![], 0);
        let rounds = if d > 100 { 100 } else { 1000 };
        let mut sketches = vec![];
        for _ in 0..rounds {
            let mut cells = vec![0; CELLS];
            for n in 0..d {
                let (key, a, b) = (key(&mut rng), item(&mut rng), item(&mut rng));
                change(&mut cells, key, (n % 3 != 1).then_some(a), (n % 3 != 0).then_some(b));
            }
            let len = cells_for(estimate(&cells), [0; ESTIMATE_LEN]).min(CELLS);
            cells.truncate(len);
            asked.push(len);
            sketches.push(cells);
        }
        let begin = std::time::Instant::now();
        sketches.iter_mut().for_each(|cells| failed += usize::from(!decode(cells, |_, _| true, |_| ())));
        let time = begin.elapsed() / rounds as u32;
        asked.sort_unstable();
        let at = |percent: usize| asked[(asked.len() - 1) * percent / 100];
        std::println!(
            "{d} differences: {} {} {} cells asked for (1 %, median, 99 %), {failed} of {rounds} failed, {time:?} each",
            at(1),
            at(50),
            at(99)
        );
    }
}

/// A total tells one difference of any sort, and nothing when there are more.
#[test]
fn a_total_tells_one_difference() {
    let mut rng = Rng::new(&Seed::new([9; 32]));
    let (mut ours, mut theirs, mut wrong) = (Total::default(), Total::default(), 0);
    for n in 0..3_000 {
        let (common, a, b) = (key(&mut rng), item(&mut rng), item(&mut rng));
        ours.change(common, None, Some(a));
        theirs.change(common, None, Some(a));
        assert_eq!(ours.single(theirs), None);
        let other = Key::new(rng.next() % 3, rng.secret());
        let (one, two) = ((n % 3 != 1).then_some(a), (n % 3 != 0).then_some(b));
        ours.change(other, None, one);
        theirs.change(other, None, two);
        assert_eq!(ours.single(theirs), Some(Short::of(other)));
        // Of two differences one in 2^8 or so looks like one: what comes of that is an entry too many.
        ours.change(Key::new(7, rng.secret()), None, Some(b));
        wrong += usize::from(ours.single(theirs).is_some());
        (ours, theirs) = (Total::default(), Total::default());
    }
    assert!(wrong < 30, "{wrong} of 3000");
}
