//! A page: what a reader gets next at one node, and the cursor that says exactly where the page ends (rule 1).
//!
//! A page is opened under the node's lock with all that the rules need, is filled outside of it while the records come from
//! memory or disk, and is closed under the lock again. It merges the logs by id. How far it may go in each log:
//!
//! 1. What is held without a gap, and settled.
//! 2. An origin that is over goes as far as the largest end record here says (rule 4).
//! 3. An end record is passed only when all that it ends can be passed, too: the page diverts to what is missing, which is
//!    late (rule 5).
//! 4. Of an origin that is *blind*, nothing is given and nothing is claimed (rule 6): the cut does not name it, names a
//!    later one of its node, and this node does not know all end records of that named part. So how far the reader has come
//!    in it cannot be told here.
//! 5. In order of id up to the stable id; what lies above waits, unless it has waited for too long.
//!
//! Invariant: what a page gave is what lies between its two cursors, for the records that it was asked to show.

use std::collections::VecDeque;

use super::cursor::Cursor;
use super::cut::{Cut, Passed};
use super::ends::{EndRecord, Ended};
use super::id::EntryId;
use super::origin::Origin;
use super::origins::Origins;
use super::planted::Bug;
use super::spans::Spans;

/// What the place of a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// An entry; one that the reader does not want is passed silently: it does not match, or is flushed.
    Entry {
        /// Its id.
        id: EntryId,
        /// Whether to give it.
        wanted: bool,
    },
    /// Entries that the reader does not want, from here on: passed silently, as far as their order allows.
    Run {
        /// The id of the first one.
        id: EntryId,
        /// The last number.
        to: u64,
        /// Its id.
        last: EntryId,
    },
    /// Nothing any more, or an end record: passed silently.
    Freed {
        /// The last number of which that holds.
        to: u64,
    },
    /// It cannot be read now: the page ends before it.
    Absent,
}

/// What a reader gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// An entry.
    Entry {
        /// In this log.
        origin: Origin,
        /// Under this number.
        number: u64,
        /// With this id.
        id: EntryId,
        /// Whether a fault held it up: it lies below what was given in order, or above it and did not wait.
        late: bool,
    },
    /// Records of an origin that may be lost: entries before this id, of any channel. Told once.
    Lost {
        /// They were published before this.
        before: EntryId,
        /// Whose records.
        origin: Origin,
        /// The first and the last of their numbers.
        numbers: (u64, u64),
    },
}

#[derive(Debug, Clone)]
enum Head {
    Entry { id: EntryId, wanted: bool },
    Run { id: EntryId, to: u64, last: EntryId },
    End(EndRecord),
    Lost,
}

/// One log in the merge.
#[derive(Debug, Clone)]
struct Lane {
    origin: Origin,
    opened: Passed,
    passed: Passed,
    /// What the node may give when an end record asks for it.
    limit: u64,
    /// What it may give by itself.
    until: u64,
    overdue: u64,
    first_entry: Option<u64>,
    is_blind: bool,
    rows: VecDeque<(u64, EndRecord)>,
    lost: Spans,
    /// The reader was told that records of this origin are lost.
    has_told: bool,
    head: Option<Head>,
}

/// A page that is being filled.
#[derive(Debug, Clone)]
pub struct Page {
    cursor: Cursor,
    reached: EntryId,
    stable: EntryId,
    /// What lies above this does not wait for the order: a wrong clock made it.
    horizon: EntryId,
    /// In order of their origins.
    lanes: Vec<Lane>,
    /// A record could not be read: what follows it is not late for that.
    is_cut_off: bool,
}

