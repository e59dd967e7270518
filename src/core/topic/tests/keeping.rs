//! What a node keeps of topics, and for how long: flushes, rules, memory and disk.

use std::time::Duration;

use super::bench::{Bench, bodies, publish, publish_all, zero};
use crate::topic::{Before, Rule, Start, TopicCommand, TopicRefusal, TopicReply};

#[test]
fn a_flush_takes_what_is_there_and_nothing_that_comes() {
    let mut bench = Bench::new();
    publish_all(&mut bench, "a", 0..1000);
    publish_all(&mut bench, "b", 1000..1010);
    let far = Before::Id(super::super::EntryId::new(bench.wall() + 10_000, 0));
    assert_eq!(bench.flush("a", far), 1000);
    bench.publish("a", "new");
    let mut rest = bodies(1000..1010);
    rest.push("new".to_owned());
    assert_eq!(bench.read_all("*"), rest);
    assert_eq!(bench.count(TopicCommand::Length(b"*")), 11);
    bench.restart();
    assert_eq!(bench.read_all("*"), rest);
    assert_eq!(bench.count(TopicCommand::Length(b"*")), 11);
}

#[test]
fn a_flush_does_not_take_back_one_that_reached_further() {
    let mut bench = Bench::new();
    let first = bench.publish("a", "1");
    bench.publish("a", "2");
    assert_eq!(bench.flush("a", Before::Now), 2);
    let marks = bench.node.settings_digest();
    assert_eq!(bench.flush("a", Before::Id(first)), 0);
    assert_eq!(bench.node.settings_digest(), marks, "what a restart finds");
}

#[test]
fn a_flush_counts_what_lies_within_a_block() {
    let mut bench = Bench::new();
    let mut ids = Vec::new();
    for number in 0..700 {
        ids.push(bench.publish(if number % 2 == 0 { "a" } else { "b" }, "x"));
    }
    assert_eq!(bench.flush("a", Before::Id(ids[301])), 151);
    assert_eq!(bench.count(TopicCommand::Length(b"a")), 199);
    assert_eq!(bench.flush("*", Before::Id(ids[301])), 150);
    assert_eq!(bench.flush("*", Before::Now), 399);
    assert_eq!(bench.count(TopicCommand::Length(b"*")), 0);
}

#[test]
fn segments_go_when_all_in_them_is_gone() {
    let mut bench = Bench::new();
    publish_all(&mut bench, "a", 0..50);
    bench.roll();
    publish_all(&mut bench, "b", 50..60);
    bench.roll();
    publish_all(&mut bench, "a", 60..70);
    assert_eq!(bench.kept(), [2, 3, 4]);
    bench.flush("a", Before::Now);
    assert_eq!(bench.kept(), [3, 4]);
    assert_eq!(bench.read_all("*"), bodies(50..60));
    bench.restart();
    publish_all(&mut bench, "a", 70..71);
    assert_eq!(
        bench.read_all("*"),
        bodies(50..60)
            .into_iter()
            .chain(bodies(70..71))
            .collect::<Vec<_>>()
    );
}

/// A rule leaves this many entries in the channel `a`, and has been followed.
fn keep_newest(bench: &mut Bench, count: u64) {
    let rule = Rule {
        entries: Some(count),
        ..Rule::default()
    };
    let pattern = &b"a"[..];
    bench.ask(1, TopicCommand::SetRule { pattern, rule });
    bench.advance(1500);
}

#[test]
fn the_newest_entries_of_a_channel_stay() {
    let mut bench = Bench::new();
    publish_all(&mut bench, "a", 0..1000);
    publish_all(&mut bench, "b", 0..5);
    keep_newest(&mut bench, 300);
    assert_eq!(bench.count(TopicCommand::Length(b"a")), 300);
    let mut wanted = vec!["lost 700".to_owned()];
    wanted.extend(bodies(700..1000));
    assert_eq!(bench.read_all("a"), wanted);
    assert_eq!(bench.read_all("b"), bodies(0..5));
    let (page, cursor) = bench.read_from(zero(), "a", 1);
    assert_eq!(page, ["lost 700", "700"]);
    let next = bench.read_from(Start::Cursor(Box::new(cursor)), "a", 1).0;
    assert_eq!(next, ["701"], "a loss is told once");
}

