//! What healing promises: once all nodes have had links with each other for long enough, every job that was accepted is on
//! as many nodes as it is to be on.
//!
//! In a share of the runs, producers add jobs to a queue that nobody asks for before the end, and the time between the
//! end of all faults and the moment when consumers drain the nodes is long enough for that.

use std::time::Duration;

use shoalmq_core::command::Replication;

use crate::checker::Checker;
use crate::client::{Step, Terms};
use crate::cluster::Cluster;
use crate::failing::Rules;
use crate::plan::Plan;
use crate::schedule::{Happening, HostIndex, MS, Micros, SECOND};
use crate::workload::WARM_UP;

/// The queue of these jobs.
pub(crate) const QUEUE: &str = "stored";
/// How much longer than `heal-delay` it takes: links must be made, passes rank the holders.
const HEALED_WITHIN: Micros = 25 * SECOND;

/// How long the nodes are left alone after all faults, if they are.
pub(crate) fn calm(plan: &Plan) -> Option<Micros> {
    let heal_delay = micros(plan.heal_delay);
    // Where memory is short, nodes refuse copies.
    let shown = !plan.is_quiet() && plan.memory == 0 && plan.seed % 3 == 1;
    (shown && heal_delay <= 8 * SECOND).then_some(heal_delay + HEALED_WITHIN)
}

fn micros(duration: Duration) -> Micros {
    duration.as_micros() as Micros
}

impl Cluster {
    pub(crate) fn begin_storing(&mut self) {
        if calm(&self.plan).is_some() {
            self.after(WARM_UP, Happening::Client(Step::Store));
        }
    }

    /// Adds a job that stays.
    pub(crate) fn store(&mut self) {
        if self.workload.peace {
            return;
        }
        let wait = self.client_dice.wait(800 * MS);
        self.after(wait, Happening::Client(Step::Store));
        let number = self.checker.next_number();
        self.add_job(number, |cluster, number| Terms {
            queue: QUEUE.to_owned(),
            body: format!("job {number}"),
            timeout: Some(Duration::from_secs(1)),
            replicate: Some(cluster.client_dice.pick(&[2, 3])),
            delay: 0,
            retry: 6,
            ttl: 3600,
            max_len: None,
            replication: Replication::Synchronous,
            rules: Rules::default(),
            keep: None,
            key: None,
        });
    }

    /// All faults ended a while ago: looks for jobs that lack copies.
    pub(crate) fn check_copies(&mut self) {
        if self.is_one() {
            let left = self.hosts.iter().filter(|host| !host.removed).count();
            self.checker.check_copies(self.now, left);
        }
    }

    /// All nodes that are left are one cluster: no CLUSTER MEET was lost for good.
    pub(crate) fn is_one(&self) -> bool {
        let hosts: Vec<HostIndex> = (0..self.hosts.len())
            .filter(|&host| !self.hosts[host].removed)
            .collect();
        hosts.iter().all(|&one| {
            let mut others = hosts.iter().filter(|&&other| other != one);
            others.all(|&other| self.knows(one, other) && self.network.link(one, other).is_some())
        })
    }
}

impl Checker {
    fn check_copies(&mut self, now: Micros, hosts: usize) {
        let lacks = |job: &crate::checker::Job| {
            let wanted = job.wanted().min(hosts);
            let settled = job.asked + HEALED_WITHIN < now && self.ends(job) > now + 2 * SECOND;
            let purged = self.may_be_purged(job);
            let lives = job.is_promised() && !job.finished && !job.taken && !purged;
            settled && lives && job.copies.len() < wanted
        };
        if let Some(number) = self.jobs.iter().position(lacks) {
            let (copies, wanted) = (self.jobs[number].copies.len(), self.jobs[number].wanted());
            let what = format!(
                "at {} ms it has {copies} copies on {hosts} nodes, long after healing, not {wanted}",
                now / MS
            );
            self.violate(Some(number), what);
        }
    }
}
