//! The commands on topics, at one node.

use super::bench::{Bench, always, bodies, publish, publish_all, read, zero};
use crate::command::Wait;
use crate::event::Event;
use crate::id::ClientId;
use crate::topic::{Before, Listen, Start, TopicCommand, TopicReply};
use std::time::Duration;

#[test]
fn what_is_published_is_read_in_order_by_pattern() {
    let mut bench = Bench::new();
    let ids = ["a.x", "b.x", "a.y"].map(|channel| bench.publish(channel, channel));
    assert!(ids.is_sorted());
    assert_eq!(bench.read_all("*"), ["a.x", "b.x", "a.y"]);
    assert_eq!(bench.read_all("a.*"), ["a.x", "a.y"]);
    assert_eq!(bench.read_all("[^a].x"), ["b.x"]);
    assert_eq!(bench.read_all("c"), Vec::<String>::new());
}

#[test]
fn pages_follow_each_other_by_their_cursors_also_over_restarts() {
    let mut bench = Bench::new();
    let (mut cursor, mut got) = (zero(), Vec::new());
    for round in 0..20 {
        publish_all(&mut bench, "a", round * 10..round * 10 + 10);
        let (page, next) = bench.read_from(cursor, "*", 7);
        got.extend(page);
        cursor = Start::Cursor(Box::new(next));
        if round % 3 == 0 {
            bench.restart();
        }
    }
    got.extend(bench.read_from(cursor, "*", 1000).0);
    assert_eq!(got, bodies(0..200));
}

#[test]
fn a_batch_reads_what_it_wrote() {
    let mut bench = Bench::new();
    bench.send(1, publish("a", "x"));
    let ticket = bench.send(1, read(zero(), "a", 10, Wait::No));
    let Some(Ok(TopicReply::Page(page))) = bench.answer(ticket) else {
        panic!("it does not wait");
    };
    assert_eq!(page.told.len(), 1);
}

#[test]
fn what_is_not_on_disk_is_not_read_under_always() {
    let mut bench = Bench::with(always);
    bench.follow(3, Start::Now, "*");
    bench.publish("a", "x");
    assert_eq!(bench.read_all("*"), Vec::<String>::new());
    assert_eq!(bench.told(3), Vec::<String>::new());
    bench.sync();
    assert_eq!(bench.read_all("*"), ["x"]);
    assert_eq!(bench.told(3), ["x"]);
}

#[test]
fn a_read_that_waits_is_answered_with_the_first_entries() {
    let mut bench = Bench::new();
    bench.publish("a", "old");
    let wait = Wait::AtMost(Duration::from_secs(5));
    let waiting = bench.send(2, read(Start::Now, "a", 10, wait));
    bench.settle();
    bench.publish("b", "other");
    assert_eq!(bench.answer(waiting), None);
    bench.send(1, publish("a", "1"));
    bench.send(1, publish("a", "2"));
    bench.settle();
    let Some(Ok(TopicReply::Page(page))) = bench.answer(waiting) else {
        panic!("there is something");
    };
    assert_eq!(page.told.len(), 2);
    let rest = bench
        .read_from(Start::Cursor(Box::new(page.cursor)), "*", 10)
        .0;
    assert_eq!(rest, Vec::<String>::new());
}

#[test]
fn a_read_that_waits_in_vain_moves_its_cursor() {
    let mut bench = Bench::new();
    let wait = Wait::AtMost(Duration::from_secs(5));
    let waiting = bench.send(2, read(Start::Now, "a", 10, wait));
    bench.settle();
    bench.publish("b", "other");
    bench.advance(5001);
    let Some(Ok(TopicReply::Page(page))) = bench.answer(waiting) else {
        panic!("its time is up");
    };
    assert!(page.told.is_empty());
    let rest = bench
        .read_from(Start::Cursor(Box::new(page.cursor)), "b", 10)
        .0;
    assert_eq!(rest, Vec::<String>::new(), "it was passed");
}

#[test]
fn a_read_that_waits_stays_before_what_lies_behind_its_end() {
    let mut bench = Bench::new();
    let end = bench.publish("a", "first");
    let (_, first) = bench.read_from(zero(), "a", 10);
    let wait = Wait::AtMost(Duration::from_secs(5));
    let mut ask = read(Start::Cursor(Box::new(first)), "a", 10, wait);
    if let TopicCommand::Read(read) = &mut ask {
        read.to = Some(end);
    }
    let waiting = bench.send(2, ask);
    bench.settle();
    bench.publish("a", "second");
    bench.advance(5001);
    let Some(Ok(TopicReply::Page(page))) = bench.answer(waiting) else {
        panic!("nothing more can come");
    };
    assert!(page.told.is_empty());
    let next = Start::Cursor(Box::new(page.cursor));
    assert_eq!(bench.read_from(next, "a", 10).0, ["second"]);
}

#[test]
fn a_subscription_gets_what_is_there_and_then_what_comes() {
    let mut bench = Bench::new();
    publish_all(&mut bench, "a", 0..600);
    bench.restart();
    bench.follow(3, zero(), "*");
    publish_all(&mut bench, "a", 600..700);
    bench.drain();
    publish_all(&mut bench, "a", 700..720);
    assert_eq!(bench.told(3), bodies(0..720));
}

#[test]
fn a_slow_connection_loses_nothing() {
    let mut bench = Bench::new();
    bench.follow(3, Start::Now, "*");
    publish_all(&mut bench, "a", 0..10);
    bench.feed(Event::ReaderSlow(ClientId(3)));
    publish_all(&mut bench, "a", 10..900);
    assert_eq!(bench.told(3), bodies(0..10));
    bench.feed(Event::ReaderReady(ClientId(3)));
    bench.drain();
    publish_all(&mut bench, "a", 900..910);
    bench.drain();
    assert_eq!(bench.told(3), bodies(10..910));
}

