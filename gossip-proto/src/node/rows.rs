//! What is owed to a member, row by row: as much of each as fits in a datagram.

use super::Node;
use super::output::Filling;
use super::sample::SAMPLE;
use crate::repair::{ITEMS_MAX, Row, Task, Tree};
use crate::slab::index::Prefix;
use crate::stats::Count;
use crate::wire::{Digests, Items, Message, Table};

impl Node<'_> {
    pub(super) fn fill_rows(&mut self, filling: &mut Filling<'_>, credit: usize) -> usize {
        let Some(to) = filling.to.slot else { return 0 };
        let mut used = 0;
        while let Some((at, row)) = self.replies.first_to(to).filter(|_| filling.rows_left > 0) {
            let before = filling.writer.len();
            let rest = self.fill_row(filling, row, credit.saturating_sub(used));
            used += filling.writer.len() - before;
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
        if filling.to.round && credit == usize::MAX {
            self.push_roots(filling);
        }
        used
    }

    /// A round that has nothing better to say offers the digests of both tables.
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
                Table::Messages => !self.store.has_windows(),
            };
            if session.with().is_some() || none {
                continue;
            }
            let digest = if sample { SAMPLE } else { self.digest_with(table, filling.to.slot, self.envelope.own) };
            let _ = filling.push(&Message::Root { table, digest }, false, usize::MAX);
        }
    }

    /// Writes as much of a row as fits.
    fn fill_row(&mut self, filling: &mut Filling<'_>, row: Row, limit: usize) -> Rest {
        let table = row.table();
        let pushed = match row.task {
            Task::Root => {
                let digest = self.digest_with(table, filling.to.slot, self.envelope.own);
                filling.push(&Message::Root { table, digest }, false, limit)
            }
            Task::Equal => {
                filling.bare = true;
                Some(0)
            }
            Task::Sketch | Task::Cells { .. } | Task::More { .. } | Task::Chores | Task::Check { .. } => {
                return self.fill_sketch(filling, row, limit);
            }
            Task::Begin { .. } | Task::Parts { .. } | Task::Fetch { .. } | Task::Run { .. } => {
                return self.fill_catch_up(filling, row, limit);
            }
            Task::Ask { number } => match self.question(number) {
                Some(question) => filling.push(&question, false, limit),
                None => Some(0),
            },
            Task::Held { number } => filling.push(&Message::Held(number), false, limit),
            Task::Floor => self.push_floor(filling, limit),
            Task::Ahead => match self.clock.own_estimate(self.now) {
                Some(now) => filling.push(&Message::Ahead { key: row.key(), now }, false, limit),
                None => Some(0),
            },
            Task::Want => filling.push(&Message::Want(row.key()), false, limit),
            Task::Send | Task::Copy => self.push_key(filling, table, row.key(), matches!(row.task, Task::Copy), limit),
            Task::Digests => {
                let tree = self.tree(table, filling.to.slot);
                push_part(
                    filling,
                    &tree,
                    table,
                    Prefix::of(row.key(), row.from()),
                    Some(row.prefix()),
                    self.salt(),
                    limit,
                )
            }
            Task::Open { at, said } => return self.fill_open(filling, row, (at, said), limit),
            Task::Items { salt } => {
                let digests = self.tree(table, filling.to.slot).items(row.prefix(), salt);
                let items = Items { table, prefix: row.prefix(), salt, last: true, digests: &digests };
                filling.push(&Message::Items(items), false, limit)
            }
            Task::Closer { parts, salt } => return self.fill_closer(filling, row, parts, salt, limit),
            Task::Missing(wanted) => self.push_missing(filling, row, wanted, limit),
            Task::Give { wanted, datagrams } => return self.fill_give(filling, row, wanted, datagrams, limit),
            Task::Copies(positions) => return self.fill_copies(filling, row, positions, limit),
            Task::Pull { of, from } => match self.pull_message(&row, of, from) {
                Some(question) => filling.push(&question, false, limit),
                None => Some(0),
            },
            Task::Chunks { from, end } => return self.fill_chunks(filling, row, from, end, limit),
            Task::Stream { parts, datagrams } => return self.fill_stream(filling, row, parts, datagrams, limit),
        };
        if pushed.is_some() { Rest::Done } else { Rest::More(row) }
    }

    /// Asks about all parts that are known to differ.
    fn fill_open(&self, filling: &mut Filling<'_>, row: Row, (mut at, said): (u16, u8), mut limit: usize) -> Rest {
        if said > 0 && filling.twice {
            return Rest::More(row);
        }
        let tree = self.tree(row.table(), filling.to.slot);
        while let Some(part) = self.exchange.part(at.into()) {
            let Some(used) = push_part(filling, &tree, row.table(), part, None, self.salt(), limit) else {
                return Rest::More(row.to_do(Task::Open { at, said }));
            };
            filling.twice = true;
            limit -= used;
            at += 1;
        }
        // Something of it was lost before: at 30 % loss each way, one of three comes and is answered in 87 of 100 cases.
        if said + 1 >= TIMES || at > OFTEN_MAX {
            Rest::Done
        } else {
            Rest::More(row.to_do(Task::Open { at: 0, said: said + 1 }))
        }
    }

    fn fill_closer(
        &self,
        filling: &mut Filling<'_>,
        mut row: Row,
        mut parts: u16,
        salt: u16,
        mut limit: usize,
    ) -> Rest {
        let tree = self.tree(row.table(), filling.to.slot);
        while parts > 0 {
            let part = row.prefix().child(parts.trailing_zeros() as u8);
            let Some(used) = push_part(filling, &tree, row.table(), part, None, salt, limit) else {
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
            let Some(slot) = self.tree(row.table(), filling.to.slot).walk(row.prefix()).nth(wanted) else { break };
            if row.table() == Table::Entries && self.bury_zombie(row.to(), slot, row.from() == 0) {
                positions &= positions - 1;
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
        let (prefix, mut pushed) = (row.prefix(), false);
        for passed in 0.. {
            let Some((slot, key)) = self.tree(row.table(), filling.to.slot).seek(prefix, parts, row.key()) else {
                return Rest::Done;
            };
            if row.table() == Table::Entries && self.bury_zombie(row.to(), slot, true) {
                let Some(after) = key.successor().filter(|_| passed < PASSED_MAX) else { return Rest::Done };
                row = row.at(after);
                continue;
            }
            let used = self.push_slot(filling, row.table(), slot, true, limit);
            if let Some(used) = used {
                pushed = true;
                limit -= used;
                let Some(after) = key.successor() else { return Rest::Done };
                row = row.at(after);
            } else if limit < usize::MAX / 2 && filling.writer.room() > limit {
                // Out of credit, not of room: there may be more for it in this same datagram.
                return Rest::More(row);
            } else if !pushed && filling.is_blank() {
                return Rest::More(row);
            } else if datagrams <= 1 {
                // The other shall say what it still lacks before it gets more.
                return Rest::More(Row::new(row.to(), row.table(), Task::Digests, prefix, prefix.len()));
            } else {
                row.task = Task::Stream { parts, datagrams: datagrams - 1 };
                return Rest::More(row);
            }
        }
        Rest::Done
    }
}

/// What is left of a row.
pub(super) enum Rest {
    Done,
    More(Row),
}

/// Writes what we hold under `whole`: a list if it is short, else the digests of its parts at `at`, or where they part.
fn push_part(
    filling: &mut Filling<'_>,
    tree: &Tree<'_>,
    table: Table,
    whole: Prefix,
    at: Option<Prefix>,
    salt: u16,
    limit: usize,
) -> Option<usize> {
    if tree.count(whole) <= ITEMS_MAX {
        let digests = tree.items(whole, salt);
        let items = Items { table, prefix: whole, salt, last: false, digests: &digests };
        return filling.push(&Message::Items(items), false, limit);
    }
    let prefix = at.filter(|at| at.len() > whole.len()).unwrap_or_else(|| tree.span(whole));
    let (present, digests) = tree.digests(prefix, salt);
    let digests = Digests { table, from: whole.len(), prefix, salt, present, digests: &digests };
    filling.push(&Message::Digests(digests), false, limit)
}

/// In one of so many quiet rounds the digest of the entries takes the place of that of the members.
const ENTRIES_TURN: u16 = 8;
/// How often it is asked at once about parts that differ, if they are no more than so many: some six datagrams full.
const TIMES: u8 = 3;
const OFTEN_MAX: u16 = 256;
/// How many items a stream passes in one call, sent or deleted here: what is left is asked for again.
const PASSED_MAX: usize = 4096;
