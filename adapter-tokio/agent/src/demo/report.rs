//! What the demo found: the table for people and the JSON for programs are made of this.

use serde::Serialize;
use serde_json::{Map, Value};

use super::switch::Counts;

/// The whole demo.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// Whether every step held.
    pub(super) held: bool,
    pub(super) agents: usize,
    pub(super) took_s: f64,
    pub(super) steps: Vec<Step>,
    /// What went through the switch in all.
    pub(super) switch: Counts,
}

/// One step.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Step {
    pub(super) step: &'static str,
    pub(super) held: bool,
    pub(super) took_s: f64,
    /// From the last change until all agents that ran held the same and knew it.
    pub(super) converged_s: Option<f64>,
    /// Bytes of gossip that the agents that ran sent in this step, by their own count.
    pub(super) bytes: u64,
    pub(super) datagrams: u64,
    /// What was found, in a few words.
    pub(super) found: String,
    /// Why it did not hold.
    pub(super) why: Option<String>,
    /// Figures of this step alone.
    pub(super) figures: Map<String, Value>,
}
