//! GETJOB and WORKING: handing a job out, and keeping it out.
//!
//! A delivered job is active: out of its queue, to be queued again when its retry is over without an ack. A client
//! that finds nothing may wait; the client that has waited longest gets the next job, and exactly one.

use std::time::Duration;

use crate::agenda::Timer;
use crate::command::{Again, Delivery, GetJob, Refusal, Reply, Told, Unread, Wait};
use crate::delivering::requeue::Cause;
use crate::effect::Effect;
use crate::explaining::What;
use crate::extras::Extras;
use crate::federating::Found;
use crate::id::{ClientId, Guarantee, JobId, QueueName, Ticket};
use crate::job::{JobKey, JobState, Move, Place};
use crate::limits;
use crate::log::answer;
use crate::node::Node;
use crate::queue::{QueueKey, Waiter, WaiterId};
use crate::telling::{Way, millis};
use crate::time::Time;

impl Node {
    pub(crate) fn get_job(
        &mut self,
        now: Time,
        ticket: Ticket,
        get: &GetJob<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let taken = self.take(now, ticket.client, get, effects);
        let mut found = Found::Nothing;
        if !taken.is_empty() {
            found = Found::Jobs;
            let again = || Again {
                queues: get.queues.iter().map(|name| QueueName::new(name)).collect(),
                count: get.count,
                until: match get.wait {
                    Wait::No => None,
                    Wait::AtMost(timeout) => Some(now + timeout),
                    Wait::Forever => Some(Time::NEVER),
                },
                told: get.told,
            };
            let reply = delivered(taken, get.told, again);
            answer(ticket, reply, effects);
        } else if get.wait == Wait::No {
            answer(ticket, Reply::NothingToDeliver, effects);
        } else if self.is_going() {
            let reply = Reply::Refused(Refusal::Leaving);
            answer(ticket, reply, effects);
        } else {
            self.wait(now, ticket, get);
        }
        self.want_jobs(now, get, found, effects);
    }

    /// As a GETJOB of that client.
    pub(crate) fn get_again(
        &mut self,
        now: Time,
        ticket: Ticket,
        again: &Again,
        effects: &mut Vec<Effect>,
    ) {
        let get = GetJob {
            queues: again.queues.iter().map(QueueName::as_bytes).collect(),
            count: again.count,
            wait: match again.until {
                None => Wait::No,
                Some(Time::NEVER) => Wait::Forever,
                Some(until) => {
                    Wait::AtMost(Duration::from_millis(until.since(now).as_millis() as u64))
                }
            },
            told: again.told,
        };
        self.get_job(now, ticket, &get, effects);
    }

    /// Takes one job of each queue, round after round, until there are enough or there is nothing left.
    fn take(
        &mut self,
        now: Time,
        client: ClientId,
        get: &GetJob<'_>,
        effects: &mut Vec<Effect>,
    ) -> Vec<Delivery> {
        let mut queues: Vec<QueueKey> = get
            .queues
            .iter()
            .filter_map(|name| self.queues.find(name))
            .collect();
        let ready: u64 = queues.iter().map(|&queue| self.queues[queue].len).sum();
        let mut taken = Vec::with_capacity(ready.min(get.count) as usize);
        while !queues.is_empty() && (taken.len() as u64) < get.count {
            queues.retain(|&queue| {
                if taken.len() as u64 >= get.count {
                    return false;
                }
                let Some(key) = self.ready(queue) else {
                    return false;
                };
                taken.push(self.deliver(now, key, (client, get.told), effects));
                true
            });
        }
        taken
    }

    /// The job that the queue hands out next, if it hands out any.
    fn ready(&self, queue: QueueKey) -> Option<JobKey> {
        let queue = &self.queues[queue];
        if queue.pause.output {
            None
        } else {
            let first = queue.first(&self.jobs);
            // Behind one that is to go, the others wait until it is gone.
            first.filter(|&key| !self.is_marked(key))
        }
    }

