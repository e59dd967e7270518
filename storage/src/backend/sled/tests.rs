use shoalmq_core::id::JobId;
use shoalmq_core::record::Record;

use super::*;
use crate::fault::{Damage, Place};
use crate::record::encode;
use crate::{Loaded, StorageKind, Store, TornTail};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn filled(dir: &Path, frames: u64, bytes: usize) -> Sled {
    let mut sled = Sled::open(dir, Stream::Jobs).expect("the folder is free");
    for number in 0..frames {
        let frame = vec![number as u8; bytes];
        sled.append(1, &frame).expect("there is space");
    }
    sled.sync().expect("the disk works");
    sled
}

fn load(dir: &Path, torn_tail: TornTail) -> Result<Loaded, Fault> {
    let mut store = Store::open(StorageKind::Sled, dir).expect("the folder is free");
    let loaded = store.load(torn_tail, |_, _| {}, |_| {})?;
    Ok(loaded.jobs)
}

fn replayed(sled: &mut Sled) -> Result<Vec<Vec<u8>>, Fault> {
    let mut frames = Vec::new();
    sled.replay(&mut |_, _, frame| {
        frames.push(frame.to_vec());
        Ok(())
    })?;
    Ok(frames)
}

#[test]
fn a_second_opener_is_refused_until_the_first_is_gone() {
    let dir = folder();
    let first = filled(dir.path(), 1, 10);
    let second = Sled::open(dir.path(), Stream::Jobs);
    assert!(matches!(second, Err(Fault::Locked { .. })), "{second:?}");
    drop(first);
    assert!(Sled::open(dir.path(), Stream::Jobs).is_ok());
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let dir = folder();
    let file = dir.path().join("file");
    fs::write(&file, "in the way").expect("a temporary file");
    let fault = Sled::open(&file, Stream::Jobs).expect_err("a file is no folder");
    let name = file.join("sled");
    assert_eq!(fault.to_string(), format!("create {}", name.display()));
}

/// The folder of the only database.
fn database(dir: &Path) -> PathBuf {
    let folders = folders::list(&dir.join("sled")).expect("it can be read");
    assert_eq!(folders.len(), 1);
    folders[0].path.clone()
}

/// What lies below a folder.
fn bytes_below(dir: &Path) -> u64 {
    let folders = folders::list(&dir.join("sled")).expect("it can be read");
    folders.iter().map(Folder::size).sum()
}

#[test]
fn no_frame_makes_sled_write_files_that_it_does_not_sync() {
    let dir = folder();
    let _sled = filled(dir.path(), 20, 1 << 20);
    let files = fs::read_dir(database(dir.path()).join("blobs")).expect("sled makes the folder");
    assert_eq!(files.count(), 0);
}

#[test]
fn frames_survive_an_engine_that_failed_before_their_sync() {
    let dir = folder();
    let mut sled = filled(dir.path(), 100, 1000);
    sled.append(1, &vec![100; 50_000]).expect("there is space");
    sled.append(1, b"unsynced").expect("there is space");
    // What an error of sled leads to; and what it may have left behind of a frame that failed.
    let mut engine = sled.engine.take().expect("it is open");
    let next = sled.end.next;
    engine
        .insert(1, next, &vec![9; 100_000])
        .expect("there is space");
    engine.remove_from(101).expect("the disk works");
    engine
        .insert(1, next, &vec![9; 100_000])
        .expect("there is space");
    drop(engine);
    sled.append(1, b"after").expect("it is reopened");
    sled.append(2, b"elsewhere").expect("there is space");
    sled.engine = None;
    sled.sync().expect("the disk works");
    drop(sled);
    let mut sled = Sled::open(dir.path(), Stream::Jobs).expect("the folder is free");
    let frames = replayed(&mut sled).expect("the log is whole");
    assert_eq!(frames.len(), 104);
    assert!(frames[100] == vec![100; 50_000]);
    assert_eq!(frames[101], b"unsynced");
    assert_eq!(frames[102], b"after");
    assert_eq!(frames[103], b"elsewhere");
}

