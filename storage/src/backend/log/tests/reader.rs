//! Bytes are read back by their place, whatever the frames they are in.

use std::path::PathBuf;

use shoalmq_core::record::Segment;

use super::disk::{Random, Simulated};
use crate::backend::Backend;
use crate::backend::log::Engine;
use crate::fault::Fault;

fn open(disk: &Simulated) -> Engine<Simulated> {
    Engine::open(disk.clone(), PathBuf::from("/log"), None).expect("nothing is damaged")
}

/// Reads everywhere, and compares.
fn compare(random: &mut Random, engine: &Engine<Simulated>, segment: Segment, bytes: &[u8]) {
    let reader = engine.reader();
    for _ in 0..40 {
        let from = random.below(bytes.len() as u64) as usize;
        let count = random.below((bytes.len() - from) as u64 + 1) as usize;
        let mut buffer = vec![0; count.min(1 + random.below(9000) as usize)];
        let read = reader.read(segment, from as u64, buffer.len(), &mut buffer);
        read.expect("it was appended");
        assert!(buffer == bytes[from..from + buffer.len()], "{from}");
    }
    let beyond = reader.read(segment, bytes.len() as u64 - 1, 2, &mut [0; 2]);
    assert!(matches!(beyond, Err(Fault::Corrupt { .. })), "{beyond:?}");
}

#[test]
fn bytes_are_read_by_their_place_after_an_append_and_after_a_replay() {
    for seed in 1..20 {
        let mut random = Random::new(seed);
        let disk = Simulated::new(seed);
        let mut engine = open(&disk);
        let mut bytes = [Vec::new(), Vec::new()];
        let mut last = None;
        for number in 0..120 {
            let segment = 1 + number / 60;
            let bound = if random.one_in(9) { 40_000 } else { 900 };
            let length = random.below(bound);
            let frame: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
            last = Some((
                engine.append(segment, &frame).expect("there is space"),
                frame.len(),
            ));
            bytes[segment as usize - 1].extend_from_slice(&frame);
        }
        for (segment, bytes) in (1..).zip(&bytes) {
            compare(&mut random, &engine, segment, bytes);
        }
        drop(engine);
        let mut engine = open(&disk);
        engine
            .replay(&mut |_, _, _| Ok(()))
            .expect("nothing is damaged");
        let (last, length) = last.expect("frames were appended");
        engine.cut(2, last, length / 2).expect("the disk works");
        let gone = length - length / 2;
        let left = bytes[1].len() - gone;
        bytes[1].truncate(left);
        bytes[1].extend_from_slice(b"after");
        engine.append(2, b"after").expect("there is space");
        for (segment, bytes) in (1..).zip(&bytes) {
            compare(&mut random, &engine, segment, bytes);
        }
        let reader = engine.reader();
        engine.retire(2).expect("the disk works");
        let retired = reader.read(1, 0, 1, &mut [0; 1]);
        assert!(matches!(retired, Err(Fault::Retired { .. })), "{retired:?}");
    }
}
