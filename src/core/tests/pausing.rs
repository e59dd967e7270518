//! PAUSE.

use super::bench::{Bench, job, job_with_retry, secs};
use crate::command::{AddJob, Command, Pause, PauseState, QueueScan, Refusal, Reply, Wait};
use crate::job::JobState;

#[test]
fn asking_for_the_state_changes_nothing_and_makes_no_queue() {
    let mut bench = Bench::new();
    let ask = Command::Pause(Pause {
        queue: b"q",
        set: None,
        broadcast: false,
    });
    assert_eq!(
        bench.run(ask.clone()),
        Reply::PauseState(PauseState::default())
    );
    assert_eq!(bench.stat("q"), None);
    bench.pause("q", true, false);
    let input = PauseState {
        input: true,
        output: false,
    };
    assert_eq!(bench.run(ask), Reply::PauseState(input));
    assert_eq!(bench.stat("q").map(|view| view.pause), Some(input));
}

#[test]
fn a_queue_paused_in_input_refuses_jobs_and_hands_out_what_it_has() {
    let mut bench = Bench::new();
    let id = bench.add(job("q"));
    bench.pause("q", true, false);
    assert_eq!(bench.try_add(job("q")), Err(Refusal::QueuePaused));
    assert_eq!(bench.take("q", 2), [id]);
}

#[test]
fn a_queue_paused_in_output_behaves_as_empty_but_can_be_looked_at() {
    let mut bench = Bench::new();
    bench.pause("q", false, true);
    let id = bench.add(job("q"));
    assert_eq!(bench.get(&["q"], 1), []);
    let wait = bench.wait(3, &["q"], Wait::Forever);
    assert_eq!(bench.answer(wait), None);
    let peek = Command::QueuePeek {
        queue: b"q",
        count: 5,
        is_meta: false,
    };
    assert!(matches!(bench.run(peek), Reply::Peeked(jobs, _) if jobs[0].id == id));
    assert_eq!(bench.len("q"), 1);
    bench.pause("q", false, false);
    assert_eq!(bench.got(wait), Some(vec![id]));
}

#[test]
fn ending_a_pause_serves_all_who_wait() {
    let mut bench = Bench::new();
    bench.pause("q", false, true);
    let waits = [3, 4, 5].map(|client| bench.wait(client, &["q"], Wait::Forever));
    let ids = bench.add_many("q", 2);
    bench.pause("q", true, false);
    assert_eq!(
        waits[..2]
            .iter()
            .filter_map(|&wait| bench.got(wait))
            .collect::<Vec<_>>()
            .concat(),
        ids
    );
    assert_eq!(bench.answer(waits[2]), None);
}

#[test]
fn a_requeue_into_a_paused_queue_waits_another_retry() {
    let mut bench = Bench::new();
    let id = bench.add(job_with_retry("q", 10));
    bench.take("q", 1);
    bench.pause("q", true, false);
    bench.advance(15);
    assert_eq!(
        (bench.state(id), bench.counters(id)),
        (JobState::Active, (0, 0))
    );
    bench.pause("q", false, false);
    bench.advance_ms(4_999);
    assert_eq!(bench.state(id), JobState::Active);
    bench.advance_ms(1);
    assert_eq!(
        (bench.state(id), bench.counters(id)),
        (JobState::Queued, (0, 1))
    );
}

#[test]
fn a_delay_that_ends_in_a_pause_waits_for_its_end() {
    let mut bench = Bench::new();
    let delayed = AddJob {
        delay: Some(5),
        ..job_with_retry("q", 10)
    };
    let often = bench.add(delayed.clone());
    let once = bench.add(AddJob {
        retry: Some(0),
        ..delayed
    });
    bench.pause("q", true, false);
    bench.advance(9);
    assert_eq!(bench.len("q"), 0);
    bench.pause("q", false, false);
    bench.advance(1);
    assert_eq!(bench.take("q", 2), [once]);
    bench.advance(5);
    assert_eq!(bench.take("q", 2), [often]);
    assert_eq!(bench.counters(often), (0, 0));
}

#[test]
fn nack_and_enqueue_into_a_paused_queue_do_nothing() {
    let mut bench = Bench::new();
    let taken = bench.add(job_with_retry("q", 10));
    bench.take("q", 1);
    let delayed = bench.add(AddJob {
        delay: Some(20),
        ..job_with_retry("q", 300)
    });
    bench.pause("q", true, false);
    bench.advance(9);
    assert_eq!((bench.nack(taken), bench.enqueue(delayed)), (0, 0));
    assert_eq!(bench.counters(taken), (0, 0));
    bench.pause("q", false, false);
    bench.advance(1);
    assert_eq!(bench.state(taken), JobState::Queued);
    bench.advance(10);
    assert_eq!(
        bench.state(delayed),
        JobState::Queued,
        "its delay is as it was"
    );
}

#[test]
fn a_job_held_up_by_a_pause_survives_a_clean_restart() {
    let mut bench = Bench::new();
    let delayed = AddJob {
        delay: Some(5),
        ..job_with_retry("q", 0)
    };
    let id = bench.add(delayed);
    bench.pause("q", true, false);
    bench.advance_ms(5_500);
    bench.restart(secs(0));
    bench.advance(1);
    assert_eq!(bench.take("q", 2), [id], "it was never handed out");
    bench.restart(secs(0));
    bench.advance(10);
    assert_eq!(bench.take("q", 2), []);
}

#[test]
fn a_paused_queue_is_never_removed() {
    let mut bench = Bench::new();
    bench.pause("q", false, true);
    bench.advance(3600);
    assert!(bench.stat("q").is_some());
    bench.pause("q", false, false);
    bench.advance(299);
    assert!(bench.stat("q").is_some());
    bench.advance(1);
    assert_eq!(bench.stat("q"), None);
    let scan = QueueScan {
        cursor: 0,
        count: None,
        min_len: None,
        max_len: None,
        import_rate: None,
    };
    assert_eq!(
        bench.run(Command::QueueScan(scan)),
        Reply::Queues(0, vec![])
    );
}
