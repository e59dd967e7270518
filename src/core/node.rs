//! The node: what it holds, and its two doors, [`Node::handle`] and [`Node::deadline`].

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::acking::Collections;
use crate::acking::Forgotten;
use crate::acking::Tombstones;
use crate::adding::Replications;
use crate::agenda::{Agenda, Due, Timer};
use crate::awaiting::{JobWaits, Progress, Watches};
use crate::command::Reply;
use crate::deduplicating::Dedups;
use crate::delivering::Agreement;
use crate::effect::Effect;
use crate::event::{Event, Pace};
use crate::explaining::Happenings;
use crate::extras::Extras;
use crate::federating::Federation;
use crate::healing::Healing;
use crate::id::NodeId;
use crate::job::{Job, JobKey, JobState, Jobs, Move, Place};
use crate::limits;
use crate::log::{Pass, Segments, Spilling};
use crate::members::{HandOver, PeerKey, Peers};
use crate::message::PeerState;
use crate::moving::Redrives;
use crate::queue::{List, Queue, QueueKey, Queues, Waiters};
use crate::record::{Record, Stream};
use crate::settings::{Purges, Shared};
use crate::stamp::Stamps;
use crate::telling::{Counters, Gatherings};
use crate::time::{Now, Time, WallTime};
use crate::topic::Topics;

mod configuration;

pub use configuration::{Eviction, Log, MemoryLevel, MemoryPolicy, Settings, Sync, TopicMember};

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
    pub(crate) peers: Peers,
    pub(crate) replications: Replications,
    pub(crate) healing: Healing,
    pub(crate) collections: Collections,
    pub(crate) tombstones: Tombstones,
    pub(crate) forgotten: Forgotten,
    pub(crate) federation: Federation,
    pub(crate) gatherings: Gatherings,
    pub(crate) agreement: Agreement,
    pub(crate) hand_over: HandOver,
    /// What all nodes of the cluster share.
    pub(crate) shared: Shared,
    pub(crate) purges: Purges,
    pub(crate) redrives: Redrives,
    pub(crate) job_waits: JobWaits,
    pub(crate) watches: Watches,
    pub(crate) progress: Progress,
    pub(crate) dedups: Dedups,
    /// What happened to jobs lately.
    pub(crate) happenings: Happenings,
    /// Queues that jobs were moved to in the course of this event: who waits there is to be served.
    pub(crate) rehoused: Vec<QueueKey>,
    /// What the clocks say at this event.
    pub(crate) clock: Now,
    pub(crate) topics: Topics,
    /// Delivered at-most-once jobs, oldest delivery first.
    pub(crate) evictable: List,
    pub(crate) segments: Segments,
    pub(crate) rewrite: Option<Pass>,
    pub(crate) pace: Pace,
    /// What the clocks said at the last mark in the log.
    pub(crate) marked: Option<Now>,
    /// A clean stop under way: the next slot whose standing is recorded.
    pub(crate) stopping: Option<u32>,
    pub(crate) last_created: u64,
    /// Which start of the node this is, for the ids of the jobs that it makes: 1 at first.
    pub(crate) start: u32,
    /// How far other nodes have come with making jobs, and this one in earlier starts.
    pub(crate) made: Stamps,
    /// When the node began to serve.
    pub(crate) started: Time,
    /// CLUSTER LEAVING holds: the node goes for good.
    pub(crate) leaving: bool,
    /// What this node last told its peers about itself, while there are any.
    pub(crate) told: Option<PeerState>,
    /// What the bodies in memory take.
    pub(crate) body_bytes: usize,
    pub(crate) spilling: Spilling,
    pub(crate) client_bytes: u64,
    /// The log cannot be written.
    pub(crate) log_failing: bool,
    pub(crate) last_sweep: Time,
    pub(crate) counters: Counters,
    #[cfg(feature = "planted-bugs")]
    pub(crate) planted: Option<crate::planted::Bug>,
}

