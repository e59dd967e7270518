//! A cursor as text: `id@names`.
//!
//! The id is the one up to which the reader has been taken in order. The names are the cut in base64, without padding and
//! safe in an URL: about 16 characters a member. A reader keeps the text and may go on with it at any node.
//!
//! ```text
//! 1790000000123-4294967295 @ 3Lgzz8rSAo4F…
//! id                         for each origin, in order:
//!                              4 bytes   node
//!                              varint    start, in seconds from 2026, negative ones folded in
//!                              varint    records passed, times 2, plus 1 if a loss beyond them was told
//!                              varint    how far beyond, if so
//! ```
//!
//! A reader that reads under a name gets the *epoch* of the name with it, as `id@names~epoch`: TCOMMIT can tell whether the
//! name was set to another place since. Wherever else a cursor is taken, the epoch says nothing.
//!
//! Invariant: a text has one cursor and a cursor has one text.

use std::fmt;

use super::cut::{Cut, Passed};
use super::id::EntryId;
use super::origin::{Origin, OriginNode};

/// Names that a cursor may have.
pub const NAMES_MAX: usize = 256;

/// 2026-01-01 in seconds: the starts of our time take four bytes.
const EPOCH: u64 = 1_767_225_600;

/// The most bytes that an id and the `@` take as text.
const ID_BYTES: usize = 42;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Where a reader is: the id up to which it has been taken in order, and its cut.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cursor {
    id: EntryId,
    cut: Cut,
    /// Of the name that it was handed out under.
    epoch: Option<u64>,
}

/// Why a text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCursor {
    /// It does not begin with an id and `@`.
    #[error("it does not begin with an id and '@'")]
    NoId,
    /// The part behind the `@` is not what a node wrote.
    #[error("the part behind '@' is damaged")]
    Damaged,
    /// It has more than [`NAMES_MAX`] names.
    #[error("it has more than 256 names")]
    TooManyNames,
}

impl Cursor {
    /// A cursor at this id and this cut.
    pub fn new(id: EntryId, cut: Cut) -> Self {
        let epoch = None;
        Cursor { id, cut, epoch }
    }

    /// The same place, handed out under a name in this epoch, or under none.
    #[must_use]
    pub fn in_epoch(self, epoch: Option<u64>) -> Self {
        Cursor { epoch, ..self }
    }

    /// The epoch of the name that it was handed out under; none if it says nothing of one.
    pub fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// The id up to which its reader has been taken in order. An entry below it is late.
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// What its reader has passed.
    pub fn cut(&self) -> &Cut {
        &self.cut
    }

    /// What its reader has passed, to be changed.
    pub(super) fn cut_mut(&mut self) -> &mut Cut {
        &mut self.cut
    }

    /// What either reader has passed.
    pub fn merge(&mut self, other: &Cursor) {
        self.id = self.id.max(other.id);
        self.cut.merge(&other.cut);
    }

    /// As clients see it.
    pub fn text(&self) -> String {
        let mut names = Vec::with_capacity(16 * self.cut.len());
        for (origin, passed) in self.cut.iter() {
            write_name(&mut names, origin, passed);
        }
        let mut text = String::with_capacity(ID_BYTES + names.len().div_ceil(3) * 4);
        let mut digits = itoa::Buffer::new();
        text.push_str(digits.format(self.id.ms()));
        text.push('-');
        text.push_str(digits.format(self.id.seq()));
        text.push('@');
        encode(&names, &mut text);
        if let Some(epoch) = self.epoch {
            text.push('~');
            text.push_str(digits.format(epoch));
        }
        text
    }

