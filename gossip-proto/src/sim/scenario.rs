//! Ready-made scenarios: what to run, how to run it again.
//!
//! Knows: names, parameters, defaults. Does not know: how a scenario goes; `scenarios/` does.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use std::string::{String, ToString};

use super::faults::Faults;
use super::lab::Lab;
use super::report::Report;
use super::scenarios::{catch_up, churn, membership, poison, publish, repair, skew, state, unrest, view};
use super::trace::TraceFilter;
use crate::config::{Config, Repair, Spread};

/// What happens to the swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scenario {
    /// All nodes start within 100 ms and join through node 0. The window begins at the start and ends when all know all.
    ColdStart,
    /// A settled swarm; one more node joins through a random member.
    Newcomer,
    /// A settled swarm, and nothing happens: what does that cost?
    Idle,
    /// A settled swarm; one node crashes, or several at once ([`Spec::victims`]).
    Crash,
    /// A settled swarm is split in random halves for 60 s, or for [`Spec::seconds`].
    Split,
    /// A settled swarm; one node writes one entry.
    Spread,
    /// 20 nodes write 200 rounds each, keys of their own and keys that all write.
    Writers,
    /// A long run on lossy links: who is declared dead wrongly? Then the loss ends, until all know all.
    Loss,
    /// A settled swarm; 8 nodes ([`Spec::victims`]) are blocked for 16.4 s and free for 1 s by turns, for 120 s; five
    /// times, each time others, with a minute's rest between (the experiment of the Lifeguard paper).
    Stall,
    /// A settled swarm; half the others cannot hear one node ([`Spec::victims`]), which can hear them, to the end.
    Oneway,
    /// A settled swarm; the links of one node ([`Spec::victims`]) fail for half a second in every second, to the end.
    Flap,
    /// A settled swarm; 100 nodes ([`Spec::joiners`]) join at once through one member.
    Storm,
    /// A settled swarm; somebody who knows its key sends forged datagrams about its members.
    Poison,
    /// A settled swarm whose tables are smaller than it ([`Spec::members`]): how even its views are, and what is left of
    /// it when half of it ([`Spec::victims`]) crashes at once.
    View,
    /// Two nodes with a million entries or a thousand ([`Spec::keys`]), of which some differ ([`Spec::differences`]):
    /// what it costs to find them. Nothing but the comparison speaks.
    Repair,
    /// Three to six nodes write and delete, with and without lifetimes, under random splits, pauses, crashes and restarts; then
    /// all is well, and what they hold is compared with a model: no write is lost, and nothing deleted returns.
    Churn,
    /// A settled swarm; random nodes publish 120 messages, two a second, and then one more node joins.
    Publish,
    /// A settled swarm; the clocks of 4 nodes ([`Spec::victims`]) are years ahead, years behind, drift and step while all
    /// write for a minute; then they are set right.
    Skew,
    /// A settled swarm that holds 10,000 entries ([`Spec::keys`]); one more node joins over a link of 10 Mb/s, 50 ms away, until it
    /// holds all of them. Round trip and rate are those of [`Spec::faults`] if these are not the default.
    CatchUp,
}

impl Scenario {
    /// All scenarios.
    pub const ALL: [Self; 19] = [
        Self::ColdStart,
        Self::Newcomer,
        Self::Idle,
        Self::Crash,
        Self::Split,
        Self::Spread,
        Self::Writers,
        Self::Loss,
        Self::Stall,
        Self::Oneway,
        Self::Flap,
        Self::Storm,
        Self::Poison,
        Self::View,
        Self::Repair,
        Self::Churn,
        Self::Publish,
        Self::Skew,
        Self::CatchUp,
    ];

    /// Its name, as on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ColdStart => "cold-start",
            Self::Newcomer => "newcomer",
            Self::Idle => "idle",
            Self::Crash => "crash",
            Self::Split => "split",
            Self::Spread => "spread",
            Self::Writers => "writers",
            Self::Loss => "loss",
            Self::Stall => "stall",
            Self::Oneway => "oneway",
            Self::Flap => "flap",
            Self::Storm => "storm",
            Self::Poison => "poison",
            Self::View => "view",
            Self::Repair => "repair",
            Self::Churn => "churn",
            Self::Publish => "publish",
            Self::Skew => "skew",
            Self::CatchUp => "catch-up",
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// There is no scenario with this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownScenario;

impl fmt::Display for UnknownScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no such scenario; there are")?;
        Scenario::ALL.iter().try_for_each(|scenario| write!(f, " {scenario}"))
    }
}

