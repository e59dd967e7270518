//! A job, and its legal moves.

mod body;
mod invariants;
mod jobs;
mod moves;

pub use body::Body;
pub(crate) use invariants::check;
pub(crate) use jobs::{JobKey, Jobs};
pub use moves::JobState;
pub(crate) use moves::{Move, Place, Stand};

use std::time::Duration;

use crate::command::Delivery;
use crate::extras::Extras;
use crate::id::{Guarantee, JobId, QueueName};
use crate::limits;
use crate::members::NodeSet;
use crate::message::Holders;
use crate::queue::QueueKey;
use crate::record::{JobRecord, Segment};
use crate::register::Register;
use crate::telling::{Share, millis};
use crate::time::Time;

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

/// How the end of a job differs from that of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// In nothing.
    Plain,
    /// Its ttl is over, and it waits for its turn to be buried (`moving`).
    Outlived,
    /// It is acked, but nobody acknowledged it. Its producer was told, or is gone before it could be told, that the job is
    /// not added.
    Withdrawn,
    /// It is acked, and its end is kept for a while (`acking`).
    Kept,
}

/// Which extras a job has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    /// None.
    Nothing,
    /// Some.
    Extras,
    /// Some, its register among them: it was moved.
    Register,
    /// The same, and it is a dead letter.
    Dead,
}

impl Beside {
    /// Which extras these are, and the priority that they give.
    fn of(extras: &Extras) -> (Self, u8) {
        if extras.is_empty() {
            (Beside::Nothing, 0)
        } else if let Some(register) = Register::of(extras) {
            let beside = if register.dead.is_some() {
                Beside::Dead
            } else {
                Beside::Register
            };
            (beside, register.priority)
        } else {
            (Beside::Extras, extras.priority().unwrap_or(0))
        }
    }
}

/// One job as this node holds it: 136 bytes beside the bytes of its body.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) body: Body,
    /// When it entered its queue, by the creation clock of the node that put it there: unix milliseconds × 1 000 000 + a
    /// counter. Orders the queue. Of a job that was never moved it is when the job was created.
    pub(crate) entered: u64,
    /// Ttl and delay count from here.
    pub(crate) added: Time,
    /// When the node acts on it by itself the next time; [`Time::NEVER`] if it waits for others. Its state says what the act
    /// is: an active job is queued, one that waits for replicas asks another node, one that is acked tells its holders again. A
    /// queued job keeps the time that it had, for when it leaves its queue by DEQUEUE.
    pub(crate) due: Time,
    /// Other nodes that may have a copy.
    pub(crate) holders: NodeSet,
    pub(crate) ttl: u32,
    pub(crate) delay: u32,
    pub(crate) retry: u32,
    pub(crate) nacks: u32,
    pub(crate) additional_deliveries: u32,
    /// None for a tombstone.
    pub(crate) queue: QueueKey,
    /// Neighbours in the list that its place names.
    pub(crate) order: Links,
    /// Neighbours in its bucket of the agenda.
    pub(crate) agenda: Links,
    /// Where its newest record lies. The segment is 0 when there is none; the offset is [`FAR`](crate::record::Location::FAR) when it is not
    /// known, or the record does not hold the body.
    pub(crate) segment: Segment,
    pub(crate) offset: u32,
    pub(crate) replicate: u16,
    /// Its state, the list that it is in, and whose turn it is.
    pub(crate) stand: Stand,
    /// Fewer nodes are known to hold it than are to, and that is counted.
    pub(crate) short: bool,
    pub(crate) ending: Ending,
    /// How often it went from node to node since it was last handed out.
    pub(crate) moves: u8,
    /// Higher ones go first. Kept by [`Jobs`] alone, from its extras.
    pub(crate) priority: u8,
    /// Which extras it has, in a table beside the jobs. Kept by [`Jobs`] alone.
    pub(crate) beside: Beside,
    /// What it is counted for.
    pub(crate) counted: Share,
    /// When it was queued or handed out last, as [`crate::telling::millis`] has it.
    pub(crate) since: u32,
}

const _: () = assert!(
    size_of::<Option<Job>>() <= 136,
    "ten million jobs whose bodies are on disk fit into 2 GiB"
);

