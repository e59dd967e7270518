//! Copies of jobs: sending one, taking one, and saying whether it is here.
//!
//! A copy waits, active, for its retry: should the node that queued the job not bring it to an end, this one queues it.

use std::time::Duration;

use crate::dedup::Keyed;
use crate::delivering::Cause;
use crate::effect::{Effect, News};
use crate::explaining::What;
use crate::extras::Extras;
use crate::id::{Guarantee, JobId, NodeId};
use crate::job::{Beside, Ending, Job, JobKey, JobState, Links, Stand};
use crate::members::{NodeSet, PeerKey};
use crate::message::{Copy, Holders, Message};
use crate::node::{MemoryLevel, Node};
use crate::record::{Location, Record};
use crate::register::Register;
use crate::telling::Share;
use crate::time::Time;

impl Node {
    /// Sends copies of a job to these peers, as far as they know what they get.
    pub(crate) fn offer(&mut self, now: Time, key: JobKey, to: NodeSet, effects: &mut Vec<Effect>) {
        if to.is_empty() || self.jobs[key].body.is_lost() {
            return;
        }
        let to = to.and(self.peers.knowing(&self.jobs.extras(key)));
        let copy = self.copy_of(now, key);
        let waits = self.jobs[key].waits(now);
        for peer in to.iter() {
            self.send(peer, Message::ReplJob(Box::new(copy.clone())), effects);
            if waits {
                // A copy does not say that the job was given back, and until when it waits.
                self.send(peer, self.working_message(now, key), effects);
            }
        }
    }

    /// A job as it travels.
    pub(crate) fn copy_of(&mut self, now: Time, key: JobKey) -> Copy {
        let holders = self.holders_of(key);
        let job = &self.jobs[key];
        Copy {
            id: job.id,
            queue: self.queues[job.queue].name.clone(),
            body: job.body.clone(),
            created: self.created(key),
            age_ms: now.since(job.added).as_millis() as u64,
            ttl: job.ttl,
            delay: job.delay,
            retry: job.retry,
            replicate: job.replicate,
            nacks: job.nacks,
            additional_deliveries: job.additional_deliveries,
            moves: job.moves,
            holders,
            extras: key_left(&self.jobs.extras(key), now),
        }
    }

    /// All that may hold a job, this node included if a restart would bring the job back here.
    fn holders_of(&mut self, key: JobKey) -> Holders {
        let here = self.must_record(key);
        self.peers
            .list(self.jobs[key].holders, here.then_some(self.id))
    }

    /// Tells these peers who holds a job, which asks them whether they do.
    pub(crate) fn tell_holders(
        &mut self,
        key: JobKey,
        to: NodeSet,
        copies: u16,
        effects: &mut Vec<Effect>,
    ) {
        let holders = self.holders_of(key);
        let id = self.jobs[key].id;
        for peer in to.iter() {
            let holders = holders.clone();
            self.send(
                peer,
                Message::Holders {
                    id,
                    holders,
                    copies,
                },
                effects,
            );
        }
    }

    /// More nodes may hold a job than this one knew.
    pub(crate) fn merge_holders(&mut self, key: JobKey, more: NodeSet, effects: &mut Vec<Effect>) {
        let job = &mut self.jobs[key];
        let merged = job.holders.or(more);
        if merged == job.holders {
            return;
        }
        job.holders = merged;
        // A set that was empty had nobody to be warned.
        self.agenda.remove_job(&mut self.jobs, key);
        self.agenda.add_job(&mut self.jobs, key);
        let id = self.jobs[key].id;
        let holders = self.peers.list(merged, None);
        self.persist(Record::Holders { id, holders }, effects);
    }

    pub(crate) fn on_repl_job(
        &mut self,
        now: Time,
        from: PeerKey,
        copy: Copy,
        effects: &mut Vec<Effect>,
    ) {
        // The sender hears of the purge, too.
        if self.is_copy_purged(&copy) {
            return;
        }
        self.regain(&copy.id, &copy.body, effects);
        if self.answer_holder(from, copy.id, &copy.holders, effects) {
            let known = self.jobs.find(&copy.id).filter(|&key| {
                let job = &self.jobs[key];
                job.state() != JobState::Acked && job.guarantee() == Guarantee::AtLeastOnce
            });
            if let Some(key) = known {
                self.hear_copy(now, from, key, &copy, effects);
                self.hear_accepted(key, &copy.extras, effects);
            }
            return;
        }
        // Who is refused needs no answer: the sender asks somebody else, and hears soon why.
        if self.is_going() || self.memory_level() >= MemoryLevel::Evict {
            return;
        }
        let id = copy.id;
        let key = self.keep_copy(now, copy);
        self.happened(id, What::Kept(self.maker_of(from)));
        self.persist_job(key, News::Job, effects);
        self.send(from, Message::GotJob(id), effects);
        if self.jobs[key].holders.contains(from) {
            self.healing.recent.note(now, from, key);
        }
        self.note_short(now, key);
    }

