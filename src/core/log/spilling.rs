//! Spilling: bodies that leave memory when it is short, for they are in the log anyway.
//!
//! From 75 % of maxmemory on the coldest bodies go, in small steps, until there is less: those of new jobs as soon as
//! their records are written, then those that a sweep over the slots finds, from the newest down. Jobs that are soon
//! delivered keep their bodies, unless nothing else is left. A body that left stays in the log: effects carry its place,
//! and the shell reads the bytes ([`Body::spilled_to`]). Before a record is copied into a newer segment, the shell reads
//! its body ([`Effect::Fetch`]); from then on the body is in memory like that of a new job.
//!
//! A body that is damaged, or gone, is lost here. Its job is set aside: it is never queued, and its holders are asked for
//! their copy until one sends it. One that only cannot be read at the moment is no reason to give up what may be the last
//! copy: its record stays, and the job is queued again a while later ([`Event::Postponed`](crate::event::Event::Postponed)).

use std::collections::VecDeque;

use crate::agenda::Timer;
use crate::effect::{Effect, News};
use crate::explaining::What;
use crate::id::{Guarantee, JobId};
use crate::job::{Body, Job, JobKey, JobState, Move};
use crate::limits;
use crate::message::Message;
use crate::node::{Log, MemoryPolicy, Node};
use crate::record::Location;
use crate::time::Time;

/// What has left memory, and what may go next.
#[derive(Debug)]
pub(crate) struct Spilling {
    /// What lies before it in the log is written.
    pub(super) readable: Location,
    /// Jobs that were recorded while memory was short, in the order of their records.
    fresh: VecDeque<JobKey>,
    sweep: Sweep,
    timer: Option<Time>,
    /// Bodies that are only in the log, and their bytes.
    pub(super) jobs: usize,
    pub(super) bytes: usize,
    /// Bytes of bodies that are being read, so that their jobs can be recorded again.
    fetching: usize,
}

/// A pass over all slots, from the last down to the first.
#[derive(Debug, Clone, Copy, Default)]
struct Sweep {
    /// It has come down to this slot.
    above: u32,
    /// The pass before it found too little: jobs that are soon delivered give theirs, too.
    urgent: bool,
    /// Nothing was left to take: it goes on at this moment.
    rests_until: Time,
}

impl Default for Spilling {
    fn default() -> Self {
        Spilling {
            readable: Location::new(0, 0),
            fresh: VecDeque::new(),
            sweep: Sweep::default(),
            timer: None,
            jobs: 0,
            bytes: 0,
            fetching: 0,
        }
    }
}

impl Spilling {
    /// All jobs are gone; what is being read still comes.
    pub(crate) fn clear(&mut self) {
        *self = Spilling {
            readable: self.readable,
            fetching: self.fetching,
            ..Spilling::default()
        };
    }

    /// Whether bodies are being read for a pass over the log.
    pub(crate) fn is_fetching(&self) -> bool {
        self.fetching > 0
    }

    /// Whether enough is being read, so that more should wait.
    pub(super) fn is_fetching_enough(&self) -> bool {
        self.fetching >= limits::FETCH_BYTES
    }
}

impl Node {
    /// Whether bodies leave memory when it is short.
    pub fn may_spill(&self) -> bool {
        let settings = &self.settings;
        settings.memory == MemoryPolicy::Spill && settings.log == Log::On && settings.max_memory > 0
    }

    /// Whether [`crate::event::Event::Written`] is wanted whenever there is something new to tell.
    pub fn is_spilling(&self) -> bool {
        self.may_spill() && (!self.spilling.fresh.is_empty() || self.excess() > 0)
    }

    /// Bodies that are in the log alone.
    pub fn spilled_jobs(&self) -> usize {
        self.spilling.jobs
    }

    /// Their bytes.
    pub fn spilled_bytes(&self) -> usize {
        self.spilling.bytes
    }

    /// Bytes in use beyond what bodies may fill.
    fn excess(&self) -> u64 {
        let room = self.settings.max_memory / 100 * limits::MEMORY_EXTERNAL;
        self.used_by_load().saturating_sub(room)
    }

    /// A body is part of a job from now on.
    pub(crate) fn count_body(&mut self, body: &Body) {
        if body.spilled_to().is_some() {
            self.spilling.jobs += 1;
            self.spilling.bytes += body.len();
        }
        self.body_bytes += body.memory();
    }

    /// The reverse of [`Node::count_body`].
    pub(crate) fn uncount_body(&mut self, body: &Body) {
        if body.spilled_to().is_some() {
            self.spilling.jobs -= 1;
            self.spilling.bytes -= body.len();
        }
        self.body_bytes -= body.memory();
    }

    /// Gives a job another body.
    pub(crate) fn replace_body(&mut self, key: JobKey, body: Body) {
        self.count_body(&body);
        let former = std::mem::replace(&mut self.jobs[key].body, body);
        self.uncount_body(&former);
        self.recount_body(key, former.len());
    }

