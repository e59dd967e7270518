//! DEDUP: the keys of jobs, and what nodes tell each other about them.
//!
//! A key belongs to the queue that ADDJOB named. It is one of the extras of its job, so it goes wherever the job goes; there
//! is no other table of keys.

use serde::{Deserialize, Serialize};

use crate::extras::{Extras, Tag};
use crate::id::JobId;

/// The most bytes of a key.
pub const KEY_MAX: usize = 256;

/// DEDUP of ADDJOB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dedup<'a> {
    /// The key: 1 to [`KEY_MAX`] bytes.
    pub key: &'a [u8],
    /// WINDOW: for how many seconds after it was added a job counts, whatever became of it.
    pub window: u32,
}

/// The key of a job, as its extras have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyed<'a> {
    /// Until when it counts, whatever became of the job: the number of milliseconds, of the node's own timeline in a record,
    /// from now on in a copy.
    pub until: u64,
    /// When the job was added, by the creation clock of the node that did.
    pub created: u64,
    /// The node that added it has answered its producer.
    pub is_accepted: bool,
    /// The queue that ADDJOB named.
    #[serde(borrow)]
    pub queue: &'a [u8],
    /// The key itself.
    #[serde(borrow)]
    pub key: &'a [u8],
}

impl<'a> Keyed<'a> {
    /// That of a job with these extras.
    pub fn of(extras: &'a Extras) -> Option<Self> {
        let bytes = extras.get(Tag::DEDUP_KEY)?;
        // A later version may have more behind what this one knows.
        postcard::take_from_bytes(bytes)
            .ok()
            .map(|(keyed, _)| keyed)
    }

    /// These extras with this key.
    #[must_use]
    pub fn put(&self, extras: &Extras) -> Extras {
        let bytes = postcard::to_stdvec(self).expect("a vector takes any value");
        extras.with(Tag::DEDUP_KEY, Some(&bytes))
    }

    /// Which key it is.
    pub(crate) fn name(&self) -> KeyName {
        KeyName::new(self.queue, self.key)
    }
}

/// A key, and the queue that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyName {
    /// The queue that ADDJOB named.
    pub queue: Box<[u8]>,
    /// The key itself.
    pub key: Box<[u8]>,
}

impl KeyName {
    /// A key of this queue.
    pub fn new(queue: &[u8], key: &[u8]) -> Self {
        KeyName {
            queue: queue.into(),
            key: key.into(),
        }
    }
}

/// A job with a key, as one node knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyedJob {
    /// Its id.
    pub id: JobId,
    /// When it was added, by the creation clock of the node that did: of two jobs the older one holds.
    pub created: u64,
    /// How it stands.
    pub stand: KeyStand,
}

impl KeyedJob {
    /// What jobs with one key are compared by: the lowest is the oldest.
    pub(crate) fn age(&self) -> (u64, JobId) {
        (self.created, self.id)
    }
}

/// How a job with a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyStand {
    /// The node that added it has not said that it answered its producer.
    Pending,
    /// It was added, and is not over.
    Live,
    /// It is a dead letter. Its key counts for that many more milliseconds.
    Dead(u64),
    /// It is over. Its key counts for that many more milliseconds.
    Over(u64),
    /// It was added and went to other nodes. The sender does not have it: it counts if a node that has it says so, too.
    Given,
}

impl KeyStand {
    /// Whether it does not count any more, whatever else is known of it.
    pub(crate) fn is_free(self) -> bool {
        matches!(self, KeyStand::Dead(0) | KeyStand::Over(0))
    }
}

/// What a node tells a peer about keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyNews {
    /// May I add a job with this key? Said again while the add goes on: a claim that is not said again for a while runs out.
    Claim(u64, KeyName),
    /// The claim of this number is the first of its key: its node may go on.
    Granted(u64),
    /// The add with this number is over.
    Release(u64, KeyName),
    /// Which jobs with this key are here, and are these over? Answered by [`KeyNews::Found`].
    Look(u64, KeyName, Vec<JobId>),
    /// The answer to the question of this number: the jobs, and which of those that were named are over or have no key any more.
    Found(u64, Vec<KeyedJob>, Vec<JobId>),
    /// These jobs were added, and are not over as far as the sender knows.
    Added(Vec<(KeyName, KeyedJob)>),
}