impl core::error::Error for UnknownScenario {}

impl FromStr for Scenario {
    type Err = UnknownScenario;

    fn from_str(name: &str) -> Result<Self, UnknownScenario> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name).ok_or(UnknownScenario)
    }
}

/// How many nodes something befalls. Reads and prints as `8` or `5%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victims {
    /// So many.
    Count(usize),
    /// So many in a hundred, rounded up.
    Percent(usize),
}

impl Victims {
    /// How many they are in a swarm of this many: at least 1, and at least one node is spared.
    #[must_use]
    pub fn of(self, nodes: usize) -> usize {
        let count = match self {
            Self::Count(count) => count,
            Self::Percent(percent) => nodes.saturating_mul(percent).div_ceil(100),
        };
        count.clamp(1, nodes.saturating_sub(1).max(1))
    }
}

impl fmt::Display for Victims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// What is blocked in [`Scenario::Stall`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Block {
    /// The whole process, as by a stop of the garbage collector: when it goes on, it finds all its deadlines passed, and
    /// looks at them before it reads what has come meanwhile.
    #[default]
    Process,
    /// Its sockets alone, as when the threads that do the work of the network starve: its timers run on, and it hears no
    /// answers.
    Sockets,
}

/// This names no number of victims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownVictims;

impl fmt::Display for UnknownVictims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it must be a number of nodes, such as 8, or a part of them, such as 5%")
    }
}

impl core::error::Error for UnknownVictims {}

impl FromStr for Victims {
    type Err = UnknownVictims;

    fn from_str(text: &str) -> Result<Self, UnknownVictims> {
        let parsed = match text.strip_suffix('%') {
            Some(percent) => percent.parse().map(Self::Percent),
            None => text.parse().map(Self::Count),
        };
        match parsed {
            Ok(Self::Count(0) | Self::Percent(0 | 101..)) | Err(_) => Err(UnknownVictims),
            Ok(victims) => Ok(victims),
        }
    }
}

/// What to run. Start from [`Spec::new`] and change single fields.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What happens.
    pub scenario: Scenario,
    /// How many nodes the swarm has: at least 2.
    pub nodes: usize,
    /// How many datagrams per million are lost, on every link.
    pub loss_ppm: u32,
    /// Where all randomness comes from.
    pub seed: u64,
    /// How long the window is, or how long to wait at most for what the scenario waits for; in `split` how long the split
    /// lasts, in `stall` each repetition, in `poison` how long each attack is watched. `None`: 60 s for `idle`, `split`
    /// and `poison`, 120 s for `stall`, 3,600 s for `flap`, 600 s for the others.
    pub seconds: Option<u64>,
    /// The configuration of every node. Default: [`Config::lan`].
    pub config: Config,
    /// The buffer that `poll_transmit` is handed, in bytes. Default: the configuration's `datagram_len_max`.
    pub mtu: Option<u16>,
    /// How many members a node's table holds. Default: all of them.
    pub members: Option<usize>,
    /// How many entries a node holds. Default 64; in `publish` 128, of which 32 may be messages.
    pub entries: usize,
    /// How many bytes of keys, values and tags a node holds. Default 65,536.
    pub bytes: usize,
    /// The length of the value in `spread`, and of a message in `publish`, in bytes. Default 100; of the values in
    /// `catch-up` 44.
    pub value_len: usize,
    /// Whom it befalls: the crashed, the blocked, the badly linked. `None`: 8 nodes in `stall`, half of them in `view`,
    /// 4 in `skew`, one elsewhere.
    pub victims: Option<Victims>,
    /// How many nodes join at once in `storm`. Default 100.
    pub joiners: usize,
    /// How many entries both nodes hold in `repair`, and all but the newcomer in `catch-up`. Default 1000, and 10,000.
    pub keys: usize,
    /// How many more entries differ in `repair`. Default 10.
    pub differences: usize,
    /// How long nodes are blocked in `stall`. Default 16.4 s.
    pub blocked: Duration,
    /// How long they are free between two blocks. Default 1 s.
    pub free: Duration,
    /// What is blocked in `stall`. Default: the whole process.
    pub block: Block,
    /// How many times `stall` is done. Default 5.
    pub repetitions: u32,
    /// Everything else that happens on links; its loss is replaced by [`Spec::loss_ppm`]. Default: 1 to 10 ms, and
    /// nothing worse.
    pub faults: Faults,
    /// Which lines of the packet trace are handed to `progress`.
    pub trace: Option<TraceFilter>,
    /// Whether the checks run after every step. Default: yes.
    pub checks: bool,
}

