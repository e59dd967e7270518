//! One suite for every backend: what [`Backend`] promises, as far as it shows without pulling the plug.

use std::path::Path;

use shoalmq_core::record::{Segment, Stream};
use shoalmq_storage::backend::log::Log;
use shoalmq_storage::backend::memory::Memory;
use shoalmq_storage::backend::sled::Sled;
use shoalmq_storage::backend::{Backend, Sequence};
use shoalmq_storage::fault::Fault;

type Frames = Vec<(Segment, Sequence, Vec<u8>)>;

/// A place that holds a log, to be opened again and again.
trait Place {
    fn new() -> Self;
    fn open(&self) -> Box<dyn Backend>;
}

struct InMemory(Memory);

impl Place for InMemory {
    fn new() -> Self {
        InMemory(Memory::new())
    }

    fn open(&self) -> Box<dyn Backend> {
        Box::new(self.0.clone())
    }
}

struct InSled(tempfile::TempDir);

impl Place for InSled {
    fn new() -> Self {
        InSled(tempfile::tempdir().expect("a temporary folder"))
    }

    fn open(&self) -> Box<dyn Backend> {
        Box::new(Sled::open(self.0.path(), Stream::Jobs).expect("the folder is free"))
    }
}

struct InLog(tempfile::TempDir);

impl Place for InLog {
    fn new() -> Self {
        InLog(tempfile::tempdir().expect("a temporary folder"))
    }

    fn open(&self) -> Box<dyn Backend> {
        Box::new(Log::open(self.0.path(), Stream::Jobs).expect("the folder is free"))
    }
}

/// Runs each test of the suite in a module per backend.
macro_rules! conformance {
    ($($backend:ident: $place:ty;)*) => {
        $(mod $backend {
            use super::*;
            conformance!(@ $place:
                an_empty_log_replays_nothing,
                frames_come_back_in_order_with_their_numbers,
                frames_of_any_size_come_back_whole,
                many_frames_come_back,
                numbers_go_on_after_a_reopen,
                retired_segments_are_gone_and_the_others_stay,
                everything_may_be_retired,
                the_last_frame_is_cut,
                a_replay_ends_with_its_visitors_fault,
                stats_count_segments_and_bytes,
                what_was_appended_is_read_from_any_place,
                what_retired_or_was_never_there_is_not_read,
            );
        })*
    };
    (@ $place:ty: $($test:ident,)*) => {
        $(#[test]
        fn $test() {
            super::$test(&<$place>::new());
        })*
    };
}

conformance! {
    memory: InMemory;
    sled: InSled;
    log: InLog;
}

fn replayed(backend: &mut dyn Backend) -> Frames {
    let mut frames = Frames::new();
    backend
        .replay(&mut |segment, sequence, frame| {
            frames.push((segment, sequence, frame.to_vec()));
            Ok(())
        })
        .expect("the log is whole");
    frames
}

fn append(backend: &mut dyn Backend, segment: Segment, frame: &[u8]) -> Sequence {
    backend.append(segment, frame).expect("there is space")
}

fn sync(backend: &mut dyn Backend) {
    backend.sync().expect("the disk works");
}

/// Bytes that differ by frame and by place.
fn pattern(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| (seed * 31 + at / 7) as u8).collect()
}

fn an_empty_log_replays_nothing(place: &impl Place) {
    assert_eq!(replayed(&mut *place.open()), Frames::new());
}

fn frames_come_back_in_order_with_their_numbers(place: &impl Place) {
    let mut backend = place.open();
    let mut written = Frames::new();
    for (segment, frame) in [
        (1, "a"),
        (1, "b"),
        (2, "c"),
        (7, "d"),
        (12, "e"),
        (112, "f"),
    ] {
        let sequence = append(&mut *backend, segment, frame.as_bytes());
        written.push((segment, sequence, frame.as_bytes().to_vec()));
    }
    assert!(written.is_sorted_by(|one, next| one.1 < next.1));
    sync(&mut *backend);
    drop(backend);
    assert_eq!(replayed(&mut *place.open()), written);
}

fn frames_of_any_size_come_back_whole(place: &impl Place) {
    const KIB: usize = 1 << 10;
    let sizes = [
        0,
        1,
        7 * KIB - 1,
        7 * KIB,
        7 * KIB + 1,
        14 * KIB,
        1 << 20,
        0,
        20 << 20,
        3,
    ];
    let mut backend = place.open();
    let mut written = Frames::new();
    for (seed, size) in sizes.into_iter().enumerate() {
        let frame = pattern(seed, size);
        let sequence = append(&mut *backend, 1, &frame);
        written.push((1, sequence, frame));
    }
    sync(&mut *backend);
    drop(backend);
    assert!(replayed(&mut *place.open()) == written);
}

fn many_frames_come_back(place: &impl Place) {
    let mut backend = place.open();
    let mut written = Frames::new();
    for number in 0..5000 {
        let segment = 1 + number as Segment / 1000;
        let frame = pattern(number, number % 300);
        let sequence = append(&mut *backend, segment, &frame);
        written.push((segment, sequence, frame));
        if number % 500 == 0 {
            sync(&mut *backend);
        }
    }
    sync(&mut *backend);
    drop(backend);
    assert!(replayed(&mut *place.open()) == written);
}

fn numbers_go_on_after_a_reopen(place: &impl Place) {
    let mut last = Sequence(0);
    for round in 0..5 {
        let mut backend = place.open();
        assert_eq!(replayed(&mut *backend).len(), round * 2);
        for frame in [pattern(round, 100_000), pattern(round, 10)] {
            let next = append(&mut *backend, 1 + round as Segment / 2, &frame);
            assert!(next > last, "{next} after {last}");
            last = next;
        }
        sync(&mut *backend);
    }
}

