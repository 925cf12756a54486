//! Whom to ask for admission, and when to ask again.
//!
//! Knows: the contacts, and how long the last wait was. Does not know: members.
//! When full: a further contact is refused, with the limit named.

use core::time::Duration;

use crate::addr::{Addr, NodeId};
use crate::error::JoinError;

/// The contacts of a node, kept for life.
#[derive(Debug, Default)]
pub(crate) struct Contacts {
    addrs: heapless::Vec<Contact, CONTACTS_MAX>,
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
        if self.addrs.iter().any(|known| known.addr == contact) {
            return Ok(());
        }
        self.addrs.push(Contact { addr: contact, id: None }).map_err(|_| JoinError::TooManyContacts)
    }

    /// How long to wait before the contacts are asked again: doubles from 100 ms to 5 s, guesses that bridge a slow
    /// start and spare a contact that is down.
    pub(crate) fn wait(&mut self) -> Duration {
        self.tries = self.tries.saturating_add(1);
        Duration::from_millis(100 << self.tries.min(6)).min(Duration::from_secs(5))
    }

    /// The next contact in turn.
    pub(crate) fn next(&mut self) -> Option<Contact> {
        let addr = self.addrs.get(usize::from(self.next) % self.addrs.len().max(1)).copied();
        self.next = self.next.wrapping_add(1);
        addr
    }

    /// Notes who answers at an address.
    pub(crate) fn answered(&mut self, addr: Addr, id: NodeId) {
        if let Some(contact) = self.addrs.iter_mut().find(|contact| contact.id != Some(id) && contact.addr == addr) {
            contact.id = Some(id);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.addrs.is_empty()
    }
}

/// How many contacts a node keeps: a guess; a swarm needs one that answers.
pub(crate) const CONTACTS_MAX: usize = 8;
