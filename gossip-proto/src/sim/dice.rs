//! The simulator's randomness: one seed, one stream per purpose, integers only.
//!
//! Knows: ranges and probabilities in parts per million. Does not know: what they decide. A float may round differently
//! on another machine, and one different decision makes another run: so there is none here.

use core::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::rng::{Rng, Seed};

/// Parts per million: the unit of all probabilities.
pub(crate) const MILLION: u32 = 1_000_000;

#[derive(Clone, Debug)]
pub(crate) struct Dice(Rng);

impl Dice {
    /// The stream called `stream` of this seed. Streams are apart, so that drawing more for one purpose does not change
    /// what another draws.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        Self(Rng::new(&seed_of(seed, stream, 0)))
    }

    /// 64 bits.
    pub(crate) fn word(&mut self) -> u64 {
        u64::from(self.0.next()) << 32 | u64::from(self.0.next())
    }

    /// A number from `min` to `max`, both included.
    pub(crate) fn between(&mut self, min: u64, max: u64) -> u64 {
        let span = max.saturating_sub(min);
        let below = match u32::try_from(span) {
            Ok(u32::MAX) | Err(_) => ((u128::from(self.word()) * (u128::from(span) + 1)) >> 64) as u64,
            Ok(span) => u64::from(self.0.below(span + 1)),
        };
        min + below
    }

    /// An index below `len`, which is at least 1.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        self.0.below(len as u32) as usize
    }

    /// True this many times in a million; draws nothing when that is never.
    pub(crate) fn chance(&mut self, ppm: u32) -> bool {
        ppm != 0 && self.0.below(MILLION) < ppm
    }

    /// 32 bits.
    pub(crate) fn bits(&mut self) -> u32 {
        self.0.next()
    }

    /// Puts a slice into random order.
    pub(crate) fn shuffle<T>(&mut self, slice: &mut [T]) {
        for at in (1..slice.len()).rev() {
            let other = self.index(at + 1);
            slice.swap(at, other);
        }
    }
}

/// The 32 bytes that a run with `seed` uses for `(what, which)`: the lives of nodes, the streams of dice.
pub(crate) fn seed_of(seed: u64, what: u64, which: u64) -> Seed {
    let mut bytes = [0; 32];
    for (at, chunk) in bytes.chunks_exact_mut(8).enumerate() {
        chunk.copy_from_slice(&mix(seed, what, which ^ (at as u64) << 56).to_le_bytes());
    }
    Seed::new(bytes)
}

/// 64 bits that depend on all three numbers.
pub(crate) fn mix(seed: u64, what: u64, which: u64) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(seed, what);
    hasher.write(&which.to_le_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_kept_and_both_ends_are_reached() {
        let mut dice = Dice::new(1, 1);
        let mut seen = [0; 4];
        for _ in 0..1000 {
            seen[dice.between(5, 8) as usize - 5] += 1;
        }
        assert!(seen.iter().all(|&n| n > 180), "{seen:?}");
        assert_eq!(dice.between(7, 7), 7);
        assert!(dice.between(0, u64::MAX - 1) < u64::MAX);
        assert!(!dice.chance(0));
        assert!(dice.chance(MILLION));
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let draw = |seed| {
            (0..9).map(|_| 0).scan(Dice::new(seed, 3), |dice, _: u32| Some(dice.word())).fold(0, u64::wrapping_add)
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
