//! The node: the only module that knows all rooms. It takes facts and time in, and gives datagrams, events and one
//! deadline out.

mod aim;
mod build;
mod catchup;
mod common;
mod compare;
mod errand;
mod forward;
mod getters;
mod guests;
mod input;
mod interest;
mod isolation;
mod kinds;
mod lifetimes;
mod members;
mod messages;
mod output;
mod pulls;
mod receipts;
mod rest;
mod rows;
mod sample;
mod saved;
mod sketch;
mod skew;
mod timeout;

use crate::addr::{Addr, NodeId};
#[cfg(feature = "messages")]
use crate::error::PublishError;
use crate::error::{JoinError, PutError, Rejected, TagsError};
use crate::event::Event;
use crate::membership::{
    CONTACTS_MAX, Contacts, Foreign, Health, MemberState, Members, OWN, Paths, Prober, encode_tags,
};
use crate::repair::{Exchange, FIRST_MAX, Lanes, Open, Pulls, Receipts, Replies, Session, TABLES};
use crate::rng::Rng;
use crate::settings::Settings;
use crate::slab::queue::Queue;
use crate::spread::{Budget, Credits, Rounds};
#[cfg(feature = "messages")]
use crate::state::PublishOptions;
use crate::state::{Clock, PutOptions, Store};
use crate::stats::Stats;
use crate::time::Instant;
use crate::wire::Envelope;

use errand::{Direct, Errand, Wanted};
use forward::Forwards;
pub use getters::Convergence;
use guests::Guests;
use interest::Sheddings;
use lifetimes::Floor;
pub use receipts::Holders;
pub use saved::SavedLife;
use skew::Skew;
use timeout::Timers;

/// A datagram to send.
#[derive(Debug, PartialEq, Eq)]
pub struct Transmit<'b> {
    /// Where to.
    pub to: Addr,
    /// The datagram: the front of the buffer that was handed in.
    pub payload: &'b [u8],
}

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Lifecycle {
    /// It was made, and knows no contact: a swarm of its own until somebody joins through it.
    Alone,
    /// It asks its contacts to be taken in.
    Joining,
    /// Somebody has answered, or has joined through it.
    Member,
    /// It is saying farewell.
    Leaving,
    /// It has left, and does nothing any more.
    Left,
}

