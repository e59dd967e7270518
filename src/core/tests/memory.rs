//! Levels of memory, and eviction.

use super::bench::{Bench, SETTINGS, job, job_with_retry, secs};
use super::shoal::Shoal;
use crate::command::{AddJob, Refusal};
use crate::event::Event;
use crate::node::{Eviction, MemoryLevel, Settings};

const BOUNDED: Settings = Settings {
    max_memory: 100_000,
    ..SETTINGS
};

#[test]
fn an_empty_node_uses_nothing_and_goes_back_to_it() {
    let mut bench = Bench::new();
    assert_eq!(bench.node().used_by_load(), 0);
    let id = bench.add(AddJob {
        body: &[0; 1000],
        ..job("q")
    });
    assert!((1100..1700).contains(&bench.node().used_by_load()));
    bench.ack(id);
    bench.advance(600);
    assert_eq!(bench.node().used_by_load(), 0);
}

#[test]
fn levels_begin_at_75_95_and_100_percent() {
    let mut bench = Bench::with(BOUNDED);
    for (bytes, level) in [
        (0, MemoryLevel::Normal),
        (74_999, MemoryLevel::Normal),
        (75_000, MemoryLevel::External),
        (95_000, MemoryLevel::Evict),
        (99_999, MemoryLevel::Evict),
        (100_000, MemoryLevel::Full),
        (u64::MAX / 2, MemoryLevel::Full),
    ] {
        bench.feed(Event::ClientBuffers(bytes));
        assert_eq!(bench.node().memory_level(), level, "{bytes}");
    }
}

#[test]
fn without_a_bound_memory_is_never_short() {
    let mut bench = Bench::new();
    bench.feed(Event::ClientBuffers(u64::MAX / 2));
    assert_eq!(bench.node().memory_level(), MemoryLevel::Normal);
}

#[test]
fn a_lone_node_refuses_jobs_from_75_percent_and_still_serves() {
    let mut bench = Bench::with(BOUNDED);
    let id = bench.add(job("q"));
    bench.feed(Event::ClientBuffers(75_000));
    assert_eq!(bench.try_add(job("q")), Err(Refusal::TooFewNodesMemory));
    assert!(bench.node().refuses_adds());
    assert_eq!(bench.take("q", 1), [id]);
    assert_eq!(bench.ack(id), 1);
    bench.feed(Event::ClientBuffers(74_000));
    assert!(!bench.node().refuses_adds());
    bench.add(job("q"));
}

#[test]
fn a_node_without_memory_adds_jobs_as_long_as_another_one_takes_them() {
    let mut shoal = Shoal::with(3, BOUNDED);
    let add = AddJob {
        replicate: Some(1),
        ..job("q")
    };
    for seat in [0, 1] {
        shoal.feed(seat, Event::ClientBuffers(80_000));
        shoal.advance_ms(1_500);
        assert!(!shoal.node(0).refuses_adds(), "{seat}");
        shoal.add(0, add.clone());
    }
    shoal.feed(2, Event::ClientBuffers(80_000));
    shoal.advance_ms(1_500);
    assert!((0..3).all(|seat| shoal.node(seat).refuses_adds()));
    shoal.feed(0, Event::ClientBuffers(0));
    shoal.advance_ms(1_500);
    assert!((0..3).all(|seat| !shoal.node(seat).refuses_adds()));
    shoal.feed(1, Event::ClientBuffers(100_000));
    assert!(shoal.node(1).refuses_adds(), "whatever others have");
}

#[test]
fn pressure_evicts_delivered_at_most_once_jobs_oldest_first_and_no_others() {
    let mut bench = Bench::with(BOUNDED);
    let keeps = [bench.add(job("a")), bench.add(job_with_retry("b", 0))];
    bench.take("a", 1);
    let add = AddJob {
        body: &[0; 1000],
        ..job_with_retry("once", 0)
    };
    let once: Vec<_> = (0..10).map(|_| bench.add(add.clone())).collect();
    assert_eq!(bench.take("once", 10), once);
    bench.feed(Event::MemoryPressure);
    assert_eq!(bench.node().job_count(), 12, "there is memory");
    let used = bench.node().used_by_load();
    bench.feed(Event::ClientBuffers(95_000 - used + 2500));
    bench.feed(Event::MemoryPressure);
    assert_eq!(bench.node().counters().evicted, 3);
    assert_eq!(bench.node().memory_level(), MemoryLevel::External);
    let left: Vec<_> = once
        .iter()
        .filter(|&&id| bench.show(id).is_some())
        .collect();
    assert_eq!(left, once[3..].iter().collect::<Vec<_>>());
    bench.feed(Event::ClientBuffers(100_000));
    bench.feed(Event::MemoryPressure);
    assert!(keeps.iter().all(|&id| bench.show(id).is_some()));
    assert_eq!(bench.node().job_count(), 2);
    bench.crash(secs(1));
    assert_eq!(bench.node().job_count(), 1, "evictions are in the log");
}

#[test]
fn noeviction_evicts_nothing() {
    let mut bench = Bench::with(Settings {
        eviction: Eviction::Never,
        ..BOUNDED
    });
    let id = bench.add(job_with_retry("q", 0));
    bench.take("q", 1);
    bench.feed(Event::ClientBuffers(200_000));
    bench.feed(Event::MemoryPressure);
    assert!(bench.show(id).is_some());
    bench.feed(Event::Configured(BOUNDED));
    bench.feed(Event::MemoryPressure);
    assert_eq!(bench.show(id), None);
}

#[test]
fn an_acked_job_is_no_candidate_for_eviction_any_more() {
    let mut bench = Bench::with(BOUNDED);
    let ids: Vec<_> = (0..3).map(|_| bench.add(job_with_retry("q", 0))).collect();
    bench.take("q", 3);
    bench.ack(ids[1]);
    bench.feed(Event::ClientBuffers(200_000));
    bench.feed(Event::MemoryPressure);
    assert_eq!(
        (bench.node().job_count(), bench.node().counters().evicted),
        (0, 2)
    );
}
