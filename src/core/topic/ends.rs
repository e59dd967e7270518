//! The table of end records: which origins are over, and how far they go.
//!
//! An end record stands in the log of the origin that wrote it, under a number like any other record. The table keeps it
//! when its segment is gone, because cuts rest on it: an origin that a cut does not name has been passed as far as the end
//! records in the named part say. So a node may trust its table about the first `n` records of a log only if the table is
//! *whole* up to `n`: it has every end record among them.
//!
//! An origin is *sealed* when every member has freed all that it held of it. Its end records go then, its name leaves the
//! cuts, and nothing of it is taken or given any more. Origins of one node are sealed in order, so one number a node says
//! it all. That this node keeps nothing of an origin is not enough: another node may still keep its entries, and would
//! give them again to a reader whose cursor lost the name here.
//!
//! Invariant: [`Ends::reach`] is what a walk over all rows finds.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cut::{Cut, Passed};
use super::id::EntryId;
use super::origin::{Origin, OriginNode};

/// What an end record says of one origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The origin that is over.
    pub origin: Origin,
    /// How many records of its log the writer held: so far it is read.
    pub records: u64,
    /// The highest number of that log that any have or closed spoke of. What lies between is lost unless somebody finds it.
    pub known: u64,
}

/// An end record: its id, and what it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndRecord {
    id: EntryId,
    ended: Arc<[Ended]>,
}

impl EndRecord {
    /// A record with this id that ends these origins.
    pub fn new(id: EntryId, ended: &[Ended]) -> Self {
        let mut ended: Arc<[Ended]> = ended.into();
        Arc::make_mut(&mut ended).sort_unstable_by_key(|ended| ended.origin);
        EndRecord { id, ended }
    }

    /// What it says of one origin.
    fn about(&self, origin: Origin) -> Option<Passed> {
        let at = self
            .ended
            .binary_search_by_key(&origin, |ended| ended.origin);
        let ended = self.ended[at.ok()?];
        Some(Passed::new(ended.records, ended.known))
    }

    /// Its id.
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// What it ends, in order of the origins.
    pub fn ended(&self) -> &[Ended] {
        &self.ended
    }
}

/// How far the end records about one origin go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reach {
    /// The largest number of records that any of them gives.
    pub(super) records: u64,
    /// The highest number that any of them knows of.
    pub(super) known: u64,
    /// The largest number of records that a later origin of the same node gives, if one does.
    pub(super) own: Option<u64>,
}

/// The end records that a node knows.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    rows: BTreeMap<Origin, BTreeMap<u64, EndRecord>>,
    reach: BTreeMap<Origin, Reach>,
    /// Up to which number of a log the table is whole, as far as other tables and former logs say.
    whole: BTreeMap<Origin, u64>,
    /// A node's origins before this one are sealed, and so are the first records of this one.
    sealed: BTreeMap<OriginNode, (u64, u64)>,
}

impl Ends {
    /// Adds the end record with this number of a log.
    pub(super) fn insert(&mut self, log: Origin, number: u64, record: &EndRecord) {
        if record
            .ended
            .iter()
            .all(|ended| self.is_sealed(ended.origin))
        {
            return;
        }
        let rows = self.rows.entry(log).or_default();
        if rows.insert(number, record.clone()).is_none() {
            self.extend_reach(log, record);
        }
    }

    /// Takes over what another node's table has. The first thing that a new member does.
    pub(super) fn merge(&mut self, other: &Ends) {
        for (&node, &(start, records)) in &other.sealed {
            self.seal(Origin::new(node, start), records);
        }
        for (log, rows) in &other.rows {
            for (number, record) in rows {
                self.insert(*log, *number, record);
            }
        }
        for (log, records) in &other.whole {
            self.hold_whole(*log, *records);
        }
    }

    /// The table has every end record among the first `records` of a log.
    pub(super) fn hold_whole(&mut self, log: Origin, records: u64) {
        if records > 0 && !self.is_sealed(log) {
            let whole = self.whole.entry(log).or_default();
            *whole = records.max(*whole);
        }
    }

    /// Up to which number of a log it was said that the table is whole.
    pub(super) fn whole(&self, log: Origin) -> u64 {
        if self.is_sealed(log) {
            return u64::MAX;
        }
        self.whole.get(&log).copied().unwrap_or(0)
    }

    /// Every member has freed the first `records` of this origin, and all of the earlier ones of its node.
    pub(super) fn seal(&mut self, origin: Origin, records: u64) {
        let seal = (origin.start(), records);
        let former = self.sealed.entry(origin.node()).or_default();
        if *former >= seal {
            return;
        }
        *former = seal;
        let sealed = std::mem::take(&mut self.sealed);
        let is_sealed = |origin: Origin| is_sealed(&sealed, origin);
        for rows in self.rows.values_mut() {
            rows.retain(|_, row| !row.ended.iter().all(|ended| is_sealed(ended.origin)));
        }
        self.rows.retain(|_, rows| !rows.is_empty());
        self.reach.retain(|origin, _| !is_sealed(*origin));
        self.whole.retain(|origin, _| !is_sealed(*origin));
        self.sealed = sealed;
    }

