//! All origins that a node knows: their logs, and the table of end records.
//!
//! What comes in is checked here: records by number and id, ranges that others freed, tables of other nodes. What goes out
//! to readers is a page (`page.rs`), and what a node owes to others as end records is in `ending.rs`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::cut::{Cut, Passed};
use super::ends::{EndRecord, Ends};
use super::id::EntryId;
use super::log::{Fork, OriginLog};
use super::origin::{Origin, OriginNode};
use super::planted::Bug;

/// The logs of all origins, and what ends them.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    logs: BTreeMap<Origin, OriginLog>,
    ends: Ends,
    #[cfg(any(test, feature = "planted-bugs"))]
    planted: Option<Bug>,
}

impl Origins {
    /// The log of an origin, if anything of it is known.
    pub fn log(&self, origin: Origin) -> Option<&OriginLog> {
        self.logs.get(&origin)
    }

    /// All logs, in order of their origins.
    pub fn logs(&self) -> impl Iterator<Item = (Origin, &OriginLog)> {
        self.logs.iter().map(|(origin, log)| (*origin, log))
    }

    /// The logs of one node, oldest first.
    pub fn logs_of(
        &self,
        node: OriginNode,
    ) -> impl DoubleEndedIterator<Item = (Origin, &OriginLog)> {
        self.logs
            .range(Origin::first_of(node)..=Origin::last_of(node))
            .map(|(origin, log)| (*origin, log))
    }

    /// How many records of a log are held without a gap.
    pub fn prefix(&self, origin: Origin) -> u64 {
        self.log(origin).map_or(0, OriginLog::prefix)
    }

    /// The newest origin of a node that anything is held of.
    pub fn current(&self, node: OriginNode) -> Option<Origin> {
        let held = |(_, log): &(Origin, &OriginLog)| !log.held().is_empty();
        self.logs_of(node).rfind(held).map(|(origin, _)| origin)
    }

    /// The table of end records.
    pub fn ends(&self) -> &Ends {
        &self.ends
    }

    /// Whether an origin is over: an end record says so, or its node has a later one.
    pub fn is_over(&self, origin: Origin) -> bool {
        let current = self.current(origin.node());
        self.ends.is_ended(origin) || current.is_some_and(|current| current.is_later_than(origin))
    }

    /// Up to which number of a log this node knows every end record.
    pub fn whole(&self, origin: Origin) -> u64 {
        let told = self.ends.whole(origin);
        self.log(origin).map_or(told, |log| log.seen_from(told))
    }

    /// Takes an entry with its number; false if it was here before.
    pub fn take_entry(&mut self, origin: Origin, number: u64, id: EntryId) -> Result<bool, Fork> {
        let Some(log) = self.open(origin) else {
            return Ok(false);
        };
        let is_new = log.take(number, id)?;
        log.note_entry(number);
        Ok(is_new)
    }

    /// Takes an end record with its number; false if it was here before.
    pub fn take_end(
        &mut self,
        origin: Origin,
        number: u64,
        record: &EndRecord,
    ) -> Result<bool, Fork> {
        let Some(log) = self.open(origin) else {
            return Ok(false);
        };
        let is_new = log.take(number, record.id())?;
        self.ends.insert(origin, number, record);
        for ended in record.ended() {
            self.hear_of(ended.origin, ended.known.max(ended.records));
        }
        Ok(is_new)
    }

    /// Takes over another node's table of end records.
    pub fn learn(&mut self, other: &Origins) {
        self.ends.merge(&other.ends);
        for (origin, _) in other.logs() {
            self.ends.hold_whole(origin, other.whole(origin));
        }
        let ends = &self.ends;
        self.logs.retain(|origin, _| !ends.is_sealed(*origin));
    }

    /// Another node's table has every end record among the first `records` of a log, and this node has taken that table
    /// over.
    pub(super) fn hold_whole(&mut self, origin: Origin, records: u64) {
        self.ends.hold_whole(origin, records);
    }