#[test]
fn a_loss_is_told_also_by_a_page_that_ends_just_behind_it() {
    let mut bench = Bench::new();
    publish_all(&mut bench, "b", 0..1);
    publish_all(&mut bench, "a", 1..11);
    keep_newest(&mut bench, 1);
    // What was left is passed in silence, and lies above what the rule took.
    assert_eq!(bench.flush("a", Before::Now), 1);
    publish_all(&mut bench, "b", 11..12);
    let (page, cursor) = bench.read_from(zero(), "[ab]", 1);
    assert_eq!(page, ["lost 9", "0"]);
    let next = bench
        .read_from(Start::Cursor(Box::new(cursor)), "[ab]", 1)
        .0;
    assert_eq!(next, ["11"]);
}

/// Its cursor may be taken to a node where retention has not come so far, and where what lies behind it is no loss. (Simulation
/// seed 1782.)
#[test]
fn a_loss_is_told_also_by_a_page_that_ends_within_it() {
    let mut bench = Bench::new();
    for (channel, bodies) in [
        ("a", 0..5),
        ("b", 5..6),
        ("a", 6..7),
        ("b", 7..8),
        ("a", 8..12),
    ] {
        publish_all(&mut bench, channel, bodies);
    }
    keep_newest(&mut bench, 1);
    let mut start = zero();
    for wanted in [
        &["lost 9", "5"][..],
        &["lost 9", "7"],
        &["lost 9", "11"],
        &[],
    ] {
        let (page, cursor) = bench.read_from(start, "[ab]", 1);
        assert_eq!(page, wanted);
        start = Start::Cursor(Box::new(cursor));
    }
    bench.follow(3, zero(), "[ab]");
    assert_eq!(bench.told(3), ["lost 9", "5", "7", "11"]);
}

#[test]
fn old_entries_go_by_their_age_and_the_oldest_by_their_bytes() {
    let mut bench = Bench::new();
    publish_all(&mut bench, "old", 0..10);
    bench.advance(60_000);
    publish_all(&mut bench, "old", 10..12);
    for number in 0..2000 {
        bench.publish(
            if number % 2 == 0 { "big.a" } else { "big.b" },
            &"x".repeat(95),
        );
    }
    let age = Rule {
        age: Some(Duration::from_secs(30)),
        ..Rule::default()
    };
    let bytes = Rule {
        bytes: Some(100_000),
        ..Rule::default()
    };
    for (pattern, rule) in [(&b"old"[..], age), (b"big.*", bytes)] {
        bench.ask(1, TopicCommand::SetRule { pattern, rule });
    }
    bench.advance(2000);
    assert_eq!(bench.count(TopicCommand::Length(b"old")), 2);
    let left = bench.count(TopicCommand::Length(b"big.*"));
    assert!(
        (500..=1000).contains(&left),
        "{left} entries of 100 bytes are left"
    );
}

#[test]
fn memory_has_a_bound() {
    let mut bench = Bench::with(|settings| settings.topic_memory = 100_000);
    let mut published = 0;
    let refused = loop {
        match bench.ask(1, publish("a", &"x".repeat(100))) {
            Some(Ok(TopicReply::Published(_))) => published += 1,
            other => break other,
        }
    };
    assert_eq!(refused, Some(Err(TopicRefusal::Memory.into())));
    assert!(published > 200, "{published} entries of 100 bytes");
    assert_eq!(bench.flush("*", Before::Now), published);
    let after = bench.ask(1, publish("a", "x"));
    assert!(
        matches!(after, Some(Ok(TopicReply::Published(_)))),
        "{after:?}"
    );
}

/// A tenth of all entries stays, spread over all segments.
fn mostly_flushed(bench: &mut Bench) -> Vec<String> {
    let mut kept = Vec::new();
    let body = "x".repeat(5000);
    for number in 0..20_000 {
        let keeps = number % 10 == 0;
        let text = format!("{number} {body}");
        bench.publish(if keeps { "keep" } else { "a" }, &text);
        if keeps {
            kept.push(text);
        }
        if number % 2000 == 1999 {
            bench.roll();
            bench.advance(100);
        }
    }
    bench.flush("a", Before::Now);
    kept
}

#[test]
fn what_is_live_of_old_segments_is_recorded_again_so_that_they_go() {
    let mut bench = Bench::with(|settings| {
        (settings.log, settings.topic_disk) = (crate::node::Log::On, 20 << 20);
    });
    let rule = Rule {
        entries: Some(1_000_000),
        ..Rule::default()
    };
    let pattern = &b"keep"[..];
    bench.ask(1, TopicCommand::SetRule { pattern, rule });
    let kept = mostly_flushed(&mut bench);
    bench.advance(10_000);
    assert!(bench.log_bytes() < 21 << 20, "{} bytes", bench.log_bytes());
    assert!(bench.read_all("keep") == kept);
    for _ in 0..2 {
        bench.restart();
        assert!(bench.read_all("keep") == kept);
        assert_eq!(bench.count(TopicCommand::Length(b"keep")), 2000);
    }
}

