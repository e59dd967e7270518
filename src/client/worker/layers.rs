//! Handlers as tower services, and layers around them.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tower_layer::Layer;
use tower_service::Service;

use super::Worker;
use super::context::JobCx;
use super::fail::HandlerError;
use super::handler::{Handle, Work, without_panic};

/// A job on its way to its handler.
#[derive(Debug, Clone)]
pub struct JobRequest {
    /// What its producer sent.
    pub body: Bytes,
    /// The job.
    pub job: JobCx,
}

/// A handler as a service.
#[derive(Clone)]
pub struct JobService(Handle);

impl std::fmt::Debug for JobService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobService").finish_non_exhaustive()
    }
}

impl Service<JobRequest> for JobService {
    type Response = ();
    type Error = HandlerError;
    type Future = Work;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), HandlerError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: JobRequest) -> Work {
        self.0(request.body, request.job)
    }
}

impl<S: Clone + Send + Sync + 'static> Worker<S> {
    /// Puts a tower layer around the handlers that were named so far, such as a timeout. What it answers with an error is a job that
    /// failed. The service that it makes is cloned for each job.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn send(_: String) {}
    /// # async fn run(shoal: shoalmq_client::Shoal) -> Result<(), shoalmq_client::Error> {
    /// let timeout = tower::timeout::TimeoutLayer::new(Duration::from_secs(30));
    /// shoal.worker().on("mails", send).layer(timeout).run().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<JobService>,
        L::Service: Service<JobRequest, Response = (), Error: Into<HandlerError>, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        for queue in &mut self.queues {
            let service = layer.layer(JobService(queue.handle.clone()));
            queue.handle = Arc::new(move |body, job| {
                let mut service = service.clone();
                without_panic(async move {
                    let ready = std::future::poll_fn(|context| service.poll_ready(context)).await;
                    ready.map_err(Into::into)?;
                    let done = service.call(JobRequest { body, job }).await;
                    done.map_err(Into::into)
                })
            });
        }
        self
    }
}
