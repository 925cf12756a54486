//! Members on the host, as processes: `gossip` agents, which its commands ask, and the example of gossip-smol.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

fn program(variable: &str) -> Command {
    Command::new(std::env::var(variable).unwrap_or_else(|_| panic!("{variable} names a program")))
}

/// A `gossip` agent.
pub(crate) struct Agent {
    child: Child,
    control: String,
    pub(crate) id: u64,
    pub(crate) port: u16,
}

impl Agent {
    pub(crate) fn start(join: Option<u16>) -> Self {
        let mut command = program("GOSSIP_AGENT");
        command.args([
            "agent",
            "--swarm",
            "mixed",
            "--bind",
            "127.0.0.1:0",
            "--control",
            "127.0.0.1:0",
            "--ready-json",
        ]);
        command.args(join.map(|port| format!("--join=127.0.0.1:{port}")));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let field = |name: &str| ready[name].as_str().unwrap().to_owned();
        let id = u64::from_str_radix(&field("id"), 16).unwrap();
        let port = field("bind").rsplit(':').next().unwrap().parse().unwrap();
        Self { child, control: field("control"), id, port }
    }

    /// Runs a command against it; its output, or nothing when it fails.
    pub(crate) fn ask(&self, args: &[&str]) -> Option<Value> {
        let output = program("GOSSIP_AGENT").args(args).args(["--json", "--control", &self.control]).output().unwrap();
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Writes one JSON value, as anybody would.
    pub(crate) fn set(&self, key: &str, json: &str) {
        self.ask(&["set", key, json]).unwrap_or_else(|| panic!("{key} is set"));
    }

    pub(crate) fn get(&self, key: &str) -> Option<Value> {
        self.ask(&["get", key])
    }

    /// What it calls a member.
    pub(crate) fn state(&self, id: u64) -> Option<String> {
        let members = self.ask(&["members"])?;
        let id = format!("{id:016x}");
        let member = members["members"].as_array()?.iter().find(|member| member["id"] == id.as_str())?;
        Some(member["state"].as_str()?.to_owned())
    }

    pub(crate) fn sees(&self, ids: &[u64], state: &str) -> bool {
        ids.iter().all(|id| self.state(*id).as_deref() == Some(state))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The example of gossip-smol: it prints each event.
pub(crate) struct Smol {
    child: Child,
    printed: Arc<Mutex<String>>,
    pub(crate) id: u64,
}

impl Smol {
    pub(crate) fn start(contact: u16) -> Self {
        let args = ["127.0.0.1:0", &format!("127.0.0.1:{contact}"), "mixed"];
        let mut child = program("GOSSIP_SMOL").args(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let id = u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap();
        let printed = Arc::new(Mutex::new(String::new()));
        let kept = printed.clone();
        thread::spawn(move || {
            let mut buf = [0; 4096];
            while let Ok(len @ 1..) = out.read(&mut buf) {
                kept.lock().unwrap().push_str(&String::from_utf8_lossy(&buf[..len]));
            }
        });
        Self { child, printed, id }
    }

    /// Where something was printed last.
    pub(crate) fn last(&self, what: &str) -> Option<usize> {
        self.printed.lock().unwrap().rfind(what)
    }

    pub(crate) fn saw(&self, id: u64, change: &str) -> bool {
        self.last(&format!("Member {{ id: {id:016x}, change: {change} }}")).is_some()
    }
}

impl Drop for Smol {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
