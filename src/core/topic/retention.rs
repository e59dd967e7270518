//! Which retention rule a channel follows.
//!
//! All nodes share the rules, and each applies them by itself. Of the patterns that match a channel the longest wins, whole
//! names first; of two equally long ones the first in order of bytes, so that all nodes agree.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::glob::{Case, is_literal, matches};

/// How long the entries of a pattern are kept. A bound that is not set takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rule {
    /// By the time in an entry's id.
    pub age: Option<Duration>,
    /// All channels of the pattern together.
    pub bytes: Option<u64>,
    /// Entries of each channel.
    pub entries: Option<u64>,
    /// The rule may have no bound: it keeps entries for ever. Any rule holds them against `topic-max-disk`.
    pub keep: bool,
}

impl Rule {
    /// Reads what [`fmt::Display`] wrote. What this node does not know makes it none: a newer node wrote it.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let mut rule = Rule::default();
        for word in text.split_ascii_whitespace() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match name {
                "maxage" => rule.age = Some(Duration::from_secs(value.parse().ok()?)),
                "maxbytes" => rule.bytes = Some(value.parse().ok()?),
                "maxlen" => rule.entries = Some(value.parse().ok()?),
                "keep" if value.is_empty() => rule.keep = true,
                _ => return None,
            }
        }
        Some(rule)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let age = self.age.map(|age| format!("maxage={}", age.as_secs()));
        let bytes = self.bytes.map(|bytes| format!("maxbytes={bytes}"));
        let entries = self.entries.map(|entries| format!("maxlen={entries}"));
        let keep = self.keep.then(|| "keep".to_owned());
        let words: Vec<String> = [age, bytes, entries, keep].into_iter().flatten().collect();
        f.write_str(&words.join(" "))
    }
}

/// All rules, by their patterns.
#[derive(Debug, Clone, Default)]
pub struct Rules(BTreeMap<Box<[u8]>, Rule>);

impl Rules {
    /// Sets the rule of a pattern.
    pub fn set(&mut self, pattern: &[u8], rule: Rule) {
        self.0.insert(pattern.into(), rule);
    }

    /// Takes the rule of a pattern away; false if there is none.
    pub fn remove(&mut self, pattern: &[u8]) -> bool {
        self.0.remove(pattern).is_some()
    }

    /// The rule of a pattern.
    pub fn get(&self, pattern: &[u8]) -> Option<Rule> {
        self.0.get(pattern).copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in order of their patterns.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Rule)> {
        self.0.iter().map(|(pattern, rule)| (&**pattern, *rule))
    }

    /// The rule that a channel follows, with its pattern.
    pub fn of(&self, channel: &[u8]) -> Option<(&[u8], Rule)> {
        self.0
            .iter()
            .filter(|(pattern, _)| matches(pattern, channel, Case::Exact))
            .min_by_key(|(pattern, _)| Reverse((is_literal(pattern), pattern.len())))
            .map(|(pattern, rule)| (&**pattern, *rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(entries: u64) -> Rule {
        Rule {
            entries: Some(entries),
            ..Rule::default()
        }
    }

    #[test]
    fn the_longest_pattern_wins_and_whole_names_first() {
        let mut rules = Rules::default();
        for (pattern, entries) in [
            ("*", 1),
            ("orders.*", 2),
            ("orders.[a-z]*", 3),
            ("orders.eu", 4),
        ] {
            rules.set(pattern.as_bytes(), rule(entries));
        }
        let entries = |channel: &str| {
            rules
                .of(channel.as_bytes())
                .and_then(|(_, rule)| rule.entries)
        };
        assert_eq!(entries("orders.eu"), Some(4));
        assert_eq!(entries("orders.us"), Some(3));
        assert_eq!(entries("orders.1"), Some(2));
        assert_eq!(entries("other"), Some(1));
        assert!(rules.remove(b"*") && !rules.remove(b"*"));
        assert_eq!(rules.of(b"other"), None);
    }

    #[test]
    fn two_equally_long_patterns_have_the_same_winner_everywhere() {
        let mut rules = Rules::default();
        rules.set(b"a?", rule(1));
        rules.set(b"?a", rule(2));
        assert_eq!(
            rules.of(b"aa").map(|(pattern, _)| pattern),
            Some(&b"?a"[..])
        );
    }

    #[test]
    fn a_rule_is_read_back_from_its_words() {
        let minute = Some(Duration::from_mins(1));
        for (age, entries, keep, words) in [
            (minute, Some(5), true, "maxage=60 maxlen=5 keep"),
            (minute, None, false, "maxage=60"),
            (None, None, true, "keep"),
        ] {
            let rule = Rule {
                age,
                entries,
                keep,
                bytes: None,
            };
            assert_eq!(rule.to_string(), words);
            assert_eq!(Rule::parse(words.as_bytes()), Some(rule));
        }
        assert_eq!(Rule::parse(b"keep=1"), None);
        assert_eq!(Rule::parse(b"maxlen=5 unheard-of"), None);
    }
}
