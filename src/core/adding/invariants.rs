//! What holds of jobs that wait for copies.

use crate::job::JobState;
use crate::node::Node;
use crate::time::Time;

/// A job waits for copies exactly while somebody looks after that.
pub(crate) fn check(node: &Node) {
    assert!(
        node.replications.is_consistent(),
        "producers that wait are known by client, and answered when nothing is left to wait for"
    );
    let states = node.jobs.iter().map(|(_, job)| job.state());
    let waiting = states.filter(|&state| state == JobState::WaitReplicas);
    assert_eq!(waiting.count(), node.replications.iter().count());
    for (key, pending) in node.replications.iter() {
        let job = &node.jobs[key];
        assert_eq!(job.state(), JobState::WaitReplicas, "{} waits", job.id);
        assert!(job.due != Time::NEVER, "{}: copies are asked for", job.id);
        let stray = pending.confirmed.without(job.holders);
        assert!(stray.is_empty(), "{}: who has a copy is a holder", job.id);
    }
}
