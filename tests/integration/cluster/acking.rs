//! Acknowledged jobs vanish everywhere, no matter which node got the ack and which node was away.

use std::time::Duration;

use crate::cluster::fixture::{Shoal, throughout, until};
use crate::wire::{Reply, int};

/// A node where a job is unknown, and one that has a copy without having it queued.
fn outsider_and_holder(shoal: &Shoal, id: &str) -> (usize, usize) {
    let states = shoal.states(id);
    let outsider = states.iter().position(Option::is_none);
    let holder = states
        .iter()
        .position(|state| state.as_deref() == Some("active"));
    (
        outsider.expect("not all nodes hold it"),
        holder.expect("there is a copy"),
    )
}

#[test]
fn an_acked_job_vanishes_everywhere() {
    let shoal = Shoal::start(5);
    let mut connection = shoal.connect(0);
    for delivered in [true, false] {
        // At the node that queued it.
        let id = connection.add("q", "body", "REPLICATE 3");
        if delivered {
            assert_eq!(connection.take("q").id, id);
        }
        assert_eq!(connection.call(&format!("ACKJOB {id}")), int(1));
        assert_eq!(connection.call(&format!("ACKJOB {id}")), int(0), "again");
        shoal.wait_until_empty();
        // At another that holds it.
        let id = connection.add("q", "body", "REPLICATE 3");
        if delivered {
            assert_eq!(connection.take("q").id, id);
        }
        let (_, holder) = outsider_and_holder(&shoal, &id);
        assert_eq!(shoal.call(holder, &format!("ACKJOB {id}")), int(1));
        shoal.wait_until_empty();
        // At a node that never saw it.
        let id = connection.add("q", "body", "REPLICATE 2");
        if delivered {
            assert_eq!(connection.take("q").id, id);
        }
        let (outsider, _) = outsider_and_holder(&shoal, &id);
        assert_eq!(shoal.call(outsider, &format!("ACKJOB {id}")), int(0));
        shoal.wait_until_empty();
        assert_eq!(connection.call("GETJOB NOHANG FROM q"), Reply::NilArray);
    }
}

#[test]
fn many_acks_of_many_nodes_vanish_everywhere() {
    let shoal = Shoal::start(3);
    let mut connections: Vec<_> = (0..3).map(|node| shoal.connect(node)).collect();
    let mut ids = Vec::new();
    for n in 0..600 {
        let options = format!("REPLICATE {}", 1 + n % 3);
        ids.push(connections[n % 3].add("q", "body", &options));
    }
    for (n, ids) in ids.chunks(50).enumerate() {
        // Three nodes hear of the same acks at the same time.
        let command = format!("ACKJOB {}", ids.join(" "));
        for offset in 0..=(n % 3) {
            connections[(n + offset) % 3].send(&command);
        }
        for offset in 0..=(n % 3) {
            connections[(n + offset) % 3].receive().int();
        }
    }
    shoal.wait_until_empty();
    for connection in &mut connections {
        assert_eq!(connection.length("q"), 0);
    }
}

#[test]
fn an_owner_that_was_down_at_the_ack_forgets_the_job_on_its_return() {
    let mut shoal = Shoal::with(3, "--appendfsync always");
    let id = shoal.connect(0).add("q", "body", "REPLICATE 3 RETRY 1");
    shoal.kill(&[0]);
    assert_eq!(shoal.call(1, &format!("ACKJOB {id}")), int(1));
    assert!(shoal.nodes_where(&id, "queued").is_empty());
    let all_acked = |shoal: &Shoal| {
        let states = shoal.states(&id);
        states.iter().flatten().all(|state| state == "acked")
    };
    until("both know", || all_acked(&shoal));
    // Kept, so that the owner can be told: it holds a copy that would be queued otherwise.
    throughout(Duration::from_millis(300), "the ack is kept", || {
        all_acked(&shoal) && shoal.copies(&id) > 0
    });
    shoal.restart(0);
    shoal.wait_until_empty();
    for node in 0..3 {
        assert_eq!(shoal.call(node, "GETJOB NOHANG FROM q"), Reply::NilArray);
    }
}

