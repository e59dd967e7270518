//! GETJOB when there is nothing: who is served, in which order, for how long, and what happens to those who leave.

use std::time::{Duration, Instant};

use crate::fixture::Node;
use crate::wire::{Connection, LEAVING, Reply, bodies, bulk, encode_words, int, jobs, simple};

/// A node, a client that is blocked by each of the commands, in their order, and one more client.
fn blocked_by(commands: &[&str]) -> (Node, Vec<Connection>, Connection) {
    let node = Node::start();
    let mut waiting = Vec::new();
    for command in commands {
        let mut connection = node.connect();
        connection.send(command);
        node.wait_for_blocked(waiting.len() + 1);
        waiting.push(connection);
    }
    let client = node.connect();
    (node, waiting, client)
}

#[test]
fn the_first_to_wait_is_the_first_to_be_served() {
    let (_node, mut waiting, mut client) = blocked_by(&["GETJOB FROM q"; 5]);
    for n in 0..5 {
        client.add("q", &n.to_string(), "");
    }
    for (n, connection) in waiting.iter_mut().enumerate() {
        assert_eq!(bodies(&connection.receive()), [n.to_string()]);
    }
    assert_eq!(client.length("q"), 0);
}

#[test]
fn first_come_first_served_holds_across_the_queues_of_a_client() {
    let (_node, mut waiting, mut client) =
        blocked_by(&["GETJOB FROM a b", "GETJOB FROM b", "GETJOB FROM c a"]);
    client.add("b", "one", "");
    assert_eq!(bodies(&waiting[0].receive()), ["one"]);
    client.add("a", "two", "");
    assert_eq!(bodies(&waiting[2].receive()), ["two"]);
    client.add("a", "stays", "");
    assert_eq!(
        client.length("a"),
        1,
        "who was served waits nowhere any more"
    );
    client.add("b", "three", "");
    assert_eq!(bodies(&waiting[1].receive()), ["three"]);
}

#[test]
fn a_blocked_client_gets_one_job_whatever_its_count() {
    let (_node, mut waiting, mut client) = blocked_by(&["GETJOB COUNT 5 FROM q"]);
    client.send_raw(&encode_words("ADDJOB q one 0").repeat(3));
    let served = waiting[0].receive();
    assert_eq!(bodies(&served), ["one"]);
    for _ in 0..3 {
        client.receive();
    }
    assert_eq!(client.length("q"), 2);
}

#[test]
fn a_blocked_client_is_told_the_counters_it_asked_for() {
    let (_node, mut waiting, mut client) = blocked_by(&["GETJOB WITHCOUNTERS FROM q"]);
    let id = client.add("q", "body", "");
    let counters = [bulk("nacks"), int(0), bulk("additional-deliveries"), int(0)];
    let job = [bulk("q"), bulk(&id), bulk("body")]
        .into_iter()
        .chain(counters)
        .collect();
    assert_eq!(waiting[0].receive(), Reply::Array(vec![Reply::Array(job)]));
}

#[test]
fn timeouts_are_exact_and_never_early() {
    let node = Node::start();
    let mut client = node.connect();
    for timeout in [1_u64, 20, 75, 150] {
        let wanted = Duration::from_millis(timeout);
        // The best of several: a busy machine wakes anyone late now and then, but nobody every time.
        let over = (0..6).map(|_| {
            let start = Instant::now();
            assert_eq!(
                client.call(&format!("GETJOB TIMEOUT {timeout} FROM q")),
                Reply::NilArray
            );
            let elapsed = start.elapsed();
            assert!(
                elapsed + Duration::from_millis(1) >= wanted,
                "TIMEOUT {timeout} ended after {elapsed:?}"
            );
            elapsed.saturating_sub(wanted)
        });
        let best = over.min().expect("six tries");
        assert!(
            best < Duration::from_millis(8),
            "TIMEOUT {timeout} was late by {best:?}"
        );
    }
}

#[test]
fn timeout_zero_waits_for_ever() {
    let (_node, mut waiting, mut client) = blocked_by(&["GETJOB TIMEOUT 0 FROM q"]);
    waiting[0].assert_silent();
    client.add("q", "body", "");
    assert_eq!(bodies(&waiting[0].receive()), ["body"]);
}

