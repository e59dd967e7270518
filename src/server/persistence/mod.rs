//! The log of jobs: reading it at the start, writing it from then on, switching it at run time.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use shoalmq_core::event::Event;
use shoalmq_core::log;
use shoalmq_core::node::Log;
use shoalmq_core::record::Segment;
use shoalmq_storage::Store;
use shoalmq_storage::fault::Fault;
use shoalmq_storage::journal::{Journal, Options, Policy, Position, Progress};
use shoalmq_storage::streams::Streams;
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::driver::{Driver, Shared, settings};
use crate::config::{AppendFsync, Config};

mod backup;
mod load;
mod rewrite;
mod space;

pub(crate) use backup::{Backups, NoBackup, usable};
pub(crate) use load::{Scanned, has_files, loading};
pub(crate) use rewrite::Rewrite;
pub(crate) use space::{Space, topic_disk, watch_space};

/// Past this age of the oldest unsynced record, adds wait for the disk whatever `appendfsync` says: the contract.
const STALL: Duration = Duration::from_secs(2);

/// Adds wait while this many bytes, or this part of maxmemory, are not written yet.
const BEHIND_BYTES: u64 = 32 << 20;
const BEHIND_SHARE: u64 = 16;

/// Whether there is a log.
#[derive(Debug)]
pub(crate) enum LogState {
    /// Jobs are in memory only.
    Off,
    /// Every change goes to the journal.
    On(Journal),
}

impl LogState {
    pub(crate) fn journal(&self) -> Option<&Journal> {
        match self {
            LogState::Off => None,
            LogState::On(journal) => Some(journal),
        }
    }
}

/// Whether the log can be written: set by the journal's daemon and by the watch over the disk; read before each add.
#[derive(Debug)]
pub(crate) struct Health {
    failing: AtomicBool,
    /// The disk takes less than is added: adds wait until they are written.
    behind: AtomicBool,
    /// The oldest record waits for the disk for longer than is promised: adds wait until they are synced.
    stalled: AtomicBool,
    stalls: AtomicU64,
    reason: Mutex<String>,
    /// The disk has only its reserve left.
    short: AtomicBool,
    /// The disk was short when it was last looked at.
    was_short: AtomicBool,
    /// The text of the refusal that clients get then.
    shortage: Mutex<String>,
    /// The disk counts as short once this many bytes were appended, without looking at it.
    room_until: AtomicU64,
    /// What the disk had left when it was last looked at.
    free: AtomicU64,
}

impl Default for Health {
    fn default() -> Self {
        Health {
            behind: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            stalls: AtomicU64::new(0),
            reason: Mutex::default(),
            short: AtomicBool::new(false),
            was_short: AtomicBool::new(false),
            shortage: Mutex::default(),
            room_until: AtomicU64::new(u64::MAX),
            free: AtomicU64::new(u64::MAX),
        }
    }
}

impl Health {
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Acquire)
    }

    /// Adds wait for those before them to be written.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Acquire)
    }

    /// What is wrong, as the last fault said.
    pub(crate) fn reason(&self) -> String {
        self.reason.lock().clone()
    }

    /// The disk has only its reserve left: no more jobs, but all that ends them.
    pub(crate) fn is_short(&self) -> bool {
        self.short.load(Ordering::Acquire)
    }

    /// Whether no job may be taken that would have to be written.
    pub(crate) fn refuses_jobs(&self) -> bool {
        self.is_failing() || self.is_short()
    }

    /// What clients are told while the disk is short.
    pub(crate) fn shortage(&self) -> String {
        self.shortage.lock().clone()
    }

    /// The disk was looked at. Returns whether it is news that it is short, or that it is not.
    fn set_short(&self, short: bool, shortage: String, room_until: u64) -> bool {
        *self.shortage.lock() = shortage;
        self.room_until.store(room_until, Ordering::Release);
        self.short.store(short, Ordering::Release);
        self.was_short.swap(short, Ordering::AcqRel) != short
    }

    /// What the disk had left when it was last looked at, in bytes.
    pub(crate) fn free_bytes(&self) -> u64 {
        self.free.load(Ordering::Relaxed)
    }

    /// `bytes` bytes were appended since the log was opened.
    pub(crate) fn note_appended(&self, bytes: u64) {
        if bytes > self.room_until.load(Ordering::Acquire) {
            self.short.store(true, Ordering::Release);
        }
    }

    /// How often adds had to wait for a disk that stalled.
    pub(crate) fn stalls(&self) -> u64 {
        self.stalls.load(Ordering::Relaxed)
    }

    /// Takes over what the daemon says. Returns whether that is news.
    fn set(&self, fault: Option<&Fault>) -> bool {
        if let Some(fault) = fault {
            *self.reason.lock() = describe(fault);
        }
        self.failing.swap(fault.is_some(), Ordering::AcqRel) != fault.is_some()
    }
}

