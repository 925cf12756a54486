//! `agent --data DIR`: what the agent holds, on disk, so that it comes back as itself.
//!
//! The database is redb: one file, pure Rust, one dependency, and a commit is atomic whenever the process is killed. A
//! command that writes is answered once its entries are on disk; what comes from other agents is written in batches soon
//! after. Commands that wait at the same time share one commit.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use gossip_proto::{Instant, Kind, Node, NodeId, Saved, SavedLife};
use gossip_tokio::{EntryEvent, Events, Handle};
use redb::{Database, Durability, ReadableTable, TableDefinition};
use tokio::sync::{mpsc, oneshot};
use tokio::time;

use crate::agent::Log;
use crate::error::{Code, Failure, Result};

/// Entries by key, as [`Saved`] has them.
const ENTRIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entries");
/// Parts of counters and elements of sets, by their [`Name::place`].
const PARTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("parts");
/// What there is one of.
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
/// The swarm's name.
const TEXTS: TableDefinition<'_, &str, &str> = TableDefinition::new("texts");

/// By what an entry is kept: its key or, of a counter or a set, that and the part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    Entry(Vec<u8>),
    /// A part of a counter: its key, and which.
    Counter(Vec<u8>, Vec<u8>),
    /// An element of a set: its key, and the element.
    Set(Vec<u8>, Vec<u8>),
}

impl Name {
    pub(crate) fn new(kind: Kind, key: &[u8], part: &[u8]) -> Self {
        match kind {
            Kind::Counter => Self::Counter(key.into(), part.into()),
            Kind::Set => Self::Set(key.into(), part.into()),
            _ => Self::Entry(key.into()),
        }
    }

    pub(crate) fn of(saved: &Saved<'_>) -> Self {
        Self::new(saved.kind(), saved.key(), saved.part())
    }

    /// What a node holds under this name, deleted or not.
    fn saved<'n>(&self, node: &'n Node<'_>) -> Option<Saved<'n>> {
        match self {
            Self::Entry(key) => node.saved_entry(key),
            Self::Counter(key, part) => node.saved_part(key, Kind::Counter, part),
            Self::Set(key, part) => node.saved_part(key, Kind::Set, part),
        }
    }

    /// Its key in its table: of parts, a letter for the kind, the length of the key, the key, the part.
    fn place(&self) -> Vec<u8> {
        let part = |letter, key: &[u8], part: &[u8]| [&[letter, key.len() as u8], key, part].concat();
        match self {
            Self::Entry(key) => key.clone(),
            Self::Counter(key, which) => part(b'c', key, which),
            Self::Set(key, element) => part(b's', key, element),
        }
    }
}

/// Any of the database's errors; most are larger than what they interrupt.
type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// An open directory.
#[derive(Debug)]
pub(crate) struct Data {
    database: Database,
    path: PathBuf,
    id: Option<NodeId>,
}

impl Data {
    /// Opens the directory, and makes it if there is none.
    pub(crate) fn open(dir: &Path, swarm: &str) -> Result<Self> {
        let path = dir.join(FILE);
        let failed = |error: &dyn Display| {
            let hint = "name a directory that this program may write to, and no other agent uses";
            Failure::new(Code::BadData, format!("--data {}: {error}", dir.display()), hint)
        };
        std::fs::create_dir_all(dir).map_err(|error| failed(&error))?;
        let database = Database::create(&path).map_err(|error| failed(&error))?;
        let mut data = Self { database, path, id: None };
        let (format, held, id) = data.begin(swarm).map_err(|error| failed(&error))?;
        if held != swarm {
            let message = format!("--data {}: it belongs to the swarm `{held}`, not `{swarm}`", dir.display());
            return Err(Failure::new(Code::BadData, message, "give each swarm a directory of its own"));
        }
        if format != u64::from(Saved::FORMAT) {
            let message = format!("--data {}: written in format {format} by another version", dir.display());
            return Err(Failure::new(Code::BadData, message, "use that version, or another directory"));
        }
        data.id = id;
        Ok(data)
    }