fn retired_segments_are_gone_and_the_others_stay(place: &impl Place) {
    let mut backend = place.open();
    for number in 0..100 {
        append(
            &mut *backend,
            1 + number / 10,
            &pattern(number as usize, 1000),
        );
    }
    sync(&mut *backend);
    backend.retire(6).expect("the disk works");
    let last = append(&mut *backend, 10, b"after");
    sync(&mut *backend);
    let left = replayed(&mut *place_again(backend, place));
    assert_eq!(left.len(), 51);
    assert_eq!(left[0].0, 6);
    assert_eq!(left[0].2, pattern(50, 1000));
    assert_eq!(left[50], (10, last, b"after".to_vec()));
}

/// The bytes of a segment, and frames of many sizes that make them up.
fn laid_out(backend: &mut dyn Backend, segment: Segment, salt: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, length) in [0, 1, 300, 7168, 7169, 50_000, 3, 0, 1 << 20, 900]
        .into_iter()
        .enumerate()
    {
        let frame = pattern(number + salt, length);
        append(backend, segment, &frame);
        bytes.extend(frame);
    }
    bytes
}

fn what_was_appended_is_read_from_any_place(place: &impl Place) {
    let mut backend = place.open();
    let segments =
        [3, 4].map(|segment| (segment, laid_out(&mut *backend, segment, segment as usize)));
    let all_read = |backend: &dyn Backend| {
        let Some(reader) = backend.reader() else {
            return;
        };
        for (segment, bytes) in &segments {
            for (offset, length) in (0..bytes.len())
                .step_by(6911)
                .zip([0, 1, 9, 5000, 20_000].iter().cycle())
            {
                let end = (offset + length).min(bytes.len());
                let mut read = vec![0; end - offset];
                reader
                    .read(*segment, offset as u64, &mut read)
                    .expect("it was appended");
                assert!(read == bytes[offset..end], "{length} bytes at {offset}");
            }
        }
    };
    all_read(&*backend);
    sync(&mut *backend);
    all_read(&*backend);
    let mut backend = place_again(backend, place);
    replayed(&mut *backend);
    all_read(&*backend);
}

fn what_retired_or_was_never_there_is_not_read(place: &impl Place) {
    let mut backend = place.open();
    let bytes = laid_out(&mut *backend, 1, 0);
    laid_out(&mut *backend, 2, 0);
    let Some(reader) = backend.reader() else {
        return;
    };
    let read = |segment, offset: usize| reader.read(segment, offset as u64, &mut [0; 10]);
    assert!(read(1, bytes.len() - 10).is_ok());
    for beyond in [bytes.len() - 9, bytes.len(), 1 << 40] {
        let fault = read(1, beyond);
        assert!(matches!(fault, Err(Fault::Corrupt { .. })), "{fault:?}");
    }
    backend.retire(2).expect("the disk works");
    for segment in [1, 9] {
        let fault = read(segment, 0);
        assert!(matches!(fault, Err(Fault::Retired { .. })), "{fault:?}");
    }
    assert!(read(2, 0).is_ok());
}

fn everything_may_be_retired(place: &impl Place) {
    let mut backend = place.open();
    append(&mut *backend, 1, b"old");
    backend.retire(2).expect("the disk works");
    sync(&mut *backend);
    assert_eq!(backend.stats().segments, 0);
    append(&mut *backend, 2, b"new");
    sync(&mut *backend);
    let left = replayed(&mut *place_again(backend, place));
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].0, left[0].2.as_slice()), (2, b"new".as_slice()));
}

fn the_last_frame_is_cut(place: &impl Place) {
    let mut backend = place.open();
    append(&mut *backend, 1, b"first");
    let last = append(&mut *backend, 1, &pattern(1, 100_000));
    sync(&mut *backend);
    let mut backend = place_again(backend, place);
    backend.cut(1, last, 60_000).expect("the disk works");
    let mut backend = place_again(backend, place);
    let frames = replayed(&mut *backend);
    assert_eq!(frames.len(), 2);
    assert!(frames[1].2 == pattern(1, 100_000)[..60_000]);
    let last = frames[1].1;
    backend.cut(1, last, 0).expect("the disk works");
    append(&mut *backend, 1, b"third");
    sync(&mut *backend);
    let frames = replayed(&mut *place_again(backend, place));
    let bytes: Vec<_> = frames.iter().map(|frame| frame.2.as_slice()).collect();
    assert_eq!(bytes, [b"first".as_slice(), b"third"]);
}

fn a_replay_ends_with_its_visitors_fault(place: &impl Place) {
    let mut backend = place.open();
    for number in 0..1000 {
        append(&mut *backend, 1, &pattern(number, 100));
    }
    sync(&mut *backend);
    let mut visits = 0;
    let fault = backend.replay(&mut |_, _, _| {
        visits += 1;
        let path = Path::new("here").to_owned();
        Err(Fault::Locked { path })
    });
    assert!(matches!(fault, Err(Fault::Locked { .. })), "{fault:?}");
    assert_eq!(visits, 1);
    assert_eq!(replayed(&mut *backend).len(), 1000);
}

fn stats_count_segments_and_bytes(place: &impl Place) {
    let mut backend = place.open();
    for segment in 1..=3 {
        append(&mut *backend, segment, &pattern(1, 5000));
    }
    sync(&mut *backend);
    let stats = backend.stats();
    assert_eq!(stats.segments, 3);
    assert!(stats.disk_bytes >= 15_000, "{stats:?}");
}

/// Closes a backend, and opens it again.
fn place_again(backend: Box<dyn Backend>, place: &impl Place) -> Box<dyn Backend> {
    drop(backend);
    place.open()
}
