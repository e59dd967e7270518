//! At most once: a job with RETRY 0 is handed out once or never, through restarts, kills and moves between nodes.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use crate::cluster::fixture::{Shoal, assert_each_once, drain, throughout};
use crate::wire::{Connection, Reply, jobs};

const ONCE: &str = "REPLICATE 1 RETRY 0";

#[test]
fn without_a_fault_each_comes_once_wherever_it_is_asked_for() {
    let shoal = Shoal::start(5);
    let mut bodies = Vec::new();
    for n in 0..200 {
        let body = format!("body-{n}");
        shoal.connect(n % 5).add("q", &body, ONCE);
        bodies.push(body);
    }
    // One node is asked for all.
    let mut connection = shoal.connect(3);
    let mut seen = BTreeMap::new();
    while seen.len() < bodies.len() {
        let reply = connection.call("GETJOB TIMEOUT 10000 COUNT 10 FROM q");
        for job in jobs(&reply) {
            *seen.entry(job.body).or_insert(0) += 1;
        }
    }
    assert_each_once(&seen, bodies);
    throughout(Duration::from_millis(500), "none is left", || {
        (0..5).all(|node| shoal.call(node, "GETJOB NOHANG FROM q") == Reply::NilArray)
    });
}

#[test]
fn no_kill_brings_one_back() {
    let mut shoal = Shoal::with(3, "--appendfsync always");
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for round in 0..3 {
        for n in 0..30 {
            shoal.connect(n % 3).add("q", &format!("{round}-{n}"), ONCE);
        }
        // All nodes are asked at once, so that jobs are on their way between them, and one is killed meanwhile.
        let ports: Vec<_> = shoal.nodes.iter().map(crate::fixture::Node::port).collect();
        let consumers: Vec<_> = ports
            .into_iter()
            .map(|port| thread::spawn(move || consume(port)))
            .collect();
        shoal.nodes[round].kill();
        for consumer in consumers {
            for body in consumer.join().expect("no consumer panics") {
                *taken.entry(body).or_default() += 1;
            }
        }
        shoal.restart(round);
    }
    for (body, count) in drain(&shoal, "q", Duration::from_secs(2)) {
        *taken.entry(body).or_default() += count;
    }
    let twice: Vec<_> = taken.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    // Only what a killed node held, or had on its way, may be gone.
    assert!(taken.len() >= 40, "{} of 90 were delivered", taken.len());
}

/// What one node gives until it has no more, or is gone.
fn consume(port: u16) -> Vec<String> {
    let mut bodies = Vec::new();
    let Ok(mut connection) = Connection::try_open(port) else {
        return bodies;
    };
    loop {
        if connection
            .try_send_raw(b"GETJOB TIMEOUT 300 COUNT 2 FROM q\r\n")
            .is_err()
        {
            return bodies;
        }
        match connection.try_receive() {
            Err(_) | Ok(Reply::NilArray) => return bodies,
            Ok(reply) => bodies.extend(jobs(&reply).into_iter().map(|job| job.body)),
        }
    }
}
