//! A sans-IO gossip protocol state machine.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "sim", test))]
extern crate std;

mod addr;
mod config;
mod error;
mod event;
mod memory;
mod node;
mod rng;
mod slab;
mod state;
mod stats;
mod time;
mod wire;

pub use addr::{Addr, NodeId};
pub use config::{Config, ConfigError, Shares, Spread, SwarmKey};
pub use error::{JoinError, PutError, Rejected, TagsError};
pub use event::{EntryChange, Event, MemberChange};
pub use memory::{Memory, Storage};
pub use node::{Convergence, Entry, Kind, Lifecycle, Member, MemberState, Node, PutOptions, Transmit, Value};
pub use rng::Seed;
pub use stats::Stats;
pub use time::Instant;