#[test]
fn many_timeouts_end_in_their_order() {
    let node = Node::start();
    let mut waiting: Vec<_> = (0..20).map(|_| node.connect()).collect();
    let start = Instant::now();
    for (n, connection) in waiting.iter_mut().enumerate() {
        connection.send(&format!("GETJOB TIMEOUT {} FROM q", 300 - 10 * n));
    }
    for (n, connection) in waiting.iter_mut().enumerate().rev() {
        assert_eq!(connection.receive(), Reply::NilArray);
        assert!(
            start.elapsed() >= Duration::from_millis(299 - 10 * n as u64),
            "{:?}",
            start.elapsed()
        );
    }
    node.wait_for_blocked(0);
}

#[test]
fn a_client_that_disconnects_takes_no_job_with_it() {
    let (node, waiting, mut client) = blocked_by(&[
        "GETJOB FROM q",
        "GETJOB FROM q r",
        "GETJOB TIMEOUT 60000 FROM q",
    ]);
    drop(waiting);
    node.wait_for_blocked(0);
    let id = client.add("q", "body", "");
    let got = client.call("GETJOB NOHANG WITHCOUNTERS FROM q");
    assert_eq!(got.items()[0].items()[1], bulk(&id));
    assert_eq!(got.items()[0].items()[6], int(0));
}

#[test]
fn a_disconnect_is_noticed_behind_pipelined_commands() {
    let (node, mut waiting, mut client) = blocked_by(&["GETJOB FROM q"]);
    waiting[0].send_raw(&encode_words("PING").repeat(10));
    waiting.clear();
    node.wait_for_blocked(0);
    client.add("q", "body", "");
    assert_eq!(client.take("q").body, "body");
}

#[test]
fn a_killed_client_takes_no_job_with_it() {
    let (node, mut waiting, mut client) = blocked_by(&["GETJOB FROM q"]);
    let address = waiting[0].address();
    assert_eq!(client.call(&format!("CLIENT KILL {address}")), simple("OK"));
    waiting[0].assert_closed();
    node.wait_for_blocked(0);
    client.add("q", "body", "");
    assert_eq!(client.take("q").body, "body");
}

#[test]
fn commands_behind_a_blocked_one_are_kept_and_answered_in_order() {
    let (node, mut waiting, mut client) = blocked_by(&["GETJOB FROM q"]);
    for command in [
        "PING",
        "ADDJOB other later 0",
        "QLEN other",
        "GETJOB FROM r",
        "ECHO last",
    ] {
        waiting[0].send(command);
    }
    waiting[0].assert_silent();
    assert_eq!(
        client.length("other"),
        0,
        "nothing behind a blocked command runs"
    );
    client.add("q", "first", "");
    assert_eq!(bodies(&waiting[0].receive()), ["first"]);
    assert_eq!(waiting[0].receive(), simple("PONG"));
    assert_eq!(waiting[0].receive().simple_text().len(), 40);
    assert_eq!(waiting[0].receive(), int(1));
    node.wait_for_blocked(1);
    waiting[0].assert_silent();
    client.add("r", "second", "");
    assert_eq!(bodies(&waiting[0].receive()), ["second"]);
    assert_eq!(waiting[0].receive(), bulk("last"));
}

#[test]
fn commands_sent_in_one_piece_with_a_blocking_one_run_after_it() {
    let node = Node::start();
    let mut connection = node.connect();
    let mut client = node.connect();
    let pipeline = [
        "GETJOB TIMEOUT 100 FROM q",
        "GETJOB TIMEOUT 100 FROM q",
        "PING",
        "GETJOB NOHANG FROM q",
    ];
    let bytes: Vec<u8> = pipeline
        .iter()
        .flat_map(|command| encode_words(command))
        .collect();
    let start = Instant::now();
    connection.send_raw(&bytes);
    assert_eq!(connection.receive(), Reply::NilArray);
    assert_eq!(connection.receive(), Reply::NilArray);
    assert!(
        start.elapsed() >= Duration::from_millis(198),
        "the two waits follow each other: {:?}",
        start.elapsed()
    );
    assert_eq!(connection.receive(), simple("PONG"));
    assert_eq!(connection.receive(), Reply::NilArray);
    client.add("q", "body", "");
    connection.send_raw(&bytes);
    assert_eq!(
        bodies(&connection.receive()),
        ["body"],
        "a job that is there blocks nobody"
    );
    assert_eq!(connection.receive(), Reply::NilArray);
}

