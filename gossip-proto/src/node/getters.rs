//! What a node tells when asked: entries, members, agreement, and itself. Nothing changes.

use super::{Lifecycle, Node};
use crate::addr::{Addr, NodeId};
use crate::config::Config;
use crate::membership::{Member, OWN};
use crate::state::Entry;
use crate::stats::Stats;
use crate::time::{Instant, Tick};

/// How far the swarm agrees with this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Convergence {
    /// Live members, this node among them.
    pub live: usize,
    /// How many of them last told this node's own summary root, this node among them; none while it is still joining.
    pub agreeing: usize,
    /// This node's summary root.
    pub root: u32,
    /// Since when all of them agree, or since when not all do.
    pub since: Instant,
}

impl Convergence {
    /// Whether all live members agree.
    #[must_use]
    pub fn is_converged(&self) -> bool {
        self.agreeing == self.live
    }

    /// The fraction of live members that agree, in 1/1000.
    #[must_use]
    pub fn permille(&self) -> usize {
        self.agreeing * 1000 / self.live.max(1)
    }
}

/// Getters.
impl<'a> Node<'a> {
    /// The entry with this key, if it has a value.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Entry<'_>> {
        self.store.entry(self.store.find(key)?)
    }

    /// All entries whose keys begin with `prefix`, ordered by the hash of their topic and then of their key; of counters
    /// and sets one for each part, with the key of the counter or set. A prefix that holds a `/` costs as much as its topic has entries; any other costs as much as there are entries.
    pub fn scan<'s>(&'s self, prefix: &'s [u8]) -> impl Iterator<Item = Entry<'s>> + use<'s, 'a> {
        self.store.scan(prefix)
    }

    /// All members that this node knows, itself and the dead among them, in no order that means anything.
    pub fn members(&self) -> impl Iterator<Item = Member<'_>> {
        self.members.iter().map(|(ix, _)| self.view(ix))
    }

    /// The member with this id.
    #[must_use]
    pub fn member(&self, id: NodeId) -> Option<Member<'_>> {
        self.members.find(id).map(|ix| self.view(ix))
    }

    /// How many members are alive or suspect, this node among them.
    #[must_use]
    pub fn live(&self) -> usize {
        self.members.peers() + 1
    }

    /// How far the swarm agrees with this node.
    #[must_use]
    pub fn convergence(&self) -> Convergence {
        let joining = self.lifecycle == Lifecycle::Joining;
        let agreeing = if joining { 0 } else { self.members.agreeing() + 1 };
        Convergence { live: self.live(), agreeing, root: self.root, since: self.since }
    }

    /// The live members that are not known to agree with this node, and when each last did, within 65 ms.
    pub fn disagreeing(&self) -> impl Iterator<Item = (NodeId, Option<Instant>)> + use<'_, 'a> {
        self.members
            .iter()
            .filter(|(ix, slot)| *ix != OWN && slot.is_live() && !self.members.agrees(*ix))
            .map(|(_, slot)| (slot.id, (slot.agreed != Tick::default()).then(|| slot.agreed.instant())))
    }

    /// This node's id.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.envelope.own
    }

    /// The address that this node announces.
    #[must_use]
    pub fn addr(&self) -> Addr {
        self.members.get(OWN).map_or(Addr::NONE, |slot| slot.addr)
    }

    /// This node's incarnation: how often it has refuted or found an older life of itself.
    #[must_use]
    pub fn incarnation(&self) -> u32 {
        self.members.get(OWN).map_or(0, |slot| slot.incarnation)
    }

    /// Where this node is in its life.
    #[must_use]
    pub fn lifecycle(&self) -> Lifecycle {
        self.lifecycle
    }

    /// The configuration that the node was made with, its times as whole numbers of µs, and of seconds where they are long.
    #[must_use]
    pub fn config(&self) -> Config {
        self.config.config(self.envelope.key, self.rounds.interval_max(), self.clock.skew_max())
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Members in use, the dead that are remembered among them, and how many there is room for.
    #[must_use]
    pub fn members_used(&self) -> (usize, usize) {
        (self.members.len(), self.members.capacity())
    }

    /// The number in this life of this node: the writer of its values and the origin of its messages.
    #[must_use]
    pub fn life(&self) -> u64 {
        self.life
    }

    /// The most that topic and bytes of a message may take together. Needs feature `messages`.
    #[cfg(feature = "messages")]
    #[must_use]
    pub fn message_len_max(&self) -> usize {
        self.store.message_len_max()
    }

    /// Messages in use, and how many there is room for: a quarter of the entries. Needs feature `messages`.
    #[cfg(feature = "messages")]
    #[must_use]
    pub fn messages_used(&self) -> (usize, usize) {
        (self.store.messages_used(), self.store.messages_max())
    }

    /// Entries in use, deleted ones, tags and messages among them, and how many there is room for.
    #[must_use]
    pub fn entries_used(&self) -> (usize, usize) {
        self.store.used()
    }

    /// Bytes in use by keys, values and tags, and how many there is room for.
    #[must_use]
    pub fn bytes_used(&self) -> (usize, usize) {
        self.store.bytes_used()
    }
}
