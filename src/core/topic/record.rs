//! What topics write to their own stream of the log.

use std::sync::Arc;

use super::ends::EndRecord;
use super::id::EntryId;
use super::origin::Origin;
use crate::extras::Extras;
use crate::job::Body;

/// An entry: what a client published to a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// In the log of this origin.
    pub origin: Origin,
    /// Under this number, from 1 on.
    pub number: u64,
    /// Unique, and above the ids of all records before it in its log.
    pub id: EntryId,
    /// From 1 to 512 bytes of any kind.
    pub channel: Arc<[u8]>,
    /// At most as large as the body of a job.
    pub body: Body,
    /// Its optional fields: META, and the key of DEDUP.
    pub extras: Extras,
}

/// A record of the second stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicRecord {
    /// This node began a life: no later one has this start or a lower one. On disk before anything of that life is, and
    /// repeated at the start of each segment.
    Life(Origin),
    /// An entry, published here or copied from another member.
    Entry(Arc<Entry>),
    /// An end record. Repeated at the start of each segment, for the table of them outlives segments.
    End {
        /// In the log of this origin.
        origin: Origin,
        /// Under this number.
        number: u64,
        /// What it ends.
        record: EndRecord,
    },
    /// Records that flush or retention freed: they count as held. Repeated at the start of each segment.
    Freed {
        /// In the log of this origin.
        origin: Origin,
        /// The first number of the range.
        first: u64,
        /// The last one.
        last: u64,
        /// The number of the first entry that this log ever had.
        first_entry: Option<u64>,
    },
}

/// About how many bytes the record of an entry takes beside its channel, body and extras.
pub(super) const ENTRY_BYTES: u64 = 44;
/// About how many bytes any other record takes, beside what an end record ends.
const SMALL_BYTES: u64 = 36;
/// About how many bytes each origin takes in an end record.
const ENDED_BYTES: u64 = 16;

impl TopicRecord {
    /// About how many bytes it takes, whatever the backend.
    pub(crate) fn size(&self) -> u64 {
        match self {
            TopicRecord::Entry(entry) => entry.size(),
            TopicRecord::End { record, .. } => {
                SMALL_BYTES + ENDED_BYTES * record.ended().len() as u64
            }
            TopicRecord::Life(_) | TopicRecord::Freed { .. } => SMALL_BYTES,
        }
    }
}

impl Entry {
    /// About how many bytes its record takes.
    pub(crate) fn size(&self) -> u64 {
        ENTRY_BYTES + (self.channel.len() + self.body.len() + self.extras.len()) as u64
    }
}
