//! GETJOB: which jobs, in which order, and what their answers look like.

use super::*;

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
