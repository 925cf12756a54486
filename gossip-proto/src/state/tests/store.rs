//! The store against a model that is a map, in tables so small that every full rule is hit.

use std::collections::BTreeMap;
use std::vec::Vec;

use super::*;
use crate::error::PutError;
use crate::event::EntryChange;
use crate::slab::arena::Arena;
use crate::slab::index::Sum;
use crate::state::Outcome;
use crate::state::record::Record;
use crate::state::store::{Merged, Refused, content_len_max};
use crate::wire::EntryItem;

/// Keys in two topics and in none; prefixes of each other.
const KEYS: [&[u8]; 14] =
    [b"a/1", b"a/2", b"a/22", b"a/", b"b/1", b"b/2", b"b/x/1", b"a", b"c", b"cc", b"b", b"/", b"/1", b"a/3"];

struct World {
    store: Store<'static>,
    model: BTreeMap<Vec<u8>, Model>,
    blobs: BTreeMap<usize, Vec<u8>>,
    /// What an application knows that follows the events alone.
    told: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    /// Slots in order: the list of what is to be passed on.
    hot: Vec<(usize, u8)>,
    stamp: u64,
    full: [usize; 3],
}

type Snapshot = (Sum, Vec<(Vec<u8>, Vec<Owned>)>, (usize, usize), (usize, usize));

impl World {
    fn new(slots: usize, bytes: usize, datagram_len_max: u16) -> Self {
        let config = Config { datagram_len_max, ..Config::lan("test") };
        let (model, blobs, told, hot) = Default::default();
        Self { store: store(slots, bytes, &config), model, blobs, told, hot, stamp: 100, full: [0; 3] }
    }

    fn snapshot(&self) -> Snapshot {
        let store = &self.store;
        let all = self.model.keys().filter_map(|key| store.find(key)).map(|slot| {
            let versions = store.record(Some(slot)).versions();
            (store.key(slot).to_vec(), versions.map(|version| Owned::of(&version)).collect())
        });
        (store.root(), all.collect(), store.used(), store.bytes_used())
    }

    /// What the bytes of a key cost once its versions are these.
    fn cost(key: &[u8], model: &Model) -> usize {
        if model.0.is_empty() {
            0
        } else {
            Arena::cost(2 + key.len() + model.held().map(|held| held.len()).sum::<usize>())
        }
    }

    fn after(&mut self, before: &Snapshot, key: &[u8], next: Model, full: Option<Refused>, slot: Option<usize>) {
        let old = self.model.get(key).cloned().unwrap_or_default();
        let (slots, all) = self.store.used();
        let (used, capacity) = self.store.bytes_used();
        match full {
            None => {
                let slot = slot.expect("it was written");
                assert_eq!(self.store.find(key), Some(slot));
                self.model.insert(key.to_vec(), next);
            }
            Some(full) => {
                assert_eq!(self.snapshot(), *before, "a refusal changes nothing");
                if full == Refused::EntriesFull {
                    assert!(old.0.is_empty() && slots == all, "{slots} of {all}");
                    self.full[0] += 1;
                } else {
                    let need = used - Self::cost(key, &old) + Self::cost(key, &next);
                    let beside = used + Self::cost(key, &next);
                    let alone = next.0.len() == 1;
                    assert!(if alone { need > capacity } else { beside > capacity }, "{need} of {capacity}");
                    self.full[1] += 1;
                }
            }
        }
    }

