//! Clients that wait for the ends of jobs, in a share of the runs.
//!
//! Some jobs have KEEP, acks come with results, and somebody cancels jobs everywhere. Clients ask any node how jobs stand, and
//! wait a while. What they are told must be true: an ack that some client gave, with a result of such a client; an expiry only
//! when the time was up; a dead letter only of a job that was buried. In a quiet run, and once all is well again, a job that is there is never unknown, and an
//! ack that was answered long enough ago is told by every node. The end of a job with KEEP is told for that time. What is decided here
//! has dice of its own.

use std::collections::BTreeSet;
use std::time::Duration;

use shoalmq_core::command::Reply;
use shoalmq_core::id::JobId;
use shoalmq_core::outcome::{Fate, Outcome};

use crate::checker::{Checker, SKEW};
use crate::client::{Ask, Number, Step, Terms};
use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::faults::Kind;
use crate::plan::{Plan, Policy};
use crate::schedule::{Happening, HostIndex, MS, Micros, SECOND};
use crate::workload::{Purpose, WARM_UP};

/// KEEP, in seconds.
const KEPT: u32 = 15;
/// How long after an ack was answered every node that can be reached tells of it: its links may have to be made again.
const TOLD_AFTER: Micros = 12 * SECOND;

/// What clients do about the ends of jobs in a run.
#[derive(Debug, Clone)]
pub(crate) struct WaitingPlan {
    /// The share of jobs that have KEEP.
    keep: u64,
    /// The share of acks that have a result.
    results: u64,
    /// The share of rounds in which a job is cancelled.
    cancels: u64,
}

impl WaitingPlan {
    /// What this seed means.
    pub(crate) fn new(seed: u64) -> Option<Self> {
        let mut dice = Dice::new(seed.wrapping_add(5 << 32));
        let has = dice.percent(35);
        let plan = WaitingPlan {
            keep: dice.pick(&[0, 30, 80]),
            results: dice.pick(&[20, 100]),
            cancels: dice.pick(&[0, 0, 10]),
        };
        has.then_some(plan)
    }
}

/// What is known of the end of a job.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    /// What clients said with their acks; an ack without a result is none.
    results: BTreeSet<Option<Vec<u8>>>,
    /// Somebody deleted it everywhere.
    pub(crate) is_cancelled: bool,
    /// A node ended it, for an older job has its key.
    pub(crate) is_duplicate: bool,
}

impl Ends {
    /// No client said that it is done.
    pub(crate) fn is_never_acked(&self) -> bool {
        self.results.is_empty()
    }
}

/// What a client wants to know, and when it asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    numbers: Vec<Number>,
    asked: Micros,
    until: Micros,
}

impl Cluster {
    pub(crate) fn begin_waiting(&mut self) {
        if self.plan.waiting.is_some() {
            self.at(WARM_UP, Happening::Client(Step::Await));
        }
    }

    /// For how long the end of a new job is to be kept.
    pub(crate) fn with_keep(&mut self, terms: Terms) -> Terms {
        let Some(plan) = &self.plan.waiting else {
            return terms;
        };
        // Where memory is short, kept ends would fill it: they are not thrown out.
        let share = if self.plan.memory == 0 { plan.keep } else { 0 };
        let keep = self.wait_dice.percent(share).then_some(KEPT);
        Terms { keep, ..terms }
    }

    /// What a worker says with its ack.
    pub(crate) fn result_of(&mut self, number: Number) -> Option<String> {
        let plan = self.plan.waiting.as_ref()?;
        let has = self.wait_dice.percent(plan.results);
        let result = has.then(|| format!("{number} at {}", self.now));
        let said = result.clone().map(String::into_bytes);
        self.checker.jobs[number].ends.results.insert(said);
        result
    }

    /// FASTACK has no result.
    pub(crate) fn acks_fast(&mut self, number: Number) {
        self.checker.jobs[number].ends.results.insert(None);
    }

    /// Somebody waits for jobs, or cancels one.
    pub(crate) fn wait_for_some(&mut self) {
        let Some(plan) = self.plan.waiting.clone() else {
            return;
        };
        let wait = self.wait_dice.wait(300 * MS);
        self.after(wait, Happening::Client(Step::Await));
        let Some(host) = self.any_host() else { return };
        let known = self.checker.jobs.len();
        if known == 0 {
            return;
        }
        let recent = if self.workload.peace { 200 } else { 40 };
        let first = known.saturating_sub(recent);
        let mut numbers = Vec::new();
        for _ in 0..self.wait_dice.between(1, 3) {
            let number = first + self.wait_dice.below((known - first) as u64) as usize;
            if self.checker.jobs[number].id.is_some() {
                numbers.push(number);
            }
        }
        let Some(&number) = numbers.first() else {
            return;
        };
        let ids: Vec<JobId> = numbers
            .iter()
            .filter_map(|&number| self.checker.jobs[number].id)
            .collect();
        if !self.workload.peace && self.wait_dice.percent(plan.cancels) {
            let job = &mut self.checker.jobs[number];
            (job.finished, job.ends.is_cancelled) = (true, true);
            self.ask(host, Purpose::Nothing, Ask::Cancel(ids[..1].to_vec()));
            return;
        }
        let timeout = self.wait_dice.pick(&[1, 50, 400, 3000]);
        let question = Question {
            numbers,
            asked: self.now,
            until: self.now + timeout * MS,
        };
        let ask = Ask::Await(ids, Duration::from_millis(timeout));
        self.ask(host, Purpose::Await(question), ask);
        self.ask_why(host, number);
    }

