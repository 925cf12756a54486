//! What is owed to a member, row by row: as much of each as fits in a datagram.

use super::Node;
use super::output::Filling;
use super::sample::SAMPLE;
use crate::repair::{ITEMS_MAX, OPEN_POSSIBLE, Row, Session, Task};
use crate::slab::index::{Key, Prefix};
use crate::stats::Count;
use crate::wire::{Digests, Items, Message, Table};

impl Node<'_> {
    #[inline(never)]
    pub(super) fn fill_rows(&mut self, filling: &mut Filling<'_>, credit: usize) -> usize {
        let Some(to) = filling.to.slot else { return 0 };
        let start = filling.writer.len();
        while let Some((at, row)) = self.replies.first_to(to).filter(|_| filling.rows_left > 0) {
            let (mut rest, mut buried) = (Rest::More(row), 0);
            while let Rest::More(row) = rest {
                rest = self.fill_row(filling, row, credit.saturating_sub(filling.writer.len() - start));
                let Some(zombie) = filling.zombie.take() else { break };
                self.bury(zombie);
                buried += 1;
                if buried == BURIED_MAX {
                    rest = Rest::Done;
                }
            }
            match rest {
                Rest::Done => {
                    self.replies.settle(at, None);
                    filling.rows_left -= 1;
                }
                Rest::More(row) => {
                    let stuck = filling.is_blank() && credit == usize::MAX;
                    self.stats.items_too_large += Count::from(stuck);
                    self.replies.settle(at, (!stuck).then_some(row));
                    break;
                }
            }
        }
        let used = filling.writer.len() - start;
        if filling.to.round && credit == usize::MAX {
            self.push_roots(filling);
        }
        used
    }

    /// A round that has nothing better to say offers the digests of both tables.
    #[inline(never)]
    fn push_roots(&self, filling: &mut Filling<'_>) {
        let quiet = filling.writer.is_empty();
        // The root in the header speaks for all entries, but for the one pair of states in 2^32 that it is equal for.
        let (turn, scoped) = (self.salt().is_multiple_of(ENTRIES_TURN), !self.scope_with(filling.to.slot).is_all());
        for (table, session) in Table::ALL.into_iter().zip(&self.sessions) {
            // While a comparison is under way the answer is known: not equal. Two samples never are: they are shown.
            let sample = table == Table::Members && self.members.is_sample();
            let none = match table {
                Table::Members => quiet && turn && !scoped && !sample,
                Table::Entries => !quiet || !turn && !scoped || self.is_catching_up(),
                Table::Messages => !self.shares_messages(filling.to.slot),
            };
            if session.with().is_some() || none {
                continue;
            }
            let digest = if sample { SAMPLE } else { self.digest_with(table, filling.to.slot, self.envelope.own) };
            let _ = filling.push(&Message::Root { table, digest }, false, usize::MAX);
        }
        self.push_apart(filling);
        self.push_record_asked(filling);
    }

    /// Writes as much of a row as fits.
    #[inline(never)]
    fn fill_row(&mut self, filling: &mut Filling<'_>, row: Row, limit: usize) -> Rest {
        let table = row.table();
        let pushed = match row.task {
            Task::Equal => {
                filling.bare = true;
                Some(0)
            }
            Task::Sketch
            | Task::Cells { .. }
            | Task::More { .. }
            | Task::Chores
            | Task::Check { .. }
            | Task::AskTotal { .. }
            | Task::Total => {
                return self.fill_sketch(filling, row, limit);
            }
            Task::Begin { .. } | Task::Parts { .. } | Task::Fetch { .. } | Task::Run { .. } => {
                return self.fill_catch_up(filling, row, limit);
            }
            Task::Floor => self.push_floor(filling, limit),
            Task::Send | Task::Copy => self.push_key(filling, table, row.key(), matches!(row.task, Task::Copy), limit),
            Task::Digests => {
                let whole = Prefix::of(row.key(), row.from());
                self.push_part(filling, (table, whole, Some(row.prefix())), self.salt() as u8, limit)
            }
            Task::Open { at, said, more } => return self.fill_open(filling, row, (at, said, more), limit),
            Task::Closer { parts, salt } => return self.fill_closer(filling, row, parts, salt, limit),
            Task::Missing(wanted) => self.push_missing(filling, row, wanted, limit),
            Task::Give { wanted, datagrams } => return self.fill_give(filling, row, wanted, datagrams, limit),
            Task::Copies(positions) => return self.fill_copies(filling, row, positions, limit),
            Task::Chunks { from, end } => return self.fill_chunks(filling, row, from, end, limit),
            Task::Stream { parts, datagrams } => return self.fill_stream(filling, row, parts, datagrams, limit),
            Task::Lack { digest, salt } => {
                let (prefix, answer) = (row.prefix(), 1 + row.from());
                push_items(filling, &Items { table, prefix, salt, answer, digests: &digest }, limit)
            }
            Task::Root | Task::Ask { .. } | Task::Held { .. } | Task::Ahead | Task::Want | Task::Pull { .. } => {
                self.push_said(filling, &row, limit)
            }
        };
        if pushed.is_some() { Rest::Done } else { Rest::More(row) }
    }

    /// Writes a row that is one short message, if there is still reason for it.
    #[inline(never)]
    fn push_said(&self, filling: &mut Filling<'_>, row: &Row, limit: usize) -> Option<usize> {
        let message = match row.task {
            Task::Ask { number } => self.question(number),
            Task::Held { number } => Some(Message::Held(number)),
            Task::Ahead => self.clock.own_estimate(self.now).map(|now| Message::Ahead { key: row.key(), now }),
            Task::Want => Some(Message::Want(row.key())),
            Task::Pull { of, from } => self.pull_message(row, of, from),
            _ => {
                let digest = self.digest_with(row.table(), filling.to.slot, self.envelope.own);
                Some(Message::Root { table: row.table(), digest })
            }
        };
        message.map_or(Some(0), |message| filling.push(&message, false, limit))
    }

    /// Asks about all parts that are known to differ.
    fn fill_open(
        &self,
        filling: &mut Filling<'_>,
        row: Row,
        (mut at, said, more): (u16, bool, u8),
        mut limit: usize,
    ) -> Rest {
        let with = self.sessions.get(Table::Entries as usize).and_then(Session::with);
        if !OPEN_POSSIBLE || with != Some(row.to()) {
            return Rest::Done;
        }
        if said && filling.twice {
            return Rest::More(row);
        }
        while let Some((number, part)) = self.open.part(at.into(), said) {
            let Some(used) = self.push_part(filling, (row.table(), part, None), self.salt() as u8, limit) else {
                return Rest::More(row.to_do(Task::Open { at, said, more }));
            };
            filling.twice = true;
            limit -= used;
            at = number as u16 + 1;
        }
        match more.checked_sub(1) {
            Some(more) if self.open.part(0, true).is_some() => {
                Rest::More(row.to_do(Task::Open { at: 0, said: true, more }))
            }
            _ => Rest::Done,
        }
    }

    fn fill_closer(&self, filling: &mut Filling<'_>, mut row: Row, mut parts: u16, salt: u8, mut limit: usize) -> Rest {
        while parts > 0 {
            let part = row.prefix().child(parts.trailing_zeros() as u8);
            let Some(used) = self.push_part(filling, (row.table(), part, None), salt, limit) else {
                row.task = Task::Closer { parts, salt };
                return Rest::More(row);
            };
            limit -= used;
            parts &= parts - 1;
        }
        Rest::Done
    }

    fn fill_copies(&mut self, filling: &mut Filling<'_>, mut row: Row, mut positions: u32, mut limit: usize) -> Rest {
        while positions > 0 {
            let wanted = positions.trailing_zeros() as usize;
            let Some(slot) = self.nth_under(row.table(), filling.to.slot, row.prefix(), wanted) else { break };
            if row.table() == Table::Entries && self.is_zombie(row.to(), slot) {
                positions &= positions - 1;
                if row.from() == 0 {
                    filling.zombie = Some(slot);
                    return Rest::More(row.to_do(Task::Copies(positions)));
                }
                continue;
            }
            let Some(used) = self.push_slot(filling, row.table(), slot, true, limit) else {
                row.task = Task::Copies(positions);
                return Rest::More(row);
            };
            limit -= used;
            positions &= positions - 1;
        }
        Rest::Done
    }

    #[inline(never)]
    fn fill_stream(
        &mut self,
        filling: &mut Filling<'_>,
        mut row: Row,
        parts: u16,
        datagrams: u8,
        mut limit: usize,
    ) -> Rest {
        let prefix = row.prefix();
        loop {
            let next = self.seek(row.table(), filling.to.slot, prefix, parts, row.key());
            let Some((slot, key)) = next else { return Rest::Done };
            if row.table() == Table::Entries && self.is_zombie(row.to(), slot) {
                filling.zombie = Some(slot);
            } else if let Some(used) = self.push_slot(filling, row.table(), slot, true, limit) {
                limit -= used;
            } else if limit < usize::MAX / 2 && filling.writer.room() > limit || filling.is_blank() {
                // Out of credit, not of room: there may be more for it in this same datagram.
                return Rest::More(row);
            } else if datagrams <= 1 {
                // The other shall say what it still lacks before it gets more.
                return Rest::More(Row::new(row.to(), row.table(), Task::Digests, prefix, prefix.len()));
            } else {
                row.task = Task::Stream { parts, datagrams: datagrams - 1 };
                return Rest::More(row);
            }
            let Some(after) = key.successor() else { return Rest::Done };
            row = row.at(after);
            if filling.zombie.is_some() {
                return Rest::More(row);
            }
        }
    }

    /// The first item at or after `from` that is under `prefix`, in one of these parts of it, of what both want.
    #[inline(never)]
    pub(super) fn seek(
        &self,
        table: Table,
        peer: Option<usize>,
        prefix: Prefix,
        parts: u16,
        from: Key,
    ) -> Option<(usize, Key)> {
        self.tree(table, peer).seek(prefix, parts, from)
    }

    #[inline(never)]
    fn nth_under(&self, table: Table, peer: Option<usize>, prefix: Prefix, nth: usize) -> Option<usize> {
        self.tree(table, peer).walk(prefix).nth(nth)
    }

    /// Writes what we hold under `whole`: a list if it is short, else the digests of its parts at `at`, or where they part.
    #[inline(never)]
    pub(super) fn push_part(
        &self,
        filling: &mut Filling<'_>,
        (table, whole, at): (Table, Prefix, Option<Prefix>),
        salt: u8,
        limit: usize,
    ) -> Option<usize> {
        let tree = self.tree(table, filling.to.slot);
        if tree.count(whole) <= ITEMS_MAX {
            let digests = tree.items(whole, salt);
            return push_items(filling, &Items { table, prefix: whole, salt, answer: 0, digests: &digests }, limit);
        }
        let prefix = at.filter(|at| at.len() > whole.len()).unwrap_or_else(|| tree.span(whole));
        let (present, digests) = tree.digests(prefix, salt);
        let digests = Digests { table, from: whole.len(), prefix, salt, absent: !present, digests: &digests };
        filling.push(&Message::Digests(digests), false, limit)
    }
}

fn push_items(filling: &mut Filling<'_>, items: &Items<'_>, limit: usize) -> Option<usize> {
    filling.push(&Message::Items(*items), false, limit)
}

/// What is left of a row.
pub(super) enum Rest {
    Done,
    More(Row),
}

/// In one of so many quiet rounds the digest of the entries takes the place of that of the members.
const ENTRIES_TURN: u16 = 8;
/// How many entries of one row are deleted here in one call: what is left is asked for again.
const BURIED_MAX: u16 = 4096;
