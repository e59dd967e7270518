//! All that can happen to a node.

use crate::command::Command;
use crate::id::{ClientId, Ticket};
use crate::node::Settings;
use crate::record::Segment;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// A client asks for something; its reply carries the ticket.
    Command(Ticket, Command<'a>),
    /// A client's connection ended: it waits for nothing any more, and takes no job with it.
    Disconnected(ClientId),
    /// The moment that [`crate::Node::deadline`] named has come.
    Tick,
    /// Records go to this segment of the log from now on.
    SegmentStarted(Segment),
    /// The operator changed settings.
    Configured(Settings),
    /// CLUSTER LEAVING: from now on this node is leaving, or is not.
    Leaving(bool),
    /// DEBUG FLUSHALL, CLUSTER RESET: forget all jobs and queues.
    Flush,
    /// The node stops cleanly: record where every job stands. Nothing follows this event.
    Stop,
}
