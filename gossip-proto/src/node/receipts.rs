//! Receipts: who is known to hold a write of this node.
//!
//! A member confirms a write by answering a question about it, or by telling our own summary root while it is watched.
//! Some members who have not are asked every gossip interval, until the application closes the receipt.
//!
//! Without feature `receipts` a node opens none, and answers others who ask.

use core::num::NonZero;

use super::Node;
use super::input::Context;
use crate::error::ReceiptError;
use crate::repair::{RECEIPTS_MAX, ROWS_MAX, Receipt, Row, Task, Watched};
use crate::slab::index::Key;
use crate::state::{Kind, PartKey};
use crate::time::Instant;
use crate::wire::{Message, Table};

/// How far a write is known to have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Holders {
    /// Live members that hold the write or something newer, this node among them.
    pub confirmed: usize,
    /// Live members, this node among them.
    pub live: usize,
}

impl Holders {
    /// Whether all live members are known to hold it.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.confirmed == self.live
    }
}

impl Node<'_> {
    /// Watches the newest version of an entry, deleted or not: who holds it is asked for from now on. Each question and
    /// answer takes some 40 bytes in a datagram; at most sixteen are asked per gossip interval. Where values join, who
    /// holds all that is held here has confirmed: what others write meanwhile may delay that.
    ///
    /// # Errors
    /// No such entry here, or [`ReceiptError::Full`]: always without feature `receipts`.
    pub fn open_receipt(&mut self, now: Instant, key: &[u8]) -> Result<Receipt, ReceiptError> {
        let slot = self.store.find(key);
        self.watch(now, slot)
    }

    /// The same of an element of a set, removed or not, or, with an empty `part`, of what this life has added to a counter.
    ///
    /// # Errors
    /// As [`Node::open_receipt`].
    pub fn open_part_receipt(
        &mut self,
        now: Instant,
        key: &[u8],
        kind: Kind,
        part: &[u8],
    ) -> Result<Receipt, ReceiptError> {
        let life = self.life.to_le_bytes();
        let part = if kind == Kind::Counter && part.is_empty() { &life } else { part };
        let mut place = PartKey::new();
        let key = place.of(kind, key, part).map_err(|_| ReceiptError::NotFound)?;
        let slot = self.store.find_part(kind, key);
        self.watch(now, slot)
    }

    fn watch(&mut self, now: Instant, slot: Option<usize>) -> Result<Receipt, ReceiptError> {
        let now = self.advance(now);
        if !self.config.has_receipts() {
            return Err(ReceiptError::Full { max: 0 });
        }
        let slot = slot.ok_or(ReceiptError::NotFound)?;
        let (key, stamp) = (self.store.key_hash(slot), self.store.newest_stamp(slot));
        let watched =
            Watched { key, stamp, number: NonZero::new(self.rng.secret() as u32).unwrap_or(NonZero::<u32>::MIN) };
        let receipt = self.receipts.open(watched).ok_or(ReceiptError::Full { max: RECEIPTS_MAX })?;
        self.members.confirm_none(self.receipts.bit(receipt).unwrap_or(0));
        self.receipts.next.get_or_insert(now.plus(self.config.gossip_interval()));
        Ok(receipt)
    }

    /// How far a watched write is known to have come; `None` for a receipt that is closed. Costs as much as there are
    /// members.
    #[must_use]
    pub fn receipt(&self, receipt: Receipt) -> Option<Holders> {
        let bit = self.receipts.bit(receipt)?;
        let peers = (0..self.members.peers()).filter_map(|position| self.members.get(self.members.peer(position)?));
        Some(Holders { confirmed: 1 + peers.filter(|slot| slot.holds & bit != 0).count(), live: self.live() })
    }

    /// Watches a write no longer.
    pub fn close_receipt(&mut self, receipt: Receipt) {
        self.receipts.close(receipt);
    }

    /// Asks some of those who have not confirmed.
    pub(super) fn ask_for_receipts(&mut self, now: Instant) {
        if RECEIPTS_MAX == 0 {
            return;
        }
        let (open, peers) = (self.receipts.bits(), self.members.peers());
        let mut asked = 0;
        for _ in 0..peers.min(ASK_LOOK) {
            if asked >= ASK_MAX || self.replies.len() > ROWS_MAX / 2 {
                break;
            }
            self.receipts.cursor = (self.receipts.cursor + 1) % peers.max(1);
            let Some(ix) = self.members.peer(self.receipts.cursor) else { continue };
            let missing = open & !self.members.get(ix).map_or(0, |slot| slot.holds);
            if let Some(watched) = self.receipts.first(missing) {
                let task = Task::Ask { number: watched.number.get() };
                self.push_row(Row::of_key(ix, Table::Entries, task, watched.key));
                asked += 1;
            }
        }
        self.receipts.next = Some(now.plus(self.config.gossip_interval()));
    }

    /// The question about a watched write; `None` when it is watched no longer.
    pub(super) fn question(&self, number: u32) -> Option<Message<'static>> {
        let Watched { key, stamp, number } = self.receipts.watched(number)?;
        let stamp = self.store.find_hash(key).map_or(stamp, |slot| self.store.question(slot, stamp));
        Some(Message::Ask { key, stamp, writer: self.life, number: number.get() })
    }

    /// Somebody asks whether we hold a version, or something newer.
    #[inline(never)]
    pub(super) fn answer(&mut self, context: &Context, key: Key, stamp: u64, writer: u64, number: u32) {
        let holds = self.store.holds(key, stamp, writer);
        let task = if holds { Task::Held { number } } else { Task::Want };
        self.owe_key(context.reply, Table::Entries, task, key);
    }

    /// A member told our own root: it holds whatever is watched.
    pub(super) fn holds_all(&mut self, ix: usize) {
        let open = self.receipts.bits();
        if let Some(slot) = self.members.get_mut(ix).filter(|_| open != 0) {
            slot.holds |= open;
        }
    }

    /// Somebody holds what is watched under this number.
    #[inline(never)]
    pub(super) fn confirmed(&mut self, context: &Context, number: u32) {
        let bit = self.receipts.bit_of(number).unwrap_or(0);
        if let Some(slot) = context.peer.and_then(|ix| self.members.get_mut(ix)) {
            slot.holds |= bit;
        }
    }
}

/// How many members are asked per gossip interval, and how many are looked at for them.
const ASK_MAX: usize = 16;
const ASK_LOOK: usize = 256;
