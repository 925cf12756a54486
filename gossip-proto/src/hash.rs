//! The one hash of the project: SipHash-1-3-128, keyed. Who does not know the key can neither foretell nor aim it.
//!
//! Knows: bytes. Does not know: what they mean, or which key is whose.

use core::hash::Hasher;

use siphasher::sip128::{Hash128, Hasher128, SipHasher13};

/// The hash of these bytes, one after the other.
pub(crate) fn hash(key: &[u8; 16], parts: &[&[u8]]) -> Hash128 {
    let mut hasher = SipHasher13::new_with_key(key);
    parts.iter().for_each(|part| hasher.write(part));
    hasher.finish128()
}
