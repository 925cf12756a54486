//! Looking at a network: traces, watches, logs, and whether the nodes agree.
//!
//! Knows: what an application can ask a node. Does not know: a node's inside.

use std::string::String;
use std::vec::Vec;
use std::{format, vec};

use super::network::Network;
use super::record::{Suspects, Watch};
use super::trace::TraceFilter;
use crate::{Entry, Kind, Node};

impl Network {
    /// Writes a line for every datagram and event that the filter takes; `None` ends it. Read it with
    /// [`Network::trace`].
    pub fn set_trace(&mut self, filter: Option<TraceFilter>) {
        self.trace.set_filter(filter);
    }

    /// The trace since it was last cleared.
    #[must_use]
    pub fn trace(&self) -> &str {
        self.trace.text()
    }

    /// Forgets the lines so far; the hash goes on.
    pub fn clear_trace(&mut self) {
        self.trace.clear();
    }

    /// Keeps every event that a node tells, or stops. Figures are kept in any case; a log grows without end.
    pub fn log_events(&mut self, log: bool) {
        self.record.log = log.then(Vec::new);
    }

    /// Watches when each node first tells of a value of this key, from now on.
    pub fn watch(&mut self, key: &[u8]) {
        let seen_at = vec![None; self.slots.len()];
        self.record.watch = Some(Watch { key: key.into(), since: self.now, seen_at, count: 0 });
    }

    /// Counts from now on how often each node changes its mind about these.
    pub(crate) fn suspect(&mut self, nodes: &[usize]) {
        let observers = self.slots.len();
        let changes = vec![0; nodes.len() * observers];
        self.record.suspects = Some(Suspects { nodes: nodes.into(), observers, changes, told: 0 });
    }

    /// Takes these, and no others, for nodes that were down: their deaths are no false ones of the healthy.
    pub(crate) fn mark_down(&mut self, nodes: &[usize]) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            slot.was_down = nodes.contains(&index);
        }
    }

    /// Counts a node as having told of the watched key: its writer need not be told what it wrote.
    pub(crate) fn watch_seen(&mut self, node: usize) {
        if let Some(watch) = &mut self.record.watch {
            watch.see(self.now, node);
        }
    }

    /// Ends the run as a failed check does.
    pub(crate) fn fail(&self, node: usize, what: core::fmt::Arguments<'_>) -> ! {
        self.checks.violated(self.now, node, what)
    }

    /// Switches the checks after every step off, or on again: about a tenth of the time.
    pub fn set_checks(&mut self, enabled: bool) {
        self.checks.enabled = enabled;
    }

    /// The command that replays this run; a failure prints it after the seed.
    pub fn set_replay(&mut self, command: String) {
        self.checks.set_replay(command);
    }

    /// The first thing in which two running nodes disagree: their roots, or an entry and its values.
    ///
    /// Costs as much as all entries of all nodes: for the end of a run.
    #[must_use]
    pub fn disagreement(&self) -> Option<String> {
        let mut running = self.running().filter_map(|index| Some((index, self.node(index)?)));
        let (first, model) = running.next()?;
        let root = model.convergence().root;
        for (index, node) in running {
            let other = node.convergence().root;
            if let Some(key) = difference(model, node).or_else(|| difference(node, model)) {
                return Some(format!("nodes {first} and {index} disagree about {}", key.escape_ascii()));
            }
            if other != root {
                return Some(format!("the roots of nodes {first} and {index} are {root:08x} and {other:08x}"));
            }
        }
        None
    }

    /// Panics with the seed when running nodes disagree.
    ///
    /// # Panics
    /// With the first thing in which two nodes disagree, and the command that replays the run.
    pub fn assert_agreement(&self) {
        if let Some(what) = self.disagreement() {
            panic!("{what}; {}", self.checks.replay());
        }
    }
}

/// The first key that the second node does not hold as the first does.
fn difference<'a>(one: &'a Node<'_>, other: &Node<'_>) -> Option<&'a [u8]> {
    let held = |entry: &Entry<'_>| match entry.kind() {
        Kind::Counter => one.counter(entry.key()) == other.counter(entry.key()),
        Kind::Set => other.set_contains(entry.key(), entry.part()),
        _ => other.get(entry.key()).is_some_and(|held| same(entry, &held)),
    };
    one.scan(b"").find(|entry| !held(entry)).map(|entry| entry.key())
}

fn same(one: &Entry<'_>, other: &Entry<'_>) -> bool {
    one.kind() == other.kind() && one.values().eq(other.values())
}
