//! What becomes of jobs that fail: MAXDELIVER, DEAD, BACKOFF, NACK with its options, dead letters, REDRIVE.

mod holders;

use std::time::Duration;

use super::bench::{Bench, job, job_with_retry};
use super::shoal::Shoal;
use crate::command::{AddJob, Command, Delivery, Nack, Question, Redrive, Refusal, Reply};
use crate::event::Event;
use crate::extras::{Extras, Tag};
use crate::id::{JobId, QueueName};
use crate::job::JobState;
use crate::log::Reload;
use crate::message::Message;
use crate::policy::{Backoff, Policy, QueueConfig};
use crate::register::{DeadLetter, DeathReason, Register};

/// A job with this MAXDELIVER.
fn limited(queue: &str, retry: u32, most: u16) -> AddJob<'_> {
    AddJob {
        extras: Extras::new([(Tag::MAX_DELIVER, &most.to_le_bytes()[..])]),
        ..job_with_retry(queue, retry)
    }
}

fn dead_of(delivery: &Delivery) -> DeadLetter {
    let register = Register::of(&delivery.extras).expect("it was moved");
    register.dead.expect("it is a dead letter")
}

fn peek(bench: &mut Bench, queue: &str) -> Vec<Delivery> {
    let peek = Command::QueuePeek {
        queue: queue.as_bytes(),
        count: 99,
        is_meta: true,
    };
    match bench.run(peek) {
        Reply::Peeked(jobs, true) => jobs,
        other => panic!("{other:?}"),
    }
}

fn redrive(queue: &str) -> Redrive {
    Redrive {
        queue: QueueName::new(queue.as_bytes()),
        to: None,
        count: None,
        ids: Vec::new(),
    }
}

fn set<'a>(pattern: &'a str, policy: Policy, value: &str) -> Command<'a> {
    Command::QueueConfig(QueueConfig::Change {
        pattern: pattern.as_bytes(),
        changes: vec![(policy, Some(value.as_bytes().to_vec()))],
    })
}

fn redriven(bench: &mut Bench, redrive: Redrive) -> u64 {
    let ticket = bench.send(9, Command::Global(Question::Redrive(redrive)));
    bench.advance_ms(100);
    match bench.answer(ticket) {
        Some(Reply::Count(count)) => *count,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_job_is_buried_when_the_retry_of_its_last_hand_out_is_over() {
    let mut bench = Bench::new();
    let id = bench.add(limited("q", 10, 3));
    for _ in 0..3 {
        assert_eq!(bench.take("q", 9), [id]);
        bench.advance(10);
    }
    assert_eq!(bench.len("q"), 0);
    let dead = peek(&mut bench, "q.dead");
    assert_eq!(dead.len(), 1);
    let letter = dead_of(&dead[0]);
    assert_eq!(
        (&letter.from[..], letter.reason),
        (&b"q"[..], DeathReason::Deliveries)
    );
    assert_eq!((letter.deliveries, letter.ttl), (3, 86_400));
    let view = bench.show(id).expect("it is there");
    assert_eq!((view.ttl, view.state), (7 * 86_400, JobState::Queued));
}

#[test]
fn nack_counts_as_the_end_of_a_hand_out_and_its_reason_is_kept() {
    let mut bench = Bench::new();
    let id = bench.add(limited("q", 10, 2));
    let nack = |text: &'static str| {
        Command::Nack(Nack {
            ids: vec![id],
            reason: Some(text.as_bytes()),
            ..Nack::default()
        })
    };
    assert_eq!(bench.take("q", 9), [id]);
    assert_eq!(bench.count(nack("first")), 1);
    assert_eq!(bench.take("q", 9), [id]);
    assert_eq!(bench.count(nack("second")), 1);
    let dead = peek(&mut bench, "q.dead");
    assert_eq!(dead_of(&dead[0]).text, b"second");
    assert_eq!(bench.counters(id), (2, 0));
}

#[test]
fn enqueue_still_queues_a_job_that_had_all_its_hand_outs() {
    let mut bench = Bench::new();
    let id = bench.add(limited("q", 10, 1));
    assert_eq!(bench.take("q", 9), [id]);
    assert_eq!(bench.enqueue(id), 1);
    assert_eq!(bench.take("q", 9), [id]);
}

#[test]
fn a_dead_letter_is_a_job_like_any_other_until_it_is_sent_back() {
    let mut bench = Bench::new();
    let id = bench.add(limited("q", 10, 1));
    assert_eq!(bench.take("q", 9), [id]);
    assert_eq!(bench.nack(id), 1);
    for again in 0..3 {
        let got = bench.take_one("q.dead");
        assert_eq!((got.id, got.nacks), (id, 1 + again));
        assert_eq!(bench.nack(id), 1, "it has no MAXDELIVER any more");
    }
    assert_eq!(redriven(&mut bench, redrive("q.dead")), 1);
    let got = bench.take_one("q");
    assert_eq!((got.id, got.nacks, got.additional_deliveries), (id, 0, 0));
    assert!(bench.show(id).is_some_and(|view| view.ttl == 86_400));
    assert_eq!(bench.nack(id), 1);
    assert_eq!(bench.len("q.dead"), 1, "and may fail again");
}

#[test]
fn nack_dead_buries_and_a_dead_letter_is_put_back_with_the_new_text() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        extras: Extras::new([(Tag::DEAD_QUEUE, &b"grave"[..])]),
        ..job("q")
    });
    let nack = |text: &'static str| {
        Command::Nack(Nack {
            ids: vec![id],
            reason: Some(text.as_bytes()),
            is_dead: true,
            ..Nack::default()
        })
    };
    assert_eq!(bench.count(nack("bad")), 1, "one that waits, too");
    let first = dead_of(&peek(&mut bench, "grave")[0]);
    assert_eq!(
        (&first.text[..], first.reason),
        (&b"bad"[..], DeathReason::Nack)
    );
    assert_eq!(bench.take("grave", 1), [id]);
    assert_eq!(bench.count(nack("worse")), 1);
    let second = dead_of(&peek(&mut bench, "grave")[0]);
    assert_eq!(
        (&second.text[..], &second.from[..]),
        (&b"worse"[..], &b"q"[..])
    );
}

