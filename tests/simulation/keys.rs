//! Keys of DEDUP, in a share of the runs: producers add jobs with one of a few keys, at any node.
//!
//! A job that is told to a producer because it has the key must have been added: nobody was or is told that it was not,
//! and from then on it is promised to that producer, too. In a quiet run no job is added while another one has its key, and
//! no job is told that was over before the producer asked. A job that ends as a duplicate has an older one with its key,
//! which was added and was not over when the younger was asked for, and which is promised from then on: so a key never costs a
//! job. What is decided here has dice of its own.

use shoalmq_core::dedup::Dedup;
use shoalmq_core::id::JobId;
use shoalmq_core::record::AckRecord;

use crate::checker::{Answer, Checker, Job};
use crate::client::{Number, Terms};
use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::schedule::{HostIndex, MS, Micros};

/// How long after its ack was answered a job surely counts no more, in a quiet run.
const FREE_AFTER: Micros = 500 * MS;

/// Which jobs have keys in a run.
#[derive(Debug, Clone)]
pub(crate) struct KeysPlan {
    /// The share of jobs that have one.
    share: u64,
    /// How many keys there are.
    keys: u64,
    /// WINDOW, in seconds.
    window: u32,
}

impl KeysPlan {
    /// What this seed means.
    pub(crate) fn new(seed: u64) -> Option<Self> {
        let mut dice = Dice::new(seed.wrapping_add(7 << 32));
        let has = dice.percent(35);
        let plan = KeysPlan {
            share: dice.pick(&[20, 60, 100]),
            keys: dice.pick(&[1, 3, 20]),
            window: dice.pick(&[0, 0, 6]),
        };
        has.then_some(plan)
    }
}

/// The key of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobKey {
    key: String,
    window: u32,
}

impl JobKey {
    pub(crate) fn dedup(&self) -> Dedup<'_> {
        Dedup {
            key: self.key.as_bytes(),
            window: self.window,
        }
    }
}

impl Cluster {
    /// A new job may get a key.
    pub(crate) fn with_key(&mut self, terms: Terms) -> Terms {
        let Some(plan) = self.plan.keys.clone().filter(|_| terms.retry > 0) else {
            return terms;
        };
        let dice = &mut self.key_dice;
        if !dice.percent(plan.share) {
            return terms;
        }
        let key = JobKey {
            key: format!("k{}", dice.below(plan.keys)),
            window: plan.window,
        };
        Terms {
            key: Some(key),
            ..terms
        }
    }

    /// A node dropped jobs in this event, which it may have ended as duplicates.
    pub(crate) fn settle_drops(&mut self, host: HostIndex) {
        for (number, what) in std::mem::take(&mut self.checker.doubtful) {
            let process = self.hosts[host].process.as_ref();
            let id = self.checker.jobs[number].id;
            let older = id.zip(process).and_then(|(id, process)| {
                let node = process.shell.node();
                node.older_with_key(&id)
            });
            match older {
                Some(older) => self.checker.ended_as_duplicate(host, number, older),
                None => self.checker.violate(Some(number), what),
            }
        }
    }
}

impl Job {
    /// Whether two jobs have one key, or none, and came into one queue.
    fn shares_key(&self, other: &Job) -> bool {
        self.terms().key == other.terms().key && self.queue() == other.queue()
    }
}

impl Checker {
    /// A producer got a job that has the key of its own.
    pub(crate) fn existing(&mut self, now: Micros, host: HostIndex, number: Number, id: JobId) {
        let Some(&other) = self.by_id.get(&id) else {
            let what = format!("n{host} answers with {id}, which nobody recorded");
            return self.violate(Some(number), what);
        };
        let (mine, theirs) = (&self.jobs[number], &self.jobs[other]);
        let same = mine.shares_key(theirs);
        let is_long_over = theirs
            .acked
            .is_some_and(|(acked, _)| acked + FREE_AFTER < mine.asked);
        let has_window = mine.terms().key.as_ref().is_some_and(|key| key.window > 0);
        let wrong = if !same {
            Some("has another key")
        } else if theirs.is_withdrawn() && !theirs.finished {
            // One that a worker did though its add was withdrawn, at a node that had not heard of that, is done.
            Some("was not added")
        } else if self.is_quiet() && is_long_over && !has_window {
            Some("was acknowledged before the producer asked")
        } else {
            None
        };
        if let Some(wrong) = wrong {
            let what = format!(
                "at {} ms n{host} answers with job {other}, which {wrong}: {:#?}",
                now / MS,
                self.jobs[other]
            );
            return self.violate(Some(number), what);
        }
        self.jobs[number].answer = Answer::Existing;
        self.jobs[other].is_vouched = true;
    }

    /// A producer got the id of a job: no other one may have its key, where nothing goes wrong.
    pub(crate) fn check_key(&mut self, now: Micros, number: Number) {
        let job = &self.jobs[number];
        if !self.is_quiet() || !self.all_met || job.terms().key.is_none() {
            return;
        }
        let other = self.jobs.iter().enumerate().position(|(other, theirs)| {
            let same = theirs.shares_key(job);
            let is_open = theirs.is_added() && !theirs.finished && !theirs.ends.is_cancelled;
            let is_there = now + crate::checker::SKEW < theirs.expires()
                && theirs.life.buried().is_none()
                && !self.may_be_purged(theirs);
            other != number && same && is_open && is_there
        });
        if let Some(other) = other {
            let what = format!(
                "at {} ms it is added, while job {other} has its key: {:#?}",
                now / MS,
                self.jobs[other]
            );
            self.violate(Some(number), what);
        }
    }

    /// A node recorded the end of a job.
    pub(crate) fn ended(&mut self, host: HostIndex, ack: &AckRecord) {
        let older = ack.extras.get(shoalmq_core::extras::Tag::DUPLICATE_OF);
        let older = older.and_then(|bytes| bytes.try_into().ok());
        if let Some(older) = older.map(JobId::from_bytes)
            && let Some(&number) = self.by_id.get(&ack.id)
        {
            self.ended_as_duplicate(host, number, older);
        }
    }

    fn ended_as_duplicate(&mut self, host: HostIndex, number: Number, older: JobId) {
        if self.jobs[number].ends.is_duplicate {
            return;
        }
        let job = &mut self.jobs[number];
        (job.finished, job.ends.is_duplicate) = (true, true);
        let Some(&other) = self.by_id.get(&older) else {
            let what = format!("n{host} ends it for {older}, which nobody recorded");
            return self.violate(Some(number), what);
        };
        let (mine, theirs) = (&self.jobs[number], &self.jobs[other]);
        let same = mine.shares_key(theirs);
        let age = |job: &Job| (job.created, job.id);
        let was_over = theirs.acked.is_some_and(|(acked, _)| acked < mine.asked);
        let wrong = if !same {
            Some("has another key")
        } else if age(theirs) >= age(mine) {
            Some("is younger")
        } else if theirs.is_withdrawn() {
            Some("was not added")
        } else if was_over {
            Some("was over before it was asked for")
        } else {
            None
        };
        if let Some(wrong) = wrong {
            let what = format!(
                "n{host} ends it as the duplicate of job {other}, which {wrong}: {:#?}",
                self.jobs[other]
            );
            return self.violate(Some(number), what);
        }
        self.jobs[other].is_vouched = true;
    }

    /// What is wrong with the word that a job is the duplicate of another one.
    pub(crate) fn contradicts_duplicate(&self, number: Number) -> Option<&'static str> {
        (!self.jobs[number].ends.is_duplicate).then_some("it did not end as a duplicate")
    }
}
