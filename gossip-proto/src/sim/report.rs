//! What a scenario found, as plain figures.
//!
//! Knows: names and units. Does not know: how they were measured; scenarios say that.

use core::fmt;

use std::vec::Vec;

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
    /// When the first node declared the crashed one dead, from the crash; of several, and of the blocked ones in `stall`,
    /// the median.
    pub first_detect_s: Option<f64>,
    /// When the last node knew that the crashed ones are dead, from the crash.
    pub last_detect_s: Option<f64>,
    /// Deaths of nodes that ran and could be reached, each counted once per observer.
    pub false_deaths: Option<u64>,
    /// Nodes that returned in somebody's eyes and had never been away, each counted once per observer.
    pub needless_rejoins: Option<u64>,
    /// When all knew all to be alive again, from the end of the split, or of the loss.
    pub healed_s: Option<f64>,
    /// When all held the same (`spread`, `writers`: from the last write; else from the begin of the window).
    pub converged_s: Option<f64>,
    /// How many times a node other than the writer received the entry, or the message, on average.
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
    /// `writers`, `churn`: writes of the application, and conflicts that were told of them.
    pub writes: Option<u64>,
    /// `writers`, `churn`: entry events that told of a conflict.
    pub conflicts: Option<u64>,
    /// `churn`: entries that nodes removed, since they had ended or their deletes were collected.
    pub removed: Option<u64>,
    /// `stall`: deaths of nodes that were not blocked, told by anybody (Lifeguard's FP).
    pub fp: Option<u64>,
    /// `stall`: deaths of nodes that were not blocked, told by others that were not (Lifeguard's FP-).
    pub fp_healthy: Option<u64>,
    /// `stall`: how many times a node was blocked, and how many of these times it was declared dead meanwhile.
    pub detections: Option<(u64, u64)>,
    /// `oneway`, `flap`: deaths of nodes whose links were whole, each counted once per observer.
    pub deaths_of_others: Option<u64>,
    /// `oneway`, `flap`: how many of these were told by the nodes whose links were not.
    pub deaths_told_by_victims: Option<u64>,
    /// `oneway`, `flap`: how often a minute one observer took one of the victims for dead or for returned, at most.
    pub transitions_per_minute: Option<f64>,
    /// `storm`: bytes that the contact sent and received until all knew all.
    pub contact_bytes: Option<u64>,
    /// `storm`: the most datagrams that were under way to the contact at once.
    pub contact_queue_max: Option<u32>,
    /// `poison`: when every view had the victim alive for good, from the last forged datagram, worst of all attacks that
    /// ended so.
    pub poison_s: Option<f64>,
    /// `poison`: what came of each attack.
    #[serde(serialize_with = "sequence")]
    pub poison: Option<Vec<Poisoning>>,
    /// `view`: in how many views a node is, on average.
    pub in_degree_mean: Option<f64>,
    /// `view`: in how many views the node is that is in fewest.
    pub in_degree_min: Option<u64>,
    /// `view`: in how many views the node is that is in most.
    pub in_degree_max: Option<u64>,
    /// `view`: the standard deviation of the in-degrees as a fraction of their mean.
    pub in_degree_cv: Option<f64>,
    /// `view`: the variance of the in-degrees as a multiple of that of uniform samples (χ² per degree of freedom): 1 when
    /// views are uniform and independent of each other, less when they are evener, more when some nodes are favoured.
    pub in_degree_dispersion: Option<f64>,
    /// `view`: into how many parts the union of the views falls at the moment of the crash, without the crashed: 1 is
    /// whole.
    pub components: Option<u64>,
    /// `view`: when the last view had lost the last of the crashed nodes, from the crash.
    pub dead_out_s: Option<f64>,
    /// `publish`: messages that were published; the others are figures of the nodes that were there from the begin.
    pub messages: Option<u64>,
    /// `publish`: how many times one was told to a node, the first time.
    pub deliveries: Option<u64>,
    /// `publish`: how many times one was told to a node again, in the same life.
    pub duplicates: Option<u64>,
    /// `publish`: how many times one was not told to a node to the end.
    pub missed: Option<u64>,
    /// `publish`: how many messages nodes said that they had missed.
    pub gaps_told: Option<u64>,
    /// `publish`: how long after it was published half of the deliveries were told.
    pub delivered_median_s: Option<f64>,
    /// `publish`: the same for 99 of 100.
    pub delivered_p99_s: Option<f64>,
    /// `publish`: the same for all.
    pub delivered_max_s: Option<f64>,
    /// `publish`: when a node that joined after the last message had been told of the last 24.
    pub joiner_s: Option<f64>,
    /// `view`: when all had a key that one wrote after the crash; `converged_s` is that of a key written before it.
    pub spread_after_crash_s: Option<f64>,
    /// `repair`: bytes that both sent, without the entries themselves.
    pub repair_bytes: Option<u64>,
    /// `repair`: bytes that both sent, without keys and values: with the 22 bytes that say which version each is.
    pub repair_bytes_with_versions: Option<u64>,
    /// `repair`: one-way messages until both were equal: the longest chain of datagrams, each of which was sent after the one
    /// before it had arrived.
    pub repair_messages: Option<u32>,
    /// `repair`: datagrams that both sent.
    pub repair_datagrams: Option<u64>,
    /// `repair`: versions of entries that were sent.
    pub repair_entries: Option<u64>,
    /// `catch-up`: when the newcomer held all of the topic that it wanted first; `converged_s` is when it held all.
    pub critical_s: Option<f64>,
    /// `catch-up`: when it was told that it has caught up.
    pub caught_up_s: Option<f64>,
    /// `catch-up`: how long its link takes to carry what it received.
    pub link_s: Option<f64>,
    /// `catch-up`: bytes that it received until it held all.
    pub received_bytes: Option<u64>,
    /// `catch-up`: bytes of all entries as they are sent: key, value, and which version it is.
    pub raw_bytes: Option<u64>,
    /// `catch-up`: bytes of all keys and values alone.
    pub content_bytes: Option<u64>,
    /// `catch-up`: entries that it received once more.
    pub received_again: Option<u64>,
    /// `catch-up`: suspicions and deaths of anybody meanwhile: all of them false.
    pub suspected: Option<u64>,
    /// `skew`: entries that were refused for a stamp too far ahead.
    pub refused_stamps: Option<u64>,
    /// `skew`: whether every node whose clock is years ahead was told so, and none whose clock is right.
    pub clocks_told: Option<bool>,
}