impl Node {
    /// A node without jobs. All of its randomness comes from `seed`.
    pub fn new(id: NodeId, settings: Settings, now: Time, seed: [u8; 32]) -> Self {
        let mut random = StdRng::from_seed(seed);
        let mut agenda = Agenda::new(now);
        let mut queues = Queues::new(random.next_u64());
        queues.tallies.most = settings.tallied_queues;
        agenda.add_timer(now + limits::MARK_EVERY, Timer::Mark);
        Node {
            id,
            settings,
            jobs: Jobs::new(random.next_u64()),
            queues,
            agenda,
            waiters: Waiters::default(),
            peers: Peers::default(),
            replications: Replications::default(),
            healing: Healing::default(),
            collections: Collections::default(),
            tombstones: Tombstones::default(),
            forgotten: Forgotten::new(random.next_u64()),
            federation: Federation::default(),
            gatherings: Gatherings::default(),
            agreement: Agreement::default(),
            hand_over: HandOver::default(),
            shared: Shared::default(),
            purges: Purges::default(),
            redrives: Redrives::default(),
            job_waits: JobWaits::default(),
            watches: Watches::default(),
            progress: Progress::default(),
            dedups: Dedups::default(),
            happenings: Happenings::default(),
            rehoused: Vec::new(),
            clock: Now {
                time: now,
                wall: WallTime::default(),
            },
            evictable: List::EMPTY,
            segments: Segments::default(),
            rewrite: None,
            pace: Pace::Full,
            marked: None,
            stopping: None,
            last_created: 0,
            start: 1,
            made: Stamps::default(),
            started: now,
            leaving: false,
            told: None,
            body_bytes: 0,
            spilling: Spilling::default(),
            client_bytes: 0,
            log_failing: false,
            last_sweep: Time::ZERO,
            counters: Counters::default(),
            #[cfg(feature = "planted-bugs")]
            planted: None,
            topics: Topics::new(random.next_u64()),
            random,
        }
    }

    /// Applies one event as of `now`, and appends what must be done about it to `effects`.
    pub fn handle(&mut self, now: Now, event: Event<'_>, effects: &mut Vec<Effect>) {
        self.clock = now;
        if self.has_jumped(now) {
            self.mark(now, effects);
        }
        match event {
            Event::Command(ticket, command) => self.on_command(now, ticket, command, effects),
            Event::Disconnected(client) => self.on_disconnected(now.time, client, effects),
            Event::Message(from, message) => self.on_message(now, from, message, effects),
            Event::PeerKnown(id) => self.on_peer_known(now, &id),
            Event::PeerForgotten(id) => self.on_peer_forgotten(now, &id, effects),
            Event::PeerUp(peer) => self.on_peer_up(now, &peer, effects),
            Event::PeerDown(id) => self.on_peer_down(now, &id, effects),
            Event::PeerFailing(id, failing) => {
                self.on_peer_failing(now, &id, failing, effects);
            }
            Event::Undelivered(ids) => self.on_undelivered(now.time, &ids, effects),
            Event::Postponed(ids) => self.on_postponed(now.time, &ids, effects),
            Event::Tick => self.on_tick(now, effects),
            Event::SegmentStarted(Stream::Jobs, segment) => {
                self.on_segment_started(now, segment, effects);
            }
            Event::SegmentStarted(Stream::Topics, segment) => {
                self.on_topic_segment(now, segment, effects);
            }
            Event::EntriesRecorded(places) => self.on_entries_recorded(places),
            Event::EntriesFetched(told) => self.on_entries_fetched(now, told, effects),
            Event::TopicsSafe(records) => self.on_topics_safe(records),
            Event::Deliver => self.on_deliver(now, effects),
            Event::Unsubscribed(client) => self.end_readers(client),
            Event::ReaderSlow(client) => self.on_reader_slow(client),
            Event::ReaderReady(client) => self.on_reader_ready(now, client, effects),
            Event::Configured(settings) => self.on_configured(now.time, settings, effects),
            Event::LogOpened { jobs, topics } => self.on_log_opened(now, jobs, topics, effects),
            Event::Rewrite => self.on_rewrite_asked(now.time),
            Event::Compact { bytes, below, room } => self.on_compact(now.time, bytes, below, room),
            Event::RewriteOn => self.step_rewrite(effects),
            Event::LogPace(pace) => self.pace = pace,
            Event::Recorded(records) => self.on_recorded(now.time, records),
            Event::Written(readable) => self.on_written(now.time, readable),
            Event::Fetched { id, place, read } => {
                self.on_fetched(now.time, &id, &place, read, effects);
            }
            Event::NotFetched(place) => self.on_not_fetched(&place),
            Event::Unreadable { id, place } => self.on_unreadable(now.time, &id, &place, effects),
            Event::GetAgain(ticket, again) => self.get_again(now.time, ticket, &again, effects),
            Event::ClientBuffers(bytes) => {
                self.client_bytes = bytes;
                self.watch_memory(now.time);
            }
            Event::LogFailing(failing) => self.on_log_failing(now.time, failing, effects),
            Event::MemoryPressure => self.on_memory_pressure(now.time, effects),
            Event::Leaving(leaving) => self.on_leaving(now, leaving, effects),
            Event::Renamed(id) => {
                self.made.note(self.id.maker(), self.own_stamp());
                self.id = id;
                self.topics.end_life();
                self.peers.clear_lists();
            }
            Event::Flush => self.on_flush(now, effects),
            Event::HandOver => self.on_hand_over(now.time, effects),
            Event::Stop => self.on_stop(now, effects),
        }
        self.end_event(now, effects);
    }

