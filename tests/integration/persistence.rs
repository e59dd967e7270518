//! What is on disk: jobs after kill -9, after a clean stop, and the promise that RETRY 0 is never delivered twice.

use std::thread;
use std::time::{Duration, Instant};

use crate::fixture::{Launch, Node, eventually, within};
use crate::wire::{Connection, Reply, bodies, bulk, int, jobs, simple};

mod at_most_once;
mod switching;
mod timing;

/// A node whose every answer means that the job is on disk.
fn durable() -> Node {
    Launch::new().flags("--appendfsync always").start()
}

/// Ids, bodies and both counters of the ready jobs of a queue, in order.
fn contents(client: &mut Connection, queue: &str) -> Vec<(String, String, i64, i64)> {
    let peeked = client.call(&format!("QPEEK {queue} 1000000"));
    let full = |job: crate::wire::Job| {
        let shown = client.show(&job.id);
        (
            job.id,
            job.body,
            shown.field("nacks").int(),
            shown.field("additional-deliveries").int(),
        )
    };
    jobs(&peeked).into_iter().map(full).collect()
}

fn is_known(client: &mut Connection, id: &str) -> bool {
    match client.call(&format!("SHOW {id}")) {
        Reply::NilBulk => false,
        shown => shown.items().len() == 30,
    }
}

/// A node with queued, returned, delivered and delayed jobs; the id of a delivered one comes along.
fn busy_node() -> (Node, String) {
    let node = durable();
    let mut client = node.connect();
    let ids: Vec<_> = (0..60)
        .map(|n| client.add("q", &format!("body {n}"), "RETRY 600"))
        .collect();
    client.call("GETJOB COUNT 30 FROM q");
    assert_eq!(client.call(&format!("NACK {} {}", ids[7], ids[3])), int(2));
    assert_eq!(client.call(&format!("ENQUEUE {}", ids[5])), int(1));
    assert_eq!(client.call(&format!("DEQUEUE {}", ids[50])), int(1));
    assert_eq!(
        client.call(&format!("ACKJOB {} {}", ids[0], ids[40])),
        int(2)
    );
    for n in 0..5 {
        client.add("once", &n.to_string(), "RETRY 0");
    }
    client.take("once");
    client.add("q", "delayed", "DELAY 600");
    client.call_arguments(&[&b"ADDJOB"[..], b"\0\xff\r\n", b"", b"0"]);
    (node, ids[1].clone())
}

/// Stops a node in one of the clean ways, and starts it again.
fn stop_and_start(node: &mut Node, way: &str) {
    let status = match way {
        "SIGTERM" => node.terminate(),
        "SIGINT" => node.interrupt(),
        _ => {
            let mut client = node.connect();
            client.send("SHUTDOWN");
            client.assert_closed();
            node.wait_for_end()
        }
    };
    assert!(status.success(), "{way}: {status}");
    node.restart();
}

#[test]
fn a_clean_stop_brings_everything_back_exactly() {
    let (mut node, delivered) = busy_node();
    let before = contents(&mut node.connect(), "q");
    let once = contents(&mut node.connect(), "once");
    let registered = node.connect().info("registered_jobs");
    assert_eq!((before.len(), once.len()), (31, 4));
    assert!(
        before.iter().any(|job| job.2 == 1) && before.iter().any(|job| job.3 == 1),
        "counters to be kept"
    );
    for way in ["SIGTERM", "SIGINT", "SHUTDOWN"] {
        stop_and_start(&mut node, way);
        let mut client = node.connect();
        assert_eq!(contents(&mut client, "q"), before, "{way}");
        assert_eq!(contents(&mut client, "once"), once, "{way}");
        assert_eq!(client.state(&delivered), "active", "{way}");
        assert_eq!(client.info("registered_jobs"), registered, "{way}");
        let odd = client.call_arguments(&[&b"QPEEK"[..], b"\0\xff\r\n", b"1"]);
        assert_eq!(odd.items()[0].items()[2], bulk(""), "{way}");
    }
    let mut client = node.connect();
    let order: Vec<_> = before.iter().map(|job| job.1.clone()).collect();
    assert_eq!(
        bodies(&client.call("GETJOB NOHANG COUNT 100 FROM q")),
        order
    );
}

