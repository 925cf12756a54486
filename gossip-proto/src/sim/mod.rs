//! The simulator: a swarm of real nodes on a virtual network, in virtual time, from one seed.
//!
//! The nodes are the very [`Node`](crate::Node)s that run in production; only the network and the clocks are made up. So
//! a configuration can be tried on thousands of nodes, for hours, in seconds; and what goes wrong goes wrong again with
//! the same seed, on every machine.
//!
//! Two ways in. [`run`] runs one of the ready-made [`Scenario`]s and gives a [`Report`] of figures. [`Network`] is for
//! one's own: add nodes, cut links, crash and pause, step or run, and look at any node through its own doors.
//!
//! ```
//! use core::time::Duration;
//! use gossip_proto::sim::{Faults, Network};
//! use gossip_proto::{Config, PutOptions};
//!
//! let mut net = Network::new(7);
//! net.set_faults(Faults::loss(100_000)); // one datagram in ten is lost
//! for _ in 0..8 {
//!     let node = net.add_node(Config::lan("example"));
//!     if node > 0 {
//!         net.join(node, 0);
//!     }
//! }
//! assert!(net.run_to(Duration::from_secs(60), |net| net.all_know_all()));
//!
//! // Node 3 writes while nodes 0 to 3 are cut off from the others.
//! let cut = net.split(0..4, 4..8);
//! net.with(3, |node, now| node.put(now, b"config/mode", b"night", PutOptions::new())).unwrap();
//! net.run_for(Duration::from_secs(10));
//! assert!(net.node(7).unwrap().get(b"config/mode").is_none());
//!
//! net.heal(cut);
//! assert!(net.run_to(Duration::from_secs(600), |net| net.all_know_all() && net.roots_agree()));
//! assert_eq!(net.node(7).unwrap().get(b"config/mode").unwrap().value(), b"night");
//! net.assert_agreement();
//! ```
//!
//! # What is checked
//! After every step, unless [`Network::set_checks`] says no: a node never writes beyond the buffer it was handed, never
//! declares itself dead, never tells of a member that nobody is; its deadline moves on; a refused datagram changes nothing
//! but counters of refusals (for every datagram that was damaged, replayed, doubled or forged); and for one step in 64 that an early
//! `handle_timeout` does nothing and that what the node says of itself fits together. A failed check panics with the
//! seed; so does, through the network's drop, a panic of anything else while a network is in scope.
//!
//! # Determinism
//! Happenings at the same time happen in the order in which they were caused. All decisions are made in integers, and
//! nothing depends on the width of a `usize` or the order of a hash map. [`Network::trace_hash`] covers every datagram:
//! equal seeds and equal calls give equal hashes. Checks, traces and logs do not change it.

mod check;
mod delivery;
mod dice;
mod driver;
mod faults;
mod lab;
mod lives;
mod look;
mod network;
mod queue;
mod record;
mod report;
mod scenario;
mod scenarios;
mod slot;
mod table;
mod trace;

pub use faults::{CutId, Faults, Latency};
pub use network::{Counts, Network};
pub use record::{Deaths, Happening, MemberFigures, Record, Seen};
pub use report::{Poisoning, Report, TraceHash};
pub use scenario::{Block, Progress, Scenario, Spec, UnknownScenario, UnknownVictims, Victims, run};
pub use slot::{Condition, Setup, Traffic};
pub use table::{Variant, lifeguard_table, membership_table};
pub use trace::TraceFilter;
