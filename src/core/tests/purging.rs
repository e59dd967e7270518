//! QPURGE.

use std::sync::Arc;

use super::bench::{Bench, job, job_with_retry, secs};
use super::shoal::Shoal;
use crate::command::{AddJob, Command, Refusal, Replication, Reply, Wait};
use crate::event::Event;
use crate::id::JobId;
use crate::job::JobState;
use crate::message::Message;
use crate::record::Record;
use crate::setting::{Setting, SettingKind};
use crate::stamp::{Stamp, Stamps};

const HOUR: i64 = 3_600_000;
const PURGE: Command<'static> = Command::PurgeQueue(b"q");

/// Purges the queue of a node without peers.
fn purge(bench: &mut Bench) -> u64 {
    let ticket = bench.send(3, PURGE);
    bench.advance(5);
    match bench.answer(ticket) {
        Some(Reply::Count(count)) => *count,
        other => panic!("{other:?} is no count"),
    }
}

fn copied(queue: &str, replicate: u16) -> AddJob<'_> {
    AddJob {
        replicate: Some(replicate),
        ..job_with_retry(queue, 10)
    }
}

/// Purges the queue, and lets time pass for it.
fn purge_at(shoal: &mut Shoal, seat: usize) -> u64 {
    let ticket = shoal.send(seat, 9, PURGE);
    shoal.advance(2);
    match shoal.answer(seat, ticket) {
        Some(Reply::Count(count)) => *count,
        other => panic!("{other:?} is no count"),
    }
}

fn everywhere(shoal: &mut Shoal, id: JobId) -> Vec<Option<JobState>> {
    shoal.states(id)
}

#[test]
fn jobs_of_all_states_go_and_nothing_else() {
    let mut bench = Bench::new();
    let out = bench.add(job_with_retry("q", 10));
    let once_out = bench.add(job_with_retry("q", 0));
    bench.take("q", 2);
    let ready = bench.add(job_with_retry("q", 10));
    let once = bench.add(job_with_retry("q", 0));
    let delayed = bench.add(AddJob {
        delay: Some(60),
        ..job_with_retry("q", 10)
    });
    let other = bench.add(job("r"));
    assert_eq!(purge(&mut bench), 5);
    for id in [out, once_out, ready, once, delayed] {
        assert_eq!(bench.show(id), None, "{id}");
    }
    assert_eq!(bench.node().counters().purged, 5);
    assert_eq!(bench.len("q"), 0);
    assert_eq!(bench.len("r"), 1);
    let younger = bench.add(job("q"));
    assert_eq!(bench.take("q", 9), [younger]);
    assert_eq!(bench.take("r", 9), [other]);
    bench.advance(100);
    assert_eq!(bench.node().job_count(), 2);
}

#[test]
fn an_unknown_queue_has_none_and_an_empty_one_neither() {
    let mut bench = Bench::new();
    assert_eq!(bench.run(PURGE), Reply::Count(0));
    bench.wait(4, &["q"], Wait::Forever);
    assert_eq!(bench.run(PURGE), Reply::Count(0));
}

#[test]
fn many_jobs_go_in_steps_and_younger_ones_are_handed_out_meanwhile() {
    let mut bench = Bench::new();
    bench.add_many("q", 3000);
    let ticket = bench.send(3, PURGE);
    let younger = bench.add(job("q"));
    assert_eq!(bench.take("q", 9), [], "older ones stand before it");
    bench.advance_ms(1);
    let left = bench.node().job_count();
    assert!((2000..3000).contains(&left), "{left} jobs after one step");
    let wait = bench.wait(4, &["q"], Wait::Forever);
    bench.advance_ms(50);
    assert_eq!(bench.got(wait), Some(vec![younger]));
    assert_eq!(bench.answer(ticket), Some(&Reply::Count(3000)));
}

