//! Messages: two a second from random nodes; who was told of each, how often, and how soon.
//!
//! Knows: what was published, and what each node told. Does not know: how it travels.

use core::time::Duration;

use std::collections::BTreeMap;
use std::vec::Vec;

use crate::sim::lab::{Lab, seconds};
use crate::sim::network::Network;
use crate::sim::record::Happening;
use crate::sim::report::{Deliveries, Figures};
use crate::time::Instant;
use crate::{Node, PublishOptions};

/// 120 messages, one every 500 ms, each from a random node; then a node joins, and is to be told of the last ones.
///
/// Tables as large as by default hold 32 messages, so that each node drops three quarters of them while they live, and still must
/// not take one in twice.
pub(crate) fn publish(lab: &mut Lab<'_>) -> Figures {
    lab.settle(lab.spec.nodes + 1, REST);
    lab.net.log_events(true);
    let before = received(&lab.net);
    let mut published = BTreeMap::new();
    for number in 0..MESSAGES {
        let origin = lab.any_node();
        let len = lab.spec.value_len.max(4);
        let mut bytes: Vec<u8> = (0..len).map(|_| lab.dice.bits() as u8).collect();
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        let life = lab.net.node(origin).map_or(0, Node::life);
        let sent = lab.net.with(origin, |node, now| node.publish(now, TOPIC, &bytes, PublishOptions::new().ttl(TTL)));
        match sent {
            Ok(sequence) => _ = published.insert((life, sequence), (origin, lab.net.now(), bytes)),
            Err(why) => lab.net.fail(origin, format_args!("message {number} was not published: {why}")),
        }
        lab.run_for(PAUSE);
    }
    lab.phase("a node joins");
    let joiner = lab.add(lab.spec.nodes + 1);
    let joined_at = lab.net.now();
    let contact = lab.dice.index(lab.spec.nodes);
    lab.net.join(joiner, contact);
    let due = |at: Instant| joined_at - at <= PAUSE * LAST;
    let lasts: Vec<(u64, u32)> = published.iter().filter(|(_, (_, at, _))| due(*at)).map(|(name, _)| *name).collect();
    let has = |net: &Network, name: &(u64, u32)| {
        net.record().log().iter().any(|seen| {
            matches!(seen.what, Happening::Message { origin, sequence, .. } if seen.observer == joiner && (origin, sequence) == *name)
        })
    };
    let joiner_has = lab.run_to_sampled(JOIN_MAX, |net| lasts.iter().all(|name| has(net, name)));
    let joiner_s = joiner_has.then(|| lab.seconds_since(joined_at));
    lab.phase("until all are over");
    lab.run_for(TTL + AFTERMATH);
    let mut deliveries = tally(lab, &published);
    deliveries.joiner_s = joiner_s;
    let told = deliveries.told.max(1) as f64;
    let payloads_per_node = Some((received(&lab.net) - before) as f64 / told);
    let converged = deliveries.missed == 0 && deliveries.duplicates == 0 && joiner_has;
    Figures { converged, payloads_per_node, deliveries: Some(deliveries), ..Figures::default() }
}

/// What was told against what was published. A message that nobody published, or with other bytes, ends the run.
fn tally(lab: &Lab<'_>, published: &BTreeMap<(u64, u32), (usize, Instant, Vec<u8>)>) -> Deliveries {
    let mut first: BTreeMap<(usize, u64, u32), u64> = BTreeMap::new();
    let mut delays = Vec::new();
    let mut deliveries = Deliveries { published: published.len() as u64, ..Deliveries::default() };
    for seen in lab.net.record().log() {
        let (origin, sequence) = match &seen.what {
            Happening::Message { origin, sequence, topic, bytes, .. } => {
                let wanted = published.get(&(*origin, *sequence)).filter(|(_, _, wanted)| bytes == wanted);
                let Some((writer, at, _)) = wanted.filter(|_| topic == TOPIC) else {
                    lab.net.fail(seen.observer, format_args!("message {origin:x}.{sequence}, which nobody published"));
                };
                if *writer == seen.observer {
                    lab.net.fail(seen.observer, format_args!("it was told of its own message"));
                }
                if seen.observer < lab.spec.nodes {
                    delays.push(seconds(seen.at - *at));
                }
                (*origin, *sequence)
            }
            Happening::Missed { count, .. } => {
                if seen.observer < lab.spec.nodes {
                    deliveries.gaps_told += u64::from(*count);
                }
                continue;
            }
            _ => continue,
        };
        let count = first.entry((seen.observer, origin, sequence)).or_default();
        *count += 1;
        deliveries.duplicates += u64::from(*count > 1);
    }
    deliveries.told = first.keys().filter(|(observer, ..)| *observer < lab.spec.nodes).count() as u64;
    deliveries.missed = deliveries.published * (lab.spec.nodes as u64 - 1) - deliveries.told;
    delays.sort_unstable_by(f64::total_cmp);
    let at = |permille: usize| delays.get(delays.len().saturating_sub(1) * permille / 1000).copied();
    (deliveries.median_s, deliveries.p99_s, deliveries.max_s) = (at(500), at(990), at(1000));
    deliveries
}

/// How many messages the first nodes have received, whole.
fn received(net: &Network) -> u64 {
    let count = |node: &Node<'_>| node.stats().messages_new + node.stats().messages_known;
    net.running().filter_map(|index| net.node(index)).map(count).sum()
}

const TOPIC: &[u8] = b"publish";
const MESSAGES: u32 = 120;
const PAUSE: Duration = Duration::from_millis(500);
const TTL: Duration = Duration::from_secs(60);
/// How many of the last messages a node that joins must be told of: three quarters of those that there are slots for.
const LAST: u32 = 24;
const JOIN_MAX: Duration = Duration::from_secs(30);
const REST: Duration = Duration::from_secs(10);
/// Two ends of spans, and a second: then every window is dropped, and every gap was told.
const AFTERMATH: Duration = Duration::from_secs(33);
