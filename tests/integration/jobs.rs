//! The life of a job as its clients see it: added, delivered, acknowledged, given back, delayed, expired.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::fixture::{Node, eventually};
use crate::wire::{Connection, Reply, array, bodies, bulk, error, int, jobs, simple};

mod adding;
mod ending;
mod failing;
mod returning;
mod taking;

/// A valid id that no node made.
pub(crate) const UNKNOWN: &str = "D-dcb833cf-8YL1NT17e9+wsA/09NqxscQI-05a1";

/// The names of SHOW's fields, in their order.
const SHOW_FIELDS: [&str; 15] = [
    "id",
    "queue",
    "state",
    "repl",
    "ttl",
    "ctime",
    "delay",
    "retry",
    "nacks",
    "additional-deliveries",
    "nodes-delivered",
    "nodes-confirmed",
    "next-requeue-within",
    "next-awake-within",
    "body",
];

/// A client of a node that was stopped cleanly or killed, and started again.
fn restarted(node: &mut Node, clean: bool) -> Connection {
    if clean {
        node.restart_cleanly();
    } else {
        node.restart_after_kill();
    }
    node.connect()
}

fn start() -> (Node, Connection) {
    let node = Node::start();
    let client = node.connect();
    (node, client)
}

fn number(client: &mut Connection, id: &str, field: &str) -> i64 {
    client.show(id).field(field).int()
}

#[test]
fn show_has_thirty_elements_in_order() {
    let (_node, mut client) = start();
    let id = client.add("q", "body", "");
    let shown = client.call(&format!("SHOW {id}"));
    let names: Vec<_> = shown.items().iter().step_by(2).map(Reply::text).collect();
    assert_eq!(names, SHOW_FIELDS);
    let own = client.call("HELLO").items()[1].clone();
    let expected = [
        ("id", bulk(&id)),
        ("queue", bulk("q")),
        ("state", bulk("queued")),
        ("repl", int(1)),
        ("delay", int(0)),
        ("retry", int(300)),
        ("nacks", int(0)),
        ("additional-deliveries", int(0)),
        ("nodes-delivered", Reply::Array(vec![own])),
        ("nodes-confirmed", Reply::Array(vec![])),
        ("body", bulk("body")),
    ];
    for (name, value) in expected {
        assert_eq!(*shown.field(name), value, "{name}");
    }
    assert!(
        (86_398..=86_400).contains(&shown.field("ttl").int()),
        "{shown:?}"
    );
    assert!(
        (295_000..=301_000).contains(&shown.field("next-requeue-within").int()),
        "{shown:?}"
    );
    assert!(
        shown.field("next-awake-within").int() <= shown.field("next-requeue-within").int(),
        "{shown:?}"
    );
}

#[test]
fn show_of_an_unknown_job_is_a_nil_bulk() {
    let (_node, mut client) = start();
    assert_eq!(client.call(&format!("SHOW {UNKNOWN}")), Reply::NilBulk);
    assert_eq!(
        client.call("SHOW D-????????-________________________-zzzz"),
        Reply::NilBulk
    );
}

#[test]
fn ackjob_counts_the_jobs_it_knew_and_forgets_them() {
    let (_node, mut client) = start();
    let queued = client.add("q", "queued", "");
    let active = client.add("r", "active", "");
    let delayed = client.add("q", "delayed", "DELAY 60");
    client.take("r");
    let all = format!("ACKJOB {queued} {active} {UNKNOWN} {delayed} {queued}");
    assert_eq!(client.call(&all), int(3));
    assert_eq!(client.length("q"), 0);
    for id in [&queued, &active, &delayed] {
        assert_eq!(client.call(&format!("SHOW {id}")), Reply::NilBulk);
    }
    assert_eq!(client.call(&all), int(0));
    assert_eq!(client.info("registered_jobs"), "0");
}

