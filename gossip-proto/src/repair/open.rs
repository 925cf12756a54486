//! Where a comparison by digests has come to: the parts that differed, and which of them gave no answer yet.
//!
//! Knows: parts, and how often each was asked about in vain. Does not know: what is in them, nor whom it compares with.
//! When full: a further part is not remembered. Nothing is lost: in the end all is compared anew.

use crate::slab::Slice;
use crate::slab::index::{Key, Prefix};

/// The parts, packed, in the order in which they were found to differ. Without memory there are none, and each question begins
/// from the front.
#[derive(Debug)]
pub(crate) struct Open<'a> {
    parts: Slice<'a, u64>,
    len: usize,
    /// Our root when they were last asked about, whether it was asked since whether anything differs, and 1 if they were asked
    /// about often at once.
    asked_at: u32,
    asked: bool,
    again: u8,
}

impl<'a> Open<'a> {
    pub(crate) fn new(parts: Slice<'a, u64>) -> Self {
        Self { parts, len: 0, asked_at: 0, asked: false, again: 0 }
    }

    pub(crate) fn clear(&mut self) {
        if POSSIBLE {
            (self.len, self.again) = (0, 0);
        }
    }

    /// Of a part these of its sixteen differed: the other is asked about some of them, and is sent the whole of others. They take the
    /// place of the part, unless they are many.
    pub(crate) fn parted(&mut self, part: Prefix, asked: u16, sent: u16) {
        if !POSSIBLE {
            return;
        }
        let replaced =
            |other: Prefix| (part.len()..=part.len() + 4).contains(&other.len()) && part.contains(other.first());
        self.retain(|other, _| !replaced(other));
        if (asked | sent).count_ones() > SPARSE {
            return self.add(part, asked > 0);
        }
        for nibble in (0..16).filter(|nibble| (asked | sent) >> nibble & 1 > 0) {
            self.add(part.child(nibble), asked >> nibble & 1 > 0);
        }
    }

    /// A part differs. What is around it stays open: the rest of what was told of that may have been lost. `asked` says whether
    /// the other is to answer.
    pub(crate) fn differs(&mut self, part: Prefix, asked: bool) {
        self.retain(|other, _| other != part);
        self.add(part, asked);
    }

    fn add(&mut self, part: Prefix, asked: bool) {
        if let Some(place) = self.parts.get_mut(self.len).filter(|_| POSSIBLE && part.len() <= DEPTH_MAX) {
            *place = pack(part, if asked { 1 } else { SENT });
            self.len += 1;
        }
    }

    /// Something of this has come from the other, or it was told in closer detail: all around it gave an answer.
    pub(crate) fn came(&mut self, of: Prefix, closer: bool) {
        let answered = if closer { CLOSER } else { 0 };
        self.change(|part, state| {
            let around = part.len() <= of.len() && part.contains(of.first());
            if around && state != CLOSER { answered } else { state }
        });
    }

    /// Nothing came for long: how often to ask at once about the parts that [`Self::part`] names from now on. If few gave no
    /// answer, nothing much was lost, but two digests may have been the same by chance: these few are asked about again, or, if
    /// there are none, those that were not told in closer detail. What gave no answer several times is probably equal by now.
    pub(crate) fn ask_again(&mut self) -> Option<u8> {
        self.asked = false;
        if self.len() == 0 {
            return None;
        }
        self.retain(|_, state| !(ASKED_MAX + 1..CLOSER).contains(&state));
        let silent = |state: u8| (1..CLOSER).contains(&state);
        let count = |of: fn(u8) -> bool| self.all().filter(|(_, state)| of(*state)).count();
        let (silents, ended) = (count(silent), count(|state| matches!(state, 0 | SENT)));
        let lossy = silents * FEW > self.len;
        let mut asked = 0;
        self.change(|_, state| {
            let chosen = match silents {
                _ if lossy => true,
                0 => ended == 0 || state != CLOSER,
                _ => silent(state),
            };
            asked += usize::from(chosen);
            match state {
                _ if !chosen => state,
                0 | CLOSER => 1,
                SENT => 2,
                _ => state + 1,
            }
        });
        let often = lossy || asked <= FEW;
        let times = if often { TIMES + core::mem::replace(&mut self.again, 1) } else { 1 };
        (asked > 0).then_some(times)
    }

