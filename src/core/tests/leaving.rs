//! CLUSTER LEAVING, and handing over before a stop.

use super::bench::{job, job_with_retry};
use super::shoal::Shoal;
use crate::command::{AddJob, Command, Refusal, Reply};
use crate::event::Event;
use crate::id::JobId;
use crate::job::JobState;
use crate::message::Message;

fn copies(queue: &str, replicate: u16, retry: u32) -> AddJob<'_> {
    AddJob {
        replicate: Some(replicate),
        retry: Some(retry),
        ..job(queue)
    }
}

fn add_many(shoal: &mut Shoal, seat: usize, count: usize, add: &AddJob<'_>) -> Vec<JobId> {
    (0..count).map(|_| shoal.add(seat, add.clone())).collect()
}

/// Takes all jobs of a queue at all nodes that run.
fn take_all(shoal: &mut Shoal, queue: &str) -> Vec<JobId> {
    let mut ids = Vec::new();
    // Some may be on their way to a node that was found empty.
    for _ in 0..3 {
        for seat in shoal.running() {
            ids.extend(shoal.get(seat, queue, 9_999).iter().map(|it| it.id));
        }
        shoal.advance_ms(2);
    }
    ids.sort_unstable();
    ids
}

/// Takes all jobs of a queue: they are these, each once.
fn has_each_once(shoal: &mut Shoal, queue: &str, ids: &[JobId]) {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    let taken = take_all(shoal, queue);
    assert_eq!(taken.len(), ids.len(), "jobs taken of {queue}");
    assert!(
        taken == ids,
        "the jobs of {queue} are those that were added"
    );
}

/// As SHUTDOWN does it: hands over until nothing is left, for 10 s at most, then stops.
fn shut_down(shoal: &mut Shoal, seat: usize) {
    shoal.feed(seat, Event::HandOver);
    for _ in 0..1000 {
        if shoal.node(seat).handing_over() == 0 {
            break;
        }
        shoal.advance_ms(10);
    }
    shoal.stop(seat);
}

fn drained(shoal: &Shoal) -> u64 {
    let nodes = shoal.running().into_iter();
    nodes
        .map(|seat| shoal.node(seat).counters().redelivered_drain)
        .sum()
}

#[test]
fn a_leaving_node_hands_its_queue_to_the_other_holders_after_the_grace() {
    let mut shoal = Shoal::new(3);
    let ids = add_many(&mut shoal, 0, 600, &copies("q", 2, 60));
    assert_eq!(shoal.node(0).handing_over(), 0);
    shoal.feed(0, Event::Leaving(true));
    shoal.advance_ms(4_900);
    assert_eq!(shoal.count(0, Command::QueueLength(b"q")), 600);
    let first = shoal.get(0, "q", 1);
    assert_eq!(first[0].id, ids[0], "until then a client here gets it");
    assert!(shoal.node(0).handing_over() > 0);
    shoal.advance_ms(110);
    let left = shoal.node(0).handing_over();
    assert!((1..600).contains(&left), "{left} are left");
    shoal.advance_ms(2_000);
    assert_eq!(shoal.node(0).handing_over(), 0);
    assert_eq!(shoal.count(0, Command::QueueLength(b"q")), 0);
    has_each_once(&mut shoal, "q", &ids[1..]);
    assert_eq!(drained(&shoal), 0);
}

#[test]
fn leaving_no_stops_it() {
    let mut shoal = Shoal::new(3);
    add_many(&mut shoal, 0, 20, &copies("q", 2, 60));
    shoal.feed(0, Event::Leaving(true));
    shoal.advance_ms(4_990);
    shoal.feed(0, Event::Leaving(false));
    shoal.advance(10);
    assert_eq!(shoal.count(0, Command::QueueLength(b"q")), 20);
    assert_eq!(shoal.node(0).handing_over(), 0);
    shoal.feed(0, Event::Leaving(true));
    shoal.advance_ms(4_900);
    assert_eq!(shoal.count(0, Command::QueueLength(b"q")), 20);
    shoal.advance(1);
    assert_eq!(shoal.count(0, Command::QueueLength(b"q")), 0);
}

