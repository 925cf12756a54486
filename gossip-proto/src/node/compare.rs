//! Comparing tables: what roots, digests and lists of another lead to.

use super::Node;
use super::input::Context;
use super::sample::SAMPLE;
use crate::repair::{Finding, OPEN_POSSIBLE, Task};
use crate::slab::SCARCE;
use crate::slab::index::{Key, Prefix};
use crate::time::Instant;
use crate::wire::{Digests, ITEM_LEN, Items, Table};

impl Node<'_> {
    #[inline(never)]
    pub(super) fn take_root(&mut self, context: &Context, table: Table, digest: u32) {
        let now = context.now;
        if table == Table::Members && (digest == SAMPLE || self.members.is_sample()) {
            return self.show_some(context, digest == SAMPLE);
        }
        let equal = digest == self.digest_with(table, context.peer, context.sender);
        self.note_equal(context, table, equal);
        let quiet = self.is_quiet(table);
        let mut delay = 0;
        if table == Table::Messages {
            // Rumors settle most differences first, and time those of what is over.
            delay = self.rng.jitter(DIFFER_DELAY);
            if !equal && self.moment(now).is_none_or(|at| self.store.is_sweeping(at)) {
                return;
            }
        }
        let session = self.session(table);
        if !equal && quiet {
            // Nothing is known.
        } else if equal && session.with() == context.peer {
            session.end(now, true);
        } else if let Some(ix) = context.peer.filter(|_| !equal) {
            session.begin(now, ix, delay);
        }
    }

    #[inline(never)]
    pub(super) fn take_digests(&mut self, context: &Context, theirs: &Digests<'_>) {
        let finding = self.tree(theirs.table, context.peer).compare_digests(theirs);
        self.note_place(context, (theirs.table, theirs.prefix), finding, false);
        self.note_equal(context, theirs.table, finding == Finding::Equal && theirs.from == 0);
        match finding {
            Finding::Equal if theirs.from == 0 => {
                self.owe(context.reply, theirs.table, Task::Root, Prefix::ROOT, 0);
            }
            Finding::Widen(prefix) => {
                self.owe(context.reply, theirs.table, Task::Digests, prefix, theirs.from);
            }
            Finding::Parts { closer, send } => {
                if closer > 0 {
                    let task = Task::Closer { parts: closer, salt: theirs.salt };
                    self.owe(context.reply, theirs.table, task, theirs.prefix, theirs.prefix.len());
                }
                self.stream(context.reply, theirs.table, theirs.prefix, send);
            }
            Finding::Equal | Finding::Items { .. } => {}
        }
    }

    #[inline(never)]
    pub(super) fn take_items(&mut self, context: &Context, theirs: &Items<'_>) {
        let finding = self.tree(theirs.table, context.peer).compare_items(theirs);
        self.note_place(context, (theirs.table, theirs.prefix), finding, theirs.answer > 0);
        match finding {
            Finding::Equal if theirs.prefix == Prefix::ROOT => {
                self.owe(context.reply, theirs.table, Task::Root, Prefix::ROOT, 0);
            }
            Finding::Widen(prefix) if theirs.digests.is_empty() => {
                let parts = self.tree(theirs.table, context.peer).parts(prefix);
                self.stream(context.reply, theirs.table, prefix, parts);
            }
            Finding::Widen(prefix) => {
                let span = self.tree(theirs.table, context.peer).span(prefix);
                self.owe(context.reply, theirs.table, Task::Digests, span, prefix.len());
            }
            Finding::Items { send, lack } => {
                // Where both have something that the other lacks, it may not be lacking there but be older.
                let mixed = if theirs.answer > 0 { theirs.answer - 1 } else { (lack > 0).into() };
                if send > 0 {
                    self.owe(context.reply, theirs.table, Task::Copies(send), theirs.prefix, mixed);
                }
                // One entry against one is most likely the same in two versions: who has the newer one answers with it.
                let alike =
                    !SCARCE && send.is_power_of_two() && lack.is_power_of_two() && theirs.prefix.len() >= ALIKE_DEPTH;
                if !(alike && theirs.table == Table::Entries) {
                    self.ask_for_items(context, theirs, lack, send > 0);
                }
            }
            Finding::Equal | Finding::Parts { .. } => {}
        }
    }

    /// Names items of a list that we lack, each by its digest: the list may have changed by then. Each takes a row; the first
    /// is another one in each session, so that none is left out for ever where there are too few.
    fn ask_for_items(&mut self, context: &Context, theirs: &Items<'_>, lack: u32, mixed: bool) {
        for turn in 0..u32::BITS as u8 {
            let nth = usize::from(theirs.salt.wrapping_add(turn) % u32::BITS as u8);
            let digest = theirs.digests.get(nth * ITEM_LEN..).and_then(<[u8]>::first_chunk);
            if let Some(digest) = digest.filter(|_| lack >> nth & 1 > 0) {
                let task = Task::Lack { digest: *digest, salt: theirs.salt };
                self.owe(context.reply, theirs.table, task, theirs.prefix, mixed.into());
            }
        }
    }

    #[inline(never)]
    pub(super) fn take_offer(&mut self, context: &Context, key: Key, digest: u32) {
        if !self.store.scope.wants(key) {
            return;
        }
        let held = self.store.find_hash(key).map(|slot| self.store.digest(slot));
        if held != Some(digest) && self.wanted.ask(key, context.now) {
            self.owe_key(context.reply, Table::Entries, Task::Want, key);
        }
    }

    /// Ends or begins a comparison of entries, by the root that every datagram carries.
    pub(super) fn compare_roots(&mut self, now: Instant, peer: Option<usize>, root: u32, moved: bool) {
        let Some(ix) = peer else { return };
        if root != self.root && self.store.is_quiet() {
            return self.members.hear_only(ix, now);
        }
        self.members.hear_root(ix, root);
        let scoped = !self.scope_with(Some(ix)).is_all();
        self.members.hear(ix, now, self.root, scoped);
        if root == self.root {
            self.holds_all(ix);
            self.note_level(peer);
        }
        let (own, retry) = (self.root, self.retry(ix));
        let delay = self.rng.jitter(DIFFER_DELAY);
        let equal = root == own || scoped && self.members.agrees(ix);
        if equal {
            self.note_caught_up();
        } else if self.is_catching_up() {
            return;
        }
        let session = self.session(Table::Entries);
        if equal {
            if session.with() == Some(ix) {
                session.end(now, true);
            }
        } else {
            if moved {
                session.heard(now, ix, retry);
            }
            session.take_turns(now, ix);
            session.begin(now, ix, delay);
        }
    }

    /// Notes where a comparison that this node has begun has come to. What the other names as lacking is an answer, and no question
    /// follows from it.
    fn note_place(&mut self, context: &Context, (table, part): (Table, Prefix), finding: Finding, is_answer: bool) {
        self.session_heard(context, table);
        if finding == Finding::Equal || !self.compares_entries(context.peer, table) {
            return;
        }
        self.open.came(part, !is_answer);
        match finding {
            Finding::Parts { closer, send } => self.open.parted(part, closer, send),
            Finding::Items { lack, .. } if !is_answer => self.open.differs(part, lack > 0),
            Finding::Widen(_) => self.open.differs(part, true),
            Finding::Equal | Finding::Items { .. } => {}
        }
    }

    /// Whether a member is the one whom this node asks about entries.
    fn compares_entries(&mut self, peer: Option<usize>, table: Table) -> bool {
        OPEN_POSSIBLE && table == Table::Entries && peer.is_some() && self.session(table).with() == peer
    }

    /// A copy of an entry has come.
    pub(super) fn note_copy(&mut self, context: &Context, slot: usize) {
        if self.compares_entries(context.peer, Table::Entries) {
            self.open.came(Prefix::of(self.store.key_hash(slot), Key::BITS), false);
        }
    }

    /// What this node and the sender both want of a table turned out to be equal.
    fn note_equal(&mut self, context: &Context, table: Table, equal: bool) {
        if let Some(ix) = context.peer.filter(|_| equal && table == Table::Entries) {
            self.members.agree(ix, context.now);
            self.note_level(Some(ix));
            self.note_caught_up();
        }
    }

    pub(super) fn session_heard(&mut self, context: &Context, table: Table) {
        if let Some(ix) = context.peer {
            let retry = self.retry(ix);
            self.session(table).heard(context.now, ix, retry);
        }
    }

    fn stream(&mut self, peer: Option<usize>, table: Table, prefix: Prefix, parts: u16) {
        if parts > 0 {
            self.owe(peer, table, Task::Stream { parts, datagrams: STREAM_DATAGRAMS }, prefix, prefix.len());
        }
    }
}

/// How many datagrams are streamed before the other is asked what it still lacks: bounds what a forged request sets off.
const STREAM_DATAGRAMS: u8 = 8;
/// Under so long a prefix, two entries that differ are hardly ever different ones: of a topic's one pair in 65,536.
const ALIKE_DEPTH: u8 = 48;
/// How long a difference of roots must last, in µs, before it is looked into: rumors settle most of them first.
const DIFFER_DELAY: u64 = 200_000;