    /// A node told how jobs stand.
    pub(crate) fn told_fates(&mut self, host: HostIndex, question: &Question, reply: &Reply) {
        let Reply::Fates(fates) = reply else {
            let what = format!("n{host} answers WAITJOB by {reply:?}");
            return self.checker.violate(None, what);
        };
        // All nodes can have told each other everything, or the client did not wait for their answers.
        let is_well = self.checker.is_well(question.asked) && self.checker.all_met;
        for (&number, (_, fate)) in question.numbers.iter().zip(fates) {
            let known = Known {
                asked: question.asked,
                now: self.now,
                is_late: self.now + 2 * MS >= question.until,
                is_well: is_well && question.until >= question.asked + 400 * MS,
                keeps: self.plan.keeps_ends(),
            };
            if let Some(what) = self.checker.contradicts(number, fate, known) {
                let what = format!("at {} ms: n{host} says {fate:?}: {what}", self.now / MS);
                return self.checker.violate(Some(number), what);
            }
        }
    }
}

/// What is known when a client is told how a job stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) asked: Micros,
    pub(crate) now: Micros,
    /// The time of the client was up.
    pub(crate) is_late: bool,
    pub(crate) is_well: bool,
    /// No fault took the end of a job that is kept.
    pub(crate) keeps: bool,
}

impl Plan {
    /// What nodes have acked survives, as far as copies do.
    pub(crate) fn keeps_ends(&self) -> bool {
        let is_gone = |kind: &Kind| matches!(kind, Kind::Wipe | Kind::Remove | Kind::Leaving);
        self.is_quiet() || self.policy == Policy::Always && !self.faults.iter().any(is_gone)
    }
}

impl Checker {
    /// Whether nothing is wrong, and was not for a while at that time.
    pub(crate) fn is_well(&self, at: Micros) -> bool {
        self.is_quiet() || self.settled.is_some_and(|settled| at > settled)
    }

    /// What is wrong with the answer that a client got about a job, if anything is.
    pub(crate) fn contradicts(
        &self,
        number: Number,
        fate: &Fate,
        known: Known,
    ) -> Option<&'static str> {
        let job = &self.jobs[number];
        let ends = &job.ends;
        let acked = job.acked.map(|(at, _)| at);
        let acked_long_ago = acked.is_some_and(|at| known.asked > at + TOLD_AFTER);
        let is_kept = job.terms().keep.is_some() && known.keeps;
        let kept_until = acked.map(|at| at + Micros::from(KEPT - 1) * SECOND);
        let must_tell = is_kept && !job.taken && kept_until.is_some_and(|until| known.now < until);
        let is_acked = matches!(
            fate,
            Fate::Ended {
                outcome: Outcome::Acked,
                ..
            }
        );
        if known.is_well && acked_long_ago && must_tell && !is_acked {
            return Some("its end is kept, and it was acked");
        }
        match fate {
            Fate::Ended {
                outcome: Outcome::Acked,
                result,
                ..
            } => {
                let given = ends.results.contains(result);
                // A result is lost where it is not kept.
                let lost = result.is_none() && !ends.results.is_empty();
                if !given && !lost {
                    return Some("no client acked it so");
                }
                let all_with_results = !ends.results.contains(&None);
                let must_have = known.is_well && must_tell && all_with_results;
                (must_have && result.is_none()).then_some("its result is kept")
            }
            Fate::Ended {
                outcome: Outcome::Deleted,
                ..
            } => (!ends.is_cancelled && !self.may_be_purged(job)).then_some("nobody deleted it"),
            Fate::Ended {
                outcome: Outcome::Expired,
                ..
            } => (known.now + SKEW < self.ends(job)).then_some("its time is not up"),
            Fate::Ended {
                outcome: Outcome::Duplicate,
                ..
            } => self.contradicts_duplicate(number),
            Fate::Dead { .. } => (job.life.buried().is_none()).then_some("nobody buried it"),
            Fate::Pending { .. } => {
                let gone = known.is_well && acked_long_ago;
                gone.then_some("it was acked long ago")
            }
            Fate::Unknown => {
                let open = job.is_promised() && !job.finished && !job.taken;
                let lives = known.now < self.ends(job) && !self.may_be_purged(job);
                // A node that has not met another one does not ask it.
                let is_calm = self.is_quiet() && self.all_met;
                let there = open && lives && (known.is_well || !known.is_late && is_calm);
                there.then_some("it is there")
            }
        }
    }
}
