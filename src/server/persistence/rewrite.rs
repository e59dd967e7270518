//! Passes that record jobs anew, so that old segments can go: when they begin, how many bytes they are to free, and
//! how long they take.

use std::time::{Duration, Instant};

use shoalmq_core::event::{Event, Pace};
use shoalmq_storage::journal::{Journal, Position};
use tracing::debug;

use super::{LogState, describe};
use crate::server::driver::{Driver, Shared};

/// So much of the log may be dead whatever is live: a pass for less is not worth it.
const SLACK: u64 = 32 << 20;
/// On a disk that is full, or nearly, the log may grow by this part of the percentage only, and by so much.
const SHORT_PART: u32 = 4;
const SHORT_SLACK: u64 = 2 << 20;
/// A pass is slow while so many bytes wait for the disk.
const BEHIND: u64 = 4 << 20;

/// A pass that records jobs anew.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rewrite {
    /// Since when it is under way.
    since: Option<Instant>,
    /// How long the last one took.
    last: Option<Duration>,
    /// It brings a log that was switched on up to what is in memory.
    opening: bool,
    /// That pass is over, and ended here: the log holds all jobs once this is synced.
    opened_at: Option<Position>,
    /// What the node was told of the disk.
    pace: Pace,
}

impl Rewrite {
    /// The pass that follows on a log that was switched on.
    pub(super) fn begun_by_opening(self) -> Self {
        Rewrite {
            since: Some(Instant::now()),
            opening: true,
            opened_at: None,
            ..self
        }
    }
}

impl Driver {
    /// Records everything anew into a fresh segment, so that all earlier ones can go. Returns whether it began.
    pub(crate) fn rewrite_log(&mut self) -> bool {
        if self.node.is_rewriting_all() {
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

    /// Looks whether a pass over the log has ended, and begins one when too much of the log is dead.
    pub(crate) fn watch_rewrite(&mut self) {
        if self.node.is_rewriting() {
            return;
        }
        if let (true, Some(journal)) = (self.rewrite.opening, self.log.journal()) {
            let end = *self.rewrite.opened_at.get_or_insert(journal.position());
            if journal.progress().synced < end {
                return;
            }
        }
        if let Some(since) = self.rewrite.since {
            self.stats.rewrites += 1;
            self.rewrite = Rewrite {
                since: None,
                last: Some(since.elapsed()),
                opening: false,
                ..self.rewrite
            };
        }
        if self.log.journal().is_none() {
            return;
        }
        let (dead, live) = (self.node.dead_log_bytes(), self.node.live_log_bytes());
        let percentage = self.config.auto_aof_rewrite_percentage;
        let excess = if self.health.refuses_jobs() {
            excess(dead, live, percentage / SHORT_PART, SHORT_SLACK)
        } else {
            let min_size = self.config.auto_aof_rewrite_min_size;
            excess(dead, live, percentage, SLACK).filter(|_| self.node.log_bytes() >= min_size)
        };
        let Some(excess) = excess else {
            return;
        };
        self.feed(Event::Compact(excess));
        if self.node.is_rewriting() {
            debug!(dead, live, excess, "the job log is compacted");
            self.rewrite.since = Some(Instant::now());
        }
    }

    /// Neither the memory nor the disk may fill faster than somebody looks at it.
    pub(crate) fn watch_growth(&mut self) {
        let Some(log) = self.log.journal().map(Journal::stats) else {
            return;
        };
        self.health
            .note_appended(log.written_bytes + log.pending_bytes);
        let pace = if self.health.is_failing() {
            Pace::Stopped
        } else if log.pending_bytes > BEHIND {
            Pace::Slow
        } else {
            Pace::Full
        };
        if self.node.is_rewriting() && pace != self.rewrite.pace {
            self.rewrite.pace = pace;
            self.feed(Event::LogPace(pace));
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
            if self.rewrite.pace != Pace::Full
                && let Some(journal) = self.log.journal()
            {
                journal
                    .sync_now()
                    .map_err(|fault| describe(fault.as_ref()))?;
            }
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

/// How many bytes the log is to give up, if too many are dead for what is live.
///
/// It may grow by so much that, with what the engine adds and what comes while a pass runs, its files stay below the
/// percentage and 256 MiB: a pass begins at half of that, and makes half of that again.
fn excess(dead: u64, live: u64, percentage: u32, slack: u64) -> Option<u64> {
    let half = live.saturating_mul(percentage.into()) / 200;
    let growth = half.saturating_add(slack);
    let is_due = percentage > 0 && dead >= growth;
    is_due.then(|| dead - growth / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    #[test]
    fn a_log_may_grow_by_half_of_the_percentage_and_a_slack() {
        assert_eq!(excess(31 * MIB, 0, 100, SLACK), None);
        assert_eq!(excess(32 * MIB, 0, 100, SLACK), Some(16 * MIB));
        assert_eq!(excess(2 * GIB, 4 * GIB, 100, SLACK), None);
        let grown = 2 * GIB + 32 * MIB;
        assert_eq!(excess(grown, 4 * GIB, 100, SLACK), Some(grown / 2));
        assert_eq!(
            excess(u64::MAX, GIB, u32::MAX, SLACK).map(|it| it > GIB),
            Some(true)
        );
    }

    #[test]
    fn a_log_that_is_left_alone_is() {
        assert_eq!(excess(100 * GIB, 0, 0, SLACK), None);
    }
}
