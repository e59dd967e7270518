//! What a ShoalMQ node does, as a pure and deterministic state machine.
//!
//! Events go in with the time at which they happened, effects come out ([`event`], [`effect`]). Nothing here
//! awaits, reads a clock, draws from the system's entropy, logs, or knows of sockets and disks.

pub mod command;
pub mod effect;
pub mod event;
pub mod id;
pub mod job;
pub mod node;
pub mod record;
pub mod time;
