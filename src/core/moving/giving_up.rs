//! NACK: a client gives a job up, to be put back, to wait, to go to another queue or to its grave.

use std::time::Duration;

use crate::command::Nack;
use crate::delivering::Cause;
use crate::effect::Effect;
use crate::explaining::What;
use crate::id::{Guarantee, QueueName};
use crate::job::{JobKey, JobState};
use crate::node::Node;
use crate::register::DeathReason;
use crate::time::Time;

impl Node {
    /// NACK of a job that is held here. Returns whether it was put back, moved or buried.
    pub(crate) fn nack(
        &mut self,
        now: Time,
        key: JobKey,
        nack: &Nack<'_>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let job = &self.jobs[key];
        let moves = nack.is_dead || nack.to.is_some();
        let may_be = match job.state() {
            JobState::Active => true,
            JobState::Queued => moves,
            JobState::WaitReplicas | JobState::Acked => false,
        };
        let once = job.guarantee() == Guarantee::AtMostOnce;
        if !may_be || self.is_purged(key) || job.body.is_lost() || once {
            return self.enqueue(now, key, Cause::Nack, effects);
        }
        self.remember_rules(job.queue);
        let target = nack.to.map(QueueName::new);
        let into = match &target {
            Some(name) => self.queues.find(name.as_bytes()),
            None => Some(self.jobs[key].queue),
        };
        let is_paused = into.is_some_and(|queue| self.queues[queue].pause.input);
        let buried = if nack.is_dead {
            Some(DeathReason::Nack)
        } else {
            self.must_bury(now, key, Cause::Nack)
        };
        if is_paused && buried.is_none() {
            return false;
        }
        if let Some(text) = nack.reason {
            self.keep_reason(key, text);
        }
        if let Some(reason) = buried {
            self.count_queueing(key, Cause::Nack);
            self.bury(now, key, reason, effects);
            return true;
        }
        let wait = match (nack.delay, self.backoff(key)) {
            (Some(delay), _) => Duration::from_secs(u64::from(delay)),
            (None, Some(backoff)) => self.backoff_wait(key, backoff),
            (None, None) => Duration::ZERO,
        };
        if let Some(queue) = target {
            self.go_to(now, key, &queue, effects);
        }
        if wait.is_zero() {
            self.enqueue(now, key, Cause::Nack, effects)
        } else {
            self.put_off(now, key, wait, effects);
            true
        }
    }

    /// A job goes to another queue, with the life that it has. It is out of its queue when this returns.
    fn go_to(&mut self, now: Time, key: JobKey, queue: &QueueName, effects: &mut Vec<Effect>) {
        self.take_out(now, key);
        let dead = self.dead_letter(key);
        let register = self.next_register(key, dead);
        self.happened(self.jobs[key].id, What::Moved(register.version));
        let life = (self.jobs[key].added, self.jobs[key].ttl);
        self.set_register(now, key, (queue, &register), life, effects);
    }
}