    pub(crate) fn on_holders(
        &mut self,
        now: Time,
        from: PeerKey,
        id: JobId,
        holders: &[NodeId],
        copies: u16,
        effects: &mut Vec<Effect>,
    ) {
        if self.answer_holder(from, id, holders, effects) {
            if let Some(key) = self.jobs.find(&id) {
                self.heal_told(now, key, copies);
            }
        } else {
            self.send(from, Message::Missing(id), effects);
        }
    }

    /// A peer lacks a copy that it was asked about: it gets one, if it is counted on.
    pub(crate) fn on_missing(
        &mut self,
        now: Time,
        from: PeerKey,
        id: JobId,
        effects: &mut Vec<Effect>,
    ) {
        let Some(key) = self.jobs.find(&id) else {
            return;
        };
        let job = &self.jobs[key];
        if job.holders.contains(from) && job.state() != JobState::Acked {
            self.heal_missing(key, from);
            self.offer(now, key, NodeSet::only(from), effects);
        }
    }

    pub(crate) fn on_enqueue_message(
        &mut self,
        now: Time,
        from: PeerKey,
        (id, extras): (JobId, &Extras),
        delay_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        if self.answer_forgotten(from, id, effects) {
            return;
        }
        let Some(key) = self.jobs.find(&id) else {
            self.send(from, Message::Missing(id), effects);
            return;
        };
        if !self.hear_register(now, from, key, extras, effects) {
            return;
        }
        let job = &self.jobs[key];
        match job.state() {
            // Who has it out waits for its ack, and nothing brings an at-most-once job back.
            JobState::Active if job.is_ours() && !job.place().is_before() => {
                self.tell_working(now, key, effects);
            }
            JobState::Active if delay_ms > 0 => {
                self.delay(now, key, now + Duration::from_millis(delay_ms));
            }
            JobState::Active => {
                // A node that leaves hears of it before a client of this one can have it.
                let queue = self.jobs[key].queue;
                if self.put_back(now, key, Cause::Given, effects) {
                    self.note_entry(now, key);
                    self.send(from, self.queued_message(now, key), effects);
                    self.serve(now, queue, effects);
                }
            }
            JobState::Queued => self.send(from, self.queued_message(now, key), effects),
            JobState::WaitReplicas | JobState::Acked => {}
        }
    }

    /// If the job is known here: merges the holders, and says that it is here, or that it is over.
    fn answer_holder(
        &mut self,
        from: PeerKey,
        id: JobId,
        holders: &[NodeId],
        effects: &mut Vec<Effect>,
    ) -> bool {
        if self.answer_forgotten(from, id, effects) {
            return true;
        }
        let Some(key) = self.jobs.find(&id) else {
            return false;
        };
        let holders = self.peers.set_of(holders, self.id);
        self.merge_holders(key, holders, effects);
        if self.jobs[key].body.is_lost() {
            return false;
        }
        self.send(from, Message::GotJob(id), effects);
        true
    }

    /// Keeps a copy that another node sent, active until its retry is over.
    pub(crate) fn keep_copy(&mut self, now: Time, copy: Copy) -> JobKey {
        self.made.note_job(&copy.id, &copy.extras, copy.created);
        let added = now - Duration::from_millis(copy.age_ms);
        let due = added.after_secs(copy.delay).max(now);
        let holders = self.peers.set_of(&copy.holders, self.id);
        let queue = self.queues.find_or_add(copy.queue.as_bytes());
        let register = Register::of(&copy.extras);
        let mut job = Job {
            id: copy.id,
            body: copy.body,
            entered: register
                .as_ref()
                .map_or(copy.created, |register| register.entered),
            added,
            due: Time::NEVER,
            holders,
            ttl: copy.ttl,
            delay: copy.delay,
            retry: copy.retry,
            nacks: copy.nacks,
            additional_deliveries: copy.additional_deliveries,
            queue,
            order: Links::NONE,
            agenda: Links::NONE,
            segment: self.segments.current(),
            offset: Location::FAR,
            replicate: copy.replicate,
            stand: Stand::kept(),
            counted: Share::None,
            since: 0,
            short: false,
            ending: Ending::Plain,
            priority: 0,
            beside: Beside::Nothing,
            moves: copy.moves,
        };
        if job.guarantee() == Guarantee::AtLeastOnce {
            job.due = job.retry_elsewhere(due) + self.stagger();
        }
        self.insert(job, key_until(&copy.extras, now))
    }
}

/// The extras of a job as they travel: a key of DEDUP says for how long it counts, whatever becomes of the job.
pub(crate) fn key_left(extras: &Extras, now: Time) -> Extras {
    with_until(extras, |until| {
        Time::from_millis(until).since(now).as_millis() as u64
    })
}

/// The reverse of [`key_left`].
pub(crate) fn key_until(extras: &Extras, now: Time) -> Extras {
    with_until(extras, |left| {
        (now + Duration::from_millis(left)).as_millis()
    })
}

fn with_until(extras: &Extras, change: impl FnOnce(u64) -> u64) -> Extras {
    match Keyed::of(extras) {
        Some(mut keyed) => {
            keyed.until = change(keyed.until);
            keyed.put(extras)
        }
        None => extras.clone(),
    }
}
