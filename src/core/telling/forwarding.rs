//! Forwarding: commands on jobs that are not held here.
//!
//! NACK, WORKING, PROMOTE and DELJOB GLOBAL work at any node. One that does not hold the job asks all members that can be
//! reached. The one with the turn does what is asked; if none has it, because that node is away, one of those with a copy does. While one
//! that was asked has not answered, nobody else does: it may have done it.
//! DELJOB GLOBAL ends a job at any holder; of jobs that none of them holds, an ack without a copy tells those that are away.

use std::collections::BTreeMap;

use crate::acking::End;
use crate::command::{Answer, Done, Errand, Forward, Nack, Question, Refusal, Reply};
use crate::effect::Effect;
use crate::id::{JobId, QueueName, Ticket};
use crate::job::{JobKey, JobState};
use crate::log::answer;
use crate::members::{NodeSet, PeerKey};
use crate::node::Node;
use crate::outcome::Outcome;
use crate::telling::global::Gathering;
use crate::time::Time;

/// A command whose jobs are looked for elsewhere.
#[derive(Debug)]
pub(super) struct Forwarding {
    errand: Errand,
    /// Jobs that nobody has done anything with, each with a node that has a copy.
    open: BTreeMap<JobId, Option<PeerKey>>,
    /// What was done here and elsewhere, added up.
    count: u64,
    /// What was done with the last job.
    last: Option<Done>,
    /// A node did not answer.
    is_unsure: bool,
}

impl Forwarding {
    /// A node says what it did.
    pub(super) fn hear(&mut self, from: PeerKey, done: &[(JobId, Done)]) {
        for (id, done) in done {
            let Some(holder) = self.open.get_mut(id) else {
                continue;
            };
            match done {
                Done::Holds => *holder = Some(from),
                Done::Count(_) | Done::TooLate => {
                    self.open.remove(id);
                    self.take(*done);
                }
            }
        }
    }

    /// A node has not answered in time.
    pub(super) fn miss(&mut self) {
        self.is_unsure = true;
    }

    fn take(&mut self, done: Done) {
        if let Done::Count(count) = done {
            self.count = self.count.saturating_add(count);
        }
        self.last = Some(done);
    }

    /// A node that is to do it though it has a mere copy, and with which jobs. None of them is asked twice.
    fn next(&mut self, up: NodeSet) -> Option<(PeerKey, Vec<JobId>)> {
        if self.is_unsure {
            return None;
        }
        let holders = self.open.values().flatten();
        let peer = holders.copied().find(|&peer| up.contains(peer))?;
        let mut ids = Vec::new();
        for (id, holder) in &mut self.open {
            if *holder == Some(peer) {
                ids.push(*id);
                *holder = None;
            }
        }
        Some((peer, ids))
    }

    fn reply(&self) -> Reply {
        match (&self.errand, self.last) {
            (Errand::Working(_), None | Some(Done::Holds)) => Reply::Refused(Refusal::UnknownJob),
            (Errand::Working(_), Some(Done::TooLate)) => Reply::Refused(Refusal::TooLateToPostpone),
            (Errand::Nack { .. } | Errand::Working(_) | Errand::Promote(_) | Errand::Delete, _) => {
                Reply::Count(self.count)
            }
        }
    }
}

impl Node {
    /// A client wants this to be done with jobs, wherever they are.
    pub(crate) fn run_errand(
        &mut self,
        now: Time,
        ticket: Ticket,
        (ids, errand): (Vec<JobId>, Errand),
        effects: &mut Vec<Effect>,
    ) {
        let mut forwarding = Forwarding {
            errand,
            open: BTreeMap::new(),
            count: 0,
            last: None,
            is_unsure: false,
        };
        for id in ids {
            match self.jobs.find(&id) {
                Some(key) => {
                    let done = self.do_errand(now, key, &forwarding.errand, effects);
                    forwarding.take(done);
                }
                None => {
                    forwarding.open.insert(id, None);
                }
            }
        }
        let up = self.peers.members().and(self.peers.up());
        if forwarding.open.is_empty() || up.is_empty() || self.gatherings.is_full() {
            return self.end_errand(now, ticket, forwarding, effects);
        }
        let ids = forwarding.open.keys().copied().collect();
        self.send_errand(now, ticket, forwarding, (up, ids, true), effects);
    }

