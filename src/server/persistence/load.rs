//! Reading the log: at the start of the process, and again for DEBUG LOADAOF.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shoalmq_core::effect::Effect;
use shoalmq_core::event::Event;
use shoalmq_core::id::NodeId;
use shoalmq_core::log::{Reload, Restore, Start};
use shoalmq_core::node::{Log, Node};
use shoalmq_core::record::{Segment, Stream};
use shoalmq_core::time::WallTime;
use shoalmq_storage::fault::Fault;
use shoalmq_storage::journal::{Journal, Position};
use shoalmq_storage::streams::{STREAMS, Streams};
use shoalmq_storage::{Loaded, StorageKind, Store, TornTail};
use tracing::{error, info, warn};

use super::{LogState, describe, open_journal};
use crate::config::{Config, Storage, StorageOnCorrupt};
use crate::server::clock::{self, Clock};
use crate::server::driver::{Driver, Loading, Shared, settings};
use crate::server::identity::Identity;

/// How often a long load logs its progress.
const TELL_EVERY: Duration = Duration::from_secs(3);

pub(super) fn kind(config: &Config) -> StorageKind {
    match config.storage {
        Storage::Sled => StorageKind::Sled,
        Storage::Log => StorageKind::Log,
        Storage::Memory => StorageKind::Memory,
    }
}

pub(super) fn torn_tail(config: &Config) -> TornTail {
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
    loaded: Streams<Loaded>,
    clean: bool,
}

/// A log that was read to its end; no node is started from it yet.
pub(crate) struct Scanned {
    store: Store,
    restore: Restore,
    loaded: Streams<Loaded>,
    began: Instant,
}

impl Scanned {
    /// Reads the log.
    fn scan(
        config: &Config,
        id: NodeId,
        progress: &mut dyn FnMut(&Streams<Loaded>),
    ) -> Result<Self, Fault> {
        let began = Instant::now();
        let mut store = Store::open(kind(config), &config.dir)?;
        let mut restore = Restore::new(id, settings(config, Log::On), clock::entropy());
        let loaded = store.load(
            torn_tail(config),
            |at, record| restore.apply(at, record),
            progress,
        )?;
        Ok(Scanned {
            store,
            restore,
            loaded,
            began,
        })
    }

    /// Reads the log at the start of the process, and tells how far it is. Waits for the disk: not for a thread that
    /// serves clients.
    pub(crate) fn at_start(shared: &Shared) -> Result<Self, Fault> {
        let (config, id) = {
            let driver = shared.driver.lock();
            (driver.config.clone(), driver.identity.id)
        };
        let mut told = Instant::now();
        let mut progress = |progress: &Streams<Loaded>| {
            let mut driver = shared.driver.lock();
            if let Some(loading) = &mut driver.loading {
                loading.loaded_bytes = progress.bytes();
                loading.total_bytes = progress.total_bytes().unwrap_or(loading.total_bytes);
                if told.elapsed() >= TELL_EVERY {
                    told = Instant::now();
                    let percent = (loading.share() * 100.0).round();
                    let (records, left) = (progress.records(), loading.left());
                    info!(percent, records, ?left, "the job log is read");
                }
            }
        };
        // Both streams may be damaged: one after the other is set aside.
        loop {
            match Scanned::scan(&config, id, &mut progress) {
                Err(fault)
                    if config.storage_on_corrupt == StorageOnCorrupt::SetAside
                        && set_aside(&config, &fault)? => {}
                scanned => return scanned,
            }
        }
    }

    /// For how long nothing was written, by the wall clock.
    pub(crate) fn stopped_for(&self) -> Duration {
        let now = clock::wall();
        let last = self.restore.last_wall().unwrap_or(now);
        Duration::from_millis(now.0.saturating_sub(last.0))
    }

