//! Membership: who is there.
//!
//! Knows: the members, what was reported of them, whom to probe next, and whom to ask for admission. Does not know: how
//! anything is encoded or sent, nor what is shared.
//! When full: see [`table`].

mod foreign;
mod health;
mod join;
mod paths;
mod probe;
mod quorum;
mod rules;
mod slot;
mod table;
mod tags;

use core::time::Duration;

pub(crate) use foreign::Foreign;
pub(crate) use health::Health;
pub(crate) use join::{CONTACTS_MAX, Contacts};
pub(crate) use paths::{POSSIBLE as PATHS_POSSIBLE, Paths, Turn};
pub(crate) use probe::{PINGS_MAX, Prober, Relay, Retry, rtt_units};
pub(crate) use rules::{CONFIRMATIONS_MAX, Report, Verdict, accept_alive, accept_report, newer, plausible};
pub(crate) use slot::MemberSlot;
pub(crate) use table::{Members, OWN};
pub(crate) use tags::{append_scope, encode_tags, scope_len, split_scope, tags};

pub use quorum::Quorum;
pub use slot::MemberState;

use crate::addr::{Addr, NodeId};
use crate::divide::{divide, quotient, width};
use crate::time::{Instant, Tick};

/// A member of the swarm, as this node knows it. The node itself is one.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Who.
    pub id: NodeId,
    /// Where datagrams for it go.
    pub addr: Addr,
    /// Its state.
    pub state: MemberState,
    /// How often it has refuted or restarted.
    pub incarnation: u32,
    /// When a datagram of its own last arrived, within 65 ms; `None` before the first.
    pub heard: Option<Instant>,
    /// The last round trip of a probe, in steps of 100 µs; `None` before the first.
    pub rtt: Option<Duration>,
    /// The summary root that it last told; `None` before it was heard.
    pub root: Option<u32>,
    /// When it last told the summary root that this node had then, within 65 ms; `None` if it never did. While it does not
    /// agree this is how far it lags.
    pub agreed: Option<Instant>,
    /// The relay through which datagrams for it go, while it cannot be reached directly.
    pub via: Option<NodeId>,
    /// Until when it sleeps, and is neither probed nor suspected.
    pub asleep: Option<Instant>,
    tags: &'a [u8],
}

impl<'a> Member<'a> {
    pub(crate) fn new(slot: &MemberSlot, now: Instant, via: Option<NodeId>, tags: &'a [u8]) -> Self {
        let heard = slot.heard != Tick::default();
        Self {
            id: slot.id,
            addr: slot.addr,
            state: slot.state,
            incarnation: slot.incarnation,
            heard: heard.then(|| slot.heard.instant()),
            rtt: (slot.rtt > 0).then(|| Duration::from_micros(u64::from(slot.rtt) * 100)),
            root: heard.then_some(slot.root),
            agreed: (slot.agreed != Tick::default()).then(|| slot.agreed.instant()),
            via,
            asleep: slot.sleeps(now).then(|| slot.asleep.instant()),
            tags,
        }
    }

    /// Its tags, name and value, in the order in which it set them.
    pub fn tags(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        tags(self.tags)
    }

    /// The value of one of its tags.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&'a str> {
        self.tags().find(|(tag, _)| *tag == name).map(|(_, value)| value)
    }
}

/// 1000 × log10 of `n`, within 1 %: log2 by linear interpolation between powers of two, in 1/256.
pub(crate) fn log10_milli(n: usize) -> u32 {
    let n = n.max(1) as u32;
    let whole = width(n) - 1;
    let part = if whole < 8 { n << (8 - whole) } else { n >> (whole - 8) } - 256;
    (whole * 256 + part) * 301 / 256
}

/// How many times news is passed on in a swarm of `live` members, for a multiplier (memberlist: × ⌈log10(n + 1)⌉).
pub(crate) fn transmissions(mult: u8, live: usize) -> u8 {
    let rounds = quotient(log10_milli(live + 1) + 999, 1000).max(1);
    (u32::from(mult) * rounds).min(255) as u8
}

/// How long suspicion lasts, in µs, in a swarm of `live` members that so many others confirmed: from `max` times as long
/// down to mult × max(1, log10 n) × interval (Lifeguard's suspicion, whose steps go by the logarithm of the confirmations). With
/// an hour, the longest interval, and the greatest multipliers it takes 48 of 64 bits.
pub(crate) fn suspicion(mult: u8, max: u8, confirmed: u8, live: usize, interval: u64) -> u64 {
    let scaled = divide(interval * u64::from(mult), 1000);
    let shortest = scaled * u64::from(log10_milli(live).max(1000));
    // log(c + 1) / log(k + 1) in 1/1000, for c confirmations of k that are wanted; few members can give but few.
    let wanted = usize::from(CONFIRMATIONS_MAX).min(live.saturating_sub(3));
    let step: [[u16; 4]; 4] =
        [[1000, 1000, 1000, 1000], [0, 1000, 1000, 1000], [0, 631, 1000, 1000], [0, 500, 792, 1000]];
    let done = step.get(wanted).and_then(|row| row.get(usize::from(confirmed))).copied().unwrap_or(1000);
    let extra = divide(shortest * u64::from(max.saturating_sub(1)), 1000);
    shortest + extra * u64::from(1000 - done)
}
