//! What two nodes say to one question, as one answer: jobs that were peeked at, and the figures of QSTAT.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::command::{Delivery, QueueView, QueueWaits};
use crate::id::JobId;

/// The oldest of both, or the newest when `count` is negative. A job that two nodes have queued is one.
pub(super) fn merge_peeked(jobs: &mut Vec<Delivery>, more: Vec<Delivery>, count: i64) {
    let mut known: BTreeSet<JobId> = jobs.iter().map(|job| job.id).collect();
    jobs.extend(more.into_iter().filter(|job| known.insert(job.id)));
    jobs.sort_by_key(|job| (Reverse(job.priority), job.entered, job.id));
    if count < 0 {
        jobs.reverse();
    }
    jobs.truncate(usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX));
}

fn merge_waits(one: Option<QueueWaits>, other: Option<QueueWaits>) -> Option<QueueWaits> {
    let (mut sum, other) = (one?, other?);
    sum.open |= other.open;
    sum.depths.merge(&other.depths);
    sum.restored_within = sum.restored_within.max(other.restored_within);
    Some(sum)
}

pub(super) fn merge_stat(view: &mut QueueView, mut other: QueueView) {
    let full = merge_waits(view.full, other.full);
    // What a node tells of a queue that is not open there means nothing but its jobs.
    if view.full.is_some_and(|full| !full.open) {
        std::mem::swap(view, &mut other);
    }
    view.full = full;
    if other.full.is_some_and(|full| !full.open) {
        return;
    }
    view.len += other.len;
    view.age = view.age.max(other.age);
    view.idle = view.idle.min(other.idle);
    view.blocked += other.blocked;
    view.import_from.extend(other.import_from);
    view.import_from.sort_unstable();
    view.import_from.dedup();
    view.import_rate += other.import_rate;
    view.jobs_in += other.jobs_in;
    view.jobs_out += other.jobs_out;
    view.pause = view.pause.and(other.pause);
}
