//! The collection of acks: who of the holders knows, and who must be told.
//!
//! What the messages say is in `gc`. Here each acked job has its [`Collection`], tombstones included, and wakes up when
//! those that have not answered are to be told again. When a peer comes, or holds nothing any more, a pass goes over all
//! collections, a few at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt;

use crate::acking::End;
use crate::agenda::Timer;
use crate::effect::Effect;
use crate::id::Guarantee;
use crate::job::{Body, Ending, JobKey, Move, Place};
use crate::limits;
use crate::members::{NodeSet, PeerKey};
use crate::message::{Holders, Message};
use crate::node::{Log, Node};
use crate::planted::Bug;
use crate::queue::List;
use crate::record::{AckRecord, Record};
use crate::time::Time;

/// Acked jobs, tombstones included: who is known to know.
#[derive(Debug, Default)]
pub(crate) struct Collections {
    of: BTreeMap<JobKey, Collection>,
    /// All but the tombstones and those that are kept, oldest ack first.
    pub(super) list: List,
    /// Those whose end is kept.
    pub(super) kept: List,
    /// How many of them were withdrawn, not acked.
    pub(crate) withdrawn: usize,
    /// How many of them rest: all know, and their ends are kept.
    pub(crate) resting: usize,
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
    pub(super) told: u8,
    /// All know, and only the time for which it is kept has to pass.
    pub(super) rests: bool,
}

