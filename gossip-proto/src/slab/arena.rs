//! The arena: records of many sizes in one byte area, with no heap and no unbounded pause.
//!
//! The area is a table of page headers, then equal pages of at least 16 largest usual records and 4 largest records; an
//! area too small for two such pages is one page. A record is one contiguous slice behind an 8-byte header. Records are appended to the open page.
//! When that is full, the emptiest page is compacted, alone and in place, and becomes the open one: this is the longest
//! pause there is. The headers sit together, not in their pages, so that a free touches few cache lines.
//!
//! Knows: how long each record is, and the number of its owner, to report where it moved. Does not know: what a record
//! holds, or what an owner is. Reads nothing from an area that it has not written: all-zero bytes are an empty arena,
//! and so are any others.
//!
//! Full: `used` counts each live record at its [`Arena::cost`] and nothing else, so admission depends on what is held
//! and never on how it came about. What is admitted is placed, by counting. Let L be the length of a page:
//! - of several pages, the emptiest has what it has less than the mean. The class lists are at most L/16 coarse, so the
//!   page they give has more than L - L/16 - mean free. At `used <= 7/8` that is L/16, which is the largest usual record's
//!   cost at least. A larger one is admitted while it is no more than that: one of L/4 up to `used <= 11/16`;
//! - of one page, all that is not used is free once it is compacted. The eighth that admission keeps back is what is
//!   appended from one compaction to the next.
//!
//! What is not admitted is refused, and nothing changed. A place is void once its record is freed: until the page is
//! compacted, calls with it find nothing and do nothing; later they may find another record.

use core::num::NonZero;
use core::ops::Range;

use super::{shift, word};
use crate::divide::{quotient, width};

/// A record's place: the offset of its header, plus 1. All-zero bytes of an `Option<Loc>` are none.
// Packed where slots are small, as their links are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(any(target_os = "none", gossip_ix16), repr(C, packed(2)))]
pub(crate) struct Loc(NonZero<u32>);

impl Loc {
    fn at(offset: usize) -> Self {
        Self(NonZero::<u32>::MIN.saturating_add(offset as u32))
    }

