//! Retry, delay, NACK, ENQUEUE, DEQUEUE: putting a job back into its queue, or out of it. What other nodes that
//! hold the job have to do with it is in `agreement`.
//!
//! A queue that is paused in input takes nothing back: the job then waits for another retry. An at-most-once job is
//! queued once, when it is new or its delay is over, and never again on any path.

use crate::agenda::Timer;
use crate::command::Reply;
use crate::effect::Effect;
use crate::explaining::What;
use crate::id::{Guarantee, JobId};
use crate::job::{Ending, Job, JobKey, JobState, Move, Place};
use crate::limits;
use crate::node::{MemoryLevel, Node};
use crate::queue::QueueKey;
use crate::telling::{Reason, Way, millis};
use crate::time::Time;

/// Why a job is queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It is new, or its delay is over.
    First,
    /// Its retry is over.
    Retry,
    /// NACK.
    Nack,
    /// ENQUEUE.
    Asked,
    /// A start after an unclean stop.
    Restart,
    /// A start after a clean stop: it was queued then. Or nobody has seen its delivery.
    Restored,
    /// It was sent to another node, and nobody knows whether it arrived.
    Heal,
    /// Another node, which had its turn, wants it to be queued here.
    Given,
    /// It was handed over to another node, which has not confirmed it.
    Drain,
    /// It was given back, and its wait is over.
    Waited,
}

impl Node {
    pub(crate) fn enqueue_jobs(
        &mut self,
        now: Time,
        ids: &[JobId],
        effects: &mut Vec<Effect>,
    ) -> Reply {
        self.each_job(ids, |node, key| {
            node.enqueue(now, key, Cause::Asked, effects)
        })
    }

    pub(crate) fn dequeue_jobs(&mut self, now: Time, ids: &[JobId]) -> Reply {
        self.each_job(ids, |node, key| node.dequeue(now, key))
    }

    /// Counts the known jobs for which `act` does something.
    pub(crate) fn each_job(
        &mut self,
        ids: &[JobId],
        mut act: impl FnMut(&mut Node, JobKey) -> bool,
    ) -> Reply {
        let mut count = 0;
        for id in ids {
            if let Some(key) = self.jobs.find(id) {
                count += u64::from(act(self, key));
            }
        }
        Reply::Count(count)
    }

    /// Queues an active job now, unless its queue takes no input or it may not be queued again; and hands it out if
    /// somebody waits for it, here or elsewhere: an at-most-once job may be gone when this returns.
    pub(crate) fn enqueue(
        &mut self,
        now: Time,
        key: JobKey,
        cause: Cause,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let queued = self.put_back(now, key, cause, effects);
        if queued {
            self.serve(now, self.jobs[key].queue, effects);
        }
        queued
    }

    /// As [`Node::enqueue`], but leaves it to the caller to serve those who wait.
    pub(crate) fn put_back(
        &mut self,
        now: Time,
        key: JobKey,
        cause: Cause,
        effects: &mut Vec<Effect>,
    ) -> bool {
        if !may_queue(&self.jobs[key], cause) {
            return false;
        }
        if self.is_purged(key) {
            // It goes as soon as it is due.
            let queue = self.jobs[key].queue;
            self.move_job(key, Move::Wait, now);
            self.open_queue(now, queue);
            return false;
        }
        if self.jobs[key].body.is_lost() {
            self.set_aside(now, key, effects);
            return false;
        }
        self.remember_rules(self.jobs[key].queue);
        if let Some(reason) = self.must_bury(now, key, cause) {
            self.count_queueing(key, cause);
            self.bury(now, key, reason, effects);
            return true;
        }
        let job = &self.jobs[key];
        let queue = job.queue;
        // What only changes its node, comes back from doing so, or goes back to the place that it had, was let in before.
        let was_in = matches!(
            cause,
            Cause::Given | Cause::Drain | Cause::Heal | Cause::Restored
        );
        if self.queues[queue].pause.input && !was_in {
            self.wait_for_input(now, key, cause);
            return false;
        }
        self.end_wait(now, key, effects);
        let job = &self.jobs[key];
        let requeue = match job.guarantee() {
            Guarantee::AtMostOnce => Time::NEVER,
            Guarantee::AtLeastOnce => now.after_secs(job.retry),
        };
        self.happened(job.id, What::Queued(cause));
        self.count_queueing(key, cause);
        if cause == Cause::Retry {
            self.jobs[key].moves = 0;
        }
        self.move_job(key, Move::PutBack, requeue);
        self.put_into(now, key);
        // From another node, or from before a stop: it went into the queue before.
        if !matches!(cause, Cause::Given | Cause::Restored) {
            self.note_entry(now, key);
        }
        match cause {
            // This is what the other holders expect.
            Cause::First => {}
            // They were asked, or this node was. Those that could not hear hear of it later.
            Cause::Restored | Cause::Restart | Cause::Given => self.jobs[key].make(Move::Announce),
            Cause::Retry
            | Cause::Nack
            | Cause::Asked
            | Cause::Drain
            | Cause::Heal
            | Cause::Waited => self.announce(now, key, effects),
        }
        true
    }

