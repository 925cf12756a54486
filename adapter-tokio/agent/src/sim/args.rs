//! The options of `gossip sim`: what a person types, and what the simulator's replay command says.
//!
//! Knows: units, ranges, and what to do about a wrong one. Does not know: how a run goes.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use gossip_proto::sim::{Block, Scenario, Spec, TraceFilter, Victims};
use gossip_proto::{Addr, ConfigError, Node, NodeId, Repair, Seed, Spread, Storage};

use crate::cli::{Mode, duration};
use crate::error::{Code, Failure, Result};

/// Runs a simulated swarm and prints what it measured.
///
/// The nodes are the very machines that agents run; network and clocks are simulated, so hours of a thousand nodes pass
/// in seconds, and the same seed gives the same run on every machine. Exit code 0: every run reached its end; 1: some
/// run did not, or broke an invariant; 2: the options make no sense.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// What happens to the swarm.
    #[arg(long, value_name = "NAME", value_parser = scenarios(), required_unless_present = "list")]
    scenario: Option<Scenario>,
    /// Show the scenarios, a line each, and end.
    #[arg(long)]
    pub(super) list: bool,
    /// How many nodes the swarm has: at least 2
    #[arg(long, value_name = "N", default_value_t = 64)]
    nodes: usize,
    /// How many of all datagrams are lost, as a fraction (0.05) or in percent (5%)
    #[arg(long, value_name = "P", default_value = "0", value_parser = ppm)]
    loss: u32,
    /// Where all randomness comes from: a number, or hexadecimal with 0x
    #[arg(long, value_name = "X", default_value = "1", value_parser = seed)]
    seed: u64,
    /// How long to measure, or to wait at most for what the scenario waits for, in virtual seconds [default: 60 for
    /// idle, 600 for the others]
    #[arg(long, value_name = "T")]
    seconds: Option<u64>,
    /// Run with this many seeds, from X up: one JSON object a run, or a table of median and worst
    #[arg(long, value_name = "R", default_value_t = 1)]
    pub(super) runs: u64,

    /// The shortest wait between two rounds of gossip [default: 200ms]
    #[arg(long, visible_alias = "gossip-interval", value_name = "DURATION", value_parser = duration, help_heading = TUNING)]
    interval: Option<Duration>,
    /// The wait between rounds when nothing is unsettled [default: 30s]
    #[arg(long, visible_alias = "gossip-interval-max", value_name = "DURATION", value_parser = duration, help_heading = TUNING)]
    interval_max: Option<Duration>,
    /// How often a node probes one member [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = TUNING)]
    probe_interval: Option<Duration>,
    /// How long a direct probe waits before relays are asked [default: 500ms, or the probe interval if that is shorter]
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = TUNING)]
    probe_timeout: Option<Duration>,
    /// How long a dead or left member is remembered [default: 24h]
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = TUNING)]
    forget_after: Option<Duration>,
    /// How many members a round of gossip goes to [default: 3]
    #[arg(long, value_name = "N", help_heading = TUNING)]
    fanout: Option<u8>,
    /// How news of entries spreads [default: push-pull].
    #[arg(long, visible_alias = "spread", value_name = "MODE", help_heading = TUNING)]
    mode: Option<Mode>,
    /// The buffer that a node fills with a datagram, in bytes [default: 1400]
    #[arg(long, value_name = "BYTES", help_heading = TUNING)]
    mtu: Option<u16>,
    /// The largest datagram that a node is asked to fill, which bounds values, in bytes [default: 1400]
    #[arg(long, value_name = "BYTES", help_heading = TUNING)]
    datagram_len_max: Option<u16>,
    /// How many members a node's table holds [default: all of them]
    #[arg(long, visible_alias = "view", value_name = "N", help_heading = TUNING)]
    members: Option<usize>,
    /// How many entries a node holds [default: 64]
    #[arg(long, value_name = "N", help_heading = TUNING)]
    entries: Option<usize>,
    /// How many bytes of keys, values and tags a node holds [default: 65536]
    #[arg(long, value_name = "N", help_heading = TUNING)]
    bytes: Option<usize>,
    /// The length of the value in `spread`, in bytes [default: 100]
    #[arg(long, value_name = "BYTES", help_heading = TUNING)]
    value_len: Option<usize>,
    /// How many nodes `crash` and `stall` take, as a number or in percent (5%) [default: 1; stall: 8; view: 50%]
    #[arg(long, value_name = "V", help_heading = EVENTS)]
    victims: Option<Victims>,
    /// How many nodes join at once in `storm` [default: 100]
    #[arg(long, value_name = "N", help_heading = EVENTS)]
    joiners: Option<usize>,
    /// How many entries both nodes hold in `repair` [default: 1000]
    #[arg(long, value_name = "N", help_heading = EVENTS)]
    keys: Option<usize>,
    /// How many more entries differ in `repair` [default: 10]
    #[arg(long, value_name = "D", help_heading = EVENTS)]
    differences: Option<usize>,
    /// How entries are compared [default: sketch]
    #[arg(long, value_name = "HOW", value_parser = repairs(), help_heading = TUNING)]
    repair: Option<Repair>,
    /// How long the victims of `stall` are blocked at a time, in ms [default: 16400]
    #[arg(long, value_name = "MS", help_heading = EVENTS)]
    blocked_ms: Option<u64>,
    /// How long they are free in between, in ms [default: 1000]
    #[arg(long, value_name = "MS", help_heading = EVENTS)]
    free_ms: Option<u64>,
    /// What is blocked: the process, or its sockets alone while its timers run [default: process]
    #[arg(long, value_name = "WHAT", value_parser = blocks(), help_heading = EVENTS)]
    block: Option<Block>,
    /// How many times `stall` is done [default: 5]
    #[arg(long, value_name = "N", help_heading = EVENTS)]
    repetitions: Option<u32>,
    /// How often a rumor is passed on, times log10 of the members [default: 4]
    #[arg(long, value_name = "N", help_heading = TUNING)]
    rumor_mult: Option<u8>,
    /// How long suspicion lasts, in probe intervals times log10 of the members [default: 2]
    #[arg(long, value_name = "N", help_heading = TUNING)]
    suspicion_mult: Option<u8>,
    /// How many relays are asked when a probe stays unanswered [default: 3]
    #[arg(long, value_name = "N", help_heading = TUNING)]
    indirect_probes: Option<u8>,
    /// The most bytes that leave a node per second [default: 1250000]
    #[arg(long, value_name = "N", help_heading = TUNING)]
    bytes_per_second: Option<u32>,

    /// Write the packet trace of a single run to this file, a line per datagram
    #[arg(long, value_name = "FILE", help_heading = TRACING)]
    pub(super) trace: Option<PathBuf>,
    /// Trace only what this node (0 to N-1) sends, gets or sees
    #[arg(long, value_name = "NODE", requires = "trace", help_heading = TRACING)]
    trace_node: Option<usize>,
    /// Trace nothing before this virtual time
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "trace", help_heading = TRACING)]
    trace_from: Option<Duration>,
    /// Trace nothing from this virtual time on
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "trace", help_heading = TRACING)]
    trace_until: Option<Duration>,
    /// Leave out the checks after every step: quicker, and blind
    #[arg(long)]
    no_checks: bool,

    // As the replay command of the simulator writes durations.
    #[arg(long, hide = true, conflicts_with = "interval")]
    gossip_interval_ms: Option<u64>,
    #[arg(long, hide = true, conflicts_with = "interval_max")]
    gossip_interval_max_ms: Option<u64>,
    #[arg(long, hide = true, conflicts_with = "probe_interval")]
    probe_interval_ms: Option<u64>,
    #[arg(long, hide = true, conflicts_with = "probe_timeout")]
    probe_timeout_ms: Option<u64>,
    #[arg(long, hide = true, conflicts_with = "forget_after")]
    forget_after_ms: Option<u64>,
}

