//! What the cluster keeps of a named cursor: the patterns that it reads, and how far its reader has come.
//!
//! It is the value of a setting, and the version of the setting is the *epoch* of the name. TCURSOR SET and DEL raise the
//! epoch, and the higher one wins: so a commit of before does not undo a rewind. Within an epoch a cursor never moves back.
//!
//! Commits at two nodes that did not know of each other are merged by rule 8 of cuts. A cut that is merged for ever would
//! keep the name of every life of every node, so a commit takes out the names that follow from the rest. Each value says
//! which commits are in it: for each node, when it last made one. A value that has all commits of another replaces it, and
//! names that it took out stay out.
//!
//! ```text
//! 1 byte    1, the format
//! varint    patterns, and for each: varint length, bytes; in order
//! varint    nodes that committed, and for each: 4 bytes node, varint unix milliseconds; in order
//! rest      the cursor, as bytes
//! ```
//!
//! Invariant: a value has one form in bytes, and merging knows no order between two values.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::cursor::{Cursor, read_varint, write_varint};
use super::origin::OriginNode;

const FORMAT: u8 = 1;

/// A named cursor in one epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// What its reader reads: in order, each once.
    pub(super) patterns: Vec<Arc<[u8]>>,
    /// How far it has come.
    pub(super) cursor: Cursor,
    /// When each node made its last commit, in unix milliseconds: what was committed before is in `cursor`.
    commits: BTreeMap<OriginNode, u64>,
}

impl Named {
    /// Nothing is committed yet.
    pub(super) fn begin(patterns: Vec<Arc<[u8]>>, cursor: Cursor) -> Self {
        Named {
            patterns,
            cursor: cursor.in_epoch(None),
            commits: BTreeMap::new(),
        }
    }

    /// Its reader has come further, as a client of this node says.
    pub(super) fn commit(&mut self, node: OriginNode, wall_ms: u64, cursor: Cursor) {
        let last = self.commits.get(&node);
        let ms = last.map_or(wall_ms, |last| wall_ms.max(last.saturating_add(1)));
        self.commits.insert(node, ms);
        self.cursor = cursor.in_epoch(None);
    }

    /// When the last commit was made.
    pub(super) fn committed_ms(&self) -> Option<u64> {
        self.commits.values().max().copied()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        write_varint(&mut bytes, self.patterns.len() as u128);
        for pattern in &self.patterns {
            write_varint(&mut bytes, pattern.len() as u128);
            bytes.extend_from_slice(pattern);
        }
        write_varint(&mut bytes, self.commits.len() as u128);
        for (node, ms) in &self.commits {
            bytes.extend_from_slice(&node.bits().to_be_bytes());
            write_varint(&mut bytes, u128::from(*ms));
        }
        self.cursor.write(&mut bytes);
        bytes
    }

    /// Reads what [`Named::encode`] wrote; none of what a newer node may have written.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&FORMAT, mut rest) = bytes.split_first()? else {
            return None;
        };
        let mut patterns = Vec::new();
        for _ in 0..read_varint(&mut rest)? {
            let length = usize::try_from(read_varint(&mut rest)?).ok()?;
            let (pattern, tail) = rest.split_at_checked(length)?;
            patterns.push(Arc::from(pattern));
            rest = tail;
        }
        let mut commits = BTreeMap::new();
        for _ in 0..read_varint(&mut rest)? {
            let (node, tail) = rest.split_first_chunk::<4>()?;
            rest = tail;
            let ms = u64::try_from(read_varint(&mut rest)?).ok()?;
            commits.insert(OriginNode::new(u32::from_be_bytes(*node)), ms);
        }
        let cursor = Cursor::read(rest)?;
        let named = Named {
            patterns,
            cursor,
            commits,
        };
        (named.encode() == bytes).then_some(named)
    }

    /// What either says. Two readers that began alike at two nodes with other patterns: one of the two stays.
    pub(super) fn merge(self, other: Named) -> Named {
        match self.patterns.cmp(&other.patterns) {
            Ordering::Less => return other,
            Ordering::Greater => return self,
            Ordering::Equal => {}
        }
        let (has_all, other_has_all) = (self.has_all_of(&other), other.has_all_of(&self));
        if has_all && !other_has_all {
            return self;
        }
        if other_has_all && !has_all {
            return other;
        }
        let mut both = self;
        both.cursor.merge(&other.cursor);
        for (node, ms) in other.commits {
            let own = both.commits.entry(node).or_default();
            *own = ms.max(*own);
        }
        both
    }

    /// Whether all commits of another value are in this one.
    fn has_all_of(&self, other: &Named) -> bool {
        let mut others = other.commits.iter();
        others.all(|(node, ms)| self.commits.get(node).is_some_and(|own| own >= ms))
    }
}

/// Of two values of one epoch, what all nodes keep.
pub(crate) fn merge_values(one: &Arc<[u8]>, other: &Arc<[u8]>) -> Arc<[u8]> {
    merge_decoded((one, other), Named::decode, |one, other| {
        one.merge(other).encode()
    })
}

