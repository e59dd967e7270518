//! ADDJOB in a cluster: copies before the reply.

use std::time::Duration;

use super::bench::{SETTINGS, get_job, job, job_with_retry};
use super::shoal::Shoal;
use crate::command::{AddJob, Command, Pause, PauseState, Refusal, Replication, Reply, Wait};
use crate::event::{Event, PeerUp};
use crate::extras::{Extras, Features, Tag};
use crate::id::{ClientId, JobId, StoreId, Ticket};
use crate::job::JobState;
use crate::message::Message;
use crate::node::Settings;

mod elsewhere;

fn copies(queue: &str, replicate: u16) -> AddJob<'_> {
    AddJob {
        replicate: Some(replicate),
        ..job(queue)
    }
}

fn within(queue: &str, replicate: u16, ms: u64) -> AddJob<'_> {
    AddJob {
        timeout: Some(Duration::from_millis(ms)),
        ..copies(queue, replicate)
    }
}

#[test]
fn a_job_is_on_as_many_nodes_as_asked_for_when_its_producer_is_answered() {
    let mut shoal = Shoal::new(5);
    for wanted in 1..=5 {
        let ticket = shoal.send(0, 1, Command::AddJob(copies("q", wanted)));
        while shoal.answer(0, ticket).is_none() {
            shoal.advance_ms(1);
        }
        let Some(&Reply::Added(id)) = shoal.answer(0, ticket) else {
            panic!("it is added");
        };
        let states = shoal.states(id);
        assert_eq!(states[0], Some(JobState::Queued));
        let copies = states.iter().flatten().count();
        assert_eq!(copies, usize::from(wanted));
        assert!(
            states[1..]
                .iter()
                .flatten()
                .all(|&state| state == JobState::Active),
            "only the adding node queues it"
        );
    }
}

#[test]
fn a_job_is_not_handed_out_before_its_copies_are_confirmed() {
    let mut shoal = Shoal::new(2);
    let consumer = shoal.wait(0, 7, "q");
    let ticket = shoal.send(0, 1, Command::AddJob(copies("q", 2)));
    assert_eq!(shoal.answer(0, ticket), None);
    assert_eq!(shoal.got(0, consumer), None);
    shoal.advance_ms(2);
    let Some(&Reply::Added(id)) = shoal.answer(0, ticket) else {
        panic!("it is added");
    };
    assert_eq!(shoal.got(0, consumer), Some(id));
}

#[test]
fn all_holders_know_each_other() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies("q", 3));
    let everybody: Vec<_> = (0..3).map(Shoal::id).collect();
    for seat in 0..3 {
        let view = shoal.show(seat, id).expect("it has a copy");
        assert_eq!(view.holders, everybody);
        assert_eq!(view.replicate, 3);
    }
}

#[test]
fn a_producer_whose_copies_are_not_confirmed_in_time_is_refused_and_no_copy_stays() {
    let mut shoal = Shoal::new(3);
    shoal.hang(2);
    let ticket = shoal.send(0, 1, Command::AddJob(within("q", 3, 200)));
    shoal.advance_ms(199);
    assert_eq!(shoal.answer(0, ticket), None);
    assert_eq!(shoal.jobs(), 2);
    shoal.advance_ms(1);
    let refused = Reply::Refused(Refusal::ReplicationTimeout);
    assert_eq!(shoal.answer(0, ticket), Some(&refused));
    assert_eq!(shoal.node(0).counters().replication_timeouts, 1);
    assert_eq!(shoal.node(0).total_tally().added, 0);
    shoal.wake(2);
    shoal.advance_ms(10);
    assert_eq!(shoal.jobs(), 0);
}

/// What a producer that waited was told: the job, if it was added.
fn added(shoal: &Shoal, seat: usize, ticket: Ticket) -> Option<JobId> {
    match shoal.answer(seat, ticket)? {
        Reply::Added(id) => Some(*id),
        other => panic!("{other:?} is no id"),
    }
}

fn refused(shoal: &Shoal, seat: usize, ticket: Ticket) -> Option<Refusal> {
    match shoal.answer(seat, ticket)? {
        Reply::Refused(refusal) => Some(*refusal),
        other => panic!("{other:?} is no refusal"),
    }
}

