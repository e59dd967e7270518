//! ADDJOB in a cluster: copies before the reply.

use std::time::Duration;

use super::bench::job;
use super::shoal::Shoal;
use crate::command::{AddJob, Command, Refusal, Reply};
use crate::job::JobState;
use crate::message::Message;

fn copies(queue: &str, replicate: u16) -> AddJob<'_> {
    AddJob {
        replicate: Some(replicate),
        ..job(queue)
    }
}

fn within(queue: &str, replicate: u16, ms: u64) -> AddJob<'_> {
    AddJob {
        timeout: Some(Duration::from_millis(ms)),
        ..copies(queue, replicate)
    }
}

#[test]
fn a_job_is_on_as_many_nodes_as_asked_for_when_its_producer_is_answered() {
    let mut shoal = Shoal::new(5);
    for wanted in 1..=5 {
        let ticket = shoal.send(0, 1, Command::AddJob(copies("q", wanted)));
        while shoal.answer(0, ticket).is_none() {
            shoal.advance_ms(1);
        }
        let Some(&Reply::Added(id)) = shoal.answer(0, ticket) else {
            panic!("it is added");
        };
        let states = shoal.states(id);
        assert_eq!(states[0], Some(JobState::Queued));
        let copies = states.iter().flatten().count();
        assert_eq!(copies, usize::from(wanted));
        assert!(
            states[1..]
                .iter()
                .flatten()
                .all(|&state| state == JobState::Active),
            "only the adding node queues it"
        );
    }
}

#[test]
fn a_job_is_not_handed_out_before_its_copies_are_confirmed() {
    let mut shoal = Shoal::new(2);
    let consumer = shoal.wait(0, 7, "q");
    let ticket = shoal.send(0, 1, Command::AddJob(copies("q", 2)));
    assert_eq!(shoal.answer(0, ticket), None);
    assert_eq!(shoal.got(0, consumer), None);
    shoal.advance_ms(2);
    let Some(&Reply::Added(id)) = shoal.answer(0, ticket) else {
        panic!("it is added");
    };
    assert_eq!(shoal.got(0, consumer), Some(id));
}

#[test]
fn all_holders_know_each_other() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(0, copies("q", 3));
    let everybody: Vec<_> = (0..3).map(Shoal::id).collect();
    for seat in 0..3 {
        let view = shoal.show(seat, id).expect("it has a copy");
        assert_eq!(view.holders, everybody);
        assert_eq!(view.replicate, 3);
    }
}

#[test]
fn a_producer_whose_copies_are_not_confirmed_in_time_is_refused_and_no_copy_stays() {
    let mut shoal = Shoal::new(3);
    shoal.hang(2);
    let ticket = shoal.send(0, 1, Command::AddJob(within("q", 3, 200)));
    shoal.advance_ms(199);
    assert_eq!(shoal.answer(0, ticket), None);
    assert_eq!(shoal.jobs(), 2);
    shoal.sent.clear();
    shoal.advance_ms(1);
    let refused = Reply::Refused(Refusal::ReplicationTimeout);
    assert_eq!(shoal.answer(0, ticket), Some(&refused));
    assert_eq!(shoal.node(0).counters().replication_timeouts, 1);
    assert_eq!(shoal.node(0).counters().added, 0);
    let told = shoal.sent.iter();
    let told = told.filter(|(_, _, message)| matches!(message, Message::DelJob(_)));
    let told: Vec<_> = told.map(|&(_, to, _)| to).collect();
    assert_eq!(told, [1, 2], "all that were tried");
    assert_eq!(shoal.node(0).job_count(), 0);
}