    fn send_errand(
        &mut self,
        now: Time,
        ticket: Ticket,
        forwarding: Forwarding,
        (to, ids, only_turn): (NodeSet, Vec<JobId>, bool),
        effects: &mut Vec<Effect>,
    ) {
        let question = Question::Forward(Forward {
            ids,
            only_turn,
            errand: forwarding.errand.clone(),
        });
        let mut gathering = Gathering::new(ticket, Answer::Done(Vec::new()));
        gathering.forward = Some(forwarding);
        self.ask(now, gathering, to, &question, effects);
    }

    /// All have answered: the next node is asked, if there is one with a copy, or the client is answered.
    pub(super) fn errand_on(
        &mut self,
        now: Time,
        ticket: Ticket,
        mut forwarding: Forwarding,
        effects: &mut Vec<Effect>,
    ) {
        match forwarding.next(self.peers.up()) {
            Some((peer, ids)) => {
                let to = NodeSet::only(peer);
                self.send_errand(now, ticket, forwarding, (to, ids, false), effects);
            }
            None => self.end_errand(now, ticket, forwarding, effects),
        }
    }

    fn end_errand(
        &mut self,
        now: Time,
        ticket: Ticket,
        mut forwarding: Forwarding,
        effects: &mut Vec<Effect>,
    ) {
        if forwarding.errand == Errand::Delete {
            for &id in forwarding.open.keys() {
                // It may have come here meanwhile, or its ack.
                if let Some(key) = self.jobs.find(&id) {
                    forwarding.count += u64::from(self.end_job(now, key, effects));
                } else {
                    self.ack_unknown(now, id, End::other(Outcome::Deleted), effects);
                }
            }
        }
        answer(ticket, forwarding.reply(), effects);
    }

    /// A peer looks for jobs: this node does what is asked with those that it has.
    pub(super) fn on_errand(
        &mut self,
        now: Time,
        forward: &Forward,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        let mut done = Vec::new();
        for &id in &forward.ids {
            let Some(key) = self.jobs.find(&id) else {
                continue;
            };
            if self.jobs[key].state() == JobState::Acked {
                continue;
            }
            let any_holder = !forward.only_turn || forward.errand == Errand::Delete;
            let what = if any_holder || self.has_turn(key) {
                self.do_errand(now, key, &forward.errand, effects)
            } else {
                Done::Holds
            };
            done.push((id, what));
        }
        Answer::Done(done)
    }

    /// Whether the job is queued, handed out, delayed or waiting for its first copies here.
    fn has_turn(&self, key: JobKey) -> bool {
        let job = &self.jobs[key];
        match job.state() {
            JobState::Queued | JobState::WaitReplicas => true,
            JobState::Active => job.is_ours(),
            JobState::Acked => false,
        }
    }

    fn do_errand(
        &mut self,
        now: Time,
        key: JobKey,
        errand: &Errand,
        effects: &mut Vec<Effect>,
    ) -> Done {
        let did = match errand {
            Errand::Nack {
                delay,
                to,
                reason,
                is_dead,
            } => {
                let nack = Nack {
                    ids: Vec::new(),
                    delay: *delay,
                    to: to.as_ref().map(QueueName::as_bytes),
                    reason: reason.as_deref(),
                    is_dead: *is_dead,
                };
                self.nack(now, key, &nack, effects)
            }
            Errand::Working(progress) => {
                return match self.working(now, key, progress.as_deref(), effects) {
                    Some(retry) => Done::Count(u64::from(retry)),
                    None => Done::TooLate,
                };
            }
            Errand::Promote(priority) => self.promote(now, key, *priority, effects),
            Errand::Delete => self.end_job(now, key, effects),
        };
        Done::Count(u64::from(did))
    }
}
