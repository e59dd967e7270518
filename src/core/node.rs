//! The node: what it holds, and its two doors, [`Node::handle`] and [`Node::deadline`].

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::agenda::{Agenda, Due, Timer};
use crate::command::{Command, Refusal, Reply};
use crate::effect::Effect;
use crate::event::Event;
use crate::id::{Guarantee, NodeId, Ticket};
use crate::job::{Job, JobState, Place};
use crate::jobs::{JobKey, Jobs};
use crate::limits;
use crate::queue::{List, Queue, QueueKey, Queues};
use crate::record::{Record, Segment, Standing};
use crate::segments::Segments;
use crate::time::{Now, Time};
use crate::waiters::Waiters;

/// What an operator can set, and the core must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The bytes that the node may use; 0 is no bound.
    pub max_memory: u64,
    /// Whether jobs that nothing promises any more go when memory is short.
    pub eviction: Eviction,
    /// Whether there is a log: without one, no effect asks to persist.
    pub log: Log,
}

/// What goes when memory is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eviction {
    /// Acked jobs, tombstones, and at-most-once jobs that were delivered.
    Acks,
    /// Nothing.
    Never,
}

/// Whether there is a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// Jobs are in memory only.
    Off,
    /// Every change is recorded.
    On,
}

/// How full the memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemoryLevel {
    /// Below 75 % of `max_memory`.
    Normal,
    /// From 75 %: no local copies of new jobs.
    External,
    /// From 95 %: what nothing promises any more is evicted.
    Evict,
    /// From 100 %: commands that need memory are refused.
    Full,
}

/// What has happened since the node started, for its metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named for what it counts")]
pub struct Counters {
    pub added: u64,
    pub delivered: u64,
    pub acked: u64,
    pub nacked: u64,
    pub expired: u64,
    pub evicted: u64,
    /// Queued again because the retry was over.
    pub redelivered_timeout: u64,
    /// Queued again by NACK.
    pub redelivered_nack: u64,
    /// Queued again by ENQUEUE.
    pub redelivered_asked: u64,
    /// Queued again after an unclean start.
    pub redelivered_restart: u64,
    /// At-most-once jobs dropped at an unclean start, since nothing may deliver them any more.
    pub dropped_restart: u64,
}

/// One node: feed it events, carry out its effects.
#[derive(Debug)]
pub struct Node {
    pub(crate) id: NodeId,
    pub(crate) settings: Settings,
    pub(crate) random: StdRng,
    pub(crate) jobs: Jobs,
    pub(crate) queues: Queues,
    pub(crate) agenda: Agenda,
    pub(crate) waiters: Waiters,
    /// Delivered at-most-once jobs, oldest delivery first.
    pub(crate) evictable: List,
    pub(crate) segments: Segments,
    /// A pass that records every job anew that lies in a segment below `.1`; `.0` is the next slot to look at.
    pub(crate) rewrite: Option<(u32, Segment)>,
    /// What the clocks said at the last mark in the log.
    pub(crate) marked: Option<Now>,
    /// A clean stop under way: the next slot whose standing is recorded.
    pub(crate) stopping: Option<u32>,
    pub(crate) last_created: u64,
    pub(crate) leaving: bool,
    pub(crate) body_bytes: usize,
    pub(crate) client_bytes: u64,
    pub(crate) last_sweep: Time,
    pub(crate) counters: Counters,
}

impl Node {
    /// A node without jobs. All of its randomness comes from `seed`.
    pub fn new(id: NodeId, settings: Settings, now: Time, seed: [u8; 32]) -> Self {
        let mut random = StdRng::from_seed(seed);
        let mut agenda = Agenda::new(now);
        agenda.add_timer(now + limits::MARK_EVERY, Timer::Mark);
        Node {
            id,
            settings,
            jobs: Jobs::new(random.next_u64()),
            queues: Queues::new(random.next_u64()),
            agenda,
            waiters: Waiters::default(),
            evictable: List::EMPTY,
            segments: Segments::default(),
            rewrite: None,
            marked: None,
            stopping: None,
            last_created: 0,
            leaving: false,
            body_bytes: 0,
            client_bytes: 0,
            last_sweep: Time::ZERO,
            counters: Counters::default(),
            random,
        }
    }

