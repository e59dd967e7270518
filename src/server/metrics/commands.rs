//! Commands and connections.

use shoalmq_core::telling::WAIT_MICROS;

use super::exposition::{Exposition, Kind};
use crate::command::table;
use crate::server::driver::Driver;
use crate::server::stats::CommandStats;

const MICROS: f64 = 1_000_000.0;

/// Figures of clients and their commands.
pub(super) struct Commands {
    each: Vec<(&'static str, CommandStats)>,
    normal: usize,
    monitors: usize,
    for_jobs: usize,
    for_copies: usize,
    connections: u64,
    rejected: u64,
    input: u64,
    output: u64,
    slow: u64,
}

impl Commands {
    pub(super) fn of(driver: &Driver) -> Self {
        let stats = &driver.stats;
        let names = table::all().iter().map(|spec| spec.name);
        let commands = names.zip(stats.per_command.iter().copied());
        Commands {
            each: commands.collect(),
            normal: driver.clients.len() - driver.monitors.len(),
            monitors: driver.monitors.len(),
            for_jobs: driver.node.waiting_count(),
            for_copies: driver.node.waiting_for_copies(),
            connections: stats.connections,
            rejected: stats.rejected,
            input: stats.input_bytes.total,
            output: stats.output_bytes.total,
            slow: driver.slowlog.total(),
        }
    }

    pub(super) fn write(&self, text: &mut Exposition) {
        text.family(
            Kind::Counter,
            "commands_total",
            "Commands, by whether they were answered with an error at once.",
        );
        for (name, stats) in &self.each {
            let ok = stats.calls - stats.failed;
            text.sample(&[("command", name), ("status", "ok")], ok);
            let failed = stats.failed + stats.refused;
            text.sample(&[("command", name), ("status", "error")], failed);
        }
        text.family(
            Kind::Histogram,
            "command_duration_seconds",
            "Time that a command took the node, without waiting for jobs, copies or the disk; of those that were called.",
        );
        for (name, stats) in self.each.iter().filter(|(_, stats)| stats.calls > 0) {
            text.histogram(&[("command", name)], &WAIT_MICROS, MICROS, &stats.times);
        }
        text.family(Kind::Gauge, "connected_clients", "Connections of clients.");
        text.sample(&[("kind", "normal")], self.normal);
        text.sample(&[("kind", "monitor")], self.monitors);
        text.family(
            Kind::Gauge,
            "blocked_clients",
            "Clients that wait: for a job, or for the copies of one that they added.",
        );
        text.sample(&[("kind", "jobs")], self.for_jobs);
        text.sample(&[("kind", "replicas")], self.for_copies);
        text.counter(
            "connections_total",
            "Connections taken in.",
            self.connections,
        );
        text.counter(
            "connections_rejected_total",
            "Connections refused for `maxclients` or protected mode.",
            self.rejected,
        );
        text.counter("net_input_bytes_total", "Bytes from clients.", self.input);
        text.counter("net_output_bytes_total", "Bytes to clients.", self.output);
        text.counter(
            "slowlog_entries_total",
            "Commands slower than `slowlog-log-slower-than`.",
            self.slow,
        );
    }
}
