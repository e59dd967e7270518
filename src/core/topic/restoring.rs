//! The log of topics: its segments, and the way back from it.

use super::channels::ChannelKey;
use super::entries::{Gone, Indexed};
use super::origin::{Origin, OriginNode};
use super::record::TopicRecord;
use super::topics::Topics;
use crate::effect::{Effect, News};
use crate::node::{Log, Node};
use crate::record::{Location, Record, Segment, Stream};
use crate::time::Now;

/// The segments of the log of topics that are there.
#[derive(Debug, Default)]
pub(super) struct Segments {
    oldest: Segment,
    current: Segment,
}

impl Segments {
    /// The segment that records go to; 0 before the first.
    pub(super) fn current(&self) -> Segment {
        self.current
    }

    fn start(&mut self, segment: Segment) {
        if self.current == 0 {
            self.oldest = segment;
        }
        self.current = self.current.max(segment);
    }
}

impl Node {
    /// Records of topics go to this segment from now on. It repeats what earlier segments say that must outlive them.
    pub(crate) fn on_topic_segment(&mut self, segment: Segment, effects: &mut Vec<Effect>) {
        self.topics.segments.start(segment);
        for record in self.topics.repeated() {
            self.persist_topic(record, effects);
        }
        self.retire_topics(effects);
    }

    /// The log was switched on: everything is recorded again.
    pub(crate) fn on_topic_log_opened(&mut self, segment: Segment, effects: &mut Vec<Effect>) {
        self.topics.segments = Segments::default();
        self.topics.segments.start(segment);
        self.topics.entries.unrecord(segment);
        for record in self.topics.repeated() {
            self.persist_topic(record, effects);
        }
        for entry in self.topics.entries.all_recent() {
            self.persist_topic(TopicRecord::Entry(entry), effects);
        }
        effects.push(Effect::Retire(Stream::Topics, segment));
    }

    /// Gives up the oldest segments of which readers may get nothing any more.
    pub(super) fn retire_topics(&mut self, effects: &mut Vec<Effect>) {
        if self.settings.log == Log::Off {
            return self.topics.drop_invisible();
        }
        let before = self.topics.segments.oldest;
        while self.topics.segments.oldest < self.topics.segments.current
            && !self.topics.has_visible(self.topics.segments.oldest)
        {
            self.topics.segments.oldest += 1;
        }
        let oldest = self.topics.segments.oldest;
        if oldest == before {
            return;
        }
        for origin in self.topics.free_below(oldest) {
            if let Some(record) = self.topics.freed_of(origin) {
                self.persist_topic(record, effects);
            }
        }
        effects.push(Effect::Retire(Stream::Topics, oldest));
    }

    /// The records of these entries lie there.
    pub(crate) fn on_entries_recorded(&mut self, places: &[(Origin, u64, Location)]) {
        for &(origin, number, place) in places {
            self.topics.entries.recorded(origin, number, place);
        }
    }

    pub(super) fn persist_topic(&self, record: TopicRecord, effects: &mut Vec<Effect>) {
        if self.settings.log == Log::On {
            effects.push(Effect::Persist(Record::Topic(record), News::Nothing));
        }
    }

    /// A start is over: this life begins, and all that is here is settled, for there is nobody else.
    pub(crate) fn start_topics(&mut self, now: Now, segment: Segment, effects: &mut Vec<Effect>) {
        self.topics.segments.start(segment);
        self.topics.settle_all();
        let node = OriginNode::of(&self.id);
        let last = self.topics.last_life;
        self.topics.begin(node, last, now.wall);
        self.arm_retention(now);
        for record in self.topics.repeated() {
            self.persist_topic(record, effects);
        }
    }
}

impl Topics {
    /// Applies a record of the log, which lies there.
    pub(crate) fn apply(
        &mut self,
        node: OriginNode,
        at: Location,
        record: TopicRecord,
        cache: usize,
    ) {
        self.segments.start(at.segment);
        match record {
            TopicRecord::Life(origin) => {
                if origin.node() == node {
                    self.last_life = self.last_life.max(Some(origin.start()));
                }
            }
            TopicRecord::Entry(entry) => {
                self.pass_clock(entry.id);
                if self.hold(&entry) {
                    self.entries.remember(&entry);
                }
                self.entries.recorded(entry.origin, entry.number, at);
                self.entries.forget_recent(cache);
            }
            TopicRecord::End {
                origin,
                number,
                record,
            } => {
                self.pass_clock(record.id());
                self.hold_end(origin, number, &record);
            }
            TopicRecord::Freed {
                origin,
                first,
                last,
                first_entry,
            } => self.origins.take_freed(origin, first..=last, first_entry),
        }
    }

    /// What each segment begins with.
    fn repeated(&self) -> Vec<TopicRecord> {
        let life = self.own().map(TopicRecord::Life);
        let logs: Vec<Origin> = self.origins.logs().map(|(origin, _)| origin).collect();
        let ends = logs.iter().flat_map(|&origin| {
            let rows = self.origins.ends().rows(origin, 1);
            rows.map(move |(number, row)| TopicRecord::End {
                origin,
                number,
                record: row.clone(),
            })
        });
        let freed = logs.iter().filter_map(|&origin| self.freed_of(origin));
        life.into_iter().chain(ends).chain(freed).collect()
    }

    /// The range of a log that was freed, if any was: it begins at its first record.
    fn freed_of(&self, origin: Origin) -> Option<TopicRecord> {
        let log = self.origins.log(origin)?;
        let range = log.freed().iter().next()?;
        Some(TopicRecord::Freed {
            origin,
            first: *range.start(),
            last: *range.end(),
            first_entry: log.first_entry(),
        })
    }

    /// All that is held is settled.
    fn settle_all(&mut self) {
        let logs = self.origins.logs();
        let held: Vec<(Origin, u64)> = logs.map(|(origin, log)| (origin, log.prefix())).collect();
        for (origin, records) in held {
            self.settle(origin, records);
        }
    }

    /// Whether readers may get an entry of a segment.
    fn has_visible(&self, segment: Segment) -> bool {
        let channels = &self.channels;
        self.entries.any_of(segment, |entry| {
            entry.id > channels.get(entry.channel).floor()
        })
    }

    /// Frees all records below a segment. Returns the logs that they were of.
    fn free_below(&mut self, segment: Segment) -> Vec<Origin> {
        let mut freed = Freed::default();
        self.entries.retire(segment, |gone| freed.note(&gone));
        self.free(freed)
    }

    /// Without a log, what readers may not get any more goes at once, from the front.
    fn drop_invisible(&mut self) {
        let mut freed = Freed::default();
        let channels = &self.channels;
        let is_gone = |entry: &Indexed| entry.id <= channels.get(entry.channel).floor();
        self.entries.drop_front(is_gone, |gone| freed.note(&gone));
        self.free(freed);
    }

    fn free(&mut self, freed: Freed) -> Vec<Origin> {
        for key in freed.channels {
            self.channels.remove(key);
        }
        let mut logs = Vec::new();
        for (origin, first, last) in freed.ranges {
            self.origins.free(origin, first..=last);
            logs.push(origin);
        }
        logs.dedup();
        logs
    }
}

/// What went from the index.
#[derive(Default)]
struct Freed {
    ranges: Vec<(Origin, u64, u64)>,
    channels: Vec<ChannelKey>,
}

impl Freed {
    fn note(&mut self, gone: &Gone<'_>) {
        self.ranges.push((gone.origin, gone.first, gone.last));
        self.channels.extend_from_slice(gone.channels);
    }
}
