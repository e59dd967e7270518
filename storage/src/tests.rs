use shoalmq_core::id::JobId;
use shoalmq_core::record::Segment;
use shoalmq_core::topic::{Origin, OriginNode, TopicRecord};

use super::*;
use crate::backend::Sequence;
use crate::fault::{Damage, Place};
use crate::record::{Invalid, encode};

fn record(number: u8) -> Record {
    Record::Deleted(JobId::from_bytes([number; 24]))
}

fn life(start: u64) -> Record {
    Record::Topic(TopicRecord::Life(Origin::new(OriginNode::new(1), start)))
}

fn frame(numbers: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    for &number in numbers {
        encode(&record(number), &mut frame);
    }
    frame
}

/// A log in memory with these frames, one per segment.
fn log(frames: &[Vec<u8>]) -> Memory {
    let mut memory = Memory::new();
    for (frame, segment) in frames.iter().zip(1..) {
        memory.append(segment, frame).expect("memory has no faults");
    }
    memory
}

/// A log whose stream of topics is empty.
fn store(jobs: &Memory) -> Store {
    let backends = Streams {
        jobs: Box::new(jobs.clone()) as Box<dyn Backend>,
        topics: Box::new(Memory::new()),
    };
    Store::of(backends, Path::new("here"))
}

fn load(memory: &Memory) -> (Vec<(Segment, Record)>, Result<Loaded, Fault>) {
    load_with(TornTail::Cut, memory)
}

fn load_with(
    torn_tail: TornTail,
    memory: &Memory,
) -> (Vec<(Segment, Record)>, Result<Loaded, Fault>) {
    let mut records = Vec::new();
    let loaded = store(memory).load(
        torn_tail,
        |at, record| records.push((at.segment, record)),
        |_| {},
    );
    (records, loaded.map(|loaded| loaded.jobs))
}

fn place(segment: Segment, offset: usize) -> Place {
    Place::Record {
        segment,
        sequence: Sequence(u64::from(segment)),
        offset,
    }
}

#[test]
fn records_come_with_their_segments_and_are_counted() {
    let memory = log(&[frame(&[1, 2]), Vec::new(), frame(&[3])]);
    let (records, loaded) = load(&memory);
    assert_eq!(records, [(1, record(1)), (1, record(2)), (3, record(3))]);
    let expected = Loaded {
        records: 3,
        bytes: frame(&[1, 2, 3]).len() as u64,
        total_bytes: None,
        last_segment: Some(3),
        torn: None,
    };
    assert_eq!(loaded.expect("the log is whole"), expected);
}

#[test]
fn a_torn_tail_is_cut_wherever_it_tore() {
    let whole = frame(&[2]).len();
    for kept in 1..whole {
        let mut last = frame(&[1, 2]);
        last.truncate(whole + kept);
        let memory = log(&[frame(&[0]), last]);
        let (records, loaded) = load(&memory);
        assert_eq!(records.len(), 2);
        let torn = loaded.expect("a torn tail is no fault").torn;
        assert_eq!(torn, Some(place(2, whole)));
        let (records, loaded) = load(&memory);
        assert_eq!(records.len(), 2);
        assert_eq!(loaded.expect("it was cut").torn, None);
    }
}

#[test]
fn a_torn_tail_that_is_refused_stays_as_it_is() {
    let whole = frame(&[2]).len();
    for kept in 1..whole {
        let mut last = frame(&[1, 2]);
        last.truncate(whole + kept);
        let memory = log(&[frame(&[0]), last]);
        for _ in 0..2 {
            let (_, loaded) = load_with(TornTail::Refuse, &memory);
            let fault = loaded.expect_err("it is torn");
            assert!(matches!(fault, Fault::Torn { .. }), "{fault:?}");
            assert_eq!(
                fault.to_string(),
                "read job log here: torn at its end, in segment 2 at byte 35 of frame 2; set aof-load-truncated yes \
                 to cut it off"
            );
        }
        assert!(load(&memory).1.is_ok());
    }
}

#[test]
fn a_whole_log_is_not_refused() {
    let (records, loaded) = load_with(TornTail::Refuse, &log(&[frame(&[1]), Vec::new()]));
    assert_eq!(records.len(), 1);
    assert_eq!(loaded.expect("the log is whole").torn, None);
}

#[test]
fn a_tail_of_zeros_is_cut() {
    let mut last = frame(&[1]);
    last.extend_from_slice(&[0; 100]);
    let (records, loaded) = load(&log(&[last]));
    assert_eq!(records, [(1, record(1))]);
    assert!(loaded.expect("a torn tail is no fault").torn.is_some());
}

