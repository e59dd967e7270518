//! INFO: Disque's sections and fields, in Disque's order, and ours.

mod replication;
mod topics;

use std::fmt::{Display, Write};
use std::time::Duration;

use super::Answer;
use crate::command::table;
use crate::server::clients::Execution;
use crate::server::driver::Driver;
use crate::server::persistence::LogState;
use crate::server::process;
use shoalmq_resp::encode;

/// A section: its name, whether a plain INFO shows it, and what writes its fields.
type Section = (&'static str, bool, fn(&Driver, &mut Fields));

const SECTIONS: [Section; 11] = [
    ("Server", true, server),
    ("Clients", true, clients),
    ("Memory", true, memory),
    ("Jobs", true, jobs),
    ("Queues", true, queues),
    ("Topics", true, topics::fields),
    ("Persistence", true, persistence),
    ("Stats", true, stats),
    ("CPU", true, cpu),
    ("Commandstats", false, command_stats),
    ("Replication", false, replication::fields),
];

/// The Redis whose protocol is spoken, down to CLIENT SETINFO and the rows of COMMAND; the one that Valkey tells too.
const REDIS_VERSION: &str = "7.2.4";

pub(super) fn info(execution: &mut Execution<'_>, wanted: &[&[u8]]) -> Answer {
    let is = |name: &str| {
        let mut wanted = wanted.iter();
        wanted.any(|wanted| wanted.eq_ignore_ascii_case(name.as_bytes()))
    };
    let (all, default) = (
        is("all") || is("everything"),
        wanted.is_empty() || is("default"),
    );
    let mut fields = Fields::default();
    for (name, by_default, write) in SECTIONS {
        if all || is(name) || default && by_default {
            fields.section(name);
            write(execution.driver, &mut fields);
        }
    }
    encode::bulk(execution.out, fields.0.as_bytes());
    Ok(())
}

/// Lines of `name:value`.
#[derive(Default)]
struct Fields(String);

impl Fields {
    fn section(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.push_str("\r\n");
        }
        self.0.push_str("# ");
        self.0.push_str(name);
        self.0.push_str("\r\n");
    }

    fn add(&mut self, name: &str, value: impl Display) {
        write!(self.0, "{name}:{value}\r\n").expect("a string takes all");
    }
}

fn server(driver: &Driver, fields: &mut Fields) {
    let uptime = driver.started.elapsed().as_secs();
    let system = rustix::system::uname();
    let executable = std::env::current_exe().unwrap_or_default();
    let file = driver.config.file.as_deref().unwrap_or_else(|| "".as_ref());
    fields.add("disque_version", env!("CARGO_PKG_VERSION"));
    fields.add("shoalmq_version", env!("CARGO_PKG_VERSION"));
    fields.add("redis_version", REDIS_VERSION);
    fields.add("disque_git_sha1", "00000000");
    fields.add("disque_git_dirty", 0);
    fields.add("disque_build_id", "0");
    fields.add(
        "os",
        format_args!(
            "{} {} {}",
            system.sysname().to_string_lossy(),
            system.release().to_string_lossy(),
            system.machine().to_string_lossy()
        ),
    );
    fields.add("arch_bits", usize::BITS);
    fields.add("multiplexing_api", "epoll");
    fields.add("gcc_version", "0.0.0");
    fields.add("process_id", std::process::id());
    fields.add("run_id", &driver.run_id);
    fields.add("tcp_port", driver.port);
    fields.add("uptime_in_seconds", uptime);
    fields.add("uptime_in_days", uptime / 86_400);
    fields.add("hz", driver.config.hz);
    fields.add("executable", executable.display());
    fields.add("config_file", file.display());
}

fn clients(driver: &Driver, fields: &mut Fields) {
    let outputs = driver
        .clients
        .values()
        .map(|client| client.mailbox.unread());
    let inputs = driver
        .clients
        .values()
        .map(|client| client.mailbox.buffers.input());
    fields.add("connected_clients", driver.clients.len());
    fields.add(
        "client_longest_output_list",
        outputs.filter(|&bytes| bytes > 0).count(),
    );
    fields.add("client_biggest_input_buf", inputs.max().unwrap_or(0));
    let waiting = driver
        .clients
        .values()
        .filter(|client| client.unanswered > 0);
    fields.add("blocked_clients", waiting.count());
}