impl Collections {
    pub(crate) fn get(&self, key: JobKey) -> Option<&Collection> {
        self.of.get(&key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = JobKey> + '_ {
        self.of.keys().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.of.len()
    }

    fn begin(&mut self, key: JobKey) {
        let fresh = Collection {
            heard: NodeSet::EMPTY,
            told: 0,
            rests: false,
        };
        let former = self.of.insert(key, fresh);
        assert!(former.is_none(), "a job is collected once");
    }

    fn end(&mut self, key: JobKey) {
        let collection = self.of.remove(&key);
        let collection = collection.expect("an acked job is being collected");
        self.resting -= usize::from(collection.rests);
    }

    /// This peer knows of the ack.
    pub(super) fn hear(&mut self, key: JobKey, from: PeerKey) {
        self.of_mut(key).heard.insert(from);
    }

    /// Nobody has to be told any more.
    pub(super) fn rest(&mut self, key: JobKey) {
        let collection = self.of_mut(key);
        let rested = std::mem::replace(&mut collection.rests, true);
        collection.told = 0;
        self.resting += usize::from(!rested);
    }

    /// Whatever this peer said before: it does not know of the ack now.
    pub(super) fn unhear(&mut self, key: JobKey, from: PeerKey) {
        self.of_mut(key).heard.remove(from);
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

    pub(super) fn no_body(&mut self) -> Body {
        self.no_body.get_or_insert_with(|| Body::new(b"")).clone()
    }

    /// Whether a pass over all jobs is under way that ends collections.
    pub(super) fn is_settling(&self) -> bool {
        self.settling.is_some()
    }

    /// The next jobs from `from` on, and where to go on after them.
    fn some_from(&self, from: JobKey) -> (Vec<JobKey>, Option<JobKey>) {
        let mut keys = self.of.range(from..).map(|(&key, _)| key);
        let some = keys.by_ref().take(limits::ACKS_PER_STEP).collect();
        (some, keys.next())
    }
}

impl Node {
    /// A job is acked or withdrawn, and `more` hold it, too. If its caller does not tell the holders, that is left to
    /// others for now.
    pub(crate) fn mark_acked(
        &mut self,
        now: Time,
        key: JobKey,
        end: End,
        more: NodeSet,
        effects: &mut Vec<Effect>,
    ) {
        self.tally_end(now, key, end.known());
        let end = self.with_keep(now, key, end);
        self.leave_place(now, key);
        if self.jobs[key].guarantee() == Guarantee::AtLeastOnce && !self.has(Bug::AckEndsWithTtl) {
            // A copy elsewhere may have been buried meanwhile.
            let longer = self.longest_dead_ttl();
            self.jobs[key].ttl = self.jobs[key].ttl.saturating_add(longer);
        }
        self.live_until(key, end.kept_until());
        let patience = limits::ACK_PATIENCE.as_millis() as u64;
        let spread = self.random.random_range(0..patience / 4);
        let next = now + Duration::from_millis(patience + spread);
        self.move_job(key, Move::End, next);
        let job = &mut self.jobs[key];
        job.holders = self.peers.present(job.holders.or(more));
        self.keep_end(key, end);
        self.begin_collection(key);
        self.record_ack(key, effects);
        self.note_fate(self.jobs[key].id);
    }

    /// Of a job that is over, only how it ended is kept: its body and its own extras go.
    pub(crate) fn keep_end(&mut self, key: JobKey, end: End) {
        let none = self.collections.no_body();
        let body = self.jobs[key].body.len();
        self.replace_body(key, none);
        let ending = end.ending();
        let more = end.extras.len() as u64;
        let former = self.jobs.replace_extras(key, end.extras);
        let job = &mut self.jobs[key];
        job.ending = ending;
        self.segments
            .shrink(job.segment, (body + former.len()) as u64);
        self.segments.enlarge(job.segment, more);
    }

    /// An acked job, or a tombstone, stands in no list yet.
    pub(crate) fn begin_collection(&mut self, key: JobKey) {
        self.tombstones.len += usize::from(self.jobs[key].is_tombstone());
        let mut list = *self.list_of_ended(key);
        list.push_back(&mut self.jobs, key, Place::Acked);
        *self.list_of_ended(key) = list;
        self.collections.withdrawn += usize::from(self.jobs[key].is_withdrawn());
        self.collections.begin(key);
    }

    pub(crate) fn end_collection(&mut self, key: JobKey) {
        self.tombstones.len -= usize::from(self.jobs[key].is_tombstone());
        let mut list = *self.list_of_ended(key);
        list.remove(&mut self.jobs, key);
        *self.list_of_ended(key) = list;
        self.collections.withdrawn -= usize::from(self.jobs[key].is_withdrawn());
        self.collections.end(key);
    }

    fn list_of_ended(&mut self, key: JobKey) -> &mut List {
        let job = &self.jobs[key];
        if job.is_tombstone() {
            &mut self.tombstones.list
        } else if job.ending == Ending::Kept {
            &mut self.collections.kept
        } else {
            &mut self.collections.list
        }
    }

    /// The end of a job that is being collected is another one than was known: who has heard stays as it is.
    pub(super) fn change_end(&mut self, key: JobKey, end: End) {
        let collection = self.collections.of[&key];
        self.end_collection(key);
        self.keep_end(key, end);
        self.begin_collection(key);
        self.collections.resting += usize::from(collection.rests);
        *self.collections.of_mut(key) = collection;
    }

    /// Records an ack, which takes the place of all that was recorded of the job.
    pub(super) fn record_ack(&mut self, key: JobKey, effects: &mut Vec<Effect>) {
        self.move_record(key, self.segments.current());
        self.persist_ack(key, effects);
    }

    /// As [`Node::persist_job`], for one that is acked.
    pub(crate) fn persist_ack(&mut self, key: JobKey, effects: &mut Vec<Effect>) {
        if self.settings.log == Log::Off {
            return;
        }
        let job = &self.jobs[key];
        let queue = (!job.is_tombstone()).then(|| self.queues[job.queue].name.clone());
        let (id, expires, holders) = (job.id, job.expires(), job.holders);
        let withdrawn = job.is_withdrawn();
        let unheard = holders.without(self.collections.of[&key].heard);
        let record = AckRecord {
            id,
            queue,
            expires,
            unheard: self.peers.list(unheard, None),
            withdrawn,
            extras: self.jobs.extras(key),
        };
        self.persist(Record::Acked(Box::new(record)), effects);
    }

    /// More nodes may hold an acked job. If this node collects, it sends them the ack.
    pub(super) fn learn_holders(&mut self, key: JobKey, more: NodeSet, effects: &mut Vec<Effect>) {
        let job = &mut self.jobs[key];
        let fresh = more.without(job.holders).without(self.peers.gone());
        if fresh.is_empty() {
            return;
        }
        job.holders = job.holders.or(fresh);
        self.record_ack(key, effects);
        if self.collections.of[&key].told > 0 {
            self.send_ack(key, fresh, effects);
        }
    }

    /// Somebody knows of the ack: the last whom this node waits for ends the collection.
    pub(super) fn hear_ack(
        &mut self,
        now: Time,
        key: JobKey,
        from: PeerKey,
        effects: &mut Vec<Effect>,
    ) {
        self.collections.hear(key, from);
        if self.collections.of[&key].told > 0 && self.unheard(key).is_empty() {
            self.finish(now, key, effects);
        }
    }

    /// Who must still hear of an ack.
    pub(super) fn unheard(&self, key: JobKey) -> NodeSet {
        let heard = self.collections.of[&key].heard;
        if self.jobs[key].is_tombstone() {
            self.peers.members().without(heard)
        } else {
            self.other_holders(key).without(heard)
        }
    }

    /// Who else may hold a job that is acked.
    pub(crate) fn other_holders(&self, key: JobKey) -> NodeSet {
        self.peers.present(self.jobs[key].holders)
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
        self.move_job(key, Move::Remind, next);
    }

    pub(super) fn send_ack(&mut self, key: JobKey, to: NodeSet, effects: &mut Vec<Effect>) {
        let to = to.and(self.peers.up());
        if to.is_empty() {
            return;
        }
        let job = &self.jobs[key];
        let (id, withdrawn) = (job.id, job.is_withdrawn());
        let extras = self.end_of(key).to_tell(self.clock.time);
        let holders = if job.is_tombstone() {
            Holders::default()
        } else {
            self.peers.list(job.holders, Some(self.id))
        };
        for peer in to.iter() {
            let message = Message::SetAck {
                id,
                holders: holders.clone(),
                withdrawn,
                extras: extras.clone(),
            };
            self.send(peer, message, effects);
        }
    }

    /// An acked job is due: holders that have not answered are told again.
    pub(crate) fn on_collection_due(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        if self.jobs[key].due <= now {
            self.tell_ack(now, key, effects);
        }
    }

    /// Everybody knows: nobody needs to remember the job any more.
    pub(super) fn finish(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        let job = &self.jobs[key];
        self.send_delete(job.holders, job.id, &self.end_of(key), effects);
        self.rest_or_go(now, key, effects);
    }

    /// The link to a peer came up: sends it the acks that it has not confirmed.
    pub(crate) fn collect_with(&mut self, now: Time, peer: PeerKey, effects: &mut Vec<Effect>) {
        self.collections.tellings.insert(peer, JobKey(0));
        self.collect_on(now, effects);
    }

    /// A peer holds nothing any more: no ack waits for it.
    pub(crate) fn collect_without(&mut self, now: Time, peer: PeerKey, effects: &mut Vec<Effect>) {
        self.collections.tellings.remove(&peer);
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
                if !self.collections.of[&key].rests && self.unheard(key).is_empty() {
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
}
