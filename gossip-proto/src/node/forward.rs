//! The relay path: datagrams for a member that this node does not reach but another does.
//!
//! Probes show it: the relays' pings are answered, the direct ones are not, several times in a row. Then what the member
//! is owed goes out in a [`Message::Forward`] to the relay: a whole datagram, closed for its destination, that the relay
//! passes on without looking inside. Probes and their answers always go directly, so that they show when the path is not
//! needed any more. The destination takes the sender's word for what it says, and the relay's for nothing.
//!
//! Without feature `relay` a node makes no paths and passes nothing on, which is counted: its pings for others still show
//! who lives. What is passed on to it, it takes in.
//!
//! When full: a relay keeps [`FORWARDS_MAX`] datagrams, in the bytes that tags use; a further one is dropped and counted,
//! as any datagram may be lost.

use super::input::{Context, check};
use super::output::{Destination, Filling};
use super::{Direct, Errand, Node};
use crate::addr::{Addr, NodeId};
use crate::membership::{MemberSlot, MemberState, OWN, PATHS_POSSIBLE as POSSIBLE, Turn};
use crate::repair::{Row, Task};
use crate::slab::index::Prefix;
use crate::slab::queue::Queue;
use crate::slab::{Ix, Link};
use crate::stats::Count;
use crate::time::{Instant, Tick};
use crate::wire::{self, Header, Message, Table};

/// Datagrams that wait to be passed on.
#[derive(Debug, Default)]
pub(super) struct Forwards {
    rows: Queue<Forward, FORWARDS_MAX>,
    /// The last datagram of all was one of these: what this node has to say itself comes first.
    last: bool,
}

/// A datagram to be passed on: to which slot, and where its bytes are.
#[derive(Clone, Copy, Debug)]
struct Forward {
    to: Ix,
    id: NodeId,
    blob: Ix,
}

