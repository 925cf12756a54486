//! What a person sees: lines with the time, a verdict per step, a table at the end.
//!
//! Knows: columns and colours. Does not know: what happens.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use tokio::time::Instant;

use super::report::{Report, Step};
use super::steps::Plan;
use super::switch::Counts;

/// Writes lines, with colour on a terminal only.
#[derive(Debug)]
pub(super) struct Screen {
    start: Instant,
    stderr: bool,
    colour: bool,
}

#[derive(Clone, Copy, Debug)]
enum Colour {
    Bold = 1,
    Dim = 2,
    Red = 31,
    Green = 32,
}

impl Screen {
    /// On standard output or, when that is for the summary alone, on standard error.
    pub(super) fn new(stderr: bool) -> Self {
        let tty = if stderr { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
        let plain =
            std::env::var_os("NO_COLOR").is_some() || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { start: Instant::now(), stderr, colour: tty && !plain }
    }

    pub(super) fn title(&self, text: &str) {
        self.line(&self.paint(Colour::Bold, text));
    }

    pub(super) fn step(&self, plan: &Plan) {
        self.line("");
        let name = format!("{}. {}:", plan.number, plan.name);
        self.line(&format!("{} {}", self.paint(Colour::Bold, &name), plan.what));
    }

    /// Something happened now.
    pub(super) fn say(&self, text: impl AsRef<str>) {
        let time = format!("{:>8.3} s", self.start.elapsed().as_secs_f64());
        self.line(&format!("{}  {}", self.paint(Colour::Dim, &time), text.as_ref()));
    }

    pub(super) fn verdict(&self, step: &Step) {
        let converged = step.converged_s.map_or_else(String::new, |s| format!(" · converged in {s:.2} s"));
        let sent = format!("{converged} · {} in {} datagrams", bytes(step.bytes), step.datagrams);
        match &step.why {
            None => self.say(format!("{} {}{sent}", self.paint(Colour::Green, "held:"), step.found)),
            Some(why) => {
                let mut lines = why.lines();
                let first = lines.next().unwrap_or_default();
                self.say(format!("{} {first}{sent}", self.paint(Colour::Red, "FAILED:")));
                lines.for_each(|line| self.line(&format!("            {line}")));
            }
        }
    }

    /// The table at the end.
    pub(super) fn summary(&self, report: &Report) {
        self.line("");
        let head = format!(
            "{:<10} {:<6} {:>9} {:>13} {:>10} {:>10}  found",
            "step", "held", "took", "converged in", "sent", "datagrams"
        );
        self.line(&self.paint(Colour::Bold, &head));
        for step in &report.steps {
            let held = self.paint(
                if step.held { Colour::Green } else { Colour::Red },
                if step.held { "yes   " } else { "NO    " },
            );
            let converged = step.converged_s.map_or("-".into(), |s| format!("{s:.2} s"));
            let (took, sent) = (format!("{:.2} s", step.took_s), bytes(step.bytes));
            let found = step.why.as_deref().and_then(|why| why.lines().next()).unwrap_or(&step.found);
            self.line(&format!(
                "{:<10} {held} {took:>9} {converged:>13} {sent:>10} {:>10}  {found}",
                step.step, step.datagrams
            ));
        }
        let Counts { forwarded, forwarded_bytes, cut, unknown } = report.switch;
        let lost = if unknown > 0 { format!(", and {unknown} went nowhere") } else { String::new() };
        let carried = format!("the switch carried {forwarded} datagrams, {}", bytes(forwarded_bytes));
        self.line(&self.paint(Colour::Dim, &format!("{carried}; the partition cut {cut}{lost}")));
        let held = report.steps.iter().filter(|step| step.held).count();
        let text = format!("{held} of {} steps held in {:.1} s", report.steps.len(), report.took_s);
        self.line(&self.paint(if report.held { Colour::Green } else { Colour::Red }, &text));
    }

    /// A line of its own; that nobody reads it is no reason to stop.
    fn line(&self, text: &str) {
        let _ = if self.stderr { writeln!(io::stderr(), "{text}") } else { writeln!(io::stdout(), "{text}") };
    }

    fn paint(&self, colour: Colour, text: &str) -> String {
        if self.colour { format!("\x1b[{}m{text}\x1b[0m", colour as u8) } else { text.into() }
    }
}

/// Seconds for people.
pub(super) fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

pub(super) fn bytes(count: u64) -> String {
    if count < 10_000 { format!("{count} B") } else { format!("{:.1} kB", count as f64 / 1e3) }
}
