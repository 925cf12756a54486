//! The one hash of the project: SipHash-1-3-128, keyed. Who does not know the key can neither foretell nor aim it.
//!
//! Knows: bytes. Does not know: what they mean, or which key is whose. Written out, since the crate's takes three times the
//! flash; the tests compare both.

/// The two halves of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hash {
    pub(crate) h1: u64,
    pub(crate) h2: u64,
}

impl Hash {
    /// As the reference has it: the first half first, least significant byte first.
    pub(crate) fn as_bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let (one, two) = bytes.split_at_mut(8);
        one.copy_from_slice(&self.h1.to_le_bytes());
        two.copy_from_slice(&self.h2.to_le_bytes());
        bytes
    }
}

/// The hash of these bytes, one after the other.
pub(crate) fn hash(key: &[u8; 16], parts: &[&[u8]]) -> Hash {
    let mut state = State(START);
    // In a loop, so that the compiler hands the key on where it lies, not byte by byte.
    for (word, half) in state.0.iter_mut().zip(key.chunks_exact(8).cycle()) {
        *word ^= half.first_chunk().map_or(0, |half| u64::from_le_bytes(*half));
    }
    // A word that is not whole yet; of the length no more than the last byte counts.
    let (mut open, mut len) = ([0; 8], 0u8);
    for part in parts {
        let mut rest = *part;
        loop {
            let at = usize::from(len % 8);
            if let Some((whole, after)) = rest.split_first_chunk::<8>().filter(|_| at == 0) {
                state.take(u64::from_le_bytes(*whole));
                (rest, len) = (after, len.wrapping_add(8));
                continue;
            }
            let Some((byte, after)) = rest.split_first() else { break };
            (rest, len) = (after, len.wrapping_add(1));
            open[at] = *byte;
            if at == 7 {
                state.take(u64::from_le_bytes(open));
            }
        }
    }
    open.iter_mut().skip((len % 8).into()).for_each(|byte| *byte = 0);
    open[7] = len;
    state.take(u64::from_le_bytes(open));
    Hash { h1: state.half(2, 0xee), h2: state.half(1, 0xdd) }
}

/// What is known of the bytes so far.
struct State([u64; 4]);

impl State {
    fn take(&mut self, word: u64) {
        self.0[3] ^= word;
        self.rounds(1);
        self.0[0] ^= word;
    }

    fn half(&mut self, at: usize, mark: u64) -> u64 {
        self.0[at] ^= mark;
        self.rounds(3);
        self.0.iter().fold(0, |all, word| all ^ word)
    }

    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline(always))]
    fn rounds(&mut self, count: usize) {
        let [mut a, mut b, mut c, mut d] = self.0;
        for _ in 0..count {
            a = a.wrapping_add(b);
            b = b.rotate_left(13) ^ a;
            a = a.rotate_left(32);
            c = c.wrapping_add(d);
            d = d.rotate_left(16) ^ c;
            a = a.wrapping_add(d);
            d = d.rotate_left(21) ^ a;
            c = c.wrapping_add(b);
            b = b.rotate_left(17) ^ c;
            c = c.rotate_left(32);
        }
        self.0 = [a, b, c, d];
    }
}

/// "somepseudorandomlygeneratedbytes", with the mark of 128 bits.
const START: [u64; 4] =
    [0x736f_6d65_7073_6575, 0x646f_7261_6e64_6f6d ^ 0xee, 0x6c79_6765_6e65_7261, 0x7465_6462_7974_6573];

#[cfg(test)]
mod tests {
    use core::hash::Hasher;
    use std::vec::Vec;

    use siphasher::sip128::{Hasher128, SipHasher13};

    use super::hash;

    /// Every length up to some words, cut at every place in three.
    #[test]
    fn hashes_are_those_of_the_crate() {
        let key = core::array::from_fn(|n| (n as u8).wrapping_mul(37));
        for len in 0..40 {
            let bytes: Vec<u8> = (0..len).map(|n: u8| n.wrapping_mul(91) ^ 0xa5).collect();
            let mut theirs = SipHasher13::new_with_key(&key);
            theirs.write(&bytes);
            let theirs = theirs.finish128();
            for first in 0..=bytes.len() {
                for second in first..=bytes.len() {
                    let ours = hash(&key, &[&bytes[..first], &bytes[first..second], &bytes[second..]]);
                    assert_eq!((ours.h1, ours.h2, ours.as_bytes()), (theirs.h1, theirs.h2, theirs.as_bytes()));
                }
            }
        }
        let long = [7; 1_400];
        let mut theirs = SipHasher13::new_with_key(&key);
        theirs.write(&long);
        assert_eq!(hash(&key, &[&long]).h1, theirs.finish128().h1);
    }
}
