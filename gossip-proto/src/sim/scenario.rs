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
use super::scenarios::{membership, state};
use super::trace::TraceFilter;
use crate::config::{Config, Spread};

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
    /// A settled swarm; one node crashes.
    Crash,
    /// A settled swarm is split in random halves for 60 s.
    Split,
    /// A settled swarm; one node writes one entry.
    Spread,
    /// 20 nodes write 200 rounds each, keys of their own and keys that all write.
    Writers,
    /// A long run on lossy links: who is declared dead wrongly?
    Loss,
}

impl Scenario {
    /// All scenarios.
    pub const ALL: [Self; 8] = [
        Self::ColdStart,
        Self::Newcomer,
        Self::Idle,
        Self::Crash,
        Self::Split,
        Self::Spread,
        Self::Writers,
        Self::Loss,
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
    /// How long the window is, or how long to wait at most for what the scenario waits for. `None`: 60 s for `idle`,
    /// 600 s for the others.
    pub seconds: Option<u64>,
    /// The configuration of every node. Default: [`Config::lan`].
    pub config: Config,
    /// The buffer that `poll_transmit` is handed, in bytes. Default: the configuration's `datagram_len_max`.
    pub mtu: Option<u16>,
    /// How many members a node's table holds. Default: all of them.
    pub members: Option<usize>,
    /// How many entries a node holds. Default 64.
    pub entries: usize,
    /// How many bytes of keys, values and tags a node holds. Default 65,536.
    pub bytes: usize,
    /// The length of the value in `spread`, in bytes. Default 100.
    pub value_len: usize,
    /// Everything else that happens on links; its loss is replaced by [`Spec::loss_ppm`]. Default: 1 to 10 ms, and
    /// nothing worse.
    pub faults: Faults,
    /// Which lines of the packet trace are handed to `progress`.
    pub trace: Option<TraceFilter>,
    /// Whether the checks run after every step. Default: yes.
    pub checks: bool,
}

impl Spec {
    /// This scenario with 64 nodes, no loss and seed 1.
    #[must_use]
    pub fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            nodes: 64,
            loss_ppm: 0,
            seed: 1,
            seconds: None,
            config: Config::lan(SWARM),
            mtu: None,
            members: None,
            entries: 64,
            bytes: 65_536,
            value_len: 100,
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
        let durations = [
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
    fn names_lead_back() {
        assert!(Scenario::ALL.iter().all(|scenario| scenario.name().parse() == Ok(*scenario)));
        assert_eq!("nothing".parse::<Scenario>(), Err(UnknownScenario));
    }
}