#[test]
fn an_ack_outlives_the_restart_of_the_node_that_took_it() {
    let mut shoal = Shoal::with(3, "--appendfsync always");
    let id = shoal.connect(0).add("q", "body", "REPLICATE 3 RETRY 1");
    shoal.kill(&[0]);
    assert_eq!(shoal.call(1, &format!("ACKJOB {id}")), int(1));
    shoal.kill(&[1]);
    shoal.nodes[1].restart();
    shoal.restart(0);
    shoal.wait_until_empty();
}

#[test]
fn a_placeholder_finds_the_copy_that_was_away() {
    let mut shoal = Shoal::with(3, "--appendfsync always");
    let id = shoal.connect(0).add("q", "body", "REPLICATE 1 RETRY 1");
    shoal.kill(&[0]);
    // Nobody who is left has ever seen the job.
    assert_eq!(shoal.call(1, &format!("ACKJOB {id}")), int(0));
    let shown = shoal.connect(1).show(&id);
    assert_eq!(shown.field("state").text(), "acked");
    assert_eq!(*shown.field("body"), Reply::NilBulk);
    shoal.restart(0);
    shoal.wait_until_empty();
    assert_eq!(shoal.call(0, "GETJOB NOHANG FROM q"), Reply::NilArray);
}

#[test]
fn fastack_forgets_everywhere_and_deljob_here() {
    let shoal = Shoal::start(3);
    let mut connection = shoal.connect(0);
    let id = connection.add("q", "body", "REPLICATE 3");
    assert_eq!(shoal.call(1, &format!("FASTACK {id}")), int(1));
    shoal.wait_until_empty();
    let id = connection.add("q", "body", "REPLICATE 2");
    let (outsider, _) = outsider_and_holder(&shoal, &id);
    assert_eq!(
        shoal.call(outsider, &format!("FASTACK {id}")),
        int(0),
        "unknown, and still told to all"
    );
    shoal.wait_until_empty();

    let id = connection.add("q", "body", "REPLICATE 3");
    assert_eq!(connection.call(&format!("DELJOB {id}")), int(1));
    assert_eq!(shoal.states(&id).iter().flatten().count(), 2);
    assert_eq!(shoal.nodes_where(&id, "active"), [1, 2]);
}

#[test]
fn jobs_past_their_ttl_vanish_everywhere() {
    let shoal = Shoal::start(3);
    let mut connection = shoal.connect(0);
    let queued = connection.add("q", "body", "REPLICATE 3 TTL 1 RETRY 5");
    connection.add("delayed", "body", "REPLICATE 3 TTL 2 DELAY 1");
    connection.add("once", "body", "REPLICATE 1 TTL 1 RETRY 0");
    connection.add("taken", "body", "REPLICATE 3 TTL 2 RETRY 60");
    connection.take("taken");
    assert_eq!(shoal.nodes_where(&queued, "queued"), [0]);
    shoal.wait_until_empty();
    for queue in ["q", "delayed", "once", "taken"] {
        assert_eq!(connection.length(queue), 0);
    }
}

#[test]
fn acks_that_cannot_be_told_outlive_their_jobs_which_may_be_dead_letters_elsewhere() {
    let mut shoal = Shoal::start(3);
    let id = shoal
        .connect(0)
        .add("q", "body", "REPLICATE 3 TTL 6 RETRY 5");
    shoal.kill(&[0]);
    assert_eq!(shoal.call(1, &format!("ACKJOB {id}")), int(1));
    throughout(Duration::from_secs(8), "the ack is kept", || {
        shoal.copies(&id) == 2
    });
    shoal.restart(0);
    shoal.wait_until_all_met();
    shoal.wait_until_empty();
}
