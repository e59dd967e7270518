//! Counting the stream of topics: records by kind, entries, channels, origins.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use foldhash::fast::FixedState;
use shoalmq_core::record::{Record, Segment};
use shoalmq_core::topic::{Origin, TopicRecord};

use super::census;

/// What was counted so far.
#[derive(Debug, Default)]
pub(super) struct Topics {
    pub(super) kinds: BTreeMap<&'static str, u64>,
    pub(super) segments: BTreeMap<Segment, Content>,
    pub(super) entries: u64,
    /// Those of the entries.
    origins: BTreeSet<Origin>,
    channels: HashSet<Arc<[u8]>, FixedState>,
}

/// What a segment holds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) records: u64,
    pub(super) bytes: u64,
}

impl Topics {
    /// Counts the next record.
    pub(super) fn count(&mut self, segment: Segment, bytes: usize, record: &Record) {
        *self.kinds.entry(census::kind(record)).or_default() += 1;
        let content = self.segments.entry(segment).or_default();
        content.records += 1;
        content.bytes += bytes as u64;
        let Record::Topic(record) = record else {
            return;
        };
        match record {
            TopicRecord::Entry(entry) => {
                self.entries += 1;
                self.origins.insert(entry.origin);
                if !self.channels.contains(&entry.channel) {
                    self.channels.insert(Arc::clone(&entry.channel));
                }
            }
            TopicRecord::Life(_) | TopicRecord::End { .. } | TopicRecord::Freed { .. } => {}
        }
    }

    pub(super) fn channels(&self) -> usize {
        self.channels.len()
    }

    pub(super) fn origins(&self) -> usize {
        self.origins.len()
    }

    /// All segments together.
    pub(super) fn total(&self) -> Content {
        let segments = self.segments.values();
        segments.fold(Content::default(), |sum, one| Content {
            records: sum.records + one.records,
            bytes: sum.bytes + one.bytes,
        })
    }
}
