//! Jobs go to where clients wait.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::command::{AddJob, Command, Pause, PauseState, QueueScan, QueueView, Reply, Wait};
use crate::event::Event;
use crate::id::{ClientId, JobId, Ticket};
use crate::job::JobState;
use crate::message::Message;
use crate::telling::Counters;

use super::bench::{get_job, job, job_with_retry, plain_stat, secs};
use super::shoal::Shoal;

mod breaking;
mod sharing;

/// One copy, so that the test is about moving.
pub(super) fn one(queue: &str) -> AddJob<'_> {
    AddJob {
        replicate: Some(1),
        ..job_with_retry(queue, 60)
    }
}

/// At most once.
pub(super) fn once(queue: &str) -> AddJob<'_> {
    AddJob {
        replicate: Some(1),
        retry: Some(0),
        ..job(queue)
    }
}

fn add_many(shoal: &mut Shoal, seat: usize, count: usize) -> Vec<JobId> {
    (0..count).map(|_| shoal.add(seat, one("q"))).collect()
}

/// How many of the messages so far were about moving: jobs asked for, jobs sent, jobs queued.
pub(super) fn traffic(shoal: &Shoal) -> (usize, usize, usize) {
    let (mut asked, mut sent, mut queued) = (0, 0, 0);
    for (_, _, message) in &shoal.sent {
        match message {
            Message::NeedJobs { .. } => asked += 1,
            Message::YourJobs(_) => sent += 1,
            Message::Queued { .. } => queued += 1,
            _ => {}
        }
    }
    (asked, sent, queued)
}

fn redelivered(shoal: &Shoal) -> u64 {
    let of = |it: Counters| {
        let healed = it.redelivered_heal + it.redelivered_drain + it.redelivered_restart;
        healed + it.redelivered_timeout + it.redelivered_nack + it.redelivered_asked
    };
    let running = shoal.running().into_iter();
    running.map(|seat| of(shoal.node(seat).counters())).sum()
}

pub(super) fn pause(shoal: &mut Shoal, seat: usize, queue: &str, input: bool, output: bool) {
    let state = PauseState { input, output };
    let pause = Pause {
        queue: queue.as_bytes(),
        set: Some(state),
        broadcast: false,
    };
    let reply = shoal.run(seat, Command::Pause(pause));
    assert_eq!(reply, Reply::PauseState(state));
}

fn stat(shoal: &mut Shoal, seat: usize, queue: &str) -> QueueView {
    match shoal.run(seat, plain_stat(queue)) {
        Reply::QueueStat(Some(view)) => *view,
        other => panic!("{other:?} is no view"),
    }
}

pub(super) fn length(shoal: &mut Shoal, seat: usize) -> u64 {
    shoal.count(seat, Command::QueueLength(b"q"))
}

/// A client that takes one job after the other, and acknowledges each.
pub(super) struct Consumer {
    seat: usize,
    client: u64,
    queue: String,
    /// How long it works on a job.
    work_ms: u64,
    ticket: Option<Ticket>,
    free_at: u64,
    pub(super) got: Vec<JobId>,
}

impl Consumer {
    pub(super) fn new(seat: usize, client: u64, queue: &str, work_ms: u64) -> Self {
        Consumer {
            seat,
            client,
            queue: queue.to_owned(),
            work_ms,
            ticket: None,
            free_at: 0,
            got: Vec::new(),
        }
    }

    /// Does what it can at this moment; with no work to do, until nothing is left at once.
    fn act(&mut self, shoal: &mut Shoal) {
        while shoal.time >= self.free_at {
            let ticket = *self
                .ticket
                .get_or_insert_with(|| shoal.wait(self.seat, self.client, &self.queue));
            let Some(id) = shoal.got(self.seat, ticket) else {
                return;
            };
            self.got.push(id);
            shoal.ack(self.seat, id);
            self.ticket = None;
            self.free_at = shoal.time + self.work_ms;
        }
    }
}

