//! An ADDJOB with a key, while it is under way.

use std::time::Duration;

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
    /// None once the job is being added.
    pub(super) held: Option<Held>,
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
    body: Vec<u8>,
    replicate: Option<u16>,
    delay: Option<u32>,
    retry: Option<u32>,
    ttl: Option<u32>,
    max_len: Option<u64>,
    replication: Replication,
    window: u32,
    pub(super) wants_receipt: bool,
    extras: Extras,
}

impl KeyedAdd {
    /// Bytes of memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        let held = self.held.as_ref();
        let held = held.map_or(0, |held| held.body.len() + held.extras.len());
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

    /// The ADDJOB again, with what is left of its time.
    pub(super) fn again<'a>(&'a self, name: &'a KeyName, timeout: Option<Duration>) -> AddJob<'a> {
        AddJob {
            queue: &name.queue,
            body: &self.body,
            timeout,
            replicate: self.replicate,
            delay: self.delay,
            retry: self.retry,
            ttl: self.ttl,
            max_len: self.max_len,
            replication: self.replication,
            dedup: Some(Box::new(Dedup {
                key: &name.key,
                window: self.window,
            })),
            wants_receipt: self.wants_receipt,
            extras: self.extras.clone(),
        }
    }
}

/// What a member says: the question that it answers, the jobs with the key, and which of the named ones are over.
pub(super) type Said<'a> = (u64, &'a [KeyedJob], &'a [JobId]);

/// The numbers of questions: an add, or a doubt, asks twice.
pub(super) fn question(number: u64, named: Option<&Vec<JobId>>) -> u64 {
    number << 1 | u64::from(named.is_some())
}

impl Look {
    /// A member answers a question of the add, or doubt, with this number. Returns whether it is this one that it answers.
    pub(super) fn hear(
        &mut self,
        number: u64,
        from: PeerKey,
        (asked, jobs, over): Said<'_>,
    ) -> bool {
        let is_asked = question(number, self.named.as_ref()) == asked;
        let counts = is_asked && self.waits_for.contains(from);
        if counts {
            self.waits_for.remove(from);
            self.found.add(jobs, over);
        }
        counts
    }
}
