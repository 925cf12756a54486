//! What the nodes told their applications, as figures; and as a log, for who asks.
//!
//! Knows: when each member was first and last declared dead, and which of that was wrong. Does not know: why.

use core::time::Duration;

use std::vec::Vec;

use crate::event::{EntryChange, MemberChange};
use crate::time::Instant;

/// An event that a node told, with indexes in place of ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When, in virtual time.
    pub at: Instant,
    /// The node that told it.
    pub observer: usize,
    /// What it told.
    pub what: Happening,
}

/// What a node told its application: [`Event`](crate::Event) in an owned form.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happening {
    /// It has been answered by a member.
    Joined,
    /// Its farewell has gone out.
    Left,
    /// A member is not what it was.
    Member {
        /// The member's index.
        subject: usize,
        /// What happened to it.
        change: MemberChange,
    },
    /// An entry is not what it was.
    Entry {
        /// Its key.
        key: Vec<u8>,
        /// What happened to it.
        change: EntryChange,
        /// Whether a value was lost or a sibling dropped.
        conflict: bool,
    },
    /// A message of another node.
    Message {
        /// How often the node had been started by then.
        life: u32,
        /// The topic.
        topic: Vec<u8>,
        /// The life of the node that published it.
        origin: u64,
        /// Its number there.
        sequence: u32,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Messages were missed for good.
    Missed {
        /// The life of the node that published them.
        origin: u64,
        /// How many.
        count: u32,
    },
    /// All live members agree with it.
    Converged,
    /// Some do not any more.
    Diverged,
    /// It hears nobody.
    Isolated,
    /// It hears somebody again.
    Reconnected,
    /// Half or less of those it remembers live.
    QuorumLost,
    /// More than half of them live again.
    QuorumRegained,
    /// Its deletes are no longer kept for a member that is away.
    HorizonPassed,
    /// Others take the time to be another.
    ClockDiffers {
        /// Whether they say that its clock is ahead.
        ahead: bool,
    },
    /// It holds all that another holds.
    CaughtUp,
    /// Its announcement that it sleeps has gone out.
    Asleep,
    /// [`Event::Shed`](crate::Event::Shed).
    Shed,
    /// It was too full to tell all.
    Lagged,
}

/// Counts of member events, each by one observer about one subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberFigures {
    /// Deaths of members that did not run.
    pub deaths: u64,
    /// Deaths of members that ran, neither paused nor cut off from the observer.
    pub false_deaths: u64,
    /// False deaths of members that had never been off, paused or restarted, whoever told them (Lifeguard's FP).
    pub deaths_of_healthy: u64,
    /// False deaths where neither observer nor subject had ever been off, paused or restarted (Lifeguard's FP-).
    pub healthy_false_deaths: u64,
    /// Deaths of members that ran and were paused, or cut off from the observer.
    pub excused_deaths: u64,
    /// Suspicions.
    pub suspicions: u64,
    /// Members that returned though they had never been off, paused or restarted: each undoes a false death.
    pub needless_rejoins: u64,
    /// All members that returned.
    pub returns: u64,
}

/// When a node was declared dead, among all observers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deaths {
    /// How many times.
    pub count: u64,
    /// First.
    pub first: Option<Instant>,
    /// Last.
    pub last: Option<Instant>,
}

/// Everything that was told since the figures were reset.
#[derive(Debug, Default)]
pub struct Record {
    pub(crate) members: MemberFigures,
    pub(crate) deaths: Vec<Deaths>,
    pub(crate) conflicts: u64,
    pub(crate) lagged: u64,
    /// How often each node was told that its clock is ahead.
    pub(crate) clocks: Vec<u64>,
    pub(crate) watch: Option<Watch>,
    pub(crate) suspects: Option<Suspects>,
    pub(crate) log: Option<Vec<Seen>>,
}

impl Record {
    pub(crate) fn clock_told(&mut self, node: usize) {
        self.clocks.resize(self.clocks.len().max(node + 1), 0);
        self.clocks[node] += 1;
    }

    /// How often a node was told that its clock is ahead of the others'.
    #[must_use]
    pub fn clocks_told(&self, node: usize) -> u64 {
        self.clocks.get(node).copied().unwrap_or_default()
    }
}