    /// The records of these jobs were given to the log, and will lie there.
    pub(crate) fn on_recorded(&mut self, now: Time, records: &[(JobId, Location)]) {
        let short = self.may_spill() && self.excess() > 0;
        for (id, at) in records {
            let Some(key) = self.jobs.find(id) else {
                continue;
            };
            let job = &mut self.jobs[key];
            if job.segment == at.segment && job.body.is_here() {
                job.offset = at.offset;
                if short {
                    self.spilling.fresh.push_back(key);
                }
            }
        }
        self.watch_memory(now);
    }

    /// Sees to it that spilling goes on by itself.
    pub(crate) fn watch_memory(&mut self, now: Time) {
        if self.spilling.timer.is_none() && self.is_spilling() {
            let pause = if self.spilling.fresh.is_empty() {
                self.spilling.sweep.rests_until
            } else {
                now
            };
            let when = pause.max(now + limits::SPILL_PAUSE);
            self.spilling.timer = Some(when);
            self.agenda.add_timer(when, Timer::Spilling);
        }
    }

    /// The shell looks after each tick how far the log is written.
    pub(crate) fn on_spilling(&mut self) {
        self.spilling.timer = None;
    }

    /// What lies before `readable` is written: the next step of spilling.
    pub(crate) fn on_written(&mut self, now: Time, readable: Location) {
        // Of two that cross on their way, the later one knows more.
        self.spilling.readable = self.spilling.readable.max(readable);
        if self.may_spill() {
            let mut looks = limits::SPILL_LOOKS;
            let mut excess = self.excess();
            self.spill_fresh(now, &mut looks, &mut excess);
            self.sweep_bodies(now, &mut looks, &mut excess);
        } else {
            self.spilling.fresh.clear();
        }
        self.watch_memory(now);
    }

    fn spill_fresh(&mut self, now: Time, looks: &mut u32, excess: &mut u64) {
        while let Some(&key) = self.spilling.fresh.front()
            && *looks > 0
        {
            let job = self.jobs.get(key).filter(|job| job.body.is_here());
            if job.is_some_and(|job| self.is_recorded(job) && !self.is_readable(job)) {
                return;
            }
            self.spilling.fresh.pop_front();
            *looks -= 1;
            if *excess > 0 && job.is_some_and(|job| self.is_cold(now, job)) {
                *excess = excess.saturating_sub(self.spill(key));
            }
        }
    }

    fn sweep_bodies(&mut self, now: Time, looks: &mut u32, excess: &mut u64) {
        let mut sweep = self.spilling.sweep;
        sweep.above = sweep.above.min(self.jobs.end());
        while *excess > 0 && *looks > 0 && sweep.rests_until <= now {
            if sweep.above == 0 {
                if sweep.urgent {
                    sweep.rests_until = now + limits::SPILL_REST;
                }
                (sweep.above, sweep.urgent) = (self.jobs.end(), !sweep.urgent);
                // Of an empty node nothing can be taken.
                if sweep.above == 0 {
                    break;
                }
            }
            sweep.above -= 1;
            *looks -= 1;
            let key = JobKey(sweep.above);
            let goes = self.jobs.get(key).is_some_and(|job| {
                self.is_readable(job) && (sweep.urgent || self.is_cold(now, job))
            });
            if goes {
                *excess = excess.saturating_sub(self.spill(key));
            }
        }
        if *excess == 0 {
            sweep.urgent = false;
        }
        self.spilling.sweep = sweep;
    }

    /// It is known where its record lies, or will lie.
    fn is_recorded(&self, job: &Job) -> bool {
        job.segment >= self.segments.oldest() && job.offset != Location::FAR
    }

    /// Its body can be dropped, and read back.
    fn is_readable(&self, job: &Job) -> bool {
        let state = !matches!(job.state(), JobState::WaitReplicas | JobState::Acked);
        let body = state && job.body.is_here() && job.body.len() > 0;
        body && self.is_recorded(job) && location(job) < self.spilling.readable
    }

    /// It is not delivered soon, as far as that can be told without a walk through its queue: where it stands there is
    /// judged by its age.
    fn is_cold(&self, now: Time, job: &Job) -> bool {
        match job.state() {
            JobState::Active => job.due > now + limits::SPILL_AHEAD,
            JobState::Queued => {
                let queue = &self.queues[job.queue];
                queue.place_by_age(&self.jobs, job.entered) >= limits::SPILL_HOT
            }
            JobState::WaitReplicas | JobState::Acked => false,
        }
    }

