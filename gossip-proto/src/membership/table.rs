//! The table of members: slots, their index, their deadlines, and the lists that run through them.
//!
//! Knows: who is in which slot, which members are peers (live, and not this node), and what they add up to. Does not
//! know: what makes a member alive or dead, nor when anything is sent.
//! When full: a dead or left member, the one nearest to being forgotten, gives way. If all are live, the table becomes a
//! sample of the swarm: every node ranks all others by a hash of its own, and those with the lowest ranks stay; after as
//! many candidates as there are slots it ranks them anew. Candidates are mostly those who ping, which all do alike: so
//! every member comes to be in as many tables as any other. A sample
//! keeps a sixteenth of its slots for dead members, if there are any, to find a lost part of the swarm by. The
//! application is told who gave way.

mod agreement;
mod peers;
mod room;

use super::paths::POSSIBLE as PATHS_POSSIBLE;
use super::quorum::Tally;
use super::slot::{Changed, Hot, MemberSlot, MemberState, Told};
use crate::addr::{Addr, NodeId};
use crate::config::SwarmKey;
use crate::event::MemberChange;
use crate::hash::hash;
use crate::slab::deadline::{Deadlines, Row};
use crate::slab::index::{Cells, Index, Item, Key};
use crate::slab::list::List;
use crate::slab::queue::Queue;
use crate::slab::{Ix, Link, Slice};
use crate::time::{Instant, Tick};

/// The table's own slot: this node.
pub(crate) const OWN: usize = 0;

/// The table of members.
#[derive(Debug)]
// The order of the fields: one instruction of a Cortex-M0 reaches the first 124 bytes, and adds at most 255.
#[cfg_attr(target_os = "none", repr(C))]
pub(crate) struct Members<'a> {
    slots: Slice<'a, MemberSlot>,
    cells: Cells<'a>,
    rows: Slice<'a, Row>,
    index: Index,
    deadlines: Deadlines,
    hot: List<Hot>,
    changed: List<Changed>,
    free: Link,
    fresh: usize,
    peers: usize,
    /// How many of them, at the front of the permutation, this pass has been over.
    passed: usize,
    /// The epoch of our own root, and how many peers have told the same root in it.
    epoch: u16,
    agreeing: usize,
    /// Nobody has been counted in this epoch who told the root before it.
    uncounted: bool,
    /// A member was forgotten before the application was told the last of it.
    lagged: bool,
    tally: Tally,
    /// Who gave way and was told alive; how many gave way since somebody asked.
    evicted: Queue<NodeId, EVICTED_MAX>,
    evictions: u32,
    /// Whether live members were turned away for want of room: the table is a sample.
    sample: bool,
    /// Whether others give way for who is turned away.
    #[cfg(feature = "sim")]
    samples: bool,
    /// The key of the ranks, for how many members they were asked, and the peer with the greatest one of those that
    /// were looked at.
    rank_key: [u8; 16],
    candidates: u32,
    greatest: Option<(u32, Ix)>,
    /// Who was asked for last among those who are asked for again.
    recent: Link,
    key: SwarmKey,
    /// What a member was before the change that is being made: incarnation, version of its tags, address and state.
    before: (u32, u32, Addr, MemberState),
    /// Whether a change moved one, until what follows from it is done.
    pub(crate) moved: bool,
}

impl<'a> Members<'a> {
    /// A table that holds nobody yet.
    #[inline(never)]
    pub(crate) fn new(
        slots: Slice<'a, MemberSlot>,
        cells: Cells<'a>,
        rows: Slice<'a, Row>,
        key: SwarmKey,
        rank_key: [u8; 16],
    ) -> Self {
        Self {
            slots,
            cells,
            rows,
            index: Index::new(),
            deadlines: Deadlines::new(),
            hot: List::new(),
            changed: List::new(),
            free: Link::NONE,
            fresh: 0,
            peers: 0,
            passed: 0,
            epoch: 1,
            agreeing: 0,
            uncounted: true,
            lagged: false,
            tally: Tally::ALONE,
            evicted: Queue::new(),
            evictions: 0,
            sample: false,
            #[cfg(feature = "sim")]
            samples: true,
            recent: Link::NONE,
            rank_key,
            candidates: 0,
            greatest: None,
            key,
            before: (0, 0, Addr::NONE, MemberState::Alive),
            moved: false,
        }
    }

