//! Hashes of the state: where an entry is in the tree, and what it adds to the summary.
//!
//! Knows: keyed SipHash-1-3-128; the key is the swarm's, so that all its nodes agree and a stranger cannot aim.
//! Does not know: the tree.

use core::hash::Hasher;

use siphasher::sip128::{Hash128, Hasher128, SipHasher13};

use super::record::Record;
use crate::slab::index::{Item, Key};

/// The keys of the two hashes.
#[derive(Clone)]
pub(crate) struct StateHash {
    names: [u8; 16],
    items: [u8; 16],
}

impl StateHash {
    pub(crate) fn new(swarm_key: &[u8; 16]) -> Self {
        // One key for each use: what a key hashes to says nothing about items.
        Self {
            names: hash(swarm_key, b"gossip entry key").as_bytes(),
            items: hash(swarm_key, b"gossip entry item").as_bytes(),
        }
    }

    /// The place of a key: 32 bits of its topic's hash, then 64 of its own.
    pub(crate) fn key(&self, key: &[u8]) -> Key {
        let whole = hash(&self.names, key);
        let topic = match topic(key) {
            Some(topic) => hash(&self.names, topic),
            None => whole,
        };
        // Different halves: a key without a topic does not repeat its bits.
        Key::new((topic.h2 >> 32) as u32, whole.h1)
    }

    /// The place of a topic's first possible key.
    pub(super) fn topic(&self, topic: &[u8]) -> Key {
        Key::new((hash(&self.names, topic).h2 >> 32) as u32, 0)
    }

    /// What an entry adds to the summary: its key, and all of every version.
    pub(super) fn item(&self, record: Record<'_>) -> Item {
        item(&self.items, record.0)
    }

    /// What a window adds to the summary of messages: its name, and what was seen or is over.
    pub(super) fn window(&self, name: Key, known: u64) -> Item {
        let mut bytes = [0; 20];
        let parts = name.to_bytes().into_iter().chain(known.to_le_bytes());
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        item(&self.items, &bytes)
    }
}

impl core::fmt::Debug for StateHash {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("StateHash(..)")
    }
}

/// The part of a key, or of a prefix, before the first `/`; `None` if there is none.
pub(super) fn topic(key: &[u8]) -> Option<&[u8]> {
    key.iter().position(|&byte| byte == b'/').and_then(|end| key.get(..end))
}

fn item(key: &[u8; 16], bytes: &[u8]) -> Item {
    let hash = hash(key, bytes);
    let [a, b, c, d, e, f, g, h] = hash.h1.to_le_bytes();
    let [i, j, k, l, ..] = hash.h2.to_le_bytes();
    Item::from_bytes([a, b, c, d, e, f, g, h, i, j, k, l])
}

fn hash(key: &[u8; 16], bytes: &[u8]) -> Hash128 {
    let mut hasher = SipHasher13::new_with_key(key);
    hasher.write(bytes);
    hasher.finish128()
}