/// How often each observer changed its mind about some nodes, and whom they declared dead.
#[derive(Debug)]
pub(crate) struct Suspects {
    pub(crate) nodes: Vec<usize>,
    pub(crate) observers: usize,
    /// Deaths and returns of each of the nodes, observer by observer.
    pub(crate) changes: Vec<u32>,
    /// Deaths that these nodes told of others.
    pub(crate) told: u64,
}

impl Suspects {
    pub(crate) fn see(&mut self, observer: usize, subject: usize, change: MemberChange) {
        self.told += u64::from(change == MemberChange::Died && self.nodes.contains(&observer));
        if !matches!(change, MemberChange::Died | MemberChange::Left | MemberChange::Returned) {
            return;
        }
        if let Some(which) = self.nodes.iter().position(|&node| node == subject) {
            if let Some(changes) = self.changes.get_mut(which * self.observers + observer) {
                *changes += 1;
            }
        }
    }
}

/// The spread of one key.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) key: Vec<u8>,
    pub(crate) since: u64,
    pub(crate) seen_at: Vec<Option<u64>>,
    pub(crate) count: usize,
}

impl Watch {
    pub(crate) fn see(&mut self, now: u64, node: usize) {
        if let Some(at @ None) = self.seen_at.get_mut(node) {
            *at = Some(now);
            self.count += 1;
        }
    }
}

impl Record {
    /// The counts of member events.
    #[must_use]
    pub fn members(&self) -> &MemberFigures {
        &self.members
    }

    /// When this node was declared dead.
    #[must_use]
    pub fn deaths_of(&self, node: usize) -> Deaths {
        self.deaths.get(node).copied().unwrap_or_default()
    }

    /// How many entry events told of a conflict.
    #[must_use]
    pub fn conflicts(&self) -> u64 {
        self.conflicts
    }

    /// How many times a node was too full to tell all.
    #[must_use]
    pub fn lagged(&self) -> u64 {
        self.lagged
    }

    /// How many nodes have told of the watched key.
    #[must_use]
    pub fn watched(&self) -> usize {
        self.watch.as_ref().map_or(0, |watch| watch.count)
    }

    /// How long after [`Network::watch`](super::Network::watch) each node told of the watched key, by index.
    #[must_use]
    pub fn watched_after(&self, node: usize) -> Option<Duration> {
        let watch = self.watch.as_ref()?;
        let at = *watch.seen_at.get(node)?;
        Some(Duration::from_micros(at? - watch.since))
    }

    /// The log, if [`Network::log_events`](super::Network::log_events) asked for one.
    #[must_use]
    pub fn log(&self) -> &[Seen] {
        self.log.as_deref().unwrap_or(&[])
    }

    pub(crate) fn reset(&mut self) {
        self.members = MemberFigures::default();
        self.deaths.fill(Deaths::default());
        (self.conflicts, self.lagged) = (0, 0);
        if let Some(log) = &mut self.log {
            log.clear();
        }
    }

    pub(crate) fn died(&mut self, now: u64, subject: usize) {
        if let Some(deaths) = self.deaths.get_mut(subject) {
            deaths.count += 1;
            deaths.first.get_or_insert(Instant::from_micros(now));
            deaths.last = Some(Instant::from_micros(now));
        }
    }

    /// Forgets the deaths of one node, so that the next is its first again.
    pub(crate) fn forget_deaths(&mut self, subject: usize) {
        if let Some(deaths) = self.deaths.get_mut(subject) {
            *deaths = Deaths::default();
        }
    }

    pub(crate) fn entry(&mut self, now: u64, observer: usize, key: &[u8], change: EntryChange, conflict: bool) {
        self.conflicts += u64::from(conflict);
        if let Some(watch) = &mut self.watch {
            if change == EntryChange::Put && watch.key == key {
                watch.see(now, observer);
            }
        }
        if self.log.is_some() {
            self.log_event(now, observer, Happening::Entry { key: Vec::from(key), change, conflict });
        }
    }

    pub(crate) fn log_event(&mut self, now: u64, observer: usize, what: Happening) {
        if let Some(log) = &mut self.log {
            log.push(Seen { at: Instant::from_micros(now), observer, what });
        }
    }
}
