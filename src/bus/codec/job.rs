//! Jobs on their way to another node, and lists of ids.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};
use shoalmq_core::extras::Extras;
use shoalmq_core::id::{JobId, NodeId, QueueName};
use shoalmq_core::job::Body;
use shoalmq_core::message::Copy;

use super::{Invalid, bad, job_id};

/// A job on its way.
#[derive(Serialize, Deserialize)]
pub(super) struct JobCopy<'a> {
    #[serde(borrow)]
    id: &'a Bytes,
    #[serde(borrow)]
    queue: &'a Bytes,
    #[serde(borrow)]
    body: &'a Bytes,
    created: u64,
    age_ms: u64,
    ttl: u32,
    delay: u32,
    retry: u32,
    replicate: u16,
    nacks: u32,
    additional_deliveries: u32,
    moves: u8,
    #[serde(borrow)]
    holders: Nodes<'a>,
    extras: Extras,
}

impl<'a> JobCopy<'a> {
    pub(super) fn of(copy: &'a Copy) -> Self {
        JobCopy {
            id: Bytes::new(copy.id.as_bytes()),
            queue: Bytes::new(copy.queue.as_bytes()),
            body: Bytes::new(copy.body.as_bytes()),
            created: copy.created,
            age_ms: copy.age_ms,
            ttl: copy.ttl,
            delay: copy.delay,
            retry: copy.retry,
            replicate: copy.replicate,
            nacks: copy.nacks,
            additional_deliveries: copy.additional_deliveries,
            moves: copy.moves,
            holders: Nodes::of(&copy.holders),
            extras: copy.extras.clone(),
        }
    }

    pub(super) fn into_copy(self) -> Result<Copy, Invalid> {
        Ok(Copy {
            id: job_id(self.id)?,
            queue: QueueName::new(self.queue),
            body: Body::new(self.body),
            created: self.created,
            age_ms: self.age_ms,
            ttl: self.ttl,
            delay: self.delay,
            retry: self.retry,
            replicate: self.replicate,
            nacks: self.nacks,
            additional_deliveries: self.additional_deliveries,
            moves: self.moves,
            holders: self.holders.holders()?,
            extras: self.extras,
        })
    }
}

/// Node ids, 20 bytes each, one behind the other.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Nodes<'a>(#[serde(borrow)] Cow<'a, Bytes>);

impl Nodes<'_> {
    pub(super) fn of(nodes: &[NodeId]) -> Self {
        let bytes = nodes.iter().flat_map(NodeId::as_bytes);
        Nodes(Cow::Owned(ByteBuf::from(
            bytes.copied().collect::<Vec<u8>>(),
        )))
    }

    pub(super) fn holders<L: FromIterator<NodeId>>(&self) -> Result<L, Invalid> {
        let (ids, rest) = self.0.as_chunks();
        if rest.is_empty() {
            Ok(ids.iter().copied().map(NodeId::from_bytes).collect())
        } else {
            Err(bad())
        }
    }
}

/// Job ids, 24 bytes each, one behind the other.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Ids<'a>(#[serde(borrow)] Cow<'a, Bytes>);

impl Ids<'_> {
    pub(super) fn of(ids: &[JobId]) -> Self {
        let bytes = ids.iter().flat_map(JobId::as_bytes);
        Ids(Cow::Owned(ByteBuf::from(
            bytes.copied().collect::<Vec<u8>>(),
        )))
    }

    pub(super) fn ids(&self) -> Result<Vec<JobId>, Invalid> {
        let (ids, rest) = self.0.as_chunks();
        if rest.is_empty() {
            Ok(ids.iter().copied().map(JobId::from_bytes).collect())
        } else {
            Err(bad())
        }
    }
}

/// How many of these jobs make a frame: at least one.
pub(super) fn batch_length(jobs: &[Copy]) -> usize {
    let mut bytes = 0;
    let more = jobs.iter().take_while(|job| {
        let fits = bytes < super::BATCH_BYTES;
        bytes += job.body.as_bytes().len() + job.queue.as_bytes().len();
        fits
    });
    more.count()
}
