//! Records as bytes: what a frame consists of, and how damage in one is told from another version's record.
//!
//! ```text
//! frame    record, record, …           nothing between them, nothing after the last
//!
//! record   length   u32 LE             bytes that follow the checksum: at least 2
//!          checksum u32 LE             crc32c of those bytes
//!          version  u8                 2
//!          payload                     postcard: kind, then the fields of that kind
//!
//! payload  kind     varint             0 started, 1 mark, 2 added, 3 deleted, 4 flushed, 5 standing, 6 closed,
//!                                      7 holders, 8 acked, 9 peer, 10 peer forgotten, 11 setting;
//!                                      in the stream of topics 12 life, 13 entry, 14 end, 15 freed
//!          fields                      numbers as varints, bytes behind their length, ids of nodes behind
//!                                      their number
//! ```
//!
//! The kinds and their fields never change. What is added later about one job is an extra of its records (`added`,
//! `acked`, `standing`; see [`shoalmq_core::extras`]), and an older node keeps it, or refuses the record by name if the
//! extra must be understood ([`Invalid::Extra`]). Anything else that is added gets a new kind, and what is changed a new
//! version, which an older node refuses by name too ([`Invalid::Kind`], [`Invalid::Version`]).
//! A job with a body of 100 bytes and a queue name of 8 takes about 170 bytes.

use std::borrow::Cow;
use std::sync::Arc;

use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;
use shoalmq_core::extras::{Extras, Features, Tag};
use shoalmq_core::id::{JobId, NodeId, StoreId};
use shoalmq_core::record::{Record, Standing};
use shoalmq_core::setting::{Setting, SettingKind};
use shoalmq_core::time::{Time, WallTime};
use shoalmq_core::topic::{Ended, Entry, EntryId, Origin, TopicRecord};

#[cfg(test)]
mod golden;
mod job;
#[cfg(test)]
mod tests;
mod topic;

/// The version that this node writes, and the only one that it reads.
pub const VERSION: u8 = 2;
/// The bytes before the version: length and checksum.
pub(crate) const HEADER: usize = 8;
/// The kind of an entry.
const ENTRY: u32 = 13;
/// Kinds of this version are below this.
const KINDS: u32 = 18;

/// Why bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The bytes end before the record does.
    #[error("the record is cut off")]
    Truncated,
    /// The length is one that no record has, or the checksum does not fit the bytes.
    #[error("the checksum does not fit")]
    Checksum,
    /// Whole, but of a version that this node does not know: a newer node wrote it.
    #[error("the record has version {0}, this node reads version {VERSION}")]
    Version(u8),
    /// Whole, but of a kind that this node does not know: a newer node wrote it.
    #[error("the record is of kind {0}, which this node does not know")]
    Kind(u32),
    /// Whole, but it holds a field that a node must understand, and this one does not: a newer node wrote it.
    #[error("the record has field {0}, which this node would have to understand and does not know")]
    Extra(Tag),
    /// Whole, but its fields make no sense: a bug wrote it.
    #[error("the record's fields make no sense")]
    Fields(#[source] postcard::Error),
}

impl Invalid {
    /// The bytes are whole, and only a newer node can read them.
    pub fn is_newer(&self) -> bool {
        match self {
            Invalid::Version(_) | Invalid::Kind(_) | Invalid::Extra(_) => true,
            Invalid::Truncated | Invalid::Checksum | Invalid::Fields(_) => false,
        }
    }
}

/// Appends a record to a frame.
pub fn encode(record: &Record, frame: &mut Vec<u8>) {
    let start = frame.len();
    frame.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, VERSION]);
    postcard::serialize_with_flavor(&Payload::of(record), Append(frame))
        .expect("a vector takes any record");
    let body = start + HEADER;
    let length = u32::try_from(frame.len() - body).expect("a record is smaller than 4 GiB");
    let checksum = crc32c::crc32c(&frame[body..]);
    frame[start..start + 4].copy_from_slice(&length.to_le_bytes());
    frame[start + 4..body].copy_from_slice(&checksum.to_le_bytes());
}

/// Reads the record at the start of `bytes`, and returns it with the bytes after it.
pub fn decode(bytes: &[u8]) -> Result<(Record, &[u8]), Invalid> {
    let Whole { payload, rest, .. } = whole(bytes)?;
    let (fields, left) = postcard::take_from_bytes(payload).map_err(Invalid::Fields)?;
    if !left.is_empty() {
        return Err(Invalid::Fields(postcard::Error::DeserializeBadEncoding));
    }
    Ok((Payload::into_record(fields)?, rest))
}

