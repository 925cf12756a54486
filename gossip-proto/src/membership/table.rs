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

use super::foreign::POSSIBLE as SAMPLES_POSSIBLE;
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

    /// Notes that a member's entries are ours, at this second.
    pub(crate) fn level(&mut self, ix: usize, second: u32) {
        if let Some(slot) = self.slots.get_mut(ix) {
            slot.level = slot.level.max(second);
        }
    }

    /// The least level of all others who are remembered and have not left, the middle one (the lower of two), and the
    /// middle one when `own` is among them. With no others all are `own`. Costs 97 looks at each member.
    pub(crate) fn levels(&self, own: u32) -> (u32, u32, u32) {
        match self.reaching(0) {
            0 => (own, own, own),
            count => (
                self.reached_by(count, 0),
                self.reached_by(count - (count - 1) / 2, 0),
                self.reached_by(count + 1 - count / 2, own),
            ),
        }
    }

    /// The greatest level that so many reach, bit by bit; `own` is one more of them.
    #[inline(never)]
    fn reached_by(&self, needed: usize, own: u32) -> u32 {
        (0..u32::BITS).rev().fold(0, |found, bit| {
            let next = found | 1 << bit;
            if self.reaching(next) + usize::from(own >= next) >= needed { next } else { found }
        })
    }

    #[inline(never)]
    fn reaching(&self, level: u32) -> usize {
        let counts = |slot: &MemberSlot| slot.state != MemberState::Left && slot.level >= level;
        self.iter().filter(|(ix, slot)| *ix != OWN && counts(slot)).count()
    }

    /// Our root has become another by time alone: who agreed still does, without a word.
    pub(crate) fn age_root(&mut self, old: u32, new: u32) {
        for slot in self.slots.iter_mut().take(self.fresh).filter(|slot| slot.in_use && slot.root == old) {
            slot.root = new;
        }
    }

    /// Notes a datagram of the member's own whose root says nothing.
    pub(crate) fn hear_only(&mut self, ix: usize, now: Instant) {
        if let Some(slot) = self.slots.get_mut(ix) {
            slot.heard = Tick::at(now).max(Tick(1));
        }
    }

    /// A member that has another root than before is not known to agree, whatever was compared.
    pub(crate) fn hear_root(&mut self, ix: usize, root: u32) {
        if self.slots.get(ix).is_some_and(|slot| slot.root != root) {
            self.disagree(ix);
        }
        if let Some(slot) = self.slots.get_mut(ix) {
            slot.root = root;
        }
    }

    /// What this node and a member both want is equal.
    pub(crate) fn agree(&mut self, ix: usize, now: Instant) {
        let epoch = self.epoch;
        let Some(slot) = self.slots.get_mut(ix).filter(|slot| slot.is_live()) else { return };
        slot.agreed = Tick::at(now).max(Tick(1));
        if slot.agreed_epoch != epoch {
            slot.agreed_epoch = epoch;
            self.agreeing += 1;
        }
    }

    /// Notes a datagram of the member's own. `scoped`: not all entries are compared with it, so that different roots say
    /// nothing.
    pub(crate) fn hear(&mut self, ix: usize, now: Instant, own_root: u32, scoped: bool) {
        let Some(slot) = self.slots.get_mut(ix) else { return };
        // Zero is never.
        slot.heard = Tick::at(now).max(Tick(1));
        if slot.root == own_root {
            self.agree(ix, now);
        } else if !scoped {
            self.disagree(ix);
        }
    }

    /// Begins a new epoch of our own root: nobody is known to agree with it yet.
    pub(crate) fn new_epoch(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            // The numbers begin anew: nobody may seem to agree since the last time.
            self.slots.iter_mut().for_each(|slot| slot.agreed_epoch = 0);
            self.epoch = 1;
        }
        self.agreeing = 0;
        self.uncounted = true;
    }

    /// Counts who told `own_root` before we had it. Costs one look at each peer, once in each epoch.
    pub(crate) fn recount(&mut self, own_root: u32, now: Instant) {
        if !core::mem::take(&mut self.uncounted) {
            return;
        }
        for position in 0..self.peers {
            let Some(ix) = self.peer(position) else { continue };
            let epoch = self.epoch;
            let Some(slot) = self.slots.get_mut(ix) else { continue };
            if slot.heard != Tick::default() && slot.root == own_root && slot.agreed_epoch != epoch {
                (slot.agreed_epoch, slot.agreed) = (epoch, Tick::at(now));
                self.agreeing += 1;
            }
        }
    }

    /// How many peers told our present root.
    pub(crate) fn agreeing(&self) -> usize {
        self.agreeing
    }

    /// Whether this peer told our present root.
    pub(crate) fn agrees(&self, ix: usize) -> bool {
        self.slots.get(ix).is_some_and(|slot| slot.agreed_epoch == self.epoch)
    }

    #[inline(never)]
    fn disagree(&mut self, ix: usize) {
        let epoch = self.epoch;
        if let Some(slot) = self.slots.get_mut(ix).filter(|slot| slot.agreed_epoch == epoch) {
            slot.agreed_epoch = 0;
            self.agreeing = self.agreeing.saturating_sub(1);
        }
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

    /// How many peers there are: live members without this node.
    pub(crate) fn peers(&self) -> usize {
        self.peers
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

    /// The peer at a position of the permutation.
    pub(crate) fn peer(&self, position: usize) -> Option<usize> {
        if position < self.peers { self.slots.get(position).map(|slot| slot.order as usize) } else { None }
    }

    /// The peer that comes next after this node in the order of the keys, which is the same in all complete tables: so
    /// everybody is the neighbor of one. Who is suspect is not: it is looked after already. A sample has none.
    pub(crate) fn neighbor(&self) -> Option<usize> {
        let mut at = OWN;
        for _ in 0..if self.sample { 0 } else { NEIGHBOR_LOOK } {
            at = self.index.next(&self.cells, at).or_else(|| self.index.ceiling(&self.cells, Key::default()))?;
            if self.get(at).is_some_and(|slot| slot.state == MemberState::Alive) {
                return Some(at).filter(|at| *at != OWN);
            }
        }
        None
    }

    /// Exchanges two positions of the permutation.
    pub(crate) fn swap_peers(&mut self, a: usize, b: usize) {
        let (Some(at_a), Some(at_b)) = (self.peer(a), self.peer(b)) else { return };
        self.set_peer(a, at_b);
        self.set_peer(b, at_a);
    }

    /// How many peers there are, and how many of them, at the front, the pass has been over: fewer, if there are any.
    pub(crate) fn pass(&mut self) -> (usize, usize) {
        if self.passed >= self.peers {
            self.passed = 0;
        }
        (self.peers, self.passed)
    }

    /// The pass has been over one more.
    pub(crate) fn pass_one(&mut self) {
        self.passed += 1;
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

    fn set_peer(&mut self, position: usize, ix: usize) {
        if let Some(slot) = self.slots.get_mut(position) {
            slot.order = ix as Ix;
        }
        if let Some(slot) = self.slots.get_mut(ix) {
            slot.position = Link::to(position);
        }
    }

    fn join_peers(&mut self, ix: usize) {
        if self.slots.get(ix).is_some_and(|slot| slot.position == Link::NONE) {
            let last = self.peers;
            self.peers += 1;
            self.set_peer(last, ix);
            if let (Some(greatest), Some(slot)) = (self.greatest(), self.slots.get(ix)) {
                self.greatest = Some(greatest.max((self.rank(slot.id), ix as Ix)));
            }
            if self.sample {
                // It was heard just now: the pass goes on with those who were here before.
                self.swap_peers(last, self.passed);
                self.passed += 1;
            }
        }
    }

    fn greatest(&self) -> Option<(u32, Ix)> {
        self.greatest.filter(|_| SAMPLES_POSSIBLE)
    }

    fn leave_peers(&mut self, ix: usize) {
        let Some(mut position) = self.slots.get(ix).and_then(|slot| slot.position.get()) else { return };
        if position < self.passed {
            // The gap closes among those that were passed: whoever comes last is not taken for one of them.
            self.passed -= 1;
            self.swap_peers(position, self.passed);
            position = self.passed;
        }
        if let Some(last) = self.peer(self.peers.saturating_sub(1)) {
            self.set_peer(position, last);
        }
        self.peers = self.peers.saturating_sub(1);
        self.greatest = self.greatest().filter(|greatest| greatest.1 as usize != ix);
        if let Some(slot) = self.slots.get_mut(ix) {
            slot.position = Link::NONE;
        }
    }

    /// A slot that is free, or freed by forgetting the dead member that is nearest to it.
    fn vacate(&mut self, newcomer: NodeId) -> Option<(usize, Link)> {
        if let Some(ix) = self.free.get() {
            self.free = self.slots.get(ix)?.tags;
            return Some((ix, Link::NONE));
        }
        if self.fresh < self.slots.len() {
            self.fresh += 1;
            return Some((self.fresh - 1, Link::NONE));
        }
        let ix = match self.spare_dead() {
            Some(ix) => ix,
            None => self.outranked(newcomer)?,
        };
        self.evictions = self.evictions.saturating_add(1);
        let sample = self.sample;
        let orphan = self.remove(ix);
        // Who gives way makes room for one, not for everybody.
        self.sample = sample;
        self.free = self.slots.get(ix)?.tags;
        Some((ix, orphan))
    }

    /// Whether a slot is free, or a dead member's that need not be kept.
    pub(crate) fn has_room(&self) -> bool {
        self.free.get().is_some() || self.fresh < self.slots.len() || self.spare_dead().is_some()
    }

    /// Whether somebody is suspect: that one's deadline comes before those of the dead.
    pub(crate) fn has_suspects(&self) -> bool {
        let first = self.deadlines.first_of(&self.rows, &|_| true).and_then(|ix| self.slots.get(ix));
        first.is_some_and(|slot| slot.state == MemberState::Suspect)
    }

    /// Whether a slot is free, or would be freed for this one.
    pub(crate) fn admits(&mut self, id: NodeId) -> bool {
        self.has_room() || self.outranked(id).is_some()
    }

    /// The dead member that is nearest to being forgotten, if there are more of them than a sample keeps.
    fn spare_dead(&self) -> Option<usize> {
        let dead = self.index.len().saturating_sub(self.peers + 1);
        let kept = if self.sample { self.slots.len() / DEAD_KEPT_PART } else { 0 };
        // Deadlines are of suspects and of those to be forgotten.
        let gone = |ix: usize| self.slots.get(ix).is_some_and(|slot| !slot.is_live());
        if dead > kept { self.deadlines.first_of(&self.rows, &gone) } else { None }
    }

    /// How many members gave way since the last call.
    pub(crate) fn take_evictions(&mut self) -> u32 {
        core::mem::take(&mut self.evictions)
    }

    /// As one that was built with samples, or without.
    #[cfg(feature = "sim")]
    pub(crate) fn with_samples(self, samples: bool) -> Self {
        Self { samples, ..self }
    }

    /// The peer with the greatest rank of those that were looked at since the last one gave way, if the newcomer's is
    /// lower. Each candidate sets off a few looks, which go round: what strangers send costs the same in a table of any size.
    fn outranked(&mut self, newcomer: NodeId) -> Option<usize> {
        #[cfg(feature = "sim")]
        let samples = self.samples;
        #[cfg(not(feature = "sim"))]
        let samples = SAMPLES_POSSIBLE;
        if !samples {
            self.sample = true;
            return None;
        }
        if !core::mem::replace(&mut self.sample, true) {
            // Whom a sample holds is no news for the others.
            for ix in OWN + 1..self.fresh {
                if self.slots.get(ix).is_some_and(|slot| slot.state == MemberState::Alive) {
                    self.heat(ix, 0);
                }
            }
        }
        let era = self.era();
        self.candidates = self.candidates.wrapping_add(1);
        if self.era() != era {
            self.greatest = None;
        }
        for look in 0..RANK_LOOKS {
            let position = self.candidates.wrapping_mul(RANK_LOOKS).wrapping_add(look) as usize % self.peers.max(1);
            let ix = self.peer(position)?;
            let rank = (self.rank(self.slots.get(ix)?.id), ix as Ix);
            self.greatest = self.greatest.max(Some(rank));
        }
        self.greatest.filter(|greatest| self.rank(newcomer) < greatest.0).map(|greatest| greatest.1 as usize)
    }

    /// How often the ranks were drawn anew: each time after as many candidates as there are slots.
    fn era(&self) -> u32 {
        self.candidates / self.slots.len().max(ERA_MIN) as u32
    }

    fn rank(&self, id: NodeId) -> u32 {
        hash(&self.rank_key, &[&(id.0 ^ u64::from(self.era()) << 32).to_le_bytes()]).h1 as u32
    }

    /// Whether the table is a sample of a swarm that is larger than it.
    pub(crate) fn is_sample(&self) -> bool {
        self.sample
    }

    fn release(&mut self, ix: usize) {
        if let Some(slot) = self.slots.get_mut(ix) {
            slot.clear();
            slot.tags = self.free;
            self.free = Link::to(ix);
        }
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

/// For how many candidates ranks hold at least, so that few slots do not change hands all the time: a guess.
const ERA_MIN: usize = 32;
/// How many ranks are looked at for each candidate: eight times all of them in an era.
const RANK_LOOKS: u32 = 8;
/// How many members are looked at for one that is alive: a guess that bounds the call.
const NEIGHBOR_LOOK: usize = 16;
/// Who gave way waits to be told: beyond this many the application is told to read anew. A guess: it polls often.
const EVICTED_MAX: usize = 4;
/// The part of a sample that dead members keep: enough to find a lost half by, too few to make the sample smaller.
const DEAD_KEPT_PART: usize = 16;
