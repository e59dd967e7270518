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
        assert!(taken.is_sorted_by_key(|it| it.created), "oldest first");
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
fn interest_survives_what_links_lose() {
    let mut shoal = Shoal::new(3);
    // The links break with the interest on them.
    let ticket = shoal.wait(0, 1, "q");
    shoal.cut(0, 1);
    shoal.cut(0, 2);
    shoal.advance_ms(500);
    shoal.mend();
    shoal.advance_ms(10);
    let id = shoal.add(1, one("q"));
    shoal.advance_ms(2);
    assert_eq!(shoal.got(0, ticket), Some(id));
    // They broke before it.
    shoal.cut(0, 2);
    shoal.advance_ms(10);
    let ticket = shoal.wait(0, 1, "q");
    let id = shoal.add(2, one("q"));
    shoal.advance_ms(500);
    assert_eq!(shoal.got(0, ticket), None);
    shoal.mend();
    shoal.advance_ms(3);
    assert_eq!(shoal.got(0, ticket), Some(id));
}

#[test]
fn interest_runs_out_when_its_node_is_gone_and_stands_as_long_as_a_client_waits() {
    let mut shoal = Shoal::new(3);
    let ticket = shoal.wait(0, 1, "q");
    shoal.wait(1, 1, "gone");
    shoal.advance_ms(10);
    assert_eq!(shoal.node(2).federation.interests.len(), 2);
    shoal.hang(1);
    shoal.advance(60);
    assert_eq!(shoal.node(2).federation.interests.len(), 1);
    let id = shoal.add(2, one("q"));
    shoal.advance_ms(1);
    assert_eq!(shoal.got(0, ticket), Some(id));
    shoal.feed(0, Event::Disconnected(ClientId(1)));
    shoal.advance(11);
    assert!(
        shoal.node(2).federation.interests.is_empty(),
        "nobody waits"
    );
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
fn while_nothing_happens_only_refreshes_are_sent() {
    let mut shoal = Shoal::new(7);
    for client in 0..5 {
        shoal.wait(0, client, "q");
    }
    shoal.advance(1);
    shoal.sent.clear();
    shoal.advance(20);
    assert_eq!(
        traffic(&shoal),
        (60, 0, 0),
        "to six nodes every two seconds"
    );
}

#[test]
fn one_client_and_one_producer_take_few_messages_a_job() {
    for gap_ms in [1, 10, 500] {
        let mut shoal = Shoal::new(7);
        let mut consumers = [Consumer::new(0, 1, "q", 0)];
        work(&mut shoal, &mut consumers, 50);
        shoal.sent.clear();
        let mut ids = Vec::new();
        for _ in 0..100 {
            ids.push(shoal.add(3, one("q")));
            work(&mut shoal, &mut consumers, gap_ms);
        }
        work(&mut shoal, &mut consumers, 10);
        assert_eq!(consumers[0].got, ids, "in order");
        let (asked, sent, queued) = traffic(&shoal);
        let refreshes = 6 * (100 * gap_ms as usize / 2000 + 1);
        assert!(asked <= 110 + refreshes, "{asked} for 100 jobs");
        assert!(sent <= 100 && queued <= 100, "{sent}, {queued}");
        assert_eq!(redelivered(&shoal), 0);
    }
}

#[test]
fn a_fast_client_is_fed_in_batches() {
    let mut shoal = Shoal::new(7);
    let ids = add_many(&mut shoal, 3, 800);
    let mut consumers = [Consumer::new(0, 1, "q", 0)];
    work(&mut shoal, &mut consumers, 60);
    assert_eq!(consumers[0].got.len(), ids.len());
    assert!(consumers[0].got == ids, "in order");
    let (asked, sent, _) = traffic(&shoal);
    assert!(asked <= 40, "{asked} for 800 jobs");
    assert!(sent <= 40, "{sent} for 800 jobs");
}

#[test]
fn a_slow_client_does_not_hoard() {
    let mut shoal = Shoal::new(2);
    let ids = add_many(&mut shoal, 1, 200);
    for (work_ms, most) in [(50, 8), (150, 4), (1_000, 2)] {
        let mut consumers = [Consumer::new(0, 1, "q", work_ms)];
        let before = shoal.node(0).counters().imported;
        for _ in 0..40 {
            work(&mut shoal, &mut consumers, 50);
            let ahead = length(&mut shoal, 0);
            assert!(
                ahead <= most,
                "{ahead} wait for a client that takes {work_ms} ms"
            );
        }
        let done = consumers[0].got.len() as u64;
        assert!(done >= 2_000 / (work_ms + 10), "{done} done");
        assert!(shoal.node(0).counters().imported - before <= done + most);
        shoal.feed(0, Event::Disconnected(ClientId(1)));
        shoal.advance(2);
    }
    assert!(length(&mut shoal, 1) > 100 && ids.len() == 200);
}

#[test]
fn a_client_that_slows_down_gets_fewer_ahead() {
    let mut shoal = Shoal::new(2);
    add_many(&mut shoal, 1, 800);
    let mut consumers = [Consumer::new(0, 1, "q", 0)];
    while consumers[0].got.len() < 400 {
        work(&mut shoal, &mut consumers, 1);
    }
    consumers[0].work_ms = 100;
    work(&mut shoal, &mut consumers, 1_000);
    let before = shoal.node(0).counters().imported;
    work(&mut shoal, &mut consumers, 10_000);
    let more = shoal.node(0).counters().imported - before;
    assert!(
        more <= 200,
        "{more} came in 20 s for one that takes 10 a second"
    );
    // The jobs there move on to a node where a client waits.
    let mut others = [Consumer::new(1, 1, "q", 0)];
    work(&mut shoal, &mut others, 500);
    shoal.advance(3);
    let left = length(&mut shoal, 0) + length(&mut shoal, 1);
    assert_eq!(left, 0, "nothing is stranded");
}

#[test]
fn one_client_does_not_pull_jobs_from_everywhere_at_once() {
    let mut shoal = Shoal::new(7);
    for seat in 1..7 {
        add_many(&mut shoal, seat, 50);
    }
    let mut consumers = [Consumer::new(0, 1, "q", 20)];
    work(&mut shoal, &mut consumers, 300);
    assert!(
        shoal.node(0).counters().imported <= 6 + 16 + 4,
        "at first each gave one"
    );
    shoal.sent.clear();
    let before = consumers[0].got.len();
    work(&mut shoal, &mut consumers, 2_000);
    let done = consumers[0].got.len() - before;
    assert!(done >= 90, "{done} done");
    let (asked, sent, _) = traffic(&shoal);
    assert!(
        asked <= done + 12 && sent <= done,
        "{asked} and {sent} for {done} jobs"
    );
    work(&mut shoal, &mut consumers, 5_000);
    assert_eq!(consumers[0].got.len(), 300);
    assert_eq!(consumers[0].got.iter().collect::<BTreeSet<_>>().len(), 300);
}

#[test]
fn what_came_for_a_client_that_left_goes_on() {
    let mut shoal = Shoal::new(7);
    shoal.wait(0, 1, "q");
    shoal.advance_ms(10);
    // All of them answer the interest of one client.
    let ids: BTreeSet<JobId> = (1..7).map(|seat| shoal.add(seat, one("q"))).collect();
    shoal.advance_ms(2);
    assert_eq!(length(&mut shoal, 0), 5);
    shoal.feed(0, Event::Disconnected(ClientId(1)));
    let mut consumers = [Consumer::new(4, 1, "q", 0)];
    work(&mut shoal, &mut consumers, 300);
    let got: BTreeSet<JobId> = consumers[0].got.iter().copied().collect();
    assert_eq!((got.len(), got.is_subset(&ids)), (5, true));
    assert_eq!(redelivered(&shoal), 0);
}

#[test]
fn a_job_that_goes_around_comes_to_rest() {
    // Everybody polls, a moment after the others have taken the job's place from under them.
    for make in [one, once] {
        for gap_ms in [300, 1_500, 4_000] {
            let mut shoal = Shoal::new(2);
            let id = shoal.add(0, make("q"));
            let mut got = None;
            for round in 0..12 {
                let seat = 1 - round % 2;
                let taken = shoal.get(seat, "q", 1);
                got = got.or(taken.first().map(|it| it.id));
                shoal.advance_ms(gap_ms);
            }
            assert_eq!(got, Some(id), "polled every {gap_ms} ms");
        }
    }
}

#[test]
fn two_consumers_share_fairly() {
    let mut shoal = Shoal::new(3);
    add_many(&mut shoal, 2, 500);
    let mut consumers = [Consumer::new(0, 1, "q", 2), Consumer::new(1, 1, "q", 2)];
    work(&mut shoal, &mut consumers, 500);
    let done = consumers.map(|consumer| consumer.got.len());
    assert!(done.iter().sum::<usize>() > 300, "{done:?}");
    assert!(done[0].abs_diff(done[1]) <= 30, "{done:?}");
}

#[test]
fn a_client_here_is_not_starved_by_those_elsewhere() {
    let mut shoal = Shoal::new(3);
    let mut consumers = [
        Consumer::new(0, 1, "q", 5),
        Consumer::new(1, 1, "q", 0),
        Consumer::new(2, 1, "q", 0),
    ];
    let mut added = 0;
    for _ in 0..500 {
        shoal.add(0, one("q"));
        added += 1;
        work(&mut shoal, &mut consumers, 1);
    }
    work(&mut shoal, &mut consumers, 300);
    let done = consumers.map(|consumer| consumer.got.len());
    assert_eq!(done.iter().sum::<usize>(), added);
    assert!(done[0] >= 80, "{done:?}: it could do a hundred");
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
fn a_move_that_nobody_settled_is_settled_when_the_link_is_back() {
    for mend_after in [3, 100, 5_000] {
        let mut shoal = Shoal::new(2);
        let ticket = shoal.wait(0, 1, "q");
        shoal.advance_ms(10);
        let id = shoal.add(1, one("q"));
        // The job is lost with the link.
        shoal.cut(0, 1);
        shoal.advance_ms(mend_after);
        assert_eq!(shoal.got(0, ticket), None);
        assert_eq!(shoal.states(id), [None, Some(JobState::Active)]);
        shoal.mend();
        shoal.advance_ms(490);
        assert_eq!(shoal.got(0, ticket), None);
        shoal.advance_ms(20);
        assert_eq!(shoal.got(0, ticket), Some(id), "well before its retry");
        assert_eq!(shoal.node(1).counters().redelivered_heal, 1);
    }
}

#[test]
fn a_move_that_arrived_is_not_undone_when_the_link_breaks() {
    for acked in [false, true] {
        let mut shoal = Shoal::new(2);
        let ticket = shoal.wait(0, 1, "q");
        shoal.advance_ms(10);
        let id = shoal.add(1, one("q"));
        shoal.advance_ms(1);
        assert_eq!(shoal.got(0, ticket), Some(id));
        // QUEUED is lost with the link.
        shoal.cut(0, 1);
        shoal.advance_ms(10);
        if acked {
            shoal.ack(0, id);
        }
        shoal.mend();
        shoal.advance(20);
        assert_eq!(redelivered(&shoal), 0);
        assert_eq!(shoal.get(1, "q", 1), []);
        shoal.ack(0, id);
        shoal.advance(10);
        assert_eq!(shoal.jobs(), 0);
        assert_eq!(shoal.node(1).federation.moves.len(), 0);
    }
}

#[test]
fn the_retry_brings_back_what_a_node_took_with_it() {
    let mut shoal = Shoal::new(3);
    // A node that has just started expects its links to come up.
    shoal.advance(11);
    let ticket = shoal.wait(0, 1, "q");
    shoal.advance_ms(10);
    let id = shoal.add(
        1,
        AddJob {
            retry: Some(3),
            ..one("q")
        },
    );
    shoal.advance_ms(2);
    assert_eq!(shoal.got(0, ticket), Some(id));
    shoal.kill(0);
    let ticket = shoal.wait(2, 1, "q");
    shoal.advance(6);
    assert_eq!(shoal.got(2, ticket), Some(id));
    assert_eq!(shoal.node(1).counters().redelivered_timeout, 1);
}

#[test]
fn a_moved_job_keeps_what_it_is() {
    let mut shoal = Shoal::new(3);
    let add = AddJob {
        ttl: 600,
        delay: 2,
        ..one("q")
    };
    let id = shoal.add(1, add);
    shoal.advance(2);
    shoal.get(1, "q", 1);
    assert_eq!(shoal.count(1, Command::Nack(vec![id])), 1);
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

#[test]
fn at_most_once_jobs_are_never_delivered_twice_whatever_breaks_when() {
    let mut lost = 0;
    for breaks_at in (0..120).step_by(5).chain(0..12) {
        let mut shoal = Shoal::new(3);
        let mut consumers = [
            Consumer::new(0, 1, "q", 1),
            Consumer::new(1, 1, "q", 2),
            Consumer::new(2, 1, "q", 30),
        ];
        let mut ids = BTreeSet::new();
        let mut broken = false;
        for step in 0..80 {
            ids.insert(shoal.add(step % 3, once("q")));
            work(&mut shoal, &mut consumers, 1);
            if !broken && shoal.sent.len() >= breaks_at {
                broken = true;
                shoal.cut(0, 1);
                shoal.cut(1, 2);
            }
            if step == 60 {
                shoal.mend();
            }
        }
        work(&mut shoal, &mut consumers, 3_000);
        let got: Vec<JobId> = consumers.into_iter().flat_map(|it| it.got).collect();
        let distinct: BTreeSet<JobId> = got.iter().copied().collect();
        assert_eq!(
            got.len(),
            distinct.len(),
            "broken at {breaks_at}: none twice"
        );
        assert!(distinct.is_subset(&ids));
        lost += ids.len() - got.len();
    }
    assert!(lost < 60 * 3, "{lost}: no more than was on the way");
}

#[test]
fn whatever_breaks_when_no_job_with_a_retry_is_lost() {
    for breaks_at in (0..120).step_by(5).chain(0..12) {
        let mut shoal = Shoal::new(3);
        let mut consumers = [Consumer::new(0, 1, "q", 1), Consumer::new(1, 1, "q", 30)];
        let mut ids = BTreeSet::new();
        let mut broken = false;
        for step in 0..60 {
            ids.insert(shoal.add(
                step % 3,
                AddJob {
                    retry: Some(10),
                    ..one("q")
                },
            ));
            work(&mut shoal, &mut consumers, 1);
            if !broken && shoal.sent.len() >= breaks_at {
                broken = true;
                shoal.cut(0, 2);
                shoal.cut(1, 2);
            }
            if step == 50 {
                shoal.mend();
            }
        }
        work(&mut shoal, &mut consumers, 3_000);
        let got: Vec<JobId> = consumers.into_iter().flat_map(|it| it.got).collect();
        let distinct: BTreeSet<JobId> = got.iter().copied().collect();
        assert_eq!(distinct, ids, "broken at {breaks_at}");
        assert!(got.len() as u64 <= ids.len() as u64 + redelivered(&shoal));
        shoal.advance(20);
        assert_eq!(shoal.jobs(), 0, "broken at {breaks_at}");
    }
}

#[test]
fn consumers_anywhere_get_each_job_of_many_queues_once() {
    let mut random = StdRng::seed_from_u64(7);
    let mut shoal = Shoal::new(7);
    let queues: Vec<String> = (0..200).map(|number| format!("queue-{number}")).collect();
    let mut consumers: Vec<Consumer> = Vec::new();
    for (number, queue) in queues.iter().enumerate() {
        for _ in 0..random.random_range(1..3) {
            let work_ms = [0, 1, 20][random.random_range(0..3)];
            let seat = random.random_range(0..7);
            consumers.push(Consumer::new(seat, 1000 + number as u64, queue, work_ms));
        }
    }
    for (client, consumer) in consumers.iter_mut().enumerate() {
        consumer.client = client as u64;
    }
    let mut ids = BTreeSet::new();
    for _ in 0..100 {
        for _ in 0..20 {
            let queue = &queues[random.random_range(0..200)];
            let kind = random.random_range(0..4);
            let add = match kind {
                0 => once(queue),
                1 => AddJob {
                    replicate: Some(3),
                    ..one(queue)
                },
                _ => one(queue),
            };
            ids.insert(shoal.add(random.random_range(0..7), add));
        }
        work(&mut shoal, &mut consumers, 2);
        shoal.sent.clear();
    }
    work(&mut shoal, &mut consumers, 800);
    let got: Vec<JobId> = consumers.iter().flat_map(|it| it.got.clone()).collect();
    let mut counts: BTreeMap<JobId, usize> = BTreeMap::new();
    for id in &got {
        *counts.entry(*id).or_default() += 1;
    }
    assert!(counts.values().all(|count| *count == 1), "none twice");
    assert_eq!(counts.len(), ids.len(), "all");
    assert_eq!(redelivered(&shoal), 0);
}

#[test]
fn a_node_whose_log_fails_takes_no_jobs_from_others_until_it_is_written_again() {
    let mut shoal = Shoal::new(2);
    shoal.feed(1, Event::LogFailing(true));
    let consumer = shoal.wait(1, 7, "q");
    let id = shoal.add(0, once("q"));
    let other = shoal.add(0, job("q"));
    shoal.advance(2);
    assert_eq!(shoal.got(1, consumer), None);
    assert_eq!(shoal.count(0, Command::QueueLength(b"q")), 2);
    shoal.feed(1, Event::LogFailing(false));
    shoal.advance_ms(20);
    assert_eq!(shoal.got(1, consumer), Some(id));
    assert_eq!(shoal.get(0, "q", 9)[0].id, other);
}