#[test]
fn an_entry_comes_once_to_a_subscription_of_two_patterns_and_to_each_of_two() {
    let mut bench = Bench::new();
    let follow = super::super::Follow {
        start: Start::Now,
        patterns: vec![b"a*", b"*b"],
        meta: false,
    };
    bench.ask(3, TopicCommand::Follow(follow));
    bench.publish("ab", "x");
    assert_eq!(bench.told(3), ["x"]);
    bench.follow(3, Start::Now, "a*");
    bench.publish("ab", "y");
    assert_eq!(bench.told(3), ["y", "y"]);
    let Some(Ok(TopicReply::Unfollowed(ended, 0))) = bench.ask(3, TopicCommand::Unfollow(None))
    else {
        panic!("both end");
    };
    assert_eq!(
        ended.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        [1, 2]
    );
    bench.publish("ab", "z");
    assert_eq!(bench.told(3), Vec::<String>::new());
    let cursor = Start::Cursor(Box::new(ended[0].1.clone()));
    assert_eq!(bench.read_from(cursor, "*", 9).0, ["z"]);
}

#[test]
fn redis_subscriptions_count_each_name_and_each_pattern() {
    let mut bench = Bench::new();
    let subscribed = |reply| match reply {
        Some(Ok(TopicReply::Subscribed(_, names))) => names
            .into_iter()
            .map(|(_, count)| count)
            .collect::<Vec<u64>>(),
        other => panic!("{other:?}"),
    };
    let command = TopicCommand::Subscribe(Listen::Channel, vec![b"a*", b"b", b"b"]);
    assert_eq!(subscribed(bench.ask(3, command)), [1, 2, 2]);
    let command = TopicCommand::Subscribe(Listen::Pattern, vec![b"b"]);
    assert_eq!(subscribed(bench.ask(3, command)), [3]);
    let announce = |channel| TopicCommand::Announce {
        channel,
        body: b"x",
    };
    let announced = |reply| match reply {
        Some(Ok(TopicReply::Announced(count))) => count,
        other => panic!("{other:?}"),
    };
    assert_eq!(announced(bench.ask(1, announce(b"b"))), 2);
    assert_eq!(
        announced(bench.ask(1, announce(b"ab"))),
        0,
        "a name is no pattern"
    );
    assert_eq!(announced(bench.ask(1, announce(b"a*"))), 1);
    assert_eq!(bench.told(3).len(), 3);
    assert_eq!(bench.count(TopicCommand::PatternCount), 1);
    bench.feed(Event::Disconnected(ClientId(3)));
    assert_eq!(announced(bench.ask(1, announce(b"b"))), 0);
}

#[test]
fn a_key_publishes_once_within_its_window_also_after_a_restart() {
    let mut bench = Bench::new();
    let publish = || super::super::Publish {
        channel: b"a",
        body: b"x",
        replicate: None,
        timeout: None,
        is_async: false,
        dedup: Some(b"k"),
        extras: crate::extras::Extras::new([(crate::extras::Tag::DEDUP, &b"k"[..])]),
    };
    let once = |bench: &mut Bench| match bench.ask(1, TopicCommand::Publish(publish())) {
        Some(Ok(TopicReply::Published(id))) => id,
        other => panic!("{other:?}"),
    };
    let first = once(&mut bench);
    assert_eq!(once(&mut bench), first);
    bench.restart();
    assert_eq!(once(&mut bench), first);
    bench.advance(121_000);
    assert_ne!(once(&mut bench), first);
    assert_eq!(bench.count(TopicCommand::Length(b"a")), 2);
}

#[test]
fn the_last_entries_are_found_among_many() {
    let mut bench = Bench::new();
    for number in 0..3000 {
        bench.publish(
            if number % 100 == 0 { "rare" } else { "a" },
            &number.to_string(),
        );
    }
    assert_eq!(
        bench.read_from(Start::Last(3), "rare", 10).0,
        ["2700", "2800", "2900"]
    );
    assert_eq!(bench.read_from(Start::Last(2), "*", 10).0, ["2998", "2999"]);
    assert_eq!(
        bench.read_from(Start::Last(9), "none", 10).0,
        Vec::<String>::new()
    );
}

#[test]
fn an_id_counts_as_read_with_all_before_it() {
    let mut bench = Bench::new();
    let ids: Vec<_> = (0..10)
        .map(|number| bench.publish("a", &number.to_string()))
        .collect();
    assert_eq!(bench.read_from(Start::Id(ids[6]), "*", 10).0, bodies(7..10));
    assert_eq!(
        bench.read_from(Start::Id(ids[6].before()), "*", 10).0,
        bodies(6..10)
    );
}

#[test]
fn a_pattern_that_matches_nothing_is_passed_in_steps() {
    let mut bench = Bench::new();
    publish_all(&mut bench, "a", 0..30_000);
    bench.publish("b", "found");
    let ticket = bench.send(2, read(zero(), "b", 10, Wait::No));
    bench.settle();
    bench.advance(10);
    let Some(Ok(TopicReply::Page(page))) = bench.answer(ticket) else {
        panic!("it comes to its end");
    };
    assert_eq!(page.told.len(), 1);
}

#[test]
fn without_a_log_all_is_in_memory() {
    let mut bench = Bench::with(|_| {});
    publish_all(&mut bench, "a", 0..5000);
    assert_eq!(bench.read_all("*"), bodies(0..5000));
    assert_eq!(bench.flush("*", Before::Now), 5000);
    publish_all(&mut bench, "a", 0..3);
    assert_eq!(bench.read_all("*"), bodies(0..3));
}
