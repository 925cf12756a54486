//! A sans-IO gossip protocol state machine.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "sim", test))]
extern crate std;

mod addr;
mod rng;
mod slab;
mod time;

pub use addr::{Addr, NodeId};
pub use rng::Seed;
pub use time::Instant;
