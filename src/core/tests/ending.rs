//! Outcomes: RESULT, KEEP and DELJOB GLOBAL.

use super::bench::{Bench, job, secs};
use super::shoal::Shoal;
use crate::command::{AddJob, Command, Refusal, Reply};
use crate::extras::{Extras, Tag};
use crate::id::JobId;
use crate::job::JobState;
use crate::message::Message;
use crate::outcome::{Fate, Outcome};
use crate::tests::waiting::{fate, fate_at};

pub(super) fn acked(result: Option<&[u8]>) -> Fate {
    Fate::ended(Outcome::Acked, result)
}

pub(super) fn deleted() -> Fate {
    Fate::ended(Outcome::Deleted, None)
}

/// A job on `replicate` nodes whose end is kept for a while.
fn kept(replicate: u16, keep: u32) -> AddJob<'static> {
    AddJob {
        replicate: Some(replicate),
        retry: Some(20),
        ttl: Some(60),
        extras: Extras::new([(Tag::KEEP, &keep.to_le_bytes()[..])]),
        ..job("q")
    }
}

fn copies(replicate: u16) -> AddJob<'static> {
    AddJob {
        extras: Extras::NONE,
        ..kept(replicate, 1)
    }
}

fn ack_with(id: JobId, result: &[u8]) -> Command<'_> {
    Command::AckJob(vec![id], Some(result))
}

#[test]
fn an_outcome_is_remembered_for_minutes_without_its_result() {
    let mut bench = Bench::new();
    let id = bench.add(job("q"));
    assert_eq!(bench.count(ack_with(id, b"42")), 1);
    assert_eq!(fate(&mut bench, id), acked(None));
    bench.advance(299);
    assert_eq!(fate(&mut bench, id), acked(None));
    bench.advance(600);
    assert_eq!(fate(&mut bench, id), Fate::Unknown);
}

#[test]
fn every_end_has_its_outcome() {
    let mut bench = Bench::new();
    let id = bench.add(job("q"));
    assert_eq!(bench.count(Command::FastAck(vec![id])), 1);
    assert_eq!(fate(&mut bench, id), acked(None));
    for command in [Command::DelJob, Command::EndJob] {
        let id = bench.add(job("q"));
        assert_eq!(bench.count(command(vec![id])), 1);
        assert_eq!(fate(&mut bench, id), deleted());
        assert_eq!(bench.count(command(vec![id])), 0);
    }
    let id = bench.add(AddJob {
        ttl: Some(10),
        ..job("q")
    });
    bench.advance(10);
    assert_eq!(fate(&mut bench, id), Fate::ended(Outcome::Expired, None));
    let id = bench.add(job("q"));
    bench.send(9, Command::PurgeQueue(b"q"));
    bench.advance(1);
    assert_eq!(fate(&mut bench, id), deleted());
}

#[test]
fn a_result_that_is_too_large_acks_nothing() {
    let mut bench = Bench::new();
    let id = bench.add(job("q"));
    let large = vec![0; 65_537];
    let refused = Reply::Refused(Refusal::ResultTooLarge(65_536));
    assert_eq!(bench.run(ack_with(id, &large)), refused);
    assert_eq!(bench.state(id), JobState::Queued);
    assert_eq!(bench.count(ack_with(id, &large[..65_536])), 1);
}

#[test]
fn with_keep_end_and_result_stay_for_that_time_and_through_every_restart() {
    let mut bench = Bench::new();
    let id = bench.add(kept(1, 1000));
    assert_eq!(bench.count(ack_with(id, b"42")), 1);
    assert_eq!(bench.count(ack_with(id, b"43")), 0, "it is over");
    assert_eq!(fate(&mut bench, id), acked(Some(b"42")));
    bench.advance(100);
    bench.crash(secs(100));
    assert_eq!(fate(&mut bench, id), acked(Some(b"42")));
    bench.restart(secs(100));
    bench.advance(600);
    assert_eq!(fate(&mut bench, id), acked(Some(b"42")));
    assert_eq!(bench.take("q", 1), []);
    bench.advance(101);
    assert_eq!(bench.show(id), None);
    bench.advance(600);
    assert_eq!(fate(&mut bench, id), Fate::Unknown);
    assert_eq!(bench.node().used_by_load(), 0);
}

