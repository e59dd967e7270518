//! Healing: the copies that a lost node held are made again elsewhere.
//!
//! A job is *short* when fewer nodes hold it than should. When a holder is lost (away for `heal-delay`, forgotten, or back
//! with an empty store), `sweep` walks over all jobs, a few at a time, and opens a case for each short job for which it
//! is this node's turn. `repair` works on the cases: it asks the living holders (HOLDERS), sends copies to other nodes,
//! and tells the holders how many there are. `recent` remembers what a peer confirmed last, because an unclean stop of
//! that peer may have cost it just these copies.
//!
//! Healing only ever adds holders: an ack still waits for the lost one.

mod invariants;
mod recent;
mod repair;
mod sweep;

pub(crate) use invariants::check;
pub(crate) use repair::Healing;
