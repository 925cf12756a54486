//! The slot of a member: what is known of one, and the links that tie it to the others.
//!
//! Knows: fields and links. Does not know: the table. All-zero is a free slot.

use super::rules::CONFIRMATIONS_MAX;
use crate::addr::{Addr, NodeId};
use crate::slab::deadline::{Place, Timed};
use crate::slab::list::{Hook, Hooked};
use crate::slab::{Ix, Link};
use crate::time::{Instant, Tick};

/// What a member is; the order is that of rank: of two reports about one incarnation the greater one holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MemberState {
    /// It answers.
    #[default]
    Alive,
    /// It answered no probe, and has not refuted yet.
    Suspect,
    /// It was suspected, and did not refute in time.
    Dead,
    /// It said farewell.
    Left,
}

impl MemberState {
    /// Whether it takes part: alive or suspect.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Alive | Self::Suspect)
    }
}

/// One member; all-zero is a free slot.
#[derive(Clone, Copy, Debug)]
// The order of the fields: one instruction of a Cortex-M0 reaches the first 124 bytes, and adds at most 255.
#[cfg_attr(target_os = "none", repr(C))]
pub(crate) struct MemberSlot {
    pub(crate) state: MemberState,
    pub(super) in_use: bool,
    /// How many others confirmed the suspicion, and the low bits of who they are.
    pub(crate) confirmed: u8,
    /// Whether it is suspect since somebody else said that it has left.
    pub(crate) leaving: bool,
    pub(super) told: Told,
    pub(super) updated: bool,
    /// Which of the watched writes it is known to hold, a bit for each.
    pub(crate) holds: u8,
    /// How many more times the rumor about it is passed on.
    pub(super) left: u8,
    pub(crate) id: NodeId,
    /// Who accused it, while it is suspect or dead.
    pub(crate) by: NodeId,
    pub(crate) incarnation: u32,
    pub(crate) tags_version: u32,
    /// When it became what it is.
    pub(crate) since: Tick,
    /// The summary root that it last told, and when it was last heard; no root before it is heard.
    pub(crate) root: u32,
    pub(crate) heard: Tick,
    /// When it last told our own root of that time.
    pub(crate) agreed: Tick,
    /// When its entries were last known to be ours, in seconds since 1970; 0: never (rule R3).
    pub(crate) level: u32,
    /// In which epoch of our root it told the same.
    pub(super) agreed_epoch: u16,
    /// Until when it sleeps, as it announced; zero or past: it is awake.
    pub(crate) asleep: Tick,
    /// The last round trip, in 100 µs; zero before the first.
    pub(crate) rtt: u16,
    pub(crate) confirmers: [u16; CONFIRMATIONS_MAX as usize],
    /// The slot of the relay through which it is reached, while it is not reached directly.
    pub(crate) via: Link,
    /// Where its tags are kept, if it has any; in a free slot, the next free slot.
    pub(crate) tags: Link,
    /// The permutation of the peers: at position p the peer's slot, and of this slot its position.
    pub(super) order: Ix,
    pub(super) position: Link,
    pub(super) rumor: Hook,
    pub(super) changed: Hook,
    pub(super) place: Place,
    pub(crate) addr: Addr,
}

/// What the application was last told of a member.
///
/// Flat, so that "nothing" is zero: an empty `Memory` is all zero bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Told {
    Nothing,
    Alive,
    Suspect,
    Dead,
    Left,
}

impl From<MemberState> for Told {
    fn from(state: MemberState) -> Self {
        match state {
            MemberState::Alive => Self::Alive,
            MemberState::Suspect => Self::Suspect,
            MemberState::Dead => Self::Dead,
            MemberState::Left => Self::Left,
        }
    }
}

/// The list of members about whom there is news to pass on.
#[derive(Debug)]
pub(crate) struct Hot;
/// The list of members of whom the application has not been told the last.
#[derive(Debug)]
pub(crate) struct Changed;

impl Hooked<Hot> for MemberSlot {
    fn hook(&self) -> &Hook {
        &self.rumor
    }

    fn hook_mut(&mut self) -> &mut Hook {
        &mut self.rumor
    }
}

impl Hooked<Changed> for MemberSlot {
    fn hook(&self) -> &Hook {
        &self.changed
    }

    fn hook_mut(&mut self) -> &mut Hook {
        &mut self.changed
    }
}

impl Timed for MemberSlot {
    fn place(&self) -> Place {
        self.place
    }

    fn place_mut(&mut self) -> &mut Place {
        &mut self.place
    }
}

impl MemberSlot {
    /// A free slot.
    pub(crate) const EMPTY: Self = Self {
        id: NodeId(0),
        by: NodeId(0),
        addr: Addr::NONE,
        incarnation: 0,
        tags_version: 0,
        since: Tick(0),
        root: 0,
        heard: Tick(0),
        agreed: Tick(0),
        level: 0,
        agreed_epoch: 0,
        rtt: 0,
        state: MemberState::Alive,
        confirmed: 0,
        confirmers: [0; CONFIRMATIONS_MAX as usize],
        leaving: false,
        in_use: false,
        told: Told::Nothing,
        updated: false,
        holds: 0,
        left: 0,
        via: Link::NONE,
        asleep: Tick(0),
        tags: Link::NONE,
        order: 0,
        position: Link::NONE,
        rumor: Hook::EMPTY,
        changed: Hook::EMPTY,
        place: Place::EMPTY,
    };

    /// Whether it is somebody to talk to.
    pub(crate) fn is_live(&self) -> bool {
        self.in_use && self.state.is_live()
    }

    /// Forgets all but what of the permutation of peers stands here.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(super) fn clear(&mut self) {
        let order = self.order;
        *self = Self::EMPTY;
        self.order = order;
    }

    /// Another incarnation, whose tags are still to come: their counter begins anew with it.
    pub(crate) fn set_incarnation(&mut self, incarnation: u32) {
        if self.incarnation != incarnation {
            (self.incarnation, self.tags_version) = (incarnation, 0);
        }
    }

    /// Whether it announced that it cannot answer now.
    pub(crate) fn sleeps(&self, now: Instant) -> bool {
        self.asleep > Tick::at(now)
    }
}
