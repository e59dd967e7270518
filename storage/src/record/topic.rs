//! The records of topics, as postcard writes them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;
use shoalmq_core::extras::Extras;
use shoalmq_core::job::Body;
use shoalmq_core::topic::{EndRecord, Ended, Entry, EntryId, Origin, TopicRecord};

use super::{Invalid, Payload, known};

/// The fields of an entry.
#[derive(Serialize, Deserialize)]
pub(super) struct EntryParts<'a> {
    origin: Origin,
    number: u64,
    id: EntryId,
    #[serde(borrow)]
    channel: &'a Bytes,
    #[serde(borrow)]
    body: &'a Bytes,
    extras: Extras,
}

pub(super) fn payload(record: &TopicRecord) -> Payload<'_> {
    match record {
        &TopicRecord::Life(origin) => Payload::Life { origin },
        TopicRecord::Entry(entry) => Payload::Entry(EntryParts {
            origin: entry.origin,
            number: entry.number,
            id: entry.id,
            channel: Bytes::new(&entry.channel),
            body: Bytes::new(entry.body.as_bytes()),
            extras: entry.extras.clone(),
        }),
        TopicRecord::End {
            origin,
            number,
            record,
        } => Payload::End {
            origin: *origin,
            number: *number,
            id: record.id(),
            ended: record.ended().into(),
        },
        &TopicRecord::Freed {
            origin,
            first,
            last,
            first_entry,
        } => Payload::Freed {
            origin,
            first,
            last,
            first_entry,
        },
    }
}

pub(super) fn entry(parts: EntryParts<'_>) -> Result<TopicRecord, Invalid> {
    let entry = parts.into_entry(&mut |name| Arc::from(name))?;
    Ok(TopicRecord::Entry(Arc::new(entry)))
}

pub(super) fn end((origin, number): (Origin, u64), id: EntryId, ended: &[Ended]) -> TopicRecord {
    TopicRecord::End {
        origin,
        number,
        record: EndRecord::new(id, ended),
    }
}

pub(super) fn freed(
    origin: Origin,
    (first, last): (u64, u64),
    first_entry: Option<u64>,
) -> TopicRecord {
    TopicRecord::Freed {
        origin,
        first,
        last,
        first_entry,
    }
}

impl EntryParts<'_> {
    /// The entry; `channel` makes its channel of the name.
    pub(super) fn into_entry(
        self,
        channel: &mut dyn FnMut(&[u8]) -> Arc<[u8]>,
    ) -> Result<Entry, Invalid> {
        Ok(Entry {
            origin: self.origin,
            number: self.number,
            id: self.id,
            channel: channel(self.channel),
            body: Body::new(self.body),
            extras: known(self.extras)?,
        })
    }
}
