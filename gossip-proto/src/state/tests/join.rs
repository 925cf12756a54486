//! Values that join, counters and sets: exhaustively over a small world, and against models that remember everything.

use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::vec::Vec;

use super::*;
use crate::config::Merge;
use crate::error::PutError;
use crate::slab::index::Prefix;
use crate::state::PartKey;
use crate::state::counter::{Part, is_reset};
use crate::state::join::bury;
use crate::state::store::{Merged, Outcome, Refused};
use crate::wire::EntryItem;

/// The union of sorted bytes; of anything else, of the bytes in it.
fn union(_: u8, a: &[u8], b: &[u8], join: &mut [u8]) -> usize {
    let all: BTreeSet<u8> = a.iter().chain(b).copied().collect();
    join.iter_mut().zip(&all).for_each(|(to, from)| *to = *from);
    all.len()
}

fn config() -> Config {
    Config { merge: Some(Merge(union)), ..Config::lan("test") }
}

/// A store with one key, and what it says.
fn merge(store: &mut Store<'_>, key: &[u8], new: &Owned) -> Result<Merged, Refused> {
    let version = new.get().id();
    store.merge(&EntryItem { kind: new.kind.to_wire(), key, version, ttl: new.ttl, value: new.value.as_deref() })
}

fn held(store: &Store<'_>, kind: Kind, key: &[u8]) -> Option<Owned> {
    let record = store.record(store.find_part(kind, key));
    record.versions().next().map(|version| Owned::of(&version))
}

fn part(grown: [i64; 2], deleted: [i64; 2]) -> Vec<u8> {
    let add = |part: Part, all: [i64; 2]| part.add(all[0]).0.add(-all[1]).0;
    let begun = add(Part::default(), deleted).delete();
    add(begun, [grown[0] - deleted[0], grown[1] - deleted[1]]).to_bytes().as_bytes().to_vec()
}

/// Three stamps, epochs up to each, what a delete may have seen, and a few values.
fn small_world(kind: Kind) -> Vec<Owned> {
    let values: Vec<Option<Vec<u8>>> = match kind {
        Kind::Counter => [[1, 0, 0, 0], [2, 0, 0, 0], [2, 0, 1, 0], [1, 1, 0, 0], [2, 1, 2, 1]]
            .map(|[a, b, c, d]| Some(part([a, b], [c, d])))
            .into(),
        _ => std::vec![None, Some(b"a".to_vec()), Some(b"b".to_vec()), Some(b"ab".to_vec())],
    };
    let mut all = Vec::new();
    for epoch in 0..=2 {
        for stamp in epoch.max(1)..=3 {
            for value in &values {
                let mut contexts = std::vec![Vec::new()];
                if epoch > 0 && kind != Kind::Counter {
                    let ended =
                        Owned { kind, stamp: 1, writer: 0, context: Vec::new(), ttl: 0, value: Some(b"a".to_vec()) };
                    contexts.push(bury(Some(ended.get())).as_bytes().to_vec());
                }
                for context in contexts {
                    all.push(Owned { kind, stamp, writer: epoch, context, ttl: 0, value: value.clone() });
                }
            }
        }
    }
    all
}

/// What is held of a set of versions, by the rule as it is written.
fn fold(all: &[Owned]) -> Owned {
    let epoch = all.iter().map(|version| version.writer).max().expect("there are some");
    let epoch: Vec<&Owned> = all.iter().filter(|version| version.writer == epoch).collect();
    let meta = |version: &Owned| (version.stamp, version.context.clone());
    let Some(best) = epoch.iter().filter(|version| version.value.is_some()).max_by(|a, b| {
        let values = match a.kind {
            Kind::Max => a.value.cmp(&b.value),
            Kind::Min => b.value.cmp(&a.value),
            _ => core::cmp::Ordering::Equal,
        };
        values.then(meta(a).cmp(&meta(b)))
    }) else {
        return (*epoch.iter().max_by_key(|version| meta(version)).expect("there are some")).clone();
    };
    let values = epoch.iter().filter_map(|version| version.value.as_deref());
    let value = match best.kind {
        Kind::App(_) => values.flatten().copied().collect::<BTreeSet<u8>>().into_iter().collect(),
        Kind::Counter => {
            let parts = values.map(|bytes| Part::from_bytes(bytes).expect("it is one"));
            parts.reduce(Part::join).expect("there are some").to_bytes().as_bytes().to_vec()
        }
        _ => best.value.clone().expect("it has one"),
    };
    Owned { value: Some(value), ..(*best).clone() }
}

