//! Scopes against plain sets.

use std::vec::Vec;

use super::{CEILING_MAX, TOPICS_MAX};
use crate::rng::{Rng, Seed};
use crate::slab::index::{Cells, Index, Item, Key, Prefix, Sum};

type Scope = super::Scope;

const TOPICS: [u32; 6] = [0, 1, 0x8000_0000, 0x8000_0001, 0xffff_fffe, u32::MAX];

fn key(rng: &mut Rng) -> Key {
    let topic = TOPICS[rng.below(6) as usize];
    Key::new(topic, u64::from(rng.next()) << 32 | u64::from(rng.next()))
}

fn scope(rng: &mut Rng) -> Scope {
    let mut scope = if rng.below(2) == 0 { Scope::ALL } else { Scope::of_topics([]).unwrap() };
    for _ in 0..rng.below(5) {
        let _ = scope.set(TOPICS[rng.below(6) as usize], rng.below(33) as u8);
    }
    scope
}

fn said(bytes: &[u8]) -> Scope {
    let mut scope = Scope::ALL;
    scope.cut(bytes);
    scope
}

#[test]
fn sums_and_steps_are_those_of_the_set() {
    let mut rng = Rng::new(&Seed::new([3; 32]));
    let (mut index, mut cells) = (Index::new(), Cells::with_len(300));
    let mut all = Vec::new();
    for ix in 0..cells.len() {
        let item = Item::from_bytes(core::array::from_fn(|_| rng.next() as u8));
        let key = key(&mut rng);
        if index.insert(&mut cells, ix, key, Some(item)) {
            all.push((key, Sum::of(Some(item))));
        }
    }
    all.sort_by_key(|(key, _)| *key);
    for _ in 0..2000 {
        let (a, b) = (scope(&mut rng), scope(&mut rng));
        let mut shared = b.clone();
        a.narrow(&mut shared);
        let near = all[rng.below(all.len() as u32) as usize].0;
        let prefix = Prefix::of(near, [0, 4, 28, 32, 36, 40, 44][rng.below(7) as usize]);
        let expected = |scope: &Scope| {
            let wanted = all.iter().filter(|(key, _)| prefix.contains(*key) && scope.wants(*key));
            wanted.fold(Sum::default(), |total, (_, item)| total + *item)
        };
        assert_eq!(a.sum(&index, &cells, prefix), expected(&a), "{a:?} {prefix:?}");
        assert_eq!(shared.sum(&index, &cells, prefix), expected(&shared), "{a:?} {b:?} {prefix:?}");
        for (key, _) in &all {
            assert_eq!(shared.wants(*key), a.wants(*key) && b.wants(*key), "{a:?} {b:?}");
        }
        let from = key(&mut rng);
        let next = all.iter().map(|(key, _)| *key).find(|key| *key >= from && shared.wants(*key));
        let step = shared.next(from);
        assert!(step.is_none_or(|step| step >= from && shared.wants(step)));
        assert!(next.is_none_or(|next| step.is_some_and(|step| step <= next)), "{shared:?} {from:?}");
        assert_eq!(said(&a.to_bytes()), a);
    }
}

#[test]
fn a_scope_lists_eight_topics() {
    assert_eq!(Scope::of_topics(0..TOPICS_MAX as u32 + 1), None);
    let mut scope = Scope::of_topics(0..TOPICS_MAX as u32).unwrap();
    assert_eq!(scope.set(77, 1), None);
    assert_eq!(scope.set(3, 5), Some(()));
    assert_eq!((scope.lowest(), scope.ceiling(3), scope.ceiling(77)), (Some((3, 5)), 5, 0));
    let mut all = Scope::ALL;
    assert_eq!((all.set(3, 31), all.is_all()), (Some(()), false));
    assert_eq!((all.set(3, CEILING_MAX), all.is_all()), (Some(()), true));
    assert_eq!(said(&[]), Scope::ALL);
    assert_eq!(said(&[0, 1, 2, 3]), Scope::of_topics([]).unwrap());
}
