//! Commands on jobs that the node which was asked does not hold, as they travel to those that may.

use crate::id::{JobId, QueueName};

/// Do this with these jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// Which jobs.
    pub ids: Vec<JobId>,
    /// Only where the job is queued, handed out or delayed; a node with a mere copy says that it has one.
    pub only_turn: bool,
    /// What is to be done.
    pub errand: Errand,
}

/// What is to be done with jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Errand {
    /// NACK.
    Nack {
        /// DELAY: seconds until they are queued.
        delay: Option<u32>,
        /// TO: into which queue.
        to: Option<QueueName>,
        /// REASON: what is said about it.
        reason: Option<Vec<u8>>,
        /// DEAD: they are buried.
        is_dead: bool,
    },
    /// WORKING, with PROGRESS or without.
    Working(Option<Vec<u8>>),
    /// PROMOTE, to this priority.
    Promote(u8),
    /// DELJOB GLOBAL. Any holder ends a job.
    Delete,
}

/// What a node did with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Nothing: it only has a copy.
    Holds,
    /// What was asked for. The number that it answers: 1 or 0, or the retry of a job that is worked on.
    Count(u64),
    /// WORKING came after half of the job's ttl.
    TooLate,
}
