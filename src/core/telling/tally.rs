//! What happened to the jobs of each queue, and how long it took: for the metrics.
//!
//! A bounded number of queues have a tally of their own, first come, first served. The rest share one, because users name
//! the queues and decide how many there are. A tally only grows while its queue is known. It goes with its queue, and one
//! of the queues that share gets the place. The tally of all queues never goes.

use std::collections::BTreeSet;
use std::ops::{Index, IndexMut};
use std::time::Duration;

use crate::acking::Known;
use crate::delivering::Cause;
use crate::job::{Job, JobKey};
use crate::message::Copy;
use crate::node::Node;
use crate::outcome::Outcome;
use crate::queue::{QueueKey, Queues};
use crate::register::DeathReason;
use crate::telling::shares::{Depths, Share};
use crate::time::Time;

/// Upper bounds of the buckets for how long jobs wait and are worked on, in milliseconds: to a day.
pub const JOB_MILLIS: [u64; 17] = [
    1, 5, 10, 50, 100, 500, 1000, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
    3_600_000, 21_600_000, 86_400_000,
];
/// The same for how long the copies of a new job take.
pub const COPY_MILLIS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 5000, 10_000];

/// The same for what takes moments (commands, syncs, round trips), in microseconds: to 10 s.
pub const WAIT_MICROS: [u64; 15] = [
    100, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

/// How many values fell into each bucket, and their sum. The bounds are a constant beside it, inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Histogram<const N: usize> {
    /// Of each bucket alone.
    pub counts: [u64; N],
    /// Above the last bound.
    pub above: u64,
    /// Of all values.
    pub sum: u64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Histogram {
            counts: [0; N],
            above: 0,
            sum: 0,
        }
    }
}

impl<const N: usize> Histogram<N> {
    /// Counts a value, in the unit of `bounds`, which rise.
    pub fn add(&mut self, bounds: &[u64; N], value: u64) {
        match bounds.iter().position(|&bound| value <= bound) {
            Some(bucket) => self.counts[bucket] += 1,
            None => self.above += 1,
        }
        self.sum = self.sum.saturating_add(value);
    }

    /// Adds the values of another one with the same bounds.
    fn merge(&mut self, other: &Self) {
        for (sum, count) in self.counts.iter_mut().zip(&other.counts) {
            *sum += count;
        }
        self.above += other.above;
        self.sum = self.sum.saturating_add(other.sum);
    }
}

/// Why a job was queued again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its retry was over.
    Timeout,
    /// NACK.
    Nack,
    /// ENQUEUE.
    Enqueue,
    /// The node started.
    Restart,
    /// A move to another node was not confirmed.
    Heal,
    /// A node that stops or leaves handed it over, and nobody confirmed.
    Drain,
}

impl Reason {
    /// All of them, in the order of [`Tally::redelivered`].
    pub const ALL: [Reason; 6] = [
        Reason::Timeout,
        Reason::Nack,
        Reason::Enqueue,
        Reason::Restart,
        Reason::Heal,
        Reason::Drain,
    ];

    /// As a label.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Timeout => "timeout",
            Reason::Nack => "nack",
            Reason::Enqueue => "enqueue",
            Reason::Restart => "restart",
            Reason::Heal => "heal",
            Reason::Drain => "drain",
        }
    }

    pub(crate) fn of(cause: Cause) -> Option<Self> {
        match cause {
            Cause::First | Cause::Restored | Cause::Given | Cause::Waited => None,
            Cause::Retry => Some(Reason::Timeout),
            Cause::Nack => Some(Reason::Nack),
            Cause::Asked => Some(Reason::Enqueue),
            Cause::Restart => Some(Reason::Restart),
            Cause::Heal => Some(Reason::Heal),
            Cause::Drain => Some(Reason::Drain),
        }
    }
}