/// The seats that were sent copies since last cleared.
fn asked(shoal: &Shoal) -> Vec<usize> {
    let copies = shoal.sent.iter();
    let copies = copies.filter(|(_, _, message)| matches!(message, Message::ReplJob(_)));
    copies.map(|&(_, to, _)| to).collect()
}

fn holding(shoal: &mut Shoal, id: JobId) -> Vec<usize> {
    let states = shoal.states(id);
    let seats = states.iter().enumerate();
    seats
        .filter_map(|(seat, state)| state.map(|_| seat))
        .collect()
}

#[test]
fn a_candidate_that_hangs_is_made_up_for_by_another() {
    let mut shoal = Shoal::new(5);
    for seat in 2..5 {
        shoal.hang(seat);
    }
    let ticket = shoal.send(0, 1, Command::AddJob(copies("q", 2)));
    // At worst three that hang are asked before the one that does not.
    shoal.advance_ms(160);
    let id = added(&shoal, 0, ticket).expect("one node is enough");
    let tried = asked(&shoal);
    let view = shoal.show(0, id).expect("it is here");
    assert_eq!(
        view.holders.len(),
        tried.len() + 1,
        "all that were asked may hold it"
    );
    let view = shoal.show(1, id).expect("it has a copy");
    assert_eq!(
        view.holders.len(),
        tried.len() + 1,
        "every holder knows all of them"
    );
    for seat in 2..5 {
        shoal.wake(seat);
    }
    shoal.advance_ms(10);
    let mut holders = tried;
    holders.push(0);
    holders.sort_unstable();
    assert_eq!(holding(&mut shoal, id), holders);
}

#[test]
fn nobody_else_is_asked_while_confirmations_usually_take_longer() {
    let mut shoal = Shoal::new(5);
    // Node 1 is the only one that can be asked at first, and takes its time.
    for seat in 2..5 {
        shoal.feed(0, Event::PeerFailing(Shoal::id(seat), true));
    }
    for _ in 0..400 {
        shoal.hang(1);
        shoal.send(0, 1, Command::AddJob(copies("q", 2)));
        shoal.advance_ms(40);
        shoal.wake(1);
        shoal.advance_ms(5);
    }
    shoal.feed(0, Event::PeerFailing(Shoal::id(2), false));
    shoal.feed(0, Event::PeerFailing(Shoal::id(1), true));
    shoal.hang(2);
    shoal.sent.clear();
    shoal.send(0, 1, Command::AddJob(copies("q", 2)));
    shoal.feed(0, Event::PeerFailing(Shoal::id(1), false));
    shoal.advance_ms(70);
    assert_eq!(asked(&shoal), [2]);
    shoal.advance_ms(100);
    assert_eq!(asked(&shoal), [2, 1]);
}

#[test]
fn more_copies_than_nodes_are_refused_at_once() {
    let mut shoal = Shoal::new(3);
    let refusal = Reply::Refused(Refusal::TooFewNodes);
    assert_eq!(shoal.run(0, Command::AddJob(copies("q", 4))), refusal);
    shoal.kill(2);
    shoal.advance_ms(10_010);
    assert_eq!(shoal.run(0, Command::AddJob(copies("q", 3))), refusal);
    shoal.feed(1, Event::Leaving(true));
    shoal.advance_ms(10);
    assert_eq!(shoal.run(0, Command::AddJob(copies("q", 2))), refusal);
    shoal.add(0, copies("q", 1));
}

#[test]
fn when_a_candidate_dies_a_strict_job_asks_another_or_waits() {
    let mut shoal = Shoal::new(3);
    shoal.hang(2);
    let ticket = shoal.send(0, 1, Command::AddJob(within("q", 3, 30_000)));
    shoal.advance_ms(10);
    shoal.kill(2);
    shoal.wake(2);
    shoal.advance(20);
    assert_eq!(shoal.answer(0, ticket), None);
    shoal.start(2);
    shoal.advance_ms(10);
    let id = added(&shoal, 0, ticket).expect("it is back");
    assert_eq!(holding(&mut shoal, id), [0, 1, 2]);
}

