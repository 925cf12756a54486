//! The packet trace: one line per datagram for people, one hash of all of them for machines.
//!
//! Knows: what became of each datagram. Does not know: why. Two runs with the same hash handed the same bytes to the
//! same nodes at the same times.

use core::fmt::{self, Write};
use core::hash::Hasher;
use core::time::Duration;

use siphasher::sip::SipHasher13;
use std::string::String;

use super::queue::Marks;
use super::slot::index_of;
use crate::addr::Addr;
use crate::error::Rejected;
use crate::event::MemberChange;
use crate::time::micros;

/// Which lines a trace takes.
#[derive(Clone, Debug, Default)]
pub struct TraceFilter {
    /// Nothing before this virtual time.
    pub from: Duration,
    /// Nothing from this virtual time on.
    pub until: Option<Duration>,
    /// Only what this node sends, gets or sees.
    pub node: Option<usize>,
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The node took it in.
    Delivered,
    /// The node refused it.
    Rejected(Rejected),
    /// The link lost it.
    Lost,
    /// A cut lies between the two.
    Cut,
    /// The link's queue was full.
    Congested,
    /// It is longer than the link carries.
    TooLong,
    /// Nobody has this address.
    Nobody,
    /// The node does not run.
    Down,
    /// The receive buffer of the paused node was full.
    Overflow,
}

impl Fate {
    fn code(self) -> u8 {
        match self {
            Self::Delivered => 0,
            Self::Lost => 1,
            Self::Cut => 2,
            Self::Congested => 3,
            Self::TooLong => 4,
            Self::Nobody => 5,
            Self::Down => 6,
            Self::Overflow => 7,
            Self::Rejected(why) => {
                8 + match why {
                    Rejected::TooShort => 0,
                    Rejected::Version => 1,
                    Rejected::Check => 2,
                    Rejected::Malformed => 3,
                    Rejected::OwnId => 4,
                    Rejected::Left => 5,
                }
            }
        }
    }
}

/// One datagram and what became of it.
pub(crate) struct Hop {
    pub(crate) now: u64,
    pub(crate) sent_at: u64,
    pub(crate) from: Addr,
    pub(crate) to: Addr,
    pub(crate) fate: Fate,
    pub(crate) marks: Marks,
}

/// What a line says of a datagram's bytes, taken before the node saw them.
pub(crate) struct Said {
    len: usize,
    messages: String,
}

/// The lines so far, and the hash.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: SipHasher13,
    filter: Option<TraceFilter>,
    text: String,
}

impl Default for Trace {
    fn default() -> Self {
        Self { hash: SipHasher13::new_with_key(b"gossip sim trace"), filter: None, text: String::new() }
    }
}

impl Trace {
    pub(crate) fn set_filter(&mut self, filter: Option<TraceFilter>) {
        self.filter = filter;
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash.finish()
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
    }

    /// A datagram is sent: its bytes go into the hash once, however often it arrives.
    pub(crate) fn sent(&mut self, now: u64, from: Addr, to: Addr, payload: &[u8]) {
        self.head(&[&now.to_le_bytes(), from.as_bytes(), to.as_bytes(), &(payload.len() as u32).to_le_bytes()]);
        self.hash.write(payload);
    }

    /// A datagram ends without reaching a node.
    pub(crate) fn end(&mut self, hop: &Hop, bytes: &[u8]) {
        let said = self.begin(hop, bytes);
        self.finish(hop, said);
    }

    /// A datagram is about to be handed over. The node may decrypt it in place, so this is the time to look at it.
    pub(crate) fn begin(&mut self, hop: &Hop, bytes: &[u8]) -> Option<Said> {
        if hop.marks.has(Marks::CORRUPTED | Marks::TRUNCATED) {
            self.hash.write(bytes);
        }
        self.wants(hop.now, [hop.from, hop.to]).then(|| {
            let mut messages = String::new();
            let _ = crate::wire::describe(bytes, &mut messages);
            Said { len: bytes.len(), messages }
        })
    }

