//! Queues: their length, figures and contents, pausing them, and walking over queues and jobs.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::fixture::{Node, eventually};
use crate::wire::{Connection, Reply, array, bodies, bulk, error, int, jobs, simple};

mod figures;
mod pausing;
mod scanning;

fn start() -> (Node, Connection) {
    let node = Node::start();
    let client = node.connect();
    (node, client)
}

fn stat(client: &mut Connection, queue: &str, field: &str) -> Reply {
    client.call(&format!("QSTAT {queue}")).field(field).clone()
}

/// All of a scan, page by page; fails when it takes more pages than there can be.
fn scan(client: &mut Connection, command: &str) -> Vec<Reply> {
    let mut found = Vec::new();
    let mut cursor = "0".to_owned();
    for _ in 0..10_000 {
        let page = client.call(&command.replace("CURSOR", &cursor));
        let [next, items] = page.items() else {
            panic!("a scan answers two elements: {page:?}")
        };
        found.extend_from_slice(items.items());
        cursor = next.text();
        if cursor == "0" {
            return found;
        }
    }
    panic!("{command} does not end");
}

fn names(replies: &[Reply]) -> BTreeSet<String> {
    replies.iter().map(Reply::text).collect()
}

#[test]
fn qconfig_answers_maps_and_arrays() {
    let (_node, mut client) = start();
    assert_eq!(client.call("QCONFIG"), Reply::Array(vec![]));
    assert_eq!(client.call("QCONFIG mail"), Reply::Array(vec![]));
    let set = client.call("QCONFIG mail* SET RETRY 5 maxlen 2");
    assert_eq!(set, simple("OK"));
    assert_eq!(client.call("QCONFIG mail SET pause-out yes"), simple("OK"));
    let flat = ["retry", "5", "maxlen", "2"].map(bulk);
    assert_eq!(client.call("QCONFIG mail*"), array(flat.clone()));
    let all = array([
        array([bulk("mail"), array(["pause-out", "yes"].map(bulk))]),
        array([bulk("mail*"), array(flat)]),
    ]);
    assert_eq!(client.call("QCONFIG"), all);
    client.call("HELLO 3");
    let pair = |name: &str, value: &str| (bulk(name), bulk(value));
    let map = Reply::Map(vec![
        pair("retry", "5"),
        pair("maxlen", "2"),
        pair("pause-out", "yes"),
    ]);
    assert_eq!(client.call("QCONFIG mail"), map);
    assert_eq!(client.call("QCONFIG other"), Reply::Map(vec![]));
    assert_eq!(client.call("PAUSE mail state"), simple("out"));
    client.add("mail", "1", "");
    client.add("mail", "2", "");
    let refused = client.call("ADDJOB mail 3 0");
    assert_eq!(
        refused.error_text(),
        "MAXLEN Queue is already longer than the specified MAXLEN count (QCONFIG: maxlen)"
    );
    assert_eq!(client.call("QCONFIG mail* UNSET maxlen"), simple("OK"));
    client.add("mail", "3", "");
}

#[test]
fn qpurge_deletes_what_a_queue_has() {
    let (_node, mut client) = start();
    assert_eq!(client.call("QPURGE q"), int(0));
    for n in 0..5 {
        client.add("q", &n.to_string(), "");
    }
    client.add("q", "delayed", "DELAY 60");
    client.add("q", "once", "RETRY 0");
    let taken = client.take("q");
    client.add("other", "stays", "");
    assert_eq!(client.call("QPURGE q"), int(7));
    assert_eq!(client.call("QLEN q"), int(0));
    assert_eq!(client.call("QLEN other"), int(1));
    assert_eq!(client.info("purged_jobs"), "7");
    assert_eq!(client.call(&format!("ACKJOB {}", taken.id)), int(0));
    client.add("q", "younger", "");
    assert_eq!(bodies(&client.call("QPEEK q 9")), ["younger"]);
    client.call("HELLO 3");
    assert_eq!(client.call("QPURGE q"), int(1));
}
