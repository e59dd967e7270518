//! Which end records a node owes (rule 3), and which names a cut needs (rule 7).
//!
//! A new life of a node ends the former ones with its first record, as far as it holds them. If the node finds more later,
//! it writes another end record with a larger number. For a forgotten node, the node that ran FORGET does both.

use super::cut::{Cut, Passed};
use super::ends::{EndRecord, Ended};
use super::log::OriginLog;
use super::origin::{Origin, OriginNode};
use super::origins::Origins;
use super::planted::Bug;

impl Origins {
    /// What the first record of a new origin ends: each earlier origin of the node that has something to show, or is known
    /// to have had more records. Called when the node has gathered what the present members hold.
    pub fn ended_by_first(&self, own: Origin) -> Vec<Ended> {
        let former = self.logs_of(own.node());
        former
            .filter(|(origin, log)| {
                let is_lost = self.end_of(*origin, log).known > log.prefix();
                own.is_later_than(*origin) && (is_lost || self.shows(*origin, log))
            })
            .map(|(origin, log)| self.end_of(origin, log))
            .collect()
    }

    /// What a node owes when it found more of its own former origins: they go further than its own end records say.
    pub fn owed(&self, own: Origin) -> Vec<Ended> {
        let former = self.logs_of(own.node());
        former
            .filter(|(origin, log)| {
                let reach = self.ends().reach(*origin);
                let said = reach.and_then(|reach| reach.own);
                own.is_later_than(*origin) && self.goes_further(*origin, log, said)
            })
            .map(|(origin, log)| self.end_of(origin, log))
            .collect()
    }

    /// What FORGET ends, and what the node that ran it owes when more of a forgotten node is found: the node's current
    /// origin in any case, and each that goes further than the end records say.
    pub fn owed_of_forgotten(&self, node: OriginNode) -> Vec<Ended> {
        let current = self.current(node);
        let logs = self.logs_of(node);
        logs.filter(|(origin, log)| {
            let said = self.ends().reach(*origin).map(|reach| reach.records);
            let is_open = said.is_none() && current == Some(*origin);
            is_open || self.goes_further(*origin, log, said)
        })
        .map(|(origin, log)| self.end_of(origin, log))
        .collect()
    }

    fn goes_further(&self, origin: Origin, log: &OriginLog, said: Option<u64>) -> bool {
        if self.has(Bug::EndedCutShort) && said.is_some() {
            return false;
        }
        self.shows(origin, log) && said.is_none_or(|records| records < log.prefix())
    }

    /// Whether readers are shown something of what is held of a log: an entry, or a loss. A log with nothing but other end
    /// records needs no end: its next life repeats them.
    fn shows(&self, origin: Origin, log: &OriginLog) -> bool {
        let records = log.prefix();
        let has_entries = log.first_entry().is_some_and(|first| first <= records);
        let mut rows = self.ends().rows(origin, 1);
        let tells = |row: &EndRecord| row.ended().iter().any(|e| e.known > e.records);
        let has_losses = log.lost().next(1).is_some_and(|first| first <= records);
        has_entries || has_losses || rows.any(|(number, row)| number <= records && tells(row))
    }

    /// Takes the names out that the rest of the cut implies.
    ///
    /// A name goes only if the cut names a later origin of its node, the end records in that named part give exactly its
    /// numbers, and all other origins of the node stay where they are without it. The table must be whole for the name and
    /// for the later ones: an end record that this node does not know may be what another origin rests on. The name of a
    /// sealed origin goes in any case.
    pub(super) fn drop_names(&self, cut: &mut Cut) {
        let named: Vec<(Origin, Passed)> = cut.iter().collect();
        for (origin, passed) in named.into_iter().rev() {
            let floor = self.ends().floor(origin);
            if floor.union(passed) == floor || self.is_implied(cut, origin, passed) {
                cut.drop_name(origin);
            }
        }
    }

    /// The same cut with fewer names, for one that was merged from cuts of different times: each name says at least what the
    /// rest of the cut says of it, and what says no more goes.
    pub(super) fn tidy(&self, cut: &mut Cut) {
        let named: Vec<(Origin, Passed)> = cut.iter().collect();
        for (origin, _) in named {
            let passed = self.passed_by(cut, origin);
            cut.pass(origin, passed);
        }
        self.drop_names(cut);
    }

    fn is_implied(&self, cut: &Cut, origin: Origin, passed: Passed) -> bool {
        if cut.later(origin).next().is_none() {
            return false;
        }
        if self.has(Bug::NameDroppedEarly) {
            return true;
        }
        let is_whole = |(log, passed): (Origin, Passed)| self.whole(log) >= passed.records();
        if !is_whole((origin, passed)) || !cut.later(origin).all(is_whole) {
            return false;
        }
        let rest = cut.without(origin);
        if self.passed_by(&rest, origin) != passed {
            return false;
        }
        if self.has(Bug::NameDroppedUnderOthers) {
            return true;
        }
        let mut others = self.ends().ended_within(origin, passed.records());
        others.all(|ended| {
            let without = self.passed_by(&rest, ended.origin);
            without.union(Passed::new(ended.records, ended.known)) == without
        })
    }

    fn passed_by(&self, cut: &Cut, origin: Origin) -> Passed {
        self.passed(cut, self.ends().implied_of(cut, origin), origin)
    }

    /// An end record may know more than the logs: its own log may have lost it.
    fn end_of(&self, origin: Origin, log: &OriginLog) -> Ended {
        let reach = self.ends().reach(origin).unwrap_or_default();
        Ended {
            origin,
            records: log.prefix(),
            known: log.known().max(reach.known),
        }
    }
}
