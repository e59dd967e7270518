//! A worker calls functions with the messages of queues.
//!
//! One task ([`run`]) asks for jobs as handlers become free ([`queue`] says what it asks for, [`pace`] how many ahead), and begins each
//! in a task of its own. A handler ([`handler`]) takes its message and what it asks for beside it ([`context`]). When it has ended, its
//! job is acknowledged together with others, or given back with the reason ([`settling`], [`fail`]; [`quick`] holds back what fails in a loop). As long as a job is here, the
//! heartbeat of the client says WORKING for it.

mod context;
mod counts;
mod fail;
mod handler;
#[cfg(feature = "tower")]
mod layers;
mod pace;
mod queue;
mod quick;
mod run;
mod settling;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::error::Error;
use crate::id::JobId;
use crate::message::MessageDecodable;
use crate::producer::Job;
use crate::shoal::Shoal;

pub use context::JobCx;
pub use counts::Counts;
pub use fail::{Fail, HandlerError, Outcome};
pub use handler::{BlockingHandler, FromJob, Handler, State};
#[cfg(feature = "tower")]
pub use layers::{JobRequest, JobService};
pub use queue::QueueOptions;

use handler::{handle, handle_blocking};
use queue::Queue;
use run::Run;

/// How many jobs a worker works on at a time, unless said.
const CONCURRENCY: usize = 10;
/// How long it may take to stop, unless said: Kubernetes kills after 30 s.
const SHUTDOWN: Duration = Duration::from_secs(25);

/// Calls functions with the messages of queues, many at a time, until it is told to stop.
///
/// It outlives its servers: one that restarts, leaves or hangs costs it only the wait. It ends when it is told to, or by an error that
/// waiting does not mend, such as a wrong password.
///
/// ```no_run
/// use serde::{Deserialize, Serialize};
/// use shoalmq_client::{HandlerError, JobCx, Shoal, State, Worker};
///
/// #[derive(Serialize, Deserialize)]
/// struct Mail {
///     to: String,
/// }
///
/// #[derive(Clone)]
/// struct Mailer;
///
/// async fn send(mail: Mail, State(_mailer): State<Mailer>, job: JobCx) -> Result<(), HandlerError> {
///     println!("to {}, attempt {}", mail.to, job.deliveries());
///     Ok(())
/// }
///
/// # async fn run() -> Result<(), shoalmq_client::Error> {
/// let shoal = Shoal::connect(["127.0.0.1:7711"]).await?;
/// let worker = Worker::with_state(&shoal, Mailer).on("mails", send).concurrency(50);
/// let report = worker.run().await?;
/// println!("{} jobs done, {} still running", report.counts.done(), report.still_running.len());
/// # Ok(())
/// # }
/// ```
#[must_use = "it does nothing until it runs"]
pub struct Worker<S = ()> {
    shoal: Shoal,
    state: S,
    queues: Vec<Queue>,
    concurrency: usize,
    in_order: bool,
    shutdown: Duration,
    counts: Counts,
}

/// What a worker leaves when it ends.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// What it did.
    pub counts: Counts,
    /// Jobs whose handlers did not end in time. They were given back; what such a handler does in a thread of its own may go on.
    pub still_running: Vec<JobId>,
}

