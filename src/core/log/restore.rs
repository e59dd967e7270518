//! Coming back from the log.
//!
//! Records are applied in the order of writing; then the node starts. After a clean stop every job stands where it
//! stood, but what was queued and has holders elsewhere is queued only after they were asked. After any other, jobs with a retry are active and queued again when it is over (or at once, if the
//! operator wants), and at-most-once jobs are dropped, since each may have been handed out already.

use std::time::Duration;

use crate::acking::End;
use crate::agenda::{Agenda, Timer};
use crate::delivering::Cause;
use crate::effect::Effect;
use crate::explaining::What;
use crate::id::{Guarantee, JobId, NodeId, StoreId};
use crate::job::{Beside, Ending, Job, JobKey, JobState, Links, Move, Place, Stand};
use crate::limits;
use crate::members::NodeSet;
use crate::moving::taken_wait;
use crate::node::{Node, Settings};
use crate::planted::Bug;
use crate::queue::QueueKey;
use crate::record::{
    AckRecord, CountRecord, JobRecord, Location, Record, Segment, Standing, Stream,
};
use crate::register::Register;
use crate::settings::Shared;
use crate::telling::Share;
use crate::time::{Now, Time, WallTime};
use crate::topic::OriginNode;

/// What becomes of at-least-once jobs after an unclean stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// They are active until their retry is over.
    Active,
    /// They are queued at once.
    Queued,
}

/// How a start begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// When; [`Restore::timeline`] says where the timeline goes on.
    pub now: Now,
    /// Rises at every start.
    pub generation: u64,
    /// Where new records go.
    pub segment: Segment,
    /// Where new records of topics go.
    pub topic_segment: Segment,
    /// What becomes of at-least-once jobs after an unclean stop.
    pub reload: Reload,
}

/// A node that is being read from its log.
#[derive(Debug)]
pub struct Restore {
    node: Node,
    /// Jobs with a [`Record::Standing`] since the last start, and whether they were queued.
    standing: Vec<(JobKey, bool)>,
    /// The last record so far is [`Record::Closed`].
    closed: bool,
    /// The latest moment that any record tells of.
    latest: Time,
    mark: Option<(Time, WallTime)>,
}

impl Restore {
    /// Begins with nothing.
    pub fn new(id: NodeId, settings: Settings, seed: [u8; 32]) -> Self {
        let node = Node::new(id, settings, Time::ZERO, seed);
        Restore {
            node,
            standing: Vec::new(),
            closed: false,
            latest: Time::ZERO,
            mark: None,
        }
    }

    /// Gives the node a bug, for ever.
    #[cfg(feature = "planted-bugs")]
    pub fn plant(&mut self, bug: Bug) {
        self.node.planted = Some(bug);
        if let Bug::Topic(bug) = bug {
            self.node.topics.plant(bug);
        }
    }

    /// Applies the next record of its stream, which lies there. Jobs come first.
    pub fn apply(&mut self, at: Location, record: Record) {
        if let Record::Topic(record) = record {
            let (node, cache) = (
                OriginNode::of(&self.node.id),
                self.node.settings.topic_cache(),
            );
            return self.node.topics.apply(node, at, record, cache);
        }
        let segment = at.segment;
        if self.node.segments.current() < segment {
            self.node.segments.start(segment);
        }
        self.node.segments.grow(record.size());
        self.closed = matches!(record, Record::Closed { .. });
        match record {
            Record::Started { time, wall, .. } => {
                self.forget_standing();
                self.mark(time, wall);
            }
            Record::Mark { time, wall } | Record::Closed { time, wall } => self.mark(time, wall),
            Record::Added(job) => self.add(at, *job),
            Record::Deleted(id) => {
                if let Some(key) = self.node.jobs.find(&id) {
                    self.node.discard(key);
                }
            }
            Record::Holders { id, holders } => self.merge_holders(&id, &holders),
            Record::Moved(moved) => self.node.load_move(&moved),
            Record::Counted(counted) => self.count(&counted),
            Record::Acked(ack) => self.ack(segment, &ack),
            Record::Peer { id, store } => self.peer_store(&id, store),
            Record::PeerForgotten(id) => self.peer_forgotten(&id),
            Record::Setting(setting) => self.node.restore_setting(&setting),
            Record::Flushed => self.flush(),
            Record::Standing(standing) => self.stand(&standing),
            Record::Topic(_) => unreachable!("it is of the other stream"),
        }
    }

    /// Where the timeline goes on, when the wall clock says `wall`.
    pub fn timeline(&self, wall: WallTime) -> Time {
        let Some((time, then)) = self.mark else {
            return Time::from_millis(wall.0).max(self.latest);
        };
        let stopped = wall.0.saturating_sub(then.0);
        Time::from_millis(time.as_millis().saturating_add(stopped)).max(self.latest)
    }