#[test]
fn an_unfinished_frame_at_the_end_is_dropped() {
    let dir = folder();
    let mut sled = Sled::open(dir.path(), Stream::Jobs).expect("the folder is free");
    let mut frame = Vec::new();
    encode(&Record::Deleted(JobId::from_bytes([1; 24])), &mut frame);
    for _ in 0..3 {
        sled.append(1, &frame).expect("there is space");
    }
    sled.begin(2).expect("there is space");
    sled.engine = Some(sled.reopen().expect("it opens"));
    let engine = sled.engine.as_mut().expect("it is open");
    let next = engine
        .insert(2, 4, &vec![9; 100_000])
        .expect("there is space");
    engine.remove_from(next - 1).expect("the disk works");
    // What is missing within it does not matter.
    engine.remove_from(8).expect("the disk works");
    engine
        .insert(2, 10, &vec![9; 100_000])
        .expect("there is space");
    engine.remove_from(12).expect("the disk works");
    drop(sled);
    let path = dir.path().join("sled");
    for _ in 0..2 {
        let fault = load(dir.path(), TornTail::Refuse).expect_err("it is torn, and stays so");
        assert_eq!(
            fault.to_string(),
            format!(
                "read job log {}: torn at its end, in segment 2 at frame 4; set aof-load-truncated yes to cut it off",
                path.display()
            )
        );
    }
    let loaded = load(dir.path(), TornTail::Cut).expect("it may be cut off");
    assert_eq!((loaded.records, loaded.last_segment), (3, Some(1)));
    assert!(loaded.torn.is_some());
    let mut sled = Sled::open(dir.path(), Stream::Jobs).expect("the folder is free");
    assert_eq!(
        sled.append(3, b"next").expect("there is space"),
        Sequence(4)
    );
    assert_eq!(replayed(&mut sled).expect("the log is whole").len(), 4);
    sled.sync().expect("the disk works");
    drop(sled);
    let sled = Sled::open(dir.path(), Stream::Jobs).expect("the folder is free");
    assert_eq!(sled.unfinished(), None);
}

#[test]
fn a_missing_frame_is_a_fault_with_its_place() {
    let dir = folder();
    let mut sled = filled(dir.path(), 10, 10);
    let engine = sled.engine.as_mut().expect("it is open");
    engine.remove_from(5).expect("the disk works");
    engine.insert(1, 7, b"later").expect("there is space");
    let fault = replayed(&mut sled).expect_err("two frames are missing");
    assert!(
        matches!(
            fault,
            Fault::Corrupt {
                place: Place::Frame {
                    segment: 1,
                    sequence: Sequence(7),
                },
                damage: Damage::Gap {
                    expected: Sequence(5),
                },
                ..
            }
        ),
        "{fault:?}"
    );
}

/// Sled panics on some of these, and those panics are printed: what counts is that they end as faults.
#[test]
fn damaged_files_never_panic_and_never_yield_a_wrong_frame() {
    let source = folder();
    let bytes = 20_000;
    drop(filled(source.path(), 500, bytes));
    let database = database(source.path());
    let name = database.file_name().expect("it has a name");
    let good = fs::read(database.join("db")).expect("sled's file");
    for step in 0..12 {
        let mut bad = good.clone();
        let at = good.len() / 12 * step;
        match step % 3 {
            0 => bad[at..at + 4096].fill(0),
            1 => bad[at + 1000] ^= 0x20,
            _ => bad.truncate(at),
        }
        let dir = folder();
        let copy = dir.path().join("sled").join(name);
        copy_files(&database, &copy);
        fs::write(copy.join("db"), &bad).expect("a temporary file");
        let frames = Sled::open(dir.path(), Stream::Jobs).and_then(|mut sled| replayed(&mut sled));
        for (number, frame) in frames.unwrap_or_default().iter().enumerate() {
            assert!(*frame == vec![number as u8; bytes], "frame {number}");
        }
    }
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a temporary folder");
    for entry in fs::read_dir(from).expect("sled's folder") {
        let entry = entry.expect("sled's folder");
        if entry.file_type().expect("sled's folder").is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("a temporary file");
        }
    }
}

