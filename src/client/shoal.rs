//! A handle to a cluster.

use std::sync::Arc;
use std::time::Duration;

use shoalmq_resp::Frame;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::consumer::Consumer;
use crate::error::Error;
use crate::guard::Hand;
use crate::id::JobId;
use crate::link::{Link, Repeat};
use crate::message::{MessageDecodable, MessageEncodable};
use crate::options::Options;
use crate::producer::{Job, Producer};
use crate::topics::{Publish, Read, Subscribe};
use crate::verbs::{
    Add, Delivery, Explanation, Get, Nack, Shown, Wait, count, deliveries, explanation, shown,
};
use crate::worker::Worker;

/// A handle to a cluster. Clones share its connection, and commands of all of them are in flight at a time.
///
/// ```no_run
/// # async fn run() -> Result<(), shoalmq_client::Error> {
/// use std::time::Duration;
/// use shoalmq_client::Shoal;
///
/// let shoal = Shoal::connect(["q-0:7711", "q-1:7711"]).await?;
/// let receipt = shoal.add("mails", "to ada").retry(Duration::from_secs(60)).max_deliver(5).await?;
/// println!("{} is on {} nodes", receipt.id, receipt.copies);
/// for job in shoal.get(["mails"]).count(10).await? {
///     shoal.ack([job.id]).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Shoal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    link: Link,
    options: Options,
    /// Where its tasks run, also those that begin elsewhere.
    runtime: Handle,
    begun: Instant,
}

impl Shoal {
    /// Connects to a cluster that has these nodes, each as `host:port`. Fails if none of them can be reached for 30 s.
    pub async fn connect<S: Into<String>>(
        nodes: impl IntoIterator<Item = S>,
    ) -> Result<Self, Error> {
        Shoal::connect_with(Options::new(nodes)).await
    }

    /// The same with options.
    pub async fn connect_with(options: Options) -> Result<Self, Error> {
        let runtime = Handle::current();
        let link = Link::open(&options, &runtime);
        let shoal = Shoal(Arc::new(Inner {
            link,
            options,
            runtime,
            begun: Instant::now(),
        }));
        shoal.raw(&["PING"], true).await?;
        Ok(shoal)
    }

