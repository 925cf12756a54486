//! Whom to ask for admission, and when to ask again.
//!
//! Knows: the contacts, and how long the last wait was. Does not know: members.
//! When full: a further contact is refused, with the limit named.

use crate::addr::{Addr, NodeId};
use crate::divide::remainder;
use crate::error::JoinError;

/// The contacts of a node, kept for life.
#[derive(Debug, Default)]
pub(crate) struct Contacts {
    held: heapless::Vec<(Addr, NodeId), CONTACTS_MAX>,
    /// Of whom the id is known: a bit for each.
    named: u8,
    tries: u8,
    next: u8,
}

/// An address to ask, and who answered there last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contact {
    pub(crate) addr: Addr,
    pub(crate) id: Option<NodeId>,
}

impl Contacts {
    pub(crate) fn add(&mut self, contact: Addr) -> Result<(), JoinError> {
        if contact.is_none() {
            return Err(JoinError::NoAddress);
        }
        self.tries = 0;
        if self.held.iter().any(|(known, _)| *known == contact) {
            return Ok(());
        }
        self.held.push((contact, NodeId(0))).map_err(|_| JoinError::TooManyContacts)
    }

    /// How long to wait before the contacts are asked again, in µs: doubles from 100 ms to 5 s, guesses that bridge a slow
    /// start and spare a contact that is down.
    pub(crate) fn wait(&mut self) -> u64 {
        self.tries = self.tries.saturating_add(1);
        (100_000 << self.tries.min(6)).min(5_000_000)
    }

    /// The next contact in turn.
    pub(crate) fn next(&mut self) -> Option<Contact> {
        let place = remainder(self.next.into(), self.held.len() as u32) as usize;
        self.next = self.next.wrapping_add(1);
        let (addr, id) = *self.held.get(place)?;
        Some(Contact { addr, id: (self.named >> place & 1 == 1).then_some(id) })
    }

    /// Notes who answers at an address.
    pub(crate) fn answered(&mut self, addr: Addr, id: NodeId) {
        if let Some((place, held)) = self.held.iter_mut().enumerate().find(|(_, held)| held.0 == addr) {
            held.1 = id;
            self.named |= 1 << place;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

/// How many contacts a node keeps: a guess; a swarm needs one that answers.
pub(crate) const CONTACTS_MAX: usize = 8;
