//! A job, and its legal moves.

use std::fmt;

use triomphe::ThinArc;

use crate::id::{Guarantee, JobId};
use crate::jobs::JobKey;
use crate::limits;
use crate::message::Holders;
use crate::peers::NodeSet;
use crate::queue::QueueKey;
use crate::record::{JobRecord, Segment};
use crate::time::Time;

/// The opaque bytes that a job carries: one allocation, shared, so that handing it out copies nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Body(ThinArc<(), u8>);

impl Body {
    /// A body with these bytes, copied once.
    pub fn new(bytes: &[u8]) -> Self {
        Body(ThinArc::from_header_and_slice((), bytes))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.slice
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

/// Where a job stands on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobState {
    /// Its producer still waits for copies to be confirmed.
    WaitReplicas,
    /// Delivered, delayed, or queued on another node.
    Active,
    /// Ready in its queue.
    Queued,
    /// Acknowledged, until every holder knows.
    Acked,
}

impl JobState {
    /// The table of legal moves. Leaving the node altogether is legal from every state.
    pub fn may_become(self, next: JobState) -> bool {
        match (self, next) {
            (JobState::WaitReplicas, JobState::Active | JobState::Queued)
            | (JobState::Active, JobState::Queued)
            | (JobState::Queued, JobState::Active)
            | (JobState::WaitReplicas | JobState::Active | JobState::Queued, JobState::Acked) => {
                true
            }
            (JobState::WaitReplicas | JobState::Active | JobState::Queued | JobState::Acked, _) => {
                false
            }
        }
    }
}

/// Two neighbours in a list that runs through the jobs themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Links {
    pub(crate) prev: JobKey,
    pub(crate) next: JobKey,
}

impl Links {
    pub(crate) const NONE: Links = Links {
        prev: JobKey::NONE,
        next: JobKey::NONE,
    };
}

/// Which list [`Job::order`] belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// None, and it never was in its queue: its next queueing is the first.
    Before,
    /// None.
    Nowhere,
    /// None, but it was in its queue when the node stopped, and goes back unless another node has it.
    Unsettled,
    /// The list of its queue.
    List,
    /// The tree of its queue, for jobs that came back out of order.
    Tree,
    /// The list of delivered at-most-once jobs, which may be evicted when memory is short.
    Evictable,
    /// The list of acked jobs, or that of tombstones.
    Acked,
}

/// One job as this node holds it: 120 bytes beside the body.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) body: Body,
    /// Orders the queue: unix milliseconds × 1 000 000 + a counter.
    pub(crate) created: u64,
    /// Ttl and delay count from here.
    pub(crate) added: Time,
    /// What the node does next about it, and when: while active, it is queued ([`Time::NEVER`]: nothing queues it);
    /// while it waits for replicas, more are asked; while acked, the holders are told again. Means nothing while queued.
    pub(crate) requeue: Time,
    /// Other nodes that may have a copy.
    pub(crate) holders: NodeSet,
    pub(crate) ttl: u32,
    pub(crate) delay: u32,
    pub(crate) retry: u32,
    pub(crate) nacks: u32,
    pub(crate) additional_deliveries: u32,
    /// None for a tombstone.
    pub(crate) queue: QueueKey,
    /// Neighbours in the list that `place` names.
    pub(crate) order: Links,
    /// Neighbours in its bucket of the agenda.
    pub(crate) agenda: Links,
    /// Where its newest record lies.
    pub(crate) segment: Segment,
    pub(crate) replicate: u16,
    pub(crate) state: JobState,
    pub(crate) place: Place,
    /// It is this node's turn: it was added here, or left this node's queue last, and nobody else is known to have
    /// queued it since. Means nothing while queued.
    pub(crate) ours: bool,
    /// While active: the holders were told that it is about to be queued. While queued: they were told that it is, and
    /// are told again when a link comes up.
    pub(crate) warned: bool,
    /// Fewer nodes are known to hold it than are to, and that is counted.
    pub(crate) short: bool,
    /// How often it went from node to node since it was last handed out.
    pub(crate) moves: u8,
}

const _: () = assert!(
    size_of::<Option<Job>>() <= 120,
    "spec: at most 300 bytes a job, body included"
);

impl Job {
    /// When its ttl is over.
    pub(crate) fn expires(&self) -> Time {
        self.added.after_secs(self.ttl)
    }

    /// Whether it was in a queue at least once: the next queueing is an additional one. A copy of an at-least-once job
    /// that is queued for lack of news was most likely queued elsewhere.
    pub(crate) fn queued_before(&self) -> bool {
        let elsewhere = !self.ours && self.guarantee() == Guarantee::AtLeastOnce;
        self.place != Place::Before || elsewhere
    }

    /// When the node must look at it next.
    pub(crate) fn wake(&self) -> Time {
        match self.state {
            JobState::Active if self.must_warn() => {
                (self.requeue - limits::WILLQUEUE_AHEAD).min(self.expires())
            }
            JobState::Active | JobState::WaitReplicas | JobState::Acked => {
                self.requeue.min(self.expires())
            }
            JobState::Queued => self.expires(),
        }
    }

    /// Whether the holders must hear of it before its retry is over.
    pub(crate) fn must_warn(&self) -> bool {
        let again = self.guarantee() == Guarantee::AtLeastOnce && self.queued_before();
        again && !self.warned && !self.holders.is_empty() && self.requeue != Time::NEVER
    }

    /// Whether it stands for a job that is not held here, and was acked.
    pub(crate) fn is_tombstone(&self) -> bool {
        self.queue.is_none()
    }

    /// How often it may be handed out.
    pub(crate) fn guarantee(&self) -> Guarantee {
        if self.retry == 0 {
            Guarantee::AtMostOnce
        } else {
            Guarantee::AtLeastOnce
        }
    }

    /// The record that brings it back.
    pub(crate) fn record(&self, queue: crate::id::QueueName, holders: Holders) -> JobRecord {
        JobRecord {
            id: self.id,
            queue,
            body: self.body.clone(),
            created: self.created,
            added: self.added,
            ttl: self.ttl,
            delay: self.delay,
            retry: self.retry,
            replicate: self.replicate,
            nacks: self.nacks,
            additional_deliveries: self.additional_deliveries,
            holders,
        }
    }
}
