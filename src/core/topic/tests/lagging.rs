//! How far the readers of named cursors are behind, held against what they read.

use std::time::Duration;

use super::bench::Bench;
use crate::topic::{Before, Cursor, Lag, Rule, Start, TopicCommand, TopicReply};

const CAUGHT_UP: Lag = Lag {
    behind: Duration::ZERO,
    is_overtaken: false,
};

fn read_as(bench: &mut Bench, name: &str, pattern: &str, count: u64) -> (Vec<String>, Cursor) {
    let zero = Start::Cursor(Box::default());
    let start = Start::Named(name.as_bytes().into(), Box::new(zero));
    bench.read_from(start, pattern, count)
}

fn commit(bench: &mut Bench, name: &str, cursor: Cursor) {
    let name = name.as_bytes();
    let reply = bench.ask(1, TopicCommand::Commit { name, cursor });
    assert_eq!(reply, Some(Ok(TopicReply::Done)));
}

fn keep(bench: &mut Bench, pattern: &str, rule: Rule) {
    let pattern = pattern.as_bytes();
    let reply = bench.ask(1, TopicCommand::SetRule { pattern, rule });
    assert_eq!(reply, Some(Ok(TopicReply::Done)));
    bench.advance(2000);
}

/// What a pass measures of a name.
fn measure(bench: &mut Bench, name: &str) -> Lag {
    bench.advance(6000);
    let lags = bench.node.cursor_lags();
    let found = lags.first.iter().find(|(n, _)| **n == *name.as_bytes());
    found.expect("it was measured").1
}

#[test]
fn the_oldest_entry_that_is_not_committed_counts() {
    let mut bench = Bench::new();
    bench.publish("a", "old");
    let (_, cursor) = read_as(&mut bench, "reader", "a", 10);
    bench.advance(60_000);
    let lag = measure(&mut bench, "reader");
    assert!((60..67).contains(&lag.behind.as_secs()), "{lag:?}");
    commit(&mut bench, "reader", cursor);
    assert_eq!(measure(&mut bench, "reader"), CAUGHT_UP);
    bench.advance(3_600_000);
    assert_eq!(measure(&mut bench, "reader"), CAUGHT_UP, "nothing came");
    bench.publish("other", "not for it");
    bench.publish("a", "new");
    let lag = measure(&mut bench, "reader");
    assert!((1..7).contains(&lag.behind.as_secs()), "{lag:?}");
    bench.restart();
    assert!(measure(&mut bench, "reader").behind > Duration::from_secs(6));
}

#[test]
fn a_reader_of_few_among_many_entries_is_behind_only_if_one_is_for_it() {
    let mut bench = Bench::new();
    read_as(&mut bench, "reader", "rare", 10);
    // More entries than a step looks at, were they looked at one by one.
    for number in 0..25_000 {
        bench.publish(["a", "rare"][number % 2], "x");
        if number % 10 == 0 {
            bench.advance(10);
        }
    }
    bench.flush("rare", Before::Now);
    assert_eq!(measure(&mut bench, "reader"), CAUGHT_UP);
    bench.publish("rare", "x");
    // The age of the entry, not the 36 seconds since the cursor.
    let lag = measure(&mut bench, "reader");
    assert!((1..7).contains(&lag.behind.as_secs()), "{lag:?}");
    let (name, start) = (&b"reader"[..], Start::Now);
    let reply = bench.ask(1, TopicCommand::SetCursor { name, start });
    assert_eq!(reply, Some(Ok(TopicReply::Done)));
    assert_eq!(measure(&mut bench, "reader"), CAUGHT_UP);
}

#[test]
fn a_name_is_overtaken_while_retention_took_what_it_has_not_committed() {
    let mut bench = Bench::new();
    for number in 0..600 {
        bench.publish(["a", "b"][number % 2], "x");
    }
    let (_, cursor) = read_as(&mut bench, "fast", "a", 1000);
    commit(&mut bench, "fast", cursor);
    read_as(&mut bench, "slow", "a", 10);
    read_as(&mut bench, "elsewhere", "b", 10);
    let rule = Rule {
        age: Some(Duration::from_secs(5)),
        ..Rule::default()
    };
    keep(&mut bench, "a", rule);
    bench.advance(10_000);
    assert_eq!(bench.count(TopicCommand::Length(b"a")), 0);
    assert!(measure(&mut bench, "slow").is_overtaken);
    assert_eq!(measure(&mut bench, "fast"), CAUGHT_UP);
    assert!(!measure(&mut bench, "elsewhere").is_overtaken);
    let (told, cursor) = read_as(&mut bench, "slow", "a", 1000);
    assert_eq!(told, ["lost 300"]);
    commit(&mut bench, "slow", cursor);
    assert_eq!(measure(&mut bench, "slow"), CAUGHT_UP);
}

#[test]
fn channels_are_looked_at_in_steps() {
    let mut bench = Bench::new();
    for number in 0..3000 {
        bench.publish(&format!("c.{number}"), "x");
    }
    read_as(&mut bench, "reader", "c.2999", 1);
    bench.publish("c.2999", "x");
    let rule = Rule {
        entries: Some(1),
        ..Rule::default()
    };
    keep(&mut bench, "c.*", rule);
    let lag = measure(&mut bench, "reader");
    assert!(lag.is_overtaken && lag.behind > Duration::ZERO, "{lag:?}");
}

#[test]
fn the_first_names_are_told_apart_and_of_the_rest_the_worst() {
    let mut bench = Bench::with(|settings| settings.topic_series = 1);
    bench.publish("a", "x");
    for name in ["one", "three", "two"] {
        let (_, cursor) = read_as(&mut bench, name, "a", 10);
        if name != "two" {
            commit(&mut bench, name, cursor);
        }
    }
    bench.advance(30_000);
    assert_eq!(measure(&mut bench, "one"), CAUGHT_UP);
    let lags = bench.node.cursor_lags();
    assert_eq!(lags.first.len(), 1);
    let rest = lags.rest.expect("there are two more");
    assert!(rest.behind > Duration::from_secs(30) && !rest.is_overtaken);
    for name in [&b"one"[..], b"two", b"three"] {
        bench.count(TopicCommand::DeleteCursor(name));
    }
    let lags = bench.node.cursor_lags();
    assert!(lags.first.is_empty() && lags.rest.is_none());
}
