//! Queues: their order, their pause, their counters.
//!
//! A queue hands out jobs by priority, and within a priority by the time of their entry. Those without a priority are in one
//! lane (`lane`), and each priority has a lane of its own while there are such jobs.
//!
//! A name is known while a job carries it; the queue is *open* (clients see it) from its first job, pause or waiter
//! until it has idled for a while: nothing is in it, and none of its jobs is out or delayed. Copies that are held for
//! another node do not open it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::ops::{Index, IndexMut};
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::FixedState;
use hashbrown::HashTable;

use crate::adding::Terms;
use crate::command::PauseState;
use crate::extras::Extras;
use crate::id::QueueName;
use crate::job::{Job, JobKey, Jobs};
use crate::moving::Rules;
use crate::queue::lane::Lane;
use crate::queue::waiters::WaiterId;
use crate::settings::Remembered;
use crate::stamp::{Stamps, entered_by};
use crate::telling::{Depths, Recent, Tallies, TallyKey, Traffic, Way};
use crate::time::Time;

/// Where a queue lies. Names a known queue until that queue is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct QueueKey(pub(crate) u32);

impl QueueKey {
    /// No queue.
    pub(crate) const NONE: QueueKey = QueueKey(u32::MAX);

    pub(crate) fn is_none(self) -> bool {
        self == QueueKey::NONE
    }
}

/// One queue.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) name: QueueName,
    /// Jobs of any state that carry the name.
    pub(crate) jobs: u64,
    /// Clients see it. The fields below hold nothing otherwise.
    pub(crate) open: bool,
    /// Ready jobs.
    pub(crate) len: u64,
    /// Those without a priority.
    plain: Lane,
    /// Those with one, by the priority, the highest first; no lane is empty.
    urgent: BTreeMap<Reverse<u8>, Lane>,
    /// Clients that wait for a job here.
    pub(crate) waiters: BTreeSet<WaiterId>,
    pub(crate) pause: PauseState,
    pub(crate) policies: Remembered<Terms>,
    pub(crate) rules: Option<Box<Remembered<Rules>>>,
    /// QPURGE: the jobs that are to go, if it was purged.
    purged: Option<Arc<Stamps>>,
    pub(crate) opened: Time,
    /// When a job last went in or out.
    pub(crate) used: Time,
    /// When its idling is looked at, if it is empty.
    pub(crate) idle_check: Option<Time>,
    pub(crate) jobs_in: u64,
    pub(crate) jobs_out: u64,
    /// What went in and out lately; none if nothing did since it was opened.
    traffic: Option<Box<Traffic>>,
    pub(crate) tally: TallyKey,
    pub(crate) depths: Depths,
    /// When the last of its restored jobs is queued again, at the latest.
    pub(crate) restored_until: Time,
}

impl Queue {
    fn new(name: QueueName) -> Self {
        Queue {
            name,
            jobs: 0,
            open: false,
            len: 0,
            plain: Lane::EMPTY,
            urgent: BTreeMap::new(),
            waiters: BTreeSet::new(),
            pause: PauseState::default(),
            policies: Remembered::default(),
            rules: None,
            purged: None,
            opened: Time::ZERO,
            used: Time::ZERO,
            idle_check: None,
            jobs_in: 0,
            jobs_out: 0,
            traffic: None,
            tally: TallyKey::OTHER,
            depths: Depths::default(),
            restored_until: Time::ZERO,
        }
    }

    /// Puts a job into its place: by its priority, then by the time of its entry.
    pub(crate) fn push(&mut self, jobs: &mut Jobs, key: JobKey) {
        match jobs[key].priority {
            0 => self.plain.push(jobs, key),
            priority => {
                let lane = self.urgent.entry(Reverse(priority));
                lane.or_insert(Lane::EMPTY).push(jobs, key);
            }
        }
        self.len += 1;
    }

    /// Takes a job out, wherever it stands.
    pub(crate) fn remove(&mut self, jobs: &mut Jobs, key: JobKey) {
        match jobs[key].priority {
            0 => self.plain.remove(jobs, key),
            priority => self.remove_urgent(jobs, key, Reverse(priority)),
        }
        self.len -= 1;
    }

    fn remove_urgent(&mut self, jobs: &mut Jobs, key: JobKey, priority: Reverse<u8>) {
        let lane = self.urgent.get_mut(&priority);
        let lane = lane.expect("a job with a priority is in a lane of its own");
        lane.remove(jobs, key);
        if lane.is_empty() {
            self.urgent.remove(&priority);
        }
    }

    /// The job that goes first.
    pub(crate) fn first(&self, jobs: &Jobs) -> Option<JobKey> {
        let urgent = self.urgent.values().next();
        urgent.unwrap_or(&self.plain).first(jobs)
    }

    /// Ready jobs, in the order in which they go.
    pub(crate) fn oldest<'a>(&'a self, jobs: &'a Jobs) -> impl Iterator<Item = JobKey> + 'a {
        let urgent = self.urgent.values().flat_map(|lane| lane.oldest(jobs));
        urgent.chain(self.plain.oldest(jobs))
    }

