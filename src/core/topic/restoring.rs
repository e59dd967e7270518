//! The log of topics: its segments, and the way back from it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;

use super::channels::{ChannelKey, Floor};
use super::entries::{Gone, Indexed};
use super::figures::Counts;
use super::id::{AHEAD_MAX_MS, EntryId};
use super::origin::{Origin, OriginNode};
use super::planted::Bug;
use super::record::{Entry, TopicRecord};
use super::topics::Topics;
use crate::effect::{Effect, News};
use crate::node::{Log, Node};
use crate::record::{Location, Record, Segment, Stream};
use crate::time::{Now, WallTime};

/// The segments of the log of topics that are there, and about how many bytes each has.
#[derive(Debug, Default)]
pub(super) struct Segments {
    oldest: Segment,
    sizes: VecDeque<u64>,
    bytes: u64,
}

impl Segments {
    /// The segment that records go to; 0 before the first.
    pub(super) fn current(&self) -> Segment {
        self.oldest + (self.sizes.len() as Segment).saturating_sub(1)
    }

    pub(super) fn oldest(&self) -> Segment {
        self.oldest
    }

    /// About how many bytes all of them have.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// About how many bytes the oldest has.
    pub(super) fn oldest_bytes(&self) -> u64 {
        self.sizes.front().copied().unwrap_or_default()
    }

    /// A record of about this many bytes is written.
    pub(super) fn grow(&mut self, bytes: u64) {
        if let Some(size) = self.sizes.back_mut() {
            *size += bytes;
            self.bytes += bytes;
        }
    }

    /// Segments below this one are given up.
    pub(super) fn give_up(&mut self, below: Segment) {
        while self.oldest < below
            && let Some(size) = self.sizes.pop_front()
        {
            self.bytes -= size;
            self.oldest += 1;
        }
    }

    fn start(&mut self, segment: Segment) {
        if self.sizes.is_empty() {
            self.oldest = segment;
        }
        while self.sizes.is_empty() || self.current() < segment {
            self.sizes.push_back(0);
        }
    }
}

