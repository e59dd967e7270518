//! TPUB and TREAD: pages, cursors, meta, waiting.

use std::time::{Duration, Instant};

use crate::fixture::{Node, eventually};
use crate::topics::{bodies, order, page, publish, publish_many, read, read_all};
use crate::wire::{Connection, Reply, array, bulk, count, encode, int, simple};

#[test]
fn what_is_published_is_read_in_order_with_its_id() {
    let node = Node::start();
    let mut client = node.connect();
    let first = publish(&mut client, "orders.eu", "one");
    let second = publish(&mut client, "news", "two");
    let third = publish(&mut client, "orders.us", "three");
    assert!(order(&first) < order(&second) && order(&second) < order(&third));
    let expect = |id: &str, channel: &str, body: &str| array([bulk(id), bulk(channel), bulk(body)]);
    let reply = client.call("TREAD FROM 0 PATTERN *");
    let all = array([
        expect(&first, "orders.eu", "one"),
        expect(&second, "news", "two"),
        expect(&third, "orders.us", "three"),
    ]);
    assert_eq!(reply.items()[1], all);
    let (_, orders) = read(&mut client, "FROM 0 PATTERN orders.*");
    assert_eq!(bodies(&orders), ["one", "three"]);
    let (_, several) = read(&mut client, "FROM 0 PATTERN orders.e[a-z] new? x");
    assert_eq!(bodies(&several), ["one", "two"]);
    let (_, twice) = read(&mut client, "FROM 0 PATTERN * news n*");
    assert_eq!(bodies(&twice), ["one", "two", "three"], "each comes once");
}

#[test]
fn a_cursor_goes_on_exactly() {
    let node = Node::start();
    let mut client = node.connect();
    let (start, nothing) = read(&mut client, "FROM 0 PATTERN *");
    assert!(nothing.is_empty());
    publish(&mut client, "a", "1");
    let (cursor, entries) = read(&mut client, &format!("FROM {start} PATTERN *"));
    assert_eq!(bodies(&entries), ["1"]);
    let (same, nothing) = read(&mut client, &format!("FROM {cursor} PATTERN *"));
    assert!(nothing.is_empty());
    publish(&mut client, "b", "2");
    for from in [&cursor, &same] {
        let (_, entries) = read(&mut client, &format!("FROM {from} PATTERN *"));
        assert_eq!(bodies(&entries), ["2"]);
    }
    let (_, entries) = read(&mut client, &format!("FROM {start} PATTERN b"));
    assert_eq!(bodies(&entries), ["2"], "a cursor is good for any pattern");
}

#[test]
fn starts_and_ends_are_what_they_say() {
    let node = Node::start();
    let mut client = node.connect();
    let ids = publish_many(&mut client, "c", 10, 0);
    let (_, after) = read(&mut client, &format!("FROM {} PATTERN *", ids[6]));
    assert_eq!(bodies(&after), ["00000007", "00000008", "00000009"]);
    let (_, last) = read(&mut client, "LAST 2 PATTERN c");
    assert_eq!(bodies(&last), ["00000008", "00000009"]);
    let (_, until) = read(&mut client, &format!("FROM 0 TO {} PATTERN c", ids[1]));
    assert_eq!(bodies(&until), ["00000000", "00000001"], "TO is inclusive");
    let (cursor, nothing) = read(&mut client, "FROM $ PATTERN c");
    assert!(nothing.is_empty());
    publish(&mut client, "c", "later");
    let (_, later) = read(&mut client, &format!("FROM {cursor} PATTERN c"));
    assert_eq!(bodies(&later), ["later"]);
    let ms = order(&ids[9]).0;
    let (_, nothing) = read(&mut client, &format!("FROM {} PATTERN c", ms + 100_000));
    assert!(
        nothing.is_empty(),
        "what the node has up to there counts as read"
    );
    let (_, all) = read(
        &mut client,
        &format!("FROM {} PATTERN c", order(&ids[0]).0 - 1),
    );
    assert_eq!(all.len(), 11);
}

