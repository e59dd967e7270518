//! QPURGE: all jobs of a queue that are known at a moment go, on every node.
//!
//! Every node keeps stamps: of each node that makes jobs, how far it has come, as far as this node has heard. The node that is
//! asked collects the stamps of the members that it has links to. They are the *mark*: it takes a job if the stamp of the node
//! that made it covers it. So no clock is compared with that of another node, and a job is never taken that was added later,
//! or of which none of these nodes had heard: a node that is away keeps what it adds meanwhile, whatever its clock says.
//!
//! The mark is a setting, which merges by the later stamp of each node and is kept for 30 days, so nodes that are away learn
//! of it when they return. A node that hears of a mark moves its own creation clock past all of it: what is added there
//! from then on comes behind the jobs that are to go, for most queues.
//!
//! From then on the node hands out no job that the mark takes. It deletes these jobs in steps: first those at the head of
//! their queue, so that the others come to be handed out, then all others, by a walk over all slots. Nobody is told, because
//! every holder hears of the mark. A job that is put back meanwhile goes when it is due, and
//! a copy that arrives later is not taken. The producer of a job that waits for copies hears that the job was removed.
//!
//! The node that was asked then asks the others how many jobs went. Of the nodes that have links to each other, the one
//! with the lowest id among the holders of a job counts it, so a job with several copies counts once.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::acking::End;
use crate::agenda::Timer;
use crate::command::{Answer, Question, Reply};
use crate::effect::Effect;
use crate::explaining::What;
use crate::id::{QueueName, Ticket};
use crate::job::{JobKey, JobState};
use crate::limits;
use crate::log::answer;
use crate::members::{NodeSet, PeerKey};
use crate::message::{Copy, Message};
use crate::node::Node;
use crate::outcome::Outcome;
use crate::planted::Bug;
use crate::register::Register;
use crate::setting::{Setting, SettingKind};
use crate::settings::shared::{Change, mark_of};
use crate::stamp::{Stamp, Stamps, entered_by};
use crate::telling::Asker;
use crate::time::{Now, Time, WallTime};

/// Creation times per millisecond.
const PER_MS: u64 = 1_000_000;

/// What this node purges, and the counts of what it purged last.
#[derive(Debug, Default)]
pub(crate) struct Purges {
    by_queue: BTreeMap<QueueName, Purge>,
    /// The walk that is under way: the next slot to look at.
    walk: Option<u32>,
    /// The next step is on the agenda.
    planned: bool,
}

/// The purge of one queue.
#[derive(Debug)]
struct Purge {
    stage: Stage,
    /// Jobs that went here, and that none of `among` counts.
    count: u64,
    /// The nodes that there were links to when it began.
    among: NodeSet,
    /// Who wants to know the count.
    askers: Vec<Asker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Jobs that are ready go.
    Ready,
    /// The next walk is for it, too.
    Waiting,
    /// The walk that is under way is for it.
    Walking,
    Done,
}

impl Purge {
    fn done() -> Self {
        Purge {
            stage: Stage::Done,
            count: 0,
            among: NodeSet::EMPTY,
            askers: Vec::new(),
        }
    }
}

impl Purges {
    /// Whether the next step serves those who wait for this queue.
    pub(crate) fn serves(&self, name: &QueueName) -> bool {
        let purge = self.by_queue.get(name);
        self.planned && purge.is_some_and(|purge| purge.stage == Stage::Ready)
    }

    fn names(&self, stage: Stage) -> Vec<QueueName> {
        let all = self.by_queue.iter();
        let those = all.filter(|(_, purge)| purge.stage == stage);
        those.map(|(name, _)| name.clone()).collect()
    }

    fn set(&mut self, name: &QueueName, stage: Stage) {
        if let Some(purge) = self.by_queue.get_mut(name) {
            purge.stage = stage;
        }
    }

