//! Clean and unclean stops, and what becomes of jobs.

use super::bench::{Bench, SETTINGS, job, job_with_retry, secs};
use crate::command::{AddJob, Command, Wait};
use crate::event::Event;
use crate::job::JobState;
use crate::log::{Position, Reload, Restore};
use crate::node::{Log, Settings};
use crate::record::Record;
use crate::telling::Depths;

#[test]
fn after_a_clean_stop_every_job_stands_where_it_stood() {
    let mut bench = Bench::new();
    let ids = bench.add_many("q", 4);
    assert_eq!(bench.take("q", 2), ids[..2]);
    bench.nack(ids[0]);
    bench.take("q", 1);
    bench.advance(100);
    bench.restart(secs(20));
    assert_eq!(bench.counters(ids[0]), (1, 0));
    let left = bench.show(ids[1]).and_then(|view| view.next_requeue);
    assert_eq!(left, Some(secs(180)));
    assert_eq!(bench.take("q", 9), ids[2..]);
    assert_eq!(bench.counters(ids[2]), (0, 0), "a restart is no requeue");
    bench.advance(180);
    assert_eq!(bench.take("q", 9), ids[..2]);
}

#[test]
fn after_a_crash_jobs_are_active_until_their_retry_is_over() {
    let mut bench = Bench::new();
    let ids: Vec<_> = (0..3).map(|_| bench.add(job_with_retry("q", 10))).collect();
    bench.take("q", 1);
    bench.crash(secs(5));
    assert_eq!(bench.len("q"), 0);
    bench.advance_ms(9_999);
    assert_eq!(bench.len("q"), 0);
    bench.advance_ms(1);
    assert_eq!(bench.take("q", 9), ids);
}

#[test]
fn after_a_crash_a_queue_tells_how_many_jobs_wait_for_their_retry_and_until_when() {
    let mut bench = Bench::new();
    let ids: Vec<_> = [10, 20, 30, 40]
        .map(|retry| bench.add(job_with_retry("q", retry)))
        .into();
    bench.add(AddJob {
        delay: Some(50),
        ..job("q")
    });
    bench.take("q", 1);
    bench.crash(secs(5));
    let told = |bench: &mut Bench| {
        let view = bench.stat("q").expect("its jobs wait");
        let waits = bench.waits("q").expect("it is open");
        let Depths {
            active,
            delayed,
            restored,
            copies,
            ..
        } = waits.depths;
        assert_eq!((delayed, copies), (1, 0));
        let now = bench.now().time;
        assert_eq!(bench.node().total_depths().restored, restored);
        assert_eq!(bench.node().restored_within(now), waits.restored_within);
        (view.len, active, restored, waits.restored_within)
    };
    assert_eq!(told(&mut bench), (0, 0, 4, Some(secs(40))));
    bench.advance(10);
    assert_eq!(told(&mut bench), (1, 0, 3, Some(secs(30))));
    bench.take("q", 1);
    bench.nack(ids[1]);
    bench.ack(ids[2]);
    assert_eq!(told(&mut bench), (1, 1, 1, Some(secs(30))));
    bench.advance(5);
    bench.count(Command::working(Some(ids[3])));
    assert_eq!(told(&mut bench), (1, 2, 0, None), "somebody works on it");
}

#[test]
fn a_pause_after_a_crash_puts_off_what_waits() {
    let mut bench = Bench::new();
    bench.add(job_with_retry("q", 10));
    bench.crash(secs(5));
    bench.pause("q", true, false);
    bench.advance(12);
    let waits = bench.waits("q").expect("it is open");
    assert_eq!(
        (waits.depths.restored, waits.restored_within),
        (1, Some(secs(8)))
    );
}

#[test]
fn after_a_clean_stop_only_what_was_out_waits_for_its_retry() {
    let mut bench = Bench::new();
    let ids = bench.add_many("q", 3);
    bench.take("q", 1);
    bench.advance(100);
    for _ in 0..2 {
        bench.restart(secs(0));
        let waits = bench.waits("q").expect("it is open").depths;
        assert_eq!((waits.ready, waits.restored, waits.copies), (2, 1, 0));
    }
    bench.ack(ids[0]);
    let waits = bench.waits("q").expect("it is open");
    assert_eq!((waits.depths.restored, waits.restored_within), (0, None));
}

#[test]
fn with_enqueue_jobs_once_a_crash_queues_jobs_at_once_in_order() {
    let mut bench = Bench::new();
    let ids: Vec<_> = (0..3).map(|_| bench.add(job_with_retry("q", 10))).collect();
    let delayed = bench.add(AddJob {
        delay: Some(50),
        ..job("q")
    });
    let once = bench.add(job_with_retry("q", 0));
    bench.take("q", 2);
    bench.start(secs(5), Reload::Queued);
    assert_eq!(bench.node().counters().redelivered_restart, 3);
    assert_eq!(bench.take("q", 9), ids);
    assert_eq!(
        (bench.state(delayed), bench.show(once)),
        (JobState::Active, None)
    );
}

