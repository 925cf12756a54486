//! Random schedules of writes, deletes and lifetimes under partitions, crashes and restarts, each checked against a model.
//!
//! Knows: every version that a node accepted from its application, and the rules of merging, written here a second time.
//! Does not know: how a version travels, or when a tombstone is collected.
//!
//! A write that only a node held that has lost its memory is *doubtful*: it may have left before. Every other write must
//! stand in the end, unless one stands that replaces it; and nothing may stand that was replaced or deleted.

use core::time::Duration;

use std::collections::BTreeMap;
use std::format;
use std::string::String;
use std::vec::Vec;

use crate::sim::lab::Lab;
use crate::sim::network::{Network, WALL_AT_START};
use crate::sim::report::Figures;
use crate::sim::slot::{Condition, Setup};
use crate::sim::{CutId, Faults};
use crate::{Instant, Kind, PutOptions};

/// A version that a node accepted.
#[derive(Clone, Debug)]
struct Write {
    stamp: u64,
    writer: u64,
    context: Vec<(u64, u64)>,
    value: Option<Vec<u8>>,
    /// Seconds since 1970.
    ends: u32,
    doubtful: bool,
}

impl Write {
    fn dot(&self) -> (u64, u64) {
        (self.stamp, self.writer)
    }

    fn replaces(&self, other: &Self) -> bool {
        let seen = |&(writer, stamp): &(u64, u64)| writer == other.writer && stamp >= other.stamp;
        self.dot() != other.dot() && (self.context.iter().any(seen) || seen(&(self.writer, self.stamp)))
    }
}

/// All writes, by key.
type Model = BTreeMap<String, Vec<Write>>;

pub(crate) fn churn(lab: &mut Lab<'_>) -> Figures {
    let mut model = Model::new();
    assemble(lab);
    lab.begin();
    let (mut cuts, mut away) = (Vec::new(), lab.net.now());
    for _ in 0..STEPS {
        step(lab, &mut model, &mut cuts, &mut away);
    }
    lab.phase("healing");
    lab.net.heal_all();
    lab.net.set_faults(Faults::loss(0));
    for node in 0..lab.net.len() {
        revive(lab, node);
    }
    let healed_at = lab.net.now();
    let agreed = |net: &mut Network| net.all_know_all() && net.roots_agree();
    let mut converged = lab.run_to_sampled(lab.spec.window(600), agreed);
    // Until the last delete is collected, and what hid somewhere has come out.
    lab.run_for(AFTERMATH);
    converged &= lab.run_to_sampled(AFTERMATH, agreed);
    if converged {
        lab.net.assert_agreement();
        (0..lab.net.len()).for_each(|node| verify(lab, node, &model));
    }
    let nodes = || lab.net.running().filter_map(|node| lab.net.node(node));
    Figures {
        converged_s: converged.then(|| lab.seconds_since(healed_at)),
        converged,
        writes: Some(model.values().map(|writes| writes.len() as u64).sum()),
        removed: Some(nodes().map(|node| node.stats().entries_removed).sum()),
        returns_planned: true,
        ..Figures::default()
    }
}

/// A few nodes whose clocks are a little apart, and whose memories are short.
fn assemble(lab: &mut Lab<'_>) {
    let nodes = (3 + lab.dice.index(4)).min(lab.spec.nodes);
    let loss = [0, 50_000, 200_000][lab.dice.index(3)];
    lab.net.set_faults(Faults { loss_ppm: loss, ..lab.spec.faults.clone() });
    let mut config = lab.spec.config.clone();
    (config.forget_after, config.floor_margin) = (FORGET_AFTER, FLOOR_MARGIN);
    for node in 0..nodes {
        let mut setup = Setup::new(config.clone()).capacity(nodes, lab.spec.entries, lab.spec.bytes);
        setup.mtu = lab.spec.mtu.unwrap_or(setup.mtu);
        setup.wall_offset_micros = Some(lab.dice.between(0, 2 * SKEW) as i64 - SKEW as i64);
        setup.drift_ppm = lab.dice.between(0, 200) as i32 - 100;
        lab.net.add(setup);
        if node > 0 {
            lab.net.join(node, 0);
        }
    }
    lab.run_to(Duration::from_secs(60), Network::all_know_all);
    // In some schedules the nodes are old enough to know of all who ever died.
    if lab.dice.chance(500_000) {
        lab.run_for(FORGET_AFTER);
    }
}

