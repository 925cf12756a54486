//! Comparing by sketches: what has come of the other's cells, and what is to be done about the differences found.
//!
//! Knows: whose cells these are, which of them are missing, and the list of differences. Does not know: the table.
//! When full: the list serves one member at a time, and is as long as a sketch has cells. What finds no room is dropped
//! and counted; who asked asks again. Without memory there is neither, and whoever asks is answered with digests.

use super::Task;
use crate::slab::Slice;
use crate::slab::sketch::{self, CELLS, Cell, Found, Short, WEIGHT_MAX};
use crate::wire::MARKED_LEN;

/// Both sides of an exchange: cells that were asked for, and what another is owed.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    /// The other's cells, and room to work on them.
    theirs: Slice<'a, Cell>,
    work: Slice<'a, Cell>,
    list: Slice<'a, u64>,
    /// Whose cells, and the root that it had: cells of two states do not go together.
    from: Option<(usize, u32)>,
    end: usize,
    /// How many comparisons with the same member came to nothing.
    failures: u8,
    /// Whom the list is for, how long it is, and how much of it is done.
    to: Option<usize>,
    len: usize,
    done: usize,
    /// How often all of it was gone through; and whether it is to be several times, since something of what was said before
    /// is known to have been lost: if it was cells, the questions are.
    said: u8,
    again: bool,
    lossy: bool,
    /// Who was turned away and has the list next, and how many chores of others are turned away until then.
    waiting: Option<(usize, u16)>,
    /// What the last list came from: with whom, their root and ours. The list itself stays in `work`: how long it is, how
    /// often it may be gone through again, whether it is not all that differs, and whether the other was told what we have of it.
    kept: Option<(usize, u32, u32)>,
    kept_len: usize,
    partly: bool,
    repeats: u8,
    checked: bool,
    /// How often it is worth asking for the other's total.
    totals: u8,
    /// Of which keys marks have come that are not answered, in the order in which they came; and which is answered next.
    told: heapless::Vec<Told, TOLD_MAX>,
    told_at: usize,
}

/// Keys of which a member told what it has of them.
#[derive(Clone, Copy, Debug)]
struct Told {
    by: usize,
    topic: u16,
    first: u32,
    last: u32,
    /// Where those that differ begin in the list.
    start: usize,
    /// The number of the datagram: what comes in one is of one piece.
    of: u32,
}

/// What to do about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chore {
    /// Ask for what the other has.
    Want(Short),
    /// Send what we have.
    Send(Short),
}

/// What is lost of what was asked and sent, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// Nothing, or there is no telling: compare anew.
    Compare,
    /// All of it: the list is to be gone through once more.
    Chores,
    /// A part: tell what we have of each key, and hear what the other lacks or has.
    Check,
}

