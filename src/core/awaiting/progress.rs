//! PROGRESS of WORKING: what a worker says about its job. It is kept in memory, at the node that was told, until the job ends.

use std::collections::BTreeMap;

use crate::id::JobId;
use crate::job::Body;
use crate::telling::sizes;

/// What workers said about jobs that are held here.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    by_job: BTreeMap<JobId, Body>,
    bytes: usize,
}

impl Progress {
    /// What was said last of a job.
    pub(crate) fn get(&self, id: &JobId) -> Option<Vec<u8>> {
        self.by_job.get(id).map(|said| said.as_bytes().to_vec())
    }

    /// This is said now.
    pub(crate) fn set(&mut self, id: JobId, said: &[u8]) {
        self.remove(&id);
        let said = Body::new(said);
        self.bytes += said.memory() + sizes::PROGRESS_BYTES;
        self.by_job.insert(id, said);
    }

    /// Whether no worker said anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_job.is_empty()
    }

    /// The job is gone from this node.
    pub(crate) fn remove(&mut self, id: &JobId) {
        if let Some(said) = self.by_job.remove(id) {
            self.bytes -= said.memory() + sizes::PROGRESS_BYTES;
        }
    }

    /// Bytes of memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
