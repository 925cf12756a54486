//! What the index is made of: keys and their prefixes, items and their sums.
//!
//! Knows: the order of keys, bit by bit, and arithmetic modulo 2^96, in words of 32 bits. Does not know: the tree.

use core::ops::{Add, Sub};

use crate::divide::width;
use crate::hash::Hash;
use crate::slab::NARROW;

/// What the index is ordered by: hash of the topic, then hash of the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(pub(super) [u32; 3]);

/// The wide hash of one item; adds and subtracts modulo 2^96.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Item(pub(super) [u32; 3]);

/// The summary of a set of items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) count: u32,
    pub(crate) sum: Item,
}

/// All keys that begin with the same bits; the default is all keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// Zero beyond `len`.
    bits: Key,
    len: u8,
}

impl Key {
    pub(crate) const BITS: u8 = 96;

    pub(crate) const fn new(topic: u32, key: u64) -> Self {
        Self([topic, (key >> 32) as u32, key as u32])
    }

    pub(crate) fn from_bytes(bytes: [u8; 12]) -> Self {
        Self(words(bytes).map(u32::to_be))
    }

    /// Most significant byte first, as the keys are ordered.
    pub(crate) fn to_bytes(self) -> [u8; 12] {
        to_bytes(self.0.map(u32::to_be))
    }

    /// The next greater key; `None` after the last.
    pub(crate) fn successor(self) -> Option<Self> {
        match (self.key().checked_add(1), self.topic()) {
            (Some(key), topic) => Some(Self::new(topic, key)),
            (None, topic) => Some(Self::new(topic.checked_add(1)?, 0)),
        }
    }

    pub(crate) const fn topic(self) -> u32 {
        self.0[0]
    }

    pub(crate) const fn key(self) -> u64 {
        (self.0[1] as u64) << 32 | self.0[2] as u64
    }

    /// Bit `n`, counted from the most significant one, as 0 or 1; zero beyond the end.
    pub(super) fn bit(self, n: u8) -> usize {
        if NARROW {
            return self.0.get(usize::from(n / 32)).map_or(0, |word| word >> (31 - n % 32) & 1) as usize;
        }
        // From two registers, not from memory: each step of a search waits for it.
        let [a, b, c] = self.0.map(u64::from);
        let word = if n < 64 { a << 32 | b } else { c << 32 };
        (word << (n % 64) >> 63) as usize
    }

    /// Bits `n` to `n + 3`.
    pub(crate) fn nibble(self, n: u8) -> u8 {
        (n..n + 4).fold(0, |nibble, n| nibble << 1 | self.bit(n) as u8)
    }

    /// The first bit in which two keys differ.
    pub(super) fn differs(self, other: Self) -> Option<u8> {
        let word = (0..3).find(|word| self.0[*word] != other.0[*word])?;
        Some(32 * word as u8 + (u32::BITS - width(self.0[word] ^ other.0[word])) as u8)
    }

    /// Ones in the first `len` bits, zeros beyond.
    fn mask(len: u8) -> Self {
        Self([0u8, 32, 64].map(|start| {
            let ones = u32::from(len.saturating_sub(start)).min(32);
            u32::MAX.checked_shl(32 - ones).unwrap_or(0)
        }))
    }
}

impl Prefix {
    pub(crate) const ROOT: Self = Self { bits: Key::new(0, 0), len: 0 };

    /// The first `len` bits of `key`; a length beyond 96 is 96.
    pub(crate) fn of(key: Key, len: u8) -> Self {
        let len = len.min(Key::BITS);
        let Key([a, b, c]) = Key::mask(len);
        Self { bits: Key([key.0[0] & a, key.0[1] & b, key.0[2] & c]), len }
    }

    /// The longest prefix, by whole nibbles, that two prefixes share.
    pub(crate) fn common(self, other: Self) -> Self {
        let same = self.bits.differs(other.bits).unwrap_or(Key::BITS);
        Self::of(self.bits, same.min(self.len).min(other.len) & !3)
    }

    /// The prefix that is longer by these four bits, as far as the key goes.
    pub(crate) fn child(self, nibble: u8) -> Self {
        let mut bits = self.bits;
        for shift in 0..4 {
            let n = self.len + 3 - shift;
            if let Some(word) = bits.0.get_mut(usize::from(n / 32)) {
                *word |= u32::from(nibble >> shift & 1) << (31 - n % 32);
            }
        }
        Self { bits, len: (self.len + 4).min(Key::BITS) }
    }

    pub(crate) fn contains(self, key: Key) -> bool {
        self.bits.differs(key).is_none_or(|bit| bit >= self.len)
    }

    /// The least key under the prefix; its bits, with zeros beyond its length.
    pub(crate) fn first(self) -> Key {
        self.bits
    }

    /// The greatest key under the prefix.
    pub(crate) fn last(self) -> Key {
        let Key([a, b, c]) = Key::mask(self.len);
        Key([self.bits.0[0] | !a, self.bits.0[1] | !b, self.bits.0[2] | !c])
    }

    pub(crate) fn len(self) -> u8 {
        self.len
    }
}

impl Item {
    pub(crate) const ZERO: Self = Self([0; 3]);

    /// The first 96 bits of a hash.
    pub(crate) fn of(hash: Hash) -> Self {
        Self([hash.h1 as u32, (hash.h1 >> 32) as u32, hash.h2 as u32])
    }

    #[cfg_attr(target_os = "none", inline(never))]
    fn plus(self, other: [u32; 3], carry: u64) -> Self {
        let (mut words, mut carry) = (self.0, carry);
        for (word, other) in words.iter_mut().zip(&other) {
            let wide = u64::from(*word) + u64::from(*other) + carry;
            (*word, carry) = (wide as u32, wide >> 32);
        }
        Self(words)
    }

    #[cfg(test)]
    pub(crate) fn from_bytes(bytes: [u8; 12]) -> Self {
        Self(words(bytes).map(u32::to_le))
    }

    /// Least significant byte first.
    pub(crate) fn to_bytes(self) -> [u8; 12] {
        to_bytes(self.0.map(u32::to_le))
    }
}

/// Three words as they lie in memory.
fn words(bytes: [u8; 12]) -> [u32; 3] {
    let mut words = [0; 3];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = bytes.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
    }
    words
}

fn to_bytes(words: [u32; 3]) -> [u8; 12] {
    let mut bytes = [0; 12];
    for (bytes, word) in bytes.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

impl Add for Item {
    type Output = Self;

    fn add(self, rhs: Self) -> Self {
        self.plus(rhs.0, 0)
    }
}

impl Sub for Item {
    type Output = Self;

    fn sub(self, rhs: Self) -> Self {
        // Two's complement: the carry that starts at one makes the flipped bits the negative.
        self.plus(rhs.0.map(|word| !word), 1)
    }
}

impl Sum {
    /// The summary of one item, or of none.
    pub(crate) fn of(item: Option<Item>) -> Self {
        item.map_or(Self::default(), |sum| Self { count: 1, sum })
    }
}

impl Add for Sum {
    type Output = Self;

    fn add(self, rhs: Self) -> Self {
        Self { count: self.count.wrapping_add(rhs.count), sum: self.sum + rhs.sum }
    }
}

impl Sub for Sum {
    type Output = Self;

    fn sub(self, rhs: Self) -> Self {
        Self { count: self.count.wrapping_sub(rhs.count), sum: self.sum - rhs.sum }
    }
}
