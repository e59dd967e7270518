//! A bench for one node: it owns the clocks, ticks exactly at the node's deadlines, keeps the log as a disk would, and
//! checks the invariants after every event.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::command::{
    AddJob, Command, Delivery, Detail, GetJob, JobView, Pause, PauseState, QueueView, QueueWaits,
    Refusal, Reply, Told, Wait,
};
use crate::effect::Effect;
use crate::event::Event;
use crate::id::{ClientId, JobId, NodeId, Ticket};
use crate::invariants;
use crate::job::{Body, Job, JobState, Links, Stand};
use crate::log::{Reload, Restore, Start};
use crate::node::{Eviction, Log, MemoryPolicy, Node, Settings};
use crate::queue::QueueKey;
use crate::record::{Location, Record, Segment, Stream};
use crate::telling::Share;
use crate::time::{Now, Time, WallTime};

/// The wall clock when a bench starts: 2026-01-01.
pub(crate) const WALL: u64 = 1_767_225_600_000;

pub(crate) const SETTINGS: Settings = Settings {
    tallied_queues: 1000,
    max_memory: 0,
    eviction: Eviction::Acks,
    memory: MemoryPolicy::Refuse,
    log: Log::On,
    default_replicate: 3,
    min_replicate: 2,
    heal_delay: Duration::from_mins(1),
    leaving_grace: Duration::from_secs(5),
    sync: crate::node::Sync::Later,
    topic_memory: 1 << 30,
    topic_disk: u64::MAX,
    topic_dedup_ms: 120_000,
};

/// Who sends the commands that name no client.
const SOMEBODY: u64 = 1;

