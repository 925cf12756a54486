//! The rules of merging, exhaustively over a small world and at random over a larger one.

use std::collections::BTreeSet;
use std::vec::Vec;

use super::*;
use crate::state::merge::{SIBLINGS_MAX, VERSIONS_MAX};

/// The rules as they are written, all at once: what is held of a set of versions.
fn fold(all: &[Owned]) -> Model {
    let mut sorted: Vec<&Owned> = all.iter().collect();
    sorted.sort_by(|a, b| b.get().order(&a.get()));
    sorted.dedup();
    let mut kept: Vec<Owned> = Vec::new();
    for version in sorted {
        if version.kind == Kind::Register {
            kept.push(version.clone());
            break;
        }
        if kept.len() < SIBLINGS_MAX && !kept.iter().any(|newer| version.get().covered_by(&newer.get())) {
            kept.push(version.clone());
        }
    }
    Model(kept)
}

/// Three writers, stamps up to three, every context that a writer can have had.
fn small_world(kind: Kind) -> Vec<Owned> {
    let mut all = Vec::new();
    for writer in 0..3 {
        for stamp in 1..=3 {
            for (first, second) in (0..stamp).flat_map(|first| (0..stamp).map(move |second| (first, second))) {
                let others = (0..3).filter(|&other| other != writer).zip([first, second]);
                let seen: Vec<_> = others.filter(|&(_, stamp)| stamp > 0).collect();
                all.push(Owned::new(kind, stamp, writer, &seen));
            }
        }
    }
    all
}

/// Whether who covers a version also covers what that covers: no context was cut short.
fn is_closed(all: &[Owned]) -> bool {
    let covers = |a: &Owned, b: &Owned| a != b && b.get().covered_by(&a.get());
    all.iter().all(|a| all.iter().all(|b| !covers(a, b) || all.iter().all(|c| !covers(b, c) || covers(a, c))))
}

fn distinct_dots(all: &[Owned]) -> bool {
    all.iter().enumerate().all(|(n, a)| all[..n].iter().all(|b| (a.stamp, a.writer) != (b.stamp, b.writer)))
}

/// Calls `test` with every order of `all`.
fn permutations(all: &mut [Owned], at: usize, test: &mut dyn FnMut(&[Owned])) {
    if at == all.len() {
        return test(all);
    }
    for n in at..all.len() {
        all.swap(at, n);
        permutations(all, at + 1, test);
        all.swap(at, n);
    }
}

/// Merges in this order; every step agrees with the rules as written, and reports what it loses.
fn run(order: &[Owned]) -> Model {
    let mut model = Model::default();
    for new in order {
        let before = model.clone();
        let plan = model.merge(new);
        let mut all = before.0.clone();
        all.push(new.clone());
        assert_eq!(model, fold(&all), "step {new:?} upon {before:?}");
        assert!(model.0.len() <= VERSIONS_MAX);
        let shown = model.shown();
        let lost = before.shown().into_iter().chain([new.clone()]).any(|version| {
            !shown.contains(&version)
                && !model.0.iter().any(|held| *held != version && version.get().covered_by(&held.get()))
        });
        let reported = plan.conflict || plan.dropped;
        if plan.verdict == Verdict::Known {
            assert!(!reported);
        } else {
            assert_eq!(lost, reported, "{plan:?} of {new:?} upon {before:?}");
        }
        assert_eq!(model.clone().merge(new).verdict == Verdict::Known, plan.verdict != Verdict::Lost);
    }
    model
}

/// Replicas tell each other what they hold until nothing changes; they end equal.
fn exchange(replicas: &mut [Model]) {
    for round in 0.. {
        assert!(round < 100, "no end: {replicas:?}");
        let before = replicas.to_vec();
        for from in 0..replicas.len() {
            for to in 0..replicas.len() {
                for version in replicas[from].0.clone() {
                    replicas[to].merge(&version);
                }
            }
        }
        if before == *replicas {
            break;
        }
    }
    for replica in &*replicas {
        assert_eq!(replica, &replicas[0]);
    }
}

