//! An add that is withdrawn ends as an ack does, wherever a copy went.

use std::time::Duration;

use super::bench::{SETTINGS, job, job_with_retry};
use super::shoal::Shoal;
use crate::command::{AddJob, Command, Refusal, Replication, Reply};
use crate::event::Event;
use crate::id::{ClientId, JobId, Ticket};
use crate::job::JobState;
use crate::limits;
use crate::message::Message;
use crate::node::Settings;
use crate::record::Record;

/// Seconds until a copy is queued that heard nothing more.
const RETRY: u32 = 5;
/// Seconds in which every retry is over, and every round of telling.
const LONG: u64 = 60;

/// A job on this number of nodes, whose producer waits until it is answered.
fn endless(replicate: u16) -> AddJob<'static> {
    AddJob {
        replicate: Some(replicate),
        ..job_with_retry("q", RETRY)
    }
}

/// The same, whose producer waits for this long.
fn within(replicate: u16, ms: u64) -> AddJob<'static> {
    AddJob {
        timeout: Some(Duration::from_millis(ms)),
        ..endless(replicate)
    }
}

/// Node 1 has a copy and is cut off from node 0, which waits for one more at node 2, which hangs.
fn half_copied(add: AddJob<'_>) -> (Shoal, Ticket, JobId) {
    let mut shoal = Shoal::new(3);
    shoal.hang(2);
    let ticket = shoal.send(0, 1, Command::AddJob(add));
    shoal.advance_ms(10);
    let id = shoal.node(1).jobs.iter().map(|(_, job)| job.id).next();
    shoal.cut(0, 1);
    (shoal, ticket, id.expect("it has a copy"))
}

/// The same, after node 0 has said that the job is not added.
fn withdrawn() -> (Shoal, JobId) {
    let (mut shoal, ticket, id) = half_copied(within(3, 200));
    shoal.advance_ms(300);
    let refused = Reply::Refused(Refusal::ReplicationTimeout);
    assert_eq!(shoal.answer(0, ticket), Some(&refused));
    (shoal, id)
}

/// All nodes meet again, and none of them ever delivers the job or keeps anything of it.
fn assert_gone(shoal: &mut Shoal, what: &str) {
    shoal.mend();
    shoal.wake(2);
    for _ in 0..LONG {
        shoal.advance(1);
        for seat in shoal.running() {
            assert_eq!(shoal.get(seat, "q", 1), [], "{what}");
        }
    }
    assert_eq!(shoal.jobs(), 0, "{what}");
}

/// Nobody counted the job as added, or as acked.
fn assert_uncounted(shoal: &Shoal) {
    for seat in shoal.running() {
        let tally = shoal.node(seat).total_tally();
        assert_eq!((tally.added, tally.acked), (0, 0), "node {seat}");
        assert_eq!(tally.service.counts, [0; _], "node {seat}");
    }
}

#[test]
fn a_holder_that_was_cut_off_hears_of_it_and_never_delivers_the_job() {
    let (mut shoal, id) = withdrawn();
    let view = shoal.show(0, id).expect("it is kept for the others");
    assert_eq!((view.state, view.withdrawn), (JobState::Acked, true));
    assert_eq!(shoal.node(0).withdrawn_count(), 1);
    assert_gone(&mut shoal, "cut off");
    assert_eq!(shoal.node(0).withdrawn_count(), 0);
    assert_uncounted(&shoal);
}

#[test]
fn the_same_when_the_producer_is_gone() {
    let (mut shoal, _, id) = half_copied(endless(3));
    shoal.feed(0, Event::Disconnected(ClientId(1)));
    assert!(shoal.show(0, id).expect("it is kept").withdrawn);
    assert_gone(&mut shoal, "no client");
    assert_uncounted(&shoal);
}

#[test]
fn the_same_when_too_few_nodes_are_left() {
    let (mut shoal, ticket, id) = half_copied(endless(3));
    shoal.feed(0, Event::PeerFailing(Shoal::id(2), true));
    shoal.advance_ms(limits::EXPECTED_BACK.as_millis() as u64);
    let refused = Reply::Refused(Refusal::TooFewNodes);
    assert_eq!(shoal.answer(0, ticket), Some(&refused));
    assert!(shoal.show(0, id).expect("it is kept").withdrawn);
    shoal.feed(0, Event::PeerFailing(Shoal::id(2), false));
    assert_gone(&mut shoal, "too few nodes");
    assert_uncounted(&shoal);
}

