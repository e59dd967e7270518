//! Jobs that move while links break, nodes die and logs fail.

use super::*;

#[test]
fn interest_survives_what_links_lose() {
    let mut shoal = Shoal::new(3);
    // The links break with the interest on them.
    let ticket = shoal.wait(0, 1, "q");
    shoal.cut(0, 1);
    shoal.cut(0, 2);
    shoal.advance_ms(500);
    shoal.mend();
    shoal.advance_ms(10);
    let id = shoal.add(1, one("q"));
    shoal.advance_ms(2);
    assert_eq!(shoal.got(0, ticket), Some(id));
    // They broke before it.
    shoal.cut(0, 2);
    shoal.advance_ms(10);
    let ticket = shoal.wait(0, 1, "q");
    let id = shoal.add(2, one("q"));
    shoal.advance_ms(500);
    assert_eq!(shoal.got(0, ticket), None);
    shoal.mend();
    shoal.advance_ms(3);
    assert_eq!(shoal.got(0, ticket), Some(id));
}

#[test]
fn interest_runs_out_when_its_node_is_gone_and_stands_as_long_as_a_client_waits() {
    let mut shoal = Shoal::new(3);
    let ticket = shoal.wait(0, 1, "q");
    shoal.wait(1, 1, "gone");
    shoal.advance_ms(10);
    assert_eq!(shoal.node(2).federation.interests.len(), 2);
    shoal.hang(1);
    shoal.advance(60);
    assert_eq!(shoal.node(2).federation.interests.len(), 1);
    let id = shoal.add(2, one("q"));
    shoal.advance_ms(1);
    assert_eq!(shoal.got(0, ticket), Some(id));
    shoal.feed(0, Event::Disconnected(ClientId(1)));
    shoal.advance(11);
    assert!(
        shoal.node(2).federation.interests.is_empty(),
        "nobody waits"
    );
}

#[test]
fn a_move_that_nobody_settled_is_settled_when_the_link_is_back() {
    for mend_after in [3, 100, 5_000] {
        let mut shoal = Shoal::new(2);
        let ticket = shoal.wait(0, 1, "q");
        shoal.advance_ms(10);
        let id = shoal.add(1, one("q"));
        // The job is lost with the link.
        shoal.cut(0, 1);
        shoal.advance_ms(mend_after);
        assert_eq!(shoal.got(0, ticket), None);
        assert_eq!(shoal.states(id), [None, Some(JobState::Active)]);
        shoal.mend();
        shoal.advance_ms(490);
        assert_eq!(shoal.got(0, ticket), None);
        shoal.advance_ms(20);
        assert_eq!(shoal.got(0, ticket), Some(id), "well before its retry");
        assert_eq!(shoal.node(1).counters().redelivered_heal, 1);
    }
}

#[test]
fn a_move_that_arrived_is_not_undone_when_the_link_breaks() {
    for acked in [false, true] {
        let mut shoal = Shoal::new(2);
        let ticket = shoal.wait(0, 1, "q");
        shoal.advance_ms(10);
        let id = shoal.add(1, one("q"));
        shoal.advance_ms(1);
        assert_eq!(shoal.got(0, ticket), Some(id));
        // QUEUED is lost with the link.
        shoal.cut(0, 1);
        shoal.advance_ms(10);
        if acked {
            shoal.ack(0, id);
        }
        shoal.mend();
        shoal.advance(20);
        assert_eq!(redelivered(&shoal), 0);
        assert_eq!(shoal.get(1, "q", 1), []);
        shoal.ack(0, id);
        shoal.advance(10);
        assert_eq!(shoal.jobs(), 0);
        assert_eq!(shoal.node(1).federation.moves.len(), 0);
    }
}