/// What became of cells that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gathered {
    /// More are on the way, or these are of no use.
    Waiting,
    /// All differences were found, or so many that it is worth to begin with these.
    Solved,
    /// It takes the cells from here to there, too.
    More(u16, u16),
    /// It takes digests.
    Failed,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(theirs: Slice<'a, Cell>, work: Slice<'a, Cell>, list: Slice<'a, u64>) -> Self {
        let (from, to, kept) = (None, None, None);
        Self {
            theirs,
            work,
            list,
            from,
            end: 0,
            failures: 0,
            to,
            len: 0,
            done: 0,
            said: 0,
            again: false,
            lossy: false,
            waiting: None,
            kept,
            kept_len: 0,
            partly: false,
            repeats: 0,
            checked: false,
            totals: 0,
            told: heapless::Vec::new(),
            told_at: 0,
        }
    }

    /// A new session begins.
    pub(crate) fn reset(&mut self) {
        (self.from, self.end, self.failures, self.kept) = (None, 0, 0, None);
        (self.totals, self.lossy) = (0, false);
    }

    /// Whether another try with sketches may lead to something.
    pub(crate) fn is_hopeful(&self) -> bool {
        sketch::POSSIBLE && !self.theirs.is_empty() && self.failures < FAILURES_MAX
    }

    /// Takes cells from a member that says that it will send those up to `end`. With the last of them, it compares them with
    /// ours, whose root is `root`, and makes a list of chores. `weigh` says what we count for a key.
    pub(crate) fn take(
        &mut self,
        from: (usize, u32),
        first: usize,
        end: usize,
        cells: impl Iterator<Item = Cell>,
        (ours, root): (&[Cell], u32),
        weigh: impl Fn(Short) -> i32,
    ) -> Gathered {
        if end > self.theirs.len().min(ours.len()) {
            return Gathered::Waiting;
        }
        if self.from != Some(from) {
            (self.from, self.end) = (Some(from), 0);
        }
        if let Some(fresh) = self.theirs.get_mut(self.end..end) {
            fresh.fill(ABSENT);
            self.end = end;
        }
        self.theirs.iter_mut().take(end).skip(first).zip(cells).for_each(|(place, cell)| *place = cell);
        if self.gap(0).is_some() { Gathered::Waiting } else { self.solve((from.0, from.1, root), ours, weigh) }
    }

    /// The first cells that are missing at or after `at`.
    pub(crate) fn gap(&self, at: usize) -> Option<(u16, u16)> {
        let known = self.theirs.get(..self.end)?;
        let first = at + known.get(at..)?.iter().position(|cell| *cell == ABSENT)?;
        let len = known.get(first..)?.iter().position(|cell| *cell != ABSENT);
        Some((first as u16, len.map_or(self.end, |len| first + len) as u16))
    }

    fn solve(&mut self, with: (usize, u32, u32), ours: &[Cell], weigh: impl Fn(Short) -> i32) -> Gathered {
        let (peer, end) = (with.0, self.end);
        if self.to.is_some_and(|to| to != peer) {
            // Somebody else is still being served: whoever asked asks again.
            self.wait(peer);
            return Gathered::Waiting;
        }
        self.waiting = None;
        self.clear_list();
        (self.to, self.kept) = (Some(peer), None);
        let Some(work) = self.work.get_mut(..end) else { return Gathered::Failed };
        work.iter_mut().zip(self.theirs.iter().zip(ours)).for_each(|(to, (b, a))| *to = a.wrapping_sub(*b));
        let (list, len) = (&mut self.list, &mut self.len);
        let is_true = |found: Found, cell| is_plausible(found, weigh(found.key), cell);
        let solved = sketch::decode(work, is_true, |found| {
            for chore in chores(found, weigh(found.key)).into_iter().flatten() {
                if let Some(place) = list.get_mut(*len) {
                    *place = chore.pack();
                    *len += 1;
                }
            }
        });
        // Questions first, since an answer is waited for, and those of one topic side by side.
        list.get_mut(..*len).unwrap_or_default().sort_unstable();
        if !solved {
            work.iter_mut().zip(self.theirs.iter().zip(ours)).for_each(|(to, (b, a))| *to = a.wrapping_sub(*b));
            let after = sketch::cells_after(work);
            if end < self.theirs.len() && after <= MORE_MAX {
                // The list is made anew with those that follow: if the question for them is lost, they are missing.
                self.clear_list();
                self.end = after.min(self.theirs.len());
                self.theirs.get_mut(end..self.end).unwrap_or_default().fill(ABSENT);
                return Gathered::More(end as u16, self.end as u16);
            }
            self.failures = if self.len < end / SOME { FAILURES_MAX } else { self.failures + 1 };
        }
        (self.from, self.end) = (None, 0);
        if !self.is_hopeful() {
            return Gathered::Failed;
        }
        let (Some(work), list) = (self.work.get_mut(..end), &self.list) else { return Gathered::Failed };
        work.iter_mut().zip(list.iter().take(self.len)).for_each(|(to, chore)| *to = *chore);
        work.get_mut(..self.len.min(end)).unwrap_or_default().sort_unstable_by_key(|chore| chore & !SEND);
        // More chores than cells come of no true difference.
        (self.kept, self.kept_len, self.partly) = (Some(with), self.len.min(end), !solved);
        (self.repeats, self.checked) = (REPEATS_MAX, false);
        self.totals = if solved { TOTALS_MAX } else { 0 };
        Gathered::Solved
    }

    /// What to do when no answer comes, or not all of it. While neither side has changed, as far as is known, all is lost,
    /// or the answer is.
    pub(crate) fn again(&mut self, with: (usize, u32, u32), weigh: impl Fn(Short) -> i32) -> Again {
        let is_free = self.to.is_none_or(|to| to == with.0);
        let comes = |chore: &u64| matches!(Chore::unpack(*chore), Chore::Want(key) if weigh(key) == 0);
        if self.partly && self.to.is_none() && !self.work.iter().take(self.kept_len).any(comes) {
            // What a sketch left over is for another.
            self.kept = None;
        }
        let Some(kept) = self.kept.filter(|kept| kept.0 == with.0 && is_free && self.repeats > 0) else {
            // As often as it was told, it is told no more.
            self.kept = self.kept.filter(|kept| kept.0 != with.0);
            return Again::Compare;
        };
        if self.to.is_some() {
            return Again::Chores;
        }
        self.repeats -= 1;
        if kept != with || self.checked {
            self.checked = true;
            return Again::Check;
        }
        let kept = self.work.iter().take(self.kept_len);
        self.list.iter_mut().zip(kept).for_each(|(to, chore)| *to = *chore);
        self.list.get_mut(..self.kept_len).unwrap_or_default().sort_unstable();
        self.clear_list();
        (self.to, self.len) = (Some(with.0), self.kept_len);
        Again::Chores
    }

    /// The keys of one topic from number `at` of the list on, at most so many, each with a mark of what we have, but for
    /// those that have come: with the topic, and where to go on.
    pub(crate) fn marked(
        &mut self,
        to: usize,
        at: usize,
        max: usize,
        weigh: impl Fn(Short) -> i32,
    ) -> Option<(u16, &[u64], usize)> {
        let kept = self.kept.filter(|kept| kept.0 == to).and(self.work.get(at..self.kept_len))?;
        // Cells that come now are late.
        (self.from, self.end) = (None, 0);
        let (mut topic, mut len, mut next) = (None, 0, at);
        for chore in kept.iter().map(|chore| Chore::unpack(*chore)) {
            let (Chore::Want(key) | Chore::Send(key)) = chore;
            let ours = weigh(key);
            if ours == 0 || matches!(chore, Chore::Send(_)) {
                let Some(place) = self.theirs.get_mut(len).filter(|_| len < max) else { break };
                if *topic.get_or_insert(key.topic()) != key.topic() {
                    break;
                }
                *place = key.0 & OWN_BITS | u64::from(mark(ours)) << 24;
                len += 1;
            }
            next += 1;
        }
        Some((topic?, self.theirs.get(..len)?, next))
    }

    /// How often the other's total is to be asked for behind all that was found, or behind what we have of it.
    pub(crate) fn total_times(&self, told: bool) -> u8 {
        match self.kept_len {
            _ if !sketch::POSSIBLE || self.totals == 0 => 0,
            _ if told => self.tell_times().min(TOTAL_TIMES),
            len => u8::from(len >= TOTAL_MIN),
        }
    }

    /// What to ask next, when nothing is known to be on its way: what differs still, once all that was found has come, is looked
    /// for by the total, before it is by another sketch.
    pub(crate) fn next_question(&mut self) -> Task {
        match self.totals.checked_sub(1).filter(|_| self.kept.is_none()) {
            Some(left) => {
                self.totals = left;
                Task::AskTotal { said: 0, times: TOTAL_TIMES }
            }
            None => Task::Sketch,
        }
    }

    /// Several keys differ: if they are in no cell, the total tells none of them.
    pub(crate) fn total_failed(&mut self) {
        if self.kept.is_none() {
            self.totals = 0;
        }
    }

    /// Some cells were lost.
    pub(crate) fn note_loss(&mut self) {
        self.lossy = true;
    }

    /// Whether some of this comparison was lost.
    pub(crate) fn is_losing(&self) -> bool {
        self.lossy || self.checked
    }

    /// How often it is told at once what we have of what was found: once if it may be only late, not lost.
    pub(crate) fn tell_times(&self) -> u8 {
        match self.kept_len {
            _ if self.repeats + 1 == REPEATS_MAX && !self.lossy => 1,
            ..=TELL_OFTEN_MAX => 3,
            _ => 2,
        }
    }

    /// Of what was found there is nothing left to tell.
    pub(crate) fn is_told(&mut self) {
        self.kept = None;
    }

    /// Whether what a member asks for may be lost, since something was.
    pub(crate) fn is_checking(&self, peer: usize) -> bool {
        self.checked && self.kept.is_some_and(|kept| kept.0 == peer)
    }

    /// The other says which keys of a part still differ: no more than these are worth telling again. Both are in order.
    pub(crate) fn narrow(&mut self, peer: usize, topic: u16, (first, last): (u32, u32), keys: &[u8]) {
        let Some(kept) = self.kept.filter(|kept| kept.0 == peer).and(self.work.get_mut(..self.kept_len)) else {
            return;
        };
        let mut differing = keys.chunks_exact(3).filter_map(|key| key.try_into().ok()).peekable();
        let mut len = 0;
        for at in 0..kept.len() {
            let Some(chore) = kept.get(at).copied() else { break };
            let (Chore::Want(key) | Chore::Send(key)) = Chore::unpack(chore);
            let told = key.topic() == topic && (first..=last).contains(&key.own());
            while told && differing.next_if(|other| Short::from_parts(topic, *other) < key).is_some() {}
            if !told || differing.peek().is_some_and(|other| Short::from_parts(topic, *other) == key) {
                if let Some(place) = kept.get_mut(len) {
                    *place = chore;
                    len += 1;
                }
            }
        }
        self.kept_len = len;
        if len == 0 {
            self.kept = None;
        }
    }

    /// The other has told in datagram `of` what it has of these keys, with a mark each: what differs comes next.
    pub(crate) fn heard_marks(&mut self, peer: usize, topic: u16, keys: &[u8], of: u32) {
        let own = |key: Option<&[u8]>| match key {
            Some(&[a, b, c, ..]) => Some(u32::from_le_bytes([a, b, c, 0])),
            _ => None,
        };
        let mut keys = keys.chunks_exact(MARKED_LEN);
        let Some(first) = own(keys.next()).filter(|_| self.to.is_none_or(|to| to == peer)) else { return };
        let last = own(keys.next_back()).unwrap_or(first);
        self.tell_only(peer);
        self.again = true;
        match self.told.last_mut() {
            Some(told) if (told.topic, told.of) == (topic, of) && told.last < first => told.last = last,
            _ => drop(self.told.push(Told { by: peer, topic, first, last, start: self.len, of })),
        }
    }

    /// Which keys of what a member told first differ.
    pub(crate) fn differing(&self, to: usize) -> Option<(u16, (u32, u32), &[u64])> {
        let told = self.told.get(self.told_at).filter(|told| told.by == to)?;
        let end = self.told.get(self.told_at + 1).map_or(self.len, |next| next.start);
        Some((told.topic, (told.first, told.last), self.list.get(told.start..end)?))
    }

    /// That was said.
    pub(crate) fn answered(&mut self) {
        self.told_at += 1;
    }

    /// Marks of others wait no more.
    fn tell_only(&mut self, peer: usize) {
        if self.told.first().is_some_and(|told| told.by != peer) {
            self.clear_told();
        }
    }

    /// Adds a chore for a member, to be done several times if something was lost; false if there is no room, or another one
    /// is served.
    pub(crate) fn add(&mut self, to: usize, chore: Chore, again: bool) -> bool {
        if !sketch::POSSIBLE || self.is_anothers(to) {
            return false;
        }
        self.tell_only(to);
        let Some(place) = self.list.get_mut(self.len) else {
            // What differs is not all in it.
            self.clear_told();
            return false;
        };
        *place = chore.pack();
        (self.to, self.len) = (Some(to), self.len + 1);
        self.again |= again;
        true
    }

    /// Whether the list serves somebody else, or is to: who was turned away has it next, and until then whom it serves gets no more
    /// in it, so that nobody keeps it. Who does not come for long loses the turn.
    fn is_anothers(&mut self, to: usize) -> bool {
        match self.waiting {
            Some((next, _)) if next == to && self.to.is_none() => self.waiting = None,
            Some((next, 0)) if next != to => self.waiting = None,
            Some((next, patience)) if next != to => {
                self.waiting = Some((next, patience - 1));
                return true;
            }
            _ => {}
        }
        let anothers = self.to.is_some_and(|served| served != to);
        if anothers {
            self.wait(to);
        }
        anothers
    }

    fn wait(&mut self, peer: usize) {
        self.waiting = self.waiting.or(Some((peer, PATIENCE)));
    }

    /// What is still to be asked for in the topic of the next chore: the keys, at most so many.
    pub(crate) fn wanted(&self, to: usize, max: usize) -> &[u64] {
        let rest = self.rest(to);
        let Some(Chore::Want(first)) = rest.first().map(|chore| Chore::unpack(*chore)) else { return &[] };
        let same = |chore: &&u64| matches!(Chore::unpack(**chore), Chore::Want(key) if key.topic() == first.topic());
        let len = rest.iter().take(max).take_while(same).count();
        rest.get(..len).unwrap_or(&[])
    }

    /// The next chore for a member.
    pub(crate) fn next(&self, to: usize) -> Option<Chore> {
        self.rest(to).first().map(|chore| Chore::unpack(*chore))
    }

    /// So many chores are done.
    pub(crate) fn done(&mut self, count: usize) {
        self.done += count;
    }

    /// All is done that a member is owed: whether it begins once more.
    pub(crate) fn ended(&mut self, to: usize) -> bool {
        if self.to.is_none_or(|served| served == to) && self.told.first().is_none_or(|told| told.by == to) {
            self.said += 1;
            if self.again && self.said < if self.len <= SMALL { 3 } else { 2 } {
                (self.done, self.told_at) = (0, 0);
                return true;
            }
            let questions = self.list.iter().take(self.len).take_while(|chore| **chore & SEND == 0).count();
            if self.lossy && self.said == 1 && questions > 0 {
                (self.done, self.len) = (0, questions);
                return true;
            }
            self.clear_list();
        }
        false
    }

    /// Whether all of it begins once more, which is worth nothing in the same datagram.
    pub(crate) fn is_again(&self) -> bool {
        self.said > 0 && self.done == 0 && self.told_at == 0
    }

    fn clear_list(&mut self) {
        (self.to, self.len, self.done, self.said, self.again) = (None, 0, 0, 0, false);
        self.clear_told();
    }

    fn clear_told(&mut self) {
        self.told.clear();
        self.told_at = 0;
    }

    /// Forgets what a member is owed, and what came from it.
    pub(crate) fn forget(&mut self, peer: usize) {
        if !sketch::POSSIBLE {
            return;
        }
        self.drop_list(peer);
        self.waiting = self.waiting.filter(|(waiting, _)| *waiting != peer);
        if self.from.is_some_and(|(from, _)| from == peer) || self.kept.is_some_and(|kept| kept.0 == peer) {
            self.reset();
        }
    }

    /// Whom the list is for.
    pub(crate) fn served(&self) -> Option<usize> {
        if sketch::POSSIBLE { self.to } else { None }
    }

    /// Forgets what a member is owed.
    pub(crate) fn drop_list(&mut self, peer: usize) {
        if self.to == Some(peer) {
            self.clear_list();
        }
    }

    fn rest(&self, to: usize) -> &[u64] {
        if sketch::POSSIBLE && self.to == Some(to) { self.list.get(self.done..self.len).unwrap_or(&[]) } else { &[] }
    }
}

