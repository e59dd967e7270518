//! Passes that record all jobs anew, so that old segments can go: when they begin, and how long they take.

use std::time::{Duration, Instant};

use shoalmq_core::event::Event;
use tracing::debug;

use super::{LogState, describe};
use crate::server::driver::{Driver, Shared};

/// A log of less than this is not worth a pass: a segment or two are always open.
const MIN_REWRITE: u64 = 64 << 20;

/// A pass that records all jobs anew.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rewrite {
    /// Since when it is under way.
    since: Option<Instant>,
    /// How long the last one took.
    last: Option<Duration>,
    /// It brings a log that was switched on up to what is in memory.
    opening: bool,
}

impl Rewrite {
    /// The pass that follows on a log that was switched on.
    pub(super) fn begun_by_opening(self) -> Self {
        Rewrite {
            since: Some(Instant::now()),
            opening: true,
            ..self
        }
    }
}

impl Driver {
    /// Records everything anew into a fresh segment, so that all earlier ones can go. Returns whether it began.
    pub(crate) fn rewrite_log(&mut self) -> bool {
        if self.node.is_rewriting() {
            return false;
        }
        if let Some(journal) = self.log.journal() {
            let segment = journal.roll();
            self.feed(Event::SegmentStarted(segment));
            self.feed(Event::Rewrite);
            self.rewrite = Rewrite {
                since: Some(Instant::now()),
                ..self.rewrite
            };
        }
        true
    }

    /// Looks whether a pass over the log has ended, and begins one when the log is mostly dead.
    pub(crate) fn watch_rewrite(&mut self) {
        if let Some(since) = self.rewrite.since {
            if !self.node.is_rewriting() {
                self.rewrite = Rewrite {
                    since: None,
                    last: Some(since.elapsed()),
                    opening: false,
                };
            }
            return;
        }
        if self.log.journal().is_none() {
            return;
        }
        // Not what the disk says: a backend's file need not shrink when what is in it is dropped.
        let size = self.node.log_bytes();
        let live = self.node.live_log_bytes();
        let percentage = u64::from(self.config.auto_aof_rewrite_percentage);
        let grown = size.saturating_mul(100) >= live.saturating_mul(100 + percentage);
        if percentage > 0 && size >= self.config.auto_aof_rewrite_min_size.max(MIN_REWRITE) && grown
        {
            debug!(
                size,
                live, "the job log is rewritten, for most of it is dead"
            );
            self.rewrite_log();
        }
    }

    /// SHUTDOWN REWRITE-AOF: writes all jobs into the log, also where it is off.
    pub(crate) fn write_whole_log(&mut self, shared: &Shared) -> Result<(), String> {
        match self.log {
            LogState::Off => self
                .switch_log_on(shared)
                .map_err(|fault| describe(&fault))?,
            LogState::On(_) => {
                self.rewrite_log();
            }
        }
        while self.node.is_rewriting() {
            self.feed(Event::RewriteOn);
            self.settle();
            self.read_wanted_now();
        }
        let LogState::On(journal) = &self.log else {
            return Ok(());
        };
        journal.sync_now().map_err(|fault| describe(fault.as_ref()))
    }

    /// For INFO: a log that was switched on does not hold all jobs yet; how long passes take.
    pub(crate) fn opening_log(&self) -> bool {
        self.rewrite.opening
    }

    pub(crate) fn last_rewrite(&self) -> Option<Duration> {
        self.rewrite.last
    }

    pub(crate) fn current_rewrite(&self) -> Option<Duration> {
        self.rewrite.since.map(|since| since.elapsed())
    }
}
