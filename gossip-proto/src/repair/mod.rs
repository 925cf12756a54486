//! Repair: finding what two nodes do not have in common, and sending it.
//!
//! Knows: summaries of any table, how to compare them part by part, what is owed to whom, and which comparison is under
//! way. Does not know: what an item is, nor how it is encoded. Whoever answers keeps no session: a row of what it owes,
//! dropped without harm, is all.
//! When full: see [`lanes`], [`open`], [`replies`], [`pull`] and [`sketch`].

mod compare;
mod lanes;
mod open;
mod pull;
mod receipts;
mod replies;
mod session;
mod sketch;

pub(crate) use compare::{Finding, ITEMS_MAX, Tree, root_digest};
#[cfg(feature = "alloc")]
pub(crate) use lanes::LANES;
pub(crate) use lanes::{
    FIRST_MAX, LANES_OPEN, Lane, Lanes, POSSIBLE as LANES_POSSIBLE, Phase, Question, RUN_MAX, SOURCES_MAX, Seen,
    UNASKED,
};
pub(crate) use open::{Open, POSSIBLE as OPEN_POSSIBLE};
pub(crate) use pull::{Pull, Pulls};
pub use receipts::Receipt;
pub(crate) use receipts::{RECEIPTS_MAX, Receipts, Watched};
pub(crate) use replies::{ROWS_MAX, Replies, Row, Task};
pub(crate) use session::{Session, Step, TABLES};
pub(crate) use sketch::{Again, Chore, Exchange, Gathered, chores, is_plausible, mark};
