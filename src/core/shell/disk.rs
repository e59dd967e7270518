//! A disk in memory: the log as it was given to it, and how much of it would survive a crash.

use std::collections::{BTreeSet, VecDeque};

use crate::id::JobId;
use crate::job::Body;
use crate::log::Position;
use crate::record::{Location, Record, Segment};

/// The log of one node, which outlives its process.
#[derive(Debug, Default)]
pub struct Disk {
    log: VecDeque<Entry>,
    segment: Segment,
    in_segment: u64,
    given: Position,
    synced: Position,
    /// The sync under way covers all up to here.
    syncing: Option<Position>,
    /// Segments below these may go once all up to the positions is synced.
    retiring: VecDeque<(Position, Segment)>,
    bodies_read: u64,
    /// Jobs whose records are damaged.
    pub damaged: BTreeSet<JobId>,
    /// Jobs whose records cannot be read at the moment.
    pub failing: BTreeSet<JobId>,
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

impl Disk {
    /// All that would survive if it were synced now, in the order of writing.
    pub fn records(
        &self,
    ) -> impl DoubleEndedIterator<Item = (Location, &Record)> + ExactSizeIterator {
        self.log.iter().map(|entry| (entry.at, &entry.record))
    }

    /// The segments that are on disk.
    pub fn segments(&self) -> Vec<Segment> {
        let mut segments: Vec<Segment> = self.log.iter().map(|entry| entry.at.segment).collect();
        segments.dedup();
        segments
    }

    /// Appends a record; it is not synced yet. Every record counts as one byte long. Returns where it lies.
    pub fn append(&mut self, record: Record) -> Location {
        self.given.0 += 1;
        let at = self.end();
        self.in_segment += 1;
        self.log.push_back(Entry {
            position: self.given,
            at,
            record,
        });
        at
    }

    /// Where the next record will lie.
    pub fn end(&self) -> Location {
        Location::new(self.segment, self.in_segment)
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

    /// Records go to the next segment from now on.
    pub fn roll(&mut self) -> Segment {
        self.segment += 1;
        self.in_segment = 0;
        self.segment
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
        while let Some(&(after, below)) = self.retiring.front()
            && after <= position
        {
            self.retiring.pop_front();
            self.log.retain(|entry| entry.at.segment >= below);
        }
    }

    /// Segments below this one may go, once what was given so far is synced.
    pub(super) fn retire(&mut self, below: Segment) {
        self.retiring.push_back((self.given, below));
    }

    /// The process was killed: what came after `kept` is lost.
    pub fn crash(&mut self, kept: Position) {
        self.log.retain(|entry| entry.position <= kept);
        (self.given, self.synced, self.syncing) = (kept, kept, None);
        self.retiring.clear();
    }

    /// These records never got here.
    pub fn lose(&mut self, mut lost: impl FnMut(&Record) -> bool) {
        self.log.retain(|entry| !lost(&entry.record));
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
        let Ok(index) = self.log.binary_search_by_key(&at, |entry| entry.at) else {
            return Reading::Gone;
        };
        self.bodies_read += 1;
        match &self.log[index].record {
            Record::Added(job) if job.id == *id && job.body.len() == place.len() => {
                Reading::Read(job.body.clone())
            }
            record => panic!("{id} lies at {at}, not {record:?}"),
        }
    }
}