    /// When the log was last known to be written to, by the wall clock of then.
    pub fn last_wall(&self) -> Option<WallTime> {
        self.mark.map(|(_, wall)| wall)
    }

    /// Whether the log ends with a clean stop.
    pub fn is_clean(&self) -> bool {
        self.closed
    }

    /// Jobs so far.
    pub fn job_count(&self) -> usize {
        self.node.jobs.len()
    }

    /// Starts the node. Its first effect is the record of this start, which must be on disk before anything is
    /// delivered.
    pub fn finish(self, start: Start, effects: &mut Vec<Effect>) -> Node {
        let Restore {
            mut node,
            standing,
            closed,
            ..
        } = self;
        let now = start.now;
        node.started = now.time;
        node.clock = now;
        node.start = u32::try_from(start.generation).unwrap_or(u32::MAX).max(1);
        node.agenda = Agenda::new(now.time);
        node.agenda
            .add_timer(now.time + limits::MARK_EVERY, Timer::Mark);
        node.segments.start(start.segment);
        node.spilling.readable = Location::new(start.segment, 0);
        let record = Record::Started {
            generation: start.generation,
            time: now.time,
            wall: now.wall,
        };
        node.persist(record, effects);
        node.marked = Some(now);
        node.record_peers(effects);
        node.forget_old_settings(now);
        node.record_settings(effects);
        node.restore_pauses(now.time);
        node.start_topics(now, start.generation, start.topic_segment, effects);
        let mut queue: Vec<JobKey> = standing
            .into_iter()
            .filter_map(|(key, queued)| (queued && closed).then_some(key))
            .collect();
        let ready = start_jobs(&mut node, now.time, closed, effects);
        if !closed && start.reload == Reload::Queued {
            queue.extend(ready);
        }
        queue.retain(|&key| node.jobs.get(key).is_some());
        queue.sort_unstable_by_key(|&key| node.jobs[key].entered);
        let cause = if closed {
            Cause::Restored
        } else {
            Cause::Restart
        };
        node.agreement.alone_from = now.time + limits::ALONE_AFTER;
        node.agreement.links_by = now.time + limits::LINKS_WITHIN;
        node.agreement.cause = cause;
        let mut asking = 0;
        for key in queue {
            if node.may_be_elsewhere(key) {
                let begin = Duration::from_millis(asking / limits::SETTLE_PER_MS);
                node.queue_unless_elsewhere(now.time + begin, key);
                asking += 1;
                continue;
            }
            if node.jobs[key].place() == Place::Evictable {
                node.evictable.remove(&mut node.jobs, key);
                node.jobs[key].make(Move::TakeBack);
            }
            node.enqueue(now.time, key, cause, effects);
        }
        node.serve_rehoused(now.time, effects);
        if let Some(oldest) = node.segments.retire() {
            effects.push(Effect::Retire(Stream::Jobs, oldest));
        }
        node
    }

    fn mark(&mut self, time: Time, wall: WallTime) {
        self.mark = Some((time, wall));
        self.latest = self.latest.max(time);
    }

    fn add(&mut self, at: Location, record: JobRecord) {
        if let Some(key) = self.node.jobs.find(&record.id) {
            self.node.discard(key);
        }
        self.latest = self.latest.max(record.added);
        self.node.last_created = self.node.last_created.max(record.created);
        self.node
            .made
            .note_job(&record.id, &record.extras, record.created);
        let ours = record.id.is_of(&self.node.id);
        let holders = self.node.peers.set_of(&record.holders, self.node.id);
        let queue = self.node.queues.find_or_add(record.queue.as_bytes());
        let (extras, until) = taken_wait(record.extras);
        let register = Register::of(&extras);
        let job = Job {
            id: record.id,
            body: record.body,
            entered: register
                .as_ref()
                .map_or(record.created, |register| register.entered),
            added: record.added,
            due: Time::NEVER,
            holders,
            ttl: record.ttl,
            delay: record.delay,
            retry: record.retry,
            nacks: record.nacks,
            additional_deliveries: record.additional_deliveries,
            queue,
            order: Links::NONE,
            agenda: Links::NONE,
            segment: at.segment,
            offset: at.offset,
            replicate: record.replicate,
            stand: Stand::loaded(ours),
            short: false,
            ending: Ending::Plain,
            priority: 0,
            beside: Beside::Nothing,
            moves: 0,
            counted: Share::None,
            since: 0,
        };
        let key = self.node.keep(job, extras);
        self.node.spill_while_loading(key, at);
        self.node.load_wait(key, until);
    }