/// The paths of this node.
impl Node<'_> {
    /// A member was reached, with the ping of this number: by itself, or by a relay alone.
    pub(super) fn note_reached(&mut self, context: &Context, target: NodeId, number: u32) {
        self.reprieve(context.now, target);
        if context.sender == target {
            if !context.forwarded {
                self.direct_works(target);
            }
        } else if let Some(relay) = context.peer.filter(|_| self.config.has_relay()) {
            if self.paths.doubt(target, relay, number) {
                self.take_path(target, relay);
            }
        }
    }

    /// A suspect that answers, if only a relay, has all its time again: its refutation is still on the way, and behind a
    /// relay that way is long.
    fn reprieve(&mut self, now: Instant, target: NodeId) {
        let Some(ix) = self.members.find(target).filter(|_| self.config.lifeguard.refuting) else { return };
        if let Some(slot) = self.members.get_mut(ix).filter(|slot| slot.state == MemberState::Suspect && !slot.leaving)
        {
            slot.since = Tick::at(now);
            let time = self.suspicion(ix);
            self.members.set_deadline(ix, Some(now.plus(time)));
        }
    }

    /// An ack that no probe waits for may be that of a direct ping to somebody who is reached by relays.
    pub(super) fn note_late_ack(&mut self, context: &Context, number: u32) {
        if self.config.has_relay() && !context.forwarded && self.paths.is_answer(number, context.sender) {
            self.direct_works(context.sender);
        }
    }

    fn direct_works(&mut self, target: NodeId) {
        if !self.config.has_relay() {
            return;
        }
        self.paths.settle(target);
        if let Some(slot) = self.members.find(target).and_then(|ix| self.members.get_mut(ix)) {
            slot.via = Link::NONE;
        }
    }

    fn take_path(&mut self, target: NodeId, relay: usize) {
        let serves = relay != OWN && self.members.get(relay).is_some_and(|slot| slot.is_live() && slot.id != target);
        let Some(ix) = self.members.find(target).filter(|_| serves) else { return };
        if let Some(slot) = self.members.get_mut(ix) {
            self.stats.paths += Count::from(slot.via == Link::NONE);
            slot.via = Link::to(relay);
        }
    }

    /// Pings one of those whom relays reach, directly.
    pub(super) fn check_paths(&mut self) {
        if !self.config.has_relay() || self.paths.is_empty() {
            return;
        }
        let number = self.rng.secret() as u32;
        let Some(Turn { target, relay, greet }) = self.paths.turn(number) else { return };
        let known = self.members.find(target).and_then(|ix| Some((ix, self.members.get(ix)?)));
        let Some((ix, addr)) = known.filter(|(_, slot)| slot.is_live()).map(|(ix, slot)| (ix, slot.addr)) else {
            return self.paths.settle(target);
        };
        if let Some(relay) = relay {
            self.take_path(target, relay);
        }
        self.errand(&addr, Some(target), Errand::Ping(number));
        if greet {
            self.push_row(Row::new(ix, Table::Entries, Task::Root, Prefix::ROOT, 0));
        }
    }

    /// The relay to ping a member through: that of its path, or the one that reached it when direct pings did not.
    pub(super) fn relay_for(&self, ix: usize) -> Option<usize> {
        if !self.config.has_relay() {
            return None;
        }
        let doubted = || {
            let relay = self.paths.relay_of(self.members.get(ix)?.id)?;
            self.members.get(relay).filter(|slot| slot.is_live() && relay != OWN && relay != ix).map(|_| relay)
        };
        self.members.via(ix).or_else(doubted)
    }

    /// Asks that relay to ping the member too, if there is one, without waiting for the direct pings to fail.
    pub(super) fn ping_by_path(&mut self, target: NodeId, number: u32) -> bool {
        let relay = self.members.find(target).and_then(|ix| self.members.get(self.relay_for(ix)?));
        let Some((to, id)) = relay.map(|relay| (relay.addr, relay.id)) else { return false };
        self.errand(&to, Some(id), Errand::PingReq(number));
        true
    }

    /// Whether an errand goes to somebody who is not reached directly: then nothing else goes with it.
    pub(super) fn is_bare(&self, slot: Option<usize>) -> bool {
        slot.is_some_and(|ix| self.members.via(ix).is_some())
    }

    /// The destination for what a member is owed: itself, or the relay of its path.
    pub(super) fn destination_of(&self, ix: usize, slot: &MemberSlot, round: bool) -> Destination {
        let via = self.members.via(ix);
        let addr = via.and_then(|relay| self.members.get(relay)).map_or(slot.addr, |relay| relay.addr);
        Destination { addr, id: Some(slot.id), slot: Some(ix), round, via, bare: false }
    }

    /// Closes what was filled in for a destination behind a relay, and wraps it; says how long it is then, and whom it is
    /// bound to.
    #[cfg_attr(feature = "relay", inline(never))]
    pub(super) fn wrap(
        &self,
        buf: &mut [u8],
        len: usize,
        header: &Header,
        (relay, target): (Option<usize>, Option<NodeId>),
    ) -> Option<(usize, NodeId)> {
        if !POSSIBLE {
            return None;
        }
        let (relay, target) = (self.members.get(relay?)?.id, target?);
        wire::close(buf.get_mut(wire::FORWARD_LEN_MAX..)?, len, &self.envelope, Some(target));
        Some((wire::wrap(buf, len, header, target)?, relay))
    }
}

