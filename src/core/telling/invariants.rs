//! What holds of the figures that are told.

use crate::node::Node;
use crate::queue::QueueKey;
use crate::telling::{Depths, Share};

/// The depths of queues are what their jobs say, and a question ends.
pub(crate) fn check(node: &Node) {
    let mut depths = vec![Depths::default(); node.queues.end() as usize];
    for (_, job) in node.jobs.iter() {
        if !job.is_tombstone() {
            assert_eq!(job.counted, job.share(), "{}: what it counts for", job.id);
            depths[job.queue.0 as usize].shift(Share::None, job.share(), job.body.len() as u64);
        }
    }
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
    node.gatherings.check(&node.agenda);
}
