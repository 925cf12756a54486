//! Facts in: what a datagram changes.

use super::{Direct, Errand, Lifecycle, Node};
use crate::addr::{Addr, NodeId};
use crate::error::Rejected;
use crate::membership::{MemberSlot, MemberState, newer, plausible};
use crate::repair::{Chore, Row, Task};
use crate::slab::Ix;
use crate::slab::index::{Key, Prefix};
use crate::slab::sketch::Short;
use crate::state::{Kind, Outcome, Refused};
use crate::stats::Count;
use crate::time::Instant;
use crate::wire::{self, Accusation, EntryItem, Header, Message, Table};

/// The datagram that is being taken in.
#[derive(Clone, Copy)]
pub(super) struct Context {
    pub(super) now: Instant,
    pub(super) from: Addr,
    pub(super) sender: NodeId,
    /// The sender's slot, if there is one for it.
    pub(super) peer: Option<usize>,
    /// By which number it is answered: its slot, or its place as a guest; none if all of these are taken.
    pub(super) reply: Option<usize>,
    /// Whether a relay passed it on.
    pub(super) forwarded: bool,
    /// Whether the sender was not there before this datagram.
    pub(super) arrived: bool,
    /// What it carries is no news: a comparison showed that it was missing here.
    pub(super) copies: bool,
    /// The sender's root.
    pub(super) root: u32,
}

