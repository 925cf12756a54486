//! What a node keeps of its configuration: the same choices, checked, in a third of the room.
//!
//! Knows: times as numbers of 32 bits, in microseconds or in seconds. Does not know: ranges, and what a room keeps itself.

use core::time::Duration;

use crate::config::{Config, Lifeguard, Merge, Repair, Shares, Spread, SwarmKey};
use crate::time::{SECOND, micros, seconds};

/// The choices that were made. What is not here, a room has.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    probe_interval: u32,
    probe_timeout: u32,
    gossip_interval: u32,
    /// In seconds, rounded up; the next two rounded down.
    forget_after: u32,
    pub(crate) horizon: u32,
    floor_margin: u32,
    bytes_per_second: u32,
    value_len_max: u32,
    merge: Option<Merge>,
    datagram_len_max: u16,
    pub(crate) indirect_probes: u8,
    pub(crate) suspicion_mult: u8,
    pub(crate) suspicion_max_mult: u8,
    pub(crate) fanout: u8,
    pub(crate) rumor_mult: u8,
    pub(crate) lifeguard: Lifeguard,
    pub(crate) repair: Repair,
    pub(crate) spread: Spread,
    shares: Shares,
    #[cfg(feature = "sim")]
    pub(crate) without: crate::config::Without,
}

impl Settings {
    /// Of a configuration that is valid: all times fit.
    #[inline(never)]
    pub(crate) fn new(config: &Config) -> Self {
        let short = |time: Duration| micros(time) as u32;
        Self {
            probe_interval: short(config.probe_interval),
            probe_timeout: short(config.probe_timeout),
            gossip_interval: short(config.gossip_interval),
            forget_after: seconds(config.forget_after) as u32,
            horizon: config.horizon.as_secs() as u32,
            floor_margin: config.floor_margin.as_secs() as u32,
            bytes_per_second: config.bytes_per_second,
            value_len_max: config.value_len_max,
            merge: config.merge,
            datagram_len_max: config.datagram_len_max,
            indirect_probes: config.indirect_probes,
            suspicion_mult: config.suspicion_mult,
            suspicion_max_mult: config.suspicion_max_mult,
            fanout: config.fanout,
            rumor_mult: config.rumor_mult,
            lifeguard: config.lifeguard,
            repair: config.repair,
            spread: config.spread,
            shares: config.shares,
            #[cfg(feature = "sim")]
            without: config.without,
        }
    }

    /// In µs, as the other times.
    #[inline(always)]
    pub(crate) fn probe_interval(&self) -> u64 {
        self.probe_interval.into()
    }

    #[inline(always)]
    pub(crate) fn probe_timeout(&self) -> u64 {
        self.probe_timeout.into()
    }

    #[inline(always)]
    pub(crate) fn gossip_interval(&self) -> u64 {
        self.gossip_interval.into()
    }

    pub(crate) fn forget_after(&self) -> u64 {
        u64::from(self.forget_after) * u64::from(SECOND)
    }

    /// The configuration that this was made of; what rooms keep of it is handed in, times in µs.
    #[inline]
    pub(crate) fn config(&self, swarm: SwarmKey, gossip_interval_max: u64, clock_skew_max: u64) -> Config {
        Config {
            swarm,
            probe_interval: Duration::from_micros(self.probe_interval()),
            probe_timeout: Duration::from_micros(self.probe_timeout()),
            indirect_probes: self.indirect_probes,
            suspicion_mult: self.suspicion_mult,
            suspicion_max_mult: self.suspicion_max_mult,
            lifeguard: self.lifeguard,
            forget_after: Duration::from_secs(self.forget_after.into()),
            gossip_interval: Duration::from_micros(self.gossip_interval()),
            gossip_interval_max: Duration::from_micros(gossip_interval_max),
            fanout: self.fanout,
            rumor_mult: self.rumor_mult,
            repair: self.repair,
            spread: self.spread,
            bytes_per_second: self.bytes_per_second,
            datagram_len_max: self.datagram_len_max,
            value_len_max: self.value_len_max,
            shares: self.shares,
            clock_skew_max: Duration::from_micros(clock_skew_max),
            floor_margin: Duration::from_secs(self.floor_margin.into()),
            horizon: Duration::from_secs(self.horizon.into()),
            merge: self.merge,
            #[cfg(feature = "sim")]
            without: self.without,
        }
    }
}
