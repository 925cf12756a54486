//! One datagram: envelope, header, messages.
//!
//! ```text
//! 0      version (high half) and profile (low half)
//! 1..5   check: keyed hash of all that follows, of the destination's id and of byte 0
//! 5..    header, then messages until the end
//! ```
//! The check tells swarms apart, finds damage that the transport lets through, and refuses what was meant for another
//! node; it is no protection against whoever knows the swarm's name. The sealed profile will take its place.

use super::codec;
use super::message::Message;
use crate::addr::NodeId;
use crate::config::SwarmKey;
use crate::error::Rejected;
use crate::hash::hash;
use crate::slab::shift;

/// What opens and closes datagrams: the swarm's key, and whose node this is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope {
    pub(crate) key: SwarmKey,
    pub(crate) own: NodeId,
}

/// What every datagram says of its sender, whatever else it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) id: NodeId,
    pub(crate) incarnation: u32,
    /// The keyed hash of the sender's summary of all entries.
    pub(crate) root: u32,
    /// How much of what it owes to others the sender could not send yet, in 1/255.
    pub(crate) load: u8,
}

/// Opens a datagram: its header, and the messages behind it, of which none has been looked at.
///
/// Takes the bytes by mutable reference since the sealed profile decrypts in place.
pub(crate) fn open<'d>(datagram: &'d mut [u8], envelope: &Envelope) -> Result<(Header, Messages<'d>), Rejected> {
    read(datagram, envelope)
}

/// Opens a datagram that came in another: it must be bound to us.
pub(crate) fn open_inner<'d>(datagram: &'d [u8], envelope: &Envelope) -> Result<(Header, Messages<'d>), Rejected> {
    if datagram.first() == Some(&BOUND) { read(datagram, envelope) } else { Err(Rejected::Version) }
}

fn read<'d>(datagram: &'d [u8], envelope: &Envelope) -> Result<(Header, Messages<'d>), Rejected> {
    let Some((&[first, c0, c1, c2, c3], body)) = datagram.split_first_chunk() else { return Err(Rejected::TooShort) };
    let destination = match first {
        UNBOUND => NodeId(0),
        BOUND => envelope.own,
        _ => return Err(Rejected::Version),
    };
    if u32::from_le_bytes([c0, c1, c2, c3]) != check(&envelope.key, first, destination, body) {
        return Err(Rejected::Check);
    }
    let (header, rest) = codec::read::<Header>(body).ok_or(Rejected::Malformed)?;
    if header.id == envelope.own {
        return Err(Rejected::OwnId);
    }
    Ok((header, Messages(rest)))
}

/// The messages of a datagram, decoded one by one; after the first malformed one there are none.
#[derive(Clone, Debug)]
pub(crate) struct Messages<'d>(&'d [u8]);

impl<'d> Messages<'d> {
    /// Decodes all, and says whether there is one to pass on. Apart, so that its stack is free again for what follows.
    #[inline(never)]
    pub(crate) fn check(&self) -> Result<bool, Rejected> {
        let mut forwards = false;
        for message in self.clone() {
            forwards |= matches!(message?, Message::Forward { .. });
        }
        Ok(forwards)
    }

    /// The payload of the next one that was passed on for `own`.
    #[inline(never)]
    pub(crate) fn next_forward(&mut self, own: NodeId) -> Option<&'d [u8]> {
        self.flatten().find_map(|message| match message {
            Message::Forward { to, payload } if to == own => Some(payload),
            _ => None,
        })
    }
}

impl<'d> Iterator for Messages<'d> {
    type Item = Result<Message<'d>, Rejected>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        // A message is large to move: it stays where it was decoded.
        let message = codec::take::<Message<'_>>(&mut self.0);
        let Some(message) = message.filter(Message::is_well_formed) else {
            self.0 = &[];
            return Some(Err(Rejected::Malformed));
        };
        Some(Ok(message))
    }
}

/// Writes one datagram into the caller's buffer, never a byte over its end.
#[derive(Debug)]
pub(crate) struct Writer<'b> {
    buf: &'b mut [u8],
    len: usize,
    empty_len: usize,
}

