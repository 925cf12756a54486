//! Counters and sets: what is many entries under one name.
//!
//! Knows: their verbs, and that an element is the JSON of it without spaces. Does not know: other entries with their keys,
//! which are not theirs.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Query, State};
use gossip_proto::{Kind, Node, PutError};
use serde_json::Value;

use super::{Answer, Control, check_depth, check_path, parameter, parse, refused};
use crate::api;
use crate::data::Name;
use crate::error::{Code, Failure, Result};
use crate::view;

pub(super) async fn counter(
    State(control): State<Control>,
    query: Query<BTreeMap<String, String>>,
) -> Answer<api::Counter> {
    let key = parameter(&query.0, "key")?.to_owned();
    let value = control.handle.read(|node| node.counter(key.as_bytes())).ok_or_else(|| missing("counter", &key))?;
    Ok(Json(api::Counter { key, value, holders: None }))
}

pub(super) async fn counter_add(State(control): State<Control>, body: Body) -> Answer<api::Counter> {
    let api::CounterAdd { key, by, wait } = parse(body).await?;
    check_path(&key)?;
    let waiting = control.waiting(wait)?;
    let (value, names, receipt) = control.handle.with(|node, now| {
        node.counter_add(now, key.as_bytes(), by).map_err(|error| refused(&key, 0, error))?;
        let receipt = waiting.watch_part(node, now, (Kind::Counter, key.as_bytes(), b""));
        Ok::<_, Failure>((node.counter(key.as_bytes()).unwrap_or_default(), counted(node, key.as_bytes()), receipt))
    })?;
    let receipt = control.receipt(receipt);
    control.keeper.kept(names).await?;
    let holders = waiting.held(&receipt).await?;
    Ok(Json(api::Counter { key, value, holders }))
}

pub(super) async fn counter_delete(State(control): State<Control>, body: Body) -> Answer<api::Deleted> {
    let api::Delete { key, wait } = parse(body).await?;
    let waiting = control.waiting(wait)?;
    let names = control.handle.with(|node, now| {
        let names = counted(node, key.as_bytes());
        match node.counter_delete(now, key.as_bytes()) {
            Ok(true) => Ok(names),
            Ok(false) => Err(missing("counter", &key)),
            Err(error) => Err(refused(&key, 0, error)),
        }
    })?;
    control.keeper.kept(names).await?;
    let holders = waiting.agreed().await?;
    Ok(Json(api::Deleted { key, holders }))
}

pub(super) async fn elements(
    State(control): State<Control>,
    query: Query<BTreeMap<String, String>>,
) -> Answer<api::Elements> {
    let key = parameter(&query.0, "key")?.to_owned();
    let elements = control.handle.read(|node| view::elements(node, key.as_bytes()));
    if elements.is_empty() { Err(missing("set", &key)) } else { Ok(Json(api::Elements { key, elements })) }
}

pub(super) async fn element_add(State(control): State<Control>, body: Body) -> Answer<api::ElementDone> {
    let api::Element { key, element, ttl_ms, wait } = parse(body).await?;
    let bytes = bytes_of(&key, &element)?;
    let waiting = control.waiting(wait)?;
    let added = control.handle.with(|node, now| {
        match ttl_ms.map(Duration::from_millis) {
            Some(ttl) => node.set_add_for(now, key.as_bytes(), &bytes, ttl)?,
            None => node.set_add(now, key.as_bytes(), &bytes)?,
        }
        Ok(waiting.watch_part(node, now, (Kind::Set, key.as_bytes(), &bytes)))
    });
    let receipt = control.receipt(added.map_err(|error| refused_element(&key, bytes.len(), error))?);
    control.keeper.kept(vec![Name::new(Kind::Set, key.as_bytes(), &bytes)]).await?;
    let holders = waiting.held(&receipt).await?;
    Ok(Json(api::ElementDone { key, element, holders }))
}

pub(super) async fn element_remove(State(control): State<Control>, body: Body) -> Answer<api::ElementDone> {
    let api::Element { key, element, ttl_ms, wait } = parse(body).await?;
    if ttl_ms.is_some() {
        let hint = "a lifetime is of what is added: `gossip set add KEY JSON --ttl 5s`";
        return Err(Failure::new(Code::Usage, "what is removed has no lifetime", hint));
    }
    let bytes = bytes_of(&key, &element)?;
    let waiting = control.waiting(wait)?;
    let receipt = control.handle.with(|node, now| match node.set_remove(now, key.as_bytes(), &bytes) {
        Ok(true) => Ok(waiting.watch_part(node, now, (Kind::Set, key.as_bytes(), &bytes))),
        Ok(false) => Err(missing(&format!("element {element} in a set"), &key)),
        Err(error) => Err(refused_element(&key, bytes.len(), error)),
    })?;
    let receipt = control.receipt(receipt);
    control.keeper.kept(vec![Name::new(Kind::Set, key.as_bytes(), &bytes)]).await?;
    let holders = waiting.held(&receipt).await?;
    Ok(Json(api::ElementDone { key, element, holders }))
}

fn bytes_of(key: &str, element: &Value) -> Result<Vec<u8>> {
    check_path(key)?;
    check_depth(key, element)?;
    Ok(element.to_string().into_bytes())
}

/// The parts of a counter that count anything.
fn counted(node: &Node<'_>, key: &[u8]) -> Vec<Name> {
    let parts = node.scan(key).filter(|part| part.kind() == Kind::Counter && part.key() == key);
    parts.map(|part| Name::new(Kind::Counter, key, part.part())).collect()
}

fn refused_element(key: &str, len: usize, error: PutError) -> Failure {
    match error {
        PutError::KeyLen { .. } => {
            let message = format!("`{key}`, {} bytes, and an element of {len} bytes", key.len());
            let message = format!("{message}: together they take at most {} bytes", Node::KEY_LEN_MAX - 1);
            Failure::new(Code::KeyTooLong, message, "write a shorter element, or entries of its own for it")
        }
        error => refused(key, len, error),
    }
}

fn missing(what: &str, key: &str) -> Failure {
    let hint = "`gossip list` shows what there is; news may be on its way: see `gossip converged`";
    Failure::new(Code::NotFound, format!("there is no {what} `{key}`"), hint)
}
