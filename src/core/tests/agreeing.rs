//! Which of a job's holders has it queued.

use super::bench::job;
use super::shoal::Shoal;
use crate::command::{AddJob, Command, Pause, PauseState, Reply};
use crate::event::Event;
use crate::extras::Extras;
use crate::id::{JobId, NodeId};
use crate::job::JobState;
use crate::message::{Copy, Message};
use crate::telling::Counters;

fn copies(queue: &str, replicate: u16, retry: u32) -> AddJob<'_> {
    AddJob {
        replicate: Some(replicate),
        retry: Some(retry),
        ..job(queue)
    }
}

/// Of all nodes that run.
fn sum(shoal: &Shoal, count: fn(Counters) -> u64) -> u64 {
    let nodes = shoal.running().into_iter();
    nodes.map(|seat| count(shoal.node(seat).counters())).sum()
}

fn redelivered(counters: Counters) -> u64 {
    counters.redelivered_timeout
        + counters.redelivered_nack
        + counters.redelivered_asked
        + counters.redelivered_restart
        + counters.redelivered_heal
        + counters.redelivered_drain
}

/// Lets time pass while watching that the job is queued at this node and at no other.
fn stays_at(shoal: &mut Shoal, id: JobId, seat: usize, ms: u64, step: u64) {
    for _ in 0..ms / step {
        shoal.advance_ms(step);
        assert_eq!(shoal.queued(id), [seat]);
    }
}

#[test]
fn an_unconsumed_job_is_queued_at_one_node_for_an_hour() {
    for nodes in 3..=5 {
        for retry in [1, 3, 60] {
            let mut shoal = Shoal::new(nodes);
            let id = shoal.add(0, copies("q", nodes as u16, retry));
            stays_at(&mut shoal, id, 0, 3_600_000, 9_973);
            assert_eq!(sum(&shoal, redelivered), 0);
            let queueings = |(_, _, message): &(usize, usize, Message)| {
                matches!(message, Message::WillQueue { .. })
            };
            let asked = shoal.sent.iter().filter(|sent| queueings(sent)).count() as u64;
            let most = 3600 / u64::from(retry) * (nodes as u64 - 1).pow(2);
            assert!(asked <= most, "{asked} questions in an hour, not {most}");
            let delivery = shoal.get(0, "q", 9);
            assert_eq!((delivery.len(), delivery[0].additional_deliveries), (1, 0));
        }
    }
}

#[test]
fn a_job_that_is_out_is_queued_by_no_copy_before_its_retry_is_over() {
    // A copy's own retry ends anywhere within that of the delivery.
    for wait in (0..3_000).step_by(50) {
        let mut shoal = Shoal::new(3);
        let id = shoal.add(0, copies("q", 3, 1));
        shoal.advance_ms(wait);
        assert_eq!(shoal.get(0, "q", 9).len(), 1);
        for _ in 0..99 {
            shoal.advance_ms(10);
            assert_eq!(shoal.queued(id), [] as [usize; 0], "after {wait} ms");
        }
        shoal.advance_ms(10);
        assert_eq!(shoal.queued(id), [0], "after {wait} ms");
        assert_eq!(sum(&shoal, redelivered), 1);
        stays_at(&mut shoal, id, 0, 5_000, 50);
        assert_eq!(sum(&shoal, redelivered), 1);
    }
}

#[test]
fn a_job_with_a_delay_is_queued_by_its_adder_alone() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(
        1,
        AddJob {
            delay: Some(5),
            ..copies("q", 3, 1)
        },
    );
    shoal.advance_ms(4_900);
    assert_eq!(shoal.queued(id), [] as [usize; 0]);
    shoal.advance_ms(100);
    stays_at(&mut shoal, id, 1, 30_000, 100);
    assert_eq!(sum(&shoal, redelivered), 0);
    assert_eq!(shoal.get(1, "q", 1)[0].additional_deliveries, 0);
}