    fn put(&mut self, dice: &mut Dice) {
        let key = KEYS[dice.below(KEYS.len())];
        let kind = if key[0] == b'b' { Kind::Siblings } else { Kind::Register };
        let kind = if dice.one_in(12) { Kind::Siblings } else { kind };
        let value = (!dice.one_in(3)).then(|| dice.bytes_below(40));
        self.stamp += dice.below(3) as u64;
        let writer = dice.below(3) as u64;
        let before = self.snapshot();
        let held = self.model.get(key).cloned().unwrap_or_default();
        let mut next = held.clone();
        next.write(kind, self.stamp, writer, value.clone());
        let result = self.store.put(writer, self.stamp, key, value.as_deref(), kind);
        if !held.values().is_empty() && held.kind() != kind {
            assert_eq!(result, Err(PutError::Kind));
            assert_eq!(self.snapshot(), before);
            return;
        }
        let (_, entries) = before.2;
        let (_, bytes) = before.3;
        let full = match result {
            Ok(_) => None,
            Err(PutError::EntriesFull { max }) if max == entries => Some(Refused::EntriesFull),
            Err(PutError::BytesFull { max }) if max == bytes => Some(Refused::BytesFull),
            Err(other) => panic!("{other:?}"),
        };
        self.after(&before, key, next, full, result.ok().map(|(slot, _)| slot));
    }

    fn merge(&mut self, dice: &mut Dice) {
        let key = KEYS[dice.below(KEYS.len())];
        let kind = if dice.one_in(3) { Kind::Register } else { Kind::Siblings };
        let kind = if dice.one_in(3) || key[0] == b'b' { kind } else { Kind::Register };
        let stamp = (self.stamp + 10).saturating_sub(dice.below(60) as u64);
        let seen: Vec<_> = (10..14).map(|writer| (writer, stamp - 1 - dice.below(20) as u64)).collect();
        let mut new = Owned::new(kind, stamp, 3 + dice.below(5) as u64, &seen[..dice.below(4)]);
        new.value = (!dice.one_in(4)).then(|| dice.bytes_below(40));
        let version = new.get().id();
        let item = EntryItem { kind: kind.to_wire(), key, version, ttl: new.ttl, value: new.value.as_deref() };
        let before = self.snapshot();
        let mut next = self.model.get(key).cloned().unwrap_or_default();
        let plan = next.merge(&new);
        let result = self.store.merge(&item);
        if let Ok(merged) = result {
            let outcome = match plan.verdict {
                Verdict::Take => Outcome::New,
                Verdict::Known => Outcome::Known,
                Verdict::Lost => Outcome::Stale,
            };
            let Merged { slot, conflict, dropped_sibling, .. } = merged;
            assert_eq!(
                merged,
                Merged {
                    slot,
                    outcome,
                    conflict: plan.conflict,
                    dropped_sibling: plan.dropped,
                    lacks: false,
                    reissued: false
                }
            );
            assert_eq!((conflict, dropped_sibling), (plan.conflict, plan.dropped));
            assert_eq!(self.store.merge(&item).map(|again| again.outcome == Outcome::New), Ok(false));
        }
        self.after(&before, key, next, result.err(), result.ok().map(|merged| merged.slot));
    }

    fn blob(&mut self, dice: &mut Dice) {
        let old = self.blobs.keys().nth(dice.below(self.blobs.len() + 1)).copied();
        let before = self.snapshot();
        if dice.one_in(3) {
            if let Some(slot) = old {
                self.store.blob_free(slot);
                self.store.blob_free(slot);
                self.blobs.remove(&slot);
            }
            return;
        }
        let bytes = dice.bytes_below(24);
        match self.store.blob_put(old, &bytes) {
            Some(slot) => {
                assert!(old.is_none_or(|old| old == slot));
                self.blobs.insert(slot, bytes);
            }
            None => {
                assert_eq!(self.snapshot(), before);
                self.full[2] += 1;
            }
        }
        let (_, slots) = self.store.used();
        let (_, bytes) = self.store.bytes_used();
        assert!(self.blobs.len() * 4 <= slots);
        assert!(self.blobs.values().map(|blob| Arena::cost(blob.len())).sum::<usize>() * 8 <= bytes);
    }

