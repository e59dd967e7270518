//! Extras: the optional fields of a job, of its records and of the messages about it; and the features that peers name.
//!
//! ```text
//! extras   field, field, …      in rising order of their tags, each tag once; at most EXTRAS_MAX bytes
//!
//! field    tag      u16 LE      number × 2, plus 1 if a node that does not know it must refuse the job
//!          length   u32 LE      bytes of the value
//!          value
//! ```
//!
//! So formats grow: a new field of a job is a new number here, and older nodes carry it along, verbatim, without knowing
//! what it means. A field that must be understood goes only to nodes that name its number among their [`Features`].

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use triomphe::ThinArc;

use crate::telling::sizes;

#[cfg(test)]
mod tests;

/// The most bytes that one set of extras has: a result of 64 KiB, and all else that a job can have beside its body.
pub const EXTRAS_MAX: usize = 128 << 10;
const TAG: usize = 2;
const HEADER: usize = TAG + 4;

/// What kind of field it is. Numbers are never used again for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(u16);

impl Tag {
    /// META of ADDJOB: pairs of a name and a value ([`crate::meta::Meta`]).
    pub const META: Tag = Tag::optional(1);

    /// DEDUP of TPUB: the key.
    pub const DEDUP: Tag = Tag::optional(2);

    /// Who made a job whose id does not say so, as the first bytes of the node's id and its start, 4 bytes each.
    pub const MADE_BY: Tag = Tag::optional(3);

    /// Where a job is since it was moved ([`crate::register::Register`]).
    pub const REGISTER: Tag = Tag::required(4);

    /// In a message about a job: the same, with all that goes with it ([`crate::register::Moved`]).
    pub const MOVED: Tag = Tag::required(5);

    /// MAXDELIVER of ADDJOB: a u16.
    pub const MAX_DELIVER: Tag = Tag::required(6);

    /// DEAD of ADDJOB: the name of a queue.
    pub const DEAD_QUEUE: Tag = Tag::required(7);

    /// BACKOFF of ADDJOB: base and max in seconds, a u32 each.
    pub const BACKOFF: Tag = Tag::required(8);

    /// In a record, a copy or a message: how often the job was handed out, a u16.
    pub const DELIVERIES: Tag = Tag::optional(9);

    /// In a record or a message: the job was given back, and waits. The value is the number of milliseconds, of the node's own
    /// timeline in a record, from now on in a message: a u64. A message says behind it how often the job was given back: a u32.
    pub const WAITS: Tag = Tag::optional(10);

    /// REASON of the last NACK that gave one.
    pub const REASON: Tag = Tag::optional(11);

    /// PRIORITY of ADDJOB: a u8.
    pub const PRIORITY: Tag = Tag::optional(12);

    /// KEEP of ADDJOB: for how many seconds the end of the job is kept, a u32.
    pub const KEEP: Tag = Tag::optional(13);

    /// Of a job that is over: until when that is kept. The value is the number of milliseconds, of the node's own timeline in a
    /// record, from now on in a message: a u64.
    pub const KEPT: Tag = Tag::optional(14);

    /// Of a job that is over: how it ended, if not by an ack; a u8 ([`crate::outcome::Outcome`]).
    pub const OUTCOME: Tag = Tag::optional(15);

    /// RESULT of ACKJOB.
    pub const RESULT: Tag = Tag::optional(16);

    /// DEDUP of ADDJOB ([`crate::dedup::Keyed`]). A node that does not know it would not say that it has a job with the key.
    pub const DEDUP_KEY: Tag = Tag::required(17);

    /// Of a job that ended as a duplicate: the id of the other job.
    pub const DUPLICATE_OF: Tag = Tag::optional(18);

    /// In a message about the end of a job: the queue of the job. The receiver is to keep the end, which the sender alone has.
    pub const KEPT_IN: Tag = Tag::optional(19);

    /// A field that a node may carry along without knowing what it means.
    pub const fn optional(number: u16) -> Tag {
        assert!(number < 1 << 15, "a number has 15 bits");
        Tag(number << 1)
    }

    /// A field that a node must know.
    pub const fn required(number: u16) -> Tag {
        assert!(number < 1 << 15, "a number has 15 bits");
        Tag(number << 1 | 1)
    }

    /// Whether a node that does not know it must refuse what carries it.
    pub fn is_required(self) -> bool {
        self.0 & 1 == 1
    }

    /// Its number, which names the feature that it needs.
    pub fn number(self) -> u16 {
        self.0 >> 1
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number())
    }
}

/// What a node knows beyond the formats as they are: a set of numbers below 64. Nodes tell each other theirs in the
/// handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Features(u64);

impl Features {
    /// None.
    pub const NONE: Features = Features(0);
    /// Topics: the node is a member that takes copies of them. Tags do not have this number.
    pub const TOPICS: Features = Features::only(3);
    /// What this build knows.
    pub const KNOWN: Features = Features(
        Features::TOPICS.0
            | Features::of(Tag::REGISTER)
            | Features::of(Tag::MOVED)
            | Features::of(Tag::MAX_DELIVER)
            | Features::of(Tag::DEAD_QUEUE)
            | Features::of(Tag::BACKOFF)
            | Features::of(Tag::DEDUP_KEY),
    );

    /// The feature that this tag asks for.
    const fn of(tag: Tag) -> u64 {
        Features::only(tag.0 >> 1).0
    }

