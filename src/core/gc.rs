//! ACKJOB, FASTACK, DELJOB, ttl: forgetting a job, everywhere.
//!
//! An acknowledged job goes once every node that may hold a copy knows of the ack; one that is held here alone goes at
//! once. Till then it stays, acked and without its body, for a holder that has not heard would queue it again.
//!
//! The node that was told of the ack *collects*: it sends SETACK with the holders that it knows to each of them, again
//! and again to those that do not answer. A holder marks its copy acked and answers GOTACK, with the holders that it
//! knows if the sender lacks one, which is then told too. When all have answered, the collector sends DELJOB to them
//! and forgets the job. A holder that hears no DELJOB for a while collects itself, so any of them may fail. Where an ack
//! comes to a node without a copy, a tombstone finds those who have one (`tombstones`).
//!
//! Who has answered is not recorded: after a restart, all holders are asked anew.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt;

use crate::agenda::Timer;
use crate::command::Reply;
use crate::effect::Effect;
use crate::id::{JobId, NodeId};
use crate::job::{Body, JobState, Place};
use crate::jobs::JobKey;
use crate::limits;
use crate::message::{Holders, Message};
use crate::node::{Log, Node};
use crate::peers::{NodeSet, PeerKey};
use crate::queue::List;
use crate::record::{AckRecord, Record};
use crate::time::Time;

/// Acked jobs, tombstones included: who is known to know.
#[derive(Debug, Default)]
pub(crate) struct Collections {
    of: BTreeMap<JobKey, Collection>,
    /// All but the tombstones, oldest ack first.
    pub(crate) list: List,
    /// Peers whose links came up, and the next job whose ack they are told.
    tellings: BTreeMap<PeerKey, JobKey>,
    /// A peer holds nothing any more: the next job that may be waiting for nobody else.
    settling: Option<JobKey>,
    /// When `tellings` and `settling` go on.
    next_step: Option<Time>,
    /// What acked jobs carry for a body.
    no_body: Option<Body>,
}

/// How far the collection of one job is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Collection {
    /// Who knows of the ack.
    pub(crate) heard: NodeSet,
    /// How often this node told the others; 0 while it leaves that to the one it heard from.
    pub(crate) told: u8,
}

impl Collections {
    pub(crate) fn get(&self, key: JobKey) -> Option<&Collection> {
        self.of.get(&key)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = JobKey> + '_ {
        self.of.keys().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.of.len()
    }

    fn begin(&mut self, key: JobKey) {
        let fresh = Collection {
            heard: NodeSet::EMPTY,
            told: 0,
        };
        let former = self.of.insert(key, fresh);
        assert!(former.is_none(), "a job is collected once");
    }

    fn end(&mut self, key: JobKey) {
        let collection = self.of.remove(&key);
        assert!(collection.is_some(), "an acked job is being collected");
    }

    fn hear(&mut self, key: JobKey, from: PeerKey) {
        self.of_mut(key).heard.insert(from);
    }

    /// These slots will be other peers', who have heard of nothing.
    pub(crate) fn forget_slots(&mut self, gone: NodeSet) {
        for collection in self.of.values_mut() {
            collection.heard = collection.heard.without(gone);
        }
    }

    fn of_mut(&mut self, key: JobKey) -> &mut Collection {
        let collection = self.of.get_mut(&key);
        collection.expect("an acked job is being collected")
    }

    pub(crate) fn no_body(&mut self) -> Body {
        self.no_body.get_or_insert_with(|| Body::new(b"")).clone()
    }

    /// Whether a pass over all jobs is under way that ends collections.
    pub(crate) fn is_settling(&self) -> bool {
        self.settling.is_some()
    }

    /// The next jobs from `from` on, and where to go on after them.
    fn some_from(&self, from: JobKey) -> (Vec<JobKey>, Option<JobKey>) {
        let mut keys = self.of.range(from..).map(|(&key, _)| key);
        let some = keys.by_ref().take(limits::ACKS_PER_STEP).collect();
        (some, keys.next())
    }
}

/// The one SETACK list that names nobody: what tombstones send.
pub(crate) fn nobody() -> Holders {
    Holders::from([])
}

impl Node {
    pub(crate) fn ack_jobs(
        &mut self,
        now: Time,
        ids: &[JobId],
        effects: &mut Vec<Effect>,
    ) -> Reply {
        let mut count = 0;
        for &id in ids {
            match self.jobs.find(&id) {
                Some(key) if self.jobs[key].state == JobState::Acked => {}
                Some(key) => {
                    self.ack(now, key, effects);
                    count += 1;
                }
                None => self.ack_unknown(now, id, effects),
            }
        }
        self.counters.acked += count;
        Reply::Count(count)
    }

