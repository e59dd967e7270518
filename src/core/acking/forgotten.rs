//! The ids of jobs that are over, and how they ended. Of those that this node acknowledged, collected, or was told to forget,
//! it refuses copies that come late.
//!
//! An id is remembered for at least [`limits::FORGOTTEN_FOR`], unless newer ids push it out before that. There are
//! two generations: ids enter the newer one, and from time to time the older one goes as a whole and the newer takes its
//! place, so that nothing is sorted or searched by age. The tables are cut into shards that fill up one by one: no
//! single insert has to move many ids. They serve look-up only; nothing iterates over them.
//!
//! A node that is alone has no late copies to refuse. There the last ids wait in a queue, which costs next to nothing, until somebody asks
//! how a job ended.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use hashbrown::HashTable;

use crate::acking::End;
use crate::agenda::Timer;
use crate::id::JobId;
use crate::limits;
use crate::node::Node;
use crate::outcome::Outcome;
use crate::telling::sizes;
use crate::time::Time;

/// Shards: even a full one grows within 0.1 ms.
const SHARDS: usize = 64;

/// The ids.
#[derive(Debug)]
pub(crate) struct Forgotten {
    shards: Box<[Shard]>,
    hasher: FixedState,
    /// Ids in the tables.
    len: usize,
    /// Of a node that is alone: what is not in the tables yet, oldest first.
    waiting: VecDeque<Over>,
}

#[derive(Debug, Default)]
struct Shard {
    newer: HashTable<Over>,
    older: HashTable<Over>,
}

/// A job that is over.
#[derive(Debug, Clone, Copy)]
struct Over {
    id: JobId,
    end: Known,
}

/// What is remembered of a job that is over. Later ones win over earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Known {
    /// It ended at this node alone. Other nodes may have it, and this one takes it again from any of them.
    Here(Outcome),
    /// Its add was withdrawn: no node is to have it.
    Withdrawn,
    /// It ended: no node is to have it.
    Everywhere(Outcome),
}

impl Known {
    /// How it ended, for those who wait for that; none if it was never added.
    pub(crate) fn outcome(self) -> Option<Outcome> {
        match self {
            Known::Here(outcome) | Known::Everywhere(outcome) => Some(outcome),
            Known::Withdrawn => None,
        }
    }

    /// What a node that brings a copy too late is told; none if it does not come too late.
    pub(super) fn everywhere(self) -> Option<End> {
        match self {
            Known::Here(_) => None,
            Known::Withdrawn => Some(End::WITHDRAWN),
            Known::Everywhere(outcome) => Some(End::other(outcome)),
        }
    }

    /// Whether copies of it come too late.
    fn refuses(self) -> bool {
        !matches!(self, Known::Here(_))
    }
}

impl Forgotten {
    /// No ids. `seed` keys the table.
    pub(crate) fn new(seed: u64) -> Self {
        Forgotten {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            hasher: FixedState::with_seed(seed),
            len: 0,
            waiting: VecDeque::new(),
        }
    }

    /// Whether a copy of this job comes too late.
    pub(crate) fn contains(&self, id: &JobId) -> bool {
        self.get(id).is_some_and(Known::refuses)
    }

    /// How a job ended.
    pub(crate) fn get(&self, id: &JobId) -> Option<Known> {
        if self.len == 0 {
            return None;
        }
        let hash = self.hasher.hash_one(id);
        let shard = &self.shards[shard_of(hash)];
        let is_it = |over: &Over| over.id == *id;
        let newer = shard.newer.find(hash, is_it);
        let over = newer.or_else(|| shard.older.find(hash, is_it));
        over.map(|over| over.end)
    }

    /// Remembers an id; `bound` is how many the node may remember altogether. Returns whether it is the first.
    pub(super) fn remember(&mut self, id: JobId, end: Known, bound: usize) -> bool {
        let first = self.len == 0;
        let hash = self.hasher.hash_one(id);
        let shard = &mut self.shards[shard_of(hash)];
        let is_it = |over: &Over| over.id == id;
        if let Some(over) = shard.newer.find_mut(hash, is_it) {
            over.end = over.end.max(end);
            return false;
        }
        let before = shard.older.find(hash, is_it).map(|over| over.end);
        let end = before.map_or(end, |before| before.max(end));
        if shard.newer.len() >= bound / (2 * SHARDS) {
            self.len -= shard.age();
        }
        let over = Over { id, end };
        shard
            .newer
            .insert_unique(hash, over, |over| self.hasher.hash_one(over.id));
        self.len += 1;
        first
    }

    /// The same, for later: only the last [`limits::FORGOTTEN_ALONE`] ids wait. Returns whether it is the first.
    fn remember_alone(&mut self, id: JobId, end: Known) -> bool {
        let first = self.len() == 0;
        if self.waiting.len() == limits::FORGOTTEN_ALONE {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Over { id, end });
        first
    }

    /// What waited goes into the tables.
    fn settle(&mut self, bound: usize) {
        for Over { id, end } in std::mem::take(&mut self.waiting) {
            self.remember(id, end, bound);
        }
    }