    /// Forgets the count of a purge that is through, if there are too many.
    fn trim(&mut self) {
        if self.by_queue.len() > limits::PURGES {
            let mut done = self.by_queue.iter();
            let first = done.find(|(_, purge)| purge.stage == Stage::Done);
            if let Some(name) = first.map(|(name, _)| name.clone()) {
                self.by_queue.remove(&name);
            }
        }
    }
}

impl Node {
    /// QPURGE, first step: asks all members which jobs they have heard of.
    pub(crate) fn purge_queue(
        &mut self,
        now: Now,
        ticket: Ticket,
        queue: &[u8],
        effects: &mut Vec<Effect>,
    ) {
        let made = self.made_by_all(now.wall);
        let queue = QueueName::new(queue);
        self.gather_made(now.time, ticket, queue, made, effects);
    }

    /// How far this node has come with making jobs: what it adds from now on has a later stamp.
    fn made_here(&mut self, wall: WallTime) -> Stamp {
        self.last_created = self.last_created.max(wall.0.saturating_mul(PER_MS));
        self.own_stamp()
    }

    /// That of the last job that this node made, or of a moment behind it.
    pub(crate) fn own_stamp(&self) -> Stamp {
        Stamp {
            start: self.start,
            created: self.last_created,
        }
    }

    /// The jobs that this node has heard of, its own included.
    fn made_by_all(&mut self, wall: WallTime) -> Stamps {
        let here = self.made_here(wall);
        let mut made = self.made.clone();
        made.note(self.id.maker(), here);
        made
    }

    /// QPURGE, second step: all members that could answer did. Writes the mark, and asks how many jobs go.
    pub(crate) fn write_mark(
        &mut self,
        now: Time,
        ticket: Ticket,
        queue: &QueueName,
        mut made: Stamps,
        effects: &mut Vec<Effect>,
    ) {
        // An earlier purge may have heard of more.
        let known = self.shared.value(SettingKind::PURGED, queue.as_bytes());
        if let Some(mark) = known.and_then(mark_of) {
            made.merge(&mark);
        }
        let value = made.text();
        let change = Change {
            kind: SettingKind::PURGED,
            name: queue.as_bytes(),
            value: Some(value.as_bytes()),
        };
        // The mark is kept for 30 days from its own time.
        let wall = WallTime(made.newest() / PER_MS);
        if let Err(refusal) = self.write_settings(Now { time: now, wall }, &[change], effects) {
            answer(ticket, Reply::Refused(refusal), effects);
            return;
        }
        self.follow_mark(now, queue.as_bytes());
        let number = self.gather_purged(now, ticket, queue, effects);
        self.tell_purged(now, queue, Asker::Here(number), effects);
    }

    /// The mark of a queue has changed: what it takes goes.
    pub(super) fn follow_mark(&mut self, now: Time, queue: &[u8]) {
        let Some(mark) = self
            .shared
            .value(SettingKind::PURGED, queue)
            .and_then(mark_of)
        else {
            return;
        };
        self.know_mark(queue, mark);
        let known = self.queues.find(queue).map(|key| self.queues[key].jobs);
        let stage = if known.is_some_and(|jobs| jobs > 0) {
            Stage::Ready
        } else {
            Stage::Done
        };
        let name = QueueName::new(queue);
        let purge = self.purges.by_queue.entry(name);
        let purge = purge.or_insert_with(Purge::done);
        if purge.stage == Stage::Done {
            (purge.count, purge.among) = (0, self.peers.up());
        }
        purge.stage = stage;
        self.purges.trim();
        if stage == Stage::Ready {
            self.plan_purge(now);
        }
    }

    /// What this node adds from now on comes behind what the mark takes.
    fn know_mark(&mut self, queue: &[u8], mut mark: Stamps) {
        let created = mark.newest();
        self.last_created = self.last_created.max(created);
        if self.has(Bug::YoungerPurged) {
            let start = u32::MAX;
            let makers = mark.iter().map(|(maker, _)| maker);
            mark = makers
                .map(|maker| (maker, Stamp { start, created }))
                .collect();
        }
        self.queues.set_purged(queue, mark);
    }