    fn ack(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        if self.unheard_holders(key).is_empty() {
            self.finish(now, key, effects);
        } else {
            self.mark_acked(now, key, effects);
            self.tell_ack(now, key, effects);
        }
    }

    /// DELJOB: this node alone forgets the jobs, and takes them again from whoever brings them.
    pub(crate) fn delete_jobs(
        &mut self,
        now: Time,
        ids: &[JobId],
        effects: &mut Vec<Effect>,
    ) -> Reply {
        self.each_job(ids, |node, key| {
            node.forget(now, key, effects);
            true
        })
    }

    /// FASTACK: forgets the jobs here, and tells the holders to, or everybody where they are not known; once.
    pub(crate) fn fast_ack_jobs(
        &mut self,
        now: Time,
        ids: &[JobId],
        effects: &mut Vec<Effect>,
    ) -> Reply {
        let mut count = 0;
        for &id in ids {
            match self.jobs.find(&id) {
                Some(key) => {
                    let job = &self.jobs[key];
                    let holders = if job.is_tombstone() {
                        self.peers.up()
                    } else {
                        job.holders
                    };
                    self.send_delete(holders, id, effects);
                    self.forget(now, key, effects);
                    count += 1;
                }
                None => self.send_delete(self.peers.up(), id, effects),
            }
            self.remember(now, id);
        }
        Reply::Count(count)
    }

    pub(crate) fn send_delete(&self, to: NodeSet, id: JobId, effects: &mut Vec<Effect>) {
        for peer in to.without(self.peers.gone()).iter() {
            self.send(peer, Message::DelJob(id), effects);
        }
    }

    pub(crate) fn on_delete_message(&mut self, now: Time, id: JobId, effects: &mut Vec<Effect>) {
        if let Some(key) = self.jobs.find(&id) {
            self.forget(now, key, effects);
        }
        self.remember(now, id);
    }

    pub(crate) fn on_set_ack(
        &mut self,
        now: Time,
        from: PeerKey,
        id: JobId,
        holders: &[NodeId],
        effects: &mut Vec<Effect>,
    ) {
        let of_tombstone = holders.is_empty();
        let known = self.jobs.find(&id);
        let Some(key) = known.filter(|&key| !self.jobs[key].is_tombstone()) else {
            self.answer_ack(from, id, false, nobody(), effects);
            match known {
                // Two nodes without a copy were told of the ack: either goes on asking.
                Some(key) if of_tombstone => self.hear_ack(now, key, from, effects),
                Some(key) => self.finish(now, key, effects),
                None => self.remember(now, id),
            }
            return;
        };
        let mut theirs = self.peers.set_of(holders, self.id);
        if !of_tombstone {
            theirs.insert(from);
        }
        let own = self.jobs[key].holders.without(self.peers.gone());
        let lacks = !of_tombstone && !own.without(theirs).is_empty();
        self.learn_holders(key, theirs, effects);
        let fresh = self.jobs[key].state != JobState::Acked;
        if fresh {
            self.mark_acked(now, key, effects);
        }
        let told = if lacks {
            self.peers.list(self.jobs[key].holders, Some(self.id))
        } else {
            nobody()
        };
        self.answer_ack(from, id, true, told, effects);
        if fresh && of_tombstone {
            self.collections.hear(key, from);
            self.tell_ack(now, key, effects);
        } else {
            self.hear_ack(now, key, from, effects);
        }
    }

    fn answer_ack(
        &self,
        to: PeerKey,
        id: JobId,
        known: bool,
        holders: Holders,
        effects: &mut Vec<Effect>,
    ) {
        self.send(to, Message::GotAck { id, known, holders }, effects);
    }

    pub(crate) fn on_got_ack(
        &mut self,
        now: Time,
        from: PeerKey,
        id: JobId,
        known: bool,
        holders: &[NodeId],
        effects: &mut Vec<Effect>,
    ) {
        let Some(key) = self.jobs.find(&id) else {
            return;
        };
        let job = &self.jobs[key];
        if job.is_tombstone() && known {
            return self.finish(now, key, effects);
        }
        if job.state != JobState::Acked {
            return;
        }
        if known {
            let theirs = self.peers.set_of(holders, self.id).with(from);
            self.learn_holders(key, theirs, effects);
        }
        self.hear_ack(now, key, from, effects);
    }

