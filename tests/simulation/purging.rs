//! QPURGE and QCONFIG: clients that empty queues and set policies, while nodes may be away; and what is held against it.
//!
//! A purge may take a job that was created no later than its mark, unless the node that added the job knew the mark. A node
//! that knows a mark hands out no such job. All jobs name the options that policies are set for, so no policy may change
//! anything; but all nodes must agree on them in the end.

use std::collections::BTreeMap;

use shoalmq_core::policy::Policy;
use shoalmq_core::setting::{Setting, SettingKind};

use crate::checker::{Checker, Job};
use crate::client::{Ask, Number, Step};
use crate::cluster::Cluster;
use crate::schedule::{Happening, HostIndex, MS, Micros, SECOND};
use crate::workload::Purpose;

/// The marks of all purges.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// The greatest of each queue.
    greatest: BTreeMap<String, u64>,
    /// What each node knows, and since when.
    known: BTreeMap<(HostIndex, String), (u64, Micros)>,
}

impl Marks {
    /// What a node knows of the purges of a queue.
    pub(crate) fn known_to(&self, host: HostIndex, queue: &str) -> u64 {
        let known = self.known.get(&(host, queue.to_owned()));
        known.map_or(0, |&(mark, _)| mark)
    }

    /// A crash may have taken from a node what it knew.
    pub(crate) fn forget(&mut self, host: HostIndex) {
        self.known.retain(|&(of, _), _| of != host);
    }
}

impl Cluster {
    /// Somebody empties a queue, or changes policies.
    pub(crate) fn purge(&mut self) {
        if self.workload.peace {
            return;
        }
        let wait = self.client_dice.wait(4 * SECOND) + 100 * MS;
        self.after(wait, Happening::Client(Step::Purge));
        let Some(host) = self.any_host() else { return };
        let dice = &mut self.client_dice;
        let queue = format!("q{}", dice.below(self.plan.queues));
        let ask = if dice.percent(50) {
            Ask::Purge(queue)
        } else {
            let pattern = dice.pick(&["*", "q*", "q0"]).to_owned();
            let policy = dice.pick(&[Policy::Retry, Policy::Ttl, Policy::Delay]);
            let value = dice.percent(70).then(|| dice.between(1, 1000));
            Ask::Configure(pattern, policy, value)
        };
        self.ask(host, Purpose::Nothing, ask);
    }
}

impl Checker {
    /// A node records a setting: it knows it from now on.
    pub(crate) fn knows(&mut self, now: Micros, host: HostIndex, setting: &Setting) {
        if setting.kind != SettingKind::PURGED {
            return;
        }
        let value = setting.value.as_deref().unwrap_or_default();
        let mark: Option<u64> = std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse().ok());
        let Some(mark) = mark else {
            return self.violate(None, format!("n{host} records {setting:?}"));
        };
        let queue = String::from_utf8_lossy(&setting.name).into_owned();
        let greatest = self.marks.greatest.entry(queue.clone()).or_insert(0);
        *greatest = mark.max(*greatest);
        let known = self.marks.known.entry((host, queue)).or_insert((mark, now));
        if known.0 < mark {
            *known = (mark, now);
        }
    }

    /// Whether a purge may have taken the job.
    pub(crate) fn may_be_purged(&self, job: &Job) -> bool {
        let greatest = self.marks.greatest.get(job.queue()).copied().unwrap_or(0);
        job.created > 0 && job.created <= greatest && job.known_mark < greatest
    }

    /// A node handed out a job at `given`.
    pub(crate) fn check_purged(&mut self, host: HostIndex, number: Number, given: Micros) {
        let job = &self.jobs[number];
        let known = self.marks.known.get(&(host, job.queue().to_owned()));
        let purged = known.filter(|&&(mark, since)| job.created <= mark && given > since);
        if let Some((mark, since)) = purged {
            let what = format!(
                "n{host} delivers it, created at {}, though it knows since {} ms of a purge at {mark}",
                job.created,
                since / MS
            );
            self.violate(Some(number), what);
        }
    }
}
