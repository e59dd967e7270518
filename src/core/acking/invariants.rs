//! What holds of acked jobs, tombstones, and jobs that may be evicted.

use crate::job::{Ending, JobState, Place};
use crate::node::Node;
use crate::time::Time;

/// An acked job is collected, and looked at before it expires at the latest.
pub(crate) fn check(node: &Node) {
    let acked = |tombstone: bool| {
        let jobs = node.jobs.iter().map(|(_, job)| job);
        jobs.filter(move |job| job.state() == JobState::Acked && job.is_tombstone() == tombstone)
            .count()
    };
    let (acked, tombstones) = (acked(false), acked(true));
    let collected = node.collecting_count() + node.kept_count();
    assert_eq!(acked, collected, "acked jobs are collected, or kept");
    assert_eq!(tombstones, node.tombstone_count(), "so are tombstones");
    let withdrawn = node.jobs.iter().filter(|(_, job)| job.is_withdrawn());
    let withdrawn =
        withdrawn.map(|(_, job)| assert_eq!(job.state(), JobState::Acked, "{}", job.id));
    assert_eq!(
        withdrawn.count(),
        node.withdrawn_count(),
        "withdrawn jobs are counted"
    );
    let kept = node.jobs.iter().filter(|(_, job)| {
        job.state() == JobState::Acked && !job.is_tombstone() && job.ending == Ending::Kept
    });
    let kept = kept.count();
    for (list, len) in [
        (node.collections.list, acked - kept),
        (node.collections.kept, kept),
        (node.tombstones.list, tombstones),
    ] {
        let keys = list.iter(&node.jobs).map(|key| {
            assert!(node.collections.get(key).is_some(), "it is collected");
            assert_eq!(node.jobs[key].place(), Place::Acked);
        });
        assert_eq!(keys.count(), len, "acked jobs are in their list");
    }
    for key in node.collections.keys() {
        let job = &node.jobs[key];
        let id = job.id;
        assert_eq!(job.state(), JobState::Acked, "{id}: only acked jobs are");
        assert!(job.body.len() == 0, "{id} needs no body");
        let rests = node.collections.get(key).is_some_and(|it| it.rests);
        let is_due = rests || job.due != Time::NEVER;
        assert!(is_due, "{id}: its holders are told");
        let told = node.collections.get(key).is_some_and(|it| it.told > 0);
        let left_to_others = !told || node.collections.is_settling();
        let alone = job.is_tombstone() && node.peers.members().is_empty();
        let waits = left_to_others || alone || !node.unheard(key).is_empty();
        assert!(waits, "{id}: somebody has still to hear of its ack");
    }
    check_evictable(node);
}

/// Delivered at-most-once jobs may be evicted, and only these.
fn check_evictable(node: &Node) {
    let evictable = node.evictable.iter(&node.jobs).map(|key| {
        let job = &node.jobs[key];
        assert_eq!(job.place(), Place::Evictable, "{} knows its list", job.id);
    });
    let placed = node
        .jobs
        .iter()
        .filter(|(_, job)| job.place() == Place::Evictable);
    assert_eq!(
        evictable.count(),
        placed.count(),
        "delivered at-most-once jobs are in their list"
    );
}
