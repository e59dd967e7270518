//! WILLQUEUE, QUEUED, WORKING: which of a job's holders has it queued.
//!
//! At any time it is one node's *turn*: that which has the job queued, handed it out last, or added it and still delays
//! it. All other holders keep a later time in mind ([`Node::stagger`]), and ask before they queue: the node whose turn it is
//! then answers that it has the job queued, or how long it will be out, and they wait on. So without a fault a job is
//! queued at one node only. When that node is gone nobody answers, and the holder that asked first queues the job and tells
//! the others; from then on it is its turn.
//!
//! Nodes that cannot hear each other may each queue a job. Both announced it, so both tell again when the link between
//! them is back, and the one that ranks lower for this job takes it out ([`JobId::rank`]).

use std::time::Duration;

use rand::RngExt;

use crate::agenda::Timer;
use crate::delivering::requeue::Cause;
use crate::effect::Effect;
use crate::explaining::What;
use crate::extras::Extras;
use crate::id::{Guarantee, JobId};
use crate::job::{JobKey, JobState, Move, Place};
use crate::limits;
use crate::members::{NodeSet, PeerKey};
use crate::message::Message;
use crate::moving::wait_told;
use crate::node::Node;
use crate::planted::Bug;
use crate::time::Time;

/// What a node must remember to agree with its peers.
#[derive(Debug)]
pub(crate) struct Agreement {
    /// A pass over all jobs that tells these peers of those that are queued here; and the next slot to look at.
    telling: Option<(u32, NodeSet)>,
    /// Peers that came back meanwhile: the next pass is for them.
    untold: NodeSet,
    /// Until then a node that has just started waits for a link before it queues what others may hold.
    pub(crate) alone_from: Time,
    /// And until then for the links to all holders: one of them may have handed the job out meanwhile.
    pub(crate) links_by: Time,
    /// Why jobs in [`Place::Unsettled`] are queued.
    pub(crate) cause: Cause,
}

impl Default for Agreement {
    fn default() -> Self {
        Agreement {
            telling: None,
            untold: NodeSet::EMPTY,
            alone_from: Time::ZERO,
            links_by: Time::ZERO,
            cause: Cause::Restored,
        }
    }
}

impl Node {
    /// The retry of a job that others may hold is almost over: asks them. It is queued if nobody answers.
    pub(super) fn warn_holders(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        let job = &mut self.jobs[key];
        let holders = job.holders.without(self.peers.gone());
        let nobody = holders.and(self.peers.up()).is_empty();
        let somebody_missing = !holders
            .without(self.peers.up().or(self.peers.lost()))
            .is_empty();
        if nobody && now < self.agreement.alone_from
            || somebody_missing && now < self.agreement.links_by
        {
            job.due = now + limits::ALONE_CHECK + limits::WILLQUEUE_AHEAD;
        } else {
            let patience = if job.place() == Place::Unsettled {
                limits::SETTLE
            } else {
                limits::WILLQUEUE_AHEAD
            };
            // After a pause of this process the time may have passed; the others still get theirs to answer.
            job.due = job.due.max(now + patience);
            job.make(Move::Announce);
            let id = job.id;
            self.happened(id, What::Asked);
            self.introduce_holders(key, effects);
            let message = self.will_queue_message(now, key);
            self.tell_all(key, &message, effects);
        }
        self.note_restored(key);
        self.agenda.add_job(&mut self.jobs, key);
    }

    /// More nodes hold a job than it asks for: some of them may not know of each other, and two of those could have it queued
    /// for good. Who asks all of them tells them who they are.
    fn introduce_holders(&mut self, key: JobKey, effects: &mut Vec<Effect>) {
        let others = self.jobs[key].holders.and(self.peers.up());
        if others.len() >= self.jobs[key].replicate {
            self.tell_holders(key, others, 0, effects);
        }
    }

