//! All nodes gone and back: who they are, whom they know, what they hold.

use std::time::Duration;

use crate::cluster::fixture::{Shoal, assert_each_once, drain, throughout, until};
use crate::wire::{Reply, int, simple};

#[test]
fn jobs_outlive_the_kill_of_all_nodes() {
    for nodes in [3, 5] {
        let mut shoal = Shoal::with(nodes, "--appendfsync always");
        let ids: Vec<_> = (0..nodes).map(|node| shoal.id(node)).collect();
        let mut bodies = Vec::new();
        for n in 0..60 {
            let mut connection = shoal.connect(n % nodes);
            let body = format!("body-{n}");
            let id = connection.add("q", &body, &format!("REPLICATE {} RETRY 2", 1 + n % 3));
            if n % 6 == 5 {
                assert_eq!(connection.call(&format!("ACKJOB {id}")), int(1));
            } else {
                bodies.push(body);
            }
        }
        for node in &mut shoal.nodes {
            node.kill();
        }
        for node in &mut shoal.nodes {
            node.restart();
        }
        // Nobody introduces them again.
        shoal.wait_until_all_met();
        let again: Vec<_> = (0..nodes).map(|node| shoal.id(node)).collect();
        assert_eq!(ids, again);
        for node in 0..nodes {
            assert_eq!(
                shoal.cluster_info(node, "cluster_known_nodes"),
                nodes.to_string()
            );
        }
        let seen = drain(&shoal, "q", Duration::from_secs(4));
        assert_each_once(&seen, bodies);
        shoal.wait_until_empty();
    }
}

#[test]
fn a_clean_stop_of_all_nodes_keeps_the_queues() {
    let mut shoal = Shoal::with(3, "--appendfsync always");
    let mut bodies = Vec::new();
    for n in 0..30 {
        let body = format!("body-{n}");
        let options = ["REPLICATE 3 RETRY 1000", "REPLICATE 1 RETRY 0"][n % 2];
        shoal.connect(n % 3).add("q", &body, options);
        bodies.push(body);
    }
    for node in &mut shoal.nodes {
        assert!(node.terminate().success());
    }
    for node in &mut shoal.nodes {
        node.restart();
    }
    shoal.wait_until_all_met();
    // No retry comes within the test: each was queued somewhere at once.
    let seen = drain(&shoal, "q", Duration::from_secs(3));
    assert_each_once(&seen, bodies);
}

#[test]
fn a_node_that_lost_its_disk_is_filled_again() {
    let mut shoal = Shoal::with(3, "--appendonly no");
    let id = shoal.connect(0).add("q", "body", "REPLICATE 3 RETRY 1000");
    // Jobs in memory only: this is another store, and its peers see that.
    shoal.nodes[2].kill();
    shoal.restart(2);
    until("the copy is made anew", || shoal.copies(&id) == 3);
    assert_eq!(shoal.nodes_where(&id, "queued"), [0]);
    assert_eq!(shoal.call(1, &format!("ACKJOB {id}")), int(1));
    shoal.wait_until_empty();
}

#[test]
fn copies_of_a_lost_node_are_made_anew_elsewhere() {
    let mut shoal = Shoal::with(4, "--appendonly no --heal-delay 1");
    let ids: Vec<_> = (0..30)
        .map(|n| {
            shoal
                .connect(0)
                .add("q", &format!("body-{n}"), "REPLICATE 3 RETRY 1000")
        })
        .collect();
    shoal.kill(&[1]);
    until("each has three copies again", || {
        ids.iter().all(|id| shoal.copies(id) >= 3)
    });
    for id in &ids {
        assert_eq!(shoal.nodes_where(id, "queued"), [0]);
    }
    let seen = drain(&shoal, "q", Duration::from_millis(500));
    assert_each_once(&seen, (0..30).map(|n| format!("body-{n}")));
}

#[test]
fn a_forgotten_member_stays_away_and_its_acks_do_not_wait() {
    let mut shoal = Shoal::start(3);
    let id = shoal.connect(0).add("q", "body", "REPLICATE 3 RETRY 1000");
    let gone = shoal.id(2);
    shoal.kill(&[2]);
    assert_eq!(shoal.call(0, &format!("ACKJOB {id}")), int(1));
    throughout(
        Duration::from_millis(300),
        "the ack waits for the third",
        || shoal.copies(&id) > 0,
    );
    assert_eq!(
        shoal.call(0, &format!("CLUSTER FORGET {gone}")),
        simple("OK")
    );
    shoal.wait_until_empty();
    until("both know two nodes", || {
        (0..2).all(|node| shoal.cluster_info(node, "cluster_known_nodes") == "2")
    });
    // It is barred for a while, though it remembers the others.
    shoal.nodes[2].restart();
    throughout(Duration::from_secs(2), "it stays away", || {
        (0..2).all(|node| shoal.cluster_info(node, "cluster_known_nodes") == "2")
    });
    let unknown = shoal.call(0, &format!("CLUSTER FORGET {}", "a".repeat(40)));
    assert_eq!(
        unknown.error_text(),
        format!("ERR Unknown node {}", "a".repeat(40))
    );
    let own = shoal.call(0, &format!("CLUSTER FORGET {}", shoal.id(0)));
    assert_eq!(
        own.error_text(),
        "ERR I tried hard but I can't forget myself..."
    );
}

#[test]
fn a_reset_node_knows_nobody_and_can_be_met_again() {
    for how in ["SOFT", "HARD"] {
        let shoal = Shoal::start(3);
        let id = shoal.connect(0).add("q", "body", "REPLICATE 3 RETRY 1000");
        let before = shoal.id(2);
        let mut connection = shoal.connect(2);
        assert_eq!(
            connection.call(&format!("CLUSTER RESET {how}")),
            simple("OK")
        );
        assert_eq!(shoal.cluster_info(2, "cluster_known_nodes"), "1");
        assert_eq!(connection.call(&format!("SHOW {id}")), Reply::NilBulk);
        assert_eq!(connection.info("registered_queues"), "0");
        assert_eq!(shoal.id(2) == before, how == "SOFT");
        // Nobody draws it back in.
        throughout(Duration::from_secs(1), "it stays alone", || {
            shoal.cluster_info(2, "cluster_known_nodes") == "1"
        });
        // What the others hold is theirs.
        assert_eq!(shoal.nodes_where(&id, "queued"), [0]);
        shoal.meet(shoal.nodes[2].port());
        shoal.wait_until_all_met();
        let id = connection.add("q", "body", "REPLICATE 3");
        assert_eq!(shoal.nodes_where(&id, "queued"), [2]);
    }
}
