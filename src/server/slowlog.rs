//! The commands and events that took long: SLOWLOG and LATENCY.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::clock;

/// Arguments that an entry keeps, and bytes of each: Redis' bounds.
const ARGUMENTS_KEPT: usize = 32;
const BYTES_KEPT: usize = 128;

/// One slow command.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) unix_seconds: u64,
    pub(crate) took: Duration,
    pub(crate) args: Vec<Vec<u8>>,
}

/// The latest slow commands, newest first.
#[derive(Debug, Default)]
pub(crate) struct SlowLog {
    next: u64,
    entries: VecDeque<Entry>,
}

impl SlowLog {
    /// Keeps a command, and of all at most `keep`.
    pub(crate) fn push(&mut self, took: Duration, args: &[Vec<u8>], keep: usize) {
        let cut = |arg: &Vec<u8>| match arg.len().checked_sub(BYTES_KEPT) {
            None | Some(0) => arg.clone(),
            Some(more) => [
                &arg[..BYTES_KEPT],
                format!("... ({more} more bytes)").as_bytes(),
            ]
            .concat(),
        };
        let mut kept: Vec<Vec<u8>> = args.iter().take(ARGUMENTS_KEPT).map(cut).collect();
        if args.len() > ARGUMENTS_KEPT {
            let more = args.len() - ARGUMENTS_KEPT + 1;
            kept[ARGUMENTS_KEPT - 1] = format!("... ({more} more arguments)").into_bytes();
        }
        let unix_seconds = clock::since_epoch().as_secs();
        self.entries.push_front(Entry {
            id: self.next,
            unix_seconds,
            took,
            args: kept,
        });
        self.next += 1;
        self.entries.truncate(keep);
    }

    /// How many there were since the node started.
    pub(crate) fn total(&self) -> u64 {
        self.next
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Keeps at most `keep` entries.
    pub(crate) fn truncate(&mut self, keep: usize) {
        self.entries.truncate(keep);
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}

/// Samples that an event keeps: Disque's bound.
const SAMPLES_KEPT: usize = 160;

/// The samples of one event: unix seconds and milliseconds, oldest first, at most one per second.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    pub(crate) worst_ms: u64,
    pub(crate) samples: VecDeque<(u64, u64)>,
}

/// Events that took longer than `latency-monitor-threshold`.
#[derive(Debug, Default)]
pub(crate) struct LatencyMonitor {
    pub(crate) events: BTreeMap<&'static str, Samples>,
}

impl LatencyMonitor {
    pub(crate) fn push(&mut self, event: &'static str, took: Duration) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let unix_seconds = clock::since_epoch().as_secs();
        let event = self.events.entry(event).or_default();
        event.worst_ms = event.worst_ms.max(ms);
        match event.samples.back_mut() {
            Some((second, worst)) if *second == unix_seconds => *worst = ms.max(*worst),
            _ => event.samples.push_back((unix_seconds, ms)),
        }
        if event.samples.len() > SAMPLES_KEPT {
            event.samples.pop_front();
        }
    }
}
