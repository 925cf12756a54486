//! A sketch of a table: cells of which any first few are one, too (rateless IBLT; Yang, Gilad, Alizadeh, SIGCOMM 2024).
//!
//! Knows: which cells an item is in, how two sketches differ, and which keys that difference comes from. Does not know:
//! what is exchanged. When full: it never is; too many differences come out as none found.
//!
//! Cell 0 holds every item, and of each run of cells 2^j to 2^(j+1) - 1 an item is in one, or in two with probability 0.8:
//! strata in place of the paper's single sequence, since a few differences are then found in fewer cells.
//!
//! Two departures. An item counts by a *weight* that is hashed from all of it, its place comes from its key alone, and a
//! cell holds the sum of weight and of weight × key. So a key of which two sides hold different versions is one
//! difference and not two: in a cell where it is alone, the key is the one product by the one weight, whatever the weights
//! were. And a key is twelve bits shorter than a product, so no check is sent: halving an even weight,
//! at most 2^12 of all that there are, leaves the whole key.

use super::index::{Item, Key};

/// The sums of one cell: of weights in the lowest 14 bits, where nothing is carried to, of weight × key above.
pub(crate) type Cell = u64;

/// Whether a table may have a sketch: memory that is lent has no room for one, so what only sketches need is left out.
pub(crate) const POSSIBLE: bool = cfg!(feature = "alloc");

/// How many cells a sketch has, if it has any: enough to find about 1,200 differences.
pub(crate) const CELLS: usize = 1 << OCTAVES;

/// The bytes of a cell on the wire, least significant first.
pub(crate) const CELL_LEN: usize = 8;

/// A difference that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) key: Short,
    /// Our weight less theirs.
    pub(crate) gain: i32,
}

/// What a sketch knows of a key: the first 14 bits of the topic, the first 24 of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Short(pub(crate) u64);

impl Short {
    pub(crate) const fn of(key: Key) -> Self {
        Self((key.topic() as u64 >> TOPIC_SHIFT) << 24 | key.key() >> 40)
    }

    /// From the topic's bits, and bytes of its own, least significant first.
    pub(crate) const fn from_parts(topic: u16, [a, b, c]: [u8; 3]) -> Self {
        Self((topic as u64) << 24 | u32::from_le_bytes([a, b, c, 0]) as u64)
    }

    /// The bits that are not of the topic.
    pub(crate) const fn own(self) -> u32 {
        self.0 as u32 & 0xff_ffff
    }

    pub(crate) const fn topic(self) -> u16 {
        (self.0 >> 24) as u16
    }

    /// The first key that may begin so.
    pub(crate) const fn first(self) -> Key {
        self.in_topic((self.topic() as u32) << TOPIC_SHIFT)
    }

    /// Where to look on when `key` was the first that there is from where we looked: at itself if it begins so.
    pub(crate) fn next(self, key: Key) -> Option<Key> {
        if Self::of(key) == self {
            return Some(key);
        }
        let here = self.in_topic(key.topic());
        let next = if here > key { here } else { self.in_topic(key.topic().checked_add(1)?) };
        ((next.topic() >> TOPIC_SHIFT) as u16 == self.topic()).then_some(next)
    }

    const fn in_topic(self, topic: u32) -> Key {
        Key::new(topic, self.0 << 40)
    }
}

/// One wide cell of all items, which tells a single difference for certain: two versions of a key may count the same in a
/// sketch, one pair in 2^12, and then none of its cells show them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Total {
    /// The sum of wide weights, and of wide weight × key.
    pub(crate) weight: u64,
    pub(crate) product: u64,
}

impl Total {
    pub(crate) fn change(&mut self, key: Key, old: Option<Item>, new: Option<Item>) {
        let weight = wide(new).wrapping_sub(wide(old));
        self.weight = self.weight.wrapping_add(weight);
        self.product = self.product.wrapping_add(weight.wrapping_mul(Short::of(key).0));
    }