#[test]
fn a_withdrawal_outlives_a_restart_of_the_adding_node() {
    for stop in [Shoal::stop, Shoal::kill] {
        let (mut shoal, id) = withdrawn();
        stop(&mut shoal, 0);
        shoal.start(0);
        let view = shoal.show(0, id).expect("it is in the log");
        assert_eq!((view.state, view.withdrawn), (JobState::Acked, true));
        assert_eq!(shoal.node(0).withdrawn_count(), 1);
        assert_gone(&mut shoal, "after a restart");
        assert_uncounted(&shoal);
    }
}

#[test]
fn its_record_goes_to_a_new_segment_as_it_is() {
    let (mut shoal, id) = withdrawn();
    shoal.roll(0);
    shoal.feed(0, Event::Rewrite);
    shoal.advance_ms(100);
    let again = shoal.log(0).any(|(at, record)| {
        matches!(record, Record::Acked(ack) if ack.id == id && ack.withdrawn && at.segment == 2)
    });
    assert!(again, "{:?}", shoal.log(0).collect::<Vec<_>>());
}

#[test]
fn a_holder_tells_the_others_when_the_adding_node_is_gone_for_good() {
    let (mut shoal, id) = withdrawn();
    shoal.mend();
    // Node 1 has heard, and node 2 hangs when node 0 dies.
    shoal.advance_ms(10);
    let view = shoal.show(1, id).expect("node 2 has not heard of it");
    assert_eq!((view.state, view.withdrawn), (JobState::Acked, true));
    shoal.kill(0);
    shoal.feed(1, Event::PeerForgotten(Shoal::id(0)));
    shoal.feed(2, Event::PeerForgotten(Shoal::id(0)));
    shoal.advance_ms(limits::ACK_PATIENCE.as_millis() as u64 * 2);
    assert_gone(&mut shoal, "without the adding node");
    assert_uncounted(&shoal);
}

#[test]
fn a_copy_made_by_a_holder_ends_too() {
    let settings = Settings {
        heal_delay: Duration::from_secs(1),
        ..SETTINGS
    };
    let mut shoal = Shoal::with(5, settings);
    shoal.cut(0, 4);
    shoal.hang(2);
    shoal.advance_ms(10);
    let ticket = shoal.send(0, 1, Command::AddJob(within(4, 3000)));
    shoal.advance_ms(10);
    let id = shoal.node(1).jobs.iter().map(|(_, job)| job.id).next();
    let id = id.expect("it has a copy");
    shoal.cut(0, 1);
    shoal.cut(0, 3);
    shoal.advance(4);
    let refused = Reply::Refused(Refusal::ReplicationTimeout);
    assert_eq!(shoal.answer(0, ticket), Some(&refused));
    let states = shoal.states(id);
    assert_eq!(states[4], Some(JobState::Active), "it was never asked");
    assert_gone(&mut shoal, "copies of copies");
}

#[test]
fn what_was_delivered_before_the_answer_is_not_delivered_again() {
    let (mut shoal, ticket, id) = half_copied(within(3, 20_000));
    // Nobody tells node 1 that the producer still waits.
    shoal.advance(10);
    assert_eq!(shoal.get(1, "q", 1).len(), 1, "its retry was over");
    assert_eq!(shoal.answer(0, ticket), None);
    shoal.advance(11);
    let refused = Reply::Refused(Refusal::ReplicationTimeout);
    assert_eq!(shoal.answer(0, ticket), Some(&refused));
    shoal.mend();
    shoal.advance_ms(10);
    assert_eq!(shoal.ack(1, id), 0, "it is over already");
    assert_gone(&mut shoal, "once delivered");
    assert_uncounted(&shoal);
}

