//! Passes that record jobs again, so that old segments can go: when they begin, how many bytes they should free, and how
//! long they take.

use std::time::{Duration, Instant};

use shoalmq_core::event::{Event, Pace};
use shoalmq_core::record::{Segment, Stream};
use shoalmq_storage::journal::{Journal, Position};
use tracing::{debug, warn};

use super::{LogState, describe};
use crate::server::driver::{Driver, Shared};

/// Dead bytes that the log may hold in any case: a pass for less is not worth it.
const SLACK: u64 = 32 << 20;
/// On a full or nearly full disk the log may grow only by this part of the percentage, and may hold only this many dead
/// bytes in any case.
const SHORT_PART: u32 = 4;
const SHORT_SLACK: u64 = 2 << 20;
/// A pass records at most this part of what is live before the first segments go, unless that is less than the slack: so
/// a log whose dead bytes are the youngest passes by its own live ones without doubling them.
const ROOM_PART: u64 = 8;
/// A pass also records at most this part of what the disk has left: sled may take twice the bytes.
const FREE_PART: u64 = 4;
/// A pass is slow while more than this many bytes wait for the disk.
const BEHIND: u64 = 4 << 20;
/// A pass is urgent when the dead bytes exceed their bound by more than this part of it, unless more than `BEHIND_URGENT`
/// bytes wait for the disk: adds wait by then, too.
const OUTRUN_PART: u64 = 8;
const BEHIND_URGENT: u64 = 32 << 20;

/// Passes that record jobs again, one after the other until enough is freed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rewrite {
    /// Since when they are under way.
    since: Option<Instant>,
    /// BGREWRITEAOF: they go on until no live record lies below this segment,
    whole: Option<Segment>,
    /// or until one of them freed nothing from this segment on: what cannot be read for now keeps it.
    begun_from: Option<Segment>,
    /// How long the last one took.
    last: Option<Duration>,
    /// It brings a log that was switched on up to what is in memory.
    opening: bool,
    /// That pass is over, and ended here: the log holds all jobs once this is synced.
    opened_at: Option<Position>,
    /// What the node last heard about the disk.
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

    fn ended(self, last: Option<Duration>) -> Self {
        Rewrite {
            last,
            pace: self.pace,
            ..Rewrite::default()
        }
    }
}

impl Driver {
    /// Records everything again, into fresh segments, so that all earlier ones can go. Returns whether it began.
    pub(crate) fn rewrite_log(&mut self) -> bool {
        if self.is_rewriting_whole_log() {
            return false;
        }
        if let Some(journal) = self.log.journal() {
            let segment = journal.roll(Stream::Jobs);
            self.feed(Event::SegmentStarted(Stream::Jobs, segment));
            self.rewrite.whole = Some(segment);
            self.rewrite.begun_from = None;
            self.watch_rewrite();
        }
        true
    }

    /// Looks whether a pass over the log has ended, and begins the next while too much of the log is dead.
    pub(crate) fn watch_rewrite(&mut self) {
        if self.node.is_rewriting() {
            return;
        }
        let Some(journal) = self.log.journal() else {
            self.rewrite = self.rewrite.ended(self.rewrite.last);
            return;
        };
        if self.rewrite.opening {
            let end = *self.rewrite.opened_at.get_or_insert(journal.position());
            if journal.progress().synced < end {
                return;
            }
            self.keep_opened_store();
        }
        let oldest = self.node.oldest_log_segment();
        let goes_on = self.rewrite.begun_from.replace(oldest) != Some(oldest);
        let whole = self.rewrite.whole;
        self.rewrite.whole = whole.filter(|&whole| oldest < whole && goes_on);
        // A record that cannot be read for now keeps its segment and all later ones. Do not record the others once more.
        let wanted = match self.rewrite.whole {
            Some(whole) => Some((u64::MAX, whole)),
            None => self.excess().map(|bytes| (bytes, Segment::MAX)),
        };
        if let Some((bytes, below)) = wanted {
            let live = self.node.live_log_bytes();
            let room = (live / ROOM_PART).max(SLACK);
            let room = room.min(self.health.free_bytes() / FREE_PART);
            self.feed(Event::Compact { bytes, below, room });
        }
        if self.node.is_rewriting() {
            let dead = self.node.dead_log_bytes();
            debug!(dead, ?wanted, oldest, "the job log is compacted");
            self.rewrite.since.get_or_insert_with(Instant::now);
        } else if let Some(since) = self.rewrite.since {
            self.stats.rewrites += 1;
            self.rewrite = self.rewrite.ended(Some(since.elapsed()));
        }
    }

