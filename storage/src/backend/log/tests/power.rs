//! Power is lost at any point of any history, and what must be there is there.

use std::path::PathBuf;

use shoalmq_core::record::Segment;

use super::disk::{Random, Simulated};
use crate::backend::Backend;
use crate::backend::log::Engine;

/// A frame that was, or may have been, appended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sent {
    segment: Segment,
    sequence: u64,
    frame: Vec<u8>,
}

/// What the log has to hold.
#[derive(Default)]
struct Expected {
    frames: Vec<Sent>,
    /// How many of the frames survive anything.
    synced: usize,
    /// An append that did not return: its frame may be there.
    begun: Option<Sent>,
    /// Segments below were asked to be retired, and below the second it was done.
    retiring: Segment,
    retired: Segment,
    /// Numbers that were ever used stay below this.
    next: u64,
}

/// How a history ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The process is killed: the system keeps what it has.
    Killed,
    /// Power is lost.
    Dark,
}

fn open(disk: &Simulated) -> Engine<Simulated> {
    Engine::open(disk.clone(), PathBuf::from("/log"), None).expect("nothing is damaged")
}

fn read(engine: &mut Engine<Simulated>) -> Vec<Sent> {
    let mut frames = Vec::new();
    engine
        .replay(&mut |segment, sequence, frame| {
            frames.push(Sent {
                segment,
                sequence: sequence.0,
                frame: frame.to_vec(),
            });
            Ok(())
        })
        .expect("nothing is damaged");
    frames
}

impl Expected {
    /// Compares what is there after a history with what has to be, and takes it as what there is from now on.
    fn check(&mut self, found: Vec<Sent>, end: End) {
        let mut all = self.frames.clone();
        all.extend(self.begun.take());
        let first = found.first().map_or(all.len(), |first| {
            let same = |sent: &Sent| sent.sequence == first.sequence;
            all.iter().position(same).expect("a frame that was sent")
        });
        for missing in &all[..first.min(self.frames.len())] {
            let may_be_retired = missing.segment < self.retiring;
            let unsynced =
                found.is_empty() && end == End::Dark && missing.sequence > self.last_synced();
            assert!(
                may_be_retired || unsynced,
                "{} is missing",
                missing.sequence
            );
        }
        assert!(found.iter().all(|sent| sent.segment >= self.retired));
        assert!(
            all[first..].starts_with(&found),
            "in order, and as they were"
        );
        let must = match end {
            End::Killed => self.frames.len(),
            End::Dark => self.synced,
        };
        assert!(
            found.is_empty() || first + found.len() >= must,
            "what was synced is there"
        );
        let kept_synced = self.synced.saturating_sub(first).min(found.len());
        self.synced = match end {
            End::Killed => kept_synced,
            End::Dark => found.len(),
        };
        self.frames = found;
    }

    fn last_synced(&self) -> u64 {
        let last = self.synced.checked_sub(1);
        last.map_or(0, |last| self.frames[last].sequence)
    }
}

/// Does things at random until the power is out or the time is over.
fn live(
    random: &mut Random,
    disk: &Simulated,
    engine: &mut Engine<Simulated>,
    expected: &mut Expected,
) {
    let last = expected
        .frames
        .last()
        .map_or(expected.retiring, |sent| sent.segment);
    let mut segment = last.max(expected.retiring).max(1) + random.below(2) as Segment;
    for _ in 0..random.below(60) {
        let done = match random.below(12) {
            0..=6 => {
                let frame = body(random);
                let sent = Sent {
                    segment,
                    sequence: engine.next,
                    frame,
                };
                assert!(sent.sequence >= expected.next, "numbers rise");
                expected.begun = Some(sent.clone());
                let mut appended = engine.append(segment, &sent.frame);
                while appended.as_ref().is_err_and(crate::fault::Fault::is_full) {
                    appended = engine.append(segment, &sent.frame);
                }
                appended.map(|sequence| {
                    assert_eq!(sequence.0, sent.sequence);
                    expected.next = sent.sequence + 1;
                    expected.frames.push(sent);
                    expected.begun = None;
                })
            }
            7..=9 => match engine.sync() {
                Err(fault) if fault.is_full() => Ok(()),
                synced => synced.map(|()| expected.synced = expected.frames.len()),
            },
            10 => {
                segment += 1 + random.below(3) as Segment;
                Ok(())
            }
            _ => retire(random, segment, engine, expected),
        };
        if let Err(fault) = done {
            assert!(fault.is_full() || !disk.has_power(), "{fault:?}");
            if !disk.has_power() {
                return;
            }
        }
    }
}

/// As the journal does: what was appended is synced first.
fn retire(
    random: &mut Random,
    segment: Segment,
    engine: &mut Engine<Simulated>,
    expected: &mut Expected,
) -> Result<(), crate::fault::Fault> {
    engine.sync()?;
    expected.synced = expected.frames.len();
    let below = segment.saturating_sub(random.below(4) as Segment);
    expected.retiring = expected.retiring.max(below);
    engine.retire(below)?;
    expected.retired = expected.retired.max(below);
    let before = expected.frames.len();
    expected.frames.retain(|sent| sent.segment >= below);
    expected.synced -= before - expected.frames.len();
    Ok(())
}

fn body(random: &mut Random) -> Vec<u8> {
    let length = match random.below(8) {
        0 => 0,
        1 => random.below(20_000),
        _ => random.below(1500),
    };
    let first = random.below(256);
    (0..length).map(|at| (first + at / 3) as u8).collect()
}

/// Several lives on one disk, each ended by a kill or by a loss of power.
fn history(seed: u64, full_one_in: Option<u64>) {
    let mut random = Random::new(seed);
    let mut disk = Simulated::new(seed);
    let mut expected = Expected::default();
    for life in 0..4 {
        disk.fill_up(None);
        let mut engine = open(&disk);
        disk.fill_up(full_one_in);
        if random.one_in(2) {
            disk.lose_power_after(1 + random.below(250));
        }
        live(&mut random, &disk, &mut engine, &mut expected);
        drop(engine);
        let end = if disk.has_power() && random.one_in(3) {
            End::Killed
        } else {
            disk = disk.after_power_loss(seed * 10 + life);
            End::Dark
        };
        disk.lose_power_after(u64::MAX);
        let mut engine = open(&disk);
        let found = read(&mut engine);
        // In a log without a frame the numbers may start over.
        expected.next = if found.is_empty() { 0 } else { engine.next };
        expected.check(found, end);
    }
}

/// Histories per test, of four lives each; `SHOALMQ_SEEDS` asks for more.
fn seeds() -> u64 {
    let asked = std::env::var("SHOALMQ_SEEDS").ok();
    asked.map_or(500, |count| {
        count.parse().expect("SHOALMQ_SEEDS is a number")
    })
}

#[test]
fn whatever_was_synced_survives_a_loss_of_power() {
    for seed in 1..=seeds() {
        in_history(seed, None);
    }
}

#[test]
fn whatever_was_synced_survives_a_loss_of_power_on_a_full_disk() {
    for seed in 1..=seeds() {
        in_history(seed, Some(7));
    }
}

/// Names the history that went wrong.
fn in_history(seed: u64, full_one_in: Option<u64>) {
    let ran = std::panic::catch_unwind(|| history(seed, full_one_in));
    assert!(ran.is_ok(), "history {seed}, full: {full_one_in:?}");
}