/// Reads the entry at the start of `bytes`, and none when another record lies there. `channel` makes its channel, so that
/// entries can share one.
pub(crate) fn decode_entry(
    bytes: &[u8],
    channel: &mut dyn FnMut(&[u8]) -> Arc<[u8]>,
) -> Result<Option<Entry>, Invalid> {
    let Whole { kind, fields, .. } = whole(bytes)?;
    if kind != ENTRY {
        return Ok(None);
    }
    let (entry, left) = postcard::take_from_bytes(fields).map_err(Invalid::Fields)?;
    if !left.is_empty() {
        return Err(Invalid::Fields(postcard::Error::DeserializeBadEncoding));
    }
    topic::EntryParts::into_entry(entry, channel).map(Some)
}

/// A record whose bytes are as they were written, of a kind that this node knows.
struct Whole<'a> {
    kind: u32,
    /// Kind and fields.
    payload: &'a [u8],
    fields: &'a [u8],
    /// What follows the record.
    rest: &'a [u8],
}

fn whole(bytes: &[u8]) -> Result<Whole<'_>, Invalid> {
    let (length, rest) = bytes.split_first_chunk().ok_or(Invalid::Truncated)?;
    let (checksum, rest) = rest.split_first_chunk().ok_or(Invalid::Truncated)?;
    let length = u32::from_le_bytes(*length) as usize;
    let (whole, rest) = rest.split_at_checked(length).ok_or(Invalid::Truncated)?;
    let (version, payload) = whole.split_first().ok_or(Invalid::Checksum)?;
    if crc32c::crc32c(whole) != u32::from_le_bytes(*checksum) {
        return Err(Invalid::Checksum);
    }
    if *version != VERSION {
        return Err(Invalid::Version(*version));
    }
    let (kind, fields) = postcard::take_from_bytes::<u32>(payload).map_err(Invalid::Fields)?;
    if kind >= KINDS {
        return Err(Invalid::Kind(kind));
    }
    Ok(Whole {
        kind,
        payload,
        fields,
        rest,
    })
}

/// How many bytes follow a header, as it says.
pub(crate) fn length_of(header: &[u8]) -> usize {
    let length = header.first_chunk().expect("a header holds its length");
    u32::from_le_bytes(*length) as usize
}

/// A whole record, of whatever version and kind, starts somewhere in `bytes`.
///
/// What follows a bad record is searched by this: it tells damage, which has good records behind it, from a torn tail.
pub(crate) fn any_within(bytes: &[u8]) -> bool {
    first_within(bytes).is_some()
}

/// Where the first whole record, of whatever version and kind, starts in `bytes`.
pub(crate) fn first_within(bytes: &[u8]) -> Option<usize> {
    (0..bytes.len()).find(|&at| match decode(&bytes[at..]) {
        Ok(_)
        | Err(Invalid::Version(_) | Invalid::Kind(_) | Invalid::Extra(_) | Invalid::Fields(_)) => {
            true
        }
        Err(Invalid::Truncated | Invalid::Checksum) => false,
    })
}

/// The bytes that the record at the start of `bytes` takes, by its own length, when they are all there.
pub(crate) fn whole_len(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    let end = HEADER.checked_add(length)?;
    (end <= bytes.len()).then_some(end)
}