    /// Tells all holders, as far as a link to them is up.
    pub(crate) fn tell_all(&self, key: JobKey, message: &Message, effects: &mut Vec<Effect>) {
        for peer in self.jobs[key].holders.and(self.peers.up()).iter() {
            self.send(peer, message.clone(), effects);
        }
    }

    /// The job was just put into its queue, and others may hold it.
    pub(crate) fn announce(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        self.jobs[key].make(Move::Announce);
        self.tell_all(key, &self.queued_message(now, key), effects);
    }

    fn will_queue_message(&self, now: Time, key: JobKey) -> Message {
        Message::WillQueue {
            id: self.jobs[key].id,
            extras: self.told_of(now, key),
        }
    }

    /// Asks a holder whether this node may queue a job.
    pub(crate) fn ask_turn(&self, now: Time, key: JobKey, to: PeerKey, effects: &mut Vec<Effect>) {
        self.send(to, self.will_queue_message(now, key), effects);
    }

    pub(crate) fn queued_message(&self, now: Time, key: JobKey) -> Message {
        let job = &self.jobs[key];
        Message::Queued {
            id: job.id,
            nacks: job.nacks,
            additional_deliveries: job.additional_deliveries,
            extras: self.told_of(now, key),
        }
    }

    /// Tells the holders when this node will queue the job that it handed out.
    pub(crate) fn tell_working(&self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        self.tell_all(key, &self.working_message(now, key), effects);
    }

    /// When this node will queue the job that it handed out, or keeps waiting.
    pub(crate) fn working_message(&self, now: Time, key: JobKey) -> Message {
        let job = &self.jobs[key];
        Message::Working {
            id: job.id,
            for_ms: job.due.since(now).as_millis() as u64,
            extras: self.with_wait(now, key, &self.told_of(now, key)),
        }
    }

    /// How much later than the node whose turn it is another one acts.
    pub(crate) fn stagger(&mut self) -> Duration {
        let (least, most) = (limits::STAGGER_MIN, limits::STAGGER_MAX);
        let range = least.as_millis() as u64..=most.as_millis() as u64;
        Duration::from_millis(self.random.random_range(range))
    }

    pub(crate) fn on_will_queue(
        &mut self,
        now: Time,
        from: PeerKey,
        (id, extras): (JobId, &Extras),
        effects: &mut Vec<Effect>,
    ) {
        let Some(key) = self.heard_job(now, from, (id, extras), effects) else {
            return;
        };
        let job = &self.jobs[key];
        match job.state() {
            JobState::Queued if self.has(Bug::SilentTurn) => {}
            JobState::Queued => self.tell_all(key, &self.queued_message(now, key), effects),
            JobState::WaitReplicas => self.send_working(now, key, from, effects),
            JobState::Active if job.is_ours() => self.tell_working(now, key, effects),
            // Who asks first goes first; of two who ask at the same moment, the one that ranks higher.
            JobState::Active if !job.is_announced() || self.outranks(from, &id) => {
                // The other queues it after the first of these times. This one asks again, if need be, after that.
                let wait = limits::WILLQUEUE_AHEAD * 2 + self.stagger();
                let requeue = (now + wait).max(self.jobs[key].due);
                self.postpone(key, requeue);
            }
            JobState::Active | JobState::Acked => {}
        }
    }