fn memory(driver: &Driver, fields: &mut Fields) {
    let used = driver.node.used_memory();
    let peak = driver.stats.memory_peak.max(used);
    let (_, resident) = process::memory();
    fields.add("used_memory", used);
    fields.add("used_memory_human", human(used));
    fields.add("used_memory_rss", resident);
    fields.add("used_memory_peak", peak);
    fields.add("used_memory_peak_human", human(peak));
    fields.add("spilled_jobs", driver.node.spilled_jobs());
    fields.add("spilled_bytes", driver.node.spilled_bytes());
    fields.add("unreadable_bodies", driver.node.counters().unreadable);
    let ratio = if used == 0 {
        0.0
    } else {
        resident as f64 / used as f64
    };
    fields.add("mem_fragmentation_ratio", format_args!("{ratio:.2}"));
    fields.add(
        "mem_allocator",
        if cfg!(feature = "jemalloc") {
            "jemalloc"
        } else {
            "libc"
        },
    );
}

fn jobs(driver: &Driver, fields: &mut Fields) {
    let depths = driver.node.total_depths();
    let within = driver.node.restored_within(driver.clock.now().time);
    fields.add("registered_jobs", driver.node.job_count());
    fields.add("ready_jobs", depths.ready);
    fields.add("active_jobs", depths.active);
    fields.add("delayed_jobs", depths.delayed);
    fields.add("dead_jobs", depths.dead);
    fields.add("job_copies", depths.copies);
    fields.add("restored_jobs", depths.restored);
    fields.add("kept_jobs", driver.node.kept_count());
    let tally = driver.node.total_tally();
    fields.add("added_jobs", tally.added);
    fields.add("acked_jobs", tally.acked);
    fields.add("expired_jobs", tally.expired);
    fields.add("deleted_jobs", tally.deleted);
    fields.add("duplicate_jobs", tally.duplicates);
    fields.add("dropped_jobs", tally.dropped);
    fields.add("deduplicated_adds", tally.deduplicated);
    fields.add("purged_jobs", driver.node.counters().purged);
    fields.add(
        "restored_requeue_within_seconds",
        seconds_up(within.unwrap_or_default()),
    );
}

/// Whole seconds, of which the last may be a part.
fn seconds_up(duration: Duration) -> u128 {
    duration.as_millis().div_ceil(1000)
}

fn queues(driver: &Driver, fields: &mut Fields) {
    fields.add("registered_queues", driver.node.queue_count());
}

fn persistence(driver: &Driver, fields: &mut Fields) {
    let rewriting = driver.current_rewrite().is_some();
    let on = matches!(driver.log, LogState::On(_)) || driver.loading.is_some();
    let state = match (on, driver.opening_log()) {
        (false, _) => "off",
        (true, true) => "wait-rewrite",
        (true, false) => "on",
    };
    fields.add("loading", u8::from(driver.loading.is_some()));
    fields.add("aof_enabled", u8::from(on));
    fields.add("aof_state", state);
    fields.add("aof_rewrite_in_progress", u8::from(rewriting));
    fields.add("aof_rewrite_scheduled", 0);
    fields.add("aof_last_rewrite_time_sec", seconds(driver.last_rewrite()));
    fields.add(
        "aof_current_rewrite_time_sec",
        seconds(driver.current_rewrite()),
    );
    fields.add("aof_last_bgrewrite_status", "ok");
    fields.add(
        "aof_last_write_status",
        if driver.health.is_failing() {
            "err"
        } else {
            "ok"
        },
    );
    if let LogState::On(journal) = &driver.log {
        let log = journal.stats();
        fields.add("aof_current_size", log.disk.jobs.disk_bytes);
        fields.add("aof_base_size", driver.node.live_log_bytes());
        fields.add("aof_pending_rewrite", 0);
        fields.add("aof_buffer_length", log.pending_bytes);
        fields.add("aof_rewrite_buffer_length", 0);
        fields.add(
            "aof_pending_bio_fsync",
            u8::from(journal.waiting_since().is_some()),
        );
        fields.add("aof_delayed_fsync", driver.health.stalls());
    }
    backup(driver, fields);
    if let Some(loading) = &driver.loading {
        let total = loading.total_bytes.max(loading.loaded_bytes);
        let left = loading.left().unwrap_or(Duration::from_secs(1));
        fields.add("loading_start_time", loading.unix_seconds);
        fields.add("loading_total_bytes", total);
        fields.add("loading_loaded_bytes", loading.loaded_bytes);
        fields.add(
            "loading_loaded_perc",
            format_args!("{:.2}", loading.share() * 100.0),
        );
        fields.add(
            "loading_eta_seconds",
            format_args!("{:.0}", left.as_secs_f64()),
        );
    }
}

