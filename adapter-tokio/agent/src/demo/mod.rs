//! `gossip demo`: a swarm of real agents that share, lose one, are cut apart and go on.
//!
//! Knows: the order of the steps, and that everything is cleaned up. Does not know: what a step does.

mod agent;
mod report;
mod screen;
mod steps;
mod swarm;
mod switch;

use std::io::{self, Write};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::error::{Code, Failure, Result};
use report::{Report, Step};
use screen::Screen;
use steps::{Found, Plan};
use swarm::{Swarm, Trouble};

/// Shows a swarm of real agents that share, lose one, are cut apart and go on.
///
/// Five agents run as processes of their own on free ports of 127.0.0.1, and talk through a switch in this program, which
/// can cut them apart. Exit code 0: every step held. Nothing is left behind.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Leave the agents running until Ctrl-C, and say how to talk to them.
    #[arg(long)]
    keep: bool,
}

pub(crate) async fn run(options: &Options, json: bool) -> Result<()> {
    // A panic drops it, and that kills the agents, too.
    let mut swarm = Swarm::new(Screen::new(json)).await?;
    let ended = tokio::select! {
        ended = demo(&mut swarm, json) => ended,
        signal = interrupted() => {
            let message = format!("{signal}: the demo was stopped, and its agents with it");
            swarm.end().await;
            return Err(Failure::new(Code::Other, message, ""));
        }
    };
    if options.keep {
        keep(&swarm).await;
    }
    swarm.end().await;
    ended
}

async fn demo(swarm: &mut Swarm, json: bool) -> Result<()> {
    let start = Instant::now();
    swarm.screen.title("gossip demo: five agents, each a process of its own, on loopback");
    let steps = vec![
        step(swarm, &steps::JOIN, steps::join).await,
        step(swarm, &steps::WRITERS, steps::writers).await,
        step(swarm, &steps::MERGE, steps::merge).await,
        step(swarm, &steps::KILL, steps::kill).await,
        step(swarm, &steps::PARTITION, steps::partition).await,
        step(swarm, &steps::HEAL, steps::heal).await,
        step(swarm, &steps::LEAVE, steps::leave).await,
    ];
    let held = steps.iter().filter(|step| step.held).count();
    let (agents, took_s) = (swarm::NAMES.len(), start.elapsed().as_secs_f64());
    let report = Report { held: held == steps.len(), agents, took_s, steps, switch: swarm.switch.counts() };
    swarm.screen.summary(&report);
    if json {
        let line = serde_json::to_string(&report).map_err(|why| Failure::new(Code::Other, why.to_string(), ""))?;
        // A reader that has gone away is no reason to leave agents behind.
        let _ = writeln!(io::stdout(), "{line}");
    }
    if report.held {
        return Ok(());
    }
    let message = format!("{} of {} steps did not hold", report.steps.len() - held, report.steps.len());
    Err(Failure::new(Code::Other, message, "the lines above say why; a busy machine may need a second try"))
}

/// Runs a step within its time, and counts what the agents sent meanwhile.
async fn step(swarm: &mut Swarm, plan: &Plan, act: impl AsyncFnOnce(&mut Swarm) -> Result<Found, Trouble>) -> Step {
    let (start, limit) = (Instant::now(), plan.limit);
    swarm.screen.step(plan);
    swarm.deadline = start + limit;
    let before = swarm.traffic().await;
    let ended = timeout(limit + GRACE, act(swarm))
        .await
        .unwrap_or_else(|_| Err(Trouble::Failed(format!("it takes more than {limit:?}"))));
    let took_s = start.elapsed().as_secs_f64();
    let (bytes, datagrams) = swarm.traffic_since(&before).await;
    let (found, why) = match ended {
        Ok(found) => (found, None),
        Err(why) => (Found::default(), Some(swarm.bury(why.text()))),
    };
    let Found { converged, text, figures } = found;
    let converged_s = converged.map(|time| time.as_secs_f64());
    let step =
        Step { step: plan.name, held: why.is_none(), took_s, converged_s, bytes, datagrams, found: text, why, figures };
    swarm.screen.verdict(&step);
    step
}

/// Lets the agents go on until a signal.
async fn keep(swarm: &Swarm) {
    swarm.screen.title("\nThe agents that are left go on until you press Ctrl-C. Talk to them:");
    for agent in swarm.running() {
        swarm.screen.say(format!("gossip members --control {}    # {}", agent.ready.control, agent.name));
    }
    interrupted().await;
}

/// The name of the signal that asked this program to end.
#[cfg(unix)]
async fn interrupted() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = async |kind| match signal(kind) {
        Ok(mut signal) => _ = signal.recv().await,
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => "interrupted",
        () = wait(SignalKind::terminate()) => "terminated",
        () = wait(SignalKind::hangup()) => "hung up",
    }
}

#[cfg(not(unix))]
async fn interrupted() -> &'static str {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    "interrupted"
}

/// How much longer a step may take that looks at its own deadline.
const GRACE: Duration = Duration::from_secs(3);