    fn count(&mut self, record: &CountRecord) {
        let known = self.node.jobs.find(&record.id);
        let Some(key) = known.filter(|&key| self.node.jobs[key].state() != JobState::Acked) else {
            return;
        };
        self.node.load_counts(key, &record.extras);
        let job = &mut self.node.jobs[key];
        job.nacks = record.nacks;
        job.additional_deliveries = record.additional_deliveries;
        job.make(Move::LoadTurn(record.turn));
    }

    fn merge_holders(&mut self, id: &JobId, holders: &[NodeId]) {
        let set = self.node.peers.set_of(holders, self.node.id);
        if let Some(key) = self.node.jobs.find(id) {
            let job = &mut self.node.jobs[key];
            job.holders = job.holders.or(set);
        }
    }

    fn ack(&mut self, segment: Segment, ack: &AckRecord) {
        let node = &mut self.node;
        let end = End {
            withdrawn: ack.withdrawn,
            extras: ack.extras.clone(),
        };
        let mut known = node.jobs.find(&ack.id);
        // A job came after its tombstone, or the reverse.
        if let Some(key) = known
            && (node.jobs[key].is_tombstone() || ack.queue.is_none())
        {
            node.discard(key);
            known = None;
        }
        let key = if let Some(key) = known {
            node.keep_end(key, end);
            node.move_record(key, segment);
            // It outlives its job.
            let job = &mut node.jobs[key];
            (job.added, job.ttl) = (ack.expires, 0);
            // An ack may be recorded again, in a newer segment.
            if node.jobs[key].state() != JobState::Acked {
                node.jobs[key].make(Move::End);
            }
            node.recount(key);
            key
        } else {
            let queue = ack.queue.as_ref();
            let queue = queue.map_or(QueueKey::NONE, |name| {
                node.queues.find_or_add(name.as_bytes())
            });
            // Only its end is recorded, which is all that matters now.
            node.keep_ack(ack.id, queue, ack.expires, 0, segment, end)
        };
        let holders = node.peers.set_of(&ack.unheard, node.id);
        node.jobs[key].holders = holders;
    }

    fn peer_store(&mut self, id: &NodeId, store: StoreId) {
        let known = self.node.peers.find(id);
        let former = known.and_then(|key| self.node.peers.get(key).store);
        if former.is_some_and(|former| former != store) {
            self.peer_gone(id);
        }
        self.node.peers.welcome(id);
        if let Some(key) = self.node.peers.find_or_add(id) {
            self.node.peers.update(key, |peer| peer.store = Some(store));
        }
    }

    fn peer_forgotten(&mut self, id: &NodeId) {
        self.peer_gone(id);
        self.node.peers.forget(id);
    }

    /// What the peer held is gone: no job names it any more.
    fn peer_gone(&mut self, id: &NodeId) {
        let Some(key) = self.node.peers.find(id) else {
            return;
        };
        self.node.peers.give_up(key);
        for slot in 0..self.node.jobs.end() {
            if self.node.jobs.get(JobKey(slot)).is_some() {
                self.node.jobs[JobKey(slot)].holders.remove(key);
            }
        }
        self.node.peers.free(NodeSet::only(key));
    }

    fn flush(&mut self) {
        self.standing.clear();
        self.node.shared = Shared::default();
        for slot in 0..self.node.jobs.end() {
            if self.node.jobs.get(JobKey(slot)).is_some() {
                self.node.discard(JobKey(slot));
            }
        }
    }

    fn stand(&mut self, standing: &Standing) {
        let Some(key) = self.node.jobs.find(&standing.id) else {
            return;
        };
        let job = &mut self.node.jobs[key];
        job.nacks = standing.nacks;
        job.additional_deliveries = standing.additional_deliveries;
        job.make(Move::LoadTurn(standing.turn));
        self.node.load_counts(key, &standing.extras);
        self.node.jobs[key].due = standing.requeue.unwrap_or(Time::NEVER);
        self.standing.push((key, standing.queued));
    }

    /// The node started: where its jobs stood at an earlier stop counts no more. The counters recorded then still do, and
    /// until when a job waits that was given back.
    fn forget_standing(&mut self) {
        for (key, _) in self.standing.drain(..) {
            let job = self.node.jobs.get(key);
            if job.is_some_and(|job| job.place() != Place::Waiting) {
                let job = &mut self.node.jobs[key];
                job.due = Time::NEVER;
                job.make(Move::LoadTurn(job.id.is_of(&self.node.id)));
            }
        }
    }
}

