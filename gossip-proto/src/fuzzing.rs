//! What the fuzzer runs: one function per target, each of which turns bytes into a story and checks it.
//!
//! Knows: the doors, and what holds whatever comes through them. Does not know: the fuzzer; `cargo test` runs the same
//! functions over fixed seeds and over the corpus. Bytes that run out read as zeros, so every prefix is a story too.

mod forge;
mod node;
mod roundtrip;
mod swarm;

use std::vec::Vec;

pub use node::{decode, node};
pub use roundtrip::roundtrip;
pub use swarm::swarm;

/// Choices read from bytes.
struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    /// At most `len` bytes: fewer when fewer are left.
    fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A small key in one of two topics, or one of odd shape.
    fn key(&mut self) -> Vec<u8> {
        match self.byte() {
            pick @ 0..=31 => [b'a' + pick % 2, b'/', b'0' + pick / 2].to_vec(),
            32 => Vec::new(),
            33 => [b'k'; 300].to_vec(),
            _ => self.some_bytes(12),
        }
    }

    fn some_bytes(&mut self, len_max: usize) -> Vec<u8> {
        let len = self.below(len_max + 1);
        self.bytes(len).to_vec()
    }

    /// Damages a datagram: a changed byte, a lost tail, or bytes behind its end.
    fn damage(&mut self, datagram: &mut Vec<u8>) {
        let at = usize::from(self.word()) % datagram.len().max(1);
        match self.below(4) {
            0 => datagram.truncate(at),
            1 => datagram.extend(self.some_bytes(16)),
            _ => datagram.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= self.byte().max(1)),
        }
    }
}