fn check(set: &mut [Owned]) {
    let registers = set.iter().all(|version| version.kind == Kind::Register);
    // Two writes with one dot are a broken writer's: they still end equal, after an exchange.
    let any_order = registers || is_closed(set) && distinct_dots(set);
    let expected = fold(set);
    let mut ends: Vec<Model> = Vec::new();
    permutations(set, 0, &mut |order| {
        let end = run(order);
        if any_order {
            assert_eq!(end, expected, "{order:?}");
        } else if !ends.contains(&end) {
            ends.push(end);
        }
    });
    if !ends.is_empty() {
        exchange(&mut ends);
    }
}

/// Every order of every `stride`-th set of `size` versions.
fn check_sets(world: &[Owned], size: usize, stride: usize) {
    let mut chosen: Vec<usize> = (0..size).collect();
    for n in 1.. {
        if n % stride == 0 {
            check(&mut chosen.iter().map(|&n| world[n].clone()).collect::<Vec<_>>());
        }
        // The next set: the last number that can grow does, and those after it follow at once.
        let Some(at) = (0..size).rfind(|&at| chosen[at] < world.len() - size + at) else { break };
        let from = chosen[at] + 1;
        chosen[at..].iter_mut().zip(from..).for_each(|(place, n)| *place = n);
    }
}

#[test]
fn registers_end_equal_in_any_order() {
    let world = small_world(Kind::Register);
    check_sets(&world, 2, 1);
    check_sets(&world, 3, 1);
    check_sets(&world, 4, 7);
}

#[test]
fn siblings_end_equal_in_any_order() {
    let world = small_world(Kind::Siblings);
    check_sets(&world, 2, 1);
    check_sets(&world, 3, 1);
    check_sets(&world, 4, 13);
    check_sets(&world, 5, 997);
}

/// Elements of a set are merged as siblings are.
#[test]
fn elements_end_equal_in_any_order() {
    let world = small_world(Kind::Set);
    check_sets(&world, 2, 1);
    check_sets(&world, 3, 1);
    check_sets(&world, 4, 101);
}

#[test]
fn mixed_kinds_end_equal_in_any_order() {
    let mut world = small_world(Kind::Register);
    world.extend(small_world(Kind::Siblings));
    check_sets(&world, 2, 1);
    check_sets(&world, 3, 1);
    check_sets(&world, 4, 211);
    check_sets(&world, 5, 19_997);
}

#[test]
fn many_writers_end_equal_after_an_exchange() {
    for_each_seed(3_000, |dice| {
        let count = 1 + dice.below(12);
        let mut set: Vec<Owned> = (0..count)
            .map(|_| {
                let kind = if dice.one_in(6) { Kind::Register } else { Kind::Siblings };
                let (stamp, writer) = (1 + dice.below(9) as u64, dice.below(9) as u64);
                let mut seen: Vec<(u64, u64)> =
                    (0..9).filter(|&w| w != writer).map(|w| (w, dice.below(stamp as usize) as u64)).collect();
                dice.shuffle(&mut seen);
                seen.retain(|&(_, stamp)| stamp > 0);
                seen.truncate(dice.below(4));
                Owned::new(kind, stamp, writer, &seen)
            })
            .collect();
        set.sort_by_key(|version| (version.stamp, version.writer));
        set.dedup_by_key(|version| (version.stamp, version.writer));
        let mut replicas: Vec<Model> = (0..4)
            .map(|_| {
                let mut mine: Vec<Owned> = set.iter().filter(|_| !dice.one_in(3)).cloned().collect();
                mine.extend(mine.clone());
                dice.shuffle(&mut mine);
                run(&mine)
            })
            .collect();
        exchange(&mut replicas);
    });
}

