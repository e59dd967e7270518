//! What a job is added with: its own options, and the policies of its queue for those that it does not name.
//!
//! What applies to a queue is looked up once, and kept with the queue until any policy changes. A node without policies
//! looks at nothing but whether there are any.

use crate::command::{AddJob, Refusal};
use crate::extras::Tag;
use crate::node::Node;
use crate::policy::{Policy, PolicySet};

/// The options that need a retry.
const NEED_RETRY: [Tag; 3] = [Tag::MAX_DELIVER, Tag::DEAD_QUEUE, Tag::BACKOFF];

/// Options of ADDJOB that policies can stand in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Terms {
    pub(super) retry: Option<u32>,
    pub(super) ttl: Option<u32>,
    pub(super) delay: Option<u32>,
    pub(super) replicate: Option<u16>,
    pub(super) max_len: Option<u64>,
    pub(super) priority: Option<u8>,
    pub(super) keep: Option<u32>,
    /// It has options that mean nothing to a job that is delivered once at most.
    pub(super) needs_retry: bool,
}

impl Terms {
    pub(super) fn of(add: &AddJob<'_>) -> Self {
        let &AddJob {
            retry,
            ttl,
            delay,
            replicate,
            max_len,
            ref extras,
            ..
        } = add;
        Terms {
            retry,
            ttl,
            delay,
            replicate,
            max_len,
            priority: extras.priority(),
            keep: extras.keep(),
            needs_retry: add.dedup.is_some()
                || extras.iter().any(|(tag, _)| NEED_RETRY.contains(&tag)),
        }
    }

    /// A policy has this value, unless a more specific pattern has set it already.
    pub(crate) fn set_unless_set(&mut self, policy: Policy, number: u64) {
        // No number is out of its policy's bounds.
        let short = |number: u64| u32::try_from(number).ok();
        match policy {
            Policy::Retry => self.retry = self.retry.or(short(number)),
            Policy::Ttl => self.ttl = self.ttl.or(short(number)),
            Policy::Delay => self.delay = self.delay.or(short(number)),
            Policy::Replicate => {
                self.replicate = self.replicate.or(u16::try_from(number).ok());
            }
            Policy::MaxLen => self.max_len = self.max_len.or(Some(number)),
            Policy::Priority => self.priority = self.priority.or(u8::try_from(number).ok()),
            Policy::Keep => self.keep = self.keep.or(short(number)),
            Policy::MaxDeliver
            | Policy::DeadQueue
            | Policy::Backoff
            | Policy::DeadTtl
            | Policy::PauseIn
            | Policy::PauseOut => {}
        }
    }

    /// Takes over what is not set here. Returns what was.
    fn fill(&mut self, policies: &Terms) -> PolicySet {
        let mut from = PolicySet::default();
        from.fill(Policy::Retry, &mut self.retry, policies.retry);
        from.fill(Policy::Ttl, &mut self.ttl, policies.ttl);
        from.fill(Policy::Delay, &mut self.delay, policies.delay);
        from.fill(Policy::Replicate, &mut self.replicate, policies.replicate);
        from.fill(Policy::MaxLen, &mut self.max_len, policies.max_len);
        from.fill(Policy::Priority, &mut self.priority, policies.priority);
        from.fill(Policy::Keep, &mut self.keep, policies.keep);
        from
    }
}

impl PolicySet {
    fn fill<T>(&mut self, policy: Policy, option: &mut Option<T>, value: Option<T>) {
        if option.is_none() && value.is_some() {
            *option = value;
            self.insert(policy);
        }
    }
}

impl Node {
    /// The policies of a job's queue stand in for the options that it does not name. Returns which of them did.
    pub(super) fn fill_from_policies(&mut self, queue: &[u8], terms: &mut Terms) -> PolicySet {
        let Some(key) = self.queues.find(queue) else {
            return terms.fill(&self.shared.terms_of(queue));
        };
        let changes = self.shared.policy_changes();
        let remembered = &mut self.queues[key].policies;
        terms.fill(remembered.refresh(changes, || self.shared.terms_of(queue)))
    }
}

/// A refusal that names the policies without which it might not have been.
pub(super) fn by_policy(refusal: Refusal, from: PolicySet) -> Refusal {
    const COPIES: PolicySet = PolicySet::of(&[Policy::Replicate]);
    let (plain, concerned): (&'static Refusal, PolicySet) = match refusal {
        Refusal::RetryZeroNeedsOneReplica => (
            &Refusal::RetryZeroNeedsOneReplica,
            PolicySet::of(&[Policy::Retry, Policy::Replicate]),
        ),
        Refusal::DelayBeyondTtl => (
            &Refusal::DelayBeyondTtl,
            PolicySet::of(&[Policy::Delay, Policy::Ttl]),
        ),
        Refusal::TooFewNodes => (&Refusal::TooFewNodes, COPIES),
        Refusal::TooFewNodesLeaving => (&Refusal::TooFewNodesLeaving, COPIES),
        Refusal::TooFewNodesMemory => (&Refusal::TooFewNodesMemory, COPIES),
        Refusal::QueueTooLong => (&Refusal::QueueTooLong, PolicySet::of(&[Policy::MaxLen])),
        Refusal::NeedsRetry => (&Refusal::NeedsRetry, PolicySet::of(&[Policy::Retry])),
        Refusal::ReplicationTimeout
        | Refusal::RemovedWhileReplicating
        | Refusal::QueuePaused
        | Refusal::ByPolicy(..)
        | Refusal::TooManySettings
        | Refusal::ResultTooLarge(_)
        | Refusal::Leaving
        | Refusal::UnknownJob
        | Refusal::Topic(_)
        | Refusal::TooLateToPostpone => return refusal,
    };
    let had_a_part = concerned.and(from);
    if had_a_part.is_empty() {
        refusal
    } else {
        Refusal::ByPolicy(plain, had_a_part)
    }
}
