//! What the simulator found in the room `moving`: jobs that fail, while messages are late and nodes stop.

use std::time::Duration;

use super::bench::{Bench, job_with_retry};
use super::shoal::Shoal;
use crate::command::{AddJob, Command, Nack};
use crate::event::Event;
use crate::extras::{Extras, Tag};
use crate::id::{JobId, QueueName};
use crate::job::{Body, JobState};
use crate::log::Reload;
use crate::message::{Copy, Holders, Message};

/// A job with a copy on each of three nodes.
fn copies(retry: u32) -> AddJob<'static> {
    AddJob {
        replicate: Some(3),
        ..job_with_retry("q", retry)
    }
}

fn nack_for(id: JobId, delay: u32) -> Command<'static> {
    Command::Nack(Nack {
        ids: vec![id],
        delay: Some(delay),
        ..Nack::default()
    })
}

#[test]
fn a_wait_is_not_given_up_for_a_queueing_from_before_the_nack() {
    for is_kept_by_its_node in [true, false] {
        let mut shoal = Shoal::new(3);
        let id = shoal.add(0, copies(1));
        assert_eq!(shoal.get(0, "q", 1).len(), 1);
        assert_eq!(shoal.count(0, nack_for(id, 30)), 1);
        shoal.advance_ms(20);
        let late = Message::Queued {
            id,
            nacks: 0,
            additional_deliveries: 0,
            extras: Extras::NONE,
        };
        for (seat, other) in [(0, 1), (1, 2), (2, 1)] {
            let event = Event::Message(Shoal::id(other), late.clone());
            shoal.feed(seat, event);
        }
        if !is_kept_by_its_node {
            shoal.kill(0);
        }
        for _ in 0..29 {
            shoal.advance(1);
            let states = shoal.states(id);
            assert!(!states.contains(&Some(JobState::Queued)), "{states:?}");
        }
        shoal.advance(4);
        assert!(shoal.states(id).contains(&Some(JobState::Queued)));
    }
}

#[test]
fn enqueue_at_another_holder_ends_a_wait() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies(1));
    assert_eq!(shoal.get(0, "q", 1).len(), 1);
    assert_eq!(shoal.count(0, nack_for(id, 30)), 1);
    shoal.advance_ms(20);
    assert_eq!(shoal.count(1, Command::Enqueue(vec![id])), 1);
    shoal.advance_ms(500);
    let states = shoal.states(id);
    let [active, queued] = [JobState::Active, JobState::Queued].map(Some);
    assert_eq!(states, [active, queued, active]);
}

/// A job that waits for 30 seconds.
fn waiting() -> (Bench, JobId) {
    let mut bench = Bench::new();
    let id = bench.add(job_with_retry("q", 2));
    assert_eq!(bench.take("q", 1), [id]);
    assert_eq!(bench.count(nack_for(id, 30)), 1);
    (bench, id)
}

fn waits_on_after_a_crash(bench: &mut Bench) {
    bench.crash(Duration::ZERO);
    bench.start(Duration::ZERO, Reload::Active);
    bench.advance(29);
    assert_eq!(bench.len("q"), 0);
    bench.advance(1);
    assert_eq!(bench.len("q"), 1);
}

#[test]
fn a_wait_holds_through_a_clean_stop_and_a_crash() {
    let (mut bench, _) = waiting();
    bench.restart(Duration::ZERO);
    waits_on_after_a_crash(&mut bench);
}

#[test]
fn a_paused_queue_leaves_a_job_waiting_that_is_asked_for() {
    let (mut bench, id) = waiting();
    bench.pause("q", true, false);
    assert_eq!(bench.enqueue(id), 0);
    bench.pause("q", false, false);
    waits_on_after_a_crash(&mut bench);
}

#[test]
fn a_wait_that_was_ended_before_the_delay_was_over_is_forgotten_by_a_crash() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(
        0,
        AddJob {
            delay: Some(600),
            ..copies(2)
        },
    );
    assert_eq!(shoal.count(0, Command::Enqueue(vec![id])), 1);
    assert_eq!(shoal.get(0, "q", 1).len(), 1);
    assert_eq!(shoal.count(0, nack_for(id, 300)), 1);
    assert_eq!(shoal.count(0, Command::Enqueue(vec![id])), 1);
    shoal.kill(0);
    shoal.start(0);
    shoal.advance(10);
    assert!(shoal.states(id).contains(&Some(JobState::Queued)));
}

