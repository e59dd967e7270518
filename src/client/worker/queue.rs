//! The queues of a worker.

use std::collections::VecDeque;

use super::handler::Handle;
use crate::guard::Hold;

/// How a worker takes from one queue.
///
/// ```no_run
/// # async fn run(shoal: shoalmq_client::Shoal) -> Result<(), Box<dyn std::error::Error>> {
/// use shoalmq_client::QueueOptions;
///
/// async fn send(_: String) {}
/// async fn write(_: String) {}
///
/// let one = QueueOptions::new().concurrency(1);
/// let often = QueueOptions::new().weight(3);
/// shoal.worker().on_with("invoices", one, write).on_with("mails", often, send).run().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct QueueOptions {
    concurrency: usize,
    weight: usize,
}

impl Default for QueueOptions {
    fn default() -> Self {
        QueueOptions {
            concurrency: usize::MAX,
            weight: 1,
        }
    }
}

impl QueueOptions {
    /// As many jobs at a time as the worker allows, and as many in turn as from other queues.
    pub fn new() -> Self {
        QueueOptions::default()
    }

    /// How many jobs of this queue are worked on at a time: at least 1, and not more than the worker allows in all.
    #[must_use]
    pub fn concurrency(mut self, jobs: usize) -> Self {
        self.concurrency = jobs.max(1);
        self
    }

    /// How many jobs of it are taken for each one of a queue of weight 1, while both have some: 1 to 100.
    #[must_use]
    pub fn weight(mut self, weight: usize) -> Self {
        self.weight = weight.clamp(1, 100);
        self
    }
}

/// A queue of a worker: who works on its jobs, and which ones are here.
pub(super) struct Queue {
    pub(super) name: Vec<u8>,
    pub(super) options: QueueOptions,
    pub(super) handle: Handle,
    /// Taken, and not yet begun.
    pub(super) ready: VecDeque<Hold>,
    pub(super) running: usize,
}

impl Queue {
    pub(super) fn new(name: &[u8], options: QueueOptions, handle: Handle) -> Self {
        Queue {
            name: name.to_vec(),
            options,
            handle,
            ready: VecDeque::new(),
            running: 0,
        }
    }

    #[cfg(feature = "testing")]
    pub(super) fn again(&self) -> Self {
        Queue::new(&self.name, self.options, self.handle.clone())
    }

    pub(super) fn is_limited(&self) -> bool {
        self.options.concurrency < usize::MAX
    }

    /// How many jobs more may be taken.
    pub(super) fn room(&self) -> usize {
        let here = self.running + self.ready.len();
        self.options.concurrency.saturating_sub(here)
    }

    pub(super) fn can_begin(&self) -> bool {
        self.running < self.options.concurrency && !self.ready.is_empty()
    }
}

/// A GETJOB to be sent: to which queues, and for how many jobs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) queues: Vec<Vec<u8>>,
    pub(super) jobs: usize,
}

/// What to ask for, in this order, for `room` jobs in all. Queues without a limit of their own are asked together, unless they are to be
/// emptied in order; each limited one is asked alone, so that it gives no more than it may. `turn` says which of them comes first.
pub(super) fn asks(queues: &[Queue], room: usize, turn: usize, in_order: bool) -> Vec<Ask> {
    let open: Vec<&Queue> = queues.iter().filter(|queue| queue.room() > 0).collect();
    let alone = |queue: &&Queue| queue.is_limited() || in_order;
    let mut asks: Vec<Ask> = Vec::new();
    let mut together = Vec::new();
    for queue in &open {
        if alone(queue) {
            asks.push(Ask {
                queues: vec![queue.name.clone()],
                jobs: queue.room().min(room),
            });
        } else {
            together.extend(std::iter::repeat_n(
                queue.name.clone(),
                queue.options.weight,
            ));
        }
    }
    if let Some(first) = turn.checked_rem(together.len()) {
        together.rotate_left(first);
        asks.push(Ask {
            queues: together,
            jobs: room,
        });
    }
    if !in_order && let Some(first) = turn.checked_rem(asks.len()) {
        asks.rotate_left(first);
    }
    asks
}
