//! What a node tells of itself, for its metrics and for those who must know how full it is. Read only.

use crate::id::{JobId, NodeId, QueueName};
use crate::limits;
use crate::node::{MemoryLevel, Node};
use crate::record::Segment;
use crate::telling::{Counters, sizes};

impl Node {
    /// How full the memory is. What is remembered of the past does not count: it has a bound of its own, and nothing that a node
    /// does for lack of memory makes it smaller.
    pub fn memory_level(&self) -> MemoryLevel {
        if self.settings.max_memory == 0 {
            return MemoryLevel::Normal;
        }
        let mut used = self.used_by_load();
        // What can leave memory does not count.
        if self.may_spill() {
            used -= self.body_bytes as u64;
        }
        let used = used.saturating_mul(100);
        let reaches = |percent: u64| used >= self.settings.max_memory.saturating_mul(percent);
        if !reaches(limits::MEMORY_EXTERNAL) {
            MemoryLevel::Normal
        } else if !reaches(limits::MEMORY_EVICT) {
            MemoryLevel::External
        } else if !reaches(limits::MEMORY_FULL) {
            MemoryLevel::Evict
        } else {
            MemoryLevel::Full
        }
    }

    /// Whether every add is refused for lack of memory: this node keeps no more copies, and no other node is expected to
    /// take one.
    pub fn refuses_adds(&self) -> bool {
        match self.memory_level() {
            MemoryLevel::Normal => false,
            MemoryLevel::External | MemoryLevel::Evict => self.peers.expected_takers().is_empty(),
            MemoryLevel::Full => true,
        }
    }

    /// Bytes in use by the core's own account.
    pub fn used_memory(&self) -> u64 {
        self.used_by_load() + self.happenings.bytes() as u64
    }

    /// Those of them that jobs, queues and clients take; 0 for an empty node without clients.
    pub(crate) fn used_by_load(&self) -> u64 {
        let bodies = self.body_bytes + self.jobs.extras_bytes();
        let jobs = self.jobs.len() * sizes::JOB_BYTES + bodies;
        let traffic = self.queues.with_traffic() * sizes::TRAFFIC_BYTES;
        let queues = self.queues.known() * sizes::QUEUE_BYTES + self.queues.name_bytes() + traffic;
        let waiters = self.waiters.len() * sizes::WAITER_BYTES;
        let collections = self.collections.len() * sizes::COLLECTION_BYTES;
        let forgotten = self.forgotten.len() * sizes::FORGOTTEN_BYTES;
        let moving = self.hand_over.unconfirmed() * sizes::UNCONFIRMED_BYTES;
        let cleaning = collections + forgotten;
        let copying = (self.replications.len() + self.healing.open()) * sizes::PENDING_BYTES;
        let federation = self.federation.bytes();
        let rest =
            cleaning + moving + copying + federation + self.shared.bytes() + self.progress.bytes();
        let keys = self.jobs.keyed() * sizes::KEYED_BYTES + self.dedups.bytes();
        (jobs + queues + waiters + rest + keys) as u64 + self.client_bytes
    }

    /// This node's id.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The queue of a job that this node holds.
    pub fn queue_of(&self, id: &JobId) -> Option<&QueueName> {
        let job = &self.jobs[self.jobs.find(id)?];
        (!job.is_tombstone()).then(|| &self.queues[job.queue].name)
    }

    /// Jobs that this node holds, in any state.
    pub fn job_count(&self) -> usize {
        self.jobs.len() - self.tombstones.len
    }

    /// Jobs that are over, acked or withdrawn, and that not all holders are known to know of.
    pub fn collecting_count(&self) -> usize {
        self.collections.len() - self.tombstones.len - self.collections.resting
    }

    /// Jobs that are over, whose end is kept for a while.
    pub fn kept_count(&self) -> usize {
        self.collections.resting
    }

    /// Those of them that nobody acknowledged: their adds were withdrawn.
    pub fn withdrawn_count(&self) -> usize {
        self.collections.withdrawn
    }

    /// A digest of the cluster's settings as this node knows them: equal on nodes that know the same.
    pub fn settings_digest(&self) -> u64 {
        self.shared.digest()
    }

    /// Acks kept for jobs that are not held here.
    pub fn tombstone_count(&self) -> usize {
        self.tombstones.len
    }

    /// Bytes of memory that they take.
    pub fn tombstone_bytes(&self) -> usize {
        self.tombstones.len * sizes::TOMBSTONE_BYTES
    }

    /// Jobs that nothing will ever look at again by itself: none.
    pub fn jobs_without_wakeup(&self) -> usize {
        self.jobs.len().abs_diff(self.agenda.jobs())
    }

    /// Queues that clients see.
    pub fn queue_count(&self) -> usize {
        self.queues.open_count()
    }

    /// Clients that wait for a job.
    pub fn waiting_count(&self) -> usize {
        self.waiters.len()
    }

    /// Clients that wait for copies of a job that they added.
    pub fn waiting_for_copies(&self) -> usize {
        self.replications.clients() + self.dedups.waiting()
    }

    /// Whether CLUSTER LEAVING holds.
    pub fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// Whether a pass that records jobs again is under way, or bodies are still being read for it.
    pub fn is_rewriting(&self) -> bool {
        self.rewrite.is_some() || self.spilling.is_fetching()
    }

    /// Whether that pass records all of them.
    pub fn is_rewriting_all(&self) -> bool {
        self.rewrite.as_ref().is_some_and(|pass| pass.whole)
    }

    /// Whether a clean stop needs another [`crate::event::Event::Stop`].
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    /// Whether it hands its jobs over because it is about to stop.
    pub fn is_about_to_stop(&self) -> bool {
        self.hand_over.is_stopping()
    }

    /// The segment that records go to; 0 without a log.
    pub fn log_segment(&self) -> Segment {
        self.segments.current()
    }

    /// No live record lies in a segment below this one.
    pub fn oldest_log_segment(&self) -> Segment {
        self.segments.oldest()
    }

    /// About how many bytes the records of the log take, dead ones included, by the same account as
    /// [`Node::live_log_bytes`].
    pub fn log_bytes(&self) -> u64 {
        self.segments.bytes()
    }

    /// About how many bytes of the log are dead, and could be freed: all but those of the segment that is written.
    pub fn dead_log_bytes(&self) -> u64 {
        self.segments.dead_bytes()
    }

    /// About how many bytes the log needs for what is live.
    pub fn live_log_bytes(&self) -> u64 {
        self.segments.live_bytes()
    }

    /// What has happened since the node started.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}
