//! Which subscriptions an entry goes to, at no cost for patterns that do not match.
//!
//! Patterns are indexed by their literal prefix, and those without one by their literal suffix, so a new channel looks only at
//! patterns that begin or end as it does: at each prefix and each suffix of its name. Each channel remembers what matched; a
//! change of subscriptions is caught up when the channel is next used, from the list of changes since then, or by a fresh look
//! if that list is too long.
//!
//! Invariant: what a channel remembers, caught up, is what a walk over all patterns finds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hashbrown::HashMap;

use super::glob::{Case, literal_prefix, literal_suffix, matches};

/// Changes that a channel can catch up with one by one.
const CHANGES_MAX: usize = 1024;

/// Channels that remember what matched: what the room bounds channels by.
const REMEMBERED_MAX: usize = 1 << 20;

/// One subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub u64);

/// What a channel remembers.
#[derive(Debug, Clone, Default)]
struct Matched {
    /// As of this change.
    change: u64,
    /// In order.
    ids: Vec<SubscriptionId>,
}

/// Subscriptions by a literal part of their patterns.
#[derive(Debug, Clone, Default)]
struct Literals {
    ids: BTreeMap<Box<[u8]>, BTreeSet<SubscriptionId>>,
    /// How many patterns have a literal part of each length: no others are looked up.
    lengths: BTreeMap<usize, usize>,
}

/// All patterns, and which a name may match.
#[derive(Debug, Clone, Default)]
struct Patterns {
    all: BTreeMap<SubscriptionId, Box<[u8]>>,
    by_prefix: Literals,
    /// Those without a literal prefix.
    by_suffix: Literals,
}

/// All subscriptions of a node.
#[derive(Debug, Clone, Default)]
pub struct Subscriptions {
    patterns: Patterns,
    channels: HashMap<Vec<u8>, Matched, foldhash::quality::FixedState>,
    /// The number of the last change, and the subscriptions that the last ones added or ended.
    change: u64,
    changes: VecDeque<SubscriptionId>,
}

impl Subscriptions {
    /// Adds a subscription to a pattern; its id must be new.
    pub fn add(&mut self, id: SubscriptionId, pattern: &[u8]) {
        let former = self.patterns.all.insert(id, pattern.into());
        assert!(former.is_none(), "{id:?} is new");
        let (literals, literal) = self.patterns.literals(pattern);
        literals.add(&literal, id);
        self.note(id);
    }

    /// Ends a subscription; false if there is none.
    pub fn remove(&mut self, id: SubscriptionId) -> bool {
        let Some(pattern) = self.patterns.all.remove(&id) else {
            return false;
        };
        let (literals, literal) = self.patterns.literals(&pattern);
        literals.remove(&literal, id);
        self.note(id);
        true
    }

    /// The subscriptions that an entry of this channel goes to, in order of their ids.
    pub fn of(&mut self, channel: &[u8]) -> &[SubscriptionId] {
        if self.channels.len() == REMEMBERED_MAX && !self.channels.contains_key(channel) {
            self.channels.clear();
        }
        let (change, changes, patterns) = (self.change, &self.changes, &self.patterns);
        let fresh = || Matched {
            change,
            ids: patterns.look(channel),
        };
        let matched = self.channels.entry_ref(channel).or_insert_with(fresh);
        let behind = change - matched.change;
        if behind > changes.len() as u64 {
            *matched = fresh();
        } else if behind > 0 {
            let first = changes.len() - behind as usize;
            for id in changes.range(first..) {
                let pattern = patterns.all.get(id).map(|pattern| &**pattern);
                matched.catch_up(*id, pattern, channel);
            }
            matched.change = change;
        }
        &matched.ids
    }

    /// How many subscriptions there are.
    pub fn len(&self) -> usize {
        self.patterns.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.patterns.all.is_empty()
    }

    fn note(&mut self, id: SubscriptionId) {
        self.change += 1;
        self.changes.push_back(id);
        if self.changes.len() > CHANGES_MAX {
            self.changes.pop_front();
        }
    }
}

impl Patterns {
    /// A fresh look: at the patterns whose literal part the channel begins or ends with.
    fn look(&self, channel: &[u8]) -> Vec<SubscriptionId> {
        let begins = |length| &channel[..length];
        let ends = |length| &channel[channel.len() - length..];
        let by_prefix = self.by_prefix.of(channel.len(), begins);
        let candidates = by_prefix.chain(self.by_suffix.of(channel.len(), ends));
        let mut ids: Vec<SubscriptionId> = candidates
            .filter(|id| matches(&self.all[id], channel, Case::Exact))
            .collect();
        ids.sort_unstable();
        ids
    }

    /// Where a pattern is indexed.
    fn literals(&mut self, pattern: &[u8]) -> (&mut Literals, Vec<u8>) {
        let prefix = literal_prefix(pattern);
        if prefix.is_empty() {
            (&mut self.by_suffix, literal_suffix(pattern).to_vec())
        } else {
            (&mut self.by_prefix, prefix)
        }
    }
}