    /// Makes the tables where there are none, and reads whose they are: format, swarm, id.
    fn begin(&self, swarm: &str) -> Result<(u64, String, Option<NodeId>), Trouble> {
        let write = self.database.begin_write()?;
        let found = {
            let (mut texts, mut numbers) = (write.open_table(TEXTS)?, write.open_table(NUMBERS)?);
            write.open_table(ENTRIES)?;
            write.open_table(PARTS)?;
            if texts.get("swarm")?.is_none() {
                texts.insert("swarm", swarm)?;
                numbers.insert("format", u64::from(Saved::FORMAT))?;
            }
            let held = texts.get("swarm")?.map_or_else(String::new, |held| held.value().to_owned());
            let number = |name| numbers.get(name).map(|number| number.map(|number| number.value()));
            (number("format")?.unwrap_or_default(), held, number("id")?.map(NodeId))
        };
        write.commit()?;
        Ok(found)
    }

    /// The id of the agent whose directory this is.
    pub(crate) fn id(&self) -> Option<NodeId> {
        self.id
    }

    /// Gives a new node what is here, and notes its id. Returns the number of entries.
    pub(crate) fn restore(&self, node: &mut Node<'_>) -> Result<usize> {
        let failed = |error: Trouble| self.failed("cannot be read", &error);
        let read = self.database.begin_read().map_err(|error| failed(error.into()))?;
        let numbers = read.open_table(NUMBERS).map_err(|error| failed(error.into()))?;
        let number = |name| numbers.get(name).map(|held| held.map(|held| held.value())).map_err(Trouble::from);
        let (incarnation, stamp) = (number("incarnation").map_err(failed)?, number("stamp").map_err(failed)?);
        if let (Some(incarnation), Some(stamp)) = (incarnation, stamp) {
            node.restore_life(SavedLife { incarnation: incarnation as u32, stamp });
        }
        let mut count = 0;
        for table in [ENTRIES, PARTS] {
            let entries = read.open_table(table).map_err(|error| failed(error.into()))?;
            for entry in entries.iter().map_err(|error| failed(error.into()))? {
                let (key, bytes) = entry.map_err(|error| failed(error.into()))?;
                let restored = Saved::from_bytes(bytes.value()).and_then(|saved| node.restore(Instant::ZERO, saved));
                restored.map_err(|error| {
                    let key = String::from_utf8_lossy(key.value()).into_owned();
                    let hint = "give the agent tables that are large enough: --entries, --bytes";
                    Failure { hint: hint.into(), ..self.failed(&format!("`{key}` was not taken in"), &error) }
                })?;
                count += 1;
            }
        }
        drop(read);
        self.write(|write| {
            write.open_table(NUMBERS)?.insert("id", node.id().0)?;
            Ok(())
        })?;
        Ok(count)
    }

    /// Writes what the node holds now under these names, and what it is.
    fn keep(&self, handle: &Handle, names: &BTreeSet<Name>, durability: Durability) -> Result<()> {
        let (life, saved) = handle.read(|node| {
            let saved = names.iter().map(|name| name.saved(node).map(|saved| saved.as_bytes().to_vec()));
            (node.saved_life(), saved.collect::<Vec<_>>())
        });
        self.write(|write| {
            write.set_durability(durability);
            let mut numbers = write.open_table(NUMBERS)?;
            numbers.insert("incarnation", u64::from(life.incarnation))?;
            numbers.insert("stamp", life.stamp)?;
            let (mut entries, mut parts) = (write.open_table(ENTRIES)?, write.open_table(PARTS)?);
            for (name, bytes) in names.iter().zip(&saved) {
                let key = name.place();
                let table = if matches!(name, Name::Entry(_)) { &mut entries } else { &mut parts };
                match bytes {
                    Some(bytes) => drop(table.insert(&key[..], &bytes[..])?),
                    None => drop(table.remove(&key[..])?),
                }
            }
            Ok(())
        })
    }

    /// The names of all that is here and of all that the node holds.
    fn all_names(&self, handle: &Handle) -> Result<BTreeSet<Name>> {
        let held = || -> Result<BTreeSet<Name>, Trouble> {
            let read = self.database.begin_read()?;
            let mut names = BTreeSet::new();
            for table in [ENTRIES, PARTS] {
                for entry in read.open_table(table)?.iter()? {
                    names.extend(Saved::from_bytes(entry?.1.value()).map(|saved| Name::of(&saved)));
                }
            }
            Ok(names)
        };
        let mut names = held().map_err(|error| self.failed("cannot be read", &error))?;
        names.extend(handle.read(|node| node.saved().map(|saved| Name::of(&saved)).collect::<Vec<_>>()));
        Ok(names)
    }

    fn write(&self, work: impl FnOnce(&mut redb::WriteTransaction) -> Result<(), Trouble>) -> Result<()> {
        let done = || -> Result<(), Trouble> {
            let mut write = self.database.begin_write()?;
            work(&mut write)?;
            Ok(write.commit()?)
        };
        done().map_err(|error| self.failed("cannot be written", &error))
    }

