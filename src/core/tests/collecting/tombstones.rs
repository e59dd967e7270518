//! Acks of jobs that are not held where they are given: tombstones.

use super::*;

#[test]
fn an_ack_where_nobody_has_the_job_is_over_when_all_said_so() {
    let mut shoal = Shoal::new(3);
    shoal.cut(1, 2);
    let id = unknown_id(9);
    assert_eq!(shoal.ack(1, id), 0);
    let view = shoal.show(1, id).expect("a tombstone is shown");
    assert_eq!((view.queue, view.body), (None, None));
    assert_eq!(view.state, JobState::Acked);
    assert_eq!(view.holders, []);
    shoal.advance(SOON);
    assert_eq!(shoal.node(1).tombstone_count(), 1, "one did not answer");
    assert_eq!(shoal.node(1).job_count(), 0, "a tombstone is no job");
    let scan = Command::JobScan(JobScan {
        cursor: 0,
        count: None,
        queue: None,
        states: vec![],
        reply: ScanReply::All,
    });
    assert_eq!(shoal.run(1, scan), Reply::Jobs(0, vec![]));
    let confirmed = shoal.show(1, id).expect("it is still there").confirmed;
    assert_eq!(confirmed, [Shoal::id(0), Shoal::id(1)]);
    shoal.mend();
    shoal.advance_ms(10);
    assert_empty(&mut shoal, "all answered");
}

#[test]
fn a_lone_node_makes_no_tombstones() {
    let mut shoal = Shoal::new(1);
    assert_eq!(shoal.ack(0, unknown_id(1)), 0);
    assert_eq!(left(&shoal), 0);
    assert_eq!(shoal.node(0).used_by_load(), 0);
}

#[test]
fn a_leaving_node_makes_no_tombstone_and_still_tells_the_holders() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies(2));
    let (_, without) = sides(&mut shoal, id);
    shoal.feed(without[0], Event::Leaving(true));
    assert_eq!(shoal.ack(without[0], id), 0);
    assert_eq!(shoal.node(without[0]).tombstone_count(), 0);
    shoal.advance_ms(20);
    assert_empty(&mut shoal, "the holders collected");
}

#[test]
fn an_at_most_once_job_is_deleted_by_an_ack_elsewhere_without_a_tombstone() {
    let mut shoal = Shoal::new(3);
    let once = AddJob {
        replicate: Some(1),
        retry: Some(0),
        ..job("q")
    };
    let id = shoal.add(0, once);
    assert_eq!(shoal.get(0, "q", 1).len(), 1);
    assert_eq!(shoal.ack(2, id), 0);
    assert_eq!(shoal.node(2).tombstone_count(), 0);
    shoal.advance_ms(5);
    assert_empty(&mut shoal, "told once");
}

#[test]
fn forgetting_a_member_ends_a_tombstones_wait_for_it() {
    let mut shoal = Shoal::new(3);
    shoal.kill(2);
    shoal.advance_ms(10);
    shoal.ack(0, unknown_id(5));
    shoal.advance(SOON);
    assert_eq!(shoal.node(0).tombstone_count(), 1);
    shoal.feed(0, Event::PeerForgotten(Shoal::id(2)));
    assert_eq!(shoal.node(0).tombstone_count(), 0);
}

#[test]
fn a_tombstone_survives_a_crash_and_a_rewrite() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies(2));
    let (with, without) = sides(&mut shoal, id);
    for &seat in &with {
        shoal.kill(seat);
    }
    shoal.advance_ms(10);
    let at = without[0];
    shoal.ack(at, id);
    for _ in 0..2 {
        shoal.roll(at);
        shoal.feed(at, Event::Rewrite);
        shoal.advance(1);
        shoal.kill(at);
        shoal.start(at);
        shoal.advance(SOON);
        assert_eq!(shoal.node(at).tombstone_count(), 1);
    }
    for &seat in &with {
        shoal.start(seat);
    }
    shoal.advance(SOON);
    assert_empty(&mut shoal, "the holders heard");
}

#[test]
fn a_tombstone_lives_as_long_as_its_job_can_be_a_dead_letter() {
    let mut shoal = Shoal::new(2);
    shoal.kill(1);
    shoal.advance_ms(10);
    shoal.ack(0, unknown_id(1));
    shoal.advance(13 * 60 - 1);
    assert_eq!(shoal.node(0).tombstone_count(), 1);
    shoal.kill(0);
    shoal.start(0);
    assert_eq!(shoal.node(0).tombstone_count(), 1);
    shoal.advance(2);
    assert_eq!(
        shoal.node(0).tombstone_count(),
        1,
        "the job may be a dead letter somewhere"
    );
    shoal.advance(7 * 86_400);
    assert_eq!(shoal.node(0).tombstone_count(), 0);
    assert_eq!(shoal.node(0).total_tally().expired, 0, "it is no job");
}

#[test]
fn tombstones_are_bounded_and_the_oldest_goes_first() {
    let bound = 5;
    let settings = Settings {
        max_memory: (16 * sizes::TOMBSTONE_BYTES * bound) as u64,
        ..SETTINGS
    };
    let mut shoal = Shoal::with(2, settings);
    shoal.kill(1);
    shoal.advance_ms(10);
    for number in 1..=8 {
        shoal.ack(0, unknown_id(number));
    }
    assert_eq!(shoal.node(0).tombstone_count(), bound);
    assert_eq!(shoal.node(0).counters().tombstones_dropped, 3);
    let kept: Vec<bool> = (1..=8)
        .map(|number| shoal.show(0, unknown_id(number)).is_some())
        .collect();
    assert_eq!(kept, [false, false, false, true, true, true, true, true]);
    shoal.kill(0);
    shoal.start(0);
    assert_eq!(shoal.node(0).tombstone_count(), bound, "that is in the log");
}
