//! ADDJOB while members restart: it waits for those that are expected back, and for nobody else.

use std::time::Duration;

use super::bench::{SETTINGS, job};
use super::shoal::Shoal;
use crate::command::{AddJob, Command, Refusal, Replication, Reply};
use crate::event::Event;
use crate::id::Ticket;
use crate::job::JobState;
use crate::limits;
use crate::node::Settings;

/// ADDJOB with REPLICATE and a timeout in seconds; 0 waits for ever.
fn copies(replicate: u16, timeout: u64) -> Command<'static> {
    Command::AddJob(AddJob {
        replicate: Some(replicate),
        timeout: Some(Duration::from_secs(timeout)).filter(|timeout| !timeout.is_zero()),
        ..job("q")
    })
}

fn is_added(shoal: &Shoal, seat: usize, ticket: Ticket) -> bool {
    matches!(shoal.answer(seat, ticket), Some(Reply::Added(_)))
}

fn is_refused(shoal: &Shoal, seat: usize, ticket: Ticket) -> bool {
    shoal.answer(seat, ticket) == Some(&Reply::Refused(Refusal::TooFewNodes))
}

#[test]
fn an_add_waits_for_a_member_that_was_killed_a_moment_ago() {
    let mut shoal = Shoal::new(7);
    shoal.kill(3);
    shoal.advance_ms(10);
    let ticket = shoal.send(0, 1, copies(7, 30));
    shoal.advance(2);
    assert_eq!(shoal.answer(0, ticket), None);
    shoal.start(3);
    shoal.advance_ms(20);
    assert!(is_added(&shoal, 0, ticket));
}

#[test]
fn an_add_waits_for_a_member_that_stopped_cleanly() {
    let mut shoal = Shoal::new(3);
    shoal.feed(2, Event::HandOver);
    shoal.advance_ms(10);
    shoal.stop(2);
    shoal.advance_ms(10);
    let ticket = shoal.send(0, 1, copies(3, 30));
    shoal.advance(2);
    assert_eq!(shoal.answer(0, ticket), None);
    shoal.start(2);
    shoal.advance_ms(20);
    assert!(is_added(&shoal, 0, ticket));
}

#[test]
fn a_node_that_has_just_started_expects_all_members_it_knows() {
    let mut shoal = Shoal::new(3);
    shoal.kill(0);
    shoal.advance_ms(10);
    shoal.start(0);
    let strict = shoal.send(0, 1, copies(3, 5));
    let plain = shoal.send(0, 1, Command::AddJob(job("q")));
    assert_eq!(shoal.answer(0, strict), None);
    shoal.advance_ms(20);
    assert!(is_added(&shoal, 0, strict) && is_added(&shoal, 0, plain));
}

#[test]
fn after_ten_seconds_a_member_is_expected_no_more() {
    let mut shoal = Shoal::new(3);
    shoal.kill(2);
    shoal.advance_ms(10);
    let patient = shoal.send(0, 1, copies(3, 30));
    let endless = shoal.send(0, 1, copies(3, 0));
    shoal.advance_ms(9_980);
    assert_eq!(shoal.answer(0, endless), None);
    shoal.advance_ms(20);
    assert!(is_refused(&shoal, 0, endless));
    let late = shoal.send(0, 1, copies(3, 30));
    assert!(is_refused(&shoal, 0, late));
    assert_eq!(shoal.node(0).counters().refused_unreachable, 2);
    assert_eq!(
        shoal.answer(0, patient),
        None,
        "it waits as long as it said"
    );
    shoal.start(2);
    shoal.advance_ms(20);
    assert!(is_added(&shoal, 0, patient));
}

#[test]
fn more_copies_than_members_are_refused_at_once_whoever_is_expected() {
    let mut shoal = Shoal::new(3);
    shoal.kill(2);
    shoal.advance_ms(10);
    let ticket = shoal.send(0, 1, copies(4, 30));
    assert!(is_refused(&shoal, 0, ticket));
}

#[test]
fn a_member_that_leaves_for_good_is_not_expected_back() {
    let mut shoal = Shoal::new(3);
    shoal.feed(1, Event::Leaving(true));
    shoal.feed(1, Event::HandOver);
    shoal.advance_ms(10);
    shoal.stop(1);
    shoal.advance_ms(10);
    let ticket = shoal.send(0, 1, copies(3, 30));
    assert!(is_refused(&shoal, 0, ticket));
}

#[test]
fn an_endless_add_ends_when_the_member_it_waits_for_leaves_or_is_forgotten() {
    for forget in [false, true] {
        let mut shoal = Shoal::new(3);
        shoal.hang(2);
        let ticket = shoal.send(0, 1, copies(3, 0));
        shoal.advance(1);
        assert_eq!(shoal.answer(0, ticket), None);
        if forget {
            shoal.feed(0, Event::PeerForgotten(Shoal::id(2)));
        } else {
            // It finds the question only now, and takes no copy any more.
            shoal.feed(2, Event::Leaving(true));
            shoal.wake(2);
            shoal.advance_ms(10);
        }
        assert!(is_refused(&shoal, 0, ticket));
    }
}

#[test]
fn a_plain_add_waits_only_for_the_copies_that_it_cannot_do_without() {
    let mut shoal = Shoal::new(3);
    shoal.kill(2);
    shoal.advance_ms(10);
    let one_away = shoal.send(0, 1, Command::AddJob(job("q")));
    shoal.advance_ms(5);
    assert!(is_added(&shoal, 0, one_away));
    shoal.kill(1);
    shoal.advance_ms(10);
    let both_away = shoal.send(0, 1, Command::AddJob(job("q")));
    shoal.advance(1);
    assert_eq!(shoal.answer(0, both_away), None);
    shoal.start(1);
    shoal.advance_ms(20);
    assert!(is_added(&shoal, 0, both_away));
}

#[test]
fn an_asynchronous_add_is_answered_at_once_while_members_restart() {
    let mut shoal = Shoal::with(3, Settings { ..SETTINGS });
    shoal.kill(1);
    shoal.kill(2);
    shoal.advance_ms(10);
    let add = AddJob {
        replicate: Some(3),
        replication: Replication::Asynchronous,
        ..job("q")
    };
    let ticket = shoal.send(0, 1, Command::AddJob(add));
    let Some(&Reply::Added(id)) = shoal.answer(0, ticket) else {
        panic!("it is added");
    };
    shoal.start(1);
    shoal.start(2);
    shoal.advance(20);
    assert_eq!(shoal.states(id).iter().flatten().count(), 3);
}

#[test]
fn a_job_whose_producer_was_answered_at_once_makes_do_without_a_member_that_stays_away() {
    let mut shoal = Shoal::new(4);
    shoal.feed(0, Event::Leaving(true));
    shoal.kill(2);
    shoal.advance_ms(10);
    let id = shoal.add(
        0,
        AddJob {
            replicate: Some(3),
            replication: Replication::Asynchronous,
            ..job("q")
        },
    );
    shoal.advance_ms(limits::EXPECTED_BACK.as_millis() as u64 - 100);
    assert!(shoal.states(id)[0].is_some(), "it waits for the third");
    shoal.advance_ms(200);
    let states = shoal.states(id);
    assert_eq!(states[0], None, "others have it");
    let queued = states.iter().filter(|&&it| it == Some(JobState::Queued));
    assert_eq!(queued.count(), 1, "{states:?}");
}