#[test]
fn a_mark_that_is_on_disk_holds_for_what_a_restart_brings_back() {
    for clean in [false, true] {
        let mut bench = Bench::new();
        bench.add_many("q", 10);
        let delayed = bench.add(AddJob {
            delay: Some(60),
            ..job_with_retry("q", 10)
        });
        // The node stops before the first step.
        bench.send(3, PURGE);
        let marks = |record: &Record| matches!(record, Record::Setting(_));
        assert!(bench.log().any(|(_, record)| marks(record)));
        if clean {
            bench.restart(secs(1));
        } else {
            bench.crash(secs(1));
        }
        assert_eq!(bench.node().job_count(), 0);
        assert_eq!(bench.show(delayed), None);
        let younger = bench.add(job("q"));
        bench.crash(secs(1));
        assert!(bench.show(younger).is_some());
    }
}

#[test]
fn the_clock_of_jobs_stays_behind_no_mark() {
    let mut bench = Bench::new();
    bench.add(job("q"));
    purge(&mut bench);
    // The wall clock goes back, across a restart.
    bench.wall -= 86_400_000;
    bench.crash(secs(0));
    let younger = bench.add(job("q"));
    bench.advance(30);
    assert!(bench.show(younger).is_some());
}

#[test]
fn a_mark_is_kept_for_thirty_days() {
    let mut bench = Bench::new();
    bench.add(job("q"));
    purge(&mut bench);
    bench.crash(secs(29 * 86_400));
    assert_ne!(bench.node().settings_digest(), 0);
    bench.crash(secs(2 * 86_400));
    assert_eq!(bench.node().settings_digest(), 0);
    bench.advance(600);
    assert_eq!(bench.node().used_by_load(), 0);
}

#[test]
fn a_flush_ends_a_purge() {
    let mut bench = Bench::new();
    bench.add_many("q", 3000);
    let ticket = bench.send(3, PURGE);
    bench.advance_ms(1);
    bench.feed(Event::Flush);
    let Some(Reply::Count(count)) = bench.answer(ticket) else {
        panic!("it is answered");
    };
    assert!(*count < 3000, "{count}");
    let id = bench.add(job("q"));
    bench.advance(5);
    assert!(bench.show(id).is_some());
}

#[test]
fn all_nodes_purge_and_a_job_with_copies_counts_once() {
    let mut shoal = Shoal::new(3);
    // The clock of one node is ahead, that of another behind.
    shoal.set_clock(1, HOUR);
    shoal.set_clock(2, -HOUR);
    let mut ids = Vec::new();
    for number in 0..12 {
        let replicate = 1 + number as u16 % 3;
        ids.push(shoal.add(number % 3, copied("q", replicate)));
    }
    let taken = shoal.get(0, "q", 2);
    assert_eq!(taken.len(), 2);
    assert_eq!(purge_at(&mut shoal, 2), 12);
    assert_eq!(shoal.jobs(), 0);
    let purged: u64 = (0..3).map(|seat| shoal.node(seat).counters().purged).sum();
    assert_eq!(purged, 12);
    // What is added from now on stays, whatever the clocks say.
    let younger: Vec<JobId> = (0..3).map(|seat| shoal.add(seat, copied("q", 3))).collect();
    shoal.advance(5);
    for id in younger {
        assert_eq!(everywhere(&mut shoal, id).iter().flatten().count(), 3);
    }
    // The worker that has one of the old jobs may still ack it.
    assert_eq!(shoal.ack(0, taken[0].id), 0);
}

#[test]
fn a_node_that_was_away_deletes_its_jobs_when_it_returns() {
    let mut shoal = Shoal::new(3);
    let copied_job = shoal.add(2, copied("q", 3));
    let alone = shoal.add(2, copied("q", 1));
    // The others hear of it once a second.
    shoal.advance(2);
    shoal.kill(2);
    shoal.advance_ms(10);
    assert_eq!(
        purge_at(&mut shoal, 0),
        1,
        "the nodes that are there had one"
    );
    shoal.start(2);
    shoal.advance_ms(50);
    for id in [copied_job, alone] {
        assert_eq!(everywhere(&mut shoal, id), [None; 3]);
    }
    assert_eq!(shoal.get(2, "q", 5).len(), 0);
}