impl Chore {
    /// Questions sort before what is sent, and by topic.
    fn pack(self) -> u64 {
        match self {
            Self::Want(key) => key.0,
            Self::Send(key) => key.0 | SEND,
        }
    }

    fn unpack(chore: u64) -> Self {
        let key = Short(chore & !SEND);
        if chore & SEND == 0 { Self::Want(key) } else { Self::Send(key) }
    }
}

/// Whether a difference that is alone in a cell can be one when we count so much for its key: the other then counts something,
/// too, or nothing.
pub(crate) fn is_plausible(found: Found, ours: i32, cell: usize) -> bool {
    let theirs = ours - found.gain;
    // A key that only the other has is known by nothing else than that it has one item, or a few; and by its cell, among many.
    (0..=WEIGHT_SUM_MAX).contains(&theirs) && (ours > 0 || theirs & 1 == 1 || cell >= sketch::SURE_CELL)
}

/// What to do about a difference: who has more items of a key sends them; with as many on both sides we send ours, and are
/// answered with what is newer.
pub(crate) fn chores(found: Found, ours: i32) -> [Option<Chore>; 2] {
    let theirs = ours - found.gain;
    // Weights are odd: a sum is odd when an odd number of items is in it.
    let alike = (ours ^ theirs) & 1 == 0;
    let send = (ours > 0).then_some(Chore::Send(found.key));
    let want = (theirs > 0 && (ours == 0 || !alike)).then_some(Chore::Want(found.key));
    [want, send]
}