#[test]
fn an_ack_outlives_its_job_through_a_crash() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(
        0,
        AddJob {
            ttl: Some(10),
            extras: Extras::new([(Tag::DEAD_QUEUE, &b"grave"[..])]),
            ..copies(2)
        },
    );
    shoal.cut(0, 2);
    shoal.cut(1, 2);
    assert_eq!(shoal.get(0, "q", 1).len(), 1);
    assert_eq!(shoal.ack(0, id), 1);
    shoal.advance(15);
    shoal.kill(0);
    shoal.kill(1);
    assert_eq!(shoal.states(id)[2], Some(JobState::Queued), "in the grave");
    shoal.start(0);
    shoal.start(1);
    shoal.mend();
    shoal.advance(5);
    assert_eq!(shoal.states(id), [None, None, None]);
}

#[test]
fn who_keeps_a_job_queued_against_another_tells_it_when_the_link_is_up() {
    let mut shoal = Shoal::new(2);
    let (mine, other) = (Shoal::id(0), Shoal::id(1));
    let add = || AddJob {
        replicate: Some(2),
        ..job_with_retry("q", 2)
    };
    let id = std::iter::repeat_with(|| shoal.add(0, add()))
        .find(|id| id.rank(&mine) > id.rank(&other))
        .expect("half of all jobs do");
    shoal.cut(0, 1);
    let message = Message::Queued {
        id,
        nacks: 0,
        additional_deliveries: 1,
        extras: Extras::NONE,
    };
    shoal.feed(0, Event::Message(other, message));
    let node = shoal.node(0);
    let key = node.jobs.find(&id).expect("it is queued here");
    assert!(node.jobs[key].is_announced(), "it is told at the next link");
}

#[test]
fn a_job_that_is_out_shows_the_queue_that_another_holder_says_it_is_in() {
    let mut shoal = Shoal::new(3);
    let grave = (Tag::DEAD_QUEUE, &b"grave"[..]);
    let add = AddJob {
        extras: Extras::new([grave]),
        ..copies(5)
    };
    let id = shoal.add(0, add);
    assert_eq!(shoal.get(0, "q", 1).len(), 1);
    shoal.cut(0, 1);
    let nack = Nack {
        ids: vec![id],
        is_dead: true,
        ..Nack::default()
    };
    assert_eq!(shoal.count(1, Command::Nack(nack)), 1);
    // Its retry is almost over. The holder that it asks does not have the turn, and tells where the job is.
    shoal.advance_ms(4600);
    assert_eq!(shoal.queue_of(0, id), Some(&b"grave"[..]));
    assert_eq!(shoal.states(id)[0], Some(JobState::Active));
    shoal.mend();
    shoal.advance(10);
    assert_eq!(shoal.queued(id).len(), 1);
}

#[test]
fn a_job_that_was_sent_before_the_nack_does_not_end_its_wait() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies(1));
    assert_eq!(shoal.get(0, "q", 1).len(), 1);
    assert_eq!(shoal.count(0, nack_for(id, 30)), 1);
    shoal.advance_ms(20);
    let late = Copy {
        id,
        queue: QueueName::new(b"q"),
        body: Body::new(b"body"),
        created: 0,
        age_ms: 0,
        ttl: 86_400,
        delay: 0,
        retry: 1,
        replicate: 3,
        nacks: 0,
        additional_deliveries: 0,
        moves: 1,
        holders: Holders::default(),
        extras: Extras::NONE,
    };
    let event = Event::Message(Shoal::id(1), Message::YourJobs(vec![late]));
    shoal.feed(2, event);
    let active = Some(JobState::Active);
    for _ in 0..29 {
        assert_eq!(shoal.states(id), [active; 3]);
        shoal.advance(1);
    }
    shoal.advance(4);
    assert!(shoal.states(id).contains(&Some(JobState::Queued)));
}