    fn failed(&self, what: &str, error: &dyn Display) -> Failure {
        let message = format!("{}: {what}: {error}", self.path.display());
        Failure::new(Code::BadData, message, "look at the disk: is it full, or the directory gone?")
    }
}

/// Asks for entries to be kept. Clones share one writer; without `--data` there is none, and nothing to wait for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keeper(Option<mpsc::Sender<Task>>);

/// What the writer is asked for.
#[derive(Debug)]
enum Task {
    /// To keep what the node holds under these names, and to answer once it is on disk.
    Wait(Vec<Name>, oneshot::Sender<Result<()>>),
    /// To keep this, soon.
    Soon(Name),
    /// To keep all there is, and to remove what the node does not hold any more.
    All,
}

impl Keeper {
    /// Starts the writer, and what feeds it with what comes from other agents. It ends with the last clone.
    pub(crate) fn start(data: Data, handle: &Handle, log: Log) -> (Self, thread::JoinHandle<()>) {
        let (tasks, queue) = mpsc::channel(TASKS_MAX);
        tokio::spawn(feed(handle.entry_events(), tasks.clone()));
        let handle = handle.clone();
        let writer = thread::spawn(move || write(&data, &handle, queue, &log));
        (Self(Some(tasks)), writer)
    }

    /// Waits until what the node holds under these names is on disk.
    pub(crate) async fn kept(&self, names: Vec<Name>) -> Result<()> {
        let Some(tasks) = &self.0 else { return Ok(()) };
        let (done, answer) = oneshot::channel();
        let gone =
            || Failure::new(Code::Other, "the agent is ending: it may not be on disk", "look at the agent's log");
        tasks.send(Task::Wait(names, done)).await.map_err(|_| gone())?;
        let kept = answer.await.map_err(|_| gone())?;
        kept.map_err(|failure| failure.context("it is written and shared, and will be lost if this agent ends"))
    }
}

/// Passes on which entries changed, until the node has left.
async fn feed(mut events: Events<EntryEvent>, tasks: mpsc::Sender<Task>) {
    let mut sweep = time::interval(SWEEP_INTERVAL);
    loop {
        let task = tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => Task::Soon(Name::new(event.kind, &event.key, &event.part)),
                Some(Err(_)) => Task::All,
                None => break,
            },
            _ = sweep.tick() => Task::All,
        };
        if tasks.send(task).await.is_err() {
            break;
        }
    }
}

/// Keeps what is asked for, until nobody can ask any more.
fn write(data: &Data, handle: &Handle, mut tasks: mpsc::Receiver<Task>, log: &Log) {
    while let Some(first) = tasks.blocking_recv() {
        let (mut names, mut waiting, mut all) = (BTreeSet::new(), Vec::new(), false);
        let mut next = Some(first);
        let mut pause = true;
        while let Some(task) = next {
            match task {
                Task::Wait(wanted, done) => {
                    names.extend(wanted);
                    waiting.push(done);
                }
                Task::Soon(name) => drop(names.insert(name)),
                Task::All => all = true,
            }
            if names.len() >= BATCH_MAX {
                break;
            }
            next = tasks.try_recv().ok();
            if next.is_none() && waiting.is_empty() && core::mem::take(&mut pause) {
                // Nobody waits: what comes a little later can share the commit.
                thread::sleep(BATCH_DELAY);
                next = tasks.try_recv().ok();
            }
        }
        let durability = if waiting.is_empty() { Durability::Eventual } else { Durability::Immediate };
        let more = if all { data.all_names(handle) } else { Ok(BTreeSet::new()) };
        let kept = more.and_then(|more| {
            names.extend(more);
            data.keep(handle, &names, durability)
        });
        if let Err(failure) = &kept {
            log.warn(format_args!("{}", failure.message));
        }
        for done in waiting {
            // Whoever asked may have gone.
            let _ = done.send(kept.clone());
        }
    }
}

const FILE: &str = "gossip.redb";
/// How many requests wait for the writer.
const TASKS_MAX: usize = 1024;
/// How many entries one commit takes, about.
const BATCH_MAX: usize = 4096;
/// How long what others wrote may wait for company.
const BATCH_DELAY: Duration = Duration::from_millis(20);
/// How often what the node has forgotten is removed from the disk, too.
const SWEEP_INTERVAL: Duration = Duration::from_secs(3600);
