//! Rounds: at most one per interval, each to a few random members; rare when nothing is unsettled (as RFC 6206, Trickle).
//!
//! Knows: when the next round is, and which members the present one still has to reach. Does not know: what a round says.

use core::time::Duration;

use crate::membership::Members;
use crate::rng::Rng;
use crate::slab::Ix;
use crate::time::{Instant, micros};

/// The clock of the rounds.
#[derive(Debug)]
pub(crate) struct Rounds {
    interval_min: u64,
    interval_max: u64,
    interval: u64,
    last: Instant,
    next: Instant,
    targets: heapless::Vec<Ix, TARGETS_MAX>,
}

impl Rounds {
    /// Rounds that begin at once.
    pub(crate) fn new(interval_min: Duration, interval_max: Duration) -> Self {
        let interval_min = micros(interval_min);
        let zero = Instant::ZERO;
        let targets = heapless::Vec::new();
        Self {
            interval_min,
            interval_max: micros(interval_max),
            interval: interval_min,
            last: zero,
            next: zero,
            targets,
        }
    }

    /// The longest wait between two rounds, in µs.
    pub(crate) fn interval_max(&self) -> u64 {
        self.interval_max
    }

    /// When the next round is due.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// There is news: the next round is now, or an interval after the last one.
    pub(crate) fn hasten(&mut self, now: Instant) {
        self.interval = self.interval_min;
        let soonest = if self.last == Instant::ZERO { now } else { self.last.plus(self.interval_min) };
        self.next = self.next.min(soonest.max(now));
    }

    /// There is urgent news: the next round is now, however short the last one is ago.
    pub(crate) fn begin_at(&mut self, now: Instant) {
        (self.interval, self.next) = (self.interval_min, now);
    }

    /// Begins a round to `fanout` random peers, and draws when the next one is: soon while `unsettled`, else after twice
    /// as long as last time.
    pub(crate) fn begin(&mut self, now: Instant, members: &Members<'_>, rng: &mut Rng, fanout: u8, unsettled: bool) {
        self.last = now;
        self.interval = if unsettled { self.interval_min } else { (self.interval * 2).min(self.interval_max) };
        // News goes by the clock, so that it is quick; quiet rounds are spread out, so that they do not meet.
        let wait = if unsettled { self.interval } else { rng.jitter(self.interval) };
        self.next = now.plus(wait);
        let peers = members.peers();
        let wanted = usize::from(fanout).min(peers).min(TARGETS_MAX);
        // Distinct peers without a list of all: as good as drawing without replacement, since a repeat is drawn again.
        let mut draws = 4 * TARGETS_MAX;
        self.targets.clear();
        while self.targets.len() < wanted && draws > 0 {
            draws -= 1;
            let Some(ix) = members.peer(rng.below(peers as u32) as usize).map(|ix| ix as Ix) else { break };
            let awake = members.get(ix as usize).is_some_and(|slot| !slot.sleeps(now));
            if awake && !self.targets.contains(&ix) && self.targets.push(ix).is_err() {
                break;
            }
        }
    }

    /// A member that the present round has not reached yet.
    pub(crate) fn target(&self) -> Option<usize> {
        self.targets.last().map(|ix| *ix as usize)
    }

    /// All of these, to be changed.
    pub(crate) fn targets_mut(&mut self) -> &mut heapless::Vec<Ix, TARGETS_MAX> {
        &mut self.targets
    }

    /// Notes that the round has reached a member, or cannot.
    pub(crate) fn reached(&mut self, ix: usize) {
        self.targets.retain(|target| *target as usize != ix);
    }
}

/// The largest fanout of [`Config`](crate::Config).
pub(crate) const TARGETS_MAX: usize = 16;
