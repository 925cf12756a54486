//! The integration tests of the core, in one binary; files are named for behaviours.

mod adapters;
mod fuzz_bodies;
mod idle_state;
mod interest;
mod invariants;
mod kinds;
mod large;
mod lifetimes;
mod membership_lives;
mod membership_paths;
mod membership_quorum;
mod membership_sample;
mod membership_sleep;
mod messages;
mod readme;
mod receipts;
mod repair;
mod saved;
mod sim_determinism;
mod sim_figures;
mod sim_network;
mod sim_scenarios;
mod sim_table;
mod sim_unrest;
mod spreading;
mod tidy;
