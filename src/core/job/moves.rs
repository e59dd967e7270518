//! Where a job stands on this node, and how it may move.

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

/// Which list [`Job::order`](super::Job::order) belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// None, and it never was in its queue: its next queueing is the first.
    Before,
    /// As `Before`, but another node may have been told to end its delay before this one crashed: it is asked first.
    BeforeUnsure,
    /// None.
    Nowhere,
    /// None, but it was in its queue when the node stopped, and goes back unless another node has it.
    Unsettled,
    /// None, and it was handed out before the node stopped, or may have been: it waits for its retry.
    Restored,
    /// The list of its queue.
    List,
    /// The tree of its queue, for jobs that came back out of order.
    Tree,
    /// The list of delivered at-most-once jobs, which may be evicted when memory is short.
    Evictable,
    /// The list of acked jobs, or that of tombstones.
    Acked,
}

impl Place {
    /// Its next queueing is the first here.
    pub(crate) fn is_before(self) -> bool {
        matches!(self, Place::Before | Place::BeforeUnsure)
    }
}
