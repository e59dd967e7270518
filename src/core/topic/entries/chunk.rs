//! A chunk of the index: records of neighbouring numbers, all in one segment of the log. The layout is drawn in `entries`.

use std::ops::Range;

use super::{ChannelKey, EntryId};
use crate::record::{Location, Segment};

/// A chunk has at most this many records.
pub(super) const CHUNK_RECORDS: usize = 1024;
pub(super) const NO_ENTRY: u16 = u16::MAX;
pub(super) const UNRECORDED: u32 = u32::MAX - 1;
pub(super) const MS_BITS: u32 = 20;
pub(super) const COUNTER_BITS: u32 = 32 - MS_BITS;

/// What the index knows of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Indexed {
    pub(crate) channel: ChannelKey,
    pub(crate) id: EntryId,
    pub(crate) bytes: u32,
    /// Where its record lies, once that is known.
    pub(crate) place: Option<Location>,
}

/// What lies under a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    Entry(Indexed),
    /// An end record.
    End,
    /// Nothing: it was freed, or never came.
    Empty,
}

/// Records of neighbouring numbers.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    pub(super) first: u64,
    pub(super) segment: Segment,
    pub(super) base: EntryId,
    pub(super) names: Vec<ChannelKey>,
    pub(super) channels: Vec<u16>,
    pub(super) ids: Vec<u32>,
    pub(super) offsets: Vec<u32>,
    pub(super) bytes: Vec<u32>,
}

impl Chunk {
    pub(super) fn new(first: u64, segment: Segment, base: EntryId) -> Self {
        Chunk {
            first,
            segment,
            base,
            names: Vec::new(),
            channels: Vec::new(),
            ids: Vec::new(),
            offsets: Vec::new(),
            bytes: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.ids.len() as u64
    }

    /// The first number behind it.
    pub(super) fn end(&self) -> u64 {
        self.first + self.len()
    }

    /// An id as it is kept here, if it fits.
    pub(super) fn pack(&self, id: EntryId) -> Option<u32> {
        let ms = u32::try_from(id.ms().checked_sub(self.base.ms())?).ok()?;
        let (counter, base) = (id.seq() >> 32, self.base.seq() >> 32);
        let counter = if ms == 0 {
            counter.checked_sub(base)?
        } else {
            counter
        };
        let fits = ms < 1 << MS_BITS && counter < 1 << COUNTER_BITS;
        fits.then_some(ms << COUNTER_BITS | counter as u32)
    }

    pub(super) fn id(&self, at: usize) -> EntryId {
        let packed = self.ids[at];
        let ms = u64::from(packed >> COUNTER_BITS);
        let counter = u64::from(packed & ((1 << COUNTER_BITS) - 1));
        let counter = if ms == 0 {
            counter + (self.base.seq() >> 32)
        } else {
            counter
        };
        let hash = self.base.seq() & u64::from(u32::MAX);
        EntryId::new(self.base.ms() + ms, counter << 32 | hash)
    }

    pub(super) fn last_id(&self) -> EntryId {
        self.id(self.ids.len() - 1)
    }

    pub(super) fn name(&mut self, channel: ChannelKey) -> u16 {
        // Entries of one channel often follow each other.
        let known = self.names.iter().rposition(|&name| name == channel);
        let at = known.unwrap_or_else(|| {
            self.names.push(channel);
            self.names.len() - 1
        });
        u16::try_from(at).expect("a chunk has few records")
    }

    pub(super) fn push(&mut self, channel: Option<ChannelKey>, packed: u32, bytes: u32) {
        let channel = channel.map_or(NO_ENTRY, |channel| self.name(channel));
        self.channels.push(channel);
        self.ids.push(packed);
        self.offsets.push(UNRECORDED);
        self.bytes.push(bytes);
        if self.ids.len() == CHUNK_RECORDS {
            self.names.shrink_to_fit();
        }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Indexed> + '_ {
        self.numbered().map(|(_, entry)| entry)
    }

    pub(super) fn numbered(&self) -> impl Iterator<Item = (u64, Indexed)> + '_ {
        (self.first..)
            .zip(0..self.ids.len())
            .filter_map(|(number, at)| match self.slot(at) {
                Slot::Entry(entry) => Some((number, entry)),
                Slot::End | Slot::Empty => None,
            })
    }

    /// The same records, of a range of places; none if it is empty.
    pub(super) fn part(&self, range: Range<usize>) -> Option<Chunk> {
        let (from, base) = (range.start, range.clone().next().map(|at| self.id(at))?);
        let mut part = Chunk::new(self.first + from as u64, self.segment, base);
        for at in range {
            let channel = match self.slot(at) {
                Slot::Entry(entry) => Some(entry.channel),
                Slot::End | Slot::Empty => None,
            };
            let packed = part.pack(self.id(at)).expect("it fitted beside a lower id");
            part.push(channel, packed, self.bytes[at]);
        }
        part.offsets
            .copy_from_slice(&self.offsets[from..from + part.ids.len()]);
        Some(part)
    }

    pub(super) fn slot(&self, at: usize) -> Slot {
        if self.channels[at] == NO_ENTRY {
            return Slot::End;
        }
        let offset = self.offsets[at];
        let segment = self.segment;
        Slot::Entry(Indexed {
            channel: self.names[usize::from(self.channels[at])],
            id: self.id(at),
            bytes: self.bytes[at],
            place: (offset != UNRECORDED).then_some(Location { segment, offset }),
        })
    }
}