/// What happened on this node to the jobs of a queue, or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named for what it counts")]
pub struct Tally {
    pub added: u64,
    /// Hand-outs to clients, those included that broke off on the way.
    pub delivered: u64,
    pub nacked: u64,
    /// Ended because a client of any node acknowledged them. This and the other ends are counted at one node: where the job was
    /// queued, handed out or delayed.
    pub acked: u64,
    /// Never acknowledged within their TTL.
    pub expired: u64,
    /// Ended by DELJOB or QPURGE.
    pub deleted: u64,
    /// Ended because an older job has the same key of DEDUP.
    pub duplicates: u64,
    /// At-most-once jobs that may have been delivered, dropped at an unclean start or to free memory.
    pub dropped: u64,
    /// ADDJOBs that were answered with a job that has the key.
    pub deduplicated: u64,
    /// Moved to the dead letters, by [`DeathReason`].
    pub buried: [u64; DeathReason::ALL.len()],
    /// By [`Reason`].
    pub redelivered: [u64; Reason::ALL.len()],
    /// From when a job was due, or queued again, to its delivery; in milliseconds.
    pub wait: Histogram<{ JOB_MILLIS.len() }>,
    /// From the delivery, or the last WORKING, to the acknowledgement; in milliseconds.
    pub service: Histogram<{ JOB_MILLIS.len() }>,
}

impl Tally {
    fn ended(&mut self, outcome: Outcome) -> &mut u64 {
        match outcome {
            Outcome::Acked => &mut self.acked,
            Outcome::Expired => &mut self.expired,
            Outcome::Deleted => &mut self.deleted,
            Outcome::Duplicate => &mut self.duplicates,
        }
    }

    /// Adds what happened to the jobs of another queue, or of another node.
    pub fn merge(&mut self, other: &Tally) {
        let Tally {
            added,
            delivered,
            nacked,
            acked,
            expired,
            deleted,
            duplicates,
            dropped,
            deduplicated,
            buried,
            redelivered,
            wait,
            service,
        } = other;
        self.added += added;
        self.delivered += delivered;
        self.nacked += nacked;
        self.acked += acked;
        self.expired += expired;
        self.deleted += deleted;
        self.duplicates += duplicates;
        self.dropped += dropped;
        self.deduplicated += deduplicated;
        for (sum, count) in self.buried.iter_mut().zip(buried) {
            *sum += count;
        }
        for (sum, count) in self.redelivered.iter_mut().zip(redelivered) {
            *sum += count;
        }
        self.wait.merge(wait);
        self.service.merge(service);
    }
}

/// Names the tally of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TallyKey(u32);

impl TallyKey {
    /// The one that queues without one of their own share.
    pub(crate) const OTHER: TallyKey = TallyKey(0);
}

/// The tallies of all queues.
#[derive(Debug)]
pub(crate) struct Tallies {
    /// The first is [`TallyKey::OTHER`].
    each: Vec<Tally>,
    /// The queue of each; none for the first, and for those that are free.
    owners: Vec<QueueKey>,
    free: Vec<TallyKey>,
    pub(crate) most: u32,
    /// What happened to the jobs of queues that are gone.
    gone: Tally,
    /// Of the queues that share a tally.
    other: Depths,
    /// These queues; the first gets a tally of its own when one is free.
    sharing: BTreeSet<QueueKey>,
}

impl Default for Tallies {
    fn default() -> Self {
        Tallies {
            each: vec![Tally::default()],
            owners: vec![QueueKey::NONE],
            free: Vec::new(),
            most: 0,
            gone: Tally::default(),
            other: Depths::default(),
            sharing: BTreeSet::new(),
        }
    }
}

impl Tallies {
    /// A tally for a queue that is new.
    pub(crate) fn take(&mut self, queue: QueueKey) -> TallyKey {
        self.take_own(queue).unwrap_or_else(|| {
            self.sharing.insert(queue);
            TallyKey::OTHER
        })
    }

    fn take_own(&mut self, queue: QueueKey) -> Option<TallyKey> {
        let used = self.each.len() - self.free.len();
        if used > self.most as usize {
            return None;
        }
        let key = self.free.pop().unwrap_or_else(|| {
            self.each.push(Tally::default());
            self.owners.push(QueueKey::NONE);
            TallyKey(self.each.len() as u32 - 1)
        });
        self.owners[key.0 as usize] = queue;
        Some(key)
    }

    /// The queue, of which no job is left, is gone.
    pub(crate) fn give_back(&mut self, key: TallyKey, queue: QueueKey) {
        if key == TallyKey::OTHER {
            self.sharing.remove(&queue);
            return;
        }
        let tally = std::mem::take(&mut self[key]);
        self.gone.merge(&tally);
        self.owners[key.0 as usize] = QueueKey::NONE;
        self.free.push(key);
    }
}

impl Queues {
    /// The tally of a queue that may not be known here.
    fn tally_of(&mut self, name: &[u8]) -> &mut Tally {
        let key = self
            .find(name)
            .map_or(TallyKey::OTHER, |queue| self[queue].tally);
        &mut self.tallies[key]
    }