/// Merges in this order, each twice. What is ended unseen is reported, and nothing else is.
fn run(store: &mut Store<'_>, key: &[u8], order: &[&Owned]) -> Owned {
    let kind = order[0].kind;
    for &new in order {
        let before = held(store, kind, key);
        let merged = merge(store, key, new).expect("there is room");
        let after = held(store, kind, key).expect("something is held");
        let lost = before.iter().chain([new]).any(|version| {
            let seen = bury(Some(Owned { context: Vec::new(), ..version.clone() }.get()));
            version.value.is_some()
                && version.writer < after.writer
                && kind != Kind::Counter
                && !after.context.chunks(16).any(|pair| pair == seen.as_bytes())
        });
        assert_eq!(merged.conflict, lost, "{new:?} upon {before:?}");
        assert_eq!(merged.outcome == Outcome::New, before.as_ref() != Some(&after));
        assert_eq!(merged.outcome == Outcome::Known, before.as_ref() == Some(new));
        assert_ne!(merge(store, key, new).expect("there is room").outcome, Outcome::New, "a duplicate changes nothing");
    }
    held(store, kind, key).expect("something is held")
}

#[test]
fn values_join_equal_in_any_order() {
    for kind in [Kind::Max, Kind::Min, Kind::App(3), Kind::Counter] {
        let world = small_world(kind);
        // Each order has a key of its own; links of 16 bits reach no further.
        let fresh = || store(60_000, 16 << 20, &config());
        let mut held = fresh();
        let mut number = 0_u64;
        let mut check = |set: &[usize]| {
            let all: Vec<Owned> = set.iter().map(|&n| world[n].clone()).collect();
            let expected = fold(&all);
            let mut order: Vec<usize> = (0..set.len()).collect();
            permute(&mut order, 0, &mut |order| {
                number += 1;
                if number.is_multiple_of(60_000) {
                    held = fresh();
                }
                let mut key = b"k/12345678".to_vec();
                key[2..].copy_from_slice(&number.to_be_bytes());
                let order: Vec<&Owned> = order.iter().map(|&n| &all[n]).collect();
                let end = run(&mut held, &key, &order);
                assert_eq!(end, expected, "{order:?}");
            });
        };
        let size = world.len();
        for a in 0..size {
            for b in a + 1..size {
                check(&[a, b]);
                for c in b + 1..size {
                    if (a + b * 3 + c * 7) % 3 == 0 {
                        check(&[a, b, c]);
                    }
                    for d in (c + 1..size).filter(|d| (a + b * 3 + c * 7 + d * 11) % 41 == 0) {
                        check(&[a, b, c, d]);
                    }
                }
            }
        }
        assert!(number > 10_000, "{number}");
    }
}

fn permute(order: &mut [usize], at: usize, test: &mut dyn FnMut(&[usize])) {
    if at == order.len() {
        return test(order);
    }
    for n in at..order.len() {
        order.swap(at, n);
        permute(order, at + 1, test);
        order.swap(at, n);
    }
}

/// Sends the newest version of everything from one store to another.
fn tell(from: &Store<'_>, to: &mut Store<'_>, mut merged: impl FnMut(Merged)) {
    for slot in from.range(Prefix::ROOT) {
        for n in 0..from.versions(slot) {
            merged(to.merge(&from.item(slot, n).expect("it is held")).expect("there is room"));
        }
    }
}

/// The epoch and the value of a write, or of what a delete ended.
type Write = (u64, Vec<u8>);

/// Whether a value is in what another one has become.
fn absorbs(kind: Kind, all: &[u8], one: &[u8]) -> bool {
    match kind {
        Kind::Max => all >= one,
        Kind::Min => all <= one,
        _ => one.iter().all(|byte| all.contains(byte)),
    }
}