    /// The node is being read from its log. Its jobs are held against the mark when it starts.
    pub(super) fn restore_mark(&mut self, setting: &Setting) {
        if let Some(mark) = setting.value.as_deref().and_then(mark_of) {
            self.know_mark(&setting.name, mark);
        }
    }

    /// Marks that are old enough have gone.
    pub(super) fn forget_marks(&mut self, names: &[Arc<[u8]>]) {
        for name in names {
            self.queues.set_purged(name, Stamps::default());
        }
    }

    /// Whether a job is to go, because its queue was purged after it was added. What is over stays until all nodes know.
    pub(crate) fn is_purged(&self, key: JobKey) -> bool {
        let job = &self.jobs[key];
        job.state() != JobState::Acked && self.is_marked(key)
    }

    /// The same, whatever the state of the job.
    pub(crate) fn is_marked(&self, key: JobKey) -> bool {
        let extras = || self.jobs.extras(key);
        self.queues.mark_takes(&self.jobs[key], extras)
    }

    /// Whether a copy that arrives is of such a job.
    pub(crate) fn is_copy_purged(&self, copy: &Copy) -> bool {
        let mark = self.queues.mark(copy.queue.as_bytes());
        let register = Register::of(&copy.extras);
        let entered = register.map_or(copy.created, |register| register.entered);
        mark.is_some_and(|mark| mark.cover(entered_by(&copy.id, &copy.extras), entered))
    }

    /// Deletes a job that its queue's mark takes.
    pub(crate) fn purge_job(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        self.count_purged(key);
        if self.jobs[key].is_moved() && !self.other_holders(key).is_empty() {
            // A copy that missed the move is in another queue, where the mark does not take it.
            let end = End::other(Outcome::Deleted);
            self.happened(self.jobs[key].id, What::Ended(end.known()));
            self.mark_acked(now, key, end, NodeSet::EMPTY, effects);
            self.tell_ack(now, key, effects);
        } else {
            self.end_here(now, key, Outcome::Deleted, effects);
        }
    }

    /// Counts a job that is about to go.
    pub(crate) fn count_purged(&mut self, key: JobKey) {
        let job = &self.jobs[key];
        let counts = |among: NodeSet| {
            let mut others = job.holders.and(among).iter();
            !others.any(|peer| self.peers.get(peer).id < self.id)
        };
        self.counters.purged += u64::from(counts(job.holders));
        let name = &self.queues[job.queue].name;
        if let Some(purge) = self.purges.by_queue.get_mut(name) {
            purge.count += u64::from(counts(purge.among));
        }
    }

    /// A job left its queue. If it was to go, it may have stood before jobs that clients wait for: they are served with the
    /// next step.
    pub(crate) fn serve_behind_purged(&mut self, now: Time, key: JobKey) {
        let job = &self.jobs[key];
        let queue = &self.queues[job.queue];
        if queue.waiters.is_empty() || queue.len == 0 || !self.is_marked(key) {
            return;
        }
        let purge = self.purges.by_queue.entry(queue.name.clone());
        purge.or_insert_with(Purge::done).stage = Stage::Ready;
        self.plan_purge(now + limits::PURGE_PAUSE);
    }

    fn plan_purge(&mut self, when: Time) {
        if !std::mem::replace(&mut self.purges.planned, true) {
            self.agenda.add_timer(when, Timer::Purging);
        }
    }

    /// One step.
    pub(crate) fn on_purging(&mut self, now: Time, effects: &mut Vec<Effect>) {
        self.purges.planned = false;
        let mut budget = limits::PURGE_JOBS;
        for name in self.purges.names(Stage::Ready) {
            self.purge_ready(now, &name, &mut budget, effects);
        }
        self.walk_on(now, budget, effects);
        let open = |purge: &Purge| purge.stage != Stage::Done;
        if self.purges.by_queue.values().any(open) {
            self.plan_purge(now + limits::PURGE_PAUSE);
        }
    }