/// Lets time pass while consumers work, a millisecond at a time.
pub(super) fn work(shoal: &mut Shoal, consumers: &mut [Consumer], ms: u64) {
    for _ in 0..ms {
        for consumer in &mut *consumers {
            consumer.act(shoal);
        }
        shoal.advance_ms(1);
    }
}

#[test]
fn a_client_that_waits_gets_a_job_that_is_added_elsewhere() {
    let mut shoal = Shoal::new(3);
    for round in 0..10 {
        let ticket = shoal.wait(0, 1, "q");
        shoal.advance_ms(if round % 2 == 0 { 7 } else { 3_000 });
        let id = shoal.add(1 + round % 2, one("q"));
        shoal.advance_ms(1);
        assert_eq!(shoal.got(0, ticket), Some(id), "one way after it was added");
        shoal.advance_ms(1);
        assert_eq!(shoal.states(id)[0], Some(JobState::Active));
        assert_eq!(shoal.states(id)[1 + round % 2], Some(JobState::Active));
        assert_eq!(shoal.ack(0, id), 1);
    }
    shoal.advance(1);
    assert_eq!((shoal.jobs(), redelivered(&shoal)), (0, 0));
}

#[test]
fn a_client_gets_a_job_that_waits_elsewhere() {
    let mut shoal = Shoal::new(3);
    for (round, seat) in [2, 1, 2, 2, 1].into_iter().enumerate() {
        let id = shoal.add(seat, one("q"));
        let ticket = shoal.wait(0, 1, "q");
        // There and back. A known source is asked first, and the others a moment later.
        shoal.advance_ms(if round == 0 { 2 } else { 9 });
        assert_eq!(shoal.got(0, ticket), Some(id));
        shoal.ack(0, id);
        shoal.advance(1);
    }
}

#[test]
fn a_client_that_polls_gets_jobs_of_other_nodes() {
    let mut shoal = Shoal::new(3);
    for make in [one, once] {
        let ids: BTreeSet<JobId> = (0..30).map(|_| shoal.add(2, make("q"))).collect();
        // They are there for long enough that nobody holds them back for clients there.
        shoal.advance_ms(50);
        assert_eq!(shoal.get(0, "q", 20), []);
        shoal.advance_ms(10);
        let mut taken = shoal.get(0, "q", 20);
        assert_eq!(taken.len(), 20);
        shoal.get(0, "q", 20);
        shoal.advance_ms(10);
        taken.extend(shoal.get(0, "q", 20));
        assert_eq!(taken.len(), 30);
        assert_eq!(taken.iter().map(|it| it.id).collect::<BTreeSet<_>>(), ids);
        assert!(taken.is_sorted_by_key(|it| it.entered), "oldest first");
        for it in taken {
            shoal.ack(0, it.id);
        }
        shoal.advance(5);
    }
    assert_eq!(shoal.jobs(), 0);
}

#[test]
fn an_at_most_once_job_is_in_one_place_only() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(2, once("q"));
    let ticket = shoal.wait(0, 1, "q");
    shoal.advance_ms(2);
    assert_eq!(shoal.got(0, ticket), Some(id));
    assert_eq!(shoal.states(id), [Some(JobState::Active), None, None]);
    shoal.kill(2);
    shoal.start(2);
    shoal.advance(5);
    assert_eq!(shoal.states(id), [Some(JobState::Active), None, None]);
}

#[test]
fn an_at_most_once_job_goes_only_to_who_waits() {
    let mut shoal = Shoal::new(2);
    for _ in 0..200 {
        shoal.add(1, once("q"));
    }
    let mut consumers = [Consumer::new(0, 1, "q", 1)];
    for _ in 0..100 {
        work(&mut shoal, &mut consumers, 4);
        assert!(length(&mut shoal, 0) <= 1, "none ahead");
    }
    assert!(
        consumers[0].got.len() > 90,
        "one in two round trips at least"
    );
}

