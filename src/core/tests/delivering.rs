//! GETJOB and WORKING.

use super::bench::{Bench, get_job, job, job_with_retry, secs};
use crate::command::{AddJob, Command, GetJob, Refusal, Reply, Told, Wait};
use crate::event::Event;
use crate::id::{ClientId, JobId};
use crate::job::JobState;

#[test]
fn a_queue_is_first_in_first_out() {
    let mut bench = Bench::new();
    let ids = bench.add_many("q", 5);
    assert_eq!(bench.take("q", 2), ids[..2]);
    assert_eq!(bench.take("q", 10), ids[2..]);
    assert_eq!(bench.take("q", 10), []);
}

#[test]
fn several_queues_are_served_round_after_round() {
    let mut bench = Bench::new();
    let (c1, c2) = (bench.add_many("c1", 3), bench.add_many("c2", 2));
    let taken: Vec<JobId> = bench
        .get(&["c1", "c2"], 10)
        .iter()
        .map(|job| job.id)
        .collect();
    assert_eq!(taken, [c1[0], c2[0], c1[1], c2[1], c1[2]]);
}

#[test]
fn a_queue_named_twice_is_served_twice_a_round() {
    let mut bench = Bench::new();
    let (a, b) = (bench.add_many("a", 4), bench.add_many("b", 4));
    let taken: Vec<JobId> = bench
        .get(&["a", "b", "a"], 7)
        .iter()
        .map(|job| job.id)
        .collect();
    assert_eq!(taken, [a[0], b[0], a[1], a[2], b[1], a[3], b[2]]);
}

#[test]
fn count_bounds_what_is_taken() {
    let mut bench = Bench::new();
    let ids = bench.add_many("q", 3);
    assert_eq!(bench.take("q", 2), ids[..2]);
    assert_eq!(bench.take("q", u64::MAX), ids[2..]);
}

#[test]
fn nohang_finds_nothing_and_makes_no_queue() {
    let mut bench = Bench::new();
    let reply = bench.run(Command::GetJob(get_job(&["q"], 1, Wait::No)));
    assert_eq!(reply, Reply::NothingToDeliver);
    assert_eq!(bench.stat("q"), None);
}

#[test]
fn a_delivery_carries_the_job_and_its_counters() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        body: b"\r\n\0",
        ..job("q")
    });
    bench.take("q", 1);
    assert_eq!(bench.nack(id), 1);
    let get = GetJob {
        told: Told {
            counters: true,
            ..Told::default()
        },
        ..get_job(&["q"], 1, Wait::No)
    };
    let told = get.told;
    let Reply::Delivered(taken, also) = bench.run(Command::GetJob(get)) else {
        panic!("a delivery with counters");
    };
    assert_eq!(
        (
            taken[0].queue.as_bytes(),
            taken[0].id,
            taken[0].body.as_bytes()
        ),
        (&b"q"[..], id, &b"\r\n\0"[..])
    );
    assert_eq!(also, told);
    assert_eq!((taken[0].nacks, taken[0].additional_deliveries), (1, 0));
}

#[test]
fn a_waiting_client_gets_exactly_one_job() {
    let mut bench = Bench::new();
    let wait = bench.send(5, Command::GetJob(get_job(&["q"], 10, Wait::Forever)));
    assert_eq!(bench.answer(wait), None);
    let ids = bench.add_many("q", 2);
    assert_eq!(bench.got(wait), Some(vec![ids[0]]));
    assert_eq!((bench.state(ids[0]), bench.len("q")), (JobState::Active, 1));
}

#[test]
fn who_waited_longest_is_served_first() {
    let mut bench = Bench::new();
    let waits: Vec<_> = [9, 3, 5]
        .map(|client| bench.wait(client, &["q"], Wait::Forever))
        .into();
    let ids = bench.add_many("q", 3);
    for (wait, id) in waits.into_iter().zip(ids) {
        assert_eq!(bench.got(wait), Some(vec![id]));
    }
}

