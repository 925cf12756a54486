//! A fresh node joins a swarm that holds much: how long it takes to have all of it, and what that costs.
//!
//! Knows: the narrow link of the fresh node, and what there is to fetch. Does not know: how it is fetched.

use core::time::Duration;

use std::format;
use std::vec;
use std::vec::Vec;

use crate::sim::faults::{Faults, Latency};
use crate::sim::lab::Lab;
use crate::sim::report::{CaughtUp, Figures};
use crate::sim::slot::Setup;
use crate::wire::{EntryItem, Message, VersionId};

/// The swarm assembles and is given its entries, as if from earlier days; then one more joins, behind a link of 10 Mb/s.
/// Every round trip takes 50 ms, unless the spec says otherwise.
pub(crate) fn catch_up(lab: &mut Lab<'_>) -> Figures {
    let spec = lab.spec;
    let usual = spec.faults == Faults::default();
    let common = Faults {
        loss_ppm: spec.loss_ppm,
        latency: if usual { Latency::Fixed(ONE_WAY) } else { spec.faults.latency },
        ..spec.faults.clone()
    };
    lab.net.set_faults(Faults { bytes_per_second: None, ..common });
    let mut setup = Setup::new(spec.config.clone());
    setup.mtu = spec.mtu.unwrap_or(setup.mtu);
    let record = spec.value_len + 56;
    let setup = setup.capacity(spec.nodes + 8, spec.keys + 64, spec.keys * record + 65_536);
    for node in 0..spec.nodes {
        lab.net.add(setup.clone());
        if node > 0 {
            lab.net.join(node, 0);
        }
    }
    lab.phase("cold start");
    lab.run_to(Duration::from_secs(600), |net| net.all_know_all());
    lab.phase("filling");
    let value = vec![b'v'; spec.value_len];
    let critical = CRITICAL.min(spec.keys / 10);
    // Among the other topics, which are many or one.
    let keys: Vec<_> = (0..spec.keys)
        .map(|n| if n < critical { format!("{FIRST}/{n}") } else { format!("bulk{}/{n}", n % TOPICS) })
        .collect();
    let version = VersionId { stamp: 2, writer: 7, ..VersionId::default() };
    let size = |key: &[u8]| {
        let message = Message::Entry(EntryItem { kind: 0, key, version: version.clone(), value: Some(&value), ttl: 0 });
        postcard::to_slice(&message, &mut [0; 65_536]).map_or(0, |bytes| bytes.len() as u64)
    };
    let raw_bytes = keys.iter().map(|key| size(key.as_bytes())).sum();
    let content_bytes = keys.iter().map(|key| (key.len() + spec.value_len) as u64).sum();
    for node in 0..spec.nodes {
        lab.net.with(node, |node, _| {
            keys.iter().for_each(|key| node.plant(key.as_bytes(), &value, version.stamp, version.writer));
            node.planted();
        });
    }
    lab.run_for(REST);
    lab.begin();
    let fresh = lab.net.add(setup);
    let per_second = spec.faults.bytes_per_second.unwrap_or(LINK);
    let queue_len_max = if usual { QUEUE } else { spec.faults.queue_len_max };
    lab.net.set_incoming(fresh, Some(Faults { bytes_per_second: Some(per_second), queue_len_max, ..common }));
    lab.net.with(fresh, |node, _| node.catch_up_first([FIRST.as_bytes()]).expect("one topic"));
    let start = lab.net.now();
    lab.net.join(fresh, 0);
    let limit = spec.window(600);
    lab.phase("the critical topic");
    let whole = lab.run_to(limit, |net| {
        let prefix = format!("{FIRST}/");
        net.node(fresh).is_some_and(|node| node.scan(prefix.as_bytes()).count() == critical)
    });
    let critical_s = whole.then(|| lab.seconds_since(start));
    lab.phase("all");
    let all = lab.run_to(limit, |net| {
        let root = net.node(0).map(|node| node.convergence().root);
        net.node(fresh).map(|node| node.convergence().root) == root
    });
    let converged_s = all.then(|| lab.seconds_since(start));
    let received_bytes = lab.net.traffic(fresh).received_bytes;
    let link_s = received_bytes as f64 / f64::from(per_second);
    let stats = lab.net.node(fresh).map(|node| *node.stats()).unwrap_or_default();
    let told = lab.run_to(Duration::from_secs(60), |net| net.node(fresh).is_some_and(|node| node.has_caught_up()));
    let told_s = told.then(|| lab.seconds_since(start));
    let suspected = lab.net.record().members().false_deaths + lab.net.record().members().suspicions;
    let caught_up = CaughtUp {
        critical_s,
        told_s,
        link_s,
        received_bytes,
        raw_bytes,
        content_bytes,
        duplicates: stats.entries_known,
        suspected,
    };
    Figures { converged_s, converged: all, caught_up: Some(caught_up), ..Figures::default() }
}

/// 10 Mb/s, with room for a tenth of a second and more before it.
const LINK: u32 = 1_250_000;
const QUEUE: u32 = 256 * 1024;
const ONE_WAY: Duration = Duration::from_millis(25);
const REST: Duration = Duration::from_secs(5);
/// The topic that is wanted first, and how many keys it has.
const FIRST: &str = "critical";
const CRITICAL: usize = 100;
/// How many other topics there are.
const TOPICS: usize = 3;