impl Page {
    /// Begins a page behind a cursor, at a node with these logs and this stable id.
    pub fn open(origins: &Origins, stable: EntryId, cursor: Cursor) -> Self {
        let cut = cursor.cut();
        let implied = origins.ends().implied(cut);
        let lane = |origin| {
            let implied = implied.get(&origin).copied().unwrap_or_default();
            let passed = origins.passed(cut, implied, origin);
            Lane::open(origins, cut, origin, passed)
        };
        let mut lanes: Vec<Lane> = origins.logs().map(|(origin, _)| lane(origin)).collect();
        // What end records speak of and no log is here of.
        let mut others: Vec<Origin> = lanes
            .iter()
            .flat_map(|lane| &lane.rows)
            .flat_map(|(_, row)| row.ended())
            .map(|ended| ended.origin)
            .filter(|origin| origins.log(*origin).is_none())
            .collect();
        others.sort_unstable();
        others.dedup();
        lanes.extend(others.into_iter().map(lane));
        lanes.sort_unstable_by_key(|lane| lane.origin);
        let mut page = Page {
            reached: cursor.id(),
            cursor,
            stable,
            horizon: EntryId::MAX,
            lanes,
            is_cut_off: false,
        };
        page.stop_before_ends(origins);
        let cut = page.cursor.cut();
        for lane in &mut page.lanes {
            lane.until = lane.limit;
            let is_over = origins.is_over(lane.origin) || cut.later(lane.origin).next().is_some();
            if is_over {
                let reach = origins.ends().reach(lane.origin);
                lane.until = lane.limit.min(reach.map_or(0, |reach| reach.records));
            }
        }
        page
    }

    /// Records above this id do not wait for the order.
    #[must_use]
    pub(super) fn with_horizon(mut self, horizon: EntryId) -> Self {
        self.horizon = horizon;
        self
    }

    /// The next thing for the reader; none when the page is at its end for now. `look` says what a place holds, and is asked
    /// in the order of its log, for most places once.
    pub fn next(&mut self, look: impl FnMut(Origin, u64) -> Look) -> Option<Given> {
        self.next_if(look, |_| true)
    }

    /// The same, as far as `accept` says: it is asked before each record is passed, with the origin and the number of an entry
    /// that the reader wants. If it does not, the page ends before that record.
    pub fn next_if(
        &mut self,
        mut look: impl FnMut(Origin, u64) -> Look,
        mut accept: impl FnMut(Option<(Origin, u64, EntryId)>) -> bool,
    ) -> Option<Given> {
        loop {
            let Some(first) = self.choose(&mut look) else {
                if !self.is_cut_off {
                    self.reached = self.reached.max(self.stable);
                }
                return None;
            };
            let Some(at) = self.divert(first, &mut look) else {
                // It cannot be read now what an end record asks for.
                self.lanes[first].until = self.lanes[first].passed.records();
                self.is_cut_off = true;
                continue;
            };
            let lane = &self.lanes[at];
            let wanted = match lane.head {
                Some(Head::Entry { id, wanted: true }) => {
                    Some((lane.origin, lane.passed.records() + 1, id))
                }
                Some(
                    Head::Entry { wanted: false, .. }
                    | Head::Run { .. }
                    | Head::End(_)
                    | Head::Lost,
                )
                | None => None,
            };
            if !accept(wanted) {
                return None;
            }
            if let Some(given) = self.step(at, at != first) {
                return Some(given);
            }
        }
    }

    /// The id up to which the reader has been taken in order.
    pub fn reached(&self) -> EntryId {
        self.reached
    }

    /// Ends the page: the cursor behind all that was given.
    pub fn close(self, origins: &Origins) -> Cursor {
        self.cursor(origins)
    }

    /// The cursor behind all that was given so far.
    pub fn cursor(&self, origins: &Origins) -> Cursor {
        let mut cut = self.cursor.cut().clone();
        for lane in self.lanes.iter().filter(|lane| !lane.is_blind) {
            let mut passed = lane.passed;
            if origins.has(Bug::CursorPastPage) {
                passed = passed.union(Passed::new(lane.until, 0));
            }
            if origins.has(Bug::LostTwice) {
                passed = Passed::new(passed.records(), 0);
            }
            let has_moved = passed.records() > lane.opened.records();
            let has_entries = lane
                .first_entry
                .is_some_and(|first| first <= passed.records());
            if cut.names(lane.origin) || has_moved && has_entries || lane.has_told {
                cut.pass(lane.origin, passed);
            }
        }
        origins.drop_names(&mut cut);
        Cursor::new(self.reached, cut)
    }

    /// Lowers the limits so that no end record is passed before what it ends, however deep that goes.
    fn stop_before_ends(&mut self, origins: &Origins) {
        loop {
            let closed: Vec<Option<u64>> = self
                .lanes
                .iter()
                .map(|lane| self.first_closed(lane))
                .collect();
            if closed.iter().all(Option::is_none) || origins.has(Bug::EndTooEarly) {
                return;
            }
            for (lane, closed) in self.lanes.iter_mut().zip(closed) {
                lane.limit = closed.map_or(lane.limit, |number| number - 1);
            }
            if origins.has(Bug::NestedEndTooEarly) {
                return;
            }
        }
    }

