//! Values larger than a datagram: announced, pulled in chunks from whoever has them, verified, and only then shown.
//!
//! A holder keeps nothing but rows of what it owes, and whose turn it is. Who lacks a value asks for runs of it, of several
//! holders at once, and asks again, or another one, when a run did not come within some round trips.

use super::Node;
use super::input::Context;
use super::output::Filling;
use super::rows::Rest;
use super::timeout::retry;
use crate::repair::{Pull, Row, Task};
use crate::slab::index::Key;
use crate::state::{Merged, Outcome, Worth};
use crate::stats::Count;
use crate::time::Instant;
use crate::wire::{Large, Message, Table, UNIT};

impl Node<'_> {
    /// Somebody holds all of a large version.
    #[inline(never)]
    pub(super) fn take_announcement(&mut self, context: &Context, large: &Large) {
        let now = context.now;
        if !self.config.has_large() {
            return self.stats.pulls_refused += 1;
        }
        if !self.clock.accept(now, large.stamp) {
            self.stats.refused_stamp += 1;
            return;
        }
        match self.store.worth(large) {
            Ok(Worth::Known) => self.stats.entries_known += 1,
            Ok(Worth::Stale(slot, conflict)) => {
                self.stats.entries_known += 1;
                self.stats.conflicts += Count::from(conflict);
                let key = self.store.key_hash(slot);
                self.owe_key(context.reply, Table::Entries, Task::Send, key);
            }
            Ok(Worth::Wanted) => match context.peer {
                Some(ix) if !self.pulls.lied(now, ix) => self.pull(context, ix, large),
                // Only from members, since what is owed to others has no place.
                _ => self.stats.pulls_refused += 1,
            },
            Err(_) => self.stats.pulls_refused += 1,
        }
    }

    /// Begins to pull a version, or notes one more who has it.
    fn pull(&mut self, context: &Context, ix: usize, large: &Large) {
        let (now, news) = (context.now, !context.copies);
        match self.pulls.find(large.short()) {
            Some(pull) if pull.what.digest == large.digest => {
                pull.news |= news;
                pull.add_holder(now, ix);
                return self.ask_for_chunks(now);
            }
            Some(_) => return self.stats.pulls_refused += 1,
            None => {}
        }
        // Of two versions of one key the newer one alone is worth its bytes.
        let dot = |what: &Large| (what.stamp, what.writer);
        let other = self.pulls.iter().find(|pull| pull.what.key == large.key && dot(&pull.what) != dot(large));
        match other.map(|pull| (pull.slot, dot(&pull.what) > dot(large))) {
            Some((_, true)) => return,
            Some((slot, false)) => self.drop_pull(slot),
            None => {}
        }
        match self.pulls.room(now) {
            Ok(None) => {}
            Ok(Some(stalled)) => self.drop_pull(stalled),
            Err(()) => return self.stats.pulls_refused += 1,
        }
        let Ok(slot) = self.store.hide(large.len as usize) else { return self.stats.pulls_refused += 1 };
        self.stats.pulls += 1;
        if let Some(pull) = self.pulls.begin(Pull::new(now, slot, *large)) {
            pull.news = news;
            pull.add_holder(now, ix);
        }
        self.ask_for_chunks(now);
    }

    fn drop_pull(&mut self, slot: usize) {
        self.pulls.end(slot);
        self.store.unhide(slot);
        self.stats.pulls_dropped += 1;
        // Whoever has it, or something newer, may be found by comparing.
        self.session(Table::Entries).resume();
    }

    /// An entry has changed: an older version of it is not worth its bytes any more.
    pub(super) fn drop_outdated(&mut self, slot: usize) {
        if !self.config.has_large() {
            return;
        }
        let key = self.store.key_hash(slot);
        let pull = self.pulls.iter().find(|pull| pull.what.key == key).map(|pull| (pull.slot, pull.what));
        if let Some((slot, what)) = pull {
            if self.store.worth(&what) != Ok(Worth::Wanted) {
                self.drop_pull(slot);
            }
        }
    }

    /// Owes questions for what is neither there nor asked for.
    fn ask_for_chunks(&mut self, now: Instant) {
        loop {
            let Self { pulls, store, members, .. } = self;
            let lacks = |pull: &Pull, unit: u16| store.lacks(pull.slot, pull.what.len as usize, unit.into());
            let Some((key, ask)) = pulls.next_ask(now, lacks, |ix| retry(members, ix)) else {
                return;
            };
            let task = Task::Pull { from: ask.from, of: ask.of };
            self.push_row(Row::of_key(ask.to as usize, Table::Entries, task, key));
        }
    }

    /// Somebody asks for a run of units of a version.
    #[inline(never)]
    pub(super) fn serve(&mut self, context: &Context, key: Key, of: u32, from: u16, end: u16) {
        if !self.config.has_large() {
            return self.stats.pulls_put_off += 1;
        }
        let held = self.store.find_hash(key).and_then(|slot| self.store.large(slot));
        let (Some(large), Some(ix)) = (held, context.reply) else { return };
        if large.short() != of {
            // It shall ask for what we have instead.
            return self.owe_key(context.reply, Table::Entries, Task::Send, key);
        }
        let wait = self.retry(ix) * 2;
        if !self.pulls.turn(context.now, ix, wait) || self.replies.chunks_to(ix) >= RUNS_MAX {
            self.stats.pulls_put_off += 1;
            return;
        }
        let end = end.min(from.saturating_add(RUN_MAX));
        self.push_row(Row::of_key(ix, Table::Entries, Task::Chunks { from, end }, key));
    }

    /// Bytes of a value that is coming in.
    #[inline(never)]
    pub(super) fn take_chunk(&mut self, context: &Context, of: u32, from: u16, bytes: &[u8]) {
        let now = context.now;
        let Some(ix) = context.peer.filter(|_| self.config.has_large()) else { return self.stats.chunks_refused += 1 };
        let pull = self.pulls.find(of).filter(|pull| pull.has_holder(ix)).map(|pull| (pull.slot, pull.what));
        // None: of a pull that has ended, or never was.
        let Some((slot, what)) = pull else { return self.stats.chunks_refused += 1 };
        let Some(new) = self.store.fill_in(slot, what.len as usize, from.into(), bytes) else {
            return self.stats.chunks_refused += 1;
        };
        let units = bytes.len().div_ceil(UNIT) as u16;
        self.stats.chunks_known += Count::from(new < usize::from(units));
        let wait = self.retry(ix);
        let Self { pulls, store, .. } = self;
        let lacks = |pull: &Pull, unit: u16| store.lacks(pull.slot, pull.what.len as usize, unit.into());
        pulls.came(now, ix, (of, from, from.saturating_add(units)), new, lacks, wait);
        if self.pulls.find(of).is_some_and(|pull| pull.left == 0) {
            self.reveal(context, slot, of, &what);
        }
        self.ask_for_chunks(now);
    }

    /// All bytes are there.
    fn reveal(&mut self, context: &Context, slot: usize, of: u32, what: &Large) {
        let news = self.pulls.find(of).is_some_and(|pull| pull.news);
        let Some(merged) = self.store.reveal(slot, what) else {
            self.stats.pulls_wrong += 1;
            match self.pulls.wrong(context.now, of) {
                Some(slot) => self.drop_pull(slot),
                None => self.store.empty(slot, what.len as usize),
            }
            return;
        };
        self.pulls.end(slot);
        let Merged { slot, outcome, conflict, dropped_sibling, .. } = match merged {
            Ok(merged) => merged,
            Err(refused) if refused.is_full() => return self.stats.refused_full += 1,
            Err(_) => return self.stats.refused_entry += 1,
        };
        self.stats.conflicts += Count::from(conflict);
        self.stats.siblings_dropped += Count::from(dropped_sibling);
        if outcome == Outcome::New {
            self.stats.entries_new += 1;
            if news {
                self.entry_changed(context.now, slot, false);
            }
        }
    }

    /// Asks again for what did not come.
    pub(super) fn pulls_due(&mut self, now: Instant) {
        loop {
            let Self { pulls, members, .. } = self;
            let Some(slot) = pulls.time_out(now, |ix| retry(members, ix)) else { break };
            self.drop_pull(slot);
        }
        self.ask_for_chunks(now);
    }

    /// The question for a run, if it is still wanted.
    pub(super) fn pull_message(&self, row: &Row, of: u32, from: u16) -> Option<Message<'static>> {
        if !self.config.has_large() {
            return None;
        }
        let end = self.pulls.asked(row.to(), of, from)?;
        Some(Message::Pull { key: row.key(), digest: of, from, end })
    }

    /// Writes as much of a run as fits; a datagram's room is not parted for want of credit, since chunks are whole units.
    #[cfg_attr(feature = "large", inline(never))]
    pub(super) fn fill_chunks(&self, filling: &mut Filling<'_>, row: Row, from: u16, end: u16, limit: usize) -> Rest {
        if !self.config.has_large() {
            return Rest::Done;
        }
        let held = self.store.find_hash(row.key()).and_then(|slot| Some((slot, self.store.large(slot)?)));
        // What is no more is not owed any more.
        let Some((slot, large)) = held else { return Rest::Done };
        let start = usize::from(from) * UNIT;
        let whole = (usize::from(end.saturating_sub(from)) * UNIT).min((large.len as usize).saturating_sub(start));
        let room = filling.room().saturating_sub(CHUNK_HEAD);
        let len = if whole <= room { whole } else { room / UNIT * UNIT };
        if len == 0 {
            return if whole == 0 { Rest::Done } else { Rest::More(row) };
        }
        let mut buf = [0; UNIT];
        let part = self.store.large_bytes(slot, start, len, &mut buf);
        if filling.push(&Message::Chunk { digest: large.short(), from, bytes: part }, false, limit).is_none() {
            return Rest::More(row);
        }
        let from = from.saturating_add(part.len().div_ceil(UNIT) as u16);
        if part.len() >= whole { Rest::Done } else { Rest::More(row.to_do(Task::Chunks { from, end })) }
    }
}

/// How many runs are owed to one member at most, and how many units there are in one: bounds what a forged question sets
/// off.
const RUNS_MAX: usize = 4;
const RUN_MAX: u16 = 256;
/// What a chunk takes besides its bytes: mark of a copy 1, tag 1, digest 4, number of the unit 3, length 3.
const CHUNK_HEAD: usize = 12;

#[cfg(all(test, feature = "large"))]
mod tests;
