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
    let mut sled = Sled::open(dir).expect("the folder is free");
    for number in 0..frames {
        let frame = vec![number as u8; bytes];
        sled.append(1, &frame).expect("there is space");
    }
    sled.sync().expect("the disk works");
    sled
}

fn load(dir: &Path, torn_tail: TornTail) -> Result<Loaded, Fault> {
    let mut store = Store::open(StorageKind::Sled, dir).expect("the folder is free");
    store.load(torn_tail, |_, _| {}, |_| {})
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
    let second = Sled::open(dir.path());
    assert!(matches!(second, Err(Fault::Locked { .. })), "{second:?}");
    drop(first);
    assert!(Sled::open(dir.path()).is_ok());
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let dir = folder();
    let file = dir.path().join("file");
    fs::write(&file, "in the way").expect("a temporary file");
    let fault = Sled::open(&file).expect_err("a file is no folder");
    let name = file.join("sled");
    assert_eq!(fault.to_string(), format!("create {}", name.display()));
}

#[test]
fn no_frame_makes_sled_write_files_that_it_does_not_sync() {
    let dir = folder();
    let _sled = filled(dir.path(), 20, 1 << 20);
    let files = fs::read_dir(dir.path().join("sled/blobs")).expect("sled makes the folder");
    assert_eq!(files.count(), 0);
}

#[test]
fn frames_survive_an_engine_that_failed_before_their_sync() {
    let dir = folder();
    let mut sled = filled(dir.path(), 100, 1000);
    sled.append(1, &vec![100; 50_000]).expect("there is space");
    sled.append(2, b"unsynced").expect("there is space");
    // What an error of sled leads to; and what it may have left behind of a frame that failed.
    let mut engine = sled.engine.take().expect("it is open");
    let next = sled.end.next;
    engine
        .insert(2, next, &vec![9; 100_000])
        .expect("there is space");
    engine.remove_from(101).expect("the disk works");
    engine
        .insert(2, next, &vec![9; 100_000])
        .expect("there is space");
    drop(engine);
    sled.append(2, b"after").expect("it is opened anew");
    sled.sync().expect("the disk works");
    drop(sled);
    let mut sled = Sled::open(dir.path()).expect("the folder is free");
    let frames = replayed(&mut sled).expect("the log is whole");
    assert_eq!(frames.len(), 103);
    assert!(frames[100] == vec![100; 50_000]);
    assert_eq!(frames[101], b"unsynced");
    assert_eq!(frames[102], b"after");
}

#[test]
fn an_unfinished_frame_at_the_end_is_dropped() {
    let dir = folder();
    let mut sled = Sled::open(dir.path()).expect("the folder is free");
    let mut frame = Vec::new();
    encode(&Record::Deleted(JobId::from_bytes([1; 24])), &mut frame);
    for _ in 0..3 {
        sled.append(1, &frame).expect("there is space");
    }
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
    let mut sled = Sled::open(dir.path()).expect("the folder is free");
    assert_eq!(
        sled.append(2, b"next").expect("there is space"),
        Sequence(4)
    );
    assert_eq!(replayed(&mut sled).expect("the log is whole").len(), 4);
    sled.sync().expect("the disk works");
    drop(sled);
    let sled = Sled::open(dir.path()).expect("the folder is free");
    assert_eq!(sled.unfinished(), None);
}

#[test]
fn a_load_tells_how_much_is_left_and_ends_at_all() {
    let dir = folder();
    let mut sled = Sled::open(dir.path()).expect("the folder is free");
    let mut frame = Vec::new();
    while frame.len() < 60_000 {
        encode(&Record::Deleted(JobId::from_bytes([1; 24])), &mut frame);
    }
    for segment in 1..=20 {
        sled.append(segment, &frame).expect("there is space");
    }
    // The numbers do not begin at 1 any more.
    sled.retire(11).expect("the disk works");
    sled.sync().expect("the disk works");
    drop(sled);
    let mut store = Store::open(StorageKind::Sled, dir.path()).expect("the folder is free");
    let all = 10 * frame.len() as u64;
    let mut shares = Vec::new();
    let loaded = store.load(
        TornTail::Refuse,
        |_, _| {},
        |loaded| {
            assert_eq!(loaded.total_bytes, Some(all), "all frames are equal");
            shares.push(loaded.bytes);
        },
    );
    assert_eq!(shares.len(), 10);
    let loaded = loaded.expect("the log is whole");
    assert_eq!((loaded.bytes, loaded.total_bytes), (all, Some(all)));
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
    let good = fs::read(source.path().join("sled/db")).expect("sled's file");
    for step in 0..12 {
        let mut bad = good.clone();
        let at = good.len() / 12 * step;
        match step % 3 {
            0 => bad[at..at + 4096].fill(0),
            1 => bad[at + 1000] ^= 0x20,
            _ => bad.truncate(at),
        }
        let dir = folder();
        copy_files(&source.path().join("sled"), &dir.path().join("sled"));
        fs::write(dir.path().join("sled/db"), &bad).expect("a temporary file");
        let frames = Sled::open(dir.path()).and_then(|mut sled| replayed(&mut sled));
        for (number, frame) in frames.unwrap_or_default().iter().enumerate() {
            assert!(*frame == vec![number as u8; bytes], "frame {number}");
        }
    }
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a temporary folder");
    for entry in fs::read_dir(from).expect("sled's folder") {
        let entry = entry.expect("sled's folder");
        if entry.file_type().expect("sled's folder").is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("a temporary file");
        }
    }
}
