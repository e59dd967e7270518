//! Moving a job from one queue to another: YOURJOBS.
//!
//! An at-most-once job is in one place only: it leaves this node's log before it leaves the node. Any other stays
//! here too, active, and its receiver says QUEUED at once. Until then the move is unsettled: should the link break, the
//! receiver is asked when it is back, and without an answer the job is queued here again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::delivering::Cause;
use crate::effect::{Effect, News};
use crate::explaining::What;
use crate::id::{Guarantee, JobId, NodeId};
use crate::job::{JobKey, JobState};
use crate::limits;
use crate::members::{NodeSet, PeerKey};
use crate::message::{Copy, Holders, Message};
use crate::node::{MemoryLevel, Node};
use crate::outcome::{Fate, Outcome};
use crate::planted::Bug;
use crate::queue::QueueKey;
use crate::record::Record;
use crate::time::{Now, Time};

/// A job that was sent, and of which nothing was heard since.
#[derive(Debug, Clone, Copy)]
struct Move {
    to: NodeId,
    /// The job's requeue time when it was sent: another one tells that it was heard of.
    requeue: Time,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The receiver will say that it queued it.
    Sent,
    /// The link broke: nobody knows whether it arrived.
    Lost,
    /// The receiver was asked, and answers until then.
    Asked(Time),
}

/// Unsettled moves.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    by_id: BTreeMap<JobId, Move>,
    asked: BTreeSet<(Time, JobId)>,
}

impl Moves {
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// When the next answer is late.
    pub(super) fn next(&self) -> Option<Time> {
        self.asked.first().map(|&(when, _)| when)
    }

    fn begin(&mut self, id: JobId, to: NodeId, requeue: Time) {
        self.settle(id);
        // Beyond the bound the normal retry must do.
        if self.by_id.len() < limits::UNSETTLED {
            let stage = Stage::Sent;
            self.by_id.insert(id, Move { to, requeue, stage });
        }
    }

    fn set(&mut self, id: JobId, stage: Stage) {
        if let Some(it) = self.by_id.get_mut(&id) {
            if let Stage::Asked(when) = it.stage {
                self.asked.remove(&(when, id));
            }
            it.stage = stage;
            if let Stage::Asked(when) = stage {
                self.asked.insert((when, id));
            }
        }
    }

    /// Somebody has the job.
    pub(crate) fn settle(&mut self, id: JobId) {
        self.take(id);
    }

    fn take(&mut self, id: JobId) -> Option<Move> {
        self.set(id, Stage::Sent);
        self.by_id.remove(&id)
    }

    fn with(&self, to: NodeId) -> Vec<(JobId, Move)> {
        let all = self.by_id.iter().map(|(&id, &it)| (id, it));
        all.filter(|(_, it)| it.to == to).collect()
    }

    /// Whether all that is asked is on time.
    pub(super) fn is_consistent(&self) -> bool {
        let asked = self.by_id.iter().filter_map(|(&id, it)| match it.stage {
            Stage::Asked(when) => Some((when, id)),
            Stage::Sent | Stage::Lost => None,
        });
        asked.collect::<BTreeSet<_>>() == self.asked
    }
}

impl Node {
    /// Takes a ready job out of its queue for a peer.
    pub(super) fn ship(
        &mut self,
        now: Time,
        key: JobKey,
        to: PeerKey,
        effects: &mut Vec<Effect>,
    ) -> Copy {
        self.counters.exported += 1;
        self.happened(self.jobs[key].id, What::Shipped(self.maker_of(to)));
        let moves = self.jobs[key].moves.saturating_add(1).min(limits::MOVES);
        self.jobs[key].moves = moves;
        if self.jobs[key].guarantee() == Guarantee::AtMostOnce {
            return self.give_away_once(now, key, effects);
        }
        self.merge_holders(key, NodeSet::only(to), effects);
        let id = self.jobs[key].id;
        let requeue = self.jobs[key].retry_elsewhere(now) + self.stagger();
        self.give_turn(now, key, requeue);
        // Its copy may be lost in a crash soon after.
        self.healing.recent.note(now, to, key);
        let to = self.peers.get(to).id;
        self.federation.moves.begin(id, to, requeue);
        if self.has(Bug::EarlyDelete) {
            self.persist(Record::Deleted(id), effects);
        }
        self.sweep_federation(now);
        self.copy_of(now, key)
    }

