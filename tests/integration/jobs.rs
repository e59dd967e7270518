//! The life of a job as its clients see it: added, delivered, acknowledged, given back, delayed, expired.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::fixture::{Node, eventually};
use crate::wire::{Connection, Reply, bodies, bulk, error, int, jobs, simple};

/// A valid id that no node made.
pub(crate) const UNKNOWN: &str = "D-dcb833cf-8YL1NT17e9+wsA/09NqxscQI-05a1";

const NOT_ENOUGH_NODES: &str =
    "NOREPL Not enough reachable nodes for the requested replication level";

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

fn start() -> (Node, Connection) {
    let node = Node::start();
    let client = node.connect();
    (node, client)
}

fn number(client: &mut Connection, id: &str, field: &str) -> i64 {
    client.show(id).field(field).int()
}

#[test]
fn addjob_answers_a_simple_string_that_is_an_id_of_this_node() {
    let (_node, mut client) = start();
    let Reply::Simple(id) = client.call("ADDJOB q body 0") else {
        panic!("ADDJOB answers a simple string")
    };
    let hello = client.call("HELLO");
    let node_id = hello.items()[1].text();
    assert_eq!(node_id.len(), 40);
    assert_eq!(id.len(), 40);
    assert_eq!(&id[..11], format!("D-{}-", &node_id[..8]));
    assert!(
        id[11..35]
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte)),
        "{id}"
    );
    assert_eq!(&id[35..], "-05a1");
}

