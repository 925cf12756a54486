//! The driver of each node: after every input, what it sends goes out, what it tells is taken, its timer is set.
//!
//! Knows: the doors of a node, as an adapter does. Does not know: where datagrams go.

use core::mem;

use super::check;
use super::network::Network;
use super::queue::Due;
use super::record::Happening;
use super::slot::Condition;
use crate::Node;
use crate::addr::NodeId;
use crate::event::{Event, MemberChange};

impl Network {
    /// Changes whether a node runs, and keeps count.
    pub(crate) fn set_condition(&mut self, index: usize, condition: Condition) {
        let slot = &mut self.slots[index];
        let was_up = slot.is_up();
        slot.condition = condition;
        slot.was_down |= condition != Condition::Up;
        match (was_up, slot.is_up()) {
            (false, true) => self.up += 1,
            (true, false) => self.up -= 1,
            _ => return,
        }
        self.recount = true;
    }

    /// After every input to a node: sends what it has to send, takes what it has to tell, sets its timer.
    pub(crate) fn touch(&mut self, index: usize) {
        self.drain_transmits(index);
        self.drain_events(index);
        let slot = &mut self.slots[index];
        let Some(node) = &slot.node else { return };
        if !self.recount && slot.is_up() {
            let knows = slot.knows(self.up);
            if knows != mem::replace(&mut slot.knows_all, knows) {
                if knows { self.knowing += 1 } else { self.knowing -= 1 }
            }
        }
        if let Some(deadline) = node.poll_timeout() {
            let at = slot.clock.virtual_at(deadline).max(self.now);
            if at < slot.timer.at {
                slot.timer.at = at;
                slot.timer.generation = slot.timer.generation.wrapping_add(1);
                self.queue.push(at, Due::Timer(index as u32, slot.timer.generation));
            }
        }
        if self.checks.sampled() {
            self.check(index);
        }
    }

    fn drain_transmits(&mut self, index: usize) {
        let mut buf = mem::take(&mut self.buf);
        for round in 0.. {
            let slot = &mut self.slots[index];
            let (from, mtu) = (slot.addr, usize::from(slot.setup.mtu));
            let now = slot.clock.local(self.now);
            let Some(node) = &mut slot.node else { break };
            let Some(transmit) = node.poll_transmit(now, &mut buf[..mtu]) else { break };
            let (to, payload) = (transmit.to, transmit.payload);
            if payload.len() > mtu || payload.is_empty() {
                self.checks.violated(self.now, index, format_args!("{} bytes in {mtu}", payload.len()));
            }
            if round == check::DATAGRAMS_MAX {
                self.checks.violated(self.now, index, format_args!("one input made {round} datagrams"));
            }
            slot.traffic.sent += 1;
            slot.traffic.sent_bytes += payload.len() as u64;
            self.send(index as u32, from, to, payload);
        }
        self.buf = buf;
    }

    fn drain_events(&mut self, index: usize) {
        loop {
            let Some(node) = &mut self.slots[index].node else { return };
            let Some(event) = node.poll_event() else { return };
            let happening = match event {
                Event::Member { id, change } => {
                    self.member_event(index, id, change);
                    continue;
                }
                Event::Entry { key, change, conflict, .. } => {
                    self.record.entry(self.now, index, key, change, conflict);
                    continue;
                }
                Event::Message { topic, origin, sequence, bytes } => {
                    let (topic, bytes) = (topic.to_vec(), bytes.to_vec());
                    Happening::Message { life: self.slots[index].life, topic, origin, sequence, bytes }
                }
                Event::Missed { origin, count } => Happening::Missed { origin, count },
                Event::Joined => Happening::Joined,
                Event::Left => Happening::Left,
                Event::Converged => Happening::Converged,
                Event::Diverged => Happening::Diverged,
                Event::Isolated => Happening::Isolated,
                Event::Reconnected => Happening::Reconnected,
                Event::QuorumLost => Happening::QuorumLost,
                Event::QuorumRegained => Happening::QuorumRegained,
                Event::HorizonPassed => Happening::HorizonPassed,
                Event::ClockDiffers { ahead, .. } => Happening::ClockDiffers { ahead },
                Event::CaughtUp => Happening::CaughtUp,
                Event::Asleep => Happening::Asleep,
                Event::Shed => Happening::Shed,
                Event::Lagged => Happening::Lagged,
            };
            match happening {
                Happening::Left => self.set_condition(index, Condition::Left),
                Happening::Lagged => self.record.lagged += 1,
                Happening::ClockDiffers { ahead: true } => self.record.clock_told(index),
                _ => {}
            }
            self.trace.note(self.now, self.slots[index].addr, format_args!("{happening:?}"));
            self.record.log_event(self.now, index, happening);
        }
    }