    fn offset(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Heads and counters over an area that is handed in; always the same area, of the length given to [`Arena::new`].
#[derive(Debug)]
pub(crate) struct Arena {
    record_max: u32,
    used: u32,
    page_len: u32,
    /// A page with `free` bytes is in list `free >> class_shift`.
    class_shift: u8,
    page_count: u16,
    /// Pages below this one were opened at least once; the others have no header yet.
    fresh: u16,
    /// The page that is appended to, in no list; none while `fresh` is 0.
    open: u16,
    /// Bit `c` says that list `c` holds a page.
    classes: u32,
    heads: [u16; CLASSES],
}

impl Arena {
    /// Cuts an area of `area_len` bytes for records of at most `record_max` bytes of payload, of which the usual ones have
    /// at most `usual_max`. Writes nothing.
    pub(crate) fn new(area_len: usize, usual_max: usize, record_max: usize) -> Self {
        let area_len = area_len.min(AREA_MAX);
        let record_max = record_max.max(usual_max).min(RECORD_MAX);
        let usual = PAGE_RECORDS * Self::cost(usual_max.min(RECORD_MAX));
        let page_min = usual.max(PAGE_LARGE_RECORDS * Self::cost(record_max));
        let page_count = (quotient(area_len as u32, (page_min + Page::LEN) as u32) as usize).clamp(1, PAGES_MAX);
        let page_len =
            (quotient(area_len as u32, page_count as u32) as usize).saturating_sub(Page::LEN) / ALIGN * ALIGN;
        let class_bits = width((page_len / CLASSES) as u32);
        let mut arena = Self {
            record_max: 0,
            used: 0,
            page_len: page_len as u32,
            class_shift: class_bits as u8,
            page_count: page_count as u16,
            fresh: 0,
            open: 0,
            classes: 0,
            heads: [0; CLASSES],
        };
        arena.record_max = record_max.min((arena.capacity() / ALIGN * ALIGN).saturating_sub(Record::LEN)) as u32;
        arena
    }

    /// Allocates `len` bytes for `owner`, of unspecified content, and calls `moved` with the owner and new place of
    /// each record that had to move for it: one that `owner` has already may be among them, so free that first. `None`
    /// if it is not admitted.
    pub(crate) fn alloc(
        &mut self,
        area: &mut [u8],
        owner: u32,
        len: usize,
        moved: &mut dyn FnMut(u32, Loc),
    ) -> Option<Loc> {
        let cost = Self::cost(len);
        if !self.takes(len, 0) {
            return None;
        }
        let owner = owner.checked_add(1)?;
        let cost = cost as u32;
        let mut page = Page::read(area, self.open);
        if self.fresh == 0 || page.end.saturating_add(cost) > self.page_len {
            page = self.open_emptiest(area, moved);
            if page.end.saturating_add(cost) > self.page_len {
                return None; // Counting says that this cannot be, unless somebody else wrote to the area.
            }
        }
        let at = self.page_start(self.open) + page.end as usize;
        Record { owner, size: cost, slack: cost - (Record::LEN + len) as u32 }.write(area, at);
        page.end += cost;
        page.live += cost;
        page.write(area, self.open);
        self.used += cost;
        Some(Loc::at(at))
    }

    /// Frees a record.
    pub(crate) fn free(&mut self, area: &mut [u8], loc: Loc) {
        let at = loc.offset();
        let Some(record) = Record::read_live(area, at) else { return };
        Record { owner: 0, ..record }.write(area, at);
        self.recount(area, at, record.cost(), 0);
    }

    /// Gives a record another length where it is, keeps the bytes that both lengths have, and says whether it could.
    ///
    /// A shorter length always fits. Up to a quarter stays with the record, for it to grow again; more is cut off.
    /// Neither is counted as used: compaction takes both back.
    pub(crate) fn resize(&mut self, area: &mut [u8], loc: Loc, len: usize) -> bool {
        let at = loc.offset();
        let Some(record) = Record::read_live(area, at) else { return false };
        let (old, new) = (record.cost(), Self::cost(len) as u32);
        if len > self.record_max() || new > record.size || !self.admits(new.saturating_sub(old) as usize) {
            return false;
        }
        let end = (Record::LEN + len) as u32;
        let (slack, rest) = (record.size - end, record.size - new);
        let keeps = slack < (record.size / 4).min(SLACK_MAX) || rest < Record::LEN as u32;
        let size = if keeps { record.size } else { new };
        if !keeps {
            Record { owner: 0, size: rest, slack: 0 }.write(area, at + new as usize);
        }
        Record { owner: record.owner, size, slack: size - end }.write(area, at);
        self.recount(area, at, old, new);
        true
    }

    /// The longest payload: what was asked for, unless the area or the header has no room for it.
    pub(crate) fn record_max(&self) -> usize {
        self.record_max as usize
    }

    /// The [`Arena::cost`] of all live records.
    pub(crate) fn used(&self) -> usize {
        self.used as usize
    }

    /// The most that [`Arena::used`] may be: 7/8 of the pages.
    pub(crate) fn capacity(&self) -> usize {
        usize::from(self.page_count) * self.page_len as usize / 8 * 7
    }

    /// Whether `extra` bytes more may be used: the cost of a new record, less that of the one it replaces.
    pub(crate) fn admits(&self, extra: usize) -> bool {
        extra <= self.capacity().saturating_sub(self.used())
    }

    /// Whether a new record of `len` bytes finds its place once `freed` bytes less are used.
    pub(crate) fn takes(&self, len: usize, freed: usize) -> bool {
        let (cost, used, pages) = (Self::cost(len), self.used().saturating_sub(freed), usize::from(self.page_count));
        let page_len = self.page_len as usize;
        // By division, since on 32 bits a product of all pages may be too large.
        let mean = quotient(used.saturating_sub(1) as u32, pages as u32) as usize + usize::from(used > 0);
        len <= self.record_max()
            && cost <= self.capacity().saturating_sub(used)
            && (pages == 1 || cost <= (page_len - page_len / 16).saturating_sub(mean))
    }

    /// Makes a live record another owner's.
    pub(crate) fn give(&self, area: &mut [u8], loc: Loc, owner: u32) {
        if let Some(record) = Record::read_live(area, loc.offset()) {
            Record { owner: owner.saturating_add(1), ..record }.write(area, loc.offset());
        }
    }

    /// The bytes that a payload of `len` bytes uses, header and padding included.
    pub(crate) fn cost(len: usize) -> usize {
        len.saturating_add(Record::LEN + ALIGN - 1) / ALIGN * ALIGN
    }

    /// The payload of a record; empty if there is none.
    pub(crate) fn get<'b>(&self, area: &'b [u8], loc: Loc) -> &'b [u8] {
        area.get(Record::payload(area, loc.offset())).unwrap_or_default()
    }

