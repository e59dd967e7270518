//! Counting the stream of jobs: records by kind, and what of it is still live.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;
use shoalmq_core::id::JobId;
use shoalmq_core::record::{Record, Segment};
use shoalmq_core::topic::TopicRecord;

/// What a record is called, here and in a dump.
pub(super) fn kind(record: &Record) -> &'static str {
    match record {
        Record::Started { .. } => "started",
        Record::Mark { .. } => "mark",
        Record::Added(_) => "added",
        Record::Holders { .. } => "holders",
        Record::Acked(_) => "acked",
        Record::Moved(_) => "moved",
        Record::Counted(_) => "counted",
        Record::Deleted(_) => "deleted",
        Record::Peer { .. } => "peer",
        Record::PeerForgotten(_) => "peer-forgotten",
        Record::Setting(_) => "setting",
        Record::Flushed => "flushed",
        Record::Standing(_) => "standing",
        Record::Closed { .. } => "closed",
        Record::Topic(TopicRecord::Life(_)) => "life",
        Record::Topic(TopicRecord::Entry(_)) => "entry",
        Record::Topic(TopicRecord::End { .. }) => "end",
        Record::Topic(TopicRecord::Freed { .. }) => "freed",
    }
}

/// What was counted so far.
#[derive(Debug, Default)]
pub(super) struct Census {
    pub(super) kinds: BTreeMap<&'static str, u64>,
    pub(super) segments: BTreeMap<Segment, Content>,
    /// The last record so far is that of a clean stop.
    pub(super) closed: bool,
    live: HashMap<JobId, Live, FixedState>,
}

/// What a segment holds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// The records that jobs, or acks that not everybody has heard of, would be lost with.
    pub(super) live_records: u64,
    pub(super) live_bytes: u64,
}

/// The newest record of a job.
#[derive(Debug, Clone, Copy)]
struct Live {
    segment: Segment,
    bytes: u64,
    acked: bool,
}

impl Census {
    /// Counts the next record.
    pub(super) fn count(&mut self, segment: Segment, bytes: usize, record: &Record) {
        let bytes = bytes as u64;
        *self.kinds.entry(kind(record)).or_default() += 1;
        let content = self.segments.entry(segment).or_default();
        content.records += 1;
        content.bytes += bytes;
        self.closed = matches!(record, Record::Closed { .. });
        let live = |acked| Live {
            segment,
            bytes,
            acked,
        };
        match record {
            Record::Added(job) => self.replace(job.id, Some(live(false))),
            Record::Acked(ack) => self.replace(ack.id, Some(live(true))),
            Record::Deleted(id) => self.replace(*id, None),
            Record::Flushed => {
                self.live.clear();
                for content in self.segments.values_mut() {
                    (content.live_records, content.live_bytes) = (0, 0);
                }
            }
            Record::Started { .. }
            | Record::Mark { .. }
            | Record::Holders { .. }
            | Record::Moved(_)
            | Record::Counted(_)
            | Record::Peer { .. }
            | Record::PeerForgotten(_)
            | Record::Setting(_)
            | Record::Standing(_)
            | Record::Closed { .. }
            | Record::Topic(_) => {}
        }
    }

    fn replace(&mut self, id: JobId, live: Option<Live>) {
        let former = match live {
            Some(live) => {
                let content = self.segments.entry(live.segment).or_default();
                content.live_records += 1;
                content.live_bytes += live.bytes;
                self.live.insert(id, live)
            }
            None => self.live.remove(&id),
        };
        if let Some(former) = former {
            let content = self.segments.entry(former.segment).or_default();
            content.live_records -= 1;
            content.live_bytes -= former.bytes;
        }
    }

    /// Jobs that are there, and acks that not every node has heard of.
    pub(super) fn jobs(&self) -> (u64, u64) {
        let acked = self.live.values().filter(|live| live.acked).count() as u64;
        (self.live.len() as u64 - acked, acked)
    }

    /// All segments together.
    pub(super) fn total(&self) -> Content {
        self.segments
            .values()
            .fold(Content::default(), |sum, one| Content {
                records: sum.records + one.records,
                bytes: sum.bytes + one.bytes,
                live_records: sum.live_records + one.live_records,
                live_bytes: sum.live_bytes + one.live_bytes,
            })
    }
}

#[cfg(test)]
mod tests {
    use shoalmq_core::record::{AckRecord, JobRecord};

    use super::*;

    fn id(number: u8) -> JobId {
        JobId::from_bytes([number; 24])
    }

    fn added(number: u8) -> Record {
        Record::Added(Box::new(JobRecord {
            id: id(number),
            ..JobRecord::sample()
        }))
    }

    fn acked(number: u8) -> Record {
        Record::Acked(Box::new(AckRecord {
            id: id(number),
            ..AckRecord::sample()
        }))
    }

    #[test]
    fn a_job_is_live_where_it_was_last_recorded() {
        let mut census = Census::default();
        for number in 1..=3 {
            census.count(1, 100, &added(number));
        }
        census.count(2, 120, &added(1));
        census.count(2, 50, &acked(2));
        census.count(2, 30, &Record::Deleted(id(3)));
        census.count(2, 30, &Record::Deleted(id(9)));
        assert_eq!(census.jobs(), (1, 1));
        assert_eq!(census.segments[&1].live_records, 0);
        assert_eq!(census.segments[&2].live_bytes, 170);
        let total = census.total();
        assert_eq!((total.records, total.bytes), (7, 530));
        assert_eq!((total.live_records, total.live_bytes), (2, 170));
        census.count(3, 20, &Record::Flushed);
        assert_eq!((census.jobs(), census.total().live_bytes), ((0, 0), 0));
    }
}
