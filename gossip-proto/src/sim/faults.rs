//! What may happen to a datagram between two nodes.
//!
//! Knows: losses, delays, damage, budgets and cuts of directed links. Does not know: nodes, or what a datagram says.

use core::time::Duration;

use std::collections::BTreeMap;
use std::vec::Vec;

use super::dice::Dice;
use crate::time::micros;

/// How long a datagram travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// Always this long.
    Fixed(Duration),
    /// Evenly from the first to the second.
    Uniform(Duration, Duration),
    /// At least `min`, and then exponentially distributed with the mean `mean`: queues on the way.
    Exponential {
        /// The least.
        min: Duration,
        /// The mean of what is added to it.
        mean: Duration,
    },
    /// Pareto with α = 2, cut off at `max`: the median is 1.4 × `min`, one in a hundred takes 10 × `min`, one in ten
    /// thousand 100 × `min`.
    LongTail {
        /// The least.
        min: Duration,
        /// The most.
        max: Duration,
    },
}

impl Default for Latency {
    /// 1 to 10 ms, evenly.
    fn default() -> Self {
        Self::Uniform(Duration::from_millis(1), Duration::from_millis(10))
    }
}

impl Latency {
    pub(crate) fn draw(self, dice: &mut Dice) -> u64 {
        match self {
            Self::Fixed(delay) => micros(delay),
            Self::Uniform(min, max) => dice.between(micros(min), micros(max)),
            Self::Exponential { min, mean } => micros(min).saturating_add(exponential(micros(mean), dice.bits())),
            Self::LongTail { min, max } => {
                let root = u64::from(dice.bits().isqrt().max(1));
                ((micros(min) << 16) / root).min(micros(max))
            }
        }
    }
}

/// What happens to the datagrams of a link, each independently. Probabilities are in parts per million.
///
/// The default loses nothing, damages nothing, and takes 1 to 10 ms: so datagrams overtake each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// How many vanish.
    pub loss_ppm: u32,
    /// How many arrive twice, the second time after a latency of its own.
    pub duplicate_ppm: u32,
    /// How many are held back for up to [`Faults::reorder_by`] more, so that later ones overtake them.
    pub reorder_ppm: u32,
    /// The most that a datagram is held back.
    pub reorder_by: Duration,
    /// How many arrive with one byte changed.
    pub corrupt_ppm: u32,
    /// How many arrive cut short.
    pub truncate_ppm: u32,
    /// How many arrive again, as they were, up to [`Faults::replay_after`] later.
    pub replay_ppm: u32,
    /// The longest time after which a datagram is replayed.
    pub replay_after: Duration,
    /// How long a datagram travels.
    pub latency: Latency,
    /// Longer datagrams vanish, as with a path whose MTU nobody told the sender. `None`: all fit.
    pub len_max: Option<u16>,
    /// How many bytes the link carries per second. What is sent faster queues, and adds to the latency. `None`: any.
    pub bytes_per_second: Option<u32>,
    /// How many bytes may queue for a link with a budget; what finds the queue full vanishes.
    pub queue_len_max: u32,
}

impl Faults {
    /// Loss alone.
    #[must_use]
    pub fn loss(ppm: u32) -> Self {
        Self { loss_ppm: ppm, ..Self::default() }
    }

    /// A bit of everything: what a protocol must survive without a wrong answer.
    #[must_use]
    pub fn rough() -> Self {
        Self {
            loss_ppm: 50_000,
            duplicate_ppm: 20_000,
            reorder_ppm: 50_000,
            reorder_by: Duration::from_millis(500),
            corrupt_ppm: 10_000,
            truncate_ppm: 5_000,
            replay_ppm: 5_000,
            replay_after: Duration::from_secs(60),
            ..Self::default()
        }
    }
}

/// A cut between nodes, to be handed to [`Network::heal`](super::Network::heal).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutId(u32);

