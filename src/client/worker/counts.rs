//! What a worker has done, in numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a worker has done since it was made. Copies tell of the same one, also while it runs.
///
/// ```no_run
/// # async fn run(shoal: shoalmq_client::Shoal) -> Result<(), Box<dyn std::error::Error>> {
/// async fn send(_: String) {}
///
/// let worker = shoal.worker().on("mails", send);
/// let counts = worker.counts();
/// tokio::spawn(async move {
///     loop {
///         tokio::time::sleep(std::time::Duration::from_secs(10)).await;
///         println!("{} done, {} failed", counts.done(), counts.failed());
///     }
/// });
/// worker.run().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Counts(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    done: AtomicU64,
    failed: AtomicU64,
    buried: AtomicU64,
    redelivered: AtomicU64,
    unsettled: AtomicU64,
    given_back: Arc<AtomicU64>,
}

impl Counts {
    /// Jobs that were done and acknowledged.
    pub fn done(&self) -> u64 {
        read(&self.0.done)
    }

    /// Jobs whose handler failed, those that [`buried`](Self::buried) counts included.
    pub fn failed(&self) -> u64 {
        read(&self.0.failed)
    }

    /// Jobs that their handler made dead letters. Those that died of `max_deliver` are not counted here: the server buries them.
    pub fn buried(&self) -> u64 {
        read(&self.0.buried)
    }

    /// Jobs that came and had been handed out before.
    pub fn redelivered(&self) -> u64 {
        read(&self.0.redelivered)
    }

    /// Jobs that were done, or failed, and where it is not known whether a node heard of it. Their retry brings them again.
    pub fn unsettled(&self) -> u64 {
        read(&self.0.unsettled)
    }

    /// Jobs that were given back without a result, because the worker ended.
    pub fn given_back(&self) -> u64 {
        read(&self.0.given_back)
    }

    pub(super) fn note_done(&self, jobs: u64) {
        add(&self.0.done, jobs);
    }

    pub(super) fn note_failed(&self, is_dead: bool) {
        add(&self.0.failed, 1);
        add(&self.0.buried, is_dead.into());
    }

    pub(super) fn note_redelivered(&self) {
        add(&self.0.redelivered, 1);
    }

    pub(super) fn note_unsettled(&self, jobs: u64) {
        add(&self.0.unsettled, jobs);
    }

    /// Where those that are given back are counted.
    pub(super) fn of_given_back(&self) -> Arc<AtomicU64> {
        self.0.given_back.clone()
    }
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}
