//! What holds of jobs that were moved.

use crate::job::{Ending, JobState, Place};
use crate::node::Node;
use crate::register::Register;

/// A job knows whether it has a register, and only one with rules waits or outlives its ttl.
pub(crate) fn check(node: &Node) {
    for (key, job) in node.jobs.iter().filter(|(_, job)| !job.is_tombstone()) {
        let id = job.id;
        let is_over = job.state() == JobState::Acked;
        let has = Register::of(&node.jobs.extras(key)).is_some();
        assert!(
            is_over || has == job.is_moved(),
            "{id}: a moved job has its register"
        );
        let waits = job.place() == Place::Waiting;
        assert!(
            !waits || job.state() == JobState::Active,
            "{id}: a job that waits is out of its queue"
        );
        assert!(
            job.ending != Ending::Outlived || job.state() != JobState::Queued,
            "{id}: a job whose ttl is over is buried where it is queued"
        );
    }
    assert!(node.rehoused.is_empty(), "all moved jobs are served");
}
