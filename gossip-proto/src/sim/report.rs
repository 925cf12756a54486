//! What a scenario found, as plain figures.
//!
//! Knows: names and units. Does not know: how they were measured; scenarios say that.

use core::fmt;

use serde::{Serialize, Serializer};

/// The figures of one run. What a scenario does not measure is `None`.
///
/// The *window* is the part of the run that the figures are about: it begins when the preparation is over. Bytes are UDP
/// payload as sent, whatever became of them; "per node" divides by the nodes that run at the end.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The scenario's name.
    pub scenario: &'static str,
    /// How many nodes the swarm has.
    pub nodes: usize,
    /// The fraction of datagrams that links lose.
    pub loss: f64,
    /// The seed that replays the run.
    pub seed: u64,
    /// How long the run took in virtual time, preparation and all.
    pub virtual_s: f64,
    /// How long it took on the caller's clock; the caller fills it in, since the simulator reads none.
    pub wall_s: f64,
    /// Datagrams handed to nodes, and timeouts handled, preparation and all.
    pub events: u64,
    /// Datagrams that a node sent per second of the window.
    pub datagrams_per_node_s: f64,
    /// Bytes that a node sent per second of the window.
    pub bytes_per_node_s: f64,
    /// Bytes that a node sent in the window.
    pub bytes_per_node: f64,
    /// The longest datagram in the window.
    pub datagram_len_max: usize,
    /// When all knew all (`newcomer`: when the newcomer knew all), from the begin of the window.
    pub all_know_s: Option<f64>,
    /// When the first node declared the crashed one dead, from the crash.
    pub first_detect_s: Option<f64>,
    /// When the last node knew that the crashed one is dead, from the crash.
    pub last_detect_s: Option<f64>,
    /// Deaths of nodes that ran and could be reached, each counted once per observer.
    pub false_deaths: Option<u64>,
    /// Nodes that returned in somebody's eyes and had never been away, each counted once per observer.
    pub needless_rejoins: Option<u64>,
    /// When all knew all to be alive again, from the end of the split.
    pub healed_s: Option<f64>,
    /// When all held the same (`spread`, `writers`: from the last write; else from the begin of the window).
    pub converged_s: Option<f64>,
    /// How many times a node other than the writer received the entry, on average.
    pub payloads_per_node: Option<f64>,
    /// Whether the scenario reached the end that it waits for.
    pub converged: bool,
    /// The hash of every datagram: equal seeds give equal hashes.
    pub trace_hash: TraceHash,
    /// How long the window was.
    pub window_s: f64,
    /// `newcomer`: the bytes that it sent and received until it knew all, as a multiple of the bare list of members (16
    /// bytes each: id, IPv4 address and port, state, incarnation).
    pub raw_list_ratio: Option<f64>,
    /// `newcomer`: when all knew it, from its join.
    pub known_by_all_s: Option<f64>,
    /// False deaths where neither had ever been off or paused (Lifeguard's FP-).
    pub healthy_false_deaths: Option<u64>,
    /// Times that a node had to refute that it is suspect or dead.
    pub refutations: u64,
    /// Datagrams that nodes refused.
    pub rejected: u64,
    /// `writers`: writes of the application, and conflicts that were told of them.
    pub writes: Option<u64>,
    /// `writers`: entry events that told of a conflict.
    pub conflicts: Option<u64>,
}

/// The hash of a run, printed as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TraceHash(pub u64);

impl fmt::Display for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for TraceHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a scenario measures beyond the traffic; the rest of a [`Report`] is the same for all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) all_know_s: Option<f64>,
    pub(crate) first_detect_s: Option<f64>,
    pub(crate) last_detect_s: Option<f64>,
    pub(crate) healed_s: Option<f64>,
    pub(crate) converged_s: Option<f64>,
    pub(crate) payloads_per_node: Option<f64>,
    pub(crate) raw_list_ratio: Option<f64>,
    pub(crate) known_by_all_s: Option<f64>,
    pub(crate) writes: Option<u64>,
    pub(crate) converged: bool,
    /// Deaths and returns are part of the plan, so a return is not needless.
    pub(crate) returns_planned: bool,
}