    /// The payload of a record, to be written; empty if there is none.
    pub(crate) fn get_mut<'b>(&self, area: &'b mut [u8], loc: Loc) -> &'b mut [u8] {
        area.get_mut(Record::payload(area, loc.offset())).unwrap_or_default()
    }

    /// The payloads of two records, the second to be written; empty if there are not both.
    pub(crate) fn pair<'b>(&self, area: &'b mut [u8], from: Loc, to: Loc) -> (&'b [u8], &'b mut [u8]) {
        let ranges = [from, to].map(|loc| Record::payload(area, loc.offset()));
        match area.get_disjoint_mut(ranges) {
            Ok([from, to]) => (from, to),
            Err(_) => (&[], &mut []),
        }
    }

    /// The owner of a record; `None` if it was freed.
    #[cfg(test)]
    pub(crate) fn owner(&self, area: &[u8], loc: Loc) -> Option<u32> {
        Record::read_live(area, loc.offset()).map(|record| record.owner - 1)
    }

    /// Closes the open page and opens the emptiest, which may be the same.
    fn open_emptiest(&mut self, area: &mut [u8], moved: &mut dyn FnMut(u32, Loc)) -> Page {
        if self.fresh > 0 {
            let closed = Page::read(area, self.open);
            self.link(area, self.open, closed);
        }
        if self.fresh < self.page_count {
            self.open = self.fresh;
            self.fresh += 1;
            return Page::default();
        }
        let emptiest = width(self.classes).saturating_sub(1) as usize;
        self.open = self.heads.get(emptiest).map_or(0, |head| head.saturating_sub(1)).min(self.page_count - 1);
        let mut page = Page::read(area, self.open);
        self.unlink(area, page);
        page.end = if page.live == 0 { 0 } else { self.compact(area, self.open, page.end, moved) };
        page
    }

    /// Moves the live records of one page to its front, each without its slack, and returns where they end.
    fn compact(&self, area: &mut [u8], ix: u16, end: u32, moved: &mut dyn FnMut(u32, Loc)) -> u32 {
        let start = self.page_start(ix);
        let Some(page) = area.get_mut(start..).and_then(|rest| rest.get_mut(..end as usize)) else { return end };
        let (mut from, mut to) = (0, 0);
        while let Some(record) = Record::read(page, from) {
            if record.owner != 0 {
                let cost = record.cost();
                if from != to {
                    shift(page, from, Record::LEN + record.len(), to);
                    moved(record.owner - 1, Loc::at(start + to));
                }
                if cost != record.size {
                    Record { size: cost, slack: record.slack - (record.size - cost), ..record }.write(page, to);
                }
                to += cost as usize;
            }
            from += record.size as usize;
        }
        to as u32
    }

    /// Follows a record whose cost changed in the counters and in the list of its page.
    fn recount(&mut self, area: &mut [u8], at: usize, old: u32, new: u32) {
        self.used = self.used.saturating_sub(old).saturating_add(new);
        let ix = quotient(at.saturating_sub(self.page_start(0)) as u32, self.page_len) as u16;
        let page = Page::read(area, ix);
        let changed = Page { live: page.live.saturating_sub(old).saturating_add(new), ..page };
        if ix == self.open || self.class(page) == self.class(changed) {
            changed.write(area, ix);
        } else {
            self.unlink(area, page);
            self.link(area, ix, changed);
        }
    }

    /// Puts a page, whose header is `page` but for the links, in front of its list.
    fn link(&mut self, area: &mut [u8], ix: u16, page: Page) {
        let class = self.class(page);
        let Some(head) = self.heads.get_mut(class) else { return };
        let next = core::mem::replace(head, ix + 1);
        Page { prev: 0, next, ..page }.write(area, ix);
        if let Some(next) = next.checked_sub(1) {
            Page { prev: ix + 1, ..Page::read(area, next) }.write(area, next);
        }
        self.classes |= 1 << class;
    }

    /// Takes the page with this header out of its list. Leaves the header as it is.
    fn unlink(&mut self, area: &mut [u8], page: Page) {
        if let Some(next) = page.next.checked_sub(1) {
            Page { prev: page.prev, ..Page::read(area, next) }.write(area, next);
        }
        if let Some(prev) = page.prev.checked_sub(1) {
            Page { next: page.next, ..Page::read(area, prev) }.write(area, prev);
            return;
        }
        let class = self.class(page);
        if let Some(head) = self.heads.get_mut(class) {
            *head = page.next;
            self.classes &= !(u32::from(page.next == 0) << class);
        }
    }

    fn class(&self, page: Page) -> usize {
        (self.page_len.saturating_sub(page.live) >> self.class_shift) as usize
    }

    fn page_start(&self, ix: u16) -> usize {
        usize::from(self.page_count) * Page::LEN + usize::from(ix) * self.page_len as usize
    }
}

