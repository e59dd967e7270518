//! Waiting: what BACKOFF and DELAY of NACK do.
//!
//! The node that took the NACK keeps the turn, and tells the holders at once (a WORKING marked as a wait). All of them record
//! until when the job waits. So neither a restart nor the loss of a node cuts a wait short; only a holder that did not hear of the
//! NACK may queue the job after its retry.

use std::time::Duration;

use rand::RngExt;

use crate::delivering::Cause;
use crate::effect::{Effect, News};
use crate::explaining::What;
use crate::extras::{Extras, Tag};
use crate::job::{JobKey, JobState, Move, Place};
use crate::members::PeerKey;
use crate::node::Node;
use crate::planted::Bug;
use crate::policy::Backoff;
use crate::time::Time;

impl Node {
    /// How long a job waits that was just given back, as BACKOFF says.
    pub(super) fn backoff_wait(&mut self, key: JobKey, backoff: Backoff) -> Duration {
        let before = self.jobs[key].nacks;
        let seconds = u64::from(backoff.base).saturating_mul(1 << before.min(32));
        let millis = seconds.min(u64::from(backoff.max)) * 1000;
        let share = self.random.random_range(800..=1200);
        Duration::from_millis(millis * share / 1000)
    }

    /// A job that was given back waits here; not longer than half of the life that it has left.
    pub(super) fn put_off(
        &mut self,
        now: Time,
        key: JobKey,
        wait: Duration,
        effects: &mut Vec<Effect>,
    ) {
        self.count_queueing(key, Cause::Nack);
        let left = self.jobs[key].expires().since(now).as_millis() as u64;
        let until = now + wait.min(Duration::from_millis(left / 2));
        self.take_turn(key);
        self.move_job(key, Move::PutOff, until);
        self.happened(self.jobs[key].id, What::Waits(self.wall_at(until)));
        self.open_queue(now, self.jobs[key].queue);
        self.persist_counts(key, News::Nothing, effects);
        self.tell_working(now, key, effects);
    }

    /// The log says until when a job waits.
    pub(crate) fn load_wait(&mut self, key: JobKey, until: Option<Time>) {
        let job = &mut self.jobs[key];
        if job.state() != JobState::Active {
            return;
        }
        if let Some(until) = until {
            job.make(Move::PutOff);
            job.due = until;
        } else if job.place() == Place::Waiting {
            job.make(Move::LoadOut(Place::Nowhere));
            job.due = Time::NEVER;
        }
    }

    /// Another node says that it has a job waiting until then.
    pub(crate) fn wait_elsewhere(
        &mut self,
        now: Time,
        key: JobKey,
        (until, nacks): (Time, u32),
        effects: &mut Vec<Effect>,
    ) {
        let job = &mut self.jobs[key];
        job.nacks = job.nacks.max(nacks);
        self.give_turn(now, key, until);
        self.move_job(key, Move::PutOff, until);
        self.persist_counts(key, News::Nothing, effects);
    }

    /// A job waits here, and another node says that it has it queued, after this number of NACKs. Returns whether it says so because
    /// it had not heard of the one that made the job wait. If this node took that one, the sender is told again.
    pub(crate) fn waits_on(
        &self,
        now: Time,
        from: PeerKey,
        (key, nacks): (JobKey, u32),
        effects: &mut Vec<Effect>,
    ) -> bool {
        let job = &self.jobs[key];
        let waits = job.waits(now) && nacks < job.nacks;
        if waits && job.is_ours() {
            self.send(from, self.working_message(now, key), effects);
        }
        waits
    }

    /// A job waits here by a NACK that this node took, and another node says that a client works on it. That node may not have
    /// heard of the NACK: it is told, and asked before the job is queued. Returns whether that is so.
    pub(crate) fn keeps_waiting(
        &self,
        now: Time,
        from: PeerKey,
        key: JobKey,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let job = &self.jobs[key];
        let waits = job.waits(now) && job.is_ours() && !self.has(Bug::CutWait);
        if waits {
            self.send(from, self.working_message(now, key), effects);
        }
        waits
    }

    /// The wait of a job ends before its time: that is recorded, for a restart would begin it again.
    pub(crate) fn end_wait(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        if self.jobs[key].waits(now) {
            self.jobs[key].make(Move::TakeTurn);
            self.persist_counts(key, News::Nothing, effects);
        }
    }

    /// Says in a record until when a job waits.
    pub(super) fn with_wait_until(&self, key: JobKey, extras: &Extras) -> Extras {
        let job = &self.jobs[key];
        if !job.is_put_off() {
            return extras.clone();
        }
        let until = job.due.as_millis().to_le_bytes();
        extras.with(Tag::WAITS, Some(&until))
    }

    /// Marks what a message says of a job that waits here.
    pub(crate) fn with_wait(&self, now: Time, key: JobKey, extras: &Extras) -> Extras {
        let job = &self.jobs[key];
        if !job.is_put_off() {
            return extras.clone();
        }
        let left = job.due.since(now).as_millis() as u64;
        let mut wait = left.to_le_bytes().to_vec();
        wait.extend(job.nacks.to_le_bytes());
        extras.with(Tag::WAITS, Some(&wait))
    }
}

/// Takes out of the extras of a record until when the job waits, if it does.
pub(crate) fn taken_wait(extras: Extras) -> (Extras, Option<Time>) {
    let bytes = extras
        .get(Tag::WAITS)
        .and_then(|bytes| bytes.try_into().ok());
    match bytes.map(u64::from_le_bytes) {
        Some(millis) => (
            extras.with(Tag::WAITS, None),
            Some(Time::from_millis(millis)),
        ),
        None => (extras, None),
    }
}

/// Whether a message says that the job waits; and then how often it was given back.
pub(crate) fn wait_told(extras: &Extras) -> Option<u32> {
    let (_, nacks) = extras.get(Tag::WAITS)?.split_first_chunk::<8>()?;
    nacks.try_into().ok().map(u32::from_le_bytes)
}
