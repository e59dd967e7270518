//! Moving: where a job is when it does not stay in the queue that it was added to, and what becomes of one that fails.
//!
//! Each job has a *register* ([`crate::register`]): version 0 from its add on, and the next version with every move. Burying,
//! REDRIVE and NACK … TO move a job, and PROMOTE (`promoting`) moves it within its queue. The node that does so records the register before anybody hears of it, and tells the
//! holders with the next message about the job. A node that hears of a job compares registers first (`registers`): the higher one is
//! taken over with all that goes with it, and a lower one is answered with the own one.
//!
//! A job is *guarded* when MAXDELIVER or DEAD applies to it, by option or by policy (`rules`). It is buried (`burying`) when it was
//! handed out often enough, when a client says so, or when its time to live is over: it moves to its dead queue, with
//! what led to it. There it is a job like any other, until REDRIVE sends it back (`redriving`). Hand-outs are counted while a
//! MAXDELIVER applies (`counting`). NACK makes a job wait when BACKOFF applies or DELAY is given (`waiting`): the node that took
//! the NACK keeps the turn, tells the holders, and all of them record until when the job waits.

mod burying;
mod counting;
mod giving_up;
mod invariants;
mod promoting;
mod redriving;
mod registers;
mod rules;
mod waiting;

pub(crate) use invariants::check;
pub(crate) use redriving::Redrives;
pub(crate) use rules::Rules;
pub(crate) use waiting::{taken_wait, wait_told};