    /// Ready jobs, the last first.
    pub(crate) fn newest<'a>(&'a self, jobs: &'a Jobs) -> impl Iterator<Item = JobKey> + 'a {
        let urgent = self
            .urgent
            .values()
            .rev()
            .flat_map(|lane| lane.newest(jobs));
        self.plain.newest(jobs).chain(urgent)
    }

    /// About how many ready jobs stand before one that entered at this time, if they came in evenly.
    pub(crate) fn place_by_age(&self, jobs: &Jobs, entered: u64) -> u64 {
        let newest = self.plain.newest(jobs).next();
        let (Some(first), Some(last)) = (self.plain.first(jobs), newest) else {
            return 0;
        };
        let since = |time: u64| u128::from(time.saturating_sub(jobs[first].entered));
        let share = since(entered) * u128::from(self.len) / (since(jobs[last].entered) + 1);
        share as u64
    }

    /// Whether nothing is in it, nobody waits for it, and nothing is set on it. It goes after a while, unless jobs of it
    /// are out or delayed.
    pub(crate) fn is_idle(&self) -> bool {
        self.len == 0 && self.waiters.is_empty() && self.pause == PauseState::default()
    }

    /// In how long the last of its restored jobs is queued again, at the latest; none when it has none.
    pub(crate) fn restored_within(&self, now: Time) -> Option<Duration> {
        (self.depths.restored > 0).then(|| self.restored_until.since(now))
    }

    /// Jobs that went in and out lately.
    pub(crate) fn recent(&self, now: Time) -> Recent {
        let traffic = self.traffic.as_ref();
        traffic.map_or_else(Recent::default, |traffic| traffic.recent(now))
    }

    /// Whether it may go.
    pub(crate) fn is_done(&self) -> bool {
        self.is_idle() && !self.depths.wait_here()
    }
}

/// All known queues, and a table from name to slot, which serves look-up only.
#[derive(Debug)]
pub(crate) struct Queues {
    slots: Vec<Option<Queue>>,
    free: Vec<u32>,
    by_name: HashTable<u32>,
    hasher: FixedState,
    open: usize,
    name_bytes: usize,
    /// Queues of which something is known about their traffic.
    with_traffic: usize,
    /// Of queues that were purged, known or not: the jobs that are to go.
    purged: BTreeMap<Arc<[u8]>, Arc<Stamps>>,
    pub(crate) tallies: Tallies,
}

impl Queues {
    /// No queues. `seed` keys the table, so that clients cannot choose names that collide.
    pub(crate) fn new(seed: u64) -> Self {
        Queues {
            slots: Vec::new(),
            free: Vec::new(),
            by_name: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            open: 0,
            name_bytes: 0,
            with_traffic: 0,
            purged: BTreeMap::new(),
            tallies: Tallies::default(),
        }
    }

    /// Known queues, open or not.
    pub(crate) fn known(&self) -> usize {
        self.by_name.len()
    }

    /// Bytes of all known names.
    pub(crate) fn name_bytes(&self) -> usize {
        self.name_bytes
    }

    /// Queues of which something is known about their traffic.
    pub(crate) fn with_traffic(&self) -> usize {
        self.with_traffic
    }

    /// A job goes into a queue, or out of it for a client.
    pub(crate) fn note_traffic(&mut self, key: QueueKey, now: Time, way: Way) {
        let queue = &mut self[key];
        if let Some(traffic) = &mut queue.traffic {
            return traffic.add(now, way);
        }
        let mut traffic = Box::<Traffic>::default();
        traffic.add(now, way);
        queue.traffic = Some(traffic);
        self.with_traffic += 1;
    }

    fn forget_traffic(&mut self, key: QueueKey) {
        let known = self[key].traffic.take();
        self.with_traffic -= usize::from(known.is_some());
    }

    /// Queues that clients see.
    pub(crate) fn open_count(&self) -> usize {
        self.open
    }

    /// The key past the last: scans end here.
    pub(crate) fn end(&self) -> u32 {
        self.slots.len() as u32
    }

    pub(crate) fn find(&self, name: &[u8]) -> Option<QueueKey> {
        let hash = self.hasher.hash_one(name);
        let key = self
            .by_name
            .find(hash, |&key| self[QueueKey(key)].name.as_bytes() == name);
        key.map(|&key| QueueKey(key))
    }

