//! Clients that ask why a job is not being delivered, in a share of the runs with clients that wait for the ends of jobs.
//!
//! EXPLAIN only looks, and what it says must be true, as what WAITJOB says must be: no end that nobody brought about, and no job
//! that is there is unknown. The question makes messages, so a run with it is another one than without: those with a planted
//! bug have none.

use shoalmq_core::command::{Explained, Reply, Standing};
use shoalmq_core::outcome::{Fate, Outcome};

use crate::client::{Ask, Number};
use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::outcomes::Known;
use crate::plan::Plan;
use crate::schedule::{HostIndex, MS, Micros};
use crate::workload::Purpose;

impl Plan {
    /// Whether clients ask for explanations in this run.
    pub(crate) fn explains(&self) -> bool {
        let mut dice = Dice::new(self.seed.wrapping_add(9 << 32));
        self.bug.is_none() && self.waiting.is_some() && dice.percent(50)
    }
}

impl Cluster {
    /// Somebody asks about a job.
    pub(crate) fn ask_why(&mut self, host: HostIndex, number: Number) {
        if !self.plan.explains() {
            return;
        }
        if let Some(id) = self.checker.jobs[number].id {
            self.ask(host, Purpose::Explain(number, self.now), Ask::Explain(id));
        }
    }

    /// A node explained a job.
    pub(crate) fn told_why(
        &mut self,
        host: HostIndex,
        (number, asked): (Number, Micros),
        reply: &Reply,
    ) {
        let Reply::Explained(explained) = reply else {
            let what = format!("n{host} answers EXPLAIN by {reply:?}");
            return self.checker.violate(None, what);
        };
        let explained = explained.as_deref();
        let is_whole = explained.is_none_or(|told| told.missing.is_empty());
        let known = Known {
            asked,
            now: self.now,
            is_late: true,
            is_well: is_whole && self.checker.is_well(asked) && self.checker.all_met,
            keeps: self.plan.keeps_ends(),
        };
        let job = &self.checker.jobs[number];
        let wrong = match explained.map(|told| told.standing) {
            Some(Standing::Ended(Outcome::Acked)) => {
                job.ends.is_never_acked().then_some("no client acked it")
            }
            Some(Standing::Withdrawn) => job.is_promised().then_some("its add was answered"),
            _ => self.checker.contradicts(number, &fate_of(explained), known),
        };
        if let Some(what) = wrong {
            let told = explained.map(|told| (told.standing, &told.why));
            let what = format!("at {} ms: n{host} explains {told:?}: {what}", self.now / MS);
            self.checker.violate(Some(number), what);
        }
    }
}

/// What WAITJOB would say of a job that is explained so.
fn fate_of(explained: Option<&Explained>) -> Fate {
    match explained.map(|told| told.standing) {
        None | Some(Standing::Unknown | Standing::Withdrawn) => Fate::Unknown,
        Some(Standing::Ended(outcome)) => Fate::Ended {
            outcome,
            result: None,
            is_memory: true,
        },
        Some(Standing::Dead) => Fate::Dead {
            rank: None,
            extras: shoalmq_core::extras::Extras::NONE,
        },
        Some(
            Standing::Copy
            | Standing::Restored
            | Standing::WaitReplicas
            | Standing::Delayed
            | Standing::Active
            | Standing::Queued,
        ) => Fate::Pending {
            rank: None,
            progress: None,
        },
    }
}
