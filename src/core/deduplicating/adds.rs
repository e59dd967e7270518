//! An ADDJOB with a key, while it is under way.

use crate::command::{AddJob, Replication};
use crate::dedup::{Dedup, KeyName, KeyedJob};
use crate::deduplicating::looking::Found;
use crate::extras::Extras;
use crate::id::{JobId, Ticket};
use crate::members::{NodeSet, PeerKey};
use crate::time::Time;

/// An ADDJOB with a key.
#[derive(Debug)]
pub(super) struct KeyedAdd {
    pub(super) ticket: Ticket,
    pub(super) name: KeyName,
    pub(super) add: Held,
    /// When its producer gives up.
    pub(super) deadline: Time,
    /// Where it claims its key; none: at this node.
    pub(super) arbiter: Option<PeerKey>,
    pub(super) stage: Stage,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Stage {
    /// It waits until it may go on.
    Claiming,
    /// It asks members for jobs with the key.
    Looking(Look),
    /// The job is being added.
    Adding,
}

/// A question to all members.
#[derive(Debug)]
pub(super) struct Look {
    /// Who has not answered.
    pub(super) waits_for: NodeSet,
    pub(super) found: Found,
    /// The jobs that were found, once it is asked whether these are over.
    pub(super) named: Option<Vec<JobId>>,
}

/// The arguments of an ADDJOB that outlive its event.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) body: Vec<u8>,
    pub(super) replicate: Option<u16>,
    pub(super) delay: Option<u32>,
    pub(super) retry: Option<u32>,
    pub(super) ttl: Option<u32>,
    pub(super) max_len: Option<u64>,
    pub(super) replication: Replication,
    pub(super) window: u32,
    pub(super) wants_receipt: bool,
    pub(super) extras: Extras,
}

impl KeyedAdd {
    /// Bytes of memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        let held = self.add.body.len() + self.add.extras.len();
        size_of::<KeyedAdd>() + held + self.name.queue.len() + self.name.key.len()
    }

    pub(super) fn is_adding(&self) -> bool {
        matches!(self.stage, Stage::Adding)
    }

    /// Whether its own claim is here.
    pub(super) fn claims_here(&self) -> bool {
        self.arbiter.is_none()
    }
}

impl Held {
    pub(super) fn of(add: &AddJob<'_>, dedup: &Dedup<'_>) -> Self {
        Held {
            body: add.body.to_vec(),
            replicate: add.replicate,
            delay: add.delay,
            retry: add.retry,
            ttl: add.ttl,
            max_len: add.max_len,
            replication: add.replication,
            window: dedup.window,
            wants_receipt: add.wants_receipt,
            extras: add.extras.clone(),
        }
    }
}

/// The numbers of questions: an add, or a doubt, asks twice.
pub(super) fn question(number: u64, named: Option<&Vec<JobId>>) -> u64 {
    number << 1 | u64::from(named.is_some())
}

impl Look {
    /// What a member says.
    pub(super) fn hear(&mut self, from: PeerKey, jobs: &[KeyedJob], over: &[JobId]) {
        self.waits_for.remove(from);
        self.found.add(jobs, over);
    }
}
