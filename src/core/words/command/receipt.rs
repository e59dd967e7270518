//! RECEIPT of ADDJOB: who has a job at the moment when its producer is answered.

use crate::id::JobId;

/// What a producer is told beside the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The job.
    pub id: JobId,
    /// DEDUP found it. Then nothing is said of who has it: the rest is 0.
    pub is_existing: bool,
    /// Nodes that confirmed that they have it, this one included if it does.
    pub copies: u16,
    /// Those of them that had it on disk when they said so.
    pub on_disk: u16,
    /// Different zones among them. Nodes without a zone share one.
    pub zones: u16,
}

impl Receipt {
    /// DEDUP found this job.
    pub fn existing(id: JobId) -> Self {
        Receipt {
            id,
            is_existing: true,
            copies: 0,
            on_disk: 0,
            zones: 0,
        }
    }
}
