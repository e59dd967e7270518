//! Damage: bytes flipped, zeroed and cut off at random places of the files of a stopped log, of either stream.
//!
//! Each start has to give exactly what was written, or to refuse. It may tell of a torn end that it cut off.
//! `SHOALMQ_CASES` asks for more cases than the few that run by default; the first is number 1 unless `SHOALMQ_CASE`
//! names another: `SHOALMQ_CASES=2500 cargo test -p shoalmq-storage --test damage`.

use std::fs;
use std::path::{Path, PathBuf};

use shoalmq_core::record::{Location, Record, Segment};
use shoalmq_storage::backend::Backend;
use shoalmq_storage::fault::Fault;
use shoalmq_storage::record::encode;
use shoalmq_storage::streams::Streams;
use shoalmq_storage::{StorageKind, Store, TornTail};

use fixture::{Random, asked, entry, leave_panics_to_the_backend, record};

mod fixture;

/// A log that was stopped cleanly, with the segment of each of its records, first the jobs, then the topics.
fn stopped(kind: StorageKind, dir: &Path) -> Vec<(Segment, Record)> {
    let store = Store::open(kind, dir).expect("the folder is free");
    let Streams { jobs, topics } = store.into_backends();
    let mut records = filled(jobs, record);
    records.extend(filled(topics, entry));
    records
}

fn filled(mut backend: Box<dyn Backend>, record: impl Fn(u64) -> Record) -> Vec<(Segment, Record)> {
    let mut records = Vec::new();
    for commit in 0..60_u64 {
        let segment = 1 + commit as Segment / 20;
        let mut frame = Vec::new();
        for number in commit * 5..commit * 5 + 5 {
            encode(&record(number), &mut frame);
            records.push((segment, record(number)));
        }
        backend.append(segment, &frame).expect("there is space");
        if commit % 7 == 0 {
            backend.sync().expect("the disk works");
        }
    }
    backend.sync().expect("the disk works");
    backend.retire(2).expect("the disk works");
    backend.sync().expect("the disk works");
    records.retain(|record| record.0 >= 2);
    records
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a temporary folder");
    for entry in fs::read_dir(from).expect("the log's folder") {
        let path = entry.expect("the log's folder").path();
        let to = to.join(path.file_name().expect("a file has a name"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).expect("a temporary file");
        }
    }
}

/// The files with anything in them, always in the same order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the log's folder") {
        let path = entry.expect("the log's folder").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if fs::metadata(&path).expect("a file").len() > 0 {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Damages a file somewhere, and tells how.
fn damage(random: &mut Random, folder: &Path) -> String {
    let files = files(folder);
    let file = &files[random.below(files.len() as u64) as usize];
    let mut bytes = fs::read(file).expect("a file of the log");
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) as u64 + 1;
    // Mostly where there is something to spoil.
    let within = if random.below(8) == 0 {
        bytes.len() as u64
    } else {
        used
    };
    let at = random.below(within) as usize;
    let what = match random.below(6) {
        0 => {
            bytes.truncate(at);
            "cut off".to_owned()
        }
        1 => {
            let to = bytes.len().min(at + 512);
            bytes[at..to].fill(0);
            "512 bytes zeroed".to_owned()
        }
        _ => {
            let bit = random.below(8);
            bytes[at] ^= 1 << bit;
            format!("bit {bit} flipped")
        }
    };
    fs::write(file, &bytes).expect("a temporary file");
    let name = file.strip_prefix(folder).unwrap_or(file);
    format!("{} at {at}: {what}", name.display())
}

#[derive(Debug, Default)]
struct Outcomes {
    whole: u64,
    torn: u64,
    refused: u64,
}

fn start(kind: StorageKind, dir: &Path) -> Result<(Vec<(Segment, Record)>, bool), Fault> {
    let mut records = Vec::new();
    let mut store = Store::open(kind, dir)?;
    let visit = |at: Location, record| records.push((at.segment, record));
    let loaded = store.load(TornTail::Cut, visit, |_| {})?;
    Ok((records, loaded.values().any(|loaded| loaded.torn.is_some())))
}

fn every_case(kind: StorageKind, cases: u64) {
    leave_panics_to_the_backend();
    let source = tempfile::tempdir().expect("a temporary folder");
    let written = stopped(kind, source.path());
    let mut outcomes = Outcomes::default();
    let first = asked("SHOALMQ_CASE", 1);
    for case in first..first + asked("SHOALMQ_CASES", cases) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        copy(source.path(), dir.path());
        let mut random = Random::new(case);
        let what = damage(&mut random, dir.path());
        match start(kind, dir.path()) {
            // All of it was synced: a torn end is nothing but what the damage put behind it.
            Ok((found, torn)) => {
                let count = found.len();
                assert!(found == written, "case {case}: {what}: {count} records");
                outcomes.torn += u64::from(torn);
                outcomes.whole += u64::from(!torn);
            }
            Err(fault) => {
                let clear = matches!(fault, Fault::Corrupt { .. } | Fault::Newer { .. });
                assert!(clear, "case {case}: {what}: {fault:?}");
                outcomes.refused += 1;
            }
        }
    }
    println!("{kind}: {outcomes:?}");
}

#[test]
fn a_damaged_log_in_segment_files_starts_whole_or_not_at_all() {
    every_case(StorageKind::Log, 300);
}

#[test]
fn a_damaged_log_in_sled_starts_whole_or_not_at_all() {
    every_case(StorageKind::Sled, 60);
}
