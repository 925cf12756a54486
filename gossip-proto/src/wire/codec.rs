//! Messages to bytes and back: exactly what serde and postcard make of [`Message`](super::Message), which is what the
//! tests compare with, in less than half of the flash that the derived code takes.
//!
//! Knows: the bytes of each field, and their order. Does not know: what a datagram is.
//! Full: what does not fit makes the whole message void; so does, on the way back, whatever is not to be had.

use super::datagram::Header;
use super::message::{
    Accusation, Bits, CatchUp, Context, Digests, EntryItem, Items, Large, Many, MemberItem, Message, Missing,
    Publication, Seen, Sketch, Table, VersionId, WindowItem,
};
use crate::addr::{Addr, NodeId};
use crate::slab::index::{Key, Prefix};
use crate::slab::sketch::{self, CELL_LEN, ESTIMATE_LEN};
use crate::slab::word;

/// Reads fields. What cannot be read is zero, and all after it: one look at the end is enough.
pub(super) struct Reader<'d> {
    rest: &'d [u8],
    failed: bool,
}

/// Writes fields. What does not fit is left out, and all after it: one look at the end is enough.
pub(super) struct Output<'b> {
    rest: &'b mut [u8],
    failed: bool,
}

/// What has a form of its own: of numbers, a varint.
pub(super) trait Field<'d>: Sized {
    fn read(from: &mut Reader<'d>) -> Self;
    fn write(&self, to: &mut Output<'_>);
}

/// Numbers that are mostly large take all of their bytes, least significant first.
trait Fixed: Sized {
    fn read(from: &mut Reader<'_>) -> Self;
    fn write(self, to: &mut Output<'_>);
}

/// What is at the front of some bytes, and the bytes behind it; `None` if it is not all there, or is not well formed.
pub(super) fn read<'d, T: Field<'d>>(mut bytes: &'d [u8]) -> Option<(T, &'d [u8])> {
    let field = take(&mut bytes)?;
    Some((field, bytes))
}

/// The same, which is taken off the bytes: what is large is not moved.
pub(super) fn take<'d, T: Field<'d>>(bytes: &mut &'d [u8]) -> Option<T> {
    let mut from = Reader { rest: bytes, failed: false };
    let field = from.get();
    *bytes = from.rest;
    (!from.failed).then_some(field)
}

/// How many bytes it took; `None` if there is no room.
pub(super) fn write<'d, T: Field<'d>>(field: &T, buf: &mut [u8]) -> Option<usize> {
    let room = buf.len();
    let mut to = Output { rest: buf, failed: false };
    to.put(field);
    (!to.failed).then_some(room - to.rest.len())
}

impl<'d> Reader<'d> {
    fn fail(&mut self) {
        (self.rest, self.failed) = (&[], true);
    }

    #[inline(never)]
    fn raw(&mut self, len: usize) -> &'d [u8] {
        let Some((bytes, rest)) = self.rest.split_at_checked(len) else {
            self.fail();
            return &[];
        };
        self.rest = rest;
        bytes
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.raw(N).try_into().unwrap_or([0; N])
    }

    #[inline(never)]
    fn byte(&mut self) -> u8 {
        self.raw(1).first().copied().unwrap_or(0)
    }

    /// A number below 2^`bits`, seven bits per byte, the least significant first.
    #[inline(never)]
    fn varint(&mut self, bits: u32) -> u32 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = u32::from(self.byte());
            let left = bits - shift;
            if left < 7 && byte >> left != 0 {
                self.fail();
                return 0;
            }
            number |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return number;
            }
            shift += 7;
        }
    }

    /// Reads past what this build lacks: it says nothing to this node.
    fn skip(&mut self, tag: u32) {
        let nested = if tag >= 28 { self.varint(32) } else { 0 };
        let form = FORMS.iter().find(|[of, variant, ..]| (u32::from(*of), u32::from(*variant)) == (tag, nested));
        let Some([_, _, form @ ..]) = form else { return self.fail() };
        for field in form {
            match *field {
                VARINT => _ = self.varint(32),
                BYTES => _ = self.get::<&[u8]>(),
                KEY_OR_NONE => _ = self.get::<Option<Key>>(),
                len => _ = self.raw(len.into()),
            }
        }
    }

    fn get<T: Field<'d>>(&mut self) -> T {
        T::read(self)
    }

    fn fixed<T: Fixed>(&mut self) -> T {
        T::read(self)
    }
}

