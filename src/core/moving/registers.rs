//! Registers: comparing them, taking one over, and making the next.

use std::cmp::Ordering;
use std::time::Duration;

use crate::dedup::Keyed;
use crate::effect::Effect;
use crate::explaining::What;
use crate::extras::{Extras, Tag};
use crate::id::{JobId, QueueName};
use crate::job::{Ending, JobKey, JobState, Move};
use crate::members::PeerKey;
use crate::message::{Copy, Message};
use crate::moving::counting::deliveries_of;
use crate::moving::taken_wait;
use crate::node::Node;
use crate::planted::Bug;
use crate::record::{MoveRecord, Record};
use crate::register::{DeadLetter, Moved, Register};
use crate::time::Time;

impl Node {
    /// The register of a job; none for version 0.
    pub(crate) fn register_of(&self, key: JobKey) -> Option<Register> {
        if self.jobs[key].is_moved() {
            Register::of(&self.jobs.extras(key))
        } else {
            None
        }
    }

    /// What a job keeps of its life before, if it is a dead letter.
    pub(crate) fn dead_letter(&self, key: JobKey) -> Option<DeadLetter> {
        self.register_of(key)?.dead
    }

    /// Whether a planted bug keeps an ack from this job.
    pub(crate) fn beats_ack(&self, key: JobKey) -> bool {
        let register = self.register_of(key);
        let is_back = register.is_some_and(|it| it.dead.is_none() && it.version > 1);
        is_back && self.has(Bug::RedriveBeatsAck)
    }

    /// When a job was added, by the creation clock of the node that did.
    pub(crate) fn created(&self, key: JobKey) -> u64 {
        let register = self.register_of(key);
        register.map_or(self.jobs[key].entered, |register| register.created)
    }

    /// What a message about a job says beside its subject: the register, and how often the job was handed out.
    pub(crate) fn told_of(&self, now: Time, key: JobKey) -> Extras {
        let job = &self.jobs[key];
        if !job.has_extras() {
            return Extras::NONE;
        }
        let moved = self.moved(now, key).map(|moved| moved.encode());
        let moved = moved.as_deref().map(|bytes| (Tag::MOVED, bytes));
        let extras = self.jobs.extras(key);
        let counted = extras.get(Tag::DELIVERIES);
        let counted = counted.map(|bytes| (Tag::DELIVERIES, bytes));
        Extras::new(moved.into_iter().chain(counted))
    }

    /// The register of a job, with all that goes with it.
    fn moved(&self, now: Time, key: JobKey) -> Option<Moved> {
        let job = &self.jobs[key];
        let register = self.register_of(key)?;
        Some(Moved {
            age_ms: now.since(job.added).as_millis() as u64,
            ttl: job.ttl,
            nacks: job.nacks,
            additional_deliveries: job.additional_deliveries,
            deliveries: self.handed_out(key),
            ..Moved::new(register, &self.queues[job.queue].name)
        })
    }

    /// A holder speaks of a job. Compares its register with that of the job here: returns whether what it says counts. The
    /// sender of a lower one is told the higher.
    pub(crate) fn hear_register(
        &mut self,
        now: Time,
        from: PeerKey,
        key: JobKey,
        extras: &Extras,
        effects: &mut Vec<Effect>,
    ) -> bool {
        self.compare(now, from, key, (Moved::of(extras), extras), effects)
    }

    /// The same for a copy.
    pub(crate) fn hear_copy(
        &mut self,
        now: Time,
        from: PeerKey,
        key: JobKey,
        copy: &Copy,
        effects: &mut Vec<Effect>,
    ) -> bool {
        self.compare(now, from, key, (moved_of(copy), &copy.extras), effects)
    }

    fn compare(
        &mut self,
        now: Time,
        from: PeerKey,
        key: JobKey,
        (theirs, extras): (Option<Moved>, &Extras),
        effects: &mut Vec<Effect>,
    ) -> bool {
        if extras.is_empty() && !self.jobs[key].is_moved() {
            return true;
        }
        let deliveries = deliveries_of(extras);
        let ours = self.register_of(key).map(|register| register.rank());
        let rank = theirs.as_ref().map(|moved| moved.register.rank());
        let order = if self.has(Bug::RankBeforeRegister) {
            Ordering::Equal
        } else {
            rank.cmp(&ours)
        };
        match order {
            Ordering::Less => {
                self.answer_register(now, from, key, effects);
                if self.has(Bug::MergedCounters) {
                    self.hear_handed_out(key, deliveries);
                }
                return false;
            }
            Ordering::Equal => {
                self.hear_handed_out(key, deliveries);
                if let Some(moved) = theirs {
                    let job = &mut self.jobs[key];
                    job.nacks = job.nacks.max(moved.nacks);
                    let additional = moved.additional_deliveries;
                    job.additional_deliveries = job.additional_deliveries.max(additional);
                }
            }
            Ordering::Greater => {
                if let Some(moved) = theirs {
                    let before = self.handed_out(key);
                    self.take_over(now, key, &moved, effects);
                    if self.has(Bug::MergedCounters) {
                        self.hear_handed_out(key, before);
                    }
                }
            }
        }
        true
    }

