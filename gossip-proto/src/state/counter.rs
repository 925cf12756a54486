//! Counters: one part for each life that adds, which that life alone counts up.
//!
//! A part is four numbers that only grow: what was added and what was taken away, and how much of either has been
//! deleted. Two versions of a part join by the greater of each. Whoever deletes a counter deletes what it sees of every
//! part, so an increment that it had not seen survives, and two deletes at once delete no more than one.
//!
//! As bytes: what was deleted of both, then what is left of both, each in as few groups of seven bits as it takes, least
//! significant first, without the zeros at the end. So a delete never makes a part longer, and always fits.
//!
//! Knows: numbers and bytes. Pure. Does not know: whose part it is.
//! When full: a part counts to 2^64 - 1 in each direction and stands still there, until its life begins it anew with
//! what is left of it; the sum of all parts stands still at the ends of an `i64`.

/// Added and taken away in all; deleted of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    grown: [u64; 2],
    deleted: [u64; 2],
}

/// The bytes of a part.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartBytes {
    bytes: [u8; PART_LEN_MAX],
    len: usize,
}

impl Part {
    /// The part in these bytes, if they are what [`Part::to_bytes`] gives.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut numbers = [0; 4];
        let mut rest = bytes;
        for number in &mut numbers {
            *number = read(&mut rest)?;
        }
        let [deleted @ .., a, b] = numbers;
        let grown = [deleted[0].checked_add(a)?, deleted[1].checked_add(b)?];
        let part = Self { grown, deleted };
        (rest.is_empty() && part.to_bytes().as_bytes() == bytes).then_some(part)
    }

    pub(super) fn to_bytes(self) -> PartBytes {
        let mut to = PartBytes { bytes: [0; PART_LEN_MAX], len: 0 };
        let mut end = 0;
        for number in self.deleted.into_iter().chain(self.left()) {
            to.push(number);
            if number != 0 {
                end = to.len;
            }
        }
        to.len = end;
        to
    }

    /// What is left of both directions.
    fn left(self) -> [u64; 2] {
        let [up, down] = self.grown;
        [up.saturating_sub(self.deleted[0]), down.saturating_sub(self.deleted[1])]
    }

    pub(super) fn join(self, other: Self) -> Self {
        let greater = |a: [u64; 2], b: [u64; 2]| [a[0].max(b[0]), a[1].max(b[1])];
        Self { grown: greater(self.grown, other.grown), deleted: greater(self.deleted, other.deleted) }
    }

    /// With this much more. `false`: it has come to an end, and is begun anew with what is left of it.
    pub(super) fn add(self, delta: i64) -> (Self, bool) {
        let more = if delta < 0 { [0, delta.unsigned_abs()] } else { [delta.unsigned_abs(), 0] };
        if let (Some(up), Some(down)) = (self.grown[0].checked_add(more[0]), self.grown[1].checked_add(more[1])) {
            return (Self { grown: [up, down], ..self }, true);
        }
        let left = self.left();
        let grown = [left[0].saturating_add(more[0]), left[1].saturating_add(more[1])];
        (Self { grown, deleted: [0; 2] }, false)
    }

    /// Deleted as far as it is seen here.
    pub(super) fn delete(self) -> Self {
        Self { deleted: self.grown, ..self }
    }
}

impl PartBytes {
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn push(&mut self, mut number: u64) {
        loop {
            if let Some(byte) = self.bytes.get_mut(self.len) {
                *byte = (number & 0x7f) as u8 | if number > 0x7f { 0x80 } else { 0 };
                self.len += 1;
            }
            number >>= 7;
            if number == 0 {
                break;
            }
        }
    }
}

/// The number at the front, which is taken off; 0 at the end of the bytes.
fn read(rest: &mut &[u8]) -> Option<u64> {
    let (mut number, mut shift) = (0, 0);
    while let Some((&byte, after)) = rest.split_first() {
        *rest = after;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
        shift += 7;
    }
    // Bytes that end within a number are not what a part gives, as writing it again shows.
    Some(number)
}

/// What a part adds to its counter.
pub(super) fn sum(bytes: &[u8]) -> i128 {
    let [up, down] = Part::from_bytes(bytes).unwrap_or_default().left();
    i128::from(up) - i128::from(down)
}

/// Whether nothing is left of a part: the numbers that tell that are zeros at the end, and not there. Bytes that are no part
/// were not taken in.
pub(super) fn is_reset(bytes: &[u8]) -> bool {
    bytes.iter().filter(|byte| **byte & 0x80 == 0).count() <= 2
}

/// Four numbers of at most 64 bits, seven to a byte.
const PART_LEN_MAX: usize = 40;
