//! Retries with several nodes: once without a fault, somewhere else after one, and not twice.

use std::time::Duration;

use crate::cluster::fixture::{Shoal, assert_each_once, drain, throughout, until};
use crate::wire::{Reply, bulk, int, simple};

#[test]
fn a_job_that_nobody_takes_is_queued_once() {
    let shoal = Shoal::start(3);
    let ids: Vec<_> = (0..9)
        .map(|n| {
            let mut connection = shoal.connect(n % 3);
            connection.add("q", &format!("body-{n}"), "REPLICATE 3 RETRY 1")
        })
        .collect();
    // Four retries long.
    throughout(
        Duration::from_secs(4),
        "each is queued where it was added",
        || (0..ids.len()).all(|n| shoal.nodes_where(&ids[n], "queued") == [n % 3]),
    );
    let mut seen = 0;
    for node in 0..3 {
        let reply = shoal.call(node, "GETJOB NOHANG COUNT 100 WITHCOUNTERS FROM q");
        for job in reply.items() {
            assert_eq!(
                job.items()[3..],
                [bulk("nacks"), int(0), bulk("additional-deliveries"), int(0)]
            );
            shoal.call(node, &format!("ACKJOB {}", job.items()[1].text()));
            seen += 1;
        }
    }
    assert_eq!(seen, 9);
    shoal.wait_until_empty();
}

#[test]
fn a_job_killed_with_its_node_is_queued_elsewhere_and_not_twice_on_return() {
    let mut shoal = Shoal::with(3, "--appendfsync always");
    let bodies: Vec<_> = (0..10).map(|n| format!("body-{n}")).collect();
    let mut connection = shoal.connect(0);
    let ids: Vec<_> = bodies
        .iter()
        .map(|body| connection.add("q", body, "REPLICATE 3 RETRY 2"))
        .collect();
    drop(connection);
    shoal.kill(&[0]);
    until("the others queue all", || {
        ids.iter()
            .all(|id| shoal.nodes_where(id, "queued").len() == 1)
    });
    shoal.restart(0);
    // Longer than the retry: time enough for the node that came back to queue them too, were it to.
    throughout(Duration::from_secs(3), "each is queued at one node", || {
        ids.iter()
            .all(|id| shoal.nodes_where(id, "queued").len() == 1)
    });
    let seen = drain(&shoal, "q", Duration::from_secs(3));
    assert_each_once(&seen, bodies);
    shoal.wait_until_empty();
}

#[test]
fn a_job_that_was_taken_and_never_acked_comes_again_anywhere() {
    let mut shoal = Shoal::start(3);
    let id = shoal.connect(0).add("q", "body", "REPLICATE 3 RETRY 1");
    assert_eq!(shoal.connect(0).take("q").id, id);
    // The node that delivered it dies with its client.
    shoal.kill(&[0]);
    let mut connection = shoal.connect(2);
    let reply = connection.call("GETJOB TIMEOUT 15000 WITHCOUNTERS FROM q");
    let job = reply.items()[0].items();
    assert_eq!(job[1].text(), id);
    assert_eq!(job[6], int(1), "an additional delivery");
    assert_eq!(connection.call(&format!("ACKJOB {id}")), int(1));
}

#[test]
fn a_node_that_stood_still_does_not_deliver_again() {
    let shoal = Shoal::start(3);
    let id = shoal.connect(0).add("q", "body", "REPLICATE 3 RETRY 1");
    shoal.nodes[0].freeze();
    let mut connection = shoal.connect(1);
    let reply = connection.call("GETJOB TIMEOUT 15000 FROM q");
    assert_eq!(reply.items()[0].items()[1].text(), id);
    assert_eq!(connection.call(&format!("ACKJOB {id}")), int(1));
    shoal.nodes[0].thaw();
    shoal.wait_until_empty();
    assert_eq!(connection.call("GETJOB NOHANG FROM q"), Reply::NilArray);
}

#[test]
fn nacks_are_counted_at_all_copies() {
    let shoal = Shoal::start(3);
    let mut connection = shoal.connect(0);
    let id = connection.add("q", "body", "REPLICATE 3 RETRY 100");
    for nacks in 1..=3 {
        assert_eq!(connection.take("q").id, id);
        assert_eq!(connection.call(&format!("NACK {id}")), int(1));
        until("all copies count it", || {
            (0..3).all(|node| shoal.connect(node).show(&id).field("nacks").int() == nacks)
        });
        assert_eq!(shoal.nodes_where(&id, "queued").len(), 1);
    }
    let additional = |node| {
        shoal
            .connect(node)
            .show(&id)
            .field("additional-deliveries")
            .int()
    };
    assert!(
        (0..3).all(|node| additional(node) == 0),
        "nacks are no additional deliveries"
    );
}

