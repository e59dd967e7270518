//! WAITJOB: clients of this node that wait for the ends of jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::agenda::Timer;
use crate::awaiting::fate::Verdict;
use crate::command::{Reply, WAITJOB_IDS, WaitJob};
use crate::effect::Effect;
use crate::id::{ClientId, IdText, JobId, Ticket};
use crate::limits;
use crate::log::answer;
use crate::members::{NodeSet, PeerKey};
use crate::message::Message;
use crate::node::Node;
use crate::outcome::Fate;
use crate::time::Time;

/// All clients that wait.
#[derive(Debug, Default)]
pub(crate) struct JobWaits {
    number: u64,
    by_number: BTreeMap<u64, JobWait>,
    /// Who waits for which job.
    by_job: BTreeSet<(JobId, u64)>,
    /// Waits of which something new was heard.
    touched: BTreeSet<u64>,
    /// The next question is planned.
    is_planned: bool,
}

/// One WAITJOB.
#[derive(Debug)]
struct JobWait {
    ticket: Ticket,
    until: Option<Time>,
    /// In the order in which they were named; an id that no node made is none.
    jobs: Vec<(IdText, Option<Awaited>)>,
}

/// One job that it names.
#[derive(Debug)]
pub(super) struct Awaited {
    pub(super) id: JobId,
    /// What other nodes said last.
    pub(super) heard: BTreeMap<PeerKey, Fate>,
    /// How it ended.
    settled: Option<Fate>,
}

impl JobWait {
    fn awaited(&mut self) -> impl Iterator<Item = &mut Awaited> {
        let jobs = self.jobs.iter_mut().filter_map(|(_, job)| job.as_mut());
        jobs.filter(|awaited| awaited.settled.is_none())
    }
}

impl JobWaits {
    /// Whether anybody here waits for this job.
    pub(super) fn has(&self, id: &JobId) -> bool {
        !self.by_job.is_empty() && self.of_job(id).next().is_some()
    }

    fn of_job(&self, id: &JobId) -> impl Iterator<Item = u64> + '_ {
        let range = self.by_job.range((*id, 0)..=(*id, u64::MAX));
        range.map(|&(_, number)| number)
    }

    /// All jobs that are waited for.
    fn ids(&self) -> Vec<JobId> {
        let mut ids: Vec<JobId> = self.by_job.iter().map(|&(id, _)| id).collect();
        ids.dedup();
        ids
    }

    fn remove(&mut self, number: u64) -> Option<JobWait> {
        let wait = self.by_number.remove(&number)?;
        for awaited in wait.jobs.iter().filter_map(|(_, job)| job.as_ref()) {
            self.by_job.remove(&(awaited.id, number));
        }
        Some(wait)
    }

    /// The client is gone.
    pub(crate) fn drop_client(&mut self, client: ClientId) {
        let of_client =
            |(&number, wait): (&u64, &JobWait)| (wait.ticket.client == client).then_some(number);
        let numbers: Vec<u64> = self.by_number.iter().filter_map(of_client).collect();
        for number in numbers {
            self.remove(number);
        }
    }

    fn touch_all(&mut self) {
        self.touched.extend(self.by_number.keys());
    }

    fn hear(&mut self, id: &JobId, mut hear: impl FnMut(&mut Awaited)) {
        let numbers: Vec<u64> = self.of_job(id).collect();
        for number in numbers {
            if let Some(wait) = self.by_number.get_mut(&number) {
                wait.awaited().filter(|it| it.id == *id).for_each(&mut hear);
                self.touched.insert(number);
            }
        }
    }
}

impl Node {
    /// WAITJOB.
    pub(crate) fn wait_for_jobs(
        &mut self,
        now: Time,
        ticket: Ticket,
        wait: &WaitJob,
        effects: &mut Vec<Effect>,
    ) {
        self.settle_forgotten();
        self.job_waits.number += 1;
        let number = self.job_waits.number;
        let until = wait.timeout.map(|timeout| now + timeout);
        let ids: Vec<JobId> = wait.ids.iter().filter_map(|(_, id)| *id).collect();
        let awaited = |id: JobId| Awaited {
            id,
            heard: BTreeMap::new(),
            settled: None,
        };
        let named = wait.ids.iter();
        let jobs = named.map(|&(text, id)| (text, id.map(awaited))).collect();
        let wait = JobWait {
            ticket,
            until,
            jobs,
        };
        self.job_waits.by_number.insert(number, wait);
        self.job_waits
            .by_job
            .extend(ids.iter().map(|&id| (id, number)));
        self.job_waits.touched.insert(number);
        if let Some(until) = until {
            self.agenda.add_timer(until, Timer::JobWait(number));
        }
        self.answer_settled(effects);
        if self.job_waits.by_number.contains_key(&number) {
            self.ask_fates(self.peers.members(), &ids, effects);
            self.plan_asking(now);
        }
    }