impl<S: Clone + Send + Sync + 'static> Worker<S> {
    /// A worker whose handlers can ask for this state. Each gets a copy: put what is large or shared into an `Arc`.
    pub fn with_state(shoal: &Shoal, state: S) -> Self {
        Worker {
            shoal: shoal.clone(),
            state,
            queues: Vec::new(),
            concurrency: CONCURRENCY,
            in_order: false,
            shutdown: SHUTDOWN,
            counts: Counts::default(),
        }
    }

    /// Calls this function with the messages of a queue. A second one for the same queue takes the place of the first.
    pub fn on<T, Args>(self, queue: impl AsRef<[u8]>, handler: impl Handler<T, S, Args>) -> Self
    where
        T: MessageDecodable + Send + 'static,
        Args: 'static,
    {
        self.on_with(queue, QueueOptions::new(), handler)
    }

    /// The same with options of the queue.
    pub fn on_with<T, Args>(
        self,
        queue: impl AsRef<[u8]>,
        options: QueueOptions,
        handler: impl Handler<T, S, Args>,
    ) -> Self
    where
        T: MessageDecodable + Send + 'static,
        Args: 'static,
    {
        let handle = handle(handler, self.state.clone());
        self.with_queue(queue.as_ref(), options, handle)
    }

    /// Calls this function with messages of a type that has a queue.
    pub fn job<T, Args>(self, handler: impl Handler<T, S, Args>) -> Self
    where
        T: Job + MessageDecodable + Send + 'static,
        Args: 'static,
    {
        self.on(T::QUEUE, handler)
    }

    /// Calls this function, which may block, with the messages of a queue, on threads for such work (of which tokio has 512).
    pub fn blocking<T, Args>(
        self,
        queue: impl AsRef<[u8]>,
        handler: impl BlockingHandler<T, S, Args>,
    ) -> Self
    where
        T: MessageDecodable + Send + 'static,
        Args: 'static,
    {
        self.blocking_with(queue, QueueOptions::new(), handler)
    }

    /// The same with options of the queue.
    pub fn blocking_with<T, Args>(
        self,
        queue: impl AsRef<[u8]>,
        options: QueueOptions,
        handler: impl BlockingHandler<T, S, Args>,
    ) -> Self
    where
        T: MessageDecodable + Send + 'static,
        Args: 'static,
    {
        let handle = handle_blocking(handler, self.state.clone());
        self.with_queue(queue.as_ref(), options, handle)
    }

    fn with_queue(mut self, name: &[u8], options: QueueOptions, handle: handler::Handle) -> Self {
        self.queues.retain(|queue| queue.name != name);
        self.queues.push(Queue::new(name, options, handle));
        self
    }

    /// Another one that does the same, with counts of its own.
    #[cfg(feature = "testing")]
    pub(crate) fn again(&self) -> Self {
        Worker {
            shoal: self.shoal.clone(),
            state: self.state.clone(),
            queues: self.queues.iter().map(Queue::again).collect(),
            counts: Counts::default(),
            ..*self
        }
    }

    /// How many jobs it works on at a time, over all queues: 10 unless said, at least 1.
    pub fn concurrency(mut self, jobs: usize) -> Self {
        self.concurrency = jobs.max(1);
        self
    }

    /// Takes from a queue only while those that were named before it have nothing ready. Otherwise they are served in turn, by weight.
    pub fn in_order(mut self) -> Self {
        self.in_order = true;
        self
    }

    /// How long it may take to stop: 25 s unless said. What its handlers have not done then is given back.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown = timeout;
        self
    }

    /// What tells how far it is, also while it runs.
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// Runs until the process is told to end (SIGTERM, SIGINT), and then stops within [`shutdown_timeout`](Self::shutdown_timeout).
    pub async fn run(self) -> Result<Report, Error> {
        self.run_until(told_to_end()).await
    }

    /// Runs until the future ends, and then stops within [`shutdown_timeout`](Self::shutdown_timeout). An error is one that waiting does
    /// not mend; what is held then is given back as at any end.
    pub async fn run_until(self, signal: impl Future<Output = ()>) -> Result<Report, Error> {
        if self.queues.is_empty() {
            let text =
                "ERR a worker without handlers has nothing to do: name one with on() or job()";
            return Err(Error::Refused(text.to_owned()));
        }
        let shutdown = self.shutdown;
        let mut run = Run::new(self);
        let worked = run.work(signal).await;
        let report = run.end(shutdown).await;
        worked.map(|()| report)
    }
}

impl<S> fmt::Debug for Worker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queues = self.queues.iter();
        let queues = queues.map(|queue| String::from_utf8_lossy(&queue.name));
        f.debug_struct("Worker")
            .field("queues", &queues.collect::<Vec<_>>())
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

/// Waits for SIGTERM or SIGINT.
async fn told_to_end() {
    let interrupted = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::warn!(%error, "SIGINT is not heard");
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(error) => {
                tracing::warn!(%error, "SIGTERM is not heard");
                std::future::pending::<()>().await;
            }
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        () = interrupted => {}
        () = terminated => {}
    }
}
