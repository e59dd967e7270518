//! The arguments of WAITJOB.

use std::time::Duration;

use crate::id::{IdText, JobId};

/// The most jobs that one WAITJOB names.
pub const WAITJOB_IDS: usize = 1000;

/// The most bytes of PROGRESS.
pub const PROGRESS_MAX: usize = 1 << 10;

/// The arguments of WAITJOB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitJob {
    /// How long the client waits; `None` is for ever.
    pub timeout: Option<Duration>,
    /// Which jobs, as the client named them. `None` is an id that no node made.
    pub ids: Vec<(IdText, Option<JobId>)>,
}
