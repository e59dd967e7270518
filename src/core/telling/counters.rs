//! What happened to all jobs of a node, beside what the tallies of its queues tell.

/// What has happened since the node started, for its metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named for what it counts")]
pub struct Counters {
    /// Moved by REDRIVE.
    pub redriven: u64,
    /// Deleted by QPURGE. Each is counted by one of its holders.
    pub purged: u64,
    pub evicted: u64,
    /// Queued again because the retry was over.
    pub redelivered_timeout: u64,
    /// Queued again by NACK.
    pub redelivered_nack: u64,
    /// Queued again by ENQUEUE.
    pub redelivered_asked: u64,
    /// Queued again after an unclean start.
    pub redelivered_restart: u64,
    /// Queued here because a move to another node was not confirmed.
    pub redelivered_heal: u64,
    /// Queued here again because a node that it was handed over to, before a stop or on leaving, did not confirm it.
    pub redelivered_drain: u64,
    /// ADDJOBs whose copies were not confirmed in time.
    pub replication_timeouts: u64,
    /// ADDJOBs refused at once: for too few nodes can be reached; and for this one, which would have been needed, takes no
    /// copy because it is leaving, or is short of memory.
    pub refused_unreachable: u64,
    pub refused_leaving: u64,
    pub refused_memory: u64,
    /// Copies that healing made.
    pub healed: u64,
    /// Jobs that came from other nodes because clients waited here, and that went to others.
    pub imported: u64,
    pub exported: u64,
    /// Tombstones pushed out by their bounds.
    pub tombstones_dropped: u64,
    /// Bodies that could not be read back from the log.
    pub unreadable: u64,
}
