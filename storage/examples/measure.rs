//! What a million jobs cost: encoding, writing by group commits of several sizes, the disk, and loading them again.
//!
//! `cargo run --release -p shoalmq-storage --example measure [records] [folder] [sled|log]`

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use shoalmq_core::id::{JobId, QueueName};
use shoalmq_core::job::Body;
use shoalmq_core::record::{JobRecord, Record, Stream};
use shoalmq_core::time::Time;
use shoalmq_storage::backend::Backend;
use shoalmq_storage::journal::{Journal, Options, Policy, Position};
use shoalmq_storage::record::{decode, encode};
use shoalmq_storage::streams::Streams;
use shoalmq_storage::{StorageKind, Store, TornTail};

const SEGMENT_BYTES: u64 = 64 << 20;
/// Clock ticks per second in `/proc/self/stat`: fixed on Linux.
const TICKS: f64 = 100.0;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let count: u64 = args.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let folder = args.next().unwrap_or_else(|| "/tmp/shoalmq-measure".into());
    let kinds = match args.next().as_deref() {
        None => vec![StorageKind::Sled, StorageKind::Log],
        Some("sled") => vec![StorageKind::Sled],
        Some("log") => vec![StorageKind::Log],
        Some(other) => return Err(format!("no backend to measure: {other}").into()),
    };
    let jobs: Vec<Record> = (0..count).map(job).collect();
    code(&jobs);
    println!("{} MB resident at the start", resident_megabytes()?);
    for kind in kinds {
        println!("storage {kind}");
        let log = Measured {
            kind,
            folder: folder.clone().into(),
        };
        for batch in [32, 512, 1] {
            log.frames(&jobs, batch)?;
        }
        for policy in [Policy::No, Policy::EverySecond, Policy::Always] {
            log.daemon(&jobs, policy)?;
        }
        log.one_by_one(&jobs[..jobs.len().min(5000)])?;
    }
    Ok(())
}

/// A backend, and the data folder that it is measured in.
struct Measured {
    kind: StorageKind,
    folder: PathBuf,
}

/// A job whose id and body compress badly, as real ones do.
fn job(number: u64) -> Record {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    let mut id = [0; 24];
    id.fill_with(&mut noise);
    let mut body = [b'x'; 100];
    body[..50].fill_with(&mut noise);
    Record::Added(Box::new(JobRecord {
        id: JobId::from_bytes(id),
        queue: QueueName::new(b"payments"),
        body: Body::new(&body),
        created: 1_780_000_000_000 * 1_000_000 + number,
        added: Time::from_millis(86_400_000 + number),
        replicate: 3,
        ..JobRecord::sample()
    }))
}

fn code(jobs: &[Record]) {
    let mut frame = Vec::with_capacity(1 << 20);
    let mut bytes = 0;
    let began = Instant::now();
    for chunk in jobs.chunks(512) {
        frame.clear();
        for record in chunk {
            encode(record, &mut frame);
        }
        bytes += frame.len();
    }
    let cold = began.elapsed() / jobs.len() as u32;
    let hot = &jobs[..jobs.len().min(512)];
    let rounds = (jobs.len() / hot.len()) as u32;
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
    println!(
        "codec: {} bytes per record, encode {encoding:?} ({cold:?} for jobs out of the cache), decode {decoding:?}",
        bytes / jobs.len()
    );
}

impl Measured {
    fn frames(&self, jobs: &[Record], batch: usize) -> Result<(), Box<dyn Error>> {
        let mut backend = self.fresh()?.jobs;
        let (began, cpu, wrote) = (Instant::now(), cpu_seconds()?, written_bytes()?);
        let mut synced = Instant::now();
        let mut frame = Vec::new();
        let (mut segment, mut bytes) = (1, 0);
        for chunk in jobs.chunks(batch) {
            frame.clear();
            for record in chunk {
                encode(record, &mut frame);
            }
            backend.append(segment, &frame)?;
            bytes += frame.len() as u64;
            if bytes > SEGMENT_BYTES {
                (segment, bytes) = (segment + 1, 0);
            }
            if synced.elapsed() >= Duration::from_secs(1) {
                backend.sync()?;
                synced = Instant::now();
            }
        }
        backend.sync()?;
        let per_million = 1e6 / jobs.len() as f64;
        println!(
            "frames of {batch}: {:.2} s, {:.2} CPU-s per million, {} bytes on disk and {} written per record, {} MB resident",
            began.elapsed().as_secs_f64() * per_million,
            (cpu_seconds()? - cpu) * per_million,
            backend.stats().disk_bytes / jobs.len() as u64,
            (written_bytes()? - wrote) / jobs.len() as u64,
            resident_megabytes()?,
        );
        drop(backend);
        self.reload(jobs.len())
    }

