//! The control port: the verbs of a node as HTTP and JSON.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use futures_util::stream;
use gossip_proto::{Node, PublishOptions, PutError, PutOptions};
use gossip_tokio::{EntryEvent, Event, Events, Handle, WaitError};
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{self, Instant};

use crate::api::{self, BODY_LEN_MAX, WATCHERS_MAX};
use crate::data::Keeper;
use crate::document::{self, DEPTH_MAX, Held};
use crate::error::{Code, Failure, Result};
use crate::guard::{self, Guard};
use crate::view;

/// What all routes share.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    pub(crate) handle: Handle,
    pub(crate) about: Arc<view::About>,
    keeper: Keeper,
    watchers: Arc<Semaphore>,
}

type Answer<T> = Result<Json<T>>;

impl Control {
    pub(crate) fn new(handle: Handle, about: view::About, keeper: Keeper) -> Self {
        Self { handle, about: Arc::new(about), keeper, watchers: Arc::new(Semaphore::new(WATCHERS_MAX)) }
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
            .route("/v1/watch", get(watch))
            .route("/v1/events", get(events))
            .route("/v1/set", post(set))
            .route("/v1/publish", post(publish))
            .route("/v1/delete", post(delete))
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
    Json(view::info(&control.handle, &control.about))
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
    let names: Vec<_> = path.iter().flatten().map(String::as_str).collect();
    let (entry, entries) = control.handle.read(|node| {
        let beneath =
            if path.is_ok() { document::beneath(&names) } else { return (view::entry_at(node, &key), Vec::new()) };
        let entries: Vec<_> = node
            .scan(beneath.as_bytes())
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
    let mut entries = control.handle.read(|node| node.scan(prefix.as_bytes()).map(view::entry).collect::<Vec<_>>());
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(Json(api::Entries { entries }))
}

async fn set(State(control): State<Control>, body: Body) -> Answer<api::SetDone> {
    let api::Set { key, value, hex, kind, urgent } = parse(body).await?;
    check_path(&key)?;
    check_depth(&key, &value)?;
    let bytes = match hex {
        Some(hex) => document::unhex(&hex)
            .ok_or_else(|| Failure::new(Code::Usage, "`hex` is not pairs of hexadecimal digits", "or send `value`"))?,
        None => value.to_string().into_bytes(),
    };
    let kind = control.handle.with(|node, now| {
        let held = node.get(key.as_bytes()).map(|entry| entry.kind());
        let kind = kind.map_or(held.unwrap_or_default(), view::kind_in);
        let options = PutOptions::new().kind(kind);
        let put = node.put(now, key.as_bytes(), &bytes, if urgent { options.urgent() } else { options });
        put.map(|()| kind).map_err(|error| refused(&key, bytes.len(), error))
    })?;
    control.keeper.kept(vec![key.clone().into_bytes()]).await?;
    Ok(Json(api::SetDone { key, kind: view::kind_out(kind) }))
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

async fn delete(State(control): State<Control>, body: Body) -> Answer<api::Deleted> {
    let api::Delete { key } = parse(body).await?;
    match control.handle.with(|node, now| node.delete(now, key.as_bytes())) {
        Ok(true) => {
            control.keeper.kept(vec![key.clone().into_bytes()]).await?;
            Ok(Json(api::Deleted { key }))
        }
        Ok(false) => Err(not_found(&key)),
        Err(error) => Err(refused(&key, 0, error)),
    }
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
            let below = node.scan(beneath.as_bytes());
            held.extend(below.filter_map(|entry| Some((str::from_utf8(entry.key()).ok()?.to_owned(), entry.value()))));
        }
        let document::Plan { puts, deletes } = document::plan(&held, &patch);
        drop(held);
        let mut writes = Vec::with_capacity(puts.len());
        for (key, value) in puts {
            check_path(&key)?;
            check_depth(&key, &value)?;
            let bytes = value.to_string().into_bytes();
            if key.len() > Node::KEY_LEN_MAX {
                return Err(refused(&key, bytes.len(), PutError::KeyLen { max: Node::KEY_LEN_MAX }));
            }
            let kind = node.get(key.as_bytes()).map(|entry| entry.kind()).unwrap_or_default();
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
        .kept([&merged.written[..], &merged.deleted].concat().into_iter().map(String::into_bytes).collect())
        .await?;
    Ok(Json(merged))
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

async fn watch(State(control): State<Control>, query: Query<BTreeMap<String, String>>) -> Result<Response> {
    let prefix = query.0.get("prefix").cloned().unwrap_or_default();
    let (permit, entries) = (control.watcher()?, control.handle.entry_events());
    let messages = control.handle.message_events();
    let first = api::Event::Watching { id: control.handle.read(|node| node.id().to_string()), prefix: prefix.clone() };
    Ok(lines(control.handle, permit, first, Source::Beneath(entries, messages, prefix)))
}

async fn events(State(control): State<Control>) -> Result<Response> {
    let (permit, all) = (control.watcher()?, control.handle.events());
    let first = api::Event::Watching { id: control.handle.read(|node| node.id().to_string()), prefix: String::new() };
    Ok(lines(control.handle, permit, first, Source::All(all)))
}

/// Where the lines of a stream come from.
enum Source {
    Beneath(Events<EntryEvent>, Events<Event>, String),
    All(Events<Event>),
}

impl Source {
    /// The next line; `None` once the node has left.
    async fn next(&mut self, handle: &Handle) -> Option<api::Event> {
        loop {
            let event = match self {
                Self::Beneath(entries, messages, prefix) => {
                    let prefix = prefix.as_bytes();
                    let told = |event: EntryEvent| {
                        event.key.starts_with(prefix).then(|| view::entry_event(handle, &event.key, event.conflict))
                    };
                    // A gap may be of any topic.
                    let sent = |event: Event| match &event {
                        Event::Message { topic, .. } if !topic.starts_with(prefix) => None,
                        _ => view::event(handle, &event),
                    };
                    tokio::select! {
                        event = entries.next() => event?.map(told),
                        event = messages.next() => event?.map(sent),
                    }
                }
                Self::All(events) => events.next().await?.map(|event| view::event(handle, &event)),
            };
            match event {
                Ok(Some(event)) => return Some(event),
                Ok(None) => {}
                Err(lagged) => return Some(api::Event::Lagged { missed: lagged.0 }),
            }
        }
    }
}

/// A response of one JSON object a line, for as long as the source has some. A reader that is too slow is told that it
/// missed events; it holds up nobody.
fn lines(handle: Handle, permit: OwnedSemaphorePermit, first: api::Event, source: Source) -> Response {
    let state = (Some(first), source, handle, permit);
    let lines = stream::unfold(state, async |(first, mut source, handle, permit)| {
        let event = match first {
            Some(first) => first,
            None => source.next(&handle).await?,
        };
        let line = serde_json::to_string(&event).map(|line| Bytes::from(line + "\n"));
        Some((line, (None, source, handle, permit)))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")], Body::from_stream(lines))
        .into_response()
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
