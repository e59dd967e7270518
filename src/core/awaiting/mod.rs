//! Awaiting: who waits for the ends of jobs, and hears of them.
//!
//! WAITJOB asks all members that can be reached how its jobs stand (WATCH). Each answers at once (FATES), and tells again
//! whenever a job that it was asked about ends, dies or shows progress (`watching`). The node that was asked by the client
//! (`waiting`) asks again when a link comes up and every few seconds, so that no waiter is forgotten, whatever a peer forgot
//! meanwhile.
//!
//! An ack holds, at any node that knows it. Any other end counts only when no node that can be reached has the job unfinished; of
//! those that have, the one with the highest register says whether it is a dead letter. That nobody knows a job is only certain
//! when all members say so.

mod fate;
mod progress;
mod waiting;
mod watching;

pub(crate) use progress::Progress;
pub(crate) use waiting::JobWaits;
pub(crate) use watching::Watches;
