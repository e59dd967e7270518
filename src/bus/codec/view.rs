//! Questions about the whole cluster, and one node's answer: what GLOBAL commands send.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;
use shoalmq_core::command::{
    Answer, Delivery, Detail, JobView, PauseState, Question, QueueScan, QueueView, QueueWaits,
    Redrive, ScanReply,
};
use shoalmq_core::extras::Extras;
use shoalmq_core::id::{JobId, Maker, QueueName};
use shoalmq_core::job::{Body, JobState};
use shoalmq_core::stamp::Stamp;

use super::fates::{self, Did};
use super::job::{Ids, Nodes};
use super::queues::Jobs;
use super::{Invalid, job_id};

/// What is asked.
#[derive(Serialize, Deserialize)]
pub(super) enum Wanted<'a> {
    #[serde(borrow)]
    QueueLength(&'a Bytes),
    QueuePeek {
        #[serde(borrow)]
        queue: &'a Bytes,
        count: i64,
        meta: bool,
    },
    QueueStat {
        #[serde(borrow)]
        queue: &'a Bytes,
        full: bool,
    },
    QueueScan {
        cursor: u64,
        count: Option<u64>,
        min_len: Option<i64>,
        max_len: Option<i64>,
        import_rate: Option<i64>,
    },
    JobScan {
        cursor: u64,
        count: Option<u64>,
        #[serde(borrow)]
        queue: Option<&'a Bytes>,
        states: Vec<State>,
        all: bool,
    },
    Made,
    #[serde(borrow)]
    Purged(&'a Bytes),
    Redrive {
        #[serde(borrow)]
        queue: &'a Bytes,
        #[serde(borrow)]
        to: Option<&'a Bytes>,
        count: Option<u64>,
        #[serde(borrow)]
        ids: Ids<'a>,
    },
    #[serde(borrow)]
    Forward(fates::Wanted<'a>),
}

/// What is answered.
#[derive(Serialize, Deserialize)]
pub(super) enum Said<'a> {
    Count(u64),
    Peeked {
        #[serde(borrow)]
        jobs: Vec<Peeked<'a>>,
        meta: bool,
    },
    #[serde(borrow)]
    QueueStat(Option<Stat<'a>>),
    Queues {
        cursor: u64,
        #[serde(borrow)]
        names: Vec<&'a Bytes>,
    },
    JobIds {
        cursor: u64,
        #[serde(borrow)]
        ids: Ids<'a>,
    },
    Jobs {
        cursor: u64,
        #[serde(borrow)]
        jobs: Vec<Shown<'a>>,
    },
    Made(Vec<(Maker, Stamp)>),
    Purged(u64),
    Redriven(u64),
    Done(Vec<(JobId, Did)>),
}

/// Where a job stands.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) enum State {
    WaitReplicas,
    Active,
    Queued,
    Acked,
}

/// A job that was peeked at.
#[derive(Serialize, Deserialize)]
pub(super) struct Peeked<'a> {
    #[serde(borrow)]
    queue: &'a Bytes,
    #[serde(borrow)]
    id: &'a Bytes,
    entered: u64,
    priority: u8,
    #[serde(borrow)]
    body: &'a Bytes,
    nacks: u32,
    additional_deliveries: u32,
    deliveries: u32,
    extras: Extras,
}

/// The figures of a queue.
#[derive(Serialize, Deserialize)]
pub(super) struct Stat<'a> {
    #[serde(borrow)]
    name: &'a Bytes,
    len: u64,
    age_ms: u64,
    idle_ms: u64,
    blocked: u64,
    #[serde(borrow)]
    import_from: Nodes<'a>,
    import_rate: u64,
    jobs_in: u64,
    jobs_out: u64,
    input: bool,
    output: bool,
    full: Option<Waits>,
}

/// Figures of jobs that are not ready.
#[derive(Serialize, Deserialize)]
struct Waits {
    open: bool,
    jobs: Jobs,
    restored_within_ms: Option<u64>,
}