    /// The one key that two totals differ by, if it looks like one.
    pub(crate) fn single(self, other: Self) -> Option<Short> {
        let (weight, product) = (self.weight.wrapping_sub(other.weight), self.product.wrapping_sub(other.product));
        let halvings = weight.trailing_zeros();
        if weight == 0 || halvings > u64::BITS - SHORT_BITS - CHECK_BITS || product.trailing_zeros() < halvings {
            return None;
        }
        let key = (product >> halvings).wrapping_mul(inverse(weight >> halvings)) & (u64::MAX >> halvings);
        (key >> SHORT_BITS == 0).then_some(Short(key))
    }
}

/// What an item counts in a total: odd, so that a key that one side alone has is always told.
fn wide(item: Option<Item>) -> u64 {
    item.map_or(0, |item| item.to_bytes().last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes) | 1))
}

/// The inverse of an odd number modulo 2^64, by Newton's method: each step doubles the bits that are right, of which five
/// are to begin with.
fn inverse(odd: u64) -> u64 {
    (0..4).fold(odd.wrapping_mul(3) ^ 2, |x, _| x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x))))
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
    add(cells, short, weighed(new).wrapping_sub(weighed(old)));
}

/// The one key that a difference comes from, if it looks like one.
pub(crate) fn single(difference: Cell) -> Option<Found> {
    gained(difference, gain(difference))
}

fn gain(difference: Cell) -> i64 {
    ((difference << PRODUCT_BITS) as i64) >> PRODUCT_BITS
}

fn gained(difference: Cell, gain: i64) -> Option<Found> {
    let (product, halvings) = (difference.wrapping_sub(gain as u64) >> WEIGHT_BITS, gain.trailing_zeros());
    if gain == 0 || halvings > PRODUCT_BITS - SHORT_BITS || product.trailing_zeros() < halvings {
        return None;
    }
    let inverse = inverse((gain >> halvings) as u64);
    let key = (product >> halvings).wrapping_mul(inverse) & (u64::MAX >> (WEIGHT_BITS + halvings));
    (key >> SHORT_BITS == 0).then_some(Found { key: Short(key), gain: gain as i32 })
}

/// Finds the differences in cells of which ours are made less by theirs. `is_true` says whether a key that is alone in a
/// cell can be one; it is then told to `found`, and taken out. Returns whether nothing is left.
pub(crate) fn decode(cells: &mut [Cell], is_true: impl Fn(Found, usize) -> bool, mut found: impl FnMut(Found)) -> bool {
    let (len, mut left) = (cells.len(), cells.len());
    for _ in 0..SWEEPS_MAX {
        let before = left;
        // From the last, where the fewest keys meet.
        for at in (0..len).rev() {
            let Some(one) = cells.get(at).filter(|cell| **cell != 0).and_then(|cell| single(*cell)) else { continue };
            if left == 0 || !is_at(one.key, at) || !is_true(one, at) {
                continue;
            }
            add(cells, one.key, pack(one.gain, one.key).wrapping_neg());
            left -= 1;
            found(one);
        }
        if left == before {
            let one = carried(cells, &is_true).or_else(|| untangle(cells, &is_true));
            let Some(one) = one.filter(|_| left > 0) else { break };
            add(cells, one.key, pack(one.gain, one.key).wrapping_neg());
            left -= 1;
            found(one);
        }
    }
    cells.iter().all(|cell| *cell == 0)
}

/// A key that is alone in a cell, but of which one side has several items more: they may count more than the bits of a sum hold;
/// four, at most twice as much.
fn carried(cells: &[Cell], is_true: &impl Fn(Found, usize) -> bool) -> Option<Found> {
    let left_over = cells.iter().enumerate().skip(SURE_CELL).filter(|(_, cell)| **cell != 0);
    left_over
        .flat_map(|(at, cell)| [-2, -1, 1, 2].map(|times| (at, *cell, gain(*cell) + (times << WEIGHT_BITS))))
        .filter_map(|(at, cell, gain)| gained(cell, gain).filter(|one| is_at(one.key, at) && is_true(*one, at)))
        .next()
}

