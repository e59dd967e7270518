//! What NOREPL promises: once a node has said that a job is not added, nobody delivers it who could have heard of that.
//!
//! Left out is what the documentation leaves out: a holder that the node which withdrew the add cannot tell, copies that are
//! kept past the ttl, and acks that were evicted. That a crash takes a withdrawal away, as it may without
//! `appendfsync always`, is in `copies`.

use crate::checker::SKEW;
use crate::client::Number;
use crate::cluster::Cluster;
use crate::schedule::{HostIndex, Micros, SECOND};

/// How long a node takes at most to tell the holders of what it withdrew, once it has links with all of them.
const TOLD_WITHIN: Micros = 3 * SECOND;

impl Cluster {
    /// Looks which nodes can tell each other anything.
    pub(crate) fn note_calm(&mut self) {
        for one in 0..self.hosts.len() {
            for other in one + 1..self.hosts.len() {
                if self.are_linked(one, other) {
                    self.calm_since.entry((one, other)).or_insert(self.now);
                } else {
                    self.calm_since.remove(&(one, other));
                }
            }
        }
    }

    pub(crate) fn are_linked(&self, one: HostIndex, other: HostIndex) -> bool {
        let runs = |host: HostIndex| self.hosts[host].serves() && !self.hosts[host].is_paused();
        let linked = |from, to| self.network.link(from, to).is_some();
        runs(one)
            && runs(other)
            && linked(one, other)
            && linked(other, one)
            && self.network.is_open_both_ways(one, other)
    }

    /// A node handed out a job at `given`.
    pub(crate) fn check_withdrawn(&mut self, host: HostIndex, number: Number, given: Micros) {
        let job = &self.checker.jobs[number];
        let ended = job.withdrawn.map(|end| (end, "withdrew it"));
        let ended = ended.or(job.acked.map(|end| (end, "took its ack")));
        let Some(((withdrawn, by), how)) = ended else {
            return;
        };
        let running = self.hosts.iter().filter_map(|host| host.process.as_ref());
        let evicted: u64 = running.map(|it| it.shell.node().counters().evicted).sum();
        let ends = self.checker.ends(job);
        if evicted + self.checker.counted.evicted > 0 || given + SKEW >= ends {
            return;
        }
        let told = |&holder: &HostIndex| {
            let calm = self.calm_since.get(&(by.min(holder), by.max(holder)));
            calm.is_some_and(|&calm| given > calm.max(withdrawn) + TOLD_WITHIN)
        };
        let itself = by == host && given > withdrawn;
        let mut others = job.had.iter().filter(|&&holder| holder != by);
        if itself || others.all(told) {
            let what = format!("n{host} delivers it, though n{by} {how}");
            self.checker.violate(Some(number), what);
        }
    }
}
