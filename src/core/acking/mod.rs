//! Acking: a job is done, and every node that may hold it forgets it.
//!
//! `ack` answers ACKJOB, FASTACK, DELJOB and the end of the ttl. `collection` tells the other holders (SETACK) until each
//! has answered (GOTACK); then the collector tells them to forget the job (DELJOB) and forgets it, too. An ack for a job
//! that is not held here becomes a tombstone (`tombstones`), which asks every member who has it. Ids of jobs that are
//! over are remembered for a while (`forgotten`), so that a late copy is answered with the ack instead of being kept. How a job
//! ended, with what result, and for how long that is kept, is in `ends`.
//! `eviction` says which of all this goes first when memory is short.
//!
//! Invariants: a job is acked if and only if it is being collected; tombstones are bounded in number.

mod ack;
mod collection;
mod ends;
mod eviction;
mod forgotten;
mod inheriting;
mod invariants;
mod tombstones;

pub(crate) use collection::Collections;
pub(crate) use ends::End;
pub(crate) use forgotten::{Forgotten, Known};
pub(crate) use invariants::check;
pub(crate) use tombstones::Tombstones;
