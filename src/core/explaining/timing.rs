//! What a node will do next with its copy of a job, and when: what the agenda has it for.

use crate::job::{Ending, JobKey, JobState, Place};
use crate::node::Node;
use crate::time::Time;

/// What comes next, and when; without a time it waits for somebody else.
pub(super) type Next = (&'static str, Option<Time>);

impl Node {
    /// What this node does next with a job by itself.
    pub(super) fn next_of(&self, key: JobKey) -> Next {
        let job = &self.jobs[key];
        match job.state() {
            JobState::WaitReplicas => {
                let pending = self.replications.get(key);
                let gives_up = pending.is_some_and(|pending| pending.deadline <= job.due);
                let next = if gives_up {
                    "withdrawal"
                } else {
                    "ask for copies"
                };
                (next, at(job.due))
            }
            JobState::Queued if self.is_marked(key) => ("purge", None),
            JobState::Queued => ("delivery", None),
            JobState::Active => self.next_of_active(key),
            JobState::Acked if job.due < job.expires() => ("tell the holders", at(job.due)),
            JobState::Acked => ("forget", at(job.expires())),
        }
    }

    fn next_of_active(&self, key: JobKey) -> Next {
        let job = &self.jobs[key];
        if let Some(over) = self.ends_first(key) {
            let next = if self.is_guarded(key) {
                "burial"
            } else {
                "expiry"
            };
            return (next, Some(over));
        }
        let next = match job.place() {
            _ if job.body.is_lost() => "ask for the body",
            Place::Unsettled | Place::BeforeUnsure => "ask the holders",
            Place::Restored => "retry",
            _ if !job.is_ours() => "ask the holders",
            Place::Waiting => "delivery after wait",
            Place::Before => "delivery after delay",
            Place::Nowhere | Place::List | Place::Tree | Place::Evictable | Place::Acked => "retry",
        };
        (next, at(job.due))
    }

    /// When the ttl of an active job is over, if that comes before everything else.
    pub(super) fn ends_first(&self, key: JobKey) -> Option<Time> {
        let job = &self.jobs[key];
        let over = job.expires();
        (over <= job.due && job.ending != Ending::Outlived).then_some(over)
    }
}

fn at(time: Time) -> Option<Time> {
    (time != Time::NEVER).then_some(time)
}