    pub(crate) fn on_queued(
        &mut self,
        now: Time,
        from: PeerKey,
        (id, extras): (JobId, &Extras),
        (nacks, additional_deliveries): (u32, u32),
        effects: &mut Vec<Effect>,
    ) {
        let known = self.agreed_job(from, id, effects);
        if known.is_some_and(|key| !self.hear_register(now, from, key, extras, effects)) {
            return;
        }
        let Some(key) = known else {
            // The sender counts on a copy here. It may be on its way, from a node that did not know of the sender yet:
            // then this node would not know whom to ask. The answer to this brings both.
            let unheard_of = self.jobs.find(&id).is_none() && !self.forgotten.contains(&id);
            if unheard_of && id.guarantee() == Guarantee::AtLeastOnce {
                self.send(from, Message::Missing(id), effects);
            }
            return;
        };
        let waits_on = self.waits_on(now, from, (key, nacks), effects);
        let knows_less = self.jobs[key].is_ours() && self.counted_more(key, extras);
        let job = &mut self.jobs[key];
        job.nacks = job.nacks.max(nacks);
        job.additional_deliveries = job.additional_deliveries.max(additional_deliveries);
        match self.jobs[key].state() {
            JobState::Queued if !self.outranks(from, &id) => {
                // The link to the sender may not be up yet: it is told when it is.
                self.jobs[key].make(Move::Announce);
                self.send(from, self.queued_message(now, key), effects);
            }
            // It came here from node to node, maybe faster than what the sender said when it had the job on that way: it
            // is asked whether it has it still. Silence means no; a second QUEUED is believed.
            JobState::Queued if self.jobs[key].moves > 0 => {
                self.jobs[key].moves = 0;
                self.ask_turn(now, key, from, effects);
            }
            JobState::Active if waits_on => {}
            // It is out here, and the sender said that before it could know.
            JobState::Active if knows_less => self.send_working(now, key, from, effects),
            JobState::Queued | JobState::Active => {
                let requeue = self.jobs[key].retry_elsewhere(now) + self.stagger();
                self.give_turn(now, key, requeue);
            }
            JobState::WaitReplicas => self.send_working(now, key, from, effects),
            JobState::Acked => {}
        }
    }

    pub(crate) fn on_working(
        &mut self,
        now: Time,
        from: PeerKey,
        (id, extras): (JobId, &Extras),
        for_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        let Some(key) = self.heard_job(now, from, (id, extras), effects) else {
            return;
        };
        let until = now + Duration::from_millis(for_ms) + self.stagger();
        let job = &self.jobs[key];
        let until = if self.is_guarded(key) {
            until
        } else {
            until.min(job.expires())
        };
        let is_live = matches!(job.state(), JobState::Active | JobState::Queued);
        if let Some(nacks) = wait_told(extras).filter(|_| is_live && !self.has(Bug::CutWait)) {
            // The sender may not have heard of the NACK that makes it wait here.
            if !self.waits_on(now, from, (key, nacks), effects) {
                self.wait_elsewhere(now, key, (until, nacks), effects);
            }
            return;
        }
        if self.keeps_waiting(now, from, key, effects) {
            return;
        }
        let job = &self.jobs[key];
        match job.state() {
            JobState::Queued => self.give_turn(now, key, until),
            // This node has asked, and the answer says no more than that the sender will queue the job in a moment:
            // it is asked once more, when it must have done so.
            JobState::Active if job.is_announced() => {
                let again = now + limits::WILLQUEUE_AHEAD + limits::STAGGER_MIN;
                self.give_turn(now, key, until.max(again));
            }
            JobState::Active => self.give_turn(now, key, until.max(job.due)),
            JobState::WaitReplicas | JobState::Acked => {}
        }
    }

    /// The same, if what is said about it counts: the sender knows where the job is.
    pub(crate) fn heard_job(
        &mut self,
        now: Time,
        from: PeerKey,
        (id, extras): (JobId, &Extras),
        effects: &mut Vec<Effect>,
    ) -> Option<JobKey> {
        let key = self.agreed_job(from, id, effects)?;
        let counts = self.hear_register(now, from, key, extras, effects);
        counts.then_some(key)
    }

    /// The at-least-once job that a holder speaks of, if it is here; the sender counts as a holder from now on. One that is
    /// acknowledged is answered with SETACK, whatever was said.
    pub(crate) fn agreed_job(
        &mut self,
        from: PeerKey,
        id: JobId,
        effects: &mut Vec<Effect>,
    ) -> Option<JobKey> {
        if self.answer_forgotten(from, id, effects) {
            return None;
        }
        let key = self.jobs.find(&id)?;
        if self.jobs[key].guarantee() == Guarantee::AtMostOnce {
            return None;
        }
        self.merge_holders(key, NodeSet::only(from), effects);
        Some(key)
    }

