//! Optional fields of jobs: they go wherever the job goes, and jobs that need more than a peer knows do not go to it.

use std::time::Duration;

use super::bench::{Bench, get_job, job, secs};
use super::shoal::Shoal;
use crate::command::{AddJob, Command, GetJob, Refusal, Reply, Told, Wait};
use crate::event::{Event, PeerUp};
use crate::extras::{Extras, Features, Tag};
use crate::id::{JobId, StoreId};
use crate::job::JobState;
use crate::message::{Holders, Message};
use crate::record::Record;
use crate::telling::sizes;

/// A field that no build knows.
const LATER: Tag = Tag::optional(4000);
/// A field that a holder must know.
const NEEDED: Tag = Tag::required(41);

fn later() -> Extras {
    Extras::new([(Tag::META, &b"meta"[..]), (LATER, b"verbatim")])
}

fn needed() -> Extras {
    Extras::new([(NEEDED, &b""[..])])
}

fn with(extras: Extras) -> AddJob<'static> {
    AddJob {
        extras,
        timeout: Some(secs(5)),
        ..job("q")
    }
}

fn get_with_meta() -> Command<'static> {
    Command::GetJob(GetJob {
        told: Told {
            meta: true,
            ..Told::default()
        },
        ..get_job(&["q"], 1, Wait::No)
    })
}

#[track_caller]
fn only(reply: Reply) -> (JobId, Extras) {
    match reply {
        Reply::Delivered(mut jobs, _) if jobs.len() == 1 => {
            let job = jobs.remove(0);
            (job.id, job.extras)
        }
        other => panic!("{other:?} is not one job"),
    }
}

#[test]
fn a_client_gets_them_when_it_asks() {
    let mut bench = Bench::new();
    let id = bench.add(with(later()));
    assert!(bench.take_one("q").extras.is_empty(), "it did not ask");
    bench.enqueue(id);
    assert_eq!(only(bench.run(get_with_meta())), (id, later()));
}

#[test]
fn they_survive_a_crash_a_rewrite_and_a_clean_stop() {
    let mut bench = Bench::new();
    let id = bench.add(with(later()));
    bench.restart(secs(1));
    bench.crash(secs(1));
    bench.roll();
    bench.feed(Event::Rewrite);
    bench.advance(10);
    assert_eq!(bench.segments().len(), 1, "all was recorded again");
    bench.restart(secs(1));
    bench.advance(86_400 / 10);
    assert_eq!(only(bench.run(get_with_meta())), (id, later()));
}

#[test]
fn copies_and_shipped_jobs_have_them() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, with(later()));
    shoal.kill(0);
    shoal.advance(400);
    let ticket = shoal.send(1, 7, get_with_meta());
    let first = shoal.answer(1, ticket).cloned();
    let reply = if let Some(Reply::Delivered(..)) = first {
        first
    } else {
        let ticket = shoal.send(2, 8, get_with_meta());
        shoal.answer(2, ticket).cloned()
    };
    assert_eq!(only(reply.expect("an answer")), (id, later()));
}

#[test]
fn an_end_keeps_its_own_and_passes_them_on() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, with(later()));
    shoal.kill(2);
    let end = Extras::new([(LATER, &b"how it ended"[..])]);
    let ack = Message::SetAck {
        id,
        holders: Holders::from([Shoal::id(0), Shoal::id(1), Shoal::id(2)]),
        withdrawn: false,
        extras: end.clone(),
    };
    shoal.feed(0, Event::Message(Shoal::id(1), ack));
    let recorded = shoal.log(0).rev().find_map(|(_, record)| match record {
        Record::Acked(ack) => Some(ack.extras.clone()),
        _ => None,
    });
    assert_eq!(recorded, Some(end.clone()));
    shoal.kill(0);
    shoal.start(0);
    shoal.sent.clear();
    shoal.start(2);
    shoal.advance(60);
    let passed_on = shoal.sent.iter().any(|(from, to, message)| {
        (*from, *to) == (0, 2)
            && matches!(message, Message::SetAck { extras, .. } if *extras == end)
    });
    assert!(passed_on, "node 2 hears how the job ended");
    assert!(!shoal.states(id).contains(&Some(JobState::Queued)));
}

