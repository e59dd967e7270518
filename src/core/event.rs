//! All that can happen to a node.

use crate::command::Command;
use crate::id::{ClientId, JobId, NodeId, Ticket};
use crate::node::Settings;
use crate::record::Segment;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// A client asks for something; its reply carries the ticket.
    Command(Ticket, Command<'a>),
    /// A client's connection ended: it waits for nothing any more, and takes no job with it.
    Disconnected(ClientId),
    /// These jobs were handed to a client that was gone before its reply left: nobody has seen them.
    Undelivered(Vec<JobId>),
    /// The moment that [`crate::node::Node::deadline`] named has come.
    Tick,
    /// Records go to this segment of the log from now on.
    SegmentStarted(Segment),
    /// The operator changed settings.
    Configured(Settings),
    /// The operator switched the log on: record what is in memory, from this segment on.
    LogOpened(Segment),
    /// BGREWRITEAOF: record every job anew, so that all earlier segments can go.
    Rewrite,
    /// SHUTDOWN REWRITE-AOF: take the next step of the pass now.
    RewriteOn,
    /// The shell's buffers for clients hold so many bytes.
    ClientBuffers(u64),
    /// A command needs memory, and [`crate::node::Node::memory_level`] is above normal: make room.
    MemoryPressure,
    /// CLUSTER LEAVING: from now on this node is leaving, or is not.
    Leaving(bool),
    /// CLUSTER RESET HARD: the node has another id from now on.
    Renamed(NodeId),
    /// DEBUG FLUSHALL, CLUSTER RESET: forget all jobs and queues.
    Flush,
    /// The node stops cleanly: record where every job stands. Nothing but further stops may follow, as long as
    /// [`crate::node::Node::is_stopping`].
    Stop,
}