    /// Asks members that can be reached how these jobs stand.
    fn ask_fates(&self, members: NodeSet, ids: &[JobId], effects: &mut Vec<Effect>) {
        for part in ids.chunks(WAITJOB_IDS) {
            let ids: Arc<[JobId]> = part.into();
            for peer in members.and(self.peers.up()).iter() {
                self.send(peer, Message::Watch(ids.clone()), effects);
            }
        }
    }

    fn plan_asking(&mut self, now: Time) {
        let waits = !self.job_waits.by_number.is_empty();
        if waits && !std::mem::replace(&mut self.job_waits.is_planned, true) {
            self.agenda
                .add_timer(now + limits::WATCH_AGAIN, Timer::WatchAgain);
        }
    }

    /// Asks all again, in case that one of them forgot, or has a job that it did not have.
    pub(crate) fn on_watch_again(&mut self, now: Time, effects: &mut Vec<Effect>) {
        self.job_waits.is_planned = false;
        self.ask_fates(self.peers.members(), &self.job_waits.ids(), effects);
        self.plan_asking(now);
    }

    /// The link to a member came up: it is asked, too.
    pub(crate) fn watch_with(&mut self, peer: PeerKey, effects: &mut Vec<Effect>) {
        self.ask_fates(NodeSet::only(peer), &self.job_waits.ids(), effects);
    }

    /// A peer cannot be reached any more: what it said counts no longer.
    pub(crate) fn watch_without(&mut self, peer: PeerKey, effects: &mut Vec<Effect>) {
        self.unwatch(peer);
        for wait in self.job_waits.by_number.values_mut() {
            wait.awaited().for_each(|awaited| {
                awaited.heard.remove(&peer);
            });
        }
        self.job_waits.touch_all();
        self.answer_settled(effects);
    }

    /// FATES: a peer tells how jobs stand.
    pub(crate) fn on_fates(
        &mut self,
        from: PeerKey,
        fates: Vec<(JobId, Fate)>,
        effects: &mut Vec<Effect>,
    ) {
        for (id, fate) in fates {
            self.job_waits.hear(&id, |awaited| {
                awaited.heard.insert(from, fate.clone());
            });
        }
        self.answer_settled(effects);
    }

    /// A job ended here. Its result may not be kept: who waits for it has it from now on.
    pub(super) fn hear_own_fate(&mut self, id: &JobId, fate: &Fate) {
        self.job_waits.hear(id, |awaited| {
            if fate.is_whole() {
                awaited.settled = Some(fate.clone());
            }
        });
    }

    /// Answers the waits of which something new was heard, if none of their jobs is pending any more.
    pub(super) fn answer_settled(&mut self, effects: &mut Vec<Effect>) {
        for number in std::mem::take(&mut self.job_waits.touched) {
            let Some(mut wait) = self.job_waits.by_number.remove(&number) else {
                continue;
            };
            for awaited in wait.awaited() {
                if let Verdict::Settled(fate) = self.verdict(awaited) {
                    awaited.settled = Some(fate);
                }
            }
            let is_done = wait.awaited().next().is_none();
            self.job_waits.by_number.insert(number, wait);
            if is_done {
                self.answer_wait(number, effects);
            }
        }
    }

    /// The time of a WAITJOB is up.
    pub(crate) fn on_job_wait_late(&mut self, number: u64, effects: &mut Vec<Effect>) {
        self.answer_wait(number, effects);
    }

    fn answer_wait(&mut self, number: u64, effects: &mut Vec<Effect>) {
        let Some(wait) = self.job_waits.remove(number) else {
            return;
        };
        let known = |awaited: Awaited| match awaited.settled {
            Some(fate) => fate,
            None => match self.verdict(&awaited) {
                Verdict::Settled(fate) | Verdict::Open(fate) => fate,
            },
        };
        let jobs = wait.jobs.into_iter();
        let fates = jobs.map(|(text, job)| (text, job.map_or(Fate::Unknown, known)));
        let fates = fates.collect();
        answer(wait.ticket, Reply::Fates(fates), effects);
    }

    /// All timers were dropped: those of the waits are set again.
    pub(crate) fn watch_job_waits(&mut self, now: Time) {
        self.job_waits.is_planned = false;
        self.plan_asking(now);
        for (&number, wait) in &self.job_waits.by_number {
            if let Some(until) = wait.until {
                self.agenda.add_timer(until, Timer::JobWait(number));
            }
        }
    }
}
