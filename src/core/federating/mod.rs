//! Federating: jobs move to the nodes where clients wait.
//!
//! A client that finds nothing makes this node want jobs of the queue. `pull` plans whom to ask for how many, and
//! `federation` tells them (NEEDJOBS). At the other end `push` keeps what each peer is interested in, and as soon as a
//! ready job has no taker at home, `transfer` ships it (YOURJOBS). An interest stands until it is met, cancelled or
//! expires, so nobody polls, and the first job added anywhere ships at once.
//!
//! A job is never queued at two nodes: the sender takes it out of its queue first, and an at-most-once job leaves the
//! sender's log before it leaves the node. A move that nobody confirmed is asked after when the link is back.

mod federation;
mod invariants;
mod pull;
mod push;
mod transfer;

pub(crate) use federation::{Federation, Found};
pub(crate) use invariants::check;
pub(crate) use push::Need;
