//! Queues: which of the ready jobs is next, and who waits for one.
//!
//! A queue is a name with the jobs that are ready here, in order of creation. Nearly all jobs arrive in that order and
//! form a list that runs through the jobs themselves; one that comes back between others goes into a tree. A client
//! that finds nothing waits, first come first served.
//!
//! This room keeps the order and the waiters. Who puts a job into a queue, and who takes it out, is decided in
//! `delivering` and `federating`.
//!
//! Invariants: a queued job is in exactly one queue, and there exactly once; a waiter waits for at least one queue.

mod invariants;
mod lane;
mod order;
mod queues;
mod waiters;

pub(crate) use invariants::check;
pub(crate) use order::List;
pub(crate) use queues::{Queue, QueueKey, Queues};
pub(crate) use waiters::{Waiter, WaiterId, Waiters};
