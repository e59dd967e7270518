//! A disk in memory: the log as it was given to it, and how much of it would survive a crash.
//!
//! The two streams of the log have segments of their own, and one count of positions.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::id::JobId;
use crate::job::Body;
use crate::log::Position;
use crate::record::{Location, Record, Segment, Stream};
use crate::topic::{Entry as TopicEntry, TopicRecord, Unread};

/// The log of one node, which outlives its process.
#[derive(Debug, Default)]
pub struct Disk {
    jobs: Log,
    topics: Log,
    given: Position,
    synced: Position,
    /// The sync under way covers all up to here.
    syncing: Option<Position>,
    bodies_read: u64,
    entries_read: u64,
    /// Jobs whose records are damaged.
    pub damaged: BTreeSet<JobId>,
    /// Jobs whose records cannot be read at the moment.
    pub failing: BTreeSet<JobId>,
}

/// One stream of the log.
#[derive(Debug, Default)]
struct Log {
    entries: VecDeque<Entry>,
    segment: Segment,
    in_segment: u64,
    /// Segments below these may go once all up to the positions is synced.
    retiring: VecDeque<(Position, Segment)>,
}

#[derive(Debug)]
struct Entry {
    position: Position,
    at: Location,
    record: Record,
}

/// What came of reading a body.
#[derive(Debug)]
pub(super) enum Reading {
    /// Here it is.
    Read(Body),
    /// Its record is damaged.
    Damaged,
    /// It cannot be read at the moment.
    Failing,
    /// Its segment has retired: the job is gone.
    Gone,
}

impl Log {
    fn end(&self) -> Location {
        Location::new(self.segment, self.in_segment)
    }

    fn append(&mut self, position: Position, record: Record) -> Location {
        let at = self.end();
        self.in_segment += 1;
        self.entries.push_back(Entry {
            position,
            at,
            record,
        });
        at
    }

    fn get(&self, at: Location) -> Option<&Record> {
        let index = self.entries.binary_search_by_key(&at, |entry| entry.at);
        index.ok().map(|index| &self.entries[index].record)
    }

    fn become_synced(&mut self, position: Position) {
        while let Some(&(after, below)) = self.retiring.front()
            && after <= position
        {
            self.retiring.pop_front();
            self.entries.retain(|entry| entry.at.segment >= below);
        }
    }

    fn crash(&mut self, kept: Position) {
        self.entries.retain(|entry| entry.position <= kept);
        self.retiring.clear();
    }
}

impl Disk {
    /// All that would survive if it were synced now, in the order of writing; jobs before topics.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = (Location, &Record)> {
        let topics = self.records_of(Stream::Topics);
        self.records_of(Stream::Jobs).chain(topics)
    }

    /// The same of one stream.
    pub fn records_of(
        &self,
        stream: Stream,
    ) -> impl DoubleEndedIterator<Item = (Location, &Record)> + ExactSizeIterator {
        let entries = self.log(stream).entries.iter();
        entries.map(|entry| (entry.at, &entry.record))
    }

    /// The segments of jobs that are on disk.
    pub fn segments(&self) -> Vec<Segment> {
        let entries = self.jobs.entries.iter();
        let mut segments: Vec<Segment> = entries.map(|entry| entry.at.segment).collect();
        segments.dedup();
        segments
    }

    /// Appends a record to its stream; it is not synced yet. Every record counts as one byte long. Returns where it lies.
    pub fn append(&mut self, record: Record) -> Location {
        self.given.0 += 1;
        let position = self.given;
        self.log_mut(record.stream()).append(position, record)
    }

    /// Where the next record of a stream will lie.
    pub fn end(&self, stream: Stream) -> Location {
        self.log(stream).end()
    }

    fn log(&self, stream: Stream) -> &Log {
        match stream {
            Stream::Jobs => &self.jobs,
            Stream::Topics => &self.topics,
        }
    }

    fn log_mut(&mut self, stream: Stream) -> &mut Log {
        match stream {
            Stream::Jobs => &mut self.jobs,
            Stream::Topics => &mut self.topics,
        }
    }

    /// How many records were ever given to it.
    pub fn given(&self) -> Position {
        self.given
    }

    /// How many of them would survive a crash.
    pub fn synced(&self) -> Position {
        self.synced
    }

    /// How many bodies were ever read back.
    pub fn bodies_read(&self) -> u64 {
        self.bodies_read
    }

    /// How many entries of topics were ever read back.
    pub fn entries_read(&self) -> u64 {
        self.entries_read
    }

    /// Records of a stream go to the next segment from now on.
    pub fn roll(&mut self, stream: Stream) -> Segment {
        let log = self.log_mut(stream);
        log.segment += 1;
        log.in_segment = 0;
        log.segment
    }

    /// Begins to write out all that was given. Returns whether there is anything, and no sync under way.
    pub fn begin_sync(&mut self) -> bool {
        if self.syncing.is_some() || self.synced == self.given {
            return false;
        }
        self.syncing = Some(self.given);
        true
    }

    /// The sync under way is through.
    pub fn end_sync(&mut self) {
        if let Some(position) = self.syncing.take() {
            self.become_synced(position);
        }
    }

    /// Writes out all that was given, at once.
    pub fn sync_now(&mut self) {
        self.syncing = None;
        self.become_synced(self.given);
    }

    fn become_synced(&mut self, position: Position) {
        self.synced = position;
        self.jobs.become_synced(position);
        self.topics.become_synced(position);
    }

    /// Segments of a stream below this one may go, once what was given so far is synced.
    pub(super) fn retire(&mut self, stream: Stream, below: Segment) {
        let given = self.given;
        self.log_mut(stream).retiring.push_back((given, below));
    }

    /// The process was killed: what came after `kept` is lost.
    pub fn crash(&mut self, kept: Position) {
        self.crash_streams(kept, kept);
    }

    /// The process was killed, and of each stream another end is lost: the streams lie in files of their own.
    pub fn crash_streams(&mut self, jobs: Position, topics: Position) {
        self.jobs.crash(jobs);
        self.topics.crash(topics);
        let kept = jobs.max(topics);
        (self.given, self.synced, self.syncing) = (kept, kept, None);
    }

    /// These records never got here.
    pub fn lose(&mut self, mut lost: impl FnMut(&Record) -> bool) {
        for log in [&mut self.jobs, &mut self.topics] {
            log.entries.retain(|entry| !lost(&entry.record));
        }
    }

    /// Everything is gone.
    pub fn wipe(&mut self) {
        *self = Disk::default();
    }

    /// The body of a job that lies there.
    pub(super) fn read(&mut self, id: &JobId, place: &Body) -> Reading {
        if self.failing.contains(id) {
            return Reading::Failing;
        }
        if self.damaged.contains(id) {
            return Reading::Damaged;
        }
        let at = place.spilled_to().expect("only such a body is read");
        let Some(record) = self.jobs.get(at) else {
            return Reading::Gone;
        };
        self.bodies_read += 1;
        match record {
            Record::Added(job) if job.id == *id && job.body.len() == place.len() => {
                Reading::Read(job.body.clone())
            }
            record => panic!("{id} lies at {at}, not {record:?}"),
        }
    }
    /// An entry of a topic that lies there.
    pub(super) fn read_entry(&mut self, unread: &Unread) -> Arc<TopicEntry> {
        self.entries_read += 1;
        match self.topics.get(unread.place) {
            Some(Record::Topic(TopicRecord::Entry(entry)))
                if (entry.origin, entry.number) == (unread.origin, unread.number) =>
            {
                Arc::clone(entry)
            }
            other => panic!("{unread:?} can be read, not {other:?}"),
        }
    }
}
