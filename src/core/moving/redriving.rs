//! REDRIVE: jobs that wait in a queue go to another; dead letters to where they came from, and start again.
//!
//! The node that is asked moves its own jobs, and then asks one member after the other, each for as many as are still wanted. Each of
//! them notes which jobs wait at that moment, and moves them in steps, oldest first; it answers when it is through.

use std::collections::VecDeque;

use crate::agenda::Timer;
use crate::command::{Answer, Redrive};
use crate::effect::Effect;
use crate::explaining::What;
use crate::extras::Tag;
use crate::id::QueueName;
use crate::job::{JobKey, JobState};
use crate::limits;
use crate::node::Node;
use crate::telling::Asker;
use crate::time::Time;

/// Redrives under way here, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Redrives {
    queue: VecDeque<Step>,
    planned: bool,
}

/// One of them.
#[derive(Debug)]
struct Step {
    redrive: Redrive,
    /// The jobs that waited when it began, with the times of their entry: a slot may have another job by now.
    jobs: VecDeque<(JobKey, u64)>,
    moved: u64,
    asker: Asker,
}

impl Node {
    /// Begins to move jobs that wait here.
    pub(crate) fn begin_redrive(&mut self, now: Time, redrive: Redrive, asker: Asker) {
        let queue = self.queues.find(redrive.queue.as_bytes());
        let noted = |key: JobKey| (key, self.jobs[key].entered);
        let jobs = match (queue, redrive.ids.is_empty()) {
            (None, _) => VecDeque::new(),
            (Some(queue), true) => self.queues[queue].oldest(&self.jobs).map(noted).collect(),
            (Some(_), false) => {
                let known = redrive.ids.iter().filter_map(|id| self.jobs.find(id));
                known.map(noted).collect()
            }
        };
        self.redrives.queue.push_back(Step {
            redrive,
            jobs,
            moved: 0,
            asker,
        });
        self.plan_redrive(now);
    }

    fn plan_redrive(&mut self, when: Time) {
        if !std::mem::replace(&mut self.redrives.planned, true) {
            self.agenda.add_timer(when, Timer::Redriving);
        }
    }

    /// One step.
    pub(crate) fn on_redriving(&mut self, now: Time, effects: &mut Vec<Effect>) {
        self.redrives.planned = false;
        let Some(mut step) = self.redrives.queue.pop_front() else {
            return;
        };
        let wanted = step.redrive.count.unwrap_or(u64::MAX);
        for _ in 0..limits::REDRIVE_PER_STEP {
            let Some((key, entered)) = step.jobs.pop_front().filter(|_| step.moved < wanted) else {
                self.answer_asker(now, step.asker, Answer::Redriven(step.moved), effects);
                if !self.redrives.queue.is_empty() {
                    self.plan_redrive(now);
                }
                return;
            };
            step.moved += u64::from(self.redrive(now, (key, entered), &step.redrive, effects));
        }
        self.redrives.queue.push_front(step);
        self.plan_redrive(now + limits::REDRIVE_PAUSE);
    }

    /// All jobs are gone from this node at once: nothing is left to be moved.
    pub(crate) fn end_redrives(&mut self, now: Time, effects: &mut Vec<Effect>) {
        for step in std::mem::take(&mut self.redrives).queue {
            self.answer_asker(now, step.asker, Answer::Redriven(step.moved), effects);
        }
    }

    /// Moves one job, if it still waits.
    fn redrive(
        &mut self,
        now: Time,
        (key, entered): (JobKey, u64),
        redrive: &Redrive,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let waits = self.jobs.get(key).is_some_and(|job| {
            job.state() == JobState::Queued
                && job.entered == entered
                && self.queues[job.queue].name == redrive.queue
        });
        if !waits || self.is_purged(key) {
            return false;
        }
        let dead = self.dead_letter(key);
        let from = dead.as_ref().map(|dead| QueueName::new(&dead.from));
        let Some(to) = redrive.to.clone().or(from) else {
            return false;
        };
        let target = self.queues.find(to.as_bytes());
        if target.is_some_and(|queue| self.queues[queue].pause.input) {
            return false;
        }
        self.take_out(now, key);
        let register = self.next_register(key, None);
        self.happened(self.jobs[key].id, What::Redriven(register.version));
        let life = match &dead {
            Some(dead) => (now, dead.ttl),
            None => (self.jobs[key].added, self.jobs[key].ttl),
        };
        if dead.is_some() {
            self.start_over(key);
        }
        self.set_register(now, key, (&to, &register), life, effects);
        self.put_moved(now, key, effects);
        self.counters.redriven += 1;
        true
    }

    /// A dead letter starts again.
    fn start_over(&mut self, key: JobKey) {
        let job = &mut self.jobs[key];
        (job.nacks, job.additional_deliveries) = (0, 0);
        let extras = self.jobs.extras(key);
        let extras = extras.with(Tag::DELIVERIES, None).with(Tag::REASON, None);
        self.change_extras(key, extras);
    }
}
