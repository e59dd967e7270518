//! What a node tells of its topics, held against what readers get.

use std::time::Duration;

use super::bench::{Bench, publish, read, zero};
use crate::command::Wait;
use crate::node::{Log, Settings};
use crate::topic::{Before, EntryId, Rule, Scan, Start, Told, TopicCommand, TopicReply};

fn flush(bench: &mut Bench, pattern: &str, before: Before) -> u64 {
    let pattern = pattern.as_bytes();
    match bench.ask(1, TopicCommand::Flush { pattern, before }) {
        Some(Ok(TopicReply::Count(gone))) => gone,
        other => panic!("{other:?}"),
    }
}

fn keep(bench: &mut Bench, pattern: &str, entries: u64) {
    let rule = Rule {
        entries: Some(entries),
        ..Rule::default()
    };
    let pattern = pattern.as_bytes();
    let reply = bench.ask(1, TopicCommand::SetRule { pattern, rule });
    assert_eq!(reply, Some(Ok(TopicReply::Done)));
    bench.advance(2000);
}

/// The ids of all entries of a channel that readers get.
fn ids(bench: &mut Bench, channel: &str) -> Vec<EntryId> {
    let Some(Ok(TopicReply::Page(page))) = bench.ask(9, read(zero(), channel, 10_000, Wait::No))
    else {
        panic!("it does not wait");
    };
    let of = |told: &Told| match told {
        Told::Entry(entry, _) => Some(entry.id),
        Told::Lost(..) | Told::Unread(_) => None,
    };
    page.told.iter().filter_map(of).collect()
}

#[test]
fn published_and_given_entries_are_counted_from_the_start_of_the_process() {
    let mut bench = Bench::new();
    bench.follow(3, Start::Now, "a.*");
    let wait = Wait::AtMost(Duration::from_secs(5));
    let waiting = bench.send(4, read(Start::Now, "b", 10, wait));
    bench.settle();
    assert_eq!(bench.node.topic_figures().readers, 2);
    for channel in ["a.x", "b", "a.y", "c"] {
        bench.publish(channel, "12345");
    }
    assert!(bench.answer(waiting).is_some());
    let figures = bench.node.topic_figures();
    assert_eq!((figures.published, figures.delivered), (4, 3));
    assert_eq!((figures.channels, figures.entries), (4, 4));
    assert_eq!((figures.bytes, figures.readers), (28, 1));
    bench.follow(5, zero(), "*");
    assert_eq!(bench.read_all("*").len(), 4);
    assert_eq!(bench.node.topic_figures().delivered, 11);
    bench.restart();
    let figures = bench.node.topic_figures();
    assert_eq!((figures.published, figures.delivered), (0, 0));
    assert_eq!((figures.entries, figures.bytes), (4, 28));
}

#[test]
fn what_a_flush_and_what_retention_took_is_told_apart() {
    let mut bench = Bench::new();
    for number in 0..600 {
        bench.publish(["a", "b"][number % 2], "x");
    }
    assert_eq!(flush(&mut bench, "a", Before::Now), 300);
    keep(&mut bench, "b", 120);
    let figures = bench.node.topic_figures();
    assert_eq!((figures.flushed, figures.taken), (300, 180));
    assert_eq!((figures.channels, figures.entries), (1, 120));
    assert_eq!(figures.bytes, 240);
    bench.restart();
    let figures = bench.node.topic_figures();
    assert_eq!((figures.flushed, figures.taken), (0, 0));
}

#[test]
fn a_channel_tells_its_oldest_entry_wherever_its_floor_lies() {
    let mut bench = Bench::with(|settings: &mut Settings| settings.log = Log::Off);
    for number in 0..2000 {
        bench.publish(["a", "b", "c"][number % 3], "x");
    }
    loop {
        let left = ids(&mut bench, "a");
        let view = bench.node.topic_view(b"a").expect("it is known");
        assert_eq!(view.oldest, left.first().copied());
        assert_eq!(view.newest, left.last().copied());
        assert_eq!(view.entries, left.len() as u64);
        let Some(&next) = left.get(37) else {
            break;
        };
        flush(&mut bench, "a", Before::Id(next));
    }
    flush(&mut bench, "a", Before::Now);
    let view = bench.node.topic_view(b"a");
    assert!(view.is_none_or(|view| view.oldest.is_none() && view.entries == 0));
}

#[test]
fn the_first_channels_have_figures_of_their_own_and_the_rest_a_sum_that_never_falls() {
    let mut bench = Bench::with(|settings: &mut Settings| settings.topic_series = 2);
    for channel in ["a", "b", "c", "d", "a", "c", "c"] {
        bench.publish(channel, "x");
    }
    let first = |bench: &Bench| {
        let first = bench.node.first_channels();
        first
            .map(|c| (c.name.to_vec(), c.published, c.entries))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        first(&bench),
        [(b"a".to_vec(), 2, 2), (b"b".to_vec(), 1, 1)]
    );
    assert_eq!(bench.node.topic_figures().published_to_rest, 4);
    flush(&mut bench, "*", Before::Now);
    let figures = bench.node.topic_figures();
    assert_eq!((figures.published, figures.published_to_rest), (7, 4));
    assert_eq!(
        (figures.channels, figures.entries, figures.bytes),
        (0, 0, 0)
    );
}

#[test]
fn a_scan_stops_when_it_has_found_or_seen_enough_and_goes_on_from_there() {
    let mut bench = Bench::new();
    for number in 0..30 {
        bench.send(
            1,
            publish(&format!("{}.{number}", ["a", "b"][number % 2]), "x"),
        );
    }
    bench.settle();
    let (mut cursor, mut pages, mut all) = (0, 0, Vec::new());
    loop {
        let (next, names) = bench.node.scan_topics(Scan {
            cursor,
            looks: 9,
            finds: 4,
            pattern: Some(b"a.*"),
        });
        assert!(names.len() <= 4);
        all.extend(names);
        pages += 1;
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    assert_eq!((all.len(), pages), (15, 4));
}
