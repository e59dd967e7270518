//! The stable id: up to which readers at this node are taken in order.
//!
//! Each origin promises with *closed* that it makes no id at or below this one, that its records up to there are the first
//! `n`, and that they are settled. The stable id is the largest one such that this node holds, of each counted member, the
//! log up to a closed at or above it. It never goes back. A member that is set aside does not hold it up; the member is
//! counted again when its log is here up to a closed at or above the stable id, so that one who was away for long does not
//! stop everybody.
//!
//! Order is all that rests on this: which entries come, and that each comes once, rests on cuts alone.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::id::EntryId;
use super::origin::{Origin, OriginNode};
use super::origins::Origins;

/// Promises of one member that wait for records.
const WAITING_MAX: usize = 16;

/// A promise of an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// It makes no id at or below this one. [`EntryId::MAX`] after a clean stop.
    pub id: EntryId,
    /// Its records up to there, all settled.
    pub records: u64,
}

/// What this node thinks of one other member.
#[derive(Debug, Clone, Default)]
struct Member {
    is_counted: bool,
    origin: Option<Origin>,
    /// The highest promise of which the records are here.
    kept: EntryId,
    /// Later ones, in order.
    waiting: VecDeque<Closed>,
}

/// The order of entries at one node.
#[derive(Debug, Clone, Default)]
pub struct Order {
    stable: EntryId,
    members: BTreeMap<OriginNode, Member>,
}

impl Order {
    /// Readers have what lies at or below this id, of counted members.
    pub fn stable(&self) -> EntryId {
        self.stable
    }

    /// A member joined. It is not counted before [`Self::count`].
    pub fn join(&mut self, node: OriginNode) {
        self.members.entry(node).or_default();
    }

    /// A member was forgotten.
    pub fn forget(&mut self, node: OriginNode) {
        self.members.remove(&node);
    }

    /// A member is down, or left a question or a record it announced unanswered for too long. Silence alone is no reason.
    pub fn set_aside(&mut self, node: OriginNode) {
        if let Some(member) = self.members.get_mut(&node) {
            member.is_counted = false;
        }
    }

    /// The highest id that a member promised, whether or not its records are here.
    pub fn promised(&self, node: OriginNode) -> EntryId {
        let member = self.members.get(&node);
        member.map_or(EntryId::ZERO, Member::promised)
    }

    /// Whether the log of a member is here up to any promise.
    pub fn has_kept(&self, node: OriginNode) -> bool {
        let member = self.members.get(&node);
        member.is_some_and(|member| member.kept > EntryId::ZERO)
    }

    /// Whether a member stopped for good, and its log is here.
    pub fn is_closed_for_good(&self, node: OriginNode) -> bool {
        let member = self.members.get(&node);
        member.is_some_and(|member| member.kept == EntryId::MAX)
    }

    /// Whether a counted member promised records that are not here.
    pub fn lacks(&self, node: OriginNode, origins: &Origins) -> bool {
        let member = self.members.get(&node).filter(|member| member.is_counted);
        member.is_some_and(|member| {
            let here = member.origin.map_or(0, |origin| origins.prefix(origin));
            let first = member.waiting.front();
            first.is_some_and(|closed| closed.records > here)
        })
    }

    /// Whether a member is counted.
    pub fn is_counted(&self, node: OriginNode) -> bool {
        self.members.get(&node).is_some_and(|m| m.is_counted)
    }

    /// An origin promised. Promises of an earlier life of a node are void, as its end records say more.
    pub fn hear(&mut self, origin: Origin, closed: Closed) {
        let Some(member) = self.members.get_mut(&origin.node()) else {
            return;
        };
        if member
            .origin
            .is_some_and(|known| known.is_later_than(origin))
        {
            return;
        }
        if member.origin != Some(origin) {
            member.origin = Some(origin);
            member.kept = EntryId::ZERO;
            member.waiting.clear();
        }
        if member.promised() < closed.id {
            if member.waiting.len() == WAITING_MAX {
                member.waiting.pop_back();
            }
            member.waiting.push_back(closed);
        }
    }

    /// Counts a member (again), if its log is here up to a promise at or above the stable id.
    pub fn count(&mut self, node: OriginNode, origins: &Origins) -> bool {
        let stable = self.stable;
        let Some(member) = self.members.get_mut(&node) else {
            return false;
        };
        member.keep(origins);
        member.is_counted |= member.origin.is_some() && member.kept >= stable;
        member.is_counted
    }

    /// Moves the stable id on, given the promise of this node itself. Returns it.
    pub fn advance(&mut self, own: EntryId, origins: &Origins) -> EntryId {
        let mut lowest = own;
        for member in self.members.values_mut() {
            member.keep(origins);
            if member.is_counted {
                lowest = lowest.min(member.kept);
            }
        }
        self.stable = self.stable.max(lowest);
        self.stable
    }

