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

const MILLION: f64 = 1e6;

impl Report {
    pub(super) fn new(
        args: &Args,
        phase: Phase,
        tally: Tally,
        took: Duration,
        server_cpu: Option<Duration>,
    ) -> Self {
        let seconds = took.as_secs_f64();
        let per_million = |cpu: Duration| cpu.as_secs_f64() * MILLION / tally.done as f64;
        Self {
            phase,
            jobs: tally.done,
            seconds,
            jobs_per_second: if seconds > 0.0 {
                tally.done as f64 / seconds
            } else {
                0.0
            },
            latency: Latency::of(&tally),
            server_cpu_seconds_per_million: server_cpu.filter(|_| tally.done > 0).map(per_million),
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
        if json {
            println!(
                "{}",
                serde_json::to_string(self).expect("a report is plain data")
            );
        } else {
            println!("{}", self.text());
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{:<10} {:>9} jobs in {:>7.2} s: {:>8.0} jobs/s; {}",
            self.phase.name(),
            self.jobs,
            self.seconds,
            self.jobs_per_second,
            self.latency,
        );
        if let Some(cpu) = self.server_cpu_seconds_per_million {
            let _ = write!(text, "; server {cpu:.2} CPU s per million");
        }
        if self.interrupted {
            text.push_str("; interrupted");
        }
        if let Some(error) = &self.first_error {
            let _ = write!(text, "\n{:<10} {} errors, first: {error}", "", self.errors);
        }
        text
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
