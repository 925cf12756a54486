//! A table that is a sample of the swarm: whom it takes in, and what it passes on about the others.
//!
//! A sample takes in nobody at second hand. What others show of their samples is a hint: who would be admitted is pinged,
//! and enters by the answer. So a record of somebody who is dead, which goes round for as long as anybody shows it, brings
//! nobody back, and each slot holds a member that this node has heard itself.
//!
//! Without feature `sample` nobody gives way: a full table turns further members away, counted. It answers them all the
//! same, calls itself a sample, and passes on no news of those whom it does not hold.

use super::input::Context;
use super::output::Filling;
use super::{Errand, Node};
use crate::addr::{Addr, NodeId};
use crate::repair::Task;
use crate::slab::index::{Key, Prefix};
use crate::time::Instant;
use crate::wire::{self, MemberItem, Message, Table};

impl Node<'_> {
    /// By which number somebody without a slot is answered, if there is a place for one more.
    pub(super) fn guest(&mut self, addr: &Addr, id: Option<NodeId>) -> Option<usize> {
        let first = self.members.capacity();
        if let Some(place) = self.guests.find(addr, id) {
            return Some(first + place);
        }
        let (replies, direct, prober) = (&self.replies, &self.direct, &self.prober);
        let owed = |ix| {
            let errand = direct.iter().any(|direct| direct.to as usize == ix);
            errand || replies.first_to(ix).is_some() || prober.relays_for(ix)
        };
        let ix = first + self.guests.seat(addr, id, |place| owed(first + place))?;
        // What was going on with the one before is over.
        self.pulls.forget(ix);
        self.exchange.forget(ix);
        Some(ix)
    }

    /// The guest of this number.
    pub(super) fn guest_at(&self, ix: usize) -> Option<(Addr, Option<NodeId>)> {
        self.guests.get(ix.checked_sub(self.members.capacity())?)
    }

    /// Whether this is somebody else than the sender whom a sample does not hold.
    pub(super) fn is_stranger(&self, sender: NodeId, id: NodeId) -> bool {
        self.members.is_sample() && id != sender && self.members.find(id).is_none()
    }

    /// Takes in what was said of a stranger who is said to be alive: passed on if it is news, looked into if there is a
    /// place for it.
    pub(super) fn hear_of(&mut self, context: &Context, item: &MemberItem<'_>) {
        self.pass_on_alive(context, item);
        // The wait bounds what records that were made up can set off; a true one is shown again. Who is held by many is
        // shown by many: to displace somebody it waits for longer, so that most who do are those who ping. But the dead,
        // as long as there are some here, give way more quickly than they are found out.
        let quick = self.members.has_room() || self.members.has_suspects();
        let wait = if quick { self.config.gossip_interval() / LOOKS } else { self.config.probe_interval() };
        let early = self.looked_at != Instant::ZERO && context.now < self.looked_at.plus(wait);
        let number = if !early && self.members.admits(item.id) {
            self.looked_at = context.now;
            self.rng.secret() as u32
        } else if self.is_unknown(context.now) {
            // Whom nobody pings, hardly anybody holds: it shows itself, to those too who have no place here.
            GREETING
        } else {
            self.stats.members_refused += 1;
            return;
        };
        self.errand(&item.addr, Some(item.id), Errand::Ping(number));
    }

    /// Whether a stranger's datagram is but its answer to a greeting, which makes it no candidate for a slot: who is greeted
    /// by many would be in all samples.
    pub(super) fn is_greeted(&self, messages: &wire::Messages<'_>) -> bool {
        self.config.has_sample()
            && self.members.is_sample()
            && messages.clone().any(|message| message == Ok(Message::Ack(GREETING)))
    }

    /// Whether it seems that hardly any sample holds this node.
    fn is_unknown(&self, now: Instant) -> bool {
        self.config.has_sample()
            && self.members.is_sample()
            && now > self.pinged_at.plus(self.config.probe_interval() * UNPINGED_PROBES)
    }

    /// Who seems to be unknown asks, with every probe, to be shown some to whom it can show itself.
    pub(super) fn meet_more(&mut self, now: Instant) {
        if self.is_unknown(now) {
            self.rounds.hasten(now);
        }
    }

    /// How much less this node trusts itself after a probe that failed, where so many relays did not say anything, and some
    /// did or not. In a sample nobody tells that those are dead: one that speaks is proof enough that this node hears.
    pub(super) fn blame(&self, missing: u8, nacked: bool) -> u8 {
        if !self.config.lifeguard.nack {
            1
        } else if self.members.is_sample() {
            u8::from(missing > 0 && !nacked)
        } else {
            missing
        }
    }

    /// Passes on that somebody is alive whom this node does not hold.
    pub(super) fn pass_on_alive(&mut self, context: &Context, item: &MemberItem<'_>) {
        let left = self.transmissions();
        if self.config.has_sample() && self.foreign.alive(context.now, item, !context.copies, left) {
            self.rounds.hasten(context.now);
        }
    }

    /// How many members a round shows: fewer when there are many rounds, which have something better to say.
    pub(super) fn shown(&self) -> usize {
        if self.is_unsettled() { SHUFFLE / 2 } else { SHUFFLE }
    }

    /// A sample asks for some of ours, as it has shown some of its own: who is in no other sample is told of nobody
    /// otherwise.
    #[inline(never)]
    pub(super) fn show_some(&mut self, context: &Context, asked: bool) {
        if asked && self.members.peers() > 0 {
            self.errand(&context.from, Some(context.sender), Errand::Show);
        }
    }

    /// Whether a contact is one that has answered before and is merely not in this sample: most are not. It is pinged once
    /// in a while, which introduces two parts of a swarm to each other, and need not take anybody in.
    pub(super) fn greet_contact(&mut self, addr: Addr, id: Option<NodeId>) -> bool {
        let known = id.is_some_and(|id| self.members.find(id).is_none());
        if !known || !self.members.is_sample() || self.isolated {
            return false;
        }
        if self.rng.below(GREET_TURNS) == 0 {
            self.errand(&addr, None, Errand::Ping(GREETING));
        }
        true
    }

    /// Somebody was taken in who has but answered: tags, and the topics that it wants, are in its record, which no comparison
    /// of tables brings where they are samples. It is asked whether that is another one than a record without tags.
    pub(super) fn ask_for_record(&mut self, ix: usize) {
        if let Some(whole) = self.record_place(ix) {
            self.owe(Some(ix), Table::Members, Task::Digests, whole, Key::BITS);
        }
    }

    /// The same in a round, as long as there are no tags: question or answer may have been lost.
    pub(super) fn push_record_asked(&self, filling: &mut Filling<'_>) {
        let untagged = |ix: &usize| self.members.get(*ix).is_some_and(|slot| slot.tags_version == 0);
        if let Some(whole) = filling.to.slot.filter(untagged).and_then(|ix| self.record_place(ix)) {
            self.push_part(filling, (Table::Members, whole, None), self.salt() as u8, usize::MAX);
        }
    }

    /// The part of the table that is a member's record, if it is worth 19 bytes to ask: not where nobody seems to have tags.
    fn record_place(&self, ix: usize) -> Option<Prefix> {
        let asks = self.config.has_sample() && self.members.is_sample() && self.store.keeps_blobs();
        asks.then(|| Prefix::of(self.members.key_of(ix), Key::BITS))
    }

    /// Somebody has joined here and is in this sample: that is news for the other samples.
    #[inline(never)]
    pub(super) fn announce_newcomer(&mut self, context: &Context, id: NodeId) {
        if !self.config.has_sample() {
            return;
        }
        let Some(ix) = context.peer.filter(|_| context.arrived && id == context.sender) else { return };
        // One after the other: of many who join at once the others make themselves known.
        if self.members.is_sample() && self.members.hot().1 + self.foreign.len() == 0 {
            self.members.heat(ix, self.transmissions());
            self.rounds.hasten(context.now);
        }
    }
}

/// The digest by which a sample says that it is one, in place of that of its members, and asks to be shown some.
pub(super) const SAMPLE: u32 = 0;
/// How many members of a sample a quiet round shows, and one fewer the answer: a record takes about 20 bytes.
pub(super) const SHUFFLE: usize = 3;
/// The number of a ping that only shows who sends it, and whose answer means nothing.
const GREETING: u32 = 0;
/// A contact outside the sample is pinged once in so many searches for lost parts: all nodes may have the same contact, and
/// at 10,000 nodes it hears 60 such pings per second.
const GREET_TURNS: u32 = 32;
/// After how many probe intervals without a ping a node takes it that hardly anybody holds it. As many hold a node as it
/// holds, on average, and each pings one per interval: with the usual number, 1 of 3,000 waits that long.
const UNPINGED_PROBES: u64 = 8;
/// How many strangers are looked at per gossip interval, while records of them come in and there is room: 24 bytes each.
const LOOKS: u64 = 8;