#[test]
fn when_a_candidate_dies_an_aim_falls_but_not_below_the_floor() {
    let mut shoal = Shoal::new(3);
    shoal.hang(2);
    let ticket = shoal.send(0, 1, Command::AddJob(job("q")));
    shoal.advance_ms(10);
    assert_eq!(shoal.answer(0, ticket), None);
    shoal.kill(2);
    shoal.wake(2);
    shoal.advance_ms(10);
    let id = added(&shoal, 0, ticket).expect("two copies are enough now");
    assert_eq!(shoal.show(0, id).map(|view| view.replicate), Some(3));
    shoal.hang(1);
    let ticket = shoal.send(0, 1, Command::AddJob(job("q")));
    shoal.advance_ms(10);
    shoal.kill(1);
    shoal.wake(1);
    shoal.advance_ms(10_010);
    let refusal = Reply::Refused(Refusal::TooFewNodes);
    assert_eq!(
        shoal.answer(0, ticket),
        Some(&refusal),
        "one copy is not enough"
    );
    let below = shoal.run(0, Command::AddJob(job("q")));
    assert_eq!(below, refusal);
}

#[test]
fn another_candidate_is_asked_before_an_aim_falls() {
    let mut shoal = Shoal::new(4);
    for seat in 1..4 {
        shoal.hang(seat);
    }
    let ticket = shoal.send(0, 1, Command::AddJob(job("q")));
    let first = asked(&shoal);
    shoal.sent.clear();
    shoal.kill(first[0]);
    shoal.advance_ms(5);
    let third = (1..4).find(|seat| !first.contains(seat));
    assert_eq!(asked(&shoal), third.into_iter().collect::<Vec<_>>());
    for seat in 1..4 {
        shoal.wake(seat);
    }
    shoal.advance_ms(5);
    let id = added(&shoal, 0, ticket).expect("they woke up");
    assert_eq!(holding(&mut shoal, id).len(), 3);
}

#[test]
fn the_floor_is_what_the_operator_says() {
    let settings = Settings {
        min_replicate: 1,
        ..SETTINGS
    };
    let mut shoal = Shoal::with(3, settings);
    shoal.kill(1);
    shoal.kill(2);
    shoal.advance_ms(10);
    let id = shoal.add(0, job("q"));
    assert_eq!(shoal.show(0, id).map(|view| view.replicate), Some(3));
    assert_eq!(shoal.node(0).under_replicated(), 1);
}

#[test]
fn a_job_whose_client_is_gone_is_dropped_everywhere() {
    let mut shoal = Shoal::new(3);
    shoal.hang(2);
    let ticket = shoal.send(0, 1, Command::AddJob(copies("q", 3)));
    let other = shoal.send(0, 2, Command::AddJob(copies("q", 3)));
    shoal.advance_ms(10);
    shoal.feed(0, Event::Disconnected(ClientId(1)));
    shoal.advance_ms(10);
    shoal.wake(2);
    shoal.advance_ms(10);
    assert_eq!(shoal.answer(0, ticket), None);
    assert!(added(&shoal, 0, other).is_some());
    assert_eq!(shoal.jobs(), 3);
}

#[test]
fn a_producer_hears_that_its_job_was_removed() {
    let add = |shoal: &mut Shoal| {
        let ticket = shoal.send(
            0,
            1,
            Command::AddJob(AddJob {
                ttl: Some(20),
                ..copies("q", 3)
            }),
        );
        shoal.advance_ms(5);
        let scan = shoal.node(1).jobs.iter().map(|(_, job)| job.id).last();
        (ticket, scan.expect("it has a copy"))
    };
    let gone = Some(Refusal::RemovedWhileReplicating);
    let mut shoal = Shoal::new(3);
    shoal.hang(2);
    let (ticket, id) = add(&mut shoal);
    shoal.count(0, Command::DelJob(vec![id]));
    assert_eq!(refused(&shoal, 0, ticket), gone);
    let mut shoal = Shoal::new(3);
    shoal.hang(2);
    let (ticket, id) = add(&mut shoal);
    shoal.ack(1, id);
    shoal.advance_ms(5);
    assert_eq!(refused(&shoal, 0, ticket), gone);
    let mut shoal = Shoal::new(3);
    shoal.hang(2);
    let (ticket, _) = add(&mut shoal);
    shoal.advance(21);
    assert_eq!(refused(&shoal, 0, ticket), gone);
    let ticket = shoal.send(0, 1, Command::AddJob(copies("q", 3)));
    shoal.feed(0, Event::Flush);
    assert_eq!(refused(&shoal, 0, ticket), gone);
}

