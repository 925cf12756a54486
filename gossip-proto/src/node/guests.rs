//! Who is answered without having a slot in the table: in a sample most who ask have none.
//!
//! Knows: where and who they are. Does not know: what they are owed.
//! Full: whoever is owed nothing any more gives way; if all are owed something the next one is not answered, and asks
//! somebody else.

use crate::addr::{Addr, NodeId};

/// The guests. Rows and exchanges name them by numbers behind those of the table's slots.
#[derive(Debug, Default)]
pub(super) struct Guests {
    held: [Option<(Addr, NodeId)>; GUESTS_MAX],
}

impl Guests {
    /// The place of somebody who is a guest already.
    pub(super) fn find(&self, addr: Addr, id: NodeId) -> Option<usize> {
        self.held.iter().position(|held| *held == Some((addr, id)))
    }

    /// A place for somebody new: the first that is not `busy`.
    pub(super) fn seat(&mut self, addr: Addr, id: NodeId, busy: impl Fn(usize) -> bool) -> Option<usize> {
        let (place, held) = self.held.iter_mut().enumerate().find(|(place, _)| !busy(*place))?;
        *held = Some((addr, id));
        Some(place)
    }

    pub(super) fn get(&self, place: usize) -> Option<(Addr, NodeId)> {
        self.held.get(place).copied().flatten()
    }
}

/// How many there are: 32 bytes each. An adapter sends after every datagram that it takes in, so one is enough while the byte
/// budget lasts.
const GUESTS_MAX: usize = 2;