    /// The first end record of a lane that may not be passed.
    fn first_closed(&self, lane: &Lane) -> Option<u64> {
        let is_passable = |ended: &Ended| {
            self.lane(ended.origin).is_some_and(|at| {
                let lane = &self.lanes[at];
                !lane.is_blind && ended.records <= lane.limit.max(lane.passed.records())
            })
        };
        let within = |(number, _): &&(u64, EndRecord)| *number <= lane.limit;
        let mut rows = lane.rows.iter().take_while(within);
        rows.find(|(_, row)| !row.ended().iter().all(is_passable))
            .map(|(number, _)| *number)
    }

    fn lane(&self, origin: Origin) -> Option<usize> {
        self.lanes
            .binary_search_by_key(&origin, |lane| lane.origin)
            .ok()
    }

    /// The lane whose next record comes first by id, of those that may go on.
    fn choose(&mut self, look: &mut impl FnMut(Origin, u64) -> Look) -> Option<usize> {
        let mut best: Option<(EntryId, usize)> = None;
        for at in 0..self.lanes.len() {
            let until = self.lanes[at].until;
            let Some(id) = self.lanes[at].fetch(until, look) else {
                self.is_cut_off |= self.lanes[at].until < until;
                continue;
            };
            let lane = &self.lanes[at];
            let is_due =
                id <= self.stable || lane.passed.records() < lane.overdue || self.horizon < id;
            if is_due && best.is_none_or(|(lowest, _)| id < lowest) {
                best = Some((id, at));
            }
        }
        best.map(|(_, at)| at)
    }

    /// Where to go first, if the head of the lane is an end record: to what the reader has not passed of what that ends.
    fn divert(
        &mut self,
        first: usize,
        look: &mut impl FnMut(Origin, u64) -> Look,
    ) -> Option<usize> {
        let mut at = first;
        // End records refer to what was written before them, so this goes round only if somebody made records up.
        for _ in 0..=self.lanes.len() {
            let Some(Head::End(row)) = self.lanes[at].head.clone() else {
                return Some(at);
            };
            let mut missing = row.ended().iter().filter_map(|ended| {
                let place = self.lane(ended.origin)?;
                let lane = &self.lanes[place];
                (lane.passed.records() < ended.records.min(lane.limit)).then_some((place, ended))
            });
            let Some((place, ended)) = missing.next() else {
                return Some(at);
            };
            let until = ended.records.min(self.lanes[place].limit);
            let lane = &mut self.lanes[place];
            if lane.fetch(until, look).is_some() {
                at = place;
            } else if lane.passed.records() < until {
                return None;
            }
        }
        None
    }

    /// Passes the head of a lane.
    fn step(&mut self, at: usize, is_diverted: bool) -> Option<Given> {
        let lane = &mut self.lanes[at];
        let number = lane.passed.records() + 1;
        match lane.head.take().expect("a chosen lane has a head") {
            Head::Entry { id, wanted } => {
                lane.pass(number);
                let origin = lane.origin;
                let in_order = self.reach(id, is_diverted);
                wanted.then_some(Given::Entry {
                    origin,
                    number,
                    id,
                    late: !in_order,
                })
            }
            Head::Run { id, to, last } => {
                let until = self.lanes[at].until;
                if !is_diverted && to <= until && last < self.bound_of(at) {
                    self.lanes[at].pass(to);
                    self.reach(last, false);
                } else {
                    self.lanes[at].pass(number);
                    self.reach(id, is_diverted);
                }
                None
            }
            Head::End(row) => {
                let lost = row.ended().iter().find_map(|ended| self.tell(&row, ended));
                if lost.is_some() {
                    self.lanes[at].head = Some(Head::End(row));
                    return lost;
                }
                self.lanes[at].pass(number);
                self.lanes[at].rows.pop_front();
                self.reach(row.id(), is_diverted);
                None
            }
            Head::Lost => {
                let end = lane.lost.end_of_run(number).unwrap_or(number);
                // A lost end record that the table has is passed as an end record.
                let row = lane.rows.front().map_or(u64::MAX, |(row, _)| *row);
                let to = end.min(lane.limit).min(row - 1);
                let from = number.max(lane.passed.told() + 1);
                let origin = lane.origin;
                lane.pass(to);
                lane.has_told |= from <= to;
                (from <= to).then_some(Given::Lost {
                    before: self.reached,
                    origin,
                    numbers: (from, to),
                })
            }
        }
    }

