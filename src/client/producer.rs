//! Sends messages of one type.

use std::marker::PhantomData;

use crate::error::Error;
use crate::id::JobId;
use crate::message::MessageEncodable;
use crate::shoal::Shoal;
use crate::verbs::Add;

/// Sends messages of one type to one queue.
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
