//! All that a node can ask for. The shell carries effects out in the order persist, then send,
//! then reply.

use crate::command::Reply;
use crate::id::{ClientId, JobId, NodeId, Ticket};
use crate::job::Body;
use crate::message::Message;
use crate::record::{Record, Segment, Stream};
use crate::topic::{Push, Told};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Append this to the log.
    Persist(Record, News),
    /// Tell a peer, over the link that is up to it, once the log is on disk as far as this says.
    Send(NodeId, Message, Wait),
    /// Answer this command, once the log is on disk as far as this says.
    Reply(Ticket, Reply, Wait),
    /// Read this body of a job, which is in the log alone, and tell of it by [`crate::event::Event::Fetched`].
    Fetch(JobId, Body),
    /// No segment of this stream below this one holds a live record: they may be dropped.
    Retire(Stream, Segment),
    /// Read these entries, as far as they are in the log alone, and tell of it by [`crate::event::Event::EntriesFetched`].
    FetchEntries(Vec<Told>),
    /// Tell a connection what it subscribed to.
    Push(ClientId, Box<Push>),
    /// Tell of it by [`crate::event::Event::ReaderReady`] when this connection has taken what it was given.
    AwaitReader(ClientId),
}

/// Which records must be on disk before a message or a reply leaves. What the policy of the log makes of it is decided by
/// [`crate::log::Gates`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// None: it asks, or informs, or promises nothing.
    Nothing,
    /// The record that brought the job of which this says that the node has a copy. Whatever the policy, it also waits for a
    /// disk that stalls.
    Copy,
    /// The records that brought the jobs which the reply hands out.
    Jobs,
    /// All that were appended before, as long as the log can be written: the reply only says what the node knows.
    View,
    /// All that were appended before: others build on it.
    All,
}

/// Whether a record is the one that brought its job to this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It is: a client or a peer brought the job, or its lost body.
    Job,
    /// It is not: it is about something else, or the job is recorded again.
    Nothing,
}