/// One key, many writes and deletes; which writes each replica holds, and which values deletes have ended, is remembered
/// beside it. A write that vanishes and is reported to nobody was in a value that was deleted knowingly.
#[test]
fn a_delete_that_did_not_see_a_write_says_so() {
    for kind in [Kind::Max, Kind::Min, Kind::App(0)] {
        let losses = core::cell::Cell::new(0);
        for_each_seed(400, |dice| {
            let mut replicas: Vec<_> = (0..3)
                .map(|_| (store(4, 8 << 10, &config()), BTreeSet::<Write>::new(), BTreeSet::<Write>::new()))
                .collect();
            let now = |store: &Store<'_>| held(store, kind, b"k").map_or((0, None), |held| (held.writer, held.value));
            for step in 0..60_u64 {
                let at = dice.below(3);
                match dice.below(6) {
                    0 | 1 => {
                        let value = [dice.word() as u8];
                        let (store, holds, _) = &mut replicas[at];
                        store.put(at as u64 + 1, step / 8, b"k", Some(&value), kind).expect("there is room");
                        holds.insert((now(store).0, value.into()));
                    }
                    2 => {
                        let (store, holds, ended) = &mut replicas[at];
                        let (epoch, Some(value)) = now(store) else { continue };
                        store.put(at as u64 + 1, step / 8, b"k", None, kind).expect("there is room");
                        holds.clear();
                        ended.insert((epoch, value));
                    }
                    _ => {
                        let from = dice.below(3);
                        if from == at {
                            continue;
                        }
                        let [(from, their_holds, their_ended), (to, holds, ended)] =
                            replicas.get_disjoint_mut([from, at]).expect("they are two");
                        let (theirs, ours) = (now(from).0, now(to).0);
                        let unseen = |holds: &BTreeSet<Write>, ended: &BTreeSet<Write>| {
                            let seen =
                                |one: &&Write| ended.iter().any(|all| all.0 == one.0 && absorbs(kind, &all.1, &one.1));
                            holds.iter().filter(|one| !seen(one)).cloned().collect::<Vec<Write>>()
                        };
                        let mut conflict = false;
                        tell(from, to, |merged| conflict |= merged.conflict);
                        let lost = match theirs.cmp(&ours) {
                            core::cmp::Ordering::Equal => {
                                holds.extend(their_holds.iter().cloned());
                                ended.extend(their_ended.iter().cloned());
                                Vec::new()
                            }
                            core::cmp::Ordering::Less => unseen(their_holds, ended),
                            core::cmp::Ordering::Greater => {
                                let lost = unseen(holds, their_ended);
                                (*holds, *ended) = (their_holds.clone(), their_ended.clone());
                                lost
                            }
                        };
                        losses.set(losses.get() + lost.len());
                        assert!(conflict || lost.is_empty(), "{lost:?}");
                    }
                }
            }
        });
        assert!(losses.get() > 1000, "writes were lost: {}", losses.get());
    }
}

/// Counters in four stores, of which one forgets all now and then, against sets of increments.
#[test]
fn a_counter_is_the_sum_of_what_was_added_and_not_deleted() {
    for_each_seed(200, |dice| {
        let names: [&[u8]; 3] = [b"a/hits", b"a/hit", b"s"];
        let new = || (store(64, 16 << 10, &config()), BTreeMap::<_, i64>::new(), BTreeSet::new());
        let mut stores: Vec<_> = (0..4).map(|_| new()).collect();
        let mut lives = [1_u64, 2, 3, 4];
        for step in 0..120_u64 {
            let at = dice.below(4);
            let name = names[dice.below(3)];
            match dice.below(10) {
                0..=3 => {
                    let delta = dice.below(2000) as i64 - 1000;
                    let (store, added, _) = &mut stores[at];
                    store.count(lives[at], step, name, delta).expect("there is room");
                    added.insert((name, step), delta);
                }
                4 => {
                    let (store, added, deleted) = &mut stores[at];
                    let mut last = None;
                    while let Some((slot, _)) = store.uncount(last, step, name).expect("it fits") {
                        last = Some(slot);
                    }
                    deleted.extend(added.keys().filter(|(of, _)| *of == name).copied());
                    assert_eq!(store.sum(name), None);
                }
                5 if dice.one_in(4) => {
                    stores[at] = new();
                    lives[at] = 10 + step;
                }
                _ => {
                    let from = dice.below(4);
                    if let Ok([(from, theirs, their_deleted), (to, added, deleted)]) =
                        stores.get_disjoint_mut([from, at])
                    {
                        tell(from, to, |_| ());
                        added.append(&mut theirs.clone());
                        deleted.append(&mut their_deleted.clone());
                    }
                }
            }
            let (store, added, deleted) = &stores[at];
            for name in names {
                let left = added.iter().filter(|((of, step), _)| *of == name && !deleted.contains(&(*of, *step)));
                let sum: i64 = left.map(|(_, delta)| delta).sum();
                assert_eq!(store.sum(name).unwrap_or(0), sum, "{step}");
            }
        }
    });
}