    /// Applies one event as of `now`, and appends what must be done about it to `effects`.
    pub fn handle(&mut self, now: Now, event: Event<'_>, effects: &mut Vec<Effect>) {
        if self.has_jumped(now) {
            self.mark(now, effects);
        }
        match event {
            Event::Command(ticket, command) => self.on_command(now, ticket, command, effects),
            Event::Disconnected(client) => self.on_disconnected(now.time, client),
            Event::Undelivered(ids) => self.on_undelivered(now.time, &ids, effects),
            Event::Tick => self.on_tick(now, effects),
            Event::SegmentStarted(segment) => self.on_segment_started(now, segment, effects),
            Event::Configured(settings) => self.on_configured(settings),
            Event::LogOpened(segment) => self.on_log_opened(now, segment, effects),
            Event::Rewrite => self.on_rewrite_asked(now.time),
            Event::RewriteOn => self.on_rewrite(now.time, effects),
            Event::ClientBuffers(bytes) => self.client_bytes = bytes,
            Event::MemoryPressure => self.on_memory_pressure(now.time, effects),
            Event::Leaving(leaving) => self.on_leaving(now.time, leaving, effects),
            Event::Renamed(id) => self.id = id,
            Event::Flush => self.on_flush(now, effects),
            Event::Stop => self.on_stop(now, effects),
        }
        if let Some(oldest) = self.segments.retire() {
            effects.push(Effect::Retire(oldest));
        }
    }

    /// When the next tick is wanted: not before this, and soon after.
    pub fn deadline(&self) -> Time {
        self.agenda
            .deadline()
            .expect("the next mark is always on the agenda")
    }

    fn on_command(
        &mut self,
        now: Now,
        ticket: Ticket,
        command: Command<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let reply = match command {
            Command::AddJob(add) => self.add_job(now, &add, effects),
            Command::GetJob(get) => return self.get_job(now.time, ticket, &get, effects),
            Command::AckJob(ids) => self.ack_jobs(now.time, &ids, effects),
            Command::FastAck(ids) | Command::DelJob(ids) => {
                self.delete_jobs(now.time, &ids, effects)
            }
            Command::Enqueue(ids) => self.enqueue_jobs(now.time, &ids, effects),
            Command::Nack(ids) => self.nack_jobs(now.time, &ids, effects),
            Command::Dequeue(ids) => self.dequeue_jobs(now.time, &ids),
            Command::Working(id) => self.working(now.time, id),
            Command::Show(id) => self.show(now.time, id),
            Command::QueueLength(queue) => self.queue_length(queue),
            Command::QueuePeek { queue, count } => self.queue_peek(queue, count),
            Command::QueueStat(queue) => self.queue_stat(now.time, queue),
            Command::Pause(pause) => self.pause(now.time, &pause, effects),
            Command::QueueScan(scan) => self.queue_scan(&scan),
            Command::JobScan(scan) => self.job_scan(now.time, &scan),
        };
        effects.push(Effect::Reply(ticket, reply));
    }