#[test]
fn enqueue_jobs_once_changes_nothing_after_a_clean_stop() {
    let mut bench = Bench::new();
    let ids = bench.add_many("q", 2);
    bench.take("q", 1);
    bench.feed(Event::Stop);
    bench.start(secs(0), Reload::Queued);
    assert_eq!(bench.take("q", 9), ids[1..]);
}

#[test]
fn at_most_once_jobs_survive_a_clean_stop_undelivered() {
    let mut bench = Bench::new();
    let ids: Vec<_> = (0..3).map(|_| bench.add(job_with_retry("q", 0))).collect();
    assert_eq!(bench.take("q", 1), ids[..1]);
    bench.restart(secs(1));
    assert_eq!(bench.take("q", 9), ids[1..]);
    assert_eq!(bench.ack(ids[0]), 1, "a delivered one is still known");
    bench.restart(secs(1));
    assert_eq!(bench.take("q", 9), []);
}

#[test]
fn at_most_once_jobs_are_dropped_by_a_crash() {
    let mut bench = Bench::new();
    for queue in ["taken", "queued"] {
        bench.add(job_with_retry(queue, 0));
    }
    bench.add(AddJob {
        delay: Some(5),
        ..job_with_retry("delayed", 0)
    });
    bench.take("taken", 1);
    bench.crash(secs(0));
    assert_eq!(
        (bench.node().job_count(), bench.node().total_tally().dropped),
        (0, 3)
    );
    bench.restart(secs(0));
    assert_eq!(bench.node().job_count(), 0);
}

#[test]
fn a_crash_after_a_clean_restart_delivers_no_at_most_once_job_again() {
    let mut bench = Bench::new();
    let id = bench.add(job_with_retry("q", 0));
    bench.restart(secs(0));
    assert_eq!(bench.take("q", 1), [id]);
    bench.crash(secs(0));
    assert_eq!((bench.take("q", 1), bench.node().job_count()), (vec![], 0));
}

#[test]
fn a_start_is_recorded_before_anything_else() {
    let mut bench = Bench::new();
    bench.add(job_with_retry("q", 0));
    bench.feed(Event::Stop);
    let length = bench.log().len();
    bench.start(secs(0), Reload::Active);
    assert!(matches!(
        bench.log().nth(length),
        Some((_, Record::Started { .. }))
    ));
}

#[test]
fn a_stop_without_its_closing_record_is_a_crash() {
    let mut bench = Bench::new();
    let often = bench.add(job_with_retry("q", 10));
    bench.add(job_with_retry("q", 0));
    bench.feed(Event::Stop);
    assert!(matches!(
        bench.log().last(),
        Some((_, Record::Closed { .. }))
    ));
    bench.disk.crash(Position(bench.disk.given().0 - 1));
    bench.start(secs(0), Reload::Active);
    assert_eq!((bench.node().job_count(), bench.len("q")), (1, 0));
    bench.feed(Event::Stop);
    bench.start(secs(0), Reload::Active);
    assert_eq!(
        bench.state(often),
        JobState::Active,
        "the older standing counts no more"
    );
}

#[test]
fn a_delay_goes_on_over_restarts() {
    for clean in [true, false] {
        let mut bench = Bench::new();
        let id = bench.add(AddJob {
            delay: Some(100),
            ..job("q")
        });
        bench.advance(30);
        if clean {
            bench.restart(secs(30));
        } else {
            bench.crash(secs(30));
        }
        bench.advance_ms(39_999);
        assert_eq!(bench.state(id), JobState::Active);
        bench.advance_ms(1);
        assert_eq!(
            (bench.state(id), bench.counters(id)),
            (JobState::Queued, (0, 0))
        );
    }
}

#[test]
fn a_delay_that_ended_in_a_pause_is_over_after_a_clean_restart() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        delay: Some(5),
        ..job_with_retry("q", 100)
    });
    bench.pause("q", true, false);
    bench.advance(10);
    bench.restart(secs(0));
    bench.advance(0);
    assert_eq!(bench.take("q", 1), [id]);
    assert_eq!(bench.counters(id), (0, 0), "it was its first queueing");
}

#[test]
fn where_a_job_stood_at_an_earlier_stop_counts_no_more() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        delay: Some(20),
        ..job_with_retry("q", 1)
    });
    bench.enqueue(id);
    bench.restart(secs(0));
    assert_eq!(bench.len("q"), 1);
    bench.crash(secs(0));
    bench.restart(secs(0));
    let next = bench.show(id).and_then(|view| view.next_requeue);
    assert_eq!((bench.len("q"), next), (0, Some(secs(20))));
}

