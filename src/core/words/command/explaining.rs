//! EXPLAIN: where a job is, why it is not being delivered, and what happens next.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{ClientId, JobId, NodeId, QueueName};
use crate::outcome::Outcome;
use crate::register::Rank;

/// What one node knows of a job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Its copy, if it has one, also of a job that is over.
    pub copy: Option<CopyView>,
    /// How the job ended, as far as the node knows.
    pub outcome: Option<Outcome>,
    /// Why the copy is where it is, and what happens next: a sentence.
    pub why: String,
    /// Who has the job, if the last that the node remembers is that it handed it out.
    pub held_by: Option<HeldBy>,
    /// PROGRESS of WORKING.
    pub progress: Option<Vec<u8>>,
    /// What happened to the job there lately, oldest first.
    pub events: Vec<EventView>,
}

/// A copy of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyView {
    /// What the node does with it.
    pub standing: Standing,
    /// The queue that it is in; none when only the end of the job is known.
    pub queue: Option<QueueName>,
    /// Where the job is, compared with what others say; none for one that was never moved.
    pub rank: Option<Rank>,
    /// It is this node's turn to deliver it.
    pub has_turn: bool,
    /// What the node does next by itself.
    pub next: String,
    /// When; none if it waits for somebody else.
    pub next_in: Option<Duration>,
}

/// What a node does with its copy of a job, and what EXPLAIN says of the job itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Standing {
    /// Nothing is left but what happened.
    Unknown,
    /// Its add was withdrawn.
    Withdrawn,
    /// It is over.
    Ended(Outcome),
    /// It is kept for another node, which has the turn.
    Copy,
    /// It was read from the log when the node started, and waits for its retry.
    Restored,
    /// Its producer waits for copies.
    WaitReplicas,
    /// It waits for DELAY, for BACKOFF, or for the DELAY of NACK.
    Delayed,
    /// It is handed out.
    Active,
    /// It is ready.
    Queued,
    /// It is a dead letter, and ready in its queue.
    Dead,
}

impl Standing {
    /// As clients see it.
    pub fn name(self) -> &'static str {
        match self {
            Standing::Unknown => "unknown",
            Standing::Withdrawn => "withdrawn",
            Standing::Ended(outcome) => outcome.name(),
            Standing::Copy => "copy",
            Standing::Restored => "restored",
            Standing::WaitReplicas => "wait-repl",
            Standing::Delayed => "delayed",
            Standing::Active => "active",
            Standing::Queued => "queued",
            Standing::Dead => "dead",
        }
    }

    /// Whether a copy that stands so is of a job that is not over.
    pub(crate) fn is_open(self) -> bool {
        match self {
            Standing::Unknown | Standing::Withdrawn | Standing::Ended(_) => false,
            Standing::Copy
            | Standing::Restored
            | Standing::WaitReplicas
            | Standing::Delayed
            | Standing::Active
            | Standing::Queued
            | Standing::Dead => true,
        }
    }
}

/// Who has a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBy {
    /// The client, as the node numbers it.
    pub client: ClientId,
    /// What it calls itself (CLIENT SETNAME). The core does not know that: the server says it while the client is connected.
    pub name: Vec<u8>,
    /// When it got the job, in unix milliseconds.
    pub since_ms: u64,
}

/// One thing that happened to a job at a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventView {
    /// When, in unix milliseconds.
    pub at_ms: u64,
    /// What.
    pub event: String,
    /// And what there is to say about it.
    pub detail: String,
}

/// What the whole cluster knows of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// Its id.
    pub id: JobId,
    /// Its queue, if a node has a copy.
    pub queue: Option<QueueName>,
    /// How it stands.
    pub standing: Standing,
    /// Why it is not being delivered, what happens next, and when: a sentence.
    pub why: String,
    /// Its copies, in the order of their nodes.
    pub copies: Vec<(NodeId, CopyView)>,
    /// Which node handed it out, and to whom.
    pub held_by: Option<(NodeId, HeldBy)>,
    /// PROGRESS of WORKING.
    pub progress: Option<Vec<u8>>,
    /// What happened to it, in the order of time.
    pub events: Vec<(NodeId, EventView)>,
    /// Members that did not answer.
    pub missing: Vec<NodeId>,
}
