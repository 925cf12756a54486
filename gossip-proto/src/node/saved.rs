//! From one life to the next: what to keep, and how to come back as oneself.

use super::Node;
use crate::error::RestoreError;
use crate::membership::OWN;
use crate::state::Saved;
use crate::time::Instant;

/// What a node keeps of itself beside its entries, to come back as itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SavedLife {
    /// The incarnation. The next life begins with the one after it, so that it supersedes this one at once.
    pub incarnation: u32,
    /// The newest stamp that was given or accepted, on the swarm's clock: the next life writes after it.
    pub stamp: u64,
}

impl Node<'_> {
    /// What to keep of this life. It changes with every write and every refutation.
    #[must_use]
    pub fn saved_life(&self) -> SavedLife {
        SavedLife { incarnation: self.incarnation(), stamp: self.clock.newest() }
    }

    /// Every entry to keep, deleted ones too, in no order that means anything.
    pub fn saved(&self) -> impl Iterator<Item = Saved<'_>> {
        self.store.saved()
    }

    /// The entry with this key to keep, deleted or not.
    #[must_use]
    pub fn saved_entry(&self, key: &[u8]) -> Option<Saved<'_>> {
        self.store.saved_entry(key)
    }

    /// Takes in what an earlier life of this node kept of itself. To be called before [`Node::join`].
    pub fn restore_life(&mut self, life: SavedLife) {
        self.members.update(OWN, |slot| slot.incarnation = life.incarnation.wrapping_add(1));
        self.clock.restore(life.stamp);
    }

    /// Takes in an entry that an earlier life kept: it is merged like one that came from another node, but is no news to
    /// anybody, and no event tells of it.
    ///
    /// # Errors
    /// What does not fit, with the limit; or versions that no rule allows. Some of its versions may have been taken in.
    pub fn restore(&mut self, now: Instant, saved: Saved<'_>) -> Result<(), RestoreError> {
        let now = self.advance(now);
        let newest = self.store.restore(saved)?;
        self.clock.restore(newest);
        self.refresh_root();
        self.note_convergence(now);
        Ok(())
    }
}
