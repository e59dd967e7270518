//! WAITJOB, and PROGRESS of WORKING.

use std::time::Duration;

use super::bench::{Bench, job};
use super::ending::{acked, deleted};
use super::shoal::Shoal;
use crate::command::{AddJob, Command, Nack, Reply, WaitJob};
use crate::event::Event;
use crate::id::{ClientId, JobId, Ticket};
use crate::message::{Copy, Message};
use crate::outcome::{Fate, Outcome};

const CLIENT: u64 = 77;

pub(super) fn waits(ids: &[JobId], timeout: Option<u64>) -> Command<'static> {
    Command::WaitJob(WaitJob {
        timeout: timeout.map(Duration::from_millis),
        ids: ids.iter().map(|id| (id.text(), Some(*id))).collect(),
    })
}

/// What a client sees of it.
fn seen(fate: &Fate) -> Fate {
    match fate {
        Fate::Ended {
            outcome, result, ..
        } => Fate::ended(*outcome, result.as_deref()),
        other => other.clone(),
    }
}

fn told(reply: &Reply) -> Vec<Fate> {
    match reply {
        Reply::Fates(fates) => fates.iter().map(|(_, fate)| seen(fate)).collect(),
        other => panic!("{other:?} is no answer to WAITJOB"),
    }
}

/// How a job stands, after a short wait.
pub(super) fn fate(bench: &mut Bench, id: JobId) -> Fate {
    let ticket = bench.send(CLIENT, waits(&[id], Some(100)));
    bench.advance_ms(100);
    told(bench.answer(ticket).expect("its time is up")).remove(0)
}

/// The same, of a cluster, as one node tells it.
pub(super) fn fate_at(shoal: &mut Shoal, seat: usize, id: JobId) -> Fate {
    let ticket = shoal.send(seat, CLIENT, waits(&[id], Some(100)));
    shoal.advance_ms(100);
    told(shoal.answer(seat, ticket).expect("its time is up")).remove(0)
}

fn answered(shoal: &Shoal, seat: usize, ticket: Ticket) -> Option<Vec<Fate>> {
    shoal.answer(seat, ticket).map(told)
}

fn copies(replicate: u16) -> AddJob<'static> {
    AddJob {
        replicate: Some(replicate),
        retry: Some(20),
        ttl: Some(60),
        ..job("q")
    }
}

fn pending(progress: Option<&[u8]>) -> Fate {
    Fate::Pending {
        rank: None,
        progress: progress.map(<[u8]>::to_vec),
    }
}

#[test]
fn who_waits_hears_of_an_ack_at_once_with_its_result() {
    let mut bench = Bench::new();
    let ids = [bench.add(job("q")), bench.add(job("q"))];
    let ticket = bench.send(CLIENT, waits(&ids, None));
    assert_eq!(bench.answer(ticket), None);
    bench.count(Command::AckJob(vec![ids[1]], Some(b"two")));
    assert_eq!(bench.answer(ticket), None, "one is pending");
    bench.count(Command::AckJob(vec![ids[0]], Some(b"one")));
    let fates = bench.answer(ticket).map(told);
    assert_eq!(fates, Some(vec![acked(Some(b"one")), acked(Some(b"two"))]));
}

#[test]
fn what_no_node_made_and_what_nobody_knows_is_unknown_at_once() {
    let mut bench = Bench::new();
    let id = JobId::from_bytes([1; 24]);
    let wait = Command::WaitJob(WaitJob {
        timeout: None,
        ids: vec![
            ([b'?'; 40], None),
            (id.text(), Some(id)),
            (id.text(), Some(id)),
        ],
    });
    let ticket = bench.send(CLIENT, wait);
    let reply = bench.answer(ticket).expect("nobody else can know them");
    assert_eq!(told(reply), [Fate::Unknown, Fate::Unknown, Fate::Unknown]);
}

