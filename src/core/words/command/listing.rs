//! QLIST: which queues are listed, and which of them a node is asked for.

use std::sync::Arc;
use std::time::Duration;

use crate::id::QueueName;
use crate::telling::QueueDepths;

/// The arguments of QLIST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueList {
    /// MATCH: only queues whose names this glob matches; `None` is all.
    pub pattern: Option<Arc<[u8]>>,
    /// SORT: which come first.
    pub order: QueueOrder,
    /// COUNT: at most this many, and never more than 1 048 576.
    pub count: u64,
}

/// Which queues come first. Those that are equal in it are in the order of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueOrder {
    /// By the bytes of their names.
    Name,
    /// Those with the most ready jobs.
    Ready,
    /// Those whose next job has been due for the longest time.
    Age,
}

impl QueueOrder {
    /// A queue comes before those with a lower rank.
    pub fn rank(self, queue: &QueueDepths) -> u64 {
        self.rank_of(queue.depths.ready, || queue.oldest)
    }

    /// The same of a queue with this many ready jobs, and the age of the next.
    pub(crate) fn rank_of(self, ready: u64, oldest: impl FnOnce() -> Duration) -> u64 {
        match self {
            QueueOrder::Name => 0,
            QueueOrder::Ready => ready,
            QueueOrder::Age => oldest().as_millis() as u64,
        }
    }
}

/// Which of its queues a node is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueuesWanted {
    /// The first ones of a list. From a client: those of the whole cluster.
    First(QueueList),
    /// The next ones in the order of their names, whatever the order of the list.
    Page {
        /// Which list, and how many.
        list: QueueList,
        /// Only those with at least this rank.
        least: u64,
        /// Only those behind this name.
        after: Option<QueueName>,
    },
    /// Those of these names.
    Named(Vec<QueueName>),
}
