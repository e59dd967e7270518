//! Entries of many channels that lie side by side: each chunk of the index has some of most of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bench::Bench;
use crate::topic::channels::{Channels, Floor};
use crate::topic::glob::{Case, matches};
use crate::topic::{Before, EntryId, Rule, TopicCommand, TopicReply};

/// A node, and what readers should get: channel, id and body of each entry, in order.
struct Crowd {
    bench: Bench,
    entries: Vec<(String, EntryId, String)>,
}

fn is_match(pattern: &str, channel: &str) -> bool {
    matches(pattern.as_bytes(), channel.as_bytes(), Case::Exact)
}

impl Crowd {
    /// 4000 entries in 41 channels; of some channels there are many, of others few.
    fn new() -> Self {
        let (mut bench, mut entries) = (Bench::new(), Vec::new());
        for number in 0..4000_u64 {
            let channel = format!("c{}", number * number / 3 % 41);
            let body = number.to_string();
            let id = bench.publish(&channel, &body);
            entries.push((channel, id, body));
        }
        Self { bench, entries }
    }

    fn flush(&mut self, pattern: &str, before: EntryId) {
        let had = self.entries.len();
        self.entries
            .retain(|(channel, id, _)| !(is_match(pattern, channel) && *id < before));
        let gone = self.bench.flush(pattern, Before::Id(before));
        assert_eq!(gone, (had - self.entries.len()) as u64, "{pattern}");
    }

    /// Of each channel that matches the newest entries stay.
    fn keep(&mut self, pattern: &str, most: u64) {
        let rule = Rule {
            entries: Some(most),
            ..Rule::default()
        };
        let command = TopicCommand::SetRule {
            pattern: pattern.as_bytes(),
            rule,
        };
        assert_eq!(self.bench.ask(1, command), Some(Ok(TopicReply::Done)));
        self.bench.advance(2000);
        let mut left: BTreeMap<String, u64> = BTreeMap::new();
        for (channel, ..) in &self.entries {
            *left.entry(channel.clone()).or_default() += 1;
        }
        self.entries.retain(|(channel, ..)| {
            let left = left.get_mut(channel).expect("it was counted");
            *left -= 1;
            !is_match(pattern, channel) || *left < most
        });
    }

    /// What readers get, and what is counted.
    fn check(&mut self) {
        for pattern in ["c7", "c1*", "c3?", "c[2-4]*", "*", "nothing", "*0"] {
            let those = self.entries.iter();
            let those = those.filter(|(channel, ..)| is_match(pattern, channel));
            let expected: Vec<&String> = those.map(|(_, _, body)| body).collect();
            let length = TopicCommand::Length(pattern.as_bytes());
            assert_eq!(self.bench.count(length), expected.len() as u64, "{pattern}");
            let read = self.bench.read_all(pattern);
            let read: Vec<&String> = read.iter().filter(|body| is_body(body)).collect();
            assert_eq!(read, expected, "{pattern}");
        }
    }
}

/// Whether it is not a loss.
fn is_body(shown: &str) -> bool {
    shown.bytes().all(|byte| byte.is_ascii_digit())
}

#[test]
fn readers_of_few_channels_get_all_of_them_in_order() {
    let mut crowd = Crowd::new();
    crowd.check();
    crowd.bench.restart();
    crowd.check();
}

#[test]
fn flushes_are_counted_wherever_they_end() {
    let mut crowd = Crowd::new();
    for (pattern, at) in [
        ("c1*", 700),
        ("c?", 1500),
        ("*", 90),
        ("c2?", 2600),
        ("*", 1100),
    ] {
        let before = crowd.entries[at].1;
        crowd.flush(pattern, before);
        crowd.check();
    }
    crowd.bench.restart();
    crowd.check();
}

#[test]
fn what_was_freed_is_not_counted_after_a_restart() {
    let mut crowd = Crowd::new();
    crowd.keep("c*", 40);
    crowd.check();
    crowd.bench.restart();
    // Of what retention took, a chunk that was not freed as a whole is back until the next pass.
    for pattern in ["c7", "c1*", "*"] {
        let length = TopicCommand::Length(pattern.as_bytes());
        let counted = crowd.bench.count(length);
        let read = crowd.bench.read_all(pattern);
        let read = read.iter().filter(|body| is_body(body)).count();
        assert_eq!(counted, read as u64, "{pattern}");
    }
    crowd.bench.advance(2000);
    crowd.check();
}

#[test]
fn retention_keeps_the_newest_of_each_channel() {
    let mut crowd = Crowd::new();
    let before = crowd.entries[800].1;
    crowd.flush("c[12]*", before);
    for (pattern, most) in [("c1*", 30), ("c*", 300), ("c1*", 7), ("c[02-9]*", 1)] {
        crowd.keep(pattern, most);
        crowd.check();
    }
}

#[test]
fn a_late_entry_of_a_full_block_is_counted_with_those_around_it() {
    let mut channels = Channels::new(0);
    let key = channels.open(&Arc::from(&b"a"[..]), || EntryId::ZERO);
    let id = |ms| EntryId::new(ms, 0);
    for ms in (0..512).step_by(2) {
        channels.add(key, id(1000 + ms), 1);
    }
    channels.add(key, id(1101), 1);
    let to = id(1200);
    let first = channels.uncounted(key, to).expect("its block goes on");
    let all = (0..512).step_by(2).chain([101]).map(|ms| id(1000 + ms));
    let below = all.filter(|id| (first..=to).contains(id)).count() as u64;
    assert_eq!(channels.raise(key, Floor::Taken, to, (below, below)), 102);
    assert_eq!(channels.get(key).entries(), 155);
}
