//! Records: the bytes of an entry.
//!
//! ```text
//! key length 1, count 1, key, then each version, newest first:
//!     flags 1 (pairs 0..=1, tombstone 2, ttl 3, kind 4..=7), value length 3, stamp 8, writer 8, ttl 4 if there is one,
//!     pairs 16 each, value
//! ```
//! Numbers have their least significant byte first. Equal entries have equal bytes, on every target: the summary hashes
//! them as they are.
//!
//! Knows: the layout, to read in place and to edit in place. Does not know: the arena, or which versions ought to be
//! there. Bytes that are no record read as fewer versions.

use super::entry::Kind;
use super::merge::{Plan, VERSIONS_MAX};
use super::version::{CONTEXT_MAX, PAIR_LEN, Version};
use crate::slab::{shift, word};

/// The bytes of one entry, borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'r>(pub(super) &'r [u8]);

/// The versions of a record, newest first.
#[derive(Clone, Debug)]
pub(super) struct Versions<'r> {
    rest: &'r [u8],
    left: usize,
}

impl<'r> Record<'r> {
    pub(super) fn key(self) -> &'r [u8] {
        self.0.get(HEAD_LEN..self.body()).unwrap_or(&[])
    }

    /// The kind of the newest version.
    pub(super) fn kind(self) -> Kind {
        self.versions().next().map_or(Kind::Register, |newest| newest.kind)
    }

    pub(super) fn versions(self) -> Versions<'r> {
        let left = self.0.get(1).map_or(0, |&count| usize::from(count).min(VERSIONS_MAX));
        Versions { rest: self.0.get(self.body()..).unwrap_or(&[]), left }
    }

    /// Whether these bytes are a record and nothing else.
    pub(super) fn is_whole(self) -> bool {
        let mut versions = self.versions();
        let count = self.0.get(1).map_or(0, |&count| usize::from(count));
        count > 0 && versions.by_ref().count() == count && versions.rest.is_empty()
    }

    /// The bytes of the last version.
    pub(super) fn last_bytes(self) -> Option<&'r [u8]> {
        let len = self.versions().last()?.len();
        self.0.get(self.0.len().checked_sub(len)?..)
    }

    /// Where the versions begin.
    pub(super) fn body(self) -> usize {
        HEAD_LEN + self.0.first().map_or(0, |&len| usize::from(len))
    }
}

impl<'r> Iterator for Versions<'r> {
    type Item = Version<'r>;

    fn next(&mut self) -> Option<Version<'r>> {
        self.left = self.left.checked_sub(1)?;
        let (version, rest) = read(self.rest)?;
        self.rest = rest;
        Some(version)
    }
}

/// Reads the version at the front, and returns what follows it.
fn read(bytes: &[u8]) -> Option<(Version<'_>, &[u8])> {
    let (&[flags, a, b, c], rest) = bytes.split_first_chunk()?;
    let (dot, rest) = rest.split_first_chunk::<16>()?;
    let (stamp, writer) = dot.split_at(8);
    let (ttl, rest) = match flags & FLAG_TTL {
        0 => (0, rest),
        _ => rest.split_first_chunk().map(|(ttl, rest)| (u32::from_le_bytes(*ttl), rest))?,
    };
    let (context, rest) = rest.split_at_checked(usize::from(flags & FLAG_PAIRS) * PAIR_LEN)?;
    let (value, rest) = rest.split_at_checked(u32::from_le_bytes([a, b, c, 0]) as usize)?;
    let value = (flags & FLAG_TOMBSTONE == 0).then_some(value);
    let kind = Kind::from_wire(flags >> KIND_SHIFT)?;
    Some((Version { kind, stamp: word(stamp), writer: word(writer), context, ttl, value }, rest))
}

impl Version<'_> {
    /// How many bytes this version takes in a record.
    pub(super) fn len(&self) -> usize {
        VERSION_LEN + 4 * usize::from(self.ttl != 0) + self.context.len() + self.value.map_or(0, <[u8]>::len)
    }

    /// Writes this version to the front of `to`, which is long enough.
    fn write(&self, to: &mut [u8]) {
        let value = self.value.unwrap_or(&[]);
        let tombstone = if self.value.is_none() { FLAG_TOMBSTONE } else { 0 };
        let timed = if self.ttl == 0 { 0 } else { FLAG_TTL };
        let flags = self.kind.to_wire() << KIND_SHIFT | timed | tombstone | (self.context.len() / PAIR_LEN) as u8;
        let [a, b, c, _] = (value.len() as u32).to_le_bytes();
        let ttl = self.ttl.to_le_bytes();
        let parts: [&[u8]; 6] = [
            &[flags, a, b, c],
            &self.stamp.to_le_bytes(),
            &self.writer.to_le_bytes(),
            if self.ttl == 0 { &[] } else { &ttl },
            self.context,
            value,
        ];
        let mut to = to;
        for part in parts {
            let Some((front, rest)) = to.split_at_mut_checked(part.len()) else { return };
            front.copy_from_slice(part);
            to = rest;
        }
    }
}

/// The length of a record with this key and one version.
pub(super) fn len_of_one(key: &[u8], version: &Version<'_>) -> usize {
    HEAD_LEN + key.len() + version.len()
}

/// Writes a record with this key and one version; `to` is as long as [`len_of_one`] says.
pub(super) fn write_one(to: &mut [u8], key: &[u8], version: &Version<'_>) {
    if let Some((head, rest)) = to.split_first_chunk_mut::<HEAD_LEN>() {
        *head = [key.len() as u8, 1];
        if let Some((front, rest)) = rest.split_at_mut_checked(key.len()) {
            front.copy_from_slice(key);
            version.write(rest);
        }
    }
}

