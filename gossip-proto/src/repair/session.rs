//! The comparison that this node has begun: with whom, and when to ask again. One per table.
//!
//! Knows: the other side, the retry, whose turn it is, and the pause after a comparison that led to nothing (rule R6), for
//! that member or for all. Does not know: the tree. The other side keeps nothing at all.

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
    /// How long the next pause is, in seconds, and until when the last one is.
    pause: u16,
    paused_until: Instant,
    /// Whom the pause is for: a bit for each number of a slot modulo 16, or all of them.
    paused: u16,
    /// Whether a pause is for all at once.
    for_all: bool,
    /// Until when nobody else takes the place of the other side; and whether it was not asked yet.
    turn_until: Instant,
    fresh: bool,
    /// Whether what we hold has changed since it began.
    changed: bool,
    /// When something is due, if ever.
    next: Instant,
}

/// How many tables are compared.
pub(crate) const TABLES: usize = if cfg!(feature = "messages") { 3 } else { 2 };

/// What a session's timeout asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send the first digests to this member.
    Ask(usize),
    /// Nothing: it is over.
    Over,
}

impl Session {
    /// One for each table: members, whose questions go to somebody else after the first, entries, and messages, if there are any.
    #[cfg(feature = "messages")]
    pub(crate) const ALL: [Self; TABLES] = [Self::new(true), Self::new(false), Self::new(true)];
    #[cfg(not(feature = "messages"))]
    pub(crate) const ALL: [Self; TABLES] = [Self::new(true), Self::new(false)];

    const fn new(for_all: bool) -> Self {
        Self {
            peer: Link::NONE,
            tries: 0,
            futile: 0,
            mark: 0,
            progress: false,
            asked: false,
            pause: PAUSE_MIN,
            paused_until: Instant::ZERO,
            paused: 0,
            for_all,
            turn_until: Instant::ZERO,
            fresh: false,
            changed: false,
            next: Instant::NEVER,
        }
    }

    /// A member differs from us: begin after `delay` µs, unless a session is under way or pausing.
    pub(crate) fn begin(&mut self, now: Instant, peer: usize, delay: u64) {
        if self.peer == Link::NONE && (now >= self.paused_until || self.paused & bit(peer) == 0) {
            (self.peer, self.tries, self.futile, self.progress) = (Link::to(peer), 0, 0, false);
            self.next = now.plus(delay);
            (self.turn_until, self.fresh, self.changed) = (self.next.plus(TURN_MIN), true, false);
        }
    }

