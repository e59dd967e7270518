//! DEDUP and RECEIPT, with several nodes.

use std::time::Duration;

use crate::cluster::fixture::{Shoal, drain, until};
use crate::wire::{Reply, array, bulk, error, int, simple};

const TIMEOUT: &str = "NOREPL Timeout reached before replicating to the requested number of nodes";

/// Longer than the retry of a job here.
const QUIET: Duration = Duration::from_secs(4);

fn id_of(reply: &Reply) -> String {
    reply.simple_text().to_owned()
}

#[test]
fn twenty_producers_that_add_one_key_at_once_on_five_nodes_make_one_job() {
    let shoal = Shoal::start(5);
    let mut producers: Vec<_> = (0..20).map(|number| shoal.connect(number % 5)).collect();
    let mut worker = shoal.connect(0);
    for round in 0..200 {
        for producer in &mut producers {
            producer.send(&format!("ADDJOB q body 5000 REPLICATE 2 DEDUP {round}"));
        }
        let ids: Vec<String> = producers
            .iter_mut()
            .map(|producer| id_of(&producer.receive()))
            .collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{round}: {ids:?}");
        let taken = worker.call("GETJOB TIMEOUT 5000 COUNT 20 FROM q");
        let job = array([bulk("q"), bulk(&ids[0]), bulk("body")]);
        assert_eq!(taken, array([job]), "{round}");
        assert_eq!(worker.call(&format!("ACKJOB {}", ids[0])), int(1));
    }
    assert_eq!(worker.call("GETJOB NOHANG FROM q"), Reply::NilArray);
}

#[test]
fn a_keyed_add_that_got_norepl_and_is_sent_again_is_done_once() {
    let mut shoal = Shoal::with(3, "--appendfsync always");
    shoal.kill(&[2]);
    // The node may only be restarting: the add waits for it, and the other node has a copy meanwhile.
    let add = "ADDJOB q body 1500 REPLICATE 3 RETRY 2 DEDUP k";
    assert_eq!(shoal.call(0, add), error(TIMEOUT));
    shoal.restart(2);
    shoal.wait_until_all_met();
    let id = id_of(&shoal.call(1, "ADDJOB q body 5000 REPLICATE 3 RETRY 2 DEDUP k"));
    assert_eq!(id_of(&shoal.call(2, add)), id);
    let seen = drain(&shoal, "q", QUIET);
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        [("body".to_owned(), 1)]
    );
    shoal.wait_until_empty();
}

#[test]
fn the_others_know_the_job_of_a_node_that_is_killed() {
    let mut shoal = Shoal::with(3, "--appendonly yes --appendfsync always --storage log");
    for round in 0..5 {
        let add = format!("ADDJOB q body 5000 REPLICATE 2 RETRY 300 DEDUP k{round}");
        let mut producer = shoal.connect(0);
        let id = id_of(&producer.call(&add));
        // What node 0 answers them comes behind its word that the job counts.
        for _ in 0..2 {
            assert_eq!(id_of(&shoal.call(1, &add)), id);
            assert_eq!(id_of(&shoal.call(2, &add)), id);
            if shoal.nodes[0].is_running() {
                shoal.kill(&[0]);
            }
        }
        shoal.restart(0);
        shoal.wait_until_all_met();
        assert_eq!(id_of(&shoal.call(0, &add)), id);
    }
}

#[test]
fn a_window_counts_after_the_end_of_the_job_and_through_restarts() {
    let mut shoal = Shoal::with(2, "--appendonly yes --appendfsync always --storage sled");
    let add = "ADDJOB q body 5000 REPLICATE 2 DEDUP k WINDOW 3600";
    let id = id_of(&shoal.call(0, add));
    assert_eq!(shoal.call(0, &format!("ACKJOB {id}")), int(1));
    assert_eq!(id_of(&shoal.call(1, add)), id);
    until("both know", || {
        shoal.call(1, &format!("WAITJOB TIMEOUT 500 {id}"))
            == array([array([bulk(&id), bulk("acked"), Reply::NilBulk])])
    });
    for node in &mut shoal.nodes {
        node.kill();
    }
    shoal.restart(0);
    shoal.restart(1);
    shoal.wait_until_all_met();
    for node in [0, 1] {
        assert_eq!(id_of(&shoal.call(node, add)), id, "{node}");
    }
    let other = id_of(&shoal.call(0, "ADDJOB q body 5000 DEDUP other"));
    assert_eq!(shoal.call(1, &format!("DELJOB {other} GLOBAL")), int(1));
    until("its key is free", || {
        id_of(&shoal.call(1, "ADDJOB q body 5000 DEDUP other")) != other
    });
}

#[test]
fn a_receipt_counts_copies_disks_and_zones() {
    let shoal = Shoal::with(3, "--appendonly yes --appendfsync always --storage log");
    let reply = shoal.call(0, "ADDJOB q body 5000 REPLICATE 3 DEDUP k RECEIPT");
    let Reply::Array(ref told) = reply else {
        panic!("{reply:?} is no receipt");
    };
    let id = id_of(&told[1]);
    let receipt = |existing, rest: [i64; 3]| {
        array([
            bulk("id"),
            simple(&id),
            bulk("existing"),
            int(existing),
            bulk("copies"),
            int(rest[0]),
            bulk("on-disk"),
            int(rest[1]),
            bulk("zones"),
            int(rest[2]),
        ])
    };
    assert_eq!(reply, receipt(0, [3, 3, 1]));
    let again = shoal.call(1, "ADDJOB q body 5000 DEDUP k RECEIPT");
    assert_eq!(again, receipt(1, [0, 0, 0]));
    let everysec = "CONFIG SET appendfsync everysec";
    assert_eq!(shoal.call(1, everysec), simple("OK"));
    until("the others have heard", || {
        let reply = shoal.call(0, "ADDJOB q body 5000 REPLICATE 3 RECEIPT");
        matches!(&reply, Reply::Array(told) if told[7] == int(2))
    });
}
