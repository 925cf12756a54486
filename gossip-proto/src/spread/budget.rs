//! The byte budget: a token bucket over everything that leaves.
//!
//! Knows: bytes and time. Does not know: what the bytes are. A probe may overdraw it by one datagram.

use crate::divide::{divide, quotient};
use crate::time::Instant;

/// Tokens are bytes; kept in millionths so that slow rates lose nothing to rounding.
#[derive(Debug)]
pub(crate) struct Budget {
    rate: u32,
    /// In bytes.
    depth: u32,
    /// What a datagram may take, in bytes: less than that is left for a probe.
    reserve: u16,
    tokens: i64,
    filled: Instant,
    overdrawn: bool,
}

impl Budget {
    /// A full bucket that holds what flows in a tenth of a second, and two datagrams at least.
    pub(crate) fn new(bytes_per_second: u32, datagram_len_max: u16) -> Self {
        let (rate, reserve) = (bytes_per_second, datagram_len_max);
        let depth = quotient(rate, 10).max(2 * u32::from(reserve));
        Self { rate, depth, reserve, tokens: i64::from(depth) * MICRO, filled: Instant::ZERO, overdrawn: false }
    }

    /// Whether a datagram may go at `now`.
    pub(crate) fn allows(&mut self, now: Instant) -> bool {
        let micros = now.since(self.filled).min(FULL_AFTER) as i64;
        self.tokens = (self.tokens + micros * i64::from(self.rate)).min(self.depth());
        self.filled = self.filled.max(now);
        let allowed = self.tokens >= self.reserve();
        self.overdrawn &= !allowed;
        allowed
    }

    /// Whether one more may go though no datagram is allowed: once, until one is again.
    pub(crate) fn overdraw(&mut self) -> bool {
        !core::mem::replace(&mut self.overdrawn, true)
    }

    pub(crate) fn spend(&mut self, bytes: usize) {
        self.tokens = (self.tokens - i64::from(bytes as u32) * MICRO).max(-self.depth());
    }

    fn depth(&self) -> i64 {
        i64::from(self.depth) * MICRO
    }

    fn reserve(&self) -> i64 {
        i64::from(self.reserve) * MICRO
    }

    /// When the next datagram may go.
    pub(crate) fn ready(&self) -> Instant {
        let lacking = (self.reserve() - self.tokens).max(0);
        let wait = divide(lacking.unsigned_abs(), self.rate) + 1;
        self.filled.plus(wait)
    }
}

const MICRO: i64 = 1_000_000;
/// After so many µs, a quarter of an hour, the slowest rate fills the deepest bucket twice.
const FULL_AFTER: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_leaves_than_the_rate_and_one_bucket() {
        let mut budget = Budget::new(10_000, 1_400);
        let (mut now, mut sent) = (Instant::ZERO, 0);
        while now < Instant::from_millis(10_000) {
            if budget.allows(now) {
                budget.spend(1_400);
                sent += 1_400;
            } else {
                now = budget.ready();
                assert!(budget.allows(now), "ready means ready");
            }
        }
        assert!((100_000..=100_000 + 2_800 + 1_400).contains(&sent), "{sent} bytes in 10 s at 10,000 a second");
    }
}
