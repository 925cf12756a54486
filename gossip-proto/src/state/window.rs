//! The window over 64 messages of one origin and topic: which of them were seen here, and which are over.
//!
//! Knows: bits, and when the last of the messages is over. Does not know: the messages, or who published them.
//!
//! A window is for a fixed stretch of numbers, of which the first is a multiple of 64; it does not slide. So no number,
//! however great, moves another message out of sight: a forged one fills a window of its own.

/// What is known of 64 messages; 31 bytes as a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    /// Those that were taken in here. Such a message is never taken in again.
    pub(super) seen: u64,
    /// Those that somebody has seen, and that nobody has any more. One that arrives all the same is taken in.
    pub(super) over: u64,
    /// When all messages that are known are over, and the window is dropped, in spans of 16 s since 1970.
    pub(super) until: u32,
    /// When all messages are over that this node dropped before their time, in spans of 16 s since 1970.
    pub(super) evicted: u32,
    /// The last 32 bits of the origin, of which its name has the first 38.
    pub(super) low: u32,
    /// The place of the message by which this node first heard of the origin; those before it are history, and no gap.
    pub(super) first: u8,
    /// How many were over before the application asked for them.
    pub(super) unread: u8,
    /// How many were over when this node came to want them again: no gap.
    pub(super) history: u8,
}

impl Window {
    pub(super) const LEN: usize = 31;

    /// The window of a record.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let Some((numbers, &[first, unread, history, ..])) = bytes.split_at_checked(28) else { return Self::default() };
        let mut words = numbers.chunks_exact(4).map(|word| word.try_into().map_or(0, u32::from_le_bytes));
        let mut next = || words.next().unwrap_or(0);
        let mut wide = || u64::from(next()) | u64::from(next()) << 32;
        let (seen, over) = (wide(), wide());
        Self { seen, over, until: next(), evicted: next(), low: next(), first, unread, history }
    }

    /// Writes the window to a record of [`Window::LEN`] bytes.
    pub(super) fn write(&self, to: &mut [u8]) {
        let parts: [&[u8]; 6] = [
            &self.seen.to_le_bytes(),
            &self.over.to_le_bytes(),
            &self.until.to_le_bytes(),
            &self.evicted.to_le_bytes(),
            &self.low.to_le_bytes(),
            &[self.first, self.unread, self.history],
        ];
        to.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
    }

    /// What two nodes compare: what was seen or is over.
    pub(super) fn known(&self) -> u64 {
        self.seen | self.over
    }

    /// How many messages this node has missed for good, once all are over; `later`: whether there are known ones in
    /// the window that follows, which is begun when this one is full.
    pub(super) fn missed(&self, later: bool) -> u32 {
        let end = if later { 64 } else { 64 - self.known().leading_zeros() };
        let before = |place: u32| 1u64.checked_shl(place).map_or(u64::MAX, |bit| bit - 1);
        let due = before(end) & !before(self.first.into());
        let missed = (due & !self.seen).count_ones() + u32::from(self.unread);
        missed.saturating_sub(self.history.into())
    }
}

/// The 16 s that begin at or after a time: windows are dropped where these meet, so that all nodes do it at once.
pub(super) const fn span_after(wall: u64) -> u32 {
    let spans = wall.div_ceil(SPAN);
    if spans > u32::MAX as u64 { u32::MAX } else { spans as u32 }
}

/// When a span begins, in µs since 1970.
pub(super) const fn span_start(span: u32) -> u64 {
    span as u64 * SPAN
}

/// In µs (rule R4).
pub(super) const SPAN: u64 = 16_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_lead_back() {
        let window = Window {
            seen: 1 << 63 | 5,
            over: 0x0102_0304_0506_0708,
            until: 7,
            evicted: 9,
            low: 11,
            first: 3,
            unread: 2,
            history: 1,
        };
        let mut bytes = [0xff; Window::LEN];
        window.write(&mut bytes);
        assert_eq!(Window::read(&bytes), window);
        assert_eq!(Window::read(&bytes[1..]), Window::default());
    }

    #[test]
    fn a_gap_is_what_lies_between() {
        let missed = |seen, over, first, later| Window { seen, over, first, ..Window::default() }.missed(later);
        assert_eq!(missed(0b1111, 0, 0, false), 0);
        assert_eq!(missed(0b1001, 0, 0, false), 2, "between two that were seen");
        assert_eq!(missed(0b1001, 0b1_0110, 0, false), 3, "and one behind, of which others told");
        assert_eq!(missed(0b1000, 0b111, 3, false), 0, "what was over before the origin was known is no gap");
        assert_eq!(missed(1, 0, 0, true), 63, "all to the end, since more came");
        assert_eq!(missed(0, u64::MAX, 64, true), 0);
        assert_eq!(missed(0, u64::MAX, 0, true), 64);
        assert_eq!(missed(u64::MAX, 0, 0, true), 0);
    }

    #[test]
    fn spans_meet_everywhere_at_once() {
        assert_eq!((span_after(0), span_after(1), span_after(SPAN), span_after(SPAN + 1)), (0, 1, 1, 2));
        assert_eq!((span_start(2), span_after(u64::MAX)), (32_000_000, u32::MAX));
    }
}