#[test]
fn progress_is_told_when_the_time_is_up() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies(2));
    assert_eq!(fate_at(&mut shoal, 2, id), pending(None));
    let ticket = shoal.send(2, CLIENT, waits(&[id], Some(3000)));
    shoal.advance_ms(1000);
    let working = Command::Working(Some(id), Some(b"half"));
    assert_eq!(shoal.run(2, working), Reply::Count(20));
    shoal.advance_ms(2000);
    assert_eq!(
        answered(&shoal, 2, ticket),
        Some(vec![pending(Some(b"half"))])
    );
    shoal.ack(0, id);
    shoal.advance_ms(100);
    assert_eq!(fate_at(&mut shoal, 2, id), acked(None));
}

#[test]
fn any_node_tells_of_an_ack_at_any_other() {
    for (at, asked) in [(0, 1), (0, 3), (3, 0), (3, 3), (1, 2)] {
        let mut shoal = Shoal::new(4);
        let id = shoal.add(0, copies(2));
        let ticket = shoal.send(asked, CLIENT, waits(&[id], None));
        shoal.advance(1);
        assert_eq!(answered(&shoal, asked, ticket), None);
        shoal.run(at, Command::AckJob(vec![id], Some(b"42")));
        shoal.advance_ms(20);
        let expected = Some(vec![acked(Some(b"42"))]);
        assert_eq!(answered(&shoal, asked, ticket), expected, "{at} {asked}");
    }
}

#[test]
fn an_expiry_is_told_when_no_node_that_can_be_reached_has_the_job() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies(2));
    let ticket = shoal.send(2, CLIENT, waits(&[id], None));
    shoal.advance(59);
    assert_eq!(answered(&shoal, 2, ticket), None);
    shoal.advance(7);
    let expired = vec![Fate::ended(Outcome::Expired, None)];
    assert_eq!(answered(&shoal, 2, ticket), Some(expired));
}

#[test]
fn a_deletion_at_one_node_is_no_end_while_another_has_the_job() {
    let mut shoal = Shoal::new(2);
    let id = shoal.add(0, copies(2));
    let ticket = shoal.send(0, CLIENT, waits(&[id], None));
    shoal.count(0, Command::DelJob(vec![id]));
    shoal.advance(1);
    assert_eq!(answered(&shoal, 0, ticket), None, "the other has it");
    shoal.count(1, Command::DelJob(vec![id]));
    shoal.advance_ms(20);
    assert_eq!(answered(&shoal, 0, ticket), Some(vec![deleted()]));
}

#[test]
fn a_dead_letter_ends_the_wait_and_one_that_was_sent_back_does_not() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies(3));
    let ticket = shoal.send(2, CLIENT, waits(&[id], None));
    let nack = Nack {
        ids: vec![id],
        is_dead: true,
        ..Nack::default()
    };
    assert_eq!(shoal.count(1, Command::Nack(nack)), 1);
    shoal.advance_ms(20);
    let fates = answered(&shoal, 2, ticket).expect("it is a dead letter");
    assert!(matches!(fates[..], [Fate::Dead { .. }]), "{fates:?}");
}

#[test]
fn nobody_knows_is_only_certain_when_all_say_so() {
    let mut shoal = Shoal::new(3);
    let id = JobId::from_bytes([1; 24]);
    let ticket = shoal.send(0, CLIENT, waits(&[id], None));
    shoal.advance_ms(20);
    assert_eq!(answered(&shoal, 0, ticket), Some(vec![Fate::Unknown]));
    shoal.kill(2);
    shoal.advance(1);
    let ticket = shoal.send(0, CLIENT, waits(&[id], Some(5000)));
    shoal.advance_ms(4990);
    assert_eq!(answered(&shoal, 0, ticket), None, "one is away");
    shoal.advance_ms(20);
    assert_eq!(answered(&shoal, 0, ticket), Some(vec![Fate::Unknown]));
    let ticket = shoal.send(0, CLIENT, waits(&[id], None));
    shoal.advance(30);
    shoal.start(2);
    shoal.advance(6);
    assert_eq!(answered(&shoal, 0, ticket), Some(vec![Fate::Unknown]));
}

