//! The log of jobs: reading it at the start, writing it from then on, switching it at run time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use shoalmq_core::effect::Effect;
use shoalmq_core::event::Event;
use shoalmq_core::id::NodeId;
use shoalmq_core::node::{Log, Node};
use shoalmq_core::restore::{Reload, Restore, Start};
use shoalmq_storage::fault::Fault;
use shoalmq_storage::journal::{Journal, Options, Policy, Position, Progress};
use shoalmq_storage::{Loaded, StorageKind, Store, TornTail};
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::clock::{self, Clock};
use super::driver::{Driver, Loading, Shared, settings};
use crate::config::{AppendFsync, Config, Storage};

/// Past this age of the oldest unsynced record, adds wait for the disk whatever `appendfsync` says: the contract.
const STALL: Duration = Duration::from_secs(2);

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

/// Whether the log can be written: set by the journal's daemon, read before each add.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failing: AtomicBool,
    stalls: AtomicU64,
    reason: Mutex<String>,
}

impl Health {
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Acquire)
    }

    /// What is wrong, as the last fault said.
    pub(crate) fn reason(&self) -> String {
        self.reason.lock().clone()
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

fn kind(config: &Config) -> StorageKind {
    match config.storage {
        Storage::Sled => StorageKind::Sled,
        Storage::Memory => StorageKind::Memory,
    }
}

fn torn_tail(config: &Config) -> TornTail {
    if config.aof_load_truncated {
        TornTail::Cut
    } else {
        TornTail::Refuse
    }
}

/// A node that was read from its log, and the way on into that log.
struct Read {
    node: Node,
    clock: Clock,
    journal: Journal,
    effects: Vec<Effect>,
    loaded: Loaded,
    clean: bool,
}

/// Reads the log, and starts a node from it.
fn read(
    shared: &Shared,
    config: &Config,
    id: NodeId,
    generation: u64,
    progress: &mut dyn FnMut(&Loaded),
) -> Result<Read, Fault> {
    let mut store = Store::open(kind(config), &config.dir)?;
    let mut restore = Restore::new(id, settings(config, Log::On), clock::entropy());
    let loaded = store.load(
        torn_tail(config),
        |segment, record| restore.apply(segment, record),
        progress,
    )?;
    let segment = loaded.last_segment.map_or(1, |last| last + 1);
    let clean = restore.is_clean();
    let clock = Clock::starting_at(restore.timeline(clock::wall()));
    let reload = if config.aof_enqueue_jobs_once {
        Reload::Queued
    } else {
        Reload::Active
    };
    let start = Start {
        now: clock.now(),
        generation,
        segment,
        reload,
    };
    let mut effects = Vec::new();
    let node = restore.finish(start, &mut effects);
    let journal = open_journal(shared, store, segment, config)?;
    Ok(Read {
        node,
        clock,
        journal,
        effects,
        loaded,
        clean,
    })
}

/// Reads the log at the start of the process. Waits for the disk: not for a thread that serves clients.
pub(crate) fn load(shared: &Shared) -> Result<(), Fault> {
    let (config, id, generation) = {
        let driver = shared.driver.lock();
        (
            driver.config.clone(),
            driver.identity.id,
            driver.identity.generation,
        )
    };
    let began = Instant::now();
    let read = read(shared, &config, id, generation, &mut |progress| {
        if let Some(loading) = &mut shared.driver.lock().loading {
            loading.loaded_bytes = progress.bytes;
        }
    })?;
    let (journal, loaded, clean, jobs) = (
        read.journal.clone(),
        read.loaded,
        read.clean,
        read.node.job_count(),
    );
    shared.driver.lock().install(read);
    // Whatever the policy: a second crash must not deliver at-most-once jobs twice.
    journal
        .sync_now()
        .map_err(|fault| unshare(&fault, &config.dir))?;
    let mut driver = shared.driver.lock();
    driver.loading = None;
    driver.config.aof_enqueue_jobs_once = false;
    drop(driver);
    shared.tick_sooner.notify_one();
    let (records, bytes, took) = (loaded.records, loaded.bytes, began.elapsed());
    if records == 0 {
        info!(?took, "the job log is empty");
    } else {
        info!(jobs, records, bytes, clean, ?took, "job log loaded");
    }
    Ok(())
}

/// What a thread that shares a fault can tell of it.
fn unshare(fault: &Arc<Fault>, path: &Path) -> Fault {
    Fault::from_io(
        "sync the job log in",
        path,
        std::io::Error::other(describe(fault.as_ref())),
    )
}

fn open_journal(
    shared: &Shared,
    store: Store,
    segment: u32,
    config: &Config,
) -> Result<Journal, Fault> {
    let options = Options {
        policy: policy(config),
        segment_bytes: config.storage_segment_size,
    };
    let (health, sender) = (Arc::clone(&shared.health), shared.released.clone());
    sender.send_replace(released(options.policy, Position(0), false));
    let policy = Arc::clone(&shared.policy);
    let on_progress =
        Box::new(move |progress: Progress| follow(&health, &sender, *policy.lock(), &progress));
    Journal::start(store.into_backend(), segment, options, on_progress)
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
    if policy == Policy::Always {
        sender.send_if_modified(|released| {
            std::mem::replace(released, progress.synced) != progress.synced
        });
    }
}

impl Driver {
    /// Puts a restored node in place.
    fn install(&mut self, read: Read) {
        let dropped = read.node.counters().dropped_restart;
        if dropped > 0 {
            warn!(
                dropped,
                "at-most-once jobs were dropped: they may have been delivered before the unclean stop"
            );
        }
        self.node = read.node;
        self.clock = read.clock;
        self.log = LogState::On(read.journal);
        self.take_effects(read.effects);
    }

    /// Looks whether the disk stalls, and lets replies go accordingly.
    pub(crate) fn watch_disk(&self, sender: &watch::Sender<Position>) {
        let Some(journal) = self.log.journal() else {
            return;
        };
        let stalled = journal
            .waiting_since()
            .is_some_and(|since| since.elapsed() > STALL);
        let next = released(policy(&self.config), journal.progress().synced, stalled);
        let before = sender.send_replace(next);
        if stalled && before == Position(u64::MAX) {
            self.health.stalls.fetch_add(1, Ordering::Relaxed);
            warn!("the disk stalls: adds wait for it");
        }
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
        let mut store = Store::open(kind(&self.config), &self.config.dir)?;
        let found = store.load(torn_tail(&self.config), |_, _| {}, |_| {})?;
        let segment = found.last_segment.unwrap_or(0).max(self.node.log_segment()) + 1;
        let journal = open_journal(shared, store, segment, &self.config)?;
        if found.records > 0 {
            warn!(
                records = found.records,
                "the job log held records of another time: they are replaced by what is in memory"
            );
        }
        self.log = LogState::On(journal);
        self.feed(Event::LogOpened(segment));
        self.rewrite = Rewrite {
            since: Some(Instant::now()),
            opening: true,
            ..self.rewrite
        };
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
        shared.released.send_replace(Position(u64::MAX));
        info!(dir = %self.config.dir.display(), "the job log is off; its files stay, and a start with appendonly no ignores them");
        stopped
    }

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
            info!(
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
        }
        let LogState::On(journal) = &self.log else {
            return Ok(());
        };
        journal.sync_now().map_err(|fault| describe(fault.as_ref()))
    }

    /// DEBUG LOADAOF: forgets what is in memory, and reads the log again.
    pub(crate) fn reload_log(&mut self, shared: &Shared) -> Result<(), String> {
        let LogState::On(journal) = std::mem::replace(&mut self.log, LogState::Off) else {
            return Err("there is no log: appendonly is no".to_owned());
        };
        journal.stop().map_err(|fault| describe(fault.as_ref()))?;
        drop(journal);
        self.feed(Event::Flush);
        let read = read(
            shared,
            &self.config,
            self.node.id(),
            self.identity.generation,
            &mut |_| {},
        );
        let read = read.map_err(|fault| describe(&fault))?;
        self.install(read);
        Ok(())
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

/// What a load has to read, as far as the folder tells.
pub(crate) fn loading(config: &Config) -> Loading {
    let total_bytes = folder_bytes(&config.dir.join("sled"));
    Loading {
        since: Instant::now(),
        unix_seconds: clock::since_epoch().as_secs(),
        total_bytes,
        loaded_bytes: 0,
    }
}

fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries
        .flatten()
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)));
    sizes
        .map(|(path, meta)| {
            if meta.is_dir() {
                folder_bytes(&path)
            } else {
                meta.len()
            }
        })
        .sum()
}

/// Whether the folder holds a log that a node with `appendonly no` leaves alone.
pub(crate) fn has_files(config: &Config) -> bool {
    folder_bytes(&config.dir.join("sled")) > 0
}