/// An error with its causes, on one line.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// How far replies may go: always to what is on disk; else anywhere, unless the disk stalls.
fn released(policy: Policy, synced: Position, stalled: bool) -> Position {
    if policy == Policy::Always || stalled {
        synced
    } else {
        Position(u64::MAX)
    }
}

pub(crate) fn policy(config: &Config) -> Policy {
    match config.appendfsync {
        AppendFsync::Always => Policy::Always,
        AppendFsync::Everysec => Policy::EverySecond,
        AppendFsync::No => Policy::No,
    }
}

/// What has to wait for the disk before it leaves. Without `always` nothing does, until `released` says that the disk
/// stalls.
pub(crate) fn gate_policy(appendfsync: AppendFsync, health: &Health) -> log::Policy {
    match appendfsync {
        AppendFsync::Always if health.is_failing() => log::Policy::AlwaysButFailing,
        AppendFsync::Always => log::Policy::Always,
        AppendFsync::Everysec | AppendFsync::No => log::Policy::Stalls,
    }
}

fn open_journal(
    shared: &Shared,
    store: Store,
    segments: Streams<Segment>,
    config: &Config,
    after: Position,
) -> Result<Journal, Fault> {
    // A disk that does not say how large it is has segments as configured.
    let space = space::Space::of(&config.dir).ok();
    let options = Options {
        policy: policy(config),
        segment_bytes: space.map_or(config.storage_segment_size, |space| {
            space.segment_bytes(config)
        }),
        after,
    };
    let (health, sender) = (Arc::clone(&shared.health), shared.released.clone());
    sender.send_replace(released(options.policy, after, false));
    let policy = Arc::clone(&shared.policy);
    let on_progress =
        Box::new(move |progress: Progress| follow(&health, &sender, *policy.lock(), &progress));
    Journal::start(store.into_backends(), segments, options, on_progress)
        .map_err(|error| Fault::from_io("start the thread that writes to", &config.dir, error))
}

/// The daemon went on, or failed: runs on its thread.
fn follow(health: &Health, sender: &watch::Sender<Position>, policy: Policy, progress: &Progress) {
    if progress.fatal
        && let Some(fault) = &progress.fault
    {
        error!(
            fault = describe(fault.as_ref()),
            "the job log cannot be synced: what the disk holds is unknown; stopping"
        );
        std::process::exit(1);
    }
    let news = health.set(progress.fault.as_deref());
    match &progress.fault {
        Some(fault) if news => {
            warn!(
                fault = describe(fault.as_ref()),
                "the job log cannot be written: adds are refused until it can"
            );
        }
        None if news => info!("the job log is written again"),
        Some(_) | None => {}
    }
    let stalled = health.stalled.load(Ordering::Acquire);
    let next = if policy == Policy::Always || stalled {
        progress.synced
    } else if health.is_behind() {
        progress.written
    } else {
        return;
    };
    sender.send_if_modified(|released| std::mem::replace(released, next) != next);
}

impl Driver {
    /// Looks whether the disk stalls, and lets replies go accordingly.
    pub(crate) fn watch_disk(&self, sender: &watch::Sender<Position>) {
        let Some(journal) = self.log.journal() else {
            return;
        };
        let stalled = journal
            .waiting_since()
            .is_some_and(|since| since.elapsed() > STALL);
        self.health.stalled.store(stalled, Ordering::Release);
        let progress = journal.progress();
        let mut next = released(policy(&self.config), progress.synced, stalled);
        let behind = self.is_behind(journal.load().pending_bytes);
        self.health.behind.store(behind, Ordering::Release);
        if behind && next > progress.written {
            next = progress.written;
        }
        let before = sender.send_replace(next);
        if stalled && !behind && before == Position(u64::MAX) {
            self.health.stalls.fetch_add(1, Ordering::Relaxed);
            warn!("the disk stalls: adds wait for it");
        }
    }

