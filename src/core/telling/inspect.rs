//! SHOW, QLEN, QSTAT, QPEEK, QSCAN, JSCAN: looking, and changing nothing.
//!
//! A scan's cursor is the slot that it looks at next. A job or queue keeps its slot while it lives, so a scan meets
//! every one that was there throughout, and bounds what one answer looks at.

use std::time::Duration;

use crate::adding::Home;
use crate::command::{
    Answer, Delivery, Detail, Gathered, JobScan, JobView, PauseState, QueueList, QueueScan,
    QueueView, QueueWaits, Reply, ScanReply,
};
use crate::extras::Extras;
use crate::id::{Guarantee, JobId, NodeId, QueueName};
use crate::job::{Job, JobKey, JobState};
use crate::limits;
use crate::node::Node;
use crate::queue::{Queue, QueueKey};
use crate::time::Time;

impl Node {
    pub(crate) fn show(&self, now: Time, id: Option<JobId>) -> Reply {
        let key = id.and_then(|id| self.jobs.find(&id));
        Reply::Shown(key.map(|key| Box::new(self.view(now, key))))
    }

    pub(crate) fn queue_length(&self, name: &[u8]) -> Reply {
        Reply::Count(self.length_of(name))
    }

    pub(super) fn length_of(&self, name: &[u8]) -> u64 {
        self.queues.find(name).map_or(0, |key| self.queues[key].len)
    }

    pub(crate) fn queue_peek(&self, name: &[u8], count: i64, is_meta: bool) -> Reply {
        Reply::Peeked(self.peek(name, count, is_meta), is_meta)
    }

    pub(super) fn peek(&self, name: &[u8], count: i64, is_meta: bool) -> Vec<Delivery> {
        let Some(key) = self.queues.find(name) else {
            return Vec::new();
        };
        let queue = &self.queues[key];
        let delivery = |key| {
            let job = &self.jobs[key];
            let (deliveries, extras) = if is_meta {
                (self.deliveries(key, false), self.jobs.extras(key))
            } else {
                (0, Extras::NONE)
            };
            job.delivery(queue.name.clone(), deliveries, extras)
        };
        let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        if count < 0 {
            let newest = queue.newest(&self.jobs).take(wanted);
            newest.map(delivery).collect()
        } else {
            let oldest = queue.oldest(&self.jobs).take(wanted);
            oldest.map(delivery).collect()
        }
    }

    pub(crate) fn queue_stat(&self, now: Time, name: &[u8], detail: Detail) -> Reply {
        Reply::QueueStat(self.stat_of(now, name, detail).map(Box::new))
    }

    pub(super) fn stat_of(&self, now: Time, name: &[u8], detail: Detail) -> Option<QueueView> {
        let queue = &self.queues[self.queues.find(name)?];
        let full = (detail == Detail::Full).then(|| QueueWaits {
            open: queue.open,
            depths: queue.depths,
            restored_within: queue.restored_within(now),
        });
        if !queue.open {
            let copies = full.filter(|full| full.depths.copies > 0)?;
            return Some(QueueView::closed(queue.name.clone(), copies));
        }
        let (sources, rate) = self.federation.imports(now, &queue.name);
        Some(QueueView {
            name: queue.name.clone(),
            len: queue.len,
            age: now.since(queue.opened),
            idle: now.since(queue.used),
            blocked: queue.waiters.len() as u64,
            import_from: self.peers.names(sources, None),
            import_rate: rate,
            jobs_in: queue.jobs_in,
            jobs_out: queue.jobs_out,
            pause: queue.pause,
            full,
        })
    }

    pub(crate) fn queue_list(&self, now: Time, list: &QueueList) -> Reply {
        Reply::Global(Box::new(Gathered {
            answer: Answer::Queues(self.list_queues(now, list)),
            missing: Vec::new(),
        }))
    }

    pub(crate) fn queue_scan(&self, now: Time, scan: &QueueScan) -> Reply {
        let (cursor, names) = self.scan_queues(now, scan);
        Reply::Queues(cursor, names)
    }

    pub(super) fn scan_queues(&self, now: Time, scan: &QueueScan) -> (u64, Vec<QueueName>) {
        let rate = |queue: &Queue| {
            let (_, rate) = self.federation.imports(now, &queue.name);
            i64::try_from(rate).unwrap_or(i64::MAX)
        };
        let fits = |queue: &Queue| {
            let len = i64::try_from(queue.len).unwrap_or(i64::MAX);
            queue.open
                && scan.min_len.is_none_or(|min| len >= min)
                && scan.max_len.is_none_or(|max| len <= max)
                && scan.import_rate.is_none_or(|least| rate(queue) >= least)
        };
        walk(scan.cursor, scan.count, self.queues.end(), |slot| {
            let queue = self.queues.get(QueueKey(slot)).filter(|queue| fits(queue));
            queue.map(|queue| queue.name.clone())
        })
    }