#[test]
fn a_job_can_be_nacked_at_any_copy() {
    let shoal = Shoal::start(3);
    let id = shoal.connect(0).add("q", "body", "REPLICATE 3 RETRY 100");
    shoal.connect(0).take("q");
    assert_eq!(shoal.call(2, &format!("NACK {id}")), int(1));
    assert_eq!(shoal.connect(2).take("q").id, id);
    throughout(Duration::from_millis(300), "it is at work", || {
        shoal.nodes_where(&id, "queued").is_empty()
    });
}

#[test]
fn working_postpones_the_retry_at_all_copies() {
    let shoal = Shoal::start(3);
    let id = shoal.connect(0).add("q", "body", "REPLICATE 3 RETRY 2");
    shoal.connect(0).take("q");
    let mut workers: Vec<_> = (0..3).map(|node| shoal.connect(node)).collect();
    let mut turn = 0;
    let mut last = std::time::Instant::now();
    throughout(Duration::from_secs(6), "nobody queues it", || {
        if last.elapsed() > Duration::from_millis(700) {
            // Each node in turn is the one that hears of it.
            assert_eq!(workers[turn % 3].call(&format!("WORKING {id}")), int(2));
            turn += 1;
            last = std::time::Instant::now();
        }
        shoal.nodes_where(&id, "active").len() == 3
    });
    until("it comes again once the worker is silent", || {
        shoal.nodes_where(&id, "queued").len() == 1
    });
    let unknown = workers[0].call("WORKING D-12345678-123456789012345678901234-05a1");
    assert_eq!(
        unknown.error_text(),
        "NOJOB Job not known in the context of this node."
    );
}

#[test]
fn enqueue_and_dequeue_are_of_the_node_that_is_asked() {
    let shoal = Shoal::start(3);
    let id = shoal.connect(0).add("q", "body", "REPLICATE 3 RETRY 100");
    assert_eq!(shoal.call(0, &format!("DEQUEUE {id}")), int(1));
    assert_eq!(shoal.nodes_where(&id, "active"), [0, 1, 2]);
    assert_eq!(shoal.call(1, &format!("ENQUEUE {id}")), int(1));
    assert_eq!(shoal.nodes_where(&id, "queued"), [1]);
    assert_eq!(shoal.call(1, &format!("ENQUEUE {id}")), int(0));
}

#[test]
fn a_pause_can_be_told_to_all_nodes() {
    let shoal = Shoal::start(3);
    let mut connection = shoal.connect(0);
    connection.add("q", "body", "REPLICATE 3");
    let told = |word: &str| {
        until("all nodes know", || {
            (0..3).all(|node| shoal.call(node, "PAUSE q state") == simple(word))
        });
    };
    assert_eq!(connection.call("PAUSE q in bcast"), simple("in"));
    told("in");
    let refused = shoal.call(1, "ADDJOB q body 0");
    assert_eq!(
        refused.error_text(),
        "PAUSED Queue paused in input, try later"
    );
    assert_eq!(shoal.call(2, "PAUSE q out bcast"), simple("out"));
    told("out");
    for node in 0..3 {
        assert_eq!(shoal.call(node, "GETJOB NOHANG FROM q"), Reply::NilArray);
    }
    assert_eq!(shoal.call(1, "PAUSE q none bcast"), simple("none"));
    told("none");
    // Only the node that is asked, when nothing else is said.
    assert_eq!(connection.call("PAUSE q all"), simple("all"));
    assert_eq!(shoal.call(1, "PAUSE q state"), simple("none"));
}

#[test]
fn a_pause_of_the_cluster_survives_restarts_and_reaches_nodes_that_were_away() {
    let mut shoal = Shoal::with(3, "--appendfsync always");
    let state = |shoal: &Shoal, node| shoal.call(node, "PAUSE q state");
    shoal.kill(&[2]);
    assert_eq!(shoal.call(0, "PAUSE q all bcast"), simple("all"));
    until("the other node that is there knows", || {
        state(&shoal, 1) == simple("all")
    });
    // They know it from their logs alone.
    for node in [0, 1] {
        shoal.nodes[node].kill();
    }
    for node in [1, 0] {
        shoal.restart(node);
        assert_eq!(state(&shoal, node), simple("all"));
    }
    shoal.restart(2);
    until("the node that was away knows", || {
        state(&shoal, 2) == simple("all")
    });
    let refused = shoal.call(2, "ADDJOB q body 0");
    assert_eq!(
        refused.error_text(),
        "PAUSED Queue paused in input, try later"
    );
    // The end of a pause is learned in the same way, and a restart of those that know it brings nothing back.
    shoal.kill(&[0]);
    assert_eq!(shoal.call(2, "PAUSE q none bcast"), simple("none"));
    until("the other node knows", || {
        state(&shoal, 1) == simple("none")
    });
    shoal.restart(0);
    until("the node that was away knows the end", || {
        state(&shoal, 0) == simple("none")
    });
    assert_eq!(state(&shoal, 2), simple("none"));
    // A pause of one node alone ends with its process.
    assert_eq!(shoal.call(1, "PAUSE q in"), simple("in"));
    shoal.kill(&[1]);
    shoal.restart(1);
    assert_eq!(state(&shoal, 1), simple("none"));
}
