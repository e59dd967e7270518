//! Retry, NACK, ENQUEUE, DEQUEUE.

use super::bench::{Bench, job, job_with_retry};
use crate::command::{AddJob, Command, Wait};
use crate::job::JobState;

#[test]
fn an_unacked_job_comes_back_after_its_retry() {
    let mut bench = Bench::new();
    let id = bench.add(job_with_retry("q", 30));
    for again in 0..3 {
        let delivery = bench.take_one("q");
        assert_eq!((delivery.id, delivery.additional_deliveries), (id, again));
        bench.advance_ms(29_999);
        assert_eq!(bench.len("q"), 0);
        bench.advance_ms(1);
    }
    assert_eq!(bench.node().counters().redelivered_timeout, 3);
}

#[test]
fn a_queued_job_waits_for_ever_without_being_counted() {
    let mut bench = Bench::new();
    let id = bench.add(job_with_retry("q", 1));
    bench.advance(100);
    assert_eq!(
        (bench.state(id), bench.counters(id)),
        (JobState::Queued, (0, 0))
    );
}

#[test]
fn a_requeued_job_goes_to_whoever_waits() {
    let mut bench = Bench::new();
    let id = bench.add(job_with_retry("q", 5));
    bench.take("q", 1);
    let wait = bench.wait(3, &["q"], Wait::Forever);
    bench.advance(5);
    assert_eq!(bench.got(wait), Some(vec![id]));
}

#[test]
fn nack_puts_the_job_back_at_once_in_its_old_place() {
    let mut bench = Bench::new();
    let ids = bench.add_many("q", 4);
    assert_eq!(bench.take("q", 2), ids[..2]);
    assert_eq!(bench.count(Command::nack(vec![ids[1], ids[0]])), 2);
    assert_eq!(bench.take("q", 4), ids);
    assert_eq!(
        (bench.counters(ids[0]), bench.counters(ids[2])),
        ((1, 0), (0, 0))
    );
}

#[test]
fn nack_and_enqueue_count_only_active_jobs() {
    let mut bench = Bench::new();
    let id = bench.add(job("q"));
    assert_eq!((bench.nack(id), bench.enqueue(id)), (0, 0));
    assert_eq!(bench.counters(id), (0, 0));
    bench.take("q", 1);
    assert_eq!(bench.count(Command::nack(vec![id, id])), 1);
}

#[test]
fn each_queueing_after_the_first_is_an_additional_delivery_unless_nacked() {
    let mut bench = Bench::new();
    let id = bench.add(job_with_retry("q", 10));
    bench.take("q", 1);
    assert_eq!((bench.enqueue(id), bench.counters(id)), (1, (0, 1)));
    bench.take("q", 1);
    assert_eq!((bench.nack(id), bench.counters(id)), (1, (1, 1)));
    bench.take("q", 1);
    bench.advance(10);
    assert_eq!(bench.counters(id), (1, 2));
    let counters = bench.node().counters();
    assert_eq!(
        (
            counters.redelivered_asked,
            counters.redelivered_nack,
            counters.redelivered_timeout
        ),
        (1, 1, 1)
    );
}

#[test]
fn enqueue_ends_a_delay_and_counts_as_the_first_queueing() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        delay: Some(1000),
        ..job("q")
    });
    assert_eq!((bench.enqueue(id), bench.counters(id)), (1, (0, 0)));
    assert_eq!(bench.take("q", 1), [id]);
    bench.ack(id);
    bench.advance(1000);
    assert_eq!(bench.len("q"), 0);
}

#[test]
fn dequeue_makes_a_queued_job_active_and_its_retry_brings_it_back() {
    let mut bench = Bench::new();
    let id = bench.add(job_with_retry("q", 10));
    bench.advance(25);
    assert_eq!(bench.count(Command::Dequeue(vec![id, id])), 1);
    assert_eq!((bench.state(id), bench.len("q")), (JobState::Active, 0));
    bench.advance(10);
    assert_eq!(
        (bench.state(id), bench.counters(id)),
        (JobState::Queued, (0, 1))
    );
}

#[test]
fn an_at_most_once_job_is_queued_once_and_never_again() {
    let mut bench = Bench::new();
    let id = bench.add(job_with_retry("q", 0));
    assert_eq!((bench.enqueue(id), bench.nack(id)), (0, 0));
    assert_eq!(bench.take("q", 2), [id]);
    assert_eq!((bench.enqueue(id), bench.nack(id)), (0, 0));
    bench.advance(80_000);
    assert_eq!(bench.take("q", 2), []);
    assert_eq!(bench.counters(id), (0, 0));
    assert_eq!(bench.ack(id), 1);
}

#[test]
fn an_at_most_once_job_that_was_dequeued_is_not_queued_again() {
    let mut bench = Bench::new();
    let id = bench.add(job_with_retry("q", 0));
    assert_eq!(bench.dequeue(id), 1);
    assert_eq!((bench.enqueue(id), bench.take("q", 1)), (0, vec![]));
}

#[test]
fn a_delayed_at_most_once_job_may_be_enqueued_once() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        delay: Some(50),
        ..job_with_retry("q", 0)
    });
    assert_eq!(bench.enqueue(id), 1);
    assert_eq!(bench.take("q", 1), [id]);
    bench.advance(100);
    assert_eq!(bench.take("q", 1), []);
}