#[test]
fn the_two_sides_of_a_cut_agree_when_it_is_mended() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(2, copied("q", 3));
    shoal.cut(0, 2);
    shoal.cut(1, 2);
    shoal.advance_ms(20);
    // Nobody who is asked can know whether it was there before.
    let cut_off = shoal.add(2, copied("q", 1));
    assert_eq!(purge_at(&mut shoal, 0), 1);
    assert_eq!(everywhere(&mut shoal, id)[..2], [None; 2]);
    shoal.mend();
    shoal.advance_ms(50);
    assert_eq!(everywhere(&mut shoal, id), [None; 3]);
    assert!(shoal.show(2, cut_off).is_some());
    assert_eq!(purge_at(&mut shoal, 0), 1);
    assert_eq!(everywhere(&mut shoal, cut_off), [None; 3]);
    let younger = shoal.add(2, copied("q", 1));
    shoal.advance(2);
    assert!(shoal.show(2, younger).is_some());
}

#[test]
fn what_a_node_that_is_away_adds_after_a_purge_stays_whatever_its_clock_says() {
    for clock in [-HOUR, 0, HOUR] {
        let mut shoal = Shoal::new(3);
        shoal.set_clock(1, HOUR);
        shoal.set_clock(2, clock);
        let older = shoal.add(2, copied("q", 3));
        shoal.cut(0, 2);
        shoal.cut(1, 2);
        shoal.advance_ms(20);
        assert_eq!(purge_at(&mut shoal, 1), 1);
        let younger = shoal.add(2, copied("q", 1));
        shoal.mend();
        shoal.advance(2);
        assert_eq!(everywhere(&mut shoal, older), [None; 3]);
        assert!(shoal.show(2, younger).is_some(), "clock {clock}");
        shoal.kill(2);
        shoal.start(2);
        shoal.advance(30);
        assert!(shoal.show(2, younger).is_some(), "clock {clock}");
    }
}

#[test]
fn a_node_that_lost_its_store_and_its_time_keeps_what_it_adds_before_it_hears_of_the_purge() {
    let mut shoal = Shoal::new(3);
    shoal.add(2, copied("q", 1));
    assert_eq!(purge_at(&mut shoal, 0), 1);
    shoal.kill(2);
    shoal.wipe(2);
    shoal.set_clock(2, -HOUR);
    shoal.cut(0, 2);
    shoal.cut(1, 2);
    shoal.start(2);
    let younger = shoal.add(2, copied("q", 1));
    shoal.mend();
    shoal.advance(2);
    let digests = [0, 2].map(|seat| shoal.node(seat).settings_digest());
    assert_eq!(digests[0], digests[1], "it has heard");
    assert!(shoal.show(2, younger).is_some());
    assert_eq!(purge_at(&mut shoal, 0), 1);
}

#[test]
fn what_a_node_made_before_it_started_anew_goes_also_if_its_clock_was_ahead() {
    let mut shoal = Shoal::new(3);
    shoal.set_clock(2, HOUR);
    let id = shoal.add(2, copied("q", 2));
    let copies = everywhere(&mut shoal, id);
    let holder = copies[..2]
        .iter()
        .position(Option::is_some)
        .expect("it has a copy");
    shoal.kill(2);
    shoal.wipe(2);
    shoal.set_clock(2, 0);
    shoal.start(2);
    shoal.advance_ms(10);
    let purged = purge_at(&mut shoal, 1 - holder);
    assert_eq!((purged, everywhere(&mut shoal, id)), (1, vec![None; 3]));
}