impl Options {
    /// The first of the runs that these options ask for; the others differ in the seed.
    pub(super) fn spec(&self) -> Result<Spec> {
        let Some(scenario) = self.scenario else {
            return Err(usage("no scenario was given", "name one with --scenario; --list shows them"));
        };
        let mut spec = Spec::new(scenario).nodes(self.nodes).loss_ppm(self.loss).seed(self.seed);
        spec.seconds = self.seconds;
        spec.mtu = self.mtu;
        spec.members = self.members;
        spec.checks = !self.no_checks;
        set(&mut spec.entries, self.entries);
        set(&mut spec.bytes, self.bytes);
        set(&mut spec.value_len, self.value_len);
        spec.victims = self.victims;
        set(&mut spec.joiners, self.joiners);
        set(&mut spec.keys, self.keys);
        set(&mut spec.differences, self.differences);
        set(&mut spec.config.repair, self.repair);
        set(&mut spec.blocked, ms(self.blocked_ms));
        set(&mut spec.free, ms(self.free_ms));
        set(&mut spec.block, self.block);
        set(&mut spec.repetitions, self.repetitions);
        self.tune(&mut spec);
        let (from, until) = (self.trace_from.unwrap_or_default(), self.trace_until);
        spec.trace = self.trace.is_some().then_some(TraceFilter { from, until, node: self.trace_node });
        self.check(&spec)?;
        check_node(&spec)?;
        Ok(spec)
    }

