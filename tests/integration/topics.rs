//! Topics of a node: what is published is read, once and in order, by all who ask for it, through stops and kills.

mod binding;
mod cluster;
mod crash;
mod following;
mod keeping;
mod naming;
mod pubsub;
mod reading;
mod refusals;
mod returning;

use std::fmt::Write as _;

use crate::wire::{Connection, Reply, encode};

/// What publishing without waiting sends at once.
const BATCH: usize = 500;

/// An entry as TREAD gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    id: String,
    channel: String,
    body: String,
}

/// The order of ids.
fn order(id: &str) -> (u64, u64) {
    let (ms, seq) = id.split_once('-').expect("an id is ms-seq");
    let number = |text: &str| text.parse().expect("a number in an id");
    (number(ms), number(seq))
}

#[track_caller]
fn publish(client: &mut Connection, channel: &str, body: &str) -> String {
    client.call_arguments(&["TPUB", channel, body]).text()
}

/// Publishes `count` entries with their numbers as bodies, filled up to a size, many at a time.
#[track_caller]
fn publish_many(client: &mut Connection, channel: &str, count: usize, size: usize) -> Vec<String> {
    let numbers: Vec<usize> = (0..count).collect();
    let mut ids = Vec::new();
    for batch in numbers.chunks(BATCH) {
        let commands = batch
            .iter()
            .map(|n| encode(&["TPUB", channel, &numbered(*n, size)]));
        client.send_raw(&commands.collect::<Vec<_>>().concat());
        ids.extend(batch.iter().map(|_| client.receive().text()));
    }
    ids
}

/// A body that begins with a number.
fn numbered(n: usize, size: usize) -> String {
    let mut body = String::with_capacity(size.max(8));
    write!(body, "{n:08}").expect("a string takes all");
    while body.len() < size {
        body.push('.');
    }
    body
}

/// The cursor and the entries of a page, checked to be arrays of exactly three bulks.
#[track_caller]
fn page(reply: &Reply) -> (String, Vec<Entry>) {
    let [cursor, entries] = reply.items() else {
        panic!("a page is an array of 2, not {reply:?}");
    };
    let entry = |item: &Reply| match item.items() {
        [id, channel, body] => Entry {
            id: id.text(),
            channel: channel.text(),
            body: body.text(),
        },
        other => panic!("an entry is an array of 3, not {other:?}"),
    };
    (cursor.text(), entries.items().iter().map(entry).collect())
}

#[track_caller]
fn read(client: &mut Connection, options: &str) -> (String, Vec<Entry>) {
    page(&client.call(&format!("TREAD {options}")))
}

/// Everything from a start on, page by page, and the cursor behind it.
#[track_caller]
fn read_all(client: &mut Connection, start: &str, pattern: &str) -> (String, Vec<Entry>) {
    let (mut cursor, mut all) = (start.to_owned(), Vec::new());
    loop {
        let (next, entries) = read(
            client,
            &format!("FROM {cursor} COUNT 1000 PATTERN {pattern}"),
        );
        cursor = next;
        if entries.is_empty() {
            return (cursor, all);
        }
        all.extend(entries);
    }
}

fn bodies(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| &entry.body[..]).collect()
}

/// What a subscription by TSUB gave.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    pattern: String,
    entry: Entry,
    cursor: String,
}

/// `tmessage`, checked to have exactly six elements.
#[track_caller]
fn told(reply: &Reply) -> Told {
    let (Reply::Array(items) | Reply::Push(items)) = reply else {
        panic!("expected a tmessage, got {reply:?}");
    };
    let [kind, pattern, channel, id, cursor, body] = &items[..] else {
        panic!("a tmessage has 6 elements: {reply:?}");
    };
    assert_eq!(kind.text(), "tmessage");
    Told {
        pattern: pattern.text(),
        entry: Entry {
            id: id.text(),
            channel: channel.text(),
            body: body.text(),
        },
        cursor: cursor.text(),
    }
}