    fn member_event(&mut self, observer: usize, id: NodeId, change: MemberChange) {
        let Some(subject) = self.index_of(id) else {
            self.checks.violated(self.now, observer, format_args!("member {id}, which nobody is: {change:?}"));
        };
        if subject == observer && !matches!(change, MemberChange::Updated | MemberChange::Left) {
            self.checks.violated(self.now, observer, format_args!("{change:?} about itself"));
        }
        let [me, them] = [&self.slots[observer], &self.slots[subject]];
        let figures = &mut self.record.members;
        match change {
            MemberChange::Died if !them.is_up() => figures.deaths += 1,
            MemberChange::Died => {
                let [a, b] = [observer as u32, subject as u32];
                let cut = self.links.is_cut(a, b, self.now) || self.links.is_cut(b, a, self.now);
                if cut || them.condition != Condition::Up {
                    figures.excused_deaths += 1;
                } else {
                    figures.false_deaths += 1;
                    figures.deaths_of_healthy += u64::from(!them.was_down);
                    figures.healthy_false_deaths += u64::from(!me.was_down && !them.was_down);
                }
            }
            MemberChange::Suspected => figures.suspicions += 1,
            MemberChange::Returned => {
                figures.returns += 1;
                figures.needless_rejoins += u64::from(!them.was_down);
            }
            _ => {}
        }
        self.trace.member(self.now, me.addr, them.addr, change);
        if change == MemberChange::Died {
            self.record.died(self.now, subject);
        }
        if let Some(suspects) = &mut self.record.suspects {
            suspects.see(observer, subject, change);
        }
        self.record.log_event(self.now, observer, Happening::Member { subject, change });
    }

    /// A node's timer has run off, or it was set too early.
    pub(crate) fn timer(&mut self, index: usize, generation: u32) {
        let slot = &mut self.slots[index];
        if slot.timer.generation != generation {
            return;
        }
        slot.timer.at = u64::MAX;
        // A paused node looks at its deadline when it wakes.
        if slot.condition != Condition::Up {
            return;
        }
        let Some(deadline) = slot.node.as_ref().and_then(Node::poll_timeout) else { return };
        let at = slot.clock.virtual_at(deadline);
        if at > self.now {
            slot.timer.at = at;
            self.queue.push(at, Due::Timer(index as u32, generation));
            return;
        }
        self.fire(index);
    }

    /// Hands a node the time.
    pub(crate) fn fire(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        let now = slot.clock.local(self.now);
        let Some(node) = &mut slot.node else { return };
        self.counts.events += 1;
        node.handle_timeout(now);
        let second = self.now / 1_000_000;
        let timer = &mut slot.timer;
        timer.burst = if mem::replace(&mut timer.second, second) == second { timer.burst + 1 } else { 0 };
        timer.stuck = if node.poll_timeout().is_some_and(|deadline| deadline <= now) { timer.stuck + 1 } else { 0 };
        if timer.stuck > check::STUCK_MAX || timer.burst > check::BURST_MAX {
            self.checks.violated(self.now, index, format_args!("its deadline does not move on"));
        }
        self.touch(index);
    }

    /// The dearer checks of one node.
    fn check(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        let (now, mtu) = (slot.clock.local(self.now), usize::from(slot.setup.mtu));
        let Some(node) = &mut slot.node else { return };
        let result = check::consistent(node).and_then(|()| check::still(node, now, &mut self.buf[..mtu]));
        if let Err(what) = result {
            self.checks.violated(self.now, index, format_args!("{what}"));
        }
    }
}
