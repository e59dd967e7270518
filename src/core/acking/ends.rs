//! Ends: how a job ended, what is kept of that, and for how long.
//!
//! The messages that end a job carry how it ended and, of an ack, its result. If ends differ, an ack holds; of two results each
//! holder keeps the first.
//!
//! A job with KEEP stays after its end, at every holder, until the time that it asks for is over: acked like one that is being
//! collected, with its result. Once all holders know of the end it *rests*: nobody tells anybody anything, and it goes when
//! its time is up. A node that gets the end from another one learns from it how long that is.

use std::time::Duration;

use crate::acking::forgotten::Known;
use crate::adding::{key_left, key_until};
use crate::dedup::Keyed;
use crate::effect::Effect;
use crate::explaining::What;
use crate::extras::{Extras, Tag};
use crate::id::JobId;
use crate::job::{Ending, JobKey, Move};
use crate::message::{Holders, Message};
use crate::node::Node;
use crate::outcome::Outcome;
use crate::planted::Bug;
use crate::time::Time;

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct End {
    /// Nobody acknowledged it: its add was withdrawn.
    pub(crate) withdrawn: bool,
    /// What else is said about it. Until when it is kept is a moment of this node's timeline.
    pub(crate) extras: Extras,
}

/// What stands for a withdrawal where outcomes stand.
const WITHDRAWN: &[u8] = &[2];

impl End {
    /// Its add was withdrawn.
    pub(crate) const WITHDRAWN: End = End {
        withdrawn: true,
        extras: Extras::NONE,
    };

    /// A client acknowledged it, with a result or without.
    pub(crate) fn acked(result: Option<&[u8]>) -> End {
        match result {
            None => End::default(),
            Some(_) => End::new(result.map(|result| (Tag::RESULT, result))),
        }
    }

    /// It ended otherwise.
    pub(crate) fn other(outcome: Outcome) -> End {
        End::new(outcome.encode().map(|bytes| (Tag::OUTCOME, bytes)))
    }

    /// An older job has its key.
    pub(crate) fn duplicate(of: JobId) -> End {
        let outcome = Outcome::Duplicate.encode();
        let outcome = outcome.map(|bytes| (Tag::OUTCOME, bytes));
        End {
            withdrawn: false,
            extras: Extras::new(
                outcome
                    .into_iter()
                    .chain([(Tag::DUPLICATE_OF, &of.as_bytes()[..])]),
            ),
        }
    }

    fn new(extra: Option<(Tag, &[u8])>) -> End {
        End {
            withdrawn: false,
            extras: Extras::new(extra),
        }
    }

    /// What a message says, at this moment.
    pub(crate) fn told(now: Time, withdrawn: bool, extras: &Extras) -> End {
        let kept = kept(extras).map(|left| now + Duration::from_millis(left));
        let extras = if extras.get(Tag::KEPT_IN).is_some() {
            key_until(extras, now)
        } else {
            without_key(extras)
        };
        End {
            withdrawn,
            extras: with_kept(&extras, kept),
        }
    }

    /// What DELJOB says, at this moment: it has no other place for a withdrawal.
    pub(crate) fn told_last(now: Time, extras: &Extras) -> End {
        if extras.get(Tag::OUTCOME) == Some(WITHDRAWN) {
            return End::WITHDRAWN;
        }
        End::told(now, false, extras)
    }

    /// The reverse of [`End::told_last`].
    pub(super) fn to_tell_last(&self, now: Time) -> Extras {
        if self.withdrawn {
            return Extras::new([(Tag::OUTCOME, WITHDRAWN)]);
        }
        self.to_tell(now)
    }

    /// What a message says of it, at this moment.
    pub(super) fn to_tell(&self, now: Time) -> Extras {
        match self.kept_until() {
            Some(until) => {
                let left = until.since(now).as_millis() as u64;
                without_key(&self.extras).with(Tag::KEPT, Some(&left.to_le_bytes()))
            }
            None => self.extras.clone(),
        }
    }

    /// What a message says that asks its receiver to keep it, as the end of a job of this queue.
    pub(super) fn to_bequeath(&self, now: Time, queue: &[u8]) -> Extras {
        let key = key_left(&self.extras, now);
        self.to_tell(now)
            .with(Tag::DEDUP_KEY, key.get(Tag::DEDUP_KEY))
            .with(Tag::KEPT_IN, Some(queue))
    }

