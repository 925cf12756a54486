//! Catching up: a node that holds next to nothing fetches all that others hold, in lanes.
//!
//! Knows: lanes, which are parts of the key space that hold about as much each; how far each is, whom it is asked of, and
//! how many datagrams are asked for at once. Does not know: entries, or what a question looks like. Whoever answers keeps
//! rows alone: a question says from which key on, and how many datagrams may be sent.
//! Full: there are as many lanes as memory was given for; parts beyond are left to a comparison, and so is all with none.

use crate::slab::index::{Key, Prefix};
use crate::slab::{Ix, Slice};
use crate::time::Instant;

/// Whether a node can have lanes: lent memory has no room for them, so what only fetching needs is left out.
pub(crate) const POSSIBLE: bool = cfg!(all(feature = "catchup", feature = "alloc"));

/// A part of the key space, and how far it has been fetched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane {
    /// What was fetched is before it; its first bits are those of the part.
    at: Key,
    depth: u8,
    state: State,
    /// The number of the last question, and how many datagrams of its answer are still to come.
    number: u8,
    left: u8,
    /// Of what was lost before other datagrams of its answer: how many datagrams are to be sent anew; 0: no end but the part's.
    lost: u8,
    /// When it was asked: after how many other questions.
    asked: u16,
    to: Ix,
    /// When it was asked, or when the last of its answer came.
    since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Asked,
    Done,
}

impl Lane {
    #[cfg(feature = "alloc")]
    pub(crate) const EMPTY: Self = Self {
        at: Key::new(0, 0),
        depth: 0,
        state: State::Done,
        number: 0,
        left: 0,
        lost: 0,
        asked: 0,
        to: 0,
        since: Instant::ZERO,
    };
}

/// How far a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It has not begun, or is done.
    Off,
    /// It has asked which parts there are.
    Looking,
    /// It fetches them.
    Fetching,
}

/// What a datagram of an answer says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) tag: u16,
    pub(crate) left: u8,
    /// Where the next one goes on; `None`: there is no more in this part.
    pub(crate) next: Option<Key>,
}

/// A question: all under the prefix from `at` on, in so many datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) to: usize,
    pub(crate) at: Key,
    pub(crate) depth: u8,
    pub(crate) tag: u16,
    pub(crate) datagrams: u8,
}

/// The lanes of one node.
#[derive(Debug)]
pub(crate) struct Lanes<'a> {
    lanes: Slice<'a, Lane>,
    used: u8,
    phase: Phase,
    /// How many datagrams are asked for at once in all lanes.
    window: u8,
    tries: u8,
    asked: u16,
    sources: heapless::Vec<Ix, SOURCES_MAX>,
    /// How many entries the first source has.
    count: u32,
    next: Option<Instant>,
    /// How long it lately took until an answer began, at most, in µs.
    took: u64,
}