#[test]
fn the_end_of_the_ttl_buries_a_guarded_job_but_not_while_a_worker_has_it() {
    let mut bench = Bench::new();
    let waiting = bench.add(AddJob {
        ttl: Some(60),
        ..limited("q", 20, 9)
    });
    let plain = bench.add(AddJob {
        ttl: Some(60),
        ..job("other")
    });
    let out = bench.add(AddJob {
        ttl: Some(60),
        ..limited("out", 20, 9)
    });
    bench.advance(50);
    assert_eq!(bench.take("out", 1), [out]);
    bench.advance(10);
    assert_eq!(bench.len("q.dead"), 1);
    assert_eq!(
        dead_of(&peek(&mut bench, "q.dead")[0]).reason,
        DeathReason::Expired
    );
    assert_eq!(bench.state(waiting), JobState::Queued);
    assert!(bench.show(plain).is_none());
    assert_eq!(bench.state(out), JobState::Active);
    bench.advance(10);
    assert_eq!(bench.len("out.dead"), 1);
    bench.advance(7 * 86_400);
    assert!(
        bench.show(waiting).is_none(),
        "a dead letter ends as a job does"
    );
}

#[test]
fn a_backoff_doubles_and_holds_through_a_crash() {
    let backoff = Backoff::new(10, 60).expect("it is in bounds").encode();
    for crash in [false, true] {
        let mut bench = Bench::new();
        let id = bench.add(AddJob {
            extras: Extras::new([(Tag::BACKOFF, &backoff[..])]),
            ..job_with_retry("q", 5)
        });
        for wait in [10, 20, 40, 60, 60] {
            assert_eq!(bench.take("q", 1), [id]);
            assert_eq!(bench.nack(id), 1);
            if crash {
                bench.crash(Duration::ZERO);
                bench.start(Duration::ZERO, Reload::Active);
            }
            bench.advance_ms(wait * 800 - 1);
            assert_eq!(bench.len("q"), 0, "{wait} s are not over");
            bench.advance_ms(wait * 400 + 2);
            assert_eq!(bench.len("q"), 1, "{wait} s are over");
        }
        assert_eq!(bench.counters(id), (5, 0));
    }
}

#[test]
fn no_wait_is_longer_than_half_of_the_life_that_is_left() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        ttl: Some(100),
        ..job_with_retry("q", 5)
    });
    bench.take("q", 1);
    let nack = Nack {
        ids: vec![id],
        delay: Some(1000),
        ..Nack::default()
    };
    assert_eq!(bench.count(Command::Nack(nack)), 1);
    bench.advance(49);
    assert_eq!(bench.len("q"), 0);
    bench.advance(1);
    assert_eq!(bench.len("q"), 1);
}

#[test]
fn nack_to_moves_a_job_to_the_end_of_another_queue() {
    let mut bench = Bench::new();
    let id = bench.add(job("q"));
    bench.advance(1);
    let other = bench.add(job("slow"));
    bench.take("q", 1);
    let nack = Nack {
        ids: vec![id],
        to: Some(b"slow"),
        ..Nack::default()
    };
    assert_eq!(bench.count(Command::Nack(nack)), 1);
    assert_eq!(bench.take("slow", 9), [other, id]);
    bench.advance(10_000);
    assert_eq!(
        (bench.len("slow"), bench.len("q")),
        (2, 0),
        "it stays there"
    );
}