    /// Whether there are so many that it is worth to ask first whether anything differs at all, since what came has made
    /// `root` of ours another one. Not twice in a row: while somebody writes, it always is another one.
    pub(crate) fn may_be_equal(&mut self, root: u32) -> bool {
        let moved = self.len() > SMALL && core::mem::replace(&mut self.asked_at, root) != root;
        moved && !core::mem::replace(&mut self.asked, true)
    }

    /// The first part to ask about from number `at` on, and its number: those that gave no answer before, if it is said again.
    pub(crate) fn part(&self, at: usize, again: bool) -> Option<(usize, Prefix)> {
        let named = |state: u8| (1 + u8::from(again)..CLOSER).contains(&state);
        self.all().enumerate().skip(at).find(|(_, (_, state))| named(*state)).map(|(at, (part, _))| (at, part))
    }

    fn change(&mut self, mut to: impl FnMut(Prefix, u8) -> u8) {
        let len = self.len();
        for place in self.parts.iter_mut().take(len) {
            let (part, state) = unpack(*place);
            *place = pack(part, to(part, state));
        }
    }

    fn len(&self) -> usize {
        if POSSIBLE { self.len } else { 0 }
    }

    fn all(&self) -> impl Iterator<Item = (Prefix, u8)> + '_ {
        self.parts.iter().take(self.len()).map(|part| unpack(*part))
    }

    fn retain(&mut self, keep: impl Fn(Prefix, u8) -> bool) {
        let mut len = 0;
        for at in 0..self.len() {
            let Some(place) = self.parts.get(at).copied() else { break };
            let (part, asked) = unpack(place);
            if let Some(to) = self.parts.get_mut(len).filter(|_| keep(part, asked)) {
                *to = place;
                len += 1;
            }
        }
        self.len = len;
    }
}

/// A part, and how often it was asked about since something came of it, or [`SENT`], or [`CLOSER`]: of the topic 32 bits, of
/// the keys 20, the length in nibbles 4, and 8.
fn pack(part: Prefix, state: u8) -> u64 {
    let first = part.first();
    u64::from(first.topic()) << 32 | first.key() >> 44 << 12 | u64::from(part.len() / 4) << 8 | u64::from(state)
}

fn unpack(part: u64) -> (Prefix, u8) {
    let first = Key::new((part >> 32) as u32, part >> 12 << 44);
    (Prefix::of(first, (part >> 8 & 15) as u8 * 4), part as u8)
}

