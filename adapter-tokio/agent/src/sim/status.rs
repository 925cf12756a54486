//! The line on stderr that says how far a long run is, and when it will have ended.
//!
//! Knows: how long scenarios take in virtual time. Does not know: what they measure.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use gossip_proto::sim::{Scenario, Spec};

/// Draws on a terminal in place; elsewhere a line now and then, since logs grow.
pub(super) struct Status {
    tty: bool,
    runs: u64,
    started: Instant,
    run: u64,
    run_started: Instant,
    expected: Duration,
    phase: &'static str,
    /// Wall and virtual time at two moments of this phase, for the pace of late; the later one is under a second old.
    marks: [(Instant, Duration); 2],
    drawn: Option<Instant>,
    on_screen: bool,
}

impl Status {
    pub(super) fn new(runs: u64) -> Self {
        let now = wall();
        Self {
            tty: io::stderr().is_terminal(),
            runs,
            started: now,
            run: 0,
            run_started: now,
            expected: Duration::ZERO,
            phase: "",
            marks: [(now, Duration::ZERO); 2],
            drawn: None,
            on_screen: false,
        }
    }

    /// The next run begins.
    pub(super) fn begin(&mut self, spec: &Spec) {
        self.run += 1;
        self.run_started = wall();
        self.marks = [(self.run_started, Duration::ZERO); 2];
        self.expected = expected(spec);
    }

    /// The run has ended; this is how long it took.
    pub(super) fn end(&mut self) -> Duration {
        let took = self.run_started.elapsed();
        self.clear();
        took
    }

    pub(super) fn step(&mut self, spec: &Spec, phase: &'static str, virtual_time: Duration, events: u64) {
        let now = wall();
        if phase != self.phase {
            self.phase = phase;
            self.marks = [(now, virtual_time); 2];
        } else if now - self.marks[1].0 >= Duration::from_secs(1) {
            self.marks = [self.marks[1], (now, virtual_time)];
        }
        let (first, every) = if self.tty { (TTY_FIRST, TTY_EVERY) } else { (LOG_FIRST, LOG_EVERY) };
        if now - self.started < first || self.drawn.is_some_and(|drawn| now - drawn < every) {
            return;
        }
        self.drawn = Some(now);
        let run = if self.runs > 1 { format!(" · run {} of {}", self.run, self.runs) } else { String::new() };
        let rate = events as f64 / (now - self.run_started).as_secs_f64().max(1e-3);
        let left = self.left(now, virtual_time).map_or_else(String::new, |left| format!(" · {} left", human(left)));
        let line = format!(
            "{} · {} nodes{run} · {phase} · {:.1} s of about {} s · {:.0}k events/s{left}",
            spec.scenario,
            spec.nodes,
            virtual_time.as_secs_f64(),
            self.expected.as_secs(),
            rate / 1e3,
        );
        let mut stderr = io::stderr().lock();
        // A status that cannot be shown is no reason to stop.
        let _ = if self.tty { write!(stderr, "\r\x1b[K{line}") } else { writeln!(stderr, "{line}") };
        let _ = stderr.flush();
        self.on_screen = self.tty;
    }

    /// How long the rest takes, at the pace of late and, from the second run on, as long as the runs before.
    fn left(&self, now: Instant, virtual_time: Duration) -> Option<Duration> {
        let before = (self.run > 1).then(|| (self.run_started - self.started) / (self.run - 1) as u32);
        let this = now - self.run_started;
        let (mark, at) = self.marks[0];
        let pace = virtual_time.saturating_sub(at).as_secs_f64() / (now - mark).as_secs_f64().max(1e-3);
        // To find each other is the dearest second of all: nothing follows from it.
        let known = !matches!(self.phase, "start" | "cold start") && now - mark >= PACE_MIN;
        let rest = self.expected.saturating_sub(virtual_time).as_secs_f64();
        let by_pace = (known && rest > 0.0 && pace > 1e-6).then(|| Duration::from_secs_f64((rest / pace).min(1e7)));
        let this_left = before.map(|run| run.saturating_sub(this)).or(by_pace)?;
        let others = before.unwrap_or(this + this_left) * (self.runs - self.run) as u32;
        Some(this_left + others)
    }

    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.on_screen) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        self.clear();
    }
}

/// How much virtual time a scenario takes when all goes well: seen in runs of 64 to 1,024 nodes.
fn expected(spec: &Spec) -> Duration {
    let window = spec.seconds;
    let seconds = match spec.scenario {
        Scenario::ColdStart => window.unwrap_or(3).max(3),
        Scenario::Newcomer => 34,
        Scenario::Idle => 122 + window.unwrap_or(60),
        Scenario::Crash => 45,
        Scenario::Split => 140,
        Scenario::Spread => 43,
        Scenario::Writers => 74,
        Scenario::Loss => 32 + window.unwrap_or(600),
        _ => window.unwrap_or(600),
    };
    Duration::from_secs(seconds)
}

fn human(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=99 => format!("{seconds} s"),
        100..=5999 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// The one clock of the simulator's status and of `wall_s`; the simulator itself reads none.
#[allow(clippy::disallowed_methods, reason = "how long a run took is measured here, outside the simulator")]
fn wall() -> Instant {
    Instant::now()
}

/// Most runs end before.
const TTY_FIRST: Duration = Duration::from_millis(300);
/// A pace over less is a guess.
const PACE_MIN: Duration = Duration::from_millis(200);
const TTY_EVERY: Duration = Duration::from_millis(150);
const LOG_FIRST: Duration = Duration::from_secs(2);
const LOG_EVERY: Duration = Duration::from_secs(10);
