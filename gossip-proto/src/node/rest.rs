//! Sleep: a node that announces that it will not answer for a while, and what the others make of it.
//!
//! The announcement is in the node's record: for how much longer it sleeps, versioned by incarnation and the counter of
//! the tags, compared and repaired like them. Who sleeps is not probed, not asked to relay, gets no rumors, and is not
//! called suspect by anybody who has the record; until then it counts as live. When the time is over and it has not come
//! back, it is probed as ever.
//!
//! Without feature `sleep` a node announces no sleep of its own, and heeds those of others.

use core::time::Duration;

use super::{Errand, Lifecycle, Node, Rest};
use crate::error::SleepError;
use crate::membership::{MemberState, OWN, Prober, newer};
use crate::repair::Session;
use crate::time::{Instant, Tick, micros};
use crate::wire::{Accusation, MemberItem, Table};

use super::timeout::Timers;

/// Whether this node can announce a sleep: what only that needs is left out where it cannot.
const POSSIBLE: bool = cfg!(feature = "sleep");

impl Node<'_> {
    /// The longest sleep that a node may announce.
    pub const SLEEP_MAX: Duration = Duration::from_secs(24 * 3600);

    /// Announces that this node will not answer for `time`: until then, and a little longer, nobody probes it or suspects
    /// it. [`Event::Asleep`](crate::Event::Asleep) says when that has gone out and the device may switch off; members who
    /// did not hear it hear it from others.
    ///
    /// Asleep, a node starts nothing: it answers what reaches it, and its writes wait. It wakes by [`Node::wake`], or
    /// when `time` is over and it is told so by [`Node::handle_timeout`]. `now` must go on meanwhile.
    ///
    /// # Errors
    /// A time above [`Node::SLEEP_MAX`], any without feature `sleep`, or a node that has left; nothing is changed.
    pub fn sleep(&mut self, now: Instant, time: Duration) -> Result<(), SleepError> {
        let now = self.advance(now);
        if matches!(self.lifecycle, Lifecycle::Leaving | Lifecycle::Left) {
            return Err(SleepError::Left);
        }
        if !self.config.has_sleep() {
            return Err(SleepError::TooLong { max: Duration::ZERO });
        }
        if time > Self::SLEEP_MAX {
            return Err(SleepError::TooLong { max: Self::SLEEP_MAX });
        }
        // The margin: what a poor oscillator is off, and the time to be heard again.
        let margin = micros(time / DRIFT_PART) + self.config.probe_interval() * MARGIN_PROBES;
        self.set_asleep(Tick::after((now + time).plus(margin)));
        // Nothing that was begun can be ended.
        self.timers = Timers::default();
        self.sessions = Session::ALL;
        self.prober = Prober::default();
        self.waking = 0;
        self.told.asleep = false;
        self.rest = Some(Rest { until: now + time, announcements: ANNOUNCEMENTS, next: now });
        self.go_on_resting(now);
        Ok(())
    }

    /// Wakes before the time that [`Node::sleep`] was given, or does nothing if this node is awake. What it missed is
    /// asked for at once.
    pub fn wake(&mut self, now: Instant) {
        let now = self.advance(now);
        if self.rest.take().is_none() {
            return;
        }
        self.set_asleep(Tick::default());
        self.sessions = Session::ALL;
        self.timers = Timers::default();
        // Whoever was suspect gets the time to refute that this node slept through, and silence was its own.
        (self.blocked_until, self.heard_at) = (now, now);
        self.announce(now);
        self.start_timers(now);
        self.ask_contacts(now);
        self.waking = WAKE_TRIES;
        self.ask_what_was_missed(now);
    }

    /// Until when this node sleeps; `None` while it is awake.
    #[must_use]
    pub fn asleep(&self) -> Option<Instant> {
        self.rest.map(|rest| rest.until)
    }

    pub(super) fn is_resting(&self) -> bool {
        POSSIBLE && self.rest.is_some()
    }

    fn set_asleep(&mut self, until: Tick) {
        self.members.update(OWN, |slot| {
            slot.asleep = until;
            slot.tags_version = slot.tags_version.saturating_add(1);
        });
    }

    /// What is due while this node sleeps: a few rounds of announcements, then nothing, then to wake.
    pub(super) fn go_on_resting(&mut self, now: Instant) {
        let Some(rest) = self.rest.as_mut().filter(|rest| rest.next <= now) else { return };
        if now >= rest.until {
            return self.wake(now);
        }
        if rest.announcements > 0 && self.members.peers() > 0 {
            rest.announcements -= 1;
            rest.next = now.plus(self.config.gossip_interval().min(ANNOUNCE_WAIT)).min(rest.until);
            self.rounds.begin(now, &self.members, &mut self.rng, self.config.fanout, true);
            self.members.heat(OWN, u8::MAX);
        } else {
            rest.next = rest.until;
            self.members.heat(OWN, 0);
            self.told.asleep = true;
        }
    }

    /// Asks two members, and again until one answers: what it sends shows what is missing here.
    pub(super) fn ask_what_was_missed(&mut self, now: Instant) {
        let Some(left) = self.waking.checked_sub(1).filter(|_| POSSIBLE) else { return };
        self.waking = left;
        for _ in 0..WAKE_FANOUT {
            if let Some((addr, id)) = self.awake_peer(now).map(|slot| (slot.addr, slot.id)) {
                self.errand(&addr, Some(id), Errand::Join);
            }
        }
        self.timers.wake = Some(now.plus(self.config.probe_timeout()));
    }

    /// The first member that is heard after waking: everything is compared with it, at once.
    pub(super) fn heard_after_waking(&mut self, now: Instant, peer: usize) {
        if !POSSIBLE || core::mem::take(&mut self.waking) == 0 {
            return;
        }
        self.timers.wake = None;
        let retry = self.retry(peer);
        for table in [Table::Members, Table::Entries] {
            self.session(table).begin(now, peer, retry);
            self.ask_what_differs(peer, table);
        }
    }

    /// A peer drawn at random that is not asleep; `None` if a few draws find none.
    pub(super) fn awake_peer(&mut self, now: Instant) -> Option<&crate::membership::MemberSlot> {
        for _ in 0..DRAWS_MAX {
            let position = self.rng.below(self.members.peers().max(1) as u32) as usize;
            let ix = self.members.peer(position)?;
            if self.members.get(ix).is_some_and(|slot| !slot.sleeps(now)) {
                return self.members.get(ix);
            }
        }
        None
    }

    /// The next member to probe: those asleep are passed over.
    pub(super) fn next_probe(&mut self, now: Instant) -> Option<usize> {
        for _ in 0..PASS_MAX {
            let turns = self.config.lifeguard.retries;
            let ix = self.prober.next_target(&mut self.members, &mut self.rng, turns)?;
            if self.members.get(ix).is_some_and(|slot| !slot.sleeps(now)) {
                return Some(ix);
            }
        }
        None
    }

    /// Whether a record is newer than what is held: by incarnation, then by the counter of tags and sleep.
    pub(super) fn is_newer(&self, held: Option<usize>, item: &MemberItem<'_>) -> bool {
        held.and_then(|ix| self.members.get(ix)).is_none_or(|slot| {
            newer(item.incarnation, slot.incarnation)
                || item.incarnation == slot.incarnation && item.tags_version > slot.tags_version
        })
    }

    /// Somebody whom we accuse has announced that it sleeps: that is why it did not answer, and it cannot refute. The
    /// announcement therefore ranks above all but a farewell of its incarnation.
    pub(super) fn excuse_sleeper(&mut self, held: Option<usize>, item: &MemberItem<'_>) {
        let Some(ix) = held.filter(|ix| *ix != OWN && item.asleep > 0) else { return };
        let accused = |state| matches!(state, MemberState::Suspect | MemberState::Dead);
        let same = |incarnation| item.incarnation == incarnation;
        if self.members.get(ix).is_some_and(|slot| accused(slot.state) && same(slot.incarnation))
            && self.is_newer(held, item)
        {
            self.members.update(ix, |slot| slot.state = MemberState::Alive);
        }
    }

    /// Takes over how much longer a member sleeps from a record that was newer than what was held.
    pub(super) fn take_sleep(&mut self, now: Instant, ix: usize, item: &MemberItem<'_>) {
        // What nobody can have announced is cut: so a forged record hides a death for no longer than a true one.
        let most =
            Tick::after((now + Self::SLEEP_MAX + Self::SLEEP_MAX / DRIFT_PART).plus(self.config.probe_interval() * 2));
        let until = Tick(Tick::at(now).0.saturating_add(item.asleep)).min(most);
        if let Some(slot) = self.members.get_mut(ix).filter(|slot| slot.incarnation == item.incarnation) {
            slot.asleep = if item.asleep == 0 { Tick::default() } else { until };
        }
    }

    /// Whether a report accuses somebody who sleeps: then it is not believed, and who suspects it hears why. Who calls it
    /// dead does not: two who disagree about the end of its sleep would tell each other so for as long as they do.
    pub(super) fn accuses_sleeper(
        &mut self,
        now: Instant,
        peer: Option<usize>,
        accusation: &Accusation,
        state: MemberState,
    ) -> bool {
        let Some(ix) = self.members.find(accusation.id).filter(|ix| *ix != OWN && state != MemberState::Left) else {
            return false;
        };
        if !self.members.get(ix).is_some_and(|slot| slot.state == MemberState::Alive && slot.sleeps(now)) {
            return false;
        }
        if let Some(peer) = peer.filter(|_| state == MemberState::Suspect) {
            self.tell(peer, ix);
        }
        true
    }

    /// For how many ticks a member still sleeps.
    pub(super) fn sleep_left(&self, asleep: Tick) -> u32 {
        asleep.0.saturating_sub(Tick::at(self.now).0)
    }

    /// When what is due next while this node sleeps is due.
    pub(super) fn resting_timeout(&self) -> Option<Instant> {
        let rest = self.rest?;
        Some(self.timers.budget.map_or(rest.next, |budget| budget.min(rest.next)))
    }

    /// Nobody to probe: look again in an interval.
    pub(super) fn probe_nobody(&mut self, now: Instant) {
        if self.members.peers() > 0 {
            let wait = self.config.probe_interval();
            self.timers.probe = Some(now.plus(self.rng.jitter(wait)));
        }
    }
}

/// How many rounds announce a sleep, as a farewell, and the longest wait between two of them.
const ANNOUNCEMENTS: u8 = 3;
const ANNOUNCE_WAIT: u64 = 100_000;
/// The margin: a 32nd of the time, for oscillators without a crystal, and some probe intervals.
const DRIFT_PART: u32 = 32;
const MARGIN_PROBES: u64 = 2;
/// How many members are asked on waking, and how often; later ordinary rounds and probes find out.
const WAKE_FANOUT: u8 = 2;
const WAKE_TRIES: u8 = 8;
/// How many random draws look for a member that is awake.
const DRAWS_MAX: usize = 8;
/// How many sleepers a pass of probes passes over before it waits for its next turn: bounds the call.
const PASS_MAX: usize = 64;