#[test]
fn pages_end_where_count_and_bytes_say() {
    let node = Node::start();
    let mut client = node.connect();
    publish_many(&mut client, "c", 250, 1000);
    let (cursor, first) = read(&mut client, "FROM 0 PATTERN c");
    assert_eq!(first.len(), 100, "COUNT is 100 unless said");
    let (cursor, second) = read(&mut client, &format!("FROM {cursor} COUNT 7 PATTERN c"));
    assert_eq!(second.len(), 7);
    assert!(second[0].body.starts_with("00000100"));
    let (cursor, third) = read(
        &mut client,
        &format!("FROM {cursor} COUNT 10000 BYTES 10000 PATTERN c"),
    );
    assert!((5..=10).contains(&third.len()), "{}", third.len());
    let (_, rest) = read_all(&mut client, &cursor, "c");
    let numbers: Vec<_> = [first, second, third, rest].concat();
    let numbers: Vec<usize> = numbers
        .iter()
        .map(|entry| entry.body[..8].parse().expect("a number"))
        .collect();
    assert_eq!(
        numbers,
        (0..250).collect::<Vec<_>>(),
        "pages leave nothing out and repeat nothing"
    );
    let (_, one) = read(&mut client, "FROM 0 BYTES 1 PATTERN c");
    assert_eq!(one.len(), 1, "one entry always fits");
    // 1 MiB unless said.
    publish_many(&mut client, "large", 30, 100_000);
    let (_, page) = read(&mut client, "FROM 0 PATTERN large");
    assert!((9..=10).contains(&page.len()), "{}", page.len());
}

#[test]
fn meta_comes_with_its_entry_in_both_protocols() {
    let node = Node::start();
    let mut client = node.connect();
    let id = client.call("TPUB c body META trace 17 META b x").text();
    let plain = client.call_arguments(&["TPUB", "c", ""]).text();
    let reply = client.call("TREAD FROM 0 WITHMETA PATTERN c");
    let flat = array([bulk("trace"), bulk("17"), bulk("b"), bulk("x")]);
    let expected = array([
        array([bulk(&id), bulk("c"), bulk("body"), Reply::NilBulk, flat]),
        array([bulk(&plain), bulk("c"), bulk(""), Reply::NilBulk, array([])]),
    ]);
    assert_eq!(reply.items()[1], expected);
    client.call("HELLO 3");
    let reply = client.call("TREAD FROM 0 WITHMETA PATTERN c");
    let map = Reply::Map(vec![(bulk("trace"), bulk("17")), (bulk("b"), bulk("x"))]);
    let expected = array([
        array([bulk(&id), bulk("c"), bulk("body"), Reply::Null, map]),
        array([
            bulk(&plain),
            bulk("c"),
            bulk(""),
            Reply::Null,
            Reply::Map(vec![]),
        ]),
    ]);
    assert_eq!(reply.items()[1], expected);
    let (_, entries) = page(&client.call("TREAD FROM 0 PATTERN c"));
    assert_eq!(
        bodies(&entries),
        ["body", ""],
        "without WITHMETA there is nothing"
    );
}

#[test]
fn names_and_bodies_are_any_bytes() {
    let node = Node::start();
    let mut client = node.connect();
    let (channel, body) = (b"\0*\xff \r\n", b"\r\n\0\xfe");
    let id = client.call_arguments(&[&b"TPUB"[..], channel, body]);
    let reply = client.call_arguments(&[&b"TREAD"[..], b"FROM", b"0", b"PATTERN", b"?\\*\xff*"]);
    assert_eq!(
        reply.items()[1],
        array([array([id, bulk(channel), bulk(body)])])
    );
}

#[test]
fn a_blocked_read_is_answered_by_what_comes() {
    let node = Node::start();
    let [mut client, mut waiting, mut other] = [node.connect(), node.connect(), node.connect()];
    publish(&mut client, "orders", "old");
    waiting.send("TREAD FROM $ BLOCK 0 PATTERN orders.*");
    other.send("TREAD FROM $ BLOCK 0 COUNT 1 PATTERN *");
    node.wait_for_blocked(2);
    publish(&mut client, "news", "others only");
    let (_, entries) = page(&other.receive());
    assert_eq!(bodies(&entries), ["others only"]);
    waiting.assert_silent();
    publish(&mut client, "orders.eu", "mine");
    let (cursor, entries) = page(&waiting.receive());
    assert_eq!(bodies(&entries), ["mine"]);
    publish(&mut client, "orders.us", "next");
    let (_, entries) =
        page(&waiting.call(&format!("TREAD FROM {cursor} BLOCK 0 PATTERN orders.*")));
    assert_eq!(
        bodies(&entries),
        ["next"],
        "what is there is answered at once"
    );
}

