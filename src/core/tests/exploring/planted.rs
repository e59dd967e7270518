//! The exploration can fail: each of these bugs, planted into all nodes, leads to something wrong within a few steps.

use super::history::Situation;
use super::search::explore;
use super::situations;
use crate::planted::Bug;

/// Something is wrong at the end of a history with this bug, and this is said about it.
fn finds(bug: Bug, situation: &Situation, steps: usize, what: &str) {
    let found = explore(situation, steps, Some(bug));
    let histories = found.histories;
    let violation = found.violation;
    let violation = violation.unwrap_or_else(|| panic!("{bug:?}: {histories} histories end well"));
    assert!(violation.contains(what), "{violation}");
}

#[test]
fn ranks_are_compared_before_registers() {
    let bug = Bug::RankBeforeRegister;
    finds(bug, &situations::REDRIVEN, 1, "is in different places");
}

#[test]
fn a_job_whose_ttl_is_over_is_buried_by_every_holder() {
    let bug = Bug::EveryHolderBuries;
    finds(bug, &situations::TTL_ENDS, 1, "which is not its turn");
}

#[test]
fn a_move_is_not_recorded() {
    let bug = Bug::UnrecordedMove;
    finds(bug, &situations::HANDED_OUT, 2, "has lost a register");
}

#[test]
fn an_ack_is_given_up_at_the_end_of_the_ttl() {
    let bug = Bug::AckEndsWithTtl;
    finds(
        bug,
        &situations::TTL_ENDS_APART,
        2,
        "was acked, and is there",
    );
}

#[test]
fn counters_are_merged_between_different_registers() {
    let bug = Bug::MergedCounters;
    finds(bug, &situations::REDRIVEN, 3, "is buried after 0 hand-outs");
}
