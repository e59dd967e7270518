//! Looking: which jobs have a key, as one node knows it, and which of them counts, as all of them know it.

use std::collections::{BTreeMap, BTreeSet};

use crate::dedup::{KeyName, KeyStand, Keyed, KeyedJob};
use crate::id::JobId;
use crate::job::{JobKey, JobState};
use crate::node::Node;
use crate::planted::Bug;
use crate::time::Time;

/// What members said about the jobs with one key.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    /// How each job stands, as those say who have it.
    jobs: BTreeMap<JobId, (u64, Known)>,
    /// Jobs that somebody knows to be over, or to have no key any more.
    over: BTreeSet<JobId>,
}

/// What is known of one job.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// A node has it.
    is_there: bool,
    /// It was added.
    is_live: bool,
    /// It is a dead letter or over: whether its key still counts.
    ended: Option<bool>,
}

impl Found {
    /// What one node says.
    pub(super) fn add(&mut self, jobs: &[KeyedJob], over: &[JobId]) {
        for job in jobs {
            let (_, known) = self
                .jobs
                .entry(job.id)
                .or_insert((job.created, Known::default()));
            match job.stand {
                KeyStand::Pending => known.is_there = true,
                KeyStand::Live => (known.is_there, known.is_live) = (true, true),
                KeyStand::Given => known.is_live = true,
                KeyStand::Dead(left) | KeyStand::Over(left) => {
                    known.ended = Some(known.ended == Some(true) || left > 0);
                }
            }
        }
        self.over.extend(over);
    }

    /// All jobs that were named.
    pub(super) fn ids(&self) -> Vec<JobId> {
        self.jobs.keys().copied().collect()
    }

    /// The oldest job that counts.
    pub(super) fn oldest(&self) -> Option<JobId> {
        let counts = |id: &JobId, known: &Known| known.ended == Some(true) || self.is_live(id);
        let all = self.jobs.iter();
        let counting = all.filter(|(id, (_, known))| counts(id, known));
        let oldest = counting.map(|(&id, &(created, _))| (created, id)).min();
        oldest.map(|(_, id)| id)
    }

    /// Whether this job was added and is somewhere, and nobody knows that it is over or dead.
    pub(super) fn is_live(&self, id: &JobId) -> bool {
        let is_live = |known: &Known| known.is_live && known.is_there && known.ended.is_none();
        let known = self.jobs.get(id);
        known.is_some_and(|(_, known)| is_live(known)) && !self.over.contains(id)
    }
}

impl Node {
    /// The jobs with this key, as this node knows them, but for those that count no more.
    pub(super) fn keyed_here(&mut self, now: Time, name: &KeyName) -> Vec<KeyedJob> {
        let keys = self.jobs.with_key(name).into_iter();
        let known = keys.filter_map(|key| self.keyed_job(now, key));
        let mut found: Vec<KeyedJob> = known.filter(|job| !job.stand.is_free()).collect();
        self.forget_given(now);
        let given = self.dedups.given.iter().filter(|(_, of, _)| of == name);
        let elsewhere = given.map(|&(_, _, job)| job);
        found.extend(elsewhere.filter(|job| self.jobs.find(&job.id).is_none()));
        found
    }

    /// How a job with a key stands; none if its key is free.
    pub(super) fn keyed_job(&self, now: Time, key: JobKey) -> Option<KeyedJob> {
        let extras = self.jobs.extras(key);
        let keyed = Keyed::of(&extras)?;
        if self.is_purged(key) {
            return None;
        }
        let left = Time::from_millis(keyed.until).since(now).as_millis() as u64;
        let job = &self.jobs[key];
        let is_accepted = keyed.is_accepted || self.has(Bug::UnacceptedAnswers);
        let stand = match job.state() {
            JobState::Acked => KeyStand::Over(left),
            JobState::Queued | JobState::Active if job.is_dead() => KeyStand::Dead(left),
            JobState::Queued | JobState::Active if is_accepted => KeyStand::Live,
            JobState::Queued | JobState::Active | JobState::WaitReplicas => KeyStand::Pending,
        };
        Some(KeyedJob {
            id: job.id,
            created: keyed.created,
            stand,
        })
    }

    /// An ADDJOB is answered with a job that has the key.
    pub(super) fn count_deduplicated(&mut self, queue: &[u8]) {
        let queue = self.queues.find_or_add(queue);
        self.tally(queue, |tally| tally.deduplicated += 1);
        self.queues.drop_unused(queue);
    }

    /// Which of these jobs are over as far as this node knows, or have no key any more.
    pub(super) fn without_key(&self, now: Time, ids: &[JobId]) -> Vec<JobId> {
        let is_over = |id: &&JobId| match self.jobs.find(id) {
            None => self.forgotten.contains(id),
            Some(key) => self
                .keyed_job(now, key)
                .is_none_or(|job| job.stand.is_free()),
        };
        ids.iter().filter(is_over).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: u8, created: u64, stand: KeyStand) -> KeyedJob {
        let id = self::id(id);
        KeyedJob { id, created, stand }
    }

    fn id(number: u8) -> JobId {
        JobId::from_bytes([number; 24])
    }

    #[test]
    fn the_oldest_job_that_counts_is_the_answer() {
        let mut found = Found::default();
        assert_eq!(found.oldest(), None);
        found.add(&[job(1, 5, KeyStand::Pending)], &[]);
        assert_eq!(found.oldest(), None, "nobody knows that it was added");
        found.add(&[job(2, 7, KeyStand::Live), job(3, 6, KeyStand::Live)], &[]);
        assert_eq!(found.oldest(), Some(id(3)));
        found.add(&[job(1, 5, KeyStand::Live)], &[]);
        assert_eq!(found.oldest(), Some(id(1)));
        found.add(&[job(1, 5, KeyStand::Over(0))], &[]);
        assert_eq!(found.oldest(), Some(id(3)), "the first is over");
        found.add(&[], &[id(3)]);
        assert_eq!(found.oldest(), Some(id(2)));
        found.add(&[job(2, 7, KeyStand::Dead(0))], &[]);
        assert_eq!(found.oldest(), None);
    }

    /// Simulation seed 8915: the node that had added a job for others to hold still knew of it when those had forgotten it.
    #[test]
    fn a_job_that_its_adder_gave_away_counts_if_a_node_has_it() {
        let mut found = Found::default();
        found.add(&[job(1, 5, KeyStand::Given)], &[]);
        assert_eq!(found.oldest(), None, "nobody has it");
        found.add(&[job(1, 5, KeyStand::Pending)], &[]);
        assert_eq!(found.oldest(), Some(id(1)));
        assert!(found.is_live(&id(1)));
    }

    #[test]
    fn what_is_over_counts_while_its_window_runs() {
        let mut found = Found::default();
        found.add(&[job(1, 5, KeyStand::Live)], &[]);
        found.add(&[job(1, 5, KeyStand::Over(9))], &[id(1)]);
        assert_eq!(found.oldest(), Some(id(1)));
        assert!(!found.is_live(&id(1)));
    }
}
