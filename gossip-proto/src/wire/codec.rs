//! Messages to bytes and back: exactly what serde and postcard make of [`Message`](super::Message), which is what the
//! tests compare with, in less than half of the flash that the derived code takes.
//!
//! Knows: the bytes of each field. Does not know: what a datagram is.
//! Full: what does not fit makes the whole message void; so does, on the way back, whatever is not to be had.

pub(super) mod layout;

use super::message::Table;
use crate::addr::{Addr, NodeId};
use crate::slab::index::{Key, Prefix};
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
