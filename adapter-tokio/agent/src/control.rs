//! The control port: the verbs of a node as HTTP and JSON.

mod listener;
mod parts;
mod streams;
mod transfer;
mod waits;
mod writes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use gossip_proto::{Node, PublishOptions, PutError, PutOptions};
use gossip_tokio::{Handle, WaitError};
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{self, Instant};

use crate::api::{self, BODY_LEN_MAX, WATCHERS_MAX};
use crate::data::{Keeper, Name};
use crate::document::{self, DEPTH_MAX, Held};
use crate::error::{Code, Failure, Result};
use crate::guard::{self, Guard};
use crate::view;

pub(crate) use listener::Limited;

/// What all routes share.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    pub(crate) handle: Handle,
    pub(crate) about: Arc<view::About>,
    keeper: Keeper,
    watchers: Arc<Semaphore>,
    /// The names of what the node has subscribed to, which knows their hashes; `None`: all.
    topics: Arc<Mutex<Option<Vec<String>>>>,
}

type Answer<T> = Result<Json<T>>;

impl Control {
    /// `topics` is what the node has subscribed to already; `None`: all.
    pub(crate) fn new(handle: Handle, about: view::About, keeper: Keeper, topics: Option<Vec<String>>) -> Self {
        let watchers = Arc::new(Semaphore::new(WATCHERS_MAX));
        Self { handle, about: Arc::new(about), keeper, watchers, topics: Arc::new(Mutex::new(topics)) }
    }

    fn topics(&self) -> Option<Vec<String>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All routes, guarded.
    pub(crate) fn router(self, guard: Guard) -> Router {
        Router::new()
            .route("/v1/members", get(members))
            .route("/v1/info", get(info))
            .route("/v1/get", get(get_entry))
            .route("/v1/list", get(list))
            .route("/v1/topology", get(topology))
            .route("/v1/converged", get(converged))
            .route("/v1/watch", get(streams::watch))
            .route("/v1/events", get(streams::events))
            .route("/v1/set", post(writes::set))
            .route("/v1/resolve", post(writes::resolve))
            .route("/v1/publish", post(publish))
            .route("/v1/delete", post(writes::delete))
            .route("/v1/counter", get(parts::counter))
            .route("/v1/counter/add", post(parts::counter_add))
            .route("/v1/counter/delete", post(parts::counter_delete))
            .route("/v1/elements", get(parts::elements))
            .route("/v1/elements/add", post(parts::element_add))
            .route("/v1/elements/remove", post(parts::element_remove))
            .route("/v1/subscribe", post(subscribe))
            .route("/v1/export", get(transfer::export))
            .route("/v1/import", post(transfer::import))
            .route("/v1/merge", post(merge))
            .route("/v1/leave", post(leave))
            .fallback(unknown)
            .method_not_allowed_fallback(unknown)
            .layer(middleware::from_fn_with_state(Arc::new(guard), guard::check))
            .with_state(self)
    }

    fn watcher(&self) -> Result<OwnedSemaphorePermit> {
        self.watchers.clone().try_acquire_owned().map_err(|_| {
            let message = format!("{WATCHERS_MAX} streams and waits are served already");
            Failure::new(Code::TooManyWatchers, message, "end some of them, or ask another agent")
        })
    }
}

async fn unknown() -> Response {
    let failure = Failure::new(Code::Usage, "there is no such route", "README.md of gossip-agent lists them");
    (StatusCode::NOT_FOUND, Json(failure)).into_response()
}

async fn members(State(control): State<Control>, query: Query<Vec<(String, String)>>) -> Answer<api::Members> {
    let mut tags = Vec::new();
    for (name, value) in &query.0 {
        match (name.as_str(), value.split_once('=')) {
            ("tag", Some(tag)) => tags.push(tag),
            _ => {
                return Err(Failure::new(Code::Usage, format!("`{name}={value}` is no filter"), "use ?tag=name=value"));
            }
        }
    }
    let mut members = view::members(&control.handle);
    members.retain(|member| tags.iter().all(|(name, value)| member.tags.get(*name).is_some_and(|held| held == value)));
    Ok(Json(api::Members { members }))
}

async fn info(State(control): State<Control>) -> Json<api::Info> {
    let topics = control.topics();
    Json(view::info(&control.handle, &control.about, topics.as_deref()))
}

async fn topology(State(control): State<Control>) -> Json<api::Topology> {
    Json(view::topology(&control.handle))
}

