//! The commands that talk to an agent: one request each, and what it says.

mod parts;
mod transfer;

use std::io::{Read, Write};
use std::path::Path;

use serde_json::Value;

use crate::api::{self, Nothing};
use crate::cli::{Command, Remote};
use crate::client::Client;
use crate::document;
use crate::dot;
use crate::error::{Code, Failure, Result};
use crate::output;

/// Runs a command that talks to an agent.
pub(crate) async fn run(command: &Command, json: bool) -> Result<()> {
    match command {
        Command::Members { tags, remote } => {
            let tags: Vec<_> = tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let query: Vec<_> = tags.iter().map(|tag| ("tag", tag.as_str())).collect();
            let members: api::Members = client(remote).get("/v1/members", &query).await?;
            output::show(json, &members, output::members)
        }
        Command::Info { remote } => output::show(json, &client(remote).get("/v1/info", &[]).await?, output::info),
        Command::Set { key, value: Some(set), element: Some(element), ttl, waiting, remote, .. } => {
            let ttl_ms = ttl.map(|ttl| ttl.as_millis() as u64);
            parts::element(key, set, element, (ttl_ms, waiting.wait()), remote, json).await
        }
        Command::Set { key, value, element: _, file, kind, ttl, urgent, waiting, remote } => {
            let value = value.as_deref().map_or(Ok(Value::Null), parse)?;
            let hex = file.as_deref().map(read).transpose()?.map(|bytes| document::hex(&bytes));
            let (ttl_ms, wait) = (ttl.map(|ttl| ttl.as_millis() as u64), waiting.wait());
            let set = api::Set { key: key.clone(), value, hex, kind: *kind, urgent: *urgent, ttl_ms, wait };
            let done: api::SetDone = client(remote).post_within("/v1/set", &set, wait).await?;
            output::show(json, &done, |done| format!("{key} is set{}", output::holders(done.holders)))
        }
        Command::Resolve { key, value, waiting, remote } => {
            let (value, wait) = (parse(value)?, waiting.wait());
            let resolve = api::Resolve { key: key.clone(), value, wait };
            let done: api::Resolved = client(remote).post_within("/v1/resolve", &resolve, wait).await?;
            let words = |done: &api::Resolved| {
                format!("{key} has one value in place of {}{}", done.resolved, output::holders(done.holders))
            };
            output::show(json, &done, words)
        }
        Command::Counter(counter) => parts::counter(counter, json).await,
        Command::Elements { key, remote } => {
            output::show(json, &client(remote).get("/v1/elements", &[("key", key)]).await?, output::elements)
        }
        Command::Get { key, output: Some(file), remote, .. } => {
            let got: api::Got = client(remote).get("/v1/get", &[("key", key), ("raw", "true")]).await?;
            let bytes = document::unhex(got.value.get("$hex").and_then(Value::as_str).unwrap_or_default());
            let bytes = bytes.ok_or_else(|| Failure::new(Code::NotAnAgent, "these are no hexadecimal digits", ""))?;
            let written = if file.as_os_str() == "-" {
                std::io::stdout().write_all(&bytes)
            } else {
                std::fs::write(file, &bytes)
            };
            written.map_err(|error| Failure::new(Code::Other, format!("{}: {error}", file.display()), ""))
        }
        Command::Get { key, output: None, meta: true, remote } => {
            let got: api::Got = client(remote).get("/v1/get", &[("key", key), ("meta", "true")]).await?;
            output::show(json, &got, output::meta)
        }
        Command::Get { key, output: None, remote, .. } => {
            output::show(json, &client(remote).get("/v1/get", &[("key", key)]).await?, output::got)
        }
        Command::Delete { key, waiting, remote } => {
            let wait = waiting.wait();
            let delete = api::Delete { key: key.clone(), wait };
            let done: api::Deleted = client(remote).post_within("/v1/delete", &delete, wait).await?;
            output::show(json, &done, |done| format!("{key} is deleted{}", output::holders(done.holders)))
        }
        Command::List { prefix, remote } => {
            let entries: api::Entries = client(remote).get("/v1/list", &[("prefix", prefix)]).await?;
            if entries.entries.is_empty() && !json { Ok(()) } else { output::show(json, &entries, output::entries) }
        }
        Command::Merge { document, remote } => {
            let document = match document.as_str() {
                "-" => parse(&stdin()?)?,
                given => parse(given)?,
            };
            let merged: api::Merged = client(remote).post("/v1/merge", &api::Merge { document }).await?;
            if merged == api::Merged::default() && !json { Ok(()) } else { output::show(json, &merged, output::merged) }
        }
        Command::Publish { topic, message, ttl, urgent, remote } => {
            let (message, ttl_ms) = (parse(message)?, Some(ttl.as_millis() as u64));
            let publish = api::Publish { topic: topic.clone(), message, ttl_ms, urgent: *urgent };
            let done: api::Published = client(remote).post("/v1/publish", &publish).await?;
            output::show(json, &done, |done| format!("message {} of {} is on its way", done.sequence, done.origin))
        }
        Command::Subscribe { topics, all, remote } => {
            let subscribe = api::Subscribe { topics: (!all).then(|| topics.clone()) };
            let done: api::Subscribed = client(remote).post("/v1/subscribe", &subscribe).await?;
            output::show(json, &done, |done| format!("subscribed to {}", output::topics(done.topics.as_deref())))
        }
        Command::Export { remote } => stream(remote, "/v1/export", &[]).await,
        Command::Import { file, other_swarm, remote } => transfer::import(file, *other_swarm, remote, json).await,
        Command::Watch { prefix, remote } => stream(remote, "/v1/watch", &[("prefix", prefix)]).await,
        Command::Events { remote } => stream(remote, "/v1/events", &[]).await,
        Command::Converged { wait, timeout, live, remote } => {
            let (live, wait_ms) = (live.to_string(), timeout.as_millis().to_string());
            let query = [("live", live.as_str()), ("wait_ms", &wait_ms)];
            let convergence: api::Convergence = if *wait {
                client(remote).get_within("/v1/converged", &query, *timeout + GRACE).await?
            } else {
                client(remote).get("/v1/converged", &query[..1]).await?
            };
            output::show(json, &convergence, output::convergence)?;
            if convergence.converged { Ok(()) } else { Err(not_converged(&convergence, &live, *wait)) }
        }
        Command::Topology { dot, remote } => {
            let show = if *dot { dot::topology } else { output::topology };
            output::show(json, &client(remote).get("/v1/topology", &[]).await?, show)
        }
        Command::Leave { remote } => {
            let left: api::Left = client(remote).post("/v1/leave", &Nothing {}).await?;
            output::show(json, &left, |left| format!("agent {} has left", left.id))
        }
        Command::Agent(_) | Command::Demo(_) | Command::Sim(_) => {
            Err(Failure::new(Code::Other, "this command talks to no agent", ""))
        }
    }
}