    /// Drops a body that can be read back. Returns the bytes that this frees.
    fn spill(&mut self, key: JobKey) -> u64 {
        let job = &self.jobs[key];
        if !self.is_readable(job) {
            return 0;
        }
        let Ok(length) = u32::try_from(job.body.len()) else {
            return 0;
        };
        let freed = job.body.memory();
        let body = Body::spilled(location(job), length);
        self.replace_body(key, body);
        freed as u64
    }

    /// While the log is read: keeps memory within its bounds.
    pub(super) fn spill_while_loading(&mut self, key: JobKey, read: Location) {
        if !self.may_spill() {
            return;
        }
        let excess = self.excess();
        if excess > 0 {
            let after = Location::new(read.segment, u64::from(read.offset) + 1);
            self.spilling.readable = after;
            let mut excess = excess.saturating_sub(self.spill(key));
            let mut looks = limits::SPILL_LOOKS_LOADING;
            self.sweep_bodies(Time::ZERO, &mut looks, &mut excess);
        }
    }

    /// The body of a job that a pass records again is not in memory: asks for it.
    pub(super) fn fetch(&mut self, key: JobKey, effects: &mut Vec<Effect>) {
        let job = &self.jobs[key];
        self.spilling.fetching += job.body.len();
        effects.push(Effect::Fetch(job.id, job.body.clone()));
    }

    /// The shell read a body that a pass asked for, or lost it.
    pub(crate) fn on_fetched(
        &mut self,
        now: Time,
        id: &JobId,
        place: &Body,
        read: Option<Body>,
        effects: &mut Vec<Effect>,
    ) {
        self.spilling.fetching = self.spilling.fetching.saturating_sub(place.len());
        let Some(body) = read else {
            return self.on_unreadable(now, id, place, effects);
        };
        let Some(key) = self.jobs.find(id) else {
            return;
        };
        if self.jobs[key].body == *place {
            self.replace_body(key, body);
            self.record_again(key, News::Nothing, effects);
        }
    }

    /// The shell cannot read a body that a pass asked for at the moment. The next pass asks again.
    pub(crate) fn on_not_fetched(&mut self, place: &Body) {
        self.spilling.fetching = self.spilling.fetching.saturating_sub(place.len());
    }

    /// The record of a job lies in the current segment from now on.
    pub(super) fn record_again(&mut self, key: JobKey, news: News, effects: &mut Vec<Effect>) {
        self.move_record(key, self.segments.current());
        self.persist_job(key, news, effects);
    }

    /// The bytes of a body that was handed out, or looked at, are not where they should be.
    pub(crate) fn on_unreadable(
        &mut self,
        now: Time,
        id: &JobId,
        place: &Body,
        effects: &mut Vec<Effect>,
    ) {
        let Some(key) = self.jobs.find(id) else {
            // An at-most-once job that was on its way to another node.
            self.counters.unreadable += 1;
            return;
        };
        if self.jobs[key].body != *place {
            return;
        }
        self.counters.unreadable += 1;
        // What cannot be read need not be kept.
        self.move_record(key, 0);
        self.replace_body(key, Body::lost());
        if self.jobs[key].state() == JobState::Queued {
            self.leave_queue(now, key);
            self.set_aside(now, key, effects);
        }
    }

    /// A job whose body is lost is not queued. Its holders are asked for it, now and then.
    pub(crate) fn set_aside(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        let job = &self.jobs[key];
        let requeue = match job.guarantee() {
            Guarantee::AtMostOnce => Time::NEVER,
            Guarantee::AtLeastOnce if job.holders.is_empty() => now + limits::LOST_AGAIN,
            Guarantee::AtLeastOnce => now + limits::LOST_ASK,
        };
        // Nor is it this node's turn: another one with a copy need not wait for it.
        self.move_job(key, Move::SetAside, requeue);
        self.happened(self.jobs[key].id, What::Unreadable);
        self.ask_holders(key, effects);
    }

    /// Asks for the copies of a job whose body cannot be read here.
    pub(crate) fn ask_holders(&mut self, key: JobKey, effects: &mut Vec<Effect>) {
        let (id, holders) = (self.jobs[key].id, self.jobs[key].holders);
        for peer in holders.iter() {
            self.send(peer, Message::Missing(id), effects);
        }
    }

    /// A peer sent a job whose body is lost here, or may be unreadable: there it is again. Its timer queues it.
    pub(crate) fn regain(&mut self, id: &JobId, body: &Body, effects: &mut Vec<Effect>) {
        let Some(key) = self.jobs.find(id) else {
            return;
        };
        let job = &self.jobs[key];
        let unread = job.body.spilled_to().is_some() && job.state() == JobState::Active;
        if job.body.is_lost() || unread {
            self.replace_body(key, body.clone());
            // The copy that this node answers for is the new one.
            self.record_again(key, News::Job, effects);
        }
    }
}

/// Where the record of a job lies.
fn location(job: &Job) -> Location {
    Location {
        segment: job.segment,
        offset: job.offset,
    }
}
