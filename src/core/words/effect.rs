//! All that a node can ask for. The shell carries effects out in the order persist, then send,
//! then reply.

use crate::command::Reply;
use crate::id::{JobId, NodeId, Ticket};
use crate::job::Body;
use crate::message::Message;
use crate::record::{Record, Segment};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Append this to the log.
    Persist(Record),
    /// Tell a peer, over the link that is up to it.
    Send(NodeId, Message),
    /// Answer this command.
    Reply(Ticket, Reply),
    /// Read this body of a job, which is in the log alone, and tell of it by [`crate::event::Event::Fetched`].
    Fetch(JobId, Body),
    /// No segment below this one holds a live record: they may be dropped.
    Retire(Segment),
}
