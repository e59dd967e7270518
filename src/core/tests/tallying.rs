//! What is counted of each queue, for the metrics.

use super::bench::{Bench, SETTINGS, job};
use crate::command::AddJob;
use crate::event::Event;
use crate::node::Settings;
use crate::telling::{Depths, JOB_MILLIS, Tally};

fn depths(bench: &Bench, queue: &str) -> Depths {
    let now = bench.now().time;
    let mut queues = bench.node().queue_metrics(now);
    let found = queues.find(|found| found.name == queue.as_bytes());
    found.map(|found| found.depths).unwrap_or_default()
}

fn tally(bench: &Bench, queue: &str) -> Tally {
    let now = bench.now().time;
    let mut queues = bench.node().queue_metrics(now);
    let found = queues.find(|found| found.name == queue.as_bytes());
    *found.expect("it has its own").tally
}

#[test]
fn a_job_counts_for_what_is_done_with_it() {
    let mut bench = Bench::new();
    bench.add(AddJob {
        delay: Some(5),
        body: b"12345",
        ..job("q")
    });
    let delayed = Depths {
        delayed: 1,
        bytes: 5,
        ..Depths::default()
    };
    assert_eq!(depths(&bench, "q"), delayed);
    bench.advance(6);
    let ready = Depths {
        ready: 1,
        bytes: 5,
        ..Depths::default()
    };
    assert_eq!(depths(&bench, "q"), ready);
    bench.advance(2);
    let taken = bench.get(&["q"], 1);
    let active = Depths {
        active: 1,
        bytes: 5,
        ..Depths::default()
    };
    assert_eq!(depths(&bench, "q"), active);
    bench.advance(20);
    bench.ack(taken[0].id);
    assert_eq!(depths(&bench, "q"), Depths::default());
    let tally = tally(&bench, "q");
    assert_eq!((tally.added, tally.delivered, tally.acked), (1, 1, 1));
    // Due after 5 s, delivered 3 s later, done after 20.
    let bucket = |counts: [u64; JOB_MILLIS.len()], above: u64| {
        let at = JOB_MILLIS.iter().position(|&bound| bound == above);
        counts[at.expect("a bound")]
    };
    assert_eq!(bucket(tally.wait.counts, 5000), 1);
    assert_eq!(bucket(tally.service.counts, 30_000), 1);
    assert_eq!((tally.wait.sum, tally.service.sum), (3000, 20_000));
    assert_eq!(bench.node().total_tally(), tally);
}

#[test]
fn queues_beyond_the_bound_share_a_tally_and_one_that_is_gone_makes_room() {
    let mut bench = Bench::with(Settings {
        tallied_queues: 1,
        ..SETTINGS
    });
    bench.add(job("first"));
    bench.advance(1);
    bench.add(job("second"));
    assert_eq!(tally(&bench, "first").added, 1);
    assert_eq!(bench.node().other_tally().added, 1);
    bench.advance(1);
    let now = bench.now().time;
    assert_eq!(bench.node().oldest_ready(now).as_secs(), 2);
    let taken = bench.get(&["first"], 1);
    bench.ack(taken[0].id);
    // An empty queue closes after some minutes.
    bench.advance(600);
    assert_eq!(depths(&bench, "second").ready, 1, "it has its own now");
    assert_eq!(tally(&bench, "second"), Tally::default());
    let now = bench.now().time;
    let oldest = bench.node().oldest_ready(now);
    assert!(oldest.as_secs() >= 601, "{oldest:?}");
    bench.add(job("third"));
    assert_eq!(bench.node().other_tally().added, 2);
    let settings = Settings {
        tallied_queues: 2,
        ..SETTINGS
    };
    bench.feed(Event::Configured(settings));
    assert_eq!(depths(&bench, "third").ready, 1, "and so has this one");
    assert_eq!(bench.node().total_tally().added, 3);
}