#[test]
fn an_at_most_once_job_finds_who_comes_back_after_a_refresh() {
    let mut shoal = Shoal::new(3);
    for offset_ms in 0..20 {
        let ticket = shoal.wait(0, 1, "q");
        shoal.advance_ms(1_900 + 10 * offset_ms);
        let id = shoal.add(1, one("q"));
        shoal.advance_ms(1);
        assert_eq!(shoal.got(0, ticket), Some(id));
        shoal.ack(0, id);
        // It is away for a moment, in which interest may be refreshed.
        shoal.advance_ms(100);
        let ticket = shoal.wait(0, 1, "q");
        shoal.advance_ms(10);
        let id = shoal.add(2, once("q"));
        shoal.advance_ms(2);
        assert_eq!(shoal.got(0, ticket), Some(id), "{offset_ms}");
        shoal.ack(0, id);
    }
}

#[test]
fn who_waits_no_more_takes_the_interest_back() {
    let mut shoal = Shoal::new(3);
    shoal.wait(0, 1, "q");
    shoal.advance(7);
    shoal.feed(0, Event::Disconnected(ClientId(1)));
    shoal.advance_ms(190);
    assert_eq!(
        shoal.node(1).federation.interests.len(),
        1,
        "it may be back at once"
    );
    shoal.advance_ms(15);
    assert!(shoal.node(1).federation.interests.is_empty());
    let wait = get_job(&["q"], 1, Wait::AtMost(secs(1)));
    shoal.send(0, 1, Command::GetJob(wait));
    shoal.advance_ms(1_190);
    assert_eq!(shoal.node(1).federation.interests.len(), 1);
    shoal.advance_ms(15);
    assert!(shoal.node(1).federation.interests.is_empty());
    // Nor does a poll hold for long.
    shoal.get(0, "q", 3);
    shoal.advance_ms(990);
    assert_eq!(shoal.node(1).federation.interests.len(), 1);
    shoal.advance_ms(220);
    assert!(shoal.node(1).federation.interests.is_empty());
    shoal.advance(60);
    assert_eq!(shoal.node(0).federation.bytes(), 0, "nothing is left of it");
    assert_eq!(shoal.node(1).federation.bytes(), 0);
}

#[test]
fn nothing_leaves_or_comes_for_a_queue_paused_in_output() {
    let mut shoal = Shoal::new(3);
    pause(&mut shoal, 1, "q", false, true);
    let id = shoal.add(1, one("q"));
    let ticket = shoal.wait(0, 1, "q");
    shoal.advance_ms(100);
    assert_eq!(shoal.got(0, ticket), None);
    pause(&mut shoal, 1, "q", false, false);
    shoal.advance_ms(2);
    assert_eq!(shoal.got(0, ticket), Some(id));
    // Nor is anything asked for.
    let ticket = shoal.wait(0, 1, "q");
    shoal.advance_ms(10);
    pause(&mut shoal, 0, "q", false, true);
    shoal.advance_ms(2);
    assert!(shoal.node(1).federation.interests.is_empty());
    let id = shoal.add(1, one("q"));
    shoal.advance(10);
    assert_eq!((length(&mut shoal, 0), length(&mut shoal, 1)), (0, 1));
    pause(&mut shoal, 0, "q", false, false);
    shoal.advance_ms(2);
    assert_eq!(shoal.got(0, ticket), Some(id));
}

#[test]
fn a_queue_paused_in_input_still_gets_what_others_let_in() {
    let mut shoal = Shoal::new(2);
    pause(&mut shoal, 0, "q", true, false);
    let id = shoal.add(1, one("q"));
    let ticket = shoal.wait(0, 1, "q");
    shoal.advance_ms(2);
    assert_eq!(shoal.got(0, ticket), Some(id));
}

