//! The node: the only file that knows all rooms.

use core::marker::PhantomData;
use core::time::Duration;

use crate::addr::{Addr, NodeId};
use crate::config::{Config, ConfigError};
use crate::error::{JoinError, PutError, Rejected, TagsError};
use crate::event::Event;
use crate::memory::Storage;
use crate::rng::Seed;
use crate::stats::Stats;
use crate::time::Instant;

pub use crate::state::{Entry, Kind, PutOptions, Value};

/// A datagram to send.
#[derive(Debug, PartialEq, Eq)]
pub struct Transmit<'b> {
    /// Where to.
    pub to: Addr,
    /// The datagram: the front of the buffer that was handed in.
    pub payload: &'b [u8],
}

/// What a member is, as far as this node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MemberState {
    /// It answers.
    Alive,
    /// It answered no probe, and has not refuted yet.
    Suspect,
    /// It was suspected, and did not refute in time.
    Dead,
    /// It said farewell.
    Left,
}

/// A member of the swarm, as this node knows it. The node itself is one.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Who.
    pub id: NodeId,
    /// Where datagrams for it go.
    pub addr: Addr,
    /// Its state.
    pub state: MemberState,
    /// How often it has refuted or restarted.
    pub incarnation: u32,
    /// When a datagram of its own last arrived.
    pub heard: Option<Instant>,
    /// The last round trip of a probe.
    pub rtt: Option<Duration>,
    /// The summary root that it last told, if any.
    pub root: Option<u32>,
    tags: &'a [u8],
}

impl<'a> Member<'a> {
    /// Its tags: name and value.
    pub fn tags(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let _ = self.tags;
        core::iter::empty()
    }
}

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Lifecycle {
    /// It was made, and knows no contact: a swarm of its own until somebody joins through it.
    Alone,
    /// It asks its contacts to be taken in.
    Joining,
    /// Somebody has answered.
    Member,
    /// It is saying farewell.
    Leaving,
    /// It has left, and does nothing any more.
    Left,
}

/// How far the swarm agrees with this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Convergence {
    /// Live members, this node among them.
    pub live: usize,
    /// How many of them last told this node's own summary root, this node among them.
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

/// A gossip node: see the module docs.
#[derive(Debug)]
pub struct Node<'a>(PhantomData<&'a mut ()>, Config, Stats);

impl<'a> Node<'a> {
    /// How many contacts a node keeps.
    pub const CONTACTS_MAX: usize = 8;
    /// The longest key, in bytes.
    pub const KEY_LEN_MAX: usize = 255;
    /// The longest tags, in bytes.
    pub const TAGS_LEN_MAX: usize = 255;

    /// Makes a node that knows nobody.
    ///
    /// # Errors
    /// A field of `config` or a size of `storage` that is out of its range.
    pub fn new(
        _id: NodeId,
        _addr: Addr,
        config: Config,
        storage: impl Into<Storage<'a>>,
        _seed: Seed,
    ) -> Result<Self, ConfigError> {
        let _ = storage.into();
        config.validate()?;
        Ok(Self(PhantomData, config, Stats::default()))
    }

    /// Takes in a datagram that arrived from `from`. Sealed datagrams are opened in place.
    ///
    /// # Errors
    /// Why it was refused; nothing changed but a counter.
    pub fn handle_datagram(&mut self, _now: Instant, _from: Addr, _datagram: &mut [u8]) -> Result<(), Rejected> {
        unimplemented!()
    }

    /// Does what is due. An early or extra call does nothing.
    pub fn handle_timeout(&mut self, _now: Instant) {
        unimplemented!()
    }

    /// Tells the wall clock: microseconds since 1970 at `now`. Without it the node follows the clocks that it hears.
    pub fn handle_wall_clock(&mut self, _now: Instant, _unix_micros: u64) {
        unimplemented!()
    }