    /// The older generation goes, and the newer takes its place.
    fn age(&mut self) {
        self.len -= self.shards.iter_mut().map(Shard::age).sum::<usize>();
    }

    /// Ids in both generations, and those that wait.
    pub(crate) fn len(&self) -> usize {
        self.len + self.waiting.len()
    }
}

impl Shard {
    /// Returns how many ids went.
    fn age(&mut self) -> usize {
        let gone = self.older.len();
        self.older = std::mem::take(&mut self.newer);
        gone
    }
}

/// The table itself uses the lowest and the highest bits of a hash.
fn shard_of(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

impl Node {
    /// Remembers that this job is over, and tells those who wait for its end.
    pub(crate) fn remember(&mut self, now: Time, id: JobId, end: Known) {
        self.note_end(id, end, None);
        self.enter_forgotten(now, id, end);
    }

    /// The same of an end that may have a result.
    pub(super) fn remember_end(&mut self, now: Time, id: JobId, end: &End) {
        let known = end.known();
        self.note_end(id, known, end.detail());
        if known == Known::Everywhere(Outcome::Duplicate)
            && let Some(older) = end.older()
        {
            self.dedups.note_duplicate(id, older);
        }
        self.enter_forgotten(now, id, known);
    }

    fn enter_forgotten(&mut self, now: Time, id: JobId, end: Known) {
        let first = if self.peers.members().is_empty() {
            self.forgotten.remember_alone(id, end)
        } else {
            self.forgotten.remember(id, end, self.forgotten_bound())
        };
        if first {
            self.watch_forgotten(now);
        }
    }

    fn forgotten_bound(&self) -> usize {
        let max_memory = self.settings.max_memory;
        limits::share(max_memory, sizes::FORGOTTEN_BYTES, limits::FORGOTTEN)
    }

    /// Somebody is about to ask how jobs ended.
    pub(crate) fn settle_forgotten(&mut self) {
        self.forgotten.settle(self.forgotten_bound());
    }

    pub(crate) fn watch_forgotten(&mut self, now: Time) {
        if self.forgotten.len() > 0 {
            self.agenda
                .add_timer(now + limits::FORGOTTEN_FOR, Timer::Forgotten);
        }
    }

    pub(crate) fn on_forgotten_timer(&mut self, now: Time) {
        self.settle_forgotten();
        self.forgotten.age();
        self.watch_forgotten(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACKED: Known = Known::Everywhere(Outcome::Acked);

    fn id(number: u64) -> JobId {
        let mut bytes = [0; 24];
        bytes[4..12].copy_from_slice(&number.to_be_bytes());
        JobId::from_bytes(bytes)
    }

    #[test]
    fn an_id_is_remembered_until_it_has_aged_twice() {
        let mut ring = Forgotten::new(1);
        assert!(ring.remember(id(1), ACKED, limits::FORGOTTEN));
        assert!(!ring.remember(id(1), ACKED, limits::FORGOTTEN));
        assert_eq!(ring.len(), 1);
        ring.age();
        assert!(ring.contains(&id(1)));
        assert!(!ring.contains(&id(2)));
        ring.age();
        assert!(!ring.contains(&id(1)));
        assert_eq!(ring.len(), 0);
    }

    #[test]
    fn an_id_that_is_remembered_again_stays_longer() {
        let mut ring = Forgotten::new(1);
        ring.remember(id(1), ACKED, limits::FORGOTTEN);
        ring.age();
        ring.remember(id(1), ACKED, limits::FORGOTTEN);
        ring.age();
        assert!(ring.contains(&id(1)));
    }

    #[test]
    fn no_more_ids_are_remembered_than_allowed_and_the_last_of_them_surely() {
        let bound = 100 * 2 * SHARDS;
        let mut ring = Forgotten::new(1);
        let last = 10 * bound as u64;
        for number in 0..last {
            ring.remember(id(number), ACKED, bound);
            assert!(ring.len() <= bound);
        }
        let recent = last - bound as u64 / 4..last;
        assert!(recent.clone().all(|number| ring.contains(&id(number))));
        let kept = (0..last).filter(|&number| ring.contains(&id(number)));
        assert_eq!(kept.count(), ring.len());
    }

    #[test]
    fn an_ack_holds_over_other_ends_and_an_end_at_one_node_refuses_no_copy() {
        let mut ring = Forgotten::new(1);
        let mut end = |end| {
            ring.remember(id(1), end, limits::FORGOTTEN);
            ring.age();
            (
                ring.get(&id(1)).and_then(Known::outcome),
                ring.contains(&id(1)),
            )
        };
        let expired = Some(Outcome::Expired);
        assert_eq!(end(Known::Here(Outcome::Expired)), (expired, false));
        assert_eq!(end(Known::Withdrawn), (None, true));
        assert_eq!(end(ACKED), (Some(Outcome::Acked), true));
        let deleted = Known::Everywhere(Outcome::Deleted);
        assert_eq!(end(deleted), (Some(Outcome::Acked), true));
    }
}
