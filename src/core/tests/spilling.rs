//! Bodies that leave memory, and come back.

use super::bench::{Bench, SETTINGS, job, job_with_retry, secs};
use crate::command::{AddJob, Wait};
use crate::event::Event;
use crate::id::JobId;
use crate::job::JobState;
use crate::node::{MemoryLevel, MemoryPolicy, Settings};
use crate::record::Record;

const SPILLING: Settings = Settings {
    max_memory: 4_000_000,
    memory: MemoryPolicy::Spill,
    ..SETTINGS
};
const LENGTH: usize = 4096;

fn body(number: usize) -> Vec<u8> {
    number.to_le_bytes().repeat(LENGTH / 8)
}

/// A node with `count` jobs of 4 KiB in one queue.
fn filled(settings: Settings, count: usize) -> (Bench, Vec<JobId>) {
    let mut bench = Bench::with(settings);
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(bench.add(AddJob {
            body: &body(number),
            ..job("q")
        }));
        bench.advance_ms(1);
    }
    (bench, ids)
}

fn bodies(bench: &mut Bench) -> Vec<(JobId, Vec<u8>)> {
    let taken = bench.get(&["q"], 10_000);
    let taken = taken.into_iter();
    taken
        .map(|job| (job.id, job.body.as_bytes().to_vec()))
        .collect()
}

fn numbered(ids: &[JobId]) -> Vec<(JobId, Vec<u8>)> {
    (0..)
        .map(body)
        .zip(ids)
        .map(|(body, &id)| (id, body))
        .collect()
}

#[test]
fn more_jobs_than_memory_holds_are_taken_and_come_back_in_order() {
    let (mut bench, ids) = filled(SPILLING, 5000);
    assert!(bench.node().used_by_load() < 3_100_000);
    assert_eq!(bench.node().memory_level(), MemoryLevel::Normal);
    assert!(bench.node().spilled_jobs() > 4000);
    assert_eq!(bodies(&mut bench), numbered(&ids));
}

#[test]
fn a_body_in_the_log_is_counted_until_its_job_is_gone() {
    let (mut bench, ids) = filled(SPILLING, 2000);
    let spilled = bench.node().spilled_jobs();
    assert_eq!(bench.node().spilled_bytes(), spilled * LENGTH);
    for id in ids {
        bench.ack(id);
    }
    assert_eq!(
        (bench.node().spilled_jobs(), bench.node().spilled_bytes()),
        (0, 0)
    );
}

#[test]
fn what_is_delivered_next_stays_in_memory() {
    let settings = Settings {
        max_memory: 12_000_000,
        ..SPILLING
    };
    let (bench, ids) = filled(settings, 4000);
    let in_memory = |id: &JobId| {
        let key = bench.node().jobs.find(id).expect("it is held");
        bench.node().jobs[key].body.is_here()
    };
    assert!(ids[..900].iter().all(in_memory));
    assert!(!ids[3900..].iter().any(in_memory));
}

#[test]
fn with_the_policy_refuse_nothing_leaves_memory() {
    let settings = Settings {
        memory: MemoryPolicy::Refuse,
        ..SPILLING
    };
    let (bench, _) = filled(settings, 500);
    assert_eq!(bench.node().spilled_jobs(), 0);
    let full = Settings {
        max_memory: 3_000_000,
        ..settings
    };
    let mut bench = bench;
    bench.feed(Event::Configured(full));
    assert!(bench.try_add(job("q")).is_err());
}

#[test]
fn a_restart_finds_what_is_in_the_log_with_as_little_memory() {
    let (mut bench, ids) = filled(SPILLING, 3000);
    bench.restart(secs(1));
    assert!(bench.node().used_by_load() < 3_100_000);
    assert!(bench.node().spilled_jobs() > 2000);
    assert_eq!(bodies(&mut bench), numbered(&ids));
    bench.crash(secs(1));
    bench.advance(600);
    assert_eq!(bodies(&mut bench), numbered(&ids));
}

#[test]
fn a_rewrite_moves_bodies_that_are_in_the_log_alone() {
    let (mut bench, ids) = filled(SPILLING, 2000);
    bench.roll();
    bench.feed(Event::Rewrite);
    bench.advance(20);
    assert_eq!(bench.segments(), [2]);
    assert!(bench.node().used_by_load() < 3_100_000);
    assert_eq!(bodies(&mut bench), numbered(&ids));
}

