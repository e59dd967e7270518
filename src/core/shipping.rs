//! Moving a job from one queue to another: YOURJOBS.
//!
//! An at-most-once job is in one place only: it leaves this node's log before it leaves the node. Any other stays
//! here too, active, and its receiver says QUEUED at once. Until then the move is unsettled: should the link break, the
//! receiver is asked when it is back, and without an answer the job is queued here again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::RngExt;

use crate::effect::Effect;
use crate::id::{Guarantee, JobId, NodeId};
use crate::job::{Job, JobState, Links, Place};
use crate::jobs::JobKey;
use crate::limits;
use crate::message::{Copy, Message};
use crate::node::{MemoryLevel, Node};
use crate::peers::{NodeSet, PeerKey};
use crate::queue::QueueKey;
use crate::record::Record;
use crate::requeue::Cause;
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
    pub(crate) fn next(&self) -> Option<Time> {
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
    fn settle(&mut self, id: JobId) -> Option<Move> {
        self.set(id, Stage::Sent);
        self.by_id.remove(&id)
    }

    fn with(&self, to: NodeId) -> Vec<(JobId, Move)> {
        let all = self.by_id.iter().map(|(&id, &it)| (id, it));
        all.filter(|(_, it)| it.to == to).collect()
    }

    /// Whether all that is asked is on time.
    pub(crate) fn is_consistent(&self) -> bool {
        let asked = self.by_id.iter().filter_map(|(&id, it)| match it.stage {
            Stage::Asked(when) => Some((when, id)),
            Stage::Sent | Stage::Lost => None,
        });
        asked.collect::<BTreeSet<_>>() == self.asked
    }
}

impl Node {
    /// Takes a ready job out of its queue for a peer.
    pub(crate) fn ship(
        &mut self,
        now: Time,
        key: JobKey,
        to: PeerKey,
        effects: &mut Vec<Effect>,
    ) -> Copy {
        self.counters.exported += 1;
        let moves = self.jobs[key].moves.saturating_add(1).min(limits::MOVES);
        self.jobs[key].moves = moves;
        if self.jobs[key].guarantee() == Guarantee::AtMostOnce {
            let copy = self.copy_to_ship(now, key);
            self.persist(Record::Deleted(copy.id), effects);
            self.remove(now, key);
            return copy;
        }
        self.merge_holders(key, NodeSet::only(to), effects);
        self.leave_queue(now, key);
        let jitter = self.random.random_range(0..=limits::RETRY_JITTER_MS);
        let job = &mut self.jobs[key];
        job.ours = false;
        let requeue = now.after_secs(job.retry) + Duration::from_millis(jitter);
        let id = job.id;
        self.move_job(key, JobState::Active, requeue);
        let to = self.peers.get(to).id;
        self.federation.moves.begin(id, to, requeue);
        self.copy_to_ship(now, key)
    }

