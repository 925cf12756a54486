//! Local health: how much this node trusts its own view of others (Lifeguard, "local health multiplier").
//!
//! Knows: one score, and what raises and lowers it. Does not know: whom it concerns. A node that is slow itself sees
//! everybody fail; the score makes it probe more slowly and wait longer before it accuses anybody.
//! When full: the score stops at [`SCORE_MAX`].

/// The score: 0 is healthy.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Health {
    score: u8,
}

impl Health {
    /// Something went as it should.
    pub(crate) fn better(&mut self) {
        self.score = self.score.saturating_sub(1);
    }

    /// Something went wrong that may well be our own fault, so many times.
    pub(crate) fn worse(&mut self, times: u8) {
        self.score = self.score.saturating_add(times).min(SCORE_MAX);
    }

    /// An interval or a timeout in µs, as long as our health asks for.
    pub(crate) fn scale(self, micros: u64) -> u64 {
        micros * (u64::from(self.score) + 1)
    }
}

/// The Lifeguard paper's S.
const SCORE_MAX: u8 = 8;