#[test]
fn what_cannot_be_read_now_is_not_freed() {
    let mut bench = Bench::with(|settings| {
        settings.log = crate::node::Log::On;
        (settings.topic_disk, settings.topic_memory) = (1 << 20, 1 << 20);
    });
    let rule = Rule {
        entries: Some(1_000_000),
        ..Rule::default()
    };
    let pattern = &b"keep"[..];
    bench.ask(1, TopicCommand::SetRule { pattern, rule });
    let body = "x".repeat(10_000);
    for number in 0..400 {
        bench.publish(if number % 2 == 0 { "keep" } else { "a" }, &body);
    }
    bench.roll();
    bench.is_failing = true;
    bench.flush("a", Before::Now);
    bench.advance(1000);
    assert_eq!(bench.read_all("keep").len(), 200);
    bench.is_failing = false;
    bench.flush("none", Before::Now);
    bench.advance(1000);
    assert_eq!(bench.read_all("keep").len(), 200);
    assert!(bench.log_bytes() < 3 << 20, "{} bytes", bench.log_bytes());
}

#[test]
fn without_room_the_oldest_entries_without_a_rule_go() {
    let mut bench = Bench::with(|settings| {
        (settings.log, settings.topic_disk) = (crate::node::Log::On, 10 << 20);
    });
    let rule = Rule {
        entries: Some(1000),
        ..Rule::default()
    };
    let pattern = &b"ruled"[..];
    bench.ask(1, TopicCommand::SetRule { pattern, rule });
    let body = "x".repeat(10_000);
    for number in 0..4000 {
        bench.publish(if number % 40 == 0 { "ruled" } else { "a" }, &body);
        if number % 100 == 99 {
            bench.roll();
            bench.advance(100);
        }
    }
    assert!(bench.log_bytes() < 20 << 20, "{} bytes", bench.log_bytes());
    assert_eq!(bench.count(TopicCommand::Length(b"ruled")), 100);
    bench.advance(5000);
    let left = bench.count(TopicCommand::Length(b"a"));
    assert!((300..2000).contains(&left), "{left} entries of 10 kB");
    bench.restart();
    assert_eq!(bench.count(TopicCommand::Length(b"ruled")), 100);
    // What went for lack of room is not recorded as gone before its segment goes.
    assert!(bench.count(TopicCommand::Length(b"a")) >= left);
}

#[test]
fn where_rules_hold_all_publishing_stops_and_goes_on_after_a_flush() {
    let bounded = Rule {
        entries: Some(1_000_000),
        ..Rule::default()
    };
    let unbounded = Rule {
        keep: true,
        ..Rule::default()
    };
    for rule in [bounded, unbounded] {
        publishing_stops_where_all_is_held(rule);
    }
}

fn publishing_stops_where_all_is_held(rule: Rule) {
    let mut bench = Bench::with(|settings| {
        (settings.log, settings.topic_disk) = (crate::node::Log::On, 1 << 20);
    });
    let pattern = &b"*"[..];
    bench.ask(1, TopicCommand::SetRule { pattern, rule });
    let body = "x".repeat(100_000);
    let mut published = 0;
    let refused = loop {
        match bench.ask(1, publish("a", &body)) {
            Some(Ok(TopicReply::Published(_))) => published += 1,
            other => break other,
        }
        bench.roll();
        bench.advance(10);
    };
    assert_eq!(refused, Some(Err(TopicRefusal::Disk.into())));
    assert_eq!(bench.count(TopicCommand::Length(b"*")), published);
    bench.flush("*", Before::Now);
    bench.advance(100);
    bench.publish("a", "x");
}

/// The cursor names more records of a life than are left anywhere, and no name of the life before it. (Simulation seed 118.)
#[test]
fn a_reader_goes_on_when_a_crash_took_what_it_had_read_last() {
    let mut bench = Bench::new();
    bench.publish("a", "1");
    bench.restart();
    bench.publish("a", "2");
    bench.publish("a", "3");
    let (all, cursor) = bench.read_from(zero(), "*", 10);
    assert_eq!(all, ["1", "2", "3"]);
    bench.crash(1);
    bench.publish("a", "4");
    bench.advance(3000);
    let (rest, _) = bench.read_from(Start::Cursor(Box::new(cursor)), "*", 10);
    assert_eq!(rest, ["4"]);
}