    fn tune(&self, spec: &mut Spec) {
        let config = &mut spec.config;
        set(&mut config.fanout, self.fanout);
        set(&mut config.rumor_mult, self.rumor_mult);
        set(&mut config.suspicion_mult, self.suspicion_mult);
        set(&mut config.indirect_probes, self.indirect_probes);
        set(&mut config.bytes_per_second, self.bytes_per_second);
        set(&mut config.datagram_len_max, self.datagram_len_max);
        set(&mut config.spread, self.mode.map(spread));
        set(&mut config.gossip_interval, self.interval.or(ms(self.gossip_interval_ms)));
        set(&mut config.probe_interval, self.probe_interval.or(ms(self.probe_interval_ms)));
        set(&mut config.forget_after, self.forget_after.or(ms(self.forget_after_ms)));
        // These two are bounded by others: who sets the bound need not set them, too.
        let longest = self.interval_max.or(ms(self.gossip_interval_max_ms));
        config.gossip_interval_max = longest.unwrap_or(config.gossip_interval_max.max(config.gossip_interval));
        let timeout = self.probe_timeout.or(ms(self.probe_timeout_ms));
        config.probe_timeout = timeout.unwrap_or(config.probe_timeout.min(config.probe_interval));
    }

    /// What no single option shows to be wrong.
    fn check(&self, spec: &Spec) -> Result<()> {
        let (nodes, members) = (spec.nodes, spec.members.unwrap_or(spec.nodes + 1));
        if !(2..=NODES_MAX).contains(&nodes) {
            let message = format!("--nodes is {nodes}; it must be 2 to {NODES_MAX}");
            return Err(usage(message, "most figures hardly change above 1024 nodes"));
        }
        if spec.keys.saturating_add(spec.differences) > KEYS_MAX {
            let message = format!("--keys and --differences are more than {KEYS_MAX} together");
            return Err(usage(message, "a million takes half a GiB"));
        }
        let sizes = [(members, MEMBER_LEN), (spec.entries, ENTRY_LEN), (spec.bytes, 1), (1, NODE_LEN)];
        let node =
            sizes.iter().fold(0, |sum: u64, &(count, len)| sum.saturating_add((count as u64).saturating_mul(len)));
        if node.saturating_mul(nodes as u64) > MEMORY_MAX {
            let gib = nodes as f64 * node as f64 / f64::from(1 << 30);
            let message = format!("{nodes} nodes with tables of this size take {gib:.0} GiB; it must be 16 at most");
            return Err(usage(message, "give every node smaller tables: --members 512 is plenty in a large swarm"));
        }
        if self.runs == 0 || spec.seed.checked_add(self.runs - 1).is_none() {
            let message = format!("--runs {} from --seed {} on is no range of seeds", self.runs, spec.seed);
            return Err(usage(message, "ask for at least one run, and for seeds below 2^64"));
        }
        if self.trace.is_some() && self.runs > 1 {
            return Err(usage("--trace is for a single run", "leave out --runs, and choose the run by --seed"));
        }
        if let Some(node) = self.trace_node.filter(|&node| node > nodes) {
            let message = format!("--trace-node {node} is no node of a swarm of {nodes}");
            return Err(usage(message, "nodes are numbered from 0; the newcomer comes last"));
        }
        if let Some(mtu) = spec.mtu.filter(|mtu| !(128..=65_507).contains(mtu)) {
            return Err(usage(format!("--mtu is {mtu}; it must be 128 to 65507"), "65507 is the longest UDP payload"));
        }
        let config = &spec.config;
        let times = [config.gossip_interval, config.gossip_interval_max, config.probe_interval, config.probe_timeout];
        if times.iter().any(|time| time.subsec_nanos() % 1_000_000 != 0) {
            return Err(usage("intervals are whole milliseconds", "round them; 1ms is the shortest that nodes take"));
        }
        Ok(())
    }
}