    /// Adds a job, once it is awaited. If the connection breaks before the answer, that is [`Error::Unknown`], unless the job has a
    /// key: [`Add::unique`], [`Add::unique_per_call`].
    pub fn add(&self, queue: impl AsRef<[u8]>, body: impl Into<Vec<u8>>) -> Add<'_> {
        Add::new(&self.0.link, queue.as_ref(), body.into())
    }

    /// Takes jobs that are ready, once it is awaited.
    pub fn get<Q: AsRef<[u8]>>(&self, queues: impl IntoIterator<Item = Q>) -> Get<'_> {
        Get::new(&self.0.link, owned(queues))
    }

    /// Acknowledges jobs: they are done. Returns how many were known and not yet acknowledged.
    pub async fn ack(&self, ids: impl IntoIterator<Item = JobId>) -> Result<u64, Error> {
        let ids: Vec<JobId> = ids.into_iter().collect();
        let mut args: Vec<&[u8]> = vec![b"ACKJOB"];
        args.extend(ids.iter().map(AsRef::as_ref));
        count(&self.ask(&args).await?)
    }

    /// Gives a job back, once it is awaited.
    pub fn nack(&self, id: JobId) -> Nack<'_> {
        Nack::new(&self.0.link, id)
    }

    /// Gives a job back that nobody has seen.
    pub(crate) async fn give_back(&self, id: JobId) -> Result<(), Error> {
        self.0.link.give_back(id).await
    }

    /// Postpones the next delivery of a job by its retry, which is returned.
    pub async fn working(&self, id: JobId) -> Result<Duration, Error> {
        let args: [&[u8]; 2] = [b"WORKING", id.as_ref()];
        count(&self.ask(&args).await?).map(Duration::from_secs)
    }

    /// Waits for the end of jobs, at most 1000, over a connection of its own, once it is awaited.
    pub fn wait(&self, ids: impl IntoIterator<Item = JobId>) -> Wait<'_> {
        Wait::new(self, ids.into_iter().collect())
    }

    /// Looks at the next jobs of a queue without taking them.
    pub async fn peek(&self, queue: impl AsRef<[u8]>, count: u32) -> Result<Vec<Delivery>, Error> {
        let count = count.to_string();
        let args: [&[u8]; 4] = [b"QPEEK", queue.as_ref(), count.as_bytes(), b"WITHMETA"];
        deliveries(self.ask(&args).await?)
    }

    /// Sends the dead letters of a queue back to where they came from, with their attempts from the start. Returns how many.
    pub async fn redrive(&self, queue: impl AsRef<[u8]>) -> Result<u64, Error> {
        let args: [&[u8]; 2] = [b"REDRIVE", queue.as_ref()];
        let patience = self.0.options.patience;
        count(&self.0.link.call(&args, Repeat::Safe, patience).await?)
    }

    /// What the node at the other end knows of a job; none if it does not hold it. [`explain`](Self::explain) asks the whole cluster.
    pub async fn show(&self, id: JobId) -> Result<Option<Shown>, Error> {
        let args: [&[u8]; 2] = [b"SHOW", id.as_ref()];
        shown(self.ask(&args).await?)
    }

    /// Why a job is not being delivered, in a sentence, and what happens next; none for a job that no node knows.
    pub async fn explain(&self, id: JobId) -> Result<Option<Explanation>, Error> {
        let args: [&[u8]; 2] = [b"EXPLAIN", id.as_ref()];
        explanation(self.ask(&args).await?)
    }

    /// Publishes an entry, once it is awaited. If the connection breaks before the answer, that is [`Error::Unknown`], unless it has a
    /// key: [`Publish::unique`].
    pub fn publish(&self, channel: impl AsRef<[u8]>, body: impl Into<Vec<u8>>) -> Publish<'_> {
        Publish::new(&self.0.link, channel.as_ref(), body.into())
    }

    /// Reads a page of entries of all channels that match one of these patterns, once it is awaited. Patterns are Redis's.
    pub fn read<P: AsRef<[u8]>>(&self, patterns: impl IntoIterator<Item = P>) -> Read<'_> {
        Read::new(&self.0.link, owned(patterns))
    }

    /// Subscribes to all channels that match one of these patterns, once it is awaited.
    ///
    /// ```no_run
    /// # async fn run(shoal: shoalmq_client::Shoal) -> Result<(), shoalmq_client::Error> {
    /// let mut orders = shoal.subscribe(["orders.*"]).named("billing").await?;
    /// loop {
    ///     if let Some(order) = orders.next().await?.entry() {
    ///         println!("{} on {:?}", order.id, order.channel);
    ///     }
    ///     orders.commit().await?;
    /// }
    /// # }
    /// ```
    pub fn subscribe<P: AsRef<[u8]>>(
        &self,
        patterns: impl IntoIterator<Item = P>,
    ) -> Subscribe<'_> {
        Subscribe::new(self, owned(patterns))
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    /// How many jobs are ready in a queue, as the node counts that answers.
    pub async fn len(&self, queue: impl AsRef<[u8]>) -> Result<u64, Error> {
        let args: [&[u8]; 2] = [b"QLEN", queue.as_ref()];
        count(&self.ask(&args).await?)
    }

    /// Sends any other command. `again` says that it may be sent twice, if the connection breaks before the answer. Not for commands
    /// that wait or change how the connection speaks: all commands share it.
    pub async fn raw<A: AsRef<[u8]>>(&self, args: &[A], again: bool) -> Result<Frame, Error> {
        let repeat = if again { Repeat::Safe } else { Repeat::Never };
        self.0.link.call(args, repeat, Duration::ZERO).await
    }

    /// Sends a message to the queue of its type, with the options of its type, and returns its job once it has its copies.
    pub async fn push<J: Job>(&self, job: &J) -> Result<JobId, Error> {
        job.options(self.add(J::QUEUE, job.encode()?)).id().await
    }

    /// Sends messages of one type to a queue.
    pub fn producer<T: MessageEncodable>(&self, queue: impl AsRef<[u8]>) -> Producer<T> {
        Producer::new(self.clone(), queue.as_ref())
    }

    /// Takes messages of one type out of a queue, over a connection of its own.
    pub fn consumer<T: MessageDecodable>(&self, queue: impl AsRef<[u8]>) -> Consumer<T> {
        let (link, _) = self.taking_link();
        Consumer::new(Hand::new(self, Arc::default()), link, queue.as_ref())
    }

    /// Calls functions with the messages of queues: see [`Worker`].
    pub fn worker(&self) -> Worker {
        Worker::with_state(self, ())
    }

    /// The time that jobs live in, since some moment.
    pub(crate) fn now(&self) -> Duration {
        #[cfg(feature = "testing")]
        if let Some(world) = &self.0.options.world {
            return world.now();
        }
        self.0.begun.elapsed()
    }

    /// Sends a command that may be sent twice.
    async fn ask(&self, args: &[&[u8]]) -> Result<Frame, Error> {
        self.raw(args, true).await
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.0.runtime
    }

    /// A link to take jobs over, and the task that ends with it.
    pub(crate) fn taking_link(&self) -> (Link, JoinHandle<()>) {
        Link::open_taking(&self.0.options, &self.0.link, &self.0.runtime)
    }
}

fn owned<A: AsRef<[u8]>>(names: impl IntoIterator<Item = A>) -> Vec<Vec<u8>> {
    let names = names.into_iter();
    names.map(|name| name.as_ref().to_vec()).collect()
}