#[test]
fn a_leaving_node_gives_and_takes_nothing() {
    let mut shoal = Shoal::new(3);
    let ids = [shoal.add(0, one("q")), shoal.add(1, one("q"))];
    shoal.feed(0, Event::Leaving(true));
    shoal.advance_ms(5);
    assert_eq!(shoal.get(0, "other", 5), []);
    shoal.advance_ms(5);
    assert_eq!(traffic(&shoal).0, 0, "it asks nobody");
    let got: BTreeSet<JobId> = (0..2)
        .map(|client| {
            let ticket = shoal.wait(2, client, "q");
            shoal.advance_ms(20);
            shoal.got(2, ticket).expect("it got one")
        })
        .collect();
    assert_eq!(got, BTreeSet::from(ids));
    // What is on its way to a node that leaves comes back.
    let ticket = shoal.wait(1, 1, "q");
    shoal.advance_ms(10);
    let id = shoal.add(2, one("q"));
    shoal.feed(1, Event::Leaving(true));
    assert!(shoal.answer(1, ticket).is_some(), "it is told to go");
    shoal.advance_ms(5);
    assert_eq!(shoal.states(id)[2], Some(JobState::Queued));
}

#[test]
fn a_moved_job_keeps_what_it_is() {
    let mut shoal = Shoal::new(3);
    let add = AddJob {
        ttl: Some(600),
        delay: Some(2),
        ..one("q")
    };
    let id = shoal.add(1, add);
    shoal.advance(2);
    shoal.get(1, "q", 1);
    assert_eq!(shoal.count(1, Command::nack(vec![id])), 1);
    let before = shoal.show(1, id).expect("it is here");
    let ticket = shoal.wait(0, 1, "q");
    shoal.advance_ms(2);
    assert_eq!(shoal.got(0, ticket), Some(id));
    let after = shoal.show(0, id).expect("it is there");
    assert_eq!(
        (after.created, after.ttl, after.delay),
        (before.created, 598, 2)
    );
    assert_eq!((after.nacks, after.additional_deliveries), (1, 0));
    assert_eq!(after.holders, [Shoal::id(0), Shoal::id(1)]);
    shoal.advance_ms(2);
    assert_eq!(
        shoal.show(1, id).map(|view| view.holders),
        Some(after.holders)
    );
    // It survives a crash of either.
    for seat in [0, 1] {
        shoal.kill(seat);
        shoal.start(seat);
    }
    shoal.advance_ms(10);
    assert!(
        shoal.states(id)[..2]
            .iter()
            .all(|state| *state == Some(JobState::Active))
    );
}

#[test]
fn figures_tell_of_imports() {
    let mut shoal = Shoal::new(4);
    add_many(&mut shoal, 1, 50);
    add_many(&mut shoal, 3, 50);
    let mut consumers = [Consumer::new(0, 1, "q", 0)];
    work(&mut shoal, &mut consumers, 100);
    assert_eq!(consumers[0].got.len(), 100);
    let view = stat(&mut shoal, 0, "q");
    assert_eq!(view.import_from, [Shoal::id(1), Shoal::id(3)]);
    assert_eq!(view.import_rate, 20, "a hundred in five seconds");
    let mut scan = |least| {
        let scan = QueueScan {
            cursor: 0,
            count: None,
            min_len: None,
            max_len: None,
            import_rate: Some(least),
        };
        shoal.run(0, Command::QueueScan(scan))
    };
    assert!(matches!(scan(20), Reply::Queues(0, names) if names.len() == 1));
    assert!(matches!(scan(21), Reply::Queues(0, names) if names.is_empty()));
    assert_eq!(shoal.node(0).counters().imported, 100);
    assert_eq!(shoal.node(1).counters().exported, 50);
    shoal.advance(40);
    let view = stat(&mut shoal, 0, "q");
    assert_eq!((view.import_from, view.import_rate), (vec![], 0));
}