#[test]
fn jobs_of_a_node_that_died_are_queued_at_exactly_one_other() {
    let mut shoal = Shoal::new(5);
    let ids: Vec<JobId> = (0..50).map(|_| shoal.add(0, copies("q", 5, 3))).collect();
    shoal.kill(0);
    for _ in 0..60 {
        shoal.advance_ms(100);
        for &id in &ids {
            assert!(shoal.queued(id).len() <= 1);
        }
    }
    for &id in &ids {
        assert_eq!(shoal.queued(id).len(), 1);
    }
    assert_eq!(
        sum(&shoal, |counters| counters.redelivered_timeout),
        ids.len() as u64,
        "it may have been out at the node that died"
    );
    shoal.start(0);
    for _ in 0..100 {
        shoal.advance_ms(100);
        for &id in &ids {
            assert_eq!(shoal.queued(id).len(), 1);
        }
    }
    let taken: usize = (0..5).map(|seat| shoal.get(seat, "q", 99).len()).sum();
    assert_eq!(taken, ids.len());
    assert_eq!(sum(&shoal, redelivered), ids.len() as u64);
}

#[test]
fn of_two_halves_that_both_queue_a_job_one_takes_it_out_when_they_meet() {
    let mut kept_by = [0; 3];
    for _ in 0..12 {
        let mut shoal = Shoal::new(3);
        // Different ids rank differently; the generators are the same every time.
        for _ in 0..kept_by.iter().sum::<usize>() {
            shoal.add(0, copies("other", 1, 300));
        }
        let id = shoal.add(0, copies("q", 3, 2));
        for other in [1, 2] {
            shoal.cut(0, other);
        }
        shoal.advance(10);
        assert_eq!(shoal.queued(id).len(), 2, "one in each half");
        shoal.mend();
        shoal.advance_ms(100);
        let left = shoal.queued(id);
        assert_eq!(left.len(), 1);
        let seat = left[0];
        stays_at(&mut shoal, id, seat, 20_000, 100);
        let counters: Vec<_> = (0..3)
            .map(|seat| shoal.show(seat, id).map(|view| view.additional_deliveries))
            .collect();
        assert_eq!(counters, [Some(1); 3]);
        kept_by[seat] += 1;
    }
    assert!(kept_by[0] > 0 && kept_by[0] < 12, "no node always wins");
}

#[test]
fn a_nack_counts_at_every_holder_and_queues_the_job_where_it_was_said() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies("q", 3, 5));
    for (nacks, seat) in [(1, 1), (2, 2), (3, 0), (4, 2)] {
        let at = shoal.queued(id)[0];
        assert_eq!(shoal.get(at, "q", 9).len(), 1);
        assert_eq!(shoal.count(seat, Command::nack(vec![id])), 1);
        shoal.advance_ms(5);
        let counted: Vec<_> = (0..3)
            .map(|seat| shoal.show(seat, id).map(|view| view.nacks))
            .collect();
        assert_eq!(counted, [Some(nacks); 3]);
        stays_at(&mut shoal, id, seat, 20_000, 500);
    }
    assert_eq!(sum(&shoal, |counters| counters.redelivered_nack), 4);
    assert_eq!(sum(&shoal, redelivered), 4);
}

#[test]
fn enqueue_at_two_holders_at_once_leaves_it_at_one() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies("q", 3, 5));
    shoal.get(0, "q", 1);
    for seat in 0..3 {
        let ticket = shoal.send(seat, 1, Command::Enqueue(vec![id]));
        assert_eq!(shoal.answer(seat, ticket), Some(&Reply::Count(1)));
    }
    shoal.advance_ms(10);
    let left = shoal.queued(id);
    assert_eq!(left.len(), 1);
    stays_at(&mut shoal, id, left[0], 20_000, 100);
}

#[test]
fn working_at_any_holder_keeps_the_job_out_everywhere() {
    for worker in 0..3 {
        let mut shoal = Shoal::new(3);
        let id = shoal.add(0, copies("q", 3, 2));
        assert_eq!(shoal.get(0, "q", 1).len(), 1);
        for _ in 0..30 {
            shoal.advance_ms(1_300);
            assert_eq!(shoal.count(worker, Command::working(Some(id))), 2);
            assert_eq!(shoal.queued(id), [] as [usize; 0]);
        }
        shoal.advance_ms(1_950);
        assert_eq!(shoal.queued(id), [] as [usize; 0]);
        shoal.advance_ms(100);
        stays_at(&mut shoal, id, worker, 10_000, 100);
        assert_eq!(sum(&shoal, redelivered), 1);
    }
}

