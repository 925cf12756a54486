//! The JSON schema: what goes over the control port, and what `--json` prints. Documented in README.md, held by golden
//! tests; fields are added, never renamed or removed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::Kind;

/// A member as this agent knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Member {
    /// 16 hexadecimal digits.
    pub(crate) id: String,
    /// The tag `name`.
    pub(crate) name: Option<String>,
    pub(crate) addr: String,
    pub(crate) state: State,
    /// Whether this is the agent that answers.
    pub(crate) own: bool,
    pub(crate) incarnation: u32,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) rtt_us: Option<u64>,
    pub(crate) heard_ms_ago: Option<u64>,
    /// The id of the relay that passes on what goes there; null while it is reached directly.
    #[serde(default)]
    pub(crate) via: Option<String>,
    /// Whether its last known summary root is ours; null for the dead and the left.
    pub(crate) agrees: Option<bool>,
    /// How long ago it last agreed: 0 while it does; null if it never did, and for the dead and the left.
    #[serde(default)]
    pub(crate) lag_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Alive,
    Suspect,
    Dead,
    Left,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Members {
    pub(crate) members: Vec<Member>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Convergence {
    pub(crate) converged: bool,
    pub(crate) live: usize,
    pub(crate) agreeing: usize,
    pub(crate) permille: usize,
    /// 8 hexadecimal digits.
    pub(crate) root: String,
    /// How long it has been so, agreed or not.
    pub(crate) since_ms_ago: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Info {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) version: String,
    pub(crate) swarm: String,
    pub(crate) bind: String,
    pub(crate) advertise: String,
    pub(crate) control: String,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) incarnation: u32,
    pub(crate) uptime_ms: u64,
    pub(crate) convergence: Convergence,
    pub(crate) tables: Tables,
    pub(crate) limits: Limits,
    /// What it has subscribed to; null: to all.
    #[serde(default)]
    pub(crate) topics: Option<Vec<Topic>>,
    pub(crate) stats: BTreeMap<String, u64>,
    pub(crate) socket: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Topic {
    pub(crate) topic: String,
    /// How much of it is held, in 32nds: less than 32 for want of room.
    pub(crate) ceiling: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Lifecycle {
    Alone,
    Joining,
    Member,
    Leaving,
    Left,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tables {
    pub(crate) members: Used,
    pub(crate) entries: Used,
    pub(crate) bytes: Used,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Used {
    pub(crate) used: usize,
    pub(crate) max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) key_len_max: usize,
    /// Key and value together.
    pub(crate) content_len_max: usize,
    pub(crate) depth_max: usize,
    pub(crate) tags_len_max: usize,
    pub(crate) contacts_max: usize,
    pub(crate) body_len_max: usize,
    pub(crate) watchers_max: usize,
    #[serde(default)]
    pub(crate) connections_max: usize,
    /// A register's value alone, where that is more than `content_len_max` allows.
    #[serde(default)]
    pub(crate) value_len_max: usize,
}

/// An entry. `value` is the newest of `values`; of a counter the sum, of a set its elements, which have no `values`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: Value,
    pub(crate) kind: Kind,
    /// Newest first; more than one only of kind `siblings`.
    pub(crate) values: Vec<Version>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) value: Value,
    /// µs since 1970 on the swarm's clock.
    pub(crate) stamp_us: u64,
    /// The life of the agent that wrote it: 16 hexadecimal digits.
    pub(crate) writer: String,
    /// When it expires, in seconds since 1970; null: never.
    #[serde(default)]
    pub(crate) ends_unix_s: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entries {
    pub(crate) entries: Vec<Entry>,
}

/// The answer to `get`: an entry, or a document of several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Got {
    pub(crate) key: String,
    pub(crate) value: Value,
    /// The entry; null when the value was rebuilt from entries beneath the key.
    pub(crate) entry: Option<Entry>,
    /// Entries that are not in the value since another one needs their place, or since their keys are no paths.
    pub(crate) hidden: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Set {
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) value: Value,
    /// The bytes of the value in hexadecimal digits, in place of `value`: they need not be JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hex: Option<String>,
    #[serde(default)]
    pub(crate) kind: Option<Kind>,
    #[serde(default)]
    pub(crate) urgent: bool,
    /// How long it lives, in whole seconds that are rounded up; for ever without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ttl_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wait: Option<Wait>,
}

/// A wait until members are known to hold a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wait {
    /// How many, the agent that writes among them; null: all that live.
    #[serde(default)]
    pub(crate) members: Option<usize>,
    pub(crate) timeout_ms: u64,
}

/// How far a write is known to have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holders {
    /// Live members that hold it, the agent itself among them.
    pub(crate) confirmed: usize,
    pub(crate) live: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SetDone {
    pub(crate) key: String,
    pub(crate) kind: Kind,
    /// There if it was waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) holders: Option<Holders>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resolve {
    pub(crate) key: String,
    pub(crate) value: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wait: Option<Wait>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Resolved {
    pub(crate) key: String,
    /// How many siblings there were.
    pub(crate) resolved: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) holders: Option<Holders>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CounterAdd {
    pub(crate) key: String,
    pub(crate) by: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wait: Option<Wait>,
}

/// A counter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counter {
    pub(crate) key: String,
    pub(crate) value: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) holders: Option<Holders>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Element {
    pub(crate) key: String,
    pub(crate) element: Value,
    /// Of one that is added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ttl_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wait: Option<Wait>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ElementDone {
    pub(crate) key: String,
    pub(crate) element: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) holders: Option<Holders>,
}

