//! The entries of a run: their channels, bodies and commands, and whether what a reader gets is what was published.

use super::args::TopicsArgs;
use crate::bench::job::unexpected;
use shoalmq_client::Connection;
use shoalmq_core::topic::EntryId;
use shoalmq_resp::Frame;
use std::ops::Range;

/// Bytes at the head of a body: a time and a number, 16 hexadecimal digits each.
pub(super) const HEAD_BYTES: usize = 32;

/// What the entries of a run have in common.
#[derive(Debug)]
pub(super) struct Entries {
    channels: Vec<String>,
    pattern: String,
    /// What follows the head of a body.
    fill: Vec<u8>,
    /// What REPLICATE asks for.
    copies: Option<String>,
}

/// What one reader has got: each entry once, in order of the ids.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    entries: &'a Entries,
    first: u64,
    /// Whether each number from `first` on was read.
    read: Vec<bool>,
    count: u64,
    newest: EntryId,
}

impl Entries {
    pub(super) fn new(args: &TopicsArgs) -> Self {
        let numbers = 0..args.channels.get();
        let channels = numbers.map(|i| format!("{}.{i}", args.channel)).collect();
        Self {
            channels,
            pattern: format!("{}.*", escaped(&args.channel)),
            fill: vec![b'x'; args.size.saturating_sub(HEAD_BYTES)],
            copies: args.replicate.map(|copies| copies.to_string()),
        }
    }

    /// Matches all channels of the run.
    pub(super) fn pattern(&self) -> &str {
        &self.pattern
    }

    /// TPUB for the entry of this number, made at `stamp`. `body` is room for its body.
    pub(super) fn publish(
        &self,
        number: u64,
        stamp: u64,
        client: &mut Connection,
        body: &mut Vec<u8>,
    ) {
        body.clear();
        body.extend(format!("{stamp:016x}{number:016x}").into_bytes());
        body.extend(&self.fill);
        let channel = self.channel_of(number).as_bytes();
        match &self.copies {
            None => client.send(&[b"TPUB", channel, body]),
            Some(copies) => {
                client.send(&[b"TPUB", channel, body, b"REPLICATE", copies.as_bytes()]);
            }
        }
    }

    /// Whether a reply to TPUB is an id.
    pub(super) fn published(reply: &Frame) -> Result<(), String> {
        match reply {
            Frame::Bulk(id) if EntryId::parse(id).is_some() => Ok(()),
            other => Err(unexpected("TPUB", other)),
        }
    }

    fn channel_of(&self, number: u64) -> &str {
        &self.channels[(number % self.channels.len() as u64) as usize]
    }

    /// The time and the number in a body, if this run can have published it to that channel.
    fn head(&self, channel: &[u8], body: &[u8]) -> Option<(u64, u64)> {
        let (head, fill) = body.split_at_checked(HEAD_BYTES)?;
        let (stamp, number) = std::str::from_utf8(head).ok()?.split_at_checked(16)?;
        let stamp = u64::from_str_radix(stamp, 16).ok()?;
        let number = u64::from_str_radix(number, 16).ok()?;
        let right = fill == self.fill && channel == self.channel_of(number).as_bytes();
        right.then_some((stamp, number))
    }
}

impl<'a> Seen<'a> {
    /// Nothing yet of the entries with these numbers.
    pub(super) fn new(entries: &'a Entries, numbers: &Range<u64>) -> Self {
        Self {
            entries,
            first: numbers.start,
            read: vec![false; (numbers.end - numbers.start) as usize],
            count: 0,
            newest: EntryId::ZERO,
        }
    }

    /// How many entries were read.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Takes an entry, and tells the time in it; or what is wrong with it.
    pub(super) fn take(&mut self, id: &[u8], channel: &[u8], body: &[u8]) -> Result<u64, String> {
        let shown = String::from_utf8_lossy(id);
        let Some(parsed) = EntryId::parse(id) else {
            return Err(format!("an entry with the invalid id {shown}"));
        };
        let Some((stamp, number)) = self.entries.head(channel, body) else {
            return Err(format!("entry {shown} is not of this run"));
        };
        let index = number.checked_sub(self.first).map(|index| index as usize);
        let Some(read) = index.and_then(|index| self.read.get_mut(index)) else {
            return Err(format!("entry {shown} is not of this phase"));
        };
        if std::mem::replace(read, true) {
            return Err(format!("entry {shown} came twice"));
        }
        self.count += 1;
        if parsed <= self.newest {
            return Err(format!("entry {shown} came out of order"));
        }
        self.newest = parsed;
        Ok(stamp)
    }
}

/// What is wrong with something that is told to a reader and is no plain entry.
pub(super) fn not_plain(command: &str, told: &Frame) -> String {
    let marks = told.as_array().unwrap_or_default();
    let is_marked = |mark: &str| marks.iter().skip(3).any(|part| part.as_str() == Some(mark));
    if is_marked("late") {
        "an entry came late: a node was set aside".to_owned()
    } else if is_marked("lost") {
        "entries were lost before they were read".to_owned()
    } else {
        unexpected(command, told)
    }
}

/// A pattern that matches this name alone.
fn escaped(name: &str) -> String {
    let mut pattern = String::new();
    for character in name.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}