    fn heat(&mut self, dice: &mut Dice) {
        if dice.one_in(2) {
            let Some(slot) = self.store.find(KEYS[dice.below(KEYS.len())]) else { return };
            let (left, urgent) = (dice.below(4) as u8, dice.one_in(2));
            self.store.heat(slot, left, urgent);
            self.hot.retain(|&(other, _)| other != slot);
            if left > 0 {
                self.hot.insert(0, (slot, left));
            }
            assert_eq!(self.store.urgent(slot), urgent && left > 0);
        } else if !self.hot.is_empty() {
            let (slot, left) = self.hot.remove(dice.below(self.hot.len()));
            self.store.hot_sent(slot);
            if left > 1 {
                self.hot.push((slot, left - 1));
            } else {
                assert!(!self.store.urgent(slot));
            }
        }
        let hot = core::iter::successors(self.store.hot_first(), |&slot| self.store.hot_next(slot));
        assert!(hot.eq(self.hot.iter().map(|&(slot, _)| slot)));
        assert_eq!(self.store.hot_len(), self.hot.len());
    }

    fn poll(&mut self) -> bool {
        let Some((slot, change, conflict)) = self.store.poll_change() else {
            assert!(!self.store.has_change());
            return false;
        };
        let key = self.store.key(slot).to_vec();
        match change {
            EntryChange::Put => {
                let entry = self.store.entry(slot).expect("it has a value");
                self.told.insert(key, entry.values().map(|value| value.bytes.to_vec()).collect());
            }
            EntryChange::Deleted | EntryChange::Expired => {
                assert!(self.store.entry(slot).is_none());
                assert!(self.told.remove(&key).is_some() || conflict, "not told of what it never knew");
            }
        }
        true
    }

    fn check(&self, dice: &mut Dice) {
        let store = &self.store;
        let mut sum = Sum::default();
        let mut used = 0;
        for (key, model) in &self.model {
            let slot = store.find(key).expect("it is held");
            assert_eq!(store.find_hash(store.index().key(store.cells(), slot)), Some(slot));
            let record = store.record(Some(slot));
            assert!(record.versions().map(|version| Owned::of(&version)).eq(model.0.iter().cloned()));
            assert_eq!(store.versions(slot), model.0.len());
            for (n, version) in model.0.iter().enumerate() {
                let item = store.item(slot, n).expect("it is held");
                assert_eq!((item.key, item.value), (&key[..], version.value.as_deref()));
                assert_eq!((item.kind, item.version), (version.kind.to_wire(), version.get().id()));
            }
            let values: Vec<Vec<u8>> =
                store.entry(slot).iter().flat_map(|entry| entry.values()).map(|value| value.bytes.to_vec()).collect();
            assert_eq!(values, model.values());
            assert_eq!(
                store.entry(slot).map(|entry| (entry.kind(), entry.value().to_vec())),
                model.values().first().map(|value| (model.kind(), value.clone()))
            );
            assert_eq!(store.next_stamp_floor(key), model.0[0].stamp + 1);
            sum = sum + Sum::of(Some(StateHash::new(&[7; 16]).item(Record(record.0))));
            used += Self::cost(key, model);
        }
        assert_eq!(store.root(), sum);
        for (&slot, blob) in &self.blobs {
            assert_eq!(store.blob(slot), blob);
            assert!(store.entry(slot).is_none() && store.item(slot, 0).is_none() && store.key(slot).is_empty());
            used += Arena::cost(blob.len());
        }
        assert_eq!(store.used().0, self.model.len() + self.blobs.len());
        assert_eq!(store.bytes_used().0, used);
        let prefixes: [&[u8]; 8] = [b"", b"a", b"a/", b"a/2", b"b/x/", b"c", b"/", b"z/"];
        for prefix in [prefixes[dice.below(prefixes.len())], b""] {
            let mut keys: Vec<Vec<u8>> = store.scan(prefix).map(|entry| entry.key().to_vec()).collect();
            let places: Vec<_> = keys.iter().map(|key| StateHash::new(&[7; 16]).key(key)).collect();
            assert!(places.is_sorted());
            keys.sort();
            let live = self.model.iter().filter(|(key, model)| !model.values().is_empty() && key.starts_with(prefix));
            assert!(keys.iter().eq(live.map(|(key, _)| key)));
        }
        assert_eq!(store.iter().count(), store.scan(b"").count());
    }
}

