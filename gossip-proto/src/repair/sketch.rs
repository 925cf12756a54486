//! Comparing by sketches: what has come of the other's cells, and what is to be done about the differences found.
//!
//! Knows: whose cells these are, which of them are missing, and the list of differences. Does not know: the table.
//! When full: the list serves one member at a time, and is as long as a sketch has cells. What finds no room is dropped
//! and counted; who asked asks again. Without memory there is neither, and whoever asks is answered with digests.

use crate::slab::Slice;
use crate::slab::index::Prefix;
use crate::slab::sketch::{self, CELLS, Cell, Found, Short, WEIGHT_MAX};

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
    /// What the list came from, while nothing else is in it: with whom, their root and ours. How long it was, and how often
    /// it may be gone through again.
    kept: Option<(usize, u32, u32)>,
    kept_len: usize,
    repeats: u8,
    /// Where digests last differed, and what both roots were.
    #[cfg(feature = "alloc")]
    place: (Prefix, u32),
}

/// What to do about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chore {
    /// Ask for what the other has.
    Want(Short),
    /// Send what we have.
    Send(Short),
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
            kept,
            kept_len: 0,
            repeats: 0,
            #[cfg(feature = "alloc")]
            place: (Prefix::ROOT, 0),
        }
    }

    /// A new session begins.
    pub(crate) fn reset(&mut self) {
        (self.from, self.end, self.failures, self.kept) = (None, 0, 0, None);
        self.differs(Prefix::ROOT, 0);
    }

    /// Digests, or lists, of this part differed while both roots were `roots`.
    #[cfg(feature = "alloc")]
    pub(crate) fn differs(&mut self, part: Prefix, roots: u32) {
        let (before, then) = self.place;
        // Beside where we were, something else differs, too.
        let beside = then == roots && !before.contains(part.first());
        self.place = (if beside { before.common(part) } else { part }, roots);
    }

    /// Where to go on while both roots are `roots`.
    #[cfg(feature = "alloc")]
    pub(crate) fn place(&self, roots: u32) -> Prefix {
        if self.place.1 == roots { self.place.0 } else { Prefix::ROOT }
    }

    /// Without a heap, each question begins from the front: this is not worth its bytes there.
    #[cfg(not(feature = "alloc"))]
    pub(crate) fn differs(&mut self, _: Prefix, _: u32) {}

    /// From the front.
    #[cfg(not(feature = "alloc"))]
    pub(crate) fn place(&self, _: u32) -> Prefix {
        Prefix::ROOT
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
        let Some(work) = self.work.get_mut(..end) else { return Gathered::Failed };
        work.iter_mut().zip(self.theirs.iter().zip(ours)).for_each(|(to, (b, a))| *to = a.wrapping_sub(*b));
        if self.to.is_some_and(|to| to != peer) {
            // Somebody else is still being served: whoever asked asks again.
            return Gathered::Waiting;
        }
        (self.to, self.len, self.done, self.kept) = (Some(peer), 0, 0, None);
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
            (self.from, self.end) = (None, 0);
            (self.kept, self.kept_len, self.repeats) = (Some(with), self.len, REPEATS_MAX);
            return Gathered::Solved;
        }
        work.iter_mut().zip(self.theirs.iter().zip(ours)).for_each(|(to, (b, a))| *to = a.wrapping_sub(*b));
        let after = sketch::cells_after(work);
        if end < self.theirs.len() && after <= MORE_MAX {
            // The list is made anew with those that follow.
            (self.len, self.to) = (0, None);
            return Gathered::More(end as u16, after.min(self.theirs.len()) as u16);
        }
        self.failed();
        Gathered::Failed
    }

    /// Whether the list is to be gone through once more: neither side has changed since it was made, as far as is known, so
    /// what was asked and sent is lost, or the answer is.
    pub(crate) fn repeat(&mut self, with: (usize, u32, u32)) -> bool {
        let is_free = self.to.is_none_or(|to| to == with.0);
        if self.kept != Some(with) || !is_free || self.repeats == 0 {
            return false;
        }
        if self.to.is_none() {
            self.repeats -= 1;
            (self.to, self.len, self.done) = (Some(with.0), self.kept_len, 0);
        }
        true
    }

    /// Adds a chore for a member; false if there is no room, or another one is served.
    pub(crate) fn add(&mut self, to: usize, chore: Chore) -> bool {
        if !sketch::POSSIBLE || self.to.is_some_and(|served| served != to) {
            return false;
        }
        let Some(place) = self.list.get_mut(self.len) else { return false };
        *place = chore.pack();
        (self.to, self.len, self.kept) = (Some(to), self.len + 1, None);
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
        if self.done >= self.len {
            (self.to, self.len, self.done) = (None, 0, 0);
        }
    }

    /// Forgets what a member is owed, and what came from it.
    pub(crate) fn forget(&mut self, peer: usize) {
        if !sketch::POSSIBLE {
            return;
        }
        self.drop_list(peer);
        if self.from.is_some_and(|(from, _)| from == peer) {
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

/// A cell that has not come. One that is just so is asked for again, and in the end digests do without it.
const ABSENT: Cell = Cell::MAX;
/// An estimate above this means more differences than a sketch shows; a little above the end is tried.
const MORE_MAX: usize = 2 * CELLS;
const SEND: u64 = 1 << 63;
/// Two sketches that lead to nothing, and it is digests' turn.
const FAILURES_MAX: u8 = 1;
/// How often the same is asked and sent before it is compared anew: at 30 % loss each way, three fail in 1 of 8 cases.
const REPEATS_MAX: u8 = 3;
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
        // No answer comes: all of it again, but not when either side has changed, and not for ever.
        assert!(!exchange.repeat((7, 1, 3)) && !exchange.repeat((7, 2, 2)) && !exchange.repeat((8, 1, 2)));
        for _ in 0..REPEATS_MAX {
            assert!(exchange.repeat((7, 1, 2)));
            assert_eq!(exchange.wanted(7, 100).len(), 5);
            exchange.done(8);
        }
        assert!(!exchange.repeat((7, 1, 2)));
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