#[test]
fn damage_with_a_record_behind_it_is_a_fault_with_its_place() {
    let whole = frame(&[1]).len();
    for at in 0..whole {
        let mut damaged = frame(&[1, 2, 3]);
        damaged[whole + at] ^= 0x10;
        let (records, loaded) = load(&log(&[frame(&[0]), damaged]));
        assert_eq!(records.len(), 2);
        match loaded {
            Err(Fault::Corrupt {
                place: found,
                damage: Damage::Record(Invalid::Checksum | Invalid::Truncated),
                ..
            }) => assert_eq!(found, place(2, whole)),
            other => panic!("byte {at}: {other:?}"),
        }
    }
}

#[test]
fn damage_with_a_frame_behind_it_is_a_fault() {
    let mut damaged = frame(&[1, 2]);
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let (_, loaded) = load(&log(&[damaged, frame(&[3])]));
    let found = loaded.expect_err("a frame follows");
    assert_eq!(
        found.to_string(),
        "read job log here: damaged in segment 1 at byte 35 of frame 1; restore the folder from a copy, \
         or move here away to start without what it holds"
    );
}

#[test]
fn a_newer_record_is_refused_even_at_the_end() {
    let mut newer = frame(&[1]);
    newer[8] = 9;
    let checksum = crc32c::crc32c(&newer[8..]);
    newer[4..8].copy_from_slice(&checksum.to_le_bytes());
    let (_, loaded) = load(&log(&[newer]));
    let fault = loaded.expect_err("nobody here can read it");
    assert!(
        matches!(
            &fault,
            Fault::Newer {
                damage: Damage::Record(Invalid::Version(9)),
                ..
            }
        ),
        "{fault:?}"
    );
    assert_eq!(
        fault.to_string(),
        "read job log here: a newer version wrote what is in segment 1 at byte 0 of frame 1; run the newer version"
    );
}

#[test]
fn progress_is_told_after_every_frame() {
    let mut told = Vec::new();
    store(&log(&[frame(&[1, 2]), frame(&[3])]))
        .load(
            TornTail::Refuse,
            |_, _| {},
            |loaded| told.push(loaded.records()),
        )
        .expect("the log is whole");
    assert_eq!(told, [2, 3]);
}

/// The records and the damaged places that an examination tells of.
fn examine(memory: &Memory) -> (Vec<Record>, Vec<Place>, Examined) {
    let (mut records, mut places) = (Vec::new(), Vec::new());
    let examined = store(memory).examine(|_, _, found| match found {
        Found::Record { record, .. } => records.push(record.clone()),
        Found::Damage { place, .. } => places.push(place),
    });
    let examined = examined.jobs.expect("memory has no faults");
    (records, places, examined)
}

#[test]
fn an_examination_goes_on_behind_damage_and_changes_nothing() {
    let whole = frame(&[1, 2, 3]);
    let third = whole.len() / 3;
    let mut flipped = whole.clone();
    flipped[third + 10] ^= 1;
    let mut cut = frame(&[4]);
    cut.truncate(third - 1);
    let memory = log(&[flipped, cut, frame(&[5])]);
    for _ in 0..2 {
        let (records, places, examined) = examine(&memory);
        assert_eq!(records, [record(1), record(3), record(5)]);
        assert_eq!(places, [place(1, third), place(2, 0)]);
        assert_eq!((examined.damaged, examined.records), (2, 3));
        assert_eq!((examined.frames, examined.torn), (3, None));
    }
}

#[test]
fn an_examination_tells_a_torn_end_from_damage() {
    let whole = frame(&[1, 2]);
    let torn = whole[..whole.len() - 1].to_vec();
    let memory = log(&[torn, Vec::new()]);
    let (records, places, examined) = examine(&memory);
    assert_eq!((records, places), (vec![record(1)], Vec::new()));
    assert_eq!(examined.torn, Some(place(1, whole.len() / 2)));
}

#[test]
fn an_examination_steps_over_what_a_newer_version_wrote() {
    let mut newer = frame(&[1]);
    newer[8] = 9;
    let checksum = crc32c::crc32c(&newer[8..]);
    newer[4..8].copy_from_slice(&checksum.to_le_bytes());
    newer.extend(frame(&[2]));
    let (records, places, examined) = examine(&log(&[newer]));
    assert_eq!((records, places), (vec![record(2)], vec![place(1, 0)]));
    assert_eq!((examined.damaged, examined.torn), (1, None));
}