#[test]
fn working_takes_a_job_out_of_the_queue_of_another_node() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies("q", 3, 2));
    assert_eq!(shoal.count(1, Command::working(Some(id))), 2);
    shoal.advance_ms(5);
    assert_eq!(shoal.queued(id), [] as [usize; 0]);
    shoal.advance_ms(1_950);
    assert_eq!(shoal.queued(id), [] as [usize; 0]);
    // A copy's own retry ends up to a second later.
    shoal.advance_ms(1_100);
    stays_at(&mut shoal, id, 1, 10_000, 100);
}

#[test]
fn a_dequeued_job_is_out_until_its_retry_brings_it_back() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies("q", 3, 5));
    shoal.advance_ms(3_500);
    assert_eq!(shoal.count(0, Command::Dequeue(vec![id])), 1);
    shoal.advance_ms(1_400);
    assert_eq!(shoal.queued(id), [] as [usize; 0]);
    shoal.advance_ms(200);
    stays_at(&mut shoal, id, 0, 20_000, 100);
}

#[test]
fn a_copy_is_not_queued_while_its_producer_waits() {
    let mut shoal = Shoal::new(3);
    shoal.hang(2);
    let ticket = shoal.send(0, 1, Command::AddJob(copies("q", 3, 1)));
    shoal.advance(10);
    assert_eq!(shoal.answer(0, ticket), None);
    assert_eq!(shoal.count(1, Command::QueueLength(b"q")), 0);
    shoal.wake(2);
    shoal.advance_ms(100);
    let Some(&Reply::Added(id)) = shoal.answer(0, ticket) else {
        panic!("it is added");
    };
    stays_at(&mut shoal, id, 0, 20_000, 100);
}

#[test]
fn a_holder_that_comes_back_asks_before_it_queues() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies("q", 3, 1));
    for round in 0..4 {
        let seat = 1 + round % 2;
        shoal.kill(seat);
        shoal.advance_ms(1_700);
        shoal.start(seat);
        stays_at(&mut shoal, id, 0, 20_000, 50);
    }
    assert_eq!(sum(&shoal, redelivered), 0);
}

#[test]
fn pause_bcast_reaches_every_node() {
    let mut shoal = Shoal::new(3);
    let state = PauseState {
        input: true,
        output: true,
    };
    let pause = |state| {
        Command::Pause(Pause {
            queue: b"q",
            set: Some(state),
            broadcast: true,
        })
    };
    let ask = Command::Pause(Pause {
        queue: b"q",
        set: None,
        broadcast: false,
    });
    assert_eq!(shoal.run(1, pause(state)), Reply::PauseState(state));
    shoal.advance_ms(5);
    for seat in 0..3 {
        assert_eq!(shoal.run(seat, ask.clone()), Reply::PauseState(state));
    }
    shoal.run(
        2,
        pause(PauseState {
            input: false,
            ..state
        }),
    );
    shoal.advance_ms(5);
    let id = shoal.add(0, copies("q", 1, 5));
    let consumer = shoal.wait(0, 7, "q");
    shoal.advance_ms(100);
    assert_eq!(shoal.got(0, consumer), None);
    shoal.run(1, pause(PauseState::default()));
    shoal.advance_ms(5);
    assert_eq!(shoal.got(0, consumer), Some(id));
}