impl Spec {
    /// This scenario with 64 nodes (`stall`: 128, `catch-up`: 4), no loss and seed 1.
    #[must_use]
    pub fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            nodes: match scenario {
                Scenario::Stall => 128,
                Scenario::CatchUp => 4,
                _ => 64,
            },
            loss_ppm: 0,
            seed: 1,
            seconds: None,
            config: Config::lan(SWARM),
            mtu: None,
            members: None,
            entries: if scenario == Scenario::Publish { 128 } else { 64 },
            bytes: 65_536,
            value_len: if scenario == Scenario::CatchUp { 44 } else { 100 },
            victims: None,
            joiners: 100,
            keys: if scenario == Scenario::CatchUp { 10_000 } else { 1000 },
            differences: 10,
            blocked: Duration::from_millis(16_400),
            free: Duration::from_secs(1),
            block: Block::Process,
            repetitions: 5,
            faults: Faults::default(),
            trace: None,
            checks: true,
        }
    }

    /// With this many nodes.
    #[must_use]
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// With this loss.
    #[must_use]
    pub fn loss_ppm(mut self, ppm: u32) -> Self {
        self.loss_ppm = ppm;
        self
    }

    /// With this seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    pub(crate) fn window(&self, default_s: u64) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(default_s))
    }

    /// The command that runs this again, with the options that differ from the default. [`Spec::faults`] other than the
    /// loss have no option: what a program changed, it has to change again.
    #[must_use]
    pub fn command(&self) -> String {
        Command(self).to_string()
    }
}

/// Runs a scenario. `progress` is told from time to time how far it is, and handed the lines of the trace.
///
/// # Panics
/// When a check fails, with the seed and the command that replays the run; and when the configuration or a table size is
/// out of its range. That a swarm does not converge in time is no panic: the report says so.
#[must_use]
pub fn run(spec: &Spec, progress: &mut dyn FnMut(Progress<'_>)) -> Report {
    assert!(spec.nodes >= 2, "a swarm has at least 2 nodes");
    let mut lab = Lab::new(spec, progress);
    let figures = match spec.scenario {
        Scenario::ColdStart => membership::cold_start(&mut lab),
        Scenario::Newcomer => membership::newcomer(&mut lab),
        Scenario::Idle => membership::idle(&mut lab),
        Scenario::Crash => membership::crash(&mut lab),
        Scenario::Split => membership::split(&mut lab),
        Scenario::Loss => membership::loss(&mut lab),
        Scenario::Spread => state::spread(&mut lab),
        Scenario::Writers => state::writers(&mut lab),
        Scenario::Stall => unrest::stall(&mut lab),
        Scenario::Oneway => unrest::oneway(&mut lab),
        Scenario::Flap => unrest::flap(&mut lab),
        Scenario::Storm => unrest::storm(&mut lab),
        Scenario::Poison => poison::poison(&mut lab),
        Scenario::View => view::view(&mut lab),
        Scenario::Repair => repair::repair(&mut lab),
        Scenario::Churn => churn::churn(&mut lab),
        Scenario::Publish => publish::publish(&mut lab),
        Scenario::Skew => skew::skew(&mut lab),
        Scenario::CatchUp => catch_up::catch_up(&mut lab),
    };
    lab.report(&figures)
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// Still running.
    Step {
        /// What the scenario is at.
        phase: &'static str,
        /// The virtual time.
        now: Duration,
        /// Datagrams handed to nodes and timeouts handled so far.
        events: u64,
    },
    /// Whole lines of the packet trace, each with its line break.
    Trace(&'a str),
}

struct Command<'a>(&'a Spec);

impl fmt::Display for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = self.0;
        write!(f, "gossip sim --scenario {} --nodes {} --loss ", spec.scenario, spec.nodes)?;
        fraction(spec.loss_ppm, f)?;
        write!(f, " --seed {}", spec.seed)?;
        let usual = Self::usual(spec);
        let (own, lan) = (&spec.config, &usual.config);
        let numbers = [
            ("seconds", spec.seconds, None),
            ("mtu", spec.mtu.map(u64::from), None),
            ("members", spec.members.map(|n| n as u64), None),
            ("entries", Some(spec.entries as u64), Some(usual.entries as u64)),
            ("bytes", Some(spec.bytes as u64), Some(usual.bytes as u64)),
            ("value-len", Some(spec.value_len as u64), Some(usual.value_len as u64)),
            ("joiners", Some(spec.joiners as u64), Some(usual.joiners as u64)),
            ("keys", Some(spec.keys as u64), Some(usual.keys as u64)),
            ("differences", Some(spec.differences as u64), Some(usual.differences as u64)),
            ("repetitions", Some(spec.repetitions.into()), Some(usual.repetitions.into())),
            ("fanout", Some(own.fanout.into()), Some(lan.fanout.into())),
            ("rumor-mult", Some(own.rumor_mult.into()), Some(lan.rumor_mult.into())),
            ("suspicion-mult", Some(own.suspicion_mult.into()), Some(lan.suspicion_mult.into())),
            ("indirect-probes", Some(own.indirect_probes.into()), Some(lan.indirect_probes.into())),
            ("bytes-per-second", Some(own.bytes_per_second.into()), Some(lan.bytes_per_second.into())),
            ("datagram-len-max", Some(own.datagram_len_max.into()), Some(lan.datagram_len_max.into())),
        ];
        for (name, value, usual) in numbers {
            if let Some(value) = value.filter(|_| value != usual) {
                write!(f, " --{name} {value}")?;
            }
        }
        if let Some(victims) = spec.victims {
            write!(f, " --victims {victims}")?;
        }
        let durations = [
            ("blocked", spec.blocked, usual.blocked),
            ("free", spec.free, usual.free),
            ("gossip-interval", own.gossip_interval, lan.gossip_interval),
            ("gossip-interval-max", own.gossip_interval_max, lan.gossip_interval_max),
            ("probe-interval", own.probe_interval, lan.probe_interval),
            ("probe-timeout", own.probe_timeout, lan.probe_timeout),
            ("forget-after", own.forget_after, lan.forget_after),
        ];
        for (name, value, usual) in durations {
            if value != usual {
                write!(f, " --{name}-ms {}", value.as_millis())?;
            }
        }
        if spec.block == Block::Sockets {
            f.write_str(" --block sockets")?;
        }
        if own.repair == Repair::Merkle {
            f.write_str(" --repair merkle")?;
        }
        match own.spread {
            Spread::PushPull => Ok(()),
            Spread::Push => f.write_str(" --spread push"),
            Spread::Pull => f.write_str(" --spread pull"),
        }
    }
}