#[test]
fn a_counter_stands_still_at_its_ends() {
    let mut store = store(16, 8 << 10, &config());
    for step in 1..=4 {
        store.count(7, step, b"c", i64::MAX).expect("there is room");
    }
    assert_eq!(store.sum(b"c"), Some(i64::MAX));
    store.count(8, 5, b"c", i64::MIN).expect("there is room");
    store.count(8, 6, b"c", i64::MIN).expect("there is room");
    assert_eq!(store.sum(b"c"), Some(0), "2^64 - 1 in each direction");
    store.count(8, 7, b"c", i64::MIN).expect("there is room");
    assert_eq!(store.sum(b"c"), Some(0));
    store.count(8, 8, b"c", 7).expect("there is room");
    assert_eq!(store.sum(b"c"), Some(7));
    // Deleted, a part that came to its end counts again.
    let mut last = None;
    while let Some((slot, _)) = store.uncount(last, 9, b"c").expect("it fits") {
        last = Some(slot);
    }
    assert_eq!(store.sum(b"c"), None);
    store.count(7, 10, b"c", 5).expect("there is room");
    assert_eq!(store.sum(b"c"), Some(5));
    // A part that was begun anew wins over what others hold of it, whatever that counted to.
    let mut other = super::store(16, 8 << 10, &config());
    let stale = Owned {
        kind: Kind::Counter,
        stamp: 4,
        writer: 1,
        context: Vec::new(),
        ttl: 0,
        value: Some(part([900, 0], [0, 0])),
    };
    let mut key = PartKey::new();
    let key = key.of(Kind::Counter, b"c", &7_u64.to_le_bytes()).expect("it is short");
    merge(&mut other, key, &stale).expect("there is room");
    tell(&store, &mut other, |merged| assert!(!merged.conflict));
    assert_eq!(other.sum(b"c"), Some(5));
}

/// A delete always fits: a part is never longer for it.
#[test]
fn a_part_is_written_in_one_way() {
    for_each_seed(3_000, |dice| {
        let mut number = || (dice.word() >> dice.below(64)) as i64 & i64::MAX;
        let (first, second) = ([number(), number()], [number(), number()]);
        let grown = Part::default().add(first[0]).0.add(-first[1]).0;
        let part = grown.delete().add(second[0]).0;
        for part in [grown, grown.delete(), part, part.delete(), part.add(-second[1]).0] {
            let bytes = part.to_bytes();
            assert_eq!(Part::from_bytes(bytes.as_bytes()), Some(part));
            assert!(part.delete().to_bytes().as_bytes().len() <= bytes.as_bytes().len(), "{part:?}");
            assert_eq!(part.join(part.delete()), part.delete());
            assert_eq!(is_reset(bytes.as_bytes()), part.delete() == part, "{part:?}");
            let mut long = bytes.as_bytes().to_vec();
            long.push(0);
            assert_eq!(Part::from_bytes(&long), None, "zeros at the end");
        }
        let junk = dice.bytes_below(44);
        if let Some(part) = Part::from_bytes(&junk) {
            assert_eq!(part.to_bytes().as_bytes(), junk);
        }
    });
    assert_eq!(Part::from_bytes(&[0x80]), None);
    assert_eq!(Part::from_bytes(&[0x81, 0x00, 0x01]), None, "a number in more bytes than it takes");
    assert_eq!(Part::from_bytes(&[0xff; 9]), None);
}

/// Sets in three stores against sets of adds, of which a remove takes those that it saw.
#[test]
fn an_add_wins_over_a_remove_that_did_not_see_it() {
    let wins = core::cell::Cell::new(0);
    for_each_seed(400, |dice| {
        let mut stores: Vec<_> = (0..3)
            .map(|_| (store(32, 16 << 10, &config()), BTreeSet::<(u8, u64)>::new(), BTreeSet::<(u8, u64)>::new()))
            .collect();
        for step in 1..80_u64 {
            let at = dice.below(3);
            let element = b'a' + dice.below(3) as u8;
            let mut key = PartKey::new();
            let key = key.of(Kind::Set, b"set", &[element]).expect("it is short");
            let (store, added, removed) = &mut stores[at];
            match dice.below(6) {
                0 | 1 => {
                    store.put(at as u64, step, key, Some(b""), Kind::Set).expect("there is room");
                    added.insert((element, step));
                }
                2 => {
                    if store.has_part(Kind::Set, key) {
                        store.put(at as u64, step, key, None, Kind::Set).expect("there is room");
                        removed.extend(added.iter().filter(|(of, _)| *of == element));
                    }
                }
                _ => {
                    let from = dice.below(3);
                    if let Ok([(from, theirs, their_removed), (to, added, removed)]) =
                        stores.get_disjoint_mut([from, at])
                    {
                        let seen = removed.len();
                        tell(from, to, |_| ());
                        added.extend(theirs.iter());
                        removed.extend(their_removed.iter());
                        wins.set(wins.get() + usize::from(removed.len() > seen && removed.len() < added.len()));
                    }
                }
            }
            let (store, added, removed) = &stores[at];
            let members: BTreeSet<u8> = store.parts(Kind::Set, b"set").map(|(_, entry)| entry.part()[0]).collect();
            let expected: BTreeSet<u8> = added.difference(removed).map(|(element, _)| *element).collect();
            assert_eq!(members, expected);
        }
    });
    assert!(wins.get() > 1000, "{}", wins.get());
}

