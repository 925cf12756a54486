//! What a report about a member changes: a lattice of (incarnation, state), and the exceptions that protect the living.
//!
//! Knows: the rules. Does not know: who reports, nor what is done about it: the verdict tells the node.

use super::slot::MemberState;
use super::table::{Members, OWN};
use crate::addr::NodeId;
use crate::slab::Link;
use crate::time::Tick;
use crate::wire::MemberItem;

/// What was said of a member, other than that it is alive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) id: NodeId,
    pub(crate) incarnation: u32,
    pub(crate) state: MemberState,
    pub(crate) by: NodeId,
}

/// What follows from a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was new: pass it on, and look after the member's deadline.
    News(usize),
    /// Another one suspects who is suspect here already: the suspicion gets shorter.
    Confirmed(usize),
    /// Another node's member is reported dead that is alive here: it is now suspect, and shall hear of it at once.
    Contradicted(usize),
    /// Nothing new.
    Known,
    /// We know better: whoever said it should hear what we know.
    Stale(usize),
    /// It is about this node: answer with a greater incarnation than this.
    Own(u32),
    /// Of somebody whom we do not know, or have no room for.
    Refused,
    /// With an incarnation that nobody can have come to.
    Implausible,
}

/// Whether incarnation `a` is newer than `b`: serial numbers that wrap (RFC 1982), so that there is no greatest one that
/// could not be answered.
pub(crate) const fn newer(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 > 0
}

/// Whether a member can have come from one incarnation to another: not by more than [`STEP_MAX`], in either direction.
///
/// This is what makes wrapping safe: all that is accepted of a member lies in a window far smaller than half the numbers,
/// so that "newer" orders it. Who forges an incarnation moves the window by one step at most, and the member, who hears
/// of it, moves on from there.
pub(crate) const fn plausible(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32).unsigned_abs() <= STEP_MAX
}

/// Takes in that a member is alive, perhaps from itself (`first_hand`). Its tags are left to the caller; those of a member
/// that was forgotten to make room come back in the second value.
///
/// `other_tags` says that they differ from those that are held.
pub(crate) fn accept_alive(
    members: &mut Members<'_>,
    held: Option<usize>,
    item: &MemberItem<'_>,
    first_hand: bool,
    other_tags: bool,
) -> (Verdict, Link) {
    let Some(ix) = held else {
        let Some((ix, orphan)) = members.insert(item.id, item.addr, item.incarnation) else {
            return (Verdict::Refused, Link::NONE);
        };
        return (Verdict::News(ix), orphan);
    };
    let Some(slot) = members.get(ix) else { return (Verdict::Refused, Link::NONE) };
    let verdict = if !plausible(item.incarnation, slot.incarnation) {
        Verdict::Implausible
    } else if ix == OWN {
        // An older life of ours, if it is ahead of this one or says something else.
        let older = newer(item.incarnation, slot.incarnation)
            || item.incarnation == slot.incarnation
                && (item.addr != slot.addr
                    || item.tags_version > slot.tags_version
                    || item.tags_version == slot.tags_version && other_tags);
        if older { Verdict::Own(item.incarnation) } else { Verdict::Known }
    } else if newer(item.incarnation, slot.incarnation) {
        members.revive(ix, item.incarnation, Some(&item.addr));
        Verdict::News(ix)
    } else if item.incarnation != slot.incarnation || !slot.state.is_live() {
        Verdict::Stale(ix)
    } else if first_hand && item.addr != slot.addr && slot.state == MemberState::Alive {
        // The address that it announces, in place of where it was seen.
        members.relocate(ix, &item.addr);
        Verdict::News(ix)
    } else if item.tags_version > slot.tags_version {
        Verdict::News(ix)
    } else if first_hand && item.tags_version == slot.tags_version && other_tags {
        // The owner is to hear of it, and moves on.
        Verdict::Stale(ix)
    } else {
        Verdict::Known
    };
    (verdict, Link::NONE)
}

/// Takes in that a member is suspect, dead or gone, perhaps from itself (`first_hand`). Who is suspect here since `fresh` or
/// later is given time.
pub(crate) fn accept_report(members: &mut Members<'_>, report: &Report, fresh: Tick, first_hand: bool) -> Verdict {
    let Some(ix) = members.find(report.id) else { return Verdict::Refused };
    let Some(slot) = members.get(ix) else { return Verdict::Refused };
    let (incarnation, state) = (slot.incarnation, slot.state);
    let same = report.incarnation == incarnation;
    if !plausible(report.incarnation, incarnation) {
        return Verdict::Implausible;
    }
    if ix == OWN {
        return if newer(incarnation, report.incarnation) {
            Verdict::Stale(ix)
        } else {
            Verdict::Own(report.incarnation)
        };
    }
    if newer(incarnation, report.incarnation) {
        return Verdict::Stale(ix);
    }
    if same && report.state <= state {
        return match (report.state, state) {
            (MemberState::Suspect, MemberState::Suspect) => confirm(members, ix, report.by),
            (MemberState::Suspect, _) => Verdict::Stale(ix),
            _ => Verdict::Known,
        };
    }
    // Death or leave at second hand of somebody who is alive here, or was a moment ago: it gets the time to refute that it
    // may not have had there, as after a partition. Who is really dead was suspected for long before anybody called it
    // dead, and only a member itself can say at once that it leaves. An incarnation that is new here is no older than its
    // report: a suspicion of the one before says nothing of it.
    let suspected = same && state == MemberState::Suspect;
    let gone = matches!(report.state, MemberState::Dead | MemberState::Left) && !first_hand;
    let contradicted = gone && state.is_live() && (!suspected || slot.since >= fresh);
    if contradicted && suspected {
        if let Some(slot) = members.get_mut(ix) {
            slot.leaving |= report.state == MemberState::Left;
        }
        return Verdict::Known;
    }
    members.update(ix, |slot| {
        slot.leaving = contradicted && report.state == MemberState::Left;
        slot.set_incarnation(report.incarnation);
        slot.state = if contradicted { MemberState::Suspect } else { report.state };
        slot.by = report.by;
        slot.confirmed = 0;
    });
    if contradicted { Verdict::Contradicted(ix) } else { Verdict::News(ix) }
}

/// Counts who else suspects a member, once each.
fn confirm(members: &mut Members<'_>, ix: usize, by: NodeId) -> Verdict {
    let Some(slot) = members.get_mut(ix) else { return Verdict::Known };
    let (short, known) = (by.0 as u16, usize::from(slot.confirmed));
    if by == slot.by || slot.confirmers.iter().take(known).any(|confirmer| *confirmer == short) {
        return Verdict::Known;
    }
    let first = slot.by.0 as u16;
    let Some(place) = slot.confirmers.get_mut(known) else { return Verdict::Known };
    // The news to pass on is now the new confirmation; who accused before is noted in its place.
    *place = first;
    slot.by = by;
    slot.confirmed += 1;
    Verdict::Confirmed(ix)
}

/// How many confirmations make a suspicion as short as it gets (Lifeguard's K).
pub(crate) const CONFIRMATIONS_MAX: u8 = 3;
/// How far an incarnation may be from the one that is known: more than any member refutes or restarts in its memory of
/// the others, and a 4,096th of the numbers.
const STEP_MAX: u32 = 1 << 20;
