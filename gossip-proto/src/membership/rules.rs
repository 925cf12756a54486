//! What a report about a member changes: a lattice of (incarnation, state), and the exceptions that protect the living.
//!
//! Knows: the rules. Does not know: who reports, nor what is done about it: the verdict tells the node.

use super::table::{MemberState, Members, OWN};
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
}

/// Takes in that a member is alive, perhaps from itself (`first_hand`). Its tags are left to the caller; those of a member that was forgotten to make room
/// come back in the second value.
pub(crate) fn accept_alive(members: &mut Members<'_>, item: &MemberItem<'_>, first_hand: bool) -> (Verdict, Link) {
    let Some(ix) = members.find(item.id) else {
        let Some((ix, orphan)) = members.insert(item.id, item.addr) else { return (Verdict::Refused, Link::NONE) };
        members.update(ix, |slot| slot.incarnation = item.incarnation);
        return (Verdict::News(ix), orphan);
    };
    let Some(slot) = members.get(ix) else { return (Verdict::Refused, Link::NONE) };
    let verdict = if ix == OWN {
        // An older life of ours, if it is ahead of this one or says something else.
        let older = item.incarnation > slot.incarnation
            || item.incarnation == slot.incarnation
                && (item.addr != slot.addr || item.tags_version > slot.tags_version);
        if older { Verdict::Own(item.incarnation) } else { Verdict::Known }
    } else if item.incarnation > slot.incarnation {
        members.update(ix, |slot| {
            slot.incarnation = item.incarnation;
            slot.state = MemberState::Alive;
            slot.addr = item.addr;
        });
        Verdict::News(ix)
    } else if item.incarnation < slot.incarnation || !slot.state.is_live() {
        Verdict::Stale(ix)
    } else if first_hand && item.addr != slot.addr && slot.state == MemberState::Alive {
        // The address that it announces, in place of where it was seen.
        members.update(ix, |slot| slot.addr = item.addr);
        Verdict::News(ix)
    } else if item.tags_version > slot.tags_version {
        Verdict::News(ix)
    } else {
        Verdict::Known
    };
    (verdict, Link::NONE)
}

/// Takes in that a member is suspect, dead or gone. Who is suspect here since `fresh` or later is given time.
pub(crate) fn accept_report(members: &mut Members<'_>, report: &Report, fresh: Tick) -> Verdict {
    let Some(ix) = members.find(report.id) else { return Verdict::Refused };
    let Some(slot) = members.get(ix) else { return Verdict::Refused };
    let held = (slot.incarnation, slot.state);
    if ix == OWN {
        return if report.incarnation >= held.0 { Verdict::Own(report.incarnation) } else { Verdict::Known };
    }
    if report.incarnation < held.0 {
        return Verdict::Stale(ix);
    }
    if (report.incarnation, report.state) <= held {
        return if report.state == MemberState::Suspect && !held.1.is_live() {
            Verdict::Stale(ix)
        } else {
            Verdict::Known
        };
    }
    // Death at second hand of somebody who is alive here, or was a moment ago: it gets the time to refute that it may not
    // have had there, as after a partition. Who is really dead was suspected for long before anybody called it dead.
    let contradicted = report.state == MemberState::Dead
        && (held.1 == MemberState::Alive || held == (report.incarnation, MemberState::Suspect) && slot.since >= fresh);
    if contradicted && held.1 == MemberState::Suspect {
        return Verdict::Known;
    }
    members.update(ix, |slot| {
        slot.incarnation = report.incarnation;
        slot.state = if contradicted { MemberState::Suspect } else { report.state };
        slot.by = report.by;
    });
    if contradicted { Verdict::Contradicted(ix) } else { Verdict::News(ix) }
}