    /// The sender of a lower register hears of ours, and whether this node has the turn.
    fn answer_register(&mut self, now: Time, to: PeerKey, key: JobKey, effects: &mut Vec<Effect>) {
        let job = &self.jobs[key];
        let message = match job.state() {
            JobState::Queued => self.queued_message(now, key),
            JobState::Active if job.is_ours() => self.working_message(now, key),
            JobState::Active | JobState::WaitReplicas | JobState::Acked => {
                self.moved_message(now, key)
            }
        };
        self.send(to, message, effects);
    }

    /// The holders of a job hear of its new register, and what the node that tells it has to do with the job.
    pub(super) fn tell_register(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        let job = &self.jobs[key];
        match job.state() {
            JobState::Queued => self.announce(now, key, effects),
            JobState::Active if job.is_ours() => self.tell_working(now, key, effects),
            JobState::Active | JobState::WaitReplicas | JobState::Acked => {
                let message = self.moved_message(now, key);
                self.tell_all(key, &message, effects);
            }
        }
    }

    /// Where a job is, and nothing else.
    fn moved_message(&self, now: Time, key: JobKey) -> Message {
        Message::Moved {
            id: self.jobs[key].id,
            extras: self.told_of(now, key),
        }
    }

    /// A higher register: the job is where it says. One that waits in a queue here then waits in that one; one that is out or
    /// delayed stays so.
    fn take_over(&mut self, now: Time, key: JobKey, moved: &Moved, effects: &mut Vec<Effect>) {
        let added = now - Duration::from_millis(moved.age_ms);
        let register = moved.register.clone();
        self.happened(self.jobs[key].id, What::HeardMoved(register.version));
        let queue = QueueName::new(&moved.queue);
        let job = &mut self.jobs[key];
        job.nacks = moved.nacks;
        job.additional_deliveries = moved.additional_deliveries;
        self.set_handed_out(key, moved.deliveries);
        self.set_register(now, key, (&queue, &register), (added, moved.ttl), effects);
    }

    /// The job is in this queue from now on, and lives from `added` on for `ttl` seconds. Recorded before anybody hears of it.
    pub(super) fn set_register(
        &mut self,
        now: Time,
        key: JobKey,
        (queue, register): (&QueueName, &Register),
        (added, ttl): (Time, u32),
        effects: &mut Vec<Effect>,
    ) {
        let is_queued = self.jobs[key].state() == JobState::Queued;
        if is_queued {
            self.leave_queue(now, key);
        }
        self.agenda.remove_job(&mut self.jobs, key);
        self.rehouse(now, key, queue);
        let mut extras = self.jobs.extras(key);
        let is_key_over = |keyed: Keyed<'_>| Time::from_millis(keyed.until) <= now;
        let is_dead = register.dead.is_some();
        if register.is_keyless || is_dead && Keyed::of(&extras).is_some_and(is_key_over) {
            extras = extras.with(Tag::DEDUP_KEY, None);
        }
        self.change_extras(key, extras.with(Tag::REGISTER, Some(&register.encode())));
        let job = &mut self.jobs[key];
        job.ending = Ending::Plain;
        (job.entered, job.added, job.ttl) = (register.entered, added, ttl);
        self.made.note(register.node.maker(), register.made());
        self.agenda.add_job(&mut self.jobs, key);
        self.persist_move(key, effects);
        self.note_fate(self.jobs[key].id);
        let at = self.jobs[key].queue;
        if is_queued {
            self.queues.open(at, now);
            self.queues[at].push(&mut self.jobs, key);
            self.rehoused.push(at);
        }
        self.recount(key);
        if !self.queues[at].is_done() {
            // A job that is out or delayed here shows its queue, too.
            self.open_queue(now, at);
        }
        self.note_restored(key);
    }

    /// The next register of a job, made here at this moment.
    pub(super) fn next_register(&mut self, key: JobKey, dead: Option<DeadLetter>) -> Register {
        let before = self.register_of(key);
        let version = before.as_ref().map_or(0, |register| register.version);
        let was_dead = |register: Register| register.is_keyless || register.dead.is_some();
        let is_keyless = match &dead {
            // A dead letter that gets a new text keeps its key.
            Some(_) => before.is_some_and(|register| register.is_keyless),
            None => before.is_some_and(was_dead),
        };
        let created = self.created(key);
        let stamp = self.next_created();
        Register {
            version: version.saturating_add(1),
            dead,
            stamp,
            node: self.id,
            start: self.start,
            created,
            entered: stamp,
            entered_by: (self.id.maker(), self.start),
            priority: self.jobs[key].priority,
            is_keyless,
        }
    }

