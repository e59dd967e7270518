//! What a node knows of the log of one origin: which records it holds, and how far they are settled.
//!
//! The records themselves are on disk. A number that flush or retention freed counts as held: a reader passes it silently.
//! So does a number that is *lost*: every member has said that it does not have the record. A reader who passes it is told.
//!
//! Invariants: the ids of a log rise with the numbers. One number has one id: a second one is a fork, the mark of a copied
//! machine, and such a log takes nothing any more.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::id::EntryId;
use super::spans::Spans;
use crate::time::Time;

/// One number has two ids, or ids do not rise: the log is refused from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("record {number} of the log is not the one that this node knows")]
pub struct Fork {
    /// The number at which it shows.
    pub number: u64,
}

/// The log of one origin, as one node holds it.
#[derive(Debug, Clone, Default)]
pub struct OriginLog {
    held: Spans,
    /// Held because the record itself came: the table of end records is whole as far as these go.
    seen: Spans,
    freed: Spans,
    lost: Spans,
    /// Ids at the ends of what is held, to find forks.
    edges: BTreeMap<u64, EntryId>,
    first_entry: Option<u64>,
    settled: u64,
    known: u64,
    overdue: Overdue,
    is_refused: bool,
}

/// Records that were settled long ago and are above the stable id all the same.
#[derive(Debug, Clone, Copy, Default)]
struct Overdue {
    /// This many records have waited for long enough.
    records: u64,
    /// This many were settled at that moment.
    noted: Option<(Time, u64)>,
}

impl OriginLog {
    /// How many records are held from the first one on without a gap. Readers get no others.
    pub fn prefix(&self) -> u64 {
        self.held.prefix()
    }

    /// The numbers held, freed and lost ones included: what a have tells.
    pub fn held(&self) -> &Spans {
        &self.held
    }

    /// The numbers whose records flush or retention freed.
    pub fn freed(&self) -> &Spans {
        &self.freed
    }

    /// The numbers whose records no member has.
    pub fn lost(&self) -> &Spans {
        &self.lost
    }

    /// Number and id of the newest record that came: a have tells them, so that forks are found.
    pub fn newest(&self) -> Option<(u64, EntryId)> {
        let (number, id) = self.edges.last_key_value()?;
        Some((*number, *id))
    }

    /// This many records are settled, as far as this node has heard: only they are read.
    pub fn settled(&self) -> u64 {
        self.settled
    }

    /// Whether records are here that would be read if they were settled.
    pub fn is_unsettled(&self) -> bool {
        self.settled < self.prefix()
    }

    /// The highest number that any have, closed or end record spoke of.
    pub fn known(&self) -> u64 {
        self.known.max(self.held.last())
    }

    /// The number of the first entry, if an entry ever came. Only an origin with entries is named in cuts and ended.
    pub fn first_entry(&self) -> Option<u64> {
        self.first_entry
    }

    /// Whether a fork was found.
    pub fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Notes which settled records have waited for the order for `patience`: those are given as late (part 3).
    pub fn grow_old(&mut self, now: Time, patience: Duration) {
        if let Some((since, records)) = self.overdue.noted
            && now.since(since) >= patience
        {
            self.overdue.records = records;
            self.overdue.noted = None;
        }
        if self.overdue.noted.is_none() && self.settled > self.overdue.records {
            self.overdue.noted = Some((now, self.settled));
        }
    }

    /// This many records wait for the order no longer.
    pub(super) fn overdue(&self) -> u64 {
        self.overdue.records
    }

    /// Up to which number the records came one after the other behind the first `from`.
    pub(super) fn seen_from(&self, from: u64) -> u64 {
        self.seen.end_of_run(from.saturating_add(1)).unwrap_or(from)
    }

    pub(super) fn note_entry(&mut self, number: u64) {
        let first = self.first_entry.map_or(number, |first| first.min(number));
        self.first_entry = Some(first);
    }

    pub(super) fn hear_of(&mut self, number: u64) {
        self.known = self.known.max(number);
    }

    pub(super) fn settle(&mut self, records: u64) {
        self.settled = self.settled.max(records);
    }

    /// Whether a record with this id can have this number. After a refusal, none can.
    pub(super) fn check(&mut self, number: u64, id: EntryId) -> Result<(), Fork> {
        let below = self.edges.range(..=number).next_back();
        let rises_from = below.is_none_or(|(at, known)| {
            if *at == number {
                *known == id
            } else {
                *known < id
            }
        });
        let above = self.edges.range(number.saturating_add(1)..).next();
        let rises_to = above.is_none_or(|(_, known)| id < *known);
        self.is_refused |= number == 0 || !rises_from || !rises_to;
        if self.is_refused {
            return Err(Fork { number });
        }
        Ok(())
    }