impl Output<'_> {
    #[inline(never)]
    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        match core::mem::take(&mut self.rest).split_at_mut_checked(bytes.len()) {
            Some((to, rest)) => {
                to.copy_from_slice(bytes);
                self.rest = rest;
            }
            None => self.failed = true,
        }
        self
    }

    #[inline(never)]
    fn byte(&mut self, byte: u8) -> &mut Self {
        self.raw(&[byte])
    }

    #[inline(never)]
    fn varint(&mut self, mut number: u32) -> &mut Self {
        while number >= 0x80 {
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8)
    }

    fn put<'d, T: Field<'d>>(&mut self, field: &T) -> &mut Self {
        field.write(self);
        self
    }

    fn fixed<T: Fixed>(&mut self, number: T) -> &mut Self {
        number.write(self);
        self
    }
}

impl<'d> Field<'d> for u8 {
    fn read(from: &mut Reader<'d>) -> Self {
        from.byte()
    }

    fn write(&self, to: &mut Output<'_>) {
        to.byte(*self);
    }
}

impl<'d> Field<'d> for u16 {
    fn read(from: &mut Reader<'d>) -> Self {
        from.varint(16) as u16
    }

    fn write(&self, to: &mut Output<'_>) {
        to.varint((*self).into());
    }
}

impl<'d> Field<'d> for u32 {
    fn read(from: &mut Reader<'d>) -> Self {
        from.varint(32)
    }

    fn write(&self, to: &mut Output<'_>) {
        to.varint(*self);
    }
}

impl<'d> Field<'d> for bool {
    fn read(from: &mut Reader<'d>) -> Self {
        let byte = from.byte();
        if byte > 1 {
            from.fail();
        }
        byte == 1
    }

    fn write(&self, to: &mut Output<'_>) {
        to.byte((*self).into());
    }
}

/// Whether there is one, then what it is.
impl<'d, T: Field<'d>> Field<'d> for Option<T> {
    fn read(from: &mut Reader<'d>) -> Self {
        bool::read(from).then(|| from.get())
    }

    fn write(&self, to: &mut Output<'_>) {
        to.put(&self.is_some());
        if let Some(field) = self {
            to.put(field);
        }
    }
}

/// Their number, then the bytes.
impl<'d> Field<'d> for &'d [u8] {
    #[inline(never)]
    fn read(from: &mut Reader<'d>) -> Self {
        let len = from.varint(32);
        from.raw(len as usize)
    }

    fn write(&self, to: &mut Output<'_>) {
        write_bytes(self, to);
    }
}

#[inline(never)]
fn write_bytes(bytes: &[u8], to: &mut Output<'_>) {
    to.varint(bytes.len() as u32).raw(bytes);
}

impl<'d, const N: usize> Field<'d> for [u8; N] {
    fn read(from: &mut Reader<'d>) -> Self {
        from.array()
    }

    fn write(&self, to: &mut Output<'_>) {
        to.raw(self);
    }
}

macro_rules! fixed {
    ($($number:ty),*) => {
        $(impl Fixed for $number {
            #[inline(never)]
            fn read(from: &mut Reader<'_>) -> Self {
                let bytes = from.raw(size_of::<Self>());
                bytes.first_chunk().map_or(0, |bytes| Self::from_le_bytes(*bytes))
            }

            #[inline(never)]
            fn write(self, to: &mut Output<'_>) {
                to.raw(&self.to_le_bytes());
            }
        })*
    };
}