    /// Tells what an end record knows to be lost, if nobody told it yet.
    fn tell(&mut self, row: &EndRecord, ended: &Ended) -> Option<Given> {
        let at = self.lane(ended.origin)?;
        let lane = &mut self.lanes[at];
        let told = lane.passed.told().max(ended.records);
        if ended.known <= told {
            return None;
        }
        lane.passed = Passed::new(lane.passed.records(), ended.known);
        lane.has_told = true;
        Some(Given::Lost {
            before: row.id(),
            origin: ended.origin,
            numbers: (told + 1, ended.known),
        })
    }

    /// Below this id all records of a lane come before those of the other lanes, and in order.
    fn bound_of(&self, at: usize) -> EntryId {
        let others = self
            .lanes
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != at);
        let heads = others.filter_map(|(_, lane)| lane.next_id());
        heads.min().unwrap_or(EntryId::MAX).min(self.stable.after())
    }

    /// Moves the id of the cursor, if a record comes in order.
    fn reach(&mut self, id: EntryId, is_diverted: bool) -> bool {
        let in_order = !is_diverted && self.reached < id && id <= self.stable;
        if in_order {
            self.reached = id;
        }
        in_order
    }
}

impl Lane {
    fn open(origins: &Origins, cut: &Cut, origin: Origin, passed: Passed) -> Lane {
        let mut later = cut.later(origin);
        let is_blind = !cut.names(origin)
            && later.any(|(later, passed)| {
                let is_ignored = origins.has(Bug::LaterIgnored) && origins.log(later).is_none();
                !is_ignored && origins.whole(later) < passed.records()
            });
        let log = origins.log(origin);
        let limit = match log {
            Some(log) if !is_blind => log.prefix().min(log.settled()),
            Some(_) | None => passed.records(),
        };
        let from = passed.records().saturating_add(1);
        let rows = origins.ends().rows(origin, from);
        Lane {
            origin,
            opened: passed,
            passed,
            limit,
            until: 0,
            overdue: log.map_or(0, super::log::OriginLog::overdue),
            first_entry: log.and_then(super::log::OriginLog::first_entry),
            is_blind,
            rows: rows
                .take_while(|(number, _)| *number <= limit)
                .map(|(number, row)| (number, row.clone()))
                .collect(),
            lost: log.map(|log| log.lost().clone()).unwrap_or_default(),
            has_told: false,
            head: None,
        }
    }

    /// The id of the next record, if the lane may go on to it; what was freed is passed on the way.
    fn fetch(&mut self, until: u64, look: &mut impl FnMut(Origin, u64) -> Look) -> Option<EntryId> {
        while self.head.is_none() && self.passed.records() < until {
            let number = self.passed.records() + 1;
            let row = self.rows.front().filter(|(at, _)| *at == number);
            self.head = if let Some((_, row)) = row {
                Some(Head::End(row.clone()))
            } else if self.lost.contains(number) {
                Some(Head::Lost)
            } else {
                match look(self.origin, number) {
                    Look::Entry { id, wanted } => Some(Head::Entry { id, wanted }),
                    Look::Run { id, to, last } => {
                        let row = self.rows.front().map_or(u64::MAX, |(row, _)| *row);
                        Some(if to < row {
                            Head::Run { id, to, last }
                        } else {
                            Head::Entry { id, wanted: false }
                        })
                    }
                    Look::Freed { to } => {
                        let row = self.rows.front().map_or(u64::MAX, |(row, _)| *row);
                        self.pass(to.max(number).min(until).min(row - 1));
                        None
                    }
                    Look::Absent => {
                        self.until = self.until.min(self.passed.records());
                        return None;
                    }
                }
            };
        }
        if self.passed.records() >= until {
            return None;
        }
        self.next_id()
    }

    /// The id of the head.
    fn next_id(&self) -> Option<EntryId> {
        self.head.as_ref().map(|head| match head {
            Head::Entry { id, .. } | Head::Run { id, .. } => *id,
            Head::End(row) => row.id(),
            Head::Lost => EntryId::ZERO,
        })
    }

    fn pass(&mut self, number: u64) {
        self.passed = self.passed.union(Passed::new(number, 0));
    }
}
