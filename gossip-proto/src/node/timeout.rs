//! Time in: what is due.

use super::{Errand, Lifecycle, Node};
use crate::addr::NodeId;
use crate::divide::remainder;
use crate::membership::{MemberSlot, MemberState, Members, OWN, PINGS_MAX, Report, Retry, Verdict, accept_report};
use crate::repair::{Step, TABLES};
use crate::time::{Instant, Tick};
use crate::wire::Table;

/// When the node's own timers are due; rounds, sessions and slots keep theirs.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// The next probe.
    pub(super) probe: Option<Instant>,
    /// The probe under way has waited long enough: ping again, or ask relays.
    pub(super) retry: Option<Instant>,
    /// Ask the contacts again.
    pub(super) join: Option<Instant>,
    /// Look for a lost part of the swarm.
    pub(super) heal: Option<Instant>,
    /// Ask again what was missed in a sleep.
    pub(super) wake: Option<Instant>,
    /// Say farewell again.
    pub(super) farewell: Option<Instant>,
    /// The byte budget allows the next datagram.
    pub(super) budget: Option<Instant>,
}

/// Takes a timer's deadline if it has come.
#[cfg_attr(target_os = "none", inline(never))]
fn due(timer: &mut Option<Instant>, now: Instant) -> bool {
    timer.take_if(|at| *at <= now).is_some()
}

/// Keeps the earlier of two deadlines.
#[cfg_attr(target_os = "none", inline(never))]
fn earlier(next: &mut Option<Instant>, at: Option<Instant>) {
    if at.is_some_and(|at| next.is_none_or(|next| at < next)) {
        *next = at;
    }
}