/// All that is known of a job.
#[derive(Serialize, Deserialize)]
pub(super) struct Shown<'a> {
    #[serde(borrow)]
    id: &'a Bytes,
    #[serde(borrow)]
    queue: Option<&'a Bytes>,
    state: State,
    withdrawn: bool,
    replicate: u16,
    ttl: u32,
    created: u64,
    delay: u32,
    retry: u32,
    nacks: u32,
    additional_deliveries: u32,
    #[serde(borrow)]
    holders: Nodes<'a>,
    #[serde(borrow)]
    confirmed: Nodes<'a>,
    next_requeue_ms: Option<u64>,
    next_awake_ms: Option<u64>,
    #[serde(borrow)]
    body: Option<&'a Bytes>,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(question: &'a Question) -> Self {
        match question {
            Question::QueueLength(queue) => Wanted::QueueLength(name(queue)),
            Question::QueuePeek {
                queue,
                count,
                is_meta,
            } => Wanted::QueuePeek {
                queue: name(queue),
                count: *count,
                meta: *is_meta,
            },
            Question::QueueStat { queue, detail } => Wanted::QueueStat {
                queue: name(queue),
                full: *detail == Detail::Full,
            },
            &Question::QueueScan(QueueScan {
                cursor,
                count,
                min_len,
                max_len,
                import_rate,
            }) => Wanted::QueueScan {
                cursor,
                count,
                min_len,
                max_len,
                import_rate,
            },
            Question::Made => Wanted::Made,
            Question::Purged(queue) => Wanted::Purged(name(queue)),
            Question::Forward(forward) => Wanted::Forward(fates::Wanted::of(forward)),
            Question::Redrive(redrive) => Wanted::Redrive {
                queue: name(&redrive.queue),
                to: redrive.to.as_ref().map(name),
                count: redrive.count,
                ids: Ids::of(&redrive.ids),
            },
            Question::Queues(_) | Question::Explain(_) => panic!("it is of another kind"),
            Question::JobScan {
                cursor,
                count,
                queue,
                states,
                reply,
            } => Wanted::JobScan {
                cursor: *cursor,
                count: *count,
                queue: queue.as_ref().map(name),
                states: states.iter().copied().map(State::of).collect(),
                all: *reply == ScanReply::All,
            },
        }
    }

    pub(super) fn into_question(self) -> Result<Question, Invalid> {
        Ok(match self {
            Wanted::QueueLength(queue) => Question::QueueLength(QueueName::new(queue)),
            Wanted::QueuePeek { queue, count, meta } => Question::QueuePeek {
                queue: QueueName::new(queue),
                count,
                is_meta: meta,
            },
            Wanted::QueueStat { queue, full } => Question::QueueStat {
                queue: QueueName::new(queue),
                detail: if full { Detail::Full } else { Detail::Plain },
            },
            Wanted::QueueScan {
                cursor,
                count,
                min_len,
                max_len,
                import_rate,
            } => Question::QueueScan(QueueScan {
                cursor,
                count,
                min_len,
                max_len,
                import_rate,
            }),
            Wanted::JobScan {
                cursor,
                count,
                queue,
                states,
                all,
            } => Question::JobScan {
                cursor,
                count,
                queue: queue.map(|queue| QueueName::new(queue)),
                states: states.into_iter().map(State::state).collect(),
                reply: if all { ScanReply::All } else { ScanReply::Id },
            },
            Wanted::Made => Question::Made,
            Wanted::Purged(queue) => Question::Purged(QueueName::new(queue)),
            Wanted::Forward(forward) => Question::Forward(forward.into_forward()?),
            Wanted::Redrive {
                queue,
                to,
                count,
                ids,
            } => Question::Redrive(Redrive {
                queue: QueueName::new(queue),
                to: to.map(|to| QueueName::new(to)),
                count,
                ids: ids.ids()?,
            }),
        })
    }
}

impl<'a> Said<'a> {
    pub(super) fn of(answer: &'a Answer) -> Self {
        match answer {
            Answer::Count(count) => Said::Count(*count),
            Answer::Made(made) => Said::Made(made.iter().collect()),
            Answer::Purged(count) => Said::Purged(*count),
            Answer::Redriven(count) => Said::Redriven(*count),
            Answer::Done(done) => {
                Said::Done(done.iter().map(|&(id, done)| (id, Did::of(done))).collect())
            }
            Answer::Peeked(jobs, is_meta) => Said::Peeked {
                jobs: jobs.iter().map(Peeked::of).collect(),
                meta: *is_meta,
            },
            Answer::QueueStat(view) => Said::QueueStat(view.as_deref().map(Stat::of)),
            Answer::Queues(_) | Answer::Report(_) => panic!("it is of another kind"),
            Answer::QueueNames(cursor, names) => Said::Queues {
                cursor: *cursor,
                names: names.iter().map(name).collect(),
            },
            Answer::JobIds(cursor, ids) => Said::JobIds {
                cursor: *cursor,
                ids: Ids::of(ids),
            },
            Answer::Jobs(cursor, jobs) => Said::Jobs {
                cursor: *cursor,
                jobs: jobs.iter().map(Shown::of).collect(),
            },
        }
    }

    pub(super) fn into_answer(self) -> Result<Answer, Invalid> {
        Ok(match self {
            Said::Count(count) => Answer::Count(count),
            Said::Made(made) => Answer::Made(made.into_iter().collect()),
            Said::Purged(count) => Answer::Purged(count),
            Said::Redriven(count) => Answer::Redriven(count),
            Said::Done(done) => {
                Answer::Done(done.into_iter().map(|(id, did)| (id, did.done())).collect())
            }
            Said::Peeked { jobs, meta } => {
                let jobs: Result<_, _> = jobs.into_iter().map(Peeked::into_delivery).collect();
                Answer::Peeked(jobs?, meta)
            }
            Said::QueueStat(stat) => {
                let view = stat.map(Stat::into_view).transpose()?;
                Answer::QueueStat(view.map(Box::new))
            }
            Said::Queues { cursor, names } => {
                let names = names.into_iter().map(|name| QueueName::new(name));
                Answer::QueueNames(cursor, names.collect())
            }
            Said::JobIds { cursor, ids } => Answer::JobIds(cursor, ids.ids()?),
            Said::Jobs { cursor, jobs } => {
                let jobs: Result<_, _> = jobs.into_iter().map(Shown::into_view).collect();
                Answer::Jobs(cursor, jobs?)
            }
        })
    }
}