#[test]
fn new_jobs_queue_behind_those_of_an_earlier_run() {
    let mut node = durable();
    node.connect().add("q", "old", "");
    node.restart_cleanly();
    node.connect().add("q", "new", "");
    node.restart_cleanly();
    node.connect().add("q", "newest", "");
    assert_eq!(
        bodies(&node.connect().call("GETJOB NOHANG COUNT 9 FROM q")),
        ["old", "new", "newest"]
    );
}

#[test]
fn after_a_kill_jobs_are_active_and_their_retry_queues_them_in_their_old_order() {
    let mut node = durable();
    let mut client = node.connect();
    let soon: Vec<_> = (0..40)
        .map(|n| client.add("soon", &n.to_string(), "RETRY 1"))
        .collect();
    let later = client.add("later", "body", "RETRY 600");
    node.restart_after_kill();
    let mut client = node.connect();
    assert_eq!(client.state(&later), "active");
    assert_eq!(client.length("later"), 0);
    eventually("the retry queues all", || {
        (client.length("soon") == 40).then_some(())
    });
    let order: Vec<_> = contents(&mut client, "soon")
        .into_iter()
        .map(|job| job.0)
        .collect();
    assert_eq!(order, soon);
    assert_eq!(client.call(&format!("ENQUEUE {later}")), int(1));
    assert_eq!(client.take("later").id, later);
}

#[test]
fn the_node_keeps_its_id() {
    let mut node = durable();
    let id = node.connect().call("CLUSTER MYID");
    node.restart_cleanly();
    assert_eq!(node.connect().call("CLUSTER MYID"), id);
    node.restart_after_kill();
    assert_eq!(node.connect().call("CLUSTER MYID"), id);
}

#[test]
fn what_was_acknowledged_or_deleted_stays_gone() {
    let mut node = durable();
    let mut client = node.connect();
    let ids: Vec<_> = (0..4)
        .map(|n| client.add("q", &n.to_string(), "RETRY 1"))
        .collect();
    client.call("GETJOB COUNT 2 FROM q");
    assert_eq!(client.call(&format!("ACKJOB {}", ids[0])), int(1));
    assert_eq!(client.call(&format!("FASTACK {}", ids[1])), int(1));
    assert_eq!(client.call(&format!("DELJOB {}", ids[2])), int(1));
    for clean in [false, true, false] {
        if clean {
            node.restart_cleanly();
        } else {
            node.restart_after_kill();
        }
        let mut client = node.connect();
        assert_eq!(client.info("registered_jobs"), "1");
        assert!(is_known(&mut client, &ids[3]));
    }
}

#[test]
fn flushall_stays_done_and_later_jobs_stay() {
    let mut node = durable();
    let mut client = node.connect();
    let before = client.add("q", "before", "");
    assert_eq!(client.call("DEBUG FLUSHALL"), simple("OK"));
    let after = client.add("q", "after", "");
    node.restart_after_kill();
    let mut client = node.connect();
    assert!(!is_known(&mut client, &before));
    assert!(is_known(&mut client, &after));
}

#[test]
fn after_a_kill_it_is_told_how_many_jobs_wait_for_their_retry_and_until_when() {
    const LINE: &str = "jobs wait for their retry";
    let mut node = durable();
    let mut client = node.connect();
    for retry in [3, 60, 600] {
        client.add("q", "body", &format!("RETRY {retry}"));
    }
    client.add("q", "later", "DELAY 600");
    client.take("q");
    node.restart_after_kill();
    let mut client = node.connect();
    assert_eq!(client.length("q"), 0);
    let figures = client.call("QSTAT q FULL");
    let told = ["active", "delayed", "restored"].map(|name| figures.field(name).int());
    assert_eq!(told, [0, 1, 3]);
    let within = figures.field("restored-requeue-within").int();
    assert!((590_000..=600_000).contains(&within), "{within} ms");
    assert_eq!(client.info("restored_jobs"), "3");
    let within = client.info("restored_requeue_within_seconds");
    let within: u32 = within.parse().expect("a number");
    assert!((590..=600).contains(&within), "{within} s");
    let log = node.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains(LINE)).collect();
    assert!(lines.len() == 1 && lines[0].contains("restored=3"), "{log}");
    within_retry(&mut client);
    let taken = client.take("q");
    assert_eq!(client.call(&format!("ACKJOB {}", taken.id)), int(1));
    client.add("q", "queued", "RETRY 600");
    node.restart_cleanly();
    let figures = node.connect().call("QSTAT q FULL");
    let told = ["len", "delayed", "restored"].map(|name| figures.field(name).int());
    assert_eq!(told, [1, 1, 2], "what waits for its retry goes on waiting");
    assert_eq!(node.log().matches(LINE).count(), 1, "this stop was clean");
}