/// Says how long the value is that lies behind the only version of a record with this key.
pub(super) fn set_len(bytes: &mut [u8], key: &[u8], len: usize) {
    let place = bytes.get_mut(HEAD_LEN + key.len() + 1..).and_then(<[u8]>::first_chunk_mut::<3>);
    if let Some(place) = place {
        place.iter_mut().zip((len as u32).to_le_bytes()).for_each(|(to, from)| *to = from);
    }
}

/// Leaves the newest version alone, with this dot and no context; returns the length of the record.
pub(super) fn redate(bytes: &mut [u8], stamp: u64, writer: u64) -> usize {
    let body = Record(bytes).body();
    let Some((version, _)) = bytes.get(body..).and_then(read) else { return bytes.len() };
    let (len, pairs, value) = (version.len(), version.context.len(), version.value.map_or(0, <[u8]>::len));
    let end = body + len;
    shift(bytes, end - value, value, end - value - pairs);
    if let Some([flags, _, _, _, dot @ ..]) = bytes.get_mut(body..) {
        *flags &= !FLAG_PAIRS;
        let words = stamp.to_le_bytes().into_iter().chain(writer.to_le_bytes());
        dot.iter_mut().zip(words).for_each(|(to, from)| *to = from);
    }
    if let Some(count) = bytes.get_mut(1) {
        *count = 1;
    }
    end - pairs
}

/// The length of a record after [`edit`].
pub(super) fn len_after(record: Record<'_>, plan: &Plan, new: &Version<'_>) -> usize {
    let kept = record.versions().enumerate().filter(|(n, _)| plan.keep >> n & 1 == 1).map(|(_, version)| version.len());
    record.body() + new.len() + kept.sum::<usize>()
}

/// Does in place what the plan says. `bytes` begins with the record, and is as long as the longer of before and after.
pub(super) fn edit(bytes: &mut [u8], plan: &Plan, new: &Version<'_>) {
    let record = Record(bytes);
    let (mut from, count) = (record.body(), record.versions().count());
    let (mut to, mut gap, mut kept) = (from, None, 1);
    for n in 0..count {
        if n == plan.place {
            gap = Some(to);
        }
        let Some(len) = bytes.get(from..).and_then(read).map(|(version, _)| version.len()) else { break };
        if plan.keep >> n & 1 == 1 {
            shift(bytes, from, len, to);
            (to, kept) = (to + len, kept + 1);
        }
        from += len;
    }
    let gap = gap.unwrap_or(to);
    shift(bytes, gap, to - gap, gap + new.len());
    if let Some(to) = bytes.get_mut(gap..) {
        new.write(to);
    }
    if let Some(count) = bytes.get_mut(1) {
        *count = kept;
    }
}

/// What becomes of a version whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Stays,
    /// It goes.
    Goes,
    /// Its value goes; a tombstone stays.
    Dies,
}

/// Does to each version what `fate` says; returns how long the record then is, 0 if nothing is left of it.
pub(super) fn trim(bytes: &mut [u8], fate: impl Fn(&Version<'_>) -> Fate) -> usize {
    let (mut from, count) = (Record(bytes).body(), Record(bytes).versions().count());
    let (mut to, mut kept) = (from, 0);
    for _ in 0..count {
        let Some((version, _)) = bytes.get(from..).and_then(read) else { break };
        let (len, fate) = (version.len(), fate(&version));
        let left = match fate {
            Fate::Stays => len,
            Fate::Goes => 0,
            Fate::Dies => len - version.value.map_or(0, <[u8]>::len),
        };
        shift(bytes, from, left, to);
        if let (Fate::Dies, Some([flags, len @ ..])) =
            (fate, bytes.get_mut(to..).and_then(<[u8]>::first_chunk_mut::<4>))
        {
            *flags |= FLAG_TOMBSTONE;
            *len = [0; 3];
        }
        (to, kept) = (to + left, kept + u8::from(left > 0));
        from += len;
    }
    if let Some(count) = bytes.get_mut(1) {
        *count = kept;
    }
    if kept == 0 { 0 } else { to }
}

/// Says of these versions, which have an end, that a tombstone is to stay in their place.
pub(super) fn mark(bytes: &mut [u8], which: impl Fn(&Version<'_>) -> bool) {
    let mut from = Record(bytes).body();
    while let Some((version, _)) = bytes.get(from..).and_then(read) {
        let (len, marked) = (version.len(), version.ttl > 0 && which(&version));
        if let Some(low) = bytes.get_mut(from + TTL_AT).filter(|_| marked) {
            *low |= 1;
        }
        from += len;
    }
}

/// The longest record when key and value of each version take at most `content_len` bytes together.
pub(super) const fn len_max(content_len: usize) -> usize {
    HEAD_LEN + VERSIONS_MAX * (VERSION_LEN + 4 + CONTEXT_MAX * PAIR_LEN + content_len)
}

/// The longest record of one version when its value takes at most `value_len` bytes.
pub(super) const fn len_max_of_one(value_len: usize) -> usize {
    HEAD_LEN + u8::MAX as usize + VERSION_LEN + 4 + CONTEXT_MAX * PAIR_LEN + value_len
}

const HEAD_LEN: usize = 2;
/// A version without pairs and value.
const VERSION_LEN: usize = 20;
/// Where in a version its ttl is, if it has one.
const TTL_AT: usize = 20;
const FLAG_PAIRS: u8 = 0b11;
const FLAG_TOMBSTONE: u8 = 0b100;
const FLAG_TTL: u8 = 0b1000;
const KIND_SHIFT: u32 = 4;