    /// How many bytes the log is to give up now.
    fn excess(&self) -> Option<u64> {
        let dead = self.node.dead_log_bytes();
        excess(dead, self.growth()?, self.rewrite.since.is_some())
    }

    /// How many dead bytes the log may have now; any number if none.
    fn growth(&self) -> Option<u64> {
        let live = self.node.live_log_bytes();
        let percentage = self.config.auto_aof_rewrite_percentage;
        if self.health.refuses_jobs() {
            growth(live, percentage / SHORT_PART, SHORT_SLACK)
        } else if self.node.log_bytes() >= self.config.auto_aof_rewrite_min_size {
            growth(live, percentage, SLACK)
        } else {
            None
        }
    }

    /// Whether passes fall behind what is added.
    fn is_outrun(&self) -> bool {
        let growth = self.growth().unwrap_or(u64::MAX);
        self.node.dead_log_bytes() > growth.saturating_add(growth / OUTRUN_PART)
    }

    /// Neither the memory nor the disk may fill faster than somebody looks at it.
    pub(crate) fn watch_growth(&mut self) {
        let Some(log) = self.log.journal().map(Journal::stats) else {
            return;
        };
        self.health
            .note_appended(log.written_bytes + log.pending_bytes);
        if !self.node.is_rewriting() {
            return;
        }
        let pace = if self.health.is_failing() {
            Pace::Stopped
        } else if self.is_outrun() && log.pending_bytes <= BEHIND_URGENT {
            Pace::Urgent
        } else if log.pending_bytes > BEHIND {
            Pace::Slow
        } else {
            Pace::Full
        };
        if pace != self.rewrite.pace {
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
        while self.is_rewriting_whole_log() {
            self.feed(Event::RewriteOn);
            self.settle();
            self.read_wanted_now();
            self.watch_rewrite();
            if matches!(self.rewrite.pace, Pace::Slow | Pace::Stopped)
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
        journal
            .sync_now()
            .map_err(|fault| describe(fault.as_ref()))?;
        if self.rewrite.opening {
            self.keep_opened_store();
        }
        Ok(())
    }

    /// The log that was switched on holds what the node's store holds: the next start goes on with that store. Before, it
    /// would have lacked jobs that peers count on.
    fn keep_opened_store(&mut self) {
        if let Err(error) = self.identity.keep_store(true) {
            warn!(%error, "node.conf cannot be written: after the next start peers take this node's jobs for lost, and make new copies");
        }
    }

    /// For INFO: a log that was switched on does not hold all jobs yet; how long passes take.
    pub(crate) fn opening_log(&self) -> bool {
        self.rewrite.opening
    }

    /// BGREWRITEAOF, or a log that was switched on: every job is recorded again.
    pub(crate) fn is_rewriting_whole_log(&self) -> bool {
        self.rewrite.whole.is_some() || self.node.is_rewriting_all()
    }

    pub(crate) fn last_rewrite(&self) -> Option<Duration> {
        self.rewrite.last
    }

    pub(crate) fn current_rewrite(&self) -> Option<Duration> {
        self.rewrite.since.map(|since| since.elapsed())
    }
}

/// How many dead bytes the log may have beside what is live; any number if none.
///
/// The limit leaves room for what the engine adds and for what comes while passes run: with both, the files stay below
/// the percentage and 256 MiB. Passes begin at half of that, and go on until half of that again is left.
fn growth(live: u64, percentage: u32, slack: u64) -> Option<u64> {
    let half = live.saturating_mul(percentage.into()) / 200;
    (percentage > 0).then(|| half.saturating_add(slack))
}

/// How many of the dead bytes are to go.
fn excess(dead: u64, growth: u64, under_way: bool) -> Option<u64> {
    let is_due = dead >= growth || under_way && dead > growth / 2;
    is_due.then(|| dead - growth / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    #[test]
    fn a_log_may_grow_by_half_of_the_percentage_and_a_slack() {
        assert_eq!(growth(0, 100, SLACK), Some(32 * MIB));
        assert_eq!(growth(4 * GIB, 100, SLACK), Some(2 * GIB + 32 * MIB));
        assert_eq!(
            growth(u64::MAX, u32::MAX, SLACK),
            Some(u64::MAX / 200 + SLACK)
        );
        assert_eq!(growth(100 * GIB, 0, SLACK), None, "0 switches it off");
    }

    #[test]
    fn passes_go_on_until_half_of_that_is_left() {
        assert_eq!(excess(31, 32, false), None);
        assert_eq!(excess(32, 32, false), Some(16));
        assert_eq!(excess(17, 32, false), None);
        assert_eq!(excess(17, 32, true), Some(1));
        assert_eq!(excess(16, 32, true), None);
    }
}
