//! What nodes tell each other: the peer protocol, one variant per message.
//!
//! A node sends to a peer only over the link that it dialled itself, so messages of one direction keep their order; any
//! suffix of them is lost when the link breaks. Nothing here is retried by the link: each flow of the core has its own
//! way to recover. Times travel as durations, for no two nodes share a clock.
//!
//! A node that is named in a list of holders *may* have a copy: it was sent one, or said that it has one. Lists of
//! holders are only ever merged.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::command::{Answer, Question};
use crate::dedup::KeyNews;
use crate::extras::{Extras, Features, Tag};
use crate::id::{JobId, NodeId, QueueName};
use crate::job::Body;
use crate::outcome::Fate;
use crate::setting::Setting;
use crate::stamp::Stamp;
use crate::topic::TopicMessage;

/// Nodes that may hold a copy of a job, the sender included if it does; in order of their ids.
pub type Holders = Arc<[NodeId]>;

/// One thing that a node tells a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// What the sender is ready for. The first message on every link, and again whenever it changes.
    State(PeerState),
    /// Take a copy, and answer GOTJOB. A receiver that knows the job merely merges the holders; one that knows that it is
    /// acknowledged, or was told to forget it, answers SETACK and keeps nothing.
    ReplJob(Box<Copy>),
    /// I have the job; under `appendfsync always`: on disk. Answers REPLJOB and HOLDERS.
    GotJob(JobId),
    /// I do not have the job, nor know of its ack. Answers HOLDERS, ENQUEUE and QUEUED; a node that counts on the copy
    /// sends REPLJOB.
    Missing(JobId),
    /// These nodes hold the job. Sent to holders when the list grew, and to ask whether a copy is there: the receiver
    /// merges the list and answers GOTJOB, MISSING or SETACK.
    Holders {
        /// Which job.
        id: JobId,
        /// Who may hold it.
        holders: Holders,
        /// Copies that the sender knows to exist. From the wanted number on, the receiver need not heal the job.
        copies: u16,
    },
    /// Put your copy into your queue: its adder keeps none (external replication), or leaves.
    Enqueue {
        /// Which job.
        id: JobId,
        /// Milliseconds until it is queued.
        delay_ms: u64,
        /// Where the job is, if it was moved; and other optional fields.
        extras: Extras,
    },
    /// I am about to queue this job, for its retry is over. A receiver that has it queued answers QUEUED; that handed it out
    /// and waits for the ack, WORKING; that knows of the ack, SETACK. Others note the sender as a holder.
    WillQueue {
        /// Which job.
        id: JobId,
        /// Where the job is, if it was moved; and other optional fields.
        extras: Extras,
    },
    /// I have queued this job. A receiver restarts its retry, and takes the job out of its own queue if the sender ranks
    /// higher.
    Queued {
        /// Which job.
        id: JobId,
        /// Times it was given back by NACK: the larger number holds.
        nacks: u32,
        /// Times it was queued again for lack of an ack: the larger number holds.
        additional_deliveries: u32,
        /// Where the job is, if it was moved; and other optional fields.
        extras: Extras,
    },
    /// A client works on this job: do not queue it before the given number of milliseconds is over.
    Working {
        /// Which job.
        id: JobId,
        /// Milliseconds.
        for_ms: u64,
        /// Where the job is, if it was moved; and other optional fields.
        extras: Extras,
    },
    /// This is where the job is, as far as I know: it is somebody else's turn to queue it. Answers a message of a sender whose
    /// register is lower, and tells holders of a move.
    Moved {
        /// Which job.
        id: JobId,
        /// The register, with all that goes with it; and other optional fields.
        extras: Extras,
    },
    /// The job is acknowledged, or its add was withdrawn. The receiver answers GOTACK; one that holds the job marks it acked, and collects itself when
    /// the sender names no holders (a tombstone does not know any).
    SetAck {
        /// Which job.
        id: JobId,
        /// Who may hold it, as far as the sender knows; empty from a tombstone.
        holders: Holders,
        /// Nobody acknowledged it: its add was withdrawn, and the receiver counts no ack.
        withdrawn: bool,
        /// What else is said about this end. A node that keeps the ack keeps these, and passes them on.
        extras: Extras,
    },
    /// I know that the job is acknowledged.
    GotAck {
        /// Which job.
        id: JobId,
        /// Whether the sender holds the job, acked.
        known: bool,
        /// The holders that the sender knows; empty unless `known`.
        holders: Holders,
    },
    /// Forget the job, whatever its state: every holder knows of the ack, or FASTACK was given for it.
    DelJob {
        /// Which job.
        id: JobId,
        /// Where the job is, if it was moved; and other optional fields.
        extras: Extras,
    },
    /// Clients here want jobs of this queue. Holds for a while; replaces what the sender said of this queue before; a count
    /// of 0 takes it back.
    NeedJobs {
        /// Which queue.
        queue: QueueName,
        /// Jobs that the sender can use, from this receiver.
        count: u32,
        /// Of these, how many go to clients that wait at this moment, or asked a moment ago: at-most-once jobs go to them
        /// alone.
        waiting: u32,
        /// Of `count`, how many go out the moment they are ready, because clients wait for them now, or take jobs so fast
        /// that some must be sent ahead. The rest go only after a moment in which nobody at the receiver took them.
        at_once: u32,
    },
    /// Take these jobs into your queue: they are in mine no more.
    YourJobs(Vec<Copy>),
    /// These are entries of the cluster's settings. Sent when a client wrote them at the sender, or the sender took them
    /// over from another node; and all that the sender has, in answer to SETTINGSDIGEST. The receiver takes over those that
    /// win over its own, and passes these on.
    Settings(Arc<[Setting]>),
    /// Sent when a link comes up. A receiver whose settings have another digest answers with SETTINGS, and with its own
    /// digest unless this is already an answer.
    SettingsDigest {
        /// Of all settings that the sender has.
        digest: u64,
        /// It answers another SETTINGSDIGEST.
        answer: bool,
    },
    /// A client asked for a view of the whole cluster: answer for yourself.
    Ask {
        /// Comes back with the answer.
        number: u64,
        /// What it asks.
        question: Question,
    },
    /// The answer to [`Message::Ask`].
    Answer {
        /// The number of the question.
        number: u64,
        /// What this node knows.
        answer: Answer,
    },
    /// A client at the sender waits for the ends of these jobs: tell how they stand, and when they end. Holds for a while.
    Watch(Arc<[JobId]>),
    /// This is how these jobs stand, as far as the sender knows. Answers WATCH, and tells of ends.
    Fates(Vec<(JobId, Fate)>),
    /// Something about keys of DEDUP: only to nodes that know [`Tag::DEDUP_KEY`].
    Key(Box<KeyNews>),
    /// Something about topics: only to nodes that know [`Features::TOPICS`].
    Topic(Box<TopicMessage>),
}

