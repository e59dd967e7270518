//! ADDJOB: enough replicas before the reply.
//!
//! A job is checked against all that can refuse it, made, recorded, and put into its queue (or on the agenda, when
//! it has a delay). With more than one copy it first waits for the other nodes; this node has none yet, so a job
//! that asks for them is refused.

use rand::Rng;

use crate::command::{AddJob, Refusal, Reply};
use crate::effect::Effect;
use crate::id::{Guarantee, JobId, Ticket};
use crate::job::{Body, Job, JobState, Links, Place};
use crate::jobs::JobKey;
use crate::limits;
use crate::node::{MemoryLevel, Node};
use crate::peers::{NodeSet, PeerKey};
use crate::requeue::Cause;
use crate::time::{Now, Time};

/// Jobs whose producers wait for copies.
#[derive(Debug, Default)]
pub(crate) struct Replications {}

impl Node {
    pub(crate) fn add_job(
        &mut self,
        now: Now,
        ticket: Ticket,
        add: &AddJob<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let retry = add.retry.unwrap_or_else(|| default_retry(add.ttl));
        let replicate = add.replicate.unwrap_or_else(|| {
            self.settings
                .default_replicate
                .min(self.peers.cluster_size())
        });
        if let Err(refusal) = self.admit(add, retry, replicate) {
            effects.push(Effect::Reply(ticket, Reply::Refused(refusal)));
            return;
        }
        let (id, key) = self.make_job(now, add, retry, replicate);
        self.persist_job(key, effects);
        self.counters.added += 1;
        if add.delay == 0 {
            let queued = self.enqueue(now.time, key, Cause::First, effects);
            assert!(
                queued,
                "{id}: a new job is queued, for its queue takes input"
            );
        }
        effects.push(Effect::Reply(ticket, Reply::Added(id)));
    }

    pub(crate) fn on_got_job(
        &mut self,
        now: Time,
        from: PeerKey,
        id: JobId,
        effects: &mut Vec<Effect>,
    ) {
        let _ = (&self, now, from, id, effects);
    }

    /// A job that waits for replicas is due: more are asked for, or its producer waited long enough.
    pub(crate) fn on_replication_due(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        let _ = (&self, now, key, effects);
    }

    /// The link to a peer came up: what it did not confirm is sent again.
    pub(crate) fn replicate_with(&mut self, now: Time, peer: PeerKey, effects: &mut Vec<Effect>) {
        let _ = (&self, now, peer, effects);
    }

    /// A peer takes no copies any more.
    pub(crate) fn replicate_without(
        &mut self,
        now: Time,
        peer: PeerKey,
        effects: &mut Vec<Effect>,
    ) {
        let _ = (&self, now, peer, effects);
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
        let reachable = self.peers.reachable().len();
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
            holders: NodeSet::EMPTY,
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
            ours: true,
            warned: false,
            moves: 0,
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
