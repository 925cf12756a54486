//! Large values: registers that do not fit in a datagram, and the places of those that are still coming in.
//!
//! Knows: what is announced of a large version; a *hidden* record, which is not in the index, so that no reader, no
//! summary and no other node sees it, and which takes its entry's place once it is whole. Does not know: who has the
//! bytes, or when to ask for them.
//! When full: a version that finds no slot, or no bytes beside those of the old one, is refused, and nothing changed.
//!
//! What is pulled is a record of the one version, key and all. A hidden record is that, and behind it one bit for each unit
//! that has come. So nothing is moved when it is whole: the bits are cut off, and the slot of the entry takes the bytes.

use super::entry::Kind;
use super::lifetimes::TTL_MAX;
use super::merge::{Plan, Verdict, plan};
use super::record::{self, Record};
use super::slot::Flag;
use super::store::{Merged, Outcome, Refused, Store, content_len_max};
use super::version::Version;
use crate::config::Config;
use crate::slab::shift;
use crate::wire::{Large, UNIT};

/// Whether a node can hold such values at all: what only they need is left out where it cannot.
const POSSIBLE: bool = cfg!(feature = "large");

/// What a version is worth that was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// It is held already.
    Known,
    /// Something newer is held in this slot; whether a write is lost by that.
    Stale(usize, bool),
    /// It is to be pulled.
    Wanted,
}

/// The longest record: one large register, and siblings above it.
pub(super) fn record_len_max(config: &Config) -> usize {
    let (usual, value) = (record::len_max(content_len_max(config.datagram_len_max)), config.value_len_max as usize);
    let whole = record::len_max_of_one(value);
    if !POSSIBLE || value == 0 { usual } else { usual + whole + bits_len(whole) }
}

