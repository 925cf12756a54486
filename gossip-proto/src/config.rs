//! What a user may choose, with the range of each choice and what goes wrong outside it.

use core::fmt;
use core::time::Duration;

use crate::hash::hash;
use crate::settings::Settings;
use crate::time::{SECOND, micros};

/// The parameters of a node. Start from [`Config::lan`] or [`Config::embedded`] and change single fields.
///
/// All nodes of a swarm share `swarm`; everything else may differ from node to node.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config {
    /// Which swarm this node belongs to. Datagrams of another swarm are refused and counted.
    pub swarm: SwarmKey,
    /// How often one member is probed: 10 ms to 1 h. Shorter finds crashes sooner, and costs 48 bytes per probe.
    /// Default 1 s (SWIM's and memberlist's LAN figure).
    pub probe_interval: Duration,
    /// How long a direct probe waits for its ack before relays are asked: at most `probe_interval`. Below the 99th
    /// percentile of the round trip it wakes relays for nothing. Default 500 ms.
    pub probe_timeout: Duration,
    /// How many relays are asked when a direct probe stays unanswered: 0 to 8. With 0, every lossy link looks dead.
    /// Default 3 (SWIM §4.1).
    pub indirect_probes: u8,
    /// Suspicion that others confirm lasts `suspicion_mult` × max(1, log10 of the live members) × `probe_interval`: 1 to
    /// 20. Lower means quicker deaths and more false ones. Default 2: half of memberlist's LAN figure, since four direct
    /// pings and three relayed ones come before a suspicion here, where memberlist sends one of each.
    pub suspicion_mult: u8,
    /// Suspicion that nobody confirms lasts so many times as long: 1 to 20. Default 6 (Lifeguard's β).
    pub suspicion_max_mult: u8,
    /// Which parts of Lifeguard are in use. Default: all; the switches are there to measure what each is worth.
    pub lifeguard: Lifeguard,
    /// How long a dead or left member is remembered: at least a minute. Forgetting sooner forgets that it is dead, and
    /// a partition longer than this needs a contact to heal; until then the dead count against the quorum of
    /// [`Node::quorum`](crate::Node::quorum), and deletes are kept for them. A node that has not run for so long knows
    /// not all the dead, and leaves it to others to say which deletes can go. Default 24 h.
    pub forget_after: Duration,
    /// The shortest wait between two rounds of gossip: 1 ms to 1 h. News leaves at once when the last round is older
    /// than this. Default 200 ms (memberlist's LAN figure).
    pub gossip_interval: Duration,
    /// The wait between rounds when nothing is unsettled: at least `gossip_interval`. Rounds then only guard against
    /// what the piggybacked roots cannot see. Default 30 s (memberlist's push-pull interval).
    pub gossip_interval_max: Duration,
    /// How many random members a round goes to: 1 to 16. Default 3.
    pub fanout: u8,
    /// A rumor is passed on `rumor_mult` × log10 of the live members times, at least: 1 to 20. Lower leaves more to
    /// repair, higher wastes bytes. Default 4 (memberlist's LAN figure).
    pub rumor_mult: u8,
    /// How entries are compared. Default [`Repair::Sketch`].
    pub repair: Repair,
    /// How news spreads. Default [`Spread::PushPull`].
    pub spread: Spread,
    /// The most bytes that leave per second, averaged over a second: at least 1,000. What exceeds it waits; a due probe
    /// may overdraw by one datagram. Default 1,250,000 (10 Mb/s).
    pub bytes_per_second: u32,
    /// The largest datagram that this node is asked to fill, in bytes: 128 to 65,507. It bounds what `put` accepts, since
    /// a version must fit in one datagram unless `value_len_max` says more. Default 1,400.
    pub datagram_len_max: u16,
    /// The longest value of a register, in bytes, where that is more than fits in a datagram: 0 to 1,048,576. Larger
    /// values are announced, and pulled in chunks by whoever lacks them; while one comes in, the old one stays, so there
    /// must be room for both. One that is longer is not taken from others either, and this node then never agrees with
    /// those who hold it. Without feature `large` it must be 0, and nothing announced is taken. Default 0: no more than
    /// fits in a datagram.
    pub value_len_max: u32,
    /// How each datagram's room is shared between kinds of traffic when all of them have something to say.
    pub shares: Shares,
    /// How far ahead of this node's own clock another's stamp may be: at least 1 s. What is further ahead is refused, so
    /// that a broken clock freezes no key. Default 30 s.
    pub clock_skew_max: Duration,
    /// How much older than the last known agreement with every member a tombstone must be to be collected: 2 s to 1 day,
    /// the same on all nodes. It covers what is under way and how far clocks are apart: below twice `clock_skew_max` what
    /// was deleted may return. Higher keeps deleted entries' slots for longer. Default 10 min (a guess with room).
    pub floor_margin: Duration,
    /// For how long tombstones are kept for members that are away, while most members agree: `floor_margin` to 1 year, the
    /// same on all nodes. Beyond it what was deleted may return with them. A member that is forgotten (`forget_after`) is
    /// not waited for either. Default 7 days; embedded 1 day.
    pub horizon: Duration,
    /// How values of [`Kind::App`](crate::Kind::App) join. A node without it refuses entries of these kinds, and never
    /// agrees with those that hold some: all nodes of a swarm have the same, or none. Default: none.
    pub merge: Option<Merge>,
    /// Parts that this node lacks, as if it were built without them. Default: none.
    #[cfg(feature = "sim")]
    pub without: Without,
}