/// A record as postcard writes it, borrowed from the record or from the frame.
#[derive(Serialize, Deserialize)]
enum Payload<'a> {
    Started {
        generation: u64,
        time: Time,
        wall: WallTime,
    },
    Mark {
        time: Time,
        wall: WallTime,
    },
    Added(#[serde(borrow)] job::AddedParts<'a>),
    Deleted {
        #[serde(borrow)]
        id: &'a Bytes,
    },
    Flushed,
    Standing {
        #[serde(borrow)]
        id: &'a Bytes,
        queued: bool,
        turn: bool,
        requeue: Option<Time>,
        nacks: u32,
        additional_deliveries: u32,
        extras: Extras,
    },
    Closed {
        time: Time,
        wall: WallTime,
    },
    Holders {
        #[serde(borrow)]
        id: &'a Bytes,
        holders: Cow<'a, [NodeId]>,
    },
    Acked(#[serde(borrow)] job::AckedParts<'a>),
    Peer {
        id: NodeId,
        store: StoreId,
    },
    PeerForgotten {
        id: NodeId,
    },
    Setting {
        kind: u8,
        #[serde(borrow)]
        name: &'a Bytes,
        #[serde(borrow)]
        value: Option<&'a Bytes>,
        version: u64,
        node: NodeId,
    },
    Life {
        origin: Origin,
    },
    Entry(#[serde(borrow)] topic::EntryParts<'a>),
    End {
        origin: Origin,
        number: u64,
        id: EntryId,
        ended: Cow<'a, [Ended]>,
    },
    Freed {
        origin: Origin,
        first: u64,
        last: u64,
        first_entry: Option<u64>,
    },
    Moved(#[serde(borrow)] job::MovedParts<'a>),
    Counted(#[serde(borrow)] job::CountedParts<'a>),
}

impl<'a> Payload<'a> {
    fn of(record: &'a Record) -> Self {
        match record {
            &Record::Started {
                generation,
                time,
                wall,
            } => Payload::Started {
                generation,
                time,
                wall,
            },
            &Record::Mark { time, wall } => Payload::Mark { time, wall },
            Record::Added(job) => Payload::Added(job::AddedParts::of(job)),
            Record::Deleted(id) => Payload::Deleted {
                id: Bytes::new(id.as_bytes()),
            },
            Record::Flushed => Payload::Flushed,
            Record::Standing(standing) => Payload::Standing {
                id: Bytes::new(standing.id.as_bytes()),
                queued: standing.queued,
                turn: standing.turn,
                requeue: standing.requeue,
                nacks: standing.nacks,
                additional_deliveries: standing.additional_deliveries,
                extras: standing.extras.clone(),
            },
            &Record::Closed { time, wall } => Payload::Closed { time, wall },
            Record::Holders { id, holders } => Payload::Holders {
                id: Bytes::new(id.as_bytes()),
                holders: Cow::Borrowed(holders),
            },
            Record::Acked(ack) => Payload::Acked(job::AckedParts::of(ack)),
            Record::Moved(moved) => Payload::Moved(job::MovedParts::of(moved)),
            Record::Counted(counted) => Payload::Counted(job::CountedParts::of(counted)),
            &Record::Peer { id, store } => Payload::Peer { id, store },
            &Record::PeerForgotten(id) => Payload::PeerForgotten { id },
            Record::Setting(setting) => Payload::Setting {
                kind: setting.kind.0,
                name: Bytes::new(&setting.name),
                value: setting.value.as_deref().map(Bytes::new),
                version: setting.version,
                node: setting.node,
            },
            Record::Topic(record) => topic::payload(record),
        }
    }

    fn into_record(self) -> Result<Record, Invalid> {
        Ok(match self {
            Payload::Started {
                generation,
                time,
                wall,
            } => Record::Started {
                generation,
                time,
                wall,
            },
            Payload::Mark { time, wall } => Record::Mark { time, wall },
            Payload::Added(job) => job.into_record()?,
            Payload::Holders { id, holders } => Record::Holders {
                id: job_id(id)?,
                holders: holders.into_owned().into(),
            },
            Payload::Acked(ack) => ack.into_record()?,
            Payload::Moved(moved) => moved.into_record()?,
            Payload::Counted(counted) => counted.into_record()?,
            Payload::Peer { id, store } => Record::Peer { id, store },
            Payload::PeerForgotten { id } => Record::PeerForgotten(id),
            Payload::Setting {
                kind,
                name,
                value,
                version,
                node,
            } => setting(kind, name, value, version, node),
            Payload::Deleted { id } => Record::Deleted(job_id(id)?),
            Payload::Flushed => Record::Flushed,
            Payload::Standing {
                id,
                queued,
                turn,
                requeue,
                nacks,
                additional_deliveries,
                extras,
            } => Record::Standing(Standing {
                id: job_id(id)?,
                queued,
                turn,
                requeue,
                nacks,
                additional_deliveries,
                extras: known(extras)?,
            }),
            Payload::Closed { time, wall } => Record::Closed { time, wall },
            Payload::Life { origin } => Record::Topic(TopicRecord::Life(origin)),
            Payload::Entry(entry) => Record::Topic(topic::entry(entry)?),
            Payload::End {
                origin,
                number,
                id,
                ended,
            } => Record::Topic(topic::end((origin, number), id, &ended)),
            Payload::Freed {
                origin,
                first,
                last,
                first_entry,
            } => Record::Topic(topic::freed(origin, (first, last), first_entry)),
        })
    }
}

fn setting(kind: u8, name: &Bytes, value: Option<&Bytes>, version: u64, node: NodeId) -> Record {
    Record::Setting(Box::new(Setting {
        kind: SettingKind(kind),
        name: Arc::from(&name[..]),
        value: value.map(|value| Arc::from(&value[..])),
        version,
        node,
    }))
}

/// Extras, unless they hold a field that this node would have to understand.
fn known(extras: Extras) -> Result<Extras, Invalid> {
    match extras.unknown_to(Features::KNOWN) {
        Some(tag) => Err(Invalid::Extra(tag)),
        None => Ok(extras),
    }
}

fn job_id(bytes: &[u8]) -> Result<JobId, Invalid> {
    bytes
        .try_into()
        .map(JobId::from_bytes)
        .map_err(|_| Invalid::Fields(postcard::Error::DeserializeBadEncoding))
}

/// Writes behind what a frame holds already; postcard's own vector flavour goes byte by byte.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
