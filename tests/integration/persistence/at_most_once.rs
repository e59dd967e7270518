//! RETRY 0 across stops and crashes: never delivered twice.

use super::*;

#[test]
fn retry_0_delivered_before_a_kill_is_not_delivered_again() {
    let mut node = durable();
    let mut client = node.connect();
    client.add("once", "delivered", "RETRY 0");
    client.add("once", "queued", "RETRY 0");
    client.take("once");
    node.restart_after_kill();
    let mut client = node.connect();
    assert_eq!(
        client.call("GETJOB TIMEOUT 300 FROM once"),
        Reply::NilArray,
        "an unclean stop may have delivered any"
    );
    assert_eq!(
        client.info("registered_jobs"),
        "0",
        "what can never be delivered is dropped"
    );
    node.restart_cleanly();
    assert_eq!(
        node.connect().call("GETJOB NOHANG FROM once"),
        Reply::NilArray
    );
}

#[test]
fn retry_0_is_delivered_once_after_a_clean_stop_and_not_after_the_crash_that_follows() {
    let mut node = durable();
    let mut client = node.connect();
    for body in ["first", "second", "third"] {
        client.add("once", body, "RETRY 0");
    }
    assert_eq!(client.take("once").body, "first");
    node.restart_cleanly();
    let mut client = node.connect();
    assert_eq!(
        client.take("once").body,
        "second",
        "what was delivered before the stop does not come back"
    );
    node.restart_after_kill();
    assert_eq!(
        node.connect().call("GETJOB NOHANG FROM once"),
        Reply::NilArray
    );
    node.restart_after_kill();
    assert_eq!(
        node.connect().call("GETJOB NOHANG FROM once"),
        Reply::NilArray,
        "nor after a second crash"
    );
    node.restart_cleanly();
    assert_eq!(
        node.connect().call("GETJOB TIMEOUT 200 FROM once"),
        Reply::NilArray,
        "nor after a clean stop"
    );
}

/// With `everysec` the start itself must be on disk before anything is delivered.
#[test]
fn a_crash_right_after_a_clean_start_delivers_no_retry_0_job_twice() {
    let mut node = Launch::new().flags("--appendfsync no").start();
    for round in 0..4 {
        node.connect().add("once", &round.to_string(), "RETRY 0");
        node.restart_cleanly();
        let first = bodies(&node.connect().call("GETJOB NOHANG COUNT 9 FROM once"));
        assert_eq!(first, [round.to_string()]);
        node.restart_after_kill();
        assert_eq!(
            node.connect().call("GETJOB NOHANG FROM once"),
            Reply::NilArray,
            "round {round}"
        );
    }
}

/// Killed at some moment of its start, before or after it serves.
#[test]
fn a_crash_amid_a_start_delivers_no_retry_0_job_twice() {
    let mut node = durable();
    for round in 0..6_u64 {
        node.connect().add("once", &round.to_string(), "RETRY 0");
        let kept = node.connect().add("q", &round.to_string(), "RETRY 600");
        assert!(node.terminate().success());
        let mut interrupted = node.launch().clone().spawn();
        // The moment itself is what varies here; there is no event to wait for.
        thread::sleep(Duration::from_millis(round * 12));
        let mut deliveries = 0;
        if let Ok(mut client) = Connection::try_open(node.port()) {
            client.send("GETJOB NOHANG FROM once");
            deliveries += usize::from(matches!(client.try_receive(), Ok(Reply::Array(_))));
        }
        interrupted.kill();
        node.restart();
        let mut client = node.connect();
        deliveries += usize::from(client.call("GETJOB NOHANG FROM once") != Reply::NilArray);
        assert!(
            deliveries <= 1,
            "delivered {deliveries} times in round {round}"
        );
        assert!(is_known(&mut client, &kept), "round {round}");
    }
}
