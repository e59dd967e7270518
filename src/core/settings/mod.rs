//! Settings: one small map that all nodes of the cluster share.
//!
//! A client writes an entry at any node. The write takes the wall clock as its version, or the version that it replaces
//! plus one if that is larger, and the higher version wins everywhere: a node that has seen an entry can always change it,
//! whatever the clocks say. The node records the entry and sends it to the nodes that it has links to. A node that takes
//! an entry over records it and passes it on, so the entry also reaches nodes that the writer has no link to.
//!
//! When a link comes up, its node sends a digest of all its entries. A receiver whose digest differs answers with all of
//! its entries and with its own digest, so that the first node can do the same. This is how a node that was away learns
//! what it missed. A removed entry stays for 30 days as an empty one, so that no older write brings it back.
//!
//! `shared` is the map itself, and `sharing` is what nodes tell each other. Its users are `pauses` (PAUSE … BCAST)
//! `policies` (QCONFIG) and `purging` (QPURGE, whose entries merge by a rule of their own).
//!
//! Invariant: digest and size are what a walk over all entries says.

mod invariants;
mod pauses;
mod policies;
mod purging;
mod shared;
mod sharing;

pub(crate) use invariants::check;
pub(crate) use policies::Remembered;
pub(crate) use purging::Purges;
pub(crate) use shared::{Change, Shared};
