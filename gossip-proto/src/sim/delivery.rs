//! The way of a datagram: sent, lost or delayed or damaged, handed over or too late.
//!
//! Knows: links and receive buffers. Does not know: what a datagram says.

use core::mem;

use super::check::Before;
use super::dice::Dice;
use super::network::Network;
use super::queue::{Due, Flight, Marks};
use super::slot::{Condition, index_of};
use super::trace::{Fate, Hop};
use crate::addr::Addr;
use crate::time::micros;

impl Network {
    /// Puts a datagram on its way, or ends it at once.
    pub(crate) fn send(&mut self, from: u32, from_addr: Addr, to: Addr, payload: &[u8]) {
        self.counts.sent += 1;
        self.counts.sent_bytes += payload.len() as u64;
        self.counts.len_max = self.counts.len_max.max(payload.len());
        self.trace.sent(self.now, from_addr, to, payload);
        let owner = index_of(to)
            .filter(|&(index, moves)| self.slots.get(index as usize).is_some_and(|slot| slot.moves == moves));
        let fate = match owner {
            None => Fate::Nobody,
            Some((index, _)) => match self.route(from, index, payload.len()) {
                Ok(delay) => match self.held_back(from) {
                    Some(wait) => return self.fly(from, from_addr, index, payload, delay + wait),
                    None => Fate::Overflow,
                },
                Err(fate) => fate,
            },
        };
        self.counts.lost += 1;
        let hop = Hop { now: self.now, sent_at: self.now, from: from_addr, to, fate, marks: Marks::default() };
        self.trace.end(&hop, payload);
    }

    /// How long a datagram waits for its sender's sockets; `None` when the send buffer is full.
    fn held_back(&mut self, from: u32) -> Option<u64> {
        let Some(slot) = self.slots.get_mut(from as usize) else { return Some(0) };
        let (until, waiting) = &mut slot.blocked;
        let wait = until.saturating_sub(self.now);
        *waiting += u32::from(wait > 0);
        (wait == 0 || *waiting <= SEND_BUFFER_MAX).then_some(wait)
    }

    /// How long a datagram travels, if it gets there.
    fn route(&mut self, from: u32, to: u32, len: usize) -> Result<u64, Fate> {
        if self.links.is_cut(from, to, self.now) {
            return Err(Fate::Cut);
        }
        let (faults, lane) = self.links.between(from, to);
        if self.dice.chance(faults.loss_ppm) {
            return Err(Fate::Lost);
        }
        if faults.len_max.is_some_and(|max| len > usize::from(max)) {
            return Err(Fate::TooLong);
        }
        let mut delay = faults.latency.draw(&mut self.dice);
        if self.dice.chance(faults.reorder_ppm) {
            delay = delay.saturating_add(self.dice.between(0, micros(faults.reorder_by)));
        }
        if let Some(per_second) = faults.bytes_per_second {
            let queue_max = faults.queue_len_max;
            let wait = self.links.queue_up(lane, self.now, len, per_second, queue_max).ok_or(Fate::Congested)?;
            delay = delay.saturating_add(wait);
        }
        Ok(delay)
    }

    /// Lets a datagram fly, and its duplicate and its replay, each damaged or not.
    fn fly(&mut self, from: u32, from_addr: Addr, to: u32, payload: &[u8], delay: u64) {
        let (faults, _) = self.links.between(from, to);
        let mut copies = [Some((delay, 0)), None, None];
        if self.dice.chance(faults.duplicate_ppm) {
            copies[1] = Some((faults.latency.draw(&mut self.dice), Marks::DUPLICATE));
        }
        if self.dice.chance(faults.replay_ppm) {
            let later = self.dice.between(0, micros(faults.replay_after));
            copies[2] = Some((delay.saturating_add(later), Marks::REPLAYED));
        }
        let (corrupt_ppm, truncate_ppm) = (faults.corrupt_ppm, faults.truncate_ppm);
        for (delay, mark) in copies.into_iter().flatten() {
            let (at, flight) = self.pool.take();
            (flight.from, flight.to, flight.sent_at, flight.marks) = (from_addr, to, self.now, Marks(mark));
            flight.bytes.extend_from_slice(payload);
            damage(flight, corrupt_ppm, truncate_ppm, &mut self.dice);
            self.slots[to as usize].inbound(1);
            self.queue.push(self.now.saturating_add(delay), Due::Arrival(at));
        }
    }