/// Makes a node: it knows the ranges of everything that it is given.
fn check_node(spec: &Spec) -> Result<()> {
    let members = spec.members.unwrap_or(spec.nodes + 1);
    let storage = Storage::with_capacity(members, spec.entries, spec.bytes);
    let made = Node::new(NodeId(1), Addr::NONE, spec.config.clone(), storage, Seed::new([1; 32]));
    made.map(drop).map_err(|why| match why {
        ConfigError::Field { field: "probe_timeout (µs)", .. } => {
            usage(why.to_string(), "a probe that waits longer than --probe-interval overlaps the next")
        }
        _ => usage(why.to_string(), "see `gossip sim --help` for the options and their defaults"),
    })
}

/// What each scenario does, in a line.
pub(super) const fn describe(scenario: Scenario) -> &'static str {
    match scenario {
        Scenario::ColdStart => "all nodes start within 100 ms and join through one, until all know all",
        Scenario::Newcomer => "one more node joins a settled swarm, until it knows all and all know it",
        Scenario::Idle => "a settled swarm in which nothing happens: what that costs",
        Scenario::Crash => "one node of a settled swarm loses power, until all others know",
        Scenario::Split => "random halves do not reach each other for --seconds, then until all know all again",
        Scenario::Spread => "one node writes one key, until all have it",
        Scenario::Writers => "20 concurrent writers, 200 rounds, own and shared keys, until all hold the same",
        Scenario::Loss => "a long run on lossy links: who is declared dead wrongly",
        Scenario::Stall => "some nodes are blocked and free by turns: who is declared dead because of it",
        Scenario::Oneway => "one node is not heard by half of the others for the whole run",
        Scenario::Flap => "the links of one node fail and return every second",
        Scenario::Storm => "100 nodes join a settled swarm at once through one contact",
        Scenario::Poison => "forged datagrams try to kill a living node, one attack after the other",
        Scenario::Churn => "few nodes write and delete under splits, crashes and restarts, against a model",
        Scenario::Publish => "random nodes publish 120 messages, and one more node joins: who was told of what",
        Scenario::View => "tables smaller than the swarm: who is in whose, before and after half of it crashes",
        Scenario::Repair => "two nodes that hold nearly the same: what it costs to find what differs",
        Scenario::Skew => "clocks years ahead, years behind, drifting and stepping, while all write; then set right",
        Scenario::CatchUp => "one more node joins over a narrow link, until it has all that the others hold",
        _ => "",
    }
}

fn usage(message: impl Into<String>, hint: impl Into<String>) -> Failure {
    Failure::new(Code::Usage, message, hint)
}

fn set<T>(field: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *field = given;
    }
}

fn ms(given: Option<u64>) -> Option<Duration> {
    given.map(Duration::from_millis)
}

fn scenarios() -> impl TypedValueParser<Value = Scenario> {
    let values = Scenario::ALL.map(|scenario| PossibleValue::new(scenario.name()).help(describe(scenario)));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<Scenario>())
}

fn spread(mode: Mode) -> Spread {
    match mode {
        Mode::Push => Spread::Push,
        Mode::Pull => Spread::Pull,
        Mode::PushPull => Spread::PushPull,
    }
}

