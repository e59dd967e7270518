//! What a phase found, for people and as JSON.

use super::args::{TopicPhase, TopicsArgs};
use crate::bench::Latency;
use crate::bench::tally::Tally;
use std::fmt::Write as _;
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

const MILLION: f64 = 1e6;

impl TopicReport {
    pub(super) fn new(
        args: &TopicsArgs,
        phase: TopicPhase,
        tally: Tally,
        took: Duration,
        server_cpu: Option<Duration>,
    ) -> Self {
        let seconds = took.as_secs_f64();
        let entries = tally.done as f64;
        let per_million = |cpu: Duration| cpu.as_secs_f64() * MILLION / entries;
        Self {
            phase,
            entries: tally.done,
            seconds,
            entries_per_second: if seconds > 0.0 {
                entries / seconds
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
            "{:<8} {:>9} entries in {:>7.2} s: {:>8.0} entries/s; {}",
            self.phase.name(),
            self.entries,
            self.seconds,
            self.entries_per_second,
            self.latency,
        );
        if let Some(cpu) = self.server_cpu_seconds_per_million {
            let _ = write!(text, "; server {cpu:.2} CPU s per million");
        }
        if self.interrupted {
            text.push_str("; interrupted");
        }
        if let Some(error) = &self.first_error {
            let _ = write!(text, "\n{:<8} {} errors, first: {error}", "", self.errors);
        }
        text
    }
}
