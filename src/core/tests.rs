//! The core's behaviour, told one sentence at a time.

mod acking;
mod adding;
mod agreeing;
mod bench;
mod clocks;
mod collecting;
mod delivering;
mod expecting;
mod extras;
mod failing;
mod federating;
mod globally;
mod guarantees;
mod healing;
mod idling;
mod leaving;
mod looking;
mod memory;
mod model;
mod moving;
mod pausing;
mod peering;
mod policies;
mod purging;
mod replicating;
mod requeueing;
mod restarting;
mod rewriting;
mod sharing;
pub(crate) mod shoal;
mod spilling;
mod staying;
mod tallying;
mod urgent;
mod withdrawing;

pub(crate) use bench::plain_job;