fixed!(u16, u32);

impl Fixed for u64 {
    fn read(from: &mut Reader<'_>) -> Self {
        word(from.raw(8))
    }

    #[inline(never)]
    fn write(self, to: &mut Output<'_>) {
        to.raw(&self.to_le_bytes());
    }
}

impl<'d> Field<'d> for NodeId {
    fn read(from: &mut Reader<'d>) -> Self {
        Self(from.fixed())
    }

    fn write(&self, to: &mut Output<'_>) {
        to.fixed(self.0);
    }
}

impl<'d> Field<'d> for Addr {
    #[inline(never)]
    fn read(from: &mut Reader<'d>) -> Self {
        let addr = Self::new(from.get());
        if addr.is_none() {
            from.fail();
        }
        addr.unwrap_or_default()
    }

    fn write(&self, to: &mut Output<'_>) {
        write_bytes(self.as_bytes(), to);
    }
}

impl<'d> Field<'d> for Key {
    #[inline(never)]
    fn read(from: &mut Reader<'d>) -> Self {
        Self::from_bytes(from.array())
    }

    #[inline(never)]
    fn write(&self, to: &mut Output<'_>) {
        to.raw(&self.to_bytes());
    }
}

/// The length in bits, then as many bytes as hold them.
impl<'d> Field<'d> for Prefix {
    #[inline(never)]
    fn read(from: &mut Reader<'d>) -> Self {
        let (len, used): (u8, &[u8]) = (from.get(), from.get());
        if len > Key::BITS || len % 4 != 0 || used.len() != usize::from(len.div_ceil(8)) {
            from.fail();
        }
        let mut bytes = [0; 12];
        bytes.iter_mut().zip(used).for_each(|(to, from)| *to = *from);
        Self::of(Key::from_bytes(bytes), len)
    }

    #[inline(never)]
    fn write(&self, to: &mut Output<'_>) {
        let bytes = self.first().to_bytes();
        let used = bytes.get(..usize::from(self.len().div_ceil(8))).unwrap_or(&bytes);
        to.byte(self.len());
        write_bytes(used, to);
    }
}

impl<'d> Field<'d> for Table {
    fn read(from: &mut Reader<'d>) -> Self {
        Self::ALL.get(from.varint(32) as usize).copied().unwrap_or_else(|| {
            from.fail();
            Self::Members
        })
    }

    fn write(&self, to: &mut Output<'_>) {
        to.byte(*self as u8);
    }
}

impl<'d> Field<'d> for Context {
    fn read(from: &mut Reader<'d>) -> Self {
        let mut context = Self::new();
        for _ in 0..from.varint(32) {
            if from.failed || context.push(from.get()).is_err() {
                from.fail();
                break;
            }
        }
        context
    }

    fn write(&self, to: &mut Output<'_>) {
        to.varint(self.len() as u32);
        self.iter().for_each(|seen| seen.write(to));
    }
}

impl<'d, const LEN: usize> Field<'d> for Many<'d, LEN> {
    fn read(from: &mut Reader<'d>) -> Self {
        Self::Wire(from.get())
    }

    fn write(&self, to: &mut Output<'_>) {
        match self {
            Self::Wire(bytes) => write_bytes(bytes, to),
            Self::Held(numbers) => {
                to.varint((numbers.len() * LEN) as u32);
                for number in *numbers {
                    to.raw(number.to_le_bytes().get(..LEN).unwrap_or(&[]));
                }
            }
        }
    }
}

/// Fields one after the other: `fixed` where the number has no varint.
macro_rules! fields {
    ($name:ty { $($field:ident $($fixed:ident)?),* }) => {
        impl<'d> Field<'d> for $name {
            #[inline(never)]
            fn read(from: &mut Reader<'d>) -> Self {
                Self { $($field: fields!(@get from $($fixed)?)),* }
            }

            #[inline(never)]
            fn write(&self, to: &mut Output<'_>) {
                $(fields!(@put to self.$field, $($fixed)?);)*
            }
        }
    };
    (@get $from:ident) => { $from.get() };
    (@get $from:ident fixed) => { $from.fixed() };
    (@put $to:ident $field:expr,) => { $to.put(&$field) };
    (@put $to:ident $field:expr, fixed) => { $to.fixed($field) };
}

