//! An exhaustive exploration of what moves jobs: three nodes, one or two jobs, and everything that can happen to them in a
//! few steps.
//!
//! From each of several situations, all histories up to a number of steps are run: messages about a job arrive in any order or
//! are lost, a node ticks at its next deadline or long after it, clients act at any moment, and one node crashes,
//! with or without its last records. After each history all faults end, and it is checked that no job is lost, that a job
//! waits at one node and everybody knows where, and that an ack ends a job everywhere. The real nodes are driven; their
//! invariants are checked after every event.
//!
//! The tests count the states that they see, so that the exploration cannot shrink unnoticed. Together they take about half a
//! minute of a processor's time. With a step more they take some minutes, so that is ignored by default:
//!
//! ```text
//! cargo test -p shoalmq-core --lib exploring -- --ignored --nocapture
//! ```

mod checks;
mod history;
mod links;
mod looks;
mod search;
mod situations;
mod world;

#[cfg(feature = "planted-bugs")]
mod planted;

use history::Situation;
use search::explore;

/// All histories of this many steps end well, and lead to at least this many states.
fn check(situation: &Situation, steps: usize, states: usize) {
    let found = explore(situation, steps, None);
    let name = situation.name;
    println!(
        "{name}, {steps} steps: {} states, {} histories",
        found.states, found.histories
    );
    if let Some(violation) = found.violation {
        panic!("{violation}");
    }
    assert!(found.states >= states, "{name}: {} states", found.states);
}

#[test]
fn a_job_that_is_handed_out_for_the_last_time() {
    check(&situations::HANDED_OUT, 4, 3500);
}

#[test]
fn a_job_that_waits_and_whose_ttl_is_about_to_end() {
    check(&situations::TTL_ENDS, 4, 2200);
}

#[test]
fn a_job_that_is_out_and_whose_ttl_is_about_to_end() {
    check(&situations::TTL_ENDS_OUT, 3, 500);
}

#[test]
fn a_job_whose_ttl_is_about_to_end_on_both_sides_of_a_partition() {
    check(&situations::TTL_ENDS_APART, 4, 1000);
}

#[test]
fn a_job_that_is_given_back_and_waits() {
    check(&situations::GIVEN_BACK, 3, 570);
}

#[test]
fn a_dead_letter_that_is_sent_back() {
    check(&situations::REDRIVEN, 4, 4500);
}

#[test]
fn a_job_that_is_moved_while_a_holder_is_away() {
    check(&situations::AWAY, 4, 3000);
}

#[test]
fn a_job_that_is_moved_on_both_sides_of_a_partition() {
    check(&situations::APART, 3, 480);
}

#[test]
fn two_jobs_that_are_moved() {
    check(&situations::TWO_JOBS, 3, 750);
}

#[test]
#[ignore = "takes some minutes"]
fn longer_histories() {
    for (situation, steps, states) in [
        (&situations::HANDED_OUT, 5, 18_000),
        (&situations::TTL_ENDS, 5, 10_000),
        (&situations::TTL_ENDS_OUT, 4, 2000),
        (&situations::TTL_ENDS_APART, 5, 3500),
        (&situations::GIVEN_BACK, 5, 20_000),
        (&situations::REDRIVEN, 5, 20_000),
        (&situations::AWAY, 5, 14_000),
        (&situations::APART, 4, 2000),
        (&situations::TWO_JOBS, 4, 4000),
    ] {
        check(situation, steps, states);
    }
}
