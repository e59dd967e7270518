//! Flush marks: up to which id the entries of a pattern are invisible.
//!
//! A mark merges by maximum, so nodes may hear of it in any order. It takes entries below it that arrive later, and it never
//! reaches above the clock of the node where it was set: an entry to come cannot be flushed. Readers pass what a mark takes
//! silently. A mark goes when every member has freed what lies below it.

use std::collections::BTreeMap;

use super::glob::{Case, matches};
use super::id::{Clock, EntryId};

/// All marks that a node knows: pattern and id.
#[derive(Debug, Clone, Default)]
pub struct Marks(BTreeMap<Box<[u8]>, EntryId>);

impl Marks {
    /// Sets a mark at the wish of a client; it ends at this node's own clock. Returns where it ends.
    pub fn flush(&mut self, pattern: &[u8], before: EntryId, clock: &Clock) -> EntryId {
        let id = before.min(clock.reading());
        self.merge(pattern, id);
        id
    }

    /// Takes a mark of another node over; true if it is news.
    pub fn merge(&mut self, pattern: &[u8], id: EntryId) -> bool {
        let former = self.0.entry(pattern.into()).or_default();
        let is_news = *former < id;
        *former = id.max(*former);
        is_news
    }

    /// The mark of a pattern.
    pub fn get(&self, pattern: &[u8]) -> Option<EntryId> {
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

    /// Every member has freed what lies below this mark.
    pub fn forget(&mut self, pattern: &[u8]) {
        self.0.remove(pattern);
    }

    /// Up to which id the entries of a channel are flushed. Look it up once for each channel, not for each entry.
    pub fn of(&self, channel: &[u8]) -> EntryId {
        let taking = self
            .0
            .iter()
            .filter(|(pattern, _)| matches(pattern, channel, Case::Exact));
        taking.map(|(_, id)| *id).max().unwrap_or_default()
    }

    /// All marks, in order of their patterns.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], EntryId)> {
        self.0.iter().map(|(pattern, id)| (&**pattern, *id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::WallTime;

    fn id(ms: u64) -> EntryId {
        EntryId::new(ms, 0)
    }

    /// History 20: the client's clock is 10 s ahead.
    #[test]
    fn a_flush_does_not_reach_the_future() {
        let (mut marks, mut clock) = (Marks::default(), Clock::default());
        let now = clock.close(WallTime(1000));
        assert_eq!(marks.flush(b"a.*", id(11_000), &clock), now);
        assert!(marks.of(b"a.x") < id(1001));
    }

    #[test]
    fn marks_merge_by_maximum() {
        let mut marks = Marks::default();
        assert!(marks.merge(b"a.*", id(5)) && marks.merge(b"a.*", id(7)));
        assert!(!marks.merge(b"a.*", id(6)));
        assert!(marks.merge(b"*", id(6)));
        assert_eq!((marks.of(b"a.x"), marks.of(b"b")), (id(7), id(6)));
        marks.forget(b"a.*");
        assert_eq!(marks.of(b"a.x"), id(6));
    }
}
