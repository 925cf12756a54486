//! What the doors have in common.
//!
//! Knows: all rooms, as the doors do. Does not know: which door it is called through.

use super::Node;
use crate::addr::NodeId;
use crate::error::PutError;
use crate::membership::{Member, MemberSlot, OWN, transmissions};
use crate::repair::{Session, TABLES, Tree, root_digest};
use crate::slab::index::{Cells, Index, Prefix};
use crate::slab::scope::Scope;
use crate::state::PutOptions;
use crate::stats::Count;
use crate::time::Instant;
use crate::wire::Table;

impl Node<'_> {
    /// Time stands still rather than go back.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(super) fn advance(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    pub(super) fn write(
        &mut self,
        now: Instant,
        key: &[u8],
        value: Option<&[u8]>,
        options: PutOptions,
    ) -> Result<(), PutError> {
        let now = self.begin_write(now)?;
        let (stamp, ttl) = (self.clock.stamp(now), self.ttl_of(now, &options)?);
        let (slot, stamp) = self.store.put_for(self.life, stamp, key, value, options.kind, ttl)?;
        let stamp = self.correct_own(now, slot, stamp);
        self.drop_outdated(slot);
        self.written(now, slot, stamp, options.urgent);
        Ok(())
    }

    /// An entry is new here: pass it on, and soon.
    pub(super) fn entry_changed(&mut self, now: Instant, slot: usize, urgent: bool) {
        if self.members.peers() > 0 {
            self.store.heat(slot, self.transmissions(), urgent);
            self.rounds.hasten(now);
        }
    }

    /// How many times news is passed on.
    pub(super) fn transmissions(&self) -> u8 {
        transmissions(self.config.rumor_mult, self.live())
    }

    pub(super) fn announce(&mut self, now: Instant) {
        if self.members.peers() > 0 {
            self.members.heat(OWN, self.transmissions());
            self.rounds.hasten(now);
        }
    }

    /// Brings the root that datagrams carry in step with the entries; says whether it was not.
    pub(super) fn refresh_root(&mut self) -> bool {
        if !self.store.take_changed() {
            return false;
        }
        let root = self.table_digest(Table::Entries) as u32;
        let changed = root != self.root;
        if changed {
            self.root = root;
            self.members.new_epoch();
            self.session(Table::Entries).resume();
        }
        changed
    }

    /// Keeps the moment at which agreement was last reached or lost.
    pub(super) fn note_convergence(&mut self, now: Instant) {
        self.members.settle_tally();
        self.stats.members_evicted += Count::from(self.members.take_evictions());
        self.stats.rumors_dropped += Count::from(self.foreign.take_dropped());
        let converged = self.convergence().is_converged();
        if core::mem::replace(&mut self.converged, converged) != converged {
            self.since = now;
        }
    }

    pub(super) fn session(&mut self, table: Table) -> &mut Session {
        // Without messages nobody asks for theirs.
        &mut self.sessions[(table as usize).min(TABLES - 1)]
    }

    /// A table as it is compared with a member: of entries and messages, what both want.
    pub(super) fn tree(&self, table: Table, peer: Option<usize>) -> Tree<'_> {
        let (index, cells) = self.index(table);
        let mut tree = Tree { index, cells, key: &self.envelope.key, scope: Scope::ALL };
        // Where there are no windows, there is nothing to cut.
        if table == Table::Entries || table == Table::Messages && self.store.has_windows() {
            self.cut(&mut tree.scope, peer);
        }
        if table == Table::Messages {
            tree.scope.widen();
        }
        tree
    }

    fn index(&self, table: Table) -> (&Index, &Cells<'_>) {
        match table {
            Table::Members => self.members.index(),
            Table::Entries => (self.store.index(), self.store.cells()),
            Table::Messages => (self.store.windows(), self.store.cells()),
        }
    }

    /// The digest of a table as it is compared with a member; `by` is who says it.
    pub(super) fn digest_with(&self, table: Table, peer: Option<usize>, by: NodeId) -> u32 {
        let tree = self.tree(table, peer);
        root_digest(tree.key, &tree.sum(Prefix::ROOT), by.0) as u32
    }

    pub(super) fn table_digest(&self, table: Table) -> u64 {
        root_digest(&self.envelope.key, &self.index(table).0.root(), 0)
    }

    pub(super) fn view(&self, ix: usize) -> Member<'_> {
        let slot = self.members.get(ix).unwrap_or(&MemberSlot::EMPTY);
        let via = self.members.via(ix).and_then(|relay| self.members.get(relay)).map(|relay| relay.id);
        Member::new(slot, self.now, via, slot.tags.get().map_or(&[], |blob| self.store.blob(blob)))
    }
}
