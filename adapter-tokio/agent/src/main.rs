//! The `gossip` program: an agent to run beside your process, and the commands that talk to it.
#![forbid(unsafe_code)]

mod agent;
mod api;
mod cli;
mod client;
mod commands;
mod control;
mod data;
mod demo;
mod document;
mod dot;
mod error;
mod guard;
mod hooks;
mod output;
mod sim;
mod view;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::error::{Code, Failure, Result};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misunderstood(&error),
    };
    let json = cli.json;
    match dispatch(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure, json);
            failure.exit_code()
        }
    }
}

fn dispatch(cli: &Cli) -> Result<()> {
    match &cli.command {
        Command::Sim(options) => sim::run(options, cli.json),
        Command::Demo(options) => runtime()?.block_on(demo::run(options, cli.json)),
        Command::Agent(options) => runtime()?.block_on(agent::run(options)),
        command => runtime()?.block_on(commands::run(command, cli.json)),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Code::Other, format!("no runtime: {error}"), ""))
}

/// Prints help and versions, and in JSON what is wrong if JSON was asked for.
fn misunderstood(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|arg| arg == "--json");
    if !error.use_stderr() || !json {
        let _ = error.print();
        return if error.use_stderr() { ExitCode::from(Code::Usage.exit()) } else { ExitCode::SUCCESS };
    }
    let text = error.to_string();
    let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let failure = Failure::new(Code::Usage, message, "see `gossip --help`");
    report(&failure, true);
    failure.exit_code()
}

/// Errors go to standard error, as JSON or for people. Who has closed it does not want to know.
fn report(failure: &Failure, json: bool) {
    let line = serde_json::to_string(failure).ok().filter(|_| json);
    let _ = writeln!(std::io::stderr(), "{}", line.unwrap_or_else(|| format!("error: {failure}")));
}
