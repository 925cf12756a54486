//! The comparison that this node has begun: with whom, and when to ask again. One per table.
//!
//! Knows: the other side, the retry, and the pause after a comparison that led to nothing (rule R6). Does not know: the
//! tree. The other side keeps nothing at all.

use crate::slab::Link;
use crate::time::Instant;

/// A comparison under way, or none.
#[derive(Debug)]
pub(crate) struct Session {
    peer: Link,
    tries: u8,
    /// How often was asked since either side last changed.
    futile: u8,
    /// What both sides were when it was last asked.
    mark: u64,
    progress: bool,
    asked: bool,
    /// In seconds.
    pause: u16,
    paused_until: Instant,
    next: Option<Instant>,
}

/// What a session's timeout asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send the first digests to this member.
    Ask(usize),
    /// Nothing: it is over.
    Over,
}

impl Session {
    pub(crate) const fn new() -> Self {
        Self {
            peer: Link::NONE,
            tries: 0,
            futile: 0,
            mark: 0,
            progress: false,
            asked: false,
            pause: PAUSE_MIN,
            paused_until: Instant::ZERO,
            next: None,
        }
    }

    /// A member differs from us: begin after `delay` µs, unless a session is under way or pausing.
    pub(crate) fn begin(&mut self, now: Instant, peer: usize, delay: u64) {
        if self.peer == Link::NONE && now >= self.paused_until {
            (self.peer, self.tries, self.futile, self.progress) = (Link::to(peer), 0, 0, false);
            self.next = Some(now.plus(delay));
        }
    }

    /// The time has come: ask, again after `retry` µs if nothing arrives by then; or give up after so many tries. `mark` is
    /// another one whenever either side has changed.
    pub(crate) fn timeout(&mut self, now: Instant, retry: u64, mark: u64, tries_max: u8) -> Step {
        let Some(peer) = self.peer.get() else { return Step::Over };
        let moved = core::mem::replace(&mut self.mark, mark) != mark;
        self.futile = if moved { 0 } else { self.futile.saturating_add(1) };
        if self.progress {
            (self.tries, self.progress) = (0, false);
        }
        if self.tries >= tries_max || self.futile >= FUTILE_MAX {
            self.end(now, false);
            return Step::Over;
        }
        self.tries += 1;
        self.next = Some(now.plus(retry * u64::from(self.tries)));
        Step::Ask(peer)
    }

    /// Another member is asked in place of the one so far.
    pub(crate) fn ask(&mut self, peer: usize) {
        self.peer = Link::to(peer);
    }

    /// Something of the comparison came from the other side: it is at work, so ask again later. What else comes from it, a
    /// ping or a round, does not count: if it came often, it would put off asking for ever.
    pub(crate) fn heard(&mut self, now: Instant, peer: usize, retry: u64) {
        if self.peer.get() == Some(peer) && self.tries > 0 {
            self.progress = true;
            self.next = Some(now.plus(retry));
        }
    }

    /// Both sides are equal, or the other is gone.
    pub(crate) fn end(&mut self, now: Instant, equal: bool) {
        if self.with().is_some() {
            self.peer = Link::NONE;
            if equal {
                self.pause = PAUSE_MIN;
            } else {
                self.paused_until = now.plus(u64::from(self.pause) * 1_000_000);
                self.pause = (self.pause * 2).min(PAUSE_MAX);
            }
        }
        self.next = None;
    }

    /// What we hold has changed: another comparison may lead to something.
    pub(crate) fn resume(&mut self) {
        self.pause = PAUSE_MIN;
        self.paused_until = Instant::ZERO;
        self.futile = 0;
    }

    /// Something was found to be missing and asked for: compare again, since it may not come.
    pub(crate) fn asked(&mut self) {
        self.asked = true;
    }

    /// Whether the last question was answered, and nothing was missing any more.
    pub(crate) fn is_done(&mut self) -> bool {
        !core::mem::take(&mut self.asked) && self.progress
    }

    /// How often the same was asked without anything coming of it.
    pub(crate) fn tries(&self) -> u8 {
        self.tries
    }

    pub(crate) fn with(&self) -> Option<usize> {
        self.peer.get()
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.next.is_some_and(|at| at <= now)
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }
}

/// How often is asked while neither side changes: what is lost on the way is asked for again, what is refused is not.
const FUTILE_MAX: u8 = 16;
/// The pauses of rule R6, in seconds.
const PAUSE_MIN: u16 = 1;
const PAUSE_MAX: u16 = 600;
