//! What is owed to single members: one row for each, sent when a datagram goes there anyway or has nothing better to do.
//!
//! Knows: rows, in the order in which they came. Does not know: what it takes to send one.
//! When full: a further row is dropped and counted. Nothing is lost: who is owed it asks again after a round trip.

use crate::slab::index::{Key, Prefix};
use crate::slab::queue::Queue;
use crate::slab::{Ix, SCARCE};
use crate::wire::Table;

/// Something that is owed to one member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    to: Ix,
    scope: Of,
    pub(crate) task: Task,
    key: Key,
}

/// Which table a row is about, the length of its prefix, and from which bit on nothing else is held: 2, 7 and 7 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Of(u16);

impl Of {
    const fn new(table: Table, depth: u8, from: u8) -> Self {
        Self(table as u16 | (depth as u16) << 2 | (from as u16) << 9)
    }

    const fn depth(self) -> u8 {
        (self.0 >> 2 & 127) as u8
    }

    const fn from(self) -> u8 {
        (self.0 >> 9) as u8
    }
}

/// What is owed. A prefix or a key goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// The digest of the whole table.
    Root,
    /// Digests of the sixteen parts under the prefix.
    Digests,
    /// The same for each part that is known to differ, from the one with this number on, so often more after it was said.
    Open { at: u16, said: bool, more: u8 },
    /// For each of these parts: digests of its own parts, or a list of its items if they are few.
    Closer { parts: u16, salt: u8 },
    /// That the item of this digest, which the member has listed, is lacking.
    Lack { digest: [u8; 2], salt: u8 },
    /// The items at these positions under the prefix.
    Copies(u32),
    /// All items in these parts of the prefix from the key on, in at most so many more datagrams.
    Stream { parts: u16, datagrams: u8 },
    /// The item with this key.
    Send,
    /// The same, as a copy: in answer to a copy that is older.
    Copy,
    /// The question for the item with this key.
    Want,
    /// The question for a sketch.
    Sketch,
    /// These cells of our sketch.
    Cells { first: u16, end: u16 },
    /// The question for these cells.
    More { first: u16, end: u16 },
    /// What an exchange of sketches found.
    Chores,
    /// What we have of all that it found, from the one with this number on, after it was said so often.
    Check { at: u16, said: u8 },
    /// The question for the total of the other's sketch, after it was asked so often of so many times.
    AskTotal { said: u8, times: u8 },
    /// The total of our sketch.
    Total,
    /// That we are equal now, which every datagram says.
    Equal,
    /// Whether the member holds what is watched under this number.
    Ask { number: u32 },
    /// That we hold what the member asked for by this number.
    Held { number: u32 },
    /// The question for some of the 32 messages from the key on.
    Missing(u32),
    /// Some of the 32 messages from the key on, in at most so many more datagrams.
    Give { wanted: u32, datagrams: u8 },
    /// The question for a run of units of the large version of this digest.
    Pull { of: u32, from: u16 },
    /// These units of the large value with this key.
    Chunks { from: u16, end: u16 },
    /// The time and the floor.
    Floor,
    /// That the stamp of the entry with this key is too far ahead.
    Ahead,
    /// The question which parts there are, for one who holds next to nothing.
    Begin { datagrams: u8, tag: u8 },
    /// The answer; some of the first parts follow.
    Parts { skip: u32, datagrams: u8, tag: u8 },
    /// The question for all of the prefix from the key on, in so many datagrams.
    Fetch { tag: u16, datagrams: u8 },
    /// All of the prefix from the key on but this topic, in so many more datagrams.
    Run { skip: u32, tag: u16, datagrams: u8 },
}

impl Row {
    /// A row about everything under `prefix`; the receiver may take it that nothing is outside of it under its first
    /// `from` bits.
    pub(crate) fn new(to: usize, table: Table, task: Task, prefix: Prefix, from: u8) -> Self {
        Self { to: to as Ix, scope: Of::new(table, prefix.len(), from), task, key: prefix.first() }
    }

    /// A row about one key.
    pub(crate) fn of_key(to: usize, table: Table, task: Task, key: Key) -> Self {
        Self { to: to as Ix, scope: Of::new(table, Key::BITS, Key::BITS), task, key }
    }

    pub(crate) fn to(&self) -> usize {
        self.to as usize
    }

    pub(crate) fn table(&self) -> Table {
        match self.scope.0 & 3 {
            0 => Table::Members,
            1 => Table::Entries,
            _ => Table::Messages,
        }
    }

    pub(crate) fn key(&self) -> Key {
        self.key
    }

    pub(crate) fn prefix(&self) -> Prefix {
        Prefix::of(self.key, self.scope.depth())
    }

    pub(crate) fn from(&self) -> u8 {
        self.scope.from()
    }

    /// The same, marked as copies or not: for messages, whose rows need no prefix.
    pub(crate) fn copies(mut self, copies: bool) -> Self {
        self.scope = Of::new(self.table(), Key::BITS, copies.into());
        self
    }