    /// The queue of this name, made known (but not opened) if it was not.
    pub(crate) fn find_or_add(&mut self, name: &[u8]) -> QueueKey {
        if let Some(key) = self.find(name) {
            return key;
        }
        self.name_bytes += name.len();
        let key = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("fewer queues than jobs, and those fit")
        });
        let mut queue = Queue::new(QueueName::new(name));
        queue.tally = self.tallies.take(QueueKey(key));
        queue.purged = self.mark(name).cloned();
        self.slots[key as usize] = Some(queue);
        let Queues {
            slots,
            by_name,
            hasher,
            ..
        } = self;
        by_name.insert_unique(hasher.hash_one(name), key, |&key| {
            let queue = slots[key as usize]
                .as_ref()
                .expect("the table names known queues");
            hasher.hash_one(queue.name.as_bytes())
        });
        QueueKey(key)
    }

    /// The jobs of this queue that are to go, if it was purged.
    pub(crate) fn mark(&self, name: &[u8]) -> Option<&Arc<Stamps>> {
        if self.purged.is_empty() {
            None
        } else {
            self.purged.get(name)
        }
    }

    /// Whether the mark of its queue takes a job.
    pub(crate) fn mark_takes(&self, job: &Job, extras: impl FnOnce() -> Extras) -> bool {
        let mark = self[job.queue].purged.as_ref();
        mark.is_some_and(|mark| {
            let extras = extras();
            mark.cover(entered_by(&job.id, &extras), job.entered)
        })
    }

    /// The queue was purged, known or not. Without stamps it does not count any more that it was.
    pub(crate) fn set_purged(&mut self, name: &[u8], mark: Stamps) {
        let mark = (!mark.is_empty()).then(|| Arc::new(mark));
        match &mark {
            Some(mark) => self.purged.insert(name.into(), Arc::clone(mark)),
            None => self.purged.remove(name),
        };
        if let Some(key) = self.find(name) {
            self[key].purged = mark;
        }
    }

    /// Shows the queue to clients from now on.
    pub(crate) fn open(&mut self, key: QueueKey, now: Time) {
        let queue = &mut self[key];
        if !queue.open {
            (queue.open, queue.opened, queue.used) = (true, now, now);
            (queue.jobs_in, queue.jobs_out) = (0, 0);
            self.open += 1;
        }
    }

    /// Hides an idle queue from clients, and drops it when no job carries its name.
    pub(crate) fn close(&mut self, key: QueueKey) {
        let queue = &mut self[key];
        assert!(queue.open && queue.is_done(), "only an idle queue closes");
        queue.open = false;
        self.open -= 1;
        self.forget_traffic(key);
        self.drop_unused(key);
    }

    /// Drops a queue that is not open and whose name no job carries.
    pub(crate) fn drop_unused(&mut self, key: QueueKey) {
        let queue = &self[key];
        if queue.open || queue.jobs > 0 {
            return;
        }
        let tally = queue.tally;
        self.forget_traffic(key);
        let queue = &self[key];
        let hash = self.hasher.hash_one(queue.name.as_bytes());
        self.name_bytes -= queue.name.as_bytes().len();
        let entry = self.by_name.find_entry(hash, |&other| other == key.0);
        entry.expect("every known queue is in the table").remove();
        self.slots[key.0 as usize] = None;
        self.free.push(key.0);
        self.tallies.give_back(tally, key);
        self.spread_tallies();
    }

    /// The queue at `key`, if one is known there.
    pub(crate) fn get(&self, key: QueueKey) -> Option<&Queue> {
        self.slots.get(key.0 as usize)?.as_ref()
    }
}

impl Index<QueueKey> for Queues {
    type Output = Queue;

    fn index(&self, key: QueueKey) -> &Queue {
        self.get(key).expect("a key names a known queue")
    }
}

impl IndexMut<QueueKey> for Queues {
    fn index_mut(&mut self, key: QueueKey) -> &mut Queue {
        self.slots[key.0 as usize]
            .as_mut()
            .expect("a key names a known queue")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::extras::{Extras, Tag};
    use crate::job::{Links, Move, Place};
    use crate::tests::plain_job;

    proptest! {
        #[test]
        fn a_queue_agrees_with_a_sorted_list(
            steps in prop::collection::vec(
                (0..40_u64, any::<prop::sample::Index>(), 0..3_u8, 0..3_u8),
                1..120,
            )
        ) {
            let (mut jobs, mut queue) = (Jobs::new(0), Queue::new(QueueName::new(b"q")));
            let mut model: Vec<(Reverse<u8>, u64, JobKey)> = Vec::new();
            for (number, (created, nth, step, priority)) in (0..).zip(steps) {
                if step == 0 && !model.is_empty() {
                    let (.., key) = model.remove(nth.index(model.len()));
                    queue.remove(&mut jobs, key);
                    prop_assert_eq!(jobs[key].place(), Place::Nowhere);
                    prop_assert_eq!(jobs[key].order, Links::NONE);
                    jobs.remove(key);
                } else {
                    let mut job = plain_job(number);
                    // Nodes may give the same time to different jobs.
                    job.entered = created;
                    job.make(Move::PutBack);
                    let extras = Extras::new([(Tag::PRIORITY, &[priority][..])]);
                    let key = jobs.insert(job, extras);
                    queue.push(&mut jobs, key);
                    model.push((Reverse(priority), created, key));
                }
                model.sort_unstable();
                let order: Vec<JobKey> = model.iter().map(|&(.., key)| key).collect();
                let newest: Vec<JobKey> = order.iter().rev().copied().collect();
                prop_assert_eq!(queue.first(&jobs), order.first().copied());
                prop_assert_eq!(queue.oldest(&jobs).collect::<Vec<_>>(), order);
                prop_assert_eq!(queue.newest(&jobs).collect::<Vec<_>>(), newest);
                prop_assert_eq!(queue.len, model.len() as u64);
            }
        }
    }
}