#[test]
fn a_drain_that_is_undone_leaves_nothing_behind() {
    let mut shoal = Shoal::new(3);
    let mut ids = add_many(&mut shoal, 0, 600, &copies("q", 2, 60));
    shoal.feed(0, Event::HandOver);
    shoal.advance_ms(5);
    shoal.feed(0, Event::Leaving(false));
    let node = shoal.node(0);
    assert!(!node.is_leaving() && !node.is_about_to_stop());
    assert_eq!(node.handing_over(), 0);
    shoal.advance_ms(50);
    let left = shoal.count(0, Command::QueueLength(b"q"));
    assert!((1..600).contains(&left), "{left} are left");
    shoal.advance_ms(10_000);
    assert_eq!(shoal.count(0, Command::QueueLength(b"q")), left);
    assert_eq!(shoal.node(0).hand_over.unconfirmed(), 0);
    // It keeps jobs, the others give it copies, and clients may wait.
    let id = shoal.add(0, copies("here", 1, 60));
    assert_eq!(shoal.get(0, "here", 1)[0].id, id);
    let id = shoal.add(1, copies("all", 3, 60));
    assert!(shoal.states(id).iter().all(Option::is_some));
    let wait = shoal.wait(0, 7, "later");
    assert_eq!(shoal.answer(0, wait), None);
    let id = shoal.add(2, copies("later", 1, 60));
    shoal.advance_ms(5);
    assert_eq!(shoal.got(0, wait), Some(id));
    has_each_once(&mut shoal, "q", &ids);
    // And it can be drained again.
    ids = add_many(&mut shoal, 0, 20, &copies("again", 2, 60));
    shoal.feed(0, Event::HandOver);
    shoal.advance_ms(100);
    assert_eq!(shoal.count(0, Command::QueueLength(b"again")), 0);
    has_each_once(&mut shoal, "again", &ids);
}

#[test]
fn moves_that_nobody_answers_are_given_up_when_a_node_stays() {
    let mut shoal = Shoal::new(3);
    let queued = add_many(&mut shoal, 0, 20, &copies("q", 2, 60));
    let out = add_many(&mut shoal, 0, 20, &copies("out", 1, 60));
    shoal.get(0, "out", 20);
    shoal.hang(1);
    shoal.hang(2);
    shoal.feed(0, Event::Leaving(true));
    shoal.advance_ms(5_050);
    assert_eq!(shoal.node(0).hand_over.unconfirmed(), 40);
    shoal.feed(0, Event::Leaving(false));
    shoal.advance_ms(8_000);
    assert_eq!(shoal.node(0).hand_over.unconfirmed(), 0);
    assert_eq!(shoal.count(0, Command::QueueLength(b"q")), 20);
    assert_eq!(shoal.states(out[0])[0], Some(JobState::Active));
    shoal.wake(1);
    shoal.wake(2);
    shoal.advance_ms(3_000);
    has_each_once(&mut shoal, "q", &queued);
}

#[test]
fn jobs_that_only_a_leaving_node_has_get_a_copy_elsewhere() {
    let mut shoal = Shoal::new(3);
    let out = shoal.add(0, copies("out", 1, 30));
    shoal.get(0, "out", 1);
    let delayed = shoal.add(
        0,
        AddJob {
            delay: Some(60),
            ..copies("delayed", 1, 600)
        },
    );
    shoal.feed(0, Event::Leaving(true));
    shoal.advance(10);
    assert_eq!(shoal.node(0).handing_over(), 0);
    shoal.kill(0);
    shoal.advance(51);
    assert_eq!(take_all(&mut shoal, "out"), [out]);
    assert_eq!(
        take_all(&mut shoal, "delayed"),
        [delayed],
        "its delay is over, not its retry"
    );
}

#[test]
fn a_copy_that_is_not_there_is_made_before_a_node_may_leave() {
    let mut shoal = Shoal::new(2);
    let id = shoal.add(0, copies("q", 2, 30));
    shoal.get(0, "q", 1);
    assert_eq!(shoal.count(1, Command::DelJob(vec![id])), 1);
    shoal.feed(0, Event::Leaving(true));
    shoal.advance(8);
    assert_eq!(shoal.node(0).handing_over(), 0);
    assert_eq!(shoal.states(id), [Some(JobState::Active); 2]);
}

#[test]
fn a_holder_that_lacks_its_copy_gets_the_job_whole() {
    let mut shoal = Shoal::new(2);
    let ids = add_many(&mut shoal, 0, 20, &copies("q", 2, 30));
    assert_eq!(shoal.count(1, Command::DelJob(ids.clone())), 20);
    shoal.feed(0, Event::HandOver);
    shoal.advance_ms(100);
    assert_eq!(shoal.node(0).handing_over(), 0);
    assert_eq!(shoal.count(1, Command::QueueLength(b"q")), 20);
    assert_eq!(drained(&shoal), 0);
}

