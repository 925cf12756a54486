//! What the adapter promises, over stacks that are joined in memory.

mod contact;
mod interface;
#[cfg(feature = "defmt")]
mod logger;
mod net;
mod running;
mod sharing;
