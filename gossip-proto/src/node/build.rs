//! How a node comes to be: checked, and assembled in its place.

use core::mem::MaybeUninit;

use super::forward::Forwards;
use super::guests::Guests;
use super::interest::Sheddings;
use super::lifetimes::Floor;
use super::skew::Skew;
use super::timeout::Timers;
use super::{Lifecycle, Node, Told, Wanted};
use crate::addr::{Addr, NodeId};
use crate::config::{Config, ConfigError};
use crate::hash::Hash;
use crate::membership::{Contacts, Foreign, Health, Members, Paths, Prober};
use crate::memory::Storage;
use crate::repair::{Exchange, Lanes, Open, Pulls, Receipts, Replies, Session};
use crate::rng::{Rng, Seed};
use crate::settings::Settings;
use crate::slab::queue::Queue;
use crate::spread::{Budget, Credits, Rounds};
use crate::state::{Clock, StateHash, Store};
use crate::stats::Stats;
use crate::time::Instant;
use crate::wire::{Envelope, Table};

/// Making one.
impl<'a> Node<'a> {
    /// Makes a node that knows nobody.
    ///
    /// `id` is unique in the swarm and the same after a restart; `addr` is where others reach this node. `seed` is new for
    /// every life of every node.
    ///
    /// # Errors
    /// A field of `config` or a size of `storage` that is out of its range.
    #[expect(clippy::needless_pass_by_value, reason = "a seed is used up: a second node with it would choose alike")]
    pub fn new(
        id: NodeId,
        addr: Addr,
        config: Config,
        storage: impl Into<Storage<'a>>,
        seed: Seed,
    ) -> Result<Self, ConfigError> {
        let storage = storage.into();
        check(&config, &storage)?;
        let mut node = Self::assemble(id, &config, storage, &seed);
        node.open(addr, &config)?;
        Ok(node)
    }

    /// The same in its place, a `static` for one: a node takes some KiB, and each move of it as much of the stack.
    ///
    /// # Errors
    /// As [`Node::new`].
    #[expect(clippy::needless_pass_by_value, reason = "a seed is used up: a second node with it would choose alike")]
    pub fn new_in<'p>(
        place: &'p mut MaybeUninit<Self>,
        id: NodeId,
        addr: Addr,
        config: Config,
        storage: impl Into<Storage<'a>>,
        seed: Seed,
    ) -> Result<&'p mut Self, ConfigError> {
        Self::build_in(place, id, addr, &config, storage.into(), &seed)
    }

    #[inline(never)]
    fn build_in<'p>(
        place: &'p mut MaybeUninit<Self>,
        id: NodeId,
        addr: Addr,
        config: &Config,
        storage: Storage<'a>,
        seed: &Seed,
    ) -> Result<&'p mut Self, ConfigError> {
        check(config, &storage)?;
        let node = place.write(Self::assemble(id, config, storage, seed));
        node.open(addr, config)?;
        Ok(node)
    }

    /// Inlined, so that it is made where it goes.
    #[inline(always)]
    fn assemble(id: NodeId, config: &Config, storage: Storage<'a>, seed: &Seed) -> Self {
        let Storage {
            members,
            member_cells,
            member_rows,
            entries,
            entry_cells,
            entry_rows,
            bytes,
            sketch,
            theirs,
            work,
            found,
            open,
            lanes,
        } = storage;
        let mut rng = Rng::new(seed);
        let rank_key = Hash { h1: rng.secret(), h2: rng.secret() }.as_bytes();
        let members = Members::new(members, member_cells, member_rows, config.swarm, rank_key);
        #[cfg(feature = "sim")]
        let members = members.with_samples(config.has_sample());
        let hash = StateHash::new(config.swarm.as_bytes());
        Self {
            envelope: Envelope { key: config.swarm, own: id },
            stats: Stats::default(),
            now: Instant::ZERO,
            lifecycle: Lifecycle::Alone,
            members,
            store: Store::new(entries, entry_cells, entry_rows, bytes, sketch, hash, config),
            clock: Clock::new(config.clock_skew_max),
            skew: Skew::default(),
            life: rng.secret(),
            rng,
            root: 0,
            prober: Prober::default(),
            health: Health::default(),
            paths: Paths::default(),
            forwards: Forwards::default(),
            foreign: Foreign::default(),
            looked_at: Instant::ZERO,
            pinged_at: Instant::ZERO,
            contacts: Contacts::default(),
            direct: Queue::new(),
            replies: Replies::default(),
            guests: Guests::default(),
            receipts: Receipts::default(),
            shedding: Sheddings::default(),
            pulls: Pulls::default(),
            sessions: Session::ALL,
            exchange: Exchange::new(theirs, work, found),
            open: Open::new(open),
            lanes: Lanes::new(lanes),
            first: heapless::Vec::new(),
            wanted: Wanted::default(),
            rounds: Rounds::new(config.gossip_interval, config.gossip_interval_max),
            credits: Credits::new(&config.shares),
            budget: Budget::new(config.bytes_per_second, config.datagram_len_max),
            timers: Timers::default(),
            floor: Floor::default(),
            farewells: 0,
            hopes: 0,
            vouched: None,
            seen: None,
            blocked_until: Instant::ZERO,
            heard_at: Instant::ZERO,
            isolated: false,
            rest: None,
            waking: 0,
            told: Told {
                joined: false,
                left: false,
                converged: true,
                asleep: false,
                isolated: false,
                quorum: true,
                caught_up: None,
            },
            converged: true,
            since: Instant::ZERO,
            config: Settings::new(config),
        }
    }

    /// What is in it from the start; fails if what it was given is too small for what it is to hold.
    #[inline(never)]
    fn open(&mut self, addr: Addr, config: &Config) -> Result<(), ConfigError> {
        if let Err(min) = self.store.holds_largest(config) {
            let given = self.store.bytes_len();
            return Err(ConfigError::Capacity { table: "bytes", given, min, max: u32::MAX as usize / 2 });
        }
        self.members.found(self.envelope.own, addr);
        self.root = self.table_digest(Table::Entries) as u32;
        Ok(())
    }
}

#[inline(never)]
fn check(config: &Config, storage: &Storage<'_>) -> Result<(), ConfigError> {
    config.validate()?;
    storage.validate()
}
