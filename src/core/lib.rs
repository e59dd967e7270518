//! What a ShoalMQ node does, as a pure and deterministic state machine.
//!
//! Events go in with the time at which they happened, effects come out ([`event`], [`effect`], [`node`]). Nothing
//! here awaits, reads a clock, draws from the system's entropy, logs, or knows of sockets and disks.
//!
//! A job's way through the node: [`command::Command::AddJob`] makes it and puts it into its queue (`replication`,
//! `requeue`); a GETJOB takes it (`delivery`); an ack forgets it (`gc`), or the `agenda` brings it back when its
//! retry is over (`requeue`). What must outlive the process is a [`record::Record`], and [`restore::Restore`] is
//! the way back.

mod account;
mod admission;
mod agenda;
mod agreement;
mod collection;
pub mod command;
mod copies;
mod counters;
mod delivery;
pub mod depths;
pub mod effect;
pub mod event;
mod eviction;
mod federation;
mod forgotten;
mod gc;
mod global;
mod healing;
pub mod id;
mod inspect;
mod interest;
pub mod invariants;
pub mod job;
mod jobs;
mod leaving;
mod limits;
pub mod message;
pub mod node;
mod peering;
mod peers;
mod pending;
pub mod planted;
mod queue;
mod recent;
pub mod record;
mod replication;
mod requeue;
pub mod restore;
mod rewrite;
mod scanning;
mod segments;
mod shipping;
mod spilling;
mod standings;
mod sweep;
pub mod tally;
#[cfg(test)]
mod tests;
pub mod time;
mod tombstones;
mod waiters;
mod want;