    /// Enters this node itself, before all others: slot 0 is the first that is taken.
    pub(crate) fn found(&mut self, own: NodeId, addr: Addr) {
        self.insert(own, addr, 0);
        if let Some(slot) = self.slots.get_mut(OWN) {
            slot.told = Told::Alive;
        }
        self.leave_peers(OWN);
    }

    /// Takes a slot for an alive member, and says whose tags were forgotten to make room.
    pub(crate) fn insert(&mut self, id: NodeId, addr: Addr, incarnation: u32) -> Option<(usize, Link)> {
        let (ix, orphan) = self.vacate(id)?;
        let slot = self.slots.get_mut(ix)?;
        slot.clear();
        (slot.id, slot.addr, slot.incarnation, slot.in_use) = (id, addr, incarnation, true);
        let key = self.hash_id(id);
        let item = self.hash_item(ix);
        // A collision of 96-bit hashes is a member that cannot be held.
        if !self.index.insert(&mut self.cells, ix, key, Some(item)) {
            self.release(ix);
            return None;
        }
        self.tally.moved(None, Some(MemberState::Alive));
        self.join_peers(ix);
        self.mark_changed(ix);
        Some((ix, orphan))
    }

    /// Forgets a member, and says where its tags are.
    pub(crate) fn remove(&mut self, ix: usize) -> Link {
        let Some(slot) = self.slots.get(ix).filter(|slot| slot.in_use) else { return Link::NONE };
        let tags = slot.tags;
        self.tally.moved(Some(slot.state), None);
        if matches!(slot.told, Told::Alive | Told::Suspect) {
            // Its slot is needed, so what there is to tell of it is kept apart.
            self.lagged |= self.evicted.push_back(slot.id).is_err();
        }
        self.disagree(ix);
        self.leave_peers(ix);
        self.index.remove(&mut self.cells, ix);
        self.deadlines.clear(&mut self.rows, &mut self.slots, ix);
        List::<Hot>::remove(&mut self.hot, &mut self.slots, ix);
        List::<Changed>::remove(&mut self.changed, &mut self.slots, ix);
        self.release(ix);
        // With an eighth free, everybody may fit again; if not, the next who does not says so.
        self.sample &= self.index.len() * 8 > self.slots.len() * 7;
        tags
    }

    /// Changes what is known of a member, and keeps index, peers and lists in step.
    pub(crate) fn update(&mut self, ix: usize, change: impl FnOnce(&mut MemberSlot)) {
        if let Some(slot) = self.begin(ix) {
            change(slot);
            self.updated(ix);
        }
    }

    /// A member is alive in this incarnation, and at another address if one is given.
    #[inline(never)]
    pub(crate) fn revive(&mut self, ix: usize, incarnation: u32, addr: Option<&Addr>) {
        self.update(ix, |slot| {
            slot.set_incarnation(incarnation);
            slot.state = MemberState::Alive;
            if let Some(addr) = addr {
                slot.addr = *addr;
            }
        });
    }

    /// A member is somewhere else.
    #[inline(never)]
    pub(crate) fn relocate(&mut self, ix: usize, addr: &Addr) {
        self.update(ix, |slot| slot.addr = *addr);
    }

    /// A slot that is to change: what it is now is noted. Apart, as what follows from a change, since there is a copy of
    /// `update` for each kind of change.
    #[inline(never)]
    fn begin(&mut self, ix: usize) -> Option<&mut MemberSlot> {
        let slot = self.slots.get_mut(ix).filter(|slot| slot.in_use)?;
        self.before = (slot.incarnation, slot.tags_version, slot.addr, slot.state);
        Some(slot)
    }

