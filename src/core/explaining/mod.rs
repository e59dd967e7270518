//! Explaining: where a job is, and why it is not being delivered.
//!
//! Each node notes what happens to jobs in a ring of its last events (`events`): one short entry for each, written where the
//! flows do what they do. EXPLAIN asks all members (`telling`). Each answers with its copy, what it will do next, who got the
//! job from it, and what it has noted (`reporting`, `timing`); and it says in a sentence why the job is where it is (`sentences`), for it
//! knows that best.
//!
//! The node that was asked puts the reports together (`merging`). An ack holds, wherever it is known. Any other end counts only if no
//! node that answered has the job unfinished; of those that have it so, the one with the highest register decides, and of
//! equals the one with the turn.
//!
//! Nothing here changes a job, and nothing else reads the ring.

mod events;
mod merging;
mod reporting;
mod sentences;
mod timing;

pub(crate) use events::{Happenings, What};
pub(crate) use merging::Explaining;
