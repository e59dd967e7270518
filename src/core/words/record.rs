//! What a node writes to its log, so that a restart finds every job again.
//!
//! The core says what is recorded and when; `storage` turns records into bytes and back. Times are moments of the
//! node's own timeline, which goes on across restarts (see [`crate::time`]), so a deadline is stored as it is.

use std::fmt;

use crate::extras::Extras;
use crate::id::{JobId, NodeId, QueueName, StoreId};
use crate::job::Body;
use crate::message::Holders;
use crate::setting::Setting;
use crate::time::{Time, WallTime};
use crate::topic::TopicRecord;

/// A part of the log that is dropped as a whole, numbered from 1 in the order of writing.
pub type Segment = u32;

/// Where a record lies in the log: its segment, and the bytes of the segment before it, frames laid end to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// Which segment.
    pub segment: Segment,
    /// Bytes before it. [`Location::FAR`] when it does not fit.
    pub offset: u32,
}

impl Location {
    /// An offset that is not kept: what lies so far in a segment is not read back from there.
    pub const FAR: u32 = u32::MAX;

    /// The place `offset` bytes into a segment.
    pub fn new(segment: Segment, offset: u64) -> Self {
        let offset = u32::try_from(offset).unwrap_or(Location::FAR);
        Location { segment, offset }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {} of segment {}", self.offset, self.segment)
    }
}

/// The two streams of the log. Each has segments of its own, so that neither keeps the other's from retiring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Jobs, and all that is about the node.
    Jobs,
    /// Topics: [`Record::Topic`] and nothing else.
    Topics,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// The node started: nothing before this counts as a clean stop any more. On disk before anything is delivered.
    Started {
        /// Rises at every start.
        generation: u64,
        /// Where the timeline went on.
        time: Time,
        /// The wall clock at that moment.
        wall: WallTime,
    },
    /// Ties the timeline to the wall clock, every minute.
    Mark {
        /// A moment of the timeline.
        time: Time,
        /// The wall clock at that moment.
        wall: WallTime,
    },
    /// A job this node holds, whole. A later record of the same id takes the place of an earlier one.
    Added(Box<JobRecord>),
    /// More nodes hold a job than its record says.
    Holders {
        /// Which job.
        id: JobId,
        /// All other nodes that may hold it.
        holders: Holders,
    },
    /// A job was moved: it is in this queue now, and its register and counters are these.
    Moved(Box<MoveRecord>),
    /// How often a job was handed out and given back, or that it waits for another delivery.
    Counted(Box<CountRecord>),
    /// A job is acknowledged, or its add was withdrawn: takes the place of its other records. A tombstone has no queue.
    Acked(Box<AckRecord>),
    /// The job is gone from this node: acknowledged everywhere, deleted or expired.
    Deleted(JobId),
    /// From here on this node's copies lie in this store: what a former one held is gone. Repeated at the start of
    /// each segment.
    Peer {
        /// Which node.
        id: NodeId,
        /// Its store.
        store: StoreId,
    },
    /// A node was forgotten: it holds nothing any more.
    PeerForgotten(NodeId),
    /// An entry of the cluster's settings, written here or learned from another node. Repeated at the start of each segment.
    Setting(Box<Setting>),
    /// All jobs and settings are gone from this node.
    Flushed,
    /// At a clean stop: where a job stood. Counts only when [`Record::Closed`] ends the log. A job with a retry that
    /// was never queued has none: its delay says when it will be.
    Standing(Standing),
    /// The node stopped cleanly: the last record of its log.
    Closed {
        /// When it stopped.
        time: Time,
        /// The wall clock at that moment.
        wall: WallTime,
    },
    /// What topics record, in the other stream.
    Topic(TopicRecord),
}

/// About how many bytes the record of a job, or of its ack, takes beside its body and the name of its queue.
pub(crate) const RECORD_BYTES: u64 = 64;
/// About how many bytes any other record takes.
const SMALL_BYTES: u64 = 36;
/// The bytes of a node's id in a list of them.
const HOLDER_BYTES: u64 = 21;

impl Record {
    /// Whether it is to be on disk soon, whatever the policy: lives and end records, on which cursors rest.
    pub fn is_urgent(&self) -> bool {
        matches!(
            self,
            Record::Topic(TopicRecord::Life(_) | TopicRecord::End { .. })
        )
    }