/// Without a heap, this is not worth its bytes.
pub(crate) const POSSIBLE: bool = cfg!(feature = "alloc");
/// How long a part's prefix is at most, to be remembered; and how often one is asked about again in vain.
const DEPTH_MAX: u8 = 52;
const ASKED_MAX: u8 = 3;
/// No answer is waited for; and the answer was closer detail.
const SENT: u8 = u8::MAX;
const CLOSER: u8 = SENT - 1;
/// One in so many that gave no answer is by chance; and so few are asked about often.
const FEW: usize = 8;
/// How often it is asked at once about parts that differ. At 30 % loss each way, one of three comes and is answered in 87 of 100
/// cases: 300 and 1,000 differences take 21 and 28 messages in place of 35 and 38, and 1.6 times the bytes, of asking once where
/// they are many.
const TIMES: u8 = 3;
/// Where more of the sixteen differ, their digests together take less than their lists.
const SPARSE: u32 = 11;
/// As many parts as a datagram asks about.
const SMALL: usize = 32;

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    fn open() -> Open<'static> {
        Open::new(Slice::Owned(vec![0; 64].into_boxed_slice()))
    }

    fn named(open: &Open<'_>) -> Vec<Prefix> {
        let mut at = 0;
        core::iter::from_fn(|| {
            let (found, part) = open.part(at, false)?;
            at = found + 1;
            Some(part)
        })
        .collect()
    }

    /// A part stays open though some of it was told in closer detail: the rest of that may have been lost.
    #[test]
    fn a_part_stays_open_beside_what_is_known_of_it() {
        let mut open = open();
        let whole = Prefix::of(Key::new(1, 0), 36);
        for part in [whole, whole.child(3), whole.child(5), whole.child(3)] {
            open.differs(part, true);
        }
        assert_eq!(open.ask_again(), Some(TIMES));
        assert_eq!(named(&open), [whole, whole.child(5), whole.child(3)]);
        // What does not differ any more gives no answer.
        for _ in 1..ASKED_MAX {
            open.differs(whole.child(3), true);
            assert!(open.ask_again().is_some());
        }
        assert!(open.ask_again().is_some());
        assert_eq!(named(&open), [whole.child(3)]);
    }

    /// What digests tell of a part takes its place, and that of what was known of its sixteen.
    #[test]
    fn digests_of_a_part_take_its_place() {
        let mut open = open();
        let whole = Prefix::of(Key::new(1, 0), 36);
        open.parted(whole, 0b1010, 0b100);
        open.differs(whole.child(3).child(5), true);
        open.parted(whole, 0b1_0000_0010, 0);
        open.parted(whole.child(8), 0b1, 0);
        assert!(open.ask_again().is_some());
        assert_eq!(named(&open), [whole.child(3).child(5), whole.child(1), whole.child(8).child(0)]);
        // If nearly all differ, it is asked about as a whole.
        open.parted(whole, u16::MAX, 0);
        assert!(open.ask_again().is_some());
        assert_eq!(named(&open), [whole.child(3).child(5), whole.child(8).child(0), whole]);
    }

    /// Before many are asked about, whether what came was all.
    #[test]
    fn before_many_it_is_asked_whether_anything_differs() {
        let mut open = open();
        for n in 0..SMALL as u64 {
            open.differs(Prefix::of(Key::new(2, n << 44), 52), true);
        }
        assert!(!open.may_be_equal(7));
        open.differs(Prefix::of(Key::new(3, 0), 52), true);
        assert_eq!([7, 8, 9].map(|root| open.may_be_equal(root)), [true, false, false], "somebody writes");
        assert!(open.ask_again().is_some());
        assert_eq!([9, 10].map(|root| open.may_be_equal(root)), [false, true]);
    }

    /// If nearly all gave an answer, those that did not are asked about alone, and once; then all, once.
    #[test]
    fn who_gave_no_answer_among_many_is_asked_alone() {
        let mut open = open();
        let parts: Vec<Prefix> = (0..16).map(|n| Prefix::of(Key::new(2, n << 48), 48)).collect();
        for part in &parts {
            open.differs(*part, true);
        }
        for part in parts.iter().skip(1) {
            open.came(Prefix::of(part.child(3).first(), Key::BITS), false);
        }
        // What came is of a part, not of one in it.
        open.differs(parts[0].child(0), false);
        open.came(parts[1], true);
        assert_eq!((open.ask_again(), named(&open)), (Some(TIMES), vec![parts[0]]));
        open.came(parts[0], false);
        assert_eq!((open.ask_again(), named(&open).len()), (Some(1), 16), "but for one that was told in closer detail");
        assert_eq!(open.ask_again(), Some(TIMES + 1), "nobody answers, again");
        open.clear();
        assert_eq!(open.ask_again(), None);
    }

    #[test]
    fn a_full_table_remembers_no_more() {
        let mut open = open();
        for n in 0..100 {
            open.differs(Prefix::of(Key::new(n, 0), 32), true);
        }
        assert!(open.ask_again().is_some());
        assert_eq!(named(&open).len(), 64);
    }
}
