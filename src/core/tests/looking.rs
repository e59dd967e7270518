//! SHOW, QLEN, QSTAT, QPEEK, QSCAN, JSCAN.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::bench::{Bench, WALL, job, job_with_retry, node_id, secs};
use crate::command::{AddJob, Command, JobScan, QueueScan, Reply, ScanReply};
use crate::id::JobId;
use crate::job::JobState;

#[test]
fn show_tells_all_of_a_job() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        ttl: Some(100),
        ..job_with_retry("q", 10)
    });
    bench.advance_ms(1_500);
    bench.take("q", 1);
    bench.advance_ms(3_000);
    let view = bench.show(id).expect("it is here");
    assert_eq!(view.id, id);
    assert_eq!(view.queue.expect("no tombstone").as_bytes(), b"q");
    assert_eq!(view.state, JobState::Active);
    assert_eq!((view.replicate, view.ttl), (1, 96));
    assert_eq!(view.created, WALL * 1_000_000);
    assert_eq!((view.delay, view.retry), (0, 10));
    assert_eq!((view.nacks, view.additional_deliveries), (0, 0));
    assert_eq!((view.holders, view.confirmed), (vec![node_id()], vec![]));
    assert_eq!(view.next_requeue, Some(secs(7)));
    assert_eq!(view.next_awake.map(|awake| awake.as_millis()), Some(6_500));
    assert_eq!(view.body.expect("no tombstone").as_bytes(), b"body");
}

#[test]
fn show_knows_no_requeue_of_a_queued_or_delivered_at_most_once_job() {
    let mut bench = Bench::new();
    let id = bench.add(AddJob {
        delay: Some(5),
        ..job_with_retry("q", 0)
    });
    let next = |bench: &mut Bench| bench.show(id).expect("it is here").next_requeue;
    assert_eq!(next(&mut bench), Some(secs(5)));
    bench.advance(5);
    assert_eq!(next(&mut bench), None);
    bench.take("q", 1);
    assert_eq!(next(&mut bench), None);
}

#[test]
fn show_counts_down_a_queued_jobs_retry_again_and_again() {
    let mut bench = Bench::new();
    let id = bench.add(job_with_retry("q", 10));
    for left in [10, 7, 4, 1, 8] {
        let view = bench.show(id).expect("it is here");
        assert_eq!(view.next_requeue, Some(secs(left)));
        bench.advance(3);
    }
}

#[test]
fn show_knows_no_job_of_an_id_that_no_node_made() {
    let mut bench = Bench::new();
    assert_eq!(bench.run(Command::Show(None)), Reply::Shown(None));
}

#[test]
fn creation_times_of_one_millisecond_rise_by_one() {
    let mut bench = Bench::new();
    let ids = bench.add_many("q", 3);
    bench.advance_ms(1);
    let later = bench.add(job("q"));
    let created = |bench: &mut Bench, id| bench.show(id).expect("it is here").created;
    let base = WALL * 1_000_000;
    assert_eq!(
        ids.map_each(|id| created(&mut bench, id)),
        [base, base + 1, base + 2]
    );
    assert_eq!(created(&mut bench, later), base + 1_000_000);
}

trait MapEach {
    fn map_each(self, act: impl FnMut(JobId) -> u64) -> Vec<u64>;
}

impl MapEach for Vec<JobId> {
    fn map_each(self, act: impl FnMut(JobId) -> u64) -> Vec<u64> {
        self.into_iter().map(act).collect()
    }
}

#[test]
fn qpeek_looks_from_either_end_and_takes_nothing() {
    let mut bench = Bench::new();
    let ids = bench.add_many("q", 4);
    bench.take("q", 2);
    bench.nack(ids[1]);
    let mut peek = |count| match bench.run(Command::QueuePeek {
        queue: b"q",
        count,
        is_meta: false,
    }) {
        Reply::Peeked(jobs, _) => jobs.iter().map(|job| job.id).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(peek(2), [ids[1], ids[2]]);
    assert_eq!(peek(-2), [ids[3], ids[2]]);
    assert_eq!(peek(i64::MAX), ids[1..]);
    assert_eq!(peek(i64::MIN).len(), 3);
    assert_eq!(peek(0), []);
    assert_eq!(bench.len("q"), 3);
}

#[test]
fn an_unknown_queue_is_empty_and_has_no_figures() {
    let mut bench = Bench::new();
    let peek = Command::QueuePeek {
        queue: b"q",
        count: 1,
        is_meta: false,
    };
    assert_eq!(bench.run(peek), Reply::Peeked(vec![], false));
    assert_eq!((bench.len("q"), bench.stat("q")), (0, None));
}

#[test]
fn qstat_counts_what_went_in_and_out() {
    let mut bench = Bench::new();
    let ids = bench.add_many("q", 3);
    bench.advance(7);
    bench.take("q", 2);
    bench.nack(ids[0]);
    bench.advance(2);
    let view = bench.stat("q").expect("it exists");
    assert_eq!((view.len, view.jobs_in, view.jobs_out), (2, 4, 2));
    assert_eq!((view.age, view.idle), (secs(9), secs(2)));
}

fn queue_scan() -> QueueScan {
    QueueScan {
        cursor: 0,
        count: Some(1),
        min_len: None,
        max_len: None,
        import_rate: None,
    }
}

fn job_scan() -> JobScan<'static> {
    JobScan {
        cursor: 0,
        count: Some(1),
        queue: None,
        states: vec![],
        reply: ScanReply::Id,
    }
}

