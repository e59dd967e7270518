//! The arguments of commands that move jobs from queue to queue.

use crate::command::Errand;
use crate::id::{JobId, QueueName};

/// The arguments of NACK.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Nack<'a> {
    /// Which jobs.
    pub ids: Vec<JobId>,
    /// DELAY: seconds until they are queued.
    pub delay: Option<u32>,
    /// TO: into which queue.
    pub to: Option<&'a [u8]>,
    /// REASON: what is said about it.
    pub reason: Option<&'a [u8]>,
    /// DEAD: they are buried.
    pub is_dead: bool,
}

impl Nack<'_> {
    /// The same as an errand.
    pub(crate) fn into_errand(self) -> (Vec<JobId>, Errand) {
        let errand = Errand::Nack {
            delay: self.delay,
            to: self.to.map(QueueName::new),
            reason: self.reason.map(<[u8]>::to_vec),
            is_dead: self.is_dead,
        };
        (self.ids, errand)
    }
}

/// The arguments of REDRIVE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrive {
    /// Where the jobs wait.
    pub queue: QueueName,
    /// Where they go; none for the queue that each dead letter came from.
    pub to: Option<QueueName>,
    /// At most this many.
    pub count: Option<u64>,
    /// Only these; empty for any.
    pub ids: Vec<JobId>,
}
