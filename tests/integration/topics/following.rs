//! TSUB and TUNSUB: entries as they come, from memory and from disk, to quick readers and slow ones.

use std::collections::BTreeMap;

use crate::fixture::{Launch, Node};
use crate::topics::{Told, bodies, numbered, publish, publish_many, read, read_all, told};
use crate::wire::{Connection, Reply, array, bulk, encode, error, int, simple};

/// The number and the cursor of a subscription that is confirmed.
#[track_caller]
fn confirmed(reply: &Reply, kind: &str) -> (i64, String) {
    let (Reply::Array(items) | Reply::Push(items)) = reply else {
        panic!("expected {kind}, got {reply:?}");
    };
    assert_eq!(
        (items.len(), items[0].text().as_str()),
        (3, kind),
        "{reply:?}"
    );
    (items[1].int(), items[2].text())
}

#[track_caller]
fn follow(client: &mut Connection, options: &str) -> String {
    let reply = client.call(&format!("TSUB {options}"));
    confirmed(&reply, "tsubscribe").1
}

/// The next `count` entries.
#[track_caller]
fn take(client: &mut Connection, count: usize) -> Vec<Told> {
    (0..count).map(|_| told(&client.receive())).collect()
}

fn number(told: &Told) -> usize {
    told.entry.body[..8].parse().expect("a number")
}

#[test]
fn a_follower_gets_what_comes_with_its_cursor() {
    let node = Node::start();
    let [mut client, mut follower] = [node.connect(), node.connect()];
    publish(&mut client, "orders.eu", "before");
    let start = follow(&mut follower, "PATTERN orders.* news");
    follower.assert_silent();
    let id = publish(&mut client, "orders.eu", "one");
    publish(&mut client, "others", "not for it");
    publish(&mut client, "news", "two");
    let told = take(&mut follower, 2);
    assert_eq!(
        (told[0].pattern.as_str(), told[1].pattern.as_str()),
        ("orders.*", "news")
    );
    assert_eq!(told[0].entry.id, id);
    for (from, expected) in [
        (&start, vec!["one", "two"]),
        (&told[0].cursor, vec!["two"]),
        (&told[1].cursor, vec![]),
    ] {
        let (_, entries) = read(&mut client, &format!("FROM {from} PATTERN orders.* news"));
        assert_eq!(bodies(&entries), expected);
    }
    follower.send("TUNSUB 1");
    let (number, cursor) = confirmed(&follower.receive(), "tunsubscribe");
    publish(&mut client, "news", "three");
    follower.assert_silent();
    let (_, entries) = read(&mut client, &format!("FROM {cursor} PATTERN orders.* news"));
    assert_eq!((number, bodies(&entries)), (1, vec!["three"]));
}

#[test]
fn shapes_of_both_protocols() {
    let node = Node::start();
    let mut client = node.connect();
    let [mut old, mut new] = [node.connect(), node.connect()];
    new.call("HELLO 3");
    let [start, same] = [&mut old, &mut new].map(|follower| {
        let reply = follower.call("TSUB WITHMETA PATTERN c*");
        let cursor = bulk(confirmed(&reply, "tsubscribe").1);
        (reply, cursor)
    });
    let items = |cursor: &Reply| vec![bulk("tsubscribe"), int(1), cursor.clone()];
    assert_eq!(
        (start.0, same.0),
        (Reply::Array(items(&start.1)), Reply::Push(items(&same.1)))
    );
    let id = client.call("TPUB c body META a b");
    let (got, pushed) = (old.receive(), new.receive());
    let cursor = got.items()[4].clone();
    let front = [
        bulk("tmessage"),
        bulk("c*"),
        bulk("c"),
        id,
        cursor,
        bulk("body"),
    ];
    let with = |rest: [Reply; 2]| front.iter().cloned().chain(rest).collect::<Vec<_>>();
    assert_eq!(
        got,
        Reply::Array(with([Reply::NilBulk, array([bulk("a"), bulk("b")])]))
    );
    let map = Reply::Map(vec![(bulk("a"), bulk("b"))]);
    assert_eq!(pushed, Reply::Push(with([Reply::Null, map])));
    assert_eq!(new.call("QLEN q"), int(0), "RESP3 takes all commands");
    let refused = old.call("QLEN q");
    assert!(
        refused.error_text().starts_with("ERR Can't execute 'qlen'"),
        "{refused:?}"
    );
}

#[test]
fn two_subscriptions_of_one_connection_are_two_readers() {
    let node = Node::start();
    let [mut client, mut follower] = [node.connect(), node.connect()];
    publish_many(&mut client, "a", 3, 0);
    follow(&mut follower, "FROM 0 PATTERN a");
    assert_eq!(take(&mut follower, 3).len(), 3);
    follower.send("TSUB FROM 0 PATTERN ? *");
    assert_eq!(confirmed(&follower.receive(), "tsubscribe").0, 2);
    let told = take(&mut follower, 3);
    assert!(
        told.iter().all(|told| told.pattern == "?"),
        "once for each subscription: {told:?}"
    );
    publish(&mut client, "a", "both");
    let mut patterns: Vec<_> = take(&mut follower, 2)
        .into_iter()
        .map(|told| told.pattern)
        .collect();
    patterns.sort();
    assert_eq!(patterns, ["?", "a"]);
    assert_eq!(client.call("TSTAT a").field("readers"), &int(2));
    confirmed(&follower.call("TUNSUB 1"), "tunsubscribe");
    publish(&mut client, "a", "one");
    assert_eq!(take(&mut follower, 1)[0].pattern, "?");
    follower.assert_silent();
    assert_eq!(
        follower.call("TUNSUB 1"),
        error("ERR this connection has no subscription of that number")
    );
    follow(&mut follower, "PATTERN b");
    follower.send("TUNSUB");
    let ended =
        [follower.receive(), follower.receive()].map(|reply| confirmed(&reply, "tunsubscribe").0);
    assert_eq!(ended, [2, 3]);
    assert_eq!(
        follower.call("QLEN q"),
        int(0),
        "the connection is free again"
    );
    assert_eq!(
        follower.call("TUNSUB"),
        array([bulk("tunsubscribe"), Reply::NilBulk, Reply::NilBulk])
    );
}