    /// The next datagram to send, encoded into `buf`, whose length is the most that it may take. `None`: nothing to send
    /// before the next input.
    #[must_use]
    pub fn poll_transmit<'b>(&mut self, _now: Instant, _buf: &'b mut [u8]) -> Option<Transmit<'b>> {
        unimplemented!()
    }

    /// The next thing that the application was not told yet.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event<'_>> {
        unimplemented!()
    }

    /// When to call [`Node::handle_timeout`] next; `None`: never, unless there is input.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        unimplemented!()
    }

    /// Asks the node at `contact` to take this one in, again and again until somebody answers. Contacts are kept for life.
    ///
    /// # Errors
    /// Too many contacts, an empty address, or a node that has left.
    pub fn join(&mut self, _now: Instant, _contact: Addr) -> Result<(), JoinError> {
        unimplemented!()
    }

    /// Says farewell; [`Event::Left`] tells when it has gone out.
    pub fn leave(&mut self, _now: Instant) {
        unimplemented!()
    }

    /// Replaces this node's tags.
    ///
    /// # Errors
    /// Tags that are too long, or no room for them.
    pub fn set_tags<'t>(
        &mut self,
        _now: Instant,
        _tags: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Result<(), TagsError> {
        unimplemented!()
    }

    /// Changes the address that this node announces.
    pub fn set_addr(&mut self, _now: Instant, _addr: Addr) {
        unimplemented!()
    }

    /// Writes an entry.
    ///
    /// # Errors
    /// What does not fit, with the limit; nothing is changed.
    pub fn put(&mut self, _now: Instant, _key: &[u8], _value: &[u8], _options: PutOptions) -> Result<(), PutError> {
        unimplemented!()
    }

    /// Deletes an entry; `Ok(false)` when there is none.
    ///
    /// # Errors
    /// What does not fit: a tombstone takes room too.
    pub fn delete(&mut self, _now: Instant, _key: &[u8]) -> Result<bool, PutError> {
        unimplemented!()
    }

    /// The entry with this key, if it has a value.
    #[must_use]
    pub fn get(&self, _key: &[u8]) -> Option<Entry<'_>> {
        unimplemented!()
    }

    /// All entries whose keys begin with `prefix`, ordered by the hash of their topic and then of their key. A prefix
    /// that holds a `/` names a topic and costs as much as the topic has entries; any other costs as much as there are entries.
    pub fn scan<'s>(&'s self, _prefix: &'s [u8]) -> impl Iterator<Item = Entry<'s>> + 's {
        core::iter::empty()
    }

    /// All members that this node knows, itself among them.
    pub fn members(&self) -> impl Iterator<Item = Member<'_>> + '_ {
        core::iter::empty()
    }

    /// The member with this id.
    #[must_use]
    pub fn member(&self, _id: NodeId) -> Option<Member<'_>> {
        unimplemented!()
    }

    /// How many members are alive or suspect, this node among them. Costs nothing.
    #[must_use]
    pub fn live(&self) -> usize {
        unimplemented!()
    }

    /// How far the swarm agrees with this node.
    #[must_use]
    pub fn convergence(&self) -> Convergence {
        unimplemented!()
    }

    /// The live members that do not agree with this node, and when each last did.
    pub fn disagreeing(&self) -> impl Iterator<Item = (NodeId, Option<Instant>)> + '_ {
        core::iter::empty()
    }

    /// This node's id.
    #[must_use]
    pub fn id(&self) -> NodeId {
        unimplemented!()
    }

    /// The address that this node announces.
    #[must_use]
    pub fn addr(&self) -> Addr {
        unimplemented!()
    }

    /// This node's incarnation: how often it has refuted or found an older life of itself.
    #[must_use]
    pub fn incarnation(&self) -> u32 {
        unimplemented!()
    }

    /// Where this node is in its life.
    #[must_use]
    pub fn lifecycle(&self) -> Lifecycle {
        unimplemented!()
    }

    /// The configuration that the node was made with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.1
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.2
    }

    /// Entries in use, deleted ones among them, and how many there is room for.
    #[must_use]
    pub fn entries_used(&self) -> (usize, usize) {
        unimplemented!()
    }

    /// Bytes in use by keys, values and tags, and how many there is room for.
    #[must_use]
    pub fn bytes_used(&self) -> (usize, usize) {
        unimplemented!()
    }
}