#[test]
fn who_waits_for_several_queues_gets_one_job_of_whichever_comes_first() {
    let mut bench = Bench::new();
    let first = bench.wait(1, &["a", "b", "a"], Wait::Forever);
    let second = bench.wait(2, &["b"], Wait::Forever);
    let in_b = bench.add(job("b"));
    assert_eq!(bench.got(first), Some(vec![in_b]));
    assert_eq!(bench.answer(second), None);
    let in_a = bench.add(job("a"));
    assert_eq!((bench.len("a"), bench.state(in_a)), (1, JobState::Queued));
}

#[test]
fn waiting_makes_the_queue_exist_and_is_counted_there() {
    let mut bench = Bench::new();
    bench.wait(4, &["q", "r"], Wait::Forever);
    bench.wait(6, &["q"], Wait::Forever);
    let blocked = |bench: &mut Bench, queue| bench.stat(queue).expect("it exists").blocked;
    assert_eq!((blocked(&mut bench, "q"), blocked(&mut bench, "r")), (2, 1));
    assert_eq!(bench.node().waiting_count(), 2);
    bench.add(job("q"));
    assert_eq!((blocked(&mut bench, "q"), blocked(&mut bench, "r")), (1, 0));
}

#[test]
fn a_wait_ends_at_its_timeout() {
    let mut bench = Bench::new();
    let wait = bench.wait(4, &["q"], Wait::AtMost(secs(2)));
    bench.advance_ms(1_999);
    assert_eq!(bench.answer(wait), None);
    bench.advance_ms(1);
    assert_eq!(bench.answer(wait), Some(&Reply::NothingToDeliver));
    let id = bench.add(job("q"));
    assert_eq!(bench.state(id), JobState::Queued);
}

#[test]
fn a_job_that_comes_at_the_moment_of_the_timeout_is_delivered() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        delay: Some(2),
        ..job("q")
    });
    let wait = bench.wait(4, &["q"], Wait::AtMost(secs(2)));
    bench.advance(2);
    assert_eq!(bench.got(wait), Some(vec![id]));
}

#[test]
fn a_client_that_is_gone_gets_nothing() {
    let mut bench = Bench::new();
    let gone = [
        bench.wait(4, &["q", "r"], Wait::Forever),
        bench.wait(4, &["q"], Wait::AtMost(secs(9))),
    ];
    let stays = bench.wait(5, &["q"], Wait::Forever);
    bench.feed(Event::Disconnected(ClientId(4)));
    let id = bench.add(job("q"));
    assert_eq!(bench.got(stays), Some(vec![id]));
    assert!(gone.iter().all(|&wait| bench.answer(wait).is_none()));
    assert_eq!(bench.node().waiting_count(), 0);
}

#[test]
fn a_client_may_wait_twice_in_one_pipeline() {
    let mut bench = Bench::new();
    let waits = [(); 2].map(|()| bench.wait(4, &["q"], Wait::Forever));
    let ids = bench.add_many("q", 2);
    assert_eq!(
        waits.map(|wait| bench.got(wait)),
        [Some(vec![ids[0]]), Some(vec![ids[1]])]
    );
}

#[test]
fn a_leaving_node_delivers_but_lets_nobody_wait() {
    let mut bench = Bench::new();
    let id = bench.add(job("q"));
    let blocked = bench.wait(4, &["r"], Wait::Forever);
    bench.feed(Event::Leaving(true));
    let refused = Reply::Refused(Refusal::Leaving);
    assert_eq!(bench.answer(blocked), Some(&refused));
    let takes = bench.wait(5, &["q"], Wait::Forever);
    assert_eq!(bench.got(takes), Some(vec![id]));
    let waits = bench.wait(5, &["q"], Wait::AtMost(secs(1)));
    assert_eq!(bench.answer(waits), Some(&refused));
    assert_eq!(
        bench.get(&["q"], 1),
        [],
        "NOHANG is told that there is nothing"
    );
    assert_eq!(bench.ack(id), 1);
}

#[test]
fn working_postpones_the_requeue_by_a_retry() {
    let mut bench = Bench::new();
    let id = bench.add(job_with_retry("q", 10));
    bench.take("q", 1);
    bench.advance(9);
    assert_eq!(bench.count(Command::working(Some(id))), 10);
    bench.advance_ms(9_999);
    assert_eq!(bench.state(id), JobState::Active);
    bench.advance_ms(1);
    assert_eq!(
        (bench.state(id), bench.counters(id)),
        (JobState::Queued, (0, 1))
    );
}