/// Starts every job. Returns those that may be queued at once.
fn start_jobs(node: &mut Node, now: Time, clean: bool, effects: &mut Vec<Effect>) -> Vec<JobKey> {
    let mut ready = Vec::new();
    for slot in 0..node.jobs.end() {
        let key = JobKey(slot);
        if node.jobs.get(key).is_none() {
            continue;
        }
        if node.jobs[key].state() != JobState::Acked && node.is_purged(key) {
            node.count_purged(key);
            delete(node, key, effects);
            continue;
        }
        if start_job(node, now, key, clean, effects) {
            ready.push(key);
        }
        if node.jobs.get(key).is_some() {
            if node.jobs[key].state() != JobState::Acked {
                node.happened(node.jobs[key].id, What::Restored);
            }
            node.recount(key);
            node.note_restored(key);
            node.show_queue_of(now, key);
        }
    }
    ready
}

/// Sets a job's timer as it stood, or as an unclean stop demands. Returns whether it stays and may be queued at once.
fn start_job(
    node: &mut Node,
    now: Time,
    key: JobKey,
    clean: bool,
    effects: &mut Vec<Effect>,
) -> bool {
    if node.jobs[key].state() == JobState::Acked {
        start_collecting(node, now, key, effects);
        return false;
    }
    node.count_at_start(key);
    let is_waiting = node.jobs[key].waits(now);
    if node.jobs[key].expires() <= now && node.is_guarded(key) {
        node.jobs[key].ending = Ending::Outlived;
    }
    let job = &mut node.jobs[key];
    let due = job.added.after_secs(job.delay);
    let at_most_once = job.guarantee() == Guarantee::AtMostOnce;
    let expired = job.expires() <= now && job.ending != Ending::Outlived;
    if at_most_once && !clean && !expired && node.has(Bug::SecondRun) {
        node.jobs[key].due = now;
        node.agenda.add_job(&mut node.jobs, key);
        return false;
    }
    if expired || at_most_once && !clean {
        drop_job(node, key, expired, effects);
        return false;
    }
    if is_waiting {
        // What it waits for was recorded, whatever the stop was like.
        node.agenda.add_job(&mut node.jobs, key);
        return false;
    }
    let job = &mut node.jobs[key];
    // At a clean stop a job with a retry has a standing unless it was never queued, and one without a retry has a next
    // queueing only then. After an unclean stop, a delay that is over is taken for a sign that it was queued.
    let again = match (clean, at_most_once) {
        (true, true) => job.due == Time::NEVER,
        (true, false) => job.due != Time::NEVER,
        (false, _) => due <= now || !job.place().is_before(),
    };
    if !clean || job.due == Time::NEVER && !at_most_once {
        job.due = queued_at(now, job, again);
    }
    if again {
        // What another node had before a clean stop, it most likely has still.
        let waits_here = !at_most_once && (!clean || job.is_ours());
        job.make(Move::LoadOut(if waits_here {
            Place::Restored
        } else {
            Place::Nowhere
        }));
    }
    let (requeue, delayed_here) = (job.due, job.is_ours());
    if node.may_be_elsewhere(key) && (!clean || requeue <= now) {
        if delayed_here {
            node.jobs[key].make(Move::LoadUnsure);
        }
        let stagger = node.stagger();
        node.jobs[key].due = requeue.max(now) + stagger;
    }
    node.agenda.add_job(&mut node.jobs, key);
    if at_most_once && again {
        node.evictable
            .push_back(&mut node.jobs, key, Place::Evictable);
    }
    again
}

/// When a job is queued of which no standing says it.
fn queued_at(now: Time, job: &Job, again: bool) -> Time {
    let due = job.added.after_secs(job.delay);
    if again {
        // Should the retry last longer than the job, it would never be delivered: half of what is left must do.
        let half = Duration::from_millis(job.expires().since(now).as_millis() as u64 / 2);
        now.after_secs(job.retry).min(now + half)
    } else if job.is_ours() {
        due
    } else {
        due.after_secs(job.retry)
    }
}

/// Drops a job that is expired, or that a client may have got before a crash and that must not be delivered twice.
fn drop_job(node: &mut Node, key: JobKey, expired: bool, effects: &mut Vec<Effect>) {
    node.tally(node.jobs[key].queue, |tally| {
        if expired {
            tally.expired += 1;
        } else {
            tally.dropped += 1;
        }
    });
    delete(node, key, effects);
}

fn delete(node: &mut Node, key: JobKey, effects: &mut Vec<Effect>) {
    let id = node.jobs[key].id;
    node.discard(key);
    node.persist(Record::Deleted(id), effects);
}

/// The node sends the ack to all holders again, as soon as it meets them.
fn start_collecting(node: &mut Node, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
    let job = &mut node.jobs[key];
    job.due = now + limits::ACK_RETRY_MIN;
    let nobody = job.holders.is_empty() && !job.is_tombstone();
    let is_over = job.expires() <= now;
    if is_over || nobody && node.rests_until(now, key).is_none() {
        return delete(node, key, effects);
    }
    node.begin_collection(key);
    node.agenda.add_job(&mut node.jobs, key);
    if nobody {
        node.rest(now, key);
    }
}