fn ppm(text: &str) -> Result<u32, String> {
    let (number, scale) = text.strip_suffix('%').map_or((text, 1e6), |percent| (percent, 1e4));
    let value = number.trim().parse::<f64>().unwrap_or(f64::NAN) * scale;
    if (0.0..=1e6).contains(&value) {
        return Ok(value.round() as u32);
    }
    Err("it must be a fraction from 0 to 1, or 0% to 100%: one datagram in twenty is 0.05, or 5%".into())
}

fn seed(text: &str) -> Result<u64, String> {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let parsed = hexadecimal.map_or_else(|| text.parse(), |digits| u64::from_str_radix(digits, 16));
    parsed.map_err(|_| "it must be a number below 2^64, such as 7 or 0x1f".into())
}

fn blocks() -> impl TypedValueParser<Value = Block> {
    PossibleValuesParser::new(["process", "sockets"]).map(|name| match name.as_str() {
        "sockets" => Block::Sockets,
        _ => Block::Process,
    })
}

fn repairs() -> impl TypedValueParser<Value = Repair> {
    PossibleValuesParser::new(["merkle", "sketch"]).map(|name| match name.as_str() {
        "merkle" => Repair::Merkle,
        _ => Repair::Sketch,
    })
}

const EVENTS: &str = "What happens";
const TUNING: &str = "Configuration of the nodes";
const TRACING: &str = "Packet trace";
/// 4 GiB.
const KEYS_MAX: usize = 8_000_000;
/// A guess: the largest swarm that anybody would wait for.
const NODES_MAX: usize = 65_536;
/// 8,192 nodes that know each other fit in this.
const MEMORY_MAX: u64 = 16 << 30;
/// What a place in a table takes, about; measured as the growth of a simulation's memory.
const MEMBER_LEN: u64 = 180;
const ENTRY_LEN: u64 = 150;
const NODE_LEN: u64 = 4096;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn spec(line: &str) -> std::result::Result<Spec, String> {
        let cli = Cli::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())?;
        cli.options.spec().map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_replay_command_replays() {
        let lines = [
            "sim --scenario idle",
            "sim --scenario crash --nodes 9 --loss 5% --seed 0x10 --seconds 70 --mtu 600 --view 12 --mode pull",
            "sim --scenario writers --interval 50ms --interval-max 1m --probe-interval 300ms --forget-after 1h --fanout 2",
            "sim --scenario spread --probe-interval 2s --value-len 900 --entries 100 --bytes 70000 --rumor-mult 3",
            "sim --scenario stall --victims 4 --blocked-ms 900 --free-ms 70 --block sockets --repetitions 2",
            "sim --scenario crash --victims 5% --nodes 100",
            "sim --scenario storm --joiners 7",
            "sim --scenario loss --suspicion-mult 5 --indirect-probes 0 --bytes-per-second 5000 --datagram-len-max 500",
        ];
        for line in lines {
            let first = spec(line).unwrap().command();
            let again = spec(first.strip_prefix("gossip ").unwrap()).unwrap().command();
            assert_eq!(first, again, "{line}");
        }
    }

    #[test]
    fn wrong_options_say_what_is_right() {
        let lines = [
            ("sim", "--scenario <NAME>"),
            ("sim --scenario colt-start", "'cold-start'"),
            ("sim --scenario idle --nodes 1", "--nodes is 1"),
            ("sim --scenario idle --nodes 12000", "GiB"),
            ("sim --scenario idle --loss 5", "0.05, or 5%"),
            ("sim --scenario idle --loss=-1%", "0.05, or 5%"),
            ("sim --scenario idle --seed x", "below 2^64"),
            ("sim --scenario idle --runs 0", "--runs 0"),
            ("sim --scenario idle --interval 5", "unit is missing"),
            ("sim --scenario idle --interval 1.5ms", "whole milliseconds"),
            ("sim --scenario idle --fanout 99", "fanout is 99"),
            ("sim --scenario idle --probe-interval 1ms", "probe_interval"),
            ("sim --scenario idle --mode shout", "push-pull"),
            ("sim --scenario idle --mtu 12", "--mtu is 12"),
            ("sim --scenario idle --entries 99999999999", "GiB"),
            ("sim --scenario idle --runs 2 --trace x", "single run"),
        ];
        for (line, says) in lines {
            let error = spec(line).map(|spec| spec.command()).expect_err(line);
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