    pub(crate) fn job_scan(&self, now: Time, scan: &JobScan<'_>) -> Reply {
        match scan.reply {
            ScanReply::Id => {
                let (cursor, ids) = self.scan_ids(scan);
                Reply::JobIds(cursor, ids)
            }
            ScanReply::All => {
                let (cursor, jobs) = self.scan_views(now, scan);
                Reply::Jobs(cursor, jobs)
            }
        }
    }

    pub(super) fn scan_ids(&self, scan: &JobScan<'_>) -> (u64, Vec<JobId>) {
        self.scan(scan, |key| self.jobs[key].id)
    }

    pub(super) fn scan_views(&self, now: Time, scan: &JobScan<'_>) -> (u64, Vec<JobView>) {
        self.scan(scan, |key| self.view(now, key))
    }

    fn scan<T>(&self, scan: &JobScan<'_>, tell: impl Fn(JobKey) -> T) -> (u64, Vec<T>) {
        let queue = scan.queue.map(|name| self.queues.find(name));
        let fits = |job: &Job| {
            !job.is_tombstone()
                && queue.is_none_or(|queue| queue == Some(job.queue))
                && (scan.states.is_empty() || scan.states.contains(&job.state()))
        };
        walk(scan.cursor, scan.count, self.jobs.end(), |slot| {
            let key = JobKey(slot);
            let fits = self.jobs.get(key).is_some_and(fits);
            fits.then(|| tell(key))
        })
    }

    fn view(&self, now: Time, key: JobKey) -> JobView {
        let job = &self.jobs[key];
        let acked = job.state() == JobState::Acked;
        let requeue = job.next_requeue(now);
        let next_requeue = (requeue != Time::NEVER && !acked).then(|| requeue.since(now));
        let awake = if acked {
            job.wake()
        } else {
            job.expires().min(requeue - limits::WILLQUEUE_AHEAD)
        };
        JobView {
            id: job.id,
            queue: (!job.is_tombstone()).then(|| self.queues[job.queue].name.clone()),
            state: job.state(),
            withdrawn: job.is_withdrawn(),
            replicate: job.replicate,
            ttl: u32::try_from(job.expires().since(now).as_millis().div_ceil(1000))
                .unwrap_or(u32::MAX),
            created: self.created(key),
            delay: job.delay,
            retry: job.retry,
            nacks: job.nacks,
            additional_deliveries: job.additional_deliveries,
            holders: self
                .peers
                .names(job.holders, (!job.is_tombstone()).then_some(self.id)),
            confirmed: self.confirmed(key),
            next_requeue,
            next_awake: Some(awake.since(now)),
            body: (!acked && !job.body.is_lost()).then(|| job.body.clone()),
        }
    }

    /// Who has a copy, while the job waits for that; who knows of its ack, once it has one.
    fn confirmed(&self, key: JobKey) -> Vec<NodeId> {
        if let Some(pending) = self.replications.get(key) {
            let own = (pending.home == Home::Here).then_some(self.id);
            self.peers.names(pending.confirmed, own)
        } else if let Some(collection) = self.collections.get(key) {
            self.peers.names(collection.heard, Some(self.id))
        } else {
            Vec::new()
        }
    }
}

impl QueueView {
    /// A queue that clients do not see here, for it only has copies.
    fn closed(name: QueueName, full: QueueWaits) -> Self {
        QueueView {
            name,
            len: 0,
            age: Duration::ZERO,
            idle: Duration::ZERO,
            blocked: 0,
            import_from: Vec::new(),
            import_rate: 0,
            jobs_in: 0,
            jobs_out: 0,
            pause: PauseState::default(),
            full: Some(full),
        }
    }
}

impl Job {
    /// When it is queued next. While it is queued, its retry starts over whenever it ends.
    pub(crate) fn next_requeue(&self, now: Time) -> Time {
        if self.state() != JobState::Queued || self.guarantee() == Guarantee::AtMostOnce {
            return self.due;
        }
        let retry = u64::from(self.retry) * 1000;
        let over = now.as_millis().saturating_sub(self.due.as_millis());
        Time::from_millis(self.due.as_millis() + over.div_ceil(retry) * retry)
    }
}

/// Looks at slots from `cursor` on: about `count` hits, or all. Returns where to go on (0: done) and the hits.
fn walk<T>(
    cursor: u64,
    count: Option<u64>,
    end: u32,
    find: impl Fn(u32) -> Option<T>,
) -> (u64, Vec<T>) {
    let count = count.unwrap_or(u64::MAX).max(1);
    let looks = count.saturating_mul(limits::SCAN_LOOKS_PER_COUNT);
    let from = u32::try_from(cursor).unwrap_or(u32::MAX).min(end);
    let mut hits = Vec::new();
    for slot in from..end {
        if hits.len() as u64 >= count || u64::from(slot - from) >= looks {
            return (u64::from(slot), hits);
        }
        hits.extend(find(slot));
    }
    (0, hits)
}