/// A gossip node: one protocol state machine without I/O, clock, entropy or heap.
///
/// Its methods are of four kinds. `handle_*` take facts in: a datagram, the time. Verbs such as [`put`](Node::put) are what
/// the application wants. `poll_*` give out what follows, and are to be asked after either until they return `None`.
/// Everything else is a getter, and changes nothing. `now` never goes backwards; where it does, it is taken to stand still.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use gossip_proto::{Addr, Config, Event, Instant, Memory, Node, NodeId, PutOptions, Seed};
///
/// // Two nodes, joined by a wire that is a loop.
/// let (mut room_a, mut room_b) = (Memory::<16, 64, 4096>::new(), Memory::<16, 64, 4096>::new());
/// let (at_a, at_b) = (Addr::new(b"a").unwrap(), Addr::new(b"b").unwrap());
/// let mut a = Node::new(NodeId(1), at_a, Config::lan("demo"), &mut room_a, Seed::new([1; 32]))?;
/// let mut b = Node::new(NodeId(2), at_b, Config::lan("demo"), &mut room_b, Seed::new([2; 32]))?;
///
/// let mut now = Instant::ZERO;
/// b.join(now, at_a)?;
/// a.put(now, b"greeting", b"hello", PutOptions::new())?;
/// let mut buf = [0; 1400];
/// while b.get(b"greeting").is_none() {
///     // Send what there is to send ...
///     while let Some(transmit) = a.poll_transmit(now, &mut buf) {
///         let len = transmit.payload.len();
///         b.handle_datagram(now, at_a, &mut buf[..len])?;
///     }
///     while let Some(transmit) = b.poll_transmit(now, &mut buf) {
///         let len = transmit.payload.len();
///         a.handle_datagram(now, at_b, &mut buf[..len])?;
///     }
///     // ... tell the application what has changed ...
///     while let Some(event) = b.poll_event() {
///         if let Event::Entry { key, .. } = event {
///             assert_eq!(key, b"greeting");
///         }
///     }
///     // ... and wait for a datagram or for the next deadline, whichever comes first.
///     now = [a.poll_timeout(), b.poll_timeout()].into_iter().flatten().min().expect("they have timers").max(now);
///     a.handle_timeout(now);
///     b.handle_timeout(now);
/// }
/// assert_eq!(b.get(b"greeting").map(|entry| entry.value()), Some(&b"hello"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
// The order of the fields: one instruction of a Cortex-M0 reaches the first 124 bytes, and adds at most 255.
#[cfg_attr(target_os = "none", repr(C))]
pub struct Node<'a> {
    now: Instant,
    /// The digest of all entries that datagrams carry.
    root: u32,
    lifecycle: Lifecycle,
    converged: bool,
    isolated: bool,
    farewells: u8,
    /// How many more searches for others follow quickly, since somebody has returned.
    hopes: u8,
    /// How many more times to ask, after a sleep, what was missed.
    waking: u8,
    health: Health,
    told: Told,
    /// The writer in the versions of this life (rule R2).
    life: u64,
    config: Settings,
    members: Members<'a>,
    store: Store<'a>,
    envelope: Envelope,
    /// When a member was last heard, and whether that is so long ago that this node is cut off.
    heard_at: Instant,
    pinged_at: Instant,
    /// When somebody of whom a sample was told was last pinged, and when anybody last pinged this node.
    looked_at: Instant,
    /// When this node last noticed that it had been blocked.
    blocked_until: Instant,
    since: Instant,
    timers: Timers,
    rounds: Rounds,
    /// Who acked a ping of ours last, and when; and who said last, and when, that we are at another address.
    vouched: Option<(NodeId, Instant)>,
    credits: Credits,
    /// The topics that are caught up with before all others.
    first: heapless::Vec<u32, FIRST_MAX>,
    seen: Option<(Addr, NodeId, Instant)>,
    rest: Option<Rest>,
    rng: Rng,
    stats: Stats,
    clock: Clock,
    budget: Budget,
    sessions: [Session; TABLES],
    floor: Floor,
    shedding: Sheddings,
    replies: Replies,
    direct: Queue<Direct, DIRECT_MAX>,
    prober: Prober,
    receipts: Receipts,
    contacts: Contacts,
    lanes: Lanes<'a>,
    pulls: Pulls,
    exchange: Exchange<'a>,
    open: Open<'a>,
    wanted: Wanted,
    skew: Skew,
    guests: Guests,
    paths: Paths,
    forwards: Forwards,
    foreign: Foreign,
}

/// What the application is still to be told of the node itself, and what it was told last.
#[derive(Debug)]
struct Told {
    joined: bool,
    left: bool,
    converged: bool,
    asleep: bool,
    isolated: bool,
    quorum: bool,
    /// Whether it has caught up, and that is still to be told.
    caught_up: Option<bool>,
}

/// A sleep that was announced.
#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Instant,
    /// How many more rounds announce it.
    announcements: u8,
    next: Instant,
}

/// The doors.
impl<'a> Node<'a> {
    /// How many contacts a node keeps.
    pub const CONTACTS_MAX: usize = CONTACTS_MAX;
    /// The longest key, in bytes.
    pub const KEY_LEN_MAX: usize = 255;
    /// The longest tags, in bytes: names and values, and two bytes for each pair; and two and five for each topic, where not
    /// all are wanted. A member's record with tags of this length
    /// still leaves room in a datagram of 512 bytes.
    pub const TAGS_LEN_MAX: usize = 255;

    /// Takes in a datagram that arrived from `from`. It is mutable since sealed datagrams are opened in place.
    ///
    /// # Errors
    /// Why it was refused; nothing changed but a counter.
    #[inline(never)]
    pub fn handle_datagram(&mut self, now: Instant, from: Addr, datagram: &mut [u8]) -> Result<(), Rejected> {
        let now = self.advance(now);
        let taken = self.take_in(now, from, datagram).inspect(|()| self.note_convergence(now));
        taken.inspect_err(|rejected| {
            let counter = match rejected {
                Rejected::TooShort => &mut self.stats.refused_short,
                Rejected::Version => &mut self.stats.refused_version,
                Rejected::Check => &mut self.stats.refused_check,
                Rejected::Malformed => &mut self.stats.refused_malformed,
                Rejected::OwnId => &mut self.stats.refused_own_id,
                Rejected::Left => &mut self.stats.refused_left,
            };
            *counter += 1;
        })
    }

