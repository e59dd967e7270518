//! Jobs that fail, with several nodes: dead letters are in one place, whichever node dies.

use std::time::Duration;

use crate::cluster::fixture::{Shoal, throughout, until};
use crate::wire::{Reply, int, jobs};

/// How many jobs wait in a queue in the whole cluster.
fn waiting(shoal: &Shoal, queue: &str) -> i64 {
    let node = shoal.running().next().expect("a node runs");
    let reply = shoal.call(node, &format!("QLEN {queue} GLOBAL"));
    reply.items()[0].int()
}

#[test]
fn a_job_that_kills_its_nodes_is_dead_after_thirteen_kills() {
    let mut shoal = Shoal::with(3, "--appendonly yes --appendfsync always --storage log");
    let mut client = shoal.connect(0);
    let id = client.add("q", "poison", "MAXDELIVER 4 RETRY 1 REPLICATE 3");
    let mut kills = 0;
    loop {
        // A worker at each node: the job comes to one of them.
        let mut found = None;
        until("somebody gets it", || {
            found = (0..3).find_map(|node| {
                let taken = shoal.call(node, "GETJOB NOHANG FROM q q.dead");
                let Reply::Array(_) = taken else { return None };
                Some((node, jobs(&taken)[0].clone()))
            });
            found.is_some()
        });
        let (node, job) = found.expect("it was found");
        assert_eq!(job.id, id);
        if job.queue == "q.dead" {
            break;
        }
        kills += 1;
        assert!(kills <= 13, "{kills} hand-outs");
        shoal.kill(&[node]);
        shoal.restart(node);
        shoal.wait_until_all_met();
    }
    assert!(kills >= 4, "{kills} hand-outs");
    assert_eq!(shoal.call(1, &format!("ACKJOB {id}")), int(1));
    shoal.wait_until_empty();
}

#[test]
fn dead_letters_are_in_one_place_and_redrive_takes_them_from_any_node() {
    let shoal = Shoal::start(3);
    let mut ids = Vec::new();
    for node in 0..3 {
        let mut client = shoal.connect(node);
        for n in 0..5 {
            let body = format!("{node}-{n}");
            let options = "MAXDELIVER 1 RETRY 1 REPLICATE 3";
            ids.push(client.add(&format!("q{node}"), &body, options));
            client.take(&format!("q{node}"));
        }
    }
    until("all are dead letters", || {
        (0..3)
            .map(|node| waiting(&shoal, &format!("q{node}.dead")))
            .sum::<i64>()
            == 15
    });
    throughout(Duration::from_secs(3), "each is queued once", || {
        ids.iter()
            .all(|id| shoal.nodes_where(id, "queued").len() == 1)
    });
    for node in 0..3 {
        let other = (node + 1) % 3;
        let redrive = format!("REDRIVE q{node}.dead COUNT 2");
        assert_eq!(shoal.call(other, &redrive), int(2));
        assert_eq!(shoal.call(other, &format!("REDRIVE q{node}.dead")), int(3));
        assert_eq!(waiting(&shoal, &format!("q{node}")), 5);
    }
    for id in &ids {
        assert_eq!(shoal.call(2, &format!("ACKJOB {id}")), int(1));
    }
    shoal.wait_until_empty();
}