    /// A datagram has ended.
    pub(crate) fn finish(&mut self, hop: &Hop, said: Option<Said>) {
        let times = [hop.now.to_le_bytes(), hop.sent_at.to_le_bytes()];
        let [now, sent_at] = [&times[0], &times[1]];
        self.head(&[now, sent_at, hop.from.as_bytes(), hop.to.as_bytes(), &[hop.fate.code(), hop.marks.0]]);
        if let Some(said) = said {
            self.write(format_args!("{}", Line { hop, said: &said }));
        }
    }

    /// Takes short parts into the hash with one write.
    fn head(&mut self, parts: &[&[u8]]) {
        let mut head = [0; 2 * Addr::LEN_MAX + 18];
        let mut len = 0;
        for part in parts {
            head[len..len + part.len()].copy_from_slice(part);
            len += part.len();
        }
        self.hash.write(&head[..len]);
    }

    fn wants(&self, now: u64, ends: [Addr; 2]) -> bool {
        self.filter.as_ref().is_some_and(|filter| {
            now >= micros(filter.from)
                && filter.until.is_none_or(|until| now < micros(until))
                && filter.node.is_none_or(|node| {
                    ends.iter().any(|&end| index_of(end).is_some_and(|(index, _)| index as usize == node))
                })
        })
    }

    /// A line about what a node sees or suffers.
    pub(crate) fn note(&mut self, now: u64, who: Addr, what: fmt::Arguments<'_>) {
        if self.wants(now, [who, Addr::NONE]) {
            self.write(format_args!("{} {:>20} {what}", Seconds(now), Show(who)));
        }
    }

    pub(crate) fn member(&mut self, now: u64, observer: Addr, subject: Addr, change: MemberChange) {
        if self.wants(now, [observer, subject]) {
            self.write(format_args!("{} {:>20} sees {} {change:?}", Seconds(now), Show(observer), Show(subject)));
        }
    }

    fn write(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{line}");
    }
}

struct Line<'a> {
    hop: &'a Hop,
    said: &'a Said,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hop = self.hop;
        write!(f, "{} {:>20} -> {:<20} {:>5} B  ", Seconds(hop.now), Show(hop.from), Show(hop.to), self.said.len)?;
        match hop.fate {
            Fate::Delivered => write!(f, "in {}", Millis(hop.now - hop.sent_at))?,
            Fate::Rejected(why) => write!(f, "in {}, rejected: {why:?}", Millis(hop.now - hop.sent_at))?,
            Fate::Lost => f.write_str("lost")?,
            Fate::Cut => f.write_str("partitioned")?,
            Fate::Congested => f.write_str("dropped: queue full")?,
            Fate::TooLong => f.write_str("dropped: too long")?,
            Fate::Nobody => f.write_str("nobody there")?,
            Fate::Down => f.write_str("node is down")?,
            Fate::Overflow => f.write_str("dropped: receive buffer full")?,
        }
        let marks = [
            (Marks::CORRUPTED, "corrupted"),
            (Marks::TRUNCATED, "truncated"),
            (Marks::DUPLICATE, "duplicate"),
            (Marks::REPLAYED, "replayed"),
            (Marks::FORGED, "forged"),
            (Marks::WAITED, "waited"),
        ];
        for (mark, name) in marks {
            if hop.marks.has(mark) {
                write!(f, ", {name}")?;
            }
        }
        if self.said.messages.is_empty() { Ok(()) } else { write!(f, "  {}", self.said.messages) }
    }
}

struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

struct Millis(u64);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} ms", self.0 / 1000, self.0 % 1000)
    }
}

/// An address that keeps the width it is given.
struct Show(Addr);

impl fmt::Display for Show {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.socket() {
            Some(socket) => fmt::Display::fmt(&socket, f),
            None => f.pad("-"),
        }
    }
}