/// What a node may be built without, each with its feature, and with what asks whether a node has it: a constant, but in
/// the simulator.
macro_rules! parts {
    ($($part:ident, $feature:literal, $has:ident: $what:literal;)*) => {
        /// Parts that a simulated node lacks: to see how nodes fare among others that were built with fewer features.
        #[cfg(feature = "sim")]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        pub struct Without {
            $(
                #[doc = concat!("Feature `", $feature, "`.")]
                pub $part: bool,
            )*
        }

        #[cfg(feature = "sim")]
        impl Without {
            /// Nothing: a whole node.
            pub const NONE: Self = Self { $($part: false,)* };
            /// All that a node may be built without.
            pub const ALL: Self = Self { $($part: true,)* };
        }

        parts!(@has Config { $($feature, $part, $has: $what;)* });
        parts!(@has Settings { $($feature, $part, $has: $what;)* });
    };
    (@has $choices:ident { $($feature:literal, $part:ident, $has:ident: $what:literal;)* }) => {
        impl $choices {
            $(
                #[doc = concat!("Whether this node ", $what, ".")]
                #[allow(dead_code, reason = "rooms without a configuration ask for the feature itself")]
                #[inline(always)]
                pub(crate) fn $has(&self) -> bool {
                    #[cfg(feature = "sim")]
                    return !self.without.$part;
                    #[cfg(not(feature = "sim"))]
                    return cfg!(feature = $feature);
                }
            )*
        }
    };
}

parts! {
    large, "large", has_large: "announces, pulls and serves values larger than a datagram";
    catchup, "catchup", has_catchup: "fetches and serves in lanes what a newcomer lacks";
    messages, "messages", has_messages: "publishes, keeps and passes on messages";
    kinds, "kinds", has_kinds: "holds entries whose values join";
    interest, "interest", has_interest: "may want less than all entries";
    relay, "relay", has_relay: "passes datagrams on, and reaches others through relays";
    sleep, "sleep", has_sleep: "announces when it sleeps";
    receipts, "receipts", has_receipts: "asks who holds its writes";
    siblings, "siblings", has_siblings: "holds entries of several values";
    skew, "skew", has_skew: "tells whose clock is wrong, and corrects its stamps";
    sample, "sample", has_sample: "keeps a sample of a swarm that is larger than its table";
}

/// How an application joins two values of [`Kind::App`](crate::Kind::App): a function of the kind's number, the two
/// values, and where to write the join; returns its length.
///
/// It must be associative, commutative and idempotent over all bytes whatsoever, since what comes from the network is
/// handed to it too; [`Merge::check`] tries three of them. The join may be as long as both values together, and as an
/// entry's value may be; a returned length beyond the room there is refuses the value that came in.
#[derive(Clone, Copy)]
pub struct Merge(pub fn(kind: u8, a: &[u8], b: &[u8], join: &mut [u8]) -> usize);

impl Merge {
    /// Whether three values join alike in any order and grouping, and none changes by joining what it holds already;
    /// `scratch` is as long as four joins. For tests of an application's own function.
    #[must_use]
    pub fn check(&self, kind: u8, values: [&[u8]; 3], scratch: &mut [u8]) -> bool {
        let Some((ab, rest)) = scratch.split_at_mut_checked(scratch.len() / 4) else { return false };
        let (abc, rest) = rest.split_at_mut(ab.len());
        let (one, two) = rest.split_at_mut(ab.len());
        let join = |a: &[u8], b: &[u8], to: &mut [u8]| Some((self.0)(kind, a, b, to)).filter(|len| *len <= to.len());
        let mut all = || {
            let [a, b, c] = values;
            let orders = [[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]];
            let ab_len = join(a, b, ab)?;
            let len = join(ab.get(..ab_len)?, c, abc)?;
            let abc = abc.get(..len)?;
            let mut same = true;
            for [a, b, c] in orders {
                let len = join(a, b, one)?;
                let end = join(one.get(..len)?, c, two)?;
                same &= two.get(..end)? == abc;
                let end = join(c, one.get(..len)?, two)?;
                same &= two.get(..end)? == abc;
                let end = join(abc, a, two)?;
                same &= two.get(..end)? == abc;
            }
            Some(same)
        };
        all() == Some(true)
    }
}

