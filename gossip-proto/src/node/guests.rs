//! Who is spoken to without being where a slot of the table says: in a sample most have none, and contacts have no name yet.
//!
//! Knows: where and who they are. Does not know: what they are owed.
//! Full: whoever is owed nothing any more gives way; if all are owed something the next one is not answered, and asks
//! somebody else.

use crate::addr::{Addr, NodeId};
use crate::slab::SCARCE;

/// The guests. Rows, errands and exchanges name them by numbers behind those of the table's slots.
#[derive(Debug, Default)]
pub(super) struct Guests {
    held: [(Addr, NodeId); GUESTS_MAX],
    /// Of whom the id is known: a bit for each.
    named: u8,
}

impl Guests {
    /// The place of somebody who is a guest already.
    pub(super) fn find(&self, addr: &Addr, id: Option<NodeId>) -> Option<usize> {
        let held = |(place, held): (usize, &(Addr, NodeId))| held.0 == *addr && self.id(place, held.1) == id;
        self.held.iter().enumerate().position(held).filter(|_| !addr.is_none())
    }

    /// A place for somebody new: the first that is not `busy`.
    pub(super) fn seat(&mut self, addr: &Addr, id: Option<NodeId>, busy: impl Fn(usize) -> bool) -> Option<usize> {
        let (place, held) = self.held.iter_mut().enumerate().find(|(place, _)| !busy(*place))?;
        *held = (*addr, id.unwrap_or_default());
        self.named = self.named & !(1 << place) | u8::from(id.is_some()) << place;
        Some(place)
    }

    pub(super) fn get(&self, place: usize) -> Option<(Addr, Option<NodeId>)> {
        let (addr, id) = self.held.get(place).filter(|(addr, _)| !addr.is_none())?;
        Some((*addr, self.id(place, *id)))
    }

    fn id(&self, place: usize, id: NodeId) -> Option<NodeId> {
        (self.named >> place & 1 == 1).then_some(id)
    }
}

/// How many there are: 32 bytes each. An adapter sends after every datagram that it takes in, so there are as many as one
/// datagram of another sample may show, its sender and a contact, while the byte budget lasts.
const GUESTS_MAX: usize = if SCARCE { 4 } else { 6 };