#[test]
fn the_store_is_a_map_of_small_lists() {
    let full = core::cell::Cell::new([0; 3]);
    for_each_seed(400, |dice| {
        let mut world = World::new(4 + dice.below(12), 600 + dice.below(2000), 260);
        for _ in 0..300 {
            match dice.below(16) {
                0..=5 => world.put(dice),
                6..=10 => world.merge(dice),
                11 => world.blob(dice),
                12 | 13 => world.heat(dice),
                _ => {
                    world.poll();
                }
            }
            world.check(dice);
        }
        let slots = world.store.used().1;
        assert!((0..=slots).any(|_| !world.poll()), "told each slot once at most");
        let live = world.model.iter().filter(|(_, model)| !model.values().is_empty());
        let live: BTreeMap<_, _> = live.map(|(key, model)| (key.clone(), model.values())).collect();
        assert_eq!(world.told, live);
        // Deleted, an entry is a tombstone, and its values' bytes are free. A full store has no room for a tombstone
        // that is longer than a short value.
        let mut deleted = true;
        for key in world.model.keys().cloned().collect::<Vec<_>>() {
            while let Some(entry) = world.store.find(&key).and_then(|slot| world.store.entry(slot)) {
                let kind = entry.kind();
                if world.store.put(9, 1000, &key, None, kind).is_err() {
                    deleted = false;
                    break;
                }
            }
        }
        while world.poll() {}
        assert_eq!(world.told.len(), world.store.iter().count());
        if deleted {
            assert!(world.told.is_empty());
            let slots = world.model.keys().filter_map(|key| world.store.find(key));
            let shown = slots
                .map(|slot| world.store.record(Some(slot)))
                .flat_map(|record| record.versions().filter(move |version| version.kind == record.kind()));
            assert_eq!(shown.filter_map(|version| version.value).count(), 0);
        }
        full.set([0, 1, 2].map(|n| full.get()[n] + world.full[n]));
    });
    assert!(full.get().into_iter().all(|times| times > 100), "every full rule is hit: {:?}", full.get());
}

/// Stores that hold the same versions have the same root, however these came.
#[test]
fn the_root_does_not_depend_on_the_order() {
    for_each_seed(100, |dice| {
        let config = Config::lan("test");
        let mut stores: Vec<Store<'static>> = (0..3).map(|_| store(16, 16 << 10, &config)).collect();
        for step in 0..200 {
            let at = dice.below(3);
            let key = KEYS[dice.below(KEYS.len())];
            let kind = if dice.one_in(2) { Kind::Register } else { Kind::Siblings };
            let value = dice.bytes(5);
            let _ = stores[at].put(at as u64, step, key, (!dice.one_in(3)).then_some(&value), kind);
        }
        for _ in 0..6 {
            for (from, to) in [(0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)] {
                let mut slots: Vec<usize> = KEYS.iter().filter_map(|key| stores[from].find(key)).collect();
                dice.shuffle(&mut slots);
                for slot in slots {
                    for n in 0..stores[from].versions(slot) {
                        let mut bytes = [0; 400];
                        let bytes = postcard::to_slice(&stores[from].item(slot, n).expect("it is held"), &mut bytes)
                            .expect("it fits");
                        stores[to].merge(&postcard::from_bytes(bytes).expect("it reads")).expect("there is room");
                    }
                }
            }
        }
        assert_eq!(stores[0].root(), stores[1].root());
        assert_eq!(stores[0].root(), stores[2].root());
        assert!(stores[0].root().count > 10);
    });
}

