//! Burying: a guarded job that fails for good moves to its dead queue.
//!
//! Who buries is who would put back: the node with the turn, the node whose client gives the job up, or a holder that asked
//! the others and got no answer. The end of a guarded job's ttl is such a moment, too: one that waits is buried at once; one
//! that a worker has, when its retry is over; and a copy without the turn outlives its ttl by the question to the holders.

use crate::delivering::Cause;
use crate::effect::Effect;
use crate::explaining::What;
use crate::extras::Tag;
use crate::id::Guarantee;
use crate::job::{Ending, JobKey, JobState, Place};
use crate::limits;
use crate::node::Node;
use crate::planted::Bug;
use crate::register::{DeadLetter, DeathReason, TEXT_MAX};
use crate::time::Time;

impl Node {
    /// Whether a job that is about to be put back is buried instead, and why.
    pub(crate) fn must_bury(&self, now: Time, key: JobKey, cause: Cause) -> Option<DeathReason> {
        let job = &self.jobs[key];
        if !job.has_extras() && !self.shared.has_rules() || job.guarantee() == Guarantee::AtMostOnce
        {
            return None;
        }
        let failed = matches!(cause, Cause::Retry | Cause::Nack | Cause::Restart);
        if failed && self.is_spent(key) {
            Some(DeathReason::Deliveries)
        } else if job.expires() <= now && self.is_guarded(key) {
            Some(DeathReason::Expired)
        } else {
            None
        }
    }

    /// Whether a job was handed out as often as it may be.
    pub(crate) fn is_spent(&self, key: JobKey) -> bool {
        let most = self.max_deliver(key);
        most.is_some_and(|most| self.handed_out(key) >= most)
    }

    /// Moves a job to its dead queue. One that is a dead letter already stays where it is, with the new text.
    pub(crate) fn bury(
        &mut self,
        now: Time,
        key: JobKey,
        reason: DeathReason,
        effects: &mut Vec<Effect>,
    ) {
        let text = self.last_reason(key);
        let deliveries = self.deliveries(key, false);
        let job = &self.jobs[key];
        let here = self.queues[job.queue].name.clone();
        let (queue, dead, life) = if let Some(former) = self.dead_letter(key) {
            let dead = DeadLetter { text, ..former };
            (here, dead, (job.added, job.ttl))
        } else {
            let dead = DeadLetter {
                from: here.as_bytes().to_vec(),
                reason,
                text,
                deliveries,
                at_ms: self.clock.wall.0,
                ttl: job.ttl,
            };
            (self.grave(key), dead, (now, self.dead_ttl(key)))
        };
        self.tally(self.jobs[key].queue, |tally| {
            tally.buried[reason as usize] += 1;
        });
        let register = self.next_register(key, Some(dead));
        self.happened(self.jobs[key].id, What::Buried(reason));
        self.take_out(now, key);
        self.set_register(now, key, (&queue, &register), life, effects);
        self.put_moved(now, key, effects);
    }

    /// What the last worker said about a job.
    fn last_reason(&self, key: JobKey) -> Vec<u8> {
        let extras = self.jobs.extras(key);
        extras.get(Tag::REASON).unwrap_or_default().to_vec()
    }

    /// REASON of NACK: kept for when the job is buried.
    pub(super) fn keep_reason(&mut self, key: JobKey, text: &[u8]) {
        let text = &text[..text.len().min(TEXT_MAX)];
        let extras = self.jobs.extras(key).with(Tag::REASON, Some(text));
        self.change_extras(key, extras);
    }

    /// The ttl of a guarded job is over. Returns whether that is all for now: it is buried, or somebody has still to say what
    /// became of it.
    pub(crate) fn outlive(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) -> bool {
        if self.jobs[key].state() == JobState::WaitReplicas && self.is_guarded(key) {
            self.keep_untaken(key);
        }
        let job = &self.jobs[key];
        let is_live = matches!(job.state(), JobState::Active | JobState::Queued);
        let is_it = is_live && job.guarantee() == Guarantee::AtLeastOnce && self.is_guarded(key);
        if !is_it {
            // What guarded it may be gone by now.
            if job.ending == Ending::Outlived {
                self.jobs[key].ending = Ending::Plain;
            }
            return false;
        }
        let job = &mut self.jobs[key];
        let former = std::mem::replace(&mut job.ending, Ending::Outlived);
        let fresh = former != Ending::Outlived;
        let waits_here = match job.place() {
            Place::Before | Place::BeforeUnsure | Place::Waiting => job.is_ours(),
            Place::List | Place::Tree => true,
            Place::Nowhere
            | Place::Unsettled
            | Place::Restored
            | Place::Evictable
            | Place::Acked => false,
        };
        if waits_here || self.has(Bug::EveryHolderBuries) {
            self.agenda.add_job(&mut self.jobs, key);
            self.bury(now, key, DeathReason::Expired, effects);
            return true;
        }
        if !fresh {
            return false;
        }
        if !self.jobs[key].is_ours() {
            let ask = now + limits::WILLQUEUE_AHEAD + self.stagger();
            let job = &mut self.jobs[key];
            job.due = job.due.min(ask);
        }
        self.agenda.add_job(&mut self.jobs, key);
        true
    }
}