    /// Takes out the queue of the job, which is there if the receiver is to keep this end.
    pub(super) fn take_queue(&mut self) -> Option<Vec<u8>> {
        let queue = self.extras.get(Tag::KEPT_IN)?.to_vec();
        self.extras = self.extras.with(Tag::KEPT_IN, None);
        Some(queue)
    }

    /// Until when it is kept, if it is.
    pub(crate) fn kept_until(&self) -> Option<Time> {
        kept(&self.extras).map(Time::from_millis)
    }

    /// What is remembered of it.
    pub(crate) fn known(&self) -> Known {
        if self.withdrawn {
            Known::Withdrawn
        } else {
            Known::Everywhere(Outcome::of(&self.extras))
        }
    }

    /// What a client said with its ack.
    fn result(&self) -> Option<&[u8]> {
        self.extras.get(Tag::RESULT)
    }

    /// What clients hear beside the outcome: the result of an ack; for a duplicate, the other job.
    pub(crate) fn detail(&self) -> Option<&[u8]> {
        self.result().or_else(|| self.extras.get(Tag::DUPLICATE_OF))
    }

    /// Of a duplicate, the older job.
    pub(super) fn older(&self) -> Option<JobId> {
        let bytes = self.extras.get(Tag::DUPLICATE_OF)?;
        Some(JobId::from_bytes(bytes.try_into().ok()?))
    }

    /// Whether a key of DEDUP goes on counting after it: a client that deletes a job frees its key.
    fn holds_key(&self) -> bool {
        !self.withdrawn && Outcome::of(&self.extras) != Outcome::Deleted
    }

    /// The message about it of a node that has no copy.
    pub(super) fn message(&self, id: JobId) -> Message {
        Message::SetAck {
            id,
            holders: Holders::default(),
            withdrawn: self.withdrawn,
            extras: self.extras.clone(),
        }
    }

    pub(super) fn ending(&self) -> Ending {
        if self.withdrawn {
            Ending::Withdrawn
        } else if kept(&self.extras).is_some() {
            Ending::Kept
        } else {
            Ending::Plain
        }
    }

    /// Whether it holds over another one.
    fn beats(&self, other: &End) -> bool {
        let (ours, theirs) = (self.known(), other.known());
        let first_result = self.result().is_some() && other.result().is_none();
        ours > theirs || ours == theirs && first_result
    }
}

fn kept(extras: &Extras) -> Option<u64> {
    extras
        .get(Tag::KEPT)?
        .try_into()
        .ok()
        .map(u64::from_le_bytes)
}

/// Each holder keeps the key of its own copy.
fn without_key(extras: &Extras) -> Extras {
    if extras.get(Tag::DEDUP_KEY).is_none() {
        return extras.clone();
    }
    extras.with(Tag::DEDUP_KEY, None)
}

fn with_kept(extras: &Extras, until: Option<Time>) -> Extras {
    match until {
        Some(until) => extras.with(Tag::KEPT, Some(&until.as_millis().to_le_bytes())),
        None => extras.clone(),
    }
}

/// Until when the key of a job with these extras counts, whatever becomes of it; none if that is over.
fn window_of(extras: &Extras, now: Time) -> Option<Time> {
    let until = Time::from_millis(Keyed::of(extras)?.until);
    (until > now).then_some(until)
}

impl Node {
    /// How an acked job ended.
    pub(crate) fn end_of(&self, key: JobKey) -> End {
        End {
            withdrawn: self.jobs[key].is_withdrawn(),
            extras: self.jobs.extras(key),
        }
    }

    /// Until when such an end of a job that is not over is to be kept, because of KEEP or of a WINDOW that still runs; none if
    /// it is not.
    #[inline]
    pub(super) fn to_keep(&self, now: Time, key: JobKey, end: &End) -> Option<Time> {
        if self.jobs[key].has_extras() {
            self.to_keep_with_extras(now, key, end)
        } else {
            None
        }
    }

    fn to_keep_with_extras(&self, now: Time, key: JobKey, end: &End) -> Option<Time> {
        if end.withdrawn {
            return None;
        }
        let extras = self.jobs.extras(key);
        let told = end.kept_until();
        let keep = told.or_else(|| extras.keep().map(|keep| now.after_secs(keep)));
        keep.max(window_of(&extras, now).filter(|_| end.holds_key()))
    }

