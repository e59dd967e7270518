//! What holds of queues and of those who wait for them.

use std::cmp::Reverse;

use crate::agenda::Timer;
use crate::job::{JobKey, JobState};
use crate::node::Node;
use crate::queue::QueueKey;
use crate::time::Time;

/// A queued job is in exactly one queue, and a waiter waits for something.
pub(crate) fn check(node: &Node) {
    let mut named = vec![0_u64; node.queues.end() as usize];
    let mut states = 0;
    for (_, job) in node.jobs.iter() {
        states += u64::from(job.state() == JobState::Queued);
        if !job.is_tombstone() {
            named[job.queue.0 as usize] += 1;
        }
    }
    let (mut open, mut queued) = (0, 0);
    for slot in 0..node.queues.end() {
        if node.queues.get(QueueKey(slot)).is_some() {
            open += usize::from(node.queues[QueueKey(slot)].open);
            queued += node.queues[QueueKey(slot)].len;
            check_queue(node, QueueKey(slot), named[slot as usize]);
        }
    }
    assert_eq!(open, node.queues.open_count(), "open queues are counted");
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
    let entered = |&key: &JobKey| (Reverse(node.jobs[key].priority), node.jobs[key].entered);
    assert!(
        order.is_sorted_by_key(entered),
        "{name:?}: jobs stand in order of priority and entry"
    );
    let mut newest: Vec<JobKey> = queue.newest(&node.jobs).collect();
    newest.reverse();
    assert_eq!(order, newest, "{name:?}: both directions agree");
    // Behind a job that is to go, as the queue was purged, the others are handed out a moment later.
    let is_to_go = order.first().is_some_and(|&key| node.is_marked(key));
    let is_blocked = queue.pause.output || is_to_go || node.purges.serves(name);
    let served = queue.waiters.is_empty() || queue.len == 0 || is_blocked;
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