#[test]
fn what_no_rule_allows_is_refused() {
    let mut store = store(8, 8 << 10, &Config::embedded("test"));
    let max = content_len_max(512);
    assert_eq!((store.content_len_max(), max), (386, 386));
    let good = EntryItem {
        kind: 0,
        key: b"k",
        version: Owned::new(Kind::Register, 5, 1, &[]).get().id(),
        ttl: 0,
        value: Some(b"v"),
    };
    let long = [0; 400];
    assert_eq!(store.merge(&EntryItem { kind: 6, ..good.clone() }), Err(Refused::Kind));
    assert_eq!(store.merge(&EntryItem { key: b"", ..good.clone() }), Err(Refused::KeyLen));
    assert_eq!(store.merge(&EntryItem { key: &long[..256], ..good.clone() }), Err(Refused::KeyLen));
    assert_eq!(store.merge(&EntryItem { value: Some(&long[..max]), ..good.clone() }), Err(Refused::ValueLen));
    let future = Owned::new(Kind::Register, 5, 1, &[(2, 5)]);
    assert_eq!(store.merge(&EntryItem { version: future.get().id(), ..good.clone() }), Err(Refused::Context));
    assert_eq!(store.put(1, 1, b"", None, Kind::Register), Err(PutError::KeyLen { max: 255 }));
    assert_eq!(store.put(1, 1, b"k", Some(&long[..max]), Kind::Register), Err(PutError::ValueLen { max }));
    assert_eq!(store.used().0, 0);
    assert!(store.put(1, 1, b"k", Some(&long[..max - 1]), Kind::Register).is_ok());
    // The longest item fits the datagram that the limit was made for.
    let full = Owned::new(Kind::Siblings, 5, 1, &[(2, 4), (3, 4), (4, 4)]);
    let (key, value) = (&long[..255], Some(&long[..max - 255]));
    let item =
        crate::wire::Message::Entry(EntryItem { kind: 1, key, version: full.get().id(), ttl: (1 << 28) - 1, value });
    let mut bytes = [0; 512];
    assert!(postcard::to_slice(&item, &mut bytes).is_ok_and(|bytes| bytes.len() <= 512 - 48));
}

#[test]
fn slots_and_bytes_left_over() {
    // The slices of a store may differ in length; the shortest counts. A store of nothing refuses everything.
    let mut nothing = store(0, 0, &Config::lan("test"));
    assert_eq!(nothing.put(1, 1, b"k", None, Kind::Register), Err(PutError::EntriesFull { max: 0 }));
    assert_eq!(nothing.blob_put(None, b""), None);
    let mut narrow = store(4, 0, &Config::lan("test"));
    assert_eq!(narrow.put(1, 1, b"k", None, Kind::Register), Err(PutError::BytesFull { max: 0 }));
    assert_eq!(narrow.used(), (0, 4));
    assert_eq!(size_of::<EntrySlot>(), if size_of::<crate::slab::Ix>() == 2 { 10 } else { 28 });
}

#[test]
fn a_write_that_came_and_went_is_not_told_but_a_lost_one_is() {
    let mut store = store(8, 8 << 10, &Config::lan("test"));
    store.put(1, 10, b"k", Some(b"v"), Kind::Register).expect("there is room");
    store.put(1, 11, b"k", None, Kind::Register).expect("there is room");
    assert_eq!(store.poll_change(), None);
    let (slot, _) = store.put(1, 12, b"k", Some(b"v"), Kind::Register).expect("there is room");
    let tombstone = Owned { value: None, ..Owned::new(Kind::Register, 13, 2, &[]) };
    let item = EntryItem { kind: 0, key: b"k", version: tombstone.get().id(), ttl: 0, value: None };
    let merged = store.merge(&item).expect("there is room");
    assert!(merged.conflict);
    assert_eq!(store.poll_change(), Some((slot, EntryChange::Deleted, true)));
    assert_eq!(store.poll_change(), None);
}