impl<'b> Writer<'b> {
    /// Begins a datagram; `None` when the buffer has no room for the header.
    pub(crate) fn new(buf: &'b mut [u8], header: &Header) -> Option<Self> {
        let used = codec::write(header, buf.get_mut(ENVELOPE_LEN..)?)?;
        Some(Self { len: ENVELOPE_LEN + used, empty_len: ENVELOPE_LEN + used, buf })
    }

    /// Appends a message, and says how many bytes it took; `None`, and nothing has changed, if it is longer than
    /// `limit` or does not fit.
    pub(crate) fn push(&mut self, message: &Message<'_>, limit: usize) -> Option<usize> {
        let end = self.len.saturating_add(limit).min(self.buf.len());
        let used = codec::write(message, self.buf.get_mut(self.len..end)?)?;
        self.len += used;
        Some(used)
    }

    /// Whether no message has been written yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == self.empty_len
    }

    /// How many bytes are left.
    pub(crate) fn room(&self) -> usize {
        self.buf.len() - self.len
    }

    /// Where the writer is, to return to with [`Writer::truncate`].
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Takes back what was written after `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len).max(self.empty_len);
    }
}

/// Closes the datagram in the first `len` bytes of `buf`, bound to `destination` when its id is known.
pub(crate) fn close<'b>(buf: &'b mut [u8], len: usize, envelope: &Envelope, destination: Option<NodeId>) -> &'b [u8] {
    let first = if destination.is_some() { BOUND } else { UNBOUND };
    let Some(datagram) = buf.get_mut(..len) else { return &[] };
    if let Some((head, body)) = datagram.split_first_chunk_mut::<ENVELOPE_LEN>() {
        let [a, b, c, d] = check(&envelope.key, first, destination.unwrap_or_default(), body).to_le_bytes();
        *head = [first, a, b, c, d];
    }
    datagram
}

/// Wraps the closed datagram of `len` bytes that begins at [`FORWARD_LEN_MAX`] in another one, to be closed in its turn,
/// that asks its receiver to pass it on to `to`. Says how long that is.
pub(crate) fn wrap(buf: &mut [u8], len: usize, header: &Header, to: NodeId) -> Option<usize> {
    // Header and message as they are encoded, but for the length of the payload, the last byte of an empty one.
    let mut lead = [0; FORWARD_LEN_MAX];
    let head = codec::write(header, lead.get_mut(ENVELOPE_LEN..)?)? + ENVELOPE_LEN;
    let empty = Message::Forward { to, payload: &[] };
    let at = codec::write(&empty, lead.get_mut(head..)?)? + head - 1;
    let start = codec::write(&u32::try_from(len).ok()?, lead.get_mut(at..)?)? + at;
    if FORWARD_LEN_MAX + len > buf.len() {
        return None;
    }
    shift(buf, FORWARD_LEN_MAX, len, start);
    buf.get_mut(..start)?.copy_from_slice(lead.get(..start)?);
    Some(start + len)
}

fn check(key: &SwarmKey, first: u8, destination: NodeId, body: &[u8]) -> u32 {
    hash(key.as_bytes(), &[body, &destination.0.to_le_bytes(), &[first]]).h1 as u32
}

/// Writes the names of a datagram's messages, for people; it checks nothing.
#[cfg(feature = "sim")]
pub(crate) fn describe(datagram: &[u8], out: &mut impl core::fmt::Write) -> core::fmt::Result {
    let Some(body) = datagram.get(ENVELOPE_LEN..) else { return out.write_str("short") };
    let Some((header, rest)) = codec::read::<Header>(body) else { return out.write_str("malformed") };
    write!(out, "inc {} root {:08x}", header.incarnation, header.root)?;
    Messages(rest).try_for_each(|message| match message {
        Ok(message) => write!(out, ", {message}"),
        Err(_) => out.write_str(", malformed"),
    })
}

/// Version 1, plain profile, for whoever is at the address: its id is not known.
const UNBOUND: u8 = 0x10;
/// Version 1, plain profile, for one id.
const BOUND: u8 = 0x11;
const ENVELOPE_LEN: usize = 5;
/// The most that passing on adds to a datagram, whoever passes it on: envelope, the longest header (id 8, incarnation 5,
/// root 4, load 1), and the message's number, destination and length of up to 65,507.
pub(crate) const FORWARD_LEN_MAX: usize = ENVELOPE_LEN + 18 + 1 + 8 + 3;