impl Store<'_> {
    pub(super) fn fits_len(&self, key: &[u8], value_len: usize, kind: Kind) -> bool {
        key.len() + value_len <= self.content_len_max
            || POSSIBLE && kind == Kind::Register && value_len <= self.value_len_max
    }

    /// Whether the largest record that the configuration allows fits; else how many bytes it takes.
    pub(crate) fn holds_largest(&self, config: &Config) -> Result<(), usize> {
        let largest = record_len_max(config);
        let short = POSSIBLE && config.value_len_max > 0 && self.arena.record_max() < largest;
        if short { Err(largest / 7 * 8 + 64) } else { Ok(()) }
    }

    /// How many bytes the arena was given.
    pub(crate) fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// The version in a slot that is too long to be sent whole, if there is one: a register, the last in its record.
    pub(crate) fn large(&self, slot: usize) -> Option<Large> {
        if !POSSIBLE {
            return None;
        }
        let record = self.record(Some(slot));
        let version = record.versions().last()?;
        if record.key().len() + version.value?.len() <= self.content_len_max {
            return None;
        }
        let (key, len) = (self.key_hash(slot), (record.body() + version.len()) as u32);
        Some(Large { key, stamp: version.stamp, writer: version.writer, len, digest: self.digest_of_last(slot)? })
    }

    /// What a record of the last version alone would add to the summary.
    fn digest_of_last(&self, slot: usize) -> Option<[u8; 12]> {
        let record = self.record(Some(slot));
        if record.versions().count() == 1 {
            return Some(self.index.item(&self.cells, slot).to_bytes());
        }
        let version = record.last_bytes()?;
        Some(self.hash.item_of(&[&[record.key().len() as u8, 1], record.key(), version]).to_bytes())
    }

    #[cfg(test)]
    pub(crate) fn digest_of(&self, record: &[u8]) -> [u8; 12] {
        self.hash.item(Record(record)).to_bytes()
    }

    /// Bytes of the record of the large version alone, from a unit on: up to `len`, or fewer where siblings part them.
    pub(crate) fn large_bytes<'s>(&'s self, slot: usize, from: usize, len: usize, buf: &'s mut [u8; UNIT]) -> &'s [u8] {
        let record = self.record(Some(slot));
        let (body, version) = (record.body(), record.last_bytes().unwrap_or(&[]));
        if record.versions().count() == 1 {
            let rest = record.0.get(from..).unwrap_or(&[]);
            return rest.get(..len).unwrap_or(rest);
        }
        if let Some(at) = from.checked_sub(body) {
            let rest = version.get(at..).unwrap_or(&[]);
            return rest.get(..len).unwrap_or(rest);
        }
        let head = [record.key().len() as u8, 1].into_iter().chain(record.key().iter().copied());
        let all = head.chain(version.iter().copied()).skip(from);
        let used = buf.iter_mut().zip(all).map(|(to, from)| *to = from).count();
        buf.get(..used).unwrap_or(&[])
    }

    /// What a version is worth that was announced.
    pub(crate) fn worth(&mut self, new: &Large) -> Result<Worth, Refused> {
        if new.len as usize > record::len_max_of_one(self.value_len_max.max(self.content_len_max)) {
            return Err(Refused::ValueLen);
        }
        if !self.scope.wants(new.key) {
            return Err(Refused::Unwanted);
        }
        let Some(slot) = self.find_hash(new.key) else { return Ok(Worth::Wanted) };
        let record = self.record(Some(slot));
        let same = |held: Version<'_>| (held.stamp, held.writer) == (new.stamp, new.writer) && held.value.is_some();
        if record.versions().last().is_some_and(same) {
            // Of two values with one dot, which only a broken writer makes, the bytes decide.
            return Ok(if self.digest_of_last(slot) == Some(new.digest) { Worth::Known } else { Worth::Wanted });
        }
        // Of a register its dot is enough to tell whether it is to be taken.
        let (stamp, writer) = (new.stamp, new.writer);
        let version = Version { kind: Kind::Register, stamp, writer, context: &[], ttl: 0, value: Some(&[]) };
        let Plan { verdict, conflict, .. } = plan(record.versions(), &version);
        if verdict == Verdict::Take {
            return Ok(Worth::Wanted);
        }
        // How long it lives is not said: taken to be longer than what it lost to.
        self.mark(slot, &version);
        self.note(slot, false, conflict);
        Ok(Worth::Stale(slot, conflict))
    }

    /// Makes room for a record of which `len` bytes are to come, and says where.
    pub(crate) fn hide(&mut self, len: usize) -> Result<usize, Refused> {
        let slot = self.take_slot().ok_or(Refused::EntriesFull)?;
        if !self.reserve(slot, len + bits_len(len)) {
            self.give_slot(slot);
            return Err(Refused::BytesFull);
        }
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.set(Flag::Blob, true);
        }
        self.blobs += 1;
        self.empty(slot, len);
        Ok(slot)
    }

    /// Gives back what [`Store::hide`] took.
    pub(crate) fn unhide(&mut self, slot: usize) {
        self.blobs = self.blobs.saturating_sub(1);
        self.free_bytes(slot);
        self.give_slot(slot);
    }

    /// Whether a unit of a hidden record of `len` bytes is still to come.
    pub(crate) fn lacks(&self, slot: usize, len: usize, unit: usize) -> bool {
        self.blob(slot).get(len + unit / 8).is_some_and(|byte| byte >> (unit % 8) & 1 == 0)
    }

    /// Takes in bytes of a hidden record of `len` bytes from a unit on, and says how many units were new; `None` if they
    /// are not bytes of this record, in whole units.
    pub(crate) fn fill_in(&mut self, slot: usize, len: usize, unit: usize, chunk: &[u8]) -> Option<usize> {
        let start = unit.checked_mul(UNIT)?;
        let end = start.checked_add(chunk.len())?;
        if chunk.is_empty() || end > len || !chunk.len().is_multiple_of(UNIT) && end != len {
            return None;
        }
        let (record, bits) = self.record_mut(slot).split_at_mut_checked(len)?;
        let mut new = 0;
        for (n, (to, from)) in record.get_mut(start..end)?.chunks_mut(UNIT).zip(chunk.chunks(UNIT)).enumerate() {
            let byte = bits.get_mut((unit + n) / 8)?;
            let bit = 1 << ((unit + n) % 8);
            if *byte & bit == 0 {
                to.copy_from_slice(from);
                *byte |= bit;
                new += 1;
            }
        }
        Some(new)
    }

    /// Says of a hidden record of `len` bytes that none of them have come.
    pub(crate) fn empty(&mut self, slot: usize, len: usize) {
        self.record_mut(slot).get_mut(len..).unwrap_or_default().fill(0);
    }

    /// Merges a hidden record of which all bytes are there; its slot is free then, or the entry's. `None`, and nothing
    /// has changed, if the bytes are not what was announced.
    pub(crate) fn reveal(&mut self, slot: usize, large: &Large) -> Option<Result<Merged, Refused>> {
        let Large { key: name, digest, stamp, .. } = *large;
        let len = large.len as usize;
        let hidden = Record(self.blob(slot).get(..len)?);
        let item = self.hash.item(hidden);
        let version = hidden.versions().next()?;
        let sound = hidden.is_whole()
            && hidden.versions().count() == 1
            && version.kind == Kind::Register
            && version.stamp == stamp
            && version.ttl >> 1 <= TTL_MAX
            && version.is_sound()
            && !hidden.key().is_empty()
            && self.fits_len(hidden.key(), version.value?.len(), Kind::Register);
        if !sound || item.to_bytes() != digest || self.hash.key(hidden.key()) != name {
            return None;
        }
        let located = match self.locate(name, hidden.key()) {
            Err(_) => Err(Refused::Collision),
            Ok(_) if !version.lives(self.ages.now) => Err(Refused::Ended),
            Ok(_) if !self.scope.wants(name) => Err(Refused::Unwanted),
            Ok(held) => Ok((held, plan(self.record(held).versions(), &version))),
        };
        let (held, plan) = match located {
            Ok(planned) => planned,
            Err(refused) => {
                self.unhide(slot);
                return Some(Err(refused));
            }
        };
        let dropped = self.record(held).versions().skip(plan.place);
        let buries = { dropped }.any(|held| version.must_bury(&held));
        let lost = Version { context: &[], value: Some(&[]), ..version };
        let (at, outcome) = match (plan.verdict, held) {
            (Verdict::Known, Some(held)) => (held, Outcome::Known),
            (Verdict::Lost, Some(held)) => {
                self.mark(held, &lost);
                (held, Outcome::Stale)
            }
            _ => {
                // From here on it is as long as it says.
                if let Some(loc) = self.slots.get(slot).and_then(|slot| slot.loc) {
                    self.arena.resize(&mut self.bytes, loc, len);
                }
                if buries {
                    record::mark(self.record_mut(slot), |_| true);
                }
                let item = if plan.place == 0 && !buries {
                    item
                } else if plan.place == 0 || self.go_below(slot, held, plan.place) {
                    self.hash.item(Record(self.blob(slot)))
                } else {
                    self.unhide(slot);
                    return Some(Err(Refused::BytesFull));
                };
                self.blobs = self.blobs.saturating_sub(1);
                if let Some(slot) = self.slots.get_mut(slot) {
                    slot.set(Flag::Blob, false);
                }
                let at = held.unwrap_or(slot);
                if held.is_some() {
                    self.free_bytes(at);
                    let loc = self.slots.get_mut(slot).and_then(|slot| slot.loc.take());
                    if let (Some(loc), Some(to)) = (loc, self.slots.get_mut(at)) {
                        to.loc = Some(loc);
                        self.arena.give(&mut self.bytes, loc, at as u32);
                    }
                    self.give_slot(slot);
                }
                self.list(at, name, Some(item));
                self.schedule(at);
                self.note(at, true, plan.conflict || plan.dropped);
                return Some(Ok(Merged {
                    slot: at,
                    outcome: Outcome::New,
                    conflict: plan.conflict,
                    dropped_sibling: plan.dropped,
                    lacks: false,
                    reissued: false,
                }));
            }
        };
        self.unhide(slot);
        self.note(at, false, plan.conflict || plan.dropped);
        let (conflict, dropped_sibling) = (plan.conflict, plan.dropped);
        Some(Ok(Merged { slot: at, outcome, conflict, dropped_sibling, lacks: false, reissued: false }))
    }

    /// Puts the first `count` versions of an entry, which are newer, above that of a hidden record.
    fn go_below(&mut self, slot: usize, held: Option<usize>, count: usize) -> bool {
        let above: usize = self.record(held).versions().take(count).map(|version| version.len()).sum();
        let (body, len) = (Record(self.blob(slot)).body(), self.blob(slot).len());
        let place = |store: &Self, slot: usize| store.slots.get(slot).and_then(|slot| slot.loc);
        let Some(loc) = place(self, slot) else { return false };
        if !self.grow(slot, loc, len + above) {
            return false;
        }
        let bytes = self.record_mut(slot);
        shift(bytes, body, len - body, body + above);
        if let Some(kept) = bytes.get_mut(1) {
            *kept = count as u8 + 1;
        }
        if let (Some(to), Some(from)) = (place(self, slot), held.and_then(|held| place(self, held))) {
            self.copy(from, body, to, body, above);
        }
        true
    }
}

/// The bytes of one bit for each unit.
const fn bits_len(len: usize) -> usize {
    len.div_ceil(UNIT * 8)
}
