//! Datagrams out: where the next one goes, and what it carries.

use super::sample::SHUFFLE;
use super::{Direct, Errand, Lifecycle, Node};
use crate::Transmit;
use crate::addr::{Addr, NodeId};
use crate::config::Spread;
use crate::membership::{MemberState, OWN};
use crate::repair::ROWS_MAX;
use crate::slab::index::Key;
use crate::slab::scope::Scope;
use crate::spread::Class;
use crate::time::Instant;
use crate::wire::{Accusation, FORWARD_LEN_MAX, Header, MemberItem, Message, Table, Writer, close};

/// Where a datagram goes.
#[derive(Clone, Copy)]
pub(super) struct Destination {
    pub(super) addr: Addr,
    /// Whom it is for; the address is that of the relay if there is one.
    pub(super) id: Option<NodeId>,
    pub(super) slot: Option<usize>,
    /// Whether it is one of the members that the present round reaches.
    pub(super) round: bool,
    /// The slot of the relay that is to pass it on.
    pub(super) via: Option<usize>,
    /// Whether nothing but the errand goes there, since it may well not arrive.
    pub(super) bare: bool,
}

/// A datagram that is being filled.
pub(super) struct Filling<'b> {
    pub(super) writer: Writer<'b>,
    pub(super) to: &'b Destination,
    /// Whether what is written now is marked as copies.
    copies: bool,
    /// How many members and entries with news have not been looked at yet.
    members_left: usize,
    /// How many rumors about strangers were not passed on yet, and how many members are shown to keep samples mixed.
    foreign_left: usize,
    shuffle_left: usize,
    entries_left: usize,
    pub(super) rows_left: usize,
    /// Whether it is to go without any message, for what its header says.
    pub(super) bare: bool,
    /// Whether something is in it that is said twice: the second time goes in another.
    pub(super) twice: bool,
    /// An entry that is to be deleted here before its row goes on.
    pub(super) zombie: Option<usize>,
    /// Whether some of a run is in it, which is to go on when that is deleted.
    pub(super) run: bool,
    /// The window that was last written as an offer.
    pub(super) offered: Option<usize>,
    /// How long it was with nothing but the floor, which goes first in each to whom has missed it.
    floor: usize,
}

impl<'b> Filling<'b> {
    /// Nothing yet, and nothing to look at.
    fn new(writer: Writer<'b>, to: &'b Destination) -> Self {
        Self {
            writer,
            to,
            copies: false,
            members_left: 0,
            foreign_left: 0,
            shuffle_left: 0,
            entries_left: 0,
            rows_left: 0,
            bare: false,
            twice: false,
            offered: None,
            floor: 0,
            zombie: None,
            run: false,
        }
    }

    /// How many bytes are left.
    pub(super) fn room(&self) -> usize {
        self.writer.room()
    }

    /// Whether nothing was written that could go in another: what does not fit now never will.
    pub(super) fn is_blank(&self) -> bool {
        self.writer.is_empty() || self.writer.len() == self.floor
    }

    /// Writes one message, marked as a copy or not; `None`, and nothing is written, if it is longer than `limit`.
    pub(super) fn push(&mut self, message: &Message<'_>, copy: bool, limit: usize) -> Option<usize> {
        let start = self.writer.len();
        let marked = if copy == self.copies { Some(0) } else { self.writer.push(&Message::Copies, limit) };
        let used = marked.and_then(|mark| Some(mark + self.writer.push(message, limit - mark)?));
        match used {
            Some(_) => self.copies = copy,
            None => self.writer.truncate(start),
        }
        used
    }

    /// Where it is, to return to with [`Filling::take_back`].
    pub(super) fn place(&self) -> (usize, bool) {
        (self.writer.len(), self.copies)
    }

    /// Takes back what was written since, marks of copies among it.
    pub(super) fn take_back(&mut self, (len, copies): (usize, bool)) {
        self.writer.truncate(len);
        self.copies = copies;
    }
}

