//! Named cursors: a reader that keeps nothing goes on where it was, through kills; and a rewind holds.

use crate::fixture::{Launch, Node};
use crate::topics::{Entry, bodies, publish, publish_many, read, told};
use crate::wire::{Connection, array, bulk, count, error, int, simple};

const STALE: &str = "STALE The name was set to another place or deleted after this cursor was handed out: read AS it again";

/// A page of this many entries.
#[track_caller]
fn read_some(client: &mut Connection, wanted: usize, options: &str) -> (String, Vec<Entry>) {
    let (cursor, page) = read(client, options);
    assert_eq!(page.len(), wanted, "{options}");
    (cursor, page)
}

/// The reader dies at every third page before it commits, and the node after each commit.
#[test]
fn a_named_reader_goes_on_after_kills() {
    for storage in ["log", "sled"] {
        let flags = format!("--storage {storage} --appendfsync always");
        let mut node = Launch::new().flags(&flags).start();
        let (mut done, mut all): (Vec<Entry>, Vec<String>) = (Vec::new(), Vec::new());
        for round in 0..9 {
            let mut client = node.connect();
            let ids = publish_many(&mut client, "orders.eu", 20, 100);
            all.extend(ids);
            let options = "AS billing COUNT 15 PATTERN orders.*";
            let (cursor, page) = read_some(&mut client, 15, options);
            if round % 3 == 2 {
                continue;
            }
            let committed = client.call(&format!("TCOMMIT billing {cursor}"));
            assert_eq!(committed, simple("OK"));
            done.extend(page);
            node.kill();
            node.restart();
        }
        let mut client = node.connect();
        let behind = all.len() - done.len();
        let options = "AS billing COUNT 1000 PATTERN orders.*";
        let (_, rest) = read_some(&mut client, behind, options);
        let view = client.call("TCURSOR billing");
        assert_eq!(view.field("behind"), &count(behind));
        assert_eq!(view.field("patterns"), &array([bulk("orders.*")]));
        done.extend(rest);
        let ids: Vec<String> = done.into_iter().map(|entry| entry.id).collect();
        assert_eq!(ids, all, "each entry once, and in order: {storage}");
    }
}

#[test]
fn a_rewind_makes_earlier_cursors_stale() {
    let mut node = Launch::new().flags("--appendfsync always").start();
    let mut client = node.connect();
    for body in ["1", "2", "3"] {
        publish(&mut client, "c", body);
    }
    let (old, page) = read_some(&mut client, 3, "FROM 0 AS r PATTERN c");
    assert_eq!(bodies(&page), ["1", "2", "3"]);
    assert_eq!(client.call(&format!("TCOMMIT r {old}")), simple("OK"));
    let (_, nothing) = read(&mut client, "FROM 0 AS r PATTERN c");
    assert!(nothing.is_empty(), "FROM counts at the first use alone");
    assert_eq!(client.call("TCURSOR r SET 0"), simple("OK"));
    assert_eq!(client.call(&format!("TCOMMIT r {old}")), error(STALE));
    node.restart_after_kill();
    let mut client = node.connect();
    assert_eq!(client.call(&format!("TCOMMIT r {old}")), error(STALE));
    let (fresh, page) = read_some(&mut client, 2, "AS r COUNT 2 PATTERN c");
    assert_eq!(bodies(&page), ["1", "2"]);
    assert_eq!(client.call(&format!("TCOMMIT r {fresh}")), simple("OK"));
    // The text is a cursor for anybody.
    let (_, page) = read_some(&mut client, 1, &format!("FROM {fresh} PATTERN *"));
    assert_eq!(bodies(&page), ["3"]);
    let other = "ERR cursor 'r' reads 'c', not 'd'";
    assert_eq!(client.call("TREAD AS r PATTERN d"), error(other));
    assert_eq!(client.call("TCURSOR"), array([bulk("r")]));
    assert_eq!(client.info("topic_cursors"), "1");
    assert_eq!(client.call("TCURSOR r DEL"), int(1));
    assert_eq!(client.call("TCURSOR r DEL"), int(0));
    assert_eq!(client.call("TCURSOR"), array([]));
    assert_eq!(client.call(&format!("TCOMMIT r {fresh}")), error(STALE));
}

/// In RESP2 a subscribed connection may commit.
#[test]
fn a_subscription_commits_what_it_was_told() {
    let node = Node::start();
    let mut client = node.connect();
    let mut publisher = node.connect();
    publish(&mut publisher, "c", "1");
    client.call("TSUB AS r PATTERN c");
    let first = told(&client.receive());
    publish(&mut publisher, "c", "2");
    let second = told(&client.receive());
    assert_eq!((&first.entry.body[..], &second.entry.body[..]), ("1", "2"));
    let committed = client.call(&format!("TCOMMIT r {}", first.cursor));
    assert_eq!(committed, simple("OK"));
    let (_, page) = read(&mut publisher, "AS r PATTERN c");
    assert_eq!(bodies(&page), ["2"]);
}
