//! State: what the swarm shares.
//!
//! Knows: the entries that this node holds, the versions of each (rule R1), the bytes they take, the summary over all of
//! them, which are still to be passed on and which the application was not told of yet (rule R7), and which messages were
//! seen (rule R5). Does not know: who wants an entry, what a datagram is, what time it is.
//! When full: a table without a free slot and bytes without room refuse the new and keep what they hold, for the
//! application ([`PutError`](crate::PutError)) and for the wire ([`Refused`]) alike. A deleted entry keeps its slot until
//! the floor has passed its tombstone (rule R3).
//!
//! `version`, `merge` and `join` are the rules; `record` is their bytes; `counter` and `parts` make many entries one counter
//! or set; `store` is the table that they work in, `view`, `news`, `blob`, `large` and `lifetimes` its other doors; `clock` makes the
//! stamps, `hash` the names and summaries.

mod blob;
mod clock;
mod counter;
mod entry;
mod hash;
mod join;
mod large;
mod lifetimes;
mod merge;
mod messages;
mod news;
mod parts;
mod record;
mod room;
mod saved;
mod slot;
mod store;
mod version;
mod view;
mod window;
mod windows;

#[cfg(test)]
mod tests;

pub(crate) use clock::Clock;
pub use entry::{Entry, Kind, PublishOptions, PutOptions, Value};
pub(crate) use hash::StateHash;
pub(crate) use large::Worth;
pub(crate) use lifetimes::{Settled, TTL_MAX};
#[cfg(feature = "messages")]
pub(crate) use messages::{TOPIC_LEN_MAX, TTL_MAX as MESSAGE_TTL_MAX};
pub(crate) use messages::{Taken, Told, name_of, origin_of};
pub(crate) use parts::PartKey;
pub use saved::Saved;
pub(crate) use slot::EntrySlot;
pub(crate) use store::{Merged, Outcome, Refused, Store};
