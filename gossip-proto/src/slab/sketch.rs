//! A sketch of a table: cells of which any first few are one, too (rateless IBLT; Yang, Gilad, Alizadeh, SIGCOMM 2024).
//!
//! Knows: which cells an item is in, how two sketches differ, and which keys that difference comes from. Does not know:
//! what is exchanged. When full: it never is; too many differences come out as none found.
//!
//! Cell 0 holds every item, and of each run of cells 2^j to 2^(j+1) - 1 an item is in one, or in two with probability 0.6:
//! strata in place of the paper's single sequence, since a few differences are then found in fewer cells.
//!
//! Two departures. An item counts by a *weight* that is hashed from all of it, its place comes from its key alone, and a
//! cell holds the sum of weight and of weight × key. So a key of which two sides hold different versions is one
//! difference and not two: in a cell where it is alone, the quotient of the two sums' differences is the key, whatever
//! the weights were. And a quotient that is no whole number tells that several keys meet in the cell, so no check is sent.

use super::index::{Item, Key, Prefix};

/// The sums of one cell: of weights in the highest 16 bits, of weight × key in the lowest 72. What is between is room for
/// the carry: only what is held is ever in a cell, so a sum of 2^24 products needs 96 bits.
pub(crate) type Cell = u128;

/// Whether a table may have a sketch: memory that is lent has no room for one, so what only sketches need is left out.
pub(crate) const POSSIBLE: bool = cfg!(feature = "alloc");

/// How many cells a sketch has, if it has any: enough to find about 1,200 differences.
pub(crate) const CELLS: usize = 1 << OCTAVES;

/// The bytes of a cell on the wire: 2 of the weights, 9 of the products, least significant first.
pub(crate) const CELL_LEN: usize = 11;

/// A difference that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) key: Short,
    /// Our weight less theirs.
    pub(crate) gain: i32,
}

/// The front of a key: 32 bits of the topic, 24 of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Short(pub(crate) u64);

impl Short {
    pub(crate) const fn of(key: Key) -> Self {
        Self((key.topic() as u64) << 24 | key.key() >> 40)
    }

    pub(crate) const fn topic(self) -> u32 {
        (self.0 >> 24) as u32
    }

    /// All keys that begin so.
    pub(crate) fn prefix(self) -> Prefix {
        Prefix::of(Key::new(self.topic(), self.0 << 40), SHORT_BITS)
    }
}

/// What an item counts: odd, so that the sum of weights tells an odd number of items from an even one.
pub(crate) fn weight(item: Item) -> i32 {
    let [a, b, ..] = item.to_bytes();
    i32::from(u16::from_le_bytes([a, b]) & WEIGHT_MAX | 1)
}

/// An item of a key is another one than it was.
pub(crate) fn change(cells: &mut [Cell], key: Key, old: Option<Item>, new: Option<Item>) {
    if !POSSIBLE || cells.is_empty() || old == new {
        return;
    }
    let short = Short::of(key);
    let weighed = |item: Option<Item>| item.map_or(0, |item| pack(weight(item), short));
    let gain = weighed(new).wrapping_sub(weighed(old));
    each_place(short, cells.len(), |at| {
        if let Some(cell) = cells.get_mut(at) {
            *cell = cell.wrapping_add(gain);
        }
    });
}

/// A cell as it is sent.
pub(crate) fn to_bytes(cell: Cell) -> [u8; CELL_LEN] {
    let ([a, b, c, d, e, f, g, h, i, ..], [y, z]) = (cell.to_le_bytes(), ((cell >> WEIGHT_SHIFT) as u16).to_le_bytes());
    [y, z, a, b, c, d, e, f, g, h, i]
}

pub(crate) fn from_bytes(bytes: [u8; CELL_LEN]) -> Cell {
    let [y, z, a, b, c, d, e, f, g, h, i] = bytes;
    let sum = u128::from_le_bytes([a, b, c, d, e, f, g, h, i, 0, 0, 0, 0, 0, 0, 0]);
    Cell::from(u16::from_le_bytes([y, z])) << WEIGHT_SHIFT | sum
}

/// One cell less another.
pub(crate) fn minus(a: Cell, b: Cell) -> Cell {
    let weight = ((a >> WEIGHT_SHIFT) as u16).wrapping_sub((b >> WEIGHT_SHIFT) as u16);
    Cell::from(weight) << WEIGHT_SHIFT | a.wrapping_sub(b) & SUM_MASK
}

