//! What other members have, and what is settled by that.
//!
//! A record is settled when `topic-replicate` members have it, or all present ones if they are fewer. An end record counts
//! at a member only when that member also has what it ends. A member that still copies the old part of a log counts for the
//! new part. Each node judges by what it heard; only settled records are read, so what a reader saw survives the loss of
//! fewer nodes than that. Who published, and with what REPLICATE, does not matter here: no publisher can hold up readers.
//! Records that `topic-stall` has settled are told to [`Origins::settle`] by the caller.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use super::ends::Ended;
use super::log::OriginLog;
use super::origin::{Origin, OriginNode};
use super::origins::Origins;
use super::spans::Spans;

/// How far the other members have each log.
#[derive(Debug, Clone, Default)]
pub struct Haves(BTreeMap<OriginNode, BTreeMap<Origin, Spans>>);

impl Haves {
    /// A member told which numbers of a log it has.
    pub fn tell(&mut self, member: OriginNode, origin: Origin, held: Spans) {
        self.0.entry(member).or_default().insert(origin, held);
    }

    /// A member has these numbers of a log, too.
    pub fn add(
        &mut self,
        member: OriginNode,
        origin: Origin,
        numbers: std::ops::RangeInclusive<u64>,
    ) {
        let logs = self.0.entry(member).or_default();
        logs.entry(origin).or_default().insert(numbers);
    }

    /// A member does not have these numbers of a log, whatever it told.
    pub fn lacks(
        &mut self,
        member: OriginNode,
        origin: Origin,
        numbers: std::ops::RangeInclusive<u64>,
    ) {
        let held = self.0.get_mut(&member).and_then(|all| all.get_mut(&origin));
        if let Some(held) = held {
            held.remove(numbers);
        }
    }

    /// A new link to a member: what it told before may be lost there.
    pub fn forget(&mut self, member: OriginNode) {
        self.0.remove(&member);
    }

    /// Which numbers of a log a member has, as far as it told.
    pub fn of(&self, member: OriginNode, origin: Origin) -> Option<&Spans> {
        self.0.get(&member).and_then(|all| all.get(&origin))
    }

    /// What a member said that it has, log by log.
    pub(super) fn of_member(&self, member: OriginNode) -> impl Iterator<Item = (Origin, &Spans)> {
        let all = self.0.get(&member).into_iter().flatten();
        all.map(|(origin, held)| (*origin, held))
    }

    /// Whether no member has records of a log beyond this number.
    pub(super) fn all_within(&self, origin: Origin, records: u64) -> bool {
        let held = self.0.values().filter_map(|all| all.get(&origin));
        held.map(Spans::last).all(|last| last <= records)
    }

    /// How many records of a log are settled by their copies, given the present members without this node, and up to which
    /// record the copy of this node counts.
    pub fn settled(
        &self,
        origins: &Origins,
        origin: Origin,
        present: &[OriginNode],
        (replicate, synced): (NonZeroUsize, u64),
    ) -> u64 {
        let others = present
            .iter()
            .map(|member| counted(origins, origin, |origin| self.of(*member, origin)));
        let own = counted(origins, origin, |origin| {
            origins.log(origin).map(OriginLog::held)
        });
        let mut copies: Vec<u64> = others.chain([own.min(synced)]).collect();
        copies.sort_unstable_by(|one, other| other.cmp(one));
        copies[replicate.get().min(copies.len()) - 1]
    }
}

