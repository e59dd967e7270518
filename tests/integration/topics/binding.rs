//! Bindings: entries become jobs, through kills of the node that makes them.

use std::collections::BTreeMap;

use crate::cluster::fixture::{Shoal, until};
use crate::fixture::Launch;
use crate::topics::{publish, publish_many};
use crate::wire::{Connection, Reply, array, bulk, count, error, int, simple};

/// Takes jobs until none is left, and acknowledges them: how often a job of each entry came.
#[track_caller]
fn drain(client: &mut Connection, entries: &mut BTreeMap<String, usize>) {
    loop {
        let reply = client.call("GETJOB NOHANG COUNT 100 WITHMETA FROM work");
        if matches!(reply, Reply::NilArray | Reply::Null) {
            return;
        }
        for job in reply.items() {
            let [_, id, _, _, meta] = job.items() else {
                panic!("{job:?} is no job with META");
            };
            client.call(&format!("ACKJOB {}", id.text()));
            let entry = meta.field("shoal.id").text();
            *entries.entry(entry).or_default() += 1;
        }
    }
}

#[test]
fn an_entry_becomes_a_job_that_says_where_it_comes_from() {
    let node = Launch::new().start();
    let mut client = node.connect();
    publish(&mut client, "orders.eu", "before");
    assert_eq!(client.call("TBIND orders.* work"), simple("OK"));
    assert_eq!(client.call("TBIND orders.* work"), simple("OK"), "again");
    let other = "ERR this pattern is bound to this queue with other options: TUNBIND it first";
    assert_eq!(client.call("TBIND orders.* work DELAY 5"), error(other));
    client.call("TPUB users.eu no");
    let id = client.call("TPUB orders.eu book META trace 7");
    let reply = client.call("GETJOB TIMEOUT 5000 WITHMETA FROM work");
    let [queue, _, body, _, meta] = reply.items()[0].items() else {
        panic!("{reply:?} is no job with META");
    };
    assert_eq!((queue, body), (&bulk("work"), &bulk("book")));
    assert_eq!(meta.field("trace"), &bulk("7"));
    assert_eq!(meta.field("shoal.channel"), &bulk("orders.eu"));
    assert_eq!(meta.field("shoal.id"), &id);
    let bindings = client.call("TBINDINGS");
    let [binding] = bindings.items() else {
        panic!("{bindings:?} is not one binding");
    };
    assert_eq!(binding.field("pattern"), &bulk("orders.*"));
    assert_eq!(binding.field("queue"), &bulk("work"));
    assert_eq!(binding.field("behind"), &count(0));
    assert_eq!(binding.field("waits-for"), &Reply::NilBulk);
    assert_eq!(client.call("TSTAT orders.eu").field("bindings"), &count(1));
    assert_eq!(client.call("TUNBIND orders.* work"), int(1));
    assert_eq!(client.call("TUNBIND orders.* work"), int(0));
    assert_eq!(client.call("TBINDINGS"), array([]));
}

#[test]
fn a_paused_queue_holds_its_binding() {
    let node = Launch::new().start();
    let mut client = node.connect();
    client.call("TBIND c work MAXLEN 5");
    client.call("PAUSE work in");
    publish_many(&mut client, "c", 20, 10);
    let waits = |client: &mut Connection, word: &str| {
        until("TBINDINGS says what it waits for", || {
            let bindings = client.call("TBINDINGS");
            bindings.items()[0].field("waits-for") == &bulk(word)
        });
    };
    waits(&mut client, "pause");
    assert_eq!(client.call("QLEN work"), int(0));
    client.call("PAUSE work none");
    waits(&mut client, "maxlen");
    assert_eq!(client.call("QLEN work"), int(5));
    let mut entries = BTreeMap::new();
    until("all jobs are made as there is room", || {
        drain(&mut client, &mut entries);
        entries.len() == 20
    });
    assert!(entries.values().all(|times| *times == 1), "{entries:?}");
}

/// Far more entries than stay in memory, all published before they are bound.
#[test]
fn entries_of_before_are_read_from_the_log() {
    for storage in ["log", "sled"] {
        let flags = format!("--storage {storage} --appendfsync always --topic-max-memory 64mb");
        let mut node = Launch::new().flags(&flags).start();
        publish_many(&mut node.connect(), "c", 3000, 2000);
        node.kill();
        node.restart();
        let mut client = node.connect();
        assert_eq!(client.call("TBIND * work FROM 0"), simple("OK"));
        let mut entries = BTreeMap::new();
        until("each entry became a job", || {
            drain(&mut client, &mut entries);
            entries.len() == 3000
        });
        assert!(entries.values().all(|times| *times == 1), "{storage}");
    }
}

#[test]
fn no_entry_is_passed_over_when_the_node_is_killed() {
    for storage in ["log", "sled"] {
        let flags = format!("--storage {storage} --appendfsync always");
        let mut node = Launch::new().flags(&flags).start();
        node.connect().call("TBIND * work RETRY 1");
        let (mut entries, mut all) = (BTreeMap::new(), 0);
        for _ in 0..5 {
            let mut client = node.connect();
            publish_many(&mut client, "c", 50, 100);
            all += 50;
            drain(&mut client, &mut entries);
            node.kill();
            node.restart();
        }
        let mut client = node.connect();
        until("each entry became a job", || {
            drain(&mut client, &mut entries);
            entries.len() == all
        });
    }
}

/// A node that still copies is asked again.
#[track_caller]
fn bind(shoal: &Shoal, line: &str) {
    until("it is bound", || shoal.call(0, line) == simple("OK"));
}

/// The member that makes the jobs is killed, again and again, while all publish.
#[test]
fn another_member_makes_the_jobs_when_one_is_killed() {
    let mut shoal = Shoal::with(3, "--storage log --appendfsync always");
    bind(&shoal, "TBIND * work RETRY 1");
    let (mut entries, mut all) = (BTreeMap::new(), 0);
    for round in 0..6 {
        for node in 0..3 {
            publish_many(&mut shoal.connect(node), "c", 20, 100);
            all += 20;
        }
        drain(&mut shoal.connect(round % 3), &mut entries);
        shoal.kill(&[round % 3]);
        publish_many(&mut shoal.connect((round + 1) % 3), "c", 20, 100);
        all += 20;
        shoal.nodes[round % 3].restart();
        shoal.wait_until_all_met();
    }
    until("each entry became a job", || {
        for node in 0..3 {
            drain(&mut shoal.connect(node), &mut entries);
        }
        entries.len() == all
    });
}

#[test]
fn rolling_restarts_make_no_job_twice() {
    let mut shoal = Shoal::with(3, "--storage log");
    bind(&shoal, "TBIND * work");
    let (mut entries, mut all) = (BTreeMap::new(), 0);
    for node in [0, 1, 2, 0, 1] {
        publish_many(&mut shoal.connect((node + 1) % 3), "c", 50, 100);
        all += 50;
        assert!(shoal.nodes[node].terminate().success());
        publish_many(&mut shoal.connect((node + 1) % 3), "c", 50, 100);
        all += 50;
        drain(&mut shoal.connect((node + 2) % 3), &mut entries);
        shoal.nodes[node].restart();
        shoal.wait_until_all_met();
    }
    until("each entry became a job", || {
        for node in 0..3 {
            drain(&mut shoal.connect(node), &mut entries);
        }
        entries.len() == all
    });
    assert!(entries.values().all(|times| *times == 1), "{entries:?}");
}
