//! Facts in: what a datagram changes.

use super::sample::SAMPLE;
use super::{Direct, Errand, Lifecycle, Node};
use crate::addr::{Addr, NodeId};
use crate::error::Rejected;
use crate::membership::{
    MemberSlot, MemberState, OWN, Relay, Report, Verdict, accept_alive, accept_report, newer, plausible, rtt_units,
    suspicion, transmissions,
};
use crate::repair::{Finding, Row, Task};
use crate::slab::Link;
use crate::slab::index::{Key, Prefix};
use crate::state::{Kind, Outcome, Refused};
use crate::stats::Count;
use crate::time::{Instant, Tick, micros};
use crate::wire::{self, Accusation, EntryItem, Header, MemberItem, Message, Table};

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

impl Context {
    pub(super) fn from(&self) -> Addr {
        self.from
    }
}

impl Node<'_> {
    pub(super) fn take_in(&mut self, now: Instant, from: Addr, datagram: &mut [u8]) -> Result<(), Rejected> {
        if self.lifecycle == Lifecycle::Left {
            return Err(Rejected::Left);
        }
        let len = datagram.len();
        let (header, messages) = wire::open(datagram, &self.envelope)?;
        // All is decoded once before anything is applied: a datagram changes everything that it says, or nothing.
        let mut forwards = false;
        for message in messages.clone() {
            forwards |= matches!(message?, Message::Forward { .. });
        }
        self.stats.datagrams_in += 1;
        self.stats.bytes_in += len as u64;
        self.contacts.answered(from, header.id);
        self.take_messages(now, from, &header, messages.clone(), false);
        if forwards {
            for message in messages.flatten() {
                if let Message::Forward { to, payload } = message {
                    if to == self.envelope.own {
                        self.take_forwarded(now, payload);
                    }
                }
            }
        }
        Ok(())
    }

    /// Applies what a datagram says, which came from its sender or through a relay.
    pub(super) fn take_messages(
        &mut self,
        now: Instant,
        from: Addr,
        header: &Header,
        mut messages: wire::Messages<'_>,
        forwarded: bool,
    ) {
        self.heard(now);
        self.tell_time(now);
        self.floor.since.get_or_insert(now);
        let (peer, arrived) = match self.meet(now, from, header) {
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
        let mut fetches = false;
        let reply = peer.or_else(|| self.guest(from, header.id));
        let mut context =
            Context { now, from, sender: header.id, peer, reply, forwarded, arrived, copies: false, root: header.root };
        while let Some(Ok(message)) = messages.next() {
            match message {
                Message::Copies => {
                    context.copies = !context.copies;
                    copied = true;
                }
                Message::Seen(addr) => seen = Some(addr),
                _ => {
                    fetches |=
                        matches!(message, Message::CatchUp(wire::CatchUp::Begin { .. } | wire::CatchUp::Fetch { .. }));
                    self.apply(&context, &message);
                }
            }
        }
        if let Some(addr) = seen.filter(|_| self.vouched == Some((header.id, now))) {
            self.take_seen(now, addr, header.id);
        }
        self.refresh_root();
        let moved = self.stats.entries_new > before || context.copies;
        if copied && self.root == header.root && self.root != root {
            // The sender cannot know yet that this was the last that was missing.
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
    fn meet(&mut self, now: Instant, from: Addr, header: &Header) -> Option<(usize, bool)> {
        if matches!(self.lifecycle, Lifecycle::Joining | Lifecycle::Alone) {
            self.lifecycle = Lifecycle::Member;
            self.told.joined = true;
            self.timers.join = None;
        }
        let Some(ix) = self.members.find_sender(header.id) else {
            let Some((ix, orphan)) = self.members.insert(header.id, from) else {
                self.stats.members_refused += 1;
                return None;
            };
            self.drop_tags(orphan);
            self.members.update(ix, |slot| slot.incarnation = header.incarnation);
            // That a sample holds somebody now says nothing of that one.
            self.member_changed(now, ix, !self.members.is_sample());
            self.settle_in(now, ix, header.root);
            return Some((ix, true));
        };
        let slot = self.members.get(ix)?;
        let (state, known) = (slot.state, slot.incarnation);
        if !plausible(header.incarnation, known) {
            // It says of itself what nobody can have come to from what we were told of it: we were told wrong.
            self.stats.refused_incarnation += 1;
            self.members.update(ix, |slot| {
                slot.set_incarnation(header.incarnation);
                slot.state = MemberState::Alive;
            });
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
        let moved = slot.addr != from;
        if !state.is_live() {
            self.members.update(ix, |slot| slot.addr = from);
        }
        if ahead {
            self.members.update(ix, |slot| {
                slot.set_incarnation(header.incarnation);
                slot.state = MemberState::Alive;
            });
            self.member_changed(now, ix, true);
            if state == MemberState::Dead {
                // Who returns is seldom alone.
                let soon = now.plus(self.rng.jitter(micros(self.config.gossip_interval)));
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
                self.errand(context.from, Some(context.sender), Errand::Ack(number));
                self.tell_where(context);
            }
            Message::Ack(number) => self.take_ack(context, number),
            Message::PingReq { number, target, addr } => {
                if target == self.envelope.own {
                    return self.errand(context.from, Some(context.sender), Errand::Ack(number));
                }
                let ours = self.rng.secret() as u32;
                // We may know better where the target is than who asks.
                let known = self.members.find(target).and_then(|ix| self.members.get(ix));
                let addr = known.filter(|slot| slot.is_live()).map_or(addr, |slot| slot.addr);
                // In time for the asker to hear of it before its own interval ends.
                let nack_at = if self.config.lifeguard.nack {
                    now.plus(micros(self.config.probe_timeout) / 4)
                } else {
                    Instant::NEVER
                };
                let relay =
                    Relay { asker: context.from, asker_id: context.sender, asked: number, number: ours, nack_at };
                self.prober.relay(relay);
                self.errand(addr, Some(target), Errand::Ping(ours));
            }
            Message::Nack(number) => self.prober.nack(number),
            Message::Join(item) => {
                self.take_member(context, &item);
                self.announce_newcomer(context, item.id);
                match context.peer {
                    Some(ix) if item.id == context.sender => self.welcome(ix, context.arrived),
                    Some(_) => {}
                    None => self.errand(context.from, None, Errand::Welcome),
                }
            }
            Message::Alive(item) => self.take_member(context, &item),
            Message::Suspect(accusation) => self.take_report(context, &accusation, MemberState::Suspect),
            Message::Dead(accusation) => self.take_report(context, &accusation, MemberState::Dead),
            Message::Left { id, incarnation } => {
                self.take_report(context, &Accusation { id, incarnation, by: id }, MemberState::Left);
            }
            Message::Entry(ref item) => self.take_entry(context, item),
            Message::Offer { key, digest } => {
                if !self.store.scope.wants(key) {
                    return;
                }
                let held = self.store.find_hash(key).map(|slot| self.store.digest(slot));
                if held != Some(digest) && self.wanted.ask(key, now) {
                    self.owe_key(context.reply, Table::Entries, Task::Want, key);
                }
            }
            Message::Want(key) => self.owe_key(context.reply, Table::Entries, Task::Send, key),
            Message::Root { table, digest } => {
                if table == Table::Members && (digest == SAMPLE || self.members.is_sample()) {
                    return self.show_some(context, digest == SAMPLE);
                }
                let equal = digest == self.digest_with(table, context.peer);
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
            Message::Digests(ref theirs) => {
                let finding = self.tree(theirs.table, context.peer).compare_digests(theirs);
                self.session_heard(context, theirs.table);
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
            Message::Items(ref theirs) => {
                let finding = self.tree(theirs.table, context.peer).compare_items(theirs);
                self.session_heard(context, theirs.table);
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
                    Finding::Items { send, lacking } => {
                        if send > 0 {
                            // Where it has something that we lack, what we hold may not be lacking there but be older.
                            let from = u8::from(lacking);
                            self.owe(context.reply, theirs.table, Task::Copies(send), theirs.prefix, from);
                        }
                        if lacking && !theirs.last {
                            let task = Task::Items { salt: theirs.salt };
                            self.owe(context.reply, theirs.table, task, theirs.prefix, 0);
                        }
                    }
                    Finding::Equal | Finding::Parts { .. } => {}
                }
            }
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
            // What is for us is opened when the rest has been taken in.
            Message::Forward { to, .. } if to == self.envelope.own => {
                self.stats.forward_refused += Count::from(context.forwarded);
            }
            Message::Forward { to, payload } => self.keep_forward(context, to, payload),
        }
    }

    #[inline(never)]
    fn take_ack(&mut self, context: &Context, number: u32) {
        if let Some((target, rtt)) = self.prober.ack(number, context.sender, context.now) {
            self.health.better();
            if context.sender == target && !context.forwarded {
                self.vouched = Some((target, context.now));
            }
            self.note_reached(context, target, number);
            if let (Some(ix), Some(rtt)) = (self.members.find(target), rtt) {
                if let Some(slot) = self.members.get_mut(ix) {
                    slot.rtt = rtt_units(rtt);
                }
            }
        } else if let Some(relay) = self.prober.relayed(number) {
            self.errand(relay.asker, Some(relay.asker_id), Errand::Ack(relay.asked));
        } else {
            self.note_late_ack(context, number);
        }
    }

    /// A suspect that pings from elsewhere than it says is not reached where it says: with the ack it hears both.
    fn tell_where(&mut self, context: &Context) {
        let slot = context.peer.and_then(|ix| self.members.get(ix));
        if slot.is_some_and(|slot| slot.state == MemberState::Suspect && slot.addr != context.from) {
            self.errand(context.from, Some(context.sender), Errand::Tell);
            self.errand(context.from, Some(context.sender), Errand::Seen);
        }
    }

    /// Somebody who got our ping and answered says where we send from. That counts when another one says the same: one member
    /// alone cannot move another, nor can anybody who only claims to be two.
    #[inline(never)]
    fn take_seen(&mut self, now: Instant, addr: Addr, by: NodeId) {
        let recent = |seen: &(Addr, NodeId, Instant)| now < seen.2 + self.config.probe_interval * SEEN_PROBES;
        let before = self.seen.filter(recent).filter(|seen| seen.0 == addr);
        match before {
            Some((_, first, _)) if first != by => self.set_addr(now, addr),
            Some(_) => {}
            None if self.members.peers() == 1 => self.set_addr(now, addr),
            None => self.seen = Some((addr, by, now)),
        }
    }

    /// What a newcomer is sent at once: who we are, and as many members as fit in a datagram, from a random one on. One
    /// that was here already lost its welcome, or has healed: it compares.
    #[inline(never)]
    fn welcome(&mut self, ix: usize, arrived: bool) {
        self.tell(ix, OWN);
        if self.store.has_windows() {
            self.owe(Some(ix), Table::Messages, Task::Root, Prefix::ROOT, 0);
        }
        if !arrived {
            return self.owe(Some(ix), Table::Members, Task::Root, Prefix::ROOT, 0);
        }
        let task = Task::Stream { parts: u16::MAX, datagrams: 1 };
        let row = Row::new(ix, Table::Members, task, Prefix::ROOT, 0);
        let few = self.members.peers() < WELCOME_FEW;
        let from = Key::new(self.rng.next(), u64::from(self.rng.next()) << 32);
        self.push_row(if few { row } else { row.at(from) });
    }

    #[inline(never)]
    fn take_member(&mut self, context: &Context, item: &MemberItem<'_>) {
        if self.is_stranger(context.sender, item.id) {
            return self.hear_of(context, item);
        }
        let held = self.members.find(item.id);
        let news = self.is_newer(held, item);
        self.excuse_sleeper(held, item);
        let other_tags = self.are_other_tags(held, item);
        let (verdict, orphan) = accept_alive(&mut self.members, held, item, item.id == context.sender, other_tags);
        self.drop_tags(orphan);
        if verdict == Verdict::Refused && self.members.is_sample() {
            return self.pass_on_alive(context, item);
        }
        let taken = if let Verdict::News(ix) = verdict { Some(ix) } else { held };
        if let Some(ix) = taken.filter(|ix| *ix != OWN && news) {
            self.take_sleep(context.now, ix, item);
            self.take_tags(ix, item);
        }
        self.follow(context, verdict);
    }

    /// Whether the tags of a record are others than those that are held, as when an older life came to the same counter. Who
    /// had no room for tags has none, and says nothing by that.
    fn are_other_tags(&self, held: Option<usize>, item: &MemberItem<'_>) -> bool {
        let slot = held.and_then(|ix| self.members.get(ix));
        let held = slot.and_then(|slot| slot.tags.get()).map_or(&[][..], |blob| self.store.blob(blob));
        let known = if item.id == self.envelope.own { item.tags } else { held };
        !known.is_empty() && item.tags != held
    }

    fn take_tags(&mut self, ix: usize, item: &MemberItem<'_>) {
        let Some(slot) = self.members.get(ix) else { return };
        if item.incarnation != slot.incarnation || !slot.state.is_live() {
            return;
        }
        let old = slot.tags;
        let kept = if item.tags.is_empty() { None } else { self.store.blob_put(old.get(), item.tags) };
        if kept.is_none() {
            self.drop_tags(old);
            self.stats.tags_dropped += Count::from(!item.tags.is_empty());
        }
        self.members.update(ix, |slot| {
            slot.tags = kept.map_or(Link::NONE, Link::to);
            slot.tags_version = item.tags_version;
        });
    }

    pub(super) fn drop_tags(&mut self, tags: Link) {
        if let Some(blob) = tags.get() {
            self.store.blob_free(blob);
        }
    }

    #[inline(never)]
    fn take_report(&mut self, context: &Context, accusation: &Accusation, state: MemberState) {
        let Accusation { id, incarnation, by } = *accusation;
        if self.accuses_sleeper(context.now, context.peer, accusation, state) {
            return;
        }
        let fresh = Tick::at(context.now).0.saturating_sub(Tick::after(Instant::ZERO.plus(self.refuting_time())).0);
        let report = Report { id, incarnation, state, by };
        // A farewell from elsewhere than the member is at may be anybody's.
        let slot = self.members.find(id).and_then(|ix| self.members.get(ix));
        let owner = id == context.sender && slot.is_some_and(|slot| slot.addr == context.from);
        let refuting = self.config.lifeguard.refuting;
        if state == MemberState::Dead && refuting && !owner && self.probe_if_fresh(id, Tick(fresh)) {
            return;
        }
        let verdict = accept_report(&mut self.members, &report, Tick(fresh), owner || !refuting);
        if verdict == Verdict::Refused && self.members.is_sample() {
            let left = self.transmissions();
            if self.foreign.report(context.now, &report, left) {
                self.rounds.hasten(context.now);
            }
            return;
        }
        self.follow(context, verdict);
    }

    /// A death that contradicts what this node has heard from the member itself just now is not believed, but looked into.
    fn probe_if_fresh(&mut self, id: NodeId, fresh: Tick) -> bool {
        let heard = |slot: &MemberSlot| slot.state == MemberState::Alive && slot.heard > fresh;
        let ix = self.members.find(id).filter(|&ix| ix != OWN && self.members.get(ix).is_some_and(heard));
        if let Some(ix) = ix {
            self.prober.next_is(ix);
        }
        ix.is_some()
    }

    /// Does what a verdict about a member asks for.
    fn follow(&mut self, context: &Context, verdict: Verdict) {
        match verdict {
            Verdict::News(ix) => self.member_changed(context.now, ix, !context.copies),
            Verdict::Confirmed(ix) => self.suspicion_confirmed(ix),
            Verdict::Contradicted(ix) => {
                self.member_changed(context.now, ix, !context.copies);
                self.members.set_deadline(ix, Some(context.now.plus(self.refuting_time())));
            }
            Verdict::Stale(ix) => {
                if let Some(to) = context.reply {
                    self.tell(to, ix);
                }
            }
            Verdict::Own(incarnation) => self.refute(context.now, incarnation),
            Verdict::Refused => self.stats.members_refused += 1,
            Verdict::Implausible => self.stats.refused_incarnation += 1,
            Verdict::Known => {}
        }
    }

    /// How long somebody has to refute, in µs, who is called dead before it was suspected here.
    pub(super) fn refuting_time(&self) -> u64 {
        micros(self.config.probe_interval) * 2
    }

    /// A member is not what it was: its deadline, the news, and, if it is accused, that it hears of it first.
    pub(super) fn member_changed(&mut self, now: Instant, ix: usize, news: bool) {
        let Some(state) = self.members.get(ix).map(|slot| slot.state) else { return };
        let live = self.members.peers() + 1;
        if let Some(slot) = self.members.get_mut(ix) {
            slot.since = Tick::at(now);
        }
        self.members.set_deadline(
            ix,
            match state {
                MemberState::Alive => None,
                MemberState::Suspect => Some(now.plus(self.suspicion(ix))),
                MemberState::Dead | MemberState::Left => Some(now + self.config.forget_after),
            },
        );
        match state {
            MemberState::Suspect => {
                if self.config.lifeguard.buddy {
                    self.tell(ix, ix);
                }
                // A few look for themselves at once, so that the truth, either way, is confirmed soon.
                if self.config.lifeguard.confirmations && self.rng.below(live as u32) < WITNESSES {
                    self.prober.next_is(ix);
                }
            }
            MemberState::Dead | MemberState::Left => self.member_gone(ix),
            MemberState::Alive => {}
        }
        if news {
            // That somebody is there is found by comparing, too; that somebody is not must be told.
            let mult =
                if state == MemberState::Alive { self.config.rumor_mult.div_ceil(2) } else { self.config.rumor_mult };
            self.members.heat(ix, transmissions(mult, live));
        }
        // That a sample holds somebody now is nothing to tell.
        if news || !self.members.is_sample() {
            self.rounds.hasten(now);
        }
        self.session(Table::Members).resume();
        self.start_timers(now);
    }

    /// How long this member stays suspect, in µs, as far as it is confirmed.
    pub(super) fn suspicion(&self, ix: usize) -> u64 {
        let live = self.members.peers() + 1;
        let confirmed = self.members.get(ix).map_or(0, |slot| slot.confirmed);
        let max = if self.config.lifeguard.confirmations { self.config.suspicion_max_mult } else { 1 };
        suspicion(self.config.suspicion_mult, max, confirmed, live, micros(self.config.probe_interval))
    }

    /// One more suspects a member: the deadline comes nearer, and the others shall hear of it.
    pub(super) fn suspicion_confirmed(&mut self, ix: usize) {
        if !self.config.lifeguard.confirmations {
            return;
        }
        let Some(since) = self.members.get(ix).map(|slot| slot.since) else { return };
        self.members.set_deadline(ix, Some(since.instant().plus(self.suspicion(ix))));
        self.members.heat(ix, self.transmissions());
        self.rounds.hasten(self.now);
    }

    fn member_gone(&mut self, ix: usize) {
        if let Some(slot) = self.members.get_mut(ix) {
            (slot.via, slot.asleep) = (Link::NONE, Tick::default());
        }
        self.replies.forget(ix);
        self.pulls.forget(ix);
        self.exchange.forget(ix);
        self.lanes.forget(ix);
        self.rounds.reached(ix);
        for session in &mut self.sessions {
            if session.with() == Some(ix) {
                session.end(self.now, true);
            }
        }
    }

    /// Answers what is said of us with a greater incarnation.
    pub(super) fn refute(&mut self, now: Instant, incarnation: u32) {
        if self.lifecycle == Lifecycle::Leaving {
            return;
        }
        self.stats.refutations += 1;
        if self.config.lifeguard.health {
            self.health.worse(1);
        }
        self.members.update(OWN, |slot| {
            let last = if newer(incarnation, slot.incarnation) { incarnation } else { slot.incarnation };
            // Above what others have of the incarnation before they have its record.
            (slot.incarnation, slot.tags_version) = (last.wrapping_add(1), 1);
        });
        self.members.heat(OWN, transmissions(self.config.rumor_mult, self.members.peers() + 1));
        self.rounds.hasten(now);
    }

    #[inline(never)]
    fn take_entry(&mut self, context: &Context, item: &EntryItem<'_>) {
        if !self.clock.accept(context.now, item.version.stamp) {
            return self.refuse_stamp(context, item.kind, item.key, item.version.stamp);
        }
        if let Some(kind) = Kind::from_wire(item.kind) {
            self.correct_key(context.now, kind, item.key);
        }
        let merged = match self.store.merge(item) {
            Ok(merged) => merged,
            Err(refused) if refused.is_full() => {
                self.stats.refused_full += 1;
                return self.lower_a_ceiling(context.now);
            }
            Err(Refused::Unwanted) => return self.stats.entries_unwanted += 1,
            Err(refused @ (Refused::Ended | Refused::Collected)) => return self.note_over(context.reply, refused),
            Err(_) => return self.stats.refused_entry += 1,
        };
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
                // An answer to a copy is one, too: no news.
                let task = if context.copies { Task::Copy } else { Task::Send };
                self.owe_key(context.reply, Table::Entries, task, key);
            }
        }
    }

    /// Ends or begins a comparison of entries, by the root that every datagram carries.
    fn compare_roots(&mut self, now: Instant, peer: Option<usize>, root: u32, moved: bool) {
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
            session.begin(now, ix, delay);
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

    /// Something to say to one address that is not about any table.
    pub(super) fn errand(&mut self, to: Addr, id: Option<NodeId>, what: Errand) {
        let direct = Direct { to, id, what };
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

/// Within how many probe intervals two members must agree on where this node is: a guess above what it takes two of them to
/// be probed.
const SEEN_PROBES: u32 = 16;
/// How many members, on average, probe a suspect next: one more than the confirmations that a suspicion can use.
const WITNESSES: u32 = 4;
/// How many datagrams are streamed before the other is asked what it still lacks: bounds what a forged request sets off.
const STREAM_DATAGRAMS: u8 = 8;
/// A welcome to a swarm that fits in a datagram begins with its first member, so that nobody is left out.
const WELCOME_FEW: usize = 24;
/// How long a newcomer waits for the rest of its welcome before it compares, in µs: a guess above most round trips.
const SETTLE_DELAY: u64 = 30_000;
/// How long a difference of roots must last, in µs, before it is looked into: rumors settle most of them first.
const DIFFER_DELAY: u64 = 200_000;
