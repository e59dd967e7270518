//! Which retention rule a channel follows.
//!
//! All nodes share the rules, and each applies them by itself. Of the patterns that match a channel the longest wins, whole
//! names first; of two equally long ones the first in order of bytes, so that all nodes agree.

use std::cmp::Reverse;
use std::collections::BTreeMap;
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
    /// Also when the disk is full: then publishing stops.
    pub keep: bool,
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
}
