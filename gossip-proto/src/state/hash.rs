//! Hashes of the state: where an entry is in the tree, and what it adds to the summary.
//!
//! Knows: keyed SipHash-1-3-128; the key is the swarm's, so that all its nodes agree and a stranger cannot aim.
//! Does not know: the tree.

use crate::hash::Hash;

use super::entry::Kind;
use super::parts::split;
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
        Key::new(self.topic_bits(key, &whole), whole.h1)
    }

    /// The place of a key of any kind: of a part, 32 bits of its topic's hash, 16 of its name's, then 48 of its own.
    pub(super) fn place(&self, kind: Kind, key: &[u8]) -> Key {
        match split(kind, key) {
            Some((name, _)) if kind.is_part() => {
                let first = self.name(name);
                // The other half of the hash: an entry whose key has the same bytes is somewhere else.
                Key::new(first.topic(), first.key() | hash(&self.names, key).h2 & (u64::MAX >> 16))
            }
            _ => self.key(key),
        }
    }

    /// The place of a name's first possible part.
    pub(super) fn name(&self, name: &[u8]) -> Key {
        let whole = hash(&self.names, name);
        Key::new(self.topic_bits(name, &whole), whole.h1 & (u64::MAX << 48))
    }

    fn topic_bits(&self, key: &[u8], whole: &Hash) -> u32 {
        // Different halves: a key without a topic does not repeat its bits.
        let h2 = topic(key).map_or(whole.h2, |topic| hash(&self.names, topic).h2);
        (h2 >> 32) as u32
    }

    /// The place of a topic's first possible key.
    pub(crate) fn topic(&self, topic: &[u8]) -> Key {
        Key::new((hash(&self.names, topic).h2 >> 32) as u32, 0)
    }

    /// What an entry adds to the summary: its key, and all of every version.
    pub(super) fn item(&self, record: Record<'_>) -> Item {
        self.item_of(&[record.0])
    }

    /// The same of a record in parts.
    pub(super) fn item_of(&self, parts: &[&[u8]]) -> Item {
        Item::of(crate::hash::hash(&self.items, parts))
    }

    /// What a window adds to the summary of messages: its name, and what was seen or is over.
    pub(super) fn window(&self, name: Key, known: u64) -> Item {
        self.item_of(&[&name.to_bytes(), &known.to_le_bytes()])
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

fn hash(key: &[u8; 16], bytes: &[u8]) -> Hash {
    crate::hash::hash(key, &[bytes])
}
