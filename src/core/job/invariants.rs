//! What holds of each job by itself.

use crate::id::Guarantee;
use crate::job::{Job, JobKey};
use crate::job::{JobState, Place};
use crate::node::Node;
use crate::time::Time;

/// Every job is found, is looked at again, and stands where its state says.
pub(crate) fn check(node: &Node) {
    for (key, job) in node.jobs.iter() {
        check_job(node, key, job);
    }
    assert_eq!(node.jobs_without_wakeup(), 0, "every job is on the agenda");
    node.jobs.check_extras();
}

fn check_job(node: &Node, key: JobKey, job: &Job) {
    let id = job.id;
    assert_eq!(node.jobs.find(&id), Some(key), "{id} is found by its id");
    assert!(
        !job.agenda.prev.is_none(),
        "{id}: a live job is on the agenda"
    );
    let lost = job.body.is_lost() && job.state() == JobState::Queued;
    assert!(!lost, "{id}: what cannot be delivered is not queued");
    let restored = job.place() == Place::Restored;
    if restored {
        assert!(
            job.state() == JobState::Active && !job.is_ours(),
            "{id}: a restored job waits for its retry"
        );
        let until = node.queues[job.queue].restored_until;
        assert!(job.due <= until, "{id}: its queue knows until when");
    }
    let in_queue = matches!(job.place(), Place::List | Place::Tree);
    assert_eq!(
        in_queue,
        job.state() == JobState::Queued,
        "{id} is in its queue exactly while queued"
    );
    if job.state() == JobState::Active && job.guarantee() == Guarantee::AtLeastOnce {
        assert!(
            job.due != Time::NEVER,
            "{id}: an active job with a retry has a next requeue"
        );
    }
    assert!(
        job.place() != Place::Unsettled
            || job.state() == JobState::Active && job.guarantee() == Guarantee::AtLeastOnce,
        "{id}: only a job that waits for its holders' answer is unsettled"
    );
    let delivered = job.guarantee() == Guarantee::AtMostOnce && job.place() == Place::Evictable;
    assert!(
        !delivered || job.due == Time::NEVER,
        "{id}: nothing queues a delivered at-most-once job"
    );
}