    /// Takes a job out of its queue for a client.
    fn deliver(
        &mut self,
        now: Time,
        key: JobKey,
        (client, told): (ClientId, Told),
        effects: &mut Vec<Effect>,
    ) -> Delivery {
        self.tally_delivery(now, key);
        self.leave_queue(now, key);
        let job = &self.jobs[key];
        let requeue = match job.guarantee() {
            Guarantee::AtLeastOnce => now.after_secs(job.retry),
            Guarantee::AtMostOnce => Time::NEVER,
        };
        self.happened(job.id, What::HandedOut(client));
        self.move_job(key, Move::HandOut, requeue);
        if self.jobs[key].guarantee() == Guarantee::AtMostOnce {
            self.evictable
                .push_back(&mut self.jobs, key, Place::Evictable);
        }
        self.jobs[key].moves = 0;
        if self.jobs[key].has_extras() || self.shared.has_rules() {
            self.count_delivery(key, effects);
        }
        let (deliveries, extras) = if told.meta {
            (self.deliveries(key, true), self.jobs.extras(key))
        } else {
            (0, Extras::NONE)
        };
        let job = &self.jobs[key];
        self.queues.note_traffic(job.queue, now, Way::Out);
        let queue = &mut self.queues[job.queue];
        queue.jobs_out += 1;
        job.delivery(queue.name.clone(), deliveries, extras)
    }

    /// Hands jobs of a queue to the clients that wait for them, here first, then elsewhere.
    pub(crate) fn serve(&mut self, now: Time, queue: QueueKey, effects: &mut Vec<Effect>) {
        self.serve_here(now, queue, effects);
        self.feed_peers(now, queue, effects);
    }

    fn serve_here(&mut self, now: Time, queue: QueueKey, effects: &mut Vec<Effect>) {
        while let Some(&id) = self.queues[queue].waiters.first() {
            let Some(key) = self.ready(queue) else { return };
            let waiter = self.stop_waiting(now, id, Found::Jobs, effects);
            let receiver = (waiter.ticket.client, waiter.told);
            let delivery = self.deliver(now, key, receiver, effects);
            let name = |&queue: &QueueKey| self.queues[queue].name.clone();
            let again = || Again {
                queues: waiter.queues.iter().map(name).collect(),
                count: waiter.count,
                until: Some(waiter.until),
                told: waiter.told,
            };
            let reply = delivered(vec![delivery], waiter.told, again);
            answer(waiter.ticket, reply, effects);
        }
    }

    fn wait(&mut self, now: Time, ticket: Ticket, get: &GetJob<'_>) {
        let until = match get.wait {
            Wait::AtMost(timeout) => now + timeout,
            Wait::Forever | Wait::No => Time::NEVER,
        };
        let id = self.waiters.next_id();
        let mut queues = Vec::with_capacity(get.queues.len());
        for name in &get.queues {
            let key = self.queues.find_or_add(name);
            self.queues.open(key, now);
            if self.queues[key].waiters.insert(id) {
                queues.push(key);
            }
        }
        let waiter = Waiter {
            ticket,
            queues,
            count: get.count,
            told: get.told,
            patient: get.wait.is_patient(),
            until,
        };
        self.waiters.insert(id, waiter);
        if until != Time::NEVER {
            self.agenda.add_timer(until, Timer::Waiter(id));
        }
    }

    /// Ends a wait without a job.
    pub(crate) fn give_up(
        &mut self,
        now: Time,
        id: WaiterId,
        reply: Reply,
        effects: &mut Vec<Effect>,
    ) {
        let waiter = self.stop_waiting(now, id, Found::Nothing, effects);
        answer(waiter.ticket, reply, effects);
    }

    pub(crate) fn on_disconnected(
        &mut self,
        now: Time,
        client: ClientId,
        effects: &mut Vec<Effect>,
    ) {
        self.withdraw_all(now, client, effects);
        self.drop_keyed_adds(client, effects);
        self.gatherings.drop_client(client);
        self.job_waits.drop_client(client);
        self.end_readers(client);
        self.drop_publishes(client);
        while let Some(id) = self.waiters.of_client(client) {
            self.stop_waiting(now, id, Found::Nothing, effects);
        }
    }

    /// Nobody has seen these deliveries: each job goes back to its place, as if it had not been handed out.
    pub(crate) fn on_undelivered(&mut self, now: Time, ids: &[JobId], effects: &mut Vec<Effect>) {
        for id in ids {
            if let Some(key) = self.take_back(id, effects) {
                self.enqueue(now, key, Cause::Restored, effects);
            }
        }
    }

