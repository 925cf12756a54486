//! Randomness: one seed in, two kinds of numbers out.
//!
//! Knows: a small fast generator for choices that stay inside the node, and a keyed hash for numbers that others see.
//! Does not know: any entropy source. Generator output never goes on the wire: who reads it cannot predict choices.

use crate::hash::hash;

/// The 32 bytes from which a node draws all its randomness.
///
/// Give every life of every node its own: two nodes with one seed choose alike, and a restarted node with its old
/// seed writes under its old writer id.
#[derive(Clone)]
pub struct Seed([u8; 32]);

impl Seed {
    /// A seed of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A seed drawn from a generator of rand_core 0.10; with an older one, fill 32 bytes and call [`Seed::new`].
    #[must_use]
    pub fn from_rng(rng: &mut impl rand_core::CryptoRng) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }
}

impl core::fmt::Debug for Seed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// The generator for inner choices (SFC32, Chris Doty-Humphrey's PractRand) and the secret for outer numbers.
#[derive(Clone, Debug)]
pub(crate) struct Rng {
    state: [u32; 3],
    counter: u32,
    secret: [u8; 16],
    drawn: u64,
}

impl Rng {
    #[inline(never)]
    pub(crate) fn new(seed: &Seed) -> Self {
        let (mut words, mut rest) = ([0; 4], &seed.0[..]);
        for word in &mut words {
            let Some((bytes, after)) = rest.split_first_chunk() else { break };
            (*word, rest) = (u32::from_le_bytes(*bytes), after);
        }
        let [a, b, c, counter] = words;
        let mut secret = [0; 16];
        secret.copy_from_slice(&seed.0[16..]);
        let mut rng = Self { state: [a, b, c], counter: counter | 1, secret, drawn: 0 };
        // Mixes a poor seed; 12 rounds is the author's figure.
        for _ in 0..12 {
            rng.next();
        }
        rng
    }

    /// 32 bits for a choice that stays inside the node.
    pub(crate) fn next(&mut self) -> u32 {
        let [a, b, c] = self.state;
        let out = a.wrapping_add(b).wrapping_add(self.counter);
        self.counter = self.counter.wrapping_add(1);
        self.state = [b ^ (b >> 9), c.wrapping_add(c << 3), c.rotate_left(21).wrapping_add(out)];
        out
    }

    /// A number below `bound`, which is at least 1 (Lemire's multiply-shift; the bias below 2^-32 × bound is harmless).
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.next()) * u64::from(bound)) >> 32) as u32
    }

    /// A duration in µs drawn evenly from `base` ± 1/8.
    pub(crate) fn jitter(&mut self, base: u64) -> u64 {
        let spread = (base / 4).min(u64::from(u32::MAX)) as u32;
        base - base / 8 + u64::from(self.below(spread.max(1)))
    }

    /// 64 bits that others see and cannot foretell: a keyed hash of a counter.
    pub(crate) fn secret(&mut self) -> u64 {
        self.drawn += 1;
        hash(&self.secret, &[&self.drawn.to_le_bytes()]).h1
    }
}