impl State {
    fn of(state: JobState) -> Self {
        match state {
            JobState::WaitReplicas => State::WaitReplicas,
            JobState::Active => State::Active,
            JobState::Queued => State::Queued,
            JobState::Acked => State::Acked,
        }
    }

    fn state(self) -> JobState {
        match self {
            State::WaitReplicas => JobState::WaitReplicas,
            State::Active => JobState::Active,
            State::Queued => JobState::Queued,
            State::Acked => JobState::Acked,
        }
    }
}

impl<'a> Peeked<'a> {
    fn of(job: &'a Delivery) -> Self {
        Peeked {
            queue: name(&job.queue),
            id: Bytes::new(job.id.as_bytes()),
            entered: job.entered,
            priority: job.priority,
            body: Bytes::new(job.body.as_bytes()),
            nacks: job.nacks,
            additional_deliveries: job.additional_deliveries,
            deliveries: job.deliveries,
            extras: job.extras.clone(),
        }
    }

    fn into_delivery(self) -> Result<Delivery, Invalid> {
        Ok(Delivery {
            queue: QueueName::new(self.queue),
            id: job_id(self.id)?,
            entered: self.entered,
            priority: self.priority,
            body: Body::new(self.body),
            nacks: self.nacks,
            additional_deliveries: self.additional_deliveries,
            deliveries: self.deliveries,
            extras: self.extras,
        })
    }
}

impl<'a> Stat<'a> {
    fn of(view: &'a QueueView) -> Self {
        Stat {
            name: name(&view.name),
            len: view.len,
            age_ms: millis(view.age),
            idle_ms: millis(view.idle),
            blocked: view.blocked,
            import_from: Nodes::of(&view.import_from),
            import_rate: view.import_rate,
            jobs_in: view.jobs_in,
            jobs_out: view.jobs_out,
            input: view.pause.input,
            output: view.pause.output,
            full: view.full.as_ref().map(Waits::of),
        }
    }

    fn into_view(self) -> Result<QueueView, Invalid> {
        Ok(QueueView {
            name: QueueName::new(self.name),
            len: self.len,
            age: Duration::from_millis(self.age_ms),
            idle: Duration::from_millis(self.idle_ms),
            blocked: self.blocked,
            import_from: self.import_from.holders()?,
            import_rate: self.import_rate,
            jobs_in: self.jobs_in,
            jobs_out: self.jobs_out,
            pause: PauseState {
                input: self.input,
                output: self.output,
            },
            full: self.full.map(Waits::waits),
        })
    }
}

impl Waits {
    fn of(waits: &QueueWaits) -> Self {
        Waits {
            open: waits.open,
            jobs: Jobs::of(&waits.depths),
            restored_within_ms: waits.restored_within.map(millis),
        }
    }

    fn waits(self) -> QueueWaits {
        QueueWaits {
            open: self.open,
            depths: self.jobs.depths(),
            restored_within: self.restored_within_ms.map(Duration::from_millis),
        }
    }
}

impl<'a> Shown<'a> {
    fn of(view: &'a JobView) -> Self {
        Shown {
            id: Bytes::new(view.id.as_bytes()),
            queue: view.queue.as_ref().map(name),
            state: State::of(view.state),
            withdrawn: view.withdrawn,
            replicate: view.replicate,
            ttl: view.ttl,
            created: view.created,
            delay: view.delay,
            retry: view.retry,
            nacks: view.nacks,
            additional_deliveries: view.additional_deliveries,
            holders: Nodes::of(&view.holders),
            confirmed: Nodes::of(&view.confirmed),
            next_requeue_ms: view.next_requeue.map(millis),
            next_awake_ms: view.next_awake.map(millis),
            body: view.body.as_ref().map(|body| Bytes::new(body.as_bytes())),
        }
    }

    fn into_view(self) -> Result<JobView, Invalid> {
        Ok(JobView {
            id: job_id(self.id)?,
            queue: self.queue.map(|queue| QueueName::new(queue)),
            state: self.state.state(),
            withdrawn: self.withdrawn,
            replicate: self.replicate,
            ttl: self.ttl,
            created: self.created,
            delay: self.delay,
            retry: self.retry,
            nacks: self.nacks,
            additional_deliveries: self.additional_deliveries,
            holders: self.holders.holders()?,
            confirmed: self.confirmed.holders()?,
            next_requeue: self.next_requeue_ms.map(Duration::from_millis),
            next_awake: self.next_awake_ms.map(Duration::from_millis),
            body: self.body.map(|body| Body::new(body)),
        })
    }
}

fn name(queue: &QueueName) -> &Bytes {
    Bytes::new(queue.as_bytes())
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
