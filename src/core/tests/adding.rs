//! ADDJOB.

use super::bench::{Bench, job, job_with_retry, secs};
use crate::command::{AddJob, Refusal, Replication, Wait};
use crate::event::Event;
use crate::id::Guarantee;
use crate::job::JobState;
use crate::record::Record;

#[test]
fn a_job_is_queued_at_once() {
    let mut bench = Bench::new();
    let id = bench.add(job("q"));
    assert_eq!(bench.state(id), JobState::Queued);
    assert_eq!(bench.len("q"), 1);
    assert_eq!(bench.take("q", 1), [id]);
}

#[test]
fn a_job_is_recorded_before_it_is_answered() {
    let mut bench = Bench::new();
    let id = bench.add(job("q"));
    let last = bench.log().last().map(|(_, record)| record.clone());
    assert!(matches!(last, Some(Record::Added(job)) if job.id == id));
}

#[test]
fn retry_is_a_tenth_of_the_ttl_from_1_to_300() {
    let mut bench = Bench::new();
    let mut retry_of = |ttl| {
        let id = bench.add(AddJob {
            ttl: Some(ttl),
            ..job("q")
        });
        bench.show(id).expect("just added").retry
    };
    assert_eq!(
        [5, 10, 59, 2999, 3000, 86_400].map(&mut retry_of),
        [1, 1, 5, 299, 300, 300]
    );
}

#[test]
fn an_id_tells_ttl_and_guarantee() {
    let mut bench = Bench::new();
    let id = bench.add(job("q"));
    assert_eq!(&id.to_string()[..11], "D-07070707-");
    assert_eq!(&id.to_string()[35..], "-05a1");
    let id = bench.add(job_with_retry("q", 0));
    assert_eq!(id.guarantee(), Guarantee::AtMostOnce);
    assert_eq!(&id.to_string()[35..], "-05a0");
}

#[test]
fn a_delayed_job_is_active_until_its_delay_is_over() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        delay: Some(10),
        ..job("q")
    });
    assert_eq!(bench.state(id), JobState::Active);
    bench.advance_ms(9_999);
    assert_eq!(bench.take("q", 1), []);
    bench.advance_ms(1);
    assert_eq!(bench.take("q", 1), [id]);
    assert_eq!(
        bench.counters(id),
        (0, 0),
        "the end of a delay counts as nothing"
    );
}

#[test]
fn jobs_whose_delay_ends_together_are_handed_out_in_order_of_creation() {
    for before in [0, 37, 4000, 260_000] {
        let mut bench = Bench::new();
        bench.advance_ms(before);
        let delayed = AddJob {
            delay: Some(5),
            ..job("q")
        };
        let ids: Vec<_> = (0..3).map(|_| bench.add(delayed.clone())).collect();
        let waits: Vec<_> = (0..3)
            .map(|client| bench.wait(client, &["q"], Wait::Forever))
            .collect();
        bench.advance(5);
        let got: Vec<_> = waits.iter().filter_map(|&wait| bench.got(wait)).collect();
        assert_eq!(got.concat(), ids);
    }
}

#[test]
fn a_delay_must_be_below_the_ttl() {
    let mut bench = Bench::new();
    let delayed = |delay| AddJob {
        delay,
        ttl: Some(10),
        ..job("q")
    };
    assert_eq!(
        bench.try_add(delayed(Some(10))),
        Err(Refusal::DelayBeyondTtl)
    );
    assert!(bench.try_add(delayed(Some(9))).is_ok());
}

#[test]
fn a_retry_beyond_the_ttl_is_accepted() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        ttl: Some(5),
        ..job_with_retry("q", 100)
    });
    assert_eq!(bench.take("q", 1), [id]);
    bench.advance(5);
    assert_eq!(bench.show(id), None);
}

#[test]
fn retry_0_takes_one_copy_only() {
    let mut bench = Bench::new();
    let add = AddJob {
        replicate: Some(2),
        ..job_with_retry("q", 0)
    };
    assert_eq!(bench.try_add(add), Err(Refusal::RetryZeroNeedsOneReplica));
    assert!(
        bench.try_add(job_with_retry("q", 0)).is_ok(),
        "a lone node makes one copy by default"
    );
}

