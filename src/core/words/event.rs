//! All that can happen to a node.

use crate::command::{Again, Command};
use crate::extras::Features;
use crate::id::{ClientId, JobId, NodeId, StoreId, Ticket};
use crate::job::Body;
use crate::message::Message;
use crate::node::Settings;
use crate::record::{Location, Segment, Stream};
use crate::topic::{Origin, Told};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// A client asks for something; its reply carries the ticket.
    Command(Ticket, Command<'a>),
    /// A client's connection ended: it waits for nothing any more, and takes no job with it.
    Disconnected(ClientId),
    /// These jobs were handed to a client that was gone before its reply left: nobody has seen them.
    Undelivered(Vec<JobId>),
    /// These jobs were to be handed out, but their bodies cannot be read at the moment: nobody has seen them.
    Postponed(Vec<JobId>),
    /// This node is a member of the cluster, reachable or not.
    PeerKnown(NodeId),
    /// It is a member no more, and does not count as a holder: CLUSTER FORGET, CLUSTER RESET.
    PeerForgotten(NodeId),
    /// Our link to it is up: what is sent from now on may arrive.
    PeerUp(PeerUp),
    /// Our link to it broke: what was sent last may be lost.
    PeerDown(NodeId),
    /// Membership takes it for dead or suspects it, or it has no link to us (true), or not so any more: not to be counted on
    /// for copies.
    PeerFailing(NodeId, bool),
    /// A peer tells something. Messages of one peer come in the order of their sending, those of an older link never
    /// after those of a newer.
    Message(NodeId, Message),
    /// The moment that [`crate::node::Node::deadline`] named has come.
    Tick,
    /// Records of this stream go to this segment of the log from now on.
    SegmentStarted(Stream, Segment),
    /// The records of these entries were given to the log, and will lie there: the origin, the number, the place.
    EntriesRecorded(&'a [(Origin, u64, Location)]),
    /// The answer to [`crate::effect::Effect::FetchEntries`]; what could not be read is lost.
    EntriesFetched(Vec<Told>),
    /// Under `appendfsync always`: these logs of topics are on disk up to these numbers.
    TopicsSafe(&'a [(Origin, u64)]),
    /// A batch is over: readers of topics are given what is new. Wanted while [`crate::node::Node::owes_readers`].
    Deliver,
    /// A connection takes its messages more slowly than they come: it gets the rest later.
    ReaderSlow(ClientId),
    /// A connection ended its subscriptions: RESET.
    Unsubscribed(ClientId),
    /// A connection has taken all messages that it was given.
    ReaderReady(ClientId),
    /// The operator changed settings.
    Configured(Settings),
    /// The operator switched the log on: record what is in memory, from this segment on.
    LogOpened {
        /// Of jobs.
        jobs: Segment,
        /// Of topics.
        topics: Segment,
    },
    /// BGREWRITEAOF: record every job again, so that all earlier segments can go.
    Rewrite,
    /// Shrink the log: record again what is live in its oldest segments, so that these can go.
    Compact {
        /// By about this many bytes.
        bytes: u64,
        /// Only segments below this one.
        below: Segment,
        /// About how many bytes may be recorded again before the first segment goes; the bytes of one segment always may.
        room: u64,
    },
    /// How well the disk keeps up with what is recorded, and so how fast a pass over the log may be.
    LogPace(Pace),
    /// SHUTDOWN REWRITE-AOF: take the next step of the pass now.
    RewriteOn,
    /// The records of these jobs were given to the log, and will lie there. Comes after the event that recorded them, and
    /// before any other; of a job that was recorded twice the last counts.
    Recorded(&'a [(JobId, Location)]),
    /// What lies before this in the log can be read from now on. Wanted after every event, while
    /// [`crate::node::Node::is_spilling`].
    Written(Location),
    /// The answer to [`crate::effect::Effect::Fetch`].
    Fetched {
        /// Of which job.
        id: JobId,
        /// The body that was to be read.
        place: Body,
        /// The same with its bytes; none when they are damaged, or gone.
        read: Option<Body>,
    },
    /// The answer to [`crate::effect::Effect::Fetch`] when this body cannot be read at the moment: its job stays where it
    /// is recorded.
    NotFetched(Body),
    /// A body that a reply or a message carried is damaged, or gone.
    Unreadable {
        /// Of which job.
        id: JobId,
        /// As it was carried.
        place: Body,
    },
    /// None of the jobs that a GETJOB was to be answered with can be delivered: it goes on.
    GetAgain(Ticket, Again),
    /// How many bytes the shell's buffers for clients and peers hold.
    ClientBuffers(u64),
    /// The log cannot be written (true), or can again: a node promises no copies that it cannot write.
    LogFailing(bool),
    /// A command needs memory, and [`crate::node::Node::memory_level`] is above normal: make room.
    MemoryPressure,
    /// CLUSTER LEAVING: from now on this node is leaving, or is not. If not, it takes back [`Event::HandOver`], too.
    Leaving(bool),
    /// CLUSTER RESET HARD: the node has another id from now on.
    Renamed(NodeId),
    /// DEBUG FLUSHALL, CLUSTER RESET: forget all jobs and queues.
    Flush,
    /// The node is about to stop: hand what is queued here to other nodes. [`crate::node::Node::handing_over`] says how
    /// much is left.
    HandOver,
    /// The node stops cleanly: record where every job stands. Nothing but further stops may follow, as long as
    /// [`crate::node::Node::is_stopping`].
    Stop,
}

/// Who is at the other end of a link that came up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerUp {
    /// Its id.
    pub id: NodeId,
    /// Which store its copies lie in: another one than before, and all former copies are gone.
    pub store: StoreId,
    /// It restarted since the last link: what it confirmed last may not have been on its disk.
    pub restarted: bool,
    /// Its zone is this node's.
    pub same_zone: bool,
    /// A number by which its zone is told from those of other peers.
    pub zone: u64,
    /// What it knows: it gets no job that needs more.
    pub features: Features,
}

/// How fast a pass over the log may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pace {
    /// As fast as it can while clients notice nothing.
    #[default]
    Full,
    /// It falls behind what is added: several times as fast as that, whatever clients notice.
    Urgent,
    /// Records wait for the disk: slowly. It must go on, for clients can keep the disk busy for ever.
    Slow,
    /// The disk takes nothing.
    Stopped,
}