/// The entry with this key if nothing lies beneath it, else the document of all that does.
async fn get_entry(State(control): State<Control>, query: Query<BTreeMap<String, String>>) -> Answer<api::Got> {
    let key = parameter(&query.0, "key")?.to_owned();
    let path = match key.as_str() {
        "" => Ok(Vec::new()),
        key => document::path_of(key),
    };
    if query.0.contains_key("raw") {
        let value = control.handle.read(|node| Some(document::raw_value_of(node.get(key.as_bytes())?.value())));
        let value = value.ok_or_else(|| not_found(&key))?;
        return Ok(Json(api::Got { key, value, entry: None, hidden: Vec::new() }));
    }
    if query.0.contains_key("meta") {
        let entry = control.handle.read(|node| view::entry_at(node, &key)).ok_or_else(|| not_found(&key))?;
        return Ok(Json(api::Got { key, value: entry.value.clone(), entry: Some(entry), hidden: Vec::new() }));
    }
    let names: Vec<_> = path.iter().flatten().map(String::as_str).collect();
    let (entry, entries) = control.handle.read(|node| {
        let beneath =
            if path.is_ok() { document::beneath(&names) } else { return (view::entry_at(node, &key), Vec::new()) };
        let entries: Vec<_> = node
            .scan(beneath.as_bytes())
            .filter(view::is_whole)
            .filter_map(|entry| Some((str::from_utf8(entry.key()).ok()?.to_owned(), entry.value().to_vec())))
            .collect();
        (view::entry_at(node, &key), entries)
    });
    if entries.is_empty() {
        return match entry {
            Some(entry) => {
                Ok(Json(api::Got { key, value: entry.value.clone(), entry: Some(entry), hidden: Vec::new() }))
            }
            None if key.is_empty() => {
                Ok(Json(api::Got { key, value: Value::Object(Default::default()), entry, hidden: Vec::new() }))
            }
            None => Err(not_found(&key)),
        };
    }
    let leaf = entry.iter().map(|entry| (key.as_str(), entry.value.clone()));
    let leaves = entries.iter().map(|(key, value)| (key.as_str(), document::value_of(value)));
    let (value, hidden) = document::rebuild(&names, leaf.chain(leaves));
    let value = value.ok_or_else(|| not_found(&key))?;
    Ok(Json(api::Got { key, value, entry: None, hidden }))
}

async fn list(State(control): State<Control>, query: Query<BTreeMap<String, String>>) -> Answer<api::Entries> {
    let prefix = query.0.get("prefix").map_or("", String::as_str);
    Ok(Json(api::Entries { entries: control.handle.read(|node| view::list(node, prefix.as_bytes())) }))
}

async fn publish(State(control): State<Control>, body: Body) -> Answer<api::Published> {
    let api::Publish { topic, message, ttl_ms, urgent } = parse(body).await?;
    check_depth(&topic, &message)?;
    let bytes = message.to_string().into_bytes();
    let mut options = PublishOptions::new();
    if let Some(ttl) = ttl_ms {
        options = options.ttl(Duration::from_millis(ttl));
    }
    control.handle.with(|node, now| {
        let options = if urgent { options.urgent() } else { options };
        let sequence = node.publish(now, topic.as_bytes(), &bytes, options)?;
        Ok(Json(api::Published { origin: view::life(node.life()), sequence, topic }))
    })
}

