//! A message that was handed out.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::error::Error;
use crate::heartbeat::Heartbeat;
use crate::id::JobId;
use crate::shoal::Shoal;
use crate::verbs::{Delivery, Nack};

/// A message that was handed out, and that nobody else has as long as this lives: WORKING is said for it in time. Dropped, it is given
/// back, in the background.
#[derive(Debug)]
pub struct MessageGuard<T> {
    message: T,
    hold: Hold,
}

/// A job in hand.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) delivery: Delivery,
    shoal: Shoal,
    heartbeat: Heartbeat,
    is_lost: Arc<AtomicBool>,
    given_back: Arc<AtomicU64>,
    is_settled: bool,
}

impl Hold {
    pub(crate) fn new(
        delivery: Delivery,
        shoal: Shoal,
        heartbeat: Heartbeat,
        given_back: Arc<AtomicU64>,
    ) -> Self {
        let is_lost = heartbeat.hold(delivery.id);
        Hold {
            delivery,
            shoal,
            heartbeat,
            is_lost,
            given_back,
            is_settled: false,
        }
    }

    async fn nack(mut self, say: impl for<'a> FnOnce(Nack<'a>) -> Nack<'a>) -> Result<bool, Error> {
        let shoal = self.shoal.clone();
        let answer = say(shoal.nack(self.delivery.id)).await;
        // Without an answer it is not known whose it is: its retry decides.
        self.is_settled = true;
        answer
    }

    /// Sends it to the dead letters.
    pub(crate) async fn bury(self, reason: &str) -> Result<bool, Error> {
        self.nack(|nack| nack.reason(reason).dead()).await
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.heartbeat.release(self.delivery.id);
        if !self.is_settled && self.shoal.nack(self.delivery.id).post() {
            self.given_back.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<T> MessageGuard<T> {
    pub(crate) fn new(message: T, hold: Hold) -> Self {
        MessageGuard { message, hold }
    }

    /// The job.
    pub fn id(&self) -> JobId {
        self.hold.delivery.id
    }

    /// The queue that it was in.
    pub fn queue(&self) -> &[u8] {
        &self.hold.delivery.queue
    }

    /// How often it was handed out before, as an estimate: given back, or not acknowledged in time.
    pub fn earlier_deliveries(&self) -> u64 {
        self.hold.delivery.nacks + self.hold.delivery.additional_deliveries
    }

    /// Whether a node said that the job is over or gone: another worker may have done it.
    pub fn is_lost(&self) -> bool {
        self.hold.is_lost.load(Ordering::Acquire)
    }

    /// It is done. Returns whether a node said that it was not yet acknowledged: false also where that answer was lost, and the next
    /// one came.
    pub async fn ack(mut self) -> Result<bool, Error> {
        let acked = self.hold.shoal.ack([self.hold.delivery.id]).await?;
        self.hold.is_settled = true;
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
