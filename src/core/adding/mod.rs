//! Adding: ADDJOB, until its producer has an answer.
//!
//! `terms` lets policies stand in for options that the producer does not name. `admission` decides whether a job is accepted, on how many nodes it is to lie, and whether one copy stays here.
//! `replication` makes the job, sends a copy to each candidate (REPLJOB) and waits for confirmations (GOTJOB); while
//! too few arrive, it asks one more candidate now and then. `pending` remembers who waits for which copies. With
//! enough of them the job is queued and its producer gets the id; when the producer's time is over, the add is
//! withdrawn. `copies` is the other side: taking a copy, and saying whether it is here.
//!
//! A job that waits for copies is not deliverable here, and nobody was promised anything yet.
//!
//! Invariants: every job in `WaitReplicas` is pending, and only those are; a pending job of a client is known as its.

mod admission;
mod copies;
mod invariants;
mod pending;
mod receipts;
mod replication;
mod terms;

pub(crate) use admission::{Home, default_retry};
pub(crate) use copies::{key_left, key_until};
pub(crate) use invariants::check;
pub(crate) use pending::{Producer, Replications};
pub(crate) use terms::Terms;