#[test]
fn all_holders_keep_the_end_and_any_of_them_tells_it() {
    for (at, command) in [
        (0, "ack"),
        (1, "ack"),
        (3, "ack"),
        (0, "fastack"),
        (3, "fastack"),
    ] {
        let mut shoal = Shoal::new(4);
        let id = shoal.add(0, kept(3, 1000));
        let expected = if command == "ack" {
            shoal.run(at, ack_with(id, b"42"));
            acked(Some(b"42"))
        } else {
            shoal.run(at, Command::FastAck(vec![id]));
            acked(None)
        };
        shoal.advance(100);
        let holders = shoal
            .states(id)
            .into_iter()
            .filter(|state| *state == Some(JobState::Acked));
        assert_eq!(holders.count(), 3, "{command} at {at}");
        let kept = (0..4).map(|seat| shoal.node(seat).kept_count());
        assert_eq!(kept.sum::<usize>(), 3, "{command} at {at}");
        for seat in 0..4 {
            assert_eq!(fate_at(&mut shoal, seat, id), expected, "{command} at {at}");
        }
        shoal.sent.clear();
        shoal.advance(800);
        let of_acks =
            |message: &Message| matches!(message, Message::SetAck { .. } | Message::DelJob { .. });
        assert!(
            !shoal.sent.iter().any(|(_, _, message)| of_acks(message)),
            "it rests"
        );
        shoal.advance(200);
        assert_eq!(shoal.jobs(), 0, "{command} at {at}");
    }
}

#[test]
fn a_copy_of_a_job_whose_end_is_kept_is_refused() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, kept(3, 1000));
    shoal.kill(2);
    shoal.advance_ms(10);
    shoal.run(0, ack_with(id, b"42"));
    shoal.advance(5);
    shoal.start(2);
    shoal.advance(60);
    assert_eq!(shoal.get(2, "q", 1), []);
    assert_eq!(shoal.states(id), [Some(JobState::Acked); 3]);
    shoal.kill(0);
    shoal.kill(1);
    assert_eq!(fate_at(&mut shoal, 2, id), acked(Some(b"42")));
}

#[test]
fn an_ack_holds_over_a_deletion() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, kept(3, 1000));
    shoal.cut(0, 1);
    shoal.cut(0, 2);
    assert_eq!(shoal.count(0, Command::EndJob(vec![id])), 1);
    shoal.run(1, ack_with(id, b"42"));
    shoal.mend();
    shoal.advance(60);
    for seat in 0..3 {
        assert_eq!(fate_at(&mut shoal, seat, id), acked(Some(b"42")));
    }
}

#[test]
fn deljob_global_ends_a_job_wherever_it_is_and_counts_it_once() {
    for at in 0..4 {
        let mut shoal = Shoal::new(4);
        let id = shoal.add(0, copies(3));
        assert_eq!(shoal.count(at, Command::EndJob(vec![id])), 1, "at {at}");
        assert_eq!(shoal.count(at, Command::EndJob(vec![id])), 0, "at {at}");
        shoal.advance(60);
        assert_eq!(shoal.jobs(), 0, "at {at}");
        for seat in 0..4 {
            assert_eq!(shoal.get(seat, "q", 1), [], "at {at}");
        }
        assert_eq!(fate_at(&mut shoal, at, id), deleted());
    }
}

#[test]
fn nodes_that_were_away_hear_of_deljob_global() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies(2));
    let (holders, others): (Vec<usize>, Vec<usize>) =
        (0..3).partition(|&seat| shoal.node(seat).queue_of(&id).is_some());
    for &holder in &holders {
        shoal.kill(holder);
    }
    shoal.advance(1);
    assert_eq!(
        shoal.count(others[0], Command::EndJob(vec![id])),
        0,
        "nobody has it"
    );
    for &holder in &holders {
        shoal.start(holder);
    }
    shoal.advance(30);
    assert_eq!(shoal.jobs(), 0);
    assert_eq!(shoal.get(holders[0], "q", 1), []);
}
