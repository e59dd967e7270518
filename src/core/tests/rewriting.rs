//! Segments of the log: when they retire, and how a rewrite frees them.

use super::bench::{Bench, SETTINGS, job, job_with_retry, secs};
use crate::command::AddJob;
use crate::event::{Event, Pace};
use crate::id::JobId;
use crate::job::JobState;
use crate::log::Reload;
use crate::node::{Log, Settings};
use crate::record::{Record, Segment};

#[test]
fn a_segment_stays_while_it_holds_a_live_job() {
    let mut bench = Bench::new();
    let first = bench.add(job("q"));
    bench.roll();
    let second = bench.add(job("q"));
    bench.roll();
    bench.ack(second);
    assert_eq!(bench.segments(), [1, 2, 3], "only the oldest may go");
    bench.ack(first);
    assert_eq!(bench.segments(), [3]);
    bench.crash(secs(0));
    assert_eq!(bench.node().job_count(), 0);
}

#[test]
fn the_current_segment_never_goes() {
    let mut bench = Bench::new();
    let id = bench.add(job("q"));
    bench.ack(id);
    assert_eq!(bench.segments(), [1]);
    bench.roll();
    assert_eq!(bench.segments(), [2]);
}

#[test]
fn expiry_and_flush_free_segments_too() {
    let mut bench = Bench::new();
    bench.add_many("q", 3);
    bench.roll();
    bench.advance(86_400);
    assert_eq!(bench.segments(), [2]);
    bench.add_many("q", 3);
    bench.roll();
    bench.feed(Event::Flush);
    assert_eq!(bench.segments(), [3]);
}

#[test]
fn what_a_start_finds_dead_frees_its_segments() {
    let mut bench = Bench::new();
    bench.add(job_with_retry("q", 0));
    bench.crash(secs(0));
    assert_eq!(bench.segments(), [2]);
}

#[test]
fn the_timeline_survives_the_segments_that_it_began_in() {
    let mut bench = Bench::new();
    let first = bench.add(job("q"));
    bench.advance(100);
    bench.roll();
    let id = bench.add(job("q"));
    bench.ack(first);
    assert_eq!(bench.segments(), [2]);
    let before = bench.time;
    bench.crash(secs(10));
    assert_eq!(bench.time, before + 10_000);
    assert_eq!(bench.show(id).map(|view| view.ttl), Some(86_390));
}

#[test]
fn a_rewrite_frees_all_earlier_segments_and_loses_nothing() {
    let mut bench = Bench::new();
    let ids = bench.add_many("q", 3000);
    bench.take("q", 10);
    bench.nack(ids[3]);
    bench.roll();
    for id in &ids[100..2900] {
        bench.ack(*id);
    }
    bench.roll();
    bench.feed(Event::Rewrite);
    assert!(bench.node().is_rewriting());
    bench.advance_ms(1);
    bench.ack(ids[2999]);
    let fresh = bench.add(job("q"));
    bench.advance_ms(100);
    assert!(!bench.node().is_rewriting());
    assert_eq!(bench.segments(), [3]);
    bench.crash(secs(0));
    assert_eq!(bench.node().job_count(), 200);
    assert_eq!(
        (bench.counters(ids[3]), bench.counters(ids[4])),
        ((1, 0), (0, 0))
    );
    assert!(bench.show(fresh).is_some() && bench.show(ids[2999]).is_none());
}

#[test]
fn a_crash_in_the_middle_of_a_rewrite_loses_nothing() {
    let mut bench = Bench::new();
    let ids = bench.add_many("q", 2500);
    bench.roll();
    bench.feed(Event::Rewrite);
    bench.advance_ms(1);
    assert!(bench.node().is_rewriting());
    bench.ack(ids[0]);
    bench.ack(ids[2499]);
    bench.crash(secs(0));
    assert_eq!(bench.node().job_count(), 2498);
    bench.roll();
    bench.feed(Event::Rewrite);
    bench.advance_ms(100);
    assert_eq!(bench.segments(), [bench.segment()]);
    bench.restart(secs(0));
    assert_eq!(bench.node().job_count(), 2498);
}

#[test]
fn a_flush_ends_a_rewrite() {
    let mut bench = Bench::new();
    bench.add_many("q", 2500);
    bench.roll();
    bench.feed(Event::Rewrite);
    bench.feed(Event::Flush);
    assert!(!bench.node().is_rewriting());
    bench.advance(1);
    bench.crash(secs(0));
    assert_eq!(bench.node().job_count(), 0);
}

#[test]
fn a_rewrite_asked_for_twice_is_one() {
    let mut bench = Bench::new();
    bench.add_many("q", 10);
    bench.roll();
    bench.feed(Event::Rewrite);
    bench.feed(Event::Rewrite);
    let before = bench.log().len();
    bench.advance_ms(50);
    let added = bench.log().len();
    assert_eq!(bench.log().filter(|(at, _)| at.segment == 2).count(), 11);
    assert!(added <= before + 10);
}

