//! The figures of queues: which ones a node is asked for, and what it answers.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;
use shoalmq_core::command::{PauseState, QueueList, QueueOrder, QueuesWanted};
use shoalmq_core::id::QueueName;
use shoalmq_core::telling::{Depths, QueueDepths, QueuesView, Recent};

use super::view::millis;

/// Which queues are wanted.
#[derive(Serialize, Deserialize)]
pub(super) enum Wanted<'a> {
    #[serde(borrow)]
    First(List<'a>),
    Page {
        #[serde(borrow)]
        list: List<'a>,
        least: u64,
        #[serde(borrow)]
        after: Option<&'a Bytes>,
    },
    #[serde(borrow)]
    Named(Vec<&'a Bytes>),
}

#[derive(Serialize, Deserialize)]
pub(super) struct List<'a> {
    #[serde(borrow)]
    pattern: Option<&'a Bytes>,
    order: Order,
    count: u64,
}

#[derive(Serialize, Deserialize)]
enum Order {
    Name,
    Ready,
    Age,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(wanted: &'a QueuesWanted) -> Self {
        match wanted {
            QueuesWanted::First(list) => Wanted::First(List::of(list)),
            QueuesWanted::Page { list, least, after } => Wanted::Page {
                list: List::of(list),
                least: *least,
                after: after.as_ref().map(|name| Bytes::new(name.as_bytes())),
            },
            QueuesWanted::Named(names) => {
                let names = names.iter().map(|name| Bytes::new(name.as_bytes()));
                Wanted::Named(names.collect())
            }
        }
    }

    pub(super) fn into_wanted(self) -> QueuesWanted {
        match self {
            Wanted::First(list) => QueuesWanted::First(list.into_list()),
            Wanted::Page { list, least, after } => QueuesWanted::Page {
                list: list.into_list(),
                least,
                after: after.map(|name| QueueName::new(name)),
            },
            Wanted::Named(names) => {
                let names = names.into_iter().map(|name| QueueName::new(name));
                QueuesWanted::Named(names.collect())
            }
        }
    }
}

impl<'a> List<'a> {
    fn of(list: &'a QueueList) -> Self {
        List {
            pattern: list.pattern.as_deref().map(Bytes::new),
            order: match list.order {
                QueueOrder::Name => Order::Name,
                QueueOrder::Ready => Order::Ready,
                QueueOrder::Age => Order::Age,
            },
            count: list.count,
        }
    }

    fn into_list(self) -> QueueList {
        QueueList {
            pattern: self.pattern.map(|pattern| pattern[..].into()),
            order: match self.order {
                Order::Name => QueueOrder::Name,
                Order::Ready => QueueOrder::Ready,
                Order::Age => QueueOrder::Age,
            },
            count: self.count,
        }
    }
}

/// Queues, and the jobs of all.
#[derive(Serialize, Deserialize)]
pub(super) struct Told<'a> {
    #[serde(borrow)]
    queues: Vec<Queue<'a>>,
    total: Jobs,
    more: bool,
}

#[derive(Serialize, Deserialize)]
struct Queue<'a> {
    #[serde(borrow)]
    name: &'a Bytes,
    jobs: Jobs,
    oldest_ms: u64,
    restored_within_ms: Option<u64>,
    consumers: u64,
    jobs_in: u64,
    jobs_out: u64,
    paused_in: bool,
    paused_out: bool,
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
            jobs_in: queue.recent.jobs_in,
            jobs_out: queue.recent.jobs_out,
            paused_in: queue.pause.input,
            paused_out: queue.pause.output,
        };
        Told {
            queues: view.queues.iter().map(queue).collect(),
            total: Jobs::of(&view.total),
            more: view.more,
        }
    }

    pub(super) fn into_view(self) -> QueuesView {
        let queue = |queue: Queue<'_>| QueueDepths {
            name: QueueName::new(queue.name),
            depths: queue.jobs.depths(),
            oldest: Duration::from_millis(queue.oldest_ms),
            restored_within: queue.restored_within_ms.map(Duration::from_millis),
            consumers: queue.consumers,
            recent: Recent {
                jobs_in: queue.jobs_in,
                jobs_out: queue.jobs_out,
            },
            pause: PauseState {
                input: queue.paused_in,
                output: queue.paused_out,
            },
        };
        QueuesView {
            queues: self.queues.into_iter().map(queue).collect(),
            total: self.total.depths(),
            more: self.more,
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