#[test]
fn a_job_whose_body_is_damaged_is_set_aside_and_the_others_are_delivered() {
    let (mut bench, ids) = filled(SPILLING, 2000);
    bench.disk.damaged.insert(ids[1950]);
    let taken = bodies(&mut bench);
    assert_eq!(taken.len(), 1999);
    assert!(taken.iter().all(|(id, _)| *id != ids[1950]));
    assert_eq!(bench.node().counters().unreadable, 1);
    let view = bench.show(ids[1950]).expect("it is not forgotten");
    assert_eq!((view.state, view.body), (JobState::Active, None));
    bench.advance(1000);
    assert_eq!(bench.state(ids[1950]), JobState::Active);
    assert_eq!(bench.ack(ids[1950]), 1);
}

#[test]
fn a_client_goes_on_waiting_when_all_that_it_would_get_is_damaged() {
    let (mut bench, ids) = filled(SPILLING, 2000);
    bench.take("q", 1500);
    bench.disk.damaged.extend(&ids[1500..]);
    let waiting = bench.wait(7, &["q"], Wait::Forever);
    assert_eq!(bench.answer(waiting), None);
    let fresh = bench.add(job_with_retry("q", 10));
    assert_eq!(bench.got(waiting), Some(vec![fresh]));
}

#[test]
fn an_at_most_once_job_whose_body_is_damaged_does_not_hold_up_a_stop() {
    let (mut bench, _) = filled(SPILLING, 2000);
    let id = bench.add(AddJob {
        body: &body(7),
        ..job_with_retry("last", 0)
    });
    bench.add_many("q", 1);
    bench.advance_ms(5000);
    let key = bench.node().jobs.find(&id).expect("it is held");
    assert!(
        !bench.node().jobs[key].body.is_here(),
        "its body left memory"
    );
    bench.disk.damaged.insert(id);
    assert_eq!(bench.get(&["last"], 1).len(), 0);
    bench.feed(Event::HandOver);
    bench.advance_ms(100);
    assert_eq!(bench.node().handing_over(), 0);
    assert_eq!(bench.state(id), JobState::Active);
}

#[test]
fn a_job_that_cannot_be_read_at_the_moment_lets_the_others_pass_and_is_delivered_later() {
    for retry in [0, 600] {
        let (mut bench, mut ids) = filled(SPILLING, 2000);
        let id = bench.add(AddJob {
            body: &body(2000),
            retry: Some(retry),
            ..job("q")
        });
        ids.push(id);
        // It leaves memory, too.
        bench.advance_ms(1);
        for number in 2001..2100 {
            bench.add(AddJob {
                body: &body(number),
                ..job("q")
            });
            bench.advance_ms(1);
        }
        bench.disk.failing.insert(id);
        let taken = bodies(&mut bench);
        assert_eq!(taken.len(), 2099);
        assert!(taken.iter().all(|(taken, _)| *taken != id));
        let waiting = bench.wait(7, &["q"], Wait::Forever);
        bench.advance(10);
        assert_eq!(bench.answer(waiting), None);
        assert_eq!(bench.node().counters().unreadable, 0);
        bench.disk.failing.clear();
        bench.advance(1);
        let got = bench.got(waiting);
        assert_eq!(got, Some(vec![id]), "with retry {retry}");
        let additional = bench.counters(id);
        assert_eq!(additional, (0, 0), "it is handed out for the first time");
    }
}

#[test]
fn a_rewrite_leaves_alone_what_cannot_be_read_at_the_moment() {
    let (mut bench, ids) = filled(SPILLING, 2000);
    bench.disk.failing.insert(ids[1950]);
    for _ in 0..2 {
        bench.roll();
        bench.feed(Event::Rewrite);
        bench.advance(20);
        assert_eq!(bench.segments()[0], 1, "its record is kept");
    }
    bench.disk.failing.clear();
    bench.roll();
    bench.feed(Event::Rewrite);
    bench.advance(20);
    assert_eq!(bench.segments(), [4]);
    assert_eq!(bodies(&mut bench), numbered(&ids));
}

#[test]
fn what_lies_behind_a_record_that_cannot_be_read_is_recorded_anew_once() {
    let (mut bench, ids) = filled(SPILLING, 2000);
    bench.disk.failing.insert(ids[1950]);
    bench.roll();
    let compact = Event::Compact {
        bytes: u64::MAX,
        below: bench.segment(),
        room: u64::MAX,
    };
    let recorded = |bench: &Bench| {
        let added = bench.log();
        added
            .filter(|(_, record)| matches!(record, Record::Added(_)))
            .count()
    };
    bench.feed(compact.clone());
    bench.advance(20);
    assert_eq!(recorded(&bench), 2000 + 1999);
    for _ in 0..3 {
        bench.roll();
        bench.feed(compact.clone());
        bench.advance(20);
    }
    assert_eq!(recorded(&bench), 2000 + 1999);
}