impl Message {
    /// [`Message::Enqueue`] without extras.
    pub fn enqueue(id: JobId, delay_ms: u64) -> Message {
        let extras = Extras::NONE;
        Message::Enqueue {
            id,
            delay_ms,
            extras,
        }
    }

    /// [`Message::WillQueue`] without extras.
    pub fn will_queue(id: JobId) -> Message {
        let extras = Extras::NONE;
        Message::WillQueue { id, extras }
    }

    /// The bodies that must be read before it can be sent, each with its job. One that cannot be read stays as it is.
    pub fn unread_bodies(&mut self) -> Vec<(JobId, &mut Body)> {
        let copies = match self {
            Message::ReplJob(copy) => std::slice::from_mut(&mut **copy),
            Message::YourJobs(copies) => copies,
            Message::Answer { answer, .. } => return answer.unread_bodies(),
            Message::State(_)
            | Message::GotJob(_)
            | Message::Missing(_)
            | Message::Holders { .. }
            | Message::Enqueue { .. }
            | Message::WillQueue { .. }
            | Message::Queued { .. }
            | Message::Working { .. }
            | Message::Moved { .. }
            | Message::SetAck { .. }
            | Message::GotAck { .. }
            | Message::DelJob { .. }
            | Message::NeedJobs { .. }
            | Message::Settings(_)
            | Message::SettingsDigest { .. }
            | Message::Ask { .. }
            | Message::Watch(_)
            | Message::Fates(_)
            | Message::Key(_)
            | Message::Topic(_) => return Vec::new(),
        };
        let bodies = copies.iter_mut().map(|copy| (copy.id, &mut copy.body));
        bodies
            .filter(|(_, body)| body.spilled_to().is_some())
            .collect()
    }