    /// Does what is due. A call before [`Node::poll_timeout`] says so does nothing.
    #[inline(never)]
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.advance(now);
        if self.lifecycle != Lifecycle::Left {
            self.time_out(now);
            self.note_convergence(now);
        }
    }

    /// Takes in a reading of a wall clock: microseconds since 1970 at `now`. Without one the node follows the clocks that
    /// it hears. A reading outside the years 2020 to 2099 is that of a clock that was never set, and is not taken.
    #[cfg_attr(target_os = "none", inline(never))]
    pub fn handle_wall_clock(&mut self, now: Instant, unix_micros: u64) {
        let now = self.advance(now);
        self.set_clock(now, unix_micros);
        self.tell_time(now);
    }

    /// The next datagram to send, encoded into `buf`, whose length is the most that it may take. `None`: nothing to send
    /// before the next input.
    #[must_use]
    #[inline(never)]
    pub fn poll_transmit<'b>(&mut self, now: Instant, buf: &'b mut [u8]) -> Option<Transmit<'b>> {
        let now = self.advance(now);
        if self.lifecycle == Lifecycle::Left { None } else { self.fill(now, buf) }
    }

    /// The next thing that the application was not told yet.
    #[cfg_attr(target_os = "none", inline(never))]
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event<'_>> {
        if self.members.take_lagged() | self.store.take_lagged() {
            return Some(Event::Lagged);
        }
        if core::mem::take(&mut self.told.joined) {
            return Some(Event::Joined);
        }
        if let Some((id, change)) = self.members.poll_change() {
            return Some(Event::Member { id, change });
        }
        if let Some((slot, change, conflict)) = self.store.poll_change() {
            let (key, kind, part) = self.store.name(slot);
            return Some(Event::Entry { key, kind, part, change, conflict });
        }
        if core::mem::take(&mut self.floor.passed) {
            return Some(Event::HorizonPassed);
        }
        if self.store.has_message() {
            return self.poll_message();
        }
        if let Some(event) = self.poll_isolation() {
            return Some(event);
        }
        if let Some(event) = self.poll_skew() {
            return Some(event);
        }
        if self.shedding.first_mut().is_some_and(|shedding| core::mem::take(&mut shedding.untold)) {
            return Some(Event::Shed);
        }
        if self.told.caught_up == Some(true) {
            self.told.caught_up = Some(false);
            return Some(Event::CaughtUp);
        }
        if core::mem::take(&mut self.told.asleep) {
            return Some(Event::Asleep);
        }
        let converged = self.convergence().is_converged();
        if core::mem::replace(&mut self.told.converged, converged) != converged {
            return Some(if converged { Event::Converged } else { Event::Diverged });
        }
        core::mem::take(&mut self.told.left).then_some(Event::Left)
    }

    /// When to call [`Node::handle_timeout`] next, perhaps in the past; `None`: never, unless there is input.
    #[cfg_attr(target_os = "none", inline(never))]
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.lifecycle == Lifecycle::Left { None } else { self.next_timeout() }
    }

    /// Asks the node at `contact` to take this one in, again and again until somebody answers. Contacts are kept for life:
    /// a part of the swarm that was lost is looked for there too.
    ///
    /// # Errors
    /// Too many contacts, an empty address, or a node that is leaving.
    #[cfg_attr(target_os = "none", inline(never))]
    pub fn join(&mut self, now: Instant, contact: Addr) -> Result<(), JoinError> {
        let now = self.advance(now);
        if matches!(self.lifecycle, Lifecycle::Leaving | Lifecycle::Left) {
            return Err(JoinError::Left);
        }
        self.contacts.add(contact)?;
        if self.lifecycle == Lifecycle::Alone {
            self.lifecycle = Lifecycle::Joining;
            // Alone it agreed with everybody; from here on that is to be seen, and no event.
            (self.told.converged, self.converged, self.since) = (false, false, now);
        }
        self.ask_contacts(now);
        self.start_timers(now);
        Ok(())
    }

    /// Says farewell to some members, who tell the others; [`Event::Left`] says when that has gone out. Until then the node
    /// must still be polled; afterwards it is silent for ever.
    #[cfg_attr(target_os = "none", inline(never))]
    pub fn leave(&mut self, now: Instant) {
        let now = self.advance(now);
        if matches!(self.lifecycle, Lifecycle::Leaving | Lifecycle::Left) {
            return;
        }
        self.lifecycle = Lifecycle::Leaving;
        self.members.update(OWN, |slot| slot.state = MemberState::Left);
        self.timers = Timers::default();
        (self.rest, self.waking, self.shedding) = (None, 0, Sheddings::default());
        self.drop_forwards();
        self.sessions = Session::ALL;
        self.replies = Replies::default();
        self.pulls = Pulls::default();
        self.lanes.end();
        self.direct.clear();
        self.farewells = FAREWELLS;
        self.farewell(now);
        self.note_convergence(now);
    }

    /// Replaces this node's tags, which its record carries to every member.
    ///
    /// # Errors
    /// Tags that are too long, no room for them, or a node that is leaving.
    pub fn set_tags<'t>(
        &mut self,
        now: Instant,
        tags: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Result<(), TagsError> {
        let now = self.advance(now);
        let mut buf = [0; Self::TAGS_LEN_MAX];
        let len = encode_tags(&mut buf, tags).ok_or(TagsError::TooLong { max: Self::TAGS_LEN_MAX })?;
        self.keep_record(now, &mut buf, len)
    }

    /// Changes the address that this node announces.
    pub fn set_addr(&mut self, now: Instant, addr: Addr) {
        let now = self.advance(now);
        if self.addr() != addr && !addr.is_none() {
            self.members.update(OWN, |slot| {
                (slot.addr, slot.tags_version) = (addr, 1);
                slot.incarnation = slot.incarnation.wrapping_add(1);
            });
            self.announce(now);
        }
    }

    /// Writes an entry, upon what is held of it: siblings are resolved by it, and values that join are joined.
    ///
    /// # Errors
    /// What does not fit, with the limit; nothing is changed.
    #[inline(never)]
    pub fn put(&mut self, now: Instant, key: &[u8], value: &[u8], options: PutOptions) -> Result<(), PutError> {
        if options.kind.is_part() {
            return Err(PutError::Kind);
        }
        self.write(now, key, Some(value), options).map(|_| ())
    }

    /// Deletes an entry; `Ok(false)` when there is none.
    ///
    /// # Errors
    /// What does not fit: a tombstone takes room too.
    #[inline(never)]
    pub fn delete(&mut self, now: Instant, key: &[u8]) -> Result<bool, PutError> {
        let Some(kind) = self.get(key).map(|entry| entry.kind()) else { return Ok(false) };
        self.write(now, key, None, PutOptions::new().kind(kind)).map(|()| true)
    }

    /// Sends a message to all members that want its topic, and to those who join or come to want it while it lives: to
    /// each at most once, in no order. It is told to the others as [`Event::Message`], not to this node, which need not
    /// want the topic. A topic ends before the first `/`, like that of a key; what follows is told, and chooses nobody.
    /// Says its number, of which each topic has 64 in a row; the first is 0. Needs feature `messages`, here and at whom it
    /// is to reach.
    ///
    /// # Errors
    /// What does not fit, with the limit; nothing is changed.
    #[cfg(feature = "messages")]
    #[inline(never)]
    pub fn publish(
        &mut self,
        now: Instant,
        topic: &[u8],
        bytes: &[u8],
        options: PublishOptions,
    ) -> Result<u32, PublishError> {
        self.publish_message(now, topic, bytes, options)
    }
}

/// How many errands wait for one another at most; an adapter sends after every datagram, so they hardly ever meet.
const DIRECT_MAX: usize = 16;

/// How many rounds of farewells a node says: at 30 % loss and fanout 3, nobody hears one in 2 of 100,000 cases.
const FAREWELLS: u8 = 3;

#[cfg(test)]
mod tests;
