//! The rules of merging (R1): what becomes of the versions of an entry when one more comes.
//!
//! Elements of a set are siblings. Values that join are not merged here (`join`), but meet the other kinds here.
//!
//! Knows: versions, newest first. Pure. Does not know: where they are kept, or whether there is room for them.
//!
//! Held are, from the newest down: siblings that no newer held sibling covers, at most four, and below them the newest
//! register, where the list ends. So an entry of registers alone holds one version, the newest, and one of siblings
//! alone holds up to four. The newest version decides the entry's kind. A register below siblings has lost to them and
//! is not shown: it stays because it says that all siblings older than it have lost too, in whatever order they come.
//!
//! Whether a version is held depends on the newer ones alone. Hence, with lists compared from the newest down, taking a
//! version in never makes a list smaller; and of two lists that differ, the one without the newest difference takes
//! it in. So replicas that tell each other what they hold stop at equal lists, always. As long as no context was
//! cut short and no fifth sibling was dropped, the list is also the same for every order of arrival.

use core::cmp::Ordering;

use super::entry::Kind;
use super::version::Version;

/// Whether a node can hold more than one version of an entry: what only these need is left out where it cannot.
pub(super) const POSSIBLE: bool = cfg!(feature = "siblings");
/// The most siblings of an entry.
pub(super) const SIBLINGS_MAX: usize = if POSSIBLE { 4 } else { 0 };
/// The most versions of an entry: the siblings, and the register below them.
pub(super) const VERSIONS_MAX: usize = SIBLINGS_MAX + 1;

/// What is to be done with a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) verdict: Verdict,
    /// How many of the held versions are newer: where the new one goes, before any of them is dropped.
    pub(super) place: usize,
    /// Bit n says that the n-th held version stays, if the new one is taken.
    pub(super) keep: u8,
    /// A write is lost that the winner's writer had not seen.
    pub(super) conflict: bool,
    /// A sibling is lost because four are newer.
    pub(super) dropped: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is to be held.
    #[default]
    Take,
    /// It is held already.
    Known,
    /// It is not to be held: something newer is.
    Lost,
}

/// Decides about `new`, where `held`, newest first, came about by these same rules.
pub(super) fn plan<'r>(held: impl Iterator<Item = Version<'r>> + Clone, new: &Version<'_>) -> Plan {
    let mut plan = Plan::default();
    // Kinds that know nothing of each other: the greater one wins, whatever the stamps are.
    if let Some(top) = held.clone().next().filter(|top| top.kind.rank() != new.kind.rank()) {
        let wins = new.kind.rank() > top.kind.rank();
        return Plan { verdict: if wins { Verdict::Take } else { Verdict::Lost }, conflict: true, ..plan };
    }
    if !POSSIBLE {
        return plan_register(held, new);
    }
    let register = new.kind == Kind::Register;
    let (mut siblings, mut covered, mut ended) = (0, false, false);
    for above in held.clone().take_while(|held| held.order(new).is_ge()) {
        if above.order(new).is_eq() {
            return Plan { verdict: Verdict::Known, ..Plan::default() };
        }
        plan.keep |= 1 << plan.place.min(7);
        plan.place += 1;
        covered |= new.covered_by(&above);
        if above.kind == Kind::Register {
            ended = true;
        } else {
            siblings += 1;
        }
    }
    let fifth = !register && siblings + 1 > SIBLINGS_MAX;
    if ended || !register && (covered || fifth) {
        plan.verdict = Verdict::Lost;
        plan.conflict = ended && !covered;
        plan.dropped = !ended && !covered;
        return plan;
    }
    // A register that is taken below siblings is lost to them all the same.
    plan.conflict = register && plan.place > 0 && !covered;
    siblings += usize::from(!register);
    for (n, below) in held.enumerate().skip(plan.place) {
        let seen = below.covered_by(new);
        let stays = match below.kind {
            _ if register => false,
            Kind::Register => true,
            _ if seen => false,
            _ => {
                siblings += 1;
                plan.dropped |= siblings > SIBLINGS_MAX;
                siblings < SIBLINGS_MAX + 1
            }
        };
        plan.keep |= u8::from(stays) << n.min(7);
        // What lies below a version of another kind was lost, and reported, when that came.
        let shown = below.kind != Kind::Register || n == 0;
        plan.conflict |= shown && !seen && (register || below.kind == Kind::Register);
    }
    plan
}

/// The same where registers alone are held, one of each entry.
fn plan_register<'r>(mut held: impl Iterator<Item = Version<'r>>, new: &Version<'_>) -> Plan {
    let plan = Plan::default();
    let Some(held) = held.next() else { return plan };
    match held.order(new) {
        Ordering::Equal => Plan { verdict: Verdict::Known, ..plan },
        Ordering::Greater => {
            Plan { verdict: Verdict::Lost, place: 1, keep: 1, conflict: !new.covered_by(&held), ..plan }
        }
        Ordering::Less => Plan { conflict: !held.covered_by(new), ..plan },
    }
}
