//! What healing promises of jobs that wait: once faults are over, each is queued at one node, in one queue, and all
//! that have a copy know where.

use std::collections::BTreeMap;

use shoalmq_core::command::{Command, JobScan, Reply, ScanReply};
use shoalmq_core::job::JobState;

use crate::checker::Violation;
use crate::client::Number;
use crate::cluster::Cluster;
use crate::schedule::{HostIndex, MS, Micros, SECOND};

/// How long it takes until holders have spoken: links must be made, and each holder asks when the retry is over.
const SPOKEN_WITHIN: Micros = 20 * SECOND;
/// What changes its node at this moment has arrived by then.
const AGAIN: Micros = 3 * SECOND;

/// Jobs by number: what was done with each until now, and where it is queued.
type Places = BTreeMap<Number, (u32, Vec<HostIndex>)>;

impl Cluster {
    /// Lets the clients go on without faults for a while, and looks.
    pub(crate) fn check_places(&mut self) -> Result<(), Violation> {
        let is_shown =
            |plan: &crate::plan::Plan| plan.failing.as_ref().is_some_and(|failing| failing.settles);
        if !is_shown(&self.plan) {
            return Ok(());
        }
        self.run_until(self.now + SPOKEN_WITHIN)?;
        if !self.is_one() {
            return Ok(());
        }
        let before = self.places();
        self.run_until(self.now + AGAIN)?;
        let after = self.places();
        for (number, place) in after {
            let is_same = before.get(&number) == Some(&place);
            let (_, hosts) = place;
            if !is_same {
                continue;
            }
            let job = &self.checker.jobs[number];
            let highest = job.life.highest();
            let mut holders = job.copies.keys();
            let unaware = holders
                .find(|&&host| job.life.rank_at(host) != highest)
                .copied();
            let at = self.now / MS;
            if hosts.len() > 1 {
                let what = format!("at {at} ms it is queued at {hosts:?}, long after healing");
                self.checker.violate(Some(number), what);
            } else if let Some(host) = unaware {
                let what =
                    format!("at {at} ms n{host} does not know where it is, long after healing");
                self.checker.violate(Some(number), what);
            }
        }
        self.checker.take_violation().map_or(Ok(()), Err)
    }

    /// Where jobs wait.
    fn places(&mut self) -> Places {
        let mut places = Places::new();
        for host in 0..self.hosts.len() {
            let now = self.hosts[host].now(self.now);
            let Some(process) = &mut self.hosts[host].process else {
                continue;
            };
            let scan = Command::JobScan(JobScan {
                cursor: 0,
                count: None,
                queue: None,
                states: vec![JobState::Queued],
                reply: ScanReply::Id,
            });
            let Some(Reply::JobIds(_, ids)) = process.shell.ask(now, scan) else {
                continue;
            };
            for id in ids {
                let Some(&number) = self.checker.by_id.get(&id) else {
                    continue;
                };
                let acts = self.checker.jobs[number].life.acts;
                let place = places.entry(number).or_insert((acts, Vec::new()));
                place.1.push(host);
            }
        }
        places
    }
}
