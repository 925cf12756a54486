//! `import`: a file of many lines as requests that an agent takes.

use std::io::{BufRead, BufReader};
use std::path::Path;

use super::client;
use crate::api::{BODY_LEN_MAX, ExportHead, ExportLine, Import, Imported};
use crate::cli::Remote;
use crate::client::Client;
use crate::error::{Code, Failure, Result};
use crate::output;

pub(super) async fn import(file: &Path, other_swarm: bool, remote: &Remote, json: bool) -> Result<()> {
    let unreadable = |error: std::io::Error| {
        Failure::new(Code::Usage, format!("{}: {error}", file.display()), "name a file that `gossip export` wrote")
    };
    let from: Box<dyn BufRead> = if file.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(BufReader::new(std::fs::File::open(file).map_err(unreadable)?))
    };
    let mut lines = from.lines();
    let head = lines.next().transpose().map_err(unreadable)?.unwrap_or_default();
    let head: ExportHead = serde_json::from_str(&head).map_err(|error| bad(1, &error))?;
    let swarm = (!other_swarm).then_some(head.swarm);
    let mut batch = Batch {
        client: client(remote),
        len: 0,
        total: Imported::default(),
        sent: false,
        import: Import { swarm, format: head.format, lines: Vec::new() },
    };
    let mut count = 0;
    for (number, line) in (2..).zip(lines) {
        let line = line.map_err(unreadable)?;
        let ExportLine { saved, .. } = match serde_json::from_str(&line) {
            Ok(line) => line,
            Err(error) => {
                batch.send().await?;
                return Err(bad(number, &error));
            }
        };
        count += 1;
        if batch.len + saved.len() + LINE_LEN > BODY_LEN_MAX - HEAD_LEN {
            batch.send().await?;
        }
        batch.len += saved.len() + LINE_LEN;
        batch.import.lines.push((number, saved));
    }
    batch.send().await?;
    if count < head.entries {
        let message = format!("it has {count} of {} entries, which are merged", head.entries);
        return Err(Failure::new(Code::BadData, message, "the file was cut off: export it anew"));
    }
    output::show(json, &batch.total, |total| match total.unwanted {
        0 => format!("{} entries are merged", total.merged),
        unwanted => format!("{} entries are merged, {unwanted} are of topics that are not wanted", total.merged),
    })
}

/// What is not sent yet.
struct Batch {
    client: Client,
    len: usize,
    total: Imported,
    sent: bool,
    import: Import,
}

impl Batch {
    /// Sends what there is; an empty one once, so that the head of an export without entries is looked at too.
    async fn send(&mut self) -> Result<()> {
        if self.import.lines.is_empty() && self.sent {
            return Ok(());
        }
        let done: Imported = self.client.post("/v1/import", &self.import).await?;
        self.total.merged += done.merged;
        self.total.unwanted += done.unwanted;
        self.import.lines.clear();
        (self.len, self.sent) = (0, true);
        Ok(())
    }
}

fn bad(number: usize, error: &serde_json::Error) -> Failure {
    let message = format!("line {number} is not one of an export, all before it is merged: {error}");
    Failure::new(Code::BadJson, message, "name a file that `gossip export` wrote")
}

/// What a line takes in a request beside its `saved`, at most.
const LINE_LEN: usize = 32;
/// What a request takes beside its lines; a swarm's name takes a few hundred bytes at most.
const HEAD_LEN: usize = 64 << 10;