/// More than stays in memory, and after a restart nothing of it is there.
#[test]
fn a_follower_reads_from_disk_what_has_left_memory() {
    for storage in ["log", "sled"] {
        let mut node = Launch::new()
            .flags(&format!("--storage {storage} --appendfsync no"))
            .start();
        publish_many(&mut node.connect(), "c", 3000, 30_000);
        node.restart_cleanly();
        let [mut client, mut follower] = [node.connect(), node.connect()];
        follow(&mut follower, "FROM 0 PATTERN c");
        let first = take(&mut follower, 1000);
        // In the midst of it, new ones come.
        publish(&mut client, "c", &numbered(3000, 0));
        let rest = take(&mut follower, 2001);
        let numbers: Vec<_> = first.iter().chain(&rest).map(number).collect();
        assert_eq!(numbers, (0..=3000).collect::<Vec<_>>(), "{storage}");
        publish(&mut client, "c", &numbered(3001, 0));
        assert_eq!(number(&take(&mut follower, 1)[0]), 3001);
        let (_, entries) = read(
            &mut client,
            &format!("FROM {} PATTERN c", rest[1995].cursor),
        );
        assert_eq!(entries.len(), 6, "a cursor in the midst goes on exactly");
    }
}

/// TUNSUB while much is on its way: its cursor stands behind all that was given.
#[test]
fn the_cursor_of_tunsub_goes_on_exactly() {
    for protocol in [2, 3] {
        let mut node = Launch::new().flags("--appendfsync no").start();
        publish_many(&mut node.connect(), "c", 2000, 10_000);
        node.restart_cleanly();
        let mut follower = node.connect();
        follower.call(&format!("HELLO {protocol}"));
        for wanted in [0, 1, 300] {
            follow(&mut follower, "FROM 0 PATTERN c");
            let mut numbers: Vec<_> = take(&mut follower, wanted).iter().map(number).collect();
            follower.send("TUNSUB");
            let cursor = loop {
                let reply = follower.receive();
                let (Reply::Array(items) | Reply::Push(items)) = &reply else {
                    panic!("{reply:?}");
                };
                if items[0] == bulk("tunsubscribe") {
                    break confirmed(&reply, "tunsubscribe").1;
                }
                numbers.push(number(&told(&reply)));
            };
            follower.assert_silent();
            let (_, rest) = read_all(&mut follower, &cursor, "c");
            numbers.extend(
                rest.iter()
                    .map(|entry| entry.body[..8].parse::<usize>().expect("a number")),
            );
            assert_eq!(
                numbers,
                (0..2000).collect::<Vec<_>>(),
                "RESP{protocol}, after {wanted}"
            );
        }
    }
}

/// 100 MB are published while a follower and a listener read nothing.
#[test]
fn a_slow_reader_loses_nothing_and_takes_no_memory() {
    const COUNT: usize = 100_000;
    let node = Launch::new()
        .flags("--storage log --appendfsync no --topic-max-memory 64mb")
        .start();
    let [mut client, mut follower, mut listener] = [node.connect(), node.connect(), node.connect()];
    follow(&mut follower, "PATTERN c");
    listener.call("SUBSCRIBE c");
    publish_many(&mut client, "c", 1000, 1024);
    take(&mut follower, 1000);
    for _ in 0..1000 {
        listener.receive();
    }
    let before = node.resident();
    publish_many(&mut client, "c", COUNT, 1024);
    let grown = node.resident().saturating_sub(before) >> 20;
    // 8 MiB of the newest entries stay in memory; nothing is kept for each reader.
    assert!(grown < 150, "grew by {grown} MiB");
    for n in 0..COUNT {
        assert_eq!(number(&told(&follower.receive())), n);
    }
    for n in 0..COUNT {
        let expected = array([bulk("message"), bulk("c"), bulk(numbered(n, 1024))]);
        assert_eq!(listener.receive(), expected);
    }
    let grown = node.resident().saturating_sub(before) >> 20;
    assert!(grown < 150, "grew by {grown} MiB");
    publish(&mut client, "c", &numbered(COUNT, 0));
    assert_eq!(number(&told(&follower.receive())), COUNT);
    listener.receive();
    follower.assert_silent();
    listener.assert_silent();
}

#[test]
fn followers_come_and_go_with_their_connections() {
    let node = Node::start();
    let mut client = node.connect();
    publish(&mut client, "c", "body");
    let mut followers = BTreeMap::new();
    for n in 0..20 {
        let mut follower = node.connect();
        follow(&mut follower, "PATTERN c x*");
        followers.insert(n, follower);
    }
    assert_eq!(client.call("TSTAT c").field("readers"), &int(20));
    let mut first = followers.remove(&0).expect("it is there");
    first.send_raw(&encode(&["RESET"]));
    assert_eq!(first.receive(), simple("RESET"));
    assert_eq!(first.call("QLEN q"), int(0));
    drop(followers);
    crate::fixture::eventually("no readers are left", || {
        (client.call("TSTAT c").field("readers") == &int(0)).then_some(())
    });
    publish(&mut client, "c", "body");
    first.assert_silent();
}