fields!(Header { id, incarnation, root fixed, load });
fields!(MemberItem<'d> { id, incarnation, addr, tags_version, asleep, tags });
fields!(Accusation { id, incarnation, by });
fields!(Seen { writer fixed, stamp fixed });
fields!(VersionId { stamp fixed, writer fixed, context });
fields!(EntryItem<'d> { kind, key, version, ttl, value });
fields!(Digests<'d> { table, from, prefix, salt, absent, digests });
fields!(Items<'d> { table, prefix, salt, answer, digests });
fields!(Publication<'d> { origin fixed, sequence, stamp fixed, ttl, urgent, topic, bytes });
fields!(Bits { low, high });
fields!(WindowItem { topic fixed, origin fixed, base, seen, gone, until fixed, settled });
fields!(Missing { origin fixed, base, wanted fixed });
fields!(Large { key, stamp fixed, writer fixed, len, digest });

impl<'d> Field<'d> for Message<'d> {
    #[inline(never)]
    fn read(from: &mut Reader<'d>) -> Self {
        match from.varint(32) {
            0 => Self::Ping(from.fixed()),
            1 => Self::Ack(from.fixed()),
            2 => Self::PingReq { number: from.fixed(), target: from.get(), addr: from.get() },
            3 => Self::Join(from.get()),
            4 => Self::Alive(from.get()),
            5 => Self::Suspect(from.get()),
            6 => Self::Dead(from.get()),
            7 => Self::Left { id: from.get(), incarnation: from.get() },
            8 => Self::Entry(from.get()),
            9 => Self::Offer { key: from.get(), digest: from.fixed() },
            10 => Self::Want(from.get()),
            11 => Self::Root { table: from.get(), digest: from.fixed() },
            12 => Self::Digests(from.get()),
            13 => Self::Items(from.get()),
            14 => Self::Copies,
            15 => Self::Nack(from.fixed()),
            16 => Self::Seen(from.get()),
            17 => Self::Forward { to: from.get(), payload: from.get() },
            18 => Self::Ask { key: from.get(), stamp: from.fixed(), writer: from.fixed(), number: from.fixed() },
            19 => Self::Held(from.fixed()),
            20 => Self::Floor { clock: from.fixed(), floor: from.fixed(), level: from.get() },
            21 if MESSAGES => Self::Publication(from.get()),
            22 if MESSAGES => Self::Window(from.get()),
            23 if MESSAGES => Self::Missing(from.get()),
            24 => Self::Ahead { key: from.get(), now: from.fixed() },
            25 => Self::Large(from.get()),
            26 if LARGE => Self::Pull { key: from.get(), digest: from.fixed(), from: from.get(), end: from.get() },
            27 if LARGE => Self::Chunk { digest: from.fixed(), from: from.get(), bytes: from.get() },
            28 if SKETCH => Self::Sketch(from.get()),
            // Whoever asks by a sketch is to know that it takes digests.
            28 => {
                from.skip(28);
                Self::Sketch(Sketch::More { first: 0, end: 0 })
            }
            29 if CATCHUP => Self::CatchUp(from.get()),
            // Whoever asks to catch up is to know that nobody serves it here.
            29 => {
                let begins = from.rest.first() == Some(&0);
                from.skip(29);
                if begins { Self::CatchUp(CatchUp::Begin { datagrams: 0, tag: 0, skip: 0 }) } else { Self::Lacking }
            }
            tag => {
                from.skip(tag);
                Self::Lacking
            }
        }
    }

    fn write(&self, to: &mut Output<'_>) {
        match self {
            Self::Ping(number) => to.byte(0).fixed(*number),
            Self::Ack(number) => to.byte(1).fixed(*number),
            Self::PingReq { number, target, addr } => to.byte(2).fixed(*number).put(target).put(addr),
            Self::Join(item) => to.byte(3).put(item),
            Self::Alive(item) => to.byte(4).put(item),
            Self::Suspect(accusation) => to.byte(5).put(accusation),
            Self::Dead(accusation) => to.byte(6).put(accusation),
            Self::Left { id, incarnation } => to.byte(7).put(id).put(incarnation),
            Self::Entry(item) => to.byte(8).put(item),
            Self::Offer { key, digest } => to.byte(9).put(key).fixed(*digest),
            Self::Want(key) => to.byte(10).put(key),
            Self::Root { table, digest } => to.byte(11).put(table).fixed(*digest),
            Self::Digests(digests) => to.byte(12).put(digests),
            Self::Items(items) => to.byte(13).put(items),
            Self::Copies => to.byte(14),
            Self::Nack(number) => to.byte(15).fixed(*number),
            Self::Seen(addr) => to.byte(16).put(addr),
            Self::Forward { to: destination, payload } => to.byte(17).put(destination).put(payload),
            Self::Ask { key, stamp, writer, number } => {
                to.byte(18).put(key).fixed(*stamp).fixed(*writer).fixed(*number)
            }
            Self::Held(number) => to.byte(19).fixed(*number),
            Self::Floor { clock, floor, level } => to.byte(20).fixed(*clock).fixed(*floor).put(level),
            Self::Publication(publication) if MESSAGES => to.byte(21).put(publication),
            Self::Window(window) if MESSAGES => to.byte(22).put(window),
            Self::Missing(missing) if MESSAGES => to.byte(23).put(missing),
            Self::Ahead { key, now } => to.byte(24).put(key).fixed(*now),
            Self::Large(large) => to.byte(25).put(large),
            Self::Pull { key, digest, from, end } if LARGE => to.byte(26).put(key).fixed(*digest).put(from).put(end),
            Self::Chunk { digest, from, bytes } if LARGE => to.byte(27).fixed(*digest).put(from).put(bytes),
            Self::Sketch(step) if SKETCH => to.byte(28).put(step),
            Self::CatchUp(step) => to.byte(29).put(step),
            // Nobody says what he lacks.
            _ => {
                to.failed = true;
                to
            }
        };
    }
}

impl<'d> Field<'d> for Sketch<'d> {
    #[inline(never)]
    fn read(from: &mut Reader<'d>) -> Self {
        match from.varint(32) {
            0 => Self::Ask { count: from.get(), cell: from.get(), estimate: from.get() },
            1 => Self::Cells { first: from.get(), end: from.get(), cells: from.get() },
            2 => Self::More { first: from.get(), end: from.get() },
            3 => Self::Want { topic: from.fixed(), keys: from.get() },
            4 => Self::Have { topic: from.fixed(), keys: from.get() },
            5 => Self::Differ { topic: from.fixed(), first: from.get(), last: from.get(), keys: from.get() },
            6 => Self::AskTotal,
            7 => Self::Total { weight: from.fixed(), product: from.fixed() },
            _ => {
                from.fail();
                Self::More { first: 0, end: 0 }
            }
        }
    }

    fn write(&self, to: &mut Output<'_>) {
        match self {
            Self::Ask { count, cell, estimate } => to.byte(0).put(count).put(cell).put(estimate),
            Self::Cells { first, end, cells } => to.byte(1).put(first).put(end).put(cells),
            Self::More { first, end } => to.byte(2).put(first).put(end),
            Self::Want { topic, keys } => to.byte(3).fixed(*topic).put(keys),
            Self::Have { topic, keys } => to.byte(4).fixed(*topic).put(keys),
            Self::Differ { topic, first, last, keys } => to.byte(5).fixed(*topic).put(first).put(last).put(keys),
            Self::AskTotal => to.byte(6),
            Self::Total { weight, product } => to.byte(7).fixed(*weight).fixed(*product),
        };
    }
}

impl<'d> Field<'d> for CatchUp<'d> {
    #[inline(never)]
    fn read(from: &mut Reader<'d>) -> Self {
        match from.varint(32) {
            0 => Self::Begin { datagrams: from.get(), tag: from.get(), skip: from.fixed() },
            1 => Self::Parts { count: from.get(), parts: from.get() },
            2 => Self::Fetch {
                at: from.get(),
                depth: from.get(),
                tag: from.get(),
                datagrams: from.get(),
                skip: from.fixed(),
            },
            3 => Self::Run { tag: from.get(), left: from.get(), next: from.get() },
            _ => {
                from.fail();
                Self::Run { tag: 0, left: 0, next: None }
            }
        }
    }

    fn write(&self, to: &mut Output<'_>) {
        match self {
            Self::Begin { datagrams, tag, skip } if CATCHUP => to.byte(0).put(datagrams).put(tag).fixed(*skip),
            Self::Parts { count, parts } => to.byte(1).put(count).put(parts),
            Self::Fetch { at, depth, tag, datagrams, skip } if CATCHUP => {
                to.byte(2).put(at).put(depth).put(tag).put(datagrams).fixed(*skip)
            }
            Self::Run { tag, left, next } if CATCHUP => to.byte(3).put(tag).put(left).put(next),
            _ => {
                to.failed = true;
                to
            }
        };
    }
}

const MESSAGES: bool = cfg!(feature = "messages");
const LARGE: bool = cfg!(feature = "large");
const SKETCH: bool = sketch::POSSIBLE;
const CATCHUP: bool = cfg!(feature = "catchup");

/// In a form: a varint, bytes behind their length, and a key that may be missing; other numbers are lengths, and what is
/// not there is no byte long.
const VARINT: u8 = 0xff;
const BYTES: u8 = 0xfe;
const KEY_OR_NONE: u8 = 0xfd;

/// Of messages that a build may lack: the tag, the variant where there are several, and what the fields are.
const FORMS: [[u8; 9]; 17] = [
    [21, 0, 8, VARINT, 8, VARINT, 1, BYTES, BYTES],
    [22, 0, 12, VARINT, VARINT, VARINT, VARINT, VARINT, 5],
    [23, 0, 8, VARINT, 4, 0, 0, 0, 0],
    [26, 0, 12, 4, VARINT, VARINT, 0, 0, 0],
    [27, 0, 4, VARINT, BYTES, 0, 0, 0, 0],
    [28, 0, VARINT, CELL_LEN as u8, ESTIMATE_LEN as u8, 0, 0, 0, 0],
    [28, 1, VARINT, VARINT, BYTES, 0, 0, 0, 0],
    [28, 2, VARINT, VARINT, 0, 0, 0, 0, 0],
    [28, 3, 2, BYTES, 0, 0, 0, 0, 0],
    [28, 4, 2, BYTES, 0, 0, 0, 0, 0],
    [28, 5, 2, VARINT, VARINT, BYTES, 0, 0, 0],
    [28, 6, 0, 0, 0, 0, 0, 0, 0],
    [28, 7, 8, 8, 0, 0, 0, 0, 0],
    [29, 0, 1, 1, 4, 0, 0, 0, 0],
    [29, 1, VARINT, BYTES, 0, 0, 0, 0, 0],
    [29, 2, 12, 1, VARINT, 1, 4, 0, 0],
    [29, 3, VARINT, 1, KEY_OR_NONE, 0, 0, 0, 0],
];

/// How many bytes of a message behind its tag are read past.
#[cfg(test)]
pub(super) fn skipped(bytes: &[u8]) -> Option<usize> {
    let (tag, rest) = bytes.split_first()?;
    let mut from = Reader { rest, failed: false };
    from.skip((*tag).into());
    (!from.failed).then_some(bytes.len() - from.rest.len())
}
