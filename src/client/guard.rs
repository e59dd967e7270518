//! A message that was handed out.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::error::Error;
use crate::heartbeat::Heartbeat;
use crate::id::JobId;
use crate::link::Link;
use crate::shoal::Shoal;
use crate::verbs::{DeadLetter, Delivery, Meta, Nack, take};

/// A message that was handed out, and that nobody else has as long as this lives: WORKING is said for it in time. Dropped, it is given
/// back, in the background.
///
/// ```no_run
/// # async fn run(shoal: shoalmq_client::Shoal) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// let mut mails = shoal.consumer::<String>("mails");
/// if let Some(mail) = mails.next().await {
///     let mail = mail?;
///     match mail.as_str() {
///         "" => mail.reject("it is empty").await?,
///         "later" => mail.retry_in(Duration::from_secs(60)).await?,
///         "abroad" => mail.push("mails-abroad").await?,
///         _ => mail.ack().await?,
///     };
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MessageGuard<T> {
    message: T,
    hold: Hold,
}

/// A job in hand.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) held: Arc<Held>,
    hand: Arc<Hand>,
    /// Somebody had it, so giving it back is an attempt that failed.
    is_shown: bool,
    is_settled: bool,
}

/// What is known of a job in hand.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) delivery: Delivery,
    /// Whether a node said that it is over or gone.
    is_lost: AtomicBool,
}

impl Held {
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Acquire)
    }

    pub(crate) fn lose(&self) {
        self.is_lost.store(true, Ordering::Release);
    }
}

/// Takes jobs in hand.
#[derive(Debug)]
pub(crate) struct Hand {
    shoal: Shoal,
    heartbeat: Heartbeat,
    /// Counts those that are given back because they are dropped.
    pub(crate) given_back: Arc<AtomicU64>,
    /// How many are on their way back.
    returning: watch::Sender<usize>,
}

impl Hand {
    /// Jobs are held with it as long as it lives, or any of them does.
    pub(crate) fn new(shoal: &Shoal, given_back: Arc<AtomicU64>) -> Arc<Self> {
        Arc::new(Hand {
            shoal: shoal.clone(),
            heartbeat: Heartbeat::begin(shoal),
            given_back,
            returning: watch::Sender::new(0),
        })
    }

    /// Waits until nothing is on its way back.
    pub(crate) async fn all_are_back(&self) {
        let mut returning = self.returning.subscribe();
        // It cannot fail: the sender is here.
        let _ = returning.wait_for(|jobs| *jobs == 0).await;
    }

    /// Gives a job back, in the background.
    fn give_back(self: &Arc<Self>, id: JobId, is_shown: bool) {
        let hand = self.clone();
        self.given_back.fetch_add(1, Ordering::Relaxed);
        self.returning.send_modify(|jobs| *jobs += 1);
        self.shoal.runtime().spawn(async move {
            let returned = if is_shown {
                hand.shoal.nack(id).await.map(drop)
            } else {
                hand.shoal.give_back(id).await
            };
            if let Err(error) = returned {
                tracing::warn!(%id, %error, "a job may not be given back before its retry");
            }
            hand.returning.send_modify(|jobs| *jobs -= 1);
        });
    }

    /// Takes up to `count` jobs from queues, and waits for one if it is told how long.
    pub(crate) async fn take(
        self: &Arc<Self>,
        link: &Link,
        queues: impl IntoIterator<Item: AsRef<[u8]>>,
        count: usize,
        wait: Option<Duration>,
    ) -> Result<Vec<Hold>, Error> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let jobs = take(link, queues, count, wait).await?;
        Ok(jobs.into_iter().map(|job| self.hold(job)).collect())
    }

    fn hold(self: &Arc<Self>, delivery: Delivery) -> Hold {
        let held = Arc::new(Held {
            delivery,
            is_lost: AtomicBool::new(false),
        });
        self.heartbeat.hold(held.clone());
        Hold {
            held,
            hand: self.clone(),
            is_shown: false,
            is_settled: false,
        }
    }
}

impl Hold {
    /// It is not given back any more when it is dropped.
    pub(crate) fn settle(&mut self) {
        self.is_settled = true;
    }

    pub(crate) async fn nack(
        mut self,
        say: impl for<'a> FnOnce(Nack<'a>) -> Nack<'a>,
    ) -> Result<bool, Error> {
        // Without an answer it is not known whose it is: its retry decides.
        self.settle();
        say(self.hand.shoal.nack(self.held.delivery.id)).await
    }

    /// Sends it to the dead letters.
    pub(crate) async fn bury(self, reason: &str) -> Result<bool, Error> {
        self.nack(|nack| nack.reason(reason).dead()).await
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let id = self.held.delivery.id;
        self.hand.heartbeat.release(id);
        if !self.is_settled {
            self.hand.give_back(id, self.is_shown);
        }
    }
}

impl<T> MessageGuard<T> {
    pub(crate) fn new(message: T, mut hold: Hold) -> Self {
        hold.is_shown = true;
        MessageGuard { message, hold }
    }

    /// The message.
    pub fn message(&self) -> &T {
        &self.message
    }

    /// The job.
    pub fn id(&self) -> JobId {
        self.hold.held.delivery.id
    }

    /// The queue that it was in.
    pub fn queue(&self) -> &[u8] {
        &self.hold.held.delivery.queue
    }

    /// How often it was handed out before: given back, or not acknowledged in time. An estimate, unless it has a `max_deliver`.
    pub fn earlier_deliveries(&self) -> u64 {
        self.hold.held.delivery.deliveries.saturating_sub(1)
    }

    /// What its producer sent along.
    pub fn meta(&self) -> &Meta {
        &self.hold.held.delivery.meta
    }

    /// How it died, if it is a dead letter.
    pub fn dead(&self) -> Option<&DeadLetter> {
        self.hold.held.delivery.dead.as_ref()
    }

    /// Whether a node said that the job is over or gone: another worker may have done it.
    pub fn is_lost(&self) -> bool {
        self.hold.held.is_lost()
    }

    /// It is done. Returns whether a node said that it was not yet acknowledged: false also where that answer was lost, and the next
    /// one came.
    pub async fn ack(mut self) -> Result<bool, Error> {
        let acked = self
            .hold
            .hand
            .shoal
            .ack([self.hold.held.delivery.id])
            .await?;
        self.hold.settle();
        Ok(acked > 0)
    }

    /// It cannot be done: it becomes a dead letter, with this reason.
    pub async fn reject(self, reason: &str) -> Result<bool, Error> {
        self.hold.bury(reason).await
    }

    /// It is to be tried again, after this time at the earliest.
    pub async fn retry_in(self, delay: Duration) -> Result<bool, Error> {
        self.hold.nack(|nack| nack.delay(delay)).await
    }

    /// It goes to another queue, as the job that it is.
    pub async fn push(self, queue: impl AsRef<[u8]>) -> Result<bool, Error> {
        let queue = queue.as_ref().to_vec();
        self.hold.nack(|nack| nack.to(&queue)).await
    }
}

impl<T> Deref for MessageGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.message
    }
}
