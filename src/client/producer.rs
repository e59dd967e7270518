//! Sends messages of one type.

use std::marker::PhantomData;
use std::time::Duration;

use crate::error::Error;
use crate::id::JobId;
use crate::message::MessageEncodable;
use crate::shoal::Shoal;
use crate::verbs::Add;

/// A type of message that has a queue, and options that its jobs are added with.
///
/// ```
/// use std::time::Duration;
/// use serde::{Deserialize, Serialize};
/// use shoalmq_client::{Add, Job};
///
/// #[derive(Serialize, Deserialize)]
/// struct Charge {
///     order: u64,
/// }
///
/// impl Job for Charge {
///     const QUEUE: &'static str = "charges";
///
///     fn options<'a>(&self, add: Add<'a>) -> Add<'a> {
///         add.unique(format!("order-{}", self.order), Duration::from_secs(3600)).max_deliver(5)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no queue of its own",
    note = "implement `shoalmq_client::Job` for it, or name the queue: `shoal.producer(\"queue\")`, `worker.on(\"queue\", handler)`"
)]
pub trait Job: MessageEncodable {
    /// Its queue.
    const QUEUE: &'static str;

    /// Options of this job. Unless said: 20 attempts, with waits that grow from 1 s to 10 minutes, which are about two hours; then it is a
    /// dead letter.
    fn options<'a>(&self, add: Add<'a>) -> Add<'a> {
        add.max_deliver(20)
            .backoff(Duration::from_secs(1), Duration::from_mins(10))
    }
}

/// Sends messages of one type to one queue.
///
/// ```no_run
/// # async fn run(shoal: shoalmq_client::Shoal) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// let sums = shoal.producer::<(u32, u32)>("sums");
/// let id = sums.push(&(1, 2)).await?;
/// let receipt = sums.add(&(3, 4))?.delay(Duration::from_secs(60)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Producer<T> {
    shoal: Shoal,
    queue: Vec<u8>,
    messages: PhantomData<fn(T)>,
}

impl<T> Clone for Producer<T> {
    fn clone(&self) -> Self {
        Producer {
            shoal: self.shoal.clone(),
            queue: self.queue.clone(),
            messages: PhantomData,
        }
    }
}

impl<T: MessageEncodable> Producer<T> {
    pub(crate) fn new(shoal: Shoal, queue: &[u8]) -> Self {
        Producer {
            shoal,
            queue: queue.to_vec(),
            messages: PhantomData,
        }
    }

    /// Sends a message, and returns its job once it has its copies.
    pub async fn push(&self, message: &T) -> Result<JobId, Error> {
        self.add(message)?.id().await
    }

    /// The same with options: a key, a delay, a policy.
    pub fn add(&self, message: &T) -> Result<Add<'_>, Error> {
        Ok(self.shoal.add(&self.queue, message.encode()?))
    }
}
