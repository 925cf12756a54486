//! The kinds whose values join (R1): what becomes of two versions when one is all that is held.
//!
//! Of such a version, the writer is its *epoch*: the stamp of the tombstone that it was written upon, 0 before the first
//! (of a counter's part: the stamp at which it was begun). A greater epoch wins whole, so a delete ends what came before
//! it and nothing that comes after. Within an epoch no value is less than any, and two values join; beside their join
//! stands the newest stamp. For [`Kind::Max`] and [`Kind::Min`] the join is one of the two, and its own stamp stays with
//! it. Each of these is a lattice, so every order of arrival ends alike.
//!
//! The context says what a delete has seen: for each of the last three epochs that it ended, the digest of the value
//! and the epoch. A value that a greater epoch ends unseen is a conflict. Cut short, or of a value that had since joined
//! another, it reports a false one, and hides none.
//!
//! Knows: versions of one key; how the store makes room for a join. Does not know: what an application's join does.
//! When full: a join is at most as long as both values together, and needs that room beside the old record; if it is not
//! there, the new version is refused and nothing changed. Counters, which join here, are short.

use super::counter::Part;
use super::entry::Kind;
use super::merge::Plan;
use super::record::{self, Record};
use super::store::{Merged, Outcome, Refused, Store};
use super::version::{ContextBytes, Version, pairs};
use crate::hash::hash;
use crate::slab::index::Key;
use crate::wire::{Context, Seen};

/// Whether a node can hold such values at all: what only they need is left out where it cannot.
pub(super) const POSSIBLE: bool = cfg!(feature = "kinds");

/// What is to be held of two versions of one joining kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Held,
    New,
    /// The join of both values.
    Both,
}

/// Decides, and says whether a value is lost that the winner's writer had not seen.
pub(super) fn choose(held: &Version<'_>, new: &Version<'_>) -> (Choice, bool) {
    let take = |new| if new { Choice::New } else { Choice::Held };
    if new.writer != held.writer {
        let (winner, loser) = if new.writer > held.writer { (new, held) } else { (held, new) };
        return (take(new.writer > held.writer), is_lost(loser, winner));
    }
    let newer = (new.stamp, new.ttl, new.context) > (held.stamp, held.ttl, held.context);
    let choice = match (held.value, new.value) {
        (Some(a), Some(b)) if a == b => take(newer),
        (Some(a), Some(b)) => match new.kind {
            Kind::Max => take(b > a),
            Kind::Min => take(b < a),
            _ => Choice::Both,
        },
        (None, None) => take(newer),
        (_, new) => take(new.is_some()),
    };
    (choice, false)
}

/// The stamp and the context that stand beside a join.
pub(super) fn newest<'v, 'r>(a: &'v Version<'r>, b: &'v Version<'r>) -> &'v Version<'r> {
    if (b.stamp, b.context) > (a.stamp, a.context) { b } else { a }
}

/// Whether an older epoch's value ends unseen. A life that begins its part of a counter anew knows what it leaves.
fn is_lost(loser: &Version<'_>, winner: &Version<'_>) -> bool {
    let seen = |value| pairs(winner.context).any(|seen| seen == Seen { writer: digest(value), stamp: loser.writer });
    loser.kind != Kind::Counter && loser.value.is_some_and(|value| !seen(value))
}

/// The context of a tombstone upon this version: its value, and what it had seen itself.
pub(super) fn bury(held: Option<Version<'_>>) -> ContextBytes {
    let mut context = Context::new();
    if let Some(held) = held {
        let own = held.value.map(|value| Seen { writer: digest(value), stamp: held.writer });
        for seen in own.into_iter().chain(pairs(held.context)) {
            _ = context.push(seen); // The oldest epochs do not fit.
        }
    }
    ContextBytes::of(&context)
}

/// Which value was ended; the same on every node.
fn digest(value: &[u8]) -> u64 {
    hash(&[0; 16], &[value]).h1
}

impl Store<'_> {
    /// Joins a version with the one that this slot holds of the same kind.
    pub(super) fn join(&mut self, slot: usize, key: (Key, &[u8]), new: &Version<'_>) -> Result<Merged, Refused> {
        let Some(held) = self.record(Some(slot)).versions().next() else { return Err(Refused::Kind) };
        let (choice, conflict) = choose(&held, new);
        let known = held == *new;
        let changed = match choice {
            Choice::Held => false,
            Choice::New => self.apply(Some(slot), key.0, key.1, &Plan::default(), new).map(|_| true)?,
            Choice::Both => {
                let newest = newest(&held, new);
                let (stamp, context) = (newest.stamp, ContextBytes::copy(newest.context));
                let joined = Version { stamp, context: context.as_bytes(), ..*new };
                match (new.kind, held.value.unwrap_or_default(), new.value.unwrap_or_default()) {
                    (Kind::App(n), ..) => self.join_app(n, slot, key.1, &joined)?,
                    (_, a, b) => {
                        let [a, b] = [a, b].map(|bytes| Part::from_bytes(bytes).unwrap_or_default());
                        let bytes = a.join(b).to_bytes();
                        let joined = Version { value: Some(bytes.as_bytes()), ..joined };
                        if !self.fits(key.1, joined.value, joined.kind) {
                            return Err(Refused::ValueLen);
                        }
                        held != joined
                            && self.apply(Some(slot), key.0, key.1, &Plan::default(), &joined).map(|_| true)?
                    }
                }
            }
        };
        let outcome = match (changed, known) {
            (true, _) => Outcome::New,
            (false, true) => Outcome::Known,
            (false, false) => Outcome::Stale,
        };
        self.note(slot, changed, conflict);
        let lacks = choice == Choice::Both;
        Ok(Merged { slot, outcome, conflict, dropped_sibling: false, lacks, reissued: false })
    }

    /// Has the application join the value that is held and that of `new`, which has stamp and context of the join; says
    /// whether that changed anything.
    fn join_app(&mut self, n: u8, slot: usize, key: &[u8], new: &Version<'_>) -> Result<bool, Refused> {
        let merge = self.merge_app.ok_or(Refused::Kind)?;
        let theirs = new.value.unwrap_or_default();
        let len_of = |record: Record<'_>| record.versions().next().and_then(|held| held.value).map_or(0, <[u8]>::len);
        let bare = Version { value: Some(&[]), ..*new };
        let head = record::len_of_one(key, &bare);
        let room = self.content_len_max.saturating_sub(key.len()).min(theirs.len() + len_of(self.record(Some(slot))));
        // The old record may move while the new one is placed, and is found by its slot.
        let to = self.alloc(slot, head + room).ok_or(Refused::BytesFull)?;
        let Some(from) = self.slots.get(slot).and_then(|slot| slot.loc) else { return Err(Refused::BytesFull) };
        let (old, joined) = self.arena.pair(&mut self.bytes, from, to);
        record::write_one(joined, key, &bare);
        let held = Record(old).versions().next();
        let ours = held.and_then(|held| held.value).unwrap_or_default();
        let out = joined.get_mut(head..).unwrap_or_default();
        let len = (merge.0)(n, ours, theirs, out);
        let same = held.is_some_and(|held| (held.stamp, held.context) == (new.stamp, new.context));
        if len > out.len() || same && out.get(..len) == Some(ours) {
            let refused = len > out.len();
            self.arena.free(&mut self.bytes, to);
            return if refused { Err(Refused::Value) } else { Ok(false) };
        }
        record::set_len(joined, key, len);
        self.arena.resize(&mut self.bytes, to, head + len);
        self.arena.free(&mut self.bytes, from);
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.loc = Some(to);
        }
        self.relist(slot);
        Ok(true)
    }
}
