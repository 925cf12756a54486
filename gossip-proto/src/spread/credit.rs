//! How the classes of traffic share a datagram: deficit round robin across datagrams.
//!
//! Knows: one byte credit per class. Does not know: items. A share of each single datagram would starve a class whose
//! items are larger than its share; credit that is kept from datagram to datagram does not.

use crate::config::Shares;

/// A class of traffic; the order is the rank in which they borrow what nobody is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Probe,
    Urgent,
    Membership,
    State,
    Repair,
}

impl Class {
    pub(crate) const ALL: [Self; 5] = [Self::Probe, Self::Urgent, Self::Membership, Self::State, Self::Repair];
}

/// The credit of each class, in bytes.
#[derive(Debug)]
pub(crate) struct Credits {
    shares: [u8; 5],
    credit: [u32; 5],
}

impl Credits {
    pub(crate) fn new(shares: &Shares) -> Self {
        let Shares { probe, urgent, membership, state, repair } = *shares;
        Self { shares: [probe, urgent, membership, state, repair], credit: [0; 5] }
    }

    /// Begins a datagram: every class with something to say earns its share of the room, up to two rooms; one that has
    /// nothing to say keeps nothing.
    pub(crate) fn earn(&mut self, backlog: [bool; 5], room: usize) {
        let room = u32::try_from(room).unwrap_or(u32::MAX / 2);
        let waiting = |class: usize| backlog.get(class).copied().unwrap_or(false);
        let total: u32 =
            self.shares.iter().enumerate().filter(|(class, _)| waiting(*class)).map(|(_, s)| u32::from(*s)).sum();
        for (class, (credit, share)) in self.credit.iter_mut().zip(self.shares).enumerate() {
            let earned = u64::from(room) * u64::from(share) / u64::from(total.max(1));
            *credit = if waiting(class) { (u64::from(*credit) + earned).min(2 * u64::from(room)) as u32 } else { 0 };
        }
    }

    /// The classes by falling credit; equals by rank.
    pub(crate) fn order(&self) -> [Class; 5] {
        let mut order = Class::ALL;
        // Rank breaks ties: the sort is not stable, since a stable one needs a heap.
        order.sort_unstable_by_key(|class| (core::cmp::Reverse(self.of(*class)), *class as u8));
        order
    }

    pub(crate) fn of(&self, class: Class) -> usize {
        self.credit.get(class as usize).map_or(0, |credit| *credit as usize)
    }

    pub(crate) fn spend(&mut self, class: Class, bytes: usize) {
        if let Some(credit) = self.credit.get_mut(class as usize) {
            *credit = credit.saturating_sub(bytes as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every class always has items of its own size; over many datagrams each gets what was reserved for it.
    #[test]
    fn shares_come_out_as_reserved_whatever_the_size_of_items() {
        let shares = Shares { probe: 1, urgent: 2, membership: 3, state: 5, repair: 5 };
        let sizes = [24, 90, 20, 700, 400];
        let (mut credits, mut sent) = (Credits::new(&shares), [0; 5]);
        for _ in 0..10_000 {
            let mut room = 1000;
            credits.earn([true; 5], room);
            for class in credits.order() {
                let size = sizes[class as usize];
                while size <= credits.of(class) && size <= room {
                    credits.spend(class, size);
                    sent[class as usize] += size;
                    room -= size;
                }
            }
        }
        let total: usize = sent.iter().sum();
        for (class, share) in [1, 2, 3, 5, 5].into_iter().enumerate() {
            let ratio = sent[class] * 16 * 100 / (total * share);
            assert!((90..=110).contains(&ratio), "class {class} got {ratio} % of what was reserved: {sent:?}");
        }
    }
}