    #[inline(never)]
    fn updated(&mut self, ix: usize) {
        let Some(slot) = self.slots.get_mut(ix) else { return };
        let (before, live) = (&self.before, slot.is_live());
        let after = (slot.incarnation, slot.tags_version, slot.addr, slot.state);
        if *before == after {
            return;
        }
        self.tally.moved(Some(before.3), Some(after.3));
        let moved = before.2 != after.2;
        slot.updated |= moved || before.1 != after.1;
        self.moved |= moved;
        let item = live.then(|| self.hash_item(ix));
        self.index.update(&mut self.cells, ix, item);
        if ix != OWN {
            if live {
                self.join_peers(ix);
            } else {
                self.disagree(ix);
                self.leave_peers(ix);
            }
        }
        self.mark_changed(ix);
    }

    /// Gives a member a deadline, or takes it away.
    pub(crate) fn set_deadline(&mut self, ix: usize, deadline: Option<Instant>) {
        match deadline {
            Some(at) => self.deadlines.set(&mut self.rows, &mut self.slots, ix, Tick::after(at)),
            None => self.deadlines.clear(&mut self.rows, &mut self.slots, ix),
        }
    }

    /// The member whose deadline has come, if any.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<usize> {
        self.deadlines.pop_due(&mut self.rows, &mut self.slots, Tick::at(now))
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next(&self.rows).map(Tick::instant)
    }

    /// Makes the last about a member news, to be passed on `left` times.
    pub(crate) fn heat(&mut self, ix: usize, left: u8) {
        List::<Hot>::remove(&mut self.hot, &mut self.slots, ix);
        if let Some(slot) = self.slots.get_mut(ix).filter(|_| left > 0) {
            slot.left = left;
            self.hot.push_front(&mut self.slots, ix);
        }
    }

    /// Notes that the news about a member was passed on: it goes to the back, or is news no more.
    pub(crate) fn passed_on(&mut self, ix: usize) {
        let Some(slot) = self.slots.get_mut(ix) else { return };
        slot.left = slot.left.saturating_sub(1);
        if slot.left == 0 {
            List::<Hot>::remove(&mut self.hot, &mut self.slots, ix);
        } else {
            List::<Hot>::move_to_back(&mut self.hot, &mut self.slots, ix);
        }
    }

    /// The member with the newest news, and how many have news.
    pub(crate) fn hot(&self) -> (Option<usize>, usize) {
        (self.hot.first(), self.hot.len())
    }

    /// The one after `ix` in the list of news.
    pub(crate) fn hot_after(&self, ix: usize) -> Option<usize> {
        List::<Hot>::next(&self.hot, &self.slots, ix)
    }

    /// The next member that is not what the application was told, and how it differs.
    pub(crate) fn poll_change(&mut self) -> Option<(NodeId, MemberChange)> {
        if let Some(id) = self.evicted.pop_front() {
            return Some((id, MemberChange::Evicted));
        }
        while let Some(ix) = List::<Changed>::pop_front(&mut self.changed, &mut self.slots) {
            let slot = self.slots.get_mut(ix)?;
            let (told, updated) = (slot.told, core::mem::take(&mut slot.updated));
            if slot.leaving && slot.state == MemberState::Suspect {
                // Said to have left, not by itself: told when it is certain.
                slot.updated = updated;
                continue;
            }
            slot.told = slot.state.into();
            let change = match (told, slot.state) {
                (Told::Nothing, MemberState::Alive) => MemberChange::Joined,
                // Never told that it was there: then neither that it has gone.
                (Told::Nothing, MemberState::Dead | MemberState::Left) => {
                    slot.told = Told::Nothing;
                    continue;
                }
                (Told::Nothing | Told::Dead | Told::Left, MemberState::Suspect) => {
                    // Two differences: it is there, and it is suspected.
                    slot.told = Told::Alive;
                    self.changed.push_front(&mut self.slots, ix);
                    if told == Told::Nothing { MemberChange::Joined } else { MemberChange::Returned }
                }
                (_, now) if told == now.into() => {
                    if !updated {
                        continue;
                    }
                    MemberChange::Updated
                }
                (Told::Suspect, MemberState::Alive) => MemberChange::Refuted,
                (_, MemberState::Alive) => MemberChange::Returned,
                (_, MemberState::Suspect) => MemberChange::Suspected,
                (_, MemberState::Dead) => MemberChange::Died,
                (_, MemberState::Left) => MemberChange::Left,
            };
            let id = self.slots.get(ix)?.id;
            return Some((id, change));
        }
        None
    }

    /// Whether the application missed something since the last call.
    pub(crate) fn take_lagged(&mut self) -> bool {
        core::mem::take(&mut self.lagged)
    }

    fn mark_changed(&mut self, ix: usize) {
        if ix != OWN && !List::<Changed>::is_linked(&self.changed, &self.slots, ix) {
            self.changed.push_back(&mut self.slots, ix);
        }
    }

    #[cfg_attr(target_os = "none", inline(never))]
    pub(crate) fn get(&self, ix: usize) -> Option<&MemberSlot> {
        self.slots.get(ix).filter(|slot| slot.in_use)
    }

    /// The slot of a member, for what neither index nor lists depend on.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(crate) fn get_mut(&mut self, ix: usize) -> Option<&mut MemberSlot> {
        self.slots.get_mut(ix).filter(|slot| slot.in_use)
    }

    pub(crate) fn find(&self, id: NodeId) -> Option<usize> {
        let recent = self.recent.get().filter(|&ix| self.get(ix).is_some_and(|slot| slot.id == id));
        recent.or_else(|| self.index.get(&self.cells, self.hash_id(id)))
    }

    /// The same of who is asked for again soon: it costs no hash then.
    pub(crate) fn find_sender(&mut self, id: NodeId) -> Option<usize> {
        let found = self.find(id);
        self.recent = found.map_or(Link::NONE, Link::to);
        found
    }

    pub(crate) fn find_key(&self, key: Key) -> Option<usize> {
        self.index.get(&self.cells, key)
    }

    pub(crate) fn index(&self) -> (&Index, &Cells<'a>) {
        (&self.index, &self.cells)
    }

    pub(crate) fn key_of(&self, ix: usize) -> Key {
        self.index.key(&self.cells, ix)
    }

    /// What is counted for the quorum.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// A call into the node is over: see [`Tally::settle`].
    pub(crate) fn settle_tally(&mut self) {
        self.tally.settle(self.peers + 1);
    }

    /// The relay through which a member is reached, if it is not reached directly and the relay still serves.
    pub(crate) fn via(&self, ix: usize) -> Option<usize> {
        if !PATHS_POSSIBLE {
            return None;
        }
        let relay = self.get(ix)?.via.get()?;
        let slot = self.get(relay).filter(|slot| slot.is_live() && slot.via == Link::NONE)?;
        (relay != OWN && relay != ix).then_some(slot).map(|_| relay)
    }

    /// Nobody is known to hold what is watched under these bits.
    pub(crate) fn confirm_none(&mut self, bits: u8) {
        self.slots.iter_mut().take(self.fresh).for_each(|slot| slot.holds &= !bits);
    }

    /// Every member in use, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &MemberSlot)> {
        self.slots.iter().take(self.fresh).enumerate().filter(|(_, slot)| slot.in_use)
    }

    pub(crate) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// How many slots are in use, dead members and this node included.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// How far slots have ever been in use: the bound of a walk over all of them.
    pub(crate) fn fresh(&self) -> usize {
        self.fresh
    }

    /// The key of a member, be it known or not.
    pub(crate) fn key_for(&self, id: NodeId) -> Key {
        self.hash_id(id)
    }

    fn hash_id(&self, id: NodeId) -> Key {
        let hash = hash(self.key.as_bytes(), &[&id.0.to_le_bytes()]);
        Key::new(hash.h1 as u32, hash.h2)
    }

    /// What a live member adds to the summary: suspicion does not show, since it passes or is told as a rumor.
    #[inline(never)]
    fn hash_item(&self, ix: usize) -> Item {
        let Some(slot) = self.slots.get(ix) else { return Item::ZERO };
        let (id, tags, life) = (slot.id.0, slot.tags_version, slot.incarnation);
        Item::of(hash(self.key.as_bytes(), &[&id.to_le_bytes(), &tags.to_le_bytes(), &life.to_le_bytes()]))
    }
}

/// Who gave way waits to be told: beyond this many the application is told to read anew. A guess: it polls often.
const EVICTED_MAX: usize = 4;
