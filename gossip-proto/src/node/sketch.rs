//! Comparing entries by sketches: what is asked, what is answered, and what follows.
//!
//! Who asks sends the first cell of its sketch, and bits that tell roughly how many entries differ. If one does, the
//! other finds it at once; else it answers with about as many cells as it takes, or with digests when there is no
//! telling. Who asked finds the differences, asks for more cells if need be, sends what the other lacks and asks for the
//! rest. What the one who answers keeps is a list of what it owes, dropped without harm.

use super::Node;
use super::input::Context;
use super::output::Filling;
use super::rows::Rest;
use crate::config::Repair;
use crate::repair::{Again, Chore, Gathered, Row, Task, chores, is_plausible, mark};
use crate::slab::index::{Key, Prefix};
use crate::slab::sketch::{self, CELL_LEN, CELLS, Short, Total};
use crate::wire::{KEY_LEN, MARKED_LEN, Many, Message, Sketch, Table};

impl Node<'_> {
    /// Asks a member what differs.
    pub(super) fn ask_what_differs(&mut self, ix: usize, table: Table) {
        let held = self.store.index().root().count;
        let by_sketch = table == Table::Entries && self.config.repair == Repair::Sketch && held > 0;
        let theirs = self.members.get(ix).map_or(0, |slot| slot.root);
        // What was lost is more likely a part of the way than where it began.
        let go_on = table == Table::Entries && self.session(table).tries() <= GO_ON_TRIES;
        if go_on && self.open.may_be_equal(self.root) {
            let at = self.now.plus(self.retry(ix) / 2);
            self.session(table).ask_more(at);
            return self.owe(Some(ix), table, Task::More { first: 0, end: 0 }, Prefix::ROOT, 0);
        }
        if let Some(times) = if go_on { self.open.ask_again() } else { None } {
            return self.owe(Some(ix), table, Task::Open { at: 0, said: false, more: times - 1 }, Prefix::ROOT, 0);
        }
        if !by_sketch || !self.exchange.is_hopeful() || !self.is_whole_with(ix) {
            return self.owe(Some(ix), table, Task::Digests, Prefix::ROOT, 0);
        }
        let Self { exchange, store, .. } = self;
        match exchange.again((ix, theirs, self.root), |key| store.weigh(key)) {
            Again::Chores => return self.owe_chores(ix, Task::Chores),
            Again::Check => return self.owe_chores(ix, Task::Check { at: 0, said: 0 }),
            Again::Compare => {}
        }
        // What was lost of the cells that were asked for, if any came.
        let (mut at, mut asked) = (0, false);
        while let Some((first, end)) = self.exchange.gap(at) {
            self.owe_cells(ix, Task::More { first, end }, first, true);
            self.exchange.note_loss();
            (at, asked) = (end.into(), true);
        }
        if !asked {
            let task = self.exchange.next_question();
            self.owe(Some(ix), table, task, Prefix::ROOT, 0);
        }
    }

    /// Whether all that this node holds is to be compared with a member: a sketch is of all or nothing.
    fn is_whole_with(&self, ix: usize) -> bool {
        self.scope_with(Some(ix)).is_all() && !self.is_returning_to(ix)
    }

    #[inline(never)]
    pub(super) fn take_sketch(&mut self, context: &Context, message: &Sketch<'_>) {
        let Some(peer) = context.reply else { return };
        self.session_heard(context, Table::Entries);
        if let Sketch::More { end: 0, .. } = *message {
            // It asks whether anything still differs. If so, its next question is on the way.
            if context.root == self.root {
                self.owe(Some(peer), Table::Entries, Task::Equal, Prefix::ROOT, 0);
            }
            return;
        }
        if !sketch::POSSIBLE {
            return self.answer_by_digests(context, peer);
        }
        match *message {
            Sketch::Ask { count, cell, estimate } => self.answer_ask(context, peer, count, cell, estimate),
            Sketch::Cells { first, end, cells } => {
                let with = self.session(Table::Entries).with();
                if with == Some(peer)
                    && self.exchange.is_hopeful()
                    && context.root != self.root
                    && self.is_whole_with(peer)
                {
                    self.take_cells(context, peer, (first, end), cells);
                }
            }
            Sketch::More { first, end } => {
                let owed = self.replies.cells_to(peer) + usize::from(end.saturating_sub(first));
                if first < end && usize::from(end) <= self.store.sketch().len() && owed <= 2 * CELLS {
                    // Who asks twice at once has lost some, and gets them twice.
                    let row = Row::of_key(peer, Table::Entries, Task::Cells { first, end }, Key::new(0, first.into()));
                    let again = self.replies.has(&row);
                    self.owe_cells(peer, Task::Cells { first, end }, first, again);
                }
            }
            Sketch::Want { topic, keys: Many::Wire(keys) } => {
                for key in keys.chunks_exact(KEY_LEN) {
                    let &[a, b, c] = key else { break };
                    let chore = Chore::Send(Short::from_parts(topic, [a, b, c]));
                    self.add_chore(peer, chore, self.exchange.is_checking(peer));
                }
            }
            Sketch::Have { topic, keys: Many::Wire(keys) } => self.take_marks(peer, topic, keys),
            Sketch::Differ { topic, first, last, keys: Many::Wire(keys) } => {
                self.exchange.narrow(peer, topic, (first, last), keys);
            }
            Sketch::AskTotal => self.owe(Some(peer), Table::Entries, Task::Total, Prefix::ROOT, 0),
            Sketch::Total { weight, product } => self.take_total(context, peer, Total { weight, product }),
            Sketch::Want { .. } | Sketch::Have { .. } | Sketch::Differ { .. } => {}
        }
    }

    /// The other's total, once each has what the sketch showed: what differs still, if it is one key, was in none of its cells.
    fn take_total(&mut self, context: &Context, peer: usize, theirs: Total) {
        if context.root == self.root || self.session(Table::Entries).with() != Some(peer) || !self.is_whole_with(peer) {
            return;
        }
        let Some(key) = self.store.total().single(theirs) else { return self.exchange.total_failed() };
        let chore = if self.weigh(key) > 0 { Chore::Send(key) } else { Chore::Want(key) };
        self.add_chore(peer, chore, self.exchange.is_losing());
    }

    fn answer_by_digests(&mut self, context: &Context, peer: usize) {
        let task = if context.root == self.root { Task::Equal } else { Task::Digests };
        self.owe(Some(peer), Table::Entries, task, Prefix::ROOT, 0);
    }

    fn answer_ask(
        &mut self,
        context: &Context,
        peer: usize,
        count: u32,
        cell: [u8; CELL_LEN],
        estimate: [u8; sketch::ESTIMATE_LEN],
    ) {
        if context.root == self.root {
            return self.owe(Some(peer), Table::Entries, Task::Equal, Prefix::ROOT, 0);
        }
        let cells = self.store.sketch();
        let held = self.store.index().root().count;
        let is_of_use = || {
            let needed = sketch::cells_for(sketch::estimate(cells), estimate);
            let near = held.abs_diff(count) as usize <= CELLS / 2;
            (near && self.is_whole_with(peer)).then_some(needed)
        };
        let Some((first, needed)) = cells.first().and_then(|first| Some((first, is_of_use()?))) else {
            return self.owe(Some(peer), Table::Entries, Task::Digests, Prefix::ROOT, 0);
        };
        let difference = first.wrapping_sub(sketch::Cell::from_le_bytes(cell));
        match sketch::single(difference).map(|found| (found, self.weigh(found.key))) {
            Some((found, ours)) if is_plausible(found, ours, 0) && held.abs_diff(count) <= 1 => {
                for chore in chores(found, ours).into_iter().flatten() {
                    self.add_chore(peer, chore, false);
                }
            }
            _ if difference == 0 => self.owe(Some(peer), Table::Entries, Task::Digests, Prefix::ROOT, 0),
            _ => self.owe_cells(peer, Task::Cells { first: 0, end: needed as u16 }, 0, false),
        }
    }

    fn take_cells(&mut self, context: &Context, peer: usize, (first, end): (u16, u16), cells: Many<'_, CELL_LEN>) {
        self.release_list(peer);
        let (store, from, ours) = (&self.store, (peer, context.root), (self.store.sketch(), self.root));
        let weigh = |key: Short| store.weigh(key);
        let gathered = self.exchange.take(from, first.into(), end.into(), cells.iter(), ours, weigh);
        match gathered {
            Gathered::Waiting => {}
            Gathered::Solved => {
                self.open.clear();
                self.owe_chores(peer, Task::Chores);
            }
            Gathered::More(first, end) => self.owe_cells(peer, Task::More { first, end }, first, false),
            Gathered::Failed => {
                self.stats.sketches_failed += 1;
                self.owe(Some(peer), Table::Entries, Task::Chores, Prefix::ROOT, 0);
                self.owe(Some(peer), Table::Entries, Task::Digests, Prefix::ROOT, 0);
            }
        }
    }

    /// What the other has of some keys that differed: nothing is kept of that, so each is looked at for itself.
    fn take_marks(&mut self, peer: usize, topic: u16, keys: &[u8]) {
        if !sketch::POSSIBLE {
            return;
        }
        self.exchange.heard_marks(peer, topic, keys, self.stats.datagrams_in as u32);
        for key in keys.chunks_exact(MARKED_LEN) {
            let &[a, b, c, d, e] = key else { break };
            let (key, theirs) = (Short::from_parts(topic, [a, b, c]), u16::from_le_bytes([d, e]));
            let ours = mark(self.weigh(key));
            if ours != theirs {
                // Of what both have, one is older: if it is ours, the other answers with its own. Weights are odd: of one item
                // and two it answers nothing.
                if ours > 0 {
                    self.add_chore(peer, Chore::Send(key), true);
                }
                if theirs > 0 && (ours == 0 || (ours ^ theirs) & 1 == 1) {
                    self.add_chore(peer, Chore::Want(key), true);
                }
            }
        }
        self.owe(Some(peer), Table::Entries, Task::Chores, Prefix::ROOT, 0);
    }

    /// What our items of a key count.
    fn weigh(&self, key: Short) -> i32 {
        self.store.weigh(key)
    }

    /// Frees the list for this member from whom it serves if no row says so any more: nothing would ever come of it.
    fn release_list(&mut self, peer: usize) {
        let served = self.exchange.served().filter(|served| *served != peer);
        if let Some(served) = served.filter(|served| !self.replies.has_chores(*served)) {
            self.exchange.drop_list(served);
        }
    }

    pub(super) fn add_chore(&mut self, peer: usize, chore: Chore, twice: bool) {
        self.release_list(peer);
        if self.exchange.add(peer, chore, twice) {
            self.owe(Some(peer), Table::Entries, Task::Chores, Prefix::ROOT, 0);
        } else {
            self.stats.replies_dropped += 1;
        }
    }

    /// Behind what was found, or is told again, goes the question for what was not.
    fn owe_chores(&mut self, peer: usize, task: Task) {
        self.owe(Some(peer), Table::Entries, task, Prefix::ROOT, 0);
        let times = self.exchange.total_times(matches!(task, Task::Check { .. }));
        if times > 0 {
            self.owe(Some(peer), Table::Entries, Task::AskTotal { said: 0, times }, Prefix::ROOT, 0);
        }
    }

    /// Rows about different cells are different rows, and the same once again is one, too.
    fn owe_cells(&mut self, peer: usize, task: Task, first: u16, again: bool) {
        self.owe_key(Some(peer), Table::Entries, task, Key::new(again.into(), first.into()));
    }

    /// Writes as much of a row of an exchange as fits.
    pub(super) fn fill_sketch(&mut self, filling: &mut Filling<'_>, mut row: Row, limit: usize) -> Rest {
        let room = filling.writer.room();
        let cells = self.store.sketch();
        if cells.is_empty() {
            return Rest::Done;
        }
        let pushed = match row.task {
            Task::Sketch => {
                let count = self.store.index().root().count;
                let cell = cells.first().copied().unwrap_or(0).to_le_bytes();
                let ask = Sketch::Ask { count, cell, estimate: sketch::estimate(cells) };
                filling.push(&Message::Sketch(ask), false, limit)
            }
            Task::More { first, end } => {
                let more = Message::Sketch(Sketch::More { first, end });
                if row.key().topic() > 0 {
                    _ = filling.push(&more, false, limit.saturating_sub(MORE_MAX));
                }
                filling.push(&more, false, limit)
            }
            // What is said again would be lost with the first.
            Task::Cells { .. } if row.key().topic() > 0 && !filling.is_blank() => return Rest::More(row),
            Task::Cells { first, end } => {
                let rest = cells.get(first.into()..end.into()).unwrap_or(&[]);
                let fit = limit.min(room).saturating_sub(CELLS_HEAD_MAX) / CELL_LEN;
                let count = rest.len().min(fit);
                // For want of credit, not of room, there may be more for it in this same datagram.
                if !rest.is_empty() && (count == 0 || count < rest.len() && limit < room) {
                    return Rest::More(row);
                }
                let cells = Many::Held(rest.get(..count).unwrap_or(&[]));
                let message = Message::Sketch(Sketch::Cells { first, end, cells });
                if filling.push(&message, false, limit).is_some() && count < rest.len() {
                    row.task = Task::Cells { first: first + count as u16, end };
                    return Rest::More(row);
                }
                Some(0)
            }
            Task::Check { at, said } => return self.fill_check(filling, row, (at, said), limit),
            Task::AskTotal { said, .. } if said > 0 && filling.twice => None,
            Task::AskTotal { said, times } => {
                let pushed = filling.push(&Message::Sketch(Sketch::AskTotal), false, limit);
                if pushed.is_some() && said + 1 < times {
                    filling.twice = true;
                    return Rest::More(row.to_do(Task::AskTotal { said: said + 1, times }));
                }
                pushed
            }
            Task::Total => {
                let Total { weight, product } = self.store.total();
                filling.push(&Message::Sketch(Sketch::Total { weight, product }), false, limit)
            }
            _ => return self.fill_chores(filling, row, limit),
        };
        if pushed.is_some() { Rest::Done } else { Rest::More(row) }
    }

    fn fill_check(&mut self, filling: &mut Filling<'_>, row: Row, (mut at, said): (u16, u8), mut limit: usize) -> Rest {
        if said > 0 && filling.twice {
            return Rest::More(row);
        }
        loop {
            let max = limit.min(filling.writer.room()).saturating_sub(WANT_HEAD_MAX) / MARKED_LEN;
            let Self { exchange, store, .. } = self;
            let weigh = |key: Short| store.weigh(key);
            let Some((topic, keys, next)) = exchange.marked(row.to(), at.into(), max.max(1), weigh) else {
                if at > 0 && said + 1 < exchange.tell_times() {
                    return Rest::More(row.to_do(Task::Check { at: 0, said: said + 1 }));
                } else if at > 0 {
                    return Rest::Done;
                }
                // All that was found has come: something else differs.
                exchange.is_told();
                let task = exchange.next_question();
                return self.fill_sketch(filling, row.to_do(task), limit);
            };
            let have = Message::Sketch(Sketch::Have { topic, keys: Many::Held(keys) });
            let Some(used) = filling.push(&have, false, limit) else {
                return Rest::More(row.to_do(Task::Check { at, said }));
            };
            filling.twice = true;
            (limit, at) = (limit.saturating_sub(used), next as u16);
        }
    }

    fn fill_chores(&mut self, filling: &mut Filling<'_>, row: Row, mut limit: usize) -> Rest {
        if self.exchange.is_again() && filling.twice {
            return Rest::More(row);
        }
        while let Some((topic, (first, last), keys)) = self.exchange.differing(row.to()) {
            let differ = Message::Sketch(Sketch::Differ { topic, first, last, keys: Many::Held(keys) });
            let used = filling.push(&differ, false, limit);
            if used.is_none() && limit < usize::MAX {
                return Rest::More(row);
            }
            // Where it does not fit in all the room that there is, the other asks again.
            limit = limit.saturating_sub(used.unwrap_or(0));
            filling.twice |= used.is_some();
            self.exchange.answered();
        }
        while let Some(chore) = self.exchange.next(row.to()) {
            let room = limit.min(filling.writer.room());
            let (used, done) = match chore {
                Chore::Want(first) => {
                    let keys = self.exchange.wanted(row.to(), room.saturating_sub(WANT_HEAD_MAX) / KEY_LEN);
                    let want = Sketch::Want { topic: first.topic(), keys: Many::Held(keys) };
                    let fits = !keys.is_empty();
                    (fits.then(|| filling.push(&Message::Sketch(want), false, limit)).flatten(), keys.len())
                }
                Chore::Send(key) => (self.push_all(filling, row.to(), key, limit), 1),
            };
            let Some(used) = used else { return Rest::More(row) };
            limit = limit.saturating_sub(used);
            filling.twice |= used > 0;
            self.exchange.done(done);
        }
        if !self.exchange.ended(row.to()) {
            return Rest::Done;
        }
        if filling.is_blank() {
            // Of all that was asked for there is nothing any more.
            self.exchange.drop_list(row.to());
            return Rest::Done;
        }
        Rest::More(row)
    }

    /// Writes the entries of a key: one, unless hashes begin alike.
    fn push_all(&mut self, filling: &mut Filling<'_>, to: usize, key: Short, limit: usize) -> Option<usize> {
        let (before, empty, mut used) = (filling.place(), filling.is_blank(), 0);
        // If they do not all fit in a datagram, another one is the first in the next.
        let turn = usize::from(self.salt());
        for nth in 0..ALIKE_MAX {
            let scope = self.scope_with(Some(to));
            let wanted = |slot: &usize| self.store.is_counted(*slot) && scope.wants(self.store.key_hash(*slot));
            let Some(slot) = self.store.alike(key).filter(wanted).nth((nth + turn) % ALIKE_MAX) else { continue };
            if !self.is_zombie(to, slot) {
                match self.push_slot(filling, Table::Entries, slot, true, limit.saturating_sub(used)) {
                    Some(len) => used += len,
                    None if empty && used > 0 => break,
                    None => {
                        filling.take_back(before);
                        return None;
                    }
                }
            }
        }
        Some(used)
    }
}