    /// Takes a job out of everything but the agenda: it is acked. The caller tells the others, or they tell each other.
    fn mark_acked(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        self.leave_place(now, key);
        let patience = limits::ACK_PATIENCE.as_millis() as u64;
        let spread = self.random.random_range(0..patience / 4);
        let next = now + Duration::from_millis(patience + spread);
        self.move_job(key, JobState::Acked, next);
        self.drop_body(key);
        self.begin_collection(key);
        self.record_ack(key, effects);
    }

    /// Nobody asks for the body of an acked job any more.
    pub(crate) fn drop_body(&mut self, key: JobKey) {
        let none = self.collections.no_body();
        let body = std::mem::replace(&mut self.jobs[key].body, none);
        self.body_bytes -= body.as_bytes().len();
    }

    /// An acked job, or a tombstone, stands in no list yet.
    pub(crate) fn begin_collection(&mut self, key: JobKey) {
        let list = if self.jobs[key].is_tombstone() {
            self.tombstones.len += 1;
            &mut self.tombstones.list
        } else {
            &mut self.collections.list
        };
        list.push_back(&mut self.jobs, key, Place::Acked);
        self.collections.begin(key);
    }

    pub(crate) fn end_collection(&mut self, key: JobKey) {
        let list = if self.jobs[key].is_tombstone() {
            self.tombstones.len -= 1;
            &mut self.tombstones.list
        } else {
            &mut self.collections.list
        };
        list.remove(&mut self.jobs, key);
        self.collections.end(key);
    }

    /// Records an ack, which takes the place of all that was recorded of the job.
    pub(crate) fn record_ack(&mut self, key: JobKey, effects: &mut Vec<Effect>) {
        if self.settings.log == Log::Off {
            return;
        }
        let current = self.segments.current();
        let former = std::mem::replace(&mut self.jobs[key].segment, current);
        self.segments.remove(former);
        self.segments.add(current);
        self.persist_ack(key, effects);
    }

    pub(crate) fn persist_ack(&mut self, key: JobKey, effects: &mut Vec<Effect>) {
        let job = &self.jobs[key];
        let queue = (!job.is_tombstone()).then(|| self.queues[job.queue].name.clone());
        let (id, expires, holders) = (job.id, job.expires(), job.holders);
        let unheard = holders.without(self.collections.of[&key].heard);
        let record = AckRecord {
            id,
            queue,
            expires,
            unheard: self.peers.list(unheard, None),
        };
        self.persist(Record::Acked(Box::new(record)), effects);
    }

    /// More nodes may hold a job. Those are told that it is acked, if this node does the telling.
    fn learn_holders(&mut self, key: JobKey, more: NodeSet, effects: &mut Vec<Effect>) {
        let job = &mut self.jobs[key];
        let fresh = more.without(job.holders).without(self.peers.gone());
        if fresh.is_empty() {
            return;
        }
        job.holders = job.holders.or(fresh);
        if job.state != JobState::Acked {
            // It is about to be acked: that record names them.
            return;
        }
        self.record_ack(key, effects);
        if self.collections.of[&key].told > 0 {
            self.send_ack(key, fresh, effects);
        }
    }

    /// Somebody knows of the ack: the last whom this node waits for ends the collection.
    fn hear_ack(&mut self, now: Time, key: JobKey, from: PeerKey, effects: &mut Vec<Effect>) {
        self.collections.hear(key, from);
        if self.collections.of[&key].told > 0 && self.unheard(key).is_empty() {
            self.finish(now, key, effects);
        }
    }

    /// Who must still hear of an ack.
    pub(crate) fn unheard(&self, key: JobKey) -> NodeSet {
        let heard = self.collections.of[&key].heard;
        if self.jobs[key].is_tombstone() {
            self.peers.members().without(heard)
        } else {
            self.unheard_holders(key).without(heard)
        }
    }

    fn unheard_holders(&self, key: JobKey) -> NodeSet {
        self.jobs[key].holders.without(self.peers.gone())
    }

    /// Tells all who have not answered, and looks again after a while, the longer the more often that was done.
    pub(crate) fn tell_ack(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        let unheard = self.unheard(key);
        // A tombstone of a node that knows of no others yet, as after a restart, waits for them.
        let alone = self.jobs[key].is_tombstone() && self.peers.members().is_empty();
        if unheard.is_empty() && !alone {
            return self.finish(now, key, effects);
        }
        self.send_ack(key, unheard, effects);
        let collection = self.collections.of_mut(key);
        let wait = limits::ACK_RETRY_MIN * 2_u32.pow(u32::from(collection.told.min(16)));
        collection.told = collection.told.saturating_add(1);
        let next = now + wait.min(limits::ACK_RETRY_MAX);
        self.move_job(key, JobState::Acked, next);
    }

