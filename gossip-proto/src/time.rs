//! Time as the core sees it: a number that the caller hands in.
//!
//! Knows: monotonic instants in microseconds, and the coarse ticks of the deadline heaps. Does not know: any clock.

use core::fmt;
use core::num::NonZero;
use core::ops::{Add, Sub};
use core::time::Duration;

use crate::divide::quotient;

/// A moment on the caller's monotonic clock, in microseconds since a start of the caller's choice.
///
/// The core never reads a clock: every door takes `now`. An instant that lies before an earlier one is treated as the
/// earlier one, so a clock that steps back stalls timers for a while and does no other harm.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(
    /// One more than the microseconds, so that an instant that may be none takes no more room.
    NonZero<u64>,
);

impl Instant {
    /// The start of the caller's clock.
    pub const ZERO: Self = Self(NonZero::<u64>::MIN);

    /// Later than any other.
    pub(crate) const NEVER: Self = Self(NonZero::<u64>::MAX);

    /// An instant `micros` microseconds after the start of the caller's clock.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(NonZero::<u64>::MIN.saturating_add(micros))
    }

    /// An instant `millis` milliseconds after the start of the caller's clock.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_micros(millis.saturating_mul(1000))
    }

    /// Microseconds since the start of the caller's clock.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0.get() - 1
    }

    /// So many microseconds later: without the division by which a [`Duration`] parts seconds from the rest.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(crate) const fn plus(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// How many microseconds have passed since `earlier`; zero when that lies ahead.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(crate) const fn since(self, earlier: Self) -> u64 {
        self.0.get().saturating_sub(earlier.0.get())
    }

    /// The time that has passed since `earlier`; zero when `earlier` lies ahead.
    #[must_use]
    #[cfg_attr(target_os = "none", inline(never))]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.since(earlier))
    }
}

impl Default for Instant {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instant({})", self.as_micros())
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Instant {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Instant({})", self.as_micros());
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    #[cfg_attr(target_os = "none", inline(never))]
    fn add(self, rhs: Duration) -> Self {
        self.plus(micros(rhs))
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, rhs: Instant) -> Duration {
        self.saturating_since(rhs)
    }
}

/// A duration in whole microseconds; `u64::MAX` when it does not fit.
#[cfg_attr(target_os = "none", inline(never))]
pub(crate) fn micros(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000).saturating_add(quotient(duration.subsec_nanos(), 1_000).into())
}

/// The microseconds of a second, and of a Duration's parts of one.
pub(crate) const SECOND: u32 = 1_000_000;

/// A duration in seconds, rounded up; what is less than a microsecond does not count.
pub(crate) fn seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add((duration.subsec_nanos() >= 1_000).into())
}

/// A coarse moment for the deadline heaps and the slots: 2^16 µs, so that 32 bits hold nine years of uptime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(pub(crate) u32);

impl Tick {
    /// The last tick that has begun at `now`.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(crate) const fn at(now: Instant) -> Self {
        Self(clamp(now.as_micros() >> TICK_BITS))
    }

    /// The first tick that begins at or after `deadline`: a deadline is never early.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(crate) const fn after(deadline: Instant) -> Self {
        Self(clamp(deadline.0.get().saturating_add((1 << TICK_BITS) - 2) >> TICK_BITS))
    }

    /// The instant at which this tick begins.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(crate) const fn instant(self) -> Instant {
        Instant::from_micros((self.0 as u64) << TICK_BITS)
    }
}

const fn clamp(tick: u64) -> u32 {
    if tick > u32::MAX as u64 { u32::MAX } else { tick as u32 }
}

const TICK_BITS: u32 = 16;