impl fmt::Debug for Merge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Merge(..)")
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Merge {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Merge(..)");
    }
}

/// The 128-bit name of a swarm, from which the keys of all hashes derive.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SwarmKey([u8; 16]);

impl SwarmKey {
    /// The key of the swarm with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        Self(hash(b"gossip swarm key", &[name.as_bytes()]).as_bytes())
    }

    /// The key with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for SwarmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SwarmKey({:032x})", u128::from_be_bytes(self.0))
    }
}

/// How news of entries spreads to random members. Membership news is always pushed: it is smaller than its digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Spread {
    /// Whole entries go out, whether the other has them or not: quickest, and each node receives each entry many times.
    Push,
    /// Nothing goes out but summaries; who sees a difference fetches it: least bytes, slowest.
    Pull,
    /// Small entries go out whole; of large ones the digest, and who lacks them asks.
    #[default]
    PushPull,
}

/// How two nodes find the entries that one of them lacks. Either way ends in the same state, and a node answers both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Repair {
    /// By digests of ever smaller parts: about 200 bytes for each difference among a million, and a message for each
    /// sixteenth. Needs no memory.
    Merkle,
    /// By a sketch that shows up to some thousand differences at once: about 25 bytes for each, however many entries there are.
    /// By digests where either side has no memory for a sketch, or there are too many differences.
    #[default]
    Sketch,
}

/// Relative shares of a datagram's room, in any unit; a class that has nothing to say lends its share.
///
/// A share of 0 means that the class only uses what the others leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Shares {
    /// Probes, acks, joins and farewells.
    pub probe: u8,
    /// Rumors that the application called urgent.
    pub urgent: u8,
    /// Rumors about members.
    pub membership: u8,
    /// Rumors about entries.
    pub state: u8,
    /// Summaries, and what a comparison of them showed to be missing.
    pub repair: u8,
}

impl Default for Shares {
    fn default() -> Self {
        Self { probe: 2, urgent: 4, membership: 3, state: 4, repair: 3 }
    }
}

/// The parts of Lifeguard (Dadgar, Phillips and Currey, 2017), and of what this crate adds to it, each with a switch to
/// measure what it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Lifeguard {
    /// A node whose own probes and timers go wrong probes more slowly and accuses later. Without it, one that was blocked
    /// for a while accuses everybody when it is back.
    pub health: bool,
    /// Suspicion starts long and gets shorter with every other member that confirms it. Without it, it is short at once.
    pub confirmations: bool,
    /// Relays that reach nobody say so, which tells a dead target from a deaf asker.
    pub nack: bool,
    /// Who is suspect hears of it first, by whoever pings it.
    pub buddy: bool,
    /// Not of Lifeguard: the pings of a probe are repeated before relays are asked, where SWIM sends one; and every other
    /// probe goes to the same member, the next in an order that is the same everywhere, where SWIM's are all random.
    pub retries: bool,
    /// Not of Lifeguard: who is called dead by others has time to refute, and is probed in place of believing them if it
    /// was heard just now; a suspect that answers has all its time again. In SWIM one accuser's death holds for all.
    pub refuting: bool,
}

impl Lifeguard {
    /// Plain SWIM.
    pub const NONE: Self =
        Self { health: false, confirmations: false, nack: false, buddy: false, retries: false, refuting: false };

    /// Lifeguard as its paper has it.
    pub const PAPER: Self =
        Self { health: true, confirmations: true, nack: true, buddy: true, retries: false, refuting: false };
}

impl Default for Lifeguard {
    fn default() -> Self {
        Self { retries: true, refuting: true, ..Self::PAPER }
    }
}

impl Config {
    /// The default: servers or robots on a local network.
    #[must_use]
    pub fn lan(swarm: &str) -> Self {
        Self {
            swarm: SwarmKey::from_name(swarm),
            probe_interval: Duration::from_secs(1),
            probe_timeout: Duration::from_millis(500),
            indirect_probes: 3,
            suspicion_mult: 2,
            suspicion_max_mult: 6,
            lifeguard: Lifeguard::default(),
            forget_after: Duration::from_secs(24 * 3600),
            gossip_interval: Duration::from_millis(200),
            gossip_interval_max: Duration::from_secs(30),
            fanout: 3,
            rumor_mult: 4,
            repair: Repair::Sketch,
            spread: Spread::PushPull,
            bytes_per_second: 1_250_000,
            datagram_len_max: 1400,
            value_len_max: 0,
            shares: Shares::default(),
            clock_skew_max: Duration::from_secs(30),
            floor_margin: Duration::from_secs(600),
            horizon: Duration::from_secs(7 * 24 * 3600),
            merge: None,
            #[cfg(feature = "sim")]
            without: Without::default(),
        }
    }