#[test]
fn the_files_take_little_more_than_the_frames() {
    let dir = folder();
    let frames = 150;
    drop(filled(dir.path(), frames, 100_000));
    let (bytes, taken) = (frames * 100_000, bytes_below(dir.path()));
    assert!(taken > bytes && taken < bytes * 6 / 5, "{taken}");
}

#[test]
fn a_retired_segment_gives_its_room_back() {
    let dir = folder();
    let mut sled = Sled::open(dir.path(), Stream::Jobs).expect("the folder is free");
    for segment in 1..=4 {
        for _ in 0..10 {
            sled.append(segment, &vec![7; 300_000])
                .expect("there is space");
        }
    }
    sled.sync().expect("the disk works");
    let full = sled.stats();
    assert_eq!(full.segments, 4);
    sled.retire(4).expect("the disk works");
    let left = sled.stats();
    assert_eq!(left.segments, 1);
    assert!(
        left.disk_bytes * 3 < full.disk_bytes,
        "{left:?} of {full:?}"
    );
    assert_eq!(bytes_below(dir.path()), left.disk_bytes);
    assert_eq!(replayed(&mut sled).expect("the log is whole").len(), 10);
}

#[test]
fn what_a_crash_left_half_made_or_half_removed_is_gone() {
    let dir = folder();
    let mut sled = filled(dir.path(), 3, 1000);
    sled.append(2, b"next").expect("there is space");
    sled.sync().expect("the disk works");
    drop(sled);
    let root = dir.path().join("sled");
    fs::create_dir(root.join("new")).expect("a temporary folder");
    fs::write(root.join("new/conf"), b"half").expect("a temporary file");
    let oldest = folders::list(&root).expect("it can be read").remove(0);
    fs::rename(oldest.path, root.join("retired")).expect("a temporary folder");
    fs::remove_file(root.join("retired/db")).expect("sled's file");
    let mut sled = Sled::open(dir.path(), Stream::Jobs).expect("the folder is free");
    assert_eq!(replayed(&mut sled).expect("the log is whole"), [b"next"]);
    assert!(!root.join("new").exists() && !root.join("retired").exists());
}

#[test]
fn a_segment_that_lost_its_end_is_told_from_one_that_had_none() {
    let dir = folder();
    let mut sled = filled(dir.path(), 3, 1000);
    let engine = sled.engine.as_mut().expect("it is open");
    engine.remove_from(3).expect("the disk works");
    sled.append(2, b"next").expect("there is space");
    sled.sync().expect("the disk works");
    let fault = replayed(&mut sled).expect_err("a frame is missing");
    assert!(
        matches!(
            fault,
            Fault::Corrupt {
                damage: Damage::Gap {
                    expected: Sequence(3),
                },
                ..
            }
        ),
        "{fault:?}"
    );
}

/// What `fdatasync` of is refused, as by a disk that fails.
fn no_file() -> File {
    File::open("/dev/null").expect("it is always there")
}

#[test]
fn a_sync_that_failed_is_final_wherever_it_came_up() {
    let dir = folder();
    let mut sled = filled(dir.path(), 1, 10);
    sled.append(1, b"next").expect("there is space");
    let engine = sled.engine.as_mut().expect("it is open");
    engine.file = no_file();
    let fault = sled.sync().expect_err("it cannot be synced");
    assert!(matches!(fault, Fault::Io { .. }), "{fault:?}");
    // The files are the right ones again, and would sync well.
    sled.append(1, b"after").expect("there is space");
    assert!(sled.engine.is_some());
    for _ in 0..2 {
        let fault = sled.sync().expect_err("some of it may be lost");
        let cause = std::error::Error::source(&fault)
            .expect("it has one")
            .to_string();
        assert!(
            cause.starts_with("an earlier write or sync failed: sync job log"),
            "{cause}"
        );
    }

    let mut sled = filled(folder().path(), 1, 10);
    sled.append(1, &vec![1; KEPT_BYTES + 1])
        .expect("there is space");
    sled.engine.as_mut().expect("it is open").file = no_file();
    let fault = sled.append(1, b"more").expect_err("it syncs before");
    assert!(!fault.is_full(), "{fault:?}");
    sled.append(1, b"more")
        .expect_err("nothing is to follow what is lost");
    sled.sync().expect_err("some of it may be lost");
}

