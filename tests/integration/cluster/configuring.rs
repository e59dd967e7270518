//! What a cluster sets for its queues: QCONFIG and QPURGE, with nodes that were away and nodes that are killed.

use crate::cluster::fixture::{Shoal, until};
use crate::wire::{Reply, bulk, int, simple};

#[test]
fn policies_survive_kills_and_reach_a_node_that_was_away() {
    let mut shoal = Shoal::with(3, "--appendfsync always");
    let told = |shoal: &Shoal, node| {
        let told = shoal.call(node, "QCONFIG mail.out");
        told.items().iter().map(Reply::text).collect::<Vec<_>>()
    };
    shoal.kill(&[2]);
    let set = shoal.call(0, "QCONFIG mail* SET retry 7 ttl 600");
    assert_eq!(set, simple("OK"));
    until("the other node knows", || {
        told(&shoal, 1) == ["retry", "7", "ttl", "600"]
    });
    // They know it from their logs alone.
    for node in [0, 1] {
        shoal.nodes[node].kill();
    }
    for node in [1, 0] {
        shoal.restart(node);
        assert_eq!(told(&shoal, node), ["retry", "7", "ttl", "600"]);
    }
    shoal.restart(2);
    until("the node that was away knows", || {
        told(&shoal, 2) == ["retry", "7", "ttl", "600"]
    });
    let mut connection = shoal.connect(2);
    let id = connection.add("mail.out", "body", "REPLICATE 1 TTL 60");
    let shown = connection.show(&id);
    assert_eq!(shown.field("retry"), &int(7));
    assert!(shown.field("ttl").int() <= 60, "the option wins");
    let unset = shoal.call(1, "QCONFIG mail* UNSET retry ttl");
    assert_eq!(unset, simple("OK"));
    until("all nodes know", || {
        (0..3).all(|node| told(&shoal, node).is_empty())
    });
}

#[test]
fn a_purge_empties_a_queue_everywhere_and_counts_each_job_once() {
    let mut shoal = Shoal::with(3, "--appendfsync always");
    let mut connection = shoal.connect(0);
    let ids: Vec<String> = (0..9)
        .map(|n| connection.add("q", &format!("body-{n}"), "REPLICATE 3 RETRY 60"))
        .collect();
    connection.add("q", "delayed", "REPLICATE 3 DELAY 60");
    connection.add("other", "stays", "REPLICATE 1");
    connection.take("q");
    shoal.kill(&[2]);
    assert_eq!(shoal.call(1, "QPURGE q"), int(10));
    for node in [0, 1] {
        assert_eq!(shoal.call(node, "QLEN q"), int(0));
        assert_eq!(
            shoal.call(node, &format!("SHOW {}", ids[3])),
            Reply::NilBulk
        );
    }
    // Younger jobs stay, through a kill of all nodes that know of the purge.
    let younger = shoal.connect(1).add("q", "younger", "REPLICATE 2 RETRY 1");
    for node in [0, 1] {
        shoal.nodes[node].kill();
    }
    for node in [0, 1, 2] {
        shoal.restart(node);
    }
    shoal.wait_until_all_met();
    until("the node that was away has none of the old jobs", || {
        ids.iter().all(|id| shoal.copies(id) == 0)
    });
    assert_eq!(shoal.copies(&younger), 2);
    until("the younger one is handed out, and nothing else", || {
        let reply = shoal.call(0, "GETJOB TIMEOUT 500 COUNT 100 FROM q");
        match &reply {
            Reply::Array(jobs) => {
                assert_eq!(jobs.len(), 1, "{reply:?}");
                assert_eq!(jobs[0].items()[2], bulk("younger"));
                true
            }
            _ => false,
        }
    });
    let stats = shoal.call(0, "QSTAT other FULL");
    assert_eq!(stats.field("restored"), &int(1), "it is still there");
}
