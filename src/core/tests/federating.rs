//! Jobs go to where clients wait.

use crate::job::JobState;
use crate::message::Message;

use super::bench::{job, job_with_retry};
use super::shoal::Shoal;

/// One copy, so that the test is about moving.
fn one(queue: &str) -> crate::command::AddJob<'_> {
    crate::command::AddJob {
        replicate: Some(1),
        ..job_with_retry(queue, 60)
    }
}

fn once(queue: &str) -> crate::command::AddJob<'_> {
    crate::command::AddJob {
        replicate: Some(1),
        retry: Some(0),
        ..job(queue)
    }
}

fn needs(shoal: &Shoal) -> usize {
    let needs = shoal.sent.iter();
    needs
        .filter(|(_, _, message)| matches!(message, Message::NeedJobs { .. }))
        .count()
}

#[test]
fn a_client_that_waits_gets_a_job_that_is_added_elsewhere() {
    let mut shoal = Shoal::new(3);
    let ticket = shoal.wait(0, 1, "q");
    shoal.advance_ms(100);
    let id = shoal.add(1, one("q"));
    shoal.advance_ms(1);
    assert_eq!(shoal.got(0, ticket), Some(id), "one way after it was added");
    shoal.advance_ms(1);
    let active = Some(JobState::Active);
    assert_eq!(shoal.states(id), [active, active, None]);
}

#[test]
fn a_client_gets_a_job_that_waits_elsewhere() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(2, one("q"));
    let ticket = shoal.wait(0, 1, "q");
    shoal.advance_ms(2);
    assert_eq!(shoal.got(0, ticket), Some(id), "there and back");
}

#[test]
fn an_at_most_once_job_is_in_one_place_only() {
    let mut shoal = Shoal::new(3);
    let id = shoal.add(2, once("q"));
    let ticket = shoal.wait(0, 1, "q");
    shoal.advance_ms(2);
    assert_eq!(shoal.got(0, ticket), Some(id));
    assert_eq!(shoal.states(id), [Some(JobState::Active), None, None]);
    assert_eq!(needs(&shoal), 2);
}
