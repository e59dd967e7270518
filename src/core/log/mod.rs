//! The log: what outlives the process, and how a node comes back from it.
//!
//! Every change that matters is a record (`recording`). What a reply or a message says may depend on records: `waits` decides
//! on which, and `gates` how far the log must be on disk then. `segments` counts what is live in each segment of the log, because a segment
//! goes as a whole, oldest first. `compaction` records the live jobs of old segments again, so that these can go.
//! `spilling` lets bodies leave memory when it is short, for their bytes are in the log anyway. `stop` records where every
//! job stands at a clean stop, and `restore` applies all records at the next start.
//!
//! Invariants: no live record lies in a retired segment; the bytes of bodies in memory and of spilled ones are counted.

mod compaction;
mod gates;
mod invariants;
mod recording;
mod restore;
mod segments;
mod spilling;
mod stop;
mod waits;

pub(crate) use compaction::Pass;
pub use gates::{Gates, Policy, Position};
pub(crate) use invariants::check;
pub use restore::{Reload, Restore, Start};
pub(crate) use segments::Segments;
pub(crate) use spilling::Spilling;
pub(crate) use waits::answer;