/// For the simulator: what no application can do.
#[cfg(feature = "sim")]
impl Node<'_> {
    /// Holds an entry as if it had been there for ever.
    pub(crate) fn plant(&mut self, key: &[u8], value: &[u8], stamp: u64, writer: u64) {
        let version = crate::wire::VersionId { stamp, writer, ..Default::default() };
        let merged = self.store.merge(&crate::wire::EntryItem { kind: 0, key, version, value: Some(value), ttl: 0 });
        debug_assert!(merged.is_ok(), "there is room");
    }

    /// All is planted.
    pub(crate) fn planted(&mut self) {
        self.refresh_root();
    }

    /// Whether the sketch, if there is one, is that of what is held.
    pub(crate) fn sketch_is_true(&self) -> bool {
        let (index, cells, sketch) = (self.store.index(), self.store.cells(), self.store.sketch());
        let mut fresh = alloc::vec![0; sketch.len()];
        let all = crate::repair::Tree { scope: crate::slab::scope::Scope::ALL, ..self.tree(Table::Entries, None) };
        for slot in all.walk(Prefix::ROOT) {
            sketch::change(&mut fresh, index.key(cells, slot), None, Some(index.item(cells, slot)));
        }
        fresh == sketch
    }

    /// Compares entries with a member, now.
    pub(crate) fn compare_entries(&mut self, now: crate::Instant, with: crate::NodeId) {
        if let Some(ix) = self.members.find(with) {
            self.session(Table::Entries).begin(now, ix, 0);
        }
    }
}

/// How many questions go on where the last differences were; those that follow begin from the front.
const GO_ON_TRIES: u8 = 4;
/// What a message with cells takes besides them at most: mark 1, tags 2, first and end 6, length 3.
const CELLS_HEAD_MAX: usize = 12;
/// What a question for cells takes at most.
const MORE_MAX: usize = 8;
/// What a question takes besides the keys at most: mark 1, tags 2, topic 2, length 3.
const WANT_HEAD_MAX: usize = 8;
/// How many entries are sent for the first 38 bits of a key; two are alike in 1 of 16 million pairs of one topic.
const ALIKE_MAX: usize = 4;

#[cfg(all(test, feature = "sim"))]
mod tests;