    /// Microcontrollers: 10 kB per second at most, and datagrams that leave an Ethernet frame's buffers small.
    #[must_use]
    pub fn embedded(swarm: &str) -> Self {
        let horizon = Duration::from_secs(24 * 3600);
        Self { bytes_per_second: 10_000, datagram_len_max: 512, horizon, ..Self::lan(swarm) }
    }

    /// Checks every field against its range.
    ///
    /// # Errors
    /// The first field that is out of its range, with the range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let values: [u64; RANGES.len()] = [
            micros(self.probe_interval),
            micros(self.probe_timeout),
            self.indirect_probes.into(),
            self.suspicion_mult.into(),
            self.suspicion_max_mult.into(),
            micros(self.forget_after),
            micros(self.gossip_interval),
            micros(self.gossip_interval_max),
            self.fanout.into(),
            self.rumor_mult.into(),
            self.bytes_per_second.into(),
            self.datagram_len_max.into(),
            self.value_len_max.into(),
            micros(self.clock_skew_max),
            micros(self.floor_margin),
            micros(self.horizon),
        ];
        for (&Range { field, least, most, time, above, below }, &value) in RANGES.iter().zip(&values) {
            let other = |place: u8| values.get(usize::from(place)).copied();
            let min = u64::from(least).max(other(above).unwrap_or(0));
            let max = u64::from(most) * if time { u64::from(SECOND) } else { 1 };
            let max = max.min(other(below).unwrap_or(u64::MAX));
            if value < min || value > max {
                return Err(ConfigError::Field { field, value, min, max });
            }
        }
        // A simulated node may lack what it was built with.
        let (value, max) = (self.value_len_max.into(), 0);
        let lacks = value > max && !self.has_large();
        if lacks { Err(ConfigError::Field { field: "value_len_max", value, min: 0, max }) } else { Ok(()) }
    }
}

/// What a field may be: from `least` up to `most`, which is in seconds where it is a time in µs, and no less or more than
/// the field at another place of the list, if there is one.
struct Range {
    field: &'static str,
    least: u32,
    most: u32,
    time: bool,
    above: u8,
    below: u8,
}

impl Range {
    /// A number.
    const fn of(field: &'static str, least: u32, most: u32) -> Self {
        Self { field, least, most, time: false, above: u8::MAX, below: u8::MAX }
    }

    /// A time in µs of at most so many hours.
    const fn time(field: &'static str, least: u32, hours: u32) -> Self {
        Self { time: true, ..Self::of(field, least, hours * 3_600) }
    }
}

/// The ranges of all fields, in the order of the fields.
const RANGES: [Range; 16] = [
    Range::time("probe_interval (µs)", 10_000, 1),
    Range { below: 0, ..Range::time("probe_timeout (µs)", 1_000, 1) },
    Range::of("indirect_probes", 0, 8),
    Range::of("suspicion_mult", 1, 20),
    Range::of("suspicion_max_mult", 1, 20),
    Range::time("forget_after (µs)", 60 * SECOND, 365 * 24),
    Range::time("gossip_interval (µs)", 1_000, 1),
    Range { above: 6, ..Range::time("gossip_interval_max (µs)", 1_000, 24) },
    Range::of("fanout", 1, 16),
    Range::of("rumor_mult", 1, 20),
    Range::of("bytes_per_second", 1_000, u32::MAX),
    Range::of("datagram_len_max", 128, 65_507),
    Range::of("value_len_max", 0, if cfg!(feature = "large") { 1 << 20 } else { 0 }),
    Range::time("clock_skew_max (µs)", SECOND, 365 * 24),
    Range::time("floor_margin (µs)", 2 * SECOND, 24),
    Range { above: 14, ..Range::time("horizon (µs)", 2 * SECOND, 365 * 24) },
];

/// Why a node could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ConfigError {
    /// A field of [`Config`] is out of its range.
    Field {
        /// The field's name and unit.
        field: &'static str,
        /// What it was.
        value: u64,
        /// The least that it may be.
        min: u64,
        /// The most that it may be.
        max: u64,
    },
    /// A table has a size that it cannot have.
    Capacity {
        /// Which table.
        table: &'static str,
        /// How many slots or bytes it was given.
        given: usize,
        /// The least that it needs.
        min: usize,
        /// The most that it can use.
        max: usize,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field { field, value, min, max } => write!(f, "{field} is {value}; it must be {min} to {max}"),
            Self::Capacity { table, given, min, max } => {
                write!(f, "room for {given} {table}; it must be {min} to {max}")
            }
        }
    }
}

impl core::error::Error for ConfigError {}
