//! What clients ask of a node, and what they are told.
//!
//! Arguments borrow from the read buffer; whatever must outlive the event is copied once by the core.

use std::sync::Arc;
use std::time::Duration;

use crate::dedup::Dedup;
use crate::extras::Extras;
use crate::id::{IdText, JobId, NodeId, QueueName};
use crate::job::{Body, JobState};
use crate::limits;
use crate::outcome::Fate;
use crate::stamp::Stamps;
use crate::telling::QueuesView;
use crate::time::Time;
use crate::topic::{TopicCommand, TopicReply};

mod awaiting;
mod explaining;
mod forward;
mod listing;
mod moving;
mod receipt;
mod unread;
mod views;
pub use crate::policy::{Policies, QueueConfig};
pub use crate::refusal::Refusal;
pub use awaiting::{PROGRESS_MAX, WAITJOB_IDS, WaitJob};
pub use explaining::{CopyView, EventView, Explained, HeldBy, Report, Standing};
pub use forward::{Done, Errand, Forward};
pub use listing::{QueueList, QueueOrder, QueuesWanted};
pub use moving::{Nack, Redrive};
pub use receipt::Receipt;
pub use views::{Delivery, JobView, QueueView, QueueWaits};

/// A command that reaches the core, its syntax checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command<'a> {
    /// ADDJOB: make a job and put it into its queue.
    AddJob(AddJob<'a>),
    /// GETJOB: take jobs out of queues, or wait for one.
    GetJob(GetJob<'a>),
    /// ACKJOB: these jobs are done, with this RESULT; count those known and not yet acked.
    AckJob(Vec<JobId>, Option<&'a [u8]>),
    /// FASTACK: as ACKJOB without collecting confirmations; count those deleted here.
    FastAck(Vec<JobId>),
    /// DELJOB: forget these jobs on this node only; count them.
    DelJob(Vec<JobId>),
    /// DELJOB GLOBAL: end these jobs on all nodes; count those that were not over.
    EndJob(Vec<JobId>),
    /// WAITJOB: wait for the ends of these jobs.
    WaitJob(WaitJob),
    /// ENQUEUE: put active jobs into their queues now; count them.
    Enqueue(Vec<JobId>),
    /// NACK: as ENQUEUE, counting a failed processing; or after a wait, into another queue, or to the dead letters.
    Nack(Nack<'a>),
    /// DEQUEUE: take jobs out of their queues; count them.
    Dequeue(Vec<JobId>),
    /// WORKING: postpone the next delivery by the job's retry; and what PROGRESS says. `None` is an id that no node made.
    Working(Option<JobId>, Option<&'a [u8]>),
    /// SHOW: all that is known of a job. `None` is an id that no node made.
    Show(Option<JobId>),
    /// QLEN: ready jobs in a queue.
    QueueLength(&'a [u8]),
    /// QPEEK: look at up to `count` ready jobs, oldest first, or newest first when negative.
    QueuePeek {
        /// Which queue.
        queue: &'a [u8],
        /// How many, and from which end.
        count: i64,
        /// WITHMETA: with what the producer said about them, and what was counted.
        is_meta: bool,
    },
    /// QSTAT: figures of a queue.
    QueueStat {
        /// Which queue.
        queue: &'a [u8],
        /// FULL: how much is told.
        detail: Detail,
    },
    /// PAUSE: stop or restart a queue's input and output.
    Pause(Pause<'a>),
    /// QCONFIG: look at policies, or change them.
    QueueConfig(QueueConfig<'a>),
    /// QPURGE: delete all jobs of a queue, on all nodes.
    PurgeQueue(&'a [u8]),
    /// QSCAN: walk the queues.
    QueueScan(QueueScan),
    /// JSCAN: walk the jobs.
    JobScan(JobScan<'a>),
    /// QLIST with LOCAL: the queues of this node.
    QueueList(QueueList),
    /// QLIST, and QLEN, QSTAT, QPEEK, QSCAN, JSCAN with GLOBAL: what the whole cluster says.
    Global(Question),
    /// PROMOTE: give a job another priority. `None` is an id that no node made.
    Promote(Option<JobId>, u8),
    /// EXPLAIN: where a job is, and why it is not being delivered. `None` is an id that no node made.
    Explain(Option<JobId>),
    /// A command on topics.
    Topic(Box<TopicCommand<'a>>),
}

/// How much QSTAT tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The figures that clients of Disque count on.
    Plain,
    /// FULL: also how many jobs are not ready; of a queue that only has copies here, too.
    Full,
}

/// What a client asks of the whole cluster; travels to the other nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// QLEN: the sum of all nodes.
    QueueLength(QueueName),
    /// QPEEK: the oldest jobs of all nodes, or the newest when negative.
    QueuePeek {
        /// Which queue.
        queue: QueueName,
        /// How many, and from which end.
        count: i64,
        /// WITHMETA: with what the producer said about them, and what was counted.
        is_meta: bool,
    },
    /// QSTAT: the figures of all nodes, added up.
    QueueStat {
        /// Which queue.
        queue: QueueName,
        /// FULL: how much is told.
        detail: Detail,
    },
    /// NACK, WORKING, PROMOTE, DELJOB GLOBAL: do this with jobs that the node may have.
    Forward(Forward),
    /// REDRIVE: move jobs that wait, one node after the other. Answered when that is done.
    Redrive(Redrive),
    /// QPURGE, first: which jobs the node has heard of.
    Made,
    /// QPURGE, then: how many jobs of this queue went when its mark became known. Answered when all are gone.
    Purged(QueueName),
    /// QLIST: the figures of queues, added up; of queues by name for the HTTP API alone.
    Queues(QueuesWanted),
    /// EXPLAIN: what the node knows of this job.
    Explain(JobId),
    /// QSCAN: one node after the other.
    QueueScan(QueueScan),
    /// JSCAN: one node after the other.
    JobScan {
        /// Where the last answer stopped; 0 to begin.
        cursor: u64,
        /// A hint how many to return; `None` (BUSYLOOP) is all of one node.
        count: Option<u64>,
        /// Only jobs of this queue.
        queue: Option<QueueName>,
        /// Only jobs in one of these states; empty is any.
        states: Vec<JobState>,
        /// What to tell of each job.
        reply: ScanReply,
    },
}

/// What one node, or all of them, say to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// QLEN.
    Count(u64),
    /// QPURGE: the jobs that the node has heard of, its own included.
    Made(Stamps),
    /// QPURGE: jobs that went, those left out that another node counts.
    Purged(u64),
    /// REDRIVE: jobs that were moved.
    Redriven(u64),
    /// What was done with each job that the node has.
    Done(Vec<(JobId, Done)>),
    /// EXPLAIN: what the node knows of the job.
    Report(Box<Report>),
    /// QPEEK, and whether with META.
    Peeked(Vec<Delivery>, bool),
    /// QSTAT: the queue, if known.
    QueueStat(Option<Box<QueueView>>),
    /// QLIST: the queues, and of those that were asked for by name the known ones.
    Queues(QueuesView),
    /// QSCAN: the next cursor (0: done) and queue names.
    QueueNames(u64, Vec<QueueName>),
    /// JSCAN: the next cursor (0: done) and job ids.
    JobIds(u64, Vec<JobId>),
    /// JSCAN REPLY all: the next cursor (0: done) and jobs.
    Jobs(u64, Vec<JobView>),
}

impl Command<'_> {
    /// [`Command::AckJob`] without a result.
    pub fn ack(ids: Vec<JobId>) -> Self {
        Command::AckJob(ids, None)
    }

    /// [`Command::Working`] without PROGRESS.
    pub fn working(id: Option<JobId>) -> Self {
        Command::Working(id, None)
    }

    /// [`Command::Nack`] without options.
    pub fn nack(ids: Vec<JobId>) -> Self {
        Command::Nack(Nack {
            ids,
            ..Nack::default()
        })
    }

    /// Whether it only adds something, and so holds up no command behind it while it waits for copies.
    pub fn adds(&self) -> bool {
        match self {
            Command::AddJob(_) => true,
            Command::Topic(command) => command.adds(),
            Command::GetJob(_)
            | Command::AckJob(..)
            | Command::EndJob(_)
            | Command::WaitJob(_)
            | Command::FastAck(_)
            | Command::DelJob(_)
            | Command::Enqueue(_)
            | Command::Nack(_)
            | Command::Dequeue(_)
            | Command::Working(..)
            | Command::Show(_)
            | Command::QueueLength(_)
            | Command::QueuePeek { .. }
            | Command::QueueStat { .. }
            | Command::Pause(_)
            | Command::QueueConfig(_)
            | Command::Promote(..)
            | Command::QueueScan(_)
            | Command::JobScan(_)
            | Command::QueueList(_)
            | Command::PurgeQueue(_)
            | Command::Explain(_)
            | Command::Global(_) => false,
        }
    }
}

/// The arguments of ADDJOB; times in whole seconds. A policy stands in for an option that is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddJob<'a> {
    /// Where the job goes.
    pub queue: &'a [u8],
    /// What it carries.
    pub body: &'a [u8],
    /// How long the client waits for the replicas; `None` is for ever.
    pub timeout: Option<Duration>,
    /// REPLICATE: how many copies; `None` is the node's default.
    pub replicate: Option<u16>,
    /// DELAY: seconds before the first queueing; `None` is none.
    pub delay: Option<u32>,
    /// RETRY: seconds until an unacknowledged job is requeued, 0 for never; `None` is derived from `ttl`.
    pub retry: Option<u32>,
    /// TTL: seconds that the job lives, at least 1; `None` is [`DEFAULT_TTL`].
    pub ttl: Option<u32>,
    /// MAXLEN: refuse when the queue already holds this many jobs; at least 1; `None` is never.
    pub max_len: Option<u64>,
    /// ASYNC: answer before the replicas confirmed.
    pub replication: Replication,
    /// DEDUP: one job with this key at a time. Boxed, for it is rare, and every command would be larger.
    pub dedup: Option<Box<Dedup<'a>>>,
    /// RECEIPT: tell who has the job.
    pub wants_receipt: bool,
    /// What the job carries beside its body.
    pub extras: Extras,
}

impl<'a> AddJob<'a> {
    /// An ADDJOB without options: it waits for its replicas as long as it takes.
    pub fn new(queue: &'a [u8], body: &'a [u8]) -> Self {
        AddJob {
            queue,
            body,
            timeout: None,
            replicate: None,
            delay: None,
            retry: None,
            ttl: None,
            max_len: None,
            replication: Replication::Synchronous,
            dedup: None,
            wants_receipt: false,
            extras: Extras::NONE,
        }
    }
}

/// When ADDJOB is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replication {
    /// Once enough replicas confirmed.
    Synchronous,
    /// At once; the replicas follow.
    Asynchronous,
}

/// The TTL of a job that names none, in seconds: a day.
pub const DEFAULT_TTL: u32 = 86_400;

/// The arguments of GETJOB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetJob<'a> {
    /// From where, in order of preference; at least one; a queue may be named twice.
    pub queues: Vec<&'a [u8]>,
    /// At most this many jobs; at least 1.
    pub count: u64,
    /// What to do when there is nothing.
    pub wait: Wait,
    /// WITHCOUNTERS, WITHMETA: what a delivery says beside queue, id and body.
    pub told: Told,
}

/// What GETJOB does when its queues are empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// NOHANG: answer nothing at once.
    No,
    /// Wait for one job, at most this long.
    AtMost(Duration),
    /// Wait until there is one.
    Forever,
}

impl Wait {
    /// Whether there is time for a job to come from another node while the client waits.
    pub(crate) fn is_patient(self) -> bool {
        match self {
            Wait::No => false,
            Wait::AtMost(timeout) => timeout > limits::BRIEF_WAIT,
            Wait::Forever => true,
        }
    }
}

/// What a delivery tells beside queue, id and body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// WITHCOUNTERS: nacks and additional deliveries.
    pub counters: bool,
    /// WITHMETA: what its producer said about it, and how often it was handed out.
    pub meta: bool,
}

/// The arguments of PAUSE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause<'a> {
    /// Which queue.
    pub queue: &'a [u8],
    /// The state to set; `None` (only `state` was given) changes nothing.
    pub set: Option<PauseState>,
    /// `bcast`: set it for the whole cluster, as a setting.
    pub broadcast: bool,
}