impl Command<'_> {
    fn usual(spec: &Spec) -> Spec {
        Spec::new(spec.scenario)
    }
}

/// Parts per million as a decimal fraction, without a float: 50,000 is 0.05.
fn fraction(ppm: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (whole, mut rest) = (ppm / 1_000_000, ppm % 1_000_000);
    write!(f, "{whole}")?;
    let mut digit = 100_000;
    if rest > 0 {
        f.write_str(".")?;
    }
    while rest > 0 {
        write!(f, "{}", rest / digit)?;
        rest %= digit;
        digit /= 10;
    }
    Ok(())
}

/// The swarm of all scenarios.
const SWARM: &str = "simulation";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_says_what_differs() {
        let mut spec = Spec::new(Scenario::ColdStart).nodes(256).loss_ppm(50_000).seed(7);
        assert_eq!(spec.command(), "gossip sim --scenario cold-start --nodes 256 --loss 0.05 --seed 7");
        spec.config.fanout = 4;
        spec.config.spread = Spread::Pull;
        spec.config.gossip_interval = Duration::from_millis(50);
        spec.loss_ppm = 1_000_000;
        assert_eq!(
            spec.command(),
            "gossip sim --scenario cold-start --nodes 256 --loss 1 --seed 7 --fanout 4 --gossip-interval-ms 50 --spread pull"
        );
        spec.loss_ppm = 120_001;
        assert!(spec.command().contains("--loss 0.120001 "));
    }

    #[test]
    fn victims_lead_back() {
        for text in ["8", "5%", "100%"] {
            assert_eq!(text.parse::<Victims>().map(|victims| victims.to_string()), Ok(text.into()));
        }
        assert!(["", "0", "0%", "101%", "-1", "5 %", "x"].iter().all(|text| text.parse::<Victims>().is_err()));
        let of = |victims: Victims| [2, 16, 256].map(|nodes| victims.of(nodes));
        assert_eq!(of(Victims::Percent(5)), [1, 1, 13]);
        assert_eq!(of(Victims::Count(8)), [1, 8, 8]);
    }

    #[test]
    fn names_lead_back() {
        assert!(Scenario::ALL.iter().all(|scenario| scenario.name().parse() == Ok(*scenario)));
        assert_eq!("nothing".parse::<Scenario>(), Err(UnknownScenario));
    }
}