    /// Whether all of an origin is sealed.
    pub fn is_sealed(&self, origin: Origin) -> bool {
        is_sealed(&self.sealed, origin)
    }

    /// What every reader has passed of an origin, because it is sealed.
    pub(super) fn floor(&self, origin: Origin) -> Passed {
        match self.sealed.get(&origin.node()) {
            _ if self.is_sealed(origin) => Passed::new(u64::MAX, 0),
            Some(&(start, records)) if start == origin.start() => Passed::new(records, 0),
            Some(_) | None => Passed::default(),
        }
    }

    /// How far the end records about an origin go, if there is one.
    pub(super) fn reach(&self, origin: Origin) -> Option<Reach> {
        self.reach.get(&origin).copied()
    }

    /// The origins that are over, and the largest number of records that an end record gives of each.
    pub(super) fn reaches(&self) -> impl Iterator<Item = (Origin, u64)> {
        self.reach
            .iter()
            .map(|(origin, reach)| (*origin, reach.records))
    }

    /// Whether an end record says that the origin is over.
    pub fn is_ended(&self, origin: Origin) -> bool {
        self.reach.contains_key(&origin)
    }

    /// The end records of a log from this number on, in order.
    pub fn rows(&self, log: Origin, from: u64) -> impl Iterator<Item = (u64, &EndRecord)> {
        let rows = self.rows.get(&log).into_iter();
        rows.flat_map(move |rows| rows.range(from..))
            .map(|(number, row)| (*number, row))
    }

    /// Whether the record with this number of a log is an end record that the table has.
    pub fn has(&self, log: Origin, number: u64) -> bool {
        self.rows
            .get(&log)
            .is_some_and(|rows| rows.contains_key(&number))
    }

    /// How many end records it has.
    pub fn len(&self) -> usize {
        self.rows.values().map(BTreeMap::len).sum()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What the end records in the named part of a cut say of earlier origins of the same nodes: one step, from the names
    /// alone.
    pub(super) fn implied(&self, cut: &Cut) -> BTreeMap<Origin, Passed> {
        let mut implied: BTreeMap<Origin, Passed> = BTreeMap::new();
        for (log, passed) in cut.iter() {
            for ended in self.ended_within(log, passed.records()) {
                let said = Passed::new(ended.records, ended.known);
                let former = implied.entry(ended.origin).or_default();
                *former = former.union(said);
            }
        }
        implied
    }

    /// The same of one origin only.
    pub(super) fn implied_of(&self, cut: &Cut, origin: Origin) -> Passed {
        let mut said = Passed::default();
        for (log, passed) in cut.later(origin) {
            let rows = self.rows(log, 1);
            let within = rows.take_while(|(number, _)| *number <= passed.records());
            for more in within.filter_map(|(_, row)| row.about(origin)) {
                said = said.union(more);
            }
        }
        said
    }

    /// The earlier origins of the same node that the first `records` of a log end.
    pub(super) fn ended_within(&self, log: Origin, records: u64) -> impl Iterator<Item = &Ended> {
        self.rows(log, 1)
            .take_while(move |(number, _)| *number <= records)
            .flat_map(|(_, row)| row.ended())
            .filter(move |ended| log.is_later_than(ended.origin))
    }

    /// A bug on purpose: the end records of a log in a range are forgotten.
    #[cfg(any(test, feature = "planted-bugs"))]
    pub(super) fn lose(&mut self, log: Origin, range: std::ops::RangeInclusive<u64>) {
        if let Some(rows) = self.rows.get_mut(&log) {
            rows.retain(|number, _| !range.contains(number));
        }
        self.reach.clear();
        for (log, rows) in self.rows.clone() {
            for row in rows.values() {
                self.extend_reach(log, row);
            }
        }
    }

    fn extend_reach(&mut self, log: Origin, record: &EndRecord) {
        for ended in record.ended() {
            if is_sealed(&self.sealed, ended.origin) {
                continue;
            }
            let records = ended.records;
            let reach = self.reach.entry(ended.origin).or_default();
            reach.records = reach.records.max(records);
            reach.known = reach.known.max(ended.known);
            if log.is_later_than(ended.origin) {
                reach.own = reach.own.max(Some(records));
            }
        }
    }
}

fn is_sealed(sealed: &BTreeMap<OriginNode, (u64, u64)>, origin: Origin) -> bool {
    let seal = sealed.get(&origin.node());
    seal.is_some_and(|(start, _)| origin.start() < *start)
}
