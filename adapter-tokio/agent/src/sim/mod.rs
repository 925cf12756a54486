//! `gossip sim`: the simulator from the shell.
//!
//! Knows: how to run one or many seeds and print what came out. Does not know: what a scenario does; the core does.

mod args;
mod status;
mod table;

use std::any::Any;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use gossip_proto::sim::{self as simulator, Progress, Report, Scenario, Spec};
use serde::Serialize;

pub(crate) use args::Options;

use crate::error::{Code, Failure, Result};
use status::Status;

/// Runs what was asked for. It is an error when a run broke an invariant or did not reach its end; the others go on.
pub(crate) fn run(options: &Options, json: bool) -> Result<()> {
    if options.list {
        return list(json);
    }
    let first = options.spec()?;
    let mut trace = options.trace.as_deref().map(create).transpose()?;
    let mut status = Status::new(options.runs);
    let (mut reports, mut broken) = (Vec::new(), None);
    let panics = Panics::caught();
    for run in 0..options.runs {
        let spec = first.clone().seed(first.seed + run);
        match one(&spec, &mut status, trace.as_mut(), &panics)? {
            Ok(report) => {
                if json {
                    line(&report)?;
                }
                reports.push(report);
            }
            Err(why) => broken = broken.or(Some((why, spec.command()))),
        }
    }
    drop((status, panics));
    if let Some(mut trace) = trace {
        trace.flush().map_err(|why| unwritten("the trace", &why))?;
    }
    if !json {
        let single = if options.runs == 1 { reports.first() } else { None };
        print(&single.map_or_else(|| table::many(&reports, options.runs), table::one))?;
    }
    if let Some((why, replay)) = broken {
        let count = options.runs - reports.len() as u64;
        let message = format!("{count} of {} runs broke an invariant; the first: {why}", options.runs);
        return Err(Failure::new(Code::Other, message, format!("see it again: {replay}")));
    }
    let unfinished = reports.iter().filter(|report| !report.converged).count();
    let Some(report) = reports.iter().find(|report| !report.converged) else { return Ok(()) };
    let message = format!("{unfinished} of {} runs did not reach their end in time", options.runs);
    let hint = format!("see it again: {}", first.seed(report.seed).command());
    Err(Failure::new(Code::NotConverged, message, hint))
}

/// One run, with its wall time; the inner error is the panic of a check.
fn one(
    spec: &Spec,
    status: &mut Status,
    mut trace: Option<&mut BufWriter<File>>,
    panics: &Panics,
) -> Result<Result<Report, String>> {
    status.begin(spec);
    let mut written = Ok(());
    let mut progress = |progress: Progress<'_>| match progress {
        Progress::Step { phase, now, events } => status.step(spec, phase, now, events),
        Progress::Trace(lines) => {
            if let (Some(trace), Ok(())) = (trace.as_mut(), &written) {
                written = trace.write_all(lines.as_bytes());
            }
        }
        _ => {}
    };
    let ran = panic::catch_unwind(AssertUnwindSafe(|| simulator::run(spec, &mut progress)));
    written.map_err(|why| unwritten("the trace", &why))?;
    let wall_s = status.end().as_secs_f64();
    Ok(ran
        .map(|mut report| {
            report.wall_s = wall_s;
            report
        })
        .map_err(|payload| panics.take(payload.as_ref())))
}

fn list(json: bool) -> Result<()> {
    for scenario in Scenario::ALL {
        let (name, what) = (scenario.name(), args::describe(scenario));
        if json {
            line(&serde_json::json!({ "scenario": name, "what": what }))?;
        } else {
            print(&format!("{name:<12} {what}\n"))?;
        }
    }
    Ok(())
}

fn create(path: &Path) -> Result<BufWriter<File>> {
    File::create(path).map(BufWriter::new).map_err(|why| {
        Failure::new(Code::Usage, format!("{}: {why}", path.display()), "--trace wants a file that can be written")
    })
}

fn line(value: &impl Serialize) -> Result<()> {
    let json = serde_json::to_string(value).map_err(|why| unwritten("the report", &why.into()))?;
    print(&format!("{json}\n"))
}

fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|why| unwritten("the report", &why))
}

fn unwritten(what: &str, why: &io::Error) -> Failure {
    Failure::new(Code::Other, format!("{what} could not be written: {why}"), "is the disk full, or the reader gone?")
}

/// Keeps the place of the last panic, in the place of a backtrace on the screen.
struct Panics(Arc<Mutex<String>>);

impl Panics {
    fn caught() -> Self {
        let place = Arc::new(Mutex::new(String::new()));
        let kept = place.clone();
        panic::set_hook(Box::new(move |info| {
            let at = info.location().map_or_else(String::new, |at| format!(" ({}:{})", at.file(), at.line()));
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = at;
        }));
        Self(place)
    }

    fn take(&self, payload: &(dyn Any + Send)) -> String {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
        // The hint says how to replay it.
        let text = text.split("; SEED=").next().unwrap_or(text);
        format!("{text}{}", std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        let _ = panic::take_hook();
    }
}