/// Names that begin alike, elements with every byte, and an entry whose key is that of a part: all are apart.
#[test]
fn names_elements_and_keys_do_not_meet() {
    let mut store = store(64, 32 << 10, &config());
    let mut add = |name: &[u8], element: &[u8]| {
        let mut key = PartKey::new();
        let key = key.of(Kind::Set, name, element).expect("it is short");
        store.put(1, 1, key, Some(b""), Kind::Set).expect("there is room");
        store.put(1, 1, key, Some(b"plain"), Kind::Register).expect("there is room");
    };
    add(b"a", b"bc");
    add(b"ab", b"c");
    add(b"a", b"");
    add(b"a", b"/x/\x00");
    add(b"a/b", b"c");
    store.count(1, 1, b"a", 3).expect("there is room");
    store.put(1, 1, b"a", Some(b"plain"), Kind::Siblings).expect("there is room");
    let members = |name: &[u8]| {
        let mut all: Vec<Vec<u8>> = store.parts(Kind::Set, name).map(|(_, entry)| entry.part().to_vec()).collect();
        all.sort();
        all
    };
    assert_eq!(members(b"a"), [&b""[..], b"/x/\0", b"bc"]);
    assert_eq!(
        (members(b"ab"), members(b"a/b"), members(b"abc")),
        ([b"c".to_vec()].into(), [b"c".to_vec()].into(), [].into())
    );
    assert_eq!(store.sum(b"a"), Some(3));
    assert_eq!(store.entry(store.find(b"a").expect("it is held")).map(|entry| entry.value()), Some(&b"plain"[..]));
    assert_eq!(store.scan(b"a").filter(|entry| entry.kind() == Kind::Set).count(), 5);
    assert_eq!(store.scan(b"a/").map(|entry| entry.kind()).filter(|kind| *kind == Kind::Set).count(), 1);
    assert_eq!(store.used().0, 12);
    let long = [7; 255];
    assert_eq!(PartKey::new().of(Kind::Set, &long[..200], &long[..55]).err(), Some(PutError::KeyLen { max: 199 }));
    assert!(PartKey::new().of(Kind::Set, &long[..199], &long[..55]).is_ok());
    assert_eq!(PartKey::new().of(Kind::Set, b"", b"x").err(), Some(PutError::KeyLen { max: 253 }));
    assert_eq!(PartKey::new().of(Kind::Set, b"a", &[7; 300]).err(), Some(PutError::KeyLen { max: 0 }));
}

#[test]
fn a_name_is_read_without_a_walk_through_its_topic() {
    let count = 60_000;
    let mut store = store(count + 100, 32 << 20, &config());
    for n in 0..count {
        store.put(1, 1, format!("t/{n}").as_bytes(), Some(b"v"), Kind::Register).expect("there is room");
    }
    for name in [&b"t/set"[..], b"t/other"] {
        for n in 0..10 {
            let mut key = PartKey::new();
            let key = key.of(Kind::Set, name, &[n]).expect("it is short");
            store.put(1, 1, key, Some(b""), Kind::Set).expect("there is room");
        }
        assert_eq!(store.parts(Kind::Set, name).count(), 10);
        let visited = store.range(Prefix::of(store.hash.name(name), 48)).count();
        assert!(visited < 20, "{visited}");
    }
}