/// What a queue refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub struct PauseState {
    /// No new jobs come in.
    pub input: bool,
    /// No jobs are handed out.
    pub output: bool,
}

/// The arguments of QSCAN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueScan {
    /// Where the last answer stopped; 0 to begin.
    pub cursor: u64,
    /// A hint how many to return; `None` (BUSYLOOP) is all.
    pub count: Option<u64>,
    /// Only queues at least this long.
    pub min_len: Option<i64>,
    /// Only queues at most this long.
    pub max_len: Option<i64>,
    /// Only queues that import at least this many jobs per second.
    pub import_rate: Option<i64>,
}

/// The arguments of JSCAN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobScan<'a> {
    /// Where the last answer stopped; 0 to begin.
    pub cursor: u64,
    /// A hint how many to return; `None` (BUSYLOOP) is all.
    pub count: Option<u64>,
    /// Only jobs of this queue.
    pub queue: Option<&'a [u8]>,
    /// Only jobs in one of these states; empty is any.
    pub states: Vec<JobState>,
    /// What to tell of each job.
    pub reply: ScanReply,
}

/// What JSCAN tells of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanReply {
    /// Its id.
    Id,
    /// All that SHOW tells.
    All,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// ADDJOB: the id of the new job.
    Added(JobId),
    /// ADDJOB with DEDUP: a job that has the key.
    Existing(JobId),
    /// ADDJOB with RECEIPT.
    Receipt(Receipt),
    /// GETJOB: what was taken; at least one.
    Delivered(Vec<Delivery>, Told),
    /// GETJOB: what was taken. Some bodies are to be read; then it is [`Reply::Delivered`] with those that could be, or the
    /// command goes on.
    Unread(Box<Unread>),
    /// GETJOB: there was nothing, and no more waiting.
    NothingToDeliver,
    /// ACKJOB, DELJOB, QLEN, WORKING …: a number.
    Count(u64),
    /// WAITJOB: how each job stands, in the order in which they were named.
    Fates(Vec<(IdText, Fate)>),
    /// EXPLAIN: what the nodes know of the job, if they know it.
    Explained(Option<Box<Explained>>),
    /// SHOW: the job, if known.
    Shown(Option<Box<JobView>>),
    /// QPEEK: jobs, left where they are, and whether with META.
    Peeked(Vec<Delivery>, bool),
    /// QSTAT: the queue, if known.
    QueueStat(Option<Box<QueueView>>),
    /// PAUSE: the state that holds now.
    PauseState(PauseState),
    /// QCONFIG: every pattern that something is set on, in the order of their bytes.
    AllPolicies(Vec<(Arc<[u8]>, Policies)>),
    /// QCONFIG of a queue or a prefix.
    Policies(Policies),
    /// QCONFIG: the policies are changed.
    Configured,
    /// QSCAN: the next cursor (0: done) and queue names.
    Queues(u64, Vec<QueueName>),
    /// JSCAN: the next cursor (0: done) and job ids.
    JobIds(u64, Vec<JobId>),
    /// JSCAN REPLY all: the next cursor (0: done) and jobs.
    Jobs(u64, Vec<JobView>),
    /// A command with GLOBAL: what the nodes say. Boxed, for it is rare, and every reply would be as large.
    Global(Box<Gathered>),
    /// To a command on topics.
    Topic(Box<TopicReply>),
    /// The command cannot be; nothing has changed.
    Refused(Refusal),
}