    /// A job enters its queue.
    pub(crate) fn put_into(&mut self, now: Time, key: JobKey) {
        let queue = self.jobs[key].queue;
        self.queues.open(queue, now);
        self.queues[queue].push(&mut self.jobs, key);
        self.jobs[key].since = millis(now);
        self.queues[queue].used = now;
        self.queues[queue].jobs_in += 1;
    }

    /// A job that entered its queue counts for the rate at which jobs do.
    pub(crate) fn note_entry(&mut self, now: Time, key: JobKey) {
        let queue = self.jobs[key].queue;
        self.queues.note_traffic(queue, now, Way::In);
    }

    /// A job's queue takes no jobs: it tries again later.
    fn wait_for_input(&mut self, now: Time, key: JobKey, cause: Cause) {
        // A client that asks by name gets 0 for an answer; the time that was set still holds.
        if matches!(cause, Cause::Asked | Cause::Nack) {
            return;
        }
        let job = &self.jobs[key];
        let wait = match job.guarantee() {
            Guarantee::AtMostOnce => limits::PAUSED_RETRY_SECS,
            Guarantee::AtLeastOnce => job.retry,
        };
        self.move_job(key, Move::Wait, now.after_secs(wait));
        self.happened(self.jobs[key].id, What::KeptOut);
    }

    pub(crate) fn count_queueing(&mut self, key: JobKey, cause: Cause) {
        let job = &mut self.jobs[key];
        let (again, queue) = (job.queued_before(), job.queue);
        match cause {
            Cause::First | Cause::Restored | Cause::Given | Cause::Waited => return,
            Cause::Nack => {
                job.nacks = job.nacks.saturating_add(1);
                self.tally(queue, |tally| tally.nacked += 1);
            }
            Cause::Retry | Cause::Asked | Cause::Restart | Cause::Drain | Cause::Heal if again => {
                job.additional_deliveries = job.additional_deliveries.saturating_add(1);
            }
            Cause::Retry | Cause::Asked | Cause::Restart | Cause::Drain | Cause::Heal => {}
        }
        let redelivered = match cause {
            Cause::First | Cause::Restored | Cause::Given | Cause::Waited => return,
            Cause::Heal => &mut self.counters.redelivered_heal,
            Cause::Nack => &mut self.counters.redelivered_nack,
            Cause::Retry => &mut self.counters.redelivered_timeout,
            Cause::Asked => &mut self.counters.redelivered_asked,
            Cause::Restart => &mut self.counters.redelivered_restart,
            Cause::Drain => &mut self.counters.redelivered_drain,
        };
        *redelivered += u64::from(again);
        if let Some(reason) = Reason::of(cause).filter(|_| again) {
            self.tally(queue, |tally| tally.redelivered[reason as usize] += 1);
        }
    }

    fn dequeue(&mut self, now: Time, key: JobKey) -> bool {
        let job = &self.jobs[key];
        if job.state() != JobState::Queued {
            return false;
        }
        // The time set at its queueing may be long past: it is due again within a retry from now.
        let requeue = job.next_requeue(now);
        self.leave_queue(now, key);
        self.move_job(key, Move::Wait, requeue);
        self.take_turn(key);
        self.happened(self.jobs[key].id, What::Dequeued);
        true
    }

    /// Takes a job out of its queue if it waits there: from then on it is active, and in no list.
    pub(crate) fn take_out(&mut self, now: Time, key: JobKey) {
        if self.jobs[key].state() == JobState::Queued {
            self.leave_queue(now, key);
            let requeue = self.jobs[key].due;
            self.move_job(key, Move::Wait, requeue);
        }
    }

    /// Takes a job out of its queue. Its state is still queued: the caller moves it on.
    pub(crate) fn leave_queue(&mut self, now: Time, key: JobKey) {
        let at = self.jobs[key].queue;
        let queue = &mut self.queues[at];
        queue.remove(&mut self.jobs, key);
        queue.used = now;
        self.watch_idle(now, at);
        self.serve_behind_purged(now, key);
    }

