//! The command line: what can be asked for, and nothing of how it is done.

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{api, demo, sim};

/// A swarm of agents that share state, with no coordinator.
#[derive(Clone, Debug, Parser)]
#[command(name = "gossip", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Print JSON, as the schema documents it; errors too.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an agent in the foreground.
    Agent(Box<AgentOptions>),
    /// Show who is there.
    Members {
        /// Only members with this tag; may be repeated, and all must match.
        #[arg(long = "tag", value_name = "K=V", value_parser = tag)]
        tags: Vec<(String, String)>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show the agent itself: identity, convergence, use of its tables, counters.
    Info {
        #[command(flatten)]
        remote: Remote,
    },
    /// Write an entry; or, with three words, add to a set and remove from it: `set add KEY JSON`, `set remove KEY JSON`.
    Set {
        /// The key: a path such as `site/nav/speed`. Or `add` or `remove`, if two more words follow.
        key: String,
        /// The value, as JSON.
        #[arg(value_name = "JSON", allow_negative_numbers = true, required_unless_present = "file")]
        value: Option<String>,
        /// The element, as JSON, of the set whose key is the second word.
        #[arg(value_name = "ELEMENT", allow_negative_numbers = true, conflicts_with_all = ["file", "kind", "urgent"])]
        element: Option<String>,
        /// Take the bytes of a file as they are, JSON or not; `-` reads standard input.
        #[arg(long, value_name = "PATH", conflicts_with = "value")]
        file: Option<std::path::PathBuf>,
        /// How concurrent writes merge; without it as the entry is, or `register`.
        #[arg(long)]
        kind: Option<Kind>,
        /// How long it lives, in whole seconds that are rounded up; without it until it is deleted.
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        ttl: Option<Duration>,
        /// Send the news whole, at once and to more members.
        #[arg(long)]
        urgent: bool,
        #[command(flatten)]
        waiting: Waiting,
        #[command(flatten)]
        remote: Remote,
    },
    /// Read an entry or, from a prefix, the document beneath it.
    Get {
        /// The key, or the path of a part of the document; empty for the whole.
        key: String,
        /// Write the bytes of this one entry to a file, as they are; `-` is standard output.
        #[arg(long, value_name = "PATH", conflicts_with = "json")]
        output: Option<std::path::PathBuf>,
        /// The entry itself, also if others lie beneath it: kind, every value with its stamp, writer and end.
        #[arg(long, conflicts_with = "output")]
        meta: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Delete an entry.
    Delete {
        /// The key.
        key: String,
        #[command(flatten)]
        waiting: Waiting,
        #[command(flatten)]
        remote: Remote,
    },
    /// Write one value in place of the siblings that an entry has.
    Resolve {
        /// The key.
        key: String,
        /// The value, as JSON.
        #[arg(value_name = "JSON", allow_negative_numbers = true)]
        value: String,
        #[command(flatten)]
        waiting: Waiting,
        #[command(flatten)]
        remote: Remote,
    },
    /// Counters that all agents add to.
    #[command(subcommand)]
    Counter(Counter),
    /// List the elements of a set; `set add` and `set remove` change them.
    Elements {
        /// The key of the set.
        key: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// List the entries whose keys begin with a prefix.
    List {
        /// The first bytes of the keys; without it all.
        #[arg(default_value = "")]
        prefix: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Merge an object into the shared document: each leaf becomes an entry, null deletes.
    Merge {
        /// The object, as JSON; `-` reads it from standard input.
        #[arg(value_name = "JSON")]
        document: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Send a message to all agents, and to those that join while it lives: to each at most once.
    Publish {
        /// The topic, by which `watch` chooses.
        topic: String,
        /// The message, as JSON.
        #[arg(value_name = "JSON", allow_negative_numbers = true)]
        message: String,
        /// How long it lives: 1ms to 24h.
        #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
        ttl: Duration,
        /// Every agent passes it on at once.
        #[arg(long)]
        urgent: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Want the entries and messages of these topics alone: others are neither held nor passed on.
    Subscribe {
        /// A topic: what stands before the first `/` of keys, and of the topics of messages.
        #[arg(value_name = "TOPIC", required_unless_present = "all", conflicts_with = "all")]
        topics: Vec<String>,
        /// Want all entries.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Print all that the agent holds as lines of JSON, deleted entries too, for `import`.
    Export {
        #[command(flatten)]
        remote: Remote,
    },
    /// Merge what `export` printed into what the agent holds.
    Import {
        /// The file; `-` reads standard input.
        file: std::path::PathBuf,
        /// Take it though it is of another swarm.
        #[arg(long)]
        other_swarm: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Print changes of entries, and messages, one JSON object a line, until the agent goes.
    Watch {
        /// The first bytes of the keys and topics; without it all.
        #[arg(default_value = "")]
        prefix: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Print every event, one JSON object a line, until the agent goes.
    Events {
        #[command(flatten)]
        remote: Remote,
    },
    /// Say whether all live members agree; exit code 6 if they do not.
    Converged {
        /// Wait until they do.
        #[arg(long)]
        wait: bool,
        /// How long to wait.
        #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration, requires = "wait")]
        timeout: Duration,
        /// How many live members there must be at least.
        #[arg(long, value_name = "N", default_value_t = 1)]
        live: usize,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show how this agent sees the others: addresses, round trips, relay paths, who disagrees since when.
    Topology {
        /// Print a graph for Graphviz: `gossip topology --dot | dot -Tsvg`.
        #[arg(long, conflicts_with = "json")]
        dot: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Make the agent say farewell and end.
    Leave {
        #[command(flatten)]
        remote: Remote,
    },
    /// Show a swarm of real agents that share, lose one and go on.
    Demo(demo::Options),
    /// Run a scenario in the simulator.
    Sim(Box<sim::Options>),
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Counter {
    /// Add to a counter, which begins with 0.
    Add {
        /// The key of the counter.
        key: String,
        /// How much; may be negative.
        #[arg(value_name = "N", allow_negative_numbers = true)]
        by: i64,
        #[command(flatten)]
        waiting: Waiting,
        #[command(flatten)]
        remote: Remote,
    },
    /// Read a counter.
    Get {
        /// The key of the counter.
        key: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Delete a counter as far as it is seen here: what others add meanwhile counts on from 0.
    Delete {
        /// The key of the counter.
        key: String,
        #[command(flatten)]
        waiting: Waiting,
        #[command(flatten)]
        remote: Remote,
    },
}

/// Whether to wait for others to hold a write.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Waiting {
    /// Wait until so many live members are known to hold it, this agent among them; exit code 6 if they do not in time.
    #[arg(long, value_name = "N|all", value_parser = members)]
    wait: Option<Members>,
    /// How long to wait.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration, requires = "wait")]
    timeout: Duration,
}

/// How many members; `None` is all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Members(Option<usize>);

impl Waiting {
    /// What to ask for, in the words of the schema.
    pub(crate) fn wait(self) -> Option<api::Wait> {
        let timeout_ms = self.timeout.as_millis() as u64;
        self.wait.map(|Members(members)| api::Wait { members, timeout_ms })
    }
}

/// Which agent to talk to.
#[derive(Clone, Debug, Args)]
pub(crate) struct Remote {
    /// The agent's control address.
    #[arg(long, value_name = "ADDR", env = "GOSSIP_CONTROL", default_value = CONTROL_DEFAULT)]
    pub(crate) control: String,
    /// The token that the agent was started with.
    #[arg(long, env = "GOSSIP_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct AgentOptions {
    /// The swarm's name: agents of other names do not hear us.
    #[arg(long)]
    pub(crate) swarm: String,
    /// This agent's name, unique in the swarm; it gives the id, and is a tag. Without it the id is random.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Where to send and receive gossip (UDP).
    #[arg(long, value_name = "ADDR", default_value = BIND_DEFAULT)]
    pub(crate) bind: String,
    /// The address that others shall use, if it is not the one bound.
    #[arg(long, value_name = "ADDR")]
    pub(crate) advertise: Option<String>,
    /// An agent to join by; may be repeated.
    #[arg(long, value_name = "ADDR")]
    pub(crate) join: Vec<String>,
    /// A tag that others see; may be repeated.
    #[arg(long = "tag", value_name = "K=V", value_parser = tag)]
    pub(crate) tags: Vec<(String, String)>,
    /// The shortest wait between two rounds of gossip.
    #[arg(long, value_name = "DURATION", default_value = "200ms", value_parser = duration)]
    pub(crate) interval: Duration,
    /// How many members a round goes to: 1 to 16.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) fanout: u8,
    /// How often one member is probed.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    pub(crate) probe_interval: Duration,
    /// How news of entries spreads.
    #[arg(long, default_value = "push-pull")]
    pub(crate) mode: Mode,
    /// The most that is sent, in bytes per second.
    #[arg(long, value_name = "N", default_value_t = 1_250_000)]
    pub(crate) bytes_per_second: u32,
    /// Where to listen for commands (HTTP).
    #[arg(long, value_name = "ADDR", env = "GOSSIP_CONTROL", default_value = CONTROL_DEFAULT)]
    pub(crate) control: String,
    /// What commands must present; needed to listen on anything but loopback.
    #[arg(long, env = "GOSSIP_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Want the entries and messages of this topic alone, what stands before the first `/` of keys and of the topics of
    /// messages; may be repeated. Without it all.
    #[arg(long = "topic", value_name = "TOPIC")]
    pub(crate) topics: Vec<String>,
    /// Room for members, this one and remembered dead ones among them.
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub(crate) members: usize,
    /// Room for entries, deleted ones and tags among them.
    #[arg(long, value_name = "N", default_value_t = 16_384)]
    pub(crate) entries: usize,
    /// Room for keys, values and tags, in bytes.
    #[arg(long, value_name = "N", default_value_t = 32 << 20)]
    pub(crate) bytes: usize,
    /// The longest value, in bytes; the same for all agents of a swarm. What does not fit in a datagram is pulled in chunks.
    /// Without it 1 MiB, or an eighth of --bytes if that is less.
    #[arg(long, value_name = "N")]
    pub(crate) value_len_max: Option<u32>,
    /// A directory to keep entries in: the agent comes back from it as itself, also after a crash.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<std::path::PathBuf>,
    /// Run a command (by the shell) on each event of a kind, with the event as JSON on its standard input; may be repeated.
    /// `any` stands for every kind.
    #[arg(long, value_names = ["EVENT", "CMD"], num_args = 2, action = clap::ArgAction::Append)]
    pub(crate) on: Vec<String>,
    /// Print one line of JSON on standard output when ready: bind, advertise, control, id, name, swarm.
    #[arg(long)]
    pub(crate) ready_json: bool,
    /// Say farewell when standard input ends, as it does when the process that holds its other end is killed.
    #[arg(long, hide = true)]
    pub(crate) end_with_stdin: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Whole entries go out, wanted or not.
    Push,
    /// Nothing but summaries goes out.
    Pull,
    /// Small entries go out whole, of large ones the digest.
    PushPull,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The newest value wins everywhere.
    Register,
    /// Concurrent values are all kept, up to four.
    Siblings,
    /// The greatest value that was written: whole numbers from 0 up by size, all else as text.
    Max,
    /// The least value that was written.
    Min,
    #[value(skip)]
    Counter,
    #[value(skip)]
    Set,
    /// Of another program: what it makes of two values.
    #[value(skip)]
    App,
}

/// A number of members, or `all`.
fn members(text: &str) -> Result<Members, String> {
    match text.parse() {
        _ if text == "all" => Ok(Members(None)),
        Ok(members) if members > 0 => Ok(Members(Some(members))),
        _ => Err("expected a number from 1 up, or `all`".into()),
    }
}

/// `name=value`, split at the first `=`.
fn tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err("expected name=value".into()),
    }
}

/// A number and its unit: `200ms`, `5s`, `1.5m`, `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "" => return Err("the unit is missing: try 200ms or 5s".into()),
        _ => return Err(format!("unknown unit `{unit}`: us, ms, s, m and h are known")),
    };
    let number: f64 = number.parse().map_err(|_| format!("`{number}` is not a number"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| "out of range".into())
}

/// Where agents listen for gossip unless told otherwise; the port has no other meaning.
pub(crate) const BIND_DEFAULT: &str = "127.0.0.1:7272";
/// Where agents listen for commands unless told otherwise.
pub(crate) const CONTROL_DEFAULT: &str = "127.0.0.1:7273";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
        let set = Cli::try_parse_from(["gossip", "set", "a", "-5", "--json"]).unwrap();
        assert!(set.json && matches!(set.command, Command::Set { value: Some(value), .. } if value == "-5"));
        let merge = Cli::try_parse_from(["gossip", "--json", "merge", "-"]).unwrap();
        assert!(merge.json && matches!(merge.command, Command::Merge { document, .. } if document == "-"));
    }

    #[test]
    fn three_words_after_set_are_about_an_element() {
        let words = |args: &[&str]| match Cli::try_parse_from([&["gossip", "set"], args].concat()).unwrap().command {
            Command::Set { key, value, element, .. } => (key, value.unwrap_or_default(), element),
            _ => unreachable!(),
        };
        assert_eq!(words(&["add", "5"]), ("add".into(), "5".into(), None));
        assert_eq!(words(&["add", "k", "-5"]), ("add".into(), "k".into(), Some("-5".into())));
        assert_eq!(words(&["add", "k", "1", "--ttl", "1s"]), ("add".into(), "k".into(), Some("1".into())));
        assert!(Cli::try_parse_from(["gossip", "set", "add", "k", "1", "--urgent"]).is_err());
    }

    #[test]
    fn members_are_a_number_or_all() {
        assert_eq!((members("3"), members("all")), (Ok(Members(Some(3))), Ok(Members(None))));
        assert!(members("0").is_err() && members("-1").is_err() && members("many").is_err());
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        for wrong in ["", "5", "s", "5d", "-1s", "nans", "1e300h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tags_are_split_at_the_first_sign() {
        assert_eq!(tag("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(tag("a").is_err() && tag("=a").is_err());
    }
}
