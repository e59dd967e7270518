//! Frames: what is said on a link once both ends have proven themselves.
//!
//! ```text
//! frame    length   u32 LE    bytes that follow; at most [`FRAME_MAX`]
//!          payload            postcard: kind, then the fields of that kind
//!
//! payload  kind     varint    0 ping, 1 pong, 2 node, 3 forget; what the core says: 4 state, 5 replicate job,
//!                             6 got job, 7 missing, 8 holders, 9 enqueue, 10 will queue, 11 queued, 12 working,
//!                             13 set ack, 14 got ack, 15 delete job, 16 need jobs, 17 your jobs, 18 settings, 19 ask,
//!                             20 answer, 21 ask for queues, 22 queues, 23 settings digest; of topics: 24 greeting,
//!                             25 counted, 26 haves, 27 follows, 28 records, 29 pull, 30 pulled, 31 close, 32 closed,
//!                             33 how far, 34 so far; 35 moved, 36 watch, 37 fates; of keys: 38 claim,
//!                             39 granted, 40 release, 41 look, 42 found, 43 added; 44 ask about a job,
//!                             45 what is known of it
//!          fields             numbers as varints, bytes behind their length; a job id is 24 bytes, a list of nodes
//!                             their ids of 20 bytes, one behind the other
//! ```
//!
//! The kinds and their fields never change, and what a kind holds gains no variants. What is added later about one job,
//! or about a node, is an extra (see [`shoalmq_core::extras`]); anything else gets a new kind, which an older node skips
//! ([`Frame::Unknown`]). So a cluster can be upgraded node by node. The version of
//! the handshake changes only when that is not enough.
//!
//! What comes from the network is checked against the bytes that are really there before room is made for it.

use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;
use shoalmq_core::command::{Answer, Question};
use shoalmq_core::dedup::{KeyName, KeyNews, KeyedJob};
use shoalmq_core::extras::Extras;
use shoalmq_core::id::{JobId, NodeId, QueueName};
use shoalmq_core::message::{Message, PeerState};
use shoalmq_core::outcome::Fate;
use shoalmq_core::topic::{EntryId, Have, Head, Origin, OriginNode, TopicNews};

use self::job::{Ids, JobCopy, Nodes};
pub use self::notice::{NodeState, Notice};
use self::queues::Told;
use self::settings::Entry;
use self::view::{Said, Wanted};
use crate::resp::COMMAND_MAX;

mod explaining;
mod fates;
#[cfg(test)]
mod golden;
mod job;
mod keys;
mod notice;
mod queues;
mod settings;
#[cfg(test)]
mod tests;
mod topic;
mod view;

/// The longest frame: the largest job that a client can add, with all that travels beside it.
pub const FRAME_MAX: usize = COMMAND_MAX + (1 << 16);
/// Jobs that travel together are parted into frames of about this size, so that one frame is never too long.
const BATCH_BYTES: usize = 1 << 20;
const LENGTH: usize = 4;
/// Kinds of this version are below this.
const KINDS: u32 = 44;

/// What one frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Something for the core.
    Message(Message),
    /// Something of the link itself.
    Notice(Notice),
    /// A newer node says what this one does not understand: skipped.
    Unknown(u32),
}

/// Why bytes are not a frame. The link they came over is of no more use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Longer than any frame.
    #[error("a frame of {0} bytes is longer than any")]
    TooLong(usize),
    /// Its fields make no sense.
    #[error("the fields of a frame make no sense")]
    Fields(#[source] postcard::Error),
}

/// It does not fit a frame, and was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of {0} bytes is longer than a frame can be")]
pub struct TooLong(pub usize);

