//! ADDJOB: the id, the terms of a job and their defaults, and what is refused.

use super::*;

const NOT_ENOUGH_NODES: &str =
    "NOREPL Not enough reachable nodes for the requested replication level";

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
fn ids_are_unique() {
    let (_node, mut client) = start();
    let ids: BTreeSet<_> = (0..2_000).map(|_| client.add("q", "body", "")).collect();
    assert_eq!(ids.len(), 2_000);
}