/// A key that is alone in no cell, if there are few that are not empty: what two or three of them have in common goes out
/// when one is taken from the others, which may leave one key.
fn untangle(cells: &[Cell], is_true: &impl Fn(Found, usize) -> bool) -> Option<Found> {
    let mut mixed = heapless::Vec::<(usize, Cell), MIXED_MAX>::new();
    // From the last, where the fewest keys meet; the first holds all of them.
    for (at, cell) in cells.iter().enumerate().skip(1).rev().filter(|(_, cell)| **cell != 0) {
        mixed.push((at, *cell)).ok()?;
    }
    let alone = |plus: &[usize], minus: usize, difference: Cell| {
        let one = single(difference)?;
        let times = plus.iter().filter(|at| is_at(one.key, **at)).count() as i32 - i32::from(is_at(one.key, minus));
        let gain = one.gain.checked_div(times).filter(|gain| *gain != 0 && gain * times == one.gain)?;
        Some(Found { gain, ..one }).filter(|one| is_true(*one, 0))
    };
    for (n, (i, a)) in mixed.iter().enumerate() {
        for (j, b) in mixed.iter().take(n) {
            let found = alone(&[*j], *i, b.wrapping_sub(*a));
            if found.is_some() {
                return found;
            }
        }
    }
    if mixed.len() > MIXED_MAX / 2 {
        return None;
    }
    for (n, (i, a)) in mixed.iter().enumerate() {
        for (m, (j, b)) in mixed.iter().take(n).enumerate() {
            for (l, c) in mixed.iter().take(m) {
                let (sum, twice) = (a.wrapping_add(*b).wrapping_add(*c), |x: Cell| x.wrapping_add(x));
                let found = alone(&[*i, *j], *l, sum.wrapping_sub(twice(*c)))
                    .or_else(|| alone(&[*i, *l], *j, sum.wrapping_sub(twice(*b))))
                    .or_else(|| alone(&[*j, *l], *i, sum.wrapping_sub(twice(*a))));
                if found.is_some() {
                    return found;
                }
            }
        }
    }
    None
}

/// Some bits hashed from each of some cells: how many differ tells how many differences there are.
pub(crate) fn estimate(cells: &[Cell]) -> [u8; ESTIMATE_LEN] {
    let mut bytes = [0; ESTIMATE_LEN];
    let places = RULERS.iter().flat_map(|ruler| (0..RULER_CELLS).map(|at| (at + (1 << ruler.octave), ruler.bits)));
    let mut end = 0;
    for (at, bits) in places {
        let cell = cells.get(at).copied().unwrap_or(0);
        let hash = (cell ^ cell >> 32).wrapping_mul(MIX) >> (64 - bits);
        if let Some(byte) = bytes.get_mut(end / 8) {
            *byte |= (hash as u8) << (end % 8);
        }
        end += bits;
    }
    bytes
}