#[test]
fn policies_guard_jobs_that_are_there_already() {
    let mut bench = Bench::new();
    let id = bench.add(job_with_retry("mail.a", 10));
    bench.run(set("mail*", Policy::MaxDeliver, "2"));
    bench.run(set("mail*", Policy::DeadQueue, "trouble"));
    bench.run(set("mail.a", Policy::DeadTtl, "50"));
    for _ in 0..2 {
        assert_eq!(bench.take("mail.a", 1), [id]);
        bench.advance(10);
    }
    assert_eq!(bench.len("trouble"), 1);
    bench.advance(50);
    assert_eq!(bench.len("trouble"), 0, "dead-ttl is over");
}

#[test]
fn these_options_need_a_retry() {
    let mut bench = Bench::new();
    let add = AddJob {
        retry: Some(0),
        replicate: Some(1),
        ..limited("q", 0, 3)
    };
    assert_eq!(bench.try_add(add), Err(Refusal::NeedsRetry));
}

#[test]
fn all_of_it_survives_crashes_clean_stops_and_rewrites() {
    let mut bench = Bench::new();
    let id = bench.add(limited("q", 10, 3));
    let spent = bench.add(limited("spent", 10, 1));
    bench.take("spent", 1);
    bench.nack(spent);
    for round in 0..2 {
        assert_eq!(bench.take("q", 1), [id]);
        if round == 0 {
            bench.restart(Duration::ZERO);
        } else {
            bench.roll();
            bench.crash(Duration::ZERO);
        }
        bench.advance(10);
        assert_eq!(bench.len("spent.dead"), 1);
        assert_eq!(dead_of(&peek(&mut bench, "spent.dead")[0]).deliveries, 1);
    }
    assert_eq!(bench.take("q", 1), [id]);
    bench.advance(10);
    assert_eq!(bench.len("q.dead"), 1, "three hand-outs are known");
}

#[test]
fn a_job_that_kills_its_node_is_buried() {
    let mut bench = Bench::new();
    let id = bench.add(limited("q", 10, 4));
    let mut kills = 0;
    while bench.len("q.dead") == 0 {
        assert_eq!(bench.take("q", 1), [id]);
        bench.crash(Duration::ZERO);
        kills += 1;
        bench.advance(10);
    }
    assert_eq!(kills, 5, "the first hand-out was not recorded");
}

#[test]
fn redrive_takes_the_oldest_these_ids_and_other_targets() {
    let mut bench = Bench::new();
    let ids: Vec<JobId> = (0..4)
        .map(|_| {
            let id = bench.add(limited("q", 10, 1));
            bench.take("q", 1);
            bench.nack(id);
            id
        })
        .collect();
    let plain = bench.add(job("q.dead"));
    let two = Redrive {
        count: Some(2),
        ..redrive("q.dead")
    };
    assert_eq!(redriven(&mut bench, two), 2);
    assert_eq!(bench.take("q", 9), ids[..2]);
    let third = Redrive {
        ids: vec![ids[3]],
        ..redrive("q.dead")
    };
    assert_eq!(redriven(&mut bench, third), 1);
    assert_eq!(bench.take("q", 9), ids[3..]);
    bench.pause("q", true, false);
    assert_eq!(
        redriven(&mut bench, redrive("q.dead")),
        0,
        "its queue takes nothing"
    );
    let all = Redrive {
        to: Some(QueueName::new(b"elsewhere")),
        ..redrive("q.dead")
    };
    assert_eq!(redriven(&mut bench, all), 2);
    assert_eq!(bench.take("elsewhere", 9), [ids[2], plain]);
}

fn limited_copies(retry: u32, most: u16) -> AddJob<'static> {
    AddJob {
        replicate: Some(3),
        ..limited("q", retry, most)
    }
}

/// A job is buried at the first node, while the third, which has a copy, is cut off.
fn buried_behind_a_cut(shoal: &mut Shoal) -> JobId {
    let id = shoal.add(0, limited_copies(5, 1));
    assert_eq!(shoal.get(0, "q", 1).len(), 1);
    shoal.cut(0, 2);
    shoal.cut(1, 2);
    assert_eq!(shoal.count(0, Command::nack(vec![id])), 1);
    id
}

#[test]
fn a_flush_answers_those_who_wait_for_a_redrive() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        let id = bench.add(limited("q", 10, 1));
        bench.take("q", 1);
        bench.nack(id);
    }
    let redrive = Command::Global(Question::Redrive(redrive("q.dead")));
    let ticket = bench.send(9, redrive);
    bench.feed(crate::event::Event::Flush);
    assert_eq!(bench.answer(ticket), Some(&Reply::Count(0)));
    let id = bench.add(limited("q", 10, 1));
    bench.take("q", 1);
    bench.nack(id);
    assert_eq!(redriven(&mut bench, self::redrive("q.dead")), 1);
}