/// Plans, checks what can be checked, and writes, all under the node's lock: nothing comes between.
async fn merge(State(control): State<Control>, body: Body) -> Answer<api::Merged> {
    let api::Merge { document } = parse(body).await?;
    let Value::Object(patch) = document else {
        let message = "only an object can be merged: its members are the first parts of the keys";
        return Err(Failure::new(Code::NotAnObject, message, "write {\"name\": value}, or use `gossip set`"));
    };
    let api::Limits { content_len_max, value_len_max, .. } = control.about.limits;
    let part = |name: &String| (document::key_of(&[name]), document::beneath(&[name]));
    let parts: Vec<_> = patch.keys().map(part).collect();
    let merged = control.handle.with(|node, now| {
        let mut held = Held::new();
        for (key, beneath) in &parts {
            held.extend(node.get(key.as_bytes()).map(|entry| (key.clone(), entry.value())));
            let below = node.scan(beneath.as_bytes()).filter(view::is_whole);
            held.extend(below.filter_map(|entry| Some((str::from_utf8(entry.key()).ok()?.to_owned(), entry.value()))));
        }
        let document::Plan { puts, deletes } = document::plan(&held, &patch);
        drop(held);
        let mut writes = Vec::with_capacity(puts.len());
        for (key, value) in puts {
            check_path(&key)?;
            check_depth(&key, &value)?;
            let kind = node.get(key.as_bytes()).map(|entry| entry.kind()).unwrap_or_default();
            let bytes = writes::bytes_of(&key, &value, kind)?;
            if key.len() > Node::KEY_LEN_MAX {
                return Err(refused(&key, bytes.len(), PutError::KeyLen { max: Node::KEY_LEN_MAX }));
            }
            let large = if kind == gossip_proto::Kind::Register { value_len_max } else { 0 };
            if key.len() + bytes.len() > content_len_max && bytes.len() > large {
                return Err(refused(&key, bytes.len(), PutError::ValueLen { max: content_len_max.max(large) }));
            }
            writes.push((key, bytes, PutOptions::new().kind(kind)));
        }
        check_room(node, &writes)?;
        let mut merged = api::Merged::default();
        let partly = |failure: Failure, merged: &api::Merged| match merged.written.len() + merged.deleted.len() {
            0 => failure.context("nothing was written"),
            _ => failure.context(format!(
                "written before that: {}",
                [&merged.written[..], &merged.deleted].concat().join(", ")
            )),
        };
        for (key, bytes, options) in writes {
            let put = node.put(now, key.as_bytes(), &bytes, options);
            put.map_err(|error| partly(refused(&key, bytes.len(), error), &merged))?;
            merged.written.push(key);
        }
        for key in deletes {
            let deleted = node.delete(now, key.as_bytes());
            deleted.map_err(|error| partly(refused(&key, 0, error), &merged))?;
            merged.deleted.push(key);
        }
        Ok::<_, Failure>(merged)
    })?;
    control
        .keeper
        .kept([&merged.written[..], &merged.deleted].concat().into_iter().map(|key| Name::Entry(key.into())).collect())
        .await?;
    Ok(Json(merged))
}

/// Changes what the agent wants. The names are kept under a lock that is held meanwhile, so that they are the node's.
async fn subscribe(State(control): State<Control>, body: Body) -> Answer<api::Subscribed> {
    let api::Subscribe { topics } = parse(body).await?;
    if let Some(wrong) = topics.iter().flatten().find(|topic| topic.contains('/')) {
        let hint = "a topic is what stands before the first `/` of keys";
        return Err(Failure::new(Code::BadKey, format!("the topic `{wrong}` has a `/`"), hint));
    }
    let mut held = control.topics.lock().unwrap_or_else(PoisonError::into_inner);
    let told = control.handle.with(|node, now| {
        match &topics {
            Some(topics) => node.subscribe(now, topics.iter().map(String::as_bytes))?,
            None => node.subscribe_all(now)?,
        }
        Ok::<_, Failure>(view::topics(node, topics.as_deref()))
    })?;
    *held = topics;
    Ok(Json(api::Subscribed { topics: told }))
}

async fn leave(State(control): State<Control>, body: Body) -> Answer<api::Left> {
    let api::Nothing {} = parse(body).await?;
    let id = control.handle.read(|node| node.id().to_string());
    match control.handle.leave().await {
        Ok(()) => Ok(Json(api::Left { left: true, id })),
        Err(closed) => Err(Failure::new(Code::Other, closed.to_string(), "the others will find it dead")),
    }
}

/// How far the swarm agrees; with `wait_ms` once it does, or when that time is up.
async fn converged(State(control): State<Control>, query: Query<BTreeMap<String, String>>) -> Answer<api::Convergence> {
    let live = number(&query.0, "live")?.unwrap_or(1) as usize;
    if let Some(wait) = number(&query.0, "wait_ms")? {
        let _watcher = control.watcher()?;
        let deadline = Instant::now() + Duration::from_millis(wait.min(WAIT_MAX_MS));
        while let Ok(_) | Err(WaitError::Timeout(_)) =
            control.handle.converged(deadline.saturating_duration_since(Instant::now())).await
        {
            if control.handle.read(|node| node.live()) >= live || Instant::now() >= deadline {
                break;
            }
            time::sleep(LIVE_INTERVAL).await;
        }
    }
    let mut convergence = view::convergence(&control.handle);
    convergence.converged &= convergence.live >= live;
    Ok(Json(convergence))
}

