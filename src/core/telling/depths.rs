//! How many jobs queues have, for scalers and people: of this node, or added up over all.

use std::time::Duration;

use crate::id::QueueName;
use crate::limits;
use crate::node::Node;
use crate::telling::shares::Depths;
use crate::telling::tally::QueueMetrics;
use crate::time::Time;

/// What the node tells about a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueDepths {
    /// Its name.
    pub name: QueueName,
    /// Its jobs.
    pub depths: Depths,
    /// For how long the job that is delivered next has been due; the longest such time of several nodes.
    pub oldest: Duration,
    /// In how long the last of the restored jobs is queued again, at the latest; none when there are none.
    pub restored_within: Option<Duration>,
    /// Clients that wait for its jobs.
    pub consumers: u64,
    /// Whether it is paused in any direction, on any node.
    pub paused: bool,
}

/// What the node tells about its queues.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueuesView {
    /// In order of their names; of all queues only those that have a tally of their own.
    pub queues: Vec<QueueDepths>,
    /// The jobs of all queues; of none when only one was asked for.
    pub total: Depths,
}

impl QueueDepths {
    /// A queue that nobody knows.
    pub fn empty(name: QueueName) -> Self {
        QueueDepths {
            name,
            depths: Depths::default(),
            oldest: Duration::ZERO,
            restored_within: None,
            consumers: 0,
            paused: false,
        }
    }

    fn of(queue: QueueMetrics<'_>) -> Self {
        QueueDepths {
            name: QueueName::new(queue.name),
            depths: queue.depths,
            oldest: queue.oldest,
            restored_within: queue.restored_within,
            consumers: queue.consumers,
            paused: queue.paused,
        }
    }

    fn merge(&mut self, other: &QueueDepths) {
        self.depths.merge(&other.depths);
        self.oldest = self.oldest.max(other.oldest);
        self.restored_within = self.restored_within.max(other.restored_within);
        self.consumers = self.consumers.saturating_add(other.consumers);
        self.paused |= other.paused;
    }
}

impl QueuesView {
    /// Adds what another node tells.
    pub(super) fn merge(&mut self, other: QueuesView) {
        self.total.merge(&other.total);
        for queue in other.queues {
            match self.find(&queue.name) {
                Ok(place) => self.queues[place].merge(&queue),
                Err(place) => self.queues.insert(place, queue),
            }
        }
    }

    fn find(&self, name: &QueueName) -> Result<usize, usize> {
        let name = name.as_bytes();
        self.queues
            .binary_search_by(|queue| queue.name.as_bytes().cmp(name))
    }
}

impl Node {
    /// What this node knows of one queue, or of all.
    pub fn queues_view(&self, now: Time, queue: Option<&[u8]>) -> QueuesView {
        if let Some(name) = queue {
            let found = self.find_queue_metrics(now, name);
            return QueuesView {
                queues: found.map(QueueDepths::of).into_iter().collect(),
                total: Depths::default(),
            };
        }
        let mut bytes = 0;
        let fitting = self.queue_metrics(now).take_while(|queue| {
            bytes += queue.name.len();
            bytes <= limits::ANSWER_BYTES
        });
        let mut queues: Vec<QueueDepths> = fitting.map(QueueDepths::of).collect();
        queues.sort_unstable_by(|one, other| one.name.as_bytes().cmp(other.name.as_bytes()));
        QueuesView {
            queues,
            total: self.total_depths(),
        }
    }
}