impl Job {
    /// Whether it has extras.
    pub(crate) fn has_extras(&self) -> bool {
        self.beside != Beside::Nothing
    }

    /// Whether it has a register, because it was moved.
    pub(crate) fn is_moved(&self) -> bool {
        matches!(self.beside, Beside::Register | Beside::Dead)
    }

    /// Whether it is a dead letter.
    pub(crate) fn is_dead(&self) -> bool {
        self.beside == Beside::Dead
    }

    /// Whether its add was withdrawn.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.ending == Ending::Withdrawn
    }

    /// When its ttl is over.
    pub(crate) fn expires(&self) -> Time {
        self.added.after_secs(self.ttl)
    }

    /// When a retry ends that begins now, for a node that does not have the job's turn. One that lasts longer than the job
    /// would leave this copy undelivered should the other nodes be gone: half of what is left must do, while it is long
    /// enough to ask them.
    pub(crate) fn retry_elsewhere(&self, now: Time) -> Time {
        let asked_by = limits::STAGGER_MAX + limits::WILLQUEUE_AHEAD;
        let over = now.after_secs(self.retry);
        let half = Duration::from_millis(self.expires().since(now).as_millis() as u64 / 2);
        if over + asked_by < self.expires() || half < asked_by {
            over
        } else {
            now + half
        }
    }

    /// When the node must look at it next.
    pub(crate) fn wake(&self) -> Time {
        let end = if self.ending == Ending::Outlived {
            Time::NEVER
        } else {
            self.expires()
        };
        match self.state() {
            JobState::Active if self.must_warn() => (self.due - limits::WILLQUEUE_AHEAD).min(end),
            JobState::Active | JobState::WaitReplicas | JobState::Acked => self.due.min(end),
            JobState::Queued => end,
        }
    }

    /// Whether the holders must hear of it before its retry is over.
    pub(crate) fn must_warn(&self) -> bool {
        let unsure = self.place() == Place::BeforeUnsure || self.queued_before();
        let again = self.guarantee() == Guarantee::AtLeastOnce && unsure;
        let others = !self.holders.is_empty() && !self.body.is_lost();
        again && !self.is_announced() && others && self.due != Time::NEVER
    }

    /// Whether it was given back, and its wait is not over.
    pub(crate) fn waits(&self, now: Time) -> bool {
        self.is_put_off() && self.due > now
    }

    /// Whether it was given back, and waits or has waited since. One that is about to go elsewhere is due at no time.
    pub(crate) fn is_put_off(&self) -> bool {
        self.place() == Place::Waiting && self.due != Time::NEVER
    }

    /// Whether it stands for a job that is not held here, and was acked.
    pub(crate) fn is_tombstone(&self) -> bool {
        self.queue.is_none()
    }

    /// How often it may be handed out.
    pub(crate) fn guarantee(&self) -> Guarantee {
        Guarantee::of_retry(self.retry)
    }

    /// How long ago it was queued, or handed out, last.
    pub(crate) fn in_state_for(&self, now: Time) -> Duration {
        Duration::from_millis(u64::from(millis(now).wrapping_sub(self.since)))
    }

    /// It as a client gets it.
    pub(crate) fn delivery(&self, queue: QueueName, deliveries: u32, extras: Extras) -> Delivery {
        Delivery {
            queue,
            id: self.id,
            entered: self.entered,
            priority: self.priority,
            body: self.body.clone(),
            nacks: self.nacks,
            additional_deliveries: self.additional_deliveries,
            deliveries,
            extras,
        }
    }

    /// The record that brings it back.
    pub(crate) fn record(
        &self,
        (queue, created): (QueueName, u64),
        holders: Holders,
        extras: Extras,
    ) -> JobRecord {
        JobRecord {
            id: self.id,
            queue,
            body: self.body.clone(),
            created,
            added: self.added,
            ttl: self.ttl,
            delay: self.delay,
            retry: self.retry,
            replicate: self.replicate,
            nacks: self.nacks,
            additional_deliveries: self.additional_deliveries,
            holders,
            extras,
        }
    }
}
