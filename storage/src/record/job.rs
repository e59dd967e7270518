//! The records of a job and of its ack, as postcard writes them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;
use shoalmq_core::extras::Extras;
use shoalmq_core::id::{NodeId, QueueName};
use shoalmq_core::job::Body;
use shoalmq_core::record::{AckRecord, CountRecord, JobRecord, MoveRecord, Record};
use shoalmq_core::time::Time;

use super::{Invalid, job_id, known};

/// The fields of a job.
#[derive(Serialize, Deserialize)]
pub(super) struct AddedParts<'a> {
    #[serde(borrow)]
    id: &'a Bytes,
    #[serde(borrow)]
    queue: &'a Bytes,
    #[serde(borrow)]
    body: &'a Bytes,
    created: u64,
    added: Time,
    ttl: u32,
    delay: u32,
    retry: u32,
    replicate: u16,
    nacks: u32,
    additional_deliveries: u32,
    holders: Cow<'a, [NodeId]>,
    extras: Extras,
}

/// The fields of an ack.
#[derive(Serialize, Deserialize)]
pub(super) struct AckedParts<'a> {
    #[serde(borrow)]
    id: &'a Bytes,
    #[serde(borrow)]
    queue: Option<&'a Bytes>,
    expires: Time,
    unheard: Cow<'a, [NodeId]>,
    withdrawn: bool,
    extras: Extras,
}

impl<'a> AddedParts<'a> {
    pub(super) fn of(job: &'a JobRecord) -> Self {
        AddedParts {
            id: Bytes::new(job.id.as_bytes()),
            queue: Bytes::new(job.queue.as_bytes()),
            body: Bytes::new(job.body.as_bytes()),
            created: job.created,
            added: job.added,
            ttl: job.ttl,
            delay: job.delay,
            retry: job.retry,
            replicate: job.replicate,
            nacks: job.nacks,
            additional_deliveries: job.additional_deliveries,
            holders: Cow::Borrowed(&job.holders),
            extras: job.extras.clone(),
        }
    }

    pub(super) fn into_record(self) -> Result<Record, Invalid> {
        Ok(Record::Added(Box::new(JobRecord {
            id: job_id(self.id)?,
            queue: QueueName::new(self.queue),
            body: Body::new(self.body),
            created: self.created,
            added: self.added,
            ttl: self.ttl,
            delay: self.delay,
            retry: self.retry,
            replicate: self.replicate,
            nacks: self.nacks,
            additional_deliveries: self.additional_deliveries,
            holders: self.holders.into_owned().into(),
            extras: known(self.extras)?,
        })))
    }
}

impl<'a> AckedParts<'a> {
    pub(super) fn of(ack: &'a AckRecord) -> Self {
        AckedParts {
            id: Bytes::new(ack.id.as_bytes()),
            queue: ack.queue.as_ref().map(|queue| Bytes::new(queue.as_bytes())),
            expires: ack.expires,
            unheard: Cow::Borrowed(&ack.unheard),
            withdrawn: ack.withdrawn,
            extras: ack.extras.clone(),
        }
    }

    pub(super) fn into_record(self) -> Result<Record, Invalid> {
        Ok(Record::Acked(Box::new(AckRecord {
            id: job_id(self.id)?,
            queue: self.queue.map(|name| QueueName::new(name)),
            expires: self.expires,
            unheard: self.unheard.into_owned().into(),
            withdrawn: self.withdrawn,
            extras: known(self.extras)?,
        })))
    }
}

/// The fields of a job that was moved.
#[derive(Serialize, Deserialize)]
pub(super) struct MovedParts<'a> {
    #[serde(borrow)]
    id: &'a Bytes,
    #[serde(borrow)]
    queue: &'a Bytes,
    added: Time,
    ttl: u32,
    nacks: u32,
    additional_deliveries: u32,
    extras: Extras,
}

/// The fields of what is counted of a job.
#[derive(Serialize, Deserialize)]
pub(super) struct CountedParts<'a> {
    #[serde(borrow)]
    id: &'a Bytes,
    nacks: u32,
    additional_deliveries: u32,
    turn: bool,
    extras: Extras,
}

impl<'a> MovedParts<'a> {
    pub(super) fn of(moved: &'a MoveRecord) -> Self {
        MovedParts {
            id: Bytes::new(moved.id.as_bytes()),
            queue: Bytes::new(moved.queue.as_bytes()),
            added: moved.added,
            ttl: moved.ttl,
            nacks: moved.nacks,
            additional_deliveries: moved.additional_deliveries,
            extras: moved.extras.clone(),
        }
    }

    pub(super) fn into_record(self) -> Result<Record, Invalid> {
        Ok(Record::Moved(Box::new(MoveRecord {
            id: job_id(self.id)?,
            queue: QueueName::new(self.queue),
            added: self.added,
            ttl: self.ttl,
            nacks: self.nacks,
            additional_deliveries: self.additional_deliveries,
            extras: known(self.extras)?,
        })))
    }
}

impl<'a> CountedParts<'a> {
    pub(super) fn of(counted: &'a CountRecord) -> Self {
        CountedParts {
            id: Bytes::new(counted.id.as_bytes()),
            nacks: counted.nacks,
            additional_deliveries: counted.additional_deliveries,
            turn: counted.turn,
            extras: counted.extras.clone(),
        }
    }

    pub(super) fn into_record(self) -> Result<Record, Invalid> {
        Ok(Record::Counted(Box::new(CountRecord {
            id: job_id(self.id)?,
            nacks: self.nacks,
            additional_deliveries: self.additional_deliveries,
            turn: self.turn,
            extras: known(self.extras)?,
        })))
    }
}