/// Appends a message. Jobs that travel together may become several frames.
pub fn encode(message: &Message, out: &mut Vec<u8>) -> Result<(), TooLong> {
    match message {
        Message::YourJobs(jobs) => {
            let mut rest = &jobs[..];
            while !rest.is_empty() {
                let (batch, after) = rest.split_at(job::batch_length(rest));
                append(
                    &Payload::YourJobs(batch.iter().map(JobCopy::of).collect()),
                    out,
                )?;
                rest = after;
            }
            Ok(())
        }
        Message::Ask {
            number,
            question: Question::Explain(id),
        } => append(
            &(explaining::ASKED, explaining::Asked::of(*number, id)),
            out,
        ),
        Message::Answer {
            number,
            answer: Answer::Report(report),
        } => append(
            &(explaining::TOLD, explaining::Told::of(*number, report)),
            out,
        ),
        _ => append(&Payload::of_message(message), out),
    }
}

/// Appends what the link itself has to say.
pub fn encode_notice(notice: &Notice, out: &mut Vec<u8>) -> Result<(), TooLong> {
    append(&Payload::of_notice(notice), out)
}

fn append(payload: &impl Serialize, out: &mut Vec<u8>) -> Result<(), TooLong> {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    postcard::serialize_with_flavor(payload, Append(out)).expect("a vector takes anything");
    let length = out.len() - start - LENGTH;
    if length > FRAME_MAX {
        out.truncate(start);
        return Err(TooLong(length));
    }
    out[start..start + LENGTH].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(())
}

/// Reads the frame at the start of `bytes`, and returns it with its length; none while it is not whole.
pub fn decode(bytes: &[u8]) -> Result<Option<(Frame, usize)>, Invalid> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*length) as usize;
    if length > FRAME_MAX {
        return Err(Invalid::TooLong(length));
    }
    let Some(payload) = rest.get(..length) else {
        return Ok(None);
    };
    Ok(Some((decode_payload(payload)?, LENGTH + length)))
}

fn decode_payload(payload: &[u8]) -> Result<Frame, Invalid> {
    let (kind, fields) = postcard::take_from_bytes::<u32>(payload).map_err(Invalid::Fields)?;
    if matches!(kind, explaining::ASKED | explaining::TOLD) {
        return explaining::decode(kind, fields);
    }
    if kind >= KINDS {
        return Ok(Frame::Unknown(kind));
    }
    let (fields, left) =
        postcard::take_from_bytes::<Payload<'_>>(payload).map_err(Invalid::Fields)?;
    if !left.is_empty() {
        return Err(bad());
    }
    fields.into_frame()
}

fn bad() -> Invalid {
    Invalid::Fields(postcard::Error::DeserializeBadEncoding)
}