    /// Reads what [`fmt::Display`] wrote.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidCursor> {
        let at = text.iter().position(|byte| *byte == b'@');
        let at = at.ok_or(InvalidCursor::NoId)?;
        let id = EntryId::parse(&text[..at]).ok_or(InvalidCursor::NoId)?;
        let end = text.iter().position(|byte| *byte == b'~');
        let epoch = end.map(|end| number(&text[end + 1..]));
        if epoch == Some(None) {
            return Err(InvalidCursor::Damaged);
        }
        let names = &text[at + 1..end.unwrap_or(text.len()).max(at + 1)];
        let bytes = decode(names).ok_or(InvalidCursor::Damaged)?;
        let cut = read_names(&bytes, NAMES_MAX)?;
        let epoch = epoch.flatten();
        let cursor = Cursor { id, cut, epoch };
        // Names out of order, a name twice, or a number written too long.
        if cursor.to_string().as_bytes() != text {
            return Err(InvalidCursor::Damaged);
        }
        Ok(cursor)
    }

    /// The place as bytes, without the epoch: shorter than the text.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        write_varint(bytes, u128::from(self.id.ms()));
        write_varint(bytes, u128::from(self.id.seq()));
        for (origin, passed) in self.cut.iter() {
            write_name(bytes, origin, passed);
        }
    }

    /// Reads what [`Cursor::write`] wrote, to the end. It may have any number of names.
    pub(super) fn read(mut rest: &[u8]) -> Option<Self> {
        let ms = u64::try_from(read_varint(&mut rest)?).ok()?;
        let seq = u64::try_from(read_varint(&mut rest)?).ok()?;
        let cut = read_names(rest, usize::MAX).ok()?;
        Some(Cursor::new(EntryId::new(ms, seq), cut))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

fn write_name(bytes: &mut Vec<u8>, origin: Origin, passed: Passed) {
    bytes.extend_from_slice(&origin.node().bits().to_be_bytes());
    let from_epoch = origin.start().wrapping_sub(EPOCH).cast_signed();
    write_varint(
        bytes,
        u128::from((from_epoch << 1 ^ from_epoch >> 63).cast_unsigned()),
    );
    let beyond = passed.told() - passed.records();
    write_varint(
        bytes,
        u128::from(passed.records()) << 1 | u128::from(beyond > 0),
    );
    if beyond > 0 {
        write_varint(bytes, u128::from(beyond));
    }
}

fn read_names(mut rest: &[u8], most: usize) -> Result<Cut, InvalidCursor> {
    let mut cut = Cut::default();
    while !rest.is_empty() {
        if cut.len() == most {
            return Err(InvalidCursor::TooManyNames);
        }
        let (origin, passed) = read_name(&mut rest).ok_or(InvalidCursor::Damaged)?;
        cut.pass(origin, passed);
    }
    Ok(cut)
}

fn read_name(rest: &mut &[u8]) -> Option<(Origin, Passed)> {
    let (node, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    let folded = u64::try_from(read_varint(rest)?).ok()?;
    let from_epoch = (folded >> 1) ^ 0_u64.wrapping_sub(folded & 1);
    let node = OriginNode::new(u32::from_be_bytes(*node));
    let origin = Origin::new(node, from_epoch.wrapping_add(EPOCH));
    let number = read_varint(rest)?;
    let records = u64::try_from(number >> 1).ok()?;
    let beyond = if number & 1 == 1 {
        u64::try_from(read_varint(rest)?).ok()?
    } else {
        0
    };
    Some((origin, Passed::new(records, records.checked_add(beyond)?)))
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Seven bits a byte, low ones first; the top bit says that more follow.
pub(super) fn write_varint(bytes: &mut Vec<u8>, mut number: u128) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

pub(super) fn read_varint(rest: &mut &[u8]) -> Option<u128> {
    let mut number = 0;
    for shift in (0..70).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        number |= u128::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn encode(bytes: &[u8], text: &mut String) {
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..=chunk.len() {
            text.push(char::from(BASE64[(bits >> (18 - 6 * place) & 63) as usize]));
        }
    }
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for chunk in text.chunks(4) {
        if chunk.len() == 1 {
            return None;
        }
        let mut bits = 0;
        for (place, c) in chunk.iter().enumerate() {
            let value = BASE64.iter().position(|known| known == c)?;
            bits |= (value as u32) << (18 - 6 * place);
        }
        bytes.extend_from_slice(&bits.to_be_bytes()[1..chunk.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cursors() -> impl Strategy<Value = Cursor> {
        let number = prop_oneof![0_u64..300, any::<u64>()];
        let start = prop_oneof![EPOCH - 100..EPOCH + 100, any::<u64>()];
        let name = (any::<u32>(), start, number.clone(), number);
        let names = proptest::collection::vec(name, 0..8);
        let epoch = prop::option::of(any::<u64>());
        (any::<u64>(), any::<u64>(), names, epoch).prop_map(|(ms, seq, names, epoch)| {
            let name = |(node, start, records, told)| {
                let origin = Origin::new(OriginNode::new(node), start);
                (origin, Passed::new(records, told))
            };
            let cut = names.into_iter().map(name).collect();
            Cursor::new(EntryId::new(ms, seq), cut).in_epoch(epoch)
        })
    }

    /// Three members in 2029 that published 100 million entries each.
    #[test]
    fn a_cursor_of_three_nodes_has_at_most_80_bytes() {
        let name = |node: u32| {
            let origin = Origin::new(OriginNode::new(node), 1_890_000_000 + u64::from(node % 7));
            (origin, Passed::new(100_000_000 + u64::from(node), 0))
        };
        let cut: Cut = [0xdcb8_33cf, 0x0123_4567, 0xffff_ffff]
            .map(name)
            .into_iter()
            .collect();
        let id = EntryId::new(1_890_000_123_456, 2000 << 32 | 0xffff_ffff);
        let text = Cursor::new(id, cut).to_string();
        assert!(text.len() <= 80, "{} bytes: {text}", text.len());
    }

    #[test]
    fn a_text_that_no_node_wrote_is_refused() {
        let parse = |text: &str| Cursor::parse(text.as_bytes());
        for text in ["", "5-0", "@", "x@", "5@", "5-0 @", "5-0~1", "5-0~1@"] {
            assert_eq!(parse(text), Err(InvalidCursor::NoId), "{text}");
        }
        for text in [
            "5-0@A",
            "5-0@AAAA",
            "5-0@!!!!",
            "5-0@AAAAAAAA=",
            "5-0@AAAAAAAB",
            "5-0@~",
            "5-0@~x",
            "5-0@~01",
            "5-0@~1~2",
        ] {
            assert_eq!(parse(text), Err(InvalidCursor::Damaged), "{text}");
        }
        assert_eq!(
            parse("5-0@"),
            Ok(Cursor::new(EntryId::new(5, 0), Cut::default()))
        );
    }

    #[test]
    fn a_cursor_has_at_most_256_names() {
        let name = |start| (Origin::new(OriginNode::new(1), start), Passed::new(1, 0));
        let cursor = |names| Cursor::new(EntryId::ZERO, (0..names).map(name).collect());
        let most = cursor(NAMES_MAX as u64);
        assert_eq!(Cursor::parse(most.to_string().as_bytes()), Ok(most));
        let text = cursor(NAMES_MAX as u64 + 1).to_string();
        assert_eq!(
            Cursor::parse(text.as_bytes()),
            Err(InvalidCursor::TooManyNames)
        );
    }

    proptest! {
        #[test]
        fn any_cursor_survives_its_text(cursor in cursors()) {
            prop_assert_eq!(Cursor::parse(cursor.to_string().as_bytes()), Ok(cursor));
        }

        #[test]
        fn any_place_survives_its_bytes(cursor in cursors()) {
            let mut bytes = Vec::new();
            cursor.write(&mut bytes);
            prop_assert_eq!(Cursor::read(&bytes), Some(cursor.in_epoch(None)));
        }

        #[test]
        fn a_cursor_has_one_text(text in "[0-9]{1,2}-[0-9]{1,2}@[A-Da-d_]{0,24}(~[0-9]{0,2})?") {
            if let Ok(cursor) = Cursor::parse(text.as_bytes()) {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }

        #[test]
        fn no_text_panics(text: Vec<u8>) {
            let _ = Cursor::parse(&text);
        }
    }
}
