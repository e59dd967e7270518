//! Delivering: from the queue to a worker, and back when the worker fails.
//!
//! `delivery` hands jobs out: to a client that asks (GETJOB), or to the one that has waited longest. A job that was
//! handed out is active. `requeue` brings it back: when its retry is over, when a client gives it up (NACK, ENQUEUE), or
//! when its first delay ends; it also holds jobs back while their queue is paused (PAUSE itself is in `settings`).
//! `agreement` is what this takes between nodes: all holders of a job know when its retry ends, but only one of them has
//! the *turn* to queue it. The others ask first (WILLQUEUE), and are told that it is queued (QUEUED), out (WORKING) or
//! acknowledged (SETACK).
//!
//! Without a fault a job is queued at one node only, and handed out once per retry. An at-most-once job is queued once,
//! ever.

mod agreement;
mod delivery;
mod requeue;

pub(crate) use agreement::Agreement;
pub(crate) use requeue::Cause;
