//! A tiny model of one node: what a reader of the protocol would expect, kept in plain maps.

use std::collections::BTreeMap;

use crate::command::{Delivery, PauseState, Reply};
use crate::id::{JobId, Ticket};

pub(crate) const QUEUES: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
pub(crate) struct ModelJob {
    /// Jobs of a queue are handed out in this order.
    pub(crate) number: usize,
    pub(crate) queue: usize,
    pub(crate) retry: u64,
    pub(crate) added: u64,
    /// When its delay is over.
    pub(crate) due: u64,
    /// When its ttl is over.
    pub(crate) expires: u64,
    pub(crate) queued: bool,
    /// When it is queued next, while it is not queued.
    pub(crate) requeue: Option<u64>,
    pub(crate) queued_before: bool,
    pub(crate) nacks: u32,
    pub(crate) additional: u32,
}

#[derive(Debug)]
struct ModelWait {
    ticket: Ticket,
    queues: Vec<usize>,
    until: Option<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) jobs: BTreeMap<JobId, ModelJob>,
    pub(crate) pauses: [PauseState; QUEUES.len()],
    waits: Vec<ModelWait>,
    /// How often each job was handed out, for ever.
    deliveries: BTreeMap<JobId, (u64, u32)>,
}

impl Model {
    pub(crate) fn add(&mut self, id: JobId, job: ModelJob) {
        let before = self.jobs.insert(id, job);
        assert!(before.is_none(), "{id} is new");
    }

    pub(crate) fn forget(&mut self, id: JobId) -> u64 {
        u64::from(self.jobs.remove(&id).is_some())
    }

    pub(crate) fn wait(&mut self, ticket: Ticket, queues: &[usize], until: Option<u64>) {
        let queues = queues.to_vec();
        self.waits.push(ModelWait {
            ticket,
            queues,
            until,
        });
    }

    pub(crate) fn disconnect(&mut self, client: u64) {
        self.waits.retain(|wait| wait.ticket.client.0 != client);
    }

    /// Queues a job by ENQUEUE or NACK, if it may be.
    pub(crate) fn put_back(&mut self, now: u64, id: JobId, nack: bool) -> u64 {
        let Some(job) = self.jobs.get_mut(&id) else {
            return 0;
        };
        let spent = job.retry == 0 && job.queued_before;
        if job.queued || spent || self.pauses[job.queue].input {
            return 0;
        }
        job.nacks += u32::from(nack);
        job.additional += u32::from(!nack && job.queued_before);
        job.enter_queue(now);
        1
    }

    /// The oldest ready job of a queue.
    pub(crate) fn first(&self, queue: usize) -> Option<JobId> {
        let ready = self
            .jobs
            .iter()
            .filter(|(_, job)| job.queued && job.queue == queue);
        let first = ready.min_by_key(|(_, job)| job.number);
        first
            .map(|(&id, _)| id)
            .filter(|_| !self.pauses[queue].output)
    }

    /// What a GETJOB takes.
    pub(crate) fn take(&mut self, now: u64, queues: &[usize], count: u64) -> Vec<JobId> {
        let mut taken = Vec::new();
        loop {
            let before = taken.len();
            for &queue in queues {
                if let Some(id) = self.first(queue).filter(|_| (taken.len() as u64) < count) {
                    self.deliver(now, id);
                    taken.push(id);
                }
            }
            if taken.len() == before {
                return taken;
            }
        }
    }

    fn deliver(&mut self, now: u64, id: JobId) {
        let job = self.jobs.get_mut(&id).expect("it is ready");
        job.queued = false;
        job.requeue = (job.retry > 0).then(|| now + job.retry);
        let (_, times) = self.deliveries.entry(id).or_insert((job.retry, 0));
        *times += 1;
    }

    /// A moment has come: delays, retries and ttls that are over.
    pub(crate) fn tick(&mut self, now: u64) {
        self.jobs.retain(|_, job| job.expires > now);
        for job in self.jobs.values_mut() {
            if job.queued || job.requeue.is_none_or(|requeue| requeue > now) {
                continue;
            }
            if self.pauses[job.queue].input {
                job.requeue = Some(now + if job.retry == 0 { 1000 } else { job.retry });
                continue;
            }
            job.additional += u32::from(job.queued_before);
            job.enter_queue(now);
        }
    }

    /// A reply to a GETJOB that waited: it must be one that could be.
    pub(crate) fn hear(&mut self, now: u64, ticket: Ticket, reply: &Reply) {
        let nth = self.waits.iter().position(|wait| wait.ticket == ticket);
        let nth = nth.expect("only who waits is answered late");
        match reply {
            Reply::Delivered(taken, _) => {
                let [Delivery { id, queue, .. }] = &taken[..] else {
                    panic!("who waits gets exactly one job, not {taken:?}");
                };
                let queue = QUEUES
                    .iter()
                    .position(|name| name.as_bytes() == queue.as_bytes());
                let queue = queue.expect("a queue of this test");
                assert_eq!(self.first(queue), Some(*id), "the oldest of its queue");
                let longest = self
                    .waits
                    .iter()
                    .position(|wait| wait.queues.contains(&queue));
                assert_eq!(longest, Some(nth), "first come, first served");
                self.deliver(now, *id);
            }
            Reply::NothingToDeliver => {
                let until = self.waits[nth].until;
                assert!(until.is_some_and(|until| until <= now), "too early");
            }
            other => panic!("{other:?} answers no GETJOB"),
        }
        self.waits.remove(nth);
    }

    /// What holds between events.
    pub(crate) fn settle(&self, now: u64) {
        for wait in &self.waits {
            assert!(wait.until.is_none_or(|until| until > now), "{wait:?}");
            for &queue in &wait.queues {
                assert_eq!(self.first(queue), None, "nobody waits while there is a job");
            }
        }
        for (id, &(retry, times)) in &self.deliveries {
            assert!(retry > 0 || times <= 1, "{id} was handed out {times} times");
        }
    }

    /// The process ended and started again at `now`.
    pub(crate) fn restart(&mut self, now: u64, clean: bool) {
        self.waits.clear();
        self.pauses = Default::default();
        self.jobs
            .retain(|_, job| job.expires > now && (clean || job.retry > 0));
        for job in self.jobs.values_mut() {
            if !job.queued_before && job.retry > 0 {
                job.requeue = Some(job.due);
            }
            if !clean {
                job.queued = false;
                job.queued_before = job.due <= now;
                job.requeue = Some(if job.queued_before {
                    now + job.retry.min((job.expires - now) / 2)
                } else {
                    job.due
                });
            }
        }
    }

    /// The operator wants jobs queued at once after a crash.
    pub(crate) fn queue_all(&mut self, now: u64) {
        for job in self.jobs.values_mut().filter(|job| job.queued_before) {
            job.additional += 1;
            job.enter_queue(now);
        }
    }

    pub(crate) fn flush(&mut self) {
        self.jobs.clear();
        self.waits.clear();
        self.pauses = Default::default();
    }

    /// Whether this client's command still waits.
    pub(crate) fn waits_for(&self, ticket: Ticket) -> bool {
        self.waits.iter().any(|wait| wait.ticket == ticket)
    }
}

impl ModelJob {
    pub(crate) fn enter_queue(&mut self, now: u64) {
        self.queued = true;
        self.queued_before = true;
        self.requeue = (self.retry > 0).then(|| now + self.retry);
    }
}
