//! Spread: when news goes out, to whom, and how a datagram's room is shared.
//!
//! Knows: rounds, the byte budget, and the credit of each class of traffic. Does not know: what an item says.
//! When full: more round targets than [`rounds::TARGETS_MAX`] are not taken; an empty budget makes everything but probes wait.

mod budget;
mod credit;
mod rounds;

pub(crate) use budget::Budget;
pub(crate) use credit::{Class, Credits};
pub(crate) use rounds::Rounds;
