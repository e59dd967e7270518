use crate::command::{Delivery, Told};
use crate::message::Message;
use crate::record::JobRecord;

use super::*;

const START: Position = Position::START;

fn id(number: u8) -> JobId {
    JobId::from_bytes([number; 24])
}

fn added(number: u8) -> Record {
    Record::Added(Box::new(JobRecord {
        id: id(number),
        ..JobRecord::sample()
    }))
}

fn delivered(jobs: &[u8]) -> Reply {
    let delivery = |&number| Delivery {
        id: id(number),
        ..Delivery::sample()
    };
    Reply::Delivered(jobs.iter().map(delivery).collect(), Told::default())
}

fn gates() -> Gates {
    let mut gates = Gates::new(0);
    for (number, position) in [(10, 1), (20, 2), (30, 4)] {
        gates.record(
            Policy::Always,
            &added(number),
            News::Job,
            Position(position),
        );
    }
    gates
}

fn of_delivery(gates: &Gates, jobs: &[u8]) -> Position {
    gates.of_reply(Policy::Always, Wait::Jobs, &delivered(jobs))
}

#[test]
fn a_delivery_waits_for_the_records_of_its_jobs_alone() {
    let mut gates = gates();
    assert_eq!(of_delivery(&gates, &[20, 10]), Position(2));
    let old = of_delivery(&gates, &[5]);
    assert_eq!(old, START, "older than all that is on its way");
    gates.prune(Position(2));
    assert_eq!(of_delivery(&gates, &[20]), START);
    assert_eq!(of_delivery(&gates, &[20, 30]), Position(4));
}

#[test]
fn a_job_that_is_recorded_again_holds_nobody_up() {
    let mut gates = gates();
    gates.record(Policy::Always, &added(15), News::Nothing, Position(5));
    assert_eq!(of_delivery(&gates, &[15]), START);
}

#[test]
fn a_job_that_comes_again_waits_for_its_newest_record() {
    let mut gates = gates();
    gates.record(Policy::Always, &added(10), News::Job, Position(5));
    gates.prune(Position(4));
    let copy = gates.of_message(Policy::Always, Wait::Copy, &Message::GotJob(id(10)));
    assert_eq!(copy, Position(5));
}

#[test]
fn a_copy_is_on_disk_before_it_is_confirmed_and_waits_for_a_disk_that_stalls() {
    let mut gates = gates();
    let of = |gates: &Gates, policy| gates.of_message(policy, Wait::Copy, &Message::GotJob(id(20)));
    assert_eq!(
        of(&gates, Policy::Always),
        Position(2),
        "not what came later"
    );
    assert_eq!(of(&gates, Policy::AlwaysButFailing), Position(2));
    assert_eq!(of(&gates, Policy::Stalls), Position(4));
    gates.prune(Position(2));
    assert_eq!(of(&gates, Policy::Always), START, "it is on disk");
}

#[test]
fn only_always_holds_back_what_is_no_copy() {
    let gates = gates();
    for wait in [Wait::Nothing, Wait::Jobs, Wait::View, Wait::All] {
        assert_eq!(
            gates.of_message(Policy::Stalls, wait, &Message::GotJob(id(10))),
            START
        );
    }
    assert_eq!(
        gates.of_message(Policy::Always, Wait::Nothing, &Message::GotJob(id(10))),
        START
    );
    assert_eq!(
        gates.of_message(Policy::Always, Wait::All, &Message::GotJob(id(10))),
        Position(4)
    );
}

#[test]
fn who_only_looks_is_answered_while_the_log_cannot_be_written() {
    let gates = gates();
    let count = Reply::Count(1);
    let of = |policy, wait| gates.of_reply(policy, wait, &count);
    assert_eq!(of(Policy::Always, Wait::View), Position(4));
    assert_eq!(of(Policy::AlwaysButFailing, Wait::View), START);
    assert_eq!(of(Policy::AlwaysButFailing, Wait::All), Position(4));
}
