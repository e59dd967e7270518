//! What a ShoalMQ node does, as a pure and deterministic state machine.
//!
//! Events go in with the time at which they happened, effects come out ([`event`], [`effect`], [`node`]). Nothing
//! here awaits, reads a clock, draws from the system's entropy, logs, or knows of sockets and disks.
//!
//! The rooms tell the story of a job. [`command::Command::AddJob`] makes it (`adding`), unless one with its key is there (`deduplicating`), and puts it into its queue
//! (`queue`); a GETJOB takes it, and the `agenda` brings it back when its retry is over (`delivering`); an ack makes
//! every node forget it (`acking`), and who waits for its end hears of it (`awaiting`). Between nodes it moves to where clients wait (`federating`), gets new copies when a
//! node is lost (`healing`), and leaves with a node that goes (`members`). All nodes share one small map
//! (`settings`). What must outlive the process is a [`record::Record`], and [`log::Restore`] is the way back. `telling`
//! only looks, and `explaining` says why a job is where it is.
//!
//! Beside the queues are topics, durable channels that every node keeps whole: [`topic`].

mod acking;
mod adding;
mod agenda;
mod awaiting;
mod deduplicating;
mod delivering;
mod dispatch;
mod explaining;
mod federating;
mod healing;
pub mod invariants;
pub mod job;
mod limits;
pub mod log;
mod members;
mod moving;
pub mod node;
pub mod planted;
mod queue;
mod settings;
#[cfg(any(test, feature = "shell"))]
pub mod shell;
pub mod telling;
#[cfg(test)]
mod tests;
pub mod topic;
mod words;

pub use words::{
    command, dedup, effect, event, extras, id, message, meta, outcome, policy, record, refusal,
    register, setting, stamp, time,
};
