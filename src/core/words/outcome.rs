//! Outcomes: how jobs end, and how one stands that has not.

use serde::{Deserialize, Serialize};

use crate::extras::{Extras, Tag};
use crate::register::Rank;

/// How a job ended, as far as WAITJOB tells it. Later ones win over earlier ones: of different ends, an ack holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// Its TTL was over.
    Expired,
    /// An older job has the same key of DEDUP.
    Duplicate,
    /// A client deleted it.
    Deleted,
    /// A client acknowledged it.
    Acked,
}

impl Outcome {
    /// As clients see it.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Expired => "expired",
            Outcome::Duplicate => "duplicate",
            Outcome::Deleted => "deleted",
            Outcome::Acked => "acked",
        }
    }

    /// What the extras of an end say: an ack, unless they name another outcome. One of a later version is a deletion to this
    /// one: it is no ack, and no expiry.
    pub(crate) fn of(extras: &Extras) -> Outcome {
        match extras.get(Tag::OUTCOME) {
            None => Outcome::Acked,
            Some([3]) => Outcome::Expired,
            Some([4]) => Outcome::Duplicate,
            Some(_) => Outcome::Deleted,
        }
    }

    /// What stands for it in the extras of an end; none for an ack.
    pub(crate) fn encode(self) -> Option<&'static [u8]> {
        match self {
            Outcome::Acked => None,
            Outcome::Deleted => Some(&[1]),
            Outcome::Expired => Some(&[3]),
            Outcome::Duplicate => Some(&[4]),
        }
    }
}

/// How a job stands, as one node knows it, or all of them together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// Nothing is known of it.
    Unknown,
    /// It is not over.
    Pending {
        /// Where it is, compared with what others say: of a job that was never moved, none.
        rank: Option<Rank>,
        /// PROGRESS of WORKING.
        progress: Option<Vec<u8>>,
    },
    /// It is a dead letter.
    Dead {
        /// Where it is, compared with what others say.
        rank: Option<Rank>,
        /// Its register, and what else tells why it died.
        extras: Extras,
    },
    /// It is over.
    Ended {
        /// How it ended.
        outcome: Outcome,
        /// RESULT of ACKJOB; of a duplicate, the id of the older job.
        result: Option<Vec<u8>>,
        /// All that the node remembers is how it ended: another one may have the result.
        is_memory: bool,
    },
}

impl Fate {
    /// It is not over, and nothing else is known of it.
    pub(crate) const PENDING: Fate = Fate::Pending {
        rank: None,
        progress: None,
    };

    /// An end that the node has seen, or keeps.
    pub(crate) fn ended(outcome: Outcome, result: Option<&[u8]>) -> Fate {
        Fate::Ended {
            outcome,
            result: result.map(<[u8]>::to_vec),
            is_memory: false,
        }
    }

    /// An end that the node remembers, and nothing else.
    pub(crate) fn remembered(outcome: Outcome, detail: Option<&[u8]>) -> Fate {
        Fate::Ended {
            outcome,
            result: detail.map(<[u8]>::to_vec),
            is_memory: true,
        }
    }

    /// Whether it is an ack, with all that is known about it.
    pub(crate) fn is_whole(&self) -> bool {
        match self {
            Fate::Ended { is_memory, .. } => self.is_acked() && !is_memory,
            Fate::Unknown | Fate::Pending { .. } | Fate::Dead { .. } => false,
        }
    }

    /// Whether a client acknowledged it.
    pub(crate) fn is_acked(&self) -> bool {
        let outcome = Outcome::Acked;
        matches!(self, Fate::Ended { outcome: of, .. } if *of == outcome)
    }

    /// Whether a worker said something of it.
    pub(crate) fn is_told(&self) -> bool {
        matches!(
            self,
            Fate::Pending {
                progress: Some(_),
                ..
            }
        )
    }

    /// About how many bytes it takes in a message.
    pub(crate) fn size(&self) -> usize {
        let bytes = match self {
            Fate::Unknown => 0,
            Fate::Pending { progress, .. } => progress.as_ref().map_or(0, Vec::len),
            Fate::Dead { extras, .. } => extras.len(),
            Fate::Ended { result, .. } => result.as_ref().map_or(0, Vec::len),
        };
        bytes + size_of::<Fate>()
    }
}
