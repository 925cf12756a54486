//! The wire: messages, the datagram that carries them, and its envelope.
//!
//! Knows: the bytes. Does not know: what any message means. When a datagram is full, the writer refuses whole messages.

mod message;

pub(crate) use message::{Context, Digests, EntryItem, Message, Table, VersionId};