const UNLOGGED: Settings = Settings {
    log: Log::Off,
    ..SETTINGS
};

/// A node with jobs whose log is switched on only now.
fn switched_on(jobs: usize) -> Bench {
    let mut bench = Bench::with(UNLOGGED);
    bench.add_many("q", jobs);
    bench.take("q", 1);
    bench
        .disk
        .append(Record::Deleted(JobId::from_bytes([1; 24])));
    bench.open_log();
    bench
}

#[test]
fn a_log_switched_on_records_all_that_is_in_memory() {
    let mut bench = switched_on(2500);
    let fresh = bench.add(job("q"));
    bench.advance_ms(100);
    assert!(!bench.node().is_rewriting());
    assert_eq!(
        bench.segments(),
        [2],
        "what an older log held is of another time"
    );
    bench.crash(secs(0));
    assert_eq!(
        (bench.node().job_count(), bench.show(fresh).is_some()),
        (2501, true)
    );
}

#[test]
fn a_clean_stop_right_after_the_log_was_switched_on_loses_nothing() {
    let mut bench = switched_on(2500);
    bench.advance_ms(1);
    assert!(bench.node().is_rewriting());
    bench.restart(secs(0));
    assert_eq!((bench.node().job_count(), bench.len("q")), (2500, 2499));
}

#[test]
fn a_clean_stop_during_a_rewrite_records_no_job_twice() {
    let mut bench = Bench::new();
    bench.add_many("q", 2500);
    bench.roll();
    bench.feed(Event::Rewrite);
    bench.advance_ms(1);
    let added = |bench: &Bench| {
        let records = bench.log();
        records
            .filter(|(_, record)| matches!(record, Record::Added(_)))
            .count()
    };
    let before = added(&bench);
    bench.feed(Event::Stop);
    assert_eq!(
        added(&bench),
        before,
        "those not met yet lie in their old segments"
    );
    bench.start(secs(0), Reload::Active);
    assert_eq!(bench.len("q"), 2500);
}

#[test]
fn a_log_may_be_switched_off_and_on_again() {
    let mut bench = Bench::new();
    let first = bench.add(job("q"));
    bench.feed(Event::Configured(UNLOGGED));
    let second = bench.add(job("q"));
    bench.ack(first);
    bench.open_log();
    bench.advance_ms(10);
    bench.crash(secs(0));
    assert_eq!(
        (bench.node().job_count(), bench.state(second)),
        (1, JobState::Active)
    );
}

#[test]
fn the_log_needs_bytes_for_what_is_live() {
    let mut bench = Bench::new();
    assert_eq!(bench.node().live_log_bytes(), 0);
    let id = bench.add(job("q"));
    assert_eq!(bench.node().live_log_bytes(), 69);
    bench.ack(id);
    assert_eq!(bench.node().live_log_bytes(), 0);
}

/// To shrink by `bytes` bytes, with no bound on what the pass writes.
fn compact(bytes: u64) -> Event<'static> {
    let (below, room) = (Segment::MAX, u64::MAX);
    Event::Compact { bytes, below, room }
}

/// Segments of 100 jobs, of which the first of each is left.
fn with_one_job_a_segment(segments: usize) -> (Bench, Vec<JobId>) {
    let mut bench = Bench::new();
    let mut left = Vec::new();
    for _ in 0..segments {
        let ids = bench.add_many("q", 100);
        bench.roll();
        left.push(ids[0]);
        for &id in &ids[1..] {
            bench.ack(id);
        }
    }
    (bench, left)
}

#[test]
fn the_oldest_segments_are_freed_first_and_no_more_than_it_takes() {
    let (mut bench, left) = with_one_job_a_segment(10);
    assert_eq!(bench.segments().len(), 11);
    // A segment holds 6.9 kB of jobs that are gone, and their deletions.
    bench.feed(compact(15_000));
    bench.advance_ms(10);
    assert!(!bench.node().is_rewriting());
    assert_eq!(bench.segments(), [3, 4, 5, 6, 7, 8, 9, 10, 11]);
    let moved = bench.log().filter(|(at, record)| {
        at.segment == 11 && matches!(record, Record::Added(job) if left.contains(&job.id))
    });
    assert_eq!(moved.count(), 2, "only those two lay in there");
    bench.crash(secs(0));
    assert_eq!(bench.node().job_count(), 10);
}

#[test]
fn one_old_job_does_not_hold_what_came_after_it() {
    let mut bench = Bench::new();
    let old = bench.add(AddJob {
        delay: Some(80_000),
        ..job("q")
    });
    for _ in 0..50 {
        bench.roll();
        let ids = bench.add_many("q", 100);
        for id in ids {
            bench.ack(id);
        }
        let dead = bench.node().log_bytes() - bench.node().live_log_bytes();
        if dead > 50_000 {
            bench.feed(compact(dead));
            bench.advance_ms(10);
        }
        assert!(bench.segments().len() < 8, "{:?}", bench.segments());
    }
    bench.crash(secs(0));
    assert_eq!(bench.show(old).map(|view| view.delay), Some(80_000));
}