#[test]
fn many_jobs_of_one_client_are_in_flight_at_once() {
    let mut shoal = Shoal::new(3);
    let send = |shoal: &mut Shoal| shoal.send(0, 1, Command::AddJob(copies("q", 3)));
    let tickets: Vec<Ticket> = (0..200).map(|_| send(&mut shoal)).collect();
    assert!(
        tickets
            .iter()
            .all(|&ticket| added(&shoal, 0, ticket).is_none())
    );
    shoal.advance_ms(2);
    let mut ids = tickets.iter().map(|&ticket| added(&shoal, 0, ticket));
    assert!(ids.all(|id| id.is_some()), "all within one round trip");
    assert_eq!(shoal.jobs(), 600);
}

#[test]
fn a_delayed_job_waits_for_its_copies_and_then_for_its_delay() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(
        0,
        AddJob {
            delay: Some(10),
            ..copies("q", 3)
        },
    );
    let before = shoal.states(id);
    assert_eq!(before, [Some(JobState::Active); 3]);
    shoal.advance(11);
    assert_eq!(shoal.states(id)[0], Some(JobState::Queued));
    assert_eq!(shoal.states(id)[1], Some(JobState::Active));
}

#[test]
fn a_job_accepted_before_its_queue_was_paused_is_not_refused() {
    let mut shoal = Shoal::new(2);
    let ticket = shoal.send(
        0,
        1,
        Command::AddJob(AddJob {
            replicate: Some(2),
            ..job_with_retry("q", 2)
        }),
    );
    let pause = |input| {
        Command::Pause(Pause {
            queue: b"q",
            set: Some(PauseState {
                input,
                output: false,
            }),
            broadcast: false,
        })
    };
    shoal.send(0, 1, pause(true));
    shoal.advance_ms(5);
    let id = added(&shoal, 0, ticket).expect("it was accepted");
    assert_eq!(shoal.states(id)[0], Some(JobState::Active));
    shoal.send(0, 1, pause(false));
    shoal.advance(5);
    assert_eq!(shoal.get(0, "q", 1).len() + shoal.get(1, "q", 1).len(), 1);
}

#[test]
fn an_asynchronous_job_is_queued_at_once_and_copied_then() {
    let mut shoal = Shoal::new(3);
    let add = AddJob {
        replication: Replication::Asynchronous,
        ..copies("q", 3)
    };
    let ticket = shoal.send(0, 1, Command::AddJob(add));
    let id = added(&shoal, 0, ticket).expect("it is answered at once");
    assert_eq!(shoal.states(id), [Some(JobState::Queued), None, None]);
    shoal.advance_ms(5);
    assert_eq!(holding(&mut shoal, id), [0, 1, 2]);
    assert_eq!(shoal.node(0).under_replicated(), 0);
}

/// A node that leaves keeps no copy, and nobody takes one. (Simulation seed 2169.)
#[test]
fn a_job_that_nobody_takes_is_a_dead_letter_where_it_was_added() {
    let mut shoal = Shoal::new(2);
    shoal.advance(20);
    shoal.hang(1);
    shoal.feed(0, Event::Leaving(true));
    let add = AddJob {
        replication: Replication::Asynchronous,
        replicate: Some(1),
        ttl: Some(5),
        extras: Extras::new([(Tag::DEAD_QUEUE, &b"grave"[..])]),
        ..job_with_retry("q", 1)
    };
    let ticket = shoal.send(0, 1, Command::AddJob(add));
    let id = added(&shoal, 0, ticket).expect("it is answered at once");
    assert_eq!(shoal.states(id)[0], Some(JobState::WaitReplicas));
    shoal.advance(6);
    assert_eq!(shoal.queue_of(0, id), Some(&b"grave"[..]));
}

