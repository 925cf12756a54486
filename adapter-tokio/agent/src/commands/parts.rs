//! The commands of counters and sets.

use super::{client, parse};
use crate::api::{self, Wait};
use crate::cli::{Counter, Remote};
use crate::error::{Code, Failure, Result};
use crate::output;

pub(super) async fn counter(command: &Counter, json: bool) -> Result<()> {
    match command {
        Counter::Add { key, by, waiting, remote } => {
            let wait = waiting.wait();
            let add = api::CounterAdd { key: key.clone(), by: *by, wait };
            let done: api::Counter = client(remote).post_within("/v1/counter/add", &add, wait).await?;
            output::show(json, &done, |done| format!("{key} is {}{}", done.value, output::holders(done.holders)))
        }
        Counter::Get { key, remote } => {
            let counter: api::Counter = client(remote).get("/v1/counter", &[("key", key)]).await?;
            output::show(json, &counter, |counter| counter.value.to_string())
        }
        Counter::Delete { key, waiting, remote } => {
            let wait = waiting.wait();
            let delete = api::Delete { key: key.clone(), wait };
            let done: api::Deleted = client(remote).post_within("/v1/counter/delete", &delete, wait).await?;
            output::show(json, &done, |done| format!("{key} is deleted{}", output::holders(done.holders)))
        }
    }
}

/// `set add KEY JSON` and `set remove KEY JSON`.
pub(super) async fn element(
    verb: &str,
    key: &str,
    element: &str,
    (ttl_ms, wait): (Option<u64>, Option<Wait>),
    remote: &Remote,
    json: bool,
) -> Result<()> {
    let (path, done) = match verb {
        "add" => ("/v1/elements/add", "is in"),
        "remove" => ("/v1/elements/remove", "is not in"),
        _ => {
            let message = format!("`set {verb} {key} …` is not understood: three words begin with `add` or `remove`");
            return Err(Failure::new(Code::Usage, message, "quote JSON that has spaces; see `gossip set --help`"));
        }
    };
    let body = api::Element { key: key.to_owned(), element: parse(element)?, ttl_ms, wait };
    let answer: api::ElementDone = client(remote).post_within(path, &body, wait).await?;
    let words =
        |answer: &api::ElementDone| format!("{} {done} {key}{}", answer.element, output::holders(answer.holders));
    output::show(json, &answer, words)
}