    /// Nobody has seen these deliveries, for the bodies cannot be read at the moment. The jobs are queued again in a
    /// while: at once they would only hold up those behind them. The other holders are asked for a copy.
    pub(crate) fn on_postponed(&mut self, now: Time, ids: &[JobId], effects: &mut Vec<Effect>) {
        for id in ids {
            if let Some(key) = self.take_back(id, effects) {
                // It has not been handed out, so the next queueing is none that counts as another one.
                self.jobs[key].make(Move::TakeBack);
                self.move_job(key, Move::Wait, now + limits::LOST_ASK);
                self.ask_holders(key, effects);
            }
        }
    }

    /// A job that was handed out, and has not been seen: it stands nowhere, and its delivery does not count.
    fn take_back(&mut self, id: &JobId, effects: &mut Vec<Effect>) -> Option<JobKey> {
        let key = self.jobs.find(id)?;
        let job = &self.jobs[key];
        // Another node may have asked for its turn meanwhile, and got it.
        let elsewhere = !job.is_ours() && job.guarantee() == Guarantee::AtLeastOnce;
        if job.state() != JobState::Active || elsewhere {
            return None;
        }
        if job.place() == Place::Evictable {
            self.evictable.remove(&mut self.jobs, key);
            // That a job is delivered once at most is not at stake: it was not delivered.
            self.jobs[key].make(Move::TakeBack);
        }
        let queue = self.jobs[key].queue;
        self.queues[queue].jobs_out = self.queues[queue].jobs_out.saturating_sub(1);
        self.uncount_delivery(key, effects);
        self.happened(*id, What::GivenBack);
        Some(key)
    }

    fn stop_waiting(
        &mut self,
        now: Time,
        id: WaiterId,
        found: Found,
        effects: &mut Vec<Effect>,
    ) -> Waiter {
        let waiter = self.waiters.remove(id);
        self.agenda.remove_timer(waiter.until, Timer::Waiter(id));
        let back_by = match found {
            Found::Jobs if waiter.patient => now + limits::BACK_WITHIN,
            Found::Jobs | Found::Nothing => now,
        };
        for &key in &waiter.queues {
            self.queues[key].waiters.remove(&id);
            self.watch_idle(now, key);
            self.want_less(now, key, back_by, effects);
        }
        waiter
    }

    /// WORKING of a job that is held here. Returns its retry in seconds; none if half of its ttl is over.
    pub(crate) fn working(
        &mut self,
        now: Time,
        key: JobKey,
        progress: Option<&[u8]>,
        effects: &mut Vec<Effect>,
    ) -> Option<u32> {
        let job = &self.jobs[key];
        if now.since(job.added).as_millis() * 2 > u128::from(job.ttl) * 1000 {
            return None;
        }
        let (retry, requeue) = (job.retry, now.after_secs(job.retry));
        match (job.guarantee(), job.state()) {
            (Guarantee::AtLeastOnce, JobState::Queued) => {
                self.leave_queue(now, key);
                self.keep_out(now, key, requeue, effects);
            }
            // It only postpones: a delay that lasts longer than the retry still holds.
            (Guarantee::AtLeastOnce, JobState::Active) => {
                let requeue = requeue.max(job.due);
                self.keep_out(now, key, requeue, effects);
            }
            // An at-most-once job stays where it is: out of its queue nothing could ever put it back.
            (Guarantee::AtMostOnce, _)
            | (Guarantee::AtLeastOnce, JobState::WaitReplicas | JobState::Acked) => {}
        }
        if let Some(said) = progress
            && self.jobs[key].state() != JobState::Acked
        {
            let id = self.jobs[key].id;
            self.progress.set(id, said);
            self.note_fate(id);
        }
        Some(retry)
    }

    /// A client of this node works on the job, wherever it was handed out: nobody queues it before `requeue`.
    fn keep_out(&mut self, now: Time, key: JobKey, requeue: Time, effects: &mut Vec<Effect>) {
        self.move_job(key, Move::Wait, requeue);
        self.take_turn(key);
        self.open_queue(now, self.jobs[key].queue);
        self.jobs[key].since = millis(now);
        self.happened(self.jobs[key].id, What::Working(self.wall_at(requeue)));
        self.tell_working(now, key, effects);
    }
}

/// The reply that hands these jobs out: a body that left memory must be read before.
fn delivered(jobs: Vec<Delivery>, told: Told, again: impl FnOnce() -> Again) -> Reply {
    if jobs.iter().all(|job| job.body.spilled_to().is_none()) {
        return Reply::Delivered(jobs, told);
    }
    Reply::Unread(Box::new(Unread {
        jobs,
        again: again(),
    }))
}