/// Says that this seat knows field 41, as a newer node does.
fn upgrade(shoal: &mut Shoal, seat: usize) {
    shoal.feed(
        0,
        Event::PeerUp(PeerUp {
            id: Shoal::id(seat),
            store: StoreId(seat as u64 + 1),
            restarted: false,
            same_zone: false,
            zone: 0,
            features: Features::only(NEEDED.number()),
        }),
    );
}

#[test]
fn a_job_that_needs_a_feature_goes_only_to_peers_that_have_it() {
    let mut shoal = Shoal::new(4);
    upgrade(&mut shoal, 2);
    upgrade(&mut shoal, 3);
    shoal.sent.clear();
    for _ in 0..20 {
        let add = AddJob {
            replicate: Some(3),
            ..with(needed())
        };
        let reply = shoal.send(0, 1, Command::AddJob(add));
        shoal.advance_ms(50);
        let reply = shoal.answer(0, reply);
        assert!(matches!(reply, Some(Reply::Added(_))), "{reply:?}");
    }
    let copies = shoal.sent.iter();
    let copies = copies.filter(|(_, _, message)| matches!(message, Message::ReplJob(_)));
    let to: Vec<usize> = copies.map(|&(_, to, _)| to).collect();
    assert_eq!(to.len(), 40);
    assert!(!to.contains(&1), "node 1 does not know the field");
}

#[test]
fn too_few_peers_that_know_it_are_too_few_nodes() {
    let mut shoal = Shoal::new(4);
    let refused = |shoal: &mut Shoal, replicate| {
        let add = AddJob {
            replicate,
            ..with(needed())
        };
        shoal.run(0, Command::AddJob(add))
    };
    let none = Reply::Refused(Refusal::TooFewNodes);
    assert_eq!(refused(&mut shoal, Some(2)), none);
    assert_eq!(refused(&mut shoal, None), none, "the floor is two copies");
    upgrade(&mut shoal, 3);
    assert_eq!(refused(&mut shoal, Some(3)), none);
}

#[test]
fn a_job_stays_away_from_clients_of_a_node_that_does_not_know_it() {
    let mut shoal = Shoal::new(2);
    shoal.wait(1, 5, "q");
    shoal.advance_ms(10);
    let add = AddJob {
        replicate: Some(1),
        ..with(needed())
    };
    let id = shoal.add(0, add);
    shoal.advance(1);
    assert_eq!(shoal.states(id), [Some(JobState::Queued), None]);
    upgrade(&mut shoal, 1);
    shoal.advance_ms(1000);
    assert_eq!(
        shoal.states(id)[1],
        Some(JobState::Active),
        "it was shipped"
    );
}

#[test]
fn only_a_job_with_extras_pays_for_them() {
    let mut bench = Bench::new();
    let id = bench.add(job("q"));
    bench.ack(id);
    let used = |bench: &Bench| bench.node().used_by_load();
    let empty = used(&bench);
    let plain = bench.add(job("q"));
    let one = used(&bench) - empty;
    let meta = Extras::new([(Tag::META, &[b'x'; 100][..])]);
    let rich = bench.add(with(meta));
    let more = used(&bench) - empty - one;
    assert!(
        (more - one..=200).contains(&(more - one)) && more - one >= 100,
        "{} bytes for 100 bytes of META",
        more - one
    );
    assert_eq!(bench.ack(plain) + bench.ack(rich), 2);
    let remembered = 2 * sizes::FORGOTTEN_BYTES as u64;
    assert_eq!(used(&bench), empty + remembered);
    bench.advance_ms(Duration::from_secs(1).as_millis() as u64);
}
