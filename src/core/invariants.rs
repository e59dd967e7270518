//! What holds between any two events. Checked after each one in tests and in simulation.

use crate::agenda::Timer;
use crate::id::Guarantee;
use crate::job::{Job, JobState, Place};
use crate::jobs::JobKey;
use crate::node::Node;
use crate::queue::QueueKey;
use crate::tally::{Depths, Share};
use crate::time::Time;

/// Walks over everything that the node holds.
///
/// # Panics
/// When something does not hold.
pub fn check(node: &Node) {
    let (mut bytes, mut spilled) = (0, (0, 0));
    let mut depths = vec![Depths::default(); node.queues.end() as usize];
    let mut of_queue = vec![0_u64; node.queues.end() as usize];
    for (key, job) in node.jobs.iter() {
        if let Some(at) = job.body.spilled_to() {
            spilled = (spilled.0 + 1, spilled.1 + job.body.len());
            let place = (job.segment, job.offset);
            assert_eq!((at.segment, at.offset), place, "{}: its record", job.id);
            assert!(at < node.spilling.readable, "{} can be read", job.id);
        } else {
            bytes += job.body.memory();
        }
        if !job.is_tombstone() {
            of_queue[job.queue.0 as usize] += 1;
            assert_eq!(job.counted, job.share(), "{}: what it counts for", job.id);
            depths[job.queue.0 as usize].shift(Share::None, job.share(), job.body.len() as u64);
        }
        check_job(node, key, job);
    }
    assert_eq!(node.jobs_without_wakeup(), 0, "every job is on the agenda");
    let mut all = Depths::default();
    for depths in &depths {
        all.merge(depths);
    }
    assert_eq!(
        node.total_depths(),
        all,
        "the jobs of all queues are counted"
    );
    for (slot, depths) in (0..).zip(depths) {
        if let Some(queue) = node.queues.get(QueueKey(slot)) {
            assert_eq!(queue.depths, depths, "the jobs of a queue are counted");
        }
    }
    assert_eq!(bytes, node.body_bytes, "the bytes of bodies are counted");
    let counted = (node.spilling.jobs, node.spilling.bytes);
    assert_eq!(spilled, counted, "bodies that left memory are counted");
    check_counts(node);
    check_replications(node);
    check_collections(node);
    check_healing(node);
    node.federation.check(&node.agenda);
    node.hand_over.check(&node.agenda);
    node.gatherings.check(&node.agenda);
    let (mut open, mut queued) = (0, 0);
    for slot in 0..node.queues.end() {
        if node.queues.get(QueueKey(slot)).is_some() {
            open += usize::from(node.queues[QueueKey(slot)].open);
            queued += node.queues[QueueKey(slot)].len;
            check_queue(node, QueueKey(slot), of_queue[slot as usize]);
        }
    }
    assert_eq!(open, node.queues.open_count(), "open queues are counted");
    let states = node
        .jobs
        .iter()
        .filter(|(_, job)| job.state == JobState::Queued)
        .count() as u64;
    assert_eq!(queued, states, "a queued job is in exactly one queue");
    for (id, waiter) in node.waiters.iter() {
        assert!(!waiter.queues.is_empty(), "a waiter waits for something");
        for &key in &waiter.queues {
            assert!(
                node.queues[key].waiters.contains(&id),
                "a queue knows who waits for it"
            );
        }
        let timed =
            waiter.until == Time::NEVER || node.agenda.holds_timer(waiter.until, Timer::Waiter(id));
        assert!(timed, "a waiter with a timeout is on the agenda");
    }
}

/// What is counted beside the jobs is what the jobs say.
fn check_counts(node: &Node) {
    let logged = node.jobs.iter().map(|(_, job)| job);
    let logged = logged.filter(|job| job.segment >= node.segments.oldest());
    let (live, bytes) = logged.fold((0, 0), |(live, bytes), job| {
        (live + 1, bytes + node.recorded_bytes(job))
    });
    assert_eq!(node.segments.live(), live, "live records are counted");
    assert_eq!(node.segments.live_bytes(), bytes, "so are their bytes");
    let evictable = node.evictable.iter(&node.jobs).map(|key| {
        let job = &node.jobs[key];
        assert_eq!(job.place, Place::Evictable, "{} knows its list", job.id);
    });
    let placed = node
        .jobs
        .iter()
        .filter(|(_, job)| job.place == Place::Evictable);
    assert_eq!(
        evictable.count(),
        placed.count(),
        "delivered at-most-once jobs are in their list"
    );
}

/// An acked job is collected, and looked at before it expires at the latest.
fn check_collections(node: &Node) {
    let acked = |tombstone: bool| {
        let jobs = node.jobs.iter().map(|(_, job)| job);
        jobs.filter(move |job| job.state == JobState::Acked && job.is_tombstone() == tombstone)
            .count()
    };
    let (acked, tombstones) = (acked(false), acked(true));
    assert_eq!(acked, node.collecting_count(), "acked jobs are collected");
    assert_eq!(tombstones, node.tombstone_count(), "so are tombstones");
    let withdrawn = node.jobs.iter().filter(|(_, job)| job.withdrawn);
    let withdrawn = withdrawn.map(|(_, job)| assert_eq!(job.state, JobState::Acked, "{}", job.id));
    assert_eq!(
        withdrawn.count(),
        node.withdrawn_count(),
        "withdrawn jobs are counted"
    );
    for (list, len) in [
        (node.collections.list, acked),
        (node.tombstones.list, tombstones),
    ] {
        let keys = list.iter(&node.jobs).map(|key| {
            assert!(node.collections.get(key).is_some(), "it is collected");
            assert_eq!(node.jobs[key].place, Place::Acked);
        });
        assert_eq!(keys.count(), len, "acked jobs are in their list");
    }
    for key in node.collections.keys() {
        let job = &node.jobs[key];
        let id = job.id;
        assert_eq!(job.state, JobState::Acked, "{id}: only acked jobs are");
        assert!(job.body.len() == 0, "{id} needs no body");
        assert!(job.requeue != Time::NEVER, "{id}: its holders are told");
        let told = node.collections.get(key).is_some_and(|it| it.told > 0);
        let left_to_others = !told || node.collections.is_settling();
        let alone = job.is_tombstone() && node.peers.members().is_empty();
        let waits = left_to_others || alone || !node.unheard(key).is_empty();
        assert!(waits, "{id}: somebody has still to hear of its ack");
    }
}