    /// Leaves out what could not be read. Returns whether anything is left to be told.
    pub fn drop_unread(&mut self) -> bool {
        let is_read = |copy: &Copy| copy.body.spilled_to().is_none();
        match self {
            Message::ReplJob(copy) => is_read(copy),
            Message::YourJobs(copies) => {
                copies.retain(is_read);
                !copies.is_empty()
            }
            Message::Answer { answer, .. } => {
                answer.drop_unread();
                true
            }
            Message::State(_)
            | Message::GotJob(_)
            | Message::Missing(_)
            | Message::Holders { .. }
            | Message::Enqueue { .. }
            | Message::WillQueue { .. }
            | Message::Queued { .. }
            | Message::Working { .. }
            | Message::Moved { .. }
            | Message::SetAck { .. }
            | Message::GotAck { .. }
            | Message::DelJob { .. }
            | Message::NeedJobs { .. }
            | Message::Settings(_)
            | Message::SettingsDigest { .. }
            | Message::Ask { .. }
            | Message::Watch(_)
            | Message::Fates(_)
            | Message::Key(_)
            | Message::Topic(_) => true,
        }
    }

    /// Leaves out the jobs with a field that must be understood and that a node with these features does not know.
    /// Returns the first such field. The whole message is of no use when it speaks of one job alone.
    pub fn refuse_unknown(&mut self, features: Features) -> Option<Tag> {
        match self {
            Message::YourJobs(copies) => {
                let unknown = |copy: &Copy| copy.extras.unknown_to(features);
                let first = copies.iter().find_map(unknown);
                copies.retain(|copy| unknown(copy).is_none());
                first
            }
            Message::ReplJob(copy) => copy.extras.unknown_to(features),
            Message::Enqueue { extras, .. }
            | Message::WillQueue { extras, .. }
            | Message::Queued { extras, .. }
            | Message::Working { extras, .. }
            | Message::Moved { extras, .. }
            | Message::SetAck { extras, .. }
            | Message::DelJob { extras, .. } => extras.unknown_to(features),
            Message::State(_)
            | Message::GotJob(_)
            | Message::Missing(_)
            | Message::Holders { .. }
            | Message::GotAck { .. }
            | Message::NeedJobs { .. }
            | Message::Settings(_)
            | Message::SettingsDigest { .. }
            | Message::Ask { .. }
            | Message::Answer { .. }
            | Message::Watch(_)
            | Message::Fates(_)
            | Message::Key(_)
            | Message::Topic(_) => None,
        }
    }
}

/// What a node is ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is told by another source"
)]
pub struct PeerState {
    /// CLUSTER LEAVING holds: no new copies, no questions for jobs, and it will not come back.
    pub leaving: bool,
    /// It is about to stop: no new copies, no questions for jobs. It may come back.
    pub stopping: bool,
    /// Memory is short: no new copies.
    pub full: bool,
    /// What it confirms is on its disk: `appendfsync always`.
    pub syncs: bool,
    /// Jobs that it holds: new copies go where there are fewer.
    pub load: u64,
    /// How far it has come with making jobs.
    pub made: Stamp,
}

/// A job on its way to another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Its id.
    pub id: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// Its body.
    pub body: Body,
    /// Creation: unix milliseconds × 1 000 000 + a counter. Orders the queue.
    pub created: u64,
    /// Milliseconds since it was added: ttl and delay count from there.
    pub age_ms: u64,
    /// Seconds that it lives.
    pub ttl: u32,
    /// Seconds before its first queueing.
    pub delay: u32,
    /// Seconds until a requeue; 0 for never.
    pub retry: u32,
    /// How many copies are wanted.
    pub replicate: u16,
    /// Times it was given back by NACK.
    pub nacks: u32,
    /// Times it was queued again for lack of an ack.
    pub additional_deliveries: u32,
    /// How often it went from node to node since it was last delivered.
    pub moves: u8,
    /// Who may hold it.
    pub holders: Holders,
    /// Its optional fields.
    pub extras: Extras,
}

impl Copy {
    /// How long until its delay is over, if it has one that is not.
    pub(crate) fn delay_left(&self) -> Option<Duration> {
        let left = (u64::from(self.delay) * 1000).saturating_sub(self.age_ms);
        (left > 0).then(|| Duration::from_millis(left))
    }
}
