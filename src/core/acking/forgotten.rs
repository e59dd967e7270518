//! The ids that this node acknowledged, collected, or was told to forget: it refuses copies of them that come late.
//!
//! An id is remembered for at least [`limits::FORGOTTEN_FOR`], unless newer ids push it out before that. There are
//! two generations: ids enter the newer one, and from time to time the older one goes as a whole and the newer takes its
//! place, so that nothing is sorted or searched by age. The tables are cut into shards that fill up one by one: no
//! single insert has to move many ids. They serve look-up only; nothing iterates over them.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use hashbrown::HashTable;

use crate::agenda::Timer;
use crate::id::JobId;
use crate::limits;
use crate::node::Node;
use crate::telling::sizes;
use crate::time::Time;

/// Shards: even a full one grows within 0.1 ms.
const SHARDS: usize = 64;

/// The ids.
#[derive(Debug)]
pub(crate) struct Forgotten {
    shards: Box<[Shard]>,
    hasher: FixedState,
    len: usize,
}

#[derive(Debug, Default)]
struct Shard {
    newer: HashTable<JobId>,
    older: HashTable<JobId>,
}

impl Forgotten {
    /// No ids. `seed` keys the table.
    pub(crate) fn new(seed: u64) -> Self {
        Forgotten {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            hasher: FixedState::with_seed(seed),
            len: 0,
        }
    }

    /// Whether a copy of this job comes too late.
    pub(crate) fn contains(&self, id: &JobId) -> bool {
        if self.len == 0 {
            return false;
        }
        let hash = self.hasher.hash_one(id);
        let shard = &self.shards[shard_of(hash)];
        let is_it = |other: &JobId| other == id;
        shard.newer.find(hash, is_it).is_some() || shard.older.find(hash, is_it).is_some()
    }

    /// Remembers an id; `bound` is how many the node may remember altogether. Returns whether it is the first.
    pub(super) fn remember(&mut self, id: JobId, bound: usize) -> bool {
        let first = self.len == 0;
        let hash = self.hasher.hash_one(id);
        let shard = &mut self.shards[shard_of(hash)];
        if shard.newer.find(hash, |other| *other == id).is_some() {
            return false;
        }
        if shard.newer.len() >= bound / (2 * SHARDS) {
            self.len -= shard.age();
        }
        shard
            .newer
            .insert_unique(hash, id, |id| self.hasher.hash_one(id));
        self.len += 1;
        first
    }

    /// The older generation goes, and the newer takes its place.
    fn age(&mut self) {
        self.len -= self.shards.iter_mut().map(Shard::age).sum::<usize>();
    }

    /// Ids in both generations.
    pub(crate) fn len(&self) -> usize {
        self.len
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
    /// Remembers that this job is over, if there is anybody who could still send a copy of it.
    pub(super) fn remember(&mut self, now: Time, id: JobId) {
        if self.peers.members().is_empty() {
            return;
        }
        let max_memory = self.settings.max_memory;
        let bound = limits::share(max_memory, sizes::FORGOTTEN_BYTES, limits::FORGOTTEN);
        if self.forgotten.remember(id, bound) {
            self.watch_forgotten(now);
        }
    }

    pub(crate) fn watch_forgotten(&mut self, now: Time) {
        if self.forgotten.len() > 0 {
            self.agenda
                .add_timer(now + limits::FORGOTTEN_FOR, Timer::Forgotten);
        }
    }

    pub(crate) fn on_forgotten_timer(&mut self, now: Time) {
        self.forgotten.age();
        self.watch_forgotten(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> JobId {
        let mut bytes = [0; 24];
        bytes[4..12].copy_from_slice(&number.to_be_bytes());
        JobId::from_bytes(bytes)
    }

    #[test]
    fn an_id_is_remembered_until_it_has_aged_twice() {
        let mut ring = Forgotten::new(1);
        assert!(ring.remember(id(1), limits::FORGOTTEN));
        assert!(!ring.remember(id(1), limits::FORGOTTEN));
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
        ring.remember(id(1), limits::FORGOTTEN);
        ring.age();
        ring.remember(id(1), limits::FORGOTTEN);
        ring.age();
        assert!(ring.contains(&id(1)));
    }

    #[test]
    fn no_more_ids_are_remembered_than_allowed_and_the_last_of_them_surely() {
        let bound = 100 * 2 * SHARDS;
        let mut ring = Forgotten::new(1);
        let last = 10 * bound as u64;
        for number in 0..last {
            ring.remember(id(number), bound);
            assert!(ring.len() <= bound);
        }
        let recent = last - bound as u64 / 4..last;
        assert!(recent.clone().all(|number| ring.contains(&id(number))));
        let kept = (0..last).filter(|&number| ring.contains(&id(number)));
        assert_eq!(kept.count(), ring.len());
    }
}