#[test]
fn a_queued_job_without_holders_moves_whole() {
    let mut shoal = Shoal::new(3);
    let ids = add_many(&mut shoal, 0, 20, &copies("q", 1, 30));
    shut_down(&mut shoal, 0);
    for seat in [1, 2] {
        let len = shoal.count(seat, Command::QueueLength(b"q"));
        assert_eq!(len, 10, "both get their share");
    }
    has_each_once(&mut shoal, "q", &ids);
    shoal.start(0);
    shoal.advance_ms(20_000);
    has_each_once(&mut shoal, "q", &[]);
}

#[test]
fn after_a_start_holders_are_asked_at_a_bounded_rate() {
    let mut shoal = Shoal::new(2);
    add_many(&mut shoal, 0, 400, &copies("q", 2, 300));
    shoal.stop(0);
    shoal.start(0);
    shoal.sent.clear();
    let mut asked = 0;
    while asked < 400 {
        shoal.advance_ms(1);
        let before = asked;
        let asks = |(_, _, it): &&(usize, usize, Message)| matches!(it, Message::WillQueue { .. });
        asked = shoal.sent.iter().filter(asks).count();
        assert!(asked - before <= 100, "{} in a millisecond", asked - before);
    }
    shoal.advance_ms(2_000);
    assert_eq!(shoal.count(0, Command::QueueLength(b"q")), 400);
}

#[test]
fn a_node_without_others_has_nobody_to_hand_over_to() {
    let mut shoal = Shoal::new(2);
    let id = shoal.add(0, copies("q", 1, 30));
    shoal.kill(1);
    shoal.advance_ms(5);
    shoal.feed(0, Event::Leaving(true));
    shoal.advance(8);
    assert_eq!(shoal.node(0).handing_over(), 1, "it is not safe to go");
    shoal.feed(0, Event::HandOver);
    assert_eq!(shoal.node(0).handing_over(), 0, "but it may stop");
    shoal.stop(0);
    shoal.start(0);
    assert_eq!(shoal.get(0, "q", 9)[0].id, id);
}

#[test]
fn clients_that_wait_at_a_leaving_node_are_told() {
    let mut shoal = Shoal::new(2);
    let wait = shoal.wait(0, 7, "q");
    shoal.feed(0, Event::Leaving(true));
    let leaving = Some(&Reply::Refused(Refusal::Leaving));
    assert_eq!(shoal.answer(0, wait), leaving);
    let wait = shoal.wait(0, 8, "q");
    assert_eq!(shoal.answer(0, wait), leaving);
}

#[test]
fn a_node_that_stops_hands_over_and_takes_nothing_back() {
    let mut shoal = Shoal::new(3);
    let ids = add_many(&mut shoal, 0, 300, &copies("q", 2, 2));
    shut_down(&mut shoal, 0);
    has_each_once(&mut shoal, "q", &ids);
    assert_eq!(drained(&shoal), 0);
    for id in ids {
        let acks: u64 = [1, 2].map(|seat| shoal.ack(seat, id)).iter().sum();
        assert!(acks > 0);
    }
    shoal.start(0);
    shoal.advance(20);
    has_each_once(&mut shoal, "q", &[]);
}

#[test]
fn what_is_out_when_its_node_stops_is_not_queued_before_its_retry_is_over() {
    for wait in [100, 900, 2_000, 2_900] {
        let mut shoal = Shoal::new(3);
        let ids = add_many(&mut shoal, 0, 20, &copies("q", 3, 3));
        shoal.advance_ms(wait);
        assert_eq!(shoal.get(0, "q", 99).len(), 20);
        shut_down(&mut shoal, 0);
        shoal.advance_ms(2_950);
        has_each_once(&mut shoal, "q", &[]);
        shoal.advance_ms(1_500);
        has_each_once(&mut shoal, "q", &ids);
    }
}

