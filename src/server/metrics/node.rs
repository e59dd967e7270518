//! This node: memory, storage, process.

use shoalmq_core::node::MemoryLevel;
use shoalmq_core::telling::{Histogram, WAIT_MICROS};
use shoalmq_storage::journal::Journal;

use super::exposition::{Exposition, Kind};
use crate::config::Storage;
use crate::server::driver::{Driver, Shared};
use crate::server::persistence;
use crate::server::process::Process;

const MICROS: f64 = 1_000_000.0;

/// What is free on the disk of the data folder; asked without the lock.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Space {
    free: u64,
    total: u64,
}

impl Space {
    pub(super) fn read(shared: &Shared) -> Self {
        let folder = shared.driver.lock().config.dir.clone();
        let space = persistence::Space::of(&folder).unwrap_or_default();
        Space {
            free: space.free,
            total: space.total,
        }
    }
}

/// Figures of the node itself.
#[expect(clippy::struct_excessive_bools, reason = "each is a gauge")]
pub(super) struct Figures {
    engine: &'static str,
    live: u64,
    disk: u64,
    pending: u64,
    syncs: Histogram<{ WAIT_MICROS.len() }>,
    faults: u64,
    unreadable: u64,
    rewrites: u64,
    rewriting: bool,
    writable: bool,
    used: u64,
    limit: u64,
    alarm: bool,
    spilled: usize,
    spilled_bytes: usize,
    loading: bool,
    ready: bool,
    started: f64,
}

impl Figures {
    pub(super) fn of(driver: &Driver) -> Self {
        let node = &driver.node;
        let log = driver.log.journal().map(Journal::stats);
        Figures {
            engine: match (driver.log.journal(), driver.config.storage) {
                (None, _) | (_, Storage::Memory) => "memory",
                (_, Storage::Sled) => "sled",
                (_, Storage::Log) => "log",
            },
            live: node.live_log_bytes(),
            disk: log.map_or(0, |log| log.disk.jobs.disk_bytes),
            pending: log.map_or(0, |log| log.pending_bytes),
            syncs: log.map(|log| log.sync_times).unwrap_or_default(),
            faults: log.map_or(0, |log| log.faults),
            unreadable: node.counters().unreadable,
            rewrites: driver.stats.rewrites,
            rewriting: driver.current_rewrite().is_some(),
            writable: !driver.health.refuses_jobs(),
            used: node.used_memory(),
            limit: driver.config.maxmemory.map_or(0, std::num::NonZeroU64::get),
            alarm: node.memory_level() >= MemoryLevel::Evict,
            spilled: node.spilled_jobs(),
            spilled_bytes: node.spilled_bytes(),
            loading: driver.loading.is_some(),
            ready: driver.not_ready().is_empty(),
            started: Process::started(),
        }
    }

    pub(super) fn write(&self, text: &mut Exposition, space: Space) {
        self.write_log(text);
        self.write_disk(text, space);
        self.write_memory(text);
        self.write_process(text);
    }

    fn write_log(&self, text: &mut Exposition) {
        let engine = [("engine", self.engine)];
        let mut one = |kind, name: &str, help: &str, value: u64| {
            text.family(kind, name, help);
            text.sample(&engine, value);
        };
        let (gauge, counter) = (Kind::Gauge, Kind::Counter);
        one(
            gauge,
            "storage_live_bytes",
            "What live jobs need in the log.",
            self.live,
        );
        one(
            gauge,
            "storage_disk_bytes",
            "What the files of the log take.",
            self.disk,
        );
        one(
            gauge,
            "storage_pending_bytes",
            "Bytes that wait to be written.",
            self.pending,
        );
        one(
            counter,
            "storage_errors_total",
            "Writes and syncs that failed.",
            self.faults,
        );
        one(
            counter,
            "storage_corrupt_records_total",
            "Bodies that could not be read back from the log.",
            self.unreadable,
        );
        one(
            counter,
            "storage_rewrites_total",
            "Passes of compaction that ended.",
            self.rewrites,
        );
        one(
            gauge,
            "storage_rewriting",
            "Whether a pass of compaction is under way.",
            u64::from(self.rewriting),
        );
        one(
            gauge,
            "storage_writable",
            "Whether jobs are taken as far as the disk is concerned.",
            u64::from(self.writable),
        );
    }

    fn write_disk(&self, text: &mut Exposition, space: Space) {
        text.family(
            Kind::Histogram,
            "storage_fsync_seconds",
            "How long syncs of the log took.",
        );
        let engine = [("engine", self.engine)];
        text.histogram(&engine, &WAIT_MICROS, MICROS, &self.syncs);
        text.gauge(
            "storage_free_bytes",
            "What is free on the disk of the data folder.",
            space.free,
        );
        text.gauge(
            "storage_total_bytes",
            "The size of the disk of the data folder.",
            space.total,
        );
    }

    fn write_memory(&self, text: &mut Exposition) {
        text.gauge(
            "memory_used_bytes",
            "Memory in use by the node's own account.",
            self.used,
        );
        text.gauge(
            "memory_limit_bytes",
            "`maxmemory`; 0 without a limit.",
            self.limit,
        );
        text.gauge(
            "memory_alarm",
            "Whether 95 % of the limit are in use, bodies that may leave memory not counted.",
            u8::from(self.alarm),
        );
        text.gauge(
            "memory_spilled_jobs",
            "Jobs whose bodies are on disk alone.",
            self.spilled,
        );
        text.gauge(
            "memory_spilled_bytes",
            "Bytes of these bodies.",
            self.spilled_bytes,
        );
    }

    fn write_process(&self, text: &mut Exposition) {
        text.family(
            Kind::Gauge,
            "build_info",
            "The version that runs; always 1.",
        );
        text.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        text.gauge(
            "start_time_seconds",
            "When the node started, unix time.",
            self.started,
        );
        text.gauge(
            "loading",
            "Whether the log is being read.",
            u8::from(self.loading),
        );
        text.gauge(
            "ready",
            "Whether the node is ready for clients.",
            u8::from(self.ready),
        );
        let process = Process::read();
        text.counter(
            "process_cpu_seconds_total",
            "User and system CPU time.",
            process.cpu_seconds,
        );
        text.gauge(
            "process_resident_memory_bytes",
            "Resident memory.",
            process.resident_bytes,
        );
        text.gauge(
            "process_virtual_memory_bytes",
            "Virtual memory.",
            process.virtual_bytes,
        );
        text.gauge(
            "process_open_fds",
            "Open file descriptors.",
            process.open_files,
        );
        text.gauge("process_max_fds", "The limit of them.", process.max_files);
        text.gauge(
            "process_start_time_seconds",
            "When the process started, unix time.",
            self.started,
        );
    }
}