impl Literals {
    fn add(&mut self, literal: &[u8], id: SubscriptionId) {
        *self.lengths.entry(literal.len()).or_default() += 1;
        self.ids.entry(literal.into()).or_default().insert(id);
    }

    fn remove(&mut self, literal: &[u8], id: SubscriptionId) {
        if let Some(ids) = self.ids.get_mut(literal) {
            ids.remove(&id);
            if ids.is_empty() {
                self.ids.remove(literal);
            }
        }
        if let Some(count) = self.lengths.get_mut(&literal.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&literal.len());
            }
        }
    }

    /// Those whose literal part is the part of a name, of `length` bytes, that `part` cuts out.
    fn of<'a>(
        &'a self,
        length: usize,
        part: impl Fn(usize) -> &'a [u8] + 'a,
    ) -> impl Iterator<Item = SubscriptionId> + 'a {
        let parts = self
            .lengths
            .range(..=length)
            .map(move |(&length, _)| part(length));
        parts
            .filter_map(|part| self.ids.get(part))
            .flatten()
            .copied()
    }
}

impl Matched {
    /// Takes one change over: a subscription that is there now, or is not.
    fn catch_up(&mut self, id: SubscriptionId, pattern: Option<&[u8]>, channel: &[u8]) {
        let is_match = pattern.is_some_and(|pattern| matches(pattern, channel, Case::Exact));
        match self.ids.binary_search(&id) {
            Ok(at) if !is_match => {
                self.ids.remove(at);
            }
            Err(at) if is_match => self.ids.insert(at, id),
            Ok(_) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(found: &[SubscriptionId]) -> Vec<u64> {
        found.iter().map(|id| id.0).collect()
    }

    #[test]
    fn a_channel_catches_up_with_what_changed() {
        let mut all = Subscriptions::default();
        all.add(SubscriptionId(2), b"orders.*");
        assert_eq!(ids(all.of(b"orders.eu")), [2]);
        all.add(SubscriptionId(1), b"*");
        all.add(SubscriptionId(3), b"news");
        assert_eq!(ids(all.of(b"orders.eu")), [1, 2]);
        assert!(all.remove(SubscriptionId(2)) && !all.remove(SubscriptionId(2)));
        assert_eq!(ids(all.of(b"orders.eu")), [1]);
        assert_eq!(ids(all.of(b"news")), [1, 3]);
    }

    #[test]
    fn a_channel_that_missed_too_much_looks_again() {
        let mut all = Subscriptions::default();
        assert_eq!(all.of(b"x7").len(), 0);
        for number in 0..2000 {
            all.add(
                SubscriptionId(number),
                format!("x{}", number % 10).as_bytes(),
            );
        }
        assert_eq!(all.of(b"x7").len(), 200);
    }

    /// History 29: each publish is the first of its channel, with 10 000 patterns of others.
    #[test]
    fn a_new_channel_looks_only_at_patterns_that_begin_as_it_does() {
        let mut all = Subscriptions::default();
        for number in 0..10_000 {
            all.add(
                SubscriptionId(number),
                format!("user.{number}.*").as_bytes(),
            );
        }
        assert!(
            all.patterns.by_prefix.lengths.len() <= 4,
            "one look-up for each length of a prefix"
        );
        assert_eq!(all.of(b"orders.0a1b2c").len(), 0);
        assert_eq!(ids(all.of(b"user.77.x")), [77]);
    }

    #[test]
    fn patterns_without_a_prefix_are_looked_up_by_how_they_end() {
        let mut all = Subscriptions::default();
        for number in 0..10_000 {
            all.add(SubscriptionId(number), format!("*.{number}").as_bytes());
        }
        assert!(all.patterns.by_suffix.lengths.len() <= 4 && all.patterns.by_prefix.ids.is_empty());
        assert_eq!(all.of(b"orders.0a1b2c").len(), 0);
        assert_eq!(ids(all.of(b"orders.77")), [77]);
        assert!(all.remove(SubscriptionId(77)));
        assert_eq!(all.of(b"other.77").len(), 0);
    }

    proptest! {
        #[test]
        fn it_finds_what_a_walk_over_all_patterns_finds(
            steps in proptest::collection::vec((0_u64..6, r"[ab*?\[\]\\^-]{0,4}", "[ab]{0,3}"), 0..40)
        ) {
            let mut all = Subscriptions::default();
            let mut model: BTreeMap<u64, String> = BTreeMap::new();
            for (id, pattern, channel) in steps {
                if model.remove(&id).is_some() {
                    prop_assert!(all.remove(SubscriptionId(id)));
                } else {
                    all.add(SubscriptionId(id), pattern.as_bytes());
                    model.insert(id, pattern);
                }
                let is_match = |pattern: &&String| matches(pattern.as_bytes(), channel.as_bytes(), Case::Exact);
                let walked: Vec<u64> = model.iter().filter(|(_, p)| is_match(p)).map(|(id, _)| *id).collect();
                prop_assert_eq!(ids(all.of(channel.as_bytes())), walked);
            }
        }
    }
}