#[test]
fn an_ack_before_the_answer_counts_and_ends_the_wait() {
    let (mut shoal, ticket, id) = half_copied(within(3, 20_000));
    shoal.advance(10);
    assert_eq!(shoal.get(1, "q", 1).len(), 1, "its retry was over");
    assert_eq!(shoal.ack(1, id), 1);
    shoal.mend();
    shoal.advance_ms(10);
    let refused = Reply::Refused(Refusal::RemovedWhileReplicating);
    assert_eq!(shoal.answer(0, ticket), Some(&refused));
    assert_eq!(shoal.node(0).withdrawn_count(), 0, "it is acked");
    assert_gone(&mut shoal, "acked");
}

#[test]
fn a_copy_that_is_confirmed_late_ends_too() {
    let (mut shoal, id) = withdrawn();
    // Node 2 confirms while the withdrawal is told, and again when all is over.
    shoal.feed(0, Event::Message(Shoal::id(2), Message::GotJob(id)));
    let view = shoal.show(0, id).expect("it is kept");
    assert!(view.holders.contains(&Shoal::id(2)), "{view:?}");
    assert_gone(&mut shoal, "late");
    shoal.sent.clear();
    shoal.feed(0, Event::Message(Shoal::id(2), Message::GotJob(id)));
    let answer = shoal.sent.pop_front();
    assert!(
        matches!(answer, Some((0, 2, Message::SetAck { id: it, .. })) if it == id),
        "{answer:?}"
    );
}

#[test]
fn a_node_that_keeps_no_copy_withdraws_what_it_sent_to_others() {
    let mut shoal = Shoal::new(4);
    shoal.feed(0, Event::Leaving(true));
    shoal.hang(2);
    shoal.hang(3);
    let once = AddJob {
        replicate: Some(1),
        retry: Some(0),
        timeout: Some(Duration::from_millis(200)),
        ..job("q")
    };
    let tickets = [within(3, 200), once].map(|add| shoal.send(0, 1, Command::AddJob(add)));
    shoal.advance_ms(10);
    shoal.cut(0, 1);
    shoal.advance_ms(300);
    let refused = Reply::Refused(Refusal::ReplicationTimeout);
    assert_eq!(shoal.answer(0, tickets[0]), Some(&refused));
    shoal.wake(3);
    shoal.feed(0, Event::Leaving(false));
    assert_gone(&mut shoal, "elsewhere");
}

#[test]
fn an_evicted_withdrawal_is_counted_no_more() {
    let (mut shoal, id) = withdrawn();
    let settings = Settings {
        max_memory: 1,
        ..SETTINGS
    };
    shoal.feed(0, Event::Configured(settings));
    shoal.feed(0, Event::MemoryPressure);
    assert_eq!(shoal.show(0, id), None);
    assert_eq!(shoal.node(0).withdrawn_count(), 0);
}

#[test]
fn a_node_that_keeps_no_copy_does_not_deliver_the_job_after_a_crash() {
    for replication in [Replication::Synchronous, Replication::Asynchronous] {
        crash_while_a_job_goes_elsewhere(replication);
    }
}

fn crash_while_a_job_goes_elsewhere(replication: Replication) {
    let mut shoal = Shoal::new(4);
    shoal.feed(0, Event::Leaving(true));
    shoal.advance_ms(10);
    shoal.hang(3);
    let add = AddJob {
        replication,
        ..endless(3)
    };
    let ticket = shoal.send(0, 1, Command::AddJob(add));
    shoal.advance_ms(10);
    let answered = shoal.answer(0, ticket).is_some();
    assert_eq!(answered, replication == Replication::Asynchronous);
    shoal.kill(0);
    shoal.wake(3);
    shoal.advance(RETRY.into());
    shoal.advance(2);
    let taken: Vec<JobId> = (1..4)
        .flat_map(|seat| shoal.get(seat, "q", 1))
        .map(|job| job.id)
        .collect();
    let [id] = taken[..] else {
        panic!("its holders deliver it once, not {taken:?}");
    };
    assert_eq!(shoal.ack(1, id), 1);
    shoal.advance_ms(10);
    // Nor does anybody remember the ack for ever.
    for seat in 1..4 {
        shoal.kill(seat);
        shoal.start(seat);
    }
    shoal.start(0);
    assert_gone(&mut shoal, "a crash of the adding node");
}
