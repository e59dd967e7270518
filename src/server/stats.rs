//! What the server counts of itself, for INFO.

use std::time::{Duration, Instant};

use shoalmq_core::telling::{Histogram, WAIT_MICROS};

use crate::command::{CommandIndex, table};

/// INFO's rates are means over this many of the last samples, one every [`SAMPLE_EVERY`].
const SAMPLES: usize = 16;
pub(crate) const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// Calls of one command, and the time that they took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CommandStats {
    pub(crate) calls: u64,
    pub(crate) time: Duration,
    /// Calls that were answered with an error at once.
    pub(crate) failed: u64,
    /// Calls that were refused before they ran; not among `calls`.
    pub(crate) refused: u64,
    /// In microseconds, by [`WAIT_MICROS`].
    pub(crate) times: Histogram<{ WAIT_MICROS.len() }>,
}

/// A figure that only grows, and how fast it did lately.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rate {
    pub(crate) total: u64,
    sampled: u64,
    samples: [f64; SAMPLES],
    next: usize,
}

impl Rate {
    fn sample(&mut self, elapsed: Duration) {
        let grown = self.total - self.sampled;
        self.samples[self.next] = grown as f64 / elapsed.as_secs_f64().max(f64::EPSILON);
        self.next = (self.next + 1) % SAMPLES;
        self.sampled = self.total;
    }

    /// The mean growth per second.
    pub(crate) fn per_second(&self) -> f64 {
        self.samples.iter().sum::<f64>() / SAMPLES as f64
    }
}

/// What the server counts of itself.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(crate) connections: u64,
    pub(crate) rejected: u64,
    pub(crate) commands: Rate,
    pub(crate) input_bytes: Rate,
    pub(crate) output_bytes: Rate,
    pub(crate) memory_peak: u64,
    /// Passes of compaction that ended.
    pub(crate) rewrites: u64,
    /// Since when there have been jobs with too few copies.
    pub(crate) short_since: Option<Instant>,
    pub(crate) per_command: Vec<CommandStats>,
    sampled: Instant,
}

impl Stats {
    pub(crate) fn new() -> Self {
        Stats {
            connections: 0,
            rejected: 0,
            commands: Rate::default(),
            input_bytes: Rate::default(),
            output_bytes: Rate::default(),
            memory_peak: 0,
            rewrites: 0,
            short_since: None,
            per_command: vec![CommandStats::default(); table::COUNT],
            sampled: Instant::now(),
        }
    }

    /// When the rates were looked at last.
    pub(crate) fn sampled(&self) -> Instant {
        self.sampled
    }

    /// CONFIG RESETSTAT: everything starts from zero, except the peak of memory.
    pub(crate) fn reset(&mut self) {
        *self = Stats {
            memory_peak: self.memory_peak,
            short_since: self.short_since,
            ..Stats::new()
        };
    }

    pub(crate) fn count(&mut self, command: CommandIndex, took: Duration, failed: bool) {
        let stats = &mut self.per_command[usize::from(command.0)];
        stats.calls += 1;
        stats.failed += u64::from(failed);
        stats.time += took;
        stats.times.add(&WAIT_MICROS, took.as_micros() as u64);
        self.commands.total += 1;
    }

    /// A command was refused before it ran.
    pub(crate) fn refuse(&mut self, command: CommandIndex) {
        self.per_command[usize::from(command.0)].refused += 1;
    }

    pub(crate) fn sample(&mut self, used_memory: u64) {
        let elapsed = self.sampled.elapsed();
        self.sampled = Instant::now();
        for rate in [
            &mut self.commands,
            &mut self.input_bytes,
            &mut self.output_bytes,
        ] {
            rate.sample(elapsed);
        }
        self.memory_peak = self.memory_peak.max(used_memory);
    }
}