#[test]
fn a_waiter_is_not_forgotten_when_links_break_and_nodes_restart() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies(2));
    let ticket = shoal.send(2, CLIENT, waits(&[id], None));
    shoal.cut(0, 2);
    shoal.cut(1, 2);
    shoal.advance(1);
    shoal.run(0, Command::AckJob(vec![id], None));
    shoal.advance(3);
    assert_eq!(answered(&shoal, 2, ticket), None);
    shoal.kill(1);
    shoal.start(1);
    shoal.mend();
    shoal.advance(6);
    assert_eq!(answered(&shoal, 2, ticket), Some(vec![acked(None)]));
}

#[test]
fn nothing_is_left_of_a_client_that_went_away() {
    let mut shoal = Shoal::new(2);
    let id = shoal.add(0, copies(2));
    shoal.send(1, CLIENT, waits(&[id], None));
    shoal.advance(1);
    shoal.feed(1, Event::Disconnected(ClientId(CLIENT)));
    shoal.sent.clear();
    shoal.advance(40);
    let watches = shoal.sent.iter().filter(|(_, _, message)| {
        matches!(
            message,
            crate::message::Message::Watch(_) | crate::message::Message::Fates(_)
        )
    });
    assert_eq!(watches.count(), 0);
}

/// A job of node 0 is handed out there. Returns a node that has no copy.
fn handed_out(shoal: &mut Shoal, id: JobId) -> usize {
    assert_eq!(shoal.get(0, "q", 1).len(), 1);
    let far = (0..4).find(|&seat| shoal.node(seat).queue_of(&id).is_none());
    far.expect("only two nodes have it")
}

#[test]
fn nack_and_working_find_the_node_with_the_turn() {
    let mut shoal = Shoal::new(4);
    let id = shoal.add(0, copies(2));
    let far = handed_out(&mut shoal, id);
    assert_eq!(shoal.run(far, Command::working(Some(id))), Reply::Count(20));
    assert_eq!(shoal.count(far, Command::nack(vec![id])), 1);
    assert_eq!(shoal.queued(id), [0], "where it was handed out");
    shoal.kill(0);
    shoal.advance(1);
    assert_eq!(
        shoal.count(far, Command::nack(vec![id])),
        1,
        "the other has a copy"
    );
    let unknown = JobId::from_bytes([1; 24]);
    assert_eq!(shoal.count(far, Command::nack(vec![unknown])), 0);
}

#[test]
fn while_a_node_has_not_answered_nobody_acts_in_its_place() {
    let mut shoal = Shoal::new(4);
    let id = shoal.add(0, copies(2));
    let far = handed_out(&mut shoal, id);
    shoal.hang(0);
    let ticket = shoal.send(far, CLIENT, Command::nack(vec![id]));
    shoal.advance_ms(1100);
    assert_eq!(shoal.answer(far, ticket), Some(&Reply::Count(0)));
    assert_eq!(shoal.queued(id), [], "it may have done it");
}

/// Two nodes were asked for the one copy, and one of them was slow. (Simulation seed 9589.)
#[test]
fn a_copy_that_is_not_handed_out_says_nothing_of_its_job() {
    let mut shoal = Shoal::new(3);
    shoal.advance(1);
    let mut bytes = [7; 24];
    bytes[22..].copy_from_slice(&[0, 10]);
    let id = JobId::from_bytes(bytes);
    let copy = Copy {
        id,
        retry: 0,
        replicate: 1,
        holders: [Shoal::id(1), Shoal::id(2)].into(),
        ..Copy::sample()
    };
    let copy = Message::ReplJob(Box::new(copy));
    shoal.feed(1, Event::Message(Shoal::id(0), copy));
    assert!(shoal.show(1, id).is_some(), "it has the copy");
    for seat in 0..3 {
        assert_eq!(fate_at(&mut shoal, seat, id), Fate::Unknown, "node {seat}");
    }
}