/// What came of an attack by forged datagrams.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Poisoning {
    /// What was forged.
    pub attack: &'static str,
    /// How long after the last forged datagram some view still had a victim that was not alive, or alive elsewhere;
    /// `None`: to the end.
    pub alive_again_s: Option<f64>,
    /// How many deaths of victims were told.
    pub deaths: u64,
    /// The most views at once in which a victim was not alive, or not where it is.
    pub views_max: u64,
    /// Bytes that a node sent per second meanwhile: an attack may also be one on the network.
    pub bytes_per_node_s: f64,
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

/// As serde does it when it is built for an allocator.
fn sequence<S: Serializer>(all: &Option<Vec<Poisoning>>, serializer: S) -> Result<S::Ok, S::Error> {
    match all {
        Some(all) => serializer.collect_seq(all),
        None => serializer.serialize_none(),
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
    pub(crate) removed: Option<u64>,
    pub(crate) converged: bool,
    /// Deaths and returns are part of the plan, so a return is not needless.
    pub(crate) returns_planned: bool,
    pub(crate) stall: Option<Stall>,
    pub(crate) links: Option<BrokenLinks>,
    pub(crate) contact: Option<(u64, u32)>,
    pub(crate) poison: Option<Vec<Poisoning>>,
    pub(crate) view: Option<View>,
    pub(crate) repaired: Option<Repaired>,
    pub(crate) deliveries: Option<Deliveries>,
    pub(crate) skew: Option<Skewed>,
    pub(crate) caught_up: Option<CaughtUp>,
}

/// What `repair` measures.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Repaired {
    pub(crate) bytes: u64,
    pub(crate) bytes_with_versions: u64,
    pub(crate) messages: u32,
    pub(crate) datagrams: u64,
    pub(crate) entries: u64,
    pub(crate) len_max: usize,
    pub(crate) hash: u64,
}

/// What `publish` measures.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deliveries {
    pub(crate) published: u64,
    pub(crate) told: u64,
    pub(crate) duplicates: u64,
    pub(crate) missed: u64,
    pub(crate) gaps_told: u64,
    pub(crate) median_s: Option<f64>,
    pub(crate) p99_s: Option<f64>,
    pub(crate) max_s: Option<f64>,
    pub(crate) joiner_s: Option<f64>,
}

/// What `catch-up` measures.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CaughtUp {
    pub(crate) critical_s: Option<f64>,
    pub(crate) told_s: Option<f64>,
    pub(crate) link_s: f64,
    pub(crate) received_bytes: u64,
    pub(crate) raw_bytes: u64,
    pub(crate) content_bytes: u64,
    pub(crate) duplicates: u64,
    pub(crate) suspected: u64,
}

/// What `skew` measures.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Skewed {
    pub(crate) refused: u64,
    pub(crate) told: bool,
}

/// What `stall` measures.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stall {
    pub(crate) fp: u64,
    pub(crate) fp_healthy: u64,
    pub(crate) blocks: u64,
    pub(crate) detected: u64,
}

/// What `oneway` and `flap` measure.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BrokenLinks {
    pub(crate) deaths_of_others: u64,
    pub(crate) told_by_victims: u64,
    pub(crate) transitions_per_minute: f64,
}

/// What `view` measures.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct View {
    pub(crate) degrees: Degrees,
    pub(crate) components: u64,
    pub(crate) dead_out_s: Option<f64>,
    pub(crate) spread_after_crash_s: Option<f64>,
}

/// In how many views nodes are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Degrees {
    pub(crate) mean: f64,
    pub(crate) min: u64,
    pub(crate) max: u64,
    pub(crate) cv: f64,
    pub(crate) dispersion: f64,
}