    /// What follows from all that happened in this event.
    #[inline]
    fn end_event(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.serve_rehoused(now.time, effects);
        self.answer_abandoned(effects);
        self.go_on_granted(now.time, effects);
        self.tell_fates(effects);
        if let Some(oldest) = self.segments.retire() {
            effects.push(Effect::Retire(Stream::Jobs, oldest));
        }
    }

    /// The creation clock: later than anything that this node made or moved before.
    pub(crate) fn next_created(&mut self) -> u64 {
        let wall = self.clock.wall.0.saturating_mul(1_000_000);
        self.last_created = self.last_created.saturating_add(1).max(wall);
        self.last_created
    }

    /// When the next tick is wanted: not before this, and soon after.
    pub fn deadline(&self) -> Time {
        self.agenda
            .deadline()
            .expect("the next mark is always on the agenda")
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

    fn on_configured(&mut self, now: Time, settings: Settings, effects: &mut Vec<Effect>) {
        if settings.heal_delay != self.settings.heal_delay {
            self.agenda.add_timer(now, Timer::Absence);
        }
        let synced = self.syncs();
        self.settings = settings;
        if self.syncs() != synced {
            self.tell_state(effects);
        }
        self.queues.tallies.most = settings.tallied_queues;
        self.queues.spread_tallies();
        if settings.log == Log::Off || settings.sync != Sync::First {
            self.topics.wait_for_no_sync();
        }
        if settings.log == Log::Off {
            self.stop_rewrite();
        } else {
            self.topics.shrink_to(settings.topic_cache());
        }
        self.watch_memory(now);
    }

    fn on_flush(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some(id) = self.waiters.first() {
            self.give_up(now.time, id, Reply::NothingToDeliver, effects);
        }
        self.refuse_keyed_adds(effects);
        self.replications.abandon_all();
        self.persist(Record::Flushed, effects);
        self.answer_abandoned(effects);
        let mut seed = [0; 32];
        self.random.fill_bytes(&mut seed);
        let fresh = Node::new(self.id, self.settings, now.time, seed);
        let topic_timers = self.agenda.topic_timers();
        (self.jobs, self.queues, self.agenda) = (fresh.jobs, fresh.queues, fresh.agenda);
        for (when, timer) in topic_timers {
            self.agenda.add_timer(when, timer);
        }
        (self.evictable, self.body_bytes, self.rewrite) = (List::EMPTY, 0, None);
        self.spilling.clear();
        (self.replications, self.collections) = (fresh.replications, fresh.collections);
        (self.healing, self.tombstones) = (fresh.healing, fresh.tombstones);
        (self.federation, self.agreement) = (fresh.federation, fresh.agreement);
        (self.progress, self.watches) = (fresh.progress, fresh.watches);
        self.restart_hand_over(now.time);
        self.watch_dedups(now.time);
        self.segments.clear();
        self.end_redrives(now.time, effects);
        self.flush_settings(now.time, effects);
        self.watch_forgotten(now.time);
        self.watch_gatherings();
        self.watch_job_waits(now.time);
        let peers: Vec<PeerKey> = self.peers.keys().collect();
        for peer in peers {
            self.watch_absence(now.time, peer);
            self.watch_expected(peer);
        }
        if !self.peers.gone().is_empty() {
            self.heal_with(now.time);
        }
        if self.told.take().is_some() {
            self.watch_state(now.time);
        }
    }

    /// Moves a job, and sets when the node looks at it next.
    #[inline]
    pub(crate) fn move_job(&mut self, key: JobKey, make: Move, requeue: Time) {
        let job = &mut self.jobs[key];
        let before = (job.state(), job.wake());
        job.make(make);
        job.due = requeue;
        self.follow_move(key, before);
    }

    /// What follows from a move of a job that was in this state, and that the node wanted to look at then.
    fn follow_move(&mut self, key: JobKey, (state, wake): (JobState, Time)) {
        let job = &mut self.jobs[key];
        let (now_state, now_wake) = (job.state(), job.wake());
        let short = now_state == JobState::Acked && std::mem::take(&mut job.short);
        if state == JobState::WaitReplicas && now_state != JobState::WaitReplicas {
            self.replications.abandon(key);
        }
        if short {
            self.healing.forget_job(key);
        }
        if now_wake != wake {
            self.agenda.remove_job(&mut self.jobs, key);
            self.agenda.add_job(&mut self.jobs, key);
        }
        self.recount(key);
        self.note_restored(key);
    }

    /// Takes a job out of everything that holds it.
    pub(crate) fn remove(&mut self, now: Time, key: JobKey) {
        self.leave_place(now, key);
        if self.jobs[key].state() == JobState::WaitReplicas {
            self.replications.abandon(key);
        }
        self.agenda.remove_job(&mut self.jobs, key);
        self.discard(key);
    }

    /// Takes a job out of the list that it stands in. Its state is still as before: the caller moves it on.
    pub(crate) fn leave_place(&mut self, now: Time, key: JobKey) {
        match self.jobs[key].place() {
            Place::Before
            | Place::BeforeUnsure
            | Place::Nowhere
            | Place::Unsettled
            | Place::Restored
            | Place::Waiting => {}
            Place::List | Place::Tree => self.leave_queue(now, key),
            Place::Evictable => self.evictable.remove(&mut self.jobs, key),
            Place::Acked => self.end_collection(key),
        }
    }

    /// Keeps a job, with all that is counted of it.
    pub(crate) fn keep(&mut self, job: Job, extras: Extras) -> JobKey {
        self.count_body(&job.body);
        self.segments
            .add(job.segment, self.recorded_bytes(&job, extras.len()));
        if !job.is_tombstone() {
            self.queues[job.queue].jobs += 1;
        }
        let key = self.jobs.insert(job, extras);
        self.recount(key);
        key
    }

    /// The reverse of [`Node::keep`], for a job that nothing else holds.
    pub(crate) fn discard(&mut self, key: JobKey) {
        if !self.progress.is_empty() {
            self.progress.remove(&self.jobs[key].id);
        }
        let (job, extras) = self.jobs.remove(key);
        if job.short {
            self.healing.forget_job(key);
        }
        self.uncount(&job);
        self.uncount_body(&job.body);
        self.segments
            .remove(job.segment, self.recorded_bytes(&job, extras.len()));
        if !job.is_tombstone() {
            self.queues[job.queue].jobs -= 1;
            self.queues.drop_unused(job.queue);
        }
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
