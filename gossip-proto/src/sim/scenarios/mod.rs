//! How each scenario goes.

pub(crate) mod catch_up;
pub(crate) mod churn;
pub(crate) mod membership;
pub(crate) mod poison;
pub(crate) mod publish;
pub(crate) mod repair;
pub(crate) mod skew;
pub(crate) mod state;
pub(crate) mod unrest;
pub(crate) mod view;
