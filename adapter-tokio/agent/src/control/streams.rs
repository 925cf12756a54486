//! What happens, as lines of JSON for as long as somebody reads.
//!
//! Knows: which events a reader asked for. Does not know: what is in them.
//! Full: at most [`WATCHERS_MAX`](crate::api::WATCHERS_MAX) readers; a slow one is told that it missed events.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use gossip_tokio::{EntryEvent, Event, Events, Handle};
use tokio::sync::OwnedSemaphorePermit;

use super::Control;
use crate::api;
use crate::error::Result;
use crate::view;

pub(super) async fn watch(State(control): State<Control>, query: Query<BTreeMap<String, String>>) -> Result<Response> {
    let prefix = query.0.get("prefix").cloned().unwrap_or_default();
    let (permit, entries) = (control.watcher()?, control.handle.entry_events());
    let messages = control.handle.message_events();
    let first = api::Event::Watching { id: control.handle.read(|node| node.id().to_string()), prefix: prefix.clone() };
    Ok(lines(control.handle, permit, first, Source::Beneath(entries, messages, prefix)))
}

pub(super) async fn events(State(control): State<Control>) -> Result<Response> {
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
                    let told =
                        |event: EntryEvent| event.key.starts_with(prefix).then(|| view::entry_event(handle, &event));
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
