//! Entries that are written one by one: `set`, `delete`, `resolve`.
//!
//! Knows: how a value becomes bytes of its kind. Does not know: counters and sets.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use gossip_proto::{Kind, PutOptions};
use serde_json::Value;

use super::{Answer, Control, check_depth, check_path, not_found, parse, refused};
use crate::api;
use crate::data::Name;
use crate::document;
use crate::error::{Code, Failure, Result};
use crate::view;

pub(super) async fn set(State(control): State<Control>, body: Body) -> Answer<api::SetDone> {
    let api::Set { key, value, hex, kind, urgent, ttl_ms, wait } = parse(body).await?;
    check_path(&key)?;
    check_depth(&key, &value)?;
    let raw = hex.map(|hex| {
        let wrong = || Failure::new(Code::Usage, "`hex` is not pairs of hexadecimal digits", "or send `value`");
        document::unhex(&hex).ok_or_else(wrong)
    });
    let raw = raw.transpose()?;
    let own_verb = || Failure::new(Code::Usage, "this kind is not set", "use `gossip counter` or `gossip set add`");
    let kind = kind.map(|kind| view::kind_in(kind).ok_or_else(own_verb)).transpose()?;
    let waiting = control.waiting(wait)?;
    let (kind, receipt) = control.handle.with(|node, now| {
        let held = node.get(key.as_bytes()).map(|entry| entry.kind());
        let kind = kind.unwrap_or(held.unwrap_or_default());
        let bytes = raw.map_or_else(|| bytes_of(&key, &value, kind), Ok)?;
        let mut options = PutOptions::new().kind(kind);
        options.urgent = urgent;
        options.ttl = ttl_ms.map(Duration::from_millis);
        node.put(now, key.as_bytes(), &bytes, options).map_err(|error| refused(&key, bytes.len(), error))?;
        Ok::<_, Failure>((kind, waiting.watch(node, now, key.as_bytes())))
    })?;
    let receipt = control.receipt(receipt);
    control.keeper.kept(vec![Name::Entry(key.clone().into_bytes())]).await?;
    let holders = waiting.held(&receipt).await?;
    Ok(Json(api::SetDone { key, kind: view::kind_out(kind), holders }))
}

pub(super) async fn delete(State(control): State<Control>, body: Body) -> Answer<api::Deleted> {
    let api::Delete { key, wait } = parse(body).await?;
    let waiting = control.waiting(wait)?;
    let receipt = control.handle.with(|node, now| match node.delete(now, key.as_bytes()) {
        Ok(true) => Ok(waiting.watch(node, now, key.as_bytes())),
        Ok(false) => Err(not_found(&key)),
        Err(error) => Err(refused(&key, 0, error)),
    })?;
    let receipt = control.receipt(receipt);
    control.keeper.kept(vec![Name::Entry(key.clone().into_bytes())]).await?;
    let holders = waiting.held(&receipt).await?;
    Ok(Json(api::Deleted { key, holders }))
}

/// Puts one value upon all that is held. It takes a second write where there are four: see [`Kind::Siblings`].
pub(super) async fn resolve(State(control): State<Control>, body: Body) -> Answer<api::Resolved> {
    let api::Resolve { key, value, wait } = parse(body).await?;
    check_depth(&key, &value)?;
    let waiting = control.waiting(wait)?;
    let bytes = value.to_string().into_bytes();
    let (resolved, receipt) = control.handle.with(|node, now| {
        let siblings = node.get(key.as_bytes()).ok_or_else(|| not_found(&key))?.siblings();
        if siblings == 0 {
            let message = format!("`{key}` has one value, and nothing to resolve");
            return Err(Failure::new(Code::NothingToResolve, message, "`gossip set` writes upon it"));
        }
        for _ in 0..SIBLINGS_MAX {
            let put = node.put(now, key.as_bytes(), &bytes, PutOptions::new().kind(Kind::Siblings));
            put.map_err(|error| refused(&key, bytes.len(), error))?;
            if node.get(key.as_bytes()).is_none_or(|entry| entry.siblings() == 0) {
                break;
            }
        }
        Ok((siblings + 1, waiting.watch(node, now, key.as_bytes())))
    })?;
    let receipt = control.receipt(receipt);
    control.keeper.kept(vec![Name::Entry(key.clone().into_bytes())]).await?;
    let holders = waiting.held(&receipt).await?;
    Ok(Json(api::Resolved { key, resolved, holders }))
}

/// A value as bytes that compare as they should: the kinds `max` and `min` compare byte by byte, so a whole number gets
/// spaces before it, which JSON does not mind.
pub(super) fn bytes_of(key: &str, value: &Value, kind: Kind) -> Result<Vec<u8>> {
    match (kind, value) {
        (Kind::Max | Kind::Min, Value::Number(number)) => {
            let wrong = || {
                let message = format!("`{key}`: numbers of the kinds max and min are whole and not negative");
                Failure::new(Code::Usage, message, "write a text; texts are compared byte by byte")
            };
            let number = number.as_u64().ok_or_else(wrong)?;
            Ok(format!("{number:>NUMBER_LEN$}").into_bytes())
        }
        _ => Ok(value.to_string().into_bytes()),
    }
}

/// How many siblings an entry has at most.
const SIBLINGS_MAX: usize = 4;
/// The digits of 2^64 - 1.
const NUMBER_LEN: usize = 20;