    /// Gives tallies that are free to queues that have shared one until now. What was counted of them stays where it is.
    pub(crate) fn spread_tallies(&mut self) {
        while let Some(&queue) = self.tallies.sharing.first() {
            let Some(key) = self.tallies.take_own(queue) else {
                return;
            };
            self.tallies.sharing.remove(&queue);
            let depths = self[queue].depths;
            self.tallies.other.subtract(&depths);
            self[queue].tally = key;
        }
    }
}

impl Index<TallyKey> for Tallies {
    type Output = Tally;

    fn index(&self, key: TallyKey) -> &Tally {
        &self.each[key.0 as usize]
    }
}

impl IndexMut<TallyKey> for Tallies {
    fn index_mut(&mut self, key: TallyKey) -> &mut Tally {
        &mut self.each[key.0 as usize]
    }
}

/// A queue, for the metrics.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "each is named for what it tells")]
pub struct QueueMetrics<'a> {
    pub name: &'a [u8],
    pub tally: &'a Tally,
    pub depths: Depths,
    /// For how long the job that is delivered next has been due.
    pub oldest: Duration,
    /// In how long the last of the restored jobs is queued again, at the latest; none when there are none.
    pub restored_within: Option<Duration>,
    /// Clients that wait here for its jobs.
    pub consumers: u64,
    pub paused: bool,
}

impl Node {
    /// Something happened to a job of a queue.
    pub(crate) fn tally(&mut self, queue: QueueKey, note: impl FnOnce(&mut Tally)) {
        let key = self.queues[queue].tally;
        note(&mut self.queues.tallies[key]);
    }

    /// Lets a job count for what it is now, after anything of that changed.
    pub(crate) fn recount(&mut self, key: JobKey) {
        let job = &mut self.jobs[key];
        if job.is_tombstone() {
            return;
        }
        let share = job.share();
        let before = std::mem::replace(&mut job.counted, share);
        if before != share {
            let bytes = job.body.len() as u64;
            let queue = job.queue;
            self.depths(queue, |depths| depths.shift(before, share, bytes));
        }
    }

    /// Lets the queue of a restored job know until when it waits.
    pub(crate) fn note_restored(&mut self, key: JobKey) {
        let job = &self.jobs[key];
        if job.counted == Share::Restored {
            let queue = &mut self.queues[job.queue];
            queue.restored_until = queue.restored_until.max(job.due);
        }
    }

    /// Opens the queue of a job that waits here.
    pub(crate) fn show_queue_of(&mut self, now: Time, key: JobKey) {
        let job = &self.jobs[key];
        if !job.is_tombstone() && self.queues[job.queue].depths.wait_here() {
            self.open_queue(now, job.queue);
        }
    }

    /// The depths of a queue change, and with them those of all that share its tally.
    fn depths(&mut self, queue: QueueKey, change: impl Fn(&mut Depths)) {
        let queue = &mut self.queues[queue];
        change(&mut queue.depths);
        if queue.tally == TallyKey::OTHER {
            change(&mut self.queues.tallies.other);
        }
    }

    /// Its body has another length from now on.
    pub(crate) fn recount_body(&mut self, key: JobKey, before: usize) {
        let job = &self.jobs[key];
        if job.counted.is_ours() {
            let after = job.body.len() as u64;
            self.depths(job.queue, |depths| {
                depths.bytes = depths.bytes - before as u64 + after;
            });
        }
    }

    /// It is about to count for another queue.
    pub(crate) fn count_elsewhere(&mut self, key: JobKey) {
        let job = &mut self.jobs[key];
        let bytes = job.body.len() as u64;
        let (queue, before) = (job.queue, std::mem::replace(&mut job.counted, Share::None));
        self.depths(queue, |depths| depths.shift(before, Share::None, bytes));
    }

    /// It counts for nothing any more.
    pub(crate) fn uncount(&mut self, job: &Job) {
        if !job.is_tombstone() {
            let bytes = job.body.len() as u64;
            self.depths(job.queue, |depths| {
                depths.shift(job.counted, Share::None, bytes);
            });
        }
    }

    /// A ready job is about to be handed out.
    pub(crate) fn tally_delivery(&mut self, now: Time, key: JobKey) {
        let job = &self.jobs[key];
        let waited = if job.nacks == 0 && job.additional_deliveries == 0 {
            let due = job.added.after_secs(job.delay);
            now.since(due).as_millis() as u64
        } else {
            u64::from(millis(now).wrapping_sub(job.since))
        };
        self.jobs[key].since = millis(now);
        self.tally(self.jobs[key].queue, |tally| {
            tally.delivered += 1;
            tally.wait.add(&JOB_MILLIS, waited);
        });
    }