    /// The job's record, and what it counts for, are of another queue from now on. It stands in no list.
    fn rehouse(&mut self, now: Time, key: JobKey, queue: &QueueName) {
        let to = self.queues.find_or_add(queue.as_bytes());
        let from = self.jobs[key].queue;
        if to == from {
            return;
        }
        self.count_elsewhere(key);
        self.resize_record(key, |node| {
            node.jobs[key].queue = to;
            node.queues[from].jobs -= 1;
            node.queues[to].jobs += 1;
        });
        self.recount(key);
        if self.queues[from].open {
            self.watch_idle(now, from);
        } else {
            self.queues.drop_unused(from);
        }
    }

    /// Gives a job other extras.
    pub(crate) fn change_extras(&mut self, key: JobKey, extras: Extras) {
        self.resize_record(key, |node| {
            node.jobs.replace_extras(key, extras);
        });
    }

    /// What is changed makes the record of a job longer or shorter, when that is written again.
    fn resize_record(&mut self, key: JobKey, change: impl FnOnce(&mut Node)) {
        let bytes = |node: &Node| node.recorded_bytes(&node.jobs[key], node.jobs.extras_len(key));
        let before = bytes(self);
        change(self);
        let after = bytes(self);
        let segment = self.jobs[key].segment;
        self.segments.enlarge(segment, after.saturating_sub(before));
        self.segments.shrink(segment, before.saturating_sub(after));
    }

    fn persist_move(&mut self, key: JobKey, effects: &mut Vec<Effect>) {
        if !self.must_record(key) || self.has(Bug::UnrecordedMove) {
            return;
        }
        let job = &self.jobs[key];
        let record = MoveRecord {
            id: job.id,
            queue: self.queues[job.queue].name.clone(),
            added: job.added,
            ttl: job.ttl,
            nacks: job.nacks,
            additional_deliveries: job.additional_deliveries,
            extras: self.extras_kept(key),
        };
        self.persist(Record::Moved(Box::new(record)), effects);
    }

    /// The log says that a job was moved.
    pub(crate) fn load_move(&mut self, record: &MoveRecord) {
        let known = self.jobs.find(&record.id);
        let Some(key) = known.filter(|&key| self.jobs[key].state() != JobState::Acked) else {
            return;
        };
        let (extras, until) = taken_wait(record.extras.clone());
        let Some(register) = Register::of(&extras) else {
            return;
        };
        self.rehouse(Time::ZERO, key, &record.queue);
        self.change_extras(key, extras);
        self.last_created = self.last_created.max(register.stamp);
        self.made.note(register.node.maker(), register.made());
        let job = &mut self.jobs[key];
        job.nacks = record.nacks;
        job.additional_deliveries = record.additional_deliveries;
        (job.entered, job.added, job.ttl) = (register.entered, record.added, record.ttl);
        self.load_wait(key, until);
    }

    /// MOVED: a holder tells where the job is.
    pub(crate) fn on_moved(
        &mut self,
        now: Time,
        from: PeerKey,
        (id, extras): (JobId, &Extras),
        effects: &mut Vec<Effect>,
    ) {
        if let Some(key) = self.agreed_job(from, id, effects) {
            self.hear_register(now, from, key, extras, effects);
        }
    }

    /// Serves those who wait for queues that jobs were moved to in the course of this event.
    pub(crate) fn serve_rehoused(&mut self, now: Time, effects: &mut Vec<Effect>) {
        while let Some(queue) = self.rehoused.pop() {
            if self.queues.get(queue).is_some() {
                self.serve(now, queue, effects);
            }
        }
    }

    /// Puts a job that was just moved into its queue, and tells the holders.
    pub(super) fn put_moved(&mut self, now: Time, key: JobKey, effects: &mut Vec<Effect>) {
        let job = &self.jobs[key];
        let (queue, requeue) = (job.queue, now.after_secs(job.retry));
        self.move_job(key, Move::PutBack, requeue);
        self.put_into(now, key);
        self.note_entry(now, key);
        self.announce(now, key, effects);
        self.rehoused.push(queue);
    }
}

/// What a copy says of where its job is.
fn moved_of(copy: &Copy) -> Option<Moved> {
    let register = Register::of(&copy.extras)?;
    Some(Moved {
        age_ms: copy.age_ms,
        ttl: copy.ttl,
        nacks: copy.nacks,
        additional_deliveries: copy.additional_deliveries,
        deliveries: deliveries_of(&copy.extras),
        ..Moved::new(register, &copy.queue)
    })
}