/// Something happens; then some time goes by.
fn step(lab: &mut Lab<'_>, model: &mut Model, cuts: &mut Vec<CutId>, away: &mut Instant) {
    let nodes = lab.net.len();
    let any = lab.dice.index(nodes);
    match lab.dice.index(12) {
        0 | 1 => {
            let mut order: Vec<usize> = (0..nodes).collect();
            lab.dice.shuffle(&mut order);
            let (one, other) = order.split_at(1 + lab.dice.index(nodes - 1));
            cuts.push(lab.net.split(one.iter().copied(), other.iter().copied()));
        }
        2..=4 => {
            lab.net.heal_all();
            cuts.clear();
        }
        5 if lab.net.up() > 2 && lab.net.condition(any) == Condition::Up => {
            lab.net.crash(any);
            doubt(lab, model);
        }
        6 if lab.net.up() > 2 && lab.net.condition(any) == Condition::Up => lab.net.switch_off(any),
        7 => lab.net.pause(any, Duration::from_secs(lab.dice.between(1, 20))),
        8 | 9 => revive(lab, any),
        _ => {}
    }
    for _ in 0..lab.dice.index(6) {
        write(lab, model);
        let time = Duration::from_millis(lab.dice.between(0, 1_500));
        lab.run_for(time);
    }
    let time = Duration::from_millis(lab.dice.between(0, 20_000));
    lab.run_for(time);
    // Nobody is away for so long that the others forget it.
    let whole = (0..nodes).all(|node| lab.net.condition(node) == Condition::Up);
    if whole && cuts.is_empty() {
        *away = lab.net.now();
    } else if lab.net.now() - *away > AWAY_MAX {
        lab.net.heal_all();
        cuts.clear();
        (0..nodes).for_each(|node| revive(lab, node));
        lab.run_for(AWAY_MAX);
        *away = lab.net.now();
    }
}

/// Whatever befell a node, it runs again.
fn revive(lab: &mut Lab<'_>, node: usize) {
    match lab.net.condition(node) {
        Condition::Off => lab.net.resume(node),
        Condition::Gone => {
            lab.net.restart(node);
            let others: Vec<usize> = lab.net.running().filter(|&other| other != node).collect();
            let contact = others[lab.dice.index(others.len())];
            lab.net.join(node, contact);
        }
        _ => {}
    }
}

/// One node that runs writes or deletes one of a few keys, by chance.
fn write(lab: &mut Lab<'_>, model: &mut Model) {
    let up: Vec<usize> = lab.net.running().filter(|&node| lab.net.condition(node) == Condition::Up).collect();
    if up.is_empty() {
        return;
    }
    let node = up[lab.dice.index(up.len())];
    let pick = lab.dice.index(KEYS);
    let kind = if pick < KEYS - 2 { Kind::Register } else { Kind::Siblings };
    let key = format!("{}/{pick}", ["a", "b"][pick % 2]);
    let mut options = PutOptions::new().kind(kind);
    if pick.is_multiple_of(3) && lab.dice.chance(500_000) {
        options = options.ttl(Duration::from_secs(lab.dice.between(1, 60)));
    }
    let value = lab.dice.bits().to_le_bytes();
    let deletes = lab.dice.chance(400_000);
    let done = lab.net.with(node, |machine, now| {
        if deletes {
            machine.delete(now, key.as_bytes())
        } else {
            machine.put(now, key.as_bytes(), &value, options).map(|()| true)
        }
    });
    match done {
        Ok(true) => {}
        Ok(false) => return,
        Err(why) => lab.net.fail(node, format_args!("{key} was not written: {why}")),
    }
    let item = lab.net.node(node).and_then(|machine| machine.held(key.as_bytes(), 0));
    let Some(item) = item else { lab.net.fail(node, format_args!("{key} was written and is not held")) };
    let ends = if item.ttl == 0 { u32::MAX } else { item.version.stamp.div_ceil(1_000_000) as u32 + (item.ttl >> 1) };
    let write = Write {
        stamp: item.version.stamp,
        writer: item.version.writer,
        context: item.version.context.iter().map(|seen| (seen.writer, seen.stamp)).collect(),
        value: item.value.map(<[u8]>::to_vec),
        ends,
        doubtful: false,
    };
    model.entry(key).or_default().push(write);
}

/// A node has lost its memory: what nobody else holds, nor anything newer, may be gone.
fn doubt(lab: &Lab<'_>, model: &mut Model) {
    for (key, writes) in model {
        for write in writes {
            let known = (0..lab.net.len()).filter_map(|node| lab.net.node(node)).any(|node| {
                let held = (0..).map_while(|n| node.held(key.as_bytes(), n));
                let deleted = write.value.is_none() && write.stamp / 1_000_000 < node.floor().into();
                let seen = |(writer, stamp): (u64, u64)| writer == write.writer && stamp >= write.stamp;
                deleted || { held }.any(|item| {
                    let newer = (item.version.stamp, item.version.writer) >= write.dot();
                    let context = item.version.context.iter().map(|seen| (seen.writer, seen.stamp));
                    newer && item.kind == 0 || seen((item.version.writer, item.version.stamp)) || { context }.any(seen)
                })
            });
            write.doubtful |= !known;
        }
    }
}

