//! The wire: messages, the datagram that carries them, and its envelope.
//!
//! Knows: the bytes. Does not know: what any message means to the node.
//! When full: a message that does not fit in what is left of a datagram is taken back whole.

mod codec;
mod datagram;
mod fixed;
mod message;

#[cfg(test)]
mod tests;

#[cfg(feature = "sim")]
pub(crate) use datagram::describe;
pub(crate) use datagram::{Envelope, FORWARD_LEN_MAX, Header, Messages, Writer, close, open, open_inner, wrap};
pub(crate) use message::{
    Accusation, Bits, CatchUp, Context, Digests, EntryItem, ITEM_LEN, Items, KEY_LEN, Large, MARKED_LEN, Many,
    MemberItem, Message, Missing, Publication, Seen, Sketch, Table, UNIT, VersionId, WindowItem,
};
