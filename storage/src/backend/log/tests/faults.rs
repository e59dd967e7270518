//! What a disk that fills up or fails does to the log.

use std::io;
use std::path::PathBuf;

use super::disk::Simulated;
use crate::backend::Backend;
use crate::backend::log::Engine;
use crate::fault::Fault;

fn open(disk: &Simulated) -> Engine<Simulated> {
    Engine::open(disk.clone(), PathBuf::from("/log"), None).expect("nothing is damaged")
}

fn frames(engine: &mut Engine<Simulated>) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let replayed = engine.replay(&mut |_, _, frame| {
        frames.push(frame.to_vec());
        Ok(())
    });
    replayed.expect("nothing is damaged");
    frames
}

#[test]
fn a_sync_without_space_is_made_up_for_by_the_next_one() {
    for seed in 0..50 {
        let disk = Simulated::new(seed);
        let mut engine = open(&disk);
        for number in 0..10_u8 {
            engine.append(1, &[number; 700]).expect("there is space");
        }
        disk.fail_sync(io::ErrorKind::StorageFull);
        let fault = engine.sync().expect_err("there is no space");
        assert!(fault.is_full(), "{fault:?}");
        engine.append(1, b"after").expect("there is space");
        engine.sync().expect("there is space again");
        drop(engine);
        let mut engine = open(&disk.after_power_loss(seed));
        let found = frames(&mut engine);
        assert_eq!(found.len(), 11, "seed {seed}");
        assert_eq!(found[10], b"after");
    }
}

#[test]
fn a_sync_that_failed_otherwise_is_never_followed_by_one_that_succeeds() {
    let disk = Simulated::new(1);
    let mut engine = open(&disk);
    engine.append(1, b"frame").expect("there is space");
    disk.fail_sync(io::ErrorKind::Other);
    for _ in 0..3 {
        let fault = engine.sync().expect_err("nobody knows what the disk holds");
        assert!(matches!(fault, Fault::Io { .. }), "{fault:?}");
    }
    assert!(engine.append(2, b"frame").is_err());
    assert!(engine.retire(2).is_err());
}

#[test]
fn a_frame_without_space_is_appended_once_there_is_some() {
    let disk = Simulated::new(1);
    let mut engine = open(&disk);
    engine.append(1, b"first").expect("there is space");
    disk.fill_up(Some(1));
    for segment in [1, 2] {
        let fault = engine
            .append(segment, &[7; 10_000])
            .expect_err("it is full");
        assert!(fault.is_full(), "{fault:?}");
    }
    disk.fill_up(None);
    engine.append(2, &[7; 10_000]).expect("there is space");
    engine.sync().expect("the disk works");
    let found = frames(&mut open(&disk.after_power_loss(3)));
    assert_eq!(found, [b"first".to_vec(), vec![7; 10_000]]);
}