#[test]
fn the_retry_brings_back_what_a_node_took_with_it() {
    let mut shoal = Shoal::new(3);
    // A node that has just started expects its links to come up.
    shoal.advance(11);
    let ticket = shoal.wait(0, 1, "q");
    shoal.advance_ms(10);
    let id = shoal.add(
        1,
        AddJob {
            retry: Some(3),
            ..one("q")
        },
    );
    shoal.advance_ms(2);
    assert_eq!(shoal.got(0, ticket), Some(id));
    shoal.kill(0);
    let ticket = shoal.wait(2, 1, "q");
    shoal.advance(6);
    assert_eq!(shoal.got(2, ticket), Some(id));
    assert_eq!(shoal.node(1).counters().redelivered_timeout, 1);
}

#[test]
fn at_most_once_jobs_are_never_delivered_twice_whatever_breaks_when() {
    let mut lost = 0;
    for breaks_at in (0..120).step_by(5).chain(0..12) {
        let mut shoal = Shoal::new(3);
        let mut consumers = [
            Consumer::new(0, 1, "q", 1),
            Consumer::new(1, 1, "q", 2),
            Consumer::new(2, 1, "q", 30),
        ];
        let mut ids = BTreeSet::new();
        let mut broken = false;
        for step in 0..80 {
            ids.insert(shoal.add(step % 3, once("q")));
            work(&mut shoal, &mut consumers, 1);
            if !broken && shoal.sent.len() >= breaks_at {
                broken = true;
                shoal.cut(0, 1);
                shoal.cut(1, 2);
            }
            if step == 60 {
                shoal.mend();
            }
        }
        work(&mut shoal, &mut consumers, 3_000);
        let got: Vec<JobId> = consumers.into_iter().flat_map(|it| it.got).collect();
        let distinct: BTreeSet<JobId> = got.iter().copied().collect();
        assert_eq!(
            got.len(),
            distinct.len(),
            "broken at {breaks_at}: none twice"
        );
        assert!(distinct.is_subset(&ids));
        lost += ids.len() - got.len();
    }
    assert!(lost < 60 * 3, "{lost}: no more than was on the way");
}

#[test]
fn whatever_breaks_when_no_job_with_a_retry_is_lost() {
    for breaks_at in (0..120).step_by(5).chain(0..12) {
        let mut shoal = Shoal::new(3);
        let mut consumers = [Consumer::new(0, 1, "q", 1), Consumer::new(1, 1, "q", 30)];
        let mut ids = BTreeSet::new();
        let mut broken = false;
        for step in 0..60 {
            ids.insert(shoal.add(
                step % 3,
                AddJob {
                    retry: Some(10),
                    ..one("q")
                },
            ));
            work(&mut shoal, &mut consumers, 1);
            if !broken && shoal.sent.len() >= breaks_at {
                broken = true;
                shoal.cut(0, 2);
                shoal.cut(1, 2);
            }
            if step == 50 {
                shoal.mend();
            }
        }
        work(&mut shoal, &mut consumers, 3_000);
        let got: Vec<JobId> = consumers.into_iter().flat_map(|it| it.got).collect();
        let distinct: BTreeSet<JobId> = got.iter().copied().collect();
        assert_eq!(distinct, ids, "broken at {breaks_at}");
        assert!(got.len() as u64 <= ids.len() as u64 + redelivered(&shoal));
        shoal.advance(20);
        assert_eq!(shoal.jobs(), 0, "broken at {breaks_at}");
    }
}

#[test]
fn a_node_whose_log_fails_takes_no_jobs_from_others_until_it_is_written_again() {
    let mut shoal = Shoal::new(2);
    shoal.feed(1, Event::LogFailing(true));
    let consumer = shoal.wait(1, 7, "q");
    let id = shoal.add(0, once("q"));
    let other = shoal.add(0, job("q"));
    shoal.advance(2);
    assert_eq!(shoal.got(1, consumer), None);
    assert_eq!(shoal.count(0, Command::QueueLength(b"q")), 2);
    shoal.feed(1, Event::LogFailing(false));
    shoal.advance_ms(20);
    assert_eq!(shoal.got(1, consumer), Some(id));
    assert_eq!(shoal.get(0, "q", 9)[0].id, other);
}