/// The relay.
impl Node<'_> {
    /// Keeps a datagram to be passed on, if its sender is a member and its destination one that is reached directly.
    #[inline(never)]
    pub(super) fn keep_forward(&mut self, context: &Context, to: NodeId, payload: &[u8]) {
        if !self.config.has_relay() {
            self.stats.forward_refused += 1;
            return;
        }
        let known = self.members.find(to).and_then(|ix| Some((ix, self.members.get(ix)?)));
        let reached = known
            .filter(|(ix, slot)| *ix != OWN && slot.is_live() && slot.via == Link::NONE && !slot.sleeps(context.now));
        let allowed = !context.forwarded && context.peer.is_some() && !self.forwards.rows.is_full();
        let kept = reached.filter(|_| allowed).map(|(ix, _)| ix);
        let kept = kept.and_then(|ix| Some((ix, self.store.blob_put(None, payload)?)));
        let Some((ix, blob)) = kept else {
            self.stats.forward_refused += 1;
            return;
        };
        // There is room: that was asked above.
        let _ = self.forwards.rows.push_back(Forward { to: ix as Ix, id: to, blob: blob as Ix });
    }

    /// To whom the next datagram to be passed on goes, if it is its turn: every other datagram at most, if this node has
    /// something to say itself.
    pub(super) fn forward_to(&mut self, idle: bool) -> Option<usize> {
        if !POSSIBLE {
            return None;
        }
        let turn = idle || !core::mem::replace(&mut self.forwards.last, false);
        let to = self.forwards.rows.first().filter(|_| turn).map(|forward| forward.to as usize);
        self.forwards.last = to.is_some();
        to
    }

    /// Writes the first datagram that is to be passed on to this destination.
    #[cfg_attr(feature = "relay", inline(never))]
    pub(super) fn fill_forward(&mut self, filling: &mut Filling<'_>) {
        if !POSSIBLE {
            return;
        }
        let here = |forward: &Forward| Some(forward.to as usize) == filling.to.slot && filling.to.via.is_none();
        let Some(forward) = self.forwards.rows.first().copied().filter(here) else { return };
        let _ = self.forwards.rows.pop_front();
        let message = Message::Forward { to: forward.id, payload: self.store.blob(forward.blob as usize) };
        // The slot may have passed to somebody else.
        let pushed = if filling.to.id == Some(forward.id) { filling.push(&message, false, usize::MAX) } else { None };
        match pushed {
            Some(_) => self.stats.forwarded += 1,
            None => self.stats.forward_refused += 1,
        }
        self.store.blob_free(forward.blob as usize);
    }

    pub(super) fn has_forwards(&self) -> bool {
        POSSIBLE && !self.forwards.rows.is_empty()
    }

    /// Forgets the first datagram to be passed on: its destination is gone, or not reached any more.
    pub(super) fn drop_forward(&mut self) {
        if let Some(forward) = self.forwards.rows.pop_front() {
            self.stats.forward_refused += 1;
            self.store.blob_free(forward.blob as usize);
        }
    }

    /// Forgets them all.
    pub(super) fn drop_forwards(&mut self) {
        while self.has_forwards() {
            self.drop_forward();
        }
    }
}

/// The destination.
impl Node<'_> {
    /// Opens a datagram that a relay passed on. Its sender is where it was before: the relay's address is not its own.
    #[inline(never)]
    pub(super) fn open_forwarded<'d>(&self, payload: &'d [u8]) -> Option<(Addr, Header, wire::Messages<'d>)> {
        let (header, messages) = wire::open_inner(payload, &self.envelope).ok()?;
        messages.check().ok()?;
        Some((self.addr_of(header.id)?, header, messages))
    }

    fn addr_of(&self, id: NodeId) -> Option<Addr> {
        self.members.find(id).and_then(|ix| self.members.get(ix)).map(|slot| slot.addr)
    }

    /// Where an errand goes; nowhere if the member is gone.
    pub(super) fn errand_destination(&self, direct: Direct) -> Option<Destination> {
        let ix = direct.to as usize;
        let to = Destination { addr: Addr::NONE, id: None, slot: Some(ix), round: false, via: None, bare: false };
        if let Some((addr, id)) = self.guest_at(ix) {
            if check(id) != direct.check {
                return None;
            }
            // What a member is owed goes where it is known to be.
            let bare = id.is_some_and(|id| self.members.find(id).is_some());
            return Some(Destination { addr, id, bare, ..to });
        }
        let slot = self.members.get(ix).filter(|slot| check(Some(slot.id)) == direct.check)?;
        let bare = self.is_bare(Some(ix));
        let round = !bare && self.rounds.target() == Some(ix);
        Some(Destination { addr: slot.addr, id: Some(slot.id), round, bare, ..to })
    }
}

/// How many datagrams wait to be passed on: a guess; an adapter sends after every datagram that it takes in.
const FORWARDS_MAX: usize = if POSSIBLE { 8 } else { 0 };

#[cfg(test)]
mod tests;
