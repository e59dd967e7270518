//! A cut: for each origin, how far a reader has come in its log.
//!
//! Exactness rests on these numbers and on the end records, on nothing else: no clock, no view of who is present. A cut
//! only grows, and two cuts merge by the larger number of each origin (rule 8): what either reader has passed.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::origin::Origin;

/// How far a reader has come in the log of one origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passed {
    records: u64,
    told: u64,
}

impl Passed {
    /// The first `records` of the log are passed, and the loss of all up to number `told` that were not found is told.
    pub fn new(records: u64, told: u64) -> Self {
        let told = told.max(records);
        Passed { records, told }
    }

    /// How many records of the log the reader has passed.
    pub fn records(self) -> u64 {
        self.records
    }

    /// Up to which number the reader knows of losses, at least [`Self::records`]. Records in between that are found
    /// later are read all the same.
    pub fn told(self) -> u64 {
        self.told
    }

    /// What either has passed.
    #[must_use]
    pub fn union(self, other: Passed) -> Self {
        Passed {
            records: self.records.max(other.records),
            told: self.told.max(other.told),
        }
    }
}

/// The position of a reader in all logs. Valid at every node, for every pattern.
///
/// An origin without a name has been passed as far as the end records in the named part say, if the cut names a later
/// origin of the same node; else not at all (rules 2 and 6).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cut(BTreeMap<Origin, Passed>);

impl Cut {
    /// How far the cut says that the reader has come in a log, if it names the origin.
    pub fn get(&self, origin: Origin) -> Option<Passed> {
        self.0.get(&origin).copied()
    }

    /// Whether it names the origin.
    pub fn names(&self, origin: Origin) -> bool {
        self.0.contains_key(&origin)
    }

    /// All names, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Origin, Passed)> + '_ {
        self.0.iter().map(|(origin, passed)| (*origin, *passed))
    }

    /// How many names it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is the beginning of everything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names an origin, or moves forward in its log. A cut never goes back.
    pub fn pass(&mut self, origin: Origin, passed: Passed) {
        let former = self.0.entry(origin).or_default();
        *former = former.union(passed);
    }

    /// Merges by rule 8: the larger number of each origin.
    pub fn merge(&mut self, other: &Cut) {
        for (origin, passed) in other.iter() {
            self.pass(origin, passed);
        }
    }

    /// The named origins of the same node that are later.
    pub(super) fn later(&self, origin: Origin) -> impl Iterator<Item = (Origin, Passed)> + '_ {
        let bounds = (
            Bound::Excluded(origin),
            Bound::Included(Origin::last_of(origin.node())),
        );
        self.0
            .range(bounds)
            .map(|(origin, passed)| (*origin, *passed))
    }

    /// Takes a name out; what it said must follow from the rest.
    pub(super) fn drop_name(&mut self, origin: Origin) {
        self.0.remove(&origin);
    }

    /// The same cut without one name.
    pub(super) fn without(&self, origin: Origin) -> Cut {
        let mut rest = self.clone();
        rest.drop_name(origin);
        rest
    }
}

impl FromIterator<(Origin, Passed)> for Cut {
    fn from_iter<I: IntoIterator<Item = (Origin, Passed)>>(names: I) -> Self {
        let mut cut = Cut::default();
        for (origin, passed) in names {
            cut.pass(origin, passed);
        }
        cut
    }
}

#[cfg(test)]
mod tests {
    use super::super::origin::OriginNode;
    use super::*;
    use proptest::prelude::*;

    fn origin(node: u32, start: u64) -> Origin {
        Origin::new(OriginNode::new(node), start)
    }

    fn cuts() -> impl Strategy<Value = Cut> {
        let name = (0_u32..3, 0_u64..3, 0_u64..5, 0_u64..5);
        proptest::collection::vec(name, 0..6).prop_map(|names| {
            let name =
                |(node, start, records, told)| (origin(node, start), Passed::new(records, told));
            names.into_iter().map(name).collect()
        })
    }

    fn merged(one: &Cut, other: &Cut) -> Cut {
        let mut both = one.clone();
        both.merge(other);
        both
    }

    #[test]
    fn a_cut_never_goes_back() {
        let mut cut = Cut::default();
        cut.pass(origin(1, 1), Passed::new(5, 0));
        cut.pass(origin(1, 1), Passed::new(3, 7));
        assert_eq!(cut.get(origin(1, 1)), Some(Passed::new(5, 7)));
    }

    #[test]
    fn later_origins_are_those_of_the_same_node() {
        let cut: Cut = [(1, 1), (1, 2), (1, 3), (2, 9)]
            .map(|(node, start)| (origin(node, start), Passed::new(1, 1)))
            .into_iter()
            .collect();
        let later: Vec<_> = cut
            .later(origin(1, 1))
            .map(|(later, _)| later.start())
            .collect();
        assert_eq!(later, [2, 3]);
        assert_eq!(cut.later(origin(0, 0)).count(), 0);
    }

    proptest! {
        #[test]
        fn merging_knows_no_order(a in cuts(), b in cuts(), c in cuts()) {
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
            prop_assert_eq!(merged(&a, &a), a);
        }
    }
}
