//! The depths of queues: what one node answers when it is asked for them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;
use shoalmq_core::id::QueueName;
use shoalmq_core::telling::Depths;
use shoalmq_core::telling::{QueueDepths, QueuesView};

use super::view::millis;

/// Queues, and the jobs of all.
#[derive(Serialize, Deserialize)]
pub(super) struct Told<'a> {
    #[serde(borrow)]
    queues: Vec<Queue<'a>>,
    total: Jobs,
}

#[derive(Serialize, Deserialize)]
struct Queue<'a> {
    #[serde(borrow)]
    name: &'a Bytes,
    jobs: Jobs,
    oldest_ms: u64,
    restored_within_ms: Option<u64>,
    consumers: u64,
    paused: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Jobs {
    ready: u64,
    active: u64,
    delayed: u64,
    restored: u64,
    copies: u64,
    dead: u64,
    bytes: u64,
}

impl<'a> Told<'a> {
    pub(super) fn of(view: &'a QueuesView) -> Self {
        let queue = |queue: &'a QueueDepths| Queue {
            name: Bytes::new(queue.name.as_bytes()),
            jobs: Jobs::of(&queue.depths),
            oldest_ms: queue.oldest.as_millis() as u64,
            restored_within_ms: queue.restored_within.map(millis),
            consumers: queue.consumers,
            paused: queue.paused,
        };
        Told {
            queues: view.queues.iter().map(queue).collect(),
            total: Jobs::of(&view.total),
        }
    }

    pub(super) fn into_view(self) -> QueuesView {
        let queue = |queue: Queue<'_>| QueueDepths {
            name: QueueName::new(queue.name),
            depths: queue.jobs.depths(),
            oldest: Duration::from_millis(queue.oldest_ms),
            restored_within: queue.restored_within_ms.map(Duration::from_millis),
            consumers: queue.consumers,
            paused: queue.paused,
        };
        QueuesView {
            queues: self.queues.into_iter().map(queue).collect(),
            total: self.total.depths(),
        }
    }
}

impl Jobs {
    pub(super) fn of(depths: &Depths) -> Self {
        let &Depths {
            ready,
            active,
            delayed,
            restored,
            copies,
            dead,
            bytes,
        } = depths;
        Jobs {
            ready,
            active,
            delayed,
            restored,
            copies,
            dead,
            bytes,
        }
    }

    pub(super) fn depths(&self) -> Depths {
        Depths {
            ready: self.ready,
            active: self.active,
            delayed: self.delayed,
            restored: self.restored,
            copies: self.copies,
            dead: self.dead,
            bytes: self.bytes,
        }
    }
}
