use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use shoalmq_core::extras::Extras;
use shoalmq_core::record::{Segment, Stream};
use shoalmq_core::topic::{Entry, EntryId, Origin, OriginNode, TopicRecord};

use super::*;
use crate::backend::Backend;
use crate::backend::log::Log;
use crate::backend::memory::Memory;
use crate::backend::sled::Sled;
use crate::record::encode;

fn entry(number: u64, bytes: usize) -> Entry {
    Entry {
        origin: Origin::new(OriginNode::new(3), 9),
        number,
        id: EntryId::new(1_800_000_000_000 + number, 4),
        channel: Arc::from(format!("channel {}", number % 7).as_bytes()),
        body: Body::new(&vec![number as u8; bytes]),
        extras: Extras::default(),
    }
}

/// Entries of many sizes, with where they lie, in frames of many sizes and two segments.
fn written(backend: &mut dyn Backend) -> Vec<(Location, Entry)> {
    let mut entries = Vec::new();
    for segment in 1..3 {
        let (mut frame, mut before) = (Vec::new(), 0);
        for number in 0..700_u64 {
            let bytes = match number % 50 {
                17 => 9000,
                33 => 2 << 20,
                _ => (number * 13 % 400) as usize,
            };
            let number = u64::from(segment) * 1000 + number;
            let entry = entry(
                number,
                if number % 350 == 33 {
                    2 << 20
                } else {
                    bytes % 10_000
                },
            );
            let at = before + frame.len() as u64;
            let record = Record::Topic(TopicRecord::Entry(Arc::new(entry.clone())));
            encode(&record, &mut frame);
            entries.push((Location::new(segment, at), entry));
            if number % 40 == 7 {
                backend.append(segment, &frame).expect("there is space");
                before += frame.len() as u64;
                frame.clear();
            }
        }
        backend.append(segment, &frame).expect("there is space");
    }
    entries
}

/// A page, with names shared between its entries.
fn read(reader: &dyn Reader, places: &[Location]) -> Vec<Result<Arc<Entry>, Unreadable>> {
    let mut names: BTreeMap<Vec<u8>, Arc<[u8]>> = BTreeMap::new();
    let read = entries(reader, places, &mut |name| {
        let shared = names.entry(name.to_vec());
        Arc::clone(shared.or_insert_with(|| Arc::from(name)))
    });
    assert_eq!(read.len(), places.len());
    read
}

fn reads_back(backend: &mut dyn Backend) {
    let all = written(backend);
    backend.sync().expect("the disk works");
    let reader = backend.reader().expect("every backend can read");
    for step in [1, 2, 3, 50, 333] {
        let wanted: Vec<_> = all.iter().step_by(step).collect();
        let places: Vec<_> = wanted.iter().map(|(place, _)| *place).collect();
        let read = read(&*reader, &places);
        for (read, (place, entry)) in read.iter().zip(wanted) {
            let read = read.as_ref().expect("it was written");
            assert!(**read == *entry, "{} at {place}", entry.number);
        }
    }
    assert!(read(&*reader, &[]).is_empty());
}

#[test]
fn entries_come_back_from_memory() {
    reads_back(&mut Memory::new());
}

#[test]
fn entries_come_back_from_files() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    reads_back(&mut Log::open(dir.path(), Stream::Topics).expect("the folder is free"));
}

#[test]
fn entries_come_back_from_sled() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    reads_back(&mut Sled::open(dir.path(), Stream::Topics).expect("the folder is free"));
}

#[test]
fn entries_of_one_channel_share_its_name() {
    let mut memory = Memory::new();
    let all = written(&mut memory);
    let places = [all[1].0, all[2].0, all[8].0];
    let read = read(&memory, &places);
    let channel = |at: usize| &read[at].as_ref().expect("it was written").channel;
    assert!(Arc::ptr_eq(channel(0), channel(2)) && !Arc::ptr_eq(channel(0), channel(1)));
}

/// A segment of some bytes, which counts how often it is read.
#[derive(Debug)]
struct Counting {
    bytes: Vec<u8>,
    reads: Mutex<usize>,
}

impl Counting {
    /// A hundred small entries.
    fn filled() -> (Self, Vec<Location>) {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        for number in 0..100 {
            places.push(Location::new(1, bytes.len() as u64));
            let record = TopicRecord::Entry(Arc::new(entry(number, 100)));
            encode(&Record::Topic(record), &mut bytes);
        }
        let reads = Mutex::new(0);
        (Counting { bytes, reads }, places)
    }
}

impl Reader for Counting {
    fn read_some(
        &self,
        segment: Segment,
        offset: u64,
        least: usize,
        buffer: &mut [u8],
    ) -> Result<usize, Fault> {
        *self.reads.lock() += 1;
        let mut memory = Memory::new();
        memory.append(1, &self.bytes).expect("memory has no faults");
        memory.read_some(segment, offset, least, buffer)
    }
}

#[test]
fn neighbours_come_with_one_read() {
    let (counting, places) = Counting::filled();
    assert!(read(&counting, &places).iter().all(Result::is_ok));
    assert_eq!(*counting.reads.lock(), 1);
    assert!(read(&counting, &places[10..11]).iter().all(Result::is_ok));
    assert_eq!(*counting.reads.lock(), 2);
}

#[test]
fn a_damaged_entry_spoils_no_other() {
    let (whole, places) = Counting::filled();
    let record = |at: usize| places[at].offset as usize..places[at + 1].offset as usize;
    for bad in [0, 50, 98] {
        for at in record(bad) {
            let mut damaged = whole.bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            let counting = Counting {
                bytes: damaged,
                reads: Mutex::new(0),
            };
            for (number, read) in read(&counting, &places[..99]).iter().enumerate() {
                match read {
                    Ok(read) => assert_eq!(**read, entry(number as u64, 100)),
                    Err(why) => assert!(number == bad && !why.may_pass(), "{number}: {why}"),
                }
                assert_eq!(read.is_ok(), number != bad, "byte {at}");
            }
        }
    }
}

#[test]
fn a_place_with_another_record_or_none_is_told() {
    let (mut counting, mut places) = Counting::filled();
    let end = counting.bytes.len() as u64;
    let other = Record::Topic(TopicRecord::Life(Origin::new(OriginNode::new(3), 9)));
    encode(&other, &mut counting.bytes);
    places.push(Location::new(1, end));
    places.push(Location::new(1, counting.bytes.len() as u64));
    places.push(Location::new(2, 0));
    places[50].offset += 1;
    let read = read(&counting, &places);
    let failed: Vec<_> = (0..103).filter(|&at| read[at].is_err()).collect();
    assert_eq!(failed, [50, 100, 101, 102]);
    assert!(matches!(read[50], Err(Unreadable::Damaged(..))));
    assert!(matches!(read[100], Err(Unreadable::Another(_))));
    assert!(matches!(
        read[101],
        Err(Unreadable::Fault(_, Fault::Corrupt { .. }))
    ));
    assert!(matches!(
        read[102],
        Err(Unreadable::Fault(_, Fault::Retired { .. }))
    ));
}