impl Node {
    /// Records of topics go to this segment from now on. It repeats what earlier segments say that must outlive them.
    pub(crate) fn on_topic_segment(
        &mut self,
        now: Now,
        segment: Segment,
        effects: &mut Vec<Effect>,
    ) {
        self.topics.segments.start(segment);
        for record in self.topics.repeated() {
            self.persist_topic(record, effects);
        }
        self.retire_topics(effects);
        self.watch_topic_log(now);
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

    /// Whether entries of topics are in the log alone.
    pub fn has_topics_in_log_alone(&self) -> bool {
        let channels = &self.topics.channels;
        let entries = &self.topics.entries;
        entries.any_in_log_alone(|entry| entry.id > channels.get(entry.channel).floor())
    }

    /// A node without a log: which of its starts this is.
    pub fn begin_generation(&mut self, generation: u64) {
        self.topics.generation = generation;
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
    pub(crate) fn start_topics(
        &mut self,
        now: Now,
        generation: u64,
        segment: Segment,
        effects: &mut Vec<Effect>,
    ) {
        self.topics.segments.start(segment);
        self.topics.generation = generation;
        self.topics.counts = Counts::default();
        let node = OriginNode::of(&self.id);
        let last = self.topics.last_life;
        self.topics.check_clock(now.wall);
        match last.filter(|_| self.topics.origins.has(Bug::LifeGoesOn)) {
            Some(last) => self.topics.go_on(Origin::new(node, last)),
            None => {
                self.topics.begin(node, last, now.wall);
            }
        }
        self.begin_own(now);
        self.arm_retention(now);
        self.arm_lagging(now);
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
        self.segments.grow(record.size());
        match record {
            TopicRecord::Life(origin) => {
                if origin.node() == node {
                    self.last_life = self.last_life.max(Some(origin.start()));
                }
            }
            TopicRecord::Entry(entry) => {
                self.pass_clock(entry.id);
                if self.hold(&entry).is_some() {
                    self.entries.remember(&entry);
                } else {
                    self.recorded_again(&entry, at.segment);
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
            } => {
                self.origins.take_freed(origin, first..=last, first_entry);
                self.origins.see(origin, first..=last);
                // What was freed lay below the floor of its channel. It is counted while the index has it.
                let mut floors: BTreeMap<ChannelKey, EntryId> = BTreeMap::new();
                self.entries.visit_numbers(origin, first..=last, |entry| {
                    let floor = floors.entry(entry.channel).or_default();
                    *floor = entry.id.max(*floor);
                });
                let floors: Vec<(ChannelKey, EntryId)> = floors.into_iter().collect();
                self.raise_all(Floor::Flushed, &floors);
                for (key, _) in self.entries.take_out(origin, first, last) {
                    self.channels.remove(key);
                }
            }
        }
    }

    /// An entry that was recorded before lies in a later segment, too: the earlier one is about to go.
    fn recorded_again(&mut self, entry: &Entry, segment: Segment) {
        self.entries.move_one(entry.origin, entry.number, segment);
    }

    /// What each segment begins with.
    fn repeated(&self) -> Vec<TopicRecord> {
        let life = self.own().map(TopicRecord::Life);
        let freed = self.origins.logs().flat_map(|(origin, log)| {
            let ranges = log.freed().iter();
            ranges.map(move |range| self.freed(origin, range))
        });
        let ends = self.end_records();
        life.into_iter().chain(ends).chain(freed).collect()
    }

    /// The end records of all logs.
    pub(super) fn end_records(&self) -> impl Iterator<Item = TopicRecord> + '_ {
        self.origins.logs().flat_map(|(origin, _)| {
            let rows = self.origins.ends().rows(origin, 1);
            rows.map(move |(number, row)| TopicRecord::End {
                origin,
                number,
                record: row.clone(),
            })
        })
    }

    /// The record of a range of a log that was freed.
    pub(super) fn freed(&self, origin: Origin, range: RangeInclusive<u64>) -> TopicRecord {
        let log = self.origins.log(origin);
        TopicRecord::Freed {
            origin,
            first: *range.start(),
            last: *range.end(),
            first_entry: log.and_then(super::OriginLog::first_entry),
        }
    }

    /// Ids that a wrong clock made do not move this life's clock.
    fn check_clock(&mut self, wall: WallTime) {
        if self.clock().reading().ms() > wall.0.saturating_add(AHEAD_MAX_MS) {
            self.reset_clock();
        }
    }

    /// Whether readers may get an entry of a segment.
    pub(super) fn has_visible(&self, segment: Segment) -> bool {
        let channels = &self.channels;
        self.entries.any_of(segment, |entry| {
            entry.id > channels.get(entry.channel).floor()
        })
    }

    /// Frees all records below a segment. Returns what is to be recorded of that.
    pub(super) fn free_below(&mut self, segment: Segment) -> Vec<TopicRecord> {
        let mut freed = Freed::default();
        self.entries.retire(segment, |gone| freed.note(&gone));
        self.free(freed)
    }

    /// What readers may not get any more leaves the index, from the front of each log on. Returns what is to be recorded of
    /// that.
    pub(super) fn drop_invisible(&mut self) -> Vec<TopicRecord> {
        let mut freed = Freed::default();
        let channels = &self.channels;
        let is_gone = |entry: &Indexed| entry.id <= channels.get(entry.channel).floor();
        self.entries.drop_front(is_gone, |gone| freed.note(&gone));
        self.free(freed)
    }

    /// Frees what went from the index. Returns what is to be recorded of that.
    pub(super) fn free(&mut self, freed: Freed) -> Vec<TopicRecord> {
        for key in freed.channels {
            self.channels.remove(key);
        }
        let mut records = Vec::new();
        for (origin, first, last) in freed.ranges {
            self.origins.free(origin, first..=last);
            records.push(self.freed(origin, first..=last));
        }
        records
    }
}

/// What went from the index.
#[derive(Default)]
pub(super) struct Freed {
    ranges: Vec<(Origin, u64, u64)>,
    channels: Vec<ChannelKey>,
}

impl Freed {
    fn note(&mut self, gone: &Gone<'_>) {
        self.channels.extend_from_slice(gone.channels);
        self.add(gone.origin, gone.first, gone.last);
    }

    /// An entry of this channel went.
    pub(super) fn note_one(&mut self, origin: Origin, number: u64, channel: ChannelKey) {
        self.channels.push(channel);
        self.add(origin, number, number);
    }

    fn add(&mut self, origin: Origin, first: u64, last: u64) {
        match self.ranges.last_mut() {
            Some((same, _, before)) if *same == origin && *before + 1 == first => *before = last,
            Some(_) | None => self.ranges.push((origin, first, last)),
        }
    }
}