    /// Starts a node from the log. Our wall clock is off by `correction_ms`.
    fn start(
        self,
        shared: &Shared,
        config: &Config,
        generation: u64,
        after: Position,
        correction_ms: i64,
    ) -> Result<Read, Fault> {
        let Scanned {
            store,
            restore,
            loaded,
            ..
        } = self;
        let segments = loaded.map(next_segment);
        let clean = restore.is_clean();
        let wall = clock::wall().0.saturating_add_signed(correction_ms);
        let clock = Clock::starting_at(restore.timeline(WallTime(wall)));
        let reload = if config.aof_enqueue_jobs_once {
            Reload::Queued
        } else {
            Reload::Active
        };
        let start = Start {
            now: clock.now(),
            generation,
            segment: segments.jobs,
            topic_segment: segments.topics,
            reload,
        };
        let mut effects = Vec::new();
        let node = restore.finish(start, &mut effects);
        let journal = open_journal(shared, store, segments, config, after)?;
        Ok(Read {
            node,
            clock,
            journal,
            effects,
            loaded,
            clean,
        })
    }

    /// Puts a node that is started from the log in place, at the start of the process: clients are served from then on.
    /// Our wall clock is off by `correction_ms`. Waits for the disk.
    pub(crate) fn install(self, shared: &Shared, correction_ms: i64) -> Result<(), Fault> {
        let began = self.began;
        let (config, generation) = {
            let driver = shared.driver.lock();
            (driver.config.clone(), driver.identity.generation)
        };
        if self.loaded.jobs.records == 0 {
            // Before the log holds anything: a crash must not leave it under the name of the store that is gone.
            let mut driver = shared.driver.lock();
            driver.identity.renew_store();
            save_store(&mut driver.identity, &config.dir, false)?;
        }
        let read = self.start(shared, &config, generation, Position(0), correction_ms)?;
        let (journal, loaded, clean, jobs) = (
            read.journal.clone(),
            read.loaded,
            read.clean,
            read.node.job_count(),
        );
        {
            // Before it acts for the first time.
            let mut driver = shared.driver.lock();
            driver.install(read);
            driver.introduce_members();
        }
        // Whatever the policy: a second crash must not deliver at-most-once jobs twice.
        journal
            .sync_now()
            .map_err(|fault| unshare(&fault, &config.dir))?;
        let mut driver = shared.driver.lock();
        save_store(&mut driver.identity, &config.dir, true)?;
        driver.loading = None;
        driver.config.aof_enqueue_jobs_once = false;
        drop(driver);
        shared.tick_sooner.notify_one();
        let (records, bytes, took) = (loaded.records(), loaded.bytes(), began.elapsed());
        if records == 0 {
            info!(?took, "the job log is empty");
        } else {
            info!(jobs, records, bytes, clean, ?took, "job log loaded");
        }
        Ok(())
    }
}

/// The segment that a stream goes on with.
pub(super) fn next_segment(loaded: Loaded) -> Segment {
    loaded.last_segment.map_or(1, |last| last + 1)
}

/// Sets the stream aside that is damaged: the other one stays. Returns whether the fault is such a damage.
fn set_aside(config: &Config, fault: &Fault) -> Result<bool, Fault> {
    let Fault::Corrupt { path, .. } = fault else {
        return Ok(false);
    };
    let aside = rename_aside(config, path)?;
    let (fault, folder) = (describe(fault), aside.display());
    let topics = kind(config).folder(Stream::Topics);
    if topics.is_some_and(|name| path.ends_with(name)) {
        warn!(
            fault,
            %folder,
            "the log of topics is damaged and set aside: the node gets its entries again from other nodes; those that no \
             other node holds are in that folder alone"
        );
    } else {
        warn!(
            fault,
            %folder,
            "the job log is damaged and set aside: the node starts empty, and gets its copies again from other nodes; \
             jobs that no other node holds are in that folder alone"
        );
    }
    Ok(true)
}

