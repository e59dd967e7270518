//! PRIORITY and PROMOTE: who goes first.

use std::time::Duration;

use super::bench::{Bench, job, job_with_retry};
use super::shoal::Shoal;
use crate::command::{AddJob, Command, Question, Reply};
use crate::extras::{Extras, Tag};
use crate::id::{JobId, QueueName};
use crate::policy::{Policy, QueueConfig};

fn urgent(queue: &str, priority: u8) -> AddJob<'_> {
    AddJob {
        extras: Extras::new([(Tag::PRIORITY, &[priority][..])]),
        ..job_with_retry(queue, 60)
    }
}

fn promote(bench: &mut Bench, id: JobId, priority: u8) -> u64 {
    bench.count(Command::Promote(Some(id), priority))
}

#[test]
fn the_highest_priority_goes_first_and_within_it_the_oldest() {
    let mut bench = Bench::new();
    let ids: Vec<JobId> = [0, 7, 255, 7, 0, 1]
        .into_iter()
        .map(|priority| bench.add(urgent("q", priority)))
        .collect();
    let order = [2, 1, 3, 5, 0, 4].map(|at: usize| ids[at]);
    let peek = Command::QueuePeek {
        queue: b"q",
        count: 9,
        is_meta: false,
    };
    match bench.run(peek) {
        Reply::Peeked(jobs, _) => {
            assert!(jobs.iter().map(|job| job.id).eq(order), "{jobs:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.take("q", 9), order);
    bench.advance(60);
    assert_eq!(bench.take("q", 9), order, "as they come back, too");
}

#[test]
fn the_order_survives_a_crash_and_a_clean_stop() {
    for clean in [false, true] {
        let mut bench = Bench::new();
        let low = bench.add(job_with_retry("q", 60));
        let high = bench.add(urgent("q", 9));
        let raised = bench.add(job_with_retry("q", 60));
        assert_eq!(promote(&mut bench, raised, 200), 1);
        if clean {
            bench.restart(Duration::ZERO);
        } else {
            bench.crash(Duration::ZERO);
            bench.advance(61);
        }
        assert_eq!(bench.take("q", 9), [raised, high, low]);
    }
}

#[test]
fn promote_keeps_the_place_among_its_equals_and_can_lower() {
    let mut bench = Bench::new();
    let first = bench.add(job("q"));
    let second = bench.add(urgent("q", 255));
    let third = bench.add(urgent("q", 255));
    assert_eq!(promote(&mut bench, first, 255), 1);
    assert_eq!(promote(&mut bench, third, 0), 1);
    assert_eq!(bench.take("q", 9), [first, second, third]);
    assert_eq!(promote(&mut bench, JobId::from_bytes([9; 24]), 3), 0);
    assert_eq!(bench.count(Command::Promote(None, 3)), 0);
}

#[test]
fn a_policy_gives_the_priority_that_a_job_does_not_name() {
    let mut bench = Bench::new();
    let set = QueueConfig::Change {
        pattern: b"q",
        changes: vec![(Policy::Priority, Some(b"5".to_vec()))],
    };
    bench.run(Command::QueueConfig(set));
    let low = bench.add(urgent("q", 0));
    let middle = bench.add(job("q"));
    let high = bench.add(urgent("q", 6));
    assert_eq!(bench.take("q", 9), [high, middle, low]);
}

#[test]
fn a_redriven_dead_letter_keeps_its_priority() {
    let mut bench = Bench::new();
    let plain = bench.add(job("q"));
    let id = bench.add(urgent("q", 9));
    let nack = crate::command::Nack {
        ids: vec![id],
        is_dead: true,
        ..crate::command::Nack::default()
    };
    assert_eq!(bench.count(Command::Nack(nack)), 1);
    let redrive = crate::command::Redrive {
        queue: QueueName::new(b"q.dead"),
        to: None,
        count: None,
        ids: Vec::new(),
    };
    bench.send(7, Command::Global(Question::Redrive(redrive)));
    bench.advance_ms(50);
    assert_eq!(bench.take("q", 9), [id, plain]);
}

#[test]
fn any_node_promotes_and_the_highest_are_sent_first() {
    let mut shoal = Shoal::new(3);
    let ids: Vec<JobId> = (0..3)
        .map(|_| {
            let add = AddJob {
                replicate: Some(1),
                ..job_with_retry("q", 60)
            };
            shoal.add(0, add)
        })
        .collect();
    assert_eq!(shoal.count(2, Command::Promote(Some(ids[2]), 9)), 1);
    let wait = shoal.wait(1, 5, "q");
    shoal.advance_ms(100);
    assert_eq!(shoal.got(1, wait), Some(ids[2]));
}

#[test]
fn a_holder_without_the_turn_tells_the_one_that_has_it() {
    let mut shoal = Shoal::new(3);
    let low = shoal.add(
        0,
        AddJob {
            replicate: Some(3),
            ..job_with_retry("q", 60)
        },
    );
    let high = shoal.add(
        0,
        AddJob {
            replicate: Some(3),
            ..urgent("q", 3)
        },
    );
    assert_eq!(shoal.count(1, Command::Promote(Some(low), 200)), 1);
    shoal.advance_ms(50);
    let got: Vec<JobId> = shoal.get(0, "q", 9).iter().map(|job| job.id).collect();
    assert_eq!(got, [low, high]);
}
