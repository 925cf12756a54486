//! A sans-IO gossip protocol state machine: who is there, and what they share.
//!
//! [`Node`] is all of it. It has no I/O, no clock, no entropy source, no heap and no logger: datagrams and time go in,
//! datagrams, events and one deadline come out. Adapters for tokio, smol and embassy-net wire it to a socket; the loop on
//! [`Node`] is what they do.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "sim", test))]
extern crate std;

pub mod adapter;
mod addr;
mod config;
mod divide;
mod error;
mod event;
#[cfg(feature = "sim")]
#[doc(hidden)]
pub mod fuzzing;
mod hash;
mod membership;
mod memory;
mod node;
mod repair;
mod rng;
mod settings;
#[cfg(feature = "sim")]
pub mod sim;
mod slab;
mod spread;
mod state;
mod stats;
mod time;
mod wire;

pub use addr::{Addr, NodeId};
#[cfg(feature = "sim")]
pub use config::Without;
pub use config::{Config, ConfigError, Lifeguard, Merge, Repair, Shares, Spread, SwarmKey};
pub use error::{
    InterestError, JoinError, PublishError, PutError, ReceiptError, Rejected, RestoreError, SleepError, TagsError,
};
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub use event::OwnedEvent;
pub use event::{EntryChange, Event, EventWith, MemberChange};
pub use membership::{Member, MemberState, Quorum};
pub use memory::{Memory, Storage};
pub use node::{Convergence, Holders, Lifecycle, Node, SavedLife, Transmit};
pub use repair::Receipt;
pub use rng::Seed;
pub use state::{Entry, Kind, PublishOptions, PutOptions, Saved, Value};
pub use stats::{Count, Stats};
pub use time::Instant;
