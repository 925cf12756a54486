//! Agents and commands as processes. Each agent chooses its own ports, and ends with the test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take on a busy machine before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// An agent that is ready.
pub(crate) struct Agent {
    pub(crate) child: Child,
    pub(crate) bind: String,
    pub(crate) control: String,
    pub(crate) id: String,
    pub(crate) log: Arc<Mutex<String>>,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) exit: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Agent {
    /// Starts an agent with these options, and loopback and any port unless they say otherwise.
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::try_start(options).unwrap_or_else(|said| panic!("{options:?}: {said:?}"))
    }

    pub(crate) fn try_start(options: &[&str]) -> Result<Self, Said> {
        let mut command = program();
        command.args(["agent", "--ready-json"]).args(options);
        for (option, value) in [("--swarm", "test"), ("--bind", "127.0.0.1:0"), ("--control", "127.0.0.1:0")] {
            if !options.contains(&option) {
                command.args([option, value]);
            }
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = collect(child.stderr.take().unwrap());
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            let exit = child.wait().unwrap().code().unwrap();
            until("the log to end", || Arc::strong_count(&log) == 1);
            let err = log.lock().unwrap().clone();
            return Err(Said { exit, out: line, err });
        }
        let ready: Value = serde_json::from_str(&line).unwrap();
        let field = |name: &str| ready[name].as_str().unwrap().to_owned();
        Ok(Self { child, bind: field("bind"), control: field("control"), id: field("id"), log })
    }

    /// Several agents, each joined to the first, that know each other.
    pub(crate) fn swarm(n: usize) -> Vec<Self> {
        let mut agents: Vec<Self> = Vec::new();
        for nth in 0..n {
            let (name, tag) = (format!("n{nth}"), format!("nth={nth}"));
            let mut options = vec!["--name", &name, "--tag", &tag];
            options.extend(agents.first().into_iter().flat_map(|first| ["--join", first.bind.as_str()]));
            agents.push(Self::start(&options));
        }
        let n = n.to_string();
        agents.iter().for_each(|agent| agent.converged(&n));
        agents
    }

    /// Runs a command against this agent.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        run(&[args, &["--control", &self.control]].concat())
    }

    /// The JSON that a command prints, which must succeed.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let said = self.run(&[args, &["--json"]].concat());
        assert_eq!(said.exit, 0, "{args:?}: {said:?}");
        serde_json::from_str(&said.out).unwrap()
    }

    /// The error that a command prints as JSON, and its exit code.
    pub(crate) fn error(&self, args: &[&str]) -> (i32, Value) {
        let said = self.run(&[args, &["--json"]].concat());
        (said.exit, serde_json::from_str(said.err.trim()).unwrap_or_else(|_| panic!("{args:?}: {said:?}")))
    }

    /// Waits until this agent and so many others agree.
    pub(crate) fn converged(&self, live: &str) {
        let said = self.run(&["converged", "--wait", "--timeout", "60s", "--live", live]);
        assert_eq!(said.exit, 0, "{said:?}\n{}", self.log.lock().unwrap());
    }

    /// The state of a member, by its id.
    pub(crate) fn state_of(&self, id: &str) -> Option<String> {
        let members = self.json(&["members"]);
        let member = members["members"].as_array().unwrap().iter().find(|member| member["id"] == id)?.clone();
        member["state"].as_str().map(Into::into)
    }

    pub(crate) fn exit(&mut self) -> ExitStatus {
        let mut status = None;
        until("the agent to end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command.
pub(crate) fn run(args: &[&str]) -> Said {
    let output = program().args(args).stdin(Stdio::null()).output().unwrap();
    Said {
        exit: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The program, without what the environment would add.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gossip"));
    command.env_remove("GOSSIP_CONTROL").env_remove("GOSSIP_TOKEN");
    command
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[allow(clippy::disallowed_methods, reason = "tests give up by the real clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Reads all that comes; the thread ends with the process.
pub(crate) fn collect(from: impl std::io::Read + Send + 'static) -> Arc<Mutex<String>> {
    let log = Arc::new(Mutex::new(String::new()));
    let to = log.clone();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut log = to.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
    log
}