    /// An at-most-once job goes away: what is returned is all that is left of it.
    pub(crate) fn give_away_once(
        &mut self,
        now: Time,
        key: JobKey,
        effects: &mut Vec<Effect>,
    ) -> Copy {
        let queued = self.jobs[key].state() == JobState::Queued;
        let mut copy = self.copy_of(now, key);
        copy.holders = Holders::from([]);
        if queued && copy.delay_left().is_some() {
            // Somebody ended its delay early.
            copy.delay = 0;
        }
        self.persist(Record::Deleted(copy.id), effects);
        self.remove(now, key);
        copy
    }

    pub(crate) fn on_your_jobs(
        &mut self,
        now: Now,
        from: PeerKey,
        jobs: Vec<Copy>,
        effects: &mut Vec<Effect>,
    ) {
        let now = now.time;
        let mut filled: Vec<QueueKey> = Vec::new();
        let mut queues = BTreeMap::new();
        let mut refused = Vec::new();
        for copy in jobs {
            *queues.entry(copy.queue.clone()).or_insert(0) += 1;
            let id = copy.id;
            match self.take_in(now, from, copy, effects) {
                TakenIn::Queued(queue) if !filled.contains(&queue) => filled.push(queue),
                TakenIn::Queued(_) | TakenIn::Settled => {}
                TakenIn::Refused => refused.push(id),
            }
        }
        for queue in filled {
            self.serve(now, queue, effects);
        }
        // What this node wants is told first: else what it gives back comes again.
        for (queue, count) in queues {
            self.note_import(now, &queue, from, count, effects);
        }
        for id in refused {
            self.send(from, Message::enqueue(id, 0), effects);
        }
    }

    /// One job arrives.
    fn take_in(
        &mut self,
        now: Time,
        from: PeerKey,
        copy: Copy,
        effects: &mut Vec<Effect>,
    ) -> TakenIn {
        if self.is_copy_purged(&copy) {
            self.tally_missed(&copy, Outcome::Deleted);
            return TakenIn::Settled;
        }
        if self.answer_forgotten(from, copy.id, effects) {
            if let Fate::Ended { outcome, .. } = self.fate_here(&copy.id) {
                self.tally_missed(&copy, outcome);
            }
            return TakenIn::Settled;
        }
        if let Some(key) = self.jobs.find(&copy.id) {
            self.regain(&copy.id, &copy.body, effects);
            return self.take_in_known(now, from, key, &copy, effects);
        }
        let at_most_once = copy.retry == 0;
        if copy.age_ms >= u64::from(copy.ttl) * 1000 {
            if at_most_once {
                self.tally_missed(&copy, Outcome::Expired);
            }
            return TakenIn::Settled;
        }
        // An at-most-once job has nowhere to go back to.
        if !at_most_once && self.refuses(&copy) {
            return TakenIn::Refused;
        }
        let delay_left = copy.delay_left().filter(|_| at_most_once);
        let key = self.keep_copy(now, copy);
        self.happened(self.jobs[key].id, What::Arrived(self.maker_of(from)));
        self.persist_job(key, News::Job, effects);
        self.note_short(now, key);
        self.queue_after(now, key, delay_left, effects)
    }

    /// Queues a job that came from another node, when what is left of its delay is over.
    fn queue_after(
        &mut self,
        now: Time,
        key: JobKey,
        delay_left: Option<Duration>,
        effects: &mut Vec<Effect>,
    ) -> TakenIn {
        if let Some(left) = delay_left {
            self.counters.imported += 1;
            self.delay(now, key, now + left);
            return TakenIn::Settled;
        }
        self.queue_here(now, key, effects)
    }

    /// A job arrives that this node holds already.
    fn take_in_known(
        &mut self,
        now: Time,
        from: PeerKey,
        key: JobKey,
        copy: &Copy,
        effects: &mut Vec<Effect>,
    ) -> TakenIn {
        let holders = self.peers.set_of(&copy.holders, self.id);
        let is_agreed = self.jobs[key].guarantee() == Guarantee::AtLeastOnce;
        if is_agreed && !self.hear_copy(now, from, key, copy, effects) {
            return TakenIn::Settled;
        }
        let job = &self.jobs[key];
        match job.state() {
            // It was one of those that were asked for a copy: now it is the only one.
            JobState::Active if job.is_elsewhere() => {
                return self.queue_after(now, key, copy.delay_left(), effects);
            }
            _ if job.guarantee() == Guarantee::AtMostOnce => {}
            JobState::Queued => {
                self.merge_holders(key, holders, effects);
                self.announce(now, key, effects);
            }
            // Its producer is answered soon, and then it is queued. (What is acked was answered before.)
            JobState::WaitReplicas | JobState::Acked => self.send_working(now, key, from, effects),
            // The sender did not know that the job is out, and waits for the ack from now on.
            JobState::Active if job.is_ours() => {
                self.merge_holders(key, holders, effects);
                self.tell_working(now, key, effects);
            }
            // The sender had not heard yet that the job waits: the node with the turn tells it.
            JobState::Active if self.waits_on(now, from, (key, copy.nacks), effects) => {
                self.merge_holders(key, holders, effects);
            }
            JobState::Active if self.refuses(copy) => return TakenIn::Refused,
            JobState::Active => {
                self.merge_holders(key, holders, effects);
                let job = &mut self.jobs[key];
                job.moves = copy.moves;
                job.nacks = job.nacks.max(copy.nacks);
                let additional = job.additional_deliveries.max(copy.additional_deliveries);
                job.additional_deliveries = additional;
                self.happened(copy.id, What::Arrived(self.maker_of(from)));
                return self.queue_here(now, key, effects);
            }
        }
        TakenIn::Settled
    }

