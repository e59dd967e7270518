//! PROMOTE: another priority for a job, wherever it is in its life.

use crate::effect::Effect;
use crate::explaining::What;
use crate::job::{JobKey, JobState};
use crate::node::Node;
use crate::register::Register;
use crate::stamp::entered_by;
use crate::time::Time;

impl Node {
    /// Gives a job another priority, if it is not over. It keeps the time of its entry. Returns whether it is.
    pub(crate) fn promote(
        &mut self,
        now: Time,
        key: JobKey,
        priority: u8,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let job = &self.jobs[key];
        if job.state() == JobState::Acked || self.is_purged(key) {
            return false;
        }
        if job.priority == priority {
            return true;
        }
        let queue = self.queues[job.queue].name.clone();
        let (entered, life) = (job.entered, (job.added, job.ttl));
        let entered_by = entered_by(&self.jobs[key].id, &self.jobs.extras(key));
        let dead = self.dead_letter(key);
        let register = Register {
            entered,
            entered_by,
            priority,
            ..self.next_register(key, dead)
        };
        self.set_register(now, key, (&queue, &register), life, effects);
        self.happened(self.jobs[key].id, What::Promoted(priority));
        self.tell_register(now, key, effects);
        true
    }
}