#[test]
fn a_log_of_the_current_segment_alone_is_left_alone() {
    let mut bench = Bench::new();
    bench.roll();
    let ids = bench.add_many("q", 10);
    for id in ids {
        bench.ack(id);
    }
    bench.roll();
    bench.add_many("q", 10);
    bench.feed(compact(1 << 30));
    assert!(
        !bench.node().is_rewriting(),
        "all is in the current segment"
    );
}

#[test]
fn live_segments_ahead_of_dead_ones_go_by_in_passes_that_keep_within_their_room() {
    let mut bench = Bench::new();
    for _ in 0..10 {
        bench.add_many("q", 100);
        bench.roll();
    }
    for _ in 0..10 {
        for id in bench.add_many("q", 50) {
            bench.ack(id);
        }
        bench.roll();
    }
    let live = bench.node().live_log_bytes();
    let room = live / 8;
    let mut dead = bench.node().dead_log_bytes();
    let mut passes = 0;
    // Each segment begins with a few bytes that are dead at once.
    while dead > room / 4 {
        bench.feed(Event::Compact {
            bytes: dead,
            below: Segment::MAX,
            room,
        });
        bench.advance_ms(10);
        assert!(!bench.node().is_rewriting());
        let current = bench.segment();
        let again = bench.log().filter(|(at, _)| at.segment == current);
        let recorded: u64 = again.map(|(_, record)| record.size()).sum();
        // And what is said of the timeline and of peers.
        assert!(recorded <= room + 200, "{recorded} bytes");
        bench.roll();
        dead = bench.node().dead_log_bytes();
        passes += 1;
        assert!(passes < 20, "{dead} bytes are dead still");
    }
    assert!(passes > 2, "{passes}");
    bench.crash(secs(0));
    assert_eq!(bench.node().job_count(), 1000);
}

#[test]
fn a_pass_waits_while_the_disk_takes_nothing() {
    let (mut bench, _) = with_one_job_a_segment(3);
    bench.feed(Event::LogPace(Pace::Stopped));
    bench.feed(compact(1 << 30));
    let before = bench.log().len();
    bench.advance_ms(1000);
    assert!(bench.node().is_rewriting());
    assert_eq!(bench.log().len(), before);
    bench.feed(Event::LogPace(Pace::Full));
    bench.advance_ms(10);
    assert_eq!(bench.segments(), [4]);
}

#[test]
fn a_rewrite_that_is_asked_for_takes_the_place_of_a_smaller_pass() {
    let (mut bench, left) = with_one_job_a_segment(3);
    bench.feed(Event::LogPace(Pace::Stopped));
    bench.feed(compact(1));
    assert!(bench.node().is_rewriting() && !bench.node().is_rewriting_all());
    bench.feed(Event::Rewrite);
    assert!(bench.node().is_rewriting_all());
    bench.feed(Event::LogPace(Pace::Full));
    bench.ack(left[1]);
    bench.advance_ms(10);
    assert_eq!(bench.segments(), [4]);
    bench.crash(secs(0));
    assert_eq!(bench.node().job_count(), 2);
}

#[test]
fn what_is_counted_of_the_log_survives_a_restart() {
    let (mut bench, left) = with_one_job_a_segment(4);
    bench.ack(left[3]);
    let (live, all) = (bench.node().live_log_bytes(), bench.node().log_bytes());
    assert_eq!(live, 3 * 69);
    bench.crash(secs(0));
    assert_eq!(bench.node().live_log_bytes(), live);
    assert!(bench.node().log_bytes() >= all);
    bench.roll();
    bench.feed(Event::Rewrite);
    bench.advance_ms(10);
    assert_eq!(bench.segments(), [bench.segment()]);
    assert!(
        bench.node().log_bytes() < 1000,
        "{}",
        bench.node().log_bytes()
    );
}

#[test]
fn what_was_written_together_stays_together() {
    let mut bench = Bench::new();
    // The youngest of these have the lowest slots.
    let former = bench.add_many("q", 900);
    for id in former {
        bench.ack(id);
    }
    let mut groups = Vec::new();
    for _ in 0..3 {
        bench.roll();
        groups.push(bench.add_many("q", 300));
    }
    bench.roll();
    bench.feed(compact(u64::MAX));
    bench.advance_ms(100);
    let current = bench.segment();
    assert_eq!(bench.segments(), [current]);
    let group_of = |id: &JobId| groups.iter().position(|group| group.contains(id));
    let order: Vec<_> = bench
        .log()
        .filter_map(|(_, record)| match record {
            Record::Added(job) => group_of(&job.id),
            _ => None,
        })
        .collect();
    assert_eq!(order.len(), 900);
    assert!(order.is_sorted(), "the oldest come first");
}