#[test]
fn a_client_that_finished_sending_is_still_answered() {
    let node = Node::start();
    let mut connection = node.connect();
    connection.send("PING");
    connection.send("GETJOB NOHANG FROM q");
    connection.send("ECHO bye");
    connection.finish_sending();
    assert_eq!(connection.receive(), simple("PONG"));
    assert_eq!(connection.receive(), Reply::NilArray);
    assert_eq!(connection.receive(), bulk("bye"));
    connection.assert_closed();
}

#[test]
fn nack_enqueue_retry_and_the_end_of_a_delay_wake_a_blocked_client() {
    let node = Node::start();
    let mut client = node.connect();
    let mut consumer = node.connect();
    let id = client.add("q", "body", "RETRY 1");
    client.take("q");
    for command in ["NACK", "ENQUEUE"] {
        consumer.send("GETJOB FROM q");
        node.wait_for_blocked(1);
        assert_eq!(client.call(&format!("{command} {id}")), int(1));
        assert_eq!(jobs(&consumer.receive())[0].id, id, "{command}");
    }
    assert_eq!(
        jobs(&consumer.call("GETJOB TIMEOUT 5000 FROM q"))[0].id,
        id,
        "retry"
    );
    client.call(&format!("ACKJOB {id}"));
    let delayed = client.add("q", "body", "DELAY 1");
    assert_eq!(
        jobs(&consumer.call("GETJOB TIMEOUT 5000 FROM q"))[0].id,
        delayed,
        "delay"
    );
}

#[test]
fn flushall_unblocks_everyone_with_nothing() {
    let (node, mut waiting, mut client) =
        blocked_by(&["GETJOB FROM q", "GETJOB TIMEOUT 60000 FROM r q"]);
    assert_eq!(client.call("DEBUG FLUSHALL"), simple("OK"));
    for connection in &mut waiting {
        assert_eq!(connection.receive(), Reply::NilArray);
        assert_eq!(connection.call("PING"), simple("PONG"));
    }
    node.wait_for_blocked(0);
}

#[test]
fn a_blocked_client_is_not_served_by_a_queue_paused_in_output() {
    let (_node, mut waiting, mut client) = blocked_by(&["GETJOB FROM a b"]);
    client.call("PAUSE a out");
    client.add("a", "kept", "");
    waiting[0].assert_silent();
    client.add("b", "served", "");
    assert_eq!(bodies(&waiting[0].receive()), ["served"]);
    assert_eq!(client.length("a"), 1);
}

#[test]
fn leaving_answers_the_blocked_and_those_who_would_block() {
    let (_node, mut waiting, mut client) = blocked_by(&["GETJOB FROM q"]);
    client.add("other", "left over", "RETRY 60");
    assert_eq!(client.call("CLUSTER LEAVING yes"), simple("OK"));
    assert_eq!(waiting[0].receive().error_text(), LEAVING);
    assert_eq!(client.call("GETJOB FROM q").error_text(), LEAVING);
    assert_eq!(client.call("GETJOB NOHANG FROM q"), Reply::NilArray);
    assert_eq!(
        client.take("other").body,
        "left over",
        "what is queued here is still served"
    );
    assert_eq!(client.call("CLUSTER LEAVING no"), simple("OK"));
    assert_eq!(client.call("GETJOB TIMEOUT 1 FROM q"), Reply::NilArray);
}

#[test]
fn three_hundred_blocked_clients_get_a_job_each() {
    let node = Node::start();
    let mut waiting: Vec<_> = (0..300).map(|_| node.connect()).collect();
    for (n, connection) in waiting.iter_mut().enumerate() {
        connection.send("GETJOB FROM q other");
        if n % 50 == 49 {
            node.wait_for_blocked(n + 1);
        }
    }
    let mut client = node.connect();
    let blocked = client.call("QSTAT q").field("blocked").int();
    assert_eq!(blocked, 300);
    for n in 0..300 {
        client.send(&format!("ADDJOB q {n} 0"));
    }
    let mut served: Vec<i32> = Vec::new();
    for connection in &mut waiting {
        served.push(
            bodies(&connection.receive())[0]
                .parse()
                .expect("bodies are numbers"),
        );
    }
    served.sort_unstable();
    assert!(
        served.iter().copied().eq(0..300),
        "each job went to exactly one client"
    );
    for _ in 0..300 {
        client.receive().simple_text();
    }
    node.wait_for_blocked(0);
}