    /// Deletes the jobs that stand at the head of their queue and are to go.
    fn purge_ready(
        &mut self,
        now: Time,
        name: &QueueName,
        budget: &mut u32,
        effects: &mut Vec<Effect>,
    ) {
        while let Some(queue) = self.queues.find(name.as_bytes()) {
            let first = self.queues[queue].first(&self.jobs);
            let Some(key) = first.filter(|&key| self.is_purged(key)) else {
                self.serve(now, queue, effects);
                break;
            };
            if *budget == 0 {
                return;
            }
            *budget -= 1;
            self.purge_job(now, key, effects);
        }
        self.purges.set(name, Stage::Waiting);
    }

    /// Looks at some more slots.
    fn walk_on(&mut self, now: Time, mut budget: u32, effects: &mut Vec<Effect>) {
        if self.purges.walk.is_none() {
            let waiting = self.purges.names(Stage::Waiting);
            if waiting.is_empty() {
                return;
            }
            for name in waiting {
                self.purges.set(&name, Stage::Walking);
            }
            self.purges.walk = Some(0);
        }
        let mut next = self.purges.walk.unwrap_or(0);
        let walking = self.purges.names(Stage::Walking);
        let end = self.jobs.end();
        let to = end.min(next.saturating_add(limits::PURGE_SLOTS));
        while next < to && budget > 0 {
            let key = JobKey(next);
            next += 1;
            if self.jobs.get(key).is_some() && self.is_purged(key) {
                self.purge_job(now, key, effects);
                budget -= 1;
            }
        }
        let is_gone = |name: &QueueName| {
            let queue = self.queues.find(name.as_bytes());
            queue.is_none_or(|queue| self.queues[queue].jobs == 0)
        };
        self.purges.walk = (next < end && !walking.iter().all(is_gone)).then_some(next);
        if self.purges.walk.is_none() {
            // Where a job went that stood before others, clients are served first (see `serve_behind_purged`).
            for name in self.purges.names(Stage::Walking) {
                self.purges.set(&name, Stage::Done);
                self.answer_askers(now, &name, effects);
            }
        }
    }

    /// Somebody wants to know how many jobs of a queue go here: tells it when all are gone.
    pub(crate) fn tell_purged(
        &mut self,
        now: Time,
        queue: &QueueName,
        asker: Asker,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(purge) = self.purges.by_queue.get_mut(queue) {
            purge.askers.push(asker);
            if purge.stage == Stage::Done {
                self.answer_askers(now, queue, effects);
            }
        } else {
            self.answer_asker(now, asker, Answer::Purged(0), effects);
        }
    }

    fn answer_askers(&mut self, now: Time, queue: &QueueName, effects: &mut Vec<Effect>) {
        let Some(purge) = self.purges.by_queue.get_mut(queue) else {
            return;
        };
        let count = purge.count;
        for asker in std::mem::take(&mut purge.askers) {
            self.answer_asker(now, asker, Answer::Purged(count), effects);
        }
    }

    /// All jobs are gone from this node at once: nothing is left to purge.
    pub(super) fn end_purges(&mut self, now: Time, effects: &mut Vec<Effect>) {
        for name in self.purges.by_queue.keys().cloned().collect::<Vec<_>>() {
            self.answer_askers(now, &name, effects);
        }
        self.purges = Purges::default();
    }

    /// What a purge asks a peer.
    pub(crate) fn on_ask_purged(
        &mut self,
        now: Now,
        from: PeerKey,
        number: u64,
        question: &Question,
        effects: &mut Vec<Effect>,
    ) -> bool {
        match question {
            Question::Made => {
                let answer = Answer::Made(self.made_by_all(now.wall));
                self.send(from, Message::Answer { number, answer }, effects);
            }
            Question::Purged(queue) => {
                self.tell_purged(now.time, queue, Asker::Peer(from, number), effects);
            }
            Question::QueueLength(_)
            | Question::Redrive(_)
            | Question::Forward(_)
            | Question::Explain(_)
            | Question::QueuePeek { .. }
            | Question::QueueStat { .. }
            | Question::Queues(_)
            | Question::QueueScan(_)
            | Question::JobScan { .. } => return false,
        }
        true
    }
}