/// Refuses what cannot fit before anything is written. A single entry is let through: its key may have a place as a
/// deleted one, and it is written or not as a whole anyway.
fn check_room(node: &Node<'_>, writes: &[(String, Vec<u8>, PutOptions)]) -> Result<()> {
    let fresh = || writes.iter().filter(|(key, ..)| node.get(key.as_bytes()).is_none());
    let (count, (used, max)) = (fresh().count(), node.entries_used());
    if count > 1 && used + count > max {
        let before = format!("nothing was written: {count} entries are new, {used} are in use");
        return Err(Failure::from(PutError::EntriesFull { max }).context(before));
    }
    let (len, (used, max)) = (fresh().map(|(key, value, _)| key.len() + value.len()).sum::<usize>(), node.bytes_used());
    if used + len > max {
        let before = format!("nothing was written: {len} bytes are new, {used} are in use");
        return Err(Failure::from(PutError::BytesFull { max }).context(before));
    }
    Ok(())
}

fn refused(key: &str, len: usize, error: PutError) -> Failure {
    let before = match error {
        PutError::KeyLen { .. } => {
            format!("key `{}…` of {} bytes", key.chars().take(40).collect::<String>(), key.len())
        }
        PutError::ValueLen { .. } => format!("`{key}`, {} and {len} bytes", key.len()),
        _ => format!("`{key}`"),
    };
    Failure::from(error).context(before)
}

fn not_found(key: &str) -> Failure {
    let hint = "`gossip list` shows what there is; news may be on its way: see `gossip converged`";
    Failure::new(Code::NotFound, format!("there is no entry `{key}`, and none beneath it"), hint)
}

fn check_path(key: &str) -> Result<()> {
    let why = match document::path_of(key) {
        Ok(_) => return Ok(()),
        Err(document::PathError::Empty) => "is empty".to_owned(),
        Err(document::PathError::Escape) => "has a `~` that is no escape".to_owned(),
        Err(document::PathError::Depth) => format!("has more than {DEPTH_MAX} levels"),
    };
    let hint = "a key is a path like `site/nav/speed`; inside a name, write ~1 for `/` and ~0 for `~`";
    let key: String = key.chars().take(80).collect();
    Err(Failure::new(Code::BadKey, format!("key `{key}` {why}"), hint))
}

fn check_depth(key: &str, value: &Value) -> Result<()> {
    if document::depth(value) <= DEPTH_MAX {
        return Ok(());
    }
    let message = format!("the value of `{key}` is nested deeper than {DEPTH_MAX} levels");
    Err(Failure::new(Code::BadJson, message, "make it flatter"))
}

/// Reads and parses a body, neither longer nor for longer than is good.
async fn parse<T: DeserializeOwned>(body: Body) -> Result<T> {
    if body.size_hint().lower() > BODY_LEN_MAX as u64 {
        return Err(Failure::body_too_long(BODY_LEN_MAX));
    }
    let body = time::timeout(BODY_TIMEOUT, to_bytes(body, BODY_LEN_MAX)).await.map_err(|_| {
        Failure::new(Code::Timeout, format!("the body did not arrive within {BODY_TIMEOUT:?}"), "send it at once")
    })?;
    let body = body.map_err(|error| match error.into_inner().downcast::<LengthLimitError>() {
        Ok(_) => Failure::body_too_long(BODY_LEN_MAX),
        Err(error) => Failure::new(Code::Usage, format!("the body could not be read: {error}"), "send it again"),
    })?;
    serde_json::from_slice(&body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Failure::new(Code::Usage, error.to_string(), "README.md has the schema"),
        _ => Failure::new(Code::BadJson, error.to_string(), "line and column count from 1"),
    })
}

fn parameter<'q>(query: &'q BTreeMap<String, String>, name: &str) -> Result<&'q str> {
    let missing =
        || Failure::new(Code::Usage, format!("the parameter `{name}` is missing"), "README.md has the routes");
    query.get(name).map(String::as_str).ok_or_else(missing)
}

fn number(query: &BTreeMap<String, String>, name: &str) -> Result<Option<u64>> {
    let wrong = |_| Failure::new(Code::Usage, format!("`{name}` must be a number"), "README.md has the routes");
    query.get(name).map(|text| text.parse().map_err(wrong)).transpose()
}

/// The longest that a client may wait in one request.
const WAIT_MAX_MS: u64 = 24 * 3600 * 1000;
/// Loopback takes no time; another machine may be at the end of a slow line.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How often live members are counted while waiting for a number of them.
const LIVE_INTERVAL: Duration = Duration::from_millis(20);