    /// The agenda came to a job: its ttl is over, or its delay or retry. Returns the queue that it went to if somebody
    /// waits there: who is to be served when all jobs due at this moment are in their places.
    pub(crate) fn on_job_due(
        &mut self,
        now: Time,
        key: JobKey,
        effects: &mut Vec<Effect>,
    ) -> Option<QueueKey> {
        if self.is_purged(key) {
            self.agenda.add_job(&mut self.jobs, key);
            self.purge_job(now, key, effects);
            return None;
        }
        let is_over = self.jobs[key].expires() <= now;
        if is_over && self.outlive(now, key, effects) {
            return None;
        }
        let job = &mut self.jobs[key];
        let expired = is_over && job.ending != Ending::Outlived;
        match job.state() {
            JobState::WaitReplicas if job.expires() > now => {
                self.agenda.add_job(&mut self.jobs, key);
                self.on_replication_due(now, key, effects);
                return None;
            }
            JobState::Acked if job.expires() > now => {
                self.agenda.add_job(&mut self.jobs, key);
                self.on_collection_due(now, key, effects);
                return None;
            }
            JobState::Active if job.must_warn() && !expired => {
                self.warn_holders(now, key, effects);
                return None;
            }
            JobState::WaitReplicas | JobState::Acked | JobState::Active | JobState::Queued => {}
        }
        let requeue = std::mem::replace(&mut job.due, Time::NEVER);
        let cause = if job.place() == Place::Unsettled {
            self.agreement.cause
        } else if job.place() == Place::Waiting && job.is_ours() {
            Cause::Waited
        } else if self.hand_over.take_back(&job.id) {
            Cause::Drain
        } else if job.queued_before() {
            Cause::Retry
        } else {
            Cause::First
        };
        self.agenda.add_job(&mut self.jobs, key);
        if expired {
            self.expire(now, key, effects);
            return None;
        }
        if requeue > now || !self.put_back(now, key, cause, effects) {
            return None;
        }
        let queue = self.jobs[key].queue;
        self.is_wanted(queue).then_some(queue)
    }

    /// Shows a queue to clients, though no job may be in it.
    pub(crate) fn open_queue(&mut self, now: Time, key: QueueKey) {
        self.queues.open(key, now);
        self.watch_idle(now, key);
    }

    /// Looks at a queue again later, if it is empty now.
    pub(crate) fn watch_idle(&mut self, now: Time, key: QueueKey) {
        let queue = &mut self.queues[key];
        if queue.open && queue.is_idle() && queue.idle_check.is_none() {
            let when = now + limits::QUEUE_IDLE;
            queue.idle_check = Some(when);
            self.agenda.add_timer(when, Timer::Queue(key));
        }
    }

    /// A queue was empty a while ago: it goes if it has been so ever since.
    pub(crate) fn on_queue_idle(&mut self, now: Time, key: QueueKey) {
        let queue = &mut self.queues[key];
        queue.idle_check = None;
        if !queue.is_idle() {
            return;
        }
        let mut when = queue.used + limits::QUEUE_IDLE;
        if when <= now {
            if queue.is_done() {
                self.queues.close(key);
                return;
            }
            // Its jobs are out or delayed. Nobody tells when the last of them is gone: it is looked at now and then.
            when = now + limits::QUEUE_IDLE;
        }
        queue.idle_check = Some(when);
        self.agenda.add_timer(when, Timer::Queue(key));
    }

    /// Closes every queue that has idled for as long as the level of memory allows.
    pub(crate) fn sweep_queues(&mut self, now: Time) {
        if now.since(self.last_sweep) < limits::SWEEP_EVERY {
            return;
        }
        self.last_sweep = now;
        let idle = match self.memory_level() {
            MemoryLevel::Normal => limits::QUEUE_IDLE,
            MemoryLevel::External => limits::QUEUE_IDLE_EXTERNAL,
            MemoryLevel::Evict | MemoryLevel::Full => limits::QUEUE_IDLE_EVICT,
        };
        for slot in 0..self.queues.end() {
            let key = QueueKey(slot);
            let Some(queue) = self.queues.get(key) else {
                continue;
            };
            if queue.open && queue.is_done() && now.since(queue.used) >= idle {
                if let Some(when) = self.queues[key].idle_check.take() {
                    self.agenda.remove_timer(when, Timer::Queue(key));
                }
                self.queues.close(key);
            }
        }
    }
}

/// Whether a job may be queued again at all.
fn may_queue(job: &Job, cause: Cause) -> bool {
    if job.state() != JobState::Active {
        return false;
    }
    match job.guarantee() {
        Guarantee::AtLeastOnce => true,
        // Of the nodes that were asked for a copy one is told to queue it: the others never may.
        Guarantee::AtMostOnce => {
            !job.queued_before() && (job.is_ours() || !matches!(cause, Cause::Asked | Cause::Nack))
        }
    }
}
