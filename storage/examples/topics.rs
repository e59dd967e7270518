//! What a million entries cost: appending them through the journal, and reading them back by pages.
//!
//! `cargo run --release -p shoalmq-storage --example topics [entries] [folder] [sled|log|memory]`

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shoalmq_core::extras::Extras;
use shoalmq_core::job::Body;
use shoalmq_core::record::{Location, Record, Stream};
use shoalmq_core::topic::{Entry, EntryId, Origin, OriginNode, TopicRecord};
use shoalmq_storage::backend::{Backend, Reader};
use shoalmq_storage::fetch::entries;
use shoalmq_storage::journal::{Journal, Options, Policy, Position};
use shoalmq_storage::record::{decode, encode};
use shoalmq_storage::streams::Streams;
use shoalmq_storage::{StorageKind, Store};

const SEGMENT_BYTES: u64 = 16 << 20;
const CHANNELS: u64 = 100;
/// Entries that one page holds.
const PAGE: usize = 1000;
/// Clock ticks per second in `/proc/self/stat`: fixed on Linux.
const TICKS: f64 = 100.0;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let count: u64 = args.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let folder = args.next().unwrap_or_else(|| "/tmp/shoalmq-topics".into());
    let kinds = match args.next().as_deref() {
        None => vec![StorageKind::Log, StorageKind::Sled],
        Some("sled") => vec![StorageKind::Sled],
        Some("log") => vec![StorageKind::Log],
        Some("memory") => vec![StorageKind::Memory],
        Some(other) => return Err(format!("no backend to measure: {other}").into()),
    };
    let records: Vec<Record> = (1..=count).map(entry).collect();
    code(&records);
    for kind in kinds {
        println!("storage {kind}");
        small_frames(kind, Path::new(&folder), &records)?;
        for policy in [Policy::Always, Policy::EverySecond] {
            let (journal, places) = append(kind, Path::new(&folder), &records, policy)?;
            if policy == Policy::EverySecond {
                let reader = journal
                    .reader(Stream::Topics)
                    .ok_or("nothing to read with")?;
                replay(&*reader, &places)?;
            }
            journal.stop().map_err(|fault| format!("{fault:?}"))?;
        }
    }
    Ok(())
}

/// An entry whose body compresses badly, as real ones do.
fn entry(number: u64) -> Record {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut body = [b'x'; 100];
    body[..50].fill_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    });
    Record::Topic(TopicRecord::Entry(Arc::new(Entry {
        origin: Origin::new(OriginNode::new(0x1234_5678), 1_780_000_000),
        number,
        id: EntryId::new(
            1_780_000_000_000 + number / 100,
            (number % 100) << 32 | 0xabc,
        ),
        channel: Arc::from(format!("orders.{:03}", number % CHANNELS).as_bytes()),
        body: Body::new(&body),
        extras: Extras::default(),
    })))
}

fn code(records: &[Record]) {
    let hot = &records[..records.len().min(512)];
    let rounds = (records.len() / hot.len()) as u32;
    let mut frame = Vec::with_capacity(1 << 20);
    let began = Instant::now();
    for _ in 0..rounds {
        frame.clear();
        for record in hot {
            encode(record, &mut frame);
        }
    }
    let encoding = began.elapsed() / rounds / hot.len() as u32;
    let began = Instant::now();
    for _ in 0..rounds {
        let mut rest = frame.as_slice();
        while let Ok((record, after)) = decode(rest) {
            std::hint::black_box(record);
            rest = after;
        }
    }
    let decoding = began.elapsed() / rounds / hot.len() as u32;
    let bytes = frame.len() / hot.len();
    println!("codec: {bytes} bytes per entry, encode {encoding:?}, decode {decoding:?}");
}

/// Reads entries back that came slowly: 32 in each commit.
fn small_frames(
    kind: StorageKind,
    folder: &Path,
    records: &[Record],
) -> Result<(), Box<dyn Error>> {
    let mut backend = empty(kind, folder)?.topics;
    let mut places = Vec::with_capacity(records.len());
    let (mut segment, mut bytes, mut frame) = (1, 0, Vec::new());
    for chunk in records.chunks(32) {
        frame.clear();
        for record in chunk {
            places.push(Location::new(segment, bytes + frame.len() as u64));
            encode(record, &mut frame);
        }
        backend.append(segment, &frame)?;
        bytes += frame.len() as u64;
        if bytes >= SEGMENT_BYTES {
            (segment, bytes) = (segment + 1, 0);
        }
    }
    backend.sync()?;
    println!("in frames of 32:");
    replay(&*backend.reader().ok_or("nothing to read with")?, &places)
}

/// An empty log.
fn empty(kind: StorageKind, folder: &Path) -> Result<Streams<Box<dyn Backend>>, Box<dyn Error>> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    Ok(Store::open(kind, folder)?.into_backends())
}

/// Appends all entries, 32 at a time, and tells where they lie.
fn append(
    kind: StorageKind,
    folder: &Path,
    records: &[Record],
    policy: Policy,
) -> Result<(Journal, Vec<Location>), Box<dyn Error>> {
    let backends = empty(kind, folder)?;
    let options = Options {
        after: Position(0),
        policy,
        segment_bytes: SEGMENT_BYTES,
    };
    let journal = Journal::start(backends, Streams::each(|_| 1), options, Box::new(|_| {}))?;
    let mut places = Vec::with_capacity(records.len());
    let (began, cpu) = (Instant::now(), cpu_seconds()?);
    for chunk in records.chunks(32) {
        let mut writer = journal.writer();
        for record in chunk {
            places.push(writer.location(Stream::Topics));
            writer.push(record);
        }
        drop(writer);
        if journal.load().segment_is_full.topics {
            journal.roll(Stream::Topics);
        }
        while journal.stats().pending_bytes > 8 << 20 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    journal.sync_now().map_err(|fault| format!("{fault:?}"))?;
    let per_million = 1e6 / records.len() as f64;
    let stats = journal.stats();
    println!(
        "append, {policy:?}: {:.0} k entries/s, {:.2} CPU-s per million, {} frames, {} syncs",
        records.len() as f64 / began.elapsed().as_secs_f64() / 1e3,
        (cpu_seconds()? - cpu) * per_million,
        stats.frames,
        stats.syncs,
    );
    Ok((journal, places))
}

fn replay(reader: &dyn Reader, places: &[Location]) -> Result<(), Box<dyn Error>> {
    let one_channel: Vec<_> = places.iter().step_by(CHANNELS as usize).copied().collect();
    let sparse: Vec<_> = places.iter().step_by(10).copied().collect();
    for (what, places) in [
        ("all", places),
        ("all again", places),
        ("1 in 10", &sparse),
        ("1 in 100", &one_channel),
    ] {
        let mut names: HashMap<Box<[u8]>, Arc<[u8]>> = HashMap::new();
        let mut name = |bytes: &[u8]| match names.get(bytes) {
            Some(name) => Arc::clone(name),
            None => Arc::clone(names.entry(bytes.into()).or_insert_with(|| bytes.into())),
        };
        let (began, cpu) = (Instant::now(), cpu_seconds()?);
        for page in places.chunks(PAGE) {
            for read in entries(reader, page, &mut name) {
                std::hint::black_box(read?);
            }
        }
        println!(
            "replay, {what}: {:.0} k entries/s, {:.2} CPU-s per million",
            places.len() as f64 / began.elapsed().as_secs_f64() / 1e3,
            (cpu_seconds()? - cpu) * 1e6 / places.len() as f64,
        );
    }
    Ok(())
}

fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum();
    Ok(ticks / TICKS)
}
