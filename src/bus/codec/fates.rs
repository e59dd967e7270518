//! Ends of jobs that clients of other nodes wait for, and commands on jobs that a node looks for.

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};
use shoalmq_core::command::{Done, Errand, Forward};
use shoalmq_core::id::QueueName;

use super::Invalid;
use super::job::Ids;

/// What is to be done with jobs.
#[derive(Serialize, Deserialize)]
pub(super) struct Wanted<'a> {
    #[serde(borrow)]
    ids: Ids<'a>,
    only_turn: bool,
    #[serde(borrow)]
    errand: Sent<'a>,
}

#[derive(Serialize, Deserialize)]
enum Sent<'a> {
    Nack {
        delay: Option<u32>,
        #[serde(borrow)]
        to: Option<&'a Bytes>,
        reason: Option<ByteBuf>,
        dead: bool,
    },
    Working(Option<ByteBuf>),
    Promote(u8),
    Delete,
}

/// What was done with a job.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) enum Did {
    Holds,
    Count(u64),
    TooLate,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(forward: &'a Forward) -> Self {
        let errand = match &forward.errand {
            Errand::Nack {
                delay,
                to,
                reason,
                is_dead,
            } => Sent::Nack {
                delay: *delay,
                to: to.as_ref().map(|name| Bytes::new(name.as_bytes())),
                reason: reason.clone().map(ByteBuf::from),
                dead: *is_dead,
            },
            Errand::Working(progress) => Sent::Working(progress.clone().map(ByteBuf::from)),
            Errand::Promote(priority) => Sent::Promote(*priority),
            Errand::Delete => Sent::Delete,
        };
        Wanted {
            ids: Ids::of(&forward.ids),
            only_turn: forward.only_turn,
            errand,
        }
    }

    pub(super) fn into_forward(self) -> Result<Forward, Invalid> {
        let errand = match self.errand {
            Sent::Nack {
                delay,
                to,
                reason,
                dead,
            } => Errand::Nack {
                delay,
                to: to.map(|name| QueueName::new(name)),
                reason: reason.map(ByteBuf::into_vec),
                is_dead: dead,
            },
            Sent::Working(progress) => Errand::Working(progress.map(ByteBuf::into_vec)),
            Sent::Promote(priority) => Errand::Promote(priority),
            Sent::Delete => Errand::Delete,
        };
        Ok(Forward {
            ids: self.ids.ids()?,
            only_turn: self.only_turn,
            errand,
        })
    }
}

impl Did {
    pub(super) fn of(done: Done) -> Self {
        match done {
            Done::Holds => Did::Holds,
            Done::Count(count) => Did::Count(count),
            Done::TooLate => Did::TooLate,
        }
    }

    pub(super) fn done(self) -> Done {
        match self {
            Did::Holds => Done::Holds,
            Did::Count(count) => Done::Count(count),
            Did::TooLate => Done::TooLate,
        }
    }
}