    /// A datagram reaches its node, or what is left of it.
    pub(crate) fn arrive(&mut self, at: u32) {
        let flight = self.pool.get(at);
        let index = flight.to as usize;
        let charge = flight.bytes.len() + RECEIVE_OVERHEAD_LEN;
        let slot = &mut self.slots[index];
        let stopped = 'stopped: {
            let until = match slot.condition {
                Condition::Paused(until) => until.as_micros(),
                _ => slot.blocked.0,
            };
            match slot.condition {
                Condition::Off | Condition::Gone => Some(Fate::Down),
                Condition::Up | Condition::Left if until <= self.now => None,
                _ => {
                    // It waits in the receive buffer, in its turn behind the wake-up; and longer, if the pause was extended.
                    let waits = flight.marks.has(Marks::WAITED);
                    if !waits && slot.backlog + charge > RECEIVE_BUFFER_LEN {
                        break 'stopped Some(Fate::Overflow);
                    }
                    slot.backlog += if waits { 0 } else { charge };
                    flight.marks.0 |= Marks::WAITED;
                    self.queue.push(until, Due::Arrival(at));
                    return;
                }
            }
        };
        let mut bytes = mem::take(&mut flight.bytes);
        slot.inbound -= 1;
        let mut hop = Hop {
            now: self.now,
            sent_at: flight.sent_at,
            from: flight.from,
            to: slot.addr,
            fate: stopped.unwrap_or(Fate::Delivered),
            marks: flight.marks,
        };
        if stopped.is_none() {
            if hop.marks.has(Marks::WAITED) {
                slot.backlog = slot.backlog.saturating_sub(charge);
            }
            // The node may decrypt in place, so what the line says must be taken first.
            let line = self.trace.begin(&hop, &bytes);
            hop.fate = self.deliver(index, &hop, &mut bytes);
            self.trace.finish(&hop, line);
        } else {
            self.counts.lost += 1;
            self.trace.end(&hop, &bytes);
        }
        self.pool.get(at).bytes = bytes;
        self.pool.release(at);
        if stopped.is_none() {
            self.touch(index);
        }
    }

    fn deliver(&mut self, index: usize, hop: &Hop, bytes: &mut [u8]) -> Fate {
        self.counts.events += 1;
        let slot = &mut self.slots[index];
        slot.traffic.received += 1;
        slot.traffic.received_bytes += bytes.len() as u64;
        let now = slot.clock.local(self.now);
        let Some(node) = &mut slot.node else { return Fate::Down };
        let damaged = hop.marks.has(Marks::CORRUPTED | Marks::TRUNCATED);
        let before = (self.checks.enabled && hop.marks.0 != 0).then(|| Before::of(node));
        match node.handle_datagram(now, hop.from, bytes) {
            Ok(()) => {
                self.counts.delivered += 1;
                self.counts.damaged_accepted += u64::from(damaged);
                Fate::Delivered
            }
            Err(why) => {
                self.counts.rejected += 1;
                if let Some(Err(what)) = before.map(|before| before.unchanged(node)) {
                    self.checks.violated(self.now, index, format_args!("{what}"));
                }
                Fate::Rejected(why)
            }
        }
    }
}

/// Flips bits of one byte, or cuts a datagram short.
fn damage(flight: &mut Flight, corrupt_ppm: u32, truncate_ppm: u32, dice: &mut Dice) {
    if flight.bytes.is_empty() {
        return;
    }
    if dice.chance(corrupt_ppm) {
        flight.marks.0 |= Marks::CORRUPTED;
        let at = dice.index(flight.bytes.len());
        flight.bytes[at] ^= dice.between(1, 255) as u8;
    }
    if dice.chance(truncate_ppm) {
        flight.marks.0 |= Marks::TRUNCATED;
        let len = dice.index(flight.bytes.len());
        flight.bytes.truncate(len);
    }
}

/// What waits for a paused node at most: Linux's default receive buffer.
const RECEIVE_BUFFER_LEN: usize = 212_992;
/// How many datagrams wait for a node whose sockets are blocked at most: a send buffer of the same length.
const SEND_BUFFER_MAX: u32 = 200;
/// What Linux charges a receive buffer for a datagram beyond its payload, about: 200 small datagrams fill it.
const RECEIVE_OVERHEAD_LEN: usize = 1_000;