/// What the nodes of a cluster say to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathered {
    /// Of those that answered.
    pub answer: Answer,
    /// The ids of those that did not.
    pub missing: Vec<NodeId>,
}

/// Jobs that are handed out once their bodies are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// At least one.
    pub jobs: Vec<Delivery>,
    /// What the client asked for.
    pub again: Again,
}

/// A GETJOB that may have to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    /// From where.
    pub queues: Vec<QueueName>,
    /// At most this many jobs.
    pub count: u64,
    /// How long it waits; none when it does not.
    pub until: Option<Time>,
    /// What the client hears about each job.
    pub told: Told,
}

impl Answer {
    /// As [`Reply::unread_bodies`].
    pub fn unread_bodies(&mut self) -> Vec<(JobId, &mut Body)> {
        match self {
            Answer::Peeked(jobs, _) => unread_of(jobs),
            Answer::Jobs(_, jobs) => unread_views(jobs),
            Answer::Count(_)
            | Answer::Made(_)
            | Answer::Purged(_)
            | Answer::Redriven(_)
            | Answer::Done(_)
            | Answer::Report(_)
            | Answer::QueueStat(_)
            | Answer::Queues(_)
            | Answer::QueueNames(..)
            | Answer::JobIds(..) => Vec::new(),
        }
    }

    /// Leaves out what could not be read.
    pub fn drop_unread(&mut self) {
        match self {
            Answer::Peeked(jobs, _) => jobs.retain(|job| job.body.spilled_to().is_none()),
            Answer::Jobs(_, jobs) => jobs.iter_mut().for_each(JobView::drop_unread),
            Answer::Count(_)
            | Answer::Made(_)
            | Answer::Purged(_)
            | Answer::Redriven(_)
            | Answer::Done(_)
            | Answer::Report(_)
            | Answer::QueueStat(_)
            | Answer::Queues(_)
            | Answer::QueueNames(..)
            | Answer::JobIds(..) => {}
        }
    }
}

fn unread_of(jobs: &mut [Delivery]) -> Vec<(JobId, &mut Body)> {
    let bodies = jobs.iter_mut().map(|job| (job.id, &mut job.body));
    bodies
        .filter(|(_, body)| body.spilled_to().is_some())
        .collect()
}

fn unread_views(jobs: &mut [JobView]) -> Vec<(JobId, &mut Body)> {
    let bodies = jobs
        .iter_mut()
        .filter_map(|job| Some((job.id, job.body.as_mut()?)));
    bodies
        .filter(|(_, body)| body.spilled_to().is_some())
        .collect()
}
