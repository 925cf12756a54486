use std::collections::BTreeMap;
use std::vec::Vec;

use super::*;
use crate::slab::index::tests::each_seed;

#[derive(Clone, Default)]
struct Slot(Place);

impl Timed for Slot {
    fn place(&self) -> Place {
        self.0
    }

    fn place_mut(&mut self) -> &mut Place {
        &mut self.0
    }
}

fn check(heap: &Deadlines, rows: &[Row], slots: &[Slot], model: &BTreeMap<usize, u32>) {
    assert_eq!(heap.next(rows).map(|tick| tick.0), model.values().min().copied());
    for ix in 0..slots.len() {
        let tick = heap.get(rows, slots, ix).map(|tick| tick.0);
        assert_eq!(tick, model.get(&ix).copied());
        #[cfg(not(any(target_os = "none", gossip_ix16)))]
        if let Some(at) = slots[ix].0.0.get() {
            assert_eq!(rows[at].slot as usize, ix, "the row and the slot point at each other");
            assert!(at < heap.len() && (at == 0 || rows[(at - 1) / ARITY].tick <= rows[at].tick), "heap order");
        }
    }
    let odd = |ix: &usize| ix % 2 == 1;
    let first_odd = model.iter().filter(|(ix, _)| odd(ix)).min_by_key(|(_, tick)| **tick).map(|(ix, _)| *ix);
    assert_eq!(heap.first_of(rows, &|ix| odd(&ix)), first_odd);
    #[cfg(not(any(target_os = "none", gossip_ix16)))]
    {
        assert_eq!((heap.len(), heap.is_empty()), (model.len(), model.is_empty()));
        assert!(rows[heap.len()..].iter().all(|row| (row.tick, row.slot) == (0, 0)), "unused rows are all-zero");
    }
}

#[test]
fn agrees_with_a_map() {
    each_seed(60, |rng| {
        let len = 1 + rng.below(60) as usize;
        let (mut rows, mut slots) = (std::vec![Row::default(); len], std::vec![Slot::default(); len]);
        let (mut heap, mut model) = (Deadlines::new(), BTreeMap::new());
        // From all ticks equal to all ticks different.
        let spread = 1 << rng.below(32);
        for _ in 0..600 {
            let (ix, tick) = (rng.below(len as u32) as usize, rng.below(spread));
            match rng.below(4) {
                0 => {
                    heap.clear(&mut rows, &mut slots, ix);
                    model.remove(&ix);
                }
                1 => match heap.pop_due(&mut rows, &mut slots, Tick(tick)) {
                    None => assert!(model.values().all(|&other| other > tick)),
                    Some(due) => {
                        let first = model.iter().min_by_key(|(_, tick)| **tick).map(|(ix, _)| *ix);
                        assert_eq!(first, Some(due), "of equal ticks the lowest slot");
                        model.remove(&due);
                    }
                },
                _ => {
                    heap.set(&mut rows, &mut slots, ix, Tick(tick));
                    model.insert(ix, tick);
                }
            }
            check(&heap, &rows, &slots, &model);
        }
    });
}

#[test]
fn pops_in_order_what_is_due_and_nothing_else() {
    each_seed(10, |rng| {
        let (mut rows, mut slots) = (std::vec![Row::default(); 500], std::vec![Slot::default(); 500]);
        let mut heap = Deadlines::new();
        let ticks: Vec<u32> = (0..500).map(|_| rng.below(1000)).collect();
        ticks.iter().enumerate().for_each(|(ix, &tick)| heap.set(&mut rows, &mut slots, ix, Tick(tick)));
        let mut popped = Vec::new();
        while let Some(ix) = heap.pop_due(&mut rows, &mut slots, Tick(600)) {
            assert_eq!(heap.get(&rows, &slots, ix), None);
            popped.push(ticks[ix]);
        }
        let mut due: Vec<u32> = ticks.into_iter().filter(|&tick| tick <= 600).collect();
        due.sort_unstable();
        assert_eq!(popped, due);
    });
}

#[cfg(not(any(target_os = "none", gossip_ix16)))]
#[test]
fn survives_corrupted_rows() {
    each_seed(200, |rng| {
        let (mut rows, mut slots) = (std::vec![Row::default(); 12], std::vec![Slot::default(); 12]);
        let mut heap = Deadlines { len: rng.below(20) as Ix };
        rows.iter_mut().for_each(|row| *row = Row { tick: rng.below(9), slot: rng.below(20) as Ix });
        slots.iter_mut().for_each(|slot| slot.0 = Place(Link::to(rng.below(20) as usize)));
        for _ in 0..60 {
            let (ix, tick) = (rng.below(14) as usize, Tick(rng.below(9)));
            heap.set(&mut rows, &mut slots, ix, tick);
            heap.clear(&mut rows, &mut slots, rng.below(14) as usize);
            _ = (heap.pop_due(&mut rows, &mut slots, tick), heap.next(&rows), heap.get(&rows, &slots, ix));
        }
    });
}