    fn send_ack(&mut self, key: JobKey, to: NodeSet, effects: &mut Vec<Effect>) {
        let to = to.and(self.peers.up());
        if to.is_empty() {
            return;
        }
        let job = &self.jobs[key];
        let id = job.id;
        let holders = if job.is_tombstone() {
            nobody()
        } else {
            self.peers.list(job.holders, Some(self.id))
        };
        for peer in to.iter() {
            let holders = holders.clone();
            self.send(peer, Message::SetAck { id, holders }, effects);
        }
    }

    /// An acked job is due: holders that have not answered are told again.
    pub(crate) fn on_collection_due(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        if self.jobs[key].requeue <= now {
            self.tell_ack(now, key, effects);
        }
    }

    /// Everybody knows: nobody needs to remember the job any more.
    fn finish(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        let job = &self.jobs[key];
        let id = job.id;
        if job.state == JobState::Acked {
            self.send_delete(job.holders, id, effects);
        }
        self.forget(now, key, effects);
        self.remember(now, id);
    }

    /// Whether this job is known to be over. Then `from`, which has a copy or speaks of one, is told so.
    pub(crate) fn answer_forgotten(
        &mut self,
        from: PeerKey,
        id: JobId,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let key = self.jobs.find(&id);
        let Some(key) = key.filter(|&key| self.jobs[key].state == JobState::Acked) else {
            let forgotten = key.is_none() && self.forgotten.contains(&id);
            if forgotten {
                let holders = nobody();
                self.send(from, Message::SetAck { id, holders }, effects);
            }
            return forgotten;
        };
        // Whatever it said before: it did not know when it sent this.
        self.collections.of_mut(key).heard.remove(from);
        if !self.jobs[key].is_tombstone() {
            self.learn_holders(key, NodeSet::only(from), effects);
        }
        self.send_ack(key, NodeSet::only(from), effects);
        true
    }

    /// The link to a peer came up: it is told of the acks that it has not confirmed.
    pub(crate) fn collect_with(&mut self, now: Time, peer: PeerKey, effects: &mut Vec<Effect>) {
        self.collections.tellings.insert(peer, JobKey(0));
        self.collect_on(now, effects);
    }

    /// A peer holds nothing any more: no ack waits for it.
    pub(crate) fn collect_without(&mut self, now: Time, peer: PeerKey, effects: &mut Vec<Effect>) {
        self.collections.tellings.remove(&peer);
        // At once, however many there are: the slot may be another's soon, which must hear of them.
        for collection in self.collections.of.values_mut() {
            collection.heard.remove(peer);
        }
        self.collections.settling = Some(JobKey(0));
        self.collect_on(now, effects);
    }

    pub(crate) fn on_collection_timer(&mut self, now: Time, effects: &mut Vec<Effect>) {
        self.collections.next_step = None;
        self.collect_on(now, effects);
    }

    /// The next step of all passes over the acked jobs, unless it is to wait.
    fn collect_on(&mut self, now: Time, effects: &mut Vec<Effect>) {
        if self.collections.next_step.is_some() {
            return;
        }
        if let Some(from) = self.collections.settling {
            let (some, next) = self.collections.some_from(from);
            self.collections.settling = next;
            for key in some {
                if self.unheard(key).is_empty() {
                    self.finish(now, key, effects);
                }
            }
        }
        for (peer, from) in std::mem::take(&mut self.collections.tellings) {
            if !self.peers.up().contains(peer) {
                continue;
            }
            let (some, next) = self.collections.some_from(from);
            for key in some {
                if self.unheard(key).contains(peer) {
                    self.send_ack(key, NodeSet::only(peer), effects);
                }
            }
            let next = next.map(|next| (peer, next));
            self.collections.tellings.extend(next);
        }
        let done = self.collections.settling.is_none() && self.collections.tellings.is_empty();
        if !done {
            let next = now + limits::ACK_STEP_PAUSE;
            self.collections.next_step = Some(next);
            self.agenda.add_timer(next, Timer::Collection);
        }
    }

    /// The job's ttl is over.
    pub(crate) fn expire(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        if self.jobs[key].state != JobState::Acked {
            self.counters.expired += 1;
        }
        self.forget(now, key, effects);
    }

    /// This node alone forgets a job.
    pub(crate) fn forget(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        self.persist(Record::Deleted(self.jobs[key].id), effects);
        self.remove(now, key);
    }
}