/// Of the backup that is made, and of the last one that ended.
fn backup(driver: &Driver, fields: &mut Fields) {
    let running = driver.backups.running();
    fields.add("backup_in_progress", u8::from(running.is_some()));
    if let Some(running) = running {
        fields.add("backup_directory", running.directory.display());
        let copied = running.copied();
        fields.add("backup_total_bytes", copied.total);
        fields.add("backup_copied_bytes", copied.bytes);
    }
    let Some(last) = driver.backups.last() else {
        return;
    };
    fields.add("backup_last_directory", last.directory.display());
    fields.add("backup_last_time_sec", last.took.as_secs());
    match &last.result {
        Ok(records) => {
            fields.add("backup_last_status", "ok");
            fields.add("backup_last_records", records);
        }
        Err(reason) => {
            fields.add("backup_last_status", "err");
            fields.add("backup_last_error", reason);
        }
    }
}

/// Whole seconds, or -1 for what never was.
fn seconds(duration: Option<Duration>) -> i64 {
    duration.map_or(-1, |duration| {
        i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
    })
}

fn stats(driver: &Driver, fields: &mut Fields) {
    let stats = &driver.stats;
    fields.add("total_connections_received", stats.connections);
    fields.add("total_commands_processed", stats.commands.total);
    fields.add(
        "instantaneous_ops_per_sec",
        format_args!("{:.0}", stats.commands.per_second()),
    );
    fields.add("total_net_input_bytes", stats.input_bytes.total);
    fields.add("total_net_output_bytes", stats.output_bytes.total);
    fields.add(
        "instantaneous_input_kbps",
        format_args!("{:.2}", stats.input_bytes.per_second() / 1024.0),
    );
    fields.add(
        "instantaneous_output_kbps",
        format_args!("{:.2}", stats.output_bytes.per_second() / 1024.0),
    );
    fields.add("rejected_connections", stats.rejected);
    fields.add("latest_fork_usec", 0);
}

fn cpu(_: &Driver, fields: &mut Fields) {
    let (system, user) = process::cpu_time();
    fields.add("used_cpu_sys", format_args!("{system:.2}"));
    fields.add("used_cpu_user", format_args!("{user:.2}"));
    fields.add("used_cpu_sys_children", "0.00");
    fields.add("used_cpu_user_children", "0.00");
}

fn command_stats(driver: &Driver, fields: &mut Fields) {
    for (spec, stats) in table::all().iter().zip(&driver.stats.per_command) {
        if stats.calls > 0 {
            let micros = stats.time.as_micros();
            let each = micros as f64 / stats.calls as f64;
            fields.add(
                &format!("cmdstat_{}", spec.name),
                format_args!(
                    "calls={},usec={micros},usec_per_call={each:.2}",
                    stats.calls
                ),
            );
        }
    }
}

/// A size as Redis writes it for people.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "K", "M", "G"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit < UNITS.len() - 1 {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes}B")
    } else {
        format!("{value:.2}{}", UNITS[unit])
    }
}