    /// A job ends, here or everywhere. A node that only keeps a copy does not count that, and none counts it twice.
    pub(crate) fn tally_end(&mut self, now: Time, key: JobKey, end: Known) {
        let job = &self.jobs[key];
        let (counted, queue) = (job.counted, job.queue);
        let Some(outcome) = end.outcome() else {
            return;
        };
        if matches!(counted, Share::None | Share::Copy) {
            return;
        }
        let took = u64::from(millis(now).wrapping_sub(job.since));
        self.tally(queue, |tally| {
            *tally.ended(outcome) += 1;
            if outcome == Outcome::Acked && counted == Share::Active {
                tally.service.add(&JOB_MILLIS, took);
            }
        });
    }

    /// A job that was on its way here to be queued had ended before it arrived, so no node counted that.
    pub(crate) fn tally_missed(&mut self, copy: &Copy, outcome: Outcome) {
        let tally = self.queues.tally_of(copy.queue.as_bytes());
        *tally.ended(outcome) += 1;
    }

    /// What happened to all jobs since the node started.
    pub fn total_tally(&self) -> Tally {
        let tallies = &self.queues.tallies;
        let mut total = tallies.gone;
        for tally in &tallies.each {
            total.merge(tally);
        }
        total
    }

    /// What happened to the jobs of queues without a tally of their own.
    pub fn other_tally(&self) -> &Tally {
        &self.queues.tallies[TallyKey::OTHER]
    }

    /// How long the copies of new jobs took, in milliseconds, by [`COPY_MILLIS`].
    pub fn replication_times(&self) -> &Histogram<{ COPY_MILLIS.len() }> {
        &self.replications.times
    }

    /// The jobs of all queues.
    pub fn total_depths(&self) -> Depths {
        let tallies = &self.queues.tallies;
        let mut total = tallies.other;
        for &key in tallies.owners.iter().filter(|key| !key.is_none()) {
            total.merge(&self.queues[key].depths);
        }
        total
    }

    /// In how long the last of the restored jobs of all queues is queued again, at the latest; none when there are none.
    pub fn restored_within(&self, now: Time) -> Option<Duration> {
        if self.total_depths().restored == 0 {
            return None;
        }
        let tallies = &self.queues.tallies;
        let all = tallies.owners.iter().chain(&tallies.sharing);
        let queues = all.filter(|key| !key.is_none());
        let times = queues.filter_map(|&key| self.queues[key].restored_within(now));
        times.max()
    }

    /// The queues that have a tally of their own.
    pub fn queue_metrics(&self, now: Time) -> impl Iterator<Item = QueueMetrics<'_>> {
        let tallies = &self.queues.tallies;
        let owned = tallies.owners.iter().filter(|key| !key.is_none());
        owned.map(move |&key| self.metrics_of(now, key))
    }

    /// For how long the job has been due that waits longest of those that are delivered next, in any queue.
    pub fn oldest_ready(&self, now: Time) -> Duration {
        let tallies = &self.queues.tallies;
        let all = tallies.owners.iter().chain(&tallies.sharing);
        let known = all.filter(|key| !key.is_none());
        let ages = known.map(|&key| self.age_of(now, key));
        ages.max().unwrap_or_default()
    }

    fn metrics_of(&self, now: Time, key: QueueKey) -> QueueMetrics<'_> {
        let queue = &self.queues[key];
        QueueMetrics {
            name: queue.name.as_bytes(),
            tally: &self.queues.tallies[queue.tally],
            depths: queue.depths,
            oldest: self.age_of(now, key),
            restored_within: queue.restored_within(now),
            consumers: queue.waiters.len() as u64,
            paused: queue.pause.input || queue.pause.output,
        }
    }

    /// For how long the job that is delivered next has been due.
    pub(super) fn age_of(&self, now: Time, key: QueueKey) -> Duration {
        let first = self.queues[key].first(&self.jobs);
        first.map_or(Duration::ZERO, |key| {
            let job = &self.jobs[key];
            now.since(job.added.after_secs(job.delay))
        })
    }
}

/// The moment as a job keeps it: differences are right for 49 days.
pub(crate) fn millis(now: Time) -> u32 {
    now.as_millis() as u32
}