#[test]
fn retry_0_without_replicate_is_refused_in_a_cluster() {
    let mut shoal = Shoal::new(2);
    let refusal = Reply::Refused(Refusal::RetryZeroNeedsOneReplica);
    assert_eq!(
        shoal.run(0, Command::AddJob(job_with_retry("q", 0))),
        refusal
    );
    let id = shoal.add(
        0,
        AddJob {
            replicate: Some(1),
            ..job_with_retry("q", 0)
        },
    );
    assert_eq!(holding(&mut shoal, id), [0]);
}

#[test]
fn copies_go_to_other_zones_first() {
    let mut shoal = Shoal::new(5);
    for seat in [1, 2] {
        shoal.feed(
            0,
            Event::PeerUp(PeerUp {
                id: Shoal::id(seat),
                store: StoreId(seat as u64 + 1),
                restarted: false,
                same_zone: true,
                zone: 0,
                features: Features::KNOWN,
            }),
        );
    }
    for _ in 0..20 {
        let id = shoal.add(0, copies("q", 3));
        assert_eq!(holding(&mut shoal, id), [0, 3, 4]);
    }
    let id = shoal.add(0, copies("q", 5));
    assert_eq!(holding(&mut shoal, id).len(), 5);
}

#[test]
fn copies_are_spread_over_the_nodes() {
    let mut shoal = Shoal::new(5);
    for _ in 0..200 {
        shoal.add(0, copies("q", 2));
    }
    for seat in 1..5 {
        let held = shoal.node(seat).job_count();
        assert!((25..75).contains(&held), "{held} of 200 on one of four");
    }
}

#[test]
fn a_copy_that_comes_after_the_job_is_over_is_not_kept() {
    let mut shoal = Shoal::new(3);
    shoal.hang(2);
    let ticket = shoal.send(
        0,
        1,
        Command::AddJob(AddJob {
            replication: Replication::Asynchronous,
            ..copies("q", 2)
        }),
    );
    let id = added(&shoal, 0, ticket).expect("it is answered at once");
    shoal.advance_ms(5);
    shoal.ack(0, id);
    shoal.wake(2);
    shoal.advance(400);
    assert_eq!(shoal.jobs(), 0);
}

#[test]
fn a_copy_is_queued_when_its_retry_is_over_and_nobody_else_has_it() {
    let mut shoal = Shoal::new(2);
    // A node that has just started waits longer for others.
    shoal.advance(20);
    let id = shoal.add(
        0,
        AddJob {
            replicate: Some(2),
            ..job_with_retry("q", 5)
        },
    );
    shoal.kill(0);
    let wait = shoal.send(1, 3, Command::GetJob(get_job(&["q"], 1, Wait::Forever)));
    shoal.advance_ms(4_900);
    assert_eq!(shoal.got(1, wait), None);
    shoal.advance_ms(2_500);
    assert_eq!(shoal.got(1, wait), Some(id));
}

#[test]
fn a_copy_that_was_given_up_while_the_producer_waited_is_made_when_its_node_is_back() {
    // Without REPLICATE three copies are aimed at, and two waited for.
    let mut shoal = Shoal::new(3);
    shoal.hang(2);
    let ticket = shoal.send(0, 1, Command::AddJob(job("q")));
    shoal.advance_ms(5);
    assert_eq!(shoal.answer(0, ticket), None);
    shoal.cut(0, 2);
    shoal.cut(1, 2);
    shoal.advance_ms(5);
    let Some(&Reply::Added(id)) = shoal.answer(0, ticket) else {
        panic!("two copies will do");
    };
    shoal.advance(5);
    assert_eq!(shoal.node(0).under_replicated(), 1);
    shoal.wake(2);
    shoal.mend();
    shoal.advance(5);
    assert!(shoal.states(id).iter().all(Option::is_some));
    assert_eq!(shoal.node(0).under_replicated(), 0);
}
