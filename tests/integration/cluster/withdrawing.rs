//! NOREPL: a job that was not added is delivered by nobody, whenever those who have a copy come back.

use std::time::Duration;

use crate::cluster::fixture::{Shoal, drain, until};
use crate::wire::error;

const TIMEOUT: &str = "NOREPL Timeout reached before replicating to the requested number of nodes";

/// Longer than the retry of the job, and than nodes take to meet again.
const QUIET: Duration = Duration::from_secs(8);

/// Two of three nodes stand still until the third has given up a job that was to be on all, and something happened to it.
fn withdraw_and(happens: impl Fn(&mut Shoal)) {
    let mut shoal = Shoal::with(3, "--appendfsync always");
    shoal.nodes[1].freeze();
    shoal.nodes[2].freeze();
    let refused = shoal.call(0, "ADDJOB nr x 5000 REPLICATE 3 RETRY 5");
    assert_eq!(refused, error(TIMEOUT));
    happens(&mut shoal);
    let mut connection = shoal.connect(0);
    assert_eq!(connection.info("withdrawn_jobs_waiting"), "1");
    assert_eq!(connection.info("acked_jobs_waiting"), "0");
    shoal.nodes[1].thaw();
    shoal.nodes[2].thaw();
    let seen = drain(&shoal, "nr", QUIET);
    assert!(seen.is_empty(), "{seen:?}");
    until("all have heard", || {
        connection.info("withdrawn_jobs_waiting") == "0"
    });
    shoal.wait_until_empty();
}

#[test]
fn a_job_that_was_not_added_is_not_delivered_when_the_others_go_on() {
    withdraw_and(|_| {});
}

#[test]
fn the_same_when_the_adding_node_was_restarted() {
    withdraw_and(|shoal| {
        assert!(shoal.nodes[0].terminate().success());
        shoal.nodes[0].restart();
    });
}

#[test]
fn the_same_when_the_adding_node_was_killed() {
    withdraw_and(|shoal| {
        shoal.nodes[0].kill();
        shoal.nodes[0].restart();
    });
}