    /// Whether adds must wait, because too much waits to be written: it takes memory, no body leaves memory before it is
    /// written, and what is dead is freed behind it.
    pub(crate) fn is_behind(&self, pending: u64) -> bool {
        let max_memory = self.config.maxmemory.map_or(u64::MAX, NonZeroU64::get);
        let most = (max_memory / BEHIND_SHARE).min(BEHIND_BYTES);
        // Once adds wait, they do so until half of it is written.
        let was = self.health.is_behind();
        pending > if was { most / 2 } else { most }
    }

    /// CONFIG SET appendfsync.
    pub(crate) fn set_policy(&mut self, shared: &Shared) {
        let policy = policy(&self.config);
        *shared.policy.lock() = policy;
        if let Some(journal) = self.log.journal() {
            journal.set_policy(policy);
        }
        self.watch_disk(&shared.released);
    }

    /// CONFIG SET appendonly yes: opens the log, and records what is in memory.
    pub(crate) fn switch_log_on(&mut self, shared: &Shared) -> Result<(), Fault> {
        let mut store = Store::open(load::kind(&self.config), &self.config.dir)?;
        let found = store.load(load::torn_tail(&self.config), |_, _| {}, |_| {})?;
        let mut segments = found.map(load::next_segment);
        segments.jobs = segments.jobs.max(self.node.log_segment() + 1);
        let journal = open_journal(shared, store, segments, &self.config, self.gates.position())?;
        if found.jobs.records > 0 {
            warn!(
                records = found.jobs.records,
                "the job log held records of another time: they are replaced by what is in memory"
            );
        }
        self.set_log(LogState::On(journal));
        self.feed(Event::LogOpened {
            jobs: segments.jobs,
            topics: segments.topics,
        });
        self.rewrite = self.rewrite.begun_by_opening();
        Ok(())
    }

    /// CONFIG SET appendonly no: closes the log, and leaves its files.
    pub(crate) fn switch_log_off(&mut self, shared: &Shared) -> Result<(), Arc<Fault>> {
        let LogState::On(journal) = std::mem::replace(&mut self.log, LogState::Off) else {
            return Ok(());
        };
        self.feed(Event::Configured(settings(&self.config, Log::Off)));
        let stopped = journal.stop();
        shared.health.set(None);
        shared.health.stalled.store(false, Ordering::Release);
        shared.released.send_replace(Position(u64::MAX));
        if let Err(error) = self.identity.keep_store(false) {
            warn!(%error, "node.conf cannot be written: remove its line `store`, for the job log is no longer what peers take it for");
        }
        info!(dir = %self.config.dir.display(), "the job log is off; its files stay, and a start with appendonly no ignores them");
        stopped
    }

    /// Records where every job stands, and closes the log: the last act of a clean stop.
    pub(crate) fn close_log(&mut self) -> Result<(), Arc<Fault>> {
        let LogState::On(journal) = &self.log else {
            return Ok(());
        };
        let journal = journal.clone();
        // What is recorded waits in memory for the disk: one part at a time.
        self.feed(Event::Stop);
        while self.node.is_stopping() {
            journal.sync_now()?;
            self.feed(Event::Stop);
        }
        self.log = LogState::Off;
        journal.stop()
    }
}

#[cfg(test)]
mod tests {
    use shoalmq_core::record::Location;

    use super::*;

    fn progress(written: u64, synced: u64) -> Progress {
        Progress {
            written: Position(written),
            readable: Streams::each(|_| Location::new(1, 0)),
            synced: Position(synced),
            fault: None,
            fatal: false,
        }
    }

    #[test]
    fn adds_wait_for_a_disk_that_stalls_also_while_it_is_behind() {
        let health = Health::default();
        let (sender, released) = watch::channel(Position(u64::MAX));
        let after = |progress: &Progress| {
            follow(&health, &sender, Policy::EverySecond, progress);
            *released.borrow()
        };
        assert_eq!(after(&progress(5, 3)), Position(u64::MAX));
        health.behind.store(true, Ordering::Release);
        assert_eq!(after(&progress(6, 3)), Position(6));
        health.stalled.store(true, Ordering::Release);
        assert_eq!(after(&progress(7, 4)), Position(4));
        health.behind.store(false, Ordering::Release);
        assert_eq!(after(&progress(8, 5)), Position(5));
    }
}
