//! Refusals: why the core does not do what a client asks.

use crate::policy::PolicySet;
use crate::topic::TopicRefusal;

/// Why a command cannot be. The node's state is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// RETRY 0 with more than one copy.
    RetryZeroNeedsOneReplica,
    /// DELAY is not below TTL.
    DelayBeyondTtl,
    /// MAXDELIVER, DEAD or BACKOFF with RETRY 0.
    NeedsRetry,
    /// More copies asked for than nodes can be reached.
    TooFewNodes,
    /// As [`Refusal::TooFewNodes`], and this node holds no copy itself because it is leaving.
    TooFewNodesLeaving,
    /// As [`Refusal::TooFewNodes`], and this node holds no copy itself for lack of memory.
    TooFewNodesMemory,
    /// The copies were not confirmed in time: the job is deleted again.
    ReplicationTimeout,
    /// The job was deleted or expired while its producer waited for copies.
    RemovedWhileReplicating,
    /// The queue is as long as MAXLEN allows.
    QueueTooLong,
    /// The queue takes no new jobs.
    QueuePaused,
    /// One of those above, and policies that stood in for options had a part in it.
    ByPolicy(&'static Refusal, PolicySet),
    /// RESULT of ACKJOB is longer than this many bytes.
    ResultTooLarge(u32),
    /// The cluster's settings have no room for another entry.
    TooManySettings,
    /// GETJOB would wait on a node that is leaving.
    Leaving,
    /// WORKING for a job that this node does not know.
    UnknownJob,
    /// A command on topics.
    Topic(TopicRefusal),
    /// WORKING after half of the job's ttl.
    TooLateToPostpone,
}

impl Refusal {
    /// The refusal itself, without the policies that had a part in it.
    pub fn plain(&self) -> &Refusal {
        if let Refusal::ByPolicy(plain, _) = self {
            plain
        } else {
            self
        }
    }
}