#[test]
fn a_queued_that_the_job_has_overtaken_takes_it_out_of_no_queue() {
    let mut shoal = Shoal::new(3);
    // Queued here by a node that got it from another one, which said so only now, and whose word counts more.
    let id = loop {
        let id = shoal.add(1, copies("q", 3, 60));
        if id.rank(&Shoal::id(2)) > id.rank(&Shoal::id(0)) {
            break id;
        }
    };
    shoal.advance_ms(10);
    let copy = moved_copy(id);
    shoal.feed(
        0,
        Event::Message(Shoal::id(1), Message::YourJobs(vec![copy])),
    );
    let queued_there = || {
        Event::Message(
            Shoal::id(2),
            Message::Queued {
                id,
                nacks: 0,
                additional_deliveries: 0,
                extras: Extras::NONE,
            },
        )
    };
    shoal.sent.clear();
    shoal.feed(0, queued_there());
    assert_eq!(shoal.states(id)[0], Some(JobState::Queued));
    let asked = (0, 2, Message::will_queue(id));
    assert!(shoal.sent.contains(&asked), "{:?}", shoal.sent);
    shoal.feed(0, queued_there());
    assert_eq!(
        shoal.states(id)[0],
        Some(JobState::Active),
        "said twice, it is so"
    );
}

/// A job that went from node to node once.
fn moved_copy(id: JobId) -> Copy {
    let mut holders: Vec<NodeId> = (0..3).map(Shoal::id).collect();
    holders.sort_unstable();
    Copy {
        id,
        age_ms: 10,
        retry: 60,
        moves: 1,
        holders: holders.into(),
        ..Copy::sample()
    }
}

#[test]
fn a_retry_that_outlasts_the_job_does_not_keep_a_copy_from_being_delivered() {
    let add = AddJob {
        ttl: Some(100),
        ..copies("q", 3, 100)
    };
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, add.clone());
    stays_at(&mut shoal, id, 0, 90_000, 1_000);
    assert_eq!(sum(&shoal, redelivered), 0, "its node is there");

    let id = shoal.add(0, add);
    shoal.kill(0);
    shoal.advance(60);
    let at = shoal.queued(id);
    assert_eq!(at.len(), 1);
    assert_eq!(shoal.get(at[0], "q", 9)[0].id, id);
}

#[test]
fn a_delayed_job_that_was_given_away_before_a_crash_is_delivered_once() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(
        0,
        AddJob {
            delay: Some(60),
            ..copies("q", 3, 600)
        },
    );
    shoal.feed(0, Event::Leaving(true));
    shoal.advance(10);
    shoal.kill(0);
    shoal.start(0);
    assert_eq!(shoal.node(0).total_tally().added, 0);
    for _ in 0..700 {
        shoal.advance_ms(100);
        assert!(shoal.queued(id).len() <= 1);
    }
    let at = shoal.queued(id);
    assert_eq!(at.len(), 1, "it is due");
    let taken = shoal.get(at[0], "q", 9);
    assert_eq!((taken.len(), taken[0].additional_deliveries), (1, 0));
    assert_eq!(sum(&shoal, redelivered), 0);
}

#[test]
fn a_delayed_job_whose_node_crashed_is_queued_there_when_it_is_due() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(
        0,
        AddJob {
            delay: Some(60),
            ..copies("q", 3, 600)
        },
    );
    shoal.kill(0);
    shoal.start(0);
    shoal.advance(62);
    assert_eq!(shoal.queued(id), [0]);
    assert_eq!(shoal.get(0, "q", 9)[0].additional_deliveries, 0);
}

#[test]
fn after_a_start_holders_whose_links_come_up_late_are_asked_too() {
    let mut shoal = Shoal::new(3);
    shoal.advance(20);
    let id = shoal.add(0, copies("q", 3, 5));
    // It is queued at the last node, and handed out there just before the first one comes back.
    shoal.cut(0, 1);
    shoal.kill(0);
    shoal.kill(1);
    shoal.advance_ms(7_500);
    assert_eq!(shoal.queued(id), [2]);
    assert_eq!(shoal.get(2, "q", 9).len(), 1);
    shoal.start(1);
    shoal.cut(0, 2);
    shoal.start(0);
    shoal.advance_ms(1_000);
    shoal.mend();
    shoal.advance_ms(3_500);
    assert_eq!(
        shoal.queued(id),
        [] as [usize; 0],
        "it is out at the last one"
    );
}
