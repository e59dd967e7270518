//! Where the entries are: for each log an index of places, and the newest entries themselves.
//!
//! ```text
//! log     chunk, chunk, …      rising numbers, at most CHUNK_RECORDS each, all in one segment
//!
//! chunk   first number, first id, segment, the channels in it, and for each record 14 bytes:
//!         channel u16          place in the chunk's list of channels; NO_ENTRY is an end record
//!         id      u32          milliseconds since the first id (20 bits), counter (12 bits)
//!         offset  u32          in the segment; UNRECORDED until it is known
//!         bytes   u32          about what the entry takes, as retention counts
//! ```
//!
//! A record whose id does not fit into 32 bits beside the first id of the chunk begins another chunk. All ids of an
//! origin share the lower half of `seq`, so that is kept once.
//!
//! Invariant: numbers rise from chunk to chunk, and no chunk is empty.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::channels::ChannelKey;
use super::command::{Told, Unread};
use super::id::EntryId;
use super::origin::Origin;
use super::page::Given;
use super::record::Entry;
use crate::record::{Location, Segment};

use self::chunk::{CHUNK_RECORDS, Chunk, NO_ENTRY, UNRECORDED};

pub(crate) use self::chunk::{Indexed, Slot};
pub(crate) use self::walking::{Runs, Stretch};

mod chunk;
mod walking;

/// What the index takes for a record.
pub(crate) const RECORD_BYTES: usize = 14;
/// What an entry takes in memory beside its channel's name, body and extras: counters of references, and its fields.
const ENTRY_BYTES: usize = size_of::<Entry>() + 16 + 16 + size_of::<Arc<Entry>>();

#[derive(Debug, Clone, Default)]
struct Log {
    chunks: VecDeque<Chunk>,
    /// The entries that came last, in order of their numbers.
    recent: VecDeque<Arc<Entry>>,
    /// The chunk that was found last: a reader mostly asks for it again, or for the next one.
    found: Cell<usize>,
}

/// The entries of all logs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entries {
    logs: BTreeMap<Origin, Log>,
    records: usize,
    chunks: usize,
    recent_bytes: usize,
}

impl Log {
    /// The chunk with this number, or the first behind it.
    fn find(&self, number: u64) -> usize {
        // Mostly it is the last one that is asked for.
        if let Some(last) = self.chunks.back()
            && last.first <= number
        {
            return self.chunks.len() - usize::from(number < last.end());
        }
        let found = self.found.get();
        let holds = |at: &usize| {
            let chunk = self.chunks.get(*at);
            chunk.is_some_and(|chunk| (chunk.first..chunk.end()).contains(&number))
        };
        if let Some(at) = [found, found + 1].into_iter().find(holds) {
            self.found.set(at);
            return at;
        }
        let at = self.chunks.partition_point(|chunk| chunk.end() <= number);
        self.found.set(at);
        at
    }

    fn place(&self, number: u64) -> Option<(&Chunk, usize)> {
        let chunk = self.chunks.get(self.find(number))?;
        let at = number.checked_sub(chunk.first)?;
        Some((chunk, at as usize))
    }
}

impl Entries {
    /// What the index takes, and what the newest entries take.
    pub(crate) fn memory(&self) -> usize {
        self.records * RECORD_BYTES + self.chunks * size_of::<Chunk>() + self.recent_bytes
    }

