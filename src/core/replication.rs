//! ADDJOB: enough replicas before the reply.
//!
//! A job is checked against all that can refuse it, made, recorded, and put into its queue (or on the agenda, when
//! it has a delay). With more than one copy it first waits for the other nodes; this node has none yet, so a job
//! that asks for them is refused.

use rand::Rng;

use crate::command::{AddJob, Refusal, Reply};
use crate::effect::Effect;
use crate::id::{Guarantee, JobId};
use crate::job::{Body, Job, JobState, Links, Place};
use crate::jobs::JobKey;
use crate::limits;
use crate::node::{MemoryLevel, Node};
use crate::record::Record;
use crate::requeue::Cause;
use crate::time::{Now, Time};

/// Copies of a job whose producer does not say, as far as there are nodes: Disque's rule.
const DEFAULT_REPLICATE: u16 = 3;

impl Node {
    pub(crate) fn add_job(
        &mut self,
        now: Now,
        add: &AddJob<'_>,
        effects: &mut Vec<Effect>,
    ) -> Reply {
        let retry = add.retry.unwrap_or_else(|| default_retry(add.ttl));
        let replicate = add
            .replicate
            .unwrap_or_else(|| DEFAULT_REPLICATE.min(self.known_nodes()));
        if let Err(refusal) = self.admit(add, retry, replicate) {
            return Reply::Refused(refusal);
        }
        let (id, key) = self.make_job(now, add, retry, replicate);
        let job = &self.jobs[key];
        self.persist(
            Record::Added(Box::new(job.record(self.queues[job.queue].name.clone()))),
            effects,
        );
        self.counters.added += 1;
        if add.delay == 0 {
            let queued = self.enqueue(now.time, key, Cause::First, effects);
            assert!(
                queued,
                "{id}: a new job is queued, for its queue takes input"
            );
        }
        Reply::Added(id)
    }

    /// Checks all that can refuse a job, in Disque's order.
    fn admit(&self, add: &AddJob<'_>, retry: u32, replicate: u16) -> Result<(), Refusal> {
        if replicate > 1 && retry == 0 {
            return Err(Refusal::RetryZeroNeedsOneReplica);
        }
        if add.delay >= add.ttl {
            return Err(Refusal::DelayBeyondTtl);
        }
        self.admit_copies(replicate)?;
        let Some(queue) = self.queues.find(add.queue).map(|key| &self.queues[key]) else {
            return Ok(());
        };
        if add.max_len.is_some_and(|max_len| queue.len >= max_len) {
            return Err(Refusal::QueueTooLong);
        }
        if queue.pause.input {
            return Err(Refusal::QueuePaused);
        }
        Ok(())
    }

    /// Whether so many copies can be had: one here, unless this node keeps none, and the rest elsewhere.
    fn admit_copies(&self, replicate: u16) -> Result<(), Refusal> {
        let reachable = self.known_nodes() - 1;
        let full = self.memory_level() >= MemoryLevel::External;
        if replicate - 1 > reachable {
            Err(Refusal::TooFewNodes)
        } else if replicate <= reachable || !(self.leaving || full) {
            Ok(())
        } else if self.leaving {
            Err(Refusal::TooFewNodesLeaving)
        } else {
            Err(Refusal::TooFewNodesMemory)
        }
    }

    /// Nodes of the cluster, this one included.
    #[expect(
        clippy::unused_self,
        reason = "the members are the node's, as soon as there are any"
    )]
    fn known_nodes(&self) -> u16 {
        1
    }

    /// Makes a job that is active and that nothing will queue, unless it has a delay.
    fn make_job(
        &mut self,
        now: Now,
        add: &AddJob<'_>,
        retry: u32,
        replicate: u16,
    ) -> (JobId, JobKey) {
        let mut random = [0; 18];
        self.random.fill_bytes(&mut random);
        let guarantee = if retry == 0 {
            Guarantee::AtMostOnce
        } else {
            Guarantee::AtLeastOnce
        };
        let id = JobId::new(&self.id, random, add.ttl, guarantee);
        self.last_created = self
            .last_created
            .saturating_add(1)
            .max(now.wall.0.saturating_mul(1_000_000));
        let requeue = if add.delay == 0 {
            Time::NEVER
        } else {
            now.time.after_secs(add.delay)
        };
        let queue = self.queues.find_or_add(add.queue);
        let key = self.insert(Job {
            id,
            body: Body::new(add.body),
            created: self.last_created,
            added: now.time,
            requeue,
            ttl: add.ttl,
            delay: add.delay,
            retry,
            nacks: 0,
            additional_deliveries: 0,
            queue,
            order: Links::NONE,
            agenda: Links::NONE,
            segment: self.segments.current(),
            replicate,
            state: JobState::Active,
            place: Place::Before,
        });
        (id, key)
    }

    /// Keeps a job and puts it on the agenda.
    fn insert(&mut self, job: Job) -> JobKey {
        let key = self.keep(job);
        self.agenda.add_job(&mut self.jobs, key);
        key
    }
}

/// A tenth of the ttl, within bounds, in seconds.
fn default_retry(ttl: u32) -> u32 {
    (ttl / 10).clamp(limits::DEFAULT_RETRY_MIN, limits::DEFAULT_RETRY_MAX)
}