#[test]
fn a_folder_of_another_backend_is_refused_with_the_way_out() {
    for (own, other) in [
        (StorageKind::Sled, StorageKind::Log),
        (StorageKind::Log, StorageKind::Sled),
    ] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(own, dir.path()).expect("the folder is empty");
        // Nothing was written: changing the directive now loses nothing.
        drop(store);
        let mut backend = Store::open(other, dir.path())
            .expect("there is nothing of the first")
            .into_backends();
        backend
            .jobs
            .append(1, &frame(&[1]))
            .expect("there is space");
        drop(backend);
        let fault = Store::open(own, dir.path()).expect_err("it is of the other");
        let path = dir.path().display();
        assert_eq!(
            fault.to_string(),
            format!(
                "open job log {path}: storage is {own}, but the folder holds a log of storage {other}; start with \
                 storage {other}, or convert it first: shoalmq storage convert; if its jobs are not wanted, move \
                 {path}/{other} away"
            )
        );
        assert!(Store::open(other, dir.path()).is_ok());
    }
}

/// A log with a frame of jobs and one of topics.
fn both(jobs: &[Record], topics: &[Record]) -> Store {
    let filled = |records: &[Record]| {
        let mut frame = Vec::new();
        for record in records {
            encode(record, &mut frame);
        }
        Box::new(log(&[frame])) as Box<dyn Backend>
    };
    let backends = Streams {
        jobs: filled(jobs),
        topics: filled(topics),
    };
    Store::of(backends, Path::new("here"))
}

#[test]
fn jobs_are_visited_first_and_then_topics_each_with_its_place() {
    let mut store = both(&[record(1), record(2)], &[life(1), life(2)]);
    let (mut found, mut told) = (Vec::new(), Vec::new());
    let loaded = store.load(
        TornTail::Refuse,
        |at, record| found.push((at.offset, record)),
        |loaded| told.push((loaded.jobs.records, loaded.topics.records)),
    );
    let loaded = loaded.expect("the log is whole");
    let small = frame(&[1]).len() as u32;
    let second = found[3].0;
    let expected = [
        (0, record(1)),
        (small, record(2)),
        (0, life(1)),
        (second, life(2)),
    ];
    assert_eq!(found, expected);
    assert_eq!(told, [(2, 0), (2, 2)]);
    assert_eq!(loaded.records(), 4);
    assert_eq!(
        loaded.map(|loaded| loaded.last_segment),
        Streams::each(|_| Some(1))
    );
}

#[test]
fn a_record_of_the_other_stream_is_damage() {
    for mut store in [
        both(&[record(1), life(1)], &[]),
        both(&[record(1)], &[life(1), record(2)]),
    ] {
        let loaded = store.load(TornTail::Cut, |_, _| {}, |_| {});
        let damage = Damage::Stream.to_string();
        match loaded {
            Err(Fault::Corrupt { damage: found, .. }) => assert_eq!(found.to_string(), damage),
            other => panic!("{other:?}"),
        }
        let mut places = 0;
        let examined = store.examine(|_, _, found| {
            places += u64::from(matches!(found, Found::Damage { .. }));
        });
        let damaged = examined.map(|seen| seen.expect("memory has no faults").damaged);
        assert_eq!((damaged.jobs + damaged.topics, places), (1, 1));
    }
}

#[test]
fn each_stream_is_torn_and_cut_by_itself() {
    let mut torn = Vec::new();
    encode(&life(1), &mut torn);
    let whole = torn.len();
    encode(&life(2), &mut torn);
    torn.pop();
    let topics = log(&[torn]);
    for cut in [Some(whole), None] {
        let backends = Streams {
            jobs: Box::new(log(&[frame(&[1])])) as Box<dyn Backend>,
            topics: Box::new(topics.clone()),
        };
        let loaded = Store::of(backends, Path::new("here"))
            .load(TornTail::Cut, |_, _| {}, |_| {})
            .expect("a torn tail is no fault");
        assert_eq!(loaded.jobs.torn, None);
        assert_eq!(loaded.topics.torn, cut.map(|offset| place(1, offset)));
        assert_eq!(loaded.records(), 2);
    }
}

#[test]
fn topics_alone_are_a_log_of_another_backend_too() {
    for (own, other) in [
        (StorageKind::Sled, StorageKind::Log),
        (StorageKind::Log, StorageKind::Sled),
    ] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(other, dir.path()).expect("the folder is empty");
        let mut backends = store.into_backends();
        backends
            .topics
            .append(1, &frame(&[1]))
            .expect("there is space");
        drop(backends);
        let fault = Store::open(own, dir.path()).expect_err("it is of the other");
        let away = format!("move {}/{other}-topics away", dir.path().display());
        assert!(fault.to_string().ends_with(&away), "{fault}");
    }
}