    /// Holds a record that is new here, in the segment that records go to now. No channel is an end record's.
    pub(crate) fn add(
        &mut self,
        (origin, number, id): (Origin, u64, EntryId),
        channel: Option<ChannelKey>,
        bytes: u64,
        segment: Segment,
    ) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let log = self.logs.entry(origin).or_default();
        let at = log.find(number);
        let before = at.checked_sub(1).and_then(|at| log.chunks.get_mut(at));
        self.records += 1;
        let open = before.filter(|chunk| {
            chunk.end() == number
                && chunk.segment == segment
                && chunk.ids.len() < CHUNK_RECORDS
                && chunk.names.len() < usize::from(NO_ENTRY)
        });
        if let Some(chunk) = open
            && let Some(packed) = chunk.pack(id)
        {
            chunk.push(channel, packed, bytes);
            return;
        }
        let mut chunk = Chunk::new(number, segment, id);
        chunk.push(channel, 0, bytes);
        log.chunks.insert(at, chunk);
        self.chunks += 1;
    }

    /// The record that was just added is this entry: it stays in memory for now.
    pub(crate) fn remember(&mut self, entry: &Arc<Entry>) {
        let log = self.logs.entry(entry.origin).or_default();
        self.recent_bytes += memory_of(entry);
        let before = |other: &Arc<Entry>| other.number < entry.number;
        if log.recent.back().is_none_or(before) {
            log.recent.push_back(Arc::clone(entry));
        } else {
            let at = log.recent.partition_point(before);
            log.recent.insert(at, Arc::clone(entry));
        }
    }

    /// Lets the oldest of the newest entries go, until they take at most this much. Only what is recorded goes.
    pub(crate) fn forget_recent(&mut self, most: usize) {
        while self.recent_bytes > most {
            let oldest = self.logs.values_mut().filter(|log| !log.recent.is_empty());
            let oldest = oldest.min_by_key(|log| log.recent.front().map(|entry| entry.id));
            let Some(log) = oldest else {
                return;
            };
            let Some(entry) = log.recent.front() else {
                return;
            };
            let number = entry.number;
            let is_recorded = log
                .place(number)
                .is_none_or(|(chunk, at)| chunk.offsets[at] != UNRECORDED);
            if !is_recorded {
                return;
            }
            let entry = log.recent.pop_front().expect("it was just there");
            self.recent_bytes -= memory_of(&entry);
        }
    }

    /// The record of a number lies there.
    pub(crate) fn recorded(&mut self, origin: Origin, number: u64, place: Location) {
        let Some(log) = self.logs.get_mut(&origin) else {
            return;
        };
        let at = log.find(number);
        let Some(chunk) = log.chunks.get_mut(at) else {
            return;
        };
        if let Some(at) = number.checked_sub(chunk.first)
            && chunk.segment == place.segment
        {
            chunk.offsets[at as usize] = place.offset;
        }
    }

    /// What lies under a number.
    pub(crate) fn slot(&self, origin: Origin, number: u64) -> Slot {
        let found = self.logs.get(&origin).and_then(|log| log.place(number));
        found.map_or(Slot::Empty, |(chunk, at)| chunk.slot(at))
    }

    /// An entry that is still in memory.
    pub(crate) fn recent(&self, origin: Origin, number: u64) -> Option<&Arc<Entry>> {
        let recent = &self.logs.get(&origin)?.recent;
        // Mostly there are no gaps.
        let at = number.checked_sub(recent.front()?.number)?;
        let guess = usize::try_from(at).ok().and_then(|at| recent.get(at));
        if let Some(entry) = guess.filter(|entry| entry.number == number) {
            return Some(entry);
        }
        let at = recent.binary_search_by_key(&number, |entry| entry.number);
        at.ok().map(|at| &recent[at])
    }

    /// How a page tells its reader what it gave, and the bytes of that.
    pub(crate) fn tell(&self, given: &Given) -> (Told, u64) {
        match *given {
            Given::Lost {
                before,
                origin: _,
                numbers: (first, last),
            } => (Told::Lost(before, last - first + 1), 0),
            Given::Entry {
                origin,
                number,
                id,
                late,
            } => {
                let Slot::Entry(entry) = self.slot(origin, number) else {
                    panic!("{origin} {number}, {id}, is no entry that is held");
                };
                let mut told = self.told(origin, number, entry);
                if let Told::Entry(_, is_late) | Told::Unread(Unread { late: is_late, .. }) =
                    &mut told
                {
                    *is_late = late;
                }
                (told, u64::from(entry.bytes))
            }
        }
    }

    /// An entry, or where it has to be read; it is not late.
    pub(crate) fn told(&self, origin: Origin, number: u64, entry: Indexed) -> Told {
        match self.recent(origin, number) {
            Some(entry) => Told::Entry(Arc::clone(entry), false),
            None => Told::Unread(Unread {
                origin,
                number,
                id: entry.id,
                place: entry.place.expect("what is not in memory is in the log"),
                bytes: entry.bytes,
                late: false,
                channel: entry.channel,
            }),
        }
    }

    /// The bytes of an entry.
    pub(crate) fn size_of(&self, origin: Origin, number: u64) -> u64 {
        match self.slot(origin, number) {
            Slot::Entry(entry) => u64::from(entry.bytes),
            Slot::End | Slot::Empty => 0,
        }
    }

    /// The highest number of a log with an id at or below this one; 0 if there is none.
    pub(crate) fn last_at(&self, origin: Origin, id: EntryId) -> u64 {
        let Some(log) = self.logs.get(&origin) else {
            return 0;
        };
        let behind = log.chunks.partition_point(|chunk| chunk.base <= id);
        let Some(chunk) = behind.checked_sub(1).map(|at| &log.chunks[at]) else {
            return 0;
        };
        let records = (0..chunk.ids.len()).rev().find(|&at| chunk.id(at) <= id);
        records.map_or(0, |at| chunk.first + at as u64)
    }

    /// Visits the entries with ids in a range, log by log, each log from its end on, until `visit` has had enough of that log.
    pub(crate) fn visit_backwards(
        &self,
        (first, last): (EntryId, EntryId),
        mut visit: impl FnMut(&Indexed) -> bool,
    ) {
        for log in self.logs.values() {
            'log: for chunk in log.chunks.iter().rev() {
                if chunk.base > last {
                    continue;
                }
                if chunk.last_id() < first {
                    break;
                }
                for at in (0..chunk.ids.len()).rev() {
                    if let Slot::Entry(entry) = chunk.slot(at)
                        && (first..=last).contains(&entry.id)
                        && !visit(&entry)
                    {
                        break 'log;
                    }
                }
            }
        }
    }

    /// Visits the entries of a segment.
    pub(crate) fn visit(&self, segment: Segment, visit: impl FnMut(Indexed)) {
        let chunks = self.logs.values().flat_map(|log| &log.chunks);
        let those = chunks.filter(|chunk| chunk.segment == segment);
        those.flat_map(Chunk::entries).for_each(visit);
    }

    /// The first chunks of a segment, at most `most`.
    pub(crate) fn first_chunks(&self, segment: Segment, most: usize) -> Vec<Chunked> {
        let logs = self.logs.iter();
        let chunks = logs.flat_map(|(&origin, log)| log.chunks.iter().map(move |c| (origin, c)));
        let those = chunks.filter(|(_, chunk)| chunk.segment == segment);
        let first = those.take(most).map(|(origin, chunk)| Chunked {
            origin,
            first: chunk.first,
            entries: chunk.numbered().collect(),
        });
        first.collect()
    }

    /// The records of a chunk are recorded again, in this segment, except for these, which are freed.
    pub(crate) fn move_chunk(&mut self, origin: Origin, first: u64, to: Segment, freed: &[u64]) {
        let Some(log) = self.logs.get_mut(&origin) else {
            return;
        };
        let at = log.find(first);
        let Some(chunk) = log.chunks.get_mut(at).filter(|chunk| chunk.first == first) else {
            return;
        };
        for number in freed {
            chunk.channels[(number - first) as usize] = NO_ENTRY;
        }
        if freed.len() == chunk.ids.len() {
            self.records -= chunk.ids.len();
            self.chunks -= 1;
            log.chunks.remove(at);
        } else {
            chunk.segment = to;
            chunk.offsets.fill(UNRECORDED);
        }
        let mut bytes = 0;
        log.recent.retain(|entry| {
            let stays = freed.binary_search(&entry.number).is_err();
            bytes += if stays { 0 } else { memory_of(entry) };
            stays
        });
        self.recent_bytes -= bytes;
    }

    /// The record of a number lies in a later segment, too, where it is read from now on.
    pub(crate) fn move_one(&mut self, origin: Origin, number: u64, to: Segment) {
        let Some(log) = self.logs.get_mut(&origin) else {
            return;
        };
        let at = log.find(number);
        let is_later = |chunk: &Chunk| chunk.first > number || chunk.segment >= to;
        if log.chunks.get(at).is_none_or(is_later) {
            return;
        }
        let chunk = log.chunks.remove(at).expect("it was just there");
        let slot = (number - chunk.first) as usize;
        let (id, bytes) = (chunk.id(slot), chunk.bytes[slot]);
        let channel = match chunk.slot(slot) {
            Slot::Entry(entry) => Some(entry.channel),
            Slot::End | Slot::Empty => None,
        };
        let parts = [chunk.part(0..slot), chunk.part(slot + 1..chunk.ids.len())];
        self.chunks -= 1;
        for (offset, part) in parts.into_iter().flatten().enumerate() {
            log.chunks.insert(at + offset, part);
            self.chunks += 1;
        }
        self.records -= 1;
        self.add((origin, number, id), channel, u64::from(bytes), to);
    }

    /// Takes the entries in a range out. Returns their channels and ids.
    pub(crate) fn take_out(
        &mut self,
        origin: Origin,
        first: u64,
        last: u64,
    ) -> Vec<(ChannelKey, EntryId)> {
        let mut channels = Vec::new();
        let Some(log) = self.logs.get_mut(&origin) else {
            return channels;
        };
        let mut at = log.find(first);
        while let Some(chunk) = log.chunks.get_mut(at)
            && chunk.first <= last
        {
            let (from, to) = (first.max(chunk.first), last.min(chunk.end() - 1));
            for number in from..=to {
                let slot = (number - chunk.first) as usize;
                if let Slot::Entry(entry) = chunk.slot(slot) {
                    channels.push((entry.channel, entry.id));
                }
                chunk.channels[slot] = NO_ENTRY;
            }
            at += 1;
        }
        let mut bytes = 0;
        log.recent.retain(|entry| {
            let goes = (first..=last).contains(&entry.number);
            bytes += if goes { memory_of(entry) } else { 0 };
            !goes
        });
        self.recent_bytes -= bytes;
        channels
    }

    /// Whether `is_wanted` says so of any entry of a segment.
    pub(crate) fn any_of(
        &self,
        segment: Segment,
        mut is_wanted: impl FnMut(&Indexed) -> bool,
    ) -> bool {
        let chunks = self.logs.values().flat_map(|log| &log.chunks);
        let mut those = chunks.filter(|chunk| chunk.segment == segment);
        those.any(|chunk| chunk.entries().any(|entry| is_wanted(&entry)))
    }

    /// Whether any entry is in the log alone that `is_wanted` says so of.
    pub(crate) fn any_in_log_alone(&self, is_wanted: impl Fn(&Indexed) -> bool) -> bool {
        self.logs.iter().any(|(&origin, log)| {
            let mut entries = log.chunks.iter().flat_map(Chunk::numbered);
            entries
                .any(|(number, entry)| is_wanted(&entry) && self.recent(origin, number).is_none())
        })
    }

    /// Takes what lies below a segment out, of all logs. `gone` hears of each chunk: its origin, its first and last number,
    /// and the channels of its entries, one for each entry.
    pub(crate) fn retire(&mut self, below: Segment, gone: impl FnMut(Gone<'_>)) {
        self.take_front(|chunk| chunk.segment < below, gone);
    }

    /// Takes chunks out from the front of each log, as long as `is_gone` says so of all their entries.
    pub(crate) fn drop_front(
        &mut self,
        is_gone: impl Fn(&Indexed) -> bool,
        gone: impl FnMut(Gone<'_>),
    ) {
        self.take_front(|chunk| chunk.entries().all(|entry| is_gone(&entry)), gone);
    }

    fn take_front(&mut self, goes: impl Fn(&Chunk) -> bool, mut gone: impl FnMut(Gone<'_>)) {
        for (&origin, log) in &mut self.logs {
            while log.chunks.front().is_some_and(&goes) {
                let chunk = log.chunks.pop_front().expect("it was just there");
                self.records -= chunk.ids.len();
                self.chunks -= 1;
                let channels = chunk.entries().map(|entry| entry.channel);
                gone(Gone {
                    origin,
                    first: chunk.first,
                    last: chunk.end() - 1,
                    channels: &channels.collect::<Vec<_>>(),
                });
                while let Some(entry) = log.recent.front()
                    && entry.number < chunk.end()
                {
                    self.recent_bytes -= memory_of(entry);
                    log.recent.pop_front();
                }
            }
        }
        self.logs.retain(|_, log| !log.chunks.is_empty());
    }

    /// Nothing is recorded any more: all that is here goes to this segment.
    pub(crate) fn unrecord(&mut self, segment: Segment) {
        for chunk in self.logs.values_mut().flat_map(|log| &mut log.chunks) {
            chunk.segment = segment;
            chunk.offsets.fill(UNRECORDED);
        }
    }

    /// The entries that are in memory.
    pub(crate) fn all_recent(&self) -> Vec<Arc<Entry>> {
        let logs = self.logs.values().flat_map(|log| &log.recent);
        logs.cloned().collect()
    }
}

/// The entries of a chunk, by their numbers.
pub(crate) struct Chunked {
    pub(crate) origin: Origin,
    pub(crate) first: u64,
    pub(crate) entries: Vec<(u64, Indexed)>,
}

/// Records that are taken out.
pub(crate) struct Gone<'a> {
    pub(crate) origin: Origin,
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// The channel of each entry among them.
    pub(crate) channels: &'a [ChannelKey],
}

/// What an entry takes in memory.
fn memory_of(entry: &Entry) -> usize {
    ENTRY_BYTES + entry.channel.len() + entry.body.memory() + entry.extras.len()
}
