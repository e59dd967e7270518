//! What commands tell about jobs and queues.

use std::time::Duration;

use crate::command::PauseState;
use crate::extras::Extras;
use crate::id::{JobId, NodeId, QueueName};
use crate::job::{Body, JobState};
use crate::telling::Depths;

/// One job, handed out or looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its queue.
    pub queue: QueueName,
    /// Its id.
    pub id: JobId,
    /// When it entered its queue: unix milliseconds × 1 000 000 + a counter; rises from entry to entry on a node.
    pub entered: u64,
    /// Its priority.
    pub priority: u8,
    /// Its body.
    pub body: Body,
    /// Times it was given back by NACK.
    pub nacks: u32,
    /// Times it was queued again for lack of an ack.
    pub additional_deliveries: u32,
    /// Times it was handed out, this one included: counted while a MAXDELIVER applies, else as the two counters tell. Only if
    /// its client asked for META.
    pub deliveries: u32,
    /// Its optional fields, if its client asked for them.
    pub extras: Extras,
}

/// All that SHOW tells of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// Its queue; none for a tombstone.
    pub queue: Option<QueueName>,
    /// Where it stands.
    pub state: JobState,
    /// While acked: nobody acknowledged it, its add was withdrawn.
    pub withdrawn: bool,
    /// How many copies its producer asked for.
    pub replicate: u16,
    /// Seconds that it still lives.
    pub ttl: u32,
    /// Creation: unix milliseconds × 1 000 000 + a counter.
    pub created: u64,
    /// Seconds that it waited before its first queueing.
    pub delay: u32,
    /// Seconds until a requeue; 0 for never.
    pub retry: u32,
    /// Times it was given back by NACK.
    pub nacks: u32,
    /// Times it was queued again for lack of an ack.
    pub additional_deliveries: u32,
    /// Nodes that may hold a copy, this one included.
    pub holders: Vec<NodeId>,
    /// Nodes that confirmed a copy (waiting for replicas) or the ack (acked).
    pub confirmed: Vec<NodeId>,
    /// When it is queued again; none when nothing will.
    pub next_requeue: Option<Duration>,
    /// When the node looks at it next; none without a timer.
    pub next_awake: Option<Duration>,
    /// Its body; none once it is acked.
    pub body: Option<Body>,
}

/// All that QSTAT tells of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueView {
    /// Its name.
    pub name: QueueName,
    /// Ready jobs.
    pub len: u64,
    /// Since it was made.
    pub age: Duration,
    /// Since a job last went in or out.
    pub idle: Duration,
    /// Clients that wait for it.
    pub blocked: u64,
    /// Nodes that jobs were imported from.
    pub import_from: Vec<NodeId>,
    /// Jobs imported per second.
    pub import_rate: u64,
    /// Jobs queued since it was made.
    pub jobs_in: u64,
    /// Jobs handed out since it was made.
    pub jobs_out: u64,
    /// What it refuses.
    pub pause: PauseState,
    /// What FULL tells besides.
    pub full: Option<QueueWaits>,
}

/// What QSTAT FULL tells of jobs that are not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueWaits {
    /// Clients see the queue on the node that tells. Else it only has copies there, and all other figures are zero.
    pub open: bool,
    /// Its jobs, the ready ones included.
    pub depths: Depths,
    /// In how long the last of the restored jobs is queued again, at the latest; none when there are none.
    pub restored_within: Option<Duration>,
}

impl JobView {
    /// Leaves out a body that could not be read.
    pub fn drop_unread(&mut self) {
        self.body = self.body.take().filter(|body| body.spilled_to().is_none());
    }
}