    fn on_tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let mut filled = Vec::new();
        for _ in 0..limits::DUE_PER_TICK {
            let due = self.agenda.pop(&mut self.jobs, now.time);
            if !matches!(due, Some(Due::Job(_))) {
                self.serve_all(now.time, &mut filled, effects);
            }
            match due {
                Some(Due::Job(key)) => filled.extend(self.on_job_due(now.time, key, effects)),
                Some(Due::Timer(timer)) => self.on_timer(now, timer, effects),
                None => break,
            }
        }
        self.serve_all(now.time, &mut filled, effects);
    }

    fn on_timer(&mut self, now: Now, timer: Timer, effects: &mut Vec<Effect>) {
        match timer {
            // It may just have been served by a job that was due at the same moment.
            Timer::Waiter(id) if self.waiters.holds(id) => {
                self.give_up(now.time, id, Reply::NothingToDeliver, effects);
            }
            Timer::Waiter(_) => {}
            Timer::Queue(key) => self.on_queue_idle(now.time, key),
            Timer::Mark => {
                self.mark(now, effects);
                self.agenda
                    .add_timer(now.time + limits::MARK_EVERY, Timer::Mark);
            }
            Timer::Rewrite => self.on_rewrite(now.time, effects),
        }
    }

    /// Serves those who wait for queues that jobs came back to.
    fn serve_all(&mut self, now: Time, filled: &mut Vec<QueueKey>, effects: &mut Vec<Effect>) {
        for queue in filled.drain(..) {
            self.serve(now, queue, effects);
        }
    }

    /// Ties the timeline to the wall clock.
    pub(crate) fn mark(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.marked = Some(now);
        let Now { time, wall } = now;
        self.persist(Record::Mark { time, wall }, effects);
    }

    /// Whether the wall clock jumped since the last mark, which would then tell a wrong time after a crash.
    fn has_jumped(&self, now: Now) -> bool {
        self.marked.is_some_and(|marked| {
            let passed = now.time.since(marked.time).as_millis() as u64;
            marked.wall.0.saturating_add(passed).abs_diff(now.wall.0) > limits::WALL_JUMP_MS
        })
    }

    fn on_configured(&mut self, settings: Settings) {
        self.settings = settings;
        if settings.log == Log::Off {
            self.stop_rewrite();
        }
    }

    fn on_leaving(&mut self, now: Time, leaving: bool, effects: &mut Vec<Effect>) {
        self.leaving = leaving;
        while let Some(id) = self.waiters.first().filter(|_| leaving) {
            self.give_up(now, id, Reply::Refused(Refusal::Leaving), effects);
        }
    }

    fn on_flush(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some(id) = self.waiters.first() {
            self.give_up(now.time, id, Reply::NothingToDeliver, effects);
        }
        self.persist(Record::Flushed, effects);
        let mut seed = [0; 32];
        self.random.fill_bytes(&mut seed);
        let fresh = Node::new(self.id, self.settings, now.time, seed);
        (self.jobs, self.queues, self.agenda) = (fresh.jobs, fresh.queues, fresh.agenda);
        (self.evictable, self.body_bytes, self.rewrite) = (List::EMPTY, 0, None);
        self.segments.clear();
    }

    fn on_stop(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.settings.log == Log::Off {
            self.stopping = None;
            return;
        }
        let from = self.stopping.unwrap_or_else(|| {
            self.finish_rewrite(effects);
            0
        });
        let to = self
            .jobs
            .end()
            .min(from.saturating_add(limits::STANDINGS_PER_STOP));
        for job in (from..to).filter_map(|slot| self.jobs.get(JobKey(slot))) {
            // A job that was never queued needs none: its delay says when it will be.
            if !job.queued_before() && job.guarantee() == Guarantee::AtLeastOnce {
                continue;
            }
            let standing = Standing {
                id: job.id,
                queued: job.state == JobState::Queued,
                requeue: (job.requeue != Time::NEVER).then_some(job.requeue),
                nacks: job.nacks,
                additional_deliveries: job.additional_deliveries,
            };
            effects.push(Effect::Persist(Record::Standing(standing)));
        }
        self.stopping = (to < self.jobs.end()).then_some(to);
        if self.stopping.is_none() {
            effects.push(Effect::Persist(Record::Closed {
                time: now.time,
                wall: now.wall,
            }));
        }
    }

    pub(crate) fn persist(&mut self, record: Record, effects: &mut Vec<Effect>) {
        if self.settings.log == Log::On {
            self.segments.grow(record.size());
            effects.push(Effect::Persist(record));
        }
    }

    /// The one place where a job changes its state or its requeue time.
    pub(crate) fn move_job(&mut self, key: JobKey, next: JobState, requeue: Time) {
        let job = &mut self.jobs[key];
        let legal = job.state == next || job.state.may_become(next);
        assert!(legal, "{}: {:?} -> {next:?}", job.id, job.state);
        let before = job.wake();
        (job.state, job.requeue) = (next, requeue);
        if job.wake() != before {
            self.agenda.remove_job(&mut self.jobs, key);
            self.agenda.add_job(&mut self.jobs, key);
        }
    }

    /// Takes a job out of everything that holds it.
    pub(crate) fn remove(&mut self, now: Time, key: JobKey) {
        match self.jobs[key].place {
            Place::Before | Place::Nowhere => {}
            Place::List | Place::Tree => self.leave_queue(now, key),
            Place::Evictable => self.evictable.remove(&mut self.jobs, key),
        }
        self.agenda.remove_job(&mut self.jobs, key);
        self.discard(key);
    }

    /// Keeps a job, with all that is counted of it.
    pub(crate) fn keep(&mut self, job: Job) -> JobKey {
        self.body_bytes += job.body.as_bytes().len();
        self.segments.add(job.segment);
        self.queues[job.queue].jobs += 1;
        self.jobs.insert(job)
    }

    /// The reverse of [`Node::keep`], for a job that nothing else holds.
    pub(crate) fn discard(&mut self, key: JobKey) {
        let job = self.jobs.remove(key);
        self.body_bytes -= job.body.as_bytes().len();
        self.segments.remove(job.segment);
        self.queues[job.queue].jobs -= 1;
        self.queues.drop_unused(job.queue);
    }
}

/// The sizes in bytes of what a node holds most of, for DEBUG STRUCTSIZE.
pub fn struct_sizes() -> String {
    format!(
        "job:{} queue:{}",
        size_of::<Option<Job>>(),
        size_of::<Option<Queue>>()
    )
}
