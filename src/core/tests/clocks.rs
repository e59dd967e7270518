//! The timeline across restarts, and jumps of the wall clock.

use super::bench::{Bench, WALL, job, job_with_retry, secs};
use crate::command::AddJob;
use crate::job::JobState;
use crate::record::Record;
use crate::time::WallTime;

const DAY: u64 = 86_400_000;

#[test]
fn the_timeline_goes_on_by_the_time_that_the_node_was_down() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        ttl: Some(100),
        ..job("q")
    });
    bench.advance(30);
    bench.restart(secs(50));
    assert_eq!(bench.show(id).map(|view| view.ttl), Some(20));
    bench.advance(19);
    assert!(bench.show(id).is_some());
    bench.restart(secs(1));
    assert_eq!(bench.show(id), None);
    assert_eq!(bench.node().total_tally().expired, 1);
}

#[test]
fn a_crash_costs_no_time_either() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        ttl: Some(1000),
        ..job("q")
    });
    bench.advance(130);
    bench.crash(secs(100));
    assert_eq!(bench.show(id).map(|view| view.ttl), Some(770));
}

#[test]
fn a_wall_clock_that_went_back_while_down_stops_the_timeline_but_never_turns_it() {
    let mut bench = Bench::new();
    let first = bench.add(AddJob {
        ttl: Some(100),
        ..job("q")
    });
    bench.advance(70);
    let second = bench.add(job("q"));
    let before = bench.time;
    bench.wall -= 30 * DAY;
    bench.crash(secs(0));
    assert_eq!(bench.time, before, "not before the last that it knows of");
    assert_eq!(bench.show(first).map(|view| view.ttl), Some(30));
    let third = bench.add(job("q"));
    let created = |bench: &mut Bench, id| bench.show(id).expect("it is here").created;
    assert!(created(&mut bench, second) < created(&mut bench, third));
}

#[test]
fn no_jump_of_the_wall_clock_expires_or_delays_anything() {
    for jump in [-400 * DAY.cast_signed(), 400 * DAY.cast_signed()] {
        let mut bench = Bench::new();
        let taken = bench.add(job_with_retry("q", 10));
        bench.take("q", 1);
        let delayed = bench.add(AddJob {
            delay: Some(20),
            ..job("r")
        });
        let queued = bench.add(job("s"));
        bench.advance(5);
        bench.wall = bench.wall.saturating_add_signed(jump);
        bench.advance(5);
        assert_eq!(bench.take("q", 1), [taken]);
        bench.advance_ms(9_999);
        assert_eq!(bench.state(delayed), JobState::Active);
        bench.advance_ms(1);
        assert_eq!(bench.state(delayed), JobState::Queued);
        assert_eq!(bench.show(queued).map(|view| view.ttl), Some(86_380));
    }
}

#[test]
fn a_crash_right_after_a_jump_of_the_wall_clock_expires_nothing() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        ttl: Some(3600),
        ..job("q")
    });
    bench.advance(10);
    bench.wall += 400 * DAY;
    bench.add(job("q"));
    bench.advance(5);
    bench.crash(secs(85));
    assert_eq!(bench.show(id).map(|view| view.ttl), Some(3500));
}

#[test]
fn creation_times_rise_whatever_the_wall_clock_does() {
    let mut bench = Bench::new();
    let mut last = 0;
    for (step, jump) in [0, 5, -DAY.cast_signed(), 1, 3 * DAY.cast_signed(), -1, -99]
        .into_iter()
        .enumerate()
    {
        bench.wall = bench.wall.saturating_add_signed(jump);
        for _ in 0..3 {
            let id = bench.add(job("q"));
            let created = bench.show(id).expect("it is here").created;
            assert!(created > last, "step {step}");
            last = created;
        }
        bench.crash(secs(0));
    }
}

#[test]
fn a_wall_clock_beyond_all_years_does_no_harm() {
    let mut bench = Bench::new();
    bench.wall = u64::MAX;
    let ids = bench.add_many("q", 3);
    assert_eq!(bench.take("q", 3).len(), 3);
    bench.wall = WALL;
    assert_eq!(ids.iter().map(|&id| bench.ack(id)).sum::<u64>(), 3);
}

#[test]
fn the_log_is_marked_every_minute_and_at_every_jump() {
    let mut bench = Bench::new();
    let marks = |bench: &Bench| {
        let marks = bench.log();
        marks
            .filter(|(_, record)| matches!(record, Record::Mark { .. }))
            .count()
    };
    bench.advance(180);
    assert_eq!(marks(&bench), 3);
    bench.wall += 500;
    bench.add(job("q"));
    assert_eq!(marks(&bench), 3, "clocks drift");
    bench.wall += 5000;
    bench.add(job("q"));
    bench.add(job("q"));
    assert_eq!(marks(&bench), 4);
    let now = bench.now();
    let mark = Record::Mark {
        time: now.time,
        wall: WallTime(bench.wall),
    };
    assert!(bench.log().any(|(_, record)| *record == mark));
}