/// A frame as postcard writes it, borrowed from the message or from the bytes.
#[derive(Serialize, Deserialize)]
enum Payload<'a> {
    Ping(u64),
    Pong(u64),
    Node(Box<NodeState>),
    Forget(NodeId),
    State(PeerState),
    #[serde(borrow)]
    ReplJob(JobCopy<'a>),
    #[serde(borrow)]
    GotJob(&'a Bytes),
    #[serde(borrow)]
    Missing(&'a Bytes),
    Holders {
        #[serde(borrow)]
        id: &'a Bytes,
        #[serde(borrow)]
        holders: Nodes<'a>,
        copies: u16,
    },
    Enqueue {
        #[serde(borrow)]
        id: &'a Bytes,
        delay_ms: u64,
        extras: Extras,
    },
    WillQueue {
        #[serde(borrow)]
        id: &'a Bytes,
        extras: Extras,
    },
    Queued {
        #[serde(borrow)]
        id: &'a Bytes,
        nacks: u32,
        additional_deliveries: u32,
        extras: Extras,
    },
    Working {
        #[serde(borrow)]
        id: &'a Bytes,
        for_ms: u64,
        extras: Extras,
    },
    SetAck {
        #[serde(borrow)]
        id: &'a Bytes,
        #[serde(borrow)]
        holders: Nodes<'a>,
        withdrawn: bool,
        extras: Extras,
    },
    GotAck {
        #[serde(borrow)]
        id: &'a Bytes,
        known: bool,
        #[serde(borrow)]
        holders: Nodes<'a>,
    },
    DelJob {
        #[serde(borrow)]
        id: &'a Bytes,
        extras: Extras,
    },
    NeedJobs {
        #[serde(borrow)]
        queue: &'a Bytes,
        count: u32,
        waiting: u32,
        at_once: u32,
    },
    #[serde(borrow)]
    YourJobs(Vec<JobCopy<'a>>),
    #[serde(borrow)]
    Settings(Vec<Entry<'a>>),
    Ask {
        number: u64,
        #[serde(borrow)]
        question: Wanted<'a>,
    },
    Answer {
        number: u64,
        #[serde(borrow)]
        answer: Said<'a>,
    },
    AskQueues {
        number: u64,
        #[serde(borrow)]
        wanted: queues::Wanted<'a>,
    },
    Queues {
        number: u64,
        #[serde(borrow)]
        queues: Told<'a>,
    },
    SettingsDigest {
        digest: u64,
        answer: bool,
    },
    #[serde(borrow)]
    TopicGreeting(topic::Welcome<'a>),
    TopicCounted(Head, Origin),
    TopicHaves(Head, Vec<Have>),
    TopicFollows(Head, Origin, u64),
    #[serde(borrow)]
    TopicRecords(topic::Pushed<'a>),
    TopicPull(Head, Origin, u64, u64),
    #[serde(borrow)]
    TopicPulled(topic::Answer<'a>),
    TopicClose(Head, EntryId),
    TopicClosed(Head),
    TopicHowFar(Head, OriginNode, bool),
    TopicSoFar(Head, OriginNode, Vec<Have>),
    Moved {
        #[serde(borrow)]
        id: &'a Bytes,
        extras: Extras,
    },
    #[serde(borrow)]
    Watch(Ids<'a>),
    Fates(Vec<(JobId, Fate)>),
    KeyClaim(u64, KeyName),
    KeyGranted(u64),
    KeyRelease(u64, KeyName),
    KeyLook {
        number: u64,
        name: KeyName,
        #[serde(borrow)]
        ids: Ids<'a>,
    },
    KeyFound {
        number: u64,
        jobs: Vec<KeyedJob>,
        #[serde(borrow)]
        over: Ids<'a>,
    },
    KeysAdded(Vec<(KeyName, KeyedJob)>),
}

impl<'a> Payload<'a> {
    fn of_notice(notice: &Notice) -> Self {
        match notice {
            Notice::Ping(number) => Payload::Ping(*number),
            Notice::Pong(number) => Payload::Pong(*number),
            Notice::Node(state) => Payload::Node(state.clone()),
            Notice::Forget(id) => Payload::Forget(*id),
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm a kind")]
    fn of_message(message: &'a Message) -> Self {
        let id = |id: &'a JobId| Bytes::new(id.as_bytes());
        match message {
            &Message::State(state) => Payload::State(state),
            Message::ReplJob(copy) => Payload::ReplJob(JobCopy::of(copy)),
            Message::GotJob(job) => Payload::GotJob(id(job)),
            Message::Missing(job) => Payload::Missing(id(job)),
            Message::Holders {
                id: job,
                holders,
                copies,
            } => Payload::Holders {
                id: id(job),
                holders: Nodes::of(holders),
                copies: *copies,
            },
            Message::Enqueue {
                id: job,
                delay_ms,
                extras,
            } => Payload::Enqueue {
                id: id(job),
                delay_ms: *delay_ms,
                extras: extras.clone(),
            },
            Message::WillQueue { id: job, extras } => Payload::WillQueue {
                id: id(job),
                extras: extras.clone(),
            },
            Message::Queued {
                id: job,
                nacks,
                additional_deliveries,
                extras,
            } => Payload::Queued {
                id: id(job),
                nacks: *nacks,
                additional_deliveries: *additional_deliveries,
                extras: extras.clone(),
            },
            Message::Working {
                id: job,
                for_ms,
                extras,
            } => Payload::Working {
                id: id(job),
                for_ms: *for_ms,
                extras: extras.clone(),
            },
            Message::Moved { id: job, extras } => Payload::Moved {
                id: id(job),
                extras: extras.clone(),
            },
            Message::SetAck {
                id: job,
                holders,
                withdrawn,
                extras,
            } => Payload::SetAck {
                id: id(job),
                holders: Nodes::of(holders),
                withdrawn: *withdrawn,
                extras: extras.clone(),
            },
            Message::GotAck {
                id: job,
                known,
                holders,
            } => Payload::GotAck {
                id: id(job),
                known: *known,
                holders: Nodes::of(holders),
            },
            Message::DelJob { id: job, extras } => Payload::DelJob {
                id: id(job),
                extras: extras.clone(),
            },
            Message::NeedJobs {
                queue,
                count,
                waiting,
                at_once,
            } => Payload::NeedJobs {
                queue: Bytes::new(queue.as_bytes()),
                count: *count,
                waiting: *waiting,
                at_once: *at_once,
            },
            Message::YourJobs(jobs) => Payload::YourJobs(jobs.iter().map(JobCopy::of).collect()),
            Message::Settings(entries) => {
                Payload::Settings(entries.iter().map(Entry::of).collect())
            }
            &Message::SettingsDigest { digest, answer } => {
                Payload::SettingsDigest { digest, answer }
            }
            Message::Ask {
                number,
                question: Question::Queues(wanted),
            } => Payload::AskQueues {
                number: *number,
                wanted: queues::Wanted::of(wanted),
            },
            Message::Ask { number, question } => Payload::Ask {
                number: *number,
                question: Wanted::of(question),
            },
            Message::Answer {
                number,
                answer: Answer::Queues(view),
            } => Payload::Queues {
                number: *number,
                queues: Told::of(view),
            },
            Message::Answer { number, answer } => Payload::Answer {
                number: *number,
                answer: Said::of(answer),
            },
            Message::Watch(ids) => Payload::Watch(Ids::of(ids)),
            Message::Fates(fates) => Payload::Fates(fates.clone()),
            Message::Key(news) => keys::payload(news),
            Message::Topic(message) => topic::payload(message),
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm a kind")]
    fn into_frame(self) -> Result<Frame, Invalid> {
        Ok(Frame::Message(match self {
            Payload::Ping(number) => return Ok(Frame::Notice(Notice::Ping(number))),
            Payload::Pong(number) => return Ok(Frame::Notice(Notice::Pong(number))),
            Payload::Node(state) => return Ok(Frame::Notice(Notice::Node(state))),
            Payload::Forget(id) => return Ok(Frame::Notice(Notice::Forget(id))),
            Payload::State(state) => Message::State(state),
            Payload::ReplJob(copy) => Message::ReplJob(Box::new(copy.into_copy()?)),
            Payload::GotJob(id) => Message::GotJob(job_id(id)?),
            Payload::Missing(id) => Message::Missing(job_id(id)?),
            Payload::Holders {
                id,
                holders,
                copies,
            } => Message::Holders {
                id: job_id(id)?,
                holders: holders.holders()?,
                copies,
            },
            Payload::Enqueue {
                id,
                delay_ms,
                extras,
            } => Message::Enqueue {
                id: job_id(id)?,
                delay_ms,
                extras,
            },
            Payload::WillQueue { id, extras } => Message::WillQueue {
                id: job_id(id)?,
                extras,
            },
            Payload::Queued {
                id,
                nacks,
                additional_deliveries,
                extras,
            } => Message::Queued {
                id: job_id(id)?,
                nacks,
                additional_deliveries,
                extras,
            },
            Payload::Working { id, for_ms, extras } => Message::Working {
                id: job_id(id)?,
                for_ms,
                extras,
            },
            Payload::Moved { id, extras } => Message::Moved {
                id: job_id(id)?,
                extras,
            },
            Payload::SetAck {
                id,
                holders,
                withdrawn,
                extras,
            } => Message::SetAck {
                id: job_id(id)?,
                holders: holders.holders()?,
                withdrawn,
                extras,
            },
            Payload::GotAck { id, known, holders } => Message::GotAck {
                id: job_id(id)?,
                known,
                holders: holders.holders()?,
            },
            Payload::DelJob { id, extras } => Message::DelJob {
                id: job_id(id)?,
                extras,
            },
            Payload::NeedJobs {
                queue,
                count,
                waiting,
                at_once,
            } => Message::NeedJobs {
                queue: QueueName::new(queue),
                count,
                waiting,
                at_once,
            },
            Payload::YourJobs(jobs) => {
                let jobs: Result<_, _> = jobs.into_iter().map(JobCopy::into_copy).collect();
                Message::YourJobs(jobs?)
            }
            Payload::Settings(entries) => {
                Message::Settings(entries.into_iter().map(Entry::into_setting).collect())
            }
            Payload::SettingsDigest { digest, answer } => {
                Message::SettingsDigest { digest, answer }
            }
            Payload::Ask { number, question } => Message::Ask {
                number,
                question: question.into_question()?,
            },
            Payload::Answer { number, answer } => Message::Answer {
                number,
                answer: answer.into_answer()?,
            },
            Payload::AskQueues { number, wanted } => Message::Ask {
                number,
                question: Question::Queues(wanted.into_wanted()),
            },
            Payload::Queues { number, queues } => Message::Answer {
                number,
                answer: Answer::Queues(queues.into_view()),
            },
            Payload::Watch(ids) => Message::Watch(ids.ids()?.into()),
            Payload::Fates(fates) => Message::Fates(fates),
            Payload::KeyClaim(number, name) => keys::message(KeyNews::Claim(number, name)),
            Payload::KeyGranted(number) => keys::message(KeyNews::Granted(number)),
            Payload::KeyRelease(number, name) => keys::message(KeyNews::Release(number, name)),
            Payload::KeyLook { number, name, ids } => {
                keys::message(KeyNews::Look(number, name, ids.ids()?))
            }
            Payload::KeyFound { number, jobs, over } => {
                keys::message(KeyNews::Found(number, jobs, over.ids()?))
            }
            Payload::KeysAdded(told) => keys::message(KeyNews::Added(told)),
            Payload::TopicGreeting(welcome) => welcome.into_message(),
            Payload::TopicCounted(head, origin) => topic::message(head, TopicNews::Counted(origin)),
            Payload::TopicHaves(head, haves) => topic::message(head, TopicNews::Haves(haves)),
            Payload::TopicFollows(head, origin, number) => {
                topic::message(head, TopicNews::Follows(origin, number))
            }
            Payload::TopicRecords(pushed) => pushed.into_message(),
            Payload::TopicPull(head, origin, first, last) => {
                topic::message(head, TopicNews::Pull(origin, first, last))
            }
            Payload::TopicPulled(answer) => answer.into_message(),
            Payload::TopicClose(head, id) => topic::message(head, TopicNews::Close(id)),
            Payload::TopicClosed(head) => topic::message(head, TopicNews::Closed),
            Payload::TopicHowFar(head, node, follows) => {
                topic::message(head, TopicNews::HowFar(node, follows))
            }
            Payload::TopicSoFar(head, node, haves) => {
                topic::message(head, TopicNews::SoFar(node, haves))
            }
        }))
    }
}

fn job_id(bytes: &[u8]) -> Result<JobId, Invalid> {
    bytes.try_into().map(JobId::from_bytes).map_err(|_| bad())
}

/// Writes behind what is there already; postcard's own vector flavour goes byte by byte.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