/// All that a scan finds, with `meanwhile` between its steps.
fn scan_jobs(
    bench: &mut Bench,
    mut scan: JobScan<'_>,
    mut meanwhile: impl FnMut(&mut Bench),
) -> Vec<JobId> {
    let mut found = Vec::new();
    loop {
        match bench.run(Command::JobScan(scan.clone())) {
            Reply::JobIds(cursor, ids) => {
                found.extend(ids);
                scan.cursor = cursor;
            }
            other => panic!("{other:?}"),
        }
        if scan.cursor == 0 {
            return found;
        }
        meanwhile(bench);
    }
}

#[test]
fn jscan_filters_by_queue_and_state() {
    let mut bench = Bench::new();
    let (a, b) = (bench.add_many("a", 3), bench.add_many("b", 2));
    bench.take("a", 1);
    let all = scan_jobs(&mut bench, job_scan(), |_| ());
    assert_eq!(all, [a.clone(), b.clone()].concat());
    let of_b = JobScan {
        queue: Some(b"b"),
        ..job_scan()
    };
    assert_eq!(scan_jobs(&mut bench, of_b, |_| ()), b);
    let unknown = JobScan {
        queue: Some(b"c"),
        ..job_scan()
    };
    assert_eq!(scan_jobs(&mut bench, unknown, |_| ()), []);
    let active = JobScan {
        states: vec![JobState::Active, JobState::Acked],
        ..job_scan()
    };
    assert_eq!(scan_jobs(&mut bench, active, |_| ()), [a[0]]);
}

#[test]
fn jscan_tells_all_when_asked() {
    let mut bench = Bench::new();
    let id = bench.add(job("q"));
    let shown = bench.show(id).expect("it is here");
    let scan = JobScan {
        reply: ScanReply::All,
        ..job_scan()
    };
    assert_eq!(
        bench.run(Command::JobScan(scan)),
        Reply::Jobs(0, vec![shown])
    );
}

#[test]
fn busyloop_tells_everything_in_one_answer() {
    let mut bench = Bench::new();
    let ids = bench.add_many("q", 50);
    let scan = JobScan {
        count: None,
        ..job_scan()
    };
    assert_eq!(bench.run(Command::JobScan(scan)), Reply::JobIds(0, ids));
    let scan = QueueScan {
        count: None,
        ..queue_scan()
    };
    assert!(
        matches!(bench.run(Command::QueueScan(scan)), Reply::Queues(0, names) if names.len() == 1)
    );
}

#[test]
fn a_scan_whose_filter_fits_nothing_answers_in_steps_and_ends() {
    let mut bench = Bench::new();
    bench.add_many("q", 95);
    let scan = JobScan {
        states: vec![JobState::Acked],
        ..job_scan()
    };
    let mut steps = 0;
    assert_eq!(scan_jobs(&mut bench, scan, |_| steps += 1), []);
    assert_eq!(steps, 9);
}

#[test]
fn a_cursor_out_of_nowhere_ends_the_scan() {
    let mut bench = Bench::new();
    bench.add_many("q", 3);
    for cursor in [3, 4, u64::from(u32::MAX), u64::MAX] {
        let scan = JobScan {
            cursor,
            ..job_scan()
        };
        assert_eq!(bench.run(Command::JobScan(scan)), Reply::JobIds(0, vec![]));
    }
}

#[test]
fn qscan_filters_by_length_and_rate() {
    let mut bench = Bench::new();
    for (queue, len) in [("a", 1), ("b", 2), ("c", 3)] {
        bench.add_many(queue, len);
    }
    bench.pause("empty", true, true);
    let mut names = |scan| match bench.run(Command::QueueScan(scan)) {
        Reply::Queues(0, names) => {
            let text = |name: &crate::id::QueueName| name.as_bytes().escape_ascii().to_string();
            names.iter().map(text).collect::<Vec<_>>().join(" ")
        }
        other => panic!("{other:?}"),
    };
    let all = QueueScan {
        count: None,
        ..queue_scan()
    };
    assert_eq!(names(all.clone()), "a b c empty");
    let filtered = QueueScan {
        min_len: Some(1),
        max_len: Some(2),
        ..all.clone()
    };
    assert_eq!(names(filtered), "a b");
    let importing = QueueScan {
        import_rate: Some(1),
        ..all
    };
    assert_eq!(names(importing), "");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn a_scan_meets_all_that_was_there_throughout(
        before in 1..60_usize,
        count in 1..9_u64,
        changes in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..60),
    ) {
        let mut bench = Bench::new();
        let mut live = bench.add_many("q", before);
        let mut throughout: BTreeSet<JobId> = live.iter().copied().collect();
        let mut changes = changes.into_iter();
        let scan = JobScan { count: Some(count), ..job_scan() };
        let found = scan_jobs(&mut bench, scan, |bench| {
            for (add, index) in changes.by_ref().take(4) {
                if add || live.is_empty() {
                    live.push(bench.add(job("q")));
                } else {
                    let id = live.swap_remove(index.index(live.len()));
                    throughout.remove(&id);
                    bench.ack(id);
                }
            }
        });
        let found: BTreeSet<JobId> = found.into_iter().collect();
        prop_assert!(throughout.is_subset(&found));
    }

    #[test]
    fn a_scan_meets_all_queues_that_were_there_throughout(queues in 1..60_usize, count in 1..9_u64) {
        let mut bench = Bench::new();
        for queue in 0..queues {
            bench.add(job(&queue.to_string()));
        }
        let mut scan = QueueScan { count: Some(count), ..queue_scan() };
        let mut found = BTreeSet::new();
        loop {
            let Reply::Queues(cursor, names) = bench.run(Command::QueueScan(scan.clone())) else {
                panic!("QSCAN answers queues");
            };
            found.extend(names);
            scan.cursor = cursor;
            if cursor == 0 {
                break;
            }
            bench.add(job("new"));
        }
        found.remove(&crate::id::QueueName::new(b"new"));
        prop_assert_eq!(found.len(), queues);
    }
}
