//! Topics: entries that are published for all, read live or again, and where a reader is.
//!
//! Where a reader is, a cursor says: a text that each entry and each page comes with, and that is good at every node. Only a cursor goes
//! on exactly. [`Subscription`] keeps the last one and goes on from it when its connection breaks; a name keeps one for it in the
//! cluster, as far as it is committed.

mod publishing;
mod reading;
mod subscription;

use bytes::Bytes;
use shoalmq_resp::Frame;

use crate::error::Error;
use crate::message::{DecodeError, MessageDecodable};
use crate::verbs::{Meta, bytes, count, unexpected};

pub use publishing::Publish;
pub use reading::{Page, Read};
pub use subscription::{Subscribe, Subscription};

/// Where a reader begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The oldest entry that is kept.
    Oldest,
    /// What comes from now on.
    Now,
    /// Behind what was read when this cursor was handed out: the only start that is exact.
    Cursor(String),
    /// The newest entries, at most 10 000.
    Last(u32),
    /// Behind the entry with this id, or behind what is older than these unix milliseconds.
    Id(String),
}

impl Start {
    /// As options of TREAD and TSUB.
    fn options(&self) -> [Vec<u8>; 2] {
        let (option, value) = match self {
            Start::Oldest => ("FROM", "0".to_owned()),
            Start::Now => ("FROM", "$".to_owned()),
            Start::Cursor(start) | Start::Id(start) => ("FROM", start.clone()),
            Start::Last(entries) => ("LAST", entries.to_string()),
        };
        [option.into(), value.into()]
    }
}

/// Something published.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its id. Ids rise.
    pub id: String,
    /// Where it was published.
    pub channel: Bytes,
    /// What was published.
    pub body: Bytes,
    /// What was sent along.
    pub meta: Meta,
    /// Whether a fault held it up: entries with higher ids may have come before it.
    pub is_late: bool,
}

impl Entry {
    /// The body as a message.
    pub fn decode<T: MessageDecodable>(&self) -> Result<T, DecodeError> {
        T::decode(self.body.clone())
    }
}

/// What a reader gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An entry.
    Entry(Entry),
    /// Entries below this id are gone that were not read: taken by retention, or lost with all their copies.
    Lost {
        /// Those that are missing have lower ids.
        below: String,
        /// How many are missing at most.
        count: u64,
    },
}

impl Item {
    /// The entry, if it is one.
    pub fn entry(&self) -> Option<&Entry> {
        match self {
            Item::Entry(entry) => Some(entry),
            Item::Lost { .. } => None,
        }
    }

    /// Reads what WITHMETA tells: an id, a channel and a body, then the mark and what goes with it.
    fn read([id, channel, body, mark, more]: [Frame; 5]) -> Result<Self, Error> {
        let Some(id) = id.as_str().map(str::to_owned) else {
            return Err(unexpected(&id));
        };
        let mark = mark.as_str();
        if mark == Some("lost") {
            let count = count(&more)?;
            return Ok(Item::Lost { below: id, count });
        }
        Ok(Item::Entry(Entry {
            id,
            channel: bytes(channel)?,
            body: bytes(body)?,
            meta: Meta::read(more)?,
            is_late: mark == Some("late"),
        }))
    }
}