    /// Frees the records in a range here: by flush or retention. Their end records stay in the table.
    pub fn free(&mut self, origin: Origin, range: RangeInclusive<u64>) {
        #[cfg(any(test, feature = "planted-bugs"))]
        if self.has(Bug::EndLostWithSegment) {
            self.ends.lose(origin, range.clone());
        }
        if let Some(log) = self.open(origin) {
            log.free(range);
        }
    }

    /// Takes a range over that another member names as freed, with the number of the first entry of that log. The other
    /// member's table must be here: end records in the range come with nothing else.
    pub fn take_freed(
        &mut self,
        origin: Origin,
        range: RangeInclusive<u64>,
        first_entry: Option<u64>,
    ) {
        if let Some(log) = self.open(origin) {
            log.free(range);
            if let Some(first) = first_entry {
                log.note_entry(first);
            }
        }
    }

    /// All end records in a range that was freed are in the table: who freed it had seen them, and named them with it.
    pub(super) fn see(&mut self, origin: Origin, range: RangeInclusive<u64>) {
        if let Some(log) = self.open(origin) {
            log.see(range);
        }
    }

    /// Gives the numbers of a range up that are not held: every member has said that it has neither the records nor end
    /// records of these numbers in its table. Without this, an end record that counts on them would stop readers for ever.
    /// A number that this node's own table has is no loss: the record is taken from there.
    pub fn lose(&mut self, origin: Origin, range: RangeInclusive<u64>) {
        if self.open(origin).is_none() {
            return;
        }
        for number in range {
            let is_row = self.ends.has(origin, number);
            let log = self.logs.entry(origin).or_default();
            if is_row && !log.held().contains(number) {
                log.restore(number);
            } else {
                log.lose(number);
            }
        }
    }

    /// A have or a closed spoke of this number.
    pub fn hear_of(&mut self, origin: Origin, number: u64) {
        if number > 0
            && let Some(log) = self.open(origin)
        {
            log.hear_of(number);
        }
    }

    /// Compares what a have says of its newest record with what is here.
    pub fn check(&mut self, origin: Origin, number: u64, id: EntryId) -> Result<(), Fork> {
        self.logs
            .get_mut(&origin)
            .map_or(Ok(()), |log| log.check(number, id))
    }

    /// The first `records` of a log are settled.
    pub fn settle(&mut self, origin: Origin, records: u64) {
        if records > 0
            && let Some(log) = self.open(origin)
        {
            log.settle(records);
        }
    }

    /// Every member has freed the first `records` of this origin, and all of the earlier ones of its node.
    pub fn seal(&mut self, origin: Origin, records: u64) {
        self.ends.seal(origin, records);
        let ends = &self.ends;
        self.logs.retain(|origin, _| !ends.is_sealed(*origin));
    }

    /// Notes which records have waited too long for the order.
    pub fn grow_old(&mut self, now: crate::time::Time, patience: std::time::Duration) {
        for log in self.logs.values_mut() {
            log.grow_old(now, patience);
        }
    }

    /// How far a reader with this cut has come in a log, given what the end records in its named part say.
    pub(super) fn passed(&self, cut: &Cut, implied: Passed, origin: Origin) -> Passed {
        let named = cut.get(origin).unwrap_or_default();
        let mut passed = self.ends.floor(origin).union(named).union(implied);
        if self.has(Bug::NewcomerRead) && !cut.names(origin) && !cut.is_empty() {
            passed = passed.union(Passed::new(self.prefix(origin), 0));
        }
        passed
    }

    /// The log of an origin, begun if there is none; nothing for a sealed one.
    fn open(&mut self, origin: Origin) -> Option<&mut OriginLog> {
        (!self.ends.is_sealed(origin)).then(|| self.logs.entry(origin).or_default())
    }

    /// A bug that these rules are made to have.
    #[cfg(any(test, feature = "planted-bugs"))]
    pub(super) fn planted(&self) -> Option<Bug> {
        self.planted
    }

    /// Breaks a rule on purpose, so that a test can prove that it finds it.
    #[cfg(any(test, feature = "planted-bugs"))]
    pub fn plant(&mut self, bug: Bug) {
        self.planted = Some(bug);
    }
}
