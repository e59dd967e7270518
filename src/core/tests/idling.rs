//! Queues that are empty for long enough go.

use super::bench::{Bench, SETTINGS, job, job_with_retry, secs};
use crate::command::{AddJob, Wait};
use crate::event::Event;
use crate::node::{MemoryLevel, Settings};

#[test]
fn an_empty_queue_goes_after_five_idle_minutes() {
    let mut bench = Bench::new();
    bench.add(job("q"));
    bench.advance(1000);
    assert!(bench.stat("q").is_some(), "it is not empty");
    let id = bench.take_one("q").id;
    bench.ack(id);
    bench.advance(299);
    assert_eq!(bench.stat("q").map(|view| view.idle), Some(secs(299)));
    bench.advance(1);
    assert_eq!(bench.stat("q"), None);
    bench.advance(600);
    assert_eq!(bench.node().used_by_load(), 0, "its job is forgotten, too");
}

#[test]
fn the_five_minutes_count_from_the_last_use() {
    let mut bench = Bench::new();
    for _ in 0..4 {
        let id = bench.add(job("q"));
        bench.take("q", 1);
        bench.ack(id);
        bench.advance(100);
    }
    bench.advance(199);
    assert!(bench.stat("q").is_some());
    bench.advance(1);
    assert_eq!(bench.stat("q"), None);
}

#[test]
fn a_queue_stays_while_somebody_waits_for_it() {
    let mut bench = Bench::new();
    bench.wait(3, &["q"], Wait::AtMost(secs(1000)));
    bench.advance(999);
    assert!(bench.stat("q").is_some());
    bench.advance(301);
    assert_eq!(bench.stat("q"), None);
}

#[test]
fn a_queue_stays_while_a_job_of_it_is_out() {
    let mut bench = Bench::new();
    let id = bench.add(job_with_retry("q", 1000));
    bench.take("q", 1);
    bench.advance(999);
    let view = bench.stat("q").expect("a client has its job");
    assert_eq!((view.len, view.jobs_out, view.idle), (0, 1, secs(999)));
    bench.advance(1);
    let view = bench.stat("q").expect("the job is queued again");
    assert_eq!((view.len, view.jobs_in, view.age), (1, 2, secs(1000)));
    assert_eq!(bench.take("q", 1), [id]);
    bench.ack(id);
    bench.advance(600);
    assert_eq!((bench.stat("q"), bench.node().used_by_load()), (None, 0));
}

#[test]
fn a_queue_is_there_while_its_only_job_is_delayed() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        delay: Some(1000),
        ..job("q")
    });
    bench.advance(999);
    let view = bench.stat("q").expect("its job will come");
    assert_eq!((view.len, view.jobs_in, view.age), (0, 0, secs(999)));
    bench.ack(id);
    bench.advance(600);
    assert_eq!((bench.stat("q"), bench.node().used_by_load()), (None, 0));
}

/// A node that is at this level of memory, by what its shell reports.
fn pressed(level: MemoryLevel) -> Bench {
    let mut bench = Bench::with(Settings {
        max_memory: 1_000_000,
        ..SETTINGS
    });
    bench.feed(Event::ClientBuffers(match level {
        MemoryLevel::Normal => 0,
        MemoryLevel::External => 800_000,
        MemoryLevel::Evict => 960_000,
        MemoryLevel::Full => 1_000_000,
    }));
    assert_eq!(bench.node().memory_level(), level);
    bench
}

#[test]
fn empty_queues_go_sooner_when_memory_is_short() {
    for (level, stays) in [
        (MemoryLevel::Normal, 299),
        (MemoryLevel::External, 9),
        (MemoryLevel::Evict, 1),
        (MemoryLevel::Full, 1),
    ] {
        let mut bench = pressed(level);
        bench.pause("q", false, true);
        bench.pause("q", false, false);
        bench.advance(stays);
        bench.feed(Event::MemoryPressure);
        assert!(bench.stat("q").is_some(), "{level:?}");
        bench.advance(1);
        bench.feed(Event::MemoryPressure);
        assert_eq!(bench.stat("q"), None, "{level:?}");
    }
}

#[test]
fn a_queue_whose_job_is_out_is_not_swept_until_that_is_done() {
    let mut bench = pressed(MemoryLevel::Normal);
    let id = bench.add(job_with_retry("q", 20));
    bench.take("q", 1);
    bench.feed(Event::ClientBuffers(960_000));
    bench.advance(10);
    bench.feed(Event::MemoryPressure);
    assert!(bench.stat("q").is_some(), "its job comes back");
    bench.ack(id);
    bench.advance(2);
    bench.feed(Event::MemoryPressure);
    assert_eq!(bench.stat("q"), None);
}

#[test]
fn queues_in_use_are_not_swept() {
    let mut bench = pressed(MemoryLevel::Evict);
    bench.feed(Event::ClientBuffers(0));
    bench.add(job("full"));
    bench.feed(Event::ClientBuffers(960_000));
    bench.wait(3, &["awaited"], Wait::Forever);
    bench.pause("paused", true, false);
    bench.advance(100);
    bench.feed(Event::MemoryPressure);
    for queue in ["full", "awaited", "paused"] {
        assert!(bench.stat(queue).is_some(), "{queue}");
    }
}
