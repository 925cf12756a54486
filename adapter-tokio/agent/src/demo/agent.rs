//! One agent of the demo: a process of its own, and its control port.
//!
//! Knows: how an agent is started, asked and killed. Does not know: what the demo wants to show.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use super::swarm::Trouble;
use crate::api::{Entries, Entry, Got, Info, Left, Member, Members, Merge, Merged, Nothing, Ready, Set, SetDone};
use crate::cli::Kind;
use crate::client::Client;
use crate::error::{Code, Failure, Result};

/// A running agent. Dropping it kills the process.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) name: &'static str,
    pub(super) ready: Ready,
    pub(super) client: Control,
    child: Child,
    /// Open for as long as the demo lives: the agent ends when it is not, however the demo ended.
    _stdin: Option<ChildStdin>,
    errors: Tail,
}

impl Agent {
    /// Starts the process and waits until it is ready.
    pub(super) async fn start(
        name: &'static str,
        swarm: &str,
        advertise: SocketAddr,
        join: SocketAddr,
    ) -> Result<Self> {
        let failed = |why: String| Failure::new(Code::Other, format!("{name} did not start: {why}"), HINT_START);
        let program = std::env::current_exe().map_err(|why| failed(why.to_string()))?;
        let mut command = Command::new(program);
        command.args(["agent", "--swarm", swarm, "--name", name, "--ready-json", "--end-with-stdin"]);
        command.args(["--bind", "127.0.0.1:0", "--control", "127.0.0.1:0", "--advertise", &advertise.to_string()]);
        command.args(["--interval", INTERVAL, "--probe-interval", PROBE_INTERVAL]);
        if join != advertise {
            command.args(["--join", &join.to_string()]);
        }
        command.env_remove("GOSSIP_TOKEN").env_remove("GOSSIP_CONTROL").kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|why| failed(why.to_string()))?;
        let errors = Tail::default();
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(errors.clone().follow(stderr));
        }
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or_else(|| failed("it has no standard output".into()))?;
        let mut lines = BufReader::new(stdout).lines();
        let line = timeout(READY_TIMEOUT, lines.next_line()).await.map_err(|_| failed("it is never ready".into()))?;
        let line = line.ok().flatten().ok_or_else(|| failed(format!("it has ended. {}", errors.text())))?;
        let ready: Ready = serde_json::from_str(&line).map_err(|why| failed(format!("{why} in {line:?}")))?;
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let client = Control { name, client: Client::new(ready.control.clone(), None) };
        Ok(Self { name, ready, client, child, _stdin: stdin, errors })
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// `kill -9`, and waits until the process is gone.
    pub(super) async fn kill(&mut self) -> Result<(), Trouble> {
        self.child.kill().await.map_err(|why| Trouble::Failed(format!("{} could not be killed: {why}", self.name)))
    }

    /// Waits until the process has ended by itself.
    pub(super) async fn ended(&mut self) -> Result<(), Trouble> {
        match self.child.wait().await {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Trouble::Failed(format!("{} ended with {status}. {}", self.name, self.errors.text()))),
            Err(why) => Err(Trouble::Failed(format!("{}: {why}", self.name))),
        }
    }

    /// What is to be said when the process is gone and should not be.
    pub(super) fn last_words(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(format!("{} had ended with {status}. {}", self.name, self.errors.text()))
    }
}

/// The control port of an agent; clones are for tasks.
#[derive(Clone, Debug)]
pub(super) struct Control {
    name: &'static str,
    client: Client,
}

impl Control {
    pub(super) async fn info(&self) -> Result<Info> {
        self.get("/v1/info", &[]).await
    }

    pub(super) async fn members(&self) -> Result<Vec<Member>> {
        self.get::<Members>("/v1/members", &[]).await.map(|answer| answer.members)
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        self.get::<Entries>("/v1/list", &[("prefix", prefix)]).await.map(|answer| answer.entries)
    }

    /// The entry or document at a key.
    pub(super) async fn document(&self, key: &str) -> Result<Value> {
        self.get::<Got>("/v1/get", &[("key", key)]).await.map(|answer| answer.value)
    }

    pub(super) async fn set(&self, key: &str, value: Value, kind: Option<Kind>) -> Result<()> {
        let set = Set { key: key.into(), value, hex: None, kind, urgent: false, ttl_ms: None, wait: None };
        self.post::<SetDone>("/v1/set", &set).await.map(drop)
    }

    pub(super) async fn merge(&self, document: Value) -> Result<()> {
        self.post::<Merged>("/v1/merge", &Merge { document }).await.map(drop)
    }

    pub(super) async fn leave(&self) -> Result<()> {
        self.post::<Left>("/v1/leave", &Nothing {}).await.map(drop)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T> {
        self.client.get(path, query).await.map_err(|failure| failure.context(self.name))
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.client.post(path, body).await.map_err(|failure| failure.context(self.name))
    }
}

/// The last lines that a process wrote to its standard error.
#[derive(Clone, Debug, Default)]
struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    async fn follow(self, stderr: impl AsyncRead + Unpin) {
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() == TAIL_LINES {
                kept.pop_front();
            }
            kept.push_back(line);
        }
    }

    fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<&str> = kept.iter().map(String::as_str).collect();
        if lines.is_empty() { "It wrote no error.".into() } else { format!("Its last words:\n{}", lines.join("\n")) }
    }
}

const HINT_START: &str = "the demo starts this program again as `gossip agent`, on free ports of 127.0.0.1";
/// Shorter than the defaults, so that the demo is over soon: a death takes four probe intervals and some.
const INTERVAL: &str = "100ms";
const PROBE_INTERVAL: &str = "500ms";
const READY_TIMEOUT: Duration = Duration::from_secs(10);
const TAIL_LINES: usize = 8;