impl Node<'_> {
    pub(super) fn time_out(&mut self, now: Instant) {
        self.tell_time(now);
        if self.is_resting() {
            due(&mut self.timers.budget, now);
            return self.go_on_resting(now);
        }
        self.notice_stall(now);
        if due(&mut self.timers.retry, now) {
            self.retry_probe(now);
        }
        while let Some(relay) = self.prober.overdue(now) {
            self.errand_to(relay.asker, relay.check, Errand::Nack(relay.asked));
        }
        if due(&mut self.timers.probe, now) {
            self.probe(now);
        }
        if due(&mut self.timers.join, now) {
            self.ask_contacts(now);
        }
        if due(&mut self.timers.heal, now) {
            self.heal(now);
        }
        if due(&mut self.timers.wake, now) {
            self.ask_what_was_missed(now);
        }
        due(&mut self.timers.budget, now);
        for _ in 0..DEADLINES_MAX {
            let Some(ix) = self.members.pop_due(now) else { break };
            self.deadline(now, ix);
        }
        self.end_lifetimes(now);
        if self.sessions.iter().any(|session| session.is_due(now)) {
            for table in Table::ALL.iter().take(TABLES) {
                if self.session(*table).is_due(now) {
                    self.session_due(now, *table);
                }
            }
        }
        if self.lanes.next().is_some_and(|at| at <= now) {
            self.catch_up_due(now);
        }
        self.shed(now);
        if self.pulls.next().is_some_and(|at| at <= now) {
            self.pulls_due(now);
        }
        if due(&mut self.receipts.next, now) {
            self.ask_for_receipts(now);
        }
        if due(&mut self.timers.farewell, now) {
            self.farewell(now);
        }
        if self.round_at().is_some_and(|at| at <= now) {
            self.round(now);
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        if self.is_resting() {
            return self.resting_timeout();
        }
        let Timers { probe, retry, join, heal, wake, farewell, budget } = &self.timers;
        let mut next = *probe;
        for at in [retry, join, heal, wake, farewell, budget, &self.receipts.next] {
            earlier(&mut next, *at);
        }
        earlier(&mut next, self.pulls.next());
        earlier(&mut next, self.lanes.next());
        earlier(&mut next, self.shed_at());
        earlier(&mut next, self.prober.next_overdue());
        earlier(&mut next, self.lifetime_due());
        earlier(&mut next, self.members.next_deadline());
        earlier(&mut next, self.round_at());
        self.sessions.iter().for_each(|session| earlier(&mut next, session.next()));
        next
    }

    fn round_at(&self) -> Option<Instant> {
        (self.members.peers() > 0 && self.lifecycle != Lifecycle::Leaving).then(|| self.rounds.next())
    }

    /// Sets the timers that a node with peers needs.
    pub(super) fn start_timers(&mut self, now: Instant) {
        if self.is_resting() {
            return;
        }
        if self.members.peers() > 0 && self.timers.probe.is_none() && self.lifecycle != Lifecycle::Leaving {
            // A random phase, so that a swarm that starts at once does not probe at once.
            let phase = u64::from(remainder(self.rng.next(), self.config.probe_interval() as u32));
            self.timers.probe = Some(now.plus(phase));
        }
        if self.timers.heal.is_none() {
            let hopes = self.hopes.checked_sub(1);
            self.hopes = hopes.unwrap_or(0);
            let wait = match hopes {
                Some(_) => self.config.gossip_interval(),
                None => self.config.probe_interval() * HEAL_PROBES,
            };
            self.timers.heal = Some(now.plus(self.rng.jitter(wait)));
        }
    }

    /// A timer that comes an interval late says that this node was blocked, not that the others were silent: what they
    /// said may still wait to be taken in. The probe under way counts for nothing, and nobody dies at once.
    fn notice_stall(&mut self, now: Instant) {
        let late = self.timers.probe.is_some_and(|at| now >= at && now >= at.plus(self.config.probe_interval()));
        if late && self.config.lifeguard.health {
            self.stats.stalls += 1;
            self.health.worse(1);
            self.prober.fail();
            self.blocked_until = now;
        }
    }

    fn probe(&mut self, now: Instant) {
        self.probe_failed(now);
        self.watch_isolation(now);
        self.check_paths();
        self.meet_more(now);
        let Some(ix) = self.next_probe(now) else { return self.probe_nobody(now) };
        let Some((id, addr, state)) = self.members.get(ix).map(|slot| (slot.id, slot.addr, slot.state)) else { return };
        self.timers.probe = Some(now.plus(self.probe_wait(now)));
        let number = self.rng.secret() as u32;
        let timeout = self.health.scale(self.config.probe_timeout());
        let step = self.retry_step(ix, timeout);
        self.prober.begin(id, number, now, step, timeout);
        self.errand(&addr, Some(id), Errand::Ping(number));
        self.ping_by_path(id, number);
        if state == MemberState::Suspect && self.config.lifeguard.buddy {
            self.tell(ix, ix);
        }
        self.timers.retry = Some(now.plus(step));
    }

    /// Somebody did not answer: it is suspect, or one more suspects it.
    fn accuse(&mut self, now: Instant, target: NodeId) {
        let Some(ix) = self.members.find(target) else { return };
        let awake = self.members.get(ix).filter(|slot| !slot.sleeps(now));
        let Some(incarnation) = awake.map(|slot| slot.incarnation) else { return };
        let report = Report { id: target, incarnation, state: MemberState::Suspect, by: self.envelope.own };
        match accept_report(&mut self.members, &report, Tick::at(now), false) {
            // Who hears nobody has nothing to tell of one.
            Verdict::News(ix) => self.member_changed(now, ix, !(self.isolated && self.config.lifeguard.health)),
            Verdict::Confirmed(ix) => self.suspicion_confirmed(ix),
            _ => {}
        }
    }

    /// How long to wait before the same target is pinged again, in µs: the pings share the probe's timeout, but none goes out
    /// before an answer to the last can be expected. Through a relay there are twice as many, since each has twice as far to go
    /// and nothing else reaches the target.
    fn retry_step(&self, ix: usize, timeout: u64) -> u64 {
        if !self.config.lifeguard.retries {
            return timeout;
        }
        let round_trip = self.members.get(ix).map_or(0, |slot| slot.rtt);
        let step = timeout / u64::from(PINGS_MAX) / if self.relay_for(ix).is_some() { 2 } else { 1 };
        step.max(u64::from(round_trip) * 300).min(timeout)
    }

    fn retry_probe(&mut self, now: Instant) {
        let Some((retry, wait)) = self.prober.retry(now) else { return };
        match retry {
            Retry::Ping(id, number) => {
                self.ping_again(id, number);
                self.ping_by_path(id, number);
            }
            Retry::Relays(target, number) => {
                self.ask_relays(target, number);
                if self.config.lifeguard.retries {
                    self.ping_again(target, number);
                }
            }
            Retry::Fail => return self.probe_failed(now),
        }
        self.timers.retry = Some(now.plus(wait));
    }

    fn ping_again(&mut self, id: NodeId, number: u32) {
        if let Some(addr) = self.members.find(id).and_then(|ix| self.members.get(ix)).map(|slot| slot.addr) {
            self.errand(&addr, Some(id), Errand::Ping(number));
        }
    }

    fn probe_failed(&mut self, now: Instant) {
        let nacked = self.prober.is_nacked();
        let Some((target, missing)) = self.prober.fail() else { return };
        self.stats.probes_failed += 1;
        if self.config.lifeguard.health {
            self.health.worse(self.blame(missing, nacked));
        }
        self.accuse(now, target);
    }

    fn ask_relays(&mut self, target: NodeId, number: u32) {
        let path = self.ping_by_path(target, number);
        if path {
            self.prober.asked();
        }
        // Drawn with replacement: the same relay twice is a second chance on a lossy link.
        for _ in u8::from(path)..self.config.indirect_probes {
            let position = self.rng.below(self.members.peers().max(1) as u32) as usize;
            let relay = self.members.peer(position).and_then(|ix| self.members.get(ix));
            let serves =
                |slot: &&MemberSlot| slot.id != target && slot.state == MemberState::Alive && !slot.sleeps(self.now);
            let relay = relay.filter(serves);
            if let Some((to, id)) = relay.map(|slot| (slot.addr, slot.id)) {
                self.errand(&to, Some(id), Errand::PingReq(number));
                self.prober.asked();
            }
        }
    }

    /// A member's deadline has come: suspicion ends in death, memory in forgetting.
    fn deadline(&mut self, now: Instant, ix: usize) {
        match self.members.get(ix).map(|slot| slot.state) {
            Some(MemberState::Suspect) => {
                let until = self.doubts_until(now);
                if now < until {
                    return self.members.set_deadline(ix, Some(until));
                }
                if self.spoke_since(now, ix) {
                    return;
                }
                let own = self.envelope.own;
                self.members.update(ix, |slot| {
                    slot.state = if slot.leaving { MemberState::Left } else { MemberState::Dead };
                    slot.by = own;
                });
                self.member_changed(now, ix, true);
            }
            Some(MemberState::Dead | MemberState::Left) => {
                let tags = self.members.remove(ix);
                self.drop_tags(tags);
            }
            Some(MemberState::Alive) | None => {}
        }
    }

    /// A suspect that has spoken meanwhile has all its time again from then on: it is we who cannot reach it.
    fn spoke_since(&mut self, now: Instant, ix: usize) -> bool {
        let spoke = self.members.get(ix).filter(|slot| slot.heard > slot.since && !slot.leaving);
        let until = spoke.map(|slot| slot.heard.instant()).map(|heard| heard.plus(self.suspicion(ix)));
        let postponed = until.filter(|until| *until > now);
        if postponed.is_some() {
            self.members.set_deadline(ix, postponed);
        }
        postponed.is_some()
    }

    pub(super) fn ask_contacts(&mut self, now: Instant) {
        if self.lifecycle != Lifecycle::Joining {
            return;
        }
        if let Some(contact) = self.contacts.next() {
            self.errand(&contact.addr, None, Errand::Join);
            let wait = self.contacts.wait();
            self.timers.join = Some(now.plus(self.rng.jitter(wait)));
        }
    }

    /// Asks one dead member or one silent contact to take us in: whoever is there again will know both halves.
    fn heal(&mut self, now: Instant) {
        self.watch_isolation(now);
        let contact = self.contacts.next().filter(|contact| {
            let known = contact.id.and_then(|id| self.members.find(id)).and_then(|ix| self.members.get(ix));
            !known.is_some_and(|slot| slot.is_live() && slot.addr == contact.addr)
        });
        let contact =
            contact.filter(|contact| !self.greet_contact(contact.addr, contact.id)).map(|contact| contact.addr);
        let start = self.rng.below(self.members.fresh().max(1) as u32) as usize;
        let dead = (0..self.members.fresh().min(HEAL_LOOK)).find_map(|offset| {
            let ix = remainder((start + offset) as u32, self.members.fresh() as u32) as usize;
            self.members.get(ix).filter(|slot| slot.state == MemberState::Dead).map(|slot| slot.addr)
        });
        // By turns, so that neither keeps the other waiting.
        let turn = self.rng.next() & 1 == 0;
        if let Some(addr) = if turn { dead.or(contact) } else { contact.or(dead) } {
            self.errand(&addr, None, Errand::Join);
        }
        if !self.contacts.is_empty() || self.members.len() > 1 {
            self.start_timers(now);
        }
    }

    fn session_due(&mut self, now: Instant, table: Table) {
        let Some(ix) = self.session(table).with() else { return };
        if table == Table::Members && self.members.is_sample() {
            // Samples are not meant to be equal: they mix by what rounds show.
            return self.session(table).end(now, true);
        }
        if table == Table::Messages && self.session(table).is_done() {
            // While messages fly two nodes are never equal for long: the next root tells.
            return self.session(table).end(now, true);
        }
        let (root, retry) = (self.root, self.retry(ix));
        let own = self.table_digest(table);
        let Some(slot) = self.members.get(ix).filter(|slot| slot.is_live()) else {
            return self.session(table).end(now, true);
        };
        if table == Table::Entries && (slot.root == root || self.members.agrees(ix)) {
            return self.session(table).end(now, true);
        }
        // Questions about members go to somebody else after the first.
        let sessions = u64::from(self.stats.sessions as u32);
        let theirs = if table == Table::Entries { u64::from(slot.root) << 32 } else { sessions };
        if table == Table::Entries && self.session(table).tries() == 0 {
            self.exchange.reset();
            self.open.clear();
        }
        let first = self.session(table).is_fresh();
        let tries = if table == Table::Members { TRIES } else { TRIES_ENTRIES };
        if let Step::Ask(mut ix) = self.session(table).timeout(now, retry, own ^ theirs, tries) {
            self.stats.sessions += 1;
            if table == Table::Members && (!first || self.members.hot().1 > 0) {
                // Everybody's view should be the same, so each question goes to somebody else: while a swarm starts, two
                // nodes that compared until they were equal would learn nothing from the others. Once there is no news the
                // first goes to who differed: it may be the only one, and lack what all others have.
                let position = self.rng.below(self.members.peers().max(1) as u32) as usize;
                ix = self.members.peer(position).unwrap_or(ix);
                self.session(table).ask(ix);
            }
            self.ask_what_differs(ix, table);
        }
    }

    /// How long to wait for an answer, in µs: some round trips to this member, or a guess.
    pub(super) fn retry(&self, ix: usize) -> u64 {
        retry(&self.members, ix)
    }

    fn round(&mut self, now: Instant) {
        self.members.recount(self.root, now);
        self.raise_a_ceiling(now);
        let unsettled = self.is_unsettled();
        let fanout = if unsettled { self.config.fanout } else { 1 };
        self.rounds.begin(now, &self.members, &mut self.rng, fanout, unsettled);
        if super::aim::POSSIBLE {
            self.aim(now);
        }
    }

    /// Whether there is anything to pass on.
    pub(super) fn is_unsettled(&self) -> bool {
        self.members.hot().1 + self.foreign.len() + self.store.hot_len() > 0 || self.floor.left > 0
    }

    /// One more round of farewells; after the last one the node is silent.
    pub(super) fn farewell(&mut self, now: Instant) {
        let Some(left) = self.farewells.checked_sub(1) else { return };
        self.farewells = left;
        self.rounds.begin(now, &self.members, &mut self.rng, self.config.fanout, true);
        self.members.heat(OWN, u8::MAX);
        if left > 0 {
            self.timers.farewell = Some(now.plus(self.config.gossip_interval().min(FAREWELL_WAIT)));
        }
    }
}

pub(super) fn retry(members: &Members<'_>, ix: usize) -> u64 {
    let rtt = members.get(ix).map_or(0, |slot| slot.rtt);
    let micros = if rtt == 0 { RETRY_GUESS } else { u64::from(rtt) * 100 * 4 };
    micros.clamp(RETRY_MIN, RETRY_MAX)
}

/// How many deadlines one call looks after; the others are due at once again.
pub(super) const DEADLINES_MAX: usize = 64;
/// A lost part is looked for once in so many probe intervals.
const HEAL_PROBES: u64 = 5;
/// How many slots are looked at for a dead member.
const HEAL_LOOK: usize = 64;
/// Bounds of the wait for an answer, in µs, and the guess before the first round trip is known.
const RETRY_MIN: u64 = 20_000;
const RETRY_MAX: u64 = 2_000_000;
const RETRY_GUESS: u64 = 200_000;
/// The longest wait between two rounds of farewells, in µs.
const FAREWELL_WAIT: u64 = 100_000;
/// How often the same is asked without anything coming of it: members after the first of somebody else; entries of one, where at
/// 30 % loss each way ten fail in 1 of 1,000 sessions.
const TRIES: u8 = 4;
const TRIES_ENTRIES: u8 = 10;