/// The header of a page, in the table at the front of the area. Links are page numbers plus 1, 0 for none.
#[derive(Clone, Copy, Debug, Default)]
struct Page {
    /// What the live records cost: where they would end if the page were compacted.
    live: u32,
    /// Where the next record goes.
    end: u32,
    prev: u16,
    next: u16,
}

impl Page {
    const LEN: usize = 12;

    fn read(area: &[u8], ix: u16) -> Self {
        let Some(bytes) = area.get(usize::from(ix) * Self::LEN..).and_then(|rest| rest.first_chunk()) else {
            return Self::default();
        };
        let &[a, b, c, d, e, f, g, h, i, j, k, l]: &[u8; Self::LEN] = bytes;
        Self {
            live: u32::from_le_bytes([a, b, c, d]),
            end: u32::from_le_bytes([e, f, g, h]),
            prev: u16::from_le_bytes([i, j]),
            next: u16::from_le_bytes([k, l]),
        }
    }

    fn write(self, area: &mut [u8], ix: u16) {
        let ([a, b, c, d], [e, f, g, h]) = (self.live.to_le_bytes(), self.end.to_le_bytes());
        let ([i, j], [k, l]) = (self.prev.to_le_bytes(), self.next.to_le_bytes());
        if let Some(bytes) = area.get_mut(usize::from(ix) * Self::LEN..).and_then(|rest| rest.first_chunk_mut()) {
            *bytes = [a, b, c, d, e, f, g, h, i, j, k, l];
        }
    }
}

/// The header of a record: the owner in 4 bytes, then size (in units of [`ALIGN`]) and slack packed in 4.
#[derive(Clone, Copy, Debug)]
struct Record {
    /// The owner's number plus 1; 0 is a dead record.
    owner: u32,
    /// The bytes to the next record.
    size: u32,
    /// The bytes between the end of the payload and the next record: padding, and what a shorter value left.
    slack: u32,
}

impl Record {
    const LEN: usize = 8;

    /// The record at `at`, dead or live, if there is one that ends within `bytes`.
    fn read(bytes: &[u8], at: usize) -> Option<Self> {
        let rest = bytes.get(at..)?;
        let header = word(rest.get(..Self::LEN)?);
        let sizes = (header >> 32) as u32;
        let record =
            Self { owner: header as u32, size: (sizes >> SLACK_BITS) * ALIGN as u32, slack: sizes & SLACK_MAX };
        (record.size as usize <= rest.len() && Self::LEN as u32 + record.slack <= record.size).then_some(record)
    }

    fn read_live(bytes: &[u8], at: usize) -> Option<Self> {
        Self::read(bytes, at).filter(|record| record.owner != 0)
    }

    /// Where the payload of the live record at `at` is.
    fn payload(bytes: &[u8], at: usize) -> Range<usize> {
        Self::read_live(bytes, at).map_or(0..0, |record| at + Self::LEN..at + Self::LEN + record.len())
    }

    fn write(self, bytes: &mut [u8], at: usize) {
        let sizes = ((self.size / ALIGN as u32) << SLACK_BITS) | self.slack;
        if let Some(header) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
            *header = ((u64::from(sizes) << 32) | u64::from(self.owner)).to_le_bytes();
        }
    }

    /// The length of the payload; [`Record::read`] saw that it is not negative.
    fn len(self) -> usize {
        (self.size - self.slack) as usize - Self::LEN
    }

    fn cost(self) -> u32 {
        Arena::cost(self.len()) as u32
    }
}

/// A page holds at least this many largest usual records, so that these are admitted up to 7/8. The proof above needs no
/// less; with more, a compaction is longer.
const PAGE_RECORDS: usize = 16;
/// A page holds at least this many largest records of all: with 16 of 1 MiB the longest pause would be four times as long.
const PAGE_LARGE_RECORDS: usize = 4;
/// Lists of closed pages, by free bytes. With 32, the set of lists that hold a page is one word.
const CLASSES: usize = 32;
/// Links are 16 bits on every target: 64 bytes of heads. Larger areas get larger pages.
const PAGES_MAX: usize = u16::MAX as usize;
/// Offsets plus 1 are 32 bits; more of an area is left alone.
const AREA_MAX: usize = u32::MAX as usize;
/// Records begin and end at multiples of this within their page, which leaves 19 bits for their size.
const ALIGN: usize = 4;
/// What the size leaves of 4 bytes.
const SLACK_BITS: u32 = 13;
const SLACK_MAX: u32 = (1 << SLACK_BITS) - 1;
/// The longest payload whose size fits its 19 bits: just under 2 MiB.
const RECORD_MAX: usize = ((1 << (u32::BITS - SLACK_BITS)) - 1) * ALIGN - Record::LEN;

#[cfg(test)]
#[path = "arena_tests.rs"]
mod tests;
