use std::collections::VecDeque;
use std::vec::Vec;

use super::*;
use crate::slab::index::tests::each_seed;

struct Red;
struct Blue;

#[derive(Clone, Default)]
struct Slot {
    red: Hook,
    blue: Hook,
}

impl Hooked<Red> for Slot {
    fn hook(&self) -> &Hook {
        &self.red
    }

    fn hook_mut(&mut self) -> &mut Hook {
        &mut self.red
    }
}

impl Hooked<Blue> for Slot {
    fn hook(&self) -> &Hook {
        &self.blue
    }

    fn hook_mut(&mut self) -> &mut Hook {
        &mut self.blue
    }
}

fn step<Tag>(list: &mut List<Tag>, slots: &mut [Slot], model: &mut VecDeque<usize>, ix: usize, choice: u32)
where
    Slot: Hooked<Tag>,
{
    if choice == 0 {
        assert_eq!(list.pop_front(slots), model.pop_front());
        return;
    }
    model.retain(|&other| other != ix);
    match choice {
        1 => list.push_front(slots, ix),
        2 => list.push_back(slots, ix),
        3 => list.move_to_back(slots, ix),
        _ => list.remove(slots, ix),
    }
    match choice {
        1 => model.push_front(ix),
        2 | 3 => model.push_back(ix),
        _ => {}
    }
}

fn check<Tag>(list: &List<Tag>, slots: &[Slot], model: &VecDeque<usize>)
where
    Slot: Hooked<Tag>,
{
    assert_eq!((list.len(), list.is_empty()), (model.len(), model.is_empty()));
    assert_eq!((list.first(), list.last()), (model.front().copied(), model.back().copied()));
    let forth: Vec<usize> = core::iter::successors(list.first(), |&ix| list.next(slots, ix)).collect();
    assert!(forth.iter().eq(model.iter()), "{forth:?} {model:?}");
    for (nth, &ix) in forth.iter().enumerate() {
        let before = nth.checked_sub(1).map_or(ix, |nth| forth[nth]);
        assert_eq!(
            list.ends.before(&mut Hooks(&mut slots.to_vec(), list.tag), Link::to(ix), *slots[ix].hook()),
            Link::to(before)
        );
    }
    for (ix, slot) in slots.iter().enumerate() {
        assert_eq!(list.is_linked(slots, ix), model.contains(&ix));
        assert!(list.is_linked(slots, ix) || *slot.hook() == Hook::default(), "unlisted hooks are all-zero");
    }
}

#[test]
fn agrees_with_a_deque() {
    each_seed(60, |rng| {
        let mut slots = std::vec![Slot::default(); 1 + rng.below(12) as usize];
        let (mut red, mut reds) = (List::<Red>::new(), VecDeque::new());
        let (mut blue, mut blues) = (List::<Blue>::new(), VecDeque::new());
        for _ in 0..500 {
            let (ix, choice) = (rng.below(slots.len() as u32) as usize, rng.below(6));
            if rng.below(2) == 0 {
                step(&mut red, &mut slots, &mut reds, ix, choice);
            } else {
                step(&mut blue, &mut slots, &mut blues, ix, choice);
            }
            check(&red, &slots, &reds);
            check(&blue, &slots, &blues);
        }
    });
}

#[test]
fn survives_corrupted_hooks() {
    each_seed(200, |rng| {
        let mut slots = std::vec![Slot::default(); 8];
        let draw = |rng: &mut crate::rng::Rng| match rng.below(12) {
            0 => Link::NONE,
            n => Link::to(n as usize),
        };
        slots.iter_mut().for_each(|slot| slot.red = Hook::of(draw(rng), draw(rng)));
        let mut list = List::<Red> { ends: Ends { head: draw(rng), tail: draw(rng), len: 1 }, tag: PhantomData };
        for _ in 0..60 {
            let ix = rng.below(10) as usize;
            match rng.below(5) {
                0 => list.push_front(&mut slots, ix),
                1 => list.push_back(&mut slots, ix),
                2 => list.move_to_back(&mut slots, ix),
                3 => list.remove(&mut slots, ix),
                _ => _ = list.pop_front(&mut slots),
            }
            _ = (list.next(&slots, ix), list.is_linked(&slots, ix), list.first(), list.last());
        }
    });
}
