//! What a phase found, for people and as JSON.

use super::args::{TopicPhase, TopicsArgs};
use crate::bench::Latency;
use crate::bench::report::{self, Line};
use crate::bench::tally::Tally;
use std::time::Duration;

/// The result of one phase.
#[derive(Clone, Debug, serde::Serialize)]
pub struct TopicReport {
    /// What was measured.
    pub phase: TopicPhase,
    /// Entries published; in `live` and `replay`, entries that readers got, each counted for every reader.
    pub entries: u64,
    /// How long that took.
    pub seconds: f64,
    /// Entries per second.
    pub entries_per_second: f64,
    /// How long a TPUB, an entry from its publisher to a reader, or a TREAD took.
    pub latency: Latency,
    /// CPU seconds of the nodes per million entries, if they run on this machine.
    pub server_cpu_seconds_per_million: Option<f64>,
    /// Wrong replies, entries that came wrongly or not at all, and lost connections.
    pub errors: u64,
    /// The first of them, in words.
    pub first_error: Option<String>,
    /// Whether Ctrl-C ended it early.
    pub interrupted: bool,
    /// Connections that publish.
    pub connections: usize,
    /// TPUBs sent at once on one.
    pub pipeline: usize,
    /// Connections that read.
    pub readers: usize,
    /// Entries asked for by a TREAD.
    pub page: u32,
    /// Bytes of a body.
    pub size: usize,
    /// Channels.
    pub channels: usize,
}

impl TopicReport {
    pub(super) fn new(
        args: &TopicsArgs,
        phase: TopicPhase,
        tally: Tally,
        took: Duration,
        server_cpu: Option<Duration>,
    ) -> Self {
        Self {
            phase,
            entries: tally.done,
            seconds: took.as_secs_f64(),
            entries_per_second: report::per_second(tally.done, took),
            latency: Latency::of(&tally),
            server_cpu_seconds_per_million: report::per_million(server_cpu, tally.done),
            errors: tally.errors,
            first_error: tally.first_error,
            interrupted: false,
            connections: args.connections.get(),
            pipeline: args.pipeline.get(),
            readers: args.readers.get(),
            page: args.page,
            size: args.size,
            channels: args.channels.get(),
        }
    }

    /// Whether every reply and every entry was right and the phase ran to its end.
    pub fn is_good(&self) -> bool {
        self.errors == 0 && !self.interrupted
    }

    pub(in crate::bench) fn print(&self, json: bool) {
        report::print(self, || self.text(), json);
    }

    pub(super) fn text(&self) -> String {
        Line {
            phase: self.phase.name(),
            width: 8,
            what: "entries",
            done: self.entries,
            seconds: self.seconds,
            per_second: self.entries_per_second,
            latency: self.latency,
            cpu_per_million: self.server_cpu_seconds_per_million,
            interrupted: self.interrupted,
            errors: self.errors,
            first_error: self.first_error.as_deref(),
        }
        .text()
    }
}
