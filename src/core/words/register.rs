//! The register: where a job is, and what goes with that.
//!
//! ADDJOB makes version 0, of which nothing is kept. Burying, REDRIVE, NACK … TO and PROMOTE make the next version: they move
//! the job to another queue, or change its place in its own. Holders compare registers before they look at what else is said:
//! the higher one wins, and brings all that goes with it. So a holder that was away takes a dead letter for dead, and not
//! for a job that waits in the queue where it failed.

use serde::{Deserialize, Serialize};

use crate::extras::{Extras, Tag};
use crate::id::{Maker, NodeId, QueueName};
use crate::stamp::Stamp;

/// Where a job is since it was moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// Rises with every move; at least 1.
    pub version: u32,
    /// Why it is a dead letter, if it is one.
    pub dead: Option<DeadLetter>,
    /// The creation clock of the node that moved it: unix milliseconds × 1 000 000 + a counter.
    pub stamp: u64,
    /// The node that moved it.
    pub node: NodeId,
    /// Which start of that node it was.
    pub start: u32,
    /// When the job was added, by the creation clock of the node that added it.
    pub created: u64,
    /// When it entered its queue, by the creation clock of the node that put it there. Orders the queue.
    pub entered: u64,
    /// That node, and which of its starts it was.
    pub entered_by: (Maker, u32),
    /// Higher ones go first.
    pub priority: u8,
    /// It was a dead letter once, and was sent back: its key of DEDUP counts no more.
    pub is_keyless: bool,
}

/// What a dead letter keeps of its life before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The queue that it was in.
    pub from: Vec<u8>,
    /// Why it was buried.
    pub reason: DeathReason,
    /// What its last worker said about it, at most [`TEXT_MAX`] bytes.
    pub text: Vec<u8>,
    /// How often it had been handed out.
    pub deliveries: u32,
    /// When it was buried, in unix milliseconds.
    pub at_ms: u64,
    /// Seconds that it lived before, and will after REDRIVE.
    pub ttl: u32,
}

/// The most bytes of a REASON that are kept.
pub const TEXT_MAX: usize = 1024;

/// Why a job was buried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DeathReason {
    /// It was handed out as often as MAXDELIVER allows.
    Deliveries,
    /// A client said so: NACK … DEAD.
    Nack,
    /// Its time to live was over.
    Expired,
}

impl DeathReason {
    /// All of them.
    pub const ALL: [DeathReason; 3] = [
        DeathReason::Deliveries,
        DeathReason::Nack,
        DeathReason::Expired,
    ];

    /// As clients and metrics see it.
    pub fn name(self) -> &'static str {
        match self {
            DeathReason::Deliveries => "deliveries",
            DeathReason::Nack => "nack",
            DeathReason::Expired => "expired",
        }
    }
}

/// What registers are compared by: the version, then dead over alive, then the stamp, then the node.
pub type Rank = (u32, bool, u64, NodeId);

impl Register {
    /// That of a job with these extras; none for version 0.
    pub fn of(extras: &Extras) -> Option<Register> {
        decode(extras.get(Tag::REGISTER)?)
    }

    /// As it is kept among the extras of a job.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// What it is compared by.
    pub fn rank(&self) -> Rank {
        (self.version, self.dead.is_some(), self.stamp, self.node)
    }

    /// How far the node that moved the job had come with making and moving jobs.
    pub fn made(&self) -> Stamp {
        Stamp {
            start: self.start,
            created: self.stamp,
        }
    }
}

/// A register on its way, with all that goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The register itself.
    pub register: Register,
    /// The queue that the job is in.
    pub queue: Vec<u8>,
    /// Milliseconds since the life of the job began.
    pub age_ms: u64,
    /// Seconds that it lives.
    pub ttl: u32,
    /// Times it was given back by NACK.
    pub nacks: u32,
    /// Times it was queued again for lack of an ack.
    pub additional_deliveries: u32,
    /// Times it was handed out, as far as they are counted.
    pub deliveries: u16,
}

impl Moved {
    /// A register, and where it says that the job is. The rest is zero.
    pub fn new(register: Register, queue: &QueueName) -> Self {
        Moved {
            register,
            queue: queue.as_bytes().to_vec(),
            age_ms: 0,
            ttl: 0,
            nacks: 0,
            additional_deliveries: 0,
            deliveries: 0,
        }
    }

    /// That of a message with these extras; none when it speaks of version 0.
    pub fn of(extras: &Extras) -> Option<Moved> {
        decode(extras.get(Tag::MOVED)?)
    }

    /// As a message carries it.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("a vector takes any value")
}

/// A later version may have more behind what this one knows.
fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    postcard::take_from_bytes(bytes)
        .ok()
        .map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register() -> Register {
        Register {
            version: 1,
            dead: None,
            stamp: 5,
            node: NodeId::from_bytes([1; 20]),
            start: 2,
            created: 3,
            entered: 4,
            entered_by: (NodeId::from_bytes([1; 20]).maker(), 2),
            priority: 0,
            is_keyless: false,
        }
    }

    fn dead() -> DeadLetter {
        DeadLetter {
            from: b"q".to_vec(),
            reason: DeathReason::Nack,
            text: b"no".to_vec(),
            deliveries: 3,
            at_ms: 7,
            ttl: 60,
        }
    }

    #[test]
    fn the_version_counts_first_then_death_then_the_stamp_then_the_node() {
        let low = register();
        let mut next = register();
        next.version = 2;
        let mut buried = register();
        buried.dead = Some(dead());
        let mut later = register();
        (later.stamp, later.node) = (6, NodeId::from_bytes([0; 20]));
        let mut other = register();
        other.node = NodeId::from_bytes([2; 20]);
        let ranks = [&low, &other, &later, &buried, &next].map(Register::rank);
        assert!(ranks.is_sorted());
        assert!(None < Some(low.rank()), "any is above version 0");
    }

    #[test]
    fn what_travels_comes_back_also_with_more_behind_it() {
        let mut moved = Moved::new(register(), &QueueName::new(b"q.dead"));
        moved.register.dead = Some(dead());
        (moved.age_ms, moved.deliveries) = (9, 8);
        let mut bytes = moved.encode();
        bytes.extend_from_slice(b"later");
        let extras = Extras::new([(Tag::MOVED, &bytes[..])]);
        assert_eq!(Moved::of(&extras), Some(moved.clone()));
        assert_eq!(Register::of(&extras), None);
        let bytes = moved.register.encode();
        let extras = Extras::new([(Tag::REGISTER, &bytes[..])]);
        assert_eq!(Register::of(&extras), Some(moved.register));
    }
}
