//! The hybrid logical clock that stamps are made with (rules R1 and R2).
//!
//! Knows: an estimate of the wall clock, and the newest stamps given and accepted. Does not know: any clock; readings
//! are told. Three states, by what the estimate rests on:
//!
//! - **Own reading**: it runs on the monotonic timer from the last reading told by [`Clock::set_wall`]. A stamp more than
//!   `skew_max` ahead of it is refused.
//! - **Heard**: a node without a wall clock takes the newest accepted stamp as a reading. Stamps are of any age, so one
//!   that is heard tells only that it is not earlier than this: a newer one moves the estimate on. (Were the first
//!   to fix it, a node whose first entry is days old would refuse all that is fresh, for ever.)
//! - **Nothing**: stamps are small numbers and own ones start at 1; they lose to what has a time.
//!
//! Without an own reading there is nothing to be far ahead of, so the calendar is the limit: a stamp from the year 2100
//! on is refused. One before 2020 is no time but a count, and sets no estimate; a wall clock outside these years is one
//! that was never set, and is not taken. Hence no stamp near the top of the numbers is ever accepted, and own ones follow
//! accepted ones: they have centuries to count through.

use core::time::Duration;

use crate::divide::divide;
use crate::time::{Instant, SECOND, micros};

#[derive(Clone, Debug)]
pub(crate) struct Clock {
    skew_max: u64,
    reading: Option<Reading>,
    /// The newest stamp that was accepted.
    heard: u64,
    /// The newest stamp that was given.
    given: u64,
    /// The last second that was worked out, and when it is over: most doors ask.
    second: (u32, Instant),
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Instant,
    wall: u64,
    own: bool,
}

impl Clock {
    pub(crate) fn new(skew_max: Duration) -> Self {
        Self { skew_max: micros(skew_max), reading: None, heard: 0, given: 0, second: (0, Instant::ZERO) }
    }

    /// Takes a reading of a wall clock: µs since 1970. One that cannot be right is not taken, and `false` returned.
    pub(crate) fn set_wall(&mut self, now: Instant, unix_micros: u64) -> bool {
        if !(YEAR_2020..YEAR_2100).contains(&unix_micros) {
            return false;
        }
        self.read(now, unix_micros, true);
        // What was accepted for want of a clock, and is refused from now on, is not followed any longer.
        self.heard = self.heard.min(unix_micros.saturating_add(self.skew_max));
        true
    }

    /// What the wall clock shows now, as far as this node knows.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(crate) fn now_estimate(&self, now: Instant) -> Option<u64> {
        self.reading.map(|reading| reading.wall.saturating_add(now.since(reading.at)))
    }

    /// The second of the wall clock, since 1970; 0 while nothing is known of it.
    pub(crate) fn second(&mut self, now: Instant) -> u32 {
        if now >= self.second.1 {
            let Some(estimate) = self.now_estimate(now) else { return 0 };
            let second = divide(estimate, SECOND).min(u32::MAX.into());
            self.second = (second as u32, now.plus((second + 1) * MICROS - estimate));
        }
        self.second.0
    }

    fn read(&mut self, at: Instant, wall: u64, own: bool) {
        (self.reading, self.second) = (Some(Reading { at, wall, own }), (0, Instant::ZERO));
    }

    /// When this second begins; `None` while nothing is known of the wall clock.
    pub(crate) fn instant(&self, second: u32) -> Option<Instant> {
        let reading = self.reading?;
        let ahead = (u64::from(second) * MICROS).saturating_sub(reading.wall);
        Some(reading.at.plus(ahead))
    }

    /// Hears what another takes the time to be: a node without a clock of its own follows.
    pub(crate) fn hear(&mut self, now: Instant, wall: u64) {
        let own = self.reading.is_some_and(|reading| reading.own);
        let news = self.now_estimate(now).is_none_or(|estimate| wall > estimate);
        if !own && news && (YEAR_2020..YEAR_2100).contains(&wall) {
            self.read(now, wall, false);
        }
    }

    /// What this node's own wall clock shows now, if it has one.
    pub(crate) fn own_estimate(&self, now: Instant) -> Option<u64> {
        self.reading.filter(|reading| reading.own).and_then(|_| self.now_estimate(now))
    }

    /// The greatest stamp that is accepted by this node's own wall clock.
    pub(crate) fn limit(&self, now: Instant) -> Option<u64> {
        self.own_estimate(now).map(|estimate| estimate.saturating_add(self.skew_max))
    }

    pub(crate) const fn skew_max(&self) -> u64 {
        self.skew_max
    }

    pub(crate) const fn newest_given(&self) -> u64 {
        self.given
    }

    /// Another life begins, which has given no stamp.
    pub(crate) fn forget_given(&mut self) {
        self.given = 0;
    }

    /// Whether a stamp is not too far ahead; if it is, nothing changed.
    pub(crate) fn accept(&mut self, now: Instant, stamp: u64) -> bool {
        let estimate = self.now_estimate(now);
        match (self.reading, estimate) {
            (Some(Reading { own: true, .. }), Some(estimate)) if stamp > estimate.saturating_add(self.skew_max) => {
                return false;
            }
            (Some(Reading { own: true, .. }), _) => {}
            _ if stamp >= YEAR_2100 => return false,
            _ if stamp >= YEAR_2020 && estimate.is_none_or(|estimate| stamp > estimate) => {
                self.read(now, stamp, false);
            }
            _ => {}
        }
        self.heard = self.heard.max(stamp);
        true
    }

    /// The newest stamp that was given or accepted.
    pub(crate) fn newest(&self) -> u64 {
        self.given.max(self.heard)
    }

    /// Follows a stamp of an earlier life, as far as it can be one.
    pub(crate) fn restore(&mut self, stamp: u64) {
        self.heard = self.heard.max(stamp.min(YEAR_2100 - 1));
    }

    /// The stamp for a write: not before any that was accepted, and after all own ones. Nothing has changed until [`Clock::given`] says that the write was made.
    pub(crate) fn stamp(&self, now: Instant) -> u64 {
        let estimate = self.now_estimate(now).unwrap_or(0);
        self.given.saturating_add(1).max(estimate).max(self.heard)
    }

    /// Notes that a write was made with this stamp.
    pub(crate) fn given(&mut self, stamp: u64) {
        self.given = self.given.max(stamp);
    }
}

const MICROS: u64 = 1_000_000;
/// 2020-01-01 00:00 UTC in µs since 1970.
const YEAR_2020: u64 = 1_577_836_800_000_000;
/// 2100-01-01 00:00 UTC in µs since 1970.
const YEAR_2100: u64 = 4_102_444_800_000_000;