/// How many cells find what two estimates differ by, most likely.
pub(crate) fn cells_for(ours: [u8; ESTIMATE_LEN], theirs: [u8; ESTIMATE_LEN]) -> usize {
    let mut differ = ours.iter().zip(theirs).map(|(a, b)| a ^ b);
    let [fine, coarse, coarser] = RULERS.map(|ruler| {
        let bytes = differ.by_ref().take(RULER_CELLS * ruler.bits / 8);
        // A digit differs if any of its bits does.
        bytes.map(|byte| (0..8 / ruler.bits).filter(|n| (byte >> (n * ruler.bits)) & ruler.mask() != 0).count()).sum()
    });
    // One digit in 16 is the same by chance: so nearly all that differ may be of a hundred, or of thousands.
    if let Some(cells) = FEW.get::<usize>(fine).filter(|_| fine < FEW_SURE || coarse < COARSE_MAX) {
        return usize::from(*cells);
    }
    // An item is in 1.8 cells of an octave: so there are the octave's cells, times how often each is hit, by 1.8.
    let many = |octave: u32, log: u16| (usize::from(log) << octave) / 256 * 5 / 9;
    match (LOGS.get::<usize>(coarse), LOGS.get::<usize>(coarser)) {
        // Of more, too few cells are no loss: the next ones go on from there.
        (Some(log), Some(finer)) if coarse < COARSE_MAX => {
            let (few, more) = (many(8, *log), many(10, *finer));
            // Of very many, the coarse bits say by chance that they are few.
            let differences = if coarse >= COARSE_SURE && more > 2 * few { more } else { (few * 3 + more) / 4 };
            surplus(needed(differences)).clamp(FEW_CELLS_MAX, CELLS)
        }
        (_, Some(log)) if coarser < COARSER_MAX => surplus(needed(many(10, *log))).clamp(FEW_CELLS_MAX, CELLS),
        // Half the bits differ, of a thousand differences or of a million.
        _ => CELLS,
    }
}

/// How many cells it may take after these, ours less theirs, turned out to be too few; more than [`CELLS`] if no sketch
/// does.
pub(crate) fn cells_after(cells: &[Cell]) -> usize {
    // The last octave of which there is an eighth at least.
    let last = cells.len().max(4).next_power_of_two() / 2;
    let start = if cells.len() - last.min(cells.len()) < last / 8 { last / 2 } else { last };
    let octave = cells.get(start..cells.len().min(2 * start)).unwrap_or(&[]);
    let empty = octave.iter().filter(|cell| **cell == 0).count();
    let least = cells.len() + cells.len() / 4 + MORE_MIN;
    // Of so many as a sketch shows at most, 1 in 64 is empty.
    match LOGS.get(32 - (empty * 32 / octave.len().max(1)).max(1)) {
        Some(log) if empty * 64 >= octave.len() => needed(start * usize::from(*log) / 256 * 11 / 16).max(least),
        // With a few empty ones it is a thousand differences, about as many as a sketch shows.
        _ if cells.len() >= CELLS / 2 && empty == 0 => usize::MAX,
        _ => least * 2,
    }
}

/// How many cells find so many differences in 99 of 100 cases, as simulated.
const fn needed(differences: usize) -> usize {
    if differences <= 200 { 12 + differences * 9 / 5 } else { 40 + differences * 42 / 25 }
}

/// With what an estimate may be wrong by: an eighth more costs less than to ask for more in one of three cases.
const fn surplus(cells: usize) -> usize {
    let cells = cells + cells / 8;
    if cells < CELLS { cells } else { CELLS }
}

fn pack(weight: i32, key: Short) -> Cell {
    (i64::from(weight) as u64).wrapping_mul(key.0 << WEIGHT_BITS | 1)
}

/// Adds to all cells that a key is in.
fn add(cells: &mut [Cell], key: Short, gain: Cell) {
    let mut put = |at, gain: Cell| {
        if let Some(cell) = cells.get_mut::<usize>(at) {
            *cell = cell.wrapping_add(gain);
        }
    };
    put(0, gain);
    for octave in 0..OCTAVES {
        let (first, second, twice) = places(key, octave);
        put(first, gain);
        // Nothing is added in place of a branch that nobody foresees.
        put(second, gain & 0u64.wrapping_sub(u64::from(twice)));
    }
}

fn is_at(key: Short, cell: usize) -> bool {
    let Some(octave) = cell.checked_ilog2() else { return true };
    let (first, second, twice) = places(key, octave as usize);
    first == cell || twice && second == cell
}

