//! Members: who else is there, what each of them is ready for, and how this node leaves them.
//!
//! `peers` gives every node that was ever named a slot, so that a set of nodes is 64 bits, and keeps what is derived from
//! all of them: who can be reached, who takes copies, who is expected back. `peering` applies what the shell reports (a
//! member is known, its link is up or down, it is failing, it was forgotten) and wakes the flows that care. `leaving`
//! hands this node's jobs to the others, before it leaves for good or stops.
//!
//! Membership is advice: that a node is away is no reason to forget anything it may hold.

mod invariants;
mod leaving;
mod peering;
mod peers;

pub(crate) use invariants::check;
pub(crate) use leaving::HandOver;
pub(crate) use peers::{NodeSet, PeerKey, Peers, load_class};
