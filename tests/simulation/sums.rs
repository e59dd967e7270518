//! What the nodes count of jobs: in a run without faults each job that was added has ended, and is counted as one that ended,
//! once, or it counts as ready, handed out or delayed, once.

use shoalmq_core::telling::{Depths, Tally};

use crate::checker::{Answer, Violation};
use crate::cluster::Cluster;

impl Cluster {
    /// Adds up what all nodes count, which have run since the start.
    pub(crate) fn check_sums(&self) -> Result<(), Violation> {
        if !self.plan.faults.is_empty() {
            return Ok(());
        }
        let (mut all, mut live) = (Tally::default(), Depths::default());
        for process in self.hosts.iter().filter_map(|host| host.process.as_ref()) {
            let node = process.shell.node();
            let tally = node.total_tally();
            all.added += tally.added;
            all.acked += tally.acked;
            all.expired += tally.expired;
            all.deleted += tally.deleted;
            all.duplicates += tally.duplicates;
            all.dropped += tally.dropped;
            live.merge(&node.total_depths());
        }
        let live = live.ready + live.active + live.delayed + live.restored;
        let ended = all.acked + all.expired + all.deleted + all.duplicates + all.dropped;
        // While a job that was given back goes from node to node, two may take it for theirs, or none: its news take different
        // ways. One whose producer got no answer may be handed out all the same.
        let unsure = self.checker.jobs.iter();
        let unsure = unsure.filter(|job| job.deliveries > 1 || job.answer != Answer::Added);
        if all.added.abs_diff(ended + live) <= unsure.count() as u64 {
            return Ok(());
        }
        let what = format!(
            "the nodes count {} jobs as added, and {live} as live with acked {}, expired {}, deleted {}, duplicates {}, dropped {}",
            all.added, all.acked, all.expired, all.deleted, all.duplicates, all.dropped
        );
        Err(Violation { what, job: None })
    }
}