impl Node<'_> {
    pub(super) fn take_in(&mut self, now: Instant, from: Addr, datagram: &mut [u8]) -> Result<(), Rejected> {
        if self.lifecycle == Lifecycle::Left {
            return Err(Rejected::Left);
        }
        let len = datagram.len();
        let (header, messages) = wire::open(datagram, &self.envelope)?;
        // All is decoded once before anything is applied: a datagram changes everything that it says, or nothing.
        let forwards = messages.check()?;
        self.stats.datagrams_in += 1;
        self.stats.bytes_in += len as u64;
        self.contacts.answered(from, header.id);
        self.take_messages(now, &from, &header, messages.clone(), false);
        // What a relay passed on for us is opened when all else has been taken in, and here: the stack is free again.
        let mut rest = messages;
        while let Some(payload) = forwards.then(|| rest.next_forward(self.envelope.own)).flatten() {
            match self.open_forwarded(payload) {
                Some((from, header, messages)) => self.take_messages(now, &from, &header, messages, true),
                None => self.stats.forward_refused += 1,
            }
        }
        Ok(())
    }

    /// Applies what a datagram says, which came from its sender or through a relay.
    #[inline(never)]
    pub(super) fn take_messages(
        &mut self,
        now: Instant,
        from: &Addr,
        header: &Header,
        mut messages: wire::Messages<'_>,
        forwarded: bool,
    ) {
        self.heard(now);
        self.tell_time(now);
        self.floor.since.get_or_insert(now);
        let (peer, arrived) = match self.meet(now, from, header, &messages) {
            Some((peer, arrived)) => (Some(peer), arrived),
            None => (None, false),
        };
        if let Some(peer) = peer {
            self.heard_after_waking(now, peer);
        }
        if let Some(ix) = peer.filter(|_| header.root == self.root || !self.store.is_quiet()) {
            self.members.hear_root(ix, header.root);
        }
        let (before, root, mut copied, mut seen) = (self.stats.entries_new, self.root, false, None);
        let known = self.stats.entries_known;
        let mut fetches = false;
        let reply = peer.or_else(|| self.guest(from, Some(header.id)));
        let mut context = Context {
            now,
            from: *from,
            sender: header.id,
            peer,
            reply,
            forwarded,
            arrived,
            copies: false,
            root: header.root,
        };
        // In place: a message is one of the largest things on the stack.
        while let Some(Ok(ref message)) = messages.next() {
            match *message {
                Message::Copies => {
                    context.copies = !context.copies;
                    copied = true;
                }
                Message::Seen(addr) => seen = Some(addr),
                _ => {
                    fetches |=
                        matches!(message, Message::CatchUp(wire::CatchUp::Begin { .. } | wire::CatchUp::Fetch { .. }));
                    self.apply(&context, message);
                }
            }
        }
        if let Some(addr) = seen.filter(|_| self.vouched == Some((header.id, now))) {
            self.take_seen(now, addr, header.id);
        }
        self.refresh_root();
        let again = copied && self.stats.entries_known > known;
        let moved = self.stats.entries_new > before || again;
        if self.root == header.root && (again || copied && self.root != root) {
            // The sender cannot know yet that this was the last that was missing, or that it had come before.
            self.owe(peer, Table::Entries, Task::Equal, Prefix::ROOT, 0);
        }
        self.compare_roots(now, peer, header.root, moved);
        let session = self.session(Table::Entries);
        if fetches && session.with() == peer {
            // It will have all soon, or compare then.
            session.end(now, true);
        }
    }

    /// Notes who spoke: somebody new, somebody back, or somebody who does not know what is said of it.
    #[inline(never)]
    fn meet(
        &mut self,
        now: Instant,
        from: &Addr,
        header: &Header,
        messages: &wire::Messages<'_>,
    ) -> Option<(usize, bool)> {
        if matches!(self.lifecycle, Lifecycle::Joining | Lifecycle::Alone) {
            self.lifecycle = Lifecycle::Member;
            self.told.joined = true;
            self.timers.join = None;
        }
        let Some(ix) = self.members.find_sender(header.id) else {
            if self.is_greeted(messages) {
                return None;
            }
            let Some((ix, orphan)) = self.members.insert(header.id, *from, header.incarnation) else {
                self.stats.members_refused += 1;
                return None;
            };
            self.drop_tags(orphan);
            // That a sample holds somebody now says nothing of that one.
            self.member_changed(now, ix, !self.members.is_sample());
            self.ask_for_record(ix);
            self.settle_in(now, ix, header.root);
            return Some((ix, true));
        };
        let slot = self.members.get(ix)?;
        let (state, known) = (slot.state, slot.incarnation);
        if !plausible(header.incarnation, known) {
            // It says of itself what nobody can have come to from what we were told of it: we were told wrong.
            self.stats.refused_incarnation += 1;
            self.members.revive(ix, header.incarnation, None);
            self.member_changed(now, ix, false);
            return Some((ix, false));
        }
        let ahead = newer(header.incarnation, known);
        if state == MemberState::Alive {
            // What is newer than our record comes with the record; here only an older life is of interest.
            // It is told where it says to be; where it is, for us, changes when it answers with the next incarnation.
            if newer(known, header.incarnation) {
                self.errand(from, Some(header.id), Errand::Tell);
            }
            return Some((ix, false));
        }
        // It is called suspect, dead or gone, and speaks: it has refuted already, or shall hear of it where it is now.
        let moved = slot.addr != *from;
        if !state.is_live() {
            self.members.relocate(ix, from);
        }
        if ahead {
            self.members.revive(ix, header.incarnation, None);
            self.member_changed(now, ix, true);
            if state == MemberState::Dead {
                // Who returns is seldom alone; and a try or two may be lost.
                self.hopes = HOPES;
                let soon = now.plus(self.rng.jitter(self.config.gossip_interval()));
                self.timers.heal = Some(self.timers.heal.map_or(soon, |heal| heal.min(soon)));
            }
        } else if !(moved && state.is_live()) {
            self.tell(ix, ix);
        }
        Some((ix, ahead && !state.is_live()))
    }

    /// Just taken in: the view is one welcome long, so compare with somebody soon.
    fn settle_in(&mut self, now: Instant, ix: usize, root: u32) {
        if self.members.peers() == 1 {
            self.session(Table::Members).begin(now, ix, SETTLE_DELAY);
            if root == self.root || !self.catch_up(now, ix) {
                self.session(Table::Entries).begin(now, ix, SETTLE_DELAY);
            }
        }
    }

    fn apply(&mut self, context: &Context, message: &Message<'_>) {
        let now = context.now;
        let compared = match message {
            Message::Root { table, .. } => Some(*table),
            Message::Digests(theirs) => Some(theirs.table),
            Message::Items(theirs) => Some(theirs.table),
            Message::Sketch(_) => Some(Table::Entries),
            _ => None,
        };
        match compared {
            Some(Table::Entries) if self.is_catching_up() => return,
            Some(Table::Messages) if !self.config.has_messages() => return,
            _ => {}
        }
        match *message {
            Message::Ping(number) => {
                self.pinged_at = now;
                self.errand(&context.from, Some(context.sender), Errand::Ack(number));
                self.tell_where(context);
            }
            Message::Ack(number) => self.take_ack(context, number),
            Message::PingReq { number, target, addr } => self.take_ping_req(context, number, target, addr),
            Message::Nack(number) => self.prober.nack(number),
            Message::Join(ref item) => {
                self.take_member(context, item);
                self.announce_newcomer(context, item.id);
                match context.peer {
                    Some(ix) if item.id == context.sender => self.welcome(ix, context.arrived),
                    Some(_) => {}
                    None => self.errand(&context.from, None, Errand::Welcome),
                }
            }
            Message::Alive(ref item) => self.take_member(context, item),
            Message::Suspect(ref accusation) => self.take_report(context, accusation, MemberState::Suspect),
            Message::Dead(ref accusation) => self.take_report(context, accusation, MemberState::Dead),
            Message::Left { id, incarnation } => {
                self.take_report(context, &Accusation { id, incarnation, by: id }, MemberState::Left);
            }
            Message::Entry(ref item) => {
                if let Err(refused) = self.take_entry(context, item) {
                    self.refuse_entry(context, refused);
                }
            }
            Message::Offer { key, digest } => self.take_offer(context, key, digest),
            Message::Want(key) => self.owe_key(context.reply, Table::Entries, Task::Send, key),
            Message::Root { table, digest } => self.take_root(context, table, digest),
            Message::Digests(ref theirs) => self.take_digests(context, theirs),
            Message::Items(ref theirs) => self.take_items(context, theirs),
            Message::Sketch(ref sketch) => self.take_sketch(context, sketch),
            Message::CatchUp(ref step) => self.take_catch_up(context, step),
            Message::Ask { key, stamp, writer, number } => self.answer(context, key, stamp, writer, number),
            Message::Held(number) => self.confirmed(context, number),
            Message::Publication(ref item) => self.take_publication(context, item),
            Message::Window(ref item) => self.take_window(context, item),
            Message::Missing(ref missing) => self.take_missing(context, missing),
            Message::Large(ref large) => self.take_announcement(context, large),
            Message::Pull { key, digest, from, end } => self.serve(context, key, digest, from, end),
            Message::Chunk { digest, from, bytes } => self.take_chunk(context, digest, from, bytes),
            Message::Floor { clock, floor, level } => self.take_floor(context, clock, floor, level),
            Message::Ahead { key, now } => self.take_ahead(context, key, now),
            // Taken in behind the others: it counts if there is an ack among them.
            Message::Seen(_) | Message::Copies => {}
            Message::Lacking => self.stats.refused_message += 1,
            // What is for us is opened when the rest has been taken in.
            Message::Forward { to, .. } if to == self.envelope.own => {
                self.stats.forward_refused += Count::from(context.forwarded);
            }
            Message::Forward { to, payload } => self.keep_forward(context, to, payload),
        }
    }

    #[inline(never)]
    fn take_entry(&mut self, context: &Context, item: &EntryItem<'_>) -> Result<(), Refused> {
        if !self.clock.accept(context.now, item.version.stamp) {
            self.refuse_stamp(context, item.kind, item.key, item.version.stamp);
            return Ok(());
        }
        if let Some(kind) = Kind::from_wire(item.kind) {
            self.correct_key(context.now, kind, item.key);
        }
        let merged = self.store.merge(item)?;
        if context.copies {
            self.note_copy(context, merged.slot);
        }
        self.stats.conflicts += Count::from(merged.conflict);
        self.stats.siblings_dropped += Count::from(merged.dropped_sibling);
        self.stats.tombstones_reissued += Count::from(merged.reissued);
        match merged.outcome {
            Outcome::New => {
                self.stats.entries_new += 1;
                self.drop_outdated(merged.slot);
                if !context.copies || merged.reissued {
                    self.entry_changed(context.now, merged.slot, false);
                }
                if merged.lacks {
                    let key = self.store.key_hash(merged.slot);
                    self.owe_key(context.reply, Table::Entries, Task::Send, key);
                }
            }
            Outcome::Known => self.stats.entries_known += 1,
            Outcome::Stale => {
                self.stats.entries_known += 1;
                let key = self.store.key_hash(merged.slot);
                match context.reply {
                    // What is being checked was lost before: it goes twice.
                    Some(peer) if context.copies && self.exchange.is_checking(peer) => {
                        self.add_chore(peer, Chore::Send(Short::of(key)), true);
                    }
                    // An answer to a copy is one, too: no news.
                    _ => {
                        let task = if context.copies { Task::Copy } else { Task::Send };
                        self.owe_key(context.reply, Table::Entries, task, key);
                    }
                }
            }
        }
        Ok(())
    }

    fn refuse_entry(&mut self, context: &Context, refused: Refused) {
        match refused {
            refused if refused.is_full() => {
                self.stats.refused_full += 1;
                self.lower_a_ceiling(context.now);
            }
            Refused::Unwanted => self.stats.entries_unwanted += 1,
            Refused::Ended | Refused::Collected => self.note_over(context.reply, refused),
            _ => self.stats.refused_entry += 1,
        }
    }

    pub(super) fn owe(&mut self, to: Option<usize>, table: Table, task: Task, prefix: Prefix, from: u8) {
        match to {
            Some(to) => self.push_row(Row::new(to, table, task, prefix, from)),
            None => self.stats.replies_dropped += 1,
        }
    }

    pub(super) fn owe_key(&mut self, to: Option<usize>, table: Table, task: Task, key: Key) {
        match to {
            Some(to) => self.push_row(Row::of_key(to, table, task, key)),
            None => self.stats.replies_dropped += 1,
        }
    }

    /// Owes `to` what we know of the member in `about`.
    pub(super) fn tell(&mut self, to: usize, about: usize) {
        let key = self.members.key_of(about);
        self.push_row(Row::of_key(to, Table::Members, Task::Send, key));
    }

    pub(super) fn push_row(&mut self, row: Row) {
        if !self.replies.push(row) {
            self.stats.replies_dropped += 1;
        }
    }

    /// The number of who is at an address, a slot's or a guest's, and what shows later whether it is still the same one.
    pub(super) fn number_of(&mut self, at: &Addr, id: Option<NodeId>) -> Option<(Ix, u16)> {
        let held = |slot: &MemberSlot| slot.addr == *at;
        let slot = id.and_then(|id| self.members.find(id)).filter(|ix| self.members.get(*ix).is_some_and(held));
        slot.or_else(|| self.guest(at, id)).map(|ix| (ix as Ix, check(id)))
    }

    /// Something to say to one address that is not about any table.
    pub(super) fn errand(&mut self, to: &Addr, id: Option<NodeId>, what: Errand) {
        match self.number_of(to, id) {
            Some((to, check)) => self.errand_to(to, check, what),
            None => self.stats.replies_dropped += 1,
        }
    }

    pub(super) fn errand_to(&mut self, to: Ix, check: u16, what: Errand) {
        let direct = Direct { to, check, what };
        if self.direct.push_back(direct).is_err() {
            self.stats.replies_dropped += 1;
            // What others want gives way to a probe of this node's own.
            if matches!(what, Errand::Ping(number) if self.prober.awaits(number)) {
                if let [first, .., last] = &mut *self.direct {
                    *last = core::mem::replace(first, direct);
                }
            }
        }
    }
}

/// What shows that a number still means the same one: that is seldom not so, and then something goes astray.
pub(super) fn check(id: Option<NodeId>) -> u16 {
    id.map_or(0, |id| id.0 as u16)
}

/// How many searches for others follow quickly when one has returned: at 30 % loss each way one in a hundred such times
/// nobody answers, and the next is as late as ever.
const HOPES: u8 = 6;
/// How long a newcomer waits for the rest of its welcome before it compares, in µs: a guess above most round trips.
const SETTLE_DELAY: u64 = 30_000;
