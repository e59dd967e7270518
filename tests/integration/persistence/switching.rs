//! `appendonly` and `appendfsync` while the node runs.

use super::*;

#[test]
fn the_log_can_be_switched_on_at_run_time() {
    let mut node = Launch::new()
        .flags("--appendonly no --appendfsync always")
        .start();
    let mut client = node.connect();
    let acked = client.add("q", "acked", "");
    let before = client.add("q", "before", "RETRY 600");
    client.call(&format!("ACKJOB {acked}"));
    assert_eq!(client.info("aof_state"), "off");
    assert_eq!(client.call("CONFIG SET appendonly yes"), simple("OK"));
    eventually("the log is on", || {
        match client.info("aof_state").as_str() {
            "on" => Some(()),
            "wait-rewrite" => None,
            other => panic!("aof_state {other}"),
        }
    });
    assert_eq!(client.info("aof_enabled"), "1");
    let after = client.add("q", "after", "RETRY 600");
    node.kill();
    node.restart_with("--appendonly yes");
    let mut client = node.connect();
    assert!(is_known(&mut client, &before));
    assert!(is_known(&mut client, &after));
    assert!(!is_known(&mut client, &acked));
    assert_eq!(client.info("registered_jobs"), "2");
}

#[test]
fn the_log_can_be_switched_off_at_run_time_and_a_start_without_it_says_so() {
    let mut node = durable();
    let mut client = node.connect();
    let logged = client.add("q", "logged", "");
    assert_eq!(client.call("CONFIG SET appendonly no"), simple("OK"));
    assert_eq!(client.info("aof_state"), "off");
    assert_eq!(client.info("aof_enabled"), "0");
    client.add("q", "not logged", "");
    assert_eq!(client.length("q"), 2);
    node.kill();
    node.restart_with("--appendonly no");
    let mut client = node.connect();
    assert!(!is_known(&mut client, &logged));
    assert_eq!(client.info("registered_jobs"), "0");
    let log = node.log();
    assert!(
        log.contains("appendonly"),
        "the log tells that files on disk are ignored:\n{log}"
    );
}

#[test]
fn the_log_can_be_switched_off_and_on_again() {
    let mut node = durable();
    let mut client = node.connect();
    let first = client.add("q", "first", "RETRY 600");
    let gone = client.add("q", "gone", "RETRY 600");
    assert_eq!(client.call("CONFIG SET appendonly no"), simple("OK"));
    assert_eq!(client.call(&format!("ACKJOB {gone}")), int(1));
    let between = client.add("q", "between", "RETRY 600");
    assert_eq!(client.call("CONFIG SET appendonly yes"), simple("OK"));
    eventually("the log is on", || {
        (client.info("aof_state") == "on").then_some(())
    });
    node.restart_after_kill();
    let mut client = node.connect();
    assert!(is_known(&mut client, &first));
    assert!(is_known(&mut client, &between));
    assert!(
        !is_known(&mut client, &gone),
        "acknowledged while the log was off"
    );
}

#[test]
fn appendfsync_can_be_changed_at_run_time() {
    let mut node = Launch::new().flags("--appendfsync no").start();
    let mut client = node.connect();
    assert_eq!(client.call("CONFIG SET appendfsync always"), simple("OK"));
    let id = client.add("q", "body", "RETRY 600");
    node.restart_after_kill();
    assert!(is_known(&mut node.connect(), &id));
}

#[test]
fn under_always_answers_go_on_when_the_log_is_read_anew_or_switched() {
    let node = durable();
    let mut client = node.connect();
    let early: Vec<_> = (0..50)
        .map(|_| client.add("early", "body", "RETRY 1"))
        .collect();
    assert_eq!(client.call("DEBUG LOADAOF"), simple("OK"));
    for switch in ["no", "yes"] {
        let id = client.add("late", "body", "");
        assert_eq!(client.take("late").id, id);
        let set = format!("CONFIG SET appendonly {switch}");
        assert_eq!(client.call(&set), simple("OK"));
    }
    let id = client.add("late", "body", "");
    assert_eq!(client.take("late").id, id);
    let mut back: Vec<_> = early
        .iter()
        .map(|_| {
            let taken = client.call("GETJOB TIMEOUT 5000 FROM early");
            jobs(&taken).remove(0).id
        })
        .collect();
    back.sort_by_key(|id| early.iter().position(|other| other == id));
    assert_eq!(back, early);
}