    /// A set of one. A number from 64 on is no feature.
    pub const fn only(number: u16) -> Features {
        assert!(number < u64::BITS as u16, "a feature is a number below 64");
        Features(1 << number)
    }

    /// These features without some.
    #[must_use]
    pub const fn without(self, others: Features) -> Features {
        Features(self.0 & !others.0)
    }

    /// Whether all of these are among them.
    pub const fn knows(self, others: Features) -> bool {
        self.0 & others.0 == others.0
    }

    /// Whether a node with these features knows what a tag means, or need not know.
    pub fn allow(self, tag: Tag) -> bool {
        let number = u32::from(tag.number());
        !tag.is_required() || number < u64::BITS && self.0 >> number & 1 == 1
    }
}

/// Optional fields, encoded as they travel. Copying shares the bytes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Extras(Option<ThinArc<(), u8>>);

/// Bytes that are no extras.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More than [`EXTRAS_MAX`].
    #[error("the extras have more than {EXTRAS_MAX} bytes")]
    TooLong,
    /// They end within a field.
    #[error("the extras end within a field")]
    CutOff,
    /// A tag is not above the one before it.
    #[error("the tags of the extras do not rise")]
    Order,
}

impl Extras {
    /// No fields.
    pub const NONE: Extras = Extras(None);

    /// These fields, which come in rising order of their tags.
    ///
    /// # Panics
    /// When they do not, or are longer than [`EXTRAS_MAX`]: each field has a bound of its own.
    pub fn new<'a>(fields: impl IntoIterator<Item = (Tag, &'a [u8])>) -> Extras {
        let mut bytes = Vec::new();
        for (tag, value) in fields {
            let length = u32::try_from(value.len()).expect("a field is below its bound");
            bytes.extend_from_slice(&tag.0.to_le_bytes());
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(value);
        }
        Extras::from_bytes(&bytes).expect("fields come in order and within their bounds")
    }

    /// The extras that are encoded in these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Extras, Malformed> {
        if bytes.is_empty() {
            return Ok(Extras::NONE);
        }
        if bytes.len() > EXTRAS_MAX {
            return Err(Malformed::TooLong);
        }
        let (mut left, mut last) = (bytes, None);
        while !left.is_empty() {
            let (tag, _, rest) = field(left).ok_or(Malformed::CutOff)?;
            if last >= Some(tag) {
                return Err(Malformed::Order);
            }
            (last, left) = (Some(tag), rest);
        }
        Ok(Extras(Some(ThinArc::from_header_and_slice((), bytes))))
    }

    /// As they travel.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |bytes| &bytes.slice)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Their encoded length.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// All fields.
    pub fn iter(&self) -> impl Iterator<Item = (Tag, &[u8])> {
        let mut left = self.as_bytes();
        std::iter::from_fn(move || {
            let (tag, value, rest) = field(left)?;
            left = rest;
            Some((tag, value))
        })
    }

    /// The same with another value of one field, or without it.
    #[must_use]
    pub fn with(&self, tag: Tag, value: Option<&[u8]>) -> Extras {
        let before = self.iter().filter(|&(other, _)| other < tag);
        let after = self.iter().filter(|&(other, _)| other > tag);
        let field = value.map(|value| (tag, value));
        Extras::new(before.chain(field).chain(after))
    }

    /// The value of a field.
    pub fn get(&self, tag: Tag) -> Option<&[u8]> {
        let mut fields = self.iter();
        fields.find_map(|(other, value)| (other == tag).then_some(value))
    }

    /// PRIORITY of ADDJOB, if it was given.
    pub fn priority(&self) -> Option<u8> {
        self.get(Tag::PRIORITY)?.first().copied()
    }

    /// KEEP of ADDJOB in seconds, if it was given.
    pub fn keep(&self) -> Option<u32> {
        let bytes = self.get(Tag::KEEP)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes))
    }

    /// The first field that must be understood and that a node with these features does not know.
    pub fn unknown_to(&self, features: Features) -> Option<Tag> {
        let mut tags = self.iter().map(|(tag, _)| tag);
        tags.find(|&tag| !features.allow(tag))
    }

    /// Bytes of memory that they take beside their job, their place in the table included.
    pub(crate) fn memory(&self) -> usize {
        match &self.0 {
            None => 0,
            Some(bytes) => {
                sizes::allocated(sizes::BODY_BYTES + bytes.slice.len()) + sizes::EXTRAS_BYTES
            }
        }
    }
}

/// The field at the start of `bytes`, and what follows it; none when the bytes end before it does.
fn field(bytes: &[u8]) -> Option<(Tag, &[u8], &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let (tag, length) = header.split_first_chunk::<TAG>()?;
    let length = u32::from_le_bytes(*length.first_chunk()?);
    let (value, rest) = rest.split_at_checked(length as usize)?;
    Some((Tag(u16::from_le_bytes(*tag)), value, rest))
}

impl fmt::Debug for Extras {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (tag, value) in self.iter() {
            map.entry(&tag.0, &format_args!("\"{}\"", value.escape_ascii()));
        }
        map.finish()
    }
}

impl Serialize for Extras {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.as_bytes())
    }
}

impl<'de> Deserialize<'de> for Extras {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl de::Visitor<'_> for Bytes {
            type Value = Extras;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("extras")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Extras, E> {
                Extras::from_bytes(bytes).map_err(E::custom)
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}