/// A job waits for copies exactly while somebody looks after that.
fn check_replications(node: &Node) {
    assert!(
        node.replications.is_consistent(),
        "producers that wait are known by client, and answered when nothing is left to wait for"
    );
    let states = node.jobs.iter().map(|(_, job)| job.state);
    let waiting = states.filter(|&state| state == JobState::WaitReplicas);
    assert_eq!(waiting.count(), node.replications.iter().count());
    for (key, pending) in node.replications.iter() {
        let job = &node.jobs[key];
        assert_eq!(job.state, JobState::WaitReplicas, "{} waits", job.id);
        assert!(
            job.requeue != Time::NEVER,
            "{}: copies are asked for",
            job.id
        );
        let stray = pending.confirmed.without(job.holders);
        assert!(stray.is_empty(), "{}: who has a copy is a holder", job.id);
    }
}

/// Short jobs are counted, and whatever healing has to do next is on the agenda.
fn check_healing(node: &Node) {
    let short = node.jobs.iter().filter(|(_, job)| job.short);
    assert_eq!(
        short.count(),
        node.healing.short(),
        "short jobs are counted"
    );
    for key in node.healing.keys() {
        let job = &node.jobs[key];
        assert!(job.short, "{} is healed because it is short", job.id);
    }
    assert!(
        node.healing.is_consistent(),
        "every case is looked at again"
    );
    let idle = node.healing.sweep.is_none() && node.healing.open() == 0;
    let idle = idle && node.healing.next_pass.is_none();
    let timed = node
        .healing
        .timer
        .is_some_and(|when| node.agenda.holds_timer(when, Timer::Healing));
    assert!(idle || timed, "healing goes on");
    assert!(
        node.healing.short() == node.healing.open() || !idle,
        "short jobs are looked at again"
    );
}

fn check_job(node: &Node, key: JobKey, job: &Job) {
    let id = job.id;
    assert_eq!(node.jobs.find(&id), Some(key), "{id} is found by its id");
    assert!(
        !job.agenda.prev.is_none(),
        "{id}: a live job is on the agenda"
    );
    let lost = job.body.is_lost() && job.state == JobState::Queued;
    assert!(!lost, "{id}: what cannot be delivered is not queued");
    let restored = job.place == Place::Restored;
    if restored {
        assert!(
            job.state == JobState::Active && !job.ours,
            "{id}: a restored job waits for its retry"
        );
        let until = node.queues[job.queue].restored_until;
        assert!(job.requeue <= until, "{id}: its queue knows until when");
    }
    let in_queue = matches!(job.place, Place::List | Place::Tree);
    assert_eq!(
        in_queue,
        job.state == JobState::Queued,
        "{id} is in its queue exactly while queued"
    );
    if job.state == JobState::Active && job.guarantee() == Guarantee::AtLeastOnce {
        assert!(
            job.requeue != Time::NEVER,
            "{id}: an active job with a retry has a next requeue"
        );
    }
    assert!(
        job.place != Place::Unsettled
            || job.state == JobState::Active && job.guarantee() == Guarantee::AtLeastOnce,
        "{id}: only a job that waits for its holders' answer is unsettled"
    );
    let delivered = job.guarantee() == Guarantee::AtMostOnce && job.place == Place::Evictable;
    assert!(
        !delivered || job.requeue == Time::NEVER,
        "{id}: nothing queues a delivered at-most-once job"
    );
}

fn check_queue(node: &Node, key: QueueKey, jobs: u64) {
    let queue = &node.queues[key];
    let name = &queue.name;
    assert_eq!(
        queue.jobs, jobs,
        "{name:?}: jobs that carry the name are counted"
    );
    assert!(
        queue.open || queue.is_done(),
        "{name:?}: only an open queue holds anything"
    );
    assert!(
        queue.open || queue.jobs > 0,
        "{name:?}: a queue that nothing needs is dropped"
    );
    let order: Vec<JobKey> = queue.oldest(&node.jobs).collect();
    assert_eq!(
        order.len() as u64,
        queue.len,
        "{name:?}: ready jobs are counted"
    );
    let created = |&key: &JobKey| node.jobs[key].created;
    assert!(
        order.is_sorted_by_key(created),
        "{name:?}: jobs stand in order of creation"
    );
    let mut newest: Vec<JobKey> = queue.newest(&node.jobs).collect();
    newest.reverse();
    assert_eq!(order, newest, "{name:?}: both directions agree");
    let served = queue.waiters.is_empty() || queue.len == 0 || queue.pause.output;
    assert!(served, "{name:?}: nobody waits while there is a job");
    if let Some(when) = queue.idle_check {
        assert!(
            node.agenda.holds_timer(when, Timer::Queue(key)),
            "{name:?}: idling is on the agenda"
        );
    }
    assert!(
        !queue.open || !queue.is_idle() || queue.idle_check.is_some(),
        "{name:?}: an idle queue is watched"
    );
}
