//! What members tell each other about topics.

use serde::{Deserialize, Serialize};

use super::super::id::EntryId;
use super::super::order::Closed;
use super::super::origin::{Origin, OriginNode};
use super::super::record::TopicRecord;
use crate::time::WallTime;

/// One thing that a member tells another about topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicMessage {
    /// How the sender is.
    pub head: Head,
    /// What it says.
    pub news: TopicNews,
}

/// What every message about topics begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The highest id that the sender's clock made or heard: the receiver's clock moves past it.
    pub clock: EntryId,
    /// The sender's wall clock.
    pub wall: WallTime,
    /// What the sender's current origin promises; none before that has begun.
    pub closed: Option<(Origin, Closed)>,
    /// Whether the sender takes records of others: its disk and its memory have room for them.
    pub takes: bool,
}

/// What a message about topics says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicNews {
    /// The first message on a link, and again when a new origin begins.
    Greeting(Box<Greeting>),
    /// The sender counts this origin of the receiver: from now on its readers wait for what that origin closes.
    Counted(Origin),
    /// What the sender has of these logs.
    Haves(Vec<Have>),
    /// Records of the sender's origin follow from this number on, unasked. What lies before is to be pulled.
    Follows(Origin, u64),
    /// Records of the sender's origin, as they come.
    Records(Vec<TopicRecord>),
    /// Send me what you have of these numbers, from the first to the last.
    Pull(Origin, u64, u64),
    /// The answer: all that the sender has of these numbers.
    Pulled {
        /// Of which log.
        origin: Origin,
        /// From this number.
        first: u64,
        /// To this one: perhaps less than was asked for.
        last: u64,
        /// In order of their numbers.
        records: Vec<TopicRecord>,
    },
    /// Readers at the sender wait: close up to this id, and say so.
    Close(EntryId),
    /// The answer is in the head.
    Closed,
    /// Say what you have of the logs of that node. And whenever it changes, if so asked: the node does not answer the sender.
    HowFar(OriginNode, bool),
    /// The answer: all logs of that node that the sender has anything of.
    SoFar(OriginNode, Vec<Have>),
    /// Say this number once all settings are recorded that came before.
    Confirm(u64),
    /// The answer.
    Confirmed(u64),
}

/// What a member tells of itself when a link comes up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// Its current origin.
    pub own: Origin,
    /// The sender does not know how the receiver is, and asks for a greeting.
    pub asks: bool,
    /// All end records that it knows.
    pub ends: Vec<TopicRecord>,
    /// Up to which number of each log it knows every end record.
    pub whole: Vec<(Origin, u64)>,
    /// What it has of each log.
    pub haves: Vec<Have>,
}

/// What a member has of one log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Have {
    /// The log.
    pub origin: Origin,
    /// The ranges of numbers, in order. Freed records count.
    pub held: Vec<(u64, u64)>,
    /// Number and id of the newest record, so that a log that exists twice is found out.
    pub newest: Option<(u64, EntryId)>,
}
