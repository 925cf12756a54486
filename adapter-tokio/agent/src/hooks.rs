//! `agent --on EVENT CMD`: a command for each event of a kind, with the event as a line of JSON on its standard input.
//!
//! The commands of one `--on` run one after another, in the order of the events; those of several run side by side. While
//! one runs, further events wait in the stream, which tells when it was too full.

use std::process::Stdio;
use std::time::Duration;

use clap::ValueEnum;
use gossip_tokio::{Event, Events, Handle};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time;

use crate::agent::Log;
use crate::api::{self, EntryChange, MemberChange};
use crate::view;

/// What a command can be run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Occasion {
    /// Every event.
    Any,
    /// A member was seen for the first time.
    Joined,
    /// A member answers no probe.
    Suspected,
    /// A suspected member has shown that it is alive.
    Refuted,
    /// A member did not refute in time.
    Died,
    /// A member said farewell.
    Left,
    /// A member that was dead or had left is back.
    Returned,
    /// A member's address or tags are new.
    Updated,
    /// A member gave way to another in a table that is full.
    Evicted,
    /// This agent has been taken in.
    SelfJoined,
    /// This agent's farewell has gone out.
    SelfLeft,
    /// An entry changed, or expired.
    Entry,
    /// An entry's time to live is over.
    Expired,
    /// A message came.
    Message,
    /// Messages were missed for good.
    Missed,
    /// All live members agree.
    Converged,
    /// Some live member differs again.
    Diverged,
    /// This agent hears nobody any more.
    Isolated,
    /// This agent hears somebody again.
    Reconnected,
    /// Half or less of the remembered members live.
    QuorumLost,
    /// More than half of the remembered members live again.
    QuorumRegained,
    /// The announcement of a sleep has gone out.
    Asleep,
    /// Deletes are no longer kept for members that were away for too long.
    HorizonPassed,
    /// Entries were dropped for want of room.
    Shed,
    /// Two members at least take the time to be another.
    ClockDiffers,
    /// Events were lost.
    Lagged,
}

impl Occasion {
    /// What an event is an occasion of; `None` for the first line of a stream, which is no event.
    fn of(event: &api::Event) -> Option<Self> {
        Some(match event {
            api::Event::Watching { .. } => return None,
            api::Event::Joined => Self::SelfJoined,
            api::Event::Left => Self::SelfLeft,
            api::Event::Member { change, .. } => match change {
                MemberChange::Joined => Self::Joined,
                MemberChange::Suspected => Self::Suspected,
                MemberChange::Refuted => Self::Refuted,
                MemberChange::Died => Self::Died,
                MemberChange::Left => Self::Left,
                MemberChange::Returned => Self::Returned,
                MemberChange::Updated => Self::Updated,
                MemberChange::Evicted => Self::Evicted,
            },
            api::Event::Entry { change: EntryChange::Expired, .. } => Self::Expired,
            api::Event::Entry { .. } => Self::Entry,
            api::Event::Message { .. } => Self::Message,
            api::Event::Missed { .. } => Self::Missed,
            api::Event::Converged => Self::Converged,
            api::Event::Diverged => Self::Diverged,
            api::Event::Isolated => Self::Isolated,
            api::Event::Reconnected => Self::Reconnected,
            api::Event::QuorumLost => Self::QuorumLost,
            api::Event::QuorumRegained => Self::QuorumRegained,
            api::Event::Asleep => Self::Asleep,
            api::Event::HorizonPassed => Self::HorizonPassed,
            api::Event::Shed => Self::Shed,
            api::Event::ClockDiffers { .. } => Self::ClockDiffers,
            api::Event::Lagged { .. } => Self::Lagged,
        })
    }
}

/// A command and what it is run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hook {
    on: Occasion,
    command: String,
}

impl Hook {
    /// Hooks from the values of `--on`, which come in pairs.
    pub(crate) fn pairs(values: &[String]) -> Result<Vec<Self>, String> {
        let hook = |pair: &[String]| match pair {
            [on, command] => {
                let on = Occasion::from_str(on, false).map_err(|_| {
                    let known: Vec<_> =
                        Occasion::value_variants().iter().filter_map(|on| on.to_possible_value()).collect();
                    let known: Vec<_> = known.iter().map(clap::builder::PossibleValue::get_name).collect();
                    format!("--on {on}: no such event; known are {}", known.join(", "))
                })?;
                Ok(Self { on, command: command.clone() })
            }
            _ => Err("--on takes an event and a command".into()),
        };
        values.chunks(2).map(hook).collect()
    }

    /// Runs the command on each event that it is for, until the node has left.
    pub(crate) async fn run(self, handle: Handle, log: Log, mut events: Events<Event>) {
        while let Some(event) = events.next().await {
            let event = match event {
                Ok(event) => view::event(&handle, &event),
                Err(lagged) => {
                    log.warn(format_args!("`{}` was too slow: {} events were lost to it", self.command, lagged.0));
                    Some(api::Event::Lagged { missed: lagged.0 })
                }
            };
            let Some(event) = event else { continue };
            let Some(occasion) = Occasion::of(&event) else { continue };
            let wider = matches!((self.on, occasion), (Occasion::Any, _) | (Occasion::Entry, Occasion::Expired));
            if wider || self.on == occasion {
                if let Err(why) = self.once(occasion, &event).await {
                    log.warn(format_args!("`{}`: {why}", self.command));
                }
            }
        }
    }

    async fn once(&self, occasion: Occasion, event: &api::Event) -> Result<(), String> {
        let mut line = serde_json::to_string(event).map_err(|error| error.to_string())?;
        line.push('\n');
        let name = occasion.to_possible_value();
        // Standard output is for the one line of `--ready-json`; what a command prints goes where the log goes.
        let mut child = shell(&self.command)
            .env("GOSSIP_EVENT", name.as_ref().map_or("", clap::builder::PossibleValue::get_name))
            .stdin(Stdio::piped())
            .stdout(std::io::stderr())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot be run: {error}"))?;
        let stdin = child.stdin.take();
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A command need not read.
                let _ = stdin.write_all(line.as_bytes()).await;
            }
        };
        let ended = async { tokio::join!(feed, child.wait()).1 };
        match time::timeout(RUN_TIMEOUT, ended).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(status.to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("was ended: it ran for longer than {RUN_TIMEOUT:?}")),
        }
    }
}

fn shell(command: &str) -> Command {
    let (shell, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    let mut shell = Command::new(shell);
    shell.arg(flag).arg(command);
    shell
}

/// A guess: what takes longer should put itself into the background.
const RUN_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_must_be_known() {
        let given = |on: &str| Hook::pairs(&[on.into(), "true".into()]);
        assert_eq!(given("died"), Ok(vec![Hook { on: Occasion::Died, command: "true".into() }]));
        assert!(given("dies").unwrap_err().contains("no such event; known are any, joined"), "{:?}", given("dies"));
    }
}
