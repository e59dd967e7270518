//! All jobs of a node: pages of slots, and a table from id to slot.
//!
//! A job never moves while it lives, so lists run through the jobs by key. Pages grow one at a time: no
//! growth copies jobs. The table holds keys alone; it serves look-up only, and nothing iterates over it. It is cut
//! into shards that grow one by one, for growing means to look at every job: 0.4 s at four million, all at once.

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::ops::{Index, IndexMut};

use foldhash::quality::FixedState;
use hashbrown::{HashMap, HashTable};

use crate::dedup::{KeyName, Keyed};
use crate::extras::Extras;
use crate::id::JobId;
use crate::job::{Beside, Job};

/// Slots of a page.
const PAGE: usize = 4096;

/// Shards of the table: with ten million jobs, one grows in about a millisecond.
const SHARDS: usize = 1024;

/// Where a job lies. Names a live job until that job is removed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct JobKey(pub(crate) u32);

impl JobKey {
    /// No job.
    pub(crate) const NONE: JobKey = JobKey(u32::MAX);
    /// Keys from here on name no job: the agenda marks its buckets with them.
    pub(crate) const END: u32 = 1 << 31;

    pub(crate) fn is_none(self) -> bool {
        self == JobKey::NONE
    }
}

/// An array, not a slice, so that a place within it needs no check of bounds.
type Page = Box<[Option<Job>; PAGE]>;

/// All jobs of a node.
#[derive(Debug)]
pub(crate) struct Jobs {
    pages: Vec<Page>,
    /// Slots used at least once.
    used: u32,
    free: Vec<u32>,
    by_id: Box<[HashTable<u32>]>,
    len: usize,
    hasher: FixedState,
    /// The extras of the jobs that have any: the others pay nothing for them.
    extras: HashMap<JobKey, Extras, FixedState>,
    /// What all extras take.
    extras_bytes: usize,
    /// The jobs with a key of DEDUP, by the hash of the key.
    keyed: BTreeSet<(u64, JobKey)>,
}

