//! Figures of topics: those of all together, and of the first channels and named cursors.

use shoalmq_core::topic::{ChannelFigures, Lag, Lags, TopicFigures};

use super::exposition::{Exposition, Kind};
use super::label::{OTHER, queue_label};
use crate::server::driver::Driver;

/// A figure: its kind, its name, and what it is.
type Named = (Kind, &'static str, &'static str);

/// The figures of all topics together.
const SUMS: [Named; 20] = [
    (
        Kind::Counter,
        "topic_entries_published_total",
        "Entries that clients of this node published.",
    ),
    (
        Kind::Counter,
        "topic_entries_delivered_total",
        "Entries that readers at this node were given, by TREAD and by subscriptions.",
    ),
    (
        Kind::Counter,
        "topic_entries_flushed_total",
        "Entries that TFLUSH took.",
    ),
    (
        Kind::Counter,
        "topic_entries_expired_total",
        "Entries that retention or topic-max-disk took.",
    ),
    (
        Kind::Counter,
        "topic_jobs_bound_total",
        "Jobs that bindings made of entries at this node.",
    ),
    (Kind::Gauge, "topic_channels", "Channels that have entries."),
    (
        Kind::Gauge,
        "topic_entries",
        "Entries that readers may get.",
    ),
    (
        Kind::Gauge,
        "topic_bytes",
        "Bytes of their channels, bodies and extras.",
    ),
    (
        Kind::Gauge,
        "topic_readers",
        "Subscriptions at this node, and TREADs that wait.",
    ),
    (
        Kind::Gauge,
        "topic_cursors",
        "Named cursors of the cluster.",
    ),
    (Kind::Gauge, "topic_bindings", "Bindings of the cluster."),
    (
        Kind::Gauge,
        "topic_bindings_waiting",
        "Those of them that make no jobs: their queue takes none, or too few nodes do.",
    ),
    (
        Kind::Gauge,
        "topic_log_bytes",
        "What the log of topics takes.",
    ),
    (
        Kind::Gauge,
        "topic_log_limit_bytes",
        "What it may take, `topic-max-disk`; 0 without a log.",
    ),
    (
        Kind::Gauge,
        "topic_memory_bytes",
        "Memory in use by the index and the newest entries.",
    ),
    (
        Kind::Gauge,
        "topic_memory_limit_bytes",
        "What they may take, `topic-max-memory`.",
    ),
    (
        Kind::Gauge,
        "topic_members",
        "Other members that keep topics and are there.",
    ),
    (
        Kind::Gauge,
        "topic_members_set_aside",
        "Other members that readers do not wait for: they are down, do not answer, or have a wrong clock.",
    ),
    (
        Kind::Gauge,
        "topic_records_missing",
        "Records that this node knows of and does not have: they are being copied, or nobody who is there has them.",
    ),
    (
        Kind::Gauge,
        "topic_logs_refused",
        "Logs that exist twice, because a machine or a disk was copied: nothing of them is taken any more.",
    ),
];

/// Figures of topics.
pub(super) struct Topics {
    all: TopicFigures,
    /// None if no channel is to have series of its own.
    first: Option<Vec<ChannelFigures>>,
    /// None likewise, of named cursors.
    lags: Lags,
}

impl Topics {
    pub(super) fn of(driver: &Driver) -> Self {
        let has_series = driver.config.metrics_max_topics > 0;
        Topics {
            all: driver.node.topic_figures(),
            first: has_series.then(|| driver.node.first_channels().collect()),
            lags: if has_series {
                driver.node.cursor_lags()
            } else {
                Lags::default()
            },
        }
    }

    pub(super) fn write(&self, text: &mut Exposition) {
        for ((kind, name, help), value) in SUMS.into_iter().zip(self.sums()) {
            text.one(kind, name, help, value);
        }
        self.write_channels(text);
        self.write_cursors(text);
    }

    fn write_cursors(&self, text: &mut Exposition) {
        let behind: fn(&Lag) -> f64 = |lag| lag.behind.as_secs_f64();
        let overtaken: fn(&Lag) -> f64 = |lag| f64::from(u8::from(lag.is_overtaken));
        let families = [
            (
                "topic_cursor_behind_seconds",
                "Age of the oldest entry that the reader of a named cursor has not committed, as this node sees it; 0 if there is none.",
                behind,
            ),
            (
                "topic_cursor_overtaken",
                "1 while retention or topic-max-disk took entries of a named cursor that may not be committed.",
                overtaken,
            ),
        ];
        for (name, help, value) in families {
            text.family(Kind::Gauge, name, help);
            for (cursor, lag) in &self.lags.first {
                text.sample(&[("cursor", &queue_label(cursor))], value(lag));
            }
            if let Some(lag) = &self.lags.rest {
                text.sample(&[("cursor", OTHER)], value(lag));
            }
        }
    }

    /// In the order of [`SUMS`].
    fn sums(&self) -> [u64; SUMS.len()] {
        let all = &self.all;
        [
            all.published,
            all.delivered,
            all.flushed,
            all.taken,
            all.bound,
            all.channels as u64,
            all.entries,
            all.bytes,
            all.readers as u64,
            all.cursors as u64,
            all.bindings as u64,
            all.bindings_waiting as u64,
            all.log_bytes,
            all.log_limit,
            all.memory,
            all.memory_limit,
            all.members.present as u64,
            all.members.aside as u64,
            all.members.missing,
            all.members.refused as u64,
        ]
    }

    fn write_channels(&self, text: &mut Exposition) {
        let first = self.first.as_deref().unwrap_or_default();
        let sum = |value: fn(&ChannelFigures) -> u64| first.iter().map(value).sum::<u64>();
        let entries: fn(&ChannelFigures) -> u64 = |channel| channel.entries;
        let bytes: fn(&ChannelFigures) -> u64 = |channel| channel.bytes;
        let published: fn(&ChannelFigures) -> u64 = |channel| channel.published;
        let families = [
            (
                Kind::Gauge,
                "topic_channel_entries",
                "Entries of a channel that readers may get.",
                entries,
                self.all.entries - sum(entries),
            ),
            (
                Kind::Gauge,
                "topic_channel_bytes",
                "Bytes of their channels, bodies and extras.",
                bytes,
                self.all.bytes - sum(bytes),
            ),
            (
                Kind::Counter,
                "topic_channel_published_total",
                "Entries that clients of this node published to a channel.",
                published,
                self.all.published_to_rest,
            ),
        ];
        for (kind, name, help, value, rest) in families {
            text.family(kind, name, help);
            for channel in first {
                let label = queue_label(&channel.name);
                text.sample(&[("channel", &label)], value(channel));
            }
            if self.first.is_some() {
                text.sample(&[("channel", OTHER)], rest);
            }
        }
    }
}