/// How many records of a log count at a member: what it has behind the settled ones without a gap, up to the first end
/// record of which it lacks a part.
fn counted<'a>(
    origins: &Origins,
    origin: Origin,
    has: impl Fn(Origin) -> Option<&'a Spans>,
) -> u64 {
    let settled = origins.log(origin).map_or(0, OriginLog::settled);
    let Some(held) = has(origin) else {
        return 0;
    };
    let Some(records) = held.end_of_run(settled + 1) else {
        return held.prefix();
    };
    let has_all = |e: &Ended| {
        e.records == 0
            || origins.ends().is_sealed(e.origin)
            || has(e.origin).is_some_and(|held| held.prefix() >= e.records)
    };
    origins
        .ends()
        .rows(origin, settled + 1)
        .take_while(|(number, _)| *number <= records)
        .find(|(_, row)| !row.ended().iter().all(has_all))
        .map_or(records, |(number, _)| number - 1)
}

#[cfg(test)]
mod tests {
    use super::super::ends::EndRecord;
    use super::super::id::EntryId;
    use super::*;

    const NODES: [OriginNode; 3] = [OriginNode::new(0), OriginNode::new(1), OriginNode::new(2)];
    const OTHERS: [OriginNode; 2] = [NODES[1], NODES[2]];
    const TWO: NonZeroUsize = NonZeroUsize::new(2).expect("two is more than none");

    fn held(range: std::ops::RangeInclusive<u64>) -> Spans {
        let mut held = Spans::default();
        held.insert(range);
        held
    }

    fn first() -> Origin {
        Origin::new(NODES[0], 1)
    }

    fn node_with_five() -> Origins {
        let mut origins = Origins::default();
        for number in 1..=5 {
            let id = EntryId::new(number, 0);
            origins.take_entry(first(), number, id).expect("ids rise");
        }
        origins
    }

    #[test]
    fn a_record_is_settled_when_enough_members_have_it() {
        let (origins, mut haves) = (node_with_five(), Haves::default());
        let settled =
            |haves: &Haves, present| haves.settled(&origins, first(), present, (TWO, u64::MAX));
        assert_eq!(settled(&haves, &OTHERS), 0);
        haves.tell(NODES[1], first(), held(1..=3));
        haves.tell(NODES[2], first(), held(1..=2));
        assert_eq!(settled(&haves, &OTHERS), 3);
        assert_eq!(settled(&haves, &[NODES[2]]), 2);
        haves.forget(NODES[2]);
        assert_eq!(settled(&haves, &[NODES[2]]), 0);
    }

    #[test]
    fn where_fewer_members_are_present_all_of_them_must_have_it() {
        let (origins, haves) = (node_with_five(), Haves::default());
        assert_eq!(haves.settled(&origins, first(), &[], (TWO, u64::MAX)), 5);
    }

    #[test]
    fn an_end_record_counts_only_with_what_it_ends() {
        let (mut origins, mut haves) = (node_with_five(), Haves::default());
        let second = Origin::new(NODES[0], 2);
        let ended = Ended {
            origin: first(),
            records: 5,
            known: 5,
        };
        let record = EndRecord::new(EntryId::new(6, 0), &[ended]);
        origins.take_end(second, 1, &record).expect("a new log");
        haves.tell(NODES[1], second, held(1..=1));
        haves.tell(NODES[1], first(), held(1..=4));
        assert_eq!(
            haves.settled(&origins, second, &[NODES[1]], (TWO, u64::MAX)),
            0
        );
        haves.tell(NODES[1], first(), held(1..=5));
        assert_eq!(
            haves.settled(&origins, second, &[NODES[1]], (TWO, u64::MAX)),
            1
        );
    }

    /// History 10: a wiped member does not hold publishers up while it copies the old part.
    #[test]
    fn the_new_part_counts_while_the_old_one_is_copied() {
        let (mut origins, mut haves) = (node_with_five(), Haves::default());
        origins.settle(first(), 3);
        haves.tell(NODES[1], first(), held(3..=4));
        assert_eq!(
            haves.settled(&origins, first(), &[NODES[1]], (TWO, u64::MAX)),
            4
        );
        haves.tell(NODES[1], first(), held(5..=5));
        assert_eq!(
            haves.settled(&origins, first(), &[NODES[1]], (TWO, u64::MAX)),
            0
        );
    }
}
