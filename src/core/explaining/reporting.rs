//! What this node knows of a job.

use crate::command::{CopyView, HeldBy, Report, Standing};
use crate::explaining::events::What;
use crate::id::JobId;
use crate::job::{Job, JobKey, JobState, Place};
use crate::limits;
use crate::node::Node;
use crate::outcome::{Fate, Outcome};
use crate::time::{Time, WallTime};

impl Node {
    /// What this node knows of a job.
    pub(crate) fn report(&self, now: Time, id: &JobId) -> Report {
        let known = self.jobs.find(id);
        let (outcome, progress) = self.end_or_progress(id);
        let mut events: Vec<_> = self.happenings.of(id).take(limits::EVENTS_TOLD).collect();
        events.reverse();
        Report {
            copy: known.map(|key| self.copy_view(now, key)),
            outcome,
            why: known.map_or_else(String::new, |key| self.why_here(now, key)),
            held_by: self.held_by(id),
            progress,
            events: events.into_iter().map(|(at, what)| what.view(at)).collect(),
        }
    }

    /// How a job ended, as far as this node knows, or what its worker said last.
    fn end_or_progress(&self, id: &JobId) -> (Option<Outcome>, Option<Vec<u8>>) {
        match self.fate_here(id) {
            Fate::Ended { outcome, .. } => (Some(outcome), None),
            Fate::Pending { progress, .. } => (None, progress),
            Fate::Dead { .. } => (None, self.progress.get(id)),
            // The ring may remember it for longer.
            Fate::Unknown if self.jobs.find(id).is_none() => {
                let mut happened = self.happenings.of(id);
                (happened.find_map(|(_, what)| what.end()), None)
            }
            Fate::Unknown => (None, None),
        }
    }

    fn copy_view(&self, now: Time, key: JobKey) -> CopyView {
        let job = &self.jobs[key];
        let (next, when) = self.next_of(key);
        CopyView {
            standing: self.standing(key),
            queue: (!job.is_tombstone()).then(|| self.queues[job.queue].name.clone()),
            rank: self.register_of(key).map(|register| register.rank()),
            has_turn: has_turn(job),
            next: next.to_owned(),
            next_in: when.map(|when| when.since(now)),
        }
    }

    fn standing(&self, key: JobKey) -> Standing {
        let job = &self.jobs[key];
        match job.state() {
            JobState::WaitReplicas => Standing::WaitReplicas,
            JobState::Queued if job.is_dead() => Standing::Dead,
            JobState::Queued => Standing::Queued,
            JobState::Active if job.place() == Place::Restored => Standing::Restored,
            JobState::Active if !job.is_ours() => Standing::Copy,
            JobState::Active if job.place().is_before() || job.place() == Place::Waiting => {
                Standing::Delayed
            }
            JobState::Active => Standing::Active,
            JobState::Acked => match self.end_of(key).known().outcome() {
                Some(outcome) => Standing::Ended(outcome),
                None => Standing::Withdrawn,
            },
        }
    }

    /// What happened to a job last, of what says where it is.
    pub(super) fn last_of(&self, id: &JobId) -> Option<(WallTime, What)> {
        let mut happened = self.happenings.of(id);
        happened.find(|(_, what)| !what.leaves_it_out())
    }

    fn held_by(&self, id: &JobId) -> Option<HeldBy> {
        match self.last_of(id) {
            Some((at, What::HandedOut(client))) => Some(HeldBy {
                client,
                name: Vec::new(),
                since_ms: at.0,
            }),
            _ => None,
        }
    }
}

/// Whether it is this node's turn to deliver a job.
fn has_turn(job: &Job) -> bool {
    match job.state() {
        JobState::WaitReplicas | JobState::Queued => true,
        JobState::Active => job.is_ours(),
        JobState::Acked => false,
    }
}