#[test]
fn what_no_rule_of_these_kinds_allows_is_refused() {
    let mut full = store(8, 8 << 10, &config());
    let max = |context: &[(u64, u64)], epoch| Owned { writer: epoch, ..Owned::new(Kind::Max, 5, 0, context) };
    assert_eq!(merge(&mut full, b"k", &max(&[], 6)), Err(Refused::Context), "an epoch that is to come");
    assert_eq!(merge(&mut full, b"k", &max(&[(9, 3)], 3)), Err(Refused::Context));
    assert!(merge(&mut full, b"k", &max(&[(9, 2)], 3)).is_ok());
    let counter = |value: Option<&[u8]>| Owned { value: value.map(Into::into), ..Owned::new(Kind::Counter, 5, 0, &[]) };
    for bad in [None, Some(&b"\0"[..]), Some(b"\x80"), Some(&[0xff; 20])] {
        assert_eq!(merge(&mut full, b"c12345678", &counter(bad)), Err(Refused::Value));
    }
    assert_eq!(merge(&mut full, b"12345678", &counter(Some(&[1]))), Err(Refused::KeyLen), "no name");
    assert_eq!(merge(&mut full, b"a\x01", &Owned::new(Kind::Set, 5, 1, &[])), Err(Refused::KeyLen), "no name");
    // A function that wants more room than there is.
    fn greedy(_: u8, _: &[u8], _: &[u8], join: &mut [u8]) -> usize {
        join.len() + 1
    }
    let mut store = store(8, 8 << 10, &Config { merge: Some(Merge(greedy)), ..Config::lan("test") });
    let app = |value: &[u8]| Owned { value: Some(value.into()), ..Owned::new(Kind::App(7), 5, 0, &[]) };
    assert!(merge(&mut store, b"k", &app(b"one")).is_ok());
    let before = (store.root(), store.bytes_used());
    assert_eq!(merge(&mut store, b"k", &app(b"two")), Err(Refused::Value));
    assert_eq!(
        store.put(1, 1, b"k", Some(b"two"), Kind::App(7)).err(),
        Some(PutError::ValueLen { max: store.content_len_max() })
    );
    assert_eq!((store.root(), store.bytes_used()), before);
    assert_eq!(store.put(1, 1, b"k", Some(b"x"), Kind::App(8)).err(), Some(PutError::Kind));
    // A key keeps its kind, even deleted; only registers and siblings follow each other.
    let mut store = super::store(8, 8 << 10, &Config::lan("test"));
    assert_eq!(store.put(1, 1, b"k", Some(b"x"), Kind::App(0)).err(), Some(PutError::Kind), "no function");
    assert_eq!(merge(&mut store, b"k", &app(b"one")), Err(Refused::Kind));
    store.put(1, 1, b"k", Some(b"x"), Kind::Min).expect("there is room");
    assert_eq!(store.put(1, 1, b"k", Some(b"x"), Kind::Max).err(), Some(PutError::Kind));
    store.put(1, 1, b"k", None, Kind::Min).expect("there is room");
    assert_eq!(store.put(1, 1, b"k", Some(b"x"), Kind::Register).err(), Some(PutError::Kind));
}

/// Of kinds that do not merge the greater one wins, in any order, and says what it cost.
#[test]
fn a_key_has_one_kind_everywhere() {
    let all = [Kind::Siblings, Kind::Max, Kind::Min, Kind::App(0), Kind::App(7)]
        .map(|kind| Owned { writer: 0, ..Owned::new(kind, 5, 0, &[]) });
    let mut store = store(800, 128 << 10, &config());
    let mut order: Vec<usize> = (0..all.len()).collect();
    let mut number = 0_u16;
    permute(&mut order, 0, &mut |order| {
        number += 1;
        let key = number.to_be_bytes();
        for &n in order {
            let merged = merge(&mut store, &key, &all[n]).expect("there is room");
            assert_eq!(merged.conflict, n != order[0], "all but the first meet another kind");
        }
        assert_eq!(held(&store, Kind::Max, &key), Some(all[4].clone()));
    });
}

#[test]
fn a_merge_function_can_be_checked() {
    fn last(_: u8, _: &[u8], b: &[u8], join: &mut [u8]) -> usize {
        join.iter_mut().zip(b).for_each(|(to, from)| *to = *from);
        b.len()
    }
    let mut scratch = [0; 64];
    assert!(Merge(union).check(0, [b"abc", b"bd", b"x"], &mut scratch));
    assert!(!Merge(last).check(0, [b"abc", b"bd", b"x"], &mut scratch));
    assert!(!Merge(union).check(0, [b"abc", b"bd", b"x"], &mut [0; 8]), "no room");
}
