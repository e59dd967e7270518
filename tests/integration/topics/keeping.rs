//! TFLUSH, TRETAIN, DEDUP, and what is kept over a stop.

use crate::fixture::{Launch, Node, eventually};
use crate::topics::{bodies, order, publish, publish_many, read, read_all};
use crate::wire::{Reply, array, bulk, error, int, simple};

#[test]
fn a_flush_takes_what_is_there_and_nothing_that_comes() {
    let mut node = Launch::new().flags("--appendfsync always").start();
    let mut client = node.connect();
    let ids = publish_many(&mut client, "orders.eu", 10, 0);
    publish(&mut client, "news", "stays");
    let (cursor, _) = read(&mut client, "FROM 0 COUNT 2 PATTERN orders.*");
    assert_eq!(
        client.call(&format!("TFLUSH orders.* BEFORE {}", ids[4])),
        int(4)
    );
    let (_, left) = read(&mut client, "FROM 0 PATTERN *");
    assert_eq!((left.len(), left[0].id.as_str()), (7, ids[4].as_str()));
    let (_, next) = read(&mut client, &format!("FROM {cursor} PATTERN orders.*"));
    assert_eq!(next.len(), 6, "a flush is a wish: no reader hears of it");
    assert_eq!(client.call("TFLUSH orders.* BEFORE $"), int(6));
    assert_eq!(client.call("TFLUSH orders.* BEFORE 99999999999999"), int(0));
    publish(&mut client, "orders.eu", "later");
    for _ in 0..2 {
        let mut client = node.connect();
        let (_, left) = read(&mut client, "FROM 0 PATTERN *");
        assert_eq!(bodies(&left), ["stays", "later"]);
        let (_, next) = read(&mut client, &format!("FROM {cursor} PATTERN orders.*"));
        assert_eq!(bodies(&next), ["later"]);
        node.restart_after_kill();
    }
    let ms = order(&ids[0]).0;
    assert_eq!(
        node.connect().call(&format!("TFLUSH * BEFORE {ms}")),
        int(0)
    );
    assert_eq!(node.connect().call("TFLUSH * BEFORE $"), int(2));
    assert_eq!(node.connect().call("TLEN *"), int(0));
}

#[test]
fn a_rule_takes_the_oldest_and_readers_are_told() {
    let mut node = Launch::new().start();
    let mut client = node.connect();
    publish_many(&mut client, "c", 3, 0);
    let (cursor, _) = read(&mut client, "FROM 0 PATTERN c");
    let (other, _) = read(&mut client, "FROM 0 COUNT 1 PATTERN d");
    let ids = publish_many(&mut client, "c", 100, 0);
    publish(&mut client, "d", "stays");
    assert_eq!(client.call("TRETAIN c MAXLEN 10"), simple("OK"));
    eventually("the rule is applied", || {
        (client.call("TLEN c") == int(10)).then_some(())
    });
    let expect_loss = |reply: &Reply| {
        let entries = reply.items()[1].items();
        assert_eq!(entries.len(), 11, "{reply:?}");
        let [before, channel, body, mark, lost] = entries[0].items() else {
            panic!("a loss has 5 elements: {reply:?}");
        };
        let nils = [channel, body].map(|item| item == &Reply::NilBulk);
        assert_eq!((nils, mark), ([true; 2], &bulk("lost")));
        assert!(
            (90..=93).contains(&lost.int()),
            "at most what went: {lost:?}"
        );
        let before = order(&before.text());
        assert!(
            order(&ids[89]) < before && before <= order(&ids[90]),
            "{before:?}"
        );
        assert_eq!(entries[1].items()[0], bulk(&ids[90]));
    };
    let reply = client.call(&format!("TREAD FROM {cursor} PATTERN c"));
    expect_loss(&reply);
    let next = reply.items()[0].text();
    let (_, nothing) = read(&mut client, &format!("FROM {next} PATTERN c"));
    assert!(nothing.is_empty(), "told once");
    let (_, stays) = read(&mut client, &format!("FROM {other} PATTERN d"));
    assert_eq!(
        bodies(&stays),
        ["stays"],
        "of its own channels a reader lost nothing"
    );
    node.restart_cleanly();
    let mut client = node.connect();
    eventually("the rule is applied", || {
        (client.call("TLEN c") == int(10)).then_some(())
    });
    expect_loss(&client.call(&format!("TREAD FROM {cursor} PATTERN c")));
}

#[test]
fn rules_are_set_told_and_taken_away() {
    let mut node = Launch::new().flags("--appendfsync always").start();
    let mut client = node.connect();
    assert_eq!(client.call("TRETAIN"), array([]));
    assert_eq!(client.call("TRETAIN c* MAXLEN 5 MAXAGE 60"), simple("OK"));
    assert_eq!(client.call("TRETAIN c MAXBYTES 1000"), simple("OK"));
    assert_eq!(client.call("TRETAIN ce KEEP"), simple("OK"));
    assert_eq!(client.call("TRETAIN other keep MAXLEN 7"), simple("OK"));
    node.restart_after_kill();
    let mut client = node.connect();
    let wide = array([bulk("maxage"), int(60), bulk("maxlen"), int(5)]);
    let narrow = array([bulk("maxbytes"), int(1000)]);
    let rules = client.call("TRETAIN");
    let mut rules = rules.items().to_vec();
    rules.sort_by_key(|rule| rule.items()[0].text());
    let kept = array([bulk("keep"), int(1)]);
    let both = array([bulk("maxlen"), int(7), bulk("keep"), int(1)]);
    assert_eq!(
        rules,
        [
            array([bulk("c"), narrow]),
            array([bulk("c*"), wide]),
            array([bulk("ce"), kept]),
            array([bulk("other"), both]),
        ]
    );
    publish_many(&mut client, "ce", 30, 0);
    publish_many(&mut client, "cd", 30, 0);
    eventually("the rule is applied", || {
        (client.call("TLEN cd") == int(5)).then_some(())
    });
    publish_many(&mut client, "c", 30, 100);
    eventually("the longest pattern counts", || {
        (client.call("TLEN c").int() <= 10).then_some(())
    });
    assert_eq!(client.call("TRETAIN c* DEL"), int(1));
    assert_eq!(client.call("TRETAIN c* DEL"), int(0));
    assert_eq!(client.call("TRETAIN").items().len(), 3);
    assert_eq!(client.call("TLEN ce"), int(30), "the longer pattern keeps");
}

