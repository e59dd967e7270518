//! What clients ask, kept until a core takes it, and what they do on their own.

use std::time::Duration;

use shoalmq_core::command::{
    AddJob, Command, GetJob, Pause, PauseState, Question, QueueConfig, Redrive, Replication, Told,
    Wait, WaitJob,
};
use shoalmq_core::extras::{Extras, Tag};
use shoalmq_core::id::{JobId, Ticket};
use shoalmq_core::policy::Policy;

use crate::failing::{GiveUp, Rules};
use crate::keys::JobKey;
use crate::schedule::HostIndex;
use crate::topics::{TopicAsk, TopicStep};

/// A job, by the number in its body.
pub(crate) type Number = usize;

/// One command, with all that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// ADDJOB.
    Add(Box<Terms>),
    /// GETJOB.
    Get(Vec<String>, u64, Wait),
    /// ACKJOB, with a result or without.
    Ack(Vec<JobId>, Option<String>),
    /// DELJOB GLOBAL.
    Cancel(Vec<JobId>),
    /// WAITJOB.
    Await(Vec<JobId>, Duration),
    /// EXPLAIN.
    Explain(JobId),
    /// FASTACK.
    FastAck(JobId),
    /// NACK.
    Nack(JobId, GiveUp),
    /// ENQUEUE.
    Enqueue(JobId),
    /// DEQUEUE.
    Dequeue(JobId),
    /// WORKING.
    Working(JobId),
    /// PAUSE with `bcast`.
    Pause(String, PauseState),
    /// QPURGE.
    Purge(String),
    /// QCONFIG of one policy.
    Configure(String, Policy, Option<String>),
    /// REDRIVE.
    Redrive(Redrive),
    /// A command on topics.
    Topic(TopicAsk),
}

/// What a job is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) queue: String,
    pub(crate) body: String,
    pub(crate) timeout: Option<Duration>,
    pub(crate) replicate: Option<u16>,
    pub(crate) delay: u32,
    pub(crate) retry: u32,
    pub(crate) ttl: u32,
    pub(crate) max_len: Option<u64>,
    pub(crate) replication: Replication,
    /// What applies when it fails.
    pub(crate) rules: Rules,
    /// For how many seconds its end is kept.
    pub(crate) keep: Option<u32>,
    /// Its key of DEDUP.
    pub(crate) key: Option<JobKey>,
}

impl Terms {
    fn extras(&self) -> Extras {
        let keep = self.keep.map(u32::to_le_bytes);
        let rules = self.rules.extras();
        match &keep {
            Some(keep) => rules.with(Tag::KEEP, Some(keep)),
            None => rules,
        }
    }
}

impl Ask {
    /// The command as a core takes it.
    pub(crate) fn command(&self) -> Command<'_> {
        match self {
            Ask::Add(terms) => Command::AddJob(AddJob {
                timeout: terms.timeout,
                replicate: terms.replicate,
                delay: Some(terms.delay),
                retry: Some(terms.retry),
                ttl: Some(terms.ttl),
                max_len: terms.max_len,
                replication: terms.replication,
                dedup: terms.key.as_ref().map(|key| Box::new(key.dedup())),
                extras: terms.extras(),
                ..AddJob::new(terms.queue.as_bytes(), terms.body.as_bytes())
            }),
            Ask::Get(queues, count, wait) => Command::GetJob(GetJob {
                queues: queues.iter().map(String::as_bytes).collect(),
                count: *count,
                wait: *wait,
                told: Told {
                    counters: true,
                    meta: true,
                },
            }),
            Ask::Ack(ids, result) => {
                Command::AckJob(ids.clone(), result.as_ref().map(String::as_bytes))
            }
            Ask::Cancel(ids) => Command::EndJob(ids.clone()),
            Ask::Await(ids, timeout) => Command::WaitJob(WaitJob {
                timeout: Some(*timeout),
                ids: ids.iter().map(|id| (id.text(), Some(*id))).collect(),
            }),
            Ask::Explain(id) => Command::Explain(Some(*id)),
            Ask::FastAck(id) => Command::FastAck(vec![*id]),
            Ask::Nack(id, give_up) => Command::Nack(give_up.nack(*id)),
            Ask::Enqueue(id) => Command::Enqueue(vec![*id]),
            Ask::Dequeue(id) => Command::Dequeue(vec![*id]),
            Ask::Working(id) => Command::working(Some(*id)),
            Ask::Purge(queue) => Command::PurgeQueue(queue.as_bytes()),
            Ask::Configure(pattern, policy, value) => Command::QueueConfig(QueueConfig::Change {
                pattern: pattern.as_bytes(),
                changes: vec![(*policy, value.clone().map(String::into_bytes))],
            }),
            Ask::Redrive(redrive) => Command::Global(Question::Redrive(redrive.clone())),
            Ask::Topic(ask) => ask.command(),
            Ask::Pause(queue, state) => Command::Pause(Pause {
                queue: queue.as_bytes(),
                set: Some(*state),
                broadcast: true,
            }),
        }
    }
}

/// What a client does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Some producer adds a job.
    Add,
    /// Some producer wants copies on all nodes, at a moment when not all can answer.
    Insist,
    /// A consumer asks for jobs.
    Fetch(usize),
    /// A client that was not answered hangs up.
    HangUp(Ticket),
    /// A job that was delivered by a node is dealt with.
    Deal(Deal),
    /// Somebody does what nobody asked for.
    Meddle,
    /// A paused queue goes on.
    Unpause(usize),
    /// Somebody pauses or unpauses a queue for the whole cluster.
    Set,
    /// Some producer adds a job that nobody takes before the end.
    Store,
    /// Somebody empties a queue, or changes policies.
    Purge,
    /// Somebody sends jobs back from the dead letters.
    Redrive,
    /// Somebody waits for the ends of jobs.
    Await,
    /// Somebody changes what applies to jobs that fail.
    Rule,
    /// The client with a queue of its own goes on.
    Keep(Keep),
    /// A client of topics goes on.
    Topic(TopicStep),
}

/// What the client with a queue of its own does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// It asks some node for a job.
    Look,
    /// It adds a job at another node.
    Add(HostIndex),
    /// It asks there for the job.
    Take(HostIndex, Number),
}

/// One act on a delivered job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deal {
    pub(crate) number: Number,
    pub(crate) id: JobId,
    pub(crate) act: Act,
    /// Where: the node that delivered it, or any.
    pub(crate) host: Option<usize>,
    /// How often it found no node.
    pub(crate) tries: u32,
}

/// What is done with a delivered job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// ACKJOB.
    Ack,
    /// FASTACK.
    FastAck,
    /// NACK.
    Nack(GiveUp),
    /// WORKING.
    Working,
}