#[test]
fn a_lone_node_refuses_two_copies_even_asynchronously() {
    let mut bench = Bench::new();
    let add = AddJob {
        replicate: Some(2),
        replication: Replication::Asynchronous,
        ..job("q")
    };
    assert_eq!(bench.try_add(add), Err(Refusal::TooFewNodes));
}

#[test]
fn maxlen_lets_a_queue_reach_it_but_not_pass() {
    let mut bench = Bench::new();
    let bounded = AddJob {
        max_len: Some(2),
        ..job("q")
    };
    assert!(bench.try_add(bounded.clone()).is_ok());
    assert!(bench.try_add(bounded.clone()).is_ok());
    assert_eq!(bench.try_add(bounded.clone()), Err(Refusal::QueueTooLong));
    bench.take("q", 1);
    assert!(bench.try_add(bounded).is_ok());
}

#[test]
fn the_checks_come_in_the_order_of_the_protocol() {
    let mut bench = Bench::new();
    bench.add(job("q"));
    bench.pause("q", true, false);
    let mut add = AddJob {
        replicate: Some(2),
        retry: Some(0),
        delay: Some(50),
        ttl: Some(50),
        max_len: Some(1),
        ..job("q")
    };
    let mut refusal = |add: &AddJob<'_>| bench.try_add(add.clone());
    assert_eq!(refusal(&add), Err(Refusal::RetryZeroNeedsOneReplica));
    add.retry = None;
    assert_eq!(refusal(&add), Err(Refusal::DelayBeyondTtl));
    add.delay = Some(0);
    assert_eq!(refusal(&add), Err(Refusal::TooFewNodes));
    add.replicate = Some(1);
    assert_eq!(refusal(&add), Err(Refusal::QueueTooLong));
    add.max_len = None;
    assert_eq!(refusal(&add), Err(Refusal::QueuePaused));
}

#[test]
fn a_refused_job_leaves_no_trace() {
    let mut bench = Bench::new();
    let (log, used) = (bench.log().len(), bench.node().used_by_load());
    let refused = bench.try_add(AddJob {
        replicate: Some(3),
        ..job("q")
    });
    assert!(refused.is_err());
    assert_eq!(
        (bench.log().len(), bench.node().used_by_load()),
        (log, used)
    );
    assert_eq!(bench.stat("q"), None);
}

#[test]
fn a_leaving_node_takes_no_jobs_of_its_own() {
    let mut bench = Bench::new();
    bench.feed(Event::Leaving(true));
    assert_eq!(bench.try_add(job("q")), Err(Refusal::TooFewNodesLeaving));
    bench.feed(Event::Leaving(false));
    assert!(bench.try_add(job("q")).is_ok());
}

#[test]
fn a_job_is_gone_when_its_ttl_is_over_whatever_its_state() {
    let mut bench = Bench::new();
    let short = AddJob {
        ttl: Some(20),
        ..job("q")
    };
    let taken = bench.add(short.clone());
    assert_eq!(bench.take("q", 1), [taken]);
    let queued = bench.add(short.clone());
    let delayed = bench.add(AddJob {
        delay: Some(19),
        ..short.clone()
    });
    let once = bench.add(AddJob {
        retry: Some(0),
        queue: b"once",
        ..short
    });
    assert_eq!(bench.take("once", 1), [once]);
    bench.advance_ms(19_999);
    assert_eq!(bench.node().job_count(), 4);
    bench.advance_ms(1);
    assert_eq!(bench.node().job_count(), 0);
    assert_eq!((bench.len("q"), bench.node().total_tally().expired), (0, 4));
    for id in [taken, queued, delayed, once] {
        assert!(
            bench
                .log()
                .any(|(_, record)| *record == Record::Deleted(id))
        );
    }
    bench.crash(secs(1));
    assert_eq!(bench.node().job_count(), 0);
}

#[test]
fn an_empty_body_and_an_empty_name_are_as_good_as_any() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        body: b"",
        ..job("")
    });
    let delivery = bench.take_one("");
    assert_eq!((delivery.id, delivery.body.as_bytes()), (id, &b""[..]));
}
