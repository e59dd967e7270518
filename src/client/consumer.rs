//! Takes messages of one type.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::stream::{self, Stream};
use tokio::sync::watch;

use crate::error::Error;
use crate::guard::{Hand, Hold, MessageGuard};
use crate::link::Link;
use crate::message::MessageDecodable;

/// How long one GETJOB waits: a link that is dead is noticed soon after.
const WAIT: Duration = Duration::from_secs(2);
/// Jobs that are taken at a time, unless said.
const PREFETCH: u32 = 1;

/// Takes messages of one type out of one queue.
///
/// It outlives its servers: while none can be reached it waits. It ends when it is told to, or by an error that waiting does not mend.
///
/// ```no_run
/// # async fn run(shoal: shoalmq_client::Shoal) -> Result<(), Box<dyn std::error::Error>> {
/// let mut sums = shoal.consumer::<(u32, u32)>("sums").prefetch(10);
/// while let Some(sum) = sums.next().await {
///     let sum = sum?;
///     println!("{}", sum.0 + sum.1);
///     sum.ack().await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Consumer<T> {
    hand: Arc<Hand>,
    /// GETJOB holds up what is behind it, so it has a link of its own.
    link: Link,
    queue: Vec<u8>,
    prefetch: u32,
    ready: VecDeque<Hold>,
    stop: watch::Sender<bool>,
    messages: PhantomData<fn() -> T>,
}

/// Stops a consumer, also one that waits.
///
/// ```no_run
/// # async fn run(shoal: shoalmq_client::Shoal) -> Result<(), Box<dyn std::error::Error>> {
/// let mut sums = shoal.consumer::<(u32, u32)>("sums");
/// let stopper = sums.stopper();
/// tokio::spawn(async move {
///     if tokio::signal::ctrl_c().await.is_ok() {
///         stopper.stop();
///     }
/// });
/// while let Some(sum) = sums.next().await {
///     sum?.ack().await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// [`Consumer::next`] returns none from now on. What was taken and not yet returned is given back.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl<T: MessageDecodable> Consumer<T> {
    pub(crate) fn new(hand: Arc<Hand>, link: Link, queue: &[u8]) -> Self {
        Consumer {
            hand,
            link,
            queue: queue.to_vec(),
            prefetch: PREFETCH,
            ready: VecDeque::new(),
            stop: watch::Sender::new(false),
            messages: PhantomData,
        }
    }

    /// How many jobs are taken at a time: 1 unless said. More of them are faster; each is kept from others until it is its turn.
    #[must_use]
    pub fn prefetch(mut self, jobs: u32) -> Self {
        self.prefetch = jobs.max(1);
        self
    }

    /// What stops it.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stop.clone())
    }

    /// The same as [`Stopper::stop`].
    pub fn stop(&self) {
        self.stopper().stop();
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// How many messages were given back because their guard was dropped.
    pub fn given_back(&self) -> u64 {
        self.hand.given_back.load(Ordering::Relaxed)
    }

    /// Waits for the next message. None once it was stopped. A body that is no such message goes to the dead letters with the reason,
    /// and is an [`Error::Decode`] here; the next call goes on behind it.
    ///
    /// It may be dropped half way: a job that comes for it then is given back.
    pub async fn next(&mut self) -> Option<Result<MessageGuard<T>, Error>> {
        loop {
            if self.is_stopped() {
                self.ready.clear();
                return None;
            }
            if let Some(hold) = self.ready.pop_front() {
                return Some(decode(hold).await);
            }
            let mut stop = self.stop.subscribe();
            let filled = tokio::select! {
                filled = self.fill() => filled,
                _ = stop.wait_for(|stops| *stops) => continue,
            };
            if let Err(error) = filled {
                return Some(Err(error));
            }
        }
    }

    /// The same as a stream, which ends once it was stopped.
    pub fn into_stream(self) -> impl Stream<Item = Result<MessageGuard<T>, Error>> + Send
    where
        T: Send,
    {
        stream::unfold(self, |mut consumer| async {
            let next = consumer.next().await?;
            Some((next, consumer))
        })
    }

    /// Takes jobs, or waits for a while.
    async fn fill(&mut self) -> Result<(), Error> {
        let taking = self.hand.take(
            &self.link,
            [&self.queue],
            self.prefetch as usize,
            Some(WAIT),
        );
        match taking.await {
            Ok(jobs) => self.ready.extend(jobs),
            // What was on its way comes again after its retry.
            Err(Error::Unknown) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

async fn decode<T: MessageDecodable>(hold: Hold) -> Result<MessageGuard<T>, Error> {
    match T::decode(hold.held.delivery.body.clone()) {
        Ok(message) => Ok(MessageGuard::new(message, hold)),
        Err(error) => {
            hold.bury(&error.to_string()).await?;
            Err(error.into())
        }
    }
}