    /// Queues a job that came from another queue, and tells all holders.
    fn queue_here(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) -> TakenIn {
        self.counters.imported += 1;
        let queued = self.put_back(now, key, Cause::Given, effects);
        assert!(
            queued,
            "{}: a job that comes may be queued",
            self.jobs[key].id
        );
        self.announce(now, key, effects);
        TakenIn::Queued(self.jobs[key].queue)
    }

    /// Whether a job is better off where it comes from.
    fn refuses(&self, copy: &Copy) -> bool {
        let queue = self.queues.find(copy.queue.as_bytes());
        let waited_for = queue.is_some_and(|key| !self.queues[key].waiters.is_empty());
        self.is_going()
            || self.log_failing
            || !waited_for && self.memory_level() == MemoryLevel::Full
    }

    /// The link to a peer came up: it is asked what became of the jobs that went to it last.
    pub(crate) fn settle_with(&mut self, now: Time, peer: PeerKey, effects: &mut Vec<Effect>) {
        let to = self.peers.get(peer).id;
        let until = now + limits::SETTLE_WITHIN;
        for (id, it) in self.federation.moves.with(to) {
            if !self.is_unsettled(id, &it) {
                self.federation.moves.settle(id);
                continue;
            }
            self.federation.moves.set(id, Stage::Asked(until));
            let known = self.jobs.find(&id);
            let holders = known.map(|key| self.jobs[key].holders);
            for holder in holders.unwrap_or_default().iter() {
                match known {
                    Some(key) => self.ask_turn(now, key, holder, effects),
                    None => self.send(holder, Message::will_queue(id), effects),
                }
            }
        }
        self.set_federation_timer();
    }

    /// The link to a peer broke.
    pub(crate) fn unsettle_with(&mut self, _now: Time, peer: PeerKey) {
        let to = self.peers.get(peer).id;
        for (id, _) in self.federation.moves.with(to) {
            self.federation.moves.set(id, Stage::Lost);
        }
    }

    /// Nobody answered for a job that was sent over a link that broke: it is queued here.
    pub(super) fn on_moves_late(&mut self, now: Time, effects: &mut Vec<Effect>) {
        while let Some(&(when, id)) = self.federation.moves.asked.first() {
            if when > now {
                return;
            }
            let it = self.federation.moves.take(id);
            let unsettled = it.is_some_and(|it| self.is_unsettled(id, &it));
            let Some(key) = self.jobs.find(&id).filter(|_| unsettled) else {
                continue;
            };
            self.enqueue(now, key, Cause::Heal, effects);
        }
    }

    /// Drops the moves that were settled otherwise: the job was acked here, say.
    pub(super) fn drop_settled(&mut self) {
        let moves = self.federation.moves.by_id.iter();
        let settled = moves.filter(|(id, it)| !self.is_unsettled(**id, it));
        let settled: Vec<JobId> = settled.map(|(&id, _)| id).collect();
        for id in settled {
            self.federation.moves.settle(id);
        }
    }

    /// Whether nothing was heard of the job since.
    fn is_unsettled(&self, id: JobId, it: &Move) -> bool {
        let job = self.jobs.find(&id).map(|key| &self.jobs[key]);
        job.is_some_and(|job| job.state() == JobState::Active && job.due == it.requeue)
    }
}

/// What became of a job that arrived.
enum TakenIn {
    /// It is in this queue now.
    Queued(QueueKey),
    /// Nothing else is to be done about it.
    Settled,
    /// Its sender must queue it.
    Refused,
}