/// Replicas write and tell, with every write's true past kept beside it. What vanishes without its loss being reported
/// was in the past of something that stays.
#[test]
fn a_context_cut_short_hides_no_conflict() {
    for_each_seed(4_000, |dice| {
        let mut replicas = std::vec![Model::default(); 2 + dice.below(6)];
        let mut pasts: Vec<(Owned, BTreeSet<usize>)> = Vec::new();
        let number = |pasts: &[(Owned, BTreeSet<usize>)], version: &Owned| {
            pasts.iter().position(|(other, _)| other == version).expect("every version was written")
        };
        let only = match dice.below(3) {
            0 => Some(Kind::Register),
            1 => Some(Kind::Siblings),
            _ => None,
        };
        for step in 0..60 {
            let at = dice.below(replicas.len());
            let before = replicas[at].shown();
            let (new, reported) = if dice.one_in(3) {
                let kind = only.unwrap_or(if dice.one_in(2) { Kind::Register } else { Kind::Siblings });
                // A life has seen all its own writes.
                let own = pasts.iter().enumerate().filter(|(_, (other, _))| other.writer == at as u64);
                let mut past: BTreeSet<usize> =
                    own.flat_map(|(n, (_, past))| past.iter().copied().chain([n])).collect();
                for held in &replicas[at].0 {
                    let n = number(&pasts, held);
                    past.insert(n);
                    past.extend(&pasts[n].1);
                }
                let value = (!dice.one_in(4)).then(|| std::format!("{step}").into());
                let new = replicas[at].write(kind, 0, at as u64, value);
                pasts.push((new.clone(), past));
                (new, false)
            } else {
                let from = dice.below(replicas.len());
                let count = replicas[from].0.len();
                let Some(new) = replicas[from].0.get(dice.below(count)).cloned() else { continue };
                let plan = replicas[at].merge(&new);
                if plan.verdict == Verdict::Known {
                    continue;
                }
                (new, plan.conflict || plan.dropped)
            };
            let after = replicas[at].clone();
            let lost = before.iter().chain([&new]).any(|version| {
                let n = number(&pasts, version);
                !after.shown().contains(version)
                    && !after.0.iter().any(|held| pasts[number(&pasts, held)].1.contains(&n))
            });
            assert!(reported || !lost, "{before:?} and {new:?} became {after:?}");
        }
        exchange(&mut replicas);
    });
}

#[test]
fn a_write_resolves_the_siblings_that_it_was_made_upon() {
    // Old pairs in contexts do not displace what is held: else this sibling of writer 9 could never be deleted.
    let mut model = Model::default();
    model.merge(&Owned::new(Kind::Siblings, 100, 1, &[(2, 99), (3, 98), (4, 97)]));
    model.merge(&Owned::new(Kind::Siblings, 50, 9, &[]));
    assert_eq!(model.values().len(), 2);
    model.write(Kind::Siblings, 0, 5, None);
    assert_eq!(model.values().len(), 0);
    // Of four siblings of others, the oldest stays until the next write.
    let mut model = Model::default();
    for writer in 1..=4 {
        model.merge(&Owned::new(Kind::Siblings, 10 + writer, writer, &[]));
    }
    model.write(Kind::Siblings, 0, 9, None);
    assert_eq!(model.values(), [b"11-1"]);
    model.write(Kind::Siblings, 0, 9, None);
    assert_eq!(model.values().len(), 0);
}

#[test]
fn a_fifth_sibling_drops_the_oldest() {
    let mut model = Model::default();
    for writer in 1..=4 {
        assert!(!model.merge(&Owned::new(Kind::Siblings, 10 + writer, writer, &[])).dropped);
    }
    let plan = model.merge(&Owned::new(Kind::Siblings, 30, 9, &[]));
    assert!(plan.dropped && !plan.conflict);
    assert_eq!(model.values(), [&b"30-9"[..], b"14-4", b"13-3", b"12-2"]);
    let plan = model.merge(&Owned::new(Kind::Siblings, 5, 8, &[]));
    assert_eq!((plan.verdict, plan.dropped), (Verdict::Lost, true));
}

#[test]
fn contexts_are_of_others_and_of_the_past() {
    let sound = |version: Owned| version.get().is_sound();
    assert!(sound(Owned::new(Kind::Register, 9, 1, &[(2, 8)])));
    assert!(!sound(Owned::new(Kind::Register, 9, 1, &[(2, 9)])));
    assert!(!sound(Owned::new(Kind::Register, 9, 1, &[(1, 3)])));
}
