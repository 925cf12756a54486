//! Interest: which topics this node wants, what it has no room for, and what it has in common with each member. A topic is
//! what stands before the first `/` of the keys of entries and of the topics of messages.
//!
//! A node's scope is in its record, behind the tags, so every member knows what to send it and what to compare. Two nodes
//! compare what both want; they agree when that is equal. What a node wants no longer is dropped a few entries at a time.
//!
//! Without feature `interest` a node wants all, always, and an entry that finds no room is refused and counted; what others
//! want it heeds all the same.
//!
//! Full (rule R6): when an entry of another node finds no room, the ceiling of the heaviest topic is lowered by a 32nd, at
//! most once a second, and what is above is dropped ([`Event::Shed`](crate::Event::Shed)). Below half use ceilings rise
//! again, one 32nd per ten seconds.

use core::time::Duration;

use super::{Lifecycle, Node};
use crate::error::{InterestError, TagsError};
use crate::membership::{OWN, append_scope, scope_len, split_scope};
use crate::slab::Link;
use crate::slab::index::{Key, Prefix};
use crate::slab::scope::{CEILING_MAX, OwnScope, POSSIBLE, Scope, TOPICS_MAX};
use crate::stats::Count;
use crate::time::Instant;
use crate::wire::Table;

/// What is under way to make a scope true, where a node can have one.
pub(super) type Sheddings = [Shedding; POSSIBLE as usize];

#[derive(Debug, Default)]
pub(super) struct Shedding {
    /// Where the walk over all entries, and then over all windows, goes on that drops what is not wanted.
    from: Option<(Table, Key)>,
    /// When to tell the others what is wanted, once that walk is over.
    announce: Option<Instant>,
    /// When a ceiling was changed last.
    changed: Instant,
    /// Whether entries were dropped for want of room and the application was not told.
    pub(super) untold: bool,
}

