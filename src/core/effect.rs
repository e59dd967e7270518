//! All that a node can ask for. The shell carries effects out in the order persist, then reply.

use crate::command::Reply;
use crate::id::Ticket;
use crate::record::{Record, Segment};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Append this to the log.
    Persist(Record),
    /// Answer this command.
    Reply(Ticket, Reply),
    /// No segment below this one holds a live record: they may be dropped.
    Retire(Segment),
}
