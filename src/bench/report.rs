//! What a phase found, for people and as JSON.

use super::args::{Args, Phase};
use super::tally::Tally;
use std::fmt::{self, Write as _};
use std::time::Duration;

/// The result of one phase.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Report {
    /// What was measured.
    pub phase: Phase,
    /// Jobs done.
    pub jobs: u64,
    /// How long that took.
    pub seconds: f64,
    /// Jobs per second.
    pub jobs_per_second: f64,
    /// How long commands, or in `end-to-end` jobs, took.
    pub latency: Latency,
    /// CPU seconds of the node per million jobs, if it runs on this machine.
    pub server_cpu_seconds_per_million: Option<f64>,
    /// Wrong replies and lost connections.
    pub errors: u64,
    /// The first of them, in words.
    pub first_error: Option<String>,
    /// Whether Ctrl-C ended it early.
    pub interrupted: bool,
    /// Connections.
    pub connections: usize,
    /// Commands sent at once on one.
    pub pipeline: usize,
    /// Jobs asked for at once.
    pub count: usize,
    /// Bytes of a body.
    pub size: usize,
    /// Queues.
    pub queues: usize,
}

/// How long something took, in milliseconds.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Latency {
    /// Half took at most this long.
    pub p50_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// 999 of 1000.
    pub p999_ms: f64,
    /// All.
    pub max_ms: f64,
}

/// What people read of a report, of jobs or of entries.
pub(super) struct Line<'a> {
    pub(super) phase: &'a str,
    /// Columns for the names of phases.
    pub(super) width: usize,
    /// What is counted.
    pub(super) what: &'a str,
    pub(super) done: u64,
    pub(super) seconds: f64,
    pub(super) per_second: f64,
    pub(super) latency: Latency,
    pub(super) cpu_per_million: Option<f64>,
    pub(super) interrupted: bool,
    pub(super) errors: u64,
    pub(super) first_error: Option<&'a str>,
}

/// How much was done in a second.
pub(super) fn per_second(done: u64, took: Duration) -> f64 {
    let seconds = took.as_secs_f64();
    if seconds > 0.0 {
        done as f64 / seconds
    } else {
        0.0
    }
}

/// CPU seconds per million, if any was done.
pub(super) fn per_million(cpu: Option<Duration>, done: u64) -> Option<f64> {
    const MILLION: f64 = 1e6;
    let cpu = cpu.filter(|_| done > 0)?;
    Some(cpu.as_secs_f64() * MILLION / done as f64)
}

/// Prints a report, as an object of JSON or as text.
pub(super) fn print(report: &impl serde::Serialize, text: impl FnOnce() -> String, json: bool) {
    let line = if json {
        serde_json::to_string(report).expect("a report is plain data")
    } else {
        text()
    };
    println!("{line}");
}

impl Line<'_> {
    pub(super) fn text(&self) -> String {
        let Self {
            phase,
            width,
            what,
            done,
            seconds,
            per_second,
            latency,
            cpu_per_million,
            interrupted,
            errors,
            first_error,
        } = *self;
        let mut text = format!(
            "{phase:<width$} {done:>9} {what} in {seconds:>7.2} s: {per_second:>8.0} {what}/s; {latency}"
        );
        if let Some(cpu) = cpu_per_million {
            let _ = write!(text, "; server {cpu:.2} CPU s per million");
        }
        if interrupted {
            text.push_str("; interrupted");
        }
        if let Some(error) = first_error {
            let _ = write!(text, "\n{:<width$} {errors} errors, first: {error}", "");
        }
        text
    }
}

impl Report {
    pub(super) fn new(
        args: &Args,
        phase: Phase,
        tally: Tally,
        took: Duration,
        server_cpu: Option<Duration>,
    ) -> Self {
        Self {
            phase,
            jobs: tally.done,
            seconds: took.as_secs_f64(),
            jobs_per_second: per_second(tally.done, took),
            latency: Latency::of(&tally),
            server_cpu_seconds_per_million: per_million(server_cpu, tally.done),
            errors: tally.errors,
            first_error: tally.first_error,
            interrupted: false,
            connections: args.connections.get(),
            pipeline: args.pipeline.get(),
            count: args.count.get(),
            size: args.size,
            queues: args.queues.get(),
        }
    }

    /// Whether every reply was right and the phase ran to its end.
    pub fn is_good(&self) -> bool {
        self.errors == 0 && !self.interrupted
    }

    pub(super) fn print(&self, json: bool) {
        print(self, || self.text(), json);
    }

    pub(super) fn text(&self) -> String {
        Line {
            phase: self.phase.name(),
            width: 10,
            what: "jobs",
            done: self.jobs,
            seconds: self.seconds,
            per_second: self.jobs_per_second,
            latency: self.latency,
            cpu_per_million: self.server_cpu_seconds_per_million,
            interrupted: self.interrupted,
            errors: self.errors,
            first_error: self.first_error.as_deref(),
        }
        .text()
    }
}

impl Latency {
    pub(super) fn of(tally: &Tally) -> Self {
        let ms = |micros: u64| micros as f64 / 1000.0;
        let quantile = |quantile| ms(tally.latency.value_at_quantile(quantile));
        Self {
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            p999_ms: quantile(0.999),
            max_ms: ms(tally.latency.max()),
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            p50_ms,
            p99_ms,
            p999_ms,
            max_ms,
        } = self;
        write!(
            f,
            "p50 {p50_ms:.3} ms, p99 {p99_ms:.3}, p99.9 {p999_ms:.3}, max {max_ms:.3}"
        )
    }
}
