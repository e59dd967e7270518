//! Ends of jobs, with several nodes: any node tells of them, cancels, and passes on what it does not hold.

use std::time::{Duration, Instant};

use crate::cluster::fixture::{Shoal, until};
use crate::wire::{Reply, array, bulk, int};

fn outcome(id: &str, outcome: &str, detail: Reply) -> Reply {
    array([array([bulk(id), bulk(outcome), detail])])
}

/// A node that has no copy of this job.
fn without(shoal: &Shoal, id: &str) -> usize {
    let far = (0..3).find(|&node| shoal.call(node, &format!("SHOW {id}")) == Reply::NilBulk);
    far.expect("not all have it")
}

#[test]
fn a_third_node_tells_of_an_ack_within_ten_milliseconds() {
    let shoal = Shoal::start(3);
    let mut worker = shoal.connect(0);
    let mut times = Vec::new();
    for round in 0..20 {
        let id = worker.add("q", "body", "REPLICATE 2");
        let mut producer = shoal.connect(without(&shoal, &id));
        producer.send(&format!("WAITJOB TIMEOUT 10000 {id}"));
        // Its question is answered as soon as this one is, which comes behind it.
        let mut other = shoal.connect(without(&shoal, &id));
        other.call(&format!("WAITJOB TIMEOUT 20 {id}"));
        let began = Instant::now();
        worker.call(&format!("ACKJOB {id} RESULT {round}"));
        let said = producer.receive();
        times.push(began.elapsed());
        assert_eq!(said, outcome(&id, "acked", bulk(round.to_string())));
    }
    times.sort_unstable();
    // Half of them: other programs run on the same processors.
    assert!(times[10] < Duration::from_millis(10), "{times:?}");
}

#[test]
fn nack_working_and_deljob_global_work_at_a_node_without_the_job() {
    let shoal = Shoal::start(3);
    let mut client = shoal.connect(0);
    let id = client.add("q", "body", "REPLICATE 2 RETRY 60");
    let far = without(&shoal, &id);
    client.take("q");
    let working = format!("WORKING {id} PROGRESS half");
    assert_eq!(shoal.call(far, &working), int(60));
    let said = shoal.call(far, &format!("WAITJOB TIMEOUT 500 {id}"));
    assert_eq!(said, outcome(&id, "pending", bulk("half")));
    assert_eq!(shoal.call(far, &format!("NACK {id} REASON no")), int(1));
    assert_eq!(client.length("q"), 1);
    assert_eq!(shoal.call(far, &format!("DELJOB {id} GLOBAL")), int(1));
    assert_eq!(shoal.call(far, &format!("DELJOB {id} GLOBAL")), int(0));
    shoal.wait_until_empty();
    for node in 0..3 {
        let said = shoal.call(node, &format!("WAITJOB TIMEOUT 2000 {id}"));
        assert_eq!(said, outcome(&id, "deleted", Reply::NilBulk), "{node}");
    }
}

#[test]
fn nodes_that_were_away_hear_that_a_job_was_cancelled() {
    let mut shoal = Shoal::with(3, "--appendonly yes --appendfsync always --storage log");
    let mut client = shoal.connect(0);
    let id = client.add("q", "body", "REPLICATE 3 RETRY 1 KEEP 600");
    shoal.kill(&[2]);
    until("the others notice", || {
        shoal.call(0, &format!("DELJOB {id} GLOBAL")) == int(1)
    });
    for node in [0, 1] {
        shoal.kill(&[node]);
        shoal.restart(node);
        shoal.wait_until_all_met();
    }
    shoal.restart(2);
    shoal.wait_until_all_met();
    for node in 0..3 {
        until("it tells of the end", || {
            let said = shoal.call(node, &format!("WAITJOB TIMEOUT 500 {id}"));
            said == outcome(&id, "deleted", Reply::NilBulk)
        });
        assert_eq!(shoal.call(node, "GETJOB NOHANG FROM q"), Reply::NilArray);
    }
}