#[test]
fn a_blocked_read_ends_when_its_time_is_up() {
    let node = Node::start();
    let mut client = node.connect();
    let start = Instant::now();
    let (cursor, entries) = read(&mut client, "FROM $ BLOCK 150 PATTERN c");
    assert!(entries.is_empty());
    assert!(
        start.elapsed() >= Duration::from_millis(149),
        "{:?}",
        start.elapsed()
    );
    publish(&mut client, "c", "body");
    let (_, entries) = read(&mut client, &format!("FROM {cursor} BLOCK 150 PATTERN c"));
    assert_eq!(bodies(&entries), ["body"]);
}

#[test]
fn a_connection_that_closes_while_it_waits_is_forgotten() {
    let node = Node::start();
    let mut client = node.connect();
    let mut waiting = node.connect();
    waiting.send("TREAD FROM $ BLOCK 0 PATTERN c");
    node.wait_for_blocked(1);
    drop(waiting);
    node.wait_for_blocked(0);
    publish(&mut client, "c", "body");
    assert_eq!(client.call("TSTAT c").field("readers"), &int(0));
}

#[test]
fn pipelined_commands_see_what_came_before_them() {
    let node = Node::start();
    let mut client = node.connect();
    let mut bytes = Vec::new();
    for n in 0..50 {
        let body = n.to_string();
        bytes.extend(encode(&["TPUB", "c", &body]));
        bytes.extend(encode(&["TREAD", "FROM", "0", "PATTERN", "c"]));
        bytes.extend(encode(&["TLEN", "c"]));
    }
    client.send_raw(&bytes);
    for n in 1..=50 {
        let id = client.receive().text();
        let (_, entries) = page(&client.receive());
        assert_eq!((entries.len(), &entries[n - 1].id), (n, &id));
        assert_eq!(client.receive(), count(n));
    }
    // A read that waits holds back the answers behind it, and is not answered by what follows it on its own connection.
    client.send_raw(
        &[
            encode(&["TREAD", "FROM", "$", "BLOCK", "60", "PATTERN", "c"]),
            encode(&["PING"]),
        ]
        .concat(),
    );
    let (_, nothing) = page(&client.receive());
    assert!(nothing.is_empty());
    assert_eq!(client.receive(), simple("PONG"));
}

#[test]
fn figures_and_names_of_channels() {
    let node = Node::start();
    let mut client = node.connect();
    for n in 0..30 {
        publish(&mut client, &format!("c.{n}"), "body");
    }
    let first = client.call("TREAD FROM 0 PATTERN c.7").items()[1].items()[0].items()[0].clone();
    let last = bulk(publish(&mut client, "c.7", "body"));
    assert_eq!(client.call("TLEN *"), int(31));
    assert_eq!(client.call("TLEN c.7"), int(2));
    assert_eq!(client.call("TLEN x*"), int(0));
    let stat = client.call("TSTAT c.7");
    assert_eq!(
        (stat.field("oldest"), stat.field("newest")),
        (&first, &last)
    );
    assert_eq!(
        (stat.field("entries"), stat.field("readers")),
        (&int(2), &int(0))
    );
    assert_eq!(client.call("TSTAT unknown"), Reply::NilArray);
    assert_eq!(scan(&mut client, "COUNT 7").len(), 30);
    assert_eq!(scan(&mut client, "MATCH c.2?").len(), 10);
    client.call("HELLO 3");
    assert!(matches!(client.call("TSTAT c.7"), Reply::Map(pairs) if pairs.len() == 6));
    assert_eq!(client.call("TSTAT unknown"), Reply::Null);
}

fn scan(client: &mut Connection, options: &str) -> std::collections::BTreeSet<String> {
    let (mut cursor, mut names) = ("0".to_owned(), std::collections::BTreeSet::new());
    eventually("the scan ends", || {
        let reply = client.call(&format!("TSCAN {cursor} {options}"));
        names.extend(reply.items()[1].items().iter().map(Reply::text));
        cursor = reply.items()[0].text();
        (cursor == "0").then_some(())
    });
    names
}