#[test]
fn working_takes_a_queued_job_out_of_its_queue() {
    let mut bench = Bench::new();
    let id = bench.add(job_with_retry("q", 10));
    assert_eq!(bench.count(Command::working(Some(id))), 10);
    assert_eq!((bench.state(id), bench.len("q")), (JobState::Active, 0));
    bench.advance(10);
    assert_eq!(bench.state(id), JobState::Queued);
}

#[test]
fn working_does_not_cut_a_delay_short() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        delay: Some(100),
        ..job_with_retry("q", 10)
    });
    assert_eq!(bench.count(Command::working(Some(id))), 10);
    bench.advance(99);
    assert_eq!(bench.state(id), JobState::Active);
    bench.advance(1);
    assert_eq!(bench.state(id), JobState::Queued);
}

#[test]
fn working_is_refused_after_half_of_the_ttl() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        ttl: Some(100),
        ..job_with_retry("q", 10)
    });
    bench.advance(50);
    assert_eq!(bench.count(Command::working(Some(id))), 10);
    bench.advance_ms(1);
    assert_eq!(
        bench.run(Command::working(Some(id))),
        Reply::Refused(Refusal::TooLateToPostpone)
    );
}

#[test]
fn working_answers_0_for_an_at_most_once_job_and_does_not_lose_it() {
    let mut bench = Bench::new();
    let id = bench.add(job_with_retry("q", 0));
    assert_eq!(bench.count(Command::working(Some(id))), 0);
    assert_eq!(bench.take("q", 1), [id]);
    assert_eq!(bench.count(Command::working(Some(id))), 0);
    assert_eq!(bench.state(id), JobState::Active);
}

#[test]
fn working_for_an_unknown_job_is_refused() {
    let mut bench = Bench::new();
    let id = bench.add(job("q"));
    bench.ack(id);
    let refused = Reply::Refused(Refusal::UnknownJob);
    assert_eq!(bench.run(Command::working(Some(id))), refused);
    assert_eq!(bench.run(Command::working(None)), refused);
}

#[test]
fn flushing_ends_all_waits_with_nothing() {
    let mut bench = Bench::new();
    bench.add_many("q", 3);
    let waits = [4, 5].map(|client| bench.wait(client, &["r"], Wait::Forever));
    bench.pause("p", true, true);
    bench.feed(Event::Flush);
    for wait in waits {
        assert_eq!(bench.answer(wait), Some(&Reply::NothingToDeliver));
    }
    assert_eq!(
        (bench.node().job_count(), bench.node().queue_count()),
        (0, 0)
    );
    assert_eq!(bench.node().used_by_load(), 0);
    let id = bench.add(job("q"));
    bench.crash(secs(1));
    assert_eq!(bench.node().job_count(), 1);
    assert!(bench.show(id).is_some());
}

#[test]
fn what_a_client_that_is_gone_has_not_seen_goes_back_as_if_it_had_not_been_handed_out() {
    let mut bench = Bench::new();
    let [with_retry, once] = [60, 0].map(|retry| {
        let ticket = bench.wait(7, &["q"], Wait::Forever);
        let id = bench.add(job_with_retry("q", retry));
        assert_eq!(bench.got(ticket), Some(vec![id]));
        id
    });
    bench.feed(Event::Disconnected(ClientId(7)));
    bench.feed(Event::Undelivered(vec![once, with_retry]));
    assert_eq!(bench.counters(with_retry), (0, 0));
    assert_eq!(bench.take("q", 9), [with_retry, once]);
    bench.feed(Event::Undelivered(vec![with_retry]));
    bench.ack(with_retry);
    bench.feed(Event::Undelivered(vec![with_retry]));
    assert_eq!(bench.take("q", 9), []);
}

#[test]
fn an_unseen_delivery_goes_to_the_next_who_waits() {
    let mut bench = Bench::new();
    bench.wait(1, &["q"], Wait::Forever);
    let second = bench.wait(2, &["q"], Wait::Forever);
    let id = bench.add(job("q"));
    assert_eq!(bench.got(second), None);
    bench.feed(Event::Disconnected(ClientId(1)));
    bench.feed(Event::Undelivered(vec![id]));
    assert_eq!(bench.got(second), Some(vec![id]));
}
