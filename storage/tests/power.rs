//! Power is lost under sled: at the level of its files, for it cannot be given another file system.
//!
//! The folder is copied after a sync, and again after some frames more. What a loss of power leaves is made of both: any
//! 512 bytes of a file are of the one or of the other. That covers what sled wrote by itself between two syncs, torn and
//! in any order. It does not cover a loss of power within a sync or while a segment's database is made, and trusts that
//! sled syncs what it says it does. (The backend `log` runs on a disk of its own making: `src/backend/log/tests/`.)
//!
//! `SHOALMQ_CASES` asks for more: `SHOALMQ_CASES=300 cargo test -p shoalmq-storage --test power`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use shoalmq_core::record::{Record, Stream};
use shoalmq_storage::backend::Backend;
use shoalmq_storage::fault::Fault;
use shoalmq_storage::record::encode;
use shoalmq_storage::streams::{STREAMS, Streams};
use shoalmq_storage::{StorageKind, Store, TornTail};

use fixture::{Random, asked, entry, leave_panics_to_the_backend, record};

mod fixture;

const SECTOR: usize = 512;
/// Losses of power per pair of copies.
const LOSSES: u64 = 5;

/// The files of a folder, by their paths in it.
type Image = BTreeMap<PathBuf, Vec<u8>>;

fn image(folder: &Path) -> Image {
    let mut image = Image::new();
    read(folder, folder, &mut image);
    image
}

fn read(root: &Path, folder: &Path, image: &mut Image) {
    for entry in fs::read_dir(folder).expect("the log's folder") {
        let path = entry.expect("the log's folder").path();
        if path.is_dir() {
            read(root, &path, image);
        } else {
            let name = path.strip_prefix(root).expect("it is below");
            let bytes = fs::read(&path).expect("a file of the log");
            image.insert(name.to_owned(), bytes);
        }
    }
}

/// What is left when power is lost after `written`, with `synced` on disk.
fn mixture(random: &mut Random, synced: &Image, written: &Image) -> Image {
    let mut mixture = synced.clone();
    for (name, new) in written {
        if !synced.contains_key(name) && random.below(2) == 0 {
            continue;
        }
        let old = mixture.entry(name.clone()).or_default();
        if random.below(4) > 0 {
            let length = [old.len(), new.len()][random.below(2) as usize];
            old.resize(length, 0);
        }
        let share = 1 + random.below(8);
        let sectors = old.chunks_mut(SECTOR).zip(new.chunks(SECTOR));
        for (old, new) in sectors.filter(|_| random.below(8) < share) {
            let length = old.len().min(new.len());
            old[..length].copy_from_slice(&new[..length]);
        }
    }
    mixture
}

fn write(image: &Image, folder: &Path) {
    for (name, bytes) in image {
        let path = folder.join(name);
        let parent = path.parent().expect("it is below the folder");
        fs::create_dir_all(parent).expect("a temporary folder");
        fs::write(&path, bytes).expect("a temporary file");
    }
}

type Backends = Streams<Box<dyn Backend>>;

/// Appends commits of one segment, each to the one stream or to the other.
fn append(
    random: &mut Random,
    backends: &mut Backends,
    commits: u64,
    records: &mut Streams<Vec<Record>>,
) {
    for _ in 0..commits {
        let stream = STREAMS[random.below(2) as usize];
        let records = &mut records[stream];
        let mut frame = Vec::new();
        for _ in 0..20 {
            let next = match stream {
                Stream::Jobs => record(records.len() as u64),
                Stream::Topics => entry(records.len() as u64),
            };
            encode(&next, &mut frame);
            records.push(next);
        }
        backends[stream].append(1, &frame).expect("there is space");
    }
}

#[derive(Debug, Default)]
struct Outcomes {
    started: u64,
    /// Of these: with some, but not all, of what was not synced.
    torn: u64,
    refused: u64,
}

/// A start on what is left gives all that was synced of each stream and some of the rest in order, or refuses.
fn start(
    left: &Image,
    records: &Streams<Vec<Record>>,
    synced: Streams<usize>,
    outcomes: &mut Outcomes,
) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    write(left, dir.path());
    let mut all = Streams::<Vec<Record>>::default();
    let mut visit = |record: Record| all[record.stream()].push(record);
    let loaded = Store::open(StorageKind::Sled, dir.path())
        .and_then(|mut store| store.load(TornTail::Cut, |_, record| visit(record), |_| {}));
    match loaded {
        Ok(_) => {
            let mut torn = false;
            for stream in STREAMS {
                let (found, synced, records) = (&all[stream], synced[stream], &records[stream]);
                assert!(found.len() >= synced, "{} of {synced} synced", found.len());
                assert!(records.starts_with(found), "in order, and as they were");
                torn |= synced < found.len() && found.len() < records.len();
            }
            outcomes.started += 1;
            outcomes.torn += u64::from(torn);
        }
        Err(fault) => {
            assert!(matches!(fault, Fault::Corrupt { .. }), "{fault:?}");
            outcomes.refused += 1;
        }
    }
}

#[test]
fn what_was_synced_survives_a_loss_of_power_or_the_start_is_refused() {
    leave_panics_to_the_backend();
    let mut outcomes = Outcomes::default();
    for case in 1..=asked("SHOALMQ_CASES", 10) {
        let mut random = Random::new(case);
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(StorageKind::Sled, dir.path()).expect("the folder is free");
        let mut backends = store.into_backends();
        let mut records = Streams::<Vec<Record>>::default();
        for _ in 0..3 {
            let commits = 1 + random.below(60);
            append(&mut random, &mut backends, commits, &mut records);
            for stream in STREAMS {
                backends[stream].sync().expect("the disk works");
            }
            let (on_disk, synced) = (image(dir.path()), records.each_ref(Vec::len));
            let commits = random.below(120);
            append(&mut random, &mut backends, commits, &mut records);
            let written = image(dir.path());
            for _ in 0..LOSSES {
                let left = mixture(&mut random, &on_disk, &written);
                start(&left, &records, synced, &mut outcomes);
            }
        }
    }
    println!("{outcomes:?}");
    assert!(outcomes.torn > 0, "{outcomes:?}");
    assert!(outcomes.started > outcomes.refused, "{outcomes:?}");
}