    /// Another member differs from us, too: it has its turn when the one so far has had its own. So one that never ends,
    /// whatever it says, keeps nobody else waiting for long; and if nothing came of it here, it has its pause.
    #[inline(never)]
    pub(crate) fn take_turns(&mut self, now: Instant, peer: usize) {
        let is_other = self.with().is_some_and(|with| with != peer);
        if is_other && now >= self.turn_until && (now >= self.paused_until || self.paused & bit(peer) == 0) {
            if !self.changed {
                return self.end(now, false);
            }
            self.peer = Link::NONE;
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
        if core::mem::take(&mut self.fresh) {
            self.turn_until = now.plus((retry * TURN_RETRIES).max(TURN_MIN));
        }
        self.tries += 1;
        // A few in a row are lost by chance, more by want of room.
        self.next = now.plus(retry * u64::from(self.tries.saturating_sub(SOON).max(1)));
        Step::Ask(peer)
    }

    /// The question was a small one, and the next follows soon if it is not answered.
    pub(crate) fn ask_more(&mut self, at: Instant) {
        self.next = at;
    }

    /// Another member is asked in place of the one so far.
    pub(crate) fn ask(&mut self, peer: usize) {
        self.peer = Link::to(peer);
    }

    /// Something of the comparison came from the other side: it is at work, so ask again later. What else comes from it, a
    /// ping or a round, does not count: if it came often, it would put off asking for ever.
    pub(crate) fn heard(&mut self, now: Instant, peer: usize, retry: u64) {
        if self.peer.get() != Some(peer) {
        } else if self.tries > 0 {
            self.progress = true;
            self.next = now.plus(retry);
        } else {
            // It compares, and both at once would say everything twice: its turn first.
            self.next = now.plus(OTHERS_TURN.max(retry)).min(self.turn_until).max(self.next);
        }
    }

    /// Both sides are equal, or the other is gone; else the member has a pause, and whoever shares its bit.
    pub(crate) fn end(&mut self, now: Instant, equal: bool) {
        if let Some(peer) = self.with() {
            self.peer = Link::NONE;
            if equal {
                self.pause = PAUSE_MIN;
                self.paused &= !bit(peer);
            } else {
                // Not for all however many refuse what we hold: one may not.
                self.paused |= if self.for_all { u16::MAX } else { bit(peer) };
                self.paused_until = now.plus(u64::from(self.pause) * 1_000_000);
                self.pause = (self.pause * 2).min(PAUSE_MAX);
            }
        }
        self.next = Instant::NEVER;
    }

    /// What we hold has changed: another comparison may lead to something.
    pub(crate) fn resume(&mut self) {
        (self.pause, self.paused, self.futile, self.changed) = (PAUSE_MIN, 0, 0, true);
        self.paused_until = Instant::ZERO;
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

    /// Whether the other side was not asked yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.fresh
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.next <= now
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        Some(self.next).filter(|next| *next < Instant::NEVER)
    }
}

/// How often is asked while neither side changes: what is lost on the way is asked for again, what is refused is not.
const FUTILE_MAX: u8 = 16;
/// The pauses of rule R6, in seconds.
const PAUSE_MIN: u16 = 1;
const PAUSE_MAX: u16 = 600;
/// So often is asked again without waiting any longer.
const SOON: u8 = 2;
/// A turn: at least so long, in µs, and so many waits for an answer, in which a thousand differences are found and sent.
const TURN_MIN: u64 = 1_000_000;
const TURN_RETRIES: u64 = 8;

/// The other's comparison has ended when nothing of it came for so long, in µs: more than it waits for an answer, mostly.
const OTHERS_TURN: u64 = 400_000;

const fn bit(peer: usize) -> u16 {
    1 << (peer % 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    const RETRY: u64 = 20_000;

    /// Begins with a member, and asks until it is given up; says when that was.
    fn in_vain(session: &mut Session, mut now: Instant, peer: usize) -> Instant {
        session.begin(now, peer, 0);
        assert_eq!(session.with(), Some(peer));
        while session.timeout(now, RETRY, 1, 3) == Step::Ask(peer) {
            now = session.next().unwrap();
        }
        now
    }

    #[test]
    fn a_pause_is_for_whom_it_was_in_vain_with() {
        let [_, mut session, _] = Session::ALL;
        let mut now = in_vain(&mut session, at(0), 1);
        session.begin(now, 1, 0);
        assert_eq!(session.with(), None, "it has a pause");
        for peer in 2..=8 {
            now = in_vain(&mut session, now, peer);
        }
        session.begin(now, 9, 0);
        assert_eq!(session.with(), Some(9), "one may not refuse what so many do");
        session.end(now, false);
        for peer in 10..=16 {
            now = in_vain(&mut session, now, peer);
        }
        session.begin(now, 17, 0);
        assert_eq!(session.with(), None, "bits are few");
        session.resume();
        session.begin(now, 1, 0);
        assert_eq!(session.with(), Some(1), "something has changed");
        // Where each question goes to somebody else, so does the pause.
        let [mut session, ..] = Session::ALL;
        now = in_vain(&mut session, at(0), 1);
        session.begin(now, 2, 0);
        assert_eq!(session.with(), None);
    }

    /// One that answers for ever, and is another one each time, has its turn, and the others theirs.
    #[test]
    fn one_that_never_ends_gives_way() {
        let [_, mut session, _] = Session::ALL;
        session.begin(at(0), 1, 0);
        let mut now = at(0);
        for mark in 0..1_000 {
            assert_eq!(session.timeout(now, RETRY, mark, 3), Step::Ask(1), "it seems to lead to something");
            session.heard(now, 1, RETRY);
            now = now.plus(RETRY);
            session.take_turns(now, 2);
            session.begin(now, 2, 0);
            if session.with() == Some(2) {
                break;
            }
        }
        assert_eq!(session.with(), Some(2));
        assert_eq!(now, at(1_000), "after a turn");
        session.take_turns(now, 1);
        assert_eq!(session.with(), Some(2), "it has its own turn");
    }
}