/// The cells of an octave that a key is in, and whether it is in the second at all.
fn places(key: Short, octave: usize) -> (usize, usize, bool) {
    // SplitMix64 (Steele, Lea and Flood 2014), with one multiplication less.
    let state = key.0.wrapping_mul(MIX).wrapping_add(GOLDEN.wrapping_mul(octave as u64 + 1));
    let mixed = (state ^ state >> 31).wrapping_mul(MIX);
    let (mixed, start) = (mixed ^ mixed >> 29, 1 << octave);
    let first = start + (mixed as usize & (start - 1));
    let second = start + ((mixed >> 20) as usize & (start - 1));
    (first, second, (second != first) & (mixed >> 44 & 0xfff < TWICE))
}

/// Cells that an estimate looks at: the first of an octave, with so many bits for each.
struct Ruler {
    octave: u32,
    bits: usize,
}

impl Ruler {
    const fn mask(&self) -> u8 {
        (1 << self.bits) - 1
    }
}

/// Four bits tell 15 of 16 cells that differ: for a few differences, of which all that are in an octave are looked at, that
/// is worth more than to look at as many more cells.
const RULERS: [Ruler; 3] = [Ruler { octave: 6, bits: 4 }, Ruler { octave: 8, bits: 1 }, Ruler { octave: 10, bits: 1 }];
/// How many cells each of them looks at.
const RULER_CELLS: usize = 64;
pub(crate) const ESTIMATE_LEN: usize = 48;
/// How many cells find the differences in 99 of 100 cases when so many of the first ruler's 64 digits differ, as simulated;
/// never less than find ten, and of more than 75 differences as many as find them mostly.
const FEW: [u8; 58] = [
    24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 25, 26, 27, 28, 29, 31, 35, 38, 40, 45, 48, 50, 52, 54, 56,
    58, 61, 64, 67, 73, 75, 79, 83, 88, 92, 97, 102, 108, 114, 120, 126, 133, 140, 146, 156, 164, 168, 172, 176, 180,
    186, 194, 204, 216,
];
/// How many digits tell by themselves that there are few.
const FEW_SURE: usize = 53;
/// What more differences take at least.
const FEW_CELLS_MAX: usize = 216;
/// Of 64 bits, about as many differ when there is no telling how many more do.
const COARSE_MAX: usize = 25;
/// From here on it may be as many as a sketch shows: of a thousand differences, one time of ten it is fewer.
const COARSER_MAX: usize = 22;
/// Below this there are few.
const COARSE_SURE: usize = 24;
/// How many more cells are asked for at least.
const MORE_MIN: usize = 8;
/// -256 ln(1 - n/32): how often each cell is hit, in 1/256, when n of 64 bits differ.
const LOGS: [u16; 32] = [
    0, 8, 17, 25, 34, 43, 53, 63, 74, 85, 96, 108, 120, 133, 147, 162, 177, 194, 212, 231, 251, 273, 298, 325, 355,
    389, 429, 475, 532, 606, 710, 887,
];
/// From here on, of 64 keys or more one may be in a cell: that a false one is in it, too, is rare.
pub(crate) const SURE_CELL: usize = 64;
const OCTAVES: usize = 11;
const SHORT_BITS: u32 = 38;
const TOPIC_SHIFT: u32 = 18;
const WEIGHT_BITS: u32 = 14;
/// How many bits of a total's quotient are to be zero, at least: of two versions, one pair in 2^18 leaves fewer.
const CHECK_BITS: u32 = 8;
const PRODUCT_BITS: u32 = 64 - WEIGHT_BITS;
/// A difference of two weights has its sign in 14 bits.
pub(crate) const WEIGHT_MAX: u16 = (1 << (WEIGHT_BITS - 1)) - 1;
/// 0.8 of 4096: of few differences, more are found than with less; of many, about as many.
const TWICE: u64 = 3277;
/// How many cells with several keys each are looked at in pairs, and in threes up to half as many.
const MIXED_MAX: usize = 32;
/// Bounds what cells that were made to come out slowly cost; honest ones take about ten.
const SWEEPS_MAX: usize = 32;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const MIX: u64 = 0xbf58_476d_1ce4_e5b9;

#[cfg(test)]
mod tests;
