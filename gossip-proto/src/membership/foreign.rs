//! Rumors about members that this node does not hold, since its table is smaller than the swarm: passed on all the same.
//!
//! Knows: the last few of them. Does not know: the members. Without it a death would be known only where somebody who holds
//! the dead one tells somebody else who does, and in a large swarm these hardly ever meet.
//! When full: the oldest gives way.

use super::rules::newer;
use super::table::MemberState;
use crate::addr::{Addr, NodeId};
use crate::wire::{Accusation, MemberItem, Message};

/// One rumor about a stranger.
#[derive(Clone, Copy, Debug)]
struct Rumor {
    id: NodeId,
    incarnation: u32,
    state: MemberState,
    by: NodeId,
    addr: Addr,
    left: u8,
}

/// The rumors, newest last.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    rumors: heapless::Deque<Rumor, RUMORS_MAX>,
}

impl Foreign {
    /// Takes in what was said of a stranger, to be passed on so many times.
    pub(crate) fn report(&mut self, id: NodeId, incarnation: u32, state: MemberState, by: NodeId, left: u8) {
        match self.rumors.iter_mut().find(|rumor| rumor.id == id) {
            Some(rumor) => {
                let same = incarnation == rumor.incarnation;
                if newer(incarnation, rumor.incarnation) || same && state > rumor.state {
                    *rumor = Rumor { incarnation, state, by, left, ..*rumor };
                }
            }
            None => self.push(Rumor { id, incarnation, state, by, addr: Addr::NONE, left }),
        }
    }

    /// Takes in that a stranger is alive: of interest only if something else is being said of it.
    pub(crate) fn alive(&mut self, item: &MemberItem<'_>, left: u8) {
        let said = self.rumors.iter_mut().find(|rumor| rumor.id == item.id);
        if let Some(rumor) = said.filter(|rumor| newer(item.incarnation, rumor.incarnation)) {
            let (incarnation, addr) = (item.incarnation, item.addr);
            *rumor = Rumor { incarnation, state: MemberState::Alive, addr, left, ..*rumor };
        }
    }

    /// The next rumor to pass on.
    pub(crate) fn message(&self) -> Option<Message<'static>> {
        let rumor = self.rumors.iter().find(|rumor| rumor.left > 0)?;
        let Rumor { id, incarnation, by, addr, .. } = *rumor;
        let accusation = Accusation { id, incarnation, by };
        Some(match rumor.state {
            // Without its tags: who holds it has them, or finds that they are missing.
            MemberState::Alive => Message::Alive(MemberItem { id, incarnation, addr, tags_version: 0, tags: &[] }),
            MemberState::Suspect => Message::Suspect(accusation),
            MemberState::Dead => Message::Dead(accusation),
            MemberState::Left => Message::Left { id, incarnation },
        })
    }

    /// Notes that it was passed on: it goes to the back.
    pub(crate) fn passed_on(&mut self) {
        for _ in 0..self.rumors.len() {
            let Some(mut rumor) = self.rumors.pop_front() else { return };
            let this = rumor.left > 0;
            rumor.left = rumor.left.saturating_sub(1);
            self.push(rumor);
            if this {
                return;
            }
        }
    }

    /// How many are to be passed on.
    pub(crate) fn len(&self) -> usize {
        self.rumors.iter().filter(|rumor| rumor.left > 0).count()
    }

    fn push(&mut self, rumor: Rumor) {
        if self.rumors.is_full() {
            self.rumors.pop_front();
        }
        // There is room now.
        let _ = self.rumors.push_back(rumor);
    }
}

/// How many rumors about strangers are kept: in a swarm that large few die at once, and each is told for some seconds.
const RUMORS_MAX: usize = 8;
