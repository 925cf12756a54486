//! The integration tests: files are named for behaviours.

mod sim_determinism;
mod sim_network;
mod sim_scenarios;