#[test]
fn a_delay_or_retry_that_ended_during_a_clean_stop_is_over() {
    let mut bench = Bench::new();
    let delayed = bench.add(AddJob {
        delay: Some(10),
        ..job("q")
    });
    let taken = bench.add(job_with_retry("q", 20));
    bench.take("q", 1);
    let once = bench.add(AddJob {
        delay: Some(15),
        ..job_with_retry("q", 0)
    });
    bench.restart(secs(60));
    bench.advance(0);
    assert_eq!(bench.take("q", 9), [delayed, taken, once]);
    assert_eq!(
        (bench.counters(delayed), bench.counters(taken)),
        ((0, 0), (0, 1))
    );
}

#[test]
fn jobs_that_expired_during_the_stop_are_gone_from_the_log_too() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        ttl: Some(10),
        ..job("q")
    });
    bench.restart(secs(10));
    assert_eq!((bench.show(id), bench.stat("q")), (None, None));
    assert!(
        bench
            .log()
            .any(|(_, record)| *record == Record::Deleted(id))
    );
}

#[test]
fn waits_pauses_and_figures_end_with_the_process() {
    let mut bench = Bench::new();
    bench.add(job("q"));
    bench.pause("q", false, true);
    bench.wait(3, &["q"], Wait::Forever);
    bench.restart(secs(0));
    assert_eq!(bench.node().waiting_count(), 0);
    assert_eq!(bench.take("q", 2).len(), 1);
}

#[test]
fn a_flush_outlives_the_process() {
    let mut bench = Bench::new();
    bench.add_many("q", 3);
    bench.feed(Event::Flush);
    let id = bench.add(job("q"));
    bench.crash(secs(0));
    assert_eq!(
        (bench.node().job_count(), bench.show(id).is_some()),
        (1, true)
    );
}

#[test]
fn without_a_log_nothing_is_recorded() {
    let mut bench = Bench::with(Settings {
        log: Log::Off,
        ..SETTINGS
    });
    let ids = bench.add_many("q", 2);
    bench.take("q", 1);
    bench.ack(ids[0]);
    bench.advance(100);
    bench.feed(Event::Flush);
    bench.feed(Event::Rewrite);
    bench.wall += 1_000_000;
    bench.roll();
    bench.feed(Event::Stop);
    assert_eq!(bench.log().len(), 0);
}

#[test]
fn a_later_record_of_a_job_takes_the_place_of_an_earlier_one() {
    let mut bench = Bench::new();
    let id = bench.add(job("q"));
    let Some((_, Record::Added(record))) = bench.log().last() else {
        panic!("the job was recorded");
    };
    let mut again = record.clone();
    again.nacks = 7;
    bench.disk.append(Record::Added(again));
    bench.crash(secs(0));
    assert_eq!((bench.node().job_count(), bench.counters(id)), (1, (7, 0)));
}

#[test]
fn a_log_says_whether_it_ends_with_a_clean_stop() {
    let mut bench = Bench::new();
    bench.add(job("q"));
    let is_clean = |bench: &Bench| {
        let mut restore = Restore::new(super::bench::node_id(), SETTINGS, [0; 32]);
        for (at, record) in bench.log() {
            restore.apply(at, record.clone());
        }
        (restore.is_clean(), restore.job_count())
    };
    assert_eq!(is_clean(&bench), (false, 1));
    bench.feed(Event::Stop);
    assert_eq!(is_clean(&bench), (true, 1));
    bench.start(secs(0), Reload::Active);
    assert_eq!(is_clean(&bench), (false, 1));
}

#[test]
fn restarting_twice_with_the_same_log_gives_the_same_node() {
    let mut bench = Bench::new();
    bench.add_many("q", 5);
    bench.take("q", 2);
    bench.advance(3);
    bench.feed(Event::Stop);
    let start = |bench: &Bench| {
        let mut restore = Restore::new(super::bench::node_id(), SETTINGS, [9; 32]);
        for (at, record) in bench.log() {
            restore.apply(at, record.clone());
        }
        let start = crate::log::Start {
            now: bench.now(),
            generation: 2,
            segment: 9,
            topic_segment: 1,
            reload: Reload::Active,
        };
        let mut effects = Vec::new();
        let node = restore.finish(start, &mut effects);
        format!("{node:?} {effects:?}")
    };
    assert_eq!(start(&bench), start(&bench));
}

#[test]
fn a_retry_longer_than_the_ttl_does_not_keep_a_job_from_being_delivered_after_a_crash() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        ttl: Some(60),
        ..job_with_retry("q", 300)
    });
    bench.crash(secs(10));
    bench.advance(24);
    assert_eq!(bench.take("q", 9), []);
    bench.advance(1);
    assert_eq!(bench.take("q", 9), [id]);
}
