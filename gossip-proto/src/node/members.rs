//! What others say of members, and what follows: verdicts, suspicion, refutation.

use super::input::Context;
use super::{Errand, Lifecycle, Node};
use crate::addr::{Addr, NodeId};
use crate::membership::{
    MemberSlot, MemberState, OWN, Relay, Report, Verdict, accept_alive, accept_report, newer, rtt_units, suspicion,
    transmissions,
};
use crate::repair::{Row, Task};
use crate::slab::Link;
use crate::slab::index::{Key, Prefix};
use crate::stats::Count;
use crate::time::{Instant, Tick};
use crate::wire::{Accusation, MemberItem, Table};

impl Node<'_> {
    #[inline(never)]
    pub(super) fn take_ping_req(&mut self, context: &Context, number: u32, target: NodeId, addr: Addr) {
        if target == self.envelope.own {
            return self.errand(&context.from, Some(context.sender), Errand::Ack(number));
        }
        let ours = self.rng.secret() as u32;
        // We may know better where the target is than who asks.
        let known = self.members.find(target).and_then(|ix| self.members.get(ix));
        let addr = known.filter(|slot| slot.is_live()).map_or(addr, |slot| slot.addr);
        // In time for the asker to hear of it before its own interval ends.
        let nack_at =
            if self.config.lifeguard.nack { context.now.plus(self.config.probe_timeout() / 4) } else { Instant::NEVER };
        let Some((asker, check)) = self.number_of(&context.from, Some(context.sender)) else {
            self.stats.replies_dropped += 1;
            return;
        };
        self.prober.relay(Relay { asker, check, asked: number, number: ours, nack_at });
        self.errand(&addr, Some(target), Errand::Ping(ours));
    }

    #[inline(never)]
    pub(super) fn take_ack(&mut self, context: &Context, number: u32) {
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
            self.errand_to(relay.asker, relay.check, Errand::Ack(relay.asked));
        } else {
            self.note_late_ack(context, number);
        }
    }

    /// A suspect that pings from elsewhere than it says is not reached where it says: with the ack it hears both.
    pub(super) fn tell_where(&mut self, context: &Context) {
        let slot = context.peer.and_then(|ix| self.members.get(ix));
        if slot.is_some_and(|slot| slot.state == MemberState::Suspect && slot.addr != context.from) {
            self.errand(&context.from, Some(context.sender), Errand::Tell);
            self.errand(&context.from, Some(context.sender), Errand::Seen);
        }
    }

    /// Somebody who got our ping and answered says where we send from. That counts when another one says the same: one member
    /// alone cannot move another, nor can anybody who only claims to be two.
    #[inline(never)]
    pub(super) fn take_seen(&mut self, now: Instant, addr: Addr, by: NodeId) {
        let recent = |seen: &(Addr, NodeId, Instant)| now < seen.2.plus(self.config.probe_interval() * SEEN_PROBES);
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
    pub(super) fn welcome(&mut self, ix: usize, arrived: bool) {
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
    pub(super) fn take_member(&mut self, context: &Context, item: &MemberItem<'_>) {
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
    pub(super) fn take_report(&mut self, context: &Context, accusation: &Accusation, state: MemberState) {
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
            if self.config.has_sample() && self.foreign.report(context.now, &report, left) {
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
    pub(super) fn follow(&mut self, context: &Context, verdict: Verdict) {
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
        self.config.probe_interval() * 2
    }

    /// A member is not what it was: its deadline, the news, and, if it is accused, that it hears of it first.
    pub(super) fn member_changed(&mut self, now: Instant, ix: usize, news: bool) {
        let live = self.members.peers() + 1;
        let Some(slot) = self.members.get_mut(ix) else { return };
        slot.since = Tick::at(now);
        let state = slot.state;
        let moved = core::mem::take(&mut self.members.moved);
        self.members.set_deadline(
            ix,
            match state {
                MemberState::Alive => None,
                MemberState::Suspect => Some(now.plus(self.suspicion(ix))),
                MemberState::Dead | MemberState::Left => Some(now.plus(self.config.forget_after())),
            },
        );
        match state {
            MemberState::Suspect => {
                if self.config.lifeguard.buddy {
                    self.tell(ix, ix);
                }
                // A few look for themselves at once, so that the truth, either way, is confirmed soon.
                let few = self.members.is_sample() || live < 4 * WITNESSES as usize;
                let wanted = if few { WITNESSES_FEW } else { WITNESSES };
                if self.config.lifeguard.confirmations && self.rng.below(live as u32) < wanted {
                    self.prober.next_is(ix);
                }
            }
            MemberState::Dead | MemberState::Left => self.member_gone(ix),
            MemberState::Alive => {}
        }
        if news {
            // That somebody is there is found by comparing, too; that somebody is not, or is elsewhere, must be told. Where a
            // few pass it on, who waits for it may hear of it from one alone.
            let half = state == MemberState::Alive && !moved && !(3..10).contains(&live);
            let mult = if half { self.config.rumor_mult.div_ceil(2) } else { self.config.rumor_mult };
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
        suspicion(self.config.suspicion_mult, max, confirmed, live, self.config.probe_interval())
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

    pub(super) fn member_gone(&mut self, ix: usize) {
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
}

/// Within how many probe intervals two members must agree on where this node is: a guess above what it takes two of them to
/// be probed.
const SEEN_PROBES: u64 = 16;
/// How many members, on average, probe a suspect next, in place of another one: of ten draws one in 350 leaves fewer than
/// the three confirmations that a suspicion can use, of four one in four; then it lasts twice as long, unless others
/// meet the suspect by chance. In a sample, whose members are held by few, and in a small swarm, where all would look
/// at one, fewer.
const WITNESSES: u32 = 10;
const WITNESSES_FEW: u32 = 4;
/// A welcome to a swarm that fits in a datagram begins with its first member, so that nobody is left out.
const WELCOME_FEW: usize = 24;