/// The one key that a difference comes from, if it looks like one.
pub(crate) fn single(difference: Cell) -> Option<Found> {
    let gain = (difference >> WEIGHT_SHIFT) as u16 as i16;
    let product = ((difference << (128 - SUM_BITS)) as i128) >> (128 - SUM_BITS);
    if gain == 0 || (product < 0) != (gain < 0) && product != 0 {
        return None;
    }
    let (product, divisor) = (product.unsigned_abs(), u64::from(gain.unsigned_abs()));
    // By halves of 36 bits, since a division of 128 bits is slow.
    let (high, low) = ((product >> 36) as u64, product as u64 & ((1 << 36) - 1));
    let rest = (high % divisor) << 36 | low;
    let key = u128::from(high / divisor) << 36 | u128::from(rest / divisor);
    (rest % divisor == 0 && key >> SHORT_BITS == 0).then_some(Found { key: Short(key as u64), gain: gain.into() })
}

/// Finds the differences in cells of which ours are made less by theirs. `is_true` says whether a key can be one; it is then told to
/// `found`, and taken out. Returns whether nothing is left.
pub(crate) fn decode(cells: &mut [Cell], mut is_true: impl FnMut(Found) -> bool, mut found: impl FnMut(Found)) -> bool {
    let (len, mut left) = (cells.len(), cells.len());
    for _ in 0..SWEEPS_MAX {
        let before = left;
        for at in 0..len {
            let Some(one) = cells.get(at).filter(|cell| **cell != 0).and_then(|cell| single(*cell)) else { continue };
            if left == 0 || !is_at(one.key, at) || !is_true(one) {
                continue;
            }
            let part = pack(one.gain, one.key);
            each_place(one.key, len, |at| {
                if let Some(cell) = cells.get_mut(at) {
                    *cell = minus(*cell, part);
                }
            });
            left -= 1;
            found(one);
        }
        if left == before {
            break;
        }
    }
    cells.iter().all(|cell| *cell == 0)
}

/// One bit for each of some cells, 1 in 2 of which differs where the cells do: how many tells how many differences there are.
pub(crate) fn estimate(cells: &[Cell]) -> [u8; ESTIMATE_LEN] {
    let mut bytes = [0; ESTIMATE_LEN];
    let places = RULERS.iter().flat_map(|ruler| (0..ruler.bits).map(|at| at + (1 << ruler.octave)));
    for (n, at) in places.enumerate() {
        let cell = cells.get(at).copied().unwrap_or(0);
        let bit = ((cell >> 64) as u64 ^ cell as u64).wrapping_mul(MIX) >> 63;
        if let Some(byte) = bytes.get_mut(n / 8) {
            *byte |= (bit as u8) << (n % 8);
        }
    }
    bytes
}

/// How many cells find what two estimates differ by, most likely; more than [`CELLS`] if no sketch does.
pub(crate) fn cells_for(ours: [u8; ESTIMATE_LEN], theirs: [u8; ESTIMATE_LEN]) -> usize {
    let mut differ = ours.iter().zip(theirs).map(|(a, b)| (a ^ b).count_ones() as usize);
    let [fine, finer, coarse, coarser] = RULERS.map(|ruler| differ.by_ref().take(ruler.bits / 8).sum::<usize>());
    // When there are many, half of all bits differ, which is about what a few make, too.
    if let Some(halves) = FEW.get(fine + finer).filter(|_| coarse + coarser <= FEW_MAX) {
        // A little more than the likeliest, since too few cells cost another round trip.
        let likely = usize::from(*halves) / 2;
        return needed(likely + 1 + if likely > 16 { likely / 2 } else { likely / 4 });
    }
    // Of more, too few cells are no loss: the next ones go on from there.
    if let Some(pairs) = MANY.get(coarse + coarser) {
        return needed(usize::from(*pairs) * 2);
    }
    // An item is in 1.6 cells of an octave: so there are the octave's cells, times how often each is hit, by 1.6.
    match LOGS.get(coarser * 2 / 3) {
        Some(log) => needed(4 * usize::from(*log) * 12 / 16).min(CELLS),
        // Half the bits differ, of a thousand differences or of a million: half the cells will tell.
        None if coarser <= COARSER_MAX => CELLS / 2,
        None => usize::MAX,
    }
}

/// How many cells it may take after these, ours less theirs, turned out to be too few; more than [`CELLS`] if no sketch
/// does.
pub(crate) fn cells_after(cells: &[Cell]) -> usize {
    // The last octave of which there is an eighth at least.
    let last = cells.len().max(4).next_power_of_two() / 2;
    let start = if cells.len() - last.min(cells.len()) < last / 8 { last / 2 } else { last };
    let octave = cells.get(start..cells.len().min(2 * start)).unwrap_or(&[]);
    let filled = octave.iter().filter(|cell| **cell != 0).count() * 32 / octave.len().max(1);
    let least = cells.len() + cells.len() / 4 + MORE_MIN;
    match LOGS.get(filled) {
        Some(log) => needed(start * usize::from(*log) / 256 * 12 / 16).max(least),
        None if cells.len() >= CELLS / 2 => usize::MAX,
        None => least * 2,
    }
}

