//! Rules: what applies to a job that fails, by its own options, or by the policies of its queue.
//!
//! Policies are looked up when they are needed, so a change reaches jobs that are already there.

use crate::extras::Tag;
use crate::id::{Guarantee, QueueName};
use crate::job::JobKey;
use crate::limits;
use crate::node::Node;
use crate::policy::{Backoff, Policy};
use crate::queue::QueueKey;

/// What policies say of jobs that fail.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Rules {
    max_deliver: Option<u16>,
    dead_queue: Option<QueueName>,
    backoff: Option<Backoff>,
    dead_ttl: Option<u32>,
}

impl Rules {
    /// A policy has this value, unless a more specific pattern has set it already.
    pub(crate) fn set_unless_set(&mut self, policy: Policy, value: &[u8]) {
        let number = || policy.number(value);
        match policy {
            Policy::MaxDeliver if self.max_deliver.is_none() => {
                self.max_deliver = number().and_then(|number| number.try_into().ok());
            }
            Policy::DeadQueue if self.dead_queue.is_none() && !value.is_empty() => {
                self.dead_queue = Some(QueueName::new(value));
            }
            Policy::Backoff if self.backoff.is_none() => {
                self.backoff = Backoff::parse(value);
            }
            Policy::DeadTtl if self.dead_ttl.is_none() => {
                self.dead_ttl = number().and_then(|number| number.try_into().ok());
            }
            Policy::MaxDeliver
            | Policy::DeadQueue
            | Policy::Backoff
            | Policy::DeadTtl
            | Policy::Retry
            | Policy::Ttl
            | Policy::Delay
            | Policy::Replicate
            | Policy::MaxLen
            | Policy::Priority
            | Policy::Keep
            | Policy::PauseIn
            | Policy::PauseOut => {}
        }
    }
}

impl Node {
    /// What policies say of the jobs of a queue that fail.
    fn rules(&self, queue: QueueKey) -> Rules {
        let remembered = self.queues[queue].rules.as_ref();
        let found = remembered.and_then(|known| known.get(self.shared.policy_changes()));
        found.cloned().unwrap_or_else(|| {
            let name = &self.queues[queue].name;
            self.shared.rules_of(name.as_bytes())
        })
    }

    /// Looks the policies of a queue up once for all its jobs, if there are any.
    pub(crate) fn remember_rules(&mut self, queue: QueueKey) {
        if self.shared.has_rules() {
            let changes = self.shared.policy_changes();
            let name = self.queues[queue].name.clone();
            let remembered = self.queues[queue].rules.get_or_insert_default();
            remembered.refresh(changes, || self.shared.rules_of(name.as_bytes()));
        }
    }

    /// A rule of a job: its own option, or else the policy. A dead letter has none, nor has a job that is delivered once at
    /// most.
    fn rule<T>(
        &self,
        key: JobKey,
        (tag, parse): (Tag, impl FnOnce(&[u8]) -> Option<T>),
        policy: impl FnOnce(Rules) -> Option<T>,
    ) -> Option<T> {
        let job = &self.jobs[key];
        if job.guarantee() == Guarantee::AtMostOnce || job.is_tombstone() {
            return None;
        }
        if job.has_extras() {
            let extras = self.jobs.extras(key);
            if let Some(value) = extras.get(tag) {
                return parse(value);
            }
        }
        if self.shared.has_rules() {
            policy(self.rules(job.queue))
        } else {
            None
        }
    }

    /// How often a job may be handed out; none for as often as it takes.
    pub(crate) fn max_deliver(&self, key: JobKey) -> Option<u16> {
        if self.jobs[key].is_dead() {
            return None;
        }
        let parse = |bytes: &[u8]| Some(u16::from_le_bytes(bytes.try_into().ok()?));
        self.rule(key, (Tag::MAX_DELIVER, parse), |rules| rules.max_deliver)
    }

    fn dead_queue(&self, key: JobKey) -> Option<QueueName> {
        let parse = |bytes: &[u8]| Some(QueueName::new(bytes));
        self.rule(key, (Tag::DEAD_QUEUE, parse), |rules| rules.dead_queue)
    }

    /// How NACK makes a job wait.
    pub(super) fn backoff(&self, key: JobKey) -> Option<Backoff> {
        if self.jobs[key].is_dead() {
            return None;
        }
        self.rule(key, (Tag::BACKOFF, Backoff::decode), |rules| rules.backoff)
    }

    /// Whether NACK makes a job wait.
    pub(crate) fn has_backoff(&self, key: JobKey) -> bool {
        self.backoff(key).is_some()
    }

    /// Whether a job becomes a dead letter when it fails for good.
    pub(crate) fn is_guarded(&self, key: JobKey) -> bool {
        let job = &self.jobs[key];
        if !job.has_extras() && !self.shared.has_rules() {
            return false;
        }
        !job.is_dead() && (self.max_deliver(key).is_some() || self.dead_queue(key).is_some())
    }

    /// Where a job goes when it is buried.
    pub(super) fn grave(&self, key: JobKey) -> QueueName {
        let here = &self.queues[self.jobs[key].queue].name;
        let named = self.dead_queue(key).filter(|name| name != here);
        named.unwrap_or_else(|| {
            let mut name = here.as_bytes().to_vec();
            name.extend_from_slice(limits::DEAD_SUFFIX);
            QueueName::new(&name)
        })
    }

    /// How many seconds a job lives as a dead letter.
    pub(super) fn dead_ttl(&self, key: JobKey) -> u32 {
        let ttl = self.rules(self.jobs[key].queue).dead_ttl;
        ttl.unwrap_or(limits::DEAD_TTL)
    }

    /// How much longer than its job an ack is kept, in seconds: another holder, which is away, may have buried the job.
    pub(crate) fn longest_dead_ttl(&self) -> u32 {
        self.shared.longest_dead_ttl().max(limits::DEAD_TTL)
    }
}