impl Node<'_> {
    /// How many topics a node may subscribe to, unless it wants all: 0 without feature `interest`.
    pub const TOPICS_MAX: usize = if POSSIBLE { TOPICS_MAX } else { 0 };

    /// Wants the entries and messages of these topics alone, in place of what it wanted: it stores, passes on and repairs
    /// no others, but for messages that it publishes itself. What it lacks is pulled from the others, as far as it lives; what it holds beyond is dropped, and no event tells of
    /// that. A message that was told is not told again when its topic is wanted again. A key or a
    /// message's topic without a `/` is a topic of its own.
    ///
    /// # Errors
    /// Too many topics, too many beside the tags, or a node that has left; nothing is changed.
    pub fn subscribe<'t>(
        &mut self,
        now: Instant,
        topics: impl IntoIterator<Item = &'t [u8]>,
    ) -> Result<(), InterestError> {
        let names = topics.into_iter().map(|topic| self.store.topic_hash(topic));
        let max = if self.config.has_interest() { Self::TOPICS_MAX } else { 0 };
        let scope = OwnScope::of_topics(names).filter(|_| max > 0).ok_or(InterestError::TooManyTopics { max })?;
        self.set_scope(now, scope)
    }

    /// Wants all entries and messages, as a new node does.
    ///
    /// # Errors
    /// A node that has left.
    pub fn subscribe_all(&mut self, now: Instant) -> Result<(), InterestError> {
        self.set_scope(now, OwnScope::ALL)
    }

    /// Whether this node wants an entry with this key: it has subscribed to the topic, and has room for this part of it.
    #[must_use]
    pub fn wants(&self, key: &[u8]) -> bool {
        self.store.wants(key)
    }

    /// How much of a topic this node wants, in 32nds of its keys: 32 is all, 0 that it has not subscribed. Less than 32 is
    /// for want of room.
    #[must_use]
    pub fn ceiling(&self, topic: &[u8]) -> u8 {
        self.store.scope.ceiling(self.store.topic_hash(topic))
    }

    fn set_scope(&mut self, now: Instant, scope: OwnScope) -> Result<(), InterestError> {
        let now = self.advance(now);
        if matches!(self.lifecycle, Lifecycle::Leaving | Lifecycle::Left) {
            return Err(InterestError::Left);
        }
        if self.store.scope == scope {
            return Ok(());
        }
        if self.own_tags().len() + scope_len(&scope) > Self::TAGS_LEN_MAX {
            return Err(InterestError::TagsTooLong { max: Self::TAGS_LEN_MAX });
        }
        self.store.scope = scope;
        // What is dropped makes room for what is to be announced.
        if let Some(shedding) = self.shedding.first_mut() {
            (shedding.from, shedding.announce) = (Some((Table::Entries, Key::default())), Some(now));
        }
        // What was equal need not be so any longer.
        self.members.new_epoch();
        self.session(Table::Entries).resume();
        self.session(Table::Messages).resume();
        Ok(())
    }

    /// This node's tags, without the scope behind them.
    fn own_tags(&self) -> &[u8] {
        let tags = self.members.get(OWN).and_then(|slot| slot.tags.get());
        tags.map_or(&[], |blob| split_scope(self.store.blob(blob)).0)
    }

    /// Announces tags, which are the first bytes, and the scope.
    pub(super) fn keep_record(&mut self, now: Instant, buf: &mut [u8], len: usize) -> Result<(), TagsError> {
        if matches!(self.lifecycle, Lifecycle::Leaving | Lifecycle::Left) {
            return Err(TagsError::Left);
        }
        let len = append_scope(buf, len, &self.store.scope).ok_or(TagsError::TooLong { max: Self::TAGS_LEN_MAX })?;
        let bytes = buf.get(..len).unwrap_or_default();
        let old = self.members.get(OWN).map_or(Link::NONE, |slot| slot.tags);
        let kept = if bytes.is_empty() {
            self.drop_tags(old);
            Link::NONE
        } else {
            Link::to(self.store.blob_put(old.get(), bytes).ok_or(TagsError::Full)?)
        };
        self.members.update(OWN, |slot| {
            slot.tags = kept;
            slot.tags_version = slot.tags_version.saturating_add(1);
        });
        self.announce(now);
        Ok(())
    }

    /// What a member wants, as far as it is known.
    pub(super) fn scope_of(&self, ix: usize) -> Scope {
        let mut scope = Scope::ALL;
        scope.cut(self.said(ix));
        scope
    }

    /// What this node and a member both want.
    pub(super) fn scope_with(&self, peer: Option<usize>) -> Scope {
        let mut scope = Scope::ALL;
        self.cut(&mut scope, peer);
        scope
    }

    /// Makes all into what this node and a member both want; in its place, for a scope is large.
    pub(super) fn cut(&self, scope: &mut Scope, peer: Option<usize>) {
        scope.cut(peer.map_or(&[], |ix| self.said(ix)));
        self.store.scope.narrow(scope);
    }

    /// What a member said that it wants, as bytes.
    fn said(&self, ix: usize) -> &[u8] {
        let tags = self.members.get(ix).and_then(|slot| slot.tags.get());
        tags.map_or(&[], |blob| split_scope(self.store.blob(blob)).1)
    }

    /// When some more is to be dropped, or a scope to be announced.
    pub(super) fn shed_at(&self) -> Option<Instant> {
        self.shedding.first()?.announce
    }

    /// Looks at some entries or windows, and drops what is not wanted; after the last, tells the others what is wanted.
    pub(super) fn shed(&mut self, now: Instant) {
        let Some(shedding) = self.shedding.first_mut() else { return };
        if let Some((table, from)) = shedding.from {
            let (next, shed) = match table {
                Table::Messages if cfg!(feature = "messages") => self.store.shed_windows(self.life, from, SHED_WINDOWS),
                _ => self.store.shed(from, SHED_LOOK),
            };
            let windows = (Table::Messages, Key::default());
            let then = if table == windows.0 || !self.store.has_windows() { None } else { Some(windows) };
            shedding.from = next.map(|next| (table, next)).or(then);
            self.stats.entries_shed += Count::from(shed);
            self.refresh_root();
        } else if shedding.announce.take_if(|at| *at <= now).is_some() {
            let mut tags = [0; Self::TAGS_LEN_MAX];
            let own = self.own_tags();
            let len = own.len();
            tags.iter_mut().zip(own).for_each(|(to, from)| *to = *from);
            if let (Err(_), Some(shedding)) = (self.keep_record(now, &mut tags, len), self.shedding.first_mut()) {
                shedding.announce = Some(now + LOWER_WAIT);
            }
        }
    }

    /// There was no room for an entry of another node.
    #[inline(never)]
    pub(super) fn lower_a_ceiling(&mut self, now: Instant) {
        let ready = |shedding: &Shedding| shedding.announce.is_none() && now >= shedding.changed + LOWER_WAIT;
        if !self.config.has_interest() || !self.shedding.iter().any(ready) {
            return;
        }
        let topic = self.heaviest_topic();
        self.move_ceiling(now, topic, self.store.scope.ceiling(topic).saturating_sub(1));
    }

    /// As one finds it by following the heaviest part.
    #[inline(never)]
    fn heaviest_topic(&self) -> u32 {
        let tree = self.tree(Table::Entries, None);
        let mut prefix = Prefix::ROOT;
        while prefix.len() < TOPIC_BITS {
            let heaviest = (0..16).map(|nibble| prefix.child(nibble)).max_by_key(|part| tree.count(*part));
            prefix = heaviest.unwrap_or(prefix);
        }
        prefix.first().topic()
    }

    /// There may be room for a little more of what was dropped.
    pub(super) fn raise_a_ceiling(&mut self, now: Instant) {
        let Some(shedding) = self.shedding.first() else { return };
        let Some((topic, ceiling)) = self.store.scope.lowest() else { return };
        let ((used, room), (bytes, bytes_max)) = (self.store.used(), self.store.bytes_used());
        if now >= shedding.changed + RAISE_WAIT && used * 2 < room && bytes * 2 < bytes_max {
            self.move_ceiling(now, topic, (ceiling + 1).min(CEILING_MAX));
        }
    }

    fn move_ceiling(&mut self, now: Instant, topic: u32, ceiling: u8) {
        let mut scope = self.store.scope.clone();
        let lower = ceiling < scope.ceiling(topic);
        if let Some(shedding) = self.shedding.first_mut() {
            shedding.changed = now;
        }
        // A scope that lists all it can is left as it is: what finds no room is refused and counted.
        let moved = scope.set(topic, ceiling).is_some() && self.set_scope(now, scope).is_ok();
        if let Some(shedding) = self.shedding.first_mut().filter(|_| moved) {
            shedding.untold |= lower;
        }
    }
}

/// How many entries are looked at in one call, and how many windows, of 64 messages each.
const SHED_LOOK: usize = 64;
const SHED_WINDOWS: usize = 4;
/// How long a lowered ceiling is given to make room, and how long a raised one to fill it: guesses well above a session.
const LOWER_WAIT: Duration = Duration::from_secs(1);
const RAISE_WAIT: Duration = Duration::from_secs(10);
/// How much of a place in the index is the topic's.
const TOPIC_BITS: u8 = 32;
