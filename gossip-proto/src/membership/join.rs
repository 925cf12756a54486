//! Whom to ask for admission, and when to ask again.
//!
//! Knows: the contacts, and how long the last wait was. Does not know: members.
//! When full: a further contact is refused, with the limit named.

use core::time::Duration;

use crate::addr::Addr;
use crate::error::JoinError;

/// The contacts of a node, kept for life.
#[derive(Debug, Default)]
pub(crate) struct Contacts {
    addrs: heapless::Vec<Addr, CONTACTS_MAX>,
    tries: u8,
    next: u8,
}

impl Contacts {
    pub(crate) fn add(&mut self, contact: Addr) -> Result<(), JoinError> {
        if contact.is_none() {
            return Err(JoinError::NoAddress);
        }
        self.tries = 0;
        if self.addrs.contains(&contact) {
            return Ok(());
        }
        self.addrs.push(contact).map_err(|_| JoinError::TooManyContacts)
    }

    /// How long to wait before the contacts are asked again: doubles from 100 ms to 5 s, guesses that bridge a slow
    /// start and spare a contact that is down.
    pub(crate) fn wait(&mut self) -> Duration {
        self.tries = self.tries.saturating_add(1);
        Duration::from_millis(100 << self.tries.min(6)).min(Duration::from_secs(5))
    }

    /// The next contact in turn.
    pub(crate) fn next(&mut self) -> Option<Addr> {
        let addr = self.addrs.get(usize::from(self.next) % self.addrs.len().max(1)).copied();
        self.next = self.next.wrapping_add(1);
        addr
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.addrs.is_empty()
    }
}

/// How many contacts a node keeps: a guess; a swarm needs one that answers.
pub(crate) const CONTACTS_MAX: usize = 8;