/// The job with a retry of 3 s is queued again.
fn within_retry(client: &mut Connection) {
    within(Duration::from_secs(9), "the shortest retry", || {
        (client.call("QSTAT q FULL").field("restored") == &int(2)).then_some(())
    });
}

#[test]
fn aof_enqueue_jobs_once_brings_queues_back_after_a_kill() {
    let mut node = durable();
    let mut client = node.connect();
    let ids: Vec<_> = (0..30)
        .map(|n| client.add("q", &n.to_string(), "RETRY 600"))
        .collect();
    let delayed = client.add("q", "delayed", "DELAY 600 RETRY 600");
    client.add("once", "body", "RETRY 0");
    node.kill();
    node.restart_with("--aof-enqueue-jobs-once yes");
    let mut client = node.connect();
    let order: Vec<_> = eventually("the jobs are queued", || {
        let order: Vec<_> = contents(&mut client, "q")
            .into_iter()
            .map(|job| job.0)
            .collect();
        (order.len() >= ids.len()).then_some(order)
    });
    assert_eq!(order[..30], ids);
    assert!(is_known(&mut client, &delayed));
    assert_eq!(
        client.call("GETJOB TIMEOUT 100 FROM once"),
        Reply::NilArray,
        "RETRY 0 may have been delivered"
    );
}

#[test]
fn everysec_keeps_what_is_older_than_two_seconds() {
    let mut node = Launch::new().start();
    let mut client = node.connect();
    assert_eq!(
        *client.call("CONFIG GET appendfsync").field("appendfsync"),
        bulk("everysec")
    );
    let ids: Vec<_> = (0..200)
        .map(|n| client.add("q", &n.to_string(), "RETRY 600"))
        .collect();
    // This wait is the promise itself.
    thread::sleep(Duration::from_millis(2_100));
    node.restart_after_kill();
    let mut client = node.connect();
    for id in &ids {
        assert!(is_known(&mut client, id), "{id}");
    }
}

#[test]
fn many_jobs_and_large_bodies_come_back() {
    let mut node = Launch::new().start();
    let mut client = node.connect();
    let large = "x".repeat(3_000_000);
    let large_id = client.add("large", &large, "RETRY 600");
    for n in 0..5_000 {
        client.send(&format!("ADDJOB q {n} 0"));
    }
    for _ in 0..5_000 {
        client.receive().simple_text();
    }
    node.restart_cleanly();
    let mut client = node.connect();
    let got = bodies(&client.call("QPEEK q 10000"));
    assert!(
        got == (0..5_000).map(|n: u32| n.to_string()).collect::<Vec<_>>(),
        "5000 jobs in their order"
    );
    assert!(client.show(&large_id).field("body").text() == large);
}

#[test]
fn a_frozen_node_goes_on_where_it_was() {
    let node = durable();
    let mut client = node.connect();
    let id = client.add("q", "body", "RETRY 1");
    client.take("q");
    node.freeze();
    client.send("PING");
    client.assert_silent();
    node.thaw();
    assert_eq!(client.receive(), simple("PONG"));
    let again = within(Duration::from_secs(5), "the retry comes", || {
        let reply = client.call("GETJOB NOHANG FROM q");
        (reply != Reply::NilArray).then_some(reply)
    });
    assert_eq!(jobs(&again)[0].id, id);
}
