//! What each message is, field by field, and what is read past where a build lacks it.
//!
//! Knows: tags, and the order of fields. Does not know: how a field becomes bytes.

use super::{Field, Output, Reader, write_bytes};
use crate::slab::index::Key;
use crate::slab::sketch::{self, CELL_LEN, ESTIMATE_LEN};
use crate::wire::datagram::Header;
use crate::wire::message::{
    Accusation, Bits, CatchUp, Context, Digests, EntryItem, Items, Large, Many, MemberItem, Message, Missing,
    Publication, Seen, Sketch, VersionId, WindowItem,
};

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

impl Reader<'_> {
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
pub(in crate::wire) fn skipped(bytes: &[u8]) -> Option<usize> {
    let (tag, rest) = bytes.split_first()?;
    let mut from = Reader { rest, failed: false };
    from.skip((*tag).into());
    (!from.failed).then_some(bytes.len() - from.rest.len())
}