    /// Until when the key of a job counts even if the job ends now; none if it does not.
    pub(super) fn window(&self, now: Time, key: JobKey) -> Option<Time> {
        if !self.jobs[key].has_extras() {
            return None;
        }
        window_of(&self.jobs.extras(key), now)
    }

    /// A job is about to end: says until when that is kept.
    pub(super) fn with_keep(&self, now: Time, key: JobKey, end: End) -> End {
        let Some(until) = self.to_keep(now, key, &end) else {
            return end;
        };
        let extras = self.jobs.extras(key);
        let key_of = extras.get(Tag::DEDUP_KEY);
        let key_of = key_of.filter(|_| end.holds_key() && window_of(&extras, now).is_some());
        End {
            withdrawn: false,
            extras: with_kept(&end.extras, Some(until)).with(Tag::DEDUP_KEY, key_of),
        }
    }

    /// Another node, or another client here, says how a job ended that is over here: that may hold over what was known.
    pub(super) fn merge_end(&mut self, key: JobKey, end: &End, effects: &mut Vec<Effect>) {
        let ours = self.end_of(key);
        if !end.beats(&ours) {
            return;
        }
        let until = ours.kept_until().max(end.kept_until());
        let key_of = ours.extras.get(Tag::DEDUP_KEY).filter(|_| end.holds_key());
        let end = End {
            withdrawn: false,
            extras: with_kept(&end.extras, until).with(Tag::DEDUP_KEY, key_of),
        };
        self.agenda.remove_job(&mut self.jobs, key);
        self.live_until(key, until);
        self.agenda.add_job(&mut self.jobs, key);
        self.change_end(key, end);
        self.record_ack(key, effects);
        self.note_fate(self.jobs[key].id);
    }

    /// A job that is over stays at least until then.
    pub(super) fn live_until(&mut self, key: JobKey, until: Option<Time>) {
        let job = &mut self.jobs[key];
        if let Some(until) = until.filter(|&until| job.expires() < until) {
            let millis = until.since(job.added).as_millis() as u64;
            job.ttl = u32::try_from(millis.div_ceil(1000)).unwrap_or(u32::MAX);
        }
    }

    /// Until when a job stays whose end is kept, if that is not over.
    pub(crate) fn rests_until(&self, now: Time, key: JobKey) -> Option<Time> {
        let until = self.end_of(key).kept_until();
        until.filter(|&until| until > now && !self.has(Bug::EndNotKept))
    }

    /// Everybody knows of the end of a job. Returns whether it stays because its end is kept.
    pub(crate) fn rest(&mut self, now: Time, key: JobKey) -> bool {
        let Some(until) = self.rests_until(now, key) else {
            return false;
        };
        self.collections.rest(key);
        self.agenda.remove_job(&mut self.jobs, key);
        let job = &mut self.jobs[key];
        (job.added, job.ttl) = (until, 0);
        self.agenda.add_job(&mut self.jobs, key);
        self.move_job(key, Move::Remind, Time::NEVER);
        true
    }

    /// Everybody knows of the end of a job: it rests, or goes.
    pub(super) fn rest_or_go(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        if !self.rest(now, key) {
            self.let_go(now, key, &self.end_of(key), effects);
        }
    }

    /// Nobody here needs a job any more that ended so. Only its end is remembered.
    pub(super) fn let_go(&mut self, now: Time, key: JobKey, end: &End, effects: &mut Vec<Effect>) {
        let id = self.jobs[key].id;
        self.tally_end(now, key, end.known());
        self.forget(now, key, effects);
        self.remember_end(now, id, end);
    }

    /// A job ended at this node alone, if it was not over.
    pub(crate) fn end_here(
        &mut self,
        now: Time,
        key: JobKey,
        outcome: Outcome,
        effects: &mut Vec<Effect>,
    ) {
        let id = self.jobs[key].id;
        self.happened(id, What::Ended(Known::Here(outcome)));
        self.tally_end(now, key, Known::Here(outcome));
        self.forget(now, key, effects);
        self.remember(now, id, Known::Here(outcome));
    }
}