    /// A copy must not be queued before the job's producer was answered.
    pub(crate) fn send_working(
        &self,
        now: Time,
        key: JobKey,
        to: PeerKey,
        effects: &mut Vec<Effect>,
    ) {
        let job = &self.jobs[key];
        let message = Message::Working {
            id: job.id,
            for_ms: u64::from(job.retry) * 1000,
            extras: self.told_of(now, key),
        };
        self.send(to, message, effects);
    }

    fn outranks(&self, peer: PeerKey, id: &JobId) -> bool {
        id.rank(&self.peers.get(peer).id) > id.rank(&self.id)
    }

    /// From now on it is this node's turn.
    pub(crate) fn take_turn(&mut self, key: JobKey) {
        self.jobs[key].make(Move::TakeTurn);
        self.recount(key);
    }

    /// Another node has the job: this one looks again at `requeue`.
    pub(crate) fn give_turn(&mut self, now: Time, key: JobKey, requeue: Time) {
        if self.jobs[key].state() == JobState::Queued {
            self.leave_queue(now, key);
            self.happened(self.jobs[key].id, What::Yielded);
        }
        let job = &mut self.jobs[key];
        job.make(Move::GiveTurn);
        let id = job.id;
        self.recount(key);
        self.hand_over.confirm_turn(&id);
        self.federation.moves.settle(id);
        self.postpone(key, requeue);
    }

    /// An active job keeps its warning when its time stays the same: else it would warn again and again.
    fn postpone(&mut self, key: JobKey, requeue: Time) {
        let job = &self.jobs[key];
        if job.state() != JobState::Active || requeue != job.due {
            self.move_job(key, Move::Wait, requeue);
        }
    }

    /// Whether another node can have this job queued.
    pub(crate) fn may_be_elsewhere(&self, key: JobKey) -> bool {
        let job = &self.jobs[key];
        let others = job.holders.without(self.peers.gone());
        job.guarantee() == Guarantee::AtLeastOnce && !others.is_empty()
    }

    /// The job was queued when the node stopped: from `begin` on the other holders are asked whether they have it now.
    pub(crate) fn queue_unless_elsewhere(&mut self, begin: Time, key: JobKey) {
        self.jobs[key].make(Move::AskFirst);
        self.move_job(key, Move::Wait, begin + limits::WILLQUEUE_AHEAD);
    }

    /// The link to a peer came up: it hears of the jobs that were queued here without its consent.
    pub(crate) fn agree_with(&mut self, now: Time, peer: PeerKey) {
        if self.jobs.len() == 0 {
            return;
        }
        self.agreement.untold.insert(peer);
        if self.agreement.telling.is_none() {
            self.agreement.telling = Some((0, NodeSet::EMPTY));
            self.agenda.add_timer(now, Timer::Agreement);
        }
    }

    /// The next step of telling.
    pub(crate) fn on_agreement(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let Some((from, peers)) = self.agreement.telling else {
            return;
        };
        let peers = if from == 0 {
            std::mem::take(&mut self.agreement.untold)
        } else {
            peers
        };
        let to = self.jobs.end().min(from + limits::TELL_PER_TICK);
        for slot in from..to {
            let key = JobKey(slot);
            let Some(job) = self.jobs.get(key) else {
                continue;
            };
            if job.state() == JobState::Queued && job.is_announced() {
                for peer in job.holders.and(peers).iter() {
                    self.send(peer, self.queued_message(now, key), effects);
                }
            }
        }
        self.agreement.telling = if to < self.jobs.end() {
            Some((to, peers))
        } else if self.agreement.untold.is_empty() {
            None
        } else {
            Some((0, NodeSet::EMPTY))
        };
        if self.agreement.telling.is_some() {
            let when = now + limits::TELL_PAUSE;
            self.agenda.add_timer(when, Timer::Agreement);
        }
    }
}