    /// The stream that it belongs to.
    pub fn stream(&self) -> Stream {
        match self {
            Record::Topic(_) => Stream::Topics,
            Record::Started { .. }
            | Record::Mark { .. }
            | Record::Added(_)
            | Record::Holders { .. }
            | Record::Moved(_)
            | Record::Counted(_)
            | Record::Acked(_)
            | Record::Deleted(_)
            | Record::Peer { .. }
            | Record::PeerForgotten(_)
            | Record::Setting(_)
            | Record::Flushed
            | Record::Standing(_)
            | Record::Closed { .. } => Stream::Jobs,
        }
    }

    /// About how many bytes it takes, whatever the backend.
    ///
    /// The holders of a job are left out: they change without a new record of it, and what is live is counted by the
    /// job as it is now.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Record::Added(job) => {
                let (queue, body) = (job.queue.as_bytes().len(), job.body.len());
                RECORD_BYTES + (queue + body + job.extras.len()) as u64
            }
            Record::Moved(moved) => {
                RECORD_BYTES + (moved.queue.as_bytes().len() + moved.extras.len()) as u64
            }
            Record::Acked(ack) => {
                let queue = ack.queue.as_ref().map_or(0, |name| name.as_bytes().len());
                RECORD_BYTES + (queue + ack.extras.len()) as u64
            }
            Record::Holders { holders, .. } => SMALL_BYTES + HOLDER_BYTES * holders.len() as u64,
            Record::Setting(setting) => {
                let value = setting.value.as_ref().map_or(0, |value| value.len());
                RECORD_BYTES + (setting.name.len() + value) as u64
            }
            Record::Topic(record) => record.size(),
            Record::Started { .. }
            | Record::Mark { .. }
            | Record::Deleted(_)
            | Record::Counted(_)
            | Record::Peer { .. }
            | Record::PeerForgotten(_)
            | Record::Flushed
            | Record::Standing(_)
            | Record::Closed { .. } => SMALL_BYTES,
        }
    }
}

/// A job as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    /// Its id.
    pub id: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// Its body.
    pub body: Body,
    /// Creation: unix milliseconds × 1 000 000 + a counter. Orders the queue.
    pub created: u64,
    /// When it was added, on this node's timeline: its ttl and delay count from here.
    pub added: Time,
    /// Seconds that it lives.
    pub ttl: u32,
    /// Seconds before its first queueing.
    pub delay: u32,
    /// Seconds until a requeue; 0 for never.
    pub retry: u32,
    /// How many copies its producer asked for.
    pub replicate: u16,
    /// Times it was given back by NACK, when this was written.
    pub nacks: u32,
    /// Times it was queued again for lack of an ack, when this was written.
    pub additional_deliveries: u32,
    /// Other nodes that may hold it.
    pub holders: Holders,
    /// Its optional fields.
    pub extras: Extras,
}

/// A job that was moved, as it is recorded: all that its register brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveRecord {
    /// Its id.
    pub id: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// When its life began, on this node's timeline.
    pub added: Time,
    /// Seconds that it lives.
    pub ttl: u32,
    /// Times it was given back by NACK.
    pub nacks: u32,
    /// Times it was queued again for lack of an ack.
    pub additional_deliveries: u32,
    /// All its optional fields, the register among them.
    pub extras: Extras,
}

/// What is counted of a job, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountRecord {
    /// Its id.
    pub id: JobId,
    /// Times it was given back by NACK.
    pub nacks: u32,
    /// Times it was queued again for lack of an ack.
    pub additional_deliveries: u32,
    /// It is this node that will queue it.
    pub turn: bool,
    /// How often it was handed out, and until when it waits, if it does.
    pub extras: Extras,
}

/// An acknowledged job as it is recorded, or one whose add was withdrawn, until every holder knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AckRecord {
    /// Its id.
    pub id: JobId,
    /// Its queue; none for a tombstone, which any member may still hold the job of.
    pub queue: Option<QueueName>,
    /// When the ack is given up, on this node's timeline: the end of the job's ttl.
    pub expires: Time,
    /// Other nodes that may hold it, and have not said that they know of the ack.
    pub unheard: Holders,
    /// Nobody acknowledged it: its producer's add was withdrawn.
    pub withdrawn: bool,
    /// What else is kept about this end.
    pub extras: Extras,
}

/// Where a job stood at a clean stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its id.
    pub id: JobId,
    /// It was in its queue.
    pub queued: bool,
    /// It was this node that had it in its queue, or had handed it out.
    pub turn: bool,
    /// When it is queued next; none when nothing will.
    pub requeue: Option<Time>,
    /// Times it was given back by NACK.
    pub nacks: u32,
    /// Times it was queued again for lack of an ack.
    pub additional_deliveries: u32,
    /// What else is said about where it stood; nothing yet.
    pub extras: Extras,
}
