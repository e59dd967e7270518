//! How a job stands, as this node knows it, and as all of them know it.

use crate::acking::Known;
use crate::awaiting::waiting::Awaited;
use crate::extras::{Extras, Tag};
use crate::id::JobId;
use crate::job::{JobKey, JobState};
use crate::members::NodeSet;
use crate::node::Node;
use crate::outcome::{Fate, Outcome};
use crate::planted::Bug;
use crate::register::Rank;

/// What all nodes together say about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// That is how it ended.
    Settled(Fate),
    /// It may still end. This is what is known.
    Open(Fate),
}

impl Node {
    /// How a job stands, as far as this node knows.
    pub(crate) fn fate_here(&self, id: &JobId) -> Fate {
        if let Some(key) = self.jobs.find(id) {
            return self.fate_of(key);
        }
        let end = self.forgotten.get(id).and_then(Known::outcome);
        end.map_or(Fate::Unknown, |outcome| {
            let older = self.dedups.older_than(id);
            let older = older.filter(|_| outcome == Outcome::Duplicate);
            Fate::remembered(outcome, older.as_ref().map(|id| &id.as_bytes()[..]))
        })
    }

    fn fate_of(&self, key: JobKey) -> Fate {
        let job = &self.jobs[key];
        if job.state() == JobState::Acked {
            let end = self.end_of(key);
            let outcome = end.known().outcome();
            return outcome.map_or(Fate::Unknown, |outcome| Fate::ended(outcome, end.detail()));
        }
        if job.is_elsewhere() {
            return Fate::Unknown;
        }
        let rank = self.register_of(key).map(|register| register.rank());
        if job.is_dead() {
            let extras = self.jobs.extras(key);
            let register = extras.get(Tag::REGISTER);
            let register = register.map(|bytes| (Tag::REGISTER, bytes));
            return Fate::Dead {
                rank,
                extras: Extras::new(register),
            };
        }
        let progress = self.progress.get(&job.id);
        Fate::Pending { rank, progress }
    }

    /// What is known of a job that a client waits for.
    pub(super) fn verdict(&self, awaited: &Awaited) -> Verdict {
        let up = self.peers.members().and(self.peers.up());
        let own = self.fate_here(&awaited.id);
        let heard = awaited.heard.iter();
        let heard = heard.filter(|(peer, _)| up.contains(**peer));
        let fates = || heard.clone().map(|(_, fate)| fate).chain([&own]);
        if let Some(acked) = fates().find(|fate| fate.is_whole()) {
            return Verdict::Settled(acked.clone());
        }
        let heard_of = heard.clone();
        let heard_of = heard_of.fold(NodeSet::EMPTY, |set, (&peer, _)| set.with(peer));
        let all_up = up.without(heard_of).is_empty();
        if let Some(acked) = fates().find(|fate| fate.is_acked()).cloned() {
            // Another node may have the result.
            return if all_up {
                Verdict::Settled(acked)
            } else {
                Verdict::Open(acked)
            };
        }
        let all = all_up && self.peers.members().without(up).is_empty();
        let unfinished = if self.has(Bug::EarlyExpiry) {
            None
        } else {
            fates()
                .filter(|fate| is_unfinished(fate))
                // Of several holders, the one with the turn has heard of progress.
                .max_by_key(|fate| (rank_of(fate), fate.is_told()))
        };
        match unfinished {
            Some(dead @ Fate::Dead { .. }) if all_up => return Verdict::Settled(dead.clone()),
            Some(fate) => return Verdict::Open(fate.clone()),
            None => {}
        }
        let ended = fates().filter(|fate| matches!(fate, Fate::Ended { .. }));
        let ended = ended.max_by_key(|fate| match fate {
            Fate::Ended { outcome, .. } => Some(*outcome),
            _ => None,
        });
        match ended {
            Some(ended) if all_up => Verdict::Settled(ended.clone()),
            // It was there, and may still be, at a node that has not answered.
            Some(_) => Verdict::Open(Fate::PENDING),
            None if all => Verdict::Settled(Fate::Unknown),
            None => Verdict::Open(Fate::Unknown),
        }
    }
}

fn is_unfinished(fate: &Fate) -> bool {
    match fate {
        Fate::Pending { .. } | Fate::Dead { .. } => true,
        Fate::Unknown | Fate::Ended { .. } => false,
    }
}

/// What an unfinished job is compared by; none for one that was never moved.
fn rank_of(fate: &Fate) -> Option<Rank> {
    match fate {
        Fate::Pending { rank, .. } | Fate::Dead { rank, .. } => *rank,
        Fate::Unknown | Fate::Ended { .. } => None,
    }
}