    pub(crate) fn is_copies(&self) -> bool {
        self.from() == 1
    }

    /// The same member and key, with this to be done.
    pub(crate) fn to_do(mut self, task: Task) -> Self {
        self.task = task;
        self
    }

    fn is_same(&self, row: &Self) -> bool {
        (self.to, self.scope.0 & DEPTH, self.key) == (row.to, row.scope.0 & DEPTH, row.key)
            && match row.task {
                Task::Pull { .. } | Task::Chunks { .. } | Task::Fetch { .. } | Task::Run { .. } if LONG => {
                    self.task == row.task
                }
                Task::Lack { .. } => self.task == row.task,
                _ => core::mem::discriminant(&self.task) == core::mem::discriminant(&row.task),
            }
    }

    /// The same, from `key` on.
    pub(crate) fn at(mut self, key: Key) -> Self {
        self.key = key;
        self
    }
}

/// The rows.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    rows: Queue<Row, ROWS_MAX>,
}

impl Replies {
    /// Owes one more; false when there is no room. The same twice is owed once.
    pub(crate) fn push(&mut self, row: Row) -> bool {
        match self.rows.iter_mut().find(|old| old.is_same(&row)) {
            Some(old) => {
                let before = core::mem::replace(old, row);
                if let (
                    Task::Missing(asked) | Task::Copies(asked) | Task::Give { wanted: asked, .. },
                    Task::Missing(wanted) | Task::Copies(wanted) | Task::Give { wanted, .. },
                ) = (before.task, &mut old.task)
                {
                    *wanted |= asked;
                }
                true
            }
            None => self.rows.push_back(row).is_ok(),
        }
    }

    /// Whether the same is owed already.
    pub(crate) fn has(&self, row: &Row) -> bool {
        self.rows.iter().any(|old| old.is_same(row))
    }

    /// Whom the oldest row is owed to; runs come last, since they are long, and what others wait for is short.
    pub(crate) fn first(&self) -> Option<usize> {
        self.oldest(|_| true).map(|(_, row)| row.to())
    }

    /// The oldest row for a member, and where it is.
    pub(crate) fn first_to(&self, to: usize) -> Option<(usize, Row)> {
        self.oldest(|row| row.to() == to)
    }

    fn oldest(&self, wanted: impl Fn(&Row) -> bool) -> Option<(usize, Row)> {
        let rows = || self.rows.iter().enumerate().filter(|(_, row)| wanted(row));
        let short = rows().find(|(_, row)| !matches!(row.task, Task::Run { .. }));
        short.or_else(|| rows().next()).map(|(at, row)| (at, *row))
    }

    /// Puts what is left of a row in its place, or takes it out.
    pub(crate) fn settle(&mut self, at: usize, rest: Option<Row>) {
        match (rest, self.rows.get_mut(at)) {
            (Some(rest), Some(row)) => {
                *row = rest;
                if cfg!(feature = "large") && matches!(rest.task, Task::Chunks { .. }) {
                    // It is long, and what others wait for is short.
                    self.rows.get_mut(at..).unwrap_or_default().rotate_left(1);
                }
            }
            (None, Some(_)) => {
                self.rows.remove(at);
            }
            (_, None) => {}
        }
    }

    /// Forgets what is owed to a member.
    pub(crate) fn forget(&mut self, to: usize) {
        while let Some(at) = self.rows.iter().position(|row| row.to() == to) {
            self.rows.remove(at);
        }
    }

    /// Whether a member is owed what an exchange of sketches found.
    pub(crate) fn has_chores(&self, to: usize) -> bool {
        self.rows.iter().any(|row| row.to() == to && matches!(row.task, Task::Chores))
    }

    /// How many cells are owed to a member.
    pub(crate) fn cells_to(&self, to: usize) -> usize {
        let cells = |row: &Row| match row.task {
            Task::Cells { first, end } if row.to() == to => usize::from(end.saturating_sub(first)),
            _ => 0,
        };
        self.rows.iter().map(cells).sum()
    }

    /// How many runs of large values are owed to a member.
    pub(crate) fn chunks_to(&self, to: usize) -> usize {
        self.rows.iter().filter(|row| row.to() == to && matches!(row.task, Task::Chunks { .. })).count()
    }

    /// How many answers about stamps are owed.
    pub(crate) fn aheads(&self) -> usize {
        self.rows.iter().filter(|row| matches!(row.task, Task::Ahead)).count()
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}

/// Whether there are rows of which a member may be owed several with one key.
const LONG: bool = cfg!(any(feature = "large", feature = "catchup"));
/// Table and depth of a row.
const DEPTH: u16 = (1 << 9) - 1;
/// How many rows there are: two datagrams full of lists, each of which is answered with a list and with copies; where memory
/// is scarce, one datagram full of the sixteen parts that differ.
pub(crate) const ROWS_MAX: usize = if SCARCE { 16 } else { 128 };
