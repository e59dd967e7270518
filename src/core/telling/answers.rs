//! How much fits into one answer.

use crate::id::QueueName;
use crate::limits;

/// How many things of these sizes fit into an answer; at least one.
pub(super) fn fitting(sizes: impl Iterator<Item = usize>) -> usize {
    let mut bytes = 0;
    let fits = |size: &usize| {
        let fits = bytes < limits::ANSWER_BYTES;
        bytes += size;
        fits
    };
    sizes.take_while(fits).count()
}

/// What a queue takes in an answer.
pub(super) fn queue_answer(name: &QueueName) -> usize {
    name.as_bytes().len() + limits::QUEUE_ANSWER_BYTES
}