#[test]
fn fastack_and_deljob_count_what_they_delete_here() {
    let (_node, mut client) = start();
    for command in ["FASTACK", "DELJOB"] {
        let queued = client.add("q", "queued", "");
        let active = client.add("r", "active", "");
        client.take("r");
        assert_eq!(
            client.call(&format!("{command} {queued} {queued} {active} {UNKNOWN}")),
            int(2),
            "{command}"
        );
        assert_eq!(client.length("q"), 0);
        assert_eq!(client.call(&format!("SHOW {active}")), Reply::NilBulk);
        assert_eq!(client.call(&format!("{command} {queued}")), int(0));
    }
}

#[test]
fn commands_on_ids_answer_zero_without_ids() {
    let (_node, mut client) = start();
    for command in ["ACKJOB", "FASTACK", "DELJOB", "ENQUEUE", "NACK", "DEQUEUE"] {
        assert_eq!(client.call(command), int(0), "{command}");
    }
}

#[test]
fn a_job_vanishes_at_the_end_of_its_ttl_wherever_it_is() {
    let (_node, mut client) = start();
    let added = Instant::now();
    let queued = client.add("q", "queued", "TTL 2");
    let active = client.add("r", "active", "TTL 2 RETRY 60");
    let lasting = client.add("q", "lasting", "TTL 60");
    client.take("r");
    for id in [&queued, &active] {
        eventually("the job expires", || {
            (client.call(&format!("SHOW {id}")) == Reply::NilBulk).then_some(())
        });
    }
    let elapsed = added.elapsed();
    assert!(
        elapsed > Duration::from_millis(950) && elapsed < Duration::from_millis(3_500),
        "{elapsed:?}"
    );
    assert_eq!(client.length("q"), 1);
    assert_eq!(client.take("q").id, lasting);
    assert_eq!(client.call(&format!("ACKJOB {active}")), int(0));
}

#[test]
fn bodies_and_queue_names_may_hold_any_bytes() {
    let (_node, mut client) = start();
    let every_byte: Vec<u8> = (0..=255).collect();
    for (queue, body) in [
        (&b""[..], &b""[..]),
        (b"\0\r\n\xff", b""),
        (&every_byte, &every_byte),
        (b"", b"\r\n"),
    ] {
        let added = client.call_arguments(&[&b"ADDJOB"[..], queue, body, b"0"]);
        let id = added.simple_text().to_owned();
        assert_eq!(client.call_arguments(&[&b"QLEN"[..], queue]), int(1));
        assert_eq!(*client.show(&id).field("queue"), bulk(queue));
        let expected = Reply::Array(vec![Reply::Array(vec![bulk(queue), bulk(&id), bulk(body)])]);
        assert_eq!(
            client.call_arguments(&[&b"QPEEK"[..], queue, b"1"]),
            expected
        );
        assert_eq!(
            client.call_arguments(&[&b"GETJOB"[..], b"FROM", queue]),
            expected
        );
        assert_eq!(client.call(&format!("ACKJOB {id}")), int(1));
    }
}

#[test]
fn a_large_body_comes_back_whole() {
    let (_node, mut client) = start();
    let body: Vec<u8> = (0..10_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let id = client
        .call_arguments(&[&b"ADDJOB"[..], b"q", &body, b"0"])
        .simple_text()
        .to_owned();
    let got = client.call("GETJOB FROM q");
    assert!(
        got.items()[0].items()[2].bytes() == body,
        "the body has changed"
    );
    assert_eq!(client.call(&format!("ACKJOB {id}")), int(1));
}

#[test]
fn loadjob_is_not_for_clients() {
    let (_node, mut client) = start();
    let refused = error("ERR LOADJOB is a special command only processed from AOF");
    assert_eq!(client.call("LOADJOB anything"), refused);
}

#[test]
fn flushall_leaves_no_job_and_no_queue() {
    let (_node, mut client) = start();
    let id = client.add("q", "body", "");
    client.add("q", "body", "DELAY 60");
    client.add("r", "body", "");
    client.take("r");
    assert_eq!(client.call("DEBUG FLUSHALL"), simple("OK"));
    assert_eq!(client.info("registered_jobs"), "0");
    assert_eq!(client.info("registered_queues"), "0");
    assert_eq!(client.call(&format!("SHOW {id}")), Reply::NilBulk);
    client.add("q", "again", "");
    assert_eq!(client.length("q"), 1);
}
