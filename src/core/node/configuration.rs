//! What an operator can set, and the core must know.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::limits;

/// All of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The bytes that the node may use; 0 is no bound.
    pub max_memory: u64,
    /// Whether jobs that nothing promises any more go when memory is short.
    pub eviction: Eviction,
    /// What happens when jobs need more memory than there is.
    pub memory: MemoryPolicy,
    /// Whether there is a log: without one, no effect asks to persist.
    pub log: Log,
    /// Copies that a job is to have when its producer does not say, as far as there are nodes; at least 1.
    pub default_replicate: u16,
    /// Copies that such a job has at least before its producer is answered, as far as there are nodes; at least 1.
    pub min_replicate: u16,
    /// The most bytes of a RESULT of ACKJOB, at most 65 536.
    pub result_max: u32,
    /// How long a holder may be away before its copies are replaced elsewhere.
    pub heal_delay: Duration,
    /// How long after CLUSTER LEAVING the jobs begin to move to other nodes.
    pub leaving_grace: Duration,
    /// How many queues have a tally of their own, for the metrics.
    pub tallied_queues: u32,
    /// Whether what is recorded has to be on disk before it counts.
    pub sync: Sync,
    /// How many channels of topics have series of their own in the metrics.
    pub topic_series: u32,
    /// The bytes of memory that topics may use.
    pub topic_memory: u64,
    /// The bytes that topics may take on disk.
    pub topic_disk: u64,
    /// Whether this node is a member that keeps topics.
    pub topics: TopicMember,
    /// Copies of an entry that its publisher waits for if it does not say, as far as there are members; and how many settle
    /// a record.
    pub topic_replicate: NonZeroUsize,
    /// Copies of an entry that such a publisher waits for at least, as far as there are members; at least 1.
    pub topic_min_replicate: u16,
    /// How long a member may leave a question about topics unanswered before readers go on without it.
    pub topic_stall: Duration,
    /// How long a key of DEDUP counts, in milliseconds.
    pub topic_dedup_ms: u64,
}

impl Default for Settings {
    /// What a node does unless it is told otherwise.
    fn default() -> Self {
        Settings {
            max_memory: 0,
            eviction: Eviction::Acks,
            memory: MemoryPolicy::Refuse,
            log: Log::Off,
            default_replicate: 3,
            min_replicate: 2,
            result_max: 65_536,
            heal_delay: Duration::from_mins(1),
            leaving_grace: Duration::from_secs(5),
            tallied_queues: 1000,
            sync: Sync::Later,
            topic_series: 100,
            topic_memory: 1 << 30,
            topic_disk: u64::MAX,
            topics: TopicMember::Yes,
            topic_replicate: const { NonZeroUsize::new(3).expect("three is more than none") },
            topic_min_replicate: 2,
            topic_stall: Duration::from_secs(1),
            topic_dedup_ms: 120_000,
        }
    }
}

impl Settings {
    /// The bytes that entries of topics may take in memory that are in the log, too.
    pub(crate) fn topic_cache(&self) -> usize {
        let most = usize::try_from(self.topic_memory / 8).unwrap_or(usize::MAX);
        most.min(limits::TOPIC_CACHE)
    }
}

/// Whether a node keeps topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicMember {
    /// It does, and serves them.
    Yes,
    /// It does not: it refuses all commands on topics.
    No,
}

/// Whether what is recorded has to be on disk before it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// It does: `appendfsync always`.
    First,
    /// It counts at once.
    Later,
}

/// What goes when memory is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eviction {
    /// Acked jobs, tombstones, and at-most-once jobs that were delivered.
    Acks,
    /// Nothing.
    Never,
}

/// What happens when jobs need more memory than there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryPolicy {
    /// Bodies leave memory, for they can be read back from the log.
    Spill,
    /// No more jobs are taken.
    Refuse,
}

/// Whether there is a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// Jobs are in memory only.
    Off,
    /// Every change is recorded.
    On,
}

/// How full the memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemoryLevel {
    /// Below 75 % of `max_memory`.
    Normal,
    /// From 75 %: no local copies of new jobs.
    External,
    /// From 95 %: what nothing promises any more is evicted.
    Evict,
    /// From 100 %: commands that need memory are refused.
    Full,
}