    /// Holds a record; false if its number was held before. A number that was lost is found again.
    pub(super) fn take(&mut self, number: u64, id: EntryId) -> Result<bool, Fork> {
        self.check(number, id)?;
        let is_new = !self.held.contains(number) || self.lost.contains(number);
        if is_new {
            self.lost.remove(number..=number);
            self.held.insert(number..=number);
            self.seen.insert(number..=number);
            self.add_edge(number, id);
        }
        Ok(is_new)
    }

    /// Counts records that flush or retention freed as held, here or at the member that named the range.
    pub(super) fn free(&mut self, range: RangeInclusive<u64>) {
        self.held.insert(range.clone());
        self.freed.insert(range);
    }

    /// All end records among these numbers are in the table.
    pub(super) fn see(&mut self, range: RangeInclusive<u64>) {
        self.seen.insert(range);
    }

    /// Counts a record that no member has as held.
    pub(super) fn lose(&mut self, number: u64) {
        if !self.held.contains(number) {
            self.restore(number);
            self.lost.insert(number..=number);
        }
    }

    /// Holds an end record that only the table has.
    pub(super) fn restore(&mut self, number: u64) {
        self.held.insert(number..=number);
        self.seen.insert(number..=number);
    }

    /// Keeps the ids of the first and last numbers of each run only.
    fn add_edge(&mut self, number: u64, id: EntryId) {
        self.edges.insert(number, id);
        for near in [number - 1, number, number.saturating_add(1)] {
            let is_inside = near > 1
                && self.held.contains(near - 1)
                && self.held.contains(near)
                && self.held.contains(near.saturating_add(1));
            if is_inside {
                self.edges.remove(&near);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> EntryId {
        EntryId::new(ms, 0)
    }

    #[test]
    fn a_reader_gets_what_is_held_without_a_gap() {
        let mut log = OriginLog::default();
        assert_eq!(log.take(1, id(10)), Ok(true));
        assert_eq!(log.take(3, id(30)), Ok(true));
        assert_eq!((log.prefix(), log.known()), (1, 3));
        assert_eq!(log.take(3, id(30)), Ok(false));
        assert_eq!(log.take(2, id(20)), Ok(true));
        assert_eq!(log.prefix(), 3);
        assert_eq!(log.newest(), Some((3, id(30))));
    }

    #[test]
    fn two_ids_for_one_number_are_a_fork_and_the_log_is_refused() {
        for (number, ms) in [(3, 31), (4, 25), (2, 35), (0, 1)] {
            let mut log = OriginLog::default();
            log.take(3, id(30)).expect("the first record");
            assert_eq!(log.take(number, id(ms)), Err(Fork { number }));
            assert!(log.is_refused());
            assert_eq!(log.take(5, id(50)), Err(Fork { number: 5 }));
        }
    }

    #[test]
    fn what_was_freed_counts_as_held() {
        let mut log = OriginLog::default();
        log.take(5001, id(9)).expect("a new record");
        assert_eq!(log.prefix(), 0);
        log.free(1..=5000);
        assert_eq!(log.prefix(), 5001);
        assert_eq!(log.seen_from(0), 0);
        assert_eq!(log.seen_from(5000), 5001);
    }

    #[test]
    fn a_lost_record_may_be_found() {
        let mut log = OriginLog::default();
        log.take(1, id(10)).expect("a new record");
        for number in 1..=3 {
            log.lose(number);
        }
        assert_eq!(log.lost().iter().collect::<Vec<_>>(), [2..=3]);
        assert_eq!((log.prefix(), log.take(2, id(20))), (3, Ok(true)));
        assert_eq!(log.lost().iter().collect::<Vec<_>>(), [3..=3]);
    }

    #[test]
    fn few_ids_are_kept_in_memory() {
        let mut log = OriginLog::default();
        for number in (1..1000).chain(2000..3000) {
            log.take(number, id(number)).expect("ids rise");
        }
        assert!(log.edges.len() <= 4, "{:?}", log.edges);
        assert!(log.take(1500, id(2000)).is_err(), "between 999 and 2000");
    }

    #[test]
    fn order_holds_a_settled_record_up_for_a_bounded_time() {
        let (mut log, second) = (OriginLog::default(), Duration::from_secs(1));
        let at = |secs| Time::ZERO.after_secs(secs);
        log.settle(5);
        log.grow_old(at(0), second);
        log.settle(9);
        log.grow_old(at(0), second);
        assert_eq!(log.overdue(), 0);
        log.grow_old(at(1), second);
        assert_eq!(log.overdue(), 5);
        log.grow_old(at(2), second);
        assert_eq!(log.overdue(), 9);
    }
}