/// How many cells find so many differences in 99 of 100 cases, as simulated.
const fn needed(differences: usize) -> usize {
    if differences <= 100 { 10 + 2 * differences } else { 45 + differences * 165 / 100 }
}

fn pack(weight: i32, key: Short) -> Cell {
    let product = (i128::from(weight) * i128::from(key.0)) as u128 & SUM_MASK;
    Cell::from(weight as u16) << WEIGHT_SHIFT | product
}

fn is_at(key: Short, cell: usize) -> bool {
    let mut there = false;
    each_place(key, (cell + 1).next_power_of_two(), |at| there |= at == cell);
    there
}

/// Calls with each cell below `len` that a key is in.
fn each_place(key: Short, len: usize, mut call: impl FnMut(usize)) {
    call(0);
    let mut state = key.0.wrapping_mul(MIX);
    for octave in 0..OCTAVES {
        let start = 1 << octave;
        if start >= len {
            break;
        }
        // A step of SplitMix64 (Steele, Lea and Flood 2014), with one multiplication less.
        state = state.wrapping_add(GOLDEN);
        let mixed = (state ^ state >> 31).wrapping_mul(MIX);
        let mixed = mixed ^ mixed >> 29;
        let first = start + (mixed as usize & (start - 1));
        let second = start + ((mixed >> 20) as usize & (start - 1));
        if first < len {
            call(first);
        }
        if second != first && second < len && mixed >> 44 & 0xfff < TWICE {
            call(second);
        }
    }
}

/// Cells that an estimate looks at: the first so many of an octave.
struct Ruler {
    octave: u32,
    bits: usize,
}

const RULERS: [Ruler; 4] = [
    Ruler { octave: 5, bits: 32 },
    Ruler { octave: 6, bits: 64 },
    Ruler { octave: 8, bits: 64 },
    Ruler { octave: 10, bits: 96 },
];
pub(crate) const ESTIMATE_LEN: usize = 32;
/// Twice how many differences there likely are when so many of the first two rulers' 96 bits differ: the solution of
/// 16 (1 - e^(-d/20)) + 32 (1 - e^(-d/40)) = n.
const FEW: [u8; 43] = [
    0, 1, 3, 4, 5, 7, 8, 10, 11, 13, 14, 16, 18, 19, 21, 23, 25, 27, 29, 31, 33, 36, 38, 41, 43, 46, 49, 52, 55, 59,
    63, 66, 71, 75, 80, 85, 90, 97, 103, 111, 119, 129, 141,
];
/// Half of that, for the other two: 32 (1 - e^(-d/160)) + 48 (1 - e^(-d/640)) = n.
const MANY: [u16; 44] = [
    0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 25, 27, 29, 32, 34, 37, 39, 42, 45, 48, 51, 54, 57, 60, 63, 66, 70, 73,
    77, 81, 84, 88, 93, 97, 101, 106, 111, 116, 121, 126, 132, 137,
];
/// Of the last ruler's bits, so many differ in no case that a sketch shows.
const COARSER_MAX: usize = 54;
/// Of the other two rulers' bits, so few differ when the first two are legible.
const FEW_MAX: usize = 26;
/// How many more cells are asked for at least.
const MORE_MIN: usize = 16;
/// -256 ln(1 - n/32): how often each cell is hit, in 1/256, when n of 64 bits differ.
const LOGS: [u16; 32] = [
    0, 8, 17, 25, 34, 43, 53, 63, 74, 85, 96, 108, 120, 133, 147, 162, 177, 194, 212, 231, 251, 273, 298, 325, 355,
    389, 429, 475, 532, 606, 710, 887,
];
const OCTAVES: usize = 11;
const SHORT_BITS: u8 = 56;
const SUM_BITS: u32 = 72;
const SUM_MASK: u128 = (1 << SUM_BITS) - 1;
const WEIGHT_SHIFT: u32 = 112;
/// A difference of two weights has its sign in 16 bits.
const WEIGHT_MAX: u16 = i16::MAX as u16;
/// 0.6 of 4096.
const TWICE: u64 = 2458;
/// Bounds what cells that were made to come out slowly cost; honest ones take about ten.
const SWEEPS_MAX: usize = 32;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const MIX: u64 = 0xbf58_476d_1ce4_e5b9;

#[cfg(test)]
mod tests;
