//! Answers for people: tables and sentences. `--json` prints the schema instead.

use std::io::{self, Write};

use serde::Serialize;

use crate::api;
use crate::error::{Code, Failure, Result};

/// Prints an answer as JSON or in words. A reader that has gone away is no error.
pub(crate) fn show<T: Serialize>(json: bool, answer: &T, words: impl FnOnce(&T) -> String) -> Result<()> {
    if json {
        let text = serde_json::to_string(answer).map_err(|error| Failure::new(Code::Other, error.to_string(), ""))?;
        line(&text).map(|_| ())
    } else {
        line(words(answer).trim_end_matches('\n')).map(|_| ())
    }
}

/// Prints a line at once. Whether anybody still reads.
pub(crate) fn line(text: &str) -> Result<bool> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(Code::Other, format!("standard output: {error}"), "")),
    }
}

pub(crate) fn members(members: &api::Members) -> String {
    let header = ["NAME", "ID", "ADDRESS", "STATE", "RTT", "TAGS"];
    let rows = members.members.iter().map(|member| {
        let tags: Vec<_> = member
            .tags
            .iter()
            .filter(|(name, _)| *name != "name")
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        [
            named(member.name.as_deref(), member.own),
            member.id.clone(),
            member.addr.clone(),
            state(member.state).into(),
            member.rtt_us.map_or("-".into(), |us| ms(us as f64)),
            tags.join(" "),
        ]
    });
    table(header, rows)
}

pub(crate) fn info(info: &api::Info) -> String {
    let used = |used: &api::Used| format!("{} of {}", used.used, used.max);
    let mut lines = vec![
        ("agent".into(), format!("{} ({}), version {}", info.id, info.name.as_deref().unwrap_or("-"), info.version)),
        ("swarm".into(), info.swarm.clone()),
        ("gossip".into(), format!("{}, others use {}", info.bind, info.advertise)),
        ("control".into(), format!("http://{}", info.control)),
        (
            "lifecycle".into(),
            format!("{:?}, incarnation {}, up {}", info.lifecycle, info.incarnation, seconds(info.uptime_ms))
                .to_lowercase(),
        ),
        ("convergence".into(), convergence(&info.convergence)),
        ("topics".into(), topics(info.topics.as_deref())),
        ("members".into(), used(&info.tables.members)),
        ("entries".into(), used(&info.tables.entries)),
        ("bytes".into(), used(&info.tables.bytes)),
        (
            "limits".into(),
            format!(
                "key {} bytes, key and value {} bytes, a register's value {} bytes",
                info.limits.key_len_max, info.limits.content_len_max, info.limits.value_len_max
            ),
        ),
    ];
    lines.extend(
        info.stats.iter().filter(|(_, count)| **count > 0).map(|(name, count)| (name.clone(), count.to_string())),
    );
    lines.extend(
        info.socket
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(name, count)| (format!("socket {name}"), count.to_string())),
    );
    lines.iter().map(|(name, value)| format!("{name:20} {value}\n")).collect()
}

pub(crate) fn convergence(convergence: &api::Convergence) -> String {
    let api::Convergence { live, agreeing, root, since_ms_ago, converged, .. } = convergence;
    let word = if *converged { "converged" } else { "not converged" };
    format!("{word}: {agreeing} of {live} live members agree on {root}, for {}", seconds(*since_ms_ago))
}

pub(crate) fn topology(topology: &api::Topology) -> String {
    let header = ["NAME", "ID", "ADDRESS", "STATE", "RTT", "HEARD", "VIA", "AGREES"];
    let named_by_id = |id: &String| {
        let relay = topology.members.iter().find(|member| member.id == *id);
        relay.and_then(|relay| relay.name.clone()).unwrap_or_else(|| id.clone())
    };
    let rows = topology.members.iter().map(|member| {
        let lost = topology.disagreeing.iter().find(|one| one.id == member.id);
        let agrees = match (member.agrees, lost.map(|one| one.agreed_ms_ago)) {
            (None, _) => "-".into(),
            (_, Some(None)) => "never yet".into(),
            (_, Some(Some(ms))) => format!("{} ago", seconds(ms)),
            (Some(agrees), None) => if agrees { "yes" } else { "no" }.into(),
        };
        [
            named(member.name.as_deref(), member.own),
            member.id.clone(),
            member.addr.clone(),
            state(member.state).into(),
            member.rtt_us.map_or("-".into(), |us| ms(us as f64)),
            member.heard_ms_ago.map_or("-".into(), |ms| format!("{} ago", seconds(ms))),
            member.via.as_ref().map_or("-".into(), named_by_id),
            agrees,
        ]
    });
    format!("{}\n{}", convergence(&topology.convergence), table(header, rows))
}

