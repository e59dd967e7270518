//! ADDJOB while nodes restart: it waits for those that are expected back as long as its client offers to, not longer.

use std::fs;
use std::time::{Duration, Instant};

use crate::cluster::fixture::{Shoal, until};
use crate::wire::{Reply, error};

const TOO_FEW: &str = "NOREPL Not enough reachable nodes for the requested replication level";

#[track_caller]
fn assert_id(reply: &Reply) {
    assert!(reply.simple_text().starts_with("D-"), "{reply:?} is an id");
}

#[test]
fn an_add_waits_for_a_node_that_was_killed_or_stopped_a_moment_ago() {
    let mut shoal = Shoal::start(7);
    for clean in [false, true] {
        let gone = if clean { 4 } else { 5 };
        if clean {
            assert!(shoal.nodes[gone].terminate().success());
        } else {
            shoal.nodes[gone].kill();
        }
        let mut producer = shoal.connect(0);
        producer.send("ADDJOB q b 30000 REPLICATE 7");
        let early = producer.receive_within(Duration::from_secs(2));
        assert_eq!(early, None, "the producer waits");
        shoal.nodes[gone].restart();
        assert_id(&producer.receive());
        shoal.wait_until_all_met();
    }
    let start = Instant::now();
    let refused = shoal.call(0, "ADDJOB q b 30000 REPLICATE 100");
    assert_eq!(refused, error(TOO_FEW));
    assert!(start.elapsed() < Duration::from_secs(5), "refused at once");
}

#[test]
fn a_node_that_has_just_started_waits_for_its_links() {
    let mut shoal = Shoal::start(3);
    let others = [shoal.id(0), shoal.id(2)];
    let file = shoal.nodes[1].launch().data().join("members.conf");
    until("its members are on disk", || {
        let members = fs::read_to_string(&file).unwrap_or_default();
        others.iter().all(|id| members.contains(id))
    });
    for _ in 0..5 {
        shoal.nodes[1].restart_after_kill();
        assert_id(&shoal.call(1, "ADDJOB q b 5000 REPLICATE 3"));
        shoal.nodes[1].restart_cleanly();
        assert_id(&shoal.call(1, "ADDJOB q b 5000"));
    }
}

#[test]
fn nobody_waits_for_a_node_that_stays_away() {
    let mut shoal = Shoal::start(3);
    let mut endless = shoal.connect(0);
    shoal.nodes[2].kill();
    let died = Instant::now();
    endless.send("ADDJOB q b 0 REPLICATE 3");
    assert_eq!(endless.receive(), error(TOO_FEW));
    let waited = died.elapsed();
    assert!(
        (8..30).contains(&waited.as_secs()),
        "it was refused after {waited:?}"
    );
    let start = Instant::now();
    let refused = shoal.call(0, "ADDJOB q b 30000 REPLICATE 3");
    assert_eq!(refused, error(TOO_FEW));
    assert!(start.elapsed() < Duration::from_secs(5), "refused at once");
}

#[test]
fn a_node_that_left_for_good_is_not_waited_for() {
    let mut shoal = Shoal::start(3);
    shoal.call(2, "CLUSTER LEAVING yes");
    until("the others know", || {
        let refused = shoal.call(0, "ADDJOB q b 100 REPLICATE 3");
        refused == error(TOO_FEW)
    });
    assert!(shoal.nodes[2].terminate().success());
    let start = Instant::now();
    let refused = shoal.call(0, "ADDJOB q b 30000 REPLICATE 3");
    assert_eq!(refused, error(TOO_FEW));
    assert!(start.elapsed() < Duration::from_secs(5), "refused at once");
}
