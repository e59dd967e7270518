//! What NOREPL promises: once a node has said that a job is not added, nobody delivers it who could have heard of that.
//!
//! Left out is what the documentation leaves out: a holder that the node which withdrew the add cannot tell, copies that are
//! kept past the ttl, and acks that were evicted. That a crash takes a withdrawal away, as it may without
//! `appendfsync always`, is in `copies`.

use crate::checker::SKEW;
use crate::client::Number;
use crate::cluster::Cluster;
use crate::schedule::{HostIndex, Micros, SECOND};

/// How long a node takes at most to tell the others of what it withdrew, once it has links with all of them.
const TOLD_WITHIN: Micros = 3 * SECOND;

impl Cluster {
    /// Looks which nodes have links with all others.
    pub(crate) fn note_calm(&mut self) {
        for host in 0..self.hosts.len() {
            let since = self.calm_since[host].unwrap_or(self.now);
            self.calm_since[host] = self.reaches_all(host).then_some(since);
        }
    }

    /// Whether a node and all others can tell each other anything.
    fn reaches_all(&self, host: HostIndex) -> bool {
        let runs = |host: HostIndex| self.hosts[host].serves() && !self.hosts[host].is_paused();
        let open = |one, other| {
            self.network.link(one, other).is_some() && self.network.is_open_both_ways(one, other)
        };
        let linked = |other| runs(other) && open(host, other) && open(other, host);
        let others = (0..self.hosts.len()).filter(|&other| other != host);
        let mut others = others.filter(|&other| !self.hosts[other].removed);
        runs(host) && others.all(linked)
    }

    /// A node handed out a job at `given`.
    pub(crate) fn check_withdrawn(&mut self, host: HostIndex, number: Number, given: Micros) {
        let job = &self.checker.jobs[number];
        let Some((withdrawn, by)) = job.withdrawn else {
            return;
        };
        let running = self.hosts.iter().filter_map(|host| host.process.as_ref());
        let evicted: u64 = running.map(|it| it.core.counters().evicted).sum();
        if evicted + self.checker.counted.evicted > 0 || given + SKEW >= job.expires() {
            return;
        }
        let itself = by == host && given > withdrawn;
        let calm = self.calm_since[by];
        let told = calm.is_some_and(|calm| given > calm.max(withdrawn) + TOLD_WITHIN);
        if itself || told {
            let what = format!("n{host} delivers it, though n{by} withdrew it");
            self.checker.violate(Some(number), what);
        }
    }
}
