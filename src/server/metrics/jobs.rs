//! Jobs and queues.

use std::time::Duration;

use shoalmq_core::register::DeathReason;
use shoalmq_core::telling::{COPY_MILLIS, Depths, Histogram, JOB_MILLIS, Reason, Tally};

use super::exposition::{Exposition, Kind};
use super::label::{OTHER, queue_label};
use crate::server::driver::Driver;

const MILLIS: f64 = 1000.0;

/// A figure: its name, what it is, and where it is found.
type Told<T> = (&'static str, &'static str, fn(&T) -> u64);
type TimesOf = fn(&Tally) -> &Histogram<{ JOB_MILLIS.len() }>;

/// Figures of jobs.
pub(super) struct Jobs {
    queues: Vec<Queue>,
    known: usize,
    oldest: Duration,
    total: Tally,
    depths: Depths,
    replication: Histogram<{ COPY_MILLIS.len() }>,
    refused: [(&'static str, u64); 4],
    tombstones: usize,
    tombstone_bytes: usize,
    sleepless: usize,
}

struct Queue {
    name: String,
    tally: Tally,
    depths: Depths,
    /// None for the rest, of which no queue is looked at.
    own: Option<Own>,
}

struct Own {
    oldest: Duration,
    consumers: u64,
    paused: bool,
}

impl Jobs {
    pub(super) fn of(driver: &Driver) -> Self {
        let node = &driver.node;
        let now = driver.clock.now().time;
        let depths = node.total_depths();
        let mut rest = depths;
        let mut queues: Vec<Queue> = Vec::new();
        if driver.config.metrics_max_queues > 0 {
            queues.extend(node.queue_metrics(now).map(|queue| {
                rest.subtract(&queue.depths);
                Queue {
                    name: queue_label(queue.name).into_owned(),
                    tally: *queue.tally,
                    depths: queue.depths,
                    own: Some(Own {
                        oldest: queue.oldest,
                        consumers: queue.consumers,
                        paused: queue.paused,
                    }),
                }
            }));
            queues.push(Queue {
                name: OTHER.to_owned(),
                tally: *node.other_tally(),
                depths: rest,
                own: None,
            });
        }
        let counters = node.counters();
        Jobs {
            queues,
            known: node.queue_count(),
            oldest: node.oldest_ready(now),
            total: node.total_tally(),
            depths,
            replication: *node.replication_times(),
            refused: [
                ("unreachable", counters.refused_unreachable),
                ("timeout", counters.replication_timeouts),
                ("leaving", counters.refused_leaving),
                ("memory", counters.refused_memory),
            ],
            tombstones: node.tombstone_count(),
            tombstone_bytes: node.tombstone_bytes(),
            sleepless: node.jobs_without_wakeup(),
        }
    }

    pub(super) fn write(&self, text: &mut Exposition) {
        self.write_counters(text);
        self.write_redelivered(text);
        self.write_buried(text);
        self.write_depths(text);
        self.write_states(text);
        self.write_times(text);
        self.write_copies(text);
    }

    fn write_counters(&self, text: &mut Exposition) {
        let counters: [Told<Tally>; 9] = [
            (
                "added",
                "Jobs accepted from clients of this node.",
                |tally| tally.added,
            ),
            ("delivered", "Hand-outs of jobs to clients.", |tally| {
                tally.delivered
            }),
            (
                "acked",
                "Jobs that clients acknowledged. Every end of a job is counted at one node: where it was queued or handed out.",
                |tally| tally.acked,
            ),
            ("nacked", "Jobs given back by NACK.", |tally| tally.nacked),
            (
                "expired",
                "Jobs whose time to live ended unacknowledged.",
                |tally| tally.expired,
            ),
            ("deleted", "Jobs that DELJOB or QPURGE ended.", |tally| {
                tally.deleted
            }),
            (
                "duplicate",
                "Jobs that ended because an older one has the same key of DEDUP.",
                |tally| tally.duplicates,
            ),
            (
                "dropped",
                "At-most-once jobs that may have been delivered, dropped at an unclean start or to free memory.",
                |tally| tally.dropped,
            ),
            (
                "deduplicated",
                "ADDJOBs that added no job, for one with the same key of DEDUP was there.",
                |tally| tally.deduplicated,
            ),
        ];
        for (name, help, value) in counters {
            text.family(Kind::Counter, &format!("jobs_{name}_total"), help);
            for queue in &self.queues {
                text.sample(&[("queue", &queue.name)], value(&queue.tally));
            }
            let all = format!("The same of all queues: {help}");
            text.counter(&format!("node_jobs_{name}_total"), &all, value(&self.total));
        }
    }

    fn write_redelivered(&self, text: &mut Exposition) {
        let help = "Jobs queued again after they had been in a queue, by the reason.";
        let reasons = Reason::ALL.map(Reason::name);
        self.write_by_reason(text, ("redelivered", help), reasons, |tally| {
            tally.redelivered
        });
    }

    fn write_buried(&self, text: &mut Exposition) {
        let help = "Jobs of the queue that were moved to dead letters, by the reason.";
        let reasons = DeathReason::ALL.map(DeathReason::name);
        self.write_by_reason(text, ("dead", help), reasons, |tally| tally.buried);
    }

    fn write_by_reason<const REASONS: usize>(
        &self,
        text: &mut Exposition,
        (name, help): (&str, &str),
        reasons: [&str; REASONS],
        counts: fn(&Tally) -> [u64; REASONS],
    ) {
        text.family(Kind::Counter, &format!("jobs_{name}_total"), help);
        for queue in &self.queues {
            for (reason, count) in reasons.iter().zip(counts(&queue.tally)) {
                text.sample(&[("queue", &queue.name), ("reason", reason)], count);
            }
        }
        let all = format!("node_jobs_{name}_total");
        text.family(Kind::Counter, &all, "The same of all queues.");
        for (reason, count) in reasons.iter().zip(counts(&self.total)) {
            text.sample(&[("reason", reason)], count);
        }
    }

    fn write_depths(&self, text: &mut Exposition) {
        let depths: [Told<Depths>; 5] = [
            (
                "ready",
                "Jobs in the queue on this node, without copies.",
                |depths| depths.ready,
            ),
            (
                "active",
                "Jobs that this node handed out, not acknowledged yet.",
                |depths| depths.active,
            ),
            (
                "delayed",
                "Jobs added here whose delay is not over.",
                |depths| depths.delayed,
            ),
            (
                "restored",
                "Jobs read from disk at the start of this node, which wait for their retry.",
                |depths| depths.restored,
            ),
            (
                "dead",
                "Dead letters in the queue on this node, which count as ready, too.",
                |depths| depths.dead,
            ),
        ];
        for (name, help, value) in depths {
            text.family(Kind::Gauge, &format!("queue_{name}_jobs"), help);
            for queue in &self.queues {
                text.sample(&[("queue", &queue.name)], value(&queue.depths));
            }
            let all = format!("The same of all queues: {help}");
            text.gauge(&format!("node_{name}_jobs"), &all, value(&self.depths));
        }
        text.family(
            Kind::Gauge,
            "queue_bytes",
            "Bytes of the bodies of ready, active and delayed jobs.",
        );
        for queue in &self.queues {
            text.sample(&[("queue", &queue.name)], queue.depths.bytes);
        }
    }

    fn write_states(&self, text: &mut Exposition) {
        let own = || {
            let named = self.queues.iter();
            named.filter_map(|queue| Some((queue.name.as_str(), queue.own.as_ref()?)))
        };
        text.family(
            Kind::Gauge,
            "queue_oldest_ready_age_seconds",
            "For how long the job that is delivered next has been due; 0 in an empty queue.",
        );
        for (name, own) in own() {
            text.sample(&[("queue", name)], own.oldest.as_secs_f64());
        }
        text.family(
            Kind::Gauge,
            "queue_consumers",
            "Clients of this node that wait for jobs of the queue.",
        );
        for (name, own) in own() {
            text.sample(&[("queue", name)], own.consumers);
        }
        text.family(
            Kind::Gauge,
            "queue_paused",
            "Whether the queue is paused in any direction.",
        );
        for (name, own) in own() {
            text.sample(&[("queue", name)], u8::from(own.paused));
        }
        text.gauge(
            "node_oldest_ready_age_seconds",
            "The longest such time of all queues.",
            self.oldest.as_secs_f64(),
        );
        text.gauge(
            "queues",
            "Queues that clients see on this node.",
            self.known,
        );
    }

    fn write_times(&self, text: &mut Exposition) {
        let times: [(&str, &str, TimesOf); 2] = [
            (
                "wait",
                "From when a job was due, or queued again, to its delivery.",
                |tally| &tally.wait,
            ),
            (
                "service",
                "From a delivery, or its last WORKING, to the acknowledgement.",
                |tally| &tally.service,
            ),
        ];
        for (name, help, value) in times {
            text.family(Kind::Histogram, &format!("job_{name}_seconds"), help);
            for queue in &self.queues {
                let labels = [("queue", queue.name.as_str())];
                text.histogram(&labels, &JOB_MILLIS, MILLIS, value(&queue.tally));
            }
            let all = format!("The same of all queues: {help}");
            text.family(Kind::Histogram, &format!("node_job_{name}_seconds"), &all);
            text.histogram(&[], &JOB_MILLIS, MILLIS, value(&self.total));
        }
    }

    fn write_copies(&self, text: &mut Exposition) {
        text.gauge(
            "job_copies",
            "Jobs that this node holds for another one that queues them.",
            self.depths.copies,
        );
        text.family(
            Kind::Histogram,
            "replication_seconds",
            "From ADDJOB to the copies that it waited for, by the result; norepl took its whole timeout.",
        );
        text.histogram(&[("result", "ok")], &COPY_MILLIS, MILLIS, &self.replication);
        text.family(
            Kind::Counter,
            "norepl_total",
            "ADDJOBs refused for lack of copies, by the reason: at once, or after their timeout.",
        );
        for (reason, count) in self.refused {
            text.sample(&[("reason", reason)], count);
        }
        text.gauge(
            "ack_tombstones",
            "Acknowledgements kept for jobs that are not held here.",
            self.tombstones,
        );
        text.gauge(
            "ack_tombstone_bytes",
            "Memory that they take.",
            self.tombstone_bytes,
        );
        text.gauge(
            "jobs_without_wakeup",
            "Jobs that no timer looks after: always 0, else report it.",
            self.sleepless,
        );
    }
}