/// Renames the folder of a log, for good. Returns its new name.
fn rename_aside(config: &Config, folder: &Path) -> Result<PathBuf, Fault> {
    let seconds = clock::since_epoch().as_secs();
    let names = (0..).map(|later| seconds + later);
    let mut names = names.map(|seconds| folder.with_extension(format!("corrupt-{seconds}")));
    let free = names.find(|name| !name.exists());
    let aside = free.expect("not every second was one of damage");
    let renamed = fs::rename(folder, &aside).and_then(|()| {
        let dir = File::open(&config.dir)?;
        dir.sync_all()
    });
    renamed.map_err(|cause| Fault::from_io("set aside the damaged job log", folder, cause))?;
    Ok(aside)
}

/// Says whether the log holds what the node's store holds.
fn save_store(identity: &mut Identity, folder: &Path, kept: bool) -> Result<(), Fault> {
    identity
        .keep_store(kept)
        .map_err(|error| Fault::from_io("write node.conf in", folder, error))
}

/// What a thread that shares a fault can tell of it.
fn unshare(fault: &Arc<Fault>, path: &Path) -> Fault {
    Fault::from_io(
        "sync the job log in",
        path,
        std::io::Error::other(describe(fault.as_ref())),
    )
}

impl Driver {
    /// Puts a restored node in place.
    fn install(&mut self, read: Read) {
        let dropped = read.node.total_tally().dropped;
        if dropped > 0 {
            warn!(
                dropped,
                "at-most-once jobs were dropped: they may have been delivered before the unclean stop"
            );
        }
        let restored = read.node.total_depths().restored;
        if !read.clean
            && let Some(within) = read.node.restored_within(read.clock.now().time)
        {
            info!(
                restored,
                ?within,
                "jobs wait for their retry: they may be out, for the stop was not clean"
            );
        }
        self.node = read.node;
        self.clock = read.clock;
        self.set_log(LogState::On(read.journal));
        self.take_effects(read.effects);
    }

    /// DEBUG LOADAOF: forgets what is in memory, and reads the log again.
    pub(crate) fn reload_log(&mut self, shared: &Shared) -> Result<(), String> {
        let LogState::On(journal) = std::mem::replace(&mut self.log, LogState::Off) else {
            return Err("there is no log: appendonly is no".to_owned());
        };
        let reloaded = self.read_anew(shared, &journal);
        if let Err(reason) = reloaded {
            // Memory and disk no longer agree, and nothing is recorded: a start finds what is on disk.
            error!(reason, "the job log cannot be read again: stopping");
            std::process::exit(1);
        }
        Ok(())
    }

    fn read_anew(&mut self, shared: &Shared, journal: &Journal) -> Result<(), String> {
        journal.stop().map_err(|fault| describe(fault.as_ref()))?;
        self.feed(Event::Flush);
        // The node is another one then, which knows of no subscriptions and of nobody who waits.
        for client in self.clients.values() {
            if client.subscriptions > 0 || client.unanswered > 0 {
                client.mailbox.kill();
            }
        }
        let (id, generation, after) = (
            self.node.id(),
            self.identity.generation,
            self.gates.position(),
        );
        let read = Scanned::scan(&self.config, id, &mut |_| {})
            .and_then(|log| log.start(shared, &self.config, generation, after, 0))
            .map_err(|fault| describe(&fault))?;
        let journal = read.journal.clone();
        self.install(read);
        self.introduce_members();
        journal.sync_now().map_err(|fault| describe(fault.as_ref()))
    }
}

/// What a load has to read, as far as the folder tells.
pub(crate) fn loading(config: &Config) -> Loading {
    let total_bytes = log_bytes(config);
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
    log_bytes(config) > 0
}

/// Both kinds may be there: `appendonly no` does not look which one the node is to use.
fn log_bytes(config: &Config) -> u64 {
    let kinds = [StorageKind::Sled, StorageKind::Log];
    let folders = kinds
        .iter()
        .flat_map(|kind| STREAMS.into_iter().filter_map(|stream| kind.folder(stream)));
    folders
        .map(|name| folder_bytes(&config.dir.join(name)))
        .sum()
}
