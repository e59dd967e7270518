//! The records of topics, as postcard writes them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;
use shoalmq_core::extras::Extras;
use shoalmq_core::job::Body;
use shoalmq_core::topic::{EndRecord, Ended, Entry, EntryId, Origin, OriginNode, TopicRecord};

use super::{Invalid, Payload, known};

/// An origin: its node, and its start.
type OriginParts = (u32, u64);
/// An id: its milliseconds, and what tells it from the others of its millisecond.
type IdParts = (u64, u64);

/// What an end record says of one origin.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct EndedParts {
    origin: OriginParts,
    records: u64,
    known: u64,
}

/// The fields of an entry.
#[derive(Serialize, Deserialize)]
pub(super) struct EntryParts<'a> {
    origin: OriginParts,
    number: u64,
    id: IdParts,
    #[serde(borrow)]
    channel: &'a Bytes,
    #[serde(borrow)]
    body: &'a Bytes,
    extras: Extras,
}

fn parts(origin: Origin) -> OriginParts {
    (origin.node().bits(), origin.start())
}

fn origin((node, start): OriginParts) -> Origin {
    Origin::new(OriginNode::new(node), start)
}

fn id_parts(id: EntryId) -> IdParts {
    (id.ms(), id.seq())
}

fn id((ms, seq): IdParts) -> EntryId {
    EntryId::new(ms, seq)
}

pub(super) fn payload(record: &TopicRecord) -> Payload<'_> {
    match record {
        TopicRecord::Life(origin) => Payload::Life {
            origin: parts(*origin),
        },
        TopicRecord::Entry(entry) => Payload::Entry(EntryParts {
            origin: parts(entry.origin),
            number: entry.number,
            id: id_parts(entry.id),
            channel: Bytes::new(&entry.channel),
            body: Bytes::new(entry.body.as_bytes()),
            extras: entry.extras.clone(),
        }),
        TopicRecord::End {
            origin,
            number,
            record,
        } => Payload::End {
            origin: parts(*origin),
            number: *number,
            id: id_parts(record.id()),
            ended: record.ended().iter().map(EndedParts::of).collect(),
        },
        TopicRecord::Freed {
            origin,
            first,
            last,
            first_entry,
        } => Payload::Freed {
            origin: parts(*origin),
            first: *first,
            last: *last,
            first_entry: *first_entry,
        },
    }
}

impl EntryParts<'_> {
    /// The entry; `channel` makes its channel of the name.
    pub(super) fn into_entry(
        self,
        channel: &mut dyn FnMut(&[u8]) -> Arc<[u8]>,
    ) -> Result<Entry, Invalid> {
        Ok(Entry {
            origin: origin(self.origin),
            number: self.number,
            id: id(self.id),
            channel: channel(self.channel),
            body: Body::new(self.body),
            extras: known(self.extras)?,
        })
    }
}

pub(super) fn end(of: OriginParts, number: u64, at: IdParts, ended: &[EndedParts]) -> TopicRecord {
    let ended: Vec<Ended> = ended.iter().copied().map(EndedParts::whole).collect();
    TopicRecord::End {
        origin: origin(of),
        number,
        record: EndRecord::new(id(at), &ended),
    }
}

pub(super) fn life(of: OriginParts) -> TopicRecord {
    TopicRecord::Life(origin(of))
}

pub(super) fn freed(
    of: OriginParts,
    first: u64,
    last: u64,
    first_entry: Option<u64>,
) -> TopicRecord {
    TopicRecord::Freed {
        origin: origin(of),
        first,
        last,
        first_entry,
    }
}

impl EndedParts {
    fn of(ended: &Ended) -> Self {
        EndedParts {
            origin: parts(ended.origin),
            records: ended.records,
            known: ended.known,
        }
    }

    fn whole(self) -> Ended {
        Ended {
            origin: origin(self.origin),
            records: self.records,
            known: self.known,
        }
    }
}