fn client(remote: &Remote) -> Client {
    Client::new(&remote.control, remote.token.clone())
}

/// Prints lines until the agent ends them, or nobody reads them.
async fn stream(remote: &Remote, path: &str, query: &[(&str, &str)]) -> Result<()> {
    let mut lines = client(remote).lines(path, query).await?;
    while let Some(line) = lines.next().await? {
        if !output::line(&line)? {
            break;
        }
    }
    Ok(())
}

fn parse(json: &str) -> Result<Value> {
    serde_json::from_str(json).map_err(|error| {
        let hint = "a text needs double quotes inside the shell's own: '\"blue\"'";
        Failure::new(Code::BadJson, format!("this is no JSON: {error}"), hint)
    })
}

/// The bytes of a file, or of standard input: no more than can be sent.
fn read(path: &Path) -> Result<Vec<u8>> {
    let max = api::BODY_LEN_MAX as u64 / 2;
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().take(max + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(max + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::new(Code::Usage, format!("{}: {error}", path.display()), "name a file to read"))?;
    if bytes.len() as u64 > max { Err(Failure::body_too_long(api::BODY_LEN_MAX)) } else { Ok(bytes) }
}

fn stdin() -> Result<String> {
    let mut text = String::new();
    // One more than can be sent, so that what is too long is seen to be.
    let read = std::io::stdin().take(api::BODY_LEN_MAX as u64 + 1).read_to_string(&mut text);
    read.map_err(|error| Failure::new(Code::BadJson, format!("standard input: {error}"), "send JSON in UTF-8"))?;
    if text.len() > api::BODY_LEN_MAX { Err(Failure::body_too_long(api::BODY_LEN_MAX)) } else { Ok(text) }
}

fn not_converged(convergence: &api::Convergence, live: &str, waited: bool) -> Failure {
    let api::Convergence { live: seen, agreeing, .. } = convergence;
    let message = format!("{agreeing} of {seen} live members agree, and {live} live ones are asked for");
    let hint = if waited { "`gossip topology` shows who does not" } else { "wait with --wait --timeout 10s" };
    Failure::new(Code::NotConverged, message, hint)
}

/// How much longer than its own wait an answer may take.
const GRACE: std::time::Duration = std::time::Duration::from_secs(5);