pub(crate) struct Bench {
    pub(crate) node: Node,
    /// Milliseconds on the node's timeline.
    pub(crate) time: u64,
    /// Milliseconds since 1970.
    pub(crate) wall: u64,
    /// What is on disk.
    pub(crate) log: Vec<(Segment, Record)>,
    pub(crate) segment: Segment,
    /// Jobs whose records cannot be read.
    pub(crate) damaged: BTreeSet<JobId>,
    /// Jobs whose records cannot be read at the moment.
    pub(crate) failing: BTreeSet<JobId>,
    /// Commands answered in the order of answering, since last asked.
    pub(crate) answered: Vec<(Ticket, Reply)>,
    /// Messages to peers, since last asked.
    pub(crate) sent: Vec<(NodeId, crate::message::Message)>,
    replies: BTreeMap<Ticket, Reply>,
    settings: Settings,
    tickets: u64,
    starts: u8,
    events: u64,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Bench::with(SETTINGS)
    }

    /// A node that starts with an empty log.
    pub(crate) fn with(settings: Settings) -> Self {
        let mut bench = Bench {
            node: Node::new(node_id(), settings, Time::ZERO, [0; 32]),
            time: 0,
            wall: WALL,
            log: Vec::new(),
            segment: 0,
            damaged: BTreeSet::new(),
            failing: BTreeSet::new(),
            answered: Vec::new(),
            sent: Vec::new(),
            replies: BTreeMap::new(),
            settings,
            tickets: 0,
            starts: 0,
            events: 0,
        };
        bench.start(Duration::ZERO, Reload::Active);
        bench
    }

    /// The process is gone, with all that was not in the log; a new one starts after `down`.
    pub(crate) fn crash(&mut self, down: Duration) {
        self.start(down, Reload::Active);
    }

    /// A clean stop, and a start after `down`.
    pub(crate) fn restart(&mut self, down: Duration) {
        self.feed(Event::Stop);
        self.start(down, Reload::Active);
    }

    /// Starts from what is in the log.
    pub(crate) fn start(&mut self, down: Duration, reload: Reload) {
        self.starts += 1;
        self.wall += down.as_millis() as u64;
        let mut restore = Restore::new(node_id(), self.settings, [self.starts; 32]);
        for (index, (segment, record)) in self.log.iter().enumerate() {
            restore.apply(self.location(*segment, index), record.clone());
        }
        self.time = restore.timeline(WallTime(self.wall)).as_millis();
        self.segment += 1;
        let start = Start {
            now: self.now(),
            generation: u64::from(self.starts),
            segment: self.segment,
            topic_segment: 1,
            reload,
        };
        let mut effects = Vec::new();
        self.node = restore.finish(start, &mut effects);
        self.carry_out(effects);
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            time: Time::from_millis(self.time),
            wall: WallTime(self.wall),
        }
    }

    pub(crate) fn feed(&mut self, event: Event<'_>) {
        let mut effects = Vec::new();
        self.node.handle(self.now(), event, &mut effects);
        self.carry_out(effects);
        if self.node.is_spilling() {
            let written = Location::new(self.segment + 1, 0);
            let mut effects = Vec::new();
            self.node
                .handle(self.now(), Event::Written(written), &mut effects);
            self.carry_out(effects);
        }
    }

    /// Where the record with this index in the log lies.
    fn location(&self, segment: Segment, index: usize) -> Location {
        let first = self.log.iter().position(|&(of, _)| of == segment);
        Location::new(segment, (index - first.unwrap_or(index)) as u64)
    }

    /// The body that lies there, as the shell reads it: none when its job is damaged.
    pub(crate) fn read(&self, id: JobId, place: &Body) -> Option<Body> {
        let at = place.spilled_to().expect("only such a body is read");
        let mut there = self.log.iter().filter(|(of, _)| *of == at.segment);
        let record = there.nth(at.offset as usize).map(|(_, record)| record);
        let Some(Record::Added(job)) = record else {
            panic!("{id} lies at {at}, not {record:?}");
        };
        assert_eq!(job.id, id);
        (!self.damaged.contains(&id)).then(|| job.body.clone())
    }

    /// Reads the bodies that a reply lacks, or tells the node that they cannot be read.
    fn complete(&mut self, ticket: Ticket, mut reply: Reply) -> Option<Reply> {
        let (mut unreadable, mut postponed) = (Vec::new(), Vec::new());
        for (id, body) in reply.unread_bodies() {
            if self.failing.contains(&id) {
                postponed.push(id);
                continue;
            }
            match self.read(id, body) {
                Some(read) => *body = read,
                None => unreadable.push((id, body.clone())),
            }
        }
        let ids: Vec<JobId> = unreadable.iter().map(|(id, _)| *id).collect();
        for (id, place) in unreadable {
            self.feed(Event::Unreadable { id, place });
        }
        let read = reply.into_read();
        if matches!(read, Err(_) | Ok(Reply::Delivered(..))) {
            self.feed(Event::Undelivered(ids));
            self.feed(Event::Postponed(postponed));
        }
        match read {
            Ok(reply) => Some(reply),
            Err(again) => {
                self.feed(Event::GetAgain(ticket, again));
                None
            }
        }
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        // The check walks over all jobs: with very many, now and then must do.
        self.events += 1;
        if self.node.job_count() < 500 || self.events.is_multiple_of(100) {
            invariants::check(&self.node);
        }
        let mut recorded = Vec::new();
        for effect in &effects {
            if let Effect::Persist(record, _) = effect {
                self.log.push((self.segment, record.clone()));
                if let Record::Added(job) = record {
                    let at = self.location(self.segment, self.log.len() - 1);
                    recorded.push((job.id, at));
                }
            }
        }
        if !recorded.is_empty() && self.settings.max_memory > 0 {
            self.feed(Event::Recorded(&recorded));
        }
        for effect in effects {
            match effect {
                Effect::Persist(..) => {}
                Effect::Fetch(id, place) if self.failing.contains(&id) => {
                    self.feed(Event::NotFetched(place));
                }
                Effect::Fetch(id, place) => {
                    let read = self.read(id, &place);
                    self.feed(Event::Fetched { id, place, read });
                }
                Effect::Reply(ticket, reply, _) => {
                    let Some(reply) = self.complete(ticket, reply) else {
                        continue;
                    };
                    self.answered.push((ticket, reply.clone()));
                    let before = self.replies.insert(ticket, reply);
                    assert_eq!(before, None, "{ticket:?} is answered once");
                }
                Effect::Send(peer, message, _) => self.sent.push((peer, message)),
                Effect::Retire(Stream::Topics, _) => {}
                Effect::Push(..) | Effect::AwaitReader(_) | Effect::FetchEntries(_) => {
                    panic!("{effect:?}: no topics here")
                }
                Effect::Retire(Stream::Jobs, below) => {
                    self.log.retain(|&(segment, _)| segment >= below);
                }
            }
        }
    }

    /// Both clocks go on; a tick exactly at every deadline.
    pub(crate) fn advance_ms(&mut self, ms: u64) {
        let end = self.time + ms;
        let (mut stuck, mut before) = (0, self.time);
        while self.tick_until(end) {
            stuck = if self.time > before { 0 } else { stuck + 1 };
            assert!(stuck < 100, "a tick makes progress");
            before = self.time;
        }
    }

    /// Goes on to the next deadline and ticks, or to `end` if that comes first.
    pub(crate) fn tick_until(&mut self, end: u64) -> bool {
        let next = self.node.deadline().as_millis().max(self.time);
        let to = next.min(end);
        self.wall += to - self.time;
        self.time = to;
        if next <= end {
            self.feed(Event::Tick);
        }
        next <= end
    }

    pub(crate) fn advance(&mut self, secs: u64) {
        self.advance_ms(secs * 1000);
    }

    /// Sends a command, which may be answered later.
    pub(crate) fn send(&mut self, client: u64, command: Command<'_>) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket {
            client: ClientId(client),
            number: self.tickets,
        };
        self.feed(Event::Command(ticket, command));
        ticket
    }

    /// What this command was answered.
    pub(crate) fn answer(&self, ticket: Ticket) -> Option<&Reply> {
        self.replies.get(&ticket)
    }

    /// Sends a command that is answered at once.
    pub(crate) fn run(&mut self, command: Command<'_>) -> Reply {
        let ticket = self.send(SOMEBODY, command);
        let reply = self.answer(ticket);
        reply.expect("this command does not wait").clone()
    }

    pub(crate) fn count(&mut self, command: Command<'_>) -> u64 {
        match self.run(command) {
            Reply::Count(count) => count,
            other => panic!("{other:?} is no count"),
        }
    }

    pub(crate) fn try_add(&mut self, add: AddJob<'_>) -> Result<JobId, Refusal> {
        match self.run(Command::AddJob(add)) {
            Reply::Added(id) => Ok(id),
            Reply::Refused(refusal) => Err(refusal),
            other => panic!("{other:?} answers no ADDJOB"),
        }
    }

    pub(crate) fn add(&mut self, add: AddJob<'_>) -> JobId {
        self.try_add(add).expect("nothing refuses this job")
    }

    /// Adds `count` jobs, oldest first.
    pub(crate) fn add_many(&mut self, queue: &str, count: usize) -> Vec<JobId> {
        (0..count).map(|_| self.add(job(queue))).collect()
    }

    /// GETJOB NOHANG.
    pub(crate) fn get(&mut self, queues: &[&str], count: u64) -> Vec<Delivery> {
        match self.run(Command::GetJob(get_job(queues, count, Wait::No))) {
            Reply::Delivered(taken, _) => taken,
            Reply::NothingToDeliver => Vec::new(),
            other => panic!("{other:?} answers no GETJOB"),
        }
    }

    /// The ids of a GETJOB NOHANG.
    pub(crate) fn take(&mut self, queue: &str, count: u64) -> Vec<JobId> {
        let taken = self.get(&[queue], count);
        taken.iter().map(|delivery| delivery.id).collect()
    }

    /// Takes the only job there is.
    pub(crate) fn take_one(&mut self, queue: &str) -> Delivery {
        let mut taken = self.get(&[queue], 2);
        assert_eq!(taken.len(), 1, "there is exactly one job");
        taken.remove(0)
    }

    /// GETJOB that may wait.
    pub(crate) fn wait(&mut self, client: u64, queues: &[&str], wait: Wait) -> Ticket {
        self.send(client, Command::GetJob(get_job(queues, 1, wait)))
    }

    /// What a waiting GETJOB got.
    pub(crate) fn got(&self, ticket: Ticket) -> Option<Vec<JobId>> {
        match self.answer(ticket)? {
            Reply::Delivered(taken, _) => Some(taken.iter().map(|delivery| delivery.id).collect()),
            other => panic!("{other:?} is no delivery"),
        }
    }

    pub(crate) fn ack(&mut self, id: JobId) -> u64 {
        self.count(Command::AckJob(vec![id]))
    }

    pub(crate) fn nack(&mut self, id: JobId) -> u64 {
        self.count(Command::Nack(vec![id]))
    }

    pub(crate) fn enqueue(&mut self, id: JobId) -> u64 {
        self.count(Command::Enqueue(vec![id]))
    }

    pub(crate) fn dequeue(&mut self, id: JobId) -> u64 {
        self.count(Command::Dequeue(vec![id]))
    }

    pub(crate) fn len(&mut self, queue: &str) -> u64 {
        self.count(Command::QueueLength(queue.as_bytes()))
    }

    pub(crate) fn show(&mut self, id: JobId) -> Option<JobView> {
        match self.run(Command::Show(Some(id))) {
            Reply::Shown(view) => view.map(|view| *view),
            other => panic!("{other:?} answers no SHOW"),
        }
    }

    /// The state of a job that is here.
    pub(crate) fn state(&mut self, id: JobId) -> JobState {
        self.show(id).expect("the job is here").state
    }

    /// How often a job was nacked, and delivered additionally.
    pub(crate) fn counters(&mut self, id: JobId) -> (u32, u32) {
        let view = self.show(id).expect("the job is here");
        (view.nacks, view.additional_deliveries)
    }

    pub(crate) fn stat(&mut self, queue: &str) -> Option<QueueView> {
        match self.run(plain_stat(queue)) {
            Reply::QueueStat(view) => view.map(|view| *view),
            other => panic!("{other:?} answers no QSTAT"),
        }
    }

    /// What QSTAT FULL tells of jobs that are not ready.
    pub(crate) fn waits(&mut self, queue: &str) -> Option<QueueWaits> {
        let detail = Detail::Full;
        let queue = queue.as_bytes();
        match self.run(Command::QueueStat { queue, detail }) {
            Reply::QueueStat(view) => view.map(|view| view.full.expect("it was asked for")),
            other => panic!("{other:?} answers no QSTAT"),
        }
    }

    pub(crate) fn pause(&mut self, queue: &str, input: bool, output: bool) {
        let state = PauseState { input, output };
        let reply = self.run(Command::Pause(Pause {
            queue: queue.as_bytes(),
            set: Some(state),
            broadcast: false,
        }));
        assert_eq!(reply, Reply::PauseState(state));
    }

    /// Records go to a new segment.
    pub(crate) fn roll(&mut self) {
        self.segment += 1;
        self.feed(Event::SegmentStarted(Stream::Jobs, self.segment));
    }

    /// The segments that are on disk.
    pub(crate) fn segments(&self) -> Vec<Segment> {
        let mut segments: Vec<Segment> = self.log.iter().map(|&(segment, _)| segment).collect();
        segments.dedup();
        segments
    }
}