    fn daemon(&self, jobs: &[Record], policy: Policy) -> Result<(), Box<dyn Error>> {
        let backends = self.fresh()?;
        let options = Options {
            after: Position(0),
            policy,
            segment_bytes: SEGMENT_BYTES,
        };
        let segments = Streams::each(|_| 1);
        let journal = Journal::start(backends, segments, options, Box::new(|_| {}))?;
        let (began, cpu) = (Instant::now(), cpu_seconds()?);
        for chunk in jobs.chunks(32) {
            let mut writer = journal.writer();
            for record in chunk {
                writer.push(record);
            }
            drop(writer);
            if journal.load().segment_is_full.jobs {
                journal.roll(Stream::Jobs);
            }
            while journal.stats().pending_bytes > 8 << 20 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let stats = journal.stats();
        journal.stop().map_err(|fault| format!("{fault:?}"))?;
        let per_million = 1e6 / jobs.len() as f64;
        println!(
            "journal, {policy:?}: {:.2} s, {:.2} CPU-s per million, {} frames, {} syncs in {:?}",
            began.elapsed().as_secs_f64() * per_million,
            (cpu_seconds()? - cpu) * per_million,
            stats.frames,
            stats.syncs,
            stats.sync_time,
        );
        self.reload(jobs.len())
    }

    /// What a client gets that waits for the disk with every job.
    fn one_by_one(&self, jobs: &[Record]) -> Result<(), Box<dyn Error>> {
        let backends = self.fresh()?;
        let options = Options {
            after: Position(0),
            policy: Policy::Always,
            segment_bytes: SEGMENT_BYTES,
        };
        let segments = Streams::each(|_| 1);
        let journal = Journal::start(backends, segments, options, Box::new(|_| {}))?;
        let (began, cpu) = (Instant::now(), cpu_seconds()?);
        for record in jobs {
            let position = journal.append(record);
            journal
                .flush(position)
                .map_err(|fault| format!("{fault:?}"))?;
        }
        println!(
            "journal, Always, one by one: {:.2?} each, {:.1} CPU-s per million",
            began.elapsed() / jobs.len() as u32,
            (cpu_seconds()? - cpu) * 1e6 / jobs.len() as f64,
        );
        journal.stop().map_err(|fault| format!("{fault:?}"))?;
        self.reload(jobs.len())
    }

    fn reload(&self, count: usize) -> Result<(), Box<dyn Error>> {
        let before = resident_megabytes()?;
        let (began, cpu) = (Instant::now(), cpu_seconds()?);
        let mut store = Store::open(self.kind, &self.folder)?;
        let opened = began.elapsed();
        let loaded = store.load(
            TornTail::Cut,
            |_, record| {
                std::hint::black_box(record);
            },
            |_| {},
        )?;
        assert_eq!(loaded.jobs.records, count as u64, "every record is back");
        println!(
            "  open {opened:.2?}, open and load {:.2?}, {:.2} CPU-s, {before} MB resident before and {} MB after",
            began.elapsed(),
            cpu_seconds()? - cpu,
            resident_megabytes()?,
        );
        Ok(())
    }

    /// An empty log.
    fn fresh(&self) -> Result<Streams<Box<dyn Backend>>, Box<dyn Error>> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)?;
        }
        fs::create_dir_all(&self.folder)?;
        Ok(Store::open(self.kind, &self.folder)?.into_backends())
    }
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

fn written_bytes() -> Result<u64, Box<dyn Error>> {
    field("/proc/self/io", "write_bytes:")
}

fn resident_megabytes() -> Result<u64, Box<dyn Error>> {
    Ok(field("/proc/self/status", "VmRSS:")? / 1024)
}

fn field(file: &str, name: &str) -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("no such field")?.parse()?)
}
