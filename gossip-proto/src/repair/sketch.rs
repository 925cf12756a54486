//! Comparing by sketches: what has come of the other's cells, and what is to be done about the differences found.
//!
//! Knows: whose cells these are, which of them are missing, and the list of differences. Does not know: the table.
//! When full: the list serves one member at a time, and is as long as a sketch has cells. What finds no room is dropped
//! and counted; who asked asks again. Without memory there is neither, and whoever asks is answered with digests.

use crate::slab::Slice;
use crate::slab::index::Prefix;
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
    /// 2: it is gone through twice, since what was said before is known to have been lost; 1: the second time begins.
    passes: u8,
    /// What the last list came from: with whom, their root and ours. The list itself stays in `work`: how long it is, how
    /// often it may be gone through again, and whether the other was told what we have of it.
    kept: Option<(usize, u32, u32)>,
    kept_len: usize,
    repeats: u8,
    checked: bool,
    /// Whether it is worth asking for the other's total.
    totals: bool,
    /// Of which keys marks have come that are not answered, in the order in which they came.
    told: heapless::Vec<Told, TOLD_MAX>,
    /// How many parts in which digests differed stand in `work`, while there is no list; and our root when they were last
    /// asked about.
    #[cfg(feature = "alloc")]
    parts: usize,
    #[cfg(feature = "alloc")]
    asked_at: u32,
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
    /// All differences were found.
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
            passes: 0,
            kept,
            kept_len: 0,
            repeats: 0,
            checked: false,
            told: heapless::Vec::new(),
            totals: false,
            #[cfg(feature = "alloc")]
            parts: 0,
            #[cfg(feature = "alloc")]
            asked_at: 0,
        }
    }

    /// A new session begins.
    pub(crate) fn reset(&mut self) {
        (self.from, self.end, self.failures, self.kept) = (None, 0, 0, None);
        self.forget_parts();
    }

    /// Digests, or lists, of this part differed: of its own kind, what is around it has been told in closer detail.
    #[cfg(feature = "alloc")]
    pub(crate) fn differs(&mut self, part: Prefix) {
        // A list that is kept stands in the same place.
        if self.kept.is_none() && part.len() <= OPEN_DEPTH_MAX {
            let known = self.open().any(|(other, _)| other == part);
            if let Some(place) = self.work.get_mut(self.parts).filter(|_| !known) {
                *place = pack_part(part, 0);
                self.parts += 1;
            } else if known {
                self.retain(|other, _| other != part);
                self.differs(part);
            }
        }
    }

    /// The parts that differed and were not looked at closer since; all of them are asked about now. What gave no answer
    /// several times is probably equal by now.
    #[cfg(feature = "alloc")]
    pub(crate) fn ask_again(&mut self) -> bool {
        if self.kept.is_some() {
            return false;
        }
        self.retain(|_, asked| asked < ASKED_MAX);
        self.work.iter_mut().take(self.parts).for_each(|part| *part += 1);
        self.parts > 0
    }

    /// Whether there are so many of those that it is worth to ask first whether anything differs at all, since what came
    /// has made `root` of ours another one.
    #[cfg(feature = "alloc")]
    pub(crate) fn may_be_equal(&mut self, root: u32) -> bool {
        self.kept.is_none() && self.parts > SMALL && core::mem::replace(&mut self.asked_at, root) != root
    }

    /// The part with this number of those.
    #[cfg(feature = "alloc")]
    pub(crate) fn part(&self, at: usize) -> Option<Prefix> {
        self.open().nth(at).map(|(part, _)| part)
    }

    #[cfg(feature = "alloc")]
    fn open(&self) -> impl Iterator<Item = (Prefix, u64)> + '_ {
        let parts = if self.kept.is_none() { self.parts } else { 0 };
        self.work.iter().take(parts).map(|part| unpack_part(*part))
    }

    #[cfg(feature = "alloc")]
    fn retain(&mut self, keep: impl Fn(Prefix, u64) -> bool) {
        let mut len = 0;
        for at in 0..self.parts {
            let Some(part) = self.work.get(at).copied() else { break };
            let (prefix, asked) = unpack_part(part);
            if let Some(place) = self.work.get_mut(len).filter(|_| keep(prefix, asked)) {
                *place = part;
                len += 1;
            }
        }
        self.parts = len;
    }

    /// Without a heap, each question begins from the front: this is not worth its bytes there.
    #[cfg(not(feature = "alloc"))]
    pub(crate) fn differs(&mut self, _: Prefix) {}

    #[cfg(not(feature = "alloc"))]
    pub(crate) fn ask_again(&mut self) -> bool {
        false
    }

    #[cfg(not(feature = "alloc"))]
    pub(crate) fn may_be_equal(&mut self, _: u32) -> bool {
        false
    }

    #[cfg(not(feature = "alloc"))]
    pub(crate) fn part(&self, _: usize) -> Option<Prefix> {
        None
    }

    fn forget_parts(&mut self) {
        #[cfg(feature = "alloc")]
        {
            self.parts = 0;
        }
    }

    /// Whether another try with sketches may lead to something.
    pub(crate) fn is_hopeful(&self) -> bool {
        sketch::POSSIBLE && !self.theirs.is_empty() && self.failures < FAILURES_MAX
    }

    /// Notes that cells did not lead to the differences.
    pub(crate) fn failed(&mut self) {
        (self.from, self.end) = (None, 0);
        self.failures = self.failures.saturating_add(1);
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
        self.forget_parts();
        let Some(work) = self.work.get_mut(..end) else { return Gathered::Failed };
        work.iter_mut().zip(self.theirs.iter().zip(ours)).for_each(|(to, (b, a))| *to = a.wrapping_sub(*b));
        if self.to.is_some_and(|to| to != peer) {
            // Somebody else is still being served: whoever asked asks again.
            return Gathered::Waiting;
        }
        (self.to, self.len, self.done, self.passes) = (Some(peer), 0, 0, 0);
        self.kept = None;
        self.told.clear();
        let (list, len) = (&mut self.list, &mut self.len);
        let is_true = |found: Found| is_plausible(found, weigh(found.key));
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
        if solved {
            work.iter_mut().zip(list.iter().take(*len)).for_each(|(to, chore)| *to = *chore);
            work.get_mut(..*len).unwrap_or_default().sort_unstable_by_key(|chore| chore & !SEND);
            (self.from, self.end) = (None, 0);
            // More chores than cells come of no true difference.
            (self.kept, self.kept_len) = (Some(with), self.len.min(end));
            (self.repeats, self.checked) = (REPEATS_MAX, false);
            self.totals = self.len >= TOTAL_MIN;
            return Gathered::Solved;
        }
        work.iter_mut().zip(self.theirs.iter().zip(ours)).for_each(|(to, (b, a))| *to = a.wrapping_sub(*b));
        let after = sketch::cells_after(work);
        if end < self.theirs.len() && after <= MORE_MAX {
            // The list is made anew with those that follow: if the question for them is lost, they are missing.
            (self.len, self.to) = (0, None);
            self.end = after.min(self.theirs.len());
            self.theirs.get_mut(end..self.end).unwrap_or_default().fill(ABSENT);
            return Gathered::More(end as u16, self.end as u16);
        }
        self.failed();
        Gathered::Failed
    }

    /// What to do when no answer comes, or not all of it. While neither side has changed, as far as is known, all is lost,
    /// or the answer is.
    pub(crate) fn again(&mut self, with: (usize, u32, u32)) -> Again {
        let is_free = self.to.is_none_or(|to| to == with.0);
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
        (self.to, self.len, self.done) = (Some(with.0), self.kept_len, 0);
        self.told.clear();
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

    /// Whether the other's total is to be asked for, behind all that was found.
    pub(crate) fn asks_total(&self, to: usize) -> bool {
        sketch::POSSIBLE && self.totals && self.to.is_none() && self.kept.is_some_and(|kept| kept.0 == to)
    }

    pub(crate) fn total_asked(&mut self) {
        self.totals = false;
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
        self.told.retain(|told| told.by == peer);
        match self.told.last_mut() {
            Some(told) if (told.topic, told.of) == (topic, of) && told.last < first => told.last = last,
            _ => drop(self.told.push(Told { by: peer, topic, first, last, start: self.len, of })),
        }
    }

    /// Which keys of what a member told first differ.
    pub(crate) fn differing(&self, to: usize) -> Option<(u16, (u32, u32), &[u64])> {
        let told = self.told.first().filter(|told| told.by == to)?;
        let end = self.told.get(1).map_or(self.len, |next| next.start);
        Some((told.topic, (told.first, told.last), self.list.get(told.start..end)?))
    }

    /// That was said.
    pub(crate) fn answered(&mut self) {
        if !self.told.is_empty() {
            self.told.remove(0);
        }
    }

    /// Adds a chore for a member, to be done `twice` if something was lost; false if there is no room, or another one is
    /// served.
    pub(crate) fn add(&mut self, to: usize, chore: Chore, twice: bool) -> bool {
        if !sketch::POSSIBLE || self.to.is_some_and(|served| served != to) {
            return false;
        }
        let Some(place) = self.list.get_mut(self.len) else {
            // What differs is not all in it.
            self.told.clear();
            return false;
        };
        *place = chore.pack();
        (self.to, self.len, self.passes) = (Some(to), self.len + 1, if twice { 2 } else { 0 });
        true
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
        if self.done >= self.len && self.passes > 1 {
            (self.passes, self.done) = (1, 0);
        } else if self.done >= self.len {
            (self.to, self.len, self.done, self.passes) = (None, 0, 0, 0);
        } else if self.passes == 1 {
            self.passes = 0;
        }
    }

    /// Whether all of it begins for the second time, which is worth nothing in the same datagram.
    pub(crate) fn is_second(&self) -> bool {
        self.passes == 1 && self.done == 0
    }

    /// Forgets what a member is owed, and what came from it.
    pub(crate) fn forget(&mut self, peer: usize) {
        if !sketch::POSSIBLE {
            return;
        }
        self.drop_list(peer);
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
            (self.to, self.len, self.done) = (None, 0, 0);
            self.told.clear();
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

/// Whether a difference can be one when we count so much for its key: the other then counts something, too, or nothing.
pub(crate) fn is_plausible(found: Found, ours: i32) -> bool {
    let theirs = ours - found.gain;
    // A key that only the other has is known by nothing else than that it has one item, or a few.
    (0..=WEIGHT_SUM_MAX).contains(&theirs) && (ours > 0 || theirs & 1 == 1)
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

/// A part in which digests differ, and how often it was asked about since: of the topic 32 bits, of the keys 24.
#[cfg(feature = "alloc")]
fn pack_part(part: Prefix, asked: u64) -> u64 {
    let first = part.first();
    u64::from(first.topic()) << 32 | first.key() >> 40 << 8 | u64::from(part.len()) << 2 | asked
}

#[cfg(feature = "alloc")]
fn unpack_part(part: u64) -> (Prefix, u64) {
    let first = crate::slab::index::Key::new((part >> 32) as u32, part >> 8 << 40);
    (Prefix::of(first, part as u8 >> 2), part & 3)
}

/// A cell that has not come. One that is just so is asked for again, and in the end digests do without it.
const ABSENT: Cell = Cell::MAX;
/// Of so many differences it is worth asking for the total: one of 60 times, if a third are of versions, one was not seen.
const TOTAL_MIN: usize = 200;
/// An estimate above this means more differences than a sketch shows; a little above the end is tried.
const MORE_MAX: usize = 2 * CELLS;
const SEND: u64 = 1 << 63;
/// Two sketches that lead to nothing, and it is digests' turn.
const FAILURES_MAX: u8 = 1;
/// How often the same is asked, sent or told before it is compared anew: at 30 % loss each way half of them come to
/// nothing, and a third of what thirty datagrams hold is lost each time.
const REPEATS_MAX: u8 = 8;
/// How long a part's prefix is at most, to be remembered; and how often one is asked about in vain.
#[cfg(feature = "alloc")]
const OPEN_DEPTH_MAX: u8 = 56;
/// As many parts as a datagram asks about.
#[cfg(feature = "alloc")]
const SMALL: usize = 32;
#[cfg(feature = "alloc")]
const ASKED_MAX: u64 = 3;
/// Of how many runs of keys is remembered that they were told: what finds no room is told again.
const TOLD_MAX: usize = if sketch::POSSIBLE { 8 } else { 0 };
/// The bits of a key besides its topic.
const OWN_BITS: u64 = (1 << 24) - 1;
/// What four items of one key count at most.
const WEIGHT_SUM_MAX: i32 = 4 * WEIGHT_MAX as i32;

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::slab::index::{Item, Key};

    fn exchange() -> Exchange<'static> {
        let cells = || Slice::Owned(vec![0; CELLS].into_boxed_slice());
        Exchange::new(cells(), cells(), Slice::Owned(vec![0; CELLS].into_boxed_slice()))
    }

    fn sketch_of(keys: core::ops::Range<u64>) -> Vec<Cell> {
        let mut cells = vec![0; CELLS];
        for n in keys {
            let item = Item::from_bytes([n as u8; 12]);
            sketch::change(&mut cells, Key::new(1, n.wrapping_mul(0x9e37_79b9_7f4a_7c15)), None, Some(item));
        }
        cells
    }

    /// Cells may come in any order, doubled, and with gaps that are asked for again.
    #[test]
    fn cells_come_together() {
        let (ours, theirs, mut exchange) = (sketch_of(0..5), sketch_of(3..10), exchange());
        let take = |exchange: &mut Exchange<'_>, first: usize, last: usize| {
            let cells = theirs[first..last].iter().copied();
            exchange.take((7, 1), first, 40, cells, (&ours, 2), |key| {
                let mine = (0..5u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                let held = mine.zip(0u8..).find(|(hash, _)| Short::of(Key::new(1, *hash)) == key);
                held.map_or(0, |(_, n)| sketch::weight(Item::from_bytes([n; 12])))
            })
        };
        assert_eq!(take(&mut exchange, 30, 40), Gathered::Waiting);
        assert_eq!(take(&mut exchange, 0, 10), Gathered::Waiting);
        assert_eq!(exchange.gap(0), Some((10, 30)));
        assert_eq!(take(&mut exchange, 5, 20), Gathered::Waiting);
        assert_eq!(exchange.gap(0), Some((20, 30)));
        assert_eq!(take(&mut exchange, 20, 30), Gathered::Solved);
        assert_eq!(exchange.wanted(7, 100).len(), 5);
        assert_eq!(exchange.wanted(7, 2).len(), 2);
        assert_eq!(exchange.wanted(8, 100).len(), 0);
        exchange.done(5);
        let mut sent = 0;
        while let Some(Chore::Send(_)) = exchange.next(7) {
            exchange.done(1);
            sent += 1;
        }
        assert_eq!((sent, exchange.next(7)), (3, None));
        // No answer comes: all of it again.
        assert_eq!(exchange.again((8, 1, 2)), Again::Compare, "with somebody else");
        assert_eq!(exchange.again((7, 1, 2)), Again::Chores);
        assert_eq!(exchange.wanted(7, 100).len(), 5);
        exchange.done(8);
        // Something has come: what we have now, but for what we asked for and have; not for ever.
        assert_eq!(exchange.again((7, 1, 3)), Again::Check);
        let lacks_one = |key: Short| i32::from(exchange_lacks(key)) * 5;
        let (_, marked, next) = exchange.marked(7, 0, 100, lacks_one).unwrap();
        assert_eq!((marked.len(), next), (4, 8), "one that we lack, three that we have");
        assert_eq!(marked.iter().filter(|marked| **marked >> 24 == 0).count(), 1);
        let (_, marked, next) = exchange.marked(7, 0, 1, lacks_one).unwrap();
        assert_eq!(marked.len(), 1);
        assert_eq!(exchange.marked(7, next, 100, lacks_one).unwrap().1.len(), 3);
        assert_eq!(exchange.marked(8, 0, 100, lacks_one), None);
        // Of all but the last three, one still differs; then none of any.
        let mut own: Vec<u32> =
            (0..10u64).map(|n| Short::of(Key::new(1, n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).own()).collect();
        own.retain(|own| {
            !(3..5u64).any(|n| Short::of(Key::new(1, n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).own() == *own)
        });
        own.sort_unstable();
        let [a, b, c, _] = own[2].to_le_bytes();
        exchange.narrow(7, 0, (own[0], own[4]), &[a, b, c]);
        assert_eq!(exchange.marked(7, 0, 100, |_| 0).unwrap().1.len(), 4);
        exchange.narrow(8, 0, (0, u32::MAX), &[]);
        assert_eq!(exchange.marked(7, 0, 100, |_| 0).unwrap().1.len(), 4);
        for _ in 2..REPEATS_MAX {
            assert_eq!(exchange.again((7, 1, 3)), Again::Check);
        }
        assert!(exchange.marked(7, 0, 100, |_| 0).is_some());
        let mut exhausted = all_solved();
        for _ in 0..REPEATS_MAX {
            assert_eq!(exhausted.again((7, 1, 3)), Again::Check);
        }
        assert_eq!(exhausted.again((7, 1, 3)), Again::Compare);
        assert_eq!(exhausted.marked(7, 0, 100, |_| 0), None, "it is told no more");
        exchange.narrow(7, 0, (0, u32::MAX), &[]);
        assert_eq!(exchange.marked(7, 0, 100, |_| 0), None);
        assert_eq!(exchange.again((7, 1, 3)), Again::Compare);
    }

    /// Has found what differs, and said it once.
    fn all_solved() -> Exchange<'static> {
        let (ours, theirs, mut exchange) = (sketch_of(0..0), sketch_of(3..10), exchange());
        let cells = theirs[..40].iter().copied();
        assert_eq!(exchange.take((7, 1), 0, 40, cells, (&ours, 2), |_| 0), Gathered::Solved);
        exchange.done(7);
        exchange
    }

    /// All keys but the eighth.
    fn exchange_lacks(key: Short) -> bool {
        key != Short::of(Key::new(1, 7u64.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// Cells that were asked for are missing until they come, also when the question was lost.
    #[test]
    fn cells_asked_for_are_missing() {
        let (ours, theirs, mut exchange) = (sketch_of(0..5), sketch_of(100..140), exchange());
        let first = theirs[..16].iter().copied();
        let Gathered::More(16, end) = exchange.take((1, 1), 0, 16, first, (&ours, 2), |_| 0) else { panic!() };
        assert_eq!(exchange.gap(0), Some((16, end)));
        assert_eq!(exchange.gap(end.into()), None);
    }

    fn marks(keys: &[u8]) -> Vec<u8> {
        keys.iter().flat_map(|key| [*key, 0, 0, 1, 0]).collect()
    }

    /// What one datagram tells in several messages is answered as one, since nothing between them is lost; what several
    /// tell, or of several topics, one by one. What does not all fit in the list is not answered at all.
    #[test]
    fn what_was_told_is_answered_run_by_run() {
        let mut exchange = exchange();
        let differs = |key: u8, topic| Chore::Send(Short::from_parts(topic, [key, 0, 0]));
        exchange.heard_marks(3, 9, &marks(&[1, 2]), 100);
        exchange.heard_marks(3, 9, &marks(&[4, 7]), 100);
        assert!(exchange.add(3, differs(7, 9), true));
        exchange.heard_marks(3, 10, &marks(&[5, 6]), 100);
        assert!(exchange.add(3, differs(5, 10), true) && exchange.add(3, differs(6, 10), true));
        exchange.heard_marks(3, 10, &marks(&[8]), 101);
        assert_eq!(exchange.differing(4), None);
        for (topic, range, keys) in [(9, (1, 7), 1), (10, (5, 6), 2), (10, (8, 8), 0)] {
            let answer = exchange.differing(3).map(|(topic, range, keys)| (topic, range, keys.len()));
            assert_eq!(answer, Some((topic, range, keys)));
            exchange.answered();
        }
        assert_eq!(exchange.differing(3), None);
        exchange.heard_marks(3, 9, &marks(&[1]), 102);
        while exchange.add(3, differs(1, 9), true) {}
        assert_eq!(exchange.differing(3), None);
        for topic in 0..100 {
            exchange.heard_marks(3, topic, &marks(&[1]), 103);
        }
        let answers = (0..100).take_while(|_| {
            let told = exchange.differing(3).is_some();
            exchange.answered();
            told
        });
        assert_eq!(answers.count(), TOLD_MAX);
    }

    /// A part stays open though some of it was told in closer detail: the rest of that may have been lost.
    #[test]
    #[cfg(feature = "alloc")]
    fn a_part_stays_open_beside_what_is_known_of_it() {
        let mut exchange = exchange();
        let whole = Prefix::of(Key::new(1, 0), 36);
        for part in [whole, whole.child(3), whole.child(5), whole.child(3)] {
            exchange.differs(part);
        }
        assert!(exchange.ask_again());
        let open: Vec<Prefix> = (0..9).map_while(|at| exchange.part(at)).collect();
        assert_eq!(open, [whole, whole.child(5), whole.child(3)]);
        // Few are asked about at once; before many, whether what came was all.
        assert!(!exchange.may_be_equal(7));
        for n in 0..SMALL as u64 {
            exchange.differs(Prefix::of(Key::new(2, n << 44), 52));
        }
        assert_eq!([7, 7, 8].map(|root| exchange.may_be_equal(root)), [true, false, true]);
        exchange.parts = 3;
        // What does not differ any more gives no answer.
        for _ in 1..ASKED_MAX {
            exchange.differs(whole.child(3));
            assert!(exchange.ask_again());
        }
        assert!(exchange.ask_again());
        assert_eq!((exchange.part(0), exchange.part(1)), (Some(whole.child(3)), None));
    }

    /// Cells that never come out: more are asked for up to the end, then digests.
    #[test]
    fn cells_that_never_come_out_end() {
        let (ours, mut exchange) = (sketch_of(0..5), exchange());
        let (mut first, mut end, mut asked) = (0, 8, 0);
        loop {
            let lies = (first..end).map(|n| Cell::from_le_bytes([n as u8 & 0x7f | 1; sketch::CELL_LEN]));
            match exchange.take((1, 1), first, end, lies, (&ours, 2), |_| 0) {
                Gathered::More(from, to) => (first, end) = (from.into(), to.into()),
                Gathered::Failed => break,
                other => panic!("{other:?}"),
            }
            asked += 1;
            assert!(asked < 20);
        }
        assert!(!exchange.is_hopeful());
        exchange.reset();
        assert!(exchange.is_hopeful());
    }
}