impl Node<'_> {
    pub(super) fn fill<'b>(&mut self, now: Instant, buf: &'b mut [u8]) -> Option<Transmit<'b>> {
        // A destination whose row turned out to be nothing yields no datagram; each try uses one up.
        for _ in 0..TRIES_MAX {
            let Some(to) = self.destination(now) else {
                self.finish_leaving();
                return None;
            };
            let header = Header {
                id: self.envelope.own,
                incarnation: self.incarnation(),
                root: self.root,
                load: (self.replies.len() * 224 / ROWS_MAX) as u8,
            };
            // A datagram for a relay to pass on is filled in behind the room for what goes around it.
            let lead = if to.via.is_some() { FORWARD_LEN_MAX } else { 0 };
            let writer = Writer::new(buf.get_mut(lead..)?, &header)?;
            let room = writer.room();
            let mut filling = Filling {
                members_left: self.members.hot().1,
                foreign_left: self.foreign.len(),
                shuffle_left: if to.round { self.shown() } else { 0 },
                entries_left: self.store.hot_len(),
                rows_left: self.replies.len(),
                ..Filling::new(writer, &to)
            };
            self.fill_classes(&mut filling, room);
            self.used_up(&to);
            if filling.writer.is_empty() && !to.round && !filling.bare {
                continue;
            }
            let filled = filling.writer.len();
            let wrapped = if to.via.is_some() {
                self.wrap(buf, filled, &header, (to.via, to.id))
            } else {
                Some((filled, NodeId(0)))
            };
            let Some((len, relay)) = wrapped else { continue };
            let id = if to.via.is_some() { Some(relay) } else { to.id };
            self.stats.datagrams_out += 1;
            self.stats.bytes_out += len as u64;
            self.budget.spend(len);
            return Some(Transmit { to: to.addr, payload: close(buf, len, &self.envelope, id) });
        }
        None
    }

    /// The lead fixes the destination: what is owed to one address first, since somebody waits for it; then a row or a
    /// round, whichever has more credit. All within the byte budget, which only a due probe overdraws.
    fn destination(&mut self, now: Instant) -> Option<Destination> {
        let (row, round) = (self.replies.first(), self.rounds.target());
        if row.is_none() && round.is_none() && !self.has_forwards() && self.direct.is_empty() {
            return None;
        }
        let allowed = self.budget.allows(now);
        while let Some(direct) = self.direct.first().filter(|_| allowed) {
            match self.errand_destination(*direct) {
                None => self.direct.remove(0),
                to => return to,
            }
        }
        // Only a due probe may overdraw, once, and nothing goes with it.
        let own = |direct: &&Direct| matches!(direct.what, Errand::Ping(number) if self.prober.awaits(number));
        if let Some(direct) = self.direct.iter().find(own).copied() {
            if let Some(to) = self.errand_destination(direct).filter(|_| self.budget.overdraw()) {
                return Some(Destination { bare: true, round: false, ..to });
            }
        }
        let first = match (row, round) {
            (Some(row), Some(round)) => {
                let repair = self.credits.of(Class::Repair);
                let news = self.credits.of(Class::Membership).max(self.credits.of(Class::State));
                Some(if repair > news { row } else { round })
            }
            (row, round) => row.or(round),
        };
        if !allowed {
            self.stats.budget_waits += 1;
            self.timers.budget = Some(self.budget.ready());
            return None;
        }
        while let Some(forward) = self.forward_to(first.is_none()) {
            match self.members.get(forward).filter(|slot| slot.is_live() && self.members.via(forward).is_none()) {
                Some(slot) => return Some(self.destination_of(forward, slot, round == Some(forward))),
                None => self.drop_forward(),
            }
        }
        let first = first?;
        if let Some((addr, id)) = self.guest_at(first) {
            return Some(Destination { addr, id, slot: Some(first), round: false, via: None, bare: false });
        }
        let Some(slot) = self.members.get(first) else {
            self.replies.forget(first);
            self.rounds.reached(first);
            return self.destination(now);
        };
        Some(self.destination_of(first, slot, round == Some(first)))
    }

    /// A destination has had its datagram: it is not led to again for the same reason.
    fn used_up(&mut self, to: &Destination) {
        if let (true, Some(slot)) = (to.round, to.slot) {
            self.rounds.reached(slot);
        }
    }

    fn finish_leaving(&mut self) {
        if self.lifecycle == Lifecycle::Leaving && self.farewells == 0 && self.rounds.target().is_none() {
            self.lifecycle = Lifecycle::Left;
            self.told.left = true;
        }
    }

    fn fill_classes(&mut self, filling: &mut Filling<'_>, room: usize) {
        if filling.to.bare {
            self.fill_errands(filling, usize::MAX);
            return;
        }
        self.fill_forward(filling);
        let forwarded = !filling.writer.is_empty();
        self.fill_floor(filling);
        filling.floor = if forwarded { 0 } else { filling.writer.len() };
        let rows = filling.to.slot.is_some_and(|slot| self.replies.first_to(slot).is_some()) || filling.to.round;
        let urgent = self.store.hot_first().is_some_and(|slot| self.store.urgent(slot));
        let state = filling.entries_left > 0 && self.config.spread != Spread::Pull;
        let members = filling.members_left + filling.foreign_left > 0;
        self.credits.earn([true, urgent, members, state, rows], room);
        let waiting = [!self.direct.is_empty(), urgent, members, state, rows];
        let mut left = waiting;
        while let Some(class) = self.credits.richest(&mut left) {
            let used = self.fill_class(class, filling, self.credits.of(class));
            self.credits.spend(class, used);
        }
        for class in &Class::ALL {
            // A sample shows some of its members without being asked.
            if waiting[*class as usize] || *class == Class::Membership && filling.shuffle_left > 0 {
                self.fill_class(*class, filling, usize::MAX);
            }
        }
    }

    fn fill_class(&mut self, class: Class, filling: &mut Filling<'_>, credit: usize) -> usize {
        match class {
            Class::Probe => self.fill_errands(filling, credit),
            Class::Urgent => self.fill_entries(filling, credit, true),
            Class::Membership => self.fill_members(filling, credit),
            Class::State => self.fill_entries(filling, credit, false),
            Class::Repair => self.fill_rows(filling, credit),
        }
    }

    fn fill_errands(&mut self, filling: &mut Filling<'_>, credit: usize) -> usize {
        let mut used = 0;
        let mut at = 0;
        while let Some(direct) = self.direct.get(at) {
            if filling.to.slot != Some(direct.to as usize) || filling.to.via.is_some() {
                at += 1;
                continue;
            }
            let (direct, limit) = (*direct, credit.saturating_sub(used));
            let pushed = match direct.what {
                Errand::Welcome => self.push_welcome(filling, limit),
                Errand::Tell => filling.to.id.map_or(Some(0), |id| {
                    self.push_key(filling, Table::Members, self.members.key_for(id), false, limit)
                }),
                Errand::Show => self.push_shown(filling, limit),
                what => self.push_errand(filling, what, limit),
            };
            match pushed {
                Some(len) => used += len,
                // An errand that does not even fit in a datagram of its own is given up.
                None if filling.is_blank() && credit == usize::MAX => self.stats.items_too_large += 1,
                None => {
                    at += 1;
                    continue;
                }
            }
            self.direct.remove(at);
        }
        used
    }

    /// Writes this node's record, and those of as many peers as fit, from a random one on.
    fn push_welcome(&mut self, filling: &mut Filling<'_>, limit: usize) -> Option<usize> {
        let mut used = self.push_alive(filling, OWN, false, limit)?;
        let peers = self.members.peers();
        let start = self.rng.below(peers.max(1) as u32) as usize;
        for position in (start..peers).chain(0..start) {
            let Some(peer) = self.members.peer(position) else { break };
            let Some(len) = self.push_alive(filling, peer, true, limit - used) else { break };
            used += len;
        }
        Some(used)
    }

    /// Writes what to say; nothing if there is no reason left.
    #[inline(never)]
    fn push_errand(&self, filling: &mut Filling<'_>, what: Errand, limit: usize) -> Option<usize> {
        match self.errand_message(what, filling.to) {
            Some(message) => filling.push(&message, false, limit),
            None => Some(0),
        }
    }

    fn errand_message(&self, what: Errand, to: &Destination) -> Option<Message<'_>> {
        Some(match what {
            Errand::Ping(number) => Message::Ping(number),
            Errand::Ack(number) => Message::Ack(number),
            Errand::Nack(number) => Message::Nack(number),
            Errand::Seen => Message::Seen(to.addr),
            Errand::PingReq(number) => {
                let target = self.prober.target(number)?;
                let addr = self.members.get(self.members.find(target)?)?.addr;
                Message::PingReq { number, target, addr }
            }
            Errand::Join | Errand::Welcome | Errand::Tell | Errand::Show => {
                Message::Join(self.member_item(OWN).unwrap_or(MemberItem::EMPTY))
            }
        })
    }

    #[inline(never)]
    fn fill_members(&mut self, filling: &mut Filling<'_>, credit: usize) -> usize {
        let (mut used, mut next, mut passed) = (0, self.members.hot().0, 0);
        while let Some(ix) = next.filter(|_| filling.members_left > 0 && passed < PASS_MAX) {
            let after = self.members.hot_after(ix);
            if let Some(len) = self.push_member(filling, ix, credit.saturating_sub(used)) {
                used += len;
                filling.members_left -= 1;
                self.members.passed_on(ix);
                passed = 0;
            } else {
                passed += 1;
            }
            next = after;
        }
        used + self.fill_foreign(filling, credit.saturating_sub(used))
    }

    /// Rumors about strangers, and, where the table is a sample, some of its members for the samples of others.
    fn fill_foreign(&mut self, filling: &mut Filling<'_>, credit: usize) -> usize {
        let mut used = 0;
        while let Some(message) = self.foreign.message().filter(|_| filling.foreign_left > 0) {
            let Some(len) = filling.push(&message, false, credit.saturating_sub(used)) else { break };
            used += len;
            filling.foreign_left -= 1;
            self.foreign.passed_on();
        }
        if self.members.is_sample() {
            let shown = core::mem::take(&mut filling.shuffle_left);
            used += self.push_peers(filling, shown, credit.saturating_sub(used));
        }
        used
    }

    fn push_shown(&mut self, filling: &mut Filling<'_>, limit: usize) -> Option<usize> {
        Some(self.push_peers(filling, SHUFFLE - 1, limit))
    }

    /// Writes so many random peers, or as many as fit.
    fn push_peers(&mut self, filling: &mut Filling<'_>, count: usize, limit: usize) -> usize {
        let mut used = 0;
        for _ in 0..count {
            let position = self.rng.below(self.members.peers().max(1) as u32) as usize;
            let Some(peer) = self.members.peer(position) else { break };
            let Some(len) = self.push_alive(filling, peer, true, limit.saturating_sub(used)) else { break };
            used += len;
        }
        used
    }

    fn fill_entries(&mut self, filling: &mut Filling<'_>, credit: usize, urgent: bool) -> usize {
        if filling.entries_left == 0 || self.config.spread == Spread::Pull && !urgent {
            return 0;
        }
        let scope = filling.to.slot.map_or(Scope::ALL, |slot| self.scope_of(slot));
        let (mut used, mut next, mut passed) = (0, self.store.hot_first(), 0);
        while let Some(slot) = next.filter(|_| filling.entries_left > 0 && passed < PASS_MAX) {
            let after = self.store.hot_next(slot);
            if !self.store.is_for(slot, &scope) {
                // It is not for this one. Among few who want it, comparing is quicker than chance.
                if self.rng.below(UNWANTED_PART) == 0 {
                    self.store.hot_sent(slot);
                }
                filling.entries_left -= 1;
                next = after;
                continue;
            }
            let pushed = if self.store.urgent(slot) == urgent {
                let limit = credit.saturating_sub(used);
                let whole = urgent || self.config.spread == Spread::Push || self.goes_whole(slot);
                if self.store.is_message(slot) {
                    self.push_message_news(filling, slot, limit)
                } else if whole {
                    self.push_entry(filling, slot, false, limit)
                } else {
                    self.push_offer(filling, slot, limit)
                }
            } else {
                None
            };
            if let Some(len) = pushed {
                used += len;
                filling.entries_left -= 1;
                self.store.hot_sent(slot);
                passed = 0;
            } else {
                passed += 1;
            }
            next = after;
        }
        used
    }

    /// Whether an entry costs hardly more than its digest, or is so new that nobody else can have it.
    fn goes_whole(&self, slot: usize) -> bool {
        let Some(item) = self.store.item(slot, 0) else { return true };
        let len = item.key.len() + item.value.map_or(0, <[u8]>::len);
        let sent = self.transmissions().saturating_sub(self.store.left(slot));
        let first = item.version.writer == self.life && sent < self.config.fanout;
        // A large one is announced, which costs hardly more than an offer and the question for it.
        len <= WHOLE_LEN || first || self.store.large(slot).is_some()
    }

    fn push_offer(&self, filling: &mut Filling<'_>, slot: usize, limit: usize) -> Option<usize> {
        let offer = Message::Offer { key: self.store.key_hash(slot), digest: self.store.digest(slot) };
        filling.push(&offer, false, limit)
    }

    /// Writes the versions of an entry, all or, if they are too many for a datagram, as many as fit after one of them.
    fn push_entry(&self, filling: &mut Filling<'_>, slot: usize, copy: bool, limit: usize) -> Option<usize> {
        let (before, mut used) = (filling.place(), 0);
        let empty = filling.is_blank();
        let (versions, large) = (self.store.versions(slot), self.store.large(slot));
        for nth in 0..versions {
            if !self.store.is_sent(slot, nth) {
                continue;
            }
            let limit = limit.saturating_sub(used);
            let pushed = match large {
                Some(large) if nth + 1 == versions => filling.push(&Message::Large(large), copy, limit),
                _ => self.push_version(filling, slot, nth, copy, limit),
            };
            match pushed {
                Some(len) => used += len,
                None if empty && used > 0 => break,
                None => {
                    filling.take_back(before);
                    return None;
                }
            }
        }
        Some(used)
    }

    #[inline(never)]
    fn push_version(
        &self,
        filling: &mut Filling<'_>,
        slot: usize,
        nth: usize,
        copy: bool,
        limit: usize,
    ) -> Option<usize> {
        filling.push(&Message::Entry(self.store.item(slot, nth)?), copy, limit)
    }

    pub(super) fn push_key(
        &self,
        filling: &mut Filling<'_>,
        table: Table,
        key: Key,
        copy: bool,
        limit: usize,
    ) -> Option<usize> {
        let slot = match table {
            Table::Members => self.members.find_key(key),
            Table::Entries => self.store.find_hash(key),
            Table::Messages => self.store.window_find(key),
        };
        // What is no more is not owed any more.
        slot.map_or(Some(0), |slot| self.push_slot(filling, table, slot, copy, limit))
    }

    pub(super) fn push_slot(
        &self,
        filling: &mut Filling<'_>,
        table: Table,
        slot: usize,
        copy: bool,
        limit: usize,
    ) -> Option<usize> {
        match table {
            Table::Entries => self.push_entry(filling, slot, copy, limit),
            Table::Messages => self.push_window(filling, slot, copy, limit),
            // A copy is for somebody who may not know the member at all: that comes before what it is suspected of.
            Table::Members if copy => self.push_alive(filling, slot, true, limit),
            Table::Members => self.push_member(filling, slot, limit),
        }
    }

    /// Writes a member's record. Apart, as are all that make a message: it is on the stack no longer than it takes.
    #[inline(never)]
    fn push_alive(&self, filling: &mut Filling<'_>, ix: usize, copy: bool, limit: usize) -> Option<usize> {
        filling.push(&Message::Alive(self.member_item(ix)?), copy, limit)
    }

    /// Writes what there is to say of a member.
    #[inline(never)]
    fn push_member(&self, filling: &mut Filling<'_>, ix: usize, limit: usize) -> Option<usize> {
        let slot = self.members.get(ix)?;
        let accusation = Accusation { id: slot.id, incarnation: slot.incarnation, by: slot.by };
        let message = match slot.state {
            MemberState::Alive => return self.push_alive(filling, ix, false, limit),
            MemberState::Suspect if !slot.leaving => Message::Suspect(accusation),
            MemberState::Dead => Message::Dead(accusation),
            MemberState::Left | MemberState::Suspect => Message::Left { id: slot.id, incarnation: slot.incarnation },
        };
        filling.push(&message, false, limit)
    }

    fn member_item(&self, ix: usize) -> Option<MemberItem<'_>> {
        let slot = self.members.get(ix)?;
        let tags = slot.tags.get().map_or(&[][..], |blob| self.store.blob(blob));
        let (id, incarnation, addr, tags_version) = (slot.id, slot.incarnation, slot.addr, slot.tags_version);
        let asleep = self.sleep_left(slot.asleep);
        Some(MemberItem { id, incarnation, addr, tags_version, asleep, tags })
    }

    pub(super) fn salt(&self) -> u16 {
        // Another for each datagram, and not to be foretold by others.
        self.stats.datagrams_out as u16 ^ self.life as u16
    }
}

/// How many destinations that yield nothing are tried in one call.
const TRIES_MAX: usize = 64;
/// How many items that do not fit are passed over in a row, looking for a smaller one.
const PASS_MAX: usize = 8;
/// A rumor that its destination does not want counts as passed on once in so many times.
const UNWANTED_PART: u32 = 8;
/// Up to this length of key and value the entry goes out whole: an offer and the question for it take 17 and 13 bytes,
/// and two more datagrams.
pub(super) const WHOLE_LEN: usize = 32;

#[cfg(all(test, feature = "siblings"))]
mod tests;