#[test]
fn jobs_that_are_to_go_may_stand_behind_one_that_stays() {
    let mut shoal = Shoal::new(3);
    shoal.set_clock(1, HOUR);
    shoal.cut(0, 2);
    shoal.cut(1, 2);
    let stays = shoal.add(2, copied("q", 1));
    let goes = shoal.add(1, copied("q", 1));
    assert_eq!(purge_at(&mut shoal, 1), 1);
    let last = shoal.add(1, copied("q", 1));
    shoal.mend();
    shoal.advance(2);
    assert_eq!(everywhere(&mut shoal, goes), [None; 3]);
    let mut taken = Vec::new();
    for _ in 0..2 {
        taken.extend(shoal.get(0, "q", 5).iter().map(|job| job.id));
        shoal.advance_ms(100);
    }
    assert_eq!(taken, [stays, last]);
}

#[test]
fn a_mark_that_says_more_of_one_node_and_less_of_another_counts_as_far_as_it_says_more() {
    let mut shoal = Shoal::new(2);
    shoal.add(0, copied("q", 1));
    assert_eq!(purge_at(&mut shoal, 0), 1);
    let id = shoal.add(1, copied("q", 1));
    let created = shoal.show(1, id).expect("it is here").created;
    let start = id.start();
    let mark: Stamps = [(id.maker(), Stamp { start, created })]
        .into_iter()
        .collect();
    let setting = Setting {
        kind: SettingKind::PURGED,
        name: Arc::from(&b"q"[..]),
        value: Some(mark.text().as_bytes().into()),
        version: 1,
        node: Shoal::id(0),
    };
    let settings = Message::Settings([setting].into());
    shoal.feed(1, Event::Message(Shoal::id(0), settings));
    shoal.advance(1);
    assert_eq!(shoal.show(1, id), None);
    let digests = [0, 1].map(|seat| shoal.node(seat).settings_digest());
    assert_eq!(digests[0], digests[1], "both have all of it");
}

#[test]
fn a_copy_that_comes_late_is_not_taken() {
    let mut shoal = Shoal::new(3);
    shoal.hang(1);
    let id = shoal.add(
        0,
        AddJob {
            replication: Replication::Asynchronous,
            ..copied("q", 3)
        },
    );
    // Node 1 hears of the purge from node 0, behind the copy; the other way round at node 2.
    shoal.send(2, 9, PURGE);
    shoal.advance_ms(1500);
    shoal.wake(1);
    shoal.advance(2);
    assert_eq!(everywhere(&mut shoal, id), [None; 3]);
    shoal.advance(30);
    assert_eq!(shoal.jobs(), 0);
}

#[test]
fn the_producer_of_a_job_that_waits_for_copies_is_told() {
    let mut shoal = Shoal::new(3);
    shoal.hang(1);
    shoal.hang(2);
    let add = shoal.send(0, 4, Command::AddJob(copied("q", 3)));
    shoal.advance_ms(20);
    assert_eq!(shoal.answer(0, add), None);
    let ticket = shoal.send(0, 9, PURGE);
    shoal.advance(2);
    let removed = Reply::Refused(Refusal::RemovedWhileReplicating);
    assert_eq!(shoal.answer(0, add), Some(&removed));
    shoal.wake(1);
    shoal.wake(2);
    shoal.advance(2);
    assert!(matches!(shoal.answer(0, ticket), Some(Reply::Count(_))));
    assert_eq!(shoal.jobs(), 0);
}

#[test]
fn a_purge_of_a_purged_queue_takes_what_came_since() {
    let mut shoal = Shoal::new(2);
    shoal.add(0, copied("q", 2));
    assert_eq!(purge_at(&mut shoal, 0), 1);
    assert_eq!(purge_at(&mut shoal, 1), 0);
    shoal.add(1, copied("q", 2));
    shoal.add(0, copied("q", 2));
    assert_eq!(purge_at(&mut shoal, 1), 2);
    assert_eq!(shoal.jobs(), 0);
    let digests = [0, 1].map(|seat| shoal.node(seat).settings_digest());
    assert_eq!(digests[0], digests[1]);
}
