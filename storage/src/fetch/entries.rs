//! Reading entries back, many at a time: records that lie near each other come with one read.

use std::sync::Arc;

use shoalmq_core::record::Location;
use shoalmq_core::topic::Entry;

use super::Unreadable;
use crate::backend::Reader;
use crate::fault::Fault;
use crate::record::{HEADER, Invalid, decode_entry, length_of};

/// What lies between two records is read over when it is no more than this: a read of its own costs more.
const NEAR_BYTES: u32 = 8 << 10;
/// The places of one read lie within this.
const READ_BYTES: u32 = 256 << 10;
/// The last record of a read has mostly no more bytes than this.
const LAST_BYTES: usize = 512;

/// Reads the entries whose records lie at these places of the stream of topics. The places rise; each has its result, in
/// the same order. An entry that is damaged spoils no other.
///
/// `channel` gives the shared name of a channel. Which entry lies at a place is for the caller to check: its origin and
/// number say so.
pub fn entries(
    reader: &dyn Reader,
    places: &[Location],
    channel: &mut dyn FnMut(&[u8]) -> Arc<[u8]>,
) -> Vec<Result<Arc<Entry>, Unreadable>> {
    let mut page = Page {
        reader,
        channel,
        bytes: Vec::new(),
        entries: Vec::with_capacity(places.len()),
    };
    let mut rest = places;
    while !rest.is_empty() {
        let (run, after) = rest.split_at(run(rest));
        page.add(run);
        rest = after;
    }
    page.entries
}

/// How many of these places one read brings: at least one.
fn run(places: &[Location]) -> usize {
    let first = places[0];
    let goes_on = |pair: &[Location]| {
        let (before, next) = (pair[0], pair[1]);
        let gap = next.offset.checked_sub(before.offset);
        next.segment == first.segment
            && gap.is_some_and(|gap| gap <= NEAR_BYTES)
            && next.offset - first.offset <= READ_BYTES
    };
    1 + places.windows(2).take_while(|pair| goes_on(pair)).count()
}

/// A page that is being read.
struct Page<'a> {
    reader: &'a dyn Reader,
    channel: &'a mut dyn FnMut(&[u8]) -> Arc<[u8]>,
    /// Of one read.
    bytes: Vec<u8>,
    entries: Vec<Result<Arc<Entry>, Unreadable>>,
}

impl Page<'_> {
    /// Reads the entries at the places of one run.
    fn add(&mut self, run: &[Location]) {
        let [first, .., last] = run else {
            let read = self.single(run[0]);
            self.entries.push(read);
            return;
        };
        let span = (last.offset - first.offset) as usize;
        if self.fill(*first, span + HEADER, span + LAST_BYTES).is_err() {
            // Each has a reason of its own, if it has any.
            for &place in run {
                let read = self.single(place);
                self.entries.push(read);
            }
            return;
        }
        for place in &run[..run.len() - 1] {
            let at = (place.offset - first.offset) as usize;
            let read = decode_entry(&self.bytes[at..], self.channel);
            self.entries.push(found(*place, read));
        }
        let read = self.last(*last, span);
        self.entries.push(read);
    }

    fn single(&mut self, place: Location) -> Result<Arc<Entry>, Unreadable> {
        self.fill(place, HEADER, LAST_BYTES)
            .map_err(|fault| Unreadable::Fault(place, fault))?;
        self.last(place, 0)
    }

    /// Reads from a place on: at least `least` bytes, and of `wanted` bytes as many as there are.
    fn fill(&mut self, from: Location, least: usize, wanted: usize) -> Result<(), Fault> {
        self.bytes.resize(wanted, 0);
        let Location { segment, offset } = from;
        let offset = u64::from(offset);
        let read = self
            .reader
            .read_some(segment, offset, least, &mut self.bytes)?;
        self.bytes.truncate(read);
        Ok(())
    }

    /// The entry whose record begins `at` bytes into what was read, and may not be there whole.
    fn last(&mut self, place: Location, at: usize) -> Result<Arc<Entry>, Unreadable> {
        let end = at + HEADER + length_of(&self.bytes[at..]);
        while self.bytes.len() < end {
            // Not all at once: the length may be damaged.
            let there = self.bytes.len();
            let more = (end - there).min(READ_BYTES as usize);
            self.bytes.resize(there + more, 0);
            let offset = u64::from(place.offset) + (there - at) as u64;
            let missing = &mut self.bytes[there..];
            match self.reader.read(place.segment, offset, missing) {
                Ok(()) => {}
                Err(Fault::Corrupt { .. }) => {
                    return Err(Unreadable::Damaged(place, Invalid::Truncated));
                }
                Err(fault) => return Err(Unreadable::Fault(place, fault)),
            }
        }
        found(place, decode_entry(&self.bytes[at..], self.channel))
    }
}

fn found(place: Location, read: Result<Option<Entry>, Invalid>) -> Result<Arc<Entry>, Unreadable> {
    match read {
        Ok(Some(entry)) => Ok(Arc::new(entry)),
        Ok(None) => Err(Unreadable::Another(place)),
        Err(invalid) => Err(Unreadable::Damaged(place, invalid)),
    }
}