/// What a node holds is what the model says.
fn verify(lab: &Lab<'_>, node: usize, model: &Model) {
    let Some(machine) = lab.net.node(node) else { return };
    let now = ((WALL_AT_START + lab.net.now().as_micros()) / 1_000_000) as u32;
    if machine.stats().zombies > 0 {
        lab.net.fail(node, format_args!("it took itself for one that the floor has passed"));
    }
    for entry in machine.scan(b"") {
        let key = String::from_utf8_lossy(entry.key()).into_owned();
        let known = model.get(&key).is_some_and(|writes| {
            { entry.values() }.all(|value| {
                writes
                    .iter()
                    .any(|it| it.dot() == (value.stamp, value.writer) && it.value.as_deref() == Some(value.bytes))
            })
        });
        if !known {
            lab.net.fail(node, format_args!("{key} holds what nobody wrote"));
        }
    }
    for (key, writes) in model {
        let entry = machine.get(key.as_bytes());
        let shown: Vec<(u64, u64)> =
            entry.iter().flat_map(|entry| entry.values()).map(|value| (value.stamp, value.writer)).collect();
        let what =
            if key.ends_with(['8', '9']) { siblings(writes, &shown, now) } else { register(writes, &shown, now) };
        if let Some(what) = what {
            lab.net.fail(node, format_args!("{key}: {what}; it shows {shown:?} of {writes:?}"));
        }
    }
}

/// The greatest dot wins. When that value has ended, one that its writer had not seen may show again.
fn register(writes: &[Write], shown: &[(u64, u64)], now: u32) -> Option<&'static str> {
    let last = writes.iter().filter(|write| !write.doubtful).max_by_key(|write| write.dot())?;
    let lives = |write: &Write| write.value.is_some() && write.ends > now + SLACK;
    match shown {
        [] if !lives(last) => None,
        // A doubtful one may have replaced it.
        [] if writes.iter().any(|it| it.doubtful && it.dot() > last.dot() && !lives(it)) => None,
        [] => Some("a write is lost"),
        [one] if *one == last.dot() => None,
        [one] if writes.iter().any(|it| it.doubtful && it.dot() == *one && *one > last.dot()) => None,
        [one] => {
            let older = writes.iter().find(|write| write.dot() == *one)?;
            let replaced = writes.iter().any(|write| !write.doubtful && write.replaces(older));
            let ended = last.value.is_some() && !lives(last);
            match (replaced, ended) {
                (false, true) => None,
                (true, _) if last.value.is_none() || ended => Some("what was deleted or replaced has returned"),
                _ => Some("an older write stands"),
            }
        }
        _ => Some("a register shows several values"),
    }
}

/// What nothing replaces stands, four at most. With more writers than a context holds pairs, who had seen what is not
/// certain, and nothing is checked but that all nodes agree.
fn siblings(writes: &[Write], shown: &[(u64, u64)], now: u32) -> Option<&'static str> {
    let mut writers: Vec<u64> = writes.iter().map(|write| write.writer).collect();
    writers.sort_unstable();
    writers.dedup();
    if writers.len() > 4 {
        return None;
    }
    for write in writes {
        let stands = shown.contains(&write.dot());
        let replaced =
            |by_doubtful: bool| writes.iter().any(|other| (by_doubtful || !other.doubtful) && other.replaces(write));
        if stands && replaced(false) {
            return Some("what was deleted or replaced has returned");
        }
        let lives = write.value.is_some() && write.ends > now + SLACK;
        if lives && !write.doubtful && !stands && !replaced(true) {
            return Some("a write is lost");
        }
    }
    None
}

const STEPS: usize = 24;
const KEYS: usize = 10;
/// The shortest that a node takes.
const FORGET_AFTER: Duration = Duration::from_secs(100);
/// How long a node is away, or the swarm is split, before it is over: well before anybody is forgotten.
const AWAY_MAX: Duration = Duration::from_secs(50);
const FLOOR_MARGIN: Duration = Duration::from_secs(10);
/// How far clocks are off, in µs, either way.
const SKEW: u64 = 900_000;
const SLACK: u32 = 2;
const AFTERMATH: Duration = Duration::from_secs(90);