pub(crate) fn entries(entries: &api::Entries) -> String {
    let line = |entry: &api::Entry| match &entry.values[..] {
        [_, _, ..] => {
            entry.values.iter().map(|version| format!("{} = {}  (sibling)\n", entry.key, version.value)).collect()
        }
        _ => format!("{} = {}\n", entry.key, entry.value),
    };
    entries.entries.iter().map(line).collect()
}

pub(crate) fn got(got: &api::Got) -> String {
    let mut text = match &got.entry {
        Some(entry) if entry.values.len() > 1 => {
            entry.values.iter().map(|version| format!("{}\n", version.value)).collect()
        }
        Some(entry) => entry.value.to_string(),
        None => serde_json::to_string_pretty(&got.value).unwrap_or_default(),
    };
    if !got.hidden.is_empty() {
        text += &format!("\n(without {}, whose place another entry needs)", got.hidden.join(", "));
    }
    text
}

/// An entry with all that is known of its values.
pub(crate) fn meta(got: &api::Got) -> String {
    let Some(entry) = &got.entry else { return String::new() };
    let header = ["VALUE", "STAMP", "WRITER", "ENDS"];
    let rows = entry.values.iter().map(|version| {
        let ends = version.ends_unix_s.map_or("-".into(), |ends| ends.to_string());
        [version.value.to_string(), version.stamp_us.to_string(), version.writer.clone(), ends]
    });
    let siblings = entry.values.len().saturating_sub(1);
    let kind = format!("{:?}", entry.kind).to_lowercase();
    format!("{}: {kind}, {siblings} siblings\n{}", printable(&entry.key), table(header, rows))
}

pub(crate) fn elements(set: &api::Elements) -> String {
    set.elements.iter().map(|element| format!("{element}\n")).collect()
}

pub(crate) fn topics(topics: Option<&[api::Topic]>) -> String {
    let Some(topics) = topics else { return "all topics".into() };
    let words = topics.iter().map(|api::Topic { topic, ceiling }| match ceiling {
        32 => topic.clone(),
        part => format!("{topic} ({part}/32 of it, for want of room)"),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// What a wait came to, to stand behind what was written.
pub(crate) fn holders(holders: Option<api::Holders>) -> String {
    holders.map_or(String::new(), |held| format!(", and {} of {} live members hold it", held.confirmed, held.live))
}

pub(crate) fn merged(merged: &api::Merged) -> String {
    let lines = |sign: &str, keys: &[String]| keys.iter().map(|key| format!("{sign} {key}\n")).collect::<String>();
    format!("{}{}", lines("+", &merged.written), lines("-", &merged.deleted))
}

fn state(state: api::State) -> &'static str {
    match state {
        api::State::Alive => "alive",
        api::State::Suspect => "suspect",
        api::State::Dead => "dead",
        api::State::Left => "left",
    }
}

fn named(name: Option<&str>, own: bool) -> String {
    format!("{}{}", printable(name.unwrap_or("-")), if own { " *" } else { "" })
}

/// Others choose their tags: what would move the cursor is shown as an escape.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

fn ms(us: f64) -> String {
    format!("{:.1} ms", us / 1000.0)
}

fn seconds(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..120_000 => format!("{:.1} s", ms as f64 / 1000.0),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

/// Columns as wide as they must be; the last one ends where it ends.
fn table<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<_> =
        std::iter::once(header.map(Into::into)).chain(rows.map(|row| row.map(|cell| printable(&cell)))).collect();
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let line = |row: &[String; N]| {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}