#[test]
fn restarting_each_node_in_turn_loses_nothing_and_delivers_nothing_twice() {
    for down_ms in [0, 700, 5_000, 30_000] {
        let mut shoal = Shoal::new(3);
        let mut ids = Vec::new();
        for seat in 0..3 {
            ids.extend(add_many(&mut shoal, seat, 15, &copies("q", 3, 3)));
        }
        for seat in 0..3 {
            shut_down(&mut shoal, seat);
            shoal.advance_ms(down_ms);
            shoal.start(seat);
            shoal.advance_ms(100);
        }
        shoal.advance(15);
        has_each_once(&mut shoal, "q", &ids);
        assert_eq!(drained(&shoal), 0);
    }
}

#[test]
fn a_whole_cluster_that_stops_and_starts_has_every_job_once() {
    let mut shoal = Shoal::new(3);
    let mut ids = Vec::new();
    for seat in 0..3 {
        ids.extend(add_many(&mut shoal, seat, 40, &copies("q", 3, 3)));
    }
    for seat in 0..3 {
        shut_down(&mut shoal, seat);
    }
    shoal.advance(60);
    for seat in 0..3 {
        shoal.start(seat);
        shoal.advance_ms(900);
    }
    shoal.advance(15);
    has_each_once(&mut shoal, "q", &ids);
}

#[test]
fn what_was_queued_before_a_clean_stop_comes_back_unless_another_node_has_it() {
    let mut shoal = Shoal::new(3);
    let ids = add_many(&mut shoal, 0, 40, &copies("q", 3, 20));
    // No hand-over: its time was over at once.
    shoal.stop(0);
    shoal.start(0);
    shoal.advance_ms(500);
    assert_eq!(
        shoal.count(0, Command::QueueLength(b"q")),
        0,
        "it asks first"
    );
    shoal.advance_ms(2_500);
    has_each_once(&mut shoal, "q", &ids);
    for &id in &ids {
        let view = shoal.show(0, id);
        assert_eq!(view.map(|view| view.additional_deliveries), Some(0));
    }
    shoal.count(0, Command::nack(ids.clone()));
    shoal.stop(0);
    shoal.advance(40);
    let elsewhere: u64 = [1, 2]
        .map(|seat| shoal.count(seat, Command::QueueLength(b"q")))
        .iter()
        .sum();
    assert_eq!(elsewhere, 40);
    shoal.start(0);
    shoal.advance(30);
    has_each_once(&mut shoal, "q", &ids);
}

#[test]
fn a_node_that_starts_alone_queues_its_jobs_after_a_while() {
    let mut shoal = Shoal::new(2);
    let id = shoal.add(0, copies("q", 2, 300));
    shoal.kill(1);
    shoal.stop(0);
    shoal.start(0);
    shoal.advance_ms(9_000);
    assert_eq!(shoal.get(0, "q", 1).len(), 0);
    shoal.advance_ms(4_000);
    assert_eq!(shoal.get(0, "q", 1)[0].id, id);
}

#[test]
fn a_move_that_nobody_confirms_is_taken_back_and_counted() {
    let mut shoal = Shoal::new(2);
    let id = shoal.add(0, copies("q", 2, 60));
    shoal.feed(0, Event::Leaving(true));
    shoal.advance_ms(4_999);
    shoal.hang(1);
    shoal.advance_ms(2_500);
    assert_eq!(drained(&shoal), 1);
    shoal.wake(1);
    shoal.advance(3);
    assert_eq!(
        shoal.states(id),
        [Some(JobState::Active), Some(JobState::Queued)]
    );
    assert_eq!(shoal.node(0).handing_over(), 0);
}

#[test]
fn at_most_once_jobs_move_whole_and_exist_once() {
    let mut shoal = Shoal::new(3);
    let ids = add_many(&mut shoal, 0, 60, &job_with_retry_and_one_copy("q"));
    let delivered = shoal.get(0, "q", 10);
    shoal.feed(0, Event::HandOver);
    for _ in 0..30 {
        shoal.advance_ms(1);
        for &id in &ids {
            assert!(shoal.states(id).into_iter().flatten().count() <= 1);
        }
    }
    shut_down(&mut shoal, 0);
    shoal.advance_ms(10);
    let moved = shoal.sent.iter().map(|(_, _, message)| match message {
        Message::YourJobs(jobs) => jobs.len(),
        _ => 0,
    });
    assert_eq!(moved.sum::<usize>(), 50);
    has_each_once(&mut shoal, "q", &ids[10..]);
    assert_eq!(delivered.len(), 10);
    shoal.start(0);
    shoal.advance(20);
    has_each_once(&mut shoal, "q", &[]);
}