/// All links: the faults of each, the cuts, and how far each byte budget is used.
#[derive(Debug, Default)]
pub(crate) struct Links {
    common: Faults,
    /// Own faults of a directed link, of all that leaves a node (`(from, ALL)`), of all that comes to one (`(ALL, to)`).
    own: BTreeMap<Lane, Faults>,
    cuts: Vec<Cut>,
    cuts_made: u32,
    /// Until when a budget is used.
    busy_until: BTreeMap<Lane, u64>,
}

/// A directed link.
pub(crate) type Lane = (u32, u32);

/// Stands for every node in a [`Lane`].
pub(crate) const ALL: u32 = u32::MAX;

#[derive(Debug)]
struct Cut {
    id: CutId,
    from: Vec<bool>,
    to: Vec<bool>,
    /// Since when, for how long it cuts, and for how long it then lets pass.
    flap: Option<(u64, u64, u64)>,
}

impl Links {
    pub(crate) fn set_common(&mut self, faults: Faults) {
        self.common = faults;
    }

    pub(crate) fn common(&self) -> &Faults {
        &self.common
    }

    pub(crate) fn set_own(&mut self, lane: Lane, faults: Option<Faults>) {
        self.busy_until.remove(&lane);
        match faults {
            Some(faults) => self.own.insert(lane, faults),
            None => self.own.remove(&lane),
        };
    }

    /// The faults of a link, and the lane whose budget it uses: its own, else its sender's, else its receiver's, else
    /// the common ones, whose budget each link has to itself.
    pub(crate) fn between(&self, from: u32, to: u32) -> (&Faults, Lane) {
        if !self.own.is_empty() {
            for lane in [(from, to), (from, ALL), (ALL, to)] {
                if let Some(faults) = self.own.get(&lane) {
                    return (faults, lane);
                }
            }
        }
        (&self.common, (from, to))
    }

    /// The time that a datagram waits for a lane's budget; `None` when the queue is full.
    pub(crate) fn queue_up(
        &mut self,
        lane: Lane,
        now: u64,
        len: usize,
        per_second: u32,
        queue_max: u32,
    ) -> Option<u64> {
        let busy_until = self.busy_until.entry(lane).or_insert(0);
        let per_second = u64::from(per_second.max(1));
        let wait = busy_until.saturating_sub(now);
        if wait.saturating_mul(per_second) / 1_000_000 > u64::from(queue_max) {
            return None;
        }
        *busy_until = now + wait + (len as u64 * 1_000_000).div_ceil(per_second);
        Some(*busy_until - now)
    }

    pub(crate) fn cut(&mut self, from: Vec<bool>, to: Vec<bool>, flap: Option<(u64, u64, u64)>) -> CutId {
        self.cuts_made += 1;
        let id = CutId(self.cuts_made);
        self.cuts.push(Cut { id, from, to, flap });
        id
    }

    /// Adds the other direction of a cut under the same name.
    pub(crate) fn cut_back(&mut self, id: CutId) {
        if let Some(cut) = self.cuts.iter().find(|cut| cut.id == id) {
            let back = Cut { id, from: cut.to.clone(), to: cut.from.clone(), flap: cut.flap };
            self.cuts.push(back);
        }
    }

    pub(crate) fn heal(&mut self, id: CutId) {
        self.cuts.retain(|cut| cut.id != id);
    }

    pub(crate) fn heal_all(&mut self) {
        self.cuts.clear();
    }

    pub(crate) fn is_cut(&self, from: u32, to: u32, now: u64) -> bool {
        let holds = |side: &[bool], node: u32| side.get(node as usize).copied().unwrap_or(false);
        self.cuts.iter().any(|cut| {
            let active = cut.flap.is_none_or(|(since, cuts, passes)| {
                now.saturating_sub(since) % cuts.saturating_add(passes).max(1) < cuts
            });
            active && holds(&cut.from, from) && holds(&cut.to, to)
        })
    }
}