#[test]
fn an_id_ends_in_the_minutes_of_the_ttl_odd_when_it_retries() {
    let (_node, mut client) = start();
    let cases = [
        ("TTL 86400", "05a1"),
        ("TTL 86400 RETRY 0", "05a0"),
        ("TTL 59", "0001"),
        ("TTL 59 RETRY 0", "0000"),
        ("TTL 120", "0003"),
        ("TTL 179 RETRY 0", "0002"),
        ("TTL 4000000000", "ffff"),
        ("TTL 4000000000 RETRY 0", "fffe"),
    ];
    for (options, digits) in cases {
        assert_eq!(&client.add("q", "body", options)[36..], digits, "{options}");
    }
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
fn ctime_is_the_wall_clock_and_grows_with_every_job() {
    let (_node, mut client) = start();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    let ids: Vec<_> = (0..50)
        .map(|n| client.add("q", &n.to_string(), ""))
        .collect();
    let times: Vec<_> = ids
        .iter()
        .map(|id| number(&mut client, id, "ctime"))
        .collect();
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    let ms = times[0] / 1_000_000;
    assert!((ms - now.as_millis() as i64).abs() < 5_000, "{ms}");
}

#[test]
fn retry_defaults_to_a_tenth_of_the_ttl_within_one_second_and_five_minutes() {
    let (_node, mut client) = start();
    for (ttl, retry) in [
        (86_400, 300),
        (3_000, 300),
        (2_999, 299),
        (100, 10),
        (19, 1),
        (5, 1),
        (1, 1),
    ] {
        let id = client.add("q", "body", &format!("TTL {ttl}"));
        assert_eq!(number(&mut client, &id, "retry"), retry, "TTL {ttl}");
    }
    let id = client.add("q", "body", "RETRY 100 TTL 10");
    assert_eq!(
        number(&mut client, &id, "retry"),
        100,
        "RETRY above TTL is accepted"
    );
}

#[test]
fn options_come_in_any_order_and_case_and_the_last_of_a_kind_counts() {
    let (_node, mut client) = start();
    let id = client.add(
        "q",
        "body",
        "ttl 50 Retry 7 delay 3 MAXLEN 5 async REPLICATE 1 RETRY 8 TTL 60",
    );
    let shown = client.show(&id);
    assert_eq!(shown.field("retry").int(), 8);
    assert_eq!(shown.field("delay").int(), 3);
    assert!((58..=60).contains(&shown.field("ttl").int()), "{shown:?}");
}

#[test]
fn addjob_refuses_what_cannot_be() {
    let (_node, mut client) = start();
    let cases = [
        ("REPLICATE 2", NOT_ENOUGH_NODES),
        ("REPLICATE 2 ASYNC", NOT_ENOUGH_NODES),
        (
            "REPLICATE 2 RETRY 0",
            "ERR With RETRY set to 0 please explicitly set  REPLICATE to 1 (at-most-once delivery)",
        ),
        (
            "DELAY 10 TTL 10",
            "ERR The specified DELAY is greater than TTL. Job refused since would never be delivered",
        ),
        (
            "DELAY 86400",
            "ERR The specified DELAY is greater than TTL. Job refused since would never be delivered",
        ),
    ];
    for (options, text) in cases {
        assert_eq!(
            client.call(&format!("ADDJOB q body 0 {options}")),
            error(text),
            "{options}"
        );
    }
    assert_eq!(client.length("q"), 0);
    client.add("q", "body", "RETRY 0");
    client.add("q", "body", "DELAY 9 TTL 10");
}

#[test]
fn maxlen_lets_the_queue_reach_it_and_no_more() {
    let (_node, mut client) = start();
    let full = error("MAXLEN Queue is already longer than the specified MAXLEN count");
    for n in 0..10 {
        client.add("q", &n.to_string(), "MAXLEN 10");
    }
    assert_eq!(client.call("ADDJOB q body 0 MAXLEN 10"), full);
    assert_eq!(client.call("ADDJOB q body 0 MAXLEN 1"), full);
    assert_eq!(client.length("q"), 10);
    client.take("q");
    client.add("q", "body", "MAXLEN 10");
    client.add("other", "body", "MAXLEN 1");
    client.add("q", "body", "");
    assert_eq!(client.length("q"), 11);
}

#[test]
fn getjob_answers_arrays_of_three_bulks_in_order_of_creation() {
    let (_node, mut client) = start();
    let ids: Vec<_> = (0..5)
        .map(|n| client.add("q", &format!("body {n}"), ""))
        .collect();
    let one = client.call("GETJOB FROM q");
    assert_eq!(
        one,
        Reply::Array(vec![Reply::Array(vec![
            bulk("q"),
            bulk(&ids[0]),
            bulk("body 0")
        ])])
    );
    let more = client.call("GETJOB COUNT 3 FROM q");
    assert_eq!(bodies(&more), ["body 1", "body 2", "body 3"]);
    let rest = client.call("GETJOB NOHANG COUNT 100 FROM q");
    assert_eq!(jobs(&rest)[0].id, ids[4]);
    assert_eq!(jobs(&rest).len(), 1);
}

#[test]
fn getjob_withcounters_answers_arrays_of_seven() {
    let (_node, mut client) = start();
    let id = client.add("q", "body", "");
    client.take("q");
    assert_eq!(client.call(&format!("NACK {id}")), int(1));
    client.take("q");
    assert_eq!(client.call(&format!("ENQUEUE {id}")), int(1));
    let expected = [
        bulk("q"),
        bulk(&id),
        bulk("body"),
        bulk("nacks"),
        int(1),
        bulk("additional-deliveries"),
        int(1),
    ];
    let expected = Reply::Array(vec![Reply::Array(expected.to_vec())]);
    assert_eq!(client.call("GETJOB withcounters NOHANG FROM q"), expected);
}

#[test]
fn getjob_finds_nothing_as_a_nil_array() {
    let (_node, mut client) = start();
    assert_eq!(client.call("GETJOB NOHANG FROM q"), Reply::NilArray);
    assert_eq!(client.call("GETJOB TIMEOUT 5 FROM q"), Reply::NilArray);
    assert_eq!(
        client.call("GETJOB NOHANG COUNT 9 WITHCOUNTERS FROM q r s"),
        Reply::NilArray
    );
}

#[test]
fn several_queues_are_served_left_to_right_round_after_round() {
    let (_node, mut client) = start();
    for (queue, body) in [
        ("c1", "a"),
        ("c1", "b"),
        ("c1", "c"),
        ("c2", "x"),
        ("c2", "y"),
    ] {
        client.add(queue, body, "");
    }
    assert_eq!(
        bodies(&client.call("GETJOB COUNT 10 FROM c1 c2")),
        ["a", "x", "b", "y", "c"]
    );
    for (queue, body) in [
        ("c1", "a"),
        ("c1", "b"),
        ("c1", "c"),
        ("c2", "x"),
        ("c2", "y"),
    ] {
        client.add(queue, body, "");
    }
    assert_eq!(
        bodies(&client.call("GETJOB COUNT 4 FROM c2 c1 c1")),
        ["x", "a", "b", "y"],
        "a queue named twice"
    );
}

#[test]
fn every_word_after_from_is_a_queue() {
    let (_node, mut client) = start();
    for queue in ["COUNT", "NOHANG", "FROM", "5"] {
        client.add(queue, queue, "");
    }
    assert_eq!(
        bodies(&client.call("GETJOB COUNT 9 FROM FROM NOHANG COUNT 5")),
        ["FROM", "NOHANG", "COUNT", "5"]
    );
}

#[test]
fn a_delivered_job_is_active_and_out_of_its_queue() {
    let (_node, mut client) = start();
    let id = client.add("q", "body", "");
    assert_eq!(client.state(&id), "queued");
    assert_eq!(client.length("q"), 1);
    client.take("q");
    assert_eq!(client.state(&id), "active");
    assert_eq!(client.length("q"), 0);
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
fn enqueue_puts_back_active_jobs_and_counts_the_delivery() {
    let (_node, mut client) = start();
    let id = client.add("q", "body", "");
    assert_eq!(
        client.call(&format!("ENQUEUE {id} {UNKNOWN}")),
        int(0),
        "already queued, unknown"
    );
    client.take("q");
    assert_eq!(client.call(&format!("ENQUEUE {id} {id}")), int(1));
    assert_eq!(client.state(&id), "queued");
    assert_eq!(number(&mut client, &id, "additional-deliveries"), 1);
    assert_eq!(number(&mut client, &id, "nacks"), 0);
}

#[test]
fn enqueue_ends_a_delay_at_once() {
    let (_node, mut client) = start();
    let id = client.add("q", "body", "DELAY 60");
    assert_eq!(client.state(&id), "active");
    assert_eq!(client.call(&format!("ENQUEUE {id}")), int(1));
    assert_eq!(client.length("q"), 1);
    assert_eq!(
        number(&mut client, &id, "additional-deliveries"),
        0,
        "it is the first queueing"
    );
}

#[test]
fn nack_puts_the_job_back_to_its_old_place_and_counts() {
    let (_node, mut client) = start();
    let first = client.add("q", "first", "");
    client.add("q", "second", "");
    client.take("q");
    assert_eq!(client.call(&format!("NACK {first} {UNKNOWN}")), int(1));
    assert_eq!(number(&mut client, &first, "nacks"), 1);
    assert_eq!(number(&mut client, &first, "additional-deliveries"), 0);
    assert_eq!(
        client.call(&format!("NACK {first}")),
        int(0),
        "already queued"
    );
    assert_eq!(
        bodies(&client.call("GETJOB COUNT 2 FROM q")),
        ["first", "second"]
    );
    assert_eq!(client.call(&format!("NACK {first}")), int(1));
    assert_eq!(number(&mut client, &first, "nacks"), 2);
}

#[test]
fn dequeue_makes_queued_jobs_active() {
    let (_node, mut client) = start();
    let id = client.add("q", "body", "");
    assert_eq!(client.call(&format!("DEQUEUE {id} {UNKNOWN} {id}")), int(1));
    assert_eq!(client.length("q"), 0);
    assert_eq!(client.state(&id), "active");
    assert_eq!(client.call(&format!("DEQUEUE {id}")), int(0));
    assert_eq!(client.call(&format!("ENQUEUE {id}")), int(1));
    assert_eq!(client.take("q").id, id);
}

#[test]
fn working_postpones_the_retry_and_answers_it() {
    let (_node, mut client) = start();
    let id = client.add("q", "body", "RETRY 10");
    client.take("q");
    eventually("part of the retry has gone", || {
        (number(&mut client, &id, "next-requeue-within") < 9_300).then_some(())
    });
    assert_eq!(client.call(&format!("WORKING {id}")), int(10));
    let left = number(&mut client, &id, "next-requeue-within");
    assert!((9_400..=10_600).contains(&left), "{left}");
}

#[test]
fn working_takes_a_queued_job_out_of_its_queue() {
    let (_node, mut client) = start();
    let id = client.add("q", "body", "RETRY 10");
    assert_eq!(client.call(&format!("WORKING {id}")), int(10));
    assert_eq!(client.length("q"), 0);
    assert_eq!(client.state(&id), "active");
}

#[test]
fn working_refuses_unknown_jobs_and_has_nothing_to_postpone_at_retry_0() {
    let (_node, mut client) = start();
    let unknown = error("NOJOB Job not known in the context of this node.");
    assert_eq!(client.call(&format!("WORKING {UNKNOWN}")), unknown);
    let id = client.add("q", "body", "RETRY 0");
    client.take("q");
    assert_eq!(client.call(&format!("WORKING {id}")), int(0));
}

#[test]
fn working_is_too_late_after_half_of_the_ttl() {
    let (_node, mut client) = start();
    let added = Instant::now();
    let id = client.add("q", "body", "TTL 4 RETRY 1");
    assert_eq!(client.call(&format!("WORKING {id}")), int(1));
    let too_late = "TOOLATE Half of job TTL already elapsed, you are no longer allowed to postpone the next delivery.";
    let refused = eventually("WORKING is refused", || {
        let reply = client.call(&format!("WORKING {id}"));
        (reply != int(1)).then_some(reply)
    });
    assert_eq!(refused, error(too_late));
    let elapsed = added.elapsed();
    assert!(
        elapsed > Duration::from_millis(900) && elapsed < Duration::from_millis(3_200),
        "{elapsed:?}"
    );
}

#[test]
fn an_unacknowledged_job_is_delivered_again_after_its_retry() {
    let (_node, mut client) = start();
    let id = client.add("q", "body", "RETRY 1");
    client.take("q");
    let delivered = Instant::now();
    let again = client.call("GETJOB WITHCOUNTERS TIMEOUT 5000 FROM q");
    let elapsed = delivered.elapsed();
    assert_eq!(again.items()[0].items()[1], bulk(&id));
    assert_eq!(again.items()[0].items()[4], int(0), "nacks");
    assert_eq!(again.items()[0].items()[6], int(1), "additional deliveries");
    assert!(
        elapsed > Duration::from_millis(450) && elapsed < Duration::from_millis(1_800),
        "{elapsed:?}"
    );
    assert_eq!(client.call(&format!("ACKJOB {id}")), int(1));
}

#[test]
fn a_job_with_retry_0_is_never_queued_again() {
    let (_node, mut client) = start();
    let id = client.add("q", "body", "RETRY 0");
    assert_eq!(
        *client.show(&id).field("next-requeue-within"),
        Reply::NilBulk
    );
    client.take("q");
    assert_eq!(client.call(&format!("ENQUEUE {id}")), int(0));
    assert_eq!(client.call(&format!("NACK {id}")), int(0));
    assert_eq!(
        *client.show(&id).field("next-requeue-within"),
        Reply::NilBulk
    );
    assert_eq!(client.call("GETJOB TIMEOUT 300 FROM q"), Reply::NilArray);
    assert_eq!(client.call(&format!("ACKJOB {id}")), int(1));
}

#[test]
fn a_delayed_job_is_active_until_its_time() {
    let (_node, mut client) = start();
    let added = Instant::now();
    let id = client.add("q", "body", "DELAY 1");
    assert_eq!(client.state(&id), "active");
    assert_eq!(client.length("q"), 0);
    assert_eq!(client.call("GETJOB NOHANG FROM q"), Reply::NilArray);
    let job = client.call("GETJOB WITHCOUNTERS TIMEOUT 5000 FROM q");
    let elapsed = added.elapsed();
    assert_eq!(
        job.items()[0].items()[6],
        int(0),
        "the first queueing is no additional delivery"
    );
    assert!(
        elapsed > Duration::from_millis(990) && elapsed < Duration::from_millis(1_400),
        "{elapsed:?}"
    );
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
fn ids_are_unique() {
    let (_node, mut client) = start();
    let ids: BTreeSet<_> = (0..2_000).map(|_| client.add("q", "body", "")).collect();
    assert_eq!(ids.len(), 2_000);
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
