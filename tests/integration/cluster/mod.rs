//! Clusters of real nodes: what several of them promise together.

mod acking;
mod configuring;
mod ending;
mod expecting;
mod explaining;
mod failing;
mod federating;
pub(crate) mod fixture;
mod global;
mod joining;
mod keys;
mod leaving;
mod meta;
mod once;
mod recorder;
mod replicating;
mod requeueing;
mod restarting;
mod rolling;
mod spreading;
mod strangers;
mod withdrawing;
