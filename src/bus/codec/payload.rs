//! The kinds of frames, with their fields in order.

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;
use shoalmq_core::command::{Answer, Question};
use shoalmq_core::dedup::{KeyName, KeyNews, KeyedJob};
use shoalmq_core::extras::Extras;
use shoalmq_core::id::{JobId, NodeId, QueueName};
use shoalmq_core::message::{Message, PeerState};
use shoalmq_core::outcome::Fate;
use shoalmq_core::topic::{EntryId, Have, Head, Origin, OriginNode, TopicNews};

use super::job::{Ids, JobCopy, Nodes};
use super::notice::{NodeState, Notice};
use super::queues::Told;
use super::settings::Entry;
use super::view::{Said, Wanted};
use super::{Frame, Invalid, explaining, job_id, keys, queues, topic};

/// A frame as postcard writes it, borrowed from the message or from the bytes.
#[derive(Serialize, Deserialize)]
pub(super) enum Payload<'a> {
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
    #[serde(borrow)]
    AskExplain(explaining::Asked<'a>),
    #[serde(borrow)]
    Explained(Box<explaining::Told<'a>>),
    TopicConfirm(Head, u64),
    TopicConfirmed(Head, u64),
}

impl<'a> Payload<'a> {
    pub(super) fn of_notice(notice: &Notice) -> Self {
        match notice {
            Notice::Ping(number) => Payload::Ping(*number),
            Notice::Pong(number) => Payload::Pong(*number),
            Notice::Node(state) => Payload::Node(state.clone()),
            Notice::Forget(id) => Payload::Forget(*id),
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm a kind")]
    pub(super) fn of_message(message: &'a Message) -> Self {
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
            Message::Ask {
                number,
                question: Question::Explain(id),
            } => Payload::AskExplain(explaining::Asked::of(*number, id)),
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
            Message::Answer {
                number,
                answer: Answer::Report(report),
            } => Payload::Explained(Box::new(explaining::Told::of(*number, report))),
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
    pub(super) fn into_frame(self) -> Result<Frame, Invalid> {
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
            Payload::AskExplain(asked) => asked.into_message()?,
            Payload::Explained(told) => told.into_message(),
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
            Payload::TopicConfirm(head, number) => topic::message(head, TopicNews::Confirm(number)),
            Payload::TopicConfirmed(head, number) => {
                topic::message(head, TopicNews::Confirmed(number))
            }
        }))
    }
}
