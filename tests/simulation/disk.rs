//! One machine's disk: the log as it was given, and how much of it would survive a crash.

use std::collections::VecDeque;

use shoalmq_core::id::JobId;
use shoalmq_core::job::Body;
use shoalmq_core::record::{Location, Record, Segment};

use crate::dice::Dice;

/// How many records were ever given to a disk, up to and with this one.
pub(crate) type Position = u64;

/// The log of one machine.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    log: VecDeque<Entry>,
    segment: Segment,
    in_segment: usize,
    given: Position,
    synced: Position,
    /// Bodies that were ever read back.
    pub(crate) read: u64,
    /// The sync under way covers all up to here.
    syncing: Option<Position>,
    /// Segments below these may go once all up to the positions is synced.
    retiring: VecDeque<(Position, Segment)>,
}

#[derive(Debug)]
struct Entry {
    position: Position,
    at: Location,
    record: Record,
}

impl Disk {
    /// All that would survive, in the order of writing.
    pub(crate) fn records(&self) -> impl Iterator<Item = (Location, &Record)> {
        self.log.iter().map(|entry| (entry.at, &entry.record))
    }

    /// Appends a record; it is not on disk yet. Every record counts as one byte long.
    pub(crate) fn append(&mut self, record: Record) -> Location {
        let at = self.end();
        self.given += 1;
        self.in_segment += 1;
        self.log.push_back(Entry {
            position: self.given,
            at,
            record,
        });
        at
    }

    /// Where the next record will lie.
    pub(crate) fn end(&self) -> Location {
        Location::new(self.segment, self.in_segment as u64)
    }

    /// The body of a job that lies there; none when its segment has retired.
    pub(crate) fn read(&mut self, id: &JobId, place: &Body) -> Option<Body> {
        let at = place.spilled_to().expect("only such a body is read");
        let index = self.log.binary_search_by_key(&at, |entry| entry.at).ok()?;
        self.read += 1;
        match &self.log[index].record {
            Record::Added(job) if job.id == *id && job.body.len() == place.len() => {
                Some(job.body.clone())
            }
            record => panic!("{id} lies at {at}, not {record:?}"),
        }
    }

    pub(crate) fn given(&self) -> Position {
        self.given
    }

    pub(crate) fn synced(&self) -> Position {
        self.synced
    }

    pub(crate) fn in_segment(&self) -> usize {
        self.in_segment
    }

    /// Records go to the next segment from now on.
    pub(crate) fn roll(&mut self) -> Segment {
        self.segment += 1;
        self.in_segment = 0;
        self.segment
    }

    /// Begins to write out all that was given. Returns whether there is anything, and no sync under way.
    pub(crate) fn begin_sync(&mut self) -> bool {
        if self.syncing.is_some() || self.synced == self.given {
            return false;
        }
        self.syncing = Some(self.given);
        true
    }

    /// The sync under way is through.
    pub(crate) fn end_sync(&mut self) {
        if let Some(position) = self.syncing.take() {
            self.become_synced(position);
        }
    }

    /// Writes out all that was given, at once.
    pub(crate) fn sync_now(&mut self) {
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
    pub(crate) fn retire(&mut self, below: Segment) {
        self.retiring.push_back((self.given, below));
    }

    /// The process was killed: of what was not synced, any end is lost.
    pub(crate) fn crash(&mut self, dice: &mut Dice) {
        let kept = dice.between(self.synced, self.given);
        // More often than not all of it: the page cache was not written out yet.
        let kept = if dice.percent(60) { self.synced } else { kept };
        self.log.retain(|entry| entry.position <= kept);
        (self.given, self.synced, self.syncing) = (kept, kept, None);
        self.retiring.clear();
    }

    /// Everything is gone.
    pub(crate) fn wipe(&mut self) {
        *self = Disk::default();
    }

    /// The jobs that a start would find: added, and neither deleted nor acked since.
    pub(crate) fn jobs(&self) -> std::collections::BTreeSet<JobId> {
        let mut jobs = std::collections::BTreeSet::new();
        for (_, record) in self.records() {
            match record {
                Record::Added(job) => {
                    jobs.insert(job.id);
                }
                Record::Deleted(id) => {
                    jobs.remove(id);
                }
                Record::Acked(ack) => {
                    jobs.remove(&ack.id);
                }
                Record::Flushed => jobs.clear(),
                Record::Started { .. }
                | Record::Mark { .. }
                | Record::Holders { .. }
                | Record::Peer { .. }
                | Record::PeerForgotten(_)
                | Record::Setting(_)
                | Record::Standing(_)
                | Record::Closed { .. }
                | Record::Topic(_) => {}
            }
        }
        jobs
    }
}