impl<'a> Lanes<'a> {
    pub(crate) fn new(lanes: Slice<'a, Lane>) -> Self {
        let sources = heapless::Vec::new();
        Self {
            lanes,
            used: 0,
            phase: Phase::Off,
            window: 0,
            tries: 0,
            asked: 0,
            sources,
            count: 0,
            next: None,
            took: 0,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        if POSSIBLE { self.phase } else { Phase::Off }
    }

    /// Whether the first question went unanswered.
    pub(crate) fn is_again(&self) -> bool {
        self.tries > 0
    }

    /// The number of the first lane whose part is not known before it is asked for.
    pub(crate) fn first(&self) -> u8 {
        self.used
    }

    /// When to call [`Lanes::silent`].
    pub(crate) fn next(&self) -> Option<Instant> {
        if POSSIBLE { self.next } else { None }
    }

    pub(crate) fn is_possible(&self) -> bool {
        POSSIBLE && !self.lanes.is_empty()
    }

    /// Begins at a member, whose answer takes `retry` µs at most; these parts are fetched from it before it has said which
    /// there are.
    pub(crate) fn begin(&mut self, member: usize, retry: u64, first: impl Iterator<Item = Prefix>) -> u8 {
        (self.phase, self.used, self.window, self.tries) = (Phase::Looking, 0, WINDOW_FIRST, 0);
        self.took = retry;
        self.sources.clear();
        let _ = self.sources.push(member as Ix);
        first.for_each(|part| self.add(part, true));
        self.used
    }

    fn add(&mut self, part: Prefix, wanted: bool) {
        let Some(lane) = self.lanes.get_mut(usize::from(self.used)) else { return };
        *lane = Lane {
            at: part.first(),
            depth: part.len(),
            state: if wanted { State::Idle } else { State::Done },
            number: 0,
            left: 0,
            lost: 0,
            asked: 0,
            to: 0,
            since: Instant::ZERO,
        };
        self.used += 1;
    }

    /// The first member has said how many entries it has, and which parts there are; or another one the same.
    /// The first parts come without being asked for: as many and as much as was asked for with the question, or nothing.
    pub(crate) fn take_parts(
        &mut self,
        now: Instant,
        member: usize,
        count: u32,
        parts: impl Iterator<Item = Prefix>,
        wanted: impl Fn(&Prefix) -> bool,
        unasked: u8,
    ) {
        match self.phase {
            Phase::Looking => {
                if self.sources.first() != Some(&(member as Ix)) {
                    self.sources.clear();
                    let _ = self.sources.push(member as Ix);
                }
                (self.phase, self.count, self.tries) = (Phase::Fetching, count, 0);
                let begun = usize::from(self.used);
                parts.for_each(|part| self.add(part, wanted(&part)));
                self.asked = self.asked.wrapping_add(1);
                let coming = self.lanes.iter_mut().take(self.used.into()).skip(begun).take(LANES_OPEN);
                for lane in coming.filter(|lane| unasked > 0 && lane.state == State::Idle) {
                    (lane.state, lane.left, lane.to) = (State::Asked, unasked, member as Ix);
                    (lane.asked, lane.since) = (self.asked, now);
                    self.asked = self.asked.wrapping_add(1);
                }
            }
            // One that has as good as all of it is as good.
            Phase::Fetching if count >= self.count - self.count / 8 && !self.sources.contains(&(member as Ix)) => {
                let _ = self.sources.push(member as Ix);
            }
            _ => {}
        }
    }

    /// A datagram of an answer has come. What was lost before it is asked for again, and so is that of which nothing has
    /// come for `retry` µs, while this came.
    pub(crate) fn take(&mut self, now: Instant, retry: u64, from: usize, seen: Seen) {
        if self.phase == Phase::Fetching {
            self.tries = 0;
        }
        let (lane_at, number) = (usize::from(seen.tag >> 8), seen.tag as u8);
        let used = usize::from(self.used);
        let Some(lane) = self.lanes.iter_mut().take(used).nth(lane_at) else { return };
        if lane.state != State::Asked || lane.number != number || lane.to as usize != from || seen.left >= lane.left {
            return;
        }
        let lost = lane.left - 1 - seen.left;
        let gap_lane = lane.lost > 0;
        let gap = Lane { lost, state: State::Idle, ..*lane };
        self.took = (self.took - self.took / TOOK_FADES).max((now - lane.since).as_micros() as u64);
        (lane.left, lane.since) = (seen.left, now);
        lane.lost = lane.lost.min(seen.left);
        match seen.next {
            // Nothing beyond its part, whatever is said, and never back.
            Some(next) if next >= lane.at && Prefix::of(lane.at, lane.depth).contains(next) => lane.at = next,
            _ => lane.state = State::Done,
        }
        let ended = lane.left == 0 || lane.state == State::Done;
        if lane.left == 0 && lane.state == State::Asked {
            lane.state = if gap_lane { State::Done } else { State::Idle };
        }
        let asked = lane.asked;
        if lost > 0 {
            self.add_lost(gap);
            // Links lose some without being full.
            self.window = self.window.saturating_sub(lost.saturating_mul(LOST_COST)).max(WINDOW_MIN);
        } else {
            self.window = self.window.saturating_add(1).min(WINDOW_MAX);
        }
        // They are answered in order: what was asked well before and is not answered in full will not be. Of others there is
        // the time alone.
        let wait = self.took.saturating_mul(2).min(retry);
        let late = |lane: &&mut Lane| {
            let age = asked.wrapping_sub(lane.asked);
            let passed = ended && lane.to as usize == from && (LATE..u16::MAX / 2).contains(&age);
            lane.state == State::Asked && (passed || lane.since.plus(wait) <= now)
        };
        for lane in self.lanes.iter_mut().take(used).filter(late) {
            lane.state = State::Idle;
            self.window = self.window.saturating_sub(LOST_COST).max(WINDOW_MIN);
        }
    }

    /// Takes a lane that is free for what was lost; if there is none, it is left to the comparison.
    fn add_lost(&mut self, gap: Lane) {
        let used = usize::from(self.used);
        let done = self.lanes.iter().take(used).position(|lane| lane.state == State::Done);
        // Before the parts are known their lanes are numbered already.
        let at = done.or((self.phase == Phase::Fetching).then_some(used));
        let Some(lane) = at.and_then(|at| self.lanes.get_mut(at)) else { return };
        *lane = Lane { number: lane.number, ..gap };
        self.used += u8::from(done.is_none());
    }

    /// The next question, if a lane waits for one.
    pub(crate) fn ask(&mut self, now: Instant) -> Option<Question> {
        let used = usize::from(self.used);
        let count = |state| self.lanes.iter().take(used).filter(|lane| lane.state == state).count();
        let asked = count(State::Asked);
        let open = (asked + count(State::Idle)).min(LANES_OPEN);
        if asked >= LANES_OPEN {
            return None;
        }
        // What was lost comes first.
        let idle = self.lanes.iter().take(used).enumerate().filter(|(_, lane)| lane.state == State::Idle);
        let (at, lane) = idle.min_by_key(|(_, lane)| lane.lost == 0)?;
        let (lost, last) = (lane.lost, lane.to);
        // The source with the fewest open questions.
        let lanes = self.lanes.get(..used)?;
        let load = |source: &&Ix| lanes.iter().filter(|lane| lane.state == State::Asked && lane.to == **source).count();
        // Who sent the others of the same answer divides it in the same way.
        let same = self.sources.iter().find(|source| lost > 0 && **source == last);
        let to = *same.or_else(|| self.sources.iter().min_by_key(load))?;
        let share = (self.window / (open as u8).max(1)).clamp(RUN_MIN, RUN_MAX);
        let datagrams = if lost > 0 { lost } else { share };
        self.asked = self.asked.wrapping_add(1);
        let asked = self.asked;
        let lane = self.lanes.get_mut(at)?;
        lane.number = lane.number.wrapping_add(1);
        (lane.state, lane.left, lane.asked, lane.to, lane.since) = (State::Asked, datagrams, asked, to, now);
        let tag = (at as u16) << 8 | u16::from(lane.number);
        Some(Question { to: to as usize, at: lane.at, depth: lane.depth, tag, datagrams })
    }

    /// Something has come, so ask again later.
    pub(crate) fn heard(&mut self, now: Instant, retry: u64) {
        self.next = (self.phase != Phase::Off).then(|| now.plus(retry));
    }

    /// Nothing came for a while: all that is open is asked for anew; false: it is given up.
    pub(crate) fn silent(&mut self) -> bool {
        self.tries += 1;
        let used = usize::from(self.used);
        for lane in self.lanes.iter_mut().take(used).filter(|lane| lane.state == State::Asked) {
            lane.state = State::Idle;
        }
        self.window = (self.window / 2).max(WINDOW_MIN);
        // Another source comes first.
        if self.tries > 1 && self.sources.len() > 1 {
            self.sources.rotate_left(1);
        }
        self.tries < TRIES
    }

    /// Whether all lanes are at their end.
    pub(crate) fn is_done(&self) -> bool {
        let used = usize::from(self.used);
        self.phase == Phase::Fetching && self.lanes.iter().take(used).all(|lane| lane.state == State::Done)
    }

    /// Whom to compare with now that it is over; or it never began.
    pub(crate) fn end(&mut self) -> Option<usize> {
        if !POSSIBLE {
            return None;
        }
        (self.phase, self.next, self.used) = (Phase::Off, None, 0);
        self.sources.first().map(|source| *source as usize)
    }

    /// A member is gone.
    pub(crate) fn forget(&mut self, member: usize) {
        if !POSSIBLE {
            return;
        }
        self.sources.retain(|source| *source as usize != member);
        for lane in self.lanes.iter_mut().filter(|lane| lane.state == State::Asked && lane.to as usize == member) {
            lane.state = State::Idle;
        }
    }
}

/// How many lanes there are: the sixteen parts of each of four topics, and more, beside topics that come first.
#[cfg(feature = "alloc")]
pub(crate) const LANES: usize = 84;
/// How many of them are open at once; so many questions find room among what is owed.
pub(crate) const LANES_OPEN: usize = 16;
/// How many datagrams of each of the first parts come with the answer which parts there are.
pub(crate) const UNASKED: u8 = 4;
/// How many topics can come first.
pub(crate) const FIRST_MAX: usize = if POSSIBLE { 4 } else { 0 };
/// From how many members is fetched at once.
pub(crate) const SOURCES_MAX: usize = if POSSIBLE { 4 } else { 0 };
/// Datagrams under way: 10 Mb/s times 50 ms are 45 of 1,400 B.
const WINDOW_FIRST: u8 = 64;
const WINDOW_MIN: u8 = 24;
const WINDOW_MAX: u8 = 128;
/// By how many datagrams less are asked for at once for each that is lost: at a loss of a fifth as many as before.
const LOST_COST: u8 = 4;
/// Datagrams in one answer: the most bounds what a forged question sets off.
const RUN_MIN: u8 = 4;
pub(crate) const RUN_MAX: u8 = 32;
/// An answer to a question that was asked so many questions later of the same member shows that the rest of an answer is
/// lost: two, since datagrams may overtake each other.
const LATE: u16 = 2;
/// How much of the longest wait for an answer is forgotten with each datagram: little in one answer of 32.
const TOOK_FADES: u64 = 64;
/// How often nothing may come, at a wait of some round trips each.
const TRIES: u8 = 8;
