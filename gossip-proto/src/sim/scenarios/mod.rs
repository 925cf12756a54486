//! How each scenario goes.

pub(crate) mod membership;
pub(crate) mod state;
