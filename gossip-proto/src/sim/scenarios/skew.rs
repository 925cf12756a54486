//! Clocks that are wrong: years ahead, years behind, drifting away, stepping to and fro. They freeze nothing for anybody.
//!
//! Knows: whose clock is right, and what was written. Does not know: how a node judges a stamp.

use core::time::Duration;

use std::format;
use std::vec::Vec;

use crate::sim::lab::Lab;
use crate::sim::network::Network;
use crate::sim::report::{Figures, Skewed};
use crate::sim::scenario::Victims;
use crate::{Node, PutOptions};

/// Some nodes, by turns of four, have a clock that is wrong; for a minute all write, keys of their own and keys that all
/// write. No write of anybody is refused by its own node; all whose clocks are right agree, on their own writes; a node
/// whose stamps are refused is told. Then the clocks are set right, until all agree and no node's last write is lost.
pub(crate) fn skew(lab: &mut Lab<'_>) -> Figures {
    lab.settle(lab.spec.nodes, REST);
    let wrong = lab.victims(Victims::Count(4));
    let right: Vec<usize> = (0..lab.spec.nodes).filter(|node| !wrong.contains(node)).collect();
    // As many as there is room for entries, those whose clocks are wrong first.
    let writers: Vec<usize> =
        wrong.iter().chain(&right).copied().take(lab.spec.entries.saturating_sub(SHARED)).collect();
    let sane: Vec<usize> = right.iter().copied().filter(|node| writers.contains(node)).collect();
    lab.phase("wrong clocks");
    let mut writes = 0;
    for round in 0..ROUNDS {
        for (n, &node) in wrong.iter().enumerate() {
            let seconds = i64::from(round);
            let offset = match n % 4 {
                0 => 3 * YEAR,
                1 => -2 * YEAR,
                2 => seconds * MINUTE,
                _ => (seconds / 7 % 2) * YEAR + n as i64,
            };
            lab.net.set_wall_offset(node, Some(offset));
        }
        for &node in &writers {
            let number = round.to_le_bytes();
            put(&mut lab.net, node, format!("own/{node}").as_bytes(), &number);
            let shared = format!("shared/{}", lab.dice.index(SHARED));
            put(&mut lab.net, node, shared.as_bytes(), format!("{node} in {round}").as_bytes());
            writes += 2;
        }
        lab.run_for(ROUND);
    }
    // What a node with a right clock writes last, upon what the others wrote, is what all of them hold.
    lab.run_for(REST);
    for key in 0..SHARED {
        let node = right[lab.dice.index(right.len())];
        put(&mut lab.net, node, format!("shared/{key}").as_bytes(), LAST);
        writes += 1;
    }
    lab.phase("converging");
    let (written_at, limit) = (lab.net.now(), lab.spec.window(600));
    let (count, last) = (lab.spec.nodes, ROUNDS - 1);
    let own = move |net: &Network, whose: &[usize], by: &[usize]| {
        let held = |node: &Node<'_>, of: &usize| holds(node, format!("own/{of}").as_bytes(), &last.to_le_bytes());
        by.iter().filter_map(|&by| net.node(by)).all(|node| whose.iter().all(|of| held(node, of)))
    };
    let shared = |net: &Network, by: &[usize]| {
        let held = |node: &Node<'_>| (0..SHARED).all(|key| holds(node, format!("shared/{key}").as_bytes(), LAST));
        by.iter().filter_map(|&by| net.node(by)).all(held)
    };
    let agreed = lab.run_to_sampled(limit, |net| own(net, &sane, &right) && shared(net, &right));
    let converged_s = agreed.then(|| lab.seconds_since(written_at));
    let sum =
        |net: &Network, of: fn(&Node<'_>) -> u64| -> u64 { (0..count).filter_map(|node| net.node(node)).map(of).sum() };
    let refused = sum(&lab.net, |node| node.stats().refused_stamp);
    // Whoever is far ahead for good must have been told.
    let ahead: Vec<usize> = wrong.iter().copied().step_by(4).collect();
    let mut told = lab.run_to_sampled(limit, |net| ahead.iter().all(|&node| net.record().clocks_told(node) > 0));
    told &= right.iter().all(|&node| lab.net.record().clocks_told(node) == 0);
    lab.phase("clocks set right");
    let healing = lab.net.now();
    for &node in &wrong {
        lab.net.set_wall_offset(node, Some(0));
    }
    let all: Vec<usize> = (0..count).collect();
    let healed = lab.run_to_sampled(limit, |net| net.roots_agree() && own(net, &writers, &all));
    let healed_s = healed.then(|| lab.seconds_since(healing));
    if healed {
        lab.net.assert_agreement();
        // And every node's writes win again.
        for &node in &wrong {
            put(&mut lab.net, node, b"shared/0", format!("{node} is back").as_bytes());
            let back = format!("{node} is back");
            let all_hold = lab.run_to_sampled(limit, |net| {
                all.iter().filter_map(|&node| net.node(node)).all(|node| holds(node, b"shared/0", back.as_bytes()))
            });
            if !all_hold {
                lab.net.fail(node, format_args!("writes in vain after its clock was set right"));
            }
        }
    }
    let skew = Some(Skewed { refused, told });
    Figures {
        converged_s,
        healed_s,
        converged: agreed && told && healed,
        writes: Some(writes),
        skew,
        ..Figures::default()
    }
}

fn put(net: &mut Network, node: usize, key: &[u8], value: &[u8]) {
    if let Err(why) = net.with(node, |node, now| node.put(now, key, value, PutOptions::new())) {
        net.fail(node, format_args!("{} was not written: {why}", key.escape_ascii()));
    }
}

fn holds(node: &Node<'_>, key: &[u8], value: &[u8]) -> bool {
    node.get(key).is_some_and(|entry| entry.value() == value)
}

const REST: Duration = Duration::from_secs(30);
const ROUNDS: u32 = 60;
const ROUND: Duration = Duration::from_secs(1);
const SHARED: usize = 8;
const LAST: &[u8] = b"the last word";
const MINUTE: i64 = 60_000_000;
const YEAR: i64 = 365 * 24 * 60 * MINUTE;