#[test]
fn what_is_to_be_kept_stops_publishing_before_it_goes() {
    let node = Launch::new()
        .flags("--topic-max-disk 64mb --appendfsync no")
        .start();
    let mut client = node.connect();
    assert_eq!(client.call("TRETAIN kept KEEP"), simple("OK"));
    publish(&mut client, "loose", "goes first");
    let body = "x".repeat(1_000_000);
    let mut published = 0;
    let refusal = loop {
        match client.call_arguments(&["TPUB", "kept", &body]) {
            Reply::Bulk(_) => published += 1,
            refused => break refused.error_text().to_owned(),
        }
        assert!(published < 1000, "1 GB fits into 64 MiB");
    };
    assert!(
        refusal.starts_with("MISCONF ")
            && refusal.contains("TRETAIN")
            && refusal.contains("TFLUSH"),
        "{refusal}"
    );
    assert_eq!(client.call("TLEN kept"), int(published));
    assert_eq!(client.call("TLEN loose"), int(0));
    client.add("q", "jobs go on", "");
    assert_eq!(client.call("TFLUSH kept BEFORE $"), int(published));
    eventually("there is room again", || {
        let reply = client.call_arguments(&["TPUB", "kept", "after"]);
        matches!(reply, Reply::Bulk(_)).then_some(())
    });
}

#[test]
fn a_key_of_dedup_is_known_after_a_restart() {
    for storage in ["log", "sled"] {
        let mut node = Launch::new().flags(&format!("--storage {storage}")).start();
        let mut client = node.connect();
        let first = client.call("TPUB c one DEDUP key").text();
        let plain = publish(&mut client, "c", "plain");
        for _ in 0..3 {
            let mut client = node.connect();
            assert_eq!(
                client.call("TPUB c again DEDUP key"),
                bulk(&first),
                "{storage}"
            );
            let (_, entries) = read(&mut client, "FROM 0 PATTERN c");
            assert_eq!(bodies(&entries), ["one", "plain"]);
            node.restart_cleanly();
        }
        let mut client = node.connect();
        let other = client.call("TPUB other one DEDUP key").text();
        assert!(order(&other) > order(&plain), "a key belongs to a channel");
        assert_eq!(client.call("TPUB c again DEDUP key"), bulk(&first));
        assert_eq!(client.call("CONFIG SET topic-dedup-window 1"), simple("OK"));
        let late = client.call("TPUB c again DEDUP key").text();
        assert_ne!(late, first, "the window is over");
    }
}

#[test]
fn flushing_jobs_leaves_topics_alone() {
    let mut node = Launch::new().start();
    let mut client = node.connect();
    client.add("q", "body", "");
    publish_many(&mut client, "c", 100, 0);
    client.call("TRETAIN other MAXLEN 5");
    let (cursor, entries) = read_all(&mut client, "0", "c");
    assert_eq!(client.call("DEBUG FLUSHALL"), simple("OK"));
    assert_eq!((client.length("q"), client.call("TLEN c")), (0, int(100)));
    publish(&mut client, "c", "after");
    for _ in 0..2 {
        let mut client = node.connect();
        let (_, all) = read_all(&mut client, "0", "c");
        assert_eq!(all[..100], entries);
        let (_, more) = read(&mut client, &format!("FROM {cursor} PATTERN c"));
        assert_eq!(bodies(&more), ["after"]);
        node.restart_cleanly();
    }
}

#[test]
fn without_a_log_topics_live_as_long_as_the_process() {
    let mut node = Node::start();
    let mut client = node.connect();
    publish_many(&mut client, "c", 10, 0);
    node.restart_cleanly();
    let mut client = node.connect();
    assert_eq!(client.call("TLEN c"), int(0));
    publish(&mut client, "c", "new");
    let (_, all) = read(&mut client, "FROM 0 PATTERN c");
    assert_eq!(bodies(&all), ["new"]);
}

#[test]
fn memory_for_topics_is_bounded_and_the_error_names_the_bound() {
    let node = Node::start();
    let mut client = node.connect();
    publish_many(&mut client, "c", 100_000, 10);
    assert_eq!(client.call("CONFIG SET topic-max-memory 1mb"), simple("OK"));
    let full =
        error("OOM topics take all the memory of topic-max-memory: TFLUSH or TRETAIN, or raise it");
    assert_eq!(client.call("TPUB c body"), full);
    assert_eq!(client.call("PUBLISH c body"), full);
    client.add("q", "jobs go on", "");
    let (_, entries) = read(&mut client, "FROM 0 PATTERN c");
    assert_eq!(entries.len(), 100, "reading goes on");
    assert_eq!(client.call("TFLUSH c BEFORE $"), int(100_000));
    publish(&mut client, "c", "there is room again");
    assert_eq!(
        client.call("CONFIG GET topic-max-memory"),
        array([bulk("topic-max-memory"), bulk("1048576")])
    );
}