/// What stands for the items of a key: equal marks mostly mean equal items.
pub(crate) fn mark(weight: i32) -> u16 {
    weight as u16
}

/// A cell that has not come. One that is just so is asked for again, and in the end digests do without it.
const ABSENT: Cell = Cell::MAX;
/// Of so many differences it is worth asking for the total: one of 60 times, if a third are of versions, one was not seen.
const TOTAL_MIN: usize = 200;
/// How often it is asked for alone, when nothing else is known.
const TOTALS_MAX: u8 = 4;
/// How often it is asked for at once, when something was lost.
const TOTAL_TIMES: u8 = 3;
/// An estimate above this means more differences than a sketch shows; a little above the end is tried.
const MORE_MAX: usize = 2 * CELLS;
/// What is told three times, not twice: a datagram full of marks.
const TELL_OFTEN_MAX: usize = 256;
/// Some datagrams full.
const PATIENCE: u16 = 512;
const SEND: u64 = 1 << 63;
/// A sketch that finds fewer keys than a part of its cells, or two that do not find all, and it is digests' turn.
const SOME: usize = 4;
const FAILURES_MAX: u8 = 2;
/// How often the same is asked, sent or told before it is compared anew: at 30 % loss each way half of them come to
/// nothing, and a third of what thirty datagrams hold is lost each time.
const REPEATS_MAX: u8 = 8;
/// As many keys as a datagram asks for.
const SMALL: usize = 32;
/// Of how many runs of keys is remembered that they were told: what finds no room is told again.
const TOLD_MAX: usize = if sketch::POSSIBLE { 8 } else { 0 };
/// The bits of a key besides its topic.
const OWN_BITS: u64 = (1 << 24) - 1;
/// What four items of one key count at most.
const WEIGHT_SUM_MAX: i32 = 4 * WEIGHT_MAX as i32;

#[cfg(test)]
mod tests;
