//! How the classes of traffic share a datagram: deficit round robin across datagrams.
//!
//! Knows: one byte credit per class. Does not know: items. A share of each single datagram would starve a class whose
//! items are larger than its share; credit that is kept from datagram to datagram does not.

use crate::config::Shares;
use crate::divide::quotient;

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
        // A datagram, and a share of one, in 32 bits.
        let room = room.min(u16::MAX.into()) as u32;
        let mut total = 0;
        for (share, _) in self.shares.iter().zip(&backlog).filter(|(_, waiting)| **waiting) {
            total += u32::from(*share);
        }
        for ((credit, share), waiting) in self.credit.iter_mut().zip(&self.shares).zip(&backlog) {
            *credit = if *waiting { (*credit + quotient(room * u32::from(*share), total)).min(2 * room) } else { 0 };
        }
    }

    /// The class with the most credit of those that are left, and of equals the first by rank; it is not left then.
    pub(crate) fn richest(&self, left: &mut [bool; 5]) -> Option<Class> {
        let (mut most, mut richest) = (0, None);
        for ((credit, class), left) in self.credit.iter().zip(&Class::ALL).zip(&mut *left) {
            if *left && *credit > most {
                (most, richest) = (*credit, Some(*class));
            }
        }
        left[richest? as usize] = false;
        richest
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
            let mut left = [true; 5];
            while let Some(class) = credits.richest(&mut left) {
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