/// Merges two values. One that this node cannot read stays as it is.
pub(super) fn merge_decoded<T>(
    (one, other): (&Arc<[u8]>, &Arc<[u8]>),
    decode: fn(&[u8]) -> Option<T>,
    merge: fn(T, T) -> Vec<u8>,
) -> Arc<[u8]> {
    match (decode(one), decode(other)) {
        (Some(one), Some(other)) => Arc::from(merge(one, other)),
        (None, Some(_)) => Arc::clone(one),
        (Some(_), None) => Arc::clone(other),
        (None, None) => Arc::clone(one.max(other)),
    }
}

/// A value in which each node of `commits` has committed at a time, at a place of this many records.
#[cfg(test)]
pub(crate) fn sample(records: u64, commits: &[(u32, u64)]) -> Arc<[u8]> {
    use super::cut::Passed;
    use super::origin::Origin;
    let origin = Origin::new(OriginNode::new(9), records % 3);
    let cut = [(origin, Passed::new(records, 0))].into_iter().collect();
    let cursor = Cursor::new(super::id::EntryId::new(records, 1), cut);
    let mut named = Named::begin(vec![Arc::from(&b"*"[..])], cursor);
    for (node, ms) in commits {
        named.commits.insert(OriginNode::new(*node), *ms);
    }
    Arc::from(named.encode())
}

#[cfg(test)]
mod tests {
    use super::super::cut::{Cut, Passed};
    use super::super::id::EntryId;
    use super::super::origin::Origin;
    use super::*;
    use proptest::prelude::*;

    fn names() -> impl Strategy<Value = Named> {
        let place = prop::collection::vec((0_u32..3, 0_u64..3, 0_u64..9), 0..4);
        let commits = prop::collection::btree_map(0_u32..3, 0_u64..4, 0..3);
        let patterns = prop::collection::btree_set("[ab*]{1,2}", 1..3);
        (patterns, 0_u64..9, place, commits).prop_map(|(patterns, ms, place, commits)| {
            let name = |(node, start, records)| {
                let origin = Origin::new(OriginNode::new(node), start);
                (origin, Passed::new(records, 0))
            };
            let cut: Cut = place.into_iter().map(name).collect();
            let commits = commits.into_iter();
            Named {
                patterns: patterns.iter().map(|p| Arc::from(p.as_bytes())).collect(),
                cursor: Cursor::new(EntryId::new(ms, 1), cut),
                commits: commits.map(|(n, ms)| (OriginNode::new(n), ms)).collect(),
            }
        })
    }

    fn at(records: u64) -> Cursor {
        let origin = Origin::new(OriginNode::new(9), 1);
        let cut = [(origin, Passed::new(records, 0))].into_iter().collect();
        Cursor::new(EntryId::new(records, 1), cut)
    }

    #[test]
    fn a_value_that_has_all_commits_of_another_replaces_it() {
        let mut first = Named::begin(vec![Arc::from(&b"*"[..])], at(5));
        first.commit(OriginNode::new(1), 100, at(7));
        // The later commit took a name out that followed from the rest.
        let mut later = first.clone();
        later.commit(OriginNode::new(2), 90, Cursor::default());
        assert_eq!(first.clone().merge(later.clone()), later);
        assert_eq!(later.clone().merge(first), later);
        assert_eq!(later.committed_ms(), Some(100));
    }

    #[test]
    fn commits_that_did_not_know_of_each_other_are_merged() {
        let begun = Named::begin(vec![Arc::from(&b"*"[..])], Cursor::default());
        let (mut one, mut other) = (begun.clone(), begun);
        one.commit(OriginNode::new(1), 100, at(7));
        other.commit(OriginNode::new(2), 200, at(9));
        let both = one.clone().merge(other.clone());
        assert_eq!(both, other.merge(one));
        assert_eq!(both.cursor, at(9));
        assert_eq!(both.commits.len(), 2);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_commit_twice() {
        let mut named = Named::begin(vec![Arc::from(&b"*"[..])], Cursor::default());
        named.commit(OriginNode::new(1), 100, at(1));
        named.commit(OriginNode::new(1), 50, at(2));
        assert_eq!(named.committed_ms(), Some(101));
    }

    proptest! {
        #[test]
        fn any_value_survives_its_bytes(named in names()) {
            prop_assert_eq!(Named::decode(&named.encode()), Some(named));
        }

        #[test]
        fn merging_knows_no_order(one in names(), other in names()) {
            let both = one.clone().merge(other.clone());
            prop_assert_eq!(&both, &other.clone().merge(one.clone()));
            prop_assert_eq!(both.clone().merge(both.clone()), both.clone());
            // Who has what both say learns nothing more from either.
            prop_assert_eq!(both.clone().merge(one).merge(other), both);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Named::decode(&bytes);
        }
    }
}