    /// A job as it goes to another node's queue: one that is delivered once at most is there alone.
    pub(crate) fn copy_to_ship(&mut self, now: Time, key: JobKey) -> Copy {
        let job = &self.jobs[key];
        let own = (job.guarantee() == Guarantee::AtLeastOnce).then_some(self.id);
        let holders = self.peers.list(job.holders, own);
        Copy {
            id: job.id,
            queue: self.queues[job.queue].name.clone(),
            body: job.body.clone(),
            created: job.created,
            age_ms: now.since(job.added).as_millis() as u64,
            ttl: job.ttl,
            delay: job.delay,
            retry: job.retry,
            replicate: job.replicate,
            nacks: job.nacks,
            additional_deliveries: job.additional_deliveries,
            moves: job.moves,
            holders,
        }
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
            self.send(from, Message::Enqueue { id, delay_ms: 0 }, effects);
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
        let id = copy.id;
        let at_most_once = copy.retry == 0;
        if self.answer_forgotten(from, id, effects) {
            return TakenIn::Settled;
        }
        if let Some(key) = self.jobs.find(&id) {
            return self.take_in_known(now, from, key, &copy, effects);
        }
        if copy.age_ms >= u64::from(copy.ttl) * 1000 {
            self.counters.expired += u64::from(at_most_once);
            return TakenIn::Settled;
        }
        // An at-most-once job has nowhere to go back to.
        if !at_most_once && self.refuses(&copy) {
            return TakenIn::Refused;
        }
        let key = self.keep_shipped(now, &copy);
        self.persist_job(key, effects);
        self.counters.imported += 1;
        if !self.put_back(now, key, Cause::Moved, effects) {
            return TakenIn::Settled;
        }
        self.announce(key, effects);
        TakenIn::Queued(self.jobs[key].queue)
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
        let id = copy.id;
        let holders = self.peers.set_of(&copy.holders, self.id);
        self.merge_holders(key, holders, effects);
        let job = &self.jobs[key];
        let (state, ours, requeue, retry) = (job.state, job.ours, job.requeue, job.retry);
        match state {
            // Who has it out waits for its ack; who waits for copies hands it out soon.
            JobState::Active | JobState::WaitReplicas
                if ours || state == JobState::WaitReplicas =>
            {
                let for_ms = if ours {
                    requeue.since(now).as_millis() as u64
                } else {
                    u64::from(retry) * 1000
                };
                self.send(from, Message::Working { id, for_ms }, effects);
                TakenIn::Settled
            }
            JobState::Active | JobState::WaitReplicas if retry == 0 => TakenIn::Settled,
            JobState::Active | JobState::WaitReplicas if self.refuses(copy) => TakenIn::Refused,
            JobState::Active | JobState::WaitReplicas => {
                let job = &mut self.jobs[key];
                job.moves = copy.moves;
                job.nacks = job.nacks.max(copy.nacks);
                job.additional_deliveries =
                    job.additional_deliveries.max(copy.additional_deliveries);
                self.counters.imported += 1;
                if !self.put_back(now, key, Cause::Moved, effects) {
                    return TakenIn::Refused;
                }
                self.announce(key, effects);
                TakenIn::Queued(self.jobs[key].queue)
            }
            JobState::Queued => {
                self.announce(key, effects);
                TakenIn::Settled
            }
            JobState::Acked => TakenIn::Settled,
        }
    }

    /// Whether a job is better off where it comes from.
    fn refuses(&self, copy: &Copy) -> bool {
        let queue = self.queues.find(copy.queue.as_bytes());
        let queue = queue.map(|key| &self.queues[key]);
        let waited_for = queue.is_some_and(|queue| !queue.waiters.is_empty());
        self.leaving
            || queue.is_some_and(|queue| queue.pause.input)
            || !waited_for && self.memory_level() == MemoryLevel::Full
    }

    fn keep_shipped(&mut self, now: Time, copy: &Copy) -> JobKey {
        let holders = self.peers.set_of(&copy.holders, self.id);
        let queue = self.queues.find_or_add(copy.queue.as_bytes());
        let key = self.keep(Job {
            id: copy.id,
            body: copy.body.clone(),
            created: copy.created,
            added: now - Duration::from_millis(copy.age_ms),
            requeue: Time::NEVER,
            holders,
            ttl: copy.ttl,
            delay: copy.delay,
            retry: copy.retry,
            nacks: copy.nacks,
            additional_deliveries: copy.additional_deliveries,
            queue,
            order: Links::NONE,
            agenda: Links::NONE,
            segment: self.segments.current(),
            replicate: copy.replicate,
            state: JobState::Active,
            place: Place::Before,
            ours: false,
            warned: false,
            moves: copy.moves,
            short: false,
        });
        self.agenda.add_job(&mut self.jobs, key);
        if self.lacks_holders(&self.jobs[key]) {
            self.set_short(now, key, true);
        }
        key
    }

    /// Somebody said that the job is queued.
    pub(crate) fn settle_move(&mut self, id: JobId) {
        self.federation.moves.settle(id);
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
            let holders = self.jobs.find(&id).map(|key| self.jobs[key].holders);
            for holder in holders.unwrap_or_default().iter() {
                self.send(holder, Message::WillQueue(id), effects);
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
    pub(crate) fn on_moves_late(&mut self, now: Time, effects: &mut Vec<Effect>) {
        while let Some(&(when, id)) = self.federation.moves.asked.first() {
            if when > now {
                return;
            }
            let it = self.federation.moves.settle(id);
            let unsettled = it.is_some_and(|it| self.is_unsettled(id, &it));
            let Some(key) = self.jobs.find(&id).filter(|_| unsettled) else {
                continue;
            };
            self.enqueue(now, key, Cause::Heal, effects);
        }
    }

    /// Whether nothing was heard of the job since.
    fn is_unsettled(&self, id: JobId, it: &Move) -> bool {
        let job = self.jobs.find(&id).map(|key| &self.jobs[key]);
        job.is_some_and(|job| job.state == JobState::Active && job.requeue == it.requeue)
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
