//! The comparison that this node has begun: with whom, and when to ask again. One per table.
//!
//! Knows: the other side, the retry, and the pause after a comparison that led to nothing (rule R6). Does not know: the
//! tree. The other side keeps nothing at all.

use core::time::Duration;

use crate::time::Instant;

/// A comparison under way, or none.
#[derive(Debug)]
pub(crate) struct Session {
    peer: Option<usize>,
    tries: u8,
    progress: bool,
    asked: bool,
    /// How often was asked since either side last changed.
    asks: u8,
    /// The other side's root, as it was heard last.
    root: u32,
    pause: Duration,
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
            peer: None,
            tries: 0,
            progress: false,
            asked: false,
            asks: 0,
            root: 0,
            pause: PAUSE_MIN,
            paused_until: Instant::ZERO,
            next: None,
        }
    }

    /// A member differs from us: begin after `delay`, unless a session is under way or pausing.
    pub(crate) fn begin(&mut self, now: Instant, peer: usize, delay: Duration) {
        if self.peer.is_none() && now >= self.paused_until {
            (self.peer, self.tries, self.progress, self.asks) = (Some(peer), 0, false, 0);
            self.next = Some(now + delay);
        }
    }

    /// The time has come: ask, again after `retry` if nothing arrives by then; or give up.
    pub(crate) fn timeout(&mut self, now: Instant, retry: Duration) -> Step {
        let Some(peer) = self.peer else { return Step::Over };
        if self.progress {
            (self.tries, self.progress) = (0, false);
        }
        if self.tries >= TRIES_MAX || self.asks >= ASKS_MAX {
            self.end(now, false);
            return Step::Over;
        }
        self.tries += 1;
        self.asks += 1;
        self.next = Some(now + retry * u32::from(self.tries));
        Step::Ask(peer)
    }

    /// Another member is asked in place of the one so far.
    pub(crate) fn ask(&mut self, peer: usize) {
        self.peer = Some(peer);
    }

    /// Something of the comparison came from the other side: it is at work, so ask again later. What else comes from it, a
    /// ping or a round, does not count: if it came often, it would put off asking for ever.
    pub(crate) fn heard(&mut self, now: Instant, peer: usize, retry: Duration) {
        if self.peer == Some(peer) && self.tries > 0 {
            self.progress = true;
            self.next = Some(now + retry);
        }
    }

    /// The other side's root was heard. While neither side changes nothing moves, however much is said: one may refuse
    /// what the other has.
    pub(crate) fn saw(&mut self, peer: usize, root: u32) {
        if self.peer == Some(peer) && core::mem::replace(&mut self.root, root) != root {
            self.asks = 0;
        }
    }

    /// Both sides are equal, or the other is gone.
    pub(crate) fn end(&mut self, now: Instant, equal: bool) {
        if self.peer.take().is_some() {
            if equal {
                self.pause = PAUSE_MIN;
            } else {
                self.paused_until = now + self.pause;
                self.pause = (self.pause * 2).min(PAUSE_MAX);
            }
        }
        self.next = None;
    }

    /// What we hold has changed: another comparison may lead to something.
    pub(crate) fn resume(&mut self) {
        self.pause = PAUSE_MIN;
        self.paused_until = Instant::ZERO;
        self.asks = 0;
    }

    /// Something was found to be missing and asked for: compare again, since it may not come.
    pub(crate) fn asked(&mut self) {
        self.asked = true;
    }

    /// Whether the last question was answered, and nothing was missing any more.
    pub(crate) fn is_done(&mut self) -> bool {
        !core::mem::take(&mut self.asked) && self.progress
    }

    pub(crate) fn with(&self) -> Option<usize> {
        self.peer
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }
}

/// How often the same is asked without anything coming of it: at 30 % loss each way, all four fail in 7 % of sessions.
const TRIES_MAX: u8 = 4;
/// How often is asked while neither side changes: what is lost on the way is asked for again, what is refused is not.
const ASKS_MAX: u8 = 16;
/// The pauses of rule R6.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(600);