#[test]
fn delayed_at_most_once_jobs_leave_with_what_is_left_of_their_delay() {
    for event in [Event::HandOver, Event::Leaving(true)] {
        let mut shoal = Shoal::new(3);
        let delayed = AddJob {
            delay: Some(60),
            ..job_with_retry_and_one_copy("q")
        };
        let ids = add_many(&mut shoal, 0, 20, &delayed);
        shoal.advance(20);
        shoal.feed(0, event);
        shoal.advance(10);
        assert_eq!(shoal.node(0).handing_over(), 0);
        assert_eq!(shoal.node(0).job_count(), 0);
        shoal.kill(0);
        shoal.advance_ms(29_900);
        has_each_once(&mut shoal, "q", &[]);
        shoal.advance_ms(200);
        has_each_once(&mut shoal, "q", &ids);
    }
}

#[test]
fn an_at_most_once_job_whose_delay_was_ended_is_queued_where_it_goes() {
    let mut shoal = Shoal::new(2);
    let delayed = AddJob {
        delay: Some(60),
        ..job_with_retry_and_one_copy("q")
    };
    let id = shoal.add(0, delayed);
    assert_eq!(shoal.count(0, Command::Enqueue(vec![id])), 1);
    shut_down(&mut shoal, 0);
    has_each_once(&mut shoal, "q", &[id]);
}

fn job_with_retry_and_one_copy(queue: &str) -> AddJob<'_> {
    AddJob {
        replicate: Some(1),
        ..job_with_retry(queue, 0)
    }
}

#[test]
fn a_stop_does_not_wait_for_adds_that_others_keep() {
    let mut shoal = Shoal::new(3);
    shoal.feed(0, Event::HandOver);
    shoal.feed(0, Event::Leaving(true));
    // Both that could answer hang: the job waits here, to be queued there.
    shoal.hang(1);
    shoal.hang(2);
    let asked = shoal.send(0, 7, Command::AddJob(copies("q", 2, 60)));
    shoal.advance_ms(2_500);
    assert_eq!(shoal.answer(0, asked), None);
    assert_eq!(shoal.node(0).handing_over(), 0);
}

/// An at-most-once job is added at the first node, which leaves, so another one is to hold it. Node 1 is slow: if it was
/// asked, so was node 2 after it.
fn add_past_a_slow_node(shoal: &mut Shoal) -> JobId {
    shoal.hang(1);
    let add = AddJob {
        replicate: Some(1),
        ..job_with_retry("q", 0)
    };
    let ticket = shoal.send(0, 1, Command::AddJob(add));
    shoal.advance_ms(200);
    shoal.wake(1);
    shoal.advance_ms(50);
    match shoal.answer(0, ticket) {
        Some(&Reply::Added(id)) => id,
        other => panic!("{other:?}: it is added elsewhere"),
    }
}

#[test]
fn a_copy_of_an_at_most_once_job_that_was_asked_for_in_vain_takes_the_job_in() {
    let mut shoal = Shoal::new(3);
    shoal.feed(0, Event::Leaving(true));
    let mut idle = None;
    for _ in 0..20 {
        let id = add_past_a_slow_node(&mut shoal);
        let states = shoal.states(id);
        if (states[1], states[2]) == (Some(JobState::Active), Some(JobState::Queued)) {
            idle = Some(id);
            break;
        }
        take_all(&mut shoal, "q");
    }
    let id = idle.expect("both were asked at least once");
    // The one that queued it goes: the other takes it in.
    shoal.feed(2, Event::Leaving(true));
    shoal.advance(8);
    assert_eq!(shoal.node(2).handing_over(), 0);
    assert_eq!(shoal.states(id), [None, Some(JobState::Queued), None]);
    assert_eq!(take_all(&mut shoal, "q"), [id]);
}

#[test]
fn an_idle_copy_of_an_at_most_once_job_does_not_keep_its_node_from_leaving() {
    let mut shoal = Shoal::new(3);
    shoal.feed(0, Event::Leaving(true));
    for _ in 0..20 {
        add_past_a_slow_node(&mut shoal);
    }
    let taken = take_all(&mut shoal, "q");
    assert_eq!(taken.len(), 20);
    shoal.feed(1, Event::Leaving(true));
    shoal.advance(8);
    assert_eq!(shoal.node(1).handing_over(), 0);
}
