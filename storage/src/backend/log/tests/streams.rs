//! Power is lost, and space runs out, under a journal that writes both streams to one disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use shoalmq_core::id::JobId;
use shoalmq_core::record::{Record, Segment, Stream};
use shoalmq_core::topic::{Origin, OriginNode, TopicRecord};

use super::disk::{Random, Simulated};
use crate::backend::Backend;
use crate::backend::log::Engine;
use crate::fault::Fault;
use crate::journal::{Journal, Options, Policy, Position};
use crate::streams::{STREAMS, Streams};
use crate::{Store, TornTail};

/// A record that was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sent {
    position: Position,
    segment: Segment,
    record: Record,
}

/// What was appended to a stream, and which of its segments may be gone.
#[derive(Debug, Clone, Default)]
struct Expected {
    sent: Vec<Sent>,
    retiring: Segment,
}

fn open(disk: &Simulated) -> Result<Streams<Box<dyn Backend>>, Fault> {
    let open = |folder: &str| {
        let engine = Engine::open(disk.clone(), PathBuf::from(folder), None)?;
        Ok(Box::new(engine) as Box<dyn Backend>)
    };
    Ok(Streams {
        jobs: open("/log")?,
        topics: open("/log-topics")?,
    })
}

fn record(stream: Stream, number: u64) -> Record {
    match stream {
        Stream::Jobs => {
            let mut id = [0; 24];
            id[..8].copy_from_slice(&number.to_le_bytes());
            Record::Deleted(JobId::from_bytes(id))
        }
        Stream::Topics => Record::Topic(TopicRecord::Life(Origin::new(OriginNode::new(1), number))),
    }
}

/// Appends at random to both streams until the power is out, or the time is over. Returns up to where all is on disk.
fn live(random: &mut Random, disk: &Simulated, all: &mut Streams<Expected>) -> Position {
    let backends = open(disk).expect("nothing is damaged");
    let policy = [Policy::Always, Policy::EverySecond, Policy::No][random.below(3) as usize];
    let options = Options {
        policy,
        segment_bytes: 1000,
        after: Position(0),
    };
    let synced = Arc::new(Mutex::new(Position(0)));
    let told = Arc::clone(&synced);
    let on_progress = Box::new(move |progress: crate::journal::Progress| {
        *told.lock() = progress.synced;
    });
    let journal = Journal::start(backends, Streams::each(|_| 1), options, on_progress);
    let journal = journal.expect("a thread");
    let mut segments = Streams { jobs: 1, topics: 1 };
    for number in 0..20 + random.below(200) {
        let mut writer = journal.writer();
        for _ in 0..random.below(12) {
            let stream = STREAMS[random.below(2) as usize];
            let record = record(stream, number);
            let position = writer.push(&record);
            all[stream].sent.push(Sent {
                position,
                segment: segments[stream],
                record,
            });
        }
        drop(writer);
        for stream in STREAMS {
            if journal.load().segment_is_full[stream] {
                segments[stream] = journal.roll(stream);
            }
        }
        match random.below(20) {
            0 => journal.sync_soon(journal.position()),
            // It may tell of the lost power.
            1 => drop(journal.sync_now()),
            2 => {
                let stream = STREAMS[random.below(2) as usize];
                let below = segments[stream].saturating_sub(random.below(3) as Segment);
                all[stream].retiring = all[stream].retiring.max(below);
                journal.retire(stream, below);
            }
            _ => {}
        }
    }
    // With the power out it cannot end well.
    let _ = journal.stop();
    let synced = *synced.lock();
    synced.max(journal.progress().synced)
}

fn history(seed: u64, full_one_in: Option<u64>) {
    let mut random = Random::new(seed);
    let disk = Simulated::new(seed);
    disk.lose_power_after(1 + random.below(400));
    disk.fill_up(full_one_in);
    let mut all = Streams::<Expected>::default();
    let synced = live(&mut random, &disk, &mut all);
    let disk = disk.after_power_loss(seed);
    disk.lose_power_after(u64::MAX);
    disk.fill_up(None);
    let mut found = Streams::<Vec<(Segment, Record)>>::default();
    Store::of(open(&disk).expect("nothing is damaged"), Path::new("/"))
        .load(
            TornTail::Cut,
            |at, record| found[record.stream()].push((at.segment, record)),
            |_| {},
        )
        .expect("nothing is damaged");
    for stream in STREAMS {
        let (Expected { sent, retiring }, found) = (&all[stream], &found[stream]);
        let must: Vec<_> = sent.iter().filter(|sent| sent.position <= synced).collect();
        let kept = must.iter().filter(|sent| sent.segment >= *retiring);
        assert!(found.len() >= kept.count(), "what was synced is there");
        // What is missing at the front was given up.
        let last = found.last().map(|(segment, _)| *segment);
        let gone = (0..=sent.len()).find(|&gone| {
            let left = sent[gone..]
                .iter()
                .map(|sent| (sent.segment, sent.record.clone()));
            left.take(found.len()).eq(found.iter().cloned())
                && sent[..gone].iter().all(|sent| sent.segment < *retiring)
        });
        let gone =
            gone.unwrap_or_else(|| panic!("{stream:?}: not a part of what was sent, to {last:?}"));
        assert!(
            gone + found.len() >= must.len() || found.is_empty(),
            "{stream:?}"
        );
    }
}

/// Names the history that went wrong.
fn in_history(seed: u64, full_one_in: Option<u64>) {
    let ran = std::panic::catch_unwind(|| history(seed, full_one_in));
    assert!(ran.is_ok(), "history {seed}, full: {full_one_in:?}");
}

#[test]
fn what_was_synced_of_either_stream_survives_a_loss_of_power() {
    for seed in 1..=60 {
        in_history(seed, None);
    }
}

#[test]
fn it_does_so_on_a_full_disk() {
    // Each lack of space is waited for.
    for seed in 1..=20 {
        in_history(seed, Some(9));
    }
}