/// −ln(U) × mean for U = (draw + 1) / 2^32, in integers: the logarithm to base 2 by repeated squaring.
fn exponential(mean: u64, draw: u32) -> u64 {
    let u = u64::from(draw) + 1;
    let whole = 63 - u64::from(u.leading_zeros());
    // u as 1.31 fixed point, between 1 and 2.
    let mut x = (u << 31) >> whole;
    let mut fraction = 0;
    for _ in 0..FRACTION_BITS {
        x = (x * x) >> 31;
        fraction <<= 1;
        if x >= 2 << 31 {
            x >>= 1;
            fraction |= 1;
        }
    }
    let log2 = (32 << FRACTION_BITS) - ((whole << FRACTION_BITS) | fraction);
    let scaled = u128::from(mean) * u128::from(log2) * u128::from(LN2_16);
    u64::try_from(scaled >> (16 + FRACTION_BITS)).unwrap_or(u64::MAX)
}

const FRACTION_BITS: u32 = 12;
/// ln 2 × 2^16.
const LN2_16: u32 = 45_426;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1000;

    fn draws(latency: Latency) -> Vec<u64> {
        let mut dice = Dice::new(1, 2);
        let mut draws: Vec<_> = (0..10_000).map(|_| latency.draw(&mut dice)).collect();
        draws.sort_unstable();
        draws
    }

    #[test]
    fn latencies_have_the_shape_that_they_promise() {
        let ms = Duration::from_millis;
        let uniform = draws(Latency::default());
        assert!(uniform[0] >= MS && uniform[9_999] <= 10 * MS && (5_000..6_000).contains(&uniform[5_000]));
        let exponential = draws(Latency::Exponential { min: ms(5), mean: ms(10) });
        assert!(exponential[0] >= 5 * MS);
        let mean = exponential.iter().sum::<u64>() / 10_000;
        assert!((14_700..15_300).contains(&mean), "{mean}");
        assert!((11_600..12_300).contains(&exponential[5_000]), "median {}", exponential[5_000]);
        let tail = draws(Latency::LongTail { min: ms(1), max: ms(50) });
        assert!(
            (1_390..1_440).contains(&tail[5_000]) && (9 * MS..11 * MS).contains(&tail[9_900]) && tail[9_999] <= 50 * MS
        );
    }

    #[test]
    fn a_budget_queues_and_then_drops() {
        let mut links = Links::default();
        let lane = (0, 1);
        assert_eq!(links.queue_up(lane, 0, 100, 1_000, 150), Some(100 * MS));
        assert_eq!(links.queue_up(lane, 0, 100, 1_000, 150), Some(200 * MS));
        assert_eq!(links.queue_up(lane, 0, 100, 1_000, 150), None);
        assert_eq!(links.queue_up(lane, 100 * MS, 100, 1_000, 150), Some(200 * MS));
    }

    #[test]
    fn own_faults_come_before_common_ones() {
        let mut links = Links::default();
        links.set_own((ALL, 2), Some(Faults::loss(3)));
        links.set_own((1, ALL), Some(Faults::loss(2)));
        links.set_own((1, 2), Some(Faults::loss(1)));
        let loss = |from, to| links.between(from, to).0.loss_ppm;
        assert_eq!([loss(1, 2), loss(1, 3), loss(3, 2), loss(3, 4)], [1, 2, 3, 0]);
    }

    #[test]
    fn a_flapping_cut_lets_pass_by_turns() {
        let mut links = Links::default();
        let id = links.cut(Vec::from([true, false]), Vec::from([false, true]), Some((100, 10, 20)));
        assert_eq!([105, 115, 129, 130].map(|now| links.is_cut(0, 1, now)), [true, false, false, true]);
        assert!(!links.is_cut(1, 0, 105));
        links.cut_back(id);
        assert!(links.is_cut(1, 0, 105));
        links.heal(id);
        assert!(!links.is_cut(0, 1, 105) && !links.is_cut(1, 0, 105));
    }
}
