//! All that an agent holds, as lines of JSON, and back.
//!
//! Knows: what a line is. Does not know: entries from within; they are the bytes that a node saves, merged like those that
//! came from another agent.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use gossip_proto::{Kind, Saved};
use serde_json::Value;

use super::{Answer, Control, parse};
use crate::api::{self, ExportHead, ExportLine};
use crate::data::Name;
use crate::document::{hex, unhex, value_of};
use crate::error::{Code, Failure, Result};
use crate::view;

/// Every entry at one moment, deleted ones too; a line is made when it is asked for.
pub(super) async fn export(State(control): State<Control>) -> Result<Response> {
    let held = control.handle.read(|node| {
        let saved = node.saved().map(|saved| (Name::of(&saved), (saved.as_bytes().to_vec(), None::<Vec<u8>>, 0)));
        let mut held: BTreeMap<_, _> = saved.collect();
        for entry in node.scan(b"") {
            if let Some(line) = held.get_mut(&Name::new(entry.kind(), entry.key(), entry.part())) {
                (line.1, line.2) = (Some(entry.value().to_vec()), entry.count());
            }
        }
        held
    });
    let head = ExportHead {
        export: "gossip".into(),
        format: Saved::FORMAT,
        swarm: control.about.swarm.clone(),
        entries: held.len(),
    };
    let head = serde_json::to_string(&head);
    let lines = held.into_values().map(|(saved, value, count)| line(&saved, value.as_deref(), count));
    let lines = std::iter::once(head).chain(lines).map(|line| line.map(|line| Bytes::from(line + "\n")));
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(stream::iter(lines))).into_response())
}

fn line(bytes: &[u8], value: Option<&[u8]>, count: i128) -> serde_json::Result<String> {
    let Ok(saved) = Saved::from_bytes(bytes) else { return Ok(String::new()) };
    let is_set = saved.kind() == Kind::Set;
    serde_json::to_string(&ExportLine {
        key: String::from_utf8_lossy(saved.key()).into_owned(),
        kind: Some(view::kind_out(saved.kind())),
        element: is_set.then(|| value_of(saved.part())),
        value: match (saved.kind(), value) {
            (_, None) => Value::Null,
            (Kind::Set, Some(_)) => true.into(),
            (Kind::Counter, Some(_)) => i64::try_from(count).map_or_else(|_| count.to_string().into(), Value::from),
            (_, Some(bytes)) => value_of(bytes),
        },
        saved: hex(bytes),
    })
}

/// Merges lines of an export; stops at the first that cannot be taken in. No event tells of them.
pub(super) async fn import(State(control): State<Control>, body: Body) -> Answer<api::Imported> {
    let api::Import { swarm, format, lines } = parse(body).await?;
    if let Some(swarm) = swarm.filter(|swarm| *swarm != control.about.swarm) {
        let message = format!("it is an export of the swarm `{swarm}`, and this agent's is `{}`", control.about.swarm);
        return Err(Failure::new(Code::BadData, message, "take it all the same with --other-swarm"));
    }
    if format != Saved::FORMAT {
        let message = format!("the export has format {format}, and this version reads {}", Saved::FORMAT);
        return Err(Failure::new(Code::BadData, message, "export it with this version"));
    }
    let (mut imported, mut names, mut failed) = (api::Imported::default(), Vec::new(), None);
    for (number, digits) in lines {
        let taken = unhex(&digits)
            .ok_or_else(|| Failure::new(Code::BadData, "`saved` is not pairs of hexadecimal digits", "export it anew"));
        let taken = taken.and_then(|bytes| {
            let saved = Saved::from_bytes(&bytes)?;
            control.handle.with(|node, now| {
                if !node.wants(saved.key()) {
                    return Ok(None);
                }
                node.restore(now, saved)?;
                Ok::<_, Failure>(Some(Name::of(&saved)))
            })
        });
        match taken {
            Ok(Some(name)) => names.push(name),
            Ok(None) => imported.unwanted += 1,
            Err(failure) => {
                failed = Some(failure.context(format!("line {number}, all before it is merged")));
                break;
            }
        }
    }
    imported.merged = names.len();
    control.keeper.kept(names).await?;
    failed.map_or(Ok(Json(imported)), Err)
}