#[test]
fn a_write_that_failed_makes_the_next_sync_fail() {
    let mut sled = filled(folder().path(), 1, 10);
    let broken = |_: &mut Engine, path: &Path| {
        let cause = io::Error::from_raw_os_error(5);
        Err::<(), _>(Fault::from_io("write job log", path, cause))
    };
    sled.with_engine(broken).expect_err("the disk fails");
    sled.append(1, b"next").expect("it is reopened");
    let fault = sled.sync().expect_err("some of it may be lost");
    assert!(matches!(fault, Fault::Io { .. }), "{fault:?}");
}

#[test]
fn a_sync_without_space_writes_all_of_it_again() {
    let dir = folder();
    let mut sled = filled(dir.path(), 3, 1000);
    for number in 0..20 {
        sled.append(1, &vec![number; 30_000])
            .expect("there is space");
    }
    let full = |_: &mut Engine, path: &Path| {
        let cause = io::ErrorKind::StorageFull.into();
        Err::<(), _>(Fault::from_io("sync job log", path, cause))
    };
    sled.with_engine(full).expect_err("the disk is full");
    sled.spoiled = true;
    let before = sled.stats().disk_bytes;
    sled.sync().expect("there is space again");
    assert!(!sled.spoiled);
    let grown = sled.stats().disk_bytes - before;
    assert!(grown > 20 * 30_000, "only {grown} bytes were written");
    drop(sled);
    let mut sled = Sled::open(dir.path(), Stream::Jobs).expect("the folder is free");
    assert_eq!(replayed(&mut sled).expect("the log is whole").len(), 23);
}

#[test]
fn what_is_in_a_full_segment_can_be_read_while_the_next_cannot_be_made() {
    let dir = folder();
    let mut sled = filled(dir.path(), 3, 1000);
    let reader = sled.reader().expect("it has one");
    let root = dir.path().join("sled");
    // Where the next database is to be made something is in the way.
    fs::write(root.join("new"), b"").expect("a temporary file");
    for _ in 0..2 {
        let fault = sled.append(2, b"next").expect_err("no database is made");
        assert!(matches!(fault, Fault::Io { .. }), "{fault:?}");
        let mut buffer = [0; 1000];
        reader
            .read(1, 2000, &mut buffer)
            .expect("all of it is there");
        assert_eq!(buffer, [2; 1000]);
    }
    fs::remove_file(root.join("new")).expect("a temporary file");
    sled.append(2, b"next").expect("there is space");
    let mut buffer = [0; 4];
    reader
        .read(2, 0, &mut buffer)
        .expect("it is in the new one");
    assert_eq!(&buffer, b"next");
    sled.sync().expect("the disk works");
    drop(sled);
    let mut sled = Sled::open(dir.path(), Stream::Jobs).expect("the folder is free");
    assert_eq!(replayed(&mut sled).expect("the log is whole").len(), 4);
}

#[test]
fn segments_are_read_in_any_order_by_many_at_once() {
    let dir = folder();
    let mut sled = Sled::open(dir.path(), Stream::Jobs).expect("the folder is free");
    for segment in 1..=8 {
        sled.append(segment, &[segment as u8; 5000])
            .expect("there is space");
    }
    let reader = sled.reader().expect("it has one");
    thread::scope(|scope| {
        for start in 0..4 {
            let reader = Arc::clone(&reader);
            scope.spawn(move || {
                for step in 0..40 {
                    let segment = (start + step * 3) % 7 + 2;
                    let mut buffer = [0; 5000];
                    let read = reader.read(segment, 0, &mut buffer);
                    read.expect("it is there");
                    assert_eq!(buffer, [segment as u8; 5000]);
                }
            });
        }
        sled.retire(2).expect("the disk works");
        sled.append(9, b"more").expect("there is space");
    });
    let mut buffer = [0; 1];
    let retired = reader.read(1, 0, &mut buffer);
    assert!(matches!(retired, Err(Fault::Retired { .. })), "{retired:?}");
    drop(sled);
    let closed = reader.read(3, 0, &mut buffer);
    assert!(matches!(closed, Err(Fault::Retired { .. })), "{closed:?}");
}