pub(crate) fn node_id() -> NodeId {
    NodeId::from_bytes([7; 20])
}

/// QSTAT.
pub(crate) fn plain_stat(queue: &str) -> Command<'_> {
    Command::QueueStat {
        queue: queue.as_bytes(),
        detail: Detail::Plain,
    }
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// ADDJOB queue body 0, with the defaults of a lone node.
pub(crate) fn job(queue: &str) -> AddJob<'_> {
    AddJob::new(queue.as_bytes(), b"body")
}

/// A job that is queued again after `retry` seconds, or never if that is 0.
pub(crate) fn job_with_retry(queue: &str, retry: u32) -> AddJob<'_> {
    AddJob {
        retry: Some(retry),
        ..job(queue)
    }
}

pub(crate) fn get_job<'a>(queues: &[&'a str], count: u64, wait: Wait) -> GetJob<'a> {
    GetJob {
        queues: queues.iter().map(|queue| queue.as_bytes()).collect(),
        count,
        wait,
        told: Told::default(),
    }
}

/// A job that no node holds, with an id made of `number`.
pub(crate) fn plain_job(number: u32) -> Job {
    let mut id = [0; 24];
    id[4..8].copy_from_slice(&number.to_be_bytes());
    id[23] = 1;
    Job {
        id: JobId::from_bytes(id),
        body: Body::new(b"body"),
        created: u64::from(number),
        added: Time::ZERO,
        requeue: Time::NEVER,
        holders: crate::members::NodeSet::EMPTY,
        ttl: u32::MAX,
        delay: 0,
        retry: 60,
        nacks: 0,
        additional_deliveries: 0,
        queue: QueueKey(0),
        order: Links::NONE,
        agenda: Links::NONE,
        segment: 1,
        offset: Location::FAR,
        replicate: 1,
        stand: Stand::kept(),
        counted: Share::None,
        since: 0,
        short: false,
        withdrawn: false,
        moves: 0,
        has_extras: false,
    }
}