    /// The counted members whose promises are below this id: whom to ask to close up to it.
    pub fn behind(&self, id: EntryId) -> impl Iterator<Item = OriginNode> + '_ {
        self.members
            .iter()
            .filter(move |(_, member)| member.is_counted && member.promised() < id)
            .map(|(node, _)| *node)
    }
}

impl Member {
    fn promised(&self) -> EntryId {
        self.waiting.back().map_or(self.kept, |last| last.id)
    }

    fn keep(&mut self, origins: &Origins) {
        let Some(origin) = self.origin else {
            return;
        };
        let records = origins.prefix(origin);
        while let Some(closed) = self.waiting.front().filter(|c| c.records <= records) {
            self.kept = self.kept.max(closed.id);
            self.waiting.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: OriginNode = OriginNode::new(1);

    fn life(start: u64) -> Origin {
        Origin::new(PEER, start)
    }

    fn id(ms: u64) -> EntryId {
        EntryId::new(ms, 0)
    }

    fn closed(ms: u64, records: u64) -> Closed {
        let id = id(ms);
        Closed { id, records }
    }

    fn take(origins: &mut Origins, number: u64) {
        let id = id(number);
        origins.take_entry(life(1), number, id).expect("ids rise");
    }

    /// An order that counts one peer, closed up to 10.
    fn counting() -> (Order, Origins) {
        let (mut order, mut origins) = (Order::default(), Origins::default());
        take(&mut origins, 1);
        order.join(PEER);
        order.hear(life(1), closed(10, 1));
        assert!(order.count(PEER, &origins));
        assert_eq!(order.advance(id(50), &origins), id(10));
        (order, origins)
    }

    #[test]
    fn a_promise_counts_once_its_records_are_here() {
        let (mut order, mut origins) = counting();
        order.hear(life(1), closed(20, 2));
        order.hear(life(1), closed(30, 3));
        assert_eq!(order.advance(id(50), &origins), id(10));
        take(&mut origins, 2);
        assert_eq!(order.advance(id(50), &origins), id(20));
        take(&mut origins, 3);
        assert_eq!(order.advance(id(25), &origins), id(25));
    }

    /// History 15.
    #[test]
    fn a_member_that_comes_back_does_not_take_the_stable_id_back() {
        let (mut order, mut origins) = counting();
        order.set_aside(PEER);
        assert_eq!(order.advance(id(300), &origins), id(300));
        order.hear(life(1), closed(400, 2));
        assert!(!order.count(PEER, &origins), "its log is not here");
        assert_eq!(order.stable(), id(300));
        take(&mut origins, 2);
        assert!(order.count(PEER, &origins));
        assert_eq!(order.advance(id(500), &origins), id(400));
    }

    /// History 11: nobody is set aside for being silent, and 19: one who does not answer holds nothing up.
    #[test]
    fn an_idle_member_is_asked_and_only_set_aside_by_the_caller() {
        let (mut order, origins) = counting();
        assert_eq!(order.advance(id(900), &origins), id(10));
        assert_eq!(order.behind(id(50)).collect::<Vec<_>>(), [PEER]);
        assert!(order.is_counted(PEER));
        order.set_aside(PEER);
        assert_eq!(order.behind(id(50)).count(), 0);
        assert_eq!(order.advance(id(900), &origins), id(900));
    }

    /// History 12: a counted member holds the stable id up until its new life promised something.
    #[test]
    fn a_new_life_voids_the_promises_of_the_former_one() {
        let (mut order, origins) = counting();
        order.hear(life(1), closed(90, 9));
        order.hear(life(2), closed(40, 0));
        order.hear(life(1), closed(95, 1));
        assert_eq!(order.advance(id(50), &origins), id(40));
    }

    #[test]
    fn a_clean_stop_closes_an_origin_for_good() {
        let (mut order, origins) = counting();
        let id = EntryId::MAX;
        order.hear(life(1), Closed { id, records: 1 });
        assert_eq!(order.advance(EntryId::new(7000, 0), &origins).ms(), 7000);
    }

    #[test]
    fn many_promises_ahead_of_the_log_take_bounded_room() {
        let (mut order, mut origins) = counting();
        for number in 2..100 {
            order.hear(life(1), closed(10 + number, number));
        }
        assert!(order.members[&PEER].waiting.len() <= WAITING_MAX);
        for number in 2..100 {
            take(&mut origins, number);
        }
        assert_eq!(order.advance(id(500), &origins), id(109));
    }
}