impl Jobs {
    /// No jobs. `seed` keys the table, so that clients cannot choose ids that collide.
    pub(crate) fn new(seed: u64) -> Self {
        Jobs {
            pages: Vec::new(),
            used: 0,
            free: Vec::new(),
            by_id: (0..SHARDS).map(|_| HashTable::new()).collect(),
            len: 0,
            hasher: FixedState::with_seed(seed),
            extras: HashMap::with_hasher(FixedState::with_seed(seed)),
            extras_bytes: 0,
            keyed: BTreeSet::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The first key that was never used: scans end here.
    pub(crate) fn end(&self) -> u32 {
        self.used
    }

    pub(crate) fn find(&self, id: &JobId) -> Option<JobKey> {
        let hash = self.hasher.hash_one(id);
        self.by_id[shard_of(hash)]
            .find(hash, |&key| self[JobKey(key)].id == *id)
            .map(|&key| JobKey(key))
    }

    /// Keeps a job whose id is not known yet.
    pub(crate) fn insert(&mut self, mut job: Job, extras: Extras) -> JobKey {
        debug_assert!(self.find(&job.id).is_none(), "{} is kept twice", job.id);
        let hash = self.hasher.hash_one(job.id);
        let key = self.free.pop().unwrap_or_else(|| {
            let key = self.used;
            assert!(key < JobKey::END, "a node holds at most 2^31 jobs");
            if key as usize / PAGE == self.pages.len() {
                self.pages.push(empty_page());
            }
            self.used += 1;
            key
        });
        (job.beside, job.priority) = Beside::of(&extras);
        if job.has_extras() {
            self.enter_extras(JobKey(key), extras);
        }
        self.pages[key as usize / PAGE][key as usize % PAGE] = Some(job);
        let Jobs {
            pages,
            by_id,
            hasher,
            ..
        } = self;
        by_id[shard_of(hash)].insert_unique(hash, key, |&key| {
            let job = pages[key as usize / PAGE][key as usize % PAGE].as_ref();
            hasher.hash_one(job.expect("the table names live jobs").id)
        });
        self.len += 1;
        JobKey(key)
    }

    /// Takes a job out. Its key names no job any more.
    pub(crate) fn remove(&mut self, key: JobKey) -> (Job, Extras) {
        let job = self.slot_mut(key).take().expect("a key names a live job");
        let hash = self.hasher.hash_one(job.id);
        let shard = &mut self.by_id[shard_of(hash)];
        let entry = shard.find_entry(hash, |&other| other == key.0);
        entry.expect("every job is in the table").remove();
        self.free.push(key.0);
        self.len -= 1;
        let extras = if job.has_extras() {
            self.take_extras(key)
        } else {
            Extras::NONE
        };
        (job, extras)
    }

    fn enter_extras(&mut self, key: JobKey, extras: Extras) {
        self.extras_bytes += extras.memory();
        if let Some(keyed) = Keyed::of(&extras) {
            let hash = self.hasher.hash_one((keyed.queue, keyed.key));
            self.keyed.insert((hash, key));
        }
        self.extras.insert(key, extras);
    }

    fn take_extras(&mut self, key: JobKey) -> Extras {
        let extras = self.extras.remove(&key).unwrap_or_default();
        self.extras_bytes -= extras.memory();
        if let Some(keyed) = Keyed::of(&extras) {
            let hash = self.hasher.hash_one((keyed.queue, keyed.key));
            self.keyed.remove(&(hash, key));
        }
        extras
    }

    /// The jobs with this key of DEDUP, in whatever state.
    pub(crate) fn with_key(&self, name: &KeyName) -> Vec<JobKey> {
        let hash = self.hasher.hash_one((&*name.queue, &*name.key));
        let same_hash = (hash, JobKey(0))..=(hash, JobKey::NONE);
        let has_it = |&key: &JobKey| {
            let keyed = Keyed::of(&self.extras[&key]);
            keyed.is_some_and(|keyed| keyed.queue == &*name.queue && keyed.key == &*name.key)
        };
        let some = self.keyed.range(same_hash).map(|&(_, key)| key);
        some.filter(has_it).collect()
    }

    /// Some of the jobs with any key, from `from` on.
    pub(crate) fn keyed_from(
        &self,
        from: (u64, JobKey),
    ) -> impl Iterator<Item = (u64, JobKey)> + '_ {
        self.keyed.range(from..).copied()
    }

    /// Jobs with a key of DEDUP.
    pub(crate) fn keyed(&self) -> usize {
        self.keyed.len()
    }

    /// How many bytes the extras of a job have.
    pub(crate) fn extras_len(&self, key: JobKey) -> usize {
        if self[key].has_extras() {
            self.extras[&key].len()
        } else {
            0
        }
    }

    /// The extras of a job.
    pub(crate) fn extras(&self, key: JobKey) -> Extras {
        if !self[key].has_extras() {
            return Extras::NONE;
        }
        self.extras[&key].clone()
    }

    /// Gives a job other extras. Returns those that it had.
    pub(crate) fn replace_extras(&mut self, key: JobKey, extras: Extras) -> Extras {
        let had = self[key].beside;
        (self[key].beside, self[key].priority) = Beside::of(&extras);
        if had == Beside::Nothing && extras.is_empty() {
            return Extras::NONE;
        }
        let former = if had == Beside::Nothing {
            Extras::NONE
        } else {
            self.take_extras(key)
        };
        if !extras.is_empty() {
            self.enter_extras(key, extras);
        }
        former
    }

    /// Bytes of memory that all extras take.
    pub(crate) fn extras_bytes(&self) -> usize {
        self.extras_bytes
    }

    /// The job at `key`, if one lives there.
    pub(crate) fn get(&self, key: JobKey) -> Option<&Job> {
        self.pages.get(key.0 as usize / PAGE)?[key.0 as usize % PAGE].as_ref()
    }

    /// All jobs, in order of their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (JobKey, &Job)> {
        (0..self.used).filter_map(|key| self.get(JobKey(key)).map(|job| (JobKey(key), job)))
    }

    /// The extras are those of the jobs that say so, and what they take is counted.
    pub(super) fn check_extras(&self) {
        let with = self.iter().filter(|(_, job)| job.has_extras());
        let (mut count, mut bytes, mut keyed) = (0, 0, 0);
        for (key, job) in with {
            let extras = self.extras.get(&key);
            bytes += extras.map_or(0, Extras::memory);
            if let Some(key_of) = extras.and_then(Keyed::of) {
                let listed = self.with_key(&key_of.name());
                assert!(listed.contains(&key), "{} is found by its key", job.id);
                keyed += 1;
            }
            assert!(bytes > 0, "{} has extras", job.id);
            count += 1;
        }
        assert_eq!((count, bytes), (self.extras.len(), self.extras_bytes));
        assert_eq!(keyed, self.keyed.len(), "no key is of a job that is gone");
    }

    fn slot_mut(&mut self, key: JobKey) -> &mut Option<Job> {
        &mut self.pages[key.0 as usize / PAGE][key.0 as usize % PAGE]
    }
}

impl Index<JobKey> for Jobs {
    type Output = Job;

    fn index(&self, key: JobKey) -> &Job {
        self.get(key).expect("a key names a live job")
    }
}

impl IndexMut<JobKey> for Jobs {
    fn index_mut(&mut self, key: JobKey) -> &mut Job {
        self.slot_mut(key).as_mut().expect("a key names a live job")
    }
}

/// Made on the heap: it is too large for the stack.
fn empty_page() -> Page {
    let slots: Vec<Option<Job>> = (0..PAGE).map(|_| None).collect();
    slots.try_into().expect("as many slots as a page has")
}

/// The table itself uses the lowest and the highest bits of a hash.
fn shard_of(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}