/// A set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Elements {
    pub(crate) key: String,
    /// In the order of their JSON.
    pub(crate) elements: Vec<Value>,
}

/// Topics to subscribe to; without them all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subscribe {
    #[serde(default)]
    pub(crate) topics: Option<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Subscribed {
    pub(crate) topics: Option<Vec<Topic>>,
}

/// The first line of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExportHead {
    pub(crate) export: String,
    pub(crate) format: u32,
    pub(crate) swarm: String,
    pub(crate) entries: usize,
}

/// A line of an export. Only `saved` is read again; the rest is for people and programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExportLine {
    #[serde(default)]
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) kind: Option<Kind>,
    /// Of a set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) element: Option<Value>,
    /// Null if it is deleted; of a part of a counter what it adds; true for an element of a set.
    #[serde(default)]
    pub(crate) value: Value,
    pub(crate) saved: String,
}

/// Some lines of an export.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Import {
    /// The swarm that it is of; null when any will do.
    #[serde(default)]
    pub(crate) swarm: Option<String>,
    pub(crate) format: u32,
    /// The number of a line, from 1, and its `saved`.
    pub(crate) lines: Vec<(usize, String)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Imported {
    /// Merged, whether or not they were news.
    pub(crate) merged: usize,
    /// Not wanted: the agent has not subscribed to their topics.
    pub(crate) unwanted: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Publish {
    pub(crate) topic: String,
    pub(crate) message: Value,
    /// 60 s without it.
    #[serde(default)]
    pub(crate) ttl_ms: Option<u64>,
    #[serde(default)]
    pub(crate) urgent: bool,
}

/// By which name the message was sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Published {
    pub(crate) topic: String,
    /// The life of the agent that published it: 16 hexadecimal digits.
    pub(crate) origin: String,
    pub(crate) sequence: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Delete {
    pub(crate) key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wait: Option<Wait>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Deleted {
    pub(crate) key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) holders: Option<Holders>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Merge {
    pub(crate) document: Value,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Merged {
    pub(crate) written: Vec<String>,
    pub(crate) deleted: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Topology {
    pub(crate) id: String,
    pub(crate) convergence: Convergence,
    pub(crate) members: Vec<Member>,
    pub(crate) disagreeing: Vec<Disagreeing>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Disagreeing {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    /// How long ago it last agreed; null if it never did.
    pub(crate) agreed_ms_ago: Option<u64>,
}

/// The body of a request that has nothing to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Left {
    pub(crate) left: bool,
    pub(crate) id: String,
}

/// The line that `agent --ready-json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) swarm: String,
    pub(crate) bind: String,
    pub(crate) advertise: String,
    pub(crate) control: String,
}

/// A line of `watch` and `events`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// The first line: every change from now on follows. What was before is for `list` and `members` to say.
    Watching {
        id: String,
        prefix: String,
    },
    Joined,
    Left,
    Member {
        id: String,
        name: Option<String>,
        addr: Option<String>,
        change: MemberChange,
    },
    Entry {
        key: String,
        kind: Kind,
        /// Of a set: what was added or removed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        element: Option<Value>,
        change: EntryChange,
        value: Option<Value>,
        values: Vec<Version>,
        conflict: bool,
    },
    /// A message of another agent.
    Message {
        topic: String,
        origin: String,
        sequence: u32,
        value: Value,
    },
    /// So many messages of an agent will not come any more.
    Missed {
        origin: String,
        count: u32,
    },
    Converged,
    Diverged,
    /// Nobody is heard any more; and somebody is again.
    Isolated,
    Reconnected,
    /// Half or less of the remembered members live; and more than half again.
    QuorumLost,
    QuorumRegained,
    /// The announcement of a sleep has gone out.
    Asleep,
    /// Deletes are no longer kept for members that were away for too long.
    HorizonPassed,
    /// Entries were dropped for want of room.
    Shed,
    /// Two members at least take the time to be another.
    ClockDiffers {
        /// Whether it is this agent's clock that is ahead.
        ahead: bool,
        by_ms: u64,
    },
    /// Events were lost: read members and entries anew.
    Lagged {
        missed: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MemberChange {
    Joined,
    Suspected,
    Refuted,
    Died,
    Left,
    Returned,
    Updated,
    Evicted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EntryChange {
    Put,
    Deleted,
    /// The time that it had to live is over.
    Expired,
}

/// The longest body of a request, in bytes: the longest value in hexadecimal digits, its key, and as much again for a
/// document of many small ones.
pub(crate) const BODY_LEN_MAX: usize = 4 << 20;
/// How many streams and waits are served at once.
pub(crate) const WATCHERS_MAX: usize = 64;
/// How many connections to the control port are open at once; more wait until one ends.
pub(crate) const CONNECTIONS_MAX: usize = 256;
