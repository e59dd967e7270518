//! What a handler knows of its job.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::error::Error;
use crate::guard::Held;
use crate::id::JobId;
use crate::message::{EncodeError, MessageEncodable};
use crate::shoal::Shoal;
use crate::verbs::{DeadLetter, Meta};

/// The job that a handler works on. Copies speak of the same one.
///
/// ```no_run
/// # async fn run(shoal: shoalmq_client::Shoal) -> Result<(), Box<dyn std::error::Error>> {
/// use shoalmq_client::{HandlerError, JobCx};
///
/// async fn convert(pages: u32, job: JobCx) -> Result<(), HandlerError> {
///     for page in 0..pages {
///         if job.is_stopping() {
///             Err("the worker stops")?;
///         }
///         job.progress(format!("{page} of {pages}")).await?;
///     }
///     job.set_result(&pages)?;
///     Ok(())
/// }
///
/// shoal.worker().on("books", convert).run().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct JobCx(Arc<Inner>);

struct Inner {
    held: Arc<Held>,
    shoal: Shoal,
    stops: watch::Receiver<bool>,
    result: Mutex<Option<Vec<u8>>>,
}

impl JobCx {
    pub(super) fn new(held: Arc<Held>, shoal: Shoal, stops: watch::Receiver<bool>) -> Self {
        JobCx(Arc::new(Inner {
            held,
            shoal,
            stops,
            result: Mutex::default(),
        }))
    }

    /// The job.
    pub fn id(&self) -> JobId {
        self.0.held.delivery.id
    }

    /// The queue that it was in.
    pub fn queue(&self) -> &[u8] {
        &self.0.held.delivery.queue
    }

    /// How often it was handed out, this time included: counted if it has a `max_deliver`, otherwise an estimate.
    pub fn deliveries(&self) -> u64 {
        self.0.held.delivery.deliveries
    }

    /// What its producer sent along.
    pub fn meta(&self) -> &Meta {
        &self.0.held.delivery.meta
    }

    /// How it died, if it is a dead letter.
    pub fn dead(&self) -> Option<&DeadLetter> {
        self.0.held.delivery.dead.as_ref()
    }

    /// The cluster that it came from: to add other jobs, or to publish.
    pub fn shoal(&self) -> &Shoal {
        &self.0.shoal
    }

    /// Whether a node said that the job is over or gone: another worker may have done it.
    pub fn is_lost(&self) -> bool {
        self.0.held.is_lost()
    }

    /// Whether the worker was told to stop. What is not done by its deadline is given back.
    pub fn is_stopping(&self) -> bool {
        *self.0.stops.borrow()
    }

    /// Waits until the worker is told to stop.
    pub async fn stopping(&self) {
        let mut stops = self.0.stops.clone();
        // An error says that the worker is gone, which is a stop as well.
        let _ = stops.wait_for(|stops| *stops).await;
    }

    /// Tells how far the job is, to those who ask for it (`shoal.wait`, EXPLAIN): at most 1 KiB.
    pub async fn progress(&self, progress: impl AsRef<[u8]>) -> Result<(), Error> {
        let args: [&[u8]; 4] = [
            b"WORKING",
            self.0.held.delivery.id.as_ref(),
            b"PROGRESS",
            progress.as_ref(),
        ];
        self.0.shoal.raw(&args, true).await.map(drop)
    }

    /// What goes to those who wait for the job once the handler succeeds. It is kept if the job has a `keep`.
    pub fn set_result(&self, result: &impl MessageEncodable) -> Result<(), EncodeError> {
        let result = result.encode()?;
        *self.result() = Some(result);
        Ok(())
    }

    pub(super) fn take_result(&self) -> Option<Vec<u8>> {
        self.result().take()
    }

    fn result(&self) -> std::sync::MutexGuard<'_, Option<Vec<u8>>> {
        self.0.result.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for JobCx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JobCx").field(&self.0.held.delivery).finish()
    }
}
