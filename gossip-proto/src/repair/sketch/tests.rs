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
    assert_eq!((sent, exchange.next(7), exchange.ended(7)), (3, None, false));
    // No answer comes: all of it again.
    assert_eq!(exchange.again((8, 1, 2), |_| 1), Again::Compare, "with somebody else");
    assert_eq!(exchange.again((7, 1, 2), |_| 1), Again::Chores);
    assert_eq!(exchange.wanted(7, 100).len(), 5);
    exchange.done(8);
    assert!(!exchange.ended(7));
    // Something has come: what we have now, but for what we asked for and have; not for ever.
    assert_eq!(exchange.again((7, 1, 3), |_| 1), Again::Check);
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
    own.retain(|own| !(3..5u64).any(|n| Short::of(Key::new(1, n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).own() == *own));
    own.sort_unstable();
    let [a, b, c, _] = own[2].to_le_bytes();
    exchange.narrow(7, 0, (own[0], own[4]), &[a, b, c]);
    assert_eq!(exchange.marked(7, 0, 100, |_| 0).unwrap().1.len(), 4);
    exchange.narrow(8, 0, (0, u32::MAX), &[]);
    assert_eq!(exchange.marked(7, 0, 100, |_| 0).unwrap().1.len(), 4);
    for _ in 2..REPEATS_MAX {
        assert_eq!(exchange.again((7, 1, 3), |_| 1), Again::Check);
    }
    assert!(exchange.marked(7, 0, 100, |_| 0).is_some());
    let mut exhausted = all_solved();
    for _ in 0..REPEATS_MAX {
        assert_eq!(exhausted.again((7, 1, 3), |_| 1), Again::Check);
    }
    assert_eq!(exhausted.again((7, 1, 3), |_| 1), Again::Compare);
    assert_eq!(exhausted.marked(7, 0, 100, |_| 0), None, "it is told no more");
    exchange.narrow(7, 0, (0, u32::MAX), &[]);
    assert_eq!(exchange.marked(7, 0, 100, |_| 0), None);
    assert_eq!(exchange.again((7, 1, 3), |_| 1), Again::Compare);
}

/// Has found what differs, and said it once.
fn all_solved() -> Exchange<'static> {
    let (ours, theirs, mut exchange) = (sketch_of(0..0), sketch_of(3..10), exchange());
    let cells = theirs[..40].iter().copied();
    assert_eq!(exchange.take((7, 1), 0, 40, cells, (&ours, 2), |_| 0), Gathered::Solved);
    exchange.done(7);
    assert!(!exchange.ended(7));
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

/// What was lost before is said several times, each time from the front; of what was found by cells of which some were lost, the
/// questions twice.
#[test]
fn what_was_lost_is_said_again() {
    let mut exchange = exchange();
    let key = |n: u8| Short::from_parts(9, [n, 0, 0]);
    let said = |exchange: &mut Exchange<'_>| {
        let mut said = vec![];
        loop {
            let mut once = 0;
            while let Some(chore) = exchange.next(3) {
                once += if matches!(chore, Chore::Want(_)) { 10 } else { 1 };
                exchange.done(1);
            }
            said.push(once);
            if !exchange.ended(3) {
                return said;
            }
            assert!(exchange.is_again());
        }
    };
    assert!(exchange.add(3, Chore::Send(key(1)), false) && exchange.add(3, Chore::Send(key(2)), false));
    assert_eq!(said(&mut exchange), [2]);
    assert!(exchange.add(3, Chore::Send(key(1)), true));
    assert_eq!(said(&mut exchange), [1, 1, 1]);
    for n in 0..=SMALL as u8 {
        assert!(exchange.add(3, Chore::Send(key(n)), true));
    }
    assert_eq!(said(&mut exchange), [33, 33]);
    let (ours, theirs) = (sketch_of(0..5), sketch_of(3..10));
    exchange.note_loss();
    let weigh = |key: Short| {
        let held = (0..5u64).find(|n| Short::of(Key::new(1, n.wrapping_mul(0x9e37_79b9_7f4a_7c15))) == key);
        held.map_or(0, |n| sketch::weight(Item::from_bytes([n as u8; 12])))
    };
    assert_eq!(exchange.take((3, 1), 0, 40, theirs[..40].iter().copied(), (&ours, 2), weigh), Gathered::Solved);
    assert_eq!(said(&mut exchange), [53, 50]);
}

/// Where most keys were found and some were not, what was found is sent, and another sketch finds the others: once.
#[test]
fn what_a_sketch_leaves_over_is_for_another() {
    let (ours, mut exchange) = (sketch_of(0..0), exchange());
    // All cells of thirty keys, and one that is in no cell where its hash says.
    let mut theirs = sketch_of(1..31);
    theirs[40] = theirs[40].wrapping_add(7 << 14 | 3);
    let take = |exchange: &mut Exchange<'_>| exchange.take((7, 1), 0, CELLS, theirs.iter().copied(), (&ours, 2), |_| 0);
    assert_eq!(take(&mut exchange), Gathered::Failed, "thirty keys are few for so many cells");
    exchange.reset();
    let mut theirs = sketch_of(1..601);
    theirs[40] = theirs[40].wrapping_add(7 << 14 | 3);
    let take = |exchange: &mut Exchange<'_>| exchange.take((7, 1), 0, CELLS, theirs.iter().copied(), (&ours, 2), |_| 0);
    assert_eq!(take(&mut exchange), Gathered::Solved);
    assert_eq!(exchange.wanted(7, CELLS).len(), 600);
    exchange.done(600);
    assert!(!exchange.ended(7));
    assert_eq!(exchange.again((7, 1, 3), |_| 0), Again::Check, "some have not come");
    assert_eq!(exchange.again((7, 1, 3), |_| 1), Again::Compare, "all have");
    assert!(exchange.is_hopeful());
    assert_eq!(take(&mut exchange), Gathered::Failed, "as often as that");
    assert!(!exchange.is_hopeful());
}

/// Marks of one member are answered though rows of others, for whom there is nothing, come first.
#[test]
fn a_row_of_another_ends_nothing() {
    let mut exchange = exchange();
    exchange.heard_marks(3, 1, &marks(&[1]), 1);
    for _ in 0..4 {
        assert_eq!(exchange.differing(4), None);
        assert!(!exchange.ended(4));
    }
    assert!(exchange.differing(3).is_some());
}

/// Who was turned away has the list next; who does not come loses its turn.
#[test]
fn who_was_turned_away_is_next() {
    let mut exchange = exchange();
    let chore = Chore::Send(Short::from_parts(9, [1, 0, 0]));
    assert!(exchange.add(3, chore, false) && exchange.add(3, chore, false));
    assert!(!exchange.add(4, chore, false));
    assert!(!exchange.add(3, chore, false), "another one waits");
    exchange.done(2);
    assert!(!exchange.ended(3));
    assert!(!exchange.add(3, chore, false) && exchange.add(4, chore, false));
    exchange.done(1);
    assert!(!exchange.ended(4));
    assert!(exchange.add(3, chore, false) && !exchange.add(5, chore, false));
    let refused = (0..2 * PATIENCE).take_while(|_| !exchange.add(3, chore, false)).count();
    assert_eq!(refused, PATIENCE.into(), "the fifth does not come");
}
